/* Ruby: bodies up to "end", calls without brackets, blocks, modifiers. */
#include "scan/parse_internal.h"

static bool ends_body(const struct parser *p)
{
    if (at_eof(p) || at_op(p, OP1('}')))
        return true;
    if (cur(p)->kind != TOK_NAME)
        return false;
    switch (cur(p)->sym) {
    case KW_end: case KW_else: case KW_elsif: case KW_rescue: case KW_ensure: case KW_when:
        return true;
    case KW_in:
        return (cur(p)->flags & TOKF_NEWLINE) != 0;
    default:
        return false;
    }
}

struct node *parse_rb_body(struct parser *p)
{
    struct node *n = node_new(p, N_BLOCK);
    struct nodes list = NODES_INIT(list);
    bool brackets = p->in_brackets, no_block = p->no_block;
    p->in_brackets = p->no_block = false;
    parse_newlines(p);
    while (!ends_body(p)) {
        uint32_t before = p->pos;
        nodes_add(&list, parse_stmt(p));
        if (p->pos == before)
            advance(p);
        while (cur(p)->kind == TOK_NEWLINE || at_op(p, OP1(';')))
            advance(p);
    }
    p->in_brackets = brackets;
    p->no_block = no_block;
    n->list = list.head;
    return node_end(p, n);
}

/* A body with rescue, else, ensure, up to and with its "end". */
static struct node *guarded_body(struct parser *p)
{
    struct node *body = parse_rb_body(p);
    if (at_kw(p, KW_rescue) || at_kw(p, KW_ensure)) {
        struct node *t = node_new(p, N_TRY);
        struct nodes handlers = NODES_INIT(handlers);
        t->tok = body->tok;
        t->b = body;
        while (take_kw(p, KW_rescue)) {
            while (!at_eof(p) && cur(p)->kind != TOK_NEWLINE && !at_kw(p, KW_then))
                parse_skip(p);
            take_kw(p, KW_then);
            nodes_add(&handlers, parse_rb_body(p));
        }
        if (take_kw(p, KW_else))
            nodes_add(&handlers, parse_rb_body(p));
        if (take_kw(p, KW_ensure))
            t->c = parse_rb_body(p);
        t->list = handlers.head;
        body = node_new(p, N_BLOCK);
        body->tok = t->tok;
        body->list = node_end(p, t);
    }
    take_kw(p, KW_end);
    return node_end(p, body);
}

static struct node *condition(struct parser *p)
{
    bool no_block = p->no_block, brackets = p->in_brackets;
    p->no_block = true;
    p->in_brackets = false;
    struct node *c = parse_expr(p, 0);
    p->no_block = no_block;
    p->in_brackets = brackets;
    take_kw(p, KW_then);
    take_kw(p, KW_do);
    return c;
}

static struct node *negated(struct parser *p, struct node *c)
{
    struct node *n = node_new(p, N_UNARY);
    n->op = OP1('!');
    n->a = c;
    if (c)
        n->tok = c->tok;
    return n;
}

static struct node *rb_if(struct parser *p)
{
    struct node *n = node_new(p, N_IF);
    bool unless = at_kw(p, KW_unless);
    advance(p);
    n->a = condition(p);
    if (unless)
        n->a = negated(p, n->a);
    n->b = parse_rb_body(p);
    if (at_kw(p, KW_elsif)) {
        if (parse_enter(p)) {
            n->c = rb_if(p); /* takes the "end" */
            parse_leave(p);
        }
        return node_end(p, n);
    }
    if (take_kw(p, KW_else))
        n->c = parse_rb_body(p);
    take_kw(p, KW_end);
    return node_end(p, n);
}

static struct node *rb_loop(struct parser *p)
{
    struct node *n = node_new(p, N_LOOP);
    advance(p);
    n->a = condition(p);
    n->b = parse_rb_body(p);
    take_kw(p, KW_end);
    return node_end(p, n);
}

static struct node *rb_for(struct parser *p)
{
    struct node *n = node_new(p, N_FOREACH);
    advance(p);
    p->no_in = true;
    n->a = parse_expr_list(p);
    p->no_in = false;
    take_kw(p, KW_in);
    n->b = condition(p);
    n->c = parse_rb_body(p);
    take_kw(p, KW_end);
    return node_end(p, n);
}

static struct node *rb_case(struct parser *p)
{
    struct node *n = node_new(p, N_SWITCH);
    struct nodes list = NODES_INIT(list);
    advance(p);
    if (cur(p)->kind != TOK_NEWLINE)
        n->a = parse_expr(p, 0);
    parse_newlines(p);
    while (at_kw(p, KW_when) || at_kw(p, KW_in)) {
        struct node *c = node_new(p, N_CASE);
        advance(p);
        c->a = parse_expr_list(p);
        take_kw(p, KW_then);
        c->b = parse_rb_body(p);
        nodes_add(&list, node_end(p, c));
    }
    if (take_kw(p, KW_else)) {
        struct node *c = node_new(p, N_CASE);
        c->b = parse_rb_body(p);
        nodes_add(&list, node_end(p, c));
    }
    take_kw(p, KW_end);
    n->list = list.head;
    return node_end(p, n);
}

static struct node *rb_def(struct parser *p)
{
    struct node *n = node_new(p, N_FUNC);
    advance(p);
    if (at_kw(p, KW_self) && is_op(ahead(p, 1), OP1('.'))) {
        advance(p);
        advance(p);
    }
    n->sym = cur(p)->sym;
    if (cur(p)->kind != TOK_NEWLINE)
        advance(p);
    if (at_op(p, OP1('=')) && is_op(ahead(p, 1), OP1('('))) /* def x=(v) */
        advance(p);
    if (take_op(p, OP1('('))) {
        n->list = parse_params(p, OP1(')'));
    } else if (cur(p)->kind == TOK_NAME || at_op(p, OP1('*'))) {
        n->list = parse_params(p, OP1('\n')); /* ends at the line's end: below */
    }
    if (take_op(p, OP1('='))) { /* def x = expr */
        n->flags |= NF_ARROW;
        n->b = parse_expr(p, 0);
        return node_end(p, n);
    }
    n->b = guarded_body(p);
    return node_end(p, n);
}

static struct node *rb_class(struct parser *p)
{
    struct node *n = node_new(p, N_CLASS);
    advance(p);
    if (at_op(p, OP2('<', '<'))) { /* class << self */
        while (!at_eof(p) && cur(p)->kind != TOK_NEWLINE)
            advance(p);
    } else {
        struct node *path = parse_type_path(p);
        n->sym = path ? path->sym : 0;
        if (take_op(p, OP1('<')))
            n->list = parse_type_path(p);
    }
    n->b = guarded_body(p);
    return node_end(p, n);
}

struct node *parse_rb_block(struct parser *p)
{
    bool braces = at_op(p, OP1('{'));
    if (!braces && !(at_kw(p, KW_do) && !p->no_block))
        return NULL;
    if (!parse_enter(p)) {
        parse_skip(p);
        return NULL;
    }
    struct node *n = node_new(p, N_FUNC);
    bool no_block = p->no_block;
    p->no_block = false;
    advance(p);
    parse_newlines(p);
    if (take_op(p, OP1('|')))
        n->list = parse_params(p, OP1('|'));
    if (braces) {
        n->b = parse_rb_body(p);
        take_op(p, OP1('}'));
    } else {
        n->b = guarded_body(p);
    }
    p->no_block = no_block;
    parse_leave(p);
    return node_end(p, n);
}

/* Does a call without brackets begin after this callee? */
bool parse_rb_command(const struct parser *p, const struct node *callee)
{
    const struct token *t = cur(p), *t1 = ahead(p, 1);
    if (!(t->flags & TOKF_SPACE) || (t->flags & TOKF_NEWLINE))
        return false;
    if (callee->kind == N_NAME) {
        const char *name = symtab_name(&p->sx->syms, callee->sym);
        if (name[0] == '@' || name[0] == '$' || callee->sym == KW_self || (name[0] >= 'A' && name[0] <= 'Z' &&
                callee->flags == 0 &&
                                                                           t->kind != TOK_STRING && t->kind != TOK_STR_OPEN))
            return false;
    }
    switch (t->kind) {
    case TOK_STRING: case TOK_STR_OPEN: case TOK_NUMBER: case TOK_SYMBOL: case TOK_REGEX:
        return true;
    case TOK_NAME:
        switch (t->sym) {
        case KW_if: case KW_unless: case KW_while: case KW_until: case KW_and: case KW_or: case KW_do: case KW_then:
        case KW_rescue: case KW_end: case KW_in: case KW_else: case KW_ensure: case KW_when: case KW_elsif:
            return false;
        default:
            return true;
        }
    case TOK_OP:
        if (t->op == OP2('-', '>'))
            return true;
        if (t->op == OP1('[') || t->op == OP1('*') || t->op == OP1('&') || t->op == OP2('*', '*') || t->op == OP1('-') ||
            t->op == OP2(':', ':') || t->op == OP1('!'))
            return !(t1->flags & TOKF_SPACE);
        return false;
    default:
        return false;
    }
}

struct node *parse_rb_prefix(struct parser *p)
{
    if (at_op(p, OP2('-', '>'))) { /* ->(x) { } */
        struct node *n = node_new(p, N_FUNC);
        advance(p);
        if (take_op(p, OP1('(')))
            n->list = parse_params(p, OP1(')'));
        struct node *b = parse_rb_block(p);
        n->b = b ? b->b : NULL;
        return node_end(p, n);
    }
    if (cur(p)->kind != TOK_NAME || is_op(ahead(p, 1), OP1(':')))
        return NULL;
    if (p->pos > 0 && (is_op(cur(p) - 1, OP1('.')) || is_op(cur(p) - 1, OP2('&', '.'))))
        return NULL;
    switch (cur(p)->sym) {
    case KW_if: case KW_unless:
        return rb_if(p);
    case KW_case:
        return rb_case(p);
    case KW_while: case KW_until:
        return rb_loop(p);
    case KW_for:
        return rb_for(p);
    case KW_def:
        return rb_def(p);
    case KW_class: case KW_module:
        return rb_class(p);
    case KW_begin:
        advance(p);
        return guarded_body(p);
    case KW_not: case KW_defined: {
        struct node *n = node_new(p, N_UNARY);
        n->op = cur(p)->sym;
        advance(p);
        n->a = parse_expr(p, 6);
        return node_end(p, n);
    }
    case KW_return: case KW_next: case KW_break: {
        struct node *n = node_new(p, cur(p)->sym == KW_break ? N_BREAK : cur(p)->sym == KW_next ? N_CONTINUE : N_RETURN);
        advance(p);
        if (cur(p)->kind != TOK_NEWLINE && !at_kw(p, KW_if) && !at_kw(p, KW_unless) && !at_op(p, OP1('}')))
            n->a = parse_expr(p, 0);
        return node_end(p, n);
    }
    case KW_end: case KW_else: case KW_elsif: case KW_when: case KW_rescue: case KW_ensure: case KW_then: case KW_do:
        return NULL;
    default:
        return NULL;
    }
}

/* stmt if c; stmt unless c; stmt while c; stmt rescue x */
static struct node *modifier(struct parser *p, struct node *n)
{
    while (cur(p)->kind == TOK_NAME && !(cur(p)->flags & TOKF_NEWLINE)) {
        uint32_t sym = cur(p)->sym;
        if (sym == KW_if || sym == KW_unless) {
            struct node *i = node_new(p, N_IF);
            i->tok = n->tok;
            advance(p);
            struct node *c = parse_expr(p, 0);
            i->a = sym == KW_unless ? negated(p, c) : c;
            i->b = node_new(p, N_BLOCK);
            i->b->tok = n->tok;
            i->b->list = n;
            n = node_end(p, i);
        } else if (sym == KW_while || sym == KW_until || sym == KW_rescue) {
            advance(p);
            parse_expr(p, 0);
        } else {
            break;
        }
    }
    return n;
}

struct node *parse_rb_stmt(struct parser *p)
{
    while (cur(p)->kind == TOK_NEWLINE || at_op(p, OP1(';')))
        advance(p);
    if (at_eof(p) || at_kw(p, KW_end))
        return NULL;
    struct node *n = parse_expr_list(p);
    return n ? modifier(p, n) : NULL;
}
