/* Copying a store into another one, whatever their back ends: objects with all that they are made of, each as what it
 * is (result, target, corpora), then pins.
 *
 * Chunks are checked on the way. What the other store has already is not read, so a copy that was cut
 * short goes on where it was. Nothing is removed from either. */
#ifndef FF_STORE_MIGRATE_H
#define FF_STORE_MIGRATE_H

#include "store/store.h"

struct store_migrate_result {
    uint64_t objects, objects_copied, chunks_copied, bytes_copied, pins_copied, bad_objects;
};
/* A damaged object is counted, told (bad may be NULL) and left out. progress may be NULL; stopped (or NULL) is asked before each
 * chunk; true: -ERR_CANCELLED. */
int store_migrate(struct store *from, struct store *to,
                  void (*bad)(void *arg, const char *ref, const char *why),
                  void (*progress)(void *arg, const struct store_migrate_result *so_far), bool (*stopped)(void *arg), void *arg,
                  struct store_migrate_result *ret, struct err *err);

#endif
