/* One activity, from the clone to its end.
 *
 * The cloned process is pid 1 of its namespaces. It prepares what needs no plan, waits for one,
 * takes it into effect step by step, gives up every right, forks the activity, and then only
 * watches: it reaps orphans, keeps the limits that the kernel does not keep, and tells the spawner
 * by its slot how it ended. When it ends, all in its pid namespace is killed by the kernel. */
#include "base/assert.h"
#include "base/cleanup.h"
#include "child_internal.h"
#include "gateway_internal.h"
#include "os/file.h"
#include "sandbox/sandbox_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Dies with the spawner. Asked for anew after every change of ids, which clears it. */
static int tie_to_spawner(struct job *j, struct err *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_sys(err, errno, "PR_SET_PDEATHSIG");
    struct pollfd p = {.fd = j->host->self_fd, .events = POLLIN};
    if (p.fd >= 0 && poll(&p, 1, 0) > 0) /* it died before we asked */
        _exit(1);
    return 0;
}

static int take_plan(struct job *j, struct err *err)
{
    union {
        char buf[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_base = j->message, .iov_len = sizeof j->message};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = recvmsg(j->ctl, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0) /* the spawner does not need this one any more */
        _exit(0);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(3 * sizeof(int)) ||
        (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return err_set(err, ERR_INTERNAL, "no descriptors came with the plan");
    memcpy(j->stdio, CMSG_DATA(c), sizeof j->stdio);
    return wire_decode_plan(j->message, (size_t)n, &j->decoded, err);
}

/* Where memory runs out on the host, this goes before anything of the host's. Nothing depends on it. */
static int go_first(struct job *j, struct err *err)
{
    (void)err;
    _cleanup_close_ int fd = openat(j->host->proc_fd, "self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)!write(fd, "1000", 4);
    return 0;
}

static int join_groups(struct job *j, struct err *err)
{
    return j->host->groups_version == 1 ? groups_join(j->host, j->index, err)
                                        : 0; /* v2: cloned into it */
}

static int limit_groups(struct job *j, struct err *err)
{
    return groups_limit(j->host, j->index, &j->plan->limits, err);
}

/* Here and not in clone(2), where a new one would hold up the spawner. */
static int enter_network(struct job *j, struct err *err)
{
    return network_enter(j->host, j->index, err);
}

static int prepare_root(struct job *j, struct err *err)
{
    return j->host->root_built ? root_prepare(j->host, &j->own_ns, err) : 0;
}

static int enter_root(struct job *j, struct err *err)
{
    if (j->host->root_built)
        return root_enter(j->host, j->own_ns, j->plan, err);
    int r = plain_adapt(j, err);
    return r < 0 ? r : root_hand_over(j->host, j->plan, err);
}

/* lo exists in every network namespace, down at first. The one with a way out is made elsewhere, and
 * the one of this process is left for it. */
static int set_network(struct job *j, struct err *err)
{
    if (j->plan->network == SANDBOX_NET_NONE)
        return j->plan->own_code ? 0 : network_renew(j->host, err);
    if (!j->host->protection.net_ns)
        return err_set(err, ERR_MISSING, "no network namespaces here");
    if (j->plan->network == SANDBOX_NET_FULL)
        return gateway_join(j->host, j->plan, &j->link, err);
    int r = network_renew(j->host, err);
    return r < 0 ? r : net_loopback_up(err);
}

static int place_stdio(struct job *j, struct err *err)
{
    for (int i = 0; i < 3; i++) {
        ASSERT(j->stdio[i] > 2); /* the spawner keeps 0 to 2 occupied */
        if (dup2(j->stdio[i], i) < 0)
            return err_sys(err, errno, "dup2");
    }
    return 0;
}

static int set_limit(int what, rlim_t value, struct err *err)
{
    struct rlimit now, l = {.rlim_cur = value, .rlim_max = value};
    if (getrlimit(what, &now) == 0 && now.rlim_max != RLIM_INFINITY && now.rlim_max < value)
        l.rlim_cur = l.rlim_max = now.rlim_max; /* the host's own bound is lower */
    return setrlimit(what, &l) < 0 ? err_sys(err, errno, "setrlimit %d", what) : 0;
}

/* Threads that the activity's user has already: the bound counts them, where there is no user namespace. */
static rlim_t threads_of_user(const struct host *h)
{
    rlim_t n = 64; /* and what starts meanwhile */
    struct dirent *e;
    struct stat st;
    int fd = openat(h->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    while (d && (e = readdir(d))) {
        char task[32];
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && snprintf(task, sizeof task, "%.20s/task", e->d_name) > 0 &&
            fstatat(fd, task, &st, 0) == 0 && st.st_uid == h->uid)
            n += st.st_nlink - 2; /* a folder for each */
    }
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    return n;
}

static int set_limits(struct job *j, struct err *err)
{
    const struct sandbox_limits *l = &j->plan->limits;
    /* And the init. A control group counts what it refuses, so it is let to refuse first. */
    rlim_t nproc = j->host->protection.cgroup_pids ? l->pids * (rlim_t)2 + 64 : l->pids + (rlim_t)1;
    if (!j->host->protection.user_ns)
        nproc = l->pids + threads_of_user(j->host); /* the watch counts the activity's own */
    const struct {
        int what;
        rlim_t value;
    } limits[] = {
        {RLIMIT_CORE, 0},
        {RLIMIT_NOFILE, l->files},
        {RLIMIT_FSIZE, l->disk_bytes},
        {RLIMIT_NPROC, nproc},
        {RLIMIT_MEMLOCK, 8 << 20},
        {RLIMIT_MSGQUEUE, 819200},
        {RLIMIT_SIGPENDING, 1024},
        {RLIMIT_CPU, l->cpu_ms ? l->cpu_ms / 1000 + 2
                               : RLIM_INFINITY}, /* the watch is exact, this is behind it */
    };
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        int r = set_limit(limits[i].what, limits[i].value, err);
        if (r < 0)
            return r;
    }
    umask(022);
    return 0;
}

/* Another user on the host, then a user namespace in which the activity has no rights over anything
 * that was made above: mounts and network belong to the namespace outside. */
static int drop_ids(struct job *j, struct err *err)
{
    const struct host *h = j->host;
    if (h->privileged) {
        if (setgroups_none() < 0)
            return err_sys(err, errno, "setgroups");
        if (setresgid(h->gid, h->gid, h->gid) < 0 || setresuid(h->uid, h->uid, h->uid) < 0)
            return err_sys(err, errno, "setresuid %u", h->uid);
    }
    /* The change of ids gave our own files in /proc to root. */
    if (prctl(PR_SET_DUMPABLE, 1) < 0)
        return err_sys(err, errno, "PR_SET_DUMPABLE");
    if (!h->protection.user_ns)
        return 0;
    if (unshare(CLONE_NEWUSER) < 0)
        return err_sys(err, errno, "new user namespace");
    return ids_map_self(h->proc_fd, INSIDE_UID, h->uid, INSIDE_GID, h->gid, err);
}

static int enter_folder(struct job *j, struct err *err)
{
    const char *cwd = j->plan->cwd;
    for (size_t i = 0; !cwd && i < j->plan->mounts_count; i++)
        if (strcmp(j->plan->mounts[i].target, "/workspace") == 0)
            cwd = j->host->root_built ? "/workspace" : j->plan->mounts[i].source;
    if (!cwd)
        cwd = "/";
    if (chdir(cwd) == 0)
        return 0;
    if (errno == EACCES && !j->host->root_built && j->host->privileged)
        return err_set(err, ERR_PERMISSION,
                       "%s: without the right to mount, activities are user %u, to whom this path must be open", cwd,
                       j->host->uid);
    return err_sys(err, errno, "working folder %s", cwd);
}

static int drop_capabilities(struct job *j, struct err *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    for (int c = 0; prctl(PR_CAPBSET_DROP, c) == 0; c++)
        ; /* until there is no such capability; refused without CAP_SETPCAP, no_new_privs holds anyway */
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &head, none) < 0)
        return err_sys(err, errno, "capset");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(err, errno, "PR_SET_NO_NEW_PRIVS");
    return 0;
}

static int add_landlock(struct job *j, struct err *err)
{
    return j->host->protection.landlock_abi ? landlock_restrict(j->host, j->plan, err) : 0;
}

static int keep_at(int fd, int place, struct err *err)
{
    return fd == place || dup3(fd, place, O_CLOEXEC) >= 0 ? 0 : err_sys(err, errno, "dup3");
}

/* All but stdin, stdout, stderr, the one by which the init tells the end, and the one that holds its
 * network. */
static int close_others(struct job *j, struct err *err)
{
    if (j->link == INIT_ENDED_FD && (j->link = dup(j->link)) < 0)
        return err_sys(err, errno, "dup");
    int r = keep_at(j->host->ended_fd, INIT_ENDED_FD, err);
    if (r == 0 && j->link >= 0)
        r = keep_at(j->link, INIT_LINK_FD, err);
    if (r < 0)
        return r;
    unsigned first = (unsigned)(j->link >= 0 ? INIT_LINK_FD : INIT_ENDED_FD) + 1;
    if (syscall(SYS_close_range, first, ~0U, 0) < 0)
        for (int fd = (int)first; fd < 4096; fd++)
            close(fd);
    return 0;
}

static int add_seccomp(struct job *j, struct err *err)
{
    return filter_last(&j->host->filters[j->plan->inspects], err);
}

static const struct step {
    const char *what;
    int (*take)(struct job *, struct err *);
} ahead[] =
    {
        {"life line", tie_to_spawner},
        {"memory", go_first},
        {"control groups", join_groups},
        {"network", enter_network},
        {"root", prepare_root},
},
  steps[] = {
      {"control groups", limit_groups},
      {"mounts", enter_root},
      {"network", set_network},
      {"standard descriptors", place_stdio},
      {"user", drop_ids},
      {"limits", set_limits},
      {"life line", tie_to_spawner},
      {"working folder", enter_folder},
      {"capabilities", drop_capabilities},
      {"Landlock", add_landlock},
      {"descriptors", close_others},
      {"seccomp", add_seccomp},
};

__attribute__((noreturn)) static void fail(struct job *j)
{
    uint64_t one = 1;
    j->slot->err = j->err;
    __atomic_store_n(&j->slot->state, SLOT_FAILED, __ATOMIC_RELEASE);
    (void)!write(j->host->ended_fd, &one, sizeof one);
    _exit(1);
}

static void take_steps(struct job *j, const struct step *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].take(j, &j->err) < 0) {
            err_wrap(&j->err, "sandbox: %s", list[i].what);
            fail(j);
        }
}

void child_main(const struct host *h, struct slot *slot, size_t index, int ctl)
{
    static struct job job; /* too large for the stack; this process has only one */
    struct job *j = &job;
    j->host = h;
    j->slot = slot;
    j->index = index;
    j->ctl = ctl;
    j->link = -1;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    take_steps(j, ahead, ARRAY_LEN(ahead));
    if (take_plan(j, &j->err) < 0)
        fail(j);
    j->plan = &j->decoded.plan;
    slot->state = SLOT_SETUP;
    take_steps(j, steps, ARRAY_LEN(steps));
    init_run(j);
}
