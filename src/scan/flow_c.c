/* What only C and C++ can get wrong: room, lifetime, indexes. The texts are rules with "check: name". */
#include "scan/flow_internal.h"

#include <string.h>

static const struct value *val(const struct node *n)
{
    return !n || n->kind >= N_BLOCK || !n->val ? &flow_const : n->val;
}

static const struct rule *check_rule(const struct flow *f, const char *name)
{
    for (size_t i = 0; i < f->rules->checks.len; i++)
        if (strcmp(f->rules->checks.v[i]->check, name) == 0)
            return f->rules->checks.v[i];
    return NULL;
}

void flow_check(struct flow *f, const char *check, const struct node *n, const struct value *v)
{
    const struct rule *r = check_rule(f, check);
    if (r && rule_allowed(f, r, n))
        flow_hit(f, r, n, v->origin, v->source_line);
}

static const struct node *nth(const struct node *list, int i)
{
    while (list && i-- > 0)
        list = list->next;
    return list;
}

uint32_t type_size(const char *name)
{
    static const struct {
        const char *name;
        uint32_t bytes;
    } types[] = {{"char", 1}, {"uint8_t", 1}, {"int8_t", 1}, {"bool", 1}, {"short", 2}, {"uint16_t", 2}, {"int16_t", 2},
                 {"int", 4}, {"unsigned", 4}, {"float", 4}, {"uint32_t", 4}, {"int32_t", 4}, {"wchar_t", 4}, {"long", 8},
                 {"double", 8}, {"int64_t", 8}, {"uint64_t", 8}, {"size_t", 8}, {"ssize_t", 8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(name, types[i].name) == 0)
            return types[i].bytes;
    return 0;
}

const struct value *eval_sizeof(struct flow *f, const struct node *n)
{
    struct value *v = value_new(f, ORIGIN_CONST);
    v->flags = VF_SIZED;
    const struct node *of = n->a && n->a->kind == N_INDEX ? n->a->a : n->a;
    const struct value *a = of && of->kind == N_NAME ? var_get(f, of->sym) : NULL;
    uint64_t bytes = 0;
    if (a && a->flags & VF_ARRAY && of != n->a)
        bytes = a->elem;
    else if (a && a->flags & VF_ARRAY)
        bytes = (uint64_t)a->size * (a->elem ? a->elem : 1);
    else if (of && of == n->a && of->kind == N_NAME)
        bytes = type_size(symtab_name(&f->sx->syms, of->sym));
    if (bytes) {
        v->flags |= VF_NUM;
        v->num = (int64_t)bytes;
    }
    return v;
}

/* In bytes; 0: not known. */
static uint32_t room(const struct value *dst)
{
    if (dst->flags & VF_HEAP)
        return dst->size;
    uint64_t bytes = dst->flags & VF_ARRAY ? (uint64_t)dst->size * (dst->elem ? dst->elem : 1) : 0;
    return bytes <= UINT32_MAX ? (uint32_t)bytes : 0;
}

/* malloc(strlen(s)): no place for the end. */
static bool lacks_end(const struct value *dst)
{
    return dst->flags & VF_HEAP && dst->path && strcmp(dst->path, "malloc(strlen)") == 0;
}

/* strcpy, strcat: the source must be a constant that fits, or measured before. */
static void check_copy(struct flow *f, const struct node *n)
{
    const struct value *dst = val(n->list), *src = val(nth(n->list, 1));
    if (!n->list || !n->list->next)
        return;
    if (src->origin == ORIGIN_CONST && !(src->flags & VF_BUILT)) {
        bool array = src->flags & VF_ARRAY && !src->text_len; /* not the text that it was made with */
        bool known = src->flags & VF_TEXT || (src->flags & VF_ARRAY && src->text_len);
        if (room(dst) && (known ? src->text_len >= room(dst) : array && room(src) > room(dst)))
            flow_check(f, "buffer-copy", n, src);
        return;
    }
    if (lacks_end(dst)) {
        flow_check(f, "buffer-copy", n, src);
        return;
    }
    if ((dst->flags & VF_HEAP && !dst->size) || value_clean(f, src, rules_kind("size")))
        return;
    flow_check(f, "buffer-copy", n, src);
}

/* An array, or a field that a struct of this file declares as one. */
static bool fixed_room(const struct flow *f, const struct node *dst)
{
    while (dst && ((dst->kind == N_CAST || dst->kind == N_UNARY || dst->kind == N_BINARY || dst->kind == N_INDEX) && dst->a))
        dst = dst->a; /* buf + n, &buf[n] */
    if (val(dst)->flags & VF_ARRAY)
        return true;
    const struct value *field = dst && dst->kind == N_MEMBER ? var_get(f, dst->sym) : NULL;
    return field && field->flags & VF_ARRAY;
}

/* Does a format write a string of any length? */
static bool open_string(const struct value *fmt)
{
    if (!fmt->text)
        return false;
    for (uint32_t i = 0; i + 1 < fmt->text_len; i++) {
        if (fmt->text[i] != '%')
            continue;
        if (fmt->text[i + 1] == '%') {
            i++;
            continue;
        }
        uint32_t k = i + 1;
        bool precision = false;
        while (k < fmt->text_len && strchr("-+ #0123456789.*lhzjt", fmt->text[k])) {
            precision |= fmt->text[k] == '.';
            k++;
        }
        if (k < fmt->text_len && (fmt->text[k] == 's' || fmt->text[k] == '[') && !precision)
            return true;
    }
    return false;
}

static void check_sprintf(struct flow *f, const struct node *n)
{
    const struct value *dst = val(n->list), *fmt = val(nth(n->list, 1));
    bool list = symtab_name(&f->sx->syms, n->a->sym)[0] == 'v';
    if (list && !fmt->text && fixed_room(f, n->list))
        flow_check(f, "buffer-copy", n, fmt); /* whatever the caller may ask for */
    if (!open_string(fmt) || dst->flags & VF_HEAP)
        return;
    for (const struct node *a = nth(n->list, 2); a; a = a->next) {
        const struct value *v = val(a);
        if (v->origin != ORIGIN_CONST && !value_clean(f, v, rules_kind("size"))) {
            flow_check(f, "buffer-copy", n, v);
            return;
        }
    }
}

/* A number read by atoi and its like that was held against an upper bound only. */
static bool may_be_negative(const struct flow *f, const struct value *v)
{
    static const char *const signed_numbers[] = {"atoi()", "atol()", "strtol()", "scanf()", NULL};
    return v->origin >= ORIGIN_TAINTED && v->path && one_of(v->path, signed_numbers) &&
           !value_clean(f, v, rules_kind("negative"));
}

/* strncat(dst, src, sizeof dst), snprintf(dst, 64, ...) into less. */
static void check_given_room(struct flow *f, const struct node *n, const char *name)
{
    const struct value *dst = val(n->list), *len = val(nth(n->list, name[0] == 's' && name[1] == 't' ? 2 : 1));
    if (!(len->flags & VF_NUM) || !room(dst))
        return;
    bool appends = strcmp(name, "strncat") == 0;
    if (len->num > (int64_t)room(dst) || (appends && len->flags & VF_SIZED && len->num == (int64_t)room(dst)))
        flow_check(f, "buffer-length", n, len);
}

static const struct node *product(const struct node *n)
{
    while (n && (n->kind == N_CAST || (n->kind == N_SEQ && n->list && !n->list->next)))
        n = n->kind == N_CAST ? n->a : n->list;
    if (n && n->kind == N_BINARY && n->op == OP1('+'))
        return product(n->a) ? product(n->a) : product(n->b);
    return n && n->kind == N_BINARY && n->op == OP1('*') ? n : NULL;
}

/* memcpy(dst, src, n), read(fd, dst, n): the length against the room. */
static void check_length(struct flow *f, const struct node *n, int dst_at, int len_at)
{
    const struct node *dst_node = nth(n->list, dst_at);
    const struct value *dst = val(dst_node), *len = val(nth(n->list, len_at));
    if (!nth(n->list, len_at))
        return;
    /* "n * sizeof(type)" and elements of an unknown size cannot be compared */
    bool plain = !product(nth(n->list, len_at));
    const struct value *src = len_at == 2 && dst_at == 0 && n->a && symtab_name(&f->sx->syms, n->a->sym)[0] == 'm' &&
                              symtab_name(&f->sx->syms, n->a->sym)[3] != 's' ? val(nth(n->list, 1)) : NULL;
    for (int i = 0; i < 2 && len->flags & VF_NUM; i++) {
        const struct value *v = i ? src : dst;
        if (v && room(v) && (plain || v->elem || v->flags & VF_HEAP) && len->num > (int64_t)room(v)) {
            flow_check(f, "buffer-length", n, len);
            return;
        }
    }
    if (may_be_negative(f, len) && value_clean(f, len, rules_kind("size"))) {
        flow_check(f, "buffer-length", n, len);
        return;
    }
    if (len->origin < ORIGIN_PARAM || value_clean(f, len, rules_kind("size")))
        return;
    /* the caller gave room and length: only it can tell whether they fit */
    if (!fixed_room(f, dst_node) && (dst->flags & VF_HEAP || len->origin == ORIGIN_PARAM))
        return;
    flow_check(f, "buffer-length", n, len);
}

static void check_alloc(struct flow *f, const struct node *n, int at)
{
    const struct node *arg = nth(n->list, at), *p = product(arg), *to = f->target;
    /* p = malloc(sizeof p) */
    if (arg && arg->kind == N_UNARY && arg->op == KW_sizeof && arg->a && arg->a->kind == N_NAME && to && to->kind == N_NAME &&
        to->sym == arg->a->sym)
        flow_check(f, "sizeof-pointer", n, val(arg));
    if (!p)
        return;
    const struct value *a = val(p->a), *b = val(p->b);
    const struct value *worse = a->origin >= b->origin ? a : b;
    if (worse->origin >= ORIGIN_PARAM && !value_clean(f, worse, rules_kind("size")))
        flow_check(f, "alloc-overflow", n, worse);
}

/* A number from outside, compared with nothing, that something is added to or multiplied with. */
void check_arithmetic(struct flow *f, const struct node *n, const struct value *a, const struct value *b)
{
    if ((f->lang != LANG_C && f->lang != LANG_CPP) || (n->op != OP1('+') && n->op != OP1('*')))
        return;
    static const char *const numbers[] = {"atoi()", "strtol()", "atol()", "scanf()", NULL};
    const struct value *v = a->origin >= ORIGIN_TAINTED ? a : b;
    bool target = f->target && f->target->kind == N_NAME;
    if (target && v->origin >= ORIGIN_TAINTED && v->path && one_of(v->path, numbers) && !value_clean(f, v, rules_kind("size")))
        flow_check(f, "arithmetic", f->stmt && f->stmt->kind < N_BLOCK ? f->stmt : n, v);
}

void check_c(struct flow *f, const struct node *n, const char *name)
{
    static const char *const copies[] = {"strcpy", "strcat", "wcscpy", "stpcpy", "wcscat", "lstrcpy", "_mbscpy", NULL};
    static const char *const lengths[] = {"memcpy", "memmove", "strncpy", "memset", "bcopy", NULL};
    static const char *const inputs[] = {"read", "recv", "recvfrom", NULL};
    static const char *const rooms[] = {"strncat", "snprintf", "vsnprintf", "strlcpy", "strlcat", NULL};
    if (one_of(name, copies))
        check_copy(f, n);
    else if (one_of(name, rooms))
        check_given_room(f, n, name);
    else if (strcmp(name, "sprintf") == 0 || strcmp(name, "vsprintf") == 0)
        check_sprintf(f, n);
    else if (one_of(name, lengths))
        check_length(f, n, 0, 2);
    else if (one_of(name, inputs))
        check_length(f, n, 1, 2);
    else if (strcmp(name, "fgets") == 0)
        check_length(f, n, 0, 1);
    else if (strcmp(name, "malloc") == 0 || strcmp(name, "alloca") == 0)
        check_alloc(f, n, 0);
    else if (strcmp(name, "realloc") == 0)
        check_alloc(f, n, 1);
    else if ((strcmp(name, "free") == 0 || strcmp(name, "kfree") == 0) && n->list && val(n->list)->flags & VF_FREED)
        flow_check(f, "double-free", n, val(n->list));
}

static bool frees(const struct flow *f, const struct node *call, const struct node *arg)
{
    if (!call || call->kind != N_CALL || !call->a || call->a->kind != N_NAME)
        return false;
    const char *name = symtab_name(&f->sx->syms, call->a->sym);
    return (strcmp(name, "free") == 0 || strcmp(name, "kfree") == 0) && call->list == arg;
}

void forget_freed(struct flow *f, uint32_t sym)
{
    const char *name = symtab_name(&f->sx->syms, sym);
    size_t n = strlen(name);
    for (int i = 0; i < f->freed_count && i < FLOW_FREED; i++) {
        const struct value *v = var_get(f, f->freed[i]);
        const char *field = symtab_name(&f->sx->syms, f->freed[i]);
        if (v && v->flags & VF_FREED && strncmp(field, name, n) == 0 && field[n] == '.') {
            struct value *c = value_copy(f, v);
            c->flags &= ~(uint32_t)VF_FREED;
            var_set(f, f->freed[i], c);
        }
    }
}

void check_use(struct flow *f, const struct node *n, const struct value *v)
{
    if ((f->lang != LANG_C && f->lang != LANG_CPP) || frees(f, f->stmt, n))
        return;
    if (f->stmt && f->stmt->kind == N_ASSIGN && f->stmt->b == n)
        return; /* a copy of the pointer uses nothing of what it points at */
    const struct node *at = f->stmt && f->stmt->kind < N_BLOCK ? f->stmt : f->stmt && f->stmt->kind == N_RETURN ? f->stmt : n;
    flow_check(f, "use-after-free", at, v);
}

static bool is_enum(const struct flow *f, const struct node *param)
{
    for (uint32_t i = param->tok; i < param->tok_end; i++)
        if (f->sx->lex.tokens.v[i].kind == TOK_NAME && f->sx->lex.tokens.v[i].sym == KW_enum)
            return true;
    return false;
}

static bool is_cast_to(const struct flow *f, const struct node *n, const char *type)
{
    const struct lex *lx = &f->sx->lex;
    size_t at = lx->tokens.v[n->tok].start, len = strlen(type);
    bool cast = n->kind == N_CAST || (n->kind == N_BINARY && n->op == OP1('*')); /* (uint8_t) *p, as it may be read */
    return cast && at + len <= lx->len && memcmp(lx->text + at, type, len) == 0;
}

/* Indexes that are in bounds by what they are: a byte in 256 places, half a byte in 16, an enumeration in the table made
 * for it. */
static bool index_fits(const struct flow *f, const struct node *n, const struct value *base, const struct value *key)
{
    const struct node *k = n->b;
    bool byte = (key->path && strcmp(key->path, "uint8_t.[]") == 0) || is_cast_to(f, k, "(uint8_t)") ||
                is_cast_to(f, k, "(unsigned char)");
    if (byte && (!base->size || base->size >= 256))
        return true;
    if (k->kind == N_BINARY && k->op == OP2('>', '>') && val(k->b)->flags & VF_NUM && val(k->b)->num >= 4 && base->size >= 16)
        return true;
    bool table = base->origin == ORIGIN_CONST && base->literal && base->literal->list && base->literal->list->next;
    if (table && k->kind == N_MEMBER && key->origin == ORIGIN_PARAM)
        return true;
    for (const struct node *p = f->func && k->kind == N_NAME ? f->func->list : NULL; p; p = p->next)
        if (p->sym == k->sym)
            return is_enum(f, p);
    return false;
}

void check_index(struct flow *f, const struct node *n)
{
    if ((f->lang != LANG_C && f->lang != LANG_CPP) || !n->a || !n->b)
        return;
    const struct value *base = val(n->a), *key = val(n->b);
    const struct node *at = f->stmt && f->stmt->kind < N_BLOCK ? f->stmt : n;
    if (base->flags & VF_HEAP && base->size && base->elem) {
        uint32_t count = base->size / base->elem;
        if ((key->flags & VF_NUM && key->num >= (int64_t)count) ||
            (!(key->flags & (VF_NUM | VF_ARRAY)) && key->origin == ORIGIN_CONST && key->size > count))
            flow_check(f, "index-bounds", at, key);
        return;
    }
    if (!(base->flags & VF_ARRAY))
        return;
    if (base->size && ((key->flags & VF_NUM && (key->num >= (int64_t)base->size || (key->num < 0 && n->b->kind != N_BINARY))) ||
                       (!(key->flags & VF_NUM) && key->size > base->size && !(key->flags & VF_ARRAY)))) {
        flow_check(f, "index-bounds", at, key);
        return;
    }
    if (may_be_negative(f, key))
        flow_check(f, "index-bounds", at, key);
    else if (key->origin >= ORIGIN_PARAM && !value_clean(f, key, rules_kind("index")) && !index_fits(f, n, base, key))
        flow_check(f, "index-bounds", at, key);
}
