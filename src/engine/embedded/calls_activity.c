/* Calls of activity workers. */
#include "engine/embedded/activity.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/match.h"
#include "engine/embedded/run.h"
#include "engine/embedded/token.h"

#include <stdio.h>
#include <string.h>

void call_poll_activity_task(struct eng *e, struct call *c)
{
    const Pb__PollActivityTaskQueueRequest *q = (const void *)c->req;
    const char *name = q->task_queue ? q->task_queue->name : "";
    if (!*name || strlen(name) > ENGINE_ID_MAX) {
        call_fail(e, c, ERR_INVALID, "task queue is not set or longer than %d bytes", ENGINE_ID_MAX);
        return;
    }
    match_poll(e, c, QUEUE_ACTIVITY, name, q->identity);
}

/* The started activity the token names; NULL: the call is answered. */
static Pb__EmbeddedActivity *of_token(struct eng *e, struct call *c, const ProtobufCBinaryData *bytes,
                                      struct run **ret)
{
    struct token t;
    struct err err = {0};
    if (token_read(e->db.token_key, bytes, &t, &err) < 0 || t.kind != TOKEN_ACTIVITY_TASK ||
        (c->ns && c->ns != t.ns)) {
        call_fail(e, c, ERR_INVALID, "invalid task token");
        return NULL;
    }
    int r = run_get(e, t.run_key, ret, &err);
    if (r < 0 && r != -ERR_NOT_FOUND) {
        call_fail_err(e, c, &err);
        return NULL;
    }
    if (r < 0 || !run_is_open(*ret)) {
        call_fail(e, c, ERR_NOT_FOUND, "workflow execution already completed");
        return NULL;
    }
    Pb__EmbeddedActivity *a = activity_find(*ret, t.id);
    if (!a || a->attempt != t.attempt || !a->started_ns || a->started_ns != t.stamp) {
        call_fail(e, c, ERR_NOT_FOUND, "invalid activityID or activity already timed out or "
                                       "invoking workflow is completed");
        return NULL;
    }
    return a;
}

static size_t size_of(const void *message)
{
    return message ? protobuf_c_message_get_packed_size(message) : 0;
}

/* What a worker sends is too large: the activity fails, for another attempt would be no better. */
static void fail_too_large(struct eng *e, struct run *run, Pb__EmbeddedActivity *a, const char *what,
                           size_t n, const char *identity)
{
    char text[160];
    Pb__Failure failure = PB__FAILURE__INIT;
    Pb__ServerFailureInfo info = PB__SERVER_FAILURE_INFO__INIT;
    snprintf(text, sizeof text, "%s exceeds size limit: %zu bytes, at most %zu", what, n,
             ENGINE_PAYLOAD_MAX);
    failure.message = text;
    failure.failure_info_case = PB__FAILURE__FAILURE_INFO_SERVER_FAILURE_INFO;
    failure.server_failure_info = &info;
    info.non_retryable = true;
    activity_fail(e, run, a, &failure, identity);
}

/* The pending activity that a call by id means; NULL: the call is answered. Temporal wants the attempt to be started. */
static Pb__EmbeddedActivity *by_id(struct eng *e, struct call *c, const char *workflow_id, const char *run_id,
                                   const char *activity_id, struct run **ret)
{
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    struct err err = {0};
    x.workflow_id = (char *)workflow_id;
    x.run_id = (char *)run_id;
    if (!*activity_id) {
        call_fail(e, c, ERR_INVALID, "ActivityId is not set on request.");
        return NULL;
    }
    if (run_find_execution(e, c->ns, &x, true, ret, &err) < 0) {
        call_fail_err(e, c, &err);
        return NULL;
    }
    Pb__EmbeddedActivity *a = activity_find_by_id(*ret, activity_id);
    if (!a || !a->started_ns) {
        call_fail(e, c, ERR_NOT_FOUND, "invalid activityID or activity already timed out or "
                                       "invoking workflow is completed");
        return NULL;
    }
    return a;
}

/* What a heartbeat does, for both forms of the call. Is cancellation asked for? */
static bool beat(struct eng *e, struct run *run, Pb__EmbeddedActivity *a, const Pb__Payloads *details,
                 const char *identity)
{
    bool cancel = a->cancel_requested;
    if (size_of(details) <= ENGINE_PAYLOAD_MAX) {
        activity_heartbeat(e, run, a, details);
        return cancel;
    }
    fail_too_large(e, run, a, "Heartbeat details", size_of(details), identity);
    return true;
}

static void complete(struct eng *e, struct run *run, Pb__EmbeddedActivity *a, const Pb__Payloads *result,
                     const char *identity)
{
    if (size_of(result) > ENGINE_PAYLOAD_MAX)
        fail_too_large(e, run, a, "Complete result", size_of(result), identity);
    else
        activity_complete(e, run, a, result, identity);
}

static void fail(struct eng *e, struct run *run, Pb__EmbeddedActivity *a, const Pb__Failure *failure,
                 const Pb__Payloads *details, const char *identity)
{
    Pb__Failure unknown = PB__FAILURE__INIT;
    if (!failure)
        failure = &unknown;
    if (details && size_of(details) <= ENGINE_PAYLOAD_MAX)
        activity_heartbeat(e, run, a, details);
    if (size_of(failure) > ENGINE_PAYLOAD_MAX)
        fail_too_large(e, run, a, "Failure", size_of(failure), identity);
    else
        activity_fail(e, run, a, failure, identity);
}

static void cancel(struct eng *e, struct call *c, struct run *run, Pb__EmbeddedActivity *a,
                   const Pb__Payloads *details, const char *identity)
{
    if (!a->cancel_requested) {
        call_fail(e, c, ERR_INVALID, "Activity cancel is not requested.");
        return;
    }
    if (size_of(details) > ENGINE_PAYLOAD_MAX)
        fail_too_large(e, run, a, "Cancel details", size_of(details), identity);
    else
        activity_cancel(e, run, a, details, identity);
    call_answer_empty(e, c);
}

void call_heartbeat(struct eng *e, struct call *c)
{
    const Pb__RecordActivityTaskHeartbeatRequest *q = (const void *)c->req;
    struct run *run;
    Pb__EmbeddedActivity *a = of_token(e, c, &q->task_token, &run);
    if (!a)
        return;
    Pb__RecordActivityTaskHeartbeatResponse *r = (void *)call_new_response(c);
    bool asked = beat(e, run, a, q->details, q->identity);
    if (r)
        r->cancel_requested = asked;
    call_answer(e, c, (ProtobufCMessage *)r);
}

void call_heartbeat_by_id(struct eng *e, struct call *c)
{
    const Pb__RecordActivityTaskHeartbeatByIdRequest *q = (const void *)c->req;
    struct run *run;
    Pb__EmbeddedActivity *a = by_id(e, c, q->workflow_id, q->run_id, q->activity_id, &run);
    if (!a)
        return;
    Pb__RecordActivityTaskHeartbeatByIdResponse *r = (void *)call_new_response(c);
    bool asked = beat(e, run, a, q->details, q->identity);
    if (r)
        r->cancel_requested = asked;
    call_answer(e, c, (ProtobufCMessage *)r);
}

void call_complete_activity(struct eng *e, struct call *c)
{
    const Pb__RespondActivityTaskCompletedRequest *q = (const void *)c->req;
    struct run *run;
    Pb__EmbeddedActivity *a = of_token(e, c, &q->task_token, &run);
    if (!a)
        return;
    complete(e, run, a, q->result, q->identity);
    call_answer_empty(e, c);
}

void call_complete_activity_by_id(struct eng *e, struct call *c)
{
    const Pb__RespondActivityTaskCompletedByIdRequest *q = (const void *)c->req;
    struct run *run;
    Pb__EmbeddedActivity *a = by_id(e, c, q->workflow_id, q->run_id, q->activity_id, &run);
    if (!a)
        return;
    complete(e, run, a, q->result, q->identity);
    call_answer_empty(e, c);
}

void call_fail_activity(struct eng *e, struct call *c)
{
    const Pb__RespondActivityTaskFailedRequest *q = (const void *)c->req;
    struct run *run;
    Pb__EmbeddedActivity *a = of_token(e, c, &q->task_token, &run);
    if (!a)
        return;
    fail(e, run, a, q->failure, q->last_heartbeat_details, q->identity);
    call_answer_empty(e, c);
}

void call_fail_activity_by_id(struct eng *e, struct call *c)
{
    const Pb__RespondActivityTaskFailedByIdRequest *q = (const void *)c->req;
    struct run *run;
    Pb__EmbeddedActivity *a = by_id(e, c, q->workflow_id, q->run_id, q->activity_id, &run);
    if (!a)
        return;
    fail(e, run, a, q->failure, q->last_heartbeat_details, q->identity);
    call_answer_empty(e, c);
}

void call_cancel_activity(struct eng *e, struct call *c)
{
    const Pb__RespondActivityTaskCanceledRequest *q = (const void *)c->req;
    struct run *run;
    Pb__EmbeddedActivity *a = of_token(e, c, &q->task_token, &run);
    if (a)
        cancel(e, c, run, a, q->details, q->identity);
}

void call_cancel_activity_by_id(struct eng *e, struct call *c)
{
    const Pb__RespondActivityTaskCanceledByIdRequest *q = (const void *)c->req;
    struct run *run;
    Pb__EmbeddedActivity *a = by_id(e, c, q->workflow_id, q->run_id, q->activity_id, &run);
    if (a)
        cancel(e, c, run, a, q->details, q->identity);
}
