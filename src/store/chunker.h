/* Where to cut a stream of bytes, by its content: an insertion moves the cuts around it, and no
 * others.
 *
 * A rolling sum over the last 64 bytes (gear: one shift, one table look-up, one addition a byte) is
 * compared with a mask: a stricter one before the wanted size, a laxer one after it, so sizes
 * gather around it (Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking Approach
 * for Data Deduplication", 2016). The sizes were chosen by bench/store_bench: docs/storage.md has
 * the numbers. */
#ifndef FF_STORE_CHUNKER_H
#define FF_STORE_CHUNKER_H

#include <stddef.h>
#include <stdint.h>

#define CHUNK_MIN (16u << 10)
#define CHUNK_AVG (64u << 10)
#define CHUNK_MAX (256u << 10)

struct chunker {
    uint64_t sum;
    size_t used; /* bytes of the chunk that is open */
    size_t min, avg, max;
    uint64_t mask_before, mask_after;
};

/* Zeros: the sizes above. avg is a power of two, min < avg < max. */
void chunker_init(struct chunker *c, size_t min, size_t avg, size_t max);
/* Feeds bytes; gives how many of them belong to the open chunk. If that is less than len, or
 * *ret_cut is set, the chunk ends there and the next one is open. */
size_t chunker_feed(struct chunker *c, const uint8_t *data, size_t len, int *ret_cut);
/* Forgets the open chunk: a new stream begins. */
void chunker_reset(struct chunker *c);

#endif
