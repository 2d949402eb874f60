/* Values of the abstract run: made, joined, concatenated, compared with what rules need. */
#include "scan/flow_internal.h"

#include "base/mem.h"

#include <stdio.h>

#include <string.h>
#include <strings.h>
#include <xxhash.h>

const struct value flow_const = {.origin = ORIGIN_CONST, .clean = CLEAN_ALL};
const struct value flow_unknown = {.origin = ORIGIN_UNKNOWN};
static struct value scratch;

struct value *value_new(struct flow *f, enum origin origin)
{
    struct value *v = arena_alloc(f->sx->arena, sizeof *v);
    if (!v) {
        f->nomem = true;
        f->steps = f->steps_max; /* ends soon */
        v = &scratch;
        *v = (struct value){0};
    }
    v->origin = (uint8_t)origin;
    if (origin == ORIGIN_CONST)
        v->clean = CLEAN_ALL;
    return v;
}

struct value *value_copy(struct flow *f, const struct value *old)
{
    struct value *v = value_new(f, old->origin);
    *v = *old;
    return v;
}

const struct value *value_text(struct flow *f, const char *s, size_t n)
{
    struct value *v = value_new(f, ORIGIN_CONST);
    v->text = s;
    v->text_len = (uint32_t)(n > FLOW_TEXT_MAX ? FLOW_TEXT_MAX : n);
    v->flags = VF_STRING | (n <= FLOW_TEXT_MAX ? VF_TEXT : 0);
    return v;
}

const struct value *value_num(struct flow *f, int64_t n)
{
    struct value *v = value_new(f, ORIGIN_CONST);
    v->num = n;
    v->flags = VF_NUM;
    return v;
}

static void blend(struct value *v, const struct value *a, const struct value *b)
{
    v->origin = a->origin > b->origin ? a->origin : b->origin;
    v->source_line = a->origin >= b->origin ? a->source_line : b->source_line;
    if (a->origin != b->origin && a->origin <= ORIGIN_UNKNOWN && b->origin >= ORIGIN_PARAM) {
        v->labels = b->labels; /* a part that nobody knows makes the known one neither better nor worse */
        v->clean = b->clean;
        return;
    }
    if (a->origin != b->origin && b->origin <= ORIGIN_UNKNOWN && a->origin >= ORIGIN_PARAM) {
        v->labels = a->labels;
        v->clean = a->clean;
        return;
    }
    v->labels = a->labels | b->labels;
    v->clean = a->clean & b->clean; /* constants are clean for all */
}

const struct value *value_mix(struct flow *f, const struct value *a, const struct value *b)
{
    if (b->origin == ORIGIN_CONST && !(a->flags & (VF_TEXT | VF_NUM)) && !a->path)
        return a;
    struct value *v = value_new(f, ORIGIN_CONST);
    blend(v, a, b);
    v->flags = (a->flags | b->flags) & VF_BUILT;
    return v;
}

static bool same_text(const struct value *a, const struct value *b)
{
    return a->text && b->text && a->text_len == b->text_len && memcmp(a->text, b->text, a->text_len) == 0;
}

static bool extends(const struct entry *longer, const struct entry *shorter)
{
    for (int i = 0; i < 64 && longer; i++, longer = longer->next)
        if (longer == shorter)
            return true;
    return false;
}

const struct value *value_join(struct flow *f, const struct value *a, const struct value *b)
{
    if (a == b || !b)
        return a;
    if (!a)
        return b;
    struct value *v = value_new(f, ORIGIN_CONST);
    blend(v, a, b);
    v->flags = (a->flags | b->flags) & (VF_BUILT | VF_FREED | VF_SOURCE | VF_HEAP | VF_STRING);
    v->flags |= a->flags & b->flags & (VF_CONTAINER | VF_ARRAY | VF_SIZED | VF_INSTANCE);
    if (a->flags & VF_NULL)
        v->flags |= b->flags & (VF_INSTANCE | VF_CONTAINER);
    if (same_text(a, b)) {
        v->text = a->text;
        v->text_len = a->text_len;
        v->flags |= a->flags & b->flags & VF_TEXT;
    } else if (!(a->flags & VF_TEXT) != !(b->flags & VF_TEXT)) { /* one is built: keep its beginning */
        const struct value *t = a->flags & VF_TEXT ? b : a;
        v->text = t->text;
        v->text_len = t->text_len;
    }
    if (a->flags & b->flags & VF_NUM && a->num == b->num) {
        v->num = a->num;
        v->flags |= VF_NUM;
    }
    if (a->entries && extends(b->entries, a->entries))
        v->entries = b->entries; /* a list that one branch has added to */
    else if (b->entries && extends(a->entries, b->entries))
        v->entries = a->entries;
    v->size = a->size > b->size ? a->size : b->size;
    v->elem = !a->elem || a->elem == b->elem ? b->elem : !b->elem ? a->elem : 0;
    v->path = a->path && b->path && strcmp(a->path, b->path) == 0 ? a->path : a->flags & VF_NULL ? b->path
              : b->flags & VF_NULL || !b->path ? a->path : a->path ? a->path : b->path;
    v->func = a->func ? a->func : b->func;
    v->literal = a->literal ? a->literal : b->literal;
    return v;
}

/* PHP: was it escaped for the inside of quotes, and stands outside of them? */
static bool escape_misses(const struct flow *f, const struct value *before, const struct value *v)
{
    static const char *const escapes[] = {"mysqli_real_escape_string()", "mysql_real_escape_string()", "mysql_escape_string()",
                                          "addslashes()", "pg_escape_string()", "real_escape_string()", "esc_sql()", NULL};
    if (f->lang != LANG_PHP || !v->path || !(before->flags & VF_TEXT) || !before->text_len)
        return false;
    const char *last = strrchr(v->path, '.');
    if (!one_of(last ? last + 1 : v->path, escapes))
        return false;
    int single = 0, twice = 0;
    for (uint32_t i = 0; i < before->text_len; i++) {
        single += before->text[i] == '\'';
        twice += before->text[i] == '"';
    }
    return single % 2 == 0 && twice % 2 == 0;
}

const struct value *value_concat(struct flow *f, const struct value *a, const struct value *b)
{
    struct value *v = value_new(f, ORIGIN_CONST);
    blend(v, a, b);
    v->flags = ((a->flags | b->flags) & VF_BUILT) | VF_STRING;
    if (v->origin != ORIGIN_CONST)
        v->flags |= VF_BUILT;
    if (escape_misses(f, a, b))
        v->clean &= ~rules_kind("sql");
    if (a->flags & VF_TEXT && b->text) {
        size_t n = (size_t)a->text_len + b->text_len;
        if (n > FLOW_TEXT_MAX)
            n = FLOW_TEXT_MAX;
        char *t = a->text_len ? arena_alloc(f->sx->arena, n + 1) : NULL;
        if (!a->text_len) {
            v->text = b->text;
            v->text_len = b->text_len;
        } else if (t) {
            size_t k = a->text_len < n ? a->text_len : n;
            memcpy(t, a->text, k);
            memcpy(t + k, b->text, n - k);
            v->text = t;
            v->text_len = (uint32_t)n;
        }
        if (b->flags & VF_TEXT && n < FLOW_TEXT_MAX)
            v->flags |= VF_TEXT;
    } else {
        v->text = a->text;
        v->text_len = a->text_len;
        if (!a->text && b->text) { /* x + " WHERE ...": still tells what kind of string it is */
            v->text = b->text;
            v->text_len = b->text_len;
            if (a->origin == ORIGIN_CONST)
                v->flags |= VF_BUILT;
        }
    }
    if (v->origin != ORIGIN_CONST)
        v->flags &= ~(uint32_t)VF_TEXT;
    return v;
}

const struct entry *value_entry(const struct value *v, const struct value *key)
{
    int tries = 0;
    for (const struct entry *e = v->entries; e && tries < 256; e = e->next, tries++) {
        if (key->flags & VF_NUM && e->numeric && e->num == key->num)
            return e;
        if (key->flags & VF_TEXT && !e->numeric && e->key_len == key->text_len &&
            memcmp(e->key, key->text, e->key_len) == 0)
            return e;
    }
    return NULL;
}

const struct value *value_with_entry(struct flow *f, const struct value *old, const struct value *key,
                                     const struct value *item)
{
    struct value *v = value_copy(f, old);
    if (item->origin > v->origin || item->origin != ORIGIN_CONST)
        blend(v, old, item);
    v->flags &= ~(uint32_t)(VF_TEXT | VF_NUM);
    v->flags |= VF_CONTAINER;
    struct entry *e = key->flags & (VF_NUM | VF_TEXT) ? arena_alloc(f->sx->arena, sizeof *e) : NULL;
    if (e) {
        *e = (struct entry){.next = old->entries, .key = key->text, .key_len = key->text_len, .num = key->num,
                            .numeric = (key->flags & VF_NUM) != 0, .value = item};
        v->entries = e;
    } else {
        v->entries = NULL; /* an unknown key: nothing is known of any */
        if (old->origin == ORIGIN_CONST && item->origin == ORIGIN_CONST && key->origin != ORIGIN_CONST)
            v->origin = ORIGIN_CONST;
    }
    return v;
}

/* The kinds that an input, or one that it is a part of, was found harmless for. */
static uint64_t label_cleaned(const struct flow *f, const uint64_t *cleaned, int label)
{
    uint64_t done = cleaned[label];
    for (uint64_t left = f->labels[label].parents; left; left &= left - 1)
        done |= cleaned[__builtin_ctzll(left)];
    return done;
}

bool value_clean(const struct flow *f, const struct value *v, uint64_t kind)
{
    if (v->origin == ORIGIN_CONST || (kind && (v->clean & kind) == kind))
        return true;
    if (!kind || !v->labels)
        return false;
    for (uint64_t left = v->labels; left; left &= left - 1)
        if ((label_cleaned(f, f->cleaned, __builtin_ctzll(left)) & kind) != kind)
            return false;
    return true;
}

const struct value *value_settled(struct flow *f, const struct value *v, const uint64_t *cleaned)
{
    if (!v || v->origin == ORIGIN_CONST || !v->labels)
        return v;
    uint64_t kinds = CLEAN_ALL;
    for (uint64_t left = v->labels; left && kinds & ~v->clean; left &= left - 1)
        kinds &= label_cleaned(f, cleaned, __builtin_ctzll(left));
    if (!(kinds & ~v->clean))
        return v;
    struct value *c = value_copy(f, v);
    c->clean |= kinds;
    return c;
}

bool value_needs(const struct flow *f, const struct value *v, enum need need, uint64_t kind)
{
    switch (need) {
    case NEED_ANY:
        return true;
    case NEED_CONST:
        return v->origin == ORIGIN_CONST;
    case NEED_NONCONST:
        return v->origin != ORIGIN_CONST && !value_clean(f, v, kind);
    case NEED_DYNAMIC:
        return v->origin != ORIGIN_CONST && (v->flags & VF_BUILT || v->origin >= ORIGIN_TAINTED) && !value_clean(f, v, kind);
    case NEED_BUILT:
        return v->origin != ORIGIN_CONST && v->flags & VF_BUILT && !value_clean(f, v, kind);
    case NEED_INPUT:
        return v->origin >= ORIGIN_PARAM && !value_clean(f, v, kind);
    case NEED_TAINTED:
        return v->origin >= ORIGIN_TAINTED && !value_clean(f, v, kind);
    }
    return false;
}

/* Paths are matched from their end, so a long one loses its beginning. */
const char *path_join(struct flow *f, const char *base, const char *name)
{
    if (!base)
        base = "";
    size_t n = strlen(base), m = strlen(name);
    if (n + m > FLOW_PATH_MAX - 4) {
        size_t drop = n + m - (FLOW_PATH_MAX - 4);
        base += drop < n ? drop : n;
    }
    n = strlen(base);
    m = m < FLOW_PATH_MAX - 4 ? m : FLOW_PATH_MAX - 4;
    char *s = arena_alloc(f->sx->arena, n + m + 2);
    if (!s)
        return "";
    memcpy(s, base, n);
    s[n] = '.';
    memcpy(s + n + 1, name, m);
    s[n + 1 + m] = 0;
    return s;
}

const char *path_call(struct flow *f, const char *base)
{
    if (!base)
        return NULL;
    size_t n = strlen(base);
    if (n > FLOW_PATH_MAX - 4) {
        base += n - (FLOW_PATH_MAX - 4);
        n = FLOW_PATH_MAX - 4;
    }
    char *s = arena_alloc(f->sx->arena, n + 3);
    if (!s)
        return NULL;
    memcpy(s, base, n);
    memcpy(s + n, "()", 3);
    return s;
}

static bool equal(enum lang lang, const char *a, const char *b, size_t n)
{
    return lang == LANG_PHP ? strncasecmp(a, b, n) == 0 : memcmp(a, b, n) == 0;
}

bool path_matches(enum lang lang, const char *pattern, bool any_receiver, bool loose, const char *path)
{
    if (!path)
        return false;
    size_t n = strlen(pattern), m = strlen(path);
    if (m < n || !equal(lang, path + m - n, pattern, n))
        return false;
    if (m == n)
        return !any_receiver;
    char before = path[m - n - 1];
    if (before != '.' && before != '\\' && before != ':')
        return false;
    if (any_receiver)
        return true;
    return loose || before == '\\' || strchr(pattern, '.') || (m - n == 4 && memcmp(path, "std.", 4) == 0);
}

static bool spell(const struct flow *f, const struct node *n, char *buf, size_t *len, int depth)
{
    if (!n || depth > 12)
        return false;
    const char *name = NULL;
    if (n->kind == N_NAME) {
        name = symtab_name(&f->sx->syms, n->sym);
    } else if (n->kind == N_MEMBER) {
        if (!spell(f, n->a, buf, len, depth + 1))
            *len = 0;
        if (*len + 1 < FLOW_PATH_MAX)
            buf[(*len)++] = '.';
        name = symtab_name(&f->sx->syms, n->sym);
    } else if (n->kind == N_CALL || n->kind == N_INDEX) {
        if (!spell(f, n->a, buf, len, depth + 1))
            return false;
        name = n->kind == N_CALL ? "()" : "[]";
    } else {
        return false;
    }
    size_t k = strlen(name);
    if (*len + k >= FLOW_PATH_MAX)
        return false;
    memcpy(buf + *len, name, k);
    *len += k;
    return true;
}

const char *node_spelled(const struct flow *f, const struct node *n, char *buf)
{
    size_t len = 0;
    if (!spell(f, n, buf, &len, 0))
        return NULL;
    buf[len] = 0;
    return buf;
}

uint64_t flow_label(struct flow *f, const struct node *n, uint64_t parents)
{
    const struct lex *lx = &f->sx->lex;
    uint32_t end = n->tok_end > n->tok ? n->tok_end - 1 : n->tok;
    uint32_t a = lx->tokens.v[n->tok].start, b = lx->tokens.v[end].end;
    uint64_t h = XXH3_64bits(lx->text + a, b > a ? b - a : 0);
    for (int i = 0; i < f->label_count && i < FLOW_LABELS; i++)
        if (f->labels[i].hash == h)
            return (uint64_t)1 << i;
    int i = f->label_count++ % FLOW_LABELS;
    f->labels[i] = (struct label){h, parents & ~((uint64_t)1 << i)};
    f->cleaned[i] = 0;
    return (uint64_t)1 << i;
}

const struct value *var_get(const struct flow *f, uint32_t sym)
{
    return sym < f->vars_cap ? f->vars[sym] : NULL;
}

void var_set(struct flow *f, uint32_t sym, const struct value *v)
{
    if (!sym)
        return;
    if (sym >= f->vars_cap) {
        uint32_t cap = f->sx->syms.count + 256;
        if (cap <= sym)
            cap = sym + 256;
        const struct value **vars = mem_realloc(f->vars, cap * sizeof *vars);
        if (!vars) {
            f->nomem = true;
            return;
        }
        memset(vars + f->vars_cap, 0, (cap - f->vars_cap) * sizeof *vars);
        f->vars = vars;
        f->vars_cap = cap;
    }
    if (f->vars[sym] == v)
        return;
    struct change c = {.sym = sym, .old = f->vars[sym]};
    if (!VEC_PUSH(&f->log, c)) {
        f->nomem = true;
        return;
    }
    f->vars[sym] = v;
}

void mark_clean(struct flow *f, uint64_t labels, uint64_t kinds)
{
    for (uint32_t i = 0; i < FLOW_LABELS; i++) {
        if (!(labels >> i & 1) || (f->cleaned[i] & kinds) == kinds)
            continue;
        struct change c = {.sym = FLOW_LABEL_BASE + i, .old_mask = f->cleaned[i]};
        if (!VEC_PUSH(&f->log, c)) {
            f->nomem = true;
            return;
        }
        f->cleaned[i] |= kinds;
    }
}

void undo_to(struct flow *f, size_t mark)
{
    while (f->log.len > mark) {
        struct change c = VEC_POP(&f->log);
        if (c.sym >= FLOW_LABEL_BASE)
            f->cleaned[c.sym - FLOW_LABEL_BASE] = c.old_mask;
        else
            f->vars[c.sym] = c.old;
    }
}

void undo_locals(struct flow *f, size_t mark, bool forget_labels)
{
    VEC(struct change) kept = {0};
    bool fields = f->lang != LANG_C && f->lang != LANG_CPP; /* there a.b is of this function's a */
    for (size_t i = mark; i < f->log.len && fields; i++) {
        struct change c = f->log.v[i];
        if (c.sym >= FLOW_LABEL_BASE || !f->vars[c.sym] || !strchr(symtab_name(&f->sx->syms, c.sym), '.'))
            continue;
        c.old = f->vars[c.sym];
        if (!VEC_PUSH(&kept, c))
            f->nomem = true;
    }
    undo_to(f, mark);
    for (size_t i = 0; i < kept.len; i++) {
        const struct value *v = kept.v[i].old;
        if (forget_labels && v->labels) { /* they are numbers of that function's inputs */
            struct value *c = value_copy(f, v);
            c->labels = 0;
            v = c;
        }
        var_set(f, kept.v[i].sym, v);
    }
    VEC_RELEASE(&kept);
}

static bool is_local(const struct flow *f, size_t from, uint32_t sym)
{
    for (size_t i = from; i < f->locals.len; i++)
        if (f->locals.v[i] == sym)
            return true;
    return false;
}

void undo_closure(struct flow *f, size_t mark, size_t locals, bool surely)
{
    saved_vec kept = {0};
    for (size_t i = mark; i < f->log.len; i++) {
        struct change c = f->log.v[i];
        bool field = c.sym < FLOW_LABEL_BASE && strchr(symtab_name(&f->sx->syms, c.sym), '.');
        if (c.sym >= FLOW_LABEL_BASE || !f->vars[c.sym] || (!field && is_local(f, locals, c.sym)))
            continue;
        struct saved s = {.sym = c.sym, .value = f->vars[c.sym]};
        if (kept.len < 1000 && !VEC_PUSH(&kept, s))
            f->nomem = true;
    }
    undo_to(f, mark);
    for (size_t i = 0; i < kept.len; i++) {
        const struct value *old = f->vars[kept.v[i].sym], *v = kept.v[i].value;
        bool field = strchr(symtab_name(&f->sx->syms, kept.v[i].sym), '.') != NULL;
        if (field || (old && old != v))
            var_set(f, kept.v[i].sym, field || surely ? v : value_join(f, old, v));
    }
    VEC_RELEASE(&kept);
}

bool own_member(const struct flow *f, const struct node *n)
{
    static const char *const own[] = {"self", "this", "static", "cls", NULL};
    if (n->kind != N_MEMBER || !n->a || (n->a->kind != N_NAME && n->a->kind != N_LITERAL))
        return false;
    const char *base = n->a->kind == N_LITERAL ? "this" : symtab_name(&f->sx->syms, n->a->sym);
    return one_of(base + (*base == '$'), own);
}

const char *field_key(const struct flow *f, const char *name, char *buf)
{
    if (!f->classes.len)
        return NULL;
    const char *class = symtab_name(&f->sx->syms, f->classes.v[f->classes.len - 1]->sym);
    int n = snprintf(buf, FLOW_PATH_MAX, "%s.%s", class, name + (*name == '$'));
    return n > 0 && n < FLOW_PATH_MAX ? buf : NULL;
}

uint32_t var_key(struct flow *f, const struct node *n)
{
    if (!n)
        return 0;
    if (n->kind == N_NAME)
        return n->sym;
    if (n->kind == N_UNARY && (n->op == OP1('*') || n->op == OP1('&')))
        return var_key(f, n->a);
    if (n->kind == N_CAST)
        return var_key(f, n->a);
    if (n->kind != N_MEMBER || !n->a || (n->a->kind != N_NAME && n->a->kind != N_LITERAL && n->a->kind != N_MEMBER))
        return 0;
    char buf[FLOW_PATH_MAX];
    size_t len = 0;
    if (n->a->kind == N_LITERAL) {
        len = (size_t)snprintf(buf, sizeof buf, "this.%s", symtab_name(&f->sx->syms, n->sym));
        return len < sizeof buf ? symtab_intern(&f->sx->syms, buf, len) : 0;
    }
    if (!spell(f, n, buf, &len, 0))
        return 0;
    return symtab_intern(&f->sx->syms, buf, len);
}
