#include "engine/embedded/close.h"

#include "base/assert.h"
#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/activity.h"
#include "engine/embedded/cron.h"
#include "engine/embedded/effect.h"
#include "engine/embedded/event.h"
#include "engine/embedded/history.h"
#include "engine/embedded/query.h"
#include "engine/embedded/retry.h"
#include "engine/embedded/run.h"
#include "engine/embedded/start.h"
#include "engine/embedded/wtask.h"

#include <string.h>

#define RESETS_MAX 100 /* of a parent, that its children follow */

typedef Pb__WorkflowExecutionStatus status_t;
#define STATUS(NAME) PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_##NAME

/* How a run ended, for its parent. */
struct outcome {
    const Pb__Payloads *payloads; /* result or details */
    const Pb__Failure *failure;
    Pb__RetryState retry_state;
};

static Pb__EmbeddedChild *find_child(struct run *parent, const Pb__EmbeddedRun *child)
{
    for (size_t i = 0; i < parent->s->n_children; i++)
        if (parent->s->children[i]->initiated_id == child->parent->initiated_id &&
            strcmp(parent->s->children[i]->run_id, child->first_run_id) == 0)
            return parent->s->children[i];
    return NULL;
}

static void drop_child(struct run *parent, Pb__EmbeddedChild *c)
{
    Pb__EmbeddedRun *s = parent->s;
    size_t i = 0;
    while (s->children[i] != c)
        i++;
    s->n_children--;
    memmove(&s->children[i], &s->children[i + 1], (s->n_children - i) * sizeof *s->children);
    pb__embedded_child__free_unpacked(c, NULL);
}

/* Writes the event that tells the parent. */
static void post_child_end(struct eng *e, struct run *parent, const Pb__EmbeddedChild *c,
                           const Pb__EmbeddedRun *child, const struct outcome *o)
{
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    x.workflow_id = child->workflow_id;
    x.run_id = child->run_id;
    type.name = child->workflow_type;
#define END(UPPER, lower, Camel, extra)                                                            \
    {                                                                                              \
        EVENT(ev, a, UPPER, lower, Camel);                                                         \
        a.namespace_ = child->parent->namespace_;                                                  \
        a.workflow_execution = &x;                                                                 \
        a.workflow_type = &type;                                                                   \
        a.initiated_event_id = c->initiated_id;                                                    \
        a.started_event_id = c->started_id;                                                        \
        extra;                                                                                     \
        event_post(e, parent, &ev, c->initiated_id);                                               \
        return;                                                                                    \
    }
    switch ((int)child->status) {
    case STATUS(COMPLETED):
        END(CHILD_WORKFLOW_EXECUTION_COMPLETED, child_workflow_execution_completed,
            ChildWorkflowExecutionCompleted, a.result = (Pb__Payloads *)o->payloads)
    case STATUS(FAILED):
        END(CHILD_WORKFLOW_EXECUTION_FAILED, child_workflow_execution_failed,
            ChildWorkflowExecutionFailed,
            (a.failure = (Pb__Failure *)o->failure, a.retry_state = o->retry_state))
    case STATUS(CANCELED):
        END(CHILD_WORKFLOW_EXECUTION_CANCELED, child_workflow_execution_canceled,
            ChildWorkflowExecutionCanceled, a.details = (Pb__Payloads *)o->payloads)
    case STATUS(TERMINATED):
        END(CHILD_WORKFLOW_EXECUTION_TERMINATED, child_workflow_execution_terminated,
            ChildWorkflowExecutionTerminated, (void)0)
    case STATUS(TIMED_OUT):
        END(CHILD_WORKFLOW_EXECUTION_TIMED_OUT, child_workflow_execution_timed_out,
            ChildWorkflowExecutionTimedOut, a.retry_state = o->retry_state)
    default:
        ASSERT(!"a status that ends a run");
    }
#undef END
}

static void tell_parent(struct eng *e, struct run *run, const struct outcome *o)
{
    struct run *parent;
    struct err err = {0};
    int r = run_find(e, run->ns, run->s->parent->workflow_id, run->s->parent->run_id, &parent, &err);
    if (r == -ERR_NOT_FOUND)
        return; /* deleted */
    if (r < 0) {
        eng_fault(e, &err);
        return;
    }
    for (int i = 0; !run_is_open(parent) && *parent->s->reset_run_id && i < RESETS_MAX; i++)
        if (run_find(e, run->ns, parent->s->workflow_id, parent->s->reset_run_id, &parent, &err) < 0)
            return;
    Pb__EmbeddedChild *c = run_is_open(parent) ? find_child(parent, run->s) : NULL;
    if (!c)
        return;
    run_dirty(e, parent);
    post_child_end(e, parent, c, run->s, o);
    drop_child(parent, c);
    wtask_ensure(e, parent);
}

static void clear_pending(struct eng *e, const struct run *run)
{
    Pb__EmbeddedRun *s = run->s;
    for (size_t i = 0; i < s->n_activities; i++)
        activity_ask_worker(e, run, s->activities[i]);
#define CLEAR(list, lower)                                                                         \
    for (size_t i = 0; i < s->n_##list; i++)                                                       \
        pb__embedded_##lower##__free_unpacked(s->list[i], NULL);                                   \
    free(s->list);                                                                                 \
    s->list = NULL;                                                                                \
    s->n_##list = 0
    CLEAR(activities, activity);
    CLEAR(timers, timer);
    CLEAR(children, child);
    CLEAR(buffered, buffered);
#undef CLEAR
    for (size_t i = 0; i < s->n_signal_request_ids; i++)
        free(s->signal_request_ids[i]);
    free(s->signal_request_ids);
    s->signal_request_ids = NULL;
    s->n_signal_request_ids = 0;
}

static void close_run(struct eng *e, struct run *run, status_t status, const struct outcome *o)
{
    Pb__EmbeddedRun *s = run->s;
    ASSERT(run_is_open(run));
    run_dirty(e, run);
    s->status = status;
    s->close_ns = e->now;
    s->first_task_ns = 0;
    wtask_clear(e, run);
    if (s->parent && !*s->next_run_id)
        tell_parent(e, run, o);
    for (size_t i = 0; i < s->n_children; i++)
        if (!*s->reset_run_id || s->children[i]->initiated_id >= s->reset_before_id)
            effect_parent_closed(e, run, s->children[i]); /* the others go over to the run that begins anew */
    clear_pending(e, run);
    queries_go_on(e, run);
}

void close_prepare(struct eng *e, struct run *run)
{
    if (wtask_state(run) == WTASK_STARTED)
        wtask_fail(e, run, PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
                   NULL, "history-service");
    else if (run->s->task_speculative)
        wtask_clear(e, run); /* it leaves no trace */
    event_flush_buffer(e, run);
}

/* How a run goes on by itself: again after a failure, or at the next time of its schedule. */
struct next_run {
    Pb__ContinueAsNewInitiator initiator;
    int64_t delay_ns;
    int32_t attempt;
    const Pb__Failure *failure;
    const Pb__Payloads *result; /* NULL: the last one that there was */
};

static bool may_go_on(struct eng *e, const struct run *run, struct err *err)
{
    return !e->admit || e->admit(e->admit_arg, start_namespace(e, run->ns), -1, err) == 0;
}

/* The next run of the chain, made from the Started event of this one. run->s->next_run_id tells
 * that there is one. */
static void start_next(struct eng *e, struct run *run, const struct next_run *n)
{
    Pb__EmbeddedRun *s = run->s;
    Pb__HistoryEvent *first;
    struct err err = {0};
    if (!may_go_on(e, run, &err))
        return;
    if (history_event(e, run, 1, &first, &err) < 0) {
        eng_fault(e, &err);
        return;
    }
    const Pb__WorkflowExecutionStartedEventAttributes *a = first->workflow_execution_started_event_attributes;
    struct start p = {.ns = run->ns,
                      .workflow_id = s->workflow_id,
                      .workflow_type = s->workflow_type,
                      .task_queue = s->task_queue,
                      .identity = "",
                      .request_id = "",
                      .input = a->input,
                      .execution_timeout_ns = s->execution_timeout_ns,
                      .run_timeout_ns = s->run_timeout_ns,
                      .task_timeout_ns = s->task_timeout_ns,
                      .delay_ns = n->delay_ns,
                      .cron_schedule = s->cron_schedule,
                      .retry_policy = s->retry_policy,
                      .memo = s->memo,
                      .search_attributes = s->search_attributes,
                      .header = a->header,
                      .user_metadata = s->user_metadata,
                      .previous = run,
                      .initiator = n->initiator,
                      .continued_failure = n->failure,
                      .last_result = n->result ? n->result : a->last_completion_result,
                      .attempt = n->attempt};
    struct run *next = start_run(e, &p);
    if (next)
        str_set(e, &s->next_run_id, next->s->run_id);
    pb__history_event__free_unpacked(first, NULL);
}

/* A scheduled run has ended by itself: the next one waits for its time. */
static void cron_again(struct eng *e, struct run *run, const Pb__Failure *failure, const Pb__Payloads *result)
{
    Pb__EmbeddedRun *s = run->s;
    int64_t at;
    if (!*s->cron_schedule || cron_due(s->cron_schedule, s->execution_ns, e->now, &at, NULL) < 0)
        return;
    if (at == INT64_MAX || (s->execution_deadline_ns && at > s->execution_deadline_ns))
        return;
    start_next(e, run,
               &(struct next_run){.initiator = PB__CONTINUE_AS_NEW_INITIATOR__CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE,
                                  .delay_ns = at - e->now,
                                  .attempt = 1,
                                  .failure = failure,
                                  .result = result});
}

static Pb__RetryState retry(struct eng *e, struct run *run, const Pb__Failure *failure)
{
    Pb__EmbeddedRun *s = run->s;
    int64_t delay;
    struct retry_input in = {.policy = s->retry_policy, .failure = failure, .attempt = s->attempt,
                             .now_ns = e->now, .deadline_ns = s->execution_deadline_ns};
    Pb__RetryState state = retry_decide(&in, &delay);
    if (state == PB__RETRY_STATE__RETRY_STATE_IN_PROGRESS)
        start_next(e, run,
                   &(struct next_run){.initiator = PB__CONTINUE_AS_NEW_INITIATOR__CONTINUE_AS_NEW_INITIATOR_RETRY,
                                      .delay_ns = delay,
                                      .attempt = s->attempt + 1,
                                      .failure = failure});
    else
        cron_again(e, run, failure, NULL);
    bool refused = state == PB__RETRY_STATE__RETRY_STATE_IN_PROGRESS && !*s->next_run_id;
    return refused ? PB__RETRY_STATE__RETRY_STATE_NON_RETRYABLE_FAILURE : state;
}

void close_completed(struct eng *e, struct run *run, const Pb__Payloads *result)
{
    cron_again(e, run, NULL, result);
    EVENT(ev, a, WORKFLOW_EXECUTION_COMPLETED, workflow_execution_completed,
          WorkflowExecutionCompleted);
    a.new_execution_run_id = run->s->next_run_id;
    a.result = (Pb__Payloads *)result;
    a.workflow_task_completed_event_id = run->s->completed_id;
    event_add(e, run, &ev);
    struct outcome o = {.payloads = result};
    close_run(e, run, STATUS(COMPLETED), &o);
}

void close_failed(struct eng *e, struct run *run, const Pb__Failure *failure)
{
    struct outcome o = {.failure = failure, .retry_state = retry(e, run, failure)};
    EVENT(ev, a, WORKFLOW_EXECUTION_FAILED, workflow_execution_failed, WorkflowExecutionFailed);
    a.failure = (Pb__Failure *)failure;
    a.retry_state = o.retry_state;
    a.workflow_task_completed_event_id = run->s->completed_id;
    a.new_execution_run_id = run->s->next_run_id;
    event_add(e, run, &ev);
    close_run(e, run, STATUS(FAILED), &o);
}

void close_over_quota(struct eng *e, struct run *run, const struct err *why)
{
    Pb__Failure failure = PB__FAILURE__INIT;
    Pb__ApplicationFailureInfo info = PB__APPLICATION_FAILURE_INFO__INIT;
    failure.message = (char *)(uintptr_t)why->msg;
    failure.source = (char *)(uintptr_t) "Server";
    failure.failure_info_case = PB__FAILURE__FAILURE_INFO_APPLICATION_FAILURE_INFO;
    failure.application_failure_info = &info;
    info.type = (char *)(uintptr_t) "QuotaExceeded";
    info.non_retryable = true;
    close_failed(e, run, &failure);
}

void close_canceled(struct eng *e, struct run *run, const Pb__Payloads *details)
{
    EVENT(ev, a, WORKFLOW_EXECUTION_CANCELED, workflow_execution_canceled, WorkflowExecutionCanceled);
    a.details = (Pb__Payloads *)details;
    a.workflow_task_completed_event_id = run->s->completed_id;
    event_add(e, run, &ev);
    struct outcome o = {.payloads = details};
    close_run(e, run, STATUS(CANCELED), &o);
}

void close_terminated(struct eng *e, struct run *run, const char *reason,
                      const Pb__Payloads *details, const char *identity)
{
    close_prepare(e, run);
    EVENT(ev, a, WORKFLOW_EXECUTION_TERMINATED, workflow_execution_terminated,
          WorkflowExecutionTerminated);
    a.reason = (char *)reason;
    a.details = (Pb__Payloads *)details;
    a.identity = (char *)identity;
    event_add(e, run, &ev);
    struct outcome o = {0};
    close_run(e, run, STATUS(TERMINATED), &o);
}

void close_timed_out(struct eng *e, struct run *run)
{
    Pb__EmbeddedRun *s = run->s;
    close_prepare(e, run);
    bool chain_over = s->execution_deadline_ns && s->execution_deadline_ns <= e->now;
    Pb__Failure failure = PB__FAILURE__INIT;
    Pb__TimeoutFailureInfo info = PB__TIMEOUT_FAILURE_INFO__INIT;
    failure.message = (char *)"workflow timeout";
    failure.source = (char *)"Server";
    failure.failure_info_case = PB__FAILURE__FAILURE_INFO_TIMEOUT_FAILURE_INFO;
    failure.timeout_failure_info = &info;
    info.timeout_type = PB__TIMEOUT_TYPE__TIMEOUT_TYPE_START_TO_CLOSE;
    struct outcome o = {.retry_state = chain_over ? PB__RETRY_STATE__RETRY_STATE_TIMEOUT
                                                  : retry(e, run, &failure)};
    EVENT(ev, a, WORKFLOW_EXECUTION_TIMED_OUT, workflow_execution_timed_out,
          WorkflowExecutionTimedOut);
    a.retry_state = o.retry_state;
    a.new_execution_run_id = s->next_run_id;
    event_add(e, run, &ev);
    close_run(e, run, STATUS(TIMED_OUT), &o);
}

void close_continued_as_new(struct eng *e, struct run *run,
                            const Pb__ContinueAsNewWorkflowExecutionCommandAttributes *c)
{
    Pb__EmbeddedRun *s = run->s;
    struct err full = {0};
    if (!may_go_on(e, run, &full)) {
        close_over_quota(e, run, &full);
        return;
    }
    bool named = c->workflow_type && *c->workflow_type->name;
    bool queued = c->task_queue && *c->task_queue->name;
    int64_t run_timeout = pbx_duration_ns(c->workflow_run_timeout);
    int64_t task_timeout = pbx_duration_ns(c->workflow_task_timeout);
    struct start p = {.ns = run->ns,
                      .workflow_id = s->workflow_id,
                      .workflow_type = named ? c->workflow_type->name : s->workflow_type,
                      .task_queue = queued ? c->task_queue->name : s->task_queue,
                      .identity = "",
                      .request_id = "",
                      .input = c->input,
                      .execution_timeout_ns = s->execution_timeout_ns,
                      .run_timeout_ns = run_timeout ? run_timeout : s->run_timeout_ns,
                      .task_timeout_ns = task_timeout ? task_timeout : s->task_timeout_ns,
                      .delay_ns = pbx_duration_ns(c->backoff_start_interval),
                      .cron_schedule = *c->cron_schedule ? c->cron_schedule : s->cron_schedule,
                      .retry_policy = c->retry_policy ? c->retry_policy : s->retry_policy,
                      .memo = c->memo, /* a worker passes on what is to be kept */
                      .search_attributes =
                          c->search_attributes ? c->search_attributes : s->search_attributes,
                      .header = c->header,
                      .user_metadata = s->user_metadata,
                      .previous = run,
                      .initiator = c->initiator
                                       ? c->initiator
                                       : PB__CONTINUE_AS_NEW_INITIATOR__CONTINUE_AS_NEW_INITIATOR_WORKFLOW,
                      .continued_failure = c->failure,
                      .last_result = c->last_completion_result};
    struct run *next = start_run(e, &p);
    if (!next)
        return;
    str_set(e, &s->next_run_id, next->s->run_id);
    EVENT(ev, a, WORKFLOW_EXECUTION_CONTINUED_AS_NEW, workflow_execution_continued_as_new,
          WorkflowExecutionContinuedAsNew);
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    Pb__Duration limit = event_duration(next->s->run_timeout_ns),
                 task = event_duration(next->s->task_timeout_ns);
    type.name = next->s->workflow_type;
    queue.name = next->s->task_queue;
    queue.kind = PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_NORMAL;
    a.new_execution_run_id = s->next_run_id;
    a.workflow_type = &type;
    a.task_queue = &queue;
    a.input = c->input;
    a.workflow_run_timeout = &limit;
    a.workflow_task_timeout = &task;
    a.workflow_task_completed_event_id = s->completed_id;
    a.backoff_start_interval = c->backoff_start_interval;
    a.initiator = c->initiator;
    a.last_completion_result = c->last_completion_result;
    a.header = c->header;
    a.memo = (Pb__Memo *)p.memo;
    a.search_attributes = (Pb__SearchAttributes *)p.search_attributes;
    event_add(e, run, &ev);
    struct outcome o = {0};
    close_run(e, run, STATUS(CONTINUED_AS_NEW), &o);
}
