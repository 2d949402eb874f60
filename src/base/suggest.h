/* "Did you mean": the name nearest to a mistyped one. */
#ifndef FF_BASE_SUGGEST_H
#define FF_BASE_SUGGEST_H

#include <stddef.h>

/* Remembers the best candidate seen so far. */
struct suggest {
    const char *word;
    const char *best; /* NULL when nothing is near enough; borrowed */
    size_t best_cost;
};

void suggest_init(struct suggest *s, const char *word);
void suggest_offer(struct suggest *s, const char *candidate);

#endif
