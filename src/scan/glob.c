/* Globs of paths, and the text of a path in a report. */
#include "codec/utf8.h"
#include "scan/walk.h"

#include <string.h>

#define STEPS_MAX 200000

/* One character class; *p stands after '['. Gives whether c is in it and moves *p behind ']'. A class without an end
 * is a literal '['. */
static bool match_class(const char **p, unsigned char c)
{
    const char *s = *p;
    bool negate = *s == '!' || *s == '^';
    if (negate)
        s++;
    bool in = false;
    for (bool first = true; *s && (first || *s != ']'); first = false) {
        unsigned char lo = (unsigned char)*s++;
        if (lo == '\\' && *s)
            lo = (unsigned char)*s++;
        unsigned char hi = lo;
        if (s[0] == '-' && s[1] && s[1] != ']') {
            hi = (unsigned char)s[1];
            s += 2;
        }
        if (lo <= c && c <= hi)
            in = true;
    }
    if (*s != ']')
        return c == '[';
    *p = s + 1;
    return in != negate;
}

/* Matches one pattern element other than a star against one byte of the path. */
static bool match_one(const char **pattern, const char *path)
{
    const char *p = *pattern;
    bool ok;
    if (*p == '?') {
        ok = *path != '/';
        p++;
    } else if (*p == '[') {
        p++;
        ok = match_class(&p, (unsigned char)*path) && *path != '/';
    } else {
        if (*p == '\\' && p[1])
            p++;
        ok = *p == *path;
        p++;
    }
    *pattern = p;
    return ok;
}

/* Two places to go back to: the last "*", which may not pass a slash, and the last "**", which may. */
bool walk_glob(const char *glob, const char *path)
{
    const char *p = glob, *s = path;
    const char *star_p = NULL, *star_s = NULL, *deep_p = NULL, *deep_s = NULL;
    bool deep_parts = false; /* the "**" stands for whole parts: it continues behind a slash only */
    for (int steps = 0; steps < STEPS_MAX; steps++) {
        if (p[0] == '*' && p[1] == '*') {
            deep_parts = (p == glob || p[-1] == '/') && p[2] == '/';
            p += deep_parts ? 3 : 2;
            deep_p = p;
            deep_s = s;
            star_p = NULL;
            continue;
        }
        if (*p == '*') {
            star_p = ++p;
            star_s = s;
            continue;
        }
        if (!*s && !*p)
            return true;
        if (*s && *p && match_one(&p, s)) {
            s++;
            continue;
        }
        if (star_p && *star_s && *star_s != '/') {
            s = ++star_s;
            p = star_p;
            continue;
        }
        if (!deep_p || !*deep_s)
            return false;
        deep_s++;
        if (deep_parts) {
            const char *slash = strchr(deep_s - 1, '/');
            if (!slash)
                return false;
            deep_s = slash + 1;
        }
        s = deep_s;
        p = deep_p;
        star_p = NULL;
    }
    return false;
}

bool walk_glob_any(const char *glob, const char *path)
{
    if (!strchr(glob, '/')) {
        const char *slash = strrchr(path, '/');
        return walk_glob(glob, slash ? slash + 1 : path);
    }
    return walk_glob(glob[0] == '/' ? glob + 1 : glob, path);
}

void walk_show_path(struct strbuf *out, const char *raw)
{
    utf8_append_name(out, raw, strlen(raw));
}
