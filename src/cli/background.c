#include "cli/background.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READY_FD "3"
#define LOG_READ_MAX 4096
#define WORDS_MAX 136 /* 64 verticals, and some */
#define ARGV_MAX 256

extern char **environ;

/* The same settings as ours, then what it is to do. */
static int build_argv(struct app *app, const char *const *words, const char **argv, size_t max, struct err *err)
{
    size_t n = 0;
    argv[n++] = "/proc/self/exe";
    argv[n++] = "--state";
    argv[n++] = app->state_dir;
    static const char *const passed[] = {"--config", "--engine", "--namespace", "--store"};
    const char *d;
    for (size_t i = 0; i < ARRAY_LEN(passed); i++) {
        const char *v = args_global(app->args, passed[i] + 2);
        if (v) {
            argv[n++] = passed[i];
            argv[n++] = v;
        }
    }
    if (args_has(app->args, "require-sandbox"))
        argv[n++] = "--require-sandbox";
    for (size_t i = 0; (d = args_nth(app->args, "toolbox", i)); i++) {
        if (n + WORDS_MAX + 4 > max)
            return err_set(err, ERR_LIMIT, "too many --toolbox");
        argv[n++] = "--toolbox";
        argv[n++] = d;
    }
    for (size_t i = 0; words[i] && i < WORDS_MAX; i++)
        argv[n++] = words[i];
    argv[n++] = "--ready-fd";
    argv[n++] = READY_FD;
    argv[n] = NULL;
    return 0;
}

/* The error that it ended with: the last of its messages behind that place of the log. */
static int did_not_start(const char *name, const char *log, off_t begin, struct err *err)
{
    char text[LOG_READ_MAX + 1] = "", *why = NULL;
    size_t n = 0;
    _cleanup_close_ int fd = -1;
    if (log && os_open(log, O_RDONLY, 0, &fd, NULL) == 0)
        os_pread_full(fd, text, LOG_READ_MAX, (uint64_t)begin, &n, NULL);
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, "ff: ", 4) == 0)
            why = line + 4;
    }
    err_set(err, ERR_UNAVAILABLE, "the %s did not start%s%.*s", name, why ? ": " : "", why ? (int)strcspn(why, "\n") : 0,
            why ? why : "");
    return err_hint(err, "%s has all that it said", log ? log : "its log");
}

static off_t size_of(const char *path)
{
    struct stat st;
    return path && stat(path, &st) == 0 ? st.st_size : 0;
}

int background_start(struct app *app, const char *name, const char *const *words, pid_t *ret_pid, struct err *err)
{
    int p[2];
    const char *argv[ARGV_MAX];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_sys(err, errno, "make a pipe");
    int r = build_argv(app, words, argv, ARRAY_LEN(argv), err);
    _cleanup_free_ char *log = mem_printf("%s/%s.log", app->state_dir, name);
    if (r == 0)
        r = os_mkdirs(app->state_dir, 0700, err);
    off_t begin = size_of(log);
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 2, log ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&fa, p[1], atoi(READY_FD));
    pid_t pid = 0;
    int e = r == 0 ? posix_spawn(&pid, "/proc/self/exe", &fa, &attr, (char *const *)argv, environ) : 0;
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&attr);
    close(p[1]);
    if (e)
        r = err_sys(err, e, "start a process");
    char c;
    ssize_t got = 0;
    while (r == 0 && (got = read(p[0], &c, 1)) < 0 && errno == EINTR)
        ;
    if (r == 0 && got != 1)
        r = did_not_start(name, log, begin, err);
    close(p[0]);
    if (r == 0 && ret_pid)
        *ret_pid = pid;
    return r;
}

void background_ready(const char *ready_fd)
{
    if (!ready_fd)
        return;
    int fd = atoi(ready_fd);
    (void)!write(fd, "1", 1);
    close(fd);
}
