/* What the modules of a run have left behind. */
#ifndef FF_API_SERVICE_ARTIFACTS_H
#define FF_API_SERVICE_ARTIFACTS_H

#include "api/service/service.h"

/* [{name, module, ref, bytes, media_type}], in the order in which activities ended, those that failed too. id is exact. */
int run_artifacts(const struct service *svc, const char *id, json_t **ret, struct err *err);

/* What the activities of an execution have left (findings, artifacts), and how large they say that is, as its history has it
 * after event *io_event, which becomes its last one; an object may come again. Whoever did the work. An error of each ends it. */
int run_left(const struct service *svc, const char *run_id, const char *execution_id, int64_t *io_event,
             int (*each)(void *arg, const char *ref, uint64_t bytes, struct err *err), void *arg, struct err *err);

#endif
