/* Searching one file's bytes for secrets, piece by piece: memory does not depend on the length of the file or of its
 * lines. A secret is reported once a line; a rule that knows the provider beats one that knows a variable's
 * name. */
#ifndef FF_SCAN_SECRET_SCAN_H
#define FF_SCAN_SECRET_SCAN_H

#include "scan/secret_rules.h"

#define SECRET_HITS_MAX 1000 /* a file; more are counted only */

struct secret_hit {
    const struct secret_rule *rule;
    enum severity severity;
    enum confidence confidence;
    int line, column, end_column; /* from 1, columns in UTF-16 units; the end is behind the last character */
    const char *secret;           /* the bytes themselves: for hashing, never to be written */
    size_t secret_len;
    const char *snippet;          /* the secret in it is redacted */
    bool suppressed;
    const char *reason;           /* of an ff:ignore */
};

struct secret_scan;

/* found is called in the order of the text, at the latest in secret_scan_end(). path: raw, relative. */
int secret_scan_new(struct secret_rules *rules, int (*found)(const struct secret_hit *h, void *arg, struct err *err),
                    void *arg, struct secret_scan **ret, struct err *err);
void secret_scan_free(struct secret_scan *s); /* NULL is fine */
int secret_scan_begin(struct secret_scan *s, const char *path, struct err *err);
int secret_scan_feed(struct secret_scan *s, const void *data, size_t len, struct err *err);
/* *ret_more: hits beyond SECRET_HITS_MAX. */
int secret_scan_end(struct secret_scan *s, size_t *ret_more, struct err *err);

#endif
