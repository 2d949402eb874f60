/* pairs, next and tostring that give the same in every state.
 *
 * The order of keys: numbers, strings by bytes, false, true, then objects by creation. Addresses
 * are never shown: an object gets a number when it is first shown. */
#include "workflow/workflow_internal.h"

#include <stdio.h>
#include <string.h>

enum rank { RANK_NUMBER, RANK_STRING, RANK_BOOLEAN, RANK_LIGHT, RANK_BUILTIN, RANK_OBJECT };

/* A key in a form that can be compared without touching Lua. */
struct sort_key {
    enum rank rank;
    bool is_int;
    union {
        lua_Integer i;
        lua_Number n;
        struct {
            const char *s;
            size_t len;
        } str;
        size_t serial;
    } u;
    lua_Integer at; /* index in the array of keys */
};

/* The block of a collectable object: where the allocator's header is. NULL: none. */
static const void *object_block(lua_State *L, int idx)
{
    switch (lua_type(L, idx)) {
    case LUA_TTABLE:
        return lua_topointer(L, idx);
    case LUA_TTHREAD:
        return lua_getextraspace(lua_tothread(L, idx));
    case LUA_TFUNCTION:
        if (lua_iscfunction(L, idx)) {
            if (!lua_getupvalue(L, idx, 1))
                return NULL; /* a bare C pointer, no object */
            lua_pop(L, 1);
        }
        return lua_topointer(L, idx);
    default:
        return NULL;
    }
}

static void make_key(lua_State *L, int idx, struct sort_key *k)
{
    switch (lua_type(L, idx)) {
    case LUA_TNUMBER:
        k->rank = RANK_NUMBER;
        k->is_int = lua_isinteger(L, idx);
        if (k->is_int)
            k->u.i = lua_tointeger(L, idx);
        else
            k->u.n = lua_tonumber(L, idx);
        return;
    case LUA_TSTRING:
        k->rank = RANK_STRING;
        k->u.str.s = lua_tolstring(L, idx, &k->u.str.len);
        return;
    case LUA_TBOOLEAN:
        k->rank = RANK_BOOLEAN;
        k->u.serial = (size_t)lua_toboolean(L, idx);
        return;
    case LUA_TLIGHTUSERDATA:
        k->rank = RANK_LIGHT; /* only ff.null */
        k->u.serial = 0;
        return;
    case LUA_TUSERDATA:
        k->rank = RANK_OBJECT;
        k->u.serial = ((const struct future *)lua_touserdata(L, idx))->serial;
        return;
    default: {
        const void *block = object_block(L, idx);
        size_t index = 0;
        if (!block)
            sandbox_function_name(lua_tocfunction(L, idx), &index);
        k->rank = block ? RANK_OBJECT : RANK_BUILTIN;
        k->u.serial = block ? heap_header(block)->serial : index;
    }
    }
}

static int compare_numbers(const struct sort_key *a, const struct sort_key *b)
{
    if (a->is_int && b->is_int)
        return a->u.i < b->u.i ? -1 : a->u.i > b->u.i;
    /* An integer and a float that are equal are the same key, so exactness beyond 2^53 is all that is at stake. */
    long double x = a->is_int ? (long double)a->u.i : (long double)a->u.n;
    long double y = b->is_int ? (long double)b->u.i : (long double)b->u.n;
    return x < y ? -1 : x > y;
}

static int compare(const void *va, const void *vb)
{
    const struct sort_key *a = va, *b = vb;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->rank == RANK_NUMBER)
        return compare_numbers(a, b);
    if (a->rank == RANK_STRING) {
        size_t n = a->u.str.len < b->u.str.len ? a->u.str.len : b->u.str.len;
        int c = memcmp(a->u.str.s, b->u.str.s, n);
        return c ? c : a->u.str.len < b->u.str.len ? -1 : a->u.str.len > b->u.str.len;
    }
    return a->u.serial < b->u.serial ? -1 : a->u.serial > b->u.serial;
}

static bool has_more(lua_State *L, int t, lua_Integer n)
{
    lua_pushinteger(L, n);
    if (!lua_next(L, t))
        return false;
    lua_pop(L, 2);
    return true;
}

/* Is it a plain sequence 1..n? Then there is nothing to sort. */
static bool is_sequence(lua_State *L, int t, lua_Integer *ret_n)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, t);
    *ret_n = n;
    if (n == 0) {
        lua_pushnil(L);
        if (!lua_next(L, t))
            return true;
        lua_pop(L, 2);
        return false;
    }
    /* Border n with nothing after it in traversal order: Lua walks the array part first, then the hash part. */
    if (lua_rawgeti(L, t, n) == LUA_TNIL) {
        lua_pop(L, 1);
        return false;
    }
    lua_pop(L, 1);
    if (has_more(L, t, n))
        return false;
    lua_Integer seen = 0;
    bool ints = true;
    lua_pushnil(L);
    while (ints && lua_next(L, t)) {
        lua_pop(L, 1);
        ints = lua_isinteger(L, -1) && ++seen <= n && lua_tointeger(L, -1) == seen;
    }
    if (!ints)
        lua_pop(L, 1);
    return ints && seen == n;
}

lua_Integer order_keys(lua_State *L, int t)
{
    t = lua_absindex(L, t);
    luaL_checkstack(L, 8, NULL);
    lua_Integer n = 0;
    lua_newtable(L);
    int found = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, t)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_rawseti(L, found, ++n);
    }
    limits_charge(L, (uint64_t)n * 4);
    if (n < 2)
        return n;
    struct sort_key *keys = lua_newuserdatauv(L, (size_t)n * sizeof *keys, 0);
    for (lua_Integer i = 0; i < n; i++) {
        lua_rawgeti(L, found, i + 1);
        make_key(L, -1, &keys[i]); /* the table keeps strings alive; nothing collects until the sort is done */
        keys[i].at = i + 1;
        lua_pop(L, 1);
    }
    qsort(keys, (size_t)n, sizeof *keys, compare);
    lua_createtable(L, (int)(n < 1 << 20 ? n : 1 << 20), 0);
    for (lua_Integer i = 0; i < n; i++) {
        lua_rawgeti(L, found, keys[i].at);
        lua_rawseti(L, -2, i + 1);
    }
    lua_replace(L, found);
    lua_settop(L, found);
    return n;
}

/* The iterator of a snapshot. Upvalues: the table, its keys (nil: a sequence), how many, where we
 * are. */
static int step(lua_State *L)
{
    lua_Integer n = lua_tointeger(L, lua_upvalueindex(3));
    lua_Integer i = lua_tointeger(L, lua_upvalueindex(4));
    bool sequence = lua_isnil(L, lua_upvalueindex(2));
    while (i < n) {
        i++;
        if (sequence)
            lua_pushinteger(L, i);
        else
            lua_rawgeti(L, lua_upvalueindex(2), i);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) {
            lua_pushinteger(L, i);
            lua_replace(L, lua_upvalueindex(4));
            return 2;
        }
        lua_pop(L, 2); /* removed meanwhile */
        limits_charge(L, 1);
    }
    lua_pushinteger(L, i);
    lua_replace(L, lua_upvalueindex(4));
    lua_pushnil(L);
    return 1;
}

int order_pairs(lua_State *L)
{
    luaL_checkany(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_call(L, 1, 3);
        return 3;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    lua_Integer n;
    if (is_sequence(L, 1, &n)) {
        limits_charge(L, (uint64_t)n);
        lua_pushnil(L);
    } else {
        n = order_keys(L, 1);
    }
    lua_pushinteger(L, n);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, step, 4);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

/* next(t, k): the smallest key after k. Costs a walk over the table each time; pairs() does not. */
int order_next(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    struct sort_key after, best = {0}, k;
    bool all = lua_isnil(L, 2), found = false;
    if (!all)
        make_key(L, 2, &after);
    uint64_t n = 0;
    lua_pushnil(L); /* 3: the best key */
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        n++;
        make_key(L, -1, &k);
        if ((all || compare(&k, &after) > 0) && (!found || compare(&k, &best) < 0)) {
            best = k;
            found = true;
            lua_pushvalue(L, -1);
            lua_replace(L, 3);
        }
    }
    limits_charge(L, n);
    if (!found) {
        lua_pushnil(L);
        return 1;
    }
    lua_settop(L, 3);
    lua_pushvalue(L, 3);
    lua_rawget(L, 1);
    return 2;
}

/* "table: 0x00000001": numbers in the order of first showing. A query's numbers do not count. */
static void push_object(lua_State *L, int idx, const char *kind, uint32_t *shown, uint32_t serial)
{
    struct workflow *w = workflow_of(L);
    if (!*shown && w->in_query) {
        lua_pushfstring(L, "%s: query-%d", kind, (int)serial);
        return;
    }
    if (!*shown)
        *shown = ++w->shown;
    char text[16];
    snprintf(text, sizeof text, "0x%08x", (unsigned)*shown);
    lua_pushfstring(L, "%s: %s", kind, text);
}

const char *order_tolstring(lua_State *L, int idx, bool metamethods, size_t *len)
{
    idx = lua_absindex(L, idx);
    luaL_checkstack(L, 6, NULL);
    if (metamethods && luaL_getmetafield(L, idx, "__tostring") != LUA_TNIL) {
        lua_pushvalue(L, idx);
        lua_call(L, 1, 1);
        if (!lua_isstring(L, -1))
            luaL_error(L, "'__tostring' must return a string");
        return lua_tolstring(L, -1, len);
    }
    const void *block = object_block(L, idx);
    switch (lua_type(L, idx)) {
    case LUA_TNIL:
    case LUA_TBOOLEAN:
    case LUA_TNUMBER:
    case LUA_TSTRING:
        return luaL_tolstring(L, idx, len);
    case LUA_TLIGHTUSERDATA:
        lua_pushliteral(L, "null");
        break;
    case LUA_TUSERDATA:
        push_object(L, idx, "future", &((struct future *)lua_touserdata(L, idx))->shown,
                    ((struct future *)lua_touserdata(L, idx))->serial);
        break;
    case LUA_TFUNCTION:
        if (!block) {
            const char *name = sandbox_function_name(lua_tocfunction(L, idx), NULL);
            lua_pushfstring(L, "function: builtin %s", name ? name : "?");
            break;
        }
        push_object(L, idx, "function", &heap_header(block)->shown, heap_header(block)->serial);
        break;
    default:
        push_object(L, idx, lua_typename(L, lua_type(L, idx)), &heap_header(block)->shown,
                    heap_header(block)->serial);
    }
    return lua_tolstring(L, -1, len);
}

int order_tostring(lua_State *L)
{
    luaL_checkany(L, 1);
    order_tolstring(L, 1, true, NULL);
    return 1;
}
