/* The map against the simplest model there is, under random operations, and when memory fails. */
#include "base/map.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 500

static void key_of(int i, char buf[16])
{
    snprintf(buf, 16, "k%d", i);
}

static void assert_same(const struct map *m, void *const model[KEYS])
{
    size_t live = 0, seen = 0;
    char key[16];
    for (int i = 0; i < KEYS; i++) {
        key_of(i, key);
        assert_ptr_equal(map_get(m, key), model[i]);
        live += model[i] != NULL;
    }
    assert_int_equal(m->len, live);
    MAP_EACH(m, e)
    {
        int i = atoi(e->key + 1);
        assert_ptr_equal(e->value, model[i]);
        seen++;
    }
    assert_int_equal(seen, live);
}

static void test_random_operations(void **state)
{
    for (unsigned seed = 1; seed <= 8; seed++) {
        struct map m = {0};
        void *model[KEYS] = {0};
        srand(seed);
        for (int step = 0; step < 20000; step++) {
            int i = rand() % (seed % 2 ? KEYS : 20), what = rand() % 100;
            char key[16];
            key_of(i, key);
            if (what < 50) {
                void *value = &model[rand() % KEYS], *old;
                assert_true(map_setn(&m, key, strlen(key), value, &old));
                assert_ptr_equal(old, model[i]);
                model[i] = value;
            } else if (what < 99) {
                assert_ptr_equal(map_remove(&m, key), model[i]);
                model[i] = NULL;
            } else if (step % 3 == 0) {
                map_clear(&m);
                memset(model, 0, sizeof model);
            }
            if (step % 500 == 0)
                assert_same(&m, model);
        }
        assert_same(&m, model);
        map_release(&m);
        assert_int_equal(m.len, 0);
    }
}

static void test_churn_does_not_grow(void **state)
{
    struct map m = {0};
    char key[16];
    for (int i = 0; i < 200000; i++) { /* one live key at a time: removed places are used again */
        key_of(i, key);
        assert_true(map_set(&m, key, &m));
        assert_ptr_equal(map_remove(&m, key), &m);
    }
    assert_true(m.slots_cap <= 64);
    map_release(&m);
}

static void test_binary_keys(void **state)
{
    struct map m = {0};
    int a, b, c;
    assert_null(map_get(&m, "x"));
    assert_null(map_remove(&m, "x"));
    assert_true(map_setn(&m, "k\0a", 3, &a, NULL));
    assert_true(map_setn(&m, "k\0b", 3, &b, NULL));
    assert_true(map_setn(&m, "", 0, &c, NULL));
    assert_ptr_equal(map_getn(&m, "k\0a", 3), &a);
    assert_ptr_equal(map_getn(&m, "k\0b", 3), &b);
    assert_ptr_equal(map_get(&m, ""), &c);
    assert_null(map_get(&m, "k"));
    map_release(&m);
}

static void test_order(void **state)
{
    struct map m = {0};
    char key[16];
    for (int i = 0; i < 300; i++) {
        key_of(i, key);
        map_set(&m, key, &m);
    }
    int next = 0;
    MAP_EACH(&m, e)
    {
        key_of(next++, key);
        assert_string_equal(e->key, key);
    }
    assert_int_equal(next, 300);
    map_release(&m);
}

static void test_out_of_memory(void **state)
{
    for (long n = 1;; n++) {
        struct map m = {0};
        char key[16];
        int stored = 0;
        mem_fault_set(n, 0);
        for (int i = 0; i < 100; i++) {
            key_of(i, key);
            if (!map_set(&m, key, &m))
                break;
            stored++;
        }
        int hit = mem_fault_hit();
        mem_fault_set(0, 0);
        assert_int_equal(stored < 100, hit);
        assert_int_equal(m.len, stored);
        for (int i = 0; i < stored; i++) { /* all before it is there, and the map goes on */
            key_of(i, key);
            assert_ptr_equal(map_get(&m, key), &m);
        }
        assert_true(map_set(&m, "more", &m));
        map_release(&m);
        if (!hit)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations), cmocka_unit_test(test_churn_does_not_grow),
        cmocka_unit_test(test_binary_keys),       cmocka_unit_test(test_order),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
