#include "engine/embedded/start.h"

#include "codec/pbx.h"
#include "engine/embedded/event.h"
#include "engine/embedded/retry.h"
#include "engine/embedded/run.h"
#include "engine/embedded/signal.h"
#include "engine/embedded/wtask.h"

#include <string.h>

static int64_t min_set(int64_t a, int64_t b)
{
    return !a ? b : !b || a < b ? a : b;
}

/* Timeouts, and what the run inherits from its chain and its parent. */
static void fill_state(struct eng *e, struct run *run, const struct start *p)
{
    Pb__EmbeddedRun *s = run->s;
    const Pb__EmbeddedRun *prev = p->previous ? p->previous->s : NULL;
    str_set(e, &s->workflow_type, p->workflow_type);
    str_set(e, &s->task_queue, p->task_queue);
    str_set(e, &s->start_request_id, p->request_id);
    str_set(e, &s->first_run_id, prev ? prev->first_run_id : s->run_id);
    str_set(e, &s->original_run_id, s->run_id);
    s->start_ns = e->now;
    s->first_start_ns = prev ? prev->first_start_ns : e->now;
    s->attempt = p->attempt ? p->attempt : 1;
    s->execution_timeout_ns = p->execution_timeout_ns;
    s->run_timeout_ns = p->run_timeout_ns ? p->run_timeout_ns : p->execution_timeout_ns;
    s->task_timeout_ns = p->task_timeout_ns ? p->task_timeout_ns : START_TASK_TIMEOUT_DEFAULT_NS;
    if (s->task_timeout_ns > START_TASK_TIMEOUT_MAX_NS)
        s->task_timeout_ns = START_TASK_TIMEOUT_MAX_NS;
    s->execution_ns = e->now + (p->delay_ns > 0 ? p->delay_ns : 0);
    str_set(e, &s->cron_schedule, p->cron_schedule ? p->cron_schedule : "");
    s->first_task_ns = p->delay_ns > 0 ? e->now + p->delay_ns : 0;
    s->execution_deadline_ns = prev && prev->execution_deadline_ns ? prev->execution_deadline_ns
                               : p->execution_timeout_ns
                                   ? e->now + p->delay_ns + p->execution_timeout_ns
                                   : 0;
    s->run_deadline_ns = s->run_timeout_ns ? e->now + p->delay_ns + s->run_timeout_ns : 0;
    s->run_deadline_ns = min_set(s->run_deadline_ns, s->execution_deadline_ns);
    msg_set(e, &s->memo, p->memo);
    msg_set(e, &s->search_attributes, p->search_attributes);
    run->attributes_changed = p->search_attributes && p->search_attributes->n_indexed_fields;
    msg_set(e, &s->user_metadata, p->user_metadata);
    if (p->retry_policy) {
        Pb__RetryPolicy policy = *p->retry_policy;
        Pb__Duration initial, maximum;
        retry_fill_defaults(&policy, &initial, &maximum);
        msg_set(e, &s->retry_policy, &policy);
    }
}

const char *start_namespace(const struct eng *e, int64_t ns)
{
    for (size_t i = 0; i < e->namespaces.len; i++)
        if (e->namespaces.v[i].id == ns)
            return e->namespaces.v[i].name;
    return "";
}

static void fill_family(struct eng *e, struct run *run, const struct start *p)
{
    Pb__EmbeddedRun *s = run->s;
    const Pb__EmbeddedRun *prev = p->previous ? p->previous->s : NULL;
    Pb__EmbeddedParent parent = PB__EMBEDDED_PARENT__INIT;
    Pb__WorkflowExecution root = PB__WORKFLOW_EXECUTION__INIT;
    if (p->parent) {
        parent.namespace_ = (char *)start_namespace(e, p->parent->ns);
        parent.workflow_id = p->parent->s->workflow_id;
        parent.run_id = p->parent->s->run_id;
        parent.initiated_id = p->initiated_id;
        msg_set(e, &s->parent, &parent);
        msg_set(e, &s->root, p->parent->s->root);
    } else if (prev) {
        msg_set(e, &s->parent, prev->parent);
        msg_set(e, &s->root, prev->root);
    }
    if (!s->root) {
        root.workflow_id = s->workflow_id;
        root.run_id = s->first_run_id;
        msg_set(e, &s->root, &root);
    }
}

static void add_event(struct eng *e, struct run *run, const struct start *p)
{
    Pb__EmbeddedRun *s = run->s;
    EVENT(ev, a, WORKFLOW_EXECUTION_STARTED, workflow_execution_started, WorkflowExecutionStarted);
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    Pb__Duration execution = event_duration(s->execution_timeout_ns),
                 limit = event_duration(s->run_timeout_ns), task = event_duration(s->task_timeout_ns),
                 delay = event_duration(p->delay_ns);
    Pb__Timestamp expires = event_timestamp(s->execution_deadline_ns);
    Pb__WorkflowExecution parent = PB__WORKFLOW_EXECUTION__INIT;
    type.name = s->workflow_type;
    queue.name = s->task_queue;
    queue.kind = PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_NORMAL;
    a.workflow_type = &type;
    a.workflow_id = s->workflow_id;
    a.task_queue = &queue;
    a.input = (Pb__Payloads *)p->input;
    a.workflow_execution_timeout = &execution;
    a.workflow_run_timeout = &limit;
    a.workflow_task_timeout = &task;
    a.original_execution_run_id = s->original_run_id;
    a.first_execution_run_id = s->first_run_id;
    a.identity = (char *)p->identity;
    a.retry_policy = s->retry_policy;
    a.attempt = s->attempt;
    a.cron_schedule = s->cron_schedule;
    if (*s->cron_schedule) /* also of the first run, as Temporal has it */
        a.initiator = PB__CONTINUE_AS_NEW_INITIATOR__CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE;
    if (s->execution_deadline_ns)
        a.workflow_execution_expiration_time = &expires;
    a.first_workflow_task_backoff = &delay;
    a.memo = s->memo;
    a.search_attributes = s->search_attributes;
    a.header = (Pb__Header *)p->header;
    a.eager_execution_accepted = p->eager;
    if (s->parent) {
        a.root_workflow_execution = s->root; /* a root does not name itself */
        parent.workflow_id = s->parent->workflow_id;
        parent.run_id = s->parent->run_id;
        a.parent_workflow_namespace = s->parent->namespace_;
        a.parent_workflow_execution = &parent;
        a.parent_initiated_event_id = s->parent->initiated_id;
    }
    if (p->previous) {
        a.continued_execution_run_id = p->previous->s->run_id;
        a.initiator = p->initiator;
        a.continued_failure = (Pb__Failure *)p->continued_failure;
        a.last_completion_result = (Pb__Payloads *)p->last_result;
    }
    ev.user_metadata = s->user_metadata;
    event_add(e, run, &ev);
}

struct run *start_run(struct eng *e, const struct start *p)
{
    struct run *run = run_new(e, p->ns, p->workflow_id);
    if (!run)
        return NULL;
    fill_state(e, run, p);
    fill_family(e, run, p);
    add_event(e, run, p);
    if (p->signal)
        signal_run(e, run, p->signal);
    else if (!run->s->first_task_ns)
        wtask_schedule(e, run);
    return run;
}

static enum start_verdict running_verdict(struct run *run, Pb__WorkflowIdReusePolicy reuse,
                                          Pb__WorkflowIdConflictPolicy conflict, struct err *err)
{
    if (reuse == PB__WORKFLOW_ID_REUSE_POLICY__WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING)
        conflict = PB__WORKFLOW_ID_CONFLICT_POLICY__WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING;
    switch (conflict) {
    case PB__WORKFLOW_ID_CONFLICT_POLICY__WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING:
        return START_EXISTING;
    case PB__WORKFLOW_ID_CONFLICT_POLICY__WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING:
        return START_TERMINATE;
    default:
        err_set(err, ERR_EXISTS,
                "Workflow execution is already running. WorkflowId: %.200s, RunId: %s.",
                run->s->workflow_id, run->s->run_id);
        return START_REFUSED;
    }
}

static bool ended_well(const struct run *run)
{
    return run->s->status == PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_COMPLETED;
}

enum start_verdict start_check(struct eng *e, int64_t ns, const char *workflow_id,
                               const char *request_id, Pb__WorkflowIdReusePolicy reuse,
                               Pb__WorkflowIdConflictPolicy conflict, struct run **ret,
                               struct err *err)
{
    struct run *run;
    struct err local = {0};
    int r = run_find(e, ns, workflow_id, "", &run, &local);
    *ret = NULL;
    if (r == -ERR_NOT_FOUND)
        return START_NEW;
    if (r < 0) {
        err_copy(err, &local);
        return START_REFUSED;
    }
    *ret = run;
    if (*request_id && strcmp(run->s->start_request_id, request_id) == 0)
        return START_EXISTING;
    if (run_is_open(run))
        return running_verdict(run, reuse, conflict, err);
    bool failed_only = reuse == PB__WORKFLOW_ID_REUSE_POLICY__WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY;
    if (reuse == PB__WORKFLOW_ID_REUSE_POLICY__WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE ||
        (failed_only && ended_well(run))) {
        err_set(err, ERR_EXISTS,
                "Workflow execution already finished%s. WorkflowId: %.200s, RunId: %s. Workflow Id "
                "reuse policy: %s.",
                failed_only ? " successfully" : "", run->s->workflow_id, run->s->run_id,
                failed_only ? "AllowDuplicateFailedOnly" : "RejectDuplicate");
        return START_REFUSED;
    }
    return START_NEW;
}
