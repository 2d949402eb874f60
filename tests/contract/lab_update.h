/* Tools for tests of updates: what a client sends, and the messages of a worker. */
#ifndef FF_TESTS_CONTRACT_LAB_UPDATE_H
#define FF_TESTS_CONTRACT_LAB_UPDATE_H

#include "lab.h"

#define STAGE(NAME) PB__UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE__UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_##NAME
typedef Pb__UpdateWorkflowExecutionLifecycleStage stage_t;

/* A call with an update named "set" of argument 5, under way. run_id may be NULL. */
struct lab_pending *lab_begin_update(struct lab *l, const char *id, const char *run_id, const char *update_id,
                                     stage_t stage);
Pb__UpdateWorkflowExecutionResponse *lab_end_update(struct lab_pending *p); /* it must succeed */
int lab_poll_update(struct lab *l, const char *id, const char *run_id, const char *update_id, stage_t stage,
                    Pb__PollWorkflowExecutionUpdateResponse **ret);

/* Messages of a worker; kept. */
Pb__ProtocolMessage *lab_accept(const char *update_id, const Pb__PollWorkflowTaskQueueResponse *t);
Pb__ProtocolMessage *lab_completed(const char *update_id, const char *result);
Pb__ProtocolMessage *lab_reject(const char *update_id, const Pb__PollWorkflowTaskQueueResponse *t);
/* Answers a task with at most 8 messages: each that is no rejection has its place among the commands, before `last`
 * (or NULL). */
int lab_answer(struct lab *l, const Pb__PollWorkflowTaskQueueResponse *t, Pb__ProtocolMessage **messages, size_t n,
               Pb__Command *last, Pb__RespondWorkflowTaskCompletedResponse **ret, struct err *err);
int lab_reset(struct lab *l, const char *id, const char *run_id, int64_t finish_id, const char *request_id,
              const char **ret_run_id);

#endif
