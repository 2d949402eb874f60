/* Workflow updates: requests that travel to the worker as messages beside a workflow task, not as events, until the
 * workflow accepts them.
 *
 *     ADMITTED --accept--> ACCEPTED --complete--> COMPLETED
 *        '------reject----> gone
 *
 * An update that is admitted goes out with each workflow task until one is answered: so it survives workers that
 * fail. When the run closes, who waits is told: those of accepted updates by an outcome, others by an error; if the
 * run continues as a new one, updates that were not accepted go there. Callers wait in memory only. */
#ifndef FF_ENGINE_UPDATE_H
#define FF_ENGINE_UPDATE_H

#include "engine/embedded/engine_internal.h"

Pb__EmbeddedUpdate *update_find(const struct run *run, const char *update_id);
/* Takes a new update; there will be a workflow task for it. The run is open. -ERR_LIMIT, -ERR_STATE: too many. */
int update_admit(struct eng *e, struct run *run, const Pb__UpdateRequest *request, const char *update_id,
                 struct err *err);
/* An UpdateAdmitted event was written for it, which tells the workflow. */
void update_admitted(struct eng *e, struct run *run, const char *update_id);
/* A call waits for it (c->update_id, c->stage are set), or is answered with the batch. */
void update_wait(struct eng *e, struct run *run, struct call *c);
void update_leave(struct call *c);
/* Its time is over: an answer that says how far the update has come. */
void update_answer_late(struct eng *e, struct call *c);
/* The run is gone. */
void updates_gone(struct eng *e, struct run *run);

/* A workflow task starts, or has ended without an answer. */
void updates_send(struct run *run);
void updates_unsend(struct run *run);
/* Puts the messages into the answer of a poll. */
void updates_fill_task(struct eng *e, struct run *run, Pb__PollWorkflowTaskQueueResponse *r);
bool update_is_rejection(const Pb__ProtocolMessage *m);
/* A message of a completed workflow task; the cause for which the task is refused, or 0. */
Pb__WorkflowTaskFailedCause update_message(struct eng *e, struct run *run, const Pb__ProtocolMessage *m,
                                           struct err *err);
/* All messages were taken. Updates that were sent and are not mentioned are rejected, unless the task only asked
 * for more time. */
void updates_answered(struct eng *e, struct run *run, bool more_time);
/* Are there updates that no worker has seen? */
bool updates_unsent(const struct run *run);
/* At the end of a batch: tells who waits what has come of it. */
void updates_settle(struct eng *e, struct run *run);

#endif
