#include "engine/embedded/dispatch.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/history.h"
#include "engine/embedded/query.h"
#include "engine/embedded/run.h"
#include "engine/embedded/token.h"
#include "engine/embedded/update.h"
#include "engine/embedded/wtask.h"

#include <string.h>

#define PAGE_BYTES ((size_t)4 << 20) /* of a gRPC message */

/* Messages in the shape protobuf frees; a fault when memory is out, and NULL. */
#define NEW(e, type, lower)                                                                        \
    ({                                                                                             \
        type *new_ = mem_alloc(sizeof *new_);                                                      \
        if (new_)                                                                                  \
            lower##__init(new_);                                                                   \
        else                                                                                       \
            eng_nomem(e);                                                                          \
        new_;                                                                                      \
    })

void dispatch_workflow_task(struct eng *e, struct call *c, struct run *run, bool sticky,
                            uint64_t query_id, int64_t reset_id)
{
    struct dispatch d = {
        .call = c, .run = run, .query_id = query_id, .sticky = sticky, .reset_id = reset_id};
    if (!VEC_PUSH(&e->dispatches, d)) {
        eng_nomem(e);
        call_answer(e, c, NULL);
    }
}

static Pb__WorkflowExecution *execution_of(struct eng *e, const Pb__EmbeddedRun *s)
{
    Pb__WorkflowExecution *x = NEW(e, Pb__WorkflowExecution, pb__workflow_execution);
    if (x) {
        str_set(e, &x->workflow_id, s->workflow_id);
        str_set(e, &x->run_id, s->run_id);
    }
    return x;
}

static Pb__WorkflowType *type_of(struct eng *e, const Pb__EmbeddedRun *s)
{
    Pb__WorkflowType *t = NEW(e, Pb__WorkflowType, pb__workflow_type);
    if (t)
        str_set(e, &t->name, s->workflow_type);
    return t;
}

/* The first page of events that the worker has not seen; the rest through
 * GetWorkflowExecutionHistory. */
static void add_history(struct eng *e, const struct dispatch *d, Pb__PollWorkflowTaskQueueResponse *r)
{
    Pb__EmbeddedRun *s = d->run->s;
    struct history_range range = {.from = d->sticky ? s->previous_started_id + 1 : 1,
                                  .to = s->next_event_id,
                                  .max_events = ENGINE_HISTORY_PAGE,
                                  .max_bytes = PAGE_BYTES};
    struct err err = {0};
    int64_t next;
    if (d->query_id && d->sticky)
        range.from = range.to; /* it has all of it in its cache */
    bool transient = !d->query_id && wtask_is_unwritten(d->run);
    int q = d->call->outside && !transient ? history_read_packed(e, d->run, &range, &r->base, &next, &err)
                                           : history_read(e, d->run, &range, &r->history, &next, &err);
    if (q < 0) {
        eng_fault(e, &err);
        return;
    }
    if (next < range.to) {
        struct token t = {.kind = TOKEN_HISTORY, .ns = d->run->ns, .run_key = d->run->key,
                          .id = next, .attempt = d->query_id ? 0 : 1, .stamp = range.to};
        r->next_page_token = token_make(e->db.token_key, &t);
        if (!r->next_page_token.data)
            eng_nomem(e);
    } else if (transient && !wtask_add_transient(d->run, r->history)) {
        eng_nomem(e);
    }
}

/* The answer of a completion that asked for the next task, or of a start that asked for the first one. task may be NULL. */
static ProtobufCMessage *wrap(struct eng *e, const struct dispatch *d, Pb__PollWorkflowTaskQueueResponse *task)
{
    ProtobufCMessage *m = d->call->started ? TAKE_PTR(d->call->started) : call_new_response(d->call);
    if (!m) {
        eng_nomem(e);
        engine_free_message(task ? &task->base : NULL);
    } else if (d->call->method == ENGINE_START_WORKFLOW) {
        ((Pb__StartWorkflowExecutionResponse *)m)->eager_workflow_task = task;
    } else {
        ((Pb__RespondWorkflowTaskCompletedResponse *)m)->workflow_task = task;
        ((Pb__RespondWorkflowTaskCompletedResponse *)m)->reset_history_event_id = d->reset_id;
    }
    return m;
}

static bool is_wrapped(const struct call *c)
{
    return c->method == ENGINE_COMPLETE_WORKFLOW_TASK || c->method == ENGINE_START_WORKFLOW;
}

static void finish(struct eng *e, const struct dispatch *d)
{
    Pb__EmbeddedRun *s = d->run->s;
    Pb__PollWorkflowTaskQueueResponse *r =
        NEW(e, Pb__PollWorkflowTaskQueueResponse, pb__poll_workflow_task_queue_response);
    if (!r)
        return;
    struct token t = {.ns = d->run->ns, .run_key = d->run->key};
    if (d->query_id) {
        t.kind = TOKEN_QUERY;
        t.id = (int64_t)d->query_id;
        t.stamp = (int64_t)e->db.generation;
    } else {
        t.kind = TOKEN_WORKFLOW_TASK;
        t.id = s->task_scheduled_id;
        t.attempt = s->task_attempt;
        t.stamp = s->task_stamp;
        r->started_event_id = s->task_started_id;
        r->attempt = s->task_attempt;
        r->scheduled_time = pbx_timestamp(s->task_scheduled_ns);
        r->started_time = pbx_timestamp(s->task_started_ns);
    }
    r->task_token = token_make(e->db.token_key, &t);
    r->workflow_execution = execution_of(e, s);
    r->workflow_type = type_of(e, s);
    r->previous_started_event_id = s->previous_started_id;
    r->workflow_execution_task_queue = NEW(e, Pb__TaskQueue, pb__task_queue);
    if (r->workflow_execution_task_queue) {
        str_set(e, &r->workflow_execution_task_queue->name, s->task_queue);
        r->workflow_execution_task_queue->kind = PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_NORMAL;
    }
    if (!r->task_token.data || (!d->query_id && (!r->scheduled_time || !r->started_time)))
        eng_nomem(e);
    add_history(e, d, r);
    if (d->query_id)
        query_fill_own_task(e, d->run, d->query_id, r);
    else
        query_fill_task(e, d->run, r);
    if (!d->query_id)
        updates_fill_task(e, d->run, r);
    call_answer(e, d->call, is_wrapped(d->call) ? wrap(e, d, r) : &r->base);
}

void dispatch_finish(struct eng *e)
{
    VEC_EACH(&e->dispatches, d) {
        struct run *run;
        struct err err = {0};
        /* The run was read in this batch and is not dropped before its end. */
        if (e->fault.code || run_get(e, d->run->key, &run, &err) < 0) {
            if (!e->fault.code)
                eng_fault(e, &err);
            call_answer(e, d->call, NULL);
            if (d->query_id)
                queries_again(e, d->run);
            continue;
        }
        if (d->query_id || wtask_state(d->run) == WTASK_STARTED)
            finish(e, d);
        else if (is_wrapped(d->call)) /* a limit has ended the run meanwhile */
            call_answer(e, d->call, wrap(e, d, NULL));
        else
            call_answer_empty(e, d->call);
    }
    VEC_CLEAR(&e->dispatches);
}

/* Takes over the fields of the scheduled event that the worker gets. */
static void move_attributes(Pb__PollActivityTaskQueueResponse *r,
                            Pb__ActivityTaskScheduledEventAttributes *at)
{
#define MOVE(field)                                                                                \
    r->field = at->field;                                                                          \
    at->field = NULL
    MOVE(activity_type);
    MOVE(header);
    MOVE(input);
    MOVE(schedule_to_close_timeout);
    MOVE(start_to_close_timeout);
    MOVE(heartbeat_timeout);
    MOVE(retry_policy);
#undef MOVE
}

static bool add_attributes(struct eng *e, struct run *run, const Pb__EmbeddedActivity *a,
                           const struct task *t, Pb__PollActivityTaskQueueResponse *r)
{
    if (t && t->attributes) {
        Pb__ActivityTaskScheduledEventAttributes *at =
            pb__activity_task_scheduled_event_attributes__unpack(NULL, t->attributes_len,
                                                                 t->attributes);
        if (!at) {
            eng_nomem(e);
            return false;
        }
        move_attributes(r, at);
        pb__activity_task_scheduled_event_attributes__free_unpacked(at, NULL);
        return true;
    }
    Pb__HistoryEvent *ev;
    struct err err = {0};
    if (history_event(e, run, a->scheduled_id, &ev, &err) < 0) {
        eng_fault(e, &err);
        return false;
    }
    bool ok = ev->event_type == PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_SCHEDULED;
    if (ok) {
        move_attributes(r, ev->activity_task_scheduled_event_attributes);
    } else {
        err_set(&err, ERR_CORRUPT, "event %lld of run %s is not what its state says",
                (long long)a->scheduled_id, run->s->run_id);
        eng_fault(e, &err);
    }
    pb__history_event__free_unpacked(ev, NULL);
    return ok;
}

Pb__PollActivityTaskQueueResponse *dispatch_activity(struct eng *e, struct run *run,
                                                     const Pb__EmbeddedActivity *a,
                                                     const struct task *t)
{
    Pb__PollActivityTaskQueueResponse *r =
        NEW(e, Pb__PollActivityTaskQueueResponse, pb__poll_activity_task_queue_response);
    if (!r)
        return NULL;
    struct token token = {.kind = TOKEN_ACTIVITY_TASK, .ns = run->ns, .run_key = run->key,
                          .id = a->scheduled_id, .attempt = a->attempt, .stamp = a->started_ns};
    r->task_token = token_make(e->db.token_key, &token);
    for (size_t i = 0; i < e->namespaces.len; i++)
        if (e->namespaces.v[i].id == run->ns)
            str_set(e, &r->workflow_namespace, e->namespaces.v[i].name);
    r->workflow_execution = execution_of(e, run->s);
    r->workflow_type = type_of(e, run->s);
    str_set(e, &r->activity_id, a->activity_id);
    r->attempt = a->attempt;
    r->scheduled_time = pbx_timestamp(a->scheduled_ns);
    r->current_attempt_scheduled_time = pbx_timestamp(a->attempt_scheduled_ns);
    r->started_time = pbx_timestamp(a->started_ns);
    msg_set(e, &r->heartbeat_details, a->heartbeat_details);
    bool ok = add_attributes(e, run, a, t, r);
    if (ok && (!r->task_token.data || !r->scheduled_time || !r->current_attempt_scheduled_time ||
               !r->started_time)) {
        eng_nomem(e);
        ok = false;
    }
    if (!ok) {
        engine_free_message(&r->base);
        return NULL;
    }
    return r;
}
