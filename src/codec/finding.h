/* The one model of a finding (docs/findings.md): module output, history, JSON, SARIF and every export. */
#ifndef FF_CODEC_FINDING_H
#define FF_CODEC_FINDING_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum severity { SEVERITY_INFO, SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH, SEVERITY_CRITICAL };
enum confidence { CONFIDENCE_LOW, CONFIDENCE_MEDIUM, CONFIDENCE_HIGH };
enum finding_status { FINDING_NEW, FINDING_UNCHANGED, FINDING_ABSENT };

#define FINDING_CWE_MAX 8
/* Maxima in bytes; longer texts are cut at a character, a longer path is refused. */
#define FINDING_RULE_MAX 256
#define FINDING_TITLE_MAX 512
#define FINDING_TEXT_MAX 16384    /* description, recommendation */
#define FINDING_SNIPPET_MAX 4096
#define FINDING_PATH_MAX 12288    /* 4,096 bytes, each as %XX */
#define FINDING_OBJECT_MAX 262144 /* evidence, metadata: a larger one becomes {"dropped_bytes": n} */

struct finding {
    char *id;      /* ULID; set when the run is merged */
    char *rule_id; /* "category/name" */
    char *title, *description;
    enum severity severity;
    enum confidence confidence;
    int cwe[FINDING_CWE_MAX];
    size_t cwe_count;
    char *file;                             /* relative, '/' between parts, bytes that are not UTF-8 as %XX; NULL: none */
    int line, column, end_line, end_column; /* 1-based; 0: unknown; columns in UTF-16 units */
    char *snippet;                          /* secrets already redacted */
    char *recommendation;
    char *module;
    char *fingerprint;  /* hex; see docs/findings.md */
    char *context_hash; /* rule + path + normalised statement: what the fingerprint is made of, set by the module */
    enum finding_status status;
    bool suppressed;
    char *suppression_reason;
    char *suppression_kind; /* "external": by a suppression file; NULL: where the code is */
    json_t *evidence; /* object or NULL: stack, flow, reproducer */
    json_t *metadata; /* object or NULL */
};

void finding_release(struct finding *f); /* frees the members; the finding is zero afterwards */
/* A deep copy. */
int finding_copy(const struct finding *from, struct finding *ret, struct err *err);
/* JSON of the shape that users see. New reference; NULL when memory is out. */
json_t *finding_to_json(const struct finding *f);
/* From a module or a file: unknown keys go to metadata; missing rule_id or title, a bad severity, a path that is
 * absolute or climbs out are -ERR_INVALID; texts are cut at documented lengths. */
int finding_from_json(const json_t *j, struct finding *ret, struct err *err);

const char *severity_name(enum severity s);
/* "critical".."info", and error, warning, note as --fail-on takes them. Unknown: -ERR_INVALID with the nearest. */
int severity_parse(const char *text, enum severity *ret, struct err *err);
const char *severity_sarif_level(enum severity s); /* error, warning, note */
const char *confidence_name(enum confidence c);
const char *finding_status_name(enum finding_status s);

#endif
