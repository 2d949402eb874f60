/* UTF-8 and what is not: text from outside is made fit for JSON, names keep every byte. */
#ifndef FF_CODEC_UTF8_H
#define FF_CODEC_UTF8_H

#include "base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>

/* The length (1 to 4) of the well-formed sequence at s, 0 if there is none (RFC 3629: no surrogates, nothing over
 * U+10FFFF, no overlong form). n bytes may be looked at. */
size_t utf8_sequence(const char *s, size_t n);
bool utf8_valid(const char *s, size_t n);
/* The longest prefix of at most max bytes that does not cut a sequence in two. */
size_t utf8_cut(const char *s, size_t n, size_t max);
/* Appends with each bad byte, and each NUL, replaced by U+FFFD. */
void utf8_append_clean(struct strbuf *b, const char *s, size_t n);
/* Appends a file name: a byte that is no part of UTF-8 becomes %XX, everything else stays as it is. */
void utf8_append_name(struct strbuf *b, const char *s, size_t n);
/* The number of UTF-16 code units of n bytes of text; a bad byte counts as one. */
size_t utf8_utf16_units(const char *s, size_t n);

#endif
