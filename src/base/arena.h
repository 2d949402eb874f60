/* An arena: many small allocations, freed together. For decoded data of one request or task. */
#ifndef FF_BASE_ARENA_H
#define FF_BASE_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used, total, max; /* bytes; an allocation that would bring total over max fails */
};

#define ARENA_INIT_MAX(n) {.max = (n)}

void arena_init(struct arena *a, size_t max);
void arena_release(struct arena *a);
void arena_clear(struct arena *a); /* keeps one block */
/* Aligned for any type, zeroed. NULL when the maximum is met or memory is out. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
