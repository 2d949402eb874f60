/* Control groups of version 2, on a folder that stands in for them: what is written where, and how the counts are read. Real
 * ones are met by the other tests, of the version that the machine has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/file.h"
#include "sandbox/sandbox_internal.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct host host;

static void put(const char *file, const char *text)
{
    char path[GROUP_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/3/%s", host.groups[0], file);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void expect(const char *file, const char *want)
{
    char path[GROUP_PATH_MAX + 64], *text;
    size_t len;
    snprintf(path, sizeof path, "%s/3/%s", host.groups[0], file);
    assert_int_equal(os_read_file(path, 4096, &text, &len, NULL), 0);
    text[strcspn(text, "\n")] = 0;
    assert_string_equal(text, want);
    free(text);
}

static void test_v2(void **state)
{
    static const char *const files[] = {"memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cgroup.procs"};
    const struct sandbox_limits limits = {.memory_bytes = 64 << 20, .pids = 20};
    struct group_usage usage;
    struct err e = {0};
    assert_int_equal(groups_make_leaf(&host, 3, &e), 0);
    assert_int_equal(groups_make_leaf(&host, 3, &e), 0); /* a leaf is used again and again */
    int fd = groups_open_leaf(&host, 3);
    assert_true(fd >= 0);
    close(fd);
    assert_true(groups_limit(&host, 3, &limits, &e) < 0); /* no control group: its files are not there */
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        put(files[i], "");
    assert_int_equal(groups_limit(&host, 3, &limits, &e), 0);
    assert_int_equal(groups_join(&host, 3, &e), 0);
    expect("memory.max", "67108864");
    expect("memory.swap.max", "0");
    expect("memory.oom.group", "1");
    expect("pids.max", "21");
    expect("cgroup.procs", "0");
    put("memory.peak", "4096000\n");
    put("memory.events", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 1\n");
    put("pids.events", "max 5\n");
    groups_read(&host, 3, &usage);
    assert_int_equal(usage.memory_peak, 4096000);
    assert_int_equal(usage.oom_kills, 1);
    assert_int_equal(usage.pids_refused, 5);
    groups_read(&host, 4, &usage); /* one that is not there counts nothing */
    assert_int_equal(usage.memory_peak + usage.oom_kills + usage.pids_refused, 0);
}

/* The first process of a PID namespace of its own, of another /proc: what it is called there is nobody's name here. Ends
 * with the descriptor's other end. */
static void other_spawner(int out, int in)
{
    struct host h = {.proc_fd = -1};
    char c;
    groups_discover(&h);
    if (write(out, h.groups[0], sizeof h.groups[0]) == sizeof h.groups[0])
        (void)!read(in, &c, 1);
    _exit(0);
}

static pid_t start_other(char *ret_group, int *ret_end)
{
    int out[2], end[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(end[1]);
        if (unshare(CLONE_NEWPID) == 0 && (pid = fork()) == 0)
            other_spawner(out[1], end[0]);
        _exit(pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : 1);
    }
    close(out[1]);
    close(end[0]);
    ssize_t n = read(out[0], ret_group, GROUP_PATH_MAX);
    if (n <= 0) /* an ordinary user makes no such namespace */
        ret_group[0] = 0;
    close(out[0]);
    *ret_end = end[1];
    return pid;
}

static void test_stale(void **state)
{
    struct host ours = {.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)};
    char other[GROUP_PATH_MAX];
    int end;
    pid_t pid = start_other(other, &end);
    groups_discover(&ours);
    assert_true(geteuid() != 0 || (other[0] != 0) == (ours.groups[0][0] != 0));
    assert_true(!other[0] || os_is_dir(other));
    close(end);
    waitpid(pid, NULL, 0);
    groups_remove(&ours);
    groups_discover(&ours);
    assert_true(!other[0] || !os_is_dir(other));
    groups_remove(&ours);
    close(ours.proc_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_v2), cmocka_unit_test(test_stale)};
    char dir[] = "/tmp/ff-groups-XXXXXX";
    if (!mkdtemp(dir))
        return 1;
    host.groups_version = 2;
    host.protection.cgroup_version = 2;
    host.protection.cgroup_memory = host.protection.cgroup_pids = true;
    for (int c = 0; c < GROUP_CONTROLLERS; c++)
        snprintf(host.groups[c], sizeof host.groups[c], "%s", dir);
    int failed = cmocka_run_group_tests_name("groups", tests, NULL, NULL);
    os_remove_tree(dir, NULL);
    return failed;
}
