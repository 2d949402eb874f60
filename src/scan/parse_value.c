/* What an expression can begin with. */
#include "scan/parse_internal.h"

#include <string.h>

#define P_UNARY_OPERAND 16

static struct node *leaf(struct parser *p, enum node_kind kind)
{
    struct node *n = node_new(p, kind);
    n->sym = cur(p)->sym;
    if (cur(p)->flags & TOKF_META)
        n->flags |= NF_META;
    advance(p);
    return node_end(p, n);
}

static struct node *open_string(struct parser *p)
{
    struct node *n = node_new(p, N_TEMPLATE);
    if (cur(p)->flags & TOKF_SHELL)
        n->flags |= NF_SHELL;
    advance(p);
    struct nodes list = NODES_INIT(list);
    bool brackets = p->in_brackets, no_brace = p->no_brace, no_block = p->no_block;
    p->in_brackets = true;
    p->no_brace = p->no_block = false;
    while (!at_eof(p) && cur(p)->kind != TOK_STR_CLOSE) {
        uint32_t before = p->pos;
        if (cur(p)->kind == TOK_STR_TEXT) {
            nodes_add(&list, leaf(p, N_STRING));
        } else if (cur(p)->kind == TOK_INTERP_OPEN) {
            advance(p);
            nodes_add(&list, parse_expr(p, 0));
            while (!at_eof(p) && cur(p)->kind != TOK_INTERP_CLOSE && cur(p)->kind != TOK_STR_CLOSE) {
                uint32_t at = p->pos;
                nodes_add(&list, parse_expr(p, 0));
                if (p->pos == at)
                    parse_skip(p);
            }
            if (cur(p)->kind == TOK_INTERP_CLOSE)
                advance(p);
        }
        if (p->pos == before)
            advance(p);
    }
    if (cur(p)->kind == TOK_STR_CLOSE)
        advance(p);
    p->in_brackets = brackets;
    p->no_brace = no_brace;
    p->no_block = no_block;
    n->list = list.head;
    return node_end(p, n);
}

static struct node *one_string(struct parser *p)
{
    const struct token *t = cur(p);
    if (t->kind == TOK_STR_OPEN)
        return open_string(p);
    struct node *n = node_new(p, N_STRING);
    if (t->flags & TOKF_SHELL)
        n->flags |= NF_SHELL;
    if (t->flags & TOKF_WORDS)
        n->flags |= NF_WORDS;
    if (t->kind == TOK_SYMBOL)
        n->sym = t->sym;
    advance(p);
    return node_end(p, n);
}

static bool string_starts(const struct parser *p)
{
    int k = cur(p)->kind;
    return k == TOK_STRING || k == TOK_STR_OPEN || k == TOK_CHAR;
}

struct node *parse_string(struct parser *p)
{
    struct node *n = one_string(p);
    bool joins = p->lang == LANG_PYTHON || is_c(p) || p->lang == LANG_RUBY; /* "a" "b" */
    if (!joins || !string_starts(p) || (n->flags & NF_SHELL))
        return n;
    struct node *all = node_new(p, N_TEMPLATE);
    all->tok = n->tok;
    struct nodes list = NODES_INIT(list);
    nodes_add(&list, n);
    while (string_starts(p) || (is_c(p) && cur(p)->kind == TOK_NAME && ahead(p, 1)->kind == TOK_STRING)) {
        if (cur(p)->kind == TOK_NAME) /* PRIu64 */
            advance(p);
        nodes_add(&list, one_string(p));
    }
    all->list = list.head;
    return node_end(p, all);
}

/* Python: "for x in y if z" after the first element. */
static struct node *comprehension(struct parser *p, struct node *elem)
{
    struct node *n = node_new(p, N_COMP);
    n->tok = elem->tok;
    n->a = elem;
    struct nodes list = NODES_INIT(list);
    for (;;) {
        parse_newlines(p);
        if (at_kw(p, KW_async))
            advance(p);
        if (take_kw(p, KW_for)) {
            struct node *f = node_new(p, N_FOREACH);
            bool no_in = p->no_in;
            p->no_in = true;
            f->a = parse_expr_list(p);
            take_kw(p, KW_in);
            f->b = parse_expr(p, 4);
            p->no_in = no_in;
            nodes_add(&list, node_end(p, f));
        } else if (take_kw(p, KW_if)) {
            struct node *c = node_new(p, N_IF);
            bool no_in = p->no_in;
            p->no_in = false;
            c->a = parse_expr(p, 4);
            p->no_in = no_in;
            nodes_add(&list, node_end(p, c));
        } else {
            break;
        }
    }
    n->list = list.head;
    return node_end(p, n);
}

static bool at_comprehension(struct parser *p)
{
    parse_newlines(p);
    return p->lang == LANG_PYTHON && (at_kw(p, KW_for) || (at_kw(p, KW_async) && is_kw(ahead(p, 1), KW_for)));
}

struct node *parse_generator(struct parser *p, struct node *elem)
{
    return elem && p->lang == LANG_PYTHON && at_comprehension(p) ? comprehension(p, elem) : elem;
}

/* What stands between brackets, and the closing one. True: there was a comma (or a semicolon) in between. */
static bool elements(struct parser *p, char close, bool in_brackets, struct nodes *list)
{
    bool brackets = p->in_brackets, no_brace = p->no_brace, no_in = p->no_in, no_block = p->no_block, comma = false;
    p->in_brackets = in_brackets;
    p->no_brace = p->no_in = p->no_block = false;
    while (!at_eof(p) && !at_op(p, OP1(close))) {
        parse_newlines(p);
        if (take_op(p, OP1(',')) || (close == ')' && take_op(p, OP1(';')))) {
            comma = true;
            continue;
        }
        if (at_op(p, OP1(']')) || at_op(p, OP1(')')) || at_op(p, OP1('}')))
            break;
        uint32_t before = p->pos;
        struct node *e = parse_expr(p, 0);
        if (e && at_comprehension(p))
            e = comprehension(p, e);
        nodes_add(list, e);
        if (p->pos == before)
            parse_skip(p);
    }
    take_op(p, OP1(close));
    p->in_brackets = brackets;
    p->no_brace = no_brace;
    p->no_in = no_in;
    p->no_block = no_block;
    return comma;
}

static struct node *bracket_list(struct parser *p)
{
    struct node *n = node_new(p, N_LIST);
    advance(p);
    struct nodes list = NODES_INIT(list);
    elements(p, ']', true, &list);
    n->list = list.head;
    for (struct node *e = n->list; e && p->lang == LANG_PHP; e = e->next)
        if (e->kind == N_PAIR)
            n->kind = N_DICT;
    return node_end(p, n);
}

/* JavaScript: get x() {}, async x() {}, [k]() {}, x() {} in an object. */
static struct node *object_method(struct parser *p)
{
    uint32_t k = 0;
    const struct token *t = cur(p);
    while (t->kind == TOK_NAME && (t->sym == KW_get || t->sym == KW_set || t->sym == KW_async || t->sym == KW_static) &&
           (ahead(p, k + 1)->kind == TOK_NAME || is_op(ahead(p, k + 1), OP1('*'))))
        t = ahead(p, ++k);
    if (is_op(t, OP1('*')))
        t = ahead(p, ++k);
    if ((t->kind != TOK_NAME && t->kind != TOK_STRING) || !is_op(ahead(p, k + 1), OP1('(')))
        return NULL;
    p->pos += k;
    uint32_t sym = cur(p)->sym;
    advance(p);
    return parse_function(p, sym);
}

static struct node *dict_entry(struct parser *p)
{
    if (is_js(p)) {
        struct node *m = object_method(p);
        if (m)
            return m;
    }
    bool brackets = p->in_brackets;
    if (p->lang != LANG_GO && p->lang != LANG_RUBY)
        p->in_brackets = true;
    struct node *key;
    if (is_js(p) && cur(p)->kind == TOK_NAME && is_op(ahead(p, 1), OP1(':')))
        key = leaf(p, N_NAME);
    else
        key = parse_expr(p, p->lang == LANG_JAVA || is_c(p) || p->lang == LANG_CSHARP || is_js(p) ? 0 : 2);
    p->in_brackets = brackets;
    if (!key || key->kind == N_PAIR)
        return key;
    parse_newlines(p);
    if (!at_op(p, OP1(':')) && !at_op(p, OP2('=', '>')))
        return key;
    struct node *pair = node_new(p, N_PAIR);
    pair->tok = key->tok;
    pair->a = key;
    advance(p);
    parse_newlines(p);
    pair->b = parse_expr(p, 1);
    return node_end(p, pair);
}

static struct node *dict(struct parser *p)
{
    struct node *n = node_new(p, N_DICT);
    advance(p);
    struct nodes list = NODES_INIT(list);
    bool brackets = p->in_brackets, no_brace = p->no_brace, no_in = p->no_in, no_block = p->no_block;
    p->in_brackets = true;
    p->no_brace = p->no_in = p->no_block = false;
    while (!at_eof(p) && !at_op(p, OP1('}'))) {
        parse_newlines(p);
        if (take_op(p, OP1(',')) || take_op(p, OP1(';')))
            continue;
        if (at_op(p, OP1('}')) || at_op(p, OP1(')')) || at_op(p, OP1(']')))
            break;
        uint32_t before = p->pos;
        struct node *e = dict_entry(p);
        if (e && at_comprehension(p))
            e = comprehension(p, e);
        nodes_add(&list, e);
        if (p->pos == before)
            parse_skip(p);
    }
    take_op(p, OP1('}'));
    p->in_brackets = brackets;
    p->no_brace = no_brace;
    p->no_in = no_in;
    p->no_block = no_block;
    n->list = list.head;
    return node_end(p, n);
}

/* (T) x: only where what follows can be no operator. */
static struct node *cast(struct parser *p)
{
    bool php = p->lang == LANG_PHP;
    if (!is_typed(p) && !php)
        return NULL;
    uint32_t close = cur(p)->match;
    if (close <= p->pos)
        return NULL;
    const struct token *t = &p->toks[p->pos + 1], *after = &p->toks[close + 1 < p->count ? close + 1 : close];
    if (php) {
        static const char *const types[] = {"int", "integer", "string", "bool", "boolean", "float", "double",
                "array", "object"};
        bool known = false;
        for (size_t i = 0; i < sizeof types / sizeof *types && close == p->pos + 2 && t->kind == TOK_NAME; i++)
            known |= strcmp(symtab_name(&p->sx->syms, t->sym), types[i]) == 0;
        if (!known)
            return NULL;
    } else {
        if (parse_scan_type(p, p->pos + 1) != close)
            return NULL;
        bool keyword = t->sym >= KW_long && t->sym <= KW_bool;
        bool pointer = is_op(&p->toks[close - 1], OP1('*')) || t->sym == KW_void || t->sym == KW_unsigned ||
                       t->sym == KW_const || t->sym == KW_struct || t->sym == KW_byte || t->sym == KW_boolean ||
                       t->sym == KW_signed;
        bool value = after->kind == TOK_NAME || after->kind == TOK_NUMBER || after->kind == TOK_STRING ||
                     after->kind == TOK_CHAR || after->kind == TOK_STR_OPEN || is_op(after, OP1('(')) ||
                     is_op(after, OP1('!')) || is_op(after, OP1('~'));
        if (after->kind == TOK_NAME && (after->sym == KW_instanceof || after->sym == KW_is || after->sym == KW_as ||
                                        after->sym == KW_and || after->sym == KW_or))
            value = false;
        if (is_op(after, OP1('(')) && !keyword && !pointer && is_c(p))
            value = false; /* (f)(x) */
        if (!(value || ((keyword || pointer) && after->kind == TOK_OP)))
            return NULL;
    }
    struct node *n = node_new(p, N_CAST);
    advance(p);
    n->c = parse_type_path(p);
    p->pos = close;
    advance(p);
    n->a = parse_expr(p, P_UNARY_OPERAND);
    return node_end(p, n);
}

static struct node *paren(struct parser *p)
{
    struct node *c = cast(p);
    if (c)
        return c;
    uint32_t open = p->pos;
    struct node *n = node_new(p, N_SEQ);
    advance(p);
    struct nodes list = NODES_INIT(list);
    bool comma = elements(p, ')', p->lang == LANG_PYTHON || p->lang == LANG_RUBY, &list);
    if (list.head && !list.head->next && !comma) {
        if (list.head->kind == N_NAME || list.head->kind == N_MEMBER)
            return list.head;
        list.head->tok = open;
        return list.head->kind == N_STRING || list.head->kind == N_NUMBER ? (list.head->tok = open + 1, list.head)
                                                                          : list.head;
    }
    n->list = list.head;
    n->flags = comma && !is_c(p) ? NF_TUPLE : 0;
    return node_end(p, n);
}

/* new T(args) { body } */
static struct node *construction(struct parser *p)
{
    struct node *n = node_new(p, N_CALL);
    n->flags = NF_NEW;
    advance(p);
    if (take_kw(p, KW_class)) {
        p->pos--;
        struct node *c = parse_class(p);
        return c ? c : n;
    }
    if (p->lang == LANG_CSHARP && at_op(p, OP1('['))) { /* new[] { } */
        parse_skip(p);
    } else if (at_op(p, OP1('{')) || at_op(p, OP1('('))) {
        n->a = NULL;
    } else if (is_js(p)) {
        struct node *t = parse_prefix(p);
        while (t && at_op(p, OP1('.')) && ahead(p, 1)->kind == TOK_NAME) {
            struct node *m = node_new(p, N_MEMBER);
            advance(p);
            m->a = t;
            m->tok = t->tok;
            m->sym = cur(p)->sym;
            advance(p);
            t = node_end(p, m);
        }
        n->a = t;
    } else {
        uint32_t e = parse_scan_type(p, p->pos);
        n->a = parse_type_path(p);
        if (e > p->pos)
            p->pos = e;
        if (is_op(cur(p) - 1, OP1(']'))) /* new String[] { } */
            n->flags |= NF_ARRAY;
    }
    if (!n->a) {
        n->a = node_new(p, N_NAME);
    }
    struct nodes list = NODES_INIT(list);
    while (at_op(p, OP1('['))) {
        advance(p);
        if (!at_op(p, OP1(']')))
            nodes_add(&list, parse_expr(p, 0));
        take_op(p, OP1(']'));
        n->flags |= NF_ARRAY;
    }
    if (at_op(p, OP1('<')) && p->lang == LANG_TYPESCRIPT) {
        uint32_t k = p->pos;
        while (k + 1 < p->count && k < p->pos + 32 && !is_op(&p->toks[k], OP1('(')))
            k++;
        if (is_op(&p->toks[k], OP1('(')))
            p->pos = k;
    }
    if (take_op(p, OP1('(')))
        nodes_add(&list, parse_args(p, OP1(')')));
    if (at_op(p, OP1('{')) && p->lang == LANG_JAVA && !(n->flags & NF_ARRAY))
        nodes_add(&list, parse_braces(p, true));
    else if (at_op(p, OP1('{')) && (p->lang == LANG_JAVA || p->lang == LANG_CSHARP || p->lang == LANG_CPP)) {
        struct node *d = dict(p);
        nodes_add(&list, d->list);
        n->flags |= NF_TUPLE; /* elements, not a size */
    }
    n->list = list.head;
    return node_end(p, n);
}

static struct node *unary(struct parser *p, enum node_kind kind, uint32_t op)
{
    struct node *n = node_new(p, kind);
    n->op = op;
    advance(p);
    n->a = parse_expr(p, op == KW_not ? 6 : P_UNARY_OPERAND);
    return node_end(p, n);
}

/* print x; echo a, b; include x: calls without brackets. */
static struct node *word_call(struct parser *p, bool list)
{
    struct node *n = node_new(p, N_CALL);
    n->a = leaf(p, N_NAME);
    struct nodes args = NODES_INIT(args);
    do
        nodes_add(&args, parse_expr(p, 0));
    while (list && take_op(p, OP1(',')));
    n->list = args.head;
    return node_end(p, n);
}

static struct node *go_type_value(struct parser *p)
{
    /* []T{...}, map[K]V{...}, *T: a type where a value can stand; kept as N_CAST so that (x) or {...} may follow */
    struct node *n = node_new(p, N_CAST);
    uint32_t e = parse_scan_type(p, p->pos);
    if (e <= p->pos)
        return NULL;
    n->c = parse_type_path(p);
    p->pos = e;
    return node_end(p, n);
}

static struct node *operator_prefix(struct parser *p)
{
    uint32_t op = cur(p)->op;
    switch (op) {
    case OP1('('):
        return parse_is_arrow(p) ? parse_arrow(p) : paren(p);
    case OP1('['):
        if (p->lang == LANG_GO && cur(p)->match > p->pos) {
            const struct token *after = &p->toks[cur(p)->match + 1];
            if (after->kind == TOK_NAME || is_op(after, OP1('[')) || is_op(after, OP1('*')))
                return go_type_value(p);
        }
        if (p->lang == LANG_CPP && cur(p)->match > p->pos &&
            (is_op(&p->toks[cur(p)->match + 1], OP1('(')) || is_op(&p->toks[cur(p)->match + 1], OP1('{')))) {
            parse_skip(p); /* the captures */
            return parse_function(p, 0);
        }
        return bracket_list(p);
    case OP1('{'):
        return dict(p);
    case OP3('.', '.', '.'):
        if (p->pattern)
            return leaf(p, N_ELLIPSIS);
        return unary(p, N_SPREAD, op);
    case OP1('*'):
        return unary(p, p->lang == LANG_PYTHON || p->lang == LANG_RUBY ? N_SPREAD : N_UNARY, op);
    case OP2('*', '*'):
        return unary(p, N_SPREAD, op);
    case OP1('&'):
        return unary(p, N_UNARY, op);
    case OP1('!'): case OP1('~'): case OP1('+'): case OP1('-'): case OP2('+', '+'): case OP2('-', '-'): case OP1('@'):
    case OP2('<', '-'): case OP2('&', '&'):
        return unary(p, N_UNARY, op);
    case OP2(':', ':'):
        advance(p);
        return parse_prefix(p);
    case OP1('$'): /* PHP: $$name, ${"name"} */
        if (p->lang != LANG_PHP)
            return NULL;
        if (is_op(ahead(p, 1), OP1('{'))) {
            struct node *n = node_new(p, N_UNARY);
            n->op = op;
            advance(p);
            advance(p);
            n->a = parse_expr(p, 0);
            take_op(p, OP1('}'));
            return node_end(p, n);
        }
        return unary(p, N_UNARY, op);
    default:
        return NULL;
    }
}

static bool is_keyword_literal(uint32_t sym)
{
    return (sym >= KW_True && sym <= KW_undefined) || sym == KW_NULL;
}

static struct node *php_word(struct parser *p)
{
    switch (cur(p)->sym) {
    case KW_echo:
        return word_call(p, true);
    case KW_print: case KW_include: case KW_include_once: case KW_require: case KW_require_once: case KW_clone:
        return word_call(p, false);
    case KW_exit: case KW_die:
        if (is_op(ahead(p, 1), OP1('(')))
            return NULL;
        {
            struct node *n = node_new(p, N_CALL);
            n->a = leaf(p, N_NAME);
            return node_end(p, n);
        }
    case KW_array: case KW_list:
        if (is_op(ahead(p, 1), OP1('('))) {
            struct node *n = node_new(p, N_DICT);
            bool dictionary = cur(p)->sym == KW_array;
            advance(p);
            advance(p);
            n->list = parse_args(p, OP1(')'));
            n->kind = N_LIST;
            for (struct node *e = n->list; e && dictionary; e = e->next)
                if (e->kind == N_PAIR)
                    n->kind = N_DICT;
            return node_end(p, n);
        }
        return NULL;
    default:
        return NULL;
    }
}

/* switch (x) { ... } and match as values. */
static struct node *value_switch(struct parser *p)
{
    struct node *n = node_new(p, N_SWITCH);
    advance(p);
    if (take_op(p, OP1('('))) {
        struct node *args = parse_args(p, OP1(')'));
        n->a = args;
    }
    if (!at_op(p, OP1('{')))
        return node_end(p, n);
    advance(p);
    struct nodes list = NODES_INIT(list);
    while (!at_eof(p) && !take_op(p, OP1('}'))) {
        uint32_t before = p->pos;
        struct node *c = node_new(p, N_CASE);
        take_kw(p, KW_case);
        bool brackets = p->in_brackets;
        p->in_brackets = false;
        if (!take_kw(p, KW_default))
            c->a = parse_expr_list(p);
        p->in_brackets = brackets;
        if (take_op(p, OP2('-', '>')) || take_op(p, OP2('=', '>')) || take_op(p, OP1(':')))
            c->b = at_op(p, OP1('{')) ? parse_block(p) : parse_stmt(p);
        take_op(p, OP1(','));
        take_op(p, OP1(';'));
        nodes_add(&list, node_end(p, c));
        if (p->pos == before)
            parse_skip(p);
    }
    n->list = list.head;
    return node_end(p, n);
}

static struct node *word_prefix(struct parser *p)
{
    const struct token *t1 = ahead(p, 1);
    uint32_t sym = cur(p)->sym;
    if (p->lang == LANG_PHP) {
        struct node *n = php_word(p);
        if (n)
            return n;
    }
    switch (sym) {
    case KW_new:
        return p->lang == LANG_PYTHON || p->lang == LANG_RUBY || p->lang == LANG_GO || p->lang == LANG_C
                   ? leaf(p, N_NAME) : construction(p);
    case KW_not:
        return unary(p, N_UNARY, KW_not);
    case KW_await: case KW_yield: case KW_delete: case KW_typeof: case KW_go: case KW_defer: case KW_checked:
        if (t1->kind == TOK_OP && t1->op != OP1('(') && t1->op != OP1('[') && t1->op != OP1('{') && t1->op != OP1('!'))
            return leaf(p, N_NAME);
        if ((sym == KW_go || sym == KW_defer) && p->lang != LANG_GO)
            return leaf(p, N_NAME);
        return unary(p, N_UNARY, sym);
    case KW_void:
        return is_js(p) ? unary(p, N_UNARY, sym) : leaf(p, N_NAME);
    case KW_throw:
        return unary(p, N_THROW, sym);
    case KW_lambda:
        return p->lang == LANG_PYTHON ? parse_py_lambda(p) : leaf(p, N_NAME);
    case KW_function: case KW_fn:
        if (is_js(p) || p->lang == LANG_PHP)
            return parse_function_expr(p);
        return leaf(p, N_NAME);
    case KW_func:
        return p->lang == LANG_GO ? parse_go_func(p) : leaf(p, N_NAME);
    case KW_async: case KW_static:
        if (is_kw(t1, KW_function) || is_kw(t1, KW_fn) || (sym == KW_async && (is_op(t1, OP1('(')) ||
                t1->kind == TOK_NAME) && is_js(p))) {
            advance(p);
            return parse_prefix(p);
        }
        return leaf(p, N_NAME);
    case KW_class:
        return is_js(p) ? parse_class(p) : leaf(p, N_NAME);
    case KW_map: case KW_chan: case KW_struct: case KW_interface:
        return p->lang == LANG_GO && (is_op(t1, OP1('[')) || is_op(t1, OP1('{')) || t1->kind == TOK_NAME)
                   ? go_type_value(p) : leaf(p, N_NAME);
    case KW_switch: case KW_match:
        return is_op(t1, OP1('(')) && (p->lang == LANG_PHP || p->lang == LANG_JAVA) ? value_switch(p) : leaf(p, N_NAME);
    case KW_case: case KW_default: case KW_else: case KW_end: case KW_return:
        return p->in_brackets || (sym == KW_default && !is_op(t1, OP1(':'))) ? leaf(p, N_NAME) : NULL;
    case KW_static_cast: case KW_reinterpret_cast: case KW_const_cast: case KW_dynamic_cast:
        return leaf(p, N_NAME);
    case KW_sizeof: {
        struct node *n = node_new(p, N_UNARY);
        n->op = KW_sizeof;
        advance(p);
        if (at_op(p, OP1('('))) {
            uint32_t close = cur(p)->match;
            advance(p);
            n->a = parse_expr(p, 0);
            if (close > p->pos)
                p->pos = close;
            take_op(p, OP1(')'));
        } else {
            n->a = parse_expr(p, P_UNARY_OPERAND);
        }
        return node_end(p, n);
    }
    default:
        return leaf(p, is_keyword_literal(sym) && !(sym == KW_None && p->lang != LANG_PYTHON) ? N_LITERAL : N_NAME);
    }
}

struct node *parse_prefix(struct parser *p)
{
    if (p->in_brackets)
        parse_newlines(p);
    const struct token *t = cur(p);
    if (p->lang == LANG_RUBY) {
        struct node *n = parse_rb_prefix(p);
        if (n)
            return n;
    }
    switch (t->kind) {
    case TOK_NUMBER:
        return leaf(p, N_NUMBER);
    case TOK_STRING: case TOK_CHAR: case TOK_SYMBOL: case TOK_STR_OPEN:
        return parse_string(p);
    case TOK_REGEX:
        return leaf(p, N_REGEX);
    case TOK_OP:
        return operator_prefix(p);
    case TOK_NAME:
        if (parse_is_arrow(p))
            return parse_arrow(p);
        return word_prefix(p);
    default:
        return NULL;
    }
}
