/* Waiting: ff.await, ff.all, ff.race, ff.wait_signal, and the scopes that keep cancellation out.
 *
 * Each call that waits notes what for, yields, and goes on in its continuation (NAME_k) when the
 * scheduler resumes the fiber: with the future that decided it, with a signal's value, or
 * interrupted by cancellation. */
#include "workflow/workflow_internal.h"

#include "base/mem.h"

void fiber_check(lua_State *L, const char *what, bool will_wait)
{
    struct workflow *w = workflow_of(L);
    limits_rethrow(L, LUA_OK);
    if (w->in_query)
        luaL_error(L, "%s: a query handler may only look, not start or wait", what);
    if (will_wait && !lua_isyieldable(L))
        luaL_error(L, "%s: cannot wait inside a function called from C (a comparator, gsub)", what);
    if (w->cancelled && w->shield == 0) {
        failure_push_cancelled(L);
        lua_error(L);
    }
}

static void begin_wait(struct workflow *w, enum wait_kind kind)
{
    struct fiber *f = w->current;
    f->wait = kind;
    f->token = ++w->next_token;
    f->decider = NULL;
    f->signalled = false;
    f->shield = w->shield;
}

static void add_waiter(lua_State *L, struct future *f)
{
    struct workflow *w = workflow_of(L);
    struct waiter *n = w->idle_waiters;
    if (n)
        w->idle_waiters = n->next;
    else if (!(n = mem_alloc(sizeof *n))) {
        w->heap.failed = true;
        luaL_error(L, "out of memory");
    }
    *n = (struct waiter){w->current, w->current->token, NULL};
    if (f->waiters)
        f->last_waiter->next = n;
    else
        f->waiters = n;
    f->last_waiter = n;
}

static int block(lua_State *L, lua_KContext ctx, lua_KFunction k)
{
    workflow_of(L)->blocked = true;
    return lua_yieldk(L, 0, ctx, k);
}

static bool take_interrupt(struct workflow *w)
{
    bool r = w->current->interrupted;
    w->current->interrupted = false;
    return r;
}

/* Pushes the value of an ended future, or raises its error. */
static int future_result(lua_State *L, int idx)
{
    const struct future *f = lua_touserdata(L, idx);
    lua_getiuservalue(L, idx, 1);
    return f->state == FUTURE_DONE ? 1 : lua_error(L);
}

static int await_k(lua_State *L, int status, lua_KContext idx)
{
    if (take_interrupt(workflow_of(L))) {
        failure_push_cancelled(L);
        return lua_error(L);
    }
    return future_result(L, (int)idx);
}

int future_await(lua_State *L, int idx)
{
    struct workflow *w = workflow_of(L);
    struct future *f = future_check(L, idx);
    idx = lua_absindex(L, idx);
    if (f->state != FUTURE_PENDING)
        return future_result(L, idx);
    fiber_check(L, "ff.await", true);
    begin_wait(w, WAIT_ONE);
    add_waiter(L, f);
    return block(L, idx, await_k);
}

int fiber_await(lua_State *L)
{
    lua_settop(L, 1);
    return future_await(L, 1);
}

/* The table at 1 becomes: its keys at 2, the futures at 3. Gives their number. */
static lua_Integer take_futures(lua_State *L, const char *what)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_Integer n = order_keys(L, 1);
    lua_createtable(L, (int)(n < 1 << 20 ? n : 1 << 20), 0);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 2, i);
        lua_rawget(L, 1);
        if (lua_type(L, -1) != LUA_TUSERDATA)
            luaL_error(L, "%s: every value must be a future (what ff.start gives), not a %s", what,
                       luaL_typename(L, -1));
        lua_rawseti(L, 3, i);
    }
    return n;
}

static struct future *nth_future(lua_State *L, lua_Integer i)
{
    lua_rawgeti(L, 3, i);
    struct future *f = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return f;
}

static int all_results(lua_State *L, const struct future *failed)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, 3);
    lua_settop(L, 3);
    lua_createtable(L, (int)(n < 1 << 20 ? n : 1 << 20), 0);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 3, i);
        const struct future *f = lua_touserdata(L, -1);
        if (failed ? f == failed : f->state == FUTURE_FAILED)
            return future_result(L, lua_gettop(L));
        lua_rawgeti(L, 2, i);
        lua_getiuservalue(L, -2, 1);
        lua_rawset(L, 4);
        lua_pop(L, 1);
    }
    return 1;
}

static int all_k(lua_State *L, int status, lua_KContext ctx)
{
    struct workflow *w = workflow_of(L);
    if (take_interrupt(w)) {
        failure_push_cancelled(L);
        return lua_error(L);
    }
    const struct future *d = w->current->decider;
    return all_results(L, d->state == FUTURE_FAILED ? d : NULL);
}

int fiber_all(lua_State *L)
{
    struct workflow *w = workflow_of(L);
    lua_Integer n = take_futures(L, "ff.all");
    size_t pending = 0;
    for (lua_Integer i = 1; i <= n; i++) {
        const struct future *f = nth_future(L, i);
        if (f->state == FUTURE_FAILED)
            return all_results(L, f);
        pending += f->state == FUTURE_PENDING;
    }
    if (pending == 0)
        return all_results(L, NULL);
    fiber_check(L, "ff.all", true);
    begin_wait(w, WAIT_ALL);
    w->current->remaining = pending;
    for (lua_Integer i = 1; i <= n; i++) {
        struct future *f = nth_future(L, i);
        if (f->state == FUTURE_PENDING)
            add_waiter(L, f);
    }
    return block(L, 0, all_k);
}

static int race_result(lua_State *L, const struct future *winner)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, 3);
    for (lua_Integer i = 1; i <= n; i++)
        if (nth_future(L, i) == winner) {
            lua_settop(L, 3);
            lua_rawgeti(L, 3, i);
            future_result(L, 4);
            lua_rawgeti(L, 2, i);
            return 2;
        }
    return luaL_error(L, "ff.race: no winner");
}

static int race_k(lua_State *L, int status, lua_KContext ctx)
{
    struct workflow *w = workflow_of(L);
    if (take_interrupt(w)) {
        failure_push_cancelled(L);
        return lua_error(L);
    }
    return race_result(L, w->current->decider);
}

int fiber_race(lua_State *L)
{
    lua_Integer n = take_futures(L, "ff.race");
    if (n == 0)
        return luaL_error(L, "ff.race: nothing to wait for");
    for (lua_Integer i = 1; i <= n; i++)
        if (nth_future(L, i)->state != FUTURE_PENDING)
            return race_result(L, nth_future(L, i));
    fiber_check(L, "ff.race", true);
    begin_wait(workflow_of(L), WAIT_RACE);
    for (lua_Integer i = 1; i <= n; i++)
        add_waiter(L, nth_future(L, i));
    return block(L, 0, race_k);
}

/* ---- scopes ---- */

static void shield(lua_State *L, int by)
{
    thread_extra(L)->shield += (uint32_t)by;
    workflow_of(L)->shield += (uint32_t)by;
}

/* ff.scope(fn): the whole of fn is shielded from cancellation. */
static int shielded_k(lua_State *L, int status, lua_KContext ctx)
{
    shield(L, -1);
    limits_rethrow(L, status);
    return status == LUA_OK || status == LUA_YIELD ? lua_gettop(L) : lua_error(L);
}

/* ff.scope(body, cleanup). Stack: cleanup, status of body, its results or its error. */
static int cleanup_k(lua_State *L, int status, lua_KContext ctx)
{
    shield(L, -1);
    limits_rethrow(L, status);
    bool ok = lua_toboolean(L, 2);
    if (status != LUA_OK && status != LUA_YIELD) {
        if (ok)
            return lua_error(L);
        lua_pushcfunction(L, api_log); /* the body's error tells more than that of its cleanup */
        lua_pushliteral(L, "warn");
        lua_pushliteral(L, "cleanup failed:");
        lua_pushvalue(L, -4);
        lua_call(L, 3, 0);
        lua_pop(L, 1);
    }
    return ok ? lua_gettop(L) - 2 : lua_error(L);
}

static int body_k(lua_State *L, int status, lua_KContext ctx)
{
    limits_rethrow(L, status);
    bool ok = status == LUA_OK || status == LUA_YIELD;
    lua_pushboolean(L, ok);
    lua_insert(L, 2);
    luaL_checkstack(L, 4, NULL);
    lua_pushvalue(L, 1);
    if (ok)
        lua_pushnil(L);
    else
        lua_pushvalue(L, -2);
    shield(L, 1);
    return cleanup_k(L, lua_pcallk(L, 1, 0, 0, 0, cleanup_k), 0);
}

int fiber_scope(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (lua_isnoneornil(L, 2)) {
        lua_settop(L, 1);
        shield(L, 1);
        return shielded_k(L, lua_pcallk(L, 0, LUA_MULTRET, 0, 0, shielded_k), 0);
    }
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_insert(L, 1);
    return body_k(L, lua_pcallk(L, 0, LUA_MULTRET, 0, 0, body_k), 0);
}

/* ---- signals ---- */

static int wait_signal_k(lua_State *L, int status, lua_KContext ctx)
{
    struct workflow *w = workflow_of(L);
    struct future *timer = lua_touserdata(L, 3);
    if (timer && timer->state == FUTURE_PENDING)
        future_cancel(w, L, timer);
    if (take_interrupt(w)) {
        failure_push_cancelled(L);
        return lua_error(L);
    }
    if (w->current->signalled)
        return 1; /* what resume passed */
    if (timer && timer->state == FUTURE_FAILED)
        return future_result(L, 3); /* cancelled with the run */
    lua_pushnil(L);
    return 1;
}

int fiber_wait_signal(lua_State *L)
{
    struct workflow *w = workflow_of(L);
    const char *name = luaL_checkstring(L, 1);
    luaL_argcheck(L, lua_rawlen(L, 1) <= NAME_LEN_MAX, 1, "name too long");
    int64_t ms = lua_isnoneornil(L, 2) ? -1 : options_duration_ms(L, 2, "ff.wait_signal: timeout");
    lua_settop(L, 2);
    if (w->in_query)
        fiber_check(L, "ff.wait_signal", true);
    if (fiber_take_signal(L, name))
        return 1;
    fiber_check(L, "ff.wait_signal", true);
    if (ms == 0) {
        lua_pushnil(L);
        return 1;
    }
    struct future *timer = NULL;
    if (ms > 0) {
        timer = future_new(L, FUTURE_TIMER, "", NULL);
        timer->seq = ++w->next_timer;
        if (command_timer(w, timer, ms, sandbox_where(L)) < 0)
            return luaL_error(L, "out of memory");
    } else {
        lua_pushnil(L);
    }
    free(w->current->signal);
    if (!(w->current->signal = mem_strdup(name))) {
        w->heap.failed = true;
        return luaL_error(L, "out of memory");
    }
    begin_wait(w, WAIT_SIGNAL);
    if (timer)
        add_waiter(L, timer);
    return block(L, 0, wait_signal_k);
}
