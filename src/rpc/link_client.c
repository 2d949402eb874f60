/* The end of a link that calls. Who calls writes himself while the thread sleeps; else the thread writes for all. */
#include "link_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/pbx.h"
#include "os/clock.h"
#include "rpc_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BUCKETS 256
#define CANCEL_NS (2 * NS_PER_S) /* for the other end to answer a call that was cancelled */

struct call {
    struct call *prev, *next; /* of its bucket, or of a list that is answered */
    uint64_t id, end; /* end: where its frame ends in what is written */
    const ProtobufCMessageDescriptor *response;
    int64_t deadline_ns;
    bool cancelled, too_large;
    link_done *done;
    void *arg;
};

struct link_client {
    struct link_client_options o;
    struct link_conn conn;
    int wake;
    pthread_t thread;
    bool running;
    uint64_t bye; /* of the thread; calls with a greater id were not begun */

    pthread_mutex_t lock; /* what follows */
    struct call *calls[BUCKETS];
    uint64_t last_id;
    int64_t look_at_ns; /* a deadline may have passed then; INT64_MAX: there is none */
    bool awake, stop, gone;
};

static void nudge(struct link_client *c)
{
    uint64_t one = 1;
    (void)!write(c->wake, &one, sizeof one);
}

static void put_in(struct link_client *c, struct call *call)
{
    struct call **head = &c->calls[call->id % BUCKETS];
    call->prev = NULL;
    call->next = *head;
    if (*head)
        (*head)->prev = call;
    *head = call;
}

static void take_out(struct link_client *c, struct call *call)
{
    *(call->prev ? &call->prev->next : &c->calls[call->id % BUCKETS]) = call->next;
    if (call->next)
        call->next->prev = call->prev;
}

/* Takes out the call of that id. NULL: it was given up. */
static struct call *find(struct link_client *c, uint64_t id)
{
    pthread_mutex_lock(&c->lock);
    struct call *call = c->calls[id % BUCKETS];
    while (call && call->id != id)
        call = call->next;
    if (call)
        take_out(c, call);
    pthread_mutex_unlock(&c->lock);
    return call;
}

/* --- calls ------------------------------------------------------------------------------------------------- */

/* What waits is written by whoever is awake. */
static void write_out(struct link_client *c, bool awake, bool look_again)
{
    bool written = awake || link_conn_flush(&c->conn);
    if (!awake && (look_again || !written))
        nudge(c);
}

static bool take_call(struct link_client *c, const char *method, const ProtobufCMessage *req,
                      const ProtobufCMessageDescriptor *response, int64_t wait_ms, int64_t timeout_ms, bool later,
                      link_done *done, void *arg)
{
    struct call *call = mem_alloc(sizeof *call);
    if (!call)
        return false;
    *call = (struct call){.response = response, .done = done, .arg = arg};
    call->deadline_ns = timeout_ms > INT64_MAX / NS_PER_MS / 2 ? INT64_MAX : os_mono_ns() + timeout_ms * NS_PER_MS;
    pthread_mutex_lock(&c->lock);
    call->id = ++c->last_id;
    struct link_frame f = {.kind = LINK_CALL, .id = call->id, .wait_ms = (uint32_t)(wait_ms > UINT32_MAX ? UINT32_MAX : wait_ms)};
    int r = c->gone ? -ERR_UNAVAILABLE : link_conn_put(&c->conn, f, method, req, NULL, 0, &call->end);
    if (r == -ERR_LIMIT) {
        call->too_large = true;
        call->deadline_ns = 0;
        r = 0;
    }
    if (r < 0) {
        pthread_mutex_unlock(&c->lock);
        free(call);
        return false;
    }
    put_in(c, call);
    bool awake = c->awake, earlier = call->deadline_ns < c->look_at_ns;
    if (earlier)
        c->look_at_ns = call->deadline_ns;
    pthread_mutex_unlock(&c->lock);
    if (!later || earlier)
        write_out(c, awake, earlier);
    return true;
}

bool link_client_call(struct link_client *c, const char *method, const ProtobufCMessage *req,
                      const ProtobufCMessageDescriptor *response, int64_t wait_ms, int64_t timeout_ms, link_done *done,
                      void *arg)
{
    return take_call(c, method, req, response, wait_ms, timeout_ms, false, done, arg);
}

bool link_client_queue(struct link_client *c, const char *method, const ProtobufCMessage *req,
                       const ProtobufCMessageDescriptor *response, int64_t wait_ms, int64_t timeout_ms, link_done *done,
                       void *arg)
{
    return take_call(c, method, req, response, wait_ms, timeout_ms, true, done, arg);
}

void link_client_flush(struct link_client *c)
{
    pthread_mutex_lock(&c->lock);
    bool awake = c->awake;
    pthread_mutex_unlock(&c->lock);
    write_out(c, awake, false);
}

static void send_cancel(struct link_client *c, uint64_t id)
{
    link_conn_put(&c->conn, (struct link_frame){.kind = LINK_CANCEL, .id = id}, NULL, NULL, NULL, 0, NULL);
}

void link_client_cancel(struct link_client *c, link_done *done, void *arg)
{
    struct call *call = NULL;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; !call && i < BUCKETS; i++)
        for (call = c->calls[i]; call && (call->done != done || call->arg != arg);)
            call = call->next;
    if (call && !call->cancelled) {
        int64_t end = os_mono_ns() + CANCEL_NS;
        call->cancelled = true;
        call->deadline_ns = end < call->deadline_ns ? end : call->deadline_ns;
        c->look_at_ns = call->deadline_ns < c->look_at_ns ? call->deadline_ns : c->look_at_ns;
        send_cancel(c, call->id);
        nudge(c);
    }
    pthread_mutex_unlock(&c->lock);
}

/* --- answers, on the thread -------------------------------------------------------------------------------- */

static void fail(struct call *call, const struct err *err, bool never_left)
{
    call->done(call->arg, NULL, err, NULL, never_left);
    free(call);
}

static void answered(struct link_client *c, struct call *call, const struct link_frame *f, const uint8_t *data)
{
    struct err err = {0};
    ProtobufCMessage *resp = NULL, *detail = NULL;
    if (f->kind == LINK_FAILURE)
        link_failure_decode(data, f->size, c->o.details, c->o.details_count, &err, &detail);
    else if (pbx_unpack(call->response, data, f->size, &resp, &err) == 0)
        err_clear(&err);
    call->done(call->arg, resp, &err, detail, false);
    free(call);
}

static bool heard(void *arg, const struct link_frame *f, const uint8_t *data)
{
    struct link_client *c = arg;
    if (f->kind == LINK_BYE) {
        c->bye = f->id;
        return true;
    }
    if (f->kind != LINK_ANSWER && f->kind != LINK_FAILURE)
        return false;
    struct call *call = find(c, f->id);
    if (call)
        answered(c, call, f, data);
    return true;
}

/* Takes out those whose time is over, or all. */
static struct call *take_over(struct link_client *c, int64_t now, bool all)
{
    struct call *list = NULL;
    pthread_mutex_lock(&c->lock);
    int64_t next = INT64_MAX;
    for (size_t i = 0; (all || now >= c->look_at_ns) && i < BUCKETS; i++)
        for (struct call *call = c->calls[i], *after; call; call = after) {
            after = call->next;
            if (!all && call->deadline_ns > now) {
                next = call->deadline_ns < next ? call->deadline_ns : next;
                continue;
            }
            take_out(c, call);
            call->next = list;
            list = call;
        }
    if (all || now >= c->look_at_ns)
        c->look_at_ns = next;
    pthread_mutex_unlock(&c->lock);
    return list;
}

static void give_up_late(struct link_client *c)
{
    struct call *next;
    for (struct call *call = take_over(c, os_mono_ns(), false); call; call = next) {
        struct err err = {0};
        next = call->next;
        if (call->too_large)
            err_set(&err, ERR_LIMIT, "a message larger than max (%zu bytes)", c->conn.send_max);
        else if (call->cancelled)
            err_set(&err, ERR_CANCELLED, "the call was cancelled");
        else
            err_set(&err, ERR_TIMEOUT, "no answer in time");
        if (!call->too_large && !call->cancelled)
            send_cancel(c, call->id);
        fail(call, &err, call->too_large);
    }
}

/* Those of which the other end got a part at most, or which it says it did not begin. */
static void give_up_all(struct link_client *c, enum err_code code, const char *why)
{
    uint64_t written = link_conn_written(&c->conn);
    struct call *next;
    for (struct call *call = take_over(c, 0, true); call; call = next) {
        struct err err = {0};
        next = call->next;
        err_set(&err, code, "%s", why);
        fail(call, &err, call->end > written || call->id > c->bye);
    }
}

/* --- the thread -------------------------------------------------------------------------------------------- */

/* When to wake up by itself, or that it is not to sleep: -1. */
static bool may_sleep(struct link_client *c, int *ret_ms)
{
    pthread_mutex_lock(&c->lock);
    c->awake = link_conn_pending(&c->conn);
    bool sleeps = !c->awake && !c->stop;
    int64_t left = c->look_at_ns == INT64_MAX ? -1 : (c->look_at_ns - os_mono_ns()) / NS_PER_MS + 1;
    pthread_mutex_unlock(&c->lock);
    *ret_ms = left < 0 && c->look_at_ns == INT64_MAX ? -1 : left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
    return sleeps;
}

static bool stopped(struct link_client *c)
{
    pthread_mutex_lock(&c->lock);
    c->awake = true;
    bool stop = c->stop;
    pthread_mutex_unlock(&c->lock);
    return stop;
}

static void say_gone(struct link_client *c)
{
    link_conn_break(&c->conn);
    pthread_mutex_lock(&c->lock);
    c->gone = true;
    pthread_mutex_unlock(&c->lock);
}

static void *run(void *arg)
{
    struct link_client *c = arg;
    bool there = true;
    int ms;
    while (!stopped(c)) {
        give_up_late(c);
        link_conn_flush(&c->conn);
        if (!may_sleep(c, &ms))
            continue;
        struct pollfd p[2] = {{.fd = c->wake, .events = POLLIN},
                              {.fd = there ? c->conn.fd : -1, .events = link_conn_blocked(&c->conn) ? POLLIN | POLLOUT : POLLIN}};
        poll(p, 2, ms);
        stopped(c); /* awake from here on: who calls leaves the writing to this thread */
        uint64_t count;
        if (p[0].revents)
            (void)!read(c->wake, &count, sizeof count);
        if (p[1].revents & POLLOUT)
            link_conn_unblock(&c->conn);
        if (p[1].revents & ~POLLOUT && !link_conn_read(&c->conn, c->o.response_max, heard, c)) {
            there = false;
            say_gone(c);
            give_up_all(c, ERR_UNAVAILABLE, "the connection broke");
        }
    }
    say_gone(c);
    give_up_all(c, ERR_CANCELLED, "the call was cancelled");
    return NULL;
}

int link_client_new(const struct link_client_options *o, struct link_client **ret, struct err *err)
{
    struct link_client *c = mem_zalloc(sizeof *c);
    sigset_t all, old;
    if (!c) {
        close(o->fd);
        return err_nomem(err);
    }
    c->o = *o;
    if (!o->response_max)
        c->o.response_max = RPC_RESPONSE_MAX_DEFAULT;
    c->bye = UINT64_MAX;
    c->look_at_ns = INT64_MAX;
    pthread_mutex_init(&c->lock, NULL);
    link_conn_init(&c->conn, o->fd, RPC_MESSAGE_MAX);
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = c->wake < 0 ? err_sys(err, errno, "make an eventfd") : 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int e = r == 0 ? pthread_create(&c->thread, NULL, run, c) : 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (e)
        r = err_sys(err, e, "start a thread");
    c->running = r == 0;
    if (r < 0) {
        link_client_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void link_client_free(struct link_client *c)
{
    if (!c)
        return;
    if (c->running) {
        pthread_mutex_lock(&c->lock);
        c->stop = true;
        pthread_mutex_unlock(&c->lock);
        nudge(c);
        pthread_join(c->thread, NULL);
    }
    for (size_t i = 0; i < BUCKETS; i++)
        ASSERT(!c->calls[i]);
    if (c->wake >= 0)
        close(c->wake);
    link_conn_release(&c->conn);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
