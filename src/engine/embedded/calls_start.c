/* StartWorkflowExecution and SignalWithStartWorkflowExecution. */
#include "codec/pbx.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/close.h"
#include "engine/embedded/retry.h"
#include "engine/embedded/run.h"
#include "engine/embedded/signal.h"
#include "engine/embedded/start.h"

#include <string.h>

static int check_id(const char *value, const char *what, struct err *err)
{
    if (!*value)
        return err_set(err, ERR_INVALID, "%s is not set", what);
    if (strlen(value) > ENGINE_ID_MAX)
        return err_set(err, ERR_INVALID, "%s is longer than %d bytes", what, ENGINE_ID_MAX);
    return 0;
}

static int check_size(const void *message, const char *what, struct err *err)
{
    size_t n = message ? protobuf_c_message_get_packed_size(message) : 0;
    return n > ENGINE_PAYLOAD_MAX ? err_set(err, ERR_INVALID, "%s exceeds size limit: %zu bytes, at most %zu",
                                            what, n, ENGINE_PAYLOAD_MAX)
                                  : 0;
}

static int check_start(const struct start *p, const char *cron, struct err *err)
{
    int r = check_id(p->workflow_id, "workflow id", err);
    if (r == 0)
        r = check_id(p->workflow_type, "workflow type", err);
    if (r == 0)
        r = check_id(p->task_queue, "task queue", err);
    if (r == 0 && strlen(p->request_id) > ENGINE_ID_MAX)
        r = err_set(err, ERR_INVALID, "request id is longer than %d bytes", ENGINE_ID_MAX);
    if (r == 0 && (p->execution_timeout_ns < 0 || p->run_timeout_ns < 0 || p->task_timeout_ns < 0 ||
                   p->delay_ns < 0))
        r = err_set(err, ERR_INVALID, "a timeout is negative");
    if (r == 0 && *cron)
        r = err_set(err, ERR_UNIMPLEMENTED, "cron schedules are not supported");
    if (r == 0)
        r = retry_check(p->retry_policy, err);
    if (r == 0)
        r = check_size(p->input, "input", err);
    if (r == 0)
        r = check_size(p->memo, "memo", err);
    if (r == 0)
        r = check_size(p->header, "header", err);
    return r;
}

/* Both requests have these fields under the same names. */
#define START_OF(c, q)                                                                             \
    {.ns = (c)->ns,                                                                                \
     .workflow_id = (q)->workflow_id,                                                              \
     .workflow_type = (q)->workflow_type ? (q)->workflow_type->name : "",                          \
     .task_queue = (q)->task_queue ? (q)->task_queue->name : "",                                   \
     .identity = (q)->identity,                                                                    \
     .request_id = (q)->request_id,                                                                \
     .input = (q)->input,                                                                          \
     .execution_timeout_ns = pbx_duration_ns((q)->workflow_execution_timeout),                     \
     .run_timeout_ns = pbx_duration_ns((q)->workflow_run_timeout),                                 \
     .task_timeout_ns = pbx_duration_ns((q)->workflow_task_timeout),                               \
     .delay_ns = pbx_duration_ns((q)->workflow_start_delay),                                       \
     .retry_policy = (q)->retry_policy,                                                            \
     .memo = (q)->memo,                                                                            \
     .search_attributes = (q)->search_attributes,                                                  \
     .header = (q)->header,                                                                        \
     .user_metadata = (q)->user_metadata}

static void terminate_for_start(struct eng *e, struct run *run, const char *identity)
{
    if (run_is_open(run))
        close_terminated(e, run, "TerminateIfRunning WorkflowIdReusePolicy", NULL, identity);
}

void call_start(struct eng *e, struct call *c)
{
    const Pb__StartWorkflowExecutionRequest *q = (const void *)c->req;
    struct start p = START_OF(c, q);
    struct err err = {0};
    struct run *run;
    if (check_start(&p, q->cron_schedule, &err) < 0) {
        call_fail_err(e, c, &err);
        return;
    }
    p.continued_failure = q->continued_failure;
    p.last_result = q->last_completion_result;
    enum start_verdict v = start_check(e, c->ns, p.workflow_id, p.request_id,
                                       q->workflow_id_reuse_policy, q->workflow_id_conflict_policy,
                                       &run, &err);
    if (v == START_REFUSED) {
        call_fail_err(e, c, &err);
        return;
    }
    if (v == START_TERMINATE)
        terminate_for_start(e, run, q->identity);
    /* The same request again is answered as the first one was. */
    bool started = v != START_EXISTING ||
                   (*p.request_id && strcmp(run->s->start_request_id, p.request_id) == 0);
    if (v != START_EXISTING)
        run = start_run(e, &p);
    Pb__StartWorkflowExecutionResponse *r = (void *)call_new_response(c);
    if (r && run) {
        str_set(e, &r->run_id, run->s->run_id);
        str_set(e, &r->first_execution_run_id, run->s->first_run_id);
        r->started = started;
        r->status = run->s->status;
    }
    call_answer(e, c, (ProtobufCMessage *)r);
}

void call_signal_with_start(struct eng *e, struct call *c)
{
    const Pb__SignalWithStartWorkflowExecutionRequest *q = (const void *)c->req;
    struct start p = START_OF(c, q);
    struct err err = {0};
    struct run *run = NULL;
    int r = check_start(&p, q->cron_schedule, &err);
    if (r == 0)
        r = check_id(q->signal_name, "signal name", &err);
    if (r == 0)
        r = check_size(q->signal_input, "signal input", &err);
    /* An open run is signalled, unless the policy wants it ended. */
    Pb__WorkflowIdConflictPolicy conflict =
        q->workflow_id_conflict_policy
            ? q->workflow_id_conflict_policy
            : PB__WORKFLOW_ID_CONFLICT_POLICY__WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING;
    enum start_verdict v = START_REFUSED;
    if (r == 0)
        v = start_check(e, c->ns, p.workflow_id, "", q->workflow_id_reuse_policy, conflict, &run, &err);
    if (v == START_REFUSED) {
        call_fail_err(e, c, &err);
        return;
    }
    if (v == START_TERMINATE)
        terminate_for_start(e, run, q->identity);
    if (v != START_EXISTING)
        run = start_run(e, &p);
    struct signal sig = {.name = q->signal_name, .identity = q->identity,
                         .request_id = q->request_id, .input = q->signal_input,
                         .header = q->header};
    Pb__SignalWithStartWorkflowExecutionResponse *resp = (void *)call_new_response(c);
    if (run && resp) {
        signal_run(e, run, &sig);
        str_set(e, &resp->run_id, run->s->run_id);
        str_set(e, &resp->first_execution_run_id, run->s->first_run_id);
        resp->started = v != START_EXISTING;
    }
    call_answer(e, c, (ProtobufCMessage *)resp);
}
