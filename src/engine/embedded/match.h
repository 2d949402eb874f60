/* Task queues: tasks on one side, polls on the other. All in memory; made anew from the runs
 * when the state is opened. */
#ifndef FF_ENGINE_MATCH_H
#define FF_ENGINE_MATCH_H

#include "engine/embedded/engine_internal.h"

/* A sticky queue that nobody polled for so long is passed over. */
#define MATCH_STICKY_IDLE_NS (INT64_C(10) * 1000000000)

void match_add_workflow_task(struct eng *e, struct run *run);
void match_add_query(struct eng *e, struct run *run, uint64_t query_id);
/* attributes may be NULL: they are then read from history when the task is handed out. */
void match_add_activity(struct eng *e, struct run *run, const Pb__EmbeddedActivity *a,
                        const Pb__ActivityTaskScheduledEventAttributes *attributes);
/* Takes a poll: parks it at its queue. */
void match_poll(struct eng *e, struct call *c, enum queue_kind kind, const char *name,
                const char *identity);
/* Hands tasks to polls until one side is empty, for all queues where something changed. */
void match_ready(struct eng *e);
/* A poll leaves its queue. */
void match_unpark(struct eng *e, struct call *c);
/* Does somebody poll that sticky queue, or did so just now? */
bool match_has_poller(struct eng *e, int64_t ns, const char *sticky_queue);
/* NULL when nobody ever used it. */
const struct queue *match_find(struct eng *e, enum queue_kind kind, int64_t ns, const char *name);
/* Its worker goes: what waits there goes to the normal queues. */
void match_abandon(struct eng *e, int64_t ns, const char *sticky_queue);
/* That poller has gone for good: no queue tells of it any more. */
void match_forget(struct eng *e, const char *identity);
void match_release(struct eng *e);

#endif
