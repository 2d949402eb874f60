/* One call: its dispatch, its waiting, its answer. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/pbx.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/match.h"
#include "engine/embedded/query.h"
#include "engine/embedded/update.h"

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
    [ENGINE_UPDATE_NAMESPACE] = {call_update_namespace, NS_OWN, false, false},
    [ENGINE_GET_SYSTEM_INFO] = {call_get_system_info, NS_OWN, false, true},
    [ENGINE_GET_CLUSTER_INFO] = {call_get_cluster_info, NS_OWN, false, true},
    [ENGINE_GET_HISTORY_REVERSE] = {call_get_history_reverse, NS_REQUIRED, false, true},
    [ENGINE_UPDATE_WORKFLOW] = {call_update_workflow, NS_REQUIRED, false, false},
    [ENGINE_MULTI_OPERATION] = {call_multi_operation, NS_REQUIRED, false, false},
    [ENGINE_POLL_UPDATE] = {call_poll_update, NS_REQUIRED, false, true},
    [ENGINE_RESET_WORKFLOW] = {call_reset_workflow, NS_REQUIRED, false, false},
    [ENGINE_HEARTBEAT_BY_ID] = {call_heartbeat_by_id, NS_REQUIRED, false, false},
    [ENGINE_COMPLETE_ACTIVITY_BY_ID] = {call_complete_activity_by_id, NS_REQUIRED, false, false},
    [ENGINE_FAIL_ACTIVITY_BY_ID] = {call_fail_activity_by_id, NS_REQUIRED, false, false},
    [ENGINE_CANCEL_ACTIVITY_BY_ID] = {call_cancel_activity_by_id, NS_REQUIRED, false, false},
    [ENGINE_SHUTDOWN_WORKER] = {call_shutdown_worker, NS_REQUIRED, false, false},
    [ENGINE_SCAN] = {call_scan, NS_REQUIRED, false, true},
    [ENGINE_LIST_OPEN] = {call_list_open, NS_REQUIRED, false, true},
    [ENGINE_LIST_CLOSED] = {call_list_closed, NS_REQUIRED, false, true},
    [ENGINE_GET_SEARCH_ATTRIBUTES] = {call_get_search_attributes, NS_OWN, false, true},
    [ENGINE_ADD_SEARCH_ATTRIBUTES] = {call_add_search_attributes, NS_REQUIRED, false, false},
    [ENGINE_REMOVE_SEARCH_ATTRIBUTES] = {call_remove_search_attributes, NS_REQUIRED, false, false},
    [ENGINE_LIST_SEARCH_ATTRIBUTES] = {call_list_search_attributes, NS_REQUIRED, false, true},
    [ENGINE_DELETE_NAMESPACE] = {call_delete_namespace, NS_OWN, false, false},
    [ENGINE_LIST_CLUSTERS] = {call_list_clusters, NS_OWN, false, true},
    [ENGINE_LIST_PARTITIONS] = {call_list_partitions, NS_REQUIRED, false, true},
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
    Pb__ErrorDetailNotFound *d = c->err && err->code == ERR_NOT_FOUND ? mem_alloc(sizeof *d) : NULL;
    if (d)
        pb__error_detail_not_found__init(d);
    c->resp = (ProtobufCMessage *)d; /* unless a handler has a better one */
    push_answer(e, c);
}

void call_detail(struct call *c, void *detail)
{
    if (!detail)
        return;
    if (c->err) {
        engine_free_message(c->resp);
        c->resp = detail;
    } else {
        engine_free_message(detail);
    }
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

/* --- parked calls ---------------------------------------------------------------------------------- */

#define BUCKETS_MIN 64

static struct call **bucket(struct call **index, size_t buckets, engine_done *done, const void *arg)
{
    uint64_t h = ((uint64_t)(uintptr_t)arg ^ (uint64_t)(uintptr_t)done << 7) * UINT64_C(0x9e3779b97f4a7c15);
    return &index[(h >> 32) & (buckets - 1)];
}

/* More buckets when there are as many calls as buckets; without memory the lists grow longer. */
static void grow_index(struct eng *e)
{
    size_t n = e->parked_buckets ? e->parked_buckets * 2 : BUCKETS_MIN;
    struct call **index = mem_calloc(n, sizeof *index);
    if (!index)
        return;
    for (size_t i = 0; i < e->parked_buckets; i++)
        for (struct call *c = e->parked_index[i], *next; c; c = next) {
            next = c->next_same;
            struct call **b = bucket(index, n, c->done, c->arg);
            c->next_same = *b;
            *b = c;
        }
    free(e->parked_index);
    e->parked_index = index;
    e->parked_buckets = n;
}

static void index_call(struct eng *e, struct call *c)
{
    if (e->parked_count >= e->parked_buckets)
        grow_index(e);
    if (!e->parked_buckets) {
        eng_nomem(e);
        return;
    }
    struct call **b = bucket(e->parked_index, e->parked_buckets, c->done, c->arg);
    c->next_same = *b;
    *b = c;
    e->parked_count++;
}

static void unindex_call(struct eng *e, struct call *c)
{
    struct call **p = e->parked_buckets ? bucket(e->parked_index, e->parked_buckets, c->done, c->arg) : NULL;
    while (p && *p && *p != c)
        p = &(*p)->next_same;
    if (!p || !*p)
        return; /* there was no memory for it */
    *p = c->next_same;
    e->parked_count--;
}

void call_park(struct eng *e, struct call *c, int64_t def_ms)
{
    /* Whoever polls longer than the default is answered early, before its connection's deadline. */
    int64_t ms = c->timeout_ms > 0 && (c->timeout_ms < def_ms || c->method == ENGINE_QUERY) ? c->timeout_ms : def_ms;
    ASSERT(!c->parked);
    c->parked = true;
    c->prev_parked = NULL;
    c->next_parked = e->parked_head;
    if (e->parked_head)
        e->parked_head->prev_parked = c;
    e->parked_head = c;
    index_call(e, c);
    if (!heap_set(&e->waits, &c->timer, e->mono_ns + ms * NS_PER_MS))
        eng_nomem(e);
}

void call_unpark(struct eng *e, struct call *c)
{
    ASSERT(c->parked);
    c->parked = false;
    heap_remove(&e->waits, &c->timer);
    unindex_call(e, c);
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
    else if (c->update_id)
        update_leave(c);
}

void call_cancel(struct eng *e, engine_done *done, void *arg)
{
    struct call *c = e->parked_buckets ? *bucket(e->parked_index, e->parked_buckets, done, arg) : NULL;
    while (c && (c->done != done || c->arg != arg))
        c = c->next_same;
    if (!c) {
        /* One that was put back after its batch failed stands behind in the queue. */
        pthread_mutex_lock(&e->mutex);
        for (struct call *w = e->again ? e->queue_head : NULL; w; w = w->next)
            if (w->queued_again && w->done == done && w->arg == arg)
                w->gone = true;
        pthread_mutex_unlock(&e->mutex);
        return;
    }
    call_unpark(e, c);
    if (c->method == ENGINE_QUERY)
        query_drop(e, c);
    call_fail(e, c, ERR_CANCELLED, "the caller has gone");
}

void call_expire(struct eng *e, struct call *c)
{
    call_unpark(e, c);
    if (c->method == ENGINE_QUERY) {
        query_drop(e, c);
        call_fail(e, c, e->draining[c->outside] ? ERR_UNAVAILABLE : ERR_TIMEOUT, "%s",
                  e->draining[c->outside] ? "the engine is closing" : "no worker answered the query in time");
    } else if (c->method == ENGINE_GET_HISTORY) {
        history_answer_late(e, c);
    } else if (c->update_id) {
        update_answer_late(e, c);
    } else {
        call_answer_empty(e, c);
    }
}

void call_fail_namespace(struct eng *e, struct call *c, const char *name)
{
    Pb__ErrorDetailNamespaceNotFound *d = mem_alloc(sizeof *d);
    call_fail(e, c, ERR_NOT_FOUND, "Namespace %.200s is not found.", name);
    if (d) {
        pb__error_detail_namespace_not_found__init(d);
        str_set(e, &d->namespace_, name);
    }
    call_detail(c, d);
}

/* The namespace by name; 0: there is none. */
static int64_t namespace_id(const struct eng *e, const char *name)
{
    VEC_EACH(&e->namespaces, n)
        if (!n->s->deleted && strcmp(n->name, name) == 0)
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
        call_fail_namespace(e, c, name);
    else
        call_fail(e, c, ERR_INVALID, "Namespace not set on request.");
    return false;
}

void call_dispatch(struct eng *e, struct call *c)
{
    e->again -= c->queued_again;
    c->queued_again = false;
    if (c->gone) {
        call_fail(e, c, ERR_CANCELLED, "the caller has gone");
        return;
    }
    if (!methods[c->method].handle) {
        call_fail(e, c, ERR_UNIMPLEMENTED, "%s is not offered by this engine", engine_method_info(c->method)->rpc);
        return;
    }
    if (e->read_only && (!methods[c->method].again || methods[c->method].poll)) {
        call_fail(e, c, ERR_PERMISSION, "the state is read-only");
        return;
    }
    if (!resolve_namespace(e, c))
        return;
    if (e->draining[c->outside] && methods[c->method].poll) {
        call_fail(e, c, ERR_UNAVAILABLE, "the engine is closing");
        return;
    }
    methods[c->method].handle(e, c);
}

void call_again(struct eng *e, struct call *c)
{
    c->run = NULL;
    c->queued_again = true;
    e->again++;
    c->next = c->prev = NULL;
    pthread_mutex_lock(&e->mutex);
    *e->queue_tail = c;
    e->queue_tail = &c->next;
    pthread_mutex_unlock(&e->mutex);
}

bool call_retry(struct eng *e, struct call *c)
{
    if (c->retried || c->err || !methods[c->method].again)
        return false;
    engine_free_message(c->resp);
    c->resp = NULL;
    c->retried = true;
    call_again(e, c);
    return true;
}

void call_free(struct call *c)
{
    free(c->err);
    free(c->update_id);
    engine_free_message(c->started);
    free(c);
}
