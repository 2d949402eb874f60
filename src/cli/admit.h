/* Quotas of namespaces (api/access/quota.h), kept by the process that serves: runs at a time, bytes stored, CPU time
 * a day. */
#ifndef FF_CLI_ADMIT_H
#define FF_CLI_ADMIT_H

#include "cli/app.h"

struct admit;

/* Before app_open(): takes part in the worker's events. */
int admit_prepare(struct app *app, struct admit **ret, struct err *err);
/* After it: takes its place in app->service. */
int admit_open(struct admit *a, struct err *err);
/* The events of runs that are kept there count as stored. It lives until the state is closed. */
struct live;
void admit_count_events(struct admit *a, struct live *live);
/* After the state was closed: what was counted is written. NULL is fine. */
void admit_close(struct admit *a);
/* Now and then, while follow_wait_for_signal() waits: looks at namespaces whose runs go on as fresh ones. */
void admit_look(struct admit *a);
/* May one of them? As it was when that was last looked at. Quick. arg: the struct admit. */
int admit_goes_on(void *arg, const char *name_space, struct err *err);
/* For whoever starts runs past the service layer. arg: the struct admit. */
int admit_run(void *arg, const char *name_space, struct err *err);

#endif
