/* The limits that an init keeps itself, by looking again and again: those that the kernel does not
 * keep here, and those that it never does (CPU time of all processes together, bytes in folders of
 * the host). */
#include "base/cleanup.h"
#include "os/clock.h"
#include "watch.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define LOOK_MS 100        /* at memory, processes and CPU time */
#define LOOK_CLOSELY_MS 10 /* when more than a quarter of the memory is taken, or it grows fast */
#define DISK_MS 250
#define DISK_SHARE 20 /* a walk over the folders may take one part in so many of the time */
#define DISK_WALK_NS (INT64_C(2000) * 1000000)
#define NEARLY_FULL 65536 /* bytes: what is left of a full folder */

static int64_t cpu_ns_of_children(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_CHILDREN, &u) < 0)
        return 0;
    return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000 +
           (int64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

static size_t read_small(const char *pid, const char *file, char *buf, size_t size)
{
    char path[320];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, file);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, buf, size - 1);
    buf[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

static uint64_t rss_of(const char *pid)
{
    char text[256];
    unsigned long pages = 0;
    read_small(pid, "statm", text, sizeof text);
    return sscanf(text, "%*s %lu", &pages) == 1 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE)
                                                : 0;
}

/* The share of what it has in common with others counted once: a process that forbids the look
 * counts in full. */
static uint64_t pss_of(const char *pid)
{
    char text[2048];
    unsigned long kb;
    read_small(pid, "smaps_rollup", text, sizeof text);
    const char *line = strstr(text, "\nPss:");
    return line && sscanf(line, "\nPss: %lu", &kb) == 1 ? (uint64_t)kb * 1024 : rss_of(pid);
}

/* Fields 14 and 15 of stat, in clock ticks. The name in field 2 may contain anything, even
 * parentheses. */
static int64_t cpu_ns_of(const char *pid)
{
    char text[1024];
    unsigned long user, system;
    read_small(pid, "stat", text, sizeof text);
    const char *p = strrchr(text, ')');
    if (!p ||
        sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return 0;
    return (int64_t)(user + system) * (1000000000 / sysconf(_SC_CLK_TCK));
}

/* All processes of the namespace but the init. */
struct totals {
    uint64_t rss, pss;
    int64_t cpu_ns;
    uint32_t count;
};

static void add_up(struct totals *t, bool exact, bool cpu)
{
    memset(t, 0, sizeof *t);
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!isdigit((unsigned char)e->d_name[0]) || strcmp(e->d_name, "1") == 0)
            continue;
        t->count++;
        t->rss += rss_of(e->d_name);
        if (exact)
            t->pss += pss_of(e->d_name);
        if (cpu)
            t->cpu_ns += cpu_ns_of(e->d_name);
    }
    if (d)
        closedir(d);
    t->cpu_ns += cpu_ns_of_children();
}

static enum limit_kind look_at_processes(struct watch *w)
{
    struct totals t;
    add_up(&t, false, w->cpu_ns != 0);
    bool growing = t.rss > w->last_rss + w->memory_bytes / 8;
    w->last_rss = t.rss;
    if (w->pids && t.count >= w->pids)
        w->slot->pids_full = true;
    if (w->cpu_ns && t.cpu_ns > w->cpu_ns)
        return w->slot->pids_full ? LIMIT_PIDS : LIMIT_CPU; /* it was busy with forks that failed */
    if (t.rss > w->memory_peak)
        w->memory_peak = t.rss;
    w->process_ms =
        w->memory_bytes && (growing || t.rss > w->memory_bytes / 4) ? LOOK_CLOSELY_MS : LOOK_MS;
    if (!w->memory_bytes || t.rss <= w->memory_bytes)
        return LIMIT_NONE;
    add_up(&t, true, false); /* shared pages were counted once a process */
    w->memory_peak = t.pss;
    return t.pss > w->memory_bytes ? LIMIT_MEMORY : LIMIT_NONE;
}

/* Bytes below a folder, on its file system. A walk that takes too long gives what it has seen. Our
 * own files are made readable: a folder without read permission would be a place to hide in. */
static uint64_t bytes_below(const char *folder)
{
    char *roots[] = {(char *)(uintptr_t)folder, NULL};
    uint64_t sum = 0;
    int64_t until = os_mono_ns() + DISK_WALK_NS;
    unsigned n = 0;
    FTS *f = fts_open(roots, FTS_PHYSICAL | FTS_XDEV, NULL);
    for (FTSENT *e; f && (e = fts_read(f));) {
        if (e->fts_info == FTS_DP)
            continue;
        if (e->fts_info == FTS_D && (e->fts_statp->st_mode & 0700) != 0700 &&
            e->fts_statp->st_uid == INSIDE_UID)
            (void)chmod(e->fts_accpath, (e->fts_statp->st_mode & 07777) | 0700);
        if (e->fts_info != FTS_NS)
            sum += (uint64_t)e->fts_statp->st_blocks * 512;
        if (++n % 256 == 0 && os_mono_ns() > until)
            break;
    }
    if (f)
        fts_close(f);
    return sum;
}

static enum limit_kind look_at_folders(struct watch *w)
{
    int64_t began = os_mono_ns();
    uint64_t sum = 0;
    for (size_t i = 0; i < w->folders_count; i++)
        sum += bytes_below(w->folders[i]);
    if (!w->disk_base_known) { /* what the activity found there is not its own */
        w->disk_base_known = true;
        w->disk_base = sum;
    }
    if (sum < w->disk_base)
        w->disk_base = sum;
    int64_t ms = (os_mono_ns() - began) / 1000000 * DISK_SHARE;
    w->disk_ms = ms > DISK_MS ? ms : DISK_MS;
    w->disk_used = sum - w->disk_base;
    return w->disk_used > w->disk_bytes ? LIMIT_DISK : LIMIT_NONE;
}

int64_t watch_next_ms(const struct watch *w)
{
    int64_t now = os_mono_ns() / 1000000, due = INT64_MAX;
    if (w->processes)
        due = w->process_due;
    if (w->folders_count && w->disk_due < due)
        due = w->disk_due;
    return due == INT64_MAX ? -1 : due > now ? due - now : 0;
}

enum limit_kind watch_look(struct watch *w)
{
    int64_t now = os_mono_ns() / 1000000;
    enum limit_kind k = LIMIT_NONE;
    if (w->processes && now >= w->process_due) {
        k = look_at_processes(w);
        w->process_due = now + w->process_ms;
    }
    if (k == LIMIT_NONE && w->folders_count && now >= w->disk_due) {
        k = look_at_folders(w);
        w->disk_due = os_mono_ns() / 1000000 + w->disk_ms;
    }
    return k;
}

void watch_count(struct watch *w, uint32_t ended)
{
    struct totals t;
    if (!w->processes || !w->pids)
        return;
    add_up(&t, false, false);
    if (t.count + ended >= w->pids)
        w->slot->pids_full = true;
}

/* A temporary folder with no room left. */
static bool is_full(const char *folder)
{
    struct statfs s;
    if (statfs(folder, &s) < 0 || s.f_blocks == 0)
        return false;
    return s.f_bavail * (uint64_t)s.f_bsize < NEARLY_FULL || (s.f_files != 0 && s.f_ffree == 0);
}

bool watch_disk_is_full(struct watch *w)
{
    static const char *const temporary[] = {"/tmp", "/dev/shm", "/scratch"};
    for (size_t i = 0; w->own_root && i < ARRAY_LEN(temporary) - (w->scratch_is_hosts ? 1 : 0); i++)
        if (is_full(temporary[i]))
            return true;
    if (!w->folders_count)
        return false;
    return look_at_folders(w) == LIMIT_DISK || w->disk_used + NEARLY_FULL > w->disk_bytes;
}

void watch_init(struct watch *w, const struct host *h, struct slot *slot,
                const struct sandbox_plan *p)
{
    const struct sandbox_limits *l = &p->limits;
    memset(w, 0, sizeof *w);
    w->slot = slot;
    w->own_root = h->root_built;
    w->memory_bytes = h->protection.cgroup_memory ? 0 : l->memory_bytes;
    w->pids = h->protection.cgroup_pids ? 0 : l->pids;
    w->cpu_ns = (int64_t)l->cpu_ms * 1000000;
    w->disk_bytes = l->disk_bytes;
    /* Another pid namespace than our own would show the host's processes. */
    w->processes =
        h->protection.pid_ns && h->root_built && (w->memory_bytes || w->pids || w->cpu_ns);
    w->process_ms = LOOK_CLOSELY_MS;
    w->process_due = os_mono_ns() / 1000000 + LOOK_CLOSELY_MS;
    if (p->scratch) {
        w->scratch_is_hosts = true;
        w->folders[w->folders_count++] = h->root_built ? "/scratch" : p->scratch;
        w->disk_base_known = true; /* it begins empty */
    }
    for (size_t i = 0; i < p->mounts_count; i++)
        if (p->mounts[i].writable && p->mounts[i].kind != MOUNT_TMPFS) {
            w->folders[w->folders_count++] =
                h->root_built ? p->mounts[i].target : p->mounts[i].source;
            w->disk_base_known = false;
        }
    if (w->folders_count && !w->disk_base_known)
        w->disk_due = 0; /* what is there now is to be known early */
    else
        w->disk_due = os_mono_ns() / 1000000 + DISK_MS;
}
