/* A growing string that knows its maximum.
 *
 * Failure is sticky: after an allocation failed or the maximum was met, further appends do nothing
 * and strbuf_check() tells. So a writer appends freely and checks once. */
#ifndef FF_BASE_STRBUF_H
#define FF_BASE_STRBUF_H

#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct strbuf {
    char *s;    /* always 0-terminated once something was appended; NULL before */
    size_t len; /* without the 0 */
    size_t cap;
    size_t max; /* bytes; an append over it fails */
    bool failed, over;
};

#define STRBUF_MAX_DEFAULT ((size_t)256 << 20)
#define STRBUF_INIT {.max = STRBUF_MAX_DEFAULT}
#define STRBUF_INIT_MAX(n) {.max = (n)}

void strbuf_init(struct strbuf *b, size_t max);
void strbuf_release(struct strbuf *b);
void strbuf_clear(struct strbuf *b); /* keeps the memory, forgets failure */
void strbuf_append(struct strbuf *b, const void *s, size_t n);
void strbuf_puts(struct strbuf *b, const char *s);
void strbuf_putc(struct strbuf *b, char c);
void strbuf_printf(struct strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_vprintf(struct strbuf *b, const char *fmt, va_list ap);
/* Makes room for n more bytes and gives where to write them; strbuf_commit() then counts them. NULL
 * on failure. */
char *strbuf_reserve(struct strbuf *b, size_t n);
void strbuf_commit(struct strbuf *b, size_t n);
/* Drops the first n bytes. */
void strbuf_consume(struct strbuf *b, size_t n);
/* 0, -ERR_LIMIT or -ERR_NO_MEMORY. */
int strbuf_check(const struct strbuf *b, struct err *err);
/* The text, never NULL. Still owned by the buffer. */
const char *strbuf_str(const struct strbuf *b);
/* The text, owned by the caller, who frees it; the buffer is empty afterwards. NULL if it failed. */
char *strbuf_take(struct strbuf *b, size_t *ret_len);

#endif
