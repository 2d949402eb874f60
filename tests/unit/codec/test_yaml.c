/* YAML reading: values, places, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "codec/json.h"
#include "codec/yaml.h"

#include <string.h>

static void expect(const char *yaml, const char *json)
{
    struct err err = {0};
    json_t *j = NULL;
    if (yaml_parse(yaml, strlen(yaml), NULL, &j, NULL, &err) < 0)
        fail_msg("%s: %s", yaml, err.msg);
    struct strbuf b = STRBUF_INIT;
    assert_int_equal(json_write(j, &b, &err), 0);
    assert_string_equal(strbuf_str(&b), json);
    strbuf_release(&b);
    json_decref(j);
}

static void refuse(const char *yaml, const char *words)
{
    struct err err = {0};
    json_t *j = NULL;
    struct yaml_marks *m = NULL;
    assert_true(yaml_parse(yaml, strlen(yaml), NULL, &j, &m, &err) < 0);
    assert_null(j);
    assert_null(m);
    if (!strstr(err.msg, words))
        fail_msg("'%s' does not say '%s'", err.msg, words);
}

static void test_values(void **state)
{
    expect("", "null");
    expect("a: 1\nb: [x, 'y', \"z\\n\"]\nc: {d: ~, e: true}\n",
           "{\"a\":1,\"b\":[\"x\",\"y\",\"z\\n\"],\"c\":{\"d\":null,\"e\":true}}");
    expect("[0x1f, 0o17, 010, -3, +4, 1.5, 1e3, .5, 1.]", "[31,15,10,-3,4,1.5,1000.0,0.5,1.0]");
    expect("[yes, no, on, '1', \"true\", !!str 12, 1.0.0, 0x, ., '']",
           "[\"yes\",\"no\",\"on\",\"1\",\"true\",\"12\",\"1.0.0\",\"0x\",\".\",\"\"]");
    expect("x: |\n  a\n  b\ny: >-\n  a\n  b\n", "{\"x\":\"a\\nb\\n\",\"y\":\"a b\"}");
    expect("a: &x [1, 2]\nb: *x\nc: *x\n", "{\"a\":[1,2],\"b\":[1,2],\"c\":[1,2]}");
    expect("1: a\ntrue: b\n", "{\"1\":\"a\",\"true\":\"b\"}");
    expect("a:\nb:\n", "{\"a\":null,\"b\":null}");
    expect("[99999999999999999999]", "[1e20]");
    expect("&a a: 1\nb: *a\n", "{\"a\":1,\"b\":\"a\"}");
}

static void test_refused(void **state)
{
    refuse("a: 1\na: 2\n", "line 2: key 'a' is there twice");
    refuse("a: [1\nb: 2\n", "line 2");
    refuse("--- 1\n--- 2\n", "second document");
    refuse("a: &x [*x]\n", "is inside what it names");
    refuse("a: *nope\n", "names nothing");
    refuse("x: &b {c: 1}\ny:\n  <<: *b\n", "line 3: merge keys");
    refuse("? [a]\n: b\n", "a key must be a scalar");
    refuse("a: !!int x\n", "does not fit its tag");
    refuse("a: !custom x\n", "does not fit its tag");
    refuse("a: !custom {}\n", "unknown tag");
    refuse("a: .inf\n", "infinity");
    refuse("\"a\\0b\": 1\n", "zero byte");
    refuse("a: \xff\n", "line 1");
    refuse("\t- a", "line 1");
}

static void test_bounds(void **state)
{
    char deep[400];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    struct err err = {0};
    json_t *j = NULL;
    assert_int_equal(yaml_parse(deep, 400, NULL, &j, NULL, &err), -ERR_LIMIT);
    refuse("a: &a [x,x,x,x,x,x,x,x,x,x]\n"
           "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
           "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
           "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
           "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"
           "f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
           "more than 100000 nodes");
    const struct yaml_limits small = {.bytes = 10, .nodes = 3, .depth = 2};
    assert_int_equal(yaml_parse("[1, 2, 3, 4]", 12, &small, &j, NULL, &err), -ERR_LIMIT);
    assert_int_equal(yaml_parse("[1,2,3]", 7, &small, &j, NULL, &err), -ERR_LIMIT);
    assert_int_equal(yaml_parse("[[[]]]", 6, &small, &j, NULL, &err), -ERR_LIMIT);
    assert_int_equal(yaml_parse("[[1]]", 5, &small, &j, NULL, &err), 0);
    json_decref(j);
    /* an alias counts with its own depth */
    const struct yaml_limits flat = {.depth = 3};
    const char *nest = "a: &a [[1]]\nb: [*a]\n";
    assert_int_equal(yaml_parse(nest, strlen(nest), &flat, &j, NULL, &err), -ERR_LIMIT);
}

static void test_marks(void **state)
{
    const char *text = "name: x\n"
                       "parameters:\n"
                       "  type: object\n"
                       "  a/b~c:\n"
                       "    - 1\n"
                       "    - k: 2\n"
                       "z:\n"
                       "  7\n";
    struct err err = {0};
    json_t *j = NULL;
    struct yaml_marks *m = NULL;
    assert_int_equal(yaml_parse(text, strlen(text), NULL, &j, &m, &err), 0);
    assert_int_equal(yaml_marks_line(m, ""), 1);
    assert_int_equal(yaml_marks_line(m, "/name"), 1);
    assert_int_equal(yaml_marks_line(m, "/parameters"), 2);
    assert_int_equal(yaml_marks_line(m, "/parameters/type"), 3);
    assert_int_equal(yaml_marks_line(m, "/parameters/a~1b~0c"), 4);
    assert_int_equal(yaml_marks_line(m, "/parameters/a~1b~0c/0"), 5);
    assert_int_equal(yaml_marks_line(m, "/parameters/a~1b~0c/1/k"), 6);
    assert_int_equal(yaml_marks_line(m, "/parameters/nothing/here"), 2);
    assert_int_equal(yaml_marks_line(m, "/z"), 7);
    assert_int_equal(yaml_marks_line(m, "/none"), 1);
    yaml_marks_free(m);
    json_decref(j);
}

/* Every allocation of ours fails in turn: an error each time, nothing leaked (ASan), nothing crashed. */
static void test_memory(void **state)
{
    const char *text = "a: &x [1, {b: c}]\nd: *x\n";
    for (long n = 1;; n++) {
        struct err err = {0};
        json_t *j = NULL;
        struct yaml_marks *m = NULL;
        mem_fault_set(n, 0);
        int r = yaml_parse(text, strlen(text), NULL, &j, &m, &err);
        int hit = mem_fault_hit();
        mem_fault_set(0, 0);
        json_decref(j);
        yaml_marks_free(m);
        if (!hit) {
            assert_int_equal(r, 0);
            break;
        }
        assert_int_equal(r, -ERR_NO_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_refused), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_marks),  cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
