/* The arena: alignment, zeroes, its maximum, reuse. */
#include "base/arena.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_alloc(void **state)
{
    struct arena a = ARENA_INIT_MAX(1 << 20);
    for (size_t n = 0; n < 3000; n += 7) {
        unsigned char *p = arena_alloc(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
    }
    char *s = arena_strdup(&a, "text"), *t = arena_strndup(&a, "abcdef", 3), *u = arena_printf(&a, "%d|%s", 5, s);
    assert_string_equal(s, "text");
    assert_string_equal(t, "abc");
    assert_string_equal(u, "5|text");
    arena_release(&a);
    assert_int_equal(a.total, 0);
}

static void test_maximum(void **state)
{
    struct arena a = ARENA_INIT_MAX(10000);
    size_t got = 0;
    while (arena_alloc(&a, 100))
        got += 112; /* rounded up to 16 */
    assert_in_range(got, 9000, 10000);
    assert_true(a.total <= a.max);
    assert_null(arena_alloc(&a, 100));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 3));
    arena_clear(&a);
    assert_non_null(arena_alloc(&a, 100));
    arena_release(&a);
    assert_null(arena_alloc(&a, 20000));
    assert_non_null(arena_alloc(&a, 9000));
    arena_release(&a);
}

static void test_reuse_is_zeroed(void **state)
{
    struct arena a = ARENA_INIT_MAX(1 << 16);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 20; i++) {
            unsigned char *p = arena_alloc(&a, 200);
            for (size_t k = 0; k < 200; k++)
                assert_int_equal(p[k], 0);
            memset(p, 0xaa, 200);
        }
        arena_clear(&a);
    }
    arena_release(&a);
}

static void test_out_of_memory(void **state)
{
    struct arena a = ARENA_INIT_MAX(1 << 20);
    mem_fault_set(1, 0);
    assert_null(arena_alloc(&a, 10));
    assert_true(mem_fault_hit());
    mem_fault_set(0, 0);
    assert_non_null(arena_alloc(&a, 10));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_reuse_is_zeroed),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
