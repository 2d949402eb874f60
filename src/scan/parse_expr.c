/* Expressions: one precedence table over the operators of all languages, and what follows a value. */
#include "scan/parse_internal.h"

#include <string.h>

#define CHAIN_MAX 400 /* links of one a.b.c or a + b + c: deeper trees are cut */

enum { P_ASSIGN = 1, P_COND, P_ELVIS, P_OR, P_AND, P_NOT, P_BITOR, P_BITXOR, P_BITAND, P_EQ, P_RANGE, P_SHIFT, P_ADD,
       P_MUL, P_POW, P_UNARY };

static const struct {
    uint32_t op;
    int prec;
} table[] = {
    {OP1('='), P_ASSIGN}, {OP2('+', '='), P_ASSIGN}, {OP2('-', '='), P_ASSIGN}, {OP2('*', '='), P_ASSIGN},
    {OP2('/', '='), P_ASSIGN}, {OP2('%', '='), P_ASSIGN}, {OP2('&', '='), P_ASSIGN}, {OP2('|', '='), P_ASSIGN},
    {OP2('^', '='), P_ASSIGN}, {OP2('.', '='), P_ASSIGN}, {OP3('*', '*', '='), P_ASSIGN},
    {OP3('<', '<', '='), P_ASSIGN}, {OP3('>', '>', '='), P_ASSIGN}, {OP4('>', '>', '>', '='), P_ASSIGN},
    {OP3('&', '&', '='), P_ASSIGN}, {OP3('|', '|', '='), P_ASSIGN}, {OP3('?', '?', '='), P_ASSIGN},
    {OP3('/', '/', '='), P_ASSIGN}, {OP3('&', '^', '='), P_ASSIGN}, {OP2('@', '='), P_ASSIGN},
    {OP2(':', '='), P_ASSIGN}, {OP1('?'), P_COND}, {OP2('?', '?'), P_ELVIS}, {OP2('?', ':'), P_ELVIS},
    {OP2('|', '|'), P_OR}, {OP2('&', '&'), P_AND}, {OP1('|'), P_BITOR}, {OP1('^'), P_BITXOR}, {OP1('&'), P_BITAND},
    {OP2('=', '='), P_EQ}, {OP2('!', '='), P_EQ}, {OP3('=', '=', '='), P_EQ}, {OP3('!', '=', '='), P_EQ},
    {OP3('<', '=', '>'), P_EQ}, {OP2('=', '~'), P_EQ}, {OP2('!', '~'), P_EQ}, {OP1('<'), P_EQ}, {OP1('>'), P_EQ},
    {OP2('<', '='), P_EQ}, {OP2('>', '='), P_EQ}, {OP2('.', '.'), P_RANGE}, {OP3('.', '.', '.'), P_RANGE},
    {OP2('<', '<'), P_SHIFT}, {OP2('>', '>'), P_SHIFT}, {OP3('>', '>', '>'), P_SHIFT}, {OP1('+'), P_ADD},
    {OP1('-'), P_ADD}, {OP1('*'), P_MUL}, {OP1('/'), P_MUL}, {OP1('%'), P_MUL}, {OP2('/', '/'), P_MUL},
    {OP1('@'), P_MUL}, {OP2('&', '^'), P_BITAND}, {OP2('*', '*'), P_POW}, {OP2('<', '-'), P_ASSIGN},
};

static int word_prec(const struct parser *p, const struct token *t)
{
    switch (t->sym) {
    case KW_and:
        return p->lang == LANG_PYTHON || p->lang == LANG_RUBY || p->lang == LANG_PHP || p->lang == LANG_CPP ? P_AND : 0;
    case KW_or: case KW_xor:
        return p->lang == LANG_PYTHON || p->lang == LANG_RUBY || p->lang == LANG_PHP || p->lang == LANG_CPP ? P_OR : 0;
    case KW_in:
        return (p->lang == LANG_PYTHON || is_js(p)) && !p->no_in ? P_EQ : 0;
    case KW_is:
        return p->lang == LANG_PYTHON || p->lang == LANG_CSHARP ? P_EQ : 0;
    case KW_not:
        return p->lang == LANG_PYTHON && is_kw(t + 1, KW_in) && !p->no_in ? P_EQ : 0;
    case KW_instanceof:
        return P_EQ;
    case KW_as:
        return p->lang == LANG_TYPESCRIPT || p->lang == LANG_CSHARP ? P_EQ : 0;
    case KW_satisfies:
        return p->lang == LANG_TYPESCRIPT ? P_EQ : 0;
    case KW_if:
        return p->lang == LANG_PYTHON && !p->no_in ? P_COND : 0;
    default:
        return 0;
    }
}

static int op_prec(const struct parser *p, const struct token *t)
{
    if (t->kind == TOK_NAME)
        return word_prec(p, t);
    if (t->kind != TOK_OP)
        return 0;
    if (t->op == OP1('.'))
        return p->lang == LANG_PHP ? P_ADD : 0;
    if (t->op == OP3('.', '.', '.') && p->lang != LANG_RUBY)
        return 0;
    if (t->op == OP1('?') && p->lang == LANG_PYTHON)
        return 0;
    if (p->lang == LANG_RUBY && (t->flags & TOKF_NEWLINE) && t->op != OP2('&', '&') && t->op != OP2('|', '|'))
        return 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].op == t->op)
            return table[i].prec;
    return 0;
}

struct node *parse_args(struct parser *p, uint32_t close)
{
    struct nodes list = NODES_INIT(list);
    bool brackets = p->in_brackets, no_brace = p->no_brace, no_in = p->no_in, no_block = p->no_block;
    p->in_brackets = true;
    p->no_brace = p->no_in = p->no_block = false;
    for (;;) {
        parse_newlines(p);
        if (at_eof(p) || take_op(p, close))
            break;
        if (take_op(p, OP1(',')))
            continue;
        if (is_op(cur(p), OP1(')')) || is_op(cur(p), OP1(']')) || is_op(cur(p), OP1('}')))
            break; /* another bracket's end: this one was never closed */
        uint32_t before = p->pos;
        struct node *e = parse_generator(p, parse_expr(p, 0));
        nodes_add(&list, e);
        if (p->pos == before)
            parse_skip(p);
    }
    p->in_brackets = brackets;
    p->no_brace = no_brace;
    p->no_in = no_in;
    p->no_block = no_block;
    return list.head;
}

/* key: value, key=value, key => value, **x; otherwise an expression. */
static struct node *named(struct parser *p)
{
    const struct token *t = cur(p), *t1 = ahead(p, 1);
    bool label = t->kind == TOK_NAME && is_op(t1, OP1(':')) && !(t1->flags & TOKF_SPACE && p->lang == LANG_RUBY) &&
                 (p->lang == LANG_RUBY || p->lang == LANG_CSHARP || p->lang == LANG_PHP || p->lang == LANG_GO) &&
                 p->in_brackets;
    bool equals = t->kind == TOK_NAME && is_op(t1, OP1('=')) && p->in_brackets && !is_js(p) && !is_c(p) &&
                  p->lang != LANG_GO && p->lang != LANG_RUBY && t->sym != KW_this;
    if (p->lang == LANG_PHP && equals)
        equals = false;
    if (is_c(p) && is_op(t, OP1('.')) && t1->kind == TOK_NAME && is_op(ahead(p, 2), OP1('='))) {
        advance(p);
        t = cur(p);
        equals = true; /* .member = value */
    }
    if (!label && !equals)
        return NULL;
    struct node *n = node_new(p, N_PAIR);
    n->sym = t->sym;
    advance(p);
    advance(p);
    n->b = parse_expr(p, P_ASSIGN);
    if (!n->b && p->lang == LANG_RUBY) { /* f(name:) */
        n->b = node_new(p, N_NAME);
        n->b->sym = n->sym;
        n->b->tok = n->tok;
    }
    return node_end(p, n);
}

static struct node *member(struct parser *p, struct node *left, uint16_t flags)
{
    struct node *n = node_new(p, N_MEMBER);
    n->a = left;
    n->tok = left->tok;
    n->flags = flags;
    const struct token *t = cur(p);
    if (t->kind == TOK_NAME) {
        n->sym = t->sym;
        if (p->lang == LANG_PHP && symtab_name(&p->sx->syms, t->sym)[0] == '$' && (flags & NF_STATIC) == 0) {
            n->kind = N_INDEX; /* $o->$name */
            n->b = node_new(p, N_NAME);
            n->b->sym = t->sym;
        }
        advance(p);
    } else if (at_op(p, OP1('{'))) { /* PHP: $o->{$x} */
        advance(p);
        n->kind = N_INDEX;
        n->b = parse_expr(p, 0);
        take_op(p, OP1('}'));
    } else if (at_op(p, OP1('('))) { /* Go: x.(T); Ruby: f.(x) */
        if (p->lang == LANG_GO) {
            parse_skip(p);
            n->kind = N_CAST;
            return node_end(p, n);
        }
        return left;
    } else if (at_op(p, OP1('*'))) {
        advance(p);
    }
    return node_end(p, n);
}

static struct node *call(struct parser *p, struct node *callee)
{
    struct node *n = node_new(p, N_CALL);
    n->a = callee;
    n->tok = callee->tok;
    advance(p);
    n->list = parse_args(p, OP1(')'));
    return node_end(p, n);
}

static struct node *subscript(struct parser *p, struct node *left)
{
    struct node *n = node_new(p, N_INDEX);
    n->a = left;
    n->tok = left->tok;
    advance(p);
    struct nodes rest = NODES_INIT(rest);
    bool brackets = p->in_brackets, no_brace = p->no_brace;
    p->in_brackets = true;
    p->no_brace = false;
    while (!at_eof(p) && !at_op(p, OP1(']')) && !at_op(p, OP1(')')) && !at_op(p, OP1('}'))) {
        parse_newlines(p);
        uint32_t before = p->pos;
        struct node *e = at_op(p, OP1(':')) || at_op(p, OP1(',')) ? NULL : parse_expr(p, 0);
        nodes_add(&rest, e);
        if (at_op(p, OP1(':')))
            n->flags |= NF_SAFE; /* a slice */
        if (p->pos == before)
            parse_skip(p);
    }
    take_op(p, OP1(']'));
    p->in_brackets = brackets;
    p->no_brace = no_brace;
    n->b = rest.head;
    n->list = rest.head ? rest.head->next : NULL;
    return node_end(p, n);
}

/* TypeScript and Java and C# and C++: f<T>(x). Skips the type arguments if a call follows. */
static bool type_args(struct parser *p)
{
    if (p->lang != LANG_TYPESCRIPT && p->lang != LANG_CSHARP && p->lang != LANG_CPP && p->lang != LANG_JAVA)
        return false;
    uint32_t i = p->pos + 1, depth = 1;
    for (uint32_t k = 0; k < 48 && i < p->count && depth; k++, i++) {
        const struct token *t = &p->toks[i];
        if (is_op(t, OP1('<')))
            depth++;
        else if (is_op(t, OP1('>')))
            depth--;
        else if (is_op(t, OP2('>', '>')))
            depth = depth > 2 ? depth - 2 : 0;
        else if (is_op(t, OP1('(')) || is_op(t, OP1('[')) || is_op(t, OP1('{')))
            i = t->match > i ? t->match : i;
        else if (!(t->kind == TOK_NAME || t->kind == TOK_STRING || is_op(t, OP1(',')) || is_op(t, OP1('.')) ||
                   is_op(t, OP1('|')) || is_op(t, OP1('&')) || is_op(t, OP2(':', ':')) || is_op(t, OP1('*')) ||
                   is_op(t, OP1('?')) || is_op(t, OP1(':')) || is_op(t, OP1(';'))))
            return false;
    }
    if (depth || i >= p->count || !is_op(&p->toks[i], OP1('(')))
        return false;
    p->pos = i;
    return true;
}

static bool composite_ok(const struct parser *p, const struct node *left)
{
    if (p->lang == LANG_CPP)
        return left->kind == N_NAME && p->in_brackets && !p->no_brace;
    if (p->lang != LANG_GO || p->no_brace || (cur(p)->flags & TOKF_NEWLINE))
        return false;
    if (left->flags & NF_META)
        return true;
    if (left->kind == N_CAST)
        return true;
    return left->kind == N_NAME || (left->kind == N_MEMBER && left->a && left->a->kind == N_NAME);
}

/* Go: T{...}, a construction. */
static struct node *composite(struct parser *p, struct node *type)
{
    struct node *n = node_new(p, N_CALL);
    n->a = type;
    n->tok = type->tok;
    n->flags = NF_NEW;
    advance(p);
    n->list = parse_args(p, OP1('}'));
    return node_end(p, n);
}

static bool dot_follows(struct parser *p)
{
    if (cur(p)->kind != TOK_NEWLINE)
        return false;
    uint32_t k = p->pos;
    while (k + 1 < p->count && p->toks[k].kind == TOK_NEWLINE)
        k++;
    const struct token *t = &p->toks[k];
    if (p->lang == LANG_RUBY && (is_op(t, OP1('.')) || is_op(t, OP2('&', '.')))) {
        p->pos = k;
        return true;
    }
    return false;
}

static struct node *tagged(struct parser *p, struct node *left)
{
    struct node *n = node_new(p, N_CALL);
    n->a = left;
    n->tok = left->tok;
    n->list = parse_string(p);
    return node_end(p, n);
}

/* One link after a value; NULL: none. */
static struct node *postfix_one(struct parser *p, struct node *left)
{
    const struct token *t = cur(p);
    if (t->kind == TOK_NEWLINE && !dot_follows(p))
        return NULL;
    t = cur(p);
    if (t->kind == TOK_STR_OPEN && is_js(p) && !(t->flags & (TOKF_JSX | TOKF_SPACE)))
        return tagged(p, left);
    if (t->kind != TOK_OP)
        return NULL;
    switch (t->op) {
    case OP1('.'):
        if (p->lang == LANG_PHP)
            return NULL;
        advance(p);
        return member(p, left, 0);
    case OP2('?', '.'):
    case OP3('?', '-', '>'):
    case OP2('&', '.'):
        advance(p);
        if (at_op(p, OP1('(')))
            return call(p, left);
        if (at_op(p, OP1('[')))
            return subscript(p, left);
        return member(p, left, NF_SAFE);
    case OP2('-', '>'):
        if (!is_c(p) && p->lang != LANG_PHP)
            return NULL;
        advance(p);
        return member(p, left, NF_ARROW);
    case OP2(':', ':'):
        advance(p);
        if (at_kw(p, KW_class) && p->lang == LANG_PHP) {
            advance(p);
            return left;
        }
        return member(p, left, NF_STATIC);
    case OP1('('):
        if (p->lang == LANG_RUBY && (t->flags & TOKF_SPACE) && left->kind != N_NAME && left->kind != N_MEMBER)
            return NULL;
        if (p->lang == LANG_GO && (t->flags & TOKF_NEWLINE))
            return NULL;
        if (is_js(p) && (t->flags & TOKF_NEWLINE) && left->kind == N_FUNC)
            return NULL;
        return call(p, left);
    case OP1('['):
        if ((p->lang == LANG_RUBY && (t->flags & TOKF_SPACE)) ||
            ((is_js(p) || p->lang == LANG_GO || p->lang == LANG_CSHARP) && (t->flags & TOKF_NEWLINE)))
            return NULL;
        return subscript(p, left);
    case OP1('{'):
        return composite_ok(p, left) ? composite(p, left) : NULL;
    case OP1('<'):
        return (left->kind == N_NAME || left->kind == N_MEMBER) && type_args(p) ? call(p, left) : NULL;
    case OP1('!'):
        if (p->lang == LANG_TYPESCRIPT && !(t->flags & TOKF_SPACE)) {
            advance(p);
            return left;
        }
        return NULL;
    case OP2('+', '+'):
    case OP2('-', '-'):
        if (t->flags & TOKF_NEWLINE)
            return NULL;
        advance(p);
        return left;
    default:
        return NULL;
    }
}

static struct node *ruby_command(struct parser *p, struct node *callee)
{
    struct node *n = node_new(p, N_CALL);
    n->a = callee;
    n->tok = callee->tok;
    struct nodes list = NODES_INIT(list);
    bool no_block = p->no_block;
    p->no_block = true; /* f a do ... end: the block is given to f */
    do {
        parse_newlines(p);
        bool brackets = p->in_brackets;
        p->in_brackets = true;
        const struct token *t = cur(p);
        struct node *e = NULL;
        if (t->kind == TOK_NAME && is_op(ahead(p, 1), OP1(':')) && !(ahead(p, 1)->flags & TOKF_SPACE))
            e = named(p);
        p->in_brackets = brackets;
        if (!e)
            e = parse_expr(p, P_ASSIGN);
        if (!e)
            break;
        nodes_add(&list, e);
    } while (take_op(p, OP1(',')));
    p->no_block = no_block;
    n->list = list.head;
    return node_end(p, n);
}

static struct node *postfix(struct parser *p, struct node *left)
{
    for (int k = 0; k < CHAIN_MAX; k++) {
        struct node *n = postfix_one(p, left);
        if (!n) {
            if (p->lang != LANG_RUBY)
                return left;
            if ((left->kind == N_NAME || left->kind == N_MEMBER) && parse_rb_command(p, left))
                left = ruby_command(p, left);
            struct node *block = parse_rb_block(p);
            if (!block)
                return left;
            if (left->kind != N_CALL) {
                struct node *c = node_new(p, N_CALL);
                c->a = left;
                c->tok = left->tok;
                left = c;
            }
            struct node **tail = &left->list;
            while (*tail)
                tail = &(*tail)->next;
            *tail = block;
            left = node_end(p, left);
            continue;
        }
        left = n;
    }
    p->sx->cut = true;
    return left;
}

/* Python: x if c else y, seen at "if". */
static struct node *python_cond(struct parser *p, struct node *left)
{
    struct node *n = node_new(p, N_COND);
    n->tok = left->tok;
    advance(p);
    n->b = left;
    n->a = parse_expr(p, P_OR);
    if (take_kw(p, KW_else))
        n->c = parse_expr(p, P_COND);
    return node_end(p, n);
}

static struct node *ternary(struct parser *p, struct node *left)
{
    struct node *n = node_new(p, N_COND);
    n->tok = left->tok;
    n->a = left;
    advance(p);
    parse_newlines(p);
    bool brackets = p->in_brackets, no_in = p->no_in;
    if (p->lang == LANG_RUBY || p->lang == LANG_CSHARP || p->lang == LANG_PHP || p->lang == LANG_GO)
        p->in_brackets = false; /* a: is no label here */
    p->no_in = false;
    n->b = parse_expr(p, P_COND);
    p->in_brackets = brackets;
    parse_newlines(p);
    if (take_op(p, OP1(':'))) {
        parse_newlines(p);
        n->c = parse_expr(p, P_ASSIGN);
    }
    p->no_in = no_in;
    return node_end(p, n);
}

/* Type operators: x as T, x is T, x instanceof T. */
static struct node *type_operator(struct parser *p, struct node *left)
{
    uint32_t word = cur(p)->sym;
    struct node *n = node_new(p, word == KW_as || word == KW_satisfies ? N_CAST : N_BINARY);
    n->tok = left->tok;
    n->op = word;
    n->a = left;
    advance(p);
    if (p->lang == LANG_TYPESCRIPT && word != KW_instanceof) {
        parse_skip_ts_type(p);
        return node_end(p, n);
    }
    uint32_t e = parse_scan_type(p, p->pos);
    n->c = parse_type_path(p);
    if (e > p->pos)
        p->pos = e;
    if (word != KW_as && cur(p)->kind == TOK_NAME && !word_prec(p, cur(p))) { /* x instanceof T t */
        n->b = node_new(p, N_NAME);
        n->b->sym = cur(p)->sym;
        advance(p);
    }
    return node_end(p, n);
}

static bool is_type_operator(const struct parser *p, const struct token *t)
{
    if (t->kind != TOK_NAME)
        return false;
    return (t->sym == KW_instanceof && !is_js(p)) || (t->sym == KW_as) || (t->sym == KW_is && p->lang == LANG_CSHARP) ||
           t->sym == KW_satisfies;
}

static struct node *infix(struct parser *p, struct node *left, int prec)
{
    const struct token *t = cur(p);
    if (is_kw(t, KW_if))
        return python_cond(p, left);
    if (is_op(t, OP1('?')))
        return ternary(p, left);
    if (is_type_operator(p, t))
        return type_operator(p, left);
    bool assign = prec == P_ASSIGN && t->op != OP2('<', '-');
    struct node *n = node_new(p, assign ? N_ASSIGN : N_BINARY);
    n->tok = left->tok;
    n->a = left;
    n->op = t->kind == TOK_NAME ? (t->sym == KW_and ? OP2('&', '&') : t->sym == KW_or ? OP2('|', '|') : t->sym) : t->op;
    advance(p);
    if (t->kind == TOK_NAME && t->sym == KW_not)
        advance(p); /* not in: op stays KW_not */
    else if (is_kw(t, KW_is) && at_kw(p, KW_not)) {
        advance(p);
        n->op = OP2('!', '=');
    }
    parse_newlines(p);
    if (p->lang == LANG_PHP && assign)
        take_op(p, OP1('&'));
    n->b = parse_expr(p, assign || prec == P_POW ? prec : prec + 1);
    if (assign && p->lang == LANG_PYTHON && at_op(p, OP1(',')) && !p->in_brackets) {
        struct nodes rest = NODES_INIT(rest);
        struct node *seq = node_new(p, N_SEQ);
        seq->flags = NF_TUPLE;
        seq->tok = n->b ? n->b->tok : p->pos;
        nodes_add(&rest, n->b);
        while (take_op(p, OP1(',')))
            nodes_add(&rest, parse_expr(p, P_COND));
        seq->list = rest.head;
        n->b = node_end(p, seq);
    }
    if (p->lang == LANG_RUBY && assign && n->b && take_kw(p, KW_rescue))
        parse_expr(p, P_COND);
    if (n->op == OP2(':', '='))
        n->flags |= NF_DECL;
    return node_end(p, n);
}

static bool is_pair_op(const struct parser *p, const struct token *t, const struct node *left)
{
    if (is_op(t, OP2('=', '>')))
        return (p->lang == LANG_PHP || p->lang == LANG_RUBY) && (p->in_brackets || p->lang == LANG_RUBY);
    if (!is_op(t, OP1(':')) || !p->in_brackets)
        return false;
    if (p->lang == LANG_RUBY) /* "key": v */
        return (left->kind == N_STRING || left->kind == N_TEMPLATE) && !(t->flags & TOKF_SPACE);
    return p->lang == LANG_GO && !(left->flags & NF_SAFE);
}

struct node *parse_expr(struct parser *p, int prec)
{
    if (!parse_enter(p)) {
        parse_skip(p);
        return NULL;
    }
    struct node *left = named(p);
    if (!left)
        left = parse_prefix(p);
    if (!left) {
        parse_leave(p);
        return NULL;
    }
    if (left->kind == N_PAIR) {
        parse_leave(p);
        return left;
    }
    left = postfix(p, left);
    for (int k = 0; k < CHAIN_MAX; k++) {
        const struct token *t = cur(p);
        if (p->in_brackets && t->kind == TOK_NEWLINE && p->lang == LANG_PYTHON)
            parse_newlines(p);
        if (is_pair_op(p, t, left) && prec <= P_ASSIGN) {
            struct node *pair = node_new(p, N_PAIR);
            pair->tok = left->tok;
            pair->a = left;
            advance(p);
            parse_newlines(p);
            pair->b = parse_expr(p, P_ASSIGN);
            left = node_end(p, pair);
            break;
        }
        if (p->lang == LANG_PYTHON && p->in_brackets && (is_kw(t, KW_for) || (is_kw(t, KW_async) && is_kw(ahead(p,
                1), KW_for))))
            break;
        int q = op_prec(p, t);
        if (!q || q < prec)
            break;
        /* a statement on a new line that begins with an operator */
        if ((is_js(p) || p->lang == LANG_GO) && (t->flags & TOKF_NEWLINE) && q == P_MUL && p->lang == LANG_GO)
            break;
        left = infix(p, left, q);
    }
    parse_leave(p);
    return left;
}

struct node *parse_expr_list(struct parser *p)
{
    struct node *first = parse_expr(p, 0);
    if (!first || !at_op(p, OP1(',')))
        return first;
    struct node *n = node_new(p, N_SEQ);
    n->tok = first->tok;
    n->flags = NF_TUPLE;
    struct nodes list = NODES_INIT(list);
    nodes_add(&list, first);
    while (take_op(p, OP1(','))) {
        struct node *e = parse_expr(p, 0);
        if (!e)
            break;
        /* a, b = c, d: the assignment is around the lists */
        if (e->kind == N_ASSIGN && (p->lang == LANG_PYTHON || p->lang == LANG_GO || p->lang == LANG_RUBY)) {
            nodes_add(&list, e->a);
            n->list = list.head;
            e->a = node_end(p, n);
            e->tok = n->tok;
            if (at_op(p, OP1(','))) {
                struct node *right = node_new(p, N_SEQ);
                right->flags = NF_TUPLE;
                struct nodes rl = NODES_INIT(rl);
                nodes_add(&rl, e->b);
                while (take_op(p, OP1(',')))
                    nodes_add(&rl, parse_expr(p, P_COND));
                right->list = rl.head;
                e->b = node_end(p, right);
            }
            return node_end(p, e);
        }
        nodes_add(&list, e);
    }
    n->list = list.head;
    return node_end(p, n);
}
