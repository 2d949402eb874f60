#include "scan/suppress.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "scan/walk.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MARK "ff:ignore"
#define REASON_MAX 500

static const char *const comment_marks[] = {"#", "//", "/*", "--", "<!--", ";", "%", "*", "\"\"\"", "REM ", "'"};

static bool begins_with_mark(const char *s, const char *end)
{
    while (s < end && isspace((unsigned char)*s))
        s++;
    for (size_t i = 0; i < ARRAY_LEN(comment_marks); i++) {
        size_t n = strlen(comment_marks[i]);
        if ((size_t)(end - s) >= n && memcmp(s, comment_marks[i], n) == 0)
            return true;
    }
    return false;
}

/* Is there a mark somewhere before? A quote alone is none here: it begins a string in most languages. */
static bool has_mark(const char *s, const char *end)
{
    static const char *const marks[] = {"#", "//", "/*", "--", ";", "%"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (memmem(s, (size_t)(end - s), marks[i], strlen(marks[i])))
            return true;
    return begins_with_mark(s, end);
}

static bool names(const char *name, size_t n, const char *rule)
{
    char glob[128];
    while (n && isspace((unsigned char)name[n - 1]))
        n--;
    while (n && isspace((unsigned char)*name))
        name++, n--;
    if (n == 0 || n >= sizeof glob)
        return false;
    snprintf(glob, sizeof glob, "%.*s", (int)n, name);
    const char *slash = strchr(rule, '/');
    size_t category = slash ? (size_t)(slash - rule) : 0;
    return walk_glob(glob, rule) || (slash && walk_glob(glob, slash + 1)) ||
           (category == strlen(glob) && memcmp(glob, rule, category) == 0);
}

static bool list_names(const char *p, const char *end, const char *rule)
{
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma ? comma : end;
        if (names(p, (size_t)(stop - p), rule))
            return true;
        p = stop + 1;
    }
    return false;
}

static char *take_reason(const char *p, const char *end)
{
    while (p < end && (isspace((unsigned char)*p) || *p == ':' || *p == '-'))
        p++;
    static const char *const closers[] = {"*/", "-->", "%>", "\"\"\""};
    for (size_t i = 0; i < ARRAY_LEN(closers); i++) {
        const char *c = memmem(p, (size_t)(end - p), closers[i], strlen(closers[i]));
        if (c)
            end = c;
    }
    while (end > p && isspace((unsigned char)end[-1]))
        end--;
    size_t n = (size_t)(end - p);
    return mem_strndup(p, n < REASON_MAX ? n : REASON_MAX);
}

bool suppress_in_line(const char *line, size_t len, const char *rule, bool whole, char **ret_reason)
{
    const char *end = line + len;
    const char *at = memmem(line, len, MARK, strlen(MARK));
    *ret_reason = NULL;
    if (!at || (whole ? !begins_with_mark(line, at) : !has_mark(line, at)))
        return false;
    const char *p = at + strlen(MARK);
    if (p < end && *p == '[') {
        const char *close = memchr(p, ']', (size_t)(end - p));
        if (!close || !list_names(p + 1, close, rule))
            return false;
        p = close + 1;
    } else if (p < end && !isspace((unsigned char)*p) && *p != ':' && *p != '*' && *p != '-') {
        return false; /* "ff:ignored" */
    }
    *ret_reason = take_reason(p, end);
    return true;
}
