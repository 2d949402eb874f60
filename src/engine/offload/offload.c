#include "engine/offload/offload.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/pbwalk.h"
#include "codec/pbx.h"
#include "os/clock.h"
#include "store/owned.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define TOKENS_MAX 100000 /* tasks remembered; far more than a worker has at a time */
#define FLOOR_BYTES ((size_t)4 << 10)
#define KEEPER_KEY "ff-kept-by"
#define UNKNOWN_OWNER_NS (INT64_C(30) * 86400 * 1000000000)

struct call {
    struct offload *offload;
    enum engine_method method;
    engine_done *done;
    void *arg;
    const ProtobufCMessage *req;
    int64_t timeout_ms;
    ProtobufCMessage *own; /* the request, if it had to be changed */
    ProtobufCMessage *resp;
    struct err err;
    bool held, over;          /* under lock: by a cancellation, so that its address means no other call; and it has ended */
    bool waits, cancelled;    /* under lock: in a lane, before inner has it */
    struct call *next, *prev; /* of the calls under way */
    struct call *next_in_lane;
};

/* Calls for a thread of their own, since the store may take long: it is made when there is something for it to do. */
struct lane {
    void (*work)(struct call *c);
    struct offload *offload;
    pthread_cond_t cond;
    struct call *first, **last;
    bool has_thread;
    pthread_t thread;
};

struct offload {
    struct engine base;
    struct engine *inner;
    struct store *store;
    pthread_mutex_t lock;
    struct call *calls;    /* under way in inner, or on their way there */
    struct lane out, back; /* to be packed; answered, with objects to be read */
    bool stop;
    struct map tokens; /* task token -> workflow id, so that what a task gives is kept with its run */
};

static struct offload *offload_of(struct engine *e)
{
    return (struct offload *)e;
}

/* --- metadata --------------------------------------------------------------------------------------------- */

static Pb__Payload__MetadataEntry *entry_of(const Pb__Payload *p, const char *key)
{
    for (size_t i = 0; i < p->n_metadata; i++)
        if (strcmp(p->metadata[i]->key, key) == 0)
            return p->metadata[i];
    return NULL;
}

static int set_entry(Pb__Payload *p, const char *key, const void *value, size_t len)
{
    Pb__Payload__MetadataEntry *e = entry_of(p, key);
    uint8_t *copy = mem_dup(value, len);
    if (!copy)
        return -ERR_NO_MEMORY;
    if (!e) {
        Pb__Payload__MetadataEntry **list = mem_realloc(p->metadata, (p->n_metadata + 1) * sizeof *list);
        if (list)
            p->metadata = list;
        e = list ? mem_alloc(sizeof *e) : NULL;
        if (e) {
            pb__payload__metadata_entry__init(e);
            e->key = pbx_str(key);
        }
        if (!e || !e->key) {
            free(e);
            free(copy);
            return -ERR_NO_MEMORY;
        }
        p->metadata[p->n_metadata++] = e;
    }
    free(e->value.data);
    e->value = (ProtobufCBinaryData){len, copy};
    return 0;
}

static void remove_entry(Pb__Payload *p, const char *key)
{
    for (size_t i = 0; i < p->n_metadata; i++)
        if (strcmp(p->metadata[i]->key, key) == 0) {
            protobuf_c_message_free_unpacked(&p->metadata[i]->base, NULL);
            p->metadata[i] = p->metadata[--p->n_metadata];
            return;
        }
}

/* --- out -------------------------------------------------------------------------------------------------- */

struct packing {
    struct offload *offload;
    char *owner;
    int64_t until_ns;
    size_t above;
    bool found; /* when only looking */
    struct err *err;
};

static bool is_large(const Pb__Payload *p, size_t above)
{
    return p->data.len > above && !entry_of(p, PBX_OBJECT_KEY);
}

static int look(void *arg, Pb__Payload *p)
{
    struct packing *k = arg;
    k->found |= is_large(p, k->above);
    return 0;
}

static int put_away(void *arg, Pb__Payload *p)
{
    struct packing *k = arg;
    struct offload *o = k->offload;
    if (!is_large(p, k->above))
        return 0;
    const Pb__Payload__MetadataEntry *enc = entry_of(p, "encoding");
    static const char json[] = "json/plain";
    bool is_json = enc && enc->value.len == sizeof json - 1 && memcmp(enc->value.data, json, sizeof json - 1) == 0;
    const char *media = is_json ? "application/json" : "application/octet-stream";
    struct store_ref ref;
    int r = store_put(o->store, p->data.data, p->data.len, media, &ref, k->err);
    if (r == 0)
        r = store_pin(o->store, k->owner, ref.text, k->until_ns, k->err);
    if (r < 0)
        return err_wrap(k->err, "a payload of %zu bytes", p->data.len);
    char *text = mem_printf("{\"ref\":\"%s\",\"bytes\":%zu,\"media_type\":\"%s\"}", ref.text, p->data.len, media);
    if (!text || (!is_json && enc && set_entry(p, "ff-encoding", enc->value.data, enc->value.len) < 0) ||
        set_entry(p, "encoding", json, sizeof json - 1) < 0 ||
        set_entry(p, PBX_OBJECT_KEY, ref.text, strlen(ref.text)) < 0 ||
        set_entry(p, KEEPER_KEY, k->owner, strlen(k->owner)) < 0) {
        free(text);
        return err_nomem(k->err);
    }
    free(p->data.data);
    p->data = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    return 0;
}

/* The field of that name of a message, if it has one of that type. */
static const void *field_of(const ProtobufCMessage *m, const char *name, ProtobufCType type)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);
    return f && f->type == type && f->label != PROTOBUF_C_LABEL_REPEATED ? (const char *)m + f->offset : NULL;
}

static const ProtobufCBinaryData *token_of(const ProtobufCMessage *m)
{
    return field_of(m, "task_token", PROTOBUF_C_TYPE_BYTES);
}

static const char *workflow_id_of(const ProtobufCMessage *m)
{
    const char *const *id = field_of(m, "workflow_id", PROTOBUF_C_TYPE_STRING);
    if (id)
        return *id;
    for (int i = 0; i < 2; i++) {
        Pb__WorkflowExecution *const *x = field_of(m, i ? "execution" : "workflow_execution", PROTOBUF_C_TYPE_MESSAGE);
        if (x && *x && (*x)->base.descriptor == &pb__workflow_execution__descriptor)
            return (*x)->workflow_id;
    }
    return NULL;
}

static const char *namespace_of(const ProtobufCMessage *m)
{
    const char *const *name = field_of(m, "namespace", PROTOBUF_C_TYPE_STRING);
    return name && *name && **name ? *name : "default";
}

/* Whose run it is: said by the request, or by the task that it answers. */
static int set_owner(struct offload *o, const ProtobufCMessage *req, struct packing *k)
{
    const ProtobufCBinaryData *token = token_of(req);
    const char *name_space = namespace_of(req);
    bool plain = strcmp(name_space, "default") == 0;
    pthread_mutex_lock(&o->lock);
    const char *id = token ? map_getn(&o->tokens, token->data, token->len) : workflow_id_of(req);
    if (id && *id)
        k->owner = store_run_owner(name_space, id);
    else { /* a task that another process took */
        k->owner = plain ? mem_strdup("payload/") : mem_printf("payload@%s/", name_space);
        k->until_ns = os_now_ns() + UNKNOWN_OWNER_NS;
    }
    pthread_mutex_unlock(&o->lock);
    return k->owner ? 0 : err_nomem(k->err);
}

/* Can the request not go as it is? */
static bool is_large_request(const ProtobufCMessage *req)
{
    struct packing k = {.above = OFFLOAD_PAYLOAD_MAX};
    pbwalk_payloads((ProtobufCMessage *)(uintptr_t)req, look, &k);
    return k.found || protobuf_c_message_get_packed_size(req) > OFFLOAD_REQUEST_MAX;
}

static int pack_request(struct offload *o, const ProtobufCMessage *req, ProtobufCMessage **ret_own, struct err *err)
{
    struct packing k = {.offload = o, .above = OFFLOAD_PAYLOAD_MAX, .err = err};
    ProtobufCMessage *own = NULL;
    size_t size = 0;
    int r = pbx_dup(req, &own, err);
    if (r < 0)
        return r;
    r = set_owner(o, req, &k);
    while (r == 0) {
        r = pbwalk_payloads(own, put_away, &k);
        size = r < 0 ? 0 : protobuf_c_message_get_packed_size(own);
        if (size <= OFFLOAD_REQUEST_MAX || k.above <= FLOOR_BYTES)
            break;
        k.above /= 4;
    }
    free(k.owner);
    if (r == 0 && size > OFFLOAD_REQUEST_MAX)
        r = err_set(err, ERR_LIMIT, "a request of %zu bytes in %s: the engine takes %zu at a time", size,
                    req->descriptor->short_name, OFFLOAD_REQUEST_MAX);
    if (r < 0)
        engine_free_message(own);
    else
        *ret_own = own;
    return r;
}

/* --- back ------------------------------------------------------------------------------------------------- */

static int look_back(void *arg, Pb__Payload *p)
{
    bool *found = arg;
    *found |= entry_of(p, PBX_OBJECT_KEY) != NULL;
    return 0;
}

struct reading {
    struct offload *offload;
    const char *name_space;
};

/* Who may write to the cluster may write any name there: the namespace must have it. Who keeps it is only where to look first. */
static int check_owner(const struct reading *to, const Pb__Payload *p, const char *ref, struct err *err)
{
    const Pb__Payload__MetadataEntry *e = entry_of(p, KEEPER_KEY);
    _cleanup_free_ char *keeper = e ? mem_strndup((const char *)e->value.data, e->value.len) : NULL;
    bool pinned = false;
    int r = 0;
    if (keeper && *keeper && store_owner_is_of(keeper, to->name_space))
        r = store_pinned(to->offload->store, keeper, ref, &pinned, err);
    return pinned ? r : store_owned(to->offload->store, to->name_space, NULL, ref, NULL, err);
}

/* What is not there is not there the next time either; of all else nobody knows. */
static void say_why(Pb__Payload *p, const char *ref, const struct err *why)
{
    log_debug("payload %s: %s", ref, why->msg);
    if (why->code != ERR_NOT_FOUND && why->code != ERR_CORRUPT && why->code != ERR_LIMIT)
        (void)set_entry(p, PBX_AWAY_KEY, why->msg, strlen(why->msg));
}

/* What cannot be read stays: pbx_payload_json() tells who needs it. */
static int bring_back(void *arg, Pb__Payload *p)
{
    const struct reading *to = arg;
    remove_entry(p, PBX_AWAY_KEY); /* it may have been sent along */
    const Pb__Payload__MetadataEntry *e = entry_of(p, PBX_OBJECT_KEY), *enc = entry_of(p, "ff-encoding");
    char ref[STORE_REF_LEN + 1], *data;
    struct err err = {0};
    size_t len;
    if (!e || e->value.len != STORE_REF_LEN)
        return 0;
    memcpy(ref, e->value.data, STORE_REF_LEN);
    ref[STORE_REF_LEN] = 0;
    if (!store_ref_valid(ref))
        return 0;
    if (check_owner(to, p, ref, &err) < 0 ||
        store_get(to->offload->store, ref, OFFLOAD_OBJECT_MAX, &data, &len, &err) < 0) {
        say_why(p, ref, &err);
        return 0;
    }
    if (enc && set_entry(p, "encoding", enc->value.data, enc->value.len) < 0) {
        free(data);
        return 0;
    }
    free(p->data.data);
    p->data = (ProtobufCBinaryData){len, (uint8_t *)data};
    remove_entry(p, PBX_OBJECT_KEY);
    remove_entry(p, "ff-encoding");
    remove_entry(p, KEEPER_KEY);
    return 0;
}

/* --- calls ------------------------------------------------------------------------------------------------ */

static void unlink_call(struct offload *o, struct call *c)
{
    *(c->prev ? &c->prev->next : &o->calls) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->next = c->prev = NULL;
}

/* Which run a task is of; and what was answered for good needs no more remembering. */
static void note_task(struct offload *o, const struct call *c)
{
    bool poll = c->method == ENGINE_POLL_WORKFLOW_TASK || c->method == ENGINE_POLL_ACTIVITY_TASK;
    const ProtobufCMessage *m = poll ? c->resp : NULL;
    const ProtobufCBinaryData *token = m && !c->err.code ? token_of(m) : NULL;
    const char *id = token && token->len ? workflow_id_of(m) : NULL;
    char *copy = id ? mem_strdup(id) : NULL;
    if (!copy || o->tokens.len >= TOKENS_MAX) {
        free(copy);
        return;
    }
    void *old = NULL;
    if (!map_setn(&o->tokens, token->data, token->len, copy, &old))
        free(copy);
    free(old);
}

static void forget_task(struct offload *o, enum engine_method m, const ProtobufCMessage *req)
{
    if (m != ENGINE_COMPLETE_WORKFLOW_TASK && m != ENGINE_FAIL_WORKFLOW_TASK && m != ENGINE_COMPLETE_ACTIVITY &&
        m != ENGINE_FAIL_ACTIVITY && m != ENGINE_CANCEL_ACTIVITY && m != ENGINE_COMPLETE_QUERY)
        return;
    const ProtobufCBinaryData *token = token_of(req);
    pthread_mutex_lock(&o->lock);
    free(map_removen(&o->tokens, token->data, token->len));
    pthread_mutex_unlock(&o->lock);
}

static void finish(struct call *c)
{
    struct offload *o = c->offload;
    c->done(c->arg, c->resp, &c->err);
    engine_free_message(c->own);
    pthread_mutex_lock(&o->lock);
    c->over = true;
    bool held = c->held;
    pthread_mutex_unlock(&o->lock);
    if (!held)
        free(c);
}

static void *run_lane(void *arg)
{
    struct lane *l = arg;
    struct offload *o = l->offload;
    pthread_mutex_lock(&o->lock);
    for (;;) {
        struct call *c = l->first;
        if (!c && o->stop)
            break;
        if (!c) {
            pthread_cond_wait(&l->cond, &o->lock);
            continue;
        }
        l->first = c->next_in_lane;
        if (!l->first)
            l->last = &l->first;
        pthread_mutex_unlock(&o->lock);
        l->work(c);
        pthread_mutex_lock(&o->lock);
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

/* Under the lock. false: there is no thread. */
static bool hand_over(struct lane *l, struct call *c)
{
    if (!l->has_thread)
        l->has_thread = pthread_create(&l->thread, NULL, run_lane, l) == 0;
    if (!l->has_thread)
        return false;
    c->next_in_lane = NULL;
    *l->last = c;
    l->last = &c->next_in_lane;
    pthread_cond_signal(&l->cond);
    return true;
}

static void read_objects(struct call *c)
{
    struct reading to = {c->offload, namespace_of(c->req)};
    pbwalk_payloads(c->resp, bring_back, &to);
    finish(c);
}

static void answered(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct call *c = arg;
    struct offload *o = c->offload;
    bool objects = false;
    c->resp = resp;
    c->err = *err;
    if (resp)
        pbwalk_payloads(resp, look_back, &objects);
    pthread_mutex_lock(&o->lock);
    unlink_call(o, c);
    note_task(o, c);
    bool later = objects && hand_over(&o->back, c);
    pthread_mutex_unlock(&o->lock);
    if (!later)
        finish(c);
}

static void send_on(struct call *c)
{
    struct offload *o = c->offload;
    forget_task(o, c->method, c->req);
    engine_call(o->inner, c->method, c->own ? c->own : c->req, c->timeout_ms, answered, c);
}

static void pack_and_send(struct call *c)
{
    struct offload *o = c->offload;
    pthread_mutex_lock(&o->lock);
    bool cancelled = c->cancelled;
    pthread_mutex_unlock(&o->lock);
    if (!cancelled && pack_request(o, c->req, &c->own, &c->err) == 0)
        err_clear(&c->err); /* of what was looked for in the store and is not there */
    pthread_mutex_lock(&o->lock);
    c->waits = false;
    if (c->cancelled)
        err_set(&c->err, ERR_CANCELLED, "the caller has gone");
    if (c->err.code)
        unlink_call(o, c);
    pthread_mutex_unlock(&o->lock);
    if (c->err.code)
        finish(c);
    else
        send_on(c);
}

static void offload_call(struct engine *e, enum engine_method m, const ProtobufCMessage *req, int64_t timeout_ms,
                         engine_done *done, void *arg)
{
    struct offload *o = offload_of(e);
    struct call *c = mem_zalloc(sizeof *c);
    if (!c) {
        struct err err = {0};
        err_nomem(&err);
        done(arg, NULL, &err);
        return;
    }
    *c = (struct call){.offload = o, .method = m, .done = done, .arg = arg, .req = req, .timeout_ms = timeout_ms};
    bool large = is_large_request(req);
    pthread_mutex_lock(&o->lock);
    c->next = o->calls;
    if (o->calls)
        o->calls->prev = c;
    o->calls = c;
    c->waits = large && hand_over(&o->out, c);
    bool waits = c->waits;
    pthread_mutex_unlock(&o->lock);
    if (waits)
        return;
    if (large)
        pack_and_send(c);
    else
        send_on(c);
}

static void offload_cancel(struct engine *e, engine_done *done, void *arg)
{
    struct offload *o = offload_of(e);
    pthread_mutex_lock(&o->lock);
    struct call *c = o->calls;
    while (c && (c->done != done || c->arg != arg || c->held))
        c = c->next;
    bool waits = c && c->waits;
    if (c) {
        c->held = !waits;
        c->cancelled = waits;
    }
    pthread_mutex_unlock(&o->lock);
    if (!c || waits)
        return;
    engine_cancel(o->inner, answered, c);
    pthread_mutex_lock(&o->lock);
    c->held = false;
    bool over = c->over;
    pthread_mutex_unlock(&o->lock);
    if (over)
        free(c);
}

static void offload_send(struct engine *e)
{
    struct engine *inner = offload_of(e)->inner;
    if (inner->ops->send)
        inner->ops->send(inner);
}

static void offload_drain(struct engine *e)
{
    engine_drain(offload_of(e)->inner);
}

static void end_lane(struct lane *l)
{
    if (l->has_thread)
        pthread_join(l->thread, NULL);
    ASSERT(!l->first);
    pthread_cond_destroy(&l->cond);
}

static void begin_lane(struct lane *l, struct offload *o, void (*work)(struct call *c))
{
    *l = (struct lane){.work = work, .offload = o, .last = &l->first};
    pthread_cond_init(&l->cond, NULL);
}

static void offload_free(struct engine *e)
{
    struct offload *o = offload_of(e);
    engine_free(o->inner);
    pthread_mutex_lock(&o->lock);
    o->stop = true;
    pthread_cond_signal(&o->out.cond);
    pthread_cond_signal(&o->back.cond);
    pthread_mutex_unlock(&o->lock);
    end_lane(&o->out);
    end_lane(&o->back);
    ASSERT(!o->calls);
    MAP_EACH(&o->tokens, t)
        free(t->value);
    map_release(&o->tokens);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

int engine_offload_new(struct engine *inner, struct store *store, struct engine **ret, struct err *err)
{
    static const struct engine_ops ops = {.name = "offload",
                                          .call = offload_call,
                                          .cancel = offload_cancel,
                                          .send = offload_send,
                                          .drain = offload_drain,
                                          .free = offload_free};
    struct offload *o = mem_zalloc(sizeof *o);
    if (!o) {
        engine_free(inner);
        return err_nomem(err);
    }
    o->base.ops = &ops;
    o->inner = inner;
    o->store = store;
    pthread_mutex_init(&o->lock, NULL);
    begin_lane(&o->out, o, pack_and_send);
    begin_lane(&o->back, o, read_objects);
    *ret = &o->base;
    return 0;
}
