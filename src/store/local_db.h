/* The small blobs of a local store, and where in packs the others are: one SQLite file in WAL mode,
 * with group commit.
 *
 * A file of its own costs a small blob three journal commits (its data, its name, its folder) and 4
 * KB; a row costs a share of one. Threads that write at the same time share one transaction: the
 * first becomes the leader and commits for all that wait. SQLite also gives what several processes
 * need: locking, recovery, space reused after removal. */
#ifndef FF_STORE_LOCAL_DB_H
#define FF_STORE_LOCAL_DB_H

#include "store/backend.h"

struct local_db;

#define PACK_NAME_MAX 63

/* Where a blob is that is no row. */
struct db_place {
    char pack[PACK_NAME_MAX + 1]; /* empty: nowhere */
    uint64_t at, len;
};

/* Of a record ("o/...") it is noted whether it was put as corpora, as something else, or both; nothing is noted of one that
 * was never put as corpora, but where the record itself is no row: then that it is something else (DB_MARK). */
enum db_op_kind { DB_PUT, DB_PUT_PACKED, DB_MARK, DB_TOUCH, DB_REMOVE };
struct db_op {
    enum db_op_kind kind;
    const char *name;
    const void *data; /* DB_PUT */
    size_t len;
    struct db_place place; /* DB_PUT_PACKED */
    enum store_class class; /* DB_MARK, and DB_PUT of a record */
    bool was_file;         /* the same: there is a file of that record already */
    struct db_place old;   /* out: where in a pack it was before, unless DB_TOUCH */
    bool missing;          /* out: DB_TOUCH found nothing */
};

int local_db_open(const char *path, struct local_db **ret, struct err *err);
/* Without a writer: local_db_write() is refused. */
int local_db_open_read_only(const char *path, struct local_db **ret, struct err *err);
/* Looks at every page: -ERR_CORRUPT with what is wrong. */
int local_db_check(struct local_db *db, struct err *err);
void local_db_close(struct local_db *db);
/* All or none; durable: on disk when it returns, else when the next durable one does. */
int local_db_write(struct local_db *db, struct db_op *ops, size_t n, bool durable, struct err *err);
/* Since when a transaction is under way, by the monotonic clock; 0: none is. */
int64_t local_db_busy_since(struct local_db *db);
int local_db_get(struct local_db *db, const char *name, size_t max, char **ret, size_t *ret_len,
                 struct err *err);
int local_db_stat(struct local_db *db, const char *name, struct blob_info *ret, struct err *err);
/* The same for blobs in packs. */
int local_db_find(struct local_db *db, const char *name, struct db_place *ret, int64_t *ret_stamp_ns,
                  struct err *err);
/* Was the record, which is there, put as one of that class? Results and targets are not told apart. */
int local_db_in_class(struct local_db *db, const char *name, enum store_class class, bool *ret, struct err *err);
/* Is any blob in this pack? */
int local_db_pack_used(struct local_db *db, const char *pack, bool *ret, struct err *err);

/* At most max rows (or blobs in packs) after `after` ("" at first) that begin with prefix, in order.
 * Each item's name is the caller's. */
struct db_row {
    char *name;
    uint64_t size_bytes;
    int64_t stamp_ns;
};
int local_db_page(struct local_db *db, bool packed, const char *prefix, const char *after,
                  struct db_row *rows, size_t max, size_t *ret_n, struct err *err);

#endif
