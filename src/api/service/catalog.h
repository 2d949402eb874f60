/* Workflows and modules as documents. All give new references, NULL when memory is out. */
#ifndef FF_API_SERVICE_CATALOG_H
#define FF_API_SERVICE_CATALOG_H

#include "api/service/service.h"

/* All, broken ones too, as toolbox_list() and toolbox_find() give them. */
int workflows_list(const struct service *svc, struct workflow_def ***ret, size_t *ret_count, struct err *err);
int workflow_find(const struct service *svc, const char *name, struct workflow_def **ret, struct err *err);

/* For callers who do not own this machine: the names of folders and files in the documents below as they are in the toolbox,
 * "workflows/NAME". */
void catalog_shorten(json_t *j);
/* The same of a message that begins with one. */
const char *catalog_short(const char *text);

/* {name, version, description, author, vertical, tags, folder, untrusted}; of a broken one {name, folder, broken, file,
 * line}. */
json_t *workflow_head_json(const struct workflow_def *d);
/* The same and all else that its metadata says. */
json_t *workflow_info_json(const struct workflow_def *d);
/* {workflow, parameters, default_parameters, required_parameters} */
json_t *workflow_parameters_json(const struct workflow_def *d);

/* JSON Schema of metadata.yaml. */
json_t *workflow_metadata_schema(void);

const char *module_kind_name(enum module_kind k);
/* With schemas and what is started. */
json_t *module_json(const struct module_def *d);
/* All, broken and shadowed ones too: array of the same. */
int modules_list(const struct service *svc, json_t **ret, struct err *err);
/* As module_registry_find() has it. */
int module_find(const struct service *svc, const char *name, json_t **ret, struct err *err);

#endif
