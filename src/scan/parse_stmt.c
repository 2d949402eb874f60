/* Statements of the languages with braces. Nothing is demanded: a missing ';' or bracket costs nothing but itself. */
#include "scan/parse_internal.h"

static bool stmt_over(const struct parser *p)
{
    return at_eof(p) || at_op(p, OP1('}')) || at_op(p, OP1(';'));
}

struct node *parse_braces(struct parser *p, bool class_body)
{
    struct node *n = node_new(p, N_BLOCK);
    if (!parse_enter(p)) {
        parse_skip(p);
        return node_end(p, n);
    }
    bool in_class = p->in_class, no_brace = p->no_brace, brackets = p->in_brackets, no_in = p->no_in;
    p->in_class = class_body;
    p->no_brace = p->in_brackets = p->no_in = false;
    uint32_t close = cur(p)->match;
    advance(p);
    struct nodes list = NODES_INIT(list);
    while (!at_eof(p) && !at_op(p, OP1('}'))) {
        uint32_t before = p->pos;
        nodes_add(&list, parse_stmt(p));
        if (p->pos == before)
            advance(p);
    }
    if (close > p->pos && at_op(p, OP1('}')) && close != p->pos && close < p->count)
        p->pos = close;
    take_op(p, OP1('}'));
    p->in_class = in_class;
    p->no_brace = no_brace;
    p->in_brackets = brackets;
    p->no_in = no_in;
    n->list = list.head;
    parse_leave(p);
    return node_end(p, n);
}

/* PHP: "if (x): ... endif;" */
static struct node *colon_block(struct parser *p)
{
    struct node *n = node_new(p, N_BLOCK);
    struct nodes list = NODES_INIT(list);
    advance(p);
    while (!at_eof(p) && !at_op(p, OP1('}'))) {
        uint32_t s = cur(p)->kind == TOK_NAME ? cur(p)->sym : 0;
        if (s == KW_endif || s == KW_endfor || s == KW_endforeach || s == KW_endwhile || s == KW_endswitch) {
            advance(p);
            take_op(p, OP1(';'));
            break;
        }
        if (s == KW_else || s == KW_elseif)
            break;
        uint32_t before = p->pos;
        nodes_add(&list, parse_stmt(p));
        if (p->pos == before)
            advance(p);
    }
    n->list = list.head;
    return node_end(p, n);
}

struct node *parse_block(struct parser *p)
{
    if (at_op(p, OP1('{')))
        return parse_braces(p, false);
    if (at_op(p, OP1(':')) && p->lang == LANG_PHP)
        return colon_block(p);
    struct node *n = node_new(p, N_BLOCK);
    if (!parse_enter(p)) {
        parse_skip(p);
        return node_end(p, n);
    }
    if (!take_op(p, OP1(';')))
        n->list = parse_stmt(p);
    parse_leave(p);
    return node_end(p, n);
}

/* The condition after if, while, switch: with or without brackets. */
static struct node *condition(struct parser *p)
{
    bool no_brace = p->no_brace;
    struct node *c;
    if (p->lang == LANG_GO) {
        p->no_brace = true;
        c = at_op(p, OP1('{')) ? NULL : parse_expr_list(p);
    } else {
        if (at_kw(p, KW_constexpr))
            advance(p);
        if (!at_op(p, OP1('(')))
            return NULL;
        uint32_t close = cur(p)->match;
        advance(p);
        struct node *d = is_typed(p) ? parse_typed_decl(p) : NULL; /* if (T x = ...) */
        if (d)
            take_op(p, OP1(';'));
        c = at_op(p, OP1(')')) ? d : parse_expr_list(p);
        if (close > p->pos)
            p->pos = close;
        take_op(p, OP1(')'));
    }
    p->no_brace = no_brace;
    return c;
}

static struct node *if_stmt(struct parser *p)
{
    struct node *n = node_new(p, N_IF);
    advance(p);
    n->a = condition(p);
    if (p->lang == LANG_GO && at_op(p, OP1(';'))) { /* if x := f(); x != nil */
        n->list = n->a;
        advance(p);
        n->a = condition(p);
    }
    n->b = parse_block(p);
    if (at_kw(p, KW_elseif) || (at_kw(p, KW_else) && is_kw(ahead(p, 1), KW_if))) {
        if (at_kw(p, KW_else))
            advance(p);
        if (parse_enter(p)) {
            n->c = if_stmt(p);
            parse_leave(p);
        }
    } else if (take_kw(p, KW_else)) {
        n->c = parse_block(p);
    }
    return node_end(p, n);
}

/* for (x of y), for (T x : y), foreach ($a as $k => $v): NULL if it is the other kind. */
static struct node *for_each(struct parser *p, uint32_t close)
{
    uint32_t save = p->pos;
    struct node *n = node_new(p, N_FOREACH);
    if (p->lang == LANG_PHP) {
        n->b = parse_expr(p, 0);
        if (!take_kw(p, KW_as)) {
            p->pos = save;
            return NULL;
        }
        bool brackets = p->in_brackets;
        p->in_brackets = true;
        take_op(p, OP1('&'));
        n->a = parse_expr(p, 0);
        p->in_brackets = brackets;
    } else if (is_js(p)) {
        if (at_kw(p, KW_const) || at_kw(p, KW_let) || at_kw(p, KW_var))
            advance(p);
        p->no_in = true;
        n->a = parse_expr(p, 2);
        p->no_in = false;
        if (!at_kw(p, KW_of) && !at_kw(p, KW_in)) {
            p->pos = save;
            return NULL;
        }
        advance(p);
        n->b = parse_expr(p, 0);
    } else {
        uint32_t e = parse_scan_type(p, p->pos);
        const struct token *t = e > p->pos ? &p->toks[e + 1] : NULL;
        if (!t || p->toks[e].kind != TOK_NAME || !(is_op(t, OP1(':')) || is_kw(t, KW_in)))
            return NULL;
        p->pos = e;
        n->a = node_new(p, N_NAME);
        n->a->sym = cur(p)->sym;
        p->pos += 2;
        n->b = parse_expr(p, 0);
    }
    if (close > p->pos)
        p->pos = close;
    take_op(p, OP1(')'));
    n->c = parse_block(p);
    return node_end(p, n);
}

static struct node *classic_for(struct parser *p, uint32_t close)
{
    struct node *n = node_new(p, N_LOOP);
    if (!at_op(p, OP1(';')))
        n->list = parse_stmt(p); /* takes the ';' */
    else
        advance(p);
    if (!at_op(p, OP1(';')))
        n->a = parse_expr_list(p);
    take_op(p, OP1(';'));
    if (!at_op(p, OP1(')')))
        n->c = parse_expr_list(p);
    if (close > p->pos)
        p->pos = close;
    take_op(p, OP1(')'));
    n->b = parse_block(p);
    return node_end(p, n);
}

/* Go: for {}, for c {}, for a; b; c {}, for k, v := range x {} */
static struct node *go_for(struct parser *p)
{
    struct node *n = node_new(p, N_LOOP);
    bool no_brace = p->no_brace;
    p->no_brace = true;
    uint32_t k = p->pos;
    while (k + 1 < p->count && !is_op(&p->toks[k], OP1('{')) && !is_kw(&p->toks[k], KW_range) && k < p->pos + 32)
        k++;
    if (is_kw(&p->toks[k], KW_range)) {
        n->kind = N_FOREACH;
        uint32_t end = k;
        n->a = p->pos < k ? parse_expr(p, 2) : NULL;
        struct nodes targets = NODES_INIT(targets);
        if (n->a && at_op(p, OP1(','))) {
            struct node *seq = node_new(p, N_SEQ);
            nodes_add(&targets, n->a);
            while (take_op(p, OP1(',')))
                nodes_add(&targets, parse_expr(p, 2));
            seq->list = targets.head;
            n->a = seq;
        }
        p->pos = end + 1;
        n->b = parse_expr(p, 0);
        p->no_brace = no_brace;
        n->c = parse_block(p);
        return node_end(p, n);
    }
    if (!at_op(p, OP1('{'))) {
        struct node *first = at_op(p, OP1(';')) ? NULL : parse_expr_list(p);
        if (take_op(p, OP1(';'))) {
            n->list = first;
            n->a = at_op(p, OP1(';')) ? NULL : parse_expr_list(p);
            take_op(p, OP1(';'));
            n->c = at_op(p, OP1('{')) ? NULL : parse_expr_list(p);
        } else {
            n->a = first;
        }
    }
    p->no_brace = no_brace;
    n->b = parse_block(p);
    return node_end(p, n);
}

static struct node *for_stmt(struct parser *p)
{
    uint32_t start = p->pos;
    advance(p);
    take_kw(p, KW_await);
    if (p->lang == LANG_GO) {
        struct node *g = go_for(p);
        g->tok = start;
        return g;
    }
    if (!at_op(p, OP1('(')))
        return NULL;
    uint32_t close = cur(p)->match;
    advance(p);
    struct node *n = for_each(p, close);
    if (!n)
        n = classic_for(p, close);
    n->tok = start;
    return n;
}

static struct node *while_stmt(struct parser *p)
{
    struct node *n = node_new(p, N_LOOP);
    advance(p);
    n->a = condition(p);
    n->b = parse_block(p);
    return node_end(p, n);
}

static struct node *do_stmt(struct parser *p)
{
    struct node *n = node_new(p, N_LOOP);
    advance(p);
    n->b = parse_block(p);
    if (take_kw(p, KW_while))
        n->c = condition(p); /* comes after the body */
    take_op(p, OP1(';'));
    return node_end(p, n);
}

static struct node *try_stmt(struct parser *p)
{
    struct node *n = node_new(p, N_TRY);
    struct nodes handlers = NODES_INIT(handlers), resources = NODES_INIT(resources);
    advance(p);
    if (at_op(p, OP1('('))) { /* Java: try (resources) */
        uint32_t close = cur(p)->match;
        advance(p);
        while (!at_eof(p) && p->pos < close) {
            uint32_t before = p->pos;
            nodes_add(&resources, parse_stmt(p));
            if (p->pos == before)
                advance(p);
        }
        take_op(p, OP1(')'));
    }
    n->b = parse_block(p);
    if (resources.head && n->b) {
        nodes_add(&resources, n->b->list);
        n->b->list = resources.head;
    }
    while (at_kw(p, KW_catch)) {
        advance(p);
        if (at_op(p, OP1('(')))
            parse_skip(p);
        if (at_kw(p, KW_when)) {
            advance(p);
            parse_skip(p);
        }
        nodes_add(&handlers, parse_block(p));
    }
    if (take_kw(p, KW_finally))
        n->c = parse_block(p);
    n->list = handlers.head;
    return node_end(p, n);
}

static struct node *case_body(struct parser *p)
{
    struct node *b = node_new(p, N_BLOCK);
    struct nodes list = NODES_INIT(list);
    while (!at_eof(p) && !at_op(p, OP1('}')) && !at_kw(p, KW_case) &&
           !(at_kw(p, KW_default) && (is_op(ahead(p, 1), OP1(':')) || is_op(ahead(p, 1), OP2('-', '>'))))) {
        uint32_t before = p->pos;
        nodes_add(&list, parse_stmt(p));
        if (p->pos == before)
            advance(p);
    }
    b->list = list.head;
    return node_end(p, b);
}

static struct node *switch_stmt(struct parser *p)
{
    struct node *n = node_new(p, N_SWITCH);
    advance(p);
    if (!at_op(p, OP1('{')))
        n->a = condition(p);
    if (p->lang == LANG_GO && at_op(p, OP1(';'))) {
        advance(p);
        n->a = at_op(p, OP1('{')) ? NULL : condition(p);
    }
    bool colon = at_op(p, OP1(':'));
    if (!at_op(p, OP1('{')) && !colon)
        return node_end(p, n);
    advance(p);
    bool no_brace = p->no_brace;
    p->no_brace = false;
    struct nodes list = NODES_INIT(list);
    while (!at_eof(p) && !at_op(p, OP1('}')) && !at_kw(p, KW_endswitch)) {
        uint32_t before = p->pos;
        struct node *c = node_new(p, N_CASE);
        bool is_default = !take_kw(p, KW_case) && take_kw(p, KW_default);
        if (!is_default && !at_op(p, OP1(':')))
            c->a = parse_expr_list(p);
        if (at_kw(p, KW_when)) {
            advance(p);
            parse_expr(p, 2);
        }
        if (take_op(p, OP2('-', '>'))) {
            c->b = parse_block(p);
            take_op(p, OP1(';'));
        } else {
            take_op(p, OP1(':'));
            c->b = case_body(p);
            if (p->lang != LANG_GO)
                c->flags |= NF_FALLTHROUGH;
        }
        nodes_add(&list, node_end(p, c));
        if (p->pos == before)
            parse_skip(p);
    }
    advance(p);
    p->no_brace = no_brace;
    n->list = list.head;
    return node_end(p, n);
}

/* const x = 1, {y} = z; PHP: global $x; const X = 1; C#: var x = 1; Go: var, const */
static struct node *var_stmt(struct parser *p)
{
    bool constant = at_kw(p, KW_const);
    uint32_t start = p->pos;
    advance(p);
    if (at_kw(p, KW_enum))
        return parse_class(p);
    struct nodes list = NODES_INIT(list);
    do {
        struct node *d = node_new(p, N_ASSIGN);
        d->flags = (uint16_t)(NF_DECL | (constant ? NF_STATIC : 0));
        d->op = OP1('=');
        d->a = parse_prefix(p);
        if (!d->a)
            break;
        if (is_js(p) && (at_op(p, OP1(':')) || at_op(p, OP1('!')))) {
            take_op(p, OP1('!'));
            advance(p);
            uint32_t at = p->pos;
            d->c = parse_type_path(p);
            p->pos = at;
            parse_skip_ts_type(p);
        }
        if (take_op(p, OP1('=')))
            d->b = parse_expr(p, 1);
        if (!list.head)
            d->tok = start;
        nodes_add(&list, node_end(p, d));
    } while (take_op(p, OP1(',')));
    take_op(p, OP1(';'));
    return list.head;
}

static struct node *return_stmt(struct parser *p)
{
    struct node *n = node_new(p, at_kw(p, KW_throw) ? N_THROW : N_RETURN);
    advance(p);
    bool same_line = !(cur(p)->flags & TOKF_NEWLINE) || !(is_js(p) || p->lang == LANG_GO);
    if (!stmt_over(p) && same_line)
        n->a = parse_expr_list(p);
    take_op(p, OP1(';'));
    return node_end(p, n);
}

static struct node *jump_stmt(struct parser *p)
{
    struct node *n = node_new(p, at_kw(p, KW_continue) ? N_CONTINUE : at_kw(p, KW_goto) ? N_RETURN : N_BREAK);
    advance(p);
    if (n->kind == N_RETURN) {
        n->flags = NF_JUMP;
        n->sym = cur(p)->sym;
    }
    if (cur(p)->kind == TOK_NAME && !(cur(p)->flags & TOKF_NEWLINE))
        advance(p);
    else if (cur(p)->kind == TOK_NUMBER)
        advance(p);
    take_op(p, OP1(';'));
    return node_end(p, n);
}

/* A method or field of a JavaScript or PHP class; NULL: something else. */
static struct node *member_stmt(struct parser *p)
{
    uint32_t save = p->pos, start = p->pos;
    bool constant = false;
    while (cur(p)->kind == TOK_NAME && !is_op(ahead(p, 1), OP1('(')) && !is_op(ahead(p, 1), OP1('=')) &&
           (at_kw(p, KW_public) || at_kw(p, KW_private) || at_kw(p, KW_protected) || at_kw(p, KW_static) ||
            at_kw(p, KW_readonly) || at_kw(p, KW_abstract) || at_kw(p, KW_final) || at_kw(p, KW_override) ||
            at_kw(p, KW_async) || at_kw(p, KW_get) || at_kw(p, KW_set) || at_kw(p, KW_var) || at_kw(p, KW_const) ||
            at_kw(p, KW_declare))) {
        constant |= at_kw(p, KW_const) || at_kw(p, KW_static);
        advance(p);
    }
    if (take_op(p, OP1('*'))) {
    }
    if (p->lang == LANG_PHP && take_kw(p, KW_function)) {
        take_op(p, OP1('&'));
        uint32_t name = cur(p)->sym;
        advance(p);
        struct node *f = parse_function(p, name);
        f->tok = start;
        return f;
    }
    if (p->lang == LANG_PHP) /* the type of a property */
        while (!at_eof(p) && p->pos < save + 8 && !stmt_over(p) &&
               (ahead(p, 1)->kind == TOK_NAME || at_op(p, OP1('?')) || at_op(p, OP1('|'))))
            advance(p);
    const struct token *t1 = ahead(p, 1);
    uint32_t name = cur(p)->sym;
    if (cur(p)->kind != TOK_NAME && cur(p)->kind != TOK_STRING) {
        p->pos = save;
        return NULL;
    }
    if (is_js(p) && (is_op(t1, OP1('(')) || is_op(t1, OP1('<')))) {
        advance(p);
        while (!at_eof(p) && !at_op(p, OP1('(')) && p->pos < save + 24)
            advance(p);
        struct node *f = parse_function(p, name);
        f->tok = start;
        take_op(p, OP1(';'));
        return f;
    }
    if (!is_op(t1, OP1('=')) && !is_op(t1, OP1(':')) && !is_op(t1, OP1(';')) && !is_op(t1, OP1('?')) && !is_op(t1, OP1('!'))) {
        p->pos = save;
        return NULL;
    }
    struct node *d = node_new(p, N_ASSIGN);
    d->flags = (uint16_t)(NF_DECL | (constant ? NF_STATIC : 0));
    d->op = OP1('=');
    d->tok = start;
    d->a = node_new(p, N_NAME);
    d->a->sym = name;
    advance(p);
    d->a->tok_end = p->pos;
    if (at_op(p, OP1('?')) || at_op(p, OP1('!')))
        advance(p);
    if (take_op(p, OP1(':')))
        parse_skip_ts_type(p);
    if (take_op(p, OP1('=')))
        d->b = parse_expr(p, 1);
    take_op(p, OP1(';'));
    p->decorators = NULL;
    return node_end(p, d);
}

static struct node *define_stmt(struct parser *p)
{
    struct node *d = node_new(p, N_ASSIGN);
    d->flags = NF_DECL | NF_STATIC;
    d->op = OP1('=');
    d->a = node_new(p, N_NAME);
    d->a->sym = cur(p)->sym;
    advance(p);
    d->b = at_op(p, OP1(';')) ? NULL : parse_expr(p, 0);
    while (!at_eof(p) && !at_op(p, OP1(';')) && !(cur(p)->flags & TOKF_NEWLINE))
        advance(p);
    take_op(p, OP1(';'));
    return node_end(p, d);
}

static struct node *html_stmt(struct parser *p)
{
    advance(p);
    return NULL;
}

static struct node *decorated(struct parser *p)
{
    struct nodes list = NODES_INIT(list);
    nodes_add(&list, p->decorators);
    if (at_op(p, OP1('@'))) {
        advance(p);
        nodes_add(&list, parse_decorator(p));
    } else { /* C# [X(...)], PHP #[X(...)] */
        if (at_op(p, OP1('#')))
            advance(p);
        if (!take_op(p, OP1('[')))
            return NULL;
        nodes_add(&list, parse_args(p, OP1(']')));
    }
    p->decorators = list.head;
    if (at_eof(p) || !parse_enter(p))
        return NULL;
    struct node *n = parse_stmt(p);
    parse_leave(p);
    p->decorators = NULL;
    return n;
}

static struct node *export_stmt(struct parser *p)
{
    advance(p);
    take_kw(p, KW_default);
    if (at_op(p, OP1('{')) || at_op(p, OP1('*'))) {
        parse_skip(p);
        return NULL;
    }
    return parse_stmt(p);
}

/* type X = ..., declare ..., interface X {...}: only types */
static struct node *ts_type_stmt(struct parser *p)
{
    bool alias = at_kw(p, KW_type);
    advance(p);
    while (!at_eof(p) && !at_op(p, OP1('=')) && !at_op(p, OP1('{')) && !at_op(p, OP1(';')))
        advance(p);
    if (alias && take_op(p, OP1('=')))
        parse_skip_ts_type(p);
    else if (at_op(p, OP1('{')))
        parse_skip(p);
    take_op(p, OP1(';'));
    return NULL;
}

static struct node *c_word(struct parser *p, uint32_t sym)
{
    if (sym == KW_typedef) {
        while (!at_eof(p) && !at_op(p, OP1(';')))
            parse_skip(p);
        return NULL;
    }
    if (sym == KW_template) {
        advance(p);
        if (at_op(p, OP1('<'))) {
            int depth = 0;
            do {
                depth += at_op(p, OP1('<')) ? 1 : at_op(p, OP1('>')) ? -1 : at_op(p, OP2('>', '>')) ? -2 : 0;
                advance(p);
            } while (!at_eof(p) && depth > 0);
        }
        return parse_stmt(p);
    }
    if ((sym == KW_public || sym == KW_private || sym == KW_protected) && is_op(ahead(p, 1), OP1(':'))) {
        advance(p);
        advance(p);
        return NULL;
    }
    if (sym == KW_extern && ahead(p, 1)->kind == TOK_STRING && is_op(ahead(p, 2), OP1('{'))) {
        p->pos += 2;
        return parse_braces(p, false);
    }
    return NULL;
}

static bool class_follows(const struct parser *p)
{
    uint32_t k = 0;
    const struct token *t = cur(p);
    while (t->kind == TOK_NAME && k < 8 && (t->sym == KW_public || t->sym == KW_private || t->sym == KW_protected ||
           t->sym == KW_internal || t->sym == KW_static || t->sym == KW_abstract || t->sym == KW_final ||
           t->sym == KW_sealed || t->sym == KW_partial || t->sym == KW_readonly || t->sym == KW_unsigned))
        t = ahead(p, ++k);
    const struct token *t1 = ahead(p, k + 1), *t2 = ahead(p, k + 2);
    if (t->kind != TOK_NAME)
        return false;
    switch (t->sym) {
    case KW_class: case KW_trait: case KW_namespace:
        return t1->kind == TOK_NAME || is_op(t1, OP1('{'));
    case KW_interface: case KW_record:
        return t1->kind == TOK_NAME && (is_op(t2, OP1('{')) || is_op(t2, OP1('(')) || is_op(t2, OP1('<')) ||
                                        is_op(t2, OP1(':')) || t2->kind == TOK_NAME);
    case KW_struct: case KW_enum: case KW_union:
        return (t1->kind == TOK_NAME && (is_op(t2, OP1('{')) || is_op(t2, OP1(':')))) || is_op(t1, OP1('{')) ||
               is_kw(t1, KW_class);
    default:
        return false;
    }
}

static struct node *class_stmt(struct parser *p)
{
    if (!class_follows(p))
        return NULL;
    uint32_t start = p->pos;
    while (cur(p)->kind == TOK_NAME && cur(p)->sym != KW_class && cur(p)->sym != KW_interface && cur(p)->sym != KW_trait &&
           cur(p)->sym != KW_namespace && cur(p)->sym != KW_struct && cur(p)->sym != KW_enum && cur(p)->sym != KW_union &&
           cur(p)->sym != KW_record)
        advance(p);
    if (at_kw(p, KW_enum) || (at_kw(p, KW_interface) && is_js(p))) { /* names only, but Java's enums have methods */
        if (p->lang != LANG_JAVA) {
            while (!at_eof(p) && !at_op(p, OP1('{')) && !at_op(p, OP1(';')))
                advance(p);
            parse_skip(p);
            take_op(p, OP1(';'));
            return NULL;
        }
    }
    bool space = at_kw(p, KW_namespace);
    struct node *n = parse_class(p);
    n->tok = start;
    if (space && n->b) { /* its names are not a class's own */
        n->b->tok = n->tok;
        return n->b;
    }
    if (is_c(p))
        take_op(p, OP1(';'));
    return n;
}

/* C#: using (T x = ...) {...}; using T x = ...; Java: synchronized (x) {...} */
static struct node *scoped_stmt(struct parser *p)
{
    if (!is_op(ahead(p, 1), OP1('('))) {
        advance(p);
        return parse_stmt(p);
    }
    uint32_t close = ahead(p, 1)->match;
    advance(p);
    advance(p);
    struct node *n = node_new(p, N_BLOCK);
    struct nodes list = NODES_INIT(list);
    nodes_add(&list, parse_stmt(p));
    if (close > p->pos)
        p->pos = close;
    take_op(p, OP1(')'));
    nodes_add(&list, parse_block(p));
    n->list = list.head;
    return node_end(p, n);
}

static struct node *declaring_stmt(struct parser *p, uint32_t sym, bool *ret_taken)
{
    const struct token *t1 = ahead(p, 1);
    switch (sym) {
    case KW_func:
        if (p->lang == LANG_GO)
            return parse_go_func(p);
        break;
    case KW_type:
        if (p->lang == LANG_GO)
            return parse_go_type(p);
        if (p->lang == LANG_TYPESCRIPT && t1->kind == TOK_NAME)
            return ts_type_stmt(p);
        break;
    case KW_var: case KW_const:
        if (p->lang == LANG_GO)
            return parse_go_decl(p);
        if (is_js(p) || p->lang == LANG_PHP)
            return var_stmt(p);
        break;
    case KW_let:
        if (is_js(p) && (t1->kind == TOK_NAME || is_op(t1, OP1('{')) || is_op(t1, OP1('['))))
            return var_stmt(p);
        break;
    case KW_export:
        if (is_js(p))
            return export_stmt(p);
        break;
    case KW_package: case KW_namespace:
        if (t1->kind == TOK_NAME && !class_follows(p)) {
            while (!at_eof(p) && !at_op(p, OP1(';')) && !(p->pos > 0 && cur(p)->flags & TOKF_NEWLINE && cur(p)->sym != sym))
                advance(p);
            take_op(p, OP1(';'));
            return NULL;
        }
        break;
    case KW_global: case KW_static:
        if (p->lang == LANG_PHP && t1->kind == TOK_NAME && symtab_name(&p->sx->syms, t1->sym)[0] == '$') {
            advance(p);
            return parse_stmt(p);
        }
        break;
    default:
        break;
    }
    *ret_taken = false;
    return NULL;
}

static struct node *keyword_stmt(struct parser *p, uint32_t sym, bool *ret_taken)
{
    const struct token *t1 = ahead(p, 1);
    *ret_taken = true;
    switch (sym) {
    case KW_if:
        return if_stmt(p);
    case KW_for: case KW_foreach:
        if (is_op(t1, OP1('(')) || p->lang == LANG_GO || is_kw(t1, KW_await))
            return for_stmt(p);
        break;
    case KW_while:
        return while_stmt(p);
    case KW_do:
        if (is_op(t1, OP1('{')))
            return do_stmt(p);
        break;
    case KW_switch: case KW_select:
        if ((is_op(t1, OP1('(')) && sym == KW_switch) || p->lang == LANG_GO)
            return switch_stmt(p);
        break;
    case KW_try:
        if (is_op(t1, OP1('{')) || is_op(t1, OP1('(')))
            return try_stmt(p);
        break;
    case KW_return: case KW_throw:
        return return_stmt(p);
    case KW_break: case KW_continue: case KW_goto:
        return jump_stmt(p);
    case KW_lock: case KW_using: case KW_synchronized: case KW_fixed: case KW_declare:
        if (is_op(t1, OP1('(')) || sym == KW_using || (sym == KW_declare && p->lang == LANG_TYPESCRIPT))
            return scoped_stmt(p);
        break;
    case KW_function:
        if (is_js(p) || p->lang == LANG_PHP) {
            struct node *f = parse_function_expr(p);
            return f;
        }
        break;
    case KW_async:
        if (is_kw(t1, KW_function)) {
            advance(p);
            return parse_function_expr(p);
        }
        break;
    default:
        break;
    }
    return declaring_stmt(p, sym, ret_taken);
}

static struct node *name_stmt(struct parser *p)
{
    uint32_t sym = cur(p)->sym, before = p->pos;
    bool taken;
    struct node *n = parse_import(p);
    if (n)
        return n;
    if (p->in_class && (is_js(p) || p->lang == LANG_PHP)) {
        n = member_stmt(p);
        if (n)
            return n;
    }
    n = class_stmt(p);
    if (n || p->pos != before)
        return n;
    n = keyword_stmt(p, sym, &taken);
    if (taken)
        return n;
    if (is_c(p)) {
        n = c_word(p, sym);
        if (n || p->pos != before)
            return n;
    }
    if (is_typed(p)) {
        n = parse_typed_decl(p);
        if (n) {
            take_op(p, OP1(';'));
            return n;
        }
    }
    if (is_op(ahead(p, 1), OP1(':')) && !p->pattern && p->lang != LANG_RUBY && !is_op(ahead(p, 1), OP2(':', ':'))) {
        struct node *label = is_c(p) ? node_new(p, N_CASE) : NULL;
        if (label)
            label->sym = cur(p)->sym;
        advance(p);
        advance(p);
        return label ? node_end(p, label) : NULL;
    }
    return NULL;
}

struct node *parse_stmt(struct parser *p)
{
    if (!parse_enter(p)) {
        parse_skip(p);
        return NULL;
    }
    struct node *n = NULL;
    uint32_t before = p->pos;
    if (p->lang == LANG_PYTHON) {
        n = parse_py_stmt(p);
    } else if (p->lang == LANG_RUBY) {
        n = parse_rb_stmt(p);
    } else if (cur(p)->kind == TOK_HTML) {
        n = html_stmt(p);
    } else if (cur(p)->kind == TOK_DEFINE) {
        n = define_stmt(p);
    } else if (at_op(p, OP1('{')) && !p->pattern) {
        n = parse_braces(p, p->in_class);
    } else if (take_op(p, OP1(';'))) {
        n = NULL;
    } else if ((at_op(p, OP1('@')) && p->lang != LANG_PHP) || (p->lang == LANG_CSHARP && at_op(p, OP1('['))) ||
               (p->lang == LANG_PHP && at_op(p, OP1('#')))) {
        n = decorated(p);
    } else {
        if (cur(p)->kind == TOK_NAME)
            n = name_stmt(p);
        if (p->pos == before && !n) {
            n = parse_expr_list(p);
            take_op(p, OP1(';'));
        }
    }
    parse_leave(p);
    return n;
}
