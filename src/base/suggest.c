#include "base/suggest.h"

#include <ctype.h>
#include <string.h>

#define WORD_MAX 64

/* Edits (insert, remove, replace, swap of neighbours) between two words: optimal string alignment. */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t row[3][WORD_MAX + 1];
    for (size_t j = 0; j <= m; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *cur = row[i % 3], *prev = row[(i - 1) % 3], *prev2 = row[(i + 1) % 3];
        cur[0] = i;
        for (size_t j = 1; j <= m; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            size_t d = prev[j - 1] + (ca != cb);
            if (prev[j] + 1 < d)
                d = prev[j] + 1;
            if (cur[j - 1] + 1 < d)
                d = cur[j - 1] + 1;
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                tolower((unsigned char)a[i - 2]) == cb && prev2[j - 2] + 1 < d)
                d = prev2[j - 2] + 1;
            cur[j] = d;
        }
    }
    return row[n % 3][m];
}

void suggest_init(struct suggest *s, const char *word)
{
    *s = (struct suggest){.word = word, .best_cost = (size_t)-1};
}

void suggest_offer(struct suggest *s, const char *candidate)
{
    size_t n = strlen(s->word), m = strlen(candidate);
    if (n == 0 || n > WORD_MAX || m > WORD_MAX)
        return;
    size_t d = distance(s->word, n, candidate, m);
    size_t allowed = n < 4 ? 1 : n / 3 + 1;
    if (d > allowed && n >= 3 && strncmp(candidate, s->word, n) == 0)
        d = allowed; /* a prefix is near enough */
    if (d <= allowed && d < s->best_cost) {
        s->best = candidate;
        s->best_cost = d;
    }
}
