/* The typed array, and the allocator's seam for faults. */
#include "base/mem.h"
#include "base/vec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_push(void **state)
{
    VEC(int) v = {0};
    for (int i = 0; i < 10000; i++)
        assert_true(VEC_PUSH(&v, i));
    int sum = 0, n = 0;
    VEC_EACH(&v, p)
    {
        assert_int_equal(*p, n++);
        sum++;
    }
    assert_int_equal(sum, 10000);
    assert_int_equal(VEC_POP(&v), 9999);
    assert_int_equal(v.len, 9999);
    VEC_CLEAR(&v);
    VEC_EACH(&v, p)
        fail();
    VEC_RELEASE(&v);
    VEC_EACH(&v, p)
        fail();
}

static void test_out_of_memory(void **state)
{
    VEC(uint64_t) v = {0};
    uint64_t pushed = 0;
    mem_fault_set(3, 0);
    while (VEC_PUSH(&v, pushed))
        pushed++;
    assert_true(mem_fault_hit());
    mem_fault_set(0, 0);
    assert_int_equal(v.len, pushed);
    for (uint64_t i = 0; i < pushed; i++)
        assert_int_equal(v.v[i], i);
    assert_true(VEC_PUSH(&v, 7));
    VEC_RELEASE(&v);
}

static void test_fault_seam(void **state)
{
    mem_fault_set(2, 0);
    void *a = mem_alloc(1), *b = mem_alloc(1), *c = mem_alloc(1);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    assert_true(mem_fault_hit());
    free(a);
    free(c);
    mem_fault_set(2, 1);
    a = mem_zalloc(0);
    assert_non_null(a); /* also for no bytes */
    free(a);
    assert_null(mem_strdup("x"));
    assert_null(mem_calloc(1, 1));
    assert_null(mem_printf("%d", 1));
    mem_fault_set(0, 0);
    assert_false(mem_fault_hit());
    a = mem_strndup("abc", 2);
    assert_string_equal(a, "ab");
    free(a);
    assert_null(mem_strdup(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_fault_seam),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
