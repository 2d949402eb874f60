#include "codec/json.h"

#include "codec/utf8.h"

#include <stdint.h>
#include <string.h>

/* The depth of nesting, without parsing: so that a hostile document never makes jansson recurse far. */
static bool too_deep(const char *s, size_t len)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

int json_parse(const char *text, size_t len, size_t max, json_t **ret, struct err *err)
{
    if (len > max)
        return err_set(err, ERR_LIMIT, "JSON of %zu bytes is over %zu", len, max);
    if (too_deep(text, len))
        return err_set(err, ERR_INVALID, "JSON nested deeper than %d", JSON_DEPTH_MAX);
    json_error_t je;
    json_t *j = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &je);
    if (!j) {
        if (json_error_code(&je) == json_error_out_of_memory)
            return err_nomem(err);
        return err_set(err, ERR_INVALID, "no valid JSON: line %d, column %d: %s", je.line, je.column,
                       je.text);
    }
    *ret = j;
    return 0;
}

static int append(const char *buf, size_t size, void *arg)
{
    struct strbuf *b = arg;
    strbuf_append(b, buf, size);
    return b->failed ? -1 : 0;
}

static int dump(const json_t *j, struct strbuf *out, size_t flags, struct err *err)
{
    if (json_dump_callback(j, append, out, flags | JSON_ENCODE_ANY) < 0) {
        int r = strbuf_check(out, err);
        return r < 0 ? r : err_nomem(err);
    }
    return 0;
}

int json_write(const json_t *j, struct strbuf *out, struct err *err)
{
    return dump(j, out, JSON_COMPACT, err);
}

int json_write_canonical(const json_t *j, struct strbuf *out, struct err *err)
{
    return dump(j, out, JSON_COMPACT | JSON_SORT_KEYS, err);
}

int json_write_pretty(const json_t *j, struct strbuf *out, struct err *err)
{
    return dump(j, out, JSON_INDENT(2), err);
}

json_t *json_clean_string(const char *s)
{
    size_t n = strlen(s);
    if (utf8_valid(s, n))
        return json_stringn_nocheck(s, n);
    struct strbuf b = STRBUF_INIT;
    utf8_append_clean(&b, s, n);
    json_t *j = strbuf_check(&b, NULL) == 0 ? json_stringn_nocheck(b.s, b.len) : NULL;
    strbuf_release(&b);
    return j;
}

const char *json_str(const json_t *object, const char *key, const char *def)
{
    const json_t *v = json_object_get(object, key);
    return json_is_string(v) ? json_string_value(v) : def;
}

int64_t json_i64(const json_t *object, const char *key, int64_t def)
{
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) ? json_integer_value(v) : def;
}

double json_num(const json_t *object, const char *key, double def)
{
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : def;
}

bool json_flag(const json_t *object, const char *key, bool def)
{
    const json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : def;
}

json_t *json_base64(const void *data, size_t n)
{
    const unsigned char *p = data;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct strbuf b = STRBUF_INIT;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        strbuf_putc(&b, digits[v >> 18]);
        strbuf_putc(&b, digits[v >> 12 & 63]);
        strbuf_putc(&b, i + 1 < n ? digits[v >> 6 & 63] : '=');
        strbuf_putc(&b, i + 2 < n ? digits[v & 63] : '=');
    }
    json_t *j = b.failed ? NULL : json_string(strbuf_str(&b));
    strbuf_release(&b);
    return j;
}
