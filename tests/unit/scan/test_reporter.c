/* sarif_reporter: lists in, one merged list, a SARIF file and a summary out. */
#include "base/mem.h"
#include "codec/json.h"
#include "codec/sarif.h"
#include "module_run.h"
#include "os/fault.h"
#include "os/file.h"
#include "scan/builtin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char one[] =
    "{\"rule_id\":\"injection/sql\",\"title\":\"T\",\"severity\":\"high\",\"file\":\"a.py\",\"line\":2,\"module\":\"m1\"}\n"
    "{\"rule_id\":\"injection/eval\",\"title\":\"E\",\"severity\":\"critical\",\"file\":\"b.py\",\"line\":1,\"module\":\"m1\"}\n";
static const char two[] =
    "{\"rule_id\":\"injection/sql\",\"title\":\"T\",\"severity\":\"high\",\"file\":\"a.py\",\"line\":2,\"module\":\"m2\"}\n"
    "{\"rule_id\":\"secrets/key\",\"title\":\"K\",\"severity\":\"low\",\"file\":\"a.py\",\"line\":9,\"module\":\"m2\",\"suppressed\":true}\n";

struct desk {
    struct lab lab;
    char objects[300];
};

static void desk_init(struct desk *d)
{
    lab_init(&d->lab);
    snprintf(d->objects, sizeof d->objects, "%s/objects", d->lab.workspace);
    module_run_objects = d->objects;
    lab_puts(&d->lab, "objects/0", one);
    lab_puts(&d->lab, "objects/1", two);
}

static void desk_release(struct desk *d)
{
    module_run_objects = NULL;
    lab_release(&d->lab);
}

static json_t *ref(const struct desk *d, const char *name)
{
    return json_pack("{s:s, s:i, s:o}", "ref", "sha256:0", "bytes", 1, "path", json_sprintf("%s/%s", d->objects, name));
}

static json_t *input(const struct desk *d)
{
    return json_pack("{s:[o, o], s:{s:s, s:s, s:s}, s:[{s:s, s:s}], s:[{s:s}]}", "findings", ref(d, "0"), ref(d, "1"),
                     "run", "id", "R1", "workflow", "w", "started_at", "2026-11-23T12:00:00Z", "notifications",
                     "message", "a FIFO is not read", "file", "x/fifo", "modules", "name", "m3");
}

static char *artifact(const struct desk *d, const char *name, size_t *ret_len)
{
    char path[400], *text;
    struct err err = {0};
    snprintf(path, sizeof path, "%s/%s", d->lab.scratch, name);
    if (os_read_file(path, 1 << 20, &text, ret_len, &err) < 0)
        fail_msg("%s", err.msg);
    return text;
}

static void test_report(void **state)
{
    struct desk d;
    desk_init(&d);
    struct module_run r = module_run(&sarif_reporter_module, d.lab.workspace, d.lab.scratch, input(&d));
    assert_int_equal(r.exit_status, 0);
    assert_string_equal(json_str(r.result, "status", ""), "success");
    assert_int_equal(json_array_size(r.findings), 3);
    const json_t *first = json_array_get(r.findings, 0);
    assert_string_equal(json_str(first, "rule_id", ""), "injection/eval");
    assert_int_equal(strlen(json_str(first, "fingerprint", "")), FINDINGS_FINGERPRINT_HEX);
    assert_memory_equal(json_str(first, "id", ""), "01M844DZG0", 10); /* the time of started_at */
    const json_t *s = json_object_get(r.result, "summary");
    assert_int_equal(json_i64(s, "total", -1), 2);
    assert_int_equal(json_i64(s, "suppressed", -1), 1);
    assert_int_equal(json_i64(s, "files_affected", -1), 2);
    assert_int_equal(json_i64(json_object_get(s, "by_severity"), "critical", -1), 1);
    assert_int_equal(json_i64(json_object_get(s, "by_category"), "injection", -1), 2);
    size_t len;
    char *text = artifact(&d, "report.sarif", &len);
    struct findings list = {0};
    assert_int_equal(sarif_read(text, len, &list, NULL), 0);
    assert_int_equal(list.len, 3);
    assert_non_null(strstr(text, "a FIFO is not read"));
    assert_non_null(strstr(text, "\"m3\""));
    free(text);
    findings_release(&list);
    text = artifact(&d, "findings.ndjson", &len);
    assert_int_equal(findings_read(&list, text, len, NULL), 0);
    assert_int_equal(list.len, 3);
    assert_string_equal(list.v[0].id, json_str(first, "id", ""));
    findings_release(&list);
    free(text);
    module_run_release(&r);
    desk_release(&d);
}

static void test_same_again(void **state)
{
    struct desk d;
    desk_init(&d);
    struct module_run a = module_run(&sarif_reporter_module, d.lab.workspace, d.lab.scratch, input(&d));
    json_t *j = input(&d), *lists = json_object_get(j, "findings");
    json_t *last = json_incref(json_array_get(lists, 1)); /* the other order */
    json_array_remove(lists, 1);
    json_array_insert_new(lists, 0, last);
    struct module_run b = module_run(&sarif_reporter_module, d.lab.workspace, d.lab.scratch, j);
    assert_true(json_equal(a.findings, b.findings));
    module_run_release(&a);
    module_run_release(&b);
    desk_release(&d);
}

static void test_baseline(void **state)
{
    struct desk d;
    desk_init(&d);
    struct module_run r = module_run(
        &sarif_reporter_module, d.lab.workspace, d.lab.scratch,
        json_pack("{s:o, s:{s:s}}", "findings", ref(&d, "0"), "run", "id", "R0"));
    size_t len;
    char *sarif = artifact(&d, "report.sarif", &len);
    lab_put(&d.lab, "objects/2", sarif, len);
    free(sarif);
    module_run_release(&r);
    r = module_run(&sarif_reporter_module, d.lab.workspace, d.lab.scratch,
                   json_pack("{s:o, s:o, s:{s:s}}", "findings", ref(&d, "1"), "baseline", ref(&d, "2"), "run", "id", "R1"));
    const json_t *s = json_object_get(r.result, "summary");
    assert_int_equal(json_i64(s, "new", -1), 0);
    assert_int_equal(json_i64(s, "absent", -1), 1);
    assert_int_equal(json_array_size(r.findings), 3);
    module_run_release(&r);
    desk_release(&d);
}

static void expect_failed(const struct desk *d, json_t *in, const char *word)
{
    struct module_run r = module_run(&sarif_reporter_module, d->lab.workspace, d->lab.scratch, in);
    assert_string_equal(json_str(r.result, "status", ""), "failed");
    if (!strstr(json_str(r.result, "error", ""), word))
        fail_msg("'%s' does not say '%s'", json_str(r.result, "error", ""), word);
    module_run_release(&r);
}

static void test_bad_input(void **state)
{
    struct desk d;
    desk_init(&d);
    lab_puts(&d.lab, "objects/3", "{\"rule_id\":1}\n");
    expect_failed(&d, json_pack("{s:o}", "findings", ref(&d, "3")), "line 1");
    expect_failed(&d, json_pack("{s:o}", "findings", ref(&d, "9")), "9");
    expect_failed(&d, json_pack("{s:o}", "findings", ref(&d, "../../secret")), "laid out");
    expect_failed(&d, json_pack("{s:{s:s, s:s}}", "findings", "ref", "sha256:1", "path", "/etc/passwd"), "laid out");
    expect_failed(&d, json_pack("{s:[i]}", "findings", 1), "findings must be");
    desk_release(&d);
}

static void test_nothing(void **state)
{
    struct desk d;
    desk_init(&d);
    static const char *const forms[] = {"{}", "{\"findings\":[]}", "{\"findings\":{}}", "{\"findings\":null}"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct module_run r = module_run(&sarif_reporter_module, d.lab.workspace, d.lab.scratch, json_loads(forms[i], 0, NULL));
        assert_string_equal(json_str(r.result, "status", ""), "success");
        assert_int_equal(json_i64(json_object_get(r.result, "summary"), "total", -1), 0);
        module_run_release(&r);
    }
    desk_release(&d);
}

static void test_disk_full(void **state)
{
    struct desk d;
    desk_init(&d);
    os_fault_set(1, ENOSPC, false, "open");
    struct module_run r = module_run(&sarif_reporter_module, d.lab.workspace, d.lab.scratch, json_object());
    assert_true(os_fault_hit());
    os_fault_set(0, 0, false, NULL);
    assert_string_equal(json_str(r.result, "status", ""), "failed");
    module_run_release(&r);
    desk_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report),    cmocka_unit_test(test_same_again), cmocka_unit_test(test_baseline),
        cmocka_unit_test(test_bad_input), cmocka_unit_test(test_nothing),    cmocka_unit_test(test_disk_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
