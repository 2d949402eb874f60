/* What a run may have read for it (store/owned.h): its input, the target in its context and the script in its memo come from
 * whoever started it, and name objects. */
#ifndef FF_WORKER_CLAIM_H
#define FF_WORKER_CLAIM_H

#include "worker/worker_internal.h"

/* Each REF in v must be of an object that the namespace has: else -ERR_NOT_FOUND. The run has it pinned then. Any thread. */
int worker_claim(struct worker *w, const Pb__WorkflowExecution *run, const json_t *v, struct err *err);
/* Is that script the run's? */
int worker_claim_script(struct worker *w, const Pb__WorkflowExecution *run, const char *ref, struct err *err);
/* What a child is given, for the child; and what children have answered since the event of that id, for the run (ids of
 * workflows). */
int worker_claim_child(struct worker *w, const char *run, const Pb__StartChildWorkflowExecutionCommandAttributes *child,
                       struct err *err);
int worker_claim_answers(struct worker *w, const char *run, const Pb__History *h, int64_t since, struct err *err);
void worker_claims_release(struct worker *w);

#endif
