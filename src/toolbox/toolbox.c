/* The search path and the reading of workflow folders. */
#include "toolbox/toolbox.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "base/vec.h"
#include "codec/sha256.h"
#include "os/file.h"
#include "toolbox/toolbox_internal.h"
#include "workflow/workflow.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define METADATA_BYTES_MAX ((size_t)1 << 20)
#define SCRIPT_BYTES_MAX ((size_t)4 << 20)
#define FOLDERS_MAX 10000 /* of one place on the search path */

struct toolbox {
    VEC(const char *) path; /* owned strings; the last is NULL */
    size_t untrusted;       /* index of the untrusted folder; path.len: none */
    struct def_cache cache;
};

bool toolbox_name_valid(const char *name)
{
    if (!isalnum((unsigned char)*name) || strlen(name) > 100)
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
            return false;
    return true;
}

/* ---- the search path ---- */

static int add_dir(struct toolbox *t, const char *dir, size_t len, struct err *err)
{
    _cleanup_free_ char *base = mem_strndup(dir, len);
    char *path = base ? os_path_join(base, "workflows") : NULL;
    if (path && VEC_PUSH(&t->path, path))
        return 0;
    free(path);
    return err_nomem(err);
}

static int add_all(struct toolbox *t, const struct toolbox_options *o, struct err *err)
{
    int r = 0;
    if (o->project_dir && o->project_trusted)
        r = add_dir(t, o->project_dir, strlen(o->project_dir), err);
    for (size_t i = 0; r == 0 && o->dirs && o->dirs[i]; i++)
        r = add_dir(t, o->dirs[i], strlen(o->dirs[i]), err);
    for (const char *p = o->env; r == 0 && p && *p;) {
        size_t n = strcspn(p, ":");
        if (n)
            r = add_dir(t, p, n, err);
        p += n + (p[n] == ':');
    }
    if (r == 0 && o->installed_dir)
        r = add_dir(t, o->installed_dir, strlen(o->installed_dir), err);
    t->untrusted = SIZE_MAX;
    if (r == 0 && o->project_dir && !o->project_trusted) { /* last: it shadows nothing */
        t->untrusted = t->path.len;
        r = add_dir(t, o->project_dir, strlen(o->project_dir), err);
    }
    if (r == 0 && !VEC_PUSH(&t->path, NULL))
        r = err_nomem(err);
    return r;
}

int toolbox_open(const struct toolbox_options *o, struct toolbox **ret, struct err *err)
{
    struct toolbox *t = mem_zalloc(sizeof *t);
    if (!t)
        return err_nomem(err);
    pthread_mutex_init(&t->cache.lock, NULL);
    int r = add_all(t, o, err);
    if (r < 0) {
        toolbox_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void toolbox_free(struct toolbox *t)
{
    if (!t)
        return;
    VEC_EACH(&t->path, p)
        free((char *)*p);
    VEC_RELEASE(&t->path);
    def_cache_release(&t->cache);
    free(t);
}

const char *const *toolbox_search_path(const struct toolbox *t)
{
    return t->path.v;
}

/* ---- definitions ---- */

void workflow_def_free(struct workflow_def *d)
{
    if (!d)
        return;
    char *const strings[] = {d->name, d->version, d->vertical, d->description, d->author, d->isolation,
                             d->network, d->network_if, d->schedule, d->script_of, d->script, d->dir, d->broken_file,
                             d->broken_reason};
    json_t *const values[] = {d->tags, d->default_parameters, d->parameters, d->output_schema, d->required_modules,
                              d->resources};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        free(strings[i]);
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        json_decref(values[i]);
    free(d);
}
DEFINE_CLEANUP(struct workflow_def *, workflow_def_free)

int workflow_def_error(const struct workflow_def *d, struct err *err)
{
    if (!d->broken)
        return 0;
    if (d->broken_line > 0)
        return err_set(err, ERR_INVALID, "%s:%d: %s", d->broken_file, d->broken_line, d->broken_reason);
    return err_set(err, ERR_INVALID, "%s: %s", d->broken_file, d->broken_reason);
}

int workflow_def_read(struct workflow_def *d, const char *text, size_t len, struct err *err)
{
    return metadata_read(d, "metadata.yaml", text, len, err);
}

int def_broken(struct workflow_def *d, const char *file, int line, const char *reason, struct err *err)
{
    if (d->broken)
        return 0;
    d->broken = true;
    d->broken_line = line;
    d->broken_file = mem_strdup(file);
    d->broken_reason = mem_strdup(reason);
    return d->broken_file && d->broken_reason ? 0 : err_nomem(err);
}

/* Reads a file of a folder; what cannot be read makes the definition broken and *ret NULL. */
static int read_part(struct workflow_def *d, const char *path, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    struct err why;
    int r = os_read_file(path, max, ret, ret_len, &why);
    if (r == 0)
        return 0;
    *ret = NULL;
    if (r == -ERR_NO_MEMORY)
        return err_copy(err, &why);
    return def_broken(d, path, 0, r == -ERR_NOT_FOUND ? "is missing" : why.msg, err);
}

/* Its own, or that of the folder beside it that metadata.yaml names. NULL: memory is out. */
static char *script_path(const struct workflow_def *d)
{
    const char *slash = d->script_of ? strrchr(d->dir, '/') : NULL;
    if (!slash)
        return os_path_join(d->dir, TOOLBOX_SCRIPT_CHUNK);
    return mem_printf("%.*s/%s/%s", (int)(slash - d->dir), d->dir, d->script_of, TOOLBOX_SCRIPT_CHUNK);
}

static int read_script(struct workflow_def *d, struct err *err)
{
    _cleanup_free_ char *own = os_path_join(d->dir, TOOLBOX_SCRIPT_CHUNK), *path = script_path(d);
    struct err why;
    if (!own || !path)
        return err_nomem(err);
    if (d->script_of && os_exists(own))
        return def_broken(d, own, 0, "is here though metadata.yaml names another workflow's script", err);
    int r = read_part(d, path, SCRIPT_BYTES_MAX, &d->script, &d->script_len, err);
    if (r < 0 || !d->script)
        return r;
    unsigned char digest[SHA256_BYTES];
    struct sha256 hash = {0};
    sha256_begin(&hash);
    sha256_add(&hash, d->script, d->script_len);
    bool hashed = sha256_end(&hash, digest);
    sha256_release(&hash);
    if (!hashed)
        return err_nomem(err);
    memcpy(d->script_ref, "sha256:", 7);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(d->script_ref + 7 + 2 * i, 3, "%02x", digest[i]);
    r = workflow_check(d->script, d->script_len, TOOLBOX_SCRIPT_CHUNK, &why);
    if (r == 0)
        return 0;
    if (r == -ERR_NO_MEMORY)
        return err_copy(err, &why);
    int line = 0, at = 0;
    if (sscanf(why.msg, TOOLBOX_SCRIPT_CHUNK ":%d: %n", &line, &at) < 1)
        at = 0;
    return def_broken(d, path, line, why.msg + at, err);
}

static int read_metadata(struct workflow_def *d, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(d->dir, "metadata.yaml"), *text = NULL;
    size_t len;
    if (!path)
        return err_nomem(err);
    int r = read_part(d, path, METADATA_BYTES_MAX, &text, &len, err);
    return r < 0 || !text ? r : metadata_read(d, path, text, len, err);
}

static int load(const char *dir, const char *name, struct workflow_def **ret, struct err *err)
{
    _cleanup_(workflow_def_free_cleanup_) struct workflow_def *d = mem_zalloc(sizeof *d);
    if (!d)
        return err_nomem(err);
    d->name = mem_strdup(name);
    d->dir = mem_strdup(dir);
    if (!d->name || !d->dir)
        return err_nomem(err);
    int r = 0;
    if (!toolbox_name_valid(name))
        r = def_broken(d, dir, 0, "the folder's name is no workflow name: letters, digits, '-' and '_'", err);
    if (r == 0)
        r = read_metadata(d, err);
    if (r == 0)
        r = read_script(d, err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(d);
    return 0;
}

int toolbox_load_dir(const char *dir, struct workflow_def **ret, struct err *err)
{
    _cleanup_free_ char *path = NULL;
    if (!os_is_dir(dir))
        return err_set(err, ERR_NOT_FOUND, "%s is no folder", dir);
    int r = os_real_path(dir, &path, err); /* so that "." has a name */
    if (r < 0)
        return r;
    const char *slash = strrchr(path, '/');
    return load(path, slash ? slash + 1 : path, ret, err);
}

/* A folder is a workflow if it holds one of the two files. */
static bool looks_like_one(const char *dir)
{
    _cleanup_free_ char *a = os_path_join(dir, "metadata.yaml"), *b = os_path_join(dir, TOOLBOX_SCRIPT_CHUNK);
    return (a && os_exists(a)) || (b && os_exists(b));
}

/* The same, unless it was read before and stands as it did. *ret NULL: it is no folder of a workflow. */
static int load_cached(struct toolbox *t, const char *dir, const char *name, struct workflow_def **ret, struct err *err)
{
    struct def_cache_stamp stamp;
    bool settled = def_cache_stamp(dir, &stamp);
    *ret = settled ? def_cache_get(&t->cache, dir, &stamp) : NULL;
    if (*ret || (!settled && (!os_is_dir(dir) || !looks_like_one(dir))))
        return 0;
    int r = load(dir, name, ret, err);
    if (r == 0 && settled)
        def_cache_put(&t->cache, dir, &stamp, *ret);
    return r;
}

/* ---- listing ---- */

typedef VEC(struct workflow_def *) def_list;

static int list_one(struct toolbox *t, size_t place, const char *name, struct map *seen, def_list *list, struct err *err)
{
    _cleanup_free_ char *dir = os_path_join(t->path.v[place], name);
    struct workflow_def *d;
    if (!dir)
        return err_nomem(err);
    if (map_get(seen, name))
        return 0;
    int r = load_cached(t, dir, name, &d, err);
    if (r < 0 || !d)
        return r;
    d->untrusted = place == t->untrusted;
    if (VEC_PUSH(list, d))
        return map_set(seen, name, d) ? 0 : err_nomem(err);
    workflow_def_free(d);
    return err_nomem(err);
}

static int list_place(struct toolbox *t, size_t place, struct map *seen, def_list *list, struct err *err)
{
    DIR *dir = opendir(t->path.v[place]);
    if (!dir)
        return 0; /* a place that is not there holds nothing */
    int r = 0;
    size_t n = 0;
    for (struct dirent *e; r == 0 && (e = readdir(dir)) && n < FOLDERS_MAX;)
        if (e->d_name[0] != '.') {
            n++;
            r = list_one(t, place, e->d_name, seen, list, err);
        }
    closedir(dir);
    return r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct workflow_def *const *)a)->name, (*(struct workflow_def *const *)b)->name);
}

int toolbox_list(struct toolbox *t, struct workflow_def ***ret, size_t *ret_count, struct err *err)
{
    def_list list = {0};
    struct map seen = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && t->path.v[i]; i++)
        r = list_place(t, i, &seen, &list, err);
    map_release(&seen);
    if (r < 0) {
        toolbox_list_free(list.v, list.len);
        return r;
    }
    if (list.len)
        qsort(list.v, list.len, sizeof *list.v, by_name);
    *ret = list.v;
    *ret_count = list.len;
    return 0;
}

void toolbox_list_free(struct workflow_def **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        workflow_def_free(list[i]);
    free(list);
}

static int not_found(struct toolbox *t, const char *name, struct err *err)
{
    struct workflow_def **list;
    size_t n;
    struct suggest s;
    if (toolbox_list(t, &list, &n, err) < 0)
        return -err->code;
    suggest_init(&s, name);
    for (size_t i = 0; i < n; i++)
        suggest_offer(&s, list[i]->name);
    int r = s.best ? err_set(err, ERR_NOT_FOUND, "no workflow '%.100s': did you mean '%s'?", name, s.best)
                   : err_set(err, ERR_NOT_FOUND, "no workflow '%.100s'", name);
    if (!s.best)
        err_hint(err, "'ff workflow list' shows what there is");
    toolbox_list_free(list, n);
    return r;
}

int toolbox_find(struct toolbox *t, const char *name, struct workflow_def **ret, struct err *err)
{
    struct err own;
    if (!err)
        err = &own;
    if (!toolbox_name_valid(name))
        return not_found(t, name, err);
    for (size_t i = 0; t->path.v[i]; i++) {
        _cleanup_free_ char *dir = os_path_join(t->path.v[i], name);
        _cleanup_(workflow_def_free_cleanup_) struct workflow_def *d = NULL;
        if (!dir)
            return err_nomem(err);
        int r = load_cached(t, dir, name, &d, err);
        if (r == 0 && !d)
            continue;
        if (r == 0)
            r = workflow_def_error(d, err);
        if (r < 0)
            return r;
        d->untrusted = i == t->untrusted;
        *ret = TAKE_PTR(d);
        return 0;
    }
    return not_found(t, name, err);
}
