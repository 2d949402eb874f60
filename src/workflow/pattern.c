/* Lua patterns (Lua 5.4 manual, 6.4.1) with a bound: the standard library's matcher can run for
 * ever inside one call, where no count hook fires; this one pays for every step from the script's
 * budget. */
#include "workflow/workflow_internal.h"

#include <ctype.h>
#include <string.h>

#define CAPTURES_MAX 32
#define DEPTH_MAX 200
#define FLUSH_EVERY 4096 /* steps between two looks at the budget */

enum { CAPTURE_OPEN = -1, CAPTURE_POSITION = -2 };

struct matcher {
    lua_State *L;
    const char *subject, *end, *pattern_end;
    int depth, level;
    unsigned steps;
    struct {
        const char *start;
        ptrdiff_t len; /* or CAPTURE_x */
    } capture[CAPTURES_MAX];
};

static const char *match_here(struct matcher *m, const char *s, const char *p);

static void pay(struct matcher *m)
{
    if (++m->steps == FLUSH_EVERY) {
        m->steps = 0;
        limits_charge(m->L, FLUSH_EVERY);
    }
}

static bool in_class(int c, int letter)
{
    bool in;
    switch (tolower(letter)) {
    case 'a': in = isalpha(c); break;
    case 'c': in = iscntrl(c); break;
    case 'd': in = isdigit(c); break;
    case 'g': in = isgraph(c); break;
    case 'l': in = islower(c); break;
    case 'p': in = ispunct(c); break;
    case 's': in = isspace(c); break;
    case 'u': in = isupper(c); break;
    case 'w': in = isalnum(c); break;
    case 'x': in = isxdigit(c); break;
    default: return letter == c; /* an escaped character */
    }
    return isupper(letter) ? !in : in;
}

/* The end of the single-character item at p. */
static const char *item_end(struct matcher *m, const char *p)
{
    char c = *p++;
    if (c == '%') {
        if (p == m->pattern_end)
            luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (c != '[')
        return p;
    if (p < m->pattern_end && *p == '^')
        p++;
    do { /* the first character is never the end: "[]]" */
        if (p == m->pattern_end)
            luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p++ == '%') {
            if (p == m->pattern_end)
                luaL_error(m->L, "malformed pattern (missing ']')");
            p++;
        }
    } while (p == m->pattern_end || *p != ']');
    return p + 1;
}

/* Is c in the set [p, last], where *p is '[' and *last is ']'? */
static bool in_set(int c, const char *p, const char *last)
{
    bool yes = true;
    if (*++p == '^') {
        yes = false;
        p++;
    }
    for (; p < last; p++) {
        if (*p == '%') {
            p++;
            if (in_class(c, (unsigned char)*p))
                return yes;
        } else if (p + 2 < last && p[1] == '-') {
            if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
                return yes;
            p += 2;
        } else if ((unsigned char)*p == c) {
            return yes;
        }
    }
    return !yes;
}

static bool match_single(struct matcher *m, const char *s, const char *p, const char *next)
{
    pay(m);
    if (s >= m->end)
        return false;
    int c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return in_class(c, (unsigned char)p[1]);
    case '[':
        return in_set(c, p, next - 1);
    default:
        return (unsigned char)*p == c;
    }
}

static const char *match_balance(struct matcher *m, const char *s, const char *p)
{
    if (m->pattern_end - p < 2)
        luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (s >= m->end || *s != p[0])
        return NULL;
    int open = 1;
    for (const char *q = s + 1; q < m->end; q++) {
        pay(m);
        if (*q == p[1]) {
            if (--open == 0)
                return q + 1;
        } else if (*q == p[0]) {
            open++;
        }
    }
    return NULL;
}

static const char *expand_most(struct matcher *m, const char *s, const char *p, const char *next)
{
    ptrdiff_t n = 0;
    while (match_single(m, s + n, p, next))
        n++;
    for (; n >= 0; n--) {
        const char *r = match_here(m, s + n, next + 1);
        if (r)
            return r;
    }
    return NULL;
}

static const char *expand_least(struct matcher *m, const char *s, const char *p, const char *next)
{
    for (;;) {
        const char *r = match_here(m, s, next + 1);
        if (r)
            return r;
        if (!match_single(m, s, p, next))
            return NULL;
        s++;
    }
}

static const char *open_capture(struct matcher *m, const char *s, const char *p, ptrdiff_t what)
{
    if (m->level == CAPTURES_MAX)
        luaL_error(m->L, "too many captures");
    m->capture[m->level].start = s;
    m->capture[m->level].len = what;
    m->level++;
    const char *r = match_here(m, s, p);
    if (!r)
        m->level--;
    return r;
}

static const char *close_capture(struct matcher *m, const char *s, const char *p)
{
    int l = m->level - 1;
    while (l >= 0 && m->capture[l].len != CAPTURE_OPEN)
        l--;
    if (l < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->capture[l].len = s - m->capture[l].start;
    const char *r = match_here(m, s, p);
    if (!r)
        m->capture[l].len = CAPTURE_OPEN;
    return r;
}

static const char *match_backreference(struct matcher *m, const char *s, int digit)
{
    int l = digit - '1';
    if (l < 0 || l >= m->level || m->capture[l].len == CAPTURE_OPEN)
        luaL_error(m->L, "invalid capture index %%%d", l + 1);
    size_t n = m->capture[l].len < 0 ? 0 : (size_t)m->capture[l].len;
    limits_charge(m->L, n / 16);
    return (size_t)(m->end - s) >= n && memcmp(m->capture[l].start, s, n) == 0 ? s + n : NULL;
}

static const char *match_frontier(struct matcher *m, const char *s, const char *p)
{
    if (p >= m->pattern_end || *p != '[')
        luaL_error(m->L, "missing '[' after '%%f' in pattern");
    const char *next = item_end(m, p);
    int before = s == m->subject ? 0 : (unsigned char)s[-1], here = s == m->end ? 0 : (unsigned char)*s;
    return !in_set(before, p, next - 1) && in_set(here, p, next - 1) ? next : NULL;
}

/* Matches the rest of the pattern at s; gives where the match ends. */
static const char *match_rest(struct matcher *m, const char *s, const char *p)
{
    while (p < m->pattern_end) {
        pay(m);
        if (*p == '(') {
            bool position = p + 1 < m->pattern_end && p[1] == ')';
            return open_capture(m, s, p + 1 + position, position ? CAPTURE_POSITION : CAPTURE_OPEN);
        }
        if (*p == ')')
            return close_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->pattern_end)
            return s == m->end ? s : NULL;
        if (*p == '%' && p + 1 < m->pattern_end && p[1] == 'b') {
            if (!(s = match_balance(m, s, p + 2)))
                return NULL;
            p += 4;
            continue;
        }
        if (*p == '%' && p + 1 < m->pattern_end && p[1] == 'f') {
            if (!(p = match_frontier(m, s, p + 2)))
                return NULL;
            continue;
        }
        if (*p == '%' && p + 1 < m->pattern_end && isdigit((unsigned char)p[1])) {
            if (!(s = match_backreference(m, s, p[1])))
                return NULL;
            p += 2;
            continue;
        }
        const char *next = item_end(m, p), *r;
        switch (next < m->pattern_end ? *next : 0) {
        case '?':
            if (match_single(m, s, p, next) && (r = match_here(m, s + 1, next + 1)))
                return r;
            p = next + 1;
            break;
        case '+':
            return match_single(m, s, p, next) ? expand_most(m, s + 1, p, next) : NULL;
        case '*':
            return expand_most(m, s, p, next);
        case '-':
            return expand_least(m, s, p, next);
        default:
            if (!match_single(m, s, p, next))
                return NULL;
            s++;
            p = next;
        }
    }
    return s;
}

static const char *match_here(struct matcher *m, const char *s, const char *p)
{
    if (++m->depth > DEPTH_MAX)
        luaL_error(m->L, "pattern too complex");
    const char *r = match_rest(m, s, p);
    m->depth--;
    return r;
}

static void prepare(struct matcher *m, lua_State *L, const char *s, size_t len, const char *p, size_t plen)
{
    m->L = L;
    m->subject = s;
    m->end = s + len;
    m->pattern_end = p + plen;
    m->steps = 0;
}

static const char *match_at(struct matcher *m, const char *s, const char *p)
{
    m->level = m->depth = 0;
    return match_here(m, s, p);
}

static void push_capture(struct matcher *m, int i, const char *s, const char *e)
{
    if (i >= m->level) {
        if (i != 0)
            luaL_error(m->L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->L, s, (size_t)(e - s));
    } else if (m->capture[i].len == CAPTURE_POSITION) {
        lua_pushinteger(m->L, m->capture[i].start - m->subject + 1);
    } else if (m->capture[i].len == CAPTURE_OPEN) {
        luaL_error(m->L, "unfinished capture");
    } else {
        lua_pushlstring(m->L, m->capture[i].start, (size_t)m->capture[i].len);
    }
}

/* All captures, or the whole match if there are none and it is wanted (s is not NULL). */
static int push_captures(struct matcher *m, const char *s, const char *e)
{
    int n = m->level == 0 && s ? 1 : m->level;
    luaL_checkstack(m->L, n, "too many captures");
    for (int i = 0; i < n; i++)
        push_capture(m, i, s, e);
    return n;
}

/* The 0-based start that an init argument means; may be len + 1, which is past the end. */
static size_t start_of(lua_State *L, int arg, size_t len)
{
    lua_Integer i = luaL_optinteger(L, arg, 1);
    if (i > 0)
        return (lua_Unsigned)i - 1 > len ? len + 1 : (size_t)i - 1;
    if (i == 0 || i < -(lua_Integer)len)
        return 0;
    return len - (size_t)-i;
}

static bool has_specials(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] && strchr("^$*+?.([%-", p[i]))
            return true;
    return false;
}

static int find_or_match(lua_State *L, bool find)
{
    size_t len, plen;
    const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &plen);
    size_t init = start_of(L, 3, len);
    if (init > len) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || !has_specials(p, plen))) {
        limits_charge(L, (len - init) / 8);
        const char *at = memmem(s + init, len - init, p, plen);
        if (!at) {
            lua_pushnil(L);
            return 1;
        }
        lua_pushinteger(L, at - s + 1);
        lua_pushinteger(L, at - s + (lua_Integer)plen);
        return 2;
    }
    struct matcher m;
    bool anchor = plen > 0 && *p == '^';
    prepare(&m, L, s, len, p, plen);
    for (const char *at = s + init; at <= m.end; at++) {
        const char *e = match_at(&m, at, p + anchor);
        if (e && find) {
            lua_pushinteger(L, at - s + 1);
            lua_pushinteger(L, e - s);
            return push_captures(&m, NULL, NULL) + 2;
        }
        if (e)
            return push_captures(&m, at, e);
        if (anchor)
            break;
    }
    lua_pushnil(L);
    return 1;
}

int pattern_find(lua_State *L)
{
    return find_or_match(L, true);
}

int pattern_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* Upvalues: subject, pattern, where to go on (0-based), where the last match ended (-1: none yet).
 * */
static int gmatch_step(lua_State *L)
{
    size_t len, plen;
    const char *s = lua_tolstring(L, lua_upvalueindex(1), &len), *p = lua_tolstring(L, lua_upvalueindex(2), &plen);
    lua_Integer from = lua_tointeger(L, lua_upvalueindex(3)), last = lua_tointeger(L, lua_upvalueindex(4));
    struct matcher m;
    prepare(&m, L, s, len, p, plen);
    for (const char *at = s + from; at <= m.end; at++) {
        const char *e = match_at(&m, at, p);
        if (e && e - s != last) {
            lua_pushinteger(L, e - s);
            lua_copy(L, -1, lua_upvalueindex(3));
            lua_replace(L, lua_upvalueindex(4));
            return push_captures(&m, at, e);
        }
    }
    return 0;
}

int pattern_gmatch(lua_State *L)
{
    size_t len;
    luaL_checklstring(L, 1, &len);
    luaL_checkstring(L, 2);
    lua_Integer init = (lua_Integer)start_of(L, 3, len);
    lua_settop(L, 2);
    lua_pushinteger(L, init);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_step, 4);
    return 1;
}

/* Appends a replacement string, with %0 to %9 and %% in it. */
static void add_template(struct matcher *m, luaL_Buffer *b, const char *s, const char *e)
{
    size_t n;
    const char *r = lua_tolstring(m->L, 3, &n), *end = r + n;
    while (r < end) {
        const char *q = memchr(r, '%', (size_t)(end - r));
        luaL_addlstring(b, r, (size_t)((q ? q : end) - r));
        if (!q)
            return;
        r = q + 1;
        if (r == end || (*r != '%' && !isdigit((unsigned char)*r)))
            luaL_error(m->L, "invalid use of '%%' in replacement string");
        if (*r == '%') {
            luaL_addchar(b, '%');
        } else if (*r == '0') {
            luaL_addlstring(b, s, (size_t)(e - s));
        } else {
            push_capture(m, *r - '1', s, e);
            luaL_tolstring(m->L, -1, NULL); /* a position is a number */
            lua_remove(m->L, -2);
            luaL_addvalue(b);
        }
        r++;
    }
}

/* Appends what the match [s, e) becomes. true: it was changed. */
static bool add_replacement(struct matcher *m, luaL_Buffer *b, const char *s, const char *e, int type)
{
    lua_State *L = m->L;
    switch (type) {
    case LUA_TFUNCTION: {
        lua_pushvalue(L, 3);
        int n = push_captures(m, s, e);
        lua_call(L, n, 1);
        break;
    }
    case LUA_TTABLE:
        push_capture(m, 0, s, e);
        lua_gettable(L, 3);
        break;
    default:
        add_template(m, b, s, e);
        return true;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, s, (size_t)(e - s));
        return false;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(b);
    return true;
}

int pattern_gsub(lua_State *L)
{
    size_t len, plen;
    const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &plen);
    int type = lua_type(L, 3);
    lua_Integer max = luaL_optinteger(L, 4, (lua_Integer)len + 1), n = 0;
    luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                     "string/function/table");
    bool anchor = plen > 0 && *p == '^';
    const char *at = s, *last = NULL;
    struct matcher m;
    luaL_Buffer b;
    prepare(&m, L, s, len, p, plen);
    luaL_buffinit(L, &b);
    while (n < max) {
        const char *e = match_at(&m, at, p + anchor);
        if (e && e != last) {
            n++;
            add_replacement(&m, &b, at, e, type);
            at = last = e;
        } else if (at < m.end) {
            luaL_addchar(&b, *at++);
        } else {
            break;
        }
        if (anchor)
            break;
    }
    limits_charge(L, len / 16);
    luaL_addlstring(&b, at, (size_t)(m.end - at));
    luaL_pushresult(&b);
    lua_pushinteger(L, n);
    return 2;
}
