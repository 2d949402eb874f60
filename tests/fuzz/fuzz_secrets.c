/* The search for secrets: nothing that is found stands outside the text or shows in its snippet, and the pieces in which
 * the text comes make no difference. */
#include "fuzz.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "scan/secret_scan.h"

#include <string.h>

struct sum {
    unsigned long hits, check;
    int line;
    const uint8_t *data;
    size_t size;
};

static int on_hit(const struct secret_hit *h, void *arg, struct err *err)
{
    struct sum *s = arg;
    ASSERT(h->line >= s->line && h->column >= 1 && h->end_column >= h->column && h->secret_len > 0);
    ASSERT(memmem(s->data, s->size, h->secret, h->secret_len));
    ASSERT(h->secret_len < 6 || !memmem(h->snippet, strlen(h->snippet), h->secret, h->secret_len));
    s->hits++;
    s->check = s->check * 31 + (unsigned long)h->line * 7 + (unsigned long)h->column + h->secret_len + h->suppressed;
    s->line = h->line;
    return 0;
}

static struct sum run(struct secret_rules *rules, const uint8_t *data, size_t size, size_t piece)
{
    struct sum sum = {.data = data, .size = size};
    struct secret_scan *s = NULL;
    size_t more;
    ASSERT(secret_scan_new(rules, on_hit, &sum, &s, NULL) == 0);
    ASSERT(secret_scan_begin(s, "config.ini", NULL) == 0);
    for (size_t i = 0; i < size; i += piece)
        ASSERT(secret_scan_feed(s, data + i, size - i < piece ? size - i : piece, NULL) == 0);
    ASSERT(secret_scan_end(s, &more, NULL) == 0);
    secret_scan_free(s);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct secret_rules *rules;
    if (!rules)
        ASSERT(secret_rules_builtin(&rules, NULL) == 0);
    struct sum whole = run(rules, data, size, SIZE_MAX), cut = run(rules, data, size, 7);
    ASSERT(whole.hits == cut.hits && whole.check == cut.check);
    return 0;
}
