/* The option parser: long and short forms, values, the end of options, suggestions. */
#include "cli/args_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct opt own[] = {
    {"fail-on", 0, "LEVEL", ""},
    {"timeout", 't', "TIME", ""},
    {"detach", 'd', NULL, ""},
    {NULL, 0, NULL, NULL},
};

static int parse(struct args *a, struct err *err, ...)
{
    char *argv[16];
    int n = 0;
    va_list ap;
    va_start(ap, err);
    for (char *s; (s = va_arg(ap, char *));)
        argv[n++] = s;
    va_end(ap);
    int i = 0;
    return args_parse(own, n, argv, &i, false, a, err);
}

static void test_forms(void **state)
{
    (void)state;
    struct args a = {0};
    struct err err = {0};
    assert_int_equal(parse(&a, &err, "wf", "--fail-on", "high", "-t10m", "-d", "x=1", "--fail-on=low", "--", "-z", NULL), 0);
    assert_int_equal(a.positional.len, 3);
    assert_string_equal(args_pos(&a, 1), "x=1");
    assert_string_equal(args_pos(&a, 2), "-z");
    assert_null(args_pos(&a, 3));
    assert_string_equal(args_get(&a, "fail-on"), "low");
    assert_string_equal(args_nth(&a, "fail-on", 0), "high");
    assert_null(args_nth(&a, "fail-on", 2));
    assert_string_equal(args_get(&a, "timeout"), "10m");
    assert_true(args_has(&a, "detach"));
    assert_false(args_has(&a, "json"));
    args_release(&a);
}

static void test_global_options_stand_anywhere(void **state)
{
    (void)state;
    struct args a = {0};
    struct err err = {0};
    assert_int_equal(parse(&a, &err, "--json", "wf", "-dv", "--state", "/s", NULL), 0);
    assert_true(args_has(&a, "json"));
    assert_true(args_has(&a, "verbose"));
    assert_true(args_has(&a, "detach"));
    assert_string_equal(args_get(&a, "state"), "/s");
    args_release(&a);
}

static void refused(const char *arg, const char *next, const char *message, const char *hint)
{
    struct args a = {0};
    struct err err = {0};
    assert_int_equal(parse(&a, &err, arg, next, NULL), -ERR_USAGE);
    assert_non_null(strstr(err.msg, message));
    assert_string_equal(err.hint, hint);
    args_release(&a);
}

static void test_mistakes(void **state)
{
    (void)state;
    refused("--fail-onn", NULL, "unknown option '--fail-onn'", "did you mean '--fail-on'?");
    refused("--detch=1", NULL, "unknown option '--detch'", "did you mean '--detach'?");
    refused("--zzzzzzzz", NULL, "unknown option", "");
    refused("--detach=1", NULL, "takes no value", "");
    refused("--timeout", NULL, "needs a value (TIME)", "");
    refused("-t", NULL, "needs a value", "");
    refused("-x", NULL, "unknown option '-x'", "");
}

static void test_every_command_has_help(void **state)
{
    (void)state;
    for (const struct command_group *g = command_groups; g->title; g++)
        for (const struct command *const *c = g->commands; *c; c++) {
            assert_true(strlen((*c)->summary) > 5);
            assert_true((*c)->run || (*c)->subs);
            assert_ptr_equal(cli_find((*c)->name), *c);
            for (const struct command *const *s = (*c)->subs; s && *s; s++)
                assert_true(strlen((*s)->summary) > 5 && ((*s)->run || (*s)->subs));
        }
    assert_null(cli_find("no-such-command"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_global_options_stand_anywhere),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_every_command_has_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
