/* Pid 1 of a sandbox, and the activity that it forks. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "child_internal.h"
#include "sandbox/sandbox_internal.h"

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

/* The forked activity. fail_fd takes errno when a program cannot be started; it closes on success. */
__attribute__((noreturn)) static void run_activity(struct job *j, int fail_fd)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
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

/* Waits until the activity's first process has ended; orphans are reaped on the way. */
static int wait_activity(pid_t pid, int *ret_status)
{
    for (;;) {
        int status;
        pid_t p = waitpid(-1, &status, 0);
        if (p < 0 && errno != EINTR)
            return -1;
        if (p == pid && (WIFEXITED(status) || WIFSIGNALED(status))) {
            *ret_status = status;
            return 0;
        }
    }
}

static void start_failed(struct job *j, int errnum)
{
    err_sys(&j->slot->err, errnum, "sandbox: start %s", j->plan->argv[0]);
    if (errnum == ENOENT)
        err_hint(&j->slot->err, "the program, or the interpreter that its first line names, is not in the sandbox");
    j->slot->state = SLOT_SETUP;
    _exit(1);
}

void init_run(struct job *j)
{
    int fail[2];
    /* Of init's memory the activity gets a copy, which must not let it write to the spawner's. */
    if (madvise(j->host->slots, SPAWNER_CHILDREN_MAX * sizeof *j->host->slots, MADV_DONTFORK) < 0) {
        err_sys(&j->slot->err, errno, "madvise");
        _exit(1);
    }
    if (pipe2(fail, O_CLOEXEC) < 0) {
        err_sys(&j->slot->err, errno, "pipe");
        _exit(1);
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(fail[0]);
        run_activity(j, fail[1]);
    }
    int e = errno;
    close(0);
    close(1);
    close(2);
    close(fail[1]);
    prctl(PR_SET_DUMPABLE, 0); /* nobody inside may look into this one */
    if (pid < 0) {
        err_sys(&j->slot->err, e, "sandbox: fork");
        _exit(1);
    }
    __atomic_store_n(&j->slot->state, SLOT_RUNNING, __ATOMIC_RELEASE);
    if (!j->plan->builtin && read(fail[0], &e, sizeof e) == (ssize_t)sizeof e)
        start_failed(j, e);
    close(fail[0]);
    int status = 0;
    if (wait_activity(pid, &status) < 0)
        _exit(1);
    struct rusage u;
    if (getrusage(RUSAGE_CHILDREN, &u) == 0) {
        j->slot->cpu_ns = rusage_ns(&u);
        j->slot->memory_peak_bytes = (uint64_t)u.ru_maxrss * 1024;
    }
    j->slot->wait_status = status;
    __atomic_store_n(&j->slot->state, SLOT_ENDED, __ATOMIC_RELEASE);
    _exit(0);
}
