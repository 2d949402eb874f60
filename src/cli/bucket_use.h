/* What a namespace has stored in a bucket, for its quota: targets as the engine lists them, and results as the histories of these
 * runs tell, whoever did the work. To look at each pin of a bucket would be to ask for it; of a history only what is new is read,
 * and what it told is noted. */
#ifndef FF_CLI_BUCKET_USE_H
#define FF_CLI_BUCKET_USE_H

#include "api/access/access.h"
#include "api/service/service.h"

/* *ret_more: runs are going on, or histories are left to be read: there may soon be more. */
int bucket_use(struct access *a, const struct service *svc, uint64_t *ret_bytes, bool *ret_more, struct err *err);

#endif
