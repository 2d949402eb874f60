/* Following the histories of runs: what they say becomes events, each once. */
#include "api/live/live_internal.h"

#include "api/service/others.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbx.h"

#include <stdio.h>
#include <string.h>

#define RETRY_MAX 64
#define LOOKS_MAX 100 /* at a time */

struct scheduled {
    int64_t id;
    char module[80];
};

struct tail {
    struct live *l;
    struct channel *channel;
    char name_space[72], *run_id; /* in the channel's name */
    ProtobufCBinaryData token;
    VEC(struct scheduled) modules; /* of activities that have not ended */
    Pb__GetWorkflowExecutionHistoryRequest req;
    Pb__WorkflowExecution execution;
    bool waiting; /* for another try */
    bool goes_on; /* as a fresh execution */
    bool answered, wanted; /* what came is not committed yet; and meanwhile somebody wants the run followed */
    struct service svc;
    struct others others; /* workers of other processes */
    bool in_event;        /* what they say belongs to the history's next event: written at once */
};

static void answered(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct tail *t = arg;
    struct item *i = mem_zalloc(sizeof *i);
    if (!i) { /* nothing can be told; the tail stays as it is until the server ends */
        engine_free_message(resp);
        return;
    }
    i->kind = ITEM_HISTORY;
    i->tail = t;
    i->response = resp;
    i->err = *err;
    live_push(t->l, i);
}

static void ask(struct tail *t)
{
    pb__get_workflow_execution_history_request__init(&t->req);
    pb__workflow_execution__init(&t->execution);
    t->req.namespace_ = t->name_space;
    t->execution.workflow_id = t->run_id;
    t->req.execution = &t->execution;
    t->req.wait_new_event = true;
    t->req.next_page_token = t->token;
    t->waiting = false;
    engine_call(t->l->svc->engine, ENGINE_GET_HISTORY, &t->req.base, 0, answered, t);
}

/* What a worker of another process does. How activities begin and end is in the history. */
static void on_other(void *arg, const struct worker_event *e)
{
    struct tail *t = arg;
    static const char *const taken[] = {"started", "progress", "finding", "stats"};
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        if (strcmp(taken[i], e->type) == 0)
            live_other_event(t->l, t->in_event ? t->channel : NULL, e);
}

int tail_start(struct live *l, struct channel *c, struct err *err)
{
    if (c->tail) {
        c->tail->wanted = c->tail->answered; /* it may be about to end */
        return 0;
    }
    struct tail *t = mem_zalloc(sizeof *t);
    if (!t)
        return err_nomem(err);
    char *mark = strchr(c->run, LIVE_KEY_MARK);
    snprintf(t->name_space, sizeof t->name_space, "%.*s", mark ? (int)(mark - c->run) : 7, mark ? c->run : "default");
    t->run_id = mark ? mark + 1 : c->run;
    t->svc = *l->svc;
    t->svc.name_space = t->name_space;
    t->others = (struct others){.own = l->worker, .on_event = on_other, .arg = t};
    t->l = l;
    t->channel = c;
    c->tail = t;
    l->tails++;
    ask(t);
    return 0;
}

static void end(struct tail *t)
{
    t->channel->tail = NULL;
    t->l->tails--;
    free(t->token.data);
    VEC_RELEASE(&t->modules);
    others_release(&t->others);
    free(t);
}

static void module_of(struct tail *t, int64_t scheduled_id, char *buf, size_t size)
{
    buf[0] = 0;
    for (size_t i = 0; i < t->modules.len; i++) {
        if (t->modules.v[i].id != scheduled_id)
            continue;
        snprintf(buf, size, "%s", t->modules.v[i].module);
        t->modules.v[i] = t->modules.v[--t->modules.len];
        return;
    }
}

static const char *message_of(const Pb__Failure *f)
{
    return f && f->message ? f->message : NULL;
}

static json_t *stage(struct tail *t, int64_t scheduled_id, const char *state, const Pb__Failure *why)
{
    char module[80];
    module_of(t, scheduled_id, module, sizeof module);
    return json_pack("{s:s, s:s, s:s?}", "module", module, "state", state, "message", message_of(why));
}

static json_t *state(const char *status, const char *message)
{
    return json_pack("{s:s, s:s?}", "status", status, "message", message);
}

static json_t *activity_event(struct tail *t, const Pb__HistoryEvent *e)
{
    switch (e->attributes_case) {
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_SCHEDULED_EVENT_ATTRIBUTES: {
        const Pb__ActivityTaskScheduledEventAttributes *a = e->activity_task_scheduled_event_attributes;
        struct scheduled s = {.id = e->event_id};
        snprintf(s.module, sizeof s.module, "%s", a->activity_type ? a->activity_type->name : "");
        (void)VEC_PUSH(&t->modules, s);
        return json_pack("{s:s, s:s}", "module", s.module, "state", "scheduled");
    }
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_COMPLETED_EVENT_ATTRIBUTES:
        return stage(t, e->activity_task_completed_event_attributes->scheduled_event_id, "completed", NULL);
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_FAILED_EVENT_ATTRIBUTES:
        return stage(t, e->activity_task_failed_event_attributes->scheduled_event_id, "failed",
                     e->activity_task_failed_event_attributes->failure);
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_TIMED_OUT_EVENT_ATTRIBUTES:
        return stage(t, e->activity_task_timed_out_event_attributes->scheduled_event_id, "timed_out",
                     e->activity_task_timed_out_event_attributes->failure);
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_CANCELED_EVENT_ATTRIBUTES:
        return stage(t, e->activity_task_canceled_event_attributes->scheduled_event_id, "cancelled", NULL);
    default:
        return NULL;
    }
}

static json_t *child(const Pb__WorkflowExecution *x, const Pb__WorkflowType *w, const char *state, const Pb__Failure *why)
{
    return json_pack("{s:s, s:s, s:s, s:s?}", "workflow", w ? w->name : "", "run_id", x ? x->workflow_id : "", "state", state,
                     "message", message_of(why));
}

/* A run that this one has started: what happens in it, its own events tell. */
static json_t *child_event(const Pb__HistoryEvent *e)
{
#define CHILD(a, state, why) child((a)->workflow_execution, (a)->workflow_type, state, why)
    switch (e->attributes_case) {
    case PB__HISTORY_EVENT__ATTRIBUTES_CHILD_WORKFLOW_EXECUTION_STARTED_EVENT_ATTRIBUTES:
        return CHILD(e->child_workflow_execution_started_event_attributes, "started", NULL);
    case PB__HISTORY_EVENT__ATTRIBUTES_CHILD_WORKFLOW_EXECUTION_COMPLETED_EVENT_ATTRIBUTES:
        return CHILD(e->child_workflow_execution_completed_event_attributes, "completed", NULL);
    case PB__HISTORY_EVENT__ATTRIBUTES_CHILD_WORKFLOW_EXECUTION_FAILED_EVENT_ATTRIBUTES:
        return CHILD(e->child_workflow_execution_failed_event_attributes, "failed",
                     e->child_workflow_execution_failed_event_attributes->failure);
    case PB__HISTORY_EVENT__ATTRIBUTES_CHILD_WORKFLOW_EXECUTION_TIMED_OUT_EVENT_ATTRIBUTES:
        return CHILD(e->child_workflow_execution_timed_out_event_attributes, "timed_out", NULL);
    case PB__HISTORY_EVENT__ATTRIBUTES_CHILD_WORKFLOW_EXECUTION_CANCELED_EVENT_ATTRIBUTES:
        return CHILD(e->child_workflow_execution_canceled_event_attributes, "cancelled", NULL);
    case PB__HISTORY_EVENT__ATTRIBUTES_CHILD_WORKFLOW_EXECUTION_TERMINATED_EVENT_ATTRIBUTES:
        return CHILD(e->child_workflow_execution_terminated_event_attributes, "terminated", NULL);
    default:
        return NULL;
    }
#undef CHILD
}

/* What a history's event means to a watcher; NULL: nothing. *ret_ended: the run has ended with it. */
static json_t *translate(struct tail *t, const Pb__HistoryEvent *e, const char **ret_type, bool *ret_ended)
{
    *ret_type = "state";
    *ret_ended = true;
    switch (e->attributes_case) {
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_COMPLETED_EVENT_ATTRIBUTES:
        return state("COMPLETED", NULL);
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_FAILED_EVENT_ATTRIBUTES:
        return state("FAILED", message_of(e->workflow_execution_failed_event_attributes->failure));
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_TIMED_OUT_EVENT_ATTRIBUTES:
        return state("TIMED_OUT", NULL);
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_CANCELED_EVENT_ATTRIBUTES:
        return state("CANCELLED", NULL);
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_TERMINATED_EVENT_ATTRIBUTES:
        return state("TERMINATED", e->workflow_execution_terminated_event_attributes->reason);
    default:
        break;
    }
    *ret_ended = false;
    switch (e->attributes_case) {
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_STARTED_EVENT_ATTRIBUTES:
        return json_pack("{s:s, s:s?}", "status", "RUNNING", "workflow",
                         e->workflow_execution_started_event_attributes->workflow_type
                             ? e->workflow_execution_started_event_attributes->workflow_type->name
                             : NULL);
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_CANCEL_REQUESTED_EVENT_ATTRIBUTES:
        return json_pack("{s:s, s:b}", "status", "RUNNING", "cancel_requested", 1);
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_TASK_FAILED_EVENT_ATTRIBUTES:
        *ret_type = "log";
        return json_pack("{s:s, s:s?}", "level", "error", "message",
                         message_of(e->workflow_task_failed_event_attributes->failure));
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_SIGNALED_EVENT_ATTRIBUTES:
        *ret_type = "log";
        return json_pack("{s:s, s:s, s:s}", "level", "info", "message", "signalled", "signal",
                         e->workflow_execution_signaled_event_attributes->signal_name);
    default:
        break;
    }
    *ret_type = "stage";
    json_t *data = activity_event(t, e);
    return data ? data : child_event(e);
}

static int take_event(struct tail *t, const Pb__HistoryEvent *e, bool *ret_again, struct err *err)
{
    struct channel *c = t->channel;
    const char *type;
    bool ended;
    if (e->attributes_case == PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_STARTED_EVENT_ATTRIBUTES) {
        const char *id = e->workflow_execution_started_event_attributes->original_execution_run_id;
        if (strncmp(c->execution, id, sizeof c->execution - 1) != 0) { /* another one than before */
            snprintf(c->execution, sizeof c->execution, "%s", id);
            c->history = 0;
            c->ended = false;
            c->dirty = true;
        }
    }
    if (e->attributes_case == PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_CONTINUED_AS_NEW_EVENT_ATTRIBUTES)
        *ret_again = true;
    _cleanup_json_ json_t *data = translate(t, e, &type, &ended);
    if (e->event_id <= c->history) {
        if (e->attributes_case == PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_SCHEDULED_EVENT_ATTRIBUTES)
            others_event(&t->others, &t->svc, t->run_id, e);
        return 0;
    }
    t->in_event = true;
    others_event(&t->others, &t->svc, t->run_id, e);
    t->in_event = false;
    _cleanup_free_ char *text = data ? json_dumps(data, JSON_COMPACT) : NULL;
    int r = text ? live_write(t->l, c, type, text, pbx_timestamp_ns(e->event_time), err) : 0;
    if (r < 0)
        return r;
    c->history = e->event_id;
    c->ended = c->ended || ended;
    c->dirty = true;
    return 0;
}

int tail_answer(struct live *l, struct item *i, struct err *err)
{
    struct tail *t = i->tail;
    const Pb__GetWorkflowExecutionHistoryResponse *a = (const Pb__GetWorkflowExecutionHistoryResponse *)i->response;
    int r = 0;
    (void)l;
    t->goes_on = t->wanted = false;
    t->answered = true;
    if (i->err.code)
        return 0;
    for (size_t k = 0; r == 0 && a->history && k < a->history->n_events; k++)
        r = take_event(t, a->history->events[k], &t->goes_on, err);
    free(t->token.data);
    t->token = (ProtobufCBinaryData){0};
    if (a->next_page_token.len) {
        t->token.data = mem_dup(a->next_page_token.data, a->next_page_token.len);
        t->token.len = t->token.data ? a->next_page_token.len : 0;
    }
    return r;
}

void tail_go_on(struct live *l, struct item *i, bool committed)
{
    struct tail *t = i->tail;
    bool gone = i->err.code == ERR_NOT_FOUND || i->err.code == ERR_INVALID;
    t->answered = false;
    if (l->stopping || gone || (committed && !i->err.code && !t->token.len && !t->goes_on && !t->wanted))
        end(t);
    else if (i->err.code || !committed)
        t->waiting = true;
    else
        ask(t);
}

void tail_retry(struct live *l)
{
    int tried = 0;
    pthread_mutex_lock(&l->lock);
    MAP_EACH(&l->channels, e) {
        struct channel *c = e->value;
        if (!c->tail || !c->tail->waiting || tried++ >= RETRY_MAX)
            continue;
        free(TAKE_PTR(c->tail->token.data));
        c->tail->token.len = 0;
        c->tail->modules.len = 0; /* from the beginning: they are told of again */
        ask(c->tail);
    }
    pthread_mutex_unlock(&l->lock);
}

void tails_look(struct live *l)
{
    VEC(struct tail *) list = {0};
    pthread_mutex_lock(&l->lock);
    MAP_EACH(&l->channels, e) {
        struct channel *c = e->value;
        if (c->tail && c->tail->modules.len && list.len < LOOKS_MAX)
            (void)VEC_PUSH(&list, c->tail);
    }
    pthread_mutex_unlock(&l->lock);
    VEC_EACH(&list, p) { /* this thread alone ends tails */
        struct tail *t = *p;
        struct run_info run;
        if (run_read(&t->svc, t->run_id, &run, NULL) < 0)
            continue;
        others_running(&t->others, &t->svc, t->run_id, run.activities);
        run_info_release(&run);
    }
    VEC_RELEASE(&list);
}

void tails_cancel(struct live *l)
{
    pthread_mutex_lock(&l->lock);
    MAP_EACH(&l->channels, e) {
        struct channel *c = e->value;
        if (!c->tail)
            continue;
        if (c->tail->waiting)
            end(c->tail);
        else
            engine_cancel(l->svc->engine, answered, c->tail);
    }
    pthread_mutex_unlock(&l->lock);
}
