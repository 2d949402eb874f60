/* What conditions and calls tell about values: guards, ends of the road, arguments that are written to. */
#include "scan/flow_internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const struct value *val(const struct node *n)
{
    return !n || n->kind >= N_BLOCK || !n->val ? &flow_const : n->val;
}

/* A regular expression that lets only listed characters through: anchored, without a wildcard. */
static bool strict_regex(const char *s, size_t n, bool whole)
{
    bool start = whole, end = whole, in_class = false;
    size_t from = 0;
    if (n && (s[0] == '/' || s[0] == '#' || s[0] == '~')) {
        from = 1;
        while (n > 1 && s[n - 1] != s[0])
            n--;
        n = n ? n - 1 : 0;
    }
    for (size_t i = from; i < n; i++) {
        char c = s[i];
        if (c == '\\') {
            char e = i + 1 < n ? s[++i] : 0;
            start |= e == 'A';
            end |= e == 'z' || e == 'Z';
            if (e == 'S' || e == 'W' || e == 'D')
                return false;
            if (e == '\\' && i + 1 < n && (s[i + 1] == 'w' || s[i + 1] == 'd' || s[i + 1] == '.' || s[i + 1] == 'A')) {
                start |= s[i + 1] == 'A'; /* "\\w" in a string */
                i++;
            }
            continue;
        }
        if (in_class) {
            in_class = c != ']';
        } else if (c == '[') {
            if (i + 1 < n && s[i + 1] == '^')
                return false;
            in_class = true;
        } else if (c == '^') {
            start = true;
        } else if (c == '$') {
            end = true;
        } else if (c == '.') {
            return false;
        }
    }
    return start && end;
}

static bool text_has(const struct value *v, const char *s)
{
    return v->text && memmem(v->text, v->text_len, s, strlen(s));
}

static const struct value *guarded(struct flow *f, const struct value *r, uint64_t labels, uint64_t kinds)
{
    struct value *v = value_copy(f, r);
    v->guard = labels;
    v->guard_kinds = kinds;
    return v;
}

static bool is_validator(const char *name)
{
    static const char *const starts[] = {"is_valid", "isvalid", "is_safe", "issafe", "is_allowed", "isallowed",
            "validate", "verify",
                                         "check_", "is_trusted", "istrusted", "is_whitelisted", "iswhitelisted", "is_permitted",
                                         "ispermitted", "assert_", "ensure", "is_internal", "isinternal", "is_local", "islocal",
                                         "is_private", "isprivate", "url_has_allowed", "url_is_safe", "valid_",
                                                 "allowed_", "isauthorizedurl",
                                         "is_public", "ispublic", "checkp", "checku", "checkh", "in_allow",
                                                 "inallow", "allowed"};
    if (strcmp(name, "check_output") == 0 || strcmp(name, "check_call") == 0)
        return false; /* they run programs */
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if ((*name | 0x20) == *starts[i] && strncasecmp(name, starts[i], strlen(starts[i])) == 0)
            return strcasestr(name, "password") == NULL && strcasestr(name, "token") == NULL;
    return strcasestr(name, "allowed") || strcasestr(name, "valid") || strcasestr(name, "whitelist");
}

static uint64_t arg_labels(const struct node *n)
{
    uint64_t labels = 0;
    for (const struct node *a = n->list; a; a = a->next)
        labels |= val(a)->labels;
    return labels;
}

/* The host of an address is compared: then the address is one of those that are meant. */
static bool is_host(const struct value *v)
{
    static const char *const names[] = {"Host", "host", "hostname", "Hostname()", "netloc", "getHost()", "origin", "Host()",
                                        "host()", "getAuthority()", "authority", "Authority", "is_absolute()", "isAbsolute()",
                                        NULL};
    const char *last = v->path ? strrchr(v->path, '.') : NULL;
    return last && one_of(last + 1, names);
}

static uint64_t host_parents(const struct flow *f, const struct value *v)
{
    uint64_t all = 0;
    for (int i = 0; i < FLOW_LABELS && is_host(v); i++)
        if (v->labels >> i & 1)
            all |= f->labels[i].parents;
    return all;
}

static const struct value *membership(struct flow *f, const struct node *n, const char *name, const struct value *receiver,
                                      const struct value *r)
{
    uint64_t args = arg_labels(n);
    const struct value *first = val(n->list), *second = n->list ? val(n->list->next) : &flow_const;
    if (receiver && receiver->origin >= ORIGIN_PARAM) { /* does the input contain something? */
        uint64_t kinds = text_has(first, "..") ? rules_kind("path") : text_has(first, "/") || text_has(first,
                "\\\\") ? rules_kind("path")
                         : text_has(first, "\\r") || text_has(first, "\\n") ? rules_kind("log") | rules_kind("header") : 0;
        return kinds ? guarded(f, r, receiver->labels, kinds) : r;
    }
    if (!receiver && first->labels && (text_has(second, "..") || (strcmp(name, "strchr") == 0 && second->num == '/')))
        return guarded(f, r, first->labels, rules_kind("path"));
    if (!receiver && first->labels && strncmp(name, "in_", 3) != 0 && strncmp(name, "array_", 6) != 0)
        return r; /* a search in the input */
    for (const struct node *a = n->list; a; a = a->next)
        args |= host_parents(f, val(a));
    return args ? guarded(f, r, args, CLEAN_ALL) : r;
}

static const struct value *prefix(struct flow *f, const struct node *n, const struct value *receiver, const struct value *r)
{
    const struct value *x = receiver && receiver->labels ? receiver : val(n->list);
    const struct value *p = receiver && receiver->labels ? val(n->list) : n->list ? val(n->list->next) : &flow_const;
    uint64_t kinds = 0;
    if (p->text && p->text_len <= 3 && text_has(p, ".."))
        kinds |= rules_kind("path");
    if (x->clean & rules_kind("resolved"))
        kinds |= rules_kind("path") | rules_kind("include");
    if (p->text && p->text_len > 9 && memmem(p->text, p->text_len, "://", 3) && p->text[p->text_len - 1] == '/')
        kinds |= rules_kind("url") | rules_kind("redirect");
    if (p->text && p->text_len == 1 && p->text[0] == '/')
        kinds |= rules_kind("redirect");
    if (p->text && p->text_len == 2 && memcmp(p->text, "//", 2) == 0)
        kinds |= rules_kind("redirect");
    return kinds ? guarded(f, r, x->labels, kinds) : r;
}

static const struct value *regex_guard(struct flow *f, const struct node *n, const char *name, const struct value *receiver,
                                       const struct value *r)
{
    static const char *const whole[] = {"fullmatch", "matches", "full_match", NULL};
    uint64_t labels = arg_labels(n);
    const struct value *first = val(n->list), *re = receiver;
    if (first->labels == 0 && first->text)
        re = first; /* re.match(pattern, x), preg_match(pattern, $x), x.matches(pattern) */
    if (!labels && receiver)
        labels = receiver->labels;
    if (n->list && n->list->next && strcmp(name, "IsMatch") == 0 && !re)
        re = val(n->list->next);
    if (strcmp(name, "IsMatch") == 0 && n->list && n->list->next)
        re = val(n->list->next);
    if (!labels)
        return r;
    if (re && re->text && !strict_regex(re->text, re->text_len, one_of(name, whole)))
        return r;
    return guarded(f, r, labels, CLEAN_ALL);
}

const struct value *call_guard(struct flow *f, const struct node *n, const char *name, const struct value *r)
{
    static const char *const members[] = {"includes", "contains", "has", "include?", "key?", "has_key?",
            "containsKey", "in_array",
                                          "array_key_exists", "Contains", "ContainsKey", "member?", "hasOwnProperty", "hasOwn",
                                          "__contains__", "issubset", "indexOf", "strstr", "strchr", "strpos", "ContainsAny",
                                          "stripos",
                                          "str_contains", "Index", "IndexOf", "array_search", NULL};
    static const char *const prefixes[] = {"startswith", "startsWith", "HasPrefix", "StartsWith", "start_with?", "starts_with",
                                           "str_starts_with", "strncmp", "is_relative_to", "relative_to", "commonpath",
                                           "commonprefix", "strpos", "rfind", "compare", "isSubpath", "starts_with?", NULL};
    static const char *const types[] = {"isdigit", "isnumeric", "isalnum", "isalpha", "isdecimal", "is_numeric", "ctype_digit",
                                        "ctype_alnum", "ctype_alpha", "is_int", "isInteger", "isidentifier", "isSafeInteger",
                                        "isUUID", "isAlphanumeric", "isNumeric", "isEmail", "ctype_xdigit", "isInt", "IsLetter",
                                        "filter_var", "All", NULL};
    static const char *const matchers[] = {"match", "fullmatch", "test", "matches", "MatchString", "IsMatch",
            "preg_match", "match?",
                                           "search", "full_match", "regex_match", "Match", NULL};
    const struct value *receiver = n->a && n->a->kind == N_MEMBER ? val(n->a->a) : NULL;
    if (receiver && receiver->origin == ORIGIN_CONST && receiver->path && !receiver->labels &&
            receiver->flags == 0 && f->lang == LANG_GO)
        receiver = NULL; /* a package */
    if (one_of(name, types))
        return guarded(f, r, arg_labels(n) | (receiver ? receiver->labels : 0), CLEAN_ALL);
    const struct value *g = r;
    if (one_of(name, prefixes))
        g = prefix(f, n, receiver, r);
    bool exec = strcmp(name, "exec") == 0 && receiver && receiver->text && receiver->origin == ORIGIN_CONST; /* /re/.exec(x) */
    if (!g->guard && (exec || one_of(name, matchers)))
        g = regex_guard(f, n, name, receiver, r);
    if (!g->guard && one_of(name, members))
        g = membership(f, n, name, receiver, r);
    if (!g->guard && is_validator(name)) {
        uint64_t labels = arg_labels(n);
        if (labels) {
            g = guarded(f, r, labels, CLEAN_ALL);
            /* as a statement of its own it raises when the check fails */
            if (f->stmt == n)
                mark_clean(f, labels, CLEAN_ALL);
        }
    }
    return g;
}

static void clean_node(struct flow *f, const struct node *n, uint64_t kinds)
{
    const struct value *v = val(n);
    mark_clean(f, host_parents(f, v), rules_kind("redirect") | rules_kind("url"));
    mark_clean(f, v->labels, kinds);
    uint32_t key = var_key(f, n);
    if (key && v->origin != ORIGIN_CONST && kinds == CLEAN_ALL) {
        struct value *c = value_copy(f, v);
        c->clean |= kinds;
        var_set(f, key, c);
    }
}

static bool relational(uint32_t op)
{
    return op == OP1('<') || op == OP1('>') || op == OP2('<', '=') || op == OP2('>', '=');
}

static void refine_compare(struct flow *f, const struct node *c, bool truth)
{
    const struct value *a = val(c->a), *b = val(c->b);
    bool equal = c->op == OP2('=', '=') || c->op == OP3('=', '=', '=') || c->op == KW_is;
    bool unequal = c->op == OP2('!', '=') || c->op == OP3('!', '=', '=');
    /* a guard's result compared with something: whichever way, the check was made */
    if (a->guard)
        mark_clean(f, a->guard, a->guard_kinds);
    if (b->guard)
        mark_clean(f, b->guard, b->guard_kinds);
    if (relational(c->op)) {
        uint64_t kinds = rules_kind("size") | rules_kind("index");
        /* a > b, where that holds: a is no less than something */
        bool greater = (c->op == OP1('>') || c->op == OP2('>', '=')) == truth;
        bool bounds = f->lang == LANG_C || f->lang == LANG_CPP; /* there only the smaller one is bounded by that */
        mark_clean(f, greater ? a->labels : b->labels, rules_kind("negative"));
        mark_clean(f, !bounds ? a->labels | b->labels : greater ? b->labels : a->labels, kinds);
        for (int i = 0; i < 2; i++) {
            if (bounds && i == !greater)
                continue;
            const struct node *side = i ? c->b : c->a;
            uint32_t key = var_key(f, side);
            const struct value *v = key ? var_get(f, key) : NULL;
            if (v && v->origin != ORIGIN_CONST && (v->clean & kinds) != kinds) {
                struct value *k = value_copy(f, v);
                k->clean |= kinds;
                var_set(f, key, k);
            }
        }
        return;
    }
    bool null = a->flags & VF_NULL || b->flags & VF_NULL;
    if ((equal && truth) || (unequal && !truth)) {
        if (b->origin == ORIGIN_CONST && !null && !(b->flags & VF_BOOL))
            clean_node(f, c->a, CLEAN_ALL);
        else if (a->origin == ORIGIN_CONST && !null && !(a->flags & VF_BOOL))
            clean_node(f, c->b, CLEAN_ALL);
        else if (!null && (a->origin == ORIGIN_UNKNOWN || b->origin == ORIGIN_UNKNOWN) && a->origin != b->origin)
            mark_clean(f, a->labels | b->labels, rules_kind("redirect") | rules_kind("url") | rules_kind("path"));
    }
}

/* rel.startsWith("..") */
static bool starts_above(const struct node *call)
{
    for (const struct node *a = call->list; a; a = a->next)
        if (val(a)->text && val(a)->text_len <= 3 && text_has(val(a), ".."))
            return true;
    return false;
}

/* x == "a" || x == "b": what either of them says */
static void refine_one_of(struct flow *f, const struct node *c, bool truth)
{
    saved_vec left = {0};
    size_t mark = f->log.len;
    refine(f, c->a, truth);
    if (f->log.len == mark)
        return; /* one says nothing, and so do both */
    if (!save_branch(f, mark, &left))
        f->nomem = true;
    undo_to(f, mark);
    refine(f, c->b, truth);
    if (f->log.len > mark)
        merge_saved(f, mark, &left);
    VEC_RELEASE(&left);
}

void refine(struct flow *f, const struct node *c, bool truth)
{
    if (!c || f->depth >= FLOW_DEPTH_MAX)
        return;
    f->depth++;
    const struct value *v = val(c);
    switch (c->kind) {
    case N_SEQ:
        for (const struct node *e = c->list; e; e = e->next)
            if (!e->next)
                refine(f, e, truth);
        break;
    case N_UNARY:
        if (c->op == OP1('!') || c->op == KW_not)
            refine(f, c->a, !truth);
        break;
    case N_ASSIGN:
        refine(f, c->b, truth);
        break;
    case N_CAST:
        refine(f, c->a, truth);
        break;
    case N_BINARY:
        if (c->op == OP2('&', '&') || c->op == OP2('|', '|')) {
            if ((c->op == OP2('&', '&')) == truth) {
                refine(f, c->a, truth);
                refine(f, c->b, truth);
            } else {
                refine_one_of(f, c, truth);
            }
        } else if (c->op == KW_in || c->op == KW_not) {
            const struct value *a = val(c->a), *b = val(c->b);
            bool member = (c->op == KW_in) == truth;
            if (b->origin >= ORIGIN_PARAM && a->origin == ORIGIN_CONST && !member && (text_has(a, "..") || text_has(a, "/")))
                mark_clean(f, b->labels, rules_kind("path"));
            else if (b->origin >= ORIGIN_PARAM && a->origin == ORIGIN_CONST && !member &&
                     (text_has(a, "'") || text_has(a, "\"")))
                mark_clean(f, b->labels, rules_kind("xpath")); /* it cannot end the string it stands in */
            else if (member && b->origin < ORIGIN_PARAM)
                clean_node(f, c->a, CLEAN_ALL);
            if (a->guard && member)
                mark_clean(f, a->guard, a->guard_kinds);
        } else if (v->guard) {
            if (truth)
                mark_clean(f, v->guard, v->guard_kinds);
        } else {
            refine_compare(f, c, truth);
        }
        break;
    case N_CALL: {
        /* "does it contain '..'" helps where the answer is no */
        const char *name = c->a && (c->a->kind == N_MEMBER || c->a->kind == N_NAME) ? symtab_name(&f->sx->syms, c->a->sym) : "";
        const struct value *receiver = c->a && c->a->kind == N_MEMBER ? val(c->a->a) : NULL;
        bool contains = receiver && v->guard && (receiver->labels & v->guard) && v->guard_kinds != CLEAN_ALL &&
                        strncasecmp(name, "start", 5) != 0 && !strstr(name, "relative");
        bool go_contains = v->guard && v->guard_kinds == rules_kind("path") &&
                           (strncmp(name, "Contains", 8) == 0 || strncmp(name, "str", 3) == 0);
        if (v->guard && (contains || go_contains ? !truth : truth))
            mark_clean(f, v->guard, v->guard_kinds);
        else if (v->guard && v->guard_kinds == rules_kind("redirect") && !truth && contains == false && receiver &&
                 val(c->list)->text_len == 2)
            mark_clean(f, v->guard, v->guard_kinds);
        else if (v->guard && v->guard_kinds == rules_kind("path") && !truth && starts_above(c))
            mark_clean(f, v->guard, v->guard_kinds);
        break;
    }
    default:
        if (v->guard && truth)
            mark_clean(f, v->guard, v->guard_kinds);
    }
    f->depth--;
}

bool call_terminates(const struct flow *f, const struct node *n, const char *name, const char *path)
{
    static const char *const any[] = {"exit", "abort", "die", "_exit", "quit", "panic", "halt", "redirect_to_and_return", NULL};
    static const char *const member[] = {"exit", "abort", "Exit", "Fatal", "Fatalf", "Fatalln", "halt", "Panic", "throw",
            "Panicf", NULL};
    if (n->a && n->a->kind == N_NAME)
        return one_of(name, any) && !(strcmp(name, "exit") == 0 && f->lang == LANG_GO);
    (void)path;
    return one_of(name, member) || strcmp(name, "halt") == 0;
}

void write_arg(struct flow *f, const struct node *arg, const struct value *v)
{
    if (!arg)
        return;
    while (arg->kind == N_UNARY || arg->kind == N_CAST) {
        if (!arg->a)
            return;
        arg = arg->a;
    }
    if (arg->kind == N_INDEX || (arg->kind == N_BINARY && arg->a))
        arg = arg->a; /* buf + n */
    uint32_t key = var_key(f, arg);
    if (!key)
        return;
    const struct value *old = var_get(f, key);
    struct value *c = value_copy(f, v);
    if (old) { /* the room is the old one, the content new */
        c->flags |= old->flags & (VF_ARRAY | VF_HEAP);
        c->size = old->size;
        c->path = old->path;
    }
    c->flags &= ~(uint32_t)(VF_FREED | VF_NUM);
    var_set(f, key, c);
}

static const struct node *nth(const struct node *list, int i)
{
    while (list && i-- > 0)
        list = list->next;
    return list;
}

/* C: dst first, then what goes into it. */
static void c_effects(struct flow *f, const struct node *n, const char *name)
{
    static const char *const copies[] = {"strcpy", "strncpy", "memcpy", "memmove", "strlcpy", "wcscpy", "stpcpy",
            "bcopy", NULL};
    static const char *const appends[] = {"strcat", "strncat", "strlcat", NULL};
    static const char *const prints[] = {"sprintf", "snprintf", "vsprintf", "vsnprintf", "asprintf", "_snprintf",
                                         "_vsnprintf", NULL};
    const struct node *dst = n->list;
    if (!dst)
        return;
    if (one_of(name, copies)) {
        write_arg(f, dst, val(nth(dst, 1)));
    } else if (one_of(name, appends)) {
        write_arg(f, dst, value_concat(f, val(dst), val(nth(dst, 1))));
    } else if (one_of(name, prints)) {
        const struct value *v = NULL;
        bool bounded = strstr(name, "snprintf") != NULL;
        for (const struct node *a = nth(dst, bounded ? 2 : 1); a; a = a->next)
            v = v ? value_concat(f, v, val(a)) : val(a);
        if (v)
            write_arg(f, dst, v);
    } else if (strcmp(name, "free") == 0 || strcmp(name, "kfree") == 0) {
        uint32_t key = var_key(f, dst);
        const struct value *old = key ? var_get(f, key) : NULL;
        if (key) {
            struct value *v = value_copy(f, old ? old : &flow_unknown);
            v->flags |= VF_FREED;
            if (!(dst->kind == N_UNARY))
                var_set(f, key, v);
            if (dst->kind == N_MEMBER)
                f->freed[f->freed_count++ % FLOW_FREED] = key;
        }
    } else {
        for (const struct node *a = dst; a; a = a->next)
            if (a->kind == N_UNARY && a->op == OP1('&') && a->a && a->a->kind == N_NAME)
                forget_freed(f, a->a->sym); /* filled anew */
    }
}

static bool is_builder(const struct value *v)
{
    return v->path && (strstr(v->path, "Builder") || strstr(v->path, "Buffer") || strstr(v->path, "StringIO"));
}

/* The variable behind a.append(x).append(y). */
static const struct node *chain_root(const struct node *n)
{
    while (n && n->kind == N_CALL && n->a && n->a->kind == N_MEMBER)
        n = n->a->a;
    return n;
}

/* What the receiver holds after list.add(x), sb.append(x), map.put(k, v). */
static void receiver_effects(struct flow *f, const struct node *n, const char *name, const struct value *receiver)
{
    static const char *const strings[] = {"append", "Append", "write", "WriteString", "concat!", "insert",
            "AppendLine", "AppendFormat",
                                          "concat", "prepend", "Write", NULL};
    static const char *const lists[] = {"add", "push", "addElement", "extend", "unshift", "Add", "addLast",
            "addAll", "offer", "update",
                                        "push_back", "append", "AddRange", "addArgument", NULL};
    static const char *const maps[] = {"put", "set", "setProperty", "Set", "store", "setdefault", "Add", "TryAdd", NULL};
    uint32_t key = var_key(f, n->a->a);
    if (n->a->a->kind == N_CALL && n->list && one_of(name, strings)) {
        key = var_key(f, chain_root(n->a->a));
        receiver = key ? var_get(f, key) : NULL;
        if (!receiver || !is_builder(receiver))
            return;
    } else if (!key || !n->list || !(n->a->a->kind == N_NAME || n->a->a->kind == N_MEMBER)) {
        return;
    }
    const struct value *a = val(n->list), *b = n->list->next ? val(n->list->next) : NULL;
    const struct node *third = b ? n->list->next->next : NULL;
    if (third && strcmp(name, "set") == 0 && receiver->path && strstr(receiver->path, "ConfigParser")) {
        var_set(f, key, value_with_entry(f, receiver, value_concat(f, a, b), val(third))); /* section, option, value */
    } else if (b && one_of(name, maps)) {
        if (receiver->flags & VF_CONTAINER || b->origin > receiver->origin)
            var_set(f, key, value_with_entry(f, receiver, a, b));
    } else if (receiver->flags & VF_CONTAINER && one_of(name, lists)) {
        int64_t next = receiver->entries && receiver->entries->numeric ? receiver->entries->num + 1 : 0;
        var_set(f, key, value_with_entry(f, receiver, value_num(f, next), a));
    } else if (receiver->flags & VF_CONTAINER && (strcmp(name, "remove") == 0 || strcmp(name, "pop") == 0) &&
               a->flags & VF_NUM) {
        struct value *v = value_copy(f, receiver);
        v->entries = NULL;
        v->origin = ORIGIN_CONST;
        v->clean = CLEAN_ALL;
        const struct value *out = v;
        for (int64_t i = 0, k = 0; i < 16; i++) {
            const struct entry *e = value_entry(receiver, value_num(f, i));
            if (e && i != a->num)
                out = value_with_entry(f, out, value_num(f, k++), e->value);
        }
        var_set(f, key, out);
    } else if (one_of(name, strings) && (a->origin > receiver->origin || is_builder(receiver) ||
                receiver->flags & (VF_STRING | VF_BUILT | VF_INSTANCE))) {
        const struct value *last = strcmp(name, "insert") == 0 && b ? b : a;
        struct value *v = value_copy(f, value_concat(f, receiver, last));
        v->path = receiver->path;
        v->flags |= receiver->flags & VF_INSTANCE;
        var_set(f, key, v);
    } else if (one_of(name, lists) && a->origin > receiver->origin && receiver->origin < ORIGIN_PARAM) {
        struct value *v = value_copy(f, value_mix(f, receiver, a));
        v->path = receiver->path;
        var_set(f, key, v);
    }
}

/* rand.Read(b), r.nextBytes(b): what was constant is so no more. */
static void fill_effects(struct flow *f, const struct node *n, const char *name)
{
    static const char *const first[] = {"nextBytes", "randomFillSync", "RAND_bytes", "getRandomValues", "NextBytes", "GetBytes",
                                        "Read", "Fill", "getrandom", NULL};
    int at = strcmp(name, "ReadFull") == 0 || strcmp(name, "ReadAtLeast") == 0 ? 1 : one_of(name, first) ? 0 : -1;
    const struct node *arg = at < 0 ? NULL : nth(n->list, at);
    if (arg && arg->kind < N_BLOCK && val(arg)->origin == ORIGIN_CONST)
        write_arg(f, arg, &flow_unknown);
}

/* Go: json.NewDecoder(r.Body).Decode(&x), json.Unmarshal(b, &x), fmt.Fprintf(&sb, ...). */
static void go_effects(struct flow *f, const struct node *n, const char *name)
{
    const struct value *receiver = n->a && n->a->kind == N_MEMBER ? val(n->a->a) : &flow_const;
    const struct node *to = n->list;
    if (!to)
        return;
    bool decode = strncmp(name, "Decode", 6) == 0, unmarshal = strncmp(name, "Unmarshal", 9) == 0;
    const struct value *from = decode ? receiver : unmarshal ? val(to) : &flow_const;
    if (unmarshal)
        to = to->next;
    if (to && from->origin >= ORIGIN_TAINTED) {
        struct value *v = value_copy(f, from);
        v->flags = VF_SOURCE;
        v->text = NULL;
        write_arg(f, to, v);
    } else if (strncmp(name, "Fprint", 6) == 0 || strcmp(name, "WriteString") == 0) {
        const struct value *old = val(to), *v = NULL;
        for (const struct node *a = to->next; a; a = a->next)
            v = v ? value_concat(f, v, val(a)) : val(a);
        if (v && is_builder(old))
            write_arg(f, to, value_concat(f, old, v));
    }
}

/* scanf("%d", &n): n is a number from outside. */
static void scanned(struct flow *f, const struct node *arg)
{
    uint32_t key = var_key(f, arg);
    const struct value *v = key ? var_get(f, key) : NULL;
    if (!v || v->flags & VF_ARRAY || v->origin < ORIGIN_TAINTED)
        return;
    struct value *c = value_copy(f, v);
    c->path = "scanf()";
    var_set(f, key, c);
}

void call_effects(struct flow *f, const struct node *n, const char *name, const char *path)
{
    if (f->lang == LANG_GO)
        go_effects(f, n, name);
    fill_effects(f, n, name);
    const struct fact *s = find_fact(f, &f->rules->sources, name, path, n, true);
    if (s && s->writes >= 0) {
        struct value *v = value_new(f, ORIGIN_TAINTED);
        v->labels = flow_label(f, n, 0);
        v->source_line = syntax_line(f->sx, n);
        for (const struct node *a = nth(n->list, s->writes); a; a = a->next) {
            write_arg(f, a, v);
            if (!strstr(name, "scanf") && !strstr(name, "Scan"))
                break;
            if (a->kind == N_UNARY && a->op == OP1('&'))
                scanned(f, a);
        }
    }
    if (f->lang == LANG_C || f->lang == LANG_CPP)
        c_effects(f, n, name);
    if (n->a && n->a->kind == N_MEMBER && n->a->a && n->a->a->kind < N_BLOCK && n->a->a->val)
        receiver_effects(f, n, name, n->a->a->val);
}
