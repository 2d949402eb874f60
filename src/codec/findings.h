/* The findings of a run: a list with its rules of merging, order, fingerprints, comparison and judgement. */
#ifndef FF_CODEC_FINDINGS_H
#define FF_CODEC_FINDINGS_H

#include "base/strbuf.h"
#include "codec/finding.h"

#include <stddef.h>

#define FINDINGS_MAX 1000000          /* of one document */
#define FINDINGS_LINE_MAX ((size_t)1 << 20)

struct findings {
    struct finding *v;
    size_t len, cap;
};

void findings_release(struct findings *l);
/* Appends what NDJSON text holds: one finding a line. -ERR_INVALID names the line; -ERR_LIMIT. */
int findings_read_ndjson(struct findings *l, const char *text, size_t len, struct err *err);
int findings_write_ndjson(const struct findings *l, struct strbuf *out, struct err *err);

/* Merges equals (by rule, path, range and title, never by fingerprint alone), sorts (worst first, then path, line,
 * column, rule, title), and gives each its fingerprint (of its context_hash and its index among equals) and, where it has
 * none, an id made by new_id (a ULID; buf of 27 bytes). */
int findings_finish(struct findings *l, void (*new_id)(char buf[27]), struct err *err);

struct findings_counts {
    size_t by_severity[SEVERITY_CRITICAL + 1]; /* not suppressed, not absent */
    size_t total;                              /* their sum */
    size_t suppressed, absent, unchanged;
};
void findings_count(const struct findings *l, struct findings_counts *ret);

/* Marks what is in the baseline as unchanged, the rest as new, and appends what is only in the baseline as absent. */
int findings_compare(struct findings *l, const struct findings *baseline, struct err *err);
/* How many reach a level: not suppressed, not absent, and with only_new not unchanged. */
size_t findings_reaching(const struct findings *l, enum severity level, bool only_new);

#endif
