/* Limits that a script cannot swallow.
 *
 * A count hook on every coroutine spends the budget of instructions and looks at the clock;
 * functions of ours that loop in C spend from the same budget. What goes over sets w->limit_hit,
 * which stays: every place that catches errors for a script (pcall, xpcall, coroutine.resume, wrap,
 * close, ff.scope) raises again when it finds it set. */
#include "workflow/workflow_internal.h"

#include "base/units.h"

#include <stdio.h>
#include <time.h>

#define HOOK_EVERY 1000
#define WEAK_CHECK_EVERY 256 /* hooks */

const char metatables_key;

/* CPU time of this thread: a script does nothing but compute, and it is not to blame for a machine
 * that is busy or was stopped for a while. */
int64_t limits_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

const char *limit_name(enum limit_kind k)
{
    static const char *const names[] = {"", "InstructionLimit", "MemoryLimit", "TimeLimit", "WeakTable"};
    return names[k];
}

void limit_message(const struct workflow *w, char *buf, size_t size)
{
    char text[32];
    switch (w->limit_hit) {
    case LIMIT_INSTRUCTIONS:
        snprintf(buf, size, "the script ran more than %llu instructions without waiting",
                 (unsigned long long)w->limits.instructions);
        break;
    case LIMIT_MEMORY:
        snprintf(buf, size, "the script needs more than %s of memory",
                 units_format_size(w->limits.memory_bytes, text, sizeof text));
        break;
    case LIMIT_TIME:
        snprintf(buf, size, "the script computed for more than %s without waiting",
                 units_format_duration(w->limits.time_ms, text, sizeof text));
        break;
    case LIMIT_WEAK:
        snprintf(buf, size, "weak tables (__mode) are not available in workflows");
        break;
    default:
        snprintf(buf, size, "no limit");
    }
}

bool limits_unwinding(const struct workflow *w)
{
    return w->limit_hit != LIMIT_NONE || w->closing == CLOSING_CONTINUE;
}

/* Is there a metatable that became weak after it was set? */
static bool weak_table_found(lua_State *L)
{
    if (!lua_checkstack(L, 4))
        return false;
    bool found = false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatables_key);
    lua_pushnil(L);
    while (!found && lua_next(L, -2)) {
        lua_pop(L, 1);
        lua_pushliteral(L, "__mode");
        found = lua_rawget(L, -2) != LUA_TNIL;
        lua_pop(L, 1);
    }
    lua_settop(L, found ? -3 : -2);
    return found;
}

static void hit(lua_State *L, struct workflow *w, enum limit_kind kind)
{
    if (w->limit_hit == LIMIT_NONE)
        w->limit_hit = kind;
    w->budget = -1;
    lua_pushnil(L); /* no message: making one could need memory */
    lua_error(L);
}

static void check_clock(lua_State *L, struct workflow *w)
{
    if (limits_cpu_ns() > w->deadline_ns)
        hit(L, w, LIMIT_TIME);
}

/* With much memory one instruction can be slow (a long string is copied or compared): look more
 * often. */
static int hook_interval(const struct workflow *w)
{
    return w->heap.used < (1 << 20) ? HOOK_EVERY : w->heap.used < (8 << 20) ? HOOK_EVERY / 5 : HOOK_EVERY / 20;
}

static void hook(lua_State *L, lua_Debug *ar)
{
    struct workflow *w = workflow_of(L);
    if (!w->running)
        return;
    if (w->limit_hit != LIMIT_NONE)
        hit(L, w, w->limit_hit);
    int spent = lua_gethookcount(L), next = hook_interval(w);
    w->budget -= spent;
    if (next != spent)
        lua_sethook(L, hook, LUA_MASKCOUNT, next);
    if (w->budget < 0)
        hit(L, w, LIMIT_INSTRUCTIONS);
    if (++w->hooks % 16 == 0 || next < HOOK_EVERY)
        check_clock(L, w);
    if (w->hooks % WEAK_CHECK_EVERY == 0 && weak_table_found(L))
        hit(L, w, LIMIT_WEAK);
}

void limits_install(struct workflow *w)
{
    lua_sethook(w->L, hook, LUA_MASKCOUNT, HOOK_EVERY); /* coroutines inherit it */
}

void limits_begin(struct workflow *w, uint64_t instructions)
{
    w->budget = instructions > INT64_MAX ? INT64_MAX : (int64_t)instructions;
    w->deadline_ns = limits_cpu_ns() + w->limits.time_ms * NS_PER_MS;
    w->running = true;
}

void limits_end(struct workflow *w)
{
    w->running = false;
    if (w->limit_hit == LIMIT_NONE && w->main_fiber && weak_table_found(w->L))
        w->limit_hit = LIMIT_WEAK;
}

void limits_charge(lua_State *L, uint64_t n)
{
    struct workflow *w = workflow_of(L);
    if (!w->running)
        return;
    if (w->limit_hit != LIMIT_NONE)
        hit(L, w, w->limit_hit);
    if (n > (uint64_t)INT64_MAX)
        n = INT64_MAX;
    bool tick = n > 100000 || ((uint64_t)w->budget ^ ((uint64_t)w->budget - n)) >> 16;
    if (w->budget < 0 || (w->budget -= (int64_t)n) < 0)
        hit(L, w, LIMIT_INSTRUCTIONS);
    if (tick)
        check_clock(L, w);
}

void limits_rethrow(lua_State *L, int status)
{
    struct workflow *w = workflow_of(L);
    if (status == LUA_ERRMEM && w->limit_hit == LIMIT_NONE && w->running)
        w->limit_hit = w->budget < 0 && !w->heap.over ? LIMIT_INSTRUCTIONS : LIMIT_MEMORY;
    if (limits_unwinding(w)) {
        lua_pushnil(L);
        lua_error(L);
    }
}
