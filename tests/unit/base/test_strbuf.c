/* The string buffer: its maximum, its sticky failure, what it gives away. */
#include "base/mem.h"
#include "base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_empty(void **state)
{
    struct strbuf b = STRBUF_INIT;
    assert_string_equal(strbuf_str(&b), "");
    assert_int_equal(strbuf_check(&b, NULL), 0);
    size_t n = 9;
    char *s = strbuf_take(&b, &n);
    assert_string_equal(s, "");
    assert_int_equal(n, 0);
    free(s);
    strbuf_release(&b);
}

static void test_append(void **state)
{
    struct strbuf b = STRBUF_INIT;
    strbuf_puts(&b, "ab");
    strbuf_putc(&b, 'c');
    strbuf_append(&b, "d\0e", 3);
    strbuf_printf(&b, "-%d-%s", 42, "x");
    assert_int_equal(b.len, 11);
    assert_memory_equal(b.s, "abcd\0e-42-x", 12);
    strbuf_consume(&b, 6);
    assert_string_equal(b.s, "-42-x");
    strbuf_consume(&b, 0);
    strbuf_consume(&b, 5);
    assert_string_equal(b.s, "");
    for (int i = 0; i < 1000; i++)
        strbuf_printf(&b, "%04d,", i); /* grows in the midst of a printf */
    assert_int_equal(b.len, 5000);
    assert_memory_equal(b.s + 4995, "0999,", 6);
    strbuf_clear(&b);
    assert_int_equal(b.len, 0);
    strbuf_release(&b);
}

static void test_maximum(void **state)
{
    struct strbuf b = STRBUF_INIT_MAX(10);
    strbuf_puts(&b, "12345");
    strbuf_puts(&b, "67890");
    assert_int_equal(strbuf_check(&b, NULL), 0);
    strbuf_puts(&b, "");
    assert_int_equal(strbuf_check(&b, NULL), 0);
    strbuf_putc(&b, 'x');
    struct err err = {0};
    assert_int_equal(strbuf_check(&b, &err), -ERR_LIMIT);
    assert_non_null(strstr(err.msg, "10"));
    assert_string_equal(b.s, "1234567890"); /* what was there stays */
    strbuf_consume(&b, 5);
    strbuf_putc(&b, 'y'); /* there would be room, but failure is sticky */
    assert_string_equal(b.s, "67890");
    assert_null(strbuf_reserve(&b, 1));
    strbuf_printf(&b, "z");
    assert_string_equal(b.s, "67890");
    assert_null(strbuf_take(&b, NULL));
    strbuf_puts(&b, "again"); /* taking it started anew */
    assert_int_equal(strbuf_check(&b, NULL), 0);
    strbuf_release(&b);
}

static void test_printf_over_maximum(void **state)
{
    struct strbuf b = STRBUF_INIT_MAX(40);
    strbuf_puts(&b, "1234567890"); /* more is allocated than the maximum allows */
    strbuf_printf(&b, "%031d", 1);
    assert_int_equal(strbuf_check(&b, NULL), -ERR_LIMIT);
    assert_string_equal(b.s, "1234567890");
    strbuf_clear(&b);
    strbuf_printf(&b, "%040d", 1);
    assert_int_equal(strbuf_check(&b, NULL), 0);
    assert_int_equal(b.len, 40);
    strbuf_release(&b);
    assert_null(strbuf_reserve(&b, SIZE_MAX));
    strbuf_release(&b);
}

static void test_reserve(void **state)
{
    struct strbuf b = STRBUF_INIT;
    char *p = strbuf_reserve(&b, 100);
    memset(p, 'q', 100);
    strbuf_commit(&b, 3);
    assert_string_equal(b.s, "qqq");
    strbuf_release(&b);
}

static void test_out_of_memory(void **state)
{
    struct strbuf b = STRBUF_INIT;
    strbuf_puts(&b, "kept");
    mem_fault_set(1, 0);
    for (int i = 0; i < 100; i++)
        strbuf_puts(&b, "0123456789");
    assert_true(mem_fault_hit());
    mem_fault_set(0, 0);
    assert_int_equal(strbuf_check(&b, NULL), -ERR_NO_MEMORY);
    assert_memory_equal(b.s, "kept", 4);
    strbuf_clear(&b);
    strbuf_puts(&b, "well again");
    assert_int_equal(strbuf_check(&b, NULL), 0);
    strbuf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),   cmocka_unit_test(test_append),
        cmocka_unit_test(test_maximum), cmocka_unit_test(test_printf_over_maximum),
        cmocka_unit_test(test_reserve), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
