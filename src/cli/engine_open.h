/* The engine that the settings name, when it is not the embedded one. */
#ifndef FF_CLI_ENGINE_OPEN_H
#define FF_CLI_ENGINE_OPEN_H

#include "cli/app.h"

/* Is it `engine: temporal`? */
bool engine_is_temporal(const struct app *app);
/* Opens the cluster's engine as app->engine. The store must be open: what is large goes there instead of into history. */
int engine_open_temporal(struct app *app, struct err *err);
/* What a worker of a cluster does otherwise than one beside its engine. */
void engine_worker_options(const struct app *app, struct worker_options *o);

#endif
