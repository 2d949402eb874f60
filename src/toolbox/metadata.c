/* metadata.yaml: its keys, each with what it must be, and the line of what is wrong. */
#include "toolbox/toolbox_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/schema.h"
#include "codec/yaml.h"

#include <stdio.h>
#include <string.h>

/* The reading of one file. Its errors are collected in why and at: "/parameters/properties/x". */
struct reader {
    struct workflow_def *d;
    const json_t *doc;
    struct err why;
    char at[SCHEMA_POINTER_MAX + 64];
};

__attribute__((format(printf, 3, 4))) static int bad(struct reader *r, const char *at, const char *fmt, ...)
{
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    snprintf(r->at, sizeof r->at, "%s", at);
    return err_set(&r->why, ERR_INVALID, "%s", text);
}

static int check_key(struct reader *r, const char *at, const char *group, const char *key, const char *const *known, size_t n)
{
    struct suggest s;
    suggest_init(&s, key);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(known[i], key) == 0)
            return 0;
        suggest_offer(&s, known[i]);
    }
    return s.best ? bad(r, at, "unknown key '%s%.80s': did you mean '%s'?", group, key, s.best)
                  : bad(r, at, "unknown key '%s%.80s'", group, key);
}

static int read_string(struct reader *r, const char *key, const char *def, char **ret)
{
    char at[64];
    const json_t *v = json_object_get(r->doc, key);
    snprintf(at, sizeof at, "/%s", key);
    if (v && !json_is_string(v) && json_is_number(v))
        return bad(r, at, "'%s' must be a string: put it into quotes", key);
    if (v && !json_is_string(v) && !json_is_null(v))
        return bad(r, at, "'%s' must be a string", key);
    if (json_is_string(v) && strlen(json_string_value(v)) != json_string_length(v))
        return bad(r, at, "'%s' holds a zero byte", key);
    const char *s = json_is_string(v) ? json_string_value(v) : def;
    if (!s)
        return 0;
    *ret = mem_strdup(s);
    return *ret ? 0 : err_nomem(&r->why);
}

static int read_choice(struct reader *r, const char *key, const char *def, const char *const *choices, char **ret)
{
    char at[64], all[120] = "";
    int c = read_string(r, key, def, ret);
    if (c < 0 || !*ret)
        return c;
    struct suggest s;
    suggest_init(&s, *ret);
    for (size_t i = 0; choices[i]; i++) {
        if (strcmp(choices[i], *ret) == 0)
            return 0;
        suggest_offer(&s, choices[i]);
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "", choices[i]);
    }
    snprintf(at, sizeof at, "/%s", key);
    return bad(r, at, "'%s' must be one of %s, not '%.60s'", key, all, *ret);
}

static int read_names(struct reader *r, const char *key, json_t **ret)
{
    char at[64];
    const json_t *v = json_object_get(r->doc, key);
    size_t i;
    json_t *one;
    if (!v || json_is_null(v))
        return (*ret = json_array()) ? 0 : err_nomem(&r->why);
    snprintf(at, sizeof at, "/%s", key);
    if (!json_is_array(v))
        return bad(r, at, "'%s' must be a list", key);
    json_array_foreach((json_t *)v, i, one)
        if (!json_is_string(one)) {
            snprintf(at, sizeof at, "/%s/%zu", key, i);
            return bad(r, at, "'%s' must be a list of strings", key);
        }
    *ret = json_incref((json_t *)v);
    return 0;
}

static int read_schema(struct reader *r, const char *key, json_t **ret)
{
    json_t *v = json_object_get(r->doc, key);
    char pointer[SCHEMA_POINTER_MAX];
    if (!v || json_is_null(v))
        return 0;
    if (schema_check(v, pointer, &r->why) < 0) {
        snprintf(r->at, sizeof r->at, "/%s%s", key, pointer);
        return err_wrap(&r->why, "%s", key);
    }
    *ret = json_incref(v);
    return 0;
}

static int read_timeout(struct reader *r)
{
    const json_t *v = json_object_get(r->doc, "timeout");
    if (!v || json_is_null(v))
        return 0;
    if (json_is_number(v) && json_number_value(v) > 0 && json_number_value(v) < 3e9) {
        r->d->timeout_ms = (int64_t)(json_number_value(v) * 1000);
        return 0;
    }
    struct err why;
    if (!json_is_string(v) || units_parse_duration_ms(json_string_value(v), &r->d->timeout_ms, &why) < 0)
        return bad(r, "/timeout", "'timeout' must be a time such as 90s, 10m or 2h");
    return 0;
}

/* A size or a number, as a number; -1: it is none. */
static json_int_t resource_value(const char *key, const json_t *v)
{
    uint64_t bytes;
    bool size = strcmp(key, "memory") == 0 || strcmp(key, "disk") == 0;
    if (json_is_integer(v) && json_integer_value(v) > 0)
        return json_integer_value(v);
    if (size && json_is_string(v) && units_parse_size(json_string_value(v), &bytes, NULL) == 0 && bytes > 0 &&
        bytes < INT64_MAX)
        return (json_int_t)bytes;
    return -1;
}

/* CPU time: seconds, or a text such as "10m". A new reference; NULL: it is none. */
static json_t *cpu_value(const json_t *v)
{
    int64_t ms;
    if (json_is_number(v) && json_number_value(v) > 0)
        return json_incref((json_t *)v);
    if (json_is_string(v) && units_parse_duration_ms(json_string_value(v), &ms, NULL) == 0 && ms > 0)
        return ms % 1000 ? json_real((double)ms / 1000) : json_integer(ms / 1000);
    return NULL;
}

/* What to say of a resource that is none. */
static const char *resource_wanted(const char *key)
{
    if (strcmp(key, "cpu") == 0)
        return "a time such as 90s or 10m";
    return strcmp(key, "memory") == 0 || strcmp(key, "disk") == 0 ? "a size such as 256M or 2G" : "a number above 0";
}

static int read_resources(struct reader *r)
{
    static const char *const known[] = {"memory", "cpu", "pids", "disk", "files"};
    const json_t *v = json_object_get(r->doc, "resources");
    const char *key;
    json_t *one;
    char at[200];
    if (!(r->d->resources = json_object()))
        return err_nomem(&r->why);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_object(v))
        return bad(r, "/resources", "'resources' must be a mapping of memory, cpu, pids, disk, files");
    json_object_foreach((json_t *)v, key, one) {
        snprintf(at, sizeof at, "/resources/%.100s", key);
        int x = check_key(r, at, "resources.", key, known, ARRAY_LEN(known));
        if (x < 0)
            return x;
        json_int_t number = strcmp(key, "cpu") == 0 ? -1 : resource_value(key, one);
        json_t *normal = strcmp(key, "cpu") == 0 ? cpu_value(one) : number > 0 ? json_integer(number) : NULL;
        if (!normal)
            return bad(r, at, "'resources.%s' must be %s", key, resource_wanted(key));
        if (json_object_set_new(r->d->resources, key, normal) < 0)
            return err_nomem(&r->why);
    }
    return 0;
}

static int read_defaults(struct reader *r)
{
    json_t *v = json_object_get(r->doc, "default_parameters");
    if (!v || json_is_null(v))
        return (r->d->default_parameters = json_object()) ? 0 : err_nomem(&r->why);
    if (!json_is_object(v))
        return bad(r, "/default_parameters", "'default_parameters' must be a mapping");
    r->d->default_parameters = json_incref(v);
    return 0;
}

/* The defaults must pass the schema themselves; a required one may still be missing from them. */
static int check_defaults(struct reader *r)
{
    if (!r->d->parameters)
        return 0;
    json_t *schema = json_copy(r->d->parameters), *values = json_deep_copy(r->d->default_parameters);
    int c = schema && values ? 0 : err_nomem(&r->why);
    if (c == 0) {
        json_object_del(schema, "required");
        c = schema_apply(schema, values, "parameter", &r->why);
        if (c < 0) {
            snprintf(r->at, sizeof r->at, "/default_parameters");
            err_wrap(&r->why, "default_parameters");
        }
    }
    json_decref(schema);
    json_decref(values);
    return c;
}

/* A name that is no parameter would grant nothing, and nobody would know why. */
static int read_network_if(struct reader *r)
{
    int c = read_string(r, "network_if", NULL, &r->d->network_if);
    if (c < 0 || !r->d->network_if)
        return c;
    json_t *p = json_object_get(json_object_get(r->d->parameters, "properties"), r->d->network_if);
    return strcmp(json_str(p, "type", ""), "boolean") == 0
               ? 0
               : bad(r, "/network_if", "network_if '%.60s' is no parameter of type boolean", r->d->network_if);
}

static int check_keys(struct reader *r)
{
    static const char *const known[] = {"name", "version", "vertical", "description", "author", "tags",
                                        "workspace_isolation", "default_parameters", "parameters", "output_schema",
                                        "required_modules", "timeout", "resources", "network", "network_if",
                                        "schedule", "script"};
    const char *key;
    json_t *v;
    char at[200];
    if (!json_is_object(r->doc))
        return bad(r, "", "must be a mapping of keys (name, version, ...)");
    json_object_foreach((json_t *)r->doc, key, v) {
        snprintf(at, sizeof at, "/%.150s", key);
        int x = check_key(r, at, "", key, known, ARRAY_LEN(known));
        if (x < 0)
            return x;
    }
    return 0;
}

static int read_all(struct reader *r)
{
    static const char *const isolations[] = {"isolated", "shared", "copy-on-write", NULL};
    static const char *const networks[] = {"none", "loopback", "full", NULL};
    struct workflow_def *d = r->d;
    _cleanup_free_ char *name = NULL;
    int c = check_keys(r);
    if (c < 0 || (c = read_string(r, "name", NULL, &name)) < 0)
        return c;
    if (!name)
        return bad(r, "", "'name' is missing");
    if (strcmp(name, d->name) != 0)
        return bad(r, "/name", "name '%.80s' is not that of its folder, '%.80s'", name, d->name);
    if (!json_object_get(r->doc, "version"))
        return bad(r, "", "'version' is missing");
    if ((c = read_string(r, "version", "", &d->version)) < 0 ||
        (c = read_string(r, "vertical", "default", &d->vertical)) < 0 ||
        (c = read_string(r, "description", "", &d->description)) < 0 || (c = read_string(r, "author", "", &d->author)) < 0 ||
        (c = read_names(r, "tags", &d->tags)) < 0 ||
        (c = read_choice(r, "workspace_isolation", "isolated", isolations, &d->isolation)) < 0 ||
        (c = read_schema(r, "parameters", &d->parameters)) < 0 ||
        (c = read_schema(r, "output_schema", &d->output_schema)) < 0 || (c = read_defaults(r)) < 0 ||
        (c = check_defaults(r)) < 0 || (c = read_names(r, "required_modules", &d->required_modules)) < 0 ||
        (c = read_timeout(r)) < 0 || (c = read_resources(r)) < 0 ||
        (c = read_choice(r, "network", NULL, networks, &d->network)) < 0 || (c = read_network_if(r)) < 0 ||
        (c = read_string(r, "schedule", NULL, &d->schedule)) < 0 || (c = read_string(r, "script", NULL, &d->script_of)) < 0)
        return c;
    if (d->script_of && !toolbox_name_valid(d->script_of))
        return bad(r, "/script", "script '%.60s' is no name of a workflow: letters, digits, '-' and '_'", d->script_of);
    if (!toolbox_name_valid(d->vertical))
        return bad(r, "/vertical", "vertical '%.60s' is no name: letters, digits, '-' and '_'", d->vertical);
    return 0;
}

int metadata_read(struct workflow_def *d, const char *path, const char *text, size_t len, struct err *err)
{
    json_t *doc = NULL;
    _cleanup_(yaml_marks_cleanup_) struct yaml_marks *marks = NULL;
    struct reader r = {.d = d};
    int c = yaml_parse(text, len, NULL, &doc, &marks, &r.why), line = 0, at = 0;
    if (c < 0) {
        if (sscanf(r.why.msg, "line %d: %n", &line, &at) < 1)
            at = 0;
        return c == -ERR_NO_MEMORY ? err_copy(err, &r.why) : def_broken(d, path, line, r.why.msg + at, err);
    }
    r.doc = doc;
    c = read_all(&r);
    if (c == -ERR_NO_MEMORY)
        err_copy(err, &r.why);
    else if (c < 0)
        c = def_broken(d, path, yaml_marks_line(marks, r.at), r.why.msg, err);
    json_decref(doc);
    return c;
}
