/* Hogs: each takes one thing without end, is stopped, and is named after it. Nothing else suffers.
 */
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
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int take_memory(void)
{
    for (;;) {
        size_t n = 8 << 20;
        char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return 1;
        for (size_t i = 0; i < n; i += 4096)
            p[i] = 1;
    }
}

/* No single process is over the limit. */
static int take_memory_by_many(void)
{
    for (int i = 0; i < 16; i++)
        if (fork() == 0) {
            size_t n = 12 << 20;
            char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            for (size_t k = 0; p != MAP_FAILED && k < n; k += 4096)
                p[k] = 1;
            for (;;)
                pause();
        }
    int failed = 0, status;
    while (wait(&status) > 0)
        failed |= status;
    return failed ? 1 : 0;
}

static volatile int for_ever = 1;

static int take_pids(void)
{
    while (for_ever)
        if (fork() == 0)
            while (for_ever)
                pause();
    return 0;
}

/* Gives up as soon as a fork fails, as scripts do: nobody may have looked while it was full. */
static int take_pids_and_give_up(void)
{
    for (;;) {
        pid_t pid = fork();
        if (pid < 0)
            return 1;
        while (pid == 0 && for_ever)
            pause();
    }
}

/* Busy all the time: over its CPU time, for want of processes. */
static int take_pids_busily(void)
{
    while (for_ever)
        fork();
    return 0;
}

static int take_cpu(void)
{
    for (int i = 0; i < 2; i++)
        fork();
    while (for_ever)
        ;
    return 0;
}

static int fill(const char *path)
{
    static char block[1 << 16];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    signal(SIGXFSZ, SIG_IGN); /* as Python has it */
    while (fd >= 0 && write(fd, block, sizeof block) == (ssize_t)sizeof block)
        ;
    return 1;
}

static int take_scratch(void)
{
    return fill("/scratch/f");
}

static int take_tmp(void)
{
    return fill("/tmp/f");
}

/* Many files, each below the limit, in a folder that its owner may not read, and no end by itself.
 */
static int take_scratch_by_many(void)
{
    static char block[1 << 16];
    mkdir("/scratch/d", 0700);
    if (chdir("/scratch/d") < 0 || chmod("/scratch/d", 0300) < 0)
        return 99;
    for (int i = 0;; i++) {
        char name[32];
        snprintf(name, sizeof name, "f%d", i);
        int fd = open(name, O_WRONLY | O_CREAT, 0600);
        for (int k = 0; k < 16 && fd >= 0; k++)
            if (write(fd, block, sizeof block) < 0)
                break;
        close(fd);
        usleep(1000);
    }
}

static int take_inodes(void)
{
    for (int i = 0; i < 10000000; i++) {
        char name[32];
        snprintf(name, sizeof name, "/scratch/f%d", i);
        int fd = open(name, O_WRONLY | O_CREAT, 0600);
        if (fd < 0)
            return 1;
        close(fd);
    }
    return 0;
}

static int take_files(void)
{
    for (int i = 0; i < 100000; i++)
        if (open("/dev/null", O_RDONLY) < 0)
            return errno == EMFILE ? 40 : 41;
    return 0;
}

static int ok(void)
{
    return 0;
}

static int core(void)
{
    struct rlimit l;
    return getrlimit(RLIMIT_CORE, &l) == 0 && l.rlim_max == 0 ? 0 : 1;
}

const struct probe probes[] = {{"memory", take_memory},
                               {"memory_many", take_memory_by_many},
                               {"pids", take_pids},
                               {"pids, giving up", take_pids_and_give_up},
                               {"pids, busily", take_pids_busily},
                               {"cpu", take_cpu},
                               {"scratch", take_scratch},
                               {"tmp", take_tmp},
                               {"scratch_many", take_scratch_by_many},
                               {"inodes", take_inodes},
                               {"files", take_files},
                               {"ok", ok},
                               {"core", core},
                               {NULL, NULL}};

static void expect_limit(const struct sandbox_plan *plan, const char *limit, int64_t max_ms)
{
    struct run r, after;
    run_plan(plan, &r);
    if (r.result.end != SANDBOX_LIMIT)
        fail_msg("%s: end %d, status %d, %s", plan->name, r.result.end, r.result.status,
                 r.result.err.msg);
    assert_string_equal(r.result.limit, limit);
    if (r.result.wall_ns > max_ms * 1000000)
        fail_msg("%s: stopped after %lld ms", plan->name, (long long)r.result.wall_ns / 1000000);
    run_probe("ok", &after); /* the next one finds nothing amiss, in the same place */
    assert_int_equal(after.result.end, SANDBOX_EXITED);
    assert_int_equal(after.result.status, 0);
}

static void test_memory(void **state)
{
    struct sandbox_plan plan = {.name = "memory",
                                .builtin = "memory",
                                .limits = {.memory_bytes = 64 << 20, .wall_ms = 20000}};
    expect_limit(&plan, "memory", 15000);
    plan.builtin = "memory_many";
    expect_limit(&plan, "memory", 15000);
}

static void test_memory_peak(void **state)
{
    struct run r;
    const char *const argv[] = {"/usr/bin/perl", "-e", "$x = 'x' x 40000000; sleep 1", NULL};
    const struct sandbox_plan plan = {.name = "perl", .argv = argv};
    run_plan(&plan, &r);
    if (r.result.end == SANDBOX_SETUP_FAILED)
        skip(); /* no perl here */
    assert_true(r.result.memory_peak_bytes > 40000000 && r.result.memory_peak_bytes < 400000000);
}

static void test_pids(void **state)
{
    const struct sandbox_plan plan = {
        .name = "pids", .builtin = "pids", .limits = {.pids = 20, .wall_ms = 600}};
    const struct sandbox_plan giving_up = {
        .name = "pids", .builtin = "pids, giving up", .limits = {.pids = 20, .wall_ms = 5000}};
    const struct sandbox_plan busily = {
        .name = "pids", .builtin = "pids, busily", .limits = {.pids = 20, .cpu_ms = 500, .wall_ms = 5000}};
    expect_limit(&plan, "pids", 5000);
    expect_limit(&giving_up, "pids", 6000);
    expect_limit(&busily, "pids", 6000);
}

static void test_cpu(void **state)
{
    const struct sandbox_plan plan = {
        .name = "cpu", .builtin = "cpu", .limits = {.cpu_ms = 300, .wall_ms = 20000}};
    expect_limit(&plan, "cpu", 15000);
}

static void test_disk(void **state)
{
    struct sandbox_plan plan = {.name = "scratch",
                                .builtin = "scratch",
                                .limits = {.disk_bytes = 8 << 20, .wall_ms = 20000}};
    expect_limit(&plan, "disk", 15000);
    plan.builtin = "tmp";
    expect_limit(&plan, "disk", 15000);
    plan.builtin = "inodes";
    expect_limit(&plan, "disk", 15000);
}

static void test_disk_of_host(void **state)
{
    char scratch[300];
    struct sandbox_plan plan = {.name = "scratch",
                                .builtin = "scratch",
                                .scratch = scratch,
                                .limits = {.disk_bytes = 8 << 20, .wall_ms = 20000}};
    snprintf(scratch, sizeof scratch, "%s/s1", test_dir);
    assert_int_equal(mkdir(scratch, 0755), 0);
    expect_limit(&plan, "disk", 15000);
    snprintf(scratch, sizeof scratch, "%s/s2", test_dir);
    assert_int_equal(mkdir(scratch, 0755), 0);
    plan.builtin = "scratch_many";
    expect_limit(&plan, "disk", 15000);
}

/* Growth in a writable workspace counts, what was there does not. */
static void test_disk_of_workspace(void **state)
{
    char ws[300], file[320];
    static char block[6 << 20];
    struct run r;
    snprintf(ws, sizeof ws, "%s/ws", test_dir);
    snprintf(file, sizeof file, "%s/large", ws);
    assert_int_equal(mkdir(ws, 0755), 0);
    assert_int_equal(os_write_file_atomic(file, block, sizeof block, 0644, NULL), 0);
    const struct sandbox_mount m = {
        .kind = MOUNT_BIND, .source = ws, .target = "/workspace", .writable = true};
    const char *const argv[] = {
        "/bin/sh", "-c", "sleep 0.5; i=0; while :; do i=$((i+1)); cp large c$i; sleep 0.1; done",
        NULL};
    struct sandbox_plan plan = {.name = "cp",
                                .argv = argv,
                                .mounts = &m,
                                .mounts_count = 1,
                                .limits = {.disk_bytes = 10 << 20, .wall_ms = 20000}};
    expect_limit(&plan, "disk", 15000);
    const char *const small[] = {"/bin/sh", "-c", "sleep 0.4; echo x > y; sleep 0.4; exit 3", NULL};
    plan.argv = small;
    run_plan(&plan, &r);
    assert_int_equal(r.result.end, SANDBOX_EXITED);
    assert_int_equal(r.result.status, 3);
}

static void test_files_and_core(void **state)
{
    struct run r;
    const struct sandbox_plan plan = {.name = "files", .builtin = "files", .limits = {.files = 64}};
    run_plan(&plan, &r);
    assert_int_equal(r.result.status, 40);
    run_probe("core", &r);
    assert_int_equal(r.result.status, 0);
}

static int suite(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_memory_peak),
        cmocka_unit_test(test_pids),
        cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_disk),
        cmocka_unit_test(test_disk_of_host),
        cmocka_unit_test(test_disk_of_workspace),
        cmocka_unit_test(test_files_and_core),
    };
    return cmocka_run_group_tests_name("sandbox limits", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv, suite);
}
