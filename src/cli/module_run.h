/* ff module run: one module alone, in its sandbox, outside any workflow. */
#ifndef FF_CLI_MODULE_RUN_H
#define FF_CLI_MODULE_RUN_H

#include "cli/app.h"

extern const struct command cmd_module_run;

/* What 'ff module run' does with these arguments (MODULE TARGET key=value...; its options, and "names": what the
 * names of artifacts begin with that are copied), but *ret gets the document that --json would print, instead of its being
 * printed: a new reference, NULL if the module was never run; the error was told then. Gives the exit status. */
int module_run_document(struct app *app, const struct args *a, json_t **ret);

#endif
