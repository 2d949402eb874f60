/* A call on the server's side: from its arrival to its answer.
 *
 * It is held by each operation that is out and, once its handler has it, by the handler until the answer. */
#include "rpc_internal.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define CALL_OF(t, member) ((struct rpc_call *)((char *)(t)-offsetof(struct rpc_call, member)))

static void arrived(struct rpc_tag *t, bool ok);
static void message_read(struct rpc_tag *t, bool ok);
static void closed(struct rpc_tag *t, bool ok);
static void part_sent(struct rpc_tag *t, bool ok);
static void sent(struct rpc_tag *t, bool ok);

struct rpc_call *rpc_call_new(struct rpc_server *s)
{
    struct rpc_call *call = mem_zalloc(sizeof *call);
    if (!call)
        return NULL;
    call->server = s;
    call->refs = 1;
    call->on_new.fn = arrived;
    call->on_message.fn = message_read;
    call->on_close.fn = closed;
    call->on_part.fn = part_sent;
    call->on_sent.fn = sent;
    call->deadline_ns = INT64_MAX;
    pthread_mutex_init(&call->lock, NULL);
    pthread_cond_init(&call->cond, NULL);
    core.grpc_call_details_init(&call->details);
    core.grpc_metadata_array_init(&call->metadata);
    return call;
}

static void ref(struct rpc_call *call)
{
    __atomic_add_fetch(&call->refs, 1, __ATOMIC_RELAXED);
}

void rpc_call_unref(struct rpc_call *call)
{
    if (__atomic_sub_fetch(&call->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    struct rpc_server *s = call->server;
    bool entered = call->call;
    if (call->req)
        protobuf_c_message_free_unpacked(call->req, NULL);
    if (call->message)
        core.grpc_byte_buffer_destroy(call->message);
    if (call->reply)
        core.grpc_byte_buffer_destroy(call->reply);
    if (call->next_part)
        core.grpc_byte_buffer_destroy(call->next_part);
    free(call->end_message);
    for (size_t i = 0; i < call->trailers_count; i++)
        core.grpc_slice_unref(call->trailers[i].value);
    for (size_t i = 0; call->values && i < call->metadata.count; i++)
        free(call->values[i]);
    free(call->values);
    core.grpc_call_details_destroy(&call->details);
    core.grpc_metadata_array_destroy(&call->metadata);
    if (call->call)
        core.grpc_call_unref(call->call);
    core.gpr_free(call->peer);
    pthread_mutex_destroy(&call->lock);
    pthread_cond_destroy(&call->cond);
    free(call);
    if (entered)
        rpc_server_leave(s);
}

/* --- answers --------------------------------------------------------------------------------------------------- */

/* From here on the function of rpc_call_on_cancel() is not called any more, nor is it running, unless it is what answers. */
static void close_for_answers(struct rpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    ASSERT(!call->answered);
    call->answered = true;
    while (call->running && !pthread_equal(call->runner, pthread_self()))
        pthread_cond_wait(&call->cond, &call->lock);
    pthread_mutex_unlock(&call->lock);
}

/* The last operations of the call, when no part is on its way. */
static void send_end(struct rpc_call *call, int status, const char *message)
{
    grpc_op ops[3];
    size_t n = 0;
    memset(ops, 0, sizeof ops);
    if (!call->begun)
        ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
    if (call->reply) {
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n].flags = call->gzip && core.grpc_byte_buffer_length(call->reply) >= RPC_GZIP_MIN ? 0 : GRPC_WRITE_NO_COMPRESS;
        ops[n++].data.send_message.send_message = call->reply;
    }
    grpc_slice text = core.grpc_slice_from_copied_string(message);
    ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[n].data.send_status_from_server.status = (grpc_status_code)status;
    ops[n].data.send_status_from_server.status_details = &text;
    ops[n].data.send_status_from_server.trailing_metadata = call->trailers;
    ops[n++].data.send_status_from_server.trailing_metadata_count = call->trailers_count;
    ref(call);
    rpc_queue_batch(call->call, ops, n, &call->on_sent);
    core.grpc_slice_unref(text);
}

static void send_answer(struct rpc_call *call, int status, const char *message)
{
    pthread_mutex_lock(&call->lock);
    call->ending = call->part != NULL;
    if (call->ending) {
        call->end_status = status;
        call->end_message = mem_strdup(message);
    }
    bool later = call->ending;
    pthread_mutex_unlock(&call->lock);
    if (!later)
        send_end(call, status, message);
}

/* With the lock: the part that waits goes out. */
static void send_part(struct rpc_call *call)
{
    grpc_op ops[2];
    size_t n = 0;
    memset(ops, 0, sizeof ops);
    if (!call->begun)
        ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
    call->begun = true;
    call->part = TAKE_PTR(call->next_part);
    ops[n].op = GRPC_OP_SEND_MESSAGE;
    ops[n].flags = GRPC_WRITE_NO_COMPRESS;
    ops[n++].data.send_message.send_message = call->part;
    ref(call);
    rpc_queue_batch(call->call, ops, n, &call->on_part);
}

static void part_sent(struct rpc_tag *t, bool ok)
{
    struct rpc_call *call = CALL_OF(t, on_part);
    pthread_mutex_lock(&call->lock);
    core.grpc_byte_buffer_destroy(TAKE_PTR(call->part));
    if (call->next_part && ok)
        send_part(call);
    bool end = call->ending && !call->part;
    pthread_mutex_unlock(&call->lock);
    if (end)
        send_end(call, call->end_status, call->end_message ? call->end_message : "");
    rpc_call_unref(call);
}

int rpc_call_send(struct rpc_call *call, const ProtobufCMessage *resp)
{
    grpc_byte_buffer *b = rpc_wire_pack(resp);
    if (!b)
        return -ERR_NO_MEMORY;
    pthread_mutex_lock(&call->lock);
    ASSERT(!call->answered);
    if (call->next_part)
        core.grpc_byte_buffer_destroy(call->next_part);
    call->next_part = b;
    if (!call->part)
        send_part(call);
    pthread_mutex_unlock(&call->lock);
    return 0;
}

static void sent(struct rpc_tag *t, bool ok)
{
    (void)ok; /* the caller may be gone */
    rpc_call_unref(CALL_OF(t, on_sent));
}

static void trailer(struct rpc_call *call, const char *key, const void *value, size_t len)
{
    call->trailers[call->trailers_count++] =
        (grpc_metadata){.key = core.grpc_slice_from_static_string(key), .value = core.grpc_slice_from_copied_buffer(value, len)};
}

void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *resp)
{
    close_for_answers(call);
    call->reply = rpc_wire_pack(resp);
    if (call->reply)
        send_answer(call, GRPC_STATUS_OK, "");
    else
        send_answer(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
    rpc_call_unref(call);
}

void rpc_call_fail(struct rpc_call *call, const struct err *err, const char *detail_name, const ProtobufCMessage *detail)
{
    int code = err->code ? err->code : ERR_INTERNAL, status = err_grpc_status(code);
    const char *message = err->msg[0] ? err->msg : err_text(code);
    _cleanup_free_ uint8_t *bytes = NULL;
    size_t len = 0;
    close_for_answers(call);
    trailer(call, RPC_CODE_KEY, err_name(code), strlen(err_name(code)));
    if (err->hint[0])
        trailer(call, RPC_HINT_KEY, err->hint, strlen(err->hint));
    if (detail && rpc_status_encode(status, message, detail_name, detail, &bytes, &len, NULL) == 0)
        trailer(call, RPC_DETAILS_KEY, bytes, len);
    send_answer(call, status, message);
    rpc_call_unref(call);
}

/* A failure that any server of gRPC's would answer in these words, without a code of ours. */
static void fail_plain(struct rpc_call *call, int status, const char *fmt, const char *what)
{
    char message[ERR_MSG_MAX];
    snprintf(message, sizeof message, fmt, what);
    close_for_answers(call);
    send_answer(call, status, message);
    rpc_call_unref(call);
}

/* --- arrival --------------------------------------------------------------------------------------------------- */

static void watch_close(struct rpc_call *call)
{
    grpc_op op;
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    op.data.recv_close_on_server.cancelled = &call->cancelled;
    ref(call);
    rpc_queue_batch(call->call, &op, 1, &call->on_close);
}

/* The words are those of other servers: clients look for "unknown method". */
static void fail_unknown(struct rpc_call *call)
{
    _cleanup_free_ char *path = rpc_slice_string(call->details.method);
    char *slash = path ? strrchr(path, '/') : NULL;
    char what[256];
    snprintf(what, sizeof what, "%.100s for service %.*s", slash ? slash + 1 : "?",
             slash && slash > path ? (int)(slash - path - 1 < 100 ? slash - path - 1 : 100) : 0, path ? path + 1 : "");
    fail_plain(call, GRPC_STATUS_UNIMPLEMENTED, "unknown method %s", what);
}

static void read_message(struct rpc_call *call)
{
    grpc_op op;
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &call->message;
    rpc_queue_batch(call->call, &op, 1, &call->on_message);
}

static void arrived(struct rpc_tag *t, bool ok)
{
    struct rpc_call *call = CALL_OF(t, on_new);
    struct rpc_server *s = call->server;
    const struct rpc_server_options *o = rpc_server_options(s);
    struct err err = {0};
    if (!ok) { /* the server stops */
        rpc_call_unref(call);
        return;
    }
    rpc_server_expect(s);
    bool room = rpc_server_enter(s);
    gpr_timespec left = core.gpr_time_sub(core.gpr_convert_clock_type(call->details.deadline, GPR_CLOCK_MONOTONIC),
                                     core.gpr_now(GPR_CLOCK_MONOTONIC));
    if (left.tv_sec < (int64_t)100 * 365 * 86400)
        call->deadline_ns = os_mono_ns() + left.tv_sec * NS_PER_S + left.tv_nsec;
    call->peer = core.grpc_call_get_peer(call->call);
    call->method = rpc_server_method(s, call->details.method);
    watch_close(call);
    if (!room)
        fail_plain(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "%s", "too many calls at a time");
    else if (o->authorize && o->authorize(o->arg, call, &err) < 0)
        rpc_call_fail(call, &err, NULL, NULL);
    else if (!call->method)
        fail_unknown(call);
    else
        read_message(call); /* which has our reference from now on */
}

static void message_read(struct rpc_tag *t, bool ok)
{
    struct rpc_call *call = CALL_OF(t, on_message);
    const struct rpc_server_options *o = rpc_server_options(call->server);
    struct err err = {0};
    (void)ok; /* without a message below */
    call->gzip = o->gzip && call->message && call->message->data.raw.compression == GRPC_COMPRESS_GZIP;
    int r = rpc_wire_unpack(call->message, call->method->request, o->request_max, &call->req, &err);
    if (call->message)
        core.grpc_byte_buffer_destroy(TAKE_PTR(call->message));
    if (r < 0)
        rpc_call_fail(call, &err, NULL, NULL);
    else
        o->handle(o->arg, call, call->method, call->req);
}

/* --- its end from outside ---------------------------------------------------------------------------------------- */

/* With the lock, which it leaves for the time of the function. */
static void run_cancel(struct rpc_call *call)
{
    void (*fn)(void *arg) = call->cancel_fn;
    if (!fn || !call->closed || call->answered)
        return;
    call->cancel_fn = NULL;
    call->running = true;
    call->runner = pthread_self();
    pthread_mutex_unlock(&call->lock);
    fn(call->cancel_arg);
    pthread_mutex_lock(&call->lock);
    call->running = false;
    pthread_cond_broadcast(&call->cond);
}

static void closed(struct rpc_tag *t, bool ok)
{
    struct rpc_call *call = CALL_OF(t, on_close);
    (void)ok;
    pthread_mutex_lock(&call->lock);
    call->closed = call->cancelled;
    run_cancel(call);
    pthread_mutex_unlock(&call->lock);
    rpc_call_unref(call);
}

void rpc_call_on_cancel(struct rpc_call *call, void (*fn)(void *arg), void *arg)
{
    ref(call);
    pthread_mutex_lock(&call->lock);
    call->cancel_fn = fn;
    call->cancel_arg = arg;
    run_cancel(call);
    pthread_mutex_unlock(&call->lock);
    rpc_call_unref(call);
}

/* --- what the caller sent ---------------------------------------------------------------------------------------- */

/* With the lock: the i-th value as a string. */
static const char *value_string(struct rpc_call *call, size_t i)
{
    if (!call->values)
        call->values = mem_calloc(call->metadata.count, sizeof *call->values);
    if (call->values && !call->values[i])
        call->values[i] = rpc_slice_string(call->metadata.metadata[i].value);
    return call->values ? call->values[i] : NULL;
}

const char *rpc_call_metadata(const struct rpc_call *call, const char *key)
{
    struct rpc_call *c = (struct rpc_call *)call; /* what is copied here is no part of what it says */
    const char *value = NULL;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; !value && i < c->metadata.count; i++)
        if (core.grpc_slice_str_cmp(c->metadata.metadata[i].key, key) == 0)
            value = value_string(c, i);
    pthread_mutex_unlock(&c->lock);
    return value;
}

const struct rpc_method *rpc_call_method(const struct rpc_call *call)
{
    return call->method;
}

const char *rpc_call_peer(const struct rpc_call *call)
{
    return call->peer ? call->peer : "";
}

bool rpc_call_local(const struct rpc_call *call)
{
    const char *peer = rpc_call_peer(call); /* "fd:": rpc_server_adopt() */
    return strncmp(peer, RPC_UNIX_PREFIX, strlen(RPC_UNIX_PREFIX)) == 0 || strncmp(peer, "fd:", 3) == 0;
}

bool rpc_call_client_cert(const struct rpc_call *call)
{
    grpc_auth_context *ctx = core.grpc_call_auth_context(call->call);
    bool yes = ctx && core.grpc_auth_context_peer_is_authenticated(ctx);
    if (ctx)
        core.grpc_auth_context_release(ctx);
    return yes;
}

int64_t rpc_call_left_ms(const struct rpc_call *call)
{
    if (call->deadline_ns == INT64_MAX)
        return INT64_MAX;
    int64_t left = (call->deadline_ns - os_mono_ns()) / NS_PER_MS;
    return left > 0 ? left : 0;
}
