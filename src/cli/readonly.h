/* A state that can only be read: on a read-only file system, or not this user's to write to. */
#ifndef FF_CLI_READONLY_H
#define FF_CLI_READONLY_H

#include "cli/app.h"

/* Can the state that is there not be written to? */
bool readonly_state(const struct app *app);
/* Finds out, and sets app->read_only. -ERR_PERMISSION when the parts are those of a command that runs
 * something, which must write. */
int readonly_check(struct app *app, unsigned parts, struct err *err);
/* Set app->engine and app->store. There are no workspaces: nobody lays one out. */
int readonly_open_engine(struct app *app, struct err *err);
int readonly_open_store(struct app *app, struct err *err);

#endif
