/* The system calls that an activity may not make; they answer EPERM.
 *
 * Two programs, both built once by libseccomp. The large one holds what the set-up of a sandbox
 * does not need either: the spawner loads it for itself, and all its children inherit it for
 * nothing, while compiling it anew would cost each a third of a millisecond. The small one denies
 * what makes sandboxes; each child loads it as its last step. In front of the large one stands a
 * check of our own: calls newer than those reviewed here answer ENOSYS, which is what programs
 * expect of a kernel that does not know them.
 *
 * ptrace is denied in the small one, except for a plan that inspects: LeakSanitizer stops the threads of
 * its own process and reads their registers, and there is no other way to do it. For such a plan the
 * large one, which all have, leaves the requests that this takes: attach, read the general registers,
 * go on, detach, kill. None of them writes to another process, so none makes it run other code; that
 * is what the rest of ptrace would give. Whom they reach is bounded by the other walls: the
 * pid namespace and the user (the sandbox's processes), the init's being undumpable, and Landlock,
 * whose domains ptrace does not leave: what a module has confined (sandbox_confine) cannot attach to the
 * module. Where there is no Landlock, it could stop the module, as it can by a signal. */
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
#include <sys/prctl.h>
#include <sys/ptrace.h>
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
#define ARG0_AT ((unsigned)offsetof(struct seccomp_data, args))
#define UPPER_HALF (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 4U : 0U)
#ifdef __x86_64__
#define GETREGS 12 /* PTRACE_GETREGS, which other machines do not have */
#else
#define GETREGS PTRACE_GETREGSET
#endif

static const char *const denied[] = {
    /* other processes */
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "pidfd_getfd",
    "process_madvise",
    /* mounts and roots */
    "umount",
    "fspick",
    "pivot_root",
    "chroot",
    "statmount",
    "listmount",
    /* files by handle, quotas, accounting */
    "name_to_handle_at",
    "open_by_handle_at",
    "quotactl",
    "quotactl_fd",
    "acct",
    "swapon",
    "swapoff",
    "fanotify_init",
    "fanotify_mark",
    /* code in the kernel */
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "query_module",
    "get_kernel_syms",
    "kexec_load",
    "kexec_file_load",
    "modify_ldt",
    "vm86",
    "vm86old",
    "iopl",
    "ioperm",
    "lookup_dcookie",
    "memfd_secret",
    /* keys */
    "add_key",
    "request_key",
    "keyctl",
    /* the machine */
    "reboot",
    "settimeofday",
    "clock_settime",
    "clock_settime64",
    "clock_adjtime",
    "clock_adjtime64",
    "adjtimex",
    "stime",
    "syslog",
    "vhangup",
    "sethostname",
    "setdomainname",
    "nfsservctl",
    "sysfs",
    "uselib",
    "ustat",
    "_sysctl",
    "migrate_pages",
    "move_pages",
    "lsm_set_self_attr",
    "lsm_get_self_attr",
    "lsm_list_modules",
};

/* What an init needs until its last step; with clone, clone3 and unshare. */
static const char *const denied_last[] = {
    "mount",  "umount2",  "mount_setattr", "move_mount", "open_tree",
    "fsopen", "fsconfig", "fsmount",       "setns",
};

static int deny(scmp_filter_ctx ctx, int nr)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
}

/* Denies nr when (argument & mask) == value. The mask also cuts an int argument to its 32 bits, as
 * the kernel does: a plain comparison would be fooled by garbage in the upper half. */
static int deny_masked(scmp_filter_ctx ctx, int nr, unsigned arg, uint64_t mask, uint64_t value)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 1,
                            SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, value));
}

static int deny_namespaces(scmp_filter_ctx ctx)
{
    static const int flags[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};
    int r = deny_masked(ctx, SCMP_SYS(unshare), 0, CLONE_NEWTIME, CLONE_NEWTIME);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(flags); i++) {
        r = deny_masked(ctx, SCMP_SYS(unshare), 0, (uint64_t)flags[i], (uint64_t)flags[i]);
        if (r == 0)
            r = deny_masked(ctx, SCMP_SYS(clone), 0, (uint64_t)flags[i], (uint64_t)flags[i]);
    }
    /* Its flags are in memory, where no filter sees them; libraries fall back to clone on ENOSYS.
     */
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

/* Allowed: PER_LINUX and PER_LINUX32, each with ADDR_NO_RANDOMIZE or without, and 0xffffffff, which
 * asks. */
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

static int deny_names(scmp_filter_ctx ctx, const char *const *names, size_t n)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        int nr = seccomp_syscall_resolve_name(names[i]);
        if (nr != __NR_SCMP_ERROR &&
            nr >= 0) /* else unknown to this libseccomp, or absent on this machine */
            r = deny(ctx, nr);
    }
    return r;
}

static int add_first(scmp_filter_ctx ctx)
{
    /* Newer than libseccomp 2.5.4: the numbers are common to all machines. */
    static const int numbers[] = {457 /* statmount */, 458 /* listmount */, 459, 460,
                                  461 /* lsm_* */};
    int r = deny_names(ctx, denied, ARRAY_LEN(denied));
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(numbers); i++) {
        r = deny(ctx, numbers[i]);
        if (r == -EEXIST)
            r = 0;
    }
    if (r == 0)
        r = deny_sockets(ctx);
    if (r == 0)
        r = deny_personalities(ctx);
    return r ? r : deny_ioctls(ctx);
}

static int add_last_inspects(scmp_filter_ctx ctx)
{
    int r = deny_names(ctx, denied_last, ARRAY_LEN(denied_last));
    return r ? r : deny_namespaces(ctx);
}

static int add_last(scmp_filter_ctx ctx)
{
    int r = add_last_inspects(ctx);
    return r ? r : deny(ctx, SCMP_SYS(ptrace));
}

/* libseccomp writes programs to descriptors only. */
static int export_program(scmp_filter_ctx ctx, bool with_front, struct sock_fprog *ret,
                          struct err *err)
{
    static const struct sock_filter front[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, REVIEWED_SYSCALL_MAX, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        /* ptrace by its request; the upper half first */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 10),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG0_AT + UPPER_HALF),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 7),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG0_AT + 4 - UPPER_HALF),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PTRACE_ATTACH, 6, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PTRACE_DETACH, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PTRACE_CONT, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PTRACE_KILL, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PTRACE_GETREGSET, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GETREGS, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
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
    size_t ahead = with_front ? ARRAY_LEN(front) : 0;
    size_t n = (size_t)st.st_size / sizeof(struct sock_filter) + ahead;
    if (n > PROGRAM_MAX)
        return err_set(err, ERR_LIMIT, "the seccomp program is too long: %zu instructions", n);
    struct sock_filter *f = mem_calloc(n, sizeof *f);
    if (!f)
        return err_nomem(err);
    for (size_t i = 0; i < ahead; i++)
        f[i] = front[i];
    if (pread(fd, f + ahead, (size_t)st.st_size, 0) != st.st_size) {
        free(f);
        return err_sys(err, errno, "read the seccomp program");
    }
    *ret = (struct sock_fprog){.len = (unsigned short)n, .filter = f};
    return 0;
}

static int build(int (*add_rules)(scmp_filter_ctx), bool with_front, struct sock_fprog *ret,
                 struct err *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!ctx)
        return err_nomem(err);
    seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree instead of a list */
    int r = add_rules(ctx);
    r = r < 0 ? err_sys(err, -r, "seccomp rules") : export_program(ctx, with_front, ret, err);
    seccomp_release(ctx);
    return r;
}

static int load(const struct sock_fprog *p, struct err *err)
{
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, p) < 0)
        return err_sys(err, errno, "load the seccomp program");
    return 0;
}

int filter_first(struct sock_fprog ret_last[2], struct err *err)
{
    struct sock_fprog first;
    int r = build(add_last, false, &ret_last[0], err);
    if (r == 0)
        r = build(add_last_inspects, false, &ret_last[1], err);
    if (r == 0)
        r = build(add_first, true, &first, err);
    if (r < 0)
        return r;
    /* Without a right to filters this is what allows them; the spawner runs no other program. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = err_sys(err, errno, "PR_SET_NO_NEW_PRIVS");
    if (r == 0)
        r = load(&first, err);
    free(first.filter);
    return r;
}

int filter_last(const struct sock_fprog *p, struct err *err)
{
    return p->len ? load(p, err) : 0;
}
