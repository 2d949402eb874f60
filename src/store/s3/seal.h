/* Encryption at rest: AES-256-GCM with keys that only the holder of the store has.
 *
 * A key file has one key a line, "<64 hex digits>" with "#" for comments: the first one seals what
 * is written from now on, all of them open what is there. So a key is changed by putting a new one
 * in front, and the old one is dropped after `ff store rekey`.
 *
 * Each pack has a key of its own, HKDF-SHA256 (RFC 5869) of the file's key and the pack's random
 * salt; what lies in it is numbered, and the number is the nonce. So no nonce is ever used twice with
 * a key, however many hosts write. */
#ifndef FF_STORE_S3_SEAL_H
#define FF_STORE_S3_SEAL_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define SEAL_SALT 16
#define SEAL_TAG 16
#define KEYRING_MAX 16

struct keyring {
    size_t len; /* 0: nothing is sealed */
    struct {
        uint32_t id; /* the first bytes of the SHA-256 of the key, never 0 */
        uint8_t key[32];
    } v[KEYRING_MAX];
};

/* path NULL or "": an empty ring. -ERR_INVALID names the line. Others than the owner must not be
 * able to read the file: -ERR_PERMISSION. */
int keyring_load(struct keyring *k, const char *path, struct err *err);
void keyring_clear(struct keyring *k);

/* The cipher of one pack. */
struct seal {
    void *ctx; /* EVP_CIPHER_CTX */
    uint8_t key[32];
};
/* -ERR_MISSING if the ring has no key of that id. */
int seal_init(struct seal *s, const struct keyring *k, uint32_t key_id, const uint8_t salt[SEAL_SALT],
              struct err *err);
void seal_release(struct seal *s);
/* In place; the tag goes to the SEAL_TAG bytes after data. number: unique within the pack. what: bound to it (AAD). */
int seal_close(struct seal *s, uint32_t number, const void *what, size_t what_len, uint8_t *data,
               size_t len, struct err *err);
/* In place; len without the tag, which stands behind it. -ERR_CORRUPT. */
int seal_open(struct seal *s, uint32_t number, const void *what, size_t what_len, uint8_t *data,
              size_t len, struct err *err);

#endif
