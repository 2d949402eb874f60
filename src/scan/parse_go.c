/* Go's own declarations. */
#include "scan/parse_internal.h"

/* func (r *T) name(params) results {...}; func literals too. */
struct node *parse_go_func(struct parser *p)
{
    uint32_t start = p->pos, name = 0;
    struct node *receiver = NULL;
    advance(p);
    if (at_op(p, OP1('(')) && cur(p)->match > p->pos && p->toks[cur(p)->match + 1].kind == TOK_NAME &&
        is_op(&p->toks[cur(p)->match + 2], OP1('('))) {
        advance(p);
        receiver = parse_params(p, OP1(')'));
    }
    if (cur(p)->kind == TOK_NAME) {
        name = cur(p)->sym;
        advance(p);
        if (at_op(p, OP1('[')))
            parse_skip(p); /* type parameters */
    }
    struct node *f = parse_function(p, name);
    f->tok = start;
    if (receiver) {
        receiver->flags |= NF_STATIC; /* no argument of a call */
        receiver->next = f->list;
        f->list = receiver;
    }
    return f;
}

struct node *parse_go_type(struct parser *p)
{
    advance(p);
    if (at_op(p, OP1('('))) {
        parse_skip(p);
        return NULL;
    }
    advance(p);
    take_op(p, OP1('='));
    uint32_t e = parse_scan_type(p, p->pos);
    if (e > p->pos)
        p->pos = e;
    return NULL;
}

static struct node *one_decl(struct parser *p, bool constant)
{
    struct node *d = node_new(p, N_ASSIGN);
    d->flags = (uint16_t)(NF_DECL | (constant ? NF_STATIC : 0));
    d->op = OP1('=');
    d->a = node_new(p, N_NAME);
    d->a->sym = cur(p)->sym;
    advance(p);
    d->a->tok_end = p->pos;
    if (at_op(p, OP1(','))) {
        struct node *seq = node_new(p, N_SEQ);
        struct nodes list = NODES_INIT(list);
        nodes_add(&list, d->a);
        while (take_op(p, OP1(','))) {
            struct node *m = node_new(p, N_NAME);
            m->sym = cur(p)->sym;
            advance(p);
            nodes_add(&list, m);
        }
        seq->list = list.head;
        d->a = seq;
    }
    if (!at_op(p, OP1('=')) && !(cur(p)->flags & TOKF_NEWLINE)) {
        uint32_t e = parse_scan_type(p, p->pos);
        if (e > p->pos) {
            d->c = parse_type_path(p);
            p->pos = e;
        }
    }
    if (take_op(p, OP1('=')))
        d->b = parse_expr_list(p);
    return node_end(p, d);
}

struct node *parse_go_decl(struct parser *p)
{
    bool constant = at_kw(p, KW_const);
    uint32_t start = p->pos;
    advance(p);
    if (!take_op(p, OP1('('))) {
        if (cur(p)->kind != TOK_NAME)
            return NULL;
        struct node *d = one_decl(p, constant);
        d->tok = start;
        return d;
    }
    struct nodes list = NODES_INIT(list);
    while (!at_eof(p) && !take_op(p, OP1(')'))) {
        if (cur(p)->kind == TOK_NAME)
            nodes_add(&list, one_decl(p, constant));
        else
            parse_skip(p);
    }
    return list.head;
}
