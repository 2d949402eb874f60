/* Statements: order, branches, loops, functions, classes. */
#include "scan/flow_internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

bool save_branch(struct flow *f, size_t mark, saved_vec *out)
{
    for (size_t i = mark; i < f->log.len; i++) {
        struct saved s = {.sym = f->log.v[i].sym};
        if (s.sym >= FLOW_LABEL_BASE)
            s.mask = f->cleaned[s.sym - FLOW_LABEL_BASE];
        else
            s.value = f->vars[s.sym];
        if (!VEC_PUSH(out, s))
            return false;
    }
    return true;
}

void replay(struct flow *f, const saved_vec *s)
{
    for (size_t i = 0; i < s->len; i++) {
        if (s->v[i].sym >= FLOW_LABEL_BASE)
            mark_clean(f, (uint64_t)1 << (s->v[i].sym - FLOW_LABEL_BASE), s->v[i].mask);
        else
            var_set(f, s->v[i].sym, s->v[i].value);
    }
}

/* The state after two branches that both go on. vars hold the state of before, or of b if b_applied. */
static void merge(struct flow *f, const saved_vec *a, size_t mark, const saved_vec *b)
{
    undo_to(f, mark);
    saved_vec joined = {0};
    uint64_t clean_a[FLOW_LABELS], clean_b[FLOW_LABELS];
    memcpy(clean_a, f->cleaned, sizeof clean_a);
    memcpy(clean_b, f->cleaned, sizeof clean_b);
    for (size_t i = 0; i < a->len; i++)
        if (a->v[i].sym >= FLOW_LABEL_BASE)
            clean_a[a->v[i].sym - FLOW_LABEL_BASE] |= a->v[i].mask;
    for (size_t i = 0; i < b->len; i++)
        if (b->v[i].sym >= FLOW_LABEL_BASE)
            clean_b[b->v[i].sym - FLOW_LABEL_BASE] |= b->v[i].mask;
    /* a's values, then b's over them remembering what a had */
    const size_t base = f->log.len;
    replay(f, a);
    for (size_t i = 0; i < b->len; i++) {
        if (b->v[i].sym >= FLOW_LABEL_BASE)
            continue;
        struct saved s = {.sym = b->v[i].sym, .value = value_join(f, value_settled(f, var_get(f, b->v[i].sym), clean_a),
                                                                  value_settled(f, b->v[i].value, clean_b))};
        if (!VEC_PUSH(&joined, s))
            f->nomem = true;
    }
    /* what only a changed joins with the value of before, which is in the log */
    for (size_t i = base, end = f->log.len; i < end; i++) {
        struct change c = f->log.v[i];
        if (c.sym >= FLOW_LABEL_BASE)
            continue;
        bool in_b = b->len > 4096; /* too many to look through: take them as changed in both */
        for (size_t k = 0; k < b->len && !in_b; k++)
            in_b = b->v[k].sym == c.sym;
        if (!in_b && c.old) {
            struct saved s = {.sym = c.sym, .value = value_join(f, value_settled(f, f->vars[c.sym], clean_a),
                                                                value_settled(f, c.old, clean_b))};
            if (!VEC_PUSH(&joined, s))
                f->nomem = true;
        }
    }
    undo_to(f, base);
    replay(f, a);
    replay(f, &joined);
    for (uint32_t i = 0; i < FLOW_LABELS; i++) {
        uint64_t both = clean_a[i] & clean_b[i];
        if (f->cleaned[i] != both) {
            struct change c = {.sym = FLOW_LABEL_BASE + i, .old_mask = f->cleaned[i]};
            if (VEC_PUSH(&f->log, c))
                f->cleaned[i] = both;
        }
    }
    VEC_RELEASE(&joined);
}

void merge_saved(struct flow *f, size_t mark, const saved_vec *s)
{
    saved_vec now = {0};
    if (!save_branch(f, mark, &now))
        f->nomem = true;
    merge(f, &now, mark, s);
    VEC_RELEASE(&now);
}

void exits_enter(struct flow *f, struct exits *e, int kind)
{
    e->outer = f->exits;
    e->kind = kind;
    e->mark = f->log.len;
    e->breaks = e->nexts = 0;
    f->exits = e;
}

void exits_leave(struct flow *f, struct exits *e)
{
    for (int i = 0; i < e->breaks; i++)
        VEC_RELEASE(&e->brk[i]);
    for (int i = 0; i < e->nexts; i++)
        VEC_RELEASE(&e->next[i]);
    e->breaks = e->nexts = 0;
    f->exits = e->outer;
}

void exits_note(struct flow *f, const struct node *n)
{
    struct exits *e = f->exits;
    while (e && (n->kind == N_RETURN || n->kind == N_THROW ? e->kind != EXITS_FUNCTION
                                                           : n->kind == N_CONTINUE && e->kind == EXITS_SWITCH))
        e = e->outer;
    if (!e)
        return;
    bool next = n->kind == N_CONTINUE && e->kind == EXITS_LOOP;
    int *count = next ? &e->nexts : &e->breaks;
    if (*count >= FLOW_EXITS)
        return;
    saved_vec *to = next ? &e->next[*count] : &e->brk[*count];
    *to = (saved_vec){0};
    if (!save_branch(f, e->mark, to))
        f->nomem = true;
    ++*count;
}

void jump_note(struct flow *f, uint32_t label)
{
    struct jumps *j = f->jumps;
    if (!j || j->count >= (int)(sizeof j->v / sizeof *j->v))
        return;
    j->v[j->count].label = label;
    j->v[j->count].state = (saved_vec){0};
    if (!save_branch(f, j->mark, &j->v[j->count].state))
        f->nomem = true;
    j->count++;
}

void jumps_release(struct jumps *j)
{
    for (int i = 0; i < j->count; i++)
        VEC_RELEASE(&j->v[i].state);
}

/* A label: reached from before it, and from where something has jumped to it. */
static void arrive(struct flow *f, uint32_t label)
{
    struct jumps *j = f->jumps;
    for (int i = 0; j && i < j->count; i++) {
        if (j->v[i].label != label)
            continue;
        if (f->terminated) {
            undo_to(f, j->mark);
            replay(f, &j->v[i].state);
        } else {
            merge_saved(f, j->mark, &j->v[i].state);
        }
        f->terminated = false;
    }
}

static void run_branch(struct flow *f, const struct node *n, const struct node *cond, bool truth)
{
    if (cond)
        refine(f, cond, truth);
    exec(f, n);
}

/* Runs two alternatives from the same state and joins what they leave. */
static void either(struct flow *f, const struct node *a, const struct node *b, const struct node *cond)
{
    saved_vec left = {0}, right = {0};
    size_t mark = f->log.len;
    bool before = f->terminated;
    f->terminated = false;
    run_branch(f, a, cond, true);
    bool a_over = f->terminated;
    if (!save_branch(f, mark, &left))
        f->nomem = true;
    undo_to(f, mark);
    f->terminated = false;
    run_branch(f, b, cond, false);
    bool b_over = f->terminated;
    f->terminated = before || (a_over && b_over);
    if (!a_over && b_over) {
        undo_to(f, mark);
        replay(f, &left);
    } else if (!a_over && !b_over) {
        if (!save_branch(f, mark, &right))
            f->nomem = true;
        merge(f, &left, mark, &right);
    }
    VEC_RELEASE(&left);
    VEC_RELEASE(&right);
}

/* A comparison of known numbers decides the branch; a plain flag does not: it may be changed elsewhere. */
static int known(struct flow *f, const struct node *cond, const struct value *v)
{
    while (cond && cond->kind == N_SEQ && cond->list && !cond->list->next)
        cond = cond->list;
    if (f->loops || f->top || !cond || cond->kind != N_BINARY || !(v->flags & VF_NUM) || !(v->flags & VF_BOOL))
        return -1;
    return v->num != 0;
}

static void exec_if(struct flow *f, const struct node *n)
{
    exec_list(f, n->list);
    const struct value *c = n->a ? eval(f, n->a) : &flow_unknown;
    const struct node *outer = f->cond;
    f->cond = n->a;
    int k = known(f, n->a, c);
    if (k == 1)
        exec(f, n->b);
    else if (k == 0 && n->c)
        exec(f, n->c);
    else if (k < 0)
        either(f, n->b, n->c, n->a);
    f->cond = outer;
}

/* The state is one of those too; "over": it is one of those alone. */
static bool join_exits(struct flow *f, size_t mark, const saved_vec *states, int count, bool over)
{
    for (int i = 0; i < count; i++) {
        if (over) {
            undo_to(f, mark);
            replay(f, &states[i]);
        } else {
            merge_saved(f, mark, &states[i]);
        }
        over = false;
    }
    return over;
}

/* while (true): only a break leads out. */
static bool endless(const struct node *loop)
{
    if (loop->kind != N_LOOP)
        return false;
    const struct node *c = loop->a;
    if (!c)
        return !loop->c;
    return c->kind < N_BLOCK && c->val && c->val->origin == ORIGIN_CONST && c->val->flags & VF_NUM && c->val->num;
}

/* A body that may run any number of times: seen twice, so that what one round leaves reaches the next. */
static void exec_loop_body(struct flow *f, const struct node *loop, const struct node *body)
{
    bool once_only = f->lang == LANG_C || f->lang == LANG_CPP; /* what is freed is another thing next time */
    int rounds = f->loops < 2 && !once_only ? 2 : 1;
    const struct node *cond = loop->kind == N_LOOP ? loop->a : NULL, *after = loop->kind == N_LOOP ? loop->c : NULL;
    bool before = f->terminated;
    f->loops++;
    for (int i = 0; i < rounds; i++) {
        struct exits e;
        size_t mark = f->log.len;
        exits_enter(f, &e, EXITS_LOOP);
        if (cond)
            refine(f, cond, true);
        exec(f, body);
        join_exits(f, mark, e.next, e.nexts, f->terminated);
        f->terminated = false;
        if (after)
            eval(f, after);
        bool out = i + 1 == rounds && endless(loop) && e.breaks;
        if (!out) {
            saved_vec none = {0};
            merge_saved(f, mark, &none);
        }
        if (i + 1 == rounds)
            join_exits(f, mark, e.brk, e.breaks, out);
        exits_leave(f, &e);
    }
    f->loops--;
    f->terminated = before;
}

/* C: for (i = 0; i <= 10; i++) gives i as many values as its size says. */
static void bound_counter(struct flow *f, const struct node *cond)
{
    if ((f->lang != LANG_C && f->lang != LANG_CPP) || !cond || cond->kind != N_BINARY || !cond->a || !cond->b ||
        cond->a->kind != N_NAME || (cond->op != OP1('<') && cond->op != OP2('<', '=')))
        return;
    const struct value *i = var_get(f, cond->a->sym), *end = eval(f, cond->b);
    if (!i || !(i->flags & VF_NUM) || !(end->flags & VF_NUM) || end->num <= 0 || end->num >= INT32_MAX)
        return;
    struct value *v = value_new(f, ORIGIN_CONST);
    v->size = (uint32_t)end->num + (cond->op == OP2('<', '='));
    var_set(f, cond->a->sym, v);
}

static void exec_loop(struct flow *f, const struct node *n)
{
    exec_list(f, n->list);
    if (n->a)
        eval(f, n->a);
    if (n->c)
        bound_counter(f, n->a);
    exec_loop_body(f, n, n->b);
    if (n->a)
        refine(f, n->a, false);
}

/* What one round of "for x in v" gives x. */
static const struct value *element(struct flow *f, const struct value *v)
{
    if (v->origin == ORIGIN_CONST)
        return &flow_const;
    struct value *e = value_new(f, v->origin);
    e->clean = v->clean;
    e->labels = v->labels;
    e->flags = v->flags & (VF_SOURCE | VF_BUILT);
    e->source_line = v->source_line;
    return e;
}

static void exec_foreach(struct flow *f, const struct node *n)
{
    const struct value *v = n->b ? eval(f, n->b) : &flow_unknown;
    if (n->a)
        assign_to(f, n->a, element(f, v));
    if (n->c)
        exec_loop_body(f, n, n->c);
}

static void exec_try(struct flow *f, const struct node *n)
{
    size_t mark = f->log.len;
    bool before = f->terminated;
    saved_vec body = {0};
    exec(f, n->b);
    bool over = f->terminated;
    for (const struct node *h = n->list; h; h = h->next) {
        body.len = 0;
        if (!save_branch(f, mark, &body))
            f->nomem = true;
        saved_vec none = {0}, handler = {0};
        if (over) { /* the handler starts from anywhere in the body */
            f->terminated = false;
            exec(f, h);
            over = f->terminated;
        } else {
            size_t inner = f->log.len;
            f->terminated = false;
            exec(f, h);
            bool h_over = f->terminated;
            if (!save_branch(f, inner, &handler))
                f->nomem = true;
            if (h_over)
                undo_to(f, inner);
            else
                merge(f, &handler, inner, &none);
        }
        VEC_RELEASE(&handler);
    }
    VEC_RELEASE(&body);
    f->terminated = over;
    if (n->c) {
        bool t = f->terminated;
        f->terminated = false;
        exec(f, n->c);
        f->terminated |= t;
    }
    f->terminated |= before;
}

/* Values compared with constants are constants inside that case. */
static bool case_hits(const struct value *v, const struct value *c)
{
    return (v->flags & c->flags & VF_NUM && v->num == c->num) ||
           (v->flags & c->flags & VF_TEXT && v->text_len == c->text_len && memcmp(v->text, c->text, v->text_len) == 0);
}

/* 1: v is one of those (of Python, "a" | "b"), 0: it is not, -1: who knows. */
static int case_of(struct flow *f, const struct node *item, const struct value *v)
{
    if (item->kind == N_BINARY && item->op == OP1('|') && item->a && item->b) {
        int a = case_of(f, item->a, v), b = case_of(f, item->b, v);
        return a == 1 || b == 1 ? 1 : a < 0 || b < 0 ? -1 : 0;
    }
    const struct value *k = eval(f, item);
    return !(k->flags & (VF_NUM | VF_TEXT)) ? -1 : case_hits(v, k);
}

/* default: or case _: */
static bool is_default(const struct flow *f, const struct node *c)
{
    return !c->a || (f->lang == LANG_PYTHON && c->a->kind == N_NAME && strcmp(symtab_name(&f->sx->syms, c->a->sym), "_") == 0);
}

static const struct node *known_case(struct flow *f, const struct node *n, const struct value *v)
{
    if (!(v->flags & (VF_NUM | VF_TEXT)) || v->origin != ORIGIN_CONST || f->loops || f->top)
        return NULL;
    const struct node *other = NULL;
    for (const struct node *c = n->list; c; c = c->next) {
        if (is_default(f, c)) {
            other = c;
            continue;
        }
        const struct node *item = c->a->kind == N_SEQ ? c->a->list : c->a;
        for (; item; item = c->a->kind == N_SEQ ? item->next : NULL) {
            int hit = case_of(f, item, v);
            if (hit)
                return hit > 0 ? c : NULL;
        }
    }
    return other;
}

/* One more way out of a switch. */
static void add_way(struct flow *f, size_t mark, saved_vec *acc, bool *have, const saved_vec *way)
{
    if (!*have) {
        acc->len = 0;
        for (size_t i = 0; i < way->len; i++)
            if (!VEC_PUSH(acc, way->v[i]))
                f->nomem = true;
        *have = true;
        return;
    }
    merge(f, acc, mark, way);
    acc->len = 0;
    if (!save_branch(f, mark, acc))
        f->nomem = true;
    undo_to(f, mark);
}

static void exec_switch(struct flow *f, const struct node *n)
{
    const struct value *v = n->a ? eval(f, n->a) : &flow_unknown;
    const struct node *only = known_case(f, n, v);
    if (only) { /* and what it falls into: up to a break */
        bool before = f->terminated;
        for (const struct node *c = only; c && !f->terminated; c = c->flags & NF_FALLTHROUGH ? c->next : NULL)
            exec(f, c->b);
        f->terminated = before;
        return;
    }
    saved_vec all = {0}, acc = {0};
    size_t mark = f->log.len;
    bool before = f->terminated, has_default = false, have = false, ruby = f->lang == LANG_RUBY;
    for (const struct node *c = n->list; c; c = c->next) {
        struct exits e;
        has_default |= is_default(f, c);
        f->terminated = false;
        const struct value *k = c->a ? eval(f, c->a) : NULL;
        exits_enter(f, &e, EXITS_SWITCH);
        if (ruby)
            f->exits = e.outer; /* there a break is one of the loop around */
        e.mark = mark;
        if (k && k->origin == ORIGIN_CONST && n->a)
            mark_clean(f, v->labels, CLEAN_ALL);
        exec(f, c->b);
        all.len = 0;
        if (!f->terminated && !save_branch(f, mark, &all))
            f->nomem = true;
        undo_to(f, mark);
        if (!f->terminated)
            add_way(f, mark, &acc, &have, &all);
        for (int i = 0; i < e.breaks; i++)
            add_way(f, mark, &acc, &have, &e.brk[i]);
        exits_leave(f, &e);
    }
    bool over = n->list && !have && has_default;
    if (have && has_default) {
        replay(f, &acc);
    } else if (have) {
        saved_vec none = {0};
        merge(f, &acc, mark, &none);
    }
    f->terminated = before || over;
    VEC_RELEASE(&all);
    VEC_RELEASE(&acc);
}

/* Functions of a block are known before its first statement. */
static void hoist(struct flow *f, const struct node *list)
{
    for (const struct node *n = list; n; n = n->next) {
        if (n->kind != N_FUNC || !n->sym)
            continue;
        struct value *v = value_new(f, ORIGIN_CONST);
        v->func = n;
        v->path = symtab_name(&f->sx->syms, n->sym);
        var_set(f, n->sym, v);
    }
}

/* class A: table = "t". An annotated one of Python may be set by the constructor that @dataclass makes; "" and null are
 * there to be set from elsewhere. */
static void note_field(struct flow *f, const struct node *m)
{
    if (m->kind != N_ASSIGN || !m->b || !m->val || !m->a || m->a->kind != N_NAME || (f->lang == LANG_PYTHON && m->c))
        return;
    const struct value *v = m->val;
    bool something = (v->flags & VF_TEXT && v->text_len) || v->flags & (VF_NUM | VF_CONTAINER);
    const char *name = symtab_name(&f->sx->syms, m->a->sym);
    char buf[FLOW_PATH_MAX];
    const char *key = field_key(f, name, buf);
    if (v->origin != ORIGIN_CONST || v->flags & VF_NULL || !something || !key || map_get(&f->assigned, key) ||
        map_get(&f->assigned, name + (*name == '$')))
        return;
    if (!map_set(&f->fields, key, (void *)(uintptr_t)v))
        f->nomem = true;
}

static void exec_class(struct flow *f, const struct node *n)
{
    for (const struct node *d = n->c; d; d = d->next)
        eval(f, d);
    struct value *v = value_new(f, ORIGIN_CONST);
    v->path = symtab_name(&f->sx->syms, n->sym);
    var_set(f, n->sym, v);
    if (!n->b)
        return;
    if (!VEC_PUSH(&f->classes, n))
        f->nomem = true;
    for (const struct node *m = n->b->list; m; m = m->next)
        if (m->kind != N_FUNC) {
            exec(f, m);
            note_field(f, m);
        }
    for (const struct node *m = n->b->list; m; m = m->next)
        if (m->kind == N_FUNC)
            eval_function(f, m);
    if (f->classes.len)
        f->classes.len--;
}

static void exec_import(struct flow *f, const struct node *n)
{
    if (!n->sym)
        return;
    struct value *v = value_new(f, ORIGIN_CONST);
    v->path = n->text;
    var_set(f, n->sym, v);
}

/* Sinatra: what the block of a route gives back is the page. */
static void check_route(struct flow *f, const struct node *n, const struct value *v)
{
    static const char *const routes[] = {"get", "post", "put", "delete", "patch"};
    if (!f->func || f->func->sym || !f->given_to || !value_needs(f, v, NEED_DYNAMIC, rules_kind("html")) || !v->text ||
        v->origin < ORIGIN_TAINTED || !memchr(v->text, '<', v->text_len))
        return;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(f->given_to, routes[i]) == 0)
            flow_check(f, "route-result", n, v);
}

void exec_list(struct flow *f, const struct node *list)
{
    hoist(f, list);
    for (const struct node *n = list; n; n = n->next) {
        if (f->terminated && n->kind != N_FUNC && n->kind != N_CLASS && n->kind != N_CASE)
            continue; /* not reached; definitions still count */
        if (n->kind != N_CASE || !n->sym)
            exec(f, n);
        else if (f->func && f->func->b && f->func->b->list == list)
            arrive(f, n->sym);
    }
}

void exec(struct flow *f, const struct node *n)
{
    if (!n || f->steps >= f->steps_max || f->depth >= FLOW_DEPTH_MAX) {
        f->cut |= n != NULL;
        return;
    }
    f->depth++;
    const struct node *stmt = f->stmt;
    if (n->kind != N_BLOCK)
        f->stmt = n;
    switch (n->kind) {
    case N_BLOCK:
        exec_list(f, n->list);
        break;
    case N_IF:
        exec_if(f, n);
        break;
    case N_LOOP:
        exec_loop(f, n);
        break;
    case N_FOREACH:
        exec_foreach(f, n);
        break;
    case N_TRY:
        exec_try(f, n);
        break;
    case N_SWITCH:
        exec_switch(f, n);
        break;
    case N_CLASS:
        exec_class(f, n);
        break;
    case N_IMPORT:
        exec_import(f, n);
        break;
    default: {
        const struct value *v = eval(f, n);
        /* Ruby: the last value of a function is its result */
        if (f->lang == LANG_RUBY && !n->next && f->stack.len && n->kind != N_RETURN && n->kind != N_ASSIGN) {
            check_route(f, n, v);
            f->result = f->result ? value_join(f, f->result, v) : v;
        }
        break;
    }
    }
    f->stmt = stmt;
    f->depth--;
}

static bool note_methods(struct flow *f, const struct node *class)
{
    const char *name = symtab_name(&f->sx->syms, class->sym);
    for (const struct node *m = class->b->list; m; m = m->next) {
        if (m->kind != N_FUNC || !m->sym)
            continue;
        char key[FLOW_PATH_MAX];
        int n = snprintf(key, sizeof key, "%s.%s", name, symtab_name(&f->sx->syms, m->sym));
        if (n > 0 && (size_t)n < sizeof key && !map_get(&f->funcs, key) && !map_set(&f->funcs, key, (void *)(uintptr_t)m))
            return false;
    }
    return true;
}

/* self.x = 1, this.x[0] = 1, this.x.push(1); in a method, where fields need no "this", x = 1. */
static bool note_assigned(struct flow *f, const struct node *n, bool inside)
{
    static const char *const grow[] = {"append", "push", "add", "extend", "insert", "unshift", "put", "set", "update", NULL};
    const struct node *t = NULL;
    if (n->kind == N_ASSIGN)
        t = n->a && n->a->kind == N_INDEX ? n->a->a : n->a;
    else if (n->kind == N_CALL && n->a && n->a->kind == N_MEMBER && one_of(symtab_name(&f->sx->syms, n->a->sym), grow))
        t = n->a->a;
    bool bare = f->lang == LANG_JAVA || f->lang == LANG_CSHARP || f->lang == LANG_CPP;
    if (!t || !(t->kind == N_MEMBER || (bare && inside && t->kind == N_NAME && !(n->flags & NF_DECL))))
        return true;
    const char *name = symtab_name(&f->sx->syms, t->sym);
    char buf[FLOW_PATH_MAX];
    const char *key = t->kind == N_NAME || own_member(f, t) ? field_key(f, name, buf) : NULL;
    return map_set(&f->assigned, key ? key : name + (*name == '$'), f);
}

/* Functions that the file calls inside its functions: they are seen there, with what they are given. */
static bool note_calls(struct flow *f, const struct node *n, bool inside, int depth)
{
    if (depth > FLOW_DEPTH_MAX)
        return true;
    for (; n; n = n->next) {
        bool in = inside || (n->kind == N_FUNC && depth > 0);
        bool own = n->kind == N_CALL && n->a &&
                   (n->a->kind == N_NAME ||
                    (n->a->kind == N_MEMBER && n->a->a && n->a->a->kind == N_NAME &&
                     (n->a->a->sym == KW_self || n->a->a->sym == KW_this || n->a->a->sym == KW_static)));
        if (own && inside && !map_set(&f->called, symtab_name(&f->sx->syms, n->a->sym), f))
            return false;
        if ((n->kind == N_CLASS && n->b && !note_methods(f, n)) || !note_assigned(f, n, in))
            return false;
        if (n->kind == N_FUNC && n->sym && !map_get(&f->funcs, symtab_name(&f->sx->syms, n->sym)) &&
            !map_set(&f->funcs, symtab_name(&f->sx->syms, n->sym), (void *)(uintptr_t)n))
            return false;
        if (n->kind == N_CLASS && !VEC_PUSH(&f->classes, n))
            return false;
        const struct node *parts[] = {n->a, n->b, n->c, n->list};
        for (int i = 0; i < 4; i++) {
            if (n->kind == N_INDEX && i == 3)
                continue; /* the rest of b's list */
            if (parts[i] && !note_calls(f, parts[i], in, depth + 1))
                return false;
        }
        f->classes.len -= n->kind == N_CLASS;
    }
    return true;
}

static int start(struct flow *f, struct syntax *sx, enum lang lang, struct err *err)
{
    f->vars_cap = sx->syms.count + 64;
    f->vars = mem_calloc(f->vars_cap, sizeof *f->vars);
    if (!f->vars || !note_calls(f, sx->root, false, 0))
        return err_nomem(err);
    f->top = true;
    return 0;
}

int flow_run(struct syntax *sx, enum lang lang, const struct lang_rules *rules, flow_report *report, void *arg,
             bool *ret_cut, struct err *err)
{
    struct flow f = {.sx = sx, .lang = lang, .rules = rules, .report = report, .arg = arg, .steps_max = FLOW_STEPS_MAX};
    int r = start(&f, sx, lang, err);
    if (r == 0) {
        exec(&f, sx->root);
        f.top = false;
        for (size_t i = 0; i < f.queue.len && !f.nomem; i++) {
            f.terminated = false;
            f.label_count = 0;
            size_t mark = f.log.len;
            memset(f.cleaned, 0, sizeof f.cleaned);
            struct queued q = f.queue.v[i];
            f.classes.len = 0;
            if (q.class && !VEC_PUSH(&f.classes, q.class))
                f.nomem = true;
            run_function(&f, q.func, NULL, false);
            undo_locals(&f, mark, true);
        }
        if (f.nomem)
            r = err_nomem(err);
        *ret_cut = f.cut;
    }
    free(f.vars);
    VEC_RELEASE(&f.log);
    VEC_RELEASE(&f.queue);
    VEC_RELEASE(&f.stack);
    VEC_RELEASE(&f.locals);
    VEC_RELEASE(&f.classes);
    map_release(&f.called);
    map_release(&f.funcs);
    map_release(&f.aliases);
    map_release(&f.fields);
    map_release(&f.assigned);
    return r;
}
