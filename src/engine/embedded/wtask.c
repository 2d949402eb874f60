#include "engine/embedded/wtask.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/pbx.h"
#include "engine/embedded/event.h"
#include "engine/embedded/match.h"
#include "engine/embedded/run.h"
#include "engine/embedded/update.h"

#include <stdio.h>
#include <string.h>

/* Temporal retries a failed task at once and counts on workers not to answer a second failure;
 * our workers do answer, so repeated failures are slowed down here. */
#define RETRY_FIRST_NS (100 * NS_PER_MS)
#define RETRY_MAX_NS (10 * NS_PER_S)

enum wtask_state wtask_state(const struct run *run)
{
    const Pb__EmbeddedRun *s = run->s;
    return !s->task_scheduled_id ? WTASK_NONE : s->task_started_id ? WTASK_STARTED : WTASK_SCHEDULED;
}

static bool transient(const Pb__EmbeddedRun *s)
{
    return s->task_attempt > 1;
}

/* Its events are not in the history. */
static bool unwritten(const Pb__EmbeddedRun *s)
{
    return transient(s) || s->task_speculative;
}

static Pb__TaskQueue queue_message(const Pb__EmbeddedRun *s)
{
    Pb__TaskQueue q = PB__TASK_QUEUE__INIT;
    q.name = s->task_sticky ? s->sticky_queue : s->task_queue;
    q.kind = s->task_sticky ? PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_STICKY
                            : PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_NORMAL;
    if (s->task_sticky)
        q.normal_name = s->task_queue;
    return q;
}

static int64_t add_scheduled(struct eng *e, struct run *run, int64_t at_ns)
{
    Pb__EmbeddedRun *s = run->s;
    Pb__Timestamp at = event_timestamp(at_ns);
    s->task_speculative = false;
    EVENT(ev, a, WORKFLOW_TASK_SCHEDULED, workflow_task_scheduled, WorkflowTaskScheduled);
    Pb__TaskQueue q = queue_message(s);
    Pb__Duration d = event_duration(s->task_timeout_ns);
    a.task_queue = &q;
    a.start_to_close_timeout = &d;
    a.attempt = s->task_attempt;
    ev.event_time = &at;
    return event_add(e, run, &ev);
}

static int64_t add_started(struct eng *e, struct run *run)
{
    Pb__EmbeddedRun *s = run->s;
    Pb__Timestamp at = event_timestamp(s->task_started_ns);
    EVENT(ev, a, WORKFLOW_TASK_STARTED, workflow_task_started, WorkflowTaskStarted);
    char request_id[64];
    snprintf(request_id, sizeof request_id, "%s:%lld", s->run_id, (long long)s->task_stamp);
    a.scheduled_event_id = s->task_scheduled_id;
    a.identity = s->task_identity;
    a.request_id = request_id;
    a.history_size_bytes = s->task_history_bytes;
    a.suggest_continue_as_new = s->task_suggest_new;
    ev.event_time = &at;
    return event_add(e, run, &ev);
}

static void clear(struct eng *e, struct run *run)
{
    Pb__EmbeddedRun *s = run->s;
    run_dirty(e, run);
    s->task_scheduled_id = s->task_started_id = 0;
    s->task_scheduled_ns = s->task_original_scheduled_ns = s->task_started_ns = 0;
    s->task_not_before_ns = 0;
    s->task_backoff = s->task_sticky = s->task_speculative = false;
}

static void schedule(struct eng *e, struct run *run, bool speculative)
{
    Pb__EmbeddedRun *s = run->s;
    ASSERT(wtask_state(run) == WTASK_NONE);
    run_dirty(e, run);
    if (s->n_buffered) {
        event_flush_buffer(e, run);
        s->task_attempt = 1; /* new events make it a new task */
        speculative = false;
    }
    s->task_sticky = !transient(s) && *s->sticky_queue && match_has_poller(e, run->ns, s->sticky_queue);
    s->task_scheduled_ns = s->task_original_scheduled_ns = e->now;
    s->task_speculative = speculative && !transient(s);
    s->task_scheduled_id = unwritten(s) ? s->next_event_id : add_scheduled(e, run, e->now);
    s->task_backoff = false;
    if (transient(s)) {
        int shift = s->task_attempt - 2 < 8 ? s->task_attempt - 2 : 8;
        int64_t delay = RETRY_FIRST_NS << shift;
        s->task_not_before_ns = e->now + (delay < RETRY_MAX_NS ? delay : RETRY_MAX_NS);
        s->task_backoff = true;
    } else {
        match_add_workflow_task(e, run);
    }
}

void wtask_schedule(struct eng *e, struct run *run)
{
    schedule(e, run, false);
}

void wtask_schedule_speculative(struct eng *e, struct run *run)
{
    schedule(e, run, true);
}

/* Both, with the times at which they happened. */
static void write_scheduled_started(struct eng *e, struct run *run)
{
    Pb__EmbeddedRun *s = run->s;
    int64_t started_id = s->task_started_id, id = add_scheduled(e, run, s->task_scheduled_ns);
    ASSERT(id == s->task_scheduled_id);
    if (started_id) {
        id = add_started(e, run);
        ASSERT(id == started_id);
    }
}

void wtask_write(struct eng *e, struct run *run)
{
    ASSERT(run->s->task_speculative);
    run_dirty(e, run);
    write_scheduled_started(e, run);
}

void wtask_wake(struct eng *e, struct run *run)
{
    run->s->task_backoff = false;
    run_dirty(e, run);
    match_add_workflow_task(e, run);
}

void wtask_ensure(struct eng *e, struct run *run)
{
    if (run->completing)
        run->want_task = true;
    else if (wtask_state(run) == WTASK_NONE && !run->s->first_task_ns)
        wtask_schedule(e, run);
    else if (run->s->task_backoff)
        wtask_wake(e, run); /* what happened may be what it waits for */
}

void wtask_start(struct eng *e, struct run *run, const char *identity)
{
    Pb__EmbeddedRun *s = run->s;
    ASSERT(wtask_state(run) == WTASK_SCHEDULED);
    run_dirty(e, run);
    str_set(e, &s->task_identity, identity);
    s->task_generation = e->db.generation;
    s->task_started_ns = e->now;
    histogram_add(&e->times.workflow_wait, (e->now - s->task_scheduled_ns) / NS_PER_US);
    s->task_stamp++;
    s->task_history_bytes = s->history_bytes;
    s->task_suggest_new = s->history_bytes >= (int64_t)ENGINE_HISTORY_SIZE_WARN ||
                          s->next_event_id > ENGINE_HISTORY_EVENTS_WARN;
    if (transient(s) && s->task_scheduled_id != s->next_event_id) {
        /* Events came since it was scheduled: it becomes an ordinary one. */
        s->task_attempt = 1;
        s->task_scheduled_id = add_scheduled(e, run, e->now);
    }
    s->task_started_id = unwritten(s) ? s->task_scheduled_id + 1 : add_started(e, run);
    updates_send(run);
}

void wtask_clear(struct eng *e, struct run *run)
{
    clear(e, run);
    updates_unsend(run);
}

void wtask_clear_sticky(struct eng *e, struct run *run)
{
    str_set(e, &run->s->sticky_queue, "");
    run->s->sticky_timeout_ns = 0;
    run_dirty(e, run);
}

/* So many events may be sent again and again with tasks that leave no trace. */
#define DISCARD_EVENTS_MAX 10

/* Does a speculative task that is answered so leave no trace? */
static bool discardable(const Pb__EmbeddedRun *s, const Pb__RespondWorkflowTaskCompletedRequest *req)
{
    if (!s->task_speculative || req->n_commands || req->force_create_new_workflow_task)
        return false;
    bool can = req->capabilities && req->capabilities->discard_speculative_workflow_task_with_events;
    if (s->next_event_id > s->previous_started_id + 2 + (can ? DISCARD_EVENTS_MAX : 0))
        return false;
    for (size_t i = 0; i < req->n_messages; i++)
        if (!update_is_rejection(req->messages[i]))
            return false;
    return true;
}

int64_t wtask_complete(struct eng *e, struct run *run,
                       const Pb__RespondWorkflowTaskCompletedRequest *req)
{
    Pb__EmbeddedRun *s = run->s;
    ASSERT(wtask_state(run) == WTASK_STARTED);
    if (discardable(s, req)) {
        clear(e, run);
        return 0;
    }
    if (unwritten(s))
        write_scheduled_started(e, run);
    EVENT(ev, a, WORKFLOW_TASK_COMPLETED, workflow_task_completed, WorkflowTaskCompleted);
    a.scheduled_event_id = s->task_scheduled_id;
    a.started_event_id = s->task_started_id;
    a.identity = req->identity;
    a.sdk_metadata = req->sdk_metadata;
    a.metering_metadata = req->metering_metadata;
    int64_t started = s->task_started_id;
    s->completed_id = event_add(e, run, &ev);
    clear(e, run);
    s->previous_started_id = started;
    s->task_ever_completed = true;
    s->task_attempt = 1;
    msg_set(e, &s->task_failure, NULL);
    s->task_failed_cause = 0;
    return s->completed_id;
}

void wtask_fail(struct eng *e, struct run *run, Pb__WorkflowTaskFailedCause cause,
                const Pb__Failure *failure, const char *identity)
{
    Pb__EmbeddedRun *s = run->s;
    ASSERT(wtask_state(run) == WTASK_STARTED);
    if (!transient(s)) {
        EVENT(ev, a, WORKFLOW_TASK_FAILED, workflow_task_failed, WorkflowTaskFailed);
        a.scheduled_event_id = s->task_scheduled_id;
        a.started_event_id = s->task_started_id;
        a.cause = cause;
        a.failure = (Pb__Failure *)failure;
        a.identity = (char *)identity;
        event_add(e, run, &ev);
    }
    wtask_clear(e, run);
    s->task_attempt++;
    s->task_failed_cause = cause;
    msg_set(e, &s->task_failure, failure);
    wtask_clear_sticky(e, run);
}

void wtask_time_out(struct eng *e, struct run *run, Pb__TimeoutType type, bool lost)
{
    Pb__EmbeddedRun *s = run->s;
    ASSERT(wtask_state(run) != WTASK_NONE);
    if (!transient(s)) {
        EVENT(ev, a, WORKFLOW_TASK_TIMED_OUT, workflow_task_timed_out, WorkflowTaskTimedOut);
        a.scheduled_event_id = s->task_scheduled_id;
        a.started_event_id = s->task_started_id;
        a.timeout_type = type;
        event_add(e, run, &ev);
    }
    bool counts = s->task_started_id && !lost;
    wtask_clear(e, run);
    if (counts)
        s->task_attempt++;
    wtask_clear_sticky(e, run);
    wtask_schedule(e, run);
}

bool wtask_is_unwritten(const struct run *run)
{
    return unwritten(run->s) && run->s->task_started_id;
}

bool wtask_add_transient(const struct run *run, Pb__History *h)
{
    const Pb__EmbeddedRun *s = run->s;
    ASSERT(wtask_is_unwritten(run));
    Pb__Timestamp t = event_timestamp(s->task_scheduled_ns), t2 = event_timestamp(s->task_started_ns);
    Pb__TaskQueue q = queue_message(s);
    Pb__Duration d = event_duration(s->task_timeout_ns);
    EVENT(scheduled, sa, WORKFLOW_TASK_SCHEDULED, workflow_task_scheduled, WorkflowTaskScheduled);
    scheduled.event_id = s->task_scheduled_id;
    scheduled.event_time = &t;
    sa.task_queue = &q;
    sa.start_to_close_timeout = &d;
    sa.attempt = s->task_attempt;
    EVENT(started, ta, WORKFLOW_TASK_STARTED, workflow_task_started, WorkflowTaskStarted);
    started.event_id = s->task_started_id;
    started.event_time = &t2;
    ta.scheduled_event_id = s->task_scheduled_id;
    ta.identity = s->task_identity;
    ta.history_size_bytes = s->task_history_bytes;
    ta.suggest_continue_as_new = s->task_suggest_new;
    const Pb__HistoryEvent *two[] = {&scheduled, &started};
    Pb__HistoryEvent **list = mem_realloc(h->events, (h->n_events + 2) * sizeof *list);
    if (!list)
        return false;
    h->events = list;
    for (int i = 0; i < 2; i++) {
        ProtobufCMessage *copy;
        if (pbx_dup(&two[i]->base, &copy, NULL) < 0)
            return false;
        h->events[h->n_events++] = (Pb__HistoryEvent *)copy;
    }
    return true;
}
