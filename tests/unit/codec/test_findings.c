/* Lists of findings: reading, merging in any order, fingerprints, ids, baseline, suppressions, gate. */
#include "base/mem.h"
#include "codec/findings.h"
#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const lines[] = {
    "{\"rule_id\":\"a/x\",\"title\":\"T\",\"severity\":\"low\",\"file\":\"b.py\",\"line\":9,\"snippet\":\"eval(x)\"}",
    "{\"rule_id\":\"a/x\",\"title\":\"T\",\"severity\":\"low\",\"file\":\"b.py\",\"line\":3,\"snippet\":\"eval( x)\"}",
    "{\"rule_id\":\"a/x\",\"title\":\"T\",\"severity\":\"low\",\"file\":\"b.py\",\"line\":5,\"snippet\":\"eval(  x)\"}",
    "{\"rule_id\":\"b/y\",\"title\":\"U\",\"severity\":\"critical\",\"file\":\"z.py\",\"line\":1}",
    "{\"rule_id\":\"b/y\",\"title\":\"U\",\"severity\":\"critical\",\"file\":\"a.py\",\"line\":1}",
    "{\"rule_id\":\"c/z\",\"title\":\"V\",\"severity\":\"high\"}",
    /* the same place, told by two modules with different grades */
    "{\"rule_id\":\"d/s\",\"title\":\"W\",\"severity\":\"low\",\"confidence\":\"high\",\"file\":\"k\",\"line\":2,\"cwe\":[1],\"module\":\"m2\","
    "\"suppressed\":true,\"suppression_reason\":\"test key\"}",
    "{\"rule_id\":\"d/s\",\"title\":\"W\",\"severity\":\"medium\",\"confidence\":\"low\",\"file\":\"k\",\"line\":2,\"cwe\":[2,1],\"module\":\"m1\"}",
};
#define LINES (sizeof lines / sizeof lines[0])

static void read_ok(struct findings *list, const char *text)
{
    struct err err = {0};
    if (findings_read(list, text, strlen(text), &err) < 0)
        fail_msg("%s", err.msg);
}

static char *write_all(const struct findings *list)
{
    struct strbuf b = STRBUF_INIT;
    for (size_t i = 0; i < list->len; i++)
        assert_int_equal(findings_write_line(&list->v[i], &b, NULL), 0);
    return strbuf_take(&b, NULL);
}

static void read_lines(struct findings *list, const size_t order[LINES])
{
    for (size_t i = 0; i < LINES; i++)
        read_ok(list, lines[order ? order[i] : i]);
}

static void test_read_forms(void **state)
{
    struct findings list = {0};
    char text[2048];
    snprintf(text, sizeof text, "\n%s\n\n  \r\n%s", lines[0], lines[3]);
    read_ok(&list, text);
    assert_int_equal(list.len, 2);
    snprintf(text, sizeof text, "[%s,\n%s]", lines[0], lines[3]);
    read_ok(&list, text);
    assert_int_equal(list.len, 4);
    snprintf(text, sizeof text, "{\n\"summary\":{},\"findings\":[%s]}", lines[0]);
    read_ok(&list, text);
    assert_int_equal(list.len, 5);
    snprintf(text, sizeof text, "{\"findings\":[%s]}", lines[0]);
    read_ok(&list, text);
    assert_int_equal(list.len, 6);
    read_ok(&list, "");
    read_ok(&list, " \n");
    read_ok(&list, "{\"rule_id\":\"r\",\"title\":\"\\\"findings\\\"\",\"severity\":\"low\",\"x\":{\"findings\":1}}");
    assert_int_equal(list.len, 7);
    findings_release(&list);
}

static void expect_bad(const char *text, const char *word)
{
    struct findings list = {0};
    struct err err = {0};
    assert_int_equal(findings_read(&list, text, strlen(text), &err), -ERR_INVALID);
    if (!strstr(err.msg, word))
        fail_msg("'%s' does not say '%s'", err.msg, word);
    assert_int_equal(findings_read(&list, text, strlen(text), NULL), -ERR_INVALID);
    findings_release(&list);
}

static void test_read_bad(void **state)
{
    char text[1024];
    snprintf(text, sizeof text, "%s\n{\"rule_id\":1}\n", lines[0]);
    expect_bad(text, "line 2");
    snprintf(text, sizeof text, "%s\n{\"rule_id\":", lines[0]);
    expect_bad(text, "line 2");
    snprintf(text, sizeof text, "[%s,{}]", lines[0]);
    expect_bad(text, "finding 2");
    expect_bad("nonsense", "line 1");
    expect_bad("[1", "JSON");
}

static void test_merge_any_order(void **state)
{
    struct findings list = {0};
    read_lines(&list, NULL);
    assert_int_equal(findings_merge(&list, NULL), 0);
    assert_int_equal(list.len, LINES - 1);
    char *expected = write_all(&list);
    /* merging again changes nothing */
    assert_int_equal(findings_merge(&list, NULL), 0);
    char *again = write_all(&list);
    assert_string_equal(again, expected);
    free(again);
    findings_release(&list);
    srand(7);
    for (int round = 0; round < 200; round++) {
        size_t order[LINES];
        for (size_t i = 0; i < LINES; i++) {
            size_t k = (size_t)rand() % (i + 1);
            order[i] = order[k];
            order[k] = i;
        }
        read_lines(&list, order);
        assert_int_equal(findings_merge(&list, NULL), 0);
        char *got = write_all(&list);
        assert_string_equal(got, expected);
        free(got);
        findings_release(&list);
    }
    free(expected);
}

static void test_merge_result(void **state)
{
    struct findings list = {0};
    read_lines(&list, NULL);
    assert_int_equal(findings_merge(&list, NULL), 0);
    static const char *const order[] = {"a.py", "z.py", NULL, "k", "b.py", "b.py", "b.py"};
    for (size_t i = 0; i < list.len; i++)
        if (order[i])
            assert_string_equal(list.v[i].file, order[i]);
        else
            assert_null(list.v[i].file);
    assert_int_equal(list.v[4].line, 3);
    assert_int_equal(list.v[6].line, 9);
    const struct finding *k = &list.v[3];
    assert_int_equal(k->severity, SEVERITY_MEDIUM);
    assert_int_equal(k->confidence, CONFIDENCE_HIGH);
    assert_int_equal(k->cwe_count, 2);
    assert_string_equal(k->module, "m1");
    assert_true(k->suppressed);
    assert_string_equal(k->suppression_reason, "test key");
    const json_t *others = json_object_get(k->metadata, "also_reported_by");
    assert_int_equal(json_array_size(others), 1);
    assert_string_equal(json_string_value(json_array_get(others, 0)), "m2");
    findings_release(&list);
}

static void test_one_credential_a_line(void **state)
{
    static const char *const told[] = {
        "{\"rule_id\":\"credentials/password\",\"title\":\"P\",\"severity\":\"high\",\"file\":\"a\",\"line\":3,"
        "\"cwe\":[259],\"module\":\"security_analyzer\"}",
        "{\"rule_id\":\"secret/generic-quoted\",\"title\":\"G\",\"severity\":\"medium\",\"file\":\"a\",\"line\":3,"
        "\"cwe\":[798],\"module\":\"secret_detection\"}",
        "{\"rule_id\":\"credentials/password\",\"title\":\"P\",\"severity\":\"high\",\"file\":\"a\",\"line\":4,"
        "\"cwe\":[798],\"module\":\"security_analyzer\"}",
        "{\"rule_id\":\"secret/stripe\",\"title\":\"S\",\"severity\":\"medium\",\"file\":\"a\",\"line\":4,"
        "\"cwe\":[798],\"module\":\"secret_detection\"}",
        "{\"rule_id\":\"secret/slack\",\"title\":\"K\",\"severity\":\"low\",\"file\":\"a\",\"line\":4,"
        "\"cwe\":[798],\"module\":\"secret_detection\"}",
        "{\"rule_id\":\"sql/x\",\"title\":\"Q\",\"severity\":\"low\",\"file\":\"a\",\"line\":4,\"cwe\":[89]}",
    };
    for (int backwards = 0; backwards < 2; backwards++) {
        struct findings list = {0};
        for (int i = 0; i < 6; i++)
            read_ok(&list, told[backwards ? 5 - i : i]);
        assert_int_equal(findings_merge(&list, NULL), 0);
        assert_int_equal(list.len, 4);
        assert_string_equal(list.v[0].rule_id, "credentials/password"); /* before the name of a variable */
        assert_int_equal(list.v[0].cwe_count, 2);
        assert_string_equal(list.v[1].rule_id, "secret/stripe");
        assert_int_equal(list.v[1].severity, SEVERITY_HIGH);
        assert_string_equal(list.v[2].rule_id, "secret/slack"); /* another secret of the same line */
        assert_string_equal(list.v[3].rule_id, "sql/x");
        findings_release(&list);
    }
}

static void test_fingerprints(void **state)
{
    struct findings a = {0}, b = {0};
    read_lines(&a, NULL);
    assert_int_equal(findings_merge(&a, NULL), 0);
    for (size_t i = 0; i < a.len; i++) {
        assert_int_equal(strlen(a.v[i].fingerprint), FINDINGS_FINGERPRINT_HEX);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(a.v[i].fingerprint, a.v[k].fingerprint);
    }
    /* lines move, white space changes: the fingerprint stays */
    read_ok(&b, "{\"rule_id\":\"a/x\",\"title\":\"T\",\"severity\":\"low\",\"file\":\"b.py\",\"line\":77,\"snippet\":\"\\teval(x) \"}");
    assert_int_equal(findings_merge(&b, NULL), 0);
    assert_string_equal(b.v[0].fingerprint, a.v[6].fingerprint);
    findings_release(&b);
    /* rule, path, text: each matters */
    static const char *const others[] = {
        "{\"rule_id\":\"a/w\",\"title\":\"T\",\"severity\":\"low\",\"file\":\"b.py\",\"line\":9,\"snippet\":\"eval(x)\"}",
        "{\"rule_id\":\"a/x\",\"title\":\"T\",\"severity\":\"low\",\"file\":\"c.py\",\"line\":9,\"snippet\":\"eval(x)\"}",
        "{\"rule_id\":\"a/x\",\"title\":\"T\",\"severity\":\"low\",\"file\":\"b.py\",\"line\":9,\"snippet\":\"eval(y)\"}",
        "{\"rule_id\":\"a/x\",\"title\":\"T\",\"severity\":\"low\",\"file\":\"b.py\",\"line\":9,\"snippet\":\"eval(x)\",\"fingerprint\":\"1\"}",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        read_ok(&b, others[i]);
        assert_int_equal(findings_merge(&b, NULL), 0);
        for (size_t k = 0; k < a.len; k++)
            assert_string_not_equal(b.v[0].fingerprint, a.v[k].fingerprint);
        findings_release(&b);
    }
    findings_release(&a);
}

static void test_context(void **state)
{
    struct finding f = {.rule_id = (char *)"r", .file = (char *)"f"};
    assert_int_equal(finding_set_context(&f, " a  b\n", 6, NULL), 0);
    char *first = f.context_hash;
    f.context_hash = NULL;
    assert_int_equal(finding_set_context(&f, "a\tb", 3, NULL), 0);
    assert_string_equal(first, f.context_hash);
    assert_int_equal(finding_set_context(&f, "ab", 2, NULL), 0);
    assert_string_not_equal(first, f.context_hash);
    free(first);
    free(f.context_hash);
}

static void test_ids(void **state)
{
    struct findings a = {0}, b = {0};
    read_lines(&a, NULL);
    read_lines(&b, NULL);
    assert_int_equal(findings_merge(&a, NULL), 0);
    assert_int_equal(findings_merge(&b, NULL), 0);
    assert_int_equal(findings_assign_ids(&a, "run1", 1469918176385, NULL), 0);
    assert_int_equal(findings_assign_ids(&b, "run1", 1469918176385, NULL), 0);
    for (size_t i = 0; i < a.len; i++) {
        assert_int_equal(strlen(a.v[i].id), 26);
        assert_int_equal(strspn(a.v[i].id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 26);
        assert_memory_equal(a.v[i].id, "01ARYZ6S41", 10); /* the time of the ULID specification's example */
        assert_string_equal(a.v[i].id, b.v[i].id);
        if (i > 0)
            assert_string_not_equal(a.v[i].id, a.v[i - 1].id);
    }
    assert_int_equal(findings_assign_ids(&a, "run2", 0, NULL), 0); /* given ones stay */
    assert_string_equal(a.v[0].id, b.v[0].id);
    findings_release(&b);
    read_lines(&b, NULL);
    assert_int_equal(findings_merge(&b, NULL), 0);
    assert_int_equal(findings_assign_ids(&b, "run2", 1469918176385, NULL), 0);
    assert_string_not_equal(a.v[0].id, b.v[0].id);
    findings_release(&a);
    findings_release(&b);
}

static void test_counts(void **state)
{
    struct findings list = {0};
    read_lines(&list, NULL);
    assert_int_equal(findings_merge(&list, NULL), 0);
    list.v[0].status = FINDING_ABSENT;
    struct findings_counts c = findings_count(&list);
    assert_int_equal(c.by_severity[SEVERITY_CRITICAL], 1);
    assert_int_equal(c.by_severity[SEVERITY_HIGH], 1);
    assert_int_equal(c.by_severity[SEVERITY_MEDIUM], 0);
    assert_int_equal(c.by_severity[SEVERITY_LOW], 3);
    assert_int_equal(c.total, 5);
    assert_int_equal(c.suppressed, 1);
    assert_int_equal(c.absent, 1);
    _cleanup_json_ json_t *j = findings_counts_json(&c);
    struct strbuf b = STRBUF_INIT;
    assert_int_equal(json_write(j, &b, NULL), 0);
    assert_string_equal(b.s, "{\"critical\":1,\"high\":1,\"medium\":0,\"low\":3,\"info\":0,\"total\":5,\"suppressed\":1}");
    strbuf_release(&b);
    findings_release(&list);
}

static void test_baseline(void **state)
{
    struct findings base = {0}, now = {0};
    read_ok(&base, lines[3]);
    read_ok(&base, lines[5]);
    assert_int_equal(findings_merge(&base, NULL), 0);
    read_ok(&now, lines[3]);
    read_ok(&now, lines[0]);
    assert_int_equal(findings_merge(&now, NULL), 0);
    assert_int_equal(findings_compare(&now, &base, true, NULL), 0);
    assert_int_equal(now.len, 3);
    assert_string_equal(now.v[0].rule_id, "b/y");
    assert_int_equal(now.v[0].status, FINDING_UNCHANGED);
    assert_string_equal(now.v[1].rule_id, "c/z");
    assert_int_equal(now.v[1].status, FINDING_ABSENT);
    assert_int_equal(now.v[2].status, FINDING_NEW);
    /* a second comparison adds nothing twice */
    assert_int_equal(findings_compare(&now, &base, true, NULL), 0);
    assert_int_equal(now.len, 3);
    /* with it as the next baseline, what is absent in it is no part of it */
    struct findings later = {0};
    read_ok(&later, lines[5]);
    assert_int_equal(findings_merge(&later, NULL), 0);
    assert_int_equal(findings_compare(&later, &now, true, NULL), 0);
    assert_int_equal(later.len, 3);
    for (size_t i = 0; i < later.len; i++)
        assert_int_equal(later.v[i].status, strcmp(later.v[i].rule_id, "c/z") == 0 ? FINDING_NEW : FINDING_ABSENT);
    findings_release(&later);
    findings_release(&base);
    findings_release(&now);
}

static void expect_gate(const struct findings *list, const char *level, bool new_only, bool passed,
                        const char *reason)
{
    enum severity s;
    struct findings_gate g;
    assert_int_equal(severity_parse(level, &s, NULL), 0);
    findings_gate(list, s, new_only, &g);
    assert_string_equal(g.reason, reason);
    assert_int_equal(g.passed, passed);
}

static void test_gate(void **state)
{
    struct findings list = {0};
    read_lines(&list, NULL);
    assert_int_equal(findings_merge(&list, NULL), 0);
    expect_gate(&list, "critical", false, false, "2 findings at or above critical");
    expect_gate(&list, "error", false, false, "3 findings at or above high");
    expect_gate(&list, "medium", false, false, "3 findings at or above medium; not counted: 1 suppressed");
    for (size_t i = 0; i < 3; i++)
        list.v[i].status = FINDING_UNCHANGED;
    expect_gate(&list, "medium", true, true,
                "no new finding at or above medium; not counted: 1 suppressed, 3 unchanged");
    expect_gate(&list, "high", true, true, "no new finding at or above high; not counted: 3 unchanged");
    list.v[0].status = FINDING_NEW;
    expect_gate(&list, "high", true, false, "1 new finding at or above high; not counted: 2 unchanged");
    list.v[0].status = list.v[1].status = list.v[2].status = FINDING_ABSENT;
    expect_gate(&list, "high", false, true, "no finding at or above high");
    findings_release(&list);
}

static void test_suppressions(void **state)
{
    struct findings list = {0};
    read_lines(&list, NULL);
    assert_int_equal(findings_merge(&list, NULL), 0);
    _cleanup_json_ json_t *doc =
        json_pack("{s:i, s:[{s:s, s:s}, {s:s, s:s, s:s}]}", "version", 1, "suppressions", "fingerprint",
                  list.v[2].fingerprint, "reason", "known", "rule", "b/*", "path", "z*", "reason", "ours");
    size_t n = 0;
    assert_int_equal(findings_suppress(&list, doc, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_false(list.v[0].suppressed);
    assert_true(list.v[1].suppressed);
    assert_string_equal(list.v[1].suppression_reason, "ours");
    assert_string_equal(list.v[1].suppression_kind, "external");
    assert_true(list.v[2].suppressed);
    assert_string_equal(list.v[2].suppression_reason, "known");
    assert_null(list.v[3].suppression_kind);
    static const char *const bad[] = {
        "{}", "{\"version\":2,\"suppressions\":[]}", "{\"version\":1,\"suppressions\":[{}]}",
        "{\"version\":1,\"suppressions\":[{\"rule\":1}]}", "{\"version\":1,\"suppressions\":[1]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *j = NULL;
        struct err err = {0};
        assert_int_equal(json_parse(bad[i], strlen(bad[i]), 1000, &j, &err), 0);
        assert_int_equal(findings_suppress(&list, j, NULL, &err), -ERR_INVALID);
        json_decref(j);
    }
    findings_release(&list);
}

static void test_out_of_memory(void **state)
{
    for (long n = 1;; n++) {
        struct findings list = {0}, base = {0};
        struct strbuf b = STRBUF_INIT;
        struct err err = {0};
        int r = 0;
        mem_fault_set(n, 0);
        for (size_t i = 0; r == 0 && i < LINES; i++)
            r = findings_read(&list, lines[i], strlen(lines[i]), &err);
        if (r == 0)
            r = findings_read(&base, lines[3], strlen(lines[3]), &err);
        if (r == 0)
            r = findings_merge(&list, &err);
        if (r == 0)
            r = findings_merge(&base, &err);
        if (r == 0)
            r = findings_assign_ids(&list, "r", 1, &err);
        if (r == 0)
            r = findings_compare(&list, &base, true, &err);
        if (r == 0)
            r = findings_write_line(&list.v[0], &b, &err);
        int hit = mem_fault_hit();
        mem_fault_set(0, 0);
        assert_int_equal(r, hit ? -ERR_NO_MEMORY : 0);
        strbuf_release(&b);
        findings_release(&list);
        findings_release(&base);
        if (!hit)
            break;
        assert_true(n < 5000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_forms),   cmocka_unit_test(test_read_bad),
        cmocka_unit_test(test_merge_any_order), cmocka_unit_test(test_merge_result),
        cmocka_unit_test(test_one_credential_a_line),
        cmocka_unit_test(test_fingerprints), cmocka_unit_test(test_context),
        cmocka_unit_test(test_ids),          cmocka_unit_test(test_counts),
        cmocka_unit_test(test_baseline),     cmocka_unit_test(test_gate),
        cmocka_unit_test(test_suppressions), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
