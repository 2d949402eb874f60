/* Packs: files that hold many blobs one after another.
 *
 * A file for each blob costs an inode, three syncs and a rename; a pack shares them among all that a batch writes between two
 * commits. It is written once, by one batch; the index (local_db.h) says where in it each blob is. What is removed leaves a hole,
 * and an empty pack goes. */
#ifndef FF_STORE_LOCAL_PACK_H
#define FF_STORE_LOCAL_PACK_H

#include "store/local_db.h"

/* The pack that a batch is writing; zeros: none yet. Not for several threads at a time. */
struct local_pack {
    int fd; /* valid while path is set */
    char *path;
    char name[PACK_NAME_MAX + 1];
    uint64_t len, started; /* bytes written, and of those the ones whose write-back was started */
    bool broken;           /* a write failed in the middle */
};

/* Makes the file dir/name. */
int local_pack_begin(struct local_pack *p, const char *dir, const char *name, struct err *err);
/* Writes a blob at the end and says where it is. */
int local_pack_add(struct local_pack *p, const void *data, size_t len, struct db_place *ret, struct err *err);
/* Makes its bytes durable and lets go of it; its name in dir is for the caller to sync. */
int local_pack_seal(struct local_pack *p, struct err *err);
/* Removes one that was not sealed. */
void local_pack_drop(struct local_pack *p);

/* A blob in the packs of dir: as the methods of a back end (backend.h). */
int local_pack_get(struct local_db *db, const char *dir, const char *name, size_t max, char **ret,
                   size_t *ret_len, struct err *err);
int local_pack_stat(struct local_db *db, const char *dir, const char *name, struct blob_info *ret,
                    struct err *err);
/* After operations that took blobs out of packs (db_op.old): frees the space. */
int local_pack_free_places(struct local_db *db, const char *dir, const struct db_op *ops, size_t n,
                           struct err *err);

#endif
