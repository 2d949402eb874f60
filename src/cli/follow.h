/* Following a run to its end, with live progress; Ctrl-C cancels it. */
#ifndef FF_CLI_FOLLOW_H
#define FF_CLI_FOLLOW_H

#include "cli/app.h"

/* Before app_open(): collects the worker's events and catches SIGINT, SIGTERM and SIGHUP. */
void follow_prepare(struct app *app, bool live);
/* To be asked while the target is read; true: stop. */
bool follow_interrupted(void);
/* By SIGTERM or SIGHUP. */
bool follow_told_to_leave(void);
/* A line about what is going on before the run exists (reading the target). */
void follow_note(struct app *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Waits for the end of a run (through continue-as-new), then reports it. Gives the exit status. */
int follow_run(struct app *app, const char *run_id);

#endif
