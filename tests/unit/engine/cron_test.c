/* Cron schedules. */
#include "engine/embedded/cron.h"

#include "base/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int64_t at(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%S", &tm));
    return (int64_t)timegm(&tm) * NS_PER_S;
}

/* The next time after `after`, for a run that started then. */
static void next_is(const char *schedule, const char *after, const char *expected)
{
    struct cron c;
    struct err err = {0};
    if (cron_parse(schedule, &c, &err) < 0)
        fail_msg("%s: %s", schedule, err.msg);
    int64_t ns = cron_next(&c, at(after), at(after));
    cron_release(&c);
    char text[32] = "never";
    if (ns != INT64_MAX) {
        time_t t = (time_t)(ns / NS_PER_S);
        struct tm tm;
        gmtime_r(&t, &tm);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    }
    if (strcmp(text, expected) != 0)
        fail_msg("%s after %s: %s instead of %s", schedule, after, text, expected);
}

static void is_refused(const char *schedule, int code)
{
    struct cron c;
    struct err err = {0};
    int r = cron_parse(schedule, &c, &err);
    if (r != -code)
        fail_msg("%s: %d", schedule, r);
}

static void names_the_next_time(void **state)
{
    (void)state;
    next_is("* * * * *", "2026-11-25T23:59:30", "2026-11-26T00:00:00");
    next_is("* * * * *", "2026-11-25T12:00:00", "2026-11-25T12:01:00");
    next_is("15 14 * * *", "2026-11-25T14:15:00", "2026-11-26T14:15:00");
    next_is("*/20 9-17 * * MON-FRI", "2026-11-27T17:41:00", "2026-11-30T09:00:00");
    next_is("5,10 0 1 jan ?", "2026-01-01T00:07:00", "2026-01-01T00:10:00");
    next_is("30 4 1,15 * 5", "2026-11-25T00:00:00", "2026-11-27T04:30:00"); /* either day */
    next_is("0 0 29 2 *", "2026-03-01T00:00:00", "2028-02-29T00:00:00");
    next_is("0 0 31 2 *", "2026-03-01T00:00:00", "never");
    next_is("10/25 * * * *", "2026-11-25T12:11:00", "2026-11-25T12:35:00");
    next_is("CRON_TZ=UTC 0 6 * * *", "2026-11-25T06:00:01", "2026-11-26T06:00:00");
    next_is("@hourly", "2026-12-31T23:00:00", "2027-01-01T00:00:00");
    next_is("@daily", "2026-02-28T10:00:00", "2026-03-01T00:00:00");
    next_is("@weekly", "2026-11-25T10:00:00", "2026-11-29T00:00:00");
    next_is("@yearly", "2026-11-25T10:00:00", "2027-01-01T00:00:00");
    next_is("@every 1h30m", "2026-11-25T10:00:00", "2026-11-25T11:30:00");
    next_is("@every 2500ms", "2026-11-25T10:00:00", "2026-11-25T10:00:02");
}

/* The clock on the wall of that place, through its summer time. */
static void keeps_time_zones(void **state)
{
    (void)state;
    next_is("CRON_TZ=Europe/Vienna 0 6 * * *", "2026-11-25T06:00:01", "2026-11-26T05:00:00");
    next_is("TZ=Europe/Vienna 0 6 * * *", "2026-07-01T00:00:00", "2026-07-01T04:00:00");
    next_is("CRON_TZ=Europe/Vienna 30 2 * * *", "2026-03-28T12:00:00", "2026-03-30T00:30:00"); /* that night has no 02:30 */
    next_is("CRON_TZ=Europe/Vienna 30 2 * * *", "2026-10-24T12:00:00", "2026-10-25T00:30:00"); /* that one has two */
    next_is("CRON_TZ=Europe/Vienna 30 2 * * *", "2026-10-25T00:30:00", "2026-10-25T01:30:00");
    next_is("CRON_TZ=Europe/Vienna 30 2 * * *", "2026-10-25T01:30:00", "2026-10-26T01:30:00");
    next_is("CRON_TZ=Europe/Vienna 0 0 * * *", "2026-03-29T12:00:00", "2026-03-29T22:00:00");
    next_is("CRON_TZ=Europe/Vienna 0 0 * * *", "2026-03-28T12:00:00", "2026-03-28T23:00:00");
    next_is("CRON_TZ=Europe/Vienna 0 6 * * *", "2050-07-01T00:00:00", "2050-07-01T04:00:00");
    next_is("CRON_TZ=America/New_York 0 9 * * MON-FRI", "2026-11-27T20:00:00", "2026-11-30T14:00:00");
    next_is("CRON_TZ=Asia/Kolkata 0 6 * * *", "2026-11-25T00:00:00", "2026-11-25T00:30:00");
    next_is("CRON_TZ=Asia/Tokyo @daily", "2026-11-25T00:00:00", "2026-11-25T15:00:00");
    next_is("CRON_TZ=Asia/Tokyo @every 1h", "2026-11-25T10:30:00", "2026-11-25T11:30:00");
}

static void distances_count_from_the_start(void **state)
{
    (void)state;
    struct cron c;
    struct err err = {0};
    assert_int_equal(cron_parse("@every 10s", &c, &err), 0);
    int64_t start = at("2026-11-25T10:00:00");
    assert_int_equal(cron_next(&c, start, start + 25 * NS_PER_S), start + 30 * NS_PER_S);
    assert_int_equal(cron_next(&c, start, start + 30 * NS_PER_S), start + 40 * NS_PER_S);
}

static void refuses_what_is_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "* * * *",      "* * * * * *", "60 * * * *",   "* 24 * * *",
                                      "* * 0 * *", "* * * 13 *",   "* * * * 7",   "5-1 * * * *",  "*/0 * * * *",
                                      "a * * * *", "1,,2 * * * *", "@often",      "@every",       "@every x",
                                      "@every 0s", "@every 1d",    "@every 1h-",  "* * * * monday"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        is_refused(bad[i], ERR_INVALID);
    is_refused("CRON_TZ=Europe/Nowhere 0 6 * * *", ERR_INVALID);
    is_refused("CRON_TZ=../../../etc/passwd 0 6 * * *", ERR_INVALID);
    is_refused("TZ=Europe 0 6 * * *", ERR_INVALID); /* a folder */
    is_refused("TZ=Europe/Vienna 61 6 * * *", ERR_INVALID);
    char text[CRON_TEXT_MAX + 10];
    memset(text, '*', sizeof text - 1);
    text[sizeof text - 1] = 0;
    is_refused(text, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_next_time),
        cmocka_unit_test(keeps_time_zones),
        cmocka_unit_test(distances_count_from_the_start),
        cmocka_unit_test(refuses_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
