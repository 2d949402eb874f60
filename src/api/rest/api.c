/* The table of routes: read once, then asked for each request. */
#include "api/rest/rest_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/schema.h"

#include <stdio.h>
#include <string.h>

extern const char rest_api_text[];
extern const size_t rest_api_text_len;

static do_route *function_of(const char *op)
{
    static const struct {
        const char *op;
        do_route *run;
    } table[] = {
#define X(name) {#name, do_##name},
#include "api/rest/ops.h"
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(table[i].op, op) == 0)
            return table[i].run;
    return NULL;
}

static enum rest_role role_of(const char *name)
{
    static const char *const names[] = {"none", "viewer", "operator", "admin"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return (enum rest_role)i;
    return REST_ADMIN;
}

static int split(struct route *r, struct err *err)
{
    char *save = NULL;
    r->text = mem_strdup(r->path);
    if (!r->text)
        return err_nomem(err);
    for (char *p = strtok_r(r->text, "/", &save); p && r->parts_count < TARGET_PARTS_MAX; p = strtok_r(NULL, "/", &save))
        r->parts[r->parts_count++] = p;
    return 0;
}

static const char *word(const json_t *route, size_t i)
{
    const char *s = json_string_value(json_array_get(route, i));
    return s ? s : "";
}

static const struct rest_mount *mount_at(const struct rest_mount *mounts, const char *path)
{
    for (; mounts && mounts->path; mounts++)
        if (strcmp(mounts->path, path) == 0)
            return mounts;
    return NULL;
}

static int add_route(struct api *a, const json_t *line, const struct rest_mount *mounts, struct err *err)
{
    struct route *r = &a->routes[a->count];
    if (a->count == ROUTES_MAX)
        return err_set(err, ERR_INTERNAL, "too many routes");
    *r = (struct route){.method = word(line, 0), .path = word(line, 1), .op = word(line, 2), .role = role_of(word(line, 3)),
                        .summary = word(line, 4), .extra = json_array_get(line, 5), .run = function_of(word(line, 2))};
    r->mounted = json_flag(r->extra, "mount", false);
    if (r->mounted) {
        r->run = do_mount;
        r->mount = mount_at(mounts, r->path);
    }
    if (!r->run)
        return err_set(err, ERR_INTERNAL, "nothing serves the route %s", r->op);
    bool stream = strcmp(json_str(r->extra, "type", ""), "text/event-stream") == 0;
    r->lasts = stream || r->mounted || json_flag(r->extra, "websocket", false);
    a->count++;
    return split(r, err);
}

int api_load(struct api *a, const struct rest_mount *mounts, bool open, struct err *err)
{
    size_t i;
    json_t *line;
    int r = json_parse(rest_api_text, rest_api_text_len, rest_api_text_len, &a->doc, err);
    json_array_foreach(json_object_get(a->doc, "routes"), i, line) if (r == 0) r = add_route(a, line, mounts, err);
    if (r == 0)
        r = openapi_write(a, open, &a->openapi, err);
    return r;
}

void api_release(struct api *a)
{
    for (size_t i = 0; i < a->count; i++)
        free(a->routes[i].text);
    json_decref(a->doc);
    free(a->openapi);
    *a = (struct api){0};
}

/* How well a path fits: 0 not at all, else more the more of it is written out. */
static int fits(const struct route *r, const struct target *t)
{
    int score = 1;
    if (t->too_deep || r->parts_count != t->parts_count)
        return 0;
    for (size_t i = 0; i < r->parts_count; i++) {
        if (r->parts[i][0] == '{')
            continue;
        if (strcmp(r->parts[i], t->parts[i]) != 0)
            return 0;
        score++;
    }
    return score;
}

static bool answers_head(const struct route *r)
{
    return strcmp(r->method, "GET") == 0 && !r->mounted;
}

const struct route *api_find(const struct api *a, const char *method, const struct target *t, char *ret_allow)
{
    const struct route *found = NULL;
    int best = 0, path_best = 0, scores[ROUTES_MAX];
    bool head = strcmp(method, "HEAD") == 0;
    ret_allow[0] = 0;
    for (size_t i = 0; i < a->count; i++) {
        scores[i] = fits(&a->routes[i], t);
        path_best = scores[i] > path_best ? scores[i] : path_best;
    }
    for (size_t i = 0; path_best && i < a->count; i++) {
        const struct route *r = &a->routes[i];
        int score = scores[i];
        if (score < path_best)
            continue;
        size_t n = strlen(ret_allow);
        snprintf(ret_allow + n, 64 - n, "%s%s%s", n ? ", " : "", r->method, answers_head(r) ? ", HEAD" : "");
        if (score > best && (head ? answers_head(r) : strcmp(r->method, method) == 0)) {
            found = r;
            best = score;
        }
    }
    return found;
}

const json_t *api_schema(const struct api *a, const char *name)
{
    return json_object_get(json_object_get(a->doc, "schemas"), name);
}

const json_t *api_parameter(const struct api *a, const char *name)
{
    return json_object_get(json_object_get(a->doc, "parameters"), name);
}

/* --- arguments ------------------------------------------------------------------------------------------------- */

/* Its name on the wire. */
static const char *wire_name(const json_t *parameter, const char *name)
{
    return json_str(parameter, "wire", name);
}

/* JSON has more ways to write a number. */
static bool is_whole(const char *text)
{
    const char *digits = text + (*text == '-');
    return *digits && !digits[strspn(digits, "0123456789")];
}

static int check_value(const json_t *parameter, const char *name, const char *text, json_t *args, struct err *err)
{
    json_t *v = NULL;
    struct err why = {0};
    const json_t *schema = json_object_get(parameter, "schema");
    bool odd = strcmp(json_str(schema, "type", ""), "integer") == 0 && !is_whole(text);
    int r = odd ? err_set(&why, ERR_INVALID, "'%.60s' is no integer", text) : schema_value_from_text(schema, text, &v, &why);
    if (r == 0)
        r = schema_apply(schema, v, "value", &why);
    if (r < 0) {
        json_decref(v);
        return err_set(err, r == -ERR_NO_MEMORY ? ERR_NO_MEMORY : ERR_INVALID, "%s: %s", wire_name(parameter, name), why.msg);
    }
    return json_object_set_new(args, name, v) < 0 ? err_nomem(err) : 0;
}

/* A path whose parameter is none is a path that is not there. */
static int check_path(const struct api *a, const struct exchange *x, json_t *args, struct err *err)
{
    const struct route *r = x->route;
    for (size_t i = 0; i < r->parts_count; i++) {
        char name[32];
        size_t n = strlen(r->parts[i]);
        if (r->parts[i][0] != '{' || n - 2 >= sizeof name)
            continue;
        memcpy(name, r->parts[i] + 1, n - 2);
        name[n - 2] = 0;
        int c = check_value(api_parameter(a, name), name, x->target.parts[i], args, err);
        if (c < 0)
            return c == -ERR_INVALID ? err_set(err, ERR_NOT_FOUND, "there is no %s '%.60s'",
                                               strcmp(name, "run_id") == 0 ? "run" : name, x->target.parts[i])
                                     : c;
    }
    return 0;
}

/* The parameter of the route that a field of the query means. */
static const char *query_parameter(const struct api *a, const struct route *r, const char *wire, const json_t **ret)
{
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(r->extra, "query"), i, name) {
        *ret = api_parameter(a, json_string_value(name));
        if (strcmp(wire_name(*ret, json_string_value(name)), wire) == 0)
            return json_string_value(name);
    }
    return NULL;
}

static int check_query(const struct api *a, const struct exchange *x, json_t *args, char *ret_field, struct err *err)
{
    for (size_t i = 0; i < x->target.fields_count; i++) {
        const struct target_field *f = &x->target.fields[i];
        const json_t *parameter = NULL;
        const char *name = query_parameter(a, x->route, f->name, &parameter);
        snprintf(ret_field, 64, "%.60s", f->name);
        if (!name)
            return err_set(err, ERR_INVALID, "%s %s takes no '%.60s' in its query", x->route->method, x->route->path, f->name);
        if (json_object_get(args, name))
            return err_set(err, ERR_INVALID, "%.60s is given twice", f->name);
        int r = check_value(parameter, name, f->value, args, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int api_arguments(const struct api *a, const struct exchange *x, json_t **ret_args, char *ret_field, struct err *err)
{
    size_t i;
    json_t *name;
    _cleanup_json_ json_t *args = json_object();
    int r = args ? check_path(a, x, args, err) : err_nomem(err);
    if (r == 0)
        r = check_query(a, x, args, ret_field, err);
    json_array_foreach(json_object_get(x->route->extra, "header"), i, name) {
        const char *n = json_string_value(name);
        const json_t *parameter = api_parameter(a, n);
        const char *wire = wire_name(parameter, n), *value = request_header(x, wire);
        if (r < 0 || !value)
            continue;
        snprintf(ret_field, 64, "%s", wire);
        r = check_value(parameter, n, value, args, err);
    }
    if (r < 0)
        return r;
    ret_field[0] = 0;
    *ret_args = TAKE_PTR(args);
    return 0;
}
