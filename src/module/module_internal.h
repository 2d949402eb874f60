/* What the files of module/ share. */
#ifndef FF_MODULE_INTERNAL_H
#define FF_MODULE_INTERNAL_H

#include "module/registry.h"

#define MODULE_YAML_MAX ((size_t)256 << 10)
#define MODULE_INSIDE "/module" /* where a module's folder is in the sandbox */
#define MODULE_SO_ENTRY "so:"   /* then the path below that folder: the entry of a shared object */

/* Reads dir/module.yaml, which describes the module that the folder is named after. ret->dir and ret->name are set by the
 * caller; the rest is filled in. -ERR_INVALID with "file:line: reason". */
int module_yaml_read(struct module_def *ret, struct err *err);
/* The same for a text that was read from path. */
int module_yaml_parse(struct module_def *ret, const char *path, const char *text, size_t len, struct err *err);

const struct module *module_of(const struct module_ctx *ctx);
int module_attempt(const struct module_ctx *ctx);
/* A finding as the module's JSON has it. */
void module_finding_text(struct module_ctx *ctx, const json_t *finding, struct err *err);

/* Serves the shared object at path. Returns the exit status. */
int so_module_serve(const char *path, int in_fd, int out_fd);

#endif
