#include "cli/follow.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/rundoc.h"
#include "cli/term.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "os/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_MS 100
#define PLAIN_EVERY_MS 5000 /* without a terminal: a line so often */
#define BLOCKED_CHECK_MS 1000
#define MODULES_SHOWN 16

/* What the live line shows of one module. */
struct stage {
    char module[64];
    uint64_t done, total, findings;
    bool running;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct stage stages[MODULES_SHOWN];
    size_t count;
    int64_t started_ms, last_plain_ms;
    bool live, quiet, json;
    char note[160];
} view = {.lock = PTHREAD_MUTEX_INITIALIZER};

static volatile sig_atomic_t interrupts, detach;

static void on_signal(int sig)
{
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

static void on_event(void *arg, const struct worker_event *e)
{
    (void)arg;
    pthread_mutex_lock(&view.lock);
    struct stage *s = *e->module ? stage_of(e->module) : NULL;
    if (s && strcmp(e->type, "started") == 0) {
        s->running = true;
    } else if (s && strcmp(e->type, "progress") == 0) {
        s->done = (uint64_t)json_i64(e->data, "done", 0);
        s->total = (uint64_t)json_i64(e->data, "total", 0);
    } else if (s && strcmp(e->type, "finding") == 0) {
        s->findings++;
    } else if (s && (strcmp(e->type, "completed") == 0 || strcmp(e->type, "failed") == 0 ||
                     strcmp(e->type, "cancelled") == 0 || strcmp(e->type, "abandoned") == 0)) {
        s->running = false;
    }
    if (view.live)
        print_live(e);
    pthread_mutex_unlock(&view.lock);
    if (strcmp(e->type, "failed") == 0)
        log_info("%s, attempt %d: %s", e->module, e->attempt, json_str(e->data, "message", ""));
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
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* nohup means it */
        sigaction(SIGHUP, &sa, NULL);
}

bool follow_interrupted(void)
{
    return interrupts > 0 || detach;
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
        if (s->done && ms > 0)
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

static int request_cancel(struct app *app, const char *run_id, struct err *err)
{
    Pb__RequestCancelWorkflowExecutionRequest req = PB__REQUEST_CANCEL_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    char id[37];
    os_uuid(id);
    req.namespace_ = (char *)"default";
    ex.workflow_id = (char *)run_id;
    req.workflow_execution = &ex;
    req.request_id = id;
    req.reason = (char *)"interrupted";
    return engine_call_sync(app->engine, ENGINE_REQUEST_CANCEL, &req.base, 0, NULL, err);
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

enum follow_end { FOLLOW_CLOSED, FOLLOW_AGAIN, FOLLOW_DETACHED, FOLLOW_BLOCKED, FOLLOW_ERROR };

static enum follow_end look_at_answer(const struct wait *w, struct err *err)
{
    if (!w->resp) {
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

static bool is_blocked(struct app *app, const char *run_id)
{
    struct run_info run;
    if (run_read(app, run_id, &run, NULL) < 0)
        return false;
    bool blocked = run.blocked;
    run_info_release(&run);
    return blocked;
}

/* One long poll for the end of the run, watching signals and the clock meanwhile. */
static enum follow_end wait_once(struct app *app, const char *run_id, int *io_cancelled, struct err *err)
{
    Pb__GetWorkflowExecutionHistoryRequest req = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    req.namespace_ = (char *)"default";
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
        if (interrupts && !*io_cancelled) {
            *io_cancelled = 1;
            term_status_clear();
            fprintf(stderr, "ff: cancelling; Ctrl-C again leaves at once\n");
            if (request_cancel(app, run_id, err) < 0)
                log_warn("cancel: %s", err->msg);
        }
        if (detach && end != FOLLOW_DETACHED) {
            end = FOLLOW_DETACHED;
            engine_drain(app->engine); /* ends the long poll */
        }
        int64_t now = os_mono_ns() / NS_PER_MS;
        if (end == FOLLOW_AGAIN && now - checked >= BLOCKED_CHECK_MS) {
            checked = now;
            if (is_blocked(app, run_id)) {
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

int follow_run(struct app *app, const char *run_id)
{
    struct err err = {0};
    int cancelled = 0;
    enum follow_end end;
    do
        end = wait_once(app, run_id, &cancelled, &err);
    while (end == FOLLOW_AGAIN);
    term_status_clear();
    if (end == FOLLOW_ERROR)
        return app_fail(app, &err);
    if (end == FOLLOW_DETACHED) {
        if (!app->quiet)
            fprintf(stderr, "ff: left; 'ff runs wait %s' carries the run on\n", run_id);
        return 128 + SIGTERM;
    }
    struct run_info run;
    if (run_read(app, run_id, &run, &err) < 0)
        return app_fail(app, &err);
    worker_stop(TAKE_PTR(app->worker));
    if (run.closed && workspaces_forget(app->workspaces, run.execution_id, &err) < 0)
        log_info("private workspace: %s", err.msg);
    int status;
    if (run_report(app, &run, true, &status, &err) < 0)
        status = app_fail(app, &err);
    run_info_release(&run);
    return status;
}
