#include "cli/run_refs.h"

#include "base/map.h"
#include "cli/engine_open.h"
#include "cli/namespaces.h"
#include "codec/json.h"
#include "codec/pbwalk.h"
#include "codec/pbx.h"
#include "store/said.h"

#include <stdio.h>
#include <string.h>

#define PAGE 1000

struct check {
    struct app *app;
    void (*missing)(void *arg, const char *ref, const char *why);
    void *arg;
    struct run_refs_result *res;
    struct map seen; /* refs that were looked for */
    const char *name_space; /* that is looked through */
    char by[400];    /* who names what is looked at now */
    const char *gone; /* what is said of a missing one */
    struct err err;
};

static int look_for(struct check *c, const char *ref)
{
    struct store_object_info info;
    char why[480];
    if (map_get(&c->seen, ref))
        return 0;
    if (!map_set(&c->seen, ref, c))
        return err_nomem(&c->err);
    c->res->refs++;
    int r = store_stat(c->app->store, ref, &info, &c->err);
    if (r != -ERR_NOT_FOUND)
        return r == -ERR_CORRUPT ? 0 : r; /* damaged: the store's own check tells */
    c->res->missing++;
    snprintf(why, sizeof why, "%s, but %s refers to it", c->gone, c->by);
    c->missing(c->arg, ref, why);
    return 0;
}

/* {ref, bytes, media_type} anywhere in it. */
static int look_in(struct check *c, const json_t *j, int depth)
{
    const char *key, *ref = json_str(j, "ref", NULL);
    json_t *v;
    size_t i;
    int r = 0;
    if (depth > JSON_DEPTH_MAX)
        return 0;
    if (ref && store_ref_valid(ref) && (json_object_get(j, "bytes") || json_object_get(j, "media_type")))
        r = look_for(c, ref);
    json_object_foreach((json_t *)(uintptr_t)j, key, v) if (r == 0) r = look_in(c, v, depth + 1);
    json_array_foreach(j, i, v) if (r == 0) r = look_in(c, v, depth + 1);
    return r;
}

static int look_in_payload(void *arg, Pb__Payload *p)
{
    struct check *c = arg;
    json_t *j = NULL;
    struct err e = {0};
    int r = pbx_payload_json(p, &j, &e);
    if (r == -ERR_NO_MEMORY)
        return err_copy(&c->err, &e);
    if (r < 0) /* of another program's: none of ours */
        return 0;
    /* The memo with the script is a reference alone. */
    r = json_is_string(j) && store_ref_valid(json_string_value(j)) ? look_for(c, json_string_value(j)) : look_in(c, j, 0);
    json_decref(j);
    return r;
}

static int look_in_history(struct check *c, const Pb__WorkflowExecution *execution)
{
    Pb__GetWorkflowExecutionHistoryRequest req = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    ProtobufCBinaryData token = {0};
    int r;
    req.namespace_ = (char *)(uintptr_t)c->name_space;
    req.execution = (Pb__WorkflowExecution *)(uintptr_t)execution;
    do {
        ProtobufCMessage *m;
        req.next_page_token = token;
        r = engine_call_sync(c->app->engine, ENGINE_GET_HISTORY, &req.base, 0, &m, &c->err);
        free(token.data);
        token = (ProtobufCBinaryData){0};
        if (r < 0)
            break;
        Pb__GetWorkflowExecutionHistoryResponse *a = (Pb__GetWorkflowExecutionHistoryResponse *)m;
        if (a->history)
            r = pbwalk_payloads(&a->history->base, look_in_payload, c);
        token = a->next_page_token;
        a->next_page_token = (ProtobufCBinaryData){0};
        engine_free_message(m);
    } while (r == 0 && token.len);
    free(token.data);
    return r == -ERR_NOT_FOUND ? 0 : r; /* removed meanwhile */
}

static int look_in_runs(void *arg, const char *name_space, struct err *err)
{
    struct check *c = arg;
    Pb__ListWorkflowExecutionsRequest req = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    ProtobufCBinaryData token = {0};
    int r;
    c->name_space = name_space;
    req.namespace_ = (char *)(uintptr_t)name_space;
    req.page_size = PAGE;
    do {
        ProtobufCMessage *m;
        req.next_page_token = token;
        r = engine_call_sync(c->app->engine, ENGINE_LIST, &req.base, 0, &m, err);
        free(token.data);
        token = (ProtobufCBinaryData){0};
        if (r < 0)
            break;
        Pb__ListWorkflowExecutionsResponse *l = (Pb__ListWorkflowExecutionsResponse *)m;
        for (size_t i = 0; r == 0 && i < l->n_executions; i++) {
            c->res->runs++;
            snprintf(c->by, sizeof c->by, "run %.300s", l->executions[i]->execution->workflow_id);
            if (look_in_history(c, l->executions[i]->execution) < 0)
                r = err_copy(err, &c->err);
        }
        token = l->next_page_token;
        l->next_page_token = (ProtobufCBinaryData){0};
        engine_free_message(m);
    } while (r == 0 && token.len);
    free(token.data);
    return r;
}

static int look_at_pin(void *arg, const char *owner, const char *ref, struct err *err)
{
    struct check *c = arg;
    if (strcmp(owner, STORE_SAID_OWNER) == 0) /* said again, it is there again */
        return 0;
    snprintf(c->by, sizeof c->by, "the pin of %.300s", *owner ? owner : "somebody");
    int r = look_for(c, ref);
    return r < 0 ? err_copy(err, &c->err) : 0;
}

int run_refs_check(struct app *app, void (*missing)(void *arg, const char *ref, const char *why), void *arg,
                   struct run_refs_result *ret, struct err *err)
{
    bool bucket = strcmp(config_get(&app->config, CONFIG_store), "s3") == 0;
    struct check c = {.app = app, .missing = missing, .arg = arg, .res = ret,
                      .gone = bucket ? "has expired or was removed" : "is not in the store"};
    *ret = (struct run_refs_result){0};
    int r = app->engine && !engine_is_temporal(app) ? namespaces_each(app, look_in_runs, &c, err) : 0;
    if (r == 0)
        r = store_each_pin(app->store, look_at_pin, &c, err);
    map_release(&c.seen);
    return r;
}
