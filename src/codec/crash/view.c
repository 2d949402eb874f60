#include "codec/crash/view.h"

#include <limits.h>

ssize_t view_find(struct view v, const char *needle)
{
    const char *p = v.n ? memmem(v.s, v.n, needle, strlen(needle)) : NULL;
    return p ? p - v.s : -1;
}

ssize_t view_rfind(struct view v, const char *needle)
{
    size_t n = strlen(needle);
    for (ssize_t i = (ssize_t)v.n - (ssize_t)n; i >= 0; i--) {
        const char *p = memrchr(v.s, needle[0], (size_t)i + 1);
        if (!p)
            return -1;
        i = p - v.s;
        if (memcmp(p, needle, n) == 0)
            return i;
    }
    return -1;
}

ssize_t view_find_char(struct view v, char c)
{
    const char *p = v.n ? memchr(v.s, c, v.n) : NULL;
    return p ? p - v.s : -1;
}

ssize_t view_rfind_char(struct view v, char c)
{
    const char *p = v.n ? memrchr(v.s, c, v.n) : NULL;
    return p ? p - v.s : -1;
}

bool view_has(struct view v, const char *needle)
{
    return view_find(v, needle) >= 0;
}

bool view_is(struct view v, const char *text)
{
    return v.n == strlen(text) && memcmp(v.s, text, v.n) == 0;
}

bool view_starts(struct view v, const char *prefix)
{
    size_t n = strlen(prefix);
    return v.n >= n && memcmp(v.s, prefix, n) == 0;
}

bool view_starts_nocase(struct view v, const char *prefix)
{
    size_t n = strlen(prefix);
    if (v.n < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (to_lower(v.s[i]) != prefix[i])
            return false;
    return true;
}

bool view_ends(struct view v, const char *suffix)
{
    size_t n = strlen(suffix);
    return v.n >= n && memcmp(v.s + v.n - n, suffix, n) == 0;
}

ssize_t view_find_nocase(struct view v, const char *needle)
{
    for (size_t i = 0; i + strlen(needle) <= v.n; i++)
        if (to_lower(v.s[i]) == needle[0] && view_starts_nocase(view_from(v, i), needle))
            return (ssize_t)i;
    return -1;
}

bool view_after(struct view v, const char *needle, struct view *ret)
{
    ssize_t i = view_find(v, needle);
    if (i >= 0)
        *ret = view_from(v, (size_t)i + strlen(needle));
    return i >= 0;
}

bool view_after_last(struct view v, const char *needle, struct view *ret)
{
    ssize_t i = view_rfind(v, needle);
    if (i >= 0)
        *ret = view_from(v, (size_t)i + strlen(needle));
    return i >= 0;
}

bool view_skip(struct view *v, const char *prefix)
{
    if (!view_starts(*v, prefix))
        return false;
    *v = view_from(*v, strlen(prefix));
    return true;
}

struct view view_take(struct view *v, bool (*is)(char c))
{
    size_t i = 0;
    while (i < v->n && is(v->s[i]))
        i++;
    struct view taken = view_first(*v, i);
    *v = view_from(*v, i);
    return taken;
}

bool view_skip_space(struct view *v)
{
    return view_take(v, is_blank).n > 0;
}

struct view view_trim(struct view v)
{
    view_skip_space(&v);
    while (v.n && is_blank(v.s[v.n - 1]))
        v.n--;
    return v;
}

static bool in_set(char c, const char *set)
{
    return c && strchr(set, c);
}

struct view view_trim_set(struct view v, const char *set)
{
    while (v.n && in_set(v.s[0], set))
        v = view_from(v, 1);
    while (v.n && in_set(v.s[v.n - 1], set))
        v.n--;
    return v;
}

struct view view_basename(struct view v)
{
    for (size_t i = v.n; i > 0; i--)
        if (v.s[i - 1] == '/' || v.s[i - 1] == '\\')
            return view_from(v, i);
    return v;
}

unsigned long long view_hex(struct view v)
{
    unsigned long long value = 0;
    if (view_starts(v, "0x") || view_starts(v, "0X"))
        v = view_from(v, 2);
    for (size_t i = 0; i < v.n; i++) {
        char c = to_lower(v.s[i]);
        if (!is_hex(c) || c == 'x')
            return 0;
        value = value << 4 | (unsigned long long)(is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    return value;
}

int view_int(struct view v)
{
    int value = 0;
    for (size_t i = 0; i < v.n && is_digit(v.s[i]); i++) {
        if (value > (INT_MAX - 9) / 10)
            return INT_MAX;
        value = value * 10 + (v.s[i] - '0');
    }
    return value;
}

bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == 'x' || c == 'X';
}

bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_word(char c)
{
    return is_alpha(c) || is_digit(c) || c == '_';
}

bool is_not_space(char c)
{
    return c != ' ';
}

char to_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}
