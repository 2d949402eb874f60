#include "engine/embedded/replay.h"

#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/activity.h"
#include "engine/embedded/fields.h"
#include "engine/embedded/update.h"

#include <string.h>

/* A new element at the end of a list of the state; NULL after a fault. */
#define APPEND(e, s, list, Type, lower)                                                                                \
    ({                                                                                                                 \
        Type *new_ = mem_alloc(sizeof *new_);                                                                          \
        Type **grown_ = mem_realloc((s)->list, ((s)->n_##list + 1) * sizeof *grown_);                                  \
        if (grown_)                                                                                                    \
            (s)->list = grown_;                                                                                        \
        if (new_ && grown_) {                                                                                          \
            lower##__init(new_);                                                                                       \
            (s)->list[(s)->n_##list++] = new_;                                                                         \
        } else {                                                                                                       \
            free(new_);                                                                                                \
            new_ = NULL;                                                                                               \
            eng_nomem(e);                                                                                              \
        }                                                                                                              \
        new_;                                                                                                          \
    })

#define REMOVE(s, list, i, lower)                                                                                      \
    do {                                                                                                               \
        lower##__free_unpacked((s)->list[i], NULL);                                                                    \
        (s)->n_##list--;                                                                                               \
        memmove(&(s)->list[i], &(s)->list[(i) + 1], ((s)->n_##list - (i)) * sizeof *(s)->list);                         \
    } while (0)

static void activity_scheduled(struct eng *e, struct run *run, const Pb__HistoryEvent *ev)
{
    Pb__EmbeddedActivity *a = APPEND(e, run->s, activities, Pb__EmbeddedActivity, pb__embedded_activity);
    if (a)
        activity_fill(e, a, ev->event_id, ev->activity_task_scheduled_event_attributes);
}

static void activity_ended(struct eng *e, struct run *run, int64_t scheduled_id)
{
    Pb__EmbeddedActivity *a = activity_find(run, scheduled_id);
    if (a)
        activity_remove(e, run, a);
}

static void timer_started(struct eng *e, struct run *run, const Pb__HistoryEvent *ev)
{
    const Pb__TimerStartedEventAttributes *at = ev->timer_started_event_attributes;
    Pb__EmbeddedTimer *t = APPEND(e, run->s, timers, Pb__EmbeddedTimer, pb__embedded_timer);
    int64_t delay = pbx_duration_ns(at->start_to_fire_timeout), from = pbx_timestamp_ns(ev->event_time);
    if (!t)
        return;
    str_set(e, &t->timer_id, at->timer_id);
    t->started_id = ev->event_id;
    t->fire_ns = delay > INT64_MAX / 2 ? INT64_MAX / 2 : from + delay;
}

static void timer_ended(Pb__EmbeddedRun *s, int64_t started_id)
{
    for (size_t i = 0; i < s->n_timers; i++)
        if (s->timers[i]->started_id == started_id) {
            REMOVE(s, timers, i, pb__embedded_timer);
            return;
        }
}

static void child_initiated(struct eng *e, struct run *run, const Pb__HistoryEvent *ev)
{
    const Pb__StartChildWorkflowExecutionInitiatedEventAttributes *at =
        ev->start_child_workflow_execution_initiated_event_attributes;
    Pb__EmbeddedChild *c = APPEND(e, run->s, children, Pb__EmbeddedChild, pb__embedded_child);
    if (!c)
        return;
    c->initiated_id = ev->event_id;
    c->policy = at->parent_close_policy;
    str_set(e, &c->workflow_id, at->workflow_id);
    str_set(e, &c->workflow_type, at->workflow_type ? at->workflow_type->name : "");
}

static void child_started(struct eng *e, struct run *run, const Pb__HistoryEvent *ev)
{
    const Pb__ChildWorkflowExecutionStartedEventAttributes *at = ev->child_workflow_execution_started_event_attributes;
    Pb__EmbeddedRun *s = run->s;
    for (size_t i = 0; i < s->n_children; i++)
        if (s->children[i]->initiated_id == at->initiated_event_id) {
            s->children[i]->started_id = ev->event_id;
            str_set(e, &s->children[i]->run_id, at->workflow_execution ? at->workflow_execution->run_id : "");
        }
}

static void child_ended(Pb__EmbeddedRun *s, int64_t initiated_id)
{
    for (size_t i = 0; i < s->n_children; i++)
        if (s->children[i]->initiated_id == initiated_id) {
            REMOVE(s, children, i, pb__embedded_child);
            return;
        }
}

static void update_accepted(struct eng *e, struct run *run, const Pb__HistoryEvent *ev)
{
    const Pb__WorkflowExecutionUpdateAcceptedEventAttributes *at =
        ev->workflow_execution_update_accepted_event_attributes;
    Pb__EmbeddedUpdate *u = update_find(run, at->protocol_instance_id);
    if (!u && (u = APPEND(e, run->s, updates, Pb__EmbeddedUpdate, pb__embedded_update)))
        str_set(e, &u->update_id, at->protocol_instance_id);
    if (u)
        u->accepted_id = ev->event_id;
}

static void update_completed(struct run *run, const Pb__HistoryEvent *ev)
{
    const Pb__WorkflowExecutionUpdateCompletedEventAttributes *at =
        ev->workflow_execution_update_completed_event_attributes;
    Pb__EmbeddedUpdate *u = at->meta ? update_find(run, at->meta->update_id) : NULL;
    if (u)
        u->completed_id = ev->event_id;
}

static void task_completed(Pb__EmbeddedRun *s, const Pb__HistoryEvent *ev)
{
    s->completed_id = ev->event_id;
    s->previous_started_id = ev->workflow_task_completed_event_attributes->started_event_id;
    s->task_ever_completed = true;
}

void replay_event(struct eng *e, struct run *run, const Pb__HistoryEvent *ev)
{
    Pb__EmbeddedRun *s = run->s;
    Pb__EmbeddedActivity *a;
    switch ((int)ev->event_type) {
#define ON(UPPER, lower, what)                                                                                         \
    case PB__EVENT_TYPE__EVENT_TYPE_##UPPER: {                                                                         \
        const __typeof__(*ev->lower##_event_attributes) *at = ev->lower##_event_attributes;                            \
        (void)at;                                                                                                      \
        what;                                                                                                          \
        break;                                                                                                         \
    }
        ON(WORKFLOW_EXECUTION_STARTED, workflow_execution_started,
           (msg_set(e, &s->memo, at->memo), msg_set(e, &s->search_attributes, at->search_attributes)))
        ON(WORKFLOW_TASK_COMPLETED, workflow_task_completed, task_completed(s, ev))
        ON(ACTIVITY_TASK_SCHEDULED, activity_task_scheduled, activity_scheduled(e, run, ev))
        ON(ACTIVITY_TASK_STARTED, activity_task_started,
           if ((a = activity_find(run, at->scheduled_event_id))) {
               a->started_ns = pbx_timestamp_ns(ev->event_time);
               a->attempt = at->attempt;
               str_set(e, &a->identity, at->identity);
           })
        ON(ACTIVITY_TASK_COMPLETED, activity_task_completed, activity_ended(e, run, at->scheduled_event_id))
        ON(ACTIVITY_TASK_FAILED, activity_task_failed, activity_ended(e, run, at->scheduled_event_id))
        ON(ACTIVITY_TASK_TIMED_OUT, activity_task_timed_out, activity_ended(e, run, at->scheduled_event_id))
        ON(ACTIVITY_TASK_CANCELED, activity_task_canceled, activity_ended(e, run, at->scheduled_event_id))
        ON(ACTIVITY_TASK_CANCEL_REQUESTED, activity_task_cancel_requested,
           if ((a = activity_find(run, at->scheduled_event_id))) {
               a->cancel_requested = true;
               a->cancel_requested_id = ev->event_id;
           })
        ON(TIMER_STARTED, timer_started, timer_started(e, run, ev))
        ON(TIMER_FIRED, timer_fired, timer_ended(s, at->started_event_id))
        ON(TIMER_CANCELED, timer_canceled, timer_ended(s, at->started_event_id))
        ON(WORKFLOW_EXECUTION_SIGNALED, workflow_execution_signaled, s->signals++)
        ON(WORKFLOW_EXECUTION_CANCEL_REQUESTED, workflow_execution_cancel_requested, s->cancel_requested = true)
        ON(START_CHILD_WORKFLOW_EXECUTION_INITIATED, start_child_workflow_execution_initiated,
           child_initiated(e, run, ev))
        ON(START_CHILD_WORKFLOW_EXECUTION_FAILED, start_child_workflow_execution_failed,
           child_ended(s, at->initiated_event_id))
        ON(CHILD_WORKFLOW_EXECUTION_STARTED, child_workflow_execution_started, child_started(e, run, ev))
        ON(CHILD_WORKFLOW_EXECUTION_COMPLETED, child_workflow_execution_completed,
           child_ended(s, at->initiated_event_id))
        ON(CHILD_WORKFLOW_EXECUTION_FAILED, child_workflow_execution_failed, child_ended(s, at->initiated_event_id))
        ON(CHILD_WORKFLOW_EXECUTION_CANCELED, child_workflow_execution_canceled,
           child_ended(s, at->initiated_event_id))
        ON(CHILD_WORKFLOW_EXECUTION_TIMED_OUT, child_workflow_execution_timed_out,
           child_ended(s, at->initiated_event_id))
        ON(CHILD_WORKFLOW_EXECUTION_TERMINATED, child_workflow_execution_terminated,
           child_ended(s, at->initiated_event_id))
        ON(UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, upsert_workflow_search_attributes,
           fields_merge_attributes(e, &s->search_attributes, at->search_attributes))
        ON(WORKFLOW_PROPERTIES_MODIFIED, workflow_properties_modified,
           fields_merge_memo(e, &s->memo, at->upserted_memo))
        ON(WORKFLOW_EXECUTION_UPDATE_ACCEPTED, workflow_execution_update_accepted, update_accepted(e, run, ev))
        ON(WORKFLOW_EXECUTION_UPDATE_COMPLETED, workflow_execution_update_completed, update_completed(run, ev))
#undef ON
    default: /* leaves no trace in the state */
        break;
    }
}
