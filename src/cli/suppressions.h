/* The suppression file: suppressions.json of the trusted project, else of the state folder (docs/findings.md).
 *
 * It loosens the gate, so one that came with a project that is not trusted counts for nothing. */
#ifndef FF_CLI_SUPPRESSIONS_H
#define FF_CLI_SUPPRESSIONS_H

#include "cli/app.h"
#include "codec/findings.h"

/* The file's path; the caller frees. *ret_trusted: may its content count, and may it be written? */
int suppressions_path(struct app *app, char **ret, bool *ret_trusted, struct err *err);
/* The document; an empty one if there is no file. New reference. */
int suppressions_read(const char *path, json_t **ret, struct err *err);
int suppressions_write(const char *path, const json_t *doc, struct err *err);
/* Applies the file, if there is one that counts. */
int suppressions_apply(struct app *app, struct findings *list, struct err *err);

#endif
