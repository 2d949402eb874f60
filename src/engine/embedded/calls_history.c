/* GetWorkflowExecutionHistory: pages, and waiting for new events or for the end. */
#include "base/mem.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/history.h"
#include "engine/embedded/run.h"
#include "engine/embedded/token.h"
#include "engine/embedded/wtask.h"

#include <string.h>

#define PAGE_BYTES ((size_t)4 << 20)
#define FLAG_TASK 1 /* the rest of a workflow task's history: ends where the task does */
#define FLAG_WAIT 2

static const Pb__GetWorkflowExecutionHistoryRequest *request(const struct call *c)
{
    return (const void *)c->req;
}

static bool close_only(const struct call *c)
{
    return request(c)->history_event_filter_type ==
           PB__HISTORY_EVENT_FILTER_TYPE__HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT;
}

/* The answer with events from c->from_id to `to`; token says how to go on, if at all. */
static void answer(struct eng *e, struct call *c, struct run *run, int64_t to, bool wait, bool task)
{
    int32_t asked = request(c)->maximum_page_size;
    struct history_range range = {
        .from = c->from_id,
        .to = to,
        .max_events = asked > 0 && asked < ENGINE_HISTORY_PAGE ? (size_t)asked : ENGINE_HISTORY_PAGE,
        .max_bytes = PAGE_BYTES};
    struct err err = {0};
    Pb__GetWorkflowExecutionHistoryResponse *r = (void *)call_new_response(c);
    if (!r) {
        call_answer(e, c, NULL);
        return;
    }
    int64_t next = range.from;
    bool transient = task && wtask_state(run) == WTASK_STARTED && wtask_is_unwritten(run);
    int q = c->outside && !transient ? history_read_packed(e, run, &range, &r->base, &next, &err)
                                     : history_read(e, run, &range, &r->history, &next, &err);
    if (q < 0) {
        engine_free_message(&r->base);
        call_fail_err(e, c, &err);
        return;
    }
    /* With wait an open run always goes on. */
    bool more = next < to || (wait && run_is_open(run));
    if (transient && next == to && !wtask_add_transient(run, r->history))
        eng_nomem(e);
    if (more) {
        struct token t = {.kind = TOKEN_HISTORY, .ns = run->ns, .run_key = run->key, .id = next,
                          .attempt = (task ? FLAG_TASK : 0) | (wait ? FLAG_WAIT : 0), .stamp = task ? to : 0};
        r->next_page_token = token_make(e->db.token_key, &t);
        if (!r->next_page_token.data)
            eng_nomem(e);
    }
    call_answer(e, c, &r->base);
}

/* The closing event alone. */
static void answer_close(struct eng *e, struct call *c, struct run *run)
{
    c->from_id = run->s->next_event_id - 1;
    answer(e, c, run, run->s->next_event_id, false, false);
}

static void add_waiter(struct run *run, struct call *c)
{
    c->prev = NULL;
    c->next = run->waiters;
    if (c->next)
        c->next->prev = c;
    run->waiters = c;
}

static void wait_for(struct eng *e, struct call *c, struct run *run)
{
    c->run = run;
    add_waiter(run, c);
    call_park(e, c, 20000);
}

void call_get_history(struct eng *e, struct call *c)
{
    const Pb__GetWorkflowExecutionHistoryRequest *q = request(c);
    struct token t = {.id = 1, .attempt = q->wait_new_event ? FLAG_WAIT : 0};
    struct err err = {0};
    struct run *run;
    int r;
    if (q->next_page_token.len) {
        r = token_read(e->db.token_key, &q->next_page_token, &t, &err);
        if (r < 0 || t.kind != TOKEN_HISTORY || t.ns != c->ns) {
            call_fail(e, c, ERR_INVALID, "invalid page token");
            return;
        }
        r = run_get(e, t.run_key, &run, &err);
    } else {
        r = run_find_execution(e, c->ns, q->execution, false, &run, &err);
    }
    if (r < 0) {
        call_fail_err(e, c, &err);
        return;
    }
    bool wait = t.attempt & FLAG_WAIT, task = t.attempt & FLAG_TASK;
    int64_t to = task && t.stamp < run->s->next_event_id ? t.stamp : run->s->next_event_id;
    c->from_id = t.id;
    if (close_only(c)) {
        if (run_is_open(run) && wait)
            wait_for(e, c, run);
        else
            answer_close(e, c, run);
    } else if (wait && c->from_id >= to && run_is_open(run)) {
        wait_for(e, c, run);
    } else {
        answer(e, c, run, to, wait, task);
    }
}

void history_wake(struct eng *e, struct run *run)
{
    struct call *list = run->waiters, *next;
    run->waiters = NULL;
    for (struct call *c = list; c; c = next) {
        next = c->next;
        add_waiter(run, c); /* back, so that unpark finds it */
        if (close_only(c) ? run_is_open(run) : c->from_id >= run->s->next_event_id)
            continue;
        call_unpark(e, c);
        if (close_only(c))
            answer_close(e, c, run);
        else
            answer(e, c, run, run->s->next_event_id, true, false);
    }
}

void history_drop(struct eng *e, struct call *c)
{
    (void)e;
    *(c->prev ? &c->prev->next : &c->run->waiters) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->next = c->prev = NULL;
}

void history_answer_late(struct eng *e, struct call *c)
{
    struct run *run = c->run;
    Pb__GetWorkflowExecutionHistoryResponse *r = (void *)call_new_response(c);
    struct token t = {.kind = TOKEN_HISTORY, .ns = run->ns, .run_key = run->key, .id = c->from_id,
                      .attempt = FLAG_WAIT};
    Pb__History *h = mem_alloc(sizeof *h);
    if (r && h) {
        pb__history__init(h);
        r->history = h;
        r->next_page_token = token_make(e->db.token_key, &t);
        if (!r->next_page_token.data)
            eng_nomem(e);
    } else {
        free(h);
        eng_nomem(e);
    }
    call_answer(e, c, (ProtobufCMessage *)r);
}

/* Pages from the last event to the first. A token's id is the one below the last event given. */
void call_get_history_reverse(struct eng *e, struct call *c)
{
    const Pb__GetWorkflowExecutionHistoryReverseRequest *q = (const void *)c->req;
    struct token t = {0};
    struct err err = {0};
    struct run *run;
    int r;
    if (q->next_page_token.len) {
        if (token_read(e->db.token_key, &q->next_page_token, &t, &err) < 0 || t.kind != TOKEN_HISTORY_REVERSE ||
            t.ns != c->ns) {
            call_fail(e, c, ERR_INVALID, "invalid page token");
            return;
        }
        r = run_get(e, t.run_key, &run, &err);
    } else {
        r = run_find_execution(e, c->ns, q->execution, false, &run, &err);
        t.id = r == 0 ? run->s->next_event_id - 1 : 0;
    }
    Pb__GetWorkflowExecutionHistoryReverseResponse *resp = r == 0 ? (void *)call_new_response(c) : NULL;
    int32_t asked = q->maximum_page_size, page = asked > 0 && asked < ENGINE_HISTORY_PAGE ? asked : ENGINE_HISTORY_PAGE;
    int64_t first = t.id >= page ? t.id - page + 1 : 1, next;
    if (resp) {
        struct history_range range = {
            .from = first, .to = t.id + 1, .max_events = (size_t)page, .max_bytes = SIZE_MAX};
        r = history_read(e, run, &range, &resp->history, &next, &err);
    }
    if (r < 0) {
        engine_free_message((ProtobufCMessage *)resp);
        call_fail_err(e, c, &err);
        return;
    }
    if (resp) {
        Pb__History *h = resp->history;
        for (size_t i = 0; i < h->n_events / 2; i++) {
            Pb__HistoryEvent *swap = h->events[i];
            h->events[i] = h->events[h->n_events - 1 - i];
            h->events[h->n_events - 1 - i] = swap;
        }
        struct token on = {.kind = TOKEN_HISTORY_REVERSE, .ns = run->ns, .run_key = run->key, .id = first - 1};
        if (first > 1 && !(resp->next_page_token = token_make(e->db.token_key, &on)).data)
            eng_nomem(e);
    }
    call_answer(e, c, (ProtobufCMessage *)resp);
}
