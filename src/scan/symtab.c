#include "scan/symtab.h"

#include "base/mem.h"

#include <pthread.h>
#include <string.h>
#include <xxhash.h>

#define WORD_SLOTS 1024 /* of the shared words; a power of two, well over their number */
#define SLOTS_FIRST 32
#define NAMES_FIRST 16

static const struct word {
    const char *text;
    uint32_t len;
} words[] = {
    {"", 0},
#define X(w) {#w, sizeof #w - 1},
    SCAN_KEYWORDS(X)
#undef X
};

static uint16_t word_slots[WORD_SLOTS];
static pthread_once_t words_once = PTHREAD_ONCE_INIT;

static uint32_t hash(const char *s, size_t n)
{
    return (uint32_t)XXH3_64bits(s, n);
}

static void place_words(void)
{
    for (uint32_t i = 1; i < KW_COUNT; i++) {
        uint32_t at = hash(words[i].text, words[i].len) & (WORD_SLOTS - 1);
        while (word_slots[at])
            at = (at + 1) & (WORD_SLOTS - 1);
        word_slots[at] = (uint16_t)i;
    }
}

/* The number of a shared word; 0: it is none. */
static uint32_t find_word(uint32_t h, const char *s, size_t n)
{
    for (uint32_t at = h & (WORD_SLOTS - 1), i; (i = word_slots[at]); at = (at + 1) & (WORD_SLOTS - 1))
        if (words[i].len == n && memcmp(words[i].text, s, n) == 0)
            return i;
    return 0;
}

/* Where the name is, or would be. */
static uint32_t find(const struct symtab *t, uint32_t h, const char *s, size_t n)
{
    uint32_t at = h & (t->slots_cap - 1);
    for (uint32_t sym; (sym = t->slots[at]); at = (at + 1) & (t->slots_cap - 1))
        if (t->lens[sym - KW_COUNT] == n && memcmp(t->names[sym - KW_COUNT], s, n) == 0)
            break;
    return at;
}

static bool grow_slots(struct symtab *t)
{
    uint32_t cap = t->slots_cap ? t->slots_cap * 2 : SLOTS_FIRST;
    uint32_t *slots = mem_calloc(cap, sizeof *slots);
    if (!slots)
        return false;
    for (uint32_t sym = KW_COUNT; sym < t->count; sym++) {
        uint32_t at = hash(t->names[sym - KW_COUNT], t->lens[sym - KW_COUNT]) & (cap - 1);
        while (slots[at])
            at = (at + 1) & (cap - 1);
        slots[at] = sym;
    }
    free(t->slots);
    t->slots = slots;
    t->slots_cap = cap;
    return true;
}

static bool grow_names(struct symtab *t)
{
    uint32_t cap = t->names_cap ? t->names_cap * 2 : NAMES_FIRST;
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

void symtab_init(struct symtab *t, struct arena *arena)
{
    pthread_once(&words_once, place_words);
    *t = (struct symtab){.arena = arena, .count = KW_COUNT};
}

void symtab_release(struct symtab *t)
{
    free(t->slots);
    free(t->names);
    free(t->lens);
    *t = (struct symtab){0};
}

/* Makes room for one more, half of the slots staying free. */
static bool reserve(struct symtab *t)
{
    uint32_t own = t->count - KW_COUNT;
    return (own * 2 < t->slots_cap || grow_slots(t)) && (own < t->names_cap || grow_names(t));
}

uint32_t symtab_intern(struct symtab *t, const char *s, size_t n)
{
    uint32_t h = hash(s, n), word = find_word(h, s, n);
    if (word)
        return word;
    if (t->slots_cap) {
        uint32_t sym = t->slots[find(t, h, s, n)];
        if (sym)
            return sym;
    }
    char *copy = reserve(t) ? arena_strndup(t->arena, s, n) : NULL;
    if (!copy) {
        t->failed = true;
        return 0;
    }
    t->names[t->count - KW_COUNT] = copy;
    t->lens[t->count - KW_COUNT] = (uint32_t)n;
    t->slots[find(t, h, s, n)] = t->count;
    return t->count++;
}

const char *symtab_name(const struct symtab *t, uint32_t sym)
{
    if (sym < KW_COUNT)
        return words[sym].text;
    return sym < t->count ? t->names[sym - KW_COUNT] : "";
}
