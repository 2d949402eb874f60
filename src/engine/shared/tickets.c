/* Calls while another process holds the engine: sent to it, and sent again to whoever holds it next. */
#include "engine/shared/shared_internal.h"

#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"

#include <string.h>

#define PLAIN_MS 10000
#define POLL_MS 60000
#define HISTORY_MS 20000
#define AGAIN_MS 50 /* a holder that is there but not able is not asked in a tight loop */

static bool is_task_poll(enum engine_method m)
{
    return m == ENGINE_POLL_WORKFLOW_TASK || m == ENGINE_POLL_ACTIVITY_TASK;
}

/* Answered late on purpose. */
static bool waits(const struct ticket *t)
{
    if (t->method == ENGINE_GET_HISTORY)
        return ((const Pb__GetWorkflowExecutionHistoryRequest *)t->req)->wait_new_event;
    return engine_method_info(t->method)->flags & ENGINE_LONG_POLL;
}

static bool repeatable(const struct ticket *t)
{
    return is_task_poll(t->method) || (engine_method_info(t->method)->flags & ENGINE_REPEATABLE);
}

static int64_t default_ms(const struct ticket *t)
{
    if (is_task_poll(t->method))
        return POLL_MS;
    return t->method == ENGINE_GET_HISTORY && waits(t) ? HISTORY_MS : PLAIN_MS;
}

static void unlink_ticket(struct ticket *t)
{
    struct shared *s = t->shared;
    *(t->prev ? &t->prev->next : &s->tickets) = t->next;
    if (t->next)
        t->next->prev = t->prev;
}

static void answer(struct ticket *t, ProtobufCMessage *resp, const struct err *err)
{
    t->done(t->arg, resp, err);
    free(t);
}

/* As the embedded engine answers a poll in whose time nothing came. NULL: memory is out. */
static ProtobufCMessage *nothing(enum engine_method m)
{
    const ProtobufCMessageDescriptor *d = engine_method_info(m)->response;
    ProtobufCMessage *r = mem_alloc(d->sizeof_message);
    if (r)
        protobuf_c_message_init(d, r);
    return r;
}

static void no_holder(struct shared *s, struct err *err)
{
    pthread_mutex_lock(&s->lock);
    *err = s->why;
    pthread_mutex_unlock(&s->lock);
    if (!err->code)
        err_set(err, ERR_UNAVAILABLE, "nobody holds the engine of %s", s->dir);
}

/* Of one that is out of the list: its time is over, or nobody wants it any more. */
static void answer_unanswered(struct ticket *t, bool draining)
{
    struct err err = {0};
    ProtobufCMessage *r = NULL;
    if (t->cancelled)
        err_set(&err, ERR_CANCELLED, "the caller has gone");
    else if (t->refused)
        err_set(&err, ERR_UNAVAILABLE, "the engine is closing");
    else if (is_task_poll(t->method) || (draining && waits(t) && t->method == ENGINE_GET_HISTORY))
        (r = nothing(t->method)) ? 0 : err_nomem(&err);
    else if (draining)
        err_set(&err, ERR_UNAVAILABLE, "the engine is closing");
    else
        no_holder(t->shared, &err);
    answer(t, r, &err);
}

/* The connection is gone, or who is there does not hold the engine (any more). */
static bool is_loss(int code)
{
    return code == ERR_UNAVAILABLE || code == ERR_BUSY || code == ERR_CANCELLED;
}

/* never_left: another process did not begin with it. */
static void answered(struct ticket *t, bool remote, bool never_left, ProtobufCMessage *resp, const struct err *err,
                     ProtobufCMessage *detail)
{
    struct shared *s = t->shared;
    pthread_mutex_lock(&s->lock);
    t->sent = false;
    bool late = remote && err->code == ERR_TIMEOUT && is_task_poll(t->method);
    bool draining = s->draining[t->outside] && waits(t);
    int64_t now = os_mono_ns();
    bool may = remote && (is_loss(err->code) || late) && (repeatable(t) || never_left);
    bool again = may && !t->cancelled && !draining && !s->stop && now < t->until;
    if (again) {
        t->again = s->remote ? now + AGAIN_MS * NS_PER_MS : 0;
        shared_nudge(s);
        pthread_mutex_unlock(&s->lock);
        engine_free_message(resp);
        engine_free_message(detail);
        return;
    }
    unlink_ticket(t);
    pthread_mutex_unlock(&s->lock);
    if (err->code && (late || t->cancelled || (draining && is_loss(err->code)))) {
        engine_free_message(detail);
        answer_unanswered(t, draining);
    } else if (remote && err->code == ERR_CANCELLED) { /* under way when the holder went: nobody knows whether it was done */
        struct err lost = {0};
        engine_free_message(detail);
        err_set(&lost, ERR_UNAVAILABLE, "the process that held the engine has ended during the call");
        answer(t, NULL, &lost);
    } else {
        answer(t, err->code ? detail : resp, err);
    }
}

static void by_remote(void *arg, ProtobufCMessage *resp, const struct err *err, ProtobufCMessage *detail, bool never_left)
{
    answered(arg, true, never_left, resp, err, detail);
}

static void by_local(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    answered(arg, false, false, err->code ? NULL : resp, err, err->code ? resp : NULL);
}

static int64_t left_ms(const struct ticket *t)
{
    int64_t ms = (t->until - os_mono_ns()) / NS_PER_MS;
    return ms > 1 ? ms : 1;
}

/* Called under the lock, which it gives up for a call into this process's engine. */
static void send_ticket(struct shared *s, struct ticket *t, struct engine *local)
{
    enum engine_method m = t->method;
    const struct engine_method_info *info = engine_method_info(m);
    int64_t ms = left_ms(t);
    t->sent = true;
    if (!local) { /* the holder answers a poll before its deadline, so that its caller hears of it */
        int64_t patience = waits(t) ? ms + ENGINE_SHARED_MARGIN_MS : ms;
        t->sent = (engine_gathers() ? link_client_queue : link_client_call)(s->remote, info->path, t->req, info->response, ms,
                                                                            patience, by_remote, t);
        if (!t->sent) { /* it has gone */
            t->again = os_mono_ns() + AGAIN_MS * NS_PER_MS;
            shared_nudge(s);
        }
        return;
    }
    pthread_mutex_unlock(&s->lock);
    engine_call(t->outside ? engine_embedded_outside(local) : local, m, t->req, ms, by_local, t);
    pthread_mutex_lock(&s->lock);
}

/* One that has to be dealt with now, taken out of the list unless it is to be sent. */
static struct ticket *due(struct shared *s, int64_t now, bool able, int64_t *io_next, bool *ret_send)
{
    for (struct ticket *t = s->tickets; t; t = t->next) {
        if (t->sent)
            continue;
        bool over = t->cancelled || s->stop || now >= t->until || (s->draining[t->outside] && waits(t));
        *ret_send = !over && able && now >= t->again;
        if (over)
            unlink_ticket(t);
        if (over || *ret_send)
            return t;
        int64_t next = able && t->again < t->until ? t->again : t->until;
        if (next < *io_next)
            *io_next = next;
    }
    return NULL;
}

void tickets_look(struct shared *s, int64_t *ret_next)
{
    struct ticket *t;
    bool send;
    *ret_next = INT64_MAX;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        struct engine *local = atomic_load(&s->local);
        t = due(s, os_mono_ns(), local || s->remote, ret_next, &send);
        if (!t)
            break;
        if (send) {
            send_ticket(s, t, local);
            continue;
        }
        bool draining = s->draining[t->outside];
        pthread_mutex_unlock(&s->lock);
        answer_unanswered(t, draining);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

void tickets_take(struct shared *s, bool outside, enum engine_method m, const ProtobufCMessage *req, int64_t timeout_ms,
                  engine_done *done, void *arg)
{
    struct ticket *t = mem_zalloc(sizeof *t);
    struct err err = {0};
    if (!t) {
        err_nomem(&err);
        done(arg, NULL, &err);
        return;
    }
    *t = (struct ticket){.shared = s, .method = m, .req = req, .done = done, .arg = arg, .outside = outside};
    t->timeout_ms = timeout_ms > 0 ? timeout_ms : default_ms(t);
    t->until = os_mono_ns() + t->timeout_ms * NS_PER_MS;
    pthread_mutex_lock(&s->lock);
    t->next = s->tickets;
    if (t->next)
        t->next->prev = t;
    s->tickets = t;
    struct engine *local = atomic_load(&s->local);
    t->refused = s->draining[outside] && waits(t);
    if ((local || s->remote) && !t->refused)
        send_ticket(s, t, local);
    else
        shared_nudge(s);
    pthread_mutex_unlock(&s->lock);
}

void tickets_hurry(struct shared *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct ticket *t = s->tickets; t; t = t->next)
        t->again = 0;
    pthread_mutex_unlock(&s->lock);
}

void tickets_drain(struct shared *s)
{
    for (struct ticket *t = s->tickets; t; t = t->next)
        if (t->sent && waits(t) && !t->outside)
            link_client_cancel(s->remote, by_remote, t);
}

bool tickets_cancel(struct shared *s, engine_done *done, void *arg)
{
    pthread_mutex_lock(&s->lock);
    struct ticket *t = s->tickets;
    while (t && (t->done != done || t->arg != arg))
        t = t->next;
    struct engine *local = atomic_load(&s->local);
    if (t)
        t->cancelled = true;
    bool sent = t && t->sent;
    if (t && !sent)
        shared_nudge(s);
    if (sent && !local && s->remote)
        link_client_cancel(s->remote, by_remote, t);
    struct engine *face = sent && local ? t->outside ? engine_embedded_outside(local) : local : NULL;
    pthread_mutex_unlock(&s->lock);
    if (face) /* t is but a name there: it may be answered by now */
        engine_cancel(face, by_local, t);
    return t != NULL;
}
