/* /openapi.json (spec.openapis.org/oas/v3.1.0), made from the table. */
#include "api/rest/rest_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

static json_t *ref(const char *kind, const char *name)
{
    char text[100];
    snprintf(text, sizeof text, "#/components/%s/%s", kind, name);
    return json_pack("{s:s}", "$ref", text);
}

static void add_parameter(const struct api *a, json_t *list, const char *name)
{
    const json_t *p = api_parameter(a, name);
    bool required = strcmp(json_str(p, "in", ""), "path") == 0 || json_flag(p, "required", false);
    json_t *j = json_pack("{s:s, s:s, s:b, s:O}", "name", json_str(p, "wire", name), "in", json_str(p, "in", "query"), "required",
                          required, "schema", json_object_get(p, "schema"));
    const char *text = json_str(p, "description", NULL);
    if (j && text)
        json_object_set_new(j, "description", json_string(text));
    if (j)
        json_array_append_new(list, j);
}

static json_t *parameters(const struct api *a, const struct route *r)
{
    static const char *const kinds[] = {"query", "header"};
    json_t *list = json_array(), *name;
    size_t i;
    for (size_t k = 0; k < r->parts_count; k++) {
        char word[40];
        if (r->parts[k][0] != '{')
            continue;
        snprintf(word, sizeof word, "%.*s", (int)strlen(r->parts[k]) - 2, r->parts[k] + 1);
        add_parameter(a, list, word);
    }
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
        json_array_foreach(json_object_get(r->extra, kinds[k]), i, name)
            add_parameter(a, list, json_string_value(name));
    if (r->role != REST_NONE && !r->mounted && !json_flag(r->extra, "all", false))
        add_parameter(a, list, "X-FF-Namespace");
    return list;
}

static json_t *body(const struct route *r)
{
    const char *json = json_str(r->extra, "body", NULL), *form = json_str(r->extra, "form", NULL);
    if (json_flag(r->extra, "bytes", false))
        return json_pack("{s:b, s:{s:{s:{s:s, s:s}}}}", "required", 1, "content", "application/octet-stream", "schema", "type",
                         "string", "format", "binary");
    if (json)
        return json_pack("{s:b, s:{s:{s:o}}}", "required", strcmp(json, "Any") != 0, "content", "application/json", "schema",
                         ref("schemas", json));
    return json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content", "multipart/form-data", "schema", ref("schemas", form));
}

/* What is mounted has errors of its own kind beside the server's. */
static json_t *error_answer(const struct route *r, const char *description)
{
    const char *own = json_str(r->extra, "error", NULL);
    json_t *schema = ref("schemas", "Error");
    if (own)
        schema = json_pack("{s:[o, o]}", "anyOf", schema, ref("schemas", own));
    return json_pack("{s:s, s:{s:{s:o}}}", "description", description, "content", "application/json", "schema", schema);
}

static bool has_header(const struct route *r, const char *wanted)
{
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(r->extra, "header"), i, name)
        if (strcmp(json_string_value(name), wanted) == 0)
            return true;
    return false;
}

static json_t *done(const struct route *r, int status)
{
    const char *schema = json_str(r->extra, "answer", NULL), *type = json_str(r->extra, "type", "application/json");
    json_t *j;
    if (json_flag(r->extra, "websocket", false))
        return json_pack("{s:s}", "description", "the connection speaks WebSocket from here on");
    if (status == 204)
        return json_pack("{s:s}", "description", "done");
    if (schema)
        j = json_pack("{s:s, s:{s:{s:o}}}", "description", "done", "content", type, "schema", ref("schemas", schema));
    else if (strcmp(type, "application/json") == 0)
        j = json_pack("{s:s, s:{s:{s:{}}}}", "description", "done", "content", type, "schema");
    else
        j = json_pack("{s:s, s:{s:{s:{s:s}}}}", "description", "done", "content", type, "schema", "type", "string");
    if (json_flag(r->extra, "stream", false))
        json_object_set_new(json_object_get(j, "content"), "text/event-stream",
                            json_pack("{s:{s:s}}", "schema", "type", "string"));
    return j;
}

static json_t *answers(const struct route *r)
{
    char status[16];
    size_t i;
    json_t *j = json_object(), *code;
    int ok = (int)json_i64(r->extra, "status", 200);
    snprintf(status, sizeof status, "%d", ok);
    json_object_set_new(j, status, done(r, ok));
    json_array_foreach(json_object_get(r->extra, "empty"), i, code) {
        snprintf(status, sizeof status, "%d", (int)json_integer_value(code));
        json_object_set_new(j, status, json_pack("{s:s}", "description", "taken; there is nothing to answer"));
    }
    if (has_header(r, "If-None-Match"))
        json_object_set_new(j, "304", json_pack("{s:s}", "description", "the client has it already"));
    if (strcmp(json_str(r->extra, "type", ""), "text/event-stream") == 0 && !r->mounted)
        json_object_set_new(j, "204", json_pack("{s:s}", "description", "the client has seen all, and no more will come"));
    json_array_foreach(json_object_get(r->extra, "errors"), i, code) {
        snprintf(status, sizeof status, "%d", (int)json_integer_value(code));
        json_object_set_new(j, status, error_answer(r, "an error"));
    }
    if (r->role != REST_NONE) {
        json_object_set_new(j, "401", error_answer(r, "no token, or not a valid one"));
        json_object_set_new(j, "403", error_answer(r, "not allowed"));
    }
    json_object_set_new(j, "404", error_answer(r, "not found"));
    json_object_set_new(j, "default", error_answer(r, "an error"));
    return j;
}

static json_t *operation(const struct api *a, const struct route *r)
{
    json_t *j = json_pack("{s:s, s:s, s:[s], s:o, s:o}", "operationId", r->op, "summary", r->summary, "tags",
                          r->parts_count ? r->parts[0] : "server", "parameters", parameters(a, r), "responses", answers(r));
    if (!j)
        return NULL;
    if (json_object_get(r->extra, "body") || json_object_get(r->extra, "form") ||
        json_flag(r->extra, "bytes", false))
        json_object_set_new(j, "requestBody", body(r));
    if (r->role == REST_NONE)
        json_object_set_new(j, "security", json_array());
    return j;
}

int openapi_write(const struct api *a, bool open, char **ret, struct err *err)
{
    _cleanup_json_ json_t *paths = json_object();
    for (size_t i = 0; i < a->count; i++) {
        const struct route *r = &a->routes[i];
        char method[16];
        size_t n = 0;
        for (; r->method[n] && n + 1 < sizeof method; n++)
            method[n] = (char)(r->method[n] | 0x20);
        method[n] = 0;
        json_t *path = json_object_get(paths, r->path);
        if (!path)
            json_object_set_new(paths, r->path, path = json_object());
        json_object_set_new(path, method, operation(a, r));
    }
    _cleanup_json_ json_t *doc = json_pack(
        "{s:s, s:{s:s, s:s, s:s}, s:O, s:{s:O}}", "openapi", "3.1.0", "info", "title", "FuzzForge", "version", "1", "summary",
        "Security-testing workflows", "paths", paths, "components", "schemas", json_object_get(a->doc, "schemas"));
    if (!doc)
        return err_nomem(err);
    if (!open) {
        json_object_set_new(json_object_get(doc, "components"), "securitySchemes",
                            json_pack("{s:{s:s, s:s}}", "token", "type", "http", "scheme", "bearer"));
        json_object_set_new(doc, "security", json_pack("[{s:[]}]", "token"));
    }
    struct strbuf b = STRBUF_INIT_MAX((size_t)4 << 20);
    int r = json_write(doc, &b, err);
    *ret = r == 0 ? strbuf_take(&b, NULL) : NULL;
    strbuf_release(&b);
    return r == 0 && !*ret ? err_nomem(err) : r;
}
