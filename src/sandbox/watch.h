/* The limits that an init keeps by looking. */
#ifndef FF_SANDBOX_WATCH_H
#define FF_SANDBOX_WATCH_H

#include "sandbox/sandbox_internal.h"

struct watch {
    bool processes; /* there is something to look at in /proc */
    bool own_root, scratch_is_hosts;
    uint64_t memory_bytes, memory_peak, last_rss;
    uint32_t pids;
    struct slot *slot; /* pids_full is told at once: the spawner may end the run by time */
    int64_t cpu_ns;
    int64_t process_ms, process_due;          /* monotonic milliseconds */
    const char *folders[PLAN_MOUNTS_MAX + 1]; /* of the host's, that the activity writes to */
    size_t folders_count;
    bool disk_base_known;
    uint64_t disk_bytes, disk_base, disk_used;
    int64_t disk_ms, disk_due;
};

void watch_init(struct watch *w, const struct host *h, struct slot *slot,
                const struct sandbox_plan *p);
/* Milliseconds until something is due; -1: never. */
int64_t watch_next_ms(const struct watch *w);
/* Looks at what is due. */
enum limit_kind watch_look(struct watch *w);
/* After a failure, before what is left is killed: are there as many processes as may be? ended: how many
 * have gone by now. */
void watch_count(struct watch *w, uint32_t ended);
/* After a failure: was it for lack of room? */
bool watch_disk_is_full(struct watch *w);

#endif
