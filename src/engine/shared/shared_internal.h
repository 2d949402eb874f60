/* What the files of the shared engine have in common. */
#ifndef FF_ENGINE_SHARED_INTERNAL_H
#define FF_ENGINE_SHARED_INTERNAL_H

#include "engine/shared/door.h"
#include "engine/shared/shared.h"
#include "rpc/link.h"

#include <pthread.h>
#include <stdatomic.h>

struct shared;

/* The two ways in: for this process, and for others that this one serves. */
struct face {
    struct engine base;
    struct shared *shared;
    bool outside;
};

/* A call that was made while another process held the engine, from then until its answer. */
struct ticket {
    struct shared *shared;
    struct ticket *prev, *next; /* in shared.tickets */
    enum engine_method method;
    const ProtobufCMessage *req;
    engine_done *done;
    void *arg;
    bool outside, sent, cancelled;
    bool refused; /* came when polls were not answered any more */
    int64_t timeout_ms; /* what the caller said */
    int64_t until, again; /* monotonic ns: its end, and not to be sent before that */
};

struct shared {
    struct face inside, outside;
    char *dir, *path, *identity;
    struct engine_shared_options o;

    _Atomic(struct engine *) local; /* once set, it stays: this process holds the engine */
    _Atomic(struct door *) door;    /* then; NULL if it could not be opened */
    struct served *served;          /* its calls.sock, then, until engine_shared_shut(); set under the lock unless `shut` */
    atomic_bool stays; /* the holder, if it is another process */
    struct rpc_detail_type details[16];
    size_t details_count;

    pthread_mutex_t lock; /* what follows */
    struct link_client *remote;
    struct ticket *tickets;
    bool draining[2];     /* inside, outside */
    bool stop;
    bool shut;            /* no connections of others from here on, whoever holds the engine */
    struct err why;       /* nobody holds the engine; code 0: no try has failed yet */

    /* The thread's, while another process holds it. */
    pthread_t thread;
    bool running;
    int wake, presence; /* eventfd; the connection to the holder, -1: none */
    struct door_hints hints; /* that come on it */
};

/* tickets.c */
void tickets_take(struct shared *s, bool outside, enum engine_method m, const ProtobufCMessage *req, int64_t timeout_ms,
                  engine_done *done, void *arg);
/* False: there is no such call among them. */
bool tickets_cancel(struct shared *s, engine_done *done, void *arg);
/* Sends what waits and answers what is over. *ret_next: when to look again (monotonic ns). */
void tickets_look(struct shared *s, int64_t *ret_next);
/* Those that came back from a connection which is gone now need not wait any longer. */
void tickets_hurry(struct shared *s);
/* Lets the calls that wait at the holder come back. Under the lock. */
void tickets_drain(struct shared *s);
/* served.c: the calls of guests, for the engine's face for them. */
struct served;
int served_start(struct engine *outside, struct served **ret, struct err *err);
void served_adopt(struct served *s, int fd); /* takes fd */
void served_stop(struct served *s, int64_t grace_ms); /* NULL is fine */
/* shared.c: lets its thread look at the tickets. */
void shared_nudge(struct shared *s);

#endif
