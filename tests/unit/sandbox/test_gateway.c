/* network: full, against a host and an outside world that are network namespaces of this test.
 *
 *   host (this process)  10.77.0.2 ---- 10.77.0.1  outside, and 10.88.0.1 behind it
 *
 * The host has services on 127.0.0.1 and on 10.77.0.2, the outside one on 10.88.0.1. */
#include "base/cleanup.h"
#include "os/clock.h"
#include "os/file.h"
#include "sandbox_test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTSIDE "10.88.0.1"
#define PORT 7070

/* "open" or the reason why not. */
static const char *try_connect(const char *address, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &a.sin_addr);
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int e = connect(fd, (struct sockaddr *)&a, sizeof a) < 0 ? errno : 0;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    socklen_t len = sizeof e;
    if (e == EINPROGRESS) {
        if (poll(&p, 1, 1500) <= 0)
            return "silence";
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
    }
    if (e)
        return "closed";
    char word[8] = "";
    p.events = POLLIN; /* who answers says a word */
    return poll(&p, 1, 1500) > 0 && read(fd, word, sizeof word) > 0 ? "open" : "silence";
}

static int probe_reach(void)
{
    static const char *const addresses[] = {OUTSIDE,    "127.0.0.1",  "127.0.0.2", "10.77.0.2",
                                            "10.0.2.2", "10.0.2.100", "0.0.0.0"};
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
        printf("%s:%s ", addresses[i], try_connect(addresses[i], PORT));
    return 0;
}

static int probe_loopback_port(void)
{
    printf("%s %s", try_connect("127.0.0.1", PORT), try_connect("127.0.0.1", PORT + 1));
    return 0;
}

static int probe_wait(void)
{
    if (write(1, "up\n", 3) == 3)
        pause();
    return 0;
}

const struct probe probes[] = {{"reach", probe_reach},
                               {"loopback port", probe_loopback_port},
                               {"wait", probe_wait},
                               {NULL, NULL}};

/* Says a word to all who come to either port. */
__attribute__((noreturn)) static void serve(const char *address)
{
    struct pollfd p[2];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(PORT + i))};
        inet_pton(AF_INET, address, &a.sin_addr);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 8) < 0)
            _exit(1);
        p[i] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    for (;;) {
        poll(p, 2, -1);
        for (int i = 0; i < 2; i++) {
            int fd = p[i].revents ? accept(p[i].fd, NULL, NULL) : -1;
            if (fd >= 0) {
                (void)!write(fd, "hello\n", 6);
                close(fd);
            }
        }
    }
}

static int run_command(const char *command)
{
    int r = system(command);
    if (r != 0)
        fprintf(stderr, "%s: status %d\n", command, r);
    return r;
}

/* As root: this process gets a network of its own whose way out leads to another one. */
static int make_world(void)
{
    int ready[2], joined[2];
    char byte;
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
        mount("tmpfs", "/dev/net", "tmpfs", 0, "size=16k") < 0 ||
        mknod("/dev/net/tun", S_IFCHR | 0666, makedev(10, 200)) < 0 ||
        chmod("/dev/net/tun", 0666) < 0 || pipe(ready) < 0 || pipe(joined) < 0)
        return -1;
    pid_t outside = fork();
    if (outside == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "", 1) != 1 || read(joined[0], &byte, 1) != 1)
            _exit(1);
        if (run_command("ip link set lo up && ip addr add 10.88.0.1/32 dev lo && "
                        "ip addr add 10.77.0.1/24 dev out0 && ip link set out0 up"))
            _exit(1);
        serve(OUTSIDE);
    }
    char command[300];
    if (outside < 0 || read(ready[0], &byte, 1) != 1)
        return -1;
    snprintf(command, sizeof command,
             "ip link add host0 type veth peer name out0 netns %d && ip link set lo up && "
             "ip addr add 10.77.0.2/24 dev host0 && ip link set host0 up && "
             "ip route add default via 10.77.0.1",
             outside);
    if (run_command(command) || write(joined[1], "", 1) != 1)
        return -1;
    for (int i = 0; i < 2; i++)
        if (fork() == 0)
            serve(i ? "127.0.0.1" : "10.77.0.2");
    bool up = WAIT_FOR(strcmp(try_connect(OUTSIDE, PORT), "open") == 0 &&
                           strcmp(try_connect("127.0.0.1", PORT), "open") == 0 &&
                           strcmp(try_connect("10.77.0.2", PORT), "open") == 0,
                       10000);
    return up ? 0 : -1;
}

static void test_reach(void **state)
{
    struct run r;
    const struct sandbox_plan plan = {
        .name = "reach", .builtin = "reach", .network = SANDBOX_NET_FULL};
    assert_true(spawner_protection(spawner)->pasta);
    run_plan(&plan, &r);
    if (r.result.end != SANDBOX_EXITED)
        fail_msg("end %d: %s", r.result.end, r.result.err.msg);
    assert_non_null(strstr(r.out, OUTSIDE ":open"));
    if (strstr(r.out + strlen(OUTSIDE ":open"), "open"))
        fail_msg("what is the host's own was reached: %s", r.out);
}

static void test_loopback_port(void **state)
{
    struct run r;
    const struct sandbox_plan plan = {.name = "loopback port",
                                      .builtin = "loopback port",
                                      .network = SANDBOX_NET_FULL,
                                      .loopback_port = PORT};
    run_plan(&plan, &r);
    if (r.result.end != SANDBOX_EXITED)
        fail_msg("end %d: %s", r.result.end, r.result.err.msg);
    assert_string_equal(r.out, "open closed");
}

static void test_programs(void **state)
{
    struct run r;
    const char *const argv[] = {"/bin/sh", "-c",
                                "ls /proc/self/fd | tr '\\n' ' '; cat /etc/resolv.conf", NULL};
    const struct sandbox_plan plan = {.name = "sh", .argv = argv, .network = SANDBOX_NET_FULL};
    run_plan(&plan, &r);
    assert_int_equal(r.result.end, SANDBOX_EXITED);
    /* What holds the network is not the activity's: 3 is the folder that ls reads. */
    assert_non_null(strstr(r.out, "0 1 2 3 nameserver 169.254.1.53\n"));
}

static pid_t parent_of(pid_t pid)
{
    char path[40], text[256] = "";
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "re");
    if (f && fgets(text, sizeof text, f) && strrchr(text, ')'))
        sscanf(strrchr(text, ')') + 1, " %*c %d", &parent);
    if (f)
        fclose(f);
    return parent;
}

/* Of this process and all below it. */
static size_t count_pastas(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[300], name[16] = "";
        pid_t pid = atoi(e->d_name);
        snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        FILE *f = pid > 0 ? fopen(path, "re") : NULL;
        bool pasta = f && fread(name, 1, sizeof name - 1, f) && strcmp(name, "pasta") == 0;
        if (f)
            fclose(f);
        for (pid_t p = pid; pasta && p > 1; p = parent_of(p))
            if (p == getpid()) {
                n++;
                break;
            }
    }
    closedir(d);
    return n;
}

static void done(void *arg, const struct sandbox_result *r)
{
    *(bool *)arg = true;
}

static void test_ends_with_the_sandbox(void **state)
{
    struct err e = {0};
    struct sandbox_proc *proc;
    bool ended = false;
    int p[2];
    char byte;
    const struct sandbox_plan plan = {.name = "wait", .builtin = "wait", .network = SANDBOX_NET_FULL};
    assert_true(WAIT_FOR(count_pastas() == 0, 30000)); /* of the tests before */
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(sandbox_start(spawner, &plan, null, p[1], null, done, &ended, &proc, &e), 0);
    close(p[1]);
    assert_int_equal(read(p[0], &byte, 1), 1);
    assert_true(WAIT_FOR(count_pastas() == 1, 30000)); /* it has helpers of its own at its start */
    sandbox_kill(proc, NULL);
    while (!ended && spawner_dispatch(spawner, &e) == 0)
        os_sleep_ms(1);
    assert_true(WAIT_FOR(count_pastas() == 0, 30000));
    close(p[0]);
}

/* Without pasta: a clear word, and all else goes on. */
static void test_without_pasta(void **state)
{
    struct err e = {0};
    struct spawner *other;
    struct sandbox_result r;
    const struct spawner_options o = {.builtin = probe_main};
    const struct sandbox_plan plan = {.name = "reach", .builtin = "reach", .network = SANDBOX_NET_FULL};
    if (geteuid() != 0)
        skip(); /* cannot hide the program */
    assert_int_equal(mount("/dev/null", "/usr/bin/pasta", NULL, MS_BIND, NULL), 0);
    int started = spawner_start(&o, &other, &e);
    const struct sandbox_protection protection = *spawner_protection(other);
    assert_int_equal(umount("/usr/bin/pasta"), 0);
    assert_int_equal(started, 0);
    assert_false(protection.pasta);
    assert_true(protection.complete);
    assert_int_equal(sandbox_run(other, &plan, 0, 1, 2, &r, &e), 0);
    assert_int_equal(r.end, SANDBOX_SETUP_FAILED);
    assert_int_equal(r.err.code, ERR_MISSING);
    assert_non_null(strstr(r.err.hint, "apt-get install passt"));
    spawner_free(other);
}

static int suite(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reach), cmocka_unit_test(test_loopback_port),
        cmocka_unit_test(test_programs), cmocka_unit_test(test_without_pasta), cmocka_unit_test(test_ends_with_the_sandbox)};
    return cmocka_run_group_tests_name("gateway", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    if (geteuid() == 0 && make_world() < 0) {
        fprintf(stderr, "cannot make the networks of this test: %s\n", strerror(errno));
        return 1;
    }
    if (geteuid() != 0 && strcmp(try_connect(OUTSIDE, PORT), "open") != 0)
        return 77; /* not called by root, who makes the networks */
    return test_main(argc, argv, suite);
}
