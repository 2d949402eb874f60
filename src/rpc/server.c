/* The server: where it listens, how many calls are in, and its end. */
#include "rpc_internal.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define THREADS 2
#define EXPECTED 64 /* calls that the library may hand over before we ask again */
#define CALLS_MAX_DEFAULT 10000

struct listener {
    struct rpc_address address;
    struct rpc_server_creds *creds;
};

struct rpc_server {
    struct rpc_server_options options;
    struct map methods; /* path -> const struct rpc_method */
    grpc_server *server;
    struct rpc_queue queue;
    VEC(struct listener *) listeners;
    bool started, stopped;

    pthread_mutex_t lock;
    pthread_cond_t cond;
    size_t calls;
    size_t missing; /* of EXPECTED, for want of memory */
    bool stopping, down;
    struct rpc_tag on_down;
};

const struct rpc_server_options *rpc_server_options(const struct rpc_server *s)
{
    return &s->options;
}

bool rpc_server_enter(struct rpc_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool room = s->calls < s->options.calls_max;
    s->calls++;
    pthread_mutex_unlock(&s->lock);
    return room;
}

void rpc_server_leave(struct rpc_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool again = s->missing > 0 && !s->stopping;
    s->missing -= again;
    pthread_mutex_unlock(&s->lock);
    if (again) /* a call that ended gave memory back */
        rpc_server_expect(s);
    pthread_mutex_lock(&s->lock);
    if (--s->calls == 0)
        pthread_cond_broadcast(&s->cond);
    pthread_mutex_unlock(&s->lock);
}

const struct rpc_method *rpc_server_method(const struct rpc_server *s, grpc_slice path)
{
    return map_getn(&s->methods, GRPC_SLICE_START_PTR(path), GRPC_SLICE_LENGTH(path));
}

void rpc_server_expect(struct rpc_server *s)
{
    struct rpc_call *call = rpc_call_new(s);
    if (!call) {
        pthread_mutex_lock(&s->lock);
        s->missing++;
        pthread_mutex_unlock(&s->lock);
        return;
    }
    rpc_happens_before(&call->on_new);
    if (core.grpc_server_request_call(s->server, &call->call, &call->details, &call->metadata, s->queue.cq, s->queue.cq,
                                 &call->on_new) != GRPC_CALL_OK)
        rpc_call_unref(call);
}

static void went_down(struct rpc_tag *t, bool ok)
{
    (void)ok;
    struct rpc_server *s = (struct rpc_server *)((char *)t - offsetof(struct rpc_server, on_down));
    pthread_mutex_lock(&s->lock);
    s->down = true;
    pthread_cond_broadcast(&s->cond);
    pthread_mutex_unlock(&s->lock);
}

static grpc_arg arg_int(const char *key, int64_t value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value > INT32_MAX ? INT32_MAX : (int)value};
}

static int make_server(struct rpc_server *s, struct err *err)
{
    grpc_arg args[] = {
        arg_int(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int64_t)s->options.request_max),
        arg_int(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        arg_int(GRPC_ARG_MAX_METADATA_SIZE, RPC_METADATA_MAX),
        arg_int(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0), /* wire.c does it, within bounds */
        arg_int(GRPC_ARG_ALLOW_REUSEPORT, 0), /* two servers on a port would share its clients */
        arg_int(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 20000),
        arg_int(GRPC_ARG_KEEPALIVE_TIME_MS, 60000),
        arg_int(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, RPC_KEEPALIVE_TIMEOUT_MS),
        arg_int(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        arg_int(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        arg_int(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000),
        arg_int(GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM, s->options.gzip ? GRPC_COMPRESS_GZIP : GRPC_COMPRESS_NONE),
    };
    grpc_channel_args a = {.num_args = ARRAY_LEN(args), .args = args};
    s->server = core.grpc_server_create(&a, NULL);
    if (!s->server)
        return err_nomem(err);
    core.grpc_server_register_completion_queue(s->server, s->queue.cq, NULL);
    return 0;
}

int rpc_server_new(const struct rpc_server_options *o, struct rpc_server **ret, struct err *err)
{
    struct rpc_server *s = mem_zalloc(sizeof *s);
    int r = s ? rpc_core_start(err) : err_nomem(err);
    if (r < 0) {
        free(s);
        return r;
    }
    s->options = *o;
    if (!o->request_max)
        s->options.request_max = RPC_MESSAGE_MAX;
    if (!o->calls_max)
        s->options.calls_max = CALLS_MAX_DEFAULT;
    s->on_down.fn = went_down;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->cond, NULL);
    r = rpc_queue_init(&s->queue, err);
    for (size_t i = 0; r == 0 && i < o->methods_count; i++)
        if (!map_set(&s->methods, o->methods[i].path, (void *)&o->methods[i]))
            r = err_nomem(err);
    if (r == 0)
        r = make_server(s, err);
    if (r < 0) {
        rpc_server_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

static void free_listener(struct listener *l)
{
    rpc_address_release(&l->address);
    rpc_server_creds_free(l->creds);
    free(l);
}

static int listen_at(struct rpc_server *s, struct listener *l, const char *address, const struct rpc_tls *tls, int *ret_port,
                     struct err *err)
{
    grpc_server_credentials *creds = NULL;
    int r = rpc_address_listen(address, &l->address, err);
    if (r == 0)
        r = rpc_creds_server(tls, !s->options.authorize, &l->creds, &creds, err);
    if (r < 0)
        return r;
    errno = 0;
    int port = core.grpc_server_add_http2_port(s->server, l->address.target, creds);
    int e = errno;
    core.grpc_server_credentials_release(creds);
    if (port <= 0) /* the library's reason went to its log; errno is what its last system call left */
        return e ? err_sys(err, e, "listen at %s", address) : err_set(err, ERR_UNAVAILABLE, "cannot listen at %s", address);
    if (ret_port)
        *ret_port = port;
    return rpc_address_place(&l->address, err);
}

int rpc_server_listen(struct rpc_server *s, const char *address, const struct rpc_tls *tls, int *ret_port, struct err *err)
{
    ASSERT(!s->started);
    struct listener *l = mem_zalloc(sizeof *l);
    if (!l)
        return err_nomem(err);
    l->address = (struct rpc_address)RPC_ADDRESS_INIT;
    if (!VEC_PUSH(&s->listeners, l)) {
        free(l);
        return err_nomem(err);
    }
    return listen_at(s, l, address, tls, ret_port, err);
}

int rpc_server_start(struct rpc_server *s, struct err *err)
{
    ASSERT(!s->started);
    int r = rpc_queue_run(&s->queue, THREADS, err);
    if (r < 0)
        return r;
    core.grpc_server_start(s->server);
    s->started = true;
    for (int i = 0; i < EXPECTED; i++)
        rpc_server_expect(s);
    return 0;
}

int rpc_server_adopt(struct rpc_server *s, int fd, struct err *err)
{
    ASSERT(s->started);
    grpc_server_credentials *creds = core.grpc_insecure_server_credentials_create();
    int flags = fcntl(fd, F_GETFL);
    if (!creds || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        close(fd);
        return err_set(err, ERR_INTERNAL, "cannot serve a connection");
    }
    core.grpc_server_add_channel_from_fd(s->server, fd, creds);
    core.grpc_server_credentials_release(creds);
    return 0;
}

/* Waits until the calls are out or the server is down; deadline in os_mono_ns(). */
static void wait_until(struct rpc_server *s, const bool *what, int64_t deadline_ns)
{
    pthread_mutex_lock(&s->lock);
    while (what ? !*what : s->calls > 0) {
        int64_t left = deadline_ns - os_mono_ns();
        struct timespec at;
        if (left <= 0)
            break;
        clock_gettime(CLOCK_REALTIME, &at);
        left = left > NS_PER_S ? NS_PER_S : left; /* the clock of the condition may be set */
        at.tv_sec += (at.tv_nsec + left) / NS_PER_S;
        at.tv_nsec = (at.tv_nsec + left) % NS_PER_S;
        pthread_cond_timedwait(&s->cond, &s->lock, &at);
    }
    pthread_mutex_unlock(&s->lock);
}

void rpc_server_stop(struct rpc_server *s, int64_t grace_ms)
{
    if (s->stopped)
        return;
    s->stopped = true;
    VEC_EACH(&s->listeners, l) /* nobody comes to a server that goes */
        rpc_address_unplace(&(*l)->address);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_mutex_unlock(&s->lock);
    int64_t deadline = os_mono_ns() + grace_ms * NS_PER_MS;
    rpc_happens_before(&s->on_down);
    core.grpc_server_shutdown_and_notify(s->server, s->queue.cq, &s->on_down);
    if (s->started) {
        wait_until(s, NULL, deadline);
        core.grpc_server_cancel_all_calls(s->server);
        wait_until(s, &s->down, INT64_MAX);
        wait_until(s, NULL, INT64_MAX);
    }
}

void rpc_server_free(struct rpc_server *s)
{
    if (!s)
        return;
    if (s->server)
        rpc_server_stop(s, 0);
    rpc_queue_release(&s->queue);
    if (s->server)
        core.grpc_server_destroy(s->server);
    VEC_EACH(&s->listeners, l)
        free_listener(*l);
    VEC_RELEASE(&s->listeners);
    map_release(&s->methods);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->cond);
    free(s);
}
