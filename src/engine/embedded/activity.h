/* The activities of a run.
 *
 *                 start               complete, fail for good, cancel, time out
 *     SCHEDULED ---------> STARTED ------------------------------------------> gone
 *      ^   | '--time out--------------------------------------------------------^
 *      |   '<- back-off          |
 *      '-------------------------' fail or time out with an attempt left
 *
 * Between attempts nothing is written to history: the last attempt's Started event is written with the one that ends the
 * activity. */
#ifndef FF_ENGINE_ACTIVITY_H
#define FF_ENGINE_ACTIVITY_H

#include "engine/embedded/engine_internal.h"

Pb__EmbeddedActivity *activity_find(const struct run *run, int64_t scheduled_id);
Pb__EmbeddedActivity *activity_find_by_id(const struct run *run, const char *activity_id);
/* The state of one that is scheduled now, from its Scheduled event. */
void activity_fill(struct eng *e, Pb__EmbeddedActivity *a, int64_t scheduled_id,
                   const Pb__ActivityTaskScheduledEventAttributes *at);
/* After its Scheduled event was written. */
/* queued: for whoever polls; else its worker takes it at once (eng.eager). */
void activity_schedule(struct eng *e, struct run *run, int64_t scheduled_id, bool queued,
                       const Pb__ActivityTaskScheduledEventAttributes *attributes);
void activity_start(struct eng *e, struct run *run, Pb__EmbeddedActivity *a, Pb__EmbeddedTaker taker,
                    const char *identity);
/* These end the attempt or the activity, after which a may be gone; each schedules a workflow
 * task when the activity is over. */
void activity_complete(struct eng *e, struct run *run, Pb__EmbeddedActivity *a,
                       const Pb__Payloads *result, const char *identity);
void activity_fail(struct eng *e, struct run *run, Pb__EmbeddedActivity *a,
                   const Pb__Failure *failure, const char *identity);
void activity_cancel(struct eng *e, struct run *run, Pb__EmbeddedActivity *a,
                     const Pb__Payloads *details, const char *identity);
void activity_time_out(struct eng *e, struct run *run, Pb__EmbeddedActivity *a, Pb__TimeoutType type);
/* The process that ran it ended: the next attempt at once. */
void activity_lost(struct eng *e, struct run *run, Pb__EmbeddedActivity *a);
void activity_heartbeat(struct eng *e, struct run *run, Pb__EmbeddedActivity *a,
                        const Pb__Payloads *details);
/* Its back-off ends. */
void activity_wake(struct eng *e, struct run *run, Pb__EmbeddedActivity *a);
/* The command: writes ActivityTaskCancelRequested, and Canceled too if no worker has it. */
void activity_request_cancel(struct eng *e, struct run *run, int64_t scheduled_id, const char *identity);
/* Its worker, if it has one, is told to ask whether it is to go on. Before the state changes that it will be told of: the
 * answer comes from a later batch. */
void activity_ask_worker(struct eng *e, const struct run *run, const Pb__EmbeddedActivity *a);
void activity_remove(struct eng *e, struct run *run, Pb__EmbeddedActivity *a);
/* When something about it is due next, INT64_MAX: nothing. *ret_type: which timeout, or
 * UNSPECIFIED for the end of a back-off and, while it is started, for a worker that was lost. */
int64_t activity_deadline(const Pb__EmbeddedActivity *a, Pb__TimeoutType *ret_type);

#endif
