/* The other end is no gRPC server, or one that means harm: each gives one clear error, soon, and the client lives on. And a
 * server outlives whatever bytes a connection brings. */
#include "lab.h"

#include "base/units.h"
#include "os/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a hostile server does with each connection. */
struct script {
    const void *bytes; /* sent after the first bytes of the client came */
    size_t len;
    int times;    /* how often they are sent */
    bool stay;    /* keeps the connection open */
    bool at_once; /* sends without waiting for the client */
};

struct hostile {
    struct script script;
    int fd, port;
    pthread_t thread;
};

static void play(const struct script *s, int fd)
{
    char in[65536];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (!s->at_once)
        (void)!read(fd, in, sizeof in);
    for (int i = 0; i < s->times; i++)
        if (send(fd, s->bytes, s->len, MSG_NOSIGNAL) < 0)
            break;
    int64_t end = os_mono_ns() + NS_PER_S; /* an unfinished connection outlives its client for a while */
    while (s->stay && os_mono_ns() < end && poll(&p, 1, 200) >= 0)
        if (p.revents && read(fd, in, sizeof in) <= 0)
            break;
    close(fd);
}

static void *serve(void *arg)
{
    struct hostile *h = arg;
    for (;;) {
        int fd = accept4(h->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        play(&h->script, fd);
    }
}

static void hostile_start(struct hostile *h, const struct script *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    h->script = *s;
    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(h->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(h->fd, 20), 0);
    getsockname(h->fd, (struct sockaddr *)&a, &n);
    h->port = ntohs(a.sin_port);
    pthread_create(&h->thread, NULL, serve, h);
}

static void hostile_stop(struct hostile *h)
{
    shutdown(h->fd, SHUT_RDWR);
    pthread_join(h->thread, NULL);
    close(h->fd);
}

/* HTTP/2: an empty SETTINGS frame, and what follows it. */
#define SETTINGS "\0\0\0\4\0\0\0\0\0"

static const struct {
    const char *name;
    struct script script;
} scripts[] = {
    {"closes at once", {"", 0, 0, false, true}},
    {"closes after the first bytes", {"", 0, 0, false, false}},
    {"says nothing", {"", 0, 0, true, false}},
    {"HTTP/1", {"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 47, 1, false, true}},
    {"SSH", {"SSH-2.0-OpenSSH_9.2\r\n", 21, 1, true, true}},
    {"zeros", {"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 27, 1000, true, false}},
    {"noise", {"\xde\xad\xbe\xef\xff\xfe\x80\x7f", 8, 5000, true, true}},
    {"settings, then closes", {SETTINGS, 9, 1, false, false}},
    {"settings, then silence", {SETTINGS, 9, 1, true, false}},
    {"a huge frame", {SETTINGS "\xff\xff\xff\0\0\0\0\0\1", 18, 1, true, false}},
    {"headers that are none", {SETTINGS "\0\0\4\1\4\0\0\0\1\xff\xff\xff\xff", 22, 1, true, false}},
    {"goodbye", {SETTINGS "\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0\2", 26, 1, false, false}},
    {"a reset", {SETTINGS "\0\0\4\3\0\0\0\0\1\0\0\0\2", 22, 1, true, false}},
    /* ":status: 200", then DATA that claims 4 GiB */
    {"a message without end", {SETTINGS "\0\0\1\1\4\0\0\0\1\x88\0\0\5\0\0\0\0\0\1\0\xff\xff\xff\xff", 33, 1, true, false}},
    /* ":status: 404" */
    {"not found", {SETTINGS "\0\0\1\1\5\0\0\0\1\x8d", 19, 1, true, false}},
};

static void test_servers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        struct hostile h;
        struct lab l = {0};
        struct answer a = ANSWER_INIT;
        struct err why = {0};
        char target[64];
        hostile_start(&h, &scripts[i].script);
        snprintf(target, sizeof target, "127.0.0.1:%d", h.port);
        lab_connect(&l, target);
        int64_t start = os_mono_ns();
        int code = lab_call_wait(&l, ECHO, "hello", 300, RPC_REPEATABLE, &a);
        int r = rpc_client_connect(l.client, 300, &why);
        int64_t took = os_mono_ns() - start;
        rpc_client_free(l.client);
        hostile_stop(&h);
        if (code == 0 || !a.err.msg[0] || !strstr(a.err.msg, target) || strchr(a.err.msg, '\n') || took > 5 * NS_PER_S)
            fail_msg("%s: %d '%s' after %lld ms", scripts[i].name, code, a.err.msg, (long long)(took / NS_PER_MS));
        if (r < 0 && !strstr(why.msg, target))
            fail_msg("%s: connect: '%s'", scripts[i].name, why.msg);
        answer_release(&a);
    }
}

static int dial(const char *path)
{
    struct sockaddr_un {
        sa_family_t family;
        char path[108];
    } a = {.family = AF_UNIX};
    snprintf(a.path, sizeof a.path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* The same bytes as a client of ours, some after a proper preface, then random ones: the server closes such connections and goes
 * on. */
static void test_clients(void **state)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    struct lab l;
    struct answer a = ANSWER_INIT;
    (void)state;
    lab_init(&l);
    lab_serve(&l, NULL, NULL);
    lab_connect(&l, NULL);
    unsigned seed = 20261125;
    for (int i = 0; i < 400; i++) {
        const struct script *s = &scripts[(size_t)i % ARRAY_LEN(scripts)].script;
        char noise[600];
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (char)rand_r(&seed);
        int fd = dial(l.socket + 5);
        if (i % 3)
            (void)!send(fd, preface, sizeof preface - 1, MSG_NOSIGNAL);
        (void)!send(fd, s->bytes, s->len, MSG_NOSIGNAL);
        if (i % 2)
            (void)!send(fd, noise, (size_t)rand_r(&seed) % sizeof noise, MSG_NOSIGNAL);
        close(fd);
    }
    assert_int_equal(lab_call_wait(&l, ECHO, "still here", 5000, 0, &a), 0);
    assert_string_equal(answer_text(&a), "STILL HERE");
    answer_release(&a);
    lab_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_servers), cmocka_unit_test(test_clients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
