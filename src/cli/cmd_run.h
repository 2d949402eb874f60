/* What `ff run` shares with other commands. */
#ifndef FF_CLI_CMD_RUN_H
#define FF_CLI_CMD_RUN_H

#include "cli/app.h"

/* "ff workflow run", "status", "history": the same in the form that users of the former tool type. */
extern const struct command cmd_workflow_run, cmd_workflow_status, cmd_workflow_history;
extern const struct command cmd_runs_retry;

/* Closes the state and sees to it that unfinished runs are carried on: by a holder that is there and stays, else by a new
 * process, which leaves when they are done. Returns when it is ready. */
int hold_in_background(struct app *app, struct err *err);

#endif
