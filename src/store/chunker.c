#include "store/chunker.h"

#include "base/assert.h"

#include <pthread.h>

static uint64_t gear[256];
static pthread_once_t gear_once = PTHREAD_ONCE_INIT;

/* Fixed for ever: another table would cut all old data anew. SplitMix64 (Steele, Lea, Flood, 2014),
 * seeded "fuzzforg". */
static void make_gear(void)
{
    uint64_t x = UINT64_C(0x66757a7a666f7267);
    for (int i = 0; i < 256; i++) {
        x += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = x;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        gear[i] = z ^ (z >> 31);
    }
}

/* The top bits of the sum have seen the most bytes. */
static uint64_t top_bits(int n)
{
    return ~UINT64_C(0) << (64 - n);
}

void chunker_init(struct chunker *c, size_t min, size_t avg, size_t max)
{
    pthread_once(&gear_once, make_gear);
    *c = (struct chunker){
        .min = min ? min : CHUNK_MIN, .avg = avg ? avg : CHUNK_AVG, .max = max ? max : CHUNK_MAX};
    ASSERT((c->avg & (c->avg - 1)) == 0 && c->min < c->avg && c->avg < c->max);
    int bits = __builtin_ctzll(c->avg);
    c->mask_before = top_bits(bits + 1);
    c->mask_after = top_bits(bits - 2);
}

void chunker_reset(struct chunker *c)
{
    c->sum = 0;
    c->used = 0;
}

/* The number of bytes up to and including the one where the sum meets the mask; len + 1 if none
 * does. */
static size_t scan(uint64_t *sum, uint64_t mask, const uint8_t *p, size_t len)
{
    const size_t step = 8;
    uint64_t h = *sum;
    size_t i = 0;
    for (; i + step <= len; i += step)
#pragma GCC unroll 8
        for (size_t k = i; k < i + step; k++) {
            h = (h << 1) + gear[p[k]];
            if (!(h & mask)) {
                *sum = h;
                return k + 1;
            }
        }
    for (; i < len; i++) {
        h = (h << 1) + gear[p[i]];
        if (!(h & mask)) {
            *sum = h;
            return i + 1;
        }
    }
    *sum = h;
    return len + 1;
}

static size_t upto(const struct chunker *c, size_t end, size_t len)
{
    return end - c->used < len ? end - c->used : len;
}

size_t chunker_feed(struct chunker *c, const uint8_t *data, size_t len, int *ret_cut)
{
    size_t done = 0;
    *ret_cut = 0;
    if (c->used < c->min) {
        size_t n = upto(c, c->min, len);
        c->used += n;
        done += n;
    }
    const struct {
        size_t end;
        uint64_t mask;
    } zones[2] = {{c->avg, c->mask_before}, {c->max, c->mask_after}};
    for (int z = 0; z < 2; z++) {
        if (c->used >= zones[z].end || done == len)
            continue;
        size_t n = upto(c, zones[z].end, len - done);
        size_t hit = scan(&c->sum, zones[z].mask, data + done, n);
        if (hit <= n) {
            *ret_cut = 1;
            chunker_reset(c);
            return done + hit;
        }
        c->used += n;
        done += n;
    }
    if (c->used == c->max) {
        *ret_cut = 1;
        chunker_reset(c);
    }
    return done;
}
