/* What the findings commands look at: runs, files, and the filters over them. */
#ifndef FF_CLI_FINDINGS_SELECT_H
#define FF_CLI_FINDINGS_SELECT_H

#include "cli/rundoc.h"

/* The runs of the state, newest first; at most max. Each goes to one; a positive answer ends the walk with 0, a negative one
 * is the result. */
int findings_each_run(struct app *app, size_t max, int (*one)(void *arg, const char *run_id, struct err *err),
                      void *arg, struct err *err);

/* A run and its findings. */
struct run_list {
    struct run_info run;
    struct findings list;
};
void run_list_release(struct run_list *l);
/* id: of a run, also shortened; NULL or "latest": the newest run that has ended. */
int run_list_open(struct app *app, const char *id, struct run_list *ret, struct err *err);
/* For walks over many runs: the one whose findings cannot be read is named in a warning and left out. id is exact. */
int run_list_open_quietly(struct app *app, const char *run_id, struct run_list *ret);
/* id: of a run, or a file (SARIF, NDJSON, JSON document), which has no run. */
int run_list_open_any(struct app *app, const char *id, struct run_list *ret, struct err *err);
/* The finding whose id or fingerprint begins with id, in that run (NULL: in all, newest first). *ret_index is its place in
 * ret->list. */
int run_list_find(struct app *app, const char *run_id, const char *id, struct run_list *ret, size_t *ret_index,
                  struct err *err);

/* --severity --rule --path --status of the command line. */
#define FINDINGS_FILTER_OPTS                                                                                      \
    {"severity", 0, "LEVEL", "this or worse; a list as high,low names exactly those"},                              \
        {"rule", 0, "GLOB", "of this rule or category: 'injection/*', 'injection'"},                                \
        {"path", 0, "GLOB", "in this file or folder; * stands for any characters"},                                 \
        {"status", 0, "LIST", "of these: new unchanged absent suppressed active (default: all but absent)"},        \
        {"module", 0, "NAME", "found by this module"}

/* Removes from the list what the filters do not let through. */
int findings_filter(const struct args *a, struct findings *list, struct err *err);

#endif
