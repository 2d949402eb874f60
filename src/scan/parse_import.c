/* Imports: each gives local names and what they stand for, as a dotted path. */
#include "scan/parse_internal.h"

#include <string.h>

struct node *parse_import_as(struct parser *p, uint32_t sym, const char *text)
{
    struct node *n = node_new(p, N_IMPORT);
    n->sym = sym;
    n->text = text ? text : "";
    return n;
}

/* The module named by a string token: "node:fs/promises" is fs.promises; "./x" is x. */
static const char *module_name(struct parser *p, const struct token *t)
{
    const char *s = p->sx->lex.text + t->a;
    size_t n = t->b > t->a ? t->b - t->a : 0;
    if (n > 5 && memcmp(s, "node:", 5) == 0) {
        s += 5;
        n -= 5;
    }
    while (n && (*s == '.' || *s == '/')) {
        s++;
        n--;
    }
    char *copy = arena_strndup(p->sx->arena, s, n);
    for (char *c = copy; c && *c; c++)
        if (*c == '/')
            *c = '.';
    return copy ? copy : "";
}

static const char *joined(struct parser *p, const char *a, uint32_t sym)
{
    const char *name = symtab_name(&p->sx->syms, sym);
    const char *s = *a ? arena_printf(p->sx->arena, "%s.%s", a, name) : name;
    return s ? s : "";
}

static struct node *js_import(struct parser *p)
{
    const struct token *t1 = ahead(p, 1);
    if (is_op(t1, OP1('(')) || is_op(t1, OP1('.')))
        return NULL;
    advance(p);
    if (at_kw(p, KW_type))
        advance(p);
    uint32_t from = p->pos, k = 0;
    while (k++ < 300 && from + 1 < p->count && p->toks[from].kind != TOK_STRING && !is_op(&p->toks[from], OP1(';')))
        from++;
    const char *module = p->toks[from].kind == TOK_STRING ? module_name(p, &p->toks[from]) : "";
    struct nodes list = NODES_INIT(list);
    while (p->pos < from && !at_kw(p, KW_from)) {
        if (at_op(p, OP1('*')) && is_kw(ahead(p, 1), KW_as)) {
            p->pos += 2;
            nodes_add(&list, parse_import_as(p, cur(p)->sym, module));
        } else if (at_op(p, OP1('{'))) {
            advance(p);
            while (p->pos < from && !at_op(p, OP1('}'))) {
                uint32_t name = cur(p)->sym, local = name;
                if (is_kw(ahead(p, 1), KW_as)) {
                    p->pos += 2;
                    local = cur(p)->sym;
                }
                if (cur(p)->kind == TOK_NAME)
                    nodes_add(&list, parse_import_as(p, local, joined(p, module, name)));
                advance(p);
                take_op(p, OP1(','));
            }
        } else if (cur(p)->kind == TOK_NAME) {
            nodes_add(&list, parse_import_as(p, cur(p)->sym, module));
        }
        advance(p);
    }
    p->pos = from;
    advance(p);
    take_op(p, OP1(';'));
    return list.head ? list.head : parse_import_as(p, 0, module);
}

static struct node *dotted_import(struct parser *p)
{
    bool java = p->lang == LANG_JAVA;
    advance(p);
    bool statically = take_kw(p, KW_static);
    if (take_kw(p, KW_namespace)) { /* C++ */
        struct node *path = parse_type_path(p);
        take_op(p, OP1(';'));
        struct node *n = parse_import_as(p, 0, syntax_path(p->sx, path));
        n->flags = NF_WILD;
        return n;
    }
    uint32_t alias = 0;
    if (!java && is_op(ahead(p, 1), OP1('='))) {
        alias = cur(p)->sym;
        p->pos += 2;
    }
    struct node *path = parse_type_path(p);
    struct node *n = parse_import_as(p, alias ? alias : path ? path->sym : 0, syntax_path(p->sx, path));
    if (take_op(p, OP1('.')) || (!java && !alias)) {
        if (at_op(p, OP1('*')))
            advance(p);
        n->sym = 0;
        n->flags = NF_WILD;
    }
    (void)statically;
    while (!at_eof(p) && !at_op(p, OP1(';')) && !(cur(p)->flags & TOKF_NEWLINE))
        advance(p);
    take_op(p, OP1(';'));
    return n;
}

/* The name that a Go package has by default: the last part of its path that is no version. */
static uint32_t go_local(struct parser *p, const struct token *t)
{
    const char *s = p->sx->lex.text + t->a;
    size_t end = t->b > t->a ? t->b - t->a : 0;
    for (int k = 0; k < 2; k++) {
        size_t at = end;
        while (at > 0 && s[at - 1] != '/')
            at--;
        bool version = end - at >= 2 && s[at] == 'v' && s[at + 1] >= '0' && s[at + 1] <= '9' && at > 0;
        if (!version || k == 1) {
            size_t n = end - at;
            const char *dot = memchr(s + at, '.', n); /* yaml.v3 */
            if (dot && n - (size_t)(dot - s - (long)at) <= 3)
                n = (size_t)(dot - (s + at));
            if (n > 3 && memcmp(s + at, "go-", 3) == 0)
                return symtab_intern(&p->sx->syms, s + at + 3, n - 3);
            return symtab_intern(&p->sx->syms, s + at, n);
        }
        end = at - 1;
    }
    return 0;
}

static struct node *go_import(struct parser *p)
{
    struct nodes list = NODES_INIT(list);
    advance(p);
    bool group = take_op(p, OP1('('));
    do {
        uint32_t alias = 0;
        if (cur(p)->kind == TOK_NAME || at_op(p, OP1('.'))) {
            alias = cur(p)->sym;
            advance(p);
        }
        if (cur(p)->kind == TOK_STRING) {
            uint32_t sym = alias ? alias : go_local(p, cur(p));
            char *path = arena_strdup(p->sx->arena, module_name(p, cur(p)));
            size_t n = path ? strlen(path) : 0; /* a version at the end says nothing */
            if (path && n > 3 && path[n - 3] == '.' && path[n - 2] == 'v' && path[n - 1] >= '0' && path[n - 1] <= '9')
                path[n - 3] = 0;
            nodes_add(&list, parse_import_as(p, sym, path));
            advance(p);
        } else if (group && !at_op(p, OP1(')'))) {
            advance(p);
        }
        take_op(p, OP1(';'));
    } while (group && !at_eof(p) && !take_op(p, OP1(')')));
    return list.head ? list.head : parse_import_as(p, 0, "");
}

static struct node *php_use(struct parser *p)
{
    struct nodes list = NODES_INIT(list);
    advance(p);
    if (at_kw(p, KW_function) || at_kw(p, KW_const))
        advance(p);
    while (!at_eof(p) && !take_op(p, OP1(';')) && cur(p)->kind == TOK_NAME) {
        const struct token *t = cur(p);
        char *path = arena_strdup(p->sx->arena, symtab_name(&p->sx->syms, t->sym));
        for (char *c = path; c && *c; c++)
            if (*c == '\\')
                *c = '.';
        const char *last = path ? strrchr(path, '.') : NULL;
        last = last ? last + 1 : path ? path : "";
        uint32_t sym = symtab_intern(&p->sx->syms, last, strlen(last));
        advance(p);
        if (take_kw(p, KW_as)) {
            sym = cur(p)->sym;
            advance(p);
        }
        nodes_add(&list, parse_import_as(p, sym, path));
        while (!at_eof(p) && !at_op(p, OP1(',')) && !at_op(p, OP1(';')))
            parse_skip(p);
        take_op(p, OP1(','));
    }
    return list.head ? list.head : parse_import_as(p, 0, "");
}

struct node *parse_import(struct parser *p)
{
    switch (p->lang) {
    case LANG_JAVASCRIPT: case LANG_TYPESCRIPT:
        return at_kw(p, KW_import) ? js_import(p) : NULL;
    case LANG_JAVA:
        return at_kw(p, KW_import) ? dotted_import(p) : NULL;
    case LANG_GO:
        return at_kw(p, KW_import) ? go_import(p) : NULL;
    case LANG_CSHARP:
    case LANG_CPP:
        if (!at_kw(p, KW_using) || is_op(ahead(p, 1), OP1('(')))
            return NULL;
        if (p->lang == LANG_CSHARP && !is_op(ahead(p, 2), OP1(';')) && !is_op(ahead(p, 2), OP1('.')) &&
            !is_kw(ahead(p, 1), KW_static) && !(is_op(ahead(p, 2), OP1('=')) && ahead(p, 1)->sym != KW_var))
            return NULL; /* using var x = ... */
        return dotted_import(p);
    case LANG_PHP:
        return at_kw(p, KW_use) && !p->in_class && ahead(p, 1)->kind == TOK_NAME ? php_use(p) : NULL;
    default:
        return NULL;
    }
}
