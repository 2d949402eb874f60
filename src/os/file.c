#include "os/file.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Sets errno and is true when a test wants this call to fail. */
static bool faulted(const char *call)
{
    int e = os_fault(call);
    if (e)
        errno = e;
    return e != 0;
}

int os_openat(int dirfd, const char *path, int flags, mode_t mode, int *ret_fd, struct err *err)
{
    int fd;
    do
        fd = faulted("open") ? -1 : openat(dirfd, path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return err_sys(err, errno, "open %s", path);
    *ret_fd = fd;
    return 0;
}

int os_open(const char *path, int flags, mode_t mode, int *ret_fd, struct err *err)
{
    return os_openat(AT_FDCWD, path, flags, mode, ret_fd, err);
}

int os_read_full(int fd, void *buf, size_t size, size_t *ret_n, struct err *err)
{
    size_t n = 0;
    while (n < size) {
        ssize_t r = faulted("read") ? -1 : read(fd, (char *)buf + n, size - n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(err, errno, "read");
        if (r == 0)
            break;
        n += (size_t)r;
    }
    *ret_n = n;
    return 0;
}

int os_pread_full(int fd, void *buf, size_t size, uint64_t offset, size_t *ret_n, struct err *err)
{
    size_t n = 0;
    while (n < size) {
        ssize_t r =
            faulted("read") ? -1 : pread(fd, (char *)buf + n, size - n, (off_t)(offset + n));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(err, errno, "read");
        if (r == 0)
            break;
        n += (size_t)r;
    }
    *ret_n = n;
    return 0;
}

int os_write_full(int fd, const void *buf, size_t size, struct err *err)
{
    size_t n = 0;
    while (n < size) {
        ssize_t r = faulted("write") ? -1 : write(fd, (const char *)buf + n, size - n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(err, errno, "write");
        n += (size_t)r;
    }
    return 0;
}

int os_fsync(int fd, struct err *err)
{
    if (faulted("fsync") || fsync(fd) < 0)
        return err_sys(err, errno, "fsync");
    return 0;
}

int os_fsync_dir(const char *path, struct err *err)
{
    _cleanup_close_ int fd = -1;
    int r = os_open(path, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    return r < 0 ? r : os_fsync(fd, err);
}

int os_rename(const char *from, const char *to, struct err *err)
{
    if (faulted("rename") || rename(from, to) < 0)
        return err_sys(err, errno, "rename %s to %s", from, to);
    return 0;
}

int os_unlink(const char *path, bool missing_ok, struct err *err)
{
    if (faulted("unlink") || unlink(path) < 0) {
        if (missing_ok && errno == ENOENT)
            return 0;
        return err_sys(err, errno, "remove %s", path);
    }
    return 0;
}

int os_mkdir(const char *path, mode_t mode, bool exists_ok, struct err *err)
{
    if (faulted("mkdir") || mkdir(path, mode) < 0) {
        if (exists_ok && errno == EEXIST && os_is_dir(path))
            return 0;
        return err_sys(err, errno, "make folder %s", path);
    }
    return 0;
}

int os_mkdirs(const char *path, mode_t mode, struct err *err)
{
    if (os_is_dir(path))
        return 0;
    _cleanup_free_ char *p = mem_strdup(path);
    if (!p)
        return err_nomem(err);
    for (char *s = p + 1; *s; s++) {
        if (*s != '/')
            continue;
        *s = 0;
        if (!os_is_dir(p)) {
            int r = os_mkdir(p, mode, true, err);
            if (r < 0)
                return r;
        }
        *s = '/';
    }
    return os_mkdir(p, mode, true, err);
}

/* Empties the folder behind fd (consumed). One descriptor a level is open; deeper than that many levels is
 * handled by moving the subfolder up, so the depth of a hostile tree does not matter. */
static int remove_content(int fd, int depth, struct err *err)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return err_sys(err, errno, "read folder");
    }
    int r = 0;
    bool again = true;
    while (again && r == 0) {
        again = false;
        rewinddir(d);
        struct dirent *e;
        while (r == 0 && (e = readdir(d))) {
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                continue;
            if (faulted("unlink"))
                r = err_sys(err, errno, "remove %s", e->d_name);
            else if (unlinkat(dirfd(d), e->d_name, 0) == 0)
                continue;
            else if (errno != EISDIR && errno != EPERM)
                r = err_sys(err, errno, "remove %s", e->d_name);
            else if (unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR) == 0)
                continue;
            if (r < 0)
                break;
            int sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (sub < 0 && errno == EACCES &&
                fchmodat(dirfd(d), e->d_name, 0700, 0) == 0)
                sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (sub < 0) {
                r = err_sys(err, errno, "open folder %s", e->d_name);
                break;
            }
            if (faccessat(sub, ".", W_OK, AT_EACCESS) < 0)
                (void)fchmod(sub, 0700);
            if (depth >= 64) { /* lift its folders up to here, then it is flat */
                DIR *sd = fdopendir(sub);
                struct dirent *se;
                static unsigned lifted;
                while (sd && (se = readdir(sd))) {
                    char name[48];
                    if (strcmp(se->d_name, ".") == 0 || strcmp(se->d_name, "..") == 0)
                        continue;
                    snprintf(name, sizeof name, ".ff-lifted-%d-%u", (int)getpid(),
                             __atomic_add_fetch(&lifted, 1, __ATOMIC_RELAXED));
                    (void)renameat(dirfd(sd), se->d_name, dirfd(d), name);
                }
                if (sd)
                    closedir(sd);
                else
                    close(sub);
                again = true;
            } else {
                r = remove_content(sub, depth + 1, err);
            }
            if (r == 0 && unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                r = err_sys(err, errno, "remove folder %s", e->d_name);
        }
    }
    closedir(d);
    return r;
}

int os_remove_tree(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT)
            return 0;
        if (errno == ENOTDIR || errno == ELOOP)
            return os_unlink(path, true, err);
        return err_sys(err, errno, "open folder %s", path);
    }
    int r = remove_content(fd, 0, err);
    if (r < 0)
        return err_wrap(err, "remove %s", path);
    if (rmdir(path) < 0 && errno != ENOENT)
        return err_sys(err, errno, "remove folder %s", path);
    return 0;
}

bool os_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

bool os_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int os_read_file(const char *path, size_t max, char **ret_text, size_t *ret_len, struct err *err)
{
    _cleanup_close_ int fd = -1;
    int r = os_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, err);
    if (r < 0)
        return r;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "stat %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a regular file", path);
    size_t cap = (size_t)st.st_size < max ? (size_t)st.st_size + 1 : max + 1;
    _cleanup_free_ char *buf = NULL;
    size_t len = 0;
    for (;;) { /* the size is only a hint: the file may grow, and /proc says 0 */
        char *p = mem_realloc(buf, cap + 1);
        if (!p)
            return err_nomem(err);
        buf = p;
        size_t n;
        r = os_read_full(fd, buf + len, cap - len, &n, err);
        if (r < 0)
            return err_wrap(err, "%s", path);
        len += n;
        if (len > max)
            return err_set(err, ERR_LIMIT, "%s is over %zu bytes", path, max);
        if (len < cap)
            break;
        cap = cap * 2 < max + 1 ? cap * 2 : max + 1;
    }
    buf[len] = 0;
    *ret_text = TAKE_PTR(buf);
    if (ret_len)
        *ret_len = len;
    return 0;
}

int os_write_file_atomic(const char *path, const void *data, size_t len, mode_t mode,
                         struct err *err)
{
    _cleanup_free_ char *temp = mem_printf("%s.tmp-XXXXXX", path);
    if (!temp)
        return err_nomem(err);
    _cleanup_close_ int fd = faulted("open") ? -1 : mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "write %s", path);
    int r = os_write_full(fd, data, len, err);
    if (r == 0 && fchmod(fd, mode) < 0)
        r = err_sys(err, errno, "chmod");
    if (r == 0)
        r = os_fsync(fd, err);
    if (r == 0)
        r = os_rename(temp, path, err);
    if (r < 0) {
        unlink(temp);
        return err_wrap(err, "write %s", path);
    }
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *dir =
        slash ? mem_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : mem_strdup(".");
    if (!dir)
        return err_nomem(err);
    return os_fsync_dir(dir, err);
}

int os_temp_dir(const char *parent, const char *prefix, char **ret_path, struct err *err)
{
    char *p = mem_printf("%s/%sXXXXXX", parent, prefix);
    if (!p)
        return err_nomem(err);
    if (faulted("mkdir") || !mkdtemp(p)) {
        int e = errno;
        free(p);
        return err_sys(err, e, "make a folder in %s", parent);
    }
    *ret_path = p;
    return 0;
}

int os_open_nameless(const char *dir, int *ret_fd, struct err *err)
{
    int r = os_mkdirs(dir, 0700, err);
    if (r < 0)
        return r;
    *ret_fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*ret_fd >= 0)
        return 0;
    _cleanup_free_ char *path = os_path_join(dir, "nameless-XXXXXX"); /* file systems that cannot */
    if (!path)
        return err_nomem(err);
    *ret_fd = mkostemp(path, O_CLOEXEC);
    if (*ret_fd < 0)
        return err_sys(err, errno, "make a file in %s", dir);
    unlink(path);
    return 0;
}

char *os_path_join(const char *a, const char *b)
{
    size_t n = strlen(a);
    return mem_printf("%s%s%s", a, n && a[n - 1] == '/' ? "" : "/", b);
}

int os_real_path(const char *path, char **ret, struct err *err)
{
    char *p = realpath(path, NULL);
    if (!p)
        return err_sys(err, errno, "%s", path);
    *ret = p;
    return 0;
}
