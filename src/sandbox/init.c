/* Pid 1 of a sandbox, and the activity that it forks. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "child_internal.h"
#include "sandbox/sandbox_internal.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const base_env[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/scratch",
    "TMPDIR=/tmp",
    "LANG=C.UTF-8",
    "USER=sandbox",
    "LOGNAME=sandbox",
};

static size_t name_len(const char *assignment)
{
    return strcspn(assignment, "=");
}

static void env_set(const char **env, size_t *n, const char *assignment)
{
    size_t len = name_len(assignment);
    for (size_t i = 0; i < *n; i++)
        if (name_len(env[i]) == len && memcmp(env[i], assignment, len) == 0) {
            env[i] = assignment;
            return;
        }
    env[(*n)++] = assignment;
}

/* The whole environment: the clean base, changed by the plan's. */
static const char **make_env(const struct sandbox_plan *p)
{
    static const char *env[ARRAY_LEN(base_env) + PLAN_ENV_MAX + 1];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(base_env); i++)
        env_set(env, &n, base_env[i]);
    for (const char *const *e = p->env; *e; e++)
        env_set(env, &n, *e);
    env[n] = NULL;
    return env;
}

/* The forked activity. fail_fd takes errno when a program cannot be started; it closes on success.
 */
__attribute__((noreturn)) static void run_activity(struct job *j, int fail_fd)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (!j->host->protection.pid_ns)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    environ = (char **)make_env(j->plan);
    if (j->plan->builtin) {
        close(fail_fd);
        prctl(PR_SET_NAME, j->plan->builtin);
        const struct spawner_options *o = &j->host->options;
        int status = o->builtin ? o->builtin(j->plan->builtin, o->builtin_arg) : 127;
        fflush(NULL);
        _exit(status);
    }
    execvpe(j->plan->argv[0], (char *const *)j->plan->argv, environ);
    int e = errno;
    (void)!write(fail_fd, &e, sizeof e);
    _exit(127);
}

static int64_t rusage_ns(const struct rusage *u)
{
    return (int64_t)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000000 +
           (int64_t)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) * 1000;
}

/* Reaps what has ended. True when the activity's first process was among it. */
static bool reap(pid_t pid, int *ret_status)
{
    for (;;) {
        int status;
        pid_t p = waitpid(-1, &status, WNOHANG);
        if (p < 0 && errno == EINTR)
            continue;
        if (p <= 0)
            return false;
        if (p == pid) {
            *ret_status = status;
            return true;
        }
    }
}

/* Until the first process has ended, or a limit is broken. SIGCHLD is blocked. */
static enum limit_kind watch_activity(struct watch *w, pid_t pid, int *ret_status)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    while (!reap(pid, ret_status)) {
        int64_t ms = watch_next_ms(w);
        struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
        if (ms < 0)
            sigwaitinfo(&child, NULL);
        else if (ms > 0)
            sigtimedwait(&child, NULL, &t);
        enum limit_kind k = watch_look(w);
        if (k != LIMIT_NONE)
            return k;
    }
    return LIMIT_NONE;
}

/* Kills what is left and waits for it: when the end is told, nothing runs any more. Without a pid
 * namespace "everything" would be more than ours: there the spawner does it, as long as this
 * process holds the tree together. */
static void kill_rest(const struct host *h)
{
    if (!h->protection.pid_ns)
        return;
    pid_t left = waitpid(-1, NULL, WNOHANG);
    if (left < 0 &&
        errno == ECHILD) /* the usual end: kill(2) would look at every process of the host */
        return;
    kill(-1, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
}

/* A failure for want of something is named after it. */
static enum limit_kind cause_of(struct watch *w, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return LIMIT_NONE;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        return LIMIT_CPU;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ)
        return LIMIT_DISK;
    return watch_disk_is_full(w) ? LIMIT_DISK : w->slot->pids_full ? LIMIT_PIDS : LIMIT_NONE;
}

/* Tells the spawner, by the slot and the event, that the slot is complete. */
__attribute__((noreturn)) static void tell_end(struct job *j, enum slot_state state)
{
    uint64_t one = 1;
    __atomic_store_n(&j->slot->state, state, __ATOMIC_RELEASE);
    (void)!write(INIT_ENDED_FD, &one, sizeof one);
    while (!j->host->protection.pid_ns)
        pause();
    _exit(0);
}

__attribute__((noreturn)) static void start_failed(struct job *j, int errnum)
{
    err_sys(&j->slot->err, errnum, "sandbox: start %s", j->plan->argv[0]);
    if (errnum == ENOENT)
        err_hint(
            &j->slot->err,
            "the program, or the interpreter that its first line names, is not in the sandbox");
    tell_end(j, SLOT_FAILED);
}

static pid_t fork_activity(struct job *j, int *ret_fail_fd)
{
    int fail[2];
    /* The activity gets a copy of our memory, in which the table that all inits share must not be.
     */
    if (madvise(j->host->slots, SPAWNER_CHILDREN_MAX * sizeof *j->host->slots, MADV_DONTFORK) < 0 ||
        pipe2(fail, O_CLOEXEC) < 0) {
        err_sys(&j->slot->err, errno, "sandbox: prepare the fork");
        tell_end(j, SLOT_FAILED);
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(fail[0]);
        close(INIT_ENDED_FD);
        if (j->link >= 0)
            close(INIT_LINK_FD);
        run_activity(j, fail[1]);
    }
    if (pid < 0) {
        err_sys(&j->slot->err, errno, "sandbox: fork");
        tell_end(j, SLOT_FAILED);
    }
    close(fail[1]);
    *ret_fail_fd = fail[0];
    return pid;
}

void init_run(struct job *j)
{
    static struct watch w;
    sigset_t child;
    int fail_fd, e = 0, status = 0;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    if (!j->host->protection.pid_ns)
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    watch_init(&w, j->host, j->slot, j->plan);
    pid_t pid = fork_activity(j, &fail_fd);
    for (int fd = 0; fd < 3; fd++)
        close(fd);             /* so that the readers of the pipes see the activity's own end */
    prctl(PR_SET_DUMPABLE, 0); /* nobody inside may look into this one */
    __atomic_store_n(&j->slot->state, SLOT_RUNNING, __ATOMIC_RELEASE);
    if (read(fail_fd, &e, sizeof e) == (ssize_t)sizeof e)
        start_failed(j, e);
    close(fail_fd);
    enum limit_kind k = watch_activity(&w, pid, &status);
    if (k == LIMIT_NONE && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        watch_count(&w, 1);
    kill_rest(j->host);
    struct rusage u;
    if (getrusage(RUSAGE_CHILDREN, &u) == 0) {
        j->slot->cpu_ns = rusage_ns(&u);
        j->slot->memory_peak_bytes = (uint64_t)u.ru_maxrss * 1024;
    }
    if (w.memory_peak > j->slot->memory_peak_bytes)
        j->slot->memory_peak_bytes = w.memory_peak;
    j->slot->limit = (int)(k != LIMIT_NONE ? k : cause_of(&w, status));
    j->slot->wait_status = status;
    tell_end(j, SLOT_ENDED);
}
