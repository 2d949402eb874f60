/* UpdateWorkflowExecution and PollWorkflowExecutionUpdate. */
#include "base/mem.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/run.h"
#include "engine/embedded/update.h"
#include "os/clock.h"

#include <string.h>

#define STAGE(NAME) PB__UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE__UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_##NAME

/* Attempts after which a workflow task that keeps failing takes no update any more. */
#define BLOCKED_ATTEMPTS 3

int update_check_request(const Pb__UpdateWorkflowExecutionRequest *q, struct err *err)
{
    const Pb__UpdateRequest *r = q->request;
    if (!r || !r->meta)
        return err_set(err, ERR_INVALID, "Update meta is not set on request.");
    if (strlen(r->meta->update_id) > ENGINE_ID_MAX)
        return err_set(err, ERR_INVALID, "UpdateId length exceeds limit.");
    if (!r->input)
        return err_set(err, ERR_INVALID, "Update input is not set on request.");
    if (!*r->input->name || strlen(r->input->name) > ENGINE_ID_MAX)
        return err_set(err, ERR_INVALID, "Update name is not set or too long on request.");
    if (protobuf_c_message_get_packed_size(&r->base) > ENGINE_PAYLOAD_MAX)
        return err_set(err, ERR_INVALID, "Update input exceeds size limit.");
    if (q->wait_policy && q->wait_policy->lifecycle_stage == STAGE(ADMITTED))
        return err_set(err, ERR_PERMISSION, "Wait stage ADMITTED is not supported by UpdateWorkflowExecution.");
    return 0;
}

bool update_set_wait(struct eng *e, struct call *c, const Pb__UpdateWorkflowExecutionRequest *q)
{
    char id[37];
    const char *given = q->request->meta->update_id;
    c->stage = q->wait_policy && q->wait_policy->lifecycle_stage ? q->wait_policy->lifecycle_stage : STAGE(ACCEPTED);
    if (c->update_id)
        return true; /* it is handled anew */
    if (!*given)
        os_uuid(id);
    c->update_id = mem_strdup(*given ? given : id);
    if (!c->update_id)
        eng_nomem(e);
    return c->update_id;
}

/* The task keeps failing: an update would only wait. */
static void not_ready(struct call *c, struct eng *e)
{
    Pb__ErrorDetailWorkflowNotReady *d = mem_alloc(sizeof *d);
    if (d)
        pb__error_detail_workflow_not_ready__init(d);
    call_fail(e, c, ERR_STATE, "Unable to perform workflow execution update due to Workflow Task in failed state.");
    call_detail(c, d);
}

static void limit_reached(struct eng *e, struct call *c, const struct err *err)
{
    Pb__ErrorDetailResourceExhausted *d = err->code == ERR_LIMIT ? mem_alloc(sizeof *d) : NULL;
    call_fail_err(e, c, err);
    if (d) {
        pb__error_detail_resource_exhausted__init(d);
        d->cause = PB__RESOURCE_EXHAUSTED_CAUSE__RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT;
        d->scope = PB__RESOURCE_EXHAUSTED_SCOPE__RESOURCE_EXHAUSTED_SCOPE_NAMESPACE;
    }
    call_detail(c, d);
}

void call_update_workflow(struct eng *e, struct call *c)
{
    const Pb__UpdateWorkflowExecutionRequest *q = (const void *)c->req;
    struct run *run;
    struct err err = {0};
    if (update_check_request(q, &err) < 0 ||
        run_find_execution(e, c->ns, q->workflow_execution, false, &run, &err) < 0) {
        call_fail_err(e, c, &err);
        return;
    }
    if (*q->first_execution_run_id && strcmp(run->s->first_run_id, q->first_execution_run_id) != 0) {
        call_fail(e, c, ERR_NOT_FOUND, "workflow execution not found");
        return;
    }
    if (!update_set_wait(e, c, q)) {
        call_answer(e, c, NULL);
        return;
    }
    bool there = update_find(run, c->update_id) != NULL;
    if (!there && !run_is_open(run))
        call_fail(e, c, ERR_NOT_FOUND, "workflow execution already completed");
    else if (!there && run->s->task_attempt >= BLOCKED_ATTEMPTS)
        not_ready(c, e);
    else if (!there && update_admit(e, run, q->request, c->update_id, &err) < 0)
        limit_reached(e, c, &err);
    else
        update_wait(e, run, c);
}

void call_poll_update(struct eng *e, struct call *c)
{
    const Pb__PollWorkflowExecutionUpdateRequest *q = (const void *)c->req;
    struct run *run;
    struct err err = {0};
    if (!q->update_ref || !*q->update_ref->update_id) {
        call_fail(e, c, ERR_INVALID, "UpdateRef is not set on request.");
        return;
    }
    if (run_find_execution(e, c->ns, q->update_ref->workflow_execution, false, &run, &err) < 0) {
        call_fail_err(e, c, &err);
        return;
    }
    if (!update_find(run, q->update_ref->update_id)) {
        call_fail(e, c, ERR_NOT_FOUND, "update \"%.200s\" not found", q->update_ref->update_id);
        return;
    }
    c->stage = q->wait_policy ? q->wait_policy->lifecycle_stage : STAGE(UNSPECIFIED);
    if (!c->update_id && !(c->update_id = mem_strdup(q->update_ref->update_id))) {
        call_answer(e, c, NULL);
        return;
    }
    update_wait(e, run, c);
}
