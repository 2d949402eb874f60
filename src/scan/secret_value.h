/* What a value looks like: a secret, or what stands in its place. */
#ifndef FF_SCAN_SECRET_VALUE_H
#define FF_SCAN_SECRET_VALUE_H

#include "base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>

enum secret_look {
    SECRET_LIKELY,
    SECRET_SEQUENCE,   /* holds "1234567890" or the like: made up, perhaps, and perhaps in use all the same */
    SECRET_EXAMPLE,    /* says itself that it is an example */
    SECRET_PLACEHOLDER /* a variable, a mark to be filled in, one character over and over, a word like "password" */
};

/* runs: long runs of one character are no sign. */
enum secret_look secret_look(const char *s, size_t n, bool runs);
/* For a value that only a variable's name makes suspicious: mixed as no word, path or identifier is. */
bool secret_looks_random(const char *s, size_t n);
/* The last six characters of GitHub's and npm's tokens are the CRC-32 of the part behind the mark, in base 62
 * (github.blog, "Behind GitHub's new authentication token formats", 2021). */
bool secret_github_checksum(const char *token, size_t n);
/* Appends what may be shown: the first and the last few characters. */
void secret_redact(struct strbuf *out, const char *s, size_t n);

#endif
