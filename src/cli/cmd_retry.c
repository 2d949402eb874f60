/* ff runs retry: the same workflow, script, target and parameters again, under the same run id. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "cli/cmd_run.h"
#include "cli/follow.h"
#include "cli/rundoc.h"
#include "codec/pbx.h"
#include "os/clock.h"

#include <stdio.h>

/* The first event of the run's last execution. */
static int read_start(struct app *app, const char *id, ProtobufCMessage **ret,
                      const Pb__WorkflowExecutionStartedEventAttributes **ret_started, struct err *err)
{
    Pb__GetWorkflowExecutionHistoryRequest req = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    req.namespace_ = (char *)"default";
    ex.workflow_id = (char *)id;
    req.execution = &ex;
    req.maximum_page_size = 1;
    int r = engine_call_sync(app->engine, ENGINE_GET_HISTORY, &req.base, 0, ret, err);
    if (r < 0)
        return r;
    const Pb__History *h = ((Pb__GetWorkflowExecutionHistoryResponse *)*ret)->history;
    *ret_started = h && h->n_events ? h->events[0]->workflow_execution_started_event_attributes : NULL;
    if (*ret_started)
        return 0;
    engine_free_message(*ret);
    return err_set(err, ERR_CORRUPT, "run '%s' has no first event", id);
}

static int start_again(struct app *app, const char *id, struct err *err)
{
    ProtobufCMessage *m;
    const Pb__WorkflowExecutionStartedEventAttributes *s;
    int r = read_start(app, id, &m, &s, err);
    if (r < 0)
        return r;
    Pb__StartWorkflowExecutionRequest req = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    char request_id[37];
    os_uuid(request_id);
    req.namespace_ = (char *)"default";
    req.workflow_id = (char *)id;
    req.request_id = request_id;
    req.identity = (char *)"ff";
    req.workflow_type = s->workflow_type;
    req.task_queue = s->task_queue;
    req.input = s->input;
    req.memo = s->memo;
    req.header = s->header;
    req.workflow_execution_timeout = s->workflow_execution_timeout;
    req.workflow_id_reuse_policy = PB__WORKFLOW_ID_REUSE_POLICY__WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE;
    r = engine_call_sync(app->engine, ENGINE_START_WORKFLOW, &req.base, 0, NULL, err);
    engine_free_message(m);
    if (r == -ERR_EXISTS) {
        err_set(err, ERR_STATE, "run '%s' is still running", id);
        err_hint(err, "'ff runs wait %s' follows it, 'ff runs cancel %s' stops it", id, id);
        return -ERR_STATE;
    }
    return r;
}

static int retry(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_free_ char *id = NULL;
    bool detach = args_has(a, "detach");
    follow_prepare(app, args_has(a, "live"));
    int r = app_open(app, detach ? APP_ENGINE : APP_WORKER, &err);
    if (r == 0)
        r = run_resolve(app, args_pos(a, 0), &id, &err);
    if (r == 0)
        r = start_again(app, id, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (!detach)
        return follow_run(app, id);
    app_close_state(app);
    if (hold_in_background(app, &err) < 0)
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
    .name = "retry",
    .summary = "Run it again: same script, target and parameters, a new execution",
    .usage = "ID [-d]",
    .examples = "  ff runs retry 01K9ABCDEF",
    .opts = options,
    .min_args = 1,
    .max_args = 1,
    .run = retry,
};
