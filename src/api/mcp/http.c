#include "api/mcp/http.h"

#include "api/mcp/replay.h"
#include "api/rest/feed.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FEED_MAX ((size_t)32 << 20)
#define ID_BYTES 24
#define SESSION_HEADER "Mcp-Session-Id"
#define VERSION_HEADER "MCP-Protocol-Version"
#define STREAM_STACK ((size_t)1 << 20)

/* One client's. Freed when the table and all calls have let it go. */
struct http_session {
    char id[2 * ID_BYTES + 1];
    struct rest_caller caller;
    struct mcp_session *s;
    struct replay *replay;
    int refs;
    int64_t used_ms;
    struct rest_feed *listening; /* of a GET; NULL: none */
};

struct post;

struct mcp_http {
    struct mcp *mcp;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct map sessions; /* by id */
    struct post *posts; /* under way */
    int streams;
    bool stopping;
};

/* --- sessions ------------------------------------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    return os_mono_ns() / NS_PER_MS;
}

static void end_listening(struct http_session *hs)
{
    if (hs->listening)
        rest_feed_end(TAKE_PTR(hs->listening));
}

/* Under the lock. */
static void unref(struct http_session *hs)
{
    if (--hs->refs)
        return;
    end_listening(hs);
    mcp_session_free(hs->s);
    replay_free(hs->replay);
    free(hs);
}

static bool same_caller(const struct rest_caller *a, const struct rest_caller *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->name_space, b->name_space) == 0 && a->role == b->role;
}

/* Whoever sees all namespaces as an admin is the owner of this machine's files; others are not. */
static int new_mcp_session(struct mcp_http *h, const struct rest_mount_request *q, struct mcp_session **ret, struct err *err)
{
    const struct rest_caller *c = q->caller;
    struct mcp_session_options o = {.peer = q->peer, .local = c->role == REST_ADMIN && !c->name_space[0]};
    snprintf(o.caller.id, sizeof o.caller.id, "%.*s", ACCESS_ID_LEN, c->id);
    snprintf(o.caller.name, sizeof o.caller.name, "%.*s", ACCESS_NAME_MAX, c->name);
    snprintf(o.caller.name_space, sizeof o.caller.name_space, "%.*s", ACCESS_NAME_MAX, c->name_space[0] ? c->name_space
             : ACCESS_ALL);
    o.caller.role = c->role == REST_ADMIN ? ACCESS_ADMIN : c->role == REST_OPERATOR ? ACCESS_OPERATOR : ACCESS_VIEWER;
    return mcp_session_new(h->mcp, &o, ret, err);
}

static bool is_used(const struct http_session *hs)
{
    return hs->refs != 1 || hs->listening;
}

static void drop_session(struct mcp_http *h, struct http_session *hs)
{
    map_remove(&h->sessions, hs->id);
    unref(hs);
}

/* Under the lock: those that were not used for long go, and the oldest when there are too many; of the caller's own namespace
 * when that has too many. */
static int make_room(struct mcp_http *h, const char *name_space, struct err *err)
{
    struct http_session *oldest[2] = {NULL}; /* of all, of its own */
    size_t own = 0;
    MAP_EACH(&h->sessions, e) {
        struct http_session *hs = e->value;
        bool same = strcmp(hs->caller.name_space, name_space) == 0;
        own += same;
        for (int i = 0; i <= same; i++)
            if (!is_used(hs) && (!oldest[i] || hs->used_ms < oldest[i]->used_ms))
                oldest[i] = hs;
    }
    bool shared = !*name_space || own < MCP_SESSIONS_SHARE, full = h->sessions.len >= MCP_SESSIONS_MAX || !shared;
    struct http_session *goes = oldest[!shared];
    if (goes && (full || now_ms() - goes->used_ms > MCP_SESSION_IDLE_MS)) {
        drop_session(h, goes);
        full = false;
    }
    return full ? err_set(err, ERR_QUOTA, "there are %zu sessions, all in use", shared ? h->sessions.len : own) : 0;
}

static int begin_session(struct mcp_http *h, const struct rest_mount_request *q, struct http_session **ret, struct err *err)
{
    unsigned char bits[ID_BYTES];
    struct http_session *hs = mem_zalloc(sizeof *hs);
    if (!hs)
        return err_nomem(err);
    int r = new_mcp_session(h, q, &hs->s, err);
    hs->replay = replay_new();
    if (r == 0 && !hs->replay)
        r = err_nomem(err);
    os_random(bits, sizeof bits);
    for (size_t i = 0; i < sizeof bits; i++)
        snprintf(hs->id + 2 * i, 3, "%02x", bits[i]);
    hs->caller = *q->caller;
    hs->refs = 1;
    hs->used_ms = now_ms();
    pthread_mutex_lock(&h->lock);
    if (r == 0)
        r = make_room(h, hs->caller.name_space, err);
    if (r == 0 && !map_set(&h->sessions, hs->id, hs))
        r = err_nomem(err);
    if (r == 0)
        hs->refs++;
    else
        unref(hs);
    pthread_mutex_unlock(&h->lock);
    if (r == 0)
        *ret = hs;
    return r;
}

/* The session that the request names, for its caller alone. */
static struct http_session *find_session(struct mcp_http *h, const struct rest_mount_request *q, const char *id)
{
    pthread_mutex_lock(&h->lock);
    struct http_session *hs = map_get(&h->sessions, id);
    if (hs && !same_caller(&hs->caller, q->caller))
        hs = NULL;
    if (hs) {
        hs->refs++;
        hs->used_ms = now_ms();
    }
    pthread_mutex_unlock(&h->lock);
    return hs;
}

static void let_go(struct mcp_http *h, struct http_session *hs)
{
    pthread_mutex_lock(&h->lock);
    unref(hs);
    pthread_mutex_unlock(&h->lock);
}

/* --- answers -------------------------------------------------------------------------------------------------------------- */

static int answer_json(struct rest_mount_answer *a, int status, json_t *j, struct err *err)
{
    struct strbuf b = STRBUF_INIT;
    int r = j ? json_write(j, &b, err) : err_nomem(err);
    json_decref(j);
    a->status = status;
    a->type = "application/json";
    a->body_len = b.len;
    a->body = r == 0 ? strbuf_take(&b, NULL) : NULL;
    strbuf_release(&b);
    return r == 0 && !a->body ? err_nomem(err) : r;
}

static int answer_error(struct rest_mount_answer *a, int status, int code, const char *text, struct err *err)
{
    return answer_json(a, status, mcp_error(NULL, code, text, NULL), err);
}

static int answer_empty(struct rest_mount_answer *a, int status)
{
    a->status = status;
    return 0;
}

/* Since 2026-07-28 the status says what the error does. */
static int status_of(const json_t *answer, bool modern)
{
    switch (modern ? json_i64(json_object_get(answer, "error"), "code", 0) : 0) {
    case MCP_PARSE_ERROR:
    case MCP_INVALID_REQUEST:
    case MCP_INVALID_PARAMS:
    case MCP_HEADER_MISMATCH:
    case MCP_UNSUPPORTED_VERSION: return 400;
    case MCP_METHOD_NOT_FOUND: return 404;
    default: return 200;
    }
}

static bool accepts(const struct rest_mount_request *q, const char *type)
{
    const char *accept = q->header(q->arg, "Accept");
    char group[64];
    snprintf(group, sizeof group, "%.*s/*", (int)strcspn(type, "/"), type);
    return !accept || strstr(accept, type) || strstr(accept, group) || strstr(accept, "*/*");
}

/* --- calls ---------------------------------------------------------------------------------------------------------------- */

/* A call and what it belongs to: a session of the table, or one of its own. */
struct post {
    struct post *next, **here; /* of the table's */
    struct mcp_http *h;
    struct http_session *hs; /* NULL: own */
    struct mcp_session *own;
    struct mcp_call *call;
    struct rest_feed *feed; /* NULL: answer is kept; with a session the replay's */
    uint32_t stream;        /* number of it there; 0: none */
    json_t *answer;
    bool modern;
};

static void keep(void *arg, const json_t *message)
{
    struct post *p = arg;
    if (json_object_get(message, "method"))
        return;
    json_decref(p->answer);
    p->answer = json_incref((json_t *)(uintptr_t)message);
}

static void push(void *arg, const json_t *message)
{
    struct post *p = arg;
    struct strbuf b = STRBUF_INIT_MAX(FEED_MAX);
    if (!p->feed) { /* answered before a stream was begun */
        keep(arg, message);
        return;
    }
    if (!p->stream)
        strbuf_puts(&b, "event: message\ndata: ");
    if (json_write(message, &b, NULL) == 0 && p->stream) {
        replay_push(p->hs->replay, p->stream, strbuf_str(&b));
    } else if (!b.failed) {
        strbuf_puts(&b, "\n\n");
        rest_feed_push(p->feed, strbuf_str(&b), b.len);
    }
    strbuf_release(&b);
}

static void end_post(struct post *p)
{
    pthread_mutex_lock(&p->h->lock);
    *p->here = p->next;
    if (p->next)
        p->next->here = p->here;
    pthread_mutex_unlock(&p->h->lock);
    if (p->hs)
        let_go(p->h, p->hs);
    mcp_session_free(p->own);
    json_decref(p->answer);
}

static void begin_post(struct post *p)
{
    pthread_mutex_lock(&p->h->lock);
    p->next = p->h->posts;
    p->here = &p->h->posts;
    if (p->next)
        p->next->here = &p->next;
    p->h->posts = p;
    pthread_mutex_unlock(&p->h->lock);
}

static void gone(void *arg)
{
    mcp_session_cancel_all(arg);
}

static void *run_stream(void *arg)
{
    struct post *p = arg;
    struct mcp_http *h = p->h;
    if (p->own)
        rest_feed_on_gone(p->feed, gone, p->own); /* to end the stream is to cancel; with a session it is not */
    mcp_call_run(p->call);
    if (p->stream)
        replay_end(p->hs->replay, p->stream);
    else
        rest_feed_end(p->feed);
    end_post(p);
    free(p);
    pthread_mutex_lock(&h->lock);
    h->streams--;
    pthread_cond_broadcast(&h->cond);
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* Takes *from. False: it has to be done without a stream. */
static bool start_stream(struct post *from, struct rest_mount_answer *a)
{
    struct mcp_http *h = from->h;
    pthread_attr_t attr;
    pthread_t t;
    pthread_mutex_lock(&h->lock);
    bool ok = !h->stopping && h->streams < MCP_STREAMS_MAX;
    h->streams += ok;
    pthread_mutex_unlock(&h->lock);
    if (!ok)
        return false;
    from->feed = rest_feed_new(FEED_MAX);
    struct rest_feed *feed = from->feed;
    if (feed && from->hs)
        from->stream = replay_begin(from->hs->replay, feed);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STREAM_STACK);
    ok = feed && (!from->hs || from->stream) && pthread_create(&t, &attr, run_stream, from) == 0;
    pthread_attr_destroy(&attr);
    if (ok) {
        a->status = 200;
        a->type = "text/event-stream";
        a->feed = feed;
        return true;
    }
    pthread_mutex_lock(&h->lock);
    h->streams--;
    pthread_mutex_unlock(&h->lock);
    if (from->stream)
        replay_end(from->hs->replay, from->stream);
    else if (feed)
        rest_feed_end(feed);
    if (feed)
        feed_leave(feed);
    from->feed = NULL;
    from->stream = 0;
    return false;
}

/* p is on the heap, because a stream may outlive this. Takes it, and the message. */
static int work(struct post *p, struct mcp_message *m, const struct rest_mount_request *q, struct rest_mount_answer *a,
                struct err *err)
{
    bool wants = json_object_get(m->meta, "progressToken") ||
                 json_flag(json_object_get(m->params, "arguments"), "wait", false);
    const struct mcp_sink sink = {push, p};
    struct mcp_session *s = p->own ? p->own : p->hs->s;
    begin_post(p);
    p->call = mcp_call_new(s, m, &sink);
    if (p->call && wants && mcp_call_slow(p->call) && accepts(q, "text/event-stream") && start_stream(p, a))
        return 0;
    if (p->call)
        mcp_call_run(p->call);
    int r = p->answer ? answer_json(a, status_of(p->answer, p->modern), json_incref(p->answer), err) : answer_empty(a, 202);
    end_post(p);
    free(p);
    return r;
}

/* A header's value is the text itself, or, where that could not be one, "=?base64?...?=". */
static bool header_is(const char *header, const char *value)
{
    _cleanup_json_ json_t *encoded = json_base64(value, strlen(value));
    const char *text = encoded ? json_string_value(encoded) : "";
    size_t n = strlen(text);
    if (strcmp(header, value) == 0)
        return true;
    return strncmp(header, "=?base64?", 9) == 0 && strncmp(header + 9, text, n) == 0 && strcmp(header + 9 + n, "?=") == 0;
}

/* What a request's headers say must be what it says itself. */
static const char *mismatch(const struct mcp_message *m, const struct rest_mount_request *q)
{
    static const char *const named[][2] = {{"tools/call", "name"}, {"prompts/get", "name"}, {"resources/read", "uri"}};
    const char *version = q->header(q->arg, VERSION_HEADER), *method = q->header(q->arg, "Mcp-Method");
    const char *name = q->header(q->arg, "Mcp-Name");
    const char *own = json_str(m->meta, "io.modelcontextprotocol/protocolVersion", NULL);
    if (!version || !own || strcmp(version, own) != 0)
        return VERSION_HEADER " is not what the request says";
    if (!method || strcmp(method, m->method) != 0)
        return "Mcp-Method is not what the request says";
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        const char *value = strcmp(named[i][0], m->method) == 0 ? json_str(m->params, named[i][1], NULL) : NULL;
        if (value && (!name || !header_is(name, value)))
            return "Mcp-Name is not what the request says";
    }
    return NULL;
}

/* Since 2026-07-28. */
static int post_alone(struct mcp_http *h, struct mcp_message *m, const struct rest_mount_request *q,
                      struct rest_mount_answer *a,
                      struct err *err)
{
    const char *wrong = m->kind == MCP_REQUEST ? mismatch(m, q) : NULL;
    if (m->kind != MCP_REQUEST || wrong) {
        int r = wrong ? answer_json(a, 400, mcp_error(m->id, MCP_HEADER_MISMATCH, wrong, NULL), err) : answer_empty(a, 202);
        mcp_message_release(m);
        return r;
    }
    struct post *p = mem_zalloc(sizeof *p);
    int r = p ? new_mcp_session(h, q, &p->own, err) : err_nomem(err);
    if (r < 0) {
        free(p);
        mcp_message_release(m);
        return r;
    }
    p->h = h;
    p->modern = true;
    return work(p, m, q, a, err);
}

/* Up to 2025-11-25. */
static int post_session(struct mcp_http *h, struct mcp_message *m, const struct rest_mount_request *q,
                        struct rest_mount_answer *a,
                        struct err *err)
{
    const char *id = q->header(q->arg, SESSION_HEADER), *version = q->header(q->arg, VERSION_HEADER);
    bool first = m->kind == MCP_REQUEST && strcmp(m->method, "initialize") == 0;
    struct http_session *hs = NULL;
    int r = 0;
    if (!first && !id)
        r = answer_json(a, 400, mcp_error(m->id, MCP_INVALID_REQUEST, SESSION_HEADER " is missing: initialize comes first",
                                          NULL), err);
    else if (!first && version && (!mcp_version_known(version) || mcp_version_modern(version)))
        r = answer_json(a, 400, mcp_error(m->id, MCP_INVALID_REQUEST, VERSION_HEADER " is not one of this server's", NULL),
                        err);
    else if (first)
        r = begin_session(h, q, &hs, err);
    else if (!(hs = find_session(h, q, id)))
        r = answer_json(a, 404, mcp_error(m->id, MCP_INVALID_REQUEST, "there is no such session", NULL), err);
    struct post *p = r == 0 && hs ? mem_zalloc(sizeof *p) : NULL;
    if (!p) {
        if (hs)
            let_go(h, hs);
        mcp_message_release(m);
        return r < 0 || !hs ? r : err_nomem(err);
    }
    if (first) {
        snprintf(a->header[0], sizeof a->header[0], SESSION_HEADER);
        snprintf(a->header[1], sizeof a->header[1], "%s", hs->id);
    }
    p->h = h;
    p->hs = hs;
    return work(p, m, q, a, err);
}

static int post(struct mcp_http *h, const struct rest_mount_request *q, struct rest_mount_answer *a, struct err *err)
{
    struct mcp_message m;
    json_t *error;
    const char *type = q->header(q->arg, "Content-Type"), *version = q->header(q->arg, VERSION_HEADER);
    if (!type || strncasecmp(type, "application/json", 16) != 0)
        return answer_error(a, 415, MCP_INVALID_REQUEST, "the Content-Type is application/json", err);
    if (!accepts(q, "application/json"))
        return answer_error(a, 406, MCP_INVALID_REQUEST, "the answer is application/json or text/event-stream", err);
    if (mcp_message_parse(q->body, q->body_len, &m, &error) < 0)
        return answer_json(a, 400, error, err);
    bool alone = (version && mcp_version_modern(version)) ||
                 (!(m.method && strcmp(m.method, "initialize") == 0) &&
                  json_object_get(m.meta, "io.modelcontextprotocol/protocolVersion"));
    return alone ? post_alone(h, &m, q, a, err) : post_session(h, &m, q, a, err);
}

/* A stream that broke goes on, of a call that may have ended meanwhile. */
static int resume(struct mcp_http *h, struct http_session *hs, const char *event_id, struct rest_mount_answer *a, struct err *err)
{
    a->feed = replay_resume(hs->replay, event_id);
    let_go(h, hs);
    if (!a->feed)
        return answer_error(a, 400, MCP_INVALID_REQUEST, "what came after that event is not kept", err);
    a->status = 200;
    a->type = "text/event-stream";
    return 0;
}

/* A stream for what the server might say by itself. It says nothing today, but that the session has ended. */
static int listen_for(struct mcp_http *h, const struct rest_mount_request *q, struct rest_mount_answer *a, struct err *err)
{
    const char *id = q->header(q->arg, SESSION_HEADER), *last = q->header(q->arg, "Last-Event-ID");
    if (!accepts(q, "text/event-stream"))
        return answer_error(a, 406, MCP_INVALID_REQUEST, "the answer is text/event-stream", err);
    if (!id)
        return answer_error(a, 400, MCP_INVALID_REQUEST, SESSION_HEADER " is missing", err);
    struct http_session *hs = find_session(h, q, id);
    if (!hs)
        return answer_error(a, 404, MCP_INVALID_REQUEST, "there is no such session", err);
    if (last)
        return resume(h, hs, last, a, err);
    struct rest_feed *feed = rest_feed_new(FEED_MAX);
    pthread_mutex_lock(&h->lock);
    if (feed) {
        end_listening(hs); /* of an earlier one: a client has one */
        hs->listening = feed;
    }
    unref(hs);
    pthread_mutex_unlock(&h->lock);
    if (!feed)
        return err_nomem(err);
    a->status = 200;
    a->type = "text/event-stream";
    a->feed = feed;
    return 0;
}

static int end_session(struct mcp_http *h, const struct rest_mount_request *q, struct rest_mount_answer *a, struct err *err)
{
    const char *id = q->header(q->arg, SESSION_HEADER);
    struct http_session *hs = id ? find_session(h, q, id) : NULL;
    if (!hs)
        return answer_error(a, id ? 404 : 400, MCP_INVALID_REQUEST, "there is no such session", err);
    pthread_mutex_lock(&h->lock);
    if (map_remove(&h->sessions, id))
        unref(hs);
    end_listening(hs);
    unref(hs);
    pthread_mutex_unlock(&h->lock);
    return answer_empty(a, 204);
}

int mcp_http_handle(void *arg, const struct rest_mount_request *q, struct rest_mount_answer *a, struct err *err)
{
    struct mcp_http *h = arg;
    if (strcmp(q->method, "POST") == 0)
        return post(h, q, a, err);
    if (strcmp(q->method, "GET") == 0)
        return listen_for(h, q, a, err);
    return end_session(h, q, a, err);
}

/* --- begin and end -------------------------------------------------------------------------------------------------------- */

int mcp_http_new(struct mcp *m, struct mcp_http **ret, struct err *err)
{
    struct mcp_http *h = mem_zalloc(sizeof *h);
    if (!h)
        return err_nomem(err);
    h->mcp = m;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->cond, NULL);
    *ret = h;
    return 0;
}

void mcp_http_stop(struct mcp_http *h)
{
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    MAP_EACH(&h->sessions, e) {
        struct http_session *hs = e->value;
        end_listening(hs);
    }
    for (struct post *p = h->posts; p; p = p->next)
        mcp_session_leave(p->own ? p->own : p->hs->s);
    pthread_mutex_unlock(&h->lock);
}

void mcp_http_free(struct mcp_http *h)
{
    if (!h)
        return;
    mcp_http_stop(h);
    pthread_mutex_lock(&h->lock);
    while (h->streams)
        pthread_cond_wait(&h->cond, &h->lock);
    MAP_EACH(&h->sessions, e)
        unref(e->value);
    map_release(&h->sessions);
    pthread_mutex_unlock(&h->lock);
    pthread_cond_destroy(&h->cond);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
