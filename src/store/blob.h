/* A block of bytes as it lies in the store: packed (zstd) or raw.
 *
 *   byte 0      'Z' zstd frame, 'R' raw
 *   bytes 1-4   length unpacked, little endian, at most BLOCK_MAX
 *   bytes 5-    the frame or the bytes
 *
 * A chunk is one such block in a blob of its own, named by the SHA-256 of its unpacked bytes; a
 * small object is one inside its record. Level 1 because ingest must keep up with the page cache;
 * it halves and quarters source text. */
#ifndef FF_STORE_BLOB_H
#define FF_STORE_BLOB_H

#include "store/store_internal.h"

#define BLOCK_HEADER 5
#define BLOCK_MAX (1u << 20)

struct codec {
    void *cctx, *dctx; /* ZSTD contexts, made when first needed */
    uint8_t *buf;      /* the packed block */
    size_t cap;
};

/* A codec from the store's spares or a new one; give it back with codec_give(). NULL when memory is
 * out. */
struct codec *codec_take(struct store *s);
void codec_give(struct store *s, struct codec *c);
void codec_free(struct codec *c);

/* *ret_len bytes at c->buf, valid until the next call. */
int block_pack(struct codec *c, const void *data, size_t len, size_t *ret_len, struct err *err);
/* The same of bytes with BLOCK_HEADER bytes of room before them, which become the block if it stays raw, without a copy.
 * *ret: there or in c->buf. */
int block_pack_there(struct codec *c, uint8_t *data, size_t len, const uint8_t **ret, size_t *ret_len, struct err *err);
/* Checks the header: the unpacked length; -ERR_CORRUPT. */
int block_length(const void *block, size_t len, size_t *ret, struct err *err);
/* Unpacks into out, which has room for block_length() bytes. -ERR_CORRUPT if it does not give
 * exactly those. */
int block_unpack(struct codec *c, const void *block, size_t len, void *out, size_t out_len,
                 struct err *err);

/* The bytes of one chunk into out, which has room for want; unverified: by a caller who compares the whole that they
 * are a part of. Errors as below. */
int chunk_load(struct store *s, struct codec *c, const struct digest *d, size_t want, char *out, size_t *ret_stored,
               struct err *err);
/* Chunks are read in order and i is next: tells the back end now and then what comes. */
struct chunk_list;
void chunks_expect(struct store *s, const struct chunk_list *l, size_t i);

/* One chunk, read and verified: *ret is the caller's (mem_*); want is its length as recorded
 * elsewhere. -ERR_CORRUPT also when it is missing, because something refers to it. *ret_stored may
 * be NULL. */
int chunk_read(struct store *s, struct codec *c, const struct digest *d, size_t want, char **ret,
               size_t *ret_stored, struct err *err);

#endif
