#include "fake_server.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/pbx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define RUN_ID "5c1c9a52-aaaa-4bbb-8ccc-0123456789ab"

static void set(char **field, const char *s)
{
    *field = pbx_str(s);
    ASSERT(*field);
}

Pb__HistoryEvent *server_event(struct server *s, Pb__EventType type)
{
    Pb__HistoryEvent *e = malloc(sizeof *e);
    pb__history_event__init(e);
    e->event_id = (int64_t)s->events.len + 1;
    e->event_type = type;
    s->now_ns += 7 * NS_PER_MS;
    e->event_time = pbx_timestamp(s->now_ns);
    ASSERT(VEC_PUSH(&s->events, e));
    return e;
}

/* Makes an event with its attributes: e and a. */
#define EVENT(e, a, TYPE, Type, lower)                                                                                 \
    Pb__HistoryEvent *e = server_event(s, PB__EVENT_TYPE__EVENT_TYPE_##TYPE);                                          \
    Pb__##Type##EventAttributes *a = malloc(sizeof *a);                                                                \
    pb__##lower##_event_attributes__init(a);                                                                           \
    e->attributes_case = PB__HISTORY_EVENT__ATTRIBUTES_##TYPE##_EVENT_ATTRIBUTES;                                      \
    e->lower##_event_attributes = a;

static Pb__Payloads *payloads(const char *json)
{
    if (!json)
        return NULL;
    json_t *j = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    ASSERT(j);
    Pb__Payloads *p = pbx_json_payloads(j);
    json_decref(j);
    return p;
}

static void schedule(struct server *s)
{
    if (s->task_scheduled || s->closed)
        return;
    s->task_scheduled = true;
    EVENT(e, a, WORKFLOW_TASK_SCHEDULED, WorkflowTaskScheduled, workflow_task_scheduled)
    a->attempt = 1;
}

void server_start(struct server *s, const char *script, const char *input_json, const char *context_json)
{
    *s = (struct server){.script = script, .now_ns = INT64_C(1700000000) * NS_PER_S, .keep_cache = true, .compare = true};
    s->limits = (struct workflow_limits){.instructions = 5000000, .memory_bytes = 16 << 20, .time_ms = 20000};
    strbuf_init(&s->commands, 64 << 20);
    strbuf_init(&s->logs, 1 << 20);
    EVENT(e, a, WORKFLOW_EXECUTION_STARTED, WorkflowExecutionStarted, workflow_execution_started)
    a->workflow_type = malloc(sizeof *a->workflow_type);
    pb__workflow_type__init(a->workflow_type);
    set(&a->workflow_type->name, "test");
    a->task_queue = malloc(sizeof *a->task_queue);
    pb__task_queue__init(a->task_queue);
    set(&a->task_queue->name, "workflows");
    a->attempt = 1;
    a->input = payloads(input_json ? input_json : "{\"target\":{\"ref\":\"sha256:00\"},\"parameters\":{},\"run\":{\"id\":\"r\"}}");
    if (context_json) {
        a->header = malloc(sizeof *a->header);
        pb__header__init(a->header);
        Pb__Header__FieldsEntry *f = malloc(sizeof *f);
        pb__header__fields_entry__init(f);
        set(&f->key, "ff-context");
        Pb__Payloads *p = payloads(context_json);
        f->value = p->payloads[0];
        p->n_payloads = 0;
        pb__payloads__free_unpacked(p, NULL);
        a->header->fields = malloc(sizeof *a->header->fields);
        a->header->fields[0] = f;
        a->header->n_fields = 1;
    }
    schedule(s);
}

static void pending_release(struct pending *p)
{
    free(p->name);
    free(p->id);
    json_decref(p->input);
}

void server_release(struct server *s)
{
    VEC_EACH(&s->events, e)
        pb__history_event__free_unpacked(*e, NULL);
    VEC_RELEASE(&s->events);
    VEC_EACH(&s->pending, p)
        pending_release(p);
    VEC_RELEASE(&s->pending);
    workflow_free(s->cached);
    workflow_result_release(&s->result);
    strbuf_release(&s->commands);
    strbuf_release(&s->logs);
    json_decref(s->final);
    if (s->failure)
        pb__failure__free_unpacked(s->failure, NULL);
    free(s->failure_type);
    free(s->failure_message);
    free(s->failure_stack);
}

struct pending *server_find(struct server *s, const char *name)
{
    VEC_EACH(&s->pending, p)
        if (name ? strcmp(p->name, name) == 0 || strcmp(p->id, name) == 0 : p->kind == PENDING_TIMER)
            return p;
    return NULL;
}

static void drop(struct server *s, struct pending *p)
{
    pending_release(p);
    size_t i = (size_t)(p - s->pending.v);
    memmove(p, p + 1, (s->pending.len - i - 1) * sizeof *p);
    s->pending.len--;
}

static void add_pending(struct server *s, int kind, int64_t event_id, const char *name, const char *id,
                        const Pb__Payloads *input)
{
    struct pending p = {.event_id = event_id, .kind = kind, .name = strdup(name), .id = strdup(id)};
    if (input)
        assert_int_equal(pbx_payloads_json(input, 0, &p.input, NULL), 0);
    ASSERT(VEC_PUSH(&s->pending, p));
}

static struct pending *by_event(struct server *s, int64_t event_id)
{
    VEC_EACH(&s->pending, p)
        if (p->event_id == event_id)
            return p;
    return NULL;
}

/* ---- commands to events ---- */

static void on_schedule_activity(struct server *s, const Pb__ScheduleActivityTaskCommandAttributes *c)
{
    EVENT(e, a, ACTIVITY_TASK_SCHEDULED, ActivityTaskScheduled, activity_task_scheduled)
    set(&a->activity_id, c->activity_id);
    a->activity_type = malloc(sizeof *a->activity_type);
    pb__activity_type__init(a->activity_type);
    set(&a->activity_type->name, c->activity_type->name);
    VEC_EACH(&s->pending, p)
        assert_false(p->kind == PENDING_ACTIVITY && strcmp(p->id, c->activity_id) == 0);
    add_pending(s, PENDING_ACTIVITY, e->event_id, c->activity_type->name, c->activity_id, c->input);
}

static void on_start_timer(struct server *s, const Pb__StartTimerCommandAttributes *c)
{
    EVENT(e, a, TIMER_STARTED, TimerStarted, timer_started)
    set(&a->timer_id, c->timer_id);
    add_pending(s, PENDING_TIMER, e->event_id, "", c->timer_id, NULL);
}

static void on_cancel_timer(struct server *s, const Pb__CancelTimerCommandAttributes *c)
{
    EVENT(e, a, TIMER_CANCELED, TimerCanceled, timer_canceled)
    set(&a->timer_id, c->timer_id);
    struct pending *p = NULL;
    VEC_EACH(&s->pending, q)
        if (q->kind == PENDING_TIMER && strcmp(q->id, c->timer_id) == 0)
            p = q;
    assert_non_null(p);
    a->started_event_id = p->event_id;
    drop(s, p);
}

static void on_start_child(struct server *s, const Pb__StartChildWorkflowExecutionCommandAttributes *c)
{
    EVENT(e, a, START_CHILD_WORKFLOW_EXECUTION_INITIATED, StartChildWorkflowExecutionInitiated,
          start_child_workflow_execution_initiated)
    set(&a->workflow_id, c->workflow_id);
    a->workflow_type = malloc(sizeof *a->workflow_type);
    pb__workflow_type__init(a->workflow_type);
    set(&a->workflow_type->name, c->workflow_type->name);
    add_pending(s, PENDING_CHILD, e->event_id, c->workflow_type->name, c->workflow_id, c->input);
}

static void on_cancel_child(struct server *s, const Pb__RequestCancelExternalWorkflowExecutionCommandAttributes *c)
{
    EVENT(e, a, REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED, RequestCancelExternalWorkflowExecutionInitiated,
          request_cancel_external_workflow_execution_initiated)
    (void)e;
    a->workflow_execution = malloc(sizeof *a->workflow_execution);
    pb__workflow_execution__init(a->workflow_execution);
    set(&a->workflow_execution->workflow_id, c->workflow_id);
    struct pending *p = server_find(s, c->workflow_id);
    if (p)
        p->cancel_requested = true;
}

static void on_marker(struct server *s, const Pb__RecordMarkerCommandAttributes *c)
{
    EVENT(e, a, MARKER_RECORDED, MarkerRecorded, marker_recorded)
    (void)e;
    set(&a->marker_name, c->marker_name);
    Pb__MarkerRecordedEventAttributes__DetailsEntry *d = malloc(sizeof *d);
    pb__marker_recorded_event_attributes__details_entry__init(d);
    set(&d->key, c->details[0]->key);
    ProtobufCMessage *copy;
    assert_int_equal(pbx_dup(&c->details[0]->value->base, &copy, NULL), 0);
    d->value = (Pb__Payloads *)copy;
    a->details = malloc(sizeof *a->details);
    a->details[0] = d;
    a->n_details = 1;
}

static void on_fail(struct server *s, const Pb__FailWorkflowExecutionCommandAttributes *c)
{
    EVENT(e, a, WORKFLOW_EXECUTION_FAILED, WorkflowExecutionFailed, workflow_execution_failed)
    (void)e;
    (void)a;
    const Pb__Failure *inner = c->failure;
    while (inner->cause && inner->failure_info_case != PB__FAILURE__FAILURE_INFO_APPLICATION_FAILURE_INFO)
        inner = inner->cause;
    ProtobufCMessage *copy;
    assert_int_equal(pbx_dup(&c->failure->base, &copy, NULL), 0);
    s->failure = (Pb__Failure *)copy;
    s->failure_message = pbx_failure_text(c->failure);
    s->failure_type = strdup(inner->failure_info_case == PB__FAILURE__FAILURE_INFO_APPLICATION_FAILURE_INFO
                                 ? inner->application_failure_info->type
                                 : "");
    s->failure_stack = strdup(c->failure->stack_trace);
}

static void apply_command(struct server *s, const Pb__Command *c)
{
    assert_false(s->closed);
    switch (c->command_type) {
    case PB__COMMAND_TYPE__COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK:
        on_schedule_activity(s, c->schedule_activity_task_command_attributes);
        break;
    case PB__COMMAND_TYPE__COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK: {
        int64_t id = c->request_cancel_activity_task_command_attributes->scheduled_event_id;
        EVENT(e, a, ACTIVITY_TASK_CANCEL_REQUESTED, ActivityTaskCancelRequested, activity_task_cancel_requested)
        a->scheduled_event_id = id;
        struct pending *p = by_event(s, id);
        assert_true(p && p->kind == PENDING_ACTIVITY && e);
        p->cancel_requested = true;
        break;
    }
    case PB__COMMAND_TYPE__COMMAND_TYPE_START_TIMER:
        on_start_timer(s, c->start_timer_command_attributes);
        break;
    case PB__COMMAND_TYPE__COMMAND_TYPE_CANCEL_TIMER:
        on_cancel_timer(s, c->cancel_timer_command_attributes);
        break;
    case PB__COMMAND_TYPE__COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION:
        on_start_child(s, c->start_child_workflow_execution_command_attributes);
        break;
    case PB__COMMAND_TYPE__COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION:
        on_cancel_child(s, c->request_cancel_external_workflow_execution_command_attributes);
        break;
    case PB__COMMAND_TYPE__COMMAND_TYPE_RECORD_MARKER:
        on_marker(s, c->record_marker_command_attributes);
        break;
    case PB__COMMAND_TYPE__COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION: {
        EVENT(e, a, WORKFLOW_EXECUTION_COMPLETED, WorkflowExecutionCompleted, workflow_execution_completed)
        s->close_type = e->event_type;
        (void)a;
        assert_int_equal(
            pbx_payloads_json(c->complete_workflow_execution_command_attributes->result, 0, &s->final, NULL), 0);
        s->closed = true;
        break;
    }
    case PB__COMMAND_TYPE__COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION:
        on_fail(s, c->fail_workflow_execution_command_attributes);
        s->close_type = PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_FAILED;
        s->closed = true;
        break;
    case PB__COMMAND_TYPE__COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION: {
        EVENT(e, a, WORKFLOW_EXECUTION_CANCELED, WorkflowExecutionCanceled, workflow_execution_canceled)
        (void)a;
        s->close_type = e->event_type;
        s->closed = true;
        break;
    }
    case PB__COMMAND_TYPE__COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: {
        EVENT(e, a, WORKFLOW_EXECUTION_CONTINUED_AS_NEW, WorkflowExecutionContinuedAsNew,
              workflow_execution_continued_as_new)
        (void)a;
        s->close_type = e->event_type;
        s->closed = true;
        assert_int_equal(
            pbx_payloads_json(c->continue_as_new_workflow_execution_command_attributes->input, 0, &s->final, NULL), 0);
        break;
    }
    default:
        fail_msg("command %d", c->command_type);
    }
}

/* ---- tasks ---- */

static void describe(struct strbuf *b, const struct workflow_result *r)
{
    for (size_t i = 0; i < r->commands_count; i++) {
        uint8_t *p;
        size_t n;
        assert_int_equal(pbx_pack(&r->commands[i]->base, &p, &n, NULL), 0);
        for (size_t k = 0; k < n; k++)
            strbuf_printf(b, p[k] >= 32 && p[k] < 127 ? "%c" : "\\%02x", p[k]);
        strbuf_putc(b, '\n');
        free(p);
    }
    if (r->outcome == WORKFLOW_TASK_FAILED)
        strbuf_printf(b, "task failed: %s\n", r->failure->message);
}

static int give(struct server *s, struct workflow *w, size_t from, struct workflow_result *ret)
{
    Pb__PollWorkflowTaskQueueResponse task;
    Pb__WorkflowExecution x;
    Pb__History first, rest;
    pb__poll_workflow_task_queue_response__init(&task);
    pb__workflow_execution__init(&x);
    pb__history__init(&first);
    pb__history__init(&rest);
    x.workflow_id = (char *)"wf";
    x.run_id = (char *)RUN_ID;
    task.workflow_execution = &x;
    task.previous_started_event_id = s->previous_started;
    task.started_event_id = (int64_t)s->events.len;
    task.attempt = 1;
    task.history = &first;
    size_t n = s->events.len - from, half = n / 2; /* two pages */
    first.events = s->events.v + from;
    first.n_events = n - half;
    rest.events = s->events.v + from + (n - half);
    rest.n_events = half;
    const Pb__History *more[] = {&rest};
    return workflow_task(w, &task, more, 1, ret, &s->err);
}

static struct workflow *fresh(struct server *s)
{
    struct workflow *w = NULL;
    s->r = workflow_new(s->script, strlen(s->script), "workflow.lua", &s->limits, &w, &s->err);
    if (s->r < 0)
        fail_msg("%s", s->err.msg);
    return w;
}

static void compare_with_fresh(struct server *s)
{
    struct workflow *w = fresh(s);
    struct workflow_result r;
    struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;
    if (give(s, w, 0, &r) < 0)
        fail_msg("replay: %s", s->err.msg);
    describe(&a, &s->result);
    describe(&b, &r);
    assert_string_equal(strbuf_str(&a), strbuf_str(&b));
    if (r.outcome == WORKFLOW_TASK_COMPLETED)
        assert_int_equal(workflow_last_event_id(w), s->events.len);
    strbuf_release(&a);
    strbuf_release(&b);
    workflow_result_release(&r);
    workflow_free(w);
}

int server_task(struct server *s)
{
    assert_true(s->task_scheduled);
    int64_t scheduled = (int64_t)s->events.len;
    EVENT(started, sa, WORKFLOW_TASK_STARTED, WorkflowTaskStarted, workflow_task_started)
    sa->scheduled_event_id = scheduled;
    bool partial = s->keep_cache && s->cached && s->previous_started;
    if (!partial) {
        workflow_free(s->cached);
        s->cached = fresh(s);
    }
    workflow_result_release(&s->result);
    s->r = give(s, s->cached, partial ? (size_t)s->previous_started : 0, &s->result);
    if (s->r < 0)
        fail_msg("task: %s", s->err.msg);
    if (s->compare)
        compare_with_fresh(s);
    s->task_scheduled = false;
    describe(&s->commands, &s->result);
    for (size_t i = 0; i < s->result.logs_count; i++)
        strbuf_printf(&s->logs, "%d:%s\n", s->result.logs[i].level, s->result.logs[i].text);
    if (s->result.outcome == WORKFLOW_TASK_FAILED) {
        EVENT(failed, fa, WORKFLOW_TASK_FAILED, WorkflowTaskFailed, workflow_task_failed)
        (void)failed;
        fa->started_event_id = started->event_id;
        workflow_free(s->cached);
        s->cached = NULL;
        schedule(s);
        return s->result.outcome;
    }
    s->previous_started = started->event_id;
    EVENT(completed, ca, WORKFLOW_TASK_COMPLETED, WorkflowTaskCompleted, workflow_task_completed)
    (void)completed;
    ca->started_event_id = started->event_id;
    for (size_t i = 0; i < s->result.commands_count; i++)
        apply_command(s, s->result.commands[i]);
    return s->result.outcome;
}

void server_complete(struct server *s, const char *name, const char *result_json)
{
    struct pending *p = server_find(s, name);
    if (!p)
        fail_msg("nothing pending is called %s", name);
    if (p->kind == PENDING_ACTIVITY) {
        EVENT(st, sa, ACTIVITY_TASK_STARTED, ActivityTaskStarted, activity_task_started)
        sa->scheduled_event_id = p->event_id;
        EVENT(e, a, ACTIVITY_TASK_COMPLETED, ActivityTaskCompleted, activity_task_completed)
        (void)e;
        a->scheduled_event_id = p->event_id;
        a->started_event_id = st->event_id;
        a->result = payloads(result_json);
    } else {
        EVENT(st, sa, CHILD_WORKFLOW_EXECUTION_STARTED, ChildWorkflowExecutionStarted, child_workflow_execution_started)
        (void)st;
        sa->initiated_event_id = p->event_id;
        EVENT(e, a, CHILD_WORKFLOW_EXECUTION_COMPLETED, ChildWorkflowExecutionCompleted,
              child_workflow_execution_completed)
        (void)e;
        a->initiated_event_id = p->event_id;
        a->result = payloads(result_json);
    }
    drop(s, p);
    schedule(s);
}

void server_fail(struct server *s, const char *name, const char *type, const char *message)
{
    struct pending *p = server_find(s, name);
    assert_non_null(p);
    Pb__Failure *f = pbx_app_failure(message, type, true, NULL);
    if (p->kind == PENDING_ACTIVITY) {
        EVENT(e, a, ACTIVITY_TASK_FAILED, ActivityTaskFailed, activity_task_failed)
        (void)e;
        a->scheduled_event_id = p->event_id;
        a->failure = f;
    } else {
        EVENT(e, a, CHILD_WORKFLOW_EXECUTION_FAILED, ChildWorkflowExecutionFailed, child_workflow_execution_failed)
        (void)e;
        a->initiated_event_id = p->event_id;
        a->failure = f;
    }
    drop(s, p);
    schedule(s);
}

void server_fire(struct server *s, const char *timer_id)
{
    struct pending *p = NULL;
    VEC_EACH(&s->pending, q)
        if (q->kind == PENDING_TIMER && (!timer_id || strcmp(q->id, timer_id) == 0) && !p)
            p = q;
    assert_non_null(p);
    EVENT(e, a, TIMER_FIRED, TimerFired, timer_fired)
    (void)e;
    set(&a->timer_id, p->id);
    a->started_event_id = p->event_id;
    drop(s, p);
    schedule(s);
}

void server_signal(struct server *s, const char *name, const char *json)
{
    EVENT(e, a, WORKFLOW_EXECUTION_SIGNALED, WorkflowExecutionSignaled, workflow_execution_signaled)
    (void)e;
    set(&a->signal_name, name);
    a->input = payloads(json);
    schedule(s);
}

void server_cancel(struct server *s)
{
    EVENT(e, a, WORKFLOW_EXECUTION_CANCEL_REQUESTED, WorkflowExecutionCancelRequested,
          workflow_execution_cancel_requested)
    (void)e;
    set(&a->cause, "the user asked");
    schedule(s);
}

void server_ack_cancels(struct server *s)
{
    for (size_t i = 0; i < s->pending.len;) {
        struct pending *p = &s->pending.v[i];
        if (!p->cancel_requested || p->kind != PENDING_ACTIVITY) {
            i++;
            continue;
        }
        EVENT(e, a, ACTIVITY_TASK_CANCELED, ActivityTaskCanceled, activity_task_canceled)
        (void)e;
        a->scheduled_event_id = p->event_id;
        drop(s, p);
        schedule(s);
    }
}

void server_drain(struct server *s, const char *result_json)
{
    for (int i = 0; i < 10000 && !s->closed; i++) {
        if (s->task_scheduled) {
            if (server_task(s) == WORKFLOW_TASK_FAILED)
                return;
        } else if (s->pending.len == 0) {
            return;
        } else if (s->pending.v[0].kind == PENDING_TIMER) {
            server_fire(s, s->pending.v[0].id);
        } else {
            server_complete(s, s->pending.v[0].id, result_json ? result_json : "{\"status\":\"success\",\"summary\":{\"n\":1}}");
        }
    }
}

static char *query_text(const Pb__WorkflowQueryResult *q)
{
    if (q->result_type != PB__QUERY_RESULT_TYPE__QUERY_RESULT_TYPE_ANSWERED)
        return mem_printf("error: %s", q->error_message);
    return mem_printf("%.*s", (int)q->answer->payloads[0]->data.len, (char *)q->answer->payloads[0]->data.data);
}

static char *query_once(struct server *s, struct workflow *w, size_t from, Pb__WorkflowQuery *q)
{
    Pb__PollWorkflowTaskQueueResponse task;
    Pb__WorkflowExecution x;
    Pb__History h;
    struct workflow_result r;
    pb__poll_workflow_task_queue_response__init(&task);
    pb__workflow_execution__init(&x);
    pb__history__init(&h);
    x.workflow_id = (char *)"wf";
    x.run_id = (char *)RUN_ID;
    task.workflow_execution = &x;
    task.previous_started_event_id = s->previous_started;
    task.query = q;
    h.events = s->events.v + from;
    h.n_events = s->events.len - from;
    task.history = &h;
    if (workflow_task(w, &task, NULL, 0, &r, &s->err) < 0)
        fail_msg("query: %s", s->err.msg);
    assert_int_equal(r.commands_count, 0);
    char *text = query_text(r.query_result);
    workflow_result_release(&r);
    return text;
}

char *server_query(struct server *s, const char *name, const char *arg_json)
{
    Pb__WorkflowQuery q;
    pb__workflow_query__init(&q);
    q.query_type = (char *)name;
    q.query_args = payloads(arg_json);
    struct workflow *w = fresh(s);
    char *a = query_once(s, w, 0, &q);
    char *b = query_once(s, s->cached, s->events.len, &q); /* the cached one: no history at all */
    assert_string_equal(a, b);
    free(b);
    workflow_free(w);
    if (q.query_args)
        pb__payloads__free_unpacked(q.query_args, NULL);
    return a;
}
