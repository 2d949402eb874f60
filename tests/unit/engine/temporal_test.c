/* The engine of a Temporal cluster, against a server of this process that says what a cluster would: what goes out, what
 * comes back, and what each fault of the environment is called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "codec/pbx.h"
#include "engine/temporal/temporal.h"
#include "os/clock.h"
#include "os/file.h"
#include "rpc/rpc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX 16

/* The cluster. */
struct cluster {
    char *dir, *address;
    struct rpc_server *server;
    struct rpc_method methods[ENGINE_METHOD_COUNT_];
    atomic_bool old;  /* knows no GetSystemInfo */
    atomic_bool nothing; /* knows nothing at all */
    _Atomic(const char *) key; /* the API key that it wants */
    atomic_int calls[ENGINE_METHOD_COUNT_];
    pthread_mutex_t lock;
    pthread_cond_t cond;
    ProtobufCMessage *last; /* the last request, a copy */
    char seen_namespace[64], seen_client[64];
    struct held {
        struct cluster *cluster;
        struct rpc_call *call;
    } held[HELD_MAX];
    int held_count, cancelled; /* ever */
};

static void reply_empty(struct rpc_call *call, enum engine_method m)
{
    const ProtobufCMessageDescriptor *d = engine_method_info(m)->response;
    ProtobufCMessage *resp = malloc(d->sizeof_message);
    protobuf_c_message_init(d, resp);
    rpc_call_reply(call, resp);
    free(resp);
}

static void fail_with(struct rpc_call *call, enum err_code code, const char *text, const ProtobufCMessage *detail)
{
    struct err err = {0};
    err_set(&err, code, "%s", text);
    rpc_call_fail(call, &err, detail ? engine_detail_name(detail->descriptor) : NULL, detail);
}

/* A held call: it only ends when its caller goes. */
static void gone(void *arg)
{
    struct held *h = arg;
    struct cluster *c = h->cluster;
    fail_with(h->call, ERR_CANCELLED, "gone", NULL);
    pthread_mutex_lock(&c->lock);
    c->cancelled++;
    pthread_cond_broadcast(&c->cond);
    pthread_mutex_unlock(&c->lock);
}

static void hold(struct cluster *c, struct rpc_call *call)
{
    pthread_mutex_lock(&c->lock);
    assert_true(c->held_count < HELD_MAX);
    struct held *h = &c->held[c->held_count++];
    *h = (struct held){c, call};
    pthread_cond_broadcast(&c->cond);
    pthread_mutex_unlock(&c->lock);
    rpc_call_on_cancel(call, gone, h);
}

static void start(struct rpc_call *call, const ProtobufCMessage *req)
{
    const Pb__StartWorkflowExecutionRequest *q = (const Pb__StartWorkflowExecutionRequest *)req;
    Pb__ErrorDetailWorkflowExecutionAlreadyStarted d = PB__ERROR_DETAIL_WORKFLOW_EXECUTION_ALREADY_STARTED__INIT;
    d.run_id = (char *)"first";
    if (strcmp(q->workflow_id, "twice") == 0)
        fail_with(call, ERR_EXISTS, "already started", &d.base);
    else
        reply_empty(call, ENGINE_START_WORKFLOW);
}

static void keep(struct cluster *c, struct rpc_call *call, const ProtobufCMessage *req)
{
    const char *name_space = rpc_call_metadata(call, "temporal-namespace");
    const char *client = rpc_call_metadata(call, "client-name");
    pthread_mutex_lock(&c->lock);
    engine_free_message(c->last);
    pbx_dup(req, &c->last, NULL);
    snprintf(c->seen_namespace, sizeof c->seen_namespace, "%s", name_space ? name_space : "");
    snprintf(c->seen_client, sizeof c->seen_client, "%s", client ? client : "");
    pthread_mutex_unlock(&c->lock);
}

static void handle(void *arg, struct rpc_call *call, const struct rpc_method *method, const ProtobufCMessage *req)
{
    struct cluster *c = arg;
    enum engine_method m = (enum engine_method)(method - c->methods);
    atomic_fetch_add(&c->calls[m], 1);
    keep(c, call, req);
    if (c->nothing || (m == ENGINE_GET_SYSTEM_INFO && c->old))
        fail_with(call, ERR_UNIMPLEMENTED, "unknown method", NULL);
    else if (m == ENGINE_DESCRIBE_NAMESPACE && strcmp(((const Pb__DescribeNamespaceRequest *)req)->namespace_, "lost") == 0)
        fail_with(call, ERR_NOT_FOUND, "Namespace lost is not found.", NULL);
    else if (m == ENGINE_START_WORKFLOW)
        start(call, req);
    else if (m == ENGINE_POLL_ACTIVITY_TASK || m == ENGINE_GET_HISTORY || m == ENGINE_QUERY)
        hold(c, call);
    else
        reply_empty(call, m);
}

static int authorize(void *arg, struct rpc_call *call, struct err *err)
{
    struct cluster *c = arg;
    char want[64];
    const char *got = rpc_call_metadata(call, "authorization");
    const char *key = atomic_load(&c->key);
    snprintf(want, sizeof want, "Bearer %s", key ? key : "");
    return !key || (got && strcmp(got, want) == 0) ? 0 : err_set(err, ERR_UNAUTHENTICATED, "Request unauthorized.");
}

static void serve(struct cluster *c)
{
    struct rpc_server_options o = {.methods = c->methods,
                                   .methods_count = ENGINE_METHOD_COUNT_,
                                   .handle = handle,
                                   .authorize = authorize,
                                   .arg = c};
    struct err err = {0};
    if (rpc_server_new(&o, &c->server, &err) < 0 || rpc_server_listen(c->server, c->address, NULL, NULL, &err) < 0 ||
        rpc_server_start(c->server, &err) < 0)
        fail_msg("%s", err.msg);
}

static int setup(void **state)
{
    struct cluster *c = calloc(1, sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->cond, NULL);
    assert_int_equal(os_temp_dir("/tmp", "ff-temporal-", &c->dir, NULL), 0);
    assert_true(asprintf(&c->address, "unix:%s/s", c->dir) > 0);
    for (int m = 0; m < ENGINE_METHOD_COUNT_; m++) {
        const struct engine_method_info *info = engine_method_info((enum engine_method)m);
        c->methods[m] = (struct rpc_method){.path = info->path, .request = info->request};
    }
    serve(c);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct cluster *c = *state;
    rpc_server_free(c->server);
    engine_free_message(c->last);
    os_remove_tree(c->dir, NULL);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->cond);
    free(c->dir);
    free(c->address);
    free(c);
    return 0;
}

static struct engine *open_as(struct cluster *c, const char *name_space)
{
    struct engine_temporal_options o = {.address = c->address, .name_space = name_space, .identity = "me", .version = "1.2.3"};
    struct engine *e = NULL;
    struct err err = {0};
    if (engine_temporal_open(&o, &e, &err) < 0)
        fail_msg("%s", err.msg);
    return e;
}

static void wait_for(struct cluster *c, const int *what, int n)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += 60;
    pthread_mutex_lock(&c->lock);
    while (*what < n)
        if (pthread_cond_timedwait(&c->cond, &c->lock, &at) != 0)
            fail_msg("%d of %d", *what, n);
    pthread_mutex_unlock(&c->lock);
}

/* --- what goes out ---------------------------------------------------------------------------------------------- */

static void test_request(void **state)
{
    struct cluster *c = *state;
    struct engine *e = open_as(c, "prod");
    Pb__StartWorkflowExecutionRequest q = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    q.namespace_ = (char *)"default";
    q.workflow_id = (char *)"w";
    assert_int_equal(engine_call_sync(e, ENGINE_START_WORKFLOW, &q.base, 0, NULL, NULL), 0);
    pthread_mutex_lock(&c->lock);
    const Pb__StartWorkflowExecutionRequest *got = (Pb__StartWorkflowExecutionRequest *)c->last;
    assert_string_equal(got->namespace_, "prod");
    assert_string_equal(got->identity, "me");
    assert_int_equal(strlen(got->request_id), 36);
    assert_string_equal(c->seen_namespace, "prod");
    assert_string_equal(c->seen_client, "fuzzforge");
    pthread_mutex_unlock(&c->lock);
    assert_string_equal(q.namespace_, "default"); /* the caller's own is left alone */
    assert_string_equal(q.request_id, "");
    q.namespace_ = (char *)"other";
    q.identity = (char *)"somebody";
    q.request_id = (char *)"mine";
    assert_int_equal(engine_call_sync(e, ENGINE_START_WORKFLOW, &q.base, 0, NULL, NULL), 0);
    pthread_mutex_lock(&c->lock);
    got = (Pb__StartWorkflowExecutionRequest *)c->last;
    assert_string_equal(got->namespace_, "other");
    assert_string_equal(got->identity, "somebody");
    assert_string_equal(got->request_id, "mine");
    pthread_mutex_unlock(&c->lock);
    engine_free(e);
}

/* Without the server for a moment: what may be repeated arrives once it is back. */
static void test_repeat(void **state)
{
    struct cluster *c = *state;
    struct engine *e = open_as(c, NULL);
    Pb__SignalWorkflowExecutionRequest q = PB__SIGNAL_WORKFLOW_EXECUTION_REQUEST__INIT;
    rpc_server_free(c->server);
    serve(c);
    assert_int_equal(engine_call_sync(e, ENGINE_SIGNAL_WORKFLOW, &q.base, 0, NULL, NULL), 0);
    assert_int_equal(atomic_load(&c->calls[ENGINE_SIGNAL_WORKFLOW]), 1);
    engine_free(e);
}

/* --- what comes back ---------------------------------------------------------------------------------------------- */

static void test_detail(void **state)
{
    struct cluster *c = *state;
    struct engine *e = open_as(c, NULL);
    Pb__StartWorkflowExecutionRequest q = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    ProtobufCMessage *resp = NULL, *detail = NULL;
    struct err err = {0};
    q.workflow_id = (char *)"twice";
    assert_int_equal(engine_call_detail(e, ENGINE_START_WORKFLOW, &q.base, 0, &resp, &detail, &err), -ERR_EXISTS);
    assert_string_equal(err.msg, "already started");
    assert_non_null(detail);
    assert_ptr_equal(detail->descriptor, &pb__error_detail_workflow_execution_already_started__descriptor);
    assert_string_equal(((Pb__ErrorDetailWorkflowExecutionAlreadyStarted *)detail)->run_id, "first");
    engine_free_message(detail);
    engine_free(e);
}

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int done;
    int code;
    ProtobufCMessage *resp;
};

static void done(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct waiting *w = arg;
    pthread_mutex_lock(&w->lock);
    w->resp = resp;
    w->code = err->code;
    w->done = 1;
    pthread_cond_broadcast(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static void wait_done(struct waiting *w)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += 60;
    pthread_mutex_lock(&w->lock);
    while (!w->done)
        if (pthread_cond_timedwait(&w->cond, &w->lock, &at) != 0)
            fail_msg("no answer");
    pthread_mutex_unlock(&w->lock);
}

#define WAITING {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER}

static void test_drain(void **state)
{
    struct cluster *c = *state;
    struct engine *e = open_as(c, NULL);
    struct waiting poll = WAITING, history = WAITING, query = WAITING, later = WAITING;
    Pb__PollActivityTaskQueueRequest p = PB__POLL_ACTIVITY_TASK_QUEUE_REQUEST__INIT;
    Pb__GetWorkflowExecutionHistoryRequest h = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__QueryWorkflowRequest q = PB__QUERY_WORKFLOW_REQUEST__INIT;
    h.wait_new_event = true;
    h.next_page_token = (ProtobufCBinaryData){.len = 4, .data = (uint8_t *)"here"};
    engine_call(e, ENGINE_POLL_ACTIVITY_TASK, &p.base, 0, done, &poll);
    engine_call(e, ENGINE_GET_HISTORY, &h.base, 0, done, &history);
    engine_call(e, ENGINE_QUERY, &q.base, 0, done, &query);
    wait_for(c, &c->held_count, 3);
    engine_drain(e);
    wait_done(&poll);
    wait_done(&history);
    assert_int_equal(poll.code, 0);
    assert_int_equal(((Pb__PollActivityTaskQueueResponse *)poll.resp)->task_token.len, 0);
    assert_int_equal(history.code, 0); /* goes on where it was */
    assert_int_equal(((Pb__GetWorkflowExecutionHistoryResponse *)history.resp)->next_page_token.len, 4);
    engine_call(e, ENGINE_POLL_ACTIVITY_TASK, &p.base, 0, done, &later);
    wait_done(&later);
    assert_int_equal(later.code, ERR_UNAVAILABLE);
    Pb__SignalWorkflowExecutionRequest s = PB__SIGNAL_WORKFLOW_EXECUTION_REQUEST__INIT;
    assert_int_equal(engine_call_sync(e, ENGINE_SIGNAL_WORKFLOW, &s.base, 0, NULL, NULL), 0); /* others go on */
    wait_for(c, &c->cancelled, 2);
    engine_cancel(e, done, &query);
    wait_done(&query);
    assert_int_equal(query.code, ERR_CANCELLED);
    engine_free_message(poll.resp);
    engine_free_message(history.resp);
    engine_free(e);
}

/* A poll's time is over: empty. A caller that goes: cancelled. A query's time: an error; that of a call which the cluster
 * alone answers: the cluster is not there. */
static void test_time(void **state)
{
    struct cluster *c = *state;
    struct engine *e = open_as(c, NULL);
    Pb__PollActivityTaskQueueRequest p = PB__POLL_ACTIVITY_TASK_QUEUE_REQUEST__INIT;
    Pb__QueryWorkflowRequest q = PB__QUERY_WORKFLOW_REQUEST__INIT;
    ProtobufCMessage *resp = NULL;
    assert_int_equal(engine_call_sync(e, ENGINE_POLL_ACTIVITY_TASK, &p.base, 100, &resp, NULL), 0);
    assert_non_null(resp);
    engine_free_message(resp);
    assert_int_equal(engine_call_sync(e, ENGINE_QUERY, &q.base, 100, NULL, NULL), -ERR_TIMEOUT);
    Pb__GetWorkflowExecutionHistoryRequest h = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    assert_int_equal(engine_call_sync(e, ENGINE_GET_HISTORY, &h.base, 100, NULL, NULL), -ERR_UNAVAILABLE);
    struct waiting poll = WAITING;
    wait_for(c, &c->cancelled, 3);
    engine_call(e, ENGINE_POLL_ACTIVITY_TASK, &p.base, 0, done, &poll);
    wait_for(c, &c->held_count, 4);
    engine_cancel(e, done, &poll);
    wait_done(&poll);
    assert_int_equal(poll.code, ERR_CANCELLED);
    wait_for(c, &c->cancelled, 4);
    engine_free(e);
}

/* --- faults of the environment ---------------------------------------------------------------------------------- */

static void test_faults(void **state)
{
    struct cluster *c = *state;
    const struct {
        struct engine_temporal_options o;
        bool old, nothing;
        const char *key;
        int code;
        const char *text, *hint;
    } table[] = {
        {.o = {.address = "127.0.0.1:1"}, .code = ERR_UNAVAILABLE, .text = "Connection refused", .hint = "temporal.address"},
        {.o = {.address = "unix:/nowhere/s"}, .code = ERR_UNAVAILABLE, .text = "/nowhere/s", .hint = "temporal.address"},
        {.o = {.address = c->address, .name_space = "lost"}, .code = ERR_MISSING, .text = "no namespace 'lost'",
         .hint = "temporal.namespace"},
        {.o = {.address = c->address}, .key = "k", .code = ERR_UNAUTHENTICATED, .text = "Request unauthorized.",
         .hint = "temporal.api_key"},
        {.o = {.address = c->address, .api_key = "expired"}, .key = "k", .code = ERR_UNAUTHENTICATED,
         .text = "Request unauthorized.", .hint = "still valid"},
        {.o = {.address = c->address, .api_key = "k"}, .key = "k"},
        {.o = {.address = c->address}, .old = true},
        {.o = {.address = c->address}, .nothing = true, .code = ERR_UNAVAILABLE, .text = "does not serve Temporal's API"},
        {.o = {.address = "192.0.2.1:7233", .api_key = "k"}, .code = ERR_INVALID, .text = "in the clear"},
        {.o = {.address = c->address, .tls = true, .tls_ca = "/nowhere/ca"}, .code = ERR_MISSING, .text = "/nowhere/ca"},
        {.o = {.address = ""}, .code = ERR_INVALID, .text = "no address"},
        {.o = {.address = "localhost"}, .code = ERR_MISSING, .text = "no port"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct engine_temporal_options o = table[i].o;
        struct engine *e = NULL;
        struct err err = {0};
        o.connect_ms = 2000;
        c->old = table[i].old;
        c->nothing = table[i].nothing;
        c->key = table[i].key;
        int r = engine_temporal_open(&o, &e, &err);
        if (r != -table[i].code || (table[i].text && (!strstr(err.msg, table[i].text) || !strstr(err.msg, o.address))) ||
            (table[i].hint && !strstr(err.hint, table[i].hint)))
            fail_msg("%zu: %d '%s' '%s'", i, r, err.msg, err.hint);
        if (table[i].code == ERR_UNAVAILABLE || table[i].code == ERR_MISSING || table[i].code == ERR_UNAUTHENTICATED)
            assert_int_equal(err_exit_status(r), 5);
        engine_free(e);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {T(request), T(repeat), T(detail), T(drain), T(time), T(faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
