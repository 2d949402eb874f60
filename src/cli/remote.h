/* Commands that ask a server instead of a state (--server URL). */
#ifndef FF_CLI_REMOTE_H
#define FF_CLI_REMOTE_H

#include "cli/app.h"

/* From the settings: sets app->remote. A state that is named on the command line stands above a server that is only set. */
int remote_configure(struct app *app, struct err *err);
/* Opens app->client. */
int remote_open(struct app *app, struct err *err);

#endif
