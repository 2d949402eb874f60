#include "cli/service_manager.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/share.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

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

int manager_hand_over(int fd, struct err *err)
{
    char pid[24];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    bool there = fd == FIRST_FD ? fcntl(fd, F_SETFD, 0) == 0 : dup2(fd, FIRST_FD) == FIRST_FD;
    if (there && fd != FIRST_FD)
        close(fd);
    if (there && setenv("LISTEN_PID", pid, 1) == 0 && setenv("LISTEN_FDS", "1", 1) == 0)
        return 0;
    return err_sys(err, errno, "hand the socket over");
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

#define LOOKS 4u /* in the manager's time: what owes an answer for half of it hangs */

struct watchdog {
    struct app *app;
    struct rest_serve *rest;
    int64_t every_ns;
    _Atomic(int64_t) asked_ns; /* the engine; 0: it has answered */
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

static void answered(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct watchdog *w = arg;
    (void)err;
    engine_free_message(resp);
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->asked_ns, 0);
    pthread_cond_broadcast(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

/* Its thread answers between two commits. One that is elsewhere is not ours to judge. */
static int64_t ask_engine(struct watchdog *w)
{
    static const Pb__GetSystemInfoRequest q = PB__GET_SYSTEM_INFO_REQUEST__INIT;
    int64_t asked = atomic_load(&w->asked_ns);
    if (!asked && w->app->share && share_holds(w->app->share)) {
        atomic_store(&w->asked_ns, os_mono_ns());
        engine_call(w->app->engine, ENGINE_GET_SYSTEM_INFO, &q.base, 0, answered, w);
    }
    return asked;
}

static bool goes_on(struct watchdog *w)
{
    const struct store *store = w->app->store; /* NULL: it is being brought back */
    int64_t since[] = {ask_engine(w), store ? store_busy_since(store) : 0, rest_serve_pulse(w->rest)}, now = os_mono_ns();
    for (size_t i = 0; i < ARRAY_LEN(since); i++)
        if (since[i] && now - since[i] > w->every_ns * LOOKS / 2)
            return false;
    return true;
}

static void *run_watchdog(void *arg)
{
    struct watchdog *w = arg;
    do {
        if (goes_on(w))
            manager_notify("WATCHDOG=1");
    } while (wait_a_turn(w));
    return NULL;
}

int watchdog_start(struct app *app, struct rest_serve *rest, struct watchdog **ret, struct err *err)
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
    w->app = app;
    w->rest = rest;
    w->every_ns = us * NS_PER_US / LOOKS;
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
    pthread_mutex_lock(&w->lock);
    while (atomic_load(&w->asked_ns))
        pthread_cond_wait(&w->cond, &w->lock);
    pthread_mutex_unlock(&w->lock);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->cond);
    free(w);
}
