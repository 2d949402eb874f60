/* User ids of activities, and the user namespaces that map them. */
#include "base/cleanup.h"
#include "os/file.h"
#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Above what distributions, container managers and systemd hand out (systemd.io/UIDS-GIDS: nothing
 * is allocated between 1,879,048,192 and 2^31), below 2^31, where some file systems stop. */
#define HOST_UID_FIRST 1879053000u
#define HOST_UID_TRIES 64u

/* Is the id named in /etc/passwd, or part of a range of /etc/subuid? */
static bool uid_is_taken(uid_t uid)
{
    static const struct {
        const char *path;
        bool range;
    } lists[] = {{"/etc/passwd", false}, {"/etc/subuid", true}};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        _cleanup_free_ char *text = NULL;
        size_t len;
        if (os_read_file(lists[i].path, 4 << 20, &text, &len, NULL) < 0)
            continue;
        for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
             line = strtok_r(NULL, "\n", &save)) {
            unsigned long first, n = 1;
            if (lists[i].range ? sscanf(line, "%*[^:]:%lu:%lu", &first, &n) == 2
                               : sscanf(line, "%*[^:]:%*[^:]:%lu", &first) == 1)
                if (uid >= first && uid - first < n)
                    return true;
        }
    }
    return false;
}

/* The last id of the largest range that this user namespace maps; 0 if only root is there. */
static uid_t last_mapped_uid(void)
{
    char *text;
    size_t len;
    unsigned long inside, outside, count, best = 0, last = 0;
    int used, at = 0;
    if (os_read_file("/proc/self/uid_map", 65536, &text, &len, NULL) < 0)
        return 0;
    while (sscanf(text + at, "%lu %lu %lu%n", &inside, &outside, &count, &used) == 3) {
        if (count > best) {
            best = count;
            last = inside + count - 1;
        }
        at += used;
    }
    free(text);
    return last > UINT32_MAX - 1 ? UINT32_MAX - 1 : (uid_t)last;
}

uid_t sandbox_host_uid(void)
{
    static uid_t found; /* the same for the life of the process; racing threads find the same */
    if (geteuid() != 0)
        return geteuid();
    if (found)
        return found;
    uid_t last = last_mapped_uid();
    uid_t first = last >= HOST_UID_FIRST + HOST_UID_TRIES ? HOST_UID_FIRST
                  : last > HOST_UID_TRIES + 1000          ? last - HOST_UID_TRIES
                                                          : 0;
    uid_t uid = first;
    for (uid_t i = 0; first && i < HOST_UID_TRIES && uid_is_taken(uid); i++)
        uid = first + i + 1;
    found = uid;
    return uid;
}

int sandbox_let_in(const char *dir, struct err *err)
{
    uid_t uid = sandbox_host_uid();
    if (uid == 0 || geteuid() != 0)
        return 0;
    if (chown(dir, (uid_t)-1, (gid_t)uid) < 0 || chmod(dir, 0710) < 0)
        return err_sys(err, errno, "let activities into %s", dir);
    return 0;
}

static int write_proc(int dir, const char *file, const char *text, struct err *err)
{
    _cleanup_close_ int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "open %s", file);
    size_t n = strlen(text);
    if (write(fd, text, n) != (ssize_t)n)
        return err_sys(err, errno, "write %s", file);
    return 0;
}

/* Of the process that /proc calls `who`: its number, or "self". */
static int write_maps(int proc_fd, const char *who, const char *uids, const char *gids,
                      struct err *err)
{
    _cleanup_close_ int dir = openat(proc_fd, who, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(err, errno, "open /proc/%s", who);
    int r = write_proc(dir, "setgroups", "deny", err);
    if (r == 0)
        r = write_proc(dir, "uid_map", uids, err);
    if (r == 0)
        r = write_proc(dir, "gid_map", gids, err);
    return r;
}

int ids_map_self(int proc_fd, uid_t inside_uid, uid_t outside_uid, gid_t inside_gid,
                 gid_t outside_gid, struct err *err)
{
    char uids[64], gids[64];
    snprintf(uids, sizeof uids, "%u %u 1", inside_uid, outside_uid);
    snprintf(gids, sizeof gids, "%u %u 1", inside_gid, outside_gid);
    return write_maps(proc_fd, "self", uids, gids, err);
}

int ids_idmap_ns(int proc_fd, uid_t from_uid, uid_t to_uid, gid_t from_gid, gid_t to_gid,
                 int *ret_fd, struct err *err)
{
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) < 0)
        return err_sys(err, errno, "pipe");
    pid_t pid = fork();
    if (pid == 0) {         /* only lives until the namespace has a descriptor */
        char self[24] = ""; /* its number in that /proc, which may be of an outer namespace */
        if (unshare(CLONE_NEWUSER) == 0 && readlinkat(proc_fd, "self", self, sizeof self - 1) > 0 &&
            write(ready[1], self, sizeof self) == (ssize_t)sizeof self)
            for (;;)
                pause();
        _exit(1);
    }
    close(ready[1]);
    if (pid < 0) {
        close(ready[0]);
        return err_sys(err, errno, "fork");
    }
    char who[24] = "", path[40], uids[64], gids[64];
    /* And back: root, whose rights an overlay uses for its work folder, must be somebody there too.
     */
    snprintf(uids, sizeof uids, "%u %u 1\n%u 0 1\n", from_uid, to_uid, to_uid);
    snprintf(gids, sizeof gids, "%u %u 1\n%u 0 1\n", from_gid, to_gid, to_gid);
    int r = read(ready[0], who, sizeof who) == (ssize_t)sizeof who
                ? 0
                : err_set(err, ERR_PERMISSION, "no user namespace");
    close(ready[0]);
    snprintf(path, sizeof path, "%.23s/ns/user", who);
    if (r == 0)
        r = write_maps(proc_fd, who, uids, gids, err);
    if (r == 0) {
        *ret_fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
        if (*ret_fd < 0)
            r = err_sys(err, errno, "open /proc/%s", path);
    }
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return r;
}
