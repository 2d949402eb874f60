/* The public face: making an instance, giving it workflow tasks, taking its answers. */
#include "workflow/workflow_internal.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/pbx.h"

#include <string.h>

#define INSTRUCTIONS_DEFAULT UINT64_C(200000000)
#define MEMORY_DEFAULT ((size_t)64 << 20)
#define TIME_DEFAULT_MS 10000
#define SCRIPT_BYTES_MAX ((size_t)4 << 20)
#define GC_FREE_KB 64 /* that a state takes before its collector begins */

/* ---- the Lua state ---- */

static int open_state(lua_State *L)
{
    struct workflow *w = lua_touserdata(L, 1);
    sandbox_open(L);
    value_open(L);
    failure_open(L);
    fiber_open(L);
    api_open(L);
    lua_pushfstring(L, "=%s", w->chunk_name);
    int status = luaL_loadbufferx(L, w->script, w->script_len, lua_tostring(L, -1), "t");
    if (status != LUA_OK)
        return lua_error(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &main_key);
    return 0;
}

static int at_panic(lua_State *L)
{
    ASSERT(!"Lua raised an error outside a protected call");
    return 0;
}

static int start_state(struct workflow *w, struct err *err)
{
    w->heap.limit = w->limits.memory_bytes;
    w->L = lua_newstate(heap_realloc, w);
    if (!w->L)
        return err_nomem(err);
    lua_atpanic(w->L, at_panic);
    lua_gc(w->L, LUA_GCSTEP, -GC_FREE_KB); /* most runs never have garbage worth a look */
    limits_install(w);
    lua_pushcfunction(w->L, open_state);
    lua_pushlightuserdata(w->L, w);
    w->running = false;
    int status = lua_pcall(w->L, 1, 0, 0);
    if (status == LUA_OK)
        return 0;
    if (w->heap.failed)
        return err_nomem(err);
    const char *why = lua_tostring(w->L, -1);
    return err_set(err, status == LUA_ERRMEM ? ERR_LIMIT : ERR_INVALID, "%s", why ? why : "cannot be loaded");
}

/* Frees all that belongs to the run, and keeps script and limits. */
static void drop_run(struct workflow *w)
{
    command_clear(w);
    VEC_RELEASE(&w->commands);
    fiber_release(w);
    lua_heap_release(&w->heap); /* nothing in the state owns anything outside it: no lua_close() */
    free(w->cancel_cause);
    free(w->workflow_id);
    free(w->run_id);
    free(w->type);
    free(w->task_queue);
    free(w->progress);
    free(w->nondeterminism);
    if (w->header)
        pb__header__free_unpacked(w->header, NULL);
    if (w->memo)
        pb__memo__free_unpacked(w->memo, NULL);
    if (w->failure)
        pb__failure__free_unpacked(w->failure, NULL);
    json_decref(w->context);
    json_decref(w->start_input);
    json_decref(w->patches);
    json_decref(w->recorded_patches);
    strbuf_release(&w->text[0]);
    strbuf_release(&w->text[1]);
    struct workflow keep = {.limits = w->limits, .script = w->script, .chunk_name = w->chunk_name,
                            .script_len = w->script_len, .default_context = w->default_context,
                            .default_parameters = w->default_parameters};
    *w = keep;
}

static int begin_run(struct workflow *w, struct err *err)
{
    w->next_event_id = 1;
    w->patches = json_object();
    w->recorded_patches = json_object();
    strbuf_init(&w->text[0], PAYLOAD_BYTES_MAX + 65536);
    strbuf_init(&w->text[1], PAYLOAD_BYTES_MAX + 65536);
    if (!w->patches || !w->recorded_patches)
        return err_nomem(err);
    return start_state(w, err);
}

int workflow_new(const char *script, size_t len, const char *chunk_name, const struct workflow_limits *limits,
                 struct workflow **ret, struct err *err)
{
    if (len > SCRIPT_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s: a script of %zu bytes is over %zu", chunk_name, len, SCRIPT_BYTES_MAX);
    struct workflow *w = mem_zalloc(sizeof *w);
    if (!w)
        return err_nomem(err);
    if (limits)
        w->limits = *limits;
    if (!w->limits.instructions)
        w->limits.instructions = INSTRUCTIONS_DEFAULT;
    if (!w->limits.memory_bytes)
        w->limits.memory_bytes = MEMORY_DEFAULT;
    if (w->limits.time_ms <= 0)
        w->limits.time_ms = TIME_DEFAULT_MS;
    w->script = mem_dup(script, len);
    w->script_len = len;
    w->chunk_name = mem_strndup(chunk_name, 200);
    int r = w->script && w->chunk_name ? begin_run(w, err) : err_nomem(err);
    if (r < 0) {
        workflow_free(w);
        return r;
    }
    *ret = w;
    return 0;
}

void workflow_set_defaults(struct workflow *w, json_t *context, json_t *parameters)
{
    json_decref(w->default_context);
    json_decref(w->default_parameters);
    w->default_context = json_incref(context);
    w->default_parameters = json_incref(parameters);
}

void workflow_free(struct workflow *w)
{
    if (!w)
        return;
    drop_run(w);
    json_decref(w->default_context);
    json_decref(w->default_parameters);
    free(w->script);
    free(w->chunk_name);
    free(w);
}

int workflow_check(const char *script, size_t len, const char *chunk_name, struct err *err)
{
    struct workflow *w;
    int r = workflow_new(script, len, chunk_name, NULL, &w, err);
    if (r == 0)
        workflow_free(w);
    return r;
}

int64_t workflow_last_event_id(const struct workflow *w)
{
    return w->next_event_id - 1;
}

size_t workflow_memory(const struct workflow *w)
{
    return w->heap.used;
}

/* ---- a task ---- */

struct task {
    struct workflow *w;
    const Pb__PollWorkflowTaskQueueResponse *task;
    const Pb__HistoryEvent **events;
    size_t count;
};

static int collect_events(struct task *t, const Pb__History *const *more, size_t more_count, struct err *err)
{
    size_t n = t->task->history ? t->task->history->n_events : 0;
    for (size_t i = 0; i < more_count; i++)
        n += more[i]->n_events;
    t->events = mem_calloc(n, sizeof *t->events);
    if (!t->events)
        return err_nomem(err);
    for (size_t p = 0; p <= more_count; p++) {
        const Pb__History *h = p == 0 ? t->task->history : more[p - 1];
        for (size_t i = 0; h && i < h->n_events; i++)
            t->events[t->count++] = h->events[i];
    }
    for (size_t i = 0; i < t->count; i++)
        if (t->events[i]->event_id < 1 || (i && t->events[i]->event_id != t->events[i - 1]->event_id + 1))
            return err_set(err, ERR_CORRUPT, "history event %lld comes after %lld", (long long)t->events[i]->event_id,
                           i ? (long long)t->events[i - 1]->event_id : 0LL);
    return 0;
}

/* Makes instance and history fit: full history starts over, partial history goes on where the
 * instance is. */
static int align(struct task *t, struct err *err)
{
    struct workflow *w = t->w;
    bool full = t->count > 0 && t->events[0]->event_id == 1;
    if (full && (w->started || w->broken || w->next_event_id > 1)) {
        drop_run(w);
        return begin_run(w, err);
    }
    if (full)
        return 0;
    if (w->broken || !w->started)
        return err_set(err, ERR_STATE, "the workflow's history is needed from its first event");
    if (!t->task->query && t->task->previous_started_event_id != w->last_started_id)
        return err_set(err, ERR_STATE, "the task goes on after event %lld, this instance stands at %lld",
                       (long long)t->task->previous_started_event_id, (long long)w->last_started_id);
    if (t->count > 0 && t->events[0]->event_id > w->next_event_id)
        return err_set(err, ERR_STATE, "the task's history begins with event %lld, this instance needs %lld",
                       (long long)t->events[0]->event_id, (long long)w->next_event_id);
    size_t skip = 0;
    while (skip < t->count && t->events[skip]->event_id < w->next_event_id)
        skip++;
    t->count -= skip;
    memmove(t->events, t->events + skip, t->count * sizeof *t->events);
    return 0;
}

static int set_ids(struct task *t, struct err *err)
{
    struct workflow *w = t->w;
    const Pb__WorkflowExecution *x = t->task->workflow_execution;
    if (w->run_id)
        return 0;
    w->workflow_id = mem_strdup(x ? x->workflow_id : "");
    w->run_id = mem_strdup(x ? x->run_id : "");
    return w->workflow_id && w->run_id ? 0 : err_nomem(err);
}

/* Runs protected: nothing here is held on the C stack. */
static int drive(lua_State *L)
{
    const struct task *t = lua_touserdata(L, 1);
    struct workflow *w = t->w;
    replay_task(w, L, t->events, t->count, t->task->query != NULL);
    if (w->failed == 0 && !w->nondeterminism)
        query_answer_all(w, L, t->task);
    return 0;
}

/* An error outside the script's fibers: decoding a payload took the memory, or a bug. */
static void drive_failed(struct workflow *w, int status)
{
    const char *why = lua_type(w->L, -1) == LUA_TSTRING ? lua_tostring(w->L, -1) : "error without a message";
    w->running = w->in_query = false;
    w->base = NULL;
    if (w->failed)
        return;
    if (w->heap.failed || status != LUA_ERRMEM) {
        w->failed = w->heap.failed ? err_nomem(&w->err) : err_set(&w->err, ERR_INTERNAL, "workflow runtime: %s", why);
        return;
    }
    w->limit_hit = LIMIT_MEMORY;
    char text[200];
    limit_message(w, text, sizeof text);
    failure_set(w, limit_name(w->limit_hit), text, NULL, true, NULL);
    w->closing = CLOSING_FAIL;
    command_clear(w);
    if (w->failed == 0 && command_close(w, COMMAND_FAIL, 0) < 0)
        w->failed = err_nomem(&w->err);
}

/* Gives the commands away; their records stay, to be matched with the events that they make. */
static int take_commands(struct workflow *w, struct workflow_result *ret, struct err *err)
{
    size_t n = 0;
    ret->commands = mem_calloc(w->commands.len + 1, sizeof *ret->commands);
    if (!ret->commands)
        return err_nomem(err);
    for (size_t i = w->commands_first; i < w->commands.len; i++)
        if (w->commands.v[i].pb)
            ret->commands[n++] = TAKE_PTR(w->commands.v[i].pb);
    ret->commands_count = n;
    return 0;
}

static int off_path_result(struct workflow *w, const struct task *t, struct workflow_result *ret, struct err *err)
{
    w->broken = true;
    ret->outcome = WORKFLOW_TASK_FAILED;
    ret->cause = PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR;
    ret->failure = pbx_app_failure(w->nondeterminism, "NonDeterministicError", false, NULL);
    if (!ret->failure)
        return err_nomem(err);
    if (!t->task->query)
        return 0;
    Pb__WorkflowQueryResult *q = ret->query_result = mem_alloc(sizeof *q);
    if (!q)
        return err_nomem(err);
    pb__workflow_query_result__init(q);
    q->result_type = PB__QUERY_RESULT_TYPE__QUERY_RESULT_TYPE_FAILED;
    char *text = mem_strdup(w->nondeterminism);
    if (!text)
        return err_nomem(err);
    q->error_message = text;
    return 0;
}

static int run(struct task *t, struct workflow_result *ret, struct err *err)
{
    struct workflow *w = t->w;
    if (!t->task->query &&
        (t->count == 0 ||
         t->events[t->count - 1]->event_type != PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_STARTED))
        return err_set(err, ERR_CORRUPT, "the history of a workflow task does not end with WorkflowTaskStarted");
    w->result = ret;
    lua_settop(w->L, 0);
    lua_pushcfunction(w->L, drive);
    lua_pushlightuserdata(w->L, t);
    int status = lua_pcall(w->L, 1, 0, 0);
    if (status != LUA_OK)
        drive_failed(w, status);
    w->result = NULL;
    if (w->failed) {
        w->broken = true;
        return w->err.code ? err_copy(err, &w->err) : err_nomem(err);
    }
    if (w->nondeterminism)
        return off_path_result(w, t, ret, err);
    return take_commands(w, ret, err);
}

int workflow_task(struct workflow *w, const Pb__PollWorkflowTaskQueueResponse *task, const Pb__History *const *more,
                  size_t more_count, struct workflow_result *ret, struct err *err)
{
    struct task t = {.w = w, .task = task};
    *ret = (struct workflow_result){.outcome = WORKFLOW_TASK_COMPLETED};
    int r = collect_events(&t, more, more_count, err);
    if (r == 0)
        r = align(&t, err);
    if (r == 0)
        r = set_ids(&t, err);
    if (r == 0)
        r = run(&t, ret, err);
    free(t.events);
    if (r < 0) {
        if (r != -ERR_STATE)
            w->broken = true;
        workflow_result_release(ret);
    }
    return r;
}

void workflow_result_release(struct workflow_result *r)
{
    for (size_t i = 0; i < r->commands_count; i++)
        pb__command__free_unpacked(r->commands[i], NULL);
    free(r->commands);
    for (size_t i = 0; i < r->query_results_count; i++)
        protobuf_c_message_free_unpacked(&r->query_results[i]->base, NULL);
    free(r->query_results);
    if (r->query_result)
        pb__workflow_query_result__free_unpacked(r->query_result, NULL);
    if (r->failure)
        pb__failure__free_unpacked(r->failure, NULL);
    for (size_t i = 0; i < r->logs_count; i++)
        free(r->logs[i].text);
    free(r->logs);
    *r = (struct workflow_result){0};
}
