#include "codec/json.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/utf8.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
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

static int check_bounds(const char *text, size_t len, size_t max, struct err *err)
{
    if (len > max)
        return err_set(err, ERR_LIMIT, "JSON of %zu bytes is over %zu", len, max);
    return too_deep(text, len) ? err_set(err, ERR_INVALID, "JSON nested deeper than %d", JSON_DEPTH_MAX) : 0;
}

/* Within the bounds. *ret_code: of a failure. */
static int load(const char *text, size_t len, json_t **ret, enum json_error_code *ret_code, struct err *err)
{
    json_error_t je;
    json_t *j = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &je);
    if (j) {
        *ret = j;
        return 0;
    }
    *ret_code = json_error_code(&je);
    return *ret_code == json_error_out_of_memory
               ? err_nomem(err)
               : err_set(err, ERR_INVALID, "no valid JSON: line %d, column %d: %s", je.line, je.column, je.text);
}

int json_parse(const char *text, size_t len, size_t max, json_t **ret, struct err *err)
{
    enum json_error_code code;
    int r = check_bounds(text, len, max, err);
    return r < 0 ? r : load(text, len, ret, &code, err);
}

/* Escapes of NUL become those of U+FFFD, which are as long. */
static void replace_nul(char *text, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        if (text[i] != '\\')
            continue;
        if (len - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0)
            memcpy(text + i + 2, "fffd", 4);
        i++;
    }
}

static size_t string_len(const char *p, const char *end)
{
    const char *q = p + 1;
    while (q < end && *q != '"')
        q += *q == '\\' && q + 1 < end ? 2 : 1;
    return (size_t)(q - p) + (q < end);
}

static bool is_huge(const char *number, size_t len)
{
    bool negative = *number == '-';
    if (len <= 18 || strspn(number + negative, "0123456789") != len - negative)
        return false;
    errno = 0;
    (void)strtoll(number, NULL, 10);
    return errno == ERANGE;
}

/* Integers that are too large are written as reals. text has a NUL at its end. */
static void widen(const char *text, size_t len, struct strbuf *out)
{
    for (const char *p = text, *end = text + len; p < end;) {
        size_t n = *p == '"' ? string_len(p, end) : strspn(p, "-+.0123456789eE");
        strbuf_append(out, p, n ? n : 1);
        if (*p != '"' && n && is_huge(p, n))
            strbuf_puts(out, "e0");
        p += n ? n : 1;
    }
}

int json_parse_foreign(const char *text, size_t len, size_t max, json_t **ret, struct err *err)
{
    enum json_error_code code = json_error_unknown;
    int r = check_bounds(text, len, max, err);
    if (r == 0)
        r = load(text, len, ret, &code, err);
    if (code != json_error_null_byte_in_key && code != json_error_numeric_overflow)
        return r;
    _cleanup_free_ char *copy = mem_alloc(len + 1);
    _cleanup_(strbuf_release) struct strbuf plain = STRBUF_INIT;
    if (!copy)
        return err_nomem(err);
    memcpy(copy, text, len);
    copy[len] = 0;
    replace_nul(copy, len);
    widen(copy, len, &plain);
    r = strbuf_check(&plain, err);
    return r < 0 ? r : load(plain.s, plain.len, ret, &code, err);
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
