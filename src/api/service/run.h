/* A run as users see it: what the engine knows of it and what it found, and the verdict on it. */
#ifndef FF_API_SERVICE_RUN_H
#define FF_API_SERVICE_RUN_H

#include "api/service/service.h"
#include "codec/findings.h"
#include "codec/sarif.h"

/* How a run is judged; kept in its memo, so that it holds for whoever waits. */
struct gate_options {
    int fail_on; /* enum severity, or -1: no gate */
    bool strict;
    char *export_sarif, *baseline; /* absolute path that was said here, or (baseline) a run's id; NULL: none */
    bool no_inline_suppressions;
};
void gate_options_release(struct gate_options *g);
json_t *gate_options_json(const struct gate_options *g);
int gate_options_parse(const json_t *j, struct gate_options *ret, struct err *err);
/* What is said of a run's paths (store/said.h), a new reference; NULL: it has none. */
int gate_options_paths(const struct service *svc, const char *run_id, const struct gate_options *g, json_t **ret,
                       struct err *err);

#define MEMO_TARGET "ff_target"
#define MEMO_GATE "ff_gate"
#define MEMO_VERSION "ff_version"
#define MEMO_KEY "ff_key" /* of a submission that its client may repeat: see struct submission */
#define MEMO_ASKED "ff_asked"
#define MEMO_RETRIES "ff_retries" /* request ids of the retries that led to this execution, the last ones */

struct run_info {
    char *run_id, *execution_id, *workflow;
    const char *status; /* PENDING RUNNING COMPLETED FAILED CANCELLED TERMINATED TIMED_OUT; static */
    bool closed, blocked;
    bool incomplete;
    int64_t started_ns, finished_ns; /* 0: not yet */
    json_t *target;                  /* as in the memo; or NULL */
    char *key, *asked;               /* of the submission; or NULL */
    json_t *retries;                 /* array of request ids; or NULL */
    struct gate_options gate;
    json_t *result; /* of a completed run; or NULL */
    char *failure;  /* message of a run that did not complete, or of a blocked task; or NULL */
    json_t *activities; /* pending ones: array */
    int64_t history_length;
};

/* id: a workflow id, or an unambiguous prefix of one; an exact one beats a prefix. *ret_id is the caller's. */
int run_resolve(const struct service *svc, const char *id, char **ret_id, struct err *err);
/* A call about a run whose answer is of no interest. A cluster that has just begun says that it knows no such namespace: that is
 * no word about the run, and -ERR_UNAVAILABLE. */
int run_call(const struct service *svc, enum engine_method m, const ProtobufCMessage *req, struct err *err);
/* Is there a run of exactly that id? -ERR_NOT_FOUND: there is none; another error: nobody knows. */
int run_look(const struct service *svc, const char *id, struct err *err);
/* The same; false also where nobody knows. */
bool run_exists(const struct service *svc, const char *id);
/* The word of struct run_info. */
const char *run_status_name(Pb__WorkflowExecutionStatus s);
/* What is known now. id is exact. */
int run_read(const struct service *svc, const char *id, struct run_info *ret, struct err *err);
void run_info_release(struct run_info *r);

/* The findings of a closed run: merged, suppressed and compared as its gate options say. */
int run_findings(const struct service *svc, const struct run_info *run, struct findings *ret, struct err *err);

/* Appends the findings of a baseline file: SARIF, NDJSON or a JSON document; each with a fingerprint. */
int baseline_read_file(const char *path, struct findings *ret, struct err *err);

/* The verdict; without findings (they cannot be read) a gate fails. */
struct gate_verdict {
    bool passed;
    bool incomplete; /* failed for that reason alone */
    char reason[256];
};
void gate_judge(const struct run_info *run, const struct findings *f, struct gate_verdict *ret);
/* How many files a documented filter left out. */
int64_t run_files_left_out(const struct run_info *run);

/* {run_id, workflow, status, target, ..., findings, result}; new reference, NULL when memory is out. */
json_t *run_document(const struct run_info *run, const struct findings *f, const struct gate_verdict *v);

/* The same where the findings cannot be read: they and their counts are null, findings_error says why. */
json_t *run_document_without(const struct run_info *run, const struct err *why);

/* What reports say of a run beside its findings; borrows from both. */
void run_report_facts(const struct service *svc, const struct run_info *run, struct sarif_options *ret);

#endif
