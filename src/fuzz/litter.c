/* What a target leaves where it may write: files without end would take the room and the inodes that the campaign needs. Beyond a
 * bound its session is ended, its folder cleaned, and it starts anew. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "fuzz/campaign_internal.h"
#include "os/file.h"

#include <dirent.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX 10000
#define BYTES_MAX ((uint64_t)1 << 30)

/* Stops where it is too much. The target's own folders are made readable: one that nobody may read is as full as another. */
static void count_below(const char *path, uint64_t *files, uint64_t *bytes)
{
    char *roots[] = {(char *)(uintptr_t)path, NULL};
    FTS *f = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
    for (FTSENT *e; f && *files <= FILES_MAX && *bytes <= BYTES_MAX && (e = fts_read(f));) {
        if (e->fts_info == FTS_DP)
            continue;
        if (e->fts_info == FTS_D && (e->fts_statp->st_mode & 0700) != 0700)
            chmod(e->fts_path, 0700);
        ++*files;
        if (e->fts_info != FTS_NS)
            *bytes += (uint64_t)e->fts_statp->st_blocks * 512;
    }
    if (f)
        fts_close(f);
}

/* The engine's own: its folders, and what hides nothing. */
static bool is_kept(const char *name, const char *const *kept)
{
    for (; *kept; kept++) {
        size_t n = strcspn(*kept, "/");
        if (strlen(name) == n && strncmp(name, *kept, n) == 0)
            return true;
    }
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* All in the folder but what is kept; NULL-terminated. */
static bool is_much(const char *dir, const char *const *kept)
{
    uint64_t files = 0, bytes = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && files <= FILES_MAX && bytes <= BYTES_MAX && (e = readdir(d));) {
        _cleanup_free_ char *path = is_kept(e->d_name, kept) ? NULL : os_path_join(dir, e->d_name);
        if (path)
            count_below(path, &files, &bytes);
    }
    if (d)
        closedir(d);
    return files > FILES_MAX || bytes > BYTES_MAX;
}

static void clean(const char *dir, const char *const *kept)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        _cleanup_free_ char *path = is_kept(e->d_name, kept) ? NULL : os_path_join(dir, e->d_name);
        uint64_t files = 0, bytes = 0;
        if (path && os_remove_tree(path, NULL) < 0) { /* a folder without permissions */
            count_below(path, &files, &bytes);
            os_remove_tree(path, NULL);
        }
    }
    if (d)
        closedir(d);
}

/* An engine without such a folder: the name of another one stands for it. */
static void kept_of(const struct session *x, const char *ret[4])
{
    const struct fuzz_driver *d = x->s.driver;
    ret[0] = d->corpus_dir;
    ret[1] = d->crash_dir;
    ret[2] = d->import_dir ? d->import_dir : d->corpus_dir;
    ret[3] = NULL;
}

static bool is_crash_name(const struct session *x, const char *name)
{
    return x->s.driver->fault(name) != FAULT_NONE;
}

static bool is_input_name(const struct session *x, const char *name)
{
    return name[0] == '.' || x->s.driver->input_name(name); /* AFL++ has folders of its own there */
}

typedef bool (*own_name_fn)(const struct session *x, const char *name);

/* What lies in one of the engine's folders and is not the engine's. */
static bool much_among(const struct session *x, const char *folder, own_name_fn own, bool remove)
{
    uint64_t files = 0, bytes = 0;
    _cleanup_free_ char *dir = os_path_join(x->s.dir, folder);
    DIR *d = dir ? opendir(dir) : NULL;
    for (struct dirent *e; d && (remove || (files <= FILES_MAX && bytes <= BYTES_MAX)) && (e = readdir(d));) {
        bool ours = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || own(x, e->d_name);
        _cleanup_free_ char *path = ours ? NULL : os_path_join(dir, e->d_name);
        if (path)
            count_below(path, &files, &bytes);
        if (path && remove)
            os_remove_tree(path, NULL);
    }
    if (d)
        closedir(d);
    return files > FILES_MAX || bytes > BYTES_MAX;
}

bool litter_in_corpus(const struct session *x)
{
    return much_among(x, x->s.driver->corpus_dir, is_input_name, false);
}

bool litter_of_session(const struct session *x)
{
    const char *kept[4];
    kept_of(x, kept);
    return is_much(x->s.dir, kept) || much_among(x, x->s.driver->crash_dir, is_crash_name, false);
}

void litter_clean_session(struct campaign *c, struct session *x)
{
    const char *kept[4];
    kept_of(x, kept);
    clean(x->s.dir, kept);
    if (much_among(x, x->s.driver->crash_dir, is_crash_name, false))
        much_among(x, x->s.driver->crash_dir, is_crash_name, true);
    much_among(x, x->s.driver->corpus_dir, is_input_name, true);
    if (c->cleaned++ == 0)
        module_log(c->ctx, "warning", "%s: the target leaves files without end: they are removed", x->s.driver->name);
}

void litter_clean_work(struct campaign *c)
{
    static const char *const kept[] = {"input", "merged", "kept", "dropped", NULL};
    if (!is_much(c->work_dir, kept))
        return;
    clean(c->work_dir, kept);
    c->cleaned++;
}
