/* Time zones, beside the C library's own idea of them. */
#include "codec/tzif.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct tzif read_zone(const char *name)
{
    char path[200];
    static char data[TZIF_BYTES_MAX];
    struct tzif z;
    struct err err = {0};
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s: is tzdata installed?", path);
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    if (tzif_parse(data, n, &z, &err) < 0)
        fail_msg("%s: %s", name, err.msg);
    return z;
}

/* Around each change, and every five days, from 1970 to 2200: beyond what the files list, by their rules. */
static void agrees_with_the_library(void **state)
{
    static const char *const zones[] = {"Europe/Vienna", "America/New_York", "Asia/Kolkata",  "Australia/Lord_Howe", "Africa/Casablanca",
                                        "America/Nuuk",  "Asia/Gaza",        "Europe/Dublin", "Pacific/Apia",        "UTC",
                                        "America/Santiago", "Antarctica/Troll", "Asia/Tehran", "Africa/Cairo"};
    (void)state;
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        struct tzif z = read_zone(zones[i]);
        setenv("TZ", zones[i], 1);
        tzset();
        int64_t until;
        for (int64_t t = 0; t < INT64_C(7258118400);) {
            struct tm tm;
            time_t when = (time_t)t;
            localtime_r(&when, &tm);
            int32_t offset = tzif_offset(&z, t, &until);
            if (offset != tm.tm_gmtoff)
                fail_msg("%s at %lld: %d instead of %ld", zones[i], (long long)t, (int)offset, tm.tm_gmtoff);
            assert_true(until > t);
            int64_t next = t + 5 * 86400 + 1234;
            t = until - 1 > t && until - 1 < next ? until - 1 : until < next ? until : next;
        }
        tzif_release(&z);
    }
}

static void refuses_what_is_none(void **state)
{
    (void)state;
    struct tzif z;
    struct err err = {0};
    static const char *const bad[] = {"", "TZif", "nonsense that is long enough for a header of forty-four bytes"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(tzif_parse(bad[i], strlen(bad[i]), &z, &err), -ERR_INVALID);
        tzif_release(&z);
    }
    static const char *const names[] = {"", "/etc/passwd", "../x", "a/../b", "Europe/Vienna/", "a b", "Europe/Vienna.x"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(tzif_name_valid(names[i], strlen(names[i])));
    assert_true(tzif_name_valid("America/Port-au-Prince", 22));
    assert_true(tzif_name_valid("Etc/GMT+5", 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_library),
        cmocka_unit_test(refuses_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
