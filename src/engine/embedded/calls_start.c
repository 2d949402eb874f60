/* StartWorkflowExecution and SignalWithStartWorkflowExecution. */
#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/attribute.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/close.h"
#include "engine/embedded/cron.h"
#include "engine/embedded/dispatch.h"
#include "engine/embedded/retry.h"
#include "engine/embedded/run.h"
#include "engine/embedded/signal.h"
#include "engine/embedded/start.h"
#include "engine/embedded/wtask.h"

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

/* A schedule's first run waits for its time too. */
static int set_cron(struct eng *e, struct start *p, const char *schedule, struct err *err)
{
    int64_t at;
    if (!*schedule)
        return 0;
    if (p->delay_ns)
        return err_set(err, ERR_INVALID, "CronSchedule and WorkflowStartDelay may not be used together.");
    int r = cron_due(schedule, e->now, e->now, &at, err);
    if (r < 0)
        return r;
    if (at == INT64_MAX)
        return err_set(err, ERR_INVALID, "invalid CronSchedule: it is never due");
    p->delay_ns = at - e->now;
    p->cron_schedule = schedule;
    return 0;
}

static int check_start(struct eng *e, struct start *p, const char *cron, struct err *err)
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
    if (r == 0)
        r = set_cron(e, p, cron, err);
    if (r == 0)
        r = retry_check(p->retry_policy, err);
    if (r == 0)
        r = check_size(p->input, "input", err);
    if (r == 0)
        r = check_size(p->memo, "memo", err);
    if (r == 0)
        r = check_size(p->header, "header", err);
    if (r == 0)
        r = attributes_check(e, p->ns, p->search_attributes, err);
    return r;
}

/* Both requests have these fields under the same names. */
#define START_OF(namespace_id, q)                                                                  \
    {.ns = namespace_id,                                                                              \
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

static void terminate_for_start(struct eng *e, struct run *run)
{
    if (run_is_open(run))
        close_terminated(e, run, "TerminateIfRunning WorkflowIdReusePolicy", NULL, "history-service");
}

enum start_verdict start_from_request(struct eng *e, int64_t ns, const Pb__StartWorkflowExecutionRequest *q,
                                      struct run **ret, bool *ret_started, struct err *err)
{
    struct start p = START_OF(ns, q);
    *ret = NULL;
    *ret_started = false;
    if (check_start(e, &p, q->cron_schedule, err) < 0)
        return START_REFUSED;
    p.continued_failure = q->continued_failure;
    p.last_result = q->last_completion_result;
    p.eager = q->request_eager_execution && !p.delay_ns;
    enum start_verdict v = start_check(e, ns, p.workflow_id, p.request_id, q->workflow_id_reuse_policy,
                                       q->workflow_id_conflict_policy, ret, err);
    if (v == START_REFUSED)
        return v;
    if (v == START_TERMINATE)
        terminate_for_start(e, *ret);
    /* The same request again is answered as the first one was. */
    *ret_started = v != START_EXISTING ||
                   (*p.request_id && strcmp((*ret)->s->start_request_id, p.request_id) == 0);
    if (v != START_EXISTING)
        *ret = start_run(e, &p);
    return v;
}

Pb__StartWorkflowExecutionResponse *start_response(struct eng *e, const struct run *run, bool started)
{
    Pb__StartWorkflowExecutionResponse *r = mem_alloc(sizeof *r);
    if (!r)
        return NULL;
    pb__start_workflow_execution_response__init(r);
    if (run) {
        str_set(e, &r->run_id, run->s->run_id);
        str_set(e, &r->first_execution_run_id, run->s->first_run_id);
        r->started = started;
        r->status = run->s->status;
    }
    return r;
}

Pb__ErrorDetailWorkflowExecutionAlreadyStarted *start_detail(struct eng *e, const struct run *run)
{
    Pb__ErrorDetailWorkflowExecutionAlreadyStarted *d = mem_alloc(sizeof *d);
    if (!d)
        return NULL;
    pb__error_detail_workflow_execution_already_started__init(d);
    str_set(e, &d->start_request_id, run->s->start_request_id);
    str_set(e, &d->run_id, run->s->run_id);
    str_set(e, &d->first_execution_run_id, run->s->first_run_id);
    return d;
}

/* The start is refused; run is what was there, if anything. */
static void fail_start(struct eng *e, struct call *c, const struct run *run, const struct err *err)
{
    call_fail_err(e, c, err);
    if (run && err->code == ERR_EXISTS)
        call_detail(c, start_detail(e, run));
}

/* The first workflow task goes with the answer. */
static void answer_with_task(struct eng *e, struct call *c, struct run *run)
{
    const char *identity = ((const Pb__StartWorkflowExecutionRequest *)c->req)->identity;
    c->started = (ProtobufCMessage *)start_response(e, run, true);
    if (!c->started) {
        call_answer(e, c, NULL);
        return;
    }
    guests_taker(e, c, identity);
    wtask_start(e, run, identity);
    dispatch_workflow_task(e, c, run, false, 0, 0);
}

void call_start(struct eng *e, struct call *c)
{
    const Pb__StartWorkflowExecutionRequest *q = (const void *)c->req;
    struct run *run;
    struct err err = {0};
    bool started;
    enum start_verdict v = start_from_request(e, c->ns, q, &run, &started, &err);
    bool fresh = (v == START_NEW || v == START_TERMINATE) && run;
    if (v == START_REFUSED)
        fail_start(e, c, run, &err);
    else if (fresh && q->request_eager_execution && wtask_state(run) == WTASK_SCHEDULED)
        answer_with_task(e, c, run);
    else
        call_answer(e, c, (ProtobufCMessage *)start_response(e, run, started));
}

void call_signal_with_start(struct eng *e, struct call *c)
{
    const Pb__SignalWithStartWorkflowExecutionRequest *q = (const void *)c->req;
    struct start p = START_OF(c->ns, q);
    struct err err = {0};
    struct run *run = NULL;
    int r = check_start(e, &p, q->cron_schedule, &err);
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
        fail_start(e, c, run, &err);
        return;
    }
    if (v == START_TERMINATE)
        terminate_for_start(e, run);
    struct signal sig = {.name = q->signal_name, .identity = q->identity,
                         .request_id = q->request_id, .input = q->signal_input,
                         .header = q->header};
    p.signal = &sig;
    if (v == START_EXISTING)
        signal_run(e, run, &sig);
    else
        run = start_run(e, &p);
    Pb__SignalWithStartWorkflowExecutionResponse *resp = (void *)call_new_response(c);
    if (run && resp) {
        str_set(e, &resp->run_id, run->s->run_id);
        str_set(e, &resp->first_execution_run_id, run->s->first_run_id);
        resp->started = v != START_EXISTING;
    }
    call_answer(e, c, (ProtobufCMessage *)resp);
}
