/* Cron schedules: when the next run of a workflow begins. Pure, but for the time zone that it reads.
 *
 *   schedule := [ ( CRON_TZ= | TZ= ) ZONE ] time
 *   time     := minute hour day-of-month month day-of-week | '@' NAME | '@every' DURATION
 *   field    := item { ',' item }        item := ( '*' | '?' | value [ '-' value ] ) [ '/' step ]
 * A value is a number, or the first three letters of a month or day in English. NAME is yearly, annually, monthly, weekly,
 * daily, midnight or hourly; DURATION is as Go writes it: "1h30m", "10s". ZONE is a name of the system's tz database
 * ("Europe/Vienna"); UTC without one. If both days are restricted either may hold, as cron has it. */
#ifndef FF_ENGINE_CRON_H
#define FF_ENGINE_CRON_H

#include "base/err.h"
#include "codec/tzif.h"

#include <stdbool.h>
#include <stdint.h>

#define CRON_TEXT_MAX 256

struct cron {
    int64_t every_ns; /* not 0: from the start of the run in this distance, and none of the following */
    uint64_t minute;  /* bit n: in minute n */
    uint32_t hour, day, month, weekday;
    bool any_day, any_weekday;
    bool zoned; /* else UTC */
    struct tzif zone;
};

/* -ERR_INVALID: what is wrong. cron_release() frees what was made; nothing was after a failure. */
int cron_parse(const char *text, struct cron *ret, struct err *err);
void cron_release(struct cron *c);
/* The first time after `after_ns` for a chain of which this run started at start_ns; INT64_MAX: there is none. */
int64_t cron_next(const struct cron *c, int64_t start_ns, int64_t after_ns);
/* The same of a schedule's text. */
int cron_due(const char *text, int64_t start_ns, int64_t after_ns, int64_t *ret, struct err *err);
int cron_check(const char *text, struct err *err); /* -ERR_INVALID: it is none */

#endif
