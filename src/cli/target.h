/* How commands read a target. */
#ifndef FF_CLI_TARGET_H
#define FF_CLI_TARGET_H

#include "cli/app.h"

/* A spec of the command line's, which must be writable. Where it has a password it is moved to memory
 * that the sandbox's processes do not share, and is gone from the line that ps and the lock of the
 * state show. Before anything is forked; what is returned lives as long as the process. */
int target_take(char *spec, const char **ret, struct err *err);
/* What the settings say of targets and of what workflows may be granted, into the service. */
int app_read_limits(struct app *app, struct err *err);

#endif
