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
    char *name, *path; /* path as the module gave it; NULL, of what was kept: not any more */
};

struct activity {
    struct worker *worker;
    struct poller *poller; /* sent again when its process has ended; NULL then */
    Pb__PollActivityTaskQueueResponse *task;
    struct activity *next, *prev; /* of the runner's list */
    struct activity *next_answered; /* of the runner's list of answered heartbeats */
    struct activity *next_exited;   /* of the runner's list of those whose process has ended */

    /* From the task. */
    struct module_def module;
    json_t *input, *context, *checkpoint;
    json_t *kept; /* name -> REF: in the store, and in the next heartbeat */
    char *memory;       /* the owner of the pins of what it leaves to later runs; NULL: it leaves nothing */
    json_t *remembered; /* array of REFs, with paths: what earlier runs have left, and then its own; NULL: nothing */
    char *handover;     /* the owner of the pin of what it hands over (activity_handover.c); NULL: nothing */
    json_t *handed;     /* array of the refs there */
    int64_t handed_number, handed_ns;
    bool unhanded, handed_files; /* a checkpoint that is not there yet; files came after the one that is */
    json_t *kept_files; /* those of the attempt before, with the paths that the module has them at */
    struct sandbox_limits limits, most; /* most: what this worker gives, where it bounds that */
    enum sandbox_network network;
    char token_id[27]; /* names its folder, unless that of one before serves again */
    int64_t begun_ns;  /* monotonic */

    /* While it runs. */
    uv_work_t work;
    uv_poll_t out_poll, err_poll;
    uv_timer_t heartbeat;
    uv_timer_t room; /* while it waits for room on the disk */
    bool has_room_timer, no_room;
    int64_t try_again_ns, patience_ms;
    void (*room_steps[2])(struct activity *a); /* begin again; finish */
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
    bool asked;   /* it may have been cancelled: one more heartbeat, once the one that is out was answered */
    atomic_bool cancelled, abandoned; /* set by the loop, read by the pool too */
    int64_t stop_by_ns;               /* it was asked to stop, and is killed then; 0: it was not */
    /* activity_keep.c. Its output is not read while something of it is to be kept. */
    uv_work_t keep_work;
    VEC(struct artifact) to_keep, keep_now; /* by the loop; by the pool */
    json_t *keep_all, *keep_checkpoint;     /* what is kept with those; what goes with it */
    char keep_problem[ERR_MSG_MAX];
    bool keeping, keep_unsaved;
    bool stopped, given_back;         /* with the worker */
    bool told_to_cancel, told_gone;   /* by a heartbeat's answer; under the runner's lock */

    /* What came out. */
    struct err protocol;    /* what the reader said at the end; code 0: status, summary and error are set */
    enum module_status status;
    const json_t *summary; /* of the reader */
    const char *error;
    struct strbuf findings; /* NDJSON */
    uint64_t findings_count;
    json_t *stats, *progress;
    json_t *recent; /* activity_recent.c: array of {n, type, data}; NULL: it has said nothing */
    uint64_t recent_number;
    size_t recent_bytes;
    VEC(struct artifact) artifacts;
    json_t *answer; /* of a success; there from the beginning if it was in the store */
    json_t *left;   /* of a failure: its files, as an answer has them; or NULL */
    char cache_key[65]; /* of its result (module/cache.h); "": it is not kept for others */
    bool failed;    /* err, failure_type and non_retryable say why */
    struct err err;
    char failure_type[32];
    bool non_retryable;
};

#define ACTIVITY_READ_MAX ((size_t)256 << 10)

struct activity_runner {
    pthread_t thread;
    bool started, has_loop;
    uv_loop_t loop;
    uv_async_t wake;
    uv_poll_t spawner;
    struct inbox inbox;
    atomic_int pollers; /* alive */
    struct activity *first; /* all that run */
    atomic_int running;     /* how many those are */
    int64_t usual_ns;       /* what an activity takes, the last ones above all; 0: none has ended */
    pthread_mutex_t lock;
    struct activity *answered; /* their heartbeat was; under lock */
    struct activity *exited;   /* their process has; under lock */
    char *buf;                 /* ACTIVITY_READ_MAX bytes for what is read from a pipe: the loop's */
    VEC(char *) asked;         /* run ids; under lock */
    VEC(char *) folders;       /* of activities that left nothing; under lock */
    bool stopping, closed;     /* closed: under lock for other threads */
};

/* activity.c: the loop thread. Takes the task. */
void worker_activity_begin(struct worker *w, struct poller *p, Pb__PollActivityTaskQueueResponse *task);
void worker_activity_abandon(struct activity *a); /* the worker stops */
/* No attempt comes after this one, if it fails. */
bool worker_activity_is_last(const struct activity *a);
/* A text of the module's, or about it, in place: UTF-8, and without secrets. Its new length, which is not larger. Any thread. */
size_t worker_activity_clean(const struct activity *a, char *text, size_t len);
/* {duration_ms, memory_peak_bytes} of its processes; NULL when memory is out. */
json_t *worker_activity_usage(const struct activity *a);
void worker_activity_ask(struct activity *a);
void worker_activity_heartbeat_answered(struct activity *a);
void worker_activity_exited(struct activity *a);
/* Marks it as failed, for the reason in a->err. Returns -code of it. */
int worker_activity_fail(struct activity *a, const char *type, bool non_retryable);
/* Its process has ended, or never was: another task may be taken while what it left is stored. */
void activity_runner_next(struct activity *a);
/* The poller is free again: activity_runner.c. */
void activity_runner_over(struct activity *a);

/* activity_recent.c: a finding or a line of its log. Loop thread. */
void worker_recent_add(struct activity *a, const char *type, const json_t *data);
/* {attempt, items}; the caller's. NULL: nothing. */
json_t *worker_recent_json(const struct activity *a);

/* activity_keep.c: files that are stored while the module runs. Loop thread. path NULL: not kept any more. */
void worker_activity_keep(struct activity *a, const char *path, const char *name);
/* It has a new checkpoint, which is handed over as well. */
void worker_activity_keep_checkpoint(struct activity *a);
/* A heartbeat was answered: what it carried is safe. */
void worker_activity_keep_saved(struct activity *a);
int worker_pin(struct activity *a, const char *ref, struct err *err); /* as long as the run */
/* activity_cache.c: takes the answer from the store, if it is there; puts one there. */
void worker_cache_look(struct activity *a);
void worker_cache_put(struct activity *a);
/* As activity_io.c has it: stores one file of scratch and pins it for the run. */
/* scratch: the host folder that scratch_fd is. */
int worker_store_artifact(struct activity *a, int scratch_fd, const char *scratch, const struct artifact *f, json_t **ret,
                          struct err *err);
void worker_artifacts_release(struct artifact *v, size_t n);
/* activity_memory.c: what it leaves to later runs. Of the pool. */
int worker_memory_about(struct activity *a, struct err *err); /* -ERR_INVALID */
int worker_memory_find(struct activity *a, struct err *err);
void worker_memory_keep(struct activity *a, const char *name, const json_t *ref); /* of any file that is kept */
/* activity_handover.c: what the activity has that takes its place. Of the pool. */
int worker_handover_about(struct activity *a, struct err *err); /* -ERR_INVALID */
int worker_handover_find(struct activity *a, struct err *err);
void worker_handover_save(struct activity *a, json_t *checkpoint, json_t *kept);
void worker_handover_over(struct activity *a); /* it has a result */
/* activity.c */
void worker_activity_heartbeat_now(struct activity *a);
void worker_activity_read_on(struct activity *a);

/* activity_room.c: no room on the disk is no fault of the module's, nor of the run's, and neither is a store that cannot be
 * reached: the same attempt is begun anew, by begin_again, when it may go well; finish ends it should it be called off
 * meanwhile. */
typedef void activity_step(struct activity *a);
/* Did it fail for want of room, or its last attempt for want of the store? After its own files are gone. Runs in the pool. */
bool worker_activity_lacks_room(const struct activity *a);
void worker_activity_wait_for_room(struct activity *a, activity_step *begin_again, activity_step *finish);

/* activity_folder.c: may block. Makes a->dir, with an empty scratch/ in it. */
int worker_folder_take(struct activity *a);
/* After its last process: what it left is removed. a->dir is NULL then. */
void worker_folder_give(struct activity *a);
void worker_folder_release(struct activity_runner *r);

/* activity_io.c: may block; run by the pool, one at a time for one activity. */
void worker_activity_prepare(struct activity *a);
void worker_activity_collect(struct activity *a);

#endif
