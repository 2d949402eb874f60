#include "sandbox_test.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED_BY_TSAN
#endif
#endif

struct spawner *spawner;
char test_dir[256];

int probe_main(const char *name, void *arg)
{
    for (const struct probe *p = probes; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p->run();
    return 126;
}

static bool ended;

static void collect_done(void *arg, const struct sandbox_result *r)
{
    *(struct sandbox_result *)arg = *r;
    ended = true;
}

void run_plan(const struct sandbox_plan *plan, struct run *ret)
{
    struct err e = {0};
    int p[2];
    size_t n = 0;
    memset(ret, 0, sizeof *ret);
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct sandbox_proc *proc;
    ended = false;
    if (sandbox_start(spawner, plan, null, p[1], p[1], collect_done, &ret->result, &proc, &e) < 0)
        fail_msg("%s", e.msg);
    close(p[1]);
    for (;;) { /* reads to the end even when it is more than we keep */
        char sink[4096];
        bool room = n < sizeof ret->out - 1;
        ssize_t k = room ? read(p[0], ret->out + n, sizeof ret->out - 1 - n)
                         : read(p[0], sink, sizeof sink);
        if (k <= 0)
            break;
        n += room ? (size_t)k : 0;
    }
    close(p[0]);
    close(null);
    while (!ended && spawner_dispatch(spawner, &e) == 0)
        usleep(500);
    assert_true(ended);
}

void run_probe(const char *name, struct run *ret)
{
    const struct sandbox_plan plan = {.name = name, .builtin = name};
    run_plan(&plan, ret);
}

void run_shell(const char *script, struct run *ret)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    const struct sandbox_plan plan = {.name = "sh", .argv = argv};
    run_plan(&plan, ret);
}

static int run_suite(int (*suite)(void))
{
    struct err e = {0};
    struct spawner_options o = {.builtin = probe_main};
    snprintf(test_dir, sizeof test_dir, "/tmp/ff-sandbox-test-XXXXXX");
    if (!mkdtemp(test_dir) || chmod(test_dir, 0755) < 0 || spawner_start(&o, &spawner, &e) < 0) {
        fprintf(stderr, "cannot start: %s\n", e.msg);
        return 1;
    }
    fprintf(stderr, "as user %u: protection %s%s\n", (unsigned)geteuid(),
            spawner_protection(spawner)->complete ? "complete" : "lacks ",
            spawner_protection(spawner)->missing);
    const char *filter = getenv("SANDBOX_TEST_FILTER"); /* one test alone */
#if defined(__SANITIZE_THREAD__) || defined(SANITIZED_BY_TSAN)
    filter = "test_threads"; /* its run-time library has a thread in every process, which may make
                                no namespaces then */
#endif
    if (filter)
        cmocka_set_test_filter(filter);
    int failed = suite();
    spawner_free(spawner);
    os_remove_tree(test_dir, NULL);
    return failed ? 1 : 0;
}

/* The same program as user nobody. The descriptor spares that user the way through our folders. */
static int again_as_user(char **argv)
{
    int self = open("/proc/self/exe", O_RDONLY);
    pid_t pid = fork();
    if (pid == 0) {
        if (self < 0 || chdir("/") < 0 || setgroups(0, NULL) < 0 ||
            setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
            _exit(99);
        fexecve(self, argv, environ);
        _exit(98);
    }
    int status = 0;
    ASSERT(pid > 0);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(self);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int test_main(int argc, char **argv, int (*suite)(void))
{
    int r = 0;
    if (geteuid() == 0)
        r = again_as_user(argv); /* first: fresh, and nothing of ours is open */
    int mine = run_suite(suite);
    return r ? r : mine;
}
