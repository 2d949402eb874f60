/* The inner part of two SHA-256 at once, for hasher_piece(). */
#ifndef FF_STORE_DIGEST_PAIR_H
#define FF_STORE_DIGEST_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Takes as many blocks of 64 bytes into each of two states of SHA-256. false, and nothing done, where the processor has no
 * instructions for it. */
bool digest_pair_blocks(uint32_t a[8], const uint8_t *pa, uint32_t b[8], const uint8_t *pb, size_t blocks);

#endif
