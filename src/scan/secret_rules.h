/* The rules of secret detection: read from JSON (rules/secrets.yaml, converted by the build), compiled when first
 * needed. What makes a text a secret beyond its shape is decided here too: entropy, placeholders, checksums. */
#ifndef FF_SCAN_SECRET_RULES_H
#define FF_SCAN_SECRET_RULES_H

#include "codec/finding.h"
#include "scan/keywords.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define SECRET_BEFORE_MAX 1000 /* bytes that a match may begin before its keyword */
#define SECRET_AFTER_MAX 4096  /* bytes that a match may go on behind its keyword */

struct secret_rule;
struct secret_rules;

/* j: {"rules": [...]} as rules/secrets.yaml describes them. -ERR_INVALID names the rule and what is wrong with it. */
int secret_rules_new(const json_t *j, struct secret_rules **ret, struct err *err);
/* Those that are built in; the caller frees. */
int secret_rules_builtin(struct secret_rules **ret, struct err *err);
/* The same, read once and kept for the life of the process; for one thread at a time. */
int secret_rules_shared(struct secret_rules **ret, struct err *err);
void secret_rules_free(struct secret_rules *r); /* NULL is fine */
size_t secret_rules_count(const struct secret_rules *r);
const struct secret_rule *secret_rules_at(const struct secret_rules *r, size_t i);

const struct keywords *secret_rules_keywords(const struct secret_rules *r);
/* The rule that a keyword (its index in a search) stands for, and the keyword's length. */
size_t secret_rules_of_keyword(const struct secret_rules *r, size_t keyword, size_t *ret_len);

const char *secret_rule_id(const struct secret_rule *r); /* "secret/github-ghp-token" */
const char *secret_rule_title(const struct secret_rule *r);
bool secret_rule_generic(const struct secret_rule *r);
/* Is the rule meant for a file of this path? */
bool secret_rule_for_path(const struct secret_rule *r, const char *path);

struct secret_match {
    size_t begin, end;               /* offsets: of the whole match */
    size_t secret_begin, secret_end; /* of the secret */
    bool at_match;                   /* the finding stands where the match begins */
    enum severity severity;
    enum confidence confidence;
};

/* Tries the rule where one of its keywords stands at [keyword, keyword_end) of the text, not before from. 1: a
 * secret; 0: none; a regular expression that gives up at its limit is none, too. */
int secret_rule_try(struct secret_rules *set, size_t rule, const char *text, size_t len, size_t from, size_t keyword,
                    size_t keyword_end, struct secret_match *ret, struct err *err);

/* Bits a character. */
double secret_entropy(const char *s, size_t n);

#endif
