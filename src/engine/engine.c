/* What all engines share: the table of calls and the blocking form of a call. */
#include "engine/engine.h"

#include "base/assert.h"

#include <pthread.h>

static const struct engine_method_info methods[] = {
#define X(NAME, Rpc, lower, method_flags)                                                          \
    [ENGINE_##NAME] = {.rpc = #Rpc,                                                                \
                       .request = &pb__##lower##_request__descriptor,                              \
                       .response = &pb__##lower##_response__descriptor,                            \
                       .flags = method_flags},
    ENGINE_METHODS(X)
#undef X
};

const struct engine_method_info *engine_method_info(enum engine_method m)
{
    ASSERT(m >= 0 && m < ENGINE_METHOD_COUNT_);
    return &methods[m];
}

void engine_call(struct engine *e, enum engine_method m, const ProtobufCMessage *req,
                 int64_t timeout_ms, engine_done *done, void *arg)
{
    ASSERT(req->descriptor == engine_method_info(m)->request);
    e->ops->call(e, m, req, timeout_ms, done, arg);
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    ProtobufCMessage *resp;
    struct err err;
};

static void wake(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct waiter *w = arg;
    pthread_mutex_lock(&w->lock);
    w->resp = resp;
    w->err = *err;
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

int engine_call_sync(struct engine *e, enum engine_method m, const ProtobufCMessage *req,
                     int64_t timeout_ms, ProtobufCMessage **ret_resp, struct err *err)
{
    struct waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    engine_call(e, m, req, timeout_ms, wake, &w);
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_mutex_destroy(&w.lock);
    pthread_cond_destroy(&w.cond);
    if (!w.resp)
        return err_copy(err, &w.err), w.err.code ? -w.err.code : -ERR_INTERNAL;
    if (ret_resp)
        *ret_resp = w.resp;
    else
        engine_free_message(w.resp);
    return 0;
}

void engine_free_message(ProtobufCMessage *m)
{
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
}

void engine_drain(struct engine *e)
{
    e->ops->drain(e);
}

void engine_free(struct engine *e)
{
    if (e) {
        e->ops->drain(e);
        e->ops->free(e);
    }
}
