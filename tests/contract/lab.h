/* Tools for tests of an engine: calls in one line, a worker that does what the test says,
 * histories as text. Written against engine.h only. A call that fails where success is expected
 * fails the test. */
#ifndef FF_TESTS_CONTRACT_LAB_H
#define FF_TESTS_CONTRACT_LAB_H

#include "engine/engine.h"

#include <stdbool.h>
#include <stdint.h>

#define LAB_QUEUE "q"

struct lab {
    struct engine *engine;
    const char *ns; /* default "default" */
    bool remote;    /* behind gRPC: a short poll takes some seconds, what lists show comes late */
    ProtobufCMessage *detail; /* of the error that the last call gave, or NULL */
};

/* A run that passed through the lab, by its start or by a task of it. */
struct lab_run {
    char *ns, *workflow_id, *run_id;
};

/* Everything a lab function gives is freed by lab_clean(), which a test calls at its end. */
void lab_clean(void);
/* Registers a message for lab_clean(). */
void *lab_keep(void *message);
/* The runs seen since the last lab_clean(), each once. */
size_t lab_seen_count(void);
const struct lab_run *lab_seen(size_t i);

struct lab_start {
    const char *id, *type, *queue, *request_id;
    const char *input; /* JSON */
    int64_t execution_ms, run_ms, task_ms, delay_ms;
    Pb__WorkflowIdReusePolicy reuse;
    Pb__WorkflowIdConflictPolicy conflict;
    const Pb__RetryPolicy *retry;
    const char *memo; /* of field "m" */
    const char *cron;
    const Pb__SearchAttributes *attributes;
    bool eager; /* asks for the first workflow task with the answer */
};

/* Calls with any outcome: 0 or -ERR_x, *ret (may be NULL) is kept. */
int lab_call(struct lab *l, enum engine_method m, const void *req, int64_t timeout_ms, void *ret,
             struct err *err);
int lab_try_start(struct lab *l, const struct lab_start *s, Pb__StartWorkflowExecutionResponse **ret,
                  struct err *err);
/* The run id. */
const char *lab_start(struct lab *l, const struct lab_start *s);
const char *lab_start_id(struct lab *l, const char *id);

int lab_try_signal(struct lab *l, const char *id, const char *name, const char *input,
                   const char *request_id);
void lab_signal(struct lab *l, const char *id, const char *name);
void lab_cancel(struct lab *l, const char *id);
int lab_try_terminate(struct lab *l, const char *id, const char *reason);

/* A workflow task, or NULL if there is none in wait_ms. */
Pb__PollWorkflowTaskQueueResponse *lab_poll_on(struct lab *l, const char *queue, const char *normal,
                                               int64_t wait_ms);
Pb__PollWorkflowTaskQueueResponse *lab_poll(struct lab *l); /* there must be one */
bool lab_no_task(struct lab *l);
Pb__PollActivityTaskQueueResponse *lab_poll_activity_on(struct lab *l, const char *queue,
                                                        int64_t wait_ms);
Pb__PollActivityTaskQueueResponse *lab_poll_activity(struct lab *l);
bool lab_no_activity(struct lab *l);

/* Commands; kept. */
Pb__Command *cmd_complete(const char *result);
Pb__Command *cmd_fail(const char *message);
Pb__Command *cmd_cancel(void);
Pb__Command *cmd_timer(const char *id, int64_t ms);
Pb__Command *cmd_cancel_timer(const char *id);
Pb__Command *cmd_marker(const char *name);
struct lab_activity {
    const char *id, *type, *queue, *input;
    int64_t to_close_ms, to_start_ms, start_to_close_ms, heartbeat_ms;
    int attempts;          /* maximum; 0: unlimited */
    int64_t retry_ms;      /* first interval; 0: the default */
    const char *no_retry;  /* an error type */
    bool eager;            /* asks for it with the answer to the workflow task */
};
Pb__Command *cmd_activity(const struct lab_activity *a);
Pb__Command *cmd_cancel_activity(int64_t scheduled_id);
Pb__Command *cmd_signal(const char *id, const char *name);
Pb__Command *cmd_cancel_external(const char *id);
Pb__Command *cmd_child(const char *id, Pb__ParentClosePolicy policy);
Pb__Command *cmd_continue(const char *input);

struct lab_complete {
    const char *sticky; /* a queue */
    int64_t sticky_ms;
    bool force_new, return_new;
    const char *query_id, *query_answer; /* one */
};
int lab_try_complete(struct lab *l, const Pb__PollWorkflowTaskQueueResponse *t,
                     const struct lab_complete *o, Pb__Command **commands, size_t n,
                     Pb__RespondWorkflowTaskCompletedResponse **ret, struct err *err);
void lab_complete_(struct lab *l, const Pb__PollWorkflowTaskQueueResponse *t, Pb__Command **commands,
                   size_t n);
/* lab_complete(l, task, command, ...) */
#define lab_complete(l, t, ...)                                                                    \
    lab_complete_(l, t, (Pb__Command *[]){NULL, ##__VA_ARGS__},                                    \
                  sizeof((Pb__Command *[]){NULL, ##__VA_ARGS__}) / sizeof(Pb__Command *))
int lab_fail_task(struct lab *l, const Pb__PollWorkflowTaskQueueResponse *t, const char *message);

int lab_activity_done(struct lab *l, const Pb__PollActivityTaskQueueResponse *t, const char *result);
int lab_activity_fail(struct lab *l, const Pb__PollActivityTaskQueueResponse *t, const char *type,
                      bool non_retryable);
int lab_activity_canceled(struct lab *l, const Pb__PollActivityTaskQueueResponse *t);
/* 1: cancellation was asked for; 0: not; else -ERR_x. */
int lab_heartbeat(struct lab *l, const Pb__PollActivityTaskQueueResponse *t, const char *details);

Pb__DescribeWorkflowExecutionResponse *lab_describe(struct lab *l, const char *id, const char *run_id);
Pb__WorkflowExecutionStatus lab_status(struct lab *l, const char *id, const char *run_id);
Pb__History *lab_history(struct lab *l, const char *id, const char *run_id);
Pb__History *lab_try_history(struct lab *l, const char *id, const char *run_id); /* NULL if it cannot be had */
/* The types of the events without prefix, blanks between: "WorkflowExecutionStarted
 * WorkflowTaskScheduled". */
const char *lab_history_text(struct lab *l, const char *id, const char *run_id);
const char *lab_events_text(const Pb__History *h);
/* The last event of that type in the history. */
const Pb__HistoryEvent *lab_event(struct lab *l, const char *id, const char *run_id, Pb__EventType type);
void lab_expect_history(struct lab *l, const char *id, const char *run_id, const char *expected);
/* The run must come to that status: at once, or in some seconds where one run's end reaches another late. */
void lab_wait_status(struct lab *l, const char *id, Pb__WorkflowExecutionStatus status);
/* Waits until the run has closed; its status. */
Pb__WorkflowExecutionStatus lab_wait_closed(struct lab *l, const char *id, const char *run_id);
/* Ids of what a list gives, blanks between. */
const char *lab_list(struct lab *l, const char *query);
/* The list must become what is expected: at once with an engine in this process, in some seconds with others. */
void lab_expect_list(struct lab *l, const char *query, const char *expected);
Pb__Payloads *lab_payloads(const char *json);
Pb__Duration *lab_duration_ms(int64_t ms); /* NULL for 0 */
const char *lab_text(const Pb__Payloads *p); /* of the first payload */
struct lab_pending; /* a call under way */
struct lab_pending *lab_begin(struct lab *l, enum engine_method m, const void *req, int64_t timeout_ms);
int lab_end(struct lab_pending *p, void *ret, struct err *err);
/* Waits until one of them has its answer, and gives its index. */
size_t lab_first(struct lab_pending *const *p, size_t n);
void lab_leave(struct lab_pending *p); /* its caller goes away; lab_end() still has to be called */
struct lab_pending *lab_begin_query(struct lab *l, const char *id, const char *type);
struct lab_pending *lab_begin_poll_activity(struct lab *l);

#endif
