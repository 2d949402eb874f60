/* The parts of the string library that need a bound or would show an address. */
#include "workflow/workflow_internal.h"

#include <string.h>

/* A function of the standard library whose time grows with its strings. */
int strlib_charged(lua_State *L)
{
    uint64_t bytes = 0;
    int n = lua_gettop(L);
    for (int i = 1; i <= n; i++)
        if (lua_type(L, i) == LUA_TSTRING)
            bytes += lua_rawlen(L, i);
    limits_charge(L, bytes / 16);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

int strlib_rep(lua_State *L)
{
    size_t len;
    luaL_checklstring(L, 1, &len);
    lua_Integer n = luaL_checkinteger(L, 2);
    if (n > 0 && (len > 0 || lua_rawlen(L, 3) > 0))
        limits_charge(L, (uint64_t)n / 4);
    return sandbox_string_rep(L); /* the allocator bounds the result */
}

/* Turns what %s would show by address into text, and refuses %p. */
int strlib_format(lua_State *L)
{
    int top = lua_gettop(L), arg = 1;
    const char *p = luaL_checkstring(L, 1), *end = p + lua_rawlen(L, 1);
    limits_charge(L, (uint64_t)(end - p) / 4);
    while (p < end) {
        if (*p++ != '%')
            continue;
        if (p < end && *p == '%') {
            p++;
            continue;
        }
        while (p < end && strchr("-+#0 .123456789", *p) && *p)
            p++;
        if (p == end)
            break;
        arg++;
        if (*p == 'p')
            return luaL_error(L, "'%%p' is not available in workflows: addresses differ from run to run");
        if (*p == 's' && arg <= top && lua_type(L, arg) != LUA_TSTRING) {
            order_tolstring(L, arg, true, NULL);
            lua_replace(L, arg);
            lua_settop(L, top);
        }
        p++;
    }
    return sandbox_string_format(L);
}
