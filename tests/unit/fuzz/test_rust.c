/* Rust: harnesses, the compiler's first error, panics, tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "fuzz/build_internal.h"
#include "fuzz/campaign_internal.h"
#include "fuzz/libtest.h"
#include "fuzz/panic.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

static void finds_harnesses(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        bool harness;
    } files[] = {
        {"a.rs", "use libfuzzer_sys::fuzz_target;\nfuzz_target!(|data: &[u8]| {});\n", true},
        {"b.rs", "libfuzzer_sys::fuzz_target!{|data| x(data)}\n", true},
        {"c.rs", "/// Use it as `fuzz_target!(|data| ...)`.\n// fuzz_target!(|d| {});\n", false},
        {"d.rs", "mod m {\n    fuzz_target!(init: (), |data: &[u8]| {});\n}\n", true},
    };
    char *dir, got[40] = "";
    assert_int_equal(os_temp_dir("/tmp", "ff-rust-", &dir, NULL), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = os_path_join(dir, files[i].name);
        assert_int_equal(os_write_file_atomic(path, files[i].text, strlen(files[i].text), 0644, NULL), 0);
        free(path);
    }
    fuzz_harness_list l = {0};
    assert_int_equal(fuzz_harness_find(dir, &l, NULL), 0);
    for (size_t i = 0; i < l.len; i++)
        strcat(got, l.v[i].name);
    assert_string_equal(got, "abd");
    fuzz_harness_release(&l);
    os_remove_tree(dir, NULL);
    free(dir);
}

static void tells_the_first_error(void **state)
{
    (void)state;
    char got[200];
    static const char log[] = "warning: unused variable\n --> src/a.rs:1:1\n\nerror[E0425]: cannot find function `nope` in this scope\n"
                              "  --> fuzz/t.rs:3:30\n   |\nerror: could not compile `t`\n";
    fuzz_build_first_error(log, got, sizeof got);
    assert_string_equal(got, "fuzz/t.rs:3:30: error[E0425]: cannot find function `nope` in this scope");
    char small[20]; /* no room for the place */
    fuzz_build_first_error(log, small, sizeof small);
    assert_string_equal(small, "error[E0425]: canno");
    fuzz_build_first_error("error: no such command", got, sizeof got);
    assert_string_equal(got, "error: no such command");
}

static void reads_panics(void **state)
{
    (void)state;
    static const struct {
        const char *text, *type, *file, *thread, *message;
        int line, column;
    } cases[] = {
        {"Running: x\n\nthread '<unnamed>' (18168) panicked at src/lib.rs:22:20:\nindex out of bounds: the len is 4 but the index is 9\nnote: run",
         "Index-out-of-bounds", "src/lib.rs", "<unnamed>", "index out of bounds: the len is 4 but the index is 9", 22, 20},
        {"thread 'tests::a' panicked at src/a.rs:3:5:\nassertion `left == right` failed\n  left: 1\n", "ASSERT", "src/a.rs", "tests::a",
         "assertion `left == right` failed", 3, 5},
        {"thread '<unnamed>' panicked at 'attempt to divide by zero', a.rs:7:9\n", "Divide-by-zero", "a.rs", "<unnamed>",
         "attempt to divide by zero", 7, 9},
        {"thread 'x' panicked at 'it's, at', b', c.rs:1:2\n", "Panic", "c.rs", "x", "it's, at', b", 1, 2},
        {"thread 'x' panicked at a.rs:1:1:\nfirst\nthread 'y' panicked at b.rs:2:2:\nattempt to add with overflow\n", "Integer-overflow", "b.rs",
         "y", "attempt to add with overflow", 2, 2},
        {"thread 'x' panicked at ", "Panic", "", "x", "", 0, 0},
    };
    struct fuzz_panic p;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(fuzz_panic_read(cases[i].text, strlen(cases[i].text), &p));
        assert_string_equal(p.type, cases[i].type);
        assert_string_equal(p.file, cases[i].file);
        assert_string_equal(p.thread, cases[i].thread);
        assert_string_equal(p.message, cases[i].message);
        assert_int_equal(p.line, cases[i].line);
        assert_int_equal(p.column, cases[i].column);
    }
    assert_false(fuzz_panic_read("the thread 'x' panicked at a.rs:1:1:\nm\n", 37, &p));
    assert_false(fuzz_panic_read("", 0, &p));
}

#define PANIC_FRAMES \
    "==7==ERROR: AddressSanitizer: ABRT on unknown address 0x1 (pc 0x1 bp 0x2 sp 0x3 T0)\n" \
    "    #0 0x1 in __pthread_kill_implementation nptl/pthread_kill.c:43:17\n    #1 0x2 in abort stdlib/abort.c:79:7\n" \
    "    #2 0x3 in std::process::abort::h6779b0bff5c91f0c /usr/src/rustc-1.63.0/library/std/src/process.rs:2103:5\n" \
    "    #3 0x4 in libfuzzer_sys::initialize::{closure#0} /scratch/b/lib.rs:7:64\n" \
    "    #4 0x5 in core::slice::index::slice_end_index_len_fail::h55a7d7850dc2f988 /usr/src/rustc-1.63.0/library/core/src/slice/index.rs:67:9\n" \
    "    #5 0x6 in records::name::h31b0b8835e8ea9f8 /scratch/b/src/lib.rs:22:20\n" \
    "    #6 0x7 in LLVMFuzzerTestOneInput /scratch/b/lib.rs:26:38\n"

/* It ends in abort(), as all of them do: the message says which kind, the frames of the program's own where. */
static void knows_panics_apart(void **state)
{
    (void)state;
    static const char report[] = "thread '<unnamed>' panicked at src/lib.rs:22:20:\nrange end index 6 out of range for slice of length 2\n" PANIC_FRAMES;
    struct fuzz_verdict v;
    assert_int_equal(fuzz_verdict_read(report, sizeof report - 1, NULL, NULL, &v, NULL), 0);
    assert_string_equal(v.title, "Index-out-of-bounds in records::name");
    assert_string_equal(v.state, "records::name\nLLVMFuzzerTestOneInput\n");
    assert_int_equal(v.line, 22);
    assert_non_null(strstr(v.reason, "range end index 6"));
    fuzz_verdict_release(&v);
    static const char bare[] = "thread '<unnamed>' panicked at %s:1:1:\nm\n==7==ERROR: AddressSanitizer: ABRT on unknown address 0x1\n"
                               "    #0 0x1  (/lib/libc.so.6+0x1)\n    #1 0x2  (/t+0x22)\n";
    char one[400], two[400], a[512], b[512];
    snprintf(one, sizeof one, bare, "a.rs");
    snprintf(two, sizeof two, bare, "b.rs");
    campaign_signature(one, strlen(one), a, sizeof a);
    campaign_signature(two, strlen(two), b, sizeof b);
    assert_string_not_equal(a, b);
}

static const char printed[] =
    "   Compiling sums v0.1.0 (/scratch/work/src)\n"
    "     Running unittests src/lib.rs (target/debug/deps/sums-05)\n"
    "\n"
    "running 4 tests\n"
    "test tests::fine ... ok\n"
    "test tests::later ... ignored\n"
    "test tests::should - should panic ... FAILED\n"
    "test tests::wrong ... FAILED\n"
    "\n"
    "failures:\n"
    "\n"
    "---- tests::should stdout ----\n"
    "note: test did not panic as expected at src/lib.rs:23:8\n"
    "---- tests::wrong stdout ----\n"
    "said\n"
    "\n"
    "thread 'tests::wrong' (111) panicked at src/lib.rs:16:36:\n"
    "assertion `left == right` failed\n"
    "\n"
    "\n"
    "failures:\n"
    "    tests::should\n"
    "    tests::wrong\n"
    "\n"
    "test result: FAILED. 1 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s\n"
    "     Running tests/api.rs (target/debug/deps/api-15)\n"
    "running 1 test\n"
    "error: test failed, to rerun pass `--test api`\n"
    "Caused by:\n"
    "  process didn't exit successfully: `/scratch/work/target/debug/deps/api-15` (signal: 11, SIGSEGV: invalid memory reference)\n"
    "   Doc-tests sums\n"
    "test src/lib.rs - add (line 3) ... FAILED\n"
    "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n";

static void libtest_text(struct libtest *t, const char *text)
{
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        libtest_line(t, p, n);
        p += n + (p[n] == '\n');
    }
}

static void reads_tests(void **state)
{
    (void)state;
    struct libtest t = {0};
    libtest_text(&t, printed);
    assert_int_equal(t.passed, 1);
    assert_int_equal(t.failed, 3);
    assert_int_equal(t.ignored, 1);
    assert_int_equal(t.crashed, 1);
    assert_int_equal(t.planned, 5);
    static const char *const want[][3] = {
        {"src/lib.rs", "tests::should", "note: test did not panic as expected at src/lib.rs:23:8\n"},
        {"src/lib.rs", "tests::wrong", "said\n\nthread 'tests::wrong' (111) panicked at src/lib.rs:16:36:\n"
                                       "assertion `left == right` failed\n\n\n"},
        {"tests/api.rs", NULL, "signal: 11, SIGSEGV: invalid memory reference"},
        {"Doc-tests sums", "src/lib.rs - add (line 3)", ""},
    };
    assert_int_equal(t.failures.len, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(t.failures.v[i].suite, want[i][0]);
        assert_string_equal(t.failures.v[i].name ? t.failures.v[i].name : "none", want[i][1] ? want[i][1] : "none");
        assert_string_equal(strbuf_str(&t.failures.v[i].output), want[i][2]);
    }
    libtest_release(&t);
}

/* What takes long may pass yet, fail, or never end. */
static void reads_long_tests(void **state)
{
    (void)state;
    struct libtest t = {0};
    libtest_text(&t, "     Running unittests src/lib.rs (target/debug/deps/sums-05)\nrunning 4 tests\ntest a ... ok\n"
                     "test hangs has been running for over 60 seconds\ntest slow has been running for over 60 seconds\n"
                     "test wrong has been running for over 60 seconds\ntest slow ... ok\ntest wrong ... FAILED\n");
    assert_int_equal(t.failures.len, 3);
    static const char *const names[] = {"hangs", "slow", "wrong"};
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(t.failures.v[i].name, names[i]);
        assert_int_equal(t.failures.v[i].runs, i == 0);
        assert_int_equal(t.failures.v[i].passed, i == 1);
    }
    libtest_release(&t);
}

static void bounds_tests(void **state)
{
    (void)state;
    struct libtest t = {0};
    char line[100];
    for (int i = 0; i < 2 * LIBTEST_FAILURES_MAX; i++) {
        snprintf(line, sizeof line, "test t%d ... FAILED", i);
        libtest_line(&t, line, strlen(line));
    }
    assert_int_equal(t.failures.len, LIBTEST_FAILURES_MAX);
    libtest_line(&t, "---- t7 stdout ----", 19);
    for (int i = 0; i < 1000; i++)
        libtest_line(&t, line, sizeof line - 1);
    assert_true(t.failures.v[7].output.len > LIBTEST_OUTPUT_MAX / 2 && t.failures.v[7].output.len <= LIBTEST_OUTPUT_MAX);
    assert_false(t.failures.v[7].output.failed);
    libtest_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_harnesses),
        cmocka_unit_test(tells_the_first_error),
        cmocka_unit_test(reads_panics),
        cmocka_unit_test(knows_panics_apart),
        cmocka_unit_test(reads_tests), cmocka_unit_test(reads_long_tests),
        cmocka_unit_test(bounds_tests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
