#include "os/memory.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAPPINGS_MAX 1024

struct mapping {
    uintptr_t from, to;
    bool clean; /* read-only pages of a file, none of which was ever written (as relocations do) */
};

/* The list first: to drop mappings while it is read would change it. */
static size_t read_mappings(struct mapping *list, size_t max)
{
    FILE *f = fopen("/proc/self/smaps", "re");
    char line[512], mode[8];
    unsigned long from, to, inode, kb;
    size_t n = 0;
    while (f && n < max && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx %7s %*x %*s %lu", &from, &to, mode, &inode) == 4)
            list[n++] = (struct mapping){from, to, inode && mode[0] == 'r' && mode[1] == '-' && mode[3] == 'p'};
        else if (n && sscanf(line, "Anonymous: %lu", &kb) == 1 && kb)
            list[n - 1].clean = false;
        else if (n && strncmp(line, "Locked:", 7) == 0 && sscanf(line, "Locked: %lu", &kb) == 1 && kb)
            list[n - 1].clean = false;
    }
    if (f)
        fclose(f);
    return n == max ? 0 : n; /* the last one may not be known whole */
}

static uint64_t container_memory(const char *path)
{
    FILE *f = fopen(path, "re");
    unsigned long long n = 0; /* also where it says "max" */
    if (f) {
        if (fscanf(f, "%llu", &n) != 1)
            n = 0;
        fclose(f);
    }
    return n;
}

uint64_t os_memory_machine(void)
{
    static const char *const limits[] = {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t least = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        uint64_t n = container_memory(limits[i]);
        if (n && n < least)
            least = n;
    }
    return least;
}

uint64_t os_memory_resident(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;
    if (f && fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void os_memory_share_heap(void)
{
    (void)mallopt(M_ARENA_MAX, 1);
}

void os_memory_trim(void)
{
    struct mapping list[MAPPINGS_MAX];
    malloc_trim(0);
    size_t n = read_mappings(list, MAPPINGS_MAX);
    for (size_t i = 0; i < n; i++)
        if (list[i].clean)
            madvise((void *)list[i].from, list[i].to - list[i].from, MADV_DONTNEED);
}
