#include "base/units.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A number without sign, exponent, hex or locale. Gives the end, or NULL. */
static const char *parse_number(const char *s, double *ret)
{
    double v = 0, scale = 1;
    const char *p = s;
    if (!isdigit((unsigned char)*p))
        return NULL;
    for (; isdigit((unsigned char)*p); p++)
        v = v * 10 + (*p - '0');
    if (*p == '.') {
        p++;
        if (!isdigit((unsigned char)*p))
            return NULL;
        for (; isdigit((unsigned char)*p); p++)
            v += (*p - '0') * (scale /= 10);
    }
    *ret = v;
    return p;
}

int units_parse_duration_ms(const char *text, int64_t *ret_ms, struct err *err)
{
    static const struct {
        const char *unit;
        double ms;
    } table[] = {{"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}, {"w", 604800e3}};
    const double max = 100.0 * 366 * 86400e3;
    double total = 0;
    const char *p = text;
    do {
        double v;
        const char *q = parse_number(p, &v);
        if (!q)
            return err_set(err, ERR_INVALID, "'%.60s' is no time: write 90s, 10m or 2h", text);
        while (*q == ' ')
            q++;
        size_t n = 0;
        while (isalpha((unsigned char)q[n]))
            n++;
        double ms = n == 0 && p == text && !*q ? 1e3 : 0;
        for (size_t i = 0; n && i < sizeof table / sizeof table[0]; i++)
            if (strlen(table[i].unit) == n && strncmp(table[i].unit, q, n) == 0)
                ms = table[i].ms;
        if (ms == 0)
            return err_set(err, ERR_INVALID, "'%.60s' is no time: write 90s, 10m or 2h", text);
        total += v * ms;
        p = q + n;
        while (*p == ' ')
            p++;
    } while (*p);
    if (total > max)
        return err_set(err, ERR_INVALID, "'%.60s' is over 100 years", text);
    *ret_ms = (int64_t)llround(total);
    return 0;
}

int units_parse_size(const char *text, uint64_t *ret_bytes, struct err *err)
{
    double v;
    const char *p = parse_number(text, &v);
    if (!p)
        return err_set(err, ERR_INVALID, "'%.60s' is no size: write 64K, 256M or 2G", text);
    while (*p == ' ')
        p++;
    static const char letters[] = "KMGTP";
    const char *l = *p ? strchr(letters, toupper((unsigned char)*p)) : NULL;
    if (l) {
        v *= pow(1024, (double)(l - letters + 1));
        p++;
    }
    if (strcasecmp(p, "iB") == 0 && l)
        p += 2;
    else if (strcasecmp(p, "B") == 0)
        p++;
    if (*p || v > 9e18)
        return err_set(err, ERR_INVALID, "'%.60s' is no size: write 64K, 256M or 2G", text);
    *ret_bytes = (uint64_t)v;
    return 0;
}

const char *units_format_duration(int64_t ms, char *buf, size_t size)
{
    if (ms < 1000)
        snprintf(buf, size, "%lld ms", (long long)ms);
    else if (ms < 60000)
        snprintf(buf, size, "%.1f s", (double)ms / 1000);
    else if (ms < 3600000)
        snprintf(buf, size, "%lld m %lld s", (long long)(ms / 60000), (long long)(ms / 1000 % 60));
    else
        snprintf(buf, size, "%lld h %lld m", (long long)(ms / 3600000),
                 (long long)(ms / 60000 % 60));
    return buf;
}

const char *units_format_size(uint64_t bytes, char *buf, size_t size)
{
    static const char *const names[] = {"B", "KB", "MB", "GB", "TB", "PB"};
    double v = (double)bytes;
    size_t i = 0;
    while (v >= 1024 && i + 1 < sizeof names / sizeof names[0]) {
        v /= 1024;
        i++;
    }
    snprintf(buf, size, i && v < 100 ? "%.1f %s" : "%.0f %s", v, names[i]);
    return buf;
}
