/* Java: what a report says of the bug and its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "fuzz/driver.h"
#include "fuzz/verdict.h"
#include "os/file.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define THROWN(where) \
    "\n== Java Exception: java.lang.NumberFormatException: For input string: \"x\"\n" \
    "\tat java.base/java.lang.NumberFormatException.forInputString(NumberFormatException.java:67)\n" \
    "\tat java.base/java.lang.Integer.parseInt(Integer.java:654)\n" \
    "\tat java.base/java.lang.Integer.parseInt(Integer.java:786)\n" \
    "\tat " where "\n" \
    "\tat app//records.RecordsFuzzer.fuzzerTestOneInput(RecordsFuzzer.java:6)\n" \
    "\tat com.code_intelligence.jazzer.driver.FuzzTargetRunner.runOne(FuzzTargetRunner.java:234)\n" \
    "DEDUP_TOKEN: 4f4b74276f49d63e\n"

static void knows_callers_apart(void **state)
{
    (void)state;
    static const char one[] = THROWN("org.records.Records.number(Records.java:33)");
    static const char two[] = THROWN("org.records.Records.port(Records.java:50)");
    struct fuzz_verdict v, w;
    assert_int_equal(fuzz_verdict_read(one, sizeof one - 1, NULL, NULL, &v, NULL), 0);
    assert_int_equal(fuzz_verdict_read(two, sizeof two - 1, NULL, NULL, &w, NULL), 0);
    assert_string_equal(v.title, "Uncaught exception NumberFormatException in org.records.Records.number");
    assert_string_equal(v.state, "org.records.Records.number\napp//records.RecordsFuzzer.fuzzerTestOneInput\n");
    assert_string_equal(v.file, "org/records/Records.java");
    assert_int_equal(v.line, 33);
    assert_non_null(strstr(v.reason, "NumberFormatException: For input string"));
    assert_false(fuzz_verdict_same(&v, &w));
    fuzz_verdict_release(&v);
    fuzz_verdict_release(&w);
    /* In one function: another exception, another bug. */
    static const char other[] = "== Java Exception: java.lang.IllegalStateException\n\tat org.records.Records.number(Records.java:35)\n"
                                "\tat app//records.RecordsFuzzer.fuzzerTestOneInput(RecordsFuzzer.java:6)\n";
    assert_int_equal(fuzz_verdict_read(one, sizeof one - 1, NULL, NULL, &v, NULL), 0);
    assert_int_equal(fuzz_verdict_read(other, sizeof other - 1, NULL, NULL, &w, NULL), 0);
    assert_string_equal(v.state, w.state);
    assert_string_equal(w.thrown, "IllegalStateException");
    assert_false(fuzz_verdict_same(&v, &w));
    fuzz_verdict_release(&v);
    fuzz_verdict_release(&w);
    /* Without a frame of the program's own it is what the report says. */
    static const char bare[] = "== Java Exception: java.lang.StackOverflowError\n\tat java.base/java.util.A.b(A.java:1)\n";
    assert_int_equal(fuzz_verdict_read(bare, sizeof bare - 1, NULL, NULL, &v, NULL), 0);
    assert_non_null(strstr(v.state, "java.util.A.b"));
    assert_int_equal(v.line, 0);
    fuzz_verdict_release(&v);
}

static void finds_sources(void **state)
{
    (void)state;
    char *dir;
    assert_int_equal(os_temp_dir("/tmp", "ff-java-", &dir, NULL), 0);
    char *program = os_path_join(dir, "Fuzzer"), *list = os_path_join(dir, "Fuzzer.sources");
    static const char text[] = "a/XRecords.java\nsrc/main/java/org/records/Records.java\nTop.java\n";
    assert_int_equal(os_write_file_atomic(list, text, sizeof text - 1, 0644, NULL), 0);
    struct fuzz_target t = {.program = program};
    char *found = fuzz_listed_source(&t, "org/records/Records.java"), *top = fuzz_listed_source(&t, "Top.java");
    assert_string_equal(found, "src/main/java/org/records/Records.java");
    assert_string_equal(top, "Top.java");
    assert_null(fuzz_listed_source(&t, "ecords.java"));
    assert_null(fuzz_listed_source(&t, ""));
    t.program = dir;
    assert_null(fuzz_listed_source(&t, "Top.java"));
    os_remove_tree(dir, NULL);
    char *all[] = {found, top, program, list, dir};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* A virtual machine that cannot start is no crash of the target. */
static void tells_crashes(void **state)
{
    (void)state;
    assert_true(jazzer_driver.crashed(77 << 8));
    assert_true(jazzer_driver.crashed(70 << 8));
    assert_true(jazzer_driver.crashed(SIGSEGV));
    assert_true(jazzer_driver.crashed((128 + SIGKILL) << 8));
    assert_false(jazzer_driver.crashed(1 << 8));
    assert_false(jazzer_driver.crashed(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_callers_apart),
        cmocka_unit_test(finds_sources),
        cmocka_unit_test(tells_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
