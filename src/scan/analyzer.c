#include "scan/analyzer.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "codec/findings.h"
#include "codec/utf8.h"
#include "scan/flow.h"
#include "scan/secret_hide.h"
#include "scan/suppress.h"

#include <stdio.h>
#include <string.h>

#define ARENA_MAX ((size_t)768 << 20)
#define SNIPPET_MAX 240
#define HITS_MAX 20000
#define LINE_RULE_MAX 4000 /* bytes of a line that line rules look at */

struct hit {
    const struct rule *rule;
    uint32_t line, start, end, source_line;
    const struct node *node, *func;
    enum confidence confidence;
};

struct analysis {
    struct rules *rules;
    const struct analyzer_options *options;
    enum lang lang;
    const char *path, *text;
    size_t len;
    struct syntax *sx; /* NULL: line rules only */
    struct lex lines;  /* for texts without a parser */
    VEC(struct hit) hits;
    struct secret_hide *secrets; /* of the text; for what is shown of it */
    bool nomem, test_code;
};

static bool has_any(const char *text, size_t len, const char *const *list)
{
    for (; *list; list++)
        if (memmem(text, len, *list, strlen(*list)))
            return true;
    return false;
}

/* Code of a test: it lies where tests lie and uses what only tests use. Either alone is not enough: a program may be called
 * "test", and a fixture may be a program. */
static bool is_test_code(const char *path, const char *text, size_t len)
{
    static const char *const folders[] = {"/test/", "/tests/", "/spec/", "/specs/", "/__tests__/", "/e2e/", "/test_", "_test.",
                                          "_spec.", ".test.", ".spec.", "Test.java", "Tests.java", "Test.php", NULL};
    static const char *const frameworks[] = {
        "import pytest", "import unittest", "from unittest", "@pytest.", "def test_", "describe(", "*testing.T)", "*testing.B)",
        "org.junit", "org.testng", "RSpec.describe", "spec_helper", "test_helper", "Minitest::", "Test::Unit", "PHPUnit\\",
        "from 'vitest'", "require('node:test')", NULL};
    char whole[1024];
    int n = snprintf(whole, sizeof whole, "/%s", path);
    return n > 0 && (size_t)n < sizeof whole && has_any(whole, (size_t)n, folders) && has_any(text, len, frameworks);
}

static bool wanted(const struct analysis *a, const struct rule *r)
{
    const char *g = r->group ? r->group : "dangerous";
    if (a->options->no_secrets && strcmp(g, "secrets") == 0)
        return false;
    if (a->options->no_sql && strcmp(g, "sql") == 0)
        return false;
    if (a->options->no_dangerous_functions && strcmp(g, "dangerous") == 0)
        return false;
    return !r->path || regex_matches(r->path, a->path, strlen(a->path));
}

static void add_hit(struct analysis *a, struct hit h)
{
    if (!wanted(a, h.rule) || a->hits.len >= HITS_MAX)
        return;
    VEC_EACH(&a->hits, o) { /* flow may come by several times */
        if (o->rule == h.rule && o->line == h.line) {
            if (h.confidence > o->confidence)
                *o = h;
            return;
        }
    }
    if (!VEC_PUSH(&a->hits, h))
        a->nomem = true;
}

static void on_flow(const struct flow_hit *f, void *arg)
{
    struct analysis *a = arg;
    const struct lex *lx = &a->sx->lex;
    uint32_t last = f->node->tok_end > f->node->tok ? f->node->tok_end - 1 : f->node->tok;
    struct hit h = {.rule = f->rule, .line = f->line, .start = lx->tokens.v[f->node->tok].start, .end = lx->tokens.v[last].end,
                    .source_line = f->source_line, .node = f->node, .func = f->func, .confidence = f->confidence};
    add_hit(a, h);
}

static bool in_comment(const struct lex *lx, uint32_t at)
{
    size_t lo = 0, hi = lx->comments.len;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (lx->comments.v[mid].end <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < lx->comments.len && lx->comments.v[lo].start <= at;
}

/* Python: a text that is a statement of its own. */
static bool in_docstring(const struct analysis *a, const struct lex *lx, uint32_t at)
{
    if (a->lang != LANG_PYTHON || !lx->tokens.len)
        return false;
    size_t lo = 0, hi = lx->tokens.len; /* the last token that starts at or before */
    while (lo + 1 < hi) {
        size_t mid = (lo + hi) / 2;
        if (lx->tokens.v[mid].start <= at)
            lo = mid;
        else
            hi = mid;
    }
    const struct token *t = &lx->tokens.v[lo];
    if (t->kind != TOK_STRING || t->start > at || t->end <= at)
        return false;
    int before = lo ? lx->tokens.v[lo - 1].kind : TOK_NEWLINE;
    return before == TOK_NEWLINE || before == TOK_INDENT || before == TOK_DEDENT;
}

static void line_rules(struct analysis *a, const struct lang_rules *t, const struct lex *lx)
{
    for (size_t i = 0; i < lx->lines.len && t->lines.len; i++) {
        uint32_t from = lx->lines.v[i], to = i + 1 < lx->lines.len ? lx->lines.v[i + 1] - 1 : (uint32_t)a->len;
        uint32_t s = from;
        while (s < to && (a->text[s] == ' ' || a->text[s] == '\t'))
            s++;
        size_t n = to - s < LINE_RULE_MAX ? to - s : LINE_RULE_MAX;
        if (!n || in_comment(lx, s) || in_docstring(a, lx, s))
            continue;
        for (size_t k = 0; k < t->lines.len; k++) {
            const struct rule *r = t->lines.v[k];
            if (!regex_matches(r->regex, a->text + s, n) || (r->regex_unless && regex_matches(r->regex_unless, a->text + s, n)))
                continue;
            struct hit h = {.rule = r, .line = (uint32_t)i + 1, .start = s, .end = to, .confidence = r->confidence};
            add_hit(a, h);
        }
    }
}

static int compare(const void *x, const void *y)
{
    const struct hit *a = x, *b = y;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    int c = strcmp(a->rule->category, b->rule->category);
    if (c)
        return c;
    if (a->confidence != b->confidence)
        return a->confidence > b->confidence ? -1 : 1;
    if (a->rule->severity != b->rule->severity)
        return a->rule->severity > b->rule->severity ? -1 : 1;
    return strcmp(a->rule->id, b->rule->id);
}

static void line_at(const struct analysis *a, const struct lex *lx, uint32_t line, const char **ret, size_t *ret_len)
{
    if (line < 1 || line > lx->lines.len) {
        *ret = "";
        *ret_len = 0;
        return;
    }
    uint32_t from = lx->lines.v[line - 1], to = line < lx->lines.len ? lx->lines.v[line] - 1 : (uint32_t)a->len;
    *ret = a->text + from;
    *ret_len = to > from ? to - from : 0;
}

static bool suppressed(const struct analysis *a, const struct lex *lx, const struct hit *h, char **ret_reason)
{
    const char *s;
    size_t n;
    line_at(a, lx, h->line, &s, &n);
    if (suppress_in_line(s, n, h->rule->id, false, ret_reason))
        return true;
    line_at(a, lx, h->line - 1, &s, &n);
    return h->line > 1 && suppress_in_line(s, n, h->rule->id, true, ret_reason);
}

/* What a report shows of the line; the inside of literals is hidden where it may be a credential. */
static void snippet(const struct analysis *a, const struct lex *lx, const struct hit *h, struct strbuf *out)
{
    const char *s;
    size_t n;
    line_at(a, lx, h->line, &s, &n);
    while (n && (*s == ' ' || *s == '\t'))
        s++, n--;
    while (n && (s[n - 1] == '\r' || s[n - 1] == ' '))
        n--;
    if (!h->rule->group || strcmp(h->rule->group, "secrets") != 0) {
        secret_hide_append(a->secrets, out, s, n, SNIPPET_MAX);
        return;
    }
    n = utf8_cut(s, n, SNIPPET_MAX);
    char quote = 0;
    size_t inside = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (!quote && (c == '"' || c == '\'' || c == '`')) {
            quote = c;
            inside = 0;
        } else if (quote && c == quote) {
            quote = 0;
        } else if (quote && ++inside > 2) {
            if (inside == 3)
                strbuf_puts(out, "***");
            continue;
        }
        if ((unsigned char)c < 0x80)
            strbuf_putc(out, c);
    }
}

static void add_tokens(struct strbuf *out, const struct lex *lx, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to && i < lx->tokens.len && out->len < 8192; i++) {
        const struct token *t = &lx->tokens.v[i];
        if (t->kind == TOK_NEWLINE || t->kind == TOK_INDENT || t->kind == TOK_DEDENT)
            continue;
        strbuf_append(out, lx->text + t->start, t->end - t->start);
        strbuf_putc(out, ' ');
    }
}

/* What the fingerprint goes by: the tokens of the place and of the head of its function. */
static void context(const struct analysis *a, const struct lex *lx, const struct hit *h, struct strbuf *out)
{
    if (!h->node) {
        strbuf_append(out, a->text + h->start, h->end - h->start);
        return;
    }
    add_tokens(out, lx, h->node->tok, h->node->tok_end);
    strbuf_putc(out, '\n');
    if (h->func && h->func->sym) {
        strbuf_puts(out, symtab_name(&a->sx->syms, h->func->sym));
        for (const struct node *p = h->func->list; p; p = p->next)
            strbuf_printf(out, " %s", symtab_name(&a->sx->syms, p->sym));
    }
}

static int emit(struct analysis *a, const struct lex *lx, const struct hit *h, analyzer_fn *fn, void *arg,
                struct analyzer_result *ret, struct err *err)
{
    struct strbuf show = STRBUF_INIT_MAX(8192), where = STRBUF_INIT_MAX(65536);
    char *reason = NULL;
    const struct rule *r = h->rule;
    struct finding f = {
        .rule_id = r->id, .title = r->title, .description = r->message, .recommendation = r->recommendation,
        .severity = r->severity, .confidence = h->confidence, .cwe_count = r->cwe_count, .file = (char *)(uintptr_t)a->path,
        .line = (int)h->line, .column = (int)lex_column(lx, h->start),
    };
    memcpy(f.cwe, r->cwe, sizeof f.cwe);
    if (a->test_code) { /* nobody from outside reaches it: told, but not as an alarm */
        f.confidence = CONFIDENCE_LOW;
        f.severity = f.severity > SEVERITY_LOW ? SEVERITY_LOW : f.severity;
    }
    uint32_t end = h->end > h->start ? h->end : h->start;
    f.end_line = (int)lex_line(lx, end ? end - 1 : 0);
    f.end_column = (int)lex_column(lx, end);
    if (f.end_line > f.line + 50) {
        f.end_line = f.line;
        f.end_column = 0;
    }
    snippet(a, lx, h, &show);
    f.snippet = (char *)(uintptr_t)strbuf_str(&show);
    f.suppressed = !a->options->no_inline_suppressions && suppressed(a, lx, h, &reason);
    f.suppression_reason = reason;
    f.metadata = json_pack("{s:s}", "category", r->category);
    if (h->source_line && h->source_line != h->line)
        f.evidence = json_pack("{s:[{s:s,s:i,s:s},{s:s,s:i,s:s}]}", "flow", "file", a->path, "line", (int)h->source_line,
                               "message", "data comes in here", "file", a->path, "line", (int)h->line, "message",
                                       "and arrives here");
    context(a, lx, h, &where);
    int x = finding_set_context(&f, strbuf_str(&where), where.len, err);
    if (x == 0)
        x = fn(&f, arg, err);
    ret->findings++;
    ret->suppressed += f.suppressed;
    json_decref(f.metadata);
    json_decref(f.evidence);
    free(f.context_hash);
    free(reason);
    strbuf_release(&show);
    strbuf_release(&where);
    return x;
}

static int emit_all(struct analysis *a, const struct lex *lx, analyzer_fn *fn, void *arg,
        struct analyzer_result *ret, struct err *err)
{
    if (a->nomem)
        return err_nomem(err);
    if (!a->hits.len)
        return 0;
    qsort(a->hits.v, a->hits.len, sizeof *a->hits.v, compare);
    int r = secret_hide_new(a->path, a->text, a->len, &a->secrets, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < a->hits.len; i++) {
        const struct hit *h = &a->hits.v[i];
        if (i && a->hits.v[i - 1].line == h->line && strcmp(a->hits.v[i - 1].rule->category, h->rule->category) == 0)
            continue;
        int x = emit(a, lx, h, fn, arg, ret, err);
        if (x < 0)
            return x;
    }
    return 0;
}

static bool is_minified(enum lang lang, const char *text, size_t len)
{
    if (len < 20000 || (lang != LANG_JAVASCRIPT && lang != LANG_TYPESCRIPT))
        return false;
    size_t lines = 1;
    for (const char *p = text; (p = memchr(p, '\n', len - (size_t)(p - text))); p++)
        lines++;
    return len / lines > 500;
}

static int run_parsed(struct analysis *a, const struct lang_rules *t, analyzer_fn *fn, void *arg, struct analyzer_result *ret,
                      struct err *err)
{
    struct arena arena;
    struct syntax sx;
    arena_init(&arena, ARENA_MAX);
    int x = syntax_parse(a->text, a->len, a->lang, &arena, &sx, err);
    if (x == 0) {
        bool cut = false;
        a->sx = &sx;
        x = flow_run(&sx, a->lang, t, on_flow, a, &cut, err);
        ret->cut = cut || sx.cut;
        if (x == 0) {
            line_rules(a, t, &sx.lex);
            x = emit_all(a, &sx.lex, fn, arg, ret, err);
        }
        syntax_release(&sx);
    }
    arena_release(&arena);
    return x;
}

static int run_lines(struct analysis *a, const struct lang_rules *t, analyzer_fn *fn, void *arg, struct analyzer_result *ret,
                     struct err *err)
{
    struct lex *lx = &a->lines;
    *lx = (struct lex){.text = a->text, .len = a->len};
    bool ok = VEC_PUSH(&lx->lines, 0);
    for (size_t i = 0; i < a->len && ok; i++)
        if (a->text[i] == '\n')
            ok = VEC_PUSH(&lx->lines, (uint32_t)i + 1);
    int x = ok ? 0 : err_nomem(err);
    if (x == 0) {
        line_rules(a, t, lx);
        x = emit_all(a, lx, fn, arg, ret, err);
    }
    lex_release(lx);
    return x;
}

int analyzer_run(struct rules *rules, const struct analyzer_options *o, enum lang lang, const char *path, const char *text,
                 size_t len, analyzer_fn *fn, void *arg, struct analyzer_result *ret, struct err *err)
{
    static const struct analyzer_options none;
    const struct lang_rules *t;
    *ret = (struct analyzer_result){0};
    if (lang == LANG_NONE)
        return 0;
    if (len > LEXER_TEXT_MAX)
        return err_set(err, ERR_LIMIT, "text of %zu bytes is over %zu", len, LEXER_TEXT_MAX);
    if (is_minified(lang, text, len)) {
        ret->minified = true;
        return 0;
    }
    int x = rules_of(rules, lang, &t, err);
    if (x < 0)
        return x;
    struct analysis a = {.rules = rules, .options = o ? o : &none, .lang = lang, .path = path, .text = text, .len = len,
                         .test_code = is_test_code(path, text, len)};
    x = lang_parsed(lang) ? run_parsed(&a, t, fn, arg, ret, err) : run_lines(&a, t, fn, arg, ret, err);
    VEC_RELEASE(&a.hits);
    secret_hide_free(a.secrets);
    return x;
}

int analyzer_preload(struct err *err)
{
    struct rules *r;
    struct err e = {0}; /* what a pattern that fits only some of its rule's languages is told by: never NULL */
    int x = rules_builtin(&r, &e);
    for (int l = 1; l < LANG_COUNT && x == 0; l++) {
        const struct lang_rules *t;
        x = rules_of(r, (enum lang)l, &t, &e);
    }
    return x < 0 ? err_copy(err, &e) : 0;
}
