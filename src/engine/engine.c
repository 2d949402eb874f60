/* What all engines share: the table of calls and the blocking form of a call. */
#include "engine/engine.h"

#include "base/assert.h"

#include <pthread.h>

static const struct engine_method_info methods[] = {
#define X(NAME, Rpc, lower, method_flags)                                                          \
    [ENGINE_##NAME] = {.rpc = #Rpc,                                                                \
                       .path = (method_flags) & ENGINE_OPERATOR                                    \
                                   ? "/" ENGINE_OPERATOR_SERVICE "/" #Rpc                          \
                                   : "/" ENGINE_SERVICE "/" #Rpc,                                  \
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

#define DETAIL(Name, lower)                                                                        \
    {                                                                                              \
        "temporal.api.errordetails.v1." #Name "Failure", &pb__error_detail_##lower##__descriptor   \
    }

const struct engine_detail_type engine_details[] = {
    DETAIL(NotFound, not_found),
    DETAIL(WorkflowExecutionAlreadyStarted, workflow_execution_already_started),
    DETAIL(NamespaceNotFound, namespace_not_found),
    DETAIL(NamespaceAlreadyExists, namespace_already_exists),
    DETAIL(CancellationAlreadyRequested, cancellation_already_requested),
    DETAIL(QueryFailed, query_failed),
    DETAIL(WorkflowNotReady, workflow_not_ready),
    DETAIL(PermissionDenied, permission_denied),
    DETAIL(ResourceExhausted, resource_exhausted),
    DETAIL(MultiOperationExecution, multi_operation_execution),
};

#undef DETAIL

const size_t engine_details_count = sizeof engine_details / sizeof *engine_details;

const char *engine_detail_name(const ProtobufCMessageDescriptor *d)
{
    for (size_t i = 0; i < engine_details_count; i++)
        if (engine_details[i].descriptor == d)
            return engine_details[i].name;
    return NULL;
}

void engine_call(struct engine *e, enum engine_method m, const ProtobufCMessage *req,
                 int64_t timeout_ms, engine_done *done, void *arg)
{
    ASSERT(req->descriptor == engine_method_info(m)->request);
    e->ops->call(e, m, req, timeout_ms, done, arg);
}

void engine_cancel(struct engine *e, engine_done *done, void *arg)
{
    e->ops->cancel(e, done, arg);
}

static _Thread_local bool gathers;

void engine_gather(void)
{
    gathers = true;
}

bool engine_gathers(void)
{
    return gathers;
}

static void send_now(struct engine *e)
{
    if (e->ops->send)
        e->ops->send(e);
}

void engine_send(struct engine *e)
{
    gathers = false;
    send_now(e);
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

int engine_call_detail(struct engine *e, enum engine_method m, const ProtobufCMessage *req,
                       int64_t timeout_ms, ProtobufCMessage **ret_resp, ProtobufCMessage **ret_detail,
                       struct err *err)
{
    struct waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    engine_call(e, m, req, timeout_ms, wake, &w);
    if (gathers)
        send_now(e);
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_mutex_destroy(&w.lock);
    pthread_cond_destroy(&w.cond);
    ASSERT(w.resp || w.err.code);
    ProtobufCMessage **to = w.err.code ? ret_detail : ret_resp;
    if (to)
        *to = w.resp;
    else
        engine_free_message(w.resp);
    return w.err.code ? err_copy(err, &w.err) : 0;
}

int engine_call_sync(struct engine *e, enum engine_method m, const ProtobufCMessage *req,
                     int64_t timeout_ms, ProtobufCMessage **ret_resp, struct err *err)
{
    return engine_call_detail(e, m, req, timeout_ms, ret_resp, NULL, err);
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
