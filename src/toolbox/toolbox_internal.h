/* The private half of the toolbox. */
#ifndef FF_TOOLBOX_TOOLBOX_INTERNAL_H
#define FF_TOOLBOX_TOOLBOX_INTERNAL_H

#include "toolbox/toolbox.h"

/* Notes why a definition cannot be used; the first reason stays. -ERR_NO_MEMORY if even that fails.
 * */
int def_broken(struct workflow_def *d, const char *file, int line, const char *reason, struct err *err);
/* Fills in what metadata.yaml says; what is wrong with it makes the definition broken. Negative:
 * out of memory. */
int metadata_read(struct workflow_def *d, const char *path, const char *text, size_t len, struct err *err);

#endif
