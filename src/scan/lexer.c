#include "scan/lexer_internal.h"

#include "base/assert.h"

#include <string.h>

static const struct lang_lex {
    bool hash_comment, slash_comment, newline_tokens, indent;
    const char *name_extra; /* characters that start or continue a name besides [A-Za-z0-9_] and bytes >= 0x80 */
} defs[LANG_COUNT] = {
    [LANG_PYTHON] = {.hash_comment = true, .newline_tokens = true, .indent = true},
    [LANG_RUBY] = {.hash_comment = true, .newline_tokens = true},
    [LANG_PHP] = {.hash_comment = true, .slash_comment = true},
    [LANG_JAVASCRIPT] = {.slash_comment = true, .name_extra = "$#"},
    [LANG_TYPESCRIPT] = {.slash_comment = true, .name_extra = "$#"},
    [LANG_JAVA] = {.slash_comment = true, .name_extra = "$"},
    [LANG_GO] = {.slash_comment = true},
    [LANG_C] = {.slash_comment = true},
    [LANG_CPP] = {.slash_comment = true},
    [LANG_CSHARP] = {.slash_comment = true},
};

static struct token dummy;

char lex_peek(const struct lexer *lx, size_t ahead)
{
    return lx->i + ahead < lx->n ? lx->s[lx->i + ahead] : 0;
}

bool lex_is_name_start(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

bool lex_is_name(unsigned char c)
{
    return lex_is_name_start(c) || (c >= '0' && c <= '9');
}

uint32_t lex_line(const struct lex *l, uint32_t offset)
{
    size_t lo = 0, hi = l->lines.len;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (l->lines.v[mid] <= offset)
            lo = mid;
        else
            hi = mid;
    }
    return (uint32_t)lo + 1;
}

uint32_t lex_column(const struct lex *l, uint32_t offset)
{
    uint32_t i = l->lines.v[lex_line(l, offset) - 1], col = 1;
    for (; i < offset && i < l->len; i++) {
        unsigned char c = (unsigned char)l->text[i];
        if ((c & 0xc0) != 0x80)
            col += c >= 0xf0 ? 2 : 1;
    }
    return col;
}

/* The line of an offset near the last one asked for: tokens come nearly in order. */
static uint32_t line_near(struct lexer *lx, uint32_t offset)
{
    const struct lex *l = lx->out;
    uint32_t k = lx->line_hint;
    for (int tries = 0; tries < 4; tries++) {
        if (offset < l->lines.v[k])
            break;
        if (k + 1 == l->lines.len || offset < l->lines.v[k + 1])
            return (lx->line_hint = k) + 1;
        k++;
    }
    lx->line_hint = lex_line(l, offset) - 1;
    return lx->line_hint + 1;
}

struct token *lex_emit(struct lexer *lx, enum tok_kind kind, size_t start, size_t end)
{
    struct token t = {.kind = (uint8_t)kind, .start = (uint32_t)start, .end = (uint32_t)end,
                      .a = (uint32_t)start, .b = (uint32_t)end};
    t.line = line_near(lx, t.start);
    if (lx->space)
        t.flags |= TOKF_SPACE;
    if (lx->line_start)
        t.flags |= TOKF_NEWLINE | TOKF_SPACE;
    if (lx->out->tokens.len >= LEXER_TOKENS_MAX) {
        lx->out->cut = true;
        return &dummy;
    }
    if (!VEC_PUSH(&lx->out->tokens, t)) {
        lx->nomem = true;
        return &dummy;
    }
    if (kind != TOK_NEWLINE && kind != TOK_INDENT && kind != TOK_DEDENT) {
        lx->line_start = lx->space = false;
    }
    return &lx->out->tokens.v[lx->out->tokens.len - 1];
}

bool lex_after_value(const struct lexer *lx)
{
    if (!lx->out->tokens.len)
        return false;
    const struct token *t = &lx->out->tokens.v[lx->out->tokens.len - 1];
    switch (t->kind) {
    case TOK_NUMBER: case TOK_STRING: case TOK_STR_CLOSE: case TOK_CHAR: case TOK_REGEX: case TOK_SYMBOL:
        return true;
    case TOK_OP:
        return t->op == OP1(')') || t->op == OP1(']') || (t->op == OP1('}') && lx->lang == LANG_RUBY);
    case TOK_NAME:
        switch (t->sym) {
        case KW_return: case KW_typeof: case KW_case: case KW_in: case KW_of: case KW_if: case KW_and: case KW_or:
        case KW_not: case KW_unless: case KW_while: case KW_until: case KW_when: case KW_then: case KW_else:
        case KW_elsif: case KW_delete: case KW_void: case KW_throw: case KW_new: case KW_await: case KW_yield:
        case KW_default: case KW_print: case KW_do:
            return false;
        default:
            return true;
        }
    default:
        return false;
    }
}

static void add_comment(struct lexer *lx, size_t start, size_t end)
{
    struct comment c = {(uint32_t)start, (uint32_t)end, line_near(lx, (uint32_t)start),
                        line_near(lx, (uint32_t)(end > start ? end - 1 : end))};
    if (!VEC_PUSH(&lx->out->comments, c))
        lx->nomem = true;
    lx->space = true;
}

static size_t line_end(const struct lexer *lx, size_t i)
{
    const char *nl = i < lx->n ? memchr(lx->s + i, '\n', lx->n - i) : NULL;
    return nl ? (size_t)(nl - lx->s) : lx->n;
}

static void line_comment(struct lexer *lx)
{
    size_t start = lx->i, end = line_end(lx, lx->i);
    if (lx->lang == LANG_PHP) { /* ?> ends a comment too */
        const char *close = memmem(lx->s + start, end - start, "?>", 2);
        if (close)
            end = (size_t)(close - lx->s);
    }
    lx->i = end;
    add_comment(lx, start, end);
}

static void block_comment(struct lexer *lx)
{
    size_t start = lx->i;
    const char *close = start + 2 < lx->n ? memmem(lx->s + start + 2, lx->n - start - 2, "*/", 2) : NULL;
    lx->i = close ? (size_t)(close - lx->s) + 2 : lx->n;
    bool multi = memchr(lx->s + start, '\n', lx->i - start) != NULL;
    add_comment(lx, start, lx->i);
    if (multi)
        lx->line_start = true;
}

/* C: a directive. Only "#define NAME value" gives tokens; "#if 0" hides what follows. */
static void preprocessor(struct lexer *lx)
{
    size_t i = lx->i + 1, n = lx->n;
    while (i < n && (lx->s[i] == ' ' || lx->s[i] == '\t'))
        i++;
    size_t word = i;
    while (i < n && lex_is_name((unsigned char)lx->s[i]))
        i++;
    size_t len = i - word;
    if (len == 6 && memcmp(lx->s + word, "define", 6) == 0) {
        while (i < n && (lx->s[i] == ' ' || lx->s[i] == '\t'))
            i++;
        size_t name = i;
        while (i < n && lex_is_name((unsigned char)lx->s[i]))
            i++;
        if (i > name && i < n && (lx->s[i] == ' ' || lx->s[i] == '\t')) {
            struct token *t = lex_emit(lx, TOK_DEFINE, name, i);
            t->sym = symtab_intern(lx->syms, lx->s + name, i - name);
            lx->i = i;
            lx->define = true;
            return;
        }
    }
    bool hide = len == 2 && memcmp(lx->s + word, "if", 2) == 0 && i + 1 < n && lx->s[i] == ' ' && lx->s[i + 1] == '0';
    for (;;) { /* a directive goes on over a backslash at the end of its line */
        size_t e = line_end(lx, i);
        i = e;
        if (e < n && e > 0 && (lx->s[e - 1] == '\\' || (lx->s[e - 1] == '\r' && e > 1 && lx->s[e - 2] == '\\')))
            i = e + 1;
        else
            break;
    }
    if (hide) {
        const char *end = memmem(lx->s + i, n - i, "\n#e", 3);
        i = end ? (size_t)(end - lx->s) : n;
    }
    lx->i = i;
}

static bool comment(struct lexer *lx)
{
    const struct lang_lex *d = &defs[lx->lang];
    char c = lex_peek(lx, 0), c1 = lex_peek(lx, 1);
    if (d->slash_comment && c == '/' && (c1 == '/' || c1 == '*')) {
        if (c1 == '/')
            line_comment(lx);
        else
            block_comment(lx);
        return true;
    }
    if (d->hash_comment && c == '#' && !(lx->lang == LANG_PHP && c1 == '[')) {
        line_comment(lx);
        return true;
    }
    if (c == '#' && lx->line_start && !lx->pattern &&
        (lx->lang == LANG_C || lx->lang == LANG_CPP || lx->lang == LANG_CSHARP)) {
        preprocessor(lx);
        return true;
    }
    if (lx->lang == LANG_RUBY && lx->line_start && c == '=' && lx->n - lx->i > 6 &&
        memcmp(lx->s + lx->i, "=begin", 6) == 0 && (lx->i == 0 || lx->s[lx->i - 1] == '\n')) {
        size_t start = lx->i;
        const char *end = memmem(lx->s + start, lx->n - start, "\n=end", 5);
        lx->i = end ? line_end(lx, (size_t)(end - lx->s) + 1) : lx->n;
        add_comment(lx, start, lx->i);
        return true;
    }
    return false;
}

static bool name_extra(const struct lexer *lx, char c)
{
    const char *x = defs[lx->lang].name_extra;
    return x && c && strchr(x, c);
}

/* $NAME in a pattern. */
static bool metavariable(struct lexer *lx)
{
    size_t i = lx->i + 1;
    if (!lx->pattern || lx->s[lx->i] != '$' || i >= lx->n || lx->s[i] < 'A' || lx->s[i] > 'Z')
        return false;
    while (i < lx->n && ((lx->s[i] >= 'A' && lx->s[i] <= 'Z') || (lx->s[i] >= '0' && lx->s[i] <= '9')))
        i++;
    if (i < lx->n && lex_is_name((unsigned char)lx->s[i]))
        return false;
    struct token *t = lex_emit(lx, TOK_NAME, lx->i, i);
    t->sym = symtab_intern(lx->syms, lx->s + lx->i, i - lx->i);
    t->flags |= TOKF_META;
    lx->i = i;
    return true;
}

static bool name(struct lexer *lx)
{
    size_t start = lx->i, i = start;
    if (metavariable(lx))
        return true;
    char c = lx->s[i];
    if (lx->lang == LANG_PHP && c == '$')
        i++;
    else if (lx->lang == LANG_RUBY && (c == '@' || c == '$'))
        i += lex_peek(lx, 1) == '@' ? 2 : 1;
    else if (lx->lang == LANG_CSHARP && c == '@')
        start = ++i;
    else if (lx->lang == LANG_PHP && c == '\\' && lex_is_name_start((unsigned char)lex_peek(lx, 1)))
        start = ++i;
    bool ok = i < lx->n && (lex_is_name_start((unsigned char)lx->s[i]) || name_extra(lx, lx->s[i]));
    if (!ok)
        return false;
    while (i < lx->n && (lex_is_name((unsigned char)lx->s[i]) || name_extra(lx, lx->s[i]) ||
                         (lx->lang == LANG_PHP && lx->s[i] == '\\' && lx->s[start] != '$' && i + 1 < lx->n &&
                          lex_is_name_start((unsigned char)lx->s[i + 1]))))
        i++;
    if (lx->lang == LANG_RUBY && i < lx->n && (lx->s[i] == '?' || lx->s[i] == '!') &&
        !(i + 1 < lx->n && lx->s[i + 1] == '=' && !(i + 2 < lx->n && lx->s[i + 2] == '=')))
        i++;
    struct token *t = lex_emit(lx, TOK_NAME, start, i);
    t->sym = symtab_intern(lx->syms, lx->s + start, i - start);
    lx->i = i;
    return true;
}

static bool number(struct lexer *lx)
{
    size_t i = lx->i;
    char c = lx->s[i];
    if (!((c >= '0' && c <= '9') || (c == '.' && lex_peek(lx, 1) >= '0' && lex_peek(lx, 1) <= '9')))
        return false;
    while (i < lx->n) {
        c = lx->s[i];
        bool sign = (c == '+' || c == '-') && i > lx->i && (lx->s[i - 1] == 'e' || lx->s[i - 1] == 'E') &&
                    !(lx->s[lx->i] == '0' && lx->i + 1 < lx->n && (lx->s[lx->i + 1] | 32) == 'x');
        bool dot = c == '.' && i + 1 < lx->n && lx->s[i + 1] != '.' && !lex_is_name_start((unsigned char)lx->s[i + 1]);
        bool tick = c == '\'' && (lx->lang == LANG_CPP || lx->lang == LANG_C) && i + 1 < lx->n &&
                    lex_is_name((unsigned char)lx->s[i + 1]);
        if (!(lex_is_name((unsigned char)c) || sign || dot || tick))
            break;
        i++;
    }
    lex_emit(lx, TOK_NUMBER, lx->i, i);
    lx->i = i;
    return true;
}

/* Longest first. */
static const char *const ops[] = {
    ">>>=", "...", "<=>", "===", "!==", "**=", "<<=", ">>=", ">>>", "&&=", "||=", "?" "?=", "?->", "&^=", "//=", "->*",
    "=>", "->", "::", "==", "!=", "<=", ">=", "&&", "||", "?" "?", "?.", "?:", "++", "--", "+=", "-=", "*=", "/=", "%=",
    "&=", "|=", "^=", ".=", "**", "<<", ">>", ":=", "<-", "..", "=~", "!~", "&^", "//", "@=", "&.",
};

static bool op_allowed(enum lang l, const char *op)
{
    if (strcmp(op, "//") == 0 || strcmp(op, "//=") == 0)
        return l == LANG_PYTHON;
    if (strcmp(op, "**") == 0)
        return l != LANG_C && l != LANG_CPP && l != LANG_CSHARP && l != LANG_GO && l != LANG_JAVA;
    if (strcmp(op, "<-") == 0 || strcmp(op, "&^") == 0 || strcmp(op, "&^=") == 0)
        return l == LANG_GO;
    if (strcmp(op, ".=") == 0 || strcmp(op, "?->") == 0)
        return l == LANG_PHP;
    if (strcmp(op, "?:") == 0)
        return l == LANG_PHP;
    if (strcmp(op, "&.") == 0 || strcmp(op, "=~") == 0 || strcmp(op, "!~") == 0)
        return l == LANG_RUBY;
    if (strcmp(op, "?.") == 0)
        return l == LANG_JAVASCRIPT || l == LANG_TYPESCRIPT || l == LANG_CSHARP;
    if (strcmp(op, "..") == 0)
        return l == LANG_RUBY || l == LANG_CSHARP;
    if (strcmp(op, "@=") == 0)
        return l == LANG_PYTHON;
    if (strcmp(op, "->*") == 0)
        return l == LANG_CPP;
    return true;
}

static uint32_t pack(const char *s, size_t n)
{
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint32_t)(unsigned char)s[i] << (8 * i);
    return v;
}

static void op(struct lexer *lx)
{
    size_t len = 1;
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
        size_t n = strlen(ops[k]);
        if (ops[k][0] == lx->s[lx->i] && lx->n - lx->i >= n && memcmp(ops[k], lx->s + lx->i, n) == 0 &&
            op_allowed(lx->lang, ops[k])) {
            len = n;
            break;
        }
    }
    if (len == 2 && lx->s[lx->i] == '?' && lx->s[lx->i + 1] == '.' && lex_peek(lx, 2) >= '0' && lex_peek(lx, 2) <= '9')
        len = 1; /* a ? .5 : b */
    struct token *t = lex_emit(lx, TOK_OP, lx->i, lx->i + len);
    t->op = pack(lx->s + lx->i, len);
    lx->i += len;
    char c = (char)t->op;
    if (len == 1 && (c == '(' || c == '[' || c == '{')) {
        lx->bracket++;
        if (lx->frame_count)
            lx->frames[lx->frame_count - 1].depth++;
    } else if (len == 1 && (c == ')' || c == ']' || c == '}')) {
        if (lx->bracket > 0)
            lx->bracket--;
        if (lx->frame_count && lx->frames[lx->frame_count - 1].depth > 0)
            lx->frames[lx->frame_count - 1].depth--;
    }
}

/* The end of an expression inside a string: '}' at depth 0, or a format after ':' or '!'. */
static bool interp_end(struct lexer *lx)
{
    if (!lx->frame_count)
        return false;
    struct lex_frame *f = &lx->frames[lx->frame_count - 1];
    char c = lex_peek(lx, 0);
    if (f->depth > 0)
        return false;
    if (f->interp == INTERP_BRACE && (c == ':' || (c == '!' && lex_peek(lx, 1) != '='))) {
        int nest = 0;
        size_t i = lx->i;
        while (i < lx->n && lx->s[i] != '\n' && !(lx->s[i] == '}' && nest == 0)) {
            nest += lx->s[i] == '{' ? 1 : lx->s[i] == '}' ? -1 : 0;
            i++;
        }
        lx->i = i;
        c = lex_peek(lx, 0);
    }
    if (c != '}')
        return false;
    lex_emit(lx, TOK_INTERP_CLOSE, lx->i, lx->i + 1);
    lx->i++;
    lex_string_resume(lx);
    return true;
}

static void indentation(struct lexer *lx)
{
    uint32_t col = 0;
    size_t i = lx->i;
    for (; i < lx->n && (lx->s[i] == ' ' || lx->s[i] == '\t' || lx->s[i] == '\f'); i++)
        col = lx->s[i] == '\t' ? (col / 8 + 1) * 8 : col + 1;
    lx->i = i;
    if (i >= lx->n || lx->s[i] == '\n' || lx->s[i] == '\r' || lx->s[i] == '#')
        return; /* blank */
    if (col > lx->indents[lx->indent_count - 1]) {
        if (lx->indent_count < (int)(sizeof lx->indents / sizeof *lx->indents)) {
            lx->indents[lx->indent_count++] = col;
            lex_emit(lx, TOK_INDENT, i, i);
        }
        return;
    }
    while (lx->indent_count > 1 && col < lx->indents[lx->indent_count - 1]) {
        lx->indent_count--;
        lex_emit(lx, TOK_DEDENT, i, i);
    }
}

static void newline(struct lexer *lx)
{
    const struct lang_lex *d = &defs[lx->lang];
    if (lx->define) {
        struct token *t = lex_emit(lx, TOK_OP, lx->i, lx->i);
        t->op = OP1(';');
        lx->define = false;
    }
    size_t at = lx->i++;
    if (lx->heredoc_resume) {
        lx->i = lx->heredoc_resume;
        lx->heredoc_resume = 0;
    }
    bool joined = lx->frame_count > 0 || (d->indent && lx->bracket > 0);
    size_t count = lx->out->tokens.len;
    bool empty = count == 0 || lx->out->tokens.v[count - 1].kind == TOK_NEWLINE ||
                 lx->out->tokens.v[count - 1].kind == TOK_INDENT || lx->out->tokens.v[count - 1].kind == TOK_DEDENT;
    if (d->newline_tokens && !joined && !empty)
        lex_emit(lx, TOK_NEWLINE, at, at);
    lx->line_start = true;
    if (d->indent && !joined)
        indentation(lx);
}

static void space(struct lexer *lx)
{
    char c = lex_peek(lx, 0);
    if (c == '\n') {
        newline(lx);
        return;
    }
    if (c == '\\' && (lex_peek(lx, 1) == '\n' || (lex_peek(lx, 1) == '\r' && lex_peek(lx, 2) == '\n'))) {
        lx->i += lex_peek(lx, 1) == '\r' ? 3 : 2;
        lx->space = true;
        return;
    }
    lx->i++;
    lx->space = true;
}

static bool is_space(const struct lexer *lx)
{
    char c = lex_peek(lx, 0);
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v' || c == '\n' ||
           (c == '\\' && (lex_peek(lx, 1) == '\n' || lex_peek(lx, 1) == '\r'));
}

/* PHP: text up to the next "<?php" or "<?=". */
static void php_html(struct lexer *lx)
{
    const char *open = memmem(lx->s + lx->i, lx->n - lx->i, "<?", 2);
    while (open && (size_t)(open - lx->s) + 3 < lx->n && strncmp(open, "<?xml", 5) == 0)
        open = memmem(open + 2, lx->n - (size_t)(open + 2 - lx->s), "<?", 2);
    size_t end = open ? (size_t)(open - lx->s) : lx->n;
    if (end > lx->i)
        lex_emit(lx, TOK_HTML, lx->i, end);
    lx->i = end;
    if (!open)
        return;
    lx->php_code = true;
    lx->i += 2;
    if (lex_peek(lx, 0) == '=') {
        struct token *t = lex_emit(lx, TOK_NAME, lx->i, lx->i + 1);
        t->sym = KW_echo;
        lx->i++;
    } else if (lx->n - lx->i >= 3 && strncmp(lx->s + lx->i, "php", 3) == 0) {
        lx->i += 3;
    }
    lx->line_start = true;
}

static bool php_tag(struct lexer *lx)
{
    if (lx->lang != LANG_PHP || lx->pattern)
        return false;
    if (!lx->php_code) {
        php_html(lx);
        return true;
    }
    if (lex_peek(lx, 0) == '?' && lex_peek(lx, 1) == '>') {
        struct token *t = lex_emit(lx, TOK_OP, lx->i, lx->i + 2);
        t->op = OP1(';');
        lx->i += 2;
        lx->php_code = false;
        return true;
    }
    return false;
}

static void step(struct lexer *lx)
{
    if (php_tag(lx) || interp_end(lx))
        return;
    if (is_space(lx)) {
        space(lx);
        return;
    }
    if (comment(lx) || lex_string(lx) || lex_jsx(lx) || name(lx) || number(lx))
        return;
    if (lx->lang == LANG_RUBY && lx->line_start && lx->n - lx->i >= 7 && memcmp(lx->s + lx->i, "__END__", 7) == 0) {
        lx->i = lx->n;
        return;
    }
    op(lx);
}

static int find_lines(struct lex *l, struct err *err)
{
    if (!VEC_PUSH(&l->lines, 0))
        return err_nomem(err);
    const char *p = l->text, *end = l->text + l->len;
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
        p++;
        if (!VEC_PUSH(&l->lines, (uint32_t)(p - l->text)))
            return err_nomem(err);
    }
    return 0;
}

/* Brackets find their partners; a closing one that fits none closes nothing. */
static int match_brackets(struct lex *l, struct err *err)
{
    VEC(uint32_t) stack = {0};
    for (uint32_t i = 0; i < l->tokens.len; i++) {
        struct token *t = &l->tokens.v[i];
        if (t->kind != TOK_OP)
            continue;
        if (t->op == OP1('(') || t->op == OP1('[') || t->op == OP1('{')) {
            if (!VEC_PUSH(&stack, i)) {
                VEC_RELEASE(&stack);
                return err_nomem(err);
            }
        } else if (t->op == OP1(')') || t->op == OP1(']') || t->op == OP1('}')) {
            uint32_t want = t->op == OP1(')') ? OP1('(') : t->op == OP1(']') ? OP1('[') : OP1('{');
            size_t k = stack.len, tries = 0;
            while (k > 0 && l->tokens.v[stack.v[k - 1]].op != want && tries++ < 8)
                k--;
            if (k > 0 && l->tokens.v[stack.v[k - 1]].op == want) {
                l->tokens.v[stack.v[k - 1]].match = i;
                t->match = stack.v[k - 1];
                stack.len = k - 1;
            }
        }
    }
    VEC_RELEASE(&stack);
    return 0;
}

int lex_run(const char *text, size_t len, enum lang lang, bool pattern, struct symtab *syms, struct lex *ret,
            struct err *err)
{
    if (len > LEXER_TEXT_MAX)
        return err_set(err, ERR_LIMIT, "text of %zu bytes is over %zu", len, LEXER_TEXT_MAX);
    *ret = (struct lex){.text = text, .len = len, .lang = lang};
    int r = find_lines(ret, err);
    if (r < 0) {
        lex_release(ret);
        return r;
    }
    struct lexer lx = {.s = text, .n = len, .lang = lang, .pattern = pattern, .php_code = pattern,
                       .syms = syms, .out = ret, .line_start = true, .indent_count = 1};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        lx.i = 3;
    if (len >= 2 && text[0] == '#' && text[1] == '!' && lang != LANG_PHP)
        line_comment(&lx);
    while (lx.i < lx.n && !lx.nomem && !ret->cut)
        step(&lx);
    while (lx.frame_count > 0) {
        lx.frame_count--;
        lex_emit(&lx, TOK_INTERP_CLOSE, lx.n, lx.n);
        lex_emit(&lx, TOK_STR_CLOSE, lx.n, lx.n);
    }
    if (defs[lang].newline_tokens)
        lex_emit(&lx, TOK_NEWLINE, lx.n, lx.n);
    ret->cut = false;
    if (ret->tokens.len >= LEXER_TOKENS_MAX) {
        ret->tokens.len--;
        ret->cut = true;
    }
    struct token eof = {.kind = TOK_EOF, .start = (uint32_t)len, .end = (uint32_t)len, .a = (uint32_t)len,
                        .b = (uint32_t)len, .line = (uint32_t)ret->lines.len, .flags = TOKF_NEWLINE | TOKF_SPACE};
    if (lx.nomem || syms->failed || !VEC_PUSH(&ret->tokens, eof)) {
        lex_release(ret);
        return err_nomem(err);
    }
    r = match_brackets(ret, err);
    if (r < 0)
        lex_release(ret);
    return r;
}

void lex_release(struct lex *l)
{
    VEC_RELEASE(&l->tokens);
    VEC_RELEASE(&l->comments);
    VEC_RELEASE(&l->lines);
}
