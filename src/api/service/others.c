#include "api/service/others.h"

#include "api/service/objects.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "codec/findings.h"
#include "codec/json.h"
#include "codec/pbx.h"

#include <stdio.h>
#include <string.h>

#define PAGES_MAX 64      /* of new events at a time: what is older is left out */
#define MODULES_MAX 10000 /* activities whose end may still come */
#define FINDINGS_BYTES_MAX ((size_t)64 << 20)
#define SHOWN_MAX 10000 /* findings; what is over that is given at the end alone */

/* Whose run it is. */
struct of_run {
    const struct service *svc;
    const char *run_id;
};

static void emit(struct others *o, const struct of_run *run, const char *module, int attempt, const char *type,
                 const json_t *data)
{
    struct worker_event e = {.name_space = service_namespace(run->svc), .workflow_id = run->run_id, .module = module,
                             .attempt = attempt, .type = type, .data = data};
    o->on_event(o->arg, &e);
}

static bool is_own(const struct others *o, const char *worker)
{
    return !worker || !*worker || (o->own && strcmp(o->own, worker) == 0);
}

/* --- what runs -------------------------------------------------------------------------------------------- */

static char *show_key(const char *module, const json_t *finding)
{
    return mem_printf("%s %s %.300s:%lld %.300s", module, json_str(finding, "rule_id", ""), json_str(finding, "file", ""),
                      (long long)json_i64(finding, "line", 0), json_str(finding, "title", ""));
}

/* Notes that it was given early. false: it is not to be. */
static bool note_shown(struct others *o, const char *module, const json_t *finding)
{
    _cleanup_free_ char *key = show_key(module, finding);
    if (!o->shown)
        o->shown = json_object();
    if (!key || json_object_size(o->shown) >= SHOWN_MAX)
        return false;
    return json_object_set_new(o->shown, key, json_integer(json_i64(o->shown, key, 0) + 1)) == 0;
}

/* Was it given early? Each time once. */
static bool take_shown(struct others *o, const char *module, const json_t *finding)
{
    _cleanup_free_ char *key = json_object_size(o->shown) ? show_key(module, finding) : NULL;
    int64_t n = key ? json_i64(o->shown, key, 0) : 0;
    if (n > 1)
        json_object_set_new(o->shown, key, json_integer(n - 1));
    else if (n == 1)
        json_object_del(o->shown, key);
    return n > 0;
}

/* What it has said since before; a next attempt begins with what the last one said. */
static void give_recent(struct others *o, const struct of_run *run, const json_t *a, const json_t *before)
{
    const json_t *recent = json_object_get(a, "recent"), *old = json_object_get(before, "recent"), *item;
    const char *module = json_str(a, "module", "");
    int64_t attempt = json_i64(recent, "attempt", 0), seen = 0;
    size_t i;
    const json_t *items = json_object_get(old, "items");
    if (json_i64(old, "attempt", 0) == attempt)
        seen = json_i64(json_array_get(items, json_array_size(items) - 1), "n", 0);
    if (attempt != json_i64(a, "attempt", 0))
        return;
    json_array_foreach(json_object_get(recent, "items"), i, item) {
        const json_t *data = json_object_get(item, "data");
        const char *type = json_str(item, "type", "");
        bool finding = strcmp(type, "finding") == 0, known = finding || strcmp(type, "log") == 0;
        if (json_i64(item, "n", 0) > seen && known && json_is_object(data) && (!finding || note_shown(o, module, data)))
            emit(o, run, module, (int)attempt, type, data);
    }
}

void others_running(struct others *o, const struct service *svc, const char *run_id, const json_t *activities)
{
    const struct of_run r = {svc, run_id}, *run = &r;
    json_t *now = json_object(), *a;
    size_t i;
    json_array_foreach(activities, i, a) {
        const char *id = json_str(a, "id", ""), *module = json_str(a, "module", "");
        int attempt = (int)json_i64(a, "attempt", 0);
        json_t *before = json_object_get(o->running, id), *progress = json_object_get(a, "progress");
        json_t *stats = json_object_get(a, "stats");
        if (is_own(o, json_str(a, "worker", NULL)))
            continue;
        if (!before || json_i64(before, "attempt", 0) != attempt)
            emit(o, run, module, attempt, "started", NULL);
        if (json_is_object(progress) && !json_equal(progress, json_object_get(before, "progress")))
            emit(o, run, module, attempt, "progress", progress);
        if (json_is_object(stats) && !json_equal(stats, json_object_get(before, "stats")))
            emit(o, run, module, attempt, "stats", stats);
        give_recent(o, run, a, before);
        json_object_set(now, id, a);
    }
    json_decref(o->running);
    o->running = now;
}

/* --- what has ended --------------------------------------------------------------------------------------- */

static void give_findings(struct others *o, const struct of_run *run, const char *module, const json_t *result)
{
    const struct service *svc = run->svc;
    const char *ref = json_str(json_object_get(result, "findings"), "ref", "");
    struct findings list = {0};
    _cleanup_free_ char *text = NULL;
    size_t len;
    if (svc->store && store_ref_valid(ref) && object_of_run(svc, run->run_id, ref, NULL) == 0 &&
        store_get(svc->store, ref, FINDINGS_BYTES_MAX, &text, &len, NULL) == 0 &&
        findings_read(&list, text, len, NULL) == 0)
        for (size_t i = 0; i < list.len; i++) {
            _cleanup_json_ json_t *f = finding_to_json(&list.v[i]);
            if (f && !take_shown(o, module, f))
                emit(o, run, module, 0, "finding", f);
        }
    findings_release(&list);
}

/* The name of the activity's module; it is not asked for again. */
static void take_module(struct others *o, int64_t scheduled_id, char buf[128])
{
    char key[24];
    snprintf(key, sizeof key, "%lld", (long long)scheduled_id);
    snprintf(buf, 128, "%s", json_str(o->modules, key, "activity"));
    json_object_del(o->modules, key);
}

static void note_scheduled(struct others *o, const Pb__HistoryEvent *e)
{
    const Pb__ActivityTaskScheduledEventAttributes *a = e->activity_task_scheduled_event_attributes;
    char key[24];
    if (!o->modules)
        o->modules = json_object();
    snprintf(key, sizeof key, "%lld", (long long)e->event_id);
    if (a->activity_type && json_object_size(o->modules) < MODULES_MAX)
        json_object_set_new(o->modules, key, json_string(a->activity_type->name));
}

void others_event(struct others *o, const struct service *svc, const char *run_id, const Pb__HistoryEvent *e)
{
    const struct of_run r = {svc, run_id}, *run = &r;
    char module[128];
    switch (e->attributes_case) {
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_SCHEDULED_EVENT_ATTRIBUTES:
        note_scheduled(o, e);
        return;
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_COMPLETED_EVENT_ATTRIBUTES: {
        const Pb__ActivityTaskCompletedEventAttributes *a = e->activity_task_completed_event_attributes;
        _cleanup_json_ json_t *result = NULL;
        take_module(o, a->scheduled_event_id, module);
        if (is_own(o, a->identity) || pbx_payloads_json(a->result, 0, &result, NULL) < 0)
            return;
        give_findings(o, run, module, result);
        emit(o, run, module, 0, "completed", result);
        return;
    }
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_FAILED_EVENT_ATTRIBUTES: {
        const Pb__ActivityTaskFailedEventAttributes *a = e->activity_task_failed_event_attributes;
        _cleanup_free_ char *text = pbx_failure_text(a->failure);
        _cleanup_json_ json_t *data = json_pack("{s:s}", "message", text ? text : "");
        take_module(o, a->scheduled_event_id, module);
        if (!is_own(o, a->identity))
            emit(o, run, module, 0, "failed", data);
        return;
    }
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_TIMED_OUT_EVENT_ATTRIBUTES:
        take_module(o, e->activity_task_timed_out_event_attributes->scheduled_event_id, module);
        emit(o, run, module, 0, "abandoned", NULL);
        return;
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_CANCELED_EVENT_ATTRIBUTES:
        take_module(o, e->activity_task_canceled_event_attributes->scheduled_event_id, module);
        emit(o, run, module, 0, "cancelled", NULL);
        return;
    default:
        return;
    }
}

typedef VEC(ProtobufCMessage *) pages;

/* The newest first, back to what was seen. */
static void fetch_new(const struct others *o, const struct service *svc, const struct run_info *run, pages *ret)
{
    Pb__GetWorkflowExecutionHistoryReverseRequest req = PB__GET_WORKFLOW_EXECUTION_HISTORY_REVERSE_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    req.namespace_ = service_namespace(svc);
    ex.workflow_id = run->run_id;
    ex.run_id = run->execution_id;
    req.execution = &ex;
    for (int i = 0; i < PAGES_MAX; i++) {
        ProtobufCMessage *m;
        if (engine_call_sync(svc->engine, ENGINE_GET_HISTORY_REVERSE, &req.base, 0, &m, NULL) < 0)
            return;
        if (!VEC_PUSH(ret, m)) {
            engine_free_message(m);
            return;
        }
        const Pb__GetWorkflowExecutionHistoryReverseResponse *r = (const void *)m;
        const Pb__History *h = r->history;
        if (!h || !h->n_events || h->events[h->n_events - 1]->event_id <= o->seen + 1 || !r->next_page_token.len)
            return;
        req.next_page_token = r->next_page_token;
    }
}

static void look_at_history(struct others *o, const struct service *svc, const struct run_info *run)
{
    pages list = {0};
    fetch_new(o, svc, run, &list);
    for (size_t i = list.len; i-- > 0;) {
        const Pb__History *h = ((const Pb__GetWorkflowExecutionHistoryReverseResponse *)list.v[i])->history;
        for (size_t k = h ? h->n_events : 0; k-- > 0;) {
            if (h->events[k]->event_id <= o->seen)
                continue;
            o->seen = h->events[k]->event_id;
            others_event(o, svc, run->run_id, h->events[k]);
        }
    }
    VEC_EACH(&list, m)
        engine_free_message(*m);
    VEC_RELEASE(&list);
}

void others_look(struct others *o, const struct service *svc, const struct run_info *run)
{
    if (strcmp(o->execution_id, run->execution_id) != 0) { /* it goes on as a new one */
        others_release(o);
        snprintf(o->execution_id, sizeof o->execution_id, "%s", run->execution_id);
    }
    others_running(o, svc, run->run_id, run->activities);
    if (run->history_length > o->seen)
        look_at_history(o, svc, run);
}

void others_release(struct others *o)
{
    json_decref(o->modules);
    json_decref(o->running);
    json_decref(o->shown);
    o->modules = o->running = o->shown = NULL;
    o->seen = 0;
}
