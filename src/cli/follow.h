/* Following a run to its end, with live progress; Ctrl-C cancels it. */
#ifndef FF_CLI_FOLLOW_H
#define FF_CLI_FOLLOW_H

#include "cli/app.h"

/* Before app_open(): collects the worker's events and catches SIGINT, SIGTERM and SIGHUP. */
void follow_prepare(struct app *app, bool live);
/* To be asked while the target is read; true: stop. */
bool follow_interrupted(void);
/* The first thing that a server does: a SIGHUP that comes before it can be obeyed waits. With a terminal, it says that that
 * was closed. */
void follow_hold_hangup(void);
/* From here on SIGHUP calls reload, in follow_wait_for_signal(), unless the terminal has gone. After follow_prepare(). */
void follow_reload_on_hangup(void (*reload)(void *arg), void *arg);
/* Sleeps until there is one; calls look (NULL: nothing) every two seconds, seldom when idle. After follow_prepare(). */
void follow_wait_for_signal(void (*look)(void *arg), void *arg);
/* Ends it as a signal would, without one. Any thread. */
void follow_end(void);
/* Was there a signal to end? */
bool follow_signalled(void);
/* Makes it call look now. Any thread. */
void follow_look(void);
/* Can be read once there is one; -1: follow_prepare() could not make it. */
int follow_signal_fd(void);
/* By SIGTERM or SIGHUP. */
bool follow_told_to_leave(void);
/* A line about what is going on before the run exists (reading the target). */
void follow_note(struct app *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Waits for the end of a run (through continue-as-new), then reports it. Gives the exit status. */
int follow_run(struct app *app, const char *run_id);

#endif
