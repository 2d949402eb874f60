/* Networks for sandboxes with `network: full`, each made by a pasta(1) of its own.
 *
 * The spawner may not run programs that mount and change roots, as pasta does for its own
 * isolation; so a small process, forked before the spawner gives up those system calls, does it for
 * all. An init sends it one end of a pair of sockets (its link). For each the process forks a
 * keeper, which becomes the activities' user and forks
 *   - a maker: it makes a user and a network namespace, waits until pasta has set up the interface,
 *     makes the host's own addresses unreachable, answers over the link with the namespace, and goes;
 *   - pasta, which has rights over that namespace only and none on the host.
 * The init enters the namespace. When it ends, the link closes, and the keeper ends pasta.
 *
 * Nothing of the host's loopback is there: no port is forwarded, and the gateway's address is not
 * mapped to the host. The one exception is a plan's loopback_port. Names are resolved by the host's
 * own server: pasta answers at DNS_ADDRESS, port 53, only. */
#include "base/cleanup.h"
#include "child_internal.h"
#include "gateway_internal.h"
#include "os/clock.h"
#include "os/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define INTERFACE "tap0"
#define ADDRESS "10.0.2.100" /* what a sandbox has; the same in each, as they do not see each other */
#define ROUTER "10.0.2.2"
#define DNS_ADDRESS SANDBOX_DNS_ADDRESS
#define READY_MS 20000 /* a pasta that has not set up its interface by then is given up */
#define NETWORKS_MAX 64

struct gateway_request {
    uint32_t loopback_port;
};

struct gateway_answer {
    struct err err; /* code 0: the namespace comes with it */
};

/* --- messages --- */

static int send_with_fd(int sock, const void *data, size_t len, int fd)
{
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = &control;
        m.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t n;
    do
        n = sendmsg(sock, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* Returns the number of bytes, 0 at the end, -1 on failure; *ret_fd is -1 when none came. */
static ssize_t receive_with_fd(int sock, void *data, size_t len, int *ret_fd)
{
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_base = data, .iov_len = len};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    *ret_fd = -1;
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
    return n;
}

__attribute__((noreturn)) static void refuse(int link, const struct err *e)
{
    struct gateway_answer a = {.err = *e};
    (void)send_with_fd(link, &a, sizeof a, -1);
    _exit(1);
}

/* --- the maker --- */

static int make_namespaces(const struct host *h, struct err *err)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return err_sys(err, errno, "new network namespace");
    int r = ids_map_self(h->proc_fd, h->uid, h->uid, h->gid, h->gid, err);
    return r < 0 ? r : net_loopback_up(err);
}

static int wait_for_pasta(const struct host *h, uint32_t loopback_port, struct err *err)
{
    int64_t until = os_mono_ns() + (int64_t)READY_MS * 1000000;
    while ((!net_has_route(AF_INET) && !net_has_route(AF_INET6)) ||
           (loopback_port && !net_port_listened(h->proc_fd, loopback_port))) {
        if (os_mono_ns() > until)
            return err_set(err, ERR_UNAVAILABLE, "pasta did not set up a network within %d s",
                           READY_MS / 1000);
        os_sleep_ms(1);
    }
    return 0;
}

/* made_fd tells the keeper that the namespaces are there. */
__attribute__((noreturn)) static void make_network(const struct host *h, int link, uint32_t port, int made_fd,
                                                   const struct ifaddrs *addresses)
{
    struct gateway_answer a = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int r = make_namespaces(h, &a.err);
    if (r < 0)
        refuse(link, &a.err);
    (void)!write(made_fd, "", 1);
    close(made_fd);
    int ns = openat(h->proc_fd, "self/ns/net", O_RDONLY | O_CLOEXEC);
    r = ns < 0 ? err_sys(&a.err, errno, "open the network namespace") : wait_for_pasta(h, port, &a.err);
    if (r == 0)
        r = net_refuse(addresses, &a.err);
    if (r < 0)
        refuse(link, &a.err);
    err_clear(&a.err);
    _exit(send_with_fd(link, &a, sizeof a, ns) < 0);
}

/* --- pasta --- */

static const char *pasta_path(void)
{
    static const char *const paths[] = {"/usr/bin/pasta", "/usr/local/bin/pasta", "/bin/pasta"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

/* A name server of the host's that is not on its loopback, where pasta would not look: systemd's
 * stub there keeps the list of the real ones elsewhere. False: pasta reads /etc/resolv.conf. */
static bool real_name_server(char ret[64])
{
    static const char *const files[] = {"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        _cleanup_free_ char *text = NULL;
        size_t len;
        if (os_read_file(files[i], 65536, &text, &len, NULL) < 0)
            continue;
        for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
             line = strtok_r(NULL, "\n", &save))
            if (sscanf(line, " nameserver %63s", ret) == 1 && strncmp(ret, "127.", 4) != 0 &&
                !strchr(ret, ':'))
                return i > 0;
    }
    return false;
}

__attribute__((noreturn)) static void run_pasta(const char *path, pid_t maker, uint32_t port,
                                                int stderr_fd)
{
    char userns[40], netns[40], ports[8], server[64];
    const char *argv[40];
    size_t n = 0;
    snprintf(userns, sizeof userns, "/proc/%d/ns/user", maker);
    snprintf(netns, sizeof netns, "/proc/%d/ns/net", maker);
    snprintf(ports, sizeof ports, "%u", port);
    const char *const fixed[] = {"pasta", "--foreground", "--quiet", "--config-net", "--no-map-gw",
                                 "--tcp-ports", "none", "--udp-ports", "none", "--udp-ns", "none",
                                 "--tcp-ns", port ? ports : "none", "--ns-ifname", INTERFACE,
                                 "--dns-forward", DNS_ADDRESS, "--userns", userns, "--netns", netns};
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        argv[n++] = fixed[i];
    if (net_has_route(AF_INET)) {
        const char *const four[] = {"--address", ADDRESS, "--netmask", "24", "--gateway", ROUTER};
        for (size_t i = 0; i < ARRAY_LEN(four); i++)
            argv[n++] = four[i];
    }
    if (real_name_server(server)) {
        argv[n++] = "--dns";
        argv[n++] = server;
    }
    argv[n] = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(stderr_fd, 2) < 0 || syscall(SYS_close_range, 3, ~0U, 0) < 0)
        _exit(126);
    const char *const env[] = {"PATH=/usr/bin:/bin", "LANG=C", NULL};
    execve(path, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
    _exit(127);
}

/* Why it ended: its last line that is no complaint about the system's log. */
static void pasta_failed(int link, int stderr_fd)
{
    struct err e = {0};
    char text[4096], *why = NULL;
    ssize_t n = read(stderr_fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save))
        if (strncmp(line, "Failed to send", 14) != 0)
            why = line;
    err_set(&e, ERR_UNAVAILABLE, "pasta: %.300s", why ? why : "ended without a word");
    err_hint(&e, "pasta gives modules a network of their own: it needs /dev/net/tun and a default route");
    refuse(link, &e);
}

/* --- the keeper --- */

/* Reaps. False when this network has come to its end. */
static bool goes_on(int link, int stderr_fd, pid_t pasta, pid_t maker, bool *made)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (pid == pasta && !*made)
            pasta_failed(link, stderr_fd);
        if (pid == pasta || !well)
            return false;
        *made = *made || pid == maker;
    }
    return true;
}

/* Until the sandbox is gone, or pasta. */
static void keep(int link, int child_fd, int stderr_fd, pid_t pasta, pid_t maker)
{
    struct pollfd p[2] = {{.fd = link, .events = POLLIN}, {.fd = child_fd, .events = POLLIN}};
    bool made = false;
    while (!p[0].revents && goes_on(link, stderr_fd, pasta, maker, &made)) {
        struct signalfd_siginfo info;
        if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
            break;
        if (p[1].revents)
            (void)!read(child_fd, &info, sizeof info);
    }
    kill(pasta, SIGKILL);
    if (!made)
        kill(maker, SIGKILL);
}

static int become_user(const struct host *h, struct err *err)
{
    if (h->privileged && (setgroups_none() < 0 || setresgid(h->gid, h->gid, h->gid) < 0 ||
                          setresuid(h->uid, h->uid, h->uid) < 0))
        return err_sys(err, errno, "become the activities' user");
    if (prctl(PR_SET_DUMPABLE, 1) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(err, errno, "prctl");
    return 0;
}

__attribute__((noreturn)) static void keep_network(const struct host *h, int link, uint32_t port)
{
    struct err e = {0};
    struct ifaddrs *addresses = NULL;
    int made[2], log[2];
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    const char *path = pasta_path();
    if (!path)
        err_set(&e, ERR_MISSING, "pasta is gone");
    else if (become_user(h, &e) < 0)
        ;
    else if (getifaddrs(&addresses) < 0 || pipe2(made, O_CLOEXEC) < 0 ||
             pipe2(log, O_CLOEXEC | O_NONBLOCK) < 0)
        err_sys(&e, errno, "prepare a network");
    if (e.code)
        refuse(link, &e);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* new ids clear it */
    sigprocmask(SIG_BLOCK, &child, NULL);
    int child_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    pid_t maker = fork();
    if (maker == 0)
        make_network(h, link, port, made[1], addresses);
    close(made[1]);
    if (maker < 0 || child_fd < 0 || read(made[0], &byte, 1) != 1)
        _exit(1); /* it has told why */
    pid_t pasta = fork();
    if (pasta == 0)
        run_pasta(path, maker, port, log[1]);
    if (pasta < 0) {
        err_sys(&e, errno, "fork pasta");
        refuse(link, &e);
    }
    keep(link, child_fd, log[0], pasta, maker);
    _exit(0);
}

/* --- the process for all --- */

/* pasta runs without rights on the host, and some hosts have the device for root alone. */
static void offer_tun(const struct host *h)
{
    if (!h->privileged || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
        mount("tmpfs", "/dev/net", "tmpfs", MS_NOSUID | MS_NOEXEC, "size=16k,mode=0755") < 0)
        return;
    if (mknod("/dev/net/tun", S_IFCHR | 0666, makedev(10, 200)) == 0)
        (void)chmod("/dev/net/tun", 0666);
}

__attribute__((noreturn)) static void serve_networks(const struct host *h, int sock)
{
    size_t running = 0;
    prctl(PR_SET_NAME, "ff-gateway");
    offer_tun(h);
    for (;;) {
        struct gateway_request q;
        int link;
        ssize_t n = receive_with_fd(sock, &q, sizeof q, &link);
        if (n <= 0)
            _exit(0); /* the spawner and all inits are gone */
        while (running && waitpid(-1, NULL, WNOHANG) > 0)
            running--;
        if (link < 0)
            continue;
        if (running >= NETWORKS_MAX) {
            struct gateway_answer a = {0};
            err_set(&a.err, ERR_BUSY, "%d networks are in use", NETWORKS_MAX);
            (void)send_with_fd(link, &a, sizeof a, -1);
            close(link);
            continue;
        }
        pid_t pid = n == (ssize_t)sizeof q ? fork() : -1;
        if (pid == 0) {
            close(sock);
            keep_network(h, link, q.loopback_port);
        }
        running += pid > 0;
        close(link);
    }
}

/* Of the spawner's descriptors it keeps the host's /proc alone: by others ff would not see the
 * spawner's end. */
__attribute__((noreturn)) static void become_gateway(struct host *h, int sock)
{
    enum { SOCK = 3, PROC };
    int proc_fd = fcntl(h->proc_fd, F_DUPFD_CLOEXEC, PROC + 1);
    int kept = fcntl(sock, F_DUPFD_CLOEXEC, PROC + 1);
    if (proc_fd < 0 || kept < 0 || dup3(kept, SOCK, O_CLOEXEC) < 0 ||
        dup3(proc_fd, PROC, O_CLOEXEC) < 0)
        _exit(1);
    if (syscall(SYS_close_range, PROC + 1, ~0U, 0) < 0)
        for (int fd = PROC + 1; fd < 4096; fd++)
            close(fd);
    h->proc_fd = PROC;
    serve_networks(h, SOCK);
}

void gateway_start(struct host *h)
{
    int pair[2];
    h->gateway_fd = -1;
    if (!h->protection.net_ns || !h->protection.user_ns || !pasta_path() ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return;
    pid_t spawner = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != spawner)
            _exit(0);
        become_gateway(h, pair[1]);
    }
    close(pair[1]);
    if (pid < 0)
        close(pair[0]);
    else
        h->gateway_fd = pair[0];
    h->protection.pasta = pid > 0;
}

/* --- in an init --- */

int gateway_join(const struct host *h, const struct sandbox_plan *plan, int *ret_link,
                 struct err *err)
{
    struct gateway_request q = {.loopback_port = plan->loopback_port};
    struct gateway_answer a;
    int pair[2];
    if (h->gateway_fd < 0) {
        err_set(err, ERR_MISSING, "network full needs %s",
                h->protection.net_ns && h->protection.user_ns ? "pasta, which is not installed"
                                                              : "user and network namespaces");
        return err_hint(err, "apt-get install passt; ff doctor shows what is there");
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, errno, "socketpair");
    _cleanup_close_ int link = pair[0];
    int r = send_with_fd(h->gateway_fd, &q, sizeof q, pair[1]);
    close(pair[1]);
    if (r < 0)
        return err_sys(err, -r, "ask for a network");
    _cleanup_close_ int ns = -1;
    ssize_t n = receive_with_fd(link, &a, sizeof a, &ns);
    if (n != (ssize_t)sizeof a)
        return err_set(err, ERR_UNAVAILABLE, "the network could not be made");
    if (a.err.code)
        return err_copy(err, &a.err);
    if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
        return err_sys(err, errno, "enter the network");
    *ret_link = link;
    link = -1;
    return 0;
}
