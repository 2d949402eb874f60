/* The mounts of one activity, made in its init: /proc, temporary folders, and those of the plan. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "root_internal.h"
#include "sandbox/sandbox_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define HAND_OVER_DEPTH 600
#define TMP_BYTES_MAX (UINT64_C(1) << 30)

/* Where idmapped mounts do not work: gives a private folder and all in it to the activity's user.
 */
static int hand_over(int dirfd, const char *name, uid_t uid, gid_t gid, int depth, struct err *err)
{
    if (depth > HAND_OVER_DEPTH)
        return err_set(err, ERR_LIMIT, "folders are nested too deep");
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, uid, gid) < 0)
        return err_sys(err, errno, "hand over %s", name);
    DIR *d = fdopendir(dup(fd));
    if (!d)
        return err_sys(err, errno, "read %s", name);
    int r = 0;
    for (struct dirent *e; r == 0 && (e = readdir(d));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            r = err_sys(err, errno, "stat %s", e->d_name);
        else if (S_ISDIR(st.st_mode))
            r = hand_over(fd, e->d_name, uid, gid, depth + 1, err);
        else if (fchownat(fd, e->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
            r = err_sys(err, errno, "chown %s", e->d_name);
    }
    closedir(d);
    return r;
}

int root_hand_over(const struct host *h, const struct sandbox_plan *p, struct err *err)
{
    int r = 0;
    if (!h->privileged)
        return 0;
    if (p->scratch)
        r = hand_over(AT_FDCWD, p->scratch, h->uid, h->gid, 0, err);
    for (size_t i = 0; r == 0 && i < p->mounts_count; i++)
        if (p->mounts[i].writable)
            r = hand_over(AT_FDCWD, p->mounts[i].source, h->uid, h->gid, 0, err);
    return r;
}

/* The namespace that shows files of this owner as the activity's own. -1: no such mapping. */
static int idmap_for(const struct host *h, const struct stat *st, bool *ret_mine)
{
    int fd = -1;
    *ret_mine = false;
    if (!h->privileged || h->idmap_ns_fd < 0 || (st->st_uid == h->uid && st->st_gid == h->gid))
        return -1;
    if (st->st_uid == 0 && st->st_gid == 0)
        return h->idmap_ns_fd;
    if (ids_idmap_ns(h->proc_fd, st->st_uid, h->uid, st->st_gid, h->gid, &fd, NULL) < 0)
        return -1;
    *ret_mine = true;
    return fd;
}

/* A detached mount on its way into the root. */
struct detached {
    int fd;
    bool handed; /* its files are the activity's: by ids that are mapped, or because they are
                    already */
};

/* The attributes of a mount: restrictions always, and ids as the activity sees them where the file
 * system can: the owner of `owned` becomes the activity's user. */
static int restrict_mount(const struct host *h, struct detached *d, const char *source,
                          const char *owned, bool writable, bool recursive, struct err *err)
{
    struct stat st;
    if (lstat(owned, &st) < 0)
        return err_sys(err, errno, "stat %s", owned);
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    struct mount_attr a = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                       (writable ? 0 : MOUNT_ATTR_RDONLY),
                           .propagation = MS_PRIVATE};
    bool mine;
    int ns = idmap_for(h, &st, &mine);
    if (ns >= 0) {
        struct mount_attr idmap = a;
        idmap.attr_set |= MOUNT_ATTR_IDMAP;
        idmap.userns_fd = (uint64_t)ns;
        d->handed = mount_setattr(d->fd, "", flags, &idmap, sizeof idmap) == 0;
        if (mine)
            close(ns);
        if (d->handed)
            return 0;
    }
    if (mount_setattr(d->fd, "", flags, &a, sizeof a) < 0)
        return err_sys(err, errno, "restrict the mount of %s", source);
    d->handed = !h->privileged || st.st_uid == h->uid || !S_ISDIR(st.st_mode);
    return 0;
}

/* A detached copy of the mount at a host path. What else is mounted below it is left out, unless
 * the kernel insists (in a user namespace it does), then it is restricted with it. */
static int clone_mount(const struct host *h, const char *source, const char *owned, bool writable,
                       struct detached *ret, struct err *err)
{
    bool recursive = false;
    struct detached d = {.fd = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)};
    if (d.fd < 0 && errno == EINVAL) {
        recursive = true;
        d.fd = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    }
    if (d.fd < 0)
        return err_sys(err, errno, "open %s", source);
    *ret = d;
    return restrict_mount(h, ret, source, owned, writable, recursive, err);
}

static int new_proc(int *ret_fd, struct err *err)
{
    _cleanup_close_ int fs = fsopen("proc", FSOPEN_CLOEXEC);
    if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return err_sys(err, errno, "new proc");
    *ret_fd = fsmount(fs, FSMOUNT_CLOEXEC,
                      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    return *ret_fd < 0 ? err_sys(err, errno, "mount proc") : 0;
}

/* Makes the mount point of a plan's target that the template does not have. The template's tmpfs is
 * one for all activities: an empty folder stays there. */
static int make_target(const char *target, bool folder, struct err *err)
{
    struct mount_attr open_it = {.attr_clr = MOUNT_ATTR_RDONLY},
                      close_it = {.attr_set = MOUNT_ATTR_RDONLY};
    char path[4097];
    struct stat st;
    if (stat(target, &st) == 0)
        return 0;
    if (strlen(target) >= sizeof path)
        return err_set(err, ERR_LIMIT, "path too long");
    strcpy(path, target);
    if (mount_setattr(AT_FDCWD, "/", 0, &open_it, sizeof open_it) < 0)
        return err_sys(err, errno, "open the root");
    int r = 0;
    for (char *s = strchr(path + 1, '/'); r == 0 && s; s = strchr(s + 1, '/')) {
        *s = 0;
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            r = err_sys(err, errno, "make folder %s", path);
        *s = '/';
    }
    if (r == 0 && folder && mkdir(path, 0755) < 0 && errno != EEXIST)
        r = err_sys(err, errno, "make folder %s", path);
    if (r == 0 && !folder) {
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
            r = err_sys(err, errno, "make file %s", path);
        else
            close(fd);
    }
    if (mount_setattr(AT_FDCWD, "/", 0, &close_it, sizeof close_it) < 0 && r == 0)
        r = err_sys(err, errno, "close the root");
    return r;
}

static int mount_tmpfs(const struct host *h, const char *target, uint64_t bytes, const char *mode,
                       bool own, struct err *err)
{
    char options[128];
    uint64_t inodes = bytes / 4096 < 1024 ? 1024 : bytes / 4096;
    snprintf(options, sizeof options, "size=%llu,nr_inodes=%llu,mode=%s,uid=%u,gid=%u",
             (unsigned long long)bytes, (unsigned long long)inodes, mode, own ? h->uid : geteuid(),
             own ? h->gid : getegid());
    if (mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
        return err_sys(err, errno, "mount tmpfs on %s", target);
    return 0;
}

/* Commas and colons part the options and layers of an overlay. */
static int escape_layer(const char *path, char *out, size_t size, struct err *err)
{
    size_t n = 0;
    for (; *path; path++) {
        if (n + 3 > size)
            return err_set(err, ERR_LIMIT, "overlay path too long");
        if (*path == ':' || *path == '\\' || *path == ',')
            out[n++] = '\\';
        out[n++] = *path;
    }
    out[n] = 0;
    return 0;
}

/* The two writable folders of an overlay must be seen through one mount: that of their nearest
 * common parent. */
static int split_common(const char *a, const char *b, char *parent, size_t size, struct err *err)
{
    size_t slash = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == '/')
            slash = i;
    if (slash == 0 || slash >= size)
        return err_set(err, ERR_INVALID, "upper and work have no common folder");
    memcpy(parent, a, slash);
    parent[slash] = 0;
    return 0;
}

/* Lower, and the common parent of upper and work, prepared while the host was in view. */
struct layers {
    struct detached lower_mount, upper_mount;
    char upper[4200], work[4200];
};

static int prepare_layers(const struct host *h, const struct sandbox_mount *m, struct layers *l,
                          struct err *err)
{
    char parent[4096];
    int r = split_common(m->upper, m->work, parent, sizeof parent, err);
    if (r < 0)
        return r;
    size_t n = strlen(parent);
    char upper[4096], work[4096];
    snprintf(upper, sizeof upper, "%s", m->upper + n);
    snprintf(work, sizeof work, "%s", m->work + n);
    r = escape_layer(upper, l->upper, sizeof l->upper, err);
    if (r == 0)
        r = escape_layer(work, l->work, sizeof l->work, err);
    if (r == 0)
        r = clone_mount(h, m->source, m->source, false, &l->lower_mount, err);
    if (r == 0)
        r = clone_mount(h, parent, m->upper, true, &l->upper_mount,
                        err); /* whoever owns what lies between */
    /* Giving the layers away by chown would change what others use: lower is shared. */
    if (r == 0 && (!l->lower_mount.handed || !l->upper_mount.handed))
        r = err_set(err, ERR_UNIMPLEMENTED,
                    "an overlay here needs idmapped mounts, which the file system of %s lacks",
                    parent);
    return r;
}

static int mount_overlay(const struct host *h, const struct sandbox_mount *m, struct layers *l,
                         struct err *err)
{
    _cleanup_free_ char *options = mem_printf("lowerdir=/" ROOT_LOWER ",upperdir=/" ROOT_UPPER
                                              "%s,workdir=/" ROOT_UPPER "%s%s",
                                              l->upper, l->work, h->privileged ? "" : ",userxattr");
    if (!options)
        return err_nomem(err);
    if (strlen(options) >= 4096)
        return err_set(err, ERR_LIMIT, "overlay paths too long");
    if (move_mount(l->lower_mount.fd, "", AT_FDCWD, "/" ROOT_LOWER, MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
        move_mount(l->upper_mount.fd, "", AT_FDCWD, "/" ROOT_UPPER, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_sys(err, errno, "attach the layers");
    int r = make_target(m->target, true, err);
    unsigned long flags = MS_NOSUID | MS_NODEV | (m->writable ? 0 : MS_RDONLY);
    if (r == 0 && mount("overlay", m->target, "overlay", flags, options) < 0)
        r = err_sys(err, errno, "mount overlay on %s", m->target);
    if (umount2("/" ROOT_LOWER, MNT_DETACH) < 0 || umount2("/" ROOT_UPPER, MNT_DETACH) < 0)
        r = r < 0 ? r : err_sys(err, errno, "detach the layers");
    return r;
}

static int attach(int fd, const char *target, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "stat");
    int r = make_target(target, S_ISDIR(st.st_mode), err);
    if (r == 0 && move_mount(fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        r = err_sys(err, errno, "attach %s", target);
    return r;
}

/* One mount of the plan: first half with the host in view, second half in the new root. */
struct staged {
    int fd;
    struct layers *layers;
};

static int stage(const struct host *h, const struct sandbox_mount *m, struct staged *s,
                 struct err *err)
{
    if (m->kind == MOUNT_BIND) {
        struct detached d = {.fd = -1};
        int r = clone_mount(h, m->source, m->source, m->writable, &d, err);
        if (r == 0 && m->writable && !d.handed)
            r = hand_over(AT_FDCWD, m->source, h->uid, h->gid, 0, err);
        s->fd = d.fd;
        return r;
    }
    if (m->kind == MOUNT_TMPFS)
        return 0;
    s->layers = mem_zalloc(sizeof *s->layers);
    return s->layers ? prepare_layers(h, m, s->layers, err) : err_nomem(err);
}

static int unstage(const struct host *h, const struct sandbox_mount *m, struct staged *s,
                   uint64_t disk_bytes, struct err *err)
{
    int r;
    if (m->kind == MOUNT_BIND)
        return attach(s->fd, m->target, err);
    if (m->kind == MOUNT_OVERLAY)
        return mount_overlay(h, m, s->layers, err);
    r = make_target(m->target, true, err);
    return r < 0 ? r
                 : mount_tmpfs(h, m->target, m->size_bytes ? m->size_bytes : disk_bytes, "0755",
                               true, err);
}

static int add_temporary(const struct host *h, const struct sandbox_plan *p, struct err *err)
{
    uint64_t tmp = p->limits.disk_bytes < TMP_BYTES_MAX ? p->limits.disk_bytes : TMP_BYTES_MAX;
    int r = mount_tmpfs(h, "/tmp", tmp, "1777", false, err);
    if (r == 0)
        r = mount_tmpfs(h, "/dev/shm", tmp, "1777", false, err);
    if (r == 0 && !p->scratch)
        r = mount_tmpfs(h, "/scratch", p->limits.disk_bytes, "0755", true, err);
    return r;
}

int root_prepare(const struct host *h, int *ret_ns, struct err *err)
{
    int proc = -1;
    int r = new_proc(&proc, err);
    if (r < 0)
        return r;
    if (setns(h->root_ns_fd, CLONE_NEWNS) < 0 || unshare(CLONE_NEWNS) < 0)
        return err_sys(err, errno, "copy the root");
    r = attach(proc, "/proc", err);
    if (r < 0)
        return r;
    close(proc);
    *ret_ns = openat(h->proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (*ret_ns < 0 || setns(h->host_ns_fd, CLONE_NEWNS) < 0)
        return err_sys(err, errno, "return to the host's mounts");
    return 0;
}

/* Everything here is in a process of its own that only goes on to run the activity, and whose
 * descriptors are closed before that: failures need not tidy up. */
int root_enter(const struct host *h, int own_ns, const struct sandbox_plan *p, struct err *err)
{
    struct staged staged[PLAN_MOUNTS_MAX] = {0}, scratch = {.fd = -1};
    struct sandbox_mount scratch_mount = {
        .kind = MOUNT_BIND, .source = p->scratch, .target = "/scratch", .writable = true};
    int r = 0;
    for (size_t i = 0; r == 0 && i < p->mounts_count; i++)
        if ((r = stage(h, &p->mounts[i], &staged[i], err)) < 0)
            err_wrap(err, "mount %s", p->mounts[i].target);
    if (r == 0 && p->scratch && (r = stage(h, &scratch_mount, &scratch, err)) < 0)
        err_wrap(err, "mount /scratch");
    if (r < 0)
        return r;
    if (setns(own_ns, CLONE_NEWNS) < 0)
        return err_sys(err, errno, "enter the root");
    r = add_temporary(h, p, err);
    if (r == 0 && p->scratch)
        r = attach(scratch.fd, "/scratch", err);
    for (size_t i = 0; r == 0 && i < p->mounts_count; i++) {
        r = unstage(h, &p->mounts[i], &staged[i], p->limits.disk_bytes, err);
        free(staged[i].layers);
    }
    return r;
}
