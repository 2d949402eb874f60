/* ff.*: what a script calls. */
#include "workflow/workflow_internal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"

#include <stdio.h>
#include <string.h>

const char query_handlers_key;

static int out_of_memory(lua_State *L)
{
    workflow_of(L)->heap.failed = true;
    return luaL_error(L, "out of memory");
}

/* A name that ends up in a protobuf string: UTF-8, no zero byte, not too long. */
static const char *check_name(lua_State *L, int idx, const char *what)
{
    size_t n;
    const char *s = luaL_checklstring(L, idx, &n);
    if (n == 0 || n > NAME_LEN_MAX || memchr(s, 0, n))
        luaL_error(L, "%s: a name of 1 to %d bytes is wanted", what, NAME_LEN_MAX);
    value_check_text(L, s, n, what);
    return s;
}

/* ---- activities and timers ---- */

/* Starts the activity that the arguments describe and leaves its future on top. */
static void start_activity(lua_State *L, const char *what, bool will_wait)
{
    struct workflow *w = workflow_of(L);
    struct activity_opts o;
    const char *module = check_name(L, 1, what);
    lua_settop(L, 3);
    fiber_check(L, what, will_wait);
    options_activity(L, 3, &o);
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    value_write(L, 2, &w->text[0], "input", PAYLOAD_BYTES_MAX);
    struct future *f = future_new(L, FUTURE_ACTIVITY, module, NULL);
    f->seq = ++w->next_activity;
    if (command_activity(w, f, &o, sandbox_where(L)) < 0)
        out_of_memory(L);
}

static int ff_start(lua_State *L)
{
    start_activity(L, "ff.start", false);
    return 1;
}

static int ff_activity(lua_State *L)
{
    start_activity(L, "ff.activity", true);
    return future_await(L, -1);
}

static void start_timer(lua_State *L, int64_t ms)
{
    struct workflow *w = workflow_of(L);
    struct future *f = future_new(L, FUTURE_TIMER, "", NULL);
    f->seq = ++w->next_timer;
    if (command_timer(w, f, ms, sandbox_where(L)) < 0)
        out_of_memory(L);
}

static int ff_timer(lua_State *L)
{
    int64_t ms = options_duration_ms(L, 1, "ff.timer");
    fiber_check(L, "ff.timer", false);
    start_timer(L, ms > 0 ? ms : 1);
    return 1;
}

static int ff_sleep(lua_State *L)
{
    int64_t ms = options_duration_ms(L, 1, "ff.sleep");
    fiber_check(L, "ff.sleep", true);
    lua_settop(L, 0);
    if (ms == 0)
        return 0;
    start_timer(L, ms);
    return future_await(L, -1);
}

/* ---- children ---- */

/* The table {target, parameters, run} of a new run: this run's own, with what the script gives. A
 * table that names none of the three is the parameters. Pushed. */
static void push_run_input(lua_State *L, int given, bool parameters_only)
{
    static const char *const keys[] = {"target", "parameters", "run"};
    struct workflow *w = workflow_of(L);
    lua_newtable(L);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const json_t *v = json_object_get(w->start_input, keys[i]);
        if (v && !(i == 1 && parameters_only)) {
            value_push(L, v);
            lua_setfield(L, -2, keys[i]);
        }
    }
    if (lua_isnoneornil(L, given))
        return;
    luaL_checktype(L, given, LUA_TTABLE);
    bool whole = false;
    for (size_t i = 0; i < ARRAY_LEN(keys) && !parameters_only; i++) {
        whole |= lua_getfield(L, given, keys[i]) != LUA_TNIL;
        lua_pop(L, 1);
    }
    if (!whole) {
        lua_pushvalue(L, given);
        lua_setfield(L, -2, "parameters");
        return;
    }
    lua_Integer n = order_keys(L, given);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, i);
        lua_pushvalue(L, -1);
        lua_gettable(L, given);
        lua_rawset(L, -4);
    }
    lua_pop(L, 1);
}

static void start_child(lua_State *L, const char *what, bool will_wait)
{
    struct workflow *w = workflow_of(L);
    struct child_opts o;
    const char *type = check_name(L, 1, what);
    lua_settop(L, 3);
    fiber_check(L, what, will_wait);
    options_child(L, 3, &o);
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    push_run_input(L, 2, true);
    value_write(L, -1, &w->text[0], "input", PAYLOAD_BYTES_MAX);
    const char *id = o.id;
    uint64_t seq = ++w->next_child;
    if (!id) {
        char tail[48];
        snprintf(tail, sizeof tail, "-%.8s-%llu", w->run_id, (unsigned long long)seq);
        id = lua_pushfstring(L, "%s%s", w->workflow_id, tail);
    }
    struct future *f = future_new(L, FUTURE_CHILD, type, id);
    f->seq = seq;
    if (command_child(w, f, &o, sandbox_where(L)) < 0)
        out_of_memory(L);
}

static int ff_start_child(lua_State *L)
{
    start_child(L, "ff.start_child", false);
    return 1;
}

static int ff_child(lua_State *L)
{
    start_child(L, "ff.child", true);
    return future_await(L, -1);
}

static int ff_continue_as_new(lua_State *L)
{
    struct workflow *w = workflow_of(L);
    lua_settop(L, 1);
    fiber_check(L, "ff.continue_as_new", false);
    push_run_input(L, 1, false);
    value_write(L, -1, &w->text[0], "input", PAYLOAD_BYTES_MAX);
    w->closing = CLOSING_CONTINUE; /* sticky: pcall does not stop it */
    limits_rethrow(L, LUA_OK);
    return 0;
}

/* ---- time, chance, versions ---- */

static int ff_now(lua_State *L)
{
    lua_pushnumber(L, (double)(workflow_of(L)->now_ns / NS_PER_US) / 1e6);
    return 1;
}

static int ff_patched(lua_State *L)
{
    struct workflow *w = workflow_of(L);
    const char *id = check_name(L, 1, "ff.patched");
    const json_t *known = json_object_get(w->patches, id);
    if (known || w->in_query) {
        lua_pushboolean(L, json_is_true(known));
        return 1;
    }
    /* Decided once for the run: new code takes the new path, a replay takes it only if the marker says so. */
    bool yes = !w->replaying || json_object_get(w->recorded_patches, id);
    if (json_object_set_new(w->patches, id, json_boolean(yes)) < 0)
        return out_of_memory(L);
    if (yes && command_marker(w, id, sandbox_where(L)) < 0)
        return out_of_memory(L);
    lua_pushboolean(L, yes);
    return 1;
}

static int ff_cancelled(lua_State *L)
{
    lua_pushboolean(L, workflow_of(L)->cancelled);
    return 1;
}

static int ff_info(lua_State *L)
{
    const struct workflow *w = workflow_of(L);
    lua_createtable(L, 0, 7);
    lua_pushstring(L, w->workflow_id);
    lua_setfield(L, -2, "workflow_id");
    lua_pushstring(L, w->run_id);
    lua_setfield(L, -2, "run_id");
    lua_pushstring(L, w->type);
    lua_setfield(L, -2, "workflow");
    lua_pushinteger(L, w->attempt);
    lua_setfield(L, -2, "attempt");
    lua_pushinteger(L, w->last_started_id);
    lua_setfield(L, -2, "history_events");
    lua_pushboolean(L, w->suggest_continue);
    lua_setfield(L, -2, "continue_suggested");
    if (w->closes_ns) {
        lua_pushnumber(L, (double)(w->closes_ns / NS_PER_US) / 1e6);
        lua_setfield(L, -2, "deadline");
    }
    return 1;
}

/* ---- signals and queries ---- */

static int ff_on_signal(lua_State *L)
{
    struct workflow *w = workflow_of(L);
    const char *name = check_name(L, 1, "ff.on_signal");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (w->in_query)
        return luaL_error(L, "ff.on_signal: a query handler may only look");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &signal_handlers_key);
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, name);
    fiber_flush_signals(w, L, name); /* what came before the handler was there */
    return 0;
}

static int ff_on_query(lua_State *L)
{
    const char *name = check_name(L, 1, "ff.on_query");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_argcheck(L, strncmp(name, "__", 2) != 0, 1, "names that begin with '__' are taken");
    if (workflow_of(L)->in_query)
        return luaL_error(L, "ff.on_query: a query handler may only look");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &query_handlers_key);
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, name);
    return 0;
}

/* ---- telling ---- */

static int write_json(lua_State *L)
{
    struct workflow *w = workflow_of(L);
    value_write(L, 1, &w->text[1], "value", LOG_BYTES_MAX);
    lua_pushlstring(L, w->text[1].s, w->text[1].len);
    return 1;
}

/* A value as a log line shows it: tables as JSON if they can be. */
static void push_shown(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    bool plain = lua_type(L, idx) == LUA_TTABLE;
    if (plain && luaL_getmetafield(L, idx, "__tostring") != LUA_TNIL) {
        lua_pop(L, 1);
        plain = false;
    }
    if (plain) {
        lua_pushcfunction(L, write_json);
        lua_pushvalue(L, idx);
        int status = lua_pcall(L, 1, 1, 0);
        if (status == LUA_OK)
            return;
        limits_rethrow(L, status);
        lua_pop(L, 1);
    }
    order_tolstring(L, idx, true, NULL);
}

static int say(lua_State *L, int first, int level)
{
    struct workflow *w = workflow_of(L);
    int top = lua_gettop(L);
    struct workflow_result *r = w->result;
    luaL_Buffer b; /* made in replay too: showing a value for the first time numbers it */
    luaL_buffinit(L, &b);
    for (int i = first; i <= top; i++) {
        if (i > first)
            luaL_addchar(&b, ' ');
        push_shown(L, i);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    if (w->replaying || w->in_query || !r || r->logs_count >= LOGS_MAX)
        return 0;
    size_t n;
    const char *s = lua_tolstring(L, -1, &n);
    struct workflow_log *logs = mem_realloc(r->logs, (r->logs_count + 1) * sizeof *logs);
    if (!logs)
        return out_of_memory(L);
    r->logs = logs;
    char *text = mem_strndup(s, n < LOG_BYTES_MAX ? n : LOG_BYTES_MAX);
    if (!text)
        return out_of_memory(L);
    logs[r->logs_count++] = (struct workflow_log){text, level};
    return 0;
}

int api_print(lua_State *L)
{
    return say(L, 1, LOG_INFO);
}

int api_log(lua_State *L)
{
    static const struct {
        const char *name;
        int level;
    } levels[] = {{"error", LOG_ERROR}, {"warn", LOG_WARN}, {"warning", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};
    if (lua_gettop(L) > 1 && lua_type(L, 1) == LUA_TSTRING)
        for (size_t i = 0; i < ARRAY_LEN(levels); i++)
            if (strcmp(lua_tostring(L, 1), levels[i].name) == 0)
                return say(L, 2, levels[i].level);
    return say(L, 1, LOG_INFO);
}

/* ff.progress(table), ff.progress(message) or ff.progress(done, total, message) */
static int ff_progress(lua_State *L)
{
    static const char *const names[] = {"done", "total", "message"};
    struct workflow *w = workflow_of(L);
    if (w->in_query)
        return luaL_error(L, "ff.progress: a query handler may only look");
    limits_rethrow(L, LUA_OK); /* the run has ended: text[0] holds its last word */
    lua_settop(L, 3);
    if (lua_type(L, 1) != LUA_TTABLE) {
        lua_createtable(L, 0, 3);
        int from = lua_type(L, 1) == LUA_TSTRING ? 2 : 0;
        for (int i = from; i < 3; i++) {
            lua_pushvalue(L, i - from + 1);
            lua_setfield(L, 4, names[i]);
        }
        lua_replace(L, 1);
    }
    value_write(L, 1, &w->text[0], "progress", 65536);
    char *text = mem_strdup(w->text[0].s);
    if (!text)
        return out_of_memory(L);
    free(w->progress);
    w->progress = text;
    return 0;
}

static const struct {
    const char *name;
    lua_CFunction f;
} functions[] = {
    {"activity", ff_activity},
    {"all", fiber_all},
    {"array", value_array},
    {"await", fiber_await},
    {"cancelled", ff_cancelled},
    {"child", ff_child},
    {"continue_as_new", ff_continue_as_new},
    {"error", failure_raise},
    {"info", ff_info},
    {"log", api_log},
    {"new_error", failure_new},
    {"now", ff_now},
    {"on_query", ff_on_query},
    {"on_signal", ff_on_signal},
    {"patched", ff_patched},
    {"progress", ff_progress},
    {"race", fiber_race},
    {"random", rng_random},
    {"scope", fiber_scope},
    {"sleep", ff_sleep},
    {"start", ff_start},
    {"start_child", ff_start_child},
    {"timer", ff_timer},
    {"uuid", rng_uuid},
    {"wait_signal", fiber_wait_signal},
};

const char *api_function_name(lua_CFunction f, size_t *ret_index)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        if (functions[i].f == f) {
            if (ret_index)
                *ret_index = i;
            return functions[i].name;
        }
    return NULL;
}

void api_open(lua_State *L)
{
    lua_createtable(L, 0, (int)ARRAY_LEN(functions) + 1);
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        lua_pushcfunction(L, functions[i].f);
        lua_setfield(L, -2, functions[i].name);
    }
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_setglobal(L, "ff");
}
