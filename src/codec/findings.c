#include "codec/findings.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "codec/json.h"

#include <ctype.h>
#include <string.h>

void findings_release(struct findings *list)
{
    for (size_t i = 0; i < list->len; i++)
        finding_release(&list->v[i]);
    VEC_RELEASE(list);
}

void findings_keep(struct findings *list, bool (*wanted)(const void *arg, const struct finding *f), const void *arg)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->len; i++) {
        if (!wanted(arg, &list->v[i])) {
            finding_release(&list->v[i]);
            continue;
        }
        if (kept != i) {
            list->v[kept] = list->v[i];
            list->v[i] = (struct finding){0};
        }
        kept++;
    }
    list->len = kept;
}

int findings_add(struct findings *list, struct finding *f, struct err *err)
{
    if (list->len >= FINDINGS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d findings", FINDINGS_MAX);
    if (!VEC_PUSH(list, *f))
        return err_nomem(err);
    *f = (struct finding){0};
    return 0;
}

static int add_json(struct findings *list, const json_t *j, struct err *err)
{
    struct finding f;
    int r = finding_from_json(j, &f, err);
    if (r < 0)
        return r;
    r = findings_add(list, &f, err);
    if (r < 0)
        finding_release(&f);
    return r;
}

static int add_array(struct findings *list, const json_t *array, struct err *err)
{
    size_t i;
    json_t *one;
    json_array_foreach(array, i, one) {
        int r = add_json(list, one, err);
        if (r < 0)
            return err ? err_wrap(err, "finding %zu", i + 1) : r;
    }
    return 0;
}

static int add_line(struct findings *list, const char *line, size_t n, struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    int r = json_parse(line, n, FINDINGS_LINE_MAX, &j, err);
    return r < 0 ? r : add_json(list, j, err);
}

/* Is this one JSON document, not lines of them? Then *ret is it. */
static int read_document(const char *text, size_t len, json_t **ret, struct err *err)
{
    const char *newline = memchr(text, '\n', len);
    size_t first = newline ? (size_t)(newline - text) : len;
    *ret = NULL;
    if (len == 0 || (*text != '[' && *text != '{'))
        return 0;
    if (*text == '{') {
        json_t *j;
        if (first < len && json_parse(text, first, FINDINGS_LINE_MAX, &j, NULL) == 0) {
            bool whole = json_is_array(json_object_get(j, "findings"));
            json_decref(j);
            if (!whole)
                return 0; /* the first line stands for itself */
        } else if (first == len && !memmem(text, len, "\"findings\"", 10)) {
            return 0;
        }
    }
    int r = json_parse(text, len, STRBUF_MAX_DEFAULT, ret, err);
    if (r < 0 && *text == '{')
        return 0; /* lines, of which one is bad: it will be named */
    return r;
}

int findings_read(struct findings *list, const char *text, size_t len, struct err *err)
{
    while (len > 0 && isspace((unsigned char)*text))
        text++, len--;
    _cleanup_json_ json_t *doc = NULL;
    int r = read_document(text, len, &doc, err);
    if (r < 0)
        return r;
    if (doc && json_is_array(doc))
        return add_array(list, doc, err);
    if (doc && json_is_array(json_object_get(doc, "findings")))
        return add_array(list, json_object_get(doc, "findings"), err);
    for (size_t number = 1; len > 0; number++) {
        const char *newline = memchr(text, '\n', len);
        size_t n = newline ? (size_t)(newline - text) : len;
        bool blank = true;
        for (size_t i = 0; blank && i < n; i++)
            blank = isspace((unsigned char)text[i]);
        r = blank ? 0 : add_line(list, text, n, err);
        if (r < 0)
            return err ? err_wrap(err, "line %zu", number) : r;
        n += newline != NULL;
        text += n;
        len -= n;
    }
    return 0;
}

int findings_write_line(const struct finding *f, struct strbuf *out, struct err *err)
{
    _cleanup_json_ json_t *j = finding_to_json(f);
    if (!j)
        return err_nomem(err);
    int r = json_write(j, out, err);
    if (r < 0)
        return r;
    strbuf_putc(out, '\n');
    return strbuf_check(out, err);
}

/* --- order and merging --- */

static int compare_text(const char *a, const char *b)
{
    return !a || !b ? (a != NULL) - (b != NULL) : strcmp(a, b);
}

static int compare_int(long a, long b)
{
    return (a > b) - (a < b);
}

/* A file comes before none. */
static int compare_file(const struct finding *a, const struct finding *b)
{
    return a->file && b->file ? strcmp(a->file, b->file) : (a->file == NULL) - (b->file == NULL);
}

static int compare_range(const struct finding *a, const struct finding *b)
{
    int c = compare_int(a->line, b->line);
    if (!c)
        c = compare_int(a->column, b->column);
    if (!c)
        c = compare_int(a->end_line, b->end_line);
    return c ? c : compare_int(a->end_column, b->end_column);
}

/* What makes two findings one. */
static int compare_key(const struct finding *a, const struct finding *b)
{
    int c = compare_file(a, b);
    if (!c)
        c = compare_range(a, b);
    if (!c)
        c = compare_text(a->rule_id, b->rule_id);
    return c ? c : compare_text(a->title, b->title);
}

static int compare_shown(const void *pa, const void *pb)
{
    const struct finding *a = pa, *b = pb;
    int c = compare_int(b->severity, a->severity);
    if (!c)
        c = compare_file(a, b);
    if (!c)
        c = compare_int(a->line, b->line);
    if (!c)
        c = compare_text(a->rule_id, b->rule_id);
    if (!c)
        c = compare_key(a, b);
    return c ? c : compare_text(a->fingerprint, b->fingerprint);
}

/* Equal ones together, the one to keep first; total, so that the order of input does not matter. */
static int compare_for_merge(const void *pa, const void *pb)
{
    const struct finding *a = pa, *b = pb;
    int c = compare_key(a, b);
    if (!c)
        c = compare_int(b->severity, a->severity);
    if (!c)
        c = compare_int(b->confidence, a->confidence);
    if (!c)
        c = compare_text(a->module, b->module);
    if (!c)
        c = compare_text(a->context_hash, b->context_hash);
    if (!c)
        c = compare_text(a->description, b->description);
    return c ? c : compare_text(a->snippet, b->snippet);
}

void findings_sort(struct findings *list)
{
    if (list->len > 1)
        qsort(list->v, list->len, sizeof *list->v, compare_shown);
}

static bool note_other_module(struct finding *keep, const char *module)
{
    if (!module || (keep->module && strcmp(module, keep->module) == 0))
        return true;
    if (!keep->metadata && !(keep->metadata = json_object()))
        return false;
    json_t *others = json_object_get(keep->metadata, "also_reported_by");
    if (!json_is_array(others)) {
        others = json_array();
        if (json_object_set_new(keep->metadata, "also_reported_by", others) < 0)
            return false;
    }
    size_t i;
    json_t *one;
    json_array_foreach(others, i, one)
        if (json_is_string(one) && strcmp(json_string_value(one), module) == 0)
            return true;
    return json_array_append_new(others, json_string(module)) == 0;
}

static void take_text(char **to, char **from)
{
    if (!*to)
        *to = TAKE_PTR(*from);
}

/* Puts what other knows and keep does not into keep, and releases other. */
static int absorb(struct finding *keep, struct finding *other, struct err *err)
{
    for (size_t i = 0; i < other->cwe_count; i++) {
        bool known = keep->cwe_count == FINDING_CWE_MAX;
        for (size_t k = 0; !known && k < keep->cwe_count; k++)
            known = keep->cwe[k] == other->cwe[i];
        if (!known)
            keep->cwe[keep->cwe_count++] = other->cwe[i];
    }
    if (other->confidence > keep->confidence)
        keep->confidence = other->confidence;
    if (other->suppressed && !keep->suppressed) {
        keep->suppressed = true;
        take_text(&keep->suppression_reason, &other->suppression_reason);
        take_text(&keep->suppression_kind, &other->suppression_kind);
    }
    take_text(&keep->module, &other->module);
    take_text(&keep->description, &other->description);
    take_text(&keep->recommendation, &other->recommendation);
    take_text(&keep->snippet, &other->snippet);
    take_text(&keep->context_hash, &other->context_hash);
    take_text(&keep->fingerprint, &other->fingerprint);
    take_text(&keep->id, &other->id);
    if (!keep->evidence)
        keep->evidence = TAKE_PTR(other->evidence);
    bool ok = note_other_module(keep, other->module);
    finding_release(other);
    return ok ? 0 : err_nomem(err);
}

/* --- a credential that two kinds of rules see is one finding --- */

static bool is_credential(const struct finding *f)
{
    for (size_t i = 0; i < f->cwe_count; i++)
        if (f->cwe[i] == 798 || f->cwe[i] == 259 || f->cwe[i] == 321)
            return f->file && f->line > 0;
    return false;
}

/* Which speaks: a rule that knows whose secret it is, one that knows the code, one that goes by a variable's name. */
static int credential_rank(const struct finding *f)
{
    if (strncmp(f->rule_id, "secret/generic", 14) == 0)
        return 2;
    return strncmp(f->rule_id, "secret/", 7) == 0 ? 0 : 1;
}

static int compare_place(const void *pa, const void *pb)
{
    const struct finding *a = pa, *b = pb;
    bool ca = is_credential(a), cb = is_credential(b);
    int c = compare_int(cb, ca);
    if (!c && ca) {
        c = compare_text(a->file, b->file);
        if (!c)
            c = compare_int(a->line, b->line);
        if (!c)
            c = compare_int(credential_rank(a), credential_rank(b));
        if (!c)
            c = compare_int(b->severity, a->severity);
    }
    return c ? c : compare_for_merge(a, b);
}

static bool same_category(const struct finding *a, const struct finding *b)
{
    size_t n = strcspn(a->rule_id, "/");
    return n == strcspn(b->rule_id, "/") && memcmp(a->rule_id, b->rule_id, n) == 0;
}

/* Two secrets on one line, found by rules of one category, stay two. */
static int merge_credentials(struct findings *list, struct err *err)
{
    if (list->len > 1)
        qsort(list->v, list->len, sizeof *list->v, compare_place);
    size_t kept = 0, first = 0; /* the first one kept of this line */
    int r = 0;
    for (size_t i = 0; i < list->len; i++) {
        struct finding *f = &list->v[i], *lead = &list->v[first];
        bool same_line = kept > 0 && is_credential(f) && is_credential(lead) && f->line == lead->line &&
                         strcmp(f->file, lead->file) == 0;
        if (same_line && !same_category(f, lead)) {
            lead->severity = f->severity > lead->severity ? f->severity : lead->severity;
            int e = absorb(lead, f, err);
            r = r < 0 ? r : e;
            continue;
        }
        if (!same_line)
            first = kept;
        if (kept != i) {
            list->v[kept] = *f;
            *f = (struct finding){0};
        }
        kept++;
    }
    list->len = kept;
    return r;
}

int findings_merge(struct findings *list, struct err *err)
{
    if (list->len > 1)
        qsort(list->v, list->len, sizeof *list->v, compare_for_merge);
    size_t kept = 0;
    int r = 0;
    for (size_t i = 0; i < list->len; i++) {
        struct finding *f = &list->v[i];
        if (kept > 0 && compare_key(&list->v[kept - 1], f) == 0) {
            int e = absorb(&list->v[kept - 1], f, err);
            r = r < 0 ? r : e;
        } else {
            if (kept != i) {
                list->v[kept] = *f;
                *f = (struct finding){0};
            }
            kept++;
        }
    }
    list->len = kept;
    if (r == 0)
        r = merge_credentials(list, err);
    if (r < 0)
        return r;
    findings_sort(list);
    return findings_fingerprint(list, err);
}

/* --- counting, baseline, gate --- */

struct findings_counts findings_count(const struct findings *list)
{
    struct findings_counts c = {0};
    for (size_t i = 0; i < list->len; i++) {
        const struct finding *f = &list->v[i];
        if (f->status == FINDING_ABSENT) {
            c.absent++;
        } else if (f->suppressed) {
            c.suppressed++;
        } else {
            c.by_severity[f->severity]++;
            c.total++;
            c.fresh += f->status == FINDING_NEW;
        }
    }
    return c;
}

json_t *findings_counts_json(const struct findings_counts *c)
{
    _cleanup_json_ json_t *j = json_object();
    for (int s = SEVERITY_CRITICAL; s >= SEVERITY_INFO; s--)
        if (json_object_set_new(j, severity_name((enum severity)s),
                                json_integer((json_int_t)c->by_severity[s])) < 0)
            return NULL;
    if (json_object_set_new(j, "total", json_integer((json_int_t)c->total)) < 0 ||
        json_object_set_new(j, "suppressed", json_integer((json_int_t)c->suppressed)) < 0)
        return NULL;
    return TAKE_PTR(j);
}

void findings_gate(const struct findings *list, enum severity level, bool new_only,
                   struct findings_gate *ret)
{
    *ret = (struct findings_gate){.level = level};
    for (size_t i = 0; i < list->len; i++) {
        const struct finding *f = &list->v[i];
        if (f->severity < level || f->status == FINDING_ABSENT)
            continue;
        if (f->suppressed)
            ret->suppressed++;
        else if (new_only && f->status == FINDING_UNCHANGED)
            ret->unchanged++;
        else
            ret->hits++;
    }
    ret->passed = ret->hits == 0;
    size_t cap = sizeof ret->reason, n;
    if (ret->hits)
        snprintf(ret->reason, cap, "%zu %sfinding%s at or above %s", ret->hits, new_only ? "new " : "",
                 ret->hits == 1 ? "" : "s", severity_name(level));
    else
        snprintf(ret->reason, cap, "no %sfinding at or above %s", new_only ? "new " : "",
                 severity_name(level));
    n = strlen(ret->reason);
    if (ret->suppressed && ret->unchanged)
        snprintf(ret->reason + n, cap - n, "; not counted: %zu suppressed, %zu unchanged", ret->suppressed,
                 ret->unchanged);
    else if (ret->suppressed || ret->unchanged)
        snprintf(ret->reason + n, cap - n, "; not counted: %zu %s", ret->suppressed + ret->unchanged,
                 ret->suppressed ? "suppressed" : "unchanged");
}
