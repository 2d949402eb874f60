/* What a place for bytes must offer to be a back end of the store: named blobs, no more.
 *
 * Everything else (chunks, compression, verification, records, trees, pins, collection) is above
 * this interface and the same for all back ends; the whole test suite runs once for each. A name is
 * "<kind>/<lower-case text>", at most BLOB_NAME_MAX bytes; kinds are c (chunk), o (record of an
 * object), p (pin). A blob is written once and never changes; writing it again with other bytes
 * replaces it whole.
 *
 * Any thread may call any method. Errors are as in base/err.h; besides those named, I/O errors of
 * any kind. */
#ifndef FF_STORE_BACKEND_H
#define FF_STORE_BACKEND_H

#include "base/err.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOB_NAME_MAX 160

struct store_backend; /* one open back end: first member of each implementation's own struct */
struct store_batch;   /* blobs on their way in */

struct blob_info {
    const char *name; /* in list: borrowed during the call; in stat: as asked */
    uint64_t size_bytes;
    int64_t stamp_ns; /* when it was last written or touched, by the clock of this back end */
};

struct digest;

struct store_ops {
    const char *name;
    /* Other hosts write and collect at the same time, and no gate holds them off: touch() then is what
     * makes it safe to rely on a blob, and remove() spares what was touched meanwhile. */
    bool shared;
    /* What is put again, or pinned, is touched if its stamp is older than this. NULL: a second. */
    int64_t (*renew_after_ns)(struct store_backend *be);

    /* A batch collects blobs; no record of it can be seen until commit, chunks may. */
    int (*batch_new)(struct store_backend *be, struct store_batch **ret, struct err *err);
    /* What the batch's blobs belong to, for places that keep each kind for a time of its own; the others note what a record
     * was put as, so that it can be moved to such a place. */
    void (*batch_class)(struct store_batch *b, enum store_class class);
    /* Copies or writes out data at once, so memory does not grow with large blobs. Several threads
     * may add to one batch. */
    int (*batch_add)(struct store_batch *b, const char *name, const void *data, size_t len,
                     struct err *err);
    /* Makes all blobs of n batches durable, then visible; blobs of kind o only after all others, so
     * an object that can be seen has its chunks. After a failure some chunks may be visible, no
     * object is. The batches are empty afterwards and may be used again. */
    int (*batch_commit)(struct store_backend *be, struct store_batch *const *b, size_t n,
                        struct err *err);
    /* How much waits in it, for the caller to bound it. */
    void (*batch_pending)(struct store_batch *b, size_t *ret_blobs, size_t *ret_bytes);
    /* Throws away what was not committed. b may be NULL. */
    void (*batch_free)(struct store_batch *b);

    /* The bytes, the caller's to free; -ERR_NOT_FOUND; -ERR_LIMIT over max. */
    int (*get)(struct store_backend *be, const char *name, size_t max, char **ret, size_t *ret_len,
               struct err *err);
    /* The same of a chunk or a record, but the bytes are seen where they lie, without a copy: once, during the call, which
     * gives what see gives. see must not call the back end. NULL: only get can. */
    int (*show)(struct store_backend *be, const char *name, size_t max,
                int (*see)(void *arg, const void *data, size_t len, struct err *err), void *arg, struct err *err);
    /* These chunks will be read soon, in this order: fetch them ahead; last: none will follow. May be NULL. */
    void (*expect)(struct store_backend *be, const struct digest *chunks, size_t n, bool last);
    /* -ERR_NOT_FOUND without touching err's cost: this is the fast path of deduplication. A shared one may
     * not know what others have put lately. Only a record that was put as one of the class counts, and where kinds are kept
     * apart only a chunk that lies there. A place that keeps none apart need not tell results from targets. */
    int (*stat)(struct store_backend *be, const char *name, enum store_class class, struct blob_info *ret, struct err *err);
    /* Sets the stamp to now, visible to all processes, durable or not. -ERR_NOT_FOUND. */
    int (*touch)(struct store_backend *be, const char *name, enum store_class class, struct err *err);
    /* Durable; a name that is not there is fine. Chunks may stay (and be found) where they share their
     * place with what is alive; so may what was touched meanwhile, in a shared back end: what is stamped from before_ns on, if
     * that is not 0. */
    int (*remove)(struct store_backend *be, const char *const *names, size_t n, int64_t before_ns, struct err *err);
    /* Takes a damaged blob out of the way so that it can be written anew; kept for a look if that
     * is cheap. */
    int (*set_aside)(struct store_backend *be, const char *name, struct err *err);
    /* All names with the prefix, sorted; blobs that come or go meanwhile may be listed or not. each
     * returns 0, 1 to stop, or a negative error, which list returns. It may call the back end. */
    int (*list)(struct store_backend *be, const char *prefix,
                int (*each)(void *arg, const struct blob_info *info, struct err *err), void *arg,
                struct err *err);

    /* The gate between those who decide that a blob is there already (shared) and collection
     * (exclusive), across processes. Not recursive. A back end without it (a shared bucket) relies
     * on the grace time. */
    int (*gate_enter)(struct store_backend *be, bool exclusive, struct err *err);
    void (*gate_leave)(struct store_backend *be, bool exclusive);
    /* Collection goes on in parts, and says so (in the exclusive gate, before the first): until it
     * is over, who finds a blob whose stamp is before this must touch it to rely on it.
     * collecting_before() is asked in the gate; 0: no collection was ever told of. */
    int (*collecting_set)(struct store_backend *be, int64_t before_ns, struct err *err);
    int (*collecting_before)(struct store_backend *be, int64_t *ret_ns, struct err *err);
    /* Long uploads announce themselves: blobs whose stamp is later than their start (less
     * SESSION_SLACK_NS) stay; all: so do those that are there. *ret_start is the time from which on they do. */
    int (*session_begin)(struct store_backend *be, bool all, int64_t *ret_start_ns, struct err *err);
    void (*session_end)(struct store_backend *be, int64_t start_ns);
    /* The start of the oldest session of any process, INT64_MAX if there is none; others: of this one, only those that
     * keep all. */
    int (*session_oldest)(struct store_backend *be, bool others, int64_t *ret_ns, struct err *err);
    /* The least grace time of collection. NULL: none. */
    int64_t (*grace_min_ms)(struct store_backend *be);
    /* Removes what crashes left behind; under the exclusive gate. */
    int (*sweep)(struct store_backend *be, uint64_t *ret_bytes, struct err *err);

    /* Checks the file of its index, all pages: -ERR_CORRUPT. NULL: there is none. */
    int (*check)(struct store_backend *be, struct err *err);

    /* Since when a commit is under way, by the monotonic clock; 0: none is. Does not wait. NULL: nobody can tell. */
    int64_t (*busy_since)(struct store_backend *be);

    /* Seals with the key that writes now what other keys have sealed, or none. NULL: nothing is ever sealed. */
    int (*rekey)(struct store_backend *be, bool (*stopped)(void *arg), void *arg, uint64_t *ret_packs, struct err *err);

    void (*free)(struct store_backend *be);
};

struct store_backend {
    const struct store_ops *ops;
};

/* How old a stamp may be at the start of a session to need no touch, if no collection goes on. */
#define SESSION_SLACK_NS (INT64_C(60) * 1000000000)

/* The start of a session that keeps all. */
#define SESSION_ALL_NS 1

int backend_local_open(const char *dir, bool read_only, struct store_backend **ret, struct err *err);
int backend_memory_open(struct store_backend **ret, struct err *err);

#endif
