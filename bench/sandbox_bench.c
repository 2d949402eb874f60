/* How long an activity takes from start to exit: a built-in that does nothing, and /bin/true. */
#include "base/log.h"
#include "base/mem.h"
#include "os/clock.h"
#include "sandbox/sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int nothing(const char *name, void *arg)
{
    return 0;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static double report(const char *what, int64_t *ns, int n)
{
    qsort(ns, (size_t)n, sizeof *ns, compare);
    double p50 = (double)ns[n / 2] / 1e6, p99 = (double)ns[n * 99 / 100] / 1e6;
    printf("%-34s p50 %6.2f ms   p99 %6.2f ms   (%d runs)\n", what, p50, p99, n);
    return p50;
}

static double bench(struct spawner *s, const char *what, const struct sandbox_plan *plan, int n,
                    int pause_ms)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int64_t *ns = mem_calloc((size_t)n, sizeof *ns);
    if (null < 0 || !ns)
        exit(1);
    for (int i = 0; i < n; i++) {
        struct sandbox_result r;
        struct err e = {0};
        if (pause_ms)
            os_sleep_ms(pause_ms);
        int64_t t = os_mono_ns();
        if (sandbox_run(s, plan, null, null, null, &r, &e) < 0 || r.end != SANDBOX_EXITED ||
            r.status != 0) {
            fprintf(stderr, "%s: %s%s (end %d, status %d)\n", what, e.msg, r.err.msg, r.end,
                    r.status);
            exit(1);
        }
        ns[i] = os_mono_ns() - t;
    }
    double p50 = report(what, ns, n);
    free(ns);
    close(null);
    return p50;
}

struct crowd {
    int left, to_start, null;
    struct spawner *spawner;
    const struct sandbox_plan *plan;
};

static void start_one(struct crowd *c);

static void one_done(void *arg, const struct sandbox_result *r)
{
    struct crowd *c = arg;
    if (r->end != SANDBOX_EXITED)
        exit(1);
    c->left--;
    if (c->to_start > 0)
        start_one(c);
}

static void start_one(struct crowd *c)
{
    struct sandbox_proc *p;
    struct err e = {0};
    c->to_start--;
    if (sandbox_start(c->spawner, c->plan, c->null, c->null, c->null, one_done, c, &p, &e) < 0) {
        fprintf(stderr, "start: %s\n", e.msg);
        exit(1);
    }
}

/* Many at a time: how many a second. */
static void bench_rate(struct spawner *s, const char *what, const struct sandbox_plan *plan, int n,
                       int at_a_time)
{
    struct crowd c = {.left = n,
                      .to_start = n,
                      .spawner = s,
                      .plan = plan,
                      .null = open("/dev/null", O_RDWR | O_CLOEXEC)};
    int64_t t = os_mono_ns();
    for (int i = 0; i < at_a_time && c.to_start > 0; i++)
        start_one(&c);
    while (c.left > 0) {
        struct pollfd p = {.fd = spawner_fd(s), .events = POLLIN};
        struct err e = {0};
        poll(&p, 1, -1);
        if (spawner_dispatch(s, &e) < 0)
            exit(1);
    }
    printf("%-34s %.0f a second (%d runs)\n", what, n / ((double)(os_mono_ns() - t) / 1e9), n);
    close(c.null);
}

static double bench_command(const char *what, const char *const argv[], int n)
{
    int64_t *ns = mem_calloc((size_t)n, sizeof *ns);
    if (!ns)
        exit(1);
    for (int i = 0; i < n; i++) {
        int64_t t = os_mono_ns();
        pid_t pid = fork();
        if (pid == 0) {
            execvp(argv[0], (char *const *)(uintptr_t)argv);
            _exit(127);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        if (status != 0) {
            free(ns);
            return 0;
        }
        ns[i] = os_mono_ns() - t;
    }
    double p50 = report(what, ns, n);
    free(ns);
    return p50;
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 500;
    struct spawner_options o = {.builtin = nothing};
    struct spawner *s;
    struct err e = {0};
    if (n < 1 || spawner_start(&o, &s, &e) < 0) {
        fprintf(stderr, "sandbox_bench: %s\n", e.msg);
        return 1;
    }
    const struct sandbox_protection *p = spawner_protection(s);
    printf("protection: %s%s\n", p->complete ? "complete" : "missing ", p->missing);
    const struct sandbox_plan noop = {.name = "noop", .builtin = "noop", .own_code = true};
    const char *const true_argv[] = {"/bin/true", NULL};
    const struct sandbox_plan prog = {.name = "true", .argv = true_argv};
    bench(s, "warm-up", &noop, 20, 0);
    bench(s, "built-in no-op, back to back", &noop, n, 0);
    double ours = bench(s, "/bin/true, back to back", &prog, n, 0);
    bench(s, "built-in no-op, 5 ms between", &noop, n / 4 + 1, 5);
    bench_rate(s, "built-in no-op, 20 at a time", &noop, n * 2, 20);
    bench_command("fork and exec /bin/true, no walls", (const char *const[]){"/bin/true", NULL}, n);
    double peer = bench_command(
        "bwrap --unshare-all /bin/true",
        (const char *const[]){"bwrap", "--unshare-all", "--ro-bind", "/", "/", "/bin/true", NULL},
        n / 4 + 1);
    if (peer > 0)
        printf("bwrap takes %.1f times as long\n", peer / ours);
    else
        printf("bwrap is not here: no comparison\n");
    spawner_free(s);
    return 0;
}
