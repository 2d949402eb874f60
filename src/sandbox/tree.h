/* Processes and all their descendants, by the host's /proc. Where there are pid namespaces nobody needs this. */
#ifndef FF_SANDBOX_TREE_H
#define FF_SANDBOX_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Kills the descendants of pid, which adopts orphans, then pid. */
void tree_kill(int proc_fd, pid_t pid);

struct tree_process {
    pid_t pid, parent;
    uint64_t own_bytes, shared_bytes; /* resident: anonymous, and of files or shared memory */
    int64_t cpu_ns;                   /* with that of the children it has waited for */
};
/* All processes of the host, at most max; returns how many. */
size_t tree_read(int proc_fd, struct tree_process *list, size_t max);

struct tree_totals {
    uint32_t count;        /* without the root */
    uint64_t memory_bytes; /* what they share is counted once, by the largest share */
    int64_t cpu_ns;
};
void tree_total(const struct tree_process *list, size_t n, pid_t root, struct tree_totals *ret);

#endif
