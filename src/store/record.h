/* The record of an object: blob "o/<hex of its SHA-256>".
 *
 *   "FFO1"            magic
 *   u8  flags         1: the bytes are in the record, 2: a tree
 *   u64 size          of the object
 *   u64 stored        what its blocks take in the store (of a tree: with its files)
 *   i64 created       nanoseconds since 1970
 *   u8 n, n bytes     media type
 *   in the record:    u32 n, n bytes: one block (blob.h)
 *   else:             u32 n, n times 32 bytes SHA-256 and u32 length: chunks in order
 *   u64               XXH3 of all before it
 *
 * Numbers are little endian. The decoder trusts nothing. */
#ifndef FF_STORE_RECORD_H
#define FF_STORE_RECORD_H

#include "base/strbuf.h"
#include "store/digest.h"

#define RECORD_MAX ((size_t)64 << 20) /* chunks of an object of about 100 GB */

struct chunk_ref {
    struct digest digest;
    uint32_t len; /* unpacked */
};

struct chunk_list {
    struct chunk_ref *v;
    size_t len, cap;
};

struct record {
    uint64_t size_bytes, stored_bytes;
    int64_t created_ns;
    bool tree;
    char media_type[64];
    const uint8_t *block; /* borrowed from the decoded bytes; NULL: it has chunks */
    size_t block_len;
    struct chunk_list chunks;
};

/* Appends to out. */
void record_encode(const struct record *rec, struct strbuf *out);
/* -ERR_CORRUPT. Release it, also after an error. */
int record_decode(const void *data, size_t len, struct record *ret, struct err *err);
void record_release(struct record *rec);

/* Little-endian helpers of the store's formats. */
void put_u32(struct strbuf *b, uint32_t v);
void put_u64(struct strbuf *b, uint64_t v);
void put_varint(struct strbuf *b, uint64_t v);
/* The 8 bytes that end a record or manifest, over b's bytes from start on. */
void put_checksum(struct strbuf *b, size_t start);

/* A reader that never goes over its end; after the first overrun all it gives is 0 and bad is set.
 * */
struct cursor {
    const uint8_t *p, *end;
    bool bad;
};
uint8_t get_u8(struct cursor *c);
uint32_t get_u32(struct cursor *c);
uint64_t get_u64(struct cursor *c);
uint64_t get_varint(struct cursor *c); /* LEB128, at most 10 bytes */
const uint8_t *get_bytes(struct cursor *c, size_t n); /* NULL when fewer are left */
/* Cuts off and compares the checksum at the end. */
bool cursor_checked(struct cursor *c, const void *data, size_t len);

#endif
