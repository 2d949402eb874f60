/* What the findings commands take from the command line: a run or a file, and filters. */
#ifndef FF_CLI_FINDINGS_ARGS_H
#define FF_CLI_FINDINGS_ARGS_H

#include "api/service/run_list.h"
#include "cli/app.h"

#define FINDINGS_FILTER_OPTS                                                                                      \
    {"severity", 0, "LEVEL", "this or worse; a list as high,low names exactly those"},                              \
        {"rule", 0, "GLOB", "of this rule or category: 'injection/*', 'injection'"},                                \
        {"path", 0, "GLOB", "in this file or folder; * stands for any characters"},                                 \
        {"status", 0, "LIST", "of these: new unchanged absent suppressed active (default: all but absent)"},        \
        {"module", 0, "NAME", "found by this module"}

/* Removes from the list what the filters do not let through. */
int findings_filter_args(const struct args *a, struct findings *list, struct err *err);
/* id: of a run, or a file (SARIF, NDJSON, JSON document), which has no run. Opens the state if it is needed. */
int run_list_open_any(struct app *app, const char *id, struct run_list *ret, struct err *err);

#endif
