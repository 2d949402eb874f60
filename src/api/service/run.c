#include "api/service/run.h"
#include "api/service/control.h"

#include "api/client/remote.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "os/clock.h"
#include "store/said.h"

#include <stdio.h>
#include <string.h>

#define LIST_PAGE 1000
#define BLOCKED_ATTEMPTS 3

void gate_options_release(struct gate_options *g)
{
    free(g->export_sarif);
    free(g->baseline);
    *g = (struct gate_options){.fail_on = -1};
}

json_t *gate_options_json(const struct gate_options *g)
{
    return json_pack("{s:s?, s:b, s:s?, s:s?, s:b}", "fail_on",
                     g->fail_on < 0 ? NULL : severity_name((enum severity)g->fail_on), "strict", g->strict,
                     "export_sarif", g->export_sarif, "baseline", g->baseline, "no_inline_suppressions",
                     g->no_inline_suppressions);
}

int gate_options_parse(const json_t *j, struct gate_options *ret, struct err *err)
{
    *ret = (struct gate_options){.fail_on = -1};
    const char *level = json_str(j, "fail_on", NULL);
    if (level) {
        enum severity s;
        int r = severity_parse(level, &s, err);
        if (r < 0)
            return r;
        ret->fail_on = (int)s;
    }
    ret->strict = json_flag(j, "strict", false);
    ret->no_inline_suppressions = json_flag(j, "no_inline_suppressions", false);
    const char *sarif = json_str(j, "export_sarif", NULL), *base = json_str(j, "baseline", NULL);
    ret->export_sarif = mem_strdup(sarif);
    ret->baseline = mem_strdup(base);
    return (sarif && !ret->export_sarif) || (base && !ret->baseline) ? err_nomem(err) : 0;
}

int gate_options_paths(const struct service *svc, const char *run_id, const struct gate_options *g, json_t **ret,
                       struct err *err)
{
    const char *base = g->baseline && g->baseline[0] == '/' ? g->baseline : NULL;
    *ret = NULL;
    if (!base && !g->export_sarif)
        return 0;
    *ret = json_pack("{s:s, s:s, s:s?, s:s?}", "namespace", service_namespace(svc), "run", run_id, "export_sarif",
                     g->export_sarif, "baseline", base);
    return *ret ? 0 : err_nomem(err);
}

void run_info_release(struct run_info *r)
{
    free(r->run_id);
    free(r->execution_id);
    free(r->workflow);
    free(r->failure);
    free(r->key);
    free(r->asked);
    json_decref(r->target);
    json_decref(r->retries);
    json_decref(r->result);
    json_decref(r->activities);
    gate_options_release(&r->gate);
    *r = (struct run_info){0};
}

/* A memo is its client's: a path in it is read or written here only if the run was started here. */
static int check_paths(const struct service *svc, struct run_info *run, struct err *err)
{
    _cleanup_json_ json_t *paths = NULL;
    struct gate_options *g = &run->gate;
    bool said = false;
    int r = gate_options_paths(svc, run->run_id, g, &paths, err);
    if (r == 0 && paths && svc->store)
        r = store_said(svc->store, paths, &said, err);
    if (r < 0 || !paths || said)
        return r;
    free(TAKE_PTR(g->export_sarif));
    if (g->baseline && g->baseline[0] == '/')
        free(TAKE_PTR(g->baseline));
    return 0;
}

/* --- reading ---------------------------------------------------------------------------------------------- */

static int not_found(const char *id, const struct suggest *s, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "run '%s' not found", id);
    return s->best ? err_hint(err, "did you mean '%s'?", s->best) : err_hint(err, "'ff runs list' shows what there is");
}

int run_call(const struct service *svc, enum engine_method m, const ProtobufCMessage *req, struct err *err)
{
    ProtobufCMessage *detail = NULL;
    int r = engine_call_detail(svc->engine, m, req, 0, NULL, &detail, err);
    if (detail && detail->descriptor == &pb__error_detail_namespace_not_found__descriptor)
        r = err_set(err, ERR_UNAVAILABLE, "the cluster does not know namespace %s", service_namespace(svc));
    engine_free_message(detail);
    return r;
}

int run_look(const struct service *svc, const char *id, struct err *err)
{
    if (svc->client) {
        struct run_info run;
        int r = client_run_read(svc->client, id, &run, err);
        if (r == 0)
            run_info_release(&run);
        return r;
    }
    Pb__DescribeWorkflowExecutionRequest req = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    req.namespace_ = service_namespace(svc);
    ex.workflow_id = (char *)id;
    req.execution = &ex;
    return run_call(svc, ENGINE_DESCRIBE, &req.base, err);
}

bool run_exists(const struct service *svc, const char *id)
{
    return run_look(svc, id, NULL) == 0;
}

int run_resolve(const struct service *svc, const char *id, char **ret_id, struct err *err)
{
    if (svc->client)
        return client_run_resolve(svc->client, id, ret_id, err);
    if (run_exists(svc, id))
        return (*ret_id = mem_strdup(id)) ? 0 : err_nomem(err);
    Pb__ListWorkflowExecutionsRequest req = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    req.namespace_ = service_namespace(svc);
    req.page_size = LIST_PAGE;
    _cleanup_free_ char *found = NULL;
    int r = 0;
    bool several = false;
    struct suggest s;
    _cleanup_free_ char *near = NULL;
    suggest_init(&s, id);
    ProtobufCBinaryData token = {0};
    do {
        ProtobufCMessage *m;
        req.next_page_token = token;
        r = engine_call_sync(svc->engine, ENGINE_LIST, &req.base, 0, &m, err);
        if (r < 0)
            break;
        Pb__ListWorkflowExecutionsResponse *l = (Pb__ListWorkflowExecutionsResponse *)m;
        for (size_t i = 0; i < l->n_executions; i++) {
            const char *wid = l->executions[i]->execution->workflow_id;
            if (strncmp(wid, id, strlen(id)) == 0) {
                several = several || (found && strcmp(found, wid) != 0);
                free(found);
                found = mem_strdup(wid);
            }
            suggest_offer(&s, wid);
            if (s.best == wid) { /* the answer is freed below */
                free(near);
                near = mem_strdup(wid);
                s.best = near;
            }
        }
        free(token.data);
        token = l->next_page_token;
        l->next_page_token = (ProtobufCBinaryData){0};
        engine_free_message(m);
    } while (token.len);
    free(token.data);
    if (r < 0)
        return r;
    if (!found)
        return not_found(id, &s, err);
    if (several)
        return err_set(err, ERR_USAGE, "'%s' is the beginning of several runs: write more of it", id);
    *ret_id = TAKE_PTR(found);
    return 0;
}

const char *run_status_name(Pb__WorkflowExecutionStatus s)
{
    switch (s) {
    case PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_RUNNING:
    case PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW:
        return "RUNNING";
    case PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_COMPLETED:
        return "COMPLETED";
    case PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_FAILED:
        return "FAILED";
    case PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_CANCELED:
        return "CANCELLED";
    case PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_TERMINATED:
        return "TERMINATED";
    case PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
        return "TIMED_OUT";
    default:
        return "PENDING";
    }
}

static int memo_json(const Pb__Memo *memo, const char *key, json_t **ret)
{
    *ret = NULL;
    for (size_t i = 0; memo && i < memo->n_fields; i++)
        if (strcmp(memo->fields[i]->key, key) == 0)
            return pbx_payload_json(memo->fields[i]->value, ret, NULL);
    return 0;
}

static json_t *pending_json(const Pb__PendingActivityInfo *p)
{
    _cleanup_free_ char *failure = p->last_failure ? pbx_failure_text(p->last_failure) : NULL;
    _cleanup_json_ json_t *details = NULL;
    if (p->heartbeat_details && pbx_payloads_json(p->heartbeat_details, 0, &details, NULL) < 0)
        details = NULL;
    json_t *progress = json_object_get(details, "progress");
    json_t *stats = json_object_get(details, "stats"), *kept = json_object_get(details, "kept");
    bool started = p->state != PB__PENDING_ACTIVITY_STATE__PENDING_ACTIVITY_STATE_SCHEDULED;
    return json_pack("{s:s, s:s?, s:i, s:s?, s:O?, s:O*, s:O*, s:O*, s:s?}", "id", p->activity_id, "module",
                     p->activity_type ? p->activity_type->name : NULL, "attempt", (int)p->attempt, "last_failure",
                     failure, "progress", progress, "stats", stats, "kept", kept, "recent",
                     json_object_get(details, "recent"), "worker",
                     started && *p->last_worker_identity ? p->last_worker_identity : NULL);
}

static int read_close(const struct service *svc, struct run_info *run, struct err *err)
{
    Pb__GetWorkflowExecutionHistoryRequest req = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    req.namespace_ = service_namespace(svc);
    ex.workflow_id = run->run_id;
    ex.run_id = run->execution_id;
    req.execution = &ex;
    req.history_event_filter_type = PB__HISTORY_EVENT_FILTER_TYPE__HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT;
    ProtobufCMessage *m;
    int r = engine_call_sync(svc->engine, ENGINE_GET_HISTORY, &req.base, 0, &m, err);
    if (r < 0)
        return r;
    const Pb__History *h = ((Pb__GetWorkflowExecutionHistoryResponse *)m)->history;
    const Pb__HistoryEvent *e = h && h->n_events ? h->events[h->n_events - 1] : NULL;
    if (e && e->workflow_execution_completed_event_attributes &&
        e->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED) {
        r = pbx_payloads_json(e->workflow_execution_completed_event_attributes->result, 0, &run->result, err);
        run->incomplete = run->incomplete || json_flag(run->result, "incomplete", false);
    } else if (e && e->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_FAILED) {
        run->failure = pbx_failure_text(e->workflow_execution_failed_event_attributes->failure);
    } else if (e && e->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED) {
        run->failure = mem_strdup(e->workflow_execution_terminated_event_attributes->reason);
    }
    engine_free_message(m);
    return r;
}

/* The reason of the last workflow task that failed: what blocks the run. */
static int keep_block(void *arg, const Pb__HistoryEvent *e, struct err *err)
{
    struct run_info *run = arg;
    (void)err;
    if (e->event_type != PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_FAILED)
        return 0;
    free(run->failure);
    run->failure = pbx_failure_text(e->workflow_task_failed_event_attributes->failure);
    return 0;
}

static int fill(struct run_info *run, const Pb__DescribeWorkflowExecutionResponse *d, struct err *err)
{
    const Pb__WorkflowExecutionInfo *i = d->workflow_execution_info;
    if (!i || !i->execution)
        return err_set(err, ERR_INTERNAL, "the engine described no run");
    run->run_id = mem_strdup(i->execution->workflow_id);
    run->execution_id = mem_strdup(i->execution->run_id);
    run->workflow = mem_strdup(i->type ? i->type->name : "");
    run->status = run_status_name(i->status);
    run->closed = strcmp(run->status, "RUNNING") != 0;
    run->started_ns = pbx_timestamp_ns(i->start_time);
    run->finished_ns = pbx_timestamp_ns(i->close_time);
    run->history_length = i->history_length;
    run->activities = json_array();
    for (size_t k = 0; k < d->n_pending_activities; k++)
        json_array_append_new(run->activities, pending_json(d->pending_activities[k]));
    if (d->pending_workflow_task && d->pending_workflow_task->attempt > BLOCKED_ATTEMPTS)
        run->blocked = true;
    _cleanup_json_ json_t *gate = NULL, *key = NULL, *asked = NULL;
    memo_json(i->memo, MEMO_TARGET, &run->target);
    memo_json(i->memo, MEMO_GATE, &gate);
    memo_json(i->memo, MEMO_KEY, &key);
    memo_json(i->memo, MEMO_ASKED, &asked);
    memo_json(i->memo, MEMO_RETRIES, &run->retries);
    run->key = mem_strdup(json_string_value(key));
    run->asked = mem_strdup(json_string_value(asked));
    run->incomplete = json_flag(run->target, "incomplete", false);
    return run->run_id && run->execution_id && run->workflow ? gate_options_parse(gate, &run->gate, err)
                                                             : err_nomem(err);
}

int run_read(const struct service *svc, const char *id, struct run_info *ret, struct err *err)
{
    *ret = (struct run_info){0};
    if (svc->client)
        return client_run_read(svc->client, id, ret, err);
    Pb__DescribeWorkflowExecutionRequest req = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    req.namespace_ = service_namespace(svc);
    ex.workflow_id = (char *)id;
    req.execution = &ex;
    ProtobufCMessage *m;
    int r = engine_call_sync(svc->engine, ENGINE_DESCRIBE, &req.base, 0, &m, err);
    if (r < 0)
        return r == -ERR_NOT_FOUND ? err_set(err, ERR_NOT_FOUND, "run '%s' not found", id) : r;
    r = fill(ret, (Pb__DescribeWorkflowExecutionResponse *)m, err);
    engine_free_message(m);
    if (r == 0)
        r = check_paths(svc, ret, err);
    if (r == 0 && ret->closed)
        r = read_close(svc, ret, err);
    else if (r == 0 && ret->blocked)
        r = run_each_event_of(svc, ret->run_id, ret->execution_id, 0, keep_block, ret, err);
    if (r < 0)
        run_info_release(ret);
    return r;
}
