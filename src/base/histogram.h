/* How often something took how long: counts by ranges of time, from a tenth of a millisecond to a minute. Any thread may
 * add; zeroed memory is an empty one. */
#ifndef FF_BASE_HISTOGRAM_H
#define FF_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_RANGES 17

/* Upper ends of the ranges, in microseconds; what took longer than the last is in one more. */
extern const int64_t histogram_ends_us[HISTOGRAM_RANGES];

struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_RANGES + 1];
    _Atomic uint64_t sum_us;
};

/* Below zero counts as zero. */
void histogram_add(struct histogram *h, int64_t us);
/* How many took at most as long as the end of each range, then how many there are. */
void histogram_totals(const struct histogram *h, uint64_t ret[HISTOGRAM_RANGES + 1]);

#endif
