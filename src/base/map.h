/* A hash map from byte strings to pointers. Keys are copied; values belong to the caller. The order of
 * iteration is the order of insertion as long as nothing was removed. Hashing is seeded per process,
 * so that keys from outside cannot be made to collide. */
#ifndef FF_BASE_MAP_H
#define FF_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
    char *key; /* NULL when removed; 0-terminated copy otherwise */
    size_t key_len;
    uint64_t hash;
    void *value;
};

struct map {
    struct map_entry *entries;
    uint32_t *slots; /* index + 1 into entries, 0 empty */
    size_t len;      /* live entries */
    size_t used, entries_cap, slots_cap;
};

void map_release(struct map *m); /* frees keys, not values */
void map_clear(struct map *m);
void *map_get(const struct map *m, const char *key);
void *map_getn(const struct map *m, const void *key, size_t n);
/* Replaces; *ret_old (may be NULL) gets the value that was there. false when memory is out. */
bool map_set(struct map *m, const char *key, void *value);
bool map_setn(struct map *m, const void *key, size_t n, void *value, void **ret_old);
/* Gives the value that was there, or NULL. */
void *map_remove(struct map *m, const char *key);
void *map_removen(struct map *m, const void *key, size_t n);

#define MAP_EACH(m, e)                                                                             \
    for (struct map_entry *e = (m)->entries; e && e < (m)->entries + (m)->used; e++)               \
        if (e->key)

#endif
