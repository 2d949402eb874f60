/* Starting, ending, killing, and what a run says about it. */
#include "base/cleanup.h"
#include "os/clock.h"
#include "os/file.h"
#include "sandbox_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int exit_7(void)
{
    return 7;
}

static int hello(void)
{
    printf("hello from %d as %d\n", getpid() > 1, getuid());
    return 0;
}

static int by_signal(void)
{
    raise(SIGUSR1);
    return 0;
}

__attribute__((noreturn)) static void hang_on(void)
{
    for (;;)
        pause();
}

static int hang(void)
{
    hang_on();
}

static int orphans(void)
{
    for (int i = 0; i < 5; i++)
        if (fork() == 0) {
            setsid();
            hang_on();
        }
    return 3;
}

const struct probe probes[] = {{"exit_7", exit_7}, {"hello", hello},     {"by_signal", by_signal},
                               {"hang", hang},     {"orphans", orphans}, {NULL, NULL}};

static void test_exit_status(void **state)
{
    struct run r;
    run_probe("exit_7", &r);
    assert_int_equal(r.result.end, SANDBOX_EXITED);
    assert_int_equal(r.result.status, 7);
    assert_true(r.result.wall_ns > 0);
    run_probe("hello", &r);
    assert_int_equal(r.result.status, 0);
    assert_string_equal(r.out, "hello from 1 as 1000\n");
    run_probe("by_signal", &r);
    assert_int_equal(r.result.end, SANDBOX_SIGNALLED);
    assert_int_equal(r.result.status, SIGUSR1);
    run_probe("orphans", &r); /* end with the first process */
    assert_int_equal(r.result.end, SANDBOX_EXITED);
    assert_int_equal(r.result.status, 3);
}

static void test_exec(void **state)
{
    struct run r;
    run_shell("echo $((6 * 7)); exit 5", &r);
    assert_int_equal(r.result.end, SANDBOX_EXITED);
    assert_int_equal(r.result.status, 5);
    assert_string_equal(r.out, "42\n");
    const char *const argv[] = {"/no/such/program", NULL};
    const struct sandbox_plan plan = {.name = "x", .argv = argv};
    run_plan(&plan, &r);
    assert_int_equal(r.result.end, SANDBOX_SETUP_FAILED);
    assert_non_null(strstr(r.result.err.msg, "/no/such/program"));
}

static void test_wall_limit(void **state)
{
    struct run r;
    const struct sandbox_plan plan = {
        .name = "hang", .builtin = "hang", .limits = {.wall_ms = 100}};
    run_plan(&plan, &r);
    assert_int_equal(r.result.end, SANDBOX_LIMIT);
    assert_string_equal(r.result.limit, "time");
    assert_true(r.result.wall_ns >= 100000000 && r.result.wall_ns < 2000000000);
}

static int done_count;

static void count_done(void *arg, const struct sandbox_result *r)
{
    *(struct sandbox_result *)arg = *r;
    done_count++;
}

static void test_kill(void **state)
{
    static const char *const limits[] = {NULL, "output", "time"};
    struct sandbox_result results[3];
    struct sandbox_proc *procs[3];
    struct err e = {0};
    const struct sandbox_plan plan = {.name = "hang", .builtin = "hang"};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    done_count = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            sandbox_start(spawner, &plan, null, null, null, count_done, &results[i], &procs[i], &e),
            0);
    os_sleep_ms(20);
    for (int i = 0; i < 3; i++)
        sandbox_kill(procs[i], limits[i]);
    assert_true(WAIT_FOR(spawner_dispatch(spawner, &e) == 0 && done_count == 3, 30000));
    assert_int_equal(results[0].end, SANDBOX_KILLED);
    assert_int_equal(results[1].end, SANDBOX_LIMIT);
    assert_string_equal(results[1].limit, "output");
    assert_string_equal(results[2].limit, "time");
    close(null);
}

/* A folder that the user made, with files as a store lays them out. */
static void test_workspace(void **state)
{
    char ws[300], scratch[300], file[320];
    struct stat st;
    struct run r;
    snprintf(ws, sizeof ws, "%s/ws", test_dir);
    snprintf(scratch, sizeof scratch, "%s/scratch", test_dir);
    snprintf(file, sizeof file, "%s/secret-mode", ws);
    assert_int_equal(mkdir(ws, 0755), 0);
    assert_int_equal(mkdir(scratch, 0755), 0);
    assert_int_equal(os_write_file_atomic(file, "abc\n", 4, 0600, NULL), 0);
    const struct sandbox_mount mounts[] = {
        {.kind = MOUNT_BIND, .source = ws, .target = "/workspace"}};
    const char *const argv[] = {"/bin/sh", "-c",
                                "pwd; cat secret-mode; (echo no > new) 2>/dev/null && echo wrote; "
                                "mkdir /scratch/d && echo yes > /scratch/d/out; ls -ln /scratch/d "
                                "| tail -1 | cut -d' ' -f3",
                                NULL};
    struct sandbox_plan plan = {
        .name = "sh", .argv = argv, .mounts = mounts, .mounts_count = 1, .scratch = scratch};
    run_plan(&plan, &r);
    assert_string_equal(r.out, "/workspace\nabc\n1000\n");
    snprintf(file, sizeof file, "%s/d/out", scratch);
    assert_int_equal(stat(file, &st), 0);
    assert_true(st.st_uid == geteuid() || st.st_uid == sandbox_host_uid());
    struct sandbox_mount writable = mounts[0];
    writable.writable = true;
    plan.mounts = &writable;
    run_plan(&plan, &r);
    assert_non_null(strstr(r.out, "wrote\n"));
}

static int suite(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_status), cmocka_unit_test(test_exec),
        cmocka_unit_test(test_wall_limit),  cmocka_unit_test(test_kill),
        cmocka_unit_test(test_workspace),
    };
    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv, suite);
}
