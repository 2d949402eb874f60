/* DescribeWorkflowExecution and DescribeTaskQueue. */
#include "base/mem.h"
#include "base/units.h"
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

/* As Temporal's servers have them: pollers of the last 5 minutes, and the rate they are allowed. */
#define POLLER_SEEN_NS (300 * NS_PER_S)
#define POLLER_RATE 100000

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
    g->workflow_execution_timeout = pbx_duration(s->execution_timeout_ns); /* 0 s is said, as Temporal does */
    g->workflow_run_timeout = pbx_duration(s->run_timeout_ns);
    if (!g->workflow_execution_timeout || !g->workflow_run_timeout)
        eng_nomem(e);
    g->default_workflow_task_timeout = duration_of(e, s->task_timeout_ns);
    msg_set(e, &g->user_metadata, s->user_metadata);
    return g;
}

/* The request that started the run: by it a client tells whether it was its own. */
static void add_request_id(struct eng *e, Pb__WorkflowExecutionExtendedInfo *x, const char *id)
{
    Pb__WorkflowExecutionExtendedInfo__RequestIdInfosEntry *entry =
        NEW(e, Pb__WorkflowExecutionExtendedInfo__RequestIdInfosEntry,
            pb__workflow_execution_extended_info__request_id_infos_entry);
    x->request_id_infos = mem_calloc(1, sizeof *x->request_id_infos);
    if (!entry || !x->request_id_infos) {
        free(entry);
        eng_nomem(e);
        return;
    }
    x->request_id_infos[0] = entry;
    x->n_request_id_infos = 1;
    str_set(e, &entry->key, id);
    entry->value = NEW(e, Pb__RequestIdInfo, pb__request_id_info);
    if (entry->value) {
        entry->value->event_type = PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_STARTED;
        entry->value->event_id = 1;
    }
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
    if (strcmp(s->original_run_id, s->run_id) != 0) /* it began anew from a point of that one */
        x->last_reset_time = time_of(e, s->start_ns);
    str_set(e, &x->reset_run_id, s->reset_run_id);
    x->original_start_time = time_of(e, s->first_start_ns);
    if (*s->start_request_id)
        add_request_id(e, x, s->start_request_id);
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

/* The pollers seen of late; *ret_n of them. */
static Pb__PollerInfo **pollers_of(struct eng *e, const struct queue *q, size_t *ret_n)
{
    Pb__PollerInfo **list = q ? mem_calloc(QUEUE_POLLERS_SEEN, sizeof *list) : NULL;
    *ret_n = 0;
    for (int i = 0; list && i < QUEUE_POLLERS_SEEN; i++) {
        bool of_late = q->seen[i].identity && e->now - q->seen[i].at_ns < POLLER_SEEN_NS;
        Pb__PollerInfo *p = of_late ? NEW(e, Pb__PollerInfo, pb__poller_info) : NULL;
        if (!p)
            continue;
        str_set(e, &p->identity, q->seen[i].identity);
        p->last_access_time = time_of(e, q->seen[i].at_ns);
        p->rate_per_second = POLLER_RATE;
        list[(*ret_n)++] = p;
    }
    if (q && !list)
        eng_nomem(e);
    return list;
}

static Pb__TaskQueueStats *stats_of(struct eng *e, const struct queue *q)
{
    Pb__TaskQueueStats *s = NEW(e, Pb__TaskQueueStats, pb__task_queue_stats);
    if (!s)
        return NULL;
    s->approximate_backlog_count = q ? (int64_t)q->count : 0;
    s->approximate_backlog_age = pbx_duration(q && q->head ? e->now - q->head->since_ns : 0);
    if (!s->approximate_backlog_age)
        eng_nomem(e);
    return s;
}

/* What older clients ask for: by type, under the empty build id. */
static Pb__TaskQueueVersionInfo *version_info(struct eng *e, struct call *c,
                                              const Pb__DescribeTaskQueueRequest *q)
{
    static const Pb__TaskQueueType both[] = {PB__TASK_QUEUE_TYPE__TASK_QUEUE_TYPE_WORKFLOW,
                                             PB__TASK_QUEUE_TYPE__TASK_QUEUE_TYPE_ACTIVITY};
    Pb__TaskQueueVersionInfo *v = NEW(e, Pb__TaskQueueVersionInfo, pb__task_queue_version_info);
    if (!v || !(v->types_info = mem_calloc(2, sizeof *v->types_info)))
        return v;
    for (int i = 0; i < 2; i++) {
        bool wanted = !q->n_task_queue_types;
        for (size_t k = 0; k < q->n_task_queue_types; k++)
            wanted |= q->task_queue_types[k] == both[i];
        Pb__TaskQueueVersionInfo__TypesInfoEntry *entry =
            wanted ? NEW(e, Pb__TaskQueueVersionInfo__TypesInfoEntry, pb__task_queue_version_info__types_info_entry)
                   : NULL;
        if (!entry)
            continue;
        v->types_info[v->n_types_info++] = entry;
        entry->key = (int)both[i];
        entry->value = NEW(e, Pb__TaskQueueTypeInfo, pb__task_queue_type_info);
        const struct queue *queue = match_find(e, i ? QUEUE_ACTIVITY : QUEUE_WORKFLOW, c->ns, q->task_queue->name);
        if (entry->value && q->report_pollers)
            entry->value->pollers = pollers_of(e, queue, &entry->value->n_pollers);
        if (entry->value && q->report_stats)
            entry->value->stats = stats_of(e, queue);
    }
    if (q->report_task_reachability)
        v->task_reachability = PB__BUILD_ID_TASK_REACHABILITY__BUILD_ID_TASK_REACHABILITY_REACHABLE;
    return v;
}

static void describe_versions(struct eng *e, struct call *c, Pb__DescribeTaskQueueResponse *r)
{
    Pb__DescribeTaskQueueResponse__VersionsInfoEntry *entry =
        NEW(e, Pb__DescribeTaskQueueResponse__VersionsInfoEntry, pb__describe_task_queue_response__versions_info_entry);
    r->versions_info = mem_calloc(1, sizeof *r->versions_info);
    if (!entry || !r->versions_info) {
        free(entry);
        eng_nomem(e);
        return;
    }
    r->versions_info[0] = entry;
    r->n_versions_info = 1;
    entry->value = version_info(e, c, (const void *)c->req);
}

void call_describe_task_queue(struct eng *e, struct call *c)
{
    const Pb__DescribeTaskQueueRequest *q = (const void *)c->req;
    if (!q->task_queue || !*q->task_queue->name) {
        call_fail(e, c, ERR_INVALID, "Task queue not set on request.");
        return;
    }
    enum queue_kind kind = q->task_queue_type == PB__TASK_QUEUE_TYPE__TASK_QUEUE_TYPE_ACTIVITY
                               ? QUEUE_ACTIVITY
                               : QUEUE_WORKFLOW;
    const struct queue *queue = match_find(e, kind, c->ns, q->task_queue->name);
    Pb__DescribeTaskQueueResponse *r = (void *)call_new_response(c);
    if (r && q->api_mode == PB__DESCRIBE_TASK_QUEUE_MODE__DESCRIBE_TASK_QUEUE_MODE_ENHANCED) {
        describe_versions(e, c, r);
    } else if (r) {
        r->pollers = pollers_of(e, queue, &r->n_pollers);
        if (q->report_stats)
            r->stats = stats_of(e, queue);
        if (q->include_task_queue_status &&
            (r->task_queue_status = NEW(e, Pb__TaskQueueStatus, pb__task_queue_status)))
            r->task_queue_status->backlog_count_hint = queue ? (int64_t)queue->count : 0;
    }
    call_answer(e, c, (ProtobufCMessage *)r);
}
