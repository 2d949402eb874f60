/* Types, parameters, functions, classes, typed declarations, imports: what brace languages declare. */
#include "scan/parse_internal.h"

#include <string.h>

static bool is_modifier(uint32_t s)
{
    switch (s) {
    case KW_const: case KW_volatile: case KW_static: case KW_extern: case KW_inline: case KW_register: case KW_public:
    case KW_private: case KW_protected: case KW_internal: case KW_final: case KW_abstract: case KW_readonly:
    case KW_override: case KW_virtual: case KW_synchronized: case KW_transient: case KW_native: case KW_struct:
    case KW_enum: case KW_union: case KW_typename: case KW_constexpr: case KW_explicit: case KW_mutable: case KW_out:
    case KW_ref: case KW_params: case KW_sealed: case KW_partial: case KW_async: case KW_friend: case KW_default:
    case KW_event: case KW_implicit: case KW_fixed:
        return true;
    default:
        return false;
    }
}

static bool is_type_word(uint32_t s)
{
    return s == KW_unsigned || s == KW_signed || s == KW_long || s == KW_short;
}

/* Words that no type begins with. */
static bool no_type(uint32_t s)
{
    switch (s) {
    case KW_return: case KW_throw: case KW_new: case KW_delete: case KW_goto: case KW_case: case KW_await: case KW_yield:
    case KW_in: case KW_is: case KW_as: case KW_else: case KW_sizeof: case KW_typeof: case KW_if: case KW_for:
    case KW_while: case KW_do: case KW_switch: case KW_try: case KW_catch: case KW_class: case KW_interface:
    case KW_namespace: case KW_using: case KW_import: case KW_package: case KW_break: case KW_continue: case KW_not:
    case KW_instanceof: case KW_this: case KW_foreach: case KW_null: case KW_true: case KW_false: case KW_echo:
    case KW_template: case KW_typedef: case KW_and: case KW_or: case KW_where: case KW_operator: case KW_throws:
    case KW_extends: case KW_implements: case KW_super: case KW_finally: case KW_lock: case KW_nullptr: case KW_NULL:
        return true;
    default:
        return false;
    }
}

/* "<...>" of type arguments; the position after it, or 0. */
static uint32_t scan_type_args(const struct parser *p, uint32_t i)
{
    int depth = 0;
    for (uint32_t k = 0; k < 64 && i < p->count; k++, i++) {
        const struct token *t = &p->toks[i];
        if (is_op(t, OP1('<'))) {
            depth++;
        } else if (is_op(t, OP1('>'))) {
            depth--;
        } else if (is_op(t, OP2('>', '>'))) {
            depth -= 2;
        } else if (is_op(t, OP3('>', '>', '>'))) {
            depth -= 3;
        } else if (is_op(t, OP1('[')) || (is_op(t, OP1('(')) && p->lang == LANG_CPP)) {
            i = t->match > i ? t->match : i;
        } else if (!(t->kind == TOK_NAME || t->kind == TOK_NUMBER || is_op(t, OP1(',')) || is_op(t, OP1('.')) ||
                     is_op(t, OP1('?')) || is_op(t, OP1('&')) || is_op(t, OP1('*')) || is_op(t, OP2(':', ':')) ||
                     is_op(t, OP1(']')) || is_op(t, OP1('@')))) {
            return 0;
        }
        if (depth <= 0)
            return depth < 0 ? 0 : i + 1;
    }
    return 0;
}

static uint32_t scan_go_type(const struct parser *p, uint32_t i)
{
    for (uint32_t k = 0; k < 32 && i + 1 < p->count; k++) {
        const struct token *t = &p->toks[i];
        if (is_op(t, OP1('*')) || is_op(t, OP3('.', '.', '.')) || is_op(t, OP2('<', '-')) || is_kw(t, KW_chan)) {
            i++;
        } else if (is_op(t, OP1('['))) {
            if (t->match <= i)
                return 0;
            i = t->match + 1;
        } else if (is_kw(t, KW_map) && is_op(t + 1, OP1('[')) && t[1].match > i) {
            i = t[1].match + 1;
        } else if ((is_kw(t, KW_struct) || is_kw(t, KW_interface)) && is_op(t + 1, OP1('{')) && t[1].match > i) {
            return t[1].match + 1;
        } else if (is_kw(t, KW_func) && is_op(t + 1, OP1('(')) && t[1].match > i) {
            i = t[1].match + 1;
            if (is_op(&p->toks[i], OP1('(')) && p->toks[i].match > i)
                return p->toks[i].match + 1;
            return p->toks[i].kind == TOK_NAME ? scan_go_type(p, i) : i;
        } else if (t->kind == TOK_NAME) {
            i++;
            while (is_op(&p->toks[i], OP1('.')) && p->toks[i + 1].kind == TOK_NAME)
                i += 2;
            if (is_op(&p->toks[i], OP1('[')) && !(p->toks[i].flags & TOKF_SPACE) && p->toks[i].match > i &&
                p->toks[i + 1].kind == TOK_NAME && is_op(&p->toks[p->toks[i].match + 1], OP1(')')))
                i = p->toks[i].match + 1;
            return i;
        } else {
            return 0;
        }
    }
    return 0;
}

uint32_t parse_scan_type(const struct parser *p, uint32_t i)
{
    if (p->lang == LANG_GO)
        return scan_go_type(p, i);
    bool words = false;
    const struct token *t = &p->toks[i];
    while (t->kind == TOK_NAME && (is_modifier(t->sym) || is_type_word(t->sym))) {
        words |= is_type_word(t->sym);
        t = &p->toks[++i];
    }
    if (t->kind != TOK_NAME && !words && !(p->pattern && t->kind == TOK_NAME))
        return 0;
    if (t->kind == TOK_NAME && !no_type(t->sym)) {
        bool builtin = t->sym >= KW_long && t->sym <= KW_auto;
        const struct token *t1 = t + 1;
        bool unsigned_x = words && !builtin && (is_op(t1, OP1('=')) || is_op(t1, OP1(';')) || is_op(t1, OP1(',')) ||
                                                is_op(t1, OP1(')')) || is_op(t1, OP1('[')));
        if (!unsigned_x) {
            i++;
            while ((is_op(&p->toks[i], OP1('.')) || is_op(&p->toks[i], OP2(':', ':'))) && p->toks[i + 1].kind == TOK_NAME)
                i += 2;
        }
    } else if (!words) {
        return 0;
    }
    if (is_op(&p->toks[i], OP1('<')) && p->lang != LANG_C) {
        uint32_t e = scan_type_args(p, i);
        if (!e)
            return 0;
        i = e;
        while (is_op(&p->toks[i], OP2(':', ':')) && p->toks[i + 1].kind == TOK_NAME)
            i += 2;
    }
    for (;;) {
        t = &p->toks[i];
        if (is_op(t, OP1('[')) && is_op(t + 1, OP1(']')) && !is_c(p))
            i += 2;
        else if (is_op(t, OP1('?')) && p->lang == LANG_CSHARP)
            i++;
        else if (is_op(t, OP3('.', '.', '.')) && p->lang == LANG_JAVA)
            i++;
        else if (is_c(p) && (is_op(t, OP1('*')) || is_op(t, OP1('&')) || is_op(t, OP2('&', '&')) || is_op(t, OP2('*', '*')) ||
                             is_kw(t, KW_const)))
            i++;
        else if (p->lang == LANG_CSHARP && is_op(t, OP1('*')) && p->toks[i + 1].kind == TOK_NAME &&
                is_op(&p->toks[i + 2], OP1('=')))
            i++;
        else
            return i;
    }
}

struct node *parse_type_path(struct parser *p)
{
    uint32_t save = p->pos;
    while (cur(p)->kind == TOK_OP && p->lang == LANG_GO && (at_op(p, OP1('*')) || at_op(p, OP1('[')) || at_op(p,
            OP3('.', '.', '.'))))
        parse_skip(p);
    while (cur(p)->kind == TOK_NAME && is_modifier(cur(p)->sym))
        advance(p);
    while (cur(p)->kind == TOK_NAME && is_type_word(cur(p)->sym) && ahead(p, 1)->kind == TOK_NAME)
        advance(p);
    struct node *n = NULL;
    if (cur(p)->kind == TOK_NAME) {
        n = node_new(p, N_NAME);
        n->sym = cur(p)->sym;
        if (cur(p)->flags & TOKF_META)
            n->flags |= NF_META;
        advance(p);
        node_end(p, n);
        while ((at_op(p, OP1('.')) || at_op(p, OP2(':', ':'))) && ahead(p, 1)->kind == TOK_NAME) {
            advance(p);
            struct node *m = node_new(p, N_MEMBER);
            m->a = n;
            m->tok = n->tok;
            m->sym = cur(p)->sym;
            advance(p);
            n = node_end(p, m);
        }
    }
    if (!n)
        p->pos = save;
    return n;
}

/* A type annotation: up to what ends it at its own depth. */
void parse_skip_ts_type(struct parser *p)
{
    int angle = 0;
    bool operand = true; /* a type may begin here */
    for (uint32_t k = 0; k < 400 && !at_eof(p); k++) {
        const struct token *t = cur(p);
        if (t->kind == TOK_OP) {
            if (t->op == OP1('{') && !operand && !angle)
                return;
            if (t->op == OP1('(') || t->op == OP1('[') || t->op == OP1('{')) {
                if (t->op == OP1('(') && !operand && !angle)
                    return;
                parse_skip(p);
                operand = false;
                continue;
            }
            if (t->op == OP1('<')) {
                angle++;
            } else if (t->op == OP1('>')) {
                if (angle-- == 0)
                    return;
                advance(p);
                operand = false;
                continue;
            } else if (t->op == OP2('>', '>')) {
                angle -= 2;
                advance(p);
                operand = false;
                continue;
            } else if (t->op == OP2('=', '>')) {
                if (operand || k == 0 || !is_op(t - 1, OP1(')')))
                    return;
            } else if (t->op != OP1('|') && t->op != OP1('&') && t->op != OP1('.') && !(angle &&
                    (t->op == OP1(',') || t->op == OP1('='))) &&
                       !(t->op == OP1('?') && angle) && !(t->op == OP1(':') && angle)) {
                return;
            }
            operand = true;
            advance(p);
            continue;
        }
        if ((t->kind == TOK_NAME || t->kind == TOK_STRING || t->kind == TOK_NUMBER) && (operand || t->sym == KW_is ||
                t->sym == KW_extends)) {
            operand = t->sym == KW_keyof || t->sym == KW_typeof || t->sym == KW_readonly || t->sym == KW_is ||
                      t->sym == KW_extends;
            advance(p);
            continue;
        }
        return;
    }
}

static struct node *annotations(struct parser *p)
{
    struct nodes list = NODES_INIT(list);
    for (;;) {
        if (at_op(p, OP1('@')) && ahead(p, 1)->kind == TOK_NAME && !is_kw(ahead(p, 1), KW_interface)) {
            advance(p);
            nodes_add(&list, parse_decorator(p));
        } else if (p->lang == LANG_CSHARP && at_op(p, OP1('['))) {
            advance(p);
            nodes_add(&list, parse_args(p, OP1(']')));
        } else {
            return list.head;
        }
    }
}

struct node *parse_decorator(struct parser *p)
{
    struct node *n = parse_type_path(p);
    if (!n) {
        bool brackets = p->in_brackets;
        n = parse_expr(p, 0);
        p->in_brackets = brackets;
        return n;
    }
    if (at_op(p, OP1('(')) && !(cur(p)->flags & TOKF_NEWLINE)) {
        struct node *c = node_new(p, N_CALL);
        c->a = n;
        c->tok = n->tok;
        advance(p);
        c->list = parse_args(p, OP1(')'));
        n = node_end(p, c);
    }
    return n;
}

/* Go: "a, b string, c ...int" or only types. */
static void go_param(struct parser *p, struct nodes *list)
{
    struct node *n = node_new(p, N_PARAM);
    const struct token *t1 = ahead(p, 1);
    if (cur(p)->kind == TOK_NAME && !is_op(t1, OP1('.')) && !is_kw(cur(p), KW_func) && !is_kw(cur(p), KW_map)) {
        n->sym = cur(p)->sym;
        advance(p);
    }
    uint32_t e = at_op(p, OP1(',')) || at_op(p, OP1(')')) ? 0 : scan_go_type(p, p->pos);
    if (e > p->pos) {
        n->c = parse_type_path(p);
        p->pos = e;
    }
    nodes_add(list, node_end(p, n));
}

static void typed_param(struct parser *p, struct nodes *list)
{
    struct node *n = node_new(p, N_PARAM);
    n->list = annotations(p);
    if (take_kw(p, KW_this)) {
    }
    uint32_t e = parse_scan_type(p, p->pos);
    if (e > p->pos && (p->toks[e].kind == TOK_NAME || is_op(&p->toks[e], OP1('(')))) {
        n->c = parse_type_path(p);
        if (is_op(&p->toks[e - 1], OP1('*')))
            n->flags |= NF_POINTER;
        p->pos = e;
    }
    if (cur(p)->kind == TOK_NAME) {
        n->sym = cur(p)->sym;
        advance(p);
    } else if (at_op(p, OP1('(')) && is_op(ahead(p, 1), OP1('*'))) { /* void (*f)(int) */
        n->sym = ahead(p, 2)->sym;
        parse_skip(p);
        if (at_op(p, OP1('(')))
            parse_skip(p);
    }
    while (at_op(p, OP1('['))) {
        parse_skip(p);
        n->flags |= NF_POINTER;
    }
    if (take_op(p, OP1('=')))
        n->a = parse_expr(p, 2);
    nodes_add(list, node_end(p, n));
}

/* Python, JavaScript, PHP, Ruby: name first. */
static void loose_param(struct parser *p, struct nodes *list)
{
    struct node *n = node_new(p, N_PARAM);
    n->list = annotations(p);
    if (at_op(p, OP3('.', '.', '.')) || at_op(p, OP1('*')) || at_op(p, OP2('*', '*')) || at_op(p, OP1('&')))
        advance(p);
    while (cur(p)->kind == TOK_NAME && is_modifier(cur(p)->sym) && ahead(p, 1)->kind == TOK_NAME)
        advance(p);
    if (p->lang == LANG_PHP) { /* ?Type|Other &...$x */
        while (!at_eof(p) && !(cur(p)->kind == TOK_NAME && symtab_name(&p->sx->syms, cur(p)->sym)[0] == '$') &&
               !at_op(p, OP1(',')) && !at_op(p, OP1(')'))) {
            uint32_t before = p->pos;
            if (cur(p)->kind == TOK_NAME && !n->c)
                n->c = parse_type_path(p);
            if (p->pos == before)
                parse_skip(p);
        }
    }
    if (cur(p)->kind == TOK_NAME) {
        n->sym = cur(p)->sym;
        advance(p);
    } else if (at_op(p, OP1('{')) || at_op(p, OP1('['))) {
        n->b = parse_prefix(p); /* destructured */
    }
    if (at_op(p, OP1('?')))
        advance(p);
    if (at_op(p, OP1(':')) && p->lang != LANG_RUBY) {
        advance(p);
        if (p->lang == LANG_PYTHON) {
            n->c = parse_expr(p, 2);
        } else {
            uint32_t at = p->pos;
            n->c = parse_type_path(p);
            p->pos = at;
            parse_skip_ts_type(p);
        }
    } else if (p->lang == LANG_RUBY && take_op(p, OP1(':'))) {
        if (!at_op(p, OP1(',')) && !at_op(p, OP1(')')) && !at_op(p, OP1('|')))
            n->a = parse_expr(p, 2);
    }
    if (take_op(p, OP1('=')))
        n->a = parse_expr(p, p->lang == LANG_RUBY ? 8 : 2);
    nodes_add(list, node_end(p, n));
}

struct node *parse_params(struct parser *p, uint32_t close)
{
    struct nodes list = NODES_INIT(list);
    bool brackets = p->in_brackets, no_brace = p->no_brace, no_in = p->no_in;
    p->in_brackets = true;
    p->no_brace = p->no_in = false;
    while (!at_eof(p) && !at_op(p, close)) {
        if (close == OP1('\n') && cur(p)->kind == TOK_NEWLINE)
            break;
        parse_newlines(p);
        if (take_op(p, OP1(',')) || take_op(p, OP1(';')))
            continue;
        if (at_op(p, close) || at_op(p, OP1('}')))
            break;
        uint32_t before = p->pos;
        if (p->lang == LANG_GO)
            go_param(p, &list);
        else if (is_typed(p))
            typed_param(p, &list);
        else
            loose_param(p, &list);
        if (p->pos == before)
            parse_skip(p);
    }
    take_op(p, close);
    p->in_brackets = brackets;
    p->no_brace = no_brace;
    p->no_in = no_in;
    if (p->lang == LANG_GO) { /* a, b string: a has b's type */
        for (struct node *n = list.head; n; n = n->next) {
            struct node *t = n;
            while (t && !t->c && t->next)
                t = t->next;
            n->c = n->c ? n->c : t->c;
        }
    }
    return list.head;
}

/* At '(' of the parameters, or at '{'. Reads up to the end of the body. */
struct node *parse_function(struct parser *p, uint32_t name)
{
    struct node *n = node_new(p, N_FUNC);
    n->sym = name;
    n->c = p->decorators;
    p->decorators = NULL;
    bool in_class = p->in_class, no_brace = p->no_brace, brackets = p->in_brackets, no_in = p->no_in;
    p->in_class = p->no_brace = p->in_brackets = p->no_in = false;
    if (take_op(p, OP1('(')))
        n->list = parse_params(p, OP1(')'));
    if (p->lang == LANG_GO) {
        if (at_op(p, OP1('(')))
            parse_skip(p);
        else if (!at_op(p, OP1('{'))) {
            uint32_t e = scan_go_type(p, p->pos);
            if (e > p->pos && !(p->toks[p->pos].flags & TOKF_NEWLINE))
                p->pos = e;
        }
    } else if (at_op(p, OP1(':')) && (is_js(p) || p->lang == LANG_PHP)) {
        advance(p);
        parse_skip_ts_type(p);
        if (p->lang == LANG_PHP)
            while (!at_eof(p) && !at_op(p, OP1('{')) && !at_op(p, OP1(';')) && !at_op(p, OP2('=', '>')))
                parse_skip(p);
    }
    if (p->lang == LANG_PHP && at_kw(p, KW_use)) {
        advance(p);
        if (at_op(p, OP1('(')))
            parse_skip(p);
        if (at_op(p, OP1(':')))
            while (!at_eof(p) && !at_op(p, OP1('{')))
                parse_skip(p);
    }
    for (int k = 0; k < 40 && !at_op(p, OP1('{')) && !at_op(p, OP2('=', '>')) && !at_op(p, OP1(';')) && !at_eof(p); k++) {
        /* throws X, const, noexcept, : base(x), -> T, where T : ... */
        if (is_js(p) || at_op(p, OP1('}')) || at_op(p, OP1(')')) || (at_op(p, OP1(',')) && p->lang != LANG_JAVA))
            break;
        if (p->lang == LANG_CPP && at_op(p, OP1(':'))) {
            while (!at_eof(p) && !at_op(p, OP1('{')) && !at_op(p, OP1(';'))) {
                parse_skip(p);
                if (at_op(p, OP1('{')) && (is_op(ahead(p, 0) - 1, OP1(',')) || p->toks[p->pos - 1].kind == TOK_NAME))
                    parse_skip(p);
            }
            break;
        }
        parse_skip(p);
    }
    if (at_op(p, OP1('{'))) {
        n->b = parse_braces(p, false);
    } else if (take_op(p, OP2('=', '>'))) {
        n->flags |= NF_ARROW;
        n->b = parse_expr(p, 1);
    }
    p->in_class = in_class;
    p->no_brace = no_brace;
    p->in_brackets = brackets;
    p->no_in = no_in;
    return node_end(p, n);
}

struct node *parse_function_expr(struct parser *p)
{
    uint32_t start = p->pos, name = 0;
    advance(p);
    if (at_op(p, OP1('*')) || at_op(p, OP1('&')))
        advance(p);
    if (cur(p)->kind == TOK_NAME) {
        name = cur(p)->sym;
        advance(p);
    }
    if (is_js(p) && at_op(p, OP1('<')))
        while (!at_eof(p) && !at_op(p, OP1('(')))
            advance(p);
    struct node *n = parse_function(p, name);
    n->tok = start;
    return n;
}

bool parse_is_arrow(const struct parser *p)
{
    if (!is_js(p) && p->lang != LANG_JAVA && p->lang != LANG_CSHARP)
        return false;
    uint32_t arrow = p->lang == LANG_JAVA ? OP2('-', '>') : OP2('=', '>');
    const struct token *t = cur(p);
    if (t->kind == TOK_NAME) {
        if (is_kw(t, KW_async) && ahead(p, 1)->kind == TOK_NAME && is_op(ahead(p, 2), arrow))
            return false;
        return is_op(ahead(p, 1), arrow) && !is_kw(t, KW_default) && !is_kw(t, KW_case);
    }
    if (!is_op(t, OP1('(')) || t->match <= p->pos)
        return false;
    const struct token *after = &p->toks[t->match + 1 < p->count ? t->match + 1 : t->match];
    if (is_op(after, arrow))
        return true;
    if (p->lang != LANG_TYPESCRIPT || !is_op(after, OP1(':')))
        return false;
    struct parser probe = *p; /* (x: T): R => ... */
    probe.pos = t->match + 2;
    parse_skip_ts_type(&probe);
    return is_op(cur(&probe), arrow) && probe.pos > t->match + 2;
}

struct node *parse_arrow(struct parser *p)
{
    struct node *n = node_new(p, N_FUNC);
    bool brackets = p->in_brackets, no_in = p->no_in, in_class = p->in_class;
    if (cur(p)->kind == TOK_NAME) {
        struct node *param = node_new(p, N_PARAM);
        param->sym = cur(p)->sym;
        advance(p);
        n->list = node_end(p, param);
    } else {
        advance(p);
        n->list = parse_params(p, OP1(')'));
        if (take_op(p, OP1(':')))
            parse_skip_ts_type(p);
    }
    advance(p); /* the arrow */
    p->in_brackets = p->no_in = p->in_class = false;
    if (at_op(p, OP1('{'))) {
        n->b = parse_braces(p, false);
    } else {
        n->flags |= NF_ARROW;
        n->b = parse_expr(p, 1);
    }
    p->in_brackets = brackets;
    p->no_in = no_in;
    p->in_class = in_class;
    return node_end(p, n);
}

struct node *parse_class(struct parser *p)
{
    struct node *n = node_new(p, N_CLASS);
    n->c = p->decorators;
    p->decorators = NULL;
    advance(p); /* class, struct, interface, enum, trait, record, namespace */
    if (at_kw(p, KW_class) || at_kw(p, KW_struct)) /* enum class, record struct */
        advance(p);
    if (cur(p)->kind == TOK_NAME && !at_kw(p, KW_extends) && !at_kw(p, KW_implements)) {
        n->sym = cur(p)->sym;
        advance(p);
    }
    struct nodes bases = NODES_INIT(bases);
    uint32_t k = 0;
    while (!at_eof(p) && !at_op(p, OP1('{')) && !at_op(p, OP1(';')) && k++ < 200) {
        if (cur(p)->kind == TOK_NAME && !is_modifier(cur(p)->sym) && !at_kw(p, KW_extends) && !at_kw(p, KW_implements)) {
            struct node *b = parse_type_path(p);
            if (b)
                nodes_add(&bases, b);
            else
                advance(p);
        } else {
            parse_skip(p);
        }
    }
    n->list = bases.head;
    if (at_op(p, OP1('{')))
        n->b = parse_braces(p, true);
    else
        take_op(p, OP1(';'));
    return node_end(p, n);
}

/* One declared name after its type: = x, [n] = x, (args), {x}. */
static struct node *declarator(struct parser *p, struct node *type, uint16_t flags)
{
    struct node *d = node_new(p, N_ASSIGN);
    d->flags = NF_DECL | flags;
    d->op = OP1('=');
    d->c = type;
    if (at_op(p, OP1('*')) || at_op(p, OP1('&'))) {
        d->flags |= NF_POINTER;
        while (at_op(p, OP1('*')) || at_op(p, OP1('&')))
            advance(p);
    }
    d->a = node_new(p, N_NAME);
    d->a->sym = cur(p)->sym;
    d->a->flags |= cur(p)->flags & TOKF_META ? NF_META : 0;
    advance(p);
    node_end(p, d->a);
    while (at_op(p, OP1('['))) {
        advance(p);
        d->flags |= NF_ARRAY;
        struct node *size = at_op(p, OP1(']')) ? NULL : parse_expr(p, 0);
        if (!d->list)
            d->list = size;
        take_op(p, OP1(']'));
    }
    if (take_op(p, OP1('='))) {
        d->b = parse_expr(p, 1);
    } else if ((at_op(p, OP1('(')) || at_op(p, OP1('{'))) && p->lang == LANG_CPP && type) {
        struct node *c = node_new(p, N_CALL);
        c->flags = NF_NEW;
        c->a = type;
        uint32_t close = at_op(p, OP1('(')) ? OP1(')') : OP1('}');
        advance(p);
        c->list = parse_args(p, close);
        d->b = node_end(p, c);
        if (type->sym == KW_auto && type->kind == N_NAME)
            d->b = c->list;
    }
    return node_end(p, d);
}

/* After "type name" comes "(": a function? */
static bool function_follows(const struct parser *p, uint32_t paren)
{
    uint32_t close = p->toks[paren].match;
    if (close <= paren)
        return false;
    const struct token *t = &p->toks[close + 1 < p->count ? close + 1 : close];
    if (is_op(t, OP1('{')) || is_op(t, OP2('=', '>')) || is_op(t, OP2('-', '>')))
        return true;
    if (is_kw(t, KW_throws) || is_kw(t, KW_const) || is_kw(t, KW_noexcept) || is_kw(t, KW_override) ||
        is_kw(t, KW_where) || is_kw(t, KW_final))
        return true;
    if (p->lang == LANG_CPP && is_op(t, OP1(':')))
        return true;
    return p->in_class && is_op(t, OP1(';'));
}

/* C#: T Name { get; set; } = x; */
static struct node *property(struct parser *p, uint32_t name)
{
    struct node *d = node_new(p, N_ASSIGN);
    d->flags = NF_DECL;
    d->op = OP1('=');
    d->a = node_new(p, N_NAME);
    d->a->sym = p->toks[name].sym;
    p->pos = name + 1;
    parse_skip(p);
    if (take_op(p, OP1('=')))
        d->b = parse_expr(p, 1);
    take_op(p, OP1(';'));
    return node_end(p, d);
}

struct node *parse_typed_decl(struct parser *p)
{
    uint32_t at = p->pos, e = parse_scan_type(p, at);
    bool constant = false;
    uint16_t pointer = 0;
    for (uint32_t k = at; k < e && k < at + 6; k++)
        constant |= is_kw(&p->toks[k], KW_final) || is_kw(&p->toks[k], KW_const) || is_kw(&p->toks[k], KW_readonly);
    const struct token *t = e ? &p->toks[e] : NULL;
    if (e && p->in_class && is_op(t, OP1('(')) && e > at && p->toks[e - 1].kind == TOK_NAME && function_follows(p, e)) {
        p->pos = e; /* a constructor: Name(...) {...} */
        struct node *f = parse_function(p, p->toks[e - 1].sym);
        f->tok = at;
        take_op(p, OP1(';'));
        return f;
    }
    if (e && (is_kw(t, KW_operator) || is_op(t, OP1('~'))))
        e++;
    if (!e || (p->toks[e].kind != TOK_NAME && !(e > at && is_op(&p->toks[e], OP1('(')) && is_op(&p->toks[e + 1],
            OP1('*')) && is_c(p))))
        return NULL;
    if (is_op(&p->toks[e], OP1('('))) /* int (*f)(...) = ...: only stepped over */
        return NULL;
    uint32_t name = e;
    while (p->lang == LANG_CPP && is_op(&p->toks[name + 1], OP2(':', ':')) && (p->toks[name + 2].kind == TOK_NAME ||
            is_op(&p->toks[name + 2], OP1('~'))))
        name += is_op(&p->toks[name + 2], OP1('~')) ? 3 : 2; /* void A::f() */
    if (p->lang == LANG_CSHARP && is_op(&p->toks[name + 1], OP1('<'))) { /* T Get<T>(...) */
        uint32_t g = scan_type_args(p, name + 1);
        if (g && is_op(&p->toks[g], OP1('(')) && function_follows(p, g)) {
            p->pos = g;
            struct node *f = parse_function(p, p->toks[name].sym);
            f->tok = at;
            return f;
        }
    }
    const struct token *after = &p->toks[name + 1];
    if (is_op(&p->toks[e - 1], OP1('*')))
        pointer = NF_POINTER;
    if (is_op(after, OP1('('))) {
        if (function_follows(p, name + 1)) {
            p->pos = name + 1;
            struct node *f = parse_function(p, p->toks[name].sym);
            f->tok = at;
            take_op(p, OP1(';'));
            return f;
        }
        if (p->lang != LANG_CPP || name != e)
            return NULL;
    } else if (p->lang == LANG_CSHARP && is_op(after, OP1('{')) && p->in_class) {
        return property(p, name);
    } else if (!(is_op(after, OP1('=')) || is_op(after, OP1(';')) || is_op(after, OP1(',')) || is_op(after, OP1('[')) ||
                 is_op(after, OP1(':')) || is_op(after, OP1(')')) || (is_op(after, OP1('{')) && p->lang == LANG_CPP) ||
                 (is_op(after, OP2('=', '>')) && p->in_class) || is_kw(after, KW_in) || (p->pattern &&
                         after->kind == TOK_EOF))) {
        return NULL;
    }
    struct node *type = parse_type_path(p);
    p->pos = name;
    struct nodes list = NODES_INIT(list);
    do {
        if (list.head && cur(p)->kind != TOK_NAME && !at_op(p, OP1('*')))
            break;
        struct node *d = declarator(p, type, (uint16_t)((list.head ? 0 : pointer) | (constant ? NF_STATIC : 0)));
        if (!list.head)
            d->tok = at;
        if (take_op(p, OP2('=', '>')))
            d->b = parse_expr(p, 1);
        nodes_add(&list, d);
    } while (take_op(p, OP1(',')));
    p->decorators = NULL;
    return list.head; /* several: siblings */
}
