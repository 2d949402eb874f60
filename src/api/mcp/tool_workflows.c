/* Tools about workflows and the server. */
#include "api/mcp/mcp_internal.h"

#include "api/service/catalog.h"
#include "base/cleanup.h"
#include "codec/json.h"

#include <string.h>

int tool_list_workflows(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    struct workflow_def **defs = NULL;
    size_t n = 0;
    (void)args;
    int r = toolbox_list(c->s->service.toolbox, &defs, &n, err);
    if (r < 0)
        return r;
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, workflow_head_json(defs[i]));
    toolbox_list_free(defs, n);
    if (!c->s->local)
        catalog_shorten(list);
    *ret = json_pack("{s:o, s:I}", "workflows", list, "total", (json_int_t)n);
    return 0;
}

static int one_workflow(struct mcp_call *c, const json_t *args, json_t *(*document)(const struct workflow_def *d), json_t **ret,
                        struct err *err)
{
    struct workflow_def *d;
    int r = toolbox_find(c->s->service.toolbox, json_str(args, "workflow_name", ""), &d, err);
    if (r < 0)
        return r;
    *ret = document(d);
    workflow_def_free(d);
    if (!c->s->local)
        catalog_shorten(*ret);
    return 0;
}

int tool_workflow_metadata(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    return one_workflow(c, args, workflow_info_json, ret, err);
}

/* As the schema of the answer says: what a workflow does not have is empty. */
static json_t *parameters_of(const struct workflow_def *d)
{
    static const char *const names[] = {"parameters", "default_parameters"};
    json_t *j = workflow_parameters_json(d);
    for (size_t i = 0; j && i < ARRAY_LEN(names); i++)
        if (!json_is_object(json_object_get(j, names[i])))
            json_object_set_new(j, names[i], json_object());
    return j;
}

int tool_workflow_parameters(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    return one_workflow(c, args, parameters_of, ret, err);
}

int tool_metadata_schema(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    (void)c;
    (void)args;
    (void)err;
    *ret = json_pack("{s:o}", "schema", workflow_metadata_schema());
    return 0;
}

/* --- the server ---------------------------------------------------------------------------------------------------------- */

static int count(struct mcp_call *c, const char *query, int64_t *ret, struct err *err)
{
    Pb__CountWorkflowExecutionsRequest q = PB__COUNT_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    q.namespace_ = service_namespace(&c->s->service);
    q.query = (char *)(uintptr_t)query;
    int r = engine_call_sync(c->s->service.engine, ENGINE_COUNT, &q.base, 0, &m, err);
    if (r == 0)
        *ret = ((const Pb__CountWorkflowExecutionsResponse *)m)->count;
    engine_free_message(m);
    return r;
}

int tool_backend(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err)
{
    static const char *const kinds[][2] = {{"running", "ExecutionStatus = 'Running'"}, {"completed",
                                                                                        "ExecutionStatus = 'Completed'"},
                                           {"failed", "ExecutionStatus = 'Failed'"}, {"cancelled",
                                                                                      "ExecutionStatus = 'Canceled'"},
                                           {"terminated", "ExecutionStatus = 'Terminated'"},
                                           {"timed_out", "ExecutionStatus = 'TimedOut'"}, {"total", ""}};
    const struct service *svc = &c->s->service;
    struct err why = {0};
    int r = 0;
    (void)args;
    (void)err;
    json_t *runs = json_object();
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(kinds); i++) {
        int64_t n = 0;
        r = count(c, kinds[i][1], &n, &why);
        json_object_set_new(runs, kinds[i][0], json_integer(n));
    }
    *ret = json_pack("{s:s, s:s, s:s, s:s, s:b, s:o, s:s?}", "status", r == 0 ? "healthy" : "unhealthy", "version",
                     c->s->mcp->o.version,
                     "engine", svc->engine->ops->name, "namespace", service_namespace(svc), "sandbox", svc->spawner != NULL,
                         "runs",
                     runs, "error", r < 0 ? why.msg : NULL);
    return 0;
}
