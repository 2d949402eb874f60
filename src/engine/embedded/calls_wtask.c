/* Calls of workflow workers. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/activity.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/close.h"
#include "engine/embedded/command.h"
#include "engine/embedded/dispatch.h"
#include "engine/embedded/effect.h"
#include "engine/embedded/match.h"
#include "engine/embedded/query.h"
#include "engine/embedded/run.h"
#include "engine/embedded/token.h"
#include "engine/embedded/update.h"
#include "engine/embedded/wtask.h"

#include <string.h>

void call_poll_workflow_task(struct eng *e, struct call *c)
{
    const Pb__PollWorkflowTaskQueueRequest *q = (const void *)c->req;
    const char *name = q->task_queue ? q->task_queue->name : "";
    if (!*name || strlen(name) > ENGINE_ID_MAX) {
        call_fail(e, c, ERR_INVALID, "task queue is not set or longer than %d bytes", ENGINE_ID_MAX);
        return;
    }
    match_poll(e, c, QUEUE_WORKFLOW, name, q->identity);
}

/* The run whose started workflow task the token names; NULL: the call is answered. */
static struct run *run_of_token(struct eng *e, struct call *c, const ProtobufCBinaryData *bytes)
{
    struct token t;
    struct err err = {0};
    struct run *run;
    if (token_read(e->db.token_key, bytes, &t, &err) < 0 || t.kind != TOKEN_WORKFLOW_TASK ||
        (c->ns && c->ns != t.ns)) {
        call_fail(e, c, ERR_INVALID, "invalid task token");
        return NULL;
    }
    int r = run_get(e, t.run_key, &run, &err);
    if (r < 0 && r != -ERR_NOT_FOUND) {
        call_fail_err(e, c, &err);
        return NULL;
    }
    if (r < 0 || !run_is_open(run) || wtask_state(run) != WTASK_STARTED ||
        run->s->task_scheduled_id != t.id || run->s->task_attempt != t.attempt ||
        run->s->task_stamp != t.stamp) {
        call_fail(e, c, ERR_NOT_FOUND, "Workflow task not found.");
        return NULL;
    }
    return run;
}

/* What a refused set of commands must leave as it was. */
struct savepoint {
    uint8_t *state; /* NULL: it is what the database has */
    size_t state_len, tail_len, effects;
};

static bool save(struct eng *e, struct run *run, struct savepoint *sp)
{
    sp->tail_len = run->tail.len;
    sp->effects = e->effects.len;
    if (!run->dirty || pbx_pack(&run->s->base, &sp->state, &sp->state_len, NULL) == 0)
        return true;
    eng_nomem(e);
    return false;
}

static bool go_back(struct eng *e, struct run *run, const struct savepoint *sp)
{
    struct err err = {0};
    Pb__EmbeddedRun *s;
    int r = 0;
    if (!sp->state)
        r = run_read_state(e, run, &s, &err);
    else if (!(s = pb__embedded_run__unpack(NULL, sp->state_len, sp->state)))
        r = err_nomem(&err);
    if (r < 0) {
        eng_fault(e, &err);
        return false;
    }
    pb__embedded_run__free_unpacked(run->s, NULL);
    run->s = s;
    run->tail.len = sp->tail_len;
    e->effects.len = sp->effects;
    return true;
}

static void set_sticky(struct eng *e, struct run *run, const Pb__StickyExecutionAttributes *a)
{
    if (!a || !a->worker_task_queue || !*a->worker_task_queue->name) {
        wtask_clear_sticky(e, run);
        return;
    }
    if (strcmp(run->s->sticky_queue, a->worker_task_queue->name) != 0)
        str_set(e, &run->s->sticky_queue, a->worker_task_queue->name);
    run->s->sticky_timeout_ns = pbx_duration_ns(a->schedule_to_start_timeout);
    run_dirty(e, run);
}

static void refuse(struct eng *e, struct run *run, struct call *c, const struct command_failure *f,
                   const char *identity)
{
    Pb__Failure failure = PB__FAILURE__INIT;
    Pb__ServerFailureInfo info = PB__SERVER_FAILURE_INFO__INIT;
    failure.message = (char *)f->err.msg;
    failure.failure_info_case = PB__FAILURE__FAILURE_INFO_SERVER_FAILURE_INFO;
    failure.server_failure_info = &info;
    wtask_fail(e, run, f->cause, &failure, identity);
    if (f->terminate)
        close_terminated(e, run, f->err.msg, NULL, "history-service");
    else
        wtask_schedule(e, run);
    call_fail(e, c, ERR_INVALID, "%s", f->err.msg);
}

/* The activities that the worker has asked for together with the answer: c->started, which goes on as the answer. */
static void take_eager(struct eng *e, struct run *run, struct call *c, const char *identity)
{
    Pb__RespondWorkflowTaskCompletedResponse *r = (void *)call_new_response(c);
    c->started = (ProtobufCMessage *)r;
    if (!r || !(r->activity_tasks = mem_calloc(e->eager.len, sizeof *r->activity_tasks))) {
        eng_nomem(e);
        return;
    }
    VEC_EACH (&e->eager, id) {
        Pb__EmbeddedActivity *a = run_is_open(run) ? activity_find(run, *id) : NULL;
        if (!a)
            continue; /* cancelled by a later command, or its run has ended */
        if (e->draining[c->outside]) {
            match_add_activity(e, run, a, NULL);
            continue;
        }
        activity_start(e, run, a, guests_taker(e, c, identity), identity);
        Pb__PollActivityTaskQueueResponse *task = dispatch_activity(e, run, a, NULL);
        if (task)
            r->activity_tasks[r->n_activity_tasks++] = task;
    }
}

/* discarded: what the worker was sent is not in the history, so it goes back to where it was before. */
static void answer_completed(struct eng *e, struct run *run, struct call *c,
                             const Pb__RespondWorkflowTaskCompletedRequest *q, bool discarded)
{
    int64_t reset_id = discarded ? run->s->previous_started_id : 0;
    if (e->eager.len)
        take_eager(e, run, c, q->identity);
    if (q->return_new_workflow_task && run_is_open(run) && wtask_state(run) == WTASK_SCHEDULED &&
        !run->s->task_backoff) {
        wtask_start(e, run, q->identity);
        dispatch_workflow_task(e, c, run, *run->s->sticky_queue, 0, reset_id);
        return;
    }
    Pb__RespondWorkflowTaskCompletedResponse *r = c->started ? (void *)TAKE_PTR(c->started) : (void *)call_new_response(c);
    if (r)
        r->reset_history_event_id = reset_id;
    call_answer(e, c, (ProtobufCMessage *)r);
}

void call_complete_workflow_task(struct eng *e, struct call *c)
{
    const Pb__RespondWorkflowTaskCompletedRequest *q = (const void *)c->req;
    struct run *run = run_of_token(e, c, &q->task_token);
    struct savepoint sp = {0};
    struct err err = {0};
    if (!run)
        return;
    if (commands_check_sequence(q, &err) < 0) {
        call_fail(e, c, ERR_INVALID, "%s", err.msg);
        return;
    }
    if (!save(e, run, &sp)) {
        call_answer(e, c, NULL);
        return;
    }
    struct command_failure failure = {0};
    bool buffered = run->s->n_buffered > 0;
    run->completing = true;
    run->want_task = false;
    bool discarded = !wtask_complete(e, run, q);
    commands_apply(e, run, q, buffered, &failure);
    run->completing = false;
    if (failure.cause) {
        if (go_back(e, run, &sp))
            refuse(e, run, c, &failure, q->identity);
        else
            call_answer(e, c, NULL);
        queries_go_on(e, run);
    } else {
        updates_answered(e, run, q->force_create_new_workflow_task);
        if (run_is_open(run))
            set_sticky(e, run, q->sticky_attributes);
        if (run_is_open(run) &&
            (run->want_task || run->s->n_buffered || q->force_create_new_workflow_task))
            wtask_schedule(e, run);
        else if (run_is_open(run) && updates_unsent(run))
            (q->return_new_workflow_task ? wtask_schedule_speculative : wtask_schedule)(e, run);
        queries_answer(e, run, q);
        effects_run(e);
        queries_go_on(e, run);
        answer_completed(e, run, c, q, discarded);
    }
    free(sp.state);
}

void call_fail_workflow_task(struct eng *e, struct call *c)
{
    const Pb__RespondWorkflowTaskFailedRequest *q = (const void *)c->req;
    struct run *run = run_of_token(e, c, &q->task_token);
    if (!run)
        return;
    wtask_fail(e, run, q->cause, q->failure, q->identity);
    wtask_schedule(e, run);
    queries_go_on(e, run);
    call_answer_empty(e, c);
}

void call_complete_query(struct eng *e, struct call *c)
{
    const Pb__RespondQueryTaskCompletedRequest *q = (const void *)c->req;
    struct token t;
    struct err err = {0};
    struct run *run;
    if (token_read(e->db.token_key, &q->task_token, &t, &err) < 0 || t.kind != TOKEN_QUERY) {
        call_fail(e, c, ERR_INVALID, "invalid task token");
        return;
    }
    struct query *query = NULL;
    if (t.stamp == (int64_t)e->db.generation && run_get(e, t.run_key, &run, &err) == 0)
        query = query_find(run, (uint64_t)t.id);
    if (!query || !query->own_task || (c->ns && c->ns != run->ns)) {
        call_fail(e, c, ERR_NOT_FOUND, "query not found: it was answered or its caller has gone");
        return;
    }
    query_answer(e, run, query, q);
    call_answer_empty(e, c);
}
