/* The parameters of a run: from texts, from defaults, checked by the workflow's schema. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "codec/json.h"
#include "codec/schema.h"
#include "toolbox/toolbox.h"

#include <string.h>

#define NESTING_MAX 16

static int unknown(const json_t *properties, const char *key, struct err *err)
{
    struct suggest s;
    _cleanup_(strbuf_release) struct strbuf all = STRBUF_INIT;
    const char *name;
    json_t *sub;
    suggest_init(&s, key);
    json_object_foreach((json_t *)properties, name, sub) {
        suggest_offer(&s, name);
        strbuf_printf(&all, "%s%s", all.len ? ", " : "", name);
    }
    if (s.best)
        return err_set(err, ERR_INVALID, "unknown parameter '%.100s': did you mean '%s'?", key, s.best);
    if (!all.len)
        return err_set(err, ERR_INVALID, "unknown parameter '%.100s': there are none", key);
    return err_set(err, ERR_INVALID, "unknown parameter '%.100s': there are %.300s", key, strbuf_str(&all));
}

/* Steps to the object that holds the last part of "a.b.c"; key becomes that part. */
static int descend(const json_t **schema, json_t **object, char **key, struct err *err)
{
    char *rest = *key;
    for (int depth = 0; depth < NESTING_MAX; depth++) {
        const json_t *properties = json_object_get(*schema, "properties");
        char *dot = strchr(rest, '.');
        if (!dot || json_object_get(properties, rest)) {
            *key = rest;
            return 0;
        }
        *dot = 0;
        const json_t *sub = json_object_get(properties, rest);
        if (properties && !sub && !json_object_get(*schema, "additionalProperties"))
            return unknown(properties, rest, err);
        json_t *inner = json_object_get(*object, rest);
        if (!json_is_object(inner)) {
            inner = json_object();
            if (!inner || json_object_set_new(*object, rest, inner) < 0)
                return err_nomem(err);
        }
        *schema = sub;
        *object = inner;
        rest = dot + 1;
    }
    return err_set(err, ERR_INVALID, "a parameter nested deeper than %d", NESTING_MAX);
}

int workflow_def_set_text(const struct workflow_def *d, json_t *parameters, const char *key_value, struct err *err)
{
    const char *eq = strchr(key_value, '=');
    if (!eq || eq == key_value)
        return err_set(err, ERR_INVALID, "'%.100s' is no parameter: write key=value", key_value);
    _cleanup_free_ char *path = mem_strndup(key_value, (size_t)(eq - key_value));
    if (!path)
        return err_nomem(err);
    const json_t *schema = d->parameters;
    json_t *object = parameters, *v = NULL;
    char *key = path;
    int r = descend(&schema, &object, &key, err);
    if (r < 0)
        return r;
    const json_t *properties = json_object_get(schema, "properties"), *sub = json_object_get(properties, key);
    const json_t *more = json_object_get(schema, "additionalProperties");
    if (properties && !sub && (!more || json_is_false(more)))
        return unknown(properties, key, err);
    r = schema_value_from_text(sub, eq + 1, &v, err);
    if (r < 0)
        return err_wrap(err, "parameter '%.*s'", (int)(eq - key_value < 100 ? eq - key_value : 100), key_value);
    if (json_object_set_new(object, key, v) < 0)
        return err_set(err, ERR_INVALID, "'%.100s' is not UTF-8 text", key_value);
    return 0;
}

/* Lays given over base, objects member by member. */
static int merge(json_t *base, const json_t *given, int depth)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)given, key, v) {
        json_t *old = json_object_get(base, key);
        if (json_is_object(old) && json_is_object(v) && depth < NESTING_MAX) {
            int r = merge(old, v, depth + 1);
            if (r < 0)
                return r;
        } else if (json_object_set_new(base, key, json_deep_copy(v)) < 0) {
            return -ERR_NO_MEMORY;
        }
    }
    return 0;
}

int workflow_def_parameters(const struct workflow_def *d, const json_t *given, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *all = d->default_parameters ? json_deep_copy(d->default_parameters) : json_object();
    if (!all)
        return err_nomem(err);
    if (given && !json_is_object(given))
        return err_set(err, ERR_INVALID, "parameters must be an object (key: value), not a list or a single value");
    if (merge(all, given, 0) < 0)
        return err_nomem(err);
    int r = schema_apply(d->parameters, all, "parameter", err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(all);
    return 0;
}
