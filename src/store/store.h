/* The object store: all bytes that outlive an activity.
 *
 * An object is an immutable byte string named by its content: "sha256:" and 64 hex digits. Two back
 * ends (local files; S3, later) stand behind struct store_ops; chunking, compression and
 * verification are above them and the same for both. A tree is an object too: a manifest of a
 * folder whose files' bytes are in the same chunks (store/tree.h). Roots (pins) keep objects from
 * being collected.
 *
 * Any thread may call; calls block. */
#ifndef FF_STORE_STORE_H
#define FF_STORE_STORE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_LOCAL_SCHEMA 2 /* the newest version of a local index that this program knows; 2: packed */
#define STORE_REF_LEN 71 /* strlen("sha256:" + 64 hex digits) */

struct store_ref {
    char text[STORE_REF_LEN + 1];
};

struct store;

struct store_object_info {
    struct store_ref ref;
    uint64_t size_bytes;    /* as read */
    uint64_t stored_bytes;  /* compressed, shared chunks counted */
    int64_t created_ns;
    char media_type[64]; /* as given at put */
};

bool store_ref_valid(const char *text);

/* Opens (making it if absent) the local store in a folder. */
int store_open_local(const char *dir, struct store **ret, struct err *err);
/* One that is there and that nothing may be written to, a read-only file system say: what would write
 * fails with -ERR_PERMISSION. */
int store_open_local_read_only(const char *dir, struct store **ret, struct err *err);
/* A store in memory, for tests: same contract. */
int store_open_memory(struct store **ret, struct err *err);
void store_free(struct store *s);

/* What an object belongs to, for places that keep each kind for a time of its own: what two kinds have in common is there
 * once for each. STORE_ANY is for looking only: of whatever kind. */
enum store_class { STORE_RESULTS, STORE_TARGETS, STORE_CORPORA, STORE_ANY };

/* Bytes in, as results. Durable when it returns. Putting the same bytes again is cheap and gives the same name.
 * */
int store_put(struct store *s, const void *data, size_t len, const char *media_type,
              struct store_ref *ret, struct err *err);
/* The same from a descriptor, to its end, with flat memory; -ERR_LIMIT over max bytes. */
int store_put_fd(struct store *s, enum store_class class, int fd, uint64_t max_bytes, const char *media_type,
                 struct store_ref *ret, uint64_t *ret_size, struct err *err);
/* Bytes out, verified against the name: -ERR_NOT_FOUND, or -ERR_CORRUPT and nothing given. *ret is
 * the caller's, 0-terminated. */
int store_get(struct store *s, const char *ref, size_t max, char **ret, size_t *ret_len,
              struct err *err);
int store_get_fd(struct store *s, const char *ref, int fd, uint64_t *ret_size, struct err *err);
int store_stat(struct store *s, const char *ref, struct store_object_info *ret, struct err *err);
/* Calls back for each object, in order of name, until it returns false. */
int store_list(struct store *s, bool (*each)(void *arg, const struct store_object_info *info),
               void *arg, struct err *err);
/* -ERR_NOT_FOUND; -ERR_STATE, naming the owner, if it is pinned. Its chunks go with the next
 * collection. */
int store_remove(struct store *s, const char *ref, struct err *err);

/* A pin keeps an object (a tree with all of its chunks) until a time or until it is removed. owner
 * is free text, say "run/<id>"; one pin per owner and ref. until_ns 0: no end. */
int store_pin(struct store *s, const char *owner, const char *ref, int64_t until_ns,
              struct err *err);
int store_unpin_owner(struct store *s, const char *owner, struct err *err);
/* One of them; none of this ref is fine. */
int store_unpin(struct store *s, const char *owner, const char *ref, struct err *err);
/* Has the owner a pin of it that has not run out? */
int store_pinned(struct store *s, const char *owner, const char *ref, bool *ret, struct err *err);

/* As store_each_pin(), for the pins of one owner, without a look at all others. */
int store_each_pin_of(struct store *s, const char *owner,
                      int (*each)(void *arg, const char *owner, const char *ref, struct err *err),
                      void *arg, struct err *err);
/* The same for the pins of one object: lists all, and reads those alone. */
int store_each_pin_on(struct store *s, const char *ref,
                      int (*each)(void *arg, const char *owner, const char *ref, struct err *err),
                      void *arg, struct err *err);
/* Calls back for each pin that has not run out, whether what it keeps is there or not. owner is "" for a
 * pin that is damaged. A negative answer ends it and is its result. */
int store_each_pin(struct store *s,
                   int (*each)(void *arg, const char *owner, const char *ref, struct err *err),
                   void *arg, struct err *err);

struct store_gc_result {
    uint64_t objects_kept, objects_removed, chunks_removed, bytes_freed;
};
/* Removes what no pin keeps and what is older than grace_ms (so that an upload going on is safe).
 * Safe beside readers and writers of this and of other processes. */
int store_gc(struct store *s, int64_t grace_ms, bool dry_run, struct store_gc_result *ret,
             struct err *err);

/* Until it is released, collection of any process removes nothing that is there. */
struct store_hold {
    struct store *store;
    int64_t start_ns;
};
int store_hold(struct store *s, struct store_hold *ret, struct err *err);
/* The same for what is put from now on, or found again by who puts it: until it is pinned, say. A shared store has its grace time
 * for that. */
int store_hold_new(struct store *s, struct store_hold *ret, struct err *err);
void store_hold_release(struct store_hold *h); /* zeros are fine */

/* Seals all that is stored with the key that writes now; *ret_packs were written anew. -ERR_UNIMPLEMENTED where
 * nothing is encrypted; -ERR_STATE: the file of the keys has others by now than this process reads and writes with. stopped (or
 * NULL) is asked before each pack; true: -ERR_CANCELLED. */
int store_rekey(struct store *s, bool (*stopped)(void *arg), void *arg, uint64_t *ret_packs, struct err *err);

struct store_verify_result {
    uint64_t objects, chunks, bytes, bad_objects;
};
/* Checks the file that the store's own index is in, page by page: -ERR_CORRUPT with the first thing that
 * is wrong. 0 for a store without such a file. */
int store_check_index(struct store *s, struct err *err);
/* Since when a commit of this process is under way, by the monotonic clock; 0: none is, or nobody can tell. Does not wait. */
int64_t store_busy_since(const struct store *s);
/* Reads everything; bad is called for each damaged or incomplete object. Damaged chunks are set
 * aside, so that putting the same bytes again mends what needs them. stopped (or NULL) is asked before each
 * object; true: -ERR_CANCELLED. */
int store_verify(struct store *s, void (*bad)(void *arg, const char *ref, const char *why), bool (*stopped)(void *arg),
                 void *arg, struct store_verify_result *ret, struct err *err);

#endif
