/* One activity on its way: prepared, run in a sandbox, collected, answered. */
#ifndef FF_WORKER_ACTIVITY_INTERNAL_H
#define FF_WORKER_ACTIVITY_INTERNAL_H

#include "module/protocol.h"
#include "worker/worker_internal.h"

#include <uv.h>

#define ACTIVITY_OBJECTS_MAX 1024
#define ACTIVITY_ARTIFACTS_MAX 256
#define ACTIVITY_FINDINGS_BYTES_MAX ((size_t)512 << 20)
#define ACTIVITY_STDERR_KEPT 8192
#define ACTIVITY_OUTPUT_DEFAULT ((uint64_t)256 << 20)

struct artifact {
    char *name, *path; /* path as the module gave it */
};

struct activity {
    struct worker *worker;
    struct poller *poller; /* sent again when this activity is over */
    Pb__PollActivityTaskQueueResponse *task;
    struct activity *next, *prev; /* of the runner's list */
    struct activity *next_answered; /* of the runner's list of answered heartbeats */

    /* From the task. */
    struct module_def module;
    json_t *input, *context, *checkpoint;
    struct sandbox_limits limits;
    enum sandbox_network network;
    char token_id[27]; /* names its folders */

    /* While it runs. */
    uv_work_t work;
    uv_poll_t out_poll, err_poll;
    uv_timer_t heartbeat;
    int handles; /* uv handles to be closed before it can be freed */
    struct workspace *workspace;
    char *dir; /* host folder with scratch/ and objects/ */
    bool has_objects;
    int in_fd, out_fd, err_fd;
    struct sandbox_proc *proc;
    struct module_reader *reader;
    uint64_t output_bytes;
    bool prepared, proc_done, out_open, err_open;
    struct sandbox_result result;
    char errors[ACTIVITY_STDERR_KEPT + 1]; /* the end of stderr */
    size_t errors_len;
    bool heartbeat_out, over;
    bool unsaved; /* a checkpoint that no heartbeat has carried yet */
    atomic_bool cancelled, abandoned; /* set by the loop, read by the pool too */
    bool told_to_cancel, told_gone;   /* by a heartbeat's answer; under the runner's lock */

    /* What came out. */
    struct err protocol;    /* what the reader said at the end; code 0: status, summary and error are set */
    enum module_status status;
    const json_t *summary; /* of the reader */
    const char *error;
    struct strbuf findings; /* NDJSON */
    uint64_t findings_count;
    json_t *stats, *progress;
    VEC(struct artifact) artifacts;
    json_t *answer; /* of a success */
    bool failed;    /* err, failure_type and non_retryable say why */
    struct err err;
    char failure_type[32];
    bool non_retryable;
};

struct activity_runner {
    pthread_t thread;
    bool started, has_loop;
    uv_loop_t loop;
    uv_async_t wake;
    uv_poll_t spawner;
    struct inbox inbox;
    atomic_int pollers; /* alive */
    struct activity *first; /* all that run */
    pthread_mutex_t lock;
    struct activity *answered; /* their heartbeat was; under lock */
    bool stopping, closed;
};

/* activity.c: the loop thread. Takes the task. */
void worker_activity_begin(struct worker *w, struct poller *p, Pb__PollActivityTaskQueueResponse *task);
void worker_activity_abandon(struct activity *a);
void worker_activity_heartbeat_answered(struct activity *a);
/* Marks it as failed, for the reason in a->err. Returns -code of it. */
int worker_activity_fail(struct activity *a, const char *type, bool non_retryable);
/* The poller is free again: activity_runner.c. */
void activity_runner_over(struct activity *a);

/* activity_io.c: may block; run by the pool, one at a time for one activity. */
void worker_activity_prepare(struct activity *a);
void worker_activity_collect(struct activity *a);

#endif
