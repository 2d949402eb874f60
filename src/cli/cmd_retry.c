/* ff runs retry: the same workflow, script, target and parameters again, under the same run id. */
#include "api/service/control.h"
#include "api/service/run.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "cli/cmd_run.h"
#include "cli/follow.h"

#include <stdio.h>

static int retry(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_free_ char *id = NULL;
    bool detach = args_has(a, "detach");
    follow_prepare(app, args_has(a, "live"));
    int r = app_open(app, detach ? APP_ENGINE : APP_WORKER, &err);
    if (r == 0)
        r = run_resolve(&app->service, args_pos(a, 0), &id, &err);
    if (r == 0)
        r = run_retry(&app->service, id, NULL, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (!detach)
        return follow_run(app, id);
    if (!app->remote && hold_in_background(app, &err) < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, json_pack("{s:s, s:s}", "run_id", id, "status", "RUNNING"));
    else
        printf("%s\n", id);
    return EXIT_OK;
}

static const struct opt options[] = {
    {"detach", 'd', NULL, "start it and leave; a holder in the background carries it on"},
    {"live", 'l', NULL, "print findings and logs as they come"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_runs_retry = {
    .remote = true,
    .name = "retry",
    .summary = "Run it again: same script, target and parameters, a new execution",
    .usage = "ID [-d]",
    .examples = "  ff runs retry 01K9ABCDEF",
    .opts = options,
    .min_args = 1,
    .max_args = 1,
    .run = retry,
};
