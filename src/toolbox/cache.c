/* Folders that were read before: as long as their two files have not changed, what was read is still so. */
#include "toolbox/toolbox_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"
#include "os/file.h"

#include <string.h>

#define FOLDERS_MAX 64
#define SETTLED_NS (2 * NS_PER_S) /* a file that was written just now may be written again with the same times */

struct folder {
    struct def_cache_stamp stamp;
    struct workflow_def *def;
};

static bool stamp_file(const char *dir, const char *name, struct stat *ret, int64_t now)
{
    _cleanup_free_ char *path = os_path_join(dir, name);
    if (!path || stat(path, ret) < 0)
        return false;
    int64_t changed = ret->st_ctim.tv_sec * NS_PER_S + ret->st_ctim.tv_nsec;
    return changed < now - SETTLED_NS;
}

bool def_cache_stamp(const char *dir, struct def_cache_stamp *ret)
{
    int64_t now = os_now_ns();
    return stamp_file(dir, "metadata.yaml", &ret->metadata, now) && stamp_file(dir, TOOLBOX_SCRIPT_CHUNK, &ret->script, now);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mode == b->st_mode &&
           a->st_uid == b->st_uid && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool dup_string(char **s)
{
    char *was = *s;
    *s = mem_strdup(was);
    return !was || *s;
}

static bool dup_value(json_t **v)
{
    json_t *was = *v;
    *v = was ? json_deep_copy(was) : NULL;
    return !was || *v;
}

/* NULL: memory is out. */
static struct workflow_def *dup_def(const struct workflow_def *from)
{
    struct workflow_def *d = mem_dup(from, sizeof *from);
    if (!d)
        return NULL;
    bool ok = true; /* all of them in any case: none is still another's afterwards */
    char **strings[] = {&d->name, &d->version, &d->vertical, &d->description, &d->author, &d->isolation,
                        &d->network, &d->network_if, &d->schedule, &d->script_of, &d->dir, &d->broken_file, &d->broken_reason};
    json_t **values[] = {&d->tags, &d->default_parameters, &d->parameters, &d->output_schema, &d->required_modules,
                         &d->resources};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        ok &= dup_string(strings[i]);
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        ok &= dup_value(values[i]);
    d->script = from->script ? mem_dup(from->script, from->script_len + 1) : NULL;
    if (ok && (d->script || !from->script))
        return d;
    workflow_def_free(d);
    return NULL;
}

static void drop(struct folder *f)
{
    workflow_def_free(f->def);
    free(f);
}

void def_cache_release(struct def_cache *c)
{
    MAP_EACH (&c->folders, e)
        drop(e->value);
    map_release(&c->folders);
    pthread_mutex_destroy(&c->lock);
}

struct workflow_def *def_cache_get(struct def_cache *c, const char *dir, const struct def_cache_stamp *stamp)
{
    pthread_mutex_lock(&c->lock);
    const struct folder *f = map_get(&c->folders, dir);
    bool same = f && same_file(&f->stamp.metadata, &stamp->metadata) && same_file(&f->stamp.script, &stamp->script);
    struct workflow_def *d = same ? dup_def(f->def) : NULL;
    pthread_mutex_unlock(&c->lock);
    return d;
}

void def_cache_put(struct def_cache *c, const char *dir, const struct def_cache_stamp *stamp, const struct workflow_def *def)
{
    struct folder *f = mem_zalloc(sizeof *f);
    void *old = NULL;
    if (!f)
        return;
    f->stamp = *stamp;
    f->def = dup_def(def);
    pthread_mutex_lock(&c->lock);
    if (c->folders.len >= FOLDERS_MAX) {
        MAP_EACH (&c->folders, e)
            drop(e->value);
        map_clear(&c->folders);
    }
    bool kept = f->def && map_setn(&c->folders, dir, strlen(dir), f, &old);
    pthread_mutex_unlock(&c->lock);
    if (old)
        drop(old);
    if (!kept)
        drop(f);
}
