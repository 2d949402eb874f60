/* The embedded engine, shared by all processes that use one state.
 *
 * The first one that opens the state holds the engine; others are clients of the holder, on the sockets in the
 * state's folder. When the holder ends, cleanly or not, one of the others takes over within milliseconds: the
 * kernel tells them all, and the state's lock decides. Callers notice nothing: calls that may be repeated are
 * repeated, polls are sent again, and what is asked for meanwhile waits. Only a call that must not be repeated and was
 * under way just then fails, with ERR_UNAVAILABLE. */
#ifndef FF_ENGINE_SHARED_H
#define FF_ENGINE_SHARED_H

#include "engine/embedded/embedded.h"

#include <stddef.h>

/* A call that waits is answered so long before its caller's deadline, that the answer arrives. */
#define ENGINE_SHARED_MARGIN_MS 1000

struct engine_shared_options {
    const char *dir; /* the state's folder: the database is its state.db */
    /* What the polls of this process carry, unlike any other's. */
    const char *identity;
    bool stays;      /* this process goes on when it has nothing left to do */
    int64_t wait_ms; /* how long to wait for a holder that cannot be reached; 0: 5,000 */
    /* While this process holds the engine: a connection that speaks gRPC came, for
     * engine_shared_outside(). Takes fd. On a thread of the engine's. NULL: none is let in. */
    void (*connected)(void *arg, int fd);
    /* Activities of that run which this process took may have to end: they should heartbeat now. On a thread of the engine's;
     * it must be quick. A hint. NULL: nobody is told. */
    void (*ask)(void *arg, const char *run_id);
    /* While this process holds the engine: see engine/embedded/embedded.h. */
    int (*admit)(void *arg, const char *name_space, int64_t runs, struct err *err);
    void *arg;
};

/* -ERR_BUSY: another process holds the state and cannot be reached. */
int engine_shared_open(const struct engine_shared_options *o, struct engine **ret, struct err *err);
/* The same engine for callers of other processes: see engine_embedded_outside(). */
struct engine *engine_shared_outside(struct engine *e);
bool engine_shared_holds(struct engine *e);
/* The holder goes on when it has nothing left to do, as far as it is known. */
bool engine_shared_stays(struct engine *e);
/* Other processes that share the state, as the holder knows them; else 0. */
size_t engine_shared_guests(struct engine *e);
/* Of the engine that this process holds; NULL: another one does. */
const struct engine_times *engine_shared_times(struct engine *e);
/* A copy of the state, while the engine works, in tmp/ID/state.db of the state's folder, where it must not be yet.
 * Waits until it is there. id: 26 letters and digits.
 * -ERR_UNAVAILABLE: the holder went meanwhile; try again. */
int engine_shared_copy(struct engine *e, const char *id, struct err *err);
/* Before what serves connections is ended, which comes before engine_free(): no new ones come from here on, and
 * those who wait outside are answered. */
void engine_shared_shut(struct engine *e);

#endif
