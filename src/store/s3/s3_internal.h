/* What the files of store/s3/ share. Keys in the bucket, after the prefix:
 *
 *   format                         "fuzzforge-store 1 <random id>\n"
 *   packs/<class>/<time>-<sha256>  pack.h; class: targets, results, corpora; time: 13 hex digits of
 *                                  milliseconds, so that what is new stands at the end of a listing
 *   pins/<owner>-<object>          pins
 *   gone/<class>/<time>-<sha256>   this pack is being removed: do not rely on it
 *   leases/<time>-<ulid>           an upload since that time goes on
 */
#ifndef FF_STORE_S3_S3_INTERNAL_H
#define FF_STORE_S3_S3_INTERNAL_H

#include "base/cleanup.h"
#include "store/backend.h"
#include "store/s3/cache.h"
#include "store/s3/http.h"
#include "store/s3/index.h"
#include "store/s3/pack.h"
#include "store/s3/pool.h"
#include "store/s3/s3.h"
#include "store/sessions.h"
#include "store/store_internal.h"

#include <pthread.h>

#define S3_FORMAT "fuzzforge-store 1 "
#define S3_CUT_SHORT "it was cut short: saying it again ends it"
#define S3_KEY 256 /* longest prefix and key */
#define S3_PIN_MAX ((size_t)64 << 10)
#define S3_PACK_HARD_MAX ((size_t)16 << 20)
#define S3_LEASE_NS (INT64_C(24) * 3600 * 1000000000) /* a lease or a mark older than this is left over */

struct s3 {
    struct store_backend base;
    struct s3_http *http;
    struct s3_index *index;
    struct s3_cache *cache;
    struct s3_pool *pool;
    struct keyring keys;
    char *prefix, *bucket, *key_file; /* NULL: none */
    size_t pack_bytes;
    unsigned parallel;
    int64_t grace_min_ms;
    atomic_bool signs_bodies; /* the service does not check CRC-32s */

    pthread_mutex_t refresh_lock; /* one refresh at a time */
    bool bound; /* the bucket's store is known to be that of the index */
    int64_t refreshed_ns, full_ns; /* mono: when the last one began; 0: never */
    struct err unreadable;         /* of a pack whose directory could not be read; code 0: none */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t room;  /* sending has become less; a group was sent */
    size_t sending;       /* bytes of packs on their way out */
    struct group_request *queue, **queue_tail; /* write.c */
    size_t queue_bytes, queue_len, leaders;
    size_t callers;       /* whose commits are to be expected: those of the last group and those that waited for it */
    int64_t group_ns;     /* how long the last group took */
    bool gathering;       /* a leader waits for them */
    struct sessions sessions; /* of uploads, our clock */
    int64_t lease_start_ns, leased_ns; /* of the lease that is in the bucket, our clock; 0: none */
    char lease_key[S3_KEY];
};

extern const char *const s3_classes[]; /* NULL-terminated */
const char *s3_class_name(enum store_class class); /* NULL: STORE_ANY */

static inline struct s3 *s3_of(struct store_backend *be)
{
    return (struct s3 *)be;
}

/* Times: the server's clock and ours. */
int64_t s3_now_ns(const struct s3 *s); /* the server's */
static inline int64_t s3_to_local(const struct s3 *s, int64_t server_ns)
{
    return server_ns - s3_http_skew_ns(s->http);
}

/* --- api.c: the calls of S3 that are used; keys without the prefix ----------------------------------------- */

/* Writes a small object, or replaces it. */
int api_put(struct s3 *s, const char *key, const void *data, size_t len, struct err *err);
/* Writes an object that nobody else writes under this name: it is sent only if it is absent, and that it is there already is
 * fine (an earlier try went through). Large ones go in parts, several at a time, so not from a job of the pool.
 * *ret_stamp_ns: the server's time. */
int api_put_pack(struct s3 *s, const char *key, const void *data, size_t len, int64_t *ret_stamp_ns, struct err *err);
int api_get(struct s3 *s, const char *key, size_t max, char **ret, size_t *ret_len, struct err *err);
int api_get_range(struct s3 *s, const char *key, uint64_t offset, size_t len, char **ret, struct err *err);
int api_get_range_into(struct s3 *s, const char *key, uint64_t offset, size_t len, char *to, struct err *err);
int api_head(struct s3 *s, const char *key, uint64_t *ret_size, int64_t *ret_stamp_ns, struct err *err);
/* Copies it onto itself, which makes it new; *ret_stamp_ns: what its stamp is now. */
int api_renew(struct s3 *s, const char *key, int64_t *ret_stamp_ns, struct err *err);
int api_copy(struct s3 *s, const char *from, const char *to, struct err *err);
int api_delete(struct s3 *s, const char *key, struct err *err); /* absent is fine */
struct api_entry {
    const char *key; /* without the prefix */
    uint64_t size_bytes;
    int64_t stamp_ns;
};
/* All keys that begin with it and come after `after` (may be NULL), as the server orders them. */
int api_list(struct s3 *s, const char *begin, const char *after,
             int (*each)(void *arg, const struct api_entry *e, struct err *err), void *arg, struct err *err);
/* Gives up uploads in parts that were begun before. */
int api_abort_uploads(struct s3 *s, int64_t before_ns, struct err *err);

/* --- bucket.c: the bucket itself -------------------------------------------------------------------------- */

int api_bucket_make(struct s3_http *h, const char *region, bool *ret_created, struct err *err);
/* -ERR_PERMISSION if everybody may read that object, which is there, or read or write where packs are, or list below the
 * prefix. */
int api_bucket_private(struct s3_http *h, const char *prefix, const char *key, struct err *err);
/* Sets the rules of the store with that prefix; those of others are left as they are. */
int api_bucket_expiry(struct s3_http *h, const char *prefix, const struct s3_retention *keep, struct err *err);

/* --- refresh.c: the index follows the bucket ------------------------------------------------------------- */

/* What is new since the last time (whole: all of it, and what is gone). Shares one that began after
 * the call with other threads. */
int s3_refresh(struct s3 *s, bool whole, struct err *err);
/* -ERR_CORRUPT if a pack could not be read, so that nobody knows what is in it. */
int s3_all_readable(struct s3 *s, struct err *err);
/* Does the first one of this process. */
int s3_ready(struct s3 *s, struct err *err);
int s3_read_directory(struct s3 *s, const char *pack, uint64_t size, struct pack_entries *ret,
                      struct pack_seal *ret_seal, struct err *err);

/* --- write.c --------------------------------------------------------------------------------------------- */

int s3_batch_new(struct store_backend *be, struct store_batch **ret, struct err *err);
void s3_batch_class(struct store_batch *b, enum store_class class);
int s3_batch_add(struct store_batch *b, const char *name, const void *data, size_t len, struct err *err);
int s3_batch_commit(struct store_backend *be, struct store_batch *const *b, size_t n, struct err *err);
void s3_batch_pending(struct store_batch *b, size_t *ret_blobs, size_t *ret_bytes);
void s3_batch_free(struct store_batch *b);
/* Finishes a pack and puts it into the bucket and the index; siblings (may be NULL) gets its directory. */
int s3_send_pack(struct s3 *s, struct pack *p, const char *class, struct strbuf *siblings, struct err *err);
void s3_pack_key(char out[S3_KEY], const char *pack);
/* Keeps the lease of a long upload alive. */
int s3_lease(struct s3 *s, struct err *err);
void s3_lease_end(struct s3 *s);

/* --- read.c ---------------------------------------------------------------------------------------------- */

int s3_get(struct store_backend *be, const char *name, size_t max, char **ret, size_t *ret_len, struct err *err);
int s3_show(struct store_backend *be, const char *name, size_t max,
            int (*see)(void *arg, const void *data, size_t len, struct err *err), void *arg, struct err *err);
void s3_expect(struct store_backend *be, const struct digest *chunks, size_t n, bool last);

/* --- pins.c; name: "p/<owner>-<object>" --------------------------------------------------------------------- */

int s3_put_pin(struct s3 *s, const char *name, const void *data, size_t len, struct err *err);
int s3_get_pin(struct s3 *s, const char *name, size_t max, char **ret, size_t *ret_len, struct err *err);
/* Seals all pins with the key that writes now. */
int s3_rekey_pins(struct s3 *s, bool (*stopped)(void *arg), void *arg, struct err *err);

/* --- collect.c ------------------------------------------------------------------------------------------- */

int s3_touch(struct store_backend *be, const char *name, enum store_class class, struct err *err);
int s3_remove(struct store_backend *be, const char *const *names, size_t n, int64_t before_ns, struct err *err);
int s3_set_aside(struct store_backend *be, const char *name, struct err *err);
int s3_sweep(struct store_backend *be, uint64_t *ret_bytes, struct err *err);
int s3_rekey(struct store_backend *be, bool (*stopped)(void *arg), void *arg, uint64_t *ret_packs, struct err *err);
int s3_session_oldest(struct store_backend *be, bool others, int64_t *ret_ns, struct err *err);

#endif
