/* Building the answers of polls. */
#ifndef FF_ENGINE_DISPATCH_H
#define FF_ENGINE_DISPATCH_H

#include "engine/embedded/engine_internal.h"

/* reset_id: for the answer of a completion, the event to which the worker goes back, or 0.
 * The task was started (or is a query only); its answer is built by dispatch_finish(), when the
 * events are in the database. */
void dispatch_workflow_task(struct eng *e, struct call *c, struct run *run, bool sticky,
                            uint64_t query_id, int64_t reset_id);
void dispatch_finish(struct eng *e);
/* The answer with a started activity; t (may be NULL) carries its attributes if they were kept.
 * NULL after a fault. */
Pb__PollActivityTaskQueueResponse *dispatch_activity(struct eng *e, struct run *run,
                                                     const Pb__EmbeddedActivity *a,
                                                     const struct task *t);

#endif
