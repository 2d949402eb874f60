/* Calls: into functions of the file, and what is known of others by name. */
#include "scan/flow_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *last_name(const struct flow *f, const struct node *callee)
{
    while (callee && (callee->kind == N_CAST || (callee->kind == N_SEQ && callee->list && !callee->list->next)))
        callee = callee->kind == N_CAST ? (callee->a ? callee->a : callee->c) : callee->list;
    if (callee && (callee->kind == N_NAME || callee->kind == N_MEMBER))
        return symtab_name(&f->sx->syms, callee->sym);
    return "";
}

static const struct value *val(const struct node *n)
{
    if (!n || n->kind >= N_BLOCK || !n->val)
        return &flow_const;
    return n->val;
}

/* The function of this file that a call runs; NULL: not ours. */
static const struct node *resolve(struct flow *f, const struct node *n, const struct value *callee)
{
    if (callee->func)
        return callee->func;
    const struct node *c = n->a;
    if (!c || (c->kind != N_MEMBER && c->kind != N_NAME))
        return NULL;
    const char *name = symtab_name(&f->sx->syms, c->sym), *class = NULL;
    if (c->kind == N_NAME && var_get(f, c->sym) && var_get(f, c->sym)->origin >= ORIGIN_PARAM)
        return NULL;
    bool own = c->kind == N_NAME;
    if (c->kind == N_MEMBER && c->a && c->a->kind == N_NAME)
        own = c->a->sym == KW_this || c->a->sym == KW_self || c->a->sym == KW_static ||
              strcmp(symtab_name(&f->sx->syms, c->a->sym), "cls") == 0 ||
              strcmp(symtab_name(&f->sx->syms, c->a->sym), "$this") == 0;
    if (own && f->classes.len)
        class = symtab_name(&f->sx->syms, f->classes.v[f->classes.len - 1]->sym);
    else if (c->kind == N_MEMBER && c->a && c->a->kind < N_BLOCK && c->a->val)
        class = c->a->val->path;
    const struct node *func = NULL;
    if (class) {
        const char *last = strrchr(class, '.');
        char key[FLOW_PATH_MAX];
        int k = snprintf(key, sizeof key, "%s.%s", last ? last + 1 : class, name);
        if (k > 0 && (size_t)k < sizeof key)
            func = map_get(&f->funcs, key);
    }
    if (!func && own && (c->kind == N_MEMBER || f->lang == LANG_JAVA || f->lang == LANG_CSHARP || f->lang == LANG_CPP ||
                         f->lang == LANG_PHP || f->lang == LANG_RUBY || f->lang == LANG_C || f->lang == LANG_GO))
        func = map_get(&f->funcs, name);
    return func;
}

static bool on_stack(const struct flow *f, const struct node *func)
{
    for (size_t i = 0; i < f->stack.len; i++)
        if (f->stack.v[i] == func)
            return true;
    return false;
}

/* Where "handler" functions get their parameters from outside. */
static bool is_handler(struct flow *f, const struct node *func)
{
    for (const struct node *d = func->c; d; d = d->next) {
        const struct node *c = d->kind == N_CALL ? d->a : d;
        if (c && (c->kind == N_NAME || c->kind == N_MEMBER) &&
            map_get(&f->rules->handlers, symtab_name(&f->sx->syms, c->sym)))
            return true;
    }
    return false;
}

static bool noted(struct flow *f, const struct node *param)
{
    for (const struct node *d = param->list; d; d = d->next) {
        const struct node *c = d->kind == N_CALL ? d->a : d;
        if (c && (c->kind == N_NAME || c->kind == N_MEMBER) &&
            map_get(&f->rules->param_notes, symtab_name(&f->sx->syms, c->sym)))
            return true;
    }
    return false;
}

static bool numeric_type(const struct flow *f, const struct node *type)
{
    static const char *const names[] = {"int", "Integer", "long", "Long", "float", "double", "bool", "boolean", "Boolean",
                                        "number", "uuid", "UUID", "Guid", "int64", "int32", "uint", "uint64", "date",
                                        "datetime", "DateTime", "LocalDate", "Decimal", "BigDecimal", "Double", "short",
                                        "float64", "byte", NULL};
    return type && f->lang != LANG_C && f->lang != LANG_CPP && type->kind == N_NAME &&
           one_of(symtab_name(&f->sx->syms, type->sym), names);
}

/* @app.route("/x/<int:ident>"): a number, or the handler is not called. */
static bool converted(const struct flow *f, const struct node *func, const char *param)
{
    static const char *const types[] = {"int", "float", "uuid", NULL};
    for (const struct node *d = func->c; d; d = d->next)
        for (const struct node *a = d->kind == N_CALL ? d->list : NULL; a; a = a->next)
            for (const char *const *t = types; a->kind == N_STRING && *t; t++) {
                char want[120];
                size_t len;
                const char *s = syntax_text(f->sx, a, &len);
                int n = snprintf(want, sizeof want, "<%s:%s>", *t, param);
                if (n > 0 && (size_t)n < sizeof want && memmem(s, len, want, (size_t)n))
                    return true;
            }
    return false;
}

static const struct value *outside_param(struct flow *f, const struct node *func, const struct node *param)
{
    enum origin origin = ORIGIN_PARAM;
    const char *name = symtab_name(&f->sx->syms, param->sym);
    bool typed = param->c && (f->lang == LANG_JAVA || f->lang == LANG_GO || f->lang == LANG_CSHARP || f->lang == LANG_CPP ||
                              f->lang == LANG_C || f->lang == LANG_PHP);
    bool handler = is_handler(f, func);
    if (handler || noted(f, param))
        origin = ORIGIN_TAINTED;
    struct value *v = value_new(f, origin);
    const struct value *type = typed && (param->c->kind == N_NAME || param->c->kind == N_MEMBER) ? eval(f, param->c) : NULL;
    static const char *const plain[] = {"String", "string", "char", "object", "Object", "byte", "[]byte", "array", "mixed",
                                        "void", "std.string", NULL};
    v->path = type && type->path && !one_of(type->path, plain) ? type->path : name;
    v->labels = flow_label(f, param, 0);
    v->source_line = syntax_line(f->sx, param);
    if (origin == ORIGIN_TAINTED)
        v->flags = VF_SOURCE;
    if (numeric_type(f, param->c) || (handler && converted(f, func, name))) {
        v->clean = CLEAN_ALL;
        v->origin = ORIGIN_UNKNOWN;
    }
    if (!handler && origin == ORIGIN_PARAM && func->sym && map_get(&f->called, symtab_name(&f->sx->syms, func->sym))) {
        v->origin = ORIGIN_UNKNOWN; /* seen with what it is really given, where it is called */
        v->clean = CLEAN_ALL;
    }
    const char *function = symtab_name(&f->sx->syms, func->sym);
    if ((f->lang == LANG_JAVA && strcmp(function, "main") == 0) || (f->lang == LANG_CSHARP && strcmp(function, "Main") == 0))
        v->origin = ORIGIN_TAINTED; /* the command line */
    const struct fact *s = find_fact(f, &f->rules->sources, name, name, param, false);
    if (s && s->writes < 0 && !strchr(s->path, '.') && origin == ORIGIN_PARAM && f->lang != LANG_RUBY) {
        v->origin = ORIGIN_TAINTED;
        v->clean = 0;
    }
    return v;
}

static const struct value *argument(struct flow *f, const struct node *args, const struct node *param, int position)
{
    int i = 0;
    for (const struct node *a = args; a; a = a->next) {
        if (a->kind == N_PAIR && !a->a) {
            if (a->sym == param->sym)
                return val(a);
            continue;
        }
        if (a->kind == N_SPREAD)
            return val(a);
        if (i++ == position)
            return a->kind == N_FUNC ? &flow_const : val(a);
    }
    return NULL;
}

static void bind_params(struct flow *f, const struct node *func, const struct node *args, bool inlined)
{
    int position = 0;
    bool first = true;
    for (const struct node *p = func->list; p; p = p->next) {
        const char *name = symtab_name(&f->sx->syms, p->sym);
        if (p->flags & NF_STATIC || (first && f->lang == LANG_PYTHON && (p->sym == KW_self || strcmp(name, "cls") == 0))) {
            struct value *self = value_new(f, ORIGIN_UNKNOWN);
            self->path = p->c && p->c->kind == N_NAME ? symtab_name(&f->sx->syms, p->c->sym) : name;
            var_set(f, p->sym, self);
            first = false;
            continue;
        }
        first = false;
        const struct value *v = inlined ? argument(f, args, p, position) : NULL;
        if (!v && inlined)
            v = p->a ? eval(f, p->a) : &flow_unknown;
        if (!v)
            v = outside_param(f, func, p);
        if (!inlined && !func->sym && position == 0 && f->callback && f->callback->origin == ORIGIN_TAINTED) {
            struct value *e = value_copy(f, v);
            e->origin = ORIGIN_TAINTED;
            e->labels = f->callback->labels;
            e->clean = f->callback->clean;
            v = e;
        }
        if (p->b)
            assign_to(f, p->b, v);
        else
            var_set(f, p->sym, v);
        if (p->b)
            note_locals(f, p->b);
        else if (!VEC_PUSH(&f->locals, p->sym))
            f->nomem = true;
        if (p->a && !inlined)
            eval(f, p->a);
        position++;
    }
}

/* C: what a function leaves behind in what its parameters point at. */
#define LEFT_MAX 8
struct left {
    const struct node *arg;
    const struct value *value;
    bool freed;
};

static int params_left(const struct flow *f, const struct node *func, const struct node *args, struct left *ret)
{
    int n = 0;
    const struct node *a = args;
    if (f->lang != LANG_C && f->lang != LANG_CPP)
        return 0;
    for (const struct node *p = func->list; p && a && n < LEFT_MAX; p = p->next, a = a->next) {
        const struct value *v = var_get(f, p->sym), *given = val(a);
        bool freed = v && v->flags & VF_FREED && !(given->flags & VF_FREED) && !f->terminated;
        if (v && (freed || (v != given && v->origin > given->origin && v->origin >= ORIGIN_TAINTED)))
            ret[n++] = (struct left){a, v, freed};
    }
    return n;
}

static void leave_to(struct flow *f, const struct left *l)
{
    if (!l->freed) {
        write_arg(f, l->arg, l->value);
    } else if (l->arg->kind == N_NAME && var_get(f, l->arg->sym)) {
        struct value *v = value_copy(f, var_get(f, l->arg->sym));
        v->flags |= VF_FREED;
        var_set(f, l->arg->sym, v);
    }
}

/* Can it change variables of the function around it? */
static bool shares_names(const struct flow *f, const struct node *func)
{
    bool lang = f->lang == LANG_JAVASCRIPT || f->lang == LANG_TYPESCRIPT || f->lang == LANG_GO || f->lang == LANG_RUBY ||
                f->lang == LANG_CSHARP;
    return lang && f->func && !(func->sym && f->lang == LANG_RUBY);
}

const struct value *run_function(struct flow *f, const struct node *func, const struct node *args, bool inlined)
{
    if (!func->b || f->steps >= f->steps_max || !VEC_PUSH(&f->stack, func))
        return &flow_unknown;
    const struct node *outer = f->func, *stmt = f->stmt, *around = f->around;
    f->around = func->sym ? NULL : f->stmt;
    const struct value *result = f->result, *callback = f->callback;
    bool terminated = f->terminated, top = f->top, returns = f->returns;
    int loops = f->loops;
    size_t mark = f->log.len, locals = f->locals.len;
    struct exits e, *exits = f->exits;
    bool closure = shares_names(f, func);
    struct jumps jumps = {.mark = mark}, *outer_jumps = f->jumps;
    f->exits = NULL;
    f->jumps = &jumps;
    f->func = func;
    f->top = false;
    f->result = NULL;
    f->terminated = f->returns = false;
    f->loops = 0;
    if (closure)
        exits_enter(f, &e, EXITS_FUNCTION);
    bind_params(f, func, args, inlined);
    f->callback = NULL;
    if (func->flags & NF_ARROW) {
        f->stmt = func->b;
        const struct value *v = eval(f, func->b);
        f->result = f->result ? value_join(f, f->result, v) : v;
        struct node ret = {.kind = N_RETURN, .a = func->b, .tok = func->b->tok, .tok_end = func->b->tok_end};
        match_return(f, &ret);
    } else {
        exec(f, func->b);
    }
    const struct value *v = f->result ? f->result : &flow_const;
    f->never = f->terminated && !f->returns;
    f->returns = returns;
    struct left left[LEFT_MAX];
    int count = inlined ? params_left(f, func, args, left) : 0;
    if (closure) {
        for (int i = 0; i < e.breaks; i++)
            merge_saved(f, mark, &e.brk[i]);
        undo_closure(f, mark, locals, inlined);
        exits_leave(f, &e);
    } else {
        undo_locals(f, mark, false);
    }
    f->exits = exits;
    f->jumps = outer_jumps;
    jumps_release(&jumps);
    f->locals.len = locals;
    for (int i = 0; i < count; i++)
        leave_to(f, &left[i]);
    f->func = outer;
    f->around = around;
    f->stmt = stmt;
    f->result = result;
    f->callback = callback;
    f->terminated = terminated;
    f->top = top;
    f->loops = loops;
    f->stack.len--;
    return v;
}

const struct value *eval_function(struct flow *f, const struct node *n)
{
    for (const struct node *d = n->c; d; d = d->next)
        eval(f, d);
    struct value *v = value_new(f, ORIGIN_CONST);
    v->func = n;
    if (n->sym) {
        v->path = symtab_name(&f->sx->syms, n->sym);
        bool method = f->classes.len > 0 && f->stack.len == 0;
        if (!method)
            var_set(f, n->sym, v);
    }
    if (n->sym && f->stack.len == 0) { /* entered later, when everything of the file is known */
        struct queued q = {n, f->classes.len ? f->classes.v[f->classes.len - 1] : NULL};
        if (!VEC_PUSH(&f->queue, q))
            f->nomem = true;
        return v;
    }
    if (!on_stack(f, n) && f->stack.len < 24)
        f->lambda = run_function(f, n, NULL, false);
    return v;
}

bool name_sanitizes(const char *name)
{
    static const char *const starts[] = {"sanitize", "sanitise", "escape", "purify", "safe_", "secure_", "clean_", "quote_",
                                         "encode_for", "encodeFor", "whitelist", "allowlist", "neutralize", "safeName",
                                         "secureF", "strip_tags", "html_escape", "htmlEscape", "validated", "normalizeAndCheck",
                                         "safeJoin", "safePath", "sanit", "ensure_safe", "ensureSafe", "validateAnd"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if ((*name | 0x20) == *starts[i] && strncasecmp(name, starts[i], strlen(starts[i])) == 0)
            return true;
    return strcasestr(name, "sanitiz") || strcasestr(name, "sanitis") || (strcasestr(name, "escape") &&
            !strcasestr(name, "unescape"));
}

static bool gives_number(const char *name)
{
    static const char *const names[] = {"len", "length", "size", "count", "indexOf", "lastIndexOf", "ord", "hash", "hashCode",
                                        "abs", "round", "floor", "ceil", "compareTo", "equals", "isEmpty", "empty", "isset",
                                        "strcmp", "strncmp", "memcmp", "Len", "Count", "mb_strlen", "count_chars", "time",
                                        "startswith", "endswith", "startsWith", "endsWith", "HasPrefix",
                                                "HasSuffix", "Contains",
                                        "contains", "includes", "is_numeric", "isdigit", "exists", "isfile", "isdir", NULL};
    return one_of(name, names);
}

/* Calls whose result of constants is a constant. */
static bool pure(const char *name)
{
    static const char *const names[] = {"join", "str", "format", "Path", "valueOf", "toString", "upper", "lower",
            "strip", "trim",
                                        "replace", "sprintf", "Sprintf", "encode", "decode", "dirname", "abspath", "resolve",
                                        "realpath", "getBytes", "bytes", "tuple", "list", "set", "dict", "frozenset", "sorted",
                                        "of", "asList", "Set", "Map", "freeze", "compile", "Compile", "MustCompile", "RegExp",
                                        "toLowerCase", "toUpperCase", "concat", "split", "Join", "Format", "String", "Symbol",
                                        "expand_path", "basename", "normalize", "toPath", "intern", "to_s", "to_sym", "dup",
                                        "get", "fetch", "keys", "values", "items", "Clean", "unmodifiableSet",
                                                "unmodifiableList",
                                        "singleton", "copyOf", "ofEntries", "entry", "Abs", "toCharArray",
                                                "charAt", "text", "array_keys",
                                        "Array", "Object", "range", "alloc", "b", "Buffer", "joining", "collect", "toList",
                                        "toArray",
                                        "toSet", "from", "c_str", "data",
                                                "substring", "slice", NULL};
    return one_of(name, names);
}

/* Containers: what is in them under a known key. */
static const struct value *lookup(struct flow *f, const struct node *n, const char *name, const struct value *receiver)
{
    static const char *const getters[] = {"get", "fetch", "getOrDefault", "Get", "getProperty",
            "GetValueOrDefault", "dig", NULL};
    if (!receiver || !one_of(name, getters) || !n->list)
        return NULL;
    const struct value *key = val(n->list);
    if (receiver->entries && n->list->next && receiver->path && strstr(receiver->path, "ConfigParser"))
        key = value_concat(f, key, val(n->list->next));
    const struct entry *e = receiver->entries ? value_entry(receiver, key) : NULL;
    if (e)
        return e->value;
    if (receiver->origin != ORIGIN_CONST || !(receiver->flags & VF_CONTAINER))
        return NULL;
    struct value *v = value_new(f, ORIGIN_CONST);
    v->guard = key->labels;
    v->guard_kinds = CLEAN_ALL;
    const struct node *other = n->list->next;
    return other && other->kind < N_BLOCK ? value_join(f, v, val(other)) : v;
}

/* Kinds that a function is a sanitizer of, given by its name as in map(int, x), array_map('intval', $x), ids.map(&:to_i). */
static uint64_t named_kinds(const struct flow *f, const struct value *v)
{
    char name[80];
    const char *s = v->flags & VF_TEXT ? v->text : v->path;
    size_t len = v->flags & VF_TEXT ? v->text_len : s ? strlen(s) : 0;
    for (size_t i = len; s && i > 0; i--)
        if (s[i - 1] == '.' || s[i - 1] == ':') {
            s += i, len -= i;
            break;
        }
    if (!s || !len || len >= sizeof name)
        return 0;
    memcpy(name, s, len);
    name[len] = 0;
    uint64_t kinds = gives_number(name) ? CLEAN_ALL : 0;
    for (const struct fact *x = map_get(&f->rules->sanitizers, name); x; x = x->next)
        kinds |= x->kinds;
    return kinds;
}

/* A list made by a function from each element of another: what the function gives. */
static const struct value *mapped(struct flow *f, const struct node *n, const char *name, const struct value *receiver)
{
    static const char *const names[] = {"map", "flatMap", "flat_map", "collect", "Select", "array_map", "mapToObj", "map!",
                                        "filter_map", "then", "thenApply", NULL};
    if (!one_of(name, names))
        return NULL;
    const struct value *all = receiver && receiver->origin >= ORIGIN_PARAM ? receiver : &flow_const;
    uint64_t kinds = 0;
    for (const struct node *a = n->list; a; a = a->next) {
        if (a->kind == N_FUNC && f->lambda) {
            struct value *v = value_copy(f, f->lambda);
            v->flags = (v->flags & VF_BUILT) | VF_CONTAINER;
            v->text = NULL;
            v->entries = NULL;
            v->func = NULL;
            return v;
        }
        kinds |= named_kinds(f, val(a));
        all = value_mix(f, all, val(a));
    }
    if (!kinds || all->origin == ORIGIN_CONST)
        return NULL;
    struct value *v = value_copy(f, all);
    v->clean |= kinds;
    v->flags |= VF_CONTAINER;
    return v;
}

/* new File(base, name) */
static bool args_join(const char *path)
{
    return path && (strcmp(path, "File") == 0 || strcmp(path, "java.io.File") == 0);
}

static bool joins_path(const char *path)
{
    static const char *const names[] = {"Paths.get", "Path.of", "java.nio.file.Paths.get", "java.nio.file.Path.of", NULL};
    return path && one_of(path, names);
}

/* Go: T{a, b}, T{Name: a}, map[string]T{"k": a}: what is where. */
static const struct value *composite(struct flow *f, const struct node *n, const struct value *v)
{
    int64_t index = 0;
    const struct value *cur = v;
    for (const struct node *a = n->list; a && index < 64; a = a->next) {
        const struct value *key;
        if (a->kind == N_PAIR) {
            const char *name = a->a ? a->a->kind == N_NAME ? symtab_name(&f->sx->syms, a->a->sym) : NULL
                                    : symtab_name(&f->sx->syms, a->sym);
            key = name ? value_text(f, name, strlen(name)) : val(a->a);
            cur = value_with_entry(f, cur, key, a->b ? val(a->b) : &flow_const);
        } else {
            cur = value_with_entry(f, cur, value_num(f, index++), val(a));
        }
    }
    struct value *r = value_copy(f, v);
    r->entries = cur->entries;
    return r;
}

static const struct value *construct(struct flow *f, const struct node *n, const struct value *callee, const struct value *mix)
{
    const struct value *first = n->list && n->list->kind < N_BLOCK && n->list->kind != N_PAIR ? val(n->list) : NULL;
    struct value *v = first && first->origin == mix->origin ? value_copy(f, first) : value_copy(f, mix);
    v->flags |= VF_INSTANCE;
    v->flags &= ~(uint32_t)(VF_NUM | VF_SOURCE);
    v->path = callee->path;
    v->func = NULL;
    if (n->list && n->list->next && args_join(v->path))
        v->flags |= VF_BUILT;
    const char *last = v->path ? strrchr(v->path, '.') : NULL;
    last = last ? last + 1 : v->path ? v->path : "";
    if (strstr(last, "Map") || strstr(last, "Set") || strstr(last, "List") || strstr(last, "Dictionary") ||
            strcmp(last, "Array") == 0 ||
        strcmp(last, "Vector") == 0 || strstr(last, "Hashtable") || strcmp(last, "object") == 0 || n->flags & NF_ARRAY ||
        strcmp(last, "Properties") == 0)
        v->flags |= VF_CONTAINER;
    if (!strstr(last, "String") && !strstr(last, "Buf") && !strstr(last, "Query") && !strstr(last, "Builder") &&
            !strstr(last, "Command"))
        v->flags &= ~(uint32_t)VF_TEXT;
    bool elements = f->lang == LANG_GO || (n->flags & NF_ARRAY && n->flags & NF_TUPLE);
    return elements && n->list ? composite(f, n, v) : v;
}

/* From constants alone: a constant if the function is known to add nothing of its own. */
static struct value *of_constants(struct flow *f, const struct node *n, const char *name, const struct value *receiver)
{
    bool string_receiver = receiver && receiver->origin == ORIGIN_CONST &&
            receiver->flags & (VF_STRING | VF_NUM | VF_CONTAINER);
    bool constant = string_receiver || (pure(name) && (n->list || string_receiver)) ||
                    (f->lang == LANG_GO && ((n->a && n->a->kind == N_CAST) || strcmp(name, "make") == 0));
    struct value *v = value_new(f, constant ? ORIGIN_CONST : ORIGIN_UNKNOWN);
    const struct value *first = n->list ? val(n->list) : NULL;
    const struct value *t = string_receiver ? receiver : first;
    if (strcmp(name, "charAt") == 0 && string_receiver && receiver->flags & VF_TEXT && first && first->flags & VF_NUM &&
        first->num >= 0 && first->num < receiver->text_len)
        return value_copy(f, value_text(f, receiver->text + first->num, 1));
    if (t && t->text && constant) {
        v->text = t->text;
        v->text_len = t->text_len;
        v->flags |= t->flags & VF_STRING;
    }
    if (t && t->flags & VF_CONTAINER) {
        v->flags |= VF_CONTAINER;
        v->literal = t->literal;
        v->entries = t->entries;
    } else if (pure(name) && name[0] && n->list && (strcmp(name, "of") == 0 || strcmp(name, "asList") == 0 ||
                                                   strcmp(name, "Set") == 0 || strcmp(name, "ofEntries") == 0)) {
        v->flags |= VF_CONTAINER;
    }
    return v;
}

/* From what is no constant: as its receiver or its first argument, whichever the mixture comes from. */
static struct value *of_mixture(struct flow *f, const struct node *n, const struct value *mix, const struct value *receiver,
                                const struct value *args)
{
    const struct value *main = receiver && receiver->origin == mix->origin && receiver->labels ? receiver : val(n->list);
    struct value *v = value_copy(f, mix);
    v->text = main->text;
    v->text_len = main->text_len;
    v->flags = (main->flags & (VF_BUILT | VF_STRING)) | (mix->flags & VF_BUILT);
    v->entries = NULL;
    if (receiver && receiver->origin == ORIGIN_CONST && receiver->flags & (VF_STRING | VF_CONTAINER)) {
        v->text = receiver->text; /* text.replace("NAME", x): that text with something in it */
        v->text_len = receiver->text_len;
        v->flags |= VF_BUILT | VF_STRING;
    }
    if (receiver && receiver->flags & VF_SOURCE && receiver->labels && args->origin == ORIGIN_CONST) {
        v->labels = flow_label(f, n, receiver->labels);
        v->flags |= n->list ? 0 : VF_SOURCE;
    }
    return v;
}

/* C: memory from the heap, and its size as far as it is known. */
static void of_heap(struct flow *f, const struct node *n, const char *name, struct value *v, const char **path)
{
    static const char *const heap[] = {"malloc", "calloc", "realloc", "strdup", "strndup", "xmalloc", "xcalloc", "g_malloc",
                                       "kmalloc", "alloca", "ALLOCA", "_alloca", NULL};
    if ((f->lang != LANG_C && f->lang != LANG_CPP) || !one_of(name, heap))
        return;
    v->flags |= VF_HEAP;
    if (strncmp(name, "str", 3) != 0) { /* what is in it has nothing to do with its size */
        v->origin = ORIGIN_CONST;
        v->clean = CLEAN_ALL;
        v->labels = 0;
    }
    const struct value *size = val(n->list);
    bool room = strstr(name, "malloc") || strcasestr(name, "alloca");
    if (size->flags & VF_NUM && size->num > 0 && size->num < INT32_MAX && room) {
        const struct node *arg = n->list, *side = arg->kind == N_BINARY && arg->op == OP1('*') ? arg->b : arg;
        v->size = (uint32_t)size->num;
        if (side && side->kind == N_UNARY && side->op == KW_sizeof && val(side)->flags & VF_NUM)
            v->elem = (uint32_t)val(side)->num;
    }
    if (size->path && strcmp(size->path, "strlen()") == 0 && strstr(name, "malloc"))
        *path = "malloc(strlen)";
}

static const struct value *other_result(struct flow *f, const struct node *n, const char *name, const struct value *callee,
                                        const struct value *receiver, const struct value *args)
{
    const char *path = path_call(f, callee->path);
    const struct value *mix = value_mix(f, args, receiver ? receiver : &flow_const);
    if (receiver && receiver->origin < ORIGIN_PARAM && !(receiver->flags & (VF_STRING | VF_BUILT | VF_CONTAINER)))
        mix = args; /* an object of the program does not colour what it returns */
    if (n->flags & NF_NEW)
        return construct(f, n, callee, args);
    if (text_formats(name)) {
        struct value *v = value_copy(f, text_formatted(f, n, receiver));
        v->path = path;
        v->guard = 0;
        return v;
    }
    struct value *v = mix->origin == ORIGIN_CONST ? of_constants(f, n, name, receiver) : of_mixture(f, n, mix, receiver, args);
    of_heap(f, n, name, v, &path);
    if (f->lang == LANG_JAVA && n->list && n->list->next && v->origin != ORIGIN_CONST && joins_path(callee->path))
        v->flags |= VF_BUILT;
    if (f->lang == LANG_C && strcmp(name, "strlen") == 0 && val(n->list)->flags & VF_ARRAY && val(n->list)->text_len) {
        v->flags |= VF_NUM;
        v->num = val(n->list)->text_len;
    }
    v->path = path;
    v->func = NULL;
    v->guard = 0;
    if (v->origin == ORIGIN_UNKNOWN && !v->labels)
        v->labels = flow_label(f, n, 0);
    return v;
}

/* require('x'), import('x'), promisify(f), f.bind(x): what they give is known by another name. */
static const struct value *renamed(struct flow *f, const struct node *n, const char *name)
{
    const struct value *a = n->list ? val(n->list) : NULL;
    if (!a || (f->lang != LANG_JAVASCRIPT && f->lang != LANG_TYPESCRIPT && f->lang != LANG_PYTHON))
        return NULL;
    if (strcmp(name, "promisify") == 0 && a->path)
        return a;
    if (strcmp(name, "require") != 0 && strcmp(name, "import") != 0 && strcmp(name, "import_module") != 0 &&
        strcmp(name, "__import__") != 0)
        return NULL;
    if (!(a->flags & VF_TEXT))
        return NULL;
    const char *s = a->text;
    size_t len = a->text_len;
    if (len > 5 && memcmp(s, "node:", 5) == 0)
        s += 5, len -= 5;
    while (len && (*s == '.' || *s == '/'))
        s++, len--;
    char *path = arena_strndup(f->sx->arena, s, len < 100 ? len : 100);
    for (char *c = path; c && *c; c++)
        *c = *c == '/' ? '.' : *c;
    struct value *v = value_new(f, ORIGIN_CONST);
    v->path = path;
    return v;
}

/* Kinds that a call's arguments make its result harmless for: filter_input(..., FILTER_VALIDATE_INT), Colour.valueOf(x). */
static uint64_t kinds_by_arguments(const struct flow *f, const struct node *n, const char *name)
{
    if (f->lang == LANG_PHP && strncmp(name, "filter_", 7) == 0)
        for (const struct node *a = n->list; a; a = a->next) {
            const char *s = a->kind == N_NAME ? symtab_name(&f->sx->syms, a->sym) : "";
            if (strstr(s, "VALIDATE_INT") || strstr(s, "VALIDATE_FLOAT") || strstr(s, "VALIDATE_BOOL") || strstr(s, "NUMBER_"))
                return CLEAN_ALL;
            if (strstr(s, "SPECIAL_CHARS") || strcmp(s, "FILTER_SANITIZE_STRING") == 0)
                return rules_kind("html");
        }
    static const char *const texts[] = {"String", "Objects", "Optional", "Path", "JsonValue", NULL};
    if (f->lang == LANG_JAVA && strcmp(name, "valueOf") == 0 && n->a->kind == N_MEMBER && n->a->a->kind == N_NAME) {
        const char *type = symtab_name(&f->sx->syms, n->a->a->sym);
        return type[0] >= 'A' && type[0] <= 'Z' && !one_of(type, texts) ? CLEAN_ALL : 0;
    }
    return 0;
}

static const struct value *from_facts(struct flow *f, const struct node *n, const char *name, const char *path,
                                      const struct value *mix, const struct value *result)
{
    const struct fact *s = find_fact(f, &f->rules->sources, name, path, n, true);
    if (s && s->writes < 0) {
        struct value *v = value_new(f, ORIGIN_TAINTED);
        v->labels = flow_label(f, n, 0);
        v->flags = VF_SOURCE;
        v->clean = s->kinds | kinds_by_arguments(f, n, name);
        v->path = path_call(f, path);
        v->source_line = syntax_line(f->sx, n);
        return v;
    }
    uint64_t kinds = result->origin == ORIGIN_CONST ? 0 : fact_kinds(f, &f->rules->sanitizers, name, path, n, true);
    if (result->origin != ORIGIN_CONST)
        kinds |= text_replacement(f, n, name) | kinds_by_arguments(f, n, name);
    if (kinds) {
        struct value *v = value_copy(f, result);
        v->clean |= kinds;
        if (kinds == CLEAN_ALL)
            v->flags &= ~(uint32_t)VF_SOURCE;
        return v;
    }
    (void)mix;
    return NULL;
}

static const struct value *inline_call(struct flow *f, const struct node *n, const struct node *func, const char *name,
                                       bool *ret_never)
{
    if (on_stack(f, func) || f->inlined >= FLOW_INLINE_MAX || f->steps > f->steps_max - f->steps_max / 4)
        return NULL;
    f->inlined++;
    const struct value *v = run_function(f, func, n->list, true);
    f->inlined--;
    *ret_never = f->never;
    if (name_sanitizes(name) && v->origin != ORIGIN_CONST) {
        bool same = false; /* a "sanitizer" that gives back what it got is none */
        for (const struct node *a = n->list; a; a = a->next)
            same |= a->kind < N_BLOCK && a->val == v;
        if (!same) {
            struct value *c = value_copy(f, v);
            c->clean = CLEAN_ALL;
            v = c;
        }
    }
    return v;
}

/* Rails: users_path(...) is an address of its own; User.find(...) is a record, not what it was found by. */
static const struct value *ruby_result(struct flow *f, const struct node *n, const char *name, const struct value *r)
{
    static const char *const finders[] = {"find", "find_by", "find_by!", "find_or_create_by", "first", "last", "take", NULL};
    size_t len = strlen(name);
    bool helper = n->a->kind == N_NAME && ((len > 5 && strcmp(name + len - 5, "_path") == 0) ||
                                           (len > 4 && strcmp(name + len - 4, "_url") == 0));
    bool record = n->a->kind == N_MEMBER && n->a->a->kind == N_NAME && one_of(name, finders) &&
                  symtab_name(&f->sx->syms, n->a->a->sym)[0] >= 'A' && symtab_name(&f->sx->syms, n->a->a->sym)[0] <= 'Z';
    if (!helper && !record)
        return r;
    struct value *v = value_copy(f, r);
    v->clean |= helper ? rules_kind("redirect") | rules_kind("url") | rules_kind("html") : CLEAN_ALL;
    if (record) {
        v->origin = ORIGIN_UNKNOWN;
        v->labels = 0;
        v->clean = 0;
    }
    return v;
}

/* C: read and its like tell how much of the room that they were given they have filled. */
static const struct value *counted(struct flow *f, const char *name, const struct value *r)
{
    if ((strcmp(name, "strcspn") == 0 || strcmp(name, "strspn") == 0) && r->origin != ORIGIN_CONST) {
        struct value *v = value_copy(f, r);
        v->clean |= rules_kind("index"); /* at most where the text ends */
        return v;
    }
    static const char *const names[] = {"read", "recv", "recvfrom", "pread", "fread", "readlink", "readlinkat", "write", "send",
                                        "fwrite", "pwrite", "sendto", "SSL_read", "recvmsg", "gethostname", "getline", NULL};
    if (!one_of(name, names) || r->origin == ORIGIN_CONST)
        return r;
    struct value *v = value_copy(f, r);
    v->clean |= rules_kind("size") | rules_kind("index");
    return v;
}

/* What is in a file is another thing than its name. */
static bool reads_file(const char *name, const char *path)
{
    static const char *const names[] = {"readFile", "readFileSync", "file_get_contents", "ReadFile", "readString", "readAllBytes",
                                        "readAllLines", "read_text", "read_bytes", "readlines", "binread", NULL};
    return one_of(name, names) || (path && (strcmp(path, "File.read") == 0 || strcmp(path, "IO.read") == 0 ||
                                            strcmp(path, "open") == 0 || strcmp(path, "File.open") == 0));
}

/* The result as what is known of functions of that name says. */
static const struct value *by_name(struct flow *f, const struct node *n, const char *name, const char *path,
                                   const struct value *args, const struct value *r, bool ours)
{
    const struct value *known = from_facts(f, n, name, path, args, r);
    if (known) {
        r = known;
    } else if (!ours && r->origin != ORIGIN_CONST && reads_file(name, path)) {
        struct value *v = value_new(f, ORIGIN_UNKNOWN);
        v->path = r->path;
        v->labels = flow_label(f, n, 0);
        r = v;
    } else if (!ours && r->origin != ORIGIN_CONST && (gives_number(name) || name_sanitizes(name)) && f->lang != LANG_C) {
        struct value *v = value_copy(f, r);
        v->clean = CLEAN_ALL;
        r = v;
    }
    return f->lang == LANG_C || f->lang == LANG_CPP ? counted(f, name, r) : r;
}

const struct value *eval_call(struct flow *f, const struct node *n)
{
    const char *name = last_name(f, n->a);
    const struct value *receiver = NULL, *callee;
    const struct node *target = f->target;
    f->target = NULL;
    if (n->a && n->a->kind == N_MEMBER && n->a->a)
        receiver = eval(f, n->a->a);
    const struct value *callback = f->callback;
    if (n->a && n->a->kind == N_MEMBER && receiver) {
        struct value *c = value_new(f, ORIGIN_UNKNOWN);
        c->path = path_join(f, receiver->path, name);
        uint32_t key = var_key(f, n->a);
        const struct value *field = key ? var_get(f, key) : NULL;
        if (field && field->func)
            c->func = field->func;
        callee = c;
        ((struct node *)(uintptr_t)n->a)->val = c;
        f->callback = receiver;
    } else {
        callee = n->a && !(n->a->kind == N_CAST && !n->a->a) ? eval(f, n->a) : &flow_unknown;
        if (n->a && n->a->kind == N_NAME && callee->origin >= ORIGIN_PARAM && !callee->path) {
            struct value *c = value_copy(f, callee);
            c->path = name;
            callee = c;
        }
    }
    const struct value *lambda = f->lambda;
    const char *given_to = f->given_to;
    f->lambda = NULL;
    f->given_to = n->a && n->a->kind == N_NAME ? name : NULL;
    const struct value *args = eval_list(f, n->list);
    f->given_to = given_to;
    f->callback = callback;
    f->target = target;
    for (const struct node *a = n->list; a; a = a->next)
        if (a->kind == N_PAIR && n->flags & NF_NEW)
            match_pair(f, a);
    if (text_directives(f, n, name)) {
        args = &flow_const;
        for (const struct node *a = n->list; a; a = a->next)
            args = val(a)->origin == ORIGIN_CONST ? args : args == &flow_const ? val(a) : value_mix(f, args, val(a));
    }
    match_call(f, n);
    if (f->lang == LANG_C || f->lang == LANG_CPP)
        check_c(f, n, name);
    bool never = false;
    const struct value *r = renamed(f, n, name);
    const struct node *func = r ? NULL : resolve(f, n, callee);
    if (func && !(n->flags & NF_NEW))
        r = inline_call(f, n, func, name, &never);
    if (!r && !func)
        r = mapped(f, n, name, receiver);
    f->lambda = lambda;
    if (!r)
        r = lookup(f, n, name, receiver);
    if (!r)
        r = other_result(f, n, name, callee, receiver, args);
    if (f->lang == LANG_RUBY && r->origin != ORIGIN_CONST)
        r = ruby_result(f, n, name, r);
    r = by_name(f, n, name, callee->path, args, r, func != NULL);
    r = call_guard(f, n, name, r);
    call_effects(f, n, name, callee->path);
    if (never || call_terminates(f, n, name, callee->path))
        f->terminated = true;
    return r;
}
