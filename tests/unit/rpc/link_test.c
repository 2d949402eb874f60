/* Both ends of a link in one process, and each of them with an other end that does not keep to the rules. */
#include "base/cleanup.h"
#include "base/units.h"
#include "lab.h"
#include "os/clock.h"
#include "rpc/link_internal.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELD_MAX 64

static const struct rpc_detail_type types[] = {{"lab.v1.NotFound", &pb__error_detail_not_found__descriptor}};

struct outcome {
    int count, failures, left; /* left: failed without having surely not begun */
    struct err err;
    ProtobufCMessage *resp, *detail;
};

static struct fixture {
    struct rpc_method methods[4];
    struct link_server *server;
    struct link_client *client;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct link_call *held[HELD_MAX];
    int held_count, calls, cancels;
    bool answers_cancelled;
} f;

static void reply_bytes(struct link_call *call, const void *data, size_t len)
{
    Pb__Payload *p = malloc(sizeof *p);
    pb__payload__init(p);
    p->data = (ProtobufCBinaryData){.len = len, .data = malloc(len + 1)};
    if (len)
        memcpy(p->data.data, data, len);
    link_call_reply(call, &p->base);
}

static void fail_call(struct link_call *call)
{
    struct err err = {0};
    Pb__ErrorDetailNotFound d = PB__ERROR_DETAIL_NOT_FOUND__INIT;
    err_set(&err, ERR_NO_SPACE, "no such thing: 100 %% gone, \xc3\xa4");
    err_hint(&err, "look elsewhere");
    d.current_cluster = (char *)"here";
    link_call_fail(call, &err, types[0].name, &d.base);
}

static void handle(void *arg, struct link_call *call, const struct rpc_method *m, const ProtobufCMessage *req, int64_t wait_ms)
{
    (void)arg;
    const Pb__Payload *p = (const Pb__Payload *)req;
    pthread_mutex_lock(&f.lock);
    f.calls++;
    pthread_mutex_unlock(&f.lock);
    if (strcmp(m->path, ECHO) == 0) {
        reply_bytes(call, p->data.data, p->data.len);
    } else if (strcmp(m->path, FAIL) == 0) {
        fail_call(call);
    } else if (strcmp(m->path, BIG) == 0) {
        void *data = calloc(1, (size_t)wait_ms);
        reply_bytes(call, data, (size_t)wait_ms);
        free(data);
    } else {
        pthread_mutex_lock(&f.lock);
        assert_true(f.held_count < HELD_MAX);
        f.held[f.held_count++] = call;
        pthread_cond_broadcast(&f.cond);
        pthread_mutex_unlock(&f.lock);
    }
}

static bool take(struct link_call *call)
{
    bool found = false;
    for (int i = 0; !found && i < f.held_count; i++)
        if ((found = f.held[i] == call))
            f.held[i] = f.held[--f.held_count];
    return found;
}

static void cancel(void *arg, struct link_call *call)
{
    struct err err = {0};
    (void)arg;
    pthread_mutex_lock(&f.lock);
    bool mine = f.answers_cancelled && take(call);
    f.cancels++;
    pthread_cond_broadcast(&f.cond);
    pthread_mutex_unlock(&f.lock);
    err_set(&err, ERR_CANCELLED, "gone");
    if (mine)
        link_call_fail(call, &err, NULL, NULL);
}

static void let_go(void)
{
    pthread_mutex_lock(&f.lock);
    while (f.held_count) {
        struct link_call *call = f.held[--f.held_count];
        pthread_mutex_unlock(&f.lock);
        reply_bytes(call, "held", 4);
        pthread_mutex_lock(&f.lock);
    }
    pthread_mutex_unlock(&f.lock);
}

static int now(const int *what)
{
    pthread_mutex_lock(&f.lock);
    int n = *what;
    pthread_mutex_unlock(&f.lock);
    return n;
}

/* Until *what is n; fails after a minute. */
static void wait_for(const int *what, int n)
{
    for (int64_t end = os_mono_ns() + 60 * NS_PER_S; os_mono_ns() < end; os_sleep_ms(1))
        if (now(what) == n)
            return;
    fail_msg("%d, not %d", now(what), n);
}

static void done(void *arg, ProtobufCMessage *resp, const struct err *err, ProtobufCMessage *detail, bool never_left)
{
    struct outcome *o = arg;
    pthread_mutex_lock(&f.lock);
    if (o->resp)
        protobuf_c_message_free_unpacked(o->resp, NULL);
    if (o->detail)
        protobuf_c_message_free_unpacked(o->detail, NULL);
    o->resp = resp;
    o->detail = detail;
    o->err = *err;
    o->failures += err->code != 0;
    o->left += err->code && !never_left;
    o->count++;
    pthread_mutex_unlock(&f.lock);
}

static void release(struct outcome *o)
{
    if (o->resp)
        protobuf_c_message_free_unpacked(o->resp, NULL);
    if (o->detail)
        protobuf_c_message_free_unpacked(o->detail, NULL);
    *o = (struct outcome){0};
}

static bool call_bytes(const char *method, const void *data, size_t len, int64_t wait_ms, int64_t timeout_ms, struct outcome *o)
{
    Pb__Payload p = PB__PAYLOAD__INIT;
    p.data = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)data};
    return link_client_call(f.client, method, &p.base, &pb__payload__descriptor, wait_ms, timeout_ms, done, o);
}

static void call(const char *method, const char *text, int64_t timeout_ms, struct outcome *o)
{
    assert_true(call_bytes(method, text, strlen(text), 0, timeout_ms, o));
}

static int call_wait(const char *method, const char *text, int64_t timeout_ms, struct outcome *o)
{
    release(o);
    call(method, text, timeout_ms, o);
    wait_for(&o->count, 1);
    return o->err.code;
}

static void serve(void)
{
    struct link_server_options o = {.methods = f.methods, .methods_count = 4, .handle = handle, .cancel = cancel, .calls_max = HELD_MAX};
    assert_ok(link_server_new(&o, &f.server, err));
}

/* The other end of a connection that the server has. */
static int visit(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    link_server_adopt(f.server, fds[0]);
    return fds[1];
}

static void connect_to(int fd)
{
    struct link_client_options o = {.fd = fd, .details = types, .details_count = 1};
    assert_ok(link_client_new(&o, &f.client, err));
}

static int set_up(void **state)
{
    (void)state;
    static const char *const paths[] = {ECHO, HOLD, FAIL, BIG};
    f = (struct fixture){.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER, .answers_cancelled = true};
    for (size_t i = 0; i < 4; i++)
        f.methods[i] = (struct rpc_method){.path = paths[i], .request = &pb__payload__descriptor};
    serve();
    connect_to(visit());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    link_client_free(f.client);
    let_go();
    link_server_free(f.server, 0);
    return 0;
}

static void answers(void **state)
{
    (void)state;
    struct outcome o = {0};
    assert_int_equal(call_wait(ECHO, "hello", 60000, &o), 0);
    assert_int_equal(((Pb__Payload *)o.resp)->data.len, 5);
    assert_memory_equal(((Pb__Payload *)o.resp)->data.data, "hello", 5);
    assert_int_equal(call_wait(FAIL, "", 60000, &o), ERR_NO_SPACE);
    assert_string_equal(o.err.msg, "no such thing: 100 % gone, \xc3\xa4");
    assert_string_equal(o.err.hint, "look elsewhere");
    assert_non_null(o.detail);
    assert_string_equal(((Pb__ErrorDetailNotFound *)o.detail)->current_cluster, "here");
    assert_int_equal(o.left, 1);
    assert_int_equal(call_wait("/lab.v1.Lab/Nothing", "", 60000, &o), ERR_UNIMPLEMENTED);
    release(&o);
}

static void *many(void *arg)
{
    for (int i = 0; i < 2000; i++)
        call(ECHO, "x", 60000, arg);
    return NULL;
}

/* Several threads that call at once, more than is let in at a time. */
static void many_at_once(void **state)
{
    (void)state;
    pthread_t t[4];
    struct outcome o = {0};
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, many, &o);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    wait_for(&o.count, 8000);
    assert_int_equal(o.failures, 0);
    for (int i = 0; i < HELD_MAX; i++)
        call(HOLD, "", 60000, &o);
    wait_for(&f.held_count, HELD_MAX);
    call(ECHO, "", 60000, &o);
    wait_for(&o.count, 8001);
    assert_int_equal(o.err.code, ERR_LIMIT);
    let_go();
    wait_for(&o.count, 8001 + HELD_MAX);
    assert_int_equal(o.failures, 1);
    release(&o);
}

static void sizes(void **state)
{
    (void)state;
    struct outcome o = {0};
    size_t n = RPC_MESSAGE_MAX - 16;
    uint8_t *data = calloc(1, RPC_MESSAGE_MAX + 1);
    memset(data, 'x', n);
    assert_true(call_bytes(ECHO, data, n, 0, 60000, &o)); /* more than a socket holds, both ways */
    wait_for(&o.count, 1);
    assert_int_equal(((Pb__Payload *)o.resp)->data.len, n);
    assert_memory_equal(((Pb__Payload *)o.resp)->data.data, data, n);
    assert_true(call_bytes(ECHO, data, RPC_MESSAGE_MAX + 1, 0, 60000, &o));
    wait_for(&o.count, 2);
    assert_int_equal(o.err.code, ERR_LIMIT);
    assert_int_equal(o.left, 0);
    assert_true(call_bytes(BIG, "", 0, 20 << 20, 60000, &o));
    wait_for(&o.count, 3);
    assert_int_equal(((Pb__Payload *)o.resp)->data.len, 20 << 20);
    assert_true(call_bytes(BIG, "", 0, (64 << 20) + 1, 60000, &o));
    wait_for(&o.count, 4);
    assert_int_equal(o.err.code, ERR_LIMIT);
    assert_int_equal(call_wait(ECHO, "still there", 60000, &o), 0);
    release(&o);
    free(data);
}

static void its_time_is_over(void **state)
{
    (void)state;
    struct outcome o = {0}, late = {0};
    call(HOLD, "", 60000, &late);
    wait_for(&f.held_count, 1);
    f.answers_cancelled = false;
    int64_t start = os_mono_ns();
    assert_int_equal(call_wait(HOLD, "", 200, &o), ERR_TIMEOUT);
    assert_true(os_mono_ns() - start >= 200 * NS_PER_MS);
    wait_for(&f.cancels, 1); /* the other end learns it */
    let_go(); /* an answer that nobody waits for any more, and one that somebody does */
    wait_for(&late.count, 1);
    assert_int_equal(late.failures, 0);
    assert_int_equal(o.count, 1);
    release(&o);
    release(&late);
}

static void one_is_cancelled(void **state)
{
    (void)state;
    struct outcome a = {0}, b = {0};
    call(HOLD, "", 60000, &a);
    call(HOLD, "", 60000, &b);
    wait_for(&f.held_count, 2);
    link_client_cancel(f.client, done, &a);
    wait_for(&a.count, 1);
    assert_int_equal(a.err.code, ERR_CANCELLED);
    assert_int_equal(now(&f.held_count), 1);
    let_go();
    wait_for(&b.count, 1);
    assert_int_equal(b.failures, 0);
    link_client_cancel(f.client, done, &b); /* there is none: nothing happens */
    /* One whose cancellation is not answered does not wait for ever. */
    f.answers_cancelled = false;
    call(HOLD, "", 600000, &b);
    wait_for(&f.held_count, 1);
    link_client_cancel(f.client, done, &b);
    wait_for(&b.count, 2);
    assert_int_equal(b.err.code, ERR_CANCELLED);
    release(&a);
    release(&b);
}

static void the_caller_goes(void **state)
{
    (void)state;
    struct outcome o = {0};
    for (int i = 0; i < 5; i++)
        call(HOLD, "", 60000, &o);
    wait_for(&f.held_count, 5);
    link_client_free(TAKE_PTR(f.client));
    assert_int_equal(o.count, 5);
    assert_int_equal(o.failures, 5);
    assert_int_equal(o.err.code, ERR_CANCELLED);
    wait_for(&f.cancels, 5);
    assert_int_equal(now(&f.held_count), 0);
    release(&o);
}

static void *stop(void *arg)
{
    (void)arg;
    link_server_free(f.server, 60000);
    return NULL;
}

static bool deaf(void)
{
    struct outcome o = {0};
    int before = now(&f.calls);
    call(ECHO, "", 1, &o);
    wait_for(&o.count, 1);
    release(&o);
    return now(&f.calls) == before;
}

/* The end that is called goes: what is in is answered, what comes later was surely not begun. */
static void the_server_stops(void **state)
{
    (void)state;
    struct outcome in = {0}, after = {0};
    pthread_t t;
    call(HOLD, "", 60000, &in);
    wait_for(&f.held_count, 1);
    pthread_create(&t, NULL, stop, NULL);
    while (!deaf())
        os_sleep_ms(1);
    int calls = now(&f.calls);
    call(ECHO, "", 60000, &after);
    let_go();
    pthread_join(t, NULL);
    wait_for(&in.count, 1);
    assert_int_equal(in.failures, 0);
    wait_for(&after.count, 1);
    assert_int_equal(after.err.code, ERR_UNAVAILABLE);
    assert_int_equal(after.left, 0);
    assert_int_equal(now(&f.calls), calls);
    for (int n = 2; call_bytes(ECHO, "", 0, 0, 60000, &after); n++) /* soon it is known to be gone */
        wait_for(&after.count, n);
    f.server = NULL;
    release(&in);
    release(&after);
}

static void grace_ends(void **state)
{
    (void)state;
    struct outcome o = {0};
    call(HOLD, "", 60000, &o);
    wait_for(&f.held_count, 1);
    link_server_free(TAKE_PTR(f.server), 10);
    wait_for(&o.count, 1);
    assert_int_equal(o.err.code, ERR_CANCELLED);
    release(&o);
}

/* In one piece: the other end may be gone after its first byte. */
static void put(int fd, uint16_t kind, uint64_t id, const char *name, const char *data, uint32_t size)
{
    uint8_t all[256];
    struct link_frame h = {.size = size, .kind = kind, .id = id, .name = (uint16_t)strlen(name)};
    size_t n = strlen(data);
    assert_true(sizeof h + h.name + n <= sizeof all);
    memcpy(all, &h, sizeof h);
    memcpy(all + sizeof h, name, h.name);
    memcpy(all + sizeof h + h.name, data, n);
    n += sizeof h + h.name;
    assert_int_equal(send(fd, all, n, MSG_NOSIGNAL), n);
}

static void assert_closed(int fd)
{
    char c[4096];
    ssize_t n;
    while ((n = recv(fd, c, sizeof c, 0)) > 0)
        ;
    close(fd);
}

/* Whoever breaks the rules is left; the others do not notice. */
static void nonsense_from_a_caller(void **state)
{
    (void)state;
    struct outcome o = {0};
    uint32_t n = (uint32_t)strlen(ECHO);
    static const struct {
        uint16_t kind;
        uint64_t id;
        uint32_t more;
    } bad[] = {{0, 1, 0}, {6, 1, 0}, {LINK_ANSWER, 1, 0}, {LINK_BYE, 1, 0}, {LINK_CANCEL, 0, 0}, {LINK_CALL, 0, 0},
               {LINK_CALL, 1, RPC_MESSAGE_MAX + 1}, {LINK_CALL, 1, UINT32_MAX - 100}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int fd = visit();
        put(fd, bad[i].kind, bad[i].id, ECHO, "", n + bad[i].more);
        assert_closed(fd);
    }
    int fd = visit();
    put(fd, LINK_CALL, 7, ECHO, "", 3); /* a name longer than all of it */
    assert_closed(fd);
    fd = visit();
    put(fd, LINK_CALL, 7, HOLD, "", (uint32_t)strlen(HOLD));
    wait_for(&f.held_count, 1);
    put(fd, LINK_CALL, 7, ECHO, "", n); /* ids grow */
    assert_closed(fd);
    wait_for(&f.cancels, 1);
    fd = visit();
    put(fd, LINK_CANCEL, 3, "", "", 0); /* one that is over may be cancelled */
    put(fd, LINK_CALL, 4, ECHO, "\xff\xff", n + 2); /* is answered: it is no message */
    struct link_frame h;
    assert_int_equal(recv(fd, &h, sizeof h, MSG_WAITALL), sizeof h);
    assert_int_equal(h.kind, LINK_FAILURE);
    assert_int_equal(h.id, 4);
    put(fd, LINK_CALL, 5, ECHO, "", n + 100); /* half a frame */
    close(fd);
    assert_int_equal(call_wait(ECHO, "still there", 60000, &o), 0);
    release(&o);
}

/* Nor does one that calls and never reads what is answered take more memory than a bound. */
static void one_that_does_not_read(void **state)
{
    (void)state;
    struct outcome o = {0};
    int fd = visit(), echoes = 0;
    struct link_frame h = {.size = (uint32_t)strlen(BIG), .kind = LINK_CALL, .name = (uint16_t)strlen(BIG), .wait_ms = 1 << 20};
    uint8_t all[sizeof h + sizeof BIG];
    ssize_t sent = 1;
    for (h.id = 1; sent > 0 && h.id <= 2000; h.id++) {
        memcpy(all, &h, sizeof h);
        memcpy(all + sizeof h, BIG, h.name);
        sent = send(fd, all, sizeof h + h.name, MSG_NOSIGNAL | MSG_DONTWAIT);
        assert_int_equal(call_wait(ECHO, "", 60000, &o), 0); /* by then that was looked at */
        echoes++;
    }
    assert_true(h.id > 100);
    int big = now(&f.calls) - echoes;
    assert_true(big >= 8 && big <= 100); /* of a megabyte each; some are read at a time */
    close(fd);
    release(&o);
}

static void nonsense_from_a_server(void **state)
{
    (void)state;
    static const uint16_t kinds[] = {0, LINK_CALL, LINK_CANCEL, 6};
    for (size_t i = 0; i <= ARRAY_LEN(kinds) + 1; i++) {
        struct outcome o = {0};
        int fds[2];
        link_client_free(f.client);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        connect_to(fds[0]);
        call(HOLD, "", 60000, &o);
        put(fds[1], LINK_ANSWER, 77, "", "", 0); /* of a call that there is not: it may have been given up */
        if (i < ARRAY_LEN(kinds))
            put(fds[1], kinds[i], 1, "", "", 0);
        else
            put(fds[1], i == ARRAY_LEN(kinds) ? LINK_FAILURE : LINK_ANSWER, 1, "", "\xff\xff", 2);
        wait_for(&o.count, 1);
        assert_int_equal(o.failures, 1);
        assert_int_equal(o.left, 1);
        assert_true(i < ARRAY_LEN(kinds) ? o.err.code == ERR_UNAVAILABLE : o.err.code != 0);
        close(fds[1]);
        release(&o);
    }
}

/* Whether it is still there after a while: the connection's thread was not awake. */
static bool queue(struct outcome *o)
{
    Pb__Payload p = PB__PAYLOAD__INIT;
    int n = now(&f.calls);
    release(o);
    assert_true(link_client_queue(f.client, ECHO, &p.base, &pb__payload__descriptor, 0, 60000, done, o));
    os_sleep_ms(20);
    bool waits = now(&f.calls) == n;
    if (!waits)
        wait_for(&o->count, 1);
    return waits;
}

static void queued_calls_go_out_together(void **state)
{
    (void)state;
    struct outcome held = {0}, o = {0}, next = {0};
    call(HOLD, "x", 30000, &held); /* has the earliest deadline: no later one wakes the connection's thread */
    wait_for(&f.calls, 1);
    for (int i = 0; i < 2; i++) {
        for (int tries = 0; !queue(&o); tries++)
            assert_true(tries < 100);
        if (i == 0)
            link_client_flush(f.client);
        else
            assert_int_equal(call_wait(ECHO, "y", 60000, &next), 0);
        wait_for(&o.count, 1);
        assert_int_equal(o.err.code, 0);
    }
    let_go();
    wait_for(&held.count, 1);
    release(&held);
    release(&o);
    release(&next);
}

#define T(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(answers),
        T(many_at_once),
        T(sizes),
        T(its_time_is_over),
        T(one_is_cancelled),
        T(the_caller_goes),
        T(the_server_stops),
        T(grace_ends),
        T(nonsense_from_a_caller),
        T(one_that_does_not_read),
        T(nonsense_from_a_server),
        T(queued_calls_go_out_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
