/* A stream of text: what is appended leaves in pieces, so that a report of any size needs little memory.
 *
 * Failure is sticky as in strbuf: a writer appends freely and out_finish() tells. */
#ifndef FF_CODEC_OUT_H
#define FF_CODEC_OUT_H

#include "base/strbuf.h"

#include <jansson.h>
#include <stdint.h>

struct out {
    /* Takes n bytes. 0 or -ERR_x, after which it is not called again. */
    int (*write)(void *arg, const char *data, size_t n, struct err *err);
    void *arg;
    struct strbuf buf;
    uint64_t bytes; /* appended so far */
    struct err err; /* the first failure */
};

void out_init(struct out *o, int (*write)(void *arg, const char *data, size_t n, struct err *err), void *arg);
/* Everything goes into b, which outlives o. */
void out_init_strbuf(struct out *o, struct strbuf *b);
void out_append(struct out *o, const char *s, size_t n);
void out_puts(struct out *o, const char *s);
void out_printf(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Compact JSON; takes the reference. NULL counts as out of memory. */
void out_json(struct out *o, json_t *j);
bool out_failed(const struct out *o);
/* Remembers a failure that the caller met, and frees nothing. */
void out_fail(struct out *o, const struct err *err);
/* Writes the rest, frees the buffer. 0 or the first failure. */
int out_finish(struct out *o, struct err *err);

#endif
