#include "os/reserve.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/file.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NAME "reserve"
#define RESERVE_BYTES ((off_t)8 << 20) /* SQLite's logs of a large removal, before they are taken over, with some to spare */
#define STEP_BYTES (RESERVE_BYTES / 16)

static off_t room(const char *dir)
{
    struct statvfs v;
    if (statvfs(dir, &v) < 0)
        return 0;
    return v.f_bavail < (fsblkcnt_t)RESERVE_BYTES / v.f_frsize ? (off_t)(v.f_bavail * v.f_frsize) : RESERVE_BYTES;
}

static bool take(int fd, off_t had, off_t bytes)
{
    return posix_fallocate(fd, 0, bytes) == 0 || ftruncate(fd, had) < 0;
}

void os_reserve_keep(const char *dir)
{
    _cleanup_free_ char *path = os_path_join(dir, NAME);
    _cleanup_close_ int fd = -1;
    struct stat st;
    bool fresh = path && !os_exists(path);
    if (!path || os_open(path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600, &fd, NULL) < 0 || fstat(fd, &st) < 0 ||
        st.st_size >= RESERVE_BYTES || take(fd, st.st_size, RESERVE_BYTES))
        return;
    if (fresh) {
        (void)unlink(path); /* too small a disk */
        return;
    }
    for (off_t n = room(dir); n > 0 && !take(fd, st.st_size, st.st_size + n); n -= STEP_BYTES) /* others write meanwhile */
        ;
}

void os_reserve_give(const char *dir)
{
    _cleanup_free_ char *path = os_path_join(dir, NAME);
    if (path && room(dir) < RESERVE_BYTES)
        (void)!truncate(path, 0);
}
