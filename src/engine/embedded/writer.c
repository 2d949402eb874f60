/* The engine's thread: batches of calls, one transaction each. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/pbx.h"
#include "engine/embedded/attribute.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/close.h"
#include "engine/embedded/dispatch.h"
#include "engine/embedded/due.h"
#include "engine/embedded/effect.h"
#include "engine/embedded/match.h"
#include "engine/embedded/namespace.h"
#include "engine/embedded/query.h"
#include "engine/embedded/run.h"
#include "engine/embedded/update.h"
#include "os/clock.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#define TRIM_EVERY 32 /* batches */

#define CALLS_PER_BATCH 2000
#define TIMERS_PER_BATCH 2000
#define RETRY_AFTER_FAULT_NS (200 * NS_PER_MS)

/* Engine time goes with the monotonic clock and follows the wall clock only forwards: a wall
 * clock that was set back neither turns it back nor stops it. */
void eng_read_clock(struct eng *e)
{
    int64_t mono = os_mono_ns(), wall = e->clock.now_ns ? e->clock.now_ns(e->clock.arg) : os_now_ns();
    int64_t now = e->now;
    if (!e->clock.now_ns)
        now += mono - e->mono_ns;
    e->mono_ns = mono;
    e->now = wall > now ? wall : now;
}

void eng_fault(struct eng *e, const struct err *err)
{
    if (!e->fault.code)
        e->fault = *err;
}

void eng_nomem(struct eng *e)
{
    struct err err = {0};
    err_nomem(&err);
    eng_fault(e, &err);
}

/* Over the limits of history: the run ends. */
static void check_limits(struct eng *e, struct run *run)
{
    const Pb__EmbeddedRun *s = run->s;
    if (run->deleted || !run_is_open(run))
        return;
    if (s->history_bytes > (int64_t)ENGINE_HISTORY_SIZE_MAX)
        close_terminated(e, run, "Workflow history size exceeds limit.", NULL, "history-service");
    else if (s->next_event_id - 1 > ENGINE_HISTORY_EVENTS_MAX)
        close_terminated(e, run, "Workflow history count exceeds limit.", NULL, "history-service");
}

static int put_history(struct eng *e, struct run *run, struct err *err)
{
    int r = strbuf_check(&run->tail, err);
    if (r < 0 || run->tail.len == run->flushed)
        return r;
    sqlite3_stmt *s = db_stmt(&e->db, DB_HISTORY_PUT);
    sqlite3_bind_int64(s, 1, run->key << DB_HISTORY_SHIFT | run->flushed_next);
    sqlite3_bind_blob64(s, 2, run->tail.s + run->flushed, run->tail.len - run->flushed, SQLITE_STATIC);
    return db_exec(&e->db, s, err);
}

static int put_state(struct eng *e, struct run *run, struct err *err)
{
    Pb__EmbeddedRun *s = run->s;
    s->transitions++;
    size_t n = pb__embedded_run__get_packed_size(s);
    void *p = arena_alloc(&e->arena, n);
    if (!p)
        return err_nomem(err);
    pb__embedded_run__pack(s, p);
    run->bytes = n;
    sqlite3_stmt *q;
    if (run->fresh) {
        q = db_stmt(&e->db, DB_RUN_INSERT);
        sqlite3_bind_int64(q, 2, run->ns);
        sqlite3_bind_text(q, 3, s->workflow_id, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 4, s->run_id, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 5, s->workflow_type, -1, SQLITE_STATIC);
        sqlite3_bind_int(q, 6, (int)s->status);
        sqlite3_bind_int64(q, 7, s->start_ns);
        if (s->close_ns)
            sqlite3_bind_int64(q, 8, s->close_ns);
        sqlite3_bind_blob64(q, 9, p, n, SQLITE_STATIC);
    } else {
        bool closes = run->open && !run_is_open(run);
        q = db_stmt(&e->db, closes ? DB_RUN_CLOSE : DB_RUN_UPDATE);
        sqlite3_bind_blob64(q, 2, p, n, SQLITE_STATIC);
        if (closes) {
            sqlite3_bind_int(q, 3, (int)s->status);
            sqlite3_bind_int64(q, 4, s->close_ns);
        }
    }
    sqlite3_bind_int64(q, 1, run->key);
    return db_exec(&e->db, q, err);
}

static int delete_run(struct eng *e, struct run *run, struct err *err)
{
    queries_fail(e, run);
    while (run->waiters)
        call_expire(e, run->waiters);
    updates_gone(e, run);
    heap_remove(&e->heap, &run->timer);
    if (run->fresh)
        return 0;
    sqlite3_stmt *s = db_stmt(&e->db, DB_RUN_DELETE);
    sqlite3_bind_int64(s, 1, run->key);
    int r = db_exec(&e->db, s, err);
    s = db_stmt(&e->db, DB_HISTORY_DELETE);
    sqlite3_bind_int64(s, 1, run->key << DB_HISTORY_SHIFT);
    sqlite3_bind_int64(s, 2, (run->key + 1) << DB_HISTORY_SHIFT);
    if (r == 0)
        r = db_exec(&e->db, s, err);
    return r < 0 || !run->s->search_attributes ? r : attributes_delete(e, run, err);
}

static int flush_run(struct eng *e, struct run *run, struct err *err)
{
    if (run->deleted)
        return delete_run(e, run, err);
    int r = put_history(e, run, err);
    if (r == 0)
        r = put_state(e, run, err);
    if (r == 0 && run->attributes_changed)
        r = attributes_put(e, run, err);
    if (r == 0)
        run_set_timer(e, run);
    return r;
}

int eng_flush(struct eng *e, struct err *err)
{
    int r = 0;
    for (struct run *run = e->dirty; run; run = run->next_dirty)
        check_limits(e, run);
    effects_run(e);
    for (struct run *run = e->dirty; run; run = run->next_dirty)
        if (run->s->n_updates || run->update_waiters)
            updates_settle(e, run);
    if (e->dirty)
        r = db_begin(&e->db, err);
    /* A handler above may have added runs at the head; the list only grows there. */
    for (struct run *run = e->dirty; r == 0 && run; run = run->next_dirty)
        r = flush_run(e, run, err);
    if (r == 0 && e->db.in_transaction) {
        sqlite3_stmt *s = db_stmt(&e->db, DB_CLOCK);
        sqlite3_bind_int64(s, 1, e->now);
        sqlite3_bind_int64(s, 2, e->db.last_run_key);
        r = db_exec(&e->db, s, err);
    }
    for (struct run *run = e->dirty; r == 0 && run; run = run->next_dirty)
        if (run->waiters)
            history_wake(e, run);
    return r;
}

int eng_commit(struct eng *e, struct err *err)
{
    bool any = e->db.in_transaction;
    int64_t begun = os_mono_ns();
    int r = any ? db_commit(&e->db, err) : 0;
    if (any)
        histogram_add(&e->times.commit, (os_mono_ns() - begun) / NS_PER_US);
    if (r == 0)
        runs_committed(e);
    return r;
}

static void undo(struct eng *e)
{
    struct err err = {0};
    db_rollback(&e->db);
    if (e->namespaces_changed) {
        namespaces_release(e);
        namespaces_load(e, &err);
    }
    runs_undo(e, &err);
    e->retry_at = e->mono_ns + RETRY_AFTER_FAULT_NS;
}

static void fire_timers(struct eng *e)
{
    struct heap_entry *t;
    int max = e->clock.now_ns ? INT_MAX : TIMERS_PER_BATCH; /* a test waits for all of them */
    for (int i = 0; i < max && (t = heap_first(&e->heap)) && t->due_ns <= e->now; i++) {
        struct run *run = (struct run *)((char *)t - offsetof(struct run, timer));
        struct err err = {0};
        heap_remove(&e->heap, t); /* set again when the run is written */
        if (run_get(e, run->key, &run, &err) < 0) {
            eng_fault(e, &err);
            heap_set(&e->heap, t, e->now + RETRY_AFTER_FAULT_NS); /* there is room: it was just taken out */
            return;
        }
        run_dirty(e, run);
        run_fire_due(e, run);
        effects_run(e);
    }
}

static void expire_calls(struct eng *e)
{
    struct heap_entry *t;
    while ((t = heap_first(&e->waits)) && t->due_ns <= e->mono_ns)
        call_expire(e, (struct call *)((char *)t - offsetof(struct call, timer)));
}

/* All that wait, of callers inside or outside. */
static void drain(struct eng *e, bool outside)
{
    e->draining[outside] = true;
    for (struct call *c = e->parked_head, *next; c; c = next) {
        next = c->next_parked;
        if (c->outside == outside)
            call_expire(e, c);
    }
}

/* Answers all; after a fault nothing of the batch holds, so what succeeded has failed. */
static void send_answers(struct eng *e)
{
    static const struct err none;
    struct call *next;
    for (struct call *c = e->answers; c; c = next) {
        next = c->next;
        if (e->fault.code && call_retry(e, c))
            continue;
        if (e->fault.code && c->resp) {
            engine_free_message(c->resp);
            c->resp = NULL;
        }
        const struct err *err = c->err ? c->err : c->resp ? &none : &e->fault;
        ASSERT(c->resp || err->code);
        c->done(c->arg, c->resp, err);
        call_free(c);
    }
    e->answers = NULL;
    e->answers_tail = &e->answers;
}

static void tick_done(struct eng *e, struct call *c)
{
    (void)e;
    static const struct err none;
    c->done(c->arg, NULL, &none);
    call_free(c);
}

static void run_batch(struct eng *e, struct call *list)
{
    struct err err = {0};
    struct call *next, *ticks = NULL;
    e->fault.code = 0;
    e->namespaces_changed = false;
    eng_read_clock(e);
    expire_calls(e);
    if (e->mono_ns >= e->retry_at) {
        fire_timers(e);
        retention_sweep(e);
    }
    for (struct call *c = list; c; c = next) {
        next = c->next;
        c->next = NULL;
        if (c->kind == CALL_TICK) {
            c->next = ticks;
            ticks = c;
            continue;
        }
        if (c == &e->drain_call[0] || c == &e->drain_call[1]) {
            drain(e, c == &e->drain_call[1]);
        } else if (c->news) {
            c->news(e, c);
        } else if (c->kind == CALL_CANCEL) {
            call_cancel(e, c->done, c->arg);
            call_free(c);
        } else {
            call_dispatch(e, c);
        }
        effects_run(e);
    }
    match_ready(e);
    for (int outside = 0; outside < 2; outside++)
        if (e->draining[outside])
            drain(e, outside);
    if (!e->fault.code && eng_flush(e, &err) < 0)
        eng_fault(e, &err);
    dispatch_finish(e);
    if (!e->fault.code && eng_commit(e, &err) < 0)
        eng_fault(e, &err);
    if (e->fault.code)
        undo(e);
    send_answers(e);
    arena_clear(&e->arena);
    if (++e->untrimmed >= TRIM_EVERY) { /* it walks all cached runs: not after each batch */
        e->untrimmed = 0;
        runs_trim(e);
    }
    for (; ticks; ticks = next) {
        next = ticks->next;
        tick_done(e, ticks);
    }
}

/* Until when the thread may sleep, by the monotonic clock; INT64_MAX: until it is woken. */
static int64_t wake_at(struct eng *e)
{
    const struct heap_entry *call = heap_first(&e->waits), *run = heap_first(&e->heap);
    int64_t at = INT64_MAX;
    int64_t due = run && run->due_ns < e->sweep_at ? run->due_ns : e->sweep_at;
    if (due != INT64_MAX && !e->clock.now_ns) { /* a clock that a test holds moves by engine_embedded_tick() alone */
        int64_t in = due > e->now ? due - e->now : 0;
        at = in > INT64_MAX / 2 ? INT64_MAX : e->mono_ns + in;
        at = at < e->retry_at ? e->retry_at : at;
    }
    return call && call->due_ns < at ? call->due_ns : at;
}

static bool wait_for_work(struct eng *e, int64_t until)
{
    while (!e->queue_head && !e->stop) {
        if (until == INT64_MAX) {
            pthread_cond_wait(&e->wake, &e->mutex);
            continue;
        }
        struct timespec t = {.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};
        if (pthread_cond_timedwait(&e->wake, &e->mutex, &t) == ETIMEDOUT)
            break;
    }
    return e->queue_head || !e->stop;
}

void *eng_thread(void *arg)
{
    struct eng *e = arg;
    pthread_setname_np(pthread_self(), "engine");
    for (;;) {
        int64_t until = wake_at(e);
        pthread_mutex_lock(&e->mutex);
        bool go_on = wait_for_work(e, until);
        struct call *list = e->queue_head, **last = &list;
        for (int n = 0; *last && n < CALLS_PER_BATCH; n++)
            last = &(*last)->next;
        e->queue_head = *last;
        *last = NULL;
        if (!e->queue_head)
            e->queue_tail = &e->queue_head;
        pthread_mutex_unlock(&e->mutex);
        if (!go_on)
            return NULL;
        run_batch(e, list);
    }
}
