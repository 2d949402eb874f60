#include "engine/embedded/heap.h"

#include "base/mem.h"

static void place(struct heap *h, size_t i, struct heap_entry *t)
{
    h->v[i] = t;
    t->pos = i + 1;
}

static void up(struct heap *h, size_t i, struct heap_entry *t)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (h->v[parent]->due_ns <= t->due_ns)
            break;
        place(h, i, h->v[parent]);
        i = parent;
    }
    place(h, i, t);
}

static void down(struct heap *h, size_t i, struct heap_entry *t)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->len)
            break;
        if (child + 1 < h->len && h->v[child + 1]->due_ns < h->v[child]->due_ns)
            child++;
        if (h->v[child]->due_ns >= t->due_ns)
            break;
        place(h, i, h->v[child]);
        i = child;
    }
    place(h, i, t);
}

void heap_release(struct heap *h)
{
    free(h->v);
    *h = (struct heap){0};
}

bool heap_set(struct heap *h, struct heap_entry *t, int64_t due_ns)
{
    if (!t->pos) {
        if (h->len == h->cap) {
            size_t cap = h->cap ? h->cap * 2 : 64;
            struct heap_entry **v = mem_realloc(h->v, cap * sizeof *v);
            if (!v)
                return false;
            h->v = v;
            h->cap = cap;
        }
        t->due_ns = due_ns;
        up(h, h->len++, t);
        return true;
    }
    int64_t old = t->due_ns;
    t->due_ns = due_ns;
    if (due_ns < old)
        up(h, t->pos - 1, t);
    else if (due_ns > old)
        down(h, t->pos - 1, t);
    return true;
}

void heap_remove(struct heap *h, struct heap_entry *t)
{
    if (!t->pos)
        return;
    size_t i = t->pos - 1;
    struct heap_entry *last = h->v[--h->len];
    t->pos = 0;
    if (last == t)
        return;
    if (i > 0 && h->v[(i - 1) / 2]->due_ns > last->due_ns)
        up(h, i, last);
    else
        down(h, i, last);
}
