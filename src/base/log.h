/* Log lines of the edges (cli, api, worker loop): to standard error, one line each, with a level.
 * Library code of ranks 0 to 3 does not log. */
#ifndef FF_BASE_LOG_H
#define FF_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level max);
bool log_enabled(enum log_level level);
/* Replaces the writer (a live display that must redraw around a line); NULL gives the default. */
void log_set_sink(void (*sink)(enum log_level, const char *line, void *arg), void *arg);
void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_msg(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)

#endif
