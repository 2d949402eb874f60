/* What runs leave on this machine when they end. */
#ifndef FF_CLI_LEFTOVERS_H
#define FF_CLI_LEFTOVERS_H

#include "base/units.h"
#include "cli/app.h"

/* What ended while nobody held the engine, or a process that was killed did, is looked for so far back. */
#define LEFTOVERS_BEFORE_NS (INT64_C(3600) * NS_PER_S)

/* Removes the private workspaces of runs that ended at *io_since_ns or later, and sets it to when it
 * looked. One that is still in use goes with its time to live. Engine and store are open. */
int leftovers_forget(struct app *app, int64_t *io_since_ns, struct err *err);

#endif
