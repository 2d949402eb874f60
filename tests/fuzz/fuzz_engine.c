/* A programme of calls for an engine, a few bytes each: runs are started, tasks fetched and
 * completed with any commands, time goes on, all in any order. No assertion of the engine's may
 * break, every history stays whole, and at the end every run can still be read. */
#include "base/assert.h"
#include "base/units.h"
#include "codec/pbx.h"
#include "engine/embedded/embedded.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS 4
#define IDS 3
#define COMMANDS_MAX 4
#define OPS_MAX 100
#define UPDATES 4
#define MESSAGES_MAX 3

static struct program {
    const uint8_t *p, *end;
    struct engine *engine;
    int64_t now;
    ProtobufCBinaryData workflow_tokens[TOKENS], activity_tokens[TOKENS];
    unsigned next_workflow, next_activity;
    bool updating; /* there were updates: completions read a byte more, so that older seeds mean what they meant */
    struct poll {
        bool waits;
        ProtobufCMessage *resp;
    } polls[3]; /* one under way at a time: of the queue, of the sticky one, of activities */
    struct waiter {
        bool waits;
        ProtobufCMessage *req;
    } updates[UPDATES]; /* calls that wait for an update */
} g;

static uint8_t byte(void)
{
    return g.p < g.end ? *g.p++ : 0;
}

static int64_t held_now(void *arg)
{
    return *(int64_t *)arg;
}

static int call(enum engine_method m, const ProtobufCMessage *req, int64_t timeout_ms, void *ret)
{
    struct err err = {0};
    int r = engine_call_sync(g.engine, m, req, timeout_ms, ret, &err);
    ASSERT(r == 0 || (err.code == -r && *err.msg));
    ASSERT(r != -ERR_INTERNAL && r != -ERR_CORRUPT && r != -ERR_IO);
    return r;
}

static char *id_of(uint8_t b)
{
    static char *const ids[IDS] = {(char *)"a", (char *)"b", (char *)"c"};
    return ids[b % IDS];
}

static const char *const ns = "default";
static Pb__TaskQueue queue;
static Pb__WorkflowType type;

static void op_start(void)
{
    Pb__StartWorkflowExecutionRequest q = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__RetryPolicy retry = PB__RETRY_POLICY__INIT;
    Pb__Duration d = PB__DURATION__INIT;
    uint8_t b = byte();
    q.namespace_ = (char *)ns;
    q.workflow_id = id_of(b);
    q.workflow_type = &type;
    q.task_queue = &queue;
    q.workflow_id_conflict_policy = (Pb__WorkflowIdConflictPolicy)(b / 4 % 4);
    d.seconds = b % 16;
    q.retry_policy = b & 16 ? &retry : NULL;
    q.workflow_run_timeout = b & 32 ? &d : NULL;
    q.workflow_execution_timeout = b & 64 ? &d : NULL;
    q.workflow_start_delay = b & 128 ? &d : NULL;
    call(ENGINE_START_WORKFLOW, &q.base, 0, NULL);
}

static void keep_token(ProtobufCBinaryData *slot, ProtobufCBinaryData *token)
{
    if (!token->len)
        return;
    free(slot->data);
    *slot = *token;
    *token = (ProtobufCBinaryData){0};
}

static void polled(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct poll *p = arg;
    ASSERT(resp || err->code);
    if (err->code)
        engine_free_message(resp);
    p->resp = err->code ? NULL : resp;
    p->waits = false;
}

/* Takes what polls have brought. */
static void collect(void)
{
    engine_embedded_tick(g.engine); /* afterwards all answers of earlier calls are there */
    for (int i = 0; i < 2; i++) {
        Pb__PollWorkflowTaskQueueResponse *t = (Pb__PollWorkflowTaskQueueResponse *)g.polls[i].resp;
        for (size_t k = 1; t && t->history && k < t->history->n_events; k++)
            ASSERT(t->history->events[k]->event_id == t->history->events[k - 1]->event_id + 1);
        if (t)
            keep_token(&g.workflow_tokens[g.next_workflow++ % TOKENS], &t->task_token);
    }
    Pb__PollActivityTaskQueueResponse *a = (Pb__PollActivityTaskQueueResponse *)g.polls[2].resp;
    if (a)
        keep_token(&g.activity_tokens[g.next_activity++ % TOKENS], &a->task_token);
    for (int i = 0; i < 3; i++) {
        engine_free_message(g.polls[i].resp);
        g.polls[i].resp = NULL;
    }
}

static Pb__PollWorkflowTaskQueueRequest workflow_polls[2];
static Pb__PollActivityTaskQueueRequest activity_poll;
static Pb__TaskQueue sticky_queue;

static void op_poll(void)
{
    int i = byte() & 1;
    Pb__PollWorkflowTaskQueueRequest *q = &workflow_polls[i];
    if (g.polls[i].waits)
        return;
    pb__poll_workflow_task_queue_request__init(q);
    q->namespace_ = (char *)ns;
    q->task_queue = i ? &queue : &sticky_queue;
    g.polls[i].waits = true;
    engine_call(g.engine, ENGINE_POLL_WORKFLOW_TASK, &q->base, 0, polled, &g.polls[i]);
    collect();
}

static void op_poll_activity(void)
{
    if (g.polls[2].waits)
        return;
    pb__poll_activity_task_queue_request__init(&activity_poll);
    activity_poll.namespace_ = (char *)ns;
    activity_poll.task_queue = &queue;
    g.polls[2].waits = true;
    engine_call(g.engine, ENGINE_POLL_ACTIVITY_TASK, &activity_poll.base, 0, polled, &g.polls[2]);
    collect();
}

/* All the attributes a command may point to. */
struct command {
    Pb__Command k;
    union {
        Pb__ScheduleActivityTaskCommandAttributes activity;
        Pb__RequestCancelActivityTaskCommandAttributes cancel_activity;
        Pb__StartTimerCommandAttributes timer;
        Pb__CancelTimerCommandAttributes cancel_timer;
        Pb__CompleteWorkflowExecutionCommandAttributes complete;
        Pb__FailWorkflowExecutionCommandAttributes fail;
        Pb__CancelWorkflowExecutionCommandAttributes cancel;
        Pb__RecordMarkerCommandAttributes marker;
        Pb__SignalExternalWorkflowExecutionCommandAttributes signal;
        Pb__RequestCancelExternalWorkflowExecutionCommandAttributes cancel_external;
        Pb__StartChildWorkflowExecutionCommandAttributes child;
        Pb__ContinueAsNewWorkflowExecutionCommandAttributes again;
        Pb__ProtocolMessageCommandAttributes message;
        Pb__UpsertWorkflowSearchAttributesCommandAttributes attributes;
        Pb__ModifyWorkflowPropertiesCommandAttributes properties;
    } a;
    Pb__SearchAttributes indexed;
    Pb__SearchAttributes__IndexedFieldsEntry entry, *entries;
    Pb__Memo memo;
    Pb__Payload payload;
    Pb__Duration d;
    Pb__WorkflowExecution x;
    Pb__ActivityType activity_type;
    Pb__RetryPolicy retry;
    Pb__Failure failure;
};

#define IS(c, UPPER, lower, member)                                                                \
    (c)->k.command_type = PB__COMMAND_TYPE__COMMAND_TYPE_##UPPER;                                  \
    (c)->k.attributes_case = PB__COMMAND__ATTRIBUTES_##UPPER##_COMMAND_ATTRIBUTES;                 \
    pb__##lower##_command_attributes__init(&(c)->a.member);                                        \
    (c)->k.lower##_command_attributes = &(c)->a.member

static char *update_id_of(uint8_t b)
{
    static char *const ids[] = {(char *)"u", (char *)"v", (char *)"w", (char *)""};
    return ids[b % 4];
}

/* One field, or none; a value, or a null that takes it away. */
static void fill_attributes(struct command *c, uint8_t b)
{
    pb__search_attributes__init(&c->indexed);
    pb__search_attributes__indexed_fields_entry__init(&c->entry);
    pb__memo__init(&c->memo);
    pb__payload__init(&c->payload);
    c->entry.key = id_of(b);
    c->entry.value = b & 64 ? NULL : &c->payload;
    c->payload.data = (ProtobufCBinaryData){.data = (uint8_t *)"null[1,2]\"x\"" + (b & 32 ? 0 : 4), .len = b & 32 ? 4 : 5};
    c->entries = &c->entry;
    c->indexed.indexed_fields = &c->entries;
    c->indexed.n_indexed_fields = b & 128 ? 0 : 1;
}

static void fill_activity(struct command *c, uint8_t b)
{
    IS(c, SCHEDULE_ACTIVITY_TASK, schedule_activity_task, activity);
    c->activity_type.name = (char *)"t";
    c->retry.maximum_attempts = b % 3;
    c->a.activity.activity_id = id_of(b);
    c->a.activity.activity_type = &c->activity_type;
    c->a.activity.retry_policy = &c->retry;
    c->a.activity.start_to_close_timeout = &c->d;
    c->a.activity.heartbeat_timeout = b & 64 ? &c->d : NULL;
    c->a.activity.schedule_to_start_timeout = b & 128 ? &c->d : NULL;
}

static void fill_timer(struct command *c, uint8_t b)
{
    IS(c, START_TIMER, start_timer, timer);
    c->a.timer.timer_id = id_of(b);
    c->a.timer.start_to_fire_timeout = &c->d;
}

static void fill(struct command *c)
{
    uint8_t kind = byte(), b = byte();
    memset(c, 0, sizeof *c);
    pb__command__init(&c->k);
    pb__duration__init(&c->d);
    pb__workflow_execution__init(&c->x);
    pb__activity_type__init(&c->activity_type);
    pb__retry_policy__init(&c->retry);
    pb__failure__init(&c->failure);
    c->d.seconds = b % 8;
    c->x.workflow_id = id_of(b);
    switch (kind % 15) {
    case 0:
    case 1:
        fill_activity(c, b);
        break;
    case 2:
        IS(c, REQUEST_CANCEL_ACTIVITY_TASK, request_cancel_activity_task, cancel_activity);
        c->a.cancel_activity.scheduled_event_id = b % 16;
        break;
    case 3:
        fill_timer(c, b);
        break;
    case 4:
        IS(c, CANCEL_TIMER, cancel_timer, cancel_timer);
        c->a.cancel_timer.timer_id = id_of(b);
        break;
    case 5:
        IS(c, COMPLETE_WORKFLOW_EXECUTION, complete_workflow_execution, complete);
        break;
    case 6:
        IS(c, FAIL_WORKFLOW_EXECUTION, fail_workflow_execution, fail);
        c->a.fail.failure = &c->failure;
        break;
    case 7:
        IS(c, RECORD_MARKER, record_marker, marker);
        c->a.marker.marker_name = (char *)"m";
        break;
    case 8:
        IS(c, SIGNAL_EXTERNAL_WORKFLOW_EXECUTION, signal_external_workflow_execution, signal);
        c->a.signal.execution = &c->x;
        c->a.signal.signal_name = (char *)"s";
        break;
    case 9:
        IS(c, REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION, request_cancel_external_workflow_execution,
           cancel_external);
        c->a.cancel_external.workflow_id = id_of(b);
        break;
    case 10:
        IS(c, START_CHILD_WORKFLOW_EXECUTION, start_child_workflow_execution, child);
        c->a.child.workflow_id = id_of(b);
        c->a.child.workflow_type = &type;
        c->a.child.task_queue = &queue;
        c->a.child.parent_close_policy = (Pb__ParentClosePolicy)(b / 4 % 4);
        break;
    case 12:
        IS(c, PROTOCOL_MESSAGE, protocol_message, message);
        c->a.message.message_id = update_id_of(b);
        break;
    case 13:
        IS(c, UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, upsert_workflow_search_attributes, attributes);
        fill_attributes(c, b);
        c->a.attributes.search_attributes = &c->indexed;
        break;
    case 14:
        IS(c, MODIFY_WORKFLOW_PROPERTIES, modify_workflow_properties, properties);
        fill_attributes(c, b);
        c->memo.fields = (Pb__Memo__FieldsEntry **)c->indexed.indexed_fields; /* of one shape */
        c->memo.n_fields = c->indexed.n_indexed_fields;
        c->a.properties.upserted_memo = &c->memo;
        break;
    default:
        IS(c, CONTINUE_AS_NEW_WORKFLOW_EXECUTION, continue_as_new_workflow_execution, again);
        break;
    }
}

/* --- updates -------------------------------------------------------------------------------------- */

static void updated(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct waiter *w = arg;
    ASSERT(resp || err->code);
    ASSERT(err->code != ERR_INTERNAL && err->code != ERR_CORRUPT && err->code != ERR_IO);
    engine_free_message(resp);
    w->waits = false;
}

/* A slot for a call that waits; NULL: all are taken. The request is copied: it lives until the next call of the slot. */
static void wait_for(enum engine_method m, const ProtobufCMessage *req)
{
    for (int i = 0; i < UPDATES; i++) {
        struct waiter *w = &g.updates[i];
        if (w->waits)
            continue;
        engine_free_message(w->req);
        w->req = NULL;
        ASSERT(pbx_dup(req, &w->req, NULL) == 0);
        w->waits = true;
        engine_call(g.engine, m, w->req, 0, updated, w);
        return;
    }
}

struct update {
    Pb__UpdateWorkflowExecutionRequest q;
    Pb__WorkflowExecution x;
    Pb__UpdateWaitPolicy wait;
    Pb__UpdateRequest r;
    Pb__UpdateMeta meta;
    Pb__UpdateInput input;
};

static void make_update(struct update *u, uint8_t b)
{
    pb__update_workflow_execution_request__init(&u->q);
    pb__workflow_execution__init(&u->x);
    pb__update_wait_policy__init(&u->wait);
    pb__update_request__init(&u->r);
    pb__update_meta__init(&u->meta);
    pb__update_input__init(&u->input);
    u->q.namespace_ = (char *)ns;
    u->q.workflow_execution = &u->x;
    u->q.wait_policy = &u->wait;
    u->q.request = &u->r;
    u->x.workflow_id = id_of(b);
    u->wait.lifecycle_stage = (Pb__UpdateWorkflowExecutionLifecycleStage)(b / 32 % 4);
    u->r.meta = &u->meta;
    u->r.input = &u->input;
    u->meta.update_id = update_id_of(b / 4);
    u->input.name = (char *)"set";
}

static void op_update(void)
{
    uint8_t b = byte();
    struct update u;
    make_update(&u, b);
    g.updating = true;
    if (b & 16) {
        wait_for(ENGINE_UPDATE_WORKFLOW, &u.q.base);
    } else {
        Pb__PollWorkflowExecutionUpdateRequest q = PB__POLL_WORKFLOW_EXECUTION_UPDATE_REQUEST__INIT;
        Pb__UpdateRef ref = PB__UPDATE_REF__INIT;
        ref.workflow_execution = &u.x;
        ref.update_id = u.meta.update_id;
        q.namespace_ = (char *)ns;
        q.update_ref = &ref;
        q.wait_policy = &u.wait;
        wait_for(ENGINE_POLL_UPDATE, &q.base);
    }
}

static void op_multi(void)
{
    uint8_t b = byte();
    struct update u;
    Pb__ExecuteMultiOperationRequest q = PB__EXECUTE_MULTI_OPERATION_REQUEST__INIT;
    Pb__ExecuteMultiOperationRequestOperation one = PB__EXECUTE_MULTI_OPERATION_REQUEST_OPERATION__INIT, two = one;
    Pb__ExecuteMultiOperationRequestOperation *both[] = {&one, &two};
    Pb__StartWorkflowExecutionRequest s = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    make_update(&u, b);
    s.namespace_ = q.namespace_ = (char *)ns;
    s.workflow_id = id_of(b);
    s.workflow_type = &type;
    s.task_queue = &queue;
    s.workflow_id_conflict_policy = (Pb__WorkflowIdConflictPolicy)(b / 4 % 4);
    one.operation_case = PB__EXECUTE_MULTI_OPERATION_REQUEST_OPERATION__OPERATION_START_WORKFLOW;
    one.start_workflow = &s;
    two.operation_case = PB__EXECUTE_MULTI_OPERATION_REQUEST_OPERATION__OPERATION_UPDATE_WORKFLOW;
    two.update_workflow = &u.q;
    q.operations = both;
    q.n_operations = b & 64 ? 1 : 2;
    wait_for(ENGINE_MULTI_OPERATION, &q.base);
}

/* A caller goes: of an update, or of a poll. */
static void op_leave(void)
{
    uint8_t b = byte();
    if (b & 1)
        engine_cancel(g.engine, updated, &g.updates[b / 2 % UPDATES]);
    else
        engine_cancel(g.engine, polled, &g.polls[b / 2 % 3]);
}

/* A worker's message about an update: any kind, whether it fits or not. */
struct message {
    Pb__ProtocolMessage m;
    Pb__Any any;
    uint8_t body[128];
};

static void make_message(struct message *m, uint8_t b)
{
    static const char *const kinds[] = {"Acceptance", "Rejection", "Response", "Other"};
    static char url[4][64];
    Pb__UpdateAcceptance accept = PB__UPDATE_ACCEPTANCE__INIT;
    Pb__UpdateRejection reject = PB__UPDATE_REJECTION__INIT;
    Pb__UpdateResponse done = PB__UPDATE_RESPONSE__INIT;
    Pb__UpdateMeta meta = PB__UPDATE_META__INIT;
    Pb__UpdateOutcome outcome = PB__UPDATE_OUTCOME__INIT;
    struct update request;
    make_update(&request, b);
    pb__protocol_message__init(&m->m);
    pb__any__init(&m->any);
    m->m.id = m->m.protocol_instance_id = meta.update_id = update_id_of(b / 4);
    m->m.body = &m->any;
    accept.accepted_request_message_id = (char *)"x";
    accept.accepted_request_sequencing_event_id = b & 128 ? 0 : 2;
    accept.accepted_request = b & 64 ? &request.r : NULL;
    reject.rejected_request = accept.accepted_request;
    done.meta = &meta;
    done.outcome = b & 128 ? NULL : &outcome;
    const ProtobufCMessage *bodies[] = {&accept.base, &reject.base, &done.base, &meta.base};
    int kind = b / 16 % 4;
    snprintf(url[kind], sizeof url[kind], "type.googleapis.com/temporal.api.update.v1.%s", kinds[kind]);
    m->any.type_url = url[kind];
    m->any.value.data = m->body;
    m->any.value.len = protobuf_c_message_get_packed_size(bodies[kind]);
    ASSERT(m->any.value.len <= sizeof m->body);
    protobuf_c_message_pack(bodies[kind], m->body);
}

static void op_complete(void)
{
    struct command commands[COMMANDS_MAX];
    Pb__Command *list[COMMANDS_MAX];
    Pb__RespondWorkflowTaskCompletedRequest q = PB__RESPOND_WORKFLOW_TASK_COMPLETED_REQUEST__INIT;
    Pb__StickyExecutionAttributes sticky = PB__STICKY_EXECUTION_ATTRIBUTES__INIT;
    Pb__TaskQueue own = PB__TASK_QUEUE__INIT;
    Pb__Duration d = PB__DURATION__INIT;
    uint8_t b = byte();
    own.name = (char *)"sticky";
    d.seconds = 5;
    sticky.worker_task_queue = &own;
    sticky.schedule_to_start_timeout = &d;
    q.task_token = g.workflow_tokens[b % TOKENS];
    q.n_commands = b / TOKENS % (COMMANDS_MAX + 1);
    q.commands = list;
    q.sticky_attributes = b & 128 ? &sticky : NULL;
    q.force_create_new_workflow_task = b & 64;
    for (size_t i = 0; i < q.n_commands; i++) {
        fill(&commands[i]);
        list[i] = &commands[i].k;
    }
    struct message messages[MESSAGES_MAX];
    Pb__ProtocolMessage *message_list[MESSAGES_MAX];
    Pb__RespondWorkflowTaskCompletedRequestCapabilities can =
        PB__RESPOND_WORKFLOW_TASK_COMPLETED_REQUEST_CAPABILITIES__INIT;
    b = g.updating ? byte() : 0;
    can.discard_speculative_workflow_task_with_events = b & 64;
    q.capabilities = b & 32 ? &can : NULL;
    q.return_new_workflow_task = b & 16;
    q.n_messages = b % (MESSAGES_MAX + 1);
    q.messages = message_list;
    for (size_t i = 0; i < q.n_messages; i++) {
        make_message(&messages[i], byte());
        message_list[i] = &messages[i].m;
    }
    Pb__RespondWorkflowTaskCompletedResponse *done = NULL;
    if (call(ENGINE_COMPLETE_WORKFLOW_TASK, &q.base, 0, &done) < 0)
        return;
    if (done->workflow_task)
        keep_token(&g.workflow_tokens[g.next_workflow++ % TOKENS], &done->workflow_task->task_token);
    engine_free_message(&done->base);
}

/* --- calls that stand beside the rest ----------------------------------------------------------------- */

static void op_by_id(void)
{
    uint8_t b = byte();
    Pb__RespondActivityTaskCompletedByIdRequest done = PB__RESPOND_ACTIVITY_TASK_COMPLETED_BY_ID_REQUEST__INIT;
    Pb__RespondActivityTaskFailedByIdRequest fail = PB__RESPOND_ACTIVITY_TASK_FAILED_BY_ID_REQUEST__INIT;
    Pb__RespondActivityTaskCanceledByIdRequest cancel = PB__RESPOND_ACTIVITY_TASK_CANCELED_BY_ID_REQUEST__INIT;
    Pb__RecordActivityTaskHeartbeatByIdRequest beat = PB__RECORD_ACTIVITY_TASK_HEARTBEAT_BY_ID_REQUEST__INIT;
    done.namespace_ = fail.namespace_ = cancel.namespace_ = beat.namespace_ = (char *)ns;
    done.workflow_id = fail.workflow_id = cancel.workflow_id = beat.workflow_id = id_of(b);
    done.activity_id = fail.activity_id = cancel.activity_id = beat.activity_id = id_of(b / 4);
    switch (b / 16 % 4) {
    case 0:
        call(ENGINE_COMPLETE_ACTIVITY_BY_ID, &done.base, 0, NULL);
        break;
    case 1:
        call(ENGINE_FAIL_ACTIVITY_BY_ID, &fail.base, 0, NULL);
        break;
    case 2:
        call(ENGINE_CANCEL_ACTIVITY_BY_ID, &cancel.base, 0, NULL);
        break;
    default:
        call(ENGINE_HEARTBEAT_BY_ID, &beat.base, 0, NULL);
    }
}

static void op_reset(void)
{
    uint8_t b = byte();
    Pb__ResetWorkflowExecutionRequest q = PB__RESET_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    char request_id[8];
    x.workflow_id = id_of(b);
    snprintf(request_id, sizeof request_id, "r%d", b / 64);
    q.namespace_ = (char *)ns;
    q.workflow_execution = &x;
    q.request_id = request_id;
    q.workflow_task_finish_event_id = b / 4 % 16;
    q.reset_reapply_type = (Pb__ResetReapplyType)(b / 64);
    call(ENGINE_RESET_WORKFLOW, &q.base, 0, NULL);
}

static void op_other(void)
{
    uint8_t b = byte();
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    Pb__GetWorkflowExecutionHistoryReverseRequest back = PB__GET_WORKFLOW_EXECUTION_HISTORY_REVERSE_REQUEST__INIT;
    Pb__ShutdownWorkerRequest shutdown = PB__SHUTDOWN_WORKER_REQUEST__INIT;
    Pb__DescribeTaskQueueRequest describe = PB__DESCRIBE_TASK_QUEUE_REQUEST__INIT;
    Pb__ResetStickyTaskQueueRequest unstick = PB__RESET_STICKY_TASK_QUEUE_REQUEST__INIT;
    x.workflow_id = id_of(b);
    back.namespace_ = shutdown.namespace_ = describe.namespace_ = unstick.namespace_ = (char *)ns;
    back.execution = unstick.execution = &x;
    back.maximum_page_size = b / 16;
    back.next_page_token = b & 128 ? g.workflow_tokens[b % TOKENS] : (ProtobufCBinaryData){0};
    shutdown.sticky_task_queue = (char *)"sticky";
    describe.task_queue = &queue;
    describe.report_stats = describe.report_pollers = true;
    describe.api_mode = (Pb__DescribeTaskQueueMode)(b / 16 % 2);
    switch (b / 4 % 4) {
    case 0:
        call(ENGINE_GET_HISTORY_REVERSE, &back.base, 0, NULL);
        break;
    case 1:
        call(ENGINE_SHUTDOWN_WORKER, &shutdown.base, 0, NULL);
        break;
    case 2:
        call(ENGINE_DESCRIBE_TASK_QUEUE, &describe.base, 0, NULL);
        break;
    default:
        call(ENGINE_RESET_STICKY, &unstick.base, 0, NULL);
    }
}

static void op_fail(void)
{
    Pb__RespondWorkflowTaskFailedRequest q = PB__RESPOND_WORKFLOW_TASK_FAILED_REQUEST__INIT;
    q.task_token = g.workflow_tokens[byte() % TOKENS];
    call(ENGINE_FAIL_WORKFLOW_TASK, &q.base, 0, NULL);
}

static void op_activity(void)
{
    uint8_t b = byte();
    ProtobufCBinaryData token = g.activity_tokens[b % TOKENS];
    Pb__RespondActivityTaskCompletedRequest done = PB__RESPOND_ACTIVITY_TASK_COMPLETED_REQUEST__INIT;
    Pb__RespondActivityTaskFailedRequest fail = PB__RESPOND_ACTIVITY_TASK_FAILED_REQUEST__INIT;
    Pb__RespondActivityTaskCanceledRequest cancel = PB__RESPOND_ACTIVITY_TASK_CANCELED_REQUEST__INIT;
    Pb__RecordActivityTaskHeartbeatRequest beat = PB__RECORD_ACTIVITY_TASK_HEARTBEAT_REQUEST__INIT;
    done.task_token = fail.task_token = cancel.task_token = beat.task_token = token;
    switch (b / TOKENS % 4) {
    case 0:
        call(ENGINE_COMPLETE_ACTIVITY, &done.base, 0, NULL);
        break;
    case 1:
        call(ENGINE_FAIL_ACTIVITY, &fail.base, 0, NULL);
        break;
    case 2:
        call(ENGINE_CANCEL_ACTIVITY, &cancel.base, 0, NULL);
        break;
    default:
        call(ENGINE_HEARTBEAT, &beat.base, 0, NULL);
    }
}

static void op_outside(void)
{
    uint8_t b = byte();
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    Pb__SignalWorkflowExecutionRequest signal = PB__SIGNAL_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__RequestCancelWorkflowExecutionRequest cancel = PB__REQUEST_CANCEL_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__TerminateWorkflowExecutionRequest terminate = PB__TERMINATE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__DeleteWorkflowExecutionRequest delete = PB__DELETE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__DescribeWorkflowExecutionRequest describe = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowQuery query = PB__WORKFLOW_QUERY__INIT;
    Pb__QueryWorkflowRequest ask = PB__QUERY_WORKFLOW_REQUEST__INIT;
    x.workflow_id = id_of(b);
    query.query_type = (char *)"q";
    signal.signal_name = (char *)"s";
    signal.namespace_ = cancel.namespace_ = terminate.namespace_ = delete.namespace_ = describe.namespace_ =
        ask.namespace_ = (char *)ns;
    signal.workflow_execution = cancel.workflow_execution = terminate.workflow_execution =
        delete.workflow_execution = describe.execution = ask.execution = &x;
    ask.query = &query;
    switch (b / IDS % 8) {
    case 0:
        call(ENGINE_REQUEST_CANCEL, &cancel.base, 0, NULL);
        break;
    case 1:
        call(ENGINE_TERMINATE, &terminate.base, 0, NULL);
        break;
    case 2:
        call(ENGINE_DELETE, &delete.base, 0, NULL);
        break;
    case 3:
        call(ENGINE_DESCRIBE, &describe.base, 0, NULL);
        break;
    case 4:
        call(ENGINE_QUERY, &ask.base, 1, NULL);
        break;
    default:
        call(ENGINE_SIGNAL_WORKFLOW, &signal.base, 0, NULL);
    }
}

static void op_time(void)
{
    g.now += (int64_t)byte() * 100 * NS_PER_MS;
}

/* Every history is whole: ids without a gap, and only a closed run has a closing event. */
static void check_histories(void)
{
    Pb__ListWorkflowExecutionsRequest q = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    Pb__ListWorkflowExecutionsResponse *r;
    q.namespace_ = (char *)ns;
    ASSERT(call(ENGINE_LIST, &q.base, 0, &r) == 0);
    for (size_t i = 0; i < r->n_executions; i++) {
        Pb__GetWorkflowExecutionHistoryRequest h = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
        Pb__GetWorkflowExecutionHistoryResponse *page;
        h.namespace_ = (char *)ns;
        h.execution = r->executions[i]->execution;
        ASSERT(call(ENGINE_GET_HISTORY, &h.base, 0, &page) == 0);
        for (size_t k = 0; k < page->history->n_events; k++)
            ASSERT(page->history->events[k]->event_id == (int64_t)k + 1);
        engine_free_message(&page->base);
    }
    engine_free_message(&r->base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const ops[])(void) = {op_start,    op_poll,     op_complete, op_poll_activity, op_activity,
                                        op_outside,  op_time,     op_fail,     op_poll,          op_complete,
                                        op_update,   op_multi,    op_leave,    op_by_id,         op_reset,
                                        op_other,    op_update,   op_poll};
    memset(&g, 0, sizeof g);
    g.p = data;
    g.end = data + size;
    g.now = INT64_C(1800000000) * NS_PER_S;
    pb__task_queue__init(&queue);
    pb__workflow_type__init(&type);
    pb__task_queue__init(&sticky_queue);
    queue.name = (char *)"q";
    sticky_queue.name = (char *)"sticky";
    type.name = (char *)"t";
    struct engine_embedded_options o = {.path = ":memory:", .clock = {held_now, &g.now}, .cache_bytes = 4096};
    struct err err = {0};
    ASSERT(engine_embedded_open(&o, &g.engine, &err) == 0);
    for (int i = 0; i < OPS_MAX && g.p < g.end; i++) {
        ops[byte() % (sizeof ops / sizeof *ops)]();
        collect();
    }
    check_histories();
    engine_free(g.engine);
    for (int i = 0; i < UPDATES; i++) {
        ASSERT(!g.updates[i].waits);
        engine_free_message(g.updates[i].req);
    }
    for (int i = 0; i < 3; i++)
        engine_free_message(g.polls[i].resp);
    for (int i = 0; i < TOKENS; i++) {
        free(g.workflow_tokens[i].data);
        free(g.activity_tokens[i].data);
    }
    return 0;
}
