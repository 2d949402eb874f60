/* Between child.c (set-up), init.c (pid 1 and the activity) and landlock.c. */
#ifndef FF_SANDBOX_CHILD_INTERNAL_H
#define FF_SANDBOX_CHILD_INTERNAL_H

#include "sandbox/sandbox_internal.h"

#include <grp.h>

struct job {
    const struct host *host;
    struct slot *slot;
    const struct sandbox_plan *plan; /* &decoded.plan */
    struct wire_plan decoded;
    int ctl;
    int link;     /* of its network; -1: none */
    int own_ns;   /* mount namespace of this child */
    size_t index; /* of the slot */
    int stdio[3];
    struct err err;
    char message[WIRE_MESSAGE_MAX];
};

static inline int setgroups_none(void)
{
    return setgroups(0, NULL);
}

/* plain.c: paths of the plan become the host's. */
int plain_adapt(struct job *j, struct err *err);

/* landlock.c */
int landlock_restrict(const struct host *h, const struct sandbox_plan *p, struct err *err);

/* init.c: forks the activity, watches it, reports, exits. */
__attribute__((noreturn)) void init_run(struct job *j);

#endif
