#include "api/client/bridge.h"

#include "api/client/client_internal.h"
#include "api/client/sse.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/lines.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MESSAGE_MAX ((size_t)4 << 20) /* as the server takes them */
#define ANSWER_MAX ((size_t)32 << 20)
#define CALLS_MAX 16   /* as many as the server works on in a session */
#define LEAVE_S 30     /* for the answers of what is brief, when the agent has left */
#define META "io.modelcontextprotocol/protocolVersion"
#define SERVER_ERROR (-32000)
#define INVALID_REQUEST (-32600)

struct call;

struct bridge {
    struct client *client; /* for those that are sent one after the other; others have their own */
    int out;
    pthread_mutex_t lock; /* out, session, version, calls */
    pthread_mutex_t renewing;
    json_t *initialize; /* the agent's message; NULL: none yet */
    pthread_cond_t cond;
    struct call *calls; /* those in threads of their own */
    int running, brief; /* how many; those of them that do not wait for a run */
    char session[256], version[64];
    atomic_bool stop; /* leave what is under way */
};

/* One message, and what comes for it. */
struct call {
    struct call *next, **here;
    struct bridge *b;
    struct client *client;
    json_t *message;
    const char *method;
    struct sse sse;
    struct strbuf text;
    bool stream;
    bool alone; /* since 2026-07-28: to be cancelled is to be left */
    atomic_bool cancelled;
    bool brief;
    bool quiet;        /* the agent knows nothing of it */
    char sent[256];    /* the session that it was sent in */
    char session[256]; /* that the answer names */
};

/* --- to the agent ---------------------------------------------------------------------------------------------------- */

static void say(struct bridge *b, const json_t *j)
{
    _cleanup_free_ char *text = json_dumps(j, JSON_COMPACT);
    size_t n = text ? strlen(text) : 0;
    pthread_mutex_lock(&b->lock);
    if (!text || (text[n] = '\n', os_write_full(b->out, text, n + 1, NULL) < 0))
        atomic_store(&b->stop, true);
    pthread_mutex_unlock(&b->lock);
}

static void say_error(struct bridge *b, const json_t *id, int code, const char *message, const char *hint)
{
    _cleanup_json_ json_t *text = *hint ? json_sprintf("%s (%s)", message, hint) : json_string(message);
    _cleanup_json_ json_t *j = json_pack("{s:s, s:O?, s:{s:i, s:O}}", "jsonrpc", "2.0", "id", id, "error", "code", code,
                                         "message", text);
    if (j && !id)
        json_object_set_new(j, "id", json_null());
    if (j)
        say(b, j);
}

static void say_text(struct call *k, const char *text, size_t len)
{
    _cleanup_json_ json_t *j = NULL;
    if (json_parse(text, len, ANSWER_MAX, &j, NULL) < 0)
        return;
    const char *version = json_str(json_object_get(j, "result"), "protocolVersion", NULL);
    pthread_mutex_lock(&k->b->lock);
    if (version && strcmp(k->method, "initialize") == 0)
        snprintf(k->b->version, sizeof k->b->version, "%s", version);
    pthread_mutex_unlock(&k->b->lock);
    if (!k->quiet)
        say(k->b, j);
}

/* --- from the server --------------------------------------------------------------------------------------------------- */

static int on_event(void *arg, const struct sse_event *e, struct err *err)
{
    (void)err;
    say_text(arg, e->data, e->len);
    return 0;
}

static int take(void *arg, const void *data, size_t len, struct err *err)
{
    struct call *k = arg;
    if (k->stream)
        return sse_feed(&k->sse, data, len, err);
    strbuf_append(&k->text, data, len);
    return strbuf_check(&k->text, err);
}

static bool value_of(const char *line, const char *name, char *ret, size_t size)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return false;
    line += n + 1;
    line += strspn(line, " \t");
    snprintf(ret, size, "%.*s", (int)strcspn(line, "\r\n"), line);
    return true;
}

static void on_header(void *arg, const char *line)
{
    struct call *k = arg;
    char type[64] = "";
    value_of(line, "Mcp-Session-Id", k->session, sizeof k->session);
    if (value_of(line, "Content-Type", type, sizeof type))
        k->stream = strncasecmp(type, "text/event-stream", 17) == 0;
}

static bool stop(void *arg)
{
    struct call *k = arg;
    return atomic_load(&k->b->stop) || atomic_load(&k->cancelled);
}

/* --- to the server ----------------------------------------------------------------------------------------------------- */

static char *header(const char *name, const char *value)
{
    bool plain = true;
    for (const char *p = value; *p; p++)
        plain = plain && *p >= ' ' && *p < 0x7f;
    if (plain)
        return mem_printf("%s: %s", name, value);
    _cleanup_json_ json_t *j = json_base64(value, strlen(value));
    return j ? mem_printf("%s: =?base64?%s?=", name, json_string_value(j)) : NULL;
}

/* What a message that stands alone (since 2026-07-28) says, its headers repeat; before, there is a session. */
static void make_headers(struct call *k, char *ret[4])
{
    const json_t *params = json_object_get(k->message, "params");
    const char *version = json_str(json_object_get(params, "_meta"), META, NULL);
    const char *name = json_str(params, strcmp(k->method, "resources/read") == 0 ? "uri" : "name", NULL);
    if (version) {
        ret[0] = header("MCP-Protocol-Version", version);
        ret[1] = header("Mcp-Method", k->method);
        ret[2] = name ? header("Mcp-Name", name) : NULL;
        return;
    }
    pthread_mutex_lock(&k->b->lock);
    snprintf(k->sent, sizeof k->sent, "%s", strcmp(k->method, "initialize") == 0 ? "" : k->b->session);
    ret[0] = k->sent[0] ? header("Mcp-Session-Id", k->sent) : NULL;
    ret[1] = ret[0] && k->b->version[0] ? header("MCP-Protocol-Version", k->b->version) : NULL;
    pthread_mutex_unlock(&k->b->lock);
}

/* An answer that is none of MCP's. */
static void tell_failure(struct call *k, const struct transfer *t, const struct err *err)
{
    const json_t *id = json_object_get(k->message, "id");
    _cleanup_json_ json_t *j = NULL;
    if (!id || k->quiet) /* a notification: nobody waits */
        return;
    if (t->text && json_parse(t->text, t->len, ANSWER_MAX, &j, NULL) == 0 && json_object_get(j, "jsonrpc")) {
        json_object_set(j, "id", (json_t *)(uintptr_t)id);
        say(k->b, j);
        return;
    }
    say_error(k->b, id, SERVER_ERROR, err->msg, err->hint);
}

static int attempt(struct call *k, const struct client_call *q, struct transfer *t, struct err *err)
{
    char *headers[4] = {NULL};
    *t = (struct transfer){.call = q, .accept = "application/json, text/event-stream", .headers = headers, .on_header = on_header,
                           .header_arg = k, .stop = stop, .stop_arg = k};
    make_headers(k, headers);
    int r = client_transfer(k->client, t, err);
    if (r == 0 && !t->stopped)
        r = client_judge(k->client, t, err);
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        free(headers[i]);
    pthread_mutex_lock(&k->b->lock);
    if (r == 0 && k->session[0])
        snprintf(k->b->session, sizeof k->b->session, "%s", k->session);
    pthread_mutex_unlock(&k->b->lock);
    return r;
}

static bool session_is(struct bridge *b, const char *id)
{
    pthread_mutex_lock(&b->lock);
    bool same = strcmp(b->session, id) == 0;
    pthread_mutex_unlock(&b->lock);
    return same;
}

static bool renew(struct call *k);

static void run_call(struct call *k)
{
    struct err err = {0};
    struct client_call q = {.method = "POST", .path = "/mcp", .body = k->message, .take = take, .arg = k, .lasts = true,
                            .max = ANSWER_MAX};
    struct transfer t;
    sse_init(&k->sse, on_event, k);
    k->sse.line.max = k->sse.data.max = k->text.max = ANSWER_MAX;
    int r = attempt(k, &q, &t, &err);
    if (r < 0 && t.status == 404 && k->sent[0] && !k->quiet && renew(k)) {
        transfer_release(&t);
        err_clear(&err);
        r = attempt(k, &q, &t, &err);
    }
    if (r == 0 && k->text.len)
        say_text(k, strbuf_str(&k->text), k->text.len);
    else if (r < 0)
        tell_failure(k, &t, &err);
    transfer_release(&t);
    strbuf_release(&k->text);
    sse_release(&k->sse);
}

/* The server was started anew, or has forgotten the session: it gets another one, begun as the agent began. */
static bool renew(struct call *k)
{
    struct bridge *b = k->b;
    _cleanup_json_ json_t *notice = json_pack("{s:s, s:s}", "jsonrpc", "2.0", "method", "notifications/initialized");
    struct call first = {.b = b, .client = k->client, .message = b->initialize, .method = "initialize", .quiet = true};
    struct call second = {.b = b, .client = k->client, .message = notice, .method = "notifications/initialized", .quiet = true};
    pthread_mutex_lock(&b->renewing);
    bool lost = session_is(b, k->sent);
    if (lost && b->initialize && notice)
        run_call(&first);
    bool renewed = !session_is(b, k->sent);
    if (lost && renewed)
        run_call(&second);
    pthread_mutex_unlock(&b->renewing);
    return renewed;
}

static void begin_call(struct call *k)
{
    struct bridge *b = k->b;
    k->next = b->calls;
    k->here = &b->calls;
    if (k->next)
        k->next->here = &k->next;
    b->calls = k;
    b->running++;
    b->brief += k->brief;
}

static void end_call(struct call *k)
{
    struct bridge *b = k->b;
    client_free(k->client);
    pthread_mutex_lock(&b->lock);
    *k->here = k->next;
    if (k->next)
        k->next->here = k->here;
    json_decref(k->message);
    b->running--;
    b->brief -= k->brief;
    free(k);
    pthread_cond_signal(&b->cond);
    pthread_mutex_unlock(&b->lock);
}

static void *work(void *arg)
{
    struct call *k = arg;
    run_call(k);
    end_call(k);
    return NULL;
}

/* In a thread of its own, so that a cancellation is heard meanwhile. False: it cannot be had. */
static bool start(struct bridge *b, json_t *message, const char *method)
{
    pthread_t t;
    struct call *k = mem_zalloc(sizeof *k);
    const json_t *params = json_object_get(message, "params");
    if (!k)
        return false;
    *k = (struct call){.b = b, .message = json_incref(message), .method = method,
                       .alone = json_str(json_object_get(params, "_meta"), META, NULL) != NULL,
                       .brief = !json_flag(json_object_get(params, "arguments"), "wait", false)};
    pthread_mutex_lock(&b->lock);
    bool ok = b->running < CALLS_MAX;
    begin_call(k);
    pthread_mutex_unlock(&b->lock);
    if (ok && client_again(b->client, &k->client, NULL) == 0 && pthread_create(&t, NULL, work, k) == 0) {
        pthread_detach(t);
        return true;
    }
    end_call(k);
    return false;
}

/* A call that stands alone is in no session that could be told of it. False: it is the server's to hear. */
static bool cancel(struct bridge *b, const json_t *notice)
{
    const json_t *id = json_object_get(json_object_get(notice, "params"), "requestId");
    bool found = false;
    pthread_mutex_lock(&b->lock);
    for (struct call *k = b->calls; k; k = k->next) {
        if (!k->alone || !json_equal(json_object_get(k->message, "id"), id))
            continue;
        atomic_store(&k->cancelled, true);
        found = true;
    }
    pthread_mutex_unlock(&b->lock);
    return found;
}

/* --- from the agent ---------------------------------------------------------------------------------------------------- */

static void message(void *arg, const char *text, size_t len)
{
    struct bridge *b = arg;
    _cleanup_json_ json_t *j = NULL;
    struct err err = {0};
    if (!text) {
        say_error(b, NULL, INVALID_REQUEST, "the message is too long", "");
        return;
    }
    if (json_parse(text, len, MESSAGE_MAX, &j, &err) < 0 || !json_is_object(j)) {
        say_error(b, NULL, json_is_object(j) || !j ? -32700 : INVALID_REQUEST, j ? "a message is an object" : err.msg, "");
        return;
    }
    const char *method = json_str(j, "method", "");
    bool lasts = json_object_get(j, "id") && *method && strcmp(method, "initialize") != 0;
    if ((lasts && start(b, j, method)) || (strcmp(method, "notifications/cancelled") == 0 && cancel(b, j)))
        return;
    if (strcmp(method, "initialize") == 0) {
        json_decref(b->initialize);
        b->initialize = json_incref(j);
    }
    struct call k = {.b = b, .client = b->client, .message = j, .method = method};
    run_call(&k);
}

/* What is brief is still answered. */
static void leave(struct bridge *b)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LEAVE_S;
    pthread_mutex_lock(&b->lock);
    while (b->brief && !atomic_load(&b->stop) && pthread_cond_timedwait(&b->cond, &b->lock, &until) == 0)
        ;
    atomic_store(&b->stop, true);
    while (b->running)
        pthread_cond_wait(&b->cond, &b->lock);
    pthread_mutex_unlock(&b->lock);
    char *headers[2] = {b->session[0] ? header("Mcp-Session-Id", b->session) : NULL, NULL};
    struct client_call q = {.method = "DELETE", .path = "/mcp"};
    struct transfer t = {.call = &q, .headers = headers};
    struct err none = {0};
    if (headers[0])
        (void)client_transfer(b->client, &t, &none);
    transfer_release(&t);
    free(headers[0]);
}

int client_mcp_bridge(struct client *c, int in, int out, int stop_fd, struct err *err)
{
    struct bridge b = {.client = c, .out = out};
    const struct os_lines lines = {.max = MESSAGE_MAX, .line = message, .arg = &b, .stop = &b.stop, .stop_fd = stop_fd};
    pthread_mutex_init(&b.lock, NULL);
    pthread_mutex_init(&b.renewing, NULL);
    pthread_cond_init(&b.cond, NULL);
    int r = os_read_lines(in, &lines, err);
    leave(&b);
    pthread_cond_destroy(&b.cond);
    pthread_mutex_destroy(&b.lock);
    pthread_mutex_destroy(&b.renewing);
    json_decref(b.initialize);
    return r;
}
