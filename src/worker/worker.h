/* The worker: joins the engine to the workflow runtime, the modules and the sandbox.
 *
 * It polls the task queues of its verticals, replays workflows on one thread, and runs activities (each in a
 * sandbox of its own) from the event loop of another. It holds nothing that matters: whatever it was doing when
 * it died, the engine hands out again. */
#ifndef FF_WORKER_WORKER_H
#define FF_WORKER_WORKER_H

#include "engine/engine.h"
#include "module/registry.h"
#include "sandbox/sandbox.h"
#include "store/store.h"
#include "store/workspace.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* The header field of a workflow and of its activities that carries the run's settings as JSON:
 * {vertical, isolation, target, resources, network, network_granted, run}. */
#define WORKER_CONTEXT_HEADER "ff-context"
/* The memo field with the store reference of a run's script. */
#define WORKER_MEMO_SCRIPT "ff_script"
/* Beside it, of a run that another client started: {context, parameters}, what it did not bring along. */
#define WORKER_MEMO_DEFAULTS "ff_defaults"

struct worker_event {
    const char *name_space;
    const char *workflow_id;
    const char *module;
    int attempt;
    /* "started" "progress" "log" "finding" "stats" "completed" "failed" "script_log"; "usage": {cpu_ms} of an
     * attempt's processes, however it ended; "no_space": the disk is full,
     * and what was to be written waits for room (of the engine's own, with an empty workflow_id) */
    const char *type;
    const json_t *data; /* borrowed; may be NULL */
};

/* What a toolbox has for a workflow type. The members are the caller's. */
struct worker_script {
    char *text;
    size_t len;
    json_t *defaults;   /* of a run that another client started: see WORKER_MEMO_DEFAULTS; else NULL */
    struct err refused; /* with a code: its parameters do not fit the workflow */
};

/* For child workflows, and with foreign for runs that other clients started: given are their parameters, NULL: none. */
typedef int worker_find_script(void *arg, const char *workflow_type, bool foreign, const json_t *given, struct worker_script *ret,
                               struct err *err);

struct worker_options {
    struct engine *engine;
    struct store *store;
    struct workspaces *workspaces;
    struct spawner *spawner;             /* NULL: workflow tasks only */
    const struct module_registry *modules; /* NULL: none, as for workflow tasks only */
    /* A run's context may name folders of modules ("modules": what was said there, store/said.h), which are looked at first: so
     * a process that was started with another toolbox can carry the run on. Only for an engine of this machine. */
    bool run_modules;
    enum sandbox_network network_max;    /* the most that an activity gets here, whatever its run's context says */
    struct sandbox_limits limits_max;    /* the same of memory, disk and pids; 0: no bound */
    bool disk_by_room;                   /* limits_max.disk_bytes is half of what is free when the activity begins */
    const char *name_space;              /* NULL: "default" */
    const char *identity;                /* NULL: "PID@HOST" */
    const char *const *verticals;        /* NULL-terminated; queues "<vertical>-queue" */
    const char *tools;                   /* for fuzzing modules: see module/tools.h; NULL: none */
    const char *scratch_dir;             /* host folder below which activities get their scratch */
    int workflow_polls;                  /* tasks asked for at a time, a queue; 0: 8, and workflow_extra 24 */
    /* So many more while tasks come one after the other and take less than 2 ms on average: one that a poll waits for is
     * handed out by the transaction that made it, and need not be written as waiting first. 0: none. */
    int workflow_extra;
    int activity_slots;                  /* activities at a time, a vertical; 0: number of CPUs and one */
    /* So many more, a vertical, while activities take less than brief_ms on average: an engine that is far away takes long to
     * hand out a task, and what is brief takes little of this machine. Those that are running when it turns out otherwise run
     * on. 0: none. */
    int activity_extra;
    int64_t brief_ms;
    int workflow_cache;                  /* cached runs; 0: 512 */
    /* How often a running activity heartbeats at most: what an observer of the run in another process sees of its progress,
     * and how soon it learns that it is cancelled. 0: 1,000. Never later than four fifths of the activity's own timeout. */
    int64_t heartbeat_ms;
    /* The heartbeat timeout of an activity whose script names none, if it is a module known here: a worker that died is then
     * noticed by an engine that cannot see it die. 0: none. */
    int64_t heartbeat_timeout_ms;
    /* The engine does not see workers go: what runs here when the worker stops is given back as a failed attempt, where its
     * retry policy allows another. Else it is let go, and the engine hands it out again. */
    bool give_back;
    /* Takes secrets out of what a module says, in place: a finding, a log line. Any thread. NULL: nobody does. */
    int (*hide)(json_t *said, struct err *err);
    const char *version;                 /* of the program, for the history; NULL: not said */
    worker_find_script *find_script;
    void *find_script_arg;
    /* Called from the worker's threads; must be quick. May be NULL. */
    void (*on_event)(void *arg, const struct worker_event *e);
    void *on_event_arg;
};

struct worker;

int worker_start(const struct worker_options *o, struct worker **ret, struct err *err);
/* What its polls carry. */
const char *worker_identity(const struct worker *w);
/* Activities at a time: how many there may be, of all verticals, and how many there are. Any thread, until worker_stop(). */
void worker_slots(struct worker *w, int *ret_all, int *ret_busy);
/* The activities of that run which are here heartbeat now: they may have to end. Any thread, until worker_stop(). */
void worker_ask(struct worker *w, const char *run_id);
/* Polls one more vertical from now on. Known ones are fine. Any thread. */
int worker_add_vertical(struct worker *w, const char *vertical, struct err *err);
/* Stops polling (draining the engine's polls), ends what runs (it is run again elsewhere or later), and waits for all of it.
 * NULL is fine. */
void worker_stop(struct worker *w);

/* "<vertical>-queue"; the caller frees; NULL when memory is out. */
char *worker_queue_name(const char *vertical);

#endif
