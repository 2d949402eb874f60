/* What a namespace may use at most: runs at a time, bytes it brought into the store, CPU seconds a day (UTC). */
#ifndef FF_API_ACCESS_QUOTA_H
#define FF_API_ACCESS_QUOTA_H

#include "base/err.h"

#include <pthread.h>
#include <stdint.h>

struct quota { /* 0: no limit */
    int64_t runs;
    uint64_t storage_bytes;
    int64_t cpu_ms;
};

struct quota_usage {
    int64_t runs;
    uint64_t storage_bytes;
    int64_t cpu_ms;
};

/* "runs=4 storage=10GB cpu=2h": what is not named stays as it is. */
int quota_parse(const char *text, struct quota *io, struct err *err);
/* Of one namespace: defaults for each, then those of "team-a runs=4 cpu=2h; team-b storage=1GB". Either may be "". All of the
 * text is checked, whichever namespace is asked for. */
int quota_of(const char *defaults, const char *namespaces, const char *name, struct quota *ret, struct err *err);
/* May it start one more run, and bring so many bytes? -ERR_QUOTA, naming limit and use. */
int quota_check(const struct quota *q, const struct quota_usage *u, int64_t more_runs, uint64_t more_bytes, const char *name,
                struct err *err);

/* The settings, which may change while they are asked for. */
struct quotas {
    pthread_mutex_t lock;
    char *defaults, *namespaces;
};
#define QUOTAS_INIT {.lock = PTHREAD_MUTEX_INITIALIZER}
void quotas_release(struct quotas *q);
/* After an error those of before hold. */
int quotas_set(struct quotas *q, const char *defaults, const char *namespaces, struct err *err);
int quotas_get(struct quotas *q, const char *name, struct quota *ret, struct err *err);

#endif
