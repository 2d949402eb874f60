#include "scan/parse_internal.h"

#include "base/mem.h"

#include <string.h>

struct node *node_new(struct parser *p, enum node_kind kind)
{
    struct node *n = arena_alloc(p->sx->arena, sizeof *n);
    if (!n) {
        p->nomem = true;
        p->pos = p->count - 1; /* everything ends soon */
        p->sink = (struct node){.kind = N_NONE};
        return &p->sink;
    }
    n->kind = (uint8_t)kind;
    n->tok = n->tok_end = p->pos;
    return n;
}

struct node *node_end(struct parser *p, struct node *n)
{
    n->tok_end = p->pos;
    return n;
}

bool parse_enter(struct parser *p)
{
    if (p->depth >= PARSE_DEPTH_MAX) {
        p->sx->cut = true;
        return false;
    }
    p->depth++;
    return true;
}

void parse_leave(struct parser *p)
{
    p->depth--;
}

void parse_skip(struct parser *p)
{
    const struct token *t = cur(p);
    if (t->kind == TOK_OP && t->match > p->pos)
        p->pos = t->match;
    advance(p);
}

void parse_newlines(struct parser *p)
{
    while (cur(p)->kind == TOK_NEWLINE || (p->in_brackets && (cur(p)->kind == TOK_INDENT || cur(p)->kind == TOK_DEDENT)))
        advance(p);
}

static int start(const char *text, size_t len, enum lang lang, bool pattern, struct arena *arena, struct syntax *ret,
                 struct parser *p, struct err *err)
{
    *ret = (struct syntax){.arena = arena};
    symtab_init(&ret->syms, arena);
    int r = lex_run(text, len, lang, pattern, &ret->syms, &ret->lex, err);
    if (r < 0) {
        symtab_release(&ret->syms);
        return r;
    }
    ret->cut = ret->lex.cut;
    *p = (struct parser){.sx = ret, .toks = ret->lex.tokens.v, .count = (uint32_t)ret->lex.tokens.len, .lang = lang,
                         .pattern = pattern};
    return 0;
}

int syntax_parse(const char *text, size_t len, enum lang lang, struct arena *arena, struct syntax *ret, struct err *err)
{
    struct parser p;
    int r = start(text, len, lang, false, arena, ret, &p, err);
    if (r < 0)
        return r;
    struct node *root = node_new(&p, N_BLOCK);
    struct nodes list = NODES_INIT(list);
    while (!at_eof(&p)) {
        uint32_t before = p.pos;
        p.depth = 0;
        nodes_add(&list, parse_stmt(&p));
        if (p.pos == before)
            advance(&p);
    }
    root->list = list.head;
    ret->root = node_end(&p, root);
    if (p.nomem || ret->syms.failed) {
        syntax_release(ret);
        return err_nomem(err);
    }
    return 0;
}

int syntax_parse_pattern(const char *text, size_t len, enum lang lang, struct arena *arena, struct syntax *ret,
                         struct err *err)
{
    struct parser p;
    int r = start(text, len, lang, true, arena, ret, &p, err);
    if (r < 0)
        return r;
    struct node *n = parse_stmt(&p);
    take_op(&p, OP1(';'));
    while (cur(&p)->kind == TOK_NEWLINE)
        advance(&p);
    ret->root = n;
    if (p.nomem)
        r = err_nomem(err);
    else if (!n)
        r = err_set(err, ERR_INVALID, "pattern is empty or no expression");
    else if (!at_eof(&p))
        r = err_set(err, ERR_INVALID, "pattern: what stands at column %u is not understood", cur(&p)->start + 1);
    if (r < 0)
        syntax_release(ret);
    return r;
}

void syntax_release(struct syntax *s)
{
    lex_release(&s->lex);
    symtab_release(&s->syms);
}

const char *syntax_text(const struct syntax *s, const struct node *n, size_t *ret_len)
{
    const struct token *t = &s->lex.tokens.v[n->tok];
    *ret_len = t->b > t->a ? t->b - t->a : 0;
    return s->lex.text + t->a;
}

uint32_t syntax_line(const struct syntax *s, const struct node *n)
{
    return s->lex.tokens.v[n->tok].line;
}

const char *syntax_path(const struct syntax *s, const struct node *n)
{
    if (!n)
        return NULL;
    if (n->kind == N_NAME)
        return symtab_name(&s->syms, n->sym);
    if (n->kind != N_MEMBER || !n->a)
        return NULL;
    const char *left = syntax_path(s, n->a);
    return left ? arena_printf(s->arena, "%s.%s", left, symtab_name(&s->syms, n->sym)) : NULL;
}
