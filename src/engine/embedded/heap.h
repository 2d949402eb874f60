/* Timers in memory: a binary heap of intrusive entries, earliest first. Entries belong to the
 * caller. */
#ifndef FF_ENGINE_HEAP_H
#define FF_ENGINE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_entry {
    int64_t due_ns;
    size_t pos; /* index + 1; 0: not in the heap */
};

struct heap {
    struct heap_entry **v;
    size_t len, cap;
};

void heap_release(struct heap *h);
/* Puts it in or moves it. false when memory is out (it is not in the heap then). */
bool heap_set(struct heap *h, struct heap_entry *t, int64_t due_ns);
void heap_remove(struct heap *h, struct heap_entry *t); /* not being in is fine */
static inline struct heap_entry *heap_first(const struct heap *h)
{
    return h->len ? h->v[0] : NULL;
}

#endif
