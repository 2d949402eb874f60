/* What 'ff monitor live' draws. */
#include "cli/dashboard.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct run_info run = {.run_id = (char *)"r1", .workflow = (char *)"native_fuzzing", .status = "COMPLETED", .closed = true,
                              .started_ns = NS_PER_S, .finished_ns = 5 * NS_PER_S};

static json_t *parsed(const char *text)
{
    json_t *j = NULL;
    assert_int_equal(json_parse(text, strlen(text), 1 << 20, &j, NULL), 0);
    return j;
}

static char *drawn(const struct dashboard *d, int columns, int rows)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    dashboard_draw(d, &run, columns, rows, f);
    assert_int_equal(fclose(f), 0);
    return text;
}

static size_t lines_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void a_run_without_statistics(void **state)
{
    (void)state;
    struct dashboard d;
    assert_int_equal(dashboard_init(&d, NULL), 0);
    dashboard_add_event(&d, json_string("10:00 state RUNNING"));
    _cleanup_free_ char *text = drawn(&d, 80, 24);
    assert_string_equal(text, "r1  native_fuzzing  COMPLETED  4.0 s  \nevents\n10:00 state RUNNING\n");
    dashboard_release(&d);
}

static void a_campaign(void **state)
{
    (void)state;
    struct dashboard d;
    assert_int_equal(dashboard_init(&d, NULL), 0);
    dashboard_set_points(&d, parsed("[{\"elapsed_time\":1,\"executions_per_sec\":500,\"coverage\":8,\"corpus_size\":1},"
                                    "{\"elapsed_time\":2,\"executions_per_sec\":1000,\"coverage\":16,\"corpus_size\":0},"
                                    "{\"elapsed_time\":4,\"executions_per_sec\":250,\"coverage\":16,\"corpus_size\":2}]"));
    dashboard_set_stats(&d, parsed("{\"executions\":1234567,\"crashes\":1,\"unique_crashes\":1,\"elapsed_time\":4,"
                                   "\"last_find_time\":2,\"engines\":[{\"engine\":\"libfuzzer\",\"session\":0,\"executions\":1000,"
                                   "\"executions_per_sec\":250.5,\"edges\":16,\"finds\":2,\"memory_mb\":40}]}"));
    dashboard_add_crash(&d, parsed("{\"timestamp\":\"2026-01-02T03:04:05.678Z\",\"severity\":\"high\","
                                   "\"crash_type\":\"heap \\u001b[31moverflow\"}"));
    _cleanup_free_ char *text = drawn(&d, 36, 24);
    assert_string_equal(text, "r1  native_fuzzing  COMPLETED  4.0 s  \n"
                              "1,234,567 executions, 1 crash (1 unique), last find 2.0 s ago\n"
                              "executions/s   ▄▄████▂ 250\n"
                              "coverage       ▄▄█████ 16\n"
                              "corpus         ▄▄    █ 2\n"
                              "engine               executions  per second     edges   finds    memory\n"
                              "0 libfuzzer               1,000         250        16       2     40 MB\n"
                              "crashes: 1\n"
                              "03:04:05  high      heap \\x1b[31mov…\n");
    dashboard_release(&d);
}

static void bugs_so_far(void **state)
{
    (void)state;
    struct dashboard d;
    assert_int_equal(dashboard_init(&d, NULL), 0);
    dashboard_set_stats(&d, parsed("{\"executions\":10,\"crashes\":1201,\"unique_crashes\":2,\"elapsed_time\":90.5,\"bugs\":["
                                   "{\"title\":\"Abrt in a\",\"severity\":\"low\",\"count\":1200,\"first_time\":30.5,\"last_time\":88.5},"
                                   "{\"title\":\"Bad \\u001b[31m in b\",\"severity\":\"high\",\"count\":1,\"first_time\":60.5,"
                                   "\"last_time\":60.5}]}"));
    dashboard_add_crash(&d, parsed("{\"severity\":\"high\",\"crash_type\":\"of an event\"}"));
    _cleanup_free_ char *text = drawn(&d, 80, 24);
    assert_string_equal(text, "r1  native_fuzzing  COMPLETED  4.0 s  \n10 executions, 1,201 crashes (2 unique)\n"
                              "severity     crashes       first        last  bug\n"
                              "high               1  30.0 s ago  30.0 s ago  Bad \\x1b[31m in b\n"
                              "low            1,200 1 m 0 s ago   2.0 s ago  Abrt in a\n");
    dashboard_release(&d);
}

static void never_more_than_the_screen(void **state)
{
    (void)state;
    struct dashboard d;
    assert_int_equal(dashboard_init(&d, NULL), 0);
    dashboard_set_stats(&d, parsed("{\"executions\":5,\"elapsed_time\":1,\"coverage\":-3,\"engines\":[{},{},{},{},{},{}]}"));
    for (int i = 0; i < 5000; i++) {
        dashboard_add_point(&d);
        dashboard_add_event(&d, json_string("event"));
        dashboard_add_crash(&d, parsed("{}"));
    }
    assert_true(json_array_size(d.points) <= 2001);
    assert_int_equal(json_array_size(d.events), DASHBOARD_EVENTS);
    assert_int_equal(json_array_size(d.crashes), DASHBOARD_CRASHES);
    for (int rows = 1; rows < 60; rows++)
        for (int columns = 20; columns < 600; columns += 97) {
            _cleanup_free_ char *text = drawn(&d, columns, rows);
            assert_true(lines_of(text) <= (size_t)rows);
        }
    dashboard_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_without_statistics),
        cmocka_unit_test(a_campaign),
        cmocka_unit_test(bugs_so_far),
        cmocka_unit_test(never_more_than_the_screen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
