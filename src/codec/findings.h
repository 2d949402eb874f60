/* A list of findings as one document: reading, merging, fingerprints, baseline, suppressions, gate.
 *
 * What modules report comes as lists, one a module and an activity. findings_merge() makes of them the list of
 * the run; everything that users see (JSON, SARIF, exports, gate) is made from that one (docs/findings.md). */
#ifndef FF_CODEC_FINDINGS_H
#define FF_CODEC_FINDINGS_H

#include "base/strbuf.h"
#include "codec/finding.h"

#include <stddef.h>

#define FINDINGS_MAX 1000000          /* in one list */
#define FINDINGS_LINE_MAX (1 << 20)   /* bytes of one line of NDJSON */
#define FINDINGS_FINGERPRINT_HEX 32   /* digits of a fingerprint */

struct findings {
    struct finding *v;
    size_t len, cap;
};

void findings_release(struct findings *list);
/* Takes the finding's members, which are zero afterwards; on failure they still belong to the caller. */
int findings_add(struct findings *list, struct finding *f, struct err *err);
/* Appends what the text holds: NDJSON (one finding a line, blank lines allowed), an array of findings, or an object
 * with an array "findings". An error names the line or the index, and what was read before it stays in the list. */
int findings_read(struct findings *list, const char *text, size_t len, struct err *err);
/* Appends one line of NDJSON, with its newline. */
int findings_write_line(const struct finding *f, struct strbuf *out, struct err *err);

/* Makes one list of several that were read into it: equal findings (rule, path, range and title) become one, which
 * keeps the graver severity, the higher confidence, all CWE numbers, and names in metadata "also_reported_by" the
 * other modules. Then sorts (severity downwards, file, line, rule) and gives fingerprints. Any order of input
 * gives the same list. */
int findings_merge(struct findings *list, struct err *err);
/* Only those that wanted() says true of stay, in their order. */
void findings_keep(struct findings *list, bool (*wanted)(const void *arg, const struct finding *f), const void *arg);
void findings_sort(struct findings *list);
/* Gives each finding its fingerprint: a hash of rule, path, what context_hash stands for (else a fingerprint that the
 * module gave, else the normalised snippet or title), and the index among equals in the order of the list. Sets
 * context_hash where it was absent, so that doing it again gives the same. */
int findings_fingerprint(struct findings *list, struct err *err);
/* Gives ids: ULIDs of that time (ms since 1970), the random part made of run_id and fingerprint, so that
 * the same list of the same run gets the same ids. A finding that has an id keeps it. */
int findings_assign_ids(struct findings *list, const char *run_id, uint64_t time_ms, struct err *err);

/* Sets context_hash to a hash of the normalised text of the place: what scanners call. The text is normalised further:
 * runs of white space count as one blank. */
int finding_set_context(struct finding *f, const char *text, size_t len, struct err *err);

struct findings_counts {
    size_t by_severity[SEVERITY_CRITICAL + 1]; /* without suppressed and absent ones */
    size_t total;                              /* the sum of these */
    size_t suppressed, absent, fresh;          /* fresh: of total, those with status new */
};

struct findings_counts findings_count(const struct findings *list);
/* {critical, high, medium, low, info, total, suppressed}. New reference, NULL when memory is out. */
json_t *findings_counts_json(const struct findings_counts *c);

/* Sets the status of each: unchanged if its fingerprint is in base, else new. With keep_absent, those only in base
 * are appended as absent (their ids too) and the list is sorted again. */
int findings_compare(struct findings *now, const struct findings *base, bool keep_absent, struct err *err);

/* A suppression file: {"version": 1, "suppressions": [{fingerprint, rule, path, reason, created_at}]}; rule and path
 * are globs in which * matches / too, and all members given must match. What is suppressed inline stays so.
 * *ret_count (may be NULL) is the number newly suppressed. */
int findings_suppress(struct findings *list, const json_t *doc, size_t *ret_count, struct err *err);

struct findings_gate {
    enum severity level;
    bool passed;
    size_t hits, suppressed, unchanged; /* at or above the level: that count, and that do not */
    char reason[200];
};

/* With new_only (a baseline was given), unchanged findings do not count. Absent ones never do. */
void findings_gate(const struct findings *list, enum severity level, bool new_only,
                   struct findings_gate *ret);

#endif
