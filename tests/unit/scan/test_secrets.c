/* secret_detection: each rule's examples, what is written of a secret, places, pieces, bounds. */
#include "module_run.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "os/file.h"
#include "scan/builtin.h"
#include "scan/secret_scan.h"
#include "scan/secret_value.h"
#include "scan/suppress.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const char *rules_path;
static struct lab lab;

static int setup(void **state)
{
    lab_init(&lab);
    return 0;
}

static int teardown(void **state)
{
    lab_release(&lab);
    return 0;
}

/* --- the rules' own examples --- */

struct seen {
    const char *rule; /* counted: hits of this one */
    int hits, all;
    int line, column, end_column;
    char snippet[300], text[300];
};

static int on_hit(const struct secret_hit *h, void *arg, struct err *err)
{
    struct seen *s = arg;
    s->all++;
    if (s->rule && strcmp(secret_rule_id(h->rule), s->rule) != 0)
        return 0;
    s->hits++;
    s->line = h->line;
    s->column = h->column;
    s->end_column = h->end_column;
    snprintf(s->snippet, sizeof s->snippet, "%s", h->snippet);
    snprintf(s->text, sizeof s->text, "%.*s", (int)h->secret_len, h->secret);
    return 0;
}

static json_t *read_rules(void)
{
    _cleanup_free_ char *text = NULL;
    size_t n;
    json_t *j = NULL;
    struct err err = {0};
    struct yaml_limits big = {.bytes = 4 << 20};
    assert_int_equal(os_read_file(rules_path, 4 << 20, &text, &n, NULL), 0);
    if (yaml_parse(text, n, &big, &j, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    return j;
}

static void join(const json_t *parts, struct strbuf *b)
{
    const json_t *p;
    size_t i;
    json_array_foreach(parts, i, p)
        strbuf_append(b, json_string_value(p), json_string_length(p));
}

static void scan(struct secret_rules *rules, const char *path, const char *text, size_t len, size_t piece,
                 struct seen *seen)
{
    struct secret_scan *s = NULL;
    size_t more;
    struct err err = {0};
    assert_int_equal(secret_scan_new(rules, on_hit, seen, &s, NULL), 0);
    assert_int_equal(secret_scan_begin(s, path, NULL), 0);
    for (size_t i = 0; i < len; i += piece)
        if (secret_scan_feed(s, text + i, len - i < piece ? len - i : piece, &err) < 0)
            fail_msg("%s", err.msg);
    if (secret_scan_end(s, &more, &err) < 0)
        fail_msg("%s", err.msg);
    secret_scan_free(s);
}

/* A name for the file such that the rule looks at it. */
static const char *path_for(const json_t *rule)
{
    return json_object_get(rule, "files") ? "settings.ini" : "notes";
}

static void every_rule_finds_its_examples_and_nothing_in_the_others(void **state)
{
    json_t *j = read_rules();
    struct secret_rules *rules = NULL;
    assert_int_equal(secret_rules_new(j, &rules, NULL), 0);
    const json_t *rule, *example;
    size_t i, k;
    int examples = 0, wrong = 0;
    json_array_foreach(json_object_get(j, "rules"), i, rule) {
        assert_true(json_array_size(json_object_get(rule, "examples")) > 0);
        assert_true(json_array_size(json_object_get(rule, "others")) > 0);
        for (int good = 1; good >= 0; good--) {
            json_array_foreach(json_object_get(rule, good ? "examples" : "others"), k, example) {
                struct strbuf b = STRBUF_INIT;
                char id[96];
                snprintf(id, sizeof id, "secret/%s", json_str(rule, "id", ""));
                strbuf_puts(&b, "first line\n");
                join(example, &b);
                strbuf_puts(&b, "\n");
                struct seen seen = {.rule = id};
                scan(rules, path_for(rule), b.s, b.len, SIZE_MAX, &seen);
                if (seen.hits != good || (good && seen.line != 2)) {
                    print_error("%s: %s %zu: %d hits, line %d\n", id, good ? "example" : "other", k + 1, seen.hits,
                                seen.line);
                    wrong++;
                }
                if (good && seen.hits && strstr(seen.snippet, seen.text))
                    fail_msg("%s: the snippet shows the secret", id);
                examples++;
                strbuf_release(&b);
            }
        }
    }
    assert_true(secret_rules_count(rules) >= 60);
    assert_true(examples > 250);
    assert_int_equal(wrong, 0);
    secret_rules_free(rules);
    json_decref(j);
}

static void bad_rules_are_named(void **state)
{
    static const char *const bad[][2] = {
        {"{}", "list of 1"},
        {"{\"rules\": [{\"id\": \"a\"}]}", "id and regex"},
        {"{\"rules\": [{\"id\": \"a\", \"regex\": \"b\"}]}", "keywords"},
        {"{\"rules\": [{\"id\": \"a\", \"regex\": \"b\", \"keywords\": [\"\"]}]}", "no word"},
        {"{\"rules\": [{\"id\": \"a\", \"regex\": \"b\", \"keywords\": [\"b\"], \"before\": 9999}]}", "before"},
        {"{\"rules\": [{\"id\": \"a\", \"regex\": \"b\", \"keywords\": [\"b\"], \"severity\": \"hihg\"}]}", "hihg"},
        {"{\"rules\": [{\"id\": \"a\", \"regex\": \"b\", \"keywords\": [\"b\"], \"check\": \"luhn\"}]}", "luhn"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        json_t *j = json_loads(bad[i][0], 0, NULL);
        struct secret_rules *rules = NULL;
        struct err err = {0};
        assert_true(secret_rules_new(j, &rules, &err) < 0);
        assert_non_null(strstr(err.msg, bad[i][1]));
        json_decref(j);
    }
    json_t *j = json_loads("{\"rules\": [{\"id\": \"a\", \"regex\": \"(b\", \"keywords\": [\"b\"]}]}", 0, NULL);
    struct secret_rules *rules = NULL;
    struct secret_match m;
    struct err err = {0};
    assert_int_equal(secret_rules_new(j, &rules, NULL), 0);
    assert_int_equal(secret_rule_try(rules, 0, "b", 1, 0, 0, 1, &m, &err), -ERR_INVALID);
    assert_non_null(strstr(err.msg, "secret/a"));
    secret_rules_free(rules);
    json_decref(j);
}

/* --- places --- */

#define TOKEN_A "glpat-" "Zx8Qm3Rt7Lw2Vb5Nc9Kd"
#define TOKEN_B "glpat-" "Hy4Jk6Pq1Ws8Ef3Gt7Ub"

static void the_same_however_the_text_is_cut(void **state)
{
    struct secret_rules *rules = NULL;
    assert_int_equal(secret_rules_builtin(&rules, NULL), 0);
    /* A line of 1.5 MB in which a token stands at many offsets, and tokens on later lines. */
    struct strbuf b = STRBUF_INIT;
    int want = 0;
    while (b.len < 1500000) {
        for (int i = 0; i < 9973; i++)
            strbuf_putc(&b, "abc, "[i % 5]);
        strbuf_puts(&b, want % 2 ? " " TOKEN_A " " : " " TOKEN_B " ");
        strbuf_printf(&b, "glpat-" "Tr5Yu8Iw2Op6Qa9Sd3%04d ", want); /* not the same twice on a line */
        want++;
    }
    strbuf_puts(&b, "\n\xc3\xa4\xf0\x9f\x98\x80 '" TOKEN_A "'\n");
    size_t pieces[] = {SIZE_MAX, 65536, 4097, 1};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct seen seen = {0};
        scan(rules, "x", b.s, b.len, pieces[i], &seen);
        assert_true(seen.hits >= want + 1 + 2);
        assert_int_equal(seen.line, 2);
        assert_int_equal(seen.column, 6); /* one unit, two units, a blank, a quote */
        assert_int_equal(seen.end_column, 6 + (int)strlen(TOKEN_A));
    }
    secret_rules_free(rules);
    strbuf_release(&b);
}

static void run_on(const char *path, const char *text, struct module_run *r)
{
    lab_puts(&lab, path, text);
    *r = module_run(&secret_detection_module, lab.workspace, lab.scratch, NULL);
    assert_int_equal(r->exit_status, 0);
}

static void a_secret_leaves_only_in_part(void **state)
{
    struct module_run r;
    run_on("a/b.py", "x = 1\ntoken = \"" TOKEN_A "\"  # and " TOKEN_B "\nagain = '" TOKEN_A "'\n", &r);
    assert_null(strstr(r.raw, &TOKEN_A[10]));
    assert_null(strstr(r.raw, &TOKEN_B[10]));
    assert_int_equal(json_array_size(r.findings), 3); /* the provider's rule, not the variable's name as well */
    const json_t *first = json_array_get(r.findings, 0), *second = json_array_get(r.findings, 1),
                 *third = json_array_get(r.findings, 2);
    assert_int_equal(json_i64(first, "line", 0), 2);
    assert_string_equal(json_str(first, "rule_id", ""), "secret/gitlab-token");
    assert_string_equal(json_str(first, "file", ""), "a/b.py");
    assert_string_equal(json_str(first, "snippet", ""), "token = \"glpa****c9Kd");
    /* The fingerprint's base: equal for the same secret, whatever the line. */
    assert_string_equal(json_str(first, "context_hash", "1"), json_str(third, "context_hash", "2"));
    assert_string_not_equal(json_str(first, "context_hash", "1"), json_str(second, "context_hash", "1"));
    module_run_release(&r);
    r = module_run(&secret_detection_module, lab.workspace, lab.scratch, json_pack("{s:s}", "fingerprint_key", "mine"));
    const json_t *other = json_array_get(r.findings, 0);
    assert_int_equal(json_array_size(r.findings), 3);
    assert_true(strlen(json_str(other, "context_hash", "")) >= 16);
    module_run_release(&r);
}

static void the_fingerprint_key_matters(void **state)
{
    lab_puts(&lab, "f", TOKEN_A "\n");
    char hash[2][128];
    for (int i = 0; i < 2; i++) {
        struct module_run r = module_run(&secret_detection_module, lab.workspace, lab.scratch,
                                         json_pack("{s:s}", "fingerprint_key", i ? "mine" : "yours"));
        snprintf(hash[i], sizeof hash[i], "%s", json_str(module_run_find(&r, "f", NULL), "context_hash", ""));
        module_run_release(&r);
    }
    assert_string_not_equal(hash[0], hash[1]);
}

static void comments_suppress(void **state)
{
    struct module_run r;
    run_on("a.c",
           "// ff:ignore[secret/gitlab-token] a test's own\nchar a[] = \"" TOKEN_A "\";\n"
           "char b[] = \"" TOKEN_B "\"; /* ff:ignore */\n"
           "char c[] = \"glpat-" "Aa1Bb2Cc3Dd4Ee5Ff6Gg" "\"; /* ff:ignore[secret/slack-token] */\n"
           "char d[] = \"glpat-" "Rr9Ss8Tt7Uu6Vv5Ww4Xx" "\";\n", &r);
    bool want[] = {true, true, false, false};
    assert_int_equal(json_array_size(r.findings), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(json_flag(json_array_get(r.findings, i), "suppressed", false), want[i]);
    assert_string_equal(json_str(json_array_get(r.findings, 0), "suppression_reason", ""), "a test's own");
    module_run_release(&r);
    static const struct {
        const char *line, *rule, *reason; /* NULL: no suppression */
        bool whole;
    } cases[] = {
        {"x = 1 # ff:ignore", "a/b", "", false},
        {"x = 1 # ff:ignore", "a/b", NULL, true},
        {"  # ff:ignore[a/b, c/d]: why not", "c/d", "why not", true},
        {"<!-- ff:ignore[b] gone -->", "a/b", "gone", true},
        {"// ff:ignore[a]", "a/b", "", true},
        {"// ff:ignore[a/*]", "a/b", "", true},
        {"// ff:ignore[x]", "a/b", NULL, true},
        {"// ff:ignore[a/b", "a/b", NULL, true},
        {"// ff:ignored", "a/b", NULL, true},
        {"ff:ignore", "a/b", NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *reason = NULL;
        bool is = suppress_in_line(cases[i].line, strlen(cases[i].line), cases[i].rule, cases[i].whole, &reason);
        if (is != (cases[i].reason != NULL))
            fail_msg("%s", cases[i].line);
        if (is)
            assert_string_equal(reason, cases[i].reason);
        free(reason);
    }
}

static void what_is_no_text_is_left_out_and_counted(void **state)
{
    lab_put(&lab, "b.bin", "\0\1\2" TOKEN_A, 3 + strlen(TOKEN_A));
    char wide[4 + 2 * sizeof TOKEN_A] = "\xff\xfe\n";
    for (size_t i = 0; i < sizeof TOKEN_A - 1; i++)
        wide[4 + 2 * i] = TOKEN_A[i];
    lab_put(&lab, "w.txt", wide, 4 + 2 * (sizeof TOKEN_A - 1));
    lab_puts(&lab, "large.txt", "0123456789 " TOKEN_A " and more of it, so that it is over");
    lab_puts(&lab, ".ffignore", "ig*\n");
    lab_puts(&lab, "ignored.txt", TOKEN_A);
    struct module_run r = module_run(&secret_detection_module, lab.workspace, lab.scratch,
                                     json_pack("{s:i}", "max_file_size", 60));
    assert_int_equal(json_array_size(r.findings), 2);
    assert_int_equal(json_i64(module_run_find(&r, "w.txt", "secret/gitlab-token"), "line", 0), 2);
    assert_true(json_flag(module_run_find(&r, "ignored.txt", NULL), "suppressed", false));
    const json_t *s = json_object_get(r.result, "summary");
    assert_int_equal(json_i64(s, "binary", 0), 1);
    assert_int_equal(json_i64(s, "over_size", 0), 1);
    const json_t *left_out = json_object_get(s, "left_out");
    assert_int_equal(json_array_size(left_out), 2);
    assert_string_equal(json_str(json_array_get(left_out, 0), "path", ""), "b.bin");
    assert_string_equal(json_str(json_array_get(left_out, 0), "reason", ""), "binary");
    assert_string_equal(json_str(json_array_get(left_out, 1), "path", ""), "large.txt");
    module_run_release(&r);
}

static void generic_rules_can_leave_code_to_the_analyzer(void **state)
{
    static const char text[] = "password = \"k9-Vw2!LqTz4\"\n";
    lab_puts(&lab, "a.py", text);
    lab_puts(&lab, "a.conf", text);
    lab_puts(&lab, "b.py", TOKEN_A);
    static const int want[][3] = {{true, true, 3}, {true, false, 2}, {false, true, 1}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct module_run r = module_run(&secret_detection_module, lab.workspace, lab.scratch,
                                         json_pack("{s:b,s:b}", "generic", want[i][0], "generic_code", want[i][1]));
        assert_int_equal(json_array_size(r.findings), want[i][2]);
        assert_int_equal(module_run_count(&r, "b.py"), 1);
        module_run_release(&r);
    }
}

static void a_file_of_many_secrets_is_bounded(void **state)
{
    struct strbuf b = STRBUF_INIT;
    for (int i = 0; i < SECRET_HITS_MAX + 50; i++)
        strbuf_printf(&b, "glpat-" "Zx8Qm3Rt7Lw2Vb5N%04d\n", i);
    struct module_run r;
    run_on("many", strbuf_str(&b), &r);
    assert_int_equal(json_array_size(r.findings), SECRET_HITS_MAX);
    assert_string_equal(json_str(r.result, "status", ""), "partial");
    strbuf_release(&b);
    module_run_release(&r);
}

static void looks(void **state)
{
    static const struct {
        const char *text;
        enum secret_look look;
        bool random;
    } cases[] = {
        {"${API_KEY}", SECRET_PLACEHOLDER, false}, {"<token>", SECRET_PLACEHOLDER, false},
        {"xxxxxxxxxxxxxxxx", SECRET_PLACEHOLDER, false}, {"changeme", SECRET_EXAMPLE, false},
        {"AKIAIOSFODNN7EXAMPLE", SECRET_PLACEHOLDER, true}, {"my-example-key-71", SECRET_EXAMPLE, true}, {"Password", SECRET_PLACEHOLDER, false},
        {"S3rvice!Acc0unt-2019", SECRET_LIKELY, true}, {"k9-Vw2!LqTz4", SECRET_LIKELY, true},
        {"accounts/password-reset", SECRET_LIKELY, false}, {"user_password_field", SECRET_LIKELY, false},
        {"/run/secrets/mail", SECRET_LIKELY, false}, {"p4rcelry-signing-key-7731", SECRET_LIKELY, true},
        {"abcdef1234567890abcdef", SECRET_SEQUENCE, true},
        {"application/json", SECRET_LIKELY, false}, {"1234567891", SECRET_LIKELY, false},
        {"getSecret(name1)", SECRET_LIKELY, false}, {"resetPasswordToken", SECRET_LIKELY, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = strlen(cases[i].text);
        enum secret_look look = secret_look(cases[i].text, n, false);
        if (look != cases[i].look ||
            (look == SECRET_LIKELY && secret_looks_random(cases[i].text, n) != cases[i].random))
            fail_msg("%s: %d", cases[i].text, look);
    }
    assert_true(secret_entropy("aaaa", 4) < 0.01);
    assert_true(secret_entropy("abcd", 4) > 1.99);
    struct strbuf b = STRBUF_INIT;
    secret_redact(&b, "abc", 3);
    assert_string_equal(strbuf_str(&b), "****");
    strbuf_clear(&b);
    secret_redact(&b, "abcdefghijkl", 12);
    assert_string_equal(strbuf_str(&b), "ab****kl");
    strbuf_release(&b);
}

static void survives_each_failing_allocation(void **state)
{
    lab_puts(&lab, "a", "x\ntoken = '" TOKEN_A "' # ff:ignore why\n");
    bool clean = false;
    for (long n = 1; n < 20000 && !clean; n += 1 + n / 50) {
        struct secret_rules *rules = NULL;
        struct secret_scan *s = NULL;
        struct seen seen = {0};
        size_t more;
        mem_fault_set(n, 0);
        int r = secret_rules_builtin(&rules, NULL);
        if (r == 0)
            r = secret_scan_new(rules, on_hit, &seen, &s, NULL);
        if (r == 0)
            r = secret_scan_begin(s, "a", NULL);
        if (r == 0)
            r = secret_scan_feed(s, "k = " TOKEN_A "\n", strlen(TOKEN_A) + 5, NULL);
        if (r == 0)
            r = secret_scan_end(s, &more, NULL);
        bool hit = mem_fault_hit();
        mem_fault_set(0, 0);
        secret_scan_free(s);
        secret_rules_free(rules);
        assert_true(hit ? r == -ERR_NO_MEMORY : r == 0 && seen.hits == 1);
        clean = !hit;
    }
    assert_true(clean);
}

static void every_wrong_input_is_named(void **state)
{
    static const char *const bad[][2] = {
        {"{\"max_file_size\": \"many\"}", "max_file_size"}, {"{\"max_file_size\": -1}", "max_file_size"},
        {"{\"patterns\": \"*.py\"}", "patterns"},         {"{\"patterns\": [1]}", "patterns"},
        {"{\"fingerprint_key\": \"\"}", "fingerprint_key"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct module_run r =
            module_run(&secret_detection_module, lab.workspace, lab.scratch, json_loads(bad[i][0], 0, NULL));
        assert_string_equal(json_str(r.result, "status", ""), "failed");
        assert_non_null(strstr(json_str(r.result, "error", ""), bad[i][1]));
        module_run_release(&r);
    }
}

int main(int argc, char **argv)
{
    assert_true(argc > 1);
    rules_path = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_finds_its_examples_and_nothing_in_the_others),
        cmocka_unit_test(bad_rules_are_named),
        cmocka_unit_test(the_same_however_the_text_is_cut),
        cmocka_unit_test_setup_teardown(a_secret_leaves_only_in_part, setup, teardown),
        cmocka_unit_test_setup_teardown(the_fingerprint_key_matters, setup, teardown),
        cmocka_unit_test_setup_teardown(comments_suppress, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_text_is_left_out_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(generic_rules_can_leave_code_to_the_analyzer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_of_many_secrets_is_bounded, setup, teardown),
        cmocka_unit_test(looks),
        cmocka_unit_test_setup_teardown(every_wrong_input_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_each_failing_allocation, setup, teardown),
    };
    return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
