#include "engine/embedded/effect.h"

#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/close.h"
#include "engine/embedded/cron.h"
#include "engine/embedded/event.h"
#include "engine/embedded/run.h"
#include "engine/embedded/signal.h"
#include "engine/embedded/start.h"
#include "engine/embedded/wtask.h"

#include <stdio.h>
#include <string.h>

static struct effect *add(struct eng *e, struct run *run, enum effect_kind kind, int64_t initiated_id,
                          const void *attributes)
{
    struct effect f = {.kind = kind, .run_key = run->key, .initiated_id = initiated_id,
                       .attributes = attributes};
    if (!VEC_PUSH(&e->effects, f)) {
        eng_nomem(e);
        return NULL;
    }
    return &e->effects.v[e->effects.len - 1];
}

void effect_start_child(struct eng *e, struct run *run, int64_t initiated_id,
                        const Pb__StartChildWorkflowExecutionCommandAttributes *a)
{
    add(e, run, EFFECT_START_CHILD, initiated_id, a);
}

void effect_signal(struct eng *e, struct run *run, int64_t initiated_id,
                   const Pb__SignalExternalWorkflowExecutionCommandAttributes *a)
{
    add(e, run, EFFECT_SIGNAL, initiated_id, a);
}

void effect_cancel(struct eng *e, struct run *run, int64_t initiated_id,
                   const Pb__RequestCancelExternalWorkflowExecutionCommandAttributes *a)
{
    add(e, run, EFFECT_CANCEL, initiated_id, a);
}

void effect_parent_closed(struct eng *e, struct run *run, const Pb__EmbeddedChild *child)
{
    if (child->policy == PB__PARENT_CLOSE_POLICY__PARENT_CLOSE_POLICY_ABANDON || !child->started_id)
        return; /* not started: EFFECT_START_CHILD sees to it */
    struct effect *f = add(e, run, EFFECT_PARENT_CLOSED, child->initiated_id, NULL);
    if (!f)
        return;
    f->policy = child->policy;
    f->workflow_id = arena_strdup(&e->arena, child->workflow_id);
    f->run_id = arena_strdup(&e->arena, child->run_id);
    if (!f->workflow_id || !f->run_id)
        eng_nomem(e);
}

static Pb__EmbeddedChild *child_of(struct run *run, int64_t initiated_id)
{
    for (size_t i = 0; i < run->s->n_children; i++)
        if (run->s->children[i]->initiated_id == initiated_id)
            return run->s->children[i];
    return NULL;
}

static void child_refused(struct eng *e, struct run *run, const struct effect *f)
{
    const Pb__StartChildWorkflowExecutionCommandAttributes *c = f->attributes;
    EVENT(ev, a, START_CHILD_WORKFLOW_EXECUTION_FAILED, start_child_workflow_execution_failed,
          StartChildWorkflowExecutionFailed);
    a.namespace_ = (char *)start_namespace(e, run->ns);
    a.control = c->control;
    a.workflow_id = c->workflow_id;
    a.workflow_type = c->workflow_type;
    a.cause =
        PB__START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE__START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS;
    a.initiated_event_id = f->initiated_id;
    event_post(e, run, &ev, f->initiated_id);
    Pb__EmbeddedRun *s = run->s;
    for (size_t i = 0; i < s->n_children; i++)
        if (s->children[i]->initiated_id == f->initiated_id) {
            pb__embedded_child__free_unpacked(s->children[i], NULL);
            s->n_children--;
            memmove(&s->children[i], &s->children[i + 1],
                    (s->n_children - i) * sizeof *s->children);
            break;
        }
    wtask_ensure(e, run);
}

static void child_started(struct eng *e, struct run *run, Pb__EmbeddedChild *c, struct run *child,
                          const Pb__Header *header)
{
    EVENT(ev, a, CHILD_WORKFLOW_EXECUTION_STARTED, child_workflow_execution_started,
          ChildWorkflowExecutionStarted);
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    x.workflow_id = child->s->workflow_id;
    x.run_id = child->s->run_id;
    type.name = child->s->workflow_type;
    a.namespace_ = (char *)start_namespace(e, run->ns);
    a.initiated_event_id = c->initiated_id;
    a.workflow_execution = &x;
    a.workflow_type = &type;
    a.header = (Pb__Header *)header;
    run_dirty(e, run);
    c->started_id = event_post(e, run, &ev, c->initiated_id);
    str_set(e, &c->run_id, child->s->run_id);
    wtask_ensure(e, run);
}

/* Until the first run of a schedule, which was checked with its command. */
static int64_t cron_delay(const struct eng *e, const char *schedule)
{
    int64_t at;
    if (!*schedule || cron_due(schedule, e->now, e->now, &at, NULL) < 0)
        return 0;
    return at == INT64_MAX ? 0 : at - e->now;
}

/* Of a namespace. Counted once for the children of a call. */
static void count_runs(struct eng *e, int64_t ns)
{
    if (e->effects_ns == ns)
        return;
    e->effects_ns = ns;
    e->effects_runs = 0;
    MAP_EACH (&e->runs, entry) {
        const struct run *run = entry->value;
        e->effects_runs += run->ns == ns && !run->deleted && (run->s ? run_is_open(run) : run->open);
    }
}

/* May the child that is about to be started go on? */
static bool admit_child(struct eng *e, int64_t ns, struct err *err)
{
    if (!e->admit)
        return true;
    count_runs(e, ns);
    if (e->admit(e->admit_arg, start_namespace(e, ns), e->effects_runs, err) < 0)
        return false;
    e->effects_runs++;
    return true;
}

static void start_child(struct eng *e, struct run *run, const struct effect *f)
{
    const Pb__StartChildWorkflowExecutionCommandAttributes *c = f->attributes;
    bool open = run_is_open(run);
    if (!open && c->parent_close_policy != PB__PARENT_CLOSE_POLICY__PARENT_CLOSE_POLICY_ABANDON)
        return;
    char request_id[64];
    snprintf(request_id, sizeof request_id, "%s:%lld", run->s->run_id, (long long)f->initiated_id);
    struct run *there;
    struct err err = {0};
    enum start_verdict v = start_check(e, run->ns, c->workflow_id, request_id,
                                       c->workflow_id_reuse_policy, 0, &there, &err);
    if (v == START_REFUSED && err.code != ERR_EXISTS) {
        eng_fault(e, &err);
        return;
    }
    if (v == START_REFUSED || v == START_EXISTING) {
        if (open)
            child_refused(e, run, f);
        return;
    }
    if (v == START_TERMINATE)
        close_terminated(e, there, "TerminateIfRunning WorkflowIdReusePolicy", NULL,
                         "history-service");
    e->effects_runs -= v == START_TERMINATE && e->effects_ns == run->ns;
    struct err full = {0};
    bool admitted = admit_child(e, run->ns, &full);
    bool queued = c->task_queue && *c->task_queue->name;
    struct start p = {.ns = run->ns,
                      .workflow_id = c->workflow_id,
                      .workflow_type = c->workflow_type->name,
                      .task_queue = queued ? c->task_queue->name : run->s->task_queue,
                      .identity = "",
                      .request_id = request_id,
                      .input = c->input,
                      .execution_timeout_ns = pbx_duration_ns(c->workflow_execution_timeout),
                      .run_timeout_ns = pbx_duration_ns(c->workflow_run_timeout),
                      .task_timeout_ns = pbx_duration_ns(c->workflow_task_timeout),
                      .retry_policy = admitted ? c->retry_policy : NULL,
                      .memo = c->memo,
                      .search_attributes = c->search_attributes,
                      .header = c->header,
                      .cron_schedule = admitted ? c->cron_schedule : "",
                      .delay_ns = admitted ? cron_delay(e, c->cron_schedule) : 0,
                      .parent = run,
                      .initiated_id = f->initiated_id};
    struct run *child = start_run(e, &p);
    Pb__EmbeddedChild *entry = open ? child_of(run, f->initiated_id) : NULL;
    if (child && entry)
        child_started(e, run, entry, child, c->header);
    if (child && !admitted) /* nothing waits for a place, as the one who has it may be the parent */
        close_over_quota(e, child, &full);
}

/* Is target a child of run? */
static bool is_child(const struct run *run, const struct run *target)
{
    const Pb__EmbeddedParent *p = target->s->parent;
    return p && strcmp(p->workflow_id, run->s->workflow_id) == 0 && strcmp(p->run_id, run->s->run_id) == 0;
}

/* The run that a signal or cancel command means; NULL: none. */
static struct run *external(struct eng *e, struct run *run, const char *workflow_id,
                            const char *run_id, bool child_only, bool open_only)
{
    struct run *target;
    struct err err = {0};
    int r = run_find(e, run->ns, workflow_id, run_id, &target, &err);
    if (r < 0 && r != -ERR_NOT_FOUND)
        eng_fault(e, &err);
    if (r < 0 || (open_only && !run_is_open(target)) || (child_only && !is_child(run, target)))
        return NULL;
    return target;
}

static void signal_external(struct eng *e, struct run *run, const struct effect *f)
{
    const Pb__SignalExternalWorkflowExecutionCommandAttributes *c = f->attributes;
    struct run *target =
        external(e, run, c->execution->workflow_id, c->execution->run_id, c->child_workflow_only,
                 true);
    char request_id[64];
    snprintf(request_id, sizeof request_id, "%s:%lld", run->s->run_id, (long long)f->initiated_id);
    Pb__WorkflowExecution from = PB__WORKFLOW_EXECUTION__INIT;
    from.workflow_id = run->s->workflow_id;
    from.run_id = run->s->run_id;
    struct signal sig = {.name = c->signal_name, .identity = "history-service",
                         .request_id = request_id, .input = c->input, .header = c->header,
                         .from = &from};
    if (target)
        signal_run(e, target, &sig);
    if (!run_is_open(run))
        return;
    if (target) {
        EVENT(ev, a, EXTERNAL_WORKFLOW_EXECUTION_SIGNALED, external_workflow_execution_signaled,
              ExternalWorkflowExecutionSignaled);
        a.initiated_event_id = f->initiated_id;
        a.namespace_ = (char *)start_namespace(e, run->ns);
        a.workflow_execution = c->execution;
        a.control = c->control;
        event_post(e, run, &ev, f->initiated_id);
    } else {
        EVENT(ev, a, SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
              signal_external_workflow_execution_failed, SignalExternalWorkflowExecutionFailed);
        a.cause =
            PB__SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE__SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND;
        a.initiated_event_id = f->initiated_id;
        a.workflow_task_completed_event_id = run->s->completed_id;
        a.namespace_ = (char *)start_namespace(e, run->ns);
        a.workflow_execution = c->execution;
        a.control = c->control;
        event_post(e, run, &ev, f->initiated_id);
    }
    wtask_ensure(e, run);
}

static void cancel_external(struct eng *e, struct run *run, const struct effect *f)
{
    const Pb__RequestCancelExternalWorkflowExecutionCommandAttributes *c = f->attributes;
    struct run *target = external(e, run, c->workflow_id, c->run_id, c->child_workflow_only, false);
    Pb__WorkflowExecution from = PB__WORKFLOW_EXECUTION__INIT, to = PB__WORKFLOW_EXECUTION__INIT;
    from.workflow_id = run->s->workflow_id;
    from.run_id = run->s->run_id;
    to.workflow_id = c->workflow_id;
    to.run_id = c->run_id;
    struct cancel cancel = {.reason = c->reason, .identity = "history-service", .request_id = "",
                            .from = &from, .initiated_id = f->initiated_id};
    if (target && run_is_open(target)) /* a closed one is as it was asked for */
        cancel_run(e, target, &cancel);
    if (!run_is_open(run))
        return;
    if (target) {
        EVENT(ev, a, EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
              external_workflow_execution_cancel_requested, ExternalWorkflowExecutionCancelRequested);
        a.initiated_event_id = f->initiated_id;
        a.namespace_ = (char *)start_namespace(e, run->ns);
        a.workflow_execution = &to;
        event_post(e, run, &ev, f->initiated_id);
    } else {
        EVENT(ev, a, REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
              request_cancel_external_workflow_execution_failed,
              RequestCancelExternalWorkflowExecutionFailed);
        a.cause =
            PB__CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE__CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND;
        a.initiated_event_id = f->initiated_id;
        a.workflow_task_completed_event_id = run->s->completed_id;
        a.control = c->control;
        a.namespace_ = (char *)start_namespace(e, run->ns);
        a.workflow_execution = &to;
        event_post(e, run, &ev, f->initiated_id);
    }
    wtask_ensure(e, run);
}

/* The child, or the run that now continues it. */
static void parent_closed(struct eng *e, struct run *run, const struct effect *f)
{
    struct run *child = run_find_open(e, run->ns, f->workflow_id);
    if (!child || strcmp(child->s->first_run_id, f->run_id) != 0)
        return;
    if (f->policy == PB__PARENT_CLOSE_POLICY__PARENT_CLOSE_POLICY_REQUEST_CANCEL) {
        Pb__WorkflowExecution from = PB__WORKFLOW_EXECUTION__INIT;
        from.workflow_id = run->s->workflow_id;
        from.run_id = run->s->run_id;
        struct cancel cancel = {.reason = "by parent close policy", .identity = "history-service",
                                .request_id = "", .from = &from};
        cancel_run(e, child, &cancel);
    } else {
        close_terminated(e, child, "by parent close policy", NULL, "history-service");
    }
}

void effects_run(struct eng *e)
{
    static void (*const handlers[])(struct eng *, struct run *, const struct effect *) = {
        [EFFECT_START_CHILD] = start_child,
        [EFFECT_SIGNAL] = signal_external,
        [EFFECT_CANCEL] = cancel_external,
        [EFFECT_PARENT_CLOSED] = parent_closed,
    };
    e->effects_ns = 0;
    for (size_t i = 0; i < e->effects.len && !e->fault.code; i++) {
        struct effect f = e->effects.v[i]; /* a copy: handlers add to the list */
        struct run *run;
        struct err err = {0};
        if (run_get(e, f.run_key, &run, &err) < 0)
            eng_fault(e, &err);
        else
            handlers[f.kind](e, run, &f);
    }
    VEC_CLEAR(&e->effects);
}
