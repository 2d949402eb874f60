/* The end of a link that is called: one thread reads all connections and writes all answers. */
#include "link_internal.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "codec/pbx.h"
#include "os/clock.h"
#include "rpc_internal.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CALLS_MAX_DEFAULT 10000
#define EVENTS 32
#define WAITING_MAX ((size_t)8 << 20) /* bytes of answers that a caller has not read, before no more of its calls are */
#define LAST_MS 1000 /* for a caller to read the last of it */

struct conn;

/* What is not said otherwise is the thread's alone, here and below: other threads only hand over answers. */
struct link_call {
    struct link_call *prev, *next; /* conn->calls */
    struct conn *conn;
    uint64_t id;
    struct pbx_block *block; /* of the request */
    /* Its answer, from when it is handed over: a message, or what is left of a failure. */
    ProtobufCMessage *resp;
    uint8_t *failure; /* NULL and no resp: memory was out */
    size_t failure_len;
    struct link_call *next_answered;
};

/* Held by the server and by each call. */
struct conn {
    struct link_conn link;
    struct link_server *server;
    struct conn *next_dirty;
    struct link_call *calls;
    size_t refs, at;  /* at: in server->conns */
    bool dirty, gone;
    uint32_t events;  /* what is waited for */
    uint64_t last_id; /* of the last call that was read */
};

enum state { SERVES, DEAF, CANCELS, ENDS }; /* DEAF: nothing is read any more */

struct link_server {
    struct link_server_options o;
    struct map methods; /* path -> const struct rpc_method */
    int epoll, wake;
    pthread_t thread;
    bool running;
    VEC(struct conn *) conns;
    struct conn *dirty; /* have something to write */
    atomic_int waking;  /* who is about to write to wake */

    pthread_mutex_t lock; /* what follows */
    pthread_cond_t cond;
    VEC(struct conn *) adopted;
    struct link_call *answered, **answered_tail;
    size_t calls; /* whose answer is not handed over */
    bool awake;
    enum state state, seen; /* seen: what the thread knows of */
};

/* Under the lock; whether nudge() has to follow, without it: the thread would run into the lock. */
static bool must_nudge(struct link_server *s)
{
    bool must = !s->awake;
    s->awake = true;
    if (must)
        atomic_fetch_add(&s->waking, 1);
    return must;
}

static void nudge(struct link_server *s)
{
    uint64_t one = 1;
    (void)!write(s->wake, &one, sizeof one);
    atomic_fetch_sub(&s->waking, 1); /* last: the server may be gone afterwards */
}

static void unref(struct conn *c)
{
    if (--c->refs)
        return;
    link_conn_release(&c->link);
    free(c);
}

/* --- calls ------------------------------------------------------------------------------------------------- */

/* From here on it is the thread's. */
static void hand_over(struct link_call *call)
{
    struct link_server *s = call->conn->server;
    pthread_mutex_lock(&s->lock);
    *s->answered_tail = call;
    s->answered_tail = &call->next_answered;
    if (--s->calls == 0)
        pthread_cond_broadcast(&s->cond);
    bool must = must_nudge(s);
    pthread_mutex_unlock(&s->lock);
    if (must)
        nudge(s);
}

void link_call_reply(struct link_call *call, ProtobufCMessage *resp)
{
    call->resp = resp;
    hand_over(call);
}

void link_call_fail(struct link_call *call, const struct err *err, const char *detail_name, const ProtobufCMessage *detail)
{
    call->failure = link_failure_encode(err, detail_name, detail, &call->failure_len);
    hand_over(call);
}

static int put_failure(struct link_call *call)
{
    struct link_frame f = {.kind = LINK_FAILURE, .id = call->id};
    if (!call->failure)
        return -ERR_NO_MEMORY;
    return link_conn_put(&call->conn->link, f, NULL, NULL, call->failure, call->failure_len, NULL);
}

/* An answer that cannot even be put into memory ends the connection: its caller must not wait for ever. */
static void put_answer(struct link_call *call)
{
    struct conn *c = call->conn;
    struct link_frame f = {.kind = LINK_ANSWER, .id = call->id};
    int r = call->resp ? link_conn_put(&c->link, f, NULL, call->resp, NULL, 0, NULL) : put_failure(call);
    if (r == -ERR_LIMIT) {
        struct err err = {0};
        err_set(&err, ERR_LIMIT, "an answer larger than max (%zu bytes)", c->link.send_max);
        call->failure = link_failure_encode(&err, NULL, NULL, &call->failure_len);
        r = put_failure(call);
    }
    if (r == -ERR_NO_MEMORY)
        shutdown(c->link.fd, SHUT_RDWR);
    if (!c->dirty && !c->gone) {
        c->dirty = true;
        c->next_dirty = c->server->dirty;
        c->server->dirty = c;
        c->refs++;
    }
}

static void call_free(struct link_call *call)
{
    struct conn *c = call->conn;
    *(call->prev ? &call->prev->next : &c->calls) = call->next;
    if (call->next)
        call->next->prev = call->prev;
    pbx_block_free(call->block);
    if (call->resp)
        protobuf_c_message_free_unpacked(call->resp, NULL);
    free(call->failure);
    free(call);
    unref(c);
}

/* NULL: memory is out. *ret_room: there are not too many. */
static struct link_call *call_new(struct conn *c, uint64_t id, bool *ret_room)
{
    struct link_server *s = c->server;
    struct link_call *call = mem_zalloc(sizeof *call);
    if (!call)
        return NULL;
    call->conn = c;
    call->id = id;
    call->next = c->calls;
    if (c->calls)
        c->calls->prev = call;
    c->calls = call;
    c->refs++;
    pthread_mutex_lock(&s->lock);
    *ret_room = s->calls++ < s->o.calls_max;
    pthread_mutex_unlock(&s->lock);
    return call;
}

static bool called(struct conn *c, const struct link_frame *f, const uint8_t *data)
{
    struct link_server *s = c->server;
    struct err err = {0};
    const ProtobufCMessage *req = NULL;
    bool room;
    const struct rpc_method *m = map_getn(&s->methods, data, f->name);
    struct link_call *call = f->id > c->last_id ? call_new(c, f->id, &room) : NULL;
    if (!call)
        return false;
    c->last_id = f->id;
    int r = 0;
    if (!room)
        r = err_set(&err, ERR_LIMIT, "too many calls at a time");
    else if (!m)
        r = err_set(&err, ERR_UNIMPLEMENTED, "unknown method");
    else
        r = pbx_unpack_block(m->request, data + f->name, f->size - f->name, &call->block, &req, &err);
    if (r < 0)
        link_call_fail(call, &err, NULL, NULL);
    else
        s->o.handle(s->o.arg, call, m, req, f->wait_ms);
    return true;
}

/* Cancels the call of that id; 0: all of them. One that is answered just now is still there. */
static void cancel(struct conn *c, uint64_t id)
{
    for (struct link_call *call = c->calls; call; call = call->next)
        if (!id || call->id == id)
            c->server->o.cancel(c->server->o.arg, call);
}

static bool heard(void *arg, const struct link_frame *f, const uint8_t *data)
{
    if (f->kind == LINK_CALL)
        return called(arg, f, data);
    if (f->kind != LINK_CANCEL || !f->id)
        return false;
    cancel(arg, f->id);
    return true;
}

/* --- connections, on the thread ---------------------------------------------------------------------------- */

static void say_interest(struct conn *c)
{
    struct link_server *s = c->server;
    bool reads = s->seen == SERVES && link_conn_waiting(&c->link) < WAITING_MAX;
    uint32_t events = (reads ? EPOLLIN : 0) | (link_conn_blocked(&c->link) ? EPOLLOUT : 0);
    if (events == c->events)
        return;
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->link.fd, &e);
    c->events = events;
}

/* What it still waits for nobody needs. */
static void let_go(struct conn *c)
{
    struct link_server *s = c->server;
    epoll_ctl(s->epoll, EPOLL_CTL_DEL, c->link.fd, NULL);
    link_conn_break(&c->link);
    shutdown(c->link.fd, SHUT_RDWR);
    c->gone = true;
    s->conns.v[c->at] = s->conns.v[--s->conns.len];
    s->conns.v[c->at]->at = c->at;
    cancel(c, 0);
    unref(c);
}

static void take_in(struct link_server *s, struct conn *c)
{
    struct epoll_event e = {.events = c->events = EPOLLIN, .data.ptr = c};
    c->at = s->conns.len;
    if (VEC_PUSH(&s->conns, c)) {
        if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->link.fd, &e) < 0)
            let_go(c);
        return;
    }
    unref(c);
}

static void on_event(struct conn *c, uint32_t events)
{
    if (events & EPOLLOUT) {
        link_conn_unblock(&c->link);
        link_conn_flush(&c->link);
    }
    bool there = !(events & ~EPOLLOUT) || link_conn_read(&c->link, c->server->o.request_max, heard, c);
    if (!there)
        let_go(c);
    else
        say_interest(c);
}

static void write_answers(struct link_server *s)
{
    struct link_call *next, *list;
    pthread_mutex_lock(&s->lock);
    list = TAKE_PTR(s->answered);
    s->answered_tail = &s->answered;
    pthread_mutex_unlock(&s->lock);
    for (struct link_call *call = list; call; call = next) {
        next = call->next_answered;
        put_answer(call);
        call_free(call);
    }
    for (struct conn *c; (c = s->dirty);) {
        s->dirty = c->next_dirty;
        c->dirty = false;
        link_conn_flush(&c->link);
        if (!c->gone)
            say_interest(c);
        unref(c);
    }
}

/* What others have told the thread. False: it ends. */
static bool hear_news(struct link_server *s)
{
    struct conn *c;
    do {
        pthread_mutex_lock(&s->lock);
        c = s->adopted.len ? VEC_POP(&s->adopted) : NULL;
        pthread_mutex_unlock(&s->lock);
        if (c)
            take_in(s, c);
    } while (c);
    pthread_mutex_lock(&s->lock);
    bool changed = s->seen != s->state;
    enum state now = s->seen = s->state;
    pthread_cond_broadcast(&s->cond);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = s->conns.len; changed && i-- > 0;) {
        say_interest(s->conns.v[i]);
        if (now == CANCELS)
            cancel(s->conns.v[i], 0);
    }
    return now != ENDS;
}

static void wait_for_events(struct link_server *s)
{
    struct epoll_event events[EVENTS];
    uint64_t count;
    pthread_mutex_lock(&s->lock);
    s->awake = s->answered || s->adopted.len || s->seen != s->state;
    bool sleeps = !s->awake;
    pthread_mutex_unlock(&s->lock);
    int n = epoll_wait(s->epoll, events, EVENTS, sleeps ? -1 : 0);
    pthread_mutex_lock(&s->lock);
    s->awake = true;
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr)
            on_event(events[i].data.ptr, events[i].events);
        else
            (void)!read(s->wake, &count, sizeof count);
    }
}

/* Tells callers where reading ended, and gives them a moment to read the last of it. */
static void say_bye(struct link_server *s)
{
    int64_t end = os_mono_ns() + LAST_MS * NS_PER_MS;
    VEC_EACH (&s->conns, at) {
        struct link_conn *l = &(*at)->link;
        link_conn_put(l, (struct link_frame){.kind = LINK_BYE, .id = (*at)->last_id}, NULL, NULL, NULL, 0, NULL);
        while (!link_conn_flush(l) && link_conn_blocked(l) && os_mono_ns() < end) {
            struct pollfd p = {.fd = l->fd, .events = POLLOUT};
            if (poll(&p, 1, LAST_MS) > 0)
                link_conn_unblock(l);
        }
    }
    while (s->conns.len)
        let_go(s->conns.v[s->conns.len - 1]);
}

static void *run(void *arg)
{
    struct link_server *s = arg;
    while (hear_news(s)) {
        write_answers(s);
        wait_for_events(s);
    }
    write_answers(s);
    say_bye(s);
    return NULL;
}

/* --- life -------------------------------------------------------------------------------------------------- */

static int start(struct link_server *s, struct err *err)
{
    sigset_t all, old;
    struct epoll_event e = {.events = EPOLLIN};
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->epoll < 0 || s->wake < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->wake, &e) < 0)
        return err_sys(err, errno, "make an event queue");
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->running = r == 0;
    return r ? err_sys(err, r, "start a thread") : 0;
}

int link_server_new(const struct link_server_options *o, struct link_server **ret, struct err *err)
{
    struct link_server *s = mem_zalloc(sizeof *s);
    pthread_condattr_t a;
    int r = 0;
    if (!s)
        return err_nomem(err);
    s->o = *o;
    if (!o->request_max)
        s->o.request_max = RPC_MESSAGE_MAX;
    if (!o->calls_max)
        s->o.calls_max = CALLS_MAX_DEFAULT;
    s->epoll = s->wake = -1;
    s->answered_tail = &s->answered;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&s->cond, &a);
    pthread_condattr_destroy(&a);
    for (size_t i = 0; r == 0 && i < o->methods_count; i++)
        if (!map_set(&s->methods, o->methods[i].path, (void *)&o->methods[i]))
            r = err_nomem(err);
    if (r == 0)
        r = start(s, err);
    if (r < 0) {
        link_server_free(s, 0);
        return r;
    }
    *ret = s;
    return 0;
}

void link_server_adopt(struct link_server *s, int fd)
{
    struct conn *c = mem_zalloc(sizeof *c);
    if (!c) {
        close(fd);
        return;
    }
    c->server = s;
    c->refs = 1;
    link_conn_init(&c->link, fd, RPC_RESPONSE_MAX_DEFAULT);
    pthread_mutex_lock(&s->lock);
    bool must = false;
    if (VEC_PUSH(&s->adopted, c))
        must = must_nudge(s);
    else
        unref(c);
    pthread_mutex_unlock(&s->lock);
    if (must)
        nudge(s);
}

/* Under the lock. */
static void set_state(struct link_server *s, enum state state)
{
    s->state = state;
    if (must_nudge(s))
        nudge(s);
    while (s->seen != state)
        pthread_cond_wait(&s->cond, &s->lock);
}

static void stop(struct link_server *s, int64_t grace_ms)
{
    int64_t end = os_mono_ns() + grace_ms * NS_PER_MS;
    struct timespec at = {.tv_sec = end / NS_PER_S, .tv_nsec = end % NS_PER_S};
    pthread_mutex_lock(&s->lock);
    set_state(s, DEAF);
    while (s->calls && pthread_cond_timedwait(&s->cond, &s->lock, &at) == 0)
        ;
    if (s->calls)
        set_state(s, CANCELS);
    while (s->calls)
        pthread_cond_wait(&s->cond, &s->lock);
    set_state(s, ENDS);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    while (atomic_load(&s->waking))
        sched_yield();
}

void link_server_free(struct link_server *s, int64_t grace_ms)
{
    if (!s)
        return;
    if (s->running)
        stop(s, grace_ms);
    VEC_EACH (&s->adopted, c) {
        link_conn_release(&(*c)->link);
        free(*c);
    }
    VEC_RELEASE(&s->adopted);
    VEC_RELEASE(&s->conns);
    map_release(&s->methods);
    if (s->epoll >= 0)
        close(s->epoll);
    if (s->wake >= 0)
        close(s->wake);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->cond);
    free(s);
}
