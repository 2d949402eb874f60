#include "worker/claim.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "store/owned.h"
#include "store/refs.h"

#include <string.h>

#define SEEN_MAX 4096 /* claims that need no second look: with a bucket each costs a request */

static bool was_seen(struct worker *w, const char *key)
{
    pthread_mutex_lock(&w->claims.lock);
    bool seen = map_get(&w->claims.seen, key) != NULL;
    pthread_mutex_unlock(&w->claims.lock);
    return seen;
}

static void note_seen(struct worker *w, const char *key)
{
    pthread_mutex_lock(&w->claims.lock);
    if (w->claims.seen.len >= SEEN_MAX)
        map_clear(&w->claims.seen);
    map_set(&w->claims.seen, key, w); /* when memory is out it is looked at again */
    pthread_mutex_unlock(&w->claims.lock);
}

void worker_claims_release(struct worker *w)
{
    map_release(&w->claims.seen);
    pthread_mutex_destroy(&w->claims.lock);
}

struct claim {
    struct worker *w;
    const char *run, *keeper;  /* ids of workflows */
    const char *execution;     /* of the run, which keeps them itself; NULL: keeper is another */
};

static int claim(void *arg, json_t *object, const char *ref, struct err *err)
{
    const struct claim *c = arg;
    struct worker *w = c->w;
    bool kept;
    _cleanup_free_ char *key = c->execution ? mem_printf("%s %s", ref, c->execution) : NULL;
    _cleanup_free_ char *owner = store_run_owner(w->name_space, c->keeper);
    (void)object;
    if ((c->execution && !key) || !owner)
        return err_nomem(err);
    if (key && was_seen(w, key))
        return 0;
    int r = store_owned(w->o.store, w->name_space, c->run, ref, &kept, err);
    if (r == 0 && (!kept || !key))
        r = store_pin(w->o.store, owner, ref, 0, err);
    if (r == 0 && key)
        note_seen(w, key);
    return r;
}

int worker_claim(struct worker *w, const Pb__WorkflowExecution *run, const json_t *v, struct err *err)
{
    struct claim c = {w, run->workflow_id, run->workflow_id, run->run_id};
    return refs_each((json_t *)(uintptr_t)v, claim, &c, err);
}

int worker_claim_script(struct worker *w, const Pb__WorkflowExecution *run, const char *ref, struct err *err)
{
    struct claim c = {w, run->workflow_id, run->workflow_id, run->run_id};
    return claim(&c, NULL, ref, err);
}

/* What is not there is no reason to stop here: whoever reads it is told. */
static int claim_payloads(struct worker *w, const char *run, const char *keeper, const Pb__Payloads *p, struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    struct err why = {0};
    int r = p && p->n_payloads ? pbx_payloads_json(p, 0, &j, &why) : 0;
    struct claim c = {w, run, keeper, NULL};
    if (r == 0)
        r = refs_each(j, claim, &c, &why);
    return r == 0 || r == -ERR_NOT_FOUND || r == -ERR_INVALID || r == -ERR_LIMIT ? 0 : err_copy(err, &why);
}

int worker_claim_child(struct worker *w, const char *run, const Pb__StartChildWorkflowExecutionCommandAttributes *child,
                       struct err *err)
{
    const char *id = child->workflow_id ? child->workflow_id : "";
    int r = claim_payloads(w, run, id, child->input, err);
    for (size_t i = 0; r == 0 && child->header && i < child->header->n_fields; i++) {
        Pb__Payload *one[] = {child->header->fields[i]->value};
        Pb__Payloads p = PB__PAYLOADS__INIT;
        p.payloads = one;
        p.n_payloads = 1;
        if (strcmp(child->header->fields[i]->key, WORKER_CONTEXT_HEADER) == 0)
            r = claim_payloads(w, run, id, &p, err);
    }
    return r;
}

int worker_claim_answers(struct worker *w, const char *run, const Pb__History *h, int64_t since, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && h && i < h->n_events; i++) {
        const Pb__HistoryEvent *e = h->events[i];
        if (e->event_id <= since ||
            e->attributes_case != PB__HISTORY_EVENT__ATTRIBUTES_CHILD_WORKFLOW_EXECUTION_COMPLETED_EVENT_ATTRIBUTES)
            continue;
        const Pb__ChildWorkflowExecutionCompletedEventAttributes *a = e->child_workflow_execution_completed_event_attributes;
        if (a->workflow_execution)
            r = claim_payloads(w, a->workflow_execution->workflow_id, run, a->result, err);
    }
    return r;
}
