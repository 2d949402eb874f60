#include "api/grpc/health.h"

#include "base/mem.h"
#include "engine/engine.h"

#include <string.h>

#define WATCHES_MAX 1000 /* they need no token */

struct health_watch {
    struct health_watch *prev, *next; /* health->watches; whoever takes it out ends its call */
    struct health *health;
    struct rpc_call *call;
    bool known;        /* the service */
    bool listed, gone; /* under the lock */
};

void health_init(struct health *h)
{
    *h = (struct health){0};
    pthread_mutex_init(&h->lock, NULL);
}

void health_release(struct health *h)
{
    pthread_mutex_destroy(&h->lock);
}

static bool known(const ProtobufCMessage *req)
{
    const char *service = ((const Pb__HealthCheckRequest *)req)->service;
    return !*service || strcmp(service, ENGINE_SERVICE) == 0 || strcmp(service, ENGINE_OPERATOR_SERVICE) == 0;
}

/* Under the lock. */
static Pb__HealthStatus status(const struct health *h, bool is_known)
{
    return !is_known     ? PB__HEALTH_STATUS__HEALTH_STATUS_SERVICE_UNKNOWN
           : h->draining ? PB__HEALTH_STATUS__HEALTH_STATUS_NOT_SERVING
                         : PB__HEALTH_STATUS__HEALTH_STATUS_SERVING;
}

void health_check(struct health *h, struct rpc_call *call, const ProtobufCMessage *req)
{
    Pb__HealthCheckResponse r = PB__HEALTH_CHECK_RESPONSE__INIT;
    struct err err = {0};
    if (!known(req)) {
        err_set(&err, ERR_NOT_FOUND, "unknown service %.100s", ((const Pb__HealthCheckRequest *)req)->service);
        rpc_call_fail(call, &err, NULL, NULL);
        return;
    }
    pthread_mutex_lock(&h->lock);
    r.status = status(h, true);
    pthread_mutex_unlock(&h->lock);
    rpc_call_reply(call, &r.base);
}

/* Under the lock. A status for which there is no memory is missed: the next one is not, or the stream's end. */
static void tell(struct health_watch *w)
{
    Pb__HealthCheckResponse r = PB__HEALTH_CHECK_RESPONSE__INIT;
    r.status = status(w->health, w->known);
    (void)rpc_call_send(w->call, &r.base);
}

/* Under the lock. */
static void take_out(struct health_watch *w)
{
    *(w->prev ? &w->prev->next : &w->health->watches) = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->health->watches_count--;
    w->listed = false;
}

static void end(struct health_watch *w, int code, const char *why)
{
    struct err err = {0};
    err_set(&err, code, "%s", why);
    rpc_call_fail(w->call, &err, NULL, NULL);
    free(w);
}

/* Whoever ends the call meanwhile waits in rpc_call_fail() until this is through. */
static void watcher_gone(void *arg)
{
    struct health_watch *w = arg;
    struct health *h = w->health;
    pthread_mutex_lock(&h->lock);
    bool mine = w->listed;
    if (mine)
        take_out(w);
    w->gone = true;
    pthread_mutex_unlock(&h->lock);
    if (mine)
        end(w, ERR_CANCELLED, "the watcher has gone");
}

/* Under the lock. */
static void put_in(struct health *h, struct health_watch *w)
{
    w->next = h->watches;
    if (w->next)
        w->next->prev = w;
    h->watches = w;
    h->watches_count++;
    w->listed = true;
    tell(w);
}

void health_watch(struct health *h, struct rpc_call *call, const ProtobufCMessage *req)
{
    struct health_watch *w = mem_zalloc(sizeof *w);
    struct err err = {0};
    if (!w) {
        err_nomem(&err);
        rpc_call_fail(call, &err, NULL, NULL);
        return;
    }
    *w = (struct health_watch){.health = h, .call = call, .known = known(req)};
    rpc_call_on_cancel(call, watcher_gone, w); /* before it can be ended; it may be gone already */
    pthread_mutex_lock(&h->lock);
    bool full = h->watches_count >= WATCHES_MAX, stay = !w->gone && !h->ended && !full;
    if (stay)
        put_in(h, w);
    pthread_mutex_unlock(&h->lock);
    if (!stay)
        end(w, full ? ERR_LIMIT : ERR_UNAVAILABLE, full ? "too many watch already" : "the server ends");
}

void health_drain(struct health *h)
{
    pthread_mutex_lock(&h->lock);
    bool change = !h->draining;
    h->draining = true;
    for (struct health_watch *w = change ? h->watches : NULL; w; w = w->next)
        if (w->known)
            tell(w);
    pthread_mutex_unlock(&h->lock);
}

void health_end(struct health *h)
{
    health_drain(h);
    pthread_mutex_lock(&h->lock);
    h->ended = true;
    while (h->watches) {
        struct health_watch *w = h->watches;
        take_out(w);
        pthread_mutex_unlock(&h->lock);
        end(w, ERR_UNAVAILABLE, "the server ends");
        pthread_mutex_lock(&h->lock);
    }
    pthread_mutex_unlock(&h->lock);
}
