/* A POSIX record lock, not flock(2) nor an open-file-description lock: those stay held as long
 * as any child has a copy of the descriptor, so a helper that outlives a killed holder would
 * keep the state locked. A record lock goes with the process. Its weakness, that one process
 * does not exclude itself, is covered by a list of what this process holds. */
#include "engine/embedded/lockfile.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POLL_MS 20

static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lockfile *held;

/* The command line of a process, with blanks between its arguments. */
static void command_of(pid_t pid, char *buf, size_t size)
{
    char path[64];
    size_t n = 0;
    int fd;
    snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    if (os_open(path, O_RDONLY, 0, &fd, NULL) == 0) {
        os_read_full(fd, buf, size - 1, &n, NULL);
        close(fd);
    }
    while (n && !buf[n - 1])
        n--;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)buf[i] < ' ')
            buf[i] = ' ';
    buf[n] = 0;
    if (!n)
        snprintf(buf, size, "unknown command");
}

static int busy(pid_t pid, const char *path, struct err *err)
{
    char command[160];
    command_of(pid, command, sizeof command);
    err_set(err, ERR_BUSY, "state %s is held by pid %ld (%s)", path, (long)pid, command);
    return err_hint(err, "wait for it to end, or use another state folder (--state DIR)");
}

static struct lockfile **find_held(dev_t dev, ino_t ino)
{
    struct lockfile **p = &held;
    while (*p && ((*p)->dev != dev || (*p)->ino != ino || (*p)->pid != getpid()))
        p = &(*p)->next;
    return p;
}

/* 1: taken; 0: another holds it (*ret_pid). */
static int try_take(struct lockfile *l, const char *name, pid_t *ret_pid, struct err *err)
{
    struct stat st;
    int r = 0;
    /* Before the open: closing any descriptor of the file would drop a lock this process holds. */
    pthread_mutex_lock(&held_lock);
    if (stat(name, &st) == 0 && *find_held(st.st_dev, st.st_ino)) {
        *ret_pid = getpid();
        goto out;
    }
    int fd;
    r = os_open(name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &fd, err);
    if (r < 0)
        goto out;
    struct flock f = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLK, &f) == 0 && fstat(fd, &st) == 0) {
        *l = (struct lockfile){.fd = fd, .dev = st.st_dev, .ino = st.st_ino, .pid = getpid(), .next = held};
        held = l;
        r = 1;
        goto out;
    }
    int e = errno;
    *ret_pid = 0;
    if ((e == EACCES || e == EAGAIN) && fcntl(fd, F_GETLK, &f) == 0 && f.l_type != F_UNLCK)
        *ret_pid = f.l_pid;
    close(fd);
    r = e == EACCES || e == EAGAIN ? 0 : err_sys(err, e, "lock %s", name);
out:
    pthread_mutex_unlock(&held_lock);
    return r;
}

void lockfile_text(char *buf, size_t size)
{
    char command[160];
    command_of(getpid(), command, sizeof command);
    snprintf(buf, size, "%ld %s", (long)getpid(), command);
}

int lockfile_take(struct lockfile *l, const char *path, int64_t wait_ms, struct err *err)
{
    l->fd = -1;
    _cleanup_free_ char *name = mem_printf("%s.lock", path);
    if (!name)
        return err_nomem(err);
    int64_t end = os_mono_ns() + (wait_ms > 0 ? wait_ms : 0) * NS_PER_MS;
    for (;;) {
        pid_t pid = 0;
        int r = try_take(l, name, &pid, err);
        if (r < 0)
            return r;
        if (r == 1)
            break;
        if (os_mono_ns() >= end)
            return busy(pid, path, err);
        os_sleep_ms(POLL_MS);
    }
    /* For people who look into the file; a failure to write it does no harm. */
    char text[200];
    lockfile_text(text, sizeof text - 1);
    strcat(text, "\n");
    if (ftruncate(l->fd, 0) == 0)
        os_write_full(l->fd, text, strlen(text), NULL);
    return 0;
}

int lockfile_check(const char *path, struct err *err)
{
    _cleanup_free_ char *name = mem_printf("%s.lock", path);
    if (!name)
        return err_nomem(err);
    _cleanup_close_ int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct flock f = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fd < 0) /* never held, or not for us to see */
        return 0;
    return fcntl(fd, F_GETLK, &f) == 0 && f.l_type != F_UNLCK ? busy(f.l_pid, path, err) : 0;
}

void lockfile_release(struct lockfile *l)
{
    if (l->fd < 0)
        return;
    pthread_mutex_lock(&held_lock);
    struct lockfile **p = find_held(l->dev, l->ino);
    if (*p == l)
        *p = l->next;
    close(l->fd);
    l->fd = -1;
    pthread_mutex_unlock(&held_lock);
}
