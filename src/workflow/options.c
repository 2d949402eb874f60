/* The options of ff.activity and ff.child: known names only, with the nearest one for a mistyped.
 * */
#include "workflow/workflow_internal.h"

#include "base/suggest.h"
#include "base/units.h"

#include <math.h>
#include <string.h>

#define SUMMARY_MAX 200 /* of what Temporal takes, 400 */
#define TIMEOUT_DEFAULT_MS (10 * 60 * 1000)
#define RETRY_MAX_DEFAULT 3

static void unknown_option(lua_State *L, const char *what, const char *key, const char *const *known)
{
    struct suggest s;
    suggest_init(&s, key);
    for (size_t k = 0; known[k]; k++)
        suggest_offer(&s, known[k]);
    if (s.best)
        luaL_error(L, "%s: unknown option '%s': did you mean '%s'?", what, key, s.best);
    luaL_error(L, "%s: unknown option '%s'", what, key);
}

static void check_keys(lua_State *L, int idx, const char *what, const char *const *known)
{
    idx = lua_absindex(L, idx);
    lua_Integer n = order_keys(L, idx);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, i);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "%s: options have names", what);
        const char *key = lua_tostring(L, -1);
        size_t k = 0;
        while (known[k] && strcmp(known[k], key) != 0)
            k++;
        if (!known[k])
            unknown_option(L, what, key, known);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

int64_t options_duration_ms(lua_State *L, int idx, const char *what)
{
    int64_t ms;
    struct err err;
    if (lua_type(L, idx) == LUA_TNUMBER) {
        double s = lua_tonumber(L, idx);
        if (!(s >= 0) || s > 3.2e9)
            luaL_error(L, "%s: %f is no time in seconds", what, s);
        return llround(s * 1000);
    }
    if (lua_type(L, idx) != LUA_TSTRING)
        luaL_error(L, "%s: a time is wanted (\"90s\", \"10m\" or seconds), not a %s", what, luaL_typename(L, idx));
    if (units_parse_duration_ms(lua_tostring(L, idx), &ms, &err) < 0)
        luaL_error(L, "%s: %s", what, err.msg);
    return ms;
}

/* The field of the table at idx, pushed; false (nothing pushed) if it is nil. */
static bool field(lua_State *L, int idx, const char *key)
{
    if (lua_getfield(L, idx, key) != LUA_TNIL)
        return true;
    lua_pop(L, 1);
    return false;
}

static int64_t duration_field(lua_State *L, int idx, const char *key, int64_t def)
{
    if (!field(L, idx, key))
        return def;
    int64_t ms = options_duration_ms(L, -1, key);
    lua_pop(L, 1);
    return ms;
}

/* Borrowed: the table holds it. */
static const char *string_field(lua_State *L, int idx, const char *key)
{
    if (!field(L, idx, key))
        return NULL;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "%s: a string is wanted, not a %s", key, luaL_typename(L, -1));
    size_t n;
    const char *s = lua_tolstring(L, -1, &n);
    if (n == 0 || n > NAME_LEN_MAX || strlen(s) != n)
        luaL_error(L, "%s: 1 to %d bytes are wanted", key, NAME_LEN_MAX);
    lua_pop(L, 1);
    return s;
}

static void parse_retry(lua_State *L, int idx, struct activity_opts *o)
{
    static const char *const known[] = {"max", "initial", "backoff", "max_interval", "non_retryable", NULL};
    if (lua_isboolean(L, idx) && !lua_toboolean(L, idx)) { /* retry = false */
        o->retry_max = 1;
        return;
    }
    luaL_argexpected(L, lua_istable(L, idx), 3, "retry = {...}");
    check_keys(L, idx, "retry", known);
    if (field(L, idx, "max")) {
        int ok;
        lua_Integer n = lua_tointegerx(L, -1, &ok);
        if (!ok || n < 0 || n > 1000000)
            luaL_error(L, "retry: max is a number of attempts (0: no bound)");
        o->retry_max = (int)n;
        lua_pop(L, 1);
    }
    if (field(L, idx, "backoff")) {
        o->retry_backoff = lua_tonumber(L, -1);
        if (!(o->retry_backoff >= 1 && o->retry_backoff <= 1000))
            luaL_error(L, "retry: backoff is a factor from 1 to 1000");
        lua_pop(L, 1);
    }
    o->retry_initial_ms = duration_field(L, idx, "initial", o->retry_initial_ms);
    o->retry_interval_max_ms = duration_field(L, idx, "max_interval", 0);
    if (o->retry_initial_ms == 0)
        o->retry_initial_ms = 1;
    if (o->retry_interval_max_ms && o->retry_interval_max_ms < o->retry_initial_ms)
        luaL_error(L, "retry: max_interval is shorter than initial");
    if (!field(L, idx, "non_retryable"))
        return;
    luaL_argexpected(L, lua_istable(L, -1), 3, "non_retryable = {...}");
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    if (n > 32)
        luaL_error(L, "retry: at most 32 types in non_retryable");
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_rawgeti(L, -1, i) != LUA_TSTRING)
            luaL_error(L, "retry: non_retryable holds types of errors (strings)");
        o->non_retryable[o->non_retryable_count++] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* The table of resources at idx, as a new table on top: sizes in bytes, CPU time in seconds. */
static void push_resources(lua_State *L, int idx)
{
    static const char *const known[] = {"memory", "cpu", "pids", "disk", "files", NULL};
    luaL_argexpected(L, lua_istable(L, idx), 3, "resources = {...}");
    idx = lua_absindex(L, idx);
    check_keys(L, idx, "resources", known);
    lua_createtable(L, 0, 5);
    for (size_t i = 0; known[i]; i++) {
        uint64_t bytes;
        bool size = i == 0 || i == 3, cpu = i == 1;
        if (!field(L, idx, known[i]))
            continue;
        if (size && lua_type(L, -1) == LUA_TSTRING && units_parse_size(lua_tostring(L, -1), &bytes, NULL) == 0 &&
            bytes < INT64_MAX) {
            lua_pop(L, 1);
            lua_pushinteger(L, (lua_Integer)bytes);
        }
        if (cpu && lua_type(L, -1) == LUA_TSTRING) {
            lua_Number s = (lua_Number)options_duration_ms(L, -1, "resources: cpu") / 1000;
            lua_pop(L, 1);
            lua_pushnumber(L, s);
        }
        if (lua_type(L, -1) != LUA_TNUMBER || !(lua_tonumber(L, -1) > 0) || (!cpu && !lua_isinteger(L, -1)))
            luaL_error(L, "resources: %s must be a %s", known[i],
                       size ? "size such as \"256M\"" : cpu ? "time such as \"10m\"" : "number above 0");
        lua_setfield(L, -2, known[i]);
    }
}

void options_activity(lua_State *L, int idx, struct activity_opts *o)
{
    static const char *const known[] = {"timeout", "queue_timeout", "heartbeat", "retry",
                                        "vertical", "resources", "network", "summary", NULL};
    *o = (struct activity_opts){.timeout_ms = TIMEOUT_DEFAULT_MS, .retry_max = RETRY_MAX_DEFAULT,
                                .retry_initial_ms = 1000, .retry_backoff = 2};
    if (lua_isnoneornil(L, idx))
        return;
    luaL_checktype(L, idx, LUA_TTABLE);
    luaL_checkstack(L, 8, NULL);
    check_keys(L, idx, "options", known);
    o->timeout_ms = duration_field(L, idx, "timeout", o->timeout_ms);
    if (o->timeout_ms == 0)
        luaL_error(L, "timeout: more than nothing is wanted");
    o->queue_timeout_ms = duration_field(L, idx, "queue_timeout", 0);
    o->heartbeat_ms = duration_field(L, idx, "heartbeat", 0);
    o->vertical = string_field(L, idx, "vertical");
    o->network = string_field(L, idx, "network");
    if (o->network && strcmp(o->network, "none") != 0 && strcmp(o->network, "loopback") != 0 &&
        strcmp(o->network, "full") != 0)
        luaL_error(L, "network: none, loopback or full, not '%s'", o->network);
    o->summary = string_field(L, idx, "summary");
    if (o->summary && strlen(o->summary) > SUMMARY_MAX)
        luaL_error(L, "summary: at most %d bytes", SUMMARY_MAX);
    if (field(L, idx, "retry")) {
        parse_retry(L, lua_gettop(L), o);
        lua_pop(L, 1);
    }
    if (field(L, idx, "resources")) {
        push_resources(L, -1);
        value_write(L, -1, &workflow_of(L)->text[1], "resources", 65536);
        o->has_resources = true;
        lua_pop(L, 2);
    }
}

void options_child(lua_State *L, int idx, struct child_opts *o)
{
    static const char *const known[] = {"id", "vertical", "timeout", "task_timeout", "parent_close_policy", NULL};
    *o = (struct child_opts){.parent_close_policy = PB__PARENT_CLOSE_POLICY__PARENT_CLOSE_POLICY_TERMINATE};
    if (lua_isnoneornil(L, idx))
        return;
    luaL_checktype(L, idx, LUA_TTABLE);
    luaL_checkstack(L, 8, NULL);
    check_keys(L, idx, "options", known);
    o->id = string_field(L, idx, "id");
    o->vertical = string_field(L, idx, "vertical");
    o->timeout_ms = duration_field(L, idx, "timeout", 0);
    o->task_timeout_ms = duration_field(L, idx, "task_timeout", 0);
    const char *p = string_field(L, idx, "parent_close_policy");
    if (!p || strcmp(p, "terminate") == 0)
        return;
    if (strcmp(p, "abandon") == 0)
        o->parent_close_policy = PB__PARENT_CLOSE_POLICY__PARENT_CLOSE_POLICY_ABANDON;
    else if (strcmp(p, "cancel") == 0 || strcmp(p, "request_cancel") == 0)
        o->parent_close_policy = PB__PARENT_CLOSE_POLICY__PARENT_CLOSE_POLICY_REQUEST_CANCEL;
    else
        luaL_error(L, "parent_close_policy: terminate, abandon or cancel, not '%s'", p);
}
