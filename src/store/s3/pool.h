/* Threads for transfers: a job runs in one of them, in the order of submission. They are started when
 * there is work. */
#ifndef FF_STORE_S3_POOL_H
#define FF_STORE_S3_POOL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct s3_pool;

int pool_new(size_t threads_max, struct s3_pool **ret, struct err *err);
/* Waits for all jobs. */
void pool_free(struct s3_pool *p);
/* job's memory is the caller's and lives until run has returned. Never fails: without a thread the
 * caller runs it. */
struct pool_job {
    void (*run)(void *arg);
    void *arg;
    struct pool_job *next;
};
void pool_submit(struct s3_pool *p, struct pool_job *job);

#endif
