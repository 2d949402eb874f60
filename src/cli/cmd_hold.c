/* ff hold: holds the engine until all unfinished runs of the state are done. What `ff run -d` leaves behind. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/cmd_run.h"
#include "cli/follow.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int count_running(struct app *app, int64_t *ret, struct err *err)
{
    Pb__CountWorkflowExecutionsRequest req = PB__COUNT_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    ProtobufCMessage *m;
    req.namespace_ = (char *)"default";
    req.query = (char *)"ExecutionStatus = 'Running'";
    int r = engine_call_sync(app->engine, ENGINE_COUNT, &req.base, 0, &m, err);
    if (r == 0) {
        *ret = ((Pb__CountWorkflowExecutionsResponse *)m)->count;
        engine_free_message(m);
    }
    return r;
}

static int hold(struct app *app, const struct args *a)
{
    struct err err = {0};
    follow_prepare(app, false);
    if (app_open(app, APP_WORKER, &err) < 0)
        return app_fail(app, &err);
    const char *ready = args_get(a, "ready-fd");
    if (ready) { /* tell who started us */
        int fd = atoi(ready);
        (void)!write(fd, "1", 1);
        close(fd);
    }
    int64_t running = 1;
    while (running > 0 && !follow_interrupted()) {
        if (count_running(app, &running, &err) < 0)
            return app_fail(app, &err);
        if (running > 0)
            os_sleep_ms(200);
    }
    return EXIT_OK;
}

/* The arguments of the holder: the same settings as ours. */
static int build_argv(struct app *app, const char *ready, const char **argv, size_t max, struct err *err)
{
    size_t n = 0;
    argv[n++] = "/proc/self/exe";
    argv[n++] = "--state";
    argv[n++] = app->state_dir;
    static const char *const passed[] = {"--config", "--engine", "--store", "--server"};
    const char *d;
    for (size_t i = 0; i < ARRAY_LEN(passed); i++) {
        const char *v = args_get(app->args, passed[i] + 2);
        if (v) {
            argv[n++] = passed[i];
            argv[n++] = v;
        }
    }
    if (args_has(app->args, "require-sandbox"))
        argv[n++] = "--require-sandbox";
    for (size_t i = 0; (d = args_nth(app->args, "toolbox", i)); i++) {
        if (n + 8 > max)
            return err_set(err, ERR_LIMIT, "too many --toolbox");
        argv[n++] = "--toolbox";
        argv[n++] = d;
    }
    argv[n++] = "hold";
    argv[n++] = "--ready-fd";
    argv[n++] = ready;
    argv[n] = NULL;
    return 0;
}

int hold_in_background(struct app *app, struct err *err)
{
    int p[2];
    const char *argv[64];
    char ready[16];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_sys(err, errno, "make a pipe");
    snprintf(ready, sizeof ready, "%d", 3);
    int r = build_argv(app, ready, argv, ARRAY_LEN(argv), err);
    _cleanup_free_ char *log = os_path_join(app->state_dir, "holder.log");
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 2, log ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&fa, p[1], 3);
    pid_t pid;
    int e = r == 0 ? posix_spawn(&pid, "/proc/self/exe", &fa, &attr, (char *const *)argv, environ) : 0;
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&attr);
    close(p[1]);
    if (e)
        r = err_sys(err, e, "start a holder");
    char c;
    ssize_t got = 0;
    while (r == 0 && (got = read(p[0], &c, 1)) < 0 && errno == EINTR)
        ;
    if (r == 0 && got != 1) {
        r = err_set(err, ERR_UNAVAILABLE, "the holder did not start");
        err_hint(err, "%s/holder.log says why", app->state_dir);
    }
    close(p[0]);
    return r;
}

static const struct opt options[] = {
    {"ready-fd", 0, "FD", "written to when the engine is held"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_hold = {
    .name = "hold",
    .summary = "Hold the engine until all unfinished runs are done",
    .usage = "",
    .opts = options,
    .hidden = true,
    .run = hold,
};
