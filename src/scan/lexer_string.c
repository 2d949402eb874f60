/* Strings: prefixes, delimiters, escapes, interpolation, here-documents, regular expressions, JSX. */
#include "scan/lexer_internal.h"

#include <string.h>

static bool at_tag(const struct lexer *lx, const struct lex_frame *f, size_t i)
{
    if (i > 0 && lx->s[i - 1] != '\n')
        return false;
    while (i < lx->n && (lx->s[i] == ' ' || lx->s[i] == '\t'))
        i++;
    return lx->n - i >= f->tag_len && memcmp(lx->s + i, lx->s + f->tag, f->tag_len) == 0 &&
           (i + f->tag_len == lx->n || !lex_is_name((unsigned char)lx->s[i + f->tag_len]));
}

static bool at_close(const struct lexer *lx, const struct lex_frame *f, size_t i)
{
    if (f->close_len == 3)
        return lx->n - i >= 3 && lx->s[i] == f->close && lx->s[i + 1] == f->close && lx->s[i + 2] == f->close;
    return lx->s[i] == f->close;
}

/* Does an expression start at i? *ret_skip: the length of what opens it. */
static bool at_interp(const struct lexer *lx, const struct lex_frame *f, size_t i, size_t *ret_skip)
{
    char c = lx->s[i], c1 = i + 1 < lx->n ? lx->s[i + 1] : 0;
    *ret_skip = 2;
    switch (f->interp) {
    case INTERP_DOLLAR:
        return c == '$' && c1 == '{';
    case INTERP_HASH:
        return c == '#' && c1 == '{';
    case INTERP_BRACE:
        *ret_skip = 1;
        return c == '{' && c1 != '{';
    case INTERP_JSX:
        *ret_skip = 1;
        return c == '{';
    case INTERP_PHP:
        *ret_skip = 1;
        return (c == '{' && c1 == '$') || (c == '$' && (lex_is_name_start((unsigned char)c1) || c1 == '{'));
    default:
        return false;
    }
}

static void text_part(struct lexer *lx, size_t start, size_t end)
{
    if (end > start)
        lex_emit(lx, TOK_STR_TEXT, start, end);
}

/* PHP "$name", "$name[key]", "$name->prop" at i; gives the offset after it. */
static size_t php_simple(struct lexer *lx, size_t i)
{
    lex_emit(lx, TOK_INTERP_OPEN, i, i);
    size_t e = i + 1;
    while (e < lx->n && lex_is_name((unsigned char)lx->s[e]))
        e++;
    struct token *t = lex_emit(lx, TOK_NAME, i, e);
    t->sym = symtab_intern(lx->syms, lx->s + i, e - i);
    if (e + 1 < lx->n && lx->s[e] == '[') {
        const char *close = memchr(lx->s + e, ']', lx->n - e < 64 ? lx->n - e : 64);
        if (close) {
            size_t k = (size_t)(close - lx->s);
            lex_emit(lx, TOK_OP, e, e + 1)->op = OP1('[');
            if (lx->s[e + 1] == '$') {
                struct token *v = lex_emit(lx, TOK_NAME, e + 1, k);
                v->sym = symtab_intern(lx->syms, lx->s + e + 1, k - e - 1);
            } else {
                lex_emit(lx, TOK_STRING, e + 1, k);
            }
            lex_emit(lx, TOK_OP, k, k + 1)->op = OP1(']');
            e = k + 1;
        }
    } else if (e + 2 < lx->n && lx->s[e] == '-' && lx->s[e + 1] == '>' &&
               lex_is_name_start((unsigned char)lx->s[e + 2])) {
        lex_emit(lx, TOK_OP, e, e + 2)->op = OP2('-', '>');
        size_t k = e + 2;
        while (k < lx->n && lex_is_name((unsigned char)lx->s[k]))
            k++;
        struct token *p = lex_emit(lx, TOK_NAME, e + 2, k);
        p->sym = symtab_intern(lx->syms, lx->s + e + 2, k - e - 2);
        e = k;
    }
    lex_emit(lx, TOK_INTERP_CLOSE, e, e);
    return e;
}

/* JSX: follows tags in the text; true when the outermost element has ended at i (then i is after it). */
static bool jsx_step(struct lexer *lx, struct lex_frame *f, size_t *i)
{
    char c = lx->s[*i], c1 = *i + 1 < lx->n ? lx->s[*i + 1] : 0;
    if (!f->in_tag) {
        if (c == '<' && (lex_is_name_start((unsigned char)c1) || c1 == '>')) {
            f->in_tag = true;
            f->tags++;
        } else if (c == '<' && c1 == '/') {
            f->in_tag = true;
            f->tags -= 1;
            f->nest = 1; /* a closing tag */
        }
        (*i)++;
        return false;
    }
    if (c == '"' || c == '\'') {
        const char *q = memchr(lx->s + *i + 1, c, lx->n - *i - 1);
        *i = q ? (size_t)(q - lx->s) + 1 : lx->n;
        return false;
    }
    if (c == '/' && c1 == '>' && !f->nest) {
        f->tags--;
        f->in_tag = false;
        *i += 2;
        return f->tags <= 0;
    }
    if (c == '>') {
        f->in_tag = false;
        f->nest = 0;
        (*i)++;
        return f->tags <= 0;
    }
    (*i)++;
    return false;
}

static void close_string(struct lexer *lx, size_t text, size_t end, size_t after)
{
    text_part(lx, text, end);
    struct lex_frame f = lx->frames[--lx->frame_count];
    lex_emit(lx, TOK_STR_CLOSE, end, after);
    lx->i = after;
    if (f.heredoc) {
        lx->heredoc_resume = (uint32_t)after;
        lx->i = f.tag + f.tag_len;
        while (lx->i < lx->n && (lx->s[lx->i] == '"' || lx->s[lx->i] == '\'' || lx->s[lx->i] == '`'))
            lx->i++;
    }
}

/* Where the scanning stands in the text of a string. */
enum string_step { STRING_ON, STRING_DONE };

static enum string_step heredoc_end(struct lexer *lx, struct lex_frame *f, size_t text, size_t i)
{
    if (!f->heredoc || !at_tag(lx, f, i))
        return STRING_ON;
    size_t e = i;
    while (e < lx->n && (lx->s[e] == ' ' || lx->s[e] == '\t'))
        e++;
    e += f->tag_len;
    if (lx->lang == LANG_RUBY)
        while (e < lx->n && lx->s[e] != '\n')
            e++;
    if (e < lx->n && lx->s[e] == '\n')
        e++;
    if (lx->lang == LANG_PHP) { /* the statement goes on after the terminator */
        text_part(lx, text, i);
        lx->frame_count--;
        lex_emit(lx, TOK_STR_CLOSE, i, e);
        size_t k = i;
        while (k < lx->n && (lx->s[k] == ' ' || lx->s[k] == '\t'))
            k++;
        lx->i = k + f->tag_len;
        return STRING_DONE;
    }
    close_string(lx, text, i, e);
    return STRING_DONE;
}

void lex_string_resume(struct lexer *lx)
{
    struct lex_frame *f = &lx->frames[lx->frame_count - 1];
    size_t i = lx->i, text = i, skip;
    while (i < lx->n) {
        char c = lx->s[i];
        if (heredoc_end(lx, f, text, i) == STRING_DONE)
            return;
        if (!f->heredoc && f->interp != INTERP_JSX && at_close(lx, f, i)) {
            if (f->doubled && i + 1 < lx->n && lx->s[i + 1] == f->close) {
                i += 2;
                continue;
            }
            if (f->nest == 0) {
                close_string(lx, text, i, i + f->close_len);
                return;
            }
            f->nest--;
        } else if (f->open && c == f->open) {
            f->nest++;
        }
        if (c == '\\' && !f->raw && f->interp != INTERP_JSX) {
            i += 2;
            continue;
        }
        if (f->interp == INTERP_BRACE && c == '{' && i + 1 < lx->n && lx->s[i + 1] == '{') {
            i += 2;
            continue;
        }
        if (at_interp(lx, f, i, &skip)) {
            text_part(lx, text, i);
            if (f->interp == INTERP_PHP && c == '$' && lx->s[i + 1] != '{') {
                text = i = php_simple(lx, i);
                continue;
            }
            if (f->interp == INTERP_PHP && c == '$')
                skip = 2;
            lex_emit(lx, TOK_INTERP_OPEN, i, i + skip);
            f->depth = 0;
            lx->i = i + skip;
            return; /* the main loop reads the expression */
        }
        if (c == '\n' && !f->multiline) { /* never closed */
            close_string(lx, text, i, i);
            return;
        }
        if (f->interp == INTERP_JSX) {
            if (jsx_step(lx, f, &i)) {
                close_string(lx, text, i, i);
                return;
            }
        } else {
            i++;
        }
    }
    i = lx->n;
    close_string(lx, text < i ? text : i, i, i);
    lx->i = lx->n;
}

/* A string without expressions is one token. */
static void plain_string(struct lexer *lx, size_t start, size_t body, const struct lex_frame *f, uint8_t flags)
{
    size_t i = body;
    int nest = 0;
    while (i < lx->n) {
        char c = lx->s[i];
        if (c == '\\' && !f->raw) {
            i += 2;
            continue;
        }
        if (at_close(lx, f, i)) {
            if (f->doubled && i + 1 < lx->n && lx->s[i + 1] == f->close) {
                i += 2;
                continue;
            }
            if (nest == 0)
                break;
            nest--;
        } else if (f->open && c == f->open) {
            nest++;
        } else if (c == '\n' && !f->multiline) {
            break;
        }
        i++;
    }
    if (i > lx->n)
        i = lx->n;
    size_t end = i < lx->n && at_close(lx, f, i) ? i + f->close_len : i;
    struct token *t = lex_emit(lx, f->close == '\'' && (lx->lang == LANG_C || lx->lang == LANG_CPP ||
                                                        lx->lang == LANG_JAVA || lx->lang == LANG_GO ||
                                                        lx->lang == LANG_CSHARP)
                                       ? TOK_CHAR
                                       : TOK_STRING,
                               start, end);
    t->a = (uint32_t)body;
    t->b = (uint32_t)i;
    t->flags |= flags;
    lx->i = end;
}

static void open_string(struct lexer *lx, size_t start, size_t body, struct lex_frame f, uint8_t flags)
{
    if (f.interp == INTERP_NONE || lx->frame_count == LEX_FRAMES || lx->pattern) {
        plain_string(lx, start, body, &f, flags);
        return;
    }
    struct token *t = lex_emit(lx, TOK_STR_OPEN, start, body);
    t->flags |= flags;
    lx->frames[lx->frame_count++] = f;
    lx->i = body;
    lex_string_resume(lx);
}

static bool python_string(struct lexer *lx)
{
    size_t i = lx->i, k = i;
    bool raw = false, format = false, bytes = false;
    while (k < lx->n && k < i + 3 && strchr("rRbBfFuU", lx->s[k]) && lx->s[k]) {
        raw |= (lx->s[k] | 32) == 'r';
        format |= (lx->s[k] | 32) == 'f';
        bytes |= (lx->s[k] | 32) == 'b';
        k++;
    }
    if (k >= lx->n || (lx->s[k] != '"' && lx->s[k] != '\''))
        return false;
    char q = lx->s[k];
    bool triple = k + 2 < lx->n && lx->s[k + 1] == q && lx->s[k + 2] == q;
    struct lex_frame f = {.interp = format ? INTERP_BRACE : INTERP_NONE, .close = q, .close_len = triple ? 3 : 1,
                          .multiline = triple};
    uint8_t flags = (uint8_t)((raw ? TOKF_RAW : 0) | (bytes ? TOKF_BYTES : 0));
    open_string(lx, i, k + f.close_len, f, flags);
    return true;
}

static bool js_string(struct lexer *lx)
{
    char c = lex_peek(lx, 0);
    if (c == '"' || c == '\'') {
        open_string(lx, lx->i, lx->i + 1, (struct lex_frame){.close = c, .close_len = 1}, 0);
        return true;
    }
    if (c == '`') {
        open_string(lx, lx->i, lx->i + 1,
                    (struct lex_frame){.interp = INTERP_DOLLAR, .close = c, .close_len = 1, .multiline = true}, 0);
        return true;
    }
    return false;
}

static bool regex_literal(struct lexer *lx)
{
    if (lex_peek(lx, 0) != '/' || lex_after_value(lx))
        return false;
    if (lx->lang == LANG_RUBY && lex_peek(lx, 1) == ' ')
        return false;
    bool in_class = false;
    size_t i = lx->i + 1;
    for (; i < lx->n && lx->s[i] != '\n'; i++) {
        char c = lx->s[i];
        if (c == '\\')
            i++;
        else if (c == '[')
            in_class = true;
        else if (c == ']')
            in_class = false;
        else if (c == '/' && !in_class)
            break;
    }
    if (i >= lx->n || lx->s[i] != '/')
        return false;
    size_t body = lx->i + 1, end = i + 1;
    while (end < lx->n && lex_is_name((unsigned char)lx->s[end]))
        end++;
    struct token *t = lex_emit(lx, TOK_REGEX, lx->i, end);
    t->a = (uint32_t)body;
    t->b = (uint32_t)i;
    lx->i = end;
    return true;
}

/* A here-document whose tag starts at `tag`: its body begins on the next line. */
static bool heredoc(struct lexer *lx, size_t start, size_t tag, bool quoted_raw)
{
    size_t e = tag;
    while (e < lx->n && lex_is_name((unsigned char)lx->s[e]))
        e++;
    if (e == tag || lx->frame_count == LEX_FRAMES)
        return false;
    size_t body = lx->heredoc_resume;
    if (!body) {
        const char *nl = memchr(lx->s + e, '\n', lx->n - e);
        if (!nl)
            return false;
        body = (size_t)(nl - lx->s) + 1;
    }
    struct lex_frame f = {.interp = quoted_raw ? INTERP_NONE : lx->lang == LANG_PHP ? INTERP_PHP : INTERP_HASH,
                          .raw = quoted_raw, .heredoc = true, .multiline = true, .tag = (uint32_t)tag,
                          .tag_len = (uint32_t)(e - tag)};
    lex_emit(lx, TOK_STR_OPEN, start, e);
    lx->frames[lx->frame_count++] = f;
    lx->i = body;
    lex_string_resume(lx);
    return true;
}

static bool php_string(struct lexer *lx)
{
    char c = lex_peek(lx, 0);
    if (c == '\'' || c == '"' || c == '`') {
        struct lex_frame f = {.interp = c == '\'' ? INTERP_NONE : INTERP_PHP, .close = c, .close_len = 1,
                              .multiline = true};
        open_string(lx, lx->i, lx->i + 1, f, c == '`' ? TOKF_SHELL : 0);
        return true;
    }
    if (c == '<' && lex_peek(lx, 1) == '<' && lex_peek(lx, 2) == '<') {
        size_t t = lx->i + 3;
        while (t < lx->n && lx->s[t] == ' ')
            t++;
        bool raw = t < lx->n && lx->s[t] == '\'';
        if (t < lx->n && (raw || lx->s[t] == '"'))
            t++;
        return heredoc(lx, lx->i, t, raw);
    }
    return false;
}

static char closing(char open)
{
    return open == '(' ? ')' : open == '[' ? ']' : open == '{' ? '}' : open == '<' ? '>' : open;
}

/* Ruby %q() %Q[] %w{} %i() %x() %r{} %() */
static bool ruby_percent(struct lexer *lx)
{
    size_t i = lx->i + 1;
    char kind = 'Q';
    if (i < lx->n && strchr("qQwWiIxrs", lx->s[i]) && lx->s[i])
        kind = lx->s[i++];
    if (i >= lx->n || !strchr("([{<|!/", lx->s[i]) || !lx->s[i])
        return false;
    if (kind == 'Q' && lex_after_value(lx))
        return false;
    char open = lx->s[i], close = closing(open);
    bool plain = strchr("qwis", kind) != NULL;
    struct lex_frame f = {.interp = plain ? INTERP_NONE : INTERP_HASH, .open = open != close ? open : 0,
                          .close = close, .close_len = 1, .multiline = true};
    uint8_t flags = kind == 'x' ? TOKF_SHELL : (kind | 32) == 'w' || (kind | 32) == 'i' ? TOKF_WORDS : 0;
    if (flags == TOKF_WORDS)
        f.interp = INTERP_NONE;
    open_string(lx, lx->i, i + 1, f, flags);
    return true;
}

static bool ruby_symbol(struct lexer *lx)
{
    size_t i = lx->i + 1;
    if (lex_peek(lx, 0) != ':' || lex_peek(lx, 1) == ':' || i >= lx->n)
        return false;
    if (lx->i > 0 && lx->s[lx->i - 1] == ':')
        return false;
    if (!lex_is_name_start((unsigned char)lx->s[i]))
        return false;
    if (lex_after_value(lx) && !lx->space)
        return false;
    size_t e = i;
    while (e < lx->n && lex_is_name((unsigned char)lx->s[e]))
        e++;
    if (e < lx->n && (lx->s[e] == '?' || lx->s[e] == '!'))
        e++;
    struct token *t = lex_emit(lx, TOK_SYMBOL, lx->i, e);
    t->a = (uint32_t)i;
    t->b = (uint32_t)e;
    t->sym = symtab_intern(lx->syms, lx->s + i, e - i);
    lx->i = e;
    return true;
}

static bool ruby_heredoc(struct lexer *lx)
{
    if (lex_peek(lx, 0) != '<' || lex_peek(lx, 1) != '<')
        return false;
    size_t t = lx->i + 2;
    bool dash = t < lx->n && (lx->s[t] == '~' || lx->s[t] == '-');
    if (dash)
        t++;
    bool quoted = t < lx->n && (lx->s[t] == '\'' || lx->s[t] == '"');
    bool raw = quoted && lx->s[t] == '\'';
    if (quoted)
        t++;
    if (t >= lx->n || !(dash ? lex_is_name_start((unsigned char)lx->s[t]) : (lx->s[t] >= 'A' && lx->s[t] <= 'Z')))
        return false;
    if (!dash && lex_after_value(lx) && !lx->space)
        return false;
    return heredoc(lx, lx->i, t, raw);
}

static bool ruby_string(struct lexer *lx)
{
    char c = lex_peek(lx, 0);
    if (c == '"' || c == '\'' || c == '`') {
        struct lex_frame f = {.interp = c == '\'' ? INTERP_NONE : INTERP_HASH, .close = c, .close_len = 1,
                              .multiline = true};
        open_string(lx, lx->i, lx->i + 1, f, c == '`' ? TOKF_SHELL : 0);
        return true;
    }
    if (c == '%')
        return ruby_percent(lx);
    if (c == '?' && !lex_after_value(lx) && lex_is_name((unsigned char)lex_peek(lx, 1)) &&
        !lex_is_name((unsigned char)lex_peek(lx, 2))) {
        lex_emit(lx, TOK_STRING, lx->i, lx->i + 2);
        lx->i += 2;
        return true;
    }
    return ruby_symbol(lx) || ruby_heredoc(lx) || regex_literal(lx);
}

/* C++ R"tag(...)tag" */
static bool cpp_raw(struct lexer *lx, size_t quote)
{
    size_t i = quote + 1, tag = i;
    while (i < lx->n && i < tag + 17 && lx->s[i] != '(' && lx->s[i] != '\n')
        i++;
    if (i >= lx->n || lx->s[i] != '(')
        return false;
    char end[20];
    size_t n = i - tag;
    end[0] = ')';
    memcpy(end + 1, lx->s + tag, n);
    end[n + 1] = '"';
    const char *close = memmem(lx->s + i, lx->n - i, end, n + 2);
    size_t stop = close ? (size_t)(close - lx->s) : lx->n;
    size_t after = close ? stop + n + 2 : lx->n;
    struct token *t = lex_emit(lx, TOK_STRING, lx->i, after);
    t->a = (uint32_t)i + 1 <= stop ? (uint32_t)i + 1 : (uint32_t)stop;
    t->b = (uint32_t)stop;
    lx->i = after;
    return true;
}

static bool c_string(struct lexer *lx)
{
    size_t i = lx->i;
    bool raw = false;
    if (i + 1 < lx->n && (lx->s[i] == 'L' || lx->s[i] == 'u' || lx->s[i] == 'U'))
        i += lx->s[i] == 'u' && lx->s[i + 1] == '8' ? 2 : 1;
    if (lx->lang == LANG_CPP && i + 1 < lx->n && lx->s[i] == 'R' && lx->s[i + 1] == '"') {
        i++;
        raw = true;
    }
    if (i >= lx->n || (lx->s[i] != '"' && lx->s[i] != '\''))
        return false;
    if (raw)
        return cpp_raw(lx, i);
    struct lex_frame f = {.close = lx->s[i], .close_len = 1};
    plain_string(lx, lx->i, i + 1, &f, 0);
    return true;
}

static bool java_string(struct lexer *lx)
{
    char c = lex_peek(lx, 0);
    if (c != '"' && c != '\'')
        return false;
    bool triple = c == '"' && lex_peek(lx, 1) == '"' && lex_peek(lx, 2) == '"';
    struct lex_frame f = {.close = c, .close_len = triple ? 3 : 1, .multiline = triple};
    plain_string(lx, lx->i, lx->i + f.close_len, &f, 0);
    return true;
}

static bool go_string(struct lexer *lx)
{
    char c = lex_peek(lx, 0);
    if (c != '"' && c != '\'' && c != '`')
        return false;
    struct lex_frame f = {.close = c, .close_len = 1, .raw = c == '`', .multiline = c == '`'};
    plain_string(lx, lx->i, lx->i + 1, &f, 0);
    return true;
}

static bool csharp_string(struct lexer *lx)
{
    size_t k = lx->i;
    bool verbatim = false, interp = false;
    while (k < lx->n && k < lx->i + 3 && (lx->s[k] == '@' || lx->s[k] == '$')) {
        verbatim |= lx->s[k] == '@';
        interp |= lx->s[k] == '$';
        k++;
    }
    if (k >= lx->n || (lx->s[k] != '"' && !(lx->s[k] == '\'' && k == lx->i)))
        return false;
    char q = lx->s[k];
    bool triple = q == '"' && k + 2 < lx->n && lx->s[k + 1] == '"' && lx->s[k + 2] == '"' && !verbatim;
    struct lex_frame f = {.interp = interp ? INTERP_BRACE : INTERP_NONE, .close = q, .close_len = triple ? 3 : 1,
                          .raw = verbatim || triple, .doubled = verbatim, .multiline = verbatim || triple};
    open_string(lx, lx->i, k + f.close_len, f, 0);
    return true;
}

bool lex_string(struct lexer *lx)
{
    switch (lx->lang) {
    case LANG_PYTHON:
        return python_string(lx);
    case LANG_JAVASCRIPT:
    case LANG_TYPESCRIPT:
        return js_string(lx) || regex_literal(lx);
    case LANG_RUBY:
        return ruby_string(lx);
    case LANG_PHP:
        return php_string(lx);
    case LANG_GO:
        return go_string(lx);
    case LANG_JAVA:
        return java_string(lx);
    case LANG_CSHARP:
        return csharp_string(lx);
    default:
        return c_string(lx);
    }
}

bool lex_jsx(struct lexer *lx)
{
    if ((lx->lang != LANG_JAVASCRIPT && lx->lang != LANG_TYPESCRIPT) || lx->pattern || lex_peek(lx, 0) != '<' ||
        lex_after_value(lx) || lx->frame_count == LEX_FRAMES)
        return false;
    char c = lex_peek(lx, 1);
    if (!(c == '>' || lex_is_name_start((unsigned char)c)))
        return false;
    /* TypeScript's <T>(x) and <T,>: an element has a closing '>' whose next text is not '('. */
    size_t i = lx->i + 1;
    while (i < lx->n && (lex_is_name((unsigned char)lx->s[i]) || lx->s[i] == '.' || lx->s[i] == '-'))
        i++;
    if (i < lx->n && (lx->s[i] == ',' || (lx->s[i] == '>' && i + 1 < lx->n && lx->s[i + 1] == '(')))
        return false;
    struct token *t = lex_emit(lx, TOK_STR_OPEN, lx->i, lx->i);
    t->flags |= TOKF_JSX;
    lx->frames[lx->frame_count++] = (struct lex_frame){.interp = INTERP_JSX, .multiline = true};
    lex_string_resume(lx);
    return true;
}
