/* Event id -> pending future: open addressing, linear probing. */
#include "workflow/workflow_internal.h"

#include "base/mem.h"

static size_t slot_of(const struct event_map *m, int64_t key)
{
    size_t i = (size_t)((uint64_t)key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (m->cap - 1);
    while (m->keys[i] && m->keys[i] != key)
        i = (i + 1) & (m->cap - 1);
    return i;
}

static bool event_map_grow(struct event_map *m)
{
    struct event_map n = {.cap = m->cap ? m->cap * 2 : 16};
    n.keys = mem_calloc(n.cap, sizeof *n.keys);
    n.values = mem_calloc(n.cap, sizeof *n.values);
    if (!n.keys || !n.values) {
        free(n.keys);
        free(n.values);
        return false;
    }
    for (size_t i = 0; i < m->cap; i++)
        if (m->keys[i])
            event_map_set(&n, m->keys[i], m->values[i]);
    free(m->keys);
    free(m->values);
    *m = n;
    return true;
}

bool event_map_set(struct event_map *m, int64_t key, struct future *f)
{
    if (2 * (m->len + 1) > m->cap && !event_map_grow(m))
        return false;
    size_t i = slot_of(m, key);
    m->len += m->keys[i] == 0;
    m->keys[i] = key;
    m->values[i] = f;
    return true;
}

struct future *event_map_get(const struct event_map *m, int64_t key)
{
    if (!m->cap || key <= 0)
        return NULL;
    size_t i = slot_of(m, key);
    return m->keys[i] ? m->values[i] : NULL;
}

struct future *event_map_take(struct event_map *m, int64_t key)
{
    struct future *f = event_map_get(m, key);
    if (!f)
        return NULL;
    size_t i = slot_of(m, key);
    m->keys[i] = 0;
    m->len--;
    for (size_t k = (i + 1) & (m->cap - 1); m->keys[k]; k = (k + 1) & (m->cap - 1)) { /* close the gap */
        int64_t moved = m->keys[k];
        struct future *v = m->values[k];
        m->keys[k] = 0;
        size_t at = slot_of(m, moved);
        m->keys[at] = moved;
        m->values[at] = v;
    }
    return f;
}
