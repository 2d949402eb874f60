/* What `ff status` shows, also through a server. */
#ifndef FF_CLI_CMD_STATUS_H
#define FF_CLI_CMD_STATUS_H

#include "cli/app.h"

/* {state, engine, holder, grpc, workers, runs}, with the runs of that namespace; NULL: of the one that is set. */
int status_document(struct app *app, const char *name_space, json_t **ret, struct err *err);

#endif
