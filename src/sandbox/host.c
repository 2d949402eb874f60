/* What this host offers, found by trying, once, in the spawner. */
#include "base/cleanup.h"
#include "gateway_internal.h"
#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static void lacks(struct sandbox_protection *p, const char *what)
{
    size_t n = strlen(p->missing);
    snprintf(p->missing + n, sizeof p->missing - n, "%s%s", n ? ", " : "", what);
}

/* Tries a namespace in a child of its own. */
static bool namespace_works(int flag)
{
    pid_t pid = fork();
    if (pid < 0)
        return false;
    if (pid == 0)
        _exit(unshare(flag) == 0 ? 0 : 1);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void find_namespaces(struct host *h)
{
    struct sandbox_protection *p = &h->protection;
    const struct {
        int flag;
        bool *found;
        const char *name;
    } kinds[] = {
        {CLONE_NEWUSER, &p->user_ns, "user namespaces"},
        {CLONE_NEWPID, &p->pid_ns, "pid namespaces"},
        {CLONE_NEWNET, &p->net_ns, "network namespaces"},
        {CLONE_NEWIPC, &p->ipc_ns, "ipc namespaces"},
        {CLONE_NEWUTS, &p->uts_ns, "uts namespaces"},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        *kinds[i].found = namespace_works(kinds[i].flag);
        if (!*kinds[i].found)
            lacks(p, kinds[i].name);
        else if (kinds[i].flag != CLONE_NEWUSER && kinds[i].flag != CLONE_NEWNET)
            h->clone_flags |= kinds[i].flag;
    }
}

/* Tries an overlay on a tmpfs, in a mount namespace that goes at once. Exits 0 if it works. */
__attribute__((noreturn)) static void try_overlay(const struct host *h)
{
    char options[128];
    snprintf(options, sizeof options, "lowerdir=l,upperdir=u,workdir=w%s",
             h->privileged ? "" : ",userxattr");
    _exit(unshare(CLONE_NEWNS) == 0 && mount("tmpfs", "/tmp", "tmpfs", 0, "size=1m") == 0 &&
                  chdir("/tmp") == 0 && mkdir("l", 0755) == 0 && mkdir("u", 0755) == 0 &&
                  mkdir("w", 0755) == 0 && mkdir("m", 0755) == 0 &&
                  mount("overlay", "m", "overlay", 0, options) == 0
              ? 0
              : 1);
}

/* Root needs layers with mapped ids besides, which came with Linux 5.19. */
static bool overlay_works(const struct host *h)
{
    struct utsname u;
    int major = 0, minor = 0, status = 1;
    if (uname(&u) < 0 || sscanf(u.release, "%d.%d", &major, &minor) != 2)
        return false;
    if (h->privileged && (h->idmap_ns_fd < 0 || major < 5 || (major == 5 && minor < 19)))
        return false;
    pid_t pid = fork();
    if (pid == 0)
        try_overlay(h);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void host_discover(struct host *h)
{
    struct sandbox_protection *p = &h->protection;
    struct err e = {0};
    h->gateway_fd = h->root_ns_fd = h->host_ns_fd = h->idmap_ns_fd = h->self_fd = -1;
    h->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    h->privileged = geteuid() == 0 && sandbox_host_uid() != 0;
    h->uid = h->privileged ? sandbox_host_uid() : geteuid();
    h->gid = h->privileged ? (gid_t)h->uid : getegid();
    if (root_build(h, &e) < 0) {
        char text[200];
        snprintf(text, sizeof text, "a root of its own (%.160s)", e.msg);
        lacks(p, text);
    }
    p->mount_ns = h->root_built;
    p->overlayfs = h->root_built && overlay_works(h);
    find_namespaces(h);
    h->self_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    p->pidfd = h->self_fd >= 0;
    if (h->self_fd >= 0)
        fcntl(h->self_fd, F_SETFD, FD_CLOEXEC);
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    p->landlock_abi = abi > 0 ? (int)abi : 0;
    if (!p->landlock_abi)
        lacks(p, "Landlock");
    groups_discover(h);
    gateway_start(h);
    p->seccomp = filter_first(h->filters, &e) == 0;
    if (!p->seccomp)
        lacks(p, "seccomp");
    p->complete = p->missing[0] == 0;
}
