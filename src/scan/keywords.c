#include "scan/keywords.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

#define NO_WORD UINT32_MAX

struct node_out {
    uint32_t word; /* the last word given that ends here, or NO_WORD */
    uint32_t link; /* the nearest suffix where a word ends; 0: none */
};

struct keywords {
    unsigned char class_of[256]; /* 0: in no word */
    uint32_t classes;
    uint32_t nodes, cap;
    uint32_t *next;              /* nodes x classes */
    struct node_out *out;
    uint32_t *same;              /* a word: an earlier one that is equal, or NO_WORD */
    unsigned char *hit;          /* a node: does any word end here or at its link? */
};

void keywords_free(struct keywords *k)
{
    if (!k)
        return;
    free(k->next);
    free(k->out);
    free(k->same);
    free(k->hit);
    free(k);
}

static void add_word(struct keywords *k, const char *word, uint32_t index)
{
    uint32_t at = 0;
    for (; *word; word++) {
        uint32_t *slot = &k->next[at * k->classes + k->class_of[(unsigned char)*word]];
        if (!*slot) {
            *slot = k->nodes;
            k->out[k->nodes++] = (struct node_out){NO_WORD, 0};
        }
        at = *slot;
    }
    k->same[index] = k->out[at].word;
    k->out[at].word = index;
}

/* Breadth first: where a node has no child for a class, the transition is that of its longest proper suffix. */
static int link_nodes(struct keywords *k, struct err *err)
{
    uint32_t *queue = mem_calloc(k->nodes, sizeof *queue), *suffix = mem_calloc(k->nodes, sizeof *suffix);
    if (!queue || !suffix) {
        free(queue);
        free(suffix);
        return err_nomem(err);
    }
    size_t head = 0, tail = 0;
    for (uint32_t c = 0; c < k->classes; c++)
        if (k->next[c])
            queue[tail++] = k->next[c];
    while (head < tail) {
        uint32_t n = queue[head++], s = suffix[n];
        k->out[n].link = k->out[s].word != NO_WORD ? s : k->out[s].link;
        k->hit[n] = k->out[n].word != NO_WORD || k->out[n].link;
        for (uint32_t c = 0; c < k->classes; c++) {
            uint32_t *child = &k->next[n * k->classes + c];
            if (*child) {
                suffix[*child] = k->next[s * k->classes + c];
                queue[tail++] = *child;
            } else {
                *child = k->next[s * k->classes + c];
            }
        }
    }
    free(queue);
    free(suffix);
    return 0;
}

int keywords_new(const char *const *words, size_t n, struct keywords **ret, struct err *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        if (!*words[i])
            return err_set(err, ERR_INVALID, "an empty keyword");
        bytes += strlen(words[i]);
    }
    if (n > KEYWORDS_MAX || bytes > KEYWORDS_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d keywords or %d bytes of them", KEYWORDS_MAX, KEYWORDS_BYTES_MAX);
    struct keywords *k = mem_zalloc(sizeof *k);
    if (!k)
        return err_nomem(err);
    k->classes = 1;
    for (size_t i = 0; i < n; i++)
        for (const unsigned char *p = (const unsigned char *)words[i]; *p; p++)
            if (!k->class_of[tolower(*p)])
                k->class_of[tolower(*p)] = (unsigned char)k->classes++;
    for (int c = 'A'; c <= 'Z'; c++)
        k->class_of[c] = k->class_of[tolower(c)];
    k->next = mem_calloc((bytes + 1) * k->classes, sizeof *k->next);
    k->out = mem_calloc(bytes + 1, sizeof *k->out);
    k->hit = mem_zalloc(bytes + 1);
    k->same = mem_calloc(n, sizeof *k->same);
    if (!k->next || !k->out || !k->hit || !k->same) {
        keywords_free(k);
        return err_nomem(err);
    }
    k->nodes = 1;
    k->out[0].word = NO_WORD;
    for (size_t i = 0; i < n; i++)
        add_word(k, words[i], (uint32_t)i);
    int r = link_nodes(k, err);
    if (r < 0)
        keywords_free(k);
    else
        *ret = k;
    return r;
}

int keywords_search(const struct keywords *k, struct keywords_state *st, const void *text, size_t len,
                    int (*found)(size_t word, size_t end, void *arg), void *arg)
{
    const unsigned char *p = text;
    uint32_t node = st->node;
    for (size_t i = 0; i < len; i++) {
        node = k->next[node * k->classes + k->class_of[p[i]]];
        if (!k->hit[node])
            continue;
        for (uint32_t n = k->out[node].word != NO_WORD ? node : k->out[node].link; n; n = k->out[n].link) {
            for (uint32_t w = k->out[n].word; w != NO_WORD; w = k->same[w]) {
                int r = found(w, i + 1, arg);
                if (r < 0)
                    return r;
            }
        }
    }
    st->node = node;
    return 0;
}
