/* A pack: many blobs (chunks, records) in one object of the bucket, because a request costs
 * milliseconds whatever its size.
 *
 *   8 bytes           "FFPACK1\n"
 *   blobs             one after the other
 *   siblings          may be missing: directories of other packs of the same upload, so that who reads this one
 *                     need not ask for each of them; per pack: u64 size, u8 n, n bytes name, u32 n, n bytes
 *                     directory and footer as they lie there, whose SHA-256 ends the name
 *   directory         per blob: u8 kind ('c', 'o'), 32 bytes digest, u32 offset, u32 length,
 *                     u64 XXH3 of its bytes as they lie here
 *   footer, 48 bytes  u32 length of the directory as it lies here, u32 blobs, u32 key id (0: not
 *                     sealed), u32 length of the siblings, 16 bytes salt, u64 XXH3 of directory and footer before it,
 *                     "FFPACK1\n"
 *
 * Numbers are little endian. Sealed (seal.h), each blob and the directory end with a tag of 16
 * bytes; blob i has the number i, the directory 2^32 - 1. The salt is random also in what is not
 * sealed, so that two packs never have the same name: a pack's name ends with the SHA-256 of its
 * directory and footer (older ones: of all their bytes; no reader depends on it). */
#ifndef FF_STORE_S3_PACK_H
#define FF_STORE_S3_PACK_H

#include "base/strbuf.h"
#include "store/digest.h"
#include "store/s3/seal.h"

#define PACK_ENTRY 49
#define PACK_FOOTER 48
#define PACK_HEADER 8
#define PACK_MAX ((size_t)512 << 20)
#define PACK_BLOBS_MAX 1000000
#define PACK_NAME_MAX 96
#define SIBLINGS_MAX ((size_t)2 << 20) /* of one pack; what does not fit is left out */

struct pack_entry {
    char kind;
    struct digest digest;
    uint32_t offset, len;
    uint64_t check;
};

struct pack_entries {
    struct pack_entry *v;
    size_t len, cap;
};

/* What is known of a pack besides its entries. */
struct pack_seal {
    uint32_t key_id; /* 0: not sealed */
    uint8_t salt[SEAL_SALT];
};

/* One that is being made. */
struct pack {
    struct strbuf buf;
    struct pack_entries entries;
    struct strbuf siblings;
    bool sealed; /* room for tags is left */
    struct pack_seal seal; /* set by pack_finish() */
    size_t directory;      /* so does it: where that begins */
};

void pack_init(struct pack *p, bool sealed);
void pack_release(struct pack *p);
bool pack_empty(const struct pack *p);
/* name: "c/<hex>" or "o/<hex>". */
int pack_add(struct pack *p, const char *name, const void *data, size_t len, struct err *err);
/* Moves all blobs and siblings of another one behind those of p; the other one is empty then. */
int pack_append(struct pack *p, struct pack *other, struct err *err);
/* Seals by the ring's first key and writes directory and footer: buf is what goes to the bucket, and
 * the entries' lengths and checks are those of what lies there. */
int pack_finish(struct pack *p, const struct keyring *keys, struct err *err);

/* What its name ends with, once it is finished. */
int pack_digest(const struct pack *p, struct digest *ret, struct err *err);

/* Adds the directory of a finished one to siblings. */
void pack_sibling(struct strbuf *siblings, const char *name, const struct pack *p);
void pack_more_siblings(struct strbuf *to, const struct strbuf *from);

/* From the last n bytes of a pack of size bytes: how many of them directory and footer take, and what the siblings
 * before them do (may be NULL). -ERR_CORRUPT. */
int pack_tail(const void *tail, size_t n, uint64_t size, size_t *ret_need, size_t *ret_siblings, struct err *err);
/* The next one of siblings [*at, end); false at the end, or where they are damaged. Its directory is as good as one that
 * was read from that pack. */
struct pack_sibling {
    char name[PACK_NAME_MAX];
    uint64_t size;
    const uint8_t *tail; /* for pack_directory() */
    size_t tail_len;
};
bool pack_next_sibling(const uint8_t **at, const uint8_t *end, struct pack_sibling *ret);
/* Reads the directory, given at least so many bytes. All places lie within the pack and do not
 * overlap with the directory. ret->v is the caller's. */
int pack_directory(const void *tail, size_t n, uint64_t size, const struct keyring *keys,
                   struct pack_entries *ret, struct pack_seal *ret_seal, struct err *err);
/* Opens blob `index` of a pack in place: *len loses the tag. Without a key id nothing is done. */
int pack_open_blob(const struct keyring *keys, const struct pack_seal *seal, const struct pack_entry *e,
                   uint32_t index, void *data, size_t *len, struct err *err);

#endif
