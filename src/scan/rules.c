/* Rules from YAML or JSON to tables. */
#include "scan/rules.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/yaml.h"

#include <stdio.h>
#include <string.h>

#define RULES_MAX 4000
#define RULES_TEXT_MAX ((size_t)8 << 20)

struct rules {
    VEC(struct rule *) all;
    VEC(json_t *) docs; /* flow facts are read from them per language */
    struct lang_rules langs[LANG_COUNT];
    struct arena arena; /* patterns */
};

static const char *const kinds[] = {
    "sql", "shell", "code", "html", "path", "url", "redirect", "ldap", "xpath", "xml", "log", "header", "nosql", "regex",
    "template", "format", "deserialize", "size", "index", "negative", "include", "reflect", "mail", "resolved", "css",
    "upload", "any",
};

uint64_t rules_kind(const char *name)
{
    if (strcmp(name, "all") == 0)
        return UINT64_MAX;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i], name) == 0)
            return (uint64_t)1 << i;
    return 0;
}

static void rule_free(struct rule *r)
{
    if (!r)
        return;
    char *texts[] = {r->id, r->category, r->title, r->message, r->recommendation, r->group, r->check, r->file};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    VEC_EACH(&r->match, m)
        free(*m);
    VEC_EACH(&r->unless, m)
        free(*m);
    VEC_EACH(&r->where, w) {
        free(w->var);
        regex_free(w->matches);
        regex_free(w->unless);
        regex_free(w->name);
        regex_free(w->not_name);
    }
    for (int l = 0; l < LANG_COUNT; l++) {
        VEC_EACH(&r->unless_patterns[l], p) {
            syntax_release(&(*p)->syntax);
            free((*p)->path);
        }
        VEC_RELEASE(&r->unless_patterns[l]);
    }
    VEC_RELEASE(&r->match);
    VEC_RELEASE(&r->unless);
    VEC_RELEASE(&r->where);
    regex_free(r->context);
    regex_free(r->unless_context);
    regex_free(r->regex);
    regex_free(r->regex_unless);
    regex_free(r->path);
    free(r);
}
DEFINE_CLEANUP(struct rule *, rule_free)

static int copy_text(const json_t *own, const json_t *shared, const char *key, char **ret, struct err *err)
{
    const char *s = json_str(own, key, json_str(shared, key, NULL));
    if (!s)
        return 0;
    *ret = mem_strdup(s);
    return *ret ? 0 : err_nomem(err);
}

static const json_t *own_or_shared(const json_t *own, const json_t *shared, const char *key)
{
    const json_t *v = json_object_get(own, key);
    return v ? v : json_object_get(shared, key);
}

/* A string or a list of strings. */
static int add_texts(const json_t *v, void *vec, struct err *err)
{
    VEC(char *) *out = vec;
    size_t n = json_is_array(v) ? json_array_size(v) : v ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_string(item))
            return err_set(err, ERR_INVALID, "a pattern must be a text");
        char *s = mem_strdup(json_string_value(item));
        if (!s || !VEC_PUSH(out, s)) {
            free(s);
            return err_nomem(err);
        }
    }
    return 0;
}

static int read_regex(const json_t *own, const json_t *shared, const char *key, struct regex **ret, struct err *err)
{
    const char *s = json_str(own, key, json_str(shared, key, NULL));
    if (!s)
        return 0;
    int r = regex_new(s, ret, err);
    return r < 0 ? err_wrap(err, "%s", key) : 0;
}

static int read_need(const char *text, struct where *w, struct err *err)
{
    static const char *const words[] = {"any", "const", "nonconst", "dynamic", "input", "tainted", "built"};
    char copy[80];
    char *save = NULL;
    if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
        return err_set(err, ERR_INVALID, "condition '%s' is too long", text);
    for (char *t = strtok_r(copy, " ", &save); t; t = strtok_r(NULL, " ", &save)) {
        bool found = false;
        for (size_t i = 0; i < sizeof words / sizeof *words && !found; i++)
            if (strcmp(words[i], t) == 0) {
                if (i == NEED_BUILT && w->need != NEED_ANY)
                    w->built = true; /* "input built": both */
                else
                    w->need = (enum need)i;
                found = true;
            }
        if (!found && strcmp(t, "not") == 0) {
            w->inverted = found = true;
        } else if (!found && strcmp(t, "literal") == 0) {
            w->literal = found = true;
        } else if (!found) {
            uint64_t k = rules_kind(t);
            if (!k)
                return err_set(err, ERR_INVALID, "'%s' is neither a need nor a kind", t);
            w->kind |= k;
        }
    }
    return 0;
}

static int read_where(const json_t *v, struct rule *r, struct err *err)
{
    const char *var;
    json_t *cond;
    if (v && !json_is_object(v))
        return err_set(err, ERR_INVALID, "'where' must map metavariables to conditions");
    json_object_foreach((json_t *)(uintptr_t)v, var, cond) {
        struct where w = {.var = mem_strdup(var)};
        if (!w.var || !VEC_PUSH(&r->where, w)) {
            free(w.var);
            return err_nomem(err);
        }
        struct where *at = &r->where.v[r->where.len - 1];
        const char *is = json_is_string(cond) ? json_string_value(cond) : json_str(cond, "is", "any");
        int x = read_need(is, at, err);
        if (x == 0 && json_is_object(cond)) {
            x = read_regex(cond, NULL, "matches", &at->matches, err);
            if (x == 0)
                x = read_regex(cond, NULL, "unless", &at->unless, err);
            if (x == 0)
                x = read_regex(cond, NULL, "name", &at->name, err);
            if (x == 0)
                x = read_regex(cond, NULL, "not_name", &at->not_name, err);
        }
        if (x < 0)
            return err_wrap(err, "where %s", var);
    }
    return 0;
}

static int read_langs(const json_t *own, const json_t *shared, struct rule *r, struct err *err)
{
    const json_t *v = own_or_shared(own, shared, "languages");
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *name = json_string_value(json_array_get(v, i));
        enum lang l = name ? lang_by_name(name, strlen(name)) : LANG_NONE;
        if (!l)
            return err_set(err, ERR_INVALID, "unknown language '%s'", name ? name : "");
        r->langs |= 1u << l;
    }
    return r->langs ? 0 : err_set(err, ERR_INVALID, "'languages' is missing");
}

static int read_confidence(const char *s, enum confidence *ret, struct err *err)
{
    static const char *const names[] = {"low", "medium", "high"};
    for (int i = 0; i < 3; i++)
        if (strcmp(names[i], s) == 0) {
            *ret = (enum confidence)i;
            return 0;
        }
    return err_set(err, ERR_INVALID, "confidence '%s' is none of low, medium, high", s);
}

static int read_texts(const json_t *j, const json_t *shared, struct rule *r, struct err *err)
{
    static const char *const required[] = {"id", "category", "title"};
    const struct {
        const char *key;
        char **to;
    } texts[] = {{"id", &r->id}, {"category", &r->category}, {"title", &r->title}, {"message", &r->message},
                 {"recommendation", &r->recommendation}, {"group", &r->group}, {"check", &r->check}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int x = copy_text(j, i == 0 ? NULL : shared, texts[i].key, texts[i].to, err);
        if (x < 0)
            return x;
    }
    for (size_t i = 0; i < 3; i++)
        if (!*texts[i].to)
            return err_set(err, ERR_INVALID, "'%s' is missing", required[i]);
    return strchr(r->id, '/') ? 0 : err_set(err, ERR_INVALID, "id '%s' must be category/name", r->id);
}

static int read_rule(const json_t *j, const json_t *shared, struct rule *r, struct err *err)
{
    int x = read_texts(j, shared, r, err);
    if (x < 0)
        return x;
    x = severity_parse(json_str(j, "severity", json_str(shared, "severity", "medium")), &r->severity, err);
    if (x == 0)
        x = read_confidence(json_str(j, "confidence", json_str(shared, "confidence", "high")), &r->confidence, err);
    const json_t *cwe = own_or_shared(j, shared, "cwe");
    for (size_t i = 0; i < json_array_size(cwe) && r->cwe_count < FINDING_CWE_MAX; i++)
        r->cwe[r->cwe_count++] = (int)json_integer_value(json_array_get(cwe, i));
    if (x == 0)
        x = read_langs(j, shared, r, err);
    if (x == 0)
        x = add_texts(json_object_get(j, "match"), &r->match, err);
    if (x == 0)
        x = add_texts(json_object_get(j, "unless"), &r->unless, err);
    if (x == 0)
        x = read_where(json_object_get(j, "where"), r, err);
    if (x == 0)
        x = read_regex(j, shared, "context", &r->context, err);
    if (x == 0)
        x = read_regex(j, shared, "unless_context", &r->unless_context, err);
    if (x == 0)
        x = read_regex(j, NULL, "regex", &r->regex, err);
    if (x == 0)
        x = read_regex(j, NULL, "regex_unless", &r->regex_unless, err);
    if (x == 0)
        x = read_regex(j, shared, "path", &r->path, err);
    if (x == 0 && !r->match.len && !r->regex && !r->check)
        x = err_set(err, ERR_INVALID, "none of 'match', 'regex', 'check'");
    return x;
}

static int path_text(struct arena *arena, const struct pattern *p, const struct node *n, char **ret, bool *ret_any)
{
    char buf[240];
    size_t len = 0;
    const struct node *parts[40];
    int count = 0;
    *ret_any = false;
    for (; n && count < 40; n = n->a) {
        parts[count++] = n;
        if (n->kind == N_NAME || (n->kind != N_MEMBER && n->kind != N_CALL && n->kind != N_INDEX))
            break;
    }
    if (!count || parts[count - 1]->kind != N_NAME)
        return -1;
    for (int i = count - 1; i >= 0; i--) {
        const struct node *q = parts[i];
        const char *name = q->kind == N_CALL ? "()" : q->kind == N_INDEX ? "[]" : symtab_name(&p->syntax.syms, q->sym);
        if (i == count - 1 && q->flags & NF_META) {
            *ret_any = true;
            continue;
        }
        int k = snprintf(buf + len, sizeof buf - len, "%s%s", len && q->kind == N_MEMBER ? "." : "", name);
        if (k < 0 || (size_t)k >= sizeof buf - len)
            return -1;
        len += (size_t)k;
    }
    buf[len] = 0;
    (void)arena;
    *ret = mem_strdup(buf);
    return *ret ? 0 : -1;
}

static const char *last_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

static bool chain(struct map *m, const char *key, enum lang lang, struct pattern *p)
{
    char lower[160];
    size_t k = 0;
    for (; key[k] && k < sizeof lower - 1; k++)
        lower[k] = (char)(lang == LANG_PHP && key[k] >= 'A' && key[k] <= 'Z' ? key[k] + 32 : key[k]);
    lower[k] = 0;
    p->next = map_get(m, lower);
    return map_set(m, lower, p);
}

static int register_call(struct lang_rules *t, struct pattern *p, struct rules *rs, struct err *err)
{
    p->kind = p->node->flags & NF_NEW ? PATTERN_NEW : PATTERN_CALL;
    if (p->node->a && p->node->a->flags & NF_META && p->node->a->kind == N_NAME) {
        p->next = t->any_call;
        t->any_call = p;
        return 0;
    }
    if (path_text(&rs->arena, p, p->node->a, &p->path, &p->any_receiver) < 0)
        return err_set(err, ERR_INVALID, "what is called must be a path of names");
    return chain(&t->calls, last_of(p->path), p->lang, p) ? 0 : err_nomem(err);
}

static int register_pattern(struct lang_rules *t, struct pattern *p, struct rules *rs, struct err *err)
{
    const struct node *n = p->node;
    switch (n->kind) {
    case N_CALL:
        return register_call(t, p, rs, err);
    case N_NAME: case N_MEMBER:
        p->kind = PATTERN_PATH;
        if (path_text(&rs->arena, p, n, &p->path, &p->any_receiver) < 0)
            return err_set(err, ERR_INVALID, "not a path of names");
        return chain(&t->paths, last_of(p->path), LANG_NONE, p) ? 0 : err_nomem(err);
    case N_ASSIGN:
        p->kind = PATTERN_ASSIGN;
        if (n->a->kind == N_NAME && n->a->flags & NF_META) {
            p->next = t->any_assign;
            t->any_assign = p;
            return 0;
        }
        if (path_text(&rs->arena, p, n->a, &p->path, &p->any_receiver) < 0)
            return err_set(err, ERR_INVALID, "what is assigned to must be a path of names");
        return chain(&t->assigns, last_of(p->path), LANG_NONE, p) ? 0 : err_nomem(err);
    case N_LIST: case N_DICT: case N_BLOCK: {
        const struct node *pair = n->list;
        size_t len;
        p->kind = PATTERN_PAIR;
        if (!pair || pair->kind != N_PAIR)
            return err_set(err, ERR_INVALID, "a dictionary pattern holds one pair");
        const char *own = symtab_name(&p->syntax.syms, pair->sym);
        if (pair->a ? (pair->a->flags & NF_META) != 0 : own[0] == '$' && own[1] >= 'A' && own[1] <= 'Z') {
            p->next = t->any_pair;
            t->any_pair = p;
            return 0;
        }
        const char *s = !pair->a ? symtab_name(&p->syntax.syms, pair->sym) : pair->a->kind == N_NAME ||
                pair->a->kind == N_MEMBER
                        ? symtab_name(&p->syntax.syms, pair->a->sym) : syntax_text(&p->syntax, pair->a, &len);
        char key[80];
        if (pair->a && pair->a->kind == N_STRING)
            snprintf(key, sizeof key, "%.*s", (int)len, s);
        else
            snprintf(key, sizeof key, "%s", s);
        return chain(&t->pairs, key, LANG_NONE, p) ? 0 : err_nomem(err);
    }
    case N_RETURN:
        p->kind = PATTERN_RETURN;
        p->next = t->returns;
        t->returns = p;
        return n->a ? 0 : err_set(err, ERR_INVALID, "'return' of what?");
    case N_BINARY:
        p->kind = PATTERN_BINARY;
        p->next = t->binaries;
        t->binaries = p;
        return 0;
    default:
        return err_set(err, ERR_INVALID, "this kind of pattern is not known");
    }
}

static int compile_one(struct rules *rs, struct rule *r, enum lang lang, const char *text, struct pattern **ret,
        struct err *err)
{
    struct pattern *p = arena_alloc(&rs->arena, sizeof *p);
    if (!p)
        return err_nomem(err);
    int x = syntax_parse_pattern(text, strlen(text), lang, &rs->arena, &p->syntax, err);
    if (x < 0)
        return err_wrap(err, "%s:%d: rule %s: '%s' in %s", r->file, r->line, r->id, text, lang_name(lang));
    p->rule = r;
    p->lang = lang;
    p->node = p->syntax.root;
    *ret = p;
    return 0;
}

static int compile_rule(struct rules *rs, struct rule *r, enum lang lang, struct lang_rules *t, struct err *err)
{
    if (r->regex && !VEC_PUSH(&t->lines, r))
        return err_nomem(err);
    if (r->check && !VEC_PUSH(&t->checks, r))
        return err_nomem(err);
    VEC_EACH(&r->match, m) {
        struct pattern *p;
        int x = compile_one(rs, r, lang, *m, &p, err);
        if (x == -ERR_INVALID && r->langs & (r->langs - 1)) { /* another of its languages has this form */
            err_clear(err);
            continue;
        }
        if (x < 0)
            return x;
        x = register_pattern(t, p, rs, err);
        if (x < 0)
            return err_wrap(err, "%s:%d: rule %s: '%s'", r->file, r->line, r->id, *m);
        r->compiled++;
    }
    VEC_EACH(&r->unless, m) {
        struct pattern *p;
        int x = compile_one(rs, r, lang, *m, &p, err);
        if (x < 0)
            return x;
        if (p->node->kind == N_CALL && p->node->a)
            (void)path_text(&rs->arena, p, p->node->a, &p->path, &p->any_receiver);
        p->kind = p->node->kind == N_CALL && p->node->flags & NF_NEW ? PATTERN_NEW : PATTERN_CALL;
        if (!VEC_PUSH(&r->unless_patterns[lang], p))
            return err_nomem(err);
    }
    return 0;
}

static bool lang_listed(const json_t *entry, enum lang lang)
{
    const json_t *v = json_object_get(entry, "languages");
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *s = json_string_value(json_array_get(v, i));
        if (s && strcmp(s, lang_name(lang)) == 0)
            return true;
    }
    return false;
}

/* "os.environ", "$X.read()", "fgets():0" */
static int add_fact(struct rules *rs, struct map *m, const char *text, uint64_t bits, struct err *err)
{
    struct fact *f = arena_alloc(&rs->arena, sizeof *f);
    char *path = arena_strdup(&rs->arena, text);
    if (!f || !path)
        return err_nomem(err);
    f->writes = -1;
    f->kinds = bits;
    size_t n = strlen(path);
    if (n > 2 && path[n - 2] == ':' && path[n - 1] >= '0' && path[n - 1] <= '9') {
        f->writes = path[n - 1] - '0';
        path[n -= 2] = 0;
    }
    if (n > 2 && strcmp(path + n - 2, "()") == 0) {
        f->call = true;
        path[n - 2] = 0;
    }
    if (path[0] == '$' && path[1] >= 'A' && path[1] <= 'Z' && strchr(path, '.')) {
        f->any_receiver = true;
        path = strchr(path, '.') + 1;
    }
    f->path = path;
    const char *key = last_of(path);
    size_t k = strlen(key);
    if (k > 2 && strcmp(key + k - 2, "[]") == 0)
        key = "[]";
    f->next = map_get(m, key);
    return map_set(m, key, f) ? 0 : err_nomem(err);
}

static int add_facts(struct rules *rs, struct map *m, const json_t *list, uint64_t bits, struct err *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (!s)
            return err_set(err, ERR_INVALID, "a path must be a text");
        int x = add_fact(rs, m, s, bits, err);
        if (x < 0)
            return x;
    }
    return 0;
}

static int add_names(struct map *m, const json_t *list, struct err *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (!s || !map_set(m, s, m))
            return s ? err_nomem(err) : err_set(err, ERR_INVALID, "a name must be a text");
    }
    return 0;
}

static int compile_facts(struct rules *rs, const json_t *doc, enum lang lang, struct lang_rules *t, struct err *err)
{
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(doc, "sources"), i, e) {
        if (!lang_listed(e, lang))
            continue;
        int x = add_facts(rs, &t->sources, json_object_get(e, "paths"), 0, err);
        if (x == 0)
            x = add_names(&t->handlers, json_object_get(e, "handlers"), err);
        if (x == 0)
            x = add_names(&t->param_notes, json_object_get(e, "parameters"), err);
        if (x < 0)
            return err_wrap(err, "sources");
    }
    json_array_foreach(json_object_get(doc, "sanitizers"), i, e) {
        if (!lang_listed(e, lang))
            continue;
        uint64_t bits = 0;
        const json_t *names = json_object_get(e, "kinds");
        for (size_t k = 0; k < json_array_size(names); k++)
            bits |= rules_kind(json_string_value(json_array_get(names, k)) ? json_string_value(json_array_get(names, k)) : "");
        if (!bits)
            return err_set(err, ERR_INVALID, "sanitizers: no known kind");
        int x = add_facts(rs, &t->sanitizers, json_object_get(e, "calls"), bits, err);
        if (x < 0)
            return err_wrap(err, "sanitizers");
    }
    return 0;
}

int rules_of(struct rules *rs, enum lang lang, const struct lang_rules **ret, struct err *err)
{
    struct lang_rules *t = &rs->langs[lang];
    if (!t->ready) {
        VEC_EACH(&rs->all, r) {
            if (!((*r)->langs >> lang & 1))
                continue;
            int x = compile_rule(rs, *r, lang, t, err);
            if (x < 0)
                return x;
        }
        VEC_EACH(&rs->docs, d) {
            int x = compile_facts(rs, *d, lang, t, err);
            if (x < 0)
                return x;
        }
        t->ready = true;
    }
    *ret = t;
    return 0;
}

/* Reads a document: the shared fields of its rules, the rules, sources and sanitizers. */
static int load_doc(struct rules *rs, json_t *doc, const char *name, const struct yaml_marks *marks, struct err *err)
{
    const json_t *list = json_object_get(doc, "rules");
    size_t before = rs->all.len;
    int x = 0;
    if (!json_is_object(doc) || (list && !json_is_array(list)))
        return err_set(err, ERR_INVALID, "%s:1: a rule file is a mapping with a list 'rules'", name);
    for (size_t i = 0; i < json_array_size(list) && x == 0; i++) {
        _cleanup_(rule_free_cleanup_) struct rule *r = mem_zalloc(sizeof *r);
        if (!r)
            return err_nomem(err);
        char pointer[40];
        snprintf(pointer, sizeof pointer, "/rules/%zu", i);
        r->line = marks ? yaml_marks_line(marks, pointer) : (int)json_i64(json_array_get(list, i), "line", 1);
        r->file = mem_strdup(name);
        x = r->file ? read_rule(json_array_get(list, i), doc, r, err) : err_nomem(err);
        if (x < 0)
            x = err_wrap(err, "%s:%d", name, r->line);
        else if (rs->all.len >= RULES_MAX)
            x = err_set(err, ERR_LIMIT, "more than %d rules", RULES_MAX);
        else if (!VEC_PUSH(&rs->all, r))
            x = err_nomem(err);
        else
            r = NULL;
    }
    if (x == 0 && !VEC_PUSH(&rs->docs, json_incref(doc)))
        x = err_nomem(err);
    while (x < 0 && rs->all.len > before)
        rule_free(VEC_POP(&rs->all));
    return x;
}

int rules_new(struct rules **ret, struct err *err)
{
    struct rules *rs = mem_zalloc(sizeof *rs);
    if (!rs)
        return err_nomem(err);
    arena_init(&rs->arena, (size_t)64 << 20);
    *ret = rs;
    return 0;
}

static void lang_release(struct lang_rules *t)
{
    struct map *patterns[] = {&t->calls, &t->paths, &t->assigns, &t->pairs};
    for (size_t i = 0; i < 4; i++) {
        MAP_EACH(patterns[i], e)
            for (struct pattern *p = e->value; p; p = p->next) {
                syntax_release(&p->syntax);
                free(p->path);
            }
        map_release(patterns[i]);
    }
    struct pattern *lists[] = {t->returns, t->binaries, t->any_assign, t->any_call, t->any_pair};
    for (size_t i = 0; i < 5; i++)
        for (struct pattern *p = lists[i]; p; p = p->next) {
            syntax_release(&p->syntax);
            free(p->path);
        }
    map_release(&t->sources);
    map_release(&t->sanitizers);
    map_release(&t->handlers);
    map_release(&t->param_notes);
    VEC_RELEASE(&t->lines);
    VEC_RELEASE(&t->checks);
    *t = (struct lang_rules){0};
}

void rules_free(struct rules *rs)
{
    if (!rs)
        return;
    for (int l = 0; l < LANG_COUNT; l++)
        lang_release(&rs->langs[l]);
    VEC_EACH(&rs->all, r)
        rule_free(*r);
    VEC_EACH(&rs->docs, d)
        json_decref(*d);
    VEC_RELEASE(&rs->all);
    VEC_RELEASE(&rs->docs);
    arena_release(&rs->arena);
    free(rs);
}

static int prove(struct rules *rs, size_t from, struct err *err)
{
    uint32_t langs = 0;
    for (size_t i = from; i < rs->all.len; i++)
        langs |= rs->all.v[i]->langs;
    for (int l = 1; l < LANG_COUNT; l++) {
        const struct lang_rules *t;
        int x = langs >> l & 1 ? rules_of(rs, (enum lang)l, &t, err) : 0;
        if (x < 0)
            return x;
    }
    for (size_t i = from; i < rs->all.len; i++) {
        const struct rule *r = rs->all.v[i];
        if (r->match.len && !r->compiled)
            return err_set(err, ERR_INVALID, "%s:%d: rule %s: no pattern is understood in its languages", r->file,
                    r->line, r->id);
    }
    return 0;
}

int rules_load(struct rules *rs, const char *text, size_t len, const char *name, struct err *err)
{
    const struct yaml_limits limits = {.bytes = RULES_TEXT_MAX, .nodes = 400000};
    _cleanup_json_ json_t *doc = NULL;
    _cleanup_(yaml_marks_cleanup_) struct yaml_marks *marks = NULL;
    int x = yaml_parse(text, len, &limits, &doc, &marks, err);
    if (x < 0)
        return err_wrap(err, "%s", name);
    for (int l = 0; l < LANG_COUNT; l++) /* tables are made anew with the new rules in them */
        lang_release(&rs->langs[l]);
    VEC_EACH(&rs->all, r)
        for (int l = 0; l < LANG_COUNT; l++) {
            VEC_EACH(&(*r)->unless_patterns[l], p) {
                syntax_release(&(*p)->syntax);
                free((*p)->path);
            }
            VEC_CLEAR(&(*r)->unless_patterns[l]);
        }
    size_t before = rs->all.len, docs = rs->docs.len;
    x = load_doc(rs, doc, name, marks, err);
    if (x == 0)
        x = prove(rs, before, err);
    if (x < 0) {
        for (int l = 0; l < LANG_COUNT; l++)
            lang_release(&rs->langs[l]);
        while (rs->all.len > before)
            rule_free(VEC_POP(&rs->all));
        while (rs->docs.len > docs)
            json_decref(VEC_POP(&rs->docs));
    }
    return x;
}

int rules_new_builtin(struct rules **ret, struct err *err)
{
    struct rules *rs;
    int x = rules_new(&rs, err);
    if (x < 0)
        return x;
    _cleanup_json_ json_t *all = NULL;
    x = json_parse((const char *)rules_embedded, rules_embedded_len, RULES_TEXT_MAX, &all, err);
    for (size_t i = 0; x == 0 && i < json_array_size(all); i++) {
        json_t *doc = json_array_get(all, i);
        x = load_doc(rs, doc, json_str(doc, "file", "rules"), NULL, err);
    }
    if (x < 0) {
        rules_free(rs);
        return err_wrap(err, "built-in rules");
    }
    *ret = rs;
    return 0;
}

int rules_builtin(struct rules **ret, struct err *err)
{
    static struct rules *shared; /* made before any thread exists, or in a module's own process */
    int x = shared ? 0 : rules_new_builtin(&shared, err);
    if (x == 0)
        *ret = shared;
    return x;
}

size_t rules_count(const struct rules *rs)
{
    return rs->all.len;
}

const struct rule *rules_at(const struct rules *rs, size_t i)
{
    return rs->all.v[i];
}
