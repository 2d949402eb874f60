/* Who holds the engine: this process, another one, or, for a moment, nobody. */
#include "engine/shared/shared_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SEARCH_MS 5        /* between tries to become the holder or to find it, at first */
#define SEARCH_LONG_MS 200 /* and when that has been in vain for long */
#define WAIT_MS 5000
#define GRACE_MS 2000 /* for calls of guests that are being answered */

void shared_nudge(struct shared *s)
{
    uint64_t one = 1;
    (void)!write(s->wake, &one, sizeof one);
}

/* --- holding ---------------------------------------------------------------------------------------------- */

static void on_connected(void *arg, int fd)
{
    struct shared *s = arg;
    if (s->o.connected)
        s->o.connected(s->o.arg, fd);
    else
        close(fd);
}

static void on_linked(void *arg, int fd)
{
    struct shared *s = arg;
    served_adopt(s->served, fd);
}

static void on_guest(void *arg, const char *identity, bool here)
{
    struct shared *s = arg;
    engine_embedded_guest(atomic_load(&s->local), identity, here);
}

static void on_settled(void *arg)
{
    struct shared *s = arg;
    engine_embedded_guests_settled(atomic_load(&s->local));
}

static char *copy_path(const struct shared *s, const char *id)
{
    return mem_printf("%s/tmp/%s/state.db", s->dir, id);
}

static void on_copied(void *arg, const struct err *err)
{
    int *fd = arg;
    door_copied(*fd, err);
    free(fd);
}

static void on_copy(void *arg, const char *id, int fd)
{
    struct shared *s = arg;
    struct err err = {0};
    _cleanup_free_ char *path = copy_path(s, id);
    int *copy = mem_alloc(sizeof *copy);
    if (path && copy) {
        *copy = fd;
        engine_embedded_copy(atomic_load(&s->local), path, on_copied, copy);
        return;
    }
    free(copy);
    err_nomem(&err);
    door_copied(fd, &err);
}

static void tell_own(void *arg, const char *run_id)
{
    struct shared *s = arg;
    if (s->o.ask)
        s->o.ask(s->o.arg, run_id);
}

static void on_ask(void *arg, const char *identity, const char *run_id)
{
    struct shared *s = arg;
    if (strcmp(identity, s->identity) == 0)
        tell_own(s, run_id);
    else
        door_ask(atomic_load(&s->door), identity, run_id);
}

/* 0: this process holds the engine now. -ERR_BUSY: another one does. */
static int try_hold(struct shared *s, struct err *err)
{
    struct engine_embedded_options eo = {.path = s->path, .wait_ms = -1, .ask = on_ask, .ask_arg = s,
                                         .admit = s->o.admit, .admit_arg = s->o.arg};
    struct engine *e;
    int r = engine_embedded_open(&eo, &e, err);
    if (r < 0)
        return r;
    /* Before anybody comes: what it took as a guest of the holder before is in good hands. */
    engine_embedded_guest(e, s->identity, true);
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->local, e);
    bool draining[2] = {s->draining[0], s->draining[1]};
    pthread_mutex_unlock(&s->lock);
    if (draining[0])
        engine_drain(e);
    if (draining[1])
        engine_drain(engine_embedded_outside(e));
    struct door_options o = {.dir = s->dir,
                             .stays = s->o.stays,
                             .connected = on_connected,
                             .linked = on_linked,
                             .guest = on_guest,
                             .copy = on_copy,
                             .settled = on_settled,
                             .arg = s};
    struct door *door;
    /* Else the folder takes no sockets: the engine is this process's alone. Who is about to go lets nobody in. */
    pthread_mutex_lock(&s->lock);
    if (!s->shut && served_start(engine_embedded_outside(e), &s->served, NULL) == 0 && door_open(&o, &door, NULL) == 0)
        atomic_store(&s->door, door);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* --- visiting --------------------------------------------------------------------------------------------- */

static int try_visit(struct shared *s, struct err *err)
{
    int fd;
    struct link_client *client;
    struct link_client_options o = {.details = s->details, .details_count = s->details_count};
    bool stays;
    int r = door_visit(s->dir, s->identity, &fd, &stays, err);
    if (r < 0)
        return r;
    r = door_link(s->dir, &o.fd, err);
    if (r == 0)
        r = link_client_new(&o, &client, err);
    if (r < 0) {
        close(fd);
        return r;
    }
    s->presence = fd;
    s->hints = (struct door_hints){0};
    atomic_store(&s->stays, stays);
    pthread_mutex_lock(&s->lock);
    s->remote = client;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* What was under way there comes back, and waits or fails. */
static void leave(struct shared *s)
{
    pthread_mutex_lock(&s->lock);
    struct link_client *client = TAKE_PTR(s->remote);
    pthread_mutex_unlock(&s->lock);
    link_client_free(client);
    tickets_hurry(s);
    if (s->presence >= 0)
        close(s->presence);
    s->presence = -1;
}

/* One try at either. -ERR_BUSY: neither has come about yet. */
static int try_both(struct shared *s, struct err *err)
{
    struct err none = {0};
    int r = try_hold(s, err);
    if (r != -ERR_BUSY)
        return r;
    int v = try_visit(s, &none);
    return v == 0 ? 0 : v == -ERR_UNAVAILABLE ? r : err_copy(err, &none);
}

static bool found(const struct shared *s)
{
    return atomic_load(&s->local) || s->presence >= 0;
}

/* --- the thread, while another process holds the engine ------------------------------------------------------- */

static bool stopping(struct shared *s)
{
    pthread_mutex_lock(&s->lock);
    bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

static int until_ms(int64_t next, int at_most)
{
    if (next == INT64_MAX)
        return at_most;
    int64_t ms = (next - os_mono_ns()) / NS_PER_MS + 1;
    ms = ms < 0 ? 0 : ms > 60000 ? 60000 : ms;
    return at_most >= 0 && ms > at_most ? at_most : (int)ms;
}

/* True: found one, maybe oneself. */
static bool search(struct shared *s)
{
    struct err err = {0};
    bool ok = try_both(s, &err) == 0;
    pthread_mutex_lock(&s->lock);
    s->why = err;
    s->why.code = ok ? 0 : err.code;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

static void *follow_holder(void *arg)
{
    struct shared *s = arg;
    int pause = SEARCH_MS;
    int64_t next;
    while (!stopping(s)) {
        if (!found(s))
            pause = search(s) ? SEARCH_MS : pause * 2 < SEARCH_LONG_MS ? pause * 2 : SEARCH_LONG_MS;
        tickets_look(s, &next);
        bool any;
        pthread_mutex_lock(&s->lock);
        any = s->tickets != NULL;
        pthread_mutex_unlock(&s->lock);
        if (atomic_load(&s->local) && !any)
            return NULL; /* from here on calls go straight to the engine */
        struct pollfd p[2] = {{.fd = s->wake, .events = POLLIN}, {.fd = s->presence, .events = POLLIN}};
        poll(p, 2, until_ms(next, found(s) ? -1 : pause));
        uint64_t count;
        if (p[0].revents)
            (void)!read(s->wake, &count, sizeof count);
        if (s->presence >= 0 && p[1].revents && !door_hear(s->presence, &s->hints, tell_own, s))
            leave(s);
    }
    tickets_look(s, &next);
    return NULL;
}

static int start_thread(struct shared *s, struct err *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int e = pthread_create(&s->thread, NULL, follow_holder, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->running = e == 0;
    return e == 0 ? 0 : err_sys(err, e, "start the engine's thread");
}

/* --- the engine's interface ------------------------------------------------------------------------------- */

static struct shared *of(struct engine *base, bool *ret_outside)
{
    struct face *f = (struct face *)base;
    *ret_outside = f->outside;
    return f->shared;
}

static void op_call(struct engine *base, enum engine_method m, const ProtobufCMessage *req, int64_t timeout_ms,
                    engine_done *done, void *arg)
{
    bool outside;
    struct shared *s = of(base, &outside);
    struct engine *local = atomic_load(&s->local);
    if (local)
        engine_call(outside ? engine_embedded_outside(local) : local, m, req, timeout_ms, done, arg);
    else
        tickets_take(s, outside, m, req, timeout_ms, done, arg);
}

static void op_cancel(struct engine *base, engine_done *done, void *arg)
{
    bool outside;
    struct shared *s = of(base, &outside);
    struct engine *local = atomic_load(&s->local);
    if (!tickets_cancel(s, done, arg) && local)
        engine_cancel(outside ? engine_embedded_outside(local) : local, done, arg);
}

static void op_send(struct engine *base)
{
    bool outside;
    struct shared *s = of(base, &outside);
    pthread_mutex_lock(&s->lock);
    if (s->remote)
        link_client_flush(s->remote);
    pthread_mutex_unlock(&s->lock);
}

static void op_drain(struct engine *base)
{
    bool outside;
    struct shared *s = of(base, &outside);
    pthread_mutex_lock(&s->lock);
    s->draining[outside] = true;
    struct engine *local = atomic_load(&s->local);
    /* The calls of others pass through here only for `serve`: theirs end with their time. */
    if (!local && s->remote && !outside)
        tickets_drain(s);
    shared_nudge(s);
    pthread_mutex_unlock(&s->lock);
    if (local)
        engine_drain(outside ? engine_embedded_outside(local) : local);
}

static void release(struct shared *s)
{
    if (s->running) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_mutex_unlock(&s->lock);
        shared_nudge(s);
        pthread_join(s->thread, NULL);
    }
    leave(s);
    struct engine *local = atomic_load(&s->local);
    if (local) {
        engine_shared_shut(&s->inside.base);
        engine_free(local);
    }
    door_free(atomic_load(&s->door)); /* last: who looks for a new holder now finds the lock free */
    if (s->wake >= 0)
        close(s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s->dir);
    free(s->path);
    free(s->identity);
    free(s);
}

static void op_free(struct engine *base)
{
    bool outside;
    struct shared *s = of(base, &outside);
    if (!outside)
        release(s);
}

static const struct engine_ops ops = {
    .name = "embedded", .call = op_call, .cancel = op_cancel, .send = op_send, .drain = op_drain, .free = op_free};

struct engine *engine_shared_outside(struct engine *e)
{
    return &((struct face *)e)->shared->outside.base;
}

bool engine_shared_holds(struct engine *e)
{
    return atomic_load(&((struct face *)e)->shared->local) != NULL;
}

bool engine_shared_stays(struct engine *e)
{
    struct shared *s = ((struct face *)e)->shared;
    return atomic_load(&s->local) ? s->o.stays : atomic_load(&s->stays);
}

size_t engine_shared_guests(struct engine *e)
{
    struct shared *s = ((struct face *)e)->shared;
    struct door *door = atomic_load(&s->door);
    return door ? door_guests(door) : 0;
}

const struct engine_times *engine_shared_times(struct engine *e)
{
    struct engine *local = atomic_load(&((struct face *)e)->shared->local);
    return local ? engine_embedded_times(local) : NULL;
}

struct waited {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    struct err err;
};

static void note_copied(void *arg, const struct err *err)
{
    struct waited *w = arg;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    w->err = *err;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

int engine_shared_copy(struct engine *e, const char *id, struct err *err)
{
    struct shared *s = ((struct face *)e)->shared;
    struct engine *local = atomic_load(&s->local);
    if (!local)
        return door_copy(s->dir, id, err);
    struct waited w = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    _cleanup_free_ char *path = copy_path(s, id);
    if (!path)
        return err_nomem(err);
    engine_embedded_copy(local, path, note_copied, &w);
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_mutex_destroy(&w.lock);
    pthread_cond_destroy(&w.cond);
    return w.err.code ? err_copy(err, &w.err) : 0;
}

void engine_shared_shut(struct engine *e)
{
    struct shared *s = ((struct face *)e)->shared;
    pthread_mutex_lock(&s->lock);
    s->shut = true;
    pthread_mutex_unlock(&s->lock);
    door_shut(atomic_load(&s->door)); /* its thread reads `served` until here */
    engine_drain(&s->outside.base);
    served_stop(TAKE_PTR(s->served), GRACE_MS);
}

static struct shared *new_shared(const struct engine_shared_options *o)
{
    struct shared *s = mem_zalloc(sizeof *s);
    if (!s)
        return NULL;
    s->o = *o;
    s->inside = (struct face){{&ops}, s, false};
    s->outside = (struct face){{&ops}, s, true};
    s->presence = -1;
    for (size_t n = 0; n < engine_details_count && n < ARRAY_LEN(s->details); n++)
        s->details[s->details_count++] = (struct rpc_detail_type){engine_details[n].name, engine_details[n].descriptor};
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->dir = mem_strdup(o->dir);
    s->path = os_path_join(o->dir, "state.db");
    s->identity = mem_strdup(o->identity);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

int engine_shared_open(const struct engine_shared_options *o, struct engine **ret, struct err *err)
{
    struct shared *s = new_shared(o);
    if (!s)
        return err_nomem(err);
    int64_t end = os_mono_ns() + (o->wait_ms ? o->wait_ms : WAIT_MS) * NS_PER_MS;
    int r = s->dir && s->path && s->identity && s->wake >= 0 ? try_both(s, err) : err_nomem(err);
    while (r == -ERR_BUSY && os_mono_ns() < end) {
        os_sleep_ms(SEARCH_MS);
        r = try_both(s, err);
    }
    if (r == 0 && !atomic_load(&s->local))
        r = start_thread(s, err);
    if (r < 0) {
        release(s);
        return r;
    }
    *ret = &s->inside.base;
    return 0;
}
