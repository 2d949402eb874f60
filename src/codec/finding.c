/* One finding: its JSON form, read with validation and written so that any bytes come out as UTF-8. */
#include "codec/finding.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "codec/json.h"
#include "codec/utf8.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

static const char *const severity_names[] = {"info", "low", "medium", "high", "critical"};
static const char *const confidence_names[] = {"low", "medium", "high"};
static const char *const status_names[] = {"new", "unchanged", "absent"};

/* The texts of a finding: one line a member, with its maximum in bytes (docs/findings.md). */
static const struct text_member {
    const char *key;
    size_t offset, max;
} text_members[] = {
    {"id", offsetof(struct finding, id), 64},
    {"rule_id", offsetof(struct finding, rule_id), FINDING_RULE_MAX},
    {"title", offsetof(struct finding, title), FINDING_TITLE_MAX},
    {"description", offsetof(struct finding, description), FINDING_TEXT_MAX},
    {"file", offsetof(struct finding, file), FINDING_PATH_MAX},
    {"snippet", offsetof(struct finding, snippet), FINDING_SNIPPET_MAX},
    {"recommendation", offsetof(struct finding, recommendation), FINDING_TEXT_MAX},
    {"module", offsetof(struct finding, module), 128},
    {"fingerprint", offsetof(struct finding, fingerprint), 128},
    {"context_hash", offsetof(struct finding, context_hash), 128},
    {"suppression_reason", offsetof(struct finding, suppression_reason), 1024},
    {"suppression_kind", offsetof(struct finding, suppression_kind), 32},
};

static const struct int_member {
    const char *key;
    size_t offset;
} int_members[] = {
    {"line", offsetof(struct finding, line)},
    {"column", offsetof(struct finding, column)},
    {"end_line", offsetof(struct finding, end_line)},
    {"end_column", offsetof(struct finding, end_column)},
};

static char **text_of(const struct finding *f, const struct text_member *m)
{
    return (char **)((char *)(uintptr_t)f + m->offset);
}

static int *int_of(const struct finding *f, const struct int_member *m)
{
    return (int *)((char *)(uintptr_t)f + m->offset);
}

const char *severity_name(enum severity s)
{
    return (size_t)s < ARRAY_LEN(severity_names) ? severity_names[s] : "info";
}

const char *confidence_name(enum confidence c)
{
    return (size_t)c < ARRAY_LEN(confidence_names) ? confidence_names[c] : "low";
}

const char *finding_status_name(enum finding_status s)
{
    return (size_t)s < ARRAY_LEN(status_names) ? status_names[s] : "new";
}

const char *severity_sarif_level(enum severity s)
{
    return s >= SEVERITY_HIGH ? "error" : s == SEVERITY_MEDIUM ? "warning" : "note";
}

int severity_parse(const char *text, enum severity *ret, struct err *err)
{
    static const struct {
        const char *name;
        enum severity severity;
    } words[] = {
        {"critical", SEVERITY_CRITICAL}, {"high", SEVERITY_HIGH},   {"medium", SEVERITY_MEDIUM},
        {"low", SEVERITY_LOW},           {"info", SEVERITY_INFO},   {"error", SEVERITY_HIGH},
        {"warning", SEVERITY_MEDIUM},    {"note", SEVERITY_LOW},
    };
    struct suggest near;
    suggest_init(&near, text);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(text, words[i].name) == 0) {
            *ret = words[i].severity;
            return 0;
        }
        suggest_offer(&near, words[i].name);
    }
    int r = err_set(err, ERR_INVALID, "unknown severity '%.40s'", text);
    if (near.best)
        return err ? err_hint(err, "did you mean '%s'?", near.best) : r;
    return err ? err_hint(err, "critical, high, medium, low, info, error, warning or note") : r;
}

void finding_release(struct finding *f)
{
    for (size_t i = 0; i < ARRAY_LEN(text_members); i++)
        free(*text_of(f, &text_members[i]));
    json_decref(f->evidence);
    json_decref(f->metadata);
    *f = (struct finding){0};
}

static bool dup_object(json_t *const from, json_t **to)
{
    if (!from)
        return true;
    *to = json_deep_copy(from);
    return *to != NULL;
}

int finding_copy(const struct finding *from, struct finding *ret, struct err *err)
{
    struct finding f = *from;
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(text_members); i++)
        *text_of(&f, &text_members[i]) = NULL;
    f.evidence = f.metadata = NULL;
    for (size_t i = 0; i < ARRAY_LEN(text_members); i++) {
        const char *s = *text_of(from, &text_members[i]);
        char **copy = text_of(&f, &text_members[i]);
        ok = ok && (!s || (*copy = mem_strdup(s)));
    }
    if (!ok || !dup_object(from->evidence, &f.evidence) || !dup_object(from->metadata, &f.metadata)) {
        finding_release(&f);
        return err_nomem(err);
    }
    *ret = f;
    return 0;
}

/* --- writing --- */

static json_t *name_text(const char *s)
{
    size_t n = strlen(s);
    if (utf8_valid(s, n))
        return json_stringn_nocheck(s, n);
    struct strbuf b = STRBUF_INIT;
    utf8_append_name(&b, s, n);
    json_t *j = strbuf_check(&b, NULL) == 0 ? json_stringn_nocheck(b.s, b.len) : NULL;
    strbuf_release(&b);
    return j;
}

static int put_texts(json_t *j, const struct finding *f, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const char *s = *text_of(f, &text_members[i]);
        bool is_name = text_members[i].offset == offsetof(struct finding, file);
        if (s && json_object_set_new_nocheck(j, text_members[i].key, is_name ? name_text(s) : json_clean_string(s)) < 0)
            return -1;
    }
    return 0;
}

static int put_grades(json_t *j, const struct finding *f)
{
    _cleanup_json_ json_t *cwe = json_array();
    for (size_t i = 0; i < f->cwe_count && i < FINDING_CWE_MAX; i++)
        if (json_array_append_new(cwe, json_integer(f->cwe[i])) < 0)
            return -1;
    if (json_object_set_new(j, "severity", json_string(severity_name(f->severity))) < 0 ||
        json_object_set_new(j, "level", json_string(severity_sarif_level(f->severity))) < 0 ||
        json_object_set_new(j, "confidence", json_string(confidence_name(f->confidence))) < 0)
        return -1;
    return json_object_set(j, "cwe", cwe);
}

json_t *finding_to_json(const struct finding *f)
{
    _cleanup_json_ json_t *j = json_object();
    if (!j || put_texts(j, f, 0, 4) < 0 || put_grades(j, f) < 0 || put_texts(j, f, 4, 5) < 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(int_members); i++) {
        int v = *int_of(f, &int_members[i]);
        if (v > 0 && json_object_set_new(j, int_members[i].key, json_integer(v)) < 0)
            return NULL;
    }
    if (put_texts(j, f, 5, 10) < 0 ||
        json_object_set_new(j, "status", json_string(finding_status_name(f->status))) < 0 ||
        json_object_set_new(j, "suppressed", json_boolean(f->suppressed)) < 0 ||
        put_texts(j, f, 10, ARRAY_LEN(text_members)) < 0 ||
        (f->evidence && json_object_set(j, "evidence", f->evidence) < 0) ||
        (f->metadata && json_object_set(j, "metadata", f->metadata) < 0))
        return NULL;
    return TAKE_PTR(j);
}

/* --- reading --- */

static int wrong(struct err *err, const char *key, const char *want)
{
    return err_set(err, ERR_INVALID, "finding: %s must be %s", key, want);
}

static int read_text(const json_t *v, const struct text_member *m, char **ret, struct err *err)
{
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_string(v))
        return wrong(err, m->key, "a string");
    const char *s = json_string_value(v);
    size_t n = json_string_length(v);
    if (n == 0)
        return 0;
    struct strbuf b = STRBUF_INIT;
    utf8_append_clean(&b, s, utf8_cut(s, n, m->max));
    size_t len;
    *ret = strbuf_take(&b, &len);
    if (!*ret)
        return err_nomem(err);
    (*ret)[utf8_cut(*ret, len, m->max)] = 0; /* what replaced a NUL is longer than it */
    return 0;
}

static int read_texts(const json_t *j, struct finding *f, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(text_members); i++) {
        const struct text_member *m = &text_members[i];
        int r = read_text(json_object_get(j, m->key), m, text_of(f, m), err);
        if (r < 0)
            return r;
    }
    if (!f->rule_id)
        return err_set(err, ERR_INVALID, "finding without rule_id");
    if (!f->title)
        return err_set(err, ERR_INVALID, "finding without title");
    return 0;
}

/* Drops empty and "." parts in place; a path that is absolute or climbs out is refused, also when it was cut. */
static int check_path(const json_t *v, struct finding *f, struct err *err)
{
    if (!f->file)
        return 0;
    if (json_string_length(v) > FINDING_PATH_MAX)
        return err_set(err, ERR_INVALID, "finding: file is longer than %d bytes", FINDING_PATH_MAX);
    if (strlen(json_string_value(v)) != json_string_length(v))
        return wrong(err, "file", "a name without NUL");
    if (f->file[0] == '/')
        return err_set(err, ERR_INVALID, "finding: file '%.100s' is absolute", f->file);
    char *out = f->file;
    for (const char *p = f->file; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return err_set(err, ERR_INVALID, "finding: file climbs out of the target");
        if (n > 0 && !(n == 1 && p[0] == '.')) {
            if (out != f->file)
                *out++ = '/';
            memmove(out, p, n);
            out += n;
        }
        p += n;
        while (*p == '/')
            p++;
    }
    *out = 0;
    if (out == f->file) {
        free(f->file);
        f->file = NULL;
    }
    return 0;
}

static int read_range(const json_t *j, struct finding *f, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(int_members); i++) {
        const json_t *v = json_object_get(j, int_members[i].key);
        if (!v || json_is_null(v))
            continue;
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT_MAX)
            return wrong(err, int_members[i].key, "a number that counts from 1");
        *int_of(f, &int_members[i]) = (int)json_integer_value(v);
    }
    if (!f->line)
        f->column = f->end_line = f->end_column = 0;
    if (f->end_line < f->line) /* absent, or a range that runs backwards has no end */
        f->end_line = 0;
    int last = f->end_line ? f->end_line : f->line;
    if (last == f->line && f->end_column < f->column)
        f->end_column = 0;
    return 0;
}

static int read_one_cwe(const json_t *v, struct finding *f, struct err *err)
{
    json_int_t n = 0;
    if (json_is_integer(v)) {
        n = json_integer_value(v);
    } else if (json_is_string(v)) {
        const char *s = json_string_value(v);
        if (strncasecmp(s, "CWE-", 4) == 0)
            s += 4;
        size_t digits = strspn(s, "0123456789");
        if (digits > 0 && digits < 7)
            n = strtol(s, NULL, 10); /* "89", and "CWE-89: SQL injection" as some tools write it */
    }
    if (n < 1 || n > 99999)
        return wrong(err, "cwe", "a list of numbers");
    if (f->cwe_count < FINDING_CWE_MAX)
        f->cwe[f->cwe_count++] = (int)n;
    return 0;
}

static int read_cwe(const json_t *v, struct finding *f, struct err *err)
{
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_array(v))
        return read_one_cwe(v, f, err);
    size_t i;
    json_t *one;
    json_array_foreach(v, i, one) {
        int r = read_one_cwe(one, f, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The index of the word that the member holds, def if it is absent. */
static int read_word(const json_t *j, const char *key, const char *const *words, size_t n, int def,
                     struct err *err)
{
    const json_t *v = json_object_get(j, key);
    if (!v || json_is_null(v))
        return def;
    for (size_t i = 0; json_is_string(v) && i < n; i++)
        if (strcmp(json_string_value(v), words[i]) == 0)
            return (int)i;
    return err_set(err, ERR_INVALID, "finding: unknown %s", key);
}

static int read_grades(const json_t *j, struct finding *f, struct err *err)
{
    const json_t *s = json_object_get(j, "severity");
    if (!s)
        s = json_object_get(j, "level");
    if (!json_is_string(s))
        return err_set(err, ERR_INVALID, "finding without severity");
    int r = severity_parse(json_string_value(s), &f->severity, err);
    if (r < 0)
        return err ? err_wrap(err, "finding") : r;
    r = read_word(j, "confidence", confidence_names, ARRAY_LEN(confidence_names), CONFIDENCE_MEDIUM, err);
    if (r < 0)
        return r;
    f->confidence = (enum confidence)r;
    r = read_word(j, "status", status_names, ARRAY_LEN(status_names), FINDING_NEW, err);
    if (r < 0)
        return r;
    f->status = (enum finding_status)r;
    const json_t *suppressed = json_object_get(j, "suppressed");
    if (suppressed && !json_is_boolean(suppressed) && !json_is_null(suppressed))
        return wrong(err, "suppressed", "true or false");
    f->suppressed = json_is_true(suppressed);
    return 0;
}

static bool known_key(const char *key)
{
    static const char *const others[] = {"severity", "level",    "confidence", "cwe",  "status",
                                         "suppressed", "evidence", "metadata",   "type"};
    for (size_t i = 0; i < ARRAY_LEN(text_members); i++)
        if (strcmp(key, text_members[i].key) == 0)
            return true;
    for (size_t i = 0; i < ARRAY_LEN(int_members); i++)
        if (strcmp(key, int_members[i].key) == 0)
            return true;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strcmp(key, others[i]) == 0)
            return true;
    return false;
}

/* Keeps an object that is not too large; of one that is, its size. */
static int bounded_object(json_t *j, json_t **ret, struct err *err)
{
    if (!j || json_object_size(j) == 0)
        return 0;
    size_t n = json_dumpb(j, NULL, 0, JSON_COMPACT);
    if (n <= FINDING_OBJECT_MAX) {
        *ret = json_incref(j);
        return 0;
    }
    *ret = json_pack("{s:I}", "dropped_bytes", (json_int_t)n);
    return *ret ? 0 : err_nomem(err);
}

static int read_objects(const json_t *j, struct finding *f, struct err *err)
{
    json_t *evidence = json_object_get(j, "evidence"), *given = json_object_get(j, "metadata");
    if (evidence && !json_is_object(evidence) && !json_is_null(evidence))
        return wrong(err, "evidence", "an object");
    if (given && !json_is_object(given) && !json_is_null(given))
        return wrong(err, "metadata", "an object");
    int r = bounded_object(json_is_object(evidence) ? evidence : NULL, &f->evidence, err);
    if (r < 0)
        return r;
    _cleanup_json_ json_t *metadata = json_is_object(given) ? json_copy(given) : json_object();
    if (!metadata)
        return err_nomem(err);
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)j, key, v) {
        if (known_key(key) || json_object_get(metadata, key))
            continue;
        if (json_object_set(metadata, key, v) < 0)
            return err_nomem(err);
    }
    return bounded_object(metadata, &f->metadata, err);
}

int finding_from_json(const json_t *j, struct finding *ret, struct err *err)
{
    *ret = (struct finding){0};
    if (!json_is_object(j))
        return err_set(err, ERR_INVALID, "a finding must be an object");
    struct finding f = {0};
    int r = read_texts(j, &f, err);
    if (r == 0)
        r = check_path(json_object_get(j, "file"), &f, err);
    if (r == 0)
        r = read_range(j, &f, err);
    if (r == 0)
        r = read_cwe(json_object_get(j, "cwe"), &f, err);
    if (r == 0)
        r = read_grades(j, &f, err);
    if (r == 0)
        r = read_objects(j, &f, err);
    if (r < 0) {
        finding_release(&f);
        return r;
    }
    *ret = f;
    return 0;
}
