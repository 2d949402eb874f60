/* Connections and requests: what libmicrohttpd calls, on its one thread. */
#include "api/rest/rest_internal.h"

#include "api/grpc/auth.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/reserve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTION_MEMORY ((size_t)32 << 10) /* cleared after each request */
#define IDLE_S 75            /* nothing comes or goes */
#define HEAD_MS 20000        /* from a connection's begin, or its last answer, to the end of a request's headers */
#define KEEP_MS 60000        /* the same, where nothing of the request has come */
#define CROWDED_MS 1000      /* either, where there is room for few more */
#define FILES_MAX 65536
#define CONNECTIONS_MAX 20000u
#define FILES_OF_TLS 3       /* the client's socket, and a pair to the library */
#define TCP_INFO_BYTES 104
#define FILES_KEPT 1000      /* descriptors for all else */
#define BODY_MS 30000        /* a body's time, */
#define BODY_RATE 256        /* so many bytes of it a second earn it more, */
#define BODY_SAVED_MS 120000 /* and so much of that can be saved for later */
#define BODY_MUTE_MS 45000   /* over its time, without bytes that could be answered: chunks that do not begin, say */
#define PAST_MAX ((size_t)32 << 10) /* of an answer that does not go through the library: a socket takes so much at once */
#define PING_EVERY_TICKS 15  /* of a second */
#define LINGER_MAX ((uint64_t)256 << 20) /* of an upload after its answer: some look for that when they have sent all */
#define DRAIN_MAX ((unsigned long long)64 << 20) /* of a body that is not wanted */

/* A connection, watched so that one which sends its headers byte by byte ends. */
struct conn {
    struct conn *next, **here;
    struct rest *rest;
    struct MHD_Connection *conn;
    struct exchange *exchange; /* the one that is going on; NULL: none whose first line was read */
    int fd;
    _Atomic(int64_t) since_ms;
    atomic_bool busy; /* a request's headers were there */
    atomic_bool ended; /* by the server's clock */
    struct tls_link *link; /* to the client; NULL: its own socket is fd, without TLS */
    bool own;    /* the program's: nobody is told of what it asks */
    bool served; /* a request's first line was read */
    bool last;   /* it ends with the answer that it had */
    _Atomic(int64_t) body_until_ms; /* its body is waited for; 0: it is not */
    int cut_off; /* the clock's: how often it saw that the client has closed before the end of a body */
};

/* All connections, by their descriptors: the library's thread writes it. */
static _Atomic(struct conn *) conn_by_fd[FILES_MAX];

static int64_t now_ms(void)
{
    return os_mono_ns() / NS_PER_MS;
}

/* --- where it is served ------------------------------------------------------------------------------------------ */

int rest_check(const char *address, bool tls, bool open, struct err *err)
{
    bool loopback;
    int r = auth_address(address, &loopback, err);
    if (r < 0)
        return r;
    if (!loopback && !tls) {
        err_set(err, ERR_USAGE, "%s is reachable from other machines: it needs TLS", address);
        return err_hint(err, "--tls-cert FILE --tls-key FILE, or listen at 127.0.0.1");
    }
    if (!loopback && open)
        return err_set(err, ERR_USAGE, "--insecure-loopback is for addresses of this machine alone, not for %s", address);
    return 0;
}

/* What address a socket has. One of the Unix kind is this machine's. */
static int address_of(int fd, char *ret, size_t size, int *ret_port, struct err *err)
{
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof a;
    char host[INET6_ADDRSTRLEN] = "127.0.0.1";
    if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return err_sys(err, errno, "the socket that is listened at");
    bool v6 = a.ss_family == AF_INET6;
    const struct sockaddr_in6 *six = (struct sockaddr_in6 *)&a;
    const struct sockaddr_in *four = (struct sockaddr_in *)&a;
    if (v6)
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
    else if (a.ss_family == AF_INET)
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
    *ret_port = ntohs(v6 ? six->sin6_port : a.ss_family == AF_INET ? four->sin_port : 0);
    snprintf(ret, size, v6 ? "[%s]:%d" : "%s:%d", host, *ret_port);
    return 0;
}

static int open_socket(const char *address, int *ret_fd, int *ret_port, struct err *err)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    size_t n = (size_t)(colon - address);
    bool brackets = address[0] == '[';
    snprintf(host, sizeof host, "%.*s", (int)(brackets ? n - 2 : n), brackets ? address + 1 : address);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    int e = getaddrinfo(host, colon + 1, &hints, &list);
    if (e)
        return err_set(err, ERR_USAGE, "%s: %s", address, gai_strerror(e));
    _cleanup_close_ int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1, r = 0;
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, list->ai_addr, list->ai_addrlen) < 0 || listen(fd, 1024) < 0)
        r = errno == EADDRINUSE ? err_set(err, ERR_BUSY, "%s is in use", address) : err_sys(err, errno, "listen at %s", address);
    freeaddrinfo(list);
    char real[80];
    if (r == 0)
        r = address_of(fd, real, sizeof real, ret_port, err);
    if (r == 0)
        *ret_fd = TAKE_FD(fd);
    return r;
}

/* As it stands in a URL: one of IPv6 in brackets. */
static void name_host(struct rest *r, const char *address)
{
    snprintf(r->host, sizeof r->host, "%.*s", (int)(strrchr(address, ':') - address), address);
}

static int get_socket(struct rest *r, int *ret_fd, struct err *err)
{
    char address[80];
    if (!r->o.listen_fd) {
        int c = rest_check(r->o.address, r->o.tls.on, r->o.open, err);
        if (c == 0) {
            name_host(r, r->o.address);
            c = open_socket(r->o.address, ret_fd, &r->port, err);
        }
        return c;
    }
    *ret_fd = r->o.listen_fd;
    int c = address_of(r->o.listen_fd, address, sizeof address, &r->port, err);
    if (c == 0)
        c = rest_check(address, r->o.tls.on, r->o.open, err);
    if (c == 0 && fcntl(*ret_fd, F_SETFL, O_NONBLOCK) < 0)
        c = err_sys(err, errno, "the socket that is listened at");
    name_host(r, r->o.address ? r->o.address : address);
    return c;
}

/* --- who asks ------------------------------------------------------------------------------------------------------ */

/* A host that a page of another origin could not make a browser send. */
static bool host_allowed(const struct rest *r, const char *host)
{
    char name[256];
    const char *end = host[0] == '[' ? strchr(host, ']') : NULL;
    size_t n = end ? (size_t)(end - host) + 1 : strcspn(host, ":");
    const char *port = host + n + (host[n] == ':');
    if (!n || n >= sizeof name || (host[n] && host[n] != ':') || port[strspn(port, "0123456789")])
        return false;
    snprintf(name, sizeof name, "%.*s", (int)n, host);
    struct in_addr a;
    if (strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0 || strcasecmp(name, r->host) == 0 ||
        (inet_pton(AF_INET, name, &a) == 1 && ntohl(a.s_addr) >> 24 == 127))
        return true;
    for (const char *const *h = r->o.hosts; h && *h; h++)
        if (strcasecmp(*h, name) == 0)
            return true;
    return false;
}

static int check_origin(struct exchange *x, struct err *err)
{
    const char *host = x->target.authority ? x->target.authority : request_header(x, "Host");
    const char *origin = request_header(x, "Origin");
    bool probe = x->route->run == do_health_live || x->route->run == do_health_ready; /* an orchestrator's, by any address */
    if (!host || !(probe || host_allowed(x->rest, host))) {
        x->error_type = "HostNotAllowed";
        err_set(err, ERR_PERMISSION, "the Host '%.100s' is not one of this server's", host ? host : "");
        return err_hint(err, "--allow-host NAME adds one");
    }
    const char *at = origin ? strstr(origin, "://") : NULL;
    if (!origin || (at && host_allowed(x->rest, at + 3)))
        return 0;
    x->error_type = "OriginNotAllowed";
    return err_set(err, ERR_PERMISSION, "the Origin '%.100s' is not one of this server's", origin);
}

/* --- requests ------------------------------------------------------------------------------------------------------- */

/* As a ULID looks: the server's own beginning, then a number. */
static void name_request(struct exchange *x)
{
    uint64_t n = atomic_fetch_add(&x->rest->named, 1);
    memcpy(x->id, x->rest->name, NAME_ID_LEN + 1);
    for (int i = NAME_ID_LEN - 1; i >= NAME_ID_LEN - 12; i--, n >>= 4)
        x->id[i] = "0123456789ABCDEF"[n & 15];
}

static struct conn *conn_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *i = http.MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return i ? i->socket_context : NULL;
}

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *conn)
{
    struct rest *r = cls;
    struct exchange *x = mem_zalloc(sizeof *x);
    if (!x)
        return NULL;
    x->rest = r;
    x->conn = conn;
    x->begun_ns = os_mono_ns();
    x->body = (struct strbuf)STRBUF_INIT_MAX(JSON_BODY_MAX);
    x->uri = uri;
    x->uri_len = strlen(uri);
    x->target_error = target_parse(uri, x->uri_len, &x->target, &x->target_why);
    name_request(x);
    atomic_fetch_add(&r->exchanges, 1);
    struct conn *c = conn_of(conn);
    if (c) {
        c->exchange = x;
        c->served = true;
    }
    return x;
}

static int find_route(struct exchange *x, const char *method, struct err *err)
{
    if (x->target_error) {
        x->error_status = x->target_error == -ERR_LIMIT ? 414 : 400;
        return err_copy(err, &x->target_why);
    }
    x->route = api_find(&x->rest->api, method, &x->target, x->answer.allow);
    if (x->route) {
        x->answer.allow[0] = 0;
        return 0;
    }
    if (!x->answer.allow[0])
        return err_set(err, ERR_NOT_FOUND, "there is nothing here; /openapi.json says what there is");
    x->error_status = 405;
    x->error_type = "MethodNotAllowed";
    return err_set(err, ERR_USAGE, "%.20s is not one of this path's methods: %s", method, x->answer.allow);
}

/* A client that has stopped sending still reads; but the library, when it sees that before it has the answer, ends the
 * connection. Then the answer goes past it. */
static bool answer_past(struct exchange *x)
{
    struct conn *c = conn_of(x->conn);
    char byte;
    if (!c || x->answer.ready || x->answer.len > PAST_MAX || recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
        return false;
    reply_past(x, c->fd);
    return true;
}

static void wake(struct exchange *x)
{
    if (!answer_past(x))
        x->phase = PHASE_ANSWERED;
    http.MHD_resume_connection(x->conn);
}

void exchange_work(void *arg)
{
    struct exchange *x = arg;
    struct err err = {0};
    bool makes_room = json_flag(x->route->extra, "makes_room", false);
    if (makes_room)
        os_reserve_give(x->svc.state_dir);
    int r = atomic_load(&x->rest->over) ? err_set(&err, ERR_UNAVAILABLE, "the server is stopping") : exchange_namespace(x, &err);
    if (r == 0)
        r = exchange_audit(x, &err);
    if (r == 0)
        r = x->route->run(x, &err);
    if (makes_room)
        os_reserve_keep(x->svc.state_dir);
    if (r < 0) {
        err.code = err.code ? err.code : -r;
        reply_error(x, &err);
    }
    reply_finish(x);
    atomic_fetch_sub(&x->rest->counters.working, 1);
    wake(x);
}

/* How the server fares is told beside what callers without a namespace keep waiting. */
static const char *share_of(const struct exchange *x)
{
    do_route *run = x->route->run;
    return run == do_health || run == do_health_ready || run == do_metrics ? "/" : x->caller.name_space;
}

static enum MHD_Result to_work(struct exchange *x)
{
    struct err err = {0};
    x->phase = PHASE_WORKING;
    atomic_fetch_add(&x->rest->counters.working, 1);
    http.MHD_suspend_connection(x->conn);
    if (x->upload) {
        body_end(x);
        return MHD_YES;
    }
    if (jobs_add(x->rest->jobs, share_of(x), exchange_work, x))
        return MHD_YES;
    atomic_fetch_sub(&x->rest->counters.working, 1);
    x->error_status = 429;
    x->error_type = "TooManyRequests";
    err_set(&err, ERR_BUSY, "too many requests at a time");
    reply_error(x, &err);
    wake(x);
    return MHD_YES;
}

/* That the process answers is told also while all threads that may block are waiting for something. */
static void answer_at_once(struct exchange *x)
{
    struct err err = {0};
    if (x->route->run(x, &err) < 0)
        reply_error(x, &err);
    x->phase = PHASE_ANSWERED;
}

/* The library has read all that has come, and where the client's end came with it, nothing wakes it to see that. */
static void end_with_client(struct exchange *x)
{
    const struct conn *c = conn_of(x->conn);
    char byte;
    x->closes = x->closes || (c && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0);
}

bool exchange_certified(const struct exchange *x)
{
    const struct conn *c = conn_of(x->conn);
    return c && c->link && tls_link_certified(c->link);
}

const struct sockaddr *exchange_address(const struct exchange *x)
{
    const struct conn *c = conn_of(x->conn);
    if (c && c->link)
        return tls_link_peer(c->link);
    const union MHD_ConnectionInfo *i = http.MHD_get_connection_info(x->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return i ? i->client_addr : NULL;
}

static void mark_busy(struct exchange *x, bool busy, int64_t ms)
{
    struct conn *c = conn_of(x->conn);
    if (!c)
        return;
    c->exchange = busy ? x : NULL;
    atomic_store(&c->since_ms, ms);
    atomic_store(&c->body_until_ms, 0);
    atomic_store(&c->busy, busy);
}

/* The library gives the target as a text: one that has a NUL in it goes on behind that, up to where the version begins. */
static int check_whole(struct exchange *x, const char *version, struct err *err)
{
    uintptr_t gap = (uintptr_t)version - (uintptr_t)x->uri;
    if (gap <= x->uri_len + 1 || gap > CONNECTION_MEMORY)
        return 0;
    x->closes = true;
    x->error_status = 400;
    return err_set(err, ERR_USAGE, "the path is malformed: it has a NUL in it");
}

/* Who polls asks for little, but often. What is in the cache was checked when it came there. */
static bool answer_from_cache(struct exchange *x)
{
    if (x->route->run != do_run_status || x->target.fields_count || strlen(x->target.parts[1]) >= ENGINE_ID_MAX ||
        !status_cached(x, exchange_key(x, x->target.parts[1])))
        return false;
    x->phase = PHASE_ANSWERED;
    return true;
}

/* The headers are there: all that can be wrong so far is told before a body is taken. */
static enum MHD_Result begin(struct exchange *x, const char *method, const char *version)
{
    struct err err = {0};
    x->gzip = head_accepts_gzip(request_header(x, "Accept-Encoding"));
    mark_busy(x, true, x->begun_ns / NS_PER_MS);
    snprintf(x->method, sizeof x->method, "%s", method);
    x->last = head_is_last(x, version);
    x->head = strcmp(method, "HEAD") == 0;
    int r = head_check(x, version, &err);
    if (r == 0)
        r = check_whole(x, version, &err);
    if (r == 0)
        r = find_route(x, method, &err);
    if (r == 0)
        r = check_origin(x, &err);
    if (r == 0)
        r = exchange_rights(x, &err);
    if (r == 0 && answer_from_cache(x))
        return MHD_YES;
    if (r == 0)
        r = api_arguments(&x->rest->api, x, &x->args, x->field, &err);
    if (r == 0)
        r = body_begin(x, &err);
    if (r == 0)
        return MHD_YES;
    reply_error(x, &err);
    const char *length = request_header(x, "Content-Length");
    if (x->closes || request_header(x, "Transfer-Encoding") || request_header(x, "Expect") ||
        (length && strtoull(length, NULL, 10) > DRAIN_MAX)) {
        x->last = true;
        return reply_send(x); /* and the connection ends: the body is not taken */
    }
    x->phase = PHASE_ANSWERED; /* many clients look for an answer only when they have sent all */
    return MHD_YES;
}

/* --- the pace of bodies ---------------------------------------------------------------------------------------------- */

/* The time of a body runs out unless bytes come, as in a leaking bucket: a client that stalls now and then may go on, one that
 * dribbles may not. Bytes that came; wait: the server makes the client wait from here on. False: it is over. */
static bool body_in_time(struct exchange *x, size_t bytes, bool wait)
{
    struct conn *c = conn_of(x->conn);
    int64_t now = now_ms();
    if (x->body_ms)
        x->body_left_ms -= now - x->body_ms;
    x->body_left_ms += (int64_t)bytes * 1000 / BODY_RATE;
    if (x->body_left_ms > BODY_SAVED_MS)
        x->body_left_ms = BODY_SAVED_MS;
    x->body_ms = wait ? 0 : now;
    if (c)
        atomic_store(&c->body_until_ms, wait ? 0 : now + x->body_left_ms + BODY_MUTE_MS);
    return x->body_left_ms >= 0;
}

static void body_over(struct exchange *x)
{
    struct conn *c = conn_of(x->conn);
    if (c)
        atomic_store(&c->body_until_ms, 0);
}

/* The library takes no answer in the middle of a body. */
static enum MHD_Result end_body(struct exchange *x, struct err *why)
{
    struct conn *c = conn_of(x->conn);
    x->closes = true;
    if (x->phase != PHASE_ANSWERED) { /* what was wrong before stands */
        snprintf(x->field, sizeof x->field, "body");
        reply_error(x, why);
    }
    if (c)
        reply_past(x, c->fd);
    return MHD_NO;
}

static enum MHD_Result body_too_slow(struct exchange *x)
{
    struct err err = {0};
    if (x->phase != PHASE_ANSWERED) {
        x->error_status = 408;
        x->error_type = "RequestTimeout";
    }
    err_set(&err, ERR_TIMEOUT, "the body comes too slowly: %d bytes a second are wanted after %d seconds", BODY_RATE,
            BODY_MS / 1000);
    return end_body(x, &err);
}

/* In chunks, so that nothing has said how long it is. */
static enum MHD_Result body_without_end(struct exchange *x)
{
    struct err err = {0};
    err_set(&err, ERR_LIMIT, "the body has over %zu bytes", JSON_BODY_MAX);
    return end_body(x, &err);
}

/* An upload that is wrong is not waited for. */
static enum MHD_Result answer_early(struct exchange *x, struct err *why)
{
    struct conn *c = conn_of(x->conn);
    if (!c)
        return MHD_NO;
    x->closes = x->lingers = true;
    x->body_bytes = 0;
    reply_error(x, why);
    reply_past(x, c->fd);
    return MHD_YES;
}

/* Until all has come, or enough. */
static enum MHD_Result linger(struct exchange *x, size_t *io_size)
{
    bool over = !*io_size || !body_in_time(x, *io_size, false);
    x->body_bytes += *io_size;
    *io_size = 0;
    return over || x->body_bytes > LINGER_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result take_body(struct exchange *x, const char *data, size_t *io_size)
{
    size_t before = *io_size;
    enum MHD_Result ok = MHD_YES;
    struct err why = {0};
    if (x->phase == PHASE_ANSWERED)
        *io_size = 0;
    else
        ok = body_data(x, data, io_size);
    bool waits = *io_size > 0, in_time = body_in_time(x, before - *io_size, waits);
    x->body_bytes += before - *io_size;
    if (ok == MHD_YES && upload_failed(x, &why))
        return answer_early(x, &why);
    if (ok == MHD_NO || waits)
        return ok;
    if (!x->upload && x->body_bytes > DRAIN_MAX)
        return body_without_end(x);
    return in_time ? ok : body_too_slow(x);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                  const char *version, const char *upload_data, size_t *upload_data_size, void **con_cls)
{
    struct exchange *x = *con_cls;
    (void)cls;
    (void)url;
    if (x && x->lingers)
        return linger(x, upload_data_size);
    if (!x || x->refused)
        return MHD_NO;
    if (x->phase == PHASE_SENT)
        return MHD_YES;
    if (!x->method[0]) {
        enum MHD_Result ok = begin(x, method, version);
        x->body_left_ms = BODY_MS;
        if (x->phase != PHASE_SENT)
            body_in_time(x, 0, false);
        return ok;
    }
    if (x->phase == PHASE_WORKING) { /* woken for a stream that this connection had before: who works on it wakes it again */
        http.MHD_suspend_connection(conn);
        return MHD_YES;
    }
    if (*upload_data_size)
        return take_body(x, upload_data, upload_data_size);
    body_over(x);
    if (x->phase != PHASE_ANSWERED && x->route->run == do_health_live)
        answer_at_once(x);
    if (x->phase == PHASE_ANSWERED)
        end_with_client(x);
    return x->phase == PHASE_ANSWERED ? reply_send(x) : to_work(x);
}

/* It counts, and is told of. */
static void note_answer(const struct exchange *x, int64_t now_ns, bool cut_off)
{
    struct rest *r = x->rest;
    int64_t us = (now_ns - x->begun_ns) / NS_PER_US;
    atomic_fetch_add(&r->counters.requests, 1);
    atomic_fetch_add(&r->counters.errors, reply_is_fault(x->answer.status));
    atomic_fetch_add(&r->counters.bytes, x->sent);
    if (x->route && !x->route->lasts)
        histogram_add(&r->api.routes[x->route - r->api.routes].took, us);
    if (r->o.answered)
        r->o.answered(r->o.arg, &(struct rest_answered){.request_id = x->id,
                                                        .method = x->method[0] ? x->method : "?",
                                                        .route = x->route ? x->route->path : "?",
                                                        .caller = x->caller.name[0] ? x->caller.name : "-",
                                                        .status = x->answer.status,
                                                        .took_us = us,
                                                        .bytes = x->sent,
                                                        .cut_off = cut_off});
}

static void refusal(unsigned status, struct exchange *x)
{
    static const struct {
        unsigned status;
        int code;
        const char *type, *why;
    } table[] = {
        {413, ERR_LIMIT, NULL, "no body is so long"},
        {414, ERR_LIMIT, NULL, "the request's first line is too long"},
        {431, ERR_LIMIT, NULL, "the request's headers are too long"},
        {505, ERR_USAGE, "VersionNotSupported", "HTTP/1.1 and HTTP/1.0 are spoken here"},
        {500, ERR_NO_MEMORY, NULL, "there is no memory for this request"},
    };
    struct err err = {0};
    size_t i = 0;
    if (status == 500 && x->method[0]) /* a line of its body's framing is too long */
        status = 400;
    while (i < ARRAY_LEN(table) && table[i].status != status)
        i++;
    if (status == 431 && x->target_error == -ERR_LIMIT) { /* it counts the query's fields as headers */
        status = 414;
        err_copy(&err, &x->target_why);
    } else if (i < ARRAY_LEN(table)) {
        x->error_type = table[i].type;
        err_set(&err, table[i].code, "%s", table[i].why);
    } else {
        err_set(&err, ERR_USAGE, "that is no request of HTTP/1.1: its first line, a header, the Host, or how its body is framed");
    }
    x->error_status = (int)status;
    snprintf(x->field, sizeof x->field, "%s", status == 413 ? "body" : "");
    reply_error(x, &err);
}

void http_refused(struct MHD_Connection *conn, unsigned status)
{
    struct conn *c = conn_of(conn);
    struct exchange first_line = {0}, *x = c ? c->exchange : NULL;
    if (!c)
        return;
    c->last = true;
    if (!x) {
        x = &first_line;
        x->rest = c->rest;
        x->conn = conn;
        x->begun_ns = os_mono_ns();
        name_request(x);
    }
    x->closes = true;
    if (x->phase != PHASE_ANSWERED || x->answer.ready) /* what was wrong before stands */
        refusal(status, x);
    reply_past(x, c->fd);
    if (x == &first_line) {
        note_answer(x, os_mono_ns(), false);
        free(x->answer.text);
    }
}

/* As the kernel has it: the C library's goes less far. */
struct tcp_more {
    struct tcp_info info;
    uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
};

/* Has something come that the library has not taken for a request? */
static bool was_unreadable(const struct conn *c)
{
    struct tcp_more more = {0};
    socklen_t len = sizeof more;
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (c->link)
        return n > 0 || tls_link_received(c->link);
    if (n < 0 && errno != EAGAIN)
        return false;
    if (n != 0) /* who says nothing leaves by himself, or is ended by the clock */
        return true;
    if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &more, &len) < 0)
        return false;
    return sizeof more.info == TCP_INFO_BYTES && len == sizeof more && more.bytes_received > 1; /* the end counts as one */
}

/* Of a connection that had its answers: does the client still wait? Then it is the library that ends it, over what came next. */
static bool client_waits(const struct conn *c)
{
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n > 0 || (n < 0 && errno == EAGAIN);
}

static struct conn *conn_at(int fd)
{
    return fd >= 0 && fd < FILES_MAX ? atomic_load(&conn_by_fd[fd]) : NULL;
}

void http_ends(int fd)
{
    struct conn *c = conn_at(fd);
    if (!c || c->last || c->exchange || atomic_load(&c->ended) || atomic_load(&c->rest->stopping))
        return;
    if (c->served ? client_waits(c) : was_unreadable(c))
        http_refused(c->conn, 400);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls, enum MHD_RequestTerminationCode end)
{
    struct rest *r = cls;
    struct exchange *x = *con_cls;
    (void)conn;
    if (!x)
        return;
    int64_t now = os_mono_ns();
    if (x->sock)
        socket_drop(x);
    struct conn *c = conn_of(x->conn);
    if (!c || !c->own)
        note_answer(x, now, end != MHD_REQUEST_TERMINATED_COMPLETED_OK && !x->refused);
    if (c)
        c->last = c->last || x->last || x->closes || end != MHD_REQUEST_TERMINATED_COMPLETED_OK;
    mark_busy(x, false, now / NS_PER_MS);
    body_free(x);
    answers_let_go(r, x->caller.name_space, x->answer.held);
    target_release(&x->target);
    strbuf_release(&x->body);
    json_decref(x->args);
    json_decref(x->json);
    free(x->answer.text);
    if (x->answer.ready)
        http.MHD_destroy_response(x->answer.ready);
    free(x);
    *con_cls = NULL;
    atomic_fetch_sub(&r->exchanges, 1);
}

/* --- connections ------------------------------------------------------------------------------------------------------ */

static void on_connection(void *cls, struct MHD_Connection *conn, void **context, enum MHD_ConnectionNotificationCode what)
{
    struct rest *r = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *i = http.MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct conn *c = mem_zalloc(sizeof *c);
        if (!c || !i) {
            free(c);
            return;
        }
        int one = 1;
        c->rest = r;
        c->conn = conn;
        c->fd = i->connect_fd;
        c->own = atomic_compare_exchange_strong(&r->pulse.taken, &(int){c->fd}, -1);
        c->since_ms = now_ms();
        if (r->tls)
            c->link = tls_link_at(r->tls, c->fd);
        else
            setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        pthread_mutex_lock(&r->lock);
        c->next = r->conns;
        c->here = &r->conns;
        if (c->next)
            c->next->here = &c->next;
        r->conns = c;
        pthread_mutex_unlock(&r->lock);
        atomic_fetch_add(&r->counters.connections, 1);
        if (c->fd >= 0 && c->fd < FILES_MAX)
            atomic_store(&conn_by_fd[c->fd], c);
        *context = c;
        return;
    }
    struct conn *c = *context;
    if (!c)
        return;
    pthread_mutex_lock(&r->lock);
    *c->here = c->next;
    if (c->next)
        c->next->here = c->here;
    pthread_mutex_unlock(&r->lock);
    atomic_fetch_sub(&r->counters.connections, 1);
    if (c->fd >= 0 && c->fd < FILES_MAX)
        atomic_store(&conn_by_fd[c->fd], NULL);
    tls_link_release(c->link);
    free(c);
    *context = NULL;
}

/* Has any byte of a request come? */
static bool has_bytes(const struct conn *c)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (c->link)
        return tls_link_received_ns(c->link) > os_mono_ns() - HEAD_MS * NS_PER_MS;
    return getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_last_data_recv < (uint32_t)HEAD_MS;
}

static void end_conn(struct conn *c)
{
    atomic_store(&c->ended, true);
    if (c->link)
        tls_link_end(c->link);
    else
        shutdown(c->fd, SHUT_RDWR);
}

/* Has it closed, as far as bytes go that come here? */
static bool has_left(const struct conn *c)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    return c->link ? tls_link_left(c->link)
                   : getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_CLOSE_WAIT;
}

/* Has the client of a body closed before its end? Where the end came together with the last bytes, the library, whose events are
 * edges, has read those and waits for more. Seen twice, a second apart: what it has just taken may be all. */
static bool is_cut_off(struct conn *c)
{
    int unread = 0;
    bool cut = has_left(c) && ioctl(c->fd, FIONREAD, &unread) == 0 && unread == 0;
    c->cut_off = cut ? c->cut_off + 1 : 0;
    return c->cut_off > 1;
}

/* An event: the library reads the end. */
static void wake_reader(struct conn *c)
{
    if (c->link)
        tls_link_nudge(c->link);
    else
        shutdown(c->fd, SHUT_RD);
}

/* Ends connections whose headers do not come: one that is quiet may stay longer than one that dribbles; and those whose body
 * brings nothing that could be answered. The lock keeps the descriptor from being closed, and so from being another's. */
static void end_slow(struct rest *r)
{
    int64_t now = now_ms();
    unsigned max = r->connections_max;
    bool crowded = (unsigned)atomic_load(&r->counters.connections) > max - max / 8;
    pthread_mutex_lock(&r->lock);
    for (struct conn *c = r->conns; c; c = c->next) {
        int64_t age = now - atomic_load(&c->since_ms), until = atomic_load(&c->body_until_ms);
        bool late = age > KEEP_MS || (crowded && age > CROWDED_MS) || (age > HEAD_MS && has_bytes(c));
        if ((late && !c->own && !atomic_load(&c->busy)) || (until && now > until))
            end_conn(c);
        else if (until && is_cut_off(c))
            wake_reader(c);
    }
    pthread_mutex_unlock(&r->lock);
}

static void *run_clock(void *arg)
{
    struct rest *r = arg;
    for (int tick = 0; !atomic_load(&r->stopping); tick++) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        pthread_mutex_lock(&r->lock);
        if (!atomic_load(&r->stopping))
            pthread_cond_timedwait(&r->cond, &r->lock, &until);
        pthread_mutex_unlock(&r->lock);
        end_slow(r);
        streams_wake(r, tick % PING_EVERY_TICKS != PING_EVERY_TICKS - 1);
    }
    return NULL;
}

/* --- start and stop ------------------------------------------------------------------------------------------------------ */

/* each: the descriptors that one takes. */
static unsigned connections_max(unsigned each)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return 512;
    if (l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max < FILES_MAX ? l.rlim_max : FILES_MAX;
        setrlimit(RLIMIT_NOFILE, &l);
        getrlimit(RLIMIT_NOFILE, &l);
    }
    unsigned files = l.rlim_cur > FILES_MAX              ? FILES_MAX - FILES_KEPT
                     : l.rlim_cur > 2 * FILES_KEPT ? (unsigned)l.rlim_cur - FILES_KEPT
                                                   : (unsigned)l.rlim_cur / 2;
    return files / each < CONNECTIONS_MAX ? files / each : CONNECTIONS_MAX;
}

/* Over a connection whose TLS is done before it. Where the client is, the link knows. */
static void take_link(void *arg, int fd)
{
    struct rest *r = arg;
    static const struct sockaddr here = {.sa_family = AF_UNIX};
    http.MHD_add_connection(r->daemon, fd, &here, sizeof here); /* which closes it where there is no room */
}

/* fd is taken in any case. */
static int start_daemon(struct rest *r, int fd, struct err *err)
{
    struct MHD_OptionItem listens[] = {{MHD_OPTION_LISTEN_SOCKET, fd, NULL}, {MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE;
    r->daemon = http.MHD_start_daemon(
        flags | (r->tls ? MHD_USE_NO_LISTEN_SOCKET : 0), 0, NULL, NULL, on_request, r, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT, r->connections_max, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, r, MHD_OPTION_NOTIFY_CONNECTION, on_connection, r,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, r, MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)512 << 10, MHD_OPTION_ARRAY, r->tls ? &listens[1] : listens, MHD_OPTION_END);
    if (!r->daemon) {
        close(fd);
        return err_set(err, ERR_IO, "the HTTP server does not start");
    }
    return r->tls ? rest_tls_start(r->tls, fd, r->connections_max, take_link, r, err) : 0;
}

static int start_clock(struct rest *r, struct err *err)
{
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, (size_t)128 << 10);
    int e = pthread_create(&r->clock, &a, run_clock, r);
    pthread_attr_destroy(&a);
    r->clock_started = e == 0;
    return e ? err_sys(err, e, "start a thread") : 0;
}

int rest_start(const struct rest_options *o, struct rest **ret, int *ret_port, struct err *err)
{
    struct rest *r = mem_zalloc(sizeof *r);
    _cleanup_close_ int fd = -1;
    pthread_condattr_t a;
    if (!r)
        return err_nomem(err);
    r->o = *o;
    r->pulse.fd = -1;
    r->pulse.taken = -1;
    r->connections_max = connections_max(o->tls.on ? FILES_OF_TLS : 1);
    r->started_ns = os_now_ns();
    os_ulid(r->name);
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&r->cond, &a);
    pthread_condattr_destroy(&a);
    int c = get_socket(r, &fd, err);
    if (c == 0)
        c = http_load(err);
    if (c == 0 && !(r->cache = status_cache_new()))
        c = err_nomem(err);
    if (c == 0)
        c = api_load(&r->api, o->mounts, o->open, err);
    if (c == 0)
        c = jobs_new(&r->jobs, err);
    if (c == 0)
        c = sockets_new(r, &r->sockets, err);
    if (c == 0 && o->tls.on)
        c = rest_tls_open(&o->tls, &r->tls, err);
    if (c == 0)
        c = start_daemon(r, r->listener = TAKE_FD(fd), err);
    if (c == 0)
        c = start_clock(r, err);
    if (c < 0) {
        rest_stop(r, 0);
        return c;
    }
    *ret_port = r->port;
    *ret = r;
    return 0;
}

void rest_stop(struct rest *r, int64_t grace_ms)
{
    if (!r)
        return;
    atomic_store(&r->stopping, true);
    pthread_mutex_lock(&r->lock);
    pthread_cond_signal(&r->cond);
    pthread_mutex_unlock(&r->lock);
    if (r->clock_started)
        pthread_join(r->clock, NULL);
    int listener = r->daemon && !r->tls ? http.MHD_quiesce_daemon(r->daemon) : -1;
    if (listener >= 0)
        close(listener);
    if (r->tls)
        rest_tls_quiesce(r->tls);
    streams_wake(r, false);
    for (int64_t end = now_ms() + grace_ms; atomic_load(&r->exchanges) && now_ms() < end;) {
        streams_wake(r, false);
        os_sleep_ms(5);
    }
    atomic_store(&r->over, true);
    sockets_free(TAKE_PTR(r->sockets));
    jobs_drain(r->jobs); /* those that run end, and wake their connections */
    if (r->daemon)
        http.MHD_stop_daemon(r->daemon);
    rest_tls_free(r->tls);
    jobs_free(r->jobs);
    api_release(&r->api);
    if (r->pulse.fd >= 0)
        close(r->pulse.fd);
    map_release(&r->bodies);
    map_release(&r->watchers);
    map_release(&r->answers);
    status_cache_free(r->cache);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->cond);
    free(r);
}
