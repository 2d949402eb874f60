/* Times and sizes as people write them. */
#ifndef FF_BASE_UNITS_H
#define FF_BASE_UNITS_H

#include "base/err.h"

#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* "90s", "10m", "2h", "250ms", "1.5h", "1d", "1h30m"; a bare number is seconds. Gives milliseconds, at
 * most 100 years; nothing negative. */
int units_parse_duration_ms(const char *text, int64_t *ret_ms, struct err *err);
/* "256M", "2G", "64K", "100", "1.5GiB", "20MB": powers of 1024. */
int units_parse_size(const char *text, uint64_t *ret_bytes, struct err *err);
/* "1.5 s", "12 ms", "3 m 20 s"; buf of 32 bytes is enough. Returns buf. */
const char *units_format_duration(int64_t ms, char *buf, size_t size);
/* "12.3 MB"; buf of 32 bytes is enough. Returns buf. */
const char *units_format_size(uint64_t bytes, char *buf, size_t size);
/* "s" of what is counted: "%d bug%s". */
#define UNITS_S(n) ((n) == 1 ? "" : "s")

#endif
