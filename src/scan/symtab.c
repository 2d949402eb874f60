#include "scan/symtab.h"

#include "base/mem.h"

#include <string.h>
#include <xxhash.h>

static const char *const keywords[] = {
    "",
#define X(w) #w,
    SCAN_KEYWORDS(X)
#undef X
};

static bool grow_slots(struct symtab *t, uint32_t cap)
{
    uint32_t *slots = mem_calloc(cap, sizeof *slots);
    if (!slots)
        return false;
    for (uint32_t i = 1; i < t->count; i++) {
        uint32_t at = (uint32_t)XXH3_64bits(t->names[i], t->lens[i]) & (cap - 1);
        while (slots[at])
            at = (at + 1) & (cap - 1);
        slots[at] = i;
    }
    free(t->slots);
    t->slots = slots;
    t->slots_cap = cap;
    return true;
}

static bool grow_names(struct symtab *t)
{
    uint32_t cap = t->names_cap ? t->names_cap * 2 : 512;
    const char **names = mem_realloc(t->names, cap * sizeof *names);
    if (!names)
        return false;
    t->names = names;
    uint32_t *lens = mem_realloc(t->lens, cap * sizeof *lens);
    if (!lens)
        return false;
    t->lens = lens;
    t->names_cap = cap;
    return true;
}

static uint32_t add(struct symtab *t, const char *s, size_t n, uint32_t at)
{
    if (t->count == t->names_cap && !grow_names(t))
        return 0;
    uint32_t sym = t->count++;
    t->names[sym] = s;
    t->lens[sym] = (uint32_t)n;
    t->slots[at] = sym;
    return sym;
}

static uint32_t find(const struct symtab *t, const char *s, size_t n)
{
    uint32_t at = (uint32_t)XXH3_64bits(s, n) & (t->slots_cap - 1);
    while (t->slots[at]) {
        uint32_t i = t->slots[at];
        if (t->lens[i] == n && memcmp(t->names[i], s, n) == 0)
            return at;
        at = (at + 1) & (t->slots_cap - 1);
    }
    return at;
}

bool symtab_init(struct symtab *t, struct arena *arena)
{
    *t = (struct symtab){.arena = arena};
    if (!grow_names(t) || !grow_slots(t, 1024))
        return false;
    t->names[0] = "";
    t->lens[0] = 0;
    t->count = 1;
    for (uint32_t i = 1; i < KW_COUNT; i++)
        if (!add(t, keywords[i], strlen(keywords[i]), find(t, keywords[i], strlen(keywords[i]))))
            return false;
    return true;
}

void symtab_release(struct symtab *t)
{
    free(t->slots);
    free(t->names);
    free(t->lens);
    *t = (struct symtab){0};
}

uint32_t symtab_intern(struct symtab *t, const char *s, size_t n)
{
    uint32_t at = find(t, s, n);
    if (t->slots[at])
        return t->slots[at];
    if (t->count * 2 > t->slots_cap) {
        if (!grow_slots(t, t->slots_cap * 2)) {
            t->failed = true;
            return 0;
        }
        at = find(t, s, n);
    }
    char *copy = arena_strndup(t->arena, s, n);
    uint32_t sym = copy ? add(t, copy, n, at) : 0;
    if (!sym)
        t->failed = true;
    return sym;
}

const char *symtab_name(const struct symtab *t, uint32_t sym)
{
    return sym < t->count ? t->names[sym] : "";
}
