#include "engine/embedded/activity.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/pbx.h"
#include "engine/embedded/event.h"
#include "engine/embedded/match.h"
#include "engine/embedded/retry.h"
#include "engine/embedded/run.h"
#include "engine/embedded/wtask.h"

#include <stdio.h>
#include <string.h>

/* Watched workers heartbeat each second, whatever the activity asks for. One that is silent for so long never got the task. */
#define GUEST_SILENT_NS (30 * NS_PER_S)

Pb__EmbeddedActivity *activity_find(const struct run *run, int64_t scheduled_id)
{
    for (size_t i = 0; i < run->s->n_activities; i++)
        if (run->s->activities[i]->scheduled_id == scheduled_id)
            return run->s->activities[i];
    return NULL;
}

Pb__EmbeddedActivity *activity_find_by_id(const struct run *run, const char *activity_id)
{
    for (size_t i = 0; i < run->s->n_activities; i++)
        if (strcmp(run->s->activities[i]->activity_id, activity_id) == 0)
            return run->s->activities[i];
    return NULL;
}

void activity_fill(struct eng *e, Pb__EmbeddedActivity *a, int64_t scheduled_id,
                   const Pb__ActivityTaskScheduledEventAttributes *at)
{
    a->scheduled_id = scheduled_id;
    a->scheduled_ns = a->attempt_scheduled_ns = e->now;
    a->attempt = 1;
    str_set(e, &a->activity_id, at->activity_id);
    str_set(e, &a->activity_type, at->activity_type->name);
    str_set(e, &a->task_queue, at->task_queue->name);
    a->schedule_to_close_ns = pbx_duration_ns(at->schedule_to_close_timeout);
    a->schedule_to_start_ns = pbx_duration_ns(at->schedule_to_start_timeout);
    a->start_to_close_ns = pbx_duration_ns(at->start_to_close_timeout);
    a->heartbeat_timeout_ns = pbx_duration_ns(at->heartbeat_timeout);
    msg_set(e, &a->retry_policy, at->retry_policy);
}

void activity_schedule(struct eng *e, struct run *run, int64_t scheduled_id, bool queued,
                       const Pb__ActivityTaskScheduledEventAttributes *at)
{
    Pb__EmbeddedRun *s = run->s;
    Pb__EmbeddedActivity *a = mem_alloc(sizeof *a);
    Pb__EmbeddedActivity **list = mem_realloc(s->activities, (s->n_activities + 1) * sizeof *list);
    if (list)
        s->activities = list;
    if (!a || !list) {
        free(a);
        eng_nomem(e);
        return;
    }
    pb__embedded_activity__init(a);
    list[s->n_activities++] = a;
    run_dirty(e, run);
    activity_fill(e, a, scheduled_id, at);
    if (queued || !VEC_PUSH(&e->eager, scheduled_id))
        match_add_activity(e, run, a, at);
}

void activity_start(struct eng *e, struct run *run, Pb__EmbeddedActivity *a, Pb__EmbeddedTaker taker,
                    const char *identity)
{
    ASSERT(!a->started_ns && !a->backoff);
    run_dirty(e, run);
    a->started_ns = e->now;
    histogram_add(&e->times.activity_wait, (e->now - a->attempt_scheduled_ns) / NS_PER_US);
    a->heartbeat_ns = 0;
    a->generation = e->db.generation;
    a->taker = taker;
    str_set(e, &a->identity, identity);
}

void activity_ask_worker(struct eng *e, const struct run *run, const Pb__EmbeddedActivity *a)
{
    if (e->ask && a->started_ns)
        e->ask(e->ask_arg, a->identity, run->s->run_id);
}

void activity_remove(struct eng *e, struct run *run, Pb__EmbeddedActivity *a)
{
    Pb__EmbeddedRun *s = run->s;
    size_t i = 0;
    while (s->activities[i] != a)
        i++;
    s->n_activities--;
    memmove(&s->activities[i], &s->activities[i + 1],
            (s->n_activities - i) * sizeof *s->activities);
    pb__embedded_activity__free_unpacked(a, NULL);
    run_dirty(e, run);
}

/* The Started event of the last attempt, kept back until now. 0: it had not started. */
static int64_t post_started(struct eng *e, struct run *run, Pb__EmbeddedActivity *a)
{
    if (!a->started_ns)
        return 0;
    EVENT(ev, at, ACTIVITY_TASK_STARTED, activity_task_started, ActivityTaskStarted);
    char request_id[96];
    snprintf(request_id, sizeof request_id, "%s:%lld:%d", run->s->run_id,
             (long long)a->scheduled_id, a->attempt);
    at.scheduled_event_id = a->scheduled_id;
    at.identity = a->identity;
    at.request_id = request_id;
    at.attempt = a->attempt;
    at.last_failure = a->last_failure;
    Pb__Timestamp started = event_timestamp(a->started_ns); /* written late, but that is when it was */
    ev.event_time = &started;
    return event_post(e, run, &ev, a->scheduled_id);
}

static void over(struct eng *e, struct run *run, Pb__EmbeddedActivity *a)
{
    activity_remove(e, run, a);
    wtask_ensure(e, run);
}

void activity_complete(struct eng *e, struct run *run, Pb__EmbeddedActivity *a,
                       const Pb__Payloads *result, const char *identity)
{
    EVENT(ev, at, ACTIVITY_TASK_COMPLETED, activity_task_completed, ActivityTaskCompleted);
    at.started_event_id = post_started(e, run, a);
    at.scheduled_event_id = a->scheduled_id;
    at.result = (Pb__Payloads *)result;
    at.identity = (char *)identity;
    event_post(e, run, &ev, a->scheduled_id);
    over(e, run, a);
}

static int64_t close_deadline(const Pb__EmbeddedActivity *a)
{
    return a->schedule_to_close_ns ? a->scheduled_ns + a->schedule_to_close_ns : 0;
}

/* Ready for another attempt after delay. */
static void next_attempt(struct eng *e, struct run *run, Pb__EmbeddedActivity *a, int64_t delay_ns,
                         const Pb__Failure *failure)
{
    run_dirty(e, run);
    a->attempt++;
    a->started_ns = 0;
    a->heartbeat_ns = 0;
    a->last_completed_ns = e->now;
    a->attempt_scheduled_ns = e->now + delay_ns;
    msg_set(e, &a->last_failure, failure);
    a->backoff = delay_ns > 0;
    if (!a->backoff)
        match_add_activity(e, run, a, NULL);
}

/* Is there another attempt? failure is what ended this one. */
static Pb__RetryState try_again(struct eng *e, struct run *run, Pb__EmbeddedActivity *a,
                                const Pb__Failure *failure)
{
    if (a->cancel_requested)
        return PB__RETRY_STATE__RETRY_STATE_CANCEL_REQUESTED;
    int64_t delay;
    struct retry_input in = {.policy = a->retry_policy,
                             .failure = failure,
                             .attempt = a->attempt,
                             .free_attempts = a->lost < e->lost_attempts_free ? a->lost
                                                                              : e->lost_attempts_free,
                             .now_ns = e->now,
                             .deadline_ns = close_deadline(a)};
    Pb__RetryState state = retry_decide(&in, &delay);
    if (state == PB__RETRY_STATE__RETRY_STATE_IN_PROGRESS)
        next_attempt(e, run, a, delay, failure);
    return state;
}

void activity_fail(struct eng *e, struct run *run, Pb__EmbeddedActivity *a,
                   const Pb__Failure *failure, const char *identity)
{
    Pb__RetryState state = try_again(e, run, a, failure);
    if (state == PB__RETRY_STATE__RETRY_STATE_IN_PROGRESS)
        return;
    EVENT(ev, at, ACTIVITY_TASK_FAILED, activity_task_failed, ActivityTaskFailed);
    at.started_event_id = post_started(e, run, a);
    at.scheduled_event_id = a->scheduled_id;
    at.failure = (Pb__Failure *)failure;
    at.identity = (char *)identity;
    at.retry_state = state;
    event_post(e, run, &ev, a->scheduled_id);
    over(e, run, a);
}

void activity_cancel(struct eng *e, struct run *run, Pb__EmbeddedActivity *a,
                     const Pb__Payloads *details, const char *identity)
{
    EVENT(ev, at, ACTIVITY_TASK_CANCELED, activity_task_canceled, ActivityTaskCanceled);
    at.started_event_id = post_started(e, run, a);
    at.scheduled_event_id = a->scheduled_id;
    at.latest_cancel_requested_event_id = a->cancel_requested_id;
    at.details = (Pb__Payloads *)details;
    at.identity = (char *)identity;
    event_post(e, run, &ev, a->scheduled_id);
    over(e, run, a);
}

static const char *timeout_name(Pb__TimeoutType type)
{
    static const char *const names[] = {"", "StartToClose", "ScheduleToStart", "ScheduleToClose",
                                        "Heartbeat"};
    return (size_t)type < sizeof names / sizeof *names ? names[type] : "";
}

/* A timeout's failure on the stack, with the heartbeat details it ended with. */
struct timeout_failure {
    Pb__Failure failure;
    Pb__TimeoutFailureInfo info;
    char message[160];
};

static void make_timeout(struct timeout_failure *f, const Pb__EmbeddedActivity *a,
                         Pb__TimeoutType type, const char *message)
{
    f->failure = (Pb__Failure)PB__FAILURE__INIT;
    f->info = (Pb__TimeoutFailureInfo)PB__TIMEOUT_FAILURE_INFO__INIT;
    if (message)
        snprintf(f->message, sizeof f->message, "%s", message);
    else
        snprintf(f->message, sizeof f->message, "activity %s timeout", timeout_name(type));
    f->info.timeout_type = type;
    f->info.last_heartbeat_details = a->heartbeat_details;
    f->failure.message = f->message;
    f->failure.source = (char *)"Server";
    f->failure.failure_info_case = PB__FAILURE__FAILURE_INFO_TIMEOUT_FAILURE_INFO;
    f->failure.timeout_failure_info = &f->info;
}

static void time_out(struct eng *e, struct run *run, Pb__EmbeddedActivity *a, Pb__TimeoutType type,
                     const char *message)
{
    struct timeout_failure f;
    activity_ask_worker(e, run, a);
    make_timeout(&f, a, type, message);
    Pb__RetryState state = try_again(e, run, a, &f.failure);
    if (state == PB__RETRY_STATE__RETRY_STATE_IN_PROGRESS)
        return;
    if (state == PB__RETRY_STATE__RETRY_STATE_TIMEOUT)
        make_timeout(&f, a, PB__TIMEOUT_TYPE__TIMEOUT_TYPE_SCHEDULE_TO_CLOSE,
                     "Not enough time to schedule next retry before activity ScheduleToClose "
                     "timeout, giving up retrying");
    if (type == PB__TIMEOUT_TYPE__TIMEOUT_TYPE_SCHEDULE_TO_CLOSE)
        f.failure.cause = a->last_failure;
    EVENT(ev, at, ACTIVITY_TASK_TIMED_OUT, activity_task_timed_out, ActivityTaskTimedOut);
    at.started_event_id = post_started(e, run, a);
    at.scheduled_event_id = a->scheduled_id;
    at.failure = &f.failure;
    at.retry_state = state;
    event_post(e, run, &ev, a->scheduled_id);
    over(e, run, a);
}

void activity_time_out(struct eng *e, struct run *run, Pb__EmbeddedActivity *a, Pb__TimeoutType type)
{
    time_out(e, run, a, type, NULL);
}

void activity_lost(struct eng *e, struct run *run, Pb__EmbeddedActivity *a)
{
    static const char message[] = "worker lost: the process that ran this attempt has ended";
    a->lost++;
    if (a->lost > e->lost_attempts_free || a->cancel_requested) {
        time_out(e, run, a, PB__TIMEOUT_TYPE__TIMEOUT_TYPE_START_TO_CLOSE, message);
        return;
    }
    struct timeout_failure f;
    make_timeout(&f, a, PB__TIMEOUT_TYPE__TIMEOUT_TYPE_START_TO_CLOSE, message);
    next_attempt(e, run, a, 0, &f.failure);
}

void activity_heartbeat(struct eng *e, struct run *run, Pb__EmbeddedActivity *a,
                        const Pb__Payloads *details)
{
    run_dirty(e, run);
    a->heartbeat_ns = e->now;
    msg_set(e, &a->heartbeat_details, details);
}

void activity_wake(struct eng *e, struct run *run, Pb__EmbeddedActivity *a)
{
    a->backoff = false;
    run_dirty(e, run);
    match_add_activity(e, run, a, NULL);
}

void activity_request_cancel(struct eng *e, struct run *run, int64_t scheduled_id, const char *identity)
{
    EVENT(ev, at, ACTIVITY_TASK_CANCEL_REQUESTED, activity_task_cancel_requested,
          ActivityTaskCancelRequested);
    at.scheduled_event_id = scheduled_id;
    at.workflow_task_completed_event_id = run->s->completed_id;
    int64_t id = event_add(e, run, &ev);
    Pb__EmbeddedActivity *a = activity_find(run, scheduled_id);
    if (!a)
        return; /* its end is in the buffer */
    a->cancel_requested = true;
    a->cancel_requested_id = id;
    activity_ask_worker(e, run, a);
    if (a->started_ns)
        return; /* the worker learns of it with its next heartbeat */
    EVENT(end, ct, ACTIVITY_TASK_CANCELED, activity_task_canceled, ActivityTaskCanceled);
    ct.latest_cancel_requested_event_id = id;
    ct.scheduled_event_id = scheduled_id;
    ct.identity = (char *)identity;
    json_t *why = json_string("ACTIVITY_ID_NOT_STARTED");
    ct.details = why ? pbx_json_payloads(why) : NULL;
    event_add(e, run, &end);
    json_decref(why);
    if (ct.details)
        pb__payloads__free_unpacked(ct.details, NULL);
    over(e, run, a);
}

int64_t activity_deadline(const Pb__EmbeddedActivity *a, Pb__TimeoutType *ret_type)
{
    int64_t due = INT64_MAX;
#define CANDIDATE(at, type)                                                                        \
    if ((at) < due) {                                                                              \
        due = (at);                                                                                \
        *ret_type = PB__TIMEOUT_TYPE__TIMEOUT_TYPE_##type;                                         \
    }
    *ret_type = PB__TIMEOUT_TYPE__TIMEOUT_TYPE_UNSPECIFIED;
    if (a->backoff)
        CANDIDATE(a->attempt_scheduled_ns, UNSPECIFIED)
    if (a->schedule_to_close_ns)
        CANDIDATE(a->scheduled_ns + a->schedule_to_close_ns, SCHEDULE_TO_CLOSE)
    if (!a->started_ns && !a->backoff && a->schedule_to_start_ns)
        CANDIDATE(a->attempt_scheduled_ns + a->schedule_to_start_ns, SCHEDULE_TO_START)
    if (a->started_ns && a->start_to_close_ns)
        CANDIDATE(a->started_ns + a->start_to_close_ns, START_TO_CLOSE)
    int64_t last = a->heartbeat_ns ? a->heartbeat_ns : a->started_ns;
    bool watched = a->started_ns && a->taker == PB__EMBEDDED_TAKER__EMBEDDED_TAKER_WATCHED;
    if (a->started_ns && a->heartbeat_timeout_ns)
        CANDIDATE(last + a->heartbeat_timeout_ns, HEARTBEAT)
    if (watched && !a->heartbeat_timeout_ns)
        CANDIDATE(last + GUEST_SILENT_NS, UNSPECIFIED)
#undef CANDIDATE
    return due;
}
