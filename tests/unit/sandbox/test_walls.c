/* Each wall, proven by a child that tries to get through it. A probe prints what it got through and
 * fails. */
#include "base/cleanup.h"
#include "os/clock.h"
#include "os/file.h"
#include "sandbox_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CANARY "canary-7f3a91"
#define ABSTRACT "ff-sandbox-test"
#define SHM_KEY 0x46465342

static int broken; /* inside: walls that did not hold */

static void wall(bool held, const char *what)
{
    if (!held) {
        printf("broken: %s (errno %d)\n", what, errno);
        broken++;
    }
}

#define HELD(cond) (errno = 0, wall((cond), #cond))

/* --- files --- */

static bool cannot_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static int probe_files(void)
{
    const char *secret = getenv("SECRET_FILE");
    char path[600];
    HELD(secret != NULL);
    HELD(cannot_open("/etc/shadow", O_RDONLY));
    HELD(cannot_open("/etc/ssl/private", O_RDONLY));
    static const char *const ways[] = {
        "%s",          "/proc/self/root%s", "/proc/1/root%s",   "/proc/self/cwd/../../..%s",
        "/../../..%s", "/.host%s",          "/.layers/lower%s", "/dev/fd/0/..%s"};
    for (size_t i = 0; secret && i < ARRAY_LEN(ways); i++) {
        snprintf(path, sizeof path, ways[i], secret);
        wall(cannot_open(path, O_RDONLY), path);
        strncat(path, "-new", sizeof path - strlen(path) - 1);
        wall(cannot_open(path, O_WRONLY | O_CREAT), path);
    }
    struct stat st;
    HELD(stat("/home", &st) == 0 && rmdir("/home") < 0);
    static const char *const absent[] = {"/root/.ssh", "/var/lib", "/boot",     "/sys/kernel",
                                         "/run/user",  "/dev/mem", "/dev/kmsg", "/dev/tty",
                                         "/dev/sda",   "/dev/vda", "/dev/ptmx", "/etc/sudoers",
                                         "/proc/kcore"};
    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        wall(cannot_open(absent[i], O_RDONLY), absent[i]);
    return broken;
}

static int probe_read_only(void)
{
    static const char *const places[] = {
        "/x",     "/usr/x",  "/etc/x", "/bin/x",    "/workspace/x", "/dev/x", "/proc/x",
        "/lib/x", "/home/x", "/opt/x", "/module/x", "/var/x",       "/run/x"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        wall(cannot_open(places[i], O_WRONLY | O_CREAT), places[i]);
    static const char *const files[] = {"/etc/passwd",
                                        "/usr/bin/env",
                                        "/workspace/file",
                                        "/proc/sysrq-trigger",
                                        "/proc/sys/kernel/core_pattern",
                                        "/proc/self/uid_map",
                                        "/proc/self/oom_score_adj",
                                        "/proc/1/mem"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        wall(cannot_open(files[i], O_WRONLY), files[i]);
    HELD(cannot_open("/proc/sysrq-trigger", O_RDONLY));
    HELD(unlink("/workspace/file") < 0);
    HELD(chmod("/workspace/file", 0777) < 0);
    HELD(rename("/workspace/file", "/workspace/y") < 0);
    HELD(mknod("/tmp/dev", S_IFBLK | 0600, 0xfe00) < 0);
    HELD(mknod("/tmp/null", S_IFCHR | 0600, 0x103) < 0);
    HELD(link("/usr/bin/env", "/tmp/env") < 0);
    return broken;
}

/* Every mount is without setuid and devices; only a few can be written to. */
static int probe_mounts(void)
{
    static const char *const writable[] = {"/tmp", "/scratch", "/dev/shm"};
    char line[1024], point[512], options[512];
    FILE *f = fopen("/proc/self/mounts", "re");
    int n = 0;
    HELD(f != NULL);
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%*s %511s %*s %511s", point, options) != 2)
            continue;
        n++;
        bool may_write = false;
        for (size_t i = 0; i < ARRAY_LEN(writable); i++)
            may_write |= strcmp(point, writable[i]) == 0;
        wall(strstr(options, "nosuid") != NULL, point);
        wall(may_write || strncmp(options, "ro", 2) == 0, line);
        wall(strstr(options, "nodev") || strncmp(point, "/dev", 4) == 0, line);
    }
    if (f)
        fclose(f);
    HELD(n > 5);
    return broken;
}

/* --- rights --- */

static uint64_t status_hex(const char *text, const char *key)
{
    const char *p = strstr(text, key);
    return p ? strtoull(p + strlen(key), NULL, 16) : UINT64_MAX;
}

static int probe_rights(void)
{
    char *text = NULL;
    size_t len;
    HELD(os_read_file("/proc/self/status", 65536, &text, &len, NULL) == 0);
    if (!text)
        return 1;
    HELD(status_hex(text, "CapEff:") == 0);
    HELD(status_hex(text, "CapPrm:") == 0);
    HELD(status_hex(text, "CapInh:") == 0);
    HELD(status_hex(text, "CapBnd:") == 0);
    HELD(status_hex(text, "CapAmb:") == 0);
    HELD(status_hex(text, "NoNewPrivs:") == 1);
    HELD(status_hex(text, "Seccomp:") == 2);
    HELD(strstr(text, "Groups:\t \n") || strstr(text, "Groups:\t\n") ||
         strstr(text, "Groups:\t65534 \n"));
    free(text);
    HELD(getuid() == 1000 && geteuid() == 1000 && getgid() == 1000);
    HELD(setuid(0) < 0);
    HELD(setresuid(0, 0, 0) < 0);
    HELD(setgid(0) < 0);
    HELD(getppid() == 1 && getsid(0) == getpid());
    return broken;
}

/* A setuid program is only a program. */
static int probe_setuid(void)
{
    static const char *const programs[] = {"/usr/bin/su", "/usr/bin/mount", "/usr/bin/passwd",
                                           "/usr/bin/newgrp"};
    struct stat st;
    struct statvfs v;
    bool found = false;
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (stat(programs[i], &st) == 0 && (st.st_mode & S_ISUID)) {
            found = true;
            HELD(statvfs(programs[i], &v) == 0 && (v.f_flag & ST_NOSUID));
        }
    int own = open("/scratch/suid", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    HELD(own >= 0);
    close(own);
    (void)chmod("/scratch/suid", 04755);
    HELD(statvfs("/scratch/suid", &v) == 0 && (v.f_flag & ST_NOSUID));
    printf("%s", found ? "" : "no setuid program here\n");
    return broken;
}

/* --- system calls --- */

static void denied(long nr, const char *name)
{
    errno = 0;
    long r = syscall(nr, 0L, 0L, 0L, 0L, 0L, 0L);
    wall(r < 0 && errno == EPERM, name);
}

#define DENIED(name) denied(SYS_##name, #name)

static int probe_syscalls(void)
{
    DENIED(ptrace), DENIED(mount), DENIED(umount2), DENIED(pivot_root), DENIED(chroot),
        DENIED(setns);
    DENIED(open_tree), DENIED(move_mount), DENIED(fsopen), DENIED(fsmount), DENIED(fsconfig),
        DENIED(fspick);
    DENIED(mount_setattr), DENIED(name_to_handle_at), DENIED(open_by_handle_at), DENIED(quotactl),
        DENIED(acct);
    DENIED(bpf), DENIED(perf_event_open), DENIED(userfaultfd), DENIED(io_uring_setup),
        DENIED(io_uring_enter);
    DENIED(io_uring_register), DENIED(init_module), DENIED(finit_module), DENIED(delete_module);
    DENIED(kexec_load), DENIED(reboot), DENIED(swapon), DENIED(swapoff), DENIED(add_key),
        DENIED(request_key);
    DENIED(keyctl), DENIED(process_vm_readv), DENIED(process_vm_writev), DENIED(kcmp),
        DENIED(pidfd_getfd);
    DENIED(settimeofday), DENIED(clock_settime), DENIED(adjtimex), DENIED(syslog), DENIED(vhangup);
    DENIED(sethostname), DENIED(setdomainname), DENIED(fanotify_init), DENIED(memfd_secret);
#ifdef __x86_64__
    DENIED(iopl), DENIED(ioperm), DENIED(modify_ldt), DENIED(kexec_file_load);
#endif
    HELD(syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0) < 0 && errno == EPERM);
    HELD(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
    HELD(syscall(1000) < 0 && errno == ENOSYS); /* what is not known yet does not exist */
    HELD(syscall(467) < 0 && errno == ENOSYS);  /* open_tree_attr */
    static const int flags[] = {CLONE_NEWUSER,   CLONE_NEWNS,  CLONE_NEWPID,
                                CLONE_NEWNET,    CLONE_NEWIPC, CLONE_NEWUTS,
                                CLONE_NEWCGROUP, 0x80 /* CLONE_NEWTIME */};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        HELD(unshare(flags[i]) < 0 && errno == EPERM);
        HELD(unshare(flags[i] | CLONE_FILES) < 0 && errno == EPERM);
        if (flags[i] != 0x80) { /* in clone(2) that bit is part of the signal */
            long pid = syscall(SYS_clone, (long)flags[i] | SIGCHLD, 0, 0, 0, 0);
            if (pid == 0)
                _exit(0);
            wall(pid < 0 && errno == EPERM, "clone with a new namespace");
        }
    }
    HELD(unshare(CLONE_FILES) == 0);
    return broken;
}

/* Arguments that are judged, and the garbage in upper halves that the kernel would ignore. */
/* As a target that a module has started and confined: it may stop a child of its own and read its registers, and no more; it
 * reaches neither the init nor the module. */
static void inspect(void)
{
    static const char *const writable[] = {"/scratch", NULL};
    int status;
    struct err e = {0};
    struct user_regs_struct regs;
    struct iovec v = {&regs, sizeof regs};
    if (sandbox_confine(writable, NULL, &e) < 0)
        _exit(9);
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    HELD(syscall(SYS_ptrace, PTRACE_ATTACH, pid, 0, 0) == 0 && waitpid(pid, &status, __WALL) == pid);
    HELD(syscall(SYS_ptrace, PTRACE_GETREGSET, pid, 1 /* NT_PRSTATUS */, &v) == 0);
    static const long requests[] = {PTRACE_POKETEXT, PTRACE_POKEDATA, PTRACE_POKEUSER, PTRACE_SETREGSET, PTRACE_SETOPTIONS,
                                    PTRACE_SINGLESTEP, PTRACE_SYSCALL, PTRACE_PEEKDATA, PTRACE_ATTACH + (1L << 32)};
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        errno = 0;
        wall(syscall(SYS_ptrace, requests[i], pid, 1, &v) < 0 && errno == EPERM, "a request of ptrace");
    }
    HELD(syscall(SYS_ptrace, PTRACE_DETACH, pid, 0, 0) == 0);
    HELD(syscall(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0) < 0 && errno == EPERM);
    HELD(syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0) < 0 && errno == EPERM);
    HELD(syscall(SYS_ptrace, PTRACE_ATTACH, 1, 0, 0) < 0 && errno == EPERM);
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
    HELD(abi < 1 || (syscall(SYS_ptrace, PTRACE_ATTACH, getppid(), 0, 0) < 0 && errno == EPERM));
    HELD(syscall(SYS_process_vm_writev, pid, &v, 1, &v, 1, 0) < 0 && errno == EPERM);
    kill(pid, SIGKILL);
    _exit(broken);
}

/* A folder in which files may be made, and none removed. */
static void grow(void)
{
    static const char *const writable[] = {"/tmp", NULL}, *const growing[] = {"/scratch/kept", NULL};
    struct err e = {0};
    mkdir("/scratch/kept", 0755);
    int fd = open("/scratch/kept/before", O_CREAT | O_WRONLY, 0644);
    if (fd < 0 || syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */) < 1)
        _exit(fd < 0 ? 9 : 0);
    close(fd);
    if (sandbox_confine(writable, growing, &e) < 0)
        _exit(9);
    fd = open("/scratch/kept/new", O_CREAT | O_WRONLY | O_EXCL, 0644);
    HELD(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
    HELD(open("/scratch/kept/new", O_RDONLY) >= 0);
    wall(unlink("/scratch/kept/new") < 0 && unlink("/scratch/kept/before") < 0, "a file removed");
    wall(rename("/scratch/kept/before", "/scratch/kept/after") < 0 && rename("/scratch/kept/before", "/tmp/x") < 0, "a file renamed");
    wall(mkdir("/scratch/kept/d", 0755) < 0 && rmdir("/scratch/kept") < 0 && rename("/scratch/kept", "/scratch/other") < 0, "a folder");
    wall(open("/scratch/beside", O_CREAT | O_WRONLY, 0644) < 0, "a file beside it");
    _exit(broken);
}

static int probe_grows(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        grow();
    HELD(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return broken;
}

static int probe_inspects(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        inspect();
    HELD(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return broken;
}

static int probe_arguments(void)
{
    const long garbage = 1L << 40;
    static const int families[] = {AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH, AF_CAN,
                                   AF_TIPC,   AF_XDP,   AF_KEY, AF_NFC};
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        HELD(socket(families[i], SOCK_DGRAM, 0) < 0 && errno == EPERM);
        HELD(syscall(SYS_socket, families[i] | garbage, SOCK_RAW, 0) < 0 && errno == EPERM);
    }
    HELD(socket(AF_NETLINK, SOCK_RAW, 9 /* NETLINK_AUDIT */) < 0 && errno == EPERM);
    HELD(socket(AF_NETLINK, SOCK_RAW, 12 /* NETLINK_NETFILTER */) < 0 && errno == EPERM);
    HELD(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) >= 0);
    HELD(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
    HELD(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0);
    HELD(personality(0x400000 /* READ_IMPLIES_EXEC */) < 0 && errno == EPERM);
    HELD(personality(0x100000 /* MMAP_PAGE_ZERO */) < 0 && errno == EPERM);
    HELD(syscall(SYS_personality, 0x400000 | garbage) < 0 && errno == EPERM);
    HELD(syscall(SYS_personality, 0xfffffffeL) < 0 && errno == EPERM);
    HELD(personality(0xffffffff) >= 0);
    HELD(personality(ADDR_NO_RANDOMIZE) >= 0);
    HELD(ioctl(0, TIOCSTI, "x") < 0 && errno == EPERM);
    HELD(syscall(SYS_ioctl, 0, TIOCSTI | garbage, "x") < 0 && errno == EPERM);
    HELD(ioctl(0, 0x541c /* TIOCLINUX */, "x") < 0 && errno == EPERM);
    HELD(ioctl(0, FIONREAD, &(int){0}) == 0 || errno != EPERM);
    return broken;
}

/* System calls of other ABIs have other numbers. */
static int probe_abi(void)
{
#ifdef __x86_64__
    HELD(syscall(0x40000000 | 39) < 0 && errno == ENOSYS); /* getpid of x32 */
    pid_t pid = fork();
    if (pid == 0) {
        long r = 20; /* getpid of i386 */
        __asm__ volatile("int $0x80" : "+a"(r) : : "memory");
        _exit(r == -ENOSYS ? 0 : 1);
    }
    int status = 0;
    HELD(waitpid(pid, &status, 0) == pid);
    HELD((WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
         WIFSIGNALED(status)); /* a kernel without i386 faults */
#endif
    return broken;
}

/* --- processes --- */

static int probe_processes(void)
{
    DIR *d = opendir("/proc");
    HELD(d != NULL);
    for (struct dirent *e; d && (e = readdir(d));) {
        int pid = atoi(e->d_name);
        wall(pid <= 2, "a process of others is in /proc");
    }
    if (d)
        closedir(d);
    const char *outside = getenv("OUTSIDE_PID");
    HELD(outside && kill(atoi(outside), 0) < 0 && errno == ESRCH);
    HELD(kill(1, SIGKILL) == 0 || errno == EPERM);
    HELD(kill(1, SIGTERM) == 0 || errno == EPERM);
    usleep(20000);
    HELD(getppid() == 1); /* it lives on */
    HELD(cannot_open("/proc/1/environ", O_RDONLY) && cannot_open("/proc/1/maps", O_RDONLY));
    HELD(cannot_open("/proc/1/mem", O_RDONLY) && cannot_open("/proc/1/fd", O_RDONLY));
    HELD(cannot_open("/proc/1/ns/mnt", O_RDONLY) && cannot_open("/proc/1/root/etc", O_RDONLY));
    HELD(setpriority(PRIO_PROCESS, 0, -5) < 0);
    return broken;
}

static int probe_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    HELD(d != NULL);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d))
            wall(atoi(e->d_name) <= 2, "a descriptor was inherited");
    if (d)
        closedir(d);
    for (int fd = 3; fd < 1024; fd++)
        if (fd != (d ? -1 : 0))
            HELD(fcntl(fd, F_GETFD) < 0);
    return broken;
}

/* Reads where no variable of ours is. */
__attribute__((no_sanitize("address"))) static bool memory_has(const char *from, const char *to,
                                                               const char *needle, size_t n)
{
    for (const char *p = from; p + n <= to; p++) {
        size_t i = 0;
        while (i < n &&
               (p[i] ^ 0x55) == needle[i]) /* the needle is masked, not to be found itself */
            i++;
        if (i == n)
            return true;
    }
    return false;
}

/* The canary stood in the environment of the process that started the spawner: neither the
 * variables nor the stack, where the kernel put them, may have it. */
static int probe_environment(void)
{
    static const char *const names[] = {"PATH",    "HOME",        "TMPDIR",      "LANG",    "USER",
                                        "LOGNAME", "SECRET_FILE", "OUTSIDE_PID", "TCP_PORT"};
    for (char **e = environ; *e; e++) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            known |= strncmp(*e, names[i], strlen(names[i])) == 0 && (*e)[strlen(names[i])] == '=';
        wall(known, *e);
    }
    HELD(strcmp(getenv("HOME"), "/scratch") == 0);
    char line[512], needle[] = CANARY;
    for (char *c = needle; *c; c++)
        *c ^= 0x55;
    FILE *f = fopen("/proc/self/maps", "re");
    HELD(f != NULL);
    bool stack = false;
    while (f && fgets(line, sizeof line, f)) {
        unsigned long from, to;
        if (!strstr(line, "[stack]") || sscanf(line, "%lx-%lx", &from, &to) != 2)
            continue;
        stack = true;
        HELD(!memory_has((const char *)from, (const char *)to, needle, sizeof needle - 1));
    }
    HELD(stack);
    if (f)
        fclose(f);
    return broken;
}

/* --- network and ipc --- */

static int abstract_socket(bool listening)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path + 1, ABSTRACT, sizeof ABSTRACT - 1);
    socklen_t len = offsetof(struct sockaddr_un, sun_path) + sizeof ABSTRACT;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = listening ? (bind(fd, (struct sockaddr *)&a, len) < 0 ? -1 : listen(fd, 4))
                      : connect(fd, (struct sockaddr *)&a, len);
    if (r == 0)
        return fd;
    close(fd);
    return -1;
}

static int tcp_connect(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = connect(fd, (struct sockaddr *)&a, sizeof a);
    close(fd);
    return r;
}

static int tcp_listen(int *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 4) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return -1;
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static int probe_network(void)
{
    int port;
    HELD(getenv("TCP_PORT") && tcp_connect(atoi(getenv("TCP_PORT"))) < 0);
    HELD(abstract_socket(false) < 0);
    HELD(tcp_listen(&port) < 0 ||
         tcp_connect(port) < 0); /* not even its own: there is no network */
    struct sockaddr_in dns = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x08080808)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    HELD(sendto(fd, "x", 1, 0, (struct sockaddr *)&dns, sizeof dns) < 0);
    close(fd);
    HELD(shmget(SHM_KEY, 4096, 0600) < 0 && errno == ENOENT);
    return broken;
}

static int probe_loopback(void)
{
    int port;
    HELD(getenv("TCP_PORT") &&
         tcp_connect(atoi(getenv("TCP_PORT"))) < 0); /* the host's is another */
    int fd = tcp_listen(&port);
    HELD(fd >= 0 && tcp_connect(port) == 0);
    HELD(abstract_socket(false) < 0);
    return broken;
}

static int probe_listen(void)
{
    int fd = abstract_socket(true);
    HELD(fd >= 0);
    HELD(write(1, "listening\n", 10) == 10);
    sleep(20);
    return broken;
}

static int probe_connect(void)
{
    HELD(abstract_socket(false) < 0);
    return broken;
}

/* --- traces of one run in the next --- */

static const char *const left_behind[] = {"/tmp/left", "/scratch/left", "/dev/shm/left"};

static int probe_leave(void)
{
    for (size_t i = 0; i < ARRAY_LEN(left_behind); i++)
        HELD(!cannot_open(left_behind[i], O_WRONLY | O_CREAT));
    HELD(shmget(SHM_KEY + 1, 4096, IPC_CREAT | 0666) >= 0);
    return broken;
}

static int probe_traces(void)
{
    for (size_t i = 0; i < ARRAY_LEN(left_behind); i++)
        wall(cannot_open(left_behind[i], O_RDONLY), left_behind[i]);
    HELD(shmget(SHM_KEY + 1, 4096, 0666) < 0);
    return broken;
}

const struct probe probes[] = {
    {"files", probe_files},
    {"read_only", probe_read_only},
    {"mounts", probe_mounts},
    {"rights", probe_rights},
    {"setuid", probe_setuid},
    {"syscalls", probe_syscalls},
    {"inspects", probe_inspects},
    {"grows", probe_grows},
    {"arguments", probe_arguments},
    {"abi", probe_abi},
    {"processes", probe_processes},
    {"descriptors", probe_descriptors},
    {"environment", probe_environment},
    {"network", probe_network},
    {"loopback", probe_loopback},
    {"listen", probe_listen},
    {"connect", probe_connect},
    {"leave", probe_leave},
    {"traces", probe_traces},
    {NULL, NULL},
};

/* --- outside --- */

static char env_secret[400], env_pid[64], env_port[64], workspace[300];
static const char *const env[] = {env_secret, env_pid, env_port, NULL};
static const struct sandbox_mount mount_ws = {
    .kind = MOUNT_BIND, .source = workspace, .target = "/workspace"};

static void hold_plan(const char *probe, enum sandbox_network network, bool inspects)
{
    struct run r;
    const struct sandbox_plan plan = {.name = probe,
                                      .builtin = probe,
                                      .env = env,
                                      .mounts = &mount_ws,
                                      .mounts_count = 1,
                                      .inspects = inspects,
                                      .network = network};
    run_plan(&plan, &r);
    if (r.result.end != SANDBOX_EXITED || r.result.status != 0)
        fail_msg("%s: end %d, status %d: %s%s", probe, r.result.end, r.result.status,
                 r.result.err.msg, r.out);
}

static void hold(const char *probe, enum sandbox_network network)
{
    hold_plan(probe, network, false);
}

static void test_walls(void **state)
{
    static const char *const all[] = {
        "files", "read_only", "mounts",      "rights",      "setuid", "syscalls", "arguments",
        "abi",   "processes", "descriptors", "environment", "leave",  "traces"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        hold(all[i], SANDBOX_NET_NONE);
    hold_plan("inspects", SANDBOX_NET_NONE, true);
    hold("grows", SANDBOX_NET_NONE);
}

static void test_network(void **state)
{
    int port, tcp = tcp_listen(&port);
    int abstract = abstract_socket(true);
    int shm = shmget(SHM_KEY, 4096, IPC_CREAT | 0666);
    assert_true(tcp >= 0 && abstract >= 0 && shm >= 0);
    snprintf(env_port, sizeof env_port, "TCP_PORT=%d", port);
    assert_int_equal(tcp_connect(port), 0); /* outside, all three work */
    int fd = abstract_socket(false);
    assert_true(fd >= 0);
    close(fd);
    hold("network", SANDBOX_NET_NONE);
    hold("loopback", SANDBOX_NET_LOOPBACK);
    shmctl(shm, IPC_RMID, NULL);
    close(tcp);
    close(abstract);
}

static void ignore_done(void *arg, const struct sandbox_result *r)
{
    *(bool *)arg = true;
}

/* Two at the same time do not see each other. */
static void test_neighbours(void **state)
{
    const struct sandbox_plan plan = {.name = "listen", .builtin = "listen"};
    struct sandbox_proc *p;
    struct err e = {0};
    int out[2];
    char line[16] = "";
    bool done = false;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(
        sandbox_start(spawner, &plan, out[1], out[1], out[1], ignore_done, &done, &p, &e), 0);
    close(out[1]);
    assert_int_equal(read(out[0], line, 10), 10);
    hold("connect", SANDBOX_NET_NONE);
    sandbox_kill(p, NULL);
    assert_true(WAIT_FOR((spawner_dispatch(spawner, &e), done), 30000));
    close(out[0]);
}

/* The same for programs that are executed: what the kernel does at exec(2) changes nothing. */
static void test_exec_walls(void **state)
{
    struct run r;
    run_shell("grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; id -u; ls /proc | "
              "grep -c '^[0-9]';"
              "cat /etc/shadow 2>&1; ls /home; hostname; env | sort | tr '\\n' ' '; ls -l "
              "/proc/self/fd | wc -l",
              &r);
    assert_non_null(strstr(r.out, "CapEff:\t0000000000000000\n"));
    assert_non_null(strstr(r.out, "CapBnd:\t0000000000000000\n"));
    assert_non_null(strstr(r.out, "NoNewPrivs:\t1\n"));
    assert_non_null(strstr(r.out, "Seccomp:\t2\n1000\n"));
    assert_non_null(strstr(r.out, "No such file"));
    assert_non_null(strstr(r.out, "sandbox\nHOME=/scratch LANG=C.UTF-8 LOGNAME=sandbox"));
    assert_null(strstr(r.out, CANARY));
}

/* What people use must work in it. */
static void test_usable(void **state)
{
    struct run r;
    run_shell("set -e; echo a | sort > /tmp/x; test -s /tmp/x; echo b > /dev/null; head -c 8 "
              "/dev/urandom | wc -c;"
              "cat /proc/meminfo > /dev/null; mkdir -p /scratch/a/b; mv /scratch/a /scratch/c; "
              "whoami; getent hosts localhost;"
              "python3 -c 'import json,subprocess,ssl,socket,multiprocessing,tempfile; "
              "q=multiprocessing.Queue(); q.put(7); print(q.get(), "
              "subprocess.check_output([\"echo\",\"x\"]))'",
              &r);
    if (r.result.end != SANDBOX_EXITED || r.result.status != 0)
        fail_msg("end %d, status %d: %s", r.result.end, r.result.status, r.out);
    assert_non_null(strstr(r.out, "8\nsandbox\n"));
    assert_non_null(strstr(r.out, "7 b'x\\n'"));
}

static void write_file(const char *folder, const char *name, const char *text, uid_t owner)
{
    char file[400];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    assert_int_equal(os_write_file_atomic(file, text, strlen(text), 0644, NULL), 0);
    if (geteuid() == 0)
        assert_int_equal(lchown(file, owner, owner), 0);
}

static void check_file(const char *folder, const char *name, const char *text, uid_t owner)
{
    char file[400], *got;
    size_t len;
    struct stat st;
    snprintf(file, sizeof file, "%s/%s", folder, name);
    assert_int_equal(os_read_file(file, 100, &got, &len, NULL), 0);
    assert_string_equal(got, text);
    free(got);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_uid, owner);
}

static void make_owned(char *path, size_t size, const char *name, int n, uid_t owner)
{
    snprintf(path, size, "%s/%s%d", test_dir, name, n);
    assert_int_equal(mkdir(path, 0755), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(path, owner, owner), 0);
}

/* Layers may be ours or already the activity's, in every mixture; names may hold what parts
 * options. */
static void test_overlay(void **state)
{
    const uid_t us = geteuid(), them = sandbox_host_uid();
    if (!spawner_protection(spawner)->overlayfs)
        skip();
    for (int i = 0; i < (us == them ? 1 : 4); i++) {
        char lower[300], upper[300], work[300];
        uid_t lower_owner = i & 1 ? them : us, upper_owner = i & 2 ? them : us;
        make_owned(lower, sizeof lower, "lo:w,er\\", i, lower_owner);
        make_owned(upper, sizeof upper, "up:p,er\\", i, upper_owner);
        make_owned(work, sizeof work, "work", i, upper_owner);
        write_file(lower, "a", "old\n", lower_owner);
        write_file(lower, "gone", "x", lower_owner);
        const struct sandbox_mount m = {.kind = MOUNT_OVERLAY,
                                        .source = lower,
                                        .upper = upper,
                                        .work = work,
                                        .target = "/workspace",
                                        .writable = true};
        const char *const argv[] = {"/bin/sh", "-c",
                                    "cat a && echo new > a && echo b > b && rm gone && mkdir d && "
                                    "mv b d && cat a d/b && ls",
                                    NULL};
        const struct sandbox_plan plan = {
            .name = "sh", .argv = argv, .mounts = &m, .mounts_count = 1};
        struct run r;
        run_plan(&plan, &r);
        if (strcmp(r.out, "old\nnew\nb\na\nd\n") != 0)
            fail_msg("mixture %d: end %d: %s%s", i, r.result.end, r.result.err.msg, r.out);
        check_file(lower, "a", "old\n", lower_owner);
        check_file(lower, "gone", "x", lower_owner);
        check_file(upper, "a", "new\n", upper_owner);
        check_file(upper, "d/b", "b\n", upper_owner);
    }
}

static void test_bad_plans(void **state)
{
    struct sandbox_mount m = {.kind = MOUNT_BIND, .source = test_dir, .target = "/etc/x"};
    struct sandbox_plan plan = {.name = "x", .builtin = "rights", .mounts = &m, .mounts_count = 1};
    static const char *const targets[] = {"/etc/x", "/usr",     "/proc/1",   "/",
                                          "/.",     "relative", "/a/../etc", "/dev"};
    struct run r;
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        m.target = targets[i];
        run_plan(&plan, &r);
        if (r.result.end != SANDBOX_SETUP_FAILED || r.result.err.code != ERR_INVALID)
            fail_msg("%s was accepted", targets[i]);
    }
    m.target = "/workspace";
    m.source = "/no/such/folder";
    run_plan(&plan, &r);
    assert_int_equal(r.result.end, SANDBOX_SETUP_FAILED);
    assert_non_null(strstr(r.result.err.msg, "/no/such/folder"));
    m.source = test_dir;
    m.target = "/some/new/place"; /* made when it is needed */
    plan.cwd = "/some/new/place";
    run_plan(&plan, &r);
    assert_int_equal(r.result.end, SANDBOX_EXITED);
    hold("read_only", SANDBOX_NET_NONE); /* and the root is closed again */
}

static int suite(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walls),      cmocka_unit_test(test_network),
        cmocka_unit_test(test_neighbours), cmocka_unit_test(test_exec_walls),
        cmocka_unit_test(test_usable),     cmocka_unit_test(test_overlay),
        cmocka_unit_test(test_bad_plans),
    };
    char file[320];
    snprintf(workspace, sizeof workspace, "%s/workspace", test_dir);
    snprintf(env_secret, sizeof env_secret, "SECRET_FILE=%s/secret", test_dir);
    snprintf(env_pid, sizeof env_pid, "OUTSIDE_PID=%d", (int)getpid());
    snprintf(env_port, sizeof env_port, "TCP_PORT=1");
    snprintf(file, sizeof file, "%s/file", workspace);
    if (mkdir(workspace, 0755) < 0 ||
        os_write_file_atomic(env_secret + 12, "top", 3, 0644, NULL) < 0 ||
        os_write_file_atomic(file, "x\n", 2, 0666, NULL) < 0)
        return 1;
    return cmocka_run_group_tests_name("sandbox walls", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    if (!getenv("SANDBOX_CANARY")) { /* it must be there from the program's start, where the kernel
                                        puts it */
        setenv("SANDBOX_CANARY", CANARY, 1);
        execv("/proc/self/exe", argv);
        return 1;
    }
    return test_main(argc, argv, suite);
}
