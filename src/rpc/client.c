/* The client: one connection, calls that come back on one thread, and the rules of sending again. */
#include "rpc_internal.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"

#include <errno.h>
#include <string.h>

/* Waits between tries: doubled from the first to the longest, each shortened by up to a half at random, so that clients
 * who lost one server do not come back together. */
#define RETRY_FIRST_NS (50 * NS_PER_MS)
#define RETRY_LONGEST_NS (2 * NS_PER_S)
#define LOOK_EVERY_NS NS_PER_S /* at the files of its certificate */
#define EXHAUSTED_FIRST_NS (NS_PER_S) /* a server that has too much to do gets more time */
#define EXHAUSTED_LONGEST_NS (10 * NS_PER_S)

#define RPC_PROBE 0x100u /* whatever the server says is success: it is there */

struct call {
    struct rpc_tag tag;
    struct call *prev, *next; /* client->calls */
    struct call *next_waiting;
    struct rpc_client *client;
    char *method;
    grpc_byte_buffer *request;
    uint32_t write_flags;
    const ProtobufCMessageDescriptor *response;
    int64_t deadline_ns, retry_at_ns;
    unsigned flags;
    rpc_done *done;
    void *arg;
    int tries;
    bool cancelled;   /* by drain or free; under the lock */
    struct err cause; /* why it is sent again */

    /* Of this try: */
    grpc_call *call; /* under the lock: it may be cancelled while it is set */
    grpc_byte_buffer *sent, *received;
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice message;
    const char *debug;
    grpc_metadata metadata[];
};

struct rpc_client {
    struct rpc_address address;
    grpc_channel *channel;        /* under the lock of the channel, as what follows */
    pthread_mutex_t lock_channel;
    struct rpc_tls_files *files;  /* NULL: no TLS */
    int64_t look_at_ns;           /* not before that */
    int64_t keepalive_ms, keepalive_timeout_ms;
    bool proxy;
    struct rpc_queue queue;
    grpc_metadata *metadata;
    size_t metadata_count;
    const struct rpc_detail_type *details;
    size_t details_count;
    size_t response_max;
    bool gzip;

    pthread_mutex_t lock;
    pthread_cond_t empty;
    struct call *calls;   /* all that are not answered */
    struct call *waiting; /* to be sent again */
    bool draining, closing, waking;
    struct rpc_tag wake;
};

/* --- calls ---------------------------------------------------------------------------------------------------- */

static void link_call(struct rpc_client *c, struct call *call)
{
    call->next = c->calls;
    if (c->calls)
        c->calls->prev = call;
    c->calls = call;
}

static void unlink_call(struct rpc_client *c, struct call *call)
{
    if (call->prev)
        call->prev->next = call->next;
    else
        c->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    if (!c->calls)
        pthread_cond_broadcast(&c->empty);
}

static void free_call(struct call *call)
{
    if (call->request)
        core.grpc_byte_buffer_destroy(call->request);
    free(call->method);
    free(call);
}

/* The answer; the call is gone afterwards. */
static void answer(struct call *call, ProtobufCMessage *resp, const struct err *err, ProtobufCMessage *detail)
{
    struct rpc_client *c = call->client;
    call->done(call->arg, resp, err, detail);
    pthread_mutex_lock(&c->lock);
    unlink_call(c, call);
    pthread_mutex_unlock(&c->lock);
    free_call(call);
}

static void answer_cancelled(struct call *call)
{
    struct err err = {0};
    err_set(&err, ERR_CANCELLED, "%s: the call was cancelled", call->client->address.shown);
    answer(call, NULL, &err, NULL);
}

/* A call that was refused, on the queue's thread. */
static void refused(struct rpc_tag *t, bool ok)
{
    (void)ok;
    answer_cancelled((struct call *)t);
}

static void release_try(struct call *call, grpc_call *gcall)
{
    if (call->sent)
        core.grpc_byte_buffer_destroy(call->sent);
    if (call->received)
        core.grpc_byte_buffer_destroy(call->received);
    call->sent = call->received = NULL;
    core.grpc_metadata_array_destroy(&call->initial);
    core.grpc_metadata_array_destroy(&call->trailing);
    core.grpc_slice_unref(call->message);
    core.gpr_free((void *)call->debug);
    call->debug = NULL;
    core.grpc_call_unref(gcall);
}

int64_t rpc_backoff_ns(int tries, bool exhausted)
{
    int64_t wait = exhausted ? EXHAUSTED_FIRST_NS : RETRY_FIRST_NS;
    int64_t longest = exhausted ? EXHAUSTED_LONGEST_NS : RETRY_LONGEST_NS;
    for (int i = 1; i < tries && wait < longest; i++)
        wait *= 2;
    if (wait > longest)
        wait = longest;
    uint32_t random;
    os_random(&random, sizeof random);
    return wait - (int64_t)((uint64_t)(wait / 2) * random >> 32);
}

static bool repeats(const struct call *call, const struct rpc_status *st)
{
    if (st->permanent || (call->flags & RPC_PROBE && st->from_peer))
        return false;
    if (st->never_left)
        return true;
    if (!(call->flags & RPC_REPEATABLE))
        return false;
    return st->code == GRPC_STATUS_UNAVAILABLE || (st->code == GRPC_STATUS_RESOURCE_EXHAUSTED && !st->ours);
}

/* Puts it among the waiting. false: there is no time left. */
static bool wait_again(struct call *call, const struct rpc_status *st, const struct err *cause)
{
    struct rpc_client *c = call->client;
    call->retry_at_ns = os_mono_ns() + rpc_backoff_ns(call->tries, st->code == GRPC_STATUS_RESOURCE_EXHAUSTED);
    if (call->retry_at_ns >= call->deadline_ns)
        return false;
    call->cause = *cause;
    pthread_mutex_lock(&c->lock);
    if (call->cancelled)
        call->retry_at_ns = 0;
    call->next_waiting = c->waiting;
    c->waiting = call;
    pthread_mutex_unlock(&c->lock);
    return true;
}

static void failed(struct call *call, const struct rpc_status *st, struct err *err, ProtobufCMessage *detail)
{
    bool probe = call->flags & RPC_PROBE;
    if (probe && st->from_peer && st->code != GRPC_STATUS_UNAUTHENTICATED && st->code != GRPC_STATUS_PERMISSION_DENIED) {
        err_clear(err);
    } else if (!st->from_peer && st->code == GRPC_STATUS_DEADLINE_EXCEEDED) {
        /* What made the time pass says more than that it passed. */
        if (call->cause.code) {
            *err = call->cause;
        } else {
            err_set(err, probe ? ERR_UNAVAILABLE : ERR_TIMEOUT, "%s: no answer in time", call->client->address.shown);
            err->sys = ETIMEDOUT;
        }
    }
    answer(call, NULL, err, detail);
}

static void received(struct call *call, struct err *err)
{
    struct rpc_client *c = call->client;
    ProtobufCMessage *resp = NULL;
    if (call->response && rpc_wire_unpack(call->received, call->response, c->response_max, &resp, err) < 0)
        err_wrap(err, "%s: answer to %s", c->address.shown, call->method);
    else
        err_clear(err);
    answer(call, resp, err, NULL);
}

static void completed(struct rpc_tag *t, bool ok)
{
    (void)ok; /* always so for a batch with the status in it */
    struct call *call = (struct call *)t;
    struct rpc_client *c = call->client;
    struct rpc_status st;
    struct err err = {0};
    ProtobufCMessage *detail = NULL;
    _cleanup_free_ char *message = rpc_slice_string(call->message);
    rpc_status_read(call->status, message ? message : "", call->debug, c->address.shown, &call->trailing, &st, &err);
    if (call->status != GRPC_STATUS_OK)
        detail = rpc_status_detail(&call->trailing, c->details, c->details_count);
    pthread_mutex_lock(&c->lock);
    grpc_call *gcall = TAKE_PTR(call->call);
    bool cancelled = call->cancelled;
    pthread_mutex_unlock(&c->lock);
    grpc_byte_buffer *in = TAKE_PTR(call->received);
    release_try(call, gcall);
    call->received = in;
    if (call->status == GRPC_STATUS_OK)
        received(call, &err);
    else if (cancelled)
        answer_cancelled(call);
    else if (!repeats(call, &st) || !wait_again(call, &st, &err))
        failed(call, &st, &err, TAKE_PTR(detail));
    if (detail)
        protobuf_c_message_free_unpacked(detail, NULL);
    if (in)
        core.grpc_byte_buffer_destroy(in);
}

/* The operations of a try. */
static void start_batch(struct call *call, grpc_call *gcall)
{
    struct rpc_client *c = call->client;
    grpc_op ops[6];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.metadata = call->metadata;
    ops[0].data.send_initial_metadata.count = c->metadata_count;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].flags = call->write_flags;
    ops[1].data.send_message.send_message = call->sent;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &call->initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &call->received;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &call->trailing;
    ops[5].data.recv_status_on_client.status = &call->status;
    ops[5].data.recv_status_on_client.status_details = &call->message;
    ops[5].data.recv_status_on_client.error_string = &call->debug;
    rpc_queue_batch(gcall, ops, ARRAY_LEN(ops), &call->tag);
}

static int make_channel(struct rpc_client *c, grpc_channel **ret, struct err *err);

/* With other files there is another channel; the calls of the old one keep it until they are done. */
static void renew_channel(struct rpc_client *c, bool again)
{
    int64_t now = os_mono_ns();
    grpc_channel *next = NULL;
    if (!c->files || (!again && now < c->look_at_ns))
        return;
    c->look_at_ns = now + LOOK_EVERY_NS;
    if (!rpc_tls_files_changed(c->files) || make_channel(c, &next, NULL) < 0)
        return;
    core.grpc_channel_destroy(c->channel);
    c->channel = next;
}

static void start_try(struct call *call)
{
    struct rpc_client *c = call->client;
    call->tries++;
    call->tag.fn = completed;
    grpc_slice method = core.grpc_slice_from_copied_string(call->method);
    pthread_mutex_lock(&c->lock_channel);
    renew_channel(c, call->tries > 1);
    grpc_call *gcall = core.grpc_channel_create_call(c->channel, NULL, 0, c->queue.cq, method, NULL,
                                                rpc_deadline(call->deadline_ns), NULL);
    pthread_mutex_unlock(&c->lock_channel);
    core.grpc_slice_unref(method);
    call->sent = core.grpc_byte_buffer_copy(call->request);
    core.grpc_metadata_array_init(&call->initial);
    core.grpc_metadata_array_init(&call->trailing);
    call->message = core.grpc_empty_slice();
    if (c->metadata_count > 0)
        memcpy(call->metadata, c->metadata, c->metadata_count * sizeof *call->metadata);
    pthread_mutex_lock(&c->lock);
    call->call = gcall;
    if (call->cancelled)
        core.grpc_call_cancel(gcall, NULL);
    pthread_mutex_unlock(&c->lock);
    start_batch(call, gcall);
}

/* Sends what has waited long enough, before each wait of the queue. */
static int64_t send_waiting(void *arg)
{
    struct rpc_client *c = arg;
    struct call *due = NULL, **at;
    int64_t next = INT64_MAX;
    pthread_mutex_lock(&c->lock);
    int64_t now = c->waiting ? os_mono_ns() : 0;
    for (at = &c->waiting; *at;) {
        struct call *call = *at;
        if (call->cancelled || call->retry_at_ns <= now) {
            *at = call->next_waiting;
            call->next_waiting = due;
            due = call;
        } else {
            if (call->retry_at_ns < next)
                next = call->retry_at_ns;
            at = &call->next_waiting;
        }
    }
    pthread_mutex_unlock(&c->lock);
    while (due) {
        struct call *call = due;
        due = call->next_waiting;
        start_try(call); /* one that was cancelled comes back as such */
    }
    return next;
}

static void call_buffer(struct rpc_client *c, const char *method, grpc_byte_buffer *request,
                        const ProtobufCMessageDescriptor *response, int64_t timeout_ms, unsigned flags, rpc_done *done, void *arg)
{
    struct err err = {0};
    struct call *call = mem_zalloc(sizeof *call + c->metadata_count * sizeof *call->metadata);
    char *name = mem_strdup(method);
    ASSERT(timeout_ms > 0);
    if (!call || !name || !request) { /* then there is no way to come back later */
        free(call);
        free(name);
        if (request)
            core.grpc_byte_buffer_destroy(request);
        err_nomem(&err);
        done(arg, NULL, &err, NULL);
        return;
    }
    call->client = c;
    call->method = name;
    call->request = request;
    call->write_flags = c->gzip && core.grpc_byte_buffer_length(request) < RPC_GZIP_MIN ? GRPC_WRITE_NO_COMPRESS : 0;
    call->response = response;
    call->deadline_ns = timeout_ms > INT64_MAX / NS_PER_MS / 2 ? INT64_MAX : os_mono_ns() + timeout_ms * NS_PER_MS;
    call->flags = flags;
    call->done = done;
    call->arg = arg;
    pthread_mutex_lock(&c->lock);
    bool refuse = c->closing || (c->draining && (flags & RPC_LONG_POLL));
    call->cancelled = refuse;
    link_call(c, call);
    pthread_mutex_unlock(&c->lock);
    call->tag.fn = refused;
    if (refuse)
        rpc_queue_post(&c->queue, &call->tag);
    else
        start_try(call);
}

void rpc_client_call(struct rpc_client *c, const char *method, const ProtobufCMessage *req,
                     const ProtobufCMessageDescriptor *response, int64_t timeout_ms, unsigned flags, rpc_done *done, void *arg)
{
    call_buffer(c, method, rpc_wire_pack(req), response, timeout_ms, flags, done, arg);
}

void rpc_client_call_bytes(struct rpc_client *c, const char *method, const void *data, size_t len,
                           const ProtobufCMessageDescriptor *response, int64_t timeout_ms, unsigned flags, rpc_done *done,
                           void *arg)
{
    call_buffer(c, method, rpc_wire_bytes(data, len), response, timeout_ms, flags, done, arg);
}

/* --- connecting ------------------------------------------------------------------------------------------------ */

struct probe {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    struct err err;
};

static void probed(void *arg, ProtobufCMessage *resp, const struct err *err, ProtobufCMessage *detail)
{
    struct probe *p = arg;
    ASSERT(!resp);
    if (detail)
        protobuf_c_message_free_unpacked(detail, NULL);
    pthread_mutex_lock(&p->lock);
    p->err = *err;
    p->done = true;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
}

/* A call of the standard health service; a server that does not know it is there all the same. Only a call learns why a
 * connection fails. */
int rpc_client_connect(struct rpc_client *c, int64_t timeout_ms, struct err *err)
{
    struct probe p = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    rpc_client_call_bytes(c, "/grpc.health.v1.Health/Check", "", 0, NULL, timeout_ms, RPC_REPEATABLE | RPC_PROBE, probed, &p);
    pthread_mutex_lock(&p.lock);
    while (!p.done)
        pthread_cond_wait(&p.cond, &p.lock);
    pthread_mutex_unlock(&p.lock);
    pthread_mutex_destroy(&p.lock);
    pthread_cond_destroy(&p.cond);
    return p.err.code ? err_copy(err, &p.err) : 0;
}

/* --- life ------------------------------------------------------------------------------------------------------ */

static void woken(struct rpc_tag *t, bool ok)
{
    (void)ok;
    struct rpc_client *c = (struct rpc_client *)((char *)t - offsetof(struct rpc_client, wake));
    pthread_mutex_lock(&c->lock);
    c->waking = false;
    pthread_mutex_unlock(&c->lock);
}

/* Cancels calls with all of flags; those that wait are found by the queue's thread. */
static void cancel_calls(struct rpc_client *c, unsigned flags)
{
    bool wake = false;
    pthread_mutex_lock(&c->lock);
    c->draining = true;
    c->closing |= flags == 0;
    for (struct call *call = c->calls; call; call = call->next) {
        if ((call->flags & flags) != flags || call->cancelled)
            continue;
        call->cancelled = true;
        if (call->call)
            core.grpc_call_cancel(call->call, NULL);
    }
    wake = c->waiting && !c->waking;
    c->waking |= wake;
    pthread_mutex_unlock(&c->lock);
    if (wake)
        rpc_queue_post(&c->queue, &c->wake);
}

void rpc_client_drain(struct rpc_client *c)
{
    cancel_calls(c, RPC_LONG_POLL);
}

void rpc_client_cancel(struct rpc_client *c, rpc_done *done, void *arg)
{
    pthread_mutex_lock(&c->lock);
    struct call *call = c->calls;
    while (call && (call->done != done || call->arg != arg))
        call = call->next;
    if (call)
        call->cancelled = true;
    if (call && call->call)
        core.grpc_call_cancel(call->call, NULL);
    bool wake = call && c->waiting && !c->waking; /* it may be among those that wait to be sent again */
    c->waking |= wake;
    pthread_mutex_unlock(&c->lock);
    if (wake)
        rpc_queue_post(&c->queue, &c->wake);
}

static grpc_arg arg_int(const char *key, int64_t value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value > INT32_MAX ? INT32_MAX : (int)value};
}

static grpc_arg arg_string(const char *key, const char *value)
{
    return (grpc_arg){.type = GRPC_ARG_STRING, .key = (char *)key, .value.string = (char *)value};
}

static int make_channel(struct rpc_client *c, grpc_channel **ret, struct err *err)
{
    static const struct rpc_tls none;
    const struct rpc_tls *tls = c->files ? rpc_tls_files_names(c->files) : &none;
    grpc_channel_credentials *creds = NULL;
    int r = rpc_creds_client(tls, &creds, err);
    if (r < 0)
        return r;
    bool local = c->address.path;
    grpc_arg args[20] = {
        arg_int(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int64_t)c->response_max),
        arg_int(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        arg_int(GRPC_ARG_MAX_METADATA_SIZE, RPC_METADATA_MAX),
        arg_int(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0), /* wire.c does it, within bounds */
        arg_int(GRPC_ARG_KEEPALIVE_TIME_MS, c->keepalive_ms),
        arg_int(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, c->keepalive_timeout_ms),
        arg_int(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        arg_int(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0), /* no bound: a long poll sends nothing for a minute */
        arg_int(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100),
        arg_int(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000), /* really: the time that a connection may take */
        arg_int(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, local ? 1000 : 5000),
        arg_int(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
        arg_int(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
        arg_int(GRPC_ARG_ENABLE_HTTP_PROXY, c->proxy),
        arg_string(GRPC_ARG_PRIMARY_USER_AGENT_STRING, "fuzzforge"),
    };
    grpc_channel_args a = {.num_args = 15, .args = args};
    if (c->gzip)
        args[a.num_args++] = arg_int(GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM, GRPC_COMPRESS_GZIP);
    if (local)
        args[a.num_args++] = arg_string(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
    if (tls->on && tls->server_name)
        args[a.num_args++] = arg_string(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, tls->server_name);
    *ret = core.grpc_channel_create(c->address.target, creds, &a);
    core.grpc_channel_credentials_release(creds);
    return *ret ? 0 : err_nomem(err);
}

/* A header that HTTP would not take must not come from a file into a request. */
static int copy_metadata(struct rpc_client *c, const struct rpc_client_options *o, struct err *err)
{
    c->metadata = o->metadata_count ? mem_calloc(o->metadata_count, sizeof *c->metadata) : NULL;
    if (o->metadata_count && !c->metadata)
        return err_nomem(err);
    for (size_t i = 0; i < o->metadata_count; i++) {
        grpc_metadata *m = &c->metadata[i];
        m->key = core.grpc_slice_from_copied_string(o->metadata[i].key);
        m->value = core.grpc_slice_from_copied_string(o->metadata[i].value);
        c->metadata_count++;
        if (!core.grpc_header_key_is_legal(m->key) || !core.grpc_header_nonbin_value_is_legal(m->value))
            return err_set(err, ERR_INVALID, "the value for '%s' has characters that no header may have", o->metadata[i].key);
    }
    return 0;
}

int rpc_client_new(const struct rpc_client_options *o, struct rpc_client **ret, struct err *err)
{
    struct rpc_client *c = mem_zalloc(sizeof *c);
    int r = c ? rpc_core_start(err) : err_nomem(err);
    if (r < 0) {
        free(c);
        return r;
    }
    c->details = o->details;
    c->details_count = o->details_count;
    c->response_max = o->response_max ? o->response_max : RPC_RESPONSE_MAX_DEFAULT;
    c->gzip = o->gzip;
    c->keepalive_ms = o->keepalive_ms ? o->keepalive_ms : RPC_KEEPALIVE_MS;
    c->keepalive_timeout_ms = o->keepalive_timeout_ms ? o->keepalive_timeout_ms : RPC_KEEPALIVE_TIMEOUT_MS;
    c->proxy = !rpc_target_local(o->target);
    c->wake.fn = woken;
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->lock_channel, NULL);
    pthread_cond_init(&c->empty, NULL);
    c->address = (struct rpc_address)RPC_ADDRESS_INIT;
    r = rpc_queue_init(&c->queue, err);
    c->queue.tick = send_waiting;
    c->queue.tick_arg = c;
    if (r == 0)
        r = rpc_address_client(o->target, &c->address, err);
    if (r == 0)
        r = copy_metadata(c, o, err);
    if (r == 0 && o->tls.on)
        r = rpc_tls_files_new(&o->tls, &c->files, err);
    if (r == 0 && c->files)
        rpc_tls_files_changed(c->files); /* before they are read: what changes from here on is seen */
    if (r == 0)
        r = make_channel(c, &c->channel, err);
    if (r == 0)
        r = rpc_queue_run(&c->queue, 1, err);
    if (r < 0) {
        rpc_client_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void rpc_client_free(struct rpc_client *c)
{
    if (!c)
        return;
    cancel_calls(c, 0);
    pthread_mutex_lock(&c->lock);
    while (c->calls)
        pthread_cond_wait(&c->empty, &c->lock);
    pthread_mutex_unlock(&c->lock);
    if (c->channel)
        core.grpc_channel_destroy(c->channel);
    rpc_queue_release(&c->queue);
    for (size_t i = 0; i < c->metadata_count; i++) {
        core.grpc_slice_unref(c->metadata[i].key);
        core.grpc_slice_unref(c->metadata[i].value);
    }
    free(c->metadata);
    rpc_address_release(&c->address);
    rpc_tls_files_free(c->files);
    pthread_mutex_destroy(&c->lock_channel);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->empty);
    free(c);
}
