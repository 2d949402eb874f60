#include "engine/embedded/cron.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "os/file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define DAYS_MAX (5 * 366) /* a schedule that names no day in so many is never due */
#define EVERY_MAX_S INT64_C(3153600000)
#define ZONES "/usr/share/zoneinfo"

static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                     "jul", "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

struct field {
    const char *what;
    int min, max;
    const char *const *names; /* of min, min + 1, ... */
};

static int wrong(struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID, "invalid CronSchedule: %s", what);
}

static bool value(const char **p, const struct field *f, int *ret)
{
    if (isdigit((unsigned char)**p)) {
        char *end;
        long v = strtol(*p, &end, 10);
        *p = end;
        *ret = v < f->min || v > f->max ? -1 : (int)v;
        return *ret >= 0;
    }
    for (int i = 0; f->names && f->names[i]; i++)
        if (strncasecmp(*p, f->names[i], 3) == 0) {
            *p += 3;
            *ret = f->min + i;
            return true;
        }
    return false;
}

/* One item of a field; its bits are added. */
static bool item(const char **p, const struct field *f, uint64_t *io_bits)
{
    int from = f->min, to = f->max, step = 1;
    bool range = true;
    if (**p == '*' || **p == '?') {
        ++*p;
    } else {
        if (!value(p, f, &from))
            return false;
        range = **p == '-';
        to = from;
        if (range && (++*p, !value(p, f, &to)))
            return false;
    }
    if (**p == '/') {
        static const struct field steps = {"step", 1, 1000, NULL};
        ++*p;
        if (!value(p, &steps, &step))
            return false;
        if (!range)
            to = f->max;
    }
    if (from > to)
        return false;
    for (int v = from; v <= to; v += step)
        *io_bits |= UINT64_C(1) << v;
    return true;
}

static int parse_field(const char **p, const struct field *f, uint64_t *ret, bool *ret_any, struct err *err)
{
    while (**p == ' ' || **p == '\t')
        ++*p;
    *ret = 0;
    *ret_any = false;
    for (;;) {
        *ret_any |= **p == '*' || **p == '?';
        if (!item(p, f, ret))
            return wrong(err, f->what);
        if (**p != ',')
            break;
        ++*p;
    }
    return **p && **p != ' ' && **p != '\t' ? wrong(err, f->what) : 0;
}

/* "1h30m10s". */
static int parse_every(const char *p, struct cron *c, struct err *err)
{
    double total = 0;
    if (!*p)
        return wrong(err, "@every needs a duration");
    while (*p) {
        char *end;
        if (!isdigit((unsigned char)*p) && *p != '.')
            return wrong(err, "a duration is written as 1h30m");
        double v = strtod(p, &end);
        size_t unit = strspn(end, "hms");
        double s = unit == 2 && memcmp(end, "ms", 2) == 0 ? 0.001
                   : unit != 1                           ? -1
                   : *end == 'h'                         ? 3600
                   : *end == 'm'                         ? 60
                                                         : 1;
        if (s < 0) { /* "1h30m": one letter at a time */
            if (unit < 1)
                return wrong(err, "a duration is written as 1h30m");
            unit = 1;
            s = *end == 'h' ? 3600 : *end == 'm' ? 60 : 1;
        }
        total += v * s;
        p = end + unit;
    }
    if (!(total >= 1) || total > (double)EVERY_MAX_S)
        return wrong(err, "a duration is at least a second, and less than a century");
    c->every_ns = (int64_t)total * NS_PER_S;
    return 0;
}

static int parse(const char *text, struct cron *ret, struct err *err);

static int parse_name(const char *p, struct cron *c, struct err *err)
{
    static const struct {
        const char *name, *schedule;
    } names[] = {
        {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
        {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"},
    };
    if (strncmp(p, "@every ", 7) == 0)
        return parse_every(p + 7, c, err);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(p, names[i].name) == 0)
            return parse(names[i].schedule, c, err);
    return wrong(err, "an unknown name after @");
}

static int unknown_zone(const char *name, size_t n, struct err *err)
{
    err_set(err, ERR_INVALID, "invalid CronSchedule: there is no time zone '%.*s' in " ZONES, n < 60 ? (int)n : 60, name);
    return err_hint(err, "zones come with the package tzdata");
}

static int load_zone(const char *name, size_t n, struct cron *c, struct err *err)
{
    if ((n == 3 && strncmp(name, "UTC", 3) == 0) || n == 0)
        return 0;
    if (!tzif_name_valid(name, n))
        return unknown_zone(name, n, err);
    _cleanup_free_ char *path = mem_printf(ZONES "/%.*s", (int)n, name), *data = NULL;
    size_t len;
    if (!path)
        return err_nomem(err);
    if (os_read_file(path, TZIF_BYTES_MAX, &data, &len, NULL) < 0)
        return unknown_zone(name, n, err);
    int r = tzif_parse(data, len, &c->zone, err);
    c->zoned = r == 0;
    return r < 0 ? err_wrap(err, "%s", path) : 0;
}

void cron_release(struct cron *c)
{
    tzif_release(&c->zone);
    c->zoned = false;
}

static int parse(const char *text, struct cron *ret, struct err *err)
{
    static const struct field fields[] = {{"minute", 0, 59, NULL},
                                          {"hour", 0, 23, NULL},
                                          {"day of month", 1, 31, NULL},
                                          {"month", 1, 12, months},
                                          {"day of week", 0, 6, weekdays}};
    uint64_t bits[5];
    bool any[5];
    const char *p = text;
    if (strlen(text) > CRON_TEXT_MAX)
        return wrong(err, "too long");
    if (strncmp(p, "CRON_TZ=", 8) == 0 || strncmp(p, "TZ=", 3) == 0) {
        p = strchr(p, '=') + 1;
        size_t n = strcspn(p, " ");
        int r = load_zone(p, n, ret, err);
        if (r < 0)
            return r;
        p += n;
        p += strspn(p, " ");
    }
    if (*p == '@')
        return parse_name(p, ret, err);
    for (int i = 0; i < 5; i++) {
        int r = parse_field(&p, &fields[i], &bits[i], &any[i], err);
        if (r < 0)
            return r;
    }
    if (p[strspn(p, " \t")])
        return wrong(err, "more than five fields");
    ret->minute = bits[0];
    ret->hour = (uint32_t)bits[1];
    ret->day = (uint32_t)bits[2];
    ret->month = (uint32_t)bits[3];
    ret->weekday = (uint32_t)bits[4];
    ret->any_day = any[2];
    ret->any_weekday = any[4];
    return 0;
}

int cron_parse(const char *text, struct cron *ret, struct err *err)
{
    *ret = (struct cron){0};
    int r = parse(text, ret, err);
    if (r < 0)
        cron_release(ret);
    return r;
}

static bool has(uint64_t bits, int n)
{
    return bits >> n & 1;
}

static bool on_day(const struct cron *c, const struct tm *tm)
{
    if (!has(c->month, tm->tm_mon + 1))
        return false;
    bool day = has(c->day, tm->tm_mday), weekday = has(c->weekday, tm->tm_wday);
    return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

int64_t cron_next(const struct cron *c, int64_t start_ns, int64_t after_ns)
{
    if (c->every_ns) {
        int64_t passed = after_ns > start_ns ? after_ns - start_ns : 0;
        return start_ns + (passed / c->every_ns + 1) * c->every_ns;
    }
    /* It walks real time and looks at the clock on the wall: an hour that is left out has no run, one that comes twice has two,
     * as with Temporal. */
    int64_t t = (after_ns / NS_PER_S / 60 + 1) * 60, end = t + (int64_t)DAYS_MAX * 86400, until = INT64_MAX;
    while (t < end) {
        struct tm tm;
        time_t local = (time_t)(t + (c->zoned ? tzif_offset(&c->zone, t, &until) : 0));
        gmtime_r(&local, &tm);
        int second = tm.tm_min * 60 + tm.tm_sec;
        int64_t jump = !on_day(c, &tm)             ? 86400 - tm.tm_hour * 3600 - second
                       : !has(c->hour, tm.tm_hour) ? 3600 - second
                                                   : 60 - tm.tm_sec;
        if (jump == 60 && has(c->minute, tm.tm_min) && has(c->hour, tm.tm_hour) && on_day(c, &tm))
            return t * NS_PER_S;
        t = until - t < jump ? until : t + jump;
    }
    return INT64_MAX;
}

int cron_due(const char *text, int64_t start_ns, int64_t after_ns, int64_t *ret, struct err *err)
{
    struct cron c;
    int r = cron_parse(text, &c, err);
    if (r < 0)
        return r;
    *ret = cron_next(&c, start_ns, after_ns);
    cron_release(&c);
    return 0;
}

int cron_check(const char *text, struct err *err)
{
    struct cron c;
    int r = cron_parse(text, &c, err);
    if (r == 0)
        cron_release(&c);
    return r;
}
