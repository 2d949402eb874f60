/* ff hold: holds the engine until all unfinished runs of the state are done and no other process uses it. What `ff run -d`
 * leaves behind. */
#include "cli/cmd_run.h"
#include "cli/follow.h"
#include "cli/namespaces.h"
#include "cli/share.h"
#include "cli/background.h"
#include "cli/leftovers.h"
#include "base/units.h"
#include "os/clock.h"

#define LOOK_MS 200
#define FORGET_LOOKS 25                      /* workspaces are looked for so seldom */

static const char *const hold_words[] = {"hold", NULL};

struct count {
    struct engine *engine;
    int64_t running;
};

static int count_in(void *arg, const char *name, struct err *err)
{
    struct count *c = arg;
    Pb__CountWorkflowExecutionsRequest req = PB__COUNT_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    ProtobufCMessage *m;
    req.namespace_ = (char *)(uintptr_t)name;
    req.query = (char *)"ExecutionStatus = 'Running'";
    int r = engine_call_sync(c->engine, ENGINE_COUNT, &req.base, 0, &m, err);
    if (r == -ERR_NOT_FOUND) /* removed meanwhile */
        return 0;
    if (r == 0) {
        c->running += ((Pb__CountWorkflowExecutionsResponse *)m)->count;
        engine_free_message(m);
    }
    return r;
}

/* Of all namespaces. */
static int count_running(struct app *app, int64_t *ret, struct err *err)
{
    struct count c = {.engine = app->engine};
    int r = namespaces_each(app, count_in, &c, err);
    *ret = c.running;
    return r;
}

/* A run that was started by a guest just when we left belongs to nobody: once more, then. */
static int look_back(struct app *app, struct err *err)
{
    int64_t running = 0;
    app_close_state(app);
    int r = app_open(app, APP_ENGINE, err);
    if (r == 0)
        r = count_running(app, &running, err);
    app_close_state(app);
    return r < 0 || running == 0 ? r : background_start(app, "holder", hold_words, NULL, err);
}

static int hold(struct app *app, const struct args *a)
{
    struct err err = {0};
    follow_prepare(app, false);
    app->stays = true;
    if (app_open(app, APP_WORKER, &err) < 0 || namespaces_open(app, &err) < 0)
        return app_fail(app, &err);
    background_ready(args_get(a, "ready-fd"));
    int64_t since = os_now_ns() - LEFTOVERS_BEFORE_NS;
    unsigned looks = 0;
    for (int64_t running = 1; !follow_interrupted(); os_sleep_ms(LOOK_MS)) {
        if (count_running(app, &running, &err) < 0)
            return app_fail(app, &err);
        if ((running == 0 || ++looks % FORGET_LOOKS == 0) && leftovers_forget(app, &since, &err) < 0)
            return app_fail(app, &err);
        namespaces_look(app->namespaces);
        if (running == 0 && (!app->share || !share_guests(app->share)))
            break;
    }
    bool told = follow_interrupted();
    return !told && look_back(app, &err) < 0 ? app_fail(app, &err) : EXIT_OK;
}

int hold_in_background(struct app *app, struct err *err)
{
    /* A holder that stays carries the run on; with another engine its own workers do. */
    bool carried = !app->share || (!share_holds(app->share) && share_stays(app->share));
    app_close_state(app);
    return carried ? 0 : background_start(app, "holder", hold_words, NULL, err);
}

static const struct opt options[] = {
    {"ready-fd", 0, "FD", "written to when the engine is held"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_hold = {
    .name = "hold",
    .summary = "Hold the engine until all unfinished runs are done",
    .usage = "",
    .opts = options,
    .hidden = true,
    .run = hold,
};
