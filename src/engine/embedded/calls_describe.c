/* DescribeWorkflowExecution and DescribeTaskQueue. */
#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/activity.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/match.h"
#include "engine/embedded/run.h"
#include "engine/embedded/wtask.h"

#include <string.h>

/* A message in the shape protobuf frees, or NULL and a fault. */
#define NEW(e, type, lower)                                                                        \
    ({                                                                                             \
        type *new_ = mem_alloc(sizeof *new_);                                                      \
        if (new_)                                                                                  \
            lower##__init(new_);                                                                   \
        else                                                                                       \
            eng_nomem(e);                                                                          \
        new_;                                                                                      \
    })

static Pb__Timestamp *time_of(struct eng *e, int64_t ns)
{
    Pb__Timestamp *t = ns ? pbx_timestamp(ns) : NULL;
    if (ns && !t)
        eng_nomem(e);
    return t;
}

static Pb__Duration *duration_of(struct eng *e, int64_t ns)
{
    Pb__Duration *d = ns ? pbx_duration(ns) : NULL;
    if (ns && !d)
        eng_nomem(e);
    return d;
}

static Pb__TaskQueue *queue_of(struct eng *e, const char *name)
{
    Pb__TaskQueue *q = NEW(e, Pb__TaskQueue, pb__task_queue);
    if (q) {
        str_set(e, &q->name, name);
        q->kind = PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_NORMAL;
    }
    return q;
}

static Pb__PendingActivityInfo *pending_activity(struct eng *e, const Pb__EmbeddedActivity *a)
{
    Pb__PendingActivityInfo *p = NEW(e, Pb__PendingActivityInfo, pb__pending_activity_info);
    if (!p)
        return NULL;
    str_set(e, &p->activity_id, a->activity_id);
    p->activity_type = NEW(e, Pb__ActivityType, pb__activity_type);
    if (p->activity_type)
        str_set(e, &p->activity_type->name, a->activity_type);
    p->state = a->cancel_requested ? PB__PENDING_ACTIVITY_STATE__PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
               : a->started_ns     ? PB__PENDING_ACTIVITY_STATE__PENDING_ACTIVITY_STATE_STARTED
                                   : PB__PENDING_ACTIVITY_STATE__PENDING_ACTIVITY_STATE_SCHEDULED;
    msg_set(e, &p->heartbeat_details, a->heartbeat_details);
    p->last_heartbeat_time = time_of(e, a->heartbeat_ns);
    p->last_started_time = time_of(e, a->started_ns);
    p->attempt = a->attempt;
    p->maximum_attempts = a->retry_policy ? a->retry_policy->maximum_attempts : 0;
    p->scheduled_time = time_of(e, a->attempt_scheduled_ns);
    if (a->schedule_to_close_ns)
        p->expiration_time = time_of(e, a->scheduled_ns + a->schedule_to_close_ns);
    msg_set(e, &p->last_failure, a->last_failure);
    str_set(e, &p->last_worker_identity, a->identity);
    p->last_attempt_complete_time = time_of(e, a->last_completed_ns);
    if (a->backoff) {
        p->next_attempt_schedule_time = time_of(e, a->attempt_scheduled_ns);
        p->current_retry_interval = duration_of(e, a->attempt_scheduled_ns - a->last_completed_ns);
    }
    p->activity_options = NEW(e, Pb__ActivityOptions, pb__activity_options);
    if (p->activity_options) {
        Pb__ActivityOptions *o = p->activity_options;
        o->task_queue = queue_of(e, a->task_queue);
        o->schedule_to_close_timeout = duration_of(e, a->schedule_to_close_ns);
        o->schedule_to_start_timeout = duration_of(e, a->schedule_to_start_ns);
        o->start_to_close_timeout = duration_of(e, a->start_to_close_ns);
        o->heartbeat_timeout = duration_of(e, a->heartbeat_timeout_ns);
        msg_set(e, &o->retry_policy, a->retry_policy);
    }
    return p;
}

static Pb__PendingChildExecutionInfo *pending_child(struct eng *e, const Pb__EmbeddedChild *c)
{
    Pb__PendingChildExecutionInfo *p = NEW(e, Pb__PendingChildExecutionInfo,
                                           pb__pending_child_execution_info);
    if (!p)
        return NULL;
    str_set(e, &p->workflow_id, c->workflow_id);
    str_set(e, &p->run_id, c->run_id);
    str_set(e, &p->workflow_type_name, c->workflow_type);
    p->initiated_id = c->initiated_id;
    p->parent_close_policy = c->policy;
    return p;
}

static Pb__PendingWorkflowTaskInfo *pending_task(struct eng *e, const struct run *run)
{
    const Pb__EmbeddedRun *s = run->s;
    if (wtask_state(run) == WTASK_NONE)
        return NULL;
    Pb__PendingWorkflowTaskInfo *p = NEW(e, Pb__PendingWorkflowTaskInfo, pb__pending_workflow_task_info);
    if (!p)
        return NULL;
    p->state = s->task_started_id
                   ? PB__PENDING_WORKFLOW_TASK_STATE__PENDING_WORKFLOW_TASK_STATE_STARTED
                   : PB__PENDING_WORKFLOW_TASK_STATE__PENDING_WORKFLOW_TASK_STATE_SCHEDULED;
    p->scheduled_time = time_of(e, s->task_scheduled_ns);
    p->original_scheduled_time = time_of(e, s->task_original_scheduled_ns);
    p->started_time = time_of(e, s->task_started_ns);
    p->attempt = s->task_attempt;
    return p;
}

static Pb__WorkflowExecutionConfig *config_of(struct eng *e, const Pb__EmbeddedRun *s)
{
    Pb__WorkflowExecutionConfig *g = NEW(e, Pb__WorkflowExecutionConfig, pb__workflow_execution_config);
    if (!g)
        return NULL;
    g->task_queue = queue_of(e, s->task_queue);
    g->workflow_execution_timeout = duration_of(e, s->execution_timeout_ns);
    g->workflow_run_timeout = duration_of(e, s->run_timeout_ns);
    g->default_workflow_task_timeout = duration_of(e, s->task_timeout_ns);
    msg_set(e, &g->user_metadata, s->user_metadata);
    return g;
}

static Pb__WorkflowExecutionExtendedInfo *extended_of(struct eng *e, const Pb__EmbeddedRun *s)
{
    Pb__WorkflowExecutionExtendedInfo *x =
        NEW(e, Pb__WorkflowExecutionExtendedInfo, pb__workflow_execution_extended_info);
    if (!x)
        return NULL;
    x->execution_expiration_time = time_of(e, s->execution_deadline_ns);
    x->run_expiration_time = time_of(e, s->run_deadline_ns);
    x->cancel_requested = s->cancel_requested;
    x->original_start_time = time_of(e, s->first_start_ns);
    return x;
}

void call_describe(struct eng *e, struct call *c)
{
    const Pb__DescribeWorkflowExecutionRequest *q = (const void *)c->req;
    struct run *run;
    struct err err = {0};
    if (run_find_execution(e, c->ns, q->execution, false, &run, &err) < 0) {
        call_fail_err(e, c, &err);
        return;
    }
    const Pb__EmbeddedRun *s = run->s;
    Pb__DescribeWorkflowExecutionResponse *r = (void *)call_new_response(c);
    if (!r) {
        call_answer(e, c, NULL);
        return;
    }
    r->execution_config = config_of(e, s);
    r->workflow_execution_info = visibility_info(e, s);
    r->workflow_extended_info = extended_of(e, s);
    r->pending_workflow_task = pending_task(e, run);
    r->pending_activities = mem_calloc(s->n_activities, sizeof *r->pending_activities);
    r->pending_children = mem_calloc(s->n_children, sizeof *r->pending_children);
    for (size_t i = 0; r->pending_activities && i < s->n_activities; i++)
        if ((r->pending_activities[r->n_pending_activities] = pending_activity(e, s->activities[i])))
            r->n_pending_activities++;
    for (size_t i = 0; r->pending_children && i < s->n_children; i++)
        if ((r->pending_children[r->n_pending_children] = pending_child(e, s->children[i])))
            r->n_pending_children++;
    if (!r->pending_activities || !r->pending_children)
        eng_nomem(e);
    call_answer(e, c, &r->base);
}

static void add_pollers(struct eng *e, const struct queue *q, Pb__DescribeTaskQueueResponse *r)
{
    r->pollers = mem_calloc(QUEUE_POLLERS_SEEN, sizeof *r->pollers);
    for (int i = 0; r->pollers && i < QUEUE_POLLERS_SEEN; i++) {
        Pb__PollerInfo *p = q->seen[i].identity ? NEW(e, Pb__PollerInfo, pb__poller_info) : NULL;
        if (!p)
            continue;
        str_set(e, &p->identity, q->seen[i].identity);
        p->last_access_time = time_of(e, q->seen[i].at_ns);
        r->pollers[r->n_pollers++] = p;
    }
}

void call_describe_task_queue(struct eng *e, struct call *c)
{
    const Pb__DescribeTaskQueueRequest *q = (const void *)c->req;
    if (!q->task_queue || !*q->task_queue->name) {
        call_fail(e, c, ERR_INVALID, "task queue is not set");
        return;
    }
    enum queue_kind kind = q->task_queue_type == PB__TASK_QUEUE_TYPE__TASK_QUEUE_TYPE_ACTIVITY
                               ? QUEUE_ACTIVITY
                               : QUEUE_WORKFLOW;
    const struct queue *queue = match_find(e, kind, c->ns, q->task_queue->name);
    Pb__DescribeTaskQueueResponse *r = (void *)call_new_response(c);
    if (r && queue)
        add_pollers(e, queue, r);
    if (r && q->report_stats && (r->stats = NEW(e, Pb__TaskQueueStats, pb__task_queue_stats)))
        r->stats->approximate_backlog_count = queue ? (int64_t)queue->count : 0;
    call_answer(e, c, (ProtobufCMessage *)r);
}
