/* The embedded engine: state in one SQLite file, no other service.
 *
 * One process at a time holds a state: a record lock (fcntl F_SETLK) on "<path>.lock", which the
 * kernel drops with the process, however it ends. Children do not inherit it. But a child that
 * was forked without exec must not close a descriptor of that file, nor open the state: fork
 * helpers before the state is opened. */
#ifndef FF_ENGINE_EMBEDDED_H
#define FF_ENGINE_EMBEDDED_H

#include "engine/engine.h"

/* A clock that a test can hold. NULL members: the real one. */
struct engine_clock {
    int64_t (*now_ns)(void *arg); /* since 1970; the engine never lets its own time go backwards */
    void *arg;
};

/* What happens when the state is opened to tasks that were started by a worker of an earlier
 * process. */
enum engine_lost_tasks {
    ENGINE_LOST_RETRY = 0, /* the attempt ends as timed out ("worker lost") and the next is scheduled at once */
    ENGINE_LOST_KEEP = 1,  /* their workers may still be there: they are left to their timeouts */
};

struct engine_embedded_options {
    const char *path;          /* of the database file; ":memory:" for tests */
    const char *vfs;           /* an SQLite VFS by name, NULL: the default (tests inject faults here) */
    struct engine_clock clock; /* tests */
    int64_t wait_ms;           /* how long to wait for another holder to leave (default 5,000; -1: not at all) */
    enum engine_lost_tasks lost_tasks;
    /* So many lost attempts of an activity do not count against its retry policy's
     * maximum_attempts (default 16; -1: none). A bound, so that an activity which takes the
     * whole process down is not run for ever. */
    int32_t lost_attempts_free;
    size_t cache_bytes; /* of mutable state kept in memory (default 8 MiB) */
};

/* Opens or makes the state. -ERR_BUSY with "held by pid N (command)" when another process holds
 * it; -ERR_CORRUPT when the file is damaged; -ERR_STATE when a newer version wrote it. The
 * lock's descriptor is not inherited by children. */
int engine_embedded_open(const struct engine_embedded_options *options, struct engine **ret,
                         struct err *err);
/* Tests with a clock of their own: fires what has become due by it, and returns when that is
 * done. */
void engine_embedded_tick(struct engine *e);

#endif
