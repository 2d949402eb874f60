/* The commands of a completed workflow task. */
#ifndef FF_ENGINE_COMMAND_H
#define FF_ENGINE_COMMAND_H

#include "engine/embedded/engine_internal.h"

/* Why a command, and with it the whole workflow task, is refused. */
struct command_failure {
    Pb__WorkflowTaskFailedCause cause; /* 0: all were applied */
    bool terminate; /* no answer to the task could be better: the run ends */
    struct err err;
};

/* -ERR_INVALID if a command follows one that closes the run: such a request has no effect at all. */
int commands_check_sequence(const Pb__RespondWorkflowTaskCompletedRequest *req, struct err *err);

/* Applies them in order; eng.eager has the activities that the worker asked to have at once. After a refusal the run is in a
 * state that the caller throws away.
 * buffered: events came while the task was started, so a command that closes the run is refused. */
void commands_apply(struct eng *e, struct run *run, const Pb__RespondWorkflowTaskCompletedRequest *req,
                    bool buffered, struct command_failure *ret);

#endif
