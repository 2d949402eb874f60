/* Histograms: each time falls into the first range whose end it does not pass. */
#include "base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_ranges(void **state)
{
    struct histogram h = {0};
    uint64_t t[HISTOGRAM_RANGES + 1];
    (void)state;
    histogram_add(&h, -5);
    histogram_add(&h, 100);
    histogram_add(&h, 101);
    histogram_add(&h, 60000000);
    histogram_add(&h, INT64_C(61000000));
    histogram_totals(&h, t);
    assert_int_equal(t[0], 2);
    assert_int_equal(t[1], 3);
    assert_int_equal(t[HISTOGRAM_RANGES - 2], 3);
    assert_int_equal(t[HISTOGRAM_RANGES - 1], 4);
    assert_int_equal(t[HISTOGRAM_RANGES], 5);
    assert_int_equal(h.sum_us, 100 + 101 + 60000000 + 61000000);
    for (int i = 1; i < HISTOGRAM_RANGES; i++)
        assert_true(histogram_ends_us[i] > histogram_ends_us[i - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
