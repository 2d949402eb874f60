#define PCRE2_CODE_UNIT_WIDTH 8
#include "codec/schema.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "base/units.h"
#include "codec/json.h"

#include <math.h>
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#define MATCH_LIMIT 1000000 /* steps of one pattern: a bad one fails instead of running for ever */

/* Where we are, for messages: "scanner_config.patterns[2]". */
struct place {
    const char *noun;
    char path[200];
    size_t len;
    struct err *err;
};

static size_t enter_key(struct place *p, const char *key)
{
    size_t old = p->len;
    int n = snprintf(p->path + p->len, sizeof p->path - p->len, "%s%s", p->len ? "." : "", key);
    p->len += n > 0 && p->len + (size_t)n < sizeof p->path ? (size_t)n : strlen(p->path + p->len);
    return old;
}

static size_t enter_index(struct place *p, size_t i)
{
    size_t old = p->len;
    int n = snprintf(p->path + p->len, sizeof p->path - p->len, "[%zu]", i);
    p->len += n > 0 && p->len + (size_t)n < sizeof p->path ? (size_t)n : strlen(p->path + p->len);
    return old;
}

static void leave(struct place *p, size_t old)
{
    p->len = old;
    p->path[old] = 0;
}

__attribute__((format(printf, 2, 3))) static int refuse(const struct place *p, const char *fmt, ...)
{
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (p->len == 0)
        return err_set(p->err, ERR_INVALID, "%ss: %s", p->noun, text);
    return err_set(p->err, ERR_INVALID, "%s '%s': %s", p->noun, p->path, text);
}

/* A value as a message shows it, cut. */
static const char *shown(const json_t *v, char buf[64])
{
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    snprintf(buf, 64, "%.50s%s", text ? text : "?", text && strlen(text) > 50 ? "..." : "");
    free(text);
    return buf;
}

static bool is_type(const json_t *v, const char *type)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return strcmp(type, "object") == 0;
    case JSON_ARRAY:
        return strcmp(type, "array") == 0;
    case JSON_STRING:
        return strcmp(type, "string") == 0;
    case JSON_INTEGER:
        return strcmp(type, "integer") == 0 || strcmp(type, "number") == 0;
    case JSON_REAL: /* 1.0 is an integer, says the standard */
        return strcmp(type, "number") == 0 ||
               (strcmp(type, "integer") == 0 && json_real_value(v) == floor(json_real_value(v)));
    case JSON_TRUE:
    case JSON_FALSE:
        return strcmp(type, "boolean") == 0;
    default:
        return strcmp(type, "null") == 0;
    }
}

static bool allows_type(const json_t *schema, const char *type)
{
    const json_t *t = json_object_get(schema, "type");
    size_t i;
    json_t *one;
    if (json_is_string(t))
        return strcmp(json_string_value(t), type) == 0;
    json_array_foreach((json_t *)t, i, one)
        if (json_is_string(one) && strcmp(json_string_value(one), type) == 0)
            return true;
    return false;
}

static int check_type(const json_t *schema, const json_t *v, struct place *p)
{
    const json_t *t = json_object_get(schema, "type");
    char buf[64];
    if (!t)
        return 0;
    if (json_is_string(t))
        return is_type(v, json_string_value(t))
                   ? 0
                   : refuse(p, "%s is no %s", shown(v, buf), json_string_value(t));
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)t, i, one)
        if (json_is_string(one) && is_type(v, json_string_value(one)))
            return 0;
    char list[64];
    return refuse(p, "%s is none of %s", shown(v, buf), shown(t, list));
}

static int check_enum(const json_t *schema, const json_t *v, struct place *p)
{
    const json_t *list = json_object_get(schema, "enum"), *only = json_object_get(schema, "const");
    char buf[64], want[64];
    size_t i;
    json_t *one;
    if (only && !json_equal(only, v))
        return refuse(p, "%s is not %s", shown(v, buf), shown(only, want));
    if (!list)
        return 0;
    struct suggest s;
    suggest_init(&s, json_is_string(v) ? json_string_value(v) : "");
    json_array_foreach((json_t *)list, i, one) {
        if (json_equal(one, v) || (json_is_number(one) && json_is_number(v) && json_number_value(one) == json_number_value(v)))
            return 0;
        if (json_is_string(one))
            suggest_offer(&s, json_string_value(one));
    }
    char *all = json_dumps(list, JSON_COMPACT);
    int r = s.best ? refuse(p, "%s is none of %.150s: did you mean '%s'?", shown(v, buf), all ? all : "", s.best)
                   : refuse(p, "%s is none of %.150s", shown(v, buf), all ? all : "");
    free(all);
    return r;
}

static int check_number(const json_t *schema, const json_t *v, struct place *p)
{
    char buf[64], bound[64];
    const json_t *b;
    double d = json_number_value(v);
    if ((b = json_object_get(schema, "minimum")) && d < json_number_value(b))
        return refuse(p, "%s is less than %s", shown(v, buf), shown(b, bound));
    if ((b = json_object_get(schema, "maximum")) && d > json_number_value(b))
        return refuse(p, "%s is more than %s", shown(v, buf), shown(b, bound));
    if (json_is_number(b = json_object_get(schema, "exclusiveMinimum")) && d <= json_number_value(b))
        return refuse(p, "%s is not more than %s", shown(v, buf), shown(b, bound));
    if (json_is_number(b = json_object_get(schema, "exclusiveMaximum")) && d >= json_number_value(b))
        return refuse(p, "%s is not less than %s", shown(v, buf), shown(b, bound));
    if ((b = json_object_get(schema, "multipleOf")) && fabs(remainder(d, json_number_value(b))) > 1e-9)
        return refuse(p, "%s is no multiple of %s", shown(v, buf), shown(b, bound));
    return 0;
}

static size_t code_points(const char *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)s[i] & 0xc0) != 0x80;
    return count;
}

static int check_pattern(const char *pattern, const json_t *v, struct place *p)
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_NO_UTF_CHECK, &code, &at,
                                   NULL);
    if (!re)
        return refuse(p, "pattern '%.60s' cannot be compiled", pattern);
    pcre2_match_data *md = pcre2_match_data_create_from_pattern(re, NULL);
    pcre2_match_context *mc = pcre2_match_context_create(NULL);
    int r = PCRE2_ERROR_NOMEMORY;
    if (md && mc) {
        pcre2_set_match_limit(mc, MATCH_LIMIT);
        r = pcre2_match(re, (PCRE2_SPTR)json_string_value(v), json_string_length(v), 0, PCRE2_NO_UTF_CHECK, md, mc);
    }
    pcre2_match_context_free(mc);
    pcre2_match_data_free(md);
    pcre2_code_free(re);
    char buf[64];
    if (r == PCRE2_ERROR_NOMEMORY)
        return err_nomem(p->err);
    return r >= 0 ? 0 : refuse(p, "%s does not match '%.80s'", shown(v, buf), pattern);
}

static int check_string(const json_t *schema, const json_t *v, struct place *p)
{
    size_t n = code_points(json_string_value(v), json_string_length(v));
    const json_t *b;
    if ((b = json_object_get(schema, "minLength")) && (json_int_t)n < json_integer_value(b))
        return refuse(p, "shorter than %lld character%s", (long long)json_integer_value(b), UNITS_S(json_integer_value(b)));
    if ((b = json_object_get(schema, "maxLength")) && (json_int_t)n > json_integer_value(b))
        return refuse(p, "longer than %lld character%s", (long long)json_integer_value(b), UNITS_S(json_integer_value(b)));
    struct err why = {0};
    int64_t ms;
    if (strcmp(json_str(schema, "format", ""), "time-span") == 0 && units_parse_duration_ms(json_string_value(v), &ms, &why) < 0)
        return refuse(p, "%s", why.msg);
    const char *pattern = json_str(schema, "pattern", NULL);
    return pattern ? check_pattern(pattern, v, p) : 0;
}

static int apply(const json_t *schema, json_t *v, struct place *p);

static int check_array(const json_t *schema, json_t *v, struct place *p)
{
    const json_t *b, *items = json_object_get(schema, "items");
    size_t n = json_array_size(v);
    if ((b = json_object_get(schema, "minItems")) && (json_int_t)n < json_integer_value(b))
        return refuse(p, "fewer than %lld element%s", (long long)json_integer_value(b), UNITS_S(json_integer_value(b)));
    if ((b = json_object_get(schema, "maxItems")) && (json_int_t)n > json_integer_value(b))
        return refuse(p, "more than %lld element%s", (long long)json_integer_value(b), UNITS_S(json_integer_value(b)));
    if (json_flag(schema, "uniqueItems", false))
        for (size_t i = 1; i < n && i < 2000; i++)
            for (size_t k = 0; k < i; k++)
                if (json_equal(json_array_get(v, i), json_array_get(v, k)))
                    return refuse(p, "elements %zu and %zu are equal", k, i);
    for (size_t i = 0; items && i < n; i++) {
        size_t old = enter_index(p, i);
        int r = apply(items, json_array_get(v, i), p);
        if (r < 0)
            return r;
        leave(p, old);
    }
    return 0;
}

static int unknown_member(const json_t *properties, const char *key, struct place *p)
{
    struct suggest s;
    const char *name;
    json_t *sub;
    suggest_init(&s, key);
    json_object_foreach((json_t *)properties, name, sub)
        suggest_offer(&s, name);
    enter_key(p, key);
    if (s.best)
        return err_set(p->err, ERR_INVALID, "unknown %s '%s': did you mean '%s'?", p->noun, p->path, s.best);
    return err_set(p->err, ERR_INVALID, "unknown %s '%s'", p->noun, p->path);
}

static int check_members(const json_t *schema, json_t *v, struct place *p)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *more = json_object_get(schema, "additionalProperties");
    const char *key;
    json_t *member;
    json_object_foreach(v, key, member) {
        const json_t *sub = json_object_get(properties, key);
        if (!sub && (json_is_false(more) || (!more && properties)))
            return unknown_member(properties, key, p);
        if (!sub)
            sub = more;
        size_t old = enter_key(p, key);
        int r = apply(sub, member, p);
        if (r < 0)
            return r;
        leave(p, old);
    }
    return 0;
}

static int fill_defaults(const json_t *schema, json_t *v, struct place *p)
{
    const char *key;
    json_t *sub;
    json_object_foreach(json_object_get(schema, "properties"), key, sub) {
        const json_t *def = json_object_get(sub, "default");
        if (!def || json_object_get(v, key))
            continue;
        if (json_object_set_new(v, key, json_deep_copy(def)) < 0)
            return err_nomem(p->err);
    }
    return 0;
}

static int check_object(const json_t *schema, json_t *v, struct place *p)
{
    const json_t *b;
    size_t i;
    json_t *name;
    int r = fill_defaults(schema, v, p);
    if (r < 0)
        return r;
    json_array_foreach(json_object_get(schema, "required"), i, name) {
        if (!json_is_string(name) || json_object_get(v, json_string_value(name)))
            continue;
        /* A mistyped name is better news than a missing one. */
        if ((r = check_members(schema, v, p)) < 0)
            return r;
        enter_key(p, json_string_value(name));
        return refuse(p, "is required");
    }
    if ((b = json_object_get(schema, "minProperties")) && (json_int_t)json_object_size(v) < json_integer_value(b))
        return refuse(p, "fewer than %lld member%s", (long long)json_integer_value(b), UNITS_S(json_integer_value(b)));
    if ((b = json_object_get(schema, "maxProperties")) && (json_int_t)json_object_size(v) > json_integer_value(b))
        return refuse(p, "more than %lld member%s", (long long)json_integer_value(b), UNITS_S(json_integer_value(b)));
    return check_members(schema, v, p);
}

static int check_combined(const json_t *schema, json_t *v, struct place *p)
{
    static const char *const any[] = {"anyOf", "oneOf"};
    size_t i;
    json_t *sub;
    json_array_foreach(json_object_get(schema, "allOf"), i, sub) {
        int r = apply(sub, v, p);
        if (r < 0)
            return r;
    }
    for (size_t k = 0; k < ARRAY_LEN(any); k++) {
        const json_t *list = json_object_get(schema, any[k]);
        size_t fits = 0;
        struct err ignored;
        json_array_foreach((json_t *)list, i, sub) {
            struct place q = *p;
            q.err = &ignored;
            fits += apply(sub, v, &q) == 0;
        }
        if (list && (fits == 0 || (k == 1 && fits > 1)))
            return refuse(p, fits ? "fits more than one of the forms allowed" : "fits none of the forms allowed");
    }
    const json_t *not = json_object_get(schema, "not");
    struct err ignored;
    struct place q = *p;
    q.err = &ignored;
    return not && apply(not, v, &q) == 0 ? refuse(p, "has a form that is not allowed") : 0;
}

static int apply(const json_t *schema, json_t *v, struct place *p)
{
    if (json_is_false(schema))
        return refuse(p, "is not allowed");
    if (!json_is_object(schema))
        return 0;
    int r = check_type(schema, v, p);
    if (r == 0)
        r = check_enum(schema, v, p);
    if (r == 0 && json_is_number(v))
        r = check_number(schema, v, p);
    if (r == 0 && json_is_string(v))
        r = check_string(schema, v, p);
    if (r == 0 && json_is_array(v))
        r = check_array(schema, v, p);
    if (r == 0 && json_is_object(v))
        r = check_object(schema, v, p);
    return r == 0 ? check_combined(schema, v, p) : r;
}

int schema_apply(const json_t *schema, json_t *value, const char *noun, struct err *err)
{
    struct place p = {.noun = noun, .err = err};
    return apply(schema, value, &p);
}

/* ---- is it a schema? ---- */

enum wants { ANY, BOOLEAN, NUMBER, POSITIVE, COUNT, TEXT, TYPES, NAMES, VALUES, SCHEMA, SCHEMAS, SCHEMA_MAP, PATTERN };

static const struct {
    const char *name;
    enum wants wants;
} keywords[] = {
    {"type", TYPES},           {"properties", SCHEMA_MAP},    {"required", NAMES},
    {"enum", VALUES},          {"const", ANY},                {"minimum", NUMBER},
    {"maximum", NUMBER},       {"exclusiveMinimum", NUMBER},  {"exclusiveMaximum", NUMBER},
    {"multipleOf", POSITIVE},  {"minLength", COUNT},          {"maxLength", COUNT},
    {"pattern", PATTERN},      {"items", SCHEMA},             {"minItems", COUNT},
    {"maxItems", COUNT},       {"uniqueItems", BOOLEAN},      {"minProperties", COUNT},
    {"maxProperties", COUNT},  {"additionalProperties", SCHEMA}, {"default", ANY},
    {"allOf", SCHEMAS},        {"anyOf", SCHEMAS},            {"oneOf", SCHEMAS},
    {"not", SCHEMA},           {"title", TEXT},               {"description", TEXT},
    {"examples", ANY},         {"example", ANY},              {"format", TEXT},
    {"deprecated", BOOLEAN},   {"readOnly", BOOLEAN},         {"writeOnly", BOOLEAN},
    {"$schema", TEXT},         {"$id", TEXT},                 {"$comment", TEXT},
};

struct checker {
    char *pointer;
    size_t len;
    struct err *err;
};

static void push(struct checker *c, const char *part)
{
    if (c->pointer && c->len + strlen(part) * 2 + 2 < SCHEMA_POINTER_MAX) {
        c->pointer[c->len++] = '/';
        for (; *part; part++) {
            if (*part == '~' || *part == '/') {
                c->pointer[c->len++] = '~';
                c->pointer[c->len++] = *part == '~' ? '0' : '1';
            } else {
                c->pointer[c->len++] = *part;
            }
        }
        c->pointer[c->len] = 0;
    }
}

static int check_schema(struct checker *c, const json_t *schema);

static bool known_type(const json_t *t)
{
    static const char *const types[] = {"object", "array", "string", "integer", "number", "boolean", "null"};
    for (size_t i = 0; json_is_string(t) && i < ARRAY_LEN(types); i++)
        if (strcmp(types[i], json_string_value(t)) == 0)
            return true;
    return false;
}

static bool all_strings(const json_t *list)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)list, i, one)
        if (!json_is_string(one))
            return false;
    return json_is_array(list);
}

static bool types_fit(const json_t *v)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)v, i, one)
        if (!known_type(one))
            return false;
    return json_is_array(v) ? json_array_size(v) > 0 : known_type(v);
}

static bool pattern_fits(const json_t *v)
{
    int code;
    PCRE2_SIZE at;
    if (!json_is_string(v))
        return false;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)json_string_value(v), json_string_length(v), PCRE2_UTF | PCRE2_NO_UTF_CHECK,
                                   &code, &at, NULL);
    pcre2_code_free(re);
    return re;
}

/* What a keyword's value should have been; NULL: it is. */
static const char *plain_fault(enum wants w, const json_t *v)
{
    switch (w) {
    case BOOLEAN:
        return json_is_boolean(v) ? NULL : "must be true or false";
    case NUMBER:
        return json_is_number(v) ? NULL : "must be a number";
    case POSITIVE:
        return json_is_number(v) && json_number_value(v) > 0 ? NULL : "must be a number above 0";
    case COUNT:
        return json_is_integer(v) && json_integer_value(v) >= 0 ? NULL : "must be a whole number";
    case TEXT:
        return json_is_string(v) ? NULL : "must be a string";
    case TYPES:
        return types_fit(v) ? NULL : "must be object, array, string, integer, number, boolean or null";
    case NAMES:
        return all_strings(v) ? NULL : "must be a list of names";
    case VALUES:
        return json_is_array(v) ? NULL : "must be a list of values";
    case PATTERN:
        return pattern_fits(v) ? NULL : "is no regular expression";
    case SCHEMAS:
        return json_is_array(v) ? NULL : "must be a list of schemas";
    case SCHEMA_MAP:
        return json_is_object(v) ? NULL : "must be a mapping of names to schemas";
    default:
        return NULL;
    }
}

static int check_keyword(struct checker *c, const char *name, enum wants w, const json_t *v)
{
    const char *fault = plain_fault(w, v), *key;
    json_t *sub;
    size_t i;
    int r = 0;
    if (fault)
        return err_set(c->err, ERR_INVALID, "'%s' %s", name, fault);
    if (w == SCHEMA)
        return check_schema(c, v);
    size_t len = c->len;
    if (w == SCHEMA_MAP)
        json_object_foreach((json_t *)v, key, sub) {
            push(c, key);
            if ((r = check_schema(c, sub)) < 0)
                return r;
            c->len = len;
        }
    if (w == SCHEMAS)
        json_array_foreach((json_t *)v, i, sub) {
            char index[24];
            snprintf(index, sizeof index, "%zu", i);
            push(c, index);
            if ((r = check_schema(c, sub)) < 0)
                return r;
            c->len = len;
        }
    return r;
}

static int check_schema(struct checker *c, const json_t *schema)
{
    const char *key;
    json_t *v;
    if (json_is_boolean(schema))
        return 0;
    if (!json_is_object(schema))
        return err_set(c->err, ERR_INVALID, "a schema must be a mapping");
    json_object_foreach((json_t *)schema, key, v) {
        struct suggest s;
        size_t k = 0, len = c->len;
        suggest_init(&s, key);
        while (k < ARRAY_LEN(keywords) && strcmp(keywords[k].name, key) != 0)
            suggest_offer(&s, keywords[k++].name);
        push(c, key);
        if (k == ARRAY_LEN(keywords))
            return s.best ? err_set(c->err, ERR_INVALID, "unknown schema keyword '%s': did you mean '%s'?", key, s.best)
                          : err_set(c->err, ERR_INVALID, "unknown schema keyword '%s'", key);
        int r = check_keyword(c, key, keywords[k].wants, v);
        if (r < 0)
            return r;
        c->len = len;
        if (c->pointer)
            c->pointer[len] = 0;
    }
    return 0;
}

int schema_check(const json_t *schema, char *ret_pointer, struct err *err)
{
    struct checker c = {.pointer = ret_pointer, .err = err};
    if (ret_pointer)
        *ret_pointer = 0;
    return check_schema(&c, schema);
}

/* ---- texts ---- */

static bool type_fits(const json_t *schema, const json_t *v)
{
    struct err ignored;
    struct place p = {.noun = "", .err = &ignored};
    return check_type(schema, v, &p) == 0;
}

static int split_list(const json_t *schema, const char *text, json_t **ret, struct err *err)
{
    json_t *list = json_array();
    const json_t *items = json_object_get(schema, "items");
    int r = list ? 0 : err_nomem(err);
    for (const char *p = text; r == 0 && *text;) {
        size_t n = strcspn(p, ",");
        char *part = mem_strndup(p, n);
        json_t *v = NULL;
        r = part ? schema_value_from_text(items, part, &v, err) : err_nomem(err);
        if (r == 0 && json_array_append_new(list, v) < 0)
            r = err_nomem(err);
        free(part);
        if (!p[n])
            break;
        p += n + 1;
    }
    if (r < 0) {
        json_decref(list);
        return r;
    }
    *ret = list;
    return 0;
}

int schema_value_from_text(const json_t *schema, const char *text, json_t **ret, struct err *err)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"yes", true}, {"on", true}, {"no", false}, {"off", false}};
    bool typed = json_object_get(schema, "type");
    json_t *v = NULL;
    if (typed && allows_type(schema, "string") && !allows_type(schema, "object") && !allows_type(schema, "array") &&
        !allows_type(schema, "integer") && !allows_type(schema, "number") && !allows_type(schema, "boolean")) {
        *ret = json_string(text);
        return *ret ? 0 : err_set(err, ERR_INVALID, "'%.60s' is not UTF-8 text", text);
    }
    if (json_parse(text, strlen(text), (size_t)1 << 20, &v, NULL) == 0) {
        if (!typed || type_fits(schema, v)) {
            *ret = v;
            return 0;
        }
        json_decref(v);
    }
    for (size_t i = 0; typed && allows_type(schema, "boolean") && i < ARRAY_LEN(words); i++)
        if (strcmp(text, words[i].word) == 0) {
            *ret = json_boolean(words[i].value);
            return 0;
        }
    if (!typed || allows_type(schema, "string")) {
        *ret = json_string(text);
        return *ret ? 0 : err_set(err, ERR_INVALID, "'%.60s' is not UTF-8 text", text);
    }
    if (allows_type(schema, "array"))
        return split_list(schema, text, ret, err);
    char want[64];
    const json_t *t = json_object_get(schema, "type");
    return err_set(err, ERR_INVALID, "'%.60s' is no %s", text, json_is_string(t) ? json_string_value(t) : shown(t, want));
}
