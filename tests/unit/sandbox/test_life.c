/* The lives of ff, spawner and activities: who dies with whom, what is left behind, what a flood,
 * garbage or missing memory do. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/file.h"
#include "sandbox/sandbox_internal.h"
#include "sandbox_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int ok(void)
{
    return 0;
}

static int name_length(void)
{
    return (int)strlen(getenv("VALUE"));
}

/* Its network namespace. */
static int network(void)
{
    char name[64];
    ssize_t n = readlink("/proc/self/ns/net", name, sizeof name);
    return n > 0 && write(1, name, (size_t)n) == n ? 0 : 1;
}

const struct probe probes[] = {{"ok", ok}, {"length", name_length}, {"network", network}, {NULL, NULL}};

/* --- looking at the host's processes --- */

static size_t read_proc(const char *pid, const char *file, char *buf, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, file);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, buf, size - 1);
    n = n > 0 ? n : 0;
    buf[n] = 0;
    return (size_t)n;
}

static int parent_of(const char *pid)
{
    char stat[1024];
    int parent = -1;
    read_proc(pid, "stat", stat, sizeof stat);
    const char *p = strrchr(stat, ')');
    return p && sscanf(p + 1, " %*c %d", &parent) == 1 ? parent : -1;
}

/* How many processes have this in their command line? */
static int count_with(const char *mark)
{
    int n = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        char text[4096];
        size_t len = atoi(e->d_name) > 0 ? read_proc(e->d_name, "cmdline", text, sizeof text) : 0;
        for (size_t i = 0; i < len; i++)
            if (text[i] == 0)
                text[i] = ' ';
        n += len && strstr(text, mark) != NULL;
    }
    if (d)
        closedir(d);
    return n;
}

/* The child of this process that calls itself the spawner. */
static pid_t spawner_of(pid_t parent)
{
    pid_t found = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        char comm[64];
        if (atoi(e->d_name) > 0 && parent_of(e->d_name) == parent) {
            read_proc(e->d_name, "comm", comm, sizeof comm);
            if (strcmp(comm, "ff-spawner\n") == 0)
                found = atoi(e->d_name);
        }
    }
    if (d)
        closedir(d);
    return found;
}

static int count_descriptors(pid_t pid)
{
    char path[64];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

/* Of the descriptors of a process those that are network namespaces, or only one that is called so. */
static int count_networks(pid_t pid, const char *only)
{
    char path[64], link[64];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        ssize_t k = readlinkat(dirfd(d), e->d_name, link, sizeof link - 1);
        link[k > 0 ? k : 0] = 0;
        n += strncmp(link, "net:[", 5) == 0 && (!only || strcmp(link, only) == 0);
    }
    if (d)
        closedir(d);
    return n;
}

/* Folders of control groups of this spawner. */
static int count_groups(pid_t pid)
{
    char command[200], text[32] = "";
    snprintf(command, sizeof command,
             "find /sys/fs/cgroup -maxdepth 6 -type d -name 'ff-%d-*' 2>/dev/null | wc -l",
             (int)pid);
    FILE *f = popen(command, "re");
    if (f && !fgets(text, sizeof text, f))
        text[0] = 0;
    if (f)
        pclose(f);
    return atoi(text);
}

/* --- who dies with whom --- */

static void ignore(void *arg, const struct sandbox_result *r)
{
}

struct tree {
    pid_t ff, spawner;
    char mark[32]; /* in the command lines of the activity's processes */
};

/* A process that plays ff: a spawner and an activity with children that left its session. */
static void grow(struct tree *t)
{
    int ready[2];
    char script[256], c;
    snprintf(t->mark, sizeof t->mark, "sleep 77%d", (int)(os_mono_ns() / 1000 % 1000000000));
    snprintf(script, sizeof script, "setsid %s & setsid setsid %s & %s & echo x; wait", t->mark,
             t->mark, t->mark);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    t->ff = fork();
    if (t->ff == 0) {
        struct spawner_options o = {.builtin = probe_main};
        struct spawner *s;
        struct sandbox_proc *p;
        const char *const argv[] = {"/bin/sh", "-c", script, NULL};
        const struct sandbox_plan plan = {.name = "sh", .argv = argv};
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (spawner_start(&o, &s, NULL) < 0 ||
            sandbox_start(s, &plan, null, ready[1], null, ignore, NULL, &p, NULL) < 0)
            _exit(1);
        close(ready[1]);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    assert_true(WAIT_FOR(count_with(t->mark) >= 3, 30000));
    t->spawner = spawner_of(t->ff);
    assert_true(t->spawner > 0);
}

static void test_ff_killed(void **state)
{
    struct tree t;
    grow(&t);
    assert_int_equal(count_groups(t.spawner) > 0, spawner_protection(spawner)->cgroup_version != 0);
    kill(t.ff, SIGKILL);
    waitpid(t.ff, NULL, 0);
    assert_true(WAIT_FOR(count_with(t.mark) == 0, 30000));
    assert_true(WAIT_FOR(kill(t.spawner, 0) < 0, 30000));
    assert_true(WAIT_FOR(count_groups(t.spawner) == 0, 30000));
}

static void test_spawner_killed(void **state)
{
    struct tree t;
    struct run r;
    grow(&t);
    kill(t.spawner, SIGKILL);
    assert_true(WAIT_FOR(count_with(t.mark) == 0, 30000));
    kill(t.ff, SIGKILL);
    waitpid(t.ff, NULL, 0);
    /* It could not remove its control groups: the next does. */
    struct spawner_options o = {.builtin = probe_main};
    struct spawner *s, *kept = spawner;
    struct err e = {0};
    assert_true(WAIT_FOR(kill(t.spawner, 0) < 0, 30000));
    assert_int_equal(spawner_start(&o, &s, &e), 0);
    spawner_protection(s);
    spawner = s;
    run_probe("ok", &r);
    spawner = kept;
    assert_int_equal(r.result.end, SANDBOX_EXITED);
    assert_int_equal(count_groups(t.spawner), 0);
    spawner_free(s);
}

static struct sandbox_result last;
static int calls;

static void keep(void *arg, const struct sandbox_result *r)
{
    last = *r;
    calls++;
}

/* Whoever waits is told, and new ones are refused. */
static void test_spawner_gone(void **state)
{
    struct spawner_options o = {.builtin = probe_main};
    struct spawner *s;
    struct sandbox_proc *p;
    struct sandbox_result r;
    struct err e = {0};
    const char *const argv[] = {"/bin/sleep", "1000", NULL};
    const struct sandbox_plan plan = {.name = "sleep", .argv = argv};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    pid_t other = spawner_of(getpid());
    assert_int_equal(spawner_start(&o, &s, &e), 0);
    spawner_protection(s);
    pid_t pid = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *x; (x = readdir(d));) {
        char comm[64];
        if (atoi(x->d_name) > 0 && atoi(x->d_name) != other && parent_of(x->d_name) == getpid() &&
            read_proc(x->d_name, "comm", comm, sizeof comm) && strcmp(comm, "ff-spawner\n") == 0)
            pid = atoi(x->d_name);
    }
    closedir(d);
    assert_true(pid > 0);
    calls = 0;
    assert_int_equal(sandbox_start(s, &plan, null, null, null, keep, NULL, &p, &e), 0);
    kill(pid, SIGKILL);
    assert_true(WAIT_FOR(spawner_dispatch(s, &e) == -ERR_UNAVAILABLE, 30000));
    assert_int_equal(calls, 1);
    assert_int_equal(last.end, SANDBOX_KILLED);
    assert_int_equal(last.err.code, ERR_UNAVAILABLE);
    assert_int_equal(sandbox_start(s, &plan, null, null, null, keep, NULL, &p, &e),
                     -ERR_UNAVAILABLE);
    assert_int_equal(sandbox_run(s, &plan, null, null, null, &r, &e), -ERR_UNAVAILABLE);
    spawner_free(s);
    close(null);
}

static void test_free_kills(void **state)
{
    struct spawner_options o = {.builtin = probe_main};
    struct spawner *s;
    struct sandbox_proc *p;
    struct err e = {0};
    char mark[32];
    snprintf(mark, sizeof mark, "88%d", (int)(os_mono_ns() / 1000 % 1000000000));
    const char *const argv[] = {"/bin/sleep", mark, NULL};
    const struct sandbox_plan plan = {.name = "sleep", .argv = argv};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int before = count_descriptors(getpid());
    assert_int_equal(spawner_start(&o, &s, &e), 0);
    calls = 0;
    for (int i = 0; i < 5; i++)
        assert_int_equal(sandbox_start(s, &plan, null, null, null, keep, NULL, &p, &e), 0);
    assert_true(WAIT_FOR(count_with(mark) == 5, 30000));
    spawner_free(s);
    assert_int_equal(count_with(mark), 0);
    assert_int_equal(calls, 5);
    assert_int_equal(last.end, SANDBOX_KILLED);
    assert_int_equal(count_descriptors(getpid()), before);
    close(null);
}

/* --- leaks and floods --- */

static void test_no_leaks(void **state)
{
    struct run r;
    const struct sandbox_plan bad = {.name = "bad", .builtin = "ok", .cwd = "/no/such"};
    for (int i = 0; i < 30; i++)
        run_probe("ok", &r);
    os_sleep_ms(100);
    pid_t pid = spawner_of(getpid());
    int before = count_descriptors(pid) - count_networks(pid, NULL), ours = count_descriptors(getpid());
    for (int i = 0; i < 500; i++) {
        run_probe("ok", &r);
        assert_int_equal(r.result.end, SANDBOX_EXITED);
        if (i % 10 == 0) {
            run_plan(&bad, &r);
            assert_int_equal(r.result.end, SANDBOX_SETUP_FAILED);
        }
    }
    assert_true(WAIT_FOR(count_descriptors(pid) - count_networks(pid, NULL) <= before, 30000));
    assert_int_equal(count_descriptors(getpid()), ours);
}

/* What the spawner keeps is for code of ours without network; all else gets a namespace that nobody was in. */
static void test_networks(void **state)
{
    struct run r;
    struct sandbox_plan plan = {.name = "network", .builtin = "network"};
    pid_t pid = spawner_of(getpid());
    if (!spawner_protection(spawner)->net_ns || !spawner_protection(spawner)->pid_ns)
        skip();
    for (int i = 0; i < 40; i++) {
        plan.own_code = i % 4 >= 2;
        plan.network = i % 2 ? SANDBOX_NET_LOOPBACK : SANDBOX_NET_NONE;
        run_plan(&plan, &r);
        assert_int_equal(r.result.end, SANDBOX_EXITED);
        assert_int_equal(r.result.status, 0);
        bool kept = plan.own_code && plan.network == SANDBOX_NET_NONE;
        assert_true(count_networks(pid, r.out) == 0 || kept);
        if (i == 38)
            assert_true(kept && count_networks(pid, r.out) == 1);
    }
    assert_in_range(count_networks(pid, NULL), 1, 64);
}

static void count_ok(void *arg, const struct sandbox_result *r)
{
    int *counts = arg;
    counts[r->end == SANDBOX_EXITED && r->status == 0]++;
}

/* Many at once, none of them lost. */
static void test_flood(void **state)
{
    const struct sandbox_plan plan = {.name = "ok", .builtin = "ok"};
    struct sandbox_proc *p;
    struct err e = {0};
    int counts[2] = {0}, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 200; i++)
        assert_int_equal(sandbox_start(spawner, &plan, null, null, null, count_ok, counts, &p, &e),
                         0);
    assert_true(
        WAIT_FOR(spawner_dispatch(spawner, &e) == 0 && counts[0] + counts[1] == 200, 60000));
    assert_int_equal(counts[1], 200);
    close(null);
}

static void *run_many(void *arg)
{
    const struct sandbox_plan plan = {.name = "ok", .builtin = "ok"};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    intptr_t good = 0;
    for (int i = 0; i < 25; i++) {
        struct sandbox_result r;
        struct err e = {0};
        good +=
            sandbox_run(spawner, &plan, null, null, null, &r, &e) == 0 && r.end == SANDBOX_EXITED;
    }
    close(null);
    return (void *)good;
}

/* Several threads wait for runs of theirs while this one has a loop. */
static void test_threads(void **state)
{
    pthread_t threads[4];
    const struct sandbox_plan plan = {.name = "ok", .builtin = "ok"};
    struct sandbox_proc *p;
    struct err e = {0};
    int counts[2] = {0}, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, NULL), 0);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(sandbox_start(spawner, &plan, null, null, null, count_ok, counts, &p, &e),
                         0);
        if (i % 2) /* some of the time nobody dispatches but the waiting threads */
            continue;
        struct pollfd pf = {.fd = spawner_fd(spawner), .events = POLLIN};
        poll(&pf, 1, 50);
        assert_int_equal(spawner_dispatch(spawner, &e), 0);
    }
    while (counts[0] + counts[1] < 50) {
        struct pollfd pf = {.fd = spawner_fd(spawner), .events = POLLIN};
        assert_true(poll(&pf, 1, 20000) > 0);
        assert_int_equal(spawner_dispatch(spawner, &e), 0);
    }
    assert_int_equal(counts[1], 50);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *good;
        pthread_join(threads[i], &good);
        assert_int_equal((intptr_t)good, 25);
    }
    close(null);
}

/* --- garbage and shortage --- */

static void receive(int fd, void *buf, size_t size, uint32_t type)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        struct wire_head h;
        assert_true(poll(&p, 1, 20000) > 0);
        ssize_t n = recv(fd, buf, size, 0);
        assert_true(n >= (ssize_t)sizeof h);
        memcpy(&h, buf, sizeof h);
        if (h.type == type)
            return;
    }
}

static void send_request(int fd, const struct wire_head *h, const void *plan, size_t len,
                         int descriptors)
{
    union {
        char buf[CMSG_SPACE(5 * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov[2] = {{.iov_base = (void *)(uintptr_t)h, .iov_len = sizeof *h},
                           {.iov_base = (void *)(uintptr_t)plan, .iov_len = len}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    if (descriptors) {
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE((size_t)descriptors * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)descriptors * sizeof(int));
        for (int i = 0; i < descriptors; i++)
            memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &fd, sizeof(int));
    }
    assert_true(sendmsg(fd, &m, MSG_NOSIGNAL) > 0);
}

/* Nothing but its parent can send to it; still it takes no harm. */
static void test_garbage(void **state)
{
    int pair[2];
    struct spawner_options o = {.builtin = probe_main};
    char noise[3000];
    union {
        struct wire_ready ready;
        struct wire_done done;
    } buf;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0)
        spawner_main(&o, pair[1]);
    close(pair[1]);
    receive(pair[0], &buf, sizeof buf, WIRE_READY);
    srandom(1);
    for (int i = 0; i < 300; i++) {
        struct wire_head h = {
            .type = (uint32_t)(i % 9), .limit = (uint32_t)random(), .id = (uint64_t)i + 1000};
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (char)(random() % (i % 3 ? 256 : 22));
        if (h.type != WIRE_QUIT)
            send_request(pair[0], &h, noise, (size_t)random() % sizeof noise, i % 6);
        if (h.type == WIRE_START) { /* each is answered */
            receive(pair[0], &buf, sizeof buf, WIRE_DONE);
            assert_int_equal(buf.done.end, SANDBOX_SETUP_FAILED);
            assert_int_equal(buf.done.head.id, h.id);
        }
    }
    _cleanup_(strbuf_release) struct strbuf b = STRBUF_INIT;
    const struct sandbox_plan plan = {.name = "ok", .builtin = "ok"};
    struct wire_head h = {.type = WIRE_START, .id = 5};
    assert_int_equal(wire_encode_plan(&plan, &b, NULL), 0);
    send_request(pair[0], &h, b.s, b.len, 3);
    receive(pair[0], &buf, sizeof buf, WIRE_DONE);
    assert_int_equal(buf.done.head.id, 5);
    assert_int_equal(buf.done.end, SANDBOX_EXITED);
    int descriptors = count_descriptors(pid);
    assert_true(descriptors < 40); /* those that came with garbage are closed */
    close(pair[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Everything of a plan survives the wire. */
static void test_wire(void **state)
{
    static const char *const argv[] = {"/bin/x", "", "three", NULL}, *const env[] = {"A=1",
                                                                                     "B=", NULL};
    static const struct sandbox_mount mounts[] = {
        {.kind = MOUNT_BIND, .source = "/a", .target = "/w", .writable = true},
        {.kind = MOUNT_OVERLAY, .source = "/l", .upper = "/u/1", .work = "/u/2", .target = "/o"},
        {.kind = MOUNT_TMPFS, .target = "/t", .size_bytes = 5},
    };
    const struct sandbox_plan p = {.name = "n",
                                   .argv = argv,
                                   .env = env,
                                   .cwd = "/c",
                                   .mounts = mounts,
                                   .mounts_count = 3,
                                   .network = SANDBOX_NET_LOOPBACK,
                                   .loopback_port = 8443,
                                   .scratch = "/s",
                                   .limits = {.memory_bytes = 1,
                                              .cpu_ms = 2,
                                              .pids = 3,
                                              .files = 4,
                                              .disk_bytes = 5,
                                              .output_bytes = 6,
                                              .wall_ms = 7}};
    static struct wire_plan w;
    _cleanup_(strbuf_release) struct strbuf b = STRBUF_INIT;
    struct err e = {0};
    assert_int_equal(wire_encode_plan(&p, &b, &e), 0);
    assert_int_equal(wire_decode_plan(b.s, b.len, &w, &e), 0);
    assert_string_equal(w.plan.name, "n");
    assert_null(w.plan.builtin);
    assert_string_equal(w.plan.argv[1], "");
    assert_string_equal(w.plan.argv[2], "three");
    assert_null(w.plan.argv[3]);
    assert_string_equal(w.plan.env[1], "B=");
    assert_string_equal(w.plan.cwd, "/c");
    assert_string_equal(w.plan.scratch, "/s");
    assert_memory_equal(&w.plan.limits, &p.limits, sizeof p.limits);
    assert_int_equal(w.plan.network, SANDBOX_NET_LOOPBACK);
    assert_int_equal(w.plan.loopback_port, 8443);
    assert_int_equal(w.plan.mounts_count, 3);
    assert_true(w.plan.mounts[0].writable && !w.plan.mounts[1].writable);
    assert_string_equal(w.plan.mounts[1].work, "/u/2");
    assert_int_equal(w.plan.mounts[2].size_bytes, 5);
    for (size_t n = 0; n < b.len;
         n++) { /* cut anywhere: refused or understood, never believed beyond its end */
        char *cut = mem_dup(b.s, n);
        (void)wire_decode_plan(cut, n, &w, &e);
        free(cut);
    }
    struct sandbox_plan large = p;
    static char value[PLAN_STRING_MAX + 10];
    const char *const long_argv[] = {value, NULL};
    memset(value, 'x', sizeof value - 1);
    large.argv = long_argv;
    strbuf_clear(&b);
    assert_int_equal(wire_encode_plan(&large, &b, &e), -ERR_LIMIT);
}

/* A large plan arrives whole. */
static void test_large_plan(void **state)
{
    static char value[PLAN_STRING_MAX - 1];
    const char *const env[] = {value, NULL};
    const struct sandbox_plan plan = {.name = "length", .builtin = "length", .env = env};
    struct run r;
    memset(value, 'x', sizeof value - 1);
    memcpy(value, "VALUE=", 6);
    run_plan(&plan, &r);
    assert_int_equal(r.result.end, SANDBOX_EXITED);
    assert_int_equal(r.result.status, (int)((strlen(value) - 6) & 255));
}

/* Each allocation and each call that can fail, failing in turn, on ff's side. */
static void test_faults_here(void **state)
{
    const struct sandbox_plan plan = {.name = "ok", .builtin = "ok"};
    struct spawner_options o = {.builtin = probe_main};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), before = count_descriptors(getpid());
    for (int kind = 0; kind < 2; kind++)
        for (long n = 1;; n++) {
            struct sandbox_result r = {0};
            struct err e = {0};
            kind ? os_fault_set(n, EMFILE, false, NULL) : mem_fault_set(n, 0);
            int got = sandbox_run(spawner, &plan, null, null, null, &r, &e);
            bool hit = kind ? os_fault_hit() : mem_fault_hit();
            os_fault_set(0, 0, false, NULL);
            mem_fault_set(0, 0);
            assert_true(got == 0 ? r.end == SANDBOX_EXITED : e.code == -got && e.msg[0]);
            if (!hit)
                break;
            assert_true(got < 0 && n < 50);
        }
    for (int kind = 0; kind < 2; kind++) { /* the fork inherits what is set: spawner's side below */
        struct spawner *s = NULL;
        struct err e = {0};
        kind ? os_fault_set(1, EMFILE, false, NULL) : mem_fault_set(1, 0);
        assert_true(spawner_start(&o, &s, &e) < 0);
        os_fault_set(0, 0, false, NULL);
        mem_fault_set(0, 0);
    }
    assert_int_equal(count_descriptors(getpid()), before);
    close(null);
}

/* The same in the spawner and in what it forks: either it works, or it says what went wrong; it
 * never hangs. */
static void test_faults_there(void **state)
{
    const struct sandbox_plan plan = {.name = "ok", .builtin = "ok"};
    struct spawner_options o = {.builtin = probe_main};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), worked = 0, refused = 0;
    for (long n = 2; n < 26; n++)
        for (int kind = 0; kind < 2; kind++) {
            struct sandbox_result r = {0};
            struct spawner *s = NULL;
            struct err e = {0};
            kind ? os_fault_set(n + 1, EMFILE, false, NULL) : mem_fault_set(n, 0);
            int got = spawner_start(&o, &s, &e);
            os_fault_set(0, 0, false, NULL);
            mem_fault_set(0, 0);
            if (got < 0)
                continue;
            got = sandbox_run(s, &plan, null, null, null, &r, &e);
            assert_true(got < 0 || r.end == SANDBOX_EXITED || r.err.msg[0]);
            *(got == 0 && r.end == SANDBOX_EXITED ? &worked : &refused) += 1;
            spawner_free(s);
        }
    assert_true(worked > 10);
    close(null);
}

static int suite(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire),
        cmocka_unit_test(test_large_plan),
        cmocka_unit_test(test_ff_killed),
        cmocka_unit_test(test_spawner_killed),
        cmocka_unit_test(test_spawner_gone),
        cmocka_unit_test(test_free_kills),
        cmocka_unit_test(test_no_leaks),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_faults_here),
        cmocka_unit_test(test_faults_there),
        cmocka_unit_test(test_threads), /* last: those above fork, and must have one thread */
    };
    return cmocka_run_group_tests_name("sandbox life", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv, suite);
}
