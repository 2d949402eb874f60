/* Client and server in one process: calls, deadlines, sizes, cancellation, repetition, the end of either side. */
#include "lab.h"

#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"
#include "os/file.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int setup(void **state)
{
    struct lab *l = calloc(1, sizeof *l);
    lab_init(l);
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    struct lab *l = *state;
    lab_release(l);
    free(l);
    return 0;
}

static void test_echo(void **state)
{
    struct lab *l = *state;
    struct answer a = ANSWER_INIT;
    lab_serve(l, NULL, NULL);
    lab_connect(l, NULL);
    assert_int_equal(lab_call_wait(l, ECHO, "hello", 5000, 0, &a), 0);
    assert_string_equal(answer_text(&a), "HELLO");
    answer_release(&a);
}

static void test_status(void **state)
{
    struct lab *l = *state;
    static const struct rpc_detail_type types[] = {{"lab.v1.Other", &pb__payload__descriptor},
                                                   {"lab.v1.NotFound", &pb__error_detail_not_found__descriptor}};
    struct answer a = ANSWER_INIT;
    l->client_options.details = types;
    l->client_options.details_count = 2;
    lab_serve(l, "127.0.0.1:0", NULL);
    lab_serve_stop(l, 0);
    int port = lab_serve(l, "127.0.0.1:0", NULL);
    char target[64];
    snprintf(target, sizeof target, "localhost:%d", port);
    lab_connect(l, target);
    assert_int_equal(lab_call_wait(l, FAIL, "", 5000, RPC_REPEATABLE, &a), ERR_NO_SPACE); /* its status alone says LIMIT */
    assert_string_equal(a.err.msg, "no such thing: 100 % gone, \xc3\xa4");
    assert_string_equal(a.err.hint, "look elsewhere");
    assert_non_null(a.detail);
    assert_string_equal(((Pb__ErrorDetailNotFound *)a.detail)->current_cluster, "here");
    assert_int_equal(lab_call_wait(l, "/lab.v1.Lab/Nothing", "", 5000, 0, &a), ERR_UNIMPLEMENTED);
    assert_string_equal(a.err.msg, "unknown method Nothing for service lab.v1.Lab");
    answer_release(&a);
}

static void test_deadline(void **state)
{
    struct lab *l = *state;
    struct answer a = ANSWER_INIT;
    lab_serve(l, NULL, NULL);
    lab_connect(l, NULL);
    int64_t start = os_mono_ns();
    assert_int_equal(lab_call_wait(l, HOLD, "", 200, 0, &a), ERR_TIMEOUT);
    assert_true(os_mono_ns() - start >= 190 * NS_PER_MS);
    lab_wait_cancelled(l, 1); /* the server learns it by itself */
    answer_release(&a);
}


/* A caller that goes away is noticed, and so is one that never waits for the end of its call. */
static void test_cancel(void **state)
{
    struct lab *l = *state;
    struct answer a = ANSWER_INIT;
    lab_serve(l, NULL, NULL);
    lab_connect(l, NULL);
    for (int i = 0; i < 5; i++)
        lab_call(l, HOLD, "", 60000, 0, &a);
    lab_wait_held(l, 5);
    rpc_client_free(l->client);
    l->client = NULL;
    assert_int_equal(a.count, 5);
    assert_int_equal(a.failures, 5);
    assert_int_equal(a.err.code, ERR_CANCELLED);
    lab_wait_cancelled(l, 5);
    answer_release(&a);
}

static void test_cancel_one(void **state)
{
    struct lab *l = *state;
    struct answer a = ANSWER_INIT, b = ANSWER_INIT;
    lab_serve(l, NULL, NULL);
    lab_connect(l, NULL);
    lab_call(l, HOLD, "", 60000, RPC_REPEATABLE, &a);
    lab_call(l, HOLD, "", 60000, 0, &b);
    lab_wait_held(l, 2);
    rpc_client_cancel(l->client, answer_done, &a);
    answer_wait(&a, 1);
    assert_int_equal(a.err.code, ERR_CANCELLED);
    lab_wait_cancelled(l, 1);
    lab_let_go(l);
    answer_wait(&b, 1);
    assert_int_equal(b.failures, 0);
    rpc_client_cancel(l->client, answer_done, &b); /* there is none: nothing happens */
    answer_release(&a);
    answer_release(&b);
}

/* Connections that somebody else accepts. */
static void test_adopt(void **state)
{
    struct lab *l = *state;
    struct answer a = ANSWER_INIT;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    lab_serve(l, "127.0.0.1:0", NULL);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s/adopted", l->dir);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(listener, 4), 0);
    char target[200];
    snprintf(target, sizeof target, "unix:%s/adopted", l->dir);
    lab_connect(l, target);
    lab_call(l, ECHO, "hello", 10000, 0, &a);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    assert_ok(rpc_server_adopt(l->server, fd, err));
    answer_wait(&a, 1);
    assert_string_equal(answer_text(&a), "HELLO");
    for (int i = 0; i < 3; i++)
        lab_call(l, HOLD, "", 60000, 0, &a);
    lab_wait_held(l, 3);
    pthread_mutex_lock(&l->lock);
    assert_true(rpc_call_local(l->held[0]));
    pthread_mutex_unlock(&l->lock);
    lab_serve_stop(l, 0);
    answer_wait(&a, 4);
    assert_int_equal(a.failures, 3);
    close(listener);
    answer_release(&a);
}

static void test_drain(void **state)
{
    struct lab *l = *state;
    struct answer polls = ANSWER_INIT, other = ANSWER_INIT;
    lab_serve(l, NULL, NULL);
    lab_connect(l, NULL);
    lab_call(l, HOLD, "", 60000, RPC_LONG_POLL | RPC_REPEATABLE, &polls);
    lab_call(l, HOLD, "", 60000, 0, &other);
    lab_wait_held(l, 2);
    rpc_client_drain(l->client);
    answer_wait(&polls, 1);
    assert_int_equal(polls.err.code, ERR_CANCELLED);
    lab_wait_cancelled(l, 1);
    assert_int_equal(lab_call_wait(l, HOLD, "", 60000, RPC_LONG_POLL, &polls), ERR_CANCELLED);
    assert_int_equal(other.count, 0);
    lab_let_go(l);
    answer_wait(&other, 1);
    assert_int_equal(other.err.code, 0);
    assert_int_equal(lab_call_wait(l, ECHO, "on", 5000, 0, &other), 0);
    rpc_client_drain(l->client);
    answer_release(&polls);
    answer_release(&other);
}

/* Polls that wait for a server to come back end too. */
static void test_drain_unreachable(void **state)
{
    struct lab *l = *state;
    struct answer a = ANSWER_INIT;
    lab_connect(l, NULL);
    for (int i = 0; i < 3; i++)
        lab_call(l, HOLD, "", 60000, RPC_LONG_POLL | RPC_REPEATABLE, &a);
    os_sleep_ms(150);
    assert_int_equal(a.count, 0);
    int64_t start = os_mono_ns();
    rpc_client_drain(l->client);
    answer_wait(&a, 3);
    assert_int_equal(a.err.code, ERR_CANCELLED);
    assert_true(os_mono_ns() - start < 2 * NS_PER_S);
    answer_release(&a);
}

static void test_sizes(void **state)
{
    struct lab *l = *state;
    struct answer a = ANSWER_INIT;
    l->client_options.response_max = (size_t)20 << 20;
    lab_serve(l, NULL, NULL);
    lab_connect(l, NULL);
    assert_int_equal(lab_call_wait(l, BIG, "12000000", 30000, 0, &a), 0);
    assert_int_equal(((Pb__Payload *)a.resp)->data.len, 12000000);
    assert_int_equal(lab_call_wait(l, BIG, "22000000", 30000, RPC_REPEATABLE, &a), ERR_LIMIT);
    char *text = malloc(RPC_MESSAGE_MAX + 2);
    memset(text, 'x', RPC_MESSAGE_MAX + 1);
    text[RPC_MESSAGE_MAX + 1] = 0;
    assert_int_equal(lab_call_wait(l, ECHO, text, 30000, RPC_REPEATABLE, &a), ERR_LIMIT);
    text[RPC_MESSAGE_MAX - 100] = 0;
    assert_int_equal(lab_call_wait(l, ECHO, text, 30000, 0, &a), 0);
    assert_int_equal(((Pb__Payload *)a.resp)->data.len, RPC_MESSAGE_MAX - 100);
    free(text);
    answer_release(&a);
}

static void test_malformed(void **state)
{
    struct lab *l = *state;
    static const char *const bad[] = {"\xff\xff\xff", "\x12\x7f", "\x0a\xff\xff\xff\xff\x7f", "\x07"};
    lab_serve(l, NULL, NULL);
    lab_connect(l, NULL);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct answer a = ANSWER_INIT;
        rpc_client_call_bytes(l->client, ECHO, bad[i], strlen(bad[i]), &pb__payload__descriptor, 5000, 0, answer_done, &a);
        answer_wait(&a, 1);
        assert_int_equal(a.err.code, ERR_INVALID);
        assert_non_null(strstr(a.err.msg, "malformed"));
        answer_release(&a);
    }
    assert_int_equal(lab_calls(l), 0);
    struct answer a = ANSWER_INIT; /* what the server answers is as little trusted */
    Pb__Payload p = PB__PAYLOAD__INIT;
    rpc_client_call(l->client, BIG, &p.base, &pb__history_event__descriptor, 5000, 0, answer_done, &a);
    answer_wait(&a, 1);
    assert_int_equal(a.err.code, 0); /* an empty answer is one of any type */
    answer_release(&a);
    p.data = (ProtobufCBinaryData){.len = 2, .data = (uint8_t *)"40"};
    rpc_client_call(l->client, BIG, &p.base, &pb__duration__descriptor, 5000, 0, answer_done, &a);
    answer_wait(&a, 1);
    assert_true(a.err.code == 0 || a.err.code == ERR_INVALID);
    answer_release(&a);
}

static void test_gzip(void **state)
{
    struct lab *l = *state;
    struct answer a = ANSWER_INIT;
    l->client_options.gzip = true;
    lab_serve(l, NULL, NULL);
    lab_connect(l, NULL);
    char *text = malloc(RPC_MESSAGE_MAX + 1000);
    memset(text, 'x', RPC_MESSAGE_MAX + 999);
    text[RPC_MESSAGE_MAX - 100] = 0;
    assert_int_equal(lab_call_wait(l, ECHO, text, 30000, 0, &a), 0);
    assert_int_equal(((Pb__Payload *)a.resp)->data.len, RPC_MESSAGE_MAX - 100);
    assert_int_equal(lab_call_wait(l, ECHO, "small", 30000, 0, &a), 0);
    text[RPC_MESSAGE_MAX - 100] = 'x'; /* 4 KB on the wire */
    text[RPC_MESSAGE_MAX + 999] = 0;
    assert_int_equal(lab_call_wait(l, ECHO, text, 30000, 0, &a), ERR_LIMIT);
    assert_non_null(strstr(a.err.msg, "inflated"));
    free(text);
    answer_release(&a);
}

/* A connection in between: counts what passes, and may go deaf as a network does that has lost its way. */
struct relay {
    int listener, port, to;
    atomic_int deaf; /* of the first so many connections */
    atomic_size_t bytes[2]; /* to the server, to the client */
    atomic_int connections;
    pthread_t thread;
};

struct link {
    struct relay *relay;
    int number, fds[2];
};

static void *relay_link(void *arg)
{
    struct link *k = arg;
    char buf[65536];
    for (bool over = false; !over;) {
        bool deaf = k->number <= atomic_load(&k->relay->deaf);
        short what = deaf ? POLLRDHUP : POLLIN; /* what is deaf learns of the client's end all the same */
        struct pollfd p[2] = {{.fd = k->fds[0], .events = what}, {.fd = k->fds[1], .events = what}};
        poll(p, 2, 20);
        for (int i = 0; i < 2 && !over; i++) {
            if (!p[i].revents)
                continue;
            ssize_t n = deaf ? 0 : read(k->fds[i], buf, sizeof buf);
            over = n <= 0;
            if (n > 0 && k->number > atomic_load(&k->relay->deaf)) {
                atomic_fetch_add(&k->relay->bytes[i], (size_t)n);
                over = send(k->fds[!i], buf, (size_t)n, MSG_NOSIGNAL) < 0;
            }
        }
    }
    close(k->fds[0]);
    close(k->fds[1]);
    free(k);
    return NULL;
}

static int loopback(int port, bool listening)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = listening ? bind(fd, (struct sockaddr *)&a, sizeof a) : connect(fd, (struct sockaddr *)&a, sizeof a);
    assert_int_equal(r, 0);
    return fd;
}

static void *relay_accept(void *arg)
{
    struct relay *r = arg;
    int fd;
    while ((fd = accept(r->listener, NULL, NULL)) >= 0) {
        struct link *k = malloc(sizeof *k);
        pthread_t t;
        *k = (struct link){r, atomic_fetch_add(&r->connections, 1) + 1, {fd, loopback(r->to, false)}};
        assert_int_equal(pthread_create(&t, NULL, relay_link, k), 0);
        pthread_detach(t);
    }
    return NULL;
}

static void relay_start(struct relay *r, int to)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    *r = (struct relay){.to = to, .listener = loopback(0, true)};
    assert_int_equal(listen(r->listener, 16), 0);
    assert_int_equal(getsockname(r->listener, (struct sockaddr *)&a, &n), 0);
    r->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&r->thread, NULL, relay_accept, r), 0);
}

static void relay_stop(struct relay *r)
{
    shutdown(r->listener, SHUT_RDWR);
    pthread_join(r->thread, NULL);
    close(r->listener);
}

static void connect_through(struct lab *l, struct relay *r)
{
    char target[64];
    relay_start(r, lab_serve(l, "127.0.0.1:0", NULL));
    snprintf(target, sizeof target, "127.0.0.1:%d", r->port);
    lab_connect(l, target);
}

/* A server that is silent without a word is noticed by keepalive, long before the call's own end; what may be repeated then goes
 * over another connection. */
static void test_keepalive(void **state)
{
    static struct relay r; /* its threads may outlive the case by a moment */
    struct lab *l = *state;
    struct answer once = ANSWER_INIT, again = ANSWER_INIT;
    l->client_options.keepalive_ms = 500;
    l->client_options.keepalive_timeout_ms = 500;
    connect_through(l, &r);
    lab_call(l, HOLD, "", 600000, RPC_LONG_POLL, &once);
    lab_call(l, HOLD, "", 600000, RPC_LONG_POLL | RPC_REPEATABLE, &again);
    lab_wait_held(l, 2);
    int before = atomic_load(&r.connections);
    atomic_store(&r.deaf, before);
    answer_wait(&once, 1);
    assert_int_equal(once.err.code, ERR_UNAVAILABLE);
    for (int i = 0; i < 3000 && atomic_load(&r.connections) == before; i++)
        os_sleep_ms(10);
    assert_true(atomic_load(&r.connections) > before);
    lab_wait_cancelled(l, 2); /* the server has learned that the first two have nobody any more */
    lab_wait_held(l, 1);
    lab_let_go(l);
    answer_wait(&again, 1);
    assert_int_equal(again.err.code, 0);
    answer_release(&once);
    answer_release(&again);
    lab_serve_stop(l, 0);
    relay_stop(&r);
}

/* Both ways; and an end that was not asked to answers as it is. */
static void test_gzip_both_ways(void **state)
{
    static struct relay r[2];
    struct lab *l = *state;
    char *text = malloc(1000001);
    memset(text, 'x', 1000000);
    text[1000000] = 0;
    l->client_options.gzip = true;
    for (int i = 0; i < 2; i++) {
        struct answer a = ANSWER_INIT, small = ANSWER_INIT;
        l->options.gzip = i == 0;
        connect_through(l, &r[i]);
        assert_int_equal(lab_call_wait(l, ECHO, text, 30000, 0, &a), 0);
        assert_int_equal(((Pb__Payload *)a.resp)->data.len, 1000000);
        assert_int_equal(lab_call_wait(l, ECHO, "small", 30000, 0, &small), 0);
        assert_string_equal(answer_text(&small), "SMALL");
        assert_true(atomic_load(&r[i].bytes[0]) < 100000);
        assert_true(i == 0 ? atomic_load(&r[i].bytes[1]) < 100000 : atomic_load(&r[i].bytes[1]) > 1000000);
        rpc_client_free(TAKE_PTR(l->client));
        lab_serve_stop(l, 0);
        relay_stop(&r[i]);
        answer_release(&a);
        answer_release(&small);
    }
    free(text);
}

/* Pauses grow from try to try up to a bound, and no two clients have the same. */
static void test_backoff(void **state)
{
    (void)state;
    for (int exhausted = 0; exhausted < 2; exhausted++) {
        int64_t first = (exhausted ? 1000 : 50) * NS_PER_MS, longest = (exhausted ? 10000 : 2000) * NS_PER_MS;
        for (int tries = 1; tries < 40; tries++) {
            int64_t full = tries < 10 && first << (tries - 1) < longest ? first << (tries - 1) : longest;
            int64_t one = rpc_backoff_ns(tries, exhausted);
            bool differ = false;
            for (int i = 0; i < 20; i++) {
                int64_t wait = rpc_backoff_ns(tries, exhausted);
                assert_true(wait > full / 2 - 1 && wait <= full);
                differ |= wait != one;
            }
            assert_true(differ);
        }
    }
}

/* A repeatable call outlives its server; one that may have had an effect does not go out twice. */
static void test_gone_and_back(void **state)
{
    struct lab *l = *state;
    struct answer a = ANSWER_INIT, b = ANSWER_INIT;
    lab_connect(l, NULL);
    lab_call(l, ECHO, "early", 20000, 0, &a); /* nobody is there yet: it surely never left */
    os_sleep_ms(300);
    lab_serve(l, NULL, NULL);
    answer_wait(&a, 1);
    assert_int_equal(a.err.code, 0);
    assert_string_equal(answer_text(&a), "EARLY");
    answer_release(&a);

    lab_call(l, HOLD, "", 20000, RPC_REPEATABLE, &a);
    lab_call(l, HOLD, "", 20000, 0, &b);
    lab_wait_held(l, 2);
    lab_serve_stop(l, 0);
    answer_wait(&b, 1);
    assert_true(b.err.code == ERR_UNAVAILABLE || b.err.code == ERR_CANCELLED);
    os_sleep_ms(100);
    assert_int_equal(a.count, 0);
    lab_serve(l, NULL, NULL);
    lab_wait_held(l, 1);
    lab_let_go(l);
    answer_wait(&a, 1);
    assert_int_equal(a.err.code, 0);
    assert_int_equal(lab_calls(l), 4);
    answer_release(&a);
    answer_release(&b);
}

static void test_unreachable(void **state)
{
    struct lab *l = *state;
    struct answer a = ANSWER_INIT;
    struct err why = {0};
    lab_connect(l, "127.0.0.1:1");
    int64_t start = os_mono_ns();
    assert_int_equal(rpc_client_connect(l->client, 400, &why), -ERR_UNAVAILABLE);
    assert_true(os_mono_ns() - start < 3 * NS_PER_S);
    assert_non_null(strstr(why.msg, "127.0.0.1:1"));
    assert_non_null(strstr(why.msg, "onnection refused"));
    assert_int_equal(lab_call_wait(l, ECHO, "", 300, RPC_REPEATABLE, &a), ERR_UNAVAILABLE);
    assert_non_null(strstr(a.err.msg, "onnection refused"));
    answer_release(&a);
}

static void test_stop_with_calls(void **state)
{
    struct lab *l = *state;
    struct answer a = ANSWER_INIT;
    lab_serve(l, NULL, NULL);
    lab_connect(l, NULL);
    lab_call(l, HOLD, "", 20000, 0, &a);
    lab_wait_held(l, 1);
    int64_t start = os_mono_ns();
    rpc_server_stop(l->server, 200);
    assert_true(os_mono_ns() - start >= 190 * NS_PER_MS);
    assert_int_equal(lab_cancelled(l), 1);
    answer_wait(&a, 1);
    assert_true(a.err.code != 0);
    answer_release(&a);
}

static void test_many(void **state)
{
    struct lab *l = *state;
    struct answer echo = ANSWER_INIT, held = ANSWER_INIT;
    lab_serve(l, NULL, NULL);
    lab_connect(l, NULL);
    for (int i = 0; i < 50; i++)
        lab_call(l, HOLD, "", 60000, RPC_LONG_POLL, &held);
    for (int i = 0; i < 5000; i++)
        lab_call(l, ECHO, "many", 60000, 0, &echo);
    answer_wait(&echo, 5000);
    assert_int_equal(echo.failures, 0);
    lab_wait_held(l, 50);
    lab_let_go(l);
    answer_wait(&held, 50);
    assert_int_equal(held.failures, 0);
    answer_release(&echo);
    answer_release(&held);
}

static void test_calls_max(void **state)
{
    struct lab *l = *state;
    struct answer held = ANSWER_INIT, a = ANSWER_INIT;
    l->options.calls_max = 3;
    lab_serve(l, NULL, NULL);
    lab_connect(l, NULL);
    for (int i = 0; i < 3; i++)
        lab_call(l, HOLD, "", 60000, 0, &held);
    lab_wait_held(l, 3);
    assert_int_equal(lab_call_wait(l, ECHO, "", 5000, 0, &a), ERR_LIMIT);
    answer_release(&a);
    lab_call(l, ECHO, "later", 20000, RPC_REPEATABLE, &a);
    os_sleep_ms(100);
    lab_let_go(l);
    answer_wait(&a, 1);
    assert_int_equal(a.err.code, 0);
    answer_wait(&held, 3);
    answer_release(&a);
    answer_release(&held);
}

static int need_token(struct lab *l, struct rpc_call *call, struct err *err)
{
    if (!rpc_call_local(call) || rpc_call_client_cert(call) || strcmp(l->seen_token, "Bearer 123") != 0)
        return err_set(err, ERR_UNAUTHENTICATED, "who are you?");
    int64_t left = rpc_call_left_ms(call); /* the library rounds up what it sends */
    return left > 0 && left <= 5100 ? 0 : err_set(err, ERR_INVALID, "%lld ms", (long long)left);
}

static void test_authorize(void **state)
{
    struct lab *l = *state;
    struct answer a = ANSWER_INIT;
    struct err why = {0};
    static const struct rpc_metadata good[] = {{"authorization", "Bearer 123"}, {"client-name", "lab"}};
    l->authorize = need_token;
    lab_serve(l, NULL, NULL);
    lab_connect(l, NULL);
    assert_int_equal(lab_call_wait(l, ECHO, "", 5000, 0, &a), ERR_UNAUTHENTICATED);
    assert_int_equal(rpc_client_connect(l->client, 5000, &why), -ERR_UNAUTHENTICATED);
    assert_string_equal(why.msg, "who are you?");
    assert_int_equal(lab_calls(l), 0);
    rpc_client_free(l->client);
    l->client_options.metadata = good;
    l->client_options.metadata_count = 2;
    lab_connect(l, NULL);
    assert_int_equal(lab_call_wait(l, ECHO, "", 5000, 0, &a), 0);
    assert_ok(rpc_client_connect(l->client, 5000, err));
    const struct rpc_metadata evil[] = {{"authorization", "a\nb: c"}};
    struct rpc_client_options o = {.target = l->socket, .metadata = evil, .metadata_count = 1};
    struct rpc_client *c = NULL;
    assert_int_equal(rpc_client_new(&o, &c, &why), -ERR_INVALID);
    answer_release(&a);
}

/* A path that no sockaddr holds, with characters that mean something in a URI. */
static void test_long_path(void **state)
{
    struct lab *l = *state;
    struct answer a = ANSWER_INIT;
    char dir[400];
    int n = snprintf(dir, sizeof dir, "%s/a b%%20c?d#e/", l->dir);
    memset(dir + n, 'p', 150);
    dir[n + 150] = 0;
    assert_ok(os_mkdirs(dir, 0700, err));
    free(l->socket);
    assert_true(asprintf(&l->socket, "unix:%s/the socket%%41", dir) > 0);
    lab_serve(l, NULL, NULL);
    lab_connect(l, NULL);
    assert_int_equal(lab_call_wait(l, ECHO, "far", 5000, 0, &a), 0);
    assert_string_equal(answer_text(&a), "FAR");
    answer_release(&a);
}

static void test_socket_file(void **state)
{
    struct lab *l = *state;
    struct stat st, other;
    const char *path = l->socket + 5;
    assert_ok(os_write_file_atomic(path, "stale", 5, 0644, err));
    mode_t old = umask(0);
    lab_serve(l, NULL, NULL);
    umask(old);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0600);
    struct rpc_server *first = l->server; /* the next server takes the place; the end of the first leaves it alone */
    lab_serve(l, NULL, NULL);
    rpc_server_free(first);
    assert_int_equal(lstat(path, &other), 0);
    assert_true(st.st_ino != other.st_ino);
    struct answer a = ANSWER_INIT;
    lab_connect(l, NULL);
    assert_int_equal(lab_call_wait(l, ECHO, "", 5000, 0, &a), 0);
    lab_serve_stop(l, 0);
    assert_int_equal(lstat(path, &st), -1);
    assert_int_equal(rmdir(l->dir), 0); /* nothing else was left in it */
    answer_release(&a);
}

/* An address that is taken is an error that says so. */
static void test_taken(void **state)
{
    struct lab *l = *state;
    struct err why = {0};
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%d", lab_serve(l, "127.0.0.1:0", NULL));
    struct rpc_server *second = NULL;
    assert_ok(rpc_server_new(&l->options, &second, err));
    assert_true(rpc_server_listen(second, address, NULL, NULL, &why) < 0);
    assert_non_null(strstr(why.msg, address));
    rpc_server_free(second);
}

/* The n-th allocation fails, at either end: a call succeeds or says so, nothing hangs, and what comes after is whole. */
static void test_no_memory(void **state)
{
    struct lab *l = *state;
    bool hit = true;
    lab_serve(l, NULL, NULL);
    for (long n = 1; hit; n++) {
        struct rpc_client_options o = {.target = l->socket, .gzip = true};
        struct err why = {0};
        struct answer a = ANSWER_INIT;
        mem_fault_set(n, 0);
        int r = rpc_client_new(&o, &l->client, &why);
        if (r == 0)
            lab_call_wait(l, n % 2 ? ECHO : FAIL, "memory", 5000, 0, &a);
        hit = mem_fault_hit();
        mem_fault_set(0, 0);
        assert_true(r == 0 || r == -ERR_NO_MEMORY);
        if (r == 0 && n % 2 && a.err.code == 0)
            assert_string_equal(answer_text(&a), "MEMORY");
        assert_true(n < 500);
        rpc_client_free(l->client);
        l->client = NULL;
        answer_release(&a);
    }
    struct answer a = ANSWER_INIT;
    lab_connect(l, NULL);
    for (int i = 0; i < 100; i++)
        assert_int_equal(lab_call_wait(l, ECHO, "whole", 5000, 0, &a), 0);
    answer_release(&a);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(echo),  T(status),        T(deadline),     T(cancel),      T(drain),     T(drain_unreachable),
        T(sizes), T(malformed),     T(gzip),         T(unreachable), T(many),      T(gone_and_back),
        T(taken), T(stop_with_calls), T(calls_max),  T(authorize),   T(long_path), T(socket_file), T(no_memory),
        T(cancel_one), T(adopt),     T(keepalive),   T(gzip_both_ways), T(backoff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
