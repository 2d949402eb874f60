/* The globals that a script sees: the standard library without what is unsafe or differs from run
 * to run. */
#include "workflow/workflow_internal.h"

#include "base/assert.h"
#include "base/cleanup.h"

#include <lualib.h>
#include <pthread.h>
#include <string.h>

#define COROUTINE_COST 1000 /* the count hook starts anew in each thread, so making one is charged as much as it hides */

static int base_setmetatable(lua_State *L)
{
    static const char *const refused[] = {"__gc", "__mode"};
    static const char *const what[] = {"finalizers (__gc)", "weak tables (__mode)"};
    int t = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, t == LUA_TNIL || t == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    if (t == LUA_TTABLE) {
        for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
            lua_pushstring(L, refused[i]);
            if (lua_rawget(L, 2) != LUA_TNIL)
                return luaL_error(L, "%s are not available in workflows", what[i]);
        }
        lua_settop(L, 2);
        lua_rawgetp(L, LUA_REGISTRYINDEX, &metatables_key); /* __mode may still be added later: the hook looks */
        lua_pushvalue(L, 2);
        lua_pushboolean(L, 1);
        lua_rawset(L, -3);
        lua_settop(L, 2);
    }
    lua_setmetatable(L, 1);
    return 1;
}

/* ---- protected calls ---- */

static int finish_pcall(lua_State *L, int status, lua_KContext extra)
{
    limits_rethrow(L, status);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_pushboolean(L, 0);
        lua_pushvalue(L, -2);
        return 2;
    }
    return lua_gettop(L) - (int)extra;
}

static int base_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_pcall);
    return finish_pcall(L, status, 0);
}

/* The script's message handler, which must not run when a limit ends the run. */
static int message_handler(lua_State *L)
{
    if (limits_unwinding(workflow_of(L)))
        return 1;
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int base_xpcall(lua_State *L)
{
    int n = lua_gettop(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, message_handler, 1);
    lua_replace(L, 2);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2);
    int status = lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, finish_pcall);
    return finish_pcall(L, status, 2);
}

/* ---- coroutines ---- */

static lua_State *check_co(lua_State *L, int idx)
{
    lua_State *co = lua_tothread(L, idx);
    luaL_argexpected(L, co, idx, "coroutine");
    return co;
}

static const char *co_status(lua_State *L, lua_State *co)
{
    lua_Debug ar;
    if (L == co)
        return "running";
    if (thread_extra(co)->blocked)
        return "normal"; /* another fiber waits in it */
    switch (lua_status(co)) {
    case LUA_YIELD:
        return "suspended";
    case LUA_OK:
        if (lua_getstack(co, 0, &ar))
            return "normal";
        return lua_gettop(co) == 0 ? "dead" : "suspended";
    default:
        return "dead";
    }
}

static int resume_k(lua_State *L, int status, lua_KContext wrapped);

/* Resumes co (also at index 1 of L) with narg values on its stack. If it waits in a blocking call
 * of ff, this thread yields too, up to the scheduler, and goes on when the wait is over: so
 * ff.await works inside coroutines. */
static int resume(lua_State *L, lua_State *co, int narg, bool wrapped)
{
    struct workflow *w = workflow_of(L);
    int nres = 0;
    w->shield += thread_extra(co)->shield;
    int status = lua_resume(co, L, narg, &nres);
    w->shield -= thread_extra(co)->shield;
    if (status == LUA_YIELD && w->blocked) {
        thread_extra(co)->blocked = 1;
        if (!lua_isyieldable(L)) {
            w->blocked = false;
            w->current->wait = WAIT_NONE;
            w->current->token = ++w->next_token;
            return luaL_error(L, "a coroutine cannot wait inside a function called from C (a comparator, gsub)");
        }
        lua_settop(L, 1);
        return lua_yieldk(L, 0, wrapped, resume_k);
    }
    limits_rethrow(L, status);
    bool ok = status == LUA_OK || status == LUA_YIELD;
    if (wrapped && !ok) {
        lua_resetthread(co);
        limits_rethrow(L, LUA_OK);
        lua_xmove(co, L, 1);
        return lua_error(L);
    }
    int n = ok ? nres : 1;
    if (!lua_checkstack(L, n + 1)) {
        lua_pop(co, n);
        return luaL_error(L, "too many results to resume");
    }
    if (!wrapped)
        lua_pushboolean(L, ok);
    lua_xmove(co, L, n);
    return n + !wrapped;
}

static int resume_k(lua_State *L, int status, lua_KContext wrapped)
{
    lua_State *co = lua_tothread(L, 1);
    int n = lua_gettop(L) - 1;
    thread_extra(co)->blocked = 0;
    if (!lua_checkstack(co, n))
        return luaL_error(L, "too many arguments to resume");
    lua_xmove(L, co, n);
    return resume(L, co, n, wrapped != 0);
}

/* The arguments above index 1 go to the coroutine at index 1. */
static int resume_args(lua_State *L, bool wrapped)
{
    lua_State *co = check_co(L, 1);
    int n = lua_gettop(L) - 1;
    const char *s = co_status(L, co);
    if (strcmp(s, "suspended") != 0) {
        lua_pushboolean(L, 0);
        lua_pushfstring(L, "cannot resume %s coroutine", strcmp(s, "dead") == 0 ? s : "non-suspended");
        return wrapped ? luaL_error(L, "%s", lua_tostring(L, -1)) : 2;
    }
    if (!lua_checkstack(co, n))
        return luaL_error(L, "too many arguments to resume");
    lua_xmove(L, co, n);
    return resume(L, co, n, wrapped);
}

static int co_resume(lua_State *L)
{
    return resume_args(L, false);
}

static int co_wrapped(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    return resume_args(L, true);
}

static int co_create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    limits_charge(L, COROUTINE_COST);
    lua_State *co = lua_newthread(L);
    *thread_extra(co) = (struct thread_extra){0};
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int co_wrap(lua_State *L)
{
    co_create(L);
    lua_pushcclosure(L, co_wrapped, 1);
    return 1;
}

static int co_yield(lua_State *L)
{
    if (L == workflow_of(L)->base)
        return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

static int co_status_name(lua_State *L)
{
    lua_pushstring(L, co_status(L, check_co(L, 1)));
    return 1;
}

static int co_isyieldable(lua_State *L)
{
    lua_State *co = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    lua_pushboolean(L, co != workflow_of(L)->base && lua_isyieldable(co));
    return 1;
}

static int co_running(lua_State *L)
{
    lua_pushthread(L);
    lua_pushboolean(L, L == workflow_of(L)->base);
    return 2;
}

static int co_close(lua_State *L)
{
    lua_State *co = check_co(L, 1);
    const char *s = co_status(L, co);
    if (strcmp(s, "suspended") != 0 && strcmp(s, "dead") != 0)
        return luaL_error(L, "cannot close a %s coroutine", s);
    int status = lua_resetthread(co);
    limits_rethrow(L, status);
    lua_pushboolean(L, status == LUA_OK);
    if (status == LUA_OK)
        return 1;
    lua_xmove(co, L, 1);
    return 2;
}

/* ---- the table of all functions ---- */

enum origin { OURS, STOCK, CHARGED /* of the standard library, its string arguments paid for */ };

static const struct {
    const char *lib, *name;
    enum origin origin;
    lua_CFunction f;
} functions[] = {
    {"_G", "assert", STOCK, NULL},
    {"_G", "error", STOCK, NULL},
    {"_G", "getmetatable", STOCK, NULL},
    {"_G", "ipairs", STOCK, NULL},
    {"_G", "rawequal", STOCK, NULL},
    {"_G", "rawget", STOCK, NULL},
    {"_G", "rawlen", STOCK, NULL},
    {"_G", "rawset", STOCK, NULL},
    {"_G", "select", STOCK, NULL},
    {"_G", "tonumber", STOCK, NULL},
    {"_G", "type", STOCK, NULL},
    {"_G", "next", OURS, order_next},
    {"_G", "pairs", OURS, order_pairs},
    {"_G", "pcall", OURS, base_pcall},
    {"_G", "print", OURS, api_print},
    {"_G", "setmetatable", OURS, base_setmetatable},
    {"_G", "tostring", OURS, order_tostring},
    {"_G", "xpcall", OURS, base_xpcall},
    {"coroutine", "close", OURS, co_close},
    {"coroutine", "create", OURS, co_create},
    {"coroutine", "isyieldable", OURS, co_isyieldable},
    {"coroutine", "resume", OURS, co_resume},
    {"coroutine", "running", OURS, co_running},
    {"coroutine", "status", OURS, co_status_name},
    {"coroutine", "wrap", OURS, co_wrap},
    {"coroutine", "yield", OURS, co_yield},
    {"math", "abs", STOCK, NULL},
    {"math", "acos", STOCK, NULL},
    {"math", "asin", STOCK, NULL},
    {"math", "atan", STOCK, NULL},
    {"math", "ceil", STOCK, NULL},
    {"math", "cos", STOCK, NULL},
    {"math", "deg", STOCK, NULL},
    {"math", "exp", STOCK, NULL},
    {"math", "floor", STOCK, NULL},
    {"math", "fmod", STOCK, NULL},
    {"math", "log", STOCK, NULL},
    {"math", "max", STOCK, NULL},
    {"math", "min", STOCK, NULL},
    {"math", "modf", STOCK, NULL},
    {"math", "rad", STOCK, NULL},
    {"math", "random", OURS, rng_random},
    {"math", "randomseed", OURS, rng_randomseed},
    {"math", "sin", STOCK, NULL},
    {"math", "sqrt", STOCK, NULL},
    {"math", "tan", STOCK, NULL},
    {"math", "tointeger", STOCK, NULL},
    {"math", "type", STOCK, NULL},
    {"math", "ult", STOCK, NULL},
    {"string", "byte", CHARGED, NULL},
    {"string", "char", STOCK, NULL},
    {"string", "find", OURS, pattern_find},
    {"string", "format", OURS, strlib_format},
    {"string", "gmatch", OURS, pattern_gmatch},
    {"string", "gsub", OURS, pattern_gsub},
    {"string", "len", STOCK, NULL},
    {"string", "lower", CHARGED, NULL},
    {"string", "match", OURS, pattern_match},
    {"string", "pack", CHARGED, NULL},
    {"string", "packsize", CHARGED, NULL},
    {"string", "rep", OURS, strlib_rep},
    {"string", "reverse", CHARGED, NULL},
    {"string", "sub", STOCK, NULL},
    {"string", "unpack", CHARGED, NULL},
    {"string", "upper", CHARGED, NULL},
    {"table", "concat", OURS, tablib_concat},
    {"table", "insert", OURS, tablib_insert},
    {"table", "move", OURS, tablib_move},
    {"table", "pack", OURS, tablib_pack},
    {"table", "remove", OURS, tablib_remove},
    {"table", "sort", OURS, tablib_sort},
    {"table", "unpack", OURS, tablib_unpack},
    {"utf8", "char", STOCK, NULL},
    {"utf8", "codepoint", CHARGED, NULL},
    {"utf8", "codes", CHARGED, NULL},
    {"utf8", "len", CHARGED, NULL},
    {"utf8", "offset", CHARGED, NULL},
};

static const char *const arithmetic[] = {"__add", "__sub", "__mul", "__div", "__mod", "__pow", "__unm", "__idiv"};

lua_CFunction sandbox_string_rep, sandbox_string_format;
static lua_CFunction stock[ARRAY_LEN(functions)];
static lua_CFunction string_arithmetic[ARRAY_LEN(arithmetic)];
static char utf8_charpattern[64];
static size_t utf8_charpattern_len;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Takes the standard library's functions out of a state that is thrown away: a workflow's state
 * then gets just those of the table, by pointer, in some microseconds. */
static void collect(void)
{
    lua_State *L = luaL_newstate();
    ASSERT(L);
    luaL_openlibs(L);
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        stock[i] = functions[i].f;
        if (functions[i].origin == OURS)
            continue;
        lua_getglobal(L, functions[i].lib);
        lua_getfield(L, -1, functions[i].name);
        stock[i] = lua_tocfunction(L, -1);
        ASSERT(stock[i]);
        lua_settop(L, 0);
    }
    lua_pushliteral(L, "");
    ASSERT(lua_getmetatable(L, -1));
    for (size_t i = 0; i < ARRAY_LEN(arithmetic); i++) {
        lua_getfield(L, -1, arithmetic[i]);
        string_arithmetic[i] = lua_tocfunction(L, -1);
        ASSERT(string_arithmetic[i]);
        lua_pop(L, 1);
    }
    lua_getglobal(L, "string");
    lua_getfield(L, -1, "rep");
    sandbox_string_rep = lua_tocfunction(L, -1);
    lua_getfield(L, -2, "format");
    sandbox_string_format = lua_tocfunction(L, -1);
    lua_getglobal(L, "utf8");
    lua_getfield(L, -1, "charpattern");
    const char *s = lua_tolstring(L, -1, &utf8_charpattern_len);
    ASSERT(s && utf8_charpattern_len <= sizeof utf8_charpattern);
    memcpy(utf8_charpattern, s, utf8_charpattern_len);
    lua_close(L);
}

const char *sandbox_function_name(lua_CFunction f, size_t *ret_index)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        if (stock[i] == f) {
            if (ret_index)
                *ret_index = i;
            return functions[i].name;
        }
    const char *name = api_function_name(f, ret_index);
    if (name && ret_index)
        *ret_index += ARRAY_LEN(functions);
    return name;
}

int sandbox_where(lua_State *L)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++)
        if (lua_getinfo(L, "l", &ar) && ar.currentline > 0)
            return ar.currentline;
    return 0;
}

static void open_string_metatable(lua_State *L)
{
    lua_pushliteral(L, "");
    lua_createtable(L, 0, (int)ARRAY_LEN(arithmetic) + 2);
    for (size_t i = 0; i < ARRAY_LEN(arithmetic); i++) {
        lua_pushcfunction(L, string_arithmetic[i]);
        lua_setfield(L, -2, arithmetic[i]);
    }
    lua_getglobal(L, "string");
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

static void set_number(lua_State *L, const char *name, lua_Number v)
{
    lua_pushnumber(L, v);
    lua_setfield(L, -2, name);
}

static void open_constants(lua_State *L)
{
    lua_pushglobaltable(L);
    lua_setglobal(L, "_G");
    lua_pushliteral(L, LUA_VERSION);
    lua_setglobal(L, "_VERSION");
    lua_getglobal(L, "math");
    set_number(L, "pi", 3.141592653589793238462643383279502884);
    set_number(L, "huge", (lua_Number)__builtin_inf());
    lua_pushinteger(L, LUA_MAXINTEGER);
    lua_setfield(L, -2, "maxinteger");
    lua_pushinteger(L, LUA_MININTEGER);
    lua_setfield(L, -2, "mininteger");
    lua_getglobal(L, "utf8");
    lua_pushlstring(L, utf8_charpattern, utf8_charpattern_len);
    lua_setfield(L, -2, "charpattern");
    lua_pop(L, 2);
}

void sandbox_open(lua_State *L)
{
    pthread_once(&once, collect);
    *thread_extra(L) = (struct thread_extra){0};
    lua_newtable(L); /* metatables in use, not kept alive by being here */
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatables_key);
    const char *lib = NULL;
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        if (!lib || strcmp(lib, functions[i].lib) != 0) {
            if (lib)
                lua_pop(L, 1);
            lib = functions[i].lib;
            if (strcmp(lib, "_G") == 0) {
                lua_pushglobaltable(L);
            } else {
                lua_createtable(L, 0, 24);
                lua_pushvalue(L, -1);
                lua_setglobal(L, lib);
            }
        }
        lua_pushcfunction(L, stock[i]);
        if (functions[i].origin == CHARGED)
            lua_pushcclosure(L, strlib_charged, 1);
        lua_setfield(L, -2, functions[i].name);
    }
    lua_pop(L, 1);
    open_constants(L);
    open_string_metatable(L);
}
