/* The spawner: a single-threaded process that starts activities, keeps their wall time, kills them
 * and tells ff how they ended. It never waits for one child and never dies of a bad request; when
 * ff goes, it kills all and goes too. */
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/memory.h"
#include "sandbox/sandbox_internal.h"
#include "sandbox/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define POOL 2 /* prepared ahead, when there is nothing else to do */
#define MEMORY_LOOK_NS (INT64_C(250) * 1000000)
#define REST_MS 2000 /* of quiet, before memory is given back */
#define POOL_RETRY_NS (INT64_C(1000) * 1000000)
#define TREE_LOOK_NS (INT64_C(50) * 1000000)
#define TREE_MAX 16384 /* processes of the host that are looked at */

enum child_state {
    CHILD_FREE,
    CHILD_PREPARED, /* cloned, waits for a plan */
    CHILD_RUNNING,
    CHILD_ANSWERED /* ff knows the end; the init is still leaving */
};

struct child {
    enum child_state state;
    pid_t pid;
    int ctl; /* gives a prepared one its plan; -1 afterwards */
    uint64_t id;
    int64_t started_ns, deadline_ns; /* deadline 0: none */
    struct sandbox_limits limits;
    bool kill_asked;
    enum limit_kind kill_limit;
    bool leaf_made;            /* of the control groups; stays from use to use */
    struct group_usage before; /* of that leaf, when the last run in it had ended */
};

/* An answer that did not fit into the socket. */
struct answer {
    struct answer *next;
    size_t len;
    char data[];
};

struct spawner_state {
    struct host host;
    int sock, signal_fd;
    bool quitting;
    struct child children[SPAWNER_CHILDREN_MAX];
    size_t prepared, alive; /* alive: all that are not free */
    int64_t memory_due_ns;  /* next look at the control groups */
    int64_t tree_due_ns;    /* next look at processes, where their inits cannot */
    int64_t pool_retry_ns;  /* preparing failed: not again before this */
    bool worked;            /* since its memory was trimmed */
    struct answer *answers, **answers_end;
    char message[WIRE_MESSAGE_MAX + 1];
};

/* --- answers to ff --- */

static bool send_now(struct spawner_state *s, const void *data, size_t len)
{
    ssize_t n;
    do
        n = send(s->sock, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n >= 0 || (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM);
}

static void answer(struct spawner_state *s, const void *data, size_t len)
{
    if (!s->answers && send_now(s, data, len))
        return;
    struct answer *a = mem_alloc(sizeof *a + len);
    if (!a) { /* ff must not wait for ever for this one: an end of file answers all */
        s->quitting = true;
        return;
    }
    a->next = NULL;
    a->len = len;
    memcpy(a->data, data, len);
    *s->answers_end = a;
    s->answers_end = &a->next;
}

static void flush_answers(struct spawner_state *s)
{
    while (s->answers && send_now(s, s->answers->data, s->answers->len)) {
        struct answer *a = s->answers;
        s->answers = a->next;
        if (!s->answers)
            s->answers_end = &s->answers;
        free(a);
    }
}

static void answer_failed(struct spawner_state *s, uint64_t id, const struct err *e)
{
    struct wire_done d = {
        .head = {.type = WIRE_DONE, .id = id}, .end = SANDBOX_SETUP_FAILED, .err = *e};
    answer(s, &d, sizeof d);
}

/* --- children --- */

static struct child *free_child(struct spawner_state *s)
{
    for (size_t i = 0; i < SPAWNER_CHILDREN_MAX; i++)
        if (s->children[i].state == CHILD_FREE)
            return &s->children[i];
    return NULL;
}

static struct slot *slot_of(struct spawner_state *s, const struct child *c)
{
    return &s->host.slots[c - s->children].slot;
}

static int make_leaf(struct spawner_state *s, struct child *c, size_t index, struct err *err)
{
    if (!s->host.groups_version)
        return 0;
    if (c->leaf_made)
        return 0;
    int r = groups_make_leaf(&s->host, index, err);
    if (r < 0)
        return r;
    c->leaf_made = true;
    groups_read(&s->host, index, &c->before);
    return 0;
}

/* fork(2) into the new namespaces and, with group not negative, a v2 control group. Plain clone(2)
 * where that will do: container managers often deny clone3. */
static pid_t clone_init(int flags, int group)
{
    if (group < 0)
        return (pid_t)syscall(SYS_clone, (long)flags | SIGCHLD, 0L, 0L, 0L, 0L);
    struct clone_args args = {.flags = (uint64_t)flags | CLONE_INTO_CGROUP,
                              .exit_signal = SIGCHLD,
                              .cgroup = (uint64_t)group};
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/* Clones an init, which prepares itself and waits on c->ctl. */
static int prepare_child(struct spawner_state *s, struct child **ret, struct err *err)
{
    struct child *c = free_child(s);
    if (!c)
        return err_set(err, ERR_LIMIT, "more than %d sandboxes at a time", SPAWNER_CHILDREN_MAX);
    size_t index = (size_t)(c - s->children);
    int ctl[2];
    network_keep(&s->host);
    int r = make_leaf(s, c, index, err);
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ctl) < 0)
        return err_sys(err, errno, "socketpair");
    struct slot *slot = slot_of(s, c);
    memset(slot, 0, sizeof *slot);
    _cleanup_close_ int group =
        s->host.groups_version == 2 ? groups_open_leaf(&s->host, index) : -1;
    pid_t pid = clone_init(s->host.clone_flags, group);
    if (pid == 0) {
        close(ctl[0]); /* or it would never see the spawner's end of file */
        child_main(&s->host, slot, index, ctl[1]);
    }
    int e = errno;
    close(ctl[1]);
    if (pid < 0) {
        close(ctl[0]);
        return err_sys(err, e, "clone");
    }
    c->state = CHILD_PREPARED;
    c->pid = pid;
    c->ctl = ctl[0];
    c->kill_asked = false;
    c->kill_limit = LIMIT_NONE;
    s->prepared++;
    s->alive++;
    *ret = c;
    return 0;
}

static struct child *take_prepared(struct spawner_state *s)
{
    for (size_t i = 0; s->prepared && i < SPAWNER_CHILDREN_MAX; i++)
        if (s->children[i].state == CHILD_PREPARED)
            return &s->children[i];
    return NULL;
}

/* The child is no longer one that waits for a plan. */
static void leave_pool(struct spawner_state *s, struct child *c, enum child_state state)
{
    close(c->ctl);
    c->ctl = -1;
    c->state = state;
    s->prepared--;
}

static int send_plan(const struct child *c, const char *plan, size_t len, const int fds[3],
                     struct err *err)
{
    union {
        char buf[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)plan, .iov_len = len};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(3 * sizeof(int));
    memcpy(CMSG_DATA(h), fds, 3 * sizeof(int));
    ssize_t n;
    do
        n = sendmsg(c->ctl, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? err_sys(err, errno, "hand the plan over") : 0;
}

/* With its init all of a pid namespace dies. */
static void kill_child(const struct spawner_state *s, const struct child *c)
{
    if (s->host.protection.pid_ns)
        kill(c->pid, SIGKILL);
    else
        tree_kill(s->host.proc_fd, c->pid);
}

/* Gives the plan to one of the pool, or to a new one. Those of the pool that died unnoticed are
 * skipped. */
static int place(struct spawner_state *s, const char *plan, size_t len, const int fds[3],
                 struct child **ret, struct err *err)
{
    struct child *c;
    while ((c = take_prepared(s))) {
        if (send_plan(c, plan, len, fds, err) == 0) {
            *ret = c;
            return 0;
        }
        kill_child(s, c);
        leave_pool(s, c, CHILD_ANSWERED);
    }
    int r = prepare_child(s, &c, err);
    if (r < 0)
        return r;
    r = send_plan(c, plan, len, fds, err);
    if (r == 0)
        *ret = c;
    return r;
}

static void start(struct spawner_state *s, uint64_t id, const char *plan, size_t len,
                  const int fds[3])
{
    static struct wire_plan decoded; /* 10 KB; one request at a time */
    struct err e = {0};
    struct child *c = NULL;
    int64_t now = os_mono_ns();
    int r = wire_decode_plan(plan, len, &decoded, &e);
    if (r == 0)
        r = place(s, plan, len, fds, &c, &e);
    if (r < 0) {
        err_wrap(&e, "sandbox");
        answer_failed(s, id, &e);
        return;
    }
    leave_pool(s, c, CHILD_RUNNING);
    c->id = id;
    c->started_ns = now;
    c->limits = decoded.plan.limits;
    int64_t wall_ms = decoded.plan.limits.wall_ms;
    c->deadline_ns = wall_ms ? now + wall_ms * 1000000 : 0;
}

static void end_by_limit(const struct spawner_state *s, struct child *c, enum limit_kind limit)
{
    if (!c->kill_asked) {
        c->kill_asked = true;
        c->kill_limit = limit;
    }
    kill_child(s, c);
}

static void ask_kill(struct spawner_state *s, uint64_t id, enum limit_kind limit)
{
    for (size_t i = 0; i < SPAWNER_CHILDREN_MAX; i++) {
        struct child *c = &s->children[i];
        if (c->state != CHILD_RUNNING || c->id != id)
            continue;
        end_by_limit(s, c, limit);
        return;
    }
}

/* What the control groups say about a bad end. */
static enum limit_kind group_cause(const struct child *c, const struct group_usage *now)
{
    if (now->oom_kills > c->before.oom_kills)
        return LIMIT_MEMORY;
    return now->pids_refused > c->before.pids_refused ? LIMIT_PIDS : LIMIT_NONE;
}

/* How it ended, from what the init said, what the groups say, what we did to it, and how the init
 * itself ended. */
static void judge(const struct child *c, const struct slot *slot, const struct group_usage *usage,
                  int init_status, struct wire_done *d)
{
    enum limit_kind cause = group_cause(c, usage);
    /* Without a pid namespace our kill reaches the activity first, and its init may still tell of
     * it. */
    bool by_us = c->kill_asked && slot->limit == LIMIT_NONE && WIFSIGNALED(slot->wait_status) &&
                 WTERMSIG(slot->wait_status) == SIGKILL;
    if (slot->state == SLOT_ENDED && !by_us) {
        bool well = WIFEXITED(slot->wait_status) && WEXITSTATUS(slot->wait_status) == 0;
        d->end = WIFSIGNALED(slot->wait_status) ? SANDBOX_SIGNALLED : SANDBOX_EXITED;
        d->status = WIFSIGNALED(slot->wait_status) ? WTERMSIG(slot->wait_status)
                                                   : WEXITSTATUS(slot->wait_status);
        d->limit = slot->limit ? (uint32_t)slot->limit : well ? LIMIT_NONE : cause;
        if (d->limit == LIMIT_CPU && cause == LIMIT_PIDS)
            d->limit = LIMIT_PIDS; /* it was busy with forks that failed */
    } else if (slot->state == SLOT_FAILED) {
        d->end = SANDBOX_SETUP_FAILED;
        d->err = slot->err;
    } else if (c->kill_asked) {
        d->end = SANDBOX_KILLED;
        d->limit = c->kill_limit;
        if (c->kill_limit == LIMIT_TIME && (cause != LIMIT_NONE || slot->pids_full))
            d->limit =
                cause ? cause : LIMIT_PIDS; /* it ran out of time because it could not fork */
    } else if (slot->state == SLOT_RUNNING) {
        d->end = SANDBOX_SIGNALLED;
        d->status = WIFSIGNALED(init_status) ? WTERMSIG(init_status) : SIGKILL;
        d->limit = cause;
    } else {
        d->end = SANDBOX_SETUP_FAILED;
        err_set(&d->err, ERR_FAILED, "sandbox: killed by signal %d while it was set up%s",
                WIFSIGNALED(init_status) ? WTERMSIG(init_status) : 0,
                cause == LIMIT_MEMORY ? ", for want of memory" : "");
    }
    if (d->limit)
        d->end = SANDBOX_LIMIT;
}

/* Tells ff the end of a running one. cpu_ns: of the init and what it reaped, if it was reaped
 * already. */
static void conclude(struct spawner_state *s, struct child *c, int init_status, int64_t cpu_ns)
{
    const struct slot *slot = slot_of(s, c);
    struct wire_done d = {.head = {.type = WIRE_DONE, .id = c->id}};
    struct group_usage usage = {0};
    if (s->host.groups_version)
        groups_read(&s->host, (size_t)(c - s->children), &usage);
    judge(c, slot, &usage, init_status, &d);
    d.wall_ns = os_mono_ns() - c->started_ns;
    d.cpu_ns = slot->cpu_ns ? slot->cpu_ns : cpu_ns;
    /* The peak of a v2 leaf is that of all its runs: it is this one's only when it rose. */
    bool risen = s->host.groups_version == 1 || usage.memory_peak > c->before.memory_peak;
    d.memory_peak_bytes = usage.memory_peak && risen ? usage.memory_peak : slot->memory_peak_bytes;
    answer(s, &d, sizeof d);
    c->before = usage; /* nothing of this run is alive to add to it */
    c->state = CHILD_ANSWERED;
}

static void conclude_ended(struct spawner_state *s)
{
    uint64_t n;
    (void)!read(s->host.ended_fd, &n, sizeof n);
    for (size_t i = 0; i < SPAWNER_CHILDREN_MAX; i++) {
        struct child *c = &s->children[i];
        if (c->state != CHILD_RUNNING)
            continue;
        int state = __atomic_load_n(&slot_of(s, c)->state, __ATOMIC_ACQUIRE);
        if (state != SLOT_ENDED && state != SLOT_FAILED)
            continue;
        if (!s->host.protection.pid_ns) /* the init waits for this: it holds its orphans together */
            kill_child(s, c);
        conclude(s, c, 0, 0);
    }
}

static void reap_child(struct spawner_state *s, struct child *c, int status,
                       const struct rusage *usage)
{
    if (c->state == CHILD_PREPARED) { /* died before it had a plan: nobody waits for it */
        s->pool_retry_ns = os_mono_ns() + POOL_RETRY_NS;
        leave_pool(s, c, CHILD_ANSWERED);
    }
    if (c->state == CHILD_RUNNING)
        conclude(s, c, status,
                 (int64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000000 +
                     (int64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000);
    c->state = CHILD_FREE;
    s->alive--;
}

static void reap(struct spawner_state *s)
{
    for (;;) {
        int status;
        struct rusage usage;
        pid_t pid = wait4(-1, &status, WNOHANG, &usage);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid <= 0)
            return;
        for (size_t i = 0; i < SPAWNER_CHILDREN_MAX; i++)
            if (s->children[i].state != CHILD_FREE && s->children[i].pid == pid) {
                reap_child(s, &s->children[i], status, &usage);
                break;
            }
    }
}

static void kill_all(struct spawner_state *s)
{
    for (size_t i = 0; i < SPAWNER_CHILDREN_MAX; i++)
        if (s->children[i].state != CHILD_FREE) {
            s->children[i].kill_asked = true;
            kill_child(s, &s->children[i]);
        }
}

/* With cgroup v1 the kernel kills one process that is over the limit and lets the others go on. v2
 * kills all. */
static void check_memory(struct spawner_state *s)
{
    s->memory_due_ns = os_mono_ns() + MEMORY_LOOK_NS;
    for (size_t i = 0; i < SPAWNER_CHILDREN_MAX; i++) {
        struct child *c = &s->children[i];
        struct group_usage now;
        if (c->state != CHILD_RUNNING || c->kill_asked)
            continue;
        groups_read(&s->host, i, &now);
        if (now.oom_kills > c->before.oom_kills)
            end_by_limit(s, c, LIMIT_MEMORY);
    }
}

/* An init without a /proc of its own namespace cannot look at its activity (watch.c): this process does. */
static bool looks_at_trees(const struct spawner_state *s)
{
    return !(s->host.protection.pid_ns && s->host.root_built) && s->alive > s->prepared;
}

static enum limit_kind over_limit(const struct spawner_state *s, const struct sandbox_limits *l, const struct tree_totals *t)
{
    if (!s->host.protection.cgroup_pids && l->pids && t->count > l->pids)
        return LIMIT_PIDS;
    if (!s->host.protection.cgroup_memory && l->memory_bytes && t->memory_bytes > l->memory_bytes)
        return LIMIT_MEMORY;
    return l->cpu_ms && t->cpu_ns > (int64_t)l->cpu_ms * 1000000 ? LIMIT_CPU : LIMIT_NONE;
}

static void check_trees(struct spawner_state *s)
{
    static struct tree_process list[TREE_MAX];
    size_t n = tree_read(s->host.proc_fd, list, TREE_MAX);
    for (size_t i = 0; i < SPAWNER_CHILDREN_MAX; i++) {
        struct child *c = &s->children[i];
        struct tree_totals t;
        if (c->state != CHILD_RUNNING || c->kill_asked)
            continue;
        tree_total(list, n, c->pid, &t);
        enum limit_kind k = over_limit(s, &c->limits, &t);
        if (k != LIMIT_NONE)
            end_by_limit(s, c, k);
    }
    s->tree_due_ns = os_mono_ns() + TREE_LOOK_NS;
}

/* Kills what is over its wall time. Returns milliseconds until the next is due, -1: none. */
static int check_deadlines(struct spawner_state *s)
{
    int64_t next = 0, now = os_mono_ns();
    if (looks_at_trees(s)) {
        if (now >= s->tree_due_ns)
            check_trees(s);
        next = s->tree_due_ns;
    }
    if (s->host.groups_version == 1 && s->host.protection.cgroup_memory && s->alive > s->prepared) {
        if (now >= s->memory_due_ns)
            check_memory(s);
        if (!next || s->memory_due_ns < next)
            next = s->memory_due_ns;
    }
    for (size_t i = 0; i < SPAWNER_CHILDREN_MAX; i++) {
        struct child *c = &s->children[i];
        if (c->state != CHILD_RUNNING || !c->deadline_ns || c->kill_asked)
            continue;
        if (now >= c->deadline_ns) {
            end_by_limit(s, c, LIMIT_TIME);
        } else if (!next || c->deadline_ns < next) {
            next = c->deadline_ns;
        }
    }
    if (!next)
        return -1;
    int64_t ms = (next - now) / 1000000 + 1;
    return ms > 60000 ? 60000 : (int)ms;
}

/* --- requests --- */

static int descriptors_of(struct msghdr *m, int fds[3])
{
    int n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < k; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (n < 3)
                fds[n++] = fd;
            else
                close(fd);
        }
    }
    return n;
}

static void handle_request(struct spawner_state *s, size_t len, int fds_count, const int fds[3])
{
    struct wire_head h;
    struct err e = {0};
    if (len < sizeof h)
        return;
    memcpy(&h, s->message, sizeof h);
    switch (h.type) {
    case WIRE_START:
        if (fds_count != 3) {
            err_set(&e, ERR_LIMIT, "sandbox: the descriptors did not arrive");
            answer_failed(s, h.id, &e);
        } else {
            start(s, h.id, s->message + sizeof h, len - sizeof h, fds);
        }
        break;
    case WIRE_KILL:
        ask_kill(s, h.id, h.limit < LIMIT_COUNT_ ? (enum limit_kind)h.limit : LIMIT_NONE);
        break;
    case WIRE_QUIT:
        s->quitting = true;
        break;
    default:
        break;
    }
}

/* Reads requests until there is none; an end of file means that ff is gone. */
static void read_requests(struct spawner_state *s)
{
    for (int i = 0; i < 64 && !s->quitting; i++) {
        union {
            char buf[CMSG_SPACE(8 * sizeof(int))];
            struct cmsghdr align;
        } control;
        int fds[3] = {-1, -1, -1};
        struct iovec iov = {.iov_base = s->message, .iov_len = sizeof s->message};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
        ssize_t n = recvmsg(s->sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS))
            return;
        if (n <= 0) {
            s->quitting = true;
            return;
        }
        int count = descriptors_of(&m, fds);
        s->worked = true;
        if (!(m.msg_flags & MSG_TRUNC))
            handle_request(s, (size_t)n, count, fds);
        for (int k = 0; k < count; k++)
            close(fds[k]);
    }
}

/* --- life --- */

static void drain_signals(struct spawner_state *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo == SIGTERM) /* ff died */
            s->quitting = true;
}

/* Of ff's memory nothing secret may be found in a child: not its environment, nor unwritten output.
 */
static void forget_ff(void)
{
    for (char **e = environ; e && *e; e++)
        memset(*e, 0, strlen(*e));
    clearenv();
    __fpurge(stdin);
    __fpurge(stdout);
    __fpurge(stderr);
}

static void set_up_process(struct spawner_state *s, int sock)
{
    static const int defaults[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGPIPE, SIGALRM, SIGUSR1,  SIGUSR2,
                                   SIGCHLD, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGCONT};
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        signal(defaults[i], SIG_DFL);
    setsid(); /* Ctrl-C is for ff alone */
    if (dup3(sock, 3, O_CLOEXEC) != 3 && sock != 3)
        _exit(1);
    s->sock = 3;
    if (syscall(SYS_close_range, 4, ~0U, 0) < 0)
        for (int fd = 4; fd < 4096; fd++)
            close(fd);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++)
        if (null < 0 || dup2(null, fd) < 0)
            _exit(1);
    close(null);
    if (chdir("/") < 0)
        _exit(1);
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGCHLD);
    sigaddset(&block, SIGTERM);
    sigprocmask(SIG_SETMASK, &block, NULL);
    s->signal_fd = signalfd(-1, &block, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->signal_fd < 0)
        _exit(1);
    forget_ff();
    prctl(PR_SET_NAME, "ff-spawner");
}

static void say_ready(struct spawner_state *s)
{
    struct wire_ready w = {.head = {.type = WIRE_READY}, .protection = s->host.protection};
    if (s->host.options.require_sandbox && !s->host.protection.complete)
        err_set(&w.err, ERR_MISSING, "a complete sandbox is required, but missing: %s",
                s->host.protection.missing);
    answer(s, &w, sizeof w);
    if (w.err.code)
        s->quitting = true;
}

/* Prepares one for the next request, if the pool is not full. */
static void fill_pool(struct spawner_state *s)
{
    struct child *c;
    if (s->prepared < POOL && prepare_child(s, &c, NULL) < 0)
        s->pool_retry_ns = os_mono_ns() + POOL_RETRY_NS;
}

/* Nothing came for a while: what the last activities needed is given back. */
static void rest(struct spawner_state *s)
{
    if (s->alive > s->prepared)
        return;
    os_memory_trim();
    s->worked = false;
}

static void serve(struct spawner_state *s)
{
    while (!s->quitting) {
        struct pollfd p[3] = {
            {.fd = s->sock, .events = (short)(POLLIN | (s->answers ? POLLOUT : 0))},
            {.fd = s->signal_fd, .events = POLLIN},
            {.fd = s->host.ended_fd, .events = POLLIN}};
        bool fill = s->prepared < POOL && os_mono_ns() >= s->pool_retry_ns;
        int timeout = check_deadlines(s);
        if (s->worked && (timeout < 0 || timeout > REST_MS))
            timeout = REST_MS;
        int n = poll(p, ARRAY_LEN(p), fill ? 0 : timeout);
        if (n < 0 && errno != EINTR)
            return;
        if (n == 0 && fill)
            fill_pool(s);
        else if (n == 0 && s->worked && timeout == REST_MS)
            rest(s);
        if (p[2].revents)
            conclude_ended(s);
        if (p[1].revents)
            drain_signals(s);
        reap(s);
        if (p[0].revents & POLLOUT)
            flush_answers(s);
        if (p[0].revents & (POLLIN | POLLHUP | POLLERR))
            read_requests(s);
    }
}

void spawner_main(const struct spawner_options *o, int sock)
{
    static struct spawner_state state;
    struct spawner_state *s = &state;
    s->answers_end = &s->answers;
    s->host.options = *o;
    set_up_process(s, sock);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        _exit(1);
    s->host.slots = mmap(NULL, SPAWNER_CHILDREN_MAX * sizeof *s->host.slots, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s->host.slots == MAP_FAILED)
        _exit(1);
    s->host.ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->host.ended_fd < 0 ||
        socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, s->host.offers) < 0)
        _exit(1);
    host_discover(&s->host);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) /* new ids clear it */
        _exit(1);
    say_ready(s);
    if (o->preload && !s->quitting)
        o->preload(o->builtin_arg);
    memory_freeze();
    os_memory_trim();
    serve(s);
    kill_all(s);
    while (s->alive > 0) {
        struct pollfd p = {.fd = s->signal_fd, .events = POLLIN};
        poll(&p, 1, 1000);
        drain_signals(s);
        reap(s);
        flush_answers(s);
    }
    groups_remove(&s->host);
    _exit(0);
}
