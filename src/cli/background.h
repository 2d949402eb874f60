/* This program once more, in the background, with the same settings. */
#ifndef FF_CLI_BACKGROUND_H
#define FF_CLI_BACKGROUND_H

#include "cli/app.h"

#include <sys/types.h>

/* Runs `ff <the settings of this one> <words...> --ready-fd N` detached from the terminal, its messages in
 * <state>/<name>.log, and waits until it calls background_ready(). words: NULL-terminated. -ERR_UNAVAILABLE: it ended before,
 * and the message says why. ret_pid: NULL is fine. */
int background_start(struct app *app, const char *name, const char *const *words, pid_t *ret_pid, struct err *err);
/* In the one that was started. ready_fd: the option's value, or NULL. */
void background_ready(const char *ready_fd);

#endif
