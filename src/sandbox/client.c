/* ff's side of the sandbox: the handle of the spawner and of what runs in it. */
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "os/fault.h"
#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* One activity, from sandbox_start() to its done. */
struct sandbox_proc {
    struct spawner *spawner;
    struct sandbox_proc *next, **link; /* in the list it is on */
    uint64_t id;
    sandbox_done *done; /* NULL: a thread waits in sandbox_run() */
    void *arg;
    bool ended;
    struct sandbox_result result;
};

struct spawner {
    pid_t pid;
    int sock;
    int event_fd; /* readable while something is due, or to wake the thread that polls for
                     sandbox_run() */
    int epoll_fd; /* sock and event_fd: what spawner_fd() gives */
    pthread_mutex_t lock;
    pthread_mutex_t send_lock; /* taken before lock */
    pthread_cond_t changed;
    bool polling; /* a thread in sandbox_run() polls; others wait for `changed` */
    bool gone, ready, freed;
    void (*lost)(void *arg, const struct err *why);
    void *lost_arg;
    uint64_t next_id;
    struct sandbox_proc *running;        /* told to the spawner, no answer yet */
    struct sandbox_proc *due, **due_end; /* answered, done not called yet */
    struct sandbox_protection protection;
    struct err failure; /* why the spawner is gone */
};

/* --- lists; under the lock --- */

static void list_insert(struct sandbox_proc **head, struct sandbox_proc *p)
{
    p->next = *head;
    if (p->next)
        p->next->link = &p->next;
    p->link = head;
    *head = p;
}

static void list_remove(struct sandbox_proc *p)
{
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
}

static void wake(struct spawner *s)
{
    uint64_t one = 1;
    (void)!write(s->event_fd, &one, sizeof one);
}

/* --- what the spawner says; under the lock --- */

static void end_proc(struct spawner *s, struct sandbox_proc *p)
{
    list_remove(p);
    p->ended = true;
    if (p->done) {
        p->next = NULL;
        *s->due_end = p;
        s->due_end = &p->next;
    }
    wake(s);
    pthread_cond_broadcast(&s->changed);
}

static void take_done(struct spawner *s, const struct wire_done *d)
{
    for (struct sandbox_proc *p = s->running; p; p = p->next) {
        if (p->id != d->head.id)
            continue;
        p->result = (struct sandbox_result){.end = (enum sandbox_end)d->end,
                                            .status = d->status,
                                            .limit = sandbox_limit_name((enum limit_kind)d->limit),
                                            .wall_ns = d->wall_ns,
                                            .cpu_ns = d->cpu_ns,
                                            .memory_peak_bytes = d->memory_peak_bytes,
                                            .err = d->err};
        end_proc(s, p);
        return;
    }
}

static void take_gone(struct spawner *s)
{
    if (s->gone)
        return;
    s->gone = true;
    if (!s->failure.code)
        err_set(&s->failure, ERR_UNAVAILABLE,
                "the sandbox's spawner is gone, and all that ran in it");
    if (s->lost && !s->freed)
        s->lost(s->lost_arg, &s->failure);
    while (s->running) {
        struct sandbox_proc *p = s->running;
        p->result = (struct sandbox_result){.end = SANDBOX_KILLED, .err = s->failure};
        end_proc(s, p);
    }
    wake(s);
    pthread_cond_broadcast(&s->changed);
}

static void take_message(struct spawner *s, const char *data, size_t len)
{
    struct wire_head h;
    struct wire_ready ready;
    struct wire_done done;
    if (len < sizeof h)
        return;
    memcpy(&h, data, sizeof h);
    if (h.type == WIRE_READY && len == sizeof ready) {
        memcpy(&ready, data, sizeof ready);
        s->protection = ready.protection;
        s->failure = ready.err;
        s->ready = true;
        pthread_cond_broadcast(&s->changed);
        if (s->failure.code) /* it is on its way out */
            take_gone(s);
    } else if (h.type == WIRE_DONE && len == sizeof done) {
        memcpy(&done, data, sizeof done);
        take_done(s, &done);
    }
}

/* Reads what is there, without blocking. */
static void pump(struct spawner *s)
{
    union {
        struct wire_ready ready;
        struct wire_done done;
        char bytes[4096];
    } buf;
    while (!s->gone) {
        ssize_t n = recv(s->sock, &buf, sizeof buf, MSG_DONTWAIT);
        if (n > 0)
            take_message(s, buf.bytes, (size_t)n);
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        else
            take_gone(s);
    }
}

/* Waits until *flag, or the spawner is gone. One of the waiting threads polls, for all. */
static void wait_until(struct spawner *s, const bool *flag)
{
    pthread_mutex_lock(&s->lock);
    pump(s);
    while (!*flag && !s->gone) {
        if (s->polling) {
            pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        s->polling = true;
        pthread_mutex_unlock(&s->lock);
        struct pollfd p[2] = {{.fd = s->sock, .events = POLLIN},
                              {.fd = s->event_fd, .events = POLLIN}};
        poll(p, 2, -1);
        pthread_mutex_lock(&s->lock);
        s->polling = false;
        pump(s);
        if (p[1].revents && !s->due) { /* only meant to wake us */
            uint64_t n;
            (void)!read(s->event_fd, &n, sizeof n);
        }
        if (!*flag && !s->gone && s->due) { /* for a loop elsewhere: do not spin on it */
            pthread_mutex_unlock(&s->lock);
            struct pollfd q = {.fd = s->sock, .events = POLLIN};
            poll(&q, 1, 5);
            pthread_mutex_lock(&s->lock);
            pump(s);
        }
        pthread_cond_broadcast(&s->changed); /* another may poll now */
    }
    pthread_mutex_unlock(&s->lock);
}

/* --- life --- */

static void close_handle(struct spawner *s)
{
    if (s->sock >= 0)
        close(s->sock);
    if (s->event_fd >= 0)
        close(s->event_fd);
    if (s->epoll_fd >= 0)
        close(s->epoll_fd);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->send_lock);
    pthread_cond_destroy(&s->changed);
    free(s);
}

static int make_handle(struct spawner **ret, struct err *err)
{
    struct spawner *s = mem_zalloc(sizeof *s);
    if (!s)
        return err_nomem(err);
    s->sock = -1;
    s->due_end = &s->due;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->send_lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->event_fd < 0 || s->epoll_fd < 0) {
        int r = err_sys(err, errno, "make the spawner's descriptors");
        close_handle(s);
        return r;
    }
    *ret = s;
    return 0;
}

static int watch(struct spawner *s, int fd, struct err *err)
{
    struct epoll_event e = {.events = EPOLLIN};
    return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0 ? err_sys(err, errno, "epoll_ctl") : 0;
}

int spawner_start(const struct spawner_options *o, struct spawner **ret, struct err *err)
{
    struct spawner *s = NULL;
    int pair[2];
    int r = make_handle(&s, err);
    if (r < 0)
        return r;
    int fault = os_fault("socketpair");
    if (fault || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        r = err_sys(err, fault ? fault : errno, "socketpair");
        close_handle(s);
        return r;
    }
    s->sock = pair[0];
    s->lost = o->lost;
    s->lost_arg = o->builtin_arg;
    r = watch(s, s->sock, err);
    if (r == 0)
        r = watch(s, s->event_fd, err);
    fault = r == 0 ? os_fault("fork") : 0;
    if (r == 0 && !fault) {
        pid_t parent = getpid();
        s->pid = fork();
        if (s->pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != parent)
                _exit(1);
            spawner_main(o, pair[1]);
        }
    }
    if (r == 0 && (fault || s->pid < 0))
        r = err_sys(err, fault ? fault : errno, "fork the spawner");
    close(pair[1]);
    if (r < 0) {
        close_handle(s);
        return r;
    }
    *ret = s;
    return 0;
}

const struct sandbox_protection *spawner_protection(struct spawner *s)
{
    wait_until(s, &s->ready);
    return &s->protection;
}

const char *sandbox_path(struct spawner *s, const char *target, const char *source)
{
    return spawner_protection(s)->mount_ns ? target : source;
}

static int send_message(struct spawner *s, const void *data, size_t len, const int *fds,
                        struct err *err)
{
    union {
        char buf[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fds) {
        m.msg_control = &control;
        m.msg_controllen = sizeof control;
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(3 * sizeof(int));
        memcpy(CMSG_DATA(h), fds, 3 * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(s->sock, &m, MSG_NOSIGNAL); /* may block: the spawner always reads */
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, errno, "ask the spawner");
    return 0;
}

void spawner_free(struct spawner *s)
{
    if (!s)
        return;
    struct wire_head quit = {.type = WIRE_QUIT};
    static const bool never = false;
    pthread_mutex_lock(&s->lock);
    s->freed = true;
    pthread_mutex_unlock(&s->lock);
    send_message(s, &quit, sizeof quit, NULL, NULL);
    wait_until(s, &never);
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    spawner_dispatch(s, NULL);
    close_handle(s);
}

int spawner_fd(const struct spawner *s)
{
    return s->epoll_fd;
}

int spawner_dispatch(struct spawner *s, struct err *err)
{
    pthread_mutex_lock(&s->lock);
    pump(s);
    uint64_t n;
    (void)!read(s->event_fd, &n, sizeof n);
    if (s->polling) /* that was perhaps meant for the thread that polls */
        wake(s);
    while (s->due) {
        struct sandbox_proc *p = s->due;
        s->due = p->next;
        if (!s->due)
            s->due_end = &s->due;
        pthread_mutex_unlock(&s->lock);
        p->done(p->arg, &p->result);
        free(p);
        pthread_mutex_lock(&s->lock);
    }
    int r = s->gone ? err_copy(err, &s->failure) : 0;
    if (s->gone)
        r = -s->failure.code;
    pthread_mutex_unlock(&s->lock);
    return r;
}

/* --- activities --- */

/* Puts a proc on the list and tells the spawner. The list comes first: the answer may be read by
 * another thread. */
static int launch(struct spawner *s, struct sandbox_proc *p, const struct sandbox_plan *plan,
                  const int fds[3], struct err *err)
{
    _cleanup_(strbuf_release) struct strbuf b = STRBUF_INIT_MAX(WIRE_MESSAGE_MAX);
    struct wire_head head = {.type = WIRE_START};
    p->spawner = s;
    pthread_mutex_lock(&s->lock);
    int r = s->gone ? err_copy(err, &s->failure) : 0;
    if (s->gone)
        r = -s->failure.code;
    p->id = head.id = ++s->next_id;
    pthread_mutex_unlock(&s->lock);
    if (r < 0)
        return r;
    strbuf_append(&b, &head, sizeof head);
    r = wire_encode_plan(plan, &b, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&s->send_lock);
    pthread_mutex_lock(&s->lock);
    list_insert(&s->running, p);
    pthread_mutex_unlock(&s->lock);
    int fault = os_fault("sendmsg");
    r = fault ? err_sys(err, fault, "ask the spawner") : send_message(s, b.s, b.len, fds, err);
    if (r < 0) {
        pthread_mutex_lock(&s->lock);
        struct sandbox_proc *still = s->running;
        while (still && still != p)
            still = still->next;
        if (still)
            list_remove(p);
        else /* the spawner went meanwhile: the answer is on its way, or given, and p perhaps freed
              */
            r = 0;
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&s->send_lock);
    return r;
}

int sandbox_start(struct spawner *s, const struct sandbox_plan *plan, int stdin_fd, int stdout_fd,
                  int stderr_fd, sandbox_done *done, void *arg, struct sandbox_proc **ret,
                  struct err *err)
{
    const int fds[3] = {stdin_fd, stdout_fd, stderr_fd};
    ASSERT(done);
    struct sandbox_proc *p = mem_zalloc(sizeof *p);
    if (!p)
        return err_nomem(err);
    p->done = done;
    p->arg = arg;
    *ret = p; /* before the answer can come */
    int r = launch(s, p, plan, fds, err);
    if (r < 0) {
        *ret = NULL;
        free(p);
    }
    return r;
}

void sandbox_kill(struct sandbox_proc *p, const char *limit)
{
    struct wire_head h = {.type = WIRE_KILL, .limit = limit_from_name(limit), .id = p->id};
    send_message(p->spawner, &h, sizeof h, NULL, NULL);
}

int sandbox_run(struct spawner *s, const struct sandbox_plan *plan, int stdin_fd, int stdout_fd,
                int stderr_fd, struct sandbox_result *ret, struct err *err)
{
    const int fds[3] = {stdin_fd, stdout_fd, stderr_fd};
    struct sandbox_proc *p = mem_zalloc(sizeof *p);
    if (!p)
        return err_nomem(err);
    int r = launch(s, p, plan, fds, err);
    if (r == 0) {
        wait_until(s, &p->ended);
        *ret = p->result;
    }
    free(p);
    return r;
}
