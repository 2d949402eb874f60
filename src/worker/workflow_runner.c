/* The workflow thread: takes workflow tasks, replays, answers with commands. */
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/pbwalk.h"
#include "codec/pbx.h"
#include "os/clock.h"
#include "worker/claim.h"
#include "worker/scripts_internal.h"
#include "worker/worker_internal.h"
#include "workflow/workflow.h"

#include <stdio.h>
#include <string.h>

#define STICKY_TIMEOUT_NS (INT64_C(5) * 1000000000)
#define HISTORY_PAGES_MAX 1024
#define MISFITS_MAX 10000
#define BRIEF_NS (2 * NS_PER_MS)
#define TASKS_GATHERED 4 /* whose answers may go out together: the engine can begin with them while we compute the next */

/* A run whose Lua state is kept between tasks. */
struct cached {
    char *run_id;
    struct workflow *workflow;
    Pb__Memo *pin; /* goes out with its next commands; NULL: the run is pinned */
    struct cached *newer, *older;
};

struct workflow_runner {
    pthread_t thread;
    bool started;
    struct inbox inbox;
    atomic_int pollers; /* alive */
    struct map cache;   /* run id -> struct cached */
    struct cached *newest, *oldest;
    struct scripts scripts;
    int64_t task_ns;    /* what a task takes, the average of the last ones */
    /* Runs whose script did not fit their history: the next try is with what the toolbox has now, then in turn. Only a misfit
     * lets a run leave the script that it started with; a task that was lost does not. */
    struct map misfits; /* run id -> number of misfits */
};

/* The further pages of a history, in order. */
struct pages {
    VEC(ProtobufCMessage *) answers; /* GetWorkflowExecutionHistoryResponse */
    VEC(const Pb__History *) histories;
};

static void pages_release(struct pages *p)
{
    VEC_EACH(&p->answers, a)
        engine_free_message(*a);
    VEC_RELEASE(&p->answers);
    VEC_RELEASE(&p->histories);
}

static void cache_unlink(struct workflow_runner *r, struct cached *c)
{
    *(c->newer ? &c->newer->older : &r->newest) = c->older;
    *(c->older ? &c->older->newer : &r->oldest) = c->newer;
    c->newer = c->older = NULL;
}

static void cache_drop(struct workflow_runner *r, struct cached *c)
{
    cache_unlink(r, c);
    map_remove(&r->cache, c->run_id);
    workflow_free(c->workflow);
    engine_free_message(c->pin ? &c->pin->base : NULL);
    free(c->run_id);
    free(c);
}

static void cache_touch(struct workflow_runner *r, struct cached *c)
{
    c->older = r->newest;
    c->newer = NULL;
    *(r->newest ? &r->newest->newer : &r->oldest) = c;
    r->newest = c;
}

static struct cached *cache_add(struct worker *w, const char *run_id, struct workflow *wf)
{
    struct workflow_runner *r = w->workflows;
    while (r->cache.len >= (size_t)w->o.workflow_cache)
        cache_drop(r, r->oldest);
    struct cached *c = mem_zalloc(sizeof *c);
    if (!c || !(c->run_id = mem_strdup(run_id)) || !map_set(&r->cache, run_id, c)) {
        if (c)
            free(c->run_id);
        free(c);
        return NULL;
    }
    c->workflow = wf;
    cache_touch(r, c);
    return c;
}

/* Fetches history pages from a token on (or all of it, with no token). */
static int fetch_pages(struct worker *w, const Pb__WorkflowExecution *execution,
                       const ProtobufCBinaryData *token, struct pages *ret, struct err *err)
{
    Pb__GetWorkflowExecutionHistoryRequest req = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    req.namespace_ = w->name_space;
    req.execution = (Pb__WorkflowExecution *)execution;
    if (token)
        req.next_page_token = *token;
    for (int i = 0; i < HISTORY_PAGES_MAX; i++) {
        ProtobufCMessage *m;
        int r = engine_call_sync(w->o.engine, ENGINE_GET_HISTORY, &req.base, 0, &m, err);
        if (r < 0)
            return err_wrap(err, "read history");
        if (!VEC_PUSH(&ret->answers, m)) {
            engine_free_message(m);
            return err_nomem(err);
        }
        Pb__GetWorkflowExecutionHistoryResponse *a = (Pb__GetWorkflowExecutionHistoryResponse *)m;
        if (a->history && a->history->n_events && !VEC_PUSH(&ret->histories, a->history))
            return err_nomem(err);
        if (!a->next_page_token.len)
            return 0;
        req.next_page_token = a->next_page_token;
    }
    return err_set(err, ERR_LIMIT, "a history of more than %d pages", HISTORY_PAGES_MAX);
}

/* A workflow task with all the history that it needs. */
struct job {
    Pb__PollWorkflowTaskQueueResponse *task;
    const struct vertical *vertical;
    Pb__History *first; /* what the task came with, put back before it is freed */
    struct pages pages;
    struct cached *cached;
    struct err refused; /* with a code: the run fails for this, without an instance */
};

/* As it came: no instance, no pages. */
static void job_reset(struct job *j)
{
    j->task->history = j->first;
    pages_release(&j->pages);
    j->cached = NULL;
}

static const Pb__HistoryEvent *started_event(const Pb__History *h)
{
    return h && h->n_events && h->events[0]->event_id == 1 ? h->events[0] : NULL;
}

/* All of the history, from event 1 on. */
static int job_whole_history(struct worker *w, struct job *j, struct err *err)
{
    Pb__PollWorkflowTaskQueueResponse *t = j->task;
    if (started_event(t->history))
        return t->next_page_token.len ? fetch_pages(w, t->workflow_execution, &t->next_page_token, &j->pages, err) : 0;
    int r = fetch_pages(w, t->workflow_execution, NULL, &j->pages, err);
    if (r < 0)
        return r;
    if (!j->pages.histories.len)
        return err_set(err, ERR_CORRUPT, "the run has no history");
    t->history = (Pb__History *)j->pages.histories.v[0];
    memmove(j->pages.histories.v, j->pages.histories.v + 1, (j->pages.histories.len - 1) * sizeof *j->pages.histories.v);
    j->pages.histories.len--;
    return 0;
}

static int at_hand(void *arg, Pb__Payload *p)
{
    for (size_t i = 0; i < p->n_metadata; i++)
        if (strcmp(p->metadata[i]->key, PBX_OBJECT_KEY) == 0)
            return pbx_payload_json(p, &(json_t *){NULL}, arg);
    return 0;
}

/* A script never sees a reference where its value should be: without the store the task fails, and is tried again. */
static int all_at_hand(const struct job *j, struct err *err)
{
    int r = pbwalk_payloads(&j->task->base, at_hand, err);
    for (size_t i = 0; r == 0 && i < j->pages.histories.len; i++)
        r = pbwalk_payloads((ProtobufCMessage *)&j->pages.histories.v[i]->base, at_hand, err);
    return r;
}

/* The memo by which a worker has pinned the run; NULL: none has. */
static const Pb__Memo *pinned_later(const struct job *j, bool *ret_fresh)
{
    *ret_fresh = true;
    for (size_t p = 0; p <= j->pages.histories.len; p++) {
        const Pb__History *h = p == 0 ? j->task->history : j->pages.histories.v[p - 1];
        for (size_t i = 0; i < h->n_events; i++) {
            const Pb__HistoryEvent *e = h->events[i];
            *ret_fresh &= e->event_type != PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_COMPLETED;
            if (e->attributes_case == PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_PROPERTIES_MODIFIED_EVENT_ATTRIBUTES &&
                scripts_pinned(e->workflow_properties_modified_event_attributes->upserted_memo))
                return e->workflow_properties_modified_event_attributes->upserted_memo;
        }
    }
    return NULL;
}

/* The script for a new instance. */
static int job_script(struct worker *w, struct job *j, struct script_found *ret, struct err *err)
{
    struct workflow_runner *r = w->workflows;
    const Pb__PollWorkflowTaskQueueResponse *t = j->task;
    const Pb__HistoryEvent *first = started_event(t->history);
    _cleanup_json_ json_t *input = NULL;
    bool fresh = false;
    if (!first || !first->workflow_execution_started_event_attributes)
        return err_set(err, ERR_CORRUPT, "the history does not begin with its start");
    const Pb__WorkflowExecutionStartedEventAttributes *a = first->workflow_execution_started_event_attributes;
    struct script_wanted q = {.type = a->workflow_type ? a->workflow_type->name : "",
                              .run = t->workflow_execution,
                              .pinned = scripts_pinned(a->memo) ? a->memo : pinned_later(j, &fresh),
                              .mended = (uintptr_t)map_get(&r->misfits, t->workflow_execution->run_id) % 2 == 1};
    q.check = fresh || t->query; /* what was started before such runs were pinned goes on */
    int e = q.pinned ? 0 : pbx_payloads_json(a->input, 0, &input, &ret->refused);
    if (e == -ERR_NO_MEMORY)
        return err_copy(err, &ret->refused);
    if (e < 0) {
        err_wrap(&ret->refused, "input of the workflow");
        return 0;
    }
    q.given = workflow_foreign_parameters(input);
    return scripts_for_run(&r->scripts, w, &q, ret, err);
}

/* Gives the job an instance of its own. */
static int job_instance(struct worker *w, struct job *j, struct script_found *f, struct err *err)
{
    struct workflow *wf;
    int e = workflow_new(f->script->text, f->script->len, "workflow.lua", NULL, &wf, err);
    if (e < 0)
        return e;
    if (f->defaults)
        workflow_set_defaults(wf, json_object_get(f->defaults, "context"), json_object_get(f->defaults, "parameters"));
    j->cached = cache_add(w, j->task->workflow_execution->run_id, wf);
    if (!j->cached) {
        workflow_free(wf);
        return err_nomem(err);
    }
    j->cached->pin = TAKE_PTR(f->pin);
    return 0;
}

/* Finds the cached instance, or makes a new one and fetches all that it must replay. */
static int job_prepare(struct worker *w, struct job *j, struct err *err)
{
    struct workflow_runner *r = w->workflows;
    Pb__PollWorkflowTaskQueueResponse *t = j->task;
    j->cached = map_get(&r->cache, t->workflow_execution->run_id);
    bool full = started_event(t->history) != NULL;
    if (j->cached && (full || workflow_last_event_id(j->cached->workflow) < t->previous_started_event_id)) {
        cache_drop(r, j->cached); /* it begins again, or missed something */
        j->cached = NULL;
    }
    if (j->cached) {
        cache_unlink(r, j->cached);
        cache_touch(r, j->cached);
        int got = t->next_page_token.len ? fetch_pages(w, t->workflow_execution, &t->next_page_token, &j->pages, err) : 0;
        return got < 0 ? got : all_at_hand(j, err);
    }
    struct script_found f = {0};
    int e = job_whole_history(w, j, err);
    if (e == 0)
        e = all_at_hand(j, err);
    if (e == 0)
        e = job_script(w, j, &f, err);
    j->refused = f.refused;
    if (e == 0 && !f.refused.code)
        e = job_instance(w, j, &f, err);
    script_found_release(&f);
    return e;
}

static Pb__StickyExecutionAttributes *sticky_attributes(const struct vertical *v)
{
    Pb__StickyExecutionAttributes *s = mem_alloc(sizeof *s);
    Pb__TaskQueue *q = mem_alloc(sizeof *q);
    if (!s || !q) {
        free(s);
        free(q);
        return NULL;
    }
    pb__sticky_execution_attributes__init(s);
    pb__task_queue__init(q);
    q->name = pbx_str(v->sticky);
    q->normal_name = pbx_str(v->queue);
    q->kind = PB__TASK_QUEUE_KIND__TASK_QUEUE_KIND_STICKY;
    s->worker_task_queue = q;
    s->schedule_to_start_timeout = pbx_duration(STICKY_TIMEOUT_NS);
    return s;
}

static void copy_token(ProtobufCBinaryData *to, const ProtobufCBinaryData *from)
{
    to->data = mem_dup(from->data, from->len);
    to->len = to->data ? from->len : 0;
}

static void answer_failed(struct worker *w, const ProtobufCBinaryData *token, Pb__WorkflowTaskFailedCause cause,
                          Pb__Failure *failure)
{
    Pb__RespondWorkflowTaskFailedRequest *req = mem_alloc(sizeof *req);
    if (!req || !failure) { /* the task times out and is handed out again */
        free(req);
        engine_free_message(failure ? &failure->base : NULL);
        return;
    }
    pb__respond_workflow_task_failed_request__init(req);
    copy_token(&req->task_token, token);
    req->cause = cause;
    req->failure = failure;
    req->identity = pbx_str(w->identity);
    req->namespace_ = pbx_str(w->name_space);
    worker_call(w, ENGINE_FAIL_WORKFLOW_TASK, &req->base, "fail a workflow task");
}

/* Too large for one message, even with its payloads in the store: whoever looks at the run finds out why it stands. */
void workflow_runner_refuse(struct worker *w, const ProtobufCMessage *req, const struct err *why)
{
    const Pb__RespondWorkflowTaskCompletedRequest *q = (const Pb__RespondWorkflowTaskCompletedRequest *)req;
    answer_failed(w, &q->task_token,
                  PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_GRPC_MESSAGE_TOO_LARGE,
                  pbx_app_failure(why->msg, "TooLarge", false, NULL));
}

static void answer_query(struct worker *w, const Pb__PollWorkflowTaskQueueResponse *t,
                         const Pb__WorkflowQueryResult *result, const struct err *err)
{
    Pb__RespondQueryTaskCompletedRequest *req = mem_alloc(sizeof *req);
    if (!req)
        return;
    pb__respond_query_task_completed_request__init(req);
    copy_token(&req->task_token, &t->task_token);
    req->namespace_ = pbx_str(w->name_space);
    ProtobufCMessage *copy = NULL;
    if (result) {
        req->completed_type = result->result_type;
        req->error_message = pbx_str(result->error_message);
        if (result->answer && pbx_dup(&result->answer->base, &copy, NULL) == 0)
            req->query_result = (Pb__Payloads *)copy;
    } else {
        req->completed_type = PB__QUERY_RESULT_TYPE__QUERY_RESULT_TYPE_FAILED;
        req->error_message = pbx_str(err ? err->msg : "no answer");
    }
    worker_call(w, ENGINE_COMPLETE_QUERY, &req->base, "answer a query");
}

/* A module's activity heartbeats whatever its script said (activity.c), so the engine may count on it. Other people's
 * activities may not. */
static int watch_activity(struct worker *w, Pb__ScheduleActivityTaskCommandAttributes *a, struct err *err)
{
    if (!w->o.heartbeat_timeout_ms || a->heartbeat_timeout)
        return 0;
    a->heartbeat_timeout = pbx_duration(w->o.heartbeat_timeout_ms * NS_PER_MS);
    return a->heartbeat_timeout ? 0 : err_nomem(err);
}

/* Is it a queue that this worker does not serve? */
static bool is_foreign(struct worker *w, const Pb__TaskQueue *q)
{
    bool foreign = q && q->name && *q->name;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; foreign && i < w->verticals_count; i++)
        foreign = strcmp(w->verticals[i]->queue, q->name) != 0;
    pthread_mutex_unlock(&w->lock);
    return foreign;
}

/* Polls the vertical of that queue from now on, if it is one. */
static int serve_queue(struct worker *w, const Pb__TaskQueue *q, struct err *err)
{
    size_t n = q && q->name ? strlen(q->name) : 0;
    char vertical[128];
    if (n <= 6 || n >= sizeof vertical || strcmp(q->name + n - 6, "-queue") != 0)
        return 0;
    snprintf(vertical, sizeof vertical, "%.*s", (int)(n - 6), q->name);
    return worker_add_vertical(w, vertical, err);
}

/* Commands that need what only the worker knows: the pinned script of a child, the memo of the next run. And a
 * task queue that is new to this worker is polled from now on, if what is asked of it can be done here: else it is the
 * queue of other people's workers, in whatever language. */
static int complete_commands(struct worker *w, const struct job *j, struct workflow_result *res,
                             struct err *err)
{
    for (size_t i = 0; i < res->commands_count; i++) {
        Pb__Command *c = res->commands[i];
        int e = 0;
        if (c->attributes_case == PB__COMMAND__ATTRIBUTES_START_CHILD_WORKFLOW_EXECUTION_COMMAND_ATTRIBUTES) {
            Pb__StartChildWorkflowExecutionCommandAttributes *a =
                c->start_child_workflow_execution_command_attributes;
            e = worker_claim_child(w, j->task->workflow_execution->workflow_id, a, err);
            if (e == 0)
                e = scripts_pin_child(w, a, err);
            if (e == 0)
                e = serve_queue(w, a->task_queue, err);
            else if (e == -ERR_NOT_FOUND && is_foreign(w, a->task_queue))
                e = 0;
        } else if (c->attributes_case ==
                   PB__COMMAND__ATTRIBUTES_CONTINUE_AS_NEW_WORKFLOW_EXECUTION_COMMAND_ATTRIBUTES) {
            e = scripts_pin_next(w, j->task->workflow_execution, j->cached->pin,
                                 c->continue_as_new_workflow_execution_command_attributes, err);
        } else if (c->attributes_case == PB__COMMAND__ATTRIBUTES_SCHEDULE_ACTIVITY_TASK_COMMAND_ATTRIBUTES) {
            Pb__ScheduleActivityTaskCommandAttributes *a = c->schedule_activity_task_command_attributes;
            if (w->o.modules && module_registry_has(w->o.modules, a->activity_type->name)) {
                e = watch_activity(w, a, err);
                if (e == 0)
                    e = serve_queue(w, a->task_queue, err);
            }
        }
        if (e < 0)
            return e;
    }
    return 0;
}

/* What children have answered, the run keeps. */
static int claim_answers(struct worker *w, const struct job *j, struct err *err)
{
    const Pb__PollWorkflowTaskQueueResponse *t = j->task;
    const char *run = t->workflow_execution->workflow_id;
    int64_t since = t->previous_started_event_id;
    int e = worker_claim_answers(w, run, t->history, since, err);
    for (size_t i = 0; e == 0 && i < j->pages.histories.len; i++)
        e = worker_claim_answers(w, run, j->pages.histories.v[i], since, err);
    return e;
}

/* Puts what pins the run before its commands. */
static int pin_run(struct job *j, struct workflow_result *res, struct err *err)
{
    Pb__Command *c = mem_alloc(sizeof *c), **list = mem_calloc(res->commands_count + 1, sizeof *list);
    Pb__ModifyWorkflowPropertiesCommandAttributes *a = mem_alloc(sizeof *a);
    if (!c || !list || !a) {
        free(c);
        free(list);
        free(a);
        return err_nomem(err);
    }
    pb__command__init(c);
    pb__modify_workflow_properties_command_attributes__init(a);
    c->command_type = PB__COMMAND_TYPE__COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES;
    c->attributes_case = PB__COMMAND__ATTRIBUTES_MODIFY_WORKFLOW_PROPERTIES_COMMAND_ATTRIBUTES;
    c->modify_workflow_properties_command_attributes = a;
    a->upserted_memo = TAKE_PTR(j->cached->pin);
    list[0] = c;
    if (res->commands_count)
        memcpy(list + 1, res->commands, res->commands_count * sizeof *list);
    free(res->commands);
    res->commands = list;
    res->commands_count++;
    return 0;
}

/* The only command of a run whose start cannot be taken. */
static int fail_run(const struct job *j, struct workflow_result *res, struct err *err)
{
    Pb__Command *c = mem_alloc(sizeof *c), **list = mem_calloc(1, sizeof *list);
    Pb__FailWorkflowExecutionCommandAttributes *a = mem_alloc(sizeof *a);
    Pb__Failure *f = pbx_app_failure(j->refused.msg, "BadInput", true, NULL);
    if (!c || !list || !a || !f) {
        free(c);
        free(list);
        free(a);
        engine_free_message(f ? &f->base : NULL);
        return err_nomem(err);
    }
    pb__command__init(c);
    pb__fail_workflow_execution_command_attributes__init(a);
    c->command_type = PB__COMMAND_TYPE__COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION;
    c->attributes_case = PB__COMMAND__ATTRIBUTES_FAIL_WORKFLOW_EXECUTION_COMMAND_ATTRIBUTES;
    c->fail_workflow_execution_command_attributes = a;
    a->failure = f;
    list[0] = c;
    *res = (struct workflow_result){.outcome = WORKFLOW_TASK_COMPLETED, .commands = list, .commands_count = 1};
    return 0;
}

static bool closes(const struct workflow_result *res)
{
    if (!res->commands_count)
        return false;
    switch (res->commands[res->commands_count - 1]->command_type) {
    case PB__COMMAND_TYPE__COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION:
    case PB__COMMAND_TYPE__COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION:
    case PB__COMMAND_TYPE__COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION:
    case PB__COMMAND_TYPE__COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION:
        return true;
    default:
        return false;
    }
}

/* Who replays this run; said with its first task, as Temporal's SDKs do. */
static Pb__WorkflowTaskCompletedMetadata *sdk_metadata(const struct worker *w, const Pb__PollWorkflowTaskQueueResponse *t)
{
    Pb__WorkflowTaskCompletedMetadata *m = t->previous_started_event_id || !w->o.version ? NULL : mem_alloc(sizeof *m);
    if (!m)
        return NULL;
    pb__workflow_task_completed_metadata__init(m);
    m->sdk_name = pbx_str("fuzzforge");
    m->sdk_version = pbx_str(w->o.version);
    return m;
}

/* Has a command of these ended the run, or told an activity to stop? */
static bool ends_activities(const struct workflow_result *res)
{
    for (size_t i = 0; i < res->commands_count; i++)
        if (res->commands[i]->command_type == PB__COMMAND_TYPE__COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK)
            return true;
    return closes(res);
}

static void answer_completed(struct worker *w, const struct job *j, struct workflow_result *res)
{
    const Pb__PollWorkflowTaskQueueResponse *t = j->task;
    const char *ask = ends_activities(res) ? t->workflow_execution->run_id : NULL;
    Pb__RespondWorkflowTaskCompletedRequest *req = mem_alloc(sizeof *req);
    if (!req)
        return;
    pb__respond_workflow_task_completed_request__init(req);
    copy_token(&req->task_token, &t->task_token);
    req->identity = pbx_str(w->identity);
    req->namespace_ = pbx_str(w->name_space);
    req->sticky_attributes = sticky_attributes(j->vertical);
    req->sdk_metadata = sdk_metadata(w, t);
    req->commands = res->commands;
    req->n_commands = res->commands_count;
    req->query_results = res->query_results;
    req->n_query_results = res->query_results_count;
    res->commands = NULL;
    res->query_results = NULL;
    res->commands_count = res->query_results_count = 0;
    worker_call_then_ask(w, ENGINE_COMPLETE_WORKFLOW_TASK, &req->base, "complete a workflow task", ask);
}

static void emit_logs(struct worker *w, const Pb__PollWorkflowTaskQueueResponse *t,
                      const struct workflow_result *res)
{
    static const char *const levels[] = {"error", "warning", "info", "debug"};
    for (size_t i = 0; i < res->logs_count; i++) {
        int level = res->logs[i].level;
        _cleanup_json_ json_t *data =
            json_pack("{s:s, s:s?}", "level", levels[level < 0 || level > 3 ? 2 : level], "message",
                      res->logs[i].text);
        worker_emit(w, t->workflow_execution->workflow_id, "", 0, "script_log", data);
    }
}

static void note_misfit(struct workflow_runner *r, const char *run_id)
{
    if (r->misfits.len > MISFITS_MAX)
        map_clear(&r->misfits);
    uintptr_t n = (uintptr_t)map_get(&r->misfits, run_id);
    map_set(&r->misfits, run_id, (void *)(n + 1)); /* forgotten when memory is out: then the next one counts */
}

/* Prepares the instance and runs it. */
static int step(struct worker *w, struct job *j, struct workflow_result *res, struct err *err)
{
    int e = job_prepare(w, j, err);
    if (e == 0 && j->refused.code)
        return j->task->query ? err_copy(err, &j->refused) : fail_run(j, res, err);
    return e < 0 ? e : workflow_task(j->cached->workflow, j->task, j->pages.histories.v, j->pages.histories.len, res, err);
}

static void run_task(struct worker *w, struct job *j)
{
    struct workflow_runner *r = w->workflows;
    Pb__PollWorkflowTaskQueueResponse *t = j->task;
    struct workflow_result res = {0};
    struct err err = {0};
    int e = step(w, j, &res, &err);
    if (e == -ERR_STATE && j->cached && !started_event(j->first)) { /* the cached instance does not fit: from event 1, then */
        cache_drop(r, j->cached);
        job_reset(j);
        workflow_result_release(&res);
        res = (struct workflow_result){0};
        e = step(w, j, &res, &err);
    }
    if (e == 0 && res.outcome == WORKFLOW_TASK_COMPLETED && !t->query)
        e = claim_answers(w, j, &err);
    if (e == 0 && res.outcome == WORKFLOW_TASK_COMPLETED && !t->query)
        e = complete_commands(w, j, &res, &err);
    if (e == 0 && res.outcome == WORKFLOW_TASK_COMPLETED && !t->query && j->cached && j->cached->pin)
        e = pin_run(j, &res, &err);
    bool drop = true;
    worker_clean_text(err.msg, strlen(err.msg)); /* it may name a file */
    if (t->query) {
        answer_query(w, t, e == 0 ? res.query_result : NULL, &err);
        drop = e < 0;
    } else if (e < 0) {
        answer_failed(w, &t->task_token,
                      PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
                      pbx_app_failure(err.msg, "WorkerError", false, NULL));
    } else if (res.outcome == WORKFLOW_TASK_FAILED) {
        note_misfit(r, t->workflow_execution->run_id);
        answer_failed(w, &t->task_token, res.cause, TAKE_PTR(res.failure));
    } else {
        emit_logs(w, t, &res);
        drop = closes(&res);
        answer_completed(w, j, &res);
    }
    if (drop && j->cached)
        cache_drop(r, j->cached);
    workflow_result_release(&res);
}

static bool add_poller(struct worker *w, struct vertical *v, bool sticky, bool extra)
{
    struct poller *p = poller_new(w, ENGINE_POLL_WORKFLOW_TASK, v, sticky);
    if (!p)
        return false;
    p->extra = extra;
    v->workflow_extra[sticky] += extra;
    atomic_fetch_add(&w->workflows->pollers, 1);
    poller_send(p, &w->workflows->inbox);
    return true;
}

static void poll_again(struct worker *w, struct poller *p, bool found)
{
    struct workflow_runner *r = w->workflows;
    struct vertical *v = p->vertical;
    bool sticky = p->sticky, more = found && r->task_ns < BRIEF_NS;
    if (atomic_load(&w->stopping) || (p->extra && !more)) {
        v->workflow_extra[sticky] -= p->extra;
        poller_free(p);
        atomic_fetch_sub(&r->pollers, 1);
        return;
    }
    poller_send(p, &r->inbox);
    if (more && v->workflow_extra[sticky] < w->o.workflow_extra)
        add_poller(w, v, sticky, true);
}

static void handle_answer(struct worker *w, struct poller *p)
{
    struct workflow_runner *r = w->workflows;
    struct job j = {.task = (Pb__PollWorkflowTaskQueueResponse *)TAKE_PTR(p->answer), .vertical = p->vertical};
    bool found = j.task && j.task->task_token.len && j.task->workflow_execution;
    if (found && !atomic_load(&w->stopping)) {
        int64_t begun = os_mono_ns();
        j.first = j.task->history;
        run_task(w, &j);
        j.task->history = j.first;
        r->task_ns += (os_mono_ns() - begun - r->task_ns) / 8;
    }
    pages_release(&j.pages);
    engine_free_message(j.task ? &j.task->base : NULL);
    poll_again(w, p, found);
}

/* Each answer and the poll behind it, for a few tasks; not where the next one may keep them from going out. */
static void gather(const struct workflow_runner *r)
{
    if (r->task_ns < BRIEF_NS)
        engine_gather();
}

static void *run_thread(void *arg)
{
    struct worker *w = arg;
    struct workflow_runner *r = w->workflows;
    while (!atomic_load(&w->stopping) || atomic_load(&r->pollers) > 0) {
        engine_send(w->o.engine);
        struct poller *p = inbox_take(&r->inbox, true);
        worker_call_again(w);
        if (!p && atomic_load(&w->stopping))
            os_sleep_ms(1);
        if (inbox_failed(p) && !atomic_load(&w->stopping))
            os_sleep_ms(POLL_PAUSE_MS);
        gather(r);
        for (int n = 1; p; n++) {
            struct poller *next = p->next;
            handle_answer(w, p);
            if (n % TASKS_GATHERED == 0 || r->task_ns >= BRIEF_NS) {
                engine_send(w->o.engine);
                gather(r);
            }
            p = next;
        }
    }
    while (r->oldest)
        cache_drop(r, r->oldest);
    return NULL;
}

static int add_pollers(struct worker *w, struct vertical *v, bool sticky, struct err *err)
{
    for (int i = 0; i < w->o.workflow_polls; i++)
        if (!add_poller(w, v, sticky, false))
            return err_nomem(err);
    return 0;
}

int workflow_runner_add(struct worker *w, struct vertical *v, struct err *err)
{
    int r = add_pollers(w, v, false, err);
    return r < 0 ? r : add_pollers(w, v, true, err);
}

void workflow_runner_nudge(struct worker *w)
{
    inbox_nudge(&w->workflows->inbox);
}

int workflow_runner_start(struct worker *w, struct err *err)
{
    struct workflow_runner *r = mem_zalloc(sizeof *r);
    if (!r)
        return err_nomem(err);
    w->workflows = r;
    inbox_init(&r->inbox);
    int e = pthread_create(&r->thread, NULL, run_thread, w);
    if (e)
        return err_sys(err, e, "start the workflow thread");
    r->started = true;
    return 0;
}

void workflow_runner_stop(struct worker *w)
{
    struct workflow_runner *r = w->workflows;
    if (!r)
        return;
    inbox_stop(&r->inbox);
    if (r->started)
        pthread_join(r->thread, NULL);
}

void workflow_runner_free(struct worker *w)
{
    struct workflow_runner *r = TAKE_PTR(w->workflows);
    if (!r)
        return;
    inbox_release(&r->inbox);
    map_release(&r->cache);
    map_release(&r->misfits);
    scripts_release(&r->scripts);
    free(r);
}
