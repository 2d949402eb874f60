/* Times and sizes as people write them, and the nearest name to a mistyped one. */
#include "base/suggest.h"
#include "base/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } table[] = {
        {"90s", 90000},  {"10m", 600000},     {"2h", 7200000},   {"250ms", 250},       {"1.5h", 5400000},
        {"1d", 86400000}, {"1h30m", 5400000}, {"1h 30m", 5400000}, {"5", 5000},        {"0", 0},
        {"0.5", 500},    {"1w", 604800000},   {"0.001s", 1},     {"36500d", 3153600000000},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t ms = -1;
        struct err err = {0};
        if (units_parse_duration_ms(table[i].text, &ms, &err) < 0)
            fail_msg("%s", err.msg);
        assert_int_equal(ms, table[i].ms);
    }
    static const char *const bad[] = {"",  "-1s", "s",   "1x",  "1.s", ".5s", "1h30", "1e3s", "0x10",
                                      " 1s", "nan", "inf", "99999999999999999999y", "40000d", "1 2s", "1S"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms;
        struct err err = {0};
        if (units_parse_duration_ms(bad[i], &ms, &err) != -ERR_INVALID)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(err.msg[0]);
    }
}

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } table[] = {
        {"256M", 256u << 20}, {"2G", UINT64_C(2) << 30}, {"64K", 65536}, {"100", 100},       {"1.5GiB", 3u << 29},
        {"20MB", 20u << 20},  {"0", 0},                  {"1k", 1024},   {"1 MB", 1u << 20}, {"5B", 5},
        {"1T", UINT64_C(1) << 40},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        uint64_t bytes = 99;
        struct err err = {0};
        if (units_parse_size(table[i].text, &bytes, &err) < 0)
            fail_msg("%s", err.msg);
        assert_int_equal(bytes, table[i].bytes);
    }
    static const char *const bad[] = {"", "-1", "M", "1X", "1KBB", "1iB", "1.M", "99999P", "1e9", "1 M B"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t bytes;
        if (units_parse_size(bad[i], &bytes, NULL) != -ERR_INVALID)
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void test_formats(void **state)
{
    char b[32];
    assert_string_equal(units_format_duration(12, b, sizeof b), "12 ms");
    assert_string_equal(units_format_duration(1500, b, sizeof b), "1.5 s");
    assert_string_equal(units_format_duration(200000, b, sizeof b), "3 m 20 s");
    assert_string_equal(units_format_duration(7260000, b, sizeof b), "2 h 1 m");
    assert_string_equal(units_format_size(0, b, sizeof b), "0 B");
    assert_non_null(strstr(units_format_size(12900000, b, sizeof b), "12.3 MB"));
    assert_true(strlen(units_format_size(UINT64_MAX, b, sizeof b)) < 31);
    assert_true(strlen(units_format_duration(INT64_MAX, b, sizeof b)) < 31);
}

static const char *nearest(const char *word)
{
    static const char *const names[] = {"security_assessment", "secret_detection", "list", "show", "critical", "a"};
    struct suggest s;
    suggest_init(&s, word);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        suggest_offer(&s, names[i]);
    return s.best;
}

static void test_suggest(void **state)
{
    assert_string_equal(nearest("security_assesment"), "security_assessment");
    assert_string_equal(nearest("secuirty_assessment"), "security_assessment");
    assert_string_equal(nearest("lsit"), "list");
    assert_string_equal(nearest("LIST"), "list");
    assert_string_equal(nearest("sec"), "security_assessment"); /* the first of two prefixes */
    assert_string_equal(nearest("crit"), "critical");
    assert_null(nearest("zzzzzzz"));
    assert_null(nearest(""));
    char long_word[300];
    memset(long_word, 'x', sizeof long_word);
    long_word[sizeof long_word - 1] = 0;
    assert_null(nearest(long_word));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_suggest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
