/* Crashes of one bug come together, those of different bugs stay apart. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "codec/crash/cluster.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A report whose stack is one function a letter, innermost first. */
static void make(struct crash *ret, const char *letters)
{
    struct strbuf b = STRBUF_INIT;
    struct err err = {0};
    strbuf_puts(&b, "==7==ERROR: AddressSanitizer: SEGV on unknown address 0x5000 (pc 0x1 bp 0x2 sp 0x3 T0)\n");
    for (int i = 0; letters[i]; i++)
        strbuf_printf(&b, "    #%d 0x%d in box_%c /src/box.c:%d:1\n", i, i + 1, letters[i], letters[i]);
    assert_int_equal(crash_parse(b.s, b.len, NULL, ret, &err), 0);
    strbuf_release(&b);
}

static double similarity(const char *a, const char *b)
{
    struct crash ca, cb;
    make(&ca, a);
    make(&cb, b);
    double x = crash_similarity(&ca, &cb), y = crash_similarity(&cb, &ca);
    assert_true(fabs(x - y) < 1e-9);
    crash_release(&ca);
    crash_release(&cb);
    return x;
}

static void test_similarity(void **state)
{
    assert_true(fabs(similarity("abcdef", "abcdef") - 1) < 1e-9);
    assert_true(similarity("abcdef", "uvwxyz") < 1e-9);
    assert_true(similarity("abcdef", "abcxyz") > similarity("abcdef", "xyzdef")); /* the top weighs more */
    assert_true(similarity("abcdef", "xabcdef") < 1);                             /* a shift costs */
    assert_true(similarity("abcdef", "xabcdef") > similarity("abcdef", "xyzabcdef"));
    /* one frame in common of two, on top: 1 share of exp(-0.04) against exp(-0.04) + exp(-0.08) */
    assert_true(fabs(similarity("ab", "ac") - exp(-0.04) / (exp(-0.04) + exp(-0.08))) < 1e-9);
    assert_true(fabs(similarity("abcabcabcabcde", "abcde") - 1) < 1e-9); /* recursion of any depth */
}

static void cluster(const char *const *stacks, size_t n, size_t *group, size_t *ret_groups)
{
    _cleanup_(crash_clusters_free_cleanup_) struct crash_clusters *c = NULL;
    const size_t *own;
    struct err err = {0};
    assert_int_equal(crash_clusters_new(&c, &err), 0);
    for (size_t i = 0; i < n; i++) {
        struct crash crash;
        bool first;
        make(&crash, stacks[i]);
        assert_int_equal(crash_clusters_add(c, &crash, &first, &err), 0);
        for (size_t j = 0; j < i; j++)
            first |= strcmp(stacks[i], stacks[j]) == 0; /* then it was not first */
        assert_true(first);
        crash_release(&crash);
    }
    assert_int_equal(crash_clusters_finish(c, &own, ret_groups, &err), 0);
    memcpy(group, own, n * sizeof *group);
}

static void test_groups(void **state)
{
    static const char *const stacks[] = {"abcdef", "uvwxyz", "abcdeg", "uvwxyz", "klmn", "abcdef", "uvwxya", ""};
    size_t group[8], groups;
    cluster(stacks, 8, group, &groups);
    static const size_t expected[] = {0, 1, 0, 1, 2, 0, 1, 3};
    assert_int_equal(groups, 4);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(group[i], expected[i]);
    cluster(stacks, 0, group, &groups);
    assert_int_equal(groups, 0);
}

/* No two of a group are further apart than the bound: b is near a and near c, but a is not near c. */
static void test_complete_linkage(void **state)
{
    static const char *const stacks[] = {"abcdefgh", "abcdefgz", "abcdefyz", "abcdexyz", "abcdwxyz", "abcvwxyz", "abuvwxyz"};
    size_t group[7], groups;
    cluster(stacks, 7, group, &groups);
    assert_true(groups > 1);
    for (size_t i = 0; i < 7; i++)
        for (size_t j = 0; j < i; j++)
            if (group[i] == group[j])
                assert_true(1 - similarity(stacks[i], stacks[j]) < CLUSTER_DISTANCE);
}

/* Without a stack: by type and state; without a crash: each alone. */
static void test_no_stack(void **state)
{
    static const char *const reports[] = {"fine\n", "==1== ERROR: libFuzzer: timeout after 1 seconds\n", "good\n",
                                          "==2== ERROR: libFuzzer: timeout after 9 seconds\n",
                                          "==3== ERROR: libFuzzer: fuzz target exited\n"};
    static const size_t expected[] = {0, 1, 2, 1, 3};
    _cleanup_(crash_clusters_free_cleanup_) struct crash_clusters *c = NULL;
    const size_t *group;
    size_t groups;
    struct err err = {0};
    assert_int_equal(crash_clusters_new(&c, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(reports); i++) {
        struct crash crash;
        bool first;
        assert_int_equal(crash_parse(reports[i], strlen(reports[i]), NULL, &crash, &err), 0);
        assert_int_equal(crash_clusters_add(c, &crash, &first, &err), 0);
        assert_int_equal(first, i != 3);
        crash_release(&crash);
    }
    assert_int_equal(crash_clusters_finish(c, &group, &groups, &err), 0);
    assert_int_equal(groups, 4);
    for (size_t i = 0; i < ARRAY_LEN(reports); i++)
        assert_int_equal(group[i], expected[i]);
}

static int cluster_two(const struct crash *a, const struct crash *b, struct err *err)
{
    _cleanup_(crash_clusters_free_cleanup_) struct crash_clusters *c = NULL;
    const size_t *group;
    size_t groups;
    int r = crash_clusters_new(&c, err);
    if (r == 0)
        r = crash_clusters_add(c, a, NULL, err);
    if (r == 0)
        r = crash_clusters_add(c, b, NULL, err);
    return r < 0 ? r : crash_clusters_finish(c, &group, &groups, err);
}

static void test_memory(void **state)
{
    struct crash a, b;
    make(&a, "abcdef");
    make(&b, "");
    int failures = 0;
    for (int n = 1; n < 200; n++) {
        struct err err = {0};
        mem_fault_set(n, 1);
        int r = cluster_two(&a, &b, &err);
        bool hit = mem_fault_hit();
        mem_fault_set(0, 0);
        assert_int_equal(r, hit ? -ERR_NO_MEMORY : 0);
        failures += hit;
        if (!hit)
            break;
    }
    assert_true(failures > 3 && failures < 199);
    crash_release(&a);
    crash_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_similarity), cmocka_unit_test(test_groups), cmocka_unit_test(test_complete_linkage),
        cmocka_unit_test(test_no_stack),   cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
