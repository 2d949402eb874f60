/* JSON text <-> Lua values.
 *
 * An array is a table that is marked (ff.array, or decoded from an array) or whose keys are 1..n;
 * an empty table that is not marked is an object. JSON null is ff.null, a light userdata. Objects
 * are written with sorted keys. */
#include "workflow/workflow_internal.h"

#include "codec/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char value_array_key;

/* Where in the value we are, for messages. */
struct writer {
    lua_State *L;
    struct strbuf *out;
    const char *what;
    size_t max;
    int depth;
    struct {
        const char *key; /* NULL: an index */
        lua_Integer index;
    } path[VALUE_DEPTH_MAX + 1];
};

__attribute__((noreturn)) static void refuse(struct writer *w, const char *why)
{
    lua_State *L = w->L;
    luaL_Buffer b;
    lua_settop(L, lua_gettop(L));
    luaL_checkstack(L, 8, NULL);
    luaL_buffinit(L, &b);
    luaL_addstring(&b, w->what);
    for (int i = 0; i < w->depth; i++) {
        char part[96];
        if (w->path[i].key)
            snprintf(part, sizeof part, ".%.80s", w->path[i].key);
        else
            snprintf(part, sizeof part, "[%lld]", (long long)w->path[i].index);
        luaL_addstring(&b, part);
        if (i == 12 && w->depth > 16) {
            luaL_addstring(&b, "...");
            break;
        }
    }
    luaL_addstring(&b, ": ");
    luaL_addstring(&b, why);
    luaL_pushresult(&b);
    luaL_error(L, "%s", lua_tostring(L, -1));
    __builtin_unreachable();
}

void value_check_text(lua_State *L, const char *s, size_t n, const char *what)
{
    if (!utf8_valid(s, n))
        luaL_error(L, "%s: a string that is not UTF-8 text", what);
}

static void write_string(struct writer *w, const char *s, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    if (!utf8_valid(s, n))
        refuse(w, "a string that is not UTF-8 text");
    strbuf_putc(w->out, '"');
    size_t done = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        strbuf_append(w->out, s + done, i - done);
        done = i + 1;
        const char *known = c ? strchr("\"\"\\\\\nn\tt\rr\bb\ff", c) : NULL;
        if (known) {
            strbuf_putc(w->out, '\\');
            strbuf_putc(w->out, known[1]);
        } else {
            char u[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            strbuf_append(w->out, u, sizeof u);
        }
    }
    strbuf_append(w->out, s + done, n - done);
    strbuf_putc(w->out, '"');
}

static void write_number(struct writer *w, int idx)
{
    char text[40];
    if (lua_isinteger(w->L, idx)) {
        snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(w->L, idx));
    } else {
        double d = lua_tonumber(w->L, idx);
        if (!isfinite(d))
            refuse(w, isnan(d) ? "NaN has no place in JSON" : "infinity has no place in JSON");
        for (int digits = 15; digits <= 17; digits++) { /* the shortest that reads back the same */
            snprintf(text, sizeof text, "%.*g", digits, d);
            if (strtod(text, NULL) == d)
                break;
        }
        if (!strpbrk(text, ".e"))
            strcat(text, ".0");
    }
    strbuf_puts(w->out, text);
}

static void write_value(struct writer *w, int idx);

static void write_array(struct writer *w, int idx, lua_Integer n)
{
    lua_State *L = w->L;
    strbuf_putc(w->out, '[');
    for (lua_Integer i = 1; i <= n; i++) {
        if (i > 1)
            strbuf_putc(w->out, ',');
        w->path[w->depth].key = NULL;
        w->path[w->depth].index = i;
        w->depth++;
        lua_rawgeti(L, idx, i);
        write_value(w, lua_gettop(L));
        lua_pop(L, 1);
        w->depth--;
    }
    strbuf_putc(w->out, ']');
}

static void write_object(struct writer *w, int idx)
{
    lua_State *L = w->L;
    lua_Integer n = order_keys(L, idx);
    int keys = lua_gettop(L);
    strbuf_putc(w->out, '{');
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, keys, i);
        if (lua_type(L, -1) != LUA_TSTRING) {
            char why[80];
            snprintf(why, sizeof why, "a key of type %s beside names: JSON has only names", luaL_typename(L, -1));
            refuse(w, why);
        }
        size_t len;
        const char *key = lua_tolstring(L, -1, &len);
        if (i > 1)
            strbuf_putc(w->out, ',');
        write_string(w, key, len);
        strbuf_putc(w->out, ':');
        w->path[w->depth].key = key;
        w->depth++;
        lua_rawget(L, idx);
        write_value(w, lua_gettop(L));
        lua_pop(L, 1);
        w->depth--;
    }
    lua_pop(L, 1);
    strbuf_putc(w->out, '}');
}

static bool is_marked_array(lua_State *L, int idx)
{
    if (!lua_getmetatable(L, idx))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &value_array_key);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* The number of elements if the keys are exactly 1..n, else -1. */
static lua_Integer sequence_length(lua_State *L, int idx)
{
    lua_Integer count = 0, max = 0;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1) {
            lua_pop(L, 1);
            return -1;
        }
        if (lua_tointeger(L, -1) > max)
            max = lua_tointeger(L, -1);
        count++;
    }
    return count == max ? count : -1;
}

static void write_table(struct writer *w, int idx)
{
    lua_State *L = w->L;
    if (w->depth >= VALUE_DEPTH_MAX)
        refuse(w, "nested too deep (is it inside itself?)");
    luaL_checkstack(L, 16, NULL);
    lua_Integer n = sequence_length(L, idx);
    if (is_marked_array(L, idx)) {
        if (n < 0)
            refuse(w, "an array whose keys are not 1, 2, 3...");
        write_array(w, idx, n);
    } else if (n > 0) {
        write_array(w, idx, n);
    } else {
        write_object(w, idx);
    }
}

static void write_value(struct writer *w, int idx)
{
    limits_charge(w->L, 1);
    if (w->out->len > w->max)
        refuse(w, "too large: payloads are at most 2 MB; put bulk into the store");
    switch (lua_type(w->L, idx)) {
    case LUA_TNIL:
        strbuf_puts(w->out, "null");
        return;
    case LUA_TBOOLEAN:
        strbuf_puts(w->out, lua_toboolean(w->L, idx) ? "true" : "false");
        return;
    case LUA_TNUMBER:
        write_number(w, idx);
        return;
    case LUA_TSTRING: {
        size_t n;
        const char *s = lua_tolstring(w->L, idx, &n);
        if (n > w->max)
            refuse(w, "too large: payloads are at most 2 MB; put bulk into the store");
        write_string(w, s, n);
        return;
    }
    case LUA_TTABLE:
        write_table(w, idx);
        return;
    case LUA_TLIGHTUSERDATA:
        strbuf_puts(w->out, "null");
        return;
    default: {
        char why[80];
        snprintf(why, sizeof why, "a %s has no place in JSON", luaL_typename(w->L, idx));
        refuse(w, why);
    }
    }
}

void value_write(lua_State *L, int idx, struct strbuf *out, const char *what, size_t max)
{
    struct writer w = {.L = L, .out = out, .what = what, .max = max};
    idx = lua_absindex(L, idx);
    strbuf_clear(out);
    write_value(&w, idx);
    if (out->failed) {
        workflow_of(L)->heap.failed = true;
        luaL_error(L, "out of memory");
    }
    if (out->len > max)
        refuse(&w, "too large: payloads are at most 2 MB; put bulk into the store");
}

static void push(lua_State *L, const json_t *j, int depth)
{
    if (depth > VALUE_DEPTH_MAX)
        luaL_error(L, "JSON nested deeper than %d", VALUE_DEPTH_MAX);
    luaL_checkstack(L, 6, NULL);
    switch (json_typeof(j)) {
    case JSON_NULL:
        lua_pushlightuserdata(L, NULL);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(L, json_is_true(j));
        return;
    case JSON_INTEGER:
        lua_pushinteger(L, json_integer_value(j));
        return;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(j));
        return;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(j), json_string_length(j));
        return;
    case JSON_ARRAY: {
        size_t n = json_array_size(j);
        lua_createtable(L, (int)(n < 1 << 20 ? n : 1 << 20), 0);
        for (size_t i = 0; i < n; i++) {
            push(L, json_array_get(j, i), depth + 1);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        lua_rawgetp(L, LUA_REGISTRYINDEX, &value_array_key);
        lua_setmetatable(L, -2);
        return;
    }
    case JSON_OBJECT: {
        const char *key;
        size_t len;
        json_t *v;
        lua_createtable(L, 0, (int)(json_object_size(j) < 1 << 20 ? json_object_size(j) : 1 << 20));
        json_object_keylen_foreach((json_t *)j, key, len, v) {
            lua_pushlstring(L, key, len);
            push(L, v, depth + 1);
            lua_rawset(L, -3);
        }
        return;
    }
    }
}

void value_push(lua_State *L, const json_t *j)
{
    push(L, j, 0);
}

int value_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_getmetatable(L, 1) && !is_marked_array(L, 1))
        return luaL_error(L, "ff.array: the table has a metatable of its own");
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &value_array_key);
    lua_setmetatable(L, 1);
    return 1;
}

void value_open(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "array");
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &value_array_key);
}
