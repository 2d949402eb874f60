/* The suppression file (docs/findings.md). It loosens the gate, so one that came with a project that is not trusted counts
 * for nothing. */
#ifndef FF_API_SERVICE_SUPPRESSIONS_H
#define FF_API_SERVICE_SUPPRESSIONS_H

#include "api/service/service.h"
#include "codec/findings.h"

/* The document; an empty one if there is no file. New reference. */
int suppressions_read(const char *path, json_t **ret, struct err *err);
int suppressions_write(const char *path, const json_t *doc, struct err *err);
/* {version, suppressions, file}: what is suppressed, and where that is written. -ERR_PERMISSION: it counts for nothing. */
int suppressions_list(const struct service *svc, json_t **ret, struct err *err);
/* entries: [{fingerprint, rule, path, reason}]; each gets the time. */
int suppressions_add(const struct service *svc, json_t *entries, struct err *err);
/* Those that begin with that fingerprint, or have that rule. -ERR_NOT_FOUND: none. */
int suppressions_remove(const struct service *svc, const char *what, size_t *ret_removed, struct err *err);
/* Applies the file, if there is one that counts. */
int suppressions_apply(const struct service *svc, struct findings *list, struct err *err);

#endif
