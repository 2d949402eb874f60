#include "engine/shared/door.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "engine/engine.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HELLO "ff1 " /* then the identity and a newline; the answer is one of these two */
#define ANSWER_STAYS "ff1 stays\n"
#define ANSWER_GOES "ff1 goes \n" /* of the same length */
#define COPY "ff1copy " /* instead: then an id and a newline; the answer comes when it is done */
#define COPY_ID_LEN 26
#define COPIED "copied\n" /* or an error code, a blank and its text */
#define HINT "ask " /* then a run id and a newline, from the holder */
#define GUESTS_MAX 1000
#define HINTS_MAX 4096 /* that wait for the door's thread; more are lost */
#define SETTLE_MS 3000
#define ANSWER_MS 2000

struct guest {
    int fd;
    bool known; /* its hello came */
    size_t len;
    char hello[sizeof HELLO + ENGINE_ID_MAX + 1];
};

struct hint {
    char identity[128], run_id[64];
};

struct door {
    struct door_options o;
    int wake, engine, calls, presence; /* descriptors */
    pthread_t thread;
    bool running;
    atomic_bool shut;
    atomic_size_t known;
    VEC(struct guest *) guests;
    int64_t settle_at; /* monotonic ns; 0: done */
    pthread_mutex_t lock; /* the hints */
    VEC(struct hint) hints;
};

/* A socket's name may be longer than an address holds: it goes through the folder's descriptor. */
static int address_of(const char *dir, const char *name, struct sockaddr_un *a, int *ret_dir, struct err *err)
{
    int r = os_open(dir, O_PATH | O_DIRECTORY, 0, ret_dir, err);
    if (r < 0)
        return r;
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/%s", *ret_dir, name);
    return 0;
}

static int listen_on(const char *dir, const char *name, int *ret, struct err *err)
{
    struct sockaddr_un a;
    _cleanup_close_ int dir_fd = -1;
    int r = address_of(dir, name, &a, &dir_fd, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(err, errno, "make a socket");
    unlinkat(dir_fd, name, 0);
    /* The mode that the file is born with: no moment in which others could connect. */
    if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 128) < 0)
        return err_sys(err, errno, "listen on %s/%s", dir, name);
    *ret = TAKE_FD(fd);
    return 0;
}

/* Beside the mode of the file: who connects is this user, or root. */
static bool is_one_of_us(int fd)
{
    struct ucred c;
    socklen_t n = sizeof c;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) == 0 && (c.uid == geteuid() || c.uid == 0);
}

static int accept_one(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
        os_sleep_ms(50); /* it would be readable again at once */
    if (fd >= 0 && !is_one_of_us(fd)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void let_in(struct door *d)
{
    int fd = accept_one(d->presence);
    struct guest *g = fd >= 0 && d->guests.len < GUESTS_MAX ? mem_zalloc(sizeof *g) : NULL;
    if (g)
        g->fd = fd;
    if (g && VEC_PUSH(&d->guests, g))
        return;
    free(g);
    if (fd >= 0)
        close(fd);
}

static void let_out(struct door *d, size_t i)
{
    struct guest *g = d->guests.v[i];
    d->guests.v[i] = d->guests.v[--d->guests.len];
    if (g->fd >= 0)
        close(g->fd);
    if (g->known) {
        atomic_fetch_sub(&d->known, 1);
        d->o.guest(d->o.arg, g->hello + strlen(HELLO), false);
    }
    free(g);
}

/* Who asks for a copy is no guest: its connection leaves the door. */
static void hand_copy(struct door *d, struct guest *g)
{
    const char *id = g->hello + strlen(COPY);
    bool good = strlen(id) == COPY_ID_LEN;
    for (const char *p = id; *p; p++)
        good &= (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z');
    if (good && d->o.copy)
        d->o.copy(d->o.arg, id, TAKE_FD(g->fd));
}

/* False: it is gone, or talks nonsense. */
static bool listen_to(struct door *d, struct guest *g)
{
    char rest[64];
    if (g->known) { /* says nothing more; this is its end */
        ssize_t n = recv(g->fd, rest, sizeof rest, 0);
        return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
    }
    ssize_t n = recv(g->fd, g->hello + g->len, sizeof g->hello - 1 - g->len, 0);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    g->len += (size_t)n;
    char *end = memchr(g->hello, '\n', g->len);
    if (!end)
        return g->len < sizeof g->hello - 1;
    *end = 0;
    if (strncmp(g->hello, COPY, strlen(COPY)) == 0) {
        hand_copy(d, g);
        return false;
    }
    if (strncmp(g->hello, HELLO, strlen(HELLO)) != 0)
        return false;
    g->known = true;
    atomic_fetch_add(&d->known, 1);
    d->o.guest(d->o.arg, g->hello + strlen(HELLO), true);
    return send(g->fd, d->o.stays ? ANSWER_STAYS : ANSWER_GOES, strlen(ANSWER_GOES), MSG_NOSIGNAL) > 0;
}

/* How long nothing happens by itself, in ms; -1: for ever. */
static int settle_in(struct door *d)
{
    if (!d->settle_at)
        return -1;
    int64_t left = d->settle_at - os_mono_ns();
    if (left > 0)
        return (int)(left / NS_PER_MS) + 1;
    d->settle_at = 0;
    d->o.settled(d->o.arg);
    return -1;
}

void door_ask(struct door *d, const char *identity, const char *run_id)
{
    struct hint h;
    if (!d || !atomic_load(&d->known) || strlen(identity) >= sizeof h.identity || strlen(run_id) >= sizeof h.run_id)
        return;
    strcpy(h.identity, identity);
    strcpy(h.run_id, run_id);
    uint64_t one = 1;
    pthread_mutex_lock(&d->lock);
    bool first = d->hints.len == 0;
    if (d->hints.len < HINTS_MAX && VEC_PUSH(&d->hints, h) && first)
        (void)!write(d->wake, &one, sizeof one);
    pthread_mutex_unlock(&d->lock);
}

/* A guest that does not read goes without. */
static void send_hints(struct door *d)
{
    uint64_t count;
    char line[sizeof HINT + sizeof((struct hint *)0)->run_id + 1];
    (void)!read(d->wake, &count, sizeof count);
    pthread_mutex_lock(&d->lock);
    typeof(d->hints) hints = d->hints;
    memset(&d->hints, 0, sizeof d->hints);
    pthread_mutex_unlock(&d->lock);
    VEC_EACH (&hints, h) {
        size_t n = (size_t)snprintf(line, sizeof line, HINT "%s\n", h->run_id);
        VEC_EACH (&d->guests, g)
            if ((*g)->known && strcmp((*g)->hello + strlen(HELLO), h->identity) == 0)
                (void)!send((*g)->fd, line, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    VEC_RELEASE(&hints);
}

bool door_hear(int fd, struct door_hints *h, void (*ask)(void *arg, const char *run_id), void *arg)
{
    char buf[1024];
    ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    for (ssize_t i = 0; i < n; i++) {
        if (buf[i] != '\n') {
            h->skip |= h->len == sizeof h->line - 1;
            if (!h->skip)
                h->line[h->len++] = buf[i];
            continue;
        }
        h->line[h->len] = 0;
        if (!h->skip && strncmp(h->line, HINT, strlen(HINT)) == 0 && ask)
            ask(arg, h->line + strlen(HINT));
        h->len = 0;
        h->skip = false;
    }
    return true;
}

static void *watch(void *arg)
{
    struct door *d = arg;
    struct pollfd p[4 + GUESTS_MAX];
    while (!atomic_load(&d->shut)) {
        int timeout = settle_in(d);
        size_t n = d->guests.len;
        p[0] = (struct pollfd){.fd = d->wake, .events = POLLIN};
        p[1] = (struct pollfd){.fd = d->engine, .events = POLLIN};
        p[2] = (struct pollfd){.fd = d->presence, .events = POLLIN};
        p[3] = (struct pollfd){.fd = d->calls, .events = POLLIN};
        for (size_t i = 0; i < n; i++)
            p[4 + i] = (struct pollfd){.fd = d->guests.v[i]->fd, .events = POLLIN};
        if (poll(p, 4 + n, timeout) < 0 || atomic_load(&d->shut))
            continue;
        if (p[0].revents)
            send_hints(d);
        for (size_t i = n; i-- > 0;) /* from the end: who leaves is replaced by the last, which was looked at */
            if (p[4 + i].revents && !listen_to(d, d->guests.v[i]))
                let_out(d, i);
        if (p[2].revents)
            let_in(d);
        int fd = p[1].revents ? accept_one(d->engine) : -1;
        if (fd >= 0)
            d->o.connected(d->o.arg, fd);
        fd = p[3].revents ? accept_one(d->calls) : -1;
        if (fd >= 0)
            d->o.linked(d->o.arg, fd);
    }
    return NULL;
}

static int start_watching(struct door *d, struct err *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int e = pthread_create(&d->thread, NULL, watch, d);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    d->running = e == 0;
    return e == 0 ? 0 : err_sys(err, e, "start the door's thread");
}

int door_open(const struct door_options *o, struct door **ret, struct err *err)
{
    struct door *d = mem_zalloc(sizeof *d);
    if (!d)
        return err_nomem(err);
    d->o = *o;
    d->engine = d->calls = d->presence = -1;
    d->settle_at = os_mono_ns() + SETTLE_MS * NS_PER_MS;
    pthread_mutex_init(&d->lock, NULL);
    d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = d->wake < 0 ? err_sys(err, errno, "make an eventfd") : 0;
    if (r == 0)
        r = listen_on(o->dir, DOOR_ENGINE_SOCKET, &d->engine, err);
    if (r == 0)
        r = listen_on(o->dir, DOOR_CALLS_SOCKET, &d->calls, err);
    if (r == 0)
        r = listen_on(o->dir, DOOR_PRESENCE_SOCKET, &d->presence, err);
    if (r == 0)
        r = start_watching(d, err);
    if (r < 0) {
        door_free(d);
        return r;
    }
    *ret = d;
    return 0;
}

size_t door_guests(struct door *d)
{
    return atomic_load(&d->known);
}

static void remove_socket(struct door *d, int *fd, const char *name)
{
    if (*fd < 0)
        return;
    _cleanup_free_ char *path = os_path_join(d->o.dir, name);
    if (path)
        unlink(path);
    close(*fd);
    *fd = -1;
}

void door_shut(struct door *d)
{
    if (!d)
        return;
    if (d->running) {
        uint64_t one = 1;
        atomic_store(&d->shut, true);
        (void)!write(d->wake, &one, sizeof one);
        pthread_join(d->thread, NULL);
        d->running = false;
    }
    remove_socket(d, &d->engine, DOOR_ENGINE_SOCKET);
    remove_socket(d, &d->calls, DOOR_CALLS_SOCKET);
    remove_socket(d, &d->presence, DOOR_PRESENCE_SOCKET);
}

void door_free(struct door *d)
{
    if (!d)
        return;
    door_shut(d);
    VEC_EACH (&d->guests, g) {
        close((*g)->fd);
        free(*g);
    }
    VEC_RELEASE(&d->guests);
    VEC_RELEASE(&d->hints);
    pthread_mutex_destroy(&d->lock);
    if (d->wake >= 0)
        close(d->wake);
    free(d);
}

static int connect_to(const char *dir, const char *name, int *ret_fd, struct err *err)
{
    struct sockaddr_un a;
    _cleanup_close_ int dir_fd = -1, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = fd < 0 ? err_sys(err, errno, "make a socket") : address_of(dir, name, &a, &dir_fd, err);
    if (r < 0)
        return r;
    struct timeval t = {.tv_sec = ANSWER_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return err_set(err, ERR_UNAVAILABLE, "%s/%s: %s", dir, name, strerror(errno));
    if (!is_one_of_us(fd))
        return err_set(err, ERR_UNAVAILABLE, "%s/%s: another user listens", dir, name);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int door_link(const char *dir, int *ret_fd, struct err *err)
{
    return connect_to(dir, DOOR_CALLS_SOCKET, ret_fd, err);
}

int door_visit(const char *dir, const char *identity, int *ret_fd, bool *ret_stays, struct err *err)
{
    char hello[sizeof HELLO + ENGINE_ID_MAX + 1], answer[sizeof ANSWER_GOES] = "";
    _cleanup_close_ int fd = -1;
    int r = connect_to(dir, DOOR_PRESENCE_SOCKET, &fd, err);
    if (r < 0)
        return r;
    size_t n = (size_t)snprintf(hello, sizeof hello, HELLO "%.*s\n", ENGINE_ID_MAX, identity), got = 0;
    bool ok = send(fd, hello, n, MSG_NOSIGNAL) == (ssize_t)n;
    while (ok && got < strlen(ANSWER_GOES)) {
        ssize_t m = recv(fd, answer + got, strlen(ANSWER_GOES) - got, 0);
        ok = m > 0 || (m < 0 && errno == EINTR);
        got += m > 0 ? (size_t)m : 0;
    }
    *ret_stays = strcmp(answer, ANSWER_STAYS) == 0;
    if (!ok || (!*ret_stays && strcmp(answer, ANSWER_GOES) != 0))
        return err_set(err, ERR_UNAVAILABLE, "%s/" DOOR_PRESENCE_SOCKET ": no answer", dir);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

void door_copied(int fd, const struct err *err)
{
    char line[sizeof err->msg + 16];
    int n = err->code ? snprintf(line, sizeof line, "%d %s\n", err->code, err->msg) : snprintf(line, sizeof line, COPIED);
    (void)!send(fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static int read_copied(int fd, struct err *err)
{
    char line[ERR_MSG_MAX + 16];
    size_t got = 0;
    while (got < sizeof line - 1) {
        ssize_t n = recv(fd, line + got, sizeof line - 1 - got, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    line[got] = 0;
    if (strcmp(line, COPIED) == 0)
        return 0;
    if (got == 0 || line[got - 1] != '\n')
        return err_set(err, ERR_UNAVAILABLE, "who holds the state has gone, or is of another version");
    char *text;
    long code = strtol(line, &text, 10);
    line[got - 1] = 0;
    return err_set(err, code > 0 && code < ERR_COUNT_ ? (enum err_code)code : ERR_INTERNAL, "%s", text + (*text == ' '));
}

int door_copy(const char *dir, const char *id, struct err *err)
{
    char hello[sizeof COPY + COPY_ID_LEN + 1];
    _cleanup_close_ int fd = -1;
    int r = connect_to(dir, DOOR_PRESENCE_SOCKET, &fd, err);
    if (r < 0)
        return r;
    struct timeval forever = {0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    size_t n = (size_t)snprintf(hello, sizeof hello, COPY "%.*s\n", COPY_ID_LEN, id);
    if (send(fd, hello, n, MSG_NOSIGNAL) != (ssize_t)n)
        return err_set(err, ERR_UNAVAILABLE, "%s/" DOOR_PRESENCE_SOCKET ": no answer", dir);
    return read_copied(fd, err);
}
