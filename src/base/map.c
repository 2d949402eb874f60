#include "base/map.h"

#include "base/assert.h"
#include "base/mem.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    if (getrandom(seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed[0] = 0x9e3779b97f4a7c15u;
}

static uint64_t rotl(uint64_t x, int b)
{
    return (x << b) | (x >> (64 - b));
}

#define SIPROUND                                                                                   \
    do {                                                                                           \
        v0 += v1; v1 = rotl(v1, 13); v1 ^= v0; v0 = rotl(v0, 32);                                  \
        v2 += v3; v3 = rotl(v3, 16); v3 ^= v2;                                                     \
        v0 += v3; v3 = rotl(v3, 21); v3 ^= v0;                                                     \
        v2 += v1; v1 = rotl(v1, 17); v1 ^= v2; v2 = rotl(v2, 32);                                  \
    } while (0)

/* SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012). */
static uint64_t hash_bytes(const unsigned char *p, size_t n)
{
    pthread_once(&seed_once, make_seed);
    uint64_t v0 = seed[0] ^ 0x736f6d6570736575u, v1 = seed[1] ^ 0x646f72616e646f6du;
    uint64_t v2 = seed[0] ^ 0x6c7967656e657261u, v3 = seed[1] ^ 0x7465646279746573u;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t m;
        memcpy(&m, p + i, 8);
        v3 ^= m;
        SIPROUND;
        v0 ^= m;
    }
    uint64_t last = (uint64_t)n << 56;
    for (size_t j = 0; i + j < n; j++)
        last |= (uint64_t)p[i + j] << (8 * j);
    v3 ^= last;
    SIPROUND;
    v0 ^= last;
    v2 ^= 0xff;
    SIPROUND;
    SIPROUND;
    SIPROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}

void map_clear(struct map *m)
{
    for (size_t i = 0; i < m->used; i++)
        free(m->entries[i].key);
    m->used = m->len = 0;
    if (m->slots)
        memset(m->slots, 0, m->slots_cap * sizeof *m->slots);
}

void map_release(struct map *m)
{
    map_clear(m);
    free(m->entries);
    free(m->slots);
    *m = (struct map){0};
}

/* The slot that holds the key, or the empty one where it would go. */
static size_t find_slot(const struct map *m, const void *key, size_t n, uint64_t h)
{
    size_t mask = m->slots_cap - 1, i = (size_t)h & mask;
    while (m->slots[i]) {
        const struct map_entry *e = &m->entries[m->slots[i] - 1];
        if (e->key && e->hash == h && e->key_len == n && memcmp(e->key, key, n) == 0)
            return i;
        i = (i + 1) & mask;
    }
    return i;
}

static bool rebuild(struct map *m, size_t slots_cap)
{
    uint32_t *slots = mem_calloc(slots_cap, sizeof *slots);
    struct map_entry *entries = mem_calloc(slots_cap / 2, sizeof *entries);
    if (!slots || !entries) {
        free(slots);
        free(entries);
        return false;
    }
    size_t used = 0;
    for (size_t i = 0; i < m->used; i++)
        if (m->entries[i].key)
            entries[used++] = m->entries[i];
    free(m->entries);
    free(m->slots);
    m->entries = entries;
    m->slots = slots;
    m->used = used;
    m->entries_cap = slots_cap / 2;
    m->slots_cap = slots_cap;
    for (size_t i = 0; i < used; i++)
        m->slots[find_slot(m, entries[i].key, entries[i].key_len, entries[i].hash)] =
            (uint32_t)i + 1;
    return true;
}

void *map_getn(const struct map *m, const void *key, size_t n)
{
    if (!m->len)
        return NULL;
    uint32_t s = m->slots[find_slot(m, key, n, hash_bytes(key, n))];
    return s ? m->entries[s - 1].value : NULL;
}

void *map_get(const struct map *m, const char *key)
{
    return map_getn(m, key, strlen(key));
}

bool map_setn(struct map *m, const void *key, size_t n, void *value, void **ret_old)
{
    if (ret_old)
        *ret_old = NULL;
    uint64_t h = hash_bytes(key, n);
    if (m->slots_cap) {
        uint32_t s = m->slots[find_slot(m, key, n, h)];
        if (s) {
            if (ret_old)
                *ret_old = m->entries[s - 1].value;
            m->entries[s - 1].value = value;
            return true;
        }
    }
    if (m->used == m->entries_cap) {
        size_t want = m->slots_cap ? m->slots_cap : 16;
        if (m->slots_cap && m->len * 4 > m->slots_cap)
            want *= 2;
        ASSERT(want < UINT32_MAX);
        if (!rebuild(m, want))
            return false;
    }
    char *copy = mem_alloc(n + 1);
    if (!copy)
        return false;
    memcpy(copy, key, n);
    copy[n] = 0;
    m->entries[m->used] = (struct map_entry){.key = copy, .key_len = n, .hash = h, .value = value};
    m->slots[find_slot(m, key, n, h)] = (uint32_t)++m->used;
    m->len++;
    return true;
}

bool map_set(struct map *m, const char *key, void *value)
{
    return map_setn(m, key, strlen(key), value, NULL);
}

void *map_removen(struct map *m, const void *key, size_t n)
{
    if (!m->len)
        return NULL;
    uint32_t s = m->slots[find_slot(m, key, n, hash_bytes(key, n))];
    if (!s)
        return NULL;
    struct map_entry *e = &m->entries[s - 1]; /* its slot stays: probing goes on past it */
    free(e->key);
    e->key = NULL;
    m->len--;
    return e->value;
}

void *map_remove(struct map *m, const char *key)
{
    return map_removen(m, key, strlen(key));
}
