/* The system calls that an activity may not make; they answer EPERM.
 *
 * The program is built once by libseccomp and loaded by each child as it is. In front of libseccomp's part stands a
 * check of our own: calls newer than those reviewed here answer ENOSYS, which is what programs expect of a kernel
 * that does not know them. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
/* removexattrat(2) of Linux 6.13; numbers above 423 are the same on every architecture. */
#define REVIEWED_SYSCALL_MAX 466
#define PROGRAM_MAX 4096 /* BPF_MAXINSNS */

static const char *const denied[] = {
    /* other processes */
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise",
    /* mounts and roots */
    "mount", "umount", "umount2", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount",
    "fspick", "pivot_root", "chroot", "setns", "statmount", "listmount",
    /* files by handle, quotas, accounting */
    "name_to_handle_at", "open_by_handle_at", "quotactl", "quotactl_fd", "acct", "swapon", "swapoff", "fanotify_init",
    "fanotify_mark",
    /* code in the kernel */
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "init_module",
    "finit_module", "delete_module", "create_module", "query_module", "get_kernel_syms", "kexec_load",
    "kexec_file_load", "modify_ldt", "vm86", "vm86old", "iopl", "ioperm", "lookup_dcookie", "memfd_secret",
    /* keys */
    "add_key", "request_key", "keyctl",
    /* the machine */
    "reboot", "settimeofday", "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex",
    "stime", "syslog", "vhangup", "sethostname", "setdomainname", "nfsservctl", "sysfs", "uselib", "ustat", "_sysctl",
    "migrate_pages", "move_pages", "lsm_set_self_attr", "lsm_get_self_attr", "lsm_list_modules",
};

static int deny(scmp_filter_ctx ctx, int nr)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
}

/* Denies nr when (argument & mask) == value. The mask also cuts an int argument to its 32 bits, as the kernel does:
 * a plain comparison would be fooled by garbage in the upper half. */
static int deny_masked(scmp_filter_ctx ctx, int nr, unsigned arg, uint64_t mask, uint64_t value)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 1,
                            SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, value));
}

static int deny_namespaces(scmp_filter_ctx ctx)
{
    static const int flags[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                CLONE_NEWUSER, CLONE_NEWPID,   CLONE_NEWNET};
    int r = deny_masked(ctx, SCMP_SYS(unshare), 0, CLONE_NEWTIME, CLONE_NEWTIME);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(flags); i++) {
        r = deny_masked(ctx, SCMP_SYS(unshare), 0, (uint64_t)flags[i], (uint64_t)flags[i]);
        if (r == 0)
            r = deny_masked(ctx, SCMP_SYS(clone), 0, (uint64_t)flags[i], (uint64_t)flags[i]);
    }
    /* Its flags are in memory, where no filter sees them; libraries fall back to clone on ENOSYS. */
    return r ? r : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* Unix, Internet and routing netlink (which getifaddrs needs) are left. */
static int deny_sockets(scmp_filter_ctx ctx)
{
    int r = 0;
    for (uint64_t family = 0; r == 0 && family <= AF_NETLINK; family++)
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6 && family != AF_NETLINK)
            r = deny_masked(ctx, SCMP_SYS(socket), 0, UINT32_MAX, family);
    if (r == 0) /* garbage above 32 bits is denied here too */
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_GT, AF_NETLINK));
    for (uint64_t bit = 0; r == 0 && bit < 32; bit++) /* any protocol of netlink but 0 */
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 2,
                             SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
                             SCMP_A2(SCMP_CMP_MASKED_EQ, UINT64_C(1) << bit, UINT64_C(1) << bit));
    return r;
}

/* Allowed: PER_LINUX and PER_LINUX32, each with ADDR_NO_RANDOMIZE or without, and 0xffffffff, which asks. */
static int deny_personalities(scmp_filter_ctx ctx)
{
    const uint64_t top = UINT64_C(1) << 31;
    int r = 0;
    for (unsigned b = 0; r == 0 && b < 31; b++) {
        uint64_t bit = UINT64_C(1) << b;
        r = deny_masked(ctx, SCMP_SYS(personality), 0, top | bit, top); /* top set, but not all */
        if (r == 0 && !(bit & (PER_LINUX32 | ADDR_NO_RANDOMIZE)))
            r = deny_masked(ctx, SCMP_SYS(personality), 0, top | bit, bit);
    }
    return r;
}

static int deny_ioctls(scmp_filter_ctx ctx)
{
    static const uint64_t commands[] = {TIOCSTI, TIOCSETD, TIOCCONS, 0x541c /* TIOCLINUX */};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(commands); i++)
        r = deny_masked(ctx, SCMP_SYS(ioctl), 1, UINT32_MAX, commands[i]);
    return r;
}

static int add_rules(scmp_filter_ctx ctx)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(denied); i++) {
        int nr = seccomp_syscall_resolve_name(denied[i]);
        if (nr == __NR_SCMP_ERROR || nr < 0) /* unknown to this libseccomp, or absent on this machine */
            continue;
        r = deny(ctx, nr);
    }
    /* Newer than libseccomp 2.5.4 or worth being sure of: the numbers are common to all machines. */
    static const int numbers[] = {457 /* statmount */, 458 /* listmount */, 459, 460, 461 /* lsm_* */};
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(numbers); i++) {
        r = deny(ctx, numbers[i]);
        if (r == -EEXIST)
            r = 0;
    }
    if (r == 0)
        r = deny_namespaces(ctx);
    if (r == 0)
        r = deny_sockets(ctx);
    if (r == 0)
        r = deny_personalities(ctx);
    return r ? r : deny_ioctls(ctx);
}

/* libseccomp writes programs to descriptors only. */
static int export_program(scmp_filter_ctx ctx, struct sock_fprog *ret, struct err *err)
{
    static const struct sock_filter front[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, REVIEWED_SYSCALL_MAX, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    };
    _cleanup_close_ int fd = memfd_create("seccomp", MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "memfd_create");
    int r = seccomp_export_bpf(ctx, fd);
    if (r < 0)
        return err_sys(err, -r, "build the seccomp program");
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size % (off_t)sizeof(struct sock_filter))
        return err_set(err, ERR_INTERNAL, "the seccomp program has an odd size");
    size_t n = (size_t)st.st_size / sizeof(struct sock_filter) + ARRAY_LEN(front);
    if (n > PROGRAM_MAX)
        return err_set(err, ERR_LIMIT, "the seccomp program is too long: %zu instructions", n);
    struct sock_filter *f = mem_calloc(n, sizeof *f);
    if (!f)
        return err_nomem(err);
    for (size_t i = 0; i < ARRAY_LEN(front); i++)
        f[i] = front[i];
    if (pread(fd, f + ARRAY_LEN(front), (size_t)st.st_size, 0) != st.st_size) {
        free(f);
        return err_sys(err, errno, "read the seccomp program");
    }
    *ret = (struct sock_fprog){.len = (unsigned short)n, .filter = f};
    return 0;
}

int filter_build(struct sock_fprog *ret, struct err *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!ctx)
        return err_nomem(err);
    seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree instead of a list */
    int r = add_rules(ctx);
    r = r < 0 ? err_sys(err, -r, "seccomp rules") : export_program(ctx, ret, err);
    seccomp_release(ctx);
    return r;
}

int filter_load(const struct sock_fprog *p, struct err *err)
{
    if (p->len == 0)
        return 0;
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, p) < 0)
        return err_sys(err, errno, "load the seccomp program");
    return 0;
}
