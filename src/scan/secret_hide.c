#include "scan/secret_hide.h"

#include "base/mem.h"
#include "base/vec.h"
#include "codec/utf8.h"
#include "scan/secret_scan.h"
#include "scan/secret_value.h"

#include <string.h>

#define VALUE_MIN 6 /* bytes: what is shorter stands in other words too */

struct value {
    char *s;
    size_t len;
};

struct secret_hide {
    VEC(struct value) values;
};

static int add(struct secret_hide *h, const char *s, size_t n, struct err *err)
{
    while (n && (s[n - 1] == '\r' || s[n - 1] == ' '))
        n--;
    if (n < VALUE_MIN)
        return 0;
    VEC_EACH(&h->values, v)
        if (v->len == n && memcmp(v->s, s, n) == 0)
            return 0;
    struct value v = {mem_dup(s, n), n};
    if (v.s && VEC_PUSH(&h->values, v))
        return 0;
    free(v.s);
    return err_nomem(err);
}

/* Line by line, as it is shown: a key may have several. */
static int on_hit(const struct secret_hit *hit, void *arg, struct err *err)
{
    const char *p = hit->secret, *end = p + hit->secret_len;
    for (const char *nl; (nl = memchr(p, '\n', (size_t)(end - p))); p = nl + 1) {
        int r = add(arg, p, (size_t)(nl - p), err);
        if (r < 0)
            return r;
    }
    return add(arg, p, (size_t)(end - p), err);
}

int secret_hide_new(const char *path, const char *text, size_t len, struct secret_hide **ret, struct err *err)
{
    struct secret_rules *rules;
    struct secret_scan *scan = NULL;
    struct secret_hide *h = mem_zalloc(sizeof *h);
    size_t more;
    if (!h)
        return err_nomem(err);
    int r = secret_rules_shared(&rules, err);
    if (r == 0)
        r = secret_scan_new(rules, on_hit, h, &scan, err);
    if (r == 0)
        r = secret_scan_begin(scan, path, err);
    if (r == 0)
        r = secret_scan_feed(scan, text, len, err);
    if (r == 0)
        r = secret_scan_end(scan, &more, err);
    secret_scan_free(scan);
    if (r == 0)
        *ret = h;
    else
        secret_hide_free(h);
    return r;
}

void secret_hide_free(struct secret_hide *h)
{
    if (!h)
        return;
    VEC_EACH(&h->values, v)
        free(v->s);
    VEC_RELEASE(&h->values);
    free(h);
}

/* The first secret that begins before limit, of those the longest; NULL: none. */
static const char *first(const struct secret_hide *h, const char *s, const char *limit, const char *end, size_t *ret_len)
{
    const char *at = NULL;
    VEC_EACH(&h->values, v) {
        const char *p = memmem(s, (size_t)(end - s), v->s, v->len);
        if (p && p < limit && (!at || p < at || (p == at && v->len > *ret_len))) {
            at = p;
            *ret_len = v->len;
        }
    }
    return at;
}

void secret_hide_append(const struct secret_hide *h, struct strbuf *out, const char *line, size_t len, size_t max)
{
    const char *s = line, *end = line + len, *limit = line + utf8_cut(line, len, max), *at;
    size_t n = 0;
    for (; s < limit && (at = first(h, s, limit, end, &n)); s = at + n) {
        utf8_append_clean(out, s, (size_t)(at - s));
        secret_redact(out, at, n);
    }
    if (s < limit)
        utf8_append_clean(out, s, (size_t)(limit - s));
}
