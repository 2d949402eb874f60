/* The filter language of lists. */
#include "engine/embedded/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool is_color(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "Color") == 0;
}

/* The SQL that a filter becomes, or how it is refused. */
static void becomes(const char *text, const char *sql)
{
    struct filter f;
    struct err err = {0};
    if (filter_parse(text, 4, is_color, NULL, &f, &err) < 0)
        fail_msg("%s: %s", text, err.msg);
    assert_string_equal(strbuf_str(&f.sql), sql);
    filter_release(&f);
}

static void is_refused(const char *text, const char *why)
{
    struct filter f;
    struct err err = {0};
    assert_int_equal(filter_parse(text, 4, is_color, NULL, &f, &err), -ERR_INVALID);
    if (!strstr(err.msg, why))
        fail_msg("%s: '%s' does not say '%s'", text, err.msg, why);
    filter_release(&f);
}

static void accepts(void **state)
{
    (void)state;
    becomes("", "");
    becomes("  ", "");
    becomes("WorkflowId='a'", "(workflow_id=?4)");
    becomes("WorkflowId = \"a\" AND WorkflowType != 'b'", "(workflow_id=?4) AND (type!=?5)");
    becomes("`RunId` = 'x'", "(run_id=?4)");
    becomes("ExecutionStatus='Running'", "(status=1)");
    becomes("ExecutionStatus = 'TimedOut' or ExecutionStatus IN ('Failed', 'Canceled')",
            "(status=7) OR (status IN (3,4))");
    becomes("StartTime > 5 and (CloseTime <= 7 or NOT WorkflowId='x')",
            "(start_ns>?4) AND ((close_ns<=?5) OR NOT (workflow_id=?6))");
    becomes("WorkflowId STARTS_WITH 'ab'", "(substr(workflow_id,1,length(?4))=?4)");
    becomes("WorkflowId NOT STARTS_WITH 'ab'", "NOT (substr(workflow_id,1,length(?4))=?4)");
    becomes("StartTime BETWEEN 1 AND 2", "(start_ns BETWEEN ?4 AND ?5)");
    becomes("CloseTime IS NULL", "(close_ns IS NULL)");
    becomes("CloseTime IS NOT NULL", "(close_ns IS NOT NULL)");
    becomes("WorkflowType NOT IN ('a')", "NOT (type IN (?4))");
    becomes("WorkflowId<>'a'", "(workflow_id<>?4)");
}

static void refuses(void **state)
{
    (void)state;
    is_refused("Colour='red'", "unknown field at character 1");
    is_refused("WorkflowId", "a comparison is expected");
    is_refused("WorkflowId=", "a value is expected");
    is_refused("WorkflowId='a", "does not end");
    is_refused("WorkflowId='a' AND", "a field name is expected");
    is_refused("WorkflowId='a' WorkflowId='b'", "the end is expected at character 16");
    is_refused("(WorkflowId='a'", "')' is expected");
    is_refused("WorkflowId='a')", "the end is expected");
    is_refused("WorkflowId=5", "a string is expected");
    is_refused("ExecutionStatus='Sleeping'", "unknown status");
    is_refused("ExecutionStatus=99", "unknown status");
    is_refused("StartTime>'yesterday'", "a time");
    is_refused("StartTime>'2026-13-01T00:00:00Z'", "a time");
    is_refused("StartTime STARTS_WITH '2026'", "for strings");
    is_refused("WorkflowId IN ()", "a value is expected");
    is_refused("WorkflowId IN 'a'", "'('");
    is_refused("WorkflowId='a'; DROP TABLE execution", "unexpected character");
    is_refused("WorkflowId = 99999999999999999999", "64 bits");
    is_refused("StartTime BETWEEN 1 OR 2", "AND is expected");
}

static void search_attributes_are_rows_of_their_own(void **state)
{
    (void)state;
    becomes("Color='red'", "run_key IN(SELECT run_key FROM attribute WHERE name=?4 AND (value=?5))");
    becomes("Color!='red'", "run_key NOT IN(SELECT run_key FROM attribute WHERE name=?4 AND (value=?5))");
    becomes("Color>1.5 AND Color=true",
            "run_key IN(SELECT run_key FROM attribute WHERE name=?4 AND (value>?5)) AND "
            "run_key IN(SELECT run_key FROM attribute WHERE name=?6 AND (value=?7))");
    becomes("Color NOT IN ('red','blue')",
            "run_key NOT IN(SELECT run_key FROM attribute WHERE name=?4 AND (value IN (?5,?6)))");
    becomes("Color BETWEEN 1 AND 2", "run_key IN(SELECT run_key FROM attribute WHERE name=?4 AND (value BETWEEN ?5 AND ?6))");
    becomes("Color STARTS_WITH 'r'",
            "run_key IN(SELECT run_key FROM attribute WHERE name=?4 AND (substr(value,1,length(?5))=?5))");
    becomes("Color IS NULL", "run_key NOT IN(SELECT run_key FROM attribute WHERE name=?4)");
    becomes("Color IS NOT NULL", "run_key IN(SELECT run_key FROM attribute WHERE name=?4)");
    is_refused("Colour='red'", "unknown field");
    is_refused("Color IS 5", "NULL is expected");
    is_refused("WorkflowId=1.5", "an integer is expected");
    char buf[FILTER_TIME_SIZE];
    assert_true(filter_normal_time("2026-11-23T12:47:32.5+02:00", buf));
    assert_string_equal(buf, "2026-11-23T10:47:32.500000000Z");
    assert_false(filter_normal_time("2026-11-23", buf));
}

static void groups_and_order(void **state)
{
    (void)state;
    struct filter f;
    struct err err = {0};
    assert_int_equal(filter_parse("WorkflowId='a' GROUP BY ExecutionStatus", 1, NULL, NULL, &f, &err), 0);
    assert_true(f.group_by_status);
    filter_release(&f);
    assert_int_equal(filter_parse("group by ExecutionStatus", 1, NULL, NULL, &f, &err), 0);
    assert_true(f.group_by_status && !f.sql.len);
    filter_release(&f);
    becomes("WorkflowId='a' ORDER BY StartTime DESC", "(workflow_id=?4)");
    is_refused("GROUP BY WorkflowType", "by ExecutionStatus only");
    is_refused("ORDER BY CloseTime DESC", "by StartTime only");
    is_refused("ORDER BY StartTime ASC", "DESC is expected");
}

static void values_are_parameters(void **state)
{
    (void)state;
    struct filter f;
    struct err err = {0};
    assert_int_equal(filter_parse("WorkflowId='it''s' OR WorkflowId='a\\'b' OR StartTime='2026-11-23T12:47:32.5+02:00'",
                                  1, NULL, NULL, &f, &err), 0);
    assert_int_equal(f.values.len, 3);
    assert_string_equal(f.values.v[0].text, "it's");
    assert_string_equal(f.values.v[1].text, "a'b");
    assert_int_equal(f.values.v[2].number, INT64_C(1795430852500000000));
    filter_release(&f);
}

static void is_bounded(void **state)
{
    (void)state;
    char text[FILTER_TEXT_MAX + 10];
    memset(text, '(', 200);
    text[200] = 0;
    is_refused(text, "too many nested");
    memset(text, ' ', sizeof text - 1);
    text[sizeof text - 1] = 0;
    is_refused(text, "longer than");
    size_t n = 0;
    while (n + 20 < FILTER_TEXT_MAX)
        n += (size_t)sprintf(text + n, "%sRunId='x'", n ? " OR " : "");
    is_refused(text, "too many values");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(refuses),
        cmocka_unit_test(search_attributes_are_rows_of_their_own),
        cmocka_unit_test(groups_and_order),
        cmocka_unit_test(values_are_parameters),
        cmocka_unit_test(is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
