/* The door of a state: how other processes find who holds its engine.
 *
 * Three Unix sockets in the state's folder, all 0600 and open to processes of the same user (or of root) alone:
 * engine.sock takes connections on which gRPC is spoken, calls.sock those of other processes of this program
 * (rpc/link.h); on presence.sock each process that shares the state says hello and keeps the connection for as long as
 * it lives. So each end learns at once, from the kernel, that the other has ended, however it ended. */
#ifndef FF_ENGINE_DOOR_H
#define FF_ENGINE_DOOR_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define DOOR_ENGINE_SOCKET "engine.sock"
#define DOOR_CALLS_SOCKET "calls.sock"
#define DOOR_PRESENCE_SOCKET "presence.sock"

struct door;

/* Called on the door's thread. */
struct door_options {
    const char *dir; /* of the sockets; borrowed */
    bool stays;      /* the holder goes on when it has nothing left to do: guests are told */
    /* A connection to engine.sock; takes fd. */
    void (*connected)(void *arg, int fd);
    void (*linked)(void *arg, int fd); /* one to calls.sock; takes fd */
    /* A process has come, or is gone for good. */
    void (*guest)(void *arg, const char *identity, bool here);
    /* A process wants a copy of the state in tmp/ID/state.db of the folder: takes fd, on which it is to be answered by
     * door_copied(). */
    void (*copy)(void *arg, const char *id, int fd);
    /* Once, when guests of an earlier holder have had the time to come. */
    void (*settled)(void *arg);
    void *arg;
};

/* The caller holds the state's lock: sockets that are there belong to nobody. */
int door_open(const struct door_options *o, struct door **ret, struct err *err);
size_t door_guests(struct door *d);
/* Lets the guest of that identity, if there is one, know that activities of that run which it has may have to end. Any thread;
 * a hint that may be lost. NULL is fine. */
void door_ask(struct door *d, const char *identity, const char *run_id);
/* Lets nobody in any more and removes the sockets; guests stay connected. Idempotent; NULL is fine. */
void door_shut(struct door *d);
/* Shuts it, and lets the guests know: they look for another holder now. NULL is fine. */
void door_free(struct door *d);

/* The other side: *ret_fd is a connection on which hints come (door_hear()), and which is at its end when the holder has gone.
 * -ERR_UNAVAILABLE when nobody answers. identity: what the polls of this process carry. */
int door_visit(const char *dir, const char *identity, int *ret_fd, bool *ret_stays, struct err *err);

/* A connection for calls. -ERR_UNAVAILABLE when nobody listens. */
int door_link(const char *dir, int *ret_fd, struct err *err);
/* Asks who holds the engine for a copy of the state in tmp/ID/state.db below dir, where it must not be yet, and waits until it is
 * there. id: 26 letters and digits. -ERR_UNAVAILABLE: nobody answers, or the holder has gone meanwhile. */
int door_copy(const char *dir, const char *id, struct err *err);
/* The holder's answer; closes fd. */
void door_copied(int fd, const struct err *err);

struct door_hints {
    char line[64]; /* one that is not whole yet */
    size_t len;
    bool skip;     /* the rest of one that is too long */
};
/* Reads what has come; ask is called with the run id of each hint. False: the holder has gone. */
bool door_hear(int fd, struct door_hints *h, void (*ask)(void *arg, const char *run_id), void *arg);

#endif
