/* The scheduler: fibers (the script's main function and its signal handlers), futures, waiting,
 * cancellation.
 *
 * A fiber is a Lua coroutine. It waits by yielding with w->blocked set; what resolves a future puts
 * the waiting fibers into one queue, in the order of the events; fiber_run() goes on until the
 * queue is empty. So the order of all steps follows from history alone. */
#include "workflow/workflow_internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

const char future_key, pending_key, deliveries_key, signal_handlers_key, signal_queues_key, main_key;

/* ---- fibers ---- */

/* Signals go before all else that a task brings: a run that ends in this task has seen them. */
static void make_ready(struct workflow *w, struct fiber *f, bool signal)
{
    struct ready_queue *q = signal ? &w->ready_signals : &w->ready;
    ASSERT(!f->ready);
    f->ready = true;
    f->wait = WAIT_NONE;
    f->token = ++w->next_token; /* whoever else would wake it finds a stale token */
    f->next_ready = NULL;
    if (q->tail)
        q->tail->next_ready = f;
    else
        q->head = f;
    q->tail = f;
}

static struct fiber *take_idle(struct workflow *w, lua_State *L)
{
    struct fiber *f = w->idle;
    if (f) {
        w->idle = f->next;
        free(f->signal);
        memset(f, 0, sizeof *f);
        return f;
    }
    f = mem_zalloc(sizeof *f);
    if (!f) {
        w->heap.failed = true;
        luaL_error(L, "out of memory");
    }
    return f;
}

static void put_idle(struct workflow *w, struct fiber *f)
{
    f->token = ++w->next_token;
    f->co = NULL;
    f->next = w->idle;
    w->idle = f;
}

struct fiber *fiber_spawn(struct workflow *w, lua_State *L, int nargs, bool is_main)
{
    luaL_checkstack(L, 4, NULL);
    lua_State *co = lua_newthread(L);
    *thread_extra(co) = (struct thread_extra){.blocked = 1}; /* for the scheduler alone */
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    luaL_checkstack(co, nargs + 1, NULL);
    struct fiber *f = take_idle(w, L);
    f->co = co;
    f->ref = ref;
    f->is_main = is_main;
    f->nargs = nargs;
    lua_xmove(L, co, nargs + 1);
    f->prev = w->last_fiber;
    if (w->last_fiber)
        w->last_fiber->next = f;
    else
        w->fibers = f;
    w->last_fiber = f;
    if (is_main)
        w->main_fiber = f;
    make_ready(w, f, !is_main);
    return f;
}

/* Starts the handler of the signal that waits longest. One at a time: a flood of signals costs no
 * fiber each, unless the handlers wait. */
static void deliver(struct workflow *w, lua_State *L)
{
    luaL_checkstack(L, 4, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &deliveries_key);
    for (int i = 0; i < 2; i++) { /* the handler, then its value */
        lua_rawgeti(L, -1 - i, ++w->deliveries_first);
        lua_pushnil(L);
        lua_rawseti(L, -3 - i, w->deliveries_first);
    }
    fiber_spawn(w, L, 1, false);
    lua_pop(L, 1);
}

static struct fiber *next_ready(struct workflow *w, lua_State *L)
{
    if (!w->ready_signals.head && w->deliveries_first < w->deliveries_last)
        deliver(w, L);
    struct ready_queue *q = w->ready_signals.head ? &w->ready_signals : &w->ready;
    struct fiber *f = q->head;
    if (f) {
        q->head = f->next_ready;
        if (!q->head)
            q->tail = NULL;
        f->ready = false;
    }
    return f;
}

static void fiber_end(struct workflow *w, lua_State *L, struct fiber *f)
{
    if (f->prev)
        f->prev->next = f->next;
    else
        w->fibers = f->next;
    if (f->next)
        f->next->prev = f->prev;
    else
        w->last_fiber = f->prev;
    luaL_unref(L, LUA_REGISTRYINDEX, f->ref);
    if (w->main_fiber == f)
        w->main_fiber = NULL;
    put_idle(w, f);
}

/* A fiber ended with an error: what that means for the run. */
static void on_error(struct workflow *w, lua_State *L, struct fiber *f, int status)
{
    if (status == LUA_ERRMEM && w->limit_hit == LIMIT_NONE)
        w->limit_hit = w->budget < 0 && !w->heap.over ? LIMIT_INSTRUCTIONS : LIMIT_MEMORY;
    if (w->heap.failed) {
        w->failed = -ERR_NO_MEMORY;
        return;
    }
    if (w->limit_hit != LIMIT_NONE) {
        char text[400];
        limit_message(w, text, sizeof text);
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, ", at %s:%d", w->chunk_name, sandbox_where(f->co));
        w->heap.limit += (size_t)256 << 10; /* for telling where */
        luaL_traceback(L, f->co, NULL, 0);
        failure_set(w, limit_name(w->limit_hit), text, lua_tostring(L, -1), true, NULL);
        lua_pop(L, 1);
        w->closing = CLOSING_FAIL;
        return;
    }
    if (w->closing == CLOSING_CONTINUE)
        return;
    if (w->cancelled && failure_is_cancelled(f->co, -1)) {
        if (f->is_main)
            w->closing = CLOSING_CANCEL;
        return;
    }
    luaL_traceback(L, f->co, NULL, 0);
    failure_from_error(w, f->co, -1, lua_tostring(L, -1));
    lua_pop(L, 1);
    w->closing = CLOSING_FAIL;
}

void fiber_run(struct workflow *w, lua_State *L)
{
    while (w->closing == CLOSING_NOT && w->failed == 0) {
        struct fiber *f = next_ready(w, L);
        if (!f)
            return;
        w->current = f;
        w->base = f->co;
        w->shield = thread_extra(f->co)->shield;
        int nargs = f->nargs, nres;
        f->nargs = 0;
        int status = lua_resume(f->co, L, nargs, &nres);
        w->current = NULL;
        w->base = NULL;
        if (status == LUA_YIELD) {
            ASSERT(w->blocked);
            w->blocked = false;
            if (w->limit_hit == LIMIT_NONE)
                continue;
            status = LUA_ERRRUN;
        }
        if (status != LUA_OK || w->limit_hit != LIMIT_NONE)
            on_error(w, L, f, status);
        fiber_end(w, L, f);
    }
}

void fiber_release(struct workflow *w)
{
    struct fiber *lists[] = {w->fibers, w->idle};
    for (int i = 0; i < 2; i++)
        for (struct fiber *f = lists[i], *next; f; f = next) {
            next = f->next;
            free(f->signal);
            free(f);
        }
    for (struct future *f = w->pending_head; f; f = f->next) /* their memory is the Lua state's */
        while (f->waiters) {
            struct waiter *n = f->waiters;
            f->waiters = n->next;
            free(n);
        }
    while (w->idle_waiters) {
        struct waiter *n = w->idle_waiters;
        w->idle_waiters = n->next;
        free(n);
    }
    free(w->by_event.keys);
    free(w->by_event.values);
}

/* ---- futures ---- */

struct future *future_check(lua_State *L, int idx)
{
    struct future *f = lua_touserdata(L, idx);
    if (lua_type(L, idx) != LUA_TUSERDATA)
        luaL_error(L, "a future is wanted (what ff.start gives), not a %s", luaL_typename(L, idx));
    return f;
}

struct future *future_new(lua_State *L, enum future_kind kind, const char *name, const char *id)
{
    struct workflow *w = workflow_of(L);
    size_t n = strlen(name) + 1, m = id ? strlen(id) + 1 : 0;
    luaL_checkstack(L, 4, NULL);
    struct future *f = lua_newuserdatauv(L, sizeof *f + n + m, 1);
    memset(f, 0, sizeof *f);
    f->serial = w->heap.serial;
    f->kind = kind;
    f->shielded = w->shield > 0;
    memcpy(f->name, name, n);
    if (id) {
        f->id = f->name + n;
        memcpy(f->id, id, m);
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &future_key);
    lua_setmetatable(L, -2);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &pending_key);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, f);
    lua_pop(L, 1);
    f->prev = w->pending_tail;
    if (w->pending_tail)
        w->pending_tail->next = f;
    else
        w->pending_head = f;
    w->pending_tail = f;
    return f;
}

static void wake_waiters(struct workflow *w, struct future *f, bool ok)
{
    while (f->waiters) {
        struct waiter *n = f->waiters;
        struct fiber *fb = n->fiber;
        f->waiters = n->next;
        if (fb->token == n->token && fb->wait != WAIT_NONE &&
            (fb->wait != WAIT_ALL || !ok || --fb->remaining == 0)) {
            fb->decider = f;
            make_ready(w, fb, false);
        }
        n->next = w->idle_waiters;
        w->idle_waiters = n;
    }
    f->last_waiter = NULL;
}

void future_resolve(struct workflow *w, lua_State *L, struct future *f, bool ok)
{
    luaL_checkstack(L, 4, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &pending_key);
    lua_rawgetp(L, -1, f);
    lua_pushvalue(L, -3);
    lua_setiuservalue(L, -2, 1);
    lua_pop(L, 1);
    lua_pushnil(L);
    lua_rawsetp(L, -2, f);
    lua_pop(L, 1);
    if (f->prev)
        f->prev->next = f->next;
    else
        w->pending_head = f->next;
    if (f->next)
        f->next->prev = f->prev;
    else
        w->pending_tail = f->prev;
    f->prev = f->next = NULL;
    f->state = ok ? FUTURE_DONE : FUTURE_FAILED;
    wake_waiters(w, f, ok);
    lua_pop(L, 1); /* it may be gone now: nobody else needs to hold it */
}

/* ---- signals ---- */

/* The values that wait for a name are in a table: at 0 is the index of the first, at -1 that of the
 * last. */
static lua_Integer queue_index(lua_State *L, int queue, int which, lua_Integer def)
{
    int ok;
    lua_rawgeti(L, queue, which);
    lua_Integer i = lua_tointegerx(L, -1, &ok);
    lua_pop(L, 1);
    return ok ? i : def;
}

static void set_queue_index(lua_State *L, int queue, int which, lua_Integer i)
{
    lua_pushinteger(L, i);
    lua_rawseti(L, queue, which);
}

bool fiber_take_signal(lua_State *L, const char *name)
{
    luaL_checkstack(L, 5, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &signal_queues_key);
    if (lua_getfield(L, -1, name) != LUA_TTABLE) {
        lua_pop(L, 2);
        return false;
    }
    int queue = lua_gettop(L);
    lua_Integer first = queue_index(L, queue, 0, 1);
    if (first > queue_index(L, queue, -1, 0)) {
        lua_pop(L, 2);
        return false;
    }
    lua_rawgeti(L, queue, first);
    lua_pushnil(L);
    lua_rawseti(L, queue, first);
    set_queue_index(L, queue, 0, first + 1);
    lua_replace(L, queue - 1);
    lua_pop(L, 1);
    return true;
}

void fiber_signal(struct workflow *w, lua_State *L, const char *name)
{
    luaL_checkstack(L, 5, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &signal_handlers_key);
    if (lua_getfield(L, -1, name) == LUA_TFUNCTION) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &deliveries_key);
        lua_insert(L, -2);
        lua_rawseti(L, -2, ++w->deliveries_last);
        lua_pushvalue(L, -3);
        lua_rawseti(L, -2, ++w->deliveries_last);
        lua_pop(L, 3);
        return;
    }
    lua_pop(L, 2);
    struct fiber *first = NULL;
    for (struct fiber *f = w->fibers; f; f = f->next)
        if (f->wait == WAIT_SIGNAL && strcmp(f->signal, name) == 0 && (!first || f->token < first->token))
            first = f;
    if (first) {
        luaL_checkstack(first->co, 1, NULL);
        lua_xmove(L, first->co, 1);
        first->nargs = 1;
        first->signalled = true;
        make_ready(w, first, true);
        return;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &signal_queues_key);
    if (lua_getfield(L, -1, name) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, name);
    }
    int queue = lua_gettop(L);
    lua_Integer last = queue_index(L, queue, -1, 0) + 1;
    lua_pushvalue(L, -3);
    lua_rawseti(L, queue, last);
    set_queue_index(L, queue, -1, last);
    lua_pop(L, 3);
}

void fiber_flush_signals(struct workflow *w, lua_State *L, const char *name)
{
    while (fiber_take_signal(L, name))
        fiber_signal(w, L, name);
}

/* ---- cancellation ---- */

void future_cancel(struct workflow *w, lua_State *L, struct future *f)
{
    if (f->state != FUTURE_PENDING || f->cancel_requested)
        return;
    f->cancel_requested = true;
    limits_charge(L, (w->commands.len - w->commands_first) / 4); /* the command is looked for */
    bool unsent = command_take_back(w, f);
    if (!unsent && command_cancel(w, f, sandbox_where(L)) < 0) {
        w->heap.failed = true;
        luaL_error(L, "out of memory");
    }
    if (!unsent && f->kind != FUTURE_TIMER)
        return; /* its end is an event */
    event_map_take(&w->by_event, f->event_id);
    failure_push_cancelled(L);
    future_resolve(w, L, f, false);
}

void fiber_cancel_all(struct workflow *w, lua_State *L)
{
    w->cancelled = true;
    for (struct future *f = w->pending_head, *next; f; f = next) {
        next = f->next;
        if (!f->shielded)
            future_cancel(w, L, f);
    }
    for (struct fiber *f = w->fibers; f; f = f->next)
        if (f->wait != WAIT_NONE && f->shield == 0) {
            f->interrupted = true;
            make_ready(w, f, false);
        }
}

/* ---- methods of a future ---- */

static int future_cancel_method(lua_State *L)
{
    struct workflow *w = workflow_of(L);
    struct future *f = future_check(L, 1);
    if (w->in_query)
        return luaL_error(L, "cancel: a query handler may only look, not start or wait");
    future_cancel(w, L, f);
    return 0;
}

static int future_done_method(lua_State *L)
{
    lua_pushboolean(L, future_check(L, 1)->state != FUTURE_PENDING);
    return 1;
}

void fiber_open(lua_State *L)
{
    static const char *const tables[] = {&pending_key, &deliveries_key,
                                         &signal_handlers_key, &signal_queues_key, &query_handlers_key};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        lua_newtable(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, tables[i]);
    }
    lua_createtable(L, 0, 3);
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, fiber_await);
    lua_setfield(L, -2, "await");
    lua_pushcfunction(L, future_cancel_method);
    lua_setfield(L, -2, "cancel");
    lua_pushcfunction(L, future_done_method);
    lua_setfield(L, -2, "done");
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "future");
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &future_key);
}
