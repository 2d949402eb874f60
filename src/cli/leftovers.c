#include "cli/leftovers.h"

#include "api/service/runs.h"
#include "base/log.h"
#include "base/units.h"
#include "os/clock.h"

#include <stdio.h>
#include <time.h>

static void forget(void *arg, const struct run_item *run)
{
    struct app *app = arg;
    struct err err = {0};
    if (workspaces_forget(app->workspaces, run->execution_id, &err) < 0)
        log_info("private workspace: %s", err.msg);
}

int leftovers_forget(struct app *app, int64_t *io_since_ns, struct err *err)
{
    ProtobufCBinaryData from = {0};
    char query[80], when[32];
    int64_t now = os_now_ns();
    time_t s = (time_t)(*io_since_ns / NS_PER_S);
    struct tm tm;
    if (!app->workspaces)
        return 0;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&s, &tm));
    snprintf(query, sizeof query, "CloseTime >= '%s'", when);
    int r = runs_list(&app->service, query, SIZE_MAX, &from, forget, app, err);
    if (r == 0)
        *io_since_ns = now;
    return r;
}
