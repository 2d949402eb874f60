/* module.yaml: what a module's folder says about itself. Every mistake is named with its file and line. */
#include "module/module_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/suggest.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "os/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TAGS_MAX 32
#define TAG_MAX 64
#define ARGV_MAX 64

struct reading {
    const char *path; /* of the file */
    struct yaml_marks *marks;
    struct module_def *def;
};

typedef int read_field(const struct reading *y, const char *at, const json_t *v, struct err *err);

/* An error at a JSON pointer. */
__attribute__((format(printf, 4, 5))) static int
wrong(const struct reading *y, const char *at, struct err *err, const char *fmt, ...)
{
    char text[ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(err, ERR_INVALID, "%s:%d: %s", y->path, yaml_marks_line(y->marks, at), text);
}

static int take_string(const struct reading *y, const char *at, const json_t *v, size_t max, char **ret,
                       struct err *err)
{
    const char *key = at + 1;
    if (json_is_number(v)) {
        wrong(y, at, err, "'%s' must be a string", key);
        err_hint(err, "put it in quotes: %s: \"1.0\"", key);
        return -ERR_INVALID;
    }
    if (!json_is_string(v))
        return wrong(y, at, err, "'%s' must be a string", key);
    const char *s = json_string_value(v);
    if (!*s || strlen(s) != json_string_length(v))
        return wrong(y, at, err, "'%s' must not be empty", key);
    if (strlen(s) > max)
        return wrong(y, at, err, "'%s' is longer than %zu bytes", key, max);
    *ret = mem_strdup(s);
    return *ret ? 0 : err_nomem(err);
}

static int read_name(const struct reading *y, const char *at, const json_t *v, struct err *err)
{
    if (!json_is_string(v))
        return wrong(y, at, err, "'name' must be a string");
    if (strcmp(json_string_value(v), y->def->name) != 0)
        return wrong(y, at, err, "the name '%.64s' is not that of its folder, '%s'", json_string_value(v),
                     y->def->name);
    return 0;
}

static int read_version(const struct reading *y, const char *at, const json_t *v, struct err *err)
{
    return take_string(y, at, v, 64, &y->def->version, err);
}

static int read_description(const struct reading *y, const char *at, const json_t *v, struct err *err)
{
    return take_string(y, at, v, 4096, &y->def->description, err);
}

static int read_category(const struct reading *y, const char *at, const json_t *v, struct err *err)
{
    if (!json_is_string(v))
        return wrong(y, at, err, "'category' must be a string");
    struct err e = {0};
    if (module_category_parse(json_string_value(v), &y->def->category, &e) == 0)
        return 0;
    wrong(y, at, err, "%s", e.msg);
    err_hint(err, "%s", e.hint);
    return -ERR_INVALID;
}

/* A list of strings into a NULL-terminated array. */
static int take_list(const struct reading *y, const char *at, const json_t *v, size_t max, size_t text_max,
                     char ***ret, struct err *err)
{
    if (!json_is_array(v))
        return wrong(y, at, err, "'%s' must be a list of strings", at + 1);
    if (json_array_size(v) > max)
        return wrong(y, at, err, "'%s' has more than %zu entries", at + 1, max);
    *ret = mem_calloc(json_array_size(v) + 1, sizeof **ret);
    if (!*ret)
        return err_nomem(err);
    size_t i;
    json_t *one;
    json_array_foreach(v, i, one) {
        char here[64];
        snprintf(here, sizeof here, "%s/%zu", at, i);
        const char *s = json_string_value(one);
        if (!s || strlen(s) != json_string_length(one))
            return wrong(y, here, err, "entry %zu of '%s' must be a string", i + 1, at + 1);
        if (strlen(s) > text_max)
            return wrong(y, here, err, "entry %zu of '%s' is longer than %zu bytes", i + 1, at + 1, text_max);
        if (!((*ret)[i] = mem_strdup(s)))
            return err_nomem(err);
    }
    return 0;
}

static int read_tags(const struct reading *y, const char *at, const json_t *v, struct err *err)
{
    return take_list(y, at, v, TAGS_MAX, TAG_MAX, &y->def->tags, err);
}

static int take_schema(const struct reading *y, const char *at, const json_t *v, json_t **ret,
                       struct err *err)
{
    if (!json_is_object(v))
        return wrong(y, at, err, "'%s' must be a JSON Schema, a mapping", at + 1);
    *ret = json_incref((json_t *)(uintptr_t)v);
    return 0;
}

static int read_input_schema(const struct reading *y, const char *at, const json_t *v, struct err *err)
{
    return take_schema(y, at, v, &y->def->input_schema, err);
}

static int read_output_schema(const struct reading *y, const char *at, const json_t *v, struct err *err)
{
    return take_schema(y, at, v, &y->def->output_schema, err);
}

static int read_requires_workspace(const struct reading *y, const char *at, const json_t *v, struct err *err)
{
    if (!json_is_boolean(v))
        return wrong(y, at, err, "'requires_workspace' must be true or false");
    y->def->requires_workspace = json_is_true(v);
    return 0;
}

/* A path below the folder, without "./" in front: NULL if it is absolute or climbs out. */
static const char *below(const char *path)
{
    while (path[0] == '.' && path[1] == '/')
        path += 2 + strspn(path + 2, "/");
    if (path[0] == '/' || !*path)
        return NULL;
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return NULL;
        p += n + (p[n] == '/');
    }
    return path;
}

/* Is that file of the folder there, and what the mode asks? */
static int check_file(const struct reading *y, const char *at, const char *file, bool executable,
                      struct err *err)
{
    _cleanup_free_ char *host = os_path_join(y->def->dir, file);
    struct stat st;
    if (!host)
        return err_nomem(err);
    if (stat(host, &st) < 0 || !S_ISREG(st.st_mode)) {
        wrong(y, at, err, "'%s' is no file in the module's folder", file);
        err_hint(err, "a program of the system needs its whole path, such as /usr/bin/%s", file);
        return -ERR_INVALID;
    }
    if (executable && !(st.st_mode & 0111)) {
        wrong(y, at, err, "'%s' is not executable", file);
        err_hint(err, "chmod +x %s", host);
        return -ERR_INVALID;
    }
    return 0;
}

static int read_exec(const struct reading *y, const char *at, const json_t *v, struct err *err)
{
    struct module_def *d = y->def;
    int r = take_list(y, at, v, ARGV_MAX, 4096, &d->argv, err);
    if (r < 0)
        return r;
    d->kind = MODULE_EXECUTABLE;
    if (!d->argv[0] || !*d->argv[0])
        return wrong(y, at, err, "'exec' names no program");
    if (d->argv[0][0] == '/')
        return 0;
    const char *file = below(d->argv[0]);
    if (!file)
        return wrong(y, "/exec/0", err, "'%.200s' leads out of the module's folder", d->argv[0]);
    r = check_file(y, "/exec/0", file, true, err);
    if (r < 0)
        return r;
    char *inside = mem_printf(MODULE_INSIDE "/%s", file);
    if (!inside)
        return err_nomem(err);
    free(d->argv[0]);
    d->argv[0] = inside;
    return 0;
}

static int read_library(const struct reading *y, const char *at, const json_t *v, struct err *err)
{
    struct module_def *d = y->def;
    _cleanup_free_ char *given = NULL;
    int r = take_string(y, at, v, 4096, &given, err);
    if (r < 0)
        return r;
    d->kind = MODULE_SHARED_OBJECT;
    const char *file = below(given);
    if (!file)
        return wrong(y, at, err, "'%.200s' leads out of the module's folder", given);
    if ((r = check_file(y, at, file, false, err)) < 0)
        return r;
    d->library = mem_strdup(file);
    d->entry = mem_printf(MODULE_SO_ENTRY "%s", file);
    return d->library && d->entry ? 0 : err_nomem(err);
}

static const struct {
    const char *key;
    read_field *read;
    bool required;
} fields[] = {
    {"name", read_name, true},
    {"version", read_version, true},
    {"category", read_category, true},
    {"description", read_description, true},
    {"tags", read_tags, false},
    {"input_schema", read_input_schema, false},
    {"output_schema", read_output_schema, false},
    {"requires_workspace", read_requires_workspace, false},
    {"exec", read_exec, false},
    {"library", read_library, false},
};

static int unknown_key(const struct reading *y, const char *key, struct err *err)
{
    struct strbuf at = STRBUF_INIT;
    strbuf_putc(&at, '/');
    for (const char *p = key; *p; p++) { /* RFC 6901 */
        if (*p == '~' || *p == '/')
            strbuf_puts(&at, *p == '~' ? "~0" : "~1");
        else
            strbuf_putc(&at, *p);
    }
    if (strbuf_check(&at, NULL) < 0) {
        strbuf_release(&at);
        return err_nomem(err);
    }
    struct suggest near;
    suggest_init(&near, key);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        suggest_offer(&near, fields[i].key);
    if (near.best)
        wrong(y, strbuf_str(&at), err, "unknown key '%.64s', did you mean '%s'?", key, near.best);
    else
        wrong(y, strbuf_str(&at), err, "unknown key '%.64s'", key);
    strbuf_release(&at);
    return -ERR_INVALID;
}

static int read_fields(const struct reading *y, const json_t *j, struct err *err)
{
    const char *key;
    json_t *v;
    if (!json_is_object(j))
        return wrong(y, "", err, "a mapping with name, version, category and description is wanted");
    json_object_foreach((json_t *)(uintptr_t)j, key, v) {
        size_t i = 0;
        while (i < ARRAY_LEN(fields) && strcmp(fields[i].key, key) != 0)
            i++;
        if (i == ARRAY_LEN(fields))
            return unknown_key(y, key, err);
        char at[64];
        snprintf(at, sizeof at, "/%s", key);
        int r = fields[i].read(y, at, v, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (fields[i].required && !json_object_get(j, fields[i].key))
            return wrong(y, "", err, "'%s' is missing", fields[i].key);
    if (!y->def->argv == !y->def->library)
        return wrong(y, y->def->argv ? "/library" : "", err, "%s",
                     y->def->argv ? "'exec' and 'library' exclude each other"
                                  : "'exec' (a program) or 'library' (a shared object) is missing");
    return 0;
}

/* "line 7: reason" of the parser becomes "file:7: reason". */
static int parse_error(const char *path, const struct err *e, struct err *err)
{
    int line = 1, n = 0;
    if (e->code == ERR_NO_MEMORY)
        return err_nomem(err);
    sscanf(e->msg, "line %d: %n", &line, &n);
    return err_set(err, ERR_INVALID, "%s:%d: %s", path, line, e->msg + n);
}

int module_yaml_parse(struct module_def *ret, const char *path, const char *text, size_t len, struct err *err)
{
    struct err e = {0};
    _cleanup_json_ json_t *j = NULL;
    struct reading y = {.path = path, .def = ret};
    ret->requires_workspace = true;
    if (yaml_parse(text, len, NULL, &j, &y.marks, &e) < 0)
        return parse_error(path, &e, err);
    int r = read_fields(&y, j, err);
    yaml_marks_free(y.marks);
    return r;
}

int module_yaml_read(struct module_def *ret, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(ret->dir, "module.yaml");
    _cleanup_free_ char *text = NULL;
    if (!path)
        return err_nomem(err);
    size_t len;
    struct err e = {0};
    int r = os_read_file(path, MODULE_YAML_MAX, &text, &len, &e);
    if (r == -ERR_NOT_FOUND)
        return err_set(err, ERR_INVALID, "%s:1: there is no such file", path);
    if (r == -ERR_NO_MEMORY)
        return err_nomem(err);
    if (r < 0)
        return err_set(err, ERR_INVALID, "%s:1: %s", path, e.msg);
    return module_yaml_parse(ret, path, text, len, err);
}
