/* What this host knows of a bucket: which packs there are, and which blob lies where. A SQLite file
 * in the cache folder, shared by the processes of the host. All of it can be read from the bucket
 * again, so losing it costs time only; and it may be behind: what it does not know may be there,
 * what it knows may be gone.
 *
 * A blob may lie in several packs: of a record the latest counts, of a chunk, whose bytes are the same in
 * all, the one that was stamped last. Stamps are of the server's clock. Any thread may call. */
#ifndef FF_STORE_S3_INDEX_H
#define FF_STORE_S3_INDEX_H

#include "store/s3/pack.h"

#include <stdbool.h>
#include <stdint.h>

struct s3_index;

struct pack_info {
    char name[PACK_NAME_MAX]; /* "<class>/<time>-<sha256>" */
    uint64_t size_bytes;
    int64_t stamp_ns;
    struct pack_seal seal;
};

struct blob_place {
    struct pack_info pack;
    struct pack_entry e;
    uint32_t number; /* of the blob in its pack */
};

/* identity: of the bucket; an index of another one, or a damaged one, is thrown away. small_max: how many bytes of small packs it
 * keeps. */
int index_open(const char *path, const char *identity, int64_t small_max, struct s3_index **ret, struct err *err);
void index_close(struct s3_index *x);

/* Which store is in the bucket now: if it is another one than before (the bucket was made anew), all is forgotten. */
int index_bind(struct s3_index *x, const char *store_id, struct err *err);

/* class: only packs of it count; NULL: all. -ERR_NOT_FOUND, without a message. */
int index_find(struct s3_index *x, const char *blob, const char *class, struct blob_place *ret, struct err *err);
/* The same from memory, if it was asked lately: for reading, where it shows if another process has removed the pack meanwhile. */
int index_recall(struct s3_index *x, const char *blob, struct blob_place *ret, struct err *err);
/* The same of many chunks: each is called for those that are known, and must not call the index. */
void index_recall_chunks(struct s3_index *x, const struct digest *chunks, size_t n,
                         void (*each)(void *arg, size_t i, const struct blob_place *place), void *arg);
/* The packs that hold a blob: VEC of names, the caller's. */
struct name_list {
    char **v;
    size_t len, cap;
};
void name_list_release(struct name_list *l);
int index_holders(struct s3_index *x, const char *blob, struct name_list *ret, struct err *err);

/* Packs up to this size are kept here whole, up to a bound of all together (the oldest go): a row where a file
 * of the cache would cost more than what is in it. */
#define SMALL_PACK ((size_t)128 << 10)

/* Adds packs with their directories in one transaction; those that are known already stay. */
struct new_pack {
    struct pack_info info;
    struct pack_entries entries;
    const char *whole; /* its bytes, if it is small and they are at hand */
};
int index_add(struct s3_index *x, const struct new_pack *packs, size_t n, struct err *err);
int index_pack(struct s3_index *x, const char *name, struct pack_info *ret, struct err *err);
int index_drop(struct s3_index *x, const char *name, struct err *err);
/* A part of a small pack: 1 and the caller's bytes, or 0. */
int index_small(struct s3_index *x, const char *name, uint64_t offset, size_t len, char **ret, struct err *err);
void index_small_drop(struct s3_index *x, const char *name); /* its bytes were not right */
/* Sets the stamp, if the pack is known and it is later. */
int index_touch(struct s3_index *x, const char *name, int64_t stamp_ns, struct err *err);

/* A listing of the whole bucket: begin, seen for all packs (n at a time; ret_known: of each), end: forgets the packs that
 * were known before the listing began and that it has not seen. */
int index_listing_begin(struct s3_index *x, int64_t *ret_round, struct err *err);
int index_listing_seen(struct s3_index *x, int64_t round, const struct pack_info *p, size_t n, bool *ret_known, struct err *err);
int index_listing_end(struct s3_index *x, int64_t round, struct err *err);
/* The name of the latest pack of a class that was written before then, "" without one. */
int index_latest(struct s3_index *x, const char *class, int64_t until_ms, char ret[PACK_NAME_MAX], struct err *err);
/* Pages through packs in order of name, "" at the start. */
int index_packs(struct s3_index *x, const char *after, struct pack_info *ret, size_t cap, size_t *ret_n,
                struct err *err);

struct blob_row {
    char name[2 + DIGEST_HEX + 1];
    uint64_t size_bytes;
    int64_t stamp_ns;
};
/* Pages through blobs in order of name: those after `after` that begin with the prefix. */
int index_blobs(struct s3_index *x, const char *prefix, const char *after, struct blob_row *ret, size_t cap,
                size_t *ret_n, struct err *err);

#endif
