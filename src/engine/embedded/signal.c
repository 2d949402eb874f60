#include "engine/embedded/signal.h"

#include "base/mem.h"
#include "engine/embedded/event.h"
#include "engine/embedded/run.h"
#include "engine/embedded/wtask.h"

#include <string.h>

/* So many request ids of signals are remembered; a repeat comes soon after its original. */
#define REQUEST_IDS_MAX 256

static bool seen(const Pb__EmbeddedRun *s, const char *request_id)
{
    for (size_t i = 0; i < s->n_signal_request_ids; i++)
        if (strcmp(s->signal_request_ids[i], request_id) == 0)
            return true;
    return false;
}

static void remember(struct eng *e, Pb__EmbeddedRun *s, const char *request_id)
{
    size_t n = s->n_signal_request_ids;
    char *copy = mem_strdup(request_id);
    char **list = n < REQUEST_IDS_MAX ? mem_realloc(s->signal_request_ids, (n + 1) * sizeof *list)
                                      : s->signal_request_ids;
    if (list)
        s->signal_request_ids = list;
    if (!copy || !list) {
        free(copy);
        eng_nomem(e);
        return;
    }
    if (n == REQUEST_IDS_MAX) {
        free(list[0]);
        memmove(list, list + 1, --n * sizeof *list);
    }
    list[n] = copy;
    s->n_signal_request_ids = n + 1;
}

void signal_run(struct eng *e, struct run *run, const struct signal *sig)
{
    if (*sig->request_id) {
        if (seen(run->s, sig->request_id))
            return;
        run_dirty(e, run);
        remember(e, run->s, sig->request_id);
    }
    run->s->signals++;
    EVENT(ev, a, WORKFLOW_EXECUTION_SIGNALED, workflow_execution_signaled, WorkflowExecutionSignaled);
    a.signal_name = (char *)sig->name;
    a.input = (Pb__Payloads *)sig->input;
    a.identity = (char *)sig->identity;
    a.header = (Pb__Header *)sig->header;
    a.external_workflow_execution = (Pb__WorkflowExecution *)sig->from;
    a.request_id = (char *)sig->request_id;
    event_post(e, run, &ev, 0);
    wtask_ensure(e, run);
}

void cancel_run(struct eng *e, struct run *run, const struct cancel *cancel)
{
    if (run->s->cancel_requested)
        return;
    run_dirty(e, run);
    run->s->cancel_requested = true;
    str_set(e, &run->s->cancel_request_id, cancel->request_id);
    EVENT(ev, a, WORKFLOW_EXECUTION_CANCEL_REQUESTED, workflow_execution_cancel_requested,
          WorkflowExecutionCancelRequested);
    a.cause = (char *)cancel->reason;
    a.identity = (char *)cancel->identity;
    a.external_workflow_execution = (Pb__WorkflowExecution *)cancel->from;
    a.external_initiated_event_id = cancel->initiated_id;
    event_post(e, run, &ev, 0);
    wtask_ensure(e, run);
}
