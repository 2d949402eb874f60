/* JSON text straight into Lua values (RFC 8259), without a tree in between: payloads of history are
 * read this way, and reading them is most of what a replay costs. */
#include "workflow/workflow_internal.h"

#include "codec/utf8.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_MAX 300 /* characters */

struct json_reader {
    lua_State *L;
    const char *p, *start, *end;
    const char *why; /* what is wrong at p; NULL: nothing yet */
    struct strbuf *unescaped;
    int depth;
};

static bool read_value(struct json_reader *r);

static bool wrong(struct json_reader *r, const char *why)
{
    if (!r->why)
        r->why = why;
    return false;
}

static void skip_space(struct json_reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
        r->p++;
}

static bool take(struct json_reader *r, char c)
{
    skip_space(r);
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static bool read_hex4(struct json_reader *r, unsigned *ret)
{
    unsigned v = 0;
    if (r->end - r->p < 4)
        return wrong(r, "an unfinished \\u");
    for (int i = 0; i < 4; i++) {
        char c = *r->p++;
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                            : 16;
        if (d == 16)
            return wrong(r, "a \\u without four hex digits");
        v = v << 4 | d;
    }
    *ret = v;
    return true;
}

static void put_utf8(struct strbuf *b, unsigned c)
{
    if (c < 0x80) {
        strbuf_putc(b, (char)c);
        return;
    }
    if (c < 0x800) {
        strbuf_putc(b, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            strbuf_putc(b, (char)(0xe0 | c >> 12));
        } else {
            strbuf_putc(b, (char)(0xf0 | c >> 18));
            strbuf_putc(b, (char)(0x80 | (c >> 12 & 0x3f)));
        }
        strbuf_putc(b, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    strbuf_putc(b, (char)(0x80 | (c & 0x3f)));
}

static bool read_escape(struct json_reader *r)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (r->p == r->end)
        return wrong(r, "an unfinished string");
    char c = *r->p++;
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        strbuf_putc(r->unescaped, to[known - from]);
        return true;
    }
    unsigned high, low;
    if (c != 'u')
        return wrong(r, "an unknown escape");
    if (!read_hex4(r, &high))
        return false;
    if (high >= 0xd800 && high < 0xdc00) {
        if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
            return wrong(r, "half of a surrogate pair");
        r->p += 2;
        if (!read_hex4(r, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return wrong(r, "half of a surrogate pair");
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    } else if (high >= 0xdc00 && high < 0xe000) {
        return wrong(r, "half of a surrogate pair");
    }
    put_utf8(r->unescaped, high);
    return true;
}

/* The opening quote is taken. Pushes the string. */
static bool read_string(struct json_reader *r)
{
    const char *from = r->p;
    bool plain = true, ascii = true;
    strbuf_clear(r->unescaped);
    for (;;) {
        const char *q = r->p;
        while (q < r->end && *q != '"' && *q != '\\' && (unsigned char)*q >= 0x20) {
            ascii &= (unsigned char)*q < 0x80;
            q++;
        }
        if (q == r->end)
            return wrong(r, "an unfinished string");
        if (*q == '"' && plain) {
            r->p = q + 1;
            if (!ascii && !utf8_valid(from, (size_t)(q - from)))
                return wrong(r, "a string that is not UTF-8");
            lua_pushlstring(r->L, from, (size_t)(q - from));
            return true;
        }
        strbuf_append(r->unescaped, r->p, (size_t)(q - r->p));
        r->p = q + 1;
        if (*q == '"')
            break;
        if (*q != '\\')
            return wrong(r, "a control character in a string");
        plain = false;
        if (!read_escape(r))
            return false;
    }
    if (r->unescaped->failed)
        return wrong(r, "a string that is too long");
    if (!ascii && !utf8_valid(strbuf_str(r->unescaped), r->unescaped->len))
        return wrong(r, "a string that is not UTF-8");
    lua_pushlstring(r->L, strbuf_str(r->unescaped), r->unescaped->len);
    return true;
}

static size_t digits(struct json_reader *r)
{
    const char *from = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return (size_t)(r->p - from);
}

static bool read_number(struct json_reader *r)
{
    const char *from = r->p;
    bool is_int = true;
    if (*r->p == '-')
        r->p++;
    const char *first = r->p;
    size_t n = digits(r);
    if (n == 0 || (n > 1 && *first == '0'))
        return wrong(r, "no value");
    if (r->p < r->end && *r->p == '.') {
        is_int = false;
        r->p++;
        if (digits(r) == 0)
            return wrong(r, "a number without digits after its point");
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        is_int = false;
        r->p++;
        if (r->p < r->end && (*r->p == '-' || *r->p == '+'))
            r->p++;
        if (digits(r) == 0)
            return wrong(r, "a number without digits in its exponent");
    }
    size_t len = (size_t)(r->p - from);
    if (is_int && n < 18) {
        lua_Integer v = 0;
        for (const char *q = first; q < r->p; q++)
            v = v * 10 + (*q - '0');
        lua_pushinteger(r->L, *from == '-' ? -v : v);
        return true;
    }
    char buf[NUMBER_MAX + 1];
    if (len > NUMBER_MAX)
        return wrong(r, "a number that is too long");
    memcpy(buf, from, len);
    buf[len] = 0;
    errno = 0;
    long long i = is_int ? strtoll(buf, NULL, 10) : 0;
    if (is_int && errno == 0) {
        lua_pushinteger(r->L, i);
        return true;
    }
    double d = strtod(buf, NULL);
    if (!isfinite(d))
        return wrong(r, "a number that is too large");
    lua_pushnumber(r->L, d);
    return true;
}

static bool read_array(struct json_reader *r)
{
    lua_State *L = r->L;
    lua_Integer n = 0;
    lua_createtable(L, 0, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &value_array_key);
    lua_setmetatable(L, -2);
    if (take(r, ']'))
        return true;
    do {
        if (!read_value(r))
            return false;
        lua_rawseti(L, -2, ++n);
    } while (take(r, ','));
    return take(r, ']') || wrong(r, "an array without ',' or ']'");
}

static bool read_object(struct json_reader *r)
{
    lua_State *L = r->L;
    lua_createtable(L, 0, 4);
    if (take(r, '}'))
        return true;
    do {
        if (!take(r, '"'))
            return wrong(r, "an object without a name in quotes");
        if (!read_string(r))
            return false;
        if (!take(r, ':'))
            return wrong(r, "an object without ':'");
        if (!read_value(r))
            return false;
        lua_rawset(L, -3);
    } while (take(r, ','));
    return take(r, '}') || wrong(r, "an object without ',' or '}'");
}

static bool read_word(struct json_reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
        return wrong(r, "no value");
    r->p += n;
    return true;
}

static bool read_value(struct json_reader *r)
{
    skip_space(r);
    if (r->p == r->end)
        return wrong(r, "no value");
    if (r->depth >= VALUE_DEPTH_MAX)
        return wrong(r, "nested too deep");
    luaL_checkstack(r->L, 8, NULL);
    bool ok;
    switch (*r->p) {
    case '"':
        r->p++;
        return read_string(r);
    case '{':
    case '[':
        r->depth++;
        ok = *r->p++ == '{' ? read_object(r) : read_array(r);
        r->depth--;
        return ok;
    case 't':
    case 'f':
        lua_pushboolean(r->L, *r->p == 't');
        return read_word(r, *r->p == 't' ? "true" : "false");
    case 'n':
        lua_pushlightuserdata(r->L, NULL);
        return read_word(r, "null");
    default:
        return read_number(r);
    }
}

bool value_read(lua_State *L, const char *text, size_t len)
{
    struct workflow *w = workflow_of(L);
    struct json_reader r = {.L = L, .p = text, .start = text, .end = text + len, .unescaped = &w->text[1]};
    int top = lua_gettop(L);
    bool ok = read_value(&r);
    skip_space(&r);
    if (ok && r.p != r.end)
        ok = wrong(&r, "something after the value");
    if (ok)
        return true;
    lua_settop(L, top);
    lua_pushfstring(L, "no valid JSON at byte %d: %s", (int)(r.p - r.start), r.why);
    return false;
}

bool value_read_payload(lua_State *L, const Pb__Payloads *ps)
{
    const Pb__Payload *p = ps && ps->n_payloads > 0 ? ps->payloads[0] : NULL;
    const Pb__Payload__MetadataEntry *enc = NULL;
    for (size_t i = 0; p && i < p->n_metadata; i++)
        if (strcmp(p->metadata[i]->key, "encoding") == 0)
            enc = p->metadata[i];
    size_t n = enc ? enc->value.len : 0;
    if (!p || (n == 11 && memcmp(enc->value.data, "binary/null", n) == 0)) {
        lua_pushlightuserdata(L, NULL);
        return true;
    }
    if (n == 10 && memcmp(enc->value.data, "json/plain", n) == 0)
        return value_read(L, (const char *)p->data.data, p->data.len);
    char name[44];
    snprintf(name, sizeof name, "%.*s", (int)(n < 40 ? n : 40), n ? (const char *)enc->value.data : "");
    lua_pushfstring(L, "payload encoding '%s' is not json/plain", name);
    return false;
}
