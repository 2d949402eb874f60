/* The cache of layouts.
 *
 *   shared/<tree>[-<uid>]/  tree/ ready      one layout for all; removed when unused, oldest use first
 *   private/<key>-<i|c>-<tree>/  tree/ or upper/ work/, ready      one of a run
 *   <either>.lock                            flock(2): shared while in use, exclusive to make or to remove
 *   trash/                                   on its way out
 *
 * `ready` is written last, by rename; what lacks it is the rest of a crash and made anew. It holds
 * the size in bytes, and its time
 * is that of the last use. */
#include "store/workspace.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/file.h"
#include "store/digest.h"
#include "store/layout.h"
#include "store/store_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define MAX_BYTES_DEFAULT (UINT64_C(10) << 30)
#define TTL_MS_DEFAULT (INT64_C(7) * 24 * 3600 * 1000)
#define SCAN_EVERY_NS (60 * NS_PER_S)

struct workspaces {
    struct store *s;
    char *dir;
    uint64_t max_bytes;
    int64_t ttl_ns;
    struct layout_owner owner;
    bool overlay;
    pthread_mutex_t lock; /* guards the two below */
    uint64_t bytes;       /* of shared layouts at the last scan, and made since */
    int64_t scanned_ns;   /* monotonic; 0: never */
};

/* One folder of the cache, locked. */
struct slot {
    int lock_fd;
    char *path; /* of the folder */
};

struct workspace {
    struct slot shared, own;
    char *lower, *upper, *work;
    bool read_only;
};

const char *isolation_name(enum isolation i)
{
    static const char *const names[] = {"isolated", "shared", "copy-on-write"};
    return names[i];
}

int isolation_parse(const char *text, enum isolation *ret, struct err *err)
{
    for (int i = 0; i <= ISOLATION_COPY_ON_WRITE; i++) {
        if (strcmp(text, isolation_name((enum isolation)i)) == 0) {
            *ret = (enum isolation)i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "isolation is isolated, shared or copy-on-write, not %.60s",
                   text);
}

static void slot_release(struct slot *s)
{
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s->path);
    *s = (struct slot){.lock_fd = -1};
}

/* Opens and locks "<path>.lock". One that was removed while we waited for it is not the one that
 * others see: again. */
static int lock_path(const char *path, int how, int *ret_fd, struct err *err)
{
    _cleanup_free_ char *name = mem_printf("%s.lock", path);
    if (!name)
        return err_nomem(err);
    for (;;) {
        _cleanup_close_ int fd = -1;
        struct stat here, there;
        int r = os_open(name, O_RDWR | O_CREAT | O_NOFOLLOW, 0644, &fd, err);
        if (r < 0)
            return r;
        int e = os_fault("flock");
        while (!e && flock(fd, how) < 0)
            if (errno != EINTR)
                e = errno;
        if (e)
            return err_sys(err, e, "lock %s", name);
        if (fstat(fd, &here) == 0 && stat(name, &there) == 0 && here.st_ino == there.st_ino &&
            here.st_dev == there.st_dev) {
            *ret_fd = TAKE_FD(fd);
            return 0;
        }
    }
}

static char *in_folder(const char *path, const char *name)
{
    return os_path_join(path, name);
}

static bool is_ready(const char *path, bool used)
{
    char ready[4096];
    if (snprintf(ready, sizeof ready, "%s/ready", path) >= (int)sizeof ready)
        return false;
    if (used)
        return utimensat(AT_FDCWD, ready, NULL, AT_SYMLINK_NOFOLLOW) == 0;
    return os_exists(ready);
}

/* Marks a folder as complete. Not synced: after power loss it is there or it is made again. */
static int mark_ready(const char *path, uint64_t bytes, struct err *err)
{
    _cleanup_free_ char *temp = in_folder(path, "ready.tmp");
    _cleanup_free_ char *ready = in_folder(path, "ready");
    _cleanup_close_ int fd = -1;
    char text[32];
    if (!temp || !ready)
        return err_nomem(err);
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)bytes);
    int r = os_open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644, &fd, err);
    if (r == 0)
        r = os_write_full(fd, text, (size_t)n, err);
    return r < 0 ? r : os_rename(temp, ready, err);
}

/* Moves a folder out of the way at once, then empties it. */
static int discard(struct workspaces *w, const char *path, struct err *err)
{
    char id[27];
    os_ulid(id);
    _cleanup_free_ char *trash = mem_printf("%s/trash/%s", w->dir, id);
    if (!trash)
        return err_nomem(err);
    if (!os_exists(path))
        return 0;
    int r = os_rename(path, trash, err);
    return r < 0 ? r : os_remove_tree(trash, err);
}

/* Removes a slot if nobody uses it: 1 if it did, 0 if it is in use. */
static int remove_unused(struct workspaces *w, const char *path, struct err *err)
{
    _cleanup_close_ int fd = -1;
    struct err e = {0};
    int r = lock_path(path, LOCK_EX | LOCK_NB, &fd, &e);
    if (r == -ERR_BUSY)
        return 0;
    if (r < 0)
        return err_copy(err, &e);
    r = discard(w, path, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *name = mem_printf("%s.lock", path);
    if (!name)
        return err_nomem(err);
    r = os_unlink(name, true, err);
    return r < 0 ? r : 1;
}

struct cached {
    char *path;
    uint64_t bytes;
    int64_t used_ns;
    bool shared;
};
struct cached_list {
    VEC(struct cached) v;
};

static void cached_release(struct cached_list *l)
{
    VEC_EACH(&l->v, c)
        free(c->path);
    VEC_RELEASE(&l->v);
}

/* The slots of "shared" or "private" whose names begin with prefix: each has a lock file. */
static int scan_folder(struct workspaces *w, const char *which, const char *prefix,
                       struct cached_list *l, struct err *err)
{
    _cleanup_free_ char *dir = in_folder(w->dir, which);
    if (!dir)
        return err_nomem(err);
    DIR *d = opendir(dir);
    if (!d)
        return err_sys(err, errno, "read %s", dir);
    struct dirent *e;
    int r = 0;
    while (r == 0 && (e = readdir(d))) {
        size_t n = strlen(e->d_name);
        if (n < 6 || strcmp(e->d_name + n - 5, ".lock") != 0 ||
            strncmp(e->d_name, prefix, strlen(prefix)) != 0)
            continue;
        struct cached c = {mem_printf("%s/%.*s", dir, (int)(n - 5), e->d_name), 0, 0,
                           which[0] == 's'};
        _cleanup_free_ char *ready = c.path ? in_folder(c.path, "ready") : NULL;
        _cleanup_free_ char *text = NULL;
        struct stat st;
        if (!ready) {
            free(c.path);
            r = err_nomem(err);
            break;
        }
        if (lstat(ready, &st) == 0) { /* that it was used counts, even if it cannot be read now */
            c.used_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
            c.bytes = os_read_file(ready, 32, &text, NULL, NULL) == 0 ? strtoull(text, NULL, 10) : 0;
        }
        if (!VEC_PUSH(&l->v, c)) {
            free(c.path);
            r = err_nomem(err);
        }
    }
    closedir(d);
    return r;
}

static int by_use(const void *a, const void *b)
{
    int64_t x = ((const struct cached *)a)->used_ns, y = ((const struct cached *)b)->used_ns;
    return (x > y) - (x < y);
}

/* Removes what was not used for the time to live (a private folder only then: its run may go on),
 * then shared layouts, oldest use first, until the rest fits. */
static int evict(struct workspaces *w, struct err *err)
{
    struct cached_list l = {0};
    int r = scan_folder(w, "shared", "", &l, err);
    if (r == 0)
        r = scan_folder(w, "private", "", &l, err);
    uint64_t bytes = 0;
    VEC_EACH(&l.v, c)
        bytes += c->shared ? c->bytes : 0;
    if (l.v.len)
        qsort(l.v.v, l.v.len, sizeof *l.v.v, by_use);
    int64_t now = os_now_ns();
    VEC_EACH(&l.v, c)
    {
        bool old = now - c->used_ns > w->ttl_ns;
        if (r < 0 || !(old || (c->shared && bytes > w->max_bytes)))
            continue;
        r = remove_unused(w, c->path, err);
        if (r == 1 && c->shared)
            bytes -= c->bytes;
        r = r < 0 ? r : 0;
    }
    cached_release(&l);
    pthread_mutex_lock(&w->lock);
    w->bytes = bytes;
    w->scanned_ns = os_mono_ns();
    pthread_mutex_unlock(&w->lock);
    return r;
}

/* After a layout was made: is it time to look at the whole cache? What cannot be removed now will
 * be later. */
static void account(struct workspaces *w, uint64_t bytes)
{
    pthread_mutex_lock(&w->lock);
    w->bytes += bytes;
    bool due = w->bytes > w->max_bytes || !w->scanned_ns ||
               os_mono_ns() - w->scanned_ns > SCAN_EVERY_NS;
    pthread_mutex_unlock(&w->lock);
    if (due)
        (void)evict(w, NULL);
}

/* Makes the content of a slot: a layout of the tree, or the two folders of an overlay. */
static int fill(struct workspaces *w, const char *path, const char *tree_ref, bool overlay,
                struct layout_owner owner, uint64_t *ret_bytes, struct err *err)
{
    static const char *const overlay_names[] = {"upper", "work"};
    _cleanup_free_ char *tree = in_folder(path, "tree");
    uint64_t bytes = 0;
    int r = discard(w, path, err);
    if (r == 0)
        r = tree ? os_mkdir(path, 0755, true, err) : err_nomem(err);
    for (size_t i = 0; overlay && i < ARRAY_LEN(overlay_names) && r == 0; i++) {
        _cleanup_free_ char *p = in_folder(path, overlay_names[i]);
        r = p ? os_mkdir(p, 0755, true, err) : err_nomem(err);
        if (r == 0 && owner.uid != (uid_t)-1 && chown(p, owner.uid, owner.gid) < 0)
            r = err_sys(err, errno, "chown %s", p);
    }
    if (!overlay && r == 0) {
        struct tree *t = NULL;
        _cleanup_close_ int fd = -1;
        r = tree_open(w->s, tree_ref, &t, err);
        if (r == 0)
            r = os_mkdir(tree, 0755, true, err);
        if (r == 0)
            r = os_open(tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, err);
        if (r == 0)
            r = layout_tree(t, fd, owner, err);
        if (r == 0)
            bytes = tree_total_bytes(t) + 4096 * (uint64_t)tree_count(t);
        tree_free(t);
    }
    if (r == 0)
        r = mark_ready(path, bytes, err);
    if (r < 0)
        (void)discard(w, path, NULL);
    *ret_bytes = bytes;
    return r;
}

/* Gives a slot that is complete, locked shared; makes it if need be. The path is consumed. */
static int slot_acquire(struct workspaces *w, char *path, const char *tree_ref, bool shared,
                        bool overlay, struct layout_owner owner, struct slot *ret, struct err *err)
{
    struct slot s = {-1, path};
    if (!path)
        return err_nomem(err);
    int r = 0;
    bool made = false;
    uint64_t bytes = 0;
    while (r == 0) {
        r = lock_path(path, LOCK_SH, &s.lock_fd, err);
        if (r < 0 || is_ready(path, true))
            break;
        close(TAKE_FD(s.lock_fd));
        _cleanup_close_ int fd = -1;
        struct err busy = {0};
        r = lock_path(path, LOCK_EX | LOCK_NB, &fd, &busy);
        if (r == -ERR_BUSY) { /* another makes it, or has made it and works in it by now, perhaps for days */
            os_sleep_ms(1);
            r = 0;
            continue;
        }
        if (r < 0 && err)
            *err = busy;
        if (r == 0 && !is_ready(path, false)) {
            r = fill(w, path, tree_ref, overlay, owner, &bytes, err);
            made = r == 0;
        }
        /* Unlocked, then locked shared in the next turn; whoever removes it in between makes us do
         * it again. */
    }
    if (r < 0) {
        slot_release(&s);
        return r;
    }
    *ret = s;
    if (made)
        account(w, shared ? bytes : 0);
    return 0;
}

static int make_folders(const char *dir, struct err *err)
{
    static const char *const names[] = {"shared", "private", "trash"};
    int r = os_mkdirs(dir, 0755, err);
    for (size_t i = 0; i < ARRAY_LEN(names) && r == 0; i++) {
        _cleanup_free_ char *p = in_folder(dir, names[i]);
        if (!p)
            r = err_nomem(err);
        else if (!os_is_dir(p))
            r = os_mkdir(p, 0755, true, err);
    }
    return r;
}

/* What a crash left on its way out. Another process may be at it too: then it is gone. */
static void empty_trash(struct workspaces *w)
{
    _cleanup_free_ char *trash = in_folder(w->dir, "trash");
    DIR *d = trash ? opendir(trash) : NULL;
    struct dirent *e;
    while (d && (e = readdir(d))) {
        _cleanup_free_ char *p = e->d_name[0] == '.' ? NULL : in_folder(trash, e->d_name);
        if (p)
            (void)os_remove_tree(p, NULL);
    }
    if (d)
        closedir(d);
}

int workspaces_open(struct store *s, const struct workspaces_options *o, struct workspaces **ret,
                    struct err *err)
{
    struct workspaces *w = mem_zalloc(sizeof *w);
    if (!w)
        return err_nomem(err);
    w->s = s;
    w->max_bytes = o->max_bytes ? o->max_bytes : MAX_BYTES_DEFAULT;
    w->ttl_ns = (o->ttl_ms ? o->ttl_ms : TTL_MS_DEFAULT) * NS_PER_MS;
    w->overlay = o->overlay;
    w->owner = o->set_owner ? (struct layout_owner){o->owner_uid, o->owner_gid}
                            : (struct layout_owner){(uid_t)-1, (gid_t)-1};
    pthread_mutex_init(&w->lock, NULL);
    int r = make_folders(o->dir, err);
    if (r == 0)
        r = os_real_path(o->dir, &w->dir, err);
    if (r < 0) {
        workspaces_free(w);
        return WRAP(r, err, "open workspaces");
    }
    empty_trash(w);
    *ret = w;
    return 0;
}

void workspaces_free(struct workspaces *w)
{
    if (!w)
        return;
    pthread_mutex_destroy(&w->lock);
    free(w->dir);
    free(w);
}

/* "<32 hex of the key's digest>-" */
static int key_prefix(const char *key, char out[34], struct err *err)
{
    struct digest d;
    char hex[DIGEST_HEX + 1];
    int r = digest_of(key, strlen(key), &d, err);
    digest_hex(&d, hex);
    snprintf(out, 34, "%.32s-", hex);
    return r;
}

static int acquire_shared(struct workspaces *w, const char *tree_ref, struct layout_owner owner,
                          struct workspace *ws, struct err *err)
{
    char suffix[16] = "";
    if (owner.uid != (uid_t)-1)
        snprintf(suffix, sizeof suffix, "-%u", (unsigned)owner.uid);
    int r = slot_acquire(w, mem_printf("%s/shared/%s%s", w->dir, tree_ref + 7, suffix), tree_ref,
                         true,
                         false, owner, &ws->shared, err);
    if (r == 0 && !(ws->lower = in_folder(ws->shared.path, "tree")))
        r = err_nomem(err);
    return r;
}

static int acquire_own(struct workspaces *w, const char *tree_ref, const char *key, bool overlay,
                       struct workspace *ws, struct err *err)
{
    char prefix[34];
    int r = key_prefix(key, prefix, err);
    if (r == 0)
        r = slot_acquire(w, mem_printf("%s/private/%s%c-%.32s", w->dir, prefix,
                                       overlay ? 'c' : 'i', tree_ref + 7),
                         tree_ref, false, overlay, w->owner, &ws->own, err);
    if (r < 0)
        return r;
    if (overlay) {
        ws->upper = in_folder(ws->own.path, "upper");
        ws->work = in_folder(ws->own.path, "work");
        return ws->upper && ws->work ? 0 : err_nomem(err);
    }
    ws->lower = in_folder(ws->own.path, "tree");
    return ws->lower ? 0 : err_nomem(err);
}

int workspace_acquire(struct workspaces *w, const char *tree_ref, enum isolation mode,
                      const char *key, struct workspace **ret, struct err *err)
{
    static const struct layout_owner nobody = {(uid_t)-1, (gid_t)-1};
    if (!store_ref_valid(tree_ref))
        return err_set(err, ERR_INVALID, "not a reference of a tree: %.80s",
                       tree_ref ? tree_ref : "");
    if (!key || !*key)
        return err_set(err, ERR_INVALID, "a workspace needs a key");
    struct workspace *ws = mem_zalloc(sizeof *ws);
    if (!ws)
        return err_nomem(err);
    ws->shared.lock_fd = ws->own.lock_fd = -1;
    ws->read_only = mode == ISOLATION_SHARED;
    bool overlay = mode == ISOLATION_COPY_ON_WRITE && w->overlay;
    int r = make_folders(w->dir, err); /* somebody may have emptied the cache: that is no tree which is not there */
    if (r == 0 && mode == ISOLATION_SHARED)
        r = acquire_shared(w, tree_ref, nobody, ws, err);
    else if (r == 0 && overlay) /* its files must belong to who is to change them in the layer above */
        r = acquire_shared(w, tree_ref, w->owner, ws, err);
    if (r == 0 && mode != ISOLATION_SHARED)
        r = acquire_own(w, tree_ref, key, overlay, ws, err);
    if (r < 0) {
        workspace_release(ws);
        return WRAP(r, err, "lay out %.19s", tree_ref);
    }
    *ret = ws;
    return 0;
}

void workspace_release(struct workspace *ws)
{
    if (!ws)
        return;
    slot_release(&ws->shared);
    slot_release(&ws->own);
    free(ws->lower);
    free(ws->upper);
    free(ws->work);
    free(ws);
}

const char *workspace_lower(const struct workspace *ws)
{
    return ws->lower;
}

const char *workspace_upper(const struct workspace *ws)
{
    return ws->upper;
}

const char *workspace_work(const struct workspace *ws)
{
    return ws->work;
}

bool workspace_read_only(const struct workspace *ws)
{
    return ws->read_only;
}

int workspaces_forget(struct workspaces *w, const char *key, struct err *err)
{
    char prefix[34];
    struct cached_list l = {0};
    int r = key_prefix(key, prefix, err);
    if (r == 0)
        r = scan_folder(w, "private", prefix, &l, err);
    bool busy = false;
    VEC_EACH(&l.v, c)
    {
        if (r < 0)
            break;
        r = remove_unused(w, c->path, err);
        busy = busy || r == 0;
        r = r < 0 ? r : 0;
    }
    cached_release(&l);
    if (r == 0 && busy)
        return err_set(err, ERR_BUSY, "a workspace of %.100s is in use", key);
    return r;
}
