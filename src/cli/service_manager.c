#include "cli/service_manager.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */
#define ANSWER_MS 5000

int manager_listen_fd(int *ret, struct err *err)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    long n = pid && count && strtol(pid, NULL, 10) == getpid() ? strtol(count, NULL, 10) : 0;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    *ret = n == 1 && fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC) == 0 ? FIRST_FD : -1;
    if (n <= 1)
        return 0;
    return err_set(err, ERR_USAGE, "%ld sockets were handed over, and REST takes one: nobody would answer at the others", n);
}

void manager_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    if (!n || n >= sizeof a.sun_path)
        return;
    memcpy(a.sun_path, path, n);
    if (a.sun_path[0] == '@') /* the abstract kind */
        a.sun_path[0] = 0;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&a,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

/* --- watchdog ---------------------------------------------------------------------------------------------- */

struct watchdog {
    struct engine *engine;
    int64_t every_ns;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool stopping;
    pthread_t thread;
};

/* False: it is over. */
static bool wait_a_turn(struct watchdog *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + w->every_ns;
    until.tv_sec += ns / NS_PER_S;
    until.tv_nsec = ns % NS_PER_S;
    pthread_mutex_lock(&w->lock);
    while (!w->stopping && pthread_cond_timedwait(&w->cond, &w->lock, &until) == 0)
        ;
    bool on = !w->stopping;
    pthread_mutex_unlock(&w->lock);
    return on;
}

static void *run_watchdog(void *arg)
{
    struct watchdog *w = arg;
    do {
        Pb__GetSystemInfoRequest q = PB__GET_SYSTEM_INFO_REQUEST__INIT;
        if (engine_call_sync(w->engine, ENGINE_GET_SYSTEM_INFO, &q.base, ANSWER_MS, NULL, NULL) == 0)
            manager_notify("WATCHDOG=1");
    } while (wait_a_turn(w));
    return NULL;
}

int watchdog_start(struct app *app, struct watchdog **ret, struct err *err)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    int64_t us = usec ? strtoll(usec, NULL, 10) : 0;
    pthread_condattr_t a;
    *ret = NULL;
    if (us <= 0 || (pid && strtol(pid, NULL, 10) != getpid()))
        return 0;
    struct watchdog *w = mem_zalloc(sizeof *w);
    if (!w)
        return err_nomem(err);
    w->engine = app->engine;
    w->every_ns = us * NS_PER_US / 2;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&w->cond, &a);
    pthread_condattr_destroy(&a);
    int e = pthread_create(&w->thread, NULL, run_watchdog, w);
    if (e) {
        free(w);
        return err_sys(err, e, "start a thread");
    }
    *ret = w;
    return 0;
}

void watchdog_stop(struct watchdog *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->cond);
    free(w);
}

/* --- logs --------------------------------------------------------------------------------------------------- */

static void write_json(enum log_level level, const char *line, void *arg)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    char at[32];
    (void)arg;
    _cleanup_json_ json_t *j = json_pack("{s:s, s:s, s:o}", "time", os_format_time(os_now_ns(), at), "level", names[level],
                                         "message", json_clean_string(line));
    _cleanup_free_ char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    if (text)
        fprintf(stderr, "%s\n", text);
}

void log_as_json(void)
{
    log_set_sink(write_json, NULL);
}
