/* What calls do to text: formats, joins, replacements. */
#include "scan/flow_internal.h"

#include <ctype.h>
#include <string.h>

static const struct value *val(const struct node *n)
{
    return !n || n->kind >= N_BLOCK || !n->val ? &flow_const : n->val;
}

bool text_formats(const char *name)
{
    static const char *const names[] = {"format", "Format", "sprintf", "Sprintf", "vsprintf", "formatted",
            "printf", "AppendFormat",
                                        "Sprint", "Sprintln", "Errorf", "String.format", "asprintf", "concat", "Concat", "join",
                                        "Join", "implode", "urljoin", "format_map", "Combine", "joinpath", "resolve",
                                        "sqlite3_mprintf", NULL};
    return one_of(name, names);
}

/* sep.join(list), list.join(sep): the elements that are known, as one text. */
static const struct value *elements_joined(struct flow *f, const struct value *list)
{
    const struct value *v = NULL;
    for (int k = 0; k < 24; k++) {
        const struct value key = {.flags = VF_NUM, .num = k};
        const struct entry *e = value_entry(list, &key);
        if (!e)
            break;
        v = v ? value_concat(f, v, e->value) : e->value;
    }
    if (!v || !v->text)
        return list;
    struct value *all = value_copy(f, value_mix(f, v, list));
    all->text = v->text;
    all->text_len = v->text_len;
    all->flags = VF_STRING | ((v->flags | list->flags) & VF_BUILT);
    all->flags |= list->origin == ORIGIN_CONST ? v->flags & VF_TEXT : VF_BUILT;
    return all;
}

static const struct value *list_joined(struct flow *f, const struct node *n, const struct value *receiver)
{
    if (receiver && receiver->entries && receiver->entries->numeric)
        return elements_joined(f, receiver);
    for (const struct node *a = n->list; a; a = a->next)
        if (val(a)->entries && val(a)->entries->numeric && a->kind < N_BLOCK)
            return elements_joined(f, val(a));
    return NULL;
}

/* A string made of the receiver and the arguments. */
const struct value *text_formatted(struct flow *f, const struct node *n, const struct value *receiver)
{
    static const char *const joins[] = {"join", "Join", "implode", NULL};
    const char *name = n->a && (n->a->kind == N_MEMBER || n->a->kind == N_NAME) ? symtab_name(&f->sx->syms, n->a->sym) : "";
    const struct value *v = one_of(name, joins) ? list_joined(f, n, receiver) : NULL;
    if (v)
        return v;
    if (receiver && (receiver->flags & (VF_STRING | VF_BUILT | VF_CONTAINER) || receiver->origin >= ORIGIN_PARAM))
        v = receiver;
    for (const struct node *a = n->list; a; a = a->next) {
        const struct value *x = a->kind == N_PAIR || a->kind == N_SPREAD ? val(a->kind == N_PAIR ? a->b : a->a) : val(a);
        if (x->origin == ORIGIN_CONST && !x->text && !(x->flags & VF_CONTAINER))
            continue;
        v = v ? value_concat(f, v, x) : x;
    }
    if (v && v->origin != ORIGIN_CONST && n->list && n->list->next && !(v->flags & VF_BUILT)) {
        struct value *c = value_copy(f, v);
        c->flags |= VF_BUILT; /* joined with something that is no text known here */
        v = c;
    }
    return v ? v : &flow_const;
}

/* The conversion that the k-th value of a format meets: 'd', 's' ...; 0: none is known. */
static char directive(const char *s, size_t n, int k)
{
    for (size_t i = 0; i + 1 < n; i++) {
        if (s[i] != '%')
            continue;
        i++;
        if (s[i] == '%')
            continue;
        while (i < n && strchr("0123456789.+-# *'lhzjtL$", s[i]))
            i++;
        if (i < n && k-- == 0)
            return s[i];
    }
    return 0;
}

static uint64_t kinds_of_directive(char c, bool c_like)
{
    if (c && strchr("diuxXofFeEgGcb", c) && !(c == 'b' && c_like))
        return CLEAN_ALL;
    if (c == 'q')
        return rules_kind("log") | rules_kind("header");
    return 0;
}

const struct value *text_directive(struct flow *f, const struct value *format, int k, const struct value *v)
{
    if (!format->text || v->origin == ORIGIN_CONST)
        return v;
    uint64_t kinds = kinds_of_directive(directive(format->text, format->text_len, k), false);
    if (!kinds || (v->clean & kinds) == kinds)
        return v;
    struct value *c = value_copy(f, v);
    c->clean |= kinds;
    return c;
}

const struct value *text_operands(struct flow *f, const struct value *format, const struct value *b)
{
    if (!(b->flags & VF_CONTAINER))
        return text_directive(f, format, 0, b);
    if (!b->entries || !b->entries->numeric)
        return b;
    const struct value *all = &flow_const;
    for (int k = 0; k < 32; k++) {
        const struct value key = {.flags = VF_NUM, .num = k};
        const struct entry *e = value_entry(b, &key);
        if (!e)
            break;
        const struct value *v = text_directive(f, format, k, e->value);
        all = v->origin == ORIGIN_CONST ? all : all == &flow_const ? v : value_mix(f, all, v);
    }
    return all;
}

/* printf("%d", x): whatever x is, a number comes out. Arguments of such calls are taken as what becomes of them. */
bool text_directives(struct flow *f, const struct node *n, const char *name)
{
    static const char *const names[] = {"sprintf", "Sprintf", "printf", "Printf", "fprintf", "Fprintf", "snprintf", "format",
                                        "Errorf", "Infof", "Warnf", "Debugf", "dprintf", "syslog", "formatted",
                                        "sqlite3_mprintf",
                                        "asprintf", "Fatalf", NULL};
    if (!one_of(name, names) || f->lang == LANG_PYTHON || f->lang == LANG_CSHARP)
        return false;
    const struct node *a = n->list;
    const struct value *format = NULL;
    if (strcmp(name, "formatted") == 0 && n->a && n->a->kind == N_MEMBER) {
        format = val(n->a->a);
    } else {
        for (; a && !format; a = a->next)
            if (val(a)->text && memchr(val(a)->text, '%', val(a)->text_len) && a->kind < N_BLOCK)
                format = val(a);
    }
    bool any = false;
    bool sqlite = strcmp(name, "sqlite3_mprintf") == 0;
    for (int k = 0; format && a; a = a->next, k++) {
        if (a->kind >= N_BLOCK || a->kind == N_SPREAD || a->kind == N_PAIR)
            break;
        const struct value *v = val(a), *d = text_directive(f, format, k, v);
        if (sqlite && strchr("qQw", directive(format->text, format->text_len, k)) && v->origin != ORIGIN_CONST) {
            struct value *c = value_copy(f, v);
            c->clean |= rules_kind("sql");
            d = c;
        }
        any |= d != v;
        ((struct node *)(uintptr_t)a)->val = (struct value *)(uintptr_t)d;
    }
    return any;
}

/* [^...] of characters that mean nothing anywhere: what is left after such a replacement is harmless. */
static bool keeps_plain(const char *s, size_t n)
{
    const char *open = memmem(s, n, "[^", 2);
    if (!open)
        return (n >= 2 && memmem(s, n, "\\W", 2)) || (n >= 2 && memmem(s, n, "\\D", 2));
    for (const char *c = open + 2; c < s + n && *c != ']'; c++) {
        if (*c == '\\') {
            c++;
            if (c < s + n && strchr("SWD'\"/\\;<>", *c) && !(*c == '\\' && c + 1 < s + n && isalpha((unsigned char)c[1])))
                return false;
            continue;
        }
        if (strchr("'\"`;<>/|&$(){}*=", *c))
            return false;
    }
    return true;
}

static uint64_t kinds_of_removed(const char *s, size_t n)
{
    if (keeps_plain(s, n))
        return CLEAN_ALL;
    uint64_t kinds = 0;
    if (memmem(s, n, "\\n", 2) || memmem(s, n, "\\r", 2) || memchr(s, '\n', n) || memchr(s, '\r', n) || memmem(s, n, "\\R", 2))
        kinds |= rules_kind("log") | rules_kind("header");
    if (n <= 3 && memchr(s, '<', n))
        kinds |= rules_kind("html");
    return kinds;
}

/* [&<>"'] taken out or given to a function or a table that has something else for each. */
static uint64_t kinds_of_escaped(const struct node *n)
{
    bool markup = false, instead = false;
    for (const struct node *a = n->list; a; a = a->next) {
        const struct value *v = val(a);
        const char *s = v->text, *open = s && v->origin == ORIGIN_CONST ? memchr(s, '[', v->text_len) : NULL;
        bool table = a->kind == N_FUNC || v->func || v->flags & VF_CONTAINER;
        if (a->kind == N_FUNC && a->flags & NF_ARROW && a->b && a->b->kind == N_NAME)
            return 0; /* m => m */
        if (open && open + 1 < s + v->text_len && open[1] != '^') {
            const char *close = memchr(open, ']', (size_t)(s + v->text_len - open));
            size_t len = close ? (size_t)(close - open) : 0;
            markup |= memchr(open, '<', len) != NULL;
        } else if (markup && s && v->origin == ORIGIN_CONST && v->flags & VF_TEXT) {
            instead |= !memchr(s, '<', v->text_len) && !memchr(s, '$', v->text_len) && !memchr(s, '\\', v->text_len);
        }
        instead |= markup && table;
    }
    return instead ? rules_kind("html") : 0;
}

uint64_t text_replacement(const struct flow *f, const struct node *n, const char *name)
{
    static const char *const names[] = {"replace", "replaceAll", "replace_all", "sub", "gsub", "gsub!", "tr", "delete",
                                        "str_replace", "preg_replace", "Replace", "ReplaceAll", "ReplaceAllString", "translate",
                                        "re_sub", "subn", "removeChars", NULL};
    if (!one_of(name, names) || f->lang == LANG_C)
        return 0;
    uint64_t kinds = kinds_of_escaped(n);
    const struct value *receiver = n->a && n->a->kind == N_MEMBER ? val(n->a->a) : NULL;
    if (receiver && receiver->origin == ORIGIN_CONST && receiver->text)
        kinds |= kinds_of_removed(receiver->text, receiver->text_len); /* a compiled expression */
    for (const struct node *a = n->list; a; a = a->next) {
        const struct value *v = val(a);
        if (v->origin == ORIGIN_CONST && v->text)
            kinds |= kinds_of_removed(v->text, v->text_len);
        for (const struct entry *e = v->entries; e; e = e->next)
            if (e->value->text && e->value->origin == ORIGIN_CONST)
                kinds |= kinds_of_removed(e->value->text, e->value->text_len);
    }
    return kinds;
}
