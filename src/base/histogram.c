#include "base/histogram.h"

const int64_t histogram_ends_us[HISTOGRAM_RANGES] = {100,    250,    500,    1000,    2500,    5000,    10000,    25000,   50000,
                                                     100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 60000000};

void histogram_add(struct histogram *h, int64_t us)
{
    int i = 0;
    us = us < 0 ? 0 : us;
    while (i < HISTOGRAM_RANGES && us > histogram_ends_us[i])
        i++;
    atomic_fetch_add_explicit(&h->counts[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, (uint64_t)us, memory_order_relaxed);
}

void histogram_totals(const struct histogram *h, uint64_t ret[HISTOGRAM_RANGES + 1])
{
    uint64_t sum = 0;
    for (int i = 0; i <= HISTOGRAM_RANGES; i++)
        ret[i] = sum += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
}
