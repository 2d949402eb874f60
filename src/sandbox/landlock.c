/* Landlock, the second wall: should an activity get hold of a path of the host's in spite of its
 * mount namespace, it may still touch only what lies beneath the folders named here. */
#include "base/cleanup.h"
#include "child_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of Debian 12; numbers of the kernel's ABI (landlock(7)). */
#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_MAKE_REG (1ULL << 8)
#define FS_ALL_ABI1 ((1ULL << 13) - 1)
#define FS_REFER (1ULL << 13)     /* ABI 2 */
#define FS_TRUNCATE (1ULL << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define NET_BIND_TCP (1ULL << 0)        /* ABI 4 */
#define NET_CONNECT_TCP (1ULL << 1)     /* ABI 4 */
#define SCOPE_ABSTRACT_UNIX (1ULL << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1ULL << 1)        /* ABI 6 */

struct ruleset_attr {
    uint64_t fs, net, scoped;
};

struct ruleset {
    int fd;
    uint64_t fs;
};

static int allow(const struct ruleset *rs, const char *path, uint64_t access, struct err *err)
{
    struct stat st;
    _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == EACCES))
        return 0; /* not here, so nobody can reach it */
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, errno, "open %s", path);
    if (!S_ISDIR(st.st_mode))
        access &= FS_OF_FILES;
    struct landlock_path_beneath_attr a = {.allowed_access = access & rs->fs, .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, rs->fd, LANDLOCK_RULE_PATH_BENEATH, &a, 0) < 0)
        return err_sys(err, errno, "allow %s", path);
    return 0;
}

static int open_ruleset(int abi, enum sandbox_network network, struct ruleset *rs, struct err *err)
{
    struct ruleset_attr a = {.fs = FS_ALL_ABI1};
    if (abi >= 2)
        a.fs |= FS_REFER;
    if (abi >= 3)
        a.fs |= FS_TRUNCATE;
    if (abi >= 5)
        a.fs |= FS_IOCTL_DEV;
    if (abi >= 4 && network == SANDBOX_NET_NONE)
        a.net = NET_BIND_TCP | NET_CONNECT_TCP;
    if (abi >= 6)
        a.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    size_t size = abi >= 6   ? sizeof a
                  : abi >= 4 ? offsetof(struct ruleset_attr, scoped)
                             : sizeof a.fs;
    rs->fs = a.fs;
    rs->fd = (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
    return rs->fd < 0 ? err_sys(err, errno, "landlock_create_ruleset") : 0;
}

#define READ (FS_EXECUTE | FS_READ_FILE | FS_READ_DIR)

/* In the root of its own: everything there may be read, and a few folders written. */
static int allow_inside(const struct ruleset *rs, const struct sandbox_plan *p, struct err *err)
{
    static const char *const writable[] = {"/tmp", "/scratch", "/dev/shm"};
    int r = allow(rs, "/", READ, err);
    if (r == 0)
        r = allow(rs, "/dev", READ | FS_WRITE_FILE, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(writable); i++)
        r = allow(rs, writable[i], rs->fs & ~FS_IOCTL_DEV, err);
    for (size_t i = 0; r == 0 && i < p->mounts_count; i++)
        if (p->mounts[i].writable || p->mounts[i].kind == MOUNT_TMPFS)
            r = allow(rs, p->mounts[i].target, rs->fs & ~FS_IOCTL_DEV, err);
    return r;
}

/* On the host's own root, where no namespaces can be had: this is the first wall then. */
static int allow_host(const struct ruleset *rs, const struct sandbox_plan *p, struct err *err)
{
    static const char *const readable[] = {"/usr",
                                           "/bin",
                                           "/sbin",
                                           "/lib",
                                           "/lib32",
                                           "/lib64",
                                           "/etc/ld.so.cache",
                                           "/etc/alternatives",
                                           "/etc/ssl/certs",
                                           "/etc/passwd",
                                           "/etc/group",
                                           "/etc/nsswitch.conf",
                                           "/etc/localtime"};
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                          "/dev/urandom"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(readable); i++)
        r = allow(rs, readable[i], READ, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(devices); i++)
        r = allow(rs, devices[i], FS_READ_FILE | FS_WRITE_FILE, err);
    if (r == 0 && p->scratch)
        r = allow(rs, p->scratch, rs->fs & ~FS_IOCTL_DEV, err);
    for (size_t i = 0; r == 0 && i < p->mounts_count; i++)
        if (p->mounts[i].source)
            r = allow(rs, p->mounts[i].source,
                      p->mounts[i].writable ? rs->fs & ~FS_IOCTL_DEV : READ, err);
    return r;
}

int sandbox_wall(const char *const *writable, const char *const *growing, int *ret_fd, struct err *err)
{
    struct ruleset rs;
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    *ret_fd = -1;
    if (abi < 1)
        return 0;
    int r = open_ruleset(abi, SANDBOX_NET_LOOPBACK, &rs, err);
    if (r < 0)
        return r;
    r = allow(&rs, "/", READ, err);
    if (r == 0)
        r = allow(&rs, "/dev", READ | FS_WRITE_FILE, err);
    for (; r == 0 && *writable; writable++)
        r = allow(&rs, *writable, rs.fs & ~FS_IOCTL_DEV, err);
    for (; r == 0 && growing && *growing; growing++)
        r = allow(&rs, *growing, READ | FS_WRITE_FILE | FS_TRUNCATE | FS_MAKE_REG, err);
    if (r == 0)
        *ret_fd = rs.fd;
    else
        close(rs.fd);
    return r;
}

int sandbox_confine(const char *const *writable, const char *const *growing, struct err *err)
{
    _cleanup_close_ int fd = -1;
    int r = sandbox_wall(writable, growing, &fd, err);
    if (r == 0 && fd >= 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        r = err_sys(err, errno, "landlock_restrict_self");
    return r;
}

int landlock_restrict(const struct host *h, const struct sandbox_plan *p, struct err *err)
{
    struct ruleset rs;
    int r = open_ruleset(h->protection.landlock_abi, p->network, &rs, err);
    if (r < 0)
        return r;
    r = h->root_built ? allow_inside(&rs, p, err) : allow_host(&rs, p, err);
    if (r == 0 && syscall(SYS_landlock_restrict_self, rs.fd, 0) < 0)
        r = err_sys(err, errno, "landlock_restrict_self");
    close(rs.fd);
    return r;
}
