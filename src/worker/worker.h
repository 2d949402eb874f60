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
 * {vertical, isolation, target, resources, network, run}. */
#define WORKER_CONTEXT_HEADER "ff-context"
/* The memo field with the store reference of a run's script. */
#define WORKER_MEMO_SCRIPT "ff_script"

struct worker_event {
    const char *workflow_id;
    const char *module;
    int attempt;
    /* "started" "progress" "log" "finding" "stats" "completed" "failed" "script_log" */
    const char *type;
    const json_t *data; /* borrowed; may be NULL */
};

/* A workflow script by type, for child workflows: *ret_script (owned by the caller) is its text. */
typedef int worker_find_script(void *arg, const char *workflow_type, char **ret_script, size_t *ret_len,
                               struct err *err);

struct worker_options {
    struct engine *engine;
    struct store *store;
    struct workspaces *workspaces;
    struct spawner *spawner;             /* NULL: workflow tasks only */
    const struct module_registry *modules;
    const char *name_space;              /* NULL: "default" */
    const char *const *verticals;        /* NULL-terminated; queues "<vertical>-queue" */
    const char *scratch_dir;             /* host folder below which activities get their scratch */
    int workflow_polls;                  /* tasks asked for at a time, a queue; 0: 8 */
    int activity_slots;                  /* activities at a time, a vertical; 0: number of CPUs */
    int workflow_cache;                  /* cached runs; 0: 512 */
    int64_t heartbeat_ms;                /* how often a running activity heartbeats at most; 0: 1,000 */
    worker_find_script *find_script;
    void *find_script_arg;
    /* Called from the worker's threads; must be quick. May be NULL. */
    void (*on_event)(void *arg, const struct worker_event *e);
    void *on_event_arg;
};

struct worker;

int worker_start(const struct worker_options *o, struct worker **ret, struct err *err);
/* Polls one more vertical from now on. Known ones are fine. Any thread. */
int worker_add_vertical(struct worker *w, const char *vertical, struct err *err);
/* Stops polling (draining the engine's polls), ends what runs (it is run again elsewhere or later), and waits for all of it.
 * NULL is fine. */
void worker_stop(struct worker *w);

/* "<vertical>-queue"; the caller frees; NULL when memory is out. */
char *worker_queue_name(const char *vertical);

#endif
