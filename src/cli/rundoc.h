/* A run as the command line sees it: what the engine knows, put together for people and for --json. */
#ifndef FF_CLI_RUNDOC_H
#define FF_CLI_RUNDOC_H

#include "cli/app.h"
#include "codec/findings.h"
#include "codec/sarif.h"

/* How a run is judged; kept in its memo, so that it holds for whoever waits. */
struct gate_options {
    int fail_on; /* enum severity, or -1: no gate */
    bool strict;
    char *export_sarif, *baseline; /* absolute path, or (baseline) a run's id; NULL: none */
    bool no_inline_suppressions;
};
void gate_options_release(struct gate_options *g);
json_t *gate_options_json(const struct gate_options *g);
int gate_options_parse(const json_t *j, struct gate_options *ret, struct err *err);

#define MEMO_TARGET "ff_target"
#define MEMO_GATE "ff_gate"
#define MEMO_VERSION "ff_version"

struct run_info {
    char *run_id, *execution_id, *workflow;
    const char *status; /* PENDING RUNNING COMPLETED FAILED CANCELLED TERMINATED TIMED_OUT; static */
    bool closed, blocked;
    bool incomplete;
    int64_t started_ns, finished_ns; /* 0: not yet */
    json_t *target;                  /* as in the memo; or NULL */
    struct gate_options gate;
    json_t *result; /* of a completed run; or NULL */
    char *failure;  /* message of a run that did not complete, or of a blocked task; or NULL */
    json_t *activities; /* pending ones: array */
    int64_t history_length;
};

/* id: a workflow id, or an unambiguous prefix of one; an exact one beats a prefix. *ret_id is the caller's. */
int run_resolve(struct app *app, const char *id, char **ret_id, struct err *err);
/* Is there a run of exactly that id? */
bool run_exists(struct app *app, const char *id);
/* What is known now. id is exact. */
int run_read(struct app *app, const char *id, struct run_info *ret, struct err *err);
void run_info_release(struct run_info *r);

/* The findings of a closed run: merged, suppressed and compared as its gate options say. */
int run_findings(struct app *app, const struct run_info *run, struct findings *ret, struct err *err);

/* Appends the findings of a baseline file: SARIF, NDJSON or a JSON document; each with a fingerprint. */
int baseline_read_file(const char *path, struct findings *ret, struct err *err);

/* The verdict. */
struct gate_verdict {
    bool passed;
    bool incomplete; /* failed for that reason alone */
    char reason[256];
};
void gate_judge(const struct run_info *run, const struct findings *f, struct gate_verdict *ret);
int run_exit_status(const struct run_info *run, const struct gate_verdict *v);

/* {run_id, workflow, status, target, ..., findings, result}; new reference, NULL when memory is out. */
json_t *run_document(const struct run_info *run, const struct findings *f, const struct gate_verdict *v);

/* What reports say of a run beside its findings; borrows from it. */
void run_report_facts(const struct run_info *run, struct sarif_options *ret);

/* Prints a run's results, with export also as the SARIF file that its gate options name. *ret_status is the exit
 * status that the run deserves; an error: its findings could not be read, and nothing was printed. */
int run_report(struct app *app, const struct run_info *run, bool export, int *ret_status, struct err *err);

/* Each finding, then the counts. compared: against a baseline. */
void findings_print(const struct findings *f, bool compared);

/* Parts of what `ff runs show` prints. */
void run_print_head(const struct run_info *run);
void run_print_pending(const struct run_info *run);

#endif
