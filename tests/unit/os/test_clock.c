/* Time and identifiers. */
#include "base/units.h"
#include "os/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_format(void **state)
{
    char b[32];
    assert_string_equal(os_format_time(INT64_C(1700000000123456789), b), "2023-11-14T22:13:20.123Z");
    assert_string_equal(os_format_time(0, b), "1970-01-01T00:00:00.000Z");
    assert_true(strlen(os_format_time(INT64_MAX, b)) < 32);
}

static void test_clocks(void **state)
{
    int64_t a = os_mono_ns(), wall = os_now_ns();
    os_sleep_ms(5);
    int64_t b = os_mono_ns();
    assert_true(b - a >= 5 * NS_PER_MS);
    assert_true(wall > INT64_C(1700000000) * NS_PER_S);
}

static void test_ulid(void **state)
{
    char before[27], id[27], last[27];
    os_ulid(before);
    for (int i = 0; i < 1000; i++) {
        os_ulid(id);
        assert_int_equal(strlen(id), 26);
        assert_int_equal(strspn(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 26);
        assert_in_range(id[0], '0', '7'); /* 128 bits */
        if (i > 0)
            assert_string_not_equal(id, last);
        strcpy(last, id);
    }
    os_sleep_ms(2);
    os_ulid(id);
    assert_true(strncmp(before, id, 10) < 0); /* later sorts later */
}

static void test_uuid(void **state)
{
    char a[37], b[37];
    os_uuid(a);
    os_uuid(b);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[14], '4');
    assert_non_null(strchr("89ab", a[19]));
    assert_int_equal(strspn(a, "0123456789abcdef-"), 36);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_ulid),
        cmocka_unit_test(test_uuid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
