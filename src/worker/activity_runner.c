/* The activity thread: an event loop that takes activity tasks and keeps the slots of each vertical. */
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "os/clock.h"
#include "worker/activity_internal.h"

#include <string.h>

static void retire(struct activity_runner *r, struct poller *p)
{
    poller_free(p);
    atomic_fetch_sub(&r->pollers, 1);
}

static void poll_again(struct worker *w, struct poller *p)
{
    if (w->activities->stopping)
        retire(w->activities, p);
    else
        poller_send(p, &w->activities->inbox);
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

void activity_runner_over(struct activity *a)
{
    struct activity_runner *r = a->worker->activities;
    *(a->prev ? &a->prev->next : &r->first) = a->next;
    if (a->next)
        a->next->prev = a->prev;
    poll_again(a->worker, a->poller);
    a->poller = NULL;
}

static void close_handles(struct activity_runner *r)
{
    if (r->closed)
        return;
    r->closed = true;
    uv_close((uv_handle_t *)&r->wake, NULL);
    uv_close((uv_handle_t *)&r->spawner, NULL);
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
    _cleanup_free_ char *queue = worker_queue_name(v->name);
    if (!queue)
        return err_nomem(err);
    for (int i = 0; i < w->o.activity_slots; i++) {
        struct poller *p = poller_new(w, ENGINE_POLL_ACTIVITY_TASK, queue, false, v);
        if (!p)
            return err_nomem(err);
        atomic_fetch_add(&w->activities->pollers, 1);
        poller_send(p, &w->activities->inbox);
    }
    return 0;
}

int activity_runner_start(struct worker *w, struct err *err)
{
    struct activity_runner *r = mem_zalloc(sizeof *r);
    if (!r)
        return err_nomem(err);
    w->activities = r;
    pthread_mutex_init(&r->lock, NULL);
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
    inbox_release(&r->inbox);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void activity_runner_stop(struct worker *w)
{
    struct activity_runner *r = w->activities;
    if (!r || !r->started)
        return;
    uv_async_send(&r->wake);
    pthread_join(r->thread, NULL);
}
