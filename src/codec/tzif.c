#include "codec/tzif.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define DAY_S 86400
#define HEADER 44
#define TIMES_MAX 20000
#define OFFSET_MAX (26 * 3600) /* RFC 9636: more than -25 h, less than 26 h */
#define RULE_HOURS_MAX 167
#define RULE_YEAR_MAX 200000 /* years after that have the offset that year had: the sums stay in 64 bits */

/* --- numbers ---------------------------------------------------------------------------------------------- */

static int64_t be(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return bytes == 4 ? (int32_t)(uint32_t)v : (int64_t)v;
}

/* Days since 1970 of the first of a month (1 to 12). */
static int64_t days_before(int64_t year, int month)
{
    int64_t y = month <= 2 ? year - 1 : year, era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5, doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static bool is_leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t year_of(int64_t t)
{
    int64_t days = floor_div(t, DAY_S), y = 1970 + floor_div(days * 400, 146097);
    while (days_before(y, 1) > days)
        y--;
    while (days_before(y + 1, 1) <= days)
        y++;
    return y;
}

/* --- the rule --------------------------------------------------------------------------------------------- */

static bool number(const char **p, int max, int *ret)
{
    int v = 0, n = 0;
    for (; **p >= '0' && **p <= '9' && n < 4; n++)
        v = v * 10 + *(*p)++ - '0';
    *ret = v;
    return n > 0 && v <= max;
}

/* [+-]hours[:minutes[:seconds]] */
static bool clock_time(const char **p, int hours_max, int32_t *ret)
{
    int h, m = 0, s = 0, sign = 1;
    if (**p == '+' || **p == '-')
        sign = *(*p)++ == '-' ? -1 : 1;
    if (!number(p, hours_max, &h))
        return false;
    if (**p == ':' && (++*p, !number(p, 59, &m)))
        return false;
    if (**p == ':' && (++*p, !number(p, 59, &s)))
        return false;
    *ret = sign * (h * 3600 + m * 60 + s);
    return true;
}

static bool skip_name(const char **p)
{
    const char *begin = *p;
    if (**p == '<') {
        while (**p && **p != '>')
            ++*p;
        return *(*p)++ == '>';
    }
    while ((**p >= 'A' && **p <= 'Z') || (**p >= 'a' && **p <= 'z'))
        ++*p;
    return *p - begin >= 3;
}

static bool day(const char **p, struct tzif_day *ret)
{
    *ret = (struct tzif_day){.kind = 'D', .second = 2 * 3600};
    if (**p == 'M') {
        ret->kind = *(*p)++;
        if (!number(p, 12, &ret->month) || ret->month < 1 || *(*p)++ != '.' || !number(p, 5, &ret->week) || ret->week < 1 ||
            *(*p)++ != '.' || !number(p, 6, &ret->day))
            return false;
    } else {
        if (**p == 'J')
            ret->kind = *(*p)++;
        if (!number(p, 365, &ret->day) || (ret->kind == 'J' && ret->day < 1))
            return false;
    }
    return **p != '/' || (++*p, clock_time(p, RULE_HOURS_MAX, &ret->second));
}

/* "CET-1CEST,M3.5.0,M10.5.0/3". What it says of directions is the other way round: west of Greenwich. */
static bool rule(const char *p, struct tzif *z)
{
    if (!skip_name(&p) || !clock_time(&p, 24, &z->standard))
        return false;
    z->standard = -z->standard;
    z->has_rule = true;
    if (!*p)
        return true;
    z->has_dst = true;
    z->dst = z->standard + 3600;
    if (!skip_name(&p))
        return false;
    if (*p && *p != ',') {
        if (!clock_time(&p, 24, &z->dst))
            return false;
        z->dst = -z->dst;
    }
    return *p++ == ',' && day(&p, &z->to_dst) && *p++ == ',' && day(&p, &z->to_standard) && !*p;
}

/* Local seconds since 1970 of the day in that year. */
static int64_t local_time(const struct tzif_day *d, int64_t year)
{
    int64_t days = days_before(year, 1);
    if (d->kind == 'M') {
        int64_t first = days_before(year, d->month);
        int64_t next = d->month == 12 ? days_before(year + 1, 1) : days_before(year, d->month + 1);
        int weekday = (int)((first % 7 + 7 + 4) % 7);
        days = first + (d->day - weekday + 7) % 7 + (d->week - 1) * 7;
        if (days >= next)
            days -= 7;
    } else if (d->kind == 'J') {
        days += d->day - 1 + (is_leap(year) && d->day >= 60);
    } else {
        days += d->day;
    }
    return days * DAY_S + d->second;
}

static int32_t by_rule(const struct tzif *z, int64_t t, int64_t *ret_until)
{
    int64_t year = year_of(t), last = INT64_MIN;
    int32_t offset = z->standard;
    *ret_until = INT64_MAX;
    for (int64_t y = year - 1; y <= year + 1; y++) {
        int64_t at[2] = {local_time(&z->to_dst, y) - z->standard, local_time(&z->to_standard, y) - z->dst};
        for (int i = 0; i < 2; i++) {
            if (at[i] <= t && at[i] >= last) {
                last = at[i];
                offset = i ? z->standard : z->dst;
            }
            if (at[i] > t && at[i] < *ret_until)
                *ret_until = at[i];
        }
    }
    return offset;
}

/* --- the file --------------------------------------------------------------------------------------------- */

static int malformed(struct err *err)
{
    return err_set(err, ERR_INVALID, "this is no compiled time zone");
}

struct block {
    uint32_t isut, isstd, leaps, times, types, chars;
    size_t size; /* of the data behind the header */
};

static bool read_header(const uint8_t *p, size_t len, int time_size, struct block *b)
{
    if (len < HEADER || memcmp(p, "TZif", 4) != 0)
        return false;
    uint32_t v[6];
    for (int i = 0; i < 6; i++) {
        v[i] = (uint32_t)be(p + 20 + 4 * i, 4);
        if (v[i] > TIMES_MAX)
            return false;
    }
    *b = (struct block){v[0], v[1], v[2], v[3], v[4], v[5], 0};
    size_t each = (size_t)time_size;
    b->size = b->times * (each + 1) + (size_t)b->types * 6 + b->chars + b->leaps * (each + 4) + b->isstd + b->isut;
    return b->types > 0 && b->types <= 256 && len - HEADER >= b->size;
}

static int read_block(const uint8_t *p, const struct block *b, int time_size, struct tzif *z, struct err *err)
{
    const uint8_t *types = p + (size_t)b->times * (size_t)time_size, *infos = types + b->times;
    z->times = mem_calloc((size_t)b->times + 1, sizeof *z->times);
    z->offsets = mem_calloc((size_t)b->times + 1, sizeof *z->offsets);
    if (!z->times || !z->offsets)
        return err_nomem(err);
    for (uint32_t i = 0; i < b->times; i++) {
        z->times[i] = be(p + (size_t)i * (size_t)time_size, time_size);
        if (types[i] >= b->types || (i && z->times[i] <= z->times[i - 1]))
            return malformed(err);
        z->offsets[i] = (int32_t)be(infos + (size_t)types[i] * 6, 4);
    }
    z->first = (int32_t)be(infos, 4);
    for (uint32_t i = 0; i < b->types; i++)
        if (llabs(be(infos + (size_t)i * 6, 4)) >= OFFSET_MAX)
            return malformed(err);
    z->count = b->times;
    return 0;
}

int tzif_parse(const void *data, size_t len, struct tzif *ret, struct err *err)
{
    const uint8_t *p = data;
    struct block b;
    *ret = (struct tzif){0};
    if (len > TZIF_BYTES_MAX || !read_header(p, len, 4, &b))
        return malformed(err);
    if (p[4] < '2') /* no 64-bit part */
        return read_block(p + HEADER, &b, 4, ret, err);
    p += HEADER + b.size;
    len -= HEADER + b.size;
    if (!read_header(p, len, 8, &b))
        return malformed(err);
    int r = read_block(p + HEADER, &b, 8, ret, err);
    if (r < 0)
        return r;
    p += HEADER + b.size;
    len -= HEADER + b.size;
    char text[128] = "";
    const uint8_t *end = len > 1 && *p == '\n' ? memchr(p + 1, '\n', len - 1) : NULL;
    size_t n = end ? (size_t)(end - p - 1) : 0;
    if (!end || n >= sizeof text)
        return malformed(err);
    memcpy(text, p + 1, n);
    return n && !rule(text, ret) ? malformed(err) : 0;
}

void tzif_release(struct tzif *z)
{
    free(z->times);
    free(z->offsets);
    *z = (struct tzif){0};
}

int32_t tzif_offset(const struct tzif *z, int64_t t, int64_t *ret_until)
{
    size_t low = 0, high = z->count; /* the first transition behind t */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (z->times[mid] <= t)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_until = low < z->count ? z->times[low] : INT64_MAX;
    if (low < z->count || !z->has_rule)
        return low ? z->offsets[low - 1] : z->first;
    if (!z->has_dst)
        return z->standard;
    int64_t most = days_before(RULE_YEAR_MAX, 1) * DAY_S;
    return by_rule(z, t > most ? most : t < -most ? -most : t, ret_until);
}

bool tzif_name_valid(const char *name, size_t len)
{
    if (len == 0 || len > TZIF_NAME_MAX || name[0] == '/' || name[len - 1] == '/')
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("/_+-", c));
        if (!ok) /* no dots: no way up */
            return false;
    }
    return true;
}
