/* What the commands share: settings, the state's parts opened when needed, and the one way to fail. */
#ifndef FF_CLI_APP_H
#define FF_CLI_APP_H

#include "api/access/quota.h"
#include "api/service/service.h"
#include "cli/cli.h"
#include "cli/config.h"
#include "engine/engine.h"
#include "module/registry.h"
#include "sandbox/sandbox.h"
#include "store/store.h"
#include "store/workspace.h"
#include "toolbox/toolbox.h"
#include "worker/worker.h"

#include <stdatomic.h>

/* Parts of the state. The spawner is forked before the first thread, so it is named in the first app_open(). */
enum app_parts {
    APP_SPAWNER = 1,
    APP_STORE = 2,
    APP_ENGINE = 4,
    APP_WORKER = 8, /* with all of the above */
};

struct share;

struct app {
    const struct args *args;
    bool json, quiet;
    bool stays; /* this process ends when it is told to, not when its work is done; set before app_open() */
    bool patient; /* waits a while for a cluster that is late; set before app_open(), after follow_prepare() */
    const char *const *verticals; /* of the worker; NULL: all; set before app_open() */
    bool makes_room;    /* what is kept for that is given up, if need be (os/reserve.h) */
    bool remote;        /* a server is asked; there is no state */
    bool following;     /* a run: signals are looked at by whoever follows it */
    const struct gate_options *own_gate; /* what a server does not know of: files of this machine; NULL: nothing */
    bool read_only;     /* the state: see readonly.h */
    bool output_failed; /* a document could not be printed */
    int verbose;
    struct config config;
    struct quotas quotas;
    char *state_dir, *tmp_dir;
    char *tools; /* folders for fuzzing: module/tools.h */
    char *fetch_dir; /* for what a target's URL means, once it is needed */
    int tmp_fd; /* keeps tmp_dir; -1: none */
    struct client *client; /* of the server */
    struct spawner *spawner;
    atomic_bool works; /* a worker is here: what it has begun goes with the spawner */
    struct store *store;
    struct workspaces *workspaces;
    struct share *share;   /* the embedded engine's, with what serves it; NULL: another engine, or none */
    struct engine *engine;
    struct module_registry *modules;
    json_t *module_dirs; /* those of them that not every installation has: array of absolute paths */
    struct toolbox *toolbox;
    struct worker *worker; /* of the namespace that is set */
    struct namespaces *namespaces; /* workers of the others; NULL: none are wanted */
    struct service at_work; /* what the worker's threads read of it */
    struct service service; /* of the parts that are open */
    char *suppressions;
    void (*on_event)(void *arg, const struct worker_event *e); /* of the worker; set before app_open() */
    void *on_event_arg;
};

extern const char *const app_verticals[]; /* that ship; NULL-terminated */

void app_init(struct app *app, const struct args *args);
int app_configure(struct app *app, struct err *err);
void app_release(struct app *app);

/* Opens what is not open yet. */
int app_open(struct app *app, unsigned parts, struct err *err);
/* Toolbox and modules: no state needed. */
int app_open_toolbox(struct app *app, struct err *err);
/* A worker for one more namespace; after app_open() with APP_WORKER. */
int app_start_worker(struct app *app, const char *name_space, struct worker **ret, struct err *err);
/* Those of the settings; any time. After an error those of before hold. */
int app_set_quotas(struct app *app, const struct config *c, struct err *err);
/* The engine stays open. */
void app_stop_worker(struct app *app);
/* Stops the worker and leaves the state to others. */
void app_close_state(struct app *app);

/* Prints the error (to stderr, or as JSON to stdout with --json) and gives the exit status that belongs to it. */
int app_fail(struct app *app, const struct err *err);
/* The same for a usage error of a command's own. */
int app_usage(struct app *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints a JSON document and a newline on stdout; takes the reference. */
void app_print_json(struct app *app, json_t *j);

#endif
