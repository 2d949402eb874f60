#include "api/grpc/api.h"

#include "api/grpc/auth.h"
#include "api/grpc/health.h"
#include "api/grpc/rights.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Temporal's own bounds of a wait; a client that gives more time gets an empty answer then, and asks again. */
#define POLL_MAX_MS 60000
#define HISTORY_MAX_MS 20000
/* So long before its deadline a call that waits is answered: the answer has to get there. */
#define MARGIN_MS 1000

/* Calls at a time of the callers of one namespace: a quarter of what the server takes. Most of them wait, for tasks say. */
#define SHARE_MAX 2500

/* After the engine's: */
#define CHECK ENGINE_METHOD_COUNT_
#define WATCH (ENGINE_METHOD_COUNT_ + 1)

/* Of a namespace that tokens are for: there from its first call on. */
struct share {
    struct share *next;
    int calls;
    char name_space[ACCESS_NAME_MAX + 1];
};

struct grpc_api {
    struct grpc_api_options o;
    pthread_mutex_t lock; /* the shares */
    struct share *shares;
    struct auth auth;
    struct health health;
    struct rpc_server *server;
    struct rpc_method methods[ENGINE_METHOD_COUNT_ + 2];
};

/* A call on its way through the engine. */
struct passage {
    struct rpc_call *call;
    struct grpc_api *api;
    enum engine_method method;
    struct share *share; /* NULL: of one who sees all */
    atomic_int refs; /* of the one who sends it, until it is sent, and of the answer */
    atomic_bool gone;
};

/* NULL with an error: it has no more. */
static struct share *share_take(struct grpc_api *api, const char *name_space, struct err *err)
{
    pthread_mutex_lock(&api->lock);
    struct share *s = api->shares;
    while (s && strcmp(s->name_space, name_space) != 0)
        s = s->next;
    if (!s && (s = mem_zalloc(sizeof *s))) {
        snprintf(s->name_space, sizeof s->name_space, "%s", name_space);
        s->next = api->shares;
        api->shares = s;
    }
    bool full = s && s->calls >= SHARE_MAX;
    if (s && !full)
        s->calls++;
    pthread_mutex_unlock(&api->lock);
    if (!s)
        err_nomem(err);
    else if (full)
        err_set(err, ERR_QUOTA, "%d calls of the namespace '%s' at a time, and no more", SHARE_MAX, name_space);
    return full ? NULL : s;
}

static void share_give(struct grpc_api *api, struct share *s)
{
    pthread_mutex_lock(&api->lock);
    s->calls--;
    pthread_mutex_unlock(&api->lock);
}

static void unref(struct passage *p)
{
    if (atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    if (p->share)
        share_give(p->api, p->share);
    free(p);
}

static void answered(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct passage *p = arg;
    const struct grpc_api_options *o = &p->api->o;
    if (!err->code && p->method == ENGINE_REGISTER_NAMESPACE && o->new_namespace)
        o->new_namespace(o->new_namespace_arg);
    if (err->code)
        rpc_call_fail(p->call, err, resp ? engine_detail_name(resp->descriptor) : NULL, resp);
    else
        rpc_call_reply(p->call, resp);
    engine_free_message(resp);
    unref(p);
}

static void caller_gone(void *arg)
{
    struct passage *p = arg;
    atomic_store(&p->gone, true);
    engine_cancel(p->api->o.engine, answered, p);
}

/* How long the engine may wait; 0: as it does by itself. */
static int64_t wait_ms(enum engine_method m, const struct rpc_call *call)
{
    int64_t left = rpc_call_left_ms(call);
    int64_t max = m == ENGINE_POLL_WORKFLOW_TASK || m == ENGINE_POLL_ACTIVITY_TASK ? POLL_MAX_MS
                  : m == ENGINE_GET_HISTORY                                       ? HISTORY_MAX_MS
                                                                                  : INT64_MAX;
    if (!(engine_method_info(m)->flags & ENGINE_LONG_POLL) || left == INT64_MAX)
        return 0;
    int64_t ms = left > 2 * MARGIN_MS ? left - MARGIN_MS : left / 2;
    ms = ms < 1 ? 1 : ms;
    return ms < max ? ms : max;
}

/* *ret_share: what it counts for; NULL: nothing. */
static bool allowed(struct grpc_api *api, struct rpc_call *call, enum engine_method m, const ProtobufCMessage *req,
                    struct share **ret_share)
{
    struct access_caller who;
    *ret_share = NULL;
    struct err err = {0};
    int r = auth_check(&api->auth, call, &who, &err); /* again: a token may have been revoked meanwhile */
    if (r == 0)
        r = rights_check(api->o.state_dir, &who, m, req, rpc_call_local(call) ? NULL : rpc_call_peer(call), &err);
    if (r == 0 && !access_sees(&who, ACCESS_ALL) && !(*ret_share = share_take(api, who.name_space, &err)))
        r = -err.code;
    if (r == 0 && api->o.admit && !rpc_call_local(call) && rights_starts_run(m))
        r = api->o.admit(api->o.admit_arg, rights_namespace(req), &err);
    if (r < 0 && *ret_share)
        share_give(api, *ret_share);
    if (r < 0)
        rpc_call_fail(call, &err, NULL, NULL);
    return r == 0;
}

static void handle(void *arg, struct rpc_call *call, const struct rpc_method *method, const ProtobufCMessage *req)
{
    struct grpc_api *api = arg;
    size_t i = (size_t)(method - api->methods);
    if (i >= CHECK) {
        (i == CHECK ? health_check : health_watch)(&api->health, call, req);
        return;
    }
    enum engine_method m = (enum engine_method)i;
    struct share *share;
    if (!allowed(api, call, m, req, &share))
        return;
    struct passage *p = mem_zalloc(sizeof *p);
    if (!p) {
        if (share)
            share_give(api, share);
        struct err err = {0};
        err_nomem(&err);
        rpc_call_fail(call, &err, NULL, NULL);
        return;
    }
    p->call = call;
    p->api = api;
    p->method = m;
    p->share = share;
    atomic_store(&p->refs, 2);
    int64_t ms = wait_ms(m, call);
    bool waits = engine_method_info(m)->flags & ENGINE_LONG_POLL;
    if (waits)
        rpc_call_on_cancel(call, caller_gone, p); /* before it can be answered */
    engine_call(api->o.engine, m, req, ms, answered, p);
    if (waits && atomic_load(&p->gone)) /* so early that there was nothing to cancel */
        engine_cancel(api->o.engine, answered, p);
    unref(p);
}

/* Who asks whether a server is there, a load balancer say, has no token. */
static int authorize(void *arg, struct rpc_call *call, struct err *err)
{
    struct grpc_api *api = arg;
    struct access_caller who;
    const struct rpc_method *m = rpc_call_method(call);
    if (m == &api->methods[CHECK] || m == &api->methods[WATCH])
        return 0;
    return auth_check(&api->auth, call, &who, err);
}

int grpc_api_new(const struct grpc_api_options *o, struct grpc_api **ret, struct err *err)
{
    struct grpc_api *api = mem_zalloc(sizeof *api);
    if (!api)
        return err_nomem(err);
    api->o = *o;
    pthread_mutex_init(&api->lock, NULL);
    health_init(&api->health);
    for (int i = 0; i < ENGINE_METHOD_COUNT_; i++) {
        const struct engine_method_info *info = engine_method_info((enum engine_method)i);
        api->methods[i] = (struct rpc_method){.path = info->path, .request = info->request};
    }
    api->methods[CHECK] = (struct rpc_method){.path = HEALTH_CHECK, .request = &pb__health_check_request__descriptor};
    api->methods[WATCH] = (struct rpc_method){.path = HEALTH_WATCH, .request = &pb__health_check_request__descriptor};
    struct rpc_server_options so = {.methods = api->methods,
                                    .methods_count = ARRAY_LEN(api->methods),
                                    .handle = handle,
                                    .authorize = authorize,
                                    .gzip = o->gzip,
                                    .arg = api};
    int r = rpc_server_new(&so, &api->server, err);
    if (r < 0) {
        grpc_api_free(api, 0);
        return r;
    }
    *ret = api;
    return 0;
}

static int refuse(const char *address, struct err *err)
{
    err_set(err, ERR_USAGE, "%s is reachable from other machines: it needs TLS", address);
    return err_hint(err, "--tls-cert FILE --tls-key FILE, or listen at 127.0.0.1");
}

bool grpc_api_far(const char *address)
{
    bool loopback;
    return auth_address(address, &loopback, NULL) == 0 && !loopback;
}

int grpc_api_check(const char *address, const struct rpc_tls *tls, bool insecure_loopback, struct err *err)
{
    bool loopback;
    int r = auth_address(address, &loopback, err);
    if (r < 0)
        return r;
    if (!loopback && !(tls && tls->on))
        return refuse(address, err);
    if (!loopback && insecure_loopback)
        return err_set(err, ERR_USAGE, "--insecure-loopback is for addresses of this machine alone, not for %s", address);
    return 0;
}

int grpc_api_listen(struct grpc_api *api, const char *address, const struct rpc_tls *tls, int *ret_port, struct err *err)
{
    int r = grpc_api_check(address, tls, api->o.insecure_loopback, err);
    if (r == 0 && !api->auth.access)
        r = auth_init(&api->auth, api->o.state_dir, api->o.insecure_loopback, err);
    return r < 0 ? r : rpc_server_listen(api->server, address, tls, ret_port, err);
}

int grpc_api_start(struct grpc_api *api, struct err *err)
{
    return rpc_server_start(api->server, err);
}

void grpc_api_adopt(struct grpc_api *api, int fd)
{
    struct err err = {0};
    if (rpc_server_adopt(api->server, fd, &err) < 0)
        log_warn("%s", err.msg);
}

void grpc_api_drain(struct grpc_api *api)
{
    if (api)
        health_drain(&api->health);
}

void grpc_api_free(struct grpc_api *api, int64_t grace_ms)
{
    if (!api)
        return;
    health_end(&api->health);
    if (api->server)
        rpc_server_stop(api->server, grace_ms);
    rpc_server_free(api->server);
    health_release(&api->health);
    auth_release(&api->auth);
    for (struct share *s = api->shares, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    pthread_mutex_destroy(&api->lock);
    free(api);
}
