/* SIGHUP of 'ff serve': the settings are read again. What can change while it runs does; what cannot is said. */
#ifndef FF_CLI_RELOAD_H
#define FF_CLI_RELOAD_H

#include "cli/app.h"
#include "rpc/rpc.h"

/* tls: checked, since what is wrong with a renewed certificate is else seen by the next client; may be off. After an error
 * everything stays as it was. */
int reload_settings(struct app *app, const struct rpc_tls *tls, struct err *err);

#endif
