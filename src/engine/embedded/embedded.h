/* The embedded engine: state in one SQLite file, no other service.
 *
 * One process at a time holds a state: a record lock (fcntl F_SETLK) on "<path>.lock", which the
 * kernel drops with the process, however it ends. Children do not inherit it. But a child that
 * was forked without exec must not close a descriptor of that file, nor open the state: fork
 * helpers before the state is opened. */
#ifndef FF_ENGINE_EMBEDDED_H
#define FF_ENGINE_EMBEDDED_H

#include "base/histogram.h"
#include "engine/engine.h"

#define ENGINE_EMBEDDED_SCHEMA 3 /* the newest version of its database that this program knows */

/* A clock that a test can hold. NULL members: the real one. */
struct engine_clock {
    int64_t (*now_ns)(void *arg); /* since 1970; the engine never lets its own time go backwards */
    void *arg;
};

/* What happens when the state is opened to tasks that were started by a worker in the engine's
 * own, earlier process. (Activities taken by workers of other processes are theirs: see
 * engine_embedded_outside(). Workflow tasks change nothing but the history, so those are always
 * handed out again at once.) */
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
    /* Opens a state that nothing may be written to, a read-only file system say: what it holds can be
     * read, and every call that would change it is refused with -ERR_PERMISSION. Nobody may hold it.
     * Not for ":memory:", nor with vfs. */
    bool read_only;
    bool check; /* look at every page of the file first: -ERR_CORRUPT with what is wrong */
    size_t cache_bytes; /* of mutable state kept in memory (default 8 MiB) */
    /* An activity of that run which was taken under that identity may have to end (its run is closed, it is to be cancelled,
     * its time is over): whoever has it learns so by a heartbeat, and need not wait for the next one. A hint, on the engine's
     * thread: it must be quick and may only make asynchronous calls. May be NULL. */
    void (*ask)(void *arg, const char *identity, const char *run_id);
    void *ask_arg;
    /* May the namespace, which has so many runs under way, begin one more that is the child of one? Else the child fails at
     * once, with that error. runs < 0: may one go on as a fresh run (continue-as-new, a retry, the next of a schedule)? Else it
     * fails, or is the last. On the engine's thread: it must be quick. NULL: it may. */
    int (*admit)(void *arg, const char *name_space, int64_t runs, struct err *err);
    void *admit_arg;
};

/* Opens or makes the state. -ERR_BUSY with "held by pid N (command)" when another process holds
 * it; -ERR_CORRUPT when the file is damaged; -ERR_STATE when a newer version wrote it. The
 * lock's descriptor is not inherited by children. */
int engine_embedded_open(const struct engine_embedded_options *options, struct engine **ret,
                         struct err *err);
/* The same engine for callers of other processes: activities they take stay theirs when this
 * process ends, and their answers are accepted by the next one that opens the state. Its
 * drain is its own: each face answers the polls that came through it. Its answers are for the wire: histories in them are
 * not decoded but unknown fields, which are what they should be once the answer was packed and read. Lives as long as e. */
struct engine *engine_embedded_outside(struct engine *e);
/* A process that takes tasks under that identity from outside has come, or has ended for good:
 * what it has is then handed out again at once. May be told several times of the same one: it is
 * gone when it went as often as it came. */
void engine_embedded_guest(struct engine *e, const char *identity, bool here);
/* Guests of before the state was opened have had the time to come back: those who did not are
 * gone. */
void engine_embedded_guests_settled(struct engine *e);
/* How long things took since the state was opened; any thread may look. */
struct engine_times {
    struct histogram commit;                       /* a batch's transaction, to the disk and back */
    struct histogram workflow_wait, activity_wait; /* a task, from when it could be started until it was */
};
const struct engine_times *engine_embedded_times(struct engine *e);
/* Writes a copy of the state, as it is at some moment before done is called, into the new file `path`, while calls go on. done
 * is called on the engine's thread, with err->code 0 if the copy is whole; the file is the caller's, also if it is not. */
typedef void engine_copied(void *arg, const struct err *err);
void engine_embedded_copy(struct engine *e, const char *path, engine_copied *done, void *arg);
/* Tests with a clock of their own: fires what has become due by it, and returns when that is
 * done. */
void engine_embedded_tick(struct engine *e);

#endif
