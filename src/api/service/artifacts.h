/* What the modules of a run have left behind. */
#ifndef FF_API_SERVICE_ARTIFACTS_H
#define FF_API_SERVICE_ARTIFACTS_H

#include "api/service/service.h"

/* [{name, module, ref, bytes, media_type}], in the order in which activities ended. id is exact. */
int run_artifacts(const struct service *svc, const char *id, json_t **ret, struct err *err);

#endif
