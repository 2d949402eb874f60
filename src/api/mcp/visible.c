#include "api/mcp/visible.h"

#include "base/cleanup.h"
#include "codec/json.h"
#include "codec/utf8.h"

#include <stdint.h>
#include <string.h>

static const struct {
    uint32_t first, last;
} hidden[] = {
    {0x00, 0x08},     {0x0b, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x34f, 0x34f},     {0x61c, 0x61c},
    {0x115f, 0x1160}, {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},
    {0x3164, 0x3164}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb},   {0x1d173, 0x1d17a},
    {0xe0000, 0xe0fff},
};

static bool is_hidden(uint32_t c)
{
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
        if (c >= hidden[i].first && c <= hidden[i].last)
            return true;
    return false;
}

/* s is well formed. */
static uint32_t decode(const unsigned char *s, size_t n)
{
    uint32_t c = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (s[i] & 0x3f);
    return c;
}

void visible_append(struct strbuf *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t k = utf8_sequence(s + i, n - i);
        if (!k) {
            strbuf_puts(b, "\xef\xbf\xbd");
            i++;
            continue;
        }
        uint32_t c = decode((const unsigned char *)s + i, k);
        if (is_hidden(c))
            strbuf_printf(b, "\\u{%X}", (unsigned)c);
        else
            strbuf_append(b, s + i, k);
        i += k;
    }
}

bool visible_as_is(const char *s, size_t n)
{
    for (size_t i = 0, k; i < n; i += k) {
        k = utf8_sequence(s + i, n - i);
        bool line_end = s[i] == '\r' && i + 1 < n && s[i + 1] == '\n';
        if (!k || (!line_end && is_hidden(decode((const unsigned char *)s + i, k))))
            return false;
    }
    return true;
}

/* NULL: it is fine as it is, unless memory is out. */
static json_t *visible_string(const char *s, size_t n, int *io_r, struct err *err)
{
    _cleanup_(strbuf_release) struct strbuf b = STRBUF_INIT;
    visible_append(&b, s, n);
    if (*io_r == 0)
        *io_r = strbuf_check(&b, err);
    if (*io_r < 0 || (b.len == n && (!n || memcmp(b.s, s, n) == 0)))
        return NULL;
    json_t *j = json_stringn(b.s, b.len);
    if (!j)
        *io_r = err_nomem(err);
    return j;
}

static int visible_members(json_t *j, struct err *err)
{
    const char *key;
    json_t *v;
    void *next;
    int r = 0;
    json_object_foreach_safe(j, next, key, v) {
        json_t *name = visible_string(key, strlen(key), &r, err), *text = NULL;
        if (r == 0 && json_is_string(v))
            text = visible_string(json_string_value(v), json_string_length(v), &r, err);
        if (r == 0 && (name || text)) {
            json_incref(v);
            json_object_set(j, name ? json_string_value(name) : key, text ? text : v);
            if (name)
                json_object_del(j, key);
            json_decref(v);
        }
        json_decref(name);
        json_decref(text);
        if (r < 0)
            return r;
    }
    return 0;
}

/* As deep as a JSON document may be that was read (JSON_DEPTH_MAX), or that the program made. */
int visible_json(json_t *j, struct err *err)
{
    size_t i;
    const char *key;
    json_t *v;
    int r = json_is_object(j) ? visible_members(j, err) : 0;
    json_object_foreach(j, key, v)
        if (r == 0)
            r = visible_json(v, err);
    json_array_foreach(j, i, v) {
        json_t *text = r == 0 && json_is_string(v) ? visible_string(json_string_value(v), json_string_length(v), &r, err)
            : NULL;
        if (text)
            json_array_set_new(j, i, text);
        else if (r == 0)
            r = visible_json(v, err);
    }
    return r;
}
