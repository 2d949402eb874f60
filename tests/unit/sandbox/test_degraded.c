/* Hosts that lack something, played by a filter that denies the spawner its system calls: what is
 * left holds, what is lacking is named, and who insists on all of it is refused. */
#include "base/cleanup.h"
#include "os/clock.h"
#include "os/file.h"
#include "sandbox_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int probe_walls(void)
{
    const char *secret = getenv("SECRET_FILE");
    if (open("/etc/shadow", O_RDONLY) >= 0 || !secret || open(secret, O_RDONLY) >= 0)
        return 10;
    if (getuid() == 0 || setuid(0) == 0)
        return 11;
    if (socket(AF_PACKET, SOCK_RAW, 0) >= 0 || errno != EPERM)
        return 12;
    if (open("file", O_RDONLY) < 0 || open("new", O_WRONLY | O_CREAT, 0600) >= 0)
        return 13;
    int fd = open(getenv("TMPDIR"), O_TMPFILE | O_RDWR, 0600);
    return fd >= 0 && write(fd, "x", 1) == 1 ? 0 : 14;
}

static int probe_tree(void)
{
    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            setsid();
            if (fork() > 0)
                _exit(0);
            for (;;)
                pause();
        }
    usleep(50000);
    return 5;
}

static int probe_hang(void)
{
    probe_tree();
    for (volatile int run = 1; run;)
        pause();
    return 0;
}

const struct probe probes[] = {
    {"walls", probe_walls}, {"tree", probe_tree}, {"hang", probe_hang}, {NULL, NULL}};

static void deny(const char *const *calls)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    for (; *calls; calls++)
        seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(*calls), 0);
    if (seccomp_load(ctx) < 0)
        _exit(90);
    seccomp_release(ctx);
}

/* Runs body in a process of its own that may not make these calls, and that has no spawner yet. */
static void on_host_without(const char *const *calls, void (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        deny(calls);
        body(); /* exits with 0, or cmocka's assertions end it otherwise */
        _exit(91);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the host without %s...: status %x", calls[0], status);
}

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "line %d: %s\n", __LINE__, #cond);                                     \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static char workspace[300], scratch[300], env_secret[400];

static void try_run(struct spawner *s, const char *probe, int64_t wall_ms, struct sandbox_result *r)
{
    const struct sandbox_mount m = {
        .kind = MOUNT_BIND, .source = workspace, .target = "/workspace"};
    const char *const env[] = {env_secret, NULL};
    const struct sandbox_plan plan = {.name = probe,
                                      .builtin = probe,
                                      .mounts = &m,
                                      .mounts_count = 1,
                                      .scratch = scratch,
                                      .env = env,
                                      .cwd = "/workspace",
                                      .limits = {.wall_ms = wall_ms}};
    struct err e = {0};
    int err_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(sandbox_run(s, &plan, err_fd, err_fd, err_fd, r, &e) == 0);
    if (r->end == SANDBOX_SETUP_FAILED)
        fprintf(stderr, "%s\n", r->err.msg);
    close(err_fd);
}

/* No process of a run is left: the pipe that all of them hold is closed. */
static void check_tree(struct spawner *s, const char *probe, int64_t wall_ms, enum sandbox_end end)
{
    int p[2];
    char c;
    struct sandbox_result r;
    const struct sandbox_plan plan = {
        .name = probe, .builtin = probe, .scratch = scratch, .limits = {.wall_ms = wall_ms}};
    struct err e = {0};
    CHECK(pipe2(p, O_CLOEXEC) == 0);
    CHECK(sandbox_run(s, &plan, p[0], p[1], p[1], &r, &e) == 0);
    close(p[1]);
    if (r.end != end)
        fprintf(stderr, "%s: end %d, status %d, %s%s\n", probe, r.end, r.status,
                r.limit ? r.limit : "", r.err.msg);
    CHECK(r.end == end);
    struct pollfd pf = {.fd = p[0], .events = POLLIN};
    CHECK(poll(&pf, 1, 3000) == 1 && read(p[0], &c, 1) == 0);
    close(p[0]);
}

static void without_namespaces(void)
{
    struct spawner_options o = {.builtin = probe_main};
    struct spawner *s;
    struct sandbox_result r;
    struct err e = {0};
    CHECK(spawner_start(&o, &s, &e) == 0);
    const struct sandbox_protection *p = spawner_protection(s);
    CHECK(!p->complete && !p->mount_ns && !p->pid_ns && !p->user_ns && p->seccomp);
    CHECK(strstr(p->missing, "a root of its own") && strstr(p->missing, "pid namespaces"));
    if (p->landlock_abi) {
        try_run(s, "walls", 5000, &r);
        if (r.end != SANDBOX_EXITED || r.status != 0)
            fprintf(stderr, "walls: end %d status %d\n", r.end, r.status);
        CHECK(r.end == SANDBOX_EXITED && r.status == 0);
    }
    check_tree(s, "tree", 5000, SANDBOX_EXITED);
    check_tree(s, "hang", 300, SANDBOX_LIMIT);
    spawner_free(s);
    o.require_sandbox = true;
    CHECK(spawner_start(&o, &s, &e) == 0);
    CHECK(!spawner_protection(s)->complete);
    CHECK(spawner_dispatch(s, &e) == -ERR_MISSING);
    CHECK(strstr(e.msg, "pid namespaces"));
    const struct sandbox_plan plan = {.name = "tree", .builtin = "tree"};
    CHECK(sandbox_run(s, &plan, 0, 1, 2, &r, &e) == -ERR_MISSING);
    spawner_free(s);
    _exit(0);
}

static void without_landlock(void)
{
    struct spawner_options o = {.builtin = probe_main};
    struct spawner *s;
    struct sandbox_result r;
    struct err e = {0};
    CHECK(spawner_start(&o, &s, &e) == 0);
    const struct sandbox_protection *p = spawner_protection(s);
    CHECK(!p->complete && p->landlock_abi == 0 && p->mount_ns && strstr(p->missing, "Landlock"));
    try_run(s, "tree", 5000, &r);
    CHECK(r.end == SANDBOX_EXITED && r.status == 5);
    spawner_free(s);
    _exit(0);
}

static void test_without_namespaces(void **state)
{
    static const char *const calls[] = {"unshare", NULL};
    on_host_without(calls, without_namespaces);
}

static void test_without_mounts(void **state)
{
    static const char *const calls[] = {"unshare",    "setns",       "mount_setattr", "pivot_root",
                                        "pidfd_open", "close_range", "clone3",        NULL};
    on_host_without(calls, without_namespaces);
}

static void test_without_landlock(void **state)
{
    static const char *const calls[] = {"landlock_create_ruleset", NULL};
    on_host_without(calls, without_landlock);
}

static int suite(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_namespaces),
        cmocka_unit_test(test_without_mounts),
        cmocka_unit_test(test_without_landlock),
    };
    char file[320];
    snprintf(workspace, sizeof workspace, "%s/workspace", test_dir);
    snprintf(scratch, sizeof scratch, "%s/scratch", test_dir);
    snprintf(env_secret, sizeof env_secret, "SECRET_FILE=%s/secret", test_dir);
    snprintf(file, sizeof file, "%s/file", workspace);
    if (mkdir(workspace, 0755) < 0 || mkdir(scratch, 0755) < 0 ||
        os_write_file_atomic(env_secret + 12, "top", 3, 0644, NULL) < 0 ||
        os_write_file_atomic(file, "x\n", 2, 0644, NULL) < 0)
        return 1;
    return cmocka_run_group_tests_name("sandbox degraded", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv, suite);
}
