/* The workflow runtime: a Lua script driven by history.
 *
 * History in, commands out: no clock, no I/O. One struct workflow is one cached run: it keeps its
 * Lua state and coroutines between tasks. It may be freed at any moment between tasks; a new one
 * made from the same script and given the full history comes to the same point. One thread at a
 * time. */
#ifndef FF_WORKFLOW_WORKFLOW_H
#define FF_WORKFLOW_WORKFLOW_H

#include "base/err.h"
#include "proto/pb.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct workflow_limits { /* 0: the default */
    uint64_t instructions; /* a task: 200,000,000 VM instructions */
    size_t memory_bytes;   /* of the Lua state: 64 MB */
    int64_t time_ms;       /* a task, CPU time, the last resort: 10,000 */
};

/* Parses a script without running it. -ERR_INVALID with "workflow.lua:LINE: reason". Bytecode is
 * refused. */
int workflow_check(const char *script, size_t len, const char *chunk_name, struct err *err);

struct workflow;
struct json_t;

int workflow_new(const char *script, size_t len, const char *chunk_name,
                 const struct workflow_limits *limits, struct workflow **ret, struct err *err);
void workflow_free(struct workflow *w);
/* For a run that was started by a client which knows nothing of ff: what its activities get as "ff-context" (an object), and
 * what stands in its parameters (an object, and objects in it) where the input says nothing. Before the first task. References
 * of its own. */
void workflow_set_defaults(struct workflow *w, struct json_t *context, struct json_t *parameters);
/* The parameters in the input of such a run: its member "parameters", or all of it when it has no member that a submission has.
 * Borrowed; NULL: there are none. */
struct json_t *workflow_foreign_parameters(struct json_t *input);

enum workflow_outcome {
    WORKFLOW_TASK_COMPLETED, /* commands and query results are to be sent */
    WORKFLOW_TASK_FAILED,    /* off the recorded path, or a broken history: the task is to be failed with `failure` */
};

struct workflow_log {
    char *text;
    int level; /* enum log_level */
};

struct workflow_result {
    enum workflow_outcome outcome;
    Pb__Command **commands; /* owned; a run that ended has its closing command last */
    size_t commands_count;
    /* Answers to task->queries (map entries) and to task->query: */
    Pb__RespondWorkflowTaskCompletedRequest__QueryResultsEntry **query_results;
    size_t query_results_count;
    Pb__WorkflowQueryResult *query_result; /* of a query-only task; NULL otherwise */
    Pb__WorkflowTaskFailedCause cause;     /* of a failed task */
    Pb__Failure *failure;
    struct workflow_log *logs; /* only of new progress, not of replayed */
    size_t logs_count;
};

/* One workflow task. task->history holds either only what is new since the last task this instance
 * saw (task->previous_started_event_id matches) or the full history from event 1. more (may be
 * NULL) holds the further pages, already fetched, in order. Limits hit: the run fails (a
 * FailWorkflowExecution command), which pcall in the script cannot prevent. With the full history
 * an instance that has run before starts over.
 *
 * Queries that every workflow answers: "__progress" (what ff.progress was last given) and "__stack"
 * (where its fibers wait).
 *
 * -ERR_STATE: partial history that does not go on where this instance stands (it is behind, or its
 * last answer was not accepted): give the full history. -ERR_CORRUPT: a history that no server
 * writes. -ERR_INVALID: an input or header that is no JSON. -ERR_NO_MEMORY: of the process. After
 * an error the instance takes full history only. */
int workflow_task(struct workflow *w, const Pb__PollWorkflowTaskQueueResponse *task,
                  const Pb__History *const *more, size_t more_count, struct workflow_result *ret,
                  struct err *err);
void workflow_result_release(struct workflow_result *r);

/* Has this instance seen up to that event id, so that a task with partial history fits it? */
int64_t workflow_last_event_id(const struct workflow *w);
size_t workflow_memory(const struct workflow *w); /* bytes of its Lua state */

#endif
