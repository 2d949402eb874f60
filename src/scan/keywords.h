/* Finding many words at once, letters of either case: the automaton of Aho and Corasick ("Efficient string matching",
 * 1975) as a full transition table over the few classes of bytes that the words use. */
#ifndef FF_SCAN_KEYWORDS_H
#define FF_SCAN_KEYWORDS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct keywords;

#define KEYWORDS_MAX 4000
#define KEYWORDS_BYTES_MAX 60000 /* of all words together */

/* words: n of them, none empty; copied as far as needed. The same word twice is fine. */
int keywords_new(const char *const *words, size_t n, struct keywords **ret, struct err *err);
void keywords_free(struct keywords *k); /* NULL is fine */

/* Where a search stands between two pieces of a text; zero at its start. */
struct keywords_state {
    uint32_t node;
};

/* Calls found(index of the word, offset behind its last byte, arg) for each occurrence, by its end. Offsets count
 * from the start of this piece. A negative return ends the search and is returned. */
int keywords_search(const struct keywords *k, struct keywords_state *st, const void *text, size_t len,
                    int (*found)(size_t word, size_t end, void *arg), void *arg);

#endif
