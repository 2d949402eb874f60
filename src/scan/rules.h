/* The analyzer's rules: data, read from YAML (docs/rules.md), compiled per language into tables that flow looks up by
 * the last name of a call, a member or an assigned variable. */
#ifndef FF_SCAN_RULES_H
#define FF_SCAN_RULES_H

#include "base/err.h"
#include "base/map.h"
#include "base/vec.h"
#include "codec/finding.h"
#include "scan/lang.h"
#include "scan/syntax.h"

#include <stdbool.h>
#include <stdint.h>

/* How much must be known about a value for a rule to hold. */
enum need {
    NEED_ANY,
    NEED_CONST,    /* known when the program is written */
    NEED_NONCONST, /* anything else */
    NEED_DYNAMIC,  /* a string put together from something not constant, or input */
    NEED_INPUT,    /* a parameter of unknown origin, or tainted */
    NEED_TAINTED,  /* from outside */
    NEED_BUILT,    /* put together, of whatever */
};

struct regex; /* a compiled regular expression */

struct where {
    char *var;            /* "$X" */
    enum need need;
    uint64_t kind;        /* sanitised for this: not reported */
    struct regex *matches, *unless, *name, *not_name;
    bool literal;         /* must be a literal in the source here, not only a constant value */
    bool inverted;        /* need must not hold */
    bool built;           /* and it must be a string put together */
};

enum pattern_kind { PATTERN_CALL, PATTERN_NEW, PATTERN_PATH, PATTERN_ASSIGN, PATTERN_PAIR, PATTERN_RETURN, PATTERN_BINARY,
                    PATTERN_FUNC_DECORATOR };

struct rule;

struct pattern {
    const struct rule *rule;
    enum pattern_kind kind;
    enum lang lang;
    struct syntax syntax;      /* of its own */
    const struct node *node;
    char *path;                /* callee, member or assigned path; NULL: any */
    bool any_receiver;         /* "$X.name" */
    struct pattern *next;      /* with the same key */
};

struct rule {
    char *id, *category, *title, *message, *recommendation, *group;
    enum severity severity;
    enum confidence confidence;
    int cwe[FINDING_CWE_MAX];
    size_t cwe_count;
    uint32_t langs;            /* bits */
    VEC(char *) match, unless;
    VEC(struct where) where;
    struct regex *context, *unless_context; /* on names around the place */
    struct regex *regex, *regex_unless;     /* line rules */
    struct regex *path;                     /* only files whose path matches */
    char *check;               /* a check written in C, by name */
    char *file;                /* where it came from */
    int line;
    size_t compiled;           /* patterns, over all languages */
    VEC(struct pattern *) unless_patterns[LANG_COUNT];
};

/* What flow knows of a function or name: where data comes from, what makes it harmless. */
struct fact {
    char *path;
    bool call, any_receiver;
    uint64_t kinds;   /* sanitizer: what it is clean for afterwards */
    int writes;       /* source: the argument that it fills; -1: its result */
    struct fact *next;
};

/* Everything about one language. Maps: last name -> linked list. */
struct lang_rules {
    struct map calls, paths, assigns, pairs;
    struct map sources, sanitizers;
    struct map handlers;     /* decorators of functions whose parameters come from outside */
    struct map param_notes;  /* annotations of such parameters */
    struct pattern *returns, *binaries, *any_assign, *any_call, *any_pair;
    VEC(const struct rule *) lines;
    VEC(const struct rule *) checks;
    bool ready;
};

struct rules;

/* Takes a file of rules. name is for messages. -ERR_INVALID with "name:line: reason". A set that was refused in part is
 * unchanged. */
int rules_load(struct rules *r, const char *text, size_t len, const char *name, struct err *err);
int rules_new(struct rules **ret, struct err *err);
void rules_free(struct rules *r);
/* The rules that ff carries: read once, kept for the life of the process. */
int rules_builtin(struct rules **ret, struct err *err);
/* A new set with the built-in rules. */
int rules_new_builtin(struct rules **ret, struct err *err);
/* The tables of a language, made when first asked for. */
int rules_of(struct rules *r, enum lang lang, const struct lang_rules **ret, struct err *err);
size_t rules_count(const struct rules *r);
const struct rule *rules_at(const struct rules *r, size_t i);
/* The bit of a kind of sanitising ("sql"); 0: unknown. "all" is all bits. */
uint64_t rules_kind(const char *name);
bool regex_matches(const struct regex *re, const char *s, size_t n);
int regex_new(const char *text, struct regex **ret, struct err *err);
void regex_free(struct regex *re);

extern const unsigned char rules_embedded[]; /* JSON, 0-terminated; made by tools/embed-rules.c */
extern const size_t rules_embedded_len;

#endif
