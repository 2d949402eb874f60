/* Sessions, and the calls that are under way in them. */
#include "api/mcp/mcp_internal.h"

#include "base/mem.h"
#include "codec/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_LOG_LEVEL 5 /* notice */
#define TTL_MS 0            /* another process may change anything at any time */

static const char *const versions[] = {MCP_LATEST_MODERN, MCP_LATEST, "2025-06-18"};

bool mcp_version_known(const char *version)
{
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        if (strcmp(versions[i], version) == 0)
            return true;
    return false;
}

bool mcp_version_modern(const char *version)
{
    return strcmp(version, MCP_LATEST_MODERN) == 0;
}

json_t *mcp_versions(void)
{
    json_t *j = json_array();
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        json_array_append_new(j, json_string(versions[i]));
    return j;
}

int mcp_new(const struct mcp_options *o, struct mcp **ret, struct err *err)
{
    struct mcp *m = mem_zalloc(sizeof *m);
    if (!m)
        return err_nomem(err);
    m->o = *o;
    int r = tools_load(&m->tools, err);
    if (r < 0) {
        mcp_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

void mcp_free(struct mcp *m)
{
    if (!m)
        return;
    json_decref(m->tools);
    free(m);
}

int mcp_session_new(struct mcp *m, const struct mcp_session_options *o, struct mcp_session **ret, struct err *err)
{
    struct mcp_session *s = mem_zalloc(sizeof *s);
    if (!s)
        return err_nomem(err);
    s->mcp = m;
    s->caller = o->caller;
    s->local = o->local;
    s->log_level = DEFAULT_LOG_LEVEL;
    if (m->o.service)
        s->service = *m->o.service;
    if (strcmp(s->caller.name_space, ACCESS_ALL) != 0)
        s->service.name_space = s->caller.name_space;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->cond, NULL);
    if (o->peer && !(s->peer = mem_strdup(o->peer))) {
        mcp_session_free(s);
        return err_nomem(err);
    }
    *ret = s;
    return 0;
}

void mcp_session_leave(struct mcp_session *s)
{
    atomic_store(&s->closing, true);
    mcp_session_cancel_all(s);
}

void mcp_session_cancel_all(struct mcp_session *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct mcp_call *c = s->calls; c; c = c->next)
        atomic_store(&c->cancelled, true);
    pthread_mutex_unlock(&s->lock);
}

void mcp_session_free(struct mcp_session *s)
{
    if (!s)
        return;
    mcp_session_leave(s);
    pthread_mutex_lock(&s->lock);
    while (s->calls)
        pthread_cond_wait(&s->cond, &s->lock);
    pthread_mutex_unlock(&s->lock);
    pthread_cond_destroy(&s->cond);
    pthread_mutex_destroy(&s->lock);
    free(s->peer);
    free(s);
}

/* --- calls -------------------------------------------------------------------------------------------------------------- */

static void send(struct mcp_call *c, json_t *message)
{
    if (message)
        c->sink.send(c->sink.arg, message);
    json_decref(message);
}

/* Under the lock. */
static struct mcp_call *find(struct mcp_session *s, const json_t *id)
{
    for (struct mcp_call *c = s->calls; c; c = c->next)
        if (json_equal(c->m.id, id))
            return c;
    return NULL;
}

static void notified(struct mcp_session *s, const struct mcp_message *m)
{
    if (m->kind != MCP_NOTIFICATION || strcmp(m->method, "notifications/cancelled") != 0)
        return;
    const json_t *id = json_object_get(m->params, "requestId");
    pthread_mutex_lock(&s->lock);
    struct mcp_call *c = id ? find(s, id) : NULL;
    if (c && strcmp(c->m.method, "initialize") != 0)
        atomic_store(&c->cancelled, true);
    pthread_mutex_unlock(&s->lock);
}

/* What is wrong with a request before anything is done for it; NULL: nothing. */
static json_t *refuse(struct mcp_call *c)
{
    const json_t *version = json_object_get(c->m.meta, META_PROTOCOL);
    const char *text = json_string_value(version);
    c->modern = version && strcmp(c->m.method, "initialize") != 0;
    if (c->modern && (!text || !json_is_object(json_object_get(c->m.meta, META_CAPABILITIES))))
        return mcp_error(c->m.id, MCP_INVALID_PARAMS, "params._meta needs " META_PROTOCOL " and " META_CAPABILITIES, NULL);
    if (c->modern && !mcp_version_modern(text))
        return mcp_error(c->m.id, MCP_UNSUPPORTED_VERSION, "Unsupported protocol version",
                         json_pack("{s:o, s:s}", "supported", mcp_versions(), "requested", text));
    if (!c->method || c->method->era == (c->modern ? METHOD_HANDSHAKE : METHOD_MODERN))
        return mcp_error(c->m.id, MCP_METHOD_NOT_FOUND, "Method not found", json_pack("{s:s}", "method", c->m.method));
    if (!c->modern && !c->s->version[0] && !c->method->early)
        return mcp_error(c->m.id, MCP_INVALID_REQUEST, "initialize comes first", NULL);
    if (find(c->s, c->m.id))
        return mcp_error(c->m.id, MCP_INVALID_REQUEST, "a request with this id is being worked on", NULL);
    if (c->s->count >= MCP_CALLS_MAX && c->method->slow)
        return mcp_error(c->m.id, MCP_INTERNAL_ERROR, "too many requests at a time", NULL);
    return NULL;
}

static void read_meta(struct mcp_call *c)
{
    const json_t *token = json_object_get(c->m.meta, "progressToken");
    const char *level = json_str(c->m.meta, META_LOG_LEVEL, "");
    c->progress_token = json_is_string(token) || json_is_integer(token) ? token : NULL;
    c->log_level = c->modern ? mcp_log_level(level) : c->s->log_level;
}

struct mcp_call *mcp_call_new(struct mcp_session *s, struct mcp_message *m, const struct mcp_sink *sink)
{
    if (m->kind != MCP_REQUEST) {
        notified(s, m);
        mcp_message_release(m);
        return NULL;
    }
    struct mcp_call *c = mem_zalloc(sizeof *c);
    if (!c) {
        mcp_message_release(m);
        return NULL;
    }
    c->s = s;
    c->m = *m;
    *m = (struct mcp_message){0};
    c->sink = *sink;
    c->method = method_find(c->m.method);
    pthread_mutex_lock(&s->lock);
    json_t *error = refuse(c);
    if (!error) {
        read_meta(c);
        c->next = s->calls;
        s->calls = c;
        s->count++;
    }
    pthread_mutex_unlock(&s->lock);
    if (!error)
        return c;
    send(c, error);
    mcp_message_release(&c->m);
    free(c);
    return NULL;
}

bool mcp_call_slow(const struct mcp_call *c)
{
    return c->method->slow;
}

static void finished(struct mcp_call *c)
{
    struct mcp_session *s = c->s;
    pthread_mutex_lock(&s->lock);
    struct mcp_call **p = &s->calls;
    while (*p != c)
        p = &(*p)->next;
    *p = c->next;
    s->count--;
    pthread_cond_broadcast(&s->cond);
    pthread_mutex_unlock(&s->lock);
    mcp_message_release(&c->m);
    free(c);
}

/* What 2026-07-28 wants in each result. */
static void complete(struct mcp_call *c, json_t *result)
{
    json_t *meta = json_object_get(result, "_meta");
    if (!c->modern)
        return;
    json_object_set_new(result, "resultType", json_string("complete"));
    if (!meta && (meta = json_object()))
        json_object_set_new(result, "_meta", meta);
    json_object_set_new(meta, META_SERVER, json_pack("{s:s, s:s}", "name", "fuzzforge", "version", c->s->mcp->o.version));
    if (c->method->cacheable) {
        json_object_set_new(result, "ttlMs", json_integer(TTL_MS));
        json_object_set_new(result, "cacheScope", json_string("private"));
    }
}

bool mcp_call_run(struct mcp_call *c)
{
    struct mcp_failure f = {0};
    json_t *result = c->method->handle(c, &f);
    bool answered = !atomic_load(&c->cancelled);
    if (result)
        complete(c, result);
    json_t *answer = result ? mcp_answer(c->m.id, result) : mcp_error(c->m.id, f.code ? f.code : MCP_INTERNAL_ERROR, f.text,
                                                                      f.data);
    struct mcp_sink sink = c->sink;
    if (!answered) {
        json_decref(answer);
        answer = NULL;
    }
    finished(c); /* its id is free before its answer is there */
    if (answer)
        sink.send(sink.arg, answer);
    json_decref(answer);
    return answered;
}

json_t *mcp_fail(struct mcp_failure *f, int code, const char *fmt, ...)
{
    va_list ap;
    f->code = code;
    va_start(ap, fmt);
    vsnprintf(f->text, sizeof f->text, fmt, ap);
    va_end(ap);
    return NULL;
}

json_t *mcp_fail_err(struct mcp_failure *f, const struct err *err)
{
    bool asked_wrong = err->code == ERR_INVALID || err->code == ERR_USAGE;
    return mcp_fail(f, asked_wrong ? MCP_INVALID_PARAMS : MCP_INTERNAL_ERROR, "%s", err->msg[0] ? err->msg
                    : err_text(err->code));
}

/* --- what a call tells on its way ----------------------------------------------------------------------------------------- */

void mcp_progress(struct mcp_call *c, double total, const char *text)
{
    if (!c->progress_token || atomic_load(&c->cancelled))
        return;
    c->progress += 1;
    json_t *p = json_pack("{s:O, s:f}", "progressToken", c->progress_token, "progress", c->progress);
    if (total > 0)
        json_object_set_new(p, "total", json_real(total));
    if (text)
        json_object_set_new(p, "message", json_clean_string(text));
    send(c, p ? mcp_notification("notifications/progress", p) : NULL);
}

static const char *const levels[] = {"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"};

int mcp_log_level(const char *name)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcmp(levels[i], name) == 0)
            return (int)i;
    return -1;
}

void mcp_log(struct mcp_call *c, int level, const char *fmt, ...)
{
    char text[ERR_MSG_MAX];
    va_list ap;
    if (level > c->log_level || atomic_load(&c->cancelled))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    send(c, mcp_notification("notifications/message",
                             json_pack("{s:s, s:s, s:o}", "level", levels[level], "logger", "fuzzforge", "data",
                                       json_clean_string(text))));
}
