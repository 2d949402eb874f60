/* Memory that is cheap to fork.
 *
 * What the spawner has read by the time it begins to serve (rules, above all) is only read from then on, but fork(2) copies the
 * page tables of all private memory that was ever written: a third of a millisecond for 8 MB, twice for each activity. Of a
 * private mapping of a file that was not written to it copies nothing; a child maps what it touches, sixteen pages at a time. So
 * the pages go to a file in memory, which takes their place. Who writes to one gets a copy, as before. */
#include "base/cleanup.h"
#include "sandbox/sandbox_internal.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define WORTH_IT ((size_t)128 << 10)  /* bytes of a mapping */
#define TOO_LARGE ((size_t)128 << 20)
#define MAPPINGS_MAX 64

struct range {
    char *start;
    size_t len;
};

/* The large private writable mappings without a file: the heap, and what malloc and the linker mapped besides. */
static size_t find_ranges(struct range *list, size_t max)
{
    char line[512];
    size_t n = 0;
    FILE *f = fopen("/proc/self/maps", "re");
    while (f && n < max && fgets(line, sizeof line, f)) {
        unsigned long start, end, inode;
        char mode[8], name[64] = "";
        if (sscanf(line, "%lx-%lx %7s %*s %*s %lu %63s", &start, &end, mode, &inode, name) < 4 || strcmp(mode, "rw-p") != 0 ||
            inode != 0 || end - start < WORTH_IT || end - start > TOO_LARGE ||
            (name[0] && strcmp(name, "[heap]") != 0))
            continue;
        list[n++] = (struct range){(char *)start, end - start};
    }
    if (f)
        fclose(f);
    return n;
}

/* Nothing is written to the range between the copy and the exchange: this process has one thread, and these variables are on
 * its stack. False: everything is as it was. */
static bool exchange(const struct range *r)
{
    _cleanup_close_ int fd = memfd_create("ff-spawner", MFD_CLOEXEC);
    size_t done = 0;
    while (fd >= 0 && done < r->len) {
        ssize_t n = write(fd, r->start + done, r->len - done);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    if (fd < 0)
        return false;
    if (mmap(r->start, r->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED)
        _exit(1); /* the old pages may be gone: ff is told that the spawner is */
    return true;
}

void memory_freeze(void)
{
    static struct range ranges[MAPPINGS_MAX];
    if (SANITIZED) /* the run-time library writes to its own mappings at any moment */
        return;
    malloc_trim(0);
    size_t n = find_ranges(ranges, MAPPINGS_MAX);
    for (size_t i = 0; i < n; i++)
        if (!exchange(&ranges[i]))
            return;
}
