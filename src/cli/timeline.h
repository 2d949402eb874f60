/* The history of a run for people (a timeline) and for programs (NDJSON). */
#ifndef FF_CLI_TIMELINE_H
#define FF_CLI_TIMELINE_H

#include "cli/app.h"

int timeline_print(struct app *app, const char *run_id, struct err *err);
/* All events as NDJSON; to a file, or to stdout for NULL or "-". */
int timeline_export(struct app *app, const char *run_id, const char *file, struct err *err);

#endif
