/* One finding: what is accepted, what is refused, what is cut, and that any bytes come out as JSON. */
#include "base/mem.h"
#include "codec/finding.h"
#include "codec/json.h"
#include "codec/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static json_t *parse(const char *text)
{
    json_t *j = NULL;
    struct err err = {0};
    if (json_parse(text, strlen(text), 1 << 20, &j, &err) < 0)
        fail_msg("%s", err.msg);
    return j;
}

static int read_finding(const char *text, struct finding *f, struct err *err)
{
    _cleanup_json_ json_t *j = parse(text);
    return finding_from_json(j, f, err);
}

static void expect_refused(const char *text, const char *word)
{
    struct finding f;
    struct err err = {0};
    assert_int_equal(read_finding(text, &f, &err), -ERR_INVALID);
    if (!strstr(err.msg, word))
        fail_msg("'%s' does not say '%s'", err.msg, word);
    assert_null(f.rule_id);
    assert_int_equal(read_finding(text, &f, NULL), -ERR_INVALID);
}

#define MINIMAL "\"rule_id\":\"sql/concat\",\"title\":\"T\",\"severity\":\"high\""

static void test_round_trip(void **state)
{
    static const char text[] =
        "{\"id\":\"01J\",\"rule_id\":\"sql/concat\",\"title\":\"T\",\"description\":\"D\",\"severity\":\"high\","
        "\"level\":\"error\",\"confidence\":\"low\",\"cwe\":[89,564],\"file\":\"src/a.py\",\"line\":3,\"column\":5,"
        "\"end_line\":4,\"end_column\":1,\"snippet\":\"x\",\"recommendation\":\"R\",\"module\":\"m\","
        "\"fingerprint\":\"ab\",\"context_hash\":\"cd\",\"status\":\"unchanged\",\"suppressed\":true,"
        "\"suppression_reason\":\"why\",\"evidence\":{\"stack\":[1]},\"metadata\":{\"k\":1}}";
    struct finding f;
    struct err err = {0};
    assert_int_equal(read_finding(text, &f, &err), 0);
    assert_int_equal(f.severity, SEVERITY_HIGH);
    assert_int_equal(f.cwe_count, 2);
    struct finding copy;
    assert_int_equal(finding_copy(&f, &copy, &err), 0);
    finding_release(&f);
    _cleanup_json_ json_t *j = finding_to_json(&copy);
    struct strbuf b = STRBUF_INIT;
    assert_int_equal(json_write(j, &b, &err), 0);
    assert_string_equal(b.s, text);
    strbuf_release(&b);
    finding_release(&copy);
}

static void test_defaults_and_unknown_keys(void **state)
{
    struct finding f;
    assert_int_equal(read_finding("{\"type\":\"finding\"," MINIMAL ",\"tool\":\"x\",\"metadata\":{\"a\":1}}", &f, NULL), 0);
    assert_int_equal(f.confidence, CONFIDENCE_MEDIUM);
    assert_int_equal(f.status, FINDING_NEW);
    assert_null(f.file);
    assert_string_equal(json_str(f.metadata, "tool", ""), "x");
    assert_int_equal(json_i64(f.metadata, "a", 0), 1);
    assert_int_equal(json_object_size(f.metadata), 2);
    finding_release(&f);
    assert_int_equal(read_finding("{\"rule_id\":\"r\",\"title\":\"T\",\"level\":\"warning\"}", &f, NULL), 0);
    assert_int_equal(f.severity, SEVERITY_MEDIUM);
    finding_release(&f);
}

static void test_refused(void **state)
{
    expect_refused("[]", "object");
    expect_refused("{\"title\":\"T\",\"severity\":\"high\"}", "rule_id");
    expect_refused("{\"rule_id\":\"\",\"title\":\"T\",\"severity\":\"high\"}", "rule_id");
    expect_refused("{\"rule_id\":\"r\",\"severity\":\"high\"}", "title");
    expect_refused("{\"rule_id\":\"r\",\"title\":7,\"severity\":\"high\"}", "title");
    expect_refused("{\"rule_id\":\"r\",\"title\":\"T\"}", "severity");
    expect_refused("{\"rule_id\":\"r\",\"title\":\"T\",\"severity\":\"hihg\"}", "hihg");
    expect_refused("{" MINIMAL ",\"file\":\"/etc/passwd\"}", "absolute");
    expect_refused("{" MINIMAL ",\"file\":\"a/../../b\"}", "climbs");
    expect_refused("{" MINIMAL ",\"file\":\"a\\u0000b\"}", "NUL");
    expect_refused("{" MINIMAL ",\"line\":-1}", "line");
    expect_refused("{" MINIMAL ",\"line\":1.5}", "line");
    expect_refused("{" MINIMAL ",\"line\":99999999999}", "line");
    expect_refused("{" MINIMAL ",\"cwe\":[0]}", "cwe");
    expect_refused("{" MINIMAL ",\"cwe\":[\"sql\"]}", "cwe");
    expect_refused("{" MINIMAL ",\"confidence\":\"sure\"}", "confidence");
    expect_refused("{" MINIMAL ",\"status\":\"old\"}", "status");
    expect_refused("{" MINIMAL ",\"suppressed\":1}", "suppressed");
    expect_refused("{" MINIMAL ",\"evidence\":[]}", "evidence");
    expect_refused("{" MINIMAL ",\"metadata\":\"x\"}", "metadata");
}

static void test_paths(void **state)
{
    static const char *const table[][2] = {
        {"./a//b/./c.py", "a/b/c.py"}, {"a/", "a"}, {"..a/b..", "..a/b.."}, {".", NULL}, {"a%20b", "a%20b"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "{" MINIMAL ",\"file\":\"%s\"}", table[i][0]);
        struct finding f;
        assert_int_equal(read_finding(text, &f, NULL), 0);
        if (table[i][1])
            assert_string_equal(f.file, table[i][1]);
        else
            assert_null(f.file);
        finding_release(&f);
    }
}

static void test_ranges(void **state)
{
    static const struct {
        int in[4], out[4];
    } table[] = {
        {{5, 2, 7, 1}, {5, 2, 7, 1}}, {{5, 2, 4, 9}, {5, 2, 0, 9}}, {{5, 9, 5, 2}, {5, 9, 5, 0}},
        {{0, 3, 4, 5}, {0, 0, 0, 0}}, {{5, 3, 0, 8}, {5, 3, 0, 8}},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[256];
        const int *in = table[i].in, *out = table[i].out;
        snprintf(text, sizeof text, "{" MINIMAL ",\"line\":%d,\"column\":%d,\"end_line\":%d,\"end_column\":%d}",
                 in[0], in[1], in[2], in[3]);
        struct finding f;
        assert_int_equal(read_finding(text, &f, NULL), 0);
        assert_int_equal(f.line, out[0]);
        assert_int_equal(f.column, out[1]);
        assert_int_equal(f.end_line, out[2]);
        assert_int_equal(f.end_column, out[3]);
        finding_release(&f);
    }
}

static void test_cwe_forms(void **state)
{
    struct finding f;
    assert_int_equal(read_finding("{" MINIMAL ",\"cwe\":\"CWE-89: SQL injection\"}", &f, NULL), 0);
    assert_int_equal(f.cwe[0], 89);
    finding_release(&f);
    assert_int_equal(read_finding("{" MINIMAL ",\"cwe\":[1,2,3,4,5,6,7,8,9,10]}", &f, NULL), 0);
    assert_int_equal(f.cwe_count, FINDING_CWE_MAX);
    finding_release(&f);
}

static void test_cut(void **state)
{
    /* 2-byte characters from an odd offset: the cut must fall before one, not in it. */
    struct strbuf b = STRBUF_INIT;
    strbuf_puts(&b, "{\"rule_id\":\"r\",\"severity\":\"low\",\"title\":\"x");
    for (int i = 0; i < FINDING_TITLE_MAX; i++)
        strbuf_puts(&b, "\xc3\xa4");
    strbuf_puts(&b, "\",\"metadata\":{\"big\":\"");
    for (int i = 0; i < FINDING_OBJECT_MAX; i++)
        strbuf_putc(&b, 'm');
    strbuf_puts(&b, "\"}}");
    struct finding f;
    assert_int_equal(read_finding(b.s, &f, NULL), 0);
    assert_int_equal(strlen(f.title), FINDING_TITLE_MAX - 1);
    assert_true(utf8_valid(f.title, strlen(f.title)));
    assert_null(json_object_get(f.metadata, "big"));
    assert_true(json_i64(f.metadata, "dropped_bytes", 0) > FINDING_OBJECT_MAX);
    finding_release(&f);
    strbuf_release(&b);
    char path[FINDING_PATH_MAX + 100];
    memset(path, 'p', sizeof path);
    path[sizeof path - 1] = 0;
    strbuf_printf(&b, "{" MINIMAL ",\"file\":\"%s\"}", path);
    expect_refused(b.s, "longer");
    strbuf_release(&b);
}

static void test_bytes_that_are_not_utf8(void **state)
{
    struct finding f = {.rule_id = (char *)"r", .title = (char *)"a\xff" "b", .file = (char *)"d\xc3\xa4/\xff\xfe.py"};
    _cleanup_json_ json_t *j = finding_to_json(&f);
    assert_string_equal(json_str(j, "file", ""), "d\xc3\xa4/%FF%FE.py");
    assert_string_equal(json_str(j, "title", ""), "a\xef\xbf\xbd" "b");
}

static void test_severity(void **state)
{
    enum severity s;
    struct err err = {0};
    assert_int_equal(severity_parse("error", &s, &err), 0);
    assert_int_equal(s, SEVERITY_HIGH);
    assert_int_equal(severity_parse("note", &s, &err), 0);
    assert_int_equal(s, SEVERITY_LOW);
    assert_int_equal(severity_parse("critcal", &s, &err), -ERR_INVALID);
    assert_non_null(strstr(err.msg, "critcal"));
    assert_non_null(strstr(err.hint, "'critical'"));
    assert_string_equal(severity_sarif_level(SEVERITY_CRITICAL), "error");
    assert_string_equal(severity_sarif_level(SEVERITY_MEDIUM), "warning");
    assert_string_equal(severity_sarif_level(SEVERITY_INFO), "note");
}

static void test_out_of_memory(void **state)
{
    _cleanup_json_ json_t *j = parse("{" MINIMAL ",\"file\":\"a/b\",\"description\":\"d\",\"x\":1}");
    for (long n = 1;; n++) {
        struct finding f, copy = {0};
        struct err err = {0};
        mem_fault_set(n, 0);
        int r = finding_from_json(j, &f, &err);
        if (r == 0)
            r = finding_copy(&f, &copy, &err);
        int hit = mem_fault_hit();
        mem_fault_set(0, 0);
        assert_int_equal(r, hit ? -ERR_NO_MEMORY : 0);
        finding_release(&f);
        finding_release(&copy);
        if (!hit)
            break;
        assert_true(n < 1000);
    }
}

static void test_utf8(void **state)
{
    static const struct {
        const char *s;
        size_t n;
    } table[] = {
        {"a", 1},          {"\xc3\xa4", 2},     {"\xe2\x82\xac", 3}, {"\xf0\x9f\x98\x80", 4}, {"\xc0\x80", 0},
        {"\xe0\x80\x80", 0}, {"\xed\xa0\x80", 0}, {"\xf4\x90\x80\x80", 0}, {"\xf5\x80\x80\x80", 0}, {"\x80", 0},
        {"\xc3", 0},       {"\xe2\x82", 0},     {"\xf0\x80\x80\x80", 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(utf8_sequence(table[i].s, strlen(table[i].s)), table[i].n);
    assert_int_equal(utf8_cut("ab\xf0\x9f\x98\x80", 6, 5), 2);
    assert_int_equal(utf8_cut("ab\xf0\x9f\x98\x80", 6, 3), 2);
    assert_int_equal(utf8_cut("ab\xf0\x9f\x98\x80", 6, 6), 6);
    assert_int_equal(utf8_cut("\x80\x80\x80\x80", 4, 2), 2);
    assert_int_equal(utf8_utf16_units("a\xf0\x9f\x98\x80\xff", 6), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_defaults_and_unknown_keys),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_cwe_forms),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_bytes_that_are_not_utf8),
        cmocka_unit_test(test_severity),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
