/* JSON with bounds. */
#include "base/mem.h"
#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, size_t len, json_t **ret, struct err *err)
{
    *ret = NULL;
    return json_parse(text, len, 1 << 20, ret, err);
}

static void fill(struct strbuf *b, int depth, const char *open, const char *close)
{
    for (int i = 0; i < depth; i++)
        strbuf_puts(b, open);
    for (int i = 0; i < depth; i++)
        strbuf_puts(b, close);
}

static void test_depth(void **state)
{
    for (int i = 0; i < 2; i++) {
        for (int depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
            struct strbuf b = STRBUF_INIT;
            json_t *j;
            fill(&b, depth, i ? "[" : "{\"a\":[", i ? "]" : "]}");
            int deep = i ? depth : 2 * depth;
            struct err err = {0};
            assert_int_equal(parse(b.s, b.len, &j, &err), deep > JSON_DEPTH_MAX ? -ERR_INVALID : 0);
            json_decref(j);
            strbuf_release(&b);
        }
    }
    /* brackets in strings do not count, also after escapes */
    struct strbuf b = STRBUF_INIT;
    strbuf_puts(&b, "[\"\\\\\",\"\\\"");
    for (int i = 0; i < 1000; i++)
        strbuf_puts(&b, "[{");
    strbuf_puts(&b, "\"]");
    json_t *j;
    assert_int_equal(parse(b.s, b.len, &j, NULL), 0);
    json_decref(j);
    /* a hostile one of 10 MB is refused quickly and without recursion */
    strbuf_clear(&b);
    for (int i = 0; i < 1000000; i++)
        strbuf_puts(&b, "[");
    assert_int_equal(json_parse(b.s, b.len, SIZE_MAX, &j, NULL), -ERR_INVALID);
    strbuf_release(&b);
}

static void test_bad(void **state)
{
    static const char *const bad[] = {"",         " ",      "{",        "[1,]",   "{\"a\":1,\"a\":2}", "nul",     "01",
                                      "\"\xff\"", "[1] x", "\"\\ud800\"", "{a:1}", "'x'",               "\"a\nb\"", "NaN"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *j;
        struct err err = {0};
        if (parse(bad[i], strlen(bad[i]), &j, &err) != -ERR_INVALID)
            fail_msg("'%s' was taken", bad[i]);
        assert_null(j);
        assert_true(err.msg[0]);
    }
    json_t *j;
    struct err err = {0};
    assert_int_equal(json_parse("[1,2]", 5, 4, &j, &err), -ERR_LIMIT);
    assert_int_equal(parse("{\"a\":\n tru}", 12, &j, &err), -ERR_INVALID);
    assert_non_null(strstr(err.msg, "line 2"));
}

/* What JSON may say and a json_t cannot hold. */
static void test_foreign(void **state)
{
    static const char odd[] = "{\"\\u0000k\": \"a\\u0000\", \"n\": -123456789012345678901234567890, \"i\": 9223372036854775807, \"s\": \"\\\\u0000\"}";
    static const char *const bad[] = {"{\"\\u0000\":1", "1e999", "[99999999999999999999,]", "{\"a\":1,\"a\":2}"};
    json_t *j = NULL;
    assert_int_equal(parse(odd, strlen(odd), &j, NULL), -ERR_INVALID);
    assert_int_equal(json_parse_foreign(odd, strlen(odd), sizeof odd, &j, NULL), 0);
    assert_string_equal(json_str(j, "\xef\xbf\xbdk", ""), "a\xef\xbf\xbd");
    assert_string_equal(json_str(j, "s", ""), "\\u0000");
    assert_true(json_real_value(json_object_get(j, "n")) < -1e29);
    assert_true(json_i64(j, "i", 0) == INT64_MAX);
    json_decref(j);
    assert_int_equal(json_parse_foreign("[18446744073709551616]", 22, 22, &j, NULL), 0);
    json_decref(j);
    assert_int_equal(json_parse_foreign("[1]", 3, 3, &j, NULL), 0);
    assert_true(json_is_integer(json_array_get(j, 0)));
    json_decref(j);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(json_parse_foreign(bad[i], strlen(bad[i]), 100, &j, NULL), -ERR_INVALID);
    assert_int_equal(json_parse_foreign("[1,2]", 5, 4, &j, NULL), -ERR_LIMIT);
}

static void test_write(void **state)
{
    json_t *j;
    const char text[] = "{\"b\":[1,2.5,\"\xc3\xa4\\n\"],\"a\":{\"z\":null,\"y\":true}}";
    assert_int_equal(parse(text, sizeof text - 1, &j, NULL), 0);
    struct strbuf b = STRBUF_INIT;
    assert_int_equal(json_write(j, &b, NULL), 0);
    assert_string_equal(b.s, text);
    strbuf_clear(&b);
    assert_int_equal(json_write_canonical(j, &b, NULL), 0);
    assert_string_equal(b.s, "{\"a\":{\"y\":true,\"z\":null},\"b\":[1,2.5,\"\xc3\xa4\\n\"]}");
    strbuf_release(&b);
    struct strbuf small = STRBUF_INIT_MAX(10);
    assert_int_equal(json_write(j, &small, NULL), -ERR_LIMIT);
    strbuf_release(&small);
    mem_fault_set(1, 0);
    assert_int_equal(json_write(j, &b, NULL), -ERR_NO_MEMORY);
    mem_fault_set(0, 0);
    strbuf_release(&b);
    json_decref(j);
}

static void test_members(void **state)
{
    json_t *j;
    const char text[] = "{\"s\":\"x\",\"i\":-7,\"r\":2.5,\"t\":true,\"n\":null}";
    assert_int_equal(parse(text, sizeof text - 1, &j, NULL), 0);
    assert_string_equal(json_str(j, "s", "d"), "x");
    assert_string_equal(json_str(j, "i", "d"), "d");
    assert_string_equal(json_str(NULL, "s", "d"), "d");
    assert_int_equal(json_i64(j, "i", 1), -7);
    assert_int_equal(json_i64(j, "r", 1), 1);
    assert_true(json_num(j, "r", 0) == 2.5 && json_num(j, "i", 0) == -7 && json_num(j, "s", 3) == 3);
    assert_true(json_flag(j, "t", false));
    assert_true(json_flag(j, "n", true));
    assert_true(json_flag(NULL, "t", true));
    json_decref(j);
}

static void test_clean_string(void **state)
{
    json_t *j = json_clean_string("a\xff\xc3\xa4\xf0\x9f");
    assert_string_equal(json_string_value(j), "a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd");
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth),   cmocka_unit_test(test_bad),
        cmocka_unit_test(test_foreign),          cmocka_unit_test(test_write),
        cmocka_unit_test(test_members), cmocka_unit_test(test_clean_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
