#include "cli/workflow_sim.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "engine/embedded/embedded.h"
#include "os/clock.h"

#include <stdatomic.h>
#include <string.h>

#define RUN_ID "test"
#define NAME_SPACE "default"
#define START_NS (INT64_C(1767225600) * NS_PER_S) /* 2026-01-01: the same for every test */
#define REAL_TIME_MAX_MS 60000
#define CALLS_MAX 100000
#define IDLE_LOOKS 20
#define EXECUTIONS_MAX 1000

struct sim {
    struct app *app;
    const struct workflow_def *def;
    const json_t *activities, *signals;
    _Atomic int64_t now_ns;
    struct store *store;
    struct engine *engine;
    struct worker *worker;
    struct map counts; /* module -> calls that were answered, as a number */
    size_t signals_sent;
    struct sim_result *ret;
};

static char *ns_name(void)
{
    return (char *)(uintptr_t)NAME_SPACE;
}

static int64_t read_clock(void *arg)
{
    struct sim *s = arg;
    return atomic_load(&s->now_ns);
}

void sim_result_release(struct sim_result *r)
{
    json_decref(r->result);
    free(r->failure);
    free(r->unanswered);
    VEC_EACH(&r->calls, c) {
        free(c->module);
        json_decref(c->input);
    }
    VEC_RELEASE(&r->calls);
    *r = (struct sim_result){0};
}

/* --- set-up ----------------------------------------------------------------------------------------------- */

/* The script under test by its own name, the toolbox's for its children. */
static int find_script(void *arg, const char *type, bool foreign, const json_t *given, struct worker_script *ret, struct err *err)
{
    struct sim *s = arg;
    struct workflow_def *d;
    (void)foreign; /* runs here are started with all that belongs to them */
    (void)given;
    if (strcmp(type, s->def->name) == 0) {
        ret->text = mem_dup(s->def->script, s->def->script_len);
        ret->len = s->def->script_len;
        return ret->text ? 0 : err_nomem(err);
    }
    int r = toolbox_find(s->app->toolbox, type, &d, err);
    if (r < 0)
        return r;
    ret->text = TAKE_PTR(d->script);
    ret->len = d->script_len;
    workflow_def_free(d);
    return 0;
}

static int add_verticals(struct sim *s, struct err *err)
{
    struct workflow_def **d = NULL;
    size_t n = 0;
    int r = toolbox_list(s->app->toolbox, &d, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (!d[i]->broken && d[i]->vertical)
            r = worker_add_vertical(s->worker, d[i]->vertical, err);
    toolbox_list_free(d, n);
    return r;
}

static int set_up(struct sim *s, struct err *err)
{
    const char *verticals[] = {s->def->vertical, NULL};
    struct engine_embedded_options eo = {.path = ":memory:", .clock = {read_clock, s}};
    struct worker_options wo = {.modules = s->app->modules, .verticals = verticals, .find_script = find_script,
                                .find_script_arg = s, .scratch_dir = "/nonexistent"};
    atomic_store(&s->now_ns, START_NS);
    int r = store_open_memory(&s->store, err);
    if (r == 0)
        r = engine_embedded_open(&eo, &s->engine, err);
    wo.engine = s->engine;
    wo.store = s->store;
    if (r == 0)
        r = worker_start(&wo, &s->worker, err);
    return r < 0 ? r : add_verticals(s, err);
}

static void tear_down(struct sim *s)
{
    worker_stop(s->worker);
    engine_free(s->engine);
    store_free(s->store);
    map_release(&s->counts);
}

static int start(struct sim *s, const json_t *parameters, const json_t *target, struct err *err)
{
    Pb__StartWorkflowExecutionRequest req = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    _cleanup_json_ json_t *input =
        json_pack("{s:O, s:O, s:{s:s, s:s, s:s}}", "target", target, "parameters", parameters, "run", "id", RUN_ID,
                  "workflow", s->def->name, "version", s->def->version);
    _cleanup_free_ char *queue_name = worker_queue_name(s->def->vertical);
    Pb__Payloads *payloads = input ? pbx_json_payloads(input) : NULL;
    if (!payloads || !queue_name) {
        engine_free_message(payloads ? &payloads->base : NULL);
        return err_nomem(err);
    }
    char request_id[37];
    os_uuid(request_id);
    type.name = s->def->name;
    queue.name = queue_name;
    req.namespace_ = ns_name();
    req.workflow_id = (char *)(uintptr_t)RUN_ID;
    req.request_id = request_id;
    req.workflow_type = &type;
    req.task_queue = &queue;
    req.input = payloads;
    Pb__Duration *timeout = s->def->timeout_ms ? pbx_duration(s->def->timeout_ms * NS_PER_MS) : NULL;
    req.workflow_execution_timeout = timeout;
    int r = engine_call_sync(s->engine, ENGINE_START_WORKFLOW, &req.base, 0, NULL, err);
    engine_free_message(timeout ? &timeout->base : NULL);
    engine_free_message(&payloads->base);
    return r;
}

/* --- answers of activities -------------------------------------------------------------------------------- */

static int findings_ref(struct sim *s, json_t *answer, struct err *err)
{
    json_t *list = json_object_get(answer, "findings"), *f;
    if (!json_is_array(list))
        return 0;
    struct strbuf text = STRBUF_INIT;
    struct store_ref ref;
    size_t i, n = json_array_size(list);
    int r = 0;
    json_array_foreach(list, i, f) {
        if (r == 0)
            r = json_write(f, &text, err);
        strbuf_putc(&text, '\n');
    }
    static const char type[] = "application/x-ndjson";
    if (r == 0)
        r = store_put(s->store, strbuf_str(&text), text.len, type, &ref, err);
    json_t *j = r == 0 ? json_pack("{s:s, s:I, s:s}", "ref", ref.text, "bytes", (json_int_t)text.len, "media_type", type)
                       : NULL;
    strbuf_release(&text);
    if (r == 0 && (json_object_set_new(answer, "findings", j) < 0 ||
                   json_object_set_new(answer, "findings_count", json_integer((json_int_t)n)) < 0))
        return err_nomem(err);
    return r;
}

/* What ff.activity gives, with everything that the test left out. */
static int full_answer(struct sim *s, const json_t *given, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *answer = json_is_object(given) ? json_deep_copy(given) : json_object();
    _cleanup_json_ json_t *rest = json_pack("{s:s, s:{}, s:n, s:i, s:{}, s:n}", "status", "success", "summary", "findings",
                                            "findings_count", 0, "artifacts", "error");
    if (!answer || !rest || json_object_update_missing(answer, rest) < 0)
        return err_nomem(err);
    int r = findings_ref(s, answer, err);
    if (r == 0)
        *ret = TAKE_PTR(answer);
    return r;
}

/* The answer for this call of a module; NULL: the test has none. */
static const json_t *next_answer(struct sim *s, const char *module)
{
    const json_t *a = json_object_get(s->activities, module);
    if (!json_is_array(a))
        return a;
    size_t n = (size_t)(uintptr_t)map_get(&s->counts, module), last = json_array_size(a);
    map_set(&s->counts, module, (void *)(uintptr_t)(n + 1));
    return last ? json_array_get(a, n < last ? n : last - 1) : NULL;
}

static int complete(struct sim *s, const Pb__PollActivityTaskQueueResponse *task, const json_t *given, struct err *err)
{
    Pb__RespondActivityTaskCompletedRequest req = PB__RESPOND_ACTIVITY_TASK_COMPLETED_REQUEST__INIT;
    _cleanup_json_ json_t *answer = NULL;
    int r = full_answer(s, given, &answer, err);
    if (r < 0)
        return r;
    req.namespace_ = ns_name();
    req.task_token = task->task_token;
    if (!(req.result = pbx_json_payloads(answer)))
        return err_nomem(err);
    r = engine_call_sync(s->engine, ENGINE_COMPLETE_ACTIVITY, &req.base, 0, NULL, err);
    engine_free_message(&req.result->base);
    return r;
}

static int fail(struct sim *s, const Pb__PollActivityTaskQueueResponse *task, const json_t *error, struct err *err)
{
    Pb__RespondActivityTaskFailedRequest req = PB__RESPOND_ACTIVITY_TASK_FAILED_REQUEST__INIT;
    const char *message = json_is_string(error) ? json_string_value(error) : json_str(error, "message", "failed");
    req.namespace_ = ns_name();
    req.task_token = task->task_token;
    req.failure = pbx_app_failure(message, json_str(error, "type", "ModuleFailed"),
                                  !json_flag(error, "retryable", true), NULL);
    if (!req.failure)
        return err_nomem(err);
    int r = engine_call_sync(s->engine, ENGINE_FAIL_ACTIVITY, &req.base, 0, NULL, err);
    engine_free_message(&req.failure->base);
    return r;
}

static int note_call(struct sim *s, const Pb__PollActivityTaskQueueResponse *task, struct err *err)
{
    struct sim_call c = {.module = mem_strdup(task->activity_type->name), .attempt = task->attempt};
    int r = pbx_payloads_json(task->input, 0, &c.input, err);
    if (r == 0 && s->ret->calls.len >= CALLS_MAX)
        r = err_set(err, ERR_LIMIT, "more than %d calls of modules", CALLS_MAX);
    if (r == 0 && c.module && VEC_PUSH(&s->ret->calls, c))
        return 0;
    free(c.module);
    json_decref(c.input);
    return r < 0 ? r : err_nomem(err);
}

static int answer(struct sim *s, const Pb__PollActivityTaskQueueResponse *task, struct err *err)
{
    int r = note_call(s, task, err);
    if (r < 0)
        return r;
    const char *module = task->activity_type->name;
    const json_t *a = next_answer(s, module);
    const json_t *error = json_object_get(a, "status") ? NULL : json_object_get(a, "error");
    if (!a) {
        if (!s->ret->unanswered)
            s->ret->unanswered = mem_strdup(module);
        _cleanup_json_ json_t *none = json_pack("{s:s, s:b}", "message", "the test has no answer for this module",
                                                "retryable", 0);
        return fail(s, task, none, err);
    }
    return json_is_object(error) || json_is_string(error) ? fail(s, task, error, err) : complete(s, task, a, err);
}

/* --- one look at everything ------------------------------------------------------------------------------- */

/* What a round found. */
struct round {
    bool busy;       /* a workflow task is on its way, or something was answered */
    int64_t next_ns; /* when something becomes due by itself; INT64_MAX: never */
    bool closed;     /* the run under test has ended */
};

static void due(struct round *r, int64_t at_ns)
{
    if (at_ns > 0 && at_ns < r->next_ns)
        r->next_ns = at_ns;
}

static int history_of(struct sim *s, Pb__WorkflowExecution *e, Pb__GetWorkflowExecutionHistoryResponse **ret,
                      struct err *err)
{
    Pb__GetWorkflowExecutionHistoryRequest req = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    req.namespace_ = ns_name();
    req.execution = e;
    req.maximum_page_size = ENGINE_HISTORY_EVENTS_MAX;
    ProtobufCMessage *m = NULL;
    int r = engine_call_sync(s->engine, ENGINE_GET_HISTORY, &req.base, 0, &m, err);
    *ret = (Pb__GetWorkflowExecutionHistoryResponse *)m;
    return r;
}

static bool timer_over(const Pb__History *h, size_t from, int64_t started_id)
{
    for (size_t i = from; i < h->n_events; i++) {
        const Pb__HistoryEvent *e = h->events[i];
        if (e->attributes_case == PB__HISTORY_EVENT__ATTRIBUTES_TIMER_FIRED_EVENT_ATTRIBUTES &&
            e->timer_fired_event_attributes->started_event_id == started_id)
            return true;
        if (e->attributes_case == PB__HISTORY_EVENT__ATTRIBUTES_TIMER_CANCELED_EVENT_ATTRIBUTES &&
            e->timer_canceled_event_attributes->started_event_id == started_id)
            return true;
    }
    return false;
}

static void look_at_timers(const Pb__History *h, struct round *round)
{
    for (size_t i = 0; i < h->n_events; i++) {
        const Pb__HistoryEvent *e = h->events[i];
        if (e->attributes_case == PB__HISTORY_EVENT__ATTRIBUTES_TIMER_STARTED_EVENT_ATTRIBUTES &&
            !timer_over(h, i + 1, e->event_id))
            due(round, pbx_timestamp_ns(e->event_time) +
                           pbx_duration_ns(e->timer_started_event_attributes->start_to_fire_timeout));
    }
}

/* The queue that an activity was put into. */
static const char *queue_of(const Pb__History *h, const char *activity_id)
{
    for (size_t i = h->n_events; i-- > 0;) {
        const Pb__HistoryEvent *e = h->events[i];
        if (e->attributes_case == PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_SCHEDULED_EVENT_ATTRIBUTES &&
            strcmp(e->activity_task_scheduled_event_attributes->activity_id, activity_id) == 0)
            return e->activity_task_scheduled_event_attributes->task_queue->name;
    }
    return NULL;
}

static int serve(struct sim *s, const char *queue, struct err *err)
{
    Pb__PollActivityTaskQueueRequest req = PB__POLL_ACTIVITY_TASK_QUEUE_REQUEST__INIT;
    Pb__TaskQueue q = PB__TASK_QUEUE__INIT;
    ProtobufCMessage *m = NULL;
    q.name = (char *)(uintptr_t)queue;
    req.namespace_ = ns_name();
    req.task_queue = &q;
    int r = engine_call_sync(s->engine, ENGINE_POLL_ACTIVITY_TASK, &req.base, 0, &m, err);
    const Pb__PollActivityTaskQueueResponse *task = (Pb__PollActivityTaskQueueResponse *)m;
    if (r == 0 && task->task_token.len > 0)
        r = answer(s, task, err);
    engine_free_message(m);
    return r == -ERR_NOT_FOUND ? 0 : r; /* cancelled meanwhile */
}

static int look_at_activities(struct sim *s, const Pb__DescribeWorkflowExecutionResponse *d, const Pb__History *h,
                              struct round *round, struct err *err)
{
    int64_t now = atomic_load(&s->now_ns);
    for (size_t i = 0; i < d->n_pending_activities; i++) {
        const Pb__PendingActivityInfo *a = d->pending_activities[i];
        int64_t next = pbx_timestamp_ns(a->next_attempt_schedule_time);
        const char *queue = queue_of(h, a->activity_id);
        if (a->state != PB__PENDING_ACTIVITY_STATE__PENDING_ACTIVITY_STATE_SCHEDULED || !queue)
            continue;
        if (next > now) {
            due(round, next);
            continue;
        }
        round->busy = true;
        return serve(s, queue, err); /* one at a time: the next look shows what that changed */
    }
    return 0;
}

/* A child that is not among the running ones is about to start, or its end is on the way to the parent. */
static bool child_in_transit(const Pb__DescribeWorkflowExecutionResponse *d, const Pb__ListWorkflowExecutionsResponse *l)
{
    for (size_t i = 0; i < d->n_pending_children; i++) {
        bool running = false;
        for (size_t k = 0; k < l->n_executions && !running; k++)
            running = strcmp(l->executions[k]->execution->workflow_id, d->pending_children[i]->workflow_id) == 0;
        if (!running)
            return true;
    }
    return false;
}

static int look_at(struct sim *s, Pb__WorkflowExecution *e, const Pb__ListWorkflowExecutionsResponse *l,
                   struct round *round, struct err *err)
{
    Pb__DescribeWorkflowExecutionRequest req = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__GetWorkflowExecutionHistoryResponse *h = NULL;
    ProtobufCMessage *m = NULL;
    req.namespace_ = ns_name();
    req.execution = e;
    int r = engine_call_sync(s->engine, ENGINE_DESCRIBE, &req.base, 0, &m, err);
    if (r < 0)
        return r;
    const Pb__DescribeWorkflowExecutionResponse *d = (Pb__DescribeWorkflowExecutionResponse *)m;
    if (d->workflow_extended_info)
        due(round, pbx_timestamp_ns(d->workflow_extended_info->run_expiration_time));
    if (d->pending_workflow_task || child_in_transit(d, l)) {
        round->busy = true;
    } else if ((r = history_of(s, e, &h, err)) == 0 && h->history) {
        look_at_timers(h->history, round);
        r = look_at_activities(s, d, h->history, round, err);
    }
    engine_free_message(h ? &h->base : NULL);
    engine_free_message(m);
    return r;
}

/* The list of running executions may be a moment behind; this is not. */
static int has_ended(struct sim *s, bool *ret, struct err *err)
{
    Pb__DescribeWorkflowExecutionRequest req = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution e = PB__WORKFLOW_EXECUTION__INIT;
    ProtobufCMessage *m = NULL;
    e.workflow_id = (char *)(uintptr_t)RUN_ID;
    req.namespace_ = ns_name();
    req.execution = &e;
    int r = engine_call_sync(s->engine, ENGINE_DESCRIBE, &req.base, 0, &m, err);
    const Pb__WorkflowExecutionInfo *i = r == 0 ? ((Pb__DescribeWorkflowExecutionResponse *)m)->workflow_execution_info
                                                : NULL;
    *ret = i && i->status != PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_RUNNING &&
           i->status != PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW;
    engine_free_message(m);
    return r;
}

static int look(struct sim *s, struct round *round, struct err *err)
{
    Pb__ListWorkflowExecutionsRequest req = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    req.namespace_ = ns_name();
    req.page_size = EXECUTIONS_MAX;
    req.query = (char *)(uintptr_t) "ExecutionStatus = 'Running'";
    *round = (struct round){.next_ns = INT64_MAX, .closed = true};
    int r = engine_call_sync(s->engine, ENGINE_LIST, &req.base, 0, &m, err);
    const Pb__ListWorkflowExecutionsResponse *l = (Pb__ListWorkflowExecutionsResponse *)m;
    for (size_t i = 0; r == 0 && i < l->n_executions && !round->busy; i++) {
        Pb__WorkflowExecution *e = l->executions[i]->execution;
        if (strcmp(e->workflow_id, RUN_ID) == 0)
            round->closed = false;
        r = look_at(s, e, l, round, err);
    }
    engine_free_message(m);
    if (r == 0 && round->closed) {
        r = has_ended(s, &round->closed, err);
        round->busy = !round->closed;
    }
    return r == -ERR_NOT_FOUND ? 0 : r; /* it closed meanwhile */
}

/* --- signals ---------------------------------------------------------------------------------------------- */

static int64_t signal_due(const struct sim *s)
{
    const json_t *j = json_array_get(s->signals, s->signals_sent);
    const char *after = json_str(j, "after", "0s");
    int64_t ms = 0;
    return j && units_parse_duration_ms(after, &ms, NULL) == 0 ? START_NS + ms * NS_PER_MS : INT64_MAX;
}

static int send_signal(struct sim *s, struct err *err)
{
    const json_t *j = json_array_get(s->signals, s->signals_sent++), *input = json_object_get(j, "input");
    Pb__SignalWorkflowExecutionRequest req = PB__SIGNAL_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution e = PB__WORKFLOW_EXECUTION__INIT;
    char request_id[37];
    os_uuid(request_id);
    e.workflow_id = (char *)(uintptr_t)RUN_ID;
    req.namespace_ = ns_name();
    req.workflow_execution = &e;
    req.request_id = request_id;
    req.signal_name = (char *)(uintptr_t)json_str(j, "name", "");
    req.input = input ? pbx_json_payloads(input) : NULL;
    if (input && !req.input)
        return err_nomem(err);
    int r = engine_call_sync(s->engine, ENGINE_SIGNAL_WORKFLOW, &req.base, 0, NULL, err);
    engine_free_message(req.input ? &req.input->base : NULL);
    return r < 0 && err ? err_wrap(err, "signal '%s'", json_str(j, "name", "")) : r;
}

/* --- the whole -------------------------------------------------------------------------------------------- */

/* The closing event of the run's last execution. */
static int read_end(struct sim *s, struct err *err)
{
    Pb__WorkflowExecution e = PB__WORKFLOW_EXECUTION__INIT;
    Pb__GetWorkflowExecutionHistoryResponse *h = NULL;
    e.workflow_id = (char *)(uintptr_t)RUN_ID;
    int r = history_of(s, &e, &h, err);
    const Pb__HistoryEvent *last = r == 0 && h->history && h->history->n_events
                                       ? h->history->events[h->history->n_events - 1]
                                       : NULL;
    struct sim_result *out = s->ret;
    switch (last ? last->attributes_case : 0) {
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_COMPLETED_EVENT_ATTRIBUTES:
        out->status = "COMPLETED";
        r = pbx_payloads_json(last->workflow_execution_completed_event_attributes->result, 0, &out->result, err);
        break;
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_FAILED_EVENT_ATTRIBUTES:
        out->status = "FAILED";
        out->failure = pbx_failure_text(last->workflow_execution_failed_event_attributes->failure);
        break;
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_CANCELED_EVENT_ATTRIBUTES:
        out->status = "CANCELLED";
        break;
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_TIMED_OUT_EVENT_ATTRIBUTES:
        out->status = "TIMED_OUT";
        break;
    default:
        out->status = "TERMINATED";
    }
    engine_free_message(h ? &h->base : NULL);
    return r;
}

static int play(struct sim *s, struct err *err)
{
    int64_t give_up = os_mono_ns() + REAL_TIME_MAX_MS * NS_PER_MS;
    for (int idle = 0;;) {
        struct round round;
        int r = look(s, &round, err);
        if (r < 0)
            return r;
        if (round.closed)
            return read_end(s, err);
        if (os_mono_ns() > give_up)
            return err_set(err, ERR_TIMEOUT, "the test did not end in %d seconds", REAL_TIME_MAX_MS / 1000);
        if (round.busy) {
            idle = 0;
            os_sleep_ms(1);
            continue;
        }
        int64_t signal = signal_due(s), now = atomic_load(&s->now_ns);
        int64_t next = signal < round.next_ns ? signal : round.next_ns;
        if (next == INT64_MAX) {
            if (++idle < IDLE_LOOKS) { /* what one execution tells another may be on its way */
                os_sleep_ms(1);
                continue;
            }
            s->ret->status = "STUCK";
            return 0;
        }
        idle = 0;
        if (next > now)
            atomic_store(&s->now_ns, next);
        engine_embedded_tick(s->engine);
        if (next == signal && (r = send_signal(s, err)) < 0)
            return r;
    }
}

int sim_play(struct app *app, const struct workflow_def *def, const json_t *parameters, const json_t *target,
             const json_t *activities, const json_t *signals, struct sim_result *ret, struct err *err)
{
    struct sim s = {.app = app, .def = def, .activities = activities, .signals = signals, .ret = ret};
    *ret = (struct sim_result){.status = "STUCK"};
    int r = set_up(&s, err);
    if (r == 0)
        r = start(&s, parameters, target, err);
    if (r == 0)
        r = play(&s, err);
    ret->time_ms = (atomic_load(&s.now_ns) - START_NS) / NS_PER_MS;
    tear_down(&s);
    if (r < 0)
        sim_result_release(ret);
    return r;
}
