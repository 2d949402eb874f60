/* The sandbox: a fresh process in namespaces of its own for each activity, at about a millisecond.
 *
 * A plan is plain data. The spawner is a small single-threaded process, forked before any thread
 * exists; it forks each activity into user, mount, pid, net, ipc and uts namespaces with its own
 * root, Landlock, seccomp, no capabilities, no inherited descriptors, a clean environment and
 * limits. When ff dies, by kill -9 too, everything inside is killed. */
#ifndef FF_SANDBOX_SANDBOX_H
#define FF_SANDBOX_SANDBOX_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* LOOPBACK and FULL are networks of the sandbox's own: neither reaches the host's loopback. FULL
 * reaches what the host reaches, through pasta(1), but not the addresses that the host itself has. */
enum sandbox_network { SANDBOX_NET_NONE, SANDBOX_NET_LOOPBACK, SANDBOX_NET_FULL };

const char *sandbox_network_name(enum sandbox_network n); /* "none" "loopback" "full" */
bool sandbox_network_parse(const char *name, enum sandbox_network *ret);

/* What the kernel here offers; found once, by trying. For ff doctor and each run's log. */
struct sandbox_protection {
    bool user_ns, mount_ns, pid_ns, net_ns, ipc_ns, uts_ns;
    int landlock_abi; /* 0: none */
    bool seccomp, overlayfs, pidfd;
    int cgroup_version; /* 0: none writable, 1, 2 */
    bool cgroup_memory, cgroup_pids;
    bool pasta;        /* a sandbox can have SANDBOX_NET_FULL; not needed to be complete */
    bool complete;     /* all that a full sandbox needs */
    char missing[256]; /* what is lacking, for people; empty if complete */
};

enum mount_kind { MOUNT_BIND, MOUNT_OVERLAY, MOUNT_TMPFS };

struct sandbox_mount {
    enum mount_kind kind;
    const char *source;       /* host path; of an overlay its lower folder */
    const char *upper, *work; /* overlay */
    const char *target;       /* inside, absolute */
    bool writable;
    uint64_t size_bytes; /* tmpfs */
};

#define SANDBOX_MEMORY_USUAL (UINT64_C(1) << 30)
#define SANDBOX_DISK_USUAL (UINT64_C(1) << 30)
#define SANDBOX_PIDS_USUAL 256u

struct sandbox_limits {    /* 0: the default in brackets */
    uint64_t memory_bytes; /* [1 GB] of all processes together */
    uint64_t cpu_ms;       /* [none] of all processes together */
    uint32_t pids;         /* [256] */
    uint32_t files;        /* [1,024] open descriptors a process */
    uint64_t disk_bytes;   /* [1 GB] written to scratch (and to a writable workspace) */
    uint64_t output_bytes; /* [256 MB] on stdout; the reader of the pipe keeps it: sandbox_kill() */
    int64_t wall_ms;       /* [none] */
};

/* All paths are absolute, without "..". A target may not lie in /usr, /bin, /lib, /etc, /proc or
 * /dev. At most 64 mounts, 512 arguments, 256 variables; 32 KB a string, 96 KB in all: what is
 * larger goes through stdin. Where spawner_protection() says that there is no mount_ns, mounts are
 * not made: the working folder and TMPDIR are then the host's own folders (docs/sandbox.md). */
struct sandbox_plan {
    const char *name;    /* of the module: for messages */
    bool own_code;       /* the built-in entry is ours from beginning to end: its network namespace, if it gets no network, may be
                            one that another such activity was in before it */
    bool inspects;       /* its processes may stop one another and read their registers, as LeakSanitizer does; not write */
    const char *builtin; /* run this entry of the spawner's table in the forked child, without exec;
                            or NULL */
    const char *const *argv; /* else exec this; argv[0] is a path inside */
    const char *const *env;  /* "K=V", NULL-terminated; added to the minimal clean set */
    const char *cwd;         /* inside; NULL: "/workspace" if mounted, else "/" */
    /* Beside the root that every plan has: /usr /lib /bin read-only, synthetic /etc, /proc of its
     * own, minimal /dev, /tmp and /scratch as tmpfs of disk_bytes. */
    const struct sandbox_mount *mounts;
    size_t mounts_count;
    enum sandbox_network network;
    uint32_t loopback_port; /* of SANDBOX_NET_FULL: this TCP port of 127.0.0.1 is the host's, the one
                               exception; 0: none */
    struct sandbox_limits limits;
    const char *scratch; /* host folder to be /scratch (so that artifacts can be read afterwards);
                            NULL: tmpfs */
};

enum sandbox_end {
    SANDBOX_EXITED,      /* status = exit code */
    SANDBOX_SIGNALLED,   /* status = signal; not by us */
    SANDBOX_KILLED,      /* by sandbox_proc_kill() */
    SANDBOX_LIMIT,       /* over the limit named in `limit` */
    SANDBOX_SETUP_FAILED /* the sandbox could not be made: message in err */
};

struct sandbox_result {
    enum sandbox_end end;
    int status;
    const char *limit; /* "memory" "cpu" "pids" "disk" "output" "time"; static */
    int64_t wall_ns, cpu_ns;
    uint64_t memory_peak_bytes; /* 0: not known */
    struct err err;
};

/* The host's user that activities run as: ours, or, for root, an id that nobody else has. Files
 * that an activity is to write should be ours or this user's: mounts show ours (and those of the
 * folder's owner) as the activity's own where the file system can do that (idmapped mounts,
 * Linux 5.12); where not, a writable folder of a plan is given to this user by chown. */
uid_t sandbox_host_uid(void);
/* Lets activities pass through a folder of ours that is closed to all others (they need its path where no root of their own
 * can be made). For root; an ordinary user's activities are that user. */
int sandbox_let_in(const char *dir, struct err *err);

struct spawner;

/* Runs in the forked child, inside the sandbox, with stdin, stdout and stderr as given; its return
 * value is the exit status. */
typedef int sandbox_builtin(const char *name, void *arg);

struct spawner_options {
    sandbox_builtin *builtin;
    void *builtin_arg;
    /* Called once in the spawner when it is ready, before it forks anything: does what each built-in
     * entry would otherwise do anew. May be NULL. */
    void (*preload)(void *builtin_arg);
    bool require_sandbox; /* refuse to start where protection is incomplete */
    /* Called once in ff if the spawner is found gone though nobody ended it, before anybody else is told: on any thread, which
     * may not call the spawner. May be NULL. */
    void (*lost)(void *builtin_arg, const struct err *why);
};

/* Forks the spawner. Must be called while the process has one thread, which lives as long as the
 * process: the spawner dies with it. Best before secrets are read, which it and built-ins would
 * have copies of. Cheap: what the kernel offers is found by the spawner in the background. */
int spawner_start(const struct spawner_options *o, struct spawner **ret, struct err *err);
/* Kills everything inside and waits for it. */
void spawner_free(struct spawner *s);
/* Waits until it is known. */
const struct sandbox_protection *spawner_protection(struct spawner *s);
/* The path by which an activity sees what a plan mounts from source at target (or its scratch folder): target, or source
 * where no mounts are made. One of the two pointers. */
const char *sandbox_path(struct spawner *s, const char *target, const char *source);

/* Called once, on the thread that calls spawner_dispatch(). */
typedef void sandbox_done(void *arg, const struct sandbox_result *result);

struct sandbox_proc;

/* Starts one. The three descriptors are duplicated to the child; the caller still owns (and closes)
 * its own. Any thread may call; the answer comes by done, after which *ret is gone. */
int sandbox_start(struct spawner *s, const struct sandbox_plan *plan, int stdin_fd, int stdout_fd,
                  int stderr_fd, sandbox_done *done, void *arg, struct sandbox_proc **ret,
                  struct err *err);
/* Kills everything in it. limit (may be NULL) makes the result SANDBOX_LIMIT with that name, one of
 * those of sandbox_result. Any thread may call, as long as it knows that done was not called yet.
 * When it ended by itself meanwhile, the result says so. */
void sandbox_kill(struct sandbox_proc *p, const char *limit);
/* Readable when spawner_dispatch() has something to do: for an event loop. */
int spawner_fd(const struct spawner *s);
/* Calls what is due; never blocks. Any thread, several at a time. -ERR_UNAVAILABLE when the spawner is gone
 * (all its processes are dead then, and each done was called). */
int spawner_dispatch(struct spawner *s, struct err *err);

/* Runs one to its end and waits for it: for callers without a loop. Any thread may call, several at
 * a time, and while another one dispatches. It never calls done of what sandbox_start() began: that
 * is left to spawner_dispatch(). */
int sandbox_run(struct spawner *s, const struct sandbox_plan *plan, int stdin_fd, int stdout_fd,
                int stderr_fd, struct sandbox_result *ret, struct err *err);

/* For a module that starts programs which it trusts less than itself: called in the child, before exec. From then on it may
 * write below these folders only (NULL-terminated, absolute), and send signals only to processes of its own. Where the kernel
 * has no Landlock nothing changes. growing (may be NULL): folders in which it may make and write files, and remove and rename
 * none. */
int sandbox_confine(const char *const *writable, const char *const *growing, struct err *err);
/* The same for another process to put around itself, by landlock_restrict_self(2): *ret_fd is the descriptor for it, closed on
 * exec; -1: the kernel has no Landlock. */
int sandbox_wall(const char *const *writable, const char *const *growing, int *ret_fd, struct err *err);

#endif
