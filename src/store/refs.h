/* REFs in JSON: {"ref": "sha256:...", ...} names an object wherever it stands in what a run is given or has answered. */
#ifndef FF_STORE_REFS_H
#define FF_STORE_REFS_H

#include "base/err.h"

#include <jansson.h>

/* Calls back for each, which the call may add members to. A negative answer ends it and is its result. -ERR_LIMIT: nested deeper
 * than 64. NULL is fine. */
int refs_each(json_t *v, int (*each)(void *arg, json_t *object, const char *ref, struct err *err), void *arg, struct err *err);

#endif
