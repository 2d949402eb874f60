#include "scan/secret_hide.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "codec/utf8.h"
#include "scan/secret_scan.h"
#include "scan/secret_value.h"

#include <pthread.h>
#include <string.h>

#define TEXT_MAX ((size_t)1 << 20)
#define DEPTH_MAX 16 /* of a document; what lies deeper in what a module says is not looked at by anybody */
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

static int look(struct secret_scan *scan, const char *path, const char *text, size_t len, struct err *err)
{
    size_t more;
    int r = secret_scan_begin(scan, path, err);
    if (r == 0)
        r = secret_scan_feed(scan, text, len, err);
    return r == 0 ? secret_scan_end(scan, &more, err) : r;
}

int secret_hide_new(const char *path, const char *text, size_t len, struct secret_hide **ret, struct err *err)
{
    struct secret_rules *rules;
    struct secret_scan *scan = NULL;
    struct secret_hide *h = mem_zalloc(sizeof *h);
    if (!h)
        return err_nomem(err);
    int r = secret_rules_shared(&rules, err);
    if (r == 0)
        r = secret_scan_new(rules, on_hit, h, &scan, err);
    if (r == 0)
        r = look(scan, path, text, len, err);
    secret_scan_free(scan);
    if (r == 0)
        *ret = h;
    else
        secret_hide_free(h);
    return r;
}

static void forget(struct secret_hide *h)
{
    VEC_EACH(&h->values, v)
        free(v->s);
    VEC_CLEAR(&h->values);
}

void secret_hide_free(struct secret_hide *h)
{
    if (!h)
        return;
    forget(h);
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

/* --- what modules say ------------------------------------------------------------------------------------------------ */

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static struct secret_hide shared_hide; /* of the text at hand; under shared_lock, as what follows */
static struct secret_scan *shared_scan;

static int hide_text(json_t *text, struct err *err)
{
    const char *s = json_string_value(text), *end = s + json_string_length(text), *at;
    struct strbuf out = STRBUF_INIT_MAX(TEXT_MAX);
    size_t n = 0;
    int r = look(shared_scan, "", s, (size_t)(end - s), err);
    if (r < 0 || !shared_hide.values.len)
        return r;
    for (; (at = first(&shared_hide, s, end, end, &n)); s = at + n) {
        strbuf_append(&out, s, (size_t)(at - s));
        secret_redact(&out, at, n);
    }
    strbuf_append(&out, s, (size_t)(end - s));
    forget(&shared_hide);
    r = strbuf_check(&out, err);
    if (r == 0 && json_string_setn(text, strbuf_str(&out), out.len) < 0)
        r = err_nomem(err);
    strbuf_release(&out);
    return r;
}

static bool is_name(const char *key)
{
    static const char *const names[] = {"id", "rule_id", "fingerprint", "context_hash", "file", "module", "ref", "reproducer"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(key, names[i]) == 0)
            return true;
    return false;
}

static int hide_all(json_t *j, int depth, struct err *err)
{
    const char *key;
    size_t i;
    json_t *v;
    int r = 0;
    if (json_is_string(j))
        return hide_text(j, err);
    if (depth == DEPTH_MAX)
        return 0;
    json_array_foreach(j, i, v)
        if (r == 0)
            r = hide_all(v, depth + 1, err);
    json_object_foreach(j, key, v)
        if (r == 0 && !is_name(key))
            r = hide_all(v, depth + 1, err);
    return r;
}

int secret_hide_texts(json_t *said, struct err *err)
{
    struct secret_rules *rules;
    pthread_mutex_lock(&shared_lock);
    int r = secret_rules_shared(&rules, err);
    if (r == 0 && !shared_scan)
        r = secret_scan_new(rules, on_hit, &shared_hide, &shared_scan, err);
    if (r == 0)
        r = hide_all(said, 0, err);
    forget(&shared_hide);
    pthread_mutex_unlock(&shared_lock);
    return r;
}
