#include "engine/embedded/reset.h"

#include "codec/pbx.h"
#include "engine/embedded/activity.h"
#include "engine/embedded/close.h"
#include "engine/embedded/due.h"
#include "engine/embedded/event.h"
#include "engine/embedded/history.h"
#include "engine/embedded/replay.h"
#include "engine/embedded/run.h"
#include "engine/embedded/update.h"
#include "engine/embedded/wtask.h"

#include <string.h>

#define PAGE_BYTES ((size_t)4 << 20)
#define CHAIN_MAX 1000 /* runs whose signals are applied again */

/* --- what is kept ------------------------------------------------------------------------------------ */

/* The run must have a workflow task that is scheduled or started just before finish_id. */
static int check_point(struct eng *e, struct run *base, int64_t finish_id, struct err *err)
{
    Pb__HistoryEvent *ev;
    if (finish_id <= 1 || finish_id >= base->s->next_event_id)
        return err_set(err, ERR_INVALID, "Workflow task finish ID must be > 1 && <= workflow last event ID.");
    int r = history_event(e, base, finish_id - 1, &ev, err);
    if (r < 0)
        return r;
    bool fits = ev->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_SCHEDULED ||
                ev->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_STARTED;
    pb__history_event__free_unpacked(ev, NULL);
    return fits ? 0
                : err_set(err, ERR_INVALID,
                          "Can only reset workflow to event ID in range [WorkflowTaskScheduled +1, "
                          "WorkflowTaskStarted + 1]: %lld",
                          (long long)finish_id);
}

/* What a run has from its start on and keeps for its life. */
static void copy_constants(struct eng *e, struct run *run, const Pb__EmbeddedRun *from, const char *request_id)
{
    Pb__EmbeddedRun *s = run->s;
#define STRING(field) str_set(e, &s->field, from->field)
#define MESSAGE(field) msg_set(e, &s->field, from->field)
#define NUMBER(field) s->field = from->field
    STRING(first_run_id);
    STRING(original_run_id);
    STRING(workflow_type);
    STRING(task_queue);
    str_set(e, &s->start_request_id, request_id);
    NUMBER(execution_timeout_ns);
    NUMBER(run_timeout_ns);
    NUMBER(task_timeout_ns);
    NUMBER(execution_deadline_ns);
    NUMBER(first_start_ns);
    NUMBER(attempt);
    STRING(cron_schedule);
    MESSAGE(retry_policy);
    MESSAGE(parent);
    MESSAGE(root);
    MESSAGE(user_metadata);
#undef STRING
#undef MESSAGE
#undef NUMBER
    s->start_ns = s->execution_ns = e->now;
    s->run_deadline_ns = s->run_timeout_ns ? e->now + s->run_timeout_ns : 0;
    if (s->execution_deadline_ns && (!s->run_deadline_ns || s->execution_deadline_ns < s->run_deadline_ns))
        s->run_deadline_ns = s->execution_deadline_ns;
}

/* Calls take() for the events from <= id < to. */
static int each_event(struct eng *e, struct run *run, int64_t from, int64_t to,
                      void (*take)(struct eng *, struct run *, const Pb__HistoryEvent *, const struct reset *),
                      struct run *into, const struct reset *r, struct err *err)
{
    while (from < to) {
        struct history_range range = {
            .from = from, .to = to, .max_events = ENGINE_HISTORY_PAGE, .max_bytes = PAGE_BYTES};
        Pb__History *h;
        int q = history_read(e, run, &range, &h, &from, err);
        if (q < 0)
            return q;
        for (size_t i = 0; i < h->n_events; i++)
            take(e, into, h->events[i], r);
        bool none = !h->n_events;
        pb__history__free_unpacked(h, NULL);
        if (none)
            return err_set(err, ERR_CORRUPT, "events of run %s are missing", run->s->run_id);
    }
    return 0;
}

static void keep(struct eng *e, struct run *into, const Pb__HistoryEvent *ev, const struct reset *r)
{
    (void)r;
    Pb__HistoryEvent copy = *ev;
    event_add(e, into, &copy); /* gets the same id: nothing is left out */
    replay_event(e, into, ev);
}

/* The task at the point, which the reset ends. */
static void fail_task(struct eng *e, struct run *run, const struct run *base, const struct reset *r)
{
    Pb__EmbeddedRun *s = run->s;
    Pb__HistoryEvent *last;
    struct err err = {0};
    if (history_event(e, run, s->next_event_id - 1, &last, &err) < 0) {
        eng_fault(e, &err);
        return;
    }
    int64_t started = last->event_id, scheduled = last->event_id;
    if (last->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_STARTED) {
        scheduled = last->workflow_task_started_event_attributes->scheduled_event_id;
    } else {
        EVENT(ev, a, WORKFLOW_TASK_STARTED, workflow_task_started, WorkflowTaskStarted);
        a.scheduled_event_id = scheduled;
        a.identity = (char *)"history-service";
        a.request_id = s->run_id;
        started = event_add(e, run, &ev);
    }
    pb__history_event__free_unpacked(last, NULL);
    Pb__Failure failure = PB__FAILURE__INIT;
    Pb__ResetWorkflowFailureInfo info = PB__RESET_WORKFLOW_FAILURE_INFO__INIT;
    failure.message = (char *)r->reason;
    failure.failure_info_case = PB__FAILURE__FAILURE_INFO_RESET_WORKFLOW_FAILURE_INFO;
    failure.reset_workflow_failure_info = &info;
    EVENT(ev, a, WORKFLOW_TASK_FAILED, workflow_task_failed, WorkflowTaskFailed);
    a.scheduled_event_id = scheduled;
    a.started_event_id = started;
    a.cause = PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW;
    a.failure = &failure;
    a.identity = (char *)"history-service";
    a.base_run_id = base->s->run_id;
    a.new_run_id = s->run_id;
    event_add(e, run, &ev);
    /* Activities that a worker had: their answers go to the old run. */
    for (size_t i = 0; i < s->n_activities;) {
        Pb__EmbeddedActivity *act = s->activities[i];
        if (!act->started_ns) {
            i++;
            continue;
        }
        EVENT(end, at, ACTIVITY_TASK_FAILED, activity_task_failed, ActivityTaskFailed);
        at.scheduled_event_id = act->scheduled_id;
        at.started_event_id = 0;
        at.failure = &failure;
        at.identity = act->identity;
        at.retry_state = PB__RETRY_STATE__RETRY_STATE_NON_RETRYABLE_FAILURE;
        event_add(e, run, &end);
        activity_remove(e, run, act);
    }
}

/* --- what is applied again --------------------------------------------------------------------------- */

static void admit_again(struct eng *e, struct run *into, const Pb__UpdateRequest *request)
{
    if (!request || !request->meta || update_find(into, request->meta->update_id))
        return;
    EVENT(ev, a, WORKFLOW_EXECUTION_UPDATE_ADMITTED, workflow_execution_update_admitted,
          WorkflowExecutionUpdateAdmitted);
    a.request = (Pb__UpdateRequest *)request;
    a.origin = PB__UPDATE_ADMITTED_EVENT_ORIGIN__UPDATE_ADMITTED_EVENT_ORIGIN_REAPPLY;
    event_add(e, into, &ev);
    update_admitted(e, into, request->meta->update_id);
}

/* The event of a child that the new run has too, with the ids that it has there. */
static void child_again(struct eng *e, struct run *into, const Pb__HistoryEvent *ev, int64_t initiated_id,
                        int64_t *started_id)
{
    for (size_t i = 0; i < into->s->n_children; i++) {
        Pb__EmbeddedChild *c = into->s->children[i];
        if (c->initiated_id != initiated_id)
            continue;
        if (started_id)
            *started_id = c->started_id;
        Pb__HistoryEvent copy = *ev;
        copy.event_id = event_add(e, into, &copy);
        replay_event(e, into, &copy);
        return;
    }
}

static void apply_again(struct eng *e, struct run *into, const Pb__HistoryEvent *ev, const struct reset *r)
{
    switch ((int)ev->event_type) {
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
        if (r->signals) {
            Pb__HistoryEvent copy = *ev;
            event_add(e, into, &copy);
            replay_event(e, into, ev);
        }
        break;
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
        if (r->updates)
            admit_again(e, into, ev->workflow_execution_update_admitted_event_attributes->request);
        break;
    case PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
        if (r->updates)
            admit_again(e, into, ev->workflow_execution_update_accepted_event_attributes->accepted_request);
        break;
#define CHILD(UPPER, lower, started)                                                                                   \
    case PB__EVENT_TYPE__EVENT_TYPE_##UPPER:                                                                           \
        child_again(e, into, ev, ev->lower##_event_attributes->initiated_event_id, started);                           \
        break;
#define ENDED(UPPER, lower) CHILD(UPPER, lower, &ev->lower##_event_attributes->started_event_id)
        CHILD(CHILD_WORKFLOW_EXECUTION_STARTED, child_workflow_execution_started, NULL)
        CHILD(START_CHILD_WORKFLOW_EXECUTION_FAILED, start_child_workflow_execution_failed, NULL)
        ENDED(CHILD_WORKFLOW_EXECUTION_COMPLETED, child_workflow_execution_completed)
        ENDED(CHILD_WORKFLOW_EXECUTION_FAILED, child_workflow_execution_failed)
        ENDED(CHILD_WORKFLOW_EXECUTION_CANCELED, child_workflow_execution_canceled)
        ENDED(CHILD_WORKFLOW_EXECUTION_TIMED_OUT, child_workflow_execution_timed_out)
        ENDED(CHILD_WORKFLOW_EXECUTION_TERMINATED, child_workflow_execution_terminated)
#undef CHILD
#undef ENDED
    default:
        break;
    }
}

/* Signals and updates of a run that continued the base: nothing else of it means anything to the new run. */
static void apply_messages(struct eng *e, struct run *into, const Pb__HistoryEvent *ev, const struct reset *r)
{
    if (ev->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED ||
        ev->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED ||
        ev->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED)
        apply_again(e, into, ev, r);
}

static int apply_chain(struct eng *e, struct run *base, struct run *into, const struct reset *r, struct err *err)
{
    int q = each_event(e, base, r->finish_id, base->s->next_event_id, apply_again, into, r, err);
    struct run *run = base;
    for (int i = 0; q == 0 && i < CHAIN_MAX && *run->s->next_run_id; i++) {
        int found = run_find(e, base->ns, base->s->workflow_id, run->s->next_run_id, &run, err);
        if (found == -ERR_NOT_FOUND)
            break; /* it was deleted */
        q = found < 0 ? found : each_event(e, run, 1, run->s->next_event_id, apply_messages, into, r, err);
    }
    return q;
}

/* ------------------------------------------------------------------------------------------------------- */

int reset_run(struct eng *e, struct run *base, const struct reset *r, struct run **ret, struct err *err)
{
    int q = check_point(e, base, r->finish_id, err);
    struct run *current = NULL;
    if (q == 0)
        q = run_find(e, base->ns, base->s->workflow_id, "", &current, err);
    if (q < 0)
        return q;
    bool was_open = run_is_open(current);
    base->s->reset_before_id = r->finish_id;
    run_dirty(e, base);
    if (was_open) {
        str_set(e, &current->s->reset_run_id, RESET_PENDING); /* its children are seen to below */
        close_terminated(e, current, r->reason, NULL, "history-resetter");
    }
    struct run *run = run_new(e, base->ns, base->s->workflow_id);
    if (!run)
        return err_copy(err, &e->fault);
    str_set(e, &base->s->reset_run_id, run->s->run_id);
    if (was_open)
        str_set(e, &current->s->reset_run_id, run->s->run_id);
    run_dirty(e, current);
    copy_constants(e, run, base->s, r->request_id);
    q = each_event(e, base, 1, r->finish_id, keep, run, r, err);
    if (q == 0)
        fail_task(e, run, base, r);
    if (q == 0)
        q = apply_chain(e, base, run, r, err);
    if (q < 0 || e->fault.code) {
        if (q < 0)
            eng_fault(e, err); /* half of it is done: none of it may stay */
        return q < 0 ? q : err_copy(err, &e->fault);
    }
    run->attributes_changed = run->s->search_attributes && run->s->search_attributes->n_indexed_fields;
    wtask_schedule(e, run);
    run_requeue_activities(e, run);
    *ret = run;
    return 0;
}
