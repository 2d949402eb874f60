#include "cli/follow.h"

#include "api/client/send.h"
#include "api/service/control.h"
#include "api/service/others.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/report.h"
#include "cli/term.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "os/clock.h"
#include "os/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_MS 100
#define PLAIN_EVERY_MS 5000 /* without a terminal: a line so often */
#define BLOCKED_CHECK_MS 1000
/* A process that waits for work gives memory back: soon after its start, later when it has worked and is quiet again. */
#define IDLE_LOOK_MS 2000
#define IDLE_LONG_MS 600000
#define IDLE_WORTH_BYTES ((uint64_t)1 << 20)
#define MODULES_SHOWN 16

/* What the live line shows of one module. */
struct stage {
    char module[64];
    uint64_t done, total, findings;
    bool running;
    char campaign[96]; /* what a fuzzing campaign counts; empty: it is none */
    char failure[128]; /* the last one that was told */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct stage stages[MODULES_SHOWN];
    size_t count;
    int64_t started_ms, last_plain_ms;
    bool live, quiet, json;
    char note[160];
    char no_space[300]; /* why nothing goes on; empty: it does */
} view = {.lock = PTHREAD_MUTEX_INITIALIZER};

static volatile sig_atomic_t interrupts, detach, reload_asked;
static struct {
    void (*fn)(void *arg);
    void *arg;
    bool terminal; /* there was one */
} reloading;

static volatile sig_atomic_t ended; /* by this process itself */
static int signal_pipe[2] = {-1, -1};
static int look_fd = -1; /* an eventfd: look now */

static void on_signal(int sig)
{
    int e = errno;
    if (signal_pipe[1] >= 0)
        (void)!write(signal_pipe[1], "", 1);
    errno = e;
    if (sig == SIGHUP && reloading.fn) {
        reload_asked = 1;
        return;
    }
    if (sig != SIGINT) {
        detach = 1;
        return;
    }
    if (++interrupts >= 2)
        _exit(EXIT_INTERRUPTED); /* the kernel and the spawner end what runs */
}

static struct stage *stage_of(const char *module)
{
    for (size_t i = 0; i < view.count; i++)
        if (strcmp(view.stages[i].module, module) == 0)
            return &view.stages[i];
    if (view.count == MODULES_SHOWN)
        return NULL;
    struct stage *s = &view.stages[view.count++];
    snprintf(s->module, sizeof s->module, "%s", module);
    return s;
}

static void print_live(const struct worker_event *e)
{
    if (strcmp(e->type, "finding") == 0) {
        log_msg(LOG_WARN, "%s: %s %s:%d %s", e->module, json_str(e->data, "severity", ""),
                json_str(e->data, "file", ""), (int)json_i64(e->data, "line", 0), json_str(e->data, "title", ""));
    } else if (strcmp(e->type, "log") == 0) {
        log_msg(LOG_WARN, "%s: %s", e->module, json_str(e->data, "message", ""));
    }
}

/* What fails twice may do so for ever, and is told; the first time is for whoever asks for more. */
static enum log_level failure_level(struct stage *s, const struct worker_event *e)
{
    char text[sizeof s->failure];
    snprintf(text, sizeof text, "%s", json_str(e->data, "message", ""));
    if (!s || e->attempt < 2 || strcmp(text, s->failure) == 0)
        return LOG_INFO;
    snprintf(s->failure, sizeof s->failure, "%s", text);
    return LOG_WARN;
}

static void on_event(void *arg, const struct worker_event *e)
{
    enum log_level level = LOG_INFO;
    (void)arg;
    pthread_mutex_lock(&view.lock);
    struct stage *s = *e->module ? stage_of(e->module) : NULL;
    if (s && strcmp(e->type, "started") == 0) {
        s->running = true;
    } else if (s && strcmp(e->type, "progress") == 0) {
        s->done = (uint64_t)json_i64(e->data, "done", 0);
        s->total = (uint64_t)json_i64(e->data, "total", 0);
    } else if (s && strcmp(e->type, "stats") == 0 && json_object_get(e->data, "executions")) {
        snprintf(s->campaign, sizeof s->campaign, "%.0f/s, coverage %lld, corpus %lld, crashes %lld, unique %lld",
                 json_num(e->data, "executions_per_sec", 0), (long long)json_i64(e->data, "coverage", 0),
                 (long long)json_i64(e->data, "corpus_size", 0), (long long)json_i64(e->data, "crashes", 0),
                 (long long)json_i64(e->data, "unique_crashes", 0));
    } else if (s && strcmp(e->type, "finding") == 0) {
        s->findings++;
    } else if (s && (strcmp(e->type, "completed") == 0 || strcmp(e->type, "failed") == 0 ||
                     strcmp(e->type, "cancelled") == 0 || strcmp(e->type, "abandoned") == 0)) {
        s->running = false;
    }
    if (strcmp(e->type, "no_space") == 0)
        snprintf(view.no_space, sizeof view.no_space, "%s", json_str(e->data, "message", ""));
    if (view.live)
        print_live(e);
    if (strcmp(e->type, "failed") == 0)
        level = failure_level(s, e);
    pthread_mutex_unlock(&view.lock);
    if (strcmp(e->type, "failed") == 0)
        log_msg(level, "%s, attempt %d: %s", e->module, e->attempt, json_str(e->data, "message", ""));
    else if (strcmp(e->type, "script_log") == 0 || strcmp(e->type, "log") == 0)
        log_info("%s%s%s", e->module, *e->module ? ": " : "", json_str(e->data, "message", ""));
}

void follow_prepare(struct app *app, bool live)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&view.cond, &attr);
    pthread_condattr_destroy(&attr);
    view.live = live;
    view.quiet = app->quiet;
    view.json = app->json;
    view.started_ms = os_mono_ns() / NS_PER_MS;
    app->on_event = on_event;
    if (signal_pipe[0] < 0 && pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        signal_pipe[0] = signal_pipe[1] = -1;
    if (look_fd < 0)
        look_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* nohup means it */
        sigaction(SIGHUP, &sa, NULL);
}

bool follow_interrupted(void)
{
    return interrupts > 0 || detach || ended;
}

bool follow_signalled(void)
{
    return interrupts > 0 || detach;
}

void follow_end(void)
{
    ended = 1;
    if (signal_pipe[1] >= 0)
        (void)!write(signal_pipe[1], "", 1);
}

static int64_t cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000 + t.tv_nsec / NS_PER_MS;
}

int follow_signal_fd(void)
{
    return signal_pipe[0];
}

void follow_look(void)
{
    uint64_t one = 1;
    (void)!write(look_fd, &one, sizeof one);
}

static bool has_terminal(void)
{
    return isatty(STDIN_FILENO) || isatty(STDOUT_FILENO) || isatty(STDERR_FILENO);
}

static void mask_hangup(int how)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGHUP);
    pthread_sigmask(how, &s, NULL);
}

void follow_hold_hangup(void)
{
    if (!has_terminal())
        mask_hangup(SIG_BLOCK);
}

void follow_reload_on_hangup(void (*reload)(void *arg), void *arg)
{
    reloading.arg = arg;
    reloading.terminal = has_terminal();
    reloading.fn = reload;
    mask_hangup(SIG_UNBLOCK);
}

static void reload_if_asked(void)
{
    char bytes[64];
    if (!reload_asked)
        return;
    reload_asked = 0;
    if (reloading.terminal && !has_terminal()) { /* it was closed, and that is what SIGHUP says */
        detach = 1;
        return;
    }
    while (read(signal_pipe[0], bytes, sizeof bytes) == sizeof bytes)
        ; /* what asks to end is looked for by its flag */
    reloading.fn(reloading.arg);
}

void follow_wait_for_signal(void (*look)(void *arg), void *arg)
{
    struct pollfd p[2] = {{.fd = signal_pipe[0], .events = POLLIN}, {.fd = look_fd, .events = POLLIN}};
    int wait = IDLE_LOOK_MS;
    os_memory_trim(); /* what only starting needed: half of it */
    int64_t seen = cpu_ms();
    uint64_t trimmed = os_memory_resident();
    while (!follow_interrupted()) {
        uint64_t count;
        if (poll(p, 2, wait) < 0 || p[0].revents) {
            reload_if_asked();
            continue;
        }
        if (p[1].revents)
            (void)!read(look_fd, &count, sizeof count);
        if (look)
            look(arg);
        int64_t now = cpu_ms();
        if (now - seen >= wait / 100) { /* it works */
            wait = IDLE_LOOK_MS;
        } else if (os_memory_resident() > trimmed + IDLE_WORTH_BYTES) {
            os_memory_trim();
            trimmed = os_memory_resident();
            now = cpu_ms();
            wait = wait * 2 < IDLE_LONG_MS ? wait * 2 : IDLE_LONG_MS; /* what comes back at once is needed */
        }
        seen = now;
    }
}

bool follow_told_to_leave(void)
{
    return detach && !interrupts;
}

void follow_note(struct app *app, const char *fmt, ...)
{
    if (app->quiet)
        return;
    char line[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (term_stderr_is_tty()) {
        term_status("%s", line);
        return;
    }
    int64_t now = os_mono_ns() / NS_PER_MS;
    if (now - view.last_plain_ms < PLAIN_EVERY_MS && now - view.started_ms < INT64_MAX / 2 && view.last_plain_ms)
        return;
    if (!view.last_plain_ms && now - view.started_ms < PLAIN_EVERY_MS)
        return; /* short runs stay silent */
    view.last_plain_ms = now;
    fprintf(stderr, "ff: %s\n", line);
}

/* One line: stage, files, rate, findings so far. */
static void draw(struct app *app, const char *run_id)
{
    char line[400], time[32];
    size_t n = 0;
    pthread_mutex_lock(&view.lock);
    int64_t ms = os_mono_ns() / NS_PER_MS - view.started_ms;
    uint64_t findings = 0;
    n += (size_t)snprintf(line + n, sizeof line - n, "%.200s  %s", run_id, units_format_duration(ms, time, sizeof time));
    for (size_t i = 0; i < view.count; i++) {
        struct stage *s = &view.stages[i];
        if (s->findings > findings)
            findings = s->findings;
        if (!s->running || n + 160 > sizeof line)
            continue;
        n += (size_t)snprintf(line + n, sizeof line - n, " | %s", s->module);
        if (s->total)
            n += (size_t)snprintf(line + n, sizeof line - n, " %llu/%llu", (unsigned long long)s->done,
                                  (unsigned long long)s->total);
        if (*s->campaign)
            n += (size_t)snprintf(line + n, sizeof line - n, "%s: %s", s->total ? " s" : "", s->campaign);
        else if (s->done && ms > 0)
            n += (size_t)snprintf(line + n, sizeof line - n, " (%llu/s)",
                                  (unsigned long long)(s->done * 1000 / (uint64_t)ms));
    }
    snprintf(line + n, sizeof line - n, " | findings %llu", (unsigned long long)findings);
    pthread_mutex_unlock(&view.lock);
    follow_note(app, "%s", line);
}

/* --- waiting ---------------------------------------------------------------------------------------------- */

struct wait {
    bool answered;
    ProtobufCMessage *resp;
    struct err err;
};

static void closed(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct wait *w = arg;
    pthread_mutex_lock(&view.lock);
    w->resp = resp;
    w->err = *err;
    w->answered = true;
    pthread_cond_signal(&view.cond);
    pthread_mutex_unlock(&view.lock);
}

/* True when the answer is there; false after REDRAW_MS. */
static bool wait_a_little(struct wait *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += REDRAW_MS * NS_PER_MS;
    until.tv_sec += until.tv_nsec / NS_PER_S;
    until.tv_nsec %= NS_PER_S;
    pthread_mutex_lock(&view.lock);
    while (!w->answered && pthread_cond_timedwait(&view.cond, &view.lock, &until) == 0)
        ;
    bool answered = w->answered;
    pthread_mutex_unlock(&view.lock);
    return answered;
}

enum follow_end { FOLLOW_CLOSED, FOLLOW_AGAIN, FOLLOW_DETACHED, FOLLOW_BLOCKED, FOLLOW_NO_SPACE, FOLLOW_ERROR };

static enum follow_end look_at_answer(const struct wait *w, struct err *err)
{
    if (w->err.code) {
        *err = w->err;
        return FOLLOW_ERROR;
    }
    const Pb__History *h = ((Pb__GetWorkflowExecutionHistoryResponse *)w->resp)->history;
    if (!h || !h->n_events)
        return FOLLOW_AGAIN; /* the long poll ended */
    /* A run that goes on as a new one is followed there. */
    return h->events[h->n_events - 1]->event_type ==
                   PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW
               ? FOLLOW_AGAIN
               : FOLLOW_CLOSED;
}

/* Is there somebody who looks at what goes on? */
static bool is_watched(const struct app *app)
{
    return view.live || (term_stderr_is_tty() && !app->quiet);
}

/* Looks at the run; is it blocked? */
static bool look_at_run(struct app *app, const char *run_id, struct others *others)
{
    struct run_info run;
    if (run_read(&app->service, run_id, &run, NULL) < 0)
        return false;
    bool blocked = run.blocked;
    if (is_watched(app))
        others_look(others, &app->service, &run);
    run_info_release(&run);
    return blocked;
}

static bool has_no_space(void)
{
    pthread_mutex_lock(&view.lock);
    bool no = view.no_space[0] != 0;
    pthread_mutex_unlock(&view.lock);
    return no;
}

/* The run is not to blame: it stays as it is. */
static int leave_for_want_of_room(struct app *app, const char *run_id)
{
    struct err err = {0};
    err_set(&err, ERR_NO_SPACE, "run %s stays open: %s", run_id, view.no_space);
    err_hint(&err, "make room, then 'ff runs wait %s' carries it on", run_id);
    return app_fail(app, &err);
}

static void cancel(struct app *app, const char *run_id, int *io_cancelled)
{
    struct err err = {0};
    *io_cancelled = 1;
    term_status_clear();
    fprintf(stderr, "ff: cancelling; Ctrl-C again leaves at once\n");
    if (run_cancel(&app->service, run_id, "interrupted", &err) < 0)
        log_warn("cancel: %s", err.msg);
}

struct remote_wait {
    struct app *app;
    const char *run_id;
    int *io_cancelled;
};

/* True: it is left for a moment, to cancel it, or for good. */
static bool remote_tick(void *arg)
{
    struct remote_wait *w = arg;
    draw(w->app, w->run_id);
    return detach || (interrupts && !*w->io_cancelled);
}

/* Through a server: its events are followed, until the run ends there. */
static enum follow_end wait_remote(struct app *app, const char *run_id, struct client_follower *f, int *io_cancelled,
                                   struct err *err)
{
    struct remote_wait w = {app, run_id, io_cancelled};
    f->arg = &w;
    app->following = true;
    int r = client_follow(app->client, run_id, f, err);
    if (r < 0)
        return FOLLOW_ERROR;
    if (detach)
        return FOLLOW_DETACHED;
    if (!interrupts || *io_cancelled)
        return FOLLOW_CLOSED; /* or blocked: then the report says so */
    cancel(app, run_id, io_cancelled);
    return FOLLOW_AGAIN;
}

/* One long poll for the end of the run, watching signals and the clock meanwhile. */
static enum follow_end wait_once(struct app *app, const char *run_id, struct others *others, int *io_cancelled,
                                 struct err *err)
{
    Pb__GetWorkflowExecutionHistoryRequest req = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    req.namespace_ = service_namespace(&app->service);
    ex.workflow_id = (char *)run_id;
    req.execution = &ex;
    req.wait_new_event = true;
    req.history_event_filter_type = PB__HISTORY_EVENT_FILTER_TYPE__HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT;
    struct wait w = {0};
    enum follow_end end = FOLLOW_AGAIN;
    int64_t checked = os_mono_ns() / NS_PER_MS;
    engine_call(app->engine, ENGINE_GET_HISTORY, &req.base, 0, closed, &w);
    while (!wait_a_little(&w)) {
        draw(app, run_id);
        if (interrupts && !*io_cancelled)
            cancel(app, run_id, io_cancelled);
        if (detach && end != FOLLOW_DETACHED) {
            end = FOLLOW_DETACHED;
            engine_drain(app->engine); /* ends the long poll */
        }
        if (end == FOLLOW_AGAIN && has_no_space()) {
            end = FOLLOW_NO_SPACE;
            engine_drain(app->engine);
        }
        int64_t now = os_mono_ns() / NS_PER_MS;
        if (end == FOLLOW_AGAIN && now - checked >= BLOCKED_CHECK_MS) {
            checked = now;
            if (look_at_run(app, run_id, others)) {
                end = FOLLOW_BLOCKED;
                engine_drain(app->engine);
            }
        }
    }
    if (end == FOLLOW_AGAIN)
        end = look_at_answer(&w, err);
    engine_free_message(w.resp);
    return end;
}

/* Files of this machine that are part of the gate: a server knows nothing of them. */
static void add_own_gate(const struct app *app, struct run_info *run)
{
    const struct gate_options *own = app->own_gate;
    if (!own)
        return;
    run->gate.export_sarif = mem_strdup(own->export_sarif);
    if (own->baseline && own->baseline[0] == '/') {
        free(run->gate.baseline);
        run->gate.baseline = mem_strdup(own->baseline);
    }
}

int follow_run(struct app *app, const char *run_id)
{
    struct err err = {0};
    int cancelled = 0;
    enum follow_end end;
    struct client_follower follower = {.on_event = on_event, .tick = remote_tick};
    struct others others = {.own = app->worker ? worker_identity(app->worker) : NULL, .on_event = on_event};
    do
        end = app->remote ? wait_remote(app, run_id, &follower, &cancelled, &err)
                          : wait_once(app, run_id, &others, &cancelled, &err);
    while (end == FOLLOW_AGAIN);
    term_status_clear();
    if (end == FOLLOW_CLOSED && is_watched(app) && !app->remote)
        look_at_run(app, run_id, &others); /* what came since the last look */
    others_release(&others);
    if (end == FOLLOW_ERROR) {
        err_wrap(&err, "run %s", run_id);
        if (err.code == ERR_UNAVAILABLE)
            err_hint(&err, "it goes on where it is kept; 'ff runs wait %s' follows it again", run_id);
        return app_fail(app, &err);
    }
    if (end == FOLLOW_NO_SPACE)
        return leave_for_want_of_room(app, run_id);
    if (end == FOLLOW_DETACHED) {
        if (!app->quiet)
            fprintf(stderr, "ff: left; 'ff runs wait %s' carries the run on\n", run_id);
        return 128 + SIGTERM;
    }
    struct run_info run;
    if (run_read(&app->service, run_id, &run, &err) < 0)
        return app_fail(app, &err);
    app_stop_worker(app);
    if (app->remote)
        add_own_gate(app, &run);
    else if (run.closed && workspaces_forget(app->workspaces, run.execution_id, &err) < 0)
        log_info("private workspace: %s", err.msg);
    int status;
    run_report(app, &run, true, &status);
    run_info_release(&run);
    return status;
}
