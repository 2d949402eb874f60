#include "fuzz/child.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "fuzz/inner_wall.h"
#include "os/clock.h"
#include "os/file.h"
#include "sandbox/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_AT_ONCE ((size_t)4 << 20)
#define LINE_MAX_BYTES ((size_t)16 << 10)
#define TICK_MS 20
#define CALL_NICE 5
#ifndef MFD_EXEC
#define MFD_EXEC 0x10U /* Linux 6.3 */
#endif

void fuzz_word(struct fuzz_words *w, const char *fmt, ...)
{
    struct strbuf b = STRBUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    strbuf_vprintf(&b, fmt, ap);
    va_end(ap);
    char *s = strbuf_take(&b, NULL);
    if (!s && !b.failed)
        s = mem_strdup("");
    if (!s || w->len >= FUZZ_ARGS_MAX) {
        w->failed = true;
        free(s);
        return;
    }
    w->v[w->len++] = s;
    w->v[w->len] = NULL;
}

void fuzz_words_release(struct fuzz_words *w)
{
    for (size_t i = 0; i < w->len; i++)
        free(w->v[i]);
    memset(w, 0, sizeof *w);
}

void fuzz_command_release(struct fuzz_command *c)
{
    fuzz_words_release(&c->argv);
    fuzz_words_release(&c->env);
    fuzz_words_release(&c->growing);
    fuzz_words_release(&c->inner);
}

void fuzz_child_init(struct fuzz_child *c)
{
    memset(c, 0, sizeof *c);
    c->out_fd = c->exit_fd = -1;
    strbuf_init(&c->tail, 2 * FUZZ_TAIL_BYTES + LINE_MAX_BYTES);
    strbuf_init(&c->line, LINE_MAX_BYTES + 1);
}

void fuzz_child_kill(struct fuzz_child *c, int sig)
{
    if (c->pid > 0)
        kill(-c->pid, sig);
}

void fuzz_child_release(struct fuzz_child *c)
{
    if (c->pid > 0) {
        fuzz_child_kill(c, SIGKILL);
        waitpid(c->pid, NULL, 0);
    }
    if (c->out_fd >= 0)
        close(c->out_fd);
    if (c->exit_fd >= 0)
        close(c->exit_fd);
    strbuf_release(&c->tail);
    strbuf_release(&c->line);
    fuzz_child_init(c);
}

/* --- start ------------------------------------------------------------------------------------------------ */

/* A wall for the target that it starts, and the code that puts it up there. */
static int prepare_inner(const struct fuzz_command *cmd, struct err *err)
{
    const char *code = cmd->inner_by_name ? fuzz_inner_program : fuzz_inner_library;
    size_t len = cmd->inner_by_name ? fuzz_inner_program_len : fuzz_inner_library_len;
    _cleanup_close_ int wall = -1, fd = memfd_create("inner", MFD_CLOEXEC | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
        fd = memfd_create("inner", MFD_CLOEXEC);
    int r = fd < 0 ? err_sys(err, errno, "memfd_create") : os_write_full(fd, code, len, err);
    if (r == 0)
        r = sandbox_wall((const char *const *)cmd->inner.v, NULL, &wall, err);
    if (r == 0 && (dup2(fd, INNER_CODE_FD) < 0 || (wall >= 0 && dup2(wall, INNER_WALL_FD) < 0)))
        r = err_sys(err, errno, "dup2");
    return r;
}

static void execute(const struct fuzz_command *cmd, char *const *env)
{
    char *argv[FUZZ_ARGS_MAX + 1], code[] = INNER_CODE;
    memcpy(argv, cmd->argv.v, sizeof argv);
    if (cmd->inner_by_name)
        argv[0] = code;
    execvpe(cmd->argv.v[0], argv, env);
    dprintf(2, "%s: %s\n", cmd->argv.v[0], strerror(errno));
}

/* In the child, after fork: only what is needed, and _exit on any failure, whose reason goes to its output. */
static void become(const struct fuzz_command *cmd, int out, char *const *env)
{
    static const struct rlimit file = {FUZZ_FILE_MAX, FUZZ_FILE_MAX};
    struct err err = {0};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsid();
    if (null < 0 || dup2(null, 0) < 0 || dup2(cmd->quiet ? null : out, 1) < 0 || dup2(out, 2) < 0)
        _exit(126);
    if (cmd->nice)
        setpriority(PRIO_PROCESS, 0, cmd->nice);
    if (cmd->cwd && chdir(cmd->cwd) < 0) {
        dprintf(2, "cannot enter %s: %s\n", cmd->cwd, strerror(errno));
        _exit(126);
    }
    if (cmd->inner.len && prepare_inner(cmd, &err) < 0) {
        dprintf(2, "%s\n", err.msg);
        _exit(126);
    }
    if (cmd->writable[0] && sandbox_confine(cmd->writable, (const char *const *)cmd->growing.v, &err) < 0) {
        dprintf(2, "%s\n", err.msg);
        _exit(126);
    }
    if (cmd->writable[0]) /* a file without end takes the campaign's room */
        setrlimit(RLIMIT_FSIZE, &file);
    execute(cmd, env);
    _exit(127);
}

static void make_env(const struct fuzz_command *cmd, struct fuzz_words *env)
{
    static const char *const kept[] = {"PATH", "LANG", "HOME", "TMPDIR"};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        const char *v = getenv(kept[i]);
        size_t n = strlen(kept[i]);
        bool given = false;
        for (size_t k = 0; k < cmd->env.len; k++)
            given |= strncmp(cmd->env.v[k], kept[i], n) == 0 && cmd->env.v[k][n] == '=';
        if (v && !given)
            fuzz_word(env, "%s=%s", kept[i], v);
    }
    for (size_t k = 0; k < cmd->env.len; k++)
        fuzz_word(env, "%s", cmd->env.v[k]);
    if (cmd->inner_by_name)
        fuzz_word(env, INNER_PROGRAM_ENV "=%s", cmd->argv.v[0]);
    else if (cmd->inner.len)
        fuzz_word(env, "LD_PRELOAD=" INNER_CODE);
}

/* The parent's side: the read end of the pipe is the child's output. Closes both ends if pid is no process. */
static int adopt(struct fuzz_child *c, pid_t pid, int p[2], const char *what, struct err *err)
{
    int e = errno;
    close(p[1]);
    if (pid < 0) {
        close(p[0]);
        return err_sys(err, e, "start %s", what);
    }
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    fuzz_child_release(c);
    c->pid = pid;
    c->out_fd = p[0];
    c->exit_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    c->started_ns = os_mono_ns();
    return 0;
}

int fuzz_child_start(struct fuzz_child *c, const struct fuzz_command *cmd, struct err *err)
{
    if (cmd->argv.failed || cmd->env.failed || cmd->growing.failed || cmd->inner.failed || !cmd->argv.len)
        return err_set(err, ERR_LIMIT, "a command line that is too long");
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_sys(err, errno, "make a pipe");
    struct fuzz_words env = {0};
    make_env(cmd, &env);
    pid_t pid = env.failed ? -1 : fork();
    if (pid == 0)
        become(cmd, p[1], env.v);
    int e = errno;
    fuzz_words_release(&env);
    errno = e;
    return adopt(c, pid, p, cmd->argv.v[0], err);
}

int fuzz_child_call(struct fuzz_child *c, int (*f)(void *arg), void *arg, struct err *err)
{
    static const char *const nowhere[] = {NULL};
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_sys(err, errno, "make a pipe");
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        setsid();
        if (null < 0 || dup2(null, 0) < 0 || dup2(p[1], 1) < 0 || dup2(null, 2) < 0 || sandbox_confine(nowhere, NULL, err) < 0)
            _exit(126);
        setpriority(PRIO_PROCESS, 0, CALL_NICE);
        /* what the module has open: its results go there */
        syscall(SYS_close_range, 3U, ~0U, 0);
        _exit(f(arg));
    }
    return adopt(c, pid, p, "a process", err);
}

/* --- output ----------------------------------------------------------------------------------------------- */

static void remember(struct fuzz_child *c, const char *s, size_t n)
{
    if (n > FUZZ_TAIL_BYTES) {
        s += n - FUZZ_TAIL_BYTES;
        n = FUZZ_TAIL_BYTES;
    }
    if (c->tail.len + n > 2 * FUZZ_TAIL_BYTES)
        strbuf_consume(&c->tail, c->tail.len - FUZZ_TAIL_BYTES);
    strbuf_append(&c->tail, s, n);
}

static void split(struct fuzz_child *c, const char *s, size_t n, void (*line)(void *, const char *, size_t), void *arg)
{
    for (const char *end = s + n; s < end;) {
        const char *nl = memchr(s, '\n', (size_t)(end - s));
        size_t part = (size_t)((nl ? nl : end) - s);
        size_t room = LINE_MAX_BYTES - c->line.len;
        strbuf_append(&c->line, s, part < room ? part : room); /* the rest of a longer line is cut off */
        if (nl) {
            line(arg, strbuf_str(&c->line), c->line.len);
            strbuf_clear(&c->line);
        }
        s += part + (nl != NULL);
    }
}

void fuzz_child_read(struct fuzz_child *c, void (*line)(void *arg, const char *text, size_t len), void *arg)
{
    static char buf[64 << 10];
    for (size_t got = 0; c->out_fd >= 0 && got < READ_AT_ONCE;) {
        ssize_t n = read(c->out_fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close(TAKE_FD(c->out_fd));
            return;
        }
        got += (size_t)n;
        c->output_bytes += (uint64_t)n;
        remember(c, buf, (size_t)n);
        if (line)
            split(c, buf, (size_t)n, line, arg);
    }
}

/* A process that has closed its output may take long to go: a sanitizer has terabytes of address space to give back. */
nfds_t fuzz_child_poll(const struct fuzz_child *c, struct pollfd *ret)
{
    nfds_t n = 0;
    if (c->out_fd >= 0)
        ret[n++] = (struct pollfd){.fd = c->out_fd, .events = POLLIN};
    if (c->exit_fd >= 0)
        ret[n++] = (struct pollfd){.fd = c->exit_fd, .events = POLLIN};
    return n;
}

bool fuzz_child_ended(struct fuzz_child *c, void (*line)(void *arg, const char *text, size_t len), void *arg)
{
    fuzz_child_read(c, line, arg);
    pid_t r = c->pid > 0 ? waitpid(c->pid, &c->status, WNOHANG) : -1;
    if (r == 0)
        return false;
    if (r == c->pid) {
        kill(-c->pid, SIGKILL); /* what it has left in its group */
        c->pid = 0;
        c->ended_ns = os_mono_ns();
        fuzz_child_read(c, line, arg);
        if (line && c->line.len)
            line(arg, strbuf_str(&c->line), c->line.len);
        strbuf_clear(&c->line);
    }
    if (c->out_fd >= 0) /* somebody else may hold the other end */
        close(TAKE_FD(c->out_fd));
    if (c->exit_fd >= 0)
        close(TAKE_FD(c->exit_fd));
    return true;
}

int fuzz_child_run(const struct fuzz_command *cmd, int64_t stop_at_ns, struct fuzz_child *ret, bool *ret_late, struct err *err)
{
    int r = fuzz_child_start(ret, cmd, err);
    if (r < 0)
        return r;
    bool late = false;
    while (!fuzz_child_ended(ret, NULL, NULL)) {
        struct pollfd p[2];
        poll(p, fuzz_child_poll(ret, p), TICK_MS);
        if (!late && os_mono_ns() > stop_at_ns) {
            late = true;
            fuzz_child_kill(ret, SIGKILL);
        }
    }
    if (ret_late)
        *ret_late = late;
    return 0;
}

/* The sandbox lets it (sandbox_plan.inspects); what is around that may not: Yama, a container's own filter. */
bool fuzz_can_inspect(void)
{
    int status = 1;
    pid_t pid = fork();
    if (pid == 0) {
        pid_t other = fork();
        if (other == 0)
            for (;;)
                pause();
        bool can = other > 0 && ptrace(PTRACE_ATTACH, other, 0, 0) == 0 && waitpid(other, &status, __WALL) == other;
        if (other > 0)
            kill(other, SIGKILL);
        _exit(!can);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* --- what they leave -------------------------------------------------------------------------------------- */

void fuzz_children_adopt(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static pid_t parent_of(pid_t pid)
{
    char path[64], buf[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, buf, sizeof buf - 1) : -1;
    if (n <= 0)
        return -1;
    buf[n] = 0;
    int parent = -1;
    const char *p = strrchr(buf, ')'); /* the name before it may hold anything */
    return p && sscanf(p + 1, " %*c %d", &parent) == 1 ? parent : -1;
}

static bool is_known(const pid_t *known, pid_t pid)
{
    for (; known && *known; known++)
        if (*known == pid)
            return true;
    return false;
}

int fuzz_children_sweep(const pid_t *known)
{
    int swept = 0;
    for (int round = 0; round < 16; round++) { /* what dies leaves its own children to us */
        int found = 0;
        DIR *d = opendir("/proc");
        for (struct dirent *e; d && (e = readdir(d));) {
            pid_t pid = (pid_t)atoi(e->d_name);
            if (pid <= 1 || is_known(known, pid) || parent_of(pid) != getpid())
                continue;
            kill(pid, SIGKILL);
            found += waitpid(pid, NULL, 0) == pid;
        }
        if (d)
            closedir(d);
        swept += found;
        if (!found)
            break;
    }
    return swept;
}
