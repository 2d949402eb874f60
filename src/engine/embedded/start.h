/* Making a new run: for a start request, a child, a continuation or a retry. */
#ifndef FF_ENGINE_START_H
#define FF_ENGINE_START_H

#include "engine/embedded/engine_internal.h"

#define START_TASK_TIMEOUT_DEFAULT_NS (INT64_C(10) * 1000000000)
#define START_TASK_TIMEOUT_MAX_NS (INT64_C(120) * 1000000000)

struct start {
    int64_t ns;
    const char *workflow_id, *workflow_type, *task_queue, *identity, *request_id;
    const Pb__Payloads *input;
    int64_t execution_timeout_ns, run_timeout_ns, task_timeout_ns; /* 0: none or the default */
    int64_t delay_ns; /* before the first workflow task */
    const char *cron_schedule; /* NULL: none */
    const Pb__RetryPolicy *retry_policy;
    const Pb__Memo *memo;
    const Pb__SearchAttributes *search_attributes;
    const Pb__Header *header;
    const Pb__UserMetadata *user_metadata;
    bool eager; /* the one who starts it has the first workflow task at once */
    const struct signal *signal; /* that comes with the start, before the first workflow task; or NULL */
    /* Of a run that goes on from another: */
    const struct run *previous;
    Pb__ContinueAsNewInitiator initiator;
    const Pb__Failure *continued_failure;
    const Pb__Payloads *last_result;
    int32_t attempt;
    /* Of a child: */
    const struct run *parent;
    int64_t initiated_id;
};

/* The workflow id has no open run (but `previous`, which is closing). NULL after a fault. */
struct run *start_run(struct eng *e, const struct start *p);
const char *start_namespace(const struct eng *e, int64_t ns); /* its name */
/* How a start deals with what is there under its workflow id. */
enum start_verdict {
    START_NEW,        /* go on */
    START_EXISTING,   /* *ret is the run to answer with: the same request again, or the policy says to use it */
    START_REFUSED,    /* the error says why */
    START_TERMINATE,  /* go on after terminating *ret */
};
enum start_verdict start_check(struct eng *e, int64_t ns, const char *workflow_id,
                               const char *request_id, Pb__WorkflowIdReusePolicy reuse,
                               Pb__WorkflowIdConflictPolicy conflict, struct run **ret,
                               struct err *err);

/* Does what the request says. *ret is the run to answer with; after a refusal the one that is in the way, or NULL. */
enum start_verdict start_from_request(struct eng *e, int64_t ns, const Pb__StartWorkflowExecutionRequest *q,
                                      struct run **ret, bool *ret_started, struct err *err);
/* NULL when memory is out. */
Pb__StartWorkflowExecutionResponse *start_response(struct eng *e, const struct run *run, bool started);
Pb__ErrorDetailWorkflowExecutionAlreadyStarted *start_detail(struct eng *e, const struct run *run);

#endif
