#include "base/strbuf.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

void strbuf_init(struct strbuf *b, size_t max)
{
    *b = (struct strbuf){.max = max};
}

void strbuf_release(struct strbuf *b)
{
    free(b->s);
    *b = (struct strbuf){.max = b->max};
}

void strbuf_clear(struct strbuf *b)
{
    b->len = 0;
    b->failed = b->over = false;
    if (b->s)
        b->s[0] = 0;
}

char *strbuf_reserve(struct strbuf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (n > b->max || b->len > b->max - n) {
        b->failed = b->over = true;
        return NULL;
    }
    if (b->len + n + 1 > b->cap) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap < b->len + n + 1)
            cap *= 2;
        char *p = mem_realloc(b->s, cap);
        if (!p) {
            b->failed = true;
            return NULL;
        }
        b->s = p;
        b->cap = cap;
    }
    return b->s + b->len;
}

void strbuf_commit(struct strbuf *b, size_t n)
{
    ASSERT(b->len + n < b->cap);
    b->len += n;
    b->s[b->len] = 0;
}

void strbuf_append(struct strbuf *b, const void *s, size_t n)
{
    char *p = strbuf_reserve(b, n);
    if (p) {
        if (n)
            memcpy(p, s, n);
        strbuf_commit(b, n);
    }
}

void strbuf_puts(struct strbuf *b, const char *s)
{
    strbuf_append(b, s, strlen(s));
}

void strbuf_putc(struct strbuf *b, char c)
{
    strbuf_append(b, &c, 1);
}

void strbuf_vprintf(struct strbuf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    size_t room = b->cap > b->len ? b->cap - b->len : 0;
    int n = vsnprintf(room ? b->s + b->len : NULL, room, fmt, ap);
    ASSERT(n >= 0);
    if ((size_t)n < room && b->len + (size_t)n <= b->max && !b->failed) {
        b->len += (size_t)n;
    } else {
        if (room)
            b->s[b->len] = 0;
        char *p = strbuf_reserve(b, (size_t)n);
        if (p) {
            vsnprintf(p, (size_t)n + 1, fmt, again);
            b->len += (size_t)n;
        }
    }
    va_end(again);
}

void strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    strbuf_vprintf(b, fmt, ap);
    va_end(ap);
}

void strbuf_consume(struct strbuf *b, size_t n)
{
    ASSERT(n <= b->len);
    if (n) {
        memmove(b->s, b->s + n, b->len - n);
        b->len -= n;
        b->s[b->len] = 0;
    }
}

int strbuf_check(const struct strbuf *b, struct err *err)
{
    if (!b->failed)
        return 0;
    return b->over ? err_set(err, ERR_LIMIT, "text over %zu bytes", b->max) : err_nomem(err);
}

const char *strbuf_str(const struct strbuf *b)
{
    return b->s ? b->s : "";
}

char *strbuf_take(struct strbuf *b, size_t *ret_len)
{
    if (!b->failed && !b->s)
        strbuf_append(b, "", 0);
    char *s = b->failed ? NULL : b->s;
    if (!s)
        free(b->s);
    if (ret_len)
        *ret_len = s ? b->len : 0;
    *b = (struct strbuf){.max = b->max};
    return s;
}
