#include "engine/embedded/due.h"

#include "base/mem.h"
#include "base/units.h"
#include "engine/embedded/activity.h"
#include "engine/embedded/close.h"
#include "engine/embedded/event.h"
#include "engine/embedded/match.h"
#include "engine/embedded/run.h"
#include "engine/embedded/wtask.h"

#include <string.h>

/* A speculative task that no worker fetches becomes an ordinary one. */
#define SPECULATIVE_WAIT_NS (5 * NS_PER_S)

static int64_t task_deadline(const struct run *run)
{
    const Pb__EmbeddedRun *s = run->s;
    if (s->first_task_ns)
        return s->first_task_ns;
    switch (wtask_state(run)) {
    case WTASK_NONE:
        break;
    case WTASK_SCHEDULED:
        if (s->task_backoff)
            return s->task_not_before_ns;
        if (s->task_sticky && s->sticky_timeout_ns)
            return s->task_scheduled_ns + s->sticky_timeout_ns;
        if (s->task_speculative)
            return s->task_scheduled_ns + SPECULATIVE_WAIT_NS;
        break;
    case WTASK_STARTED:
        return s->task_started_ns + s->task_timeout_ns;
    }
    return INT64_MAX;
}

static int64_t run_deadline(const Pb__EmbeddedRun *s)
{
    int64_t due = s->run_deadline_ns ? s->run_deadline_ns : INT64_MAX;
    return s->execution_deadline_ns && s->execution_deadline_ns < due ? s->execution_deadline_ns : due;
}

void run_set_timer(struct eng *e, struct run *run)
{
    const Pb__EmbeddedRun *s = run->s;
    if (!run_is_open(run)) {
        heap_remove(&e->heap, &run->timer);
        return;
    }
    int64_t due = run_deadline(s), t = task_deadline(run);
    Pb__TimeoutType type;
    due = t < due ? t : due;
    for (size_t i = 0; i < s->n_activities; i++) {
        t = activity_deadline(s->activities[i], &type);
        due = t < due ? t : due;
    }
    for (size_t i = 0; i < s->n_timers; i++)
        due = s->timers[i]->fire_ns < due ? s->timers[i]->fire_ns : due;
    if (due == INT64_MAX)
        heap_remove(&e->heap, &run->timer);
    else if (!heap_set(&e->heap, &run->timer, due))
        eng_nomem(e);
}

static void fire_task(struct eng *e, struct run *run)
{
    Pb__EmbeddedRun *s = run->s;
    if (s->first_task_ns) {
        s->first_task_ns = 0;
        run_dirty(e, run);
        wtask_ensure(e, run);
    } else if (wtask_state(run) == WTASK_STARTED) {
        wtask_time_out(e, run, PB__TIMEOUT_TYPE__TIMEOUT_TYPE_START_TO_CLOSE, false);
    } else if (s->task_backoff) {
        wtask_wake(e, run);
    } else {
        wtask_time_out(e, run, PB__TIMEOUT_TYPE__TIMEOUT_TYPE_SCHEDULE_TO_START, false);
    }
}

/* In the order of their times; equal ones in the order they were started. */
static void fire_timers(struct eng *e, struct run *run)
{
    Pb__EmbeddedRun *s = run->s;
    for (;;) {
        size_t best = s->n_timers;
        for (size_t i = 0; i < s->n_timers; i++)
            if (s->timers[i]->fire_ns <= e->now &&
                (best == s->n_timers || s->timers[i]->fire_ns < s->timers[best]->fire_ns))
                best = i;
        if (best == s->n_timers)
            return;
        Pb__EmbeddedTimer *t = s->timers[best];
        EVENT(ev, a, TIMER_FIRED, timer_fired, TimerFired);
        a.timer_id = t->timer_id;
        a.started_event_id = t->started_id;
        event_post(e, run, &ev, t->started_id);
        pb__embedded_timer__free_unpacked(t, NULL);
        s->n_timers--;
        memmove(&s->timers[best], &s->timers[best + 1], (s->n_timers - best) * sizeof *s->timers);
        wtask_ensure(e, run);
    }
}

static void fire_activities(struct eng *e, struct run *run)
{
    Pb__EmbeddedRun *s = run->s;
    for (size_t i = 0; i < s->n_activities;) {
        Pb__EmbeddedActivity *a = s->activities[i];
        Pb__TimeoutType type;
        if (activity_deadline(a, &type) > e->now) {
            i++;
            continue;
        }
        if (type == PB__TIMEOUT_TYPE__TIMEOUT_TYPE_UNSPECIFIED && a->started_ns)
            activity_lost(e, run, a);
        else if (type == PB__TIMEOUT_TYPE__TIMEOUT_TYPE_UNSPECIFIED)
            activity_wake(e, run, a);
        else
            activity_time_out(e, run, a, type);
        /* Look at the same place again: the activity may be gone, or something else of it be
         * due. */
    }
}

void run_fire_due(struct eng *e, struct run *run)
{
    Pb__EmbeddedRun *s = run->s;
    if (run_deadline(s) <= e->now) {
        close_timed_out(e, run);
        return;
    }
    fire_timers(e, run);
    fire_activities(e, run);
    if (task_deadline(run) <= e->now)
        fire_task(e, run);
}

void run_requeue_activities(struct eng *e, struct run *run)
{
    const Pb__EmbeddedRun *s = run->s;
    for (size_t i = 0; i < s->n_activities; i++)
        if (!s->activities[i]->started_ns && !s->activities[i]->backoff)
            match_add_activity(e, run, s->activities[i], NULL);
}

void run_requeue(struct eng *e, struct run *run)
{
    const Pb__EmbeddedRun *s = run->s;
    run_requeue_activities(e, run);
    if (wtask_state(run) == WTASK_SCHEDULED && !s->task_backoff)
        match_add_workflow_task(e, run);
    run_set_timer(e, run);
}
