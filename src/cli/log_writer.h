/* The log of a process that stays. A thread of its own writes it: where its reader stalls, or its disk is slow or full,
 * lines wait, and in the end are dropped and counted; nobody who has something to log waits with them. */
#ifndef FF_CLI_LOG_WRITER_H
#define FF_CLI_LOG_WRITER_H

#include "base/err.h"

#include <stdbool.h>

/* From here on log lines go to the end of that file (NULL: to standard error), as text or as documents {time, level, message}. */
int log_writer_open(const char *file, bool json, struct err *err);
/* The thread, once what must be forked without threads is. Until then lines are written by those who log them. */
int log_writer_start(struct err *err);
/* A document of the caller's own, or a line. */
void log_writer_put(const char *text);
/* The file by that name now, which somebody has moved away. */
int log_writer_reopen(struct err *err);
/* What waits is written, if that can be done soon. What is logged after it goes to standard error. */
void log_writer_close(void);

#endif
