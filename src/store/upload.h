/* Bytes on their way into the store: cut into chunks, hashed, compared with what is there, packed,
 * written.
 *
 * One thread feeds it. After the first megabyte other threads hash and pack; a small upload starts
 * none. Memory is bounded by the number of chunks in flight. Nothing that refers to the chunks can
 * be seen before upload_commit(). */
#ifndef FF_STORE_UPLOAD_H
#define FF_STORE_UPLOAD_H

#include "store/record.h"
#include "store/store_internal.h"

struct upload;

/* hash: of its one stream; upload_end_stream() tells it. */
int upload_begin(struct store *s, enum store_class class, bool hash, struct upload **ret, struct err *err);
/* What was not committed goes, but where others may rely on it by now, or who has stopped in the middle may want to go on (a
 * shared back end): that is garbage. */
void upload_free(struct upload *u);
int upload_write(struct upload *u, const void *data, size_t len, struct err *err);
/* Ends the stream; the next write begins another. ret->v is the caller's. *ret_stored: what its
 * chunks take, each counted once. */
int upload_end_stream(struct upload *u, struct chunk_list *ret, uint64_t *ret_stored,
                      struct digest *ret_digest, struct err *err);
/* Adds an object: its bytes (as a stream of its own, or inside its record if they are few) and its
 * record. The record's size, block and chunks are filled in here; stored_bytes is added to. */
int upload_object(struct upload *u, const void *data, size_t len, const struct digest *d,
                  struct record *rec, struct err *err);
/* Adds a record whose fields are all set. */
int upload_record(struct upload *u, const struct digest *d, const struct record *rec,
                  struct err *err);
/* Adds the object unless it is in the store, and commits. */
int upload_new_object(struct upload *u, const void *data, size_t len, const struct digest *d,
                      struct record *rec, struct err *err);
/* Is the chunk "c/<hex>" in the store and safe while this upload lives? 1, 0 or an error. */
int upload_chunk_known(struct upload *u, const char *name, size_t *ret_stored, struct err *err);
/* Adds a blob as it lies in another store; the feeding thread only. */
int upload_blob(struct upload *u, const char *name, const void *data, size_t len, struct err *err);
/* All that was added is durable when it returns. */
int upload_commit(struct upload *u, struct err *err);

/* Moves to the front those of the chunks that an upload of this process which goes on has added or found. How many they are. */
size_t uploads_have(struct store *s, struct digest *v, size_t n);

/* gc.c: chunks that an upload which has failed wrote since then, and ended its session: all go that nobody can rely on. Puts
 * them in another order. */
void chunks_discard(struct store *s, struct digest *v, size_t n, int64_t since_ns);
/* Those that had to stay then, as far as nobody can rely on them any more. Cheap if there are none. */
void chunks_discard_left(struct store *s);
void chunks_forget_left(struct store *s);

/* Objects up to this size go into their record, if they pack into INLINE_PACKED bytes. */
#define INLINE_MAX ((size_t)64 << 10)
#define INLINE_PACKED ((size_t)7 << 10)

/* Is the object there as one of that class, with all chunks of its record, and safe from collection for now? As a tree,
 * if that is asked. Call it with the gate entered. 1, 0 or an error. */
int object_known(struct store *s, const struct digest *d, enum store_class class, bool as_tree, struct err *err);
/* From when on a stamp is as good as new. */
int64_t object_fresh_ns(struct store *s);
/* Renews all that an object (a tree with its files) is made of, where that is not fresh, in each class that has it.
 * -ERR_NOT_FOUND if something of it is not there. */
int object_renew(struct store *s, const struct digest *d, struct err *err);
/* The record of an object: *ret_bytes holds what it borrows, the caller's. -ERR_NOT_FOUND names
 * ref. */
int object_record(struct store *s, const struct digest *d, struct record *ret, char **ret_bytes,
                  struct err *err);
/* Reads all chunks of an object and compares with its name, in flat memory. */
int object_hash(struct store *s, const struct digest *d, const struct record *rec,
                struct err *err);
/* The whole object, verified. */
int object_read(struct store *s, const struct digest *d, const struct record *rec, size_t max,
                char **ret, size_t *ret_len, struct err *err);

#endif
