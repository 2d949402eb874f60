/* Queries of workflows. They live in memory only: whoever asks, waits.
 *
 * While a workflow task is pending (or none was ever completed) a query waits for it and rides
 * in its `queries` map; when the run is idle or closed it becomes a task of its own. */
#ifndef FF_ENGINE_QUERY_H
#define FF_ENGINE_QUERY_H

#include "engine/embedded/engine_internal.h"

struct query *query_find(const struct run *run, uint64_t id);
/* Takes a QueryWorkflow call for a run. */
void query_add(struct eng *e, struct run *run, struct call *c);
/* Puts the waiting queries into the answer of a poll that starts the workflow task. */
void query_fill_task(struct eng *e, struct run *run, Pb__PollWorkflowTaskQueueResponse *r);
void query_fill_own_task(struct eng *e, struct run *run, uint64_t id,
                         Pb__PollWorkflowTaskQueueResponse *r);
/* The workflow task completed: answers the queries that rode on it. */
void queries_answer(struct eng *e, struct run *run,
                    const Pb__RespondWorkflowTaskCompletedRequest *req);
void query_answer(struct eng *e, struct run *run, struct query *q,
                  const Pb__RespondQueryTaskCompletedRequest *req);
/* After a workflow task ended: those that rode on it unanswered wait again; when the run is now
 * idle, all become tasks. */
void queries_go_on(struct eng *e, struct run *run);
/* A batch was undone: what was sent in it, or may have been, is sent again. */
void queries_again(struct eng *e, struct run *run);
/* Its task stood in a queue that is given up: it goes into the right one. */
void query_requeue(struct eng *e, struct run *run, uint64_t id);
/* The caller has gone (its time is over). */
void query_drop(struct eng *e, struct call *c);
/* The run is gone. */
void queries_fail(struct eng *e, struct run *run);

#endif
