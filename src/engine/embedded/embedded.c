/* Opening and closing the embedded engine, and the way in for calls. */
#include "engine/embedded/engine_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/match.h"
#include "engine/embedded/namespace.h"
#include "engine/embedded/run.h"
#include "os/clock.h"
#include "os/file.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define ARENA_MAX ((size_t)1 << 30)
#define CACHE_DEFAULT ((size_t)8 << 20)
#define WAIT_DEFAULT_MS 5000
#define LOST_FREE_DEFAULT 16

static void enqueue_locked(struct eng *e, struct call *c)
{
    ASSERT(!e->stop);
    bool was_empty = !e->queue_head;
    *e->queue_tail = c;
    e->queue_tail = &c->next;
    if (was_empty)
        pthread_cond_signal(&e->wake);
}

static void enqueue(struct eng *e, struct call *c)
{
    pthread_mutex_lock(&e->mutex);
    enqueue_locked(e, c);
    pthread_mutex_unlock(&e->mutex);
}

static void take_call(struct eng *e, bool outside, enum engine_method m, const ProtobufCMessage *req,
                      int64_t timeout_ms, engine_done *done, void *arg)
{
    struct call *c = mem_zalloc(sizeof *c);
    if (!c) {
        struct err err = {0};
        err_nomem(&err);
        done(arg, NULL, &err);
        return;
    }
    c->method = m;
    c->req = req;
    c->timeout_ms = timeout_ms;
    c->done = done;
    c->arg = arg;
    c->outside = outside;
    enqueue(e, c);
}

static void op_call(struct engine *base, enum engine_method m, const ProtobufCMessage *req,
                    int64_t timeout_ms, engine_done *done, void *arg)
{
    take_call((struct eng *)base, false, m, req, timeout_ms, done, arg);
}

static void op_cancel(struct engine *base, engine_done *done, void *arg)
{
    struct call *c = mem_zalloc(sizeof *c);
    if (!c)
        return; /* the call ends by its timeout */
    c->kind = CALL_CANCEL;
    c->done = done;
    c->arg = arg;
    enqueue((struct eng *)base, c);
}

static void outside_call(struct engine *base, enum engine_method m, const ProtobufCMessage *req,
                         int64_t timeout_ms, engine_done *done, void *arg)
{
    take_call(((struct outside_face *)base)->eng, true, m, req, timeout_ms, done, arg);
}

static void outside_cancel(struct engine *base, engine_done *done, void *arg)
{
    op_cancel(&((struct outside_face *)base)->eng->base, done, arg);
}

static void ask_to_drain(struct eng *e, bool outside)
{
    pthread_mutex_lock(&e->mutex);
    if (!e->drain_asked[outside])
        enqueue_locked(e, &e->drain_call[outside]);
    e->drain_asked[outside] = true;
    pthread_mutex_unlock(&e->mutex);
}

static void outside_drain(struct engine *base)
{
    ask_to_drain(((struct outside_face *)base)->eng, true);
}

static void outside_free(struct engine *base)
{
    (void)base;
}

static const struct engine_ops outside_ops = {
    .name = "embedded", .call = outside_call, .cancel = outside_cancel, .drain = outside_drain, .free = outside_free};

struct engine *engine_embedded_outside(struct engine *base)
{
    return &((struct eng *)base)->outside.base;
}

static void op_drain(struct engine *base)
{
    ask_to_drain((struct eng *)base, false);
}

/* Everything but the thread. */
static void release(struct eng *e)
{
    ASSERT(!e->parked_head && !e->queue_head);
    match_release(e);
    runs_release(e);
    guests_release(e);
    namespaces_release(e);
    VEC_RELEASE(&e->dispatches);
    VEC_RELEASE(&e->effects);
    VEC_RELEASE(&e->eager);
    arena_release(&e->arena);
    db_close(&e->db);
    lockfile_release(&e->lock);
    free(e->parked_index);
    pthread_cond_destroy(&e->wake);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}

static void op_free(struct engine *base)
{
    struct eng *e = (struct eng *)base;
    ask_to_drain(e, true);
    pthread_mutex_lock(&e->mutex);
    e->stop = true;
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->mutex);
    pthread_join(e->thread, NULL);
    release(e);
}

static const struct engine_ops ops = {
    .name = "embedded", .call = op_call, .cancel = op_cancel, .drain = op_drain, .free = op_free};

static struct eng *new_eng(const struct engine_embedded_options *o)
{
    struct eng *e = mem_zalloc(sizeof *e);
    pthread_condattr_t attr;
    if (!e)
        return NULL;
    e->base.ops = &ops;
    e->outside = (struct outside_face){{&outside_ops}, e};
    e->lock.fd = -1;
    e->clock = o->clock;
    e->lost_tasks = o->lost_tasks;
    e->lost_attempts_free = o->lost_attempts_free > 0    ? o->lost_attempts_free
                            : o->lost_attempts_free < 0 ? 0
                                                        : LOST_FREE_DEFAULT;
    e->cache_max = o->cache_bytes ? o->cache_bytes : CACHE_DEFAULT;
    e->ask = o->ask;
    e->ask_arg = o->ask_arg;
    e->admit = o->admit;
    e->admit_arg = o->admit_arg;
    e->queue_tail = &e->queue_head;
    e->answers_tail = &e->answers;
    e->lru.lru_next = e->lru.lru_prev = &e->lru;
    arena_init(&e->arena, ARENA_MAX);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&e->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&e->mutex, NULL);
    return e;
}

/* What runs were given may be secret: the file, and SQLite's beside it, are the owner's alone. */
static int make_private(const char *path, struct err *err)
{
    int fd, r = os_open(path, O_RDWR | O_CREAT, 0600, &fd, err);
    if (r == 0)
        close(fd);
    return r;
}

/* The engine's thread takes no signals: they are for the program's. */
static int start_thread(struct eng *e, struct err *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&e->thread, NULL, eng_thread, e);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r == 0 ? 0 : err_sys(err, r, "start the engine's thread");
}

static int open_file(struct eng *e, const struct engine_embedded_options *o, int64_t wall,
                     struct err *err)
{
    int r = 0;
    e->in_memory = strcmp(o->path, ":memory:") == 0;
    e->read_only = o->read_only;
    if (o->read_only) {
        r = lockfile_check(o->path, err);
        return r < 0 ? r : db_open_read_only(&e->db, o->path, err);
    }
    if (!e->in_memory)
        r = lockfile_take(&e->lock, o->path,
                          o->wait_ms > 0    ? o->wait_ms
                          : o->wait_ms < 0 ? 0
                                           : WAIT_DEFAULT_MS,
                          err);
    if (r == 0 && !e->in_memory && !o->vfs)
        r = make_private(o->path, err);
    return r < 0 ? r : db_open(&e->db, o->path, o->vfs, wall, err);
}

int engine_embedded_open(const struct engine_embedded_options *o, struct engine **ret,
                         struct err *err)
{
    struct eng *e = new_eng(o);
    if (!e)
        return err_nomem(err);
    e->mono_ns = os_mono_ns();
    int64_t wall = e->clock.now_ns ? e->clock.now_ns(e->clock.arg) : os_now_ns();
    int r = open_file(e, o, wall, err);
    if (r == 0 && o->check)
        r = db_check(&e->db, err);
    if (r == 0) {
        e->now = e->db.clock_ns;
        eng_read_clock(e);
        r = namespaces_load(e, err);
    }
    if (r == 0 && !e->read_only)
        r = eng_recover(e, err);
    if (r == 0)
        r = start_thread(e, err);
    if (r < 0) {
        release(e);
        return r;
    }
    *ret = &e->base;
    return 0;
}

const struct engine_times *engine_embedded_times(struct engine *base)
{
    return &((struct eng *)base)->times;
}

void eng_tell(struct eng *e, struct call *news)
{
    enqueue(e, news);
}

bool eng_tell_again(struct eng *e, struct call *news)
{
    pthread_mutex_lock(&e->mutex);
    bool stop = e->stop;
    if (!stop)
        enqueue_locked(e, news);
    pthread_mutex_unlock(&e->mutex);
    return !stop;
}

struct tick {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
};

static void tick_done(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct tick *t = arg;
    (void)resp;
    (void)err;
    pthread_mutex_lock(&t->mutex);
    t->done = true;
    pthread_cond_signal(&t->cond);
    pthread_mutex_unlock(&t->mutex);
}

void engine_embedded_tick(struct engine *base)
{
    struct eng *e = (struct eng *)base;
    struct tick t = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    struct call *c = mem_zalloc(sizeof *c);
    ASSERT(c); /* tests only */
    c->kind = CALL_TICK;
    c->done = tick_done;
    c->arg = &t;
    enqueue(e, c);
    pthread_mutex_lock(&t.mutex);
    while (!t.done)
        pthread_cond_wait(&t.cond, &t.mutex);
    pthread_mutex_unlock(&t.mutex);
    pthread_mutex_destroy(&t.mutex);
    pthread_cond_destroy(&t.cond);
}
