/* The shape of errors: one line, cut at a character, context in front, facts from one table. */
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_set_and_wrap(void **state)
{
    struct err e = {0};
    assert_int_equal(err_sys(&e, EACCES, "open %s", "/x/rules.yaml"), -ERR_PERMISSION);
    assert_int_equal(err_wrap(&e, "read rules"), -ERR_PERMISSION);
    assert_int_equal(err_wrap(&e, "start run %d", 7), -ERR_PERMISSION);
    assert_string_equal(e.msg, "start run 7: read rules: open /x/rules.yaml: Permission denied");
    assert_int_equal(e.sys, EACCES);
    assert_int_equal(err_hint(&e, "chmod it"), -ERR_PERMISSION);
    assert_string_equal(e.hint, "chmod it");
    struct err copy = {0};
    assert_int_equal(err_copy(&copy, &e), -ERR_PERMISSION);
    assert_string_equal(copy.msg, e.msg);
    err_set(&e, ERR_LIMIT, "new"); /* a new error forgets the old hint */
    assert_string_equal(e.hint, "");
    err_clear(&e);
    assert_int_equal(e.code, 0);
    assert_int_equal(err_copy(&copy, NULL), 0);
}

static void test_null(void **state)
{
    assert_int_equal(err_set(NULL, ERR_BUSY, "x"), -ERR_BUSY);
    assert_int_equal(err_sys(NULL, ENOSPC, "x"), -ERR_NO_SPACE);
    assert_true(err_wrap(NULL, "x") < 0);
    assert_true(err_hint(NULL, "x") < 0);
    assert_int_equal(err_nomem(NULL), -ERR_NO_MEMORY);
    err_clear(NULL);
}

static void test_one_line(void **state)
{
    struct err e = {0};
    err_set(&e, ERR_INVALID, "a\nb\r\nc");
    assert_string_equal(e.msg, "a b  c");
}

/* Is the text whole UTF-8 for texts made of \xf0\x9f\x98\x80, \xe2\x82\xac and ASCII? */
static void assert_whole(const char *s)
{
    for (size_t n; *s; s += n) {
        unsigned char c = (unsigned char)*s;
        n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 1;
        assert_true(n == 1 ? c < 0x80 : strlen(s) >= n);
    }
}

static void test_cut(void **state)
{
    char text[4 * ERR_MSG_MAX];
    for (size_t shift = 0; shift < 8; shift++) {
        struct err e = {0};
        size_t n = shift;
        memset(text, 'x', shift);
        while (n < 2 * ERR_MSG_MAX) {
            memcpy(text + n, n % 2 ? "\xe2\x82\xac" : "\xf0\x9f\x98\x80", 4);
            n += n % 2 ? 3 : 4;
        }
        text[n] = 0;
        err_set(&e, ERR_INVALID, "%s", text);
        assert_in_range(strlen(e.msg), ERR_MSG_MAX - 4, ERR_MSG_MAX - 1);
        assert_whole(e.msg);
        err_wrap(&e, "context");
        assert_memory_equal(e.msg, "context: ", 9);
        assert_in_range(strlen(e.msg), ERR_MSG_MAX - 4, ERR_MSG_MAX - 1);
        assert_whole(e.msg);
        err_hint(&e, "%s", text);
        assert_in_range(strlen(e.hint), ERR_HINT_MAX - 4, ERR_HINT_MAX - 1);
        assert_whole(e.hint);
        err_wrap(&e, "%s", text); /* the context alone fills it */
        assert_whole(e.msg);
        err_sys(&e, EIO, "%s", text);
        assert_whole(e.msg);
    }
}

static void test_facts(void **state)
{
    for (int c = 0; c < ERR_COUNT_; c++) {
        assert_true(err_text(c)[0] && err_name(c)[0]);
        assert_ptr_equal(err_text(c), err_text(-c));
        assert_in_range(err_exit_status(c), 0, 5);
        assert_true((c == 0) == (err_exit_status(c) == 0));
        assert_in_range(err_http_status(c), 200, 599);
        assert_in_range(err_grpc_status(c), 0, 16);
    }
    assert_string_equal(err_name(-ERR_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(err_name(99999), "INTERNAL");
    assert_int_equal(err_exit_status(ERR_USAGE), 2);
    assert_true(err_retryable(ERR_BUSY));
    assert_false(err_retryable(ERR_INVALID));
    assert_int_equal(err_from_grpc(5), ERR_NOT_FOUND);
    assert_int_equal(err_from_grpc(77), ERR_INTERNAL);
    assert_int_equal(err_from_errno(0), ERR_OK);
    assert_int_equal(err_from_errno(ENOSPC), ERR_NO_SPACE);
    assert_int_equal(err_from_errno(12345), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_and_wrap), cmocka_unit_test(test_null),  cmocka_unit_test(test_one_line),
        cmocka_unit_test(test_cut),          cmocka_unit_test(test_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
