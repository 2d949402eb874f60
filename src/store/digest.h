/* SHA-256 of bytes, by OpenSSL, and its text forms. A digest names everything in the store. */
#ifndef FF_STORE_DIGEST_H
#define FF_STORE_DIGEST_H

#include "base/err.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEN 32
#define DIGEST_HEX 64

struct digest {
    uint8_t b[DIGEST_LEN];
};

int digest_of(const void *data, size_t len, struct digest *ret, struct err *err);
bool digest_equal(const struct digest *a, const struct digest *b);
void digest_hex(const struct digest *d, char out[DIGEST_HEX + 1]);
/* Exactly 64 lower-case hex digits at s; more may follow. */
bool digest_from_hex(const char *s, struct digest *ret);
void digest_to_ref(const struct digest *d, struct store_ref *ret);
int digest_from_ref(const char *ref, struct digest *ret, struct err *err);

/* MD5 in base64, as a header of S3 wants it; nothing of ours relies on it. */
#define MD5_BASE64 25
int md5_base64(const void *data, size_t len, char out[MD5_BASE64], struct err *err);

/* CRC-32 (that of gzip) in base64, as another header of S3 wants it. */
#define CRC32_BASE64 9
void crc32_base64(const void *data, size_t len, char out[CRC32_BASE64]);

/* In pieces. */
struct hasher {
    void *ctx; /* SHA256_CTX */
};
int hasher_init(struct hasher *h, struct err *err);
void hasher_update(struct hasher *h, const void *data, size_t len);
/* The same, and the digest of these bytes alone: the price of both is about that of one where the processor can. */
void hasher_piece(struct hasher *h, const void *data, size_t len, struct digest *ret);
void hasher_final(struct hasher *h, struct digest *ret);
void hasher_release(struct hasher *h);

/* A set of digests: open addressing, 32 bytes a member at most two thirds full. */
struct digest_set {
    struct digest *slots;
    uint8_t *used;
    size_t len, cap;
    uint64_t seed; /* so that names chosen by somebody cannot be made to collide */
};
void digest_set_release(struct digest_set *s);
bool digest_set_has(const struct digest_set *s, const struct digest *d);
/* *ret_new tells whether it was absent. */
int digest_set_add(struct digest_set *s, const struct digest *d, bool *ret_new, struct err *err);

#endif
