#define PCRE2_CODE_UNIT_WIDTH 8
#include "scan/secret_rules.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "codec/json.h"
#include "scan/secret_value.h"
#include "scan/walk.h"

#include <math.h>
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#define RULES_MAX 1000
#define MATCH_LIMIT 200000
#define HEAP_LIMIT_KB 4096
#define ENTROPY_DEFAULT 2.5

struct secret_rule {
    char *id, *title, *regex;
    enum severity severity;
    enum confidence confidence;
    double entropy;
    unsigned before, after, group;
    bool at_match, generic, random, runs, check_github;
    json_t *files; /* array or NULL */
    pcre2_code *code;
};

struct keyword {
    size_t rule, len;
};

struct secret_rules {
    VEC(struct secret_rule) rules;
    VEC(struct keyword) keywords;
    VEC(const char *) words; /* while the set is made */
    struct keywords *search;
    pcre2_match_data *match;
    pcre2_match_context *context;
};

static void rule_release(struct secret_rule *r)
{
    free(r->id);
    free(r->title);
    free(r->regex);
    json_decref(r->files);
    pcre2_code_free(r->code);
}

void secret_rules_free(struct secret_rules *s)
{
    if (!s)
        return;
    VEC_EACH(&s->rules, r)
        rule_release(r);
    VEC_RELEASE(&s->rules);
    VEC_RELEASE(&s->keywords);
    VEC_RELEASE(&s->words);
    keywords_free(s->search);
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->context);
    free(s);
}

static enum confidence parse_confidence(const char *text)
{
    for (int c = CONFIDENCE_LOW; c < CONFIDENCE_HIGH; c++)
        if (strcmp(text, confidence_name((enum confidence)c)) == 0)
            return (enum confidence)c;
    return CONFIDENCE_HIGH;
}

static int add_keywords(struct secret_rules *s, const json_t *list, size_t rule, struct err *err)
{
    const json_t *word;
    size_t i;
    if (!json_is_array(list) || json_array_size(list) == 0)
        return err_set(err, ERR_INVALID, "keywords: a list of words is wanted");
    json_array_foreach(list, i, word) {
        if (!json_is_string(word) || !json_string_length(word) || json_string_length(word) > 64)
            return err_set(err, ERR_INVALID, "keywords: item %zu is no word of 1 to 64 bytes", i + 1);
        struct keyword k = {rule, json_string_length(word)};
        if (!VEC_PUSH(&s->keywords, k) || !VEC_PUSH(&s->words, json_string_value(word)))
            return err_nomem(err);
    }
    return 0;
}

static int fill_rule(struct secret_rule *r, const json_t *j, struct err *err)
{
    const char *id = json_str(j, "id", NULL), *regex = json_str(j, "regex", NULL);
    if (!id || !*id || strlen(id) > 64 || !regex || !*regex)
        return err_set(err, ERR_INVALID, "id and regex are wanted");
    int64_t before = json_i64(j, "before", 64), after = json_i64(j, "max", 512), group = json_i64(j, "group", 1);
    if (before < 0 || before > SECRET_BEFORE_MAX || after < 1 || after > SECRET_AFTER_MAX || group < 0 || group > 9)
        return err_set(err, ERR_INVALID, "before is at most %d, max at most %d, group at most 9", SECRET_BEFORE_MAX,
                       SECRET_AFTER_MAX);
    int e = severity_parse(json_str(j, "severity", "high"), &r->severity, err);
    if (e < 0)
        return e;
    const char *check = json_str(j, "check", NULL);
    if (check && strcmp(check, "github") != 0)
        return err_set(err, ERR_INVALID, "check: '%.40s' is not known, only github", check);
    r->check_github = check != NULL;
    r->before = (unsigned)before;
    r->after = (unsigned)after;
    r->group = (unsigned)group;
    r->confidence = parse_confidence(json_str(j, "confidence", "high"));
    r->entropy = json_num(j, "entropy", ENTROPY_DEFAULT);
    r->at_match = json_flag(j, "at_match", false);
    r->generic = json_flag(j, "generic", false);
    r->random = r->generic || json_flag(j, "random", false);
    r->runs = json_flag(j, "runs", false);
    r->id = mem_printf("secret/%s", id);
    r->title = mem_strdup(json_str(j, "title", id));
    r->regex = mem_strdup(regex);
    const json_t *files = json_object_get(j, "files");
    r->files = files ? json_deep_copy(files) : NULL;
    return r->id && r->title && r->regex && (!files || r->files) ? 0 : err_nomem(err);
}

static int add_rule(struct secret_rules *s, const json_t *j, struct err *err)
{
    struct secret_rule r = {0};
    int e = fill_rule(&r, j, err);
    if (e < 0 || !VEC_PUSH(&s->rules, r)) {
        rule_release(&r);
        return e < 0 ? e : err_nomem(err);
    }
    return add_keywords(s, json_object_get(j, "keywords"), s->rules.len - 1, err);
}

int secret_rules_new(const json_t *j, struct secret_rules **ret, struct err *err)
{
    const json_t *list = json_object_get(j, "rules"), *one;
    size_t i;
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > RULES_MAX)
        return err_set(err, ERR_INVALID, "rules: a list of 1 to %d rules is wanted", RULES_MAX);
    struct secret_rules *s = mem_zalloc(sizeof *s);
    if (!s)
        return err_nomem(err);
    int r = 0;
    json_array_foreach(list, i, one) {
        r = add_rule(s, one, err);
        if (r < 0) {
            err_wrap(err, "rule %zu (%s)", i + 1, json_str(one, "id", "without id"));
            break;
        }
    }
    s->match = pcre2_match_data_create(10, NULL);
    s->context = pcre2_match_context_create(NULL);
    if (r == 0 && (!s->match || !s->context))
        r = err_nomem(err);
    if (r == 0)
        r = keywords_new(s->words.v, s->words.len, &s->search, err);
    VEC_RELEASE(&s->words);
    if (r < 0) {
        secret_rules_free(s);
        return r;
    }
    pcre2_set_match_limit(s->context, MATCH_LIMIT);
    pcre2_set_heap_limit(s->context, HEAP_LIMIT_KB);
    *ret = s;
    return 0;
}

extern const char secrets_rules_json[]; /* made by tools/embed */
extern const size_t secrets_rules_json_len;

int secret_rules_builtin(struct secret_rules **ret, struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    int r = json_parse(secrets_rules_json, secrets_rules_json_len, SIZE_MAX, &j, err);
    return r < 0 ? r : secret_rules_new(j, ret, err);
}

int secret_rules_shared(struct secret_rules **ret, struct err *err)
{
    static struct secret_rules *shared; /* made before any thread exists, or in a module's own process */
    int r = shared ? 0 : secret_rules_builtin(&shared, err);
    if (r == 0)
        *ret = shared;
    return r;
}

size_t secret_rules_count(const struct secret_rules *s)
{
    return s->rules.len;
}

const struct secret_rule *secret_rules_at(const struct secret_rules *s, size_t i)
{
    return &s->rules.v[i];
}

const struct keywords *secret_rules_keywords(const struct secret_rules *s)
{
    return s->search;
}

size_t secret_rules_of_keyword(const struct secret_rules *s, size_t keyword, size_t *ret_len)
{
    *ret_len = s->keywords.v[keyword].len;
    return s->keywords.v[keyword].rule;
}

const char *secret_rule_id(const struct secret_rule *r)
{
    return r->id;
}

const char *secret_rule_title(const struct secret_rule *r)
{
    return r->title;
}

bool secret_rule_generic(const struct secret_rule *r)
{
    return r->generic;
}

bool secret_rule_for_path(const struct secret_rule *r, const char *path)
{
    const json_t *glob;
    size_t i;
    if (!r->files)
        return true;
    json_array_foreach(r->files, i, glob)
        if (json_is_string(glob) && walk_glob_any(json_string_value(glob), path))
            return true;
    return false;
}

static int compile(struct secret_rule *r, struct err *err)
{
    int code;
    PCRE2_SIZE at;
    r->code = pcre2_compile((PCRE2_SPTR)r->regex, PCRE2_ZERO_TERMINATED, PCRE2_USE_OFFSET_LIMIT | PCRE2_NEVER_UTF,
                            &code, &at, NULL);
    if (!r->code) {
        char why[128];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        return err_set(err, ERR_INVALID, "%s: regex, at %zu: %s", r->id, (size_t)at, why);
    }
    (void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* without it the interpreter does it */
    return 0;
}

/* What the value itself says; false: no secret. */
static bool judge(const struct secret_rule *r, const char *secret, size_t n, struct secret_match *m)
{
    enum secret_look look = secret_look(secret, n, r->runs);
    if (look == SECRET_PLACEHOLDER || secret_entropy(secret, n) < r->entropy)
        return false;
    if ((r->generic && look == SECRET_EXAMPLE) || (r->random && !secret_looks_random(secret, n)))
        return false;
    m->severity = r->severity;
    m->confidence = r->confidence;
    if (r->check_github && !secret_github_checksum(secret, n) && m->confidence > CONFIDENCE_MEDIUM)
        m->confidence = CONFIDENCE_MEDIUM;
    if (look != SECRET_LIKELY) { /* from someone's documentation: rarely real, but it may have been edited by half */
        m->confidence = CONFIDENCE_LOW;
        if (m->severity > SEVERITY_MEDIUM)
            m->severity = SEVERITY_MEDIUM;
    }
    return true;
}

int secret_rule_try(struct secret_rules *s, size_t rule, const char *text, size_t len, size_t from, size_t keyword,
                    size_t keyword_end, struct secret_match *ret, struct err *err)
{
    struct secret_rule *r = &s->rules.v[rule];
    if (!r->code) {
        int e = compile(r, err);
        if (e < 0)
            return e;
    }
    size_t start = keyword > r->before ? keyword - r->before : 0;
    if (start < from)
        start = from;
    if (start > keyword)
        return 0;
    size_t end = len - keyword_end > r->after ? keyword_end + r->after : len;
    pcre2_set_offset_limit(s->context, keyword);
    int n = pcre2_match(r->code, (PCRE2_SPTR)text, end, start, 0, s->match, s->context);
    if (n <= 0)
        return n == PCRE2_ERROR_NOMEMORY ? err_nomem(err) : 0;
    const PCRE2_SIZE *o = pcre2_get_ovector_pointer(s->match);
    unsigned g = (unsigned)n > r->group && o[2 * r->group] != PCRE2_UNSET ? r->group : 0;
    *ret = (struct secret_match){.begin = o[0], .end = o[1], .secret_begin = o[2 * g], .secret_end = o[2 * g + 1],
                                 .at_match = r->at_match};
    return judge(r, text + ret->secret_begin, ret->secret_end - ret->secret_begin, ret);
}

double secret_entropy(const char *s, size_t n)
{
    size_t count[256] = {0};
    double bits = 0;
    for (size_t i = 0; i < n; i++)
        count[(unsigned char)s[i]]++;
    for (size_t c = 0; c < 256; c++)
        if (count[c])
            bits -= (double)count[c] / (double)n * log2((double)count[c] / (double)n);
    return bits;
}
