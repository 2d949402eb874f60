/* Start, stop, and the polls that both runners share. */
#include "worker/worker.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/pbx.h"
#include "codec/utf8.h"
#include "os/clock.h"
#include "worker/claim.h"
#include "worker/worker_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define AGAIN_MS 200

char *worker_queue_name(const char *vertical)
{
    return mem_printf("%s-queue", vertical);
}

void inbox_init(struct inbox *in)
{
    *in = (struct inbox){.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    in->tail = &in->head;
}

void inbox_release(struct inbox *in)
{
    pthread_mutex_destroy(&in->lock);
    pthread_cond_destroy(&in->cond);
}

struct poller *inbox_take(struct inbox *in, bool wait)
{
    pthread_mutex_lock(&in->lock);
    while (wait && !in->head && !in->stop && !in->nudged)
        pthread_cond_wait(&in->cond, &in->lock);
    in->nudged = false;
    struct poller *list = in->head;
    in->head = NULL;
    in->tail = &in->head;
    pthread_mutex_unlock(&in->lock);
    return list;
}

void inbox_nudge(struct inbox *in)
{
    pthread_mutex_lock(&in->lock);
    in->nudged = true;
    pthread_cond_signal(&in->cond);
    pthread_mutex_unlock(&in->lock);
}

void inbox_stop(struct inbox *in)
{
    pthread_mutex_lock(&in->lock);
    in->stop = true;
    pthread_cond_broadcast(&in->cond);
    pthread_mutex_unlock(&in->lock);
}

bool inbox_failed(const struct poller *list)
{
    for (; list; list = list->next)
        if (list->err.code) {
            log_debug("poll: %s", list->err.msg);
            return true;
        }
    return false;
}

static void set_queue(Pb__TaskQueue *q, const struct vertical *v, bool sticky)
{
    q->name = pbx_str(sticky ? v->sticky : v->queue);
    q->kind = sticky ? PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_STICKY
                     : PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_NORMAL;
    q->normal_name = pbx_str(sticky ? v->queue : "");
}

struct poller *poller_new(struct worker *w, enum engine_method m, struct vertical *v, bool sticky)
{
    struct poller *p = mem_zalloc(sizeof *p);
    Pb__TaskQueue *q = mem_zalloc(sizeof *q);
    if (!p || !q)
        goto nomem;
    pb__task_queue__init(q);
    set_queue(q, v, sticky);
    if (!q->name || !q->normal_name)
        goto nomem;
    if (m == ENGINE_POLL_WORKFLOW_TASK) {
        Pb__PollWorkflowTaskQueueRequest *r = mem_alloc(sizeof *r);
        if (!r)
            goto nomem;
        pb__poll_workflow_task_queue_request__init(r);
        r->namespace_ = pbx_str(w->name_space);
        r->identity = pbx_str(w->identity);
        r->task_queue = q;
        p->request = &r->base;
    } else {
        Pb__PollActivityTaskQueueRequest *r = mem_alloc(sizeof *r);
        if (!r)
            goto nomem;
        pb__poll_activity_task_queue_request__init(r);
        r->namespace_ = pbx_str(w->name_space);
        r->identity = pbx_str(w->identity);
        r->task_queue = q;
        p->request = &r->base;
    }
    p->worker = w;
    p->method = m;
    p->vertical = v;
    p->sticky = sticky;
    return p;
nomem:
    if (q)
        pb__task_queue__free_unpacked(q, NULL);
    free(p);
    return NULL;
}

void poller_free(struct poller *p)
{
    engine_free_message(p->request);
    engine_free_message(p->answer);
    free(p);
}

static void poll_answered(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct poller *p = arg;
    struct inbox *to = p->to;
    struct worker *w = p->worker;
    if (err->code) {
        engine_free_message(resp);
        resp = NULL;
    }
    p->answer = resp;
    p->err = *err;
    p->next = NULL;
    pthread_mutex_lock(&to->lock);
    *to->tail = p;
    to->tail = &p->next;
    pthread_cond_signal(&to->cond);
    if (to->wake)
        to->wake(to->wake_arg);
    pthread_mutex_unlock(&to->lock);
    atomic_fetch_sub(&w->calls_out, 1);
}

void poller_send(struct poller *p, struct inbox *to)
{
    p->to = to;
    atomic_fetch_add(&p->worker->calls_out, 1);
    engine_call(p->worker->o.engine, p->method, p->request, 0, poll_answered, p);
}

struct plain_call {
    struct worker *worker;
    enum engine_method method;
    ProtobufCMessage *req;
    const char *what;
    char *ask; /* run id */
    struct plain_call *next;
};

static void plain_free(struct plain_call *c)
{
    engine_free_message(c->req);
    free(c->ask);
    free(c);
}

/* The engine goes on by itself when there is room again; somebody should know that it waits. */
static void tell_no_room(struct worker *w, const struct err *err)
{
    json_t *data = err->code == ERR_NO_SPACE ? json_pack("{s:s}", "message", err->msg) : NULL;
    if (data)
        worker_emit(w, "", "", 0, "no_space", data);
    json_decref(data);
}

static void plain_answered(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct plain_call *c = arg;
    struct worker *w = c->worker;
    engine_free_message(resp);
    if (err->code == ERR_LIMIT && c->method == ENGINE_COMPLETE_WORKFLOW_TASK)
        workflow_runner_refuse(w, c->req, err);
    if (err->code && err_retryable(err->code) && !atomic_load(&w->stopping)) {
        log_debug("%s: %s; trying again", c->what, err->msg);
        tell_no_room(w, err);
        pthread_mutex_lock(&w->lock_again);
        c->next = w->again;
        w->again = c;
        pthread_mutex_unlock(&w->lock_again);
        workflow_runner_nudge(w);
    } else {
        /* NOT_FOUND: the task was timed out or its run is closed; what we did is of no use any more. */
        if (err->code && err->code != ERR_NOT_FOUND && err->code != ERR_CANCELLED)
            log_msg(c->method == ENGINE_SHUTDOWN_WORKER ? LOG_INFO : LOG_WARN, "%s: %s", c->what, err->msg);
        if (!err->code && c->ask)
            activity_runner_ask(w, c->ask);
        plain_free(c);
    }
    atomic_fetch_sub(&w->calls_out, 1);
}

static void plain_send(struct plain_call *c)
{
    atomic_fetch_add(&c->worker->calls_out, 1);
    engine_call(c->worker->o.engine, c->method, c->req, 0, plain_answered, c);
}

void worker_call(struct worker *w, enum engine_method m, ProtobufCMessage *req, const char *what)
{
    worker_call_then_ask(w, m, req, what, NULL);
}

void worker_call_then_ask(struct worker *w, enum engine_method m, ProtobufCMessage *req, const char *what, const char *run_id)
{
    struct plain_call *c = mem_alloc(sizeof *c);
    if (!c) {
        log_error("%s: out of memory", what);
        engine_free_message(req);
        return;
    }
    *c = (struct plain_call){w, m, req, what, run_id ? mem_strdup(run_id) : NULL, NULL};
    plain_send(c);
}

bool worker_call_again(struct worker *w)
{
    pthread_mutex_lock(&w->lock_again);
    struct plain_call *list = w->again;
    w->again = NULL;
    pthread_mutex_unlock(&w->lock_again);
    bool any = list != NULL, stopping = atomic_load(&w->stopping);
    if (any && !stopping)
        os_sleep_ms(AGAIN_MS); /* an engine in trouble is not asked in a tight loop */
    for (struct plain_call *next; list; list = next) {
        next = list->next;
        if (stopping)
            plain_free(list);
        else
            plain_send(list);
    }
    return any;
}

void worker_clean_text(char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(text + i, len - i);
        if (!n || !text[i])
            text[i] = '?';
        i += n ? n : 1;
    }
}

void worker_emit(struct worker *w, const char *workflow_id, const char *module, int attempt,
                 const char *type, const json_t *data)
{
    if (!w->o.on_event)
        return;
    struct worker_event e = {w->name_space, workflow_id, module, attempt, type, data};
    w->o.on_event(w->o.on_event_arg, &e);
}

static void vertical_free(struct vertical *v)
{
    if (!v)
        return;
    free(v->name);
    free(v->queue);
    free(v->sticky);
    free(v);
}

static struct vertical *vertical_new(const char *name)
{
    char uuid[37];
    struct vertical *v = mem_zalloc(sizeof *v);
    os_uuid(uuid);
    if (v) {
        v->name = mem_strdup(name);
        v->queue = worker_queue_name(name);
        v->sticky = mem_printf("ff-sticky-%s", uuid);
    }
    if (v && v->name && v->queue && v->sticky)
        return v;
    vertical_free(v);
    return NULL;
}

int worker_add_vertical(struct worker *w, const char *vertical, struct err *err)
{
    pthread_mutex_lock(&w->lock);
    int r = atomic_load(&w->stopping) ? err_set(err, ERR_CANCELLED, "the worker stops") : 0;
    if (r < 0)
        goto out;
    for (size_t i = 0; i < w->verticals_count; i++)
        if (strcmp(w->verticals[i]->name, vertical) == 0)
            goto out;
    if (w->verticals_count == WORKER_VERTICALS_MAX) {
        r = err_set(err, ERR_LIMIT, "more than %d verticals", WORKER_VERTICALS_MAX);
        goto out;
    }
    struct vertical *v = vertical_new(vertical);
    if (!v) {
        r = err_nomem(err);
        goto out;
    }
    w->verticals[w->verticals_count++] = v;
    r = workflow_runner_add(w, v, err);
    if (r == 0 && w->activities)
        r = activity_runner_add(w, v, err);
out:
    pthread_mutex_unlock(&w->lock);
    return r;
}

static int set_names(struct worker *w, struct err *err)
{
    char host[64] = "localhost";
    gethostname(host, sizeof host - 1);
    w->identity = w->o.identity ? mem_strdup(w->o.identity) : mem_printf("%d@%s", (int)getpid(), host);
    w->name_space = mem_strdup(w->o.name_space ? w->o.name_space : "default");
    w->scratch_dir = mem_strdup(w->o.scratch_dir ? w->o.scratch_dir : "/tmp");
    return w->identity && w->name_space && w->scratch_dir ? 0 : err_nomem(err);
}

int worker_start(const struct worker_options *o, struct worker **ret, struct err *err)
{
    struct worker *w = mem_zalloc(sizeof *w);
    if (!w)
        return err_nomem(err);
    w->o = *o;
    pthread_mutex_init(&w->lock, NULL);
    pthread_mutex_init(&w->lock_again, NULL);
    pthread_mutex_init(&w->claims.lock, NULL);
    if (w->o.workflow_polls <= 0) {
        w->o.workflow_polls = 8;
        w->o.workflow_extra = 24;
    }
    if (w->o.activity_slots <= 0)
        w->o.activity_slots = (int)sysconf(_SC_NPROCESSORS_ONLN) + 1; /* one is prepared meanwhile */
    if (w->o.workflow_cache <= 0)
        w->o.workflow_cache = 512;
    if (w->o.heartbeat_ms <= 0)
        w->o.heartbeat_ms = 1000;
    int r = set_names(w, err);
    if (r == 0)
        r = workflow_runner_start(w, err);
    if (r == 0 && o->spawner)
        r = activity_runner_start(w, err);
    for (size_t i = 0; r == 0 && o->verticals && o->verticals[i]; i++)
        r = worker_add_vertical(w, o->verticals[i], err);
    if (r < 0) {
        worker_stop(w);
        return r;
    }
    *ret = w;
    return 0;
}

void worker_ask(struct worker *w, const char *run_id)
{
    activity_runner_ask(w, run_id);
}

const char *worker_identity(const struct worker *w)
{
    return w->identity;
}

void worker_slots(struct worker *w, int *ret_all, int *ret_busy)
{
    pthread_mutex_lock(&w->lock);
    *ret_all = (int)w->verticals_count * w->o.activity_slots;
    pthread_mutex_unlock(&w->lock);
    *ret_busy = activity_runner_running(w);
}

/* The runs that are cached here are everybody's from now on: the engine need not wait for us to miss their tasks. */
static void say_goodbye(struct worker *w)
{
    for (size_t i = 0; i < w->verticals_count; i++) {
        Pb__ShutdownWorkerRequest *req = mem_alloc(sizeof *req);
        if (!req)
            return;
        pb__shutdown_worker_request__init(req);
        req->namespace_ = pbx_str(w->name_space);
        req->identity = pbx_str(w->identity);
        req->sticky_task_queue = pbx_str(w->verticals[i]->sticky);
        req->reason = pbx_str("stop");
        worker_call(w, ENGINE_SHUTDOWN_WORKER, &req->base, "leave");
    }
}

void worker_stop(struct worker *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock); /* who adds a vertical now has its polls out, or finds that it is too late */
    atomic_store(&w->stopping, true);
    pthread_mutex_unlock(&w->lock);
    engine_drain(w->o.engine);
    activity_runner_stop(w);
    workflow_runner_stop(w);
    if (w->o.give_back)
        say_goodbye(w);
    while (atomic_load(&w->calls_out) > 0) /* answers that only free something, or nudge a runner */
        os_sleep_ms(1);
    worker_call_again(w);
    activity_runner_free(w);
    workflow_runner_free(w);
    pthread_mutex_destroy(&w->lock_again);
    worker_claims_release(w);
    for (size_t i = 0; i < w->verticals_count; i++)
        vertical_free(w->verticals[i]);
    pthread_mutex_destroy(&w->lock);
    free(w->identity);
    free(w->name_space);
    free(w->scratch_dir);
    free(w);
}
