#include "api/rest/tls.h"

#include "api/rest/tls_context.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PIECE 16384       /* what a record has at most: after a read nothing is left in the library */
#define STEPS_MAX 16      /* of a link before others have their turn */
#define ACCEPTS_MAX 64    /* at a time */
#define DRAINS_MAX 4
#define EVENTS_MAX 256
#define TICK_MS 1000
#define SHAKE_NS (10 * NS_PER_S)  /* for a handshake, */
#define CROWDED_NS (1 * NS_PER_S) /* and where there is room for few more */
#define LINGER_NS (2 * NS_PER_S)  /* for a client to close, after all was sent */
#define STUCK_NS (10 * NS_PER_S)  /* nothing of what is left over can be sent */
#define FLUSH_NS (1 * NS_PER_S)   /* at the server's end */
#define FILES_MAX 65536

/* What one side has not taken yet. */
struct rest_of {
    uint8_t *data;
    size_t from, to;
};

/* A descriptor as epoll has it. */
struct end {
    int fd;
    uint32_t events; /* that are waited for */
    bool in, hung;   /* it is in there; it was taken out for good, since it would wake us for ever */
};

struct tls_link {
    struct tls_link *next, **here;
    struct tls_link *next_turn; /* of those who have more to do at once */
    bool has_turn;
    atomic_int refs;
    SSL *ssl;              /* NULL: it is over */
    struct end net, inner; /* inner: our end of the pair; -1 before the handshake is done */
    int taken;             /* the other's number while it was given away */
    struct rest_of to_inner, to_net;
    bool shaken, certified;
    bool wants_out;        /* the library: to write, before it goes on */
    bool net_done;         /* the client says no more */
    bool inner_done, said_so; /* libmicrohttpd says no more; the client was told */
    int64_t since_ns;      /* that it is waited for what it is waited for */
    struct sockaddr_storage peer;
    atomic_bool left;
    _Atomic(uint64_t) received;
    _Atomic(int64_t) received_ns;
};

struct rest_tls {
    struct tls_context *context;
    void (*take)(void *arg, int fd);
    void *arg;
    unsigned max, count;
    struct end listener;
    int epoll, wake;
    pthread_t thread;
    bool started;
    atomic_bool quiet, stop;
    _Atomic(int64_t) asked_ns; /* for a sign of life */
    struct tls_link *links, *turns, *turns_end, *dead; /* dead: until no event of theirs is left */
    uint8_t piece[PIECE];
    pthread_mutex_t lock;
    struct tls_link *by_fd[FILES_MAX]; /* by the taken end; those that have ended are not here */
};

/* --- ends ---------------------------------------------------------------------------------------------------------- */

static void leave(struct rest_tls *t, struct end *e)
{
    if (e->in)
        epoll_ctl(t->epoll, EPOLL_CTL_DEL, e->fd, NULL);
    e->in = false;
}

static void await(struct rest_tls *t, struct end *e, uint32_t events, void *whose)
{
    if (e->fd < 0 || e->hung || (e->in && e->events == events))
        return;
    struct epoll_event ev = {.events = events, .data.ptr = whose};
    e->events = events;
    e->in = epoll_ctl(t->epoll, e->in ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, e->fd, &ev) == 0;
}

/* The lowest bit of the pointer tells which end it is. */
static void *tagged(struct tls_link *l, bool inner)
{
    return (char *)l + inner;
}

static void shut(struct end *e)
{
    if (e->fd >= 0)
        close(e->fd);
    e->fd = -1;
}

/* --- links --------------------------------------------------------------------------------------------------------- */

void tls_link_release(struct tls_link *l)
{
    if (!l || atomic_fetch_sub(&l->refs, 1) > 1)
        return;
    shut(&l->inner);
    free(l);
}

static void free_rest(struct rest_of *r)
{
    free(r->data);
    *r = (struct rest_of){0};
}

/* With something unread in it, a socket that is closed takes back what was sent last. */
static void end_net(struct rest_tls *t, struct tls_link *l)
{
    shutdown(l->net.fd, SHUT_WR);
    for (int i = 0; i < DRAINS_MAX && recv(l->net.fd, t->piece, sizeof t->piece, MSG_DONTWAIT) > 0; i++)
        ;
    shut(&l->net);
}

/* What has come for libmicrohttpd stays in the pair's socket until it is read. */
static void end_link(struct rest_tls *t, struct tls_link *l)
{
    leave(t, &l->net);
    leave(t, &l->inner);
    ssl.SSL_free(TAKE_PTR(l->ssl));
    end_net(t, l);
    if (l->inner.fd >= 0)
        shutdown(l->inner.fd, SHUT_RDWR);
    free_rest(&l->to_inner);
    free_rest(&l->to_net);
    atomic_store(&l->left, true);
    *l->here = l->next;
    if (l->next)
        l->next->here = l->here;
    l->next = t->dead;
    t->dead = l;
    if (t->count-- == t->max)
        await(t, &t->listener, EPOLLIN, &t->listener);
}

/* No event is left that names them; a turn may be. */
static void bury(struct rest_tls *t)
{
    for (struct tls_link **p = &t->dead, *l; (l = *p);) {
        if (l->has_turn) {
            p = &l->next;
            continue;
        }
        *p = l->next;
        pthread_mutex_lock(&t->lock);
        if (t->by_fd[l->taken] == l)
            t->by_fd[l->taken] = NULL;
        pthread_mutex_unlock(&t->lock);
        tls_link_release(l);
    }
}

static void begin_link(struct rest_tls *t, int fd, const struct sockaddr_storage *peer)
{
    struct tls_link *l = mem_zalloc(sizeof *l);
    SSL *s = l ? tls_context_session(t->context) : NULL;
    int one = 1;
    if (!s || ssl.SSL_set_fd(s, fd) != 1) {
        ssl.SSL_free(s);
        free(l);
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    atomic_init(&l->refs, 1);
    l->ssl = s;
    l->net.fd = fd;
    l->inner.fd = -1;
    l->peer = *peer;
    l->since_ns = os_mono_ns();
    l->next = t->links;
    l->here = &t->links;
    if (l->next)
        l->next->here = &l->next;
    t->links = l;
    t->count++;
    await(t, &l->net, EPOLLIN, tagged(l, false));
}

static void accept_some(struct rest_tls *t)
{
    int fd = 0;
    for (int i = 0; i < ACCEPTS_MAX && t->count < t->max && fd >= 0; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        fd = accept4(t->listener.fd, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            begin_link(t, fd, &peer);
    }
    if (t->count >= t->max || (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)))
        leave(t, &t->listener); /* until one ends, or the next tick */
}

/* --- handshakes ---------------------------------------------------------------------------------------------------- */

/* What the library's answer r means: false, that it is over. */
static bool goes_on(struct tls_link *l, int r)
{
    int e = ssl.SSL_get_error(l->ssl, r);
    l->wants_out = e == SSL_ERROR_WANT_WRITE;
    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
}

static int open_pair(struct rest_tls *t, struct tls_link *l)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return -1;
    if (fds[1] >= FILES_MAX) {
        close(fds[0]);
        close(fds[1]);
        return -1;
    }
    l->inner.fd = fds[0];
    l->taken = fds[1];
    pthread_mutex_lock(&t->lock);
    t->by_fd[fds[1]] = l;
    pthread_mutex_unlock(&t->lock);
    t->take(t->arg, fds[1]);
    return 0;
}

/* Who speaks plain HTTP is told in plain HTTP. */
static void answer_plain(const struct tls_link *l)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 41\r\n"
                                 "Connection: close\r\n\r\nThis port speaks TLS: use https, please.\n";
    (void)!send(l->net.fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* False: it is over. */
static bool shake(struct rest_tls *t, struct tls_link *l)
{
    int r = ssl.SSL_accept(l->ssl);
    if (r != 1) {
        if (goes_on(l, r))
            return true;
        unsigned long e = ssl.ERR_peek_last_error();
        if (ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) == SSL_R_HTTP_REQUEST)
            answer_plain(l);
        return false;
    }
    l->shaken = true;
    l->wants_out = false;
    l->certified = ssl.SSL_get0_peer_certificate(l->ssl) && ssl.SSL_get_verify_result(l->ssl) == X509_V_OK;
    return open_pair(t, l) == 0;
}

/* --- bytes --------------------------------------------------------------------------------------------------------- */

static bool keep_rest(struct rest_of *r, const uint8_t *data, size_t len)
{
    r->data = mem_dup(data, len);
    r->from = 0;
    r->to = r->data ? len : 0;
    return r->data;
}

/* Of what is left over n bytes have gone. */
static void gone(struct tls_link *l, struct rest_of *r, size_t n)
{
    r->from += n;
    if (n)
        l->since_ns = os_mono_ns();
    if (r->from == r->to)
        free_rest(r);
}

enum step { STEP_DONE, STEP_WAITS, STEP_OVER };

/* As much of it as goes; the rest is kept. Whoever takes no more is not told: what still comes is nobody's. */
static enum step hand_in(struct tls_link *l, const uint8_t *data, size_t len)
{
    ssize_t n = send(l->inner.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        return STEP_DONE;
    size_t sent = n < 0 ? 0 : (size_t)n;
    if (sent == len)
        return STEP_DONE;
    return keep_rest(&l->to_inner, data + sent, len - sent) ? STEP_WAITS : STEP_OVER;
}

/* From the client to libmicrohttpd. */
static enum step step_in(struct rest_tls *t, struct tls_link *l)
{
    if (l->to_inner.to) {
        ssize_t n = send(l->inner.fd, l->to_inner.data + l->to_inner.from, l->to_inner.to - l->to_inner.from,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return STEP_WAITS;
        gone(l, &l->to_inner, n < 0 ? l->to_inner.to - l->to_inner.from : (size_t)n);
        return STEP_DONE;
    }
    if (l->net_done)
        return STEP_WAITS;
    int n = ssl.SSL_read(l->ssl, t->piece, sizeof t->piece);
    if (n > 0) {
        atomic_fetch_add(&l->received, (uint64_t)n);
        atomic_store(&l->received_ns, os_mono_ns());
        return hand_in(l, t->piece, (size_t)n);
    }
    if (ssl.SSL_get_error(l->ssl, n) == SSL_ERROR_ZERO_RETURN) {
        l->net_done = true;
        shutdown(l->inner.fd, SHUT_WR);
        atomic_store(&l->left, true);
        return STEP_DONE;
    }
    return goes_on(l, n) ? STEP_WAITS : STEP_OVER;
}

static enum step send_out(struct tls_link *l, const uint8_t *data, size_t len, size_t *ret_sent)
{
    int n = ssl.SSL_write(l->ssl, data, (int)len);
    *ret_sent = n > 0 ? (size_t)n : 0;
    if (n > 0) {
        l->since_ns = os_mono_ns();
        return STEP_DONE;
    }
    return goes_on(l, n) ? STEP_WAITS : STEP_OVER;
}

static enum step say_so(struct tls_link *l)
{
    int r = ssl.SSL_shutdown(l->ssl);
    if (r < 0)
        return goes_on(l, r) ? STEP_WAITS : STEP_OVER;
    shutdown(l->net.fd, SHUT_WR);
    l->said_so = true;
    l->since_ns = os_mono_ns();
    return STEP_DONE;
}

/* The other way. */
static enum step step_out(struct rest_tls *t, struct tls_link *l)
{
    size_t sent;
    if (l->to_net.to) {
        enum step s = send_out(l, l->to_net.data + l->to_net.from, l->to_net.to - l->to_net.from, &sent);
        gone(l, &l->to_net, sent);
        return s;
    }
    if (l->inner_done)
        return l->said_so ? STEP_WAITS : say_so(l);
    ssize_t n = recv(l->inner.fd, t->piece, sizeof t->piece, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return STEP_WAITS;
    if (n <= 0) {
        l->inner_done = true;
        return STEP_DONE;
    }
    enum step s = send_out(l, t->piece, (size_t)n, &sent);
    if (s != STEP_OVER && sent < (size_t)n && !keep_rest(&l->to_net, t->piece + sent, (size_t)n - sent))
        return STEP_OVER;
    return s;
}

static void give_turn(struct rest_tls *t, struct tls_link *l)
{
    if (l->has_turn)
        return;
    l->has_turn = true;
    l->next_turn = NULL;
    if (t->turns)
        t->turns_end->next_turn = l;
    else
        t->turns = l;
    t->turns_end = l;
}

/* What it waits for now. */
static void settle(struct rest_tls *t, struct tls_link *l)
{
    bool reads = !l->shaken || (!l->net_done && !l->to_inner.to);
    uint32_t net = (reads ? EPOLLIN : 0) | (l->wants_out ? EPOLLOUT : 0);
    uint32_t inner = (l->to_inner.to ? EPOLLOUT : 0) | (!l->inner_done && !l->to_net.to ? EPOLLIN : 0);
    await(t, &l->net, net, tagged(l, false));
    await(t, &l->inner, inner, tagged(l, true));
}

static void serve(struct rest_tls *t, struct tls_link *l)
{
    enum step in = STEP_DONE, out = STEP_DONE;
    ssl.ERR_clear_error(); /* the library looks there for what its last call has met */
    if (!l->shaken && !shake(t, l)) {
        end_link(t, l);
        return;
    }
    for (int i = 0; l->shaken && i < STEPS_MAX && (in == STEP_DONE || out == STEP_DONE); i++) {
        l->wants_out = false;
        in = step_in(t, l);
        if (in != STEP_OVER) {
            bool wants_out = l->wants_out;
            out = step_out(t, l);
            l->wants_out = l->wants_out || wants_out;
        }
        if (in == STEP_OVER || out == STEP_OVER || (l->net_done && l->said_so && !l->to_inner.to)) {
            end_link(t, l);
            return;
        }
    }
    if (l->shaken && (in == STEP_DONE || out == STEP_DONE))
        give_turn(t, l);
    settle(t, l);
}

/* --- the thread ---------------------------------------------------------------------------------------------------- */

/* A descriptor whose other side is all gone wakes us for ever: what is left is done when the other one of the link has room. */
static void woken(struct rest_tls *t, const struct epoll_event *ev)
{
    uintptr_t p = (uintptr_t)ev->data.ptr;
    struct tls_link *l = (struct tls_link *)(p & ~(uintptr_t)1);
    struct end *e = p & 1 ? &l->inner : &l->net;
    if (!l->ssl)
        return; /* ended by an event before */
    if (ev->events & (EPOLLHUP | EPOLLERR)) {
        leave(t, e);
        e->hung = true;
        give_turn(t, l);
    }
    serve(t, l);
}

/* Those who had more to do; each once. */
static void take_turns(struct rest_tls *t)
{
    struct tls_link *l = TAKE_PTR(t->turns);
    while (l) {
        struct tls_link *next = l->next_turn;
        l->has_turn = false;
        if (l->ssl)
            serve(t, l);
        l = next;
    }
}

static bool is_late(const struct rest_tls *t, const struct tls_link *l, int64_t now)
{
    int64_t age = now - l->since_ns;
    if (!l->shaken)
        return age > (t->count > t->max - t->max / 8 ? CROWDED_NS : SHAKE_NS);
    if (l->said_so)
        return age > LINGER_NS;
    return (l->inner.hung || l->net.hung) && age > STUCK_NS;
}

static void tick(struct rest_tls *t)
{
    int64_t now = os_mono_ns();
    for (struct tls_link *l = t->links, *next; l; l = next) {
        next = l->next;
        if (is_late(t, l, now))
            end_link(t, l);
    }
    if (t->count < t->max)
        await(t, &t->listener, EPOLLIN, &t->listener);
}

static void end_listening(struct rest_tls *t)
{
    leave(t, &t->listener);
    shut(&t->listener);
}

static void handle(struct rest_tls *t, const struct epoll_event *ev)
{
    uint64_t drained;
    if (ev->data.ptr == &t->wake) {
        (void)!read(t->wake, &drained, sizeof drained);
        atomic_store(&t->asked_ns, 0);
    } else if (ev->data.ptr == &t->listener) {
        accept_some(t);
    } else {
        woken(t, ev);
    }
}

/* Is there anything that a client has not been sent? */
static bool is_flushed(const struct rest_tls *t)
{
    for (const struct tls_link *l = t->links; l; l = l->next)
        if (l->shaken && !l->said_so)
            return false;
    return true;
}

static void *run(void *arg)
{
    struct rest_tls *t = arg;
    struct epoll_event events[EVENTS_MAX];
    int64_t next_tick = 0, stop_ns = 0;
    pthread_setname_np(pthread_self(), "tls");
    while (!stop_ns || (os_mono_ns() < stop_ns && !is_flushed(t))) {
        bool sleeps = !t->links && (t->listener.in || t->listener.fd < 0);
        int n = epoll_wait(t->epoll, events, EVENTS_MAX, t->turns ? 0 : stop_ns ? 20 : sleeps ? -1 : TICK_MS);
        if (atomic_load(&t->quiet) && t->listener.fd >= 0)
            end_listening(t);
        for (int i = 0; i < n; i++)
            handle(t, &events[i]);
        take_turns(t);
        bury(t);
        if (os_mono_ns() >= next_tick) {
            tick(t);
            bury(t);
            next_tick = os_mono_ns() + TICK_MS * NS_PER_MS;
        }
        if (!stop_ns && atomic_load(&t->stop))
            stop_ns = os_mono_ns() + FLUSH_NS;
    }
    end_listening(t);
    while (t->links)
        end_link(t, t->links);
    take_turns(t);
    bury(t);
    return NULL;
}

/* --- for the server ------------------------------------------------------------------------------------------------ */

int rest_tls_open(const struct rpc_tls *tls, struct rest_tls **ret, struct err *err)
{
    struct rest_tls *t = mem_zalloc(sizeof *t);
    if (!t)
        return err_nomem(err);
    t->epoll = t->wake = t->listener.fd = -1;
    pthread_mutex_init(&t->lock, NULL);
    int r = tls_context_new(tls, &t->context, err);
    if (r < 0) {
        rest_tls_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

int rest_tls_start(struct rest_tls *t, int fd, unsigned max, void (*take)(void *arg, int fd), void *arg, struct err *err)
{
    pthread_attr_t a;
    t->take = take;
    t->arg = arg;
    t->max = max;
    t->listener.fd = fd;
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &t->wake};
    if (t->epoll < 0 || t->wake < 0 || epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->wake, &ev) < 0)
        return err_sys(err, errno, "TLS");
    await(t, &t->listener, EPOLLIN, &t->listener);
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, (size_t)256 << 10);
    int e = pthread_create(&t->thread, &a, run, t);
    pthread_attr_destroy(&a);
    t->started = e == 0;
    return e ? err_sys(err, e, "start a thread") : 0;
}

static void wake(struct rest_tls *t)
{
    uint64_t one = 1;
    (void)!write(t->wake, &one, sizeof one);
}

int64_t rest_tls_pulse(struct rest_tls *t)
{
    int64_t asked = atomic_load(&t->asked_ns);
    if (!asked) {
        atomic_store(&t->asked_ns, os_mono_ns());
        wake(t);
    }
    return asked;
}

void rest_tls_quiesce(struct rest_tls *t)
{
    atomic_store(&t->quiet, true);
    if (t->started)
        wake(t);
}

void rest_tls_free(struct rest_tls *t)
{
    if (!t)
        return;
    atomic_store(&t->stop, true);
    if (t->started) {
        wake(t);
        pthread_join(t->thread, NULL);
    }
    shut(&t->listener);
    if (t->epoll >= 0)
        close(t->epoll);
    if (t->wake >= 0)
        close(t->wake);
    tls_context_free(t->context);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

struct tls_link *tls_link_at(struct rest_tls *t, int fd)
{
    if (fd < 0 || fd >= FILES_MAX)
        return NULL;
    pthread_mutex_lock(&t->lock);
    struct tls_link *l = t->by_fd[fd];
    if (l)
        atomic_fetch_add(&l->refs, 1);
    pthread_mutex_unlock(&t->lock);
    return l;
}

bool tls_link_certified(const struct tls_link *l)
{
    return l->certified;
}

const struct sockaddr *tls_link_peer(const struct tls_link *l)
{
    return (const struct sockaddr *)&l->peer;
}

uint64_t tls_link_received(const struct tls_link *l)
{
    return atomic_load(&l->received);
}

int64_t tls_link_received_ns(const struct tls_link *l)
{
    return atomic_load(&l->received_ns);
}

bool tls_link_left(const struct tls_link *l)
{
    return atomic_load(&l->left);
}

void tls_link_end(struct tls_link *l)
{
    shutdown(l->inner.fd, SHUT_RDWR);
}

void tls_link_nudge(struct tls_link *l)
{
    shutdown(l->inner.fd, SHUT_WR);
}
