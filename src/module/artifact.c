/* Artifacts: files that a module names, in a folder that it could write to. Neither is to be trusted. */
#include "module/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int module_artifact_open(int scratch_fd, const char *scratch, const char *path, int *ret_fd, struct err *err)
{
    size_t n = strlen(scratch);
    const char *rel = strncmp(path, scratch, n) == 0 && path[n] == '/' ? path + n : path;
    while (*rel == '/')
        rel++;
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, scratch_fd, rel, &how, sizeof how);
    if (fd < 0)
        return err_sys(err, errno, "artifact %s", path);
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(err, ERR_INVALID, "artifact %s is no regular file", path);
    }
    *ret_fd = fd;
    return 0;
}
