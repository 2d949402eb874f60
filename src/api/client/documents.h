/* A server's documents as structures. Each is checked: what does not fit is -ERR_CORRUPT. */
#ifndef FF_API_CLIENT_DOCUMENTS_H
#define FF_API_CLIENT_DOCUMENTS_H

#include "api/service/run.h"
#include "api/service/runs.h"
#include "toolbox/toolbox.h"

/* A text that may be printed as it is; NULL: it is none, or too long. */
const char *document_word(const json_t *j, const char *key);
/* GET /runs/{run_id} */
int document_run(const json_t *j, struct run_info *ret, struct err *err);
/* One of GET /runs; borrows from j. */
int document_item(const json_t *j, struct run_item *ret, struct err *err);
/* One of GET /workflows/, or GET /workflows/{workflow}/metadata. */
int document_workflow(const json_t *j, struct workflow_def **ret, struct err *err);

#endif
