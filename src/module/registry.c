/* Finding modules by name. Nothing is kept between calls but the list of folders, so nothing can be out of date. */
#include "module/registry.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "base/vec.h"
#include "codec/json.h"
#include "module/module_internal.h"
#include "os/fault.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#define BUILT_IN "built in"
#define FOLDER_ENTRIES_MAX 10000
#define NAME_LEN_MAX 64

struct module_registry {
    const struct module *const *builtins;
    char **dirs; /* NULL-terminated */
};

struct item {
    struct module_def def;
    size_t order; /* of the search */
};
struct items {
    struct item *v;
    size_t len, cap;
};

static void strings_free(char **v)
{
    for (char **s = v; s && *s; s++)
        free(*s);
    free(v);
}

static char **strings_dup(const char *const *v)
{
    size_t n = 0;
    while (v && v[n])
        n++;
    char **copy = mem_calloc(n + 1, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++) {
        if (!(copy[i] = mem_strdup(v[i]))) {
            strings_free(copy);
            return NULL;
        }
    }
    return copy;
}

void module_def_release(struct module_def *d)
{
    free(d->name);
    free(d->version);
    free(d->description);
    strings_free(d->tags);
    json_decref(d->input_schema);
    json_decref(d->output_schema);
    free(d->dir);
    free(d->entry);
    strings_free(d->argv);
    free(d->library);
    free(d->broken);
    free(d->shadowed_by);
    *d = (struct module_def){0};
}

bool module_name_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return n > 0 && n <= NAME_LEN_MAX && !name[n];
}

int module_registry_new(const struct module *const *builtins, const char *const *dirs,
                        struct module_registry **ret, struct err *err)
{
    struct module_registry *r = mem_zalloc(sizeof *r);
    if (!r || !(r->dirs = strings_dup(dirs))) {
        free(r);
        return err_nomem(err);
    }
    r->builtins = builtins;
    *ret = r;
    return 0;
}

void module_registry_free(struct module_registry *r)
{
    if (!r)
        return;
    strings_free(r->dirs);
    free(r);
}

const struct module *module_registry_builtin(const struct module_registry *r, const char *name)
{
    for (size_t i = 0; r->builtins && r->builtins[i]; i++)
        if (strcmp(r->builtins[i]->name, name) == 0)
            return r->builtins[i];
    return NULL;
}

static int load_schema(const struct module *m, const char *text, json_t **ret, struct err *err)
{
    if (!text)
        return 0;
    int r = json_parse(text, strlen(text), MODULE_YAML_MAX, ret, err);
    if (r < 0 && err)
        err_wrap(err, "schema of module %s", m->name);
    return r;
}

static int load_builtin(const struct module *m, struct module_def *ret, struct err *err)
{
    struct module_def d = {.kind = MODULE_BUILTIN, .category = m->category, .builtin = m,
                           .requires_workspace = m->requires_workspace};
    int r = 0;
    if (!(d.name = mem_strdup(m->name)) || !(d.version = mem_strdup(m->version)) ||
        !(d.description = mem_strdup(m->description)) || !(d.tags = strings_dup(m->tags)) ||
        !(d.entry = mem_strdup(m->name)))
        r = err_nomem(err);
    if (r == 0)
        r = load_schema(m, m->input_schema, &d.input_schema, err);
    if (r == 0)
        r = load_schema(m, m->output_schema, &d.output_schema, err);
    if (r < 0)
        module_def_release(&d);
    else
        *ret = d;
    return r;
}

/* Reads one folder. A broken one fails with the reason; ret then holds its name and folder only, unless memory is out. */
static int load_folder(const char *parent, const char *name, struct module_def *ret, struct err *err)
{
    *ret = (struct module_def){.name = mem_strdup(name), .dir = os_path_join(parent, name)};
    struct err e = {0};
    if (!ret->name || !ret->dir)
        err_nomem(&e);
    else if (!module_name_valid(name))
        err_set(&e, ERR_INVALID, "%s/%s: a module's name is at most 64 of a-z, 0-9, '_' and '-'", parent, name);
    else
        module_yaml_read(ret, &e);
    if (!e.code && !ret->tags && !(ret->tags = strings_dup(NULL)))
        err_nomem(&e);
    if (!e.code)
        return 0;
    struct module_def keep = {.name = TAKE_PTR(ret->name), .dir = TAKE_PTR(ret->dir)};
    module_def_release(ret);
    *ret = keep;
    if (e.code == ERR_NO_MEMORY)
        module_def_release(ret);
    return err ? err_copy(err, &e) : -e.code;
}

static int not_found(const struct module_registry *r, const char *name, struct err *err)
{
    struct module_def *all = NULL;
    size_t n = 0;
    int e = module_registry_list(r, &all, &n, err);
    if (e < 0)
        return e;
    struct suggest near;
    suggest_init(&near, name);
    for (size_t i = 0; i < n; i++)
        suggest_offer(&near, all[i].name);
    e = err_set(err, ERR_NOT_FOUND, "there is no module '%.80s'", name);
    if (near.best && err)
        err_hint(err, "did you mean '%s'?", near.best);
    else if (err)
        err_hint(err, "'ff module list' shows what there is");
    for (size_t i = 0; i < n; i++)
        module_def_release(&all[i]);
    free(all);
    return e;
}

int module_registry_find(const struct module_registry *r, const char *name, struct module_def *ret,
                         struct err *err)
{
    const struct module *m = module_registry_builtin(r, name);
    if (m)
        return load_builtin(m, ret, err);
    for (char **dir = r->dirs; *dir && module_name_valid(name); dir++) {
        _cleanup_free_ char *path = os_path_join(*dir, name);
        if (!path)
            return err_nomem(err);
        if (!os_is_dir(path))
            continue;
        struct module_def d;
        int e = load_folder(*dir, name, &d, err);
        if (e < 0)
            module_def_release(&d);
        else
            *ret = d;
        return e;
    }
    return not_found(r, name, err);
}

bool module_registry_has(const struct module_registry *r, const char *name)
{
    bool has = module_registry_builtin(r, name) != NULL;
    for (char **dir = r->dirs; !has && *dir && module_name_valid(name); dir++) {
        _cleanup_free_ char *path = os_path_join(*dir, name);
        has = path && os_is_dir(path);
    }
    return has;
}

/* --- the list --- */

static int push(struct items *items, struct module_def *d, struct err *err)
{
    struct item one = {*d, items->len};
    if (VEC_PUSH(items, one))
        return 0;
    module_def_release(d);
    return err_nomem(err);
}

/* One that cannot be used, with why. Takes what d holds. */
static int push_broken(struct items *items, struct module_def *d, const struct err *why, struct err *err)
{
    d->broken = why->hint[0] ? mem_printf("%s (%s)", why->msg, why->hint) : mem_strdup(why->msg);
    if (!d->broken) {
        module_def_release(d);
        return err_nomem(err);
    }
    return push(items, d, err);
}

static int add_folder(struct items *items, const char *parent, const char *name, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(parent, name);
    if (!path)
        return err_nomem(err);
    if (!os_is_dir(path))
        return 0;
    struct err e = {0};
    struct module_def d;
    int r = load_folder(parent, name, &d, &e);
    if (r == -ERR_NO_MEMORY)
        return err_nomem(err);
    return r < 0 ? push_broken(items, &d, &e, err) : push(items, &d, err);
}

/* A folder of modules that is there but cannot be read is listed as a broken one, by its last part. */
static int add_unreadable(struct items *items, const char *dir, int errnum, struct err *err)
{
    struct err e = {0};
    const char *slash = strrchr(dir, '/');
    struct module_def d = {.name = mem_strdup(slash && slash[1] ? slash + 1 : dir), .dir = mem_strdup(dir)};
    if (!d.name || !d.dir) {
        module_def_release(&d);
        return err_nomem(err);
    }
    err_sys(&e, errnum, "%s", dir);
    return push_broken(items, &d, &e, err);
}

static int add_dir(struct items *items, const char *dir, struct err *err)
{
    int fault = os_fault("opendir");
    DIR *d = fault ? NULL : opendir(dir);
    if (fault)
        errno = fault;
    if (!d)
        return errno == ENOENT || errno == ENOTDIR ? 0 : add_unreadable(items, dir, errno, err);
    int r = 0;
    size_t n = 0;
    const struct dirent *e;
    while (r == 0 && (e = readdir(d)) && n++ < FOLDER_ENTRIES_MAX)
        if (e->d_name[0] != '.')
            r = add_folder(items, dir, e->d_name, err);
    closedir(d);
    return r;
}

static int by_name(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int c = strcmp(x->def.name, y->def.name);
    return c ? c : (x->order > y->order) - (x->order < y->order);
}

static int mark_shadowed(struct items *items, struct err *err)
{
    for (size_t i = 1; i < items->len; i++) {
        const struct module_def *first = &items->v[i - 1].def;
        struct module_def *d = &items->v[i].def;
        if (strcmp(first->name, d->name) != 0)
            continue;
        d->shadowed_by = mem_strdup(first->shadowed_by ? first->shadowed_by
                                    : first->dir       ? first->dir
                                                       : BUILT_IN);
        if (!d->shadowed_by)
            return err_nomem(err);
    }
    return 0;
}

static int collect(const struct module_registry *r, struct items *items, struct err *err)
{
    int e = 0;
    struct module_def d;
    for (size_t i = 0; e == 0 && r->builtins && r->builtins[i]; i++)
        if ((e = load_builtin(r->builtins[i], &d, err)) == 0)
            e = push(items, &d, err);
    for (char **dir = r->dirs; e == 0 && *dir; dir++)
        e = add_dir(items, *dir, err);
    if (e == 0 && items->len > 0) {
        qsort(items->v, items->len, sizeof items->v[0], by_name);
        e = mark_shadowed(items, err);
    }
    return e;
}

int module_registry_list(const struct module_registry *r, struct module_def **ret, size_t *ret_count,
                         struct err *err)
{
    struct items items = {0};
    int e = collect(r, &items, err);
    struct module_def *all = e == 0 ? mem_calloc(items.len, sizeof *all) : NULL;
    if (e == 0 && !all)
        e = err_nomem(err);
    for (size_t i = 0; i < items.len; i++) {
        if (e == 0)
            all[i] = items.v[i].def;
        else
            module_def_release(&items.v[i].def);
    }
    if (e == 0) {
        *ret = all;
        *ret_count = items.len;
    }
    VEC_RELEASE(&items);
    return e;
}
