#include "scan/secret_scan.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "codec/utf8.h"
#include "scan/secret_value.h"
#include "scan/suppress.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#define PIECE ((size_t)256 << 10)
/* Kept before the place that the keyword search has reached: what a match may begin in, and the line before. */
#define BEHIND ((size_t)4096)
#define AHEAD ((size_t)SECRET_AFTER_MAX)
#define CAPACITY (PIECE + BEHIND + AHEAD)

struct hit {
    struct secret_hit h;
    uint64_t begin, end; /* of the secret, from the start of the file */
    size_t rule;
    char *secret, *snippet, *reason;
    bool dropped;
};

struct secret_scan {
    struct secret_rules *rules;
    int (*found)(const struct secret_hit *h, void *arg, struct err *err);
    void *arg;
    char *path;
    signed char *fits;  /* a rule: is it for this path? -1: not asked yet */
    uint64_t *from;     /* a rule: from where it may match again, in the file */
    char *buf;
    size_t len;         /* in buf */
    size_t scanned;     /* of buf: how far the keyword search has come */
    uint64_t base;      /* offset of buf[0] in the file */
    int line;           /* of buf[0] */
    uint64_t column;    /* UTF-16 units before buf[0] in its line */
    struct keywords_state state;
    VEC(struct hit) hits;
    size_t reported, more;
    struct err *err;    /* of the call that is going on */
};

static void hits_clear(struct secret_scan *s)
{
    VEC_EACH(&s->hits, h) {
        free(h->secret);
        free(h->snippet);
        free(h->reason);
    }
    VEC_CLEAR(&s->hits);
}

void secret_scan_free(struct secret_scan *s)
{
    if (!s)
        return;
    hits_clear(s);
    VEC_RELEASE(&s->hits);
    free(s->path);
    free(s->fits);
    free(s->from);
    free(s->buf);
    free(s);
}

int secret_scan_new(struct secret_rules *rules, int (*found)(const struct secret_hit *h, void *arg, struct err *err),
                    void *arg, struct secret_scan **ret, struct err *err)
{
    struct secret_scan *s = mem_zalloc(sizeof *s);
    if (!s)
        return err_nomem(err);
    s->rules = rules;
    s->found = found;
    s->arg = arg;
    s->fits = mem_alloc(secret_rules_count(rules));
    s->from = mem_calloc(secret_rules_count(rules), sizeof *s->from);
    s->buf = mem_alloc(CAPACITY);
    if (!s->fits || !s->from || !s->buf) {
        secret_scan_free(s);
        return err_nomem(err);
    }
    *ret = s;
    return 0;
}

int secret_scan_begin(struct secret_scan *s, const char *path, struct err *err)
{
    hits_clear(s);
    free(s->path);
    s->path = mem_strdup(path);
    if (!s->path)
        return err_nomem(err);
    memset(s->fits, -1, secret_rules_count(s->rules));
    memset(s->from, 0, secret_rules_count(s->rules) * sizeof *s->from);
    s->len = s->scanned = s->reported = s->more = 0;
    s->base = s->column = 0;
    s->line = 1;
    s->state = (struct keywords_state){0};
    return 0;
}

static const char *line_start(const struct secret_scan *s, const char *p)
{
    const char *nl = p > s->buf ? memrchr(s->buf, '\n', (size_t)(p - s->buf)) : NULL;
    return nl ? nl + 1 : s->buf;
}

static void place(const struct secret_scan *s, const struct secret_match *m, struct secret_hit *h)
{
    const char *at = s->buf + (m->at_match ? m->begin : m->secret_begin);
    const char *end = s->buf + m->secret_end, *start = line_start(s, at);
    int64_t line = s->line;
    for (const char *p = s->buf; (p = memchr(p, '\n', (size_t)(at - p))); p++)
        line++;
    const char *nl = memchr(at, '\n', (size_t)(end - at));
    if (nl)
        end = nl;
    uint64_t column = (start == s->buf ? s->column : 0) + utf8_utf16_units(start, (size_t)(at - start)) + 1;
    uint64_t end_column = column + utf8_utf16_units(at, (size_t)(end - at));
    h->line = line < INT_MAX ? (int)line : INT_MAX;
    h->column = column < INT_MAX ? (int)column : INT_MAX;
    h->end_column = end_column < INT_MAX ? (int)end_column : INT_MAX;
}

/* What stands before the secret on its line, if it is no more than a name and a sign; the secret redacted. What
 * else the line holds may be another secret, so it is left out. */
static char *make_snippet(const struct secret_scan *s, const struct secret_match *m)
{
    const char *secret = s->buf + m->secret_begin, *start = line_start(s, secret), *p = secret;
    struct strbuf b = STRBUF_INIT_MAX(512);
    if (m->at_match) {
        const char *head = s->buf + m->begin;
        size_t n = 0, most = m->secret_begin - m->begin < 80 ? m->secret_begin - m->begin : 80;
        while (n < most && !strchr("\r\n\\\"'", head[n]))
            n++;
        utf8_append_clean(&b, head, n);
        strbuf_putc(&b, ' ');
    } else {
        while (p > start && secret - p < 80 && strchr("\"'`=:>(, \t", p[-1]))
            p--;
        while (p > start && secret - p < 80 && (isalnum((unsigned char)p[-1]) || strchr("_.-$/", p[-1])))
            p--;
        const char *begin = s->buf + m->begin; /* may lie before: the scheme and user of an address */
        if (begin < p && begin >= start && secret - begin < 80)
            p = begin;
        while (p < secret && isspace((unsigned char)*p))
            p++;
        utf8_append_clean(&b, p, (size_t)(secret - p));
    }
    size_t n = m->secret_end - m->secret_begin;
    if (b.s && memmem(b.s, b.len, secret, n)) /* the name says it, too */
        strbuf_clear(&b);
    secret_redact(&b, secret, n);
    return strbuf_take(&b, NULL);
}

/* Looks for ff:ignore on the line of the finding and on the one before. */
static bool suppressed(const struct secret_scan *s, const struct secret_match *m, const char *rule, char **ret_reason)
{
    const char *at = s->buf + (m->at_match ? m->begin : m->secret_begin), *start = line_start(s, at);
    const char *limit = s->buf + s->len;
    const char *nl = memchr(at, '\n', (size_t)(limit - at));
    if (suppress_in_line(start, (size_t)((nl ? nl : limit) - start), rule, false, ret_reason))
        return true;
    if (start == s->buf)
        return false;
    const char *before = line_start(s, start - 1);
    return suppress_in_line(before, (size_t)(start - 1 - before), rule, true, ret_reason);
}

static int keep(struct secret_scan *s, size_t rule, const struct secret_match *m)
{
    if (s->hits.len + s->reported >= SECRET_HITS_MAX) {
        s->more++;
        return 0;
    }
    const struct secret_rule *r = secret_rules_at(s->rules, rule);
    struct hit h = {.begin = s->base + m->secret_begin, .end = s->base + m->secret_end, .rule = rule};
    h.h = (struct secret_hit){.rule = r, .severity = m->severity, .confidence = m->confidence,
                              .secret_len = m->secret_end - m->secret_begin};
    place(s, m, &h.h);
    h.h.suppressed = suppressed(s, m, secret_rule_id(r), &h.reason);
    h.secret = mem_dup(s->buf + m->secret_begin, h.h.secret_len);
    h.snippet = make_snippet(s, m);
    if (!h.secret || !h.snippet || (h.h.suppressed && !h.reason) || !VEC_PUSH(&s->hits, h)) {
        free(h.secret);
        free(h.snippet);
        free(h.reason);
        return err_nomem(s->err);
    }
    return 0;
}

static int on_keyword(size_t word, size_t end, void *arg)
{
    struct secret_scan *s = arg;
    size_t len, rule = secret_rules_of_keyword(s->rules, word, &len);
    const struct secret_rule *r = secret_rules_at(s->rules, rule);
    end += s->scanned;
    if (s->fits[rule] < 0)
        s->fits[rule] = secret_rule_for_path(r, s->path);
    if (!s->fits[rule] || end < len)
        return 0;
    size_t from = s->from[rule] > s->base ? (size_t)(s->from[rule] - s->base) : 0;
    struct secret_match m;
    int found = secret_rule_try(s->rules, rule, s->buf, s->len, from, end - len, end, &m, s->err);
    if (found <= 0)
        return found;
    s->from[rule] = s->base + m.end;
    return keep(s, rule, &m);
}

static int by_place(const void *pa, const void *pb)
{
    const struct hit *a = pa, *b = pb;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->rule < b->rule ? -1 : a->rule > b->rule;
}

/* Of two that overlap the one whose rule stands first goes on: the general rules are the last. The same secret
 * twice on a line is one finding. */
static void drop_doubles(struct secret_scan *s)
{
    for (size_t i = 0; i < s->hits.len; i++) {
        struct hit *a = &s->hits.v[i];
        for (size_t j = i + 1; j < s->hits.len && !a->dropped; j++) {
            struct hit *b = &s->hits.v[j];
            if (b->begin >= a->end && b->h.line != a->h.line)
                break;
            if (b->dropped)
                continue;
            if (b->begin < a->end)
                (a->rule <= b->rule ? b : a)->dropped = true;
            else if (b->rule == a->rule && b->h.secret_len == a->h.secret_len &&
                     memcmp(a->secret, b->secret, a->h.secret_len) == 0)
                b->dropped = true;
        }
    }
}

/* Gives away the hits that nothing to come can overlap: those that end before limit. */
static int give(struct secret_scan *s, uint64_t limit, struct err *err)
{
    if (!s->hits.len)
        return 0;
    qsort(s->hits.v, s->hits.len, sizeof *s->hits.v, by_place);
    drop_doubles(s);
    size_t n = 0;
    int r = 0;
    for (; r == 0 && n < s->hits.len && s->hits.v[n].end <= limit; n++) {
        struct hit *h = &s->hits.v[n];
        h->h.secret = h->secret;
        h->h.snippet = h->snippet;
        h->h.reason = h->reason;
        if (!h->dropped) {
            s->reported++;
            r = s->found(&h->h, s->arg, err);
        }
        free(h->secret);
        free(h->snippet);
        free(h->reason);
    }
    memmove(s->hits.v, s->hits.v + n, (s->hits.len - n) * sizeof *s->hits.v);
    s->hits.len -= n;
    return r;
}

/* Searches up to AHEAD before the end (to the end, if no more comes), and forgets what is no longer needed. */
static int work(struct secret_scan *s, bool last, struct err *err)
{
    size_t to = last ? s->len : s->len > AHEAD ? s->len - AHEAD : 0;
    if (to <= s->scanned)
        return 0;
    s->err = err;
    int r = keywords_search(secret_rules_keywords(s->rules), &s->state, s->buf + s->scanned, to - s->scanned,
                            on_keyword, s);
    if (r < 0)
        return r;
    s->scanned = to;
    size_t gone = to > BEHIND ? to - BEHIND : 0;
    const char *p = s->buf, *end = s->buf + gone;
    for (const char *nl; (nl = memchr(p, '\n', (size_t)(end - p))); p = nl + 1) {
        s->line += s->line < INT_MAX;
        s->column = 0;
    }
    s->column += utf8_utf16_units(p, (size_t)(end - p));
    memmove(s->buf, s->buf + gone, s->len - gone);
    s->len -= gone;
    s->scanned -= gone;
    s->base += gone;
    /* A match to come begins at most SECRET_BEFORE_MAX before its keyword, so all that ends in the part gone is
     * settled; what begins on the same line later only matters for doubles. */
    return give(s, s->base, err);
}

int secret_scan_feed(struct secret_scan *s, const void *data, size_t len, struct err *err)
{
    const char *p = data;
    while (len) {
        size_t n = CAPACITY - s->len < len ? CAPACITY - s->len : len;
        memcpy(s->buf + s->len, p, n);
        s->len += n;
        p += n;
        len -= n;
        if (s->len == CAPACITY) {
            int r = work(s, false, err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

int secret_scan_end(struct secret_scan *s, size_t *ret_more, struct err *err)
{
    int r = work(s, true, err);
    if (r == 0)
        r = give(s, UINT64_MAX, err);
    *ret_more = s->more;
    return r;
}
