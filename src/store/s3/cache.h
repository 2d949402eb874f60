/* Bytes of packs that were fetched or written: extents, in memory while they are fresh, and as files
 * for later processes.
 *
 * Files are written by a thread of their own, from memory and while there is room in it: where the disk is slower
 * than the network, what came last is not written, rather than anybody waiting for a cache.
 *
 * A file is named "<2>/<sha256 of the pack>.<offset>.<length>". It is not synced and not trusted:
 * who reads a blob checks it. Files are removed when they were not used for the time to live, and
 * the least recently used ones when all together are over the bound, those of other processes too: each looks at
 * them after every sixteenth part of the bound that it has written. A file that cannot be written
 * (a full disk) is done without. Any thread may call. */
#ifndef FF_STORE_S3_CACHE_H
#define FF_STORE_S3_CACHE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct s3_cache;
struct extent;

/* memory_bytes: three quarters of it bound what is held in memory of what was fetched, a quarter what was sent, five eighths
 * what waits for use again. */
int cache_open(const char *dir, uint64_t max_bytes, int64_t ttl_ms, size_t memory_bytes,
               struct s3_cache **ret, struct err *err);
void cache_close(struct s3_cache *c);

/* Bytes of a pack, where they lie in memory (held: they stay there and as they are until the view is released) or as a copy. */
struct cache_view {
    const char *data;
    char *own; /* the copy, with a byte of zero behind it; may be taken */
    struct extent *held;
};
/* [offset, offset + len) of a pack, waiting for an extent that is on its way. 1, or 0 if it is not here; -ERR_NO_MEMORY. */
int cache_look(struct s3_cache *c, const char *pack, uint64_t offset, size_t len, struct cache_view *ret, struct err *err);
void cache_view_release(struct s3_cache *c, struct cache_view *v); /* also of an empty one */
bool cache_has(struct s3_cache *c, const char *pack, uint64_t offset, size_t len);

/* Announces that somebody fetches an extent; NULL if it is here or on its way, or memory is out. Its bytes go to
 * cache_room(), taken once and only when they come, so that what waits for its turn holds no memory; NULL if there is none.
 * Then it must be followed by cache_fill or cache_fail. */
struct extent *cache_reserve(struct s3_cache *c, const char *pack, uint64_t offset, size_t len);
char *cache_room(struct s3_cache *c, struct extent *e); /* of the extent's length */
void cache_fill(struct s3_cache *c, struct extent *e);
void cache_fail(struct s3_cache *c, struct extent *e);
/* A whole pack that was sent and may be wanted again; data, memory of cap bytes, is taken over. */
void cache_keep(struct s3_cache *c, const char *pack, char *data, size_t len, size_t cap);
/* Memory for the caller, who frees it (or keeps a pack in it): at least min bytes, if possible such as was in use before, so
 * no page of it has to be found and cleared. NULL if memory is out. */
char *cache_take_room(struct s3_cache *c, size_t min, size_t *ret_cap);
/* Forgets what is held of a pack: it is damaged, or the pack is gone. */
void cache_drop(struct s3_cache *c, const char *pack);
/* Bytes that are on their way. */
size_t cache_flying(struct s3_cache *c);
/* Bytes in memory. */
size_t cache_memory(struct s3_cache *c);

#endif
