/* Rules against what the run has come to. */
#include "scan/flow_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include <string.h>
#include <strings.h>

#define BINDINGS_MAX 12

struct bindings {
    const char *names[BINDINGS_MAX];
    const struct node *nodes[BINDINGS_MAX];
    int count;
};

static const struct value *val(const struct node *n)
{
    return !n || n->kind >= N_BLOCK || !n->val ? &flow_const : n->val;
}

static const char *pat_name(const struct pattern *p, const struct node *n)
{
    return symtab_name(&p->syntax.syms, n->sym);
}

static const char *code_name(const struct flow *f, uint32_t sym)
{
    return symtab_name(&f->sx->syms, sym);
}

static bool bind(struct bindings *b, const char *name, const struct node *n)
{
    if (strcmp(name, "$_") == 0 || b->count == BINDINGS_MAX)
        return true;
    b->names[b->count] = name;
    b->nodes[b->count++] = n;
    return true;
}

static bool loose(const struct pattern *p)
{
    bool class = p->path && p->path[0] >= 'A' && p->path[0] <= 'Z' && !p->any_receiver && p->kind == PATTERN_CALL;
    return p->kind == PATTERN_NEW || p->lang == LANG_JAVA || p->lang == LANG_CSHARP || (class && p->lang == LANG_PYTHON);
}

static bool path_hits(struct flow *f, const struct pattern *p, const char *pattern, bool any, const struct node *n,
        const char *path)
{
    if (path && path_matches(p->lang, pattern, any, loose(p), path))
        return true;
    char buf[FLOW_PATH_MAX];
    const char *spelled = node_spelled(f, n, buf);
    if (!spelled || (n->kind == N_NAME && path && strchr(path, '.') && strcmp(spelled, path) != 0))
        return false; /* a name that stands for something else; but a module's own name may be used as a function */
    return path_matches(p->lang, pattern, any, loose(p), spelled);
}

static bool match_node(struct flow *f, const struct pattern *p, const struct node *pat, const struct node *n,
        struct bindings *b);

static bool same_text(const struct pattern *p, const struct node *pat, const struct value *v)
{
    size_t len;
    const char *s = syntax_text(&p->syntax, pat, &len);
    return v->flags & VF_TEXT && v->text_len == len && memcmp(v->text, s, len) == 0;
}

static bool path_of_pattern(const struct pattern *p, const struct node *pat, char *buf, bool *ret_any)
{
    struct flow probe = {.sx = (struct syntax *)(uintptr_t)&p->syntax};
    *ret_any = false;
    const char *s = node_spelled(&probe, pat, buf);
    if (!s)
        return false;
    if (s[0] == '$' && s[1] >= 'A' && s[1] <= 'Z') {
        const char *dot = strchr(s, '.');
        if (!dot)
            return false;
        memmove(buf, dot + 1, strlen(dot + 1) + 1);
        *ret_any = true;
    }
    return true;
}

/* The known elements of a list, as the arguments they would be. NULL: not known. */
static const struct node *elements(struct flow *f, const struct node *place, const struct value *v)
{
    struct node *head = NULL, **tail = &head;
    for (int64_t i = 0; i < 16; i++) {
        const struct value key = {.flags = VF_NUM, .num = i};
        const struct entry *e = value_entry(v, &key);
        struct node *x = e ? arena_alloc(f->sx->arena, sizeof *x) : NULL;
        if (!x)
            break;
        *x = (struct node){.kind = N_NAME, .tok = place->tok, .tok_end = place->tok_end,
                           .val = (struct value *)(uintptr_t)e->value};
        *tail = x;
        tail = &x->next;
    }
    return head;
}

/* f("sh", args...) is f("sh", args[0], args[1]). */
static const struct node *spread(struct flow *f, const struct node *args)
{
    const struct node *s = args;
    while (s && !(s->kind == N_SPREAD && val(s)->entries && val(s)->entries->numeric))
        s = s->next;
    if (!s)
        return args;
    struct node *head = NULL, **tail = &head;
    for (const struct node *a = args; a; a = a->next) {
        struct node *x = a == s ? (struct node *)(uintptr_t)elements(f, a, val(a)) : arena_alloc(f->sx->arena, sizeof *x);
        if (!x)
            return args;
        if (a != s)
            *x = *a, x->next = NULL;
        *tail = x;
        while (*tail)
            tail = &(*tail)->next;
    }
    return head;
}

static bool match_args(struct flow *f, const struct pattern *p, const struct node *pat, const struct node *args,
        struct bindings *b)
{
    args = spread(f, args);
    const struct node *a = args;
    bool open = false;
    for (const struct node *x = pat; x; x = x->next) {
        if (x->kind == N_ELLIPSIS) {
            open = true;
            if (!x->next)
                return true;
            continue;
        }
        if (x->kind == N_PAIR && !x->a) { /* a named argument: anywhere */
            const struct node *hit = NULL;
            for (const struct node *k = args; k && !hit; k = k->next) {
                if (k->kind != N_PAIR)
                    continue;
                const char *key = k->a ? (val(k->a)->flags & VF_TEXT ? NULL : "") : code_name(f, k->sym);
                if (k->a && val(k->a)->flags & VF_TEXT && strlen(pat_name(p, x)) == val(k->a)->text_len &&
                    memcmp(val(k->a)->text, pat_name(p, x), val(k->a)->text_len) == 0)
                    key = pat_name(p, x);
                if (key && strcmp(key, pat_name(p, x)) == 0)
                    hit = k;
            }
            if (!hit || !match_node(f, p, x->b, hit->b, b))
                return false;
            open = true;
            continue;
        }
        if (open && !(x->next == NULL || x->next->kind == N_ELLIPSIS || x->next->kind == N_PAIR))
            return false; /* "..., $X, $Y" is not offered */
        bool found = false;
        for (; a; a = a->next) {
            if (a->kind == N_PAIR && x->kind != N_PAIR && !open)
                continue;
            struct bindings save = *b;
            if (match_node(f, p, x, a->kind == N_PAIR && !a->a && x->kind != N_PAIR ? a->b : a, b) &&
                (!open || x->next || !a->next || x->kind != N_NAME || !(x->flags & NF_META))) {
                found = true;
                a = a->next;
                break;
            }
            *b = save;
            if (!open)
                break;
        }
        if (!found)
            return false;
    }
    if (open)
        return true;
    for (; a; a = a->next)
        if (a->kind != N_FUNC)
            return false;
    return true;
}

static bool match_dict(struct flow *f, const struct pattern *p, const struct node *pat, const struct node *dict,
        struct bindings *b);

static bool pair_key(struct flow *f, const struct node *pair, const char *key)
{
    if (!pair->a)
        return strcasecmp(code_name(f, pair->sym), key) == 0;
    if (pair->a->kind == N_NAME)
        return strcasecmp(code_name(f, pair->a->sym), key) == 0;
    const struct value *v = val(pair->a);
    if (v->flags & VF_TEXT)
        return v->text_len == strlen(key) && strncasecmp(v->text, key, v->text_len) == 0;
    if (v->path) {
        const char *dot = strrchr(v->path, '.');
        return strcmp(dot ? dot + 1 : v->path, key) == 0;
    }
    return false;
}

static bool pattern_key(const struct pattern *p, const struct node *pair, char *buf, size_t size)
{
    size_t len;
    if (!pair->a)
        return (size_t)snprintf(buf, size, "%s", pat_name(p, pair)) < size;
    if (pair->a->kind == N_NAME || pair->a->kind == N_MEMBER)
        return (size_t)snprintf(buf, size, "%s", pat_name(p, pair->a)) < size;
    const char *s = syntax_text(&p->syntax, pair->a, &len);
    return (size_t)snprintf(buf, size, "%.*s", (int)len, s) < size;
}

static bool match_dict(struct flow *f, const struct pattern *p, const struct node *pat, const struct node *dict,
        struct bindings *b)
{
    for (const struct node *x = pat->list; x; x = x->next) {
        char key[80];
        if (x->kind != N_PAIR || !pattern_key(p, x, key, sizeof key))
            continue;
        bool hit = false;
        for (const struct node *e = dict->list; e && !hit; e = e->next)
            hit = e->kind == N_PAIR && pair_key(f, e, key) && match_node(f, p, x->b, e->b, b);
        if (!hit)
            return false;
    }
    return true;
}

static bool match_call_node(struct flow *f, const struct pattern *p, const struct node *pat, const struct node *n,
        struct bindings *b)
{
    char buf[FLOW_PATH_MAX];
    bool any;
    if (n->kind != N_CALL || (pat->flags & NF_NEW) != (n->flags & NF_NEW) || !path_of_pattern(p, pat->a, buf, &any))
        return false;
    return path_hits(f, p, buf, any, n->a, val(n->a)->path) && match_args(f, p, pat->list, n->list, b);
}

static bool match_node(struct flow *f, const struct pattern *p, const struct node *pat, const struct node *n,
        struct bindings *b)
{
    if (!pat || !n)
        return pat == n;
    if (pat->flags & NF_META && pat->kind == N_NAME)
        return bind(b, pat_name(p, pat), n);
    const struct value *v = val(n);
    switch (pat->kind) {
    case N_ELLIPSIS:
        return true;
    case N_STRING:
        return same_text(p, pat, v);
    case N_NUMBER: {
        size_t len;
        const char *s = syntax_text(&p->syntax, pat, &len);
        char num[32];
        snprintf(num, sizeof num, "%.*s", (int)(len < 31 ? len : 31), s);
        if (num[0] == '0' && (num[1] == 'o'))
            memmove(num + 1, num + 2, strlen(num + 2) + 1);
        return v->flags & VF_NUM && v->num == strtoll(num, NULL, 0);
    }
    case N_LITERAL: {
        bool yes = pat->sym == KW_True || pat->sym == KW_true;
        if (yes || pat->sym == KW_False || pat->sym == KW_false)
            return v->flags & VF_BOOL && (v->num != 0) == yes;
        return (v->flags & VF_NULL) != 0;
    }
    case N_NAME: case N_MEMBER: {
        char buf[FLOW_PATH_MAX];
        bool any;
        return path_of_pattern(p, pat, buf, &any) && path_hits(f, p, buf, any, n, v->path);
    }
    case N_CALL:
        return match_call_node(f, p, pat, n, b);
    case N_DICT: {
        const struct node *d = n->kind == N_DICT ? n : v->literal && v->literal->kind == N_DICT ? v->literal : NULL;
        return d && match_dict(f, p, pat, d, b);
    }
    case N_UNARY:
        return n->kind == N_UNARY && n->op == pat->op && match_node(f, p, pat->a, n->a, b);
    case N_BINARY:
        return n->kind == N_BINARY && n->op == pat->op && match_node(f, p, pat->a, n->a, b) && match_node(f, p,
                pat->b, n->b, b);
    case N_PAIR:
        return n->kind == N_PAIR && match_node(f, p, pat->b, n->b, b);
    case N_LIST: /* [$X, ...] */
        if (n->kind == N_LIST)
            return match_args(f, p, pat->list, n->list, b);
        if (v->entries && v->entries->numeric) { /* as it has become by now */
            const struct node *list = elements(f, n, v);
            return list && match_args(f, p, pat->list, list, b);
        }
        return v->literal && v->literal->kind == N_LIST && match_args(f, p, pat->list, v->literal->list, b);
    case N_SPREAD:
        return n->kind == N_SPREAD && match_node(f, p, pat->a, n->a, b);
    case N_INDEX:
        return n->kind == N_INDEX && match_node(f, p, pat->a, n->a, b) && (!pat->b || match_node(f, p, pat->b, n->b, b));
    default:
        return false;
    }
}

/* The source text of a node. */
static const char *source_text(const struct flow *f, const struct node *n, size_t *ret_len)
{
    const struct lex *lx = &f->sx->lex;
    uint32_t last = n->tok_end > n->tok ? n->tok_end - 1 : n->tok;
    uint32_t a = lx->tokens.v[n->tok].start, b = lx->tokens.v[last].end;
    *ret_len = b > a ? b - a : 0;
    return lx->text + a;
}

/* ["ls", x]: the program is fixed and no shell, so what stands behind it is an argument. */
static bool fixed_program(const struct value *v)
{
    static const char *const shells[] = {"sh", "bash", "dash", "zsh", "ksh", "cmd", "cmd.exe", "powershell", "env", "sudo",
                                         "python", "perl", "ruby", "node", NULL};
    const struct value first = {.flags = VF_NUM};
    const struct entry *e = v->flags & VF_CONTAINER && v->entries && v->entries->numeric ? value_entry(v, &first) : NULL;
    if (!e || !(e->value->flags & VF_TEXT) || e->value->origin != ORIGIN_CONST)
        return false;
    char name[32];
    const char *slash = memrchr(e->value->text, '/', e->value->text_len), *from = slash ? slash + 1 : e->value->text;
    snprintf(name, sizeof name, "%.*s", (int)(e->value->text + e->value->text_len - from), from);
    return name[0] && !one_of(name, shells);
}

/* A literal, also as bytes: []byte("x"), "x".getBytes(). */
static bool written_here(const struct flow *f, const struct node *n)
{
    static const char *const bytes[] = {"getBytes", "toCharArray", "encode", "bytes", NULL};
    if (n->kind == N_CALL && n->a && n->a->kind == N_CAST && f->lang == LANG_GO && n->list && !n->list->next)
        n = n->list;
    else if (n->kind == N_CALL && n->a && n->a->kind == N_MEMBER && n->a->a &&
             one_of(symtab_name(&f->sx->syms, n->a->sym), bytes))
        n = n->a->a;
    return n->kind == N_STRING || n->kind == N_NUMBER || n->kind == N_TEMPLATE;
}

static bool where_holds(struct flow *f, const struct where *w, const struct node *n, enum origin *ret, uint32_t *ret_line)
{
    const struct value *v = val(n);
    if (n && n->kind == N_PAIR && n->b)
        v = val(n->b);
    if (n && n->kind == N_SPREAD && n->a)
        v = val(n->a);
    if (n && n->kind == N_FUNC && (w->need != NEED_ANY || w->matches))
        return false;
    if (value_needs(f, v, w->need, w->kind) == w->inverted || (w->kind == rules_kind("shell") && fixed_program(v)))
        return false;
    if (w->built && !(v->flags & VF_BUILT))
        return false;
    if (w->literal && !written_here(f, n))
        return false;
    if (w->matches && !(v->text && regex_matches(w->matches, v->text, v->text_len)))
        return false;
    if (w->unless && v->text && regex_matches(w->unless, v->text, v->text_len))
        return false;
    if (w->name || w->not_name) {
        size_t len;
        const char *s = source_text(f, n, &len);
        if (w->name && !regex_matches(w->name, s, len))
            return false;
        if (w->not_name && regex_matches(w->not_name, s, len))
            return false;
    }
    if (w->need != NEED_ANY && w->need != NEED_CONST && v->origin >= *ret) {
        *ret = v->origin;
        *ret_line = v->source_line;
    }
    return true;
}

static bool wheres_hold(struct flow *f, const struct rule *r, const struct bindings *b, enum origin *origin, uint32_t *line)
{
    for (size_t i = 0; i < r->where.len; i++) {
        const struct where *w = &r->where.v[i];
        bool found = false, ok = false;
        for (int k = 0; k < b->count && !ok; k++) {
            if (strcmp(b->names[k], w->var) != 0)
                continue;
            found = true;
            ok = where_holds(f, w, b->nodes[k], origin, line);
        }
        if (found && !ok)
            return false;
    }
    return true;
}

/* Does the text of a place speak of it? A function also does by its name and its decorators. */
static bool place_has(struct flow *f, const struct regex *re, const struct node *place)
{
    if (!place)
        return false;
    struct node whole = *place;
    size_t len;
    if (place->kind == N_FUNC) {
        if (whole.c && whole.c->tok < whole.tok)
            whole.tok = whole.c->tok;
        const char *name = place->sym ? code_name(f, place->sym) : "";
        if (regex_matches(re, name, strlen(name)))
            return true;
    }
    const char *s = source_text(f, &whole, &len);
    return regex_matches(re, s, len < 6000 ? len : 6000);
}

/* In the statement, its "if", or the short statement whose block this is. */
static bool near_has(struct flow *f, const struct regex *re, const struct node *n)
{
    const struct node *a = f->around;
    if (a && a->kind < N_FUNC && a->tok_end - a->tok < 60 && place_has(f, re, a))
        return true;
    return place_has(f, re, n) || (f->stmt && f->stmt->kind < N_FUNC && place_has(f, re, f->stmt)) || place_has(f, re, f->cond);
}

/* Does the short function speak of it by its name, in whose block without a name this is? */
static bool outer_name_has(struct flow *f, const struct regex *re)
{
    if (!f->func || f->func->sym)
        return false;
    for (size_t i = f->stack.len; i-- > 0;) {
        const struct node *func = f->stack.v[i];
        if (!func->sym)
            continue;
        const char *name = code_name(f, func->sym);
        return func->tok_end - func->tok < 100 && regex_matches(re, name, strlen(name));
    }
    return false;
}

/* What stands next to a place speaks louder than what stands elsewhere in its function. */
bool rule_allowed(struct flow *f, const struct rule *r, const struct node *n)
{
    if (r->unless_context && near_has(f, r->unless_context, n))
        return false;
    if (r->context && near_has(f, r->context, n))
        return true;
    if (r->unless_context && (place_has(f, r->unless_context, f->func) || place_has(f, r->unless_context, f->stmt)))
        return false;
    return !r->context || place_has(f, r->context, f->func) || place_has(f, r->context, f->stmt) || outer_name_has(f, r->context);
}

static bool unless_holds(struct flow *f, const struct rule *r, const struct node *n)
{
    for (size_t i = 0; i < r->unless_patterns[f->lang].len; i++) {
        const struct pattern *p = r->unless_patterns[f->lang].v[i];
        struct bindings b = {0};
        if (match_node(f, p, p->node, n, &b))
            return true;
    }
    return false;
}

void flow_hit(struct flow *f, const struct rule *rule, const struct node *n, enum origin origin, uint32_t source_line)
{
    struct flow_hit h = {.rule = rule, .node = n, .line = syntax_line(f->sx, n), .confidence = rule->confidence,
                         .source_line = source_line, .func = f->func};
    if (origin == ORIGIN_UNKNOWN && h.confidence > CONFIDENCE_LOW)
        h.confidence = CONFIDENCE_LOW;
    else if (origin == ORIGIN_PARAM && h.confidence > CONFIDENCE_MEDIUM)
        h.confidence = CONFIDENCE_MEDIUM;
    f->report(&h, f->arg);
}

static void conclude(struct flow *f, const struct pattern *p, const struct node *n, const struct bindings *b)
{
    enum origin origin = ORIGIN_CONST;
    uint32_t line = 0;
    if (!wheres_hold(f, p->rule, b, &origin, &line) || unless_holds(f, p->rule, n) || !rule_allowed(f, p->rule, n))
        return;
    flow_hit(f, p->rule, n, origin, line);
}

static void try_call(struct flow *f, const struct pattern *p, const struct node *n)
{
    struct bindings b = {0};
    if ((p->kind == PATTERN_NEW) != ((n->flags & NF_NEW) != 0))
        return;
    const char *path = n->a ? val(n->a)->path : NULL;
    if (p->path && !path_hits(f, p, p->path, p->any_receiver, n->a, path))
        return;
    if (!p->path && p->node->a->flags & NF_META) /* $F(...) */
        bind(&b, pat_name(p, p->node->a), n->a);
    if (p->any_receiver && n->a->kind == N_MEMBER && p->node->a->kind == N_MEMBER) { /* $X in $X.f() */
        const struct node *pr = p->node->a->a, *r = n->a->a;
        if (pr && pr->flags & NF_META && pr->kind == N_NAME)
            bind(&b, pat_name(p, pr), r);
    }
    if (!match_args(f, p, p->node->list, n->list, &b))
        return;
    conclude(f, p, n, &b);
}

void match_call(struct flow *f, const struct node *n)
{
    const struct node *c = n->a;
    if (!c)
        return;
    const char *name = c->kind == N_NAME || c->kind == N_MEMBER ? code_name(f, c->sym) : NULL;
    const char *path = val(c)->path;
    if (!name && !path)
        return;
    for (int round = 0; round < 2; round++) {
        const char *key = name;
        if (round == 1) { /* a name that stands for another: run = os.system */
            const char *dot = path ? strrchr(path, '.') : NULL;
            key = dot ? dot + 1 : path;
            if (!key || (name && strcmp(key, name) == 0))
                break;
        }
        if (!key)
            continue;
        char lower[FLOW_PATH_MAX];
        if (f->lang == LANG_PHP) {
            size_t k = 0;
            const char *slash = strrchr(key, '\\');
            for (key = slash ? slash + 1 : key; *key && k < sizeof lower - 1; key++)
                lower[k++] = (char)(*key >= 'A' && *key <= 'Z' ? *key + 32 : *key);
            lower[k] = 0;
            key = lower;
        }
        for (const struct pattern *p = map_get(&f->rules->calls, key); p; p = p->next)
            try_call(f, p, n);
    }
    for (const struct pattern *p = f->rules->any_call; p; p = p->next)
        try_call(f, p, n);
}

void match_path(struct flow *f, const struct node *n)
{
    if (f->target == n)
        return;
    const char *name = code_name(f, n->sym);
    for (const struct pattern *p = map_get(&f->rules->paths, name); p; p = p->next) {
        struct bindings b = {0};
        if (!path_hits(f, p, p->path, p->any_receiver, n, val(n)->path))
            continue;
        if (p->any_receiver && n->kind == N_MEMBER && p->node->kind == N_MEMBER && p->node->a->flags & NF_META)
            bind(&b, pat_name(p, p->node->a), n->a);
        conclude(f, p, n, &b);
    }
}

static void try_assign(struct flow *f, const struct pattern *p, const struct node *n)
{
    struct bindings b = {0};
    const bool named = p->node->a->kind == N_NAME && !(p->node->a->flags & NF_META);
    if (!n->b || (named && n->flags & NF_DECL && (f->lang == LANG_JAVASCRIPT || f->lang == LANG_TYPESCRIPT)))
        return; /* var location = ... is another thing than location = ... */
    if (p->node->a->kind == N_NAME && p->node->a->flags & NF_META) {
        bind(&b, pat_name(p, p->node->a), n->a);
    } else {
        char buf[FLOW_PATH_MAX];
        const char *spelled = node_spelled(f, n->a, buf);
        const char *typed = n->a->kind == N_MEMBER && n->a->a && n->a->a->kind < N_BLOCK && n->a->a->val ?
                            path_join(f, n->a->a->val->path, code_name(f, n->a->sym)) : NULL;
        if (!(spelled && path_matches(p->lang, p->path, p->any_receiver, false, spelled)) &&
            !(typed && path_matches(p->lang, p->path, p->any_receiver, false, typed)))
            return;
        if (p->any_receiver && n->a->kind == N_MEMBER && p->node->a->kind == N_MEMBER && p->node->a->a &&
            p->node->a->a->flags & NF_META)
            bind(&b, pat_name(p, p->node->a->a), n->a->a);
    }
    if (match_node(f, p, p->node->b, n->b, &b))
        conclude(f, p, n, &b);
}

void match_assign(struct flow *f, const struct node *n)
{
    if (!n->a)
        return;
    if (n->a->kind == N_NAME || n->a->kind == N_MEMBER)
        for (const struct pattern *p = map_get(&f->rules->assigns, code_name(f, n->a->sym)); p; p = p->next)
            try_assign(f, p, n);
    if (n->a->kind == N_INDEX && n->b) { /* config["DEBUG"] = True is a pair too */
        struct node pair = {.kind = N_PAIR, .tok = n->tok, .tok_end = n->tok_end, .a = n->a->b, .b = n->b};
        match_pair(f, &pair);
    }
    for (const struct pattern *p = f->rules->any_assign; p; p = p->next)
        try_assign(f, p, n);
}

static void try_pair(struct flow *f, const struct pattern *p, const struct node *n)
{
    struct bindings b = {0};
    const struct node *want = p->node->list;
    if (want->a && want->a->flags & NF_META)
        bind(&b, pat_name(p, want->a), n->a ? n->a : n);
    else if (!want->a && pat_name(p, want)[0] == '$')
        bind(&b, pat_name(p, want), n->a ? n->a : n);
    if (match_node(f, p, want->b, n->b, &b))
        conclude(f, p, n, &b);
}

void match_pair(struct flow *f, const struct node *n)
{
    char key[80] = "";
    if (!n->b)
        return;
    if (!n->a || n->a->kind == N_NAME) {
        snprintf(key, sizeof key, "%s", code_name(f, n->a ? n->a->sym : n->sym));
    } else {
        const struct value *v = val(n->a);
        if (v->flags & VF_TEXT)
            snprintf(key, sizeof key, "%.*s", (int)v->text_len, v->text);
        else if (v->path)
            snprintf(key, sizeof key, "%s", strrchr(v->path, '.') ? strrchr(v->path, '.') + 1 : v->path);
    }
    for (const struct pattern *p = map_get(&f->rules->pairs, key); p; p = p->next)
        try_pair(f, p, n);
    for (const struct pattern *p = f->rules->any_pair; p; p = p->next)
        try_pair(f, p, n);
}

void match_return(struct flow *f, const struct node *n)
{
    for (const struct pattern *p = f->rules->returns; p; p = p->next) {
        struct bindings b = {0};
        if (match_node(f, p, p->node->a, n->a, &b))
            conclude(f, p, n, &b);
    }
}

void match_binary(struct flow *f, const struct node *n)
{
    for (const struct pattern *p = f->rules->binaries; p; p = p->next) {
        struct bindings b = {0};
        if (p->node->op == n->op && n->a && n->b && match_node(f, p, p->node->a, n->a, &b) && match_node(f, p,
                p->node->b, n->b, &b))
            conclude(f, p, n, &b);
    }
}

static bool fact_hits(const struct flow *f, const struct fact *s, const char *path, const struct node *n, bool call)
{
    const struct node *callee = n && n->kind == N_CALL ? n->a : n;
    bool constructed = n && n->flags & NF_NEW;
    if (s->call != call)
        return false;
    if (path_matches(f->lang, s->path, s->any_receiver, constructed, path))
        return true;
    char buf[FLOW_PATH_MAX];
    const char *spelled = node_spelled(f, callee, buf);
    return spelled && !(callee->kind == N_NAME && path && strcmp(path, spelled) != 0) &&
           path_matches(f->lang, s->path, s->any_receiver, constructed, spelled);
}

const struct fact *find_fact(const struct flow *f, const struct map *facts, const char *name, const char *path,
        const struct node *n,
                             bool call)
{
    for (const struct fact *s = map_get(facts, name); s; s = s->next)
        if (fact_hits(f, s, path, n, call))
            return s;
    return NULL;
}

uint64_t fact_kinds(const struct flow *f, const struct map *facts, const char *name, const char *path,
        const struct node *n, bool call)
{
    uint64_t kinds = 0;
    for (const struct fact *s = map_get(facts, name); s; s = s->next)
        if (fact_hits(f, s, path, n, call))
            kinds |= s->kinds;
    return kinds;
}
