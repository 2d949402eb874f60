/* The engine over gRPC: who is let in, and what a call becomes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../rpc/stream.h"
#include "api/access/audit.h"
#include "api/grpc/api.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "engine/embedded/embedded.h"
#include "os/clock.h"
#include "os/file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct fixture {
    char *dir;
    struct engine *engine;
    struct grpc_api *api;
    int port;
    struct rpc_client *client;
    struct rpc_detail_type details[32];
    struct rpc_metadata metadata;
} f;

static int set_up(void **state)
{
    struct err err = {0};
    (void)state;
    memset(&f, 0, sizeof f);
    struct engine_embedded_options o = {.path = ":memory:"};
    return os_temp_dir("/tmp", "api-test-", &f.dir, &err) < 0 ? -1 : engine_embedded_open(&o, &f.engine, &err);
}

static int tear_down(void **state)
{
    (void)state;
    rpc_client_free(f.client);
    engine_drain(engine_embedded_outside(f.engine));
    grpc_api_free(f.api, 1000);
    engine_free(f.engine);
    os_remove_tree(f.dir, NULL);
    free(f.dir);
    return 0;
}

/* "full" may begin no more runs. */
static int admit(void *arg, const char *name_space, struct err *err)
{
    (void)arg;
    return strcmp(name_space, "full") == 0 ? err_set(err, ERR_QUOTA, "no more") : 0;
}

static void serve(bool insecure)
{
    struct err err = {0};
    struct grpc_api_options o = {.engine = engine_embedded_outside(f.engine), .state_dir = f.dir, .insecure_loopback = insecure,
                                 .admit = admit};
    if (grpc_api_new(&o, &f.api, &err) < 0 || grpc_api_listen(f.api, "127.0.0.1:0", NULL, &f.port, &err) < 0 ||
        grpc_api_start(f.api, &err) < 0)
        fail_msg("%s", err.msg);
}

static void connect_with(const char *authorization)
{
    char target[64];
    struct err err = {0};
    rpc_client_free(f.client);
    f.client = NULL;
    snprintf(target, sizeof target, "127.0.0.1:%d", f.port);
    for (size_t i = 0; i < engine_details_count && i < ARRAY_LEN(f.details); i++)
        f.details[i] = (struct rpc_detail_type){engine_details[i].name, engine_details[i].descriptor};
    f.metadata = (struct rpc_metadata){"authorization", authorization};
    struct rpc_client_options o = {.target = target,
                                   .metadata = &f.metadata,
                                   .metadata_count = authorization ? 1 : 0,
                                   .details = f.details,
                                   .details_count = engine_details_count};
    assert_int_equal(rpc_client_new(&o, &f.client, &err), 0);
}

struct answer {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    struct err err;
    ProtobufCMessage *resp, *detail;
};

#define ANSWER_INIT {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER}

static void answered(void *arg, ProtobufCMessage *resp, const struct err *err, ProtobufCMessage *detail)
{
    struct answer *a = arg;
    pthread_mutex_lock(&a->lock);
    a->err = *err;
    a->resp = resp;
    a->detail = detail;
    a->done = true;
    pthread_cond_signal(&a->cond);
    pthread_mutex_unlock(&a->lock);
}

static int finish(struct answer *a)
{
    pthread_mutex_lock(&a->lock);
    while (!a->done)
        pthread_cond_wait(&a->cond, &a->lock);
    pthread_mutex_unlock(&a->lock);
    return a->err.code;
}

static int call(enum engine_method m, const void *req, int64_t timeout_ms, struct answer *a)
{
    const struct engine_method_info *info = engine_method_info(m);
    rpc_client_call(f.client, info->path, req, info->response, timeout_ms, 0, answered, a);
    return finish(a);
}

static void release(struct answer *a)
{
    engine_free_message(a->resp);
    engine_free_message(a->detail);
}

static int list(const char *ns, struct answer *a)
{
    Pb__ListWorkflowExecutionsRequest q = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    q.namespace_ = (char *)ns;
    return call(ENGINE_LIST, &q, 5000, a);
}

static int list_once(void)
{
    struct answer a = ANSWER_INIT;
    int code = list("default", &a);
    release(&a);
    return code;
}

static void a_token_opens(void **state)
{
    (void)state;
    struct err err = {0};
    struct stat st;
    char token[ACCESS_TOKEN_LEN + 1], header[128];
    serve(false);
    _cleanup_free_ char *path = os_path_join(f.dir, ACCESS_OWNER_FILE);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct access *a;
    assert_int_equal(access_open(f.dir, &a, &err), 0);
    assert_int_equal(access_owner_token(a, token, &err), 0);
    access_close(a);
    connect_with(NULL);
    assert_int_equal(list_once(), ERR_UNAUTHENTICATED);
    static const char *const wrong[] = {"", "Bearer", "Bearer ", "Basic eDp5",
                                        "Bearer 0123456789012345678901234567890123456789012345678901234567890123"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        connect_with(wrong[i]);
        assert_int_equal(list_once(), ERR_UNAUTHENTICATED);
    }
    snprintf(header, sizeof header, "Bearer %.63s", token); /* all but its end */
    connect_with(header);
    assert_int_equal(list_once(), ERR_UNAUTHENTICATED);
    snprintf(header, sizeof header, "Bearer %s", token);
    connect_with(header);
    assert_int_equal(list_once(), 0);
    snprintf(header, sizeof header, "bearer %s", token);
    connect_with(header);
    assert_int_equal(list_once(), 0);
}

/* With a token of the state. */
static void connect_as(enum access_role role, const char *name_space)
{
    struct err err = {0};
    struct access *a;
    char token[ACCESS_TOKEN_LEN + 1], header[128];
    struct access_request q = {.role = role, .name_space = name_space};
    assert_int_equal(access_open(f.dir, &a, &err), 0);
    assert_int_equal(access_create(a, &q, token, NULL, &err), 0);
    access_close(a);
    snprintf(header, sizeof header, "Bearer %s", token);
    connect_with(header);
}

static int one_call(enum engine_method m, const void *req)
{
    struct answer a = ANSWER_INIT;
    int code = call(m, req, 5000, &a);
    release(&a);
    return code;
}

static int start_in(const char *ns)
{
    Pb__StartWorkflowExecutionRequest q = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    q.namespace_ = (char *)ns;
    q.workflow_id = (char *)"w";
    type.name = (char *)"t";
    queue.name = (char *)"q";
    q.workflow_type = &type;
    q.task_queue = &queue;
    return one_call(ENGINE_START_WORKFLOW, &q);
}

static int list_in(const char *ns)
{
    struct answer a = ANSWER_INIT;
    int code = list(ns, &a);
    release(&a);
    return code;
}

static int register_namespace(const char *ns)
{
    Pb__RegisterNamespaceRequest q = PB__REGISTER_NAMESPACE_REQUEST__INIT;
    q.namespace_ = (char *)ns;
    return one_call(ENGINE_REGISTER_NAMESPACE, &q);
}

static void roles_and_namespaces_are_kept(void **state)
{
    (void)state;
    serve(false);
    connect_as(ACCESS_ADMIN, ACCESS_ALL);
    assert_int_equal(register_namespace("team-a"), 0);
    assert_int_equal(register_namespace("team-b"), 0);
    connect_as(ACCESS_VIEWER, "team-a");
    assert_int_equal(list_in("team-a"), 0);
    assert_int_equal(start_in("team-a"), ERR_PERMISSION);
    connect_as(ACCESS_OPERATOR, "team-a");
    assert_int_equal(start_in("team-a"), 0);
    assert_int_equal(start_in("team-b"), ERR_PERMISSION);
    assert_int_equal(start_in("default"), ERR_PERMISSION);
    static const char *const others[] = {"team-b", "default", "nowhere", "", "TEAM-A", "*"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(list_in(others[i]), ERR_PERMISSION);
    Pb__ListNamespacesRequest all = PB__LIST_NAMESPACES_REQUEST__INIT;
    assert_int_equal(one_call(ENGINE_LIST_NAMESPACES, &all), ERR_PERMISSION);
    Pb__GetSystemInfoRequest info = PB__GET_SYSTEM_INFO_REQUEST__INIT;
    assert_int_equal(one_call(ENGINE_GET_SYSTEM_INFO, &info), 0);
    Pb__RespondActivityTaskCompletedRequest done = PB__RESPOND_ACTIVITY_TASK_COMPLETED_REQUEST__INIT;
    done.task_token = (ProtobufCBinaryData){5, (uint8_t *)"stale"};
    assert_int_equal(one_call(ENGINE_COMPLETE_ACTIVITY, &done), ERR_PERMISSION); /* a token of whichever namespace */
    connect_as(ACCESS_ADMIN, "team-a");
    assert_int_equal(register_namespace("team-c"), ERR_PERMISSION);
    assert_int_equal(register_namespace("team-a"), ERR_PERMISSION);
    connect_as(ACCESS_VIEWER, ACCESS_ALL);
    assert_int_equal(list_in("team-b"), 0);
    assert_int_equal(one_call(ENGINE_LIST_NAMESPACES, &all), 0);
}

static void quotas_are_asked_for(void **state)
{
    (void)state;
    serve(false);
    connect_as(ACCESS_ADMIN, ACCESS_ALL);
    assert_int_equal(register_namespace("full"), 0);
    assert_int_equal(register_namespace("free"), 0);
    int code = start_in("full");
    assert_true(err_grpc_status(code) == 8); /* RESOURCE_EXHAUSTED */
    assert_int_equal(start_in("free"), 0);
    assert_int_equal(list_in("full"), 0);
}

static int count_entry(void *arg, json_t *entry, struct err *err)
{
    int *n = arg;
    (void)err;
    n[0]++;
    n[1] += strcmp(json_string_value(json_object_get(entry, "outcome")), "denied") == 0;
    return 0;
}

static void changes_are_audited(void **state)
{
    (void)state;
    struct err err = {0};
    int n[2] = {0};
    serve(false);
    connect_as(ACCESS_VIEWER, "default");
    assert_int_equal(list_in("default"), 0);
    assert_int_equal(start_in("default"), ERR_PERMISSION);
    connect_as(ACCESS_OPERATOR, "default");
    assert_int_equal(start_in("default"), 0);
    assert_int_equal(audit_read(f.dir, count_entry, n, &err), 0);
    assert_int_equal(n[0], 2);
    assert_int_equal(n[1], 1);
    assert_int_equal(start_in(""), ERR_PERMISSION); /* in none that is named */
    assert_int_equal(register_namespace("team-c"), ERR_PERMISSION);
    n[0] = n[1] = 0;
    assert_int_equal(audit_read(f.dir, count_entry, n, &err), 0);
    assert_int_equal(n[0], 4);
    assert_int_equal(n[1], 3);
}

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        bool tls, insecure;
        int result;
    } table[] = {
        {"127.0.0.1:0", false, false, 0},          {"127.9.9.9:7233", false, true, 0},
        {"[::1]:7233", false, false, 0},           {"localhost:7233", false, true, 0},
        {"0.0.0.0:7233", false, false, -ERR_USAGE}, {"0.0.0.0:7233", false, true, -ERR_USAGE},
        {"0.0.0.0:7233", true, false, 0},          {"0.0.0.0:7233", true, true, -ERR_USAGE},
        {"[::]:7233", false, false, -ERR_USAGE},   {"10.0.0.1:7233", false, false, -ERR_USAGE},
        {"localhost.example:1", false, false, -ERR_USAGE}, {"128.0.0.1:1", false, false, -ERR_USAGE},
        {"127.0.0.1", false, false, -ERR_USAGE},   {":7233", false, false, -ERR_USAGE},
        {"127.0.0.1:65536", false, false, -ERR_USAGE}, {"127.0.0.1:-1", false, false, -ERR_USAGE},
        {"127.0.0.1:7x", false, false, -ERR_USAGE}, {"", false, false, -ERR_USAGE},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = {0};
        struct rpc_tls tls = {.on = table[i].tls};
        int r = grpc_api_check(table[i].address, &tls, table[i].insecure, &err);
        if (r != table[i].result)
            fail_msg("'%s': %d %s", table[i].address, r, err.msg);
    }
}

static void errors_arrive_as_they_are(void **state)
{
    (void)state;
    struct answer a = ANSWER_INIT, b = ANSWER_INIT, c = ANSWER_INIT, d = ANSWER_INIT;
    serve(true);
    connect_with(NULL);
    assert_int_equal(list("nowhere", &a), ERR_NOT_FOUND);
    assert_non_null(a.detail);
    assert_string_equal(engine_detail_name(a.detail->descriptor), "temporal.api.errordetails.v1.NamespaceNotFoundFailure");
    release(&a);
    Pb__ListWorkflowExecutionsRequest q = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    rpc_client_call(f.client, "/" ENGINE_SERVICE "/CreateSchedule", &q.base, NULL, 5000, 0, answered, &b);
    assert_int_equal(finish(&b), ERR_UNIMPLEMENTED);
    assert_non_null(strstr(b.err.msg, "CreateSchedule"));
    release(&b);
    Pb__RespondActivityTaskCompletedRequest stale = PB__RESPOND_ACTIVITY_TASK_COMPLETED_REQUEST__INIT;
    stale.namespace_ = (char *)"default";
    stale.task_token = (ProtobufCBinaryData){5, (uint8_t *)"stale"};
    assert_int_equal(call(ENGINE_COMPLETE_ACTIVITY, &stale, 5000, &c), ERR_INVALID);
    release(&c);
    Pb__HealthCheckRequest h = PB__HEALTH_CHECK_REQUEST__INIT;
    rpc_client_call(f.client, "/grpc.health.v1.Health/Check", &h.base, &pb__health_check_response__descriptor, 5000, 0,
                    answered, &d);
    assert_int_equal(finish(&d), 0);
    assert_int_equal(((Pb__HealthCheckResponse *)d.resp)->status, PB__HEALTH_STATUS__HEALTH_STATUS_SERVING);
    release(&d);
}

/* A load balancer has no token; all it learns is that somebody is there. */
static void health_needs_no_token(void **state)
{
    (void)state;
    struct answer a = ANSWER_INIT, b = ANSWER_INIT, c = ANSWER_INIT;
    Pb__HealthCheckRequest h = PB__HEALTH_CHECK_REQUEST__INIT;
    serve(false);
    connect_with(NULL);
    assert_int_equal(list("default", &a), ERR_UNAUTHENTICATED);
    release(&a);
    rpc_client_call(f.client, "/grpc.health.v1.Health/Check", &h.base, &pb__health_check_response__descriptor, 5000, 0, answered,
                    &b);
    assert_int_equal(finish(&b), 0);
    release(&b);
    h.service = (char *)"nobody";
    rpc_client_call(f.client, "/grpc.health.v1.Health/Check", &h.base, &pb__health_check_response__descriptor, 5000, 0, answered,
                    &c);
    assert_int_equal(finish(&c), ERR_NOT_FOUND);
    release(&c);
}

static unsigned field_number(const ProtobufCMessageDescriptor *d, const char *name)
{
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(d, name);
    assert_true(field && field->id < 16);
    return field->id;
}

/* One in another, so deep: a field of that number around what is there. Gives the new length; buf is filled from its end. */
static size_t wrap(uint8_t *end, size_t len, unsigned field)
{
    uint8_t head[8];
    size_t n = 0;
    head[n++] = (uint8_t)(field << 3 | 2);
    size_t v = len;
    for (; v > 127; v >>= 7)
        head[n++] = (uint8_t)(v | 128);
    head[n++] = (uint8_t)v;
    memcpy(end - len - n, head, n);
    return len + n;
}

/* A failure whose causes go deeper than any program's: refused before it is decoded, and the server lives on. */
static void a_deep_message_is_refused(void **state)
{
    (void)state;
    static uint8_t buf[1 << 20];
    uint8_t *end = buf + sizeof buf;
    const struct engine_method_info *info = engine_method_info(ENGINE_FAIL_ACTIVITY);
    serve(true);
    connect_with(NULL);
    for (int depth = 1000; depth <= 100000; depth *= 100) {
        struct answer a = ANSWER_INIT;
        size_t len = 0;
        for (int i = 0; i < depth; i++)
            len = wrap(end, len, field_number(&pb__failure__descriptor, "cause"));
        len = wrap(end, len, field_number(info->request, "failure"));
        rpc_client_call_bytes(f.client, info->path, end - len, len, info->response, 10000, 0, answered, &a);
        assert_int_equal(finish(&a), ERR_LIMIT);
        release(&a);
    }
    assert_int_equal(list_once(), 0);
}

static void watch(struct stream *s, const char *service)
{
    char target[64];
    Pb__HealthCheckRequest q = PB__HEALTH_CHECK_REQUEST__INIT;
    q.service = (char *)service;
    snprintf(target, sizeof target, "127.0.0.1:%d", f.port);
    stream_open(s, target, "/grpc.health.v1.Health/Watch", &q.base);
}

static Pb__HealthStatus next_status(struct stream *s)
{
    ProtobufCMessage *m = stream_next(s, &pb__health_check_response__descriptor);
    assert_non_null(m);
    Pb__HealthStatus st = ((Pb__HealthCheckResponse *)m)->status;
    protobuf_c_message_free_unpacked(m, NULL);
    return st;
}

/* Those who watch see the status at once, that the server is about to end while calls are still answered, and the end. */
static void health_is_watched(void **state)
{
    (void)state;
    struct stream all, service, unknown, late, gone;
    struct answer a = ANSWER_INIT;
    Pb__HealthCheckRequest h = PB__HEALTH_CHECK_REQUEST__INIT;
    serve(true);
    connect_with(NULL);
    watch(&all, "");
    watch(&service, ENGINE_SERVICE);
    watch(&unknown, "nobody");
    watch(&gone, "");
    assert_int_equal(next_status(&all), PB__HEALTH_STATUS__HEALTH_STATUS_SERVING);
    assert_int_equal(next_status(&service), PB__HEALTH_STATUS__HEALTH_STATUS_SERVING);
    assert_int_equal(next_status(&unknown), PB__HEALTH_STATUS__HEALTH_STATUS_SERVICE_UNKNOWN);
    assert_int_equal(next_status(&gone), PB__HEALTH_STATUS__HEALTH_STATUS_SERVING);
    stream_close(&gone);
    grpc_api_drain(f.api);
    grpc_api_drain(f.api); /* tells them once */
    assert_int_equal(next_status(&all), PB__HEALTH_STATUS__HEALTH_STATUS_NOT_SERVING);
    assert_int_equal(next_status(&service), PB__HEALTH_STATUS__HEALTH_STATUS_NOT_SERVING);
    watch(&late, ENGINE_OPERATOR_SERVICE);
    assert_int_equal(next_status(&late), PB__HEALTH_STATUS__HEALTH_STATUS_NOT_SERVING);
    rpc_client_call(f.client, "/grpc.health.v1.Health/Check", &h.base, &pb__health_check_response__descriptor, 5000, 0, answered,
                    &a);
    assert_int_equal(finish(&a), 0);
    assert_int_equal(((Pb__HealthCheckResponse *)a.resp)->status, PB__HEALTH_STATUS__HEALTH_STATUS_NOT_SERVING);
    release(&a);
    assert_int_equal(list_once(), 0);
    int64_t start = os_mono_ns();
    grpc_api_free(TAKE_PTR(f.api), 60000);
    assert_true(os_mono_ns() - start < 30 * NS_PER_S); /* nobody who watches holds it up */
    struct stream *const left[] = {&all, &service, &unknown, &late};
    for (size_t i = 0; i < ARRAY_LEN(left); i++) {
        assert_null(stream_next(left[i], &pb__health_check_response__descriptor));
        assert_int_equal(stream_status(left[i]), GRPC_STATUS_UNAVAILABLE);
        stream_close(left[i]);
    }
}

/* The last status arrives even if the end follows at once, and so does that of one who reads late. */
static void the_last_status_arrives(void **state)
{
    (void)state;
    struct stream s;
    serve(true);
    watch(&s, "");
    grpc_api_free(TAKE_PTR(f.api), 10000);
    Pb__HealthStatus st = next_status(&s);
    if (st == PB__HEALTH_STATUS__HEALTH_STATUS_SERVING)
        st = next_status(&s);
    assert_int_equal(st, PB__HEALTH_STATUS__HEALTH_STATUS_NOT_SERVING);
    assert_null(stream_next(&s, &pb__health_check_response__descriptor));
    assert_int_equal(stream_status(&s), GRPC_STATUS_UNAVAILABLE);
    stream_close(&s);
}

static void poll_request(Pb__PollWorkflowTaskQueueRequest *q, Pb__TaskQueue *queue)
{
    pb__poll_workflow_task_queue_request__init(q);
    pb__task_queue__init(queue);
    q->namespace_ = (char *)"default";
    q->identity = (char *)"far away";
    queue->name = (char *)"q";
    q->task_queue = queue;
}

static void a_poll_is_answered_before_its_deadline(void **state)
{
    (void)state;
    struct answer a = ANSWER_INIT;
    Pb__PollWorkflowTaskQueueRequest q;
    Pb__TaskQueue queue;
    serve(true);
    connect_with(NULL);
    poll_request(&q, &queue);
    int64_t begin = os_mono_ns();
    assert_int_equal(call(ENGINE_POLL_WORKFLOW_TASK, &q, 2500, &a), 0);
    assert_int_equal(((Pb__PollWorkflowTaskQueueResponse *)a.resp)->task_token.len, 0);
    assert_true(os_mono_ns() - begin >= NS_PER_S);
    release(&a);
}

static void start(const char *id)
{
    struct answer a = ANSWER_INIT;
    Pb__StartWorkflowExecutionRequest q = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    q.namespace_ = (char *)"default";
    q.workflow_id = (char *)id;
    q.request_id = (char *)id;
    type.name = (char *)"t";
    queue.name = (char *)"q";
    q.workflow_type = &type;
    q.task_queue = &queue;
    assert_int_equal(call(ENGINE_START_WORKFLOW, &q, 5000, &a), 0);
    release(&a);
}

/* No task is handed to a caller that has gone. */
static void a_caller_that_goes_leaves_its_poll(void **state)
{
    (void)state;
    struct answer a = ANSWER_INIT, b = ANSWER_INIT;
    Pb__PollWorkflowTaskQueueRequest q;
    Pb__TaskQueue queue;
    serve(true);
    connect_with(NULL);
    poll_request(&q, &queue);
    const struct engine_method_info *info = engine_method_info(ENGINE_POLL_WORKFLOW_TASK);
    for (int i = 0; i < 2; i++) {
        struct answer *to = i ? &b : &a;
        rpc_client_call(f.client, info->path, &q.base, info->response, 30000, 0, answered, to);
    }
    os_sleep_ms(100);
    rpc_client_cancel(f.client, answered, &a);
    assert_int_equal(finish(&a), ERR_CANCELLED);
    os_sleep_ms(100);
    start("w");
    assert_int_equal(finish(&b), 0);
    assert_true(((Pb__PollWorkflowTaskQueueResponse *)b.resp)->task_token.len > 0);
    release(&a);
    release(&b);
}

#define T(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_token_opens),
        T(roles_and_namespaces_are_kept),
        T(quotas_are_asked_for),
        T(changes_are_audited),
        T(addresses),
        T(health_needs_no_token),
        T(a_deep_message_is_refused),
        T(health_is_watched),
        T(the_last_status_arrives),
        T(errors_arrive_as_they_are),
        T(a_poll_is_answered_before_its_deadline),
        T(a_caller_that_goes_leaves_its_poll),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
