/* One call: its dispatch, its waiting, its answer. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/pbx.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/match.h"
#include "engine/embedded/query.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum ns_rule { NS_REQUIRED, NS_OPTIONAL, NS_OWN };

/* What the engine does for each method. NS_OPTIONAL: a token names the namespace; NS_OWN: the
 * call is about namespaces. */
static const struct {
    void (*handle)(struct eng *, struct call *);
    enum ns_rule ns;
    bool poll;  /* refused once the engine drains */
    bool again; /* changes nothing of itself: tried once more when its batch failed for another's sake */
} methods[ENGINE_METHOD_COUNT_] = {
    [ENGINE_START_WORKFLOW] = {call_start, NS_REQUIRED, false, false},
    [ENGINE_SIGNAL_WORKFLOW] = {call_signal, NS_REQUIRED, false, false},
    [ENGINE_SIGNAL_WITH_START] = {call_signal_with_start, NS_REQUIRED, false, false},
    [ENGINE_REQUEST_CANCEL] = {call_request_cancel, NS_REQUIRED, false, false},
    [ENGINE_TERMINATE] = {call_terminate, NS_REQUIRED, false, false},
    [ENGINE_DELETE] = {call_delete, NS_REQUIRED, false, false},
    [ENGINE_DESCRIBE] = {call_describe, NS_REQUIRED, false, true},
    [ENGINE_LIST] = {call_list, NS_REQUIRED, false, true},
    [ENGINE_COUNT] = {call_count, NS_REQUIRED, false, true},
    [ENGINE_QUERY] = {call_query, NS_REQUIRED, false, false},
    [ENGINE_GET_HISTORY] = {call_get_history, NS_REQUIRED, false, true},
    [ENGINE_POLL_WORKFLOW_TASK] = {call_poll_workflow_task, NS_REQUIRED, true, true},
    [ENGINE_COMPLETE_WORKFLOW_TASK] = {call_complete_workflow_task, NS_OPTIONAL, false, false},
    [ENGINE_FAIL_WORKFLOW_TASK] = {call_fail_workflow_task, NS_OPTIONAL, false, false},
    [ENGINE_COMPLETE_QUERY] = {call_complete_query, NS_OPTIONAL, false, false},
    [ENGINE_RESET_STICKY] = {call_reset_sticky, NS_REQUIRED, false, false},
    [ENGINE_POLL_ACTIVITY_TASK] = {call_poll_activity_task, NS_REQUIRED, true, true},
    [ENGINE_HEARTBEAT] = {call_heartbeat, NS_OPTIONAL, false, false},
    [ENGINE_COMPLETE_ACTIVITY] = {call_complete_activity, NS_OPTIONAL, false, false},
    [ENGINE_FAIL_ACTIVITY] = {call_fail_activity, NS_OPTIONAL, false, false},
    [ENGINE_CANCEL_ACTIVITY] = {call_cancel_activity, NS_OPTIONAL, false, false},
    [ENGINE_DESCRIBE_TASK_QUEUE] = {call_describe_task_queue, NS_REQUIRED, false, true},
    [ENGINE_DESCRIBE_NAMESPACE] = {call_describe_namespace, NS_OWN, false, true},
    [ENGINE_REGISTER_NAMESPACE] = {call_register_namespace, NS_OWN, false, false},
    [ENGINE_LIST_NAMESPACES] = {call_list_namespaces, NS_OWN, false, true},
};

void str_set(struct eng *e, char **field, const char *value)
{
    char *copy = (char *)protobuf_c_empty_string;
    if (*value && !(copy = mem_strdup(value))) {
        eng_nomem(e);
        copy = (char *)protobuf_c_empty_string;
    }
    if (*field != protobuf_c_empty_string)
        free(*field);
    *field = copy;
}

void msg_set(struct eng *e, void *field, const void *message)
{
    ProtobufCMessage **p = field, *copy = NULL;
    if (message && pbx_dup(message, &copy, NULL) < 0)
        eng_nomem(e);
    if (*p)
        protobuf_c_message_free_unpacked(*p, NULL);
    *p = copy;
}

static void push_answer(struct eng *e, struct call *c)
{
    c->next = NULL;
    *e->answers_tail = c;
    e->answers_tail = &c->next;
}

void call_answer(struct eng *e, struct call *c, ProtobufCMessage *resp)
{
    if (!resp)
        eng_nomem(e);
    c->resp = resp;
    push_answer(e, c);
}

void call_fail_err(struct eng *e, struct call *c, const struct err *err)
{
    c->err = mem_dup(err, sizeof *err);
    if (!c->err)
        eng_nomem(e);
    push_answer(e, c);
}

void call_fail(struct eng *e, struct call *c, enum err_code code, const char *fmt, ...)
{
    struct err err = {0};
    char text[ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(&err, code, "%s", text);
    call_fail_err(e, c, &err);
}

ProtobufCMessage *call_new_response(const struct call *c)
{
    const ProtobufCMessageDescriptor *d = engine_method_info(c->method)->response;
    ProtobufCMessage *m = mem_alloc(d->sizeof_message);
    if (m)
        protobuf_c_message_init(d, m);
    return m;
}

void call_answer_empty(struct eng *e, struct call *c)
{
    call_answer(e, c, call_new_response(c));
}

void call_park(struct eng *e, struct call *c, int64_t def_ms)
{
    int64_t ms = c->timeout_ms > 0 ? c->timeout_ms : def_ms;
    ASSERT(!c->parked);
    c->parked = true;
    c->prev_parked = NULL;
    c->next_parked = e->parked_head;
    if (e->parked_head)
        e->parked_head->prev_parked = c;
    e->parked_head = c;
    if (!heap_set(&e->waits, &c->timer, e->mono_ns + ms * NS_PER_MS))
        eng_nomem(e);
}

void call_unpark(struct eng *e, struct call *c)
{
    ASSERT(c->parked);
    c->parked = false;
    heap_remove(&e->waits, &c->timer);
    if (c->prev_parked)
        c->prev_parked->next_parked = c->next_parked;
    else
        e->parked_head = c->next_parked;
    if (c->next_parked)
        c->next_parked->prev_parked = c->prev_parked;
    if (c->queue)
        match_unpark(e, c);
    else if (c->method == ENGINE_GET_HISTORY)
        history_drop(e, c);
}

void call_expire(struct eng *e, struct call *c)
{
    call_unpark(e, c);
    if (c->method == ENGINE_QUERY) {
        query_drop(e, c);
        call_fail(e, c, e->draining ? ERR_UNAVAILABLE : ERR_TIMEOUT, "%s",
                  e->draining ? "the engine is closing" : "no worker answered the query in time");
    } else if (c->method == ENGINE_GET_HISTORY) {
        history_answer_late(e, c);
    } else {
        call_answer_empty(e, c);
    }
}

/* The namespace by name; 0: there is none. */
static int64_t namespace_id(const struct eng *e, const char *name)
{
    VEC_EACH(&e->namespaces, n)
        if (strcmp(n->name, name) == 0)
            return n->id;
    return 0;
}

static bool resolve_namespace(struct eng *e, struct call *c)
{
    if (methods[c->method].ns == NS_OWN)
        return true;
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(c->req->descriptor, "namespace");
    ASSERT(f && f->type == PROTOBUF_C_TYPE_STRING);
    const char *name = *(char *const *)((const char *)c->req + f->offset);
    c->ns = *name ? namespace_id(e, name) : 0;
    if (c->ns || (!*name && methods[c->method].ns == NS_OPTIONAL))
        return true;
    if (*name)
        call_fail(e, c, ERR_NOT_FOUND, "Namespace %.200s is not found.", name);
    else
        call_fail(e, c, ERR_INVALID, "Namespace not set on request.");
    return false;
}

void call_dispatch(struct eng *e, struct call *c)
{
    ASSERT(methods[c->method].handle);
    if (!resolve_namespace(e, c))
        return;
    if (e->draining && methods[c->method].poll) {
        call_fail(e, c, ERR_UNAVAILABLE, "the engine is closing");
        return;
    }
    methods[c->method].handle(e, c);
}

bool call_retry(struct eng *e, struct call *c)
{
    if (c->retried || c->err || !methods[c->method].again)
        return false;
    engine_free_message(c->resp);
    c->resp = NULL;
    c->run = NULL;
    c->retried = true;
    c->next = NULL;
    pthread_mutex_lock(&e->mutex);
    *e->queue_tail = c;
    e->queue_tail = &c->next;
    pthread_mutex_unlock(&e->mutex);
    return true;
}

void call_free(struct call *c)
{
    free(c->err);
    free(c);
}
