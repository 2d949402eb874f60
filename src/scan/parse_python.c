/* Python: statements by indentation. */
#include "scan/parse_internal.h"

#include <string.h>

/* After ':': an indented block, or statements on the same line. */
static struct node *py_block(struct parser *p)
{
    struct node *n = node_new(p, N_BLOCK);
    struct nodes list = NODES_INIT(list);
    if (!take_op(p, OP1(':'))) { /* broken header: to the end of the line */
        while (!at_eof(p) && cur(p)->kind != TOK_NEWLINE && cur(p)->kind != TOK_INDENT)
            parse_skip(p);
    }
    if (cur(p)->kind != TOK_NEWLINE) {
        do {
            uint32_t before = p->pos;
            nodes_add(&list, parse_stmt(p));
            if (p->pos == before)
                break;
        } while (!at_eof(p) && cur(p)->kind != TOK_NEWLINE && cur(p)->kind != TOK_DEDENT &&
                 (p->toks[p->pos - 1].kind != TOK_NEWLINE));
        n->list = list.head;
        return node_end(p, n);
    }
    parse_newlines(p);
    if (cur(p)->kind != TOK_INDENT)
        return node_end(p, n);
    advance(p);
    for (;;) {
        parse_newlines(p);
        if (at_eof(p) || cur(p)->kind == TOK_DEDENT)
            break;
        uint32_t before = p->pos;
        nodes_add(&list, parse_stmt(p));
        if (p->pos == before && cur(p)->kind != TOK_DEDENT)
            advance(p);
    }
    if (cur(p)->kind == TOK_DEDENT)
        advance(p);
    n->list = list.head;
    return node_end(p, n);
}

static struct node *py_if(struct parser *p)
{
    struct node *n = node_new(p, N_IF);
    advance(p);
    n->a = parse_expr(p, 0);
    n->b = py_block(p);
    if (at_kw(p, KW_elif)) {
        if (parse_enter(p)) {
            n->c = py_if(p);
            parse_leave(p);
        }
    } else if (take_kw(p, KW_else)) {
        n->c = py_block(p);
    }
    return node_end(p, n);
}

static struct node *py_loop(struct parser *p)
{
    struct node *n;
    if (take_kw(p, KW_while)) {
        n = node_new(p, N_LOOP);
        n->a = parse_expr(p, 0);
        n->b = py_block(p);
    } else {
        n = node_new(p, N_FOREACH);
        advance(p);
        p->no_in = true;
        n->a = parse_expr_list(p);
        p->no_in = false;
        take_kw(p, KW_in);
        n->b = parse_expr_list(p);
        n->c = py_block(p);
    }
    if (take_kw(p, KW_else))
        py_block(p);
    return node_end(p, n);
}

static struct node *py_try(struct parser *p)
{
    struct node *n = node_new(p, N_TRY);
    struct nodes handlers = NODES_INIT(handlers);
    advance(p);
    n->b = py_block(p);
    while (at_kw(p, KW_except)) {
        advance(p);
        take_op(p, OP1('*'));
        if (!at_op(p, OP1(':'))) {
            parse_expr_list(p);
            if (take_kw(p, KW_as))
                advance(p);
        }
        nodes_add(&handlers, py_block(p));
    }
    if (take_kw(p, KW_else)) {
        struct node *e = py_block(p);
        if (n->b && e) {
            struct node **tail = &n->b->list;
            while (*tail)
                tail = &(*tail)->next;
            *tail = e;
        }
    }
    if (take_kw(p, KW_finally))
        n->c = py_block(p);
    n->list = handlers.head;
    return node_end(p, n);
}

/* with a as b, c as d: ... is assignments and a block */
static struct node *py_with(struct parser *p)
{
    struct node *n = node_new(p, N_BLOCK);
    struct nodes list = NODES_INIT(list);
    advance(p);
    bool group = at_op(p, OP1('(')) && cur(p)->match && is_op(&p->toks[cur(p)->match + 1], OP1(':'));
    if (group) {
        advance(p);
        p->in_brackets = true;
    }
    do {
        parse_newlines(p);
        struct node *e = parse_expr(p, 2);
        if (e && take_kw(p, KW_as)) {
            struct node *a = node_new(p, N_ASSIGN);
            a->op = OP1('=');
            a->tok = e->tok;
            a->a = parse_expr(p, 2);
            a->b = e;
            e = node_end(p, a);
        }
        nodes_add(&list, e);
        parse_newlines(p);
    } while (take_op(p, OP1(',')));
    if (group) {
        take_op(p, OP1(')'));
        p->in_brackets = false;
    }
    struct node *body = py_block(p);
    nodes_add(&list, body);
    n->list = list.head;
    return node_end(p, n);
}

static struct node *py_def(struct parser *p)
{
    struct node *n = node_new(p, N_FUNC);
    n->c = p->decorators;
    p->decorators = NULL;
    advance(p);
    n->sym = cur(p)->sym;
    advance(p);
    if (at_op(p, OP1('[')))
        parse_skip(p);
    if (take_op(p, OP1('(')))
        n->list = parse_params(p, OP1(')'));
    if (take_op(p, OP2('-', '>')))
        parse_expr(p, 2);
    n->b = py_block(p);
    return node_end(p, n);
}

static struct node *py_class(struct parser *p)
{
    struct node *n = node_new(p, N_CLASS);
    n->c = p->decorators;
    p->decorators = NULL;
    advance(p);
    n->sym = cur(p)->sym;
    advance(p);
    if (take_op(p, OP1('(')))
        n->list = parse_args(p, OP1(')'));
    n->b = py_block(p);
    return node_end(p, n);
}

/* a.b.c as text */
static const char *dotted(struct parser *p)
{
    const char *path = "";
    while (at_op(p, OP1('.')) || at_op(p, OP3('.', '.', '.')))
        advance(p);
    while (cur(p)->kind == TOK_NAME && !at_kw(p, KW_import) && !at_kw(p, KW_as)) {
        const char *name = symtab_name(&p->sx->syms, cur(p)->sym);
        const char *longer = *path ? arena_printf(p->sx->arena, "%s.%s", path, name) : name;
        path = longer ? longer : path;
        advance(p);
        if (!take_op(p, OP1('.')))
            break;
    }
    return path;
}

static struct node *py_import(struct parser *p)
{
    struct nodes list = NODES_INIT(list);
    do {
        advance(p); /* import or ',' */
        uint32_t first = cur(p)->sym;
        const char *path = dotted(p);
        if (take_kw(p, KW_as)) {
            nodes_add(&list, parse_import_as(p, cur(p)->sym, path));
            advance(p);
        } else { /* import a.b binds a */
            nodes_add(&list, parse_import_as(p, first, symtab_name(&p->sx->syms, first)));
        }
    } while (at_op(p, OP1(',')));
    return list.head;
}

static struct node *py_from(struct parser *p)
{
    struct nodes list = NODES_INIT(list);
    advance(p);
    const char *module = dotted(p);
    take_kw(p, KW_import);
    take_op(p, OP1('('));
    while (cur(p)->kind == TOK_NAME || at_op(p, OP1('*')) || at_op(p, OP1(','))) {
        if (take_op(p, OP1(',')))
            continue;
        uint32_t name = cur(p)->sym, local = name;
        bool all = at_op(p, OP1('*'));
        advance(p);
        if (take_kw(p, KW_as)) {
            local = cur(p)->sym;
            advance(p);
        }
        const char *path = all ? module : *module ? arena_printf(p->sx->arena, "%s.%s", module, symtab_name(&p->sx->syms, name))
                                                  : symtab_name(&p->sx->syms, name);
        struct node *i = parse_import_as(p, all ? 0 : local, path);
        i->flags = all ? NF_WILD : 0;
        nodes_add(&list, i);
    }
    take_op(p, OP1(')'));
    return list.head;
}

static struct node *py_match(struct parser *p)
{
    struct node *n = node_new(p, N_SWITCH);
    struct nodes list = NODES_INIT(list);
    advance(p);
    n->a = parse_expr_list(p);
    take_op(p, OP1(':'));
    parse_newlines(p);
    if (cur(p)->kind != TOK_INDENT)
        return node_end(p, n);
    advance(p);
    while (!at_eof(p) && cur(p)->kind != TOK_DEDENT) {
        uint32_t before = p->pos;
        struct node *c = node_new(p, N_CASE);
        take_kw(p, KW_case);
        c->a = parse_expr_list(p);
        if (take_kw(p, KW_if))
            parse_expr(p, 0);
        c->b = py_block(p);
        nodes_add(&list, node_end(p, c));
        parse_newlines(p);
        if (p->pos == before)
            advance(p);
    }
    if (cur(p)->kind == TOK_DEDENT)
        advance(p);
    n->list = list.head;
    return node_end(p, n);
}

struct node *parse_py_lambda(struct parser *p)
{
    struct node *n = node_new(p, N_FUNC);
    struct nodes list = NODES_INIT(list);
    advance(p);
    while (!at_eof(p) && !at_op(p, OP1(':')) && cur(p)->kind != TOK_NEWLINE) {
        if (cur(p)->kind == TOK_NAME) {
            struct node *q = node_new(p, N_PARAM);
            q->sym = cur(p)->sym;
            advance(p);
            if (take_op(p, OP1('=')))
                q->a = parse_expr(p, 2);
            nodes_add(&list, node_end(p, q));
        } else {
            parse_skip(p);
        }
    }
    take_op(p, OP1(':'));
    n->list = list.head;
    n->flags |= NF_ARROW;
    n->b = parse_expr(p, 2);
    return node_end(p, n);
}

static struct node *py_decorated(struct parser *p)
{
    struct nodes list = NODES_INIT(list);
    while (take_op(p, OP1('@'))) {
        nodes_add(&list, parse_decorator(p));
        while (!at_eof(p) && cur(p)->kind != TOK_NEWLINE)
            parse_skip(p);
        parse_newlines(p);
    }
    p->decorators = list.head;
    struct node *n = parse_stmt(p);
    p->decorators = NULL;
    return n;
}

static struct node *py_simple(struct parser *p, uint32_t sym)
{
    struct node *n;
    switch (sym) {
    case KW_return: case KW_raise:
        n = node_new(p, sym == KW_return ? N_RETURN : N_THROW);
        advance(p);
        if (cur(p)->kind != TOK_NEWLINE)
            n->a = parse_expr_list(p);
        if (take_kw(p, KW_from))
            parse_expr(p, 0);
        return node_end(p, n);
    case KW_break: case KW_continue:
        n = node_new(p, sym == KW_break ? N_BREAK : N_CONTINUE);
        advance(p);
        return node_end(p, n);
    case KW_pass:
        advance(p);
        return NULL;
    case KW_global: case KW_nonlocal:
        while (!at_eof(p) && cur(p)->kind != TOK_NEWLINE)
            advance(p);
        return NULL;
    default:
        return NULL;
    }
}

/* x: T = v */
static struct node *annotated(struct parser *p, struct node *target)
{
    advance(p);
    struct node *d = node_new(p, N_ASSIGN);
    d->tok = target->tok;
    d->op = OP1('=');
    d->flags = NF_DECL;
    d->a = target;
    d->c = parse_expr(p, 2);
    if (take_op(p, OP1('=')))
        d->b = parse_expr_list(p);
    return node_end(p, d);
}

static bool soft_match(const struct parser *p)
{
    const struct token *t1 = ahead(p, 1);
    if (t1->kind == TOK_OP && t1->op != OP1('(') && t1->op != OP1('['))
        return false;
    for (uint32_t k = p->pos; k < p->count && p->toks[k].kind != TOK_NEWLINE; k++)
        if (is_op(&p->toks[k], OP1(':')) && p->toks[k + 1].kind == TOK_NEWLINE)
            return true;
    return false;
}

struct node *parse_py_stmt(struct parser *p)
{
    parse_newlines(p);
    take_op(p, OP1(';'));
    if (cur(p)->kind == TOK_DEDENT) /* ends the block around it */
        return NULL;
    if (cur(p)->kind == TOK_INDENT) {
        advance(p);
        return NULL;
    }
    if (at_op(p, OP1('@')) && !p->pattern)
        return py_decorated(p);
    uint32_t sym = cur(p)->kind == TOK_NAME ? cur(p)->sym : 0;
    if (sym == KW_async && (is_kw(ahead(p, 1), KW_def) || is_kw(ahead(p, 1), KW_for) || is_kw(ahead(p, 1), KW_with))) {
        advance(p);
        sym = cur(p)->sym;
    }
    switch (sym) {
    case KW_if:
        return py_if(p);
    case KW_for: case KW_while:
        return py_loop(p);
    case KW_try:
        return py_try(p);
    case KW_with:
        return py_with(p);
    case KW_def:
        return py_def(p);
    case KW_class:
        return py_class(p);
    case KW_import:
        return py_import(p);
    case KW_from:
        return py_from(p);
    case KW_match:
        if (soft_match(p))
            return py_match(p);
        break;
    case KW_else: case KW_elif: case KW_except: case KW_finally: /* stray: keep what is inside */
        advance(p);
        while (!at_eof(p) && !at_op(p, OP1(':')) && cur(p)->kind != TOK_NEWLINE)
            parse_skip(p);
        return py_block(p);
    default:
        break;
    }
    uint32_t before = p->pos;
    struct node *n = py_simple(p, sym);
    if (n || p->pos != before)
        return n;
    if (sym == KW_assert || sym == KW_del) {
        advance(p);
        struct node *c = node_new(p, N_CALL);
        c->a = node_new(p, N_NAME);
        c->a->sym = sym;
        c->tok = before;
        c->list = parse_expr(p, 0);
        if (take_op(p, OP1(',')))
            parse_expr(p, 0);
        return node_end(p, c);
    }
    n = parse_expr_list(p);
    if (n && at_op(p, OP1(':')) && !p->pattern)
        n = annotated(p, n);
    take_op(p, OP1(';'));
    return n;
}
