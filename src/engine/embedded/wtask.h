/* The workflow task of a run: none, scheduled, started.
 *
 *              schedule                start
 *     NONE ---------------> SCHEDULED ---------> STARTED
 *      ^  ^------------------' time out (sticky)    |
 *      '--------------------------------------------' complete, fail, time out
 *
 * From the second attempt on the task is transient: its events are written only when it completes. One that was
 * made for updates alone is speculative: its events are written when another event follows, when it fails, or when
 * it completes with more than rejections; otherwise it leaves no trace. */
#ifndef FF_ENGINE_WTASK_H
#define FF_ENGINE_WTASK_H

#include "engine/embedded/engine_internal.h"

enum wtask_state { WTASK_NONE, WTASK_SCHEDULED, WTASK_STARTED };

enum wtask_state wtask_state(const struct run *run);
/* There was none: buffered events are written, then the task. */
void wtask_schedule(struct eng *e, struct run *run);
/* The same, for updates: speculative, if nothing speaks against it. */
void wtask_schedule_speculative(struct eng *e, struct run *run);
/* Writes the events of a speculative task, which is an ordinary one from then on. */
void wtask_write(struct eng *e, struct run *run);
/* Something happened that the workflow must see: there will be a task. */
void wtask_ensure(struct eng *e, struct run *run);
void wtask_start(struct eng *e, struct run *run, const char *identity);
/* Writes the completed event; the caller then writes the commands' events and calls
 * wtask_after(). Gives its id, or 0: the task was speculative, with nothing but rejections, and has left no trace. */
int64_t wtask_complete(struct eng *e, struct run *run,
                       const Pb__RespondWorkflowTaskCompletedRequest *req);
/* The started task ends in failure. failure may be NULL. Follow with wtask_schedule() if the run
 * is still open. */
void wtask_fail(struct eng *e, struct run *run, Pb__WorkflowTaskFailedCause cause,
                const Pb__Failure *failure, const char *identity);
/* Not answered in time, or (sticky) not fetched in time; schedules the next. lost: the worker's
 * process ended, which is no attempt. */
void wtask_time_out(struct eng *e, struct run *run, Pb__TimeoutType type, bool lost);
/* No task any more, without an event (the run is closed). */
void wtask_clear(struct eng *e, struct run *run);
void wtask_clear_sticky(struct eng *e, struct run *run);
/* A task that starts at its time: its back-off ends. */
void wtask_wake(struct eng *e, struct run *run);
/* Started, and its events are not in the history: it is transient or speculative. */
bool wtask_is_unwritten(const struct run *run);
/* The two events of such a task, as a poller sees them: added to h. false: out of memory. */
bool wtask_add_transient(const struct run *run, Pb__History *h);

#endif
