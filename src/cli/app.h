/* What the commands share: settings, the state's parts opened when needed, and the one way to fail. */
#ifndef FF_CLI_APP_H
#define FF_CLI_APP_H

#include "cli/cli.h"
#include "cli/config.h"
#include "engine/engine.h"
#include "module/registry.h"
#include "sandbox/sandbox.h"
#include "store/store.h"
#include "store/workspace.h"
#include "toolbox/toolbox.h"
#include "worker/worker.h"

/* Parts of the state. The spawner is forked before the first thread, so it is named in the first app_open(). */
enum app_parts {
    APP_SPAWNER = 1,
    APP_STORE = 2,
    APP_ENGINE = 4,
    APP_WORKER = 8, /* with all of the above */
};

struct app {
    const struct args *args;
    bool json, quiet;
    bool output_failed; /* a document could not be printed */
    int verbose;
    struct config config;
    char *state_dir, *tmp_dir;
    struct spawner *spawner;
    struct store *store;
    struct workspaces *workspaces;
    struct engine *engine;
    struct module_registry *modules;
    struct toolbox *toolbox;
    struct worker *worker;
    void (*on_event)(void *arg, const struct worker_event *e); /* of the worker; set before app_open() */
    void *on_event_arg;
};

void app_init(struct app *app, const struct args *args);
int app_configure(struct app *app, struct err *err);
void app_release(struct app *app);

/* Opens what is not open yet. */
int app_open(struct app *app, unsigned parts, struct err *err);
/* Toolbox and modules: no state needed. */
int app_open_toolbox(struct app *app, struct err *err);
/* Stops the worker and leaves the state to others. */
void app_close_state(struct app *app);

/* Prints the error (to stderr, or as JSON to stdout with --json) and gives the exit status that belongs to it. */
int app_fail(struct app *app, const struct err *err);
/* The same for a usage error of a command's own. */
int app_usage(struct app *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints a JSON document and a newline on stdout; takes the reference. */
void app_print_json(struct app *app, json_t *j);

#endif
