/* The memory of one Lua state: size classes over chunks, a byte limit, and a header with a creation
 * number.
 *
 * Lua tells the allocator the kind of each new object, so objects can be numbered in the order of
 * their creation: what pairs() orders table keys by. No object of ours has a finalizer that owns
 * anything, so a state is thrown away by freeing the chunks. A state takes at most twice its limit
 * from the process: chunks for small blocks as much as the limit, large blocks as much again. */
#include "workflow/workflow_internal.h"

#include "base/mem.h"

#include <string.h>

#define GRAIN 16
#define SMALL_MAX (GRAIN * HEAP_CLASSES)
#define CHUNK_FIRST ((size_t)48 << 10)
#define CHUNK_MAX ((size_t)256 << 10)

struct heap_chunk {
    struct heap_chunk *next;
    size_t size;
};

struct heap_large {
    struct heap_large *prev, *next;
    size_t pad;
    struct heap_header header;
};

static size_t round_up(size_t n)
{
    return (n + sizeof(struct heap_header) + GRAIN - 1) / GRAIN * GRAIN;
}

static bool new_chunk(struct heap *h)
{
    size_t size = h->chunks ? h->chunks->size * 2 : CHUNK_FIRST;
    if (size > CHUNK_MAX)
        size = CHUNK_MAX;
    if (h->chunk_bytes > h->limit) { /* freed blocks of other sizes may fill the chunks: those are bounded too */
        h->over = true;
        return false;
    }
    struct heap_chunk *c = mem_alloc(size);
    if (!c) {
        h->failed = true;
        return false;
    }
    c->next = h->chunks;
    c->size = size;
    h->chunks = c;
    h->chunk_bytes += size;
    h->bump = (char *)c + GRAIN;
    h->bump_end = (char *)c + size;
    return true;
}

static void *small_alloc(struct heap *h, size_t total)
{
    size_t class = total / GRAIN - 1;
    void *p = h->free[class];
    if (p) {
        memcpy(&h->free[class], p, sizeof(void *));
        return p;
    }
    if ((size_t)(h->bump_end - h->bump) < total && !new_chunk(h))
        return NULL;
    p = h->bump;
    h->bump += total;
    return p;
}

static void *large_alloc(struct heap *h, size_t n)
{
    struct heap_large *l = mem_alloc(sizeof *l + n);
    if (!l) {
        h->failed = true;
        return NULL;
    }
    l->prev = NULL;
    l->next = h->large;
    if (h->large)
        h->large->prev = l;
    h->large = l;
    return &l->header;
}

static void block_free(struct heap *h, void *ptr, size_t n)
{
    size_t total = round_up(n);
    struct heap_header *head = heap_header(ptr);
    h->used -= total;
    if (total <= SMALL_MAX) {
        size_t class = total / GRAIN - 1;
        memcpy(head, &h->free[class], sizeof(void *));
        h->free[class] = head;
        return;
    }
    struct heap_large *l = (struct heap_large *)((char *)head - offsetof(struct heap_large, header));
    if (l->prev)
        l->prev->next = l->next;
    else
        h->large = l->next;
    if (l->next)
        l->next->prev = l->prev;
    free(l);
}

/* A large block costs time as well as memory: it is paid for like instructions. */
static bool affordable(struct workflow *w, size_t total)
{
    struct heap *h = &w->heap;
    if (total > h->limit - h->used) {
        h->over = true;
        return false;
    }
    if (total > SMALL_MAX && w->running) {
        w->budget -= (int64_t)(total / 64);
        if (total > 65536 && limits_cpu_ns() > w->deadline_ns)
            w->budget = -1;
        return w->budget >= 0;
    }
    return true;
}

static void *block_alloc(struct workflow *w, size_t n)
{
    struct heap *h = &w->heap;
    if (n > h->limit) {
        h->over = true;
        return NULL;
    }
    size_t total = round_up(n);
    if (!affordable(w, total))
        return NULL;
    struct heap_header *head = total <= SMALL_MAX ? small_alloc(h, total) : large_alloc(h, n);
    if (!head)
        return NULL;
    h->used += total;
    *head = (struct heap_header){0};
    return head + 1;
}

void *heap_realloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
    struct workflow *w = ud;
    if (nsize == 0) {
        if (ptr)
            block_free(&w->heap, ptr, osize);
        return NULL;
    }
    if (!ptr) {
        void *p = block_alloc(w, nsize);
        if (p && osize >= LUA_TTABLE && osize <= LUA_TTHREAD) /* osize tells the kind of a new object */
            heap_header(p)->serial = ++w->heap.serial;
        return p;
    }
    if (round_up(osize) == round_up(nsize) && round_up(nsize) <= SMALL_MAX)
        return ptr;
    void *p = block_alloc(w, nsize);
    if (!p)
        return NULL; /* Lua keeps the old block */
    memcpy(p, ptr, osize < nsize ? osize : nsize);
    *heap_header(p) = *heap_header(ptr);
    block_free(&w->heap, ptr, osize);
    return p;
}

void lua_heap_release(struct heap *h)
{
    while (h->large) {
        struct heap_large *l = h->large;
        h->large = l->next;
        free(l);
    }
    while (h->chunks) {
        struct heap_chunk *c = h->chunks;
        h->chunks = c->next;
        free(c);
    }
    *h = (struct heap){0};
}
