#include "lab.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/vec.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "os/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define REMOTE_POLL_MS 2500 /* Temporal refuses polls of less than two seconds and answers them empty one before */
#define REMOTE_LIST_MS 10000
#define FIRST_NS INT64_C(60000000000)

/* What lab_clean() frees: messages as messages, the rest as memory. */
static VEC(ProtobufCMessage *) kept;
static VEC(void *) plain;
static VEC(struct lab_run) runs;

void *lab_keep(void *message)
{
    if (message)
        assert_true(VEC_PUSH(&kept, (ProtobufCMessage *)message));
    return message;
}

static void *keep_plain(void *p)
{
    assert_non_null(p);
    assert_true(VEC_PUSH(&plain, p));
    return p;
}

void lab_clean(void)
{
    VEC_EACH(&kept, m)
        engine_free_message(*m);
    VEC_EACH(&plain, p)
        free(*p);
    VEC_RELEASE(&kept);
    VEC_RELEASE(&plain);
    VEC_RELEASE(&runs);
}

/* Memory that lives until lab_clean(), zeroed. */
static void *room(size_t n)
{
    return keep_plain(calloc(1, n ? n : 1));
}

static char *text_of(const char *s)
{
    return s ? keep_plain(strdup(s)) : (char *)protobuf_c_empty_string;
}

#define MESSAGE(type, lower)                                                                       \
    ({                                                                                             \
        type *message_ = room(sizeof *message_);                                                   \
        lower##__init(message_);                                                                   \
        message_;                                                                                  \
    })

static char *ns_of(struct lab *l)
{
    return text_of(l->ns ? l->ns : "default");
}

size_t lab_seen_count(void)
{
    return runs.len;
}

const struct lab_run *lab_seen(size_t i)
{
    return &runs.v[i];
}

static void saw(struct lab *l, const char *workflow_id, const char *run_id)
{
    VEC_EACH(&runs, r)
        if (strcmp(r->run_id, run_id) == 0)
            return;
    struct lab_run r = {ns_of(l), text_of(workflow_id), text_of(run_id)};
    assert_true(VEC_PUSH(&runs, r));
}

static int64_t poll_ms(const struct lab *l, int64_t wait_ms)
{
    return l->remote && wait_ms && wait_ms < REMOTE_POLL_MS ? REMOTE_POLL_MS : wait_ms;
}

Pb__Payloads *lab_payloads(const char *json)
{
    if (!json)
        return NULL;
    json_t *j;
    struct err err = {0};
    assert_int_equal(json_parse(json, strlen(json), STRBUF_MAX_DEFAULT, &j, &err), 0);
    Pb__Payloads *p = pbx_json_payloads(j);
    json_decref(j);
    assert_non_null(p);
    return lab_keep(p);
}

Pb__Duration *lab_duration_ms(int64_t ms)
{
    if (!ms)
        return NULL;
    Pb__Duration *d = MESSAGE(Pb__Duration, pb__duration);
    d->seconds = ms / 1000;
    d->nanos = (int32_t)(ms % 1000) * 1000000;
    return d;
}

const char *lab_text(const Pb__Payloads *p)
{
    if (!p || !p->n_payloads)
        return "";
    char *s = room(p->payloads[0]->data.len + 1);
    if (p->payloads[0]->data.len)
        memcpy(s, p->payloads[0]->data.data, p->payloads[0]->data.len);
    return s;
}

int lab_call(struct lab *l, enum engine_method m, const void *req, int64_t timeout_ms, void *ret,
             struct err *err)
{
    ProtobufCMessage *resp = NULL, *detail = NULL;
    struct err local = {0};
    int r = engine_call_detail(l->engine, m, req, timeout_ms, &resp, &detail, err ? err : &local);
    assert_int_equal(r == 0, resp != NULL);
    if (detail)
        assert_non_null(engine_detail_name(detail->descriptor));
    lab_keep(resp);
    l->detail = lab_keep(detail);
    if (ret)
        *(ProtobufCMessage **)ret = resp;
    return r;
}

static Pb__TaskQueue *queue_of(const char *name)
{
    Pb__TaskQueue *q = MESSAGE(Pb__TaskQueue, pb__task_queue);
    q->name = text_of(name ? name : LAB_QUEUE);
    q->kind = PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_NORMAL;
    return q;
}

static Pb__WorkflowExecution *execution_of(const char *id, const char *run_id)
{
    Pb__WorkflowExecution *x = MESSAGE(Pb__WorkflowExecution, pb__workflow_execution);
    x->workflow_id = text_of(id);
    x->run_id = text_of(run_id ? run_id : "");
    return x;
}

static Pb__Memo *memo_of(const char *json)
{
    Pb__Memo *m = MESSAGE(Pb__Memo, pb__memo);
    Pb__Memo__FieldsEntry *e = MESSAGE(Pb__Memo__FieldsEntry, pb__memo__fields_entry);
    m->fields = room(sizeof *m->fields);
    m->fields[0] = e;
    m->n_fields = 1;
    e->key = text_of("m");
    e->value = lab_payloads(json)->payloads[0];
    return m;
}

int lab_try_start(struct lab *l, const struct lab_start *s, Pb__StartWorkflowExecutionResponse **ret,
                  struct err *err)
{
    Pb__StartWorkflowExecutionRequest q = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    type.name = text_of(s->type ? s->type : "wf");
    q.namespace_ = ns_of(l);
    q.workflow_id = text_of(s->id);
    q.workflow_type = &type;
    q.task_queue = queue_of(s->queue);
    q.input = lab_payloads(s->input);
    q.identity = text_of("lab");
    q.request_id = text_of(s->request_id);
    q.workflow_execution_timeout = lab_duration_ms(s->execution_ms);
    q.workflow_run_timeout = lab_duration_ms(s->run_ms);
    q.workflow_task_timeout = lab_duration_ms(s->task_ms);
    q.workflow_start_delay = lab_duration_ms(s->delay_ms);
    q.request_eager_execution = s->eager;
    q.workflow_id_reuse_policy = s->reuse;
    q.workflow_id_conflict_policy = s->conflict;
    q.retry_policy = (Pb__RetryPolicy *)s->retry;
    q.cron_schedule = text_of(s->cron);
    q.memo = s->memo ? memo_of(s->memo) : NULL;
    q.search_attributes = (Pb__SearchAttributes *)s->attributes;
    Pb__StartWorkflowExecutionResponse *r = NULL;
    int x = lab_call(l, ENGINE_START_WORKFLOW, &q, 0, &r, err);
    if (x == 0)
        saw(l, s->id, r->run_id);
    if (ret)
        *ret = r;
    return x;
}

const char *lab_start(struct lab *l, const struct lab_start *s)
{
    Pb__StartWorkflowExecutionResponse *r;
    struct err err = {0};
    if (lab_try_start(l, s, &r, &err) < 0)
        fail_msg("start %s: %s", s->id, err.msg);
    return r->run_id;
}

const char *lab_start_id(struct lab *l, const char *id)
{
    return lab_start(l, &(struct lab_start){.id = id});
}

int lab_try_signal(struct lab *l, const char *id, const char *name, const char *input,
                   const char *request_id)
{
    Pb__SignalWorkflowExecutionRequest q = PB__SIGNAL_WORKFLOW_EXECUTION_REQUEST__INIT;
    q.namespace_ = ns_of(l);
    q.workflow_execution = execution_of(id, NULL);
    q.signal_name = text_of(name);
    q.input = lab_payloads(input);
    q.request_id = text_of(request_id);
    return lab_call(l, ENGINE_SIGNAL_WORKFLOW, &q, 0, NULL, NULL);
}

void lab_signal(struct lab *l, const char *id, const char *name)
{
    assert_int_equal(lab_try_signal(l, id, name, NULL, NULL), 0);
}

void lab_cancel(struct lab *l, const char *id)
{
    Pb__RequestCancelWorkflowExecutionRequest q = PB__REQUEST_CANCEL_WORKFLOW_EXECUTION_REQUEST__INIT;
    q.namespace_ = ns_of(l);
    q.workflow_execution = execution_of(id, NULL);
    assert_int_equal(lab_call(l, ENGINE_REQUEST_CANCEL, &q, 0, NULL, NULL), 0);
}

int lab_try_terminate(struct lab *l, const char *id, const char *reason)
{
    Pb__TerminateWorkflowExecutionRequest q = PB__TERMINATE_WORKFLOW_EXECUTION_REQUEST__INIT;
    q.namespace_ = ns_of(l);
    q.workflow_execution = execution_of(id, NULL);
    q.reason = text_of(reason);
    q.identity = text_of("lab");
    return lab_call(l, ENGINE_TERMINATE, &q, 0, NULL, NULL);
}

Pb__PollWorkflowTaskQueueResponse *lab_poll_on(struct lab *l, const char *queue, const char *normal,
                                               int64_t wait_ms)
{
    Pb__PollWorkflowTaskQueueRequest q = PB__POLL_WORKFLOW_TASK_QUEUE_REQUEST__INIT;
    q.namespace_ = ns_of(l);
    q.task_queue = queue_of(queue);
    q.identity = text_of("worker");
    if (normal) {
        q.task_queue->kind = PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_STICKY;
        q.task_queue->normal_name = text_of(normal);
    }
    Pb__PollWorkflowTaskQueueResponse *r;
    assert_int_equal(lab_call(l, ENGINE_POLL_WORKFLOW_TASK, &q, poll_ms(l, wait_ms), &r, NULL), 0);
    if (!r->task_token.len)
        return NULL;
    saw(l, r->workflow_execution->workflow_id, r->workflow_execution->run_id);
    return r;
}

Pb__PollWorkflowTaskQueueResponse *lab_poll(struct lab *l)
{
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll_on(l, LAB_QUEUE, NULL, 10000);
    if (!t)
        fail_msg("no workflow task came");
    return t;
}

bool lab_no_task(struct lab *l)
{
    return !lab_poll_on(l, LAB_QUEUE, NULL, 50);
}

static Pb__PollActivityTaskQueueRequest activity_poll(struct lab *l, const char *queue)
{
    Pb__PollActivityTaskQueueRequest q = PB__POLL_ACTIVITY_TASK_QUEUE_REQUEST__INIT;
    q.namespace_ = ns_of(l);
    q.task_queue = queue_of(queue);
    q.identity = text_of("worker");
    return q;
}

struct lab_pending *lab_begin_poll_activity(struct lab *l)
{
    Pb__PollActivityTaskQueueRequest q = activity_poll(l, LAB_QUEUE);
    return lab_begin(l, ENGINE_POLL_ACTIVITY_TASK, &q, 60000);
}

Pb__PollActivityTaskQueueResponse *lab_poll_activity_on(struct lab *l, const char *queue,
                                                        int64_t wait_ms)
{
    Pb__PollActivityTaskQueueRequest q = activity_poll(l, queue);
    Pb__PollActivityTaskQueueResponse *r;
    assert_int_equal(lab_call(l, ENGINE_POLL_ACTIVITY_TASK, &q, poll_ms(l, wait_ms), &r, NULL), 0);
    return r->task_token.len ? r : NULL;
}

Pb__PollActivityTaskQueueResponse *lab_poll_activity(struct lab *l)
{
    Pb__PollActivityTaskQueueResponse *t = lab_poll_activity_on(l, LAB_QUEUE, 10000);
    if (!t)
        fail_msg("no activity task came");
    return t;
}

bool lab_no_activity(struct lab *l)
{
    return !lab_poll_activity_on(l, LAB_QUEUE, 50);
}

/* A command k and its attributes a. */
#define COMMAND(k, a, UPPER, lower, Camel)                                                         \
    Pb__Command *k = MESSAGE(Pb__Command, pb__command);                                            \
    Pb__##Camel##CommandAttributes *a =                                                            \
        MESSAGE(Pb__##Camel##CommandAttributes, pb__##lower##_command_attributes);                 \
    k->command_type = PB__COMMAND_TYPE__COMMAND_TYPE_##UPPER;                                      \
    k->attributes_case = PB__COMMAND__ATTRIBUTES_##UPPER##_COMMAND_ATTRIBUTES;                     \
    k->lower##_command_attributes = a

static Pb__Failure *failure_of(const char *message, const char *type, bool non_retryable)
{
    return lab_keep(pbx_app_failure(message, type, non_retryable, NULL));
}

Pb__Command *cmd_complete(const char *result)
{
    COMMAND(k, a, COMPLETE_WORKFLOW_EXECUTION, complete_workflow_execution, CompleteWorkflowExecution);
    a->result = lab_payloads(result);
    return k;
}

Pb__Command *cmd_fail(const char *message)
{
    COMMAND(k, a, FAIL_WORKFLOW_EXECUTION, fail_workflow_execution, FailWorkflowExecution);
    a->failure = failure_of(message, "T", false);
    return k;
}

Pb__Command *cmd_cancel(void)
{
    COMMAND(k, a, CANCEL_WORKFLOW_EXECUTION, cancel_workflow_execution, CancelWorkflowExecution);
    (void)a;
    return k;
}

Pb__Command *cmd_timer(const char *id, int64_t ms)
{
    COMMAND(k, a, START_TIMER, start_timer, StartTimer);
    a->timer_id = text_of(id);
    a->start_to_fire_timeout = lab_duration_ms(ms);
    return k;
}

Pb__Command *cmd_cancel_timer(const char *id)
{
    COMMAND(k, a, CANCEL_TIMER, cancel_timer, CancelTimer);
    a->timer_id = text_of(id);
    return k;
}

Pb__Command *cmd_marker(const char *name)
{
    COMMAND(k, a, RECORD_MARKER, record_marker, RecordMarker);
    a->marker_name = text_of(name);
    return k;
}

Pb__Command *cmd_activity(const struct lab_activity *o)
{
    COMMAND(k, a, SCHEDULE_ACTIVITY_TASK, schedule_activity_task, ScheduleActivityTask);
    a->activity_id = text_of(o->id);
    a->activity_type = MESSAGE(Pb__ActivityType, pb__activity_type);
    a->activity_type->name = text_of(o->type ? o->type : "act");
    a->task_queue = queue_of(o->queue);
    a->input = lab_payloads(o->input);
    a->request_eager_execution = o->eager;
    bool none = !o->to_close_ms && !o->start_to_close_ms;
    a->schedule_to_close_timeout = lab_duration_ms(o->to_close_ms);
    a->schedule_to_start_timeout = lab_duration_ms(o->to_start_ms);
    a->start_to_close_timeout = lab_duration_ms(none ? 60000 : o->start_to_close_ms);
    a->heartbeat_timeout = lab_duration_ms(o->heartbeat_ms);
    a->retry_policy = MESSAGE(Pb__RetryPolicy, pb__retry_policy);
    a->retry_policy->maximum_attempts = o->attempts;
    a->retry_policy->initial_interval = lab_duration_ms(o->retry_ms);
    if (o->no_retry) {
        a->retry_policy->non_retryable_error_types = room(sizeof(char *));
        a->retry_policy->non_retryable_error_types[0] = text_of(o->no_retry);
        a->retry_policy->n_non_retryable_error_types = 1;
    }
    return k;
}

Pb__Command *cmd_cancel_activity(int64_t scheduled_id)
{
    COMMAND(k, a, REQUEST_CANCEL_ACTIVITY_TASK, request_cancel_activity_task,
            RequestCancelActivityTask);
    a->scheduled_event_id = scheduled_id;
    return k;
}

Pb__Command *cmd_signal(const char *id, const char *name)
{
    COMMAND(k, a, SIGNAL_EXTERNAL_WORKFLOW_EXECUTION, signal_external_workflow_execution,
            SignalExternalWorkflowExecution);
    a->execution = execution_of(id, NULL);
    a->signal_name = text_of(name);
    return k;
}

Pb__Command *cmd_cancel_external(const char *id)
{
    COMMAND(k, a, REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION,
            request_cancel_external_workflow_execution, RequestCancelExternalWorkflowExecution);
    a->workflow_id = text_of(id);
    return k;
}

Pb__Command *cmd_child(const char *id, Pb__ParentClosePolicy policy)
{
    COMMAND(k, a, START_CHILD_WORKFLOW_EXECUTION, start_child_workflow_execution,
            StartChildWorkflowExecution);
    a->workflow_id = text_of(id);
    a->workflow_type = MESSAGE(Pb__WorkflowType, pb__workflow_type);
    a->workflow_type->name = text_of("child");
    a->parent_close_policy = policy;
    return k;
}

Pb__Command *cmd_continue(const char *input)
{
    COMMAND(k, a, CONTINUE_AS_NEW_WORKFLOW_EXECUTION, continue_as_new_workflow_execution,
            ContinueAsNewWorkflowExecution);
    a->input = lab_payloads(input);
    return k;
}

static Pb__RespondWorkflowTaskCompletedRequest__QueryResultsEntry *query_result(const char *id,
                                                                                const char *answer)
{
    Pb__RespondWorkflowTaskCompletedRequest__QueryResultsEntry *e =
        MESSAGE(Pb__RespondWorkflowTaskCompletedRequest__QueryResultsEntry,
                pb__respond_workflow_task_completed_request__query_results_entry);
    e->key = text_of(id);
    e->value = MESSAGE(Pb__WorkflowQueryResult, pb__workflow_query_result);
    e->value->result_type = PB__QUERY_RESULT_TYPE__QUERY_RESULT_TYPE_ANSWERED;
    e->value->answer = lab_payloads(answer);
    return e;
}

int lab_try_complete(struct lab *l, const Pb__PollWorkflowTaskQueueResponse *t,
                     const struct lab_complete *o, Pb__Command **commands, size_t n,
                     Pb__RespondWorkflowTaskCompletedResponse **ret, struct err *err)
{
    Pb__RespondWorkflowTaskCompletedRequest q = PB__RESPOND_WORKFLOW_TASK_COMPLETED_REQUEST__INIT;
    Pb__StickyExecutionAttributes sticky = PB__STICKY_EXECUTION_ATTRIBUTES__INIT;
    Pb__RespondWorkflowTaskCompletedRequest__QueryResultsEntry *entry;
    q.namespace_ = ns_of(l);
    q.identity = text_of("worker");
    q.task_token = t->task_token;
    q.commands = commands;
    q.n_commands = n;
    if (o && o->sticky) {
        sticky.worker_task_queue = queue_of(o->sticky);
        sticky.schedule_to_start_timeout = lab_duration_ms(o->sticky_ms);
        q.sticky_attributes = &sticky;
    }
    if (o && o->query_id) {
        entry = query_result(o->query_id, o->query_answer);
        q.query_results = &entry;
        q.n_query_results = 1;
    }
    if (o) {
        q.force_create_new_workflow_task = o->force_new;
        q.return_new_workflow_task = o->return_new;
    }
    return lab_call(l, ENGINE_COMPLETE_WORKFLOW_TASK, &q, 0, ret, err);
}

/* commands[0] is a filler. */
void lab_complete_(struct lab *l, const Pb__PollWorkflowTaskQueueResponse *t, Pb__Command **commands,
                   size_t n)
{
    struct err err = {0};
    if (lab_try_complete(l, t, NULL, commands + 1, n - 1, NULL, &err) < 0)
        fail_msg("complete workflow task: %s", err.msg);
}

int lab_fail_task(struct lab *l, const Pb__PollWorkflowTaskQueueResponse *t, const char *message)
{
    Pb__RespondWorkflowTaskFailedRequest q = PB__RESPOND_WORKFLOW_TASK_FAILED_REQUEST__INIT;
    q.namespace_ = ns_of(l);
    q.task_token = t->task_token;
    q.cause = PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE;
    q.failure = failure_of(message, "T", false);
    return lab_call(l, ENGINE_FAIL_WORKFLOW_TASK, &q, 0, NULL, NULL);
}

int lab_activity_done(struct lab *l, const Pb__PollActivityTaskQueueResponse *t, const char *result)
{
    Pb__RespondActivityTaskCompletedRequest q = PB__RESPOND_ACTIVITY_TASK_COMPLETED_REQUEST__INIT;
    q.namespace_ = ns_of(l);
    q.task_token = t->task_token;
    q.result = lab_payloads(result);
    q.identity = text_of("worker");
    return lab_call(l, ENGINE_COMPLETE_ACTIVITY, &q, 0, NULL, NULL);
}

int lab_activity_fail(struct lab *l, const Pb__PollActivityTaskQueueResponse *t, const char *type,
                      bool non_retryable)
{
    Pb__RespondActivityTaskFailedRequest q = PB__RESPOND_ACTIVITY_TASK_FAILED_REQUEST__INIT;
    q.namespace_ = ns_of(l);
    q.task_token = t->task_token;
    q.failure = failure_of("it failed", type, non_retryable);
    q.identity = text_of("worker");
    return lab_call(l, ENGINE_FAIL_ACTIVITY, &q, 0, NULL, NULL);
}

int lab_activity_canceled(struct lab *l, const Pb__PollActivityTaskQueueResponse *t)
{
    Pb__RespondActivityTaskCanceledRequest q = PB__RESPOND_ACTIVITY_TASK_CANCELED_REQUEST__INIT;
    q.namespace_ = ns_of(l);
    q.task_token = t->task_token;
    return lab_call(l, ENGINE_CANCEL_ACTIVITY, &q, 0, NULL, NULL);
}

int lab_heartbeat(struct lab *l, const Pb__PollActivityTaskQueueResponse *t, const char *details)
{
    Pb__RecordActivityTaskHeartbeatRequest q = PB__RECORD_ACTIVITY_TASK_HEARTBEAT_REQUEST__INIT;
    Pb__RecordActivityTaskHeartbeatResponse *r;
    q.namespace_ = ns_of(l);
    q.task_token = t->task_token;
    q.details = lab_payloads(details);
    int x = lab_call(l, ENGINE_HEARTBEAT, &q, 0, &r, NULL);
    return x < 0 ? x : r->cancel_requested;
}

Pb__DescribeWorkflowExecutionResponse *lab_describe(struct lab *l, const char *id, const char *run_id)
{
    Pb__DescribeWorkflowExecutionRequest q = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__DescribeWorkflowExecutionResponse *r;
    struct err err = {0};
    q.namespace_ = ns_of(l);
    q.execution = execution_of(id, run_id);
    if (lab_call(l, ENGINE_DESCRIBE, &q, 0, &r, &err) < 0)
        fail_msg("describe %s: %s", id, err.msg);
    return r;
}

Pb__WorkflowExecutionStatus lab_status(struct lab *l, const char *id, const char *run_id)
{
    return lab_describe(l, id, run_id)->workflow_execution_info->status;
}

/* All pages, put together. */
static Pb__History *read_history(struct lab *l, const char *id, const char *run_id, struct err *err)
{
    Pb__GetWorkflowExecutionHistoryRequest q = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__GetWorkflowExecutionHistoryResponse *r;
    Pb__History *all = malloc(sizeof *all);
    assert_non_null(all);
    pb__history__init(all);
    lab_keep(all);
    q.namespace_ = ns_of(l);
    q.execution = execution_of(id, run_id);
    do {
        if (lab_call(l, ENGINE_GET_HISTORY, &q, 0, &r, err) < 0)
            return NULL;
        size_t n = r->history->n_events;
        all->events = realloc(all->events, (all->n_events + n + 1) * sizeof *all->events);
        memcpy(all->events + all->n_events, r->history->events, n * sizeof *all->events);
        all->n_events += n;
        r->history->n_events = 0;
        q.next_page_token = r->next_page_token;
    } while (q.next_page_token.len);
    for (size_t i = 0; i < all->n_events; i++)
        assert_int_equal(all->events[i]->event_id, i + 1);
    return all;
}

Pb__History *lab_try_history(struct lab *l, const char *id, const char *run_id)
{
    struct err err = {0};
    return read_history(l, id, run_id, &err);
}

Pb__History *lab_history(struct lab *l, const char *id, const char *run_id)
{
    struct err err = {0};
    Pb__History *h = read_history(l, id, run_id, &err);
    if (!h)
        fail_msg("history of %s: %s", id, err.msg);
    return h;
}

/* "EVENT_TYPE_TIMER_FIRED" as "TimerFired". */
static void put_type(struct strbuf *b, Pb__EventType type)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(&pb__event_type__descriptor, type);
    bool first = true;
    assert_non_null(v);
    for (const char *p = v->name + strlen("EVENT_TYPE_"); *p; p++) {
        if (*p == '_')
            first = true;
        else {
            strbuf_putc(b, first ? *p : (char)(*p - 'A' + 'a'));
            first = false;
        }
    }
}

const char *lab_events_text(const Pb__History *h)
{
    struct strbuf b = STRBUF_INIT;
    for (size_t i = 0; i < h->n_events; i++) {
        if (i)
            strbuf_putc(&b, ' ');
        put_type(&b, h->events[i]->event_type);
    }
    return h->n_events ? keep_plain(strbuf_take(&b, NULL)) : "";
}

const char *lab_history_text(struct lab *l, const char *id, const char *run_id)
{
    return lab_events_text(lab_history(l, id, run_id));
}

void lab_expect_history(struct lab *l, const char *id, const char *run_id, const char *expected)
{
    assert_string_equal(lab_history_text(l, id, run_id), expected);
}

const Pb__HistoryEvent *lab_event(struct lab *l, const char *id, const char *run_id, Pb__EventType type)
{
    Pb__History *h = lab_history(l, id, run_id);
    for (size_t i = h->n_events; i-- > 0;)
        if (h->events[i]->event_type == type)
            return h->events[i];
    fail_msg("no such event in %s", lab_events_text(h));
    return NULL;
}

void lab_wait_status(struct lab *l, const char *id, Pb__WorkflowExecutionStatus status)
{
    for (int i = 0; l->remote && i < 200 && lab_status(l, id, NULL) != status; i++)
        os_sleep_ms(20);
    assert_int_equal(lab_status(l, id, NULL), status);
}

Pb__WorkflowExecutionStatus lab_wait_closed(struct lab *l, const char *id, const char *run_id)
{
    Pb__GetWorkflowExecutionHistoryRequest q = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__GetWorkflowExecutionHistoryResponse *r;
    q.namespace_ = ns_of(l);
    q.execution = execution_of(id, run_id);
    q.wait_new_event = true;
    q.history_event_filter_type = PB__HISTORY_EVENT_FILTER_TYPE__HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT;
    assert_int_equal(lab_call(l, ENGINE_GET_HISTORY, &q, 15000, &r, NULL), 0);
    if (r->history->n_events != 1)
        fail_msg("%s did not close", id);
    return lab_status(l, id, run_id);
}

const char *lab_list(struct lab *l, const char *query)
{
    Pb__ListWorkflowExecutionsRequest q = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    Pb__ListWorkflowExecutionsResponse *r;
    struct err err = {0};
    struct strbuf b = STRBUF_INIT;
    q.namespace_ = ns_of(l);
    q.query = text_of(query);
    if (lab_call(l, ENGINE_LIST, &q, 0, &r, &err) < 0)
        fail_msg("list: %s", err.msg);
    for (size_t i = 0; i < r->n_executions; i++)
        strbuf_printf(&b, "%s%s", i ? " " : "", r->executions[i]->execution->workflow_id);
    return r->n_executions ? keep_plain(strbuf_take(&b, NULL)) : "";
}

void lab_expect_list(struct lab *l, const char *query, const char *expected)
{
    const char *got = lab_list(l, query);
    for (int64_t waited = 0; l->remote && waited < REMOTE_LIST_MS && strcmp(got, expected) != 0; waited += 100) {
        os_sleep_ms(100);
        got = lab_list(l, query);
    }
    assert_string_equal(got, expected);
}

struct lab_pending {
    struct lab *lab;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
    ProtobufCMessage *resp, *req;
    struct err err;
};

static void pending_done(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct lab_pending *p = arg;
    pthread_mutex_lock(&p->mutex);
    p->resp = resp;
    p->err = *err;
    p->done = true;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->mutex);
}

struct lab_pending *lab_begin(struct lab *l, enum engine_method m, const void *req, int64_t timeout_ms)
{
    struct lab_pending *p = room(sizeof *p);
    p->lab = l;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->cond, NULL);
    assert_int_equal(pbx_dup(req, &p->req, NULL), 0);
    lab_keep(p->req);
    engine_call(l->engine, m, p->req, timeout_ms, pending_done, p);
    return p;
}

void lab_leave(struct lab_pending *p)
{
    engine_cancel(p->lab->engine, pending_done, p);
}

size_t lab_first(struct lab_pending *const *p, size_t n)
{
    for (int64_t end = os_mono_ns() + FIRST_NS; os_mono_ns() < end; usleep(1000))
        for (size_t i = 0; i < n; i++) {
            pthread_mutex_lock(&p[i]->mutex);
            bool done = p[i]->done;
            pthread_mutex_unlock(&p[i]->mutex);
            if (done)
                return i;
        }
    fail_msg("none of %zu calls has an answer", n);
    return 0;
}

int lab_end(struct lab_pending *p, void *ret, struct err *err)
{
    pthread_mutex_lock(&p->mutex);
    while (!p->done)
        pthread_cond_wait(&p->cond, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->cond);
    lab_keep(p->resp);
    if (ret)
        *(ProtobufCMessage **)ret = p->err.code ? NULL : p->resp;
    p->lab->detail = p->err.code ? p->resp : NULL;
    return p->err.code ? err_copy(err, &p->err), -p->err.code : 0;
}

struct lab_pending *lab_begin_query(struct lab *l, const char *id, const char *type)
{
    Pb__QueryWorkflowRequest q = PB__QUERY_WORKFLOW_REQUEST__INIT;
    Pb__WorkflowQuery query = PB__WORKFLOW_QUERY__INIT;
    query.query_type = text_of(type);
    q.namespace_ = ns_of(l);
    q.execution = execution_of(id, NULL);
    q.query = &query;
    return lab_begin(l, ENGINE_QUERY, &q, 10000);
}
