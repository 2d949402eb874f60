/* The engine's namespaces: the one that a command is about, and workers for the others. A worker polls one namespace, so each
 * gets its own in a process that serves them all. */
#ifndef FF_CLI_NAMESPACES_H
#define FF_CLI_NAMESPACES_H

#include "cli/app.h"

struct namespaces;

/* What the setting says goes into app->service; with a cluster, the namespace there. */
void namespaces_choose(struct app *app);
/* That of a caller whose token is for the namespace NAME: on a cluster "default", which tokens are for unless they say another,
 * is the one that the settings say. Lives as long as NAME and the app. */
const char *namespaces_of(const struct app *app, const char *name);
/* Is it there? With the embedded engine open. -ERR_UNAVAILABLE. */
int namespaces_check(struct app *app, struct err *err);
/* Calls fn for each namespace of the embedded engine; with a cluster once, for its own. Ends at the first error. */
int namespaces_each(struct app *app, int (*fn)(void *arg, const char *name, struct err *err), void *arg, struct err *err);

/* For all namespaces that the engine has now, and for those that app->service asks for later. Sets app->namespaces. After
 * app_open() with APP_WORKER. */
int namespaces_open(struct app *app, struct err *err);
/* Starts workers for those that have been made since. NULL is fine. */
void namespaces_look(struct namespaces *n);
/* Stops the workers. NULL is fine. */
void namespaces_close(struct namespaces *n);

#endif
