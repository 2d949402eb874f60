/* The activity thread: an event loop that takes activity tasks and keeps the slots of each vertical. */
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sanitizer.h"
#include "base/units.h"
#include "os/clock.h"
#include "worker/activity_internal.h"

#include <string.h>

static void retire(struct activity_runner *r, struct poller *p)
{
    poller_free(p);
    atomic_fetch_sub(&r->pollers, 1);
}

static bool all_brief(const struct worker *w)
{
    return w->activities->usual_ns > 0 && w->activities->usual_ns < w->o.brief_ms * NS_PER_MS;
}

static void poll_again(struct worker *w, struct poller *p)
{
    if (w->activities->stopping || (p->extra && !all_brief(w))) {
        p->vertical->extra -= p->extra;
        retire(w->activities, p);
    } else {
        poller_send(p, &w->activities->inbox);
    }
}

static int add_poll(struct worker *w, struct vertical *v, bool extra, struct err *err)
{
    struct poller *p = poller_new(w, ENGINE_POLL_ACTIVITY_TASK, v, false);
    if (!p)
        return err_nomem(err);
    p->extra = extra;
    v->extra += extra;
    atomic_fetch_add(&w->activities->pollers, 1);
    poller_send(p, &w->activities->inbox);
    return 0;
}

/* Each brief one that ends lets one more be taken. */
static void learn(struct activity *a, struct vertical *v)
{
    struct worker *w = a->worker;
    struct activity_runner *r = w->activities;
    int64_t took = os_mono_ns() - a->begun_ns;
    r->usual_ns = r->usual_ns ? r->usual_ns + (took - r->usual_ns) / 4 : took;
    if (!r->stopping && v->extra < w->o.activity_extra && all_brief(w))
        add_poll(w, v, true, NULL); /* without memory there is none */
}

static void handle_answer(struct worker *w, struct poller *p)
{
    Pb__PollActivityTaskQueueResponse *task = (Pb__PollActivityTaskQueueResponse *)TAKE_PTR(p->answer);
    if (task && task->task_token.len && task->activity_type && task->workflow_execution &&
        !w->activities->stopping) {
        worker_activity_begin(w, p, task);
        return;
    }
    engine_free_message(task ? &task->base : NULL);
    poll_again(w, p);
}

int activity_runner_running(const struct worker *w)
{
    return w->activities ? atomic_load(&w->activities->running) : 0;
}

void activity_runner_over(struct activity *a)
{
    struct activity_runner *r = a->worker->activities;
    atomic_fetch_sub(&r->running, 1);
    *(a->prev ? &a->prev->next : &r->first) = a->next;
    if (a->next)
        a->next->prev = a->prev;
    activity_runner_next(a);
}

void activity_runner_next(struct activity *a)
{
    struct poller *p = TAKE_PTR(a->poller);
    if (!p)
        return;
    learn(a, p->vertical);
    poll_again(a->worker, p);
}

static void close_handles(struct activity_runner *r)
{
    if (r->closed)
        return;
    pthread_mutex_lock(&r->lock); /* nobody wakes what is closed */
    r->closed = true;
    pthread_mutex_unlock(&r->lock);
    uv_close((uv_handle_t *)&r->wake, NULL);
    uv_close((uv_handle_t *)&r->spawner, NULL);
}

void activity_runner_ask(struct worker *w, const char *run_id)
{
    struct activity_runner *r = w->activities;
    if (!r || !r->started || !atomic_load(&r->running))
        return;
    char *copy = mem_strdup(run_id);
    pthread_mutex_lock(&r->lock);
    bool sent = !r->closed && copy && VEC_PUSH(&r->asked, copy);
    if (sent)
        uv_async_send(&r->wake);
    pthread_mutex_unlock(&r->lock);
    if (!sent) /* then the next heartbeat asks */
        free(copy);
}

/* Those whose run was asked for. */
static void ask_activities(struct activity_runner *r)
{
    pthread_mutex_lock(&r->lock);
    typeof(r->asked) asked = r->asked;
    memset(&r->asked, 0, sizeof r->asked);
    pthread_mutex_unlock(&r->lock);
    VEC_EACH(&asked, run_id) {
        for (struct activity *a = r->first; a; a = a->next)
            if (strcmp(a->task->workflow_execution->run_id, *run_id) == 0)
                worker_activity_ask(a);
        free(*run_id);
    }
    VEC_RELEASE(&asked);
}

/* Something was put in the inbox, a heartbeat was answered, or it is time to stop. */
static void on_wake(uv_async_t *handle)
{
    struct worker *w = handle->data;
    struct activity_runner *r = w->activities;
    if (atomic_load(&w->stopping) && !r->stopping) {
        r->stopping = true;
        for (struct activity *a = r->first, *next; a; a = next) {
            next = a->next;
            worker_activity_abandon(a);
        }
    }
    ask_activities(r);
    pthread_mutex_lock(&r->lock);
    struct activity *exited = TAKE_PTR(r->exited);
    pthread_mutex_unlock(&r->lock);
    while (exited) {
        struct activity *a = exited;
        exited = a->next_exited;
        worker_activity_exited(a);
    }
    for (;;) {
        pthread_mutex_lock(&r->lock);
        struct activity *a = r->answered;
        if (a)
            r->answered = a->next_answered;
        pthread_mutex_unlock(&r->lock);
        if (!a)
            break;
        worker_activity_heartbeat_answered(a);
    }
    struct poller *p = inbox_take(&r->inbox, false);
    if (inbox_failed(p) && !r->stopping)
        os_sleep_ms(POLL_PAUSE_MS);
    while (p) {
        struct poller *next = p->next;
        handle_answer(w, p);
        p = next;
    }
    if (r->stopping && !r->first && atomic_load(&r->pollers) == 0)
        close_handles(r);
}

static void on_spawner(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    struct worker *w = handle->data;
    struct err err = {0};
    if (spawner_dispatch(w->o.spawner, &err) < 0) {
        log_error("%s", err.msg);
        uv_poll_stop(handle);
    }
}

static void wake_loop(void *arg)
{
    uv_async_send(arg);
}

static void *run_thread(void *arg)
{
    struct worker *w = arg;
    uv_run(&w->activities->loop, UV_RUN_DEFAULT);
    return NULL;
}

int activity_runner_add(struct worker *w, struct vertical *v, struct err *err)
{
    int r = 0;
    for (int i = 0; r == 0 && i < w->o.activity_slots; i++)
        r = add_poll(w, v, false, err);
    return r;
}

int activity_runner_start(struct worker *w, struct err *err)
{
    struct activity_runner *r = mem_zalloc(sizeof *r);
    if (!r)
        return err_nomem(err);
    w->activities = r;
    pthread_mutex_init(&r->lock, NULL);
    if (!(r->buf = mem_alloc(ACTIVITY_READ_MAX)))
        return err_nomem(err);
    inbox_init(&r->inbox);
    int e = uv_loop_init(&r->loop);
    if (e < 0)
        return err_set(err, ERR_IO, "event loop: %s", uv_strerror(e));
    r->has_loop = true;
    r->wake.data = r->spawner.data = w;
    e = uv_async_init(&r->loop, &r->wake, on_wake);
    if (e < 0)
        return err_set(err, ERR_IO, "event loop: %s", uv_strerror(e));
    r->inbox.wake = wake_loop;
    r->inbox.wake_arg = &r->wake;
    e = uv_poll_init(&r->loop, &r->spawner, spawner_fd(w->o.spawner));
    if (e < 0)
        return err_set(err, ERR_IO, "event loop: %s", uv_strerror(e));
    uv_poll_start(&r->spawner, UV_READABLE, on_spawner);
    e = pthread_create(&r->thread, NULL, run_thread, w);
    if (e)
        return err_sys(err, e, "start the activity thread");
    r->started = true;
    return 0;
}

static void close_one(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

void activity_runner_free(struct worker *w)
{
    struct activity_runner *r = TAKE_PTR(w->activities);
    if (!r)
        return;
    if (r->has_loop) {
        uv_walk(&r->loop, close_one, NULL); /* of a start that failed half-way */
        uv_run(&r->loop, UV_RUN_DEFAULT);
        int e = uv_loop_close(&r->loop);
        ASSERT(e == 0);
    }
    VEC_EACH(&r->asked, run_id)
        free(*run_id);
    VEC_RELEASE(&r->asked);
    worker_folder_release(r);
    free(r->buf);
    inbox_release(&r->inbox);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

#ifdef BUILT_WITH_ASAN
/* The pool's threads end before OpenSSL does, which then keeps nothing for them that LeakSanitizer could take for a leak. */
static void end_pool(void)
{
    atexit(uv_library_shutdown);
}
#endif

void activity_runner_stop(struct worker *w)
{
    struct activity_runner *r = w->activities;
    if (!r || !r->started)
        return;
    uv_async_send(&r->wake);
    pthread_join(r->thread, NULL);
#ifdef BUILT_WITH_ASAN
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, end_pool);
#endif
}
