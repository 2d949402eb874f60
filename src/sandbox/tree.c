/* Processes and all their descendants, for hosts without pid namespaces, where no kernel keeps them together or counts them
 * for us. Works on the host's /proc (proc(5)). */
#include "base/cleanup.h"
#include "sandbox/tree.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS 50
#define DEPTH 64

/* --- ending --- */

static int signal_children(int proc_fd, pid_t pid, int sig, int depth);

/* Those that one thread has forked. */
static int signal_children_of(int proc_fd, pid_t pid, const char *tid, int sig, int depth)
{
    char path[64], text[65536];
    int n = 0;
    snprintf(path, sizeof path, "%d/task/%.20s/children", (int)pid, tid);
    _cleanup_close_ int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    text[len > 0 ? len : 0] = 0;
    for (char *save = NULL, *word = strtok_r(text, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        pid_t child = (pid_t)atol(word);
        if (child <= 1)
            continue;
        if (depth < DEPTH)
            n += signal_children(proc_fd, child, sig, depth + 1);
        if (kill(child, sig) == 0)
            n++;
    }
    return n;
}

/* Stops or kills the children of one process, and theirs; returns how many there were. */
static int signal_children(int proc_fd, pid_t pid, int sig, int depth)
{
    char path[32];
    int n = 0;
    snprintf(path, sizeof path, "%d/task", (int)pid);
    int fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; d && (e = readdir(d));)
        if (isdigit((unsigned char)e->d_name[0]))
            n += signal_children_of(proc_fd, pid, e->d_name, sig, depth);
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    return n;
}

void tree_kill(int proc_fd, pid_t pid)
{
    /* Orphans go up to pid, which adopts them: it goes last, and stands still meanwhile. */
    for (int i = 0; i < ROUNDS && signal_children(proc_fd, pid, SIGKILL, 0) > 0; i++)
        usleep(200);
    kill(pid, SIGKILL);
}

/* --- counting --- */

static size_t read_at(int proc_fd, const char *pid, const char *file, char *buf, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "%.20s/%s", pid, file);
    _cleanup_close_ int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, buf, size - 1);
    buf[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

/* stat's fields 4 and 14 to 17, statm's 2 and 3. The name in stat's field 2 may contain anything, even parentheses. */
static bool read_process(int proc_fd, const char *pid, struct tree_process *p)
{
    char text[1024];
    int parent;
    long ticks[4];
    unsigned long resident, shared;
    read_at(proc_fd, pid, "stat", text, sizeof text);
    const char *s = strrchr(text, ')');
    if (!s || sscanf(s + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld %ld %ld", &parent, &ticks[0], &ticks[1],
                     &ticks[2], &ticks[3]) != 5)
        return false;
    read_at(proc_fd, pid, "statm", text, sizeof text);
    if (sscanf(text, "%*u %lu %lu", &resident, &shared) != 2)
        return false;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *p = (struct tree_process){
        .pid = (pid_t)atol(pid),
        .parent = (pid_t)parent,
        .own_bytes = (resident > shared ? resident - shared : 0) * page,
        .shared_bytes = shared * page,
        .cpu_ns = (int64_t)(ticks[0] + ticks[1] + ticks[2] + ticks[3]) * (1000000000 / sysconf(_SC_CLK_TCK)),
    };
    return true;
}

size_t tree_read(int proc_fd, struct tree_process *list, size_t max)
{
    size_t n = 0;
    int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; d && n < max && (e = readdir(d));)
        if (isdigit((unsigned char)e->d_name[0]) && read_process(proc_fd, e->d_name, &list[n]))
            n++;
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    return n;
}

static int by_pid(const void *key, const void *item)
{
    pid_t a = *(const pid_t *)key, b = ((const struct tree_process *)item)->pid;
    return a < b ? -1 : a > b;
}

/* /proc lists processes by ascending ids. */
static bool descends(const struct tree_process *list, size_t n, const struct tree_process *p, pid_t root)
{
    for (size_t i = 0; p && i < n; i++) {
        if (p->parent == root)
            return true;
        p = bsearch(&p->parent, list, n, sizeof *list, by_pid);
    }
    return false;
}

void tree_total(const struct tree_process *list, size_t n, pid_t root, struct tree_totals *ret)
{
    uint64_t shared = 0;
    *ret = (struct tree_totals){0};
    for (size_t i = 0; i < n; i++) {
        const struct tree_process *p = &list[i];
        if (p->pid == root)
            ret->cpu_ns += p->cpu_ns; /* what it has reaped */
        if (!descends(list, n, p, root))
            continue;
        ret->count++;
        ret->cpu_ns += p->cpu_ns;
        ret->memory_bytes += p->own_bytes;
        shared = p->shared_bytes > shared ? p->shared_bytes : shared;
    }
    ret->memory_bytes += shared;
}
