/* Calls of the engine as calls over gRPC. */
#include "temporal_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"

#include <string.h>

#define TASK_POLL_MS 70000    /* the cluster answers empty after 60 s */
#define HISTORY_POLL_MS 30000 /* after 20 s */
#define OTHER_MS 10000
#define POLL_MARGIN_MS 1000 /* the cluster answers a poll so long before its caller's deadline, */
#define POLL_MIN_MS 2500    /* and refuses one that leaves it less than 2 s */
#define RESPONSE_MAX ((size_t)128 << 20)

/* A call that is under way. */
struct ticket {
    struct ticket *prev, *next;
    struct temporal *engine;
    enum engine_method method;
    bool poll;
    bool cancelled; /* by its caller; under the lock */
    engine_done *done;
    void *arg;
    ProtobufCBinaryData page; /* of a history poll: where it goes on */
};

static bool is_poll(enum engine_method m, const ProtobufCMessage *req)
{
    switch (m) {
    case ENGINE_POLL_WORKFLOW_TASK:
    case ENGINE_POLL_ACTIVITY_TASK:
    case ENGINE_POLL_UPDATE:
        return true;
    case ENGINE_GET_HISTORY:
        return ((const Pb__GetWorkflowExecutionHistoryRequest *)req)->wait_new_event;
    default:
        return false;
    }
}

/* Does its answer take a worker's? Then late is what the worker is. */
static bool needs_worker(enum engine_method m)
{
    return m == ENGINE_QUERY || m == ENGINE_UPDATE_WORKFLOW || m == ENGINE_MULTI_OPERATION;
}

static int64_t deadline_ms(enum engine_method m, bool poll, int64_t timeout_ms)
{
    if (!poll)
        return timeout_ms > 0 ? timeout_ms : OTHER_MS;
    if (timeout_ms <= 0)
        return m == ENGINE_GET_HISTORY ? HISTORY_POLL_MS : TASK_POLL_MS;
    return timeout_ms + POLL_MARGIN_MS > POLL_MIN_MS ? timeout_ms + POLL_MARGIN_MS : POLL_MIN_MS;
}

static void link_ticket(struct temporal *t, struct ticket *k)
{
    pthread_mutex_lock(&t->lock);
    k->next = t->tickets;
    if (k->next)
        k->next->prev = k;
    t->tickets = k;
    pthread_mutex_unlock(&t->lock);
}

/* Gives whether its caller cancelled it. */
static bool unlink_ticket(struct ticket *k)
{
    struct temporal *t = k->engine;
    pthread_mutex_lock(&t->lock);
    if (k->prev)
        k->prev->next = k->next;
    else
        t->tickets = k->next;
    if (k->next)
        k->next->prev = k->prev;
    bool cancelled = k->cancelled;
    pthread_mutex_unlock(&t->lock);
    return cancelled;
}

/* What a poll that found nothing says; a history goes on where it was. */
static ProtobufCMessage *empty_response(struct ticket *k)
{
    const ProtobufCMessageDescriptor *d = engine_method_info(k->method)->response;
    ProtobufCMessage *m = mem_zalloc(d->sizeof_message);
    if (!m)
        return NULL;
    protobuf_c_message_init(d, m);
    if (k->method == ENGINE_GET_HISTORY) {
        ((Pb__GetWorkflowExecutionHistoryResponse *)m)->next_page_token = k->page;
        k->page = (ProtobufCBinaryData){0};
    }
    return m;
}

static void answered(void *arg, ProtobufCMessage *resp, const struct err *err, ProtobufCMessage *detail)
{
    struct ticket *k = arg;
    struct err why = *err;
    bool cancelled = unlink_ticket(k);
    /* The cluster's long poll is over, or this end drained: nothing was found in time. */
    if (k->poll && !cancelled && (err->code == ERR_TIMEOUT || err->code == ERR_CANCELLED)) {
        resp = empty_response(k);
        if (resp)
            err_clear(&why);
        else
            err_nomem(&why);
    }
    if (!k->poll && why.code == ERR_TIMEOUT && !needs_worker(k->method)) /* no run has timed out: the cluster is not there */
        why.code = ERR_UNAVAILABLE;
    if (why.code == 0 || !detail) {
        engine_free_message(detail);
        k->done(k->arg, resp, &why);
    } else {
        k->done(k->arg, detail, &why);
    }
    free(k->page.data);
    free(k);
}

static struct ticket *new_ticket(struct temporal *t, enum engine_method m, const ProtobufCMessage *req, engine_done *done,
                                 void *arg)
{
    struct ticket *k = mem_zalloc(sizeof *k);
    if (!k)
        return NULL;
    *k = (struct ticket){.engine = t, .method = m, .poll = is_poll(m, req), .done = done, .arg = arg};
    if (k->poll && m == ENGINE_GET_HISTORY) {
        const ProtobufCBinaryData *page = &((const Pb__GetWorkflowExecutionHistoryRequest *)req)->next_page_token;
        k->page.data = page->len ? mem_dup(page->data, page->len) : NULL;
        k->page.len = k->page.data ? page->len : 0;
    }
    return k;
}

static void op_call(struct engine *base, enum engine_method m, const ProtobufCMessage *req, int64_t timeout_ms,
                    engine_done *done, void *arg)
{
    struct temporal *t = (struct temporal *)base;
    const struct engine_method_info *info = engine_method_info(m);
    const ProtobufCMessage *out;
    _cleanup_free_ void *copy = NULL;
    char id[37];
    struct err err = {0};
    if (atomic_load(&t->drained) && (m == ENGINE_POLL_WORKFLOW_TASK || m == ENGINE_POLL_ACTIVITY_TASK)) {
        err_set(&err, ERR_UNAVAILABLE, "this end takes no more tasks");
        done(arg, NULL, &err);
        return;
    }
    struct ticket *k = new_ticket(t, m, req, done, arg);
    if (!k || temporal_request(t, req, id, &out, &copy, &err) < 0) {
        free(k);
        err_nomem(&err);
        done(arg, NULL, &err);
        return;
    }
    unsigned flags = (info->flags & ENGINE_REPEATABLE ? RPC_REPEATABLE : 0) | (k->poll ? RPC_LONG_POLL : 0);
    link_ticket(t, k);
    rpc_client_call(t->client, info->path, out, info->response, deadline_ms(m, k->poll, timeout_ms), flags, answered, k);
}

static void op_cancel(struct engine *base, engine_done *done, void *arg)
{
    struct temporal *t = (struct temporal *)base;
    pthread_mutex_lock(&t->lock);
    struct ticket *k = t->tickets;
    while (k && (k->done != done || k->arg != arg))
        k = k->next;
    if (k) {
        k->cancelled = true;
        rpc_client_cancel(t->client, answered, k);
    }
    pthread_mutex_unlock(&t->lock);
}

static void op_drain(struct engine *base)
{
    struct temporal *t = (struct temporal *)base;
    atomic_store(&t->drained, true);
    rpc_client_drain(t->client);
}

static void op_free(struct engine *base)
{
    struct temporal *t = (struct temporal *)base;
    rpc_client_free(t->client);
    pthread_mutex_destroy(&t->lock);
    free(t->name_space);
    free(t->identity);
    free(t);
}

static const struct engine_ops ops = {
    .name = "temporal", .call = op_call, .cancel = op_cancel, .drain = op_drain, .free = op_free};

/* --- opening ----------------------------------------------------------------------------------------------------- */

static int new_client(struct temporal *t, const struct engine_temporal_options *o, struct err *err)
{
    _cleanup_free_ char *bearer = o->api_key ? mem_printf("Bearer %s", o->api_key) : NULL;
    struct rpc_metadata metadata[] = {
        {"client-name", "fuzzforge"},
        {"client-version", o->version ? o->version : "0"},
        {"temporal-namespace", t->name_space},
        {"authorization", bearer},
    };
    struct rpc_client_options co = {
        .target = o->address,
        .tls = {.on = o->tls,
                .ca_file = o->tls_ca,
                .cert_file = o->tls_cert,
                .key_file = o->tls_key,
                .server_name = o->tls_server_name},
        .metadata = metadata,
        .metadata_count = ARRAY_LEN(metadata) - (bearer ? 0 : 1),
        .details = t->details,
        .response_max = RESPONSE_MAX,
    };
    if (o->api_key && !bearer)
        return err_nomem(err);
    for (size_t i = 0; i < engine_details_count && i < TEMPORAL_DETAILS_MAX; i++)
        t->details[co.details_count++] = (struct rpc_detail_type){engine_details[i].name, engine_details[i].descriptor};
    int r = rpc_client_new(&co, &t->client, err);
    if (bearer)
        explicit_bzero(bearer, strlen(bearer));
    return r;
}

int engine_temporal_open(const struct engine_temporal_options *o, struct engine **ret, struct err *err)
{
    if (*o->address && !strchr(o->address, ':'))
        return err_set(err, ERR_MISSING, "Temporal at %s: the address has no port (7233 is the usual one)", o->address);
    if (o->api_key && !o->tls && !rpc_target_local(o->address))
        return err_set(err, ERR_INVALID, "Temporal at %s: the API key would travel in the clear without TLS", o->address);
    struct temporal *t = mem_zalloc(sizeof *t);
    if (!t)
        return err_nomem(err);
    t->base.ops = &ops;
    pthread_mutex_init(&t->lock, NULL);
    t->name_space = mem_strdup(o->name_space ? o->name_space : "default");
    t->identity = mem_strdup(o->identity);
    int r = t->name_space && (t->identity || !o->identity) ? new_client(t, o, err) : err_nomem(err);
    if (r < 0)
        err_wrap(err, "Temporal at %s", o->address);
    else
        r = temporal_check(t, o, err);
    if (r < 0) {
        op_free(&t->base);
        return r;
    }
    *ret = &t->base;
    return 0;
}
