/* JSON Schema: what passes, what does not and in which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "codec/json.h"
#include "codec/schema.h"
#include "codec/yaml.h"

#include <string.h>

static json_t *yaml(const char *text)
{
    struct err err = {0};
    json_t *j = NULL;
    if (yaml_parse(text, strlen(text), NULL, &j, NULL, &err) < 0)
        fail_msg("%s: %s", text, err.msg);
    return j;
}

static bool says(const char *text, const char *words)
{
    size_t n = strlen(text), m = strlen(words);
    return *words == '$' ? n >= m && strcmp(text + n - m + 1, words + 1) == 0 : strstr(text, words) != NULL;
}

/* want: the value with its defaults, or "!words of the error", or "!$its last words". */
static void check(const char *schema_text, const char *value_text, const char *want)
{
    struct err err = {0};
    json_t *schema = yaml(schema_text), *value = yaml(value_text);
    if (schema_check(schema, NULL, &err) < 0)
        fail_msg("%s: %s", schema_text, err.msg);
    int r = schema_apply(schema, value, "parameter", &err);
    struct strbuf b = STRBUF_INIT;
    json_write(value, &b, NULL);
    if (*want == '!') {
        if (r == 0 || !says(err.msg, want + 1))
            fail_msg("%s: '%s' does not say '%s'", value_text, r == 0 ? "fits" : err.msg, want + 1);
    } else {
        if (r < 0)
            fail_msg("%s: %s", value_text, err.msg);
        assert_string_equal(strbuf_str(&b), want);
    }
    strbuf_release(&b);
    json_decref(schema);
    json_decref(value);
}

#define OBJECT "type: object\nproperties: {scanner_config: {type: object, properties: {max: {type: integer, default: 7}}}, n: {type: integer, minimum: 1, maximum: 9}}\n"

static void test_apply(void **state)
{
    check(OBJECT, "{n: 3}", "{\"n\":3}");
    check(OBJECT, "{scanner_config: {}}", "{\"scanner_config\":{\"max\":7}}");
    check(OBJECT, "{scaner_config: {}}", "!unknown parameter 'scaner_config': did you mean 'scanner_config'?");
    check(OBJECT, "{scanner_config: {mx: 1}}", "!unknown parameter 'scanner_config.mx': did you mean 'max'?");
    check(OBJECT, "{zzzzzzzzz: 1}", "!unknown parameter 'zzzzzzzzz'");
    check(OBJECT, "{n: 0}", "!parameter 'n': 0 is less than 1");
    check(OBJECT, "{n: 10}", "!parameter 'n': 10 is more than 9");
    check(OBJECT, "{n: x}", "!parameter 'n': \"x\" is no integer");
    check(OBJECT, "{n: 1.5}", "!is no integer");
    check("type: [string, integer]\nformat: time-span\nminimum: 0\n", "90s", "\"90s\"");
    check("type: [string, integer]\nformat: time-span\nminimum: 0\n", "soon", "!'soon' is no time: write 90s, 10m or 2h");
    check("type: [string, integer]\nformat: time-span\nminimum: 0\n", "-5", "!-5 is less than 0");
    check(OBJECT, "[]", "!parameters: [] is no object");
    check(OBJECT "required: [n]", "{}", "!parameter 'n': is required");
    check(OBJECT "required: [n]", "{m: 1}", "!unknown parameter 'm'");
    check(OBJECT "additionalProperties: true", "{other: 1}", "{\"other\":1}");
    check(OBJECT "additionalProperties: {type: string}", "{other: 1}", "!parameter 'other': 1 is no string");
    check("enum: [fast, slow]", "fats", "!did you mean 'fast'?");
    check("enum: [1, 2]", "2", "2");
    check("const: 5", "6", "!6 is not 5");
    check("type: [string, 'null']", "null", "null");
    check("{type: array, items: {type: string, minLength: 2}, maxItems: 2}", "[ab, c]", "!parameter '[1]': shorter than 2");
    check("{type: array, maxItems: 2}", "[1, 2, 3]", "!more than 2 elements");
    check("{type: array, minItems: 1}", "[]", "!$fewer than 1 element");
    check("{type: object, maxProperties: 1}", "{a: 1, b: 2}", "!$more than 1 member");
    check("{type: string, minLength: 1}", "''", "!$shorter than 1 character");
    check("{type: array, uniqueItems: true}", "[1, 1]", "!are equal");
    check("pattern: '^a+$'", "aaa", "\"aaa\"");
    check("pattern: '^a+$'", "b", "!does not match");
    check("pattern: '^(a+)+$'", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "!does not match");
    check("maxLength: 2", "\"\\u00e9\\u00e9\"", "\"\xc3\xa9\xc3\xa9\"");
    check("multipleOf: 0.5", "1.25", "!no multiple");
    check("{exclusiveMinimum: 1, exclusiveMaximum: 2}", "1", "!not more than 1");
    check("anyOf: [{type: string}, {type: integer}]", "true", "!none of the forms");
    check("oneOf: [{type: number}, {type: integer}]", "1", "!more than one");
    check("not: {type: string}", "x", "!not allowed");
    check("allOf: [{minimum: 1}, {maximum: 3}]", "4", "!more than 3");
    check("false", "1", "!is not allowed");
}

static void test_schema_check(void **state)
{
    static const struct {
        const char *schema, *pointer, *words;
    } cases[] = {
        {"{type: objekt}", "/type", "'type' must be object"},
        {"{properties: {a: {minimun: 1}}}", "/properties/a/minimun", "unknown schema keyword 'minimun': did you mean 'minimum'?"},
        {"{items: {pattern: '('}}", "/items/pattern", "is no regular expression"},
        {"{required: yes}", "/required", "must be a list of names"},
        {"{anyOf: [{}, {minLength: -1}]}", "/anyOf/1/minLength", "must be a whole number"},
        {"{properties: {'a/b~': 3}}", "/properties/a~1b~0", "must be a mapping"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        char pointer[SCHEMA_POINTER_MAX];
        json_t *s = yaml(cases[i].schema);
        assert_int_equal(schema_check(s, pointer, &err), -ERR_INVALID);
        assert_string_equal(pointer, cases[i].pointer);
        if (!strstr(err.msg, cases[i].words))
            fail_msg("%s", err.msg);
        json_decref(s);
    }
}

static void test_texts(void **state)
{
    static const struct {
        const char *schema, *text, *want;
    } cases[] = {
        {"{type: string}", "12", "\"12\""},          {"{type: integer}", "12", "12"},
        {"{type: integer}", "x", NULL},              {"{type: boolean}", "yes", "true"},
        {"{type: boolean}", "false", "false"},       {"{type: boolean}", "1", NULL},
        {"{type: array, items: {type: string}}", "a,b", "[\"a\",\"b\"]"},
        {"{type: array, items: {type: integer}}", "1,2", "[1,2]"},
        {"{type: array}", "[1, \"x\"]", "[1,\"x\"]"}, {"{type: array, items: {type: integer}}", "1,x", NULL},
        {"{type: object}", "{\"a\": 1}", "{\"a\":1}"}, {"{type: object}", "a", NULL},
        {"{type: [string, integer]}", "5", "5"},     {"{}", "5", "5"},
        {"{}", "five", "\"five\""},                  {"{type: number}", "1.5", "1.5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        json_t *s = yaml(cases[i].schema), *v = NULL;
        int r = schema_value_from_text(s, cases[i].text, &v, &err);
        if ((r == 0) != (cases[i].want != NULL))
            fail_msg("%s %s: %d", cases[i].schema, cases[i].text, r);
        if (r == 0) {
            struct strbuf b = STRBUF_INIT;
            json_write(v, &b, NULL);
            assert_string_equal(strbuf_str(&b), cases[i].want);
            strbuf_release(&b);
        }
        json_decref(v);
        json_decref(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply),
        cmocka_unit_test(test_schema_check),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
