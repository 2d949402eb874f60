/* A folder: walked by descriptors, in order, never following a link.
 *
 * Only the innermost folders are kept open; one further out is opened again by ".." on the way back
 * and must be the one it was, so that moving folders about while we walk cannot lead us out. */
#include "ingest/ingest_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "os/fault.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define KEEP_OPEN 32

struct name {
    char *name;
    unsigned char type; /* DT_x */
};

struct level {
    int fd; /* -1: closed for now */
    dev_t dev;
    ino_t ino;
    struct name *names; /* sorted */
    size_t count, next;
    size_t path_len; /* of the folder's path in walk.path */
};

struct walk {
    struct ingest_job *j;
    VEC(struct level) levels;
    struct strbuf path;
    struct stat excluded; /* st_ino 0: none */
};

static void level_release(struct level *l)
{
    if (l->fd >= 0)
        close(l->fd);
    for (size_t i = 0; i < l->count; i++)
        free(l->names[i].name);
    free(l->names);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->name, ((const struct name *)b)->name);
}

/* All names of a folder; more than can be taken in are not read. */
static int read_names(struct walk *w, struct level *l, struct err *err)
{
    int fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
    DIR *d = fd < 0 || os_fault("opendir") ? NULL : fdopendir(fd);
    if (!d) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return err_sys(err, e, "read folder");
    }
    VEC(struct name) v = {0};
    struct dirent *e;
    int r = 0;
    uint64_t max = w->j->limits.entries_max - w->j->entries + 1;
    errno = 0;
    while (r == 0 && v.len < max && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        struct name n = {mem_strdup(e->d_name), e->d_type};
        if (!n.name || !VEC_PUSH(&v, n)) {
            free(n.name);
            r = err_nomem(err);
        }
    }
    if (r == 0 && v.len < max && errno)
        r = err_sys(err, errno, "read folder");
    closedir(d);
    l->names = v.v;
    l->count = v.len;
    if (v.len)
        qsort(v.v, v.len, sizeof *v.v, by_name);
    return r;
}

/* Enters a folder; its descriptor is consumed. One that cannot be read is left, with a notice. */
static int push(struct walk *w, int fd, size_t path_len, struct err *err)
{
    struct level l = {.fd = fd, .path_len = path_len};
    struct stat st;
    struct err e = {0};
    int r = fstat(fd, &st) < 0 ? err_sys(&e, errno, "stat") : read_names(w, &l, &e);
    if (r < 0) {
        level_release(&l);
        if (r == -ERR_NO_MEMORY)
            return err_copy(err, &e);
        return job_notice(w->j, INGEST_UNREADABLE, strbuf_str(&w->path), "%s", e.msg);
    }
    l.dev = st.st_dev;
    l.ino = st.st_ino;
    if (!VEC_PUSH(&w->levels, l)) {
        level_release(&l);
        return err_nomem(err);
    }
    if (w->levels.len > KEEP_OPEN + 1) { /* the top is the caller's, and stays */
        struct level *far = &w->levels.v[w->levels.len - 1 - KEEP_OPEN];
        close(far->fd);
        far->fd = -1;
    }
    return 0;
}

/* Leaves the innermost folder. */
static int pop(struct walk *w, struct err *err)
{
    struct level *l = &w->levels.v[w->levels.len - 1];
    struct level *up = w->levels.len > 1 ? l - 1 : NULL;
    int r = 0;
    if (up && up->fd < 0) {
        struct stat st;
        struct err e = {0};
        bool ok = os_openat(l->fd, "..", O_RDONLY | O_DIRECTORY, 0, &up->fd, &e) == 0 &&
                  fstat(up->fd, &st) == 0 && st.st_dev == up->dev && st.st_ino == up->ino;
        if (!ok) { /* moved meanwhile: what is left of it cannot be reached safely */
            r = job_notice(w->j, INGEST_UNREADABLE, strbuf_str(&w->path),
                           "its folder was moved while it was read");
            up->next = up->count;
            if (up->fd < 0)
                up->fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0); /* a place to go on upwards from */
            if (up->fd < 0)
                r = err_sys(err, errno, "read folder");
        }
    }
    level_release(l);
    w->levels.len--;
    return r;
}

static const char *odd_kind(mode_t mode)
{
    return S_ISFIFO(mode)   ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
           : S_ISCHR(mode) || S_ISBLK(mode) ? "a device" : "not a file";
}

static int unreadable(struct walk *w, const char *path, int errnum)
{
    struct err e = {0};
    err_sys(&e, errnum, "cannot be read");
    return job_notice(w->j, INGEST_UNREADABLE, path, "%s", e.msg);
}

static int visit_link(struct walk *w, int at, const char *name, const char *path, struct err *err)
{
    char target[4097];
    ssize_t n = readlinkat(at, name, target, sizeof target - 1);
    if (n < 0)
        return unreadable(w, path, errno);
    target[n] = 0;
    if (!link_stays_inside(path, target))
        return job_notice(w->j, INGEST_SKIPPED, path, "a link that leads out of the target");
    return job_add_symlink(w->j, path, target, err);
}

static bool is_excluded(const struct walk *w, int fd)
{
    struct stat st;
    return w->excluded.st_ino && fstat(fd, &st) == 0 && st.st_ino == w->excluded.st_ino &&
           st.st_dev == w->excluded.st_dev;
}

static int visit_dir(struct walk *w, int at, const char *name, const char *path, struct err *err)
{
    if (strcmp(name, ".git") == 0 || strcmp(name, ".fuzzforge") == 0)
        return job_notice(w->j, INGEST_FILTERED, path, "%s is left out", name);
    int fd;
    struct err e = {0};
    if (os_openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0, &fd, &e) < 0)
        return job_notice(w->j, INGEST_UNREADABLE, path, "%s", e.msg);
    if (is_excluded(w, fd)) {
        close(fd);
        return job_notice(w->j, INGEST_FILTERED, path, "the state folder is left out");
    }
    int r = job_add_dir(w->j, path, err);
    if (r < 0) {
        close(fd);
        return r;
    }
    w->j->res->dirs++;
    return push(w, fd, w->path.len, err);
}

static int visit_file(struct walk *w, int at, const char *name, const char *path, struct err *err)
{
    _cleanup_close_ int fd = -1;
    struct stat st;
    struct err e = {0};
    /* It may have become something else since its kind was looked at: so not blocking, not
     * following. */
    if (os_openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, &fd, &e) < 0)
        return job_notice(w->j, INGEST_UNREADABLE, path, "%s", e.msg);
    if (fstat(fd, &st) < 0)
        return unreadable(w, path, errno);
    if (!S_ISREG(st.st_mode))
        return job_notice(w->j, INGEST_SKIPPED, path, "%s", odd_kind(st.st_mode));
    return job_add_file(w->j, fd, path, err);
}

static int visit(struct walk *w, const struct name *n, struct err *err)
{
    int at = w->levels.v[w->levels.len - 1].fd;
    const char *path = strbuf_str(&w->path);
    unsigned char type = n->type;
    int r = job_tick(w->j, err);
    if (r == 0)
        r = job_admit(w->j, path);
    if (r <= 0)
        return r < 0 && err && !err->code ? err_nomem(err) : r;
    struct stat st = {0};
    if (type == DT_UNKNOWN || (type != DT_DIR && type != DT_REG && type != DT_LNK)) {
        if (fstatat(at, n->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return unreadable(w, path, errno);
        type = S_ISDIR(st.st_mode)   ? DT_DIR
               : S_ISREG(st.st_mode) ? DT_REG
               : S_ISLNK(st.st_mode) ? DT_LNK
                                     : DT_FIFO;
    }
    switch (type) {
    case DT_DIR: return visit_dir(w, at, n->name, path, err);
    case DT_REG: return visit_file(w, at, n->name, path, err);
    case DT_LNK: return visit_link(w, at, n->name, path, err);
    default: return job_notice(w->j, INGEST_SKIPPED, path, "%s", odd_kind(st.st_mode));
    }
}

static int walk_all(struct walk *w, struct err *err)
{
    int r = 0;
    while (w->levels.len && r == 0) {
        struct level *l = &w->levels.v[w->levels.len - 1];
        w->path.len = l->path_len;
        w->path.s[w->path.len] = 0;
        if (l->next == l->count || w->j->stopped) {
            r = pop(w, err);
            continue;
        }
        const struct name *n = &l->names[l->next++];
        if (w->path.len)
            strbuf_putc(&w->path, '/');
        strbuf_puts(&w->path, n->name);
        r = strbuf_check(&w->path, err);
        if (r == 0)
            r = visit(w, n, err);
    }
    return r;
}

int ingest_folder(struct ingest_job *j, int dirfd, struct err *err)
{
    struct walk w = {.j = j, .path = STRBUF_INIT_MAX(1 << 20)};
    if (j->o->exclude_dir && stat(j->o->exclude_dir, &w.excluded) < 0)
        w.excluded.st_ino = 0;
    int fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
    strbuf_puts(&w.path, "");
    int r = fd < 0 ? err_sys(err, errno, "read folder") : strbuf_check(&w.path, err);
    if (r == 0)
        r = push(&w, fd, 0, err);
    else if (fd >= 0)
        close(fd);
    if (r == 0)
        r = walk_all(&w, err);
    VEC_EACH(&w.levels, l)
        level_release(l);
    VEC_RELEASE(&w.levels);
    strbuf_release(&w.path);
    return r;
}
