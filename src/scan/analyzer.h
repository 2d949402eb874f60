/* The analyzer without its module: one text in, findings out. For the module security_analyzer, tests and fuzzing. */
#ifndef FF_SCAN_ANALYZER_H
#define FF_SCAN_ANALYZER_H

#include "codec/finding.h"
#include "scan/lang.h"
#include "scan/rules.h"

#include <stdbool.h>
#include <stddef.h>

struct analyzer_options {
    bool no_secrets, no_sql, no_dangerous_functions; /* groups of rules left out */
    bool no_inline_suppressions;
};

struct analyzer_result {
    size_t findings, suppressed;
    bool cut;      /* a bound was met: the end of the text, or some depth of it, was not looked at */
    bool minified; /* not looked at: generated text without lines */
};

/* The finding is valid during the call. A negative value ends the analysis, which returns it. */
typedef int analyzer_fn(const struct finding *f, void *arg, struct err *err);

/* path: relative, as reports show it. Findings come in the order of their lines, at most one per rule category and line.
 * Never fails for what the text holds. */
int analyzer_run(struct rules *rules, const struct analyzer_options *o, enum lang lang, const char *path, const char *text,
                 size_t len, analyzer_fn *fn, void *arg, struct analyzer_result *ret, struct err *err);

/* Reads the built-in rules once and makes their tables, so that processes forked later need not. */
int analyzer_preload(struct err *err);

#endif
