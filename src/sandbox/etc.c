/* The synthetic /etc: what programs need to run, and nothing that tells about the host's people or
 * settings. */
#include "base/cleanup.h"
#include "os/file.h"
#include "root_internal.h"
#include "sandbox/sandbox_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define COPY_FILE_MAX ((size_t)2 << 20)

static const struct {
    const char *path, *text;
} written[] = {
    {"etc/passwd", "root:x:0:0:root:/root:/bin/false\n"
                   "sandbox:x:1000:1000:sandbox:/scratch:/bin/sh\n"
                   "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"},
    {"etc/group", "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n"},
    {"etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n"},
    {"etc/hostname", "sandbox\n"},
    {"etc/nsswitch.conf",
     "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"},
    {"etc/resolv.conf", "nameserver " SANDBOX_DNS_ADDRESS "\noptions timeout:3 attempts:2\n"},
    {"etc/shells", "/bin/sh\n"},
    {"etc/machine-id", "00000000000000000000000000000000\n"},
};

/* Files that are copied when the host has them. */
static const char *const copied[] = {
    "ld.so.cache", "ld.so.conf", "localtime",      "timezone",   "services",    "protocols",
    "mime.types",  "magic",      "debian_version", "os-release", "lsb-release", "inputrc",
};

/* Folders that are bound when the host has them: links between programs, public certificates,
 * settings that run-time systems (Java, Python, Perl) read at start. */
static const char *const bound[] = {
    "alternatives", "ssl/certs", "ca-certificates", "pki/tls/certs", "ld.so.conf.d", "java-*",
    "python*",      "perl",      "terminfo",
};

static int add_written(struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(written); i++) {
        _cleanup_close_ int fd = -1;
        int r = os_open(written[i].path, O_WRONLY | O_CREAT | O_EXCL, 0644, &fd, err);
        if (r == 0)
            r = os_write_full(fd, written[i].text, strlen(written[i].text), err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What is absent, no plain file or too large is left out: nothing depends on one of them alone. */
static int add_copies(struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(copied); i++) {
        char host[64], path[64];
        _cleanup_free_ char *text = NULL;
        _cleanup_close_ int fd = -1;
        size_t len;
        snprintf(host, sizeof host, "/etc/%s", copied[i]);
        snprintf(path, sizeof path, "etc/%s", copied[i]);
        if (os_read_file(host, COPY_FILE_MAX, &text, &len, NULL) < 0)
            continue;
        int r = os_open(path, O_WRONLY | O_CREAT | O_EXCL, 0644, &fd, err);
        if (r == 0)
            r = os_write_full(fd, text, len, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int bind_folder(const char *name, struct err *err)
{
    char host[300], path[300];
    struct stat st;
    snprintf(host, sizeof host, "/etc/%s", name);
    snprintf(path, sizeof path, "etc/%s", name);
    if (stat(host, &st) < 0 || !S_ISDIR(st.st_mode))
        return 0;
    for (char *slash = strchr(path + 4, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return err_sys(err, errno, "mkdir %s", path);
        *slash = '/';
    }
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return err_sys(err, errno, "mkdir %s", path);
    _cleanup_close_ int fd = open_tree(AT_FDCWD, host, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                           .propagation = MS_PRIVATE};
    if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &a, sizeof a) < 0 ||
        move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_sys(err, errno, "bind %s", host);
    return 0;
}

static int add_bound(struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(bound); i++) {
        if (!strchr(bound[i], '*')) {
            r = bind_folder(bound[i], err);
            continue;
        }
        DIR *d = opendir("/etc");
        for (struct dirent *e; r == 0 && d && (e = readdir(d));)
            if (fnmatch(bound[i], e->d_name, FNM_PERIOD) == 0)
                r = bind_folder(e->d_name, err);
        if (d)
            closedir(d);
    }
    return r;
}

int root_add_etc(struct err *err)
{
    int r = add_written(err);
    if (r == 0)
        r = add_copies(err);
    if (r == 0)
        r = add_bound(err);
    if (r == 0 && symlink("/proc/self/mounts", "etc/mtab") < 0)
        r = err_sys(err, errno, "symlink etc/mtab");
    return r;
}
