/* What a service manager (systemd) wants of a process that stays: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3). */
#ifndef FF_CLI_SERVICE_MANAGER_H
#define FF_CLI_SERVICE_MANAGER_H

#include "cli/app.h"
#include "cli/rest_serve.h"

/* The socket that was opened for us, or -1. Before anything is forked: it is not handed on. -ERR_USAGE: there are several. */
int manager_listen_fd(int *ret, struct err *err);
/* The same for what this process becomes by exec: it finds the socket there. Takes fd. */
int manager_hand_over(int fd, struct err *err);
/* "READY=1", "STOPPING=1". Nothing happens where nobody manages. */
void manager_notify(const char *state);

struct watchdog;
/* Tells the manager that all is well while engine, store and HTTP side (rest; NULL: none) go on, as far as they are open:
 * whether they succeed is another matter, a full disk say. *ret is NULL where it does not ask for that. */
int watchdog_start(struct app *app, struct rest_serve *rest, struct watchdog **ret, struct err *err);
void watchdog_stop(struct watchdog *w); /* NULL is fine */

#endif
