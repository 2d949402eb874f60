/* The workers of the engine, as its task queues and the state's folder tell. */
#ifndef FF_CLI_WORKERS_H
#define FF_CLI_WORKERS_H

#include "cli/app.h"

/* Array of {identity, queues [...], last_seen, pid}: who polls the queues of the verticals that ship, that a workflow names or
 * that a worker of this state serves. pid: of an 'ff worker' of this state on this machine, else null. name_space: whose queues;
 * NULL: the command's own. *ret is the caller's. */
int workers_read(struct app *app, const char *name_space, json_t **ret, struct err *err);

#endif
