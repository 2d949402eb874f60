#include "engine/embedded/command.h"

#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/activity.h"
#include "engine/embedded/attribute.h"
#include "engine/embedded/close.h"
#include "engine/embedded/cron.h"
#include "engine/embedded/effect.h"
#include "engine/embedded/event.h"
#include "engine/embedded/fields.h"
#include "engine/embedded/retry.h"
#include "engine/embedded/run.h"
#include "engine/embedded/start.h"
#include "engine/embedded/update.h"

#include <string.h>

#define PENDING_MAX 2000 /* activities, children of one run, as Temporal limits them */
/* What goes back with the answer to a workflow task, beside the next one. */
#define EAGER_MAX 100
#define EAGER_INPUT_MAX ((size_t)64 << 10)

struct context {
    struct eng *e;
    struct run *run;
    const Pb__Command *command;
    struct err *err;
    bool *terminate;
    Pb__WorkflowTaskFailedCause bad; /* of this type of command */
    const Pb__RespondWorkflowTaskCompletedRequest *req;
    bool *taken; /* which of its messages were */
};

typedef Pb__WorkflowTaskFailedCause cause_t;
#define CAUSE(NAME) PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_##NAME

static cause_t refuse(struct context *c, const char *text)
{
    err_set(c->err, ERR_INVALID, "%s", text);
    return c->bad;
}

static bool id_ok(const char *id)
{
    return *id && strlen(id) <= ENGINE_ID_MAX;
}

static bool too_large(const void *message)
{
    return message && protobuf_c_message_get_packed_size(message) > ENGINE_PAYLOAD_MAX;
}

static cause_t check_payload(struct context *c, const void *message, const char *what)
{
    if (!too_large(message))
        return 0;
    err_set(c->err, ERR_LIMIT, "%s exceeds size limit: %zu bytes, at most %zu", what,
            protobuf_c_message_get_packed_size(message), ENGINE_PAYLOAD_MAX);
    *c->terminate = true;
    return CAUSE(BAD_SCHEDULE_ACTIVITY_ATTRIBUTES); /* whatever the command: Temporal's servers say so */
}

static int64_t cap(int64_t value, int64_t max)
{
    return max && (!value || value > max) ? max : value;
}

/* The timeouts that were left out follow from those that are there. */
static bool fill_timeouts(const Pb__EmbeddedRun *s, int64_t *to_close, int64_t *to_start,
                          int64_t *start_to_close, int64_t *heartbeat)
{
    if (*to_close < 0 || *to_start < 0 || *start_to_close < 0 || *heartbeat < 0)
        return false;
    if (*to_close) {
        *to_start = cap(*to_start, *to_close);
        *start_to_close = cap(*start_to_close, *to_close);
    } else if (*start_to_close) {
        *to_close = s->run_timeout_ns;
        *to_start = cap(*to_start, s->run_timeout_ns);
    } else {
        return false;
    }
    *to_close = s->run_timeout_ns ? cap(*to_close, s->run_timeout_ns) : *to_close;
    if (*heartbeat > *start_to_close)
        *heartbeat = *start_to_close;
    return true;
}

/* May the worker that asked for it have this activity with the answer? It polls that queue too, then. */
static bool is_eager(const struct context *c, const Pb__ScheduleActivityTaskCommandAttributes *k, const char *queue)
{
    return k->request_eager_execution && strcmp(queue, c->run->s->task_queue) == 0 && c->e->eager.len < EAGER_MAX &&
           (!k->input || protobuf_c_message_get_packed_size(&k->input->base) <= EAGER_INPUT_MAX);
}

static cause_t schedule_activity(struct context *c)
{
    const Pb__ScheduleActivityTaskCommandAttributes *k =
        c->command->schedule_activity_task_command_attributes;
    Pb__EmbeddedRun *s = c->run->s;
    if (!id_ok(k->activity_id))
        return refuse(c, "ActivityId is not set or too long on command");
    if (!k->activity_type || !id_ok(k->activity_type->name))
        return refuse(c, "ActivityType is not set or too long on command");
    if (retry_check(k->retry_policy, c->err) < 0)
        return c->bad;
    if (activity_find_by_id(c->run, k->activity_id)) {
        err_set(c->err, ERR_INVALID, "activity id '%.200s' is in use", k->activity_id);
        return CAUSE(SCHEDULE_ACTIVITY_DUPLICATE_ID);
    }
    if (s->n_activities >= PENDING_MAX) {
        err_set(c->err, ERR_LIMIT, "the run has %d pending activities, which is the limit", PENDING_MAX);
        return CAUSE(PENDING_ACTIVITIES_LIMIT_EXCEEDED);
    }
    int64_t to_close = pbx_duration_ns(k->schedule_to_close_timeout);
    int64_t to_start = pbx_duration_ns(k->schedule_to_start_timeout);
    int64_t start_to_close = pbx_duration_ns(k->start_to_close_timeout);
    int64_t heartbeat = pbx_duration_ns(k->heartbeat_timeout);
    if (!fill_timeouts(s, &to_close, &to_start, &start_to_close, &heartbeat))
        return refuse(c, "A valid StartToClose or ScheduleToCloseTimeout is not set on command.");
    cause_t bad = check_payload(c, k->input, "ScheduleActivityTaskCommandAttributes.Input");
    if (bad)
        return bad;
    EVENT(ev, a, ACTIVITY_TASK_SCHEDULED, activity_task_scheduled, ActivityTaskScheduled);
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    Pb__RetryPolicy policy = PB__RETRY_POLICY__INIT;
    Pb__Duration initial, maximum, d1 = event_duration(to_close), d2 = event_duration(to_start),
                                   d3 = event_duration(start_to_close), d4 = event_duration(heartbeat);
    if (k->retry_policy)
        policy = *k->retry_policy;
    retry_fill_defaults(&policy, &initial, &maximum);
    queue.name = k->task_queue && *k->task_queue->name ? k->task_queue->name : s->task_queue;
    queue.kind = PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_NORMAL;
    a.activity_id = k->activity_id;
    a.activity_type = k->activity_type;
    a.task_queue = &queue;
    a.header = k->header;
    a.input = k->input;
    a.schedule_to_close_timeout = &d1;
    a.schedule_to_start_timeout = &d2;
    a.start_to_close_timeout = &d3;
    a.heartbeat_timeout = &d4;
    a.workflow_task_completed_event_id = s->completed_id;
    a.retry_policy = &policy;
    ev.user_metadata = c->command->user_metadata;
    activity_schedule(c->e, c->run, event_add(c->e, c->run, &ev), !is_eager(c, k, queue.name), &a);
    return 0;
}

static cause_t request_cancel_activity(struct context *c)
{
    int64_t id = c->command->request_cancel_activity_task_command_attributes->scheduled_event_id;
    const Pb__EmbeddedActivity *a = activity_find(c->run, id);
    if (!a && event_find_buffered(c->run, 0, id, NULL) < 0)
        return refuse(c, "no pending activity with that ScheduledEventId");
    if (!a || !a->cancel_requested)
        activity_request_cancel(c->e, c->run, id, c->req->identity);
    return 0;
}

static Pb__EmbeddedTimer **find_timer(Pb__EmbeddedRun *s, const char *timer_id)
{
    for (size_t i = 0; i < s->n_timers; i++)
        if (strcmp(s->timers[i]->timer_id, timer_id) == 0)
            return &s->timers[i];
    return NULL;
}

static cause_t start_timer(struct context *c)
{
    const Pb__StartTimerCommandAttributes *k = c->command->start_timer_command_attributes;
    Pb__EmbeddedRun *s = c->run->s;
    int64_t delay = pbx_duration_ns(k->start_to_fire_timeout);
    if (!id_ok(k->timer_id))
        return refuse(c, "TimerId is not set or too long on command");
    if (delay < 0)
        return refuse(c, "A valid StartToFireTimeout is not set on command.");
    if (find_timer(s, k->timer_id)) {
        err_set(c->err, ERR_INVALID, "timer id '%.200s' is in use", k->timer_id);
        return CAUSE(START_TIMER_DUPLICATE_ID);
    }
    EVENT(ev, a, TIMER_STARTED, timer_started, TimerStarted);
    Pb__Duration d = event_duration(delay);
    a.timer_id = k->timer_id;
    a.start_to_fire_timeout = &d;
    a.workflow_task_completed_event_id = s->completed_id;
    ev.user_metadata = c->command->user_metadata;
    int64_t id = event_add(c->e, c->run, &ev);
    Pb__EmbeddedTimer *t = mem_alloc(sizeof *t);
    Pb__EmbeddedTimer **list = mem_realloc(s->timers, (s->n_timers + 1) * sizeof *list);
    if (list)
        s->timers = list;
    if (!t || !list) {
        free(t);
        eng_nomem(c->e);
        return 0;
    }
    pb__embedded_timer__init(t);
    str_set(c->e, &t->timer_id, k->timer_id);
    t->started_id = id;
    t->fire_ns = delay > INT64_MAX / 2 ? INT64_MAX / 2 : c->e->now + delay;
    list[s->n_timers++] = t;
    return 0;
}

static cause_t cancel_timer(struct context *c)
{
    const char *timer_id = c->command->cancel_timer_command_attributes->timer_id;
    Pb__EmbeddedRun *s = c->run->s;
    Pb__EmbeddedTimer **p = find_timer(s, timer_id);
    int64_t started_id = 0;
    if (p) {
        started_id = (*p)->started_id;
        pb__embedded_timer__free_unpacked(*p, NULL);
        s->n_timers--;
        memmove(p, p + 1, (size_t)(s->timers + s->n_timers - p) * sizeof *p);
    } else {
        /* It has fired while the task was started, but the workflow has not been told: then it
         * has not fired. */
        for (size_t i = 0; i < s->n_buffered && !started_id; i++) {
            int64_t belongs = s->buffered[i]->scheduled_id;
            int at = event_find_buffered(c->run, PB__EVENT_TYPE__EVENT_TYPE_TIMER_FIRED, belongs,
                                         timer_id);
            if (at >= 0) {
                started_id = belongs;
                event_drop_buffered(c->e, c->run, at);
            }
        }
        if (!started_id)
            return refuse(c, "no pending timer with that TimerId");
    }
    EVENT(ev, a, TIMER_CANCELED, timer_canceled, TimerCanceled);
    a.timer_id = (char *)timer_id;
    a.started_event_id = started_id;
    a.workflow_task_completed_event_id = s->completed_id;
    a.identity = c->req->identity;
    event_add(c->e, c->run, &ev);
    return 0;
}

static cause_t record_marker(struct context *c)
{
    const Pb__RecordMarkerCommandAttributes *k = c->command->record_marker_command_attributes;
    if (!id_ok(k->marker_name))
        return refuse(c, "MarkerName is not set or too long on command");
    cause_t bad = check_payload(c, k, "RecordMarkerCommandAttributes.Details");
    if (bad)
        return bad;
    EVENT(ev, a, MARKER_RECORDED, marker_recorded, MarkerRecorded);
    a.marker_name = k->marker_name;
    a.n_details = k->n_details;
    a.details = (Pb__MarkerRecordedEventAttributes__DetailsEntry **)k->details;
    a.workflow_task_completed_event_id = c->run->s->completed_id;
    a.header = k->header;
    a.failure = k->failure;
    ev.user_metadata = c->command->user_metadata;
    event_add(c->e, c->run, &ev);
    return 0;
}

static cause_t signal_external(struct context *c)
{
    const Pb__SignalExternalWorkflowExecutionCommandAttributes *k =
        c->command->signal_external_workflow_execution_command_attributes;
    if (!k->execution || !id_ok(k->execution->workflow_id))
        return refuse(c, "WorkflowId is not set or too long on command");
    if (!id_ok(k->signal_name))
        return refuse(c, "SignalName is not set or too long on command");
    cause_t bad = check_payload(c, k->input, "SignalExternalWorkflowExecutionCommandAttributes.Input");
    if (bad)
        return bad;
    EVENT(ev, a, SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
          signal_external_workflow_execution_initiated, SignalExternalWorkflowExecutionInitiated);
    a.workflow_task_completed_event_id = c->run->s->completed_id;
    a.workflow_execution = k->execution;
    a.namespace_ = k->namespace_;
    a.signal_name = k->signal_name;
    a.control = k->control; /* old, but Go's SDK finds its signals by it */
    a.input = k->input;
    a.child_workflow_only = k->child_workflow_only;
    a.header = k->header;
    effect_signal(c->e, c->run, event_add(c->e, c->run, &ev), k);
    return 0;
}

static cause_t cancel_external(struct context *c)
{
    const Pb__RequestCancelExternalWorkflowExecutionCommandAttributes *k =
        c->command->request_cancel_external_workflow_execution_command_attributes;
    if (!id_ok(k->workflow_id))
        return refuse(c, "WorkflowId is not set or too long on command");
    EVENT(ev, a, REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
          request_cancel_external_workflow_execution_initiated,
          RequestCancelExternalWorkflowExecutionInitiated);
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    x.workflow_id = k->workflow_id;
    x.run_id = k->run_id;
    a.namespace_ = k->namespace_;
    a.control = k->control;
    a.workflow_task_completed_event_id = c->run->s->completed_id;
    a.workflow_execution = &x;
    a.child_workflow_only = k->child_workflow_only;
    a.reason = k->reason;
    effect_cancel(c->e, c->run, event_add(c->e, c->run, &ev), k);
    return 0;
}

static cause_t start_child(struct context *c)
{
    const Pb__StartChildWorkflowExecutionCommandAttributes *k =
        c->command->start_child_workflow_execution_command_attributes;
    Pb__EmbeddedRun *s = c->run->s;
    if (!id_ok(k->workflow_id))
        return refuse(c, "WorkflowId is not set or too long on command");
    if (!k->workflow_type || !id_ok(k->workflow_type->name))
        return refuse(c, "WorkflowType is not set or too long on command");
    if ((*k->cron_schedule && cron_check(k->cron_schedule, c->err) < 0) || retry_check(k->retry_policy, c->err) < 0 ||
        attributes_check(c->e, c->run->ns, k->search_attributes, c->err) < 0)
        return c->bad;
    cause_t bad = check_payload(c, k->input, "StartChildWorkflowExecutionCommandAttributes.Input");
    if (bad)
        return bad;
    if (s->n_children >= PENDING_MAX) {
        err_set(c->err, ERR_LIMIT, "the run has %d pending children, which is the limit", PENDING_MAX);
        return CAUSE(PENDING_CHILD_WORKFLOWS_LIMIT_EXCEEDED);
    }
    EVENT(ev, a, START_CHILD_WORKFLOW_EXECUTION_INITIATED, start_child_workflow_execution_initiated,
          StartChildWorkflowExecutionInitiated);
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    queue.name = k->task_queue && *k->task_queue->name ? k->task_queue->name : s->task_queue;
    queue.kind = PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_NORMAL;
    Pb__ParentClosePolicy policy = k->parent_close_policy
                                       ? k->parent_close_policy
                                       : PB__PARENT_CLOSE_POLICY__PARENT_CLOSE_POLICY_TERMINATE;
    Pb__Duration task_default = event_duration(START_TASK_TIMEOUT_DEFAULT_NS);
    a.namespace_ = (char *)start_namespace(c->e, c->run->ns);
    a.control = k->control;
    a.workflow_id = k->workflow_id;
    a.workflow_type = k->workflow_type;
    a.task_queue = &queue;
    a.input = k->input;
    a.workflow_execution_timeout = k->workflow_execution_timeout;
    a.workflow_run_timeout = k->workflow_run_timeout;
    a.workflow_task_timeout =
        pbx_duration_ns(k->workflow_task_timeout) ? k->workflow_task_timeout : &task_default;
    a.parent_close_policy = policy;
    a.workflow_task_completed_event_id = s->completed_id;
    a.workflow_id_reuse_policy =
        k->workflow_id_reuse_policy
            ? k->workflow_id_reuse_policy
            : PB__WORKFLOW_ID_REUSE_POLICY__WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE;
    a.retry_policy = k->retry_policy;
    a.cron_schedule = k->cron_schedule;
    a.header = k->header;
    a.memo = k->memo;
    a.search_attributes = k->search_attributes;
    ev.user_metadata = c->command->user_metadata;
    int64_t id = event_add(c->e, c->run, &ev);
    Pb__EmbeddedChild *child = mem_alloc(sizeof *child);
    Pb__EmbeddedChild **list = mem_realloc(s->children, (s->n_children + 1) * sizeof *list);
    if (list)
        s->children = list;
    if (!child || !list) {
        free(child);
        eng_nomem(c->e);
        return 0;
    }
    pb__embedded_child__init(child);
    child->initiated_id = id;
    child->policy = policy;
    str_set(c->e, &child->workflow_id, k->workflow_id);
    str_set(c->e, &child->workflow_type, k->workflow_type->name);
    list[s->n_children++] = child;
    effect_start_child(c->e, c->run, id, k);
    return 0;
}

static cause_t complete(struct context *c)
{
    const Pb__Payloads *result = c->command->complete_workflow_execution_command_attributes->result;
    cause_t bad = check_payload(c, result, "CompleteWorkflowExecutionCommandAttributes.Result");
    if (!bad)
        close_completed(c->e, c->run, result);
    return bad;
}

static cause_t fail(struct context *c)
{
    const Pb__Failure *f = c->command->fail_workflow_execution_command_attributes->failure;
    if (!f)
        return refuse(c, "Failure is not set on command.");
    cause_t bad = check_payload(c, f, "FailWorkflowExecutionCommandAttributes.Failure");
    if (!bad)
        close_failed(c->e, c->run, f);
    return bad;
}

static cause_t cancel(struct context *c)
{
    const Pb__Payloads *details = c->command->cancel_workflow_execution_command_attributes->details;
    cause_t bad = check_payload(c, details, "CancelWorkflowExecutionCommandAttributes.Details");
    if (!bad)
        close_canceled(c->e, c->run, details);
    return bad;
}

static cause_t continue_as_new(struct context *c)
{
    const Pb__ContinueAsNewWorkflowExecutionCommandAttributes *k =
        c->command->continue_as_new_workflow_execution_command_attributes;
    if (k->workflow_type && strlen(k->workflow_type->name) > ENGINE_ID_MAX)
        return refuse(c, "WorkflowType is too long on command");
    if ((*k->cron_schedule && cron_check(k->cron_schedule, c->err) < 0) || retry_check(k->retry_policy, c->err) < 0 ||
        attributes_check(c->e, c->run->ns, k->search_attributes, c->err) < 0)
        return c->bad;
    cause_t bad = check_payload(c, k->input, "ContinueAsNewWorkflowExecutionCommandAttributes.Input");
    if (!bad)
        close_continued_as_new(c->e, c->run, k);
    return bad;
}

static cause_t modify_properties(struct context *c)
{
    const Pb__Memo *up = c->command->modify_workflow_properties_command_attributes->upserted_memo;
    Pb__EmbeddedRun *s = c->run->s;
    if (!up)
        return refuse(c, "UpsertedMemo is not set on command");
    cause_t bad = check_payload(c, up, "ModifyWorkflowPropertiesCommandAttributes.UpsertedMemo");
    if (bad)
        return bad;
    Pb__Memo *merged = NULL;
    msg_set(c->e, &merged, s->memo);
    fields_merge_memo(c->e, &merged, up);
    if (too_large(merged)) {
        engine_free_message((ProtobufCMessage *)merged);
        return refuse(c, "the memo would exceed its size limit");
    }
    EVENT(ev, a, WORKFLOW_PROPERTIES_MODIFIED, workflow_properties_modified,
          WorkflowPropertiesModified);
    a.workflow_task_completed_event_id = s->completed_id;
    a.upserted_memo = (Pb__Memo *)up;
    event_add(c->e, c->run, &ev);
    engine_free_message((ProtobufCMessage *)s->memo);
    s->memo = merged;
    return 0;
}

static cause_t upsert_search_attributes(struct context *c)
{
    const Pb__SearchAttributes *up =
        c->command->upsert_workflow_search_attributes_command_attributes->search_attributes;
    Pb__EmbeddedRun *s = c->run->s;
    if (!up || !up->n_indexed_fields)
        return refuse(c, "IndexedFields is empty on UpsertWorkflowSearchAttributesCommandAttributes");
    if (attributes_check(c->e, c->run->ns, up, c->err) < 0)
        return c->bad;
    Pb__SearchAttributes *merged = NULL;
    msg_set(c->e, &merged, s->search_attributes);
    fields_merge_attributes(c->e, &merged, up);
    if (merged && protobuf_c_message_get_packed_size(&merged->base) > ENGINE_SEARCH_ATTRIBUTES_MAX) {
        engine_free_message((ProtobufCMessage *)merged);
        return refuse(c, "the search attributes would exceed their size limit");
    }
    EVENT(ev, a, UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, upsert_workflow_search_attributes,
          UpsertWorkflowSearchAttributes);
    a.workflow_task_completed_event_id = s->completed_id;
    a.search_attributes = (Pb__SearchAttributes *)up;
    event_add(c->e, c->run, &ev);
    engine_free_message((ProtobufCMessage *)s->search_attributes);
    s->search_attributes = merged;
    c->run->attributes_changed = true;
    return 0;
}

/* Says where among the commands a message has its place. */
static cause_t protocol_message(struct context *c)
{
    const char *id = c->command->protocol_message_command_attributes->message_id;
    if (!*id)
        return refuse(c, "MessageId is not set on ProtocolMessageCommand.");
    for (size_t i = 0; i < c->req->n_messages; i++)
        if (!c->taken[i] && strcmp(c->req->messages[i]->id, id) == 0) {
            c->taken[i] = true;
            return update_message(c->e, c->run, c->req->messages[i], c->err);
        }
    return refuse(c, "ProtocolMessageCommand referenced absent message");
}

struct command_type {
    cause_t (*apply)(struct context *);
    Pb__Command__AttributesCase attributes;
    cause_t bad;
    bool closes;
};

static const struct command_type types[] = {
#define COMMAND(NAME, ATTRIBUTES, handler, BAD, closing)                                           \
    [PB__COMMAND_TYPE__COMMAND_TYPE_##NAME] = {                                                    \
        handler, PB__COMMAND__ATTRIBUTES_##ATTRIBUTES##_COMMAND_ATTRIBUTES, CAUSE(BAD), closing}
    COMMAND(SCHEDULE_ACTIVITY_TASK, SCHEDULE_ACTIVITY_TASK, schedule_activity,
            BAD_SCHEDULE_ACTIVITY_ATTRIBUTES, false),
    COMMAND(REQUEST_CANCEL_ACTIVITY_TASK, REQUEST_CANCEL_ACTIVITY_TASK, request_cancel_activity,
            BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES, false),
    COMMAND(START_TIMER, START_TIMER, start_timer, BAD_START_TIMER_ATTRIBUTES, false),
    COMMAND(CANCEL_TIMER, CANCEL_TIMER, cancel_timer, BAD_CANCEL_TIMER_ATTRIBUTES, false),
    COMMAND(RECORD_MARKER, RECORD_MARKER, record_marker, BAD_RECORD_MARKER_ATTRIBUTES, false),
    COMMAND(SIGNAL_EXTERNAL_WORKFLOW_EXECUTION, SIGNAL_EXTERNAL_WORKFLOW_EXECUTION, signal_external,
            BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES, false),
    COMMAND(REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION, REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION,
            cancel_external, BAD_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_ATTRIBUTES, false),
    COMMAND(START_CHILD_WORKFLOW_EXECUTION, START_CHILD_WORKFLOW_EXECUTION, start_child,
            BAD_START_CHILD_EXECUTION_ATTRIBUTES, false),
    COMMAND(PROTOCOL_MESSAGE, PROTOCOL_MESSAGE, protocol_message, BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE, false),
    COMMAND(MODIFY_WORKFLOW_PROPERTIES, MODIFY_WORKFLOW_PROPERTIES, modify_properties,
            BAD_MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES, false),
    COMMAND(UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, upsert_search_attributes,
            BAD_SEARCH_ATTRIBUTES, false),
    COMMAND(COMPLETE_WORKFLOW_EXECUTION, COMPLETE_WORKFLOW_EXECUTION, complete,
            BAD_COMPLETE_WORKFLOW_EXECUTION_ATTRIBUTES, true),
    COMMAND(FAIL_WORKFLOW_EXECUTION, FAIL_WORKFLOW_EXECUTION, fail,
            BAD_FAIL_WORKFLOW_EXECUTION_ATTRIBUTES, true),
    COMMAND(CANCEL_WORKFLOW_EXECUTION, CANCEL_WORKFLOW_EXECUTION, cancel,
            BAD_CANCEL_WORKFLOW_EXECUTION_ATTRIBUTES, true),
    COMMAND(CONTINUE_AS_NEW_WORKFLOW_EXECUTION, CONTINUE_AS_NEW_WORKFLOW_EXECUTION, continue_as_new,
            BAD_CONTINUE_AS_NEW_ATTRIBUTES, true),
#undef COMMAND
};

static const struct command_type *type_of(const Pb__Command *k)
{
    return (size_t)k->command_type < sizeof types / sizeof *types ? &types[k->command_type] : NULL;
}

int commands_check_sequence(const Pb__RespondWorkflowTaskCompletedRequest *req, struct err *err)
{
    for (size_t i = 0; i + 1 < req->n_commands; i++) {
        const struct command_type *t = type_of(req->commands[i]);
        if (t && t->apply && t->closes)
            return err_set(err, ERR_INVALID, "invalid command sequence: command %zu of %zu closes the run, and must be the last",
                           i + 1, req->n_commands);
    }
    return 0;
}

void commands_apply(struct eng *e, struct run *run, const Pb__RespondWorkflowTaskCompletedRequest *req,
                    bool buffered, struct command_failure *ret)
{
    ret->cause = 0;
    VEC_CLEAR(&e->eager);
    bool *taken = arena_alloc(&e->arena, req->n_messages + 1);
    if (!taken) {
        eng_nomem(e);
        return;
    }
    memset(taken, 0, req->n_messages + 1);
    for (size_t i = 0; i < req->n_commands && run_is_open(run); i++) {
        const Pb__Command *k = req->commands[i];
        const struct command_type *t = type_of(k);
        if (!t || !t->apply) {
            err_set(&ret->err, ERR_UNIMPLEMENTED, "command type %d is not supported",
                    (int)k->command_type);
            ret->cause = CAUSE(FEATURE_DISABLED);
            return;
        }
        struct context c = {.e = e, .run = run, .command = k, .err = &ret->err, .bad = t->bad,
                            .terminate = &ret->terminate,
                            .req = req, .taken = taken};
        if (k->attributes_case != t->attributes) {
            ret->cause = refuse(&c, "the attributes of its type are not set on a command");
            return;
        }
        if (t->closes && buffered && run->s->n_buffered) { /* a cancelled timer may have emptied the buffer */
            err_set(&ret->err, ERR_INVALID, "UnhandledCommand");
            ret->cause = CAUSE(UNHANDLED_COMMAND);
            return;
        }
        ret->cause = t->apply(&c);
        if (ret->cause)
            return;
    }
    for (size_t i = 0; i < req->n_messages && !ret->cause; i++)
        if (!taken[i])
            ret->cause = update_message(e, run, req->messages[i], &ret->err);
}
