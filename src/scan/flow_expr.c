/* Expressions: what value each has. */
#include "scan/flow_internal.h"

#include <stdlib.h>
#include <string.h>

static const struct value *mixed(struct flow *f, const struct value *a, const struct value *b)
{
    return value_mix(f, a ? a : &flow_const, b ? b : &flow_const);
}

const struct value *eval_list(struct flow *f, const struct node *list)
{
    const struct value *v = &flow_const;
    for (const struct node *n = list; n; n = n->next) {
        const struct value *item = eval(f, n);
        v = item->origin == ORIGIN_CONST ? v : v == &flow_const ? item : value_mix(f, v, item);
    }
    return v;
}

static const struct value *eval_number(struct flow *f, const struct node *n)
{
    size_t len;
    const char *s = syntax_text(f->sx, n, &len);
    char buf[40];
    size_t k = 0;
    bool plain = true;
    for (size_t i = 0; i < len && k < sizeof buf - 1; i++) {
        if (s[i] == '_')
            continue;
        plain &= s[i] != '.';
        buf[k++] = s[i];
    }
    buf[k] = 0;
    if (!plain)
        return &flow_const;
    bool octal = buf[0] == '0' && (buf[1] == 'o' || buf[1] == 'O');
    if (octal)
        memmove(buf + 1, buf + 2, strlen(buf + 2) + 1);
    return value_num(f, strtoll(buf, NULL, 0));
}

static const struct value *eval_string(struct flow *f, const struct node *n)
{
    size_t len;
    const char *s = syntax_text(f->sx, n, &len);
    if (n->flags & NF_WORDS) {
        struct value *v = value_new(f, ORIGIN_CONST);
        v->flags = VF_CONTAINER;
        v->literal = n;
        return v;
    }
    return value_text(f, s, len);
}

static const struct value *eval_literal(struct flow *f, const struct node *n)
{
    struct value *v = value_new(f, ORIGIN_CONST);
    switch (n->sym) {
    case KW_True: case KW_true: case KW_False: case KW_false:
        v->flags = VF_NUM | VF_BOOL;
        v->num = n->sym == KW_True || n->sym == KW_true;
        break;
    default:
        v->flags = VF_NULL;
    }
    v->path = symtab_name(&f->sx->syms, n->sym);
    return v;
}

/* What is written in another way is shown to the rules as a call: of name, or of base.name, with one argument. */
static void show_call(struct flow *f, const struct node *n, const struct node *base, const char *name, const struct node *arg,
                      const struct value *v)
{
    struct node *c = arena_alloc(f->sx->arena, 3 * sizeof *c);
    if (!c) {
        f->nomem = true;
        return;
    }
    c[0] = (struct node){.kind = N_CALL, .tok = n->tok, .tok_end = n->tok_end, .a = &c[1], .list = &c[2]};
    c[1] = (struct node){.kind = base ? N_MEMBER : N_NAME, .tok = n->tok, .tok_end = n->tok_end,
                         .a = (struct node *)(uintptr_t)base, .sym = symtab_intern(&f->sx->syms, name, strlen(name))};
    c[2] = *arg;
    c[2].next = NULL;
    c[2].val = (struct value *)(uintptr_t)v;
    c[1].val = value_new(f, ORIGIN_CONST);
    c[1].val->path = base ? path_join(f, base->val ? base->val->path : NULL, name) : name;
    match_call(f, &c[0]);
}

static const struct value *eval_template(struct flow *f, const struct node *n)
{
    const struct value *v = NULL;
    for (const struct node *p = n->list; p; p = p->next) {
        const struct value *part = eval(f, p);
        if (part->origin == ORIGIN_CONST && !(part->flags & VF_TEXT) && !part->text)
            part = value_text(f, "", 0);
        v = v ? value_concat(f, v, part) : part->origin == ORIGIN_CONST ? part : value_concat(f, value_text(f, "", 0), part);
    }
    if (!v)
        v = value_text(f, "", 0);
    if (!(n->flags & NF_SHELL))
        return v;
    show_call(f, n, NULL, "backticks", n, v); /* they run a command */
    return &flow_unknown;
}

/* A value from outside if a source says so; else NULL. */
static const struct value *source_value(struct flow *f, const struct node *n, const char *name, const char *path, bool call)
{
    const struct fact *s = find_fact(f, &f->rules->sources, name, path, n, call);
    if (!s || s->writes >= 0)
        return NULL;
    struct value *v = value_new(f, ORIGIN_TAINTED);
    v->labels = flow_label(f, n, 0);
    v->flags = VF_SOURCE;
    v->path = path;
    v->clean = s->kinds;
    v->source_line = syntax_line(f->sx, n);
    return v;
}

static const struct value *eval_name(struct flow *f, const struct node *n)
{
    const char *name = symtab_name(&f->sx->syms, n->sym);
    const struct value *v = var_get(f, n->sym);
    const struct node *alias = v && f->aliases.len && f->stack.len ? map_get(&f->aliases, name) : NULL;
    if (alias)
        return eval(f, alias);
    if (v) {
        if (v->flags & VF_FREED && f->target != n)
            check_use(f, n, v);
        if (!v->path) {
            struct value *c = value_copy(f, v);
            c->path = name;
            var_set(f, n->sym, c);
            return c;
        }
        return v;
    }
    const struct value *s = source_value(f, n, name, name, false);
    if (s)
        return s;
    struct node *func = map_get(&f->funcs, name);
    struct value *u = value_new(f, ORIGIN_UNKNOWN);
    u->path = name;
    if (func) {
        u->origin = ORIGIN_CONST;
        u->clean = CLEAN_ALL;
        u->func = func;
    } else if (name[0] >= 'A' && name[0] <= 'Z' && name[1] && (!(name[1] >= 'a' && name[1] <= 'z') || f->lang != LANG_C)) {
        bool upper = true;
        for (const char *c = name; *c; c++)
            upper &= !(*c >= 'a' && *c <= 'z');
        if (upper || f->lang == LANG_RUBY) /* BASE_DIR from elsewhere: a constant by convention */
            u->origin = ORIGIN_CONST, u->clean = CLEAN_ALL;
    }
    var_set(f, n->sym, u);
    return u;
}

static const struct value *part_of(struct flow *f, const struct node *n, const struct value *base, const char *path)
{
    struct value *v = value_new(f, base->origin);
    v->clean = base->clean;
    v->labels = base->labels;
    v->source_line = base->source_line;
    v->path = path;
    v->flags = base->flags & VF_SOURCE;
    if (base->flags & VF_SOURCE && base->labels)
        v->labels = flow_label(f, n, base->labels);
    return v;
}

static bool is_length(const char *s)
{
    return strcmp(s, "length") == 0 || strcmp(s, "size") == 0 || strcmp(s, "Length") == 0 || strcmp(s, "Count") == 0 ||
           strcmp(s, "count") == 0;
}

/* self.table, where the class says table = "t" and nothing else is ever put into it; NULL: it is none of these. */
static const struct value *own_constant(const struct flow *f, const struct node *n, const char *name)
{
    char buf[FLOW_PATH_MAX];
    const char *key = f->fields.len && own_member(f, n) ? field_key(f, name, buf) : NULL;
    return key ? map_get(&f->fields, key) : NULL;
}

/* Laravel: a member of the request that is none of its own is a field of what was sent. */
static bool request_field(const struct value *base, const char *name)
{
    static const char *const own[] = {"attributes", "session", "server", "user", "files", NULL};
    const char *last = base->path ? strrchr(base->path, '\\') : NULL;
    last = last ? last + 1 : base->path ? base->path : "";
    size_t len = strlen(last);
    return len >= 7 && strcmp(last + len - 7, "Request") == 0 && !one_of(name, own);
}

static const struct value *eval_member(struct flow *f, const struct node *n)
{
    const char *name = symtab_name(&f->sx->syms, n->sym);
    const struct value *base = eval(f, n->a);
    uint32_t key = var_key(f, n);
    const struct value *v = key ? var_get(f, key) : NULL;
    bool script = f->lang == LANG_JAVASCRIPT || f->lang == LANG_TYPESCRIPT;
    if (script && base->path && base->origin == ORIGIN_CONST && strcmp(name, "default") == 0)
        return base; /* require('x').default */
    const char *path = path_join(f, base->path, name);
    if (v && f->target != n) {
        if (v->flags & VF_FREED)
            check_use(f, n, v);
        if (v->path && (v->labels || v->origin == ORIGIN_CONST))
            return v;
        struct value *c = value_copy(f, v);
        c->path = v->path ? v->path : path;
        if (!c->labels && c->origin != ORIGIN_CONST)
            c->labels = flow_label(f, n, 0);
        return c;
    }
    const struct value *s = source_value(f, n, name, path, false);
    if (!s && f->target != n)
        s = own_constant(f, n, name);
    if (s)
        return s;
    if (f->lang == LANG_RUBY && base->origin == ORIGIN_CONST && base->flags & (VF_CONTAINER | VF_STRING))
        return base; /* .freeze, .to_s */
    if (f->lang == LANG_RUBY && n->flags & NF_STATIC && name[0] >= 'A' && name[0] <= 'Z') { /* self.class::TABLE */
        struct value *c = value_new(f, ORIGIN_CONST);
        c->path = path;
        return c;
    }
    if (is_length(name) && !(script && base->flags & VF_SOURCE && strcmp(name, "length") != 0)) { /* body.size is a field */
        struct value *l = value_new(f, ORIGIN_UNKNOWN);
        l->clean = CLEAN_ALL;
        l->path = path;
        return l;
    }
    if (base->entries) {
        const struct value *k = value_text(f, name, strlen(name));
        const struct entry *e = value_entry(base, k);
        if (e)
            return e->value;
    }
    const struct value *r = part_of(f, n, base, path);
    if (f->lang == LANG_PHP && base->origin == ORIGIN_PARAM && f->target != n && request_field(base, name)) {
        struct value *c = (struct value *)(uintptr_t)r;
        c->origin = ORIGIN_TAINTED;
        c->source_line = syntax_line(f->sx, n);
    }
    if (f->lang == LANG_RUBY && base->origin != ORIGIN_CONST) { /* a call without brackets */
        struct value *c = (struct value *)(uintptr_t)r;
        c->flags |= base->flags & (VF_BUILT | VF_STRING);
        c->text = base->text;
        c->text_len = base->text_len;
        c->clean |= fact_kinds(f, &f->rules->sanitizers, name, path, n, true);
    }
    if (base->origin != ORIGIN_CONST) /* r is new */
        ((struct value *)(uintptr_t)r)->clean |= fact_kinds(f, &f->rules->sanitizers, name, path, n, false);
    if (base->origin == ORIGIN_UNKNOWN || base->origin == ORIGIN_PARAM) {
        struct value *u = (struct value *)(uintptr_t)r;
        if (base->origin == ORIGIN_PARAM && strcmp(path, "this") == 0)
            u->origin = ORIGIN_UNKNOWN;
        u->labels |= flow_label(f, n, base->labels);
    }
    return r;
}

/* PHP: $_SERVER[key] that is not from the request's sender. */
static bool server_decides(const struct value *key)
{
    static const char *const names[] = {"SERVER_PROTOCOL", "SERVER_PORT", "SERVER_ADDR", "SERVER_SOFTWARE", "SERVER_ADMIN",
                                        "DOCUMENT_ROOT", "SCRIPT_NAME", "SCRIPT_FILENAME", "REQUEST_METHOD", "REQUEST_TIME",
                                        "REQUEST_TIME_FLOAT", "REMOTE_ADDR", "REMOTE_PORT", "GATEWAY_INTERFACE", "HTTPS",
                                        "argc", NULL};
    for (const char *const *n = names; *n; n++)
        if (strlen(*n) == key->text_len && memcmp(*n, key->text, key->text_len) == 0)
            return true;
    return false;
}

static const struct value *eval_index(struct flow *f, const struct node *n)
{
    const struct value *base = eval(f, n->a);
    const struct value *key = &flow_const;
    for (const struct node *k = n->b; k; k = k->next)
        key = eval(f, k);
    check_index(f, n);
    if (f->lang == LANG_RUBY && key->flags & VF_BUILT && n->a && n->a->kind < N_BLOCK)
        show_call(f, n, n->a, "index", n->b, key);
    if (f->lang == LANG_PHP && base->path && strcmp(base->path, "$_SERVER") == 0 && key->flags & VF_TEXT &&
        server_decides(key))
        return &flow_unknown;
    if (base->path && find_fact(f, &f->rules->sources, "[]", base->path, n, false)) {
        struct value *s = value_new(f, ORIGIN_TAINTED);
        s->labels = flow_label(f, n, 0);
        s->source_line = syntax_line(f->sx, n);
        s->path = path_join(f, base->path, "[]");
        return s;
    }
    const struct entry *e = base->entries && !(n->flags & NF_SAFE) ? value_entry(base, key) : NULL;
    if (e)
        return e->value;
    if (base->origin == ORIGIN_CONST) {
        if (base->flags & VF_TEXT && key->flags & VF_NUM && key->num >= 0 && key->num < base->text_len && f->lang != LANG_GO &&
            f->lang != LANG_C && f->lang != LANG_CPP && !(n->flags & NF_SAFE))
            return value_text(f, base->text + key->num, 1);
        struct value *v = value_new(f, ORIGIN_CONST);
        v->guard = key->labels;
        v->guard_kinds = CLEAN_ALL;
        if (base->literal)
            v->literal = base->literal;
        v->path = base->path && !(base->flags & VF_CONTAINER) ? path_join(f, base->path, "[]") : NULL;
        return v;
    }
    struct value *v = value_copy(f, part_of(f, n, base, base->path ? path_join(f, base->path, "[]") : NULL));
    if (base->origin == ORIGIN_PARAM && key->origin == ORIGIN_TAINTED)
        v->origin = ORIGIN_UNKNOWN; /* a table that the caller gave */
    if (base->origin == ORIGIN_UNKNOWN && !base->labels && key->origin != ORIGIN_CONST) {
        v->guard = key->labels; /* a table of the program, looked up with outside data */
        v->guard_kinds = CLEAN_ALL;
    }
    if (n->flags & NF_SAFE) { /* a slice of a string is such a string */
        v->flags |= base->flags & VF_BUILT;
        v->labels = base->labels;
    }
    return v;
}

static const struct value *arithmetic(struct flow *f, uint32_t op, const struct value *a, const struct value *b)
{
    int64_t x = a->num, y = b->num, r;
    bool truth = false;
    switch (op) {
    case OP1('+'):
        r = (int64_t)((uint64_t)x + (uint64_t)y);
        break;
    case OP1('-'):
        r = (int64_t)((uint64_t)x - (uint64_t)y);
        break;
    case OP1('*'):
        r = (int64_t)((uint64_t)x * (uint64_t)y);
        break;
    case OP1('/'):
        r = y && !(y == -1 && x == INT64_MIN) ? x / y : 0;
        break;
    case OP1('%'):
        r = y && y != -1 ? x % y : 0;
        break;
    case OP1('|'):
        r = x | y;
        break;
    case OP1('&'):
        r = x & y;
        break;
    case OP1('<'): r = x < y; truth = true; break;
    case OP1('>'): r = x > y; truth = true; break;
    case OP2('<', '='): r = x <= y; truth = true; break;
    case OP2('>', '='): r = x >= y; truth = true; break;
    case OP2('=', '='): case OP3('=', '=', '='): r = x == y; truth = true; break;
    case OP2('!', '='): case OP3('!', '=', '='): r = x != y; truth = true; break;
    default:
        return NULL;
    }
    struct value *v = value_copy(f, value_num(f, r));
    if (truth)
        v->flags |= VF_BOOL;
    return v;
}

static bool joins_strings(const struct flow *f, uint32_t op, const struct value *a)
{
    if (op == OP1('+'))
        return f->lang != LANG_PHP;
    if (op == OP1('.'))
        return f->lang == LANG_PHP;
    if (op == OP1('%'))
        return f->lang == LANG_PYTHON || f->lang == LANG_RUBY ? a->text != NULL || a->flags & VF_BUILT : false;
    return op == OP2('<', '<') && f->lang == LANG_RUBY;
}

/* The right side of && and || runs only if the left one lets it. */
static const struct value *eval_logic(struct flow *f, const struct node *n)
{
    const struct value *a = eval(f, n->a);
    size_t mark = f->log.len;
    bool before = f->terminated, and = n->op == OP2('&', '&');
    f->terminated = false;
    refine(f, n->a, and);
    const struct value *b = n->b ? eval(f, n->b) : &flow_const;
    bool over = f->terminated;
    f->terminated = before;
    if (over) {
        undo_to(f, mark);
        refine(f, n->a, !and);
        return a;
    }
    /* guards that hold only on the right are forgotten, assignments stay */
    for (size_t i = mark; i < f->log.len; i++)
        if (f->log.v[i].sym >= FLOW_LABEL_BASE)
            f->cleaned[f->log.v[i].sym - FLOW_LABEL_BASE] = f->log.v[i].old_mask;
    struct value *v = value_copy(f, value_join(f, a, b));
    v->guard = and ? a->guard | b->guard : a->guard & b->guard;
    v->guard_kinds = a->guard_kinds | b->guard_kinds;
    v->flags &= ~(uint32_t)VF_NUM;
    bool decided = a->flags & VF_NUM && a->flags & VF_BOOL && !a->num == and;
    if (decided || (a->flags & b->flags & VF_NUM && a->flags & b->flags & VF_BOOL)) {
        v->num = decided ? a->num != 0 : b->num != 0;
        v->flags |= VF_NUM | VF_BOOL;
    }
    return v;
}

/* Ruby: s << a << b */
static const struct value *pushed(struct flow *f, const struct node *to, const struct value *a, const struct value *b)
{
    const struct value *v = a->flags & VF_CONTAINER ? value_mix(f, a, b) : value_concat(f, a, b);
    while (to->kind == N_BINARY && to->op == OP2('<', '<') && to->a)
        to = to->a;
    assign_to(f, to, v);
    return v;
}

static const struct value *known_text_in(struct flow *f, const struct value *part, const struct value *whole, bool in)
{
    bool found = memmem(whole->text, whole->text_len, part->text, part->text_len) != NULL;
    struct value *v = value_copy(f, value_num(f, found == in));
    v->flags |= VF_BOOL;
    return v;
}

static const struct value *of_operands(struct flow *f, const struct node *n, const struct value *a, const struct value *b)
{
    struct value *v = value_copy(f, mixed(f, a, b));
    if (v->origin != ORIGIN_CONST) {
        if (n->op == OP1('-') || n->op == OP1('*') || n->op == OP1('%') || n->op == OP1('&')) {
            if (f->lang != LANG_C && f->lang != LANG_CPP && n->op != OP1('/'))
                v->clean = CLEAN_ALL; /* a number */
        }
        if (n->op == OP1('/') && f->lang == LANG_PYTHON) { /* pathlib */
            v = value_copy(f, value_concat(f, a, b));
            v->path = a->path;
        }
        if (n->op == OP2('<', '<') && f->lang == LANG_CPP)
            v->path = a->path;
        if (n->op == OP1('%') || n->op == OP1('&'))
            v->clean |= rules_kind("size") | rules_kind("index");
    }
    return v;
}

static const struct value *eval_binary(struct flow *f, const struct node *n)
{
    if (n->op == OP2('&', '&') || n->op == OP2('|', '|'))
        return eval_logic(f, n);
    const struct value *a = n->a ? eval(f, n->a) : &flow_const, *b = n->b ? eval(f, n->b) : &flow_const;
    match_binary(f, n);
    check_arithmetic(f, n, a, b);
    if (a->flags & b->flags & VF_NUM) {
        const struct value *r = arithmetic(f, n->op, a, b);
        if (r)
            return r;
    }
    switch (n->op) {
    case KW_in: case KW_not: {
        if (f->lang == LANG_PYTHON && a->flags & b->flags & VF_TEXT && a->origin == ORIGIN_CONST && b->origin == ORIGIN_CONST)
            return known_text_in(f, a, b, n->op == KW_in);
        struct value *v = value_new(f, ORIGIN_UNKNOWN);
        v->clean = CLEAN_ALL;
        if (n->op == KW_in && a->labels && b->origin < ORIGIN_PARAM) {
            v->guard = a->labels;
            v->guard_kinds = CLEAN_ALL;
        }
        return v;
    }
    case OP2('?', '?'): case OP2('?', ':'):
        return value_join(f, a, b);
    case OP2('=', '='): case OP2('!', '='): case OP3('=', '=', '='): case OP3('!', '=', '='): case OP1('<'): case OP1('>'):
    case OP2('<', '='): case OP2('>', '='): case KW_instanceof: case KW_is: case OP3('<', '=', '>'): {
        struct value *v = value_new(f, ORIGIN_UNKNOWN);
        v->clean = CLEAN_ALL;
        return v;
    }
    case OP2('=', '~'): {
        struct value *v = value_new(f, ORIGIN_UNKNOWN);
        v->clean = CLEAN_ALL;
        v->guard = a->labels;
        v->guard_kinds = CLEAN_ALL;
        return v;
    }
    default:
        break;
    }
    if (n->op == OP2('<', '-') && f->lang == LANG_GO && n->a) { /* a channel holds what is sent */
        assign_to(f, n->a, value_join(f, a, b));
        return &flow_const;
    }
    if (joins_strings(f, n->op, a)) {
        if (n->op == OP2('<', '<') && n->a)
            return pushed(f, n->a, a, b);
        if (n->op == OP1('%')) {
            b = text_operands(f, a, b);
            struct value *v = value_copy(f, value_concat(f, a, b));
            v->text = a->text;
            v->text_len = a->text_len;
            return v;
        }
        return value_concat(f, a, b);
    }
    return of_operands(f, n, a, b);
}

static const struct value *eval_unary(struct flow *f, const struct node *n)
{
    if (n->op == KW_sizeof)
        return eval_sizeof(f, n);
    const struct value *a = n->a ? eval(f, n->a) : &flow_const;
    switch (n->op) {
    case OP1('-'):
        return a->flags & VF_NUM ? value_num(f, (int64_t)(0 - (uint64_t)a->num)) : a;
    case OP1('!'): case KW_not: {
        struct value *v = value_new(f, a->origin == ORIGIN_CONST ? ORIGIN_CONST : ORIGIN_UNKNOWN);
        v->clean = CLEAN_ALL;
        if (a->flags & VF_NUM) {
            v->flags = VF_NUM | VF_BOOL;
            v->num = !a->num;
        }
        return v;
    }
    default:
        return a;
    }
}

static const struct value *eval_container(struct flow *f, const struct node *n)
{
    struct value *v = value_new(f, ORIGIN_CONST);
    v->flags = VF_CONTAINER;
    v->literal = n;
    const struct value *cur = v;
    int64_t index = 0;
    for (const struct node *e = n->list; e; e = e->next) {
        const struct value *item = NULL, *key = NULL;
        if (e->kind == N_PAIR) {
            item = e->b ? eval(f, e->b) : &flow_const;
            if (e->a && e->a->kind == N_NAME && f->lang != LANG_PYTHON && f->lang != LANG_GO) {
                const char *k = symtab_name(&f->sx->syms, e->a->sym);
                key = value_text(f, k, strlen(k));
            } else if (e->a) {
                key = eval(f, e->a);
            } else {
                const char *k = symtab_name(&f->sx->syms, e->sym);
                key = value_text(f, k, strlen(k));
            }
            match_pair(f, e);
        } else {
            item = eval(f, e);
            if (n->kind == N_DICT && e->kind == N_NAME) {
                const char *k = symtab_name(&f->sx->syms, e->sym);
                key = value_text(f, k, strlen(k));
            } else {
                key = value_num(f, index++);
            }
        }
        if (index > 64 && item->origin == ORIGIN_CONST)
            continue; /* a long table of constants */
        if (e->kind == N_FUNC)
            continue;
        cur = value_with_entry(f, cur, key, item);
    }
    struct value *r = value_copy(f, cur);
    r->flags |= VF_CONTAINER;
    r->literal = n;
    return r;
}

static const struct value *eval_cond(struct flow *f, const struct node *n)
{
    const struct value *c = n->a ? eval(f, n->a) : &flow_unknown;
    bool known = !f->loops && c->flags & VF_BOOL && c->flags & VF_NUM && n->a->kind == N_BINARY;
    if (known)
        return c->num ? (n->b ? eval(f, n->b) : c) : (n->c ? eval(f, n->c) : c);
    size_t mark = f->log.len;
    if (n->a)
        refine(f, n->a, true);
    const struct value *a = n->b ? eval(f, n->b) : c;
    a = value_settled(f, a, f->cleaned); /* what the guard made clean stays clean in this value only */
    undo_to(f, mark);
    if (n->a)
        refine(f, n->a, false);
    const struct value *b = n->c ? eval(f, n->c) : &flow_const;
    b = value_settled(f, b, f->cleaned);
    undo_to(f, mark);
    return value_join(f, a, b);
}

static bool is_status(const char *s)
{
    return strcmp(s, "err") == 0 || strcmp(s, "ok") == 0 || strcmp(s, "_") == 0 || strcmp(s, "found") == 0 ||
           strcmp(s, "exists") == 0 || strcmp(s, "e") == 0 || strcmp(s, "error") == 0 || strcmp(s, "allowed") == 0;
}

static void assign_parts(struct flow *f, const struct node *target, const struct value *v)
{
    int64_t i = 0;
    for (const struct node *t = target->list; t; t = t->next, i++) {
        const struct value *k = value_num(f, i);
        const struct node *to = t->kind == N_PAIR ? t->b : t->kind == N_ASSIGN ? t->a : t->kind == N_SPREAD ? t->a : t;
        const struct node *name = t->kind == N_PAIR ? t->a : to;
        if (target->kind == N_DICT && name && name->kind == N_NAME) {
            const char *s = symtab_name(&f->sx->syms, name->sym);
            const struct entry *e = value_entry(v, value_text(f, s, strlen(s)));
            char *path = (char *)(uintptr_t)path_join(f, v->path, s);
            const struct value *src = source_value(f, name, s, path, false);
            assign_to(f, to, e ? e->value : src ? src : part_of(f, name, v, path));
            continue;
        }
        const struct entry *e = value_entry(v, k);
        struct value *part = value_copy(f, e ? e->value : v);
        if (!e && target->kind != N_DICT) {
            part->entries = NULL;
            part->literal = NULL;
            if (part->labels && to->kind == N_NAME) /* what is found out of one part says nothing of the others */
                part->labels = flow_label(f, to, part->labels);
        }
        /* Go: x, err := f(); v, ok := table[k] */
        if (!e && i > 0 && f->lang == LANG_GO && to->kind == N_NAME && is_status(symtab_name(&f->sx->syms, to->sym))) {
            part->flags &= ~(uint32_t)VF_BUILT;
            if (!part->guard) {
                part = value_new(f, ORIGIN_UNKNOWN);
                part->clean = CLEAN_ALL;
                part->path = "error";
            }
        }
        assign_to(f, to, part);
    }
}

/* Go: err := f(x) */
static bool is_error_of_call(const struct flow *f, const struct node *n)
{
    return f->lang == LANG_GO && n->a && n->a->kind == N_NAME && n->b && n->b->kind == N_CALL &&
           strcmp(symtab_name(&f->sx->syms, n->a->sym), "err") == 0;
}

void assign_to(struct flow *f, const struct node *target, const struct value *v)
{
    if (!target)
        return;
    switch (target->kind) {
    case N_SEQ: case N_LIST: case N_DICT:
        assign_parts(f, target, v);
        return;
    case N_PAIR: /* foreach ($x as $key => $value) */
        assign_to(f, target->a, v);
        assign_to(f, target->b, v);
        return;
    case N_NAME:
        var_set(f, target->sym, v);
        if (f->freed_count)
            forget_freed(f, target->sym);
        return;
    case N_MEMBER: {
        uint32_t key = var_key(f, target);
        if (key)
            var_set(f, key, v);
        /* what is put into an object of outside data or a plain one makes it no better */
        const struct value *base = target->a ? eval(f, target->a) : NULL;
        if (base && target->a->kind == N_NAME && target->a->sym != KW_this && target->a->sym != KW_self &&
                v->origin > base->origin &&
            base->flags & VF_CONTAINER) {
            const char *k = symtab_name(&f->sx->syms, target->sym);
            var_set(f, target->a->sym, value_with_entry(f, base, value_text(f, k, strlen(k)), v));
        }
        return;
    }
    case N_INDEX: {
        uint32_t key = var_key(f, target->a);
        const struct value *base = key ? var_get(f, key) : NULL;
        const struct value *k = target->b ? eval(f, target->b) : &flow_const;
        if (target->a)
            eval(f, target->a);
        check_index(f, target);
        if (!base)
            return;
        if (f->lang == LANG_C || f->lang == LANG_CPP) {
            if (v->origin > base->origin) {
                struct value *m = value_copy(f, base);
                m->origin = v->origin;
                m->labels |= v->labels;
                m->clean &= v->clean;
                var_set(f, key, m);
            }
            return;
        }
        var_set(f, key, value_with_entry(f, base, k, v));
        return;
    }
    case N_UNARY: case N_CAST: {
        if (target->kind == N_UNARY && target->a)
            eval(f, target->a);
        if (target->op == OP1('$')) { /* PHP: $$name */
            const struct value *name = target->a && target->a->kind < N_BLOCK ? target->a->val : NULL;
            if (name && value_needs(f, name, NEED_TAINTED, rules_kind("code")))
                flow_check(f, "variable-variable", target, name);
            return;
        }
        uint32_t key = var_key(f, target);
        const struct value *base = key ? var_get(f, key) : NULL;
        if (key && base)
            var_set(f, key, value_join(f, base, v));
        return;
    }
    default:
        return;
    }
}

/* char buf[64]; and what a declared type tells. */
static const struct value *declared(struct flow *f, const struct node *n, const struct value *v)
{
    struct value *d = NULL;
    if (n->flags & NF_ARRAY && (f->lang == LANG_C || f->lang == LANG_CPP)) {
        d = value_copy(f, v ? v : &flow_const);
        d->flags |= VF_ARRAY;
        d->flags &= ~(uint32_t)(VF_TEXT | VF_CONTAINER);
        d->text = NULL; /* its length stays: that is what strlen gives until it is written to */
        d->path = NULL;
        const struct value *size = n->list ? eval(f, n->list) : NULL;
        if (size && size->flags & VF_NUM && size->num > 0 && size->num < INT32_MAX)
            d->size = (uint32_t)size->num;
        else if (!size && v && v->text)
            d->size = v->text_len + 1;
        d->elem = n->flags & NF_POINTER ? 8 : n->c && n->c->kind == N_NAME ? type_size(symtab_name(&f->sx->syms, n->c->sym)) : 0;
    }
    if (!n->c)
        return d ? d : v;
    const struct value *type = n->c->kind == N_NAME || n->c->kind == N_MEMBER ? eval(f, n->c) : NULL;
    if (!type || !type->path)
        return d ? d : v;
    static const char *const plain[] = {"var", "auto", "let", "String", "string", "int", "char", "Object", "long",
            "any", "void",
                                        "bool", "boolean", "std.string", "unsigned", "size_t", "byte", "dynamic",
                                                "str", "object",
                                        "double", "float", "number", "short", "uint8_t", "FILE", "const"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(type->path, plain[i]) == 0)
            return d ? d : v;
    if (v && v->path && v->flags & VF_INSTANCE)
        return d ? d : v;
    if (!d)
        d = value_copy(f, v ? v : &flow_const);
    if (!v || !v->path || (v->path && strchr(v->path, '(') == NULL && !(v->flags & (VF_SOURCE | VF_NULL))) ||
            v->flags & VF_NULL ||
        f->lang == LANG_JAVA || f->lang == LANG_CSHARP)
        d->path = type->path;
    return d;
}

/* #define ARGUMENT data */
static void note_alias(struct flow *f, const struct node *n)
{
    bool c = f->lang == LANG_C || f->lang == LANG_CPP;
    if (c && n->a->kind == N_NAME && n->b->kind == N_NAME && n->b->sym != n->a->sym && n->b->val &&
        n->b->val->origin == ORIGIN_UNKNOWN && !map_set(&f->aliases, symtab_name(&f->sx->syms, n->a->sym), n->b))
        f->nomem = true;
}

void note_locals(struct flow *f, const struct node *target)
{
    if (!target)
        return;
    if (target->kind == N_NAME && !VEC_PUSH(&f->locals, target->sym))
        f->nomem = true;
    if (target->kind == N_SEQ || target->kind == N_LIST || target->kind == N_DICT)
        for (const struct node *t = target->list; t; t = t->next)
            note_locals(f, t->kind == N_PAIR ? t->b : t->kind == N_ASSIGN || t->kind == N_SPREAD ? t->a : t);
}

static const struct value *eval_assign(struct flow *f, const struct node *n)
{
    const struct node *target = f->target;
    f->target = n->a;
    const struct value *v = n->b ? eval(f, n->b) : &flow_const;
    f->target = target;
    bool pointer_write = n->a && (n->a->kind == N_MEMBER || n->a->kind == N_INDEX);
    if (pointer_write && n->a->a) {
        f->target = n->a;
        eval(f, n->a->a);
        f->target = target;
    }
    if (n->op != OP1('=') && n->op != OP2(':', '=') && n->a) {
        const struct value *old = eval(f, n->a);
        if (n->op == OP2('+', '=') || n->op == OP2('.', '=') || n->op == OP3('<', '<', '='))
            v = value_concat(f, old, v);
        else if (n->op == OP3('|', '|', '=') || n->op == OP3('?', '?', '=') || n->op == OP3('&', '&', '='))
            v = value_join(f, old, v);
        else
            v = mixed(f, old, v);
        if (v->flags & VF_NUM && f->loops) {
            struct value *c = value_copy(f, v);
            c->flags &= ~(uint32_t)VF_NUM;
            v = c;
        }
    } else if (is_error_of_call(f, n)) {
        struct value *e = value_new(f, ORIGIN_UNKNOWN);
        e->clean = CLEAN_ALL;
        e->path = "error";
        v = e;
    } else if (n->flags & NF_DECL) {
        v = declared(f, n, v);
        if (!n->b && n->a && f->stack.len == 0 && n->a->kind == N_NAME && !(n->flags & NF_ARRAY)) {
            struct value *u = value_copy(f, v);
            u->origin = ORIGIN_UNKNOWN; /* a field, set elsewhere */
            u->clean = 0;
            v = u;
        }
    }
    ((struct node *)(uintptr_t)n)->val = (struct value *)(uintptr_t)v;
    if (n->flags & NF_STATIC && f->stack.len == 0 && n->a && n->b)
        note_alias(f, n);
    if (n->flags & NF_DECL && f->stack.len)
        note_locals(f, n->a);
    if (n->a)
        assign_to(f, n->a, v);
    match_assign(f, n);
    return v;
}

static const struct value *eval_comp(struct flow *f, const struct node *n)
{
    size_t mark = f->log.len;
    for (const struct node *c = n->list; c; c = c->next) {
        if (c->kind == N_FOREACH) {
            exec(f, c);
        } else if (c->a) {
            eval(f, c->a);
            refine(f, c->a, true);
        }
    }
    const struct node *e = n->a && n->a->kind == N_PAIR ? n->a->b : n->a;
    const struct value *v = e ? eval(f, e) : &flow_const;
    struct value *r = value_copy(f, v);
    if (value_clean(f, v, CLEAN_ALL))
        r->clean = CLEAN_ALL;
    r->entries = NULL;
    r->flags = (v->flags & VF_BUILT) | VF_CONTAINER;
    r->text = NULL;
    undo_to(f, mark);
    return r;
}

static const struct value *eval_return(struct flow *f, const struct node *n)
{
    if (n->kind == N_RETURN && n->flags & NF_JUMP) {
        jump_note(f, n->sym);
        f->terminated = true;
        return &flow_const;
    }
    const struct value *v = n->a ? eval(f, n->a) : &flow_const;
    if (n->kind == N_RETURN && n->a)
        match_return(f, n);
    if (n->kind == N_RETURN && n->a) {
        v = value_settled(f, v, f->cleaned);
        f->result = f->result ? value_join(f, f->result, v) : v;
    }
    f->returns |= n->kind == N_RETURN;
    exits_note(f, n);
    f->terminated = true;
    return &flow_const;
}

static const struct value *eval_value_switch(struct flow *f, const struct node *n)
{
    if (n->a)
        eval(f, n->a);
    const struct value *v = NULL;
    for (const struct node *c = n->list; c; c = c->next) {
        if (c->a)
            eval(f, c->a);
        const struct value *b = !c->b ? &flow_const : c->b->kind == N_BLOCK ? &flow_unknown : eval(f, c->b);
        if (c->b && c->b->kind == N_BLOCK)
            exec(f, c->b);
        f->terminated = false;
        v = v ? value_join(f, v, b) : b;
    }
    return v ? v : &flow_unknown;
}

static bool numeric_cast(const struct flow *f, const struct node *n)
{
    static const char *const names[] = {"int", "integer", "float", "double", "bool", "boolean", "long", "short"};
    if (!n->c || n->c->kind != N_NAME || f->lang == LANG_C || f->lang == LANG_CPP)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(symtab_name(&f->sx->syms, n->c->sym), names[i]) == 0)
            return true;
    return false;
}

static const struct value *cleaned(struct flow *f, const struct value *v)
{
    struct value *c = value_copy(f, v);
    c->clean = CLEAN_ALL;
    return c;
}

static const struct value *eval_kind(struct flow *f, const struct node *n)
{
    switch (n->kind) {
    case N_NUMBER: return eval_number(f, n);
    case N_STRING: case N_REGEX: return eval_string(f, n);
    case N_LITERAL: return eval_literal(f, n);
    case N_TEMPLATE: return eval_template(f, n);
    case N_NAME: return eval_name(f, n);
    case N_MEMBER: return eval_member(f, n);
    case N_INDEX: return eval_index(f, n);
    case N_CALL: return eval_call(f, n);
    case N_BINARY: return eval_binary(f, n);
    case N_UNARY: return eval_unary(f, n);
    case N_ASSIGN: return eval_assign(f, n);
    case N_COND: return eval_cond(f, n);
    case N_LIST: case N_DICT: return eval_container(f, n);
    case N_COMP: return eval_comp(f, n);
    case N_FUNC: return eval_function(f, n);
    case N_RETURN: case N_THROW: return eval_return(f, n);
    case N_BREAK: case N_CONTINUE:
        if (n->a)
            eval(f, n->a);
        exits_note(f, n);
        f->terminated = true;
        return &flow_const;
    case N_PAIR: {
        if (n->a && n->a->kind == N_STRING)
            eval(f, n->a); /* :name => value */
        const struct value *v = n->b ? eval(f, n->b) : &flow_const;
        match_pair(f, n);
        return v;
    }
    case N_SPREAD: return n->a ? eval(f, n->a) : &flow_const;
    case N_CAST: {
        const struct value *v = n->a ? eval(f, n->a) : &flow_const;
        return numeric_cast(f, n) && v->origin != ORIGIN_CONST ? cleaned(f, v) : v;
    }
    case N_SEQ:
        if (n->flags & NF_TUPLE)
            return eval_container(f, n);
        {
            const struct value *v = &flow_const;
            for (const struct node *e = n->list; e; e = e->next)
                v = eval(f, e);
            return v;
        }
    case N_SWITCH:
        if (n->list && n->list->b && n->list->b->kind != N_BLOCK && f->lang != LANG_RUBY)
            return eval_value_switch(f, n);
        exec(f, n);
        return &flow_unknown;
    case N_IF: case N_BLOCK: case N_LOOP: case N_FOREACH: case N_TRY: case N_CLASS: case N_IMPORT:
        exec(f, n);
        return &flow_unknown;
    default:
        return &flow_const;
    }
}

const struct value *eval(struct flow *f, const struct node *n)
{
    if (!n)
        return &flow_const;
    if (f->steps++ >= f->steps_max || f->depth >= FLOW_DEPTH_MAX) {
        f->cut = true;
        return &flow_unknown;
    }
    f->depth++;
    const struct value *v = eval_kind(f, n);
    f->depth--;
    if (n->kind < N_BLOCK)
        ((struct node *)(uintptr_t)n)->val = (struct value *)(uintptr_t)v;
    if (n->kind == N_NAME || n->kind == N_MEMBER)
        match_path(f, n);
    return v;
}
