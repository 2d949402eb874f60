#include "store/layout.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "os/fault.h"
#include "os/file.h"
#include "store/tree_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Descriptors are kept of the innermost folders only; the others are opened again by ".." when the
 * walk comes back. Nobody else can move folders here: the layout is ours until it is complete. */
#define OPEN_MAX_ 32

struct level {
    int fd; /* -1: closed for now */
    const char *path;
    size_t path_len;
};

struct layout {
    struct tree *t;
    struct stream_reader reader;
    struct layout_owner owner;
    VEC(struct level) levels; /* 0 is the top, whose fd is the caller's */
};

static const struct timespec layout_times[2] = {{.tv_sec = LAYOUT_TIME_S},
                                                {.tv_sec = LAYOUT_TIME_S}};

/* Owner, mode and time of what is open. */
static int finish_fd(const struct layout *l, int fd, mode_t mode, const char *path,
                     struct err *err)
{
    if (l->owner.uid != (uid_t)-1 && fchown(fd, l->owner.uid, l->owner.gid) < 0)
        return err_sys(err, errno, "chown %s", path);
    if (fchmod(fd, mode) < 0)
        return err_sys(err, errno, "chmod %s", path);
    if (futimens(fd, layout_times) < 0)
        return err_sys(err, errno, "set the time of %s", path);
    return 0;
}

static int reopen_parent(struct level *parent, const struct level *child, struct err *err)
{
    return parent->fd >= 0 ? 0 : os_openat(child->fd, "..", O_RDONLY | O_DIRECTORY, 0, &parent->fd,
                                           err);
}

static int pop_level(struct layout *l, struct err *err)
{
    struct level *child = &l->levels.v[l->levels.len - 1];
    int r = reopen_parent(child - 1, child, err);
    if (r == 0)
        r = finish_fd(l, child->fd, 0755, child->path, err);
    close(child->fd);
    l->levels.len--;
    return r;
}

static bool lies_in(const char *path, const struct level *dir)
{
    return !dir->path_len ||
           (strncmp(path, dir->path, dir->path_len) == 0 && path[dir->path_len] == '/');
}

static int add_dir(struct layout *l, int at, const char *name, const char *path, struct err *err)
{
    int e = os_fault("mkdir");
    if (e || mkdirat(at, name, 0700) < 0)
        return err_sys(err, e ? e : errno, "make folder %s", path);
    struct level child = {-1, path, strlen(path)};
    int r = os_openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &child.fd, err);
    if (r < 0)
        return r;
    if (!VEC_PUSH(&l->levels, child)) {
        close(child.fd);
        return err_nomem(err);
    }
    if (l->levels.len > OPEN_MAX_ + 1) {
        struct level *far = &l->levels.v[l->levels.len - 1 - OPEN_MAX_];
        close(far->fd);
        far->fd = -1;
    }
    return 0;
}

static int add_file(struct layout *l, int at, const char *name, const struct manifest_entry *x,
                    struct err *err)
{
    _cleanup_close_ int fd = -1;
    int r = os_openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &fd, err);
    for (uint64_t done = 0; r == 0 && done < x->e.size_bytes;) {
        const char *p;
        size_t n;
        r = stream_read(&l->reader, x->offset + done, x->e.size_bytes - done, &p, &n, err);
        if (r == 0)
            r = os_write_full(fd, p, n, err);
        done += n;
    }
    return r < 0 ? r : finish_fd(l, fd, x->e.executable ? 0755 : 0644, x->e.path, err);
}

static int add_link(struct layout *l, int at, const char *name, const struct manifest_entry *x,
                    struct err *err)
{
    int e = os_fault("symlink");
    if (e || symlinkat(x->e.link, at, name) < 0)
        return err_sys(err, e ? e : errno, "make link %s", x->e.path);
    if (l->owner.uid != (uid_t)-1 &&
        fchownat(at, name, l->owner.uid, l->owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, errno, "chown %s", x->e.path);
    (void)utimensat(at, name, layout_times, AT_SYMLINK_NOFOLLOW);
    return 0;
}

static int add_entry(struct layout *l, const struct manifest_entry *x, struct err *err)
{
    const char *path = x->e.path, *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    while (!lies_in(path, &l->levels.v[l->levels.len - 1])) {
        int r = pop_level(l, err);
        if (r < 0)
            return r;
    }
    int at = l->levels.v[l->levels.len - 1].fd;
    switch (x->e.kind) {
    case TREE_DIR: return add_dir(l, at, name, path, err);
    case TREE_SYMLINK: return add_link(l, at, name, x, err);
    case TREE_FILE: return add_file(l, at, name, x, err);
    }
    return err_set(err, ERR_INTERNAL, "an entry of no kind");
}

int layout_tree(struct tree *t, int dirfd, struct layout_owner owner, struct err *err)
{
    struct layout l = {.t = t, .owner = owner};
    stream_reader_init(&l.reader, t);
    struct level top = {dirfd, "", 0};
    int r = VEC_PUSH(&l.levels, top) ? 0 : err_nomem(err);
    for (size_t i = 0; i < t->m.count && r == 0; i++)
        r = add_entry(&l, &t->m.entries[i], err);
    while (l.levels.len > 1 && r == 0)
        r = pop_level(&l, err);
    if (r == 0)
        r = finish_fd(&l, dirfd, 0755, "the workspace", err);
    for (size_t i = 1; i < l.levels.len; i++)
        if (l.levels.v[i].fd >= 0)
            close(l.levels.v[i].fd);
    VEC_RELEASE(&l.levels);
    stream_reader_release(&l.reader);
    return r;
}
