/* Two SHA-256 (FIPS 180-4) side by side. An instruction of the processor's SHA extension waits for the one before it; those of
 * another hash fill the gap, so that two take hardly longer than one. */
#include "store/digest_pair.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))
#define QUADS 16 /* steps of four rounds */

static const uint32_t constants[4 * QUADS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* One of the two: its state in the order of the instructions, and the last 16 words of its schedule. */
struct lane {
    __m128i abef, cdgh, words[4];
};

WITH_SHA static inline void lane_load(struct lane *l, const uint32_t h[8])
{
    __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)h), 0xb1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(h + 4)), 0x1b);
    l->abef = _mm_alignr_epi8(badc, hgfe, 8);
    l->cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
}

WITH_SHA static inline void lane_store(const struct lane *l, uint32_t h[8])
{
    __m128i feba = _mm_shuffle_epi32(l->abef, 0x1b), dchg = _mm_shuffle_epi32(l->cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)h, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}

WITH_SHA static inline __attribute__((always_inline)) void four_rounds(struct lane *l, const uint8_t *block, unsigned i)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i *w = &l->words[i % 4], k;
    if (i < 4) {
        *w = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(block + (size_t)16 * i)), big_endian);
    } else {
        __m128i near = l->words[(i + 3) % 4], back = _mm_alignr_epi8(near, l->words[(i + 2) % 4], 4);
        *w = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(*w, l->words[(i + 1) % 4]), back), near);
    }
    k = _mm_add_epi32(*w, _mm_loadu_si128((const __m128i *)(const void *)(constants + (size_t)4 * i)));
    l->cdgh = _mm_sha256rnds2_epu32(l->cdgh, l->abef, k);
    l->abef = _mm_sha256rnds2_epu32(l->abef, l->cdgh, _mm_shuffle_epi32(k, 0x0e));
}

WITH_SHA static void both(uint32_t a[8], const uint8_t *pa, uint32_t b[8], const uint8_t *pb, size_t blocks)
{
    struct lane x, y;
    lane_load(&x, a);
    lane_load(&y, b);
    for (; blocks; blocks--, pa += 64, pb += 64) {
        struct lane x0 = x, y0 = y;
#pragma GCC unroll 16
        for (unsigned i = 0; i < QUADS; i++) {
            four_rounds(&x, pa, i);
            four_rounds(&y, pb, i);
        }
        x.abef = _mm_add_epi32(x.abef, x0.abef);
        x.cdgh = _mm_add_epi32(x.cdgh, x0.cdgh);
        y.abef = _mm_add_epi32(y.abef, y0.abef);
        y.cdgh = _mm_add_epi32(y.cdgh, y0.cdgh);
    }
    lane_store(&x, a);
    lane_store(&y, b);
}

static bool has_sha;

static void look(void)
{
    unsigned a, b, c, d;
    has_sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA) && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) &&
              (c & bit_SSSE3);
}

bool digest_pair_blocks(uint32_t a[8], const uint8_t *pa, uint32_t b[8], const uint8_t *pb, size_t blocks)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, look);
    if (has_sha)
        both(a, pa, b, pb, blocks);
    return has_sha;
}

#else

bool digest_pair_blocks(uint32_t a[8], const uint8_t *pa, uint32_t b[8], const uint8_t *pb, size_t blocks)
{
    return false;
}

#endif
