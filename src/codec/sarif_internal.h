/* The parts of SARIF writing: whole file (sarif.c), one result (sarif_result.c), rules and taxonomy (sarif_rules.c). */
#ifndef FF_CODEC_SARIF_INTERNAL_H
#define FF_CODEC_SARIF_INTERNAL_H

#include "base/map.h"
#include "base/vec.h"
#include "codec/sarif.h"

#define SARIF_ROOT "%SRCROOT%"

/* A rule as the results of one SARIF run use it. */
struct sarif_rule {
    const struct finding *sample; /* the first, so the gravest, finding of it */
    int cwe[FINDING_CWE_MAX];
    size_t cwe_count;
};

struct sarif_rules {
    VEC(struct sarif_rule) list;
    struct map index; /* rule id -> position + 1 */
    VEC(int) cwe;     /* the taxa, in order of use */
};

int sarif_rules_add(struct sarif_rules *rules, const struct finding *f, struct err *err);
void sarif_rules_release(struct sarif_rules *rules);
size_t sarif_rule_index(const struct sarif_rules *rules, const char *rule_id);
size_t sarif_taxon_index(const struct sarif_rules *rules, int cwe);
/* known: what the options say of the rule, or NULL. New reference, NULL when memory is out. */
json_t *sarif_rule_json(const struct sarif_rules *rules, const struct sarif_rule *rule, const json_t *known);
json_t *sarif_taxonomy_json(const struct sarif_rules *rules);

json_t *sarif_result_json(const struct sarif_rules *rules, const struct finding *f,
                          const struct sarif_options *o);
json_t *sarif_location_json(const char *file, int line, int column, int end_line, int end_column,
                            const char *snippet, const char *message);

/* Building JSON without a check at each step: what cannot be had sets failed. */
struct sarif_maker {
    bool failed;
};

json_t *sarif_object(struct sarif_maker *m);
json_t *sarif_array(struct sarif_maker *m);
void sarif_set(struct sarif_maker *m, json_t *object, const char *key, json_t *value); /* takes value */
void sarif_set_text(struct sarif_maker *m, json_t *object, const char *key, const char *text); /* NULL: nothing */
void sarif_set_message(struct sarif_maker *m, json_t *object, const char *key, const char *text);
void sarif_push(struct sarif_maker *m, json_t *array, json_t *value); /* takes value */
/* j, or NULL with j released when something failed. */
json_t *sarif_made(struct sarif_maker *m, json_t *j);

#endif
