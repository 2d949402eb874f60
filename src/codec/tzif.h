/* Time zones: the compiled files of the tz database (TZif, RFC 9636), and the rule for later times that stands at their end
 * (a POSIX TZ string). Pure: the caller reads the file. */
#ifndef FF_CODEC_TZIF_H
#define FF_CODEC_TZIF_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TZIF_BYTES_MAX ((size_t)256 << 10)
#define TZIF_NAME_MAX 64

/* A day of a year, and the second of that day's local time. */
struct tzif_day {
    char kind; /* 'M': month, week (5: the last), weekday; 'J': 1 to 365, never the 29th of February; 'D': 0 to 365 */
    int month, week, day;
    int32_t second;
};

struct tzif {
    size_t count;     /* transitions */
    int64_t *times;   /* seconds since 1970, rising */
    int32_t *offsets; /* east of UTC, in seconds, from then on */
    int32_t first;    /* before the first */
    bool has_rule, has_dst;
    int32_t standard, dst;
    struct tzif_day to_dst, to_standard;
};

/* -ERR_INVALID: no such file. tzif_release() frees what was made, and is fine after a failure too. */
int tzif_parse(const void *data, size_t len, struct tzif *ret, struct err *err);
void tzif_release(struct tzif *z);
/* Seconds east of UTC at t; *ret_until: when that may change, INT64_MAX: never. */
int32_t tzif_offset(const struct tzif *z, int64_t t, int64_t *ret_until);
/* Is that a name that may be looked for below the folder of zones ("Europe/Vienna")? */
bool tzif_name_valid(const char *name, size_t len);

#endif
