/* WebSocket (RFC 6455) for the events of a campaign: frames by wslay, all sockets on one thread.
 *
 * A client that does not read gets no more than a bounded queue: its events wait where all events are, and when it is far
 * behind it goes on with what is new (live.h). */
#include "api/rest/fuzzing.h"
#include "api/rest/handshake.h"
#include "api/rest/rest_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MAX 1000
#define MESSAGE_MAX 4096               /* of a client's */
#define DRAINS_MAX 16
#define QUEUED_MAX ((size_t)256 << 10) /* bytes that wait for the client */
#define TURN_MAX ((size_t)64 << 10)    /* bytes of a client's at a time; what they are answered goes out before more is read */
#define EVENTS_AT_A_TIME 32
#define FRAME_HEAD_MAX 14
#define CONTROL_MAX 125
#define HEARTBEAT_MS 30000

struct sock {
    struct sock *next;
    size_t turn; /* bytes that were read in this one */
    uint8_t head[FRAME_HEAD_MAX]; /* of the client's frame that is coming */
    size_t head_len;
    uint64_t left;                /* of its payload */
    uint16_t refused;             /* why no more of the client's is read; 0: it is */
    struct sockets *all;
    int fd;
    struct MHD_UpgradeResponseHandle *handle;
    wslay_event_context_ptr ws;
    struct live_watch *watch;
    char *run_id, *workflow, *first, *key;
    char *extra; /* bytes that came with the request */
    size_t extra_len, extra_at;
    char name_space[72]; /* that it counts for */
    struct pass pass;
    bool dead, close_sent;
    int64_t heard_ms;
};

struct sockets {
    struct rest *rest;
    pthread_mutex_t lock; /* list, count */
    struct sock *list, *fresh;
    size_t count;
    int wake_fd;
    bool stopping;
    pthread_t thread;
    bool started;
};

static int64_t now_ms(void)
{
    return os_mono_ns() / NS_PER_MS;
}

static void wake(struct sockets *s)
{
    uint64_t one = 1;
    (void)!write(s->wake_fd, &one, sizeof one);
}

static void told(void *arg)
{
    wake(((struct sock *)arg)->all);
}

/* --- frames -------------------------------------------------------------------------------------------------------- */

/* What the library notices only when it has more of the frame, or ends without a word. more: bytes that its length has. */
static uint16_t check_head(const uint8_t *h, size_t more, uint64_t len)
{
    bool padded = more && len <= (more == 2 ? CONTROL_MAX : UINT16_MAX);
    if (padded || ((h[0] & 8) && (more || !(h[0] & 0x80)))) /* a control frame: it is short, and whole */
        return WSLAY_CODE_PROTOCOL_ERROR;
    return len > MESSAGE_MAX ? WSLAY_CODE_MESSAGE_TOO_BIG : 0;
}

/* One more byte of a frame's head. */
static void add_to_head(struct sock *k, uint8_t byte)
{
    uint8_t *h = k->head;
    h[k->head_len++] = byte;
    size_t more = k->head_len < 2 ? 0 : (h[1] & 0x7f) == 127 ? 8 : (h[1] & 0x7f) == 126 ? 2 : 0;
    if (k->head_len == 2 && (h[0] & 8))
        k->refused = check_head(h, more, h[1] & 0x7f);
    if (k->refused || k->head_len < 2 || k->head_len < 2 + more + (h[1] & 0x80 ? 4 : 0))
        return;
    uint64_t len = h[1] & 0x7f;
    for (size_t i = 0; i < more; i++)
        len = (i ? len << 8 : 0) | h[2 + i];
    k->refused = check_head(h, more, len);
    k->left = len;
    k->head_len = 0;
}

/* How many of these bytes come before what is refused. */
static size_t check_frames(struct sock *k, const uint8_t *data, size_t len)
{
    size_t i = 0, whole = 0;
    while (i < len && !k->refused) {
        if (k->left) {
            size_t n = k->left < len - i ? (size_t)k->left : len - i;
            k->left -= n;
            i += n;
        } else {
            whole = k->head_len ? whole : i;
            add_to_head(k, data[i++]);
        }
    }
    return k->refused ? whole : len;
}

/* --- wslay's side -------------------------------------------------------------------------------------------------- */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *arg)
{
    struct sock *k = arg;
    (void)flags;
    if (!k->refused && k->extra_at < k->extra_len) {
        size_t n = k->extra_len - k->extra_at < len ? k->extra_len - k->extra_at : len;
        memcpy(buf, k->extra + k->extra_at, n);
        k->extra_at += n;
        if ((n = check_frames(k, buf, n)) > 0)
            return (ssize_t)n;
    }
    ssize_t n = -1;
    bool more = k->turn < TURN_MAX && !k->refused;
    if (more && (n = recv(k->fd, buf, len, MSG_DONTWAIT)) > 0) {
        k->turn += (size_t)n;
        if ((n = (ssize_t)check_frames(k, buf, (size_t)n)) > 0)
            return n;
        more = false;
    }
    k->dead = more && (n == 0 || (errno != EAGAIN && errno != EINTR));
    http.wslay_event_set_error(ctx, k->dead ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags, void *arg)
{
    struct sock *k = arg;
    (void)flags;
    ssize_t n = send(k->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    k->dead = errno != EAGAIN && errno != EINTR;
    http.wslay_event_set_error(ctx, k->dead ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static void queue_text(struct sock *k, const char *text)
{
    struct wslay_event_msg m = {WSLAY_TEXT_FRAME, (const uint8_t *)text, strlen(text)};
    if (http.wslay_event_queue_msg(k->ws, &m) != 0)
        k->dead = true;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m, void *arg)
{
    struct sock *k = arg;
    (void)ctx;
    k->heard_ms = now_ms();
    if (m->opcode == WSLAY_TEXT_FRAME && m->msg_length == 4 && memcmp(m->msg, "ping", 4) == 0 &&
        http.wslay_event_get_queued_msg_length(k->ws) < QUEUED_MAX)
        queue_text(k, "pong");
}

/* --- events ----------------------------------------------------------------------------------------------------------- */

static int add_event(void *arg, const struct live_event *e)
{
    struct sock *k = arg;
    bool crash = strcmp(e->type, "crash") == 0;
    if (http.wslay_event_get_queued_msg_length(k->ws) > QUEUED_MAX)
        return -1;
    if (!crash && strcmp(e->type, "stats") != 0)
        return 0;
    _cleanup_json_ json_t *data = crash ? fuzzing_crash_json(k->run_id, e) : fuzzing_stats_of(k->run_id, k->workflow, e->data);
    _cleanup_free_ char *inner = data ? json_dumps(data, JSON_COMPACT) : NULL;
    _cleanup_free_ char *text =
        inner ? mem_printf("{\"type\":\"%s\",\"data\":%s}", crash ? "crash_report" : "stats_update", inner) : NULL;
    if (text)
        queue_text(k, text);
    return 0;
}

static void feed(struct sock *k)
{
    int64_t skipped;
    int n = 1;
    if (!pass_holds(k->all->rest, &k->pass)) {
        k->close_sent = true;
        http.wslay_event_queue_close(k->ws, WSLAY_CODE_POLICY_VIOLATION, NULL, 0);
        return;
    }
    while (n > 0 && http.wslay_event_get_queued_msg_length(k->ws) <= QUEUED_MAX)
        n = live_watch_read(k->watch, EVENTS_AT_A_TIME, add_event, k, &skipped, NULL);
    if (now_ms() - k->heard_ms < HEARTBEAT_MS)
        return;
    k->heard_ms = now_ms();
    queue_text(k, "{\"type\":\"heartbeat\"}");
}

static void free_sock(struct sock *k)
{
    pass_release(&k->pass);
    free(k->run_id);
    free(k->workflow);
    free(k->first);
    free(k->key);
    free(k->extra);
    free(k);
}

/* What has come and nobody will read: to close over it is a reset, and the client never sees why. */
static void drain(const struct sock *k)
{
    char buf[16 << 10];
    for (int i = 0; i < DRAINS_MAX && recv(k->fd, buf, sizeof buf, MSG_DONTWAIT) > 0; i++)
        ;
}

static void end(struct sockets *s, struct sock *k)
{
    live_watch_free(k->watch);
    drain(k);
    if (k->ws)
        http.wslay_event_context_free(k->ws);
    http.MHD_upgrade_action(k->handle, MHD_UPGRADE_ACTION_CLOSE);
    pthread_mutex_lock(&s->lock);
    s->count--;
    pthread_mutex_unlock(&s->lock);
    watchers_leave(s->rest, k->name_space);
    free_sock(k);
}

void socket_drop(struct exchange *x)
{
    struct sock *k = TAKE_PTR(x->sock);
    struct sockets *s = x->rest->sockets;
    if (s) { /* else the server stops */
        pthread_mutex_lock(&s->lock);
        s->count--;
        pthread_mutex_unlock(&s->lock);
    }
    watchers_leave(x->rest, k->name_space);
    free_sock(k);
}

static void serve(struct sock *k, short events)
{
    if (events & (POLLERR | POLLNVAL))
        k->dead = true;
    bool come = (events & (POLLIN | POLLHUP)) || k->extra_at < k->extra_len;
    k->turn = 0;
    if (!k->dead && come && !http.wslay_event_want_write(k->ws) && http.wslay_event_recv(k->ws) != 0)
        k->dead = true;
    if (k->refused && !k->close_sent) {
        k->close_sent = true;
        (void)http.wslay_event_send(k->ws); /* what waits: a close is put before it */
        http.wslay_event_queue_close(k->ws, k->refused, NULL, 0);
    }
    if (!k->dead && !k->close_sent && !http.wslay_event_get_close_received(k->ws))
        feed(k);
    if (!k->dead && http.wslay_event_want_write(k->ws) && http.wslay_event_send(k->ws) != 0)
        k->dead = true;
    if (k->close_sent) /* it goes out at once, or not at all */
        k->dead = true;
    if (!k->dead && !http.wslay_event_want_read(k->ws) && !http.wslay_event_want_write(k->ws))
        k->dead = true;
}

static void take_fresh(struct sockets *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->fresh) {
        struct sock *k = s->fresh;
        s->fresh = k->next;
        k->next = s->list;
        s->list = k;
    }
    pthread_mutex_unlock(&s->lock);
}

static void *run_sockets(void *arg)
{
    struct sockets *s = arg;
    static struct pollfd fds[SOCKETS_MAX + 1];
    for (;;) {
        size_t n = 1;
        uint64_t drained;
        take_fresh(s);
        fds[0] = (struct pollfd){.fd = s->wake_fd, .events = POLLIN};
        for (struct sock *k = s->list; k && n <= SOCKETS_MAX; k = k->next)
            fds[n++] = (struct pollfd){.fd = k->fd,
                                       .events = http.wslay_event_want_write(k->ws) ? POLLOUT : POLLIN};
        poll(fds, n, s->list ? 5000 : -1);
        pthread_mutex_lock(&s->lock);
        bool stopping = s->stopping;
        pthread_mutex_unlock(&s->lock);
        if (fds[0].revents)
            (void)!read(s->wake_fd, &drained, sizeof drained);
        size_t i = 1;
        for (struct sock **p = &s->list; *p;) {
            struct sock *k = *p;
            if (stopping && !k->close_sent) {
                k->close_sent = true;
                http.wslay_event_queue_close(k->ws, WSLAY_CODE_GOING_AWAY, NULL, 0);
            }
            serve(k, i < n ? fds[i].revents : 0);
            i++;
            if (!k->dead && !stopping) {
                p = &k->next;
                continue;
            }
            *p = k->next;
            end(s, k);
        }
        if (stopping && !s->fresh)
            return NULL;
    }
}

/* --- the handshake ----------------------------------------------------------------------------------------------------- */

static void on_upgrade(void *cls, struct MHD_Connection *conn, void *con_cls, const char *extra, size_t extra_len,
                       MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    static const struct wslay_event_callbacks calls = {
        .recv_callback = on_recv, .send_callback = on_send, .on_msg_recv_callback = on_message};
    struct sock *k = cls;
    struct sockets *s = k->all;
    struct exchange *x = con_cls;
    (void)conn;
    if (x)
        x->sock = NULL;
    k->fd = fd;
    k->handle = handle;
    k->heard_ms = now_ms();
    k->extra = extra_len ? mem_dup(extra, extra_len) : NULL;
    k->extra_len = k->extra ? extra_len : 0;
    bool ok = http.wslay_event_context_server_init(&k->ws, &calls, k) == 0;
    if (ok)
        http.wslay_event_config_set_max_recv_msg_length(k->ws, MESSAGE_MAX);
    else
        k->ws = NULL;
    if (!ok || live_watch_new(s->rest->o.live, k->key, INT64_MAX, told, k, &k->watch, NULL) < 0) {
        end(s, k);
        return;
    }
    if (k->first)
        queue_text(k, k->first);
    pthread_mutex_lock(&s->lock);
    k->next = s->fresh;
    s->fresh = k;
    pthread_mutex_unlock(&s->lock);
    wake(s);
}

static int check_handshake(struct exchange *x, struct err *err)
{
    const char *upgrade = request_header(x, "Upgrade"), *version = request_header(x, "Sec-WebSocket-Version");
    const char *key = request_header(x, "Sec-WebSocket-Key"), *connection = request_header(x, "Connection");
    if (!upgrade || strcasecmp(upgrade, "websocket") != 0 || !connection || !strcasestr(connection, "upgrade")) {
        x->error_status = 426;
        x->error_type = "UpgradeRequired";
        strcpy(x->answer.header[0], "Upgrade");
        strcpy(x->answer.header[1], "websocket");
        return err_set(err, ERR_USAGE, "this speaks WebSocket alone");
    }
    if (version && strcmp(version, "13") != 0) {
        x->error_status = 426;
        x->error_type = "UpgradeRequired";
        strcpy(x->answer.header[0], "Sec-WebSocket-Version");
        strcpy(x->answer.header[1], "13");
        return err_set(err, ERR_USAGE, "version 13 of WebSocket is spoken here");
    }
    x->error_status = 400;
    if (!version || !key || strlen(key) != 24)
        return err_set(err, ERR_USAGE, "the WebSocket handshake is malformed");
    x->error_status = 0;
    return 0;
}

/* What the client is told first. */
static char *first_message(struct exchange *x, const struct run_info *run, struct err *err)
{
    _cleanup_free_ char *last = NULL;
    if (live_stats(x->rest->o.live, exchange_key(x, run->run_id), &last, err) < 0)
        return NULL;
    _cleanup_json_ json_t *stats = fuzzing_stats_of(run->run_id, run->workflow, last);
    _cleanup_free_ char *text = stats ? json_dumps(stats, JSON_COMPACT) : NULL;
    return text ? mem_printf("{\"type\":\"stats_update\",\"data\":%s}", text) : NULL;
}

static int new_sock(struct exchange *x, const struct run_info *run, struct sock **ret, struct err *err)
{
    struct sockets *s = x->rest->sockets;
    struct sock *k = mem_zalloc(sizeof *k);
    int r = k ? watchers_enter(x->rest, x->caller.name_space, err) : err_nomem(err);
    if (r < 0) {
        free(k);
        return r;
    }
    snprintf(k->name_space, sizeof k->name_space, "%s", x->caller.name_space);
    k->all = s;
    k->run_id = mem_strdup(run->run_id);
    k->workflow = mem_strdup(run->workflow);
    k->key = mem_strdup(exchange_key(x, run->run_id));
    k->first = first_message(x, run, err);
    r = pass_take(x, &k->pass, err);
    pthread_mutex_lock(&s->lock);
    bool full = s->count >= SOCKETS_MAX || s->stopping, made = r == 0 && k->run_id && k->workflow && k->first && k->key;
    s->count += !full && made;
    pthread_mutex_unlock(&s->lock);
    if (!full && made) {
        *ret = k;
        return 0;
    }
    watchers_leave(x->rest, k->name_space);
    free_sock(k);
    return full ? err_set(err, ERR_BUSY, "too many sockets") : err_nomem(err);
}

int do_fuzzing_live(struct exchange *x, struct err *err)
{
    struct run_info run;
    struct sock *k = NULL;
    char accept[HANDSHAKE_ACCEPT_MAX];
    int r = check_handshake(x, err);
    if (r == 0)
        r = exchange_run(x, &run, err);
    if (r < 0)
        return r;
    r = handshake_accept(request_header(x, "Sec-WebSocket-Key"), accept) ? 0 : err_nomem(err);
    if (r == 0)
        r = new_sock(x, &run, &k, err);
    if (r == 0) {
        live_follow(x->rest->o.live, exchange_key(x, run.run_id));
        x->answer.ready = http.MHD_create_response_for_upgrade(on_upgrade, k);
        r = x->answer.ready ? 0 : err_nomem(err);
    }
    run_info_release(&run);
    x->sock = k;
    if (r < 0)
        return r;
    x->answer.status = 101;
    http.MHD_add_response_header(x->answer.ready, "Upgrade", "websocket");
    http.MHD_add_response_header(x->answer.ready, "Sec-WebSocket-Accept", accept);
    return 0;
}

/* --- start and stop ------------------------------------------------------------------------------------------------------- */

int sockets_new(struct rest *r, struct sockets **ret, struct err *err)
{
    struct sockets *s = mem_zalloc(sizeof *s);
    pthread_attr_t a;
    if (!s)
        return err_nomem(err);
    s->rest = r;
    pthread_mutex_init(&s->lock, NULL);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int e = s->wake_fd < 0 ? errno : 0;
    if (!e) {
        pthread_attr_init(&a);
        pthread_attr_setstacksize(&a, (size_t)256 << 10);
        e = pthread_create(&s->thread, &a, run_sockets, s);
        pthread_attr_destroy(&a);
        s->started = e == 0;
    }
    *ret = s;
    return e ? err_sys(err, e, "start a thread") : 0;
}

void sockets_free(struct sockets *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_mutex_unlock(&s->lock);
    wake(s);
    if (s->started)
        pthread_join(s->thread, NULL);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
