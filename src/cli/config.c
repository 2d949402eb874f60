#include "cli/config.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/suggest.h"
#include "base/units.h"
#include "codec/yaml.h"
#include "os/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_FILE_MAX ((size_t)1 << 20)

const struct config_info config_infos[CONFIG_COUNT_] = {
#define X(ident, name, env, def, flags, help) [CONFIG_##ident] = {name, env, def, help, flags},
#include "cli/config_keys.h"
#undef X
};

int config_set(struct config *c, enum config_key k, const char *value, const char *source, struct err *err)
{
    char *v = mem_strdup(value), *s = mem_strdup(source);
    if (!v || !s) {
        free(v);
        free(s);
        return err_nomem(err);
    }
    free(c->value[k]);
    free(c->source[k]);
    c->value[k] = v;
    c->source[k] = s;
    return 0;
}

const char *config_get(const struct config *c, enum config_key k)
{
    return c->value[k] ? c->value[k] : config_infos[k].def;
}

const char *config_source(const struct config *c, enum config_key k)
{
    return c->source[k] ? c->source[k] : "default";
}

void config_release(struct config *c)
{
    for (int k = 0; k < CONFIG_COUNT_; k++) {
        free(c->value[k]);
        free(c->source[k]);
    }
    free(c->project);
    *c = (struct config){0};
}

static int find_key(const char *name)
{
    for (int k = 0; k < CONFIG_COUNT_; k++)
        if (strcmp(config_infos[k].name, name) == 0)
            return k;
    return -1;
}

static int unknown_key(const char *file, int line, const char *name, struct err *err)
{
    struct suggest s;
    suggest_init(&s, name);
    for (int k = 0; k < CONFIG_COUNT_; k++)
        suggest_offer(&s, config_infos[k].name);
    err_set(err, ERR_INVALID, "%s:%d: unknown setting '%s'", file, line, name);
    return s.best ? err_hint(err, "did you mean '%s'?", s.best)
                  : err_hint(err, "'ff config' lists the settings");
}

struct reader {
    struct config *c;
    const char *file;
    struct yaml_marks *marks;
    bool trusted;
};

static int read_value(struct reader *r, const char *name, const char *pointer, const json_t *v, struct err *err)
{
    int line = yaml_marks_line(r->marks, pointer), k = find_key(name);
    if (k < 0)
        return unknown_key(r->file, line, name, err);
    if (!r->trusted) {
        bool tightens = (config_infos[k].flags & CONFIG_TIGHTEN) && json_is_true(v);
        if (!tightens) {
            r->c->project_ignored = true;
            return 0;
        }
    }
    if (json_is_array(v) || json_is_object(v))
        return err_set(err, ERR_INVALID, "%s:%d: '%s' takes one value", r->file, line, name);
    _cleanup_free_ char *dumped = json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY);
    const char *text = json_is_string(v) ? json_string_value(v) : json_is_null(v) ? "" : dumped;
    return text ? config_set(r->c, (enum config_key)k, text, r->file, err) : err_nomem(err);
}

static int read_document(struct reader *r, const json_t *doc, struct err *err)
{
    if (json_is_null(doc))
        return 0;
    if (!json_is_object(doc))
        return err_set(err, ERR_INVALID, "%s:1: settings are a mapping", r->file);
    const char *section, *key;
    json_t *v, *sub;
    json_object_foreach((json_t *)doc, section, v) {
        _cleanup_free_ char *p = mem_printf("/%s", section);
        if (!p)
            return err_nomem(err);
        int e = 0;
        if (!json_is_object(v)) {
            e = read_value(r, section, p, v, err);
            if (e < 0)
                return e;
            continue;
        }
        json_object_foreach(v, key, sub) {
            _cleanup_free_ char *name = mem_printf("%s.%s", section, key);
            _cleanup_free_ char *pointer = mem_printf("/%s/%s", section, key);
            if (!name || !pointer)
                return err_nomem(err);
            e = read_value(r, name, pointer, sub, err);
            if (e < 0)
                return e;
        }
    }
    return 0;
}

static int read_file(struct config *c, const char *file, bool required, bool trusted, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len;
    int r = os_read_file(file, CONFIG_FILE_MAX, &text, &len, err);
    if (r == -ERR_NOT_FOUND && !required)
        return err_clear(err), 0;
    if (r < 0)
        return r;
    json_t *doc = NULL;
    struct reader rd = {.c = c, .file = file, .trusted = trusted};
    r = yaml_parse(text, len, NULL, &doc, &rd.marks, err);
    if (r < 0)
        err_wrap(err, "%s", file);
    else
        r = read_document(&rd, doc, err);
    json_decref(doc);
    yaml_marks_free(rd.marks);
    return r;
}

char *config_user_dir(const char *xdg, const char *fallback)
{
    const char *dir = getenv(xdg), *home = getenv("HOME");
    if (dir && dir[0] == '/')
        return mem_printf("%s/fuzzforge", dir);
    return mem_printf("%s%s/fuzzforge", home && *home ? home : "/tmp", fallback);
}

/* The nearest .fuzzforge/ from the working folder upwards. */
static char *find_project(void)
{
    _cleanup_free_ char *dir = getcwd(NULL, 0);
    while (dir && *dir) {
        char *p = os_path_join(dir, ".fuzzforge");
        if (!p || os_is_dir(p))
            return p;
        free(p);
        char *slash = strrchr(dir, '/');
        *slash = 0;
    }
    return NULL;
}

static int trusted_file(char **ret)
{
    _cleanup_free_ char *dir = config_user_dir("XDG_CONFIG_HOME", "/.config");
    *ret = dir ? os_path_join(dir, "trusted") : NULL;
    return *ret ? 0 : -ERR_NO_MEMORY;
}

bool config_is_trusted(const char *dir)
{
    _cleanup_free_ char *file = NULL, *text = NULL, *real = NULL;
    size_t len;
    if (trusted_file(&file) < 0 || os_real_path(dir, &real, NULL) < 0 ||
        os_read_file(file, CONFIG_FILE_MAX, &text, &len, NULL) < 0)
        return false;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (strcmp(line, real) == 0)
            return true;
    return false;
}

int config_trust(const char *dir, struct err *err)
{
    _cleanup_free_ char *file = NULL, *text = NULL, *real = NULL;
    _cleanup_free_ char *user = config_user_dir("XDG_CONFIG_HOME", "/.config");
    size_t len = 0;
    if (!user || trusted_file(&file) < 0)
        return err_nomem(err);
    int r = os_real_path(dir, &real, err);
    if (r < 0 || config_is_trusted(real))
        return r;
    if (strchr(real, '\n'))
        return err_set(err, ERR_INVALID, "a folder with a line break in its name cannot be trusted");
    r = os_mkdirs(user, 0700, err);
    if (r == 0) {
        r = os_read_file(file, CONFIG_FILE_MAX, &text, &len, err);
        if (r == -ERR_NOT_FOUND)
            r = 0;
    }
    if (r < 0)
        return r;
    err_clear(err);
    const char *gap = len && text[len - 1] != '\n' ? "\n" : ""; /* someone wrote it by hand */
    _cleanup_free_ char *all = mem_printf("%s%s%s\n", text ? text : "", gap, real);
    return all ? os_write_file_atomic(file, all, strlen(all), 0600, err) : err_nomem(err);
}

int config_distrust(const char *dir, struct err *err)
{
    _cleanup_free_ char *file = NULL, *text = NULL, *real = NULL;
    size_t len;
    if (trusted_file(&file) < 0)
        return err_nomem(err);
    int r = os_real_path(dir, &real, err);
    if (r < 0 || !config_is_trusted(real))
        return r;
    r = os_read_file(file, CONFIG_FILE_MAX, &text, &len, err);
    if (r < 0)
        return r;
    struct strbuf left = STRBUF_INIT;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (strcmp(line, real) != 0)
            strbuf_printf(&left, "%s\n", line);
    r = strbuf_check(&left, err);
    if (r == 0)
        r = os_write_file_atomic(file, strbuf_str(&left), left.len, 0600, err);
    strbuf_release(&left);
    return r;
}

int config_load(struct config *c, const char *file, struct err *err)
{
    *c = (struct config){0};
    _cleanup_free_ char *user_dir = config_user_dir("XDG_CONFIG_HOME", "/.config");
    _cleanup_free_ char *user = user_dir ? os_path_join(user_dir, "config.yaml") : NULL;
    if (!user)
        return err_nomem(err);
    int r = read_file(c, "/etc/fuzzforge/config.yaml", false, true, err);
    if (r == 0)
        r = read_file(c, user, false, true, err);
    c->project = find_project();
    if (r == 0 && c->project) {
        _cleanup_free_ char *project = os_path_join(c->project, "config.yaml");
        c->project_trusted = config_is_trusted(c->project);
        r = project ? read_file(c, project, false, c->project_trusted, err) : err_nomem(err);
    }
    if (r == 0 && file)
        r = read_file(c, file, true, true, err);
    for (int k = 0; r == 0 && k < CONFIG_COUNT_; k++) {
        const char *v = getenv(config_infos[k].env);
        if (v && *v) {
            _cleanup_free_ char *source = mem_printf("environment %s", config_infos[k].env);
            r = source ? config_set(c, (enum config_key)k, v, source, err) : err_nomem(err);
        }
    }
    return r;
}

int config_state_dir(const struct config *c, char **ret, struct err *err)
{
    const char *set = config_get(c, CONFIG_state_dir);
    if (*set)
        *ret = mem_strdup(set);
    else if (c->project && c->project_trusted)
        *ret = mem_strdup(c->project);
    else
        *ret = config_user_dir("XDG_STATE_HOME", "/.local/state");
    return *ret ? 0 : err_nomem(err);
}

static int bad_value(const struct config *c, enum config_key k, struct err *err)
{
    return err_wrap(err, "setting %s (%s)", config_infos[k].name, config_source(c, k));
}

int config_size(const struct config *c, enum config_key k, uint64_t *ret_bytes, struct err *err)
{
    return units_parse_size(config_get(c, k), ret_bytes, err) < 0 ? bad_value(c, k, err) : 0;
}

int config_duration_ms(const struct config *c, enum config_key k, int64_t *ret_ms, struct err *err)
{
    return units_parse_duration_ms(config_get(c, k), ret_ms, err) < 0 ? bad_value(c, k, err) : 0;
}

int config_bool(const struct config *c, enum config_key k, bool *ret, struct err *err)
{
    const char *v = config_get(c, k);
    if (strcmp(v, "true") == 0 || strcmp(v, "1") == 0)
        *ret = true;
    else if (strcmp(v, "false") == 0 || strcmp(v, "0") == 0)
        *ret = false;
    else {
        err_set(err, ERR_INVALID, "'%.60s' is neither true nor false", v);
        return bad_value(c, k, err);
    }
    return 0;
}

int config_int(const struct config *c, enum config_key k, int64_t min, int64_t max, int64_t *ret, struct err *err)
{
    const char *v = config_get(c, k);
    char *end;
    errno = 0;
    long long n = strtoll(v, &end, 10);
    if (errno || end == v || *end || n < min || n > max) {
        err_set(err, ERR_INVALID, "'%.60s' is no number from %lld to %lld", v, (long long)min, (long long)max);
        return bad_value(c, k, err);
    }
    *ret = n;
    return 0;
}
