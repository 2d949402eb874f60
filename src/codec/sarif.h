/* SARIF 2.1.0 (docs.oasis-open.org/sarif/sarif/v2.1.0): the exchange format of findings. */
#ifndef FF_CODEC_SARIF_H
#define FF_CODEC_SARIF_H

#include "base/strbuf.h"
#include "codec/findings.h"

#include <jansson.h>

struct sarif_options {
    const char *target_name, *run_id, *workflow; /* may be NULL */
    const char *tool_version;                    /* NULL: of this program */
    int64_t started_ns, finished_ns;             /* since 1970; 0: left out */
    bool successful;                             /* executionSuccessful */
    const json_t *notices; /* array of {kind, path, text}: tool execution notifications; may be NULL */
    bool include_code_flows;
};

/* One SARIF run for each module that found something (at least one run). What GitHub would refuse (20 runs, 25,000 results a
 * run, 10 MB gzip) is cut, worst findings first, with a notification that says so. */
int sarif_write(const struct findings *f, const struct sarif_options *o, struct strbuf *out, struct err *err);
/* Reads the results of any SARIF 2.1.0 file, for baselines and comparison: rule, level, message, location,
 * fingerprints. Appends. */
int sarif_read(const char *text, size_t len, struct findings *ret, struct err *err);

#endif
