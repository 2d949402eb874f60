/* Queries: a look at the run that changes nothing of it. */
#include "workflow/workflow_internal.h"

#include "base/mem.h"
#include "codec/pbx.h"

#include <string.h>

/* The script's handler. Arguments: the handler and the query's value. Leaves the answer as JSON in
 * text[0]. */
static int call_handler(lua_State *L)
{
    lua_call(L, 1, 1);
    value_write(L, -1, &workflow_of(L)->text[0], "answer", PAYLOAD_BYTES_MAX);
    return 0;
}

static int show_progress(lua_State *L)
{
    struct workflow *w = workflow_of(L);
    strbuf_clear(&w->text[0]);
    strbuf_puts(&w->text[0], w->progress ? w->progress : "null");
    return 0;
}

/* Where each fiber stands. */
static int show_stack(lua_State *L)
{
    struct workflow *w = workflow_of(L);
    lua_pushliteral(L, "");
    for (const struct fiber *f = w->fibers; f; f = f->next) {
        lua_pushstring(L, f->is_main ? "main\n" : "signal handler\n");
        luaL_traceback(L, f->co, NULL, 0);
        lua_pushliteral(L, "\n");
        lua_concat(L, 4);
    }
    value_write(L, -1, &w->text[0], "answer", PAYLOAD_BYTES_MAX);
    return 0;
}

/* Pushes a message that names the queries there are. */
static void push_unknown(lua_State *L, const char *name)
{
    lua_pushfstring(L, "unknown query '%s'; there are: __progress, __stack", name);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &query_handlers_key);
    lua_Integer n = order_keys(L, -1);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_pushvalue(L, -3);
        lua_pushliteral(L, ", ");
        lua_rawgeti(L, -3, i);
        lua_concat(L, 3);
        lua_replace(L, -4);
    }
    lua_pop(L, 2);
}

/* Arguments: light userdata of the query. Runs protected. */
static int dispatch(lua_State *L)
{
    const Pb__WorkflowQuery *q = lua_touserdata(L, 1);
    if (strcmp(q->query_type, "__progress") == 0)
        return show_progress(L);
    if (strcmp(q->query_type, "__stack") == 0 || strcmp(q->query_type, "__stack_trace") == 0)
        return show_stack(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &query_handlers_key);
    lua_pushcfunction(L, call_handler);
    if (lua_getfield(L, -2, q->query_type) != LUA_TFUNCTION) {
        push_unknown(L, q->query_type);
        return lua_error(L);
    }
    if (!value_read_payload(L, q->query_args))
        return lua_error(L);
    lua_call(L, 2, 0);
    return 0;
}

static const char *error_text(struct workflow *w, lua_State *L, char *buf, size_t size)
{
    if (w->limit_hit != LIMIT_NONE) {
        limit_message(w, buf, size);
        return buf;
    }
    if (lua_type(L, -1) == LUA_TSTRING)
        return lua_tostring(L, -1);
    if (lua_type(L, -1) == LUA_TTABLE) {
        lua_pushliteral(L, "message");
        lua_rawget(L, -2);
        lua_remove(L, -2);
        if (lua_type(L, -1) == LUA_TSTRING)
            return lua_tostring(L, -1);
    }
    return "the query handler failed";
}

static Pb__WorkflowQueryResult *make_result(struct workflow *w, const char *error)
{
    Pb__WorkflowQueryResult *r = mem_alloc(sizeof *r);
    if (!r)
        return NULL;
    pb__workflow_query_result__init(r);
    bool ok;
    if (error) {
        char *text = pbx_str(error);
        r->result_type = PB__QUERY_RESULT_TYPE__QUERY_RESULT_TYPE_FAILED;
        if (text)
            r->error_message = text;
        r->failure = pbx_app_failure(error, "QueryFailed", true, NULL);
        ok = text && r->failure;
    } else {
        r->result_type = PB__QUERY_RESULT_TYPE__QUERY_RESULT_TYPE_ANSWERED;
        r->answer = command_payloads(w->text[0].s ? w->text[0].s : "null", w->text[0].s ? w->text[0].len : 4);
        ok = r->answer;
    }
    if (ok)
        return r;
    pb__workflow_query_result__free_unpacked(r, NULL);
    return NULL;
}

/* Everything that a handler could change of the runtime is put back afterwards. */
static Pb__WorkflowQueryResult *answer(struct workflow *w, lua_State *L, const Pb__WorkflowQuery *q)
{
    uint64_t rng[4];
    memcpy(rng, w->rng, sizeof rng);
    enum limit_kind limit_hit = w->limit_hit;
    enum closing closing = w->closing;
    w->limit_hit = LIMIT_NONE;
    w->closing = CLOSING_NOT;
    w->in_query = true;
    w->base = L;
    w->shield = 0;
    uint64_t instructions = w->limits.instructions < QUERY_INSTRUCTIONS ? w->limits.instructions : QUERY_INSTRUCTIONS;
    limits_begin(w, instructions);
    int top = lua_gettop(L);
    lua_pushcfunction(L, dispatch);
    lua_pushlightuserdata(L, (void *)q);
    int status = lua_pcall(L, 1, 0, 0);
    w->running = false;
    if (status == LUA_ERRMEM && w->limit_hit == LIMIT_NONE)
        w->limit_hit = LIMIT_MEMORY;
    char text[200];
    Pb__WorkflowQueryResult *r = make_result(w, status == LUA_OK ? NULL : error_text(w, L, text, sizeof text));
    lua_settop(L, top);
    w->in_query = false;
    w->base = NULL;
    w->limit_hit = limit_hit;
    w->closing = closing;
    memcpy(w->rng, rng, sizeof rng);
    if (!r)
        w->failed = err_nomem(&w->err);
    return r;
}

static bool add_answer(struct workflow_result *res, const char *id, Pb__WorkflowQueryResult *r)
{
    __auto_type list = mem_realloc(res->query_results, (res->query_results_count + 1) * sizeof *res->query_results);
    if (list)
        res->query_results = list;
    Pb__RespondWorkflowTaskCompletedRequest__QueryResultsEntry *e = list ? mem_alloc(sizeof *e) : NULL;
    char *key = e ? pbx_str(id) : NULL;
    if (!key) {
        free(e);
        return false;
    }
    pb__respond_workflow_task_completed_request__query_results_entry__init(e);
    e->key = key;
    e->value = r;
    res->query_results[res->query_results_count++] = e;
    return true;
}

void query_answer_all(struct workflow *w, lua_State *L, const Pb__PollWorkflowTaskQueueResponse *task)
{
    if (task->query)
        w->result->query_result = answer(w, L, task->query);
    for (size_t i = 0; i < task->n_queries && w->failed == 0; i++) {
        if (!task->queries[i]->value)
            continue;
        Pb__WorkflowQueryResult *r = answer(w, L, task->queries[i]->value);
        if (r && !add_answer(w->result, task->queries[i]->key, r)) {
            pb__workflow_query_result__free_unpacked(r, NULL);
            w->failed = err_nomem(&w->err);
        }
    }
}
