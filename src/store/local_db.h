/* The small blobs of a local store: one SQLite file in WAL mode, with group commit.
 *
 * A file of its own costs a small blob three journal commits (its data, its name, its folder) and 4
 * KB; a row costs a share of one. Threads that write at the same time share one transaction: the
 * first becomes the leader and commits for all that wait. SQLite also gives what several processes
 * need: locking, recovery, space reused after removal. */
#ifndef FF_STORE_LOCAL_DB_H
#define FF_STORE_LOCAL_DB_H

#include "store/backend.h"

struct local_db;

enum db_op_kind { DB_PUT, DB_TOUCH, DB_REMOVE };
struct db_op {
    enum db_op_kind kind;
    const char *name;
    const void *data; /* DB_PUT */
    size_t len;
    bool missing; /* out: DB_TOUCH found nothing */
};

int local_db_open(const char *path, struct local_db **ret, struct err *err);
void local_db_close(struct local_db *db);
/* All or none; durable: on disk when it returns, else when the next durable one does. */
int local_db_write(struct local_db *db, struct db_op *ops, size_t n, bool durable, struct err *err);
int local_db_get(struct local_db *db, const char *name, size_t max, char **ret, size_t *ret_len,
                 struct err *err);
int local_db_stat(struct local_db *db, const char *name, struct blob_info *ret, struct err *err);

/* At most max rows after `after` ("" at first) that begin with prefix, in order. Each item's name
 * is the caller's. */
struct db_row {
    char *name;
    uint64_t size_bytes;
    int64_t stamp_ns;
};
int local_db_page(struct local_db *db, const char *prefix, const char *after, struct db_row *rows,
                  size_t max, size_t *ret_n, struct err *err);

#endif
