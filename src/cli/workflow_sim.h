/* A workflow run in the air: the real engine (in memory), the real runtime, time that jumps, and activities that are
 * answered from a table instead of being run. What `ff workflow test` stands on. */
#ifndef FF_CLI_WORKFLOW_SIM_H
#define FF_CLI_WORKFLOW_SIM_H

#include "cli/app.h"

/* One call of a module by the run. */
struct sim_call {
    char *module;
    json_t *input;
    int attempt;
};

struct sim_result {
    const char *status; /* COMPLETED FAILED CANCELLED TERMINATED TIMED_OUT, or STUCK: it waits for what never comes */
    json_t *result;     /* of a completed run; or NULL */
    char *failure;      /* message of another; or NULL */
    VEC(struct sim_call) calls; /* in the order in which they were handed out */
    char *unanswered;   /* a module for which there was no answer; or NULL */
    int64_t time_ms;    /* that went by in the run */
};
void sim_result_release(struct sim_result *r);

/* Plays one run of the workflow: parameters were checked. activities: {module: answer or list of answers}; an answer is the
 * object that ff.activity gives (members left out: success, empty), or a failure, {error: {type, message,
 * retryable}} without a status; the n-th call
 * takes the n-th of a list, later ones the last. findings in an answer may be a list of findings. signals: [{name, input,
 * after}]; both may be NULL. */
int sim_play(struct app *app, const struct workflow_def *def, const json_t *parameters, const json_t *target,
             const json_t *activities, const json_t *signals, struct sim_result *ret, struct err *err);

#endif
