#include "api/rest/target.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/utf8.h"

#include <string.h>
#include <strings.h>
#include <xxhash.h>

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* In place. plus: stands for a blank. */
static bool decode(char *s, size_t n, bool plus)
{
    char *to = s;
    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)s[i];
        if (c == '%') {
            int high = i + 2 < n ? digit(s[i + 1]) : -1, low = i + 2 < n ? digit(s[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = high * 16 + low;
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c < 0x20 || c == 0x7f)
            return false;
        *to++ = (char)c;
    }
    *to = 0;
    return utf8_valid(s, (size_t)(to - s));
}

static int malformed(const char *what, struct err *err)
{
    return err_set(err, ERR_USAGE, "the %s is malformed: percent-encoded UTF-8 without control characters is wanted", what);
}

static int parse_path(struct target *t, char *s, struct err *err)
{
    while (*s) {
        char *end = strchrnul(s, '/');
        bool more = *end == '/';
        *end = 0;
        if (end == s) {
            if (more) /* "//": a part without a name */
                t->too_deep = true;
        } else if (t->parts_count == TARGET_PARTS_MAX) {
            t->too_deep = true;
        } else {
            t->parts[t->parts_count++] = s;
        }
        t->slash = more && !end[1];
        if (*s && !decode(s, (size_t)(end - s), false))
            return malformed("path", err);
        s = more ? end + 1 : end;
    }
    return 0;
}

static int parse_query(struct target *t, char *s, struct err *err)
{
    while (*s) {
        char *end = strchrnul(s, '&');
        bool more = *end == '&';
        *end = 0;
        if (end > s) {
            char *eq = strchr(s, '='), *value = eq ? eq + 1 : end;
            if (t->fields_count == TARGET_FIELDS_MAX)
                return err_set(err, ERR_LIMIT, "the query has over %d fields", TARGET_FIELDS_MAX);
            if (eq)
                *eq = 0;
            if (!decode(s, (size_t)((eq ? eq : end) - s), true) || !decode(value, (size_t)(end - value), true))
                return malformed("query", err);
            t->fields[t->fields_count++] = (struct target_field){s, value};
        }
        s = more ? end + 1 : end;
    }
    return 0;
}

/* Of "http://host:port/path": sets the authority, and gives what follows. NULL: there is none. */
static char *take_authority(struct target *t, size_t scheme)
{
    size_t n = strcspn(t->text + scheme, "/?#");
    memmove(t->text, t->text + scheme, n); /* to where there is room for its end */
    t->text[n] = 0;
    t->authority = t->text;
    return n ? t->text + scheme + n : NULL;
}

int target_parse(const char *text, size_t len, struct target *ret, struct err *err)
{
    *ret = (struct target){0};
    if (len > TARGET_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the target of the request has over %d bytes", TARGET_BYTES_MAX);
    size_t scheme = strncasecmp(text, "http://", len < 7 ? len : 7) == 0    ? 7
                    : strncasecmp(text, "https://", len < 8 ? len : 8) == 0 ? 8
                                                                            : 0;
    bool odd = memchr(text, 0, len) || memchr(text, ' ', len);
    if (!len || (text[0] != '/' && len <= scheme) || (text[0] != '/' && !scheme) || odd)
        return malformed("path", err);
    if (!(ret->text = mem_strndup(text, len)))
        return err_nomem(err);
    char *path = ret->text;
    if (scheme && !(path = take_authority(ret, scheme))) {
        target_release(ret);
        return malformed("path", err);
    }
    char *hash = strchr(path, '#'), *query = strchr(path, '?');
    if (hash)
        *hash = 0;
    if (query && (!hash || query < hash))
        *query++ = 0;
    else
        query = NULL;
    int r = parse_path(ret, *path ? path + 1 : path, err);
    if (r == 0 && query)
        r = parse_query(ret, query, err);
    if (r < 0)
        target_release(ret);
    return r;
}

void target_release(struct target *t)
{
    free(t->text);
    *t = (struct target){0};
}

const char *target_field(const struct target *t, const char *name)
{
    for (size_t i = 0; i < t->fields_count; i++)
        if (strcmp(t->fields[i].name, name) == 0)
            return t->fields[i].value;
    return NULL;
}

/* --- cursors ------------------------------------------------------------------------------------------------ */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *cursor_write(uint32_t kind, const void *data, size_t len)
{
    if (len > CURSOR_BYTES_MAX)
        return NULL;
    uint32_t sum = XXH32(data, len, kind);
    uint8_t bytes[CURSOR_BYTES_MAX + 4];
    memcpy(bytes, &sum, 4);
    memcpy(bytes + 4, data, len);
    char *text = mem_alloc((len + 4) * 4 / 3 + 4), *to = text;
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; text && i < len + 4; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            *to++ = alphabet[bits >> (held - 6) & 63];
    }
    if (text && held)
        *to++ = alphabet[bits << (6 - held) & 63];
    if (text)
        *to = 0;
    return text;
}

int cursor_read(uint32_t kind, const char *text, uint8_t **ret, size_t *ret_len, struct err *err)
{
    uint8_t bytes[CURSOR_BYTES_MAX + 4];
    size_t n = 0;
    uint32_t bits = 0, sum = 0;
    int held = 0;
    const char *p = text;
    for (; *p; p++) {
        const char *at = strchr(alphabet, *p);
        if (!at)
            break;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        if ((held += 6) >= 8) {
            if (n == sizeof bytes)
                break;
            bytes[n++] = (uint8_t)(bits >> (held -= 8));
        }
    }
    if (n >= 4)
        memcpy(&sum, bytes, 4);
    if (*p || n < 4 || sum != XXH32(bytes + 4, n - 4, kind))
        return err_set(err, ERR_NOT_FOUND, "that cursor was not given for this list");
    *ret_len = n - 4;
    *ret = mem_dup(bytes + 4, n > 4 ? n - 4 : 1);
    return *ret ? 0 : err_nomem(err);
}
