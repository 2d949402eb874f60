/* Every example in every rule file: the bad ones are found on their marked lines, the good ones are not. */
#include "codec/yaml.h"
#include "codec/json.h"
#include "os/file.h"
#include "scan/analyzer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *rules_dir;

struct seen {
    const char *rule, *category;
    uint32_t lines[64];
    size_t count, other;
};

static int on_finding(const struct finding *f, void *arg, struct err *err)
{
    struct seen *s = arg;
    const char *category = json_str(f->metadata, "category", "");
    (void)err;
    /* one finding per category and line: another rule of the category may have come first */
    if ((strcmp(f->rule_id, s->rule) == 0 || strcmp(category, s->category) == 0) && s->count < 64)
        s->lines[s->count++] = (uint32_t)f->line;
    return 0;
}

static size_t marked(const char *text, uint32_t *lines, size_t max)
{
    size_t n = 0;
    uint32_t line = 1;
    for (const char *p = text; *p; line++) {
        const char *nl = strchr(p, '\n');
        size_t len = nl ? (size_t)(nl - p) : strlen(p);
        if (memmem(p, len, "ff:here", 7) && n < max)
            lines[n++] = line;
        p += len + (nl != NULL);
    }
    return n;
}

static int check(struct rules *rules, const char *id, const char *category, enum lang lang, const char *text, bool bad)
{
    struct seen s = {.rule = id, .category = category};
    struct analyzer_result result;
    struct err err = {0};
    uint32_t want[64];
    size_t n = bad ? marked(text, want, 64) : 0;
    if (bad && n == 0)
        want[n++] = 1;
    if (analyzer_run(rules, NULL, lang, "example", text, strlen(text), on_finding, &s, &result, &err) < 0) {
        print_error("%s: %s\n", id, err.msg);
        return 1;
    }
    bool same = s.count == n;
    for (size_t i = 0; i < n && same; i++)
        same = s.lines[i] == want[i];
    if (same)
        return 0;
    print_error("%s (%s, %s): %zu found, %zu expected:\n%s\n", id, lang_name(lang), bad ? "bad" : "good", s.count, n, text);
    for (size_t i = 0; i < s.count; i++)
        print_error("  found on line %u\n", s.lines[i]);
    return 1;
}

static int check_rule(struct rules *rules, const json_t *doc, const json_t *rule, size_t *ret_examples)
{
    static const char *const kinds[] = {"bad", "good"};
    const char *id = json_str(rule, "id", ""), *category = json_str(rule, "category", json_str(doc, "category", ""));
    const json_t *langs = json_object_get(rule, "languages"), *ex = json_object_get(rule, "examples");
    langs = langs ? langs : json_object_get(doc, "languages");
    const char *first = json_str(ex, "language", json_string_value(json_array_get(langs, 0)));
    enum lang lang = lang_by_name(first, strlen(first));
    int failed = 0;
    if (!json_array_size(json_object_get(ex, "bad")) || !json_array_size(json_object_get(ex, "good"))) {
        print_error("%s: no bad and good examples\n", id);
        return 1;
    }
    for (int k = 0; k < 2; k++) {
        const json_t *list = json_object_get(ex, kinds[k]);
        for (size_t i = 0; i < json_array_size(list); i++, (*ret_examples)++)
            failed += check(rules, id, category, lang, json_string_value(json_array_get(list, i)), k == 0);
    }
    return failed;
}

static void examples_hold(void **state)
{
    static const char *const files[] = {"flow", "injection", "web", "crypto", "config", "credentials", "c", "misc"};
    struct rules *rules;
    struct err err = {0};
    int failed = 0;
    size_t examples = 0, count = 0;
    (void)state;
    if (rules_new_builtin(&rules, &err) < 0)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[4096];
        char *text;
        size_t len, k;
        json_t *doc, *rule;
        snprintf(path, sizeof path, "%s/%s.yaml", rules_dir, files[i]);
        assert_int_equal(os_read_file(path, 8 << 20, &text, &len, &err), 0);
        if (yaml_parse(text, len, &(struct yaml_limits){.bytes = 8 << 20, .nodes = 400000}, &doc, NULL, &err) < 0)
            fail_msg("%s: %s", path, err.msg);
        json_array_foreach(json_object_get(doc, "rules"), k, rule) {
            failed += check_rule(rules, doc, rule, &examples);
            count++;
        }
        json_decref(doc);
        free(text);
    }
    rules_free(rules);
    print_message("%zu rules, %zu examples, %d wrong\n", count, examples, failed);
    assert_int_equal(failed, 0);
    assert_true(count >= 100);
}

static void refuse(const char *text, const char *part)
{
    struct rules *rules;
    struct err err = {0};
    assert_int_equal(rules_new(&rules, &err), 0);
    assert_true(rules_load(rules, text, strlen(text), "own.yaml", &err) < 0);
    if (!strstr(err.msg, part))
        fail_msg("'%s' does not say '%s'", err.msg, part);
    assert_int_equal(rules_count(rules), 0);
    rules_free(rules);
}

static void bad_rules_are_refused(void **state)
{
    (void)state;
    refuse("rules: 3\n", "own.yaml:1");
    refuse("rules:\n  - id: x\n", "own.yaml:2");
    refuse("rules:\n  - {id: a/b, category: a, title: t, languages: [cobol], match: [f()]}\n", "cobol");
    refuse("rules:\n  - {id: a/b, category: a, title: t, languages: [python]}\n", "match");
    refuse("rules:\n  - {id: a/b, category: a, title: t, languages: [python], regex: '('}\n", "regular expression");
    refuse("rules:\n  - {id: a/b, category: a, title: t, languages: [python], match: ['f(']}\n\n\n  - 3\n", "own.yaml");
    refuse("rules:\n  - {id: a/b, category: a, title: t, languages: [python], match: ['f($X)'], where: {$X: blue}}\n", "blue");
    refuse("a: [\n", "own.yaml");
}

static void own_rules_are_used(void **state)
{
    static const char text[] = "rules:\n  - {id: own/one, category: own, title: t, languages: [python], match: ['dangerous($X)']}\n";
    struct rules *rules;
    struct err err = {0};
    struct seen s = {.rule = "own/one", .category = "own"};
    struct analyzer_result result;
    (void)state;
    assert_int_equal(rules_new_builtin(&rules, &err), 0);
    assert_int_equal(rules_load(rules, text, strlen(text), "own.yaml", &err), 0);
    const char code[] = "x = 1\ndangerous(x)\n# dangerous(x)\n'dangerous(x)'\n";
    assert_int_equal(analyzer_run(rules, NULL, LANG_PYTHON, "a.py", code, strlen(code), on_finding, &s, &result, &err), 0);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.lines[0], 2);
    rules_free(rules);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_hold),
        cmocka_unit_test(bad_rules_are_refused),
        cmocka_unit_test(own_rules_are_used),
    };
    rules_dir = argc > 1 ? argv[1] : "rules";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
