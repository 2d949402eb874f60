/* What the halves of the sandbox share: the parent's side (client.c), the spawner's loop
 * (spawner.c) and the set-up of one activity (child.c).
 *
 * Three generations of processes: ff forks the spawner, the spawner clones an init (pid 1 of its
 * own namespaces), the init forks the activity. A plan travels ff -> spawner -> init as one message
 * of the form in wire.c. */
#ifndef FF_SANDBOX_SANDBOX_INTERNAL_H
#define FF_SANDBOX_SANDBOX_INTERNAL_H

#include "base/err.h"
#include "base/strbuf.h"
#include "sandbox/sandbox.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PLAN_ARGV_MAX 512
#define PLAN_ENV_MAX 256
#define PLAN_MOUNTS_MAX 64
#define PLAN_STRING_MAX 32768
#define WIRE_MESSAGE_MAX                                                                           \
    ((size_t)96 << 10)           /* below the kernel's default socket buffer of 208 KiB */
#define SPAWNER_CHILDREN_MAX 512 /* running and prepared */

#define NETWORKS_MAX 64          /* places that keep a network namespace */

#define GROUP_CONTROLLERS 2
#define GROUP_PATH_MAX 512

/* The ids that an activity sees as its own. */
#define INSIDE_UID 1000
#define INSIDE_GID 1000

#define INIT_ENDED_FD 3 /* where an init keeps host.ended_fd */
#define INIT_LINK_FD 4  /* and what holds its network, if it has one */

/* Where SANDBOX_NET_FULL has a name server; port 53 only. */
#define SANDBOX_DNS_ADDRESS "169.254.1.53"

enum limit_kind {
    LIMIT_NONE,
    LIMIT_MEMORY,
    LIMIT_CPU,
    LIMIT_PIDS,
    LIMIT_DISK,
    LIMIT_OUTPUT,
    LIMIT_TIME,
    LIMIT_COUNT_
};
const char *sandbox_limit_name(enum limit_kind k); /* NULL for LIMIT_NONE */
/* NULL: LIMIT_NONE. An unknown name is a bug. */
enum limit_kind limit_from_name(const char *name);

/* wire.c: messages between ff and the spawner. Both are the same program, so numbers are in memory
 * order. */
enum wire_type { WIRE_START = 1, WIRE_KILL, WIRE_QUIT, WIRE_READY, WIRE_DONE };

struct wire_head {
    uint32_t type;
    uint32_t limit; /* of a kill: enum limit_kind */
    uint64_t id;
};

struct wire_ready {
    struct wire_head head;
    struct sandbox_protection protection;
    struct err err; /* the spawner cannot work at all */
};

struct wire_done {
    struct wire_head head;
    int32_t end, status;
    uint32_t limit; /* enum limit_kind */
    int64_t wall_ns, cpu_ns;
    uint64_t memory_peak_bytes;
    struct err err;
};

/* A decoded plan. Its strings point into the message, which must outlive it. */
struct wire_plan {
    struct sandbox_plan plan;
    const char *argv[PLAN_ARGV_MAX + 1];
    const char *env[PLAN_ENV_MAX + 1];
    struct sandbox_mount mounts[PLAN_MOUNTS_MAX];
    size_t argv_count, env_count;
};

/* Appends the fields of a plan. -ERR_LIMIT when it is too large, -ERR_INVALID when it makes no
 * sense. */
int wire_encode_plan(const struct sandbox_plan *plan, struct strbuf *out, struct err *err);
/* Checks everything; defaults of the limits are filled in. */
int wire_decode_plan(const char *data, size_t len, struct wire_plan *ret, struct err *err);

/* What an init tells the spawner: one a child, in memory that both map. */
enum slot_state {
    SLOT_PREPARING,
    SLOT_SETUP,   /* has its plan */
    SLOT_RUNNING, /* the activity was forked */
    SLOT_FAILED,  /* complete: err says why there was no activity */
    SLOT_ENDED    /* complete: all processes but the init have ended */
};

struct slot {
    volatile int state;      /* enum slot_state */
    int wait_status;         /* of the activity, when ended */
    int limit;               /* enum limit_kind that the init found broken */
    volatile bool pids_full; /* the number of processes was at its limit at least once */
    int64_t cpu_ns;
    uint64_t memory_peak_bytes;
    struct err err; /* why the set-up failed */
};

/* A page each, so that nothing of a neighbour's is near. */
union slot_page {
    struct slot slot;
    char page[4096];
};

/* What the spawner found and built at its start; only read afterwards. */
struct host {
    struct spawner_options options;
    struct sandbox_protection protection;
    bool privileged; /* root of the host: ids are switched and mounts idmapped */
    bool root_built; /* root_ns holds the template of every activity's root */
    uid_t uid;       /* that activities have on the host, in the spawner's user namespace */
    gid_t gid;
    int proc_fd;     /* the host's /proc */
    int self_fd;     /* pidfd of the spawner, or -1 */
    int root_ns_fd;  /* mount namespace with the template */
    int idmap_ns_fd; /* user namespace that maps the owner of our files to uid; -1: none */
    uid_t idmap_uid; /* that owner */
    gid_t idmap_gid;
    int clone_flags;          /* CLONE_NEW* that work here, without CLONE_NEWNS and CLONE_NEWUSER */
    struct sock_fprog filters[2]; /* what an activity loads, [1] if it inspects; len 0: no seccomp */
    union slot_page *slots;   /* SPAWNER_CHILDREN_MAX of them, shared with the inits */
    int ended_fd;       /* eventfd: an init writes to it when it has filled in its slot's end */
    int networks[NETWORKS_MAX]; /* 0: none yet */
    int offers[2];              /* by which an init offers its own for that */
    int gateway_fd;     /* asks for networks; -1: none can be had */
    int host_ns_fd;     /* mount namespace that shows the host; the spawner's own */
    int groups_version; /* of control groups: 0 none */
    char groups[GROUP_CONTROLLERS]
               [GROUP_PATH_MAX]; /* folder of memory and of pids; empty: not to be had */
    int group_locks[GROUP_CONTROLLERS]; /* descriptors of those folders, locked */
};

/* root.c */
int root_build(struct host *h, struct err *err);

/* mounts.c, in an init: a copy of the template with what needs no plan; the process stays where it
 * shows the host. */
int root_prepare(const struct host *h, int *ret_ns, struct err *err);
/* Gives the writable folders of a plan to the activity's user by chown: what mapped ids do
 * otherwise. */
int root_hand_over(const struct host *h, const struct sandbox_plan *plan, struct err *err);
/* Makes the mounts of a plan and enters that copy with them. */
int root_enter(const struct host *h, int own_ns, const struct sandbox_plan *plan, struct err *err);

/* ids.c */
int ids_map_self(int proc_fd, uid_t inside_uid, uid_t outside_uid, gid_t inside_gid,
                 gid_t outside_gid, struct err *err);
/* A descriptor of a user namespace that maps the two ids; for idmapped mounts. */
int ids_idmap_ns(int proc_fd, uid_t from_uid, uid_t to_uid, gid_t from_gid, gid_t to_gid,
                 int *ret_fd, struct err *err);

/* network.c. In an init: enters the namespace that its place keeps, or else a new one, which is offered to the spawner; or a new
 * one for certain. */
int network_enter(const struct host *h, size_t index, struct err *err);
int network_renew(const struct host *h, struct err *err);
/* In the spawner: takes what was offered for places that have none yet. */
void network_keep(struct host *h);

/* freeze.c: makes the memory of this process, which has one thread, cheap to fork. */
void memory_freeze(void);

/* seccomp.c: restricts the spawner itself to what it and activities may do, and gives the program
 * that activities load besides. */
int filter_first(struct sock_fprog ret_last[2], struct err *err);
int filter_last(const struct sock_fprog *last, struct err *err);

/* groups.c */
struct group_usage {
    uint64_t memory_peak, oom_kills,
        pids_refused; /* the last two count up over all runs of a leaf */
};
void groups_discover(struct host *h);
int groups_make_leaf(const struct host *h, size_t index, struct err *err);
int groups_open_leaf(const struct host *h, size_t index); /* v2: for clone3; -1 on failure */
int groups_join(const struct host *h, size_t index, struct err *err);
int groups_limit(const struct host *h, size_t index, const struct sandbox_limits *l,
                 struct err *err);
void groups_read(const struct host *h, size_t index, struct group_usage *ret);
void groups_remove(struct host *h);

/* host.c */
void host_discover(struct host *h);

/* child.c: runs in the cloned process, never returns. ctl gives the plan and its three descriptors.
 */
__attribute__((noreturn)) void child_main(const struct host *h, struct slot *slot, size_t index,
                                          int ctl);

/* spawner.c: the spawner's whole life. */
__attribute__((noreturn)) void spawner_main(const struct spawner_options *o, int sock);

#endif
