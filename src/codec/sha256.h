/* SHA-256 (FIPS 180-4) by libcrypto. Kept apart because OpenSSL's headers and base/err.h use the same names. */
#ifndef FF_CODEC_SHA256_H
#define FF_CODEC_SHA256_H

#include <stdbool.h>
#include <stddef.h>

#define SHA256_BYTES 32

/* Zero-initialised; one context may hash any number of messages. A failure (memory) is told by sha256_end(). */
struct sha256 {
    void *ctx;
    bool failed;
};

void sha256_begin(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *data, size_t n);
bool sha256_end(struct sha256 *h, unsigned char digest[SHA256_BYTES]);
void sha256_release(struct sha256 *h);

#endif
