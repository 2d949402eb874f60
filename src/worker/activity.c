/* The life of an activity on the loop thread. What may block is in activity_io.c and runs in libuv's pool. */
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "module/tools.h"
#include "os/clock.h"
#include "os/file.h"
#include "worker/activity_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STOP_GRACE_NS (30 * NS_PER_S) /* for what was asked to stop */
#define HEARTBEAT_MS 30000 /* without a timeout; this and four fifths of one are what Temporal's SDKs do */

static void save_soon(struct activity *a);
static void on_heartbeat(uv_timer_t *t);
static void collect_if_done(struct activity *a);

static const char *run_name(const struct activity *a)
{
    return a->task->workflow_execution ? a->task->workflow_execution->workflow_id : "";
}

static void emit(struct activity *a, const char *type, const json_t *data)
{
    worker_emit(a->worker, run_name(a), a->module.name ? a->module.name : a->task->activity_type->name,
                a->task->attempt, type, data);
}

static void activity_free(struct activity *a)
{
    ASSERT(!a->proc && !a->workspace && !a->handles && !a->heartbeat_out && !a->keeping);
    module_def_release(&a->module);
    module_reader_free(a->reader);
    json_decref(a->input);
    json_decref(a->context);
    json_decref(a->checkpoint);
    json_decref(a->kept);
    json_decref(a->kept_files);
    json_decref(a->remembered);
    json_decref(a->handed);
    free(a->memory);
    free(a->handover);
    worker_artifacts_release(a->to_keep.v, a->to_keep.len);
    VEC_RELEASE(&a->to_keep);
    json_decref(a->stats);
    json_decref(a->progress);
    json_decref(a->recent);
    json_decref(a->answer);
    json_decref(a->left);
    strbuf_release(&a->findings);
    worker_artifacts_release(a->artifacts.v, a->artifacts.len);
    VEC_RELEASE(&a->artifacts);
    engine_free_message(&a->task->base);
    free(a->dir);
    free(a);
}

/* Frees it when nothing refers to it any more. */
static void free_if_idle(struct activity *a)
{
    if (!a->over || a->handles || a->heartbeat_out)
        return;
    struct activity_runner *r = a->worker->activities;
    activity_runner_over(a);
    activity_free(a);
    if (r->stopping)
        uv_async_send(&r->wake);
}

static void handle_closed(uv_handle_t *h)
{
    struct activity *a = h->data;
    a->handles--;
    free_if_idle(a);
}

/* --- answers ---------------------------------------------------------------------------------------------- */

static void copy_token(ProtobufCBinaryData *to, const ProtobufCBinaryData *from)
{
    to->data = mem_dup(from->data, from->len);
    to->len = to->data ? from->len : 0;
}

static void answer_completed(struct activity *a)
{
    Pb__RespondActivityTaskCompletedRequest *req = mem_alloc(sizeof *req);
    if (!req)
        return;
    pb__respond_activity_task_completed_request__init(req);
    copy_token(&req->task_token, &a->task->task_token);
    req->result = pbx_json_payloads(a->answer);
    req->identity = pbx_str(a->worker->identity);
    req->namespace_ = pbx_str(a->worker->name_space);
    worker_call(a->worker, ENGINE_COMPLETE_ACTIVITY, &req->base, "complete an activity");
}

/* What the next attempt gets back. NULL: nothing, or no memory. */
static Pb__Payloads *heartbeat_details(const struct activity *a)
{
    if (a->prepared) {
        _cleanup_json_ json_t *details =
            json_pack("{s:O?, s:O?, s:O?, s:O*, s:o*}", "checkpoint", a->checkpoint, "progress", a->progress, "stats", a->stats,
                      "kept", a->kept, "recent", worker_recent_json(a));
        return details ? pbx_json_payloads(details) : NULL;
    }
    ProtobufCMessage *copy = NULL; /* the checkpoint is the pool's for now: what came is kept */
    if (a->task->heartbeat_details && pbx_dup(&a->task->heartbeat_details->base, &copy, NULL) < 0)
        return NULL;
    return (Pb__Payloads *)copy;
}

static bool hide(const struct activity *a, json_t *said)
{
    return said && (!a->worker->o.hide || a->worker->o.hide(said, NULL) == 0);
}

size_t worker_activity_clean(const struct activity *a, char *text, size_t len)
{
    worker_clean_text(text, len);
    _cleanup_json_ json_t *said = json_stringn(text, len);
    size_t n = hide(a, said) ? json_string_length(said) : 0;
    n = n < len ? n : len;
    memcpy(text, n ? json_string_value(said) : "", n);
    text[n] = 0;
    return n;
}

static void answer_failed(struct activity *a)
{
    worker_activity_clean(a, a->err.msg, strlen(a->err.msg)); /* it may name a file */
    Pb__RespondActivityTaskFailedRequest *req = mem_alloc(sizeof *req);
    if (!req)
        return;
    pb__respond_activity_task_failed_request__init(req);
    copy_token(&req->task_token, &a->task->task_token);
    _cleanup_json_ json_t *details =
        json_pack("{s:s, s:i, s:o*, s:O*}", "module", a->task->activity_type->name, "attempt", (int)a->task->attempt, "usage",
                  worker_activity_usage(a), "artifacts", a->left);
    if (details && a->errors_len)
        json_object_set_new(details, "stderr", json_string(a->errors));
    if (details && a->result.limit)
        json_object_set_new(details, "limit", json_string(a->result.limit));
    req->failure = pbx_app_failure(a->err.msg, a->failure_type, a->non_retryable, details);
    if (a->given_back)
        req->last_heartbeat_details = heartbeat_details(a);
    req->identity = pbx_str(a->worker->identity);
    req->namespace_ = pbx_str(a->worker->name_space);
    worker_call(a->worker, ENGINE_FAIL_ACTIVITY, &req->base, "fail an activity");
}

static void answer_cancelled(struct activity *a)
{
    Pb__RespondActivityTaskCanceledRequest *req = mem_alloc(sizeof *req);
    if (!req)
        return;
    pb__respond_activity_task_canceled_request__init(req);
    copy_token(&req->task_token, &a->task->task_token);
    req->identity = pbx_str(a->worker->identity);
    req->namespace_ = pbx_str(a->worker->name_space);
    worker_call(a->worker, ENGINE_CANCEL_ACTIVITY, &req->base, "cancel an activity");
}

/* Stopped with the worker, and the engine would wait for it: is there another attempt to give it back to? */
static bool gives_back(const struct activity *a)
{
    const Pb__RetryPolicy *p = a->task->retry_policy;
    return a->stopped && !a->told_gone && a->worker->o.give_back && p &&
           (p->maximum_attempts == 0 || a->task->attempt < p->maximum_attempts);
}

/* Everything is known: answer the engine and let go. */
static void finish(struct activity *a)
{
    if (gives_back(a)) {
        a->given_back = true;
        err_set(&a->err, ERR_UNAVAILABLE, "the worker %s stopped", a->worker->identity);
        worker_activity_fail(a, "WorkerStopped", false);
        answer_failed(a);
        emit(a, "abandoned", NULL);
    } else if (a->abandoned) {
        emit(a, "abandoned", NULL);
    } else if (a->cancelled) {
        answer_cancelled(a);
        emit(a, "cancelled", NULL);
    } else if (a->failed) {
        answer_failed(a);
        _cleanup_json_ json_t *data = json_pack("{s:s}", "message", a->err.msg);
        emit(a, "failed", data);
    } else {
        answer_completed(a);
        emit(a, "completed", a->answer);
    }
    a->over = true;
    if (a->has_room_timer)
        uv_close((uv_handle_t *)&a->room, handle_closed);
    uv_close((uv_handle_t *)&a->heartbeat, handle_closed); /* the last one to close frees */
}

/* --- heartbeats ------------------------------------------------------------------------------------------- */

struct heartbeat_call {
    struct activity *a;
    ProtobufCMessage *req;
};

static void heartbeat_answered(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct heartbeat_call *c = arg;
    struct activity *a = c->a;
    struct worker *w = a->worker;
    struct activity_runner *r = w->activities;
    Pb__RecordActivityTaskHeartbeatResponse *answer =
        err->code ? NULL : (Pb__RecordActivityTaskHeartbeatResponse *)resp;
    engine_free_message(c->req);
    free(c);
    pthread_mutex_lock(&r->lock);
    if (answer && answer->cancel_requested)
        a->told_to_cancel = true;
    if (err->code == ERR_NOT_FOUND) /* timed out, or its run is closed */
        a->told_gone = true;
    a->next_answered = r->answered;
    r->answered = a;
    uv_async_send(&r->wake);
    pthread_mutex_unlock(&r->lock);
    engine_free_message(resp);
    atomic_fetch_sub(&w->calls_out, 1);
}

/* Its process, if it has one: the lock keeps that from ending under our hands. */
static void kill_for(struct activity *a, const char *limit)
{
    struct activity_runner *r = a->worker->activities;
    pthread_mutex_lock(&r->lock);
    if (a->proc)
        sandbox_kill(a->proc, limit);
    pthread_mutex_unlock(&r->lock);
}

/* A module that stops by itself gives a result, which then counts. */
static void ask_to_stop(struct activity *a)
{
    static const char line[] = "{\"type\":\"stop\"}\n";
    struct stat st;
    if (!a->prepared) /* it is asked once it runs: what attempts before this one have kept is worth a result */
        return;
    bool can = a->in_fd >= 0 && a->proc && fstat(a->in_fd, &st) == 0;
    if (can && a->stop_by_ns == 0) {
        a->stop_by_ns = os_mono_ns() + STOP_GRACE_NS;
        can = pwrite(a->in_fd, line, sizeof line - 1, st.st_size) == sizeof line - 1;
    }
    if ((!can && a->stop_by_ns == 0) || (a->stop_by_ns && os_mono_ns() > a->stop_by_ns))
        a->cancelled = true;
}

void worker_activity_heartbeat_answered(struct activity *a)
{
    a->heartbeat_out = false;
    if (a->told_to_cancel)
        ask_to_stop(a);
    if (a->told_gone)
        a->abandoned = true;
    if (a->asked && !a->over)
        on_heartbeat(&a->heartbeat);
    else if (a->unsaved)
        save_soon(a);
    worker_activity_keep_saved(a);
    if (a->cancelled || a->abandoned)
        kill_for(a, NULL);
    free_if_idle(a);
}

static uint64_t heartbeat_interval(const struct activity *a)
{
    int64_t most = a->worker->o.heartbeat_ms, timeout = pbx_duration_ns(a->task->heartbeat_timeout) / NS_PER_MS;
    int64_t ms = timeout > 0 ? timeout * 4 / 5 : HEARTBEAT_MS;
    return (uint64_t)(ms < 1 ? 1 : ms > most ? most : ms);
}

/* A checkpoint does not wait for the next heartbeat, but ten in the time of one are enough. */
static void save_soon(struct activity *a)
{
    uint64_t every = heartbeat_interval(a), soon = (uint64_t)a->worker->o.heartbeat_ms / 10 + 1;
    if (!a->over && uv_timer_get_due_in(&a->heartbeat) > soon)
        uv_timer_start(&a->heartbeat, on_heartbeat, soon, every);
}

static void on_heartbeat(uv_timer_t *t)
{
    struct activity *a = t->data;
    if (a->heartbeat_out || a->over || a->abandoned)
        return;
    Pb__RecordActivityTaskHeartbeatRequest *req = mem_alloc(sizeof *req);
    struct heartbeat_call *c = mem_alloc(sizeof *c);
    if (!req || !c) {
        free(req);
        free(c);
        return;
    }
    pb__record_activity_task_heartbeat_request__init(req);
    copy_token(&req->task_token, &a->task->task_token);
    req->identity = pbx_str(a->worker->identity);
    req->namespace_ = pbx_str(a->worker->name_space);
    req->details = heartbeat_details(a);
    *c = (struct heartbeat_call){a, &req->base};
    a->heartbeat_out = true;
    a->unsaved = a->asked = false;
    atomic_fetch_add(&a->worker->calls_out, 1);
    engine_call(a->worker->o.engine, ENGINE_HEARTBEAT, &req->base, 0, heartbeat_answered, c);
}

/* --- messages of the module ------------------------------------------------------------------------------- */

static void on_log(void *arg, const char *level, const char *message)
{
    _cleanup_json_ json_t *data = json_pack("{s:s, s:s}", "level", level, "message", message);
    if (!hide(arg, data))
        return;
    worker_recent_add(arg, "log", data);
    emit(arg, "log", data);
}

static void on_progress(void *arg, uint64_t done, uint64_t total, const char *message)
{
    struct activity *a = arg;
    json_t *data = json_pack("{s:I, s:I, s:s?}", "done", (json_int_t)done, "total", (json_int_t)total,
                             "message", message);
    if (!hide(a, data)) {
        json_decref(data);
        return;
    }
    json_decref(a->progress);
    a->progress = data;
    emit(a, "progress", data);
}

static void on_finding(void *arg, struct finding *f)
{
    struct activity *a = arg;
    if (!f->module)
        f->module = mem_strdup(a->module.name);
    _cleanup_json_ json_t *j = finding_to_json(f);
    if (!hide(a, j)) {
        a->findings.failed = true;
        return;
    }
    json_write(j, &a->findings, NULL);
    strbuf_putc(&a->findings, '\n');
    a->findings_count++;
    worker_recent_add(a, "finding", j);
    emit(a, "finding", j);
}

static void on_stats(void *arg, const json_t *stats)
{
    struct activity *a = arg;
    json_t *data = json_deep_copy(stats);
    if (!hide(a, data)) {
        json_decref(data);
        return;
    }
    json_decref(a->stats);
    a->stats = data;
    emit(a, "stats", data);
}

static void on_artifact(void *arg, const char *path, const char *name)
{
    struct activity *a = arg;
    struct artifact f = {mem_strdup(name), mem_strdup(path)};
    if (a->artifacts.len >= ACTIVITY_ARTIFACTS_MAX || !f.name || !f.path || !VEC_PUSH(&a->artifacts, f)) {
        free(f.name);
        free(f.path);
        err_set(&a->err, ERR_LIMIT, "more than %d artifacts", ACTIVITY_ARTIFACTS_MAX);
        worker_activity_fail(a, "LimitExceeded", false);
    }
}

static void on_checkpoint(void *arg, const json_t *data)
{
    struct activity *a = arg;
    json_decref(a->checkpoint);
    a->checkpoint = json_deep_copy(data);
    a->unsaved = true;
    if (!a->heartbeat_out)
        save_soon(a);
    worker_activity_keep_checkpoint(a);
}

static void on_keep(void *arg, const char *path, const char *name)
{
    worker_activity_keep(arg, path, name);
}

static const struct module_reader_ops reader_ops = {
    .log = on_log,
    .progress = on_progress,
    .finding = on_finding,
    .stats = on_stats,
    .artifact = on_artifact,
    .checkpoint = on_checkpoint,
    .keep = on_keep,
};

/* --- its pipes -------------------------------------------------------------------------------------------- */

static void end_pipe(uv_poll_t *p, int *fd, bool *open, struct activity *a)
{
    *open = false;
    uv_poll_stop(p);
    uv_close((uv_handle_t *)p, handle_closed);
    close(*fd);
    *fd = -1;
    collect_if_done(a);
}

static void on_stdout(uv_poll_t *p, int status, int events)
{
    struct activity *a = p->data;
    (void)events;
    char *buf = a->worker->activities->buf;
    ssize_t n = status < 0 ? 0 : read(a->out_fd, buf, ACTIVITY_READ_MAX);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end_pipe(p, &a->out_fd, &a->out_open, a);
        return;
    }
    bool no_end = a->module.builtin && a->module.builtin->stops; /* it goes on for weeks, and what it writes is ours */
    uint64_t max = a->limits.output_bytes ? a->limits.output_bytes : no_end ? UINT64_MAX : ACTIVITY_OUTPUT_DEFAULT;
    a->output_bytes += (uint64_t)n;
    if (a->output_bytes > max) {
        kill_for(a, "output");
        return;
    }
    if (module_reader_feed(a->reader, buf, (size_t)n, NULL) < 0 || a->findings.failed)
        kill_for(a, NULL);
}

static void on_stderr(uv_poll_t *p, int status, int events)
{
    struct activity *a = p->data;
    (void)events;
    char buf[4096];
    ssize_t n = status < 0 ? 0 : read(a->err_fd, buf, sizeof buf);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end_pipe(p, &a->err_fd, &a->err_open, a);
        return;
    }
    size_t len = (size_t)n;
    if (a->errors_len + len > ACTIVITY_STDERR_KEPT) {
        size_t drop = a->errors_len + len - ACTIVITY_STDERR_KEPT;
        memmove(a->errors, a->errors + drop, a->errors_len - drop);
        a->errors_len -= drop;
    }
    memcpy(a->errors + a->errors_len, buf, len);
    a->errors_len += len;
    a->errors[a->errors_len] = 0;
}

/* --- stages ----------------------------------------------------------------------------------------------- */

static void do_collect(uv_work_t *work)
{
    worker_activity_collect(work->data);
}

static void begin_again(struct activity *a);

static void collected(uv_work_t *work, int status)
{
    (void)status;
    struct activity *a = work->data;
    if (a->no_room && !a->abandoned && !a->cancelled)
        worker_activity_wait_for_room(a, begin_again, finish);
    else
        finish(a);
}

static void collect(struct activity *a)
{
    /* Here, not in the pool: a last line without its newline is a message like any other. */
    if (a->reader)
        module_reader_finish(a->reader, &a->status, &a->summary, &a->error, &a->protocol);
    activity_runner_next(a);
    uv_queue_work(&a->worker->activities->loop, &a->work, do_collect, collected);
}

static void collect_if_done(struct activity *a)
{
    if (a->proc_done && !a->out_open && !a->err_open && !a->keeping && !a->keep_unsaved)
        collect(a);
}

/* The loop thread of a worker: of this one's, or of another that shares the spawner. */
static void on_exit_of(void *arg, const struct sandbox_result *result)
{
    struct activity *a = arg;
    struct activity_runner *r = a->worker->activities;
    pthread_mutex_lock(&r->lock);
    a->proc = NULL;
    a->result = *result;
    a->next_exited = r->exited;
    r->exited = a;
    uv_async_send(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

void worker_activity_exited(struct activity *a)
{
    a->proc_done = true;
    _cleanup_json_ json_t *used = json_pack("{s:I}", "cpu_ms", (json_int_t)(a->result.cpu_ns / NS_PER_MS));
    emit(a, "usage", used);
    collect_if_done(a);
}

/* Watches the pipe. If the loop takes no more, the pipe is closed and the process killed: on_exit_of() goes on. */
static void start_pipe(struct activity *a, int *fd, bool *open, uv_poll_t *p, uv_poll_cb cb)
{
    fcntl(*fd, F_SETFL, O_NONBLOCK);
    int e = uv_poll_init(&a->worker->activities->loop, p, *fd);
    if (e < 0) {
        err_set(&a->err, ERR_UNAVAILABLE, "watch a pipe: %s", uv_strerror(e));
        worker_activity_fail(a, "SandboxError", false);
        close(*fd);
        *fd = -1;
        *open = false;
        kill_for(a, NULL);
        return;
    }
    p->data = a;
    a->handles++;
    uv_poll_start(p, UV_READABLE, cb);
}

void worker_activity_heartbeat_now(struct activity *a)
{
    if (a->heartbeat_out)
        a->asked = true; /* one more, when it was answered */
    else
        on_heartbeat(&a->heartbeat);
    if (!a->heartbeat_out) /* none can be sent */
        worker_activity_keep_saved(a);
}

void worker_activity_read_on(struct activity *a)
{
    if (a->out_open)
        uv_poll_start(&a->out_poll, UV_READABLE, on_stdout);
    collect_if_done(a);
}

static const char *builtin_name(const struct activity *a, char *buf, size_t size)
{
    if (a->module.kind == MODULE_BUILTIN)
        return a->module.name;
    if (a->module.kind != MODULE_SHARED_OBJECT)
        return NULL;
    snprintf(buf, size, "so:%s", a->module.library);
    return buf;
}

static int spawn(struct activity *a, int out_w, int err_w)
{
    struct sandbox_mount mounts[3 + MODULE_TOOLS_MAX];
    struct module_tools tools;
    size_t n = 0;
    _cleanup_free_ char *scratch = os_path_join(a->dir, "scratch");
    _cleanup_free_ char *objects = os_path_join(a->dir, "objects");
    if (!scratch || !objects)
        return err_nomem(&a->err);
    if (a->workspace) {
        bool overlay = workspace_upper(a->workspace) != NULL;
        mounts[n++] = (struct sandbox_mount){
            .kind = overlay ? MOUNT_OVERLAY : MOUNT_BIND,
            .source = workspace_lower(a->workspace),
            .upper = workspace_upper(a->workspace),
            .work = workspace_work(a->workspace),
            .target = "/workspace",
            .writable = !workspace_read_only(a->workspace),
        };
    }
    if (a->module.dir)
        mounts[n++] = (struct sandbox_mount){.source = a->module.dir, .target = "/module"};
    if (a->has_objects)
        mounts[n++] = (struct sandbox_mount){.source = objects, .target = "/objects"};
    bool fuzzes = a->module.builtin && a->module.category == MODULE_FUZZER;
    module_tools_init(&tools, a->worker->o.spawner, fuzzes ? a->worker->o.tools : NULL);
    for (size_t i = 0; i < tools.count; i++)
        mounts[n++] = tools.mounts[i];
    char so[512];
    struct sandbox_plan plan = {
        .env = tools.env,
        .name = a->module.name,
        .builtin = builtin_name(a, so, sizeof so),
        .argv = (const char *const *)a->module.argv,
        .cwd = a->workspace ? "/workspace" : "/scratch",
        .mounts = mounts,
        .mounts_count = n,
        .own_code = a->module.kind == MODULE_BUILTIN && a->module.category != MODULE_FUZZER,
        .inspects = fuzzes,
        .network = a->network,
        .limits = a->limits,
        .scratch = scratch,
    };
    pthread_mutex_lock(&a->worker->activities->lock); /* its end may be told before its beginning was */
    int r = sandbox_start(a->worker->o.spawner, &plan, a->in_fd, out_w, err_w, on_exit_of, a, &a->proc, &a->err);
    pthread_mutex_unlock(&a->worker->activities->lock);
    module_tools_release(&tools);
    return r;
}

static void launch(struct activity *a)
{
    int out[2] = {-1, -1}, errs[2] = {-1, -1};
    int r = pipe2(out, O_CLOEXEC) < 0 || pipe2(errs, O_CLOEXEC) < 0 ? err_sys(&a->err, errno, "make a pipe") : 0;
    if (r == 0)
        r = module_reader_new(&reader_ops, a, &a->reader, &a->err);
    if (r == 0)
        r = spawn(a, out[1], errs[1]);
    close(out[1]);
    close(errs[1]);
    if (r < 0 || !a->module.builtin || !a->module.builtin->stops)
        close(TAKE_FD(a->in_fd)); /* else it is asked to stop there */
    if (r < 0) {
        worker_activity_fail(a, "SandboxError", false);
        close(out[0]);
        close(errs[0]);
        a->proc_done = true;
        collect(a);
        return;
    }
    a->out_fd = out[0];
    a->err_fd = errs[0];
    a->out_open = a->err_open = true;
    start_pipe(a, &a->out_fd, &a->out_open, &a->out_poll, on_stdout);
    start_pipe(a, &a->err_fd, &a->err_open, &a->err_poll, on_stderr);
    emit(a, "started", NULL);
}

static void do_prepare(uv_work_t *work)
{
    worker_activity_prepare(work->data);
}

static void prepared(uv_work_t *work, int status)
{
    (void)status;
    struct activity *a = work->data;
    a->prepared = true;
    if (a->told_to_cancel && !(a->module.builtin && a->module.builtin->stops))
        a->cancelled = true;
    if (a->failed || a->abandoned || a->cancelled || a->answer) {
        a->proc_done = true;
        collect(a);
    } else {
        launch(a);
        if (a->told_to_cancel && a->proc)
            ask_to_stop(a);
    }
}

static void begin_again(struct activity *a)
{
    uv_queue_work(&a->worker->activities->loop, &a->work, do_prepare, prepared);
}

void worker_activity_begin(struct worker *w, struct poller *p, Pb__PollActivityTaskQueueResponse *task)
{
    struct activity_runner *r = w->activities;
    struct activity *a = mem_zalloc(sizeof *a);
    if (!a) { /* the task times out and is handed out again */
        engine_free_message(&task->base);
        poller_send(p, &r->inbox);
        return;
    }
    a->worker = w;
    a->poller = p;
    a->task = task;
    a->in_fd = a->out_fd = a->err_fd = -1;
    strbuf_init(&a->findings, ACTIVITY_FINDINGS_BYTES_MAX);
    os_ulid(a->token_id);
    a->begun_ns = os_mono_ns();
    a->next = r->first;
    if (r->first)
        r->first->prev = a;
    r->first = a;
    atomic_fetch_add(&r->running, 1);
    /* From here on: to lay out a large target takes its time as well. */
    uv_timer_init(&r->loop, &a->heartbeat);
    a->heartbeat.data = a;
    a->handles++;
    uint64_t every = heartbeat_interval(a);
    uv_timer_start(&a->heartbeat, on_heartbeat, every, every);
    a->work.data = a;
    uv_queue_work(&r->loop, &a->work, do_prepare, prepared);
}

void worker_activity_ask(struct activity *a)
{
    a->asked = true;
    on_heartbeat(&a->heartbeat);
}

void worker_activity_abandon(struct activity *a)
{
    a->abandoned = a->stopped = true;
    kill_for(a, NULL);
}
