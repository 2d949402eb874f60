/* The findings of runs and files, and the filters over them. */
#ifndef FF_API_SERVICE_RUN_LIST_H
#define FF_API_SERVICE_RUN_LIST_H

#include "api/service/run.h"

/* The runs of the state, newest first; at most max. Each goes to one; a positive answer ends the walk with 0, a negative one
 * is the result. */
int findings_each_run(const struct service *svc, size_t max, int (*one)(void *arg, const char *run_id, struct err *err),
                      void *arg, struct err *err);

/* A run and its findings. */
struct run_list {
    struct run_info run;
    struct findings list;
    bool lost; /* by run_list_open(), after an error: the run is there, its findings cannot be read */
};
void run_list_release(struct run_list *l);
/* id: of a run, also shortened; NULL or "latest": the newest run that has ended. */
int run_list_open(const struct service *svc, const char *id, struct run_list *ret, struct err *err);
/* For walks over many runs: the one whose findings cannot be read is named in a warning and left out. id is exact. */
int run_list_open_quietly(const struct service *svc, const char *run_id, struct run_list *ret);
/* A file of findings (SARIF, NDJSON, JSON document), which has no run. */
int run_list_open_file(const char *path, struct run_list *ret, struct err *err);
/* The finding whose id or fingerprint begins with id, in that run (NULL: in all, newest first). *ret_index is its place in
 * ret->list. */
int run_list_find(const struct service *svc, const char *run_id, const char *id, struct run_list *ret, size_t *ret_index,
                  struct err *err);

/* Which findings are let through. Words are borrowed; NULL: any. */
struct findings_filter {
    bool severities[SEVERITY_CRITICAL + 1];
    const char *rule, *path, *module; /* rule, path: a glob, or the beginning up to a slash */
    bool fresh, unchanged, absent, suppressed;
};
/* All but absent ones. */
#define FINDINGS_FILTER_INIT \
    {.severities = {true, true, true, true, true}, .fresh = true, .unchanged = true, .suppressed = true}
/* "LEVEL": this or worse; "high,low": exactly those. */
int findings_filter_severity(struct findings_filter *f, const char *text, struct err *err);
/* A list of: new unchanged absent suppressed active. */
int findings_filter_status(struct findings_filter *f, const char *text, struct err *err);
/* Removes from the list what is not let through. */
void findings_filter(const struct findings_filter *f, struct findings *list);

#endif
