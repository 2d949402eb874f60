/* SARIF: what is written reads back as the same findings, has the parts that receivers need, and is cut with a word. */
#include "base/mem.h"
#include "codec/json.h"
#include "codec/sarif.h"
#include "codec/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char sample[] =
    "{\"rule_id\":\"sql/concat\",\"title\":\"SQL from input\",\"description\":\"Built by hand.\",\"severity\":\"critical\","
    "\"confidence\":\"high\",\"cwe\":[89,564],\"file\":\"src/a b\xc3\xa4%FF.py\",\"line\":3,\"column\":5,\"end_line\":3,"
    "\"end_column\":9,\"snippet\":\"q = 1\",\"recommendation\":\"Bind it.\",\"module\":\"security_analyzer\","
    "\"evidence\":{\"flow\":[{\"file\":\"src/a.py\",\"line\":1,\"message\":\"source\"},{\"message\":\"sink\"}],"
    "\"stack\":[{\"function\":\"main\",\"file\":\"/usr/lib/x.c\",\"line\":7,\"module\":\"libx\"},\"raw frame\"]},"
    "\"metadata\":{\"k\":[1]}}\n"
    "{\"rule_id\":\"secrets/aws\",\"title\":\"Key\",\"severity\":\"high\",\"file\":\".env\",\"line\":1,\"module\":\"secret_rules\","
    "\"suppressed\":true,\"suppression_reason\":\"test\",\"cwe\":[798]}\n"
    "{\"rule_id\":\"sql/concat\",\"title\":\"SQL from input\",\"severity\":\"medium\",\"file\":\"z.py\",\"module\":\"security_analyzer\","
    "\"suppressed\":true,\"suppression_kind\":\"external\",\"snippet\":\"s\"}\n"
    "{\"rule_id\":\"config/debug\",\"title\":\"No place\",\"severity\":\"info\"}\n";

static void read_list(struct findings *list, const char *text)
{
    struct err err = {0};
    if (findings_read(list, text, strlen(text), &err) < 0 || findings_merge(list, &err) < 0 ||
        findings_assign_ids(list, "run", 1700000000000, &err) < 0)
        fail_msg("%s", err.msg);
}

static json_t *write_and_parse(const struct findings *list, const struct sarif_options *o, char **ret_text)
{
    struct strbuf b = STRBUF_INIT;
    struct err err = {0};
    json_t *j = NULL;
    if (sarif_write(list, o, &b, &err) < 0 || json_parse(b.s, b.len, SIZE_MAX, &j, &err) < 0)
        fail_msg("%s", err.msg);
    if (ret_text)
        *ret_text = strbuf_take(&b, NULL);
    strbuf_release(&b);
    return j;
}

/* A member by a path like "runs.0.tool"; fails the test when absent. */
static const json_t *at(const json_t *j, const char *path)
{
    char part[64];
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, ".");
        snprintf(part, sizeof part, "%.*s", (int)n, p);
        j = json_is_array(j) ? json_array_get(j, strtoul(part, NULL, 10)) : json_object_get(j, part);
        if (!j)
            fail_msg("no %s", path);
        p += n + (p[n] == '.');
    }
    return j;
}

static const char *text_at(const json_t *j, const char *path)
{
    return json_string_value(at(j, path));
}

static void test_round_trip(void **state)
{
    struct findings a = {0}, b = {0};
    read_list(&a, sample);
    a.v[0].status = FINDING_UNCHANGED;
    struct sarif_options o = {.run_id = "run", .successful = true, .include_code_flows = true, .compared = true};
    char *text;
    json_decref(write_and_parse(&a, &o, &text));
    assert_true(sarif_looks_like(text, strlen(text)));
    struct err err = {0};
    if (sarif_read(text, strlen(text), &b, &err) < 0)
        fail_msg("%s", err.msg);
    findings_sort(&b);
    assert_int_equal(a.len, b.len);
    for (size_t i = 0; i < a.len; i++) {
        if (!a.v[i].module)
            a.v[i].module = mem_strdup("fuzzforge");
        _cleanup_json_ json_t *x = finding_to_json(&a.v[i]), *y = finding_to_json(&b.v[i]);
        if (!json_equal(x, y))
            fail_msg("%s\n%s", json_dumps(x, 0), json_dumps(y, 0));
    }
    free(text);
    findings_release(&a);
    findings_release(&b);
}

static void test_parts(void **state)
{
    struct findings list = {0};
    read_list(&list, sample);
    _cleanup_json_ json_t *notices = json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s, s:s}]", "kind", "skipped", "path",
                                               "a b/fifo", "text", "a FIFO is not read", "kind", "rule", "text",
                                               "slow", "module", "secret_rules", "level", "note");
    _cleanup_json_ json_t *modules =
        json_pack("[{s:s, s:s}, s]", "name", "security_analyzer", "version", "1.2", "file_scanner");
    _cleanup_json_ json_t *vcs = json_pack("{s:s, s:s}", "repository_uri", "https://example.org/r", "revision", "abc");
    struct sarif_options o = {.run_id = "R1", .workflow = "w", .version = "0.1", .root = "/home/\xc3\xa4 b",
                              .started_ns = 1700000000123000000, .finished_ns = 1700000001000000000,
                              .include_code_flows = true, .module_notices = notices, .notices_left_out = 5, .failure = "it broke",
                              .modules = modules, .vcs = vcs};
    _cleanup_json_ json_t *j = write_and_parse(&list, &o, NULL);
    assert_string_equal(text_at(j, "version"), "2.1.0");
    assert_int_equal(json_array_size(at(j, "runs")), 4);
    const json_t *run = at(j, "runs.0");
    assert_string_equal(text_at(run, "tool.driver.name"), "security_analyzer");
    assert_string_equal(text_at(run, "tool.driver.version"), "1.2");
    assert_string_equal(text_at(run, "columnKind"), "utf16CodeUnits");
    assert_string_equal(text_at(run, "automationDetails.id"), "fuzzforge/w/security_analyzer/R1");
    assert_string_equal(text_at(run, "originalUriBaseIds.%SRCROOT%.uri"), "file:///home/%C3%A4%20b/");
    assert_string_equal(text_at(run, "versionControlProvenance.0.revisionId"), "abc");
    assert_string_equal(text_at(run, "taxonomies.0.taxa.1.id"), "564");
    assert_int_equal(json_array_size(at(run, "tool.driver.rules")), 1);
    const json_t *rule = at(run, "tool.driver.rules.0");
    assert_string_equal(text_at(rule, "help.text"), "Built by hand.\n\nBind it.");
    assert_non_null(strstr(text_at(rule, "help.markdown"), "definitions/89.html"));
    assert_string_equal(text_at(rule, "relationships.1.target.id"), "564");
    assert_int_equal(json_integer_value(at(rule, "relationships.1.target.index")), 1);
    assert_string_equal(text_at(rule, "properties.security-severity"), "9.5");
    assert_string_equal(text_at(rule, "properties.tags.2"), "external/cwe/cwe-089");
    const json_t *result = at(run, "results.0");
    assert_string_equal(text_at(result, "message.text"), "SQL from input\n\nBuilt by hand.");
    assert_string_equal(text_at(result, "locations.0.physicalLocation.artifactLocation.uri"),
                        "src/a%20b%C3%A4%FF.py");
    assert_string_equal(text_at(result, "locations.0.physicalLocation.artifactLocation.uriBaseId"), "%SRCROOT%");
    assert_string_equal(text_at(result, "partialFingerprints.fuzzforge/v1"), list.v[0].fingerprint);
    assert_string_equal(text_at(result, "codeFlows.0.threadFlows.0.locations.1.location.message.text"), "sink");
    assert_string_equal(text_at(result, "stacks.0.frames.0.location.physicalLocation.artifactLocation.uri"),
                        "file:///usr/lib/x.c");
    assert_string_equal(text_at(result, "stacks.0.frames.1.location.message.text"), "raw frame");
    assert_null(json_object_get(result, "baselineState"));
    assert_int_equal(json_array_size(at(result, "suppressions")), 0);
    assert_string_equal(text_at(run, "results.1.suppressions.0.kind"), "external");
    assert_string_equal(text_at(j, "runs.1.results.0.suppressions.0.kind"), "inSource");
    assert_string_equal(text_at(j, "runs.1.results.0.suppressions.0.justification"), "test");
    assert_int_equal(json_integer_value(at(j, "runs.2.results.0.locations.0.physicalLocation.region.startLine")), 1);
    assert_string_equal(text_at(j, "runs.3.tool.driver.name"), "file_scanner");
    assert_int_equal(json_array_size(at(j, "runs.3.results")), 0);
    const json_t *invocation = at(run, "invocations.0");
    assert_true(json_is_false(at(invocation, "executionSuccessful")));
    assert_string_equal(text_at(invocation, "startTimeUtc"), "2023-11-14T22:13:20.123Z");
    assert_int_equal(json_array_size(at(invocation, "toolExecutionNotifications")), 3);
    assert_string_equal(text_at(invocation, "toolExecutionNotifications.0.message.text"), "it broke");
    assert_string_equal(text_at(invocation, "toolExecutionNotifications.0.level"), "error");
    assert_string_equal(text_at(invocation, "toolExecutionNotifications.1.descriptor.id"), "skipped");
    assert_string_equal(text_at(invocation, "toolExecutionNotifications.1.locations.0.physicalLocation.artifactLocation.uri"),
                        "a%20b/fifo");
    assert_string_equal(text_at(invocation, "toolExecutionNotifications.2.message.text"), "5 more notices are left out");
    assert_string_equal(text_at(j, "runs.1.invocations.0.toolExecutionNotifications.0.level"), "note");
    findings_release(&list);
}

static void test_empty(void **state)
{
    struct findings list = {0};
    struct sarif_options o = {.successful = true};
    _cleanup_json_ json_t *j = write_and_parse(&list, &o, NULL);
    assert_int_equal(json_array_size(at(j, "runs")), 1);
    assert_int_equal(json_array_size(at(j, "runs.0.results")), 0);
    assert_true(json_is_true(at(j, "runs.0.invocations.0.executionSuccessful")));
}

static void many(struct findings *list, int n, int modules, int noise)
{
    struct strbuf b = STRBUF_INIT;
    unsigned random = 1;
    for (int i = 0; i < n; i++) {
        strbuf_printf(&b, "{\"rule_id\":\"r/%d\",\"title\":\"t\",\"severity\":\"%s\",\"file\":\"f%d\",\"line\":%d,\"module\":\"m%02d\",\"snippet\":\"",
                      i % 7, i % 2 ? "low" : "high", i, i + 1, i % modules);
        for (int k = 0; k < noise; k++) {
            random = random * 1664525u + 1013904223u;
            strbuf_putc(&b, "0123456789abcdef"[random >> 28]);
        }
        strbuf_puts(&b, "\"}\n");
    }
    read_list(list, b.s);
    strbuf_release(&b);
}

static void test_results_limit(void **state)
{
    struct findings list = {0};
    many(&list, 100, 1, 0);
    struct sarif_options o = {.successful = true, .results_max = 60};
    _cleanup_json_ json_t *j = write_and_parse(&list, &o, NULL);
    assert_int_equal(json_array_size(at(j, "runs.0.results")), 60);
    const char *text = text_at(j, "runs.0.invocations.0.toolExecutionNotifications.0.message.text");
    assert_non_null(strstr(text, "40 results"));
    /* all 50 grave ones are there */
    size_t i, grave = 0;
    json_t *result;
    json_array_foreach((json_t *)(uintptr_t)at(j, "runs.0.results"), i, result)
        grave += strcmp(text_at(result, "level"), "error") == 0;
    assert_int_equal(grave, 50);
    findings_release(&list);
}

static void test_runs_limit(void **state)
{
    struct findings list = {0}, back = {0};
    many(&list, 100, 25, 0);
    struct sarif_options o = {.successful = true};
    char *text;
    _cleanup_json_ json_t *j = write_and_parse(&list, &o, &text);
    assert_int_equal(json_array_size(at(j, "runs")), SARIF_RUNS_MAX);
    assert_non_null(strstr(text_at(j, "runs.0.invocations.0.toolExecutionNotifications.0.message.text"), "5 more modules"));
    assert_int_equal(sarif_read(text, strlen(text), &back, NULL), 0);
    assert_int_equal(back.len, 100); /* none is lost */
    free(text);
    findings_release(&list);
    findings_release(&back);
}

static int count_bytes(void *arg, const char *data, size_t n, struct err *err)
{
    (void)data;
    (void)err;
    *(size_t *)arg += n;
    return 0;
}

static void test_size_limit(void **state)
{
    struct findings list = {0};
    many(&list, 3000, 2, 1000); /* about 500 bytes each when compressed */
    struct sarif_options o = {.successful = true, .gzip_max = 1 << 20};
    struct sarif_stats stats;
    struct out out;
    size_t bytes = 0;
    out_init(&out, count_bytes, &bytes);
    assert_int_equal(sarif_stream(&list, &o, &out, &stats, NULL), 0);
    assert_int_equal(out_finish(&out, NULL), 0);
    assert_int_equal(stats.results + stats.left_out, 3000);
    assert_true(stats.left_out > 500);
    assert_true(stats.results > 300);
    assert_true(stats.gzip_bytes <= o.gzip_max);
    assert_true(bytes > stats.gzip_bytes);
    findings_release(&list);
}

static int fail_write(void *arg, const char *data, size_t n, struct err *err)
{
    (void)arg;
    (void)data;
    (void)n;
    return err_set(err, ERR_NO_SPACE, "full");
}

static void test_write_failure(void **state)
{
    struct findings list = {0};
    many(&list, 3000, 2, 100);
    struct sarif_options o = {.successful = true};
    struct out out;
    struct err err = {0};
    out_init(&out, fail_write, NULL);
    assert_int_equal(sarif_stream(&list, &o, &out, NULL, &err), -ERR_NO_SPACE);
    assert_string_equal(err.msg, "full");
    assert_int_equal(out_finish(&out, NULL), -ERR_NO_SPACE);
    findings_release(&list);
}

static void test_foreign(void **state)
{
    static const char text[] =
        "\xef\xbb\xbf{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"Other\",\"rules\":["
        "{\"id\":\"A1\",\"shortDescription\":{\"text\":\"Injection\"},\"properties\":{\"security-severity\":\"9.1\","
        "\"tags\":[\"external/cwe/cwe-089\"]}},{\"id\":\"B2\",\"defaultConfiguration\":{\"level\":\"note\"}}]}},"
        "\"results\":[{\"ruleIndex\":0,\"message\":{\"text\":\"here\"},\"locations\":[{\"physicalLocation\":"
        "{\"artifactLocation\":{\"uri\":\"src/%C3%A4/%FF.c\"},\"region\":{\"startLine\":4}}}],"
        "\"partialFingerprints\":{\"own\":\"x1\"}},"
        "{\"ruleId\":\"B2\",\"message\":{\"text\":\"m\"},\"locations\":[{\"physicalLocation\":{\"artifactLocation\":"
        "{\"uri\":\"file:///etc/passwd\"}}}],\"suppressions\":[{\"kind\":\"external\",\"status\":\"rejected\"}]},"
        "{\"ruleId\":\"C3\",\"message\":{\"text\":\"m\"},\"locations\":[{\"physicalLocation\":{\"artifactLocation\":"
        "{\"uri\":\"../../etc/x\"}}}],\"suppressions\":[{\"kind\":\"external\"}]}]}]}";
    struct findings list = {0};
    struct err err = {0};
    if (sarif_read(text, sizeof text - 1, &list, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(list.len, 3);
    assert_string_equal(list.v[0].rule_id, "A1");
    assert_string_equal(list.v[0].title, "Injection");
    assert_string_equal(list.v[0].description, "here");
    assert_int_equal(list.v[0].severity, SEVERITY_CRITICAL);
    assert_int_equal(list.v[0].cwe[0], 89);
    assert_string_equal(list.v[0].file, "src/\xc3\xa4/%FF.c");
    assert_int_equal(list.v[0].line, 4);
    assert_string_equal(list.v[0].fingerprint, "x1");
    assert_string_equal(list.v[0].module, "Other");
    assert_int_equal(list.v[1].severity, SEVERITY_LOW);
    assert_null(list.v[1].file);
    assert_false(list.v[1].suppressed);
    assert_null(list.v[2].file);
    assert_int_equal(list.v[2].severity, SEVERITY_MEDIUM);
    assert_true(list.v[2].suppressed);
    findings_release(&list);
}

static void test_bad_files(void **state)
{
    static const char *const bad[] = {
        "", "[]", "{}", "{\"version\":\"2.0.0\",\"runs\":[]}", "{\"version\":\"2.1.0\"}",
        "{\"version\":\"2.1.0\",\"runs\":[{\"results\":{}}]}", "{\"version\":\"2.1.0\",\"runs\":[{\"results\":[1]}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct findings list = {0};
        struct err err = {0};
        assert_int_equal(sarif_read(bad[i], strlen(bad[i]), &list, &err), -ERR_INVALID);
        assert_true(err.msg[0]);
        findings_release(&list);
    }
}

static void test_uri(void **state)
{
    static const char *const table[][2] = {
        {"a/b.c", "a/b.c"}, {"a b", "a%20b"}, {"100%", "100%25"}, {"%FF", "%FF"}, {"%41", "%2541"},
        {"c:d", "c%3Ad"}, {"\xe2\x82\xac", "%E2%82%AC"}, {"a?b#c", "a%3Fb%23c"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct strbuf b = STRBUF_INIT, back = STRBUF_INIT;
        uri_append_path(&b, table[i][0]);
        assert_string_equal(strbuf_str(&b), table[i][1]);
        assert_int_equal(uri_append_decoded(&back, b.s, NULL), 0);
        assert_string_equal(strbuf_str(&back), table[i][0]);
        strbuf_release(&b);
        strbuf_release(&back);
    }
}

static void test_out_of_memory(void **state)
{
    struct findings list = {0};
    read_list(&list, sample);
    struct sarif_options o = {.run_id = "r", .root = "/x y", .include_code_flows = true};
    char *text = NULL;
    json_decref(write_and_parse(&list, &o, &text));
    for (long n = 1;; n++) {
        struct strbuf b = STRBUF_INIT;
        struct findings back = {0};
        struct err err = {0};
        mem_fault_set(n, 0);
        int r = sarif_write(&list, &o, &b, &err);
        if (r == 0)
            r = sarif_read(text, strlen(text), &back, &err);
        int hit = mem_fault_hit();
        mem_fault_set(0, 0);
        assert_int_equal(r, hit ? -ERR_NO_MEMORY : 0);
        if (!hit)
            assert_string_equal(b.s, text);
        strbuf_release(&b);
        findings_release(&back);
        if (!hit)
            break;
        assert_true(n < 5000);
    }
    free(text);
    findings_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_parts),
        cmocka_unit_test(test_empty),         cmocka_unit_test(test_results_limit),
        cmocka_unit_test(test_runs_limit),    cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_write_failure), cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_bad_files),     cmocka_unit_test(test_uri),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
