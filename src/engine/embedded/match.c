#include "engine/embedded/match.h"

#include "base/assert.h"
#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/activity.h"
#include "engine/embedded/dispatch.h"
#include "engine/embedded/query.h"
#include "engine/embedded/run.h"
#include "engine/embedded/wtask.h"

#include <string.h>

/* Larger inputs are read from history again when they are wanted. */
#define TASK_ATTRIBUTES_MAX 4096
/* Empty queues nobody polls are dropped when there are more than so many. */
#define QUEUES_IDLE_MAX 1024

static char *queue_key(struct eng *e, enum queue_kind kind, int64_t ns, const char *name,
                       size_t *ret_n)
{
    size_t n = strlen(name);
    char *k = arena_alloc(&e->arena, 1 + sizeof ns + n + 1);
    if (!k)
        return NULL;
    k[0] = (char)kind;
    memcpy(k + 1, &ns, sizeof ns);
    memcpy(k + 1 + sizeof ns, name, n);
    *ret_n = 1 + sizeof ns + n;
    return k;
}

static void free_task(struct task *t)
{
    free(t->attributes);
    free(t);
}

static void free_queue(struct queue *q)
{
    for (struct task *t = q->head, *next; t; t = next) {
        next = t->next;
        free_task(t);
    }
    for (int i = 0; i < QUEUE_POLLERS_SEEN; i++)
        free(q->seen[i].identity);
    free(q->name);
    free(q);
}

void match_forget(struct eng *e, const char *identity)
{
    MAP_EACH (&e->queues, entry) {
        struct queue *q = entry->value;
        for (int i = 0; i < QUEUE_POLLERS_SEEN; i++)
            if (q->seen[i].identity && strcmp(q->seen[i].identity, identity) == 0) {
                free(q->seen[i].identity);
                q->seen[i].identity = NULL;
            }
    }
}

const struct queue *match_find(struct eng *e, enum queue_kind kind, int64_t ns, const char *name)
{
    size_t n;
    char *k = queue_key(e, kind, ns, name, &n);
    return k ? map_getn(&e->queues, k, n) : NULL;
}

static void drop_idle(struct eng *e)
{
    MAP_EACH (&e->queues, entry) {
        struct queue *q = entry->value;
        if (!q->head && !q->pollers && !q->ready &&
            e->now - q->last_poll_ns > 6 * MATCH_STICKY_IDLE_NS) {
            map_removen(&e->queues, entry->key, entry->key_len);
            free_queue(q);
            return; /* one at a time: the map may have moved */
        }
    }
}

static struct queue *get_queue(struct eng *e, enum queue_kind kind, int64_t ns, const char *name)
{
    size_t n;
    char *k = queue_key(e, kind, ns, name, &n);
    struct queue *q = k ? map_getn(&e->queues, k, n) : NULL;
    if (q)
        return q;
    if (e->queues.len > QUEUES_IDLE_MAX)
        drop_idle(e);
    q = mem_zalloc(sizeof *q);
    if (q) {
        q->kind = kind;
        q->ns = ns;
        q->tail = &q->head;
        q->last_poll_ns = INT64_MIN / 2;
        q->name = mem_strdup(name);
    }
    if (!k || !q || !q->name || !map_setn(&e->queues, k, n, q, NULL)) {
        if (q)
            free_queue(q);
        eng_nomem(e);
        return NULL;
    }
    return q;
}

static void mark_ready(struct eng *e, struct queue *q)
{
    if (q->ready || !q->head || !q->pollers)
        return;
    q->ready = true;
    q->next_ready = e->ready;
    e->ready = q;
}

static struct task *add_task(struct eng *e, struct queue *q, int64_t run_key, int64_t scheduled_id)
{
    struct task *t = q ? mem_zalloc(sizeof *t) : NULL;
    if (!t) {
        eng_nomem(e);
        return NULL;
    }
    t->run_key = run_key;
    t->scheduled_id = scheduled_id;
    t->since_ns = e->now;
    *q->tail = t;
    q->tail = &t->next;
    q->count++;
    mark_ready(e, q);
    return t;
}

void match_add_workflow_task(struct eng *e, struct run *run)
{
    const Pb__EmbeddedRun *s = run->s;
    const char *name = s->task_sticky ? s->sticky_queue : s->task_queue;
    struct queue *q = get_queue(e, QUEUE_WORKFLOW, run->ns, name);
    struct task *t = add_task(e, q, run->key, s->task_scheduled_id);
    if (t)
        t->attempt = s->task_attempt;
}

void match_add_query(struct eng *e, struct run *run, uint64_t query_id)
{
    const Pb__EmbeddedRun *s = run->s;
    bool sticky = *s->sticky_queue && match_has_poller(e, run->ns, s->sticky_queue);
    struct queue *q =
        get_queue(e, QUEUE_WORKFLOW, run->ns, sticky ? s->sticky_queue : s->task_queue);
    struct task *t = add_task(e, q, run->key, 0);
    if (t)
        t->query_id = query_id;
}

void match_add_activity(struct eng *e, struct run *run, const Pb__EmbeddedActivity *a,
                        const Pb__ActivityTaskScheduledEventAttributes *attributes)
{
    struct queue *q = get_queue(e, QUEUE_ACTIVITY, run->ns, a->task_queue);
    struct task *t = add_task(e, q, run->key, a->scheduled_id);
    if (!t)
        return;
    t->attempt = a->attempt;
    size_t n = attributes ? protobuf_c_message_get_packed_size(&attributes->base) : 0;
    if (n && n <= TASK_ATTRIBUTES_MAX && (t->attributes = mem_alloc(n)))
        t->attributes_len = protobuf_c_message_pack(&attributes->base, t->attributes);
}

static void remember_poller(struct eng *e, struct queue *q, const char *identity)
{
    q->last_poll_ns = e->now;
    int oldest = 0;
    for (int i = 0; i < QUEUE_POLLERS_SEEN; i++) {
        if (q->seen[i].identity && strcmp(q->seen[i].identity, identity) == 0) {
            q->seen[i].at_ns = e->now;
            return;
        }
        if (!q->seen[i].identity || (q->seen[oldest].identity &&
                                     q->seen[i].at_ns < q->seen[oldest].at_ns))
            oldest = i;
    }
    char *copy = mem_strndup(identity, ENGINE_ID_MAX);
    if (!copy)
        return; /* it is only for display */
    free(q->seen[oldest].identity);
    q->seen[oldest].identity = copy;
    q->seen[oldest].at_ns = e->now;
}

void match_poll(struct eng *e, struct call *c, enum queue_kind kind, const char *name,
                const char *identity)
{
    struct queue *q = get_queue(e, kind, c->ns, name);
    if (!q) {
        call_answer(e, c, NULL);
        return;
    }
    remember_poller(e, q, identity);
    c->queue = q;
    c->next = NULL;
    c->prev = q->pollers ? q->pollers_last : NULL;
    if (q->pollers)
        q->pollers_last->next = c;
    else
        q->pollers = c;
    q->pollers_last = c;
    call_park(e, c, 60000);
    mark_ready(e, q);
}

void match_unpark(struct eng *e, struct call *c)
{
    struct queue *q = c->queue;
    *(c->prev ? &c->prev->next : &q->pollers) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    else
        q->pollers_last = c->prev;
    c->next = c->prev = NULL;
    c->queue = NULL;
    q->last_poll_ns = e->now;
}

void match_abandon(struct eng *e, int64_t ns, const char *sticky_queue)
{
    size_t n;
    char *k = queue_key(e, QUEUE_WORKFLOW, ns, sticky_queue, &n);
    struct queue *q = k ? map_getn(&e->queues, k, n) : NULL;
    if (!q)
        return;
    while (q->pollers) {
        struct call *c = q->pollers;
        call_unpark(e, c);
        call_answer_empty(e, c);
    }
    q->last_poll_ns = INT64_MIN / 2;
    struct task *list = q->head, *next;
    q->head = NULL;
    q->tail = &q->head;
    q->count = 0;
    for (struct task *t = list; t; t = next) {
        struct run *run;
        struct err err = {0};
        if (run_get(e, t->run_key, &run, &err) < 0) {
            if (err.code != ERR_NOT_FOUND)
                eng_fault(e, &err);
        } else if (t->query_id) {
            query_requeue(e, run, t->query_id);
        } else if (run_is_open(run) && wtask_state(run) == WTASK_SCHEDULED && run->s->task_sticky &&
                   run->s->task_scheduled_id == t->scheduled_id && strcmp(run->s->sticky_queue, q->name) == 0) {
            run->s->task_sticky = false;
            wtask_clear_sticky(e, run);
            match_add_workflow_task(e, run);
        }
        next = t->next;
        free_task(t);
    }
}

bool match_has_poller(struct eng *e, int64_t ns, const char *sticky_queue)
{
    const struct queue *q = match_find(e, QUEUE_WORKFLOW, ns, sticky_queue);
    return q && (q->pollers || e->now - q->last_poll_ns < MATCH_STICKY_IDLE_NS);
}

static bool hand_out_workflow_task(struct eng *e, struct queue *q, struct task *t, struct run *run)
{
    Pb__EmbeddedRun *s = run->s;
    if (t->query_id) {
        struct query *query = query_find(run, t->query_id);
        if (!query || query->sent)
            return false;
        query->sent = query->own_task = true;
    } else {
        if (!run_is_open(run) || s->task_scheduled_id != t->scheduled_id || s->task_started_id ||
            s->task_attempt != t->attempt || s->task_backoff ||
            strcmp(q->name, s->task_sticky ? s->sticky_queue : s->task_queue) != 0)
            return false;
    }
    struct call *c = q->pollers;
    call_unpark(e, c);
    bool sticky = strcmp(q->name, s->task_queue) != 0;
    const char *identity = ((const Pb__PollWorkflowTaskQueueRequest *)c->req)->identity;
    guests_taker(e, c, identity);
    if (!t->query_id)
        wtask_start(e, run, identity);
    dispatch_workflow_task(e, c, run, sticky, t->query_id, 0);
    return true;
}

static bool hand_out_activity(struct eng *e, struct queue *q, struct task *t, struct run *run)
{
    Pb__EmbeddedActivity *a = run_is_open(run) ? activity_find(run, t->scheduled_id) : NULL;
    if (!a || a->started_ns || a->attempt != t->attempt || a->backoff)
        return false;
    struct call *c = q->pollers;
    call_unpark(e, c);
    const char *identity = ((const Pb__PollActivityTaskQueueRequest *)c->req)->identity;
    activity_start(e, run, a, guests_taker(e, c, identity), identity);
    call_answer(e, c, (ProtobufCMessage *)dispatch_activity(e, run, a, t));
    return true;
}

static void serve(struct eng *e, struct queue *q)
{
    while (q->head && q->pollers && !e->fault.code) {
        struct task *t = q->head;
        struct run *run;
        struct err err = {0};
        int r = run_get(e, t->run_key, &run, &err);
        if (r < 0 && r != -ERR_NOT_FOUND) {
            eng_fault(e, &err);
            return;
        }
        if (r == 0 && q->kind == QUEUE_WORKFLOW)
            hand_out_workflow_task(e, q, t, run);
        else if (r == 0)
            hand_out_activity(e, q, t, run);
        q->head = t->next;
        if (!q->head)
            q->tail = &q->head;
        q->count--;
        free_task(t);
    }
}

void match_ready(struct eng *e)
{
    while (e->ready) {
        struct queue *q = e->ready;
        e->ready = q->next_ready;
        q->ready = false;
        serve(e, q);
    }
}

void match_release(struct eng *e)
{
    MAP_EACH (&e->queues, entry)
        free_queue(entry->value);
    map_release(&e->queues);
}
