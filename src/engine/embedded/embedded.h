/* The embedded engine: state in one SQLite file, no other service. */
#ifndef FF_ENGINE_EMBEDDED_H
#define FF_ENGINE_EMBEDDED_H

#include "engine/engine.h"

/* A clock that a test can hold. NULL members: the real one. */
struct engine_clock {
    int64_t (*now_ns)(void *arg); /* since 1970; the engine never lets its own time go backwards */
    void *arg;
};

struct engine_embedded_options {
    const char *path;          /* of the database file; ":memory:" for tests */
    const char *vfs;           /* an SQLite VFS by name, NULL: the default (tests inject faults here) */
    struct engine_clock clock; /* tests */
    int64_t wait_ms;           /* how long to wait for another holder to leave (default 5,000; -1: not at all) */
};

/* Opens or makes the state. -ERR_BUSY with "held by pid N (command)" when another process holds it; -ERR_CORRUPT
 * when the file is damaged; -ERR_STATE when a newer version wrote it. The lock's descriptor is not inherited
 * by children. */
int engine_embedded_open(const struct engine_embedded_options *options, struct engine **ret,
                         struct err *err);
/* Tests with a clock of their own: fires what has become due by it, and returns when that is done. */
void engine_embedded_tick(struct engine *e);

#endif
