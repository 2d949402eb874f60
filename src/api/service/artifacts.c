#include "api/service/artifacts.h"

#include "api/service/control.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbx.h"

#include <stdio.h>
#include <string.h>

#define SCHEDULED 256 /* activities under way at a time; of more the module is not named */

struct gathering {
    json_t *list;
    int64_t scheduled[SCHEDULED];
    char module[SCHEDULED][80];
    size_t n;
};

static const char *module_of(const struct gathering *g, int64_t id)
{
    for (size_t i = 0; i < SCHEDULED; i++)
        if (g->scheduled[i] == id)
            return g->module[i];
    return NULL;
}

static int add(struct gathering *g, const char *module, const json_t *result, struct err *err)
{
    const char *name;
    json_t *ref;
    json_object_foreach(json_object_get(result, "artifacts"), name, ref) {
        json_t *j = json_pack("{s:s, s:s?, s:s?, s:I, s:s?}", "name", name, "module", module, "ref", json_str(ref, "ref",
                                                                                                              NULL), "bytes",
                              (json_int_t)json_i64(ref, "bytes", 0), "media_type", json_str(ref, "media_type", NULL));
        if (json_array_append_new(g->list, j) < 0)
            return err_nomem(err);
    }
    return 0;
}

/* What an activity has answered, or what is known of its failure. *ret_id: of its scheduling. NULL: neither. */
static int answer_of(const Pb__HistoryEvent *e, int64_t *ret_id, json_t **ret, struct err *err)
{
    const Pb__Payloads *p = NULL;
    struct err why = {0};
    *ret = NULL;
    if (e->attributes_case == PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_COMPLETED_EVENT_ATTRIBUTES) {
        p = e->activity_task_completed_event_attributes->result;
        *ret_id = e->activity_task_completed_event_attributes->scheduled_event_id;
    } else if (e->attributes_case == PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_FAILED_EVENT_ATTRIBUTES) {
        const Pb__Failure *f = e->activity_task_failed_event_attributes->failure;
        p = f && f->application_failure_info ? f->application_failure_info->details : NULL;
        *ret_id = e->activity_task_failed_event_attributes->scheduled_event_id;
    }
    int r = p ? pbx_payloads_json(p, 0, ret, &why) : 0;
    return err_retryable(-r) ? err_copy(err, &why) : 0; /* else it is of another program's activity */
}

static int look(void *arg, const Pb__HistoryEvent *e, struct err *err)
{
    struct gathering *g = arg;
    if (e->attributes_case == PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_SCHEDULED_EVENT_ATTRIBUTES) {
        const Pb__ActivityType *t = e->activity_task_scheduled_event_attributes->activity_type;
        size_t i = g->n++ % SCHEDULED;
        g->scheduled[i] = e->event_id;
        snprintf(g->module[i], sizeof g->module[i], "%s", t ? t->name : "");
    }
    int64_t id = 0;
    _cleanup_json_ json_t *result = NULL;
    int r = answer_of(e, &id, &result, err);
    return result ? add(g, module_of(g, id), result, err) : r;
}

int run_artifacts(const struct service *svc, const char *id, json_t **ret, struct err *err)
{
    struct gathering *g = mem_zalloc(sizeof *g);
    if (!g)
        return err_nomem(err);
    g->list = json_array();
    int r = g->list ? run_each_event(svc, id, 0, look, g, err) : err_nomem(err);
    if (r == 0)
        *ret = g->list;
    else
        json_decref(g->list);
    free(g);
    return r;
}

struct left {
    int (*each)(void *arg, const char *ref, uint64_t bytes, struct err *err);
    void *arg;
};

static int give_ref(const struct left *l, const json_t *j, struct err *err)
{
    const char *ref = json_str(j, "ref", "");
    int64_t bytes = json_i64(j, "bytes", 0);
    return store_ref_valid(ref) ? l->each(l->arg, ref, bytes > 0 ? (uint64_t)bytes : 0, err) : 0;
}

static int give_left(const struct left *l, const Pb__HistoryEvent *e, struct err *err)
{
    int64_t id;
    _cleanup_json_ json_t *result = NULL;
    const char *name;
    json_t *ref;
    int r = answer_of(e, &id, &result, err);
    if (r == 0)
        r = give_ref(l, json_object_get(result, "findings"), err);
    json_object_foreach(json_object_get(result, "artifacts"), name, ref)
        if (r == 0)
            r = give_ref(l, ref, err);
    return r;
}

/* The newest come first. */
int run_left(const struct service *svc, const char *run_id, const char *execution_id, int64_t *io_event,
             int (*each)(void *arg, const char *ref, uint64_t bytes, struct err *err), void *arg, struct err *err)
{
    Pb__GetWorkflowExecutionHistoryReverseRequest req = PB__GET_WORKFLOW_EXECUTION_HISTORY_REVERSE_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    const struct left left = {each, arg};
    int64_t before = *io_event;
    ProtobufCMessage *m = NULL;
    bool more = true;
    int r = 0;
    req.namespace_ = service_namespace(svc);
    ex.workflow_id = (char *)(uintptr_t)run_id;
    ex.run_id = (char *)(uintptr_t)execution_id;
    req.execution = &ex;
    while (r == 0 && more) {
        ProtobufCMessage *next = NULL;
        r = engine_call_sync(svc->engine, ENGINE_GET_HISTORY_REVERSE, &req.base, 0, &next, err);
        engine_free_message(m); /* its token was borrowed */
        m = next;
        const Pb__GetWorkflowExecutionHistoryReverseResponse *a = (const void *)m;
        for (size_t i = 0; r == 0 && more && a->history && i < a->history->n_events; i++) {
            const Pb__HistoryEvent *e = a->history->events[i];
            more = e->event_id > before;
            *io_event = *io_event < e->event_id ? e->event_id : *io_event;
            r = more ? give_left(&left, e, err) : 0;
        }
        more = more && r == 0 && a->next_page_token.len;
        req.next_page_token = more ? a->next_page_token : (ProtobufCBinaryData){0};
    }
    engine_free_message(m);
    return r;
}
