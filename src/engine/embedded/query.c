#include "engine/embedded/query.h"

#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/match.h"
#include "engine/embedded/run.h"
#include "engine/embedded/wtask.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define QUERY_KEY_SIZE 24

struct query *query_find(const struct run *run, uint64_t id)
{
    struct query *q = run->queries;
    while (q && q->id != id)
        q = q->next;
    return q;
}

static struct query *take(struct run *run, struct query *q)
{
    struct query **p = &run->queries;
    while (*p != q)
        p = &(*p)->next;
    *p = q->next;
    return q;
}

/* Must a query wait for a workflow task, so that it sees all that the workflow was told of? */
static bool waits(const struct run *run)
{
    return run_is_open(run) && (wtask_state(run) != WTASK_NONE || !run->s->task_ever_completed);
}

void query_add(struct eng *e, struct run *run, struct call *c)
{
    struct query *q = mem_zalloc(sizeof *q);
    if (!q) {
        call_answer(e, c, NULL);
        return;
    }
    q->id = ++e->last_query_id;
    q->call = c;
    c->run = run;
    c->query_id = q->id;
    struct query **p = &run->queries; /* in their order */
    while (*p)
        p = &(*p)->next;
    *p = q;
    call_park(e, c, 10000);
    if (!waits(run))
        match_add_query(e, run, q->id);
}

static Pb__WorkflowQuery *copy_of(struct eng *e, const struct query *q)
{
    Pb__WorkflowQuery *copy = NULL;
    msg_set(e, &copy, ((const Pb__QueryWorkflowRequest *)q->call->req)->query);
    return copy;
}

void query_fill_task(struct eng *e, struct run *run, Pb__PollWorkflowTaskQueueResponse *r)
{
    size_t n = 0;
    for (struct query *q = run->queries; q; q = q->next)
        n += !q->sent;
    if (!n)
        return;
    r->queries = mem_calloc(n, sizeof *r->queries);
    if (!r->queries) {
        eng_nomem(e);
        return;
    }
    for (struct query *q = run->queries; q; q = q->next) {
        if (q->sent)
            continue;
        Pb__PollWorkflowTaskQueueResponse__QueriesEntry *entry = mem_alloc(sizeof *entry);
        if (!entry) {
            eng_nomem(e);
            return;
        }
        pb__poll_workflow_task_queue_response__queries_entry__init(entry);
        char key[QUERY_KEY_SIZE];
        snprintf(key, sizeof key, "%" PRIu64, q->id);
        str_set(e, &entry->key, key);
        entry->value = copy_of(e, q);
        r->queries[r->n_queries++] = entry;
        q->sent = true;
    }
}

void query_fill_own_task(struct eng *e, struct run *run, uint64_t id,
                         Pb__PollWorkflowTaskQueueResponse *r)
{
    struct query *q = query_find(run, id);
    if (q)
        r->query = copy_of(e, q);
}

static void answer(struct eng *e, struct call *c, bool answered, const Pb__Payloads *result,
                   const char *message, const Pb__Failure *failure)
{
    call_unpark(e, c);
    if (!answered) {
        if (failure && *failure->message && !*message)
            message = failure->message;
        call_fail(e, c, ERR_INVALID, "%s", *message ? message : "query failed");
        Pb__ErrorDetailQueryFailed *d = mem_alloc(sizeof *d);
        if (d) {
            pb__error_detail_query_failed__init(d);
            msg_set(e, &d->failure, failure);
        }
        call_detail(c, d);
        return;
    }
    Pb__QueryWorkflowResponse *r = (Pb__QueryWorkflowResponse *)call_new_response(c);
    if (r)
        msg_set(e, &r->query_result, result);
    call_answer(e, c, (ProtobufCMessage *)r);
}

void queries_answer(struct eng *e, struct run *run,
                    const Pb__RespondWorkflowTaskCompletedRequest *req)
{
    for (size_t i = 0; i < req->n_query_results; i++) {
        const Pb__WorkflowQueryResult *v = req->query_results[i]->value;
        struct query *q = query_find(run, strtoull(req->query_results[i]->key, NULL, 10));
        if (!q || !q->sent || q->own_task || !v)
            continue;
        take(run, q);
        answer(e, q->call, v->result_type == PB__QUERY_RESULT_TYPE__QUERY_RESULT_TYPE_ANSWERED,
               v->answer, v->error_message, v->failure);
        free(q);
    }
}

void query_answer(struct eng *e, struct run *run, struct query *q,
                  const Pb__RespondQueryTaskCompletedRequest *req)
{
    take(run, q);
    answer(e, q->call, req->completed_type == PB__QUERY_RESULT_TYPE__QUERY_RESULT_TYPE_ANSWERED,
           req->query_result, req->error_message, req->failure);
    free(q);
}

void queries_go_on(struct eng *e, struct run *run)
{
    for (struct query *q = run->queries; q; q = q->next) {
        if (q->own_task)
            continue;
        q->sent = false;
        if (!waits(run))
            match_add_query(e, run, q->id);
    }
}

void query_requeue(struct eng *e, struct run *run, uint64_t id)
{
    const struct query *q = query_find(run, id);
    if (q && !q->sent)
        match_add_query(e, run, id);
}

void queries_again(struct eng *e, struct run *run)
{
    for (struct query *q = run->queries; q; q = q->next)
        q->own_task = false;
    queries_go_on(e, run);
}

void query_drop(struct eng *e, struct call *c)
{
    struct query *q = query_find(c->run, c->query_id);
    if (q)
        free(take(c->run, q));
}

void queries_fail(struct eng *e, struct run *run)
{
    while (run->queries) {
        struct query *q = take(run, run->queries);
        call_unpark(e, q->call);
        call_fail(e, q->call, ERR_NOT_FOUND, "workflow execution not found");
        free(q);
    }
}
