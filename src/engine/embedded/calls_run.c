/* Calls that do something to one run from outside. */
#include "base/mem.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/close.h"
#include "engine/embedded/query.h"
#include "engine/embedded/reset.h"
#include "engine/embedded/run.h"
#include "engine/embedded/signal.h"
#include "engine/embedded/wtask.h"

#include <string.h>

/* The open run a request means; NULL: the call is answered. */
static struct run *open_run(struct eng *e, struct call *c, const Pb__WorkflowExecution *x)
{
    struct run *run;
    struct err err = {0};
    if (run_find_execution(e, c->ns, x, true, &run, &err) < 0) {
        call_fail_err(e, c, &err);
        return NULL;
    }
    return run;
}

static bool same_chain(struct eng *e, struct call *c, const struct run *run, const char *first_run_id)
{
    if (!*first_run_id || strcmp(run->s->first_run_id, first_run_id) == 0)
        return true;
    call_fail(e, c, ERR_NOT_FOUND, "workflow execution not found: its first run id is another");
    return false;
}

void call_signal(struct eng *e, struct call *c)
{
    const Pb__SignalWorkflowExecutionRequest *q = (const void *)c->req;
    if (!*q->signal_name || strlen(q->signal_name) > ENGINE_ID_MAX) {
        call_fail(e, c, ERR_INVALID, "signal name is not set or longer than %d bytes", ENGINE_ID_MAX);
        return;
    }
    size_t n = q->input ? protobuf_c_message_get_packed_size(&q->input->base) : 0;
    if (n > ENGINE_PAYLOAD_MAX) {
        call_fail(e, c, ERR_INVALID, "signal input exceeds size limit: %zu bytes, at most %zu", n,
                  ENGINE_PAYLOAD_MAX);
        return;
    }
    struct run *run = open_run(e, c, q->workflow_execution);
    if (!run)
        return;
    struct signal sig = {.name = q->signal_name, .identity = q->identity,
                         .request_id = q->request_id, .input = q->input, .header = q->header};
    signal_run(e, run, &sig);
    call_answer_empty(e, c);
}

void call_request_cancel(struct eng *e, struct call *c)
{
    const Pb__RequestCancelWorkflowExecutionRequest *q = (const void *)c->req;
    struct run *run;
    struct err err = {0};
    if (run_find_execution(e, c->ns, q->workflow_execution, false, &run, &err) < 0) {
        call_fail_err(e, c, &err);
        return;
    }
    if (!run_is_open(run)) { /* what was asked for is so */
        call_answer_empty(e, c);
        return;
    }
    if (!same_chain(e, c, run, q->first_execution_run_id))
        return;
    struct cancel cancel = {.reason = q->reason, .identity = q->identity,
                            .request_id = q->request_id};
    cancel_run(e, run, &cancel);
    call_answer_empty(e, c);
}

void call_terminate(struct eng *e, struct call *c)
{
    const Pb__TerminateWorkflowExecutionRequest *q = (const void *)c->req;
    struct run *run = open_run(e, c, q->workflow_execution);
    if (!run || !same_chain(e, c, run, q->first_execution_run_id))
        return;
    close_terminated(e, run, q->reason, q->details, q->identity);
    call_answer_empty(e, c);
}

void call_delete(struct eng *e, struct call *c)
{
    const Pb__DeleteWorkflowExecutionRequest *q = (const void *)c->req;
    struct run *run;
    struct err err = {0};
    if (run_find_execution(e, c->ns, q->workflow_execution, false, &run, &err) < 0) {
        call_fail_err(e, c, &err);
        return;
    }
    if (run_is_open(run))
        close_terminated(e, run, "Delete workflow execution", NULL, "history-service");
    run_dirty(e, run);
    run->deleted = true;
    call_answer_empty(e, c);
}

static bool rejected(const struct run *run, Pb__QueryRejectCondition condition)
{
    if (run_is_open(run))
        return false;
    if (condition == PB__QUERY_REJECT_CONDITION__QUERY_REJECT_CONDITION_NOT_OPEN)
        return true;
    return condition == PB__QUERY_REJECT_CONDITION__QUERY_REJECT_CONDITION_NOT_COMPLETED_CLEANLY &&
           run->s->status != PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_COMPLETED;
}

/* Attempts after which a workflow task that keeps failing answers no query any more. */
#define BLOCKED_ATTEMPTS 3

void call_query(struct eng *e, struct call *c)
{
    const Pb__QueryWorkflowRequest *q = (const void *)c->req;
    struct run *run;
    struct err err = {0};
    if (!q->query || !*q->query->query_type || strlen(q->query->query_type) > ENGINE_ID_MAX) {
        call_fail(e, c, ERR_INVALID, "query type is not set or longer than %d bytes", ENGINE_ID_MAX);
        return;
    }
    if (run_find_execution(e, c->ns, q->execution, false, &run, &err) < 0) {
        call_fail_err(e, c, &err);
        return;
    }
    if (rejected(run, q->query_reject_condition)) {
        Pb__QueryWorkflowResponse *r = (void *)call_new_response(c);
        Pb__QueryRejected *no = mem_alloc(sizeof *no);
        if (r && no) {
            pb__query_rejected__init(no);
            no->status = run->s->status;
            r->query_rejected = no;
        } else {
            free(no);
            eng_nomem(e);
        }
        call_answer(e, c, (ProtobufCMessage *)r);
        return;
    }
    if (run_is_open(run) && run->s->task_attempt > BLOCKED_ATTEMPTS) {
        call_fail(e, c, ERR_STATE, "workflow task of '%.200s' keeps failing: queries are not answered",
                  run->s->workflow_id);
        return;
    }
    query_add(e, run, c);
}

void call_reset_sticky(struct eng *e, struct call *c)
{
    const Pb__ResetStickyTaskQueueRequest *q = (const void *)c->req;
    struct run *run = open_run(e, c, q->execution);
    if (!run)
        return;
    wtask_clear_sticky(e, run);
    call_answer_empty(e, c);
}

void call_reset_workflow(struct eng *e, struct call *c)
{
    const Pb__ResetWorkflowExecutionRequest *q = (const void *)c->req;
    struct run *base, *current, *run = NULL;
    struct err err = {0};
    struct reset r = {.finish_id = q->workflow_task_finish_event_id,
                      .reason = q->reason,
                      .request_id = q->request_id,
                      .signals = q->reset_reapply_type != PB__RESET_REAPPLY_TYPE__RESET_REAPPLY_TYPE_NONE,
                      .updates = q->reset_reapply_type != PB__RESET_REAPPLY_TYPE__RESET_REAPPLY_TYPE_NONE &&
                                 q->reset_reapply_type != PB__RESET_REAPPLY_TYPE__RESET_REAPPLY_TYPE_SIGNAL};
    for (size_t i = 0; i < q->n_reset_reapply_exclude_types; i++) {
        Pb__ResetReapplyExcludeType not = q->reset_reapply_exclude_types[i];
        r.signals &= not != PB__RESET_REAPPLY_EXCLUDE_TYPE__RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL;
        r.updates &= not != PB__RESET_REAPPLY_EXCLUDE_TYPE__RESET_REAPPLY_EXCLUDE_TYPE_UPDATE;
    }
    int x = strlen(q->request_id) > ENGINE_ID_MAX || strlen(q->reason) > ENGINE_PAYLOAD_MAX
                ? err_set(&err, ERR_INVALID, "request id or reason is too long")
                : run_find_execution(e, c->ns, q->workflow_execution, false, &base, &err);
    if (x == 0)
        x = run_find(e, c->ns, q->workflow_execution->workflow_id, "", &current, &err);
    if (x == 0 && *q->request_id && strcmp(current->s->start_request_id, q->request_id) == 0)
        run = current; /* the same request again */
    else if (x == 0)
        x = reset_run(e, base, &r, &run, &err);
    if (x < 0) {
        call_fail_err(e, c, &err);
        return;
    }
    Pb__ResetWorkflowExecutionResponse *resp = (void *)call_new_response(c);
    if (resp)
        str_set(e, &resp->run_id, run->s->run_id);
    call_answer(e, c, (ProtobufCMessage *)resp);
}
