#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static _Atomic int max_level = LOG_WARN;
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*sink)(enum log_level, const char *, void *);
static void *sink_arg;

void log_set_level(enum log_level max)
{
    max_level = max;
}

bool log_enabled(enum log_level level)
{
    return (int)level <= max_level;
}

void log_set_sink(void (*f)(enum log_level, const char *line, void *arg), void *arg)
{
    pthread_mutex_lock(&sink_lock);
    sink = f;
    sink_arg = arg;
    pthread_mutex_unlock(&sink_lock);
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (!log_enabled(level))
        return;
    char line[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    for (char *p = line; *p; p++) /* text from outside must not steer the terminal */
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    pthread_mutex_lock(&sink_lock);
    if (sink)
        sink(level, line, sink_arg);
    else
        fprintf(stderr, "ff: %s: %s\n", names[level], line);
    pthread_mutex_unlock(&sink_lock);
}
