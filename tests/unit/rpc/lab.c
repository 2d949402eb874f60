#include "lab.h"

#include "os/clock.h"
#include "os/file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* c-ares, which the library resolves names with, leaks ten bytes each time. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libcares";
}

static void reply_bytes(struct rpc_call *call, uint8_t *data, size_t len)
{
    Pb__Payload p = PB__PAYLOAD__INIT;
    p.data = (ProtobufCBinaryData){.len = len, .data = data};
    rpc_call_reply(call, &p.base);
}

static void echo(struct rpc_call *call, const Pb__Payload *p)
{
    uint8_t *copy = malloc(p->data.len + 1);
    for (size_t i = 0; i < p->data.len; i++)
        copy[i] = (uint8_t)toupper(p->data.data[i]);
    reply_bytes(call, copy, p->data.len);
    free(copy);
}

static void fail_call(struct rpc_call *call)
{
    struct err err = {0};
    err_set(&err, ERR_NO_SPACE, "no such thing: 100 %% gone, %s", "\xc3\xa4");
    err_hint(&err, "look elsewhere");
    Pb__ErrorDetailNotFound d = PB__ERROR_DETAIL_NOT_FOUND__INIT;
    d.current_cluster = (char *)"here";
    rpc_call_fail(call, &err, "lab.v1.NotFound", &d.base);
}

static void big(struct rpc_call *call, const Pb__Payload *p)
{
    char text[32] = {0};
    for (size_t i = 0; i < p->data.len && i < 31; i++)
        text[i] = (char)p->data.data[i];
    size_t n = strtoul(text, NULL, 10);
    uint8_t *data = malloc(n + 1);
    memset(data, 'b', n);
    reply_bytes(call, data, n);
    free(data);
}

struct held {
    struct held *next; /* lab->all */
    struct lab *lab;
    struct rpc_call *call;
};

/* Takes it out of the held; false: it was not there any more. */
static bool take(struct lab *l, struct rpc_call *call)
{
    bool found = false;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->held_count; i++) {
        if (l->held[i] == call) {
            l->held[i] = l->held[--l->held_count];
            found = true;
            break;
        }
    }
    pthread_mutex_unlock(&l->lock);
    return found;
}

static void cancelled(void *arg)
{
    struct held *h = arg;
    struct lab *l = h->lab;
    bool mine = take(l, h->call);
    pthread_mutex_lock(&l->lock);
    l->cancelled_count++;
    pthread_cond_broadcast(&l->cond);
    pthread_mutex_unlock(&l->lock);
    if (mine) {
        struct err err = {0};
        err_set(&err, ERR_CANCELLED, "the caller went away");
        rpc_call_fail(h->call, &err, NULL, NULL);
    }
}

static void hold(struct lab *l, struct rpc_call *call)
{
    struct held *h = malloc(sizeof *h);
    pthread_mutex_lock(&l->lock);
    *h = (struct held){l->all, l, call};
    l->all = h;
    assert_true(l->held_count < 64);
    l->held[l->held_count++] = call;
    pthread_mutex_unlock(&l->lock);
    rpc_call_on_cancel(call, cancelled, h);
    pthread_mutex_lock(&l->lock);
    pthread_cond_broadcast(&l->cond);
    pthread_mutex_unlock(&l->lock);
}

static void handle(void *arg, struct rpc_call *call, const struct rpc_method *method, const ProtobufCMessage *req)
{
    struct lab *l = arg;
    const Pb__Payload *p = (const Pb__Payload *)req;
    __atomic_add_fetch(&l->calls, 1, __ATOMIC_RELAXED);
    if (strcmp(method->path, ECHO) == 0)
        echo(call, p);
    else if (strcmp(method->path, FAIL) == 0)
        fail_call(call);
    else if (strcmp(method->path, BIG) == 0)
        big(call, p);
    else
        hold(l, call);
}

static int authorize(void *arg, struct rpc_call *call, struct err *err)
{
    struct lab *l = arg;
    const char *token = rpc_call_metadata(call, "authorization");
    snprintf(l->seen_token, sizeof l->seen_token, "%s", token ? token : "");
    return l->authorize ? l->authorize(l, call, err) : 0;
}

void lab_init(struct lab *l)
{
    *l = (struct lab){.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    assert_ok(os_temp_dir("/tmp", "ff-rpc-", &l->dir, err));
    assert_true(asprintf(&l->socket, "unix:%s/s", l->dir) > 0);
    static const char *const paths[] = {ECHO, HOLD, FAIL, BIG};
    for (size_t i = 0; i < 4; i++)
        l->methods[i] = (struct rpc_method){.path = paths[i], .request = &pb__payload__descriptor};
    l->options = (struct rpc_server_options){
        .methods = l->methods, .methods_count = 4, .handle = handle, .authorize = authorize, .arg = l};
}

int lab_serve(struct lab *l, const char *address, const struct rpc_tls *tls)
{
    int port = 0;
    assert_ok(rpc_server_new(&l->options, &l->server, err));
    assert_ok(rpc_server_listen(l->server, address ? address : l->socket, tls, &port, err));
    assert_ok(rpc_server_start(l->server, err));
    return port;
}

void lab_serve_stop(struct lab *l, int64_t grace_ms)
{
    rpc_server_stop(l->server, grace_ms);
    rpc_server_free(l->server);
    l->server = NULL;
}

void lab_connect(struct lab *l, const char *target)
{
    l->client_options.target = target ? target : l->socket;
    assert_ok(rpc_client_new(&l->client_options, &l->client, err));
}

void lab_release(struct lab *l)
{
    rpc_client_free(l->client);
    lab_let_go(l);
    rpc_server_free(l->server);
    for (struct held *h; (h = l->all);) {
        l->all = h->next;
        free(h);
    }
    os_remove_tree(l->dir, NULL);
    free(l->dir);
    free(l->socket);
}

size_t lab_calls(struct lab *l)
{
    return __atomic_load_n(&l->calls, __ATOMIC_RELAXED);
}

static size_t locked(struct lab *l, const size_t *what)
{
    pthread_mutex_lock(&l->lock);
    size_t n = *what;
    pthread_mutex_unlock(&l->lock);
    return n;
}

size_t lab_held(struct lab *l)
{
    return locked(l, &l->held_count);
}

size_t lab_cancelled(struct lab *l)
{
    return locked(l, &l->cancelled_count);
}

static void wait_for(struct lab *l, const size_t *what, size_t n)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += 60;
    pthread_mutex_lock(&l->lock);
    while (*what < n)
        if (pthread_cond_timedwait(&l->cond, &l->lock, &at) != 0)
            fail_msg("%zu of %zu after 10 s", *what, n);
    pthread_mutex_unlock(&l->lock);
}

void lab_wait_held(struct lab *l, size_t n)
{
    wait_for(l, &l->held_count, n);
}

void lab_wait_cancelled(struct lab *l, size_t n)
{
    wait_for(l, &l->cancelled_count, n);
}

void lab_let_go(struct lab *l)
{
    for (;;) {
        pthread_mutex_lock(&l->lock);
        struct rpc_call *call = l->held_count ? l->held[--l->held_count] : NULL;
        pthread_mutex_unlock(&l->lock);
        if (!call)
            return;
        reply_bytes(call, (uint8_t *)"held", 4);
    }
}

/* --- answers --------------------------------------------------------------------------------------------------- */

static void drop_messages(struct answer *a)
{
    if (a->resp)
        protobuf_c_message_free_unpacked(a->resp, NULL);
    if (a->detail)
        protobuf_c_message_free_unpacked(a->detail, NULL);
    a->resp = a->detail = NULL;
}

void answer_release(struct answer *a)
{
    drop_messages(a);
    *a = (struct answer)ANSWER_INIT;
}

void answer_done(void *arg, ProtobufCMessage *resp, const struct err *err, ProtobufCMessage *detail)
{
    struct answer *a = arg;
    pthread_mutex_lock(&a->lock);
    drop_messages(a);
    a->resp = resp;
    a->detail = detail;
    a->err = *err;
    a->failures += err->code != 0;
    a->count++;
    pthread_cond_broadcast(&a->cond);
    pthread_mutex_unlock(&a->lock);
}

void answer_wait(struct answer *a, int n)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += 60;
    pthread_mutex_lock(&a->lock);
    while (a->count < n)
        if (pthread_cond_timedwait(&a->cond, &a->lock, &at) != 0)
            fail_msg("%d of %d answers after 60 s", a->count, n);
    pthread_mutex_unlock(&a->lock);
}

void lab_call(struct lab *l, const char *method, const char *text, int64_t timeout_ms, unsigned flags, struct answer *a)
{
    Pb__Payload p = PB__PAYLOAD__INIT;
    p.data = (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
    rpc_client_call(l->client, method, &p.base, &pb__payload__descriptor, timeout_ms, flags, answer_done, a);
}

int lab_call_wait(struct lab *l, const char *method, const char *text, int64_t timeout_ms, unsigned flags, struct answer *a)
{
    answer_release(a);
    lab_call(l, method, text, timeout_ms, flags, a);
    answer_wait(a, 1);
    return a->err.code;
}

const char *answer_text(const struct answer *a)
{
    static char text[256];
    const Pb__Payload *p = (const Pb__Payload *)a->resp;
    assert_non_null(p);
    snprintf(text, sizeof text, "%.*s", (int)p->data.len, (char *)p->data.data);
    return text;
}
