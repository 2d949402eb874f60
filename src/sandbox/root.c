/* The root that an activity sees.
 *
 * A template is built once, in a mount namespace that nobody lives in: a small read-only tmpfs with
 * the system's folders bound into it, a synthetic /etc and a minimal /dev. Each init copies that
 * namespace and attaches what is its own: /proc, /tmp, /dev/shm, /scratch and the mounts of its
 * plan. Those are made detached, while the host's tree is still in view; of that tree nothing is
 * ever attached, so there is nothing to unmount or to escape to. */
#include "base/cleanup.h"
#include "os/file.h"
#include "root_internal.h"
#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define OLD_ROOT ".host"
#define NO_SETUID_DEV (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* All paths here are relative to the new root, which is the working folder while it is built. */
static int make_folder(const char *path, mode_t mode, struct err *err)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return err_sys(err, errno, "mkdir %s", path);
    return chmod(path, mode) < 0 ? err_sys(err, errno, "chmod %s", path) : 0;
}

static int write_text(const char *path, const char *text, struct err *err)
{
    _cleanup_close_ int fd = -1;
    int r = os_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &fd, err);
    return r < 0 ? r : os_write_full(fd, text, strlen(text), err);
}

/* Attaches a copy of the host's path at target with these attributes, and all that is mounted below
 * it. */
static int bind_from_host(const char *path, const char *target, uint64_t attributes,
                          struct err *err)
{
    _cleanup_close_ int fd =
        open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (fd < 0)
        return err_sys(err, errno, "open_tree %s", path);
    struct mount_attr a = {.attr_set = attributes, .propagation = MS_PRIVATE};
    if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof a) < 0)
        return err_sys(err, errno, "mount_setattr %s", path);
    if (move_mount(fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_sys(err, errno, "move_mount %s", target);
    return 0;
}

/* /usr, and the folders beside it that are links into it on a merged system and folders of their
 * own elsewhere. */
static int add_system_folders(struct err *err)
{
    static const char *const names[] = {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char host[32], link[256];
        struct stat st;
        snprintf(host, sizeof host, "/%s", names[i]);
        if (lstat(host, &st) < 0)
            continue;
        int r = 0;
        if (S_ISLNK(st.st_mode)) {
            ssize_t n = readlink(host, link, sizeof link - 1);
            if (n <= 0)
                continue;
            link[n] = 0;
            if (symlink(link, names[i]) < 0)
                r = err_sys(err, errno, "symlink %s", names[i]);
        } else if (S_ISDIR(st.st_mode)) {
            r = make_folder(names[i], 0755, err);
            if (r == 0)
                r = bind_from_host(host, names[i], MOUNT_ATTR_RDONLY | NO_SETUID_DEV, err);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_devices(const struct host *h, struct err *err)
{
    static const struct {
        const char *name;
        unsigned minor;
    } nodes[] = {{"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};
    static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"},
                                           {"/proc/self/fd/0", "dev/stdin"},
                                           {"/proc/self/fd/1", "dev/stdout"},
                                           {"/proc/self/fd/2", "dev/stderr"}};
    if (mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k,nr_inodes=64,mode=0755") <
        0)
        return err_sys(err, errno, "mount tmpfs on dev");
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
        char path[32], host[32];
        snprintf(path, sizeof path, "dev/%s", nodes[i].name);
        snprintf(host, sizeof host, "/dev/%s", nodes[i].name);
        if (h->privileged && mknod(path, S_IFCHR | 0666, makedev(1, nodes[i].minor)) == 0 &&
            chmod(path, 0666) == 0)
            continue;
        /* Only the host's root makes nodes that work. */
        int r = write_text(path, "", err);
        if (r == 0)
            r = bind_from_host(host, path,
                               MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        if (symlink(links[i][0], links[i][1]) < 0)
            return err_sys(err, errno, "symlink %s", links[i][1]);
    int r = make_folder("dev/shm", 01777, err);
    if (r == 0 && mount(NULL, "dev", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC,
                        NULL) < 0)
        r = err_sys(err, errno, "make dev read-only");
    return r;
}

static int add_folders(struct err *err)
{
    static const struct {
        const char *path;
        mode_t mode;
    } folders[] = {
        {OLD_ROOT, 0700},  {"proc", 0555},      {"dev", 0755},       {"etc", 0755},
        {"tmp", 01777},    {"scratch", 0755},   {"workspace", 0755}, {"module", 0755},
        {"objects", 0755}, {"home", 0755},      {"root", 0700},      {"run", 0755},
        {"mnt", 0755},     {"opt", 0755},       {"srv", 0755},       {"sys", 0555},
        {"var", 0755},     {ROOT_LAYERS, 0700}, {ROOT_LOWER, 0700},  {ROOT_UPPER, 0700},
    };
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        int r = make_folder(folders[i].path, folders[i].mode, err);
        if (r < 0)
            return r;
    }
    if (symlink("/tmp", "var/tmp") < 0 || symlink("/run", "var/run") < 0)
        return err_sys(err, errno, "symlink below var");
    return 0;
}

/* Mounts the tmpfs of the new root over a folder of the host's that is surely there, and enters it.
 */
static int begin_root(struct err *err)
{
    static const char *const places[] = {"/tmp", "/mnt", "/run", "/var"};
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return err_sys(err, errno, "make the mounts private");
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (mount("tmpfs", places[i], "tmpfs", MS_NOSUID | MS_NODEV,
                  "size=8m,nr_inodes=8k,mode=0755") == 0)
            return chdir(places[i]) < 0 ? err_sys(err, errno, "chdir %s", places[i]) : 0;
    return err_sys(err, errno, "mount tmpfs");
}

static int finish_root(struct err *err)
{
    if (syscall(SYS_pivot_root, ".", OLD_ROOT) < 0)
        return err_sys(err, errno, "pivot_root");
    if (chdir("/") < 0 || umount2("/" OLD_ROOT, MNT_DETACH) < 0)
        return err_sys(err, errno, "detach the host's root");
    if (rmdir("/" OLD_ROOT) < 0)
        return err_sys(err, errno, "rmdir");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_sys(err, errno, "make the mounts private");
    struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY | NO_SETUID_DEV};
    if (mount_setattr(AT_FDCWD, "/", 0, &a, sizeof a) < 0)
        return err_sys(err, errno, "make the root read-only");
    return 0;
}

static int build_template(struct host *h, struct err *err)
{
    int r = begin_root(err);
    if (r == 0)
        r = add_folders(err);
    if (r == 0)
        r = add_system_folders(err);
    if (r == 0)
        r = root_add_etc(err);
    if (r == 0)
        r = add_devices(h, err);
    return r < 0 ? r : finish_root(err);
}

/* An ordinary user gets the right to mount in a user namespace of the spawner's own. */
static int gain_rights(struct host *h, struct err *err)
{
    if (h->privileged)
        return 0;
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWUSER) < 0)
        return err_sys(err, errno, "new user namespace");
    return ids_map_self(h->proc_fd, uid, uid, gid, gid, err);
}

int root_build(struct host *h, struct err *err)
{
    int r = gain_rights(h, err);
    if (r < 0)
        return r;
    if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC) < 0)
        return err_sys(err, errno, "new mount namespace");
    if (sethostname("sandbox", 7) < 0)
        return err_sys(err, errno, "sethostname");
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return err_sys(err, errno, "make the mounts private");
    _cleanup_close_ int host_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (host_ns < 0 || unshare(CLONE_NEWNS) < 0)
        return err_sys(err, errno, "new mount namespace");
    _cleanup_close_ int root_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (root_ns < 0)
        return err_sys(err, errno, "open the mount namespace");
    mode_t old = umask(0);
    r = build_template(h, err);
    umask(old);
    if (setns(host_ns, CLONE_NEWNS) < 0) /* also when the build failed: back to the host's view */
        return err_sys(err, errno, "return to the host's mounts");
    if (r < 0)
        return err_wrap(err, "build the root");
    if (h->privileged && ids_idmap_ns(h->proc_fd, 0, h->uid, 0, h->gid, &h->idmap_ns_fd, err) < 0)
        h->idmap_ns_fd = -1; /* then private folders are handed over by chown */
    h->root_ns_fd = TAKE_FD(root_ns);
    h->host_ns_fd = TAKE_FD(host_ns);
    h->root_built = true;
    return 0;
}
