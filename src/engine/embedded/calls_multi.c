/* ExecuteMultiOperation: a start and an update of that run, together or not at all ("update with start"). */
#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/run.h"
#include "engine/embedded/start.h"
#include "engine/embedded/update.h"

#include <string.h>

#define GRPC_ABORTED 10
#define ABORTED_NAME "temporal.api.failure.v1.MultiOperationExecutionAborted"

typedef Pb__ErrorDetailMultiOperationExecutionOperationStatus status_t;

/* In the shape that a message frees; NULL and a fault when memory is out. */
static Pb__Any *any_of(struct eng *e, const char *name, const ProtobufCMessage *m)
{
    Pb__Any *any = mem_alloc(sizeof *any);
    if (!any) {
        eng_nomem(e);
        return NULL;
    }
    pb__any__init(any);
    char url[160] = "type.googleapis.com/";
    strncat(url, name, sizeof url - strlen(url) - 1);
    str_set(e, &any->type_url, url);
    if (m && pbx_pack(m, &any->value.data, &any->value.len, NULL) < 0)
        eng_nomem(e);
    return any;
}

static status_t *status_of(struct eng *e, int code, const char *message, const char *detail_name,
                           const ProtobufCMessage *detail)
{
    status_t *s = mem_alloc(sizeof *s);
    if (!s) {
        eng_nomem(e);
        return NULL;
    }
    pb__error_detail_multi_operation_execution_operation_status__init(s);
    s->code = code;
    str_set(e, &s->message, message);
    if (detail_name && (s->details = mem_calloc(1, sizeof *s->details)) &&
        (s->details[0] = any_of(e, detail_name, detail)))
        s->n_details = 1;
    return s;
}

/* One of the two failed, by err with a detail (borrowed, or NULL); the other one counts as not done. */
static void fail(struct eng *e, struct call *c, int which, const struct err *err, const ProtobufCMessage *detail)
{
    Pb__ErrorDetailMultiOperationExecution *d = mem_alloc(sizeof *d);
    struct err all = {0};
    err_set(&all, (enum err_code)err->code, "%s", "Update-with-Start could not be executed.");
    call_fail_err(e, c, &all);
    if (!d)
        return;
    pb__error_detail_multi_operation_execution__init(d);
    d->statuses = mem_calloc(2, sizeof *d->statuses);
    for (int i = 0; d->statuses && i < 2; i++) {
        status_t *s = i == which ? status_of(e, err_grpc_status(err->code), err->msg,
                                             detail ? engine_detail_name(detail->descriptor) : NULL, detail)
                                 : status_of(e, GRPC_ABORTED, "Operation was aborted.", ABORTED_NAME, NULL);
        if (s)
            d->statuses[d->n_statuses++] = s;
    }
    call_detail(c, d);
}

void multi_fail(struct eng *e, struct call *c, enum err_code code, const char *message)
{
    struct err err = {0};
    err_set(&err, code, "%s", message);
    fail(e, c, 1, &err, NULL);
}

static int check(const Pb__ExecuteMultiOperationRequest *q, const Pb__StartWorkflowExecutionRequest **ret_start,
                 const Pb__UpdateWorkflowExecutionRequest **ret_update, struct err *err)
{
    if (q->n_operations != 2 ||
        q->operations[0]->operation_case != PB__EXECUTE_MULTI_OPERATION_REQUEST_OPERATION__OPERATION_START_WORKFLOW ||
        q->operations[1]->operation_case != PB__EXECUTE_MULTI_OPERATION_REQUEST_OPERATION__OPERATION_UPDATE_WORKFLOW)
        return err_set(err, ERR_INVALID, "Operations have to be exactly [Start, Update].");
    *ret_start = q->operations[0]->start_workflow;
    *ret_update = q->operations[1]->update_workflow;
    return 0;
}

static int check_start(const Pb__StartWorkflowExecutionRequest *s, struct err *err)
{
    if (*s->cron_schedule)
        return err_set(err, ERR_INVALID, "CronSchedule is not allowed.");
    if (s->request_eager_execution)
        return err_set(err, ERR_INVALID, "RequestEagerExecution is not supported.");
    if (pbx_duration_ns(s->workflow_start_delay))
        return err_set(err, ERR_INVALID, "WorkflowStartDelay is not supported.");
    return 0;
}

static int check_update(const Pb__StartWorkflowExecutionRequest *s, const Pb__UpdateWorkflowExecutionRequest *u,
                        struct err *err)
{
    if (*u->first_execution_run_id)
        return err_set(err, ERR_INVALID, "FirstExecutionRunId is not allowed.");
    if (u->workflow_execution && *u->workflow_execution->run_id)
        return err_set(err, ERR_INVALID, "RunId is not allowed.");
    if (!u->workflow_execution || strcmp(u->workflow_execution->workflow_id, s->workflow_id) != 0)
        return err_set(err, ERR_INVALID, "WorkflowId is not consistent with previous operation(s).");
    return update_check_request(u, err);
}

void call_multi_operation(struct eng *e, struct call *c)
{
    const Pb__ExecuteMultiOperationRequest *q = (const void *)c->req;
    const Pb__StartWorkflowExecutionRequest *s = NULL;
    const Pb__UpdateWorkflowExecutionRequest *u = NULL;
    struct run *run;
    struct err err = {0};
    bool started = false;
    if (check(q, &s, &u, &err) < 0) {
        call_fail_err(e, c, &err);
        return;
    }
    if (check_start(s, &err) < 0 || check_update(s, u, &err) < 0) {
        fail(e, c, check_start(s, NULL) < 0 ? 0 : 1, &err, NULL);
        return;
    }
    if (!update_set_wait(e, c, u)) {
        call_answer(e, c, NULL);
        return;
    }
    /* A repeat: the update is there, so whatever the policy says, it is that run that is meant. */
    bool known = run_find(e, c->ns, s->workflow_id, "", &run, &err) == 0 && update_find(run, c->update_id) &&
                 (run_is_open(run) || update_find(run, c->update_id)->completed_id);
    if (!known) {
        memset(&err, 0, sizeof err);
        if (start_from_request(e, c->ns, s, &run, &started, &err) == START_REFUSED) {
            Pb__ErrorDetailWorkflowExecutionAlreadyStarted *d =
                run && err.code == ERR_EXISTS ? start_detail(e, run) : NULL;
            fail(e, c, 0, &err, (ProtobufCMessage *)d);
            engine_free_message((ProtobufCMessage *)d);
            return;
        }
        if (!run || (!update_find(run, c->update_id) && update_admit(e, run, u->request, c->update_id, &err) < 0)) {
            if (run)
                fail(e, c, 1, &err, NULL);
            else
                call_answer(e, c, NULL);
            return;
        }
    }
    c->started = (ProtobufCMessage *)start_response(e, run, started);
    if (c->started)
        update_wait(e, run, c);
    else
        call_answer(e, c, NULL);
}

ProtobufCMessage *multi_answer(struct eng *e, struct call *c, Pb__UpdateWorkflowExecutionResponse *update)
{
    Pb__ExecuteMultiOperationResponse *r = (void *)call_new_response(c);
    Pb__ExecuteMultiOperationResponseResponse *one = mem_alloc(sizeof *one), *two = mem_alloc(sizeof *two);
    void *list = mem_calloc(2, sizeof *r->responses);
    if (!r || !one || !two || !list) {
        free(list);
        free(one);
        free(two);
        engine_free_message((ProtobufCMessage *)r);
        engine_free_message(&update->base);
        eng_nomem(e);
        return NULL;
    }
    pb__execute_multi_operation_response_response__init(one);
    pb__execute_multi_operation_response_response__init(two);
    one->response_case = PB__EXECUTE_MULTI_OPERATION_RESPONSE_RESPONSE__RESPONSE_START_WORKFLOW;
    one->start_workflow = (Pb__StartWorkflowExecutionResponse *)c->started;
    c->started = NULL;
    two->response_case = PB__EXECUTE_MULTI_OPERATION_RESPONSE_RESPONSE__RESPONSE_UPDATE_WORKFLOW;
    two->update_workflow = update;
    r->responses = list;
    r->responses[0] = one;
    r->responses[1] = two;
    r->n_responses = 2;
    return &r->base;
}
