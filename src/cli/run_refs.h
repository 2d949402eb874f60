/* What runs refer to in the store: scripts, targets, findings, artifacts. */
#ifndef FF_CLI_RUN_REFS_H
#define FF_CLI_RUN_REFS_H

#include "cli/app.h"

struct run_refs_result {
    uint64_t runs, refs, missing;
};

/* Looks for each object that a history or a pin names. missing is called once for each that is not in
 * the store. Needs the store; and the embedded engine, without which (NULL, or a cluster) pins alone are looked at. */
int run_refs_check(struct app *app, void (*missing)(void *arg, const char *ref, const char *why), void *arg,
                   struct run_refs_result *ret, struct err *err);

#endif
