/* The table library, bounded: each element touched is paid for from the script's budget, lengths
 * are asked for once, and sort is a merge sort: stable, safe with any comparator, and always with
 * the same comparisons. */
#include "workflow/workflow_internal.h"

#include <string.h>

static lua_Integer length(lua_State *L, int idx)
{
    luaL_checktype(L, idx, LUA_TTABLE);
    return luaL_len(L, idx);
}

int tablib_concat(lua_State *L)
{
    lua_Integer n = length(L, 1);
    size_t sep_len;
    const char *sep = luaL_optlstring(L, 2, "", &sep_len);
    lua_Integer from = luaL_optinteger(L, 3, 1), to = luaL_optinteger(L, 4, n);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (lua_Integer i = from; i <= to; i++) {
        limits_charge(L, 1);
        lua_geti(L, 1, i);
        if (!lua_isstring(L, -1))
            return luaL_error(L, "invalid value (at index %I) in table for 'concat'", (LUAI_UACINT)i);
        luaL_addvalue(&b);
        if (i == to)
            break; /* to may be the largest integer */
        luaL_addlstring(&b, sep, sep_len);
    }
    luaL_pushresult(&b);
    return 1;
}

int tablib_insert(lua_State *L)
{
    lua_Integer n = length(L, 1);
    switch (lua_gettop(L)) {
    case 2:
        lua_seti(L, 1, (lua_Integer)((lua_Unsigned)n + 1));
        return 0;
    case 3: {
        lua_Integer pos = luaL_checkinteger(L, 2);
        luaL_argcheck(L, (lua_Unsigned)pos - 1u < (lua_Unsigned)n + 1u, 2, "position out of bounds");
        for (lua_Integer i = n; i >= pos; i--) {
            limits_charge(L, 1);
            lua_geti(L, 1, i);
            lua_seti(L, 1, (lua_Integer)((lua_Unsigned)i + 1));
        }
        lua_seti(L, 1, pos);
        return 0;
    }
    default:
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
}

int tablib_remove(lua_State *L)
{
    lua_Integer n = length(L, 1), pos = luaL_optinteger(L, 2, n);
    if (!lua_isnoneornil(L, 2))
        luaL_argcheck(L, (lua_Unsigned)n + 1u - (lua_Unsigned)pos <= (lua_Unsigned)n || (n == 0 && pos == 0), 2,
                      "position out of bounds");
    lua_geti(L, 1, pos);
    for (; pos < n; pos++) {
        limits_charge(L, 1);
        lua_geti(L, 1, pos + 1);
        lua_seti(L, 1, pos);
    }
    lua_pushnil(L);
    lua_seti(L, 1, pos);
    return 1;
}

int tablib_move(lua_State *L)
{
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3), at = luaL_checkinteger(L, 4);
    int dest = lua_isnoneornil(L, 5) ? 1 : 5;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, dest, LUA_TTABLE);
    if (to >= from) {
        luaL_argcheck(L, from > 0 || to < LUA_MAXINTEGER + from, 3, "too many elements to move");
        lua_Integer n = to - from + 1;
        luaL_argcheck(L, at <= LUA_MAXINTEGER - n + 1, 4, "destination wrap around");
        bool forward = at > to || at <= from || (dest != 1 && !lua_rawequal(L, 1, dest));
        for (lua_Integer k = 0; k < n; k++) {
            lua_Integer i = forward ? k : n - 1 - k;
            limits_charge(L, 1);
            lua_geti(L, 1, from + i);
            lua_seti(L, dest, at + i);
        }
    }
    lua_pushvalue(L, dest);
    return 1;
}

int tablib_pack(lua_State *L)
{
    int n = lua_gettop(L);
    limits_charge(L, (uint64_t)n);
    lua_createtable(L, n, 1);
    lua_insert(L, 1);
    for (int i = n; i >= 1; i--)
        lua_rawseti(L, 1, i);
    lua_pushinteger(L, n);
    lua_setfield(L, 1, "n");
    return 1;
}

int tablib_unpack(lua_State *L)
{
    lua_Integer from = luaL_optinteger(L, 2, 1);
    lua_Integer to = lua_isnoneornil(L, 3) ? luaL_len(L, 1) : luaL_checkinteger(L, 3);
    if (from > to)
        return 0;
    lua_Unsigned n = (lua_Unsigned)to - (lua_Unsigned)from;
    if (n >= 1000000 || !lua_checkstack(L, (int)n + 1))
        return luaL_error(L, "too many results to unpack");
    limits_charge(L, n + 1);
    for (lua_Unsigned i = 0; i <= n; i++)
        lua_geti(L, 1, (lua_Integer)((lua_Unsigned)from + i));
    return (int)n + 1;
}

/* Is the value at index a to come before that at b? Index 2 is the comparator or nil. */
static bool before(lua_State *L, int a, int b)
{
    limits_charge(L, 2);
    if (lua_isnil(L, 2))
        return lua_compare(L, a, b, LUA_OPLT);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, a < 0 ? a - 1 : a);
    lua_pushvalue(L, b < 0 ? b - 2 : b);
    lua_call(L, 2, 1);
    bool r = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return r;
}

/* Merges the sorted runs [low, mid) and [mid, high) of the table at index from into that at index
 * to. */
static void merge(lua_State *L, int from, int to, lua_Integer low, lua_Integer mid, lua_Integer high)
{
    lua_Integer a = low, b = mid;
    for (lua_Integer k = low; k < high; k++) {
        bool take_b = false;
        if (a < mid && b < high) {
            lua_rawgeti(L, from, b);
            lua_rawgeti(L, from, a);
            take_b = before(L, -2, -1);
            lua_pop(L, 2);
        }
        lua_rawgeti(L, from, take_b || a >= mid ? b++ : a++);
        lua_rawseti(L, to, k);
    }
}

int tablib_sort(lua_State *L)
{
    lua_Integer n = length(L, 1);
    if (n < 2)
        return 0;
    luaL_argcheck(L, n < 1 << 30, 1, "array too big");
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_createtable(L, 0, 0);
    lua_createtable(L, 0, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        limits_charge(L, 1);
        lua_geti(L, 1, i);
        lua_rawseti(L, 3, i);
    }
    int from = 3, to = 4;
    for (lua_Integer width = 1; width < n; width *= 2) {
        for (lua_Integer low = 1; low <= n; low += 2 * width) {
            lua_Integer mid = low + width > n + 1 ? n + 1 : low + width;
            lua_Integer high = low + 2 * width > n + 1 ? n + 1 : low + 2 * width;
            merge(L, from, to, low, mid, high);
        }
        int t = from;
        from = to;
        to = t;
    }
    for (lua_Integer i = 1; i <= n; i++) {
        limits_charge(L, 1);
        lua_rawgeti(L, from, i);
        lua_seti(L, 1, i);
    }
    return 0;
}
