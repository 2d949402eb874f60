/* SARIF 2.1.0 (OASIS standard, docs.oasis-open.org/sarif/sarif/v2.1.0): written from the findings of a run, and read
 * back as a baseline or from other tools. docs/findings.md says which member of a finding goes where.
 *
 * One SARIF run a module. Where the limits of a receiver would be passed, the least severe results are left out and
 * a notification says how many: nothing is cut silently. */
#ifndef FF_CODEC_SARIF_H
#define FF_CODEC_SARIF_H

#include "codec/findings.h"
#include "codec/out.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define SARIF_RUNS_MAX 20               /* what GitHub code scanning takes */
#define SARIF_RESULTS_MAX 25000         /* in one run */
#define SARIF_GZIP_MAX ((uint64_t)10 << 20) /* bytes of the file, compressed */

/* All may be left out (NULL, 0). Strings and JSON are borrowed. */
struct sarif_options {
    const char *target_name;
    const char *root;               /* absolute path of the target, for originalUriBaseIds */
    const char *run_id, *workflow, *version; /* version: of the program */
    int64_t started_ns, finished_ns;
    bool successful;                /* executionSuccessful: all of the target was examined */
    bool include_code_flows;
    bool compared;                  /* the status of each finding comes from a baseline: written as baselineState */
    /* [{level, kind, text, path, module}]: what was skipped, cut or went wrong, in the target and in modules. */
    const json_t *notices, *module_notices;
    int64_t notices_left_out;       /* how many more there were */
    const char *failure;            /* why the run did not complete */
    const json_t *modules;          /* names, or [{name, version, description}]: also those that found nothing */
    const json_t *rules;            /* {rule_id: {name, description, help, help_markdown, help_uri, cwe}} */
    const json_t *vcs;              /* {repository_uri, revision, branch} */
    size_t runs_max, results_max;   /* 0: as above */
    uint64_t gzip_max;              /* 0: as above */
};

struct sarif_stats {
    size_t runs, results, left_out;
    uint64_t gzip_bytes; /* an upper estimate: what the fastest level of deflate makes of it */
};

/* The list is sorted (findings_merge). ret may be NULL. */
int sarif_stream(const struct findings *list, const struct sarif_options *o, struct out *out,
                 struct sarif_stats *ret, struct err *err);
/* The same into a buffer. */
int sarif_write(const struct findings *list, const struct sarif_options *o, struct strbuf *out, struct err *err);
/* Appends all results of all runs. What this program wrote comes back whole; of other tools' results rule, message,
 * level, first location, fingerprints, CWE tags and suppressions are understood. */
int sarif_read(const char *text, size_t len, struct findings *list, struct err *err);
/* Is it SARIF rather than a list of findings? Looks at the beginning only. */
bool sarif_looks_like(const char *text, size_t len);

#endif
