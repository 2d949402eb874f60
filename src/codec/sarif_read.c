/* SARIF in: results of any tool as findings. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/sarif.h"
#include "codec/uri.h"

#include <stdio.h>
#include <string.h>

#define SARIF_READ_MAX ((size_t)512 << 20)

bool sarif_looks_like(const char *text, size_t len)
{
    size_t n = len < 4096 ? len : 4096, i = 0;
    while (i < n && strchr(" \t\r\n", text[i]))
        i++;
    return i < n && text[i] == '{' && memmem(text, n, "\"version\"", 9) && memmem(text, n, "\"2.1.0\"", 7);
}

/* The rule of a result: by index, else by id. */
static const json_t *rule_of(const json_t *run, const json_t *result)
{
    const json_t *rules = json_object_get(json_object_get(json_object_get(run, "tool"), "driver"), "rules");
    const char *id = json_str(result, "ruleId", json_str(json_object_get(result, "rule"), "id", NULL));
    int64_t index = json_i64(result, "ruleIndex", json_i64(json_object_get(result, "rule"), "index", -1));
    const json_t *rule = index >= 0 ? json_array_get(rules, (size_t)index) : NULL;
    if (rule)
        return rule;
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)rules, i, one)
        if (id && strcmp(json_str(one, "id", ""), id) == 0)
            return one;
    return NULL;
}

static const char *severity_from_score(const char *text)
{
    double score = text ? strtod(text, NULL) : -1;
    return score >= 9 ? "critical" : score >= 7 ? "high" : score >= 4 ? "medium" : score > 0 ? "low" : NULL;
}

static const char *severity_of(const json_t *rule, const json_t *result)
{
    const char *given = json_str(json_object_get(result, "properties"), "severity", NULL);
    enum severity s;
    if (given && severity_parse(given, &s, NULL) == 0)
        return given;
    const char *scored = severity_from_score(json_str(json_object_get(rule, "properties"), "security-severity", NULL));
    if (scored)
        return scored;
    const char *level = json_str(json_object_get(rule, "defaultConfiguration"), "level", "warning");
    level = json_str(result, "level", level);
    return severity_parse(level, &s, NULL) == 0 ? severity_name(s) : "info";
}

/* "external/cwe/cwe-089" of the rule's tags, as most tools write it. */
static void add_tagged_cwe(json_t *cwe, const json_t *tags)
{
    size_t i;
    json_t *tag;
    json_array_foreach((json_t *)(uintptr_t)tags, i, tag) {
        const char *s = json_is_string(tag) ? json_string_value(tag) : "";
        const char *found = strcasestr(s, "cwe-");
        long n = found ? strtol(found + 4, NULL, 10) : 0;
        if (n > 0 && n <= 99999)
            json_array_append_new(cwe, json_integer(n));
    }
}

static json_t *cwe_of(const json_t *rule, const json_t *result)
{
    json_t *cwe = json_array(), *taxon;
    size_t i;
    json_array_foreach(json_object_get(result, "taxa"), i, taxon) {
        long n = strtol(json_str(taxon, "id", ""), NULL, 10);
        if (n > 0 && n <= 99999 && strcmp(json_str(json_object_get(taxon, "toolComponent"), "name", ""), "CWE") == 0)
            json_array_append_new(cwe, json_integer(n));
    }
    bool ours = json_str(json_object_get(result, "properties"), "title", NULL);
    if (json_array_size(cwe) == 0 && !ours)
        add_tagged_cwe(cwe, json_object_get(json_object_get(rule, "properties"), "tags"));
    return cwe;
}

/* A relative path, or nothing: a baseline names files of this target only. */
static int read_path(const json_t *artifact, json_t *ret, struct err *err)
{
    const char *uri = json_str(artifact, "uri", NULL);
    if (!uri || *uri == '/' || strstr(uri, "://"))
        return 0;
    struct strbuf path = STRBUF_INIT;
    int r = uri_append_decoded(&path, uri, err);
    if (r == 0 && path.len > 0 && path.len <= FINDING_PATH_MAX && !memchr(path.s, 0, path.len) && path.s[0] != '/') {
        _cleanup_free_ char *probe = mem_printf("/%s/", path.s);
        if (!probe)
            r = err_nomem(err);
        else if (!strstr(probe, "/../"))
            json_object_set_new(ret, "file", json_clean_string(path.s));
    }
    strbuf_release(&path);
    return r;
}

static int read_place(const json_t *result, json_t *ret, struct err *err)
{
    static const char *const members[][2] = {{"startLine", "line"}, {"startColumn", "column"},
                                             {"endLine", "end_line"}, {"endColumn", "end_column"}};
    const json_t *location = json_array_get(json_object_get(result, "locations"), 0);
    const json_t *physical = json_object_get(location, "physicalLocation");
    const json_t *region = json_object_get(physical, "region");
    int r = read_path(json_object_get(physical, "artifactLocation"), ret, err);
    if (r < 0 || json_flag(json_object_get(result, "properties"), "placeless", false))
        return r;
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        int64_t v = json_i64(region, members[i][0], 0);
        if (v > 0 && v < INT32_MAX)
            json_object_set_new(ret, members[i][1], json_integer(v));
    }
    const char *snippet = json_str(json_object_get(region, "snippet"), "text", NULL);
    if (snippet)
        json_object_set_new(ret, "snippet", json_clean_string(snippet));
    return 0;
}

static void set_string(json_t *ret, const char *key, const char *text)
{
    if (text)
        json_object_set_new(ret, key, json_clean_string(text));
}

static const char *fingerprint_of(const json_t *result)
{
    static const char *const keys[] = {"fuzzforge/v1", "primaryLocationLineHash"};
    const json_t *partial = json_object_get(result, "partialFingerprints"), *v;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (json_str(partial, keys[i], NULL))
            return json_str(partial, keys[i], NULL);
    const char *key, *found = NULL;
    json_object_foreach(json_object_get(result, "fingerprints"), key, v)
        found = found ? found : json_string_value(v);
    json_object_foreach((json_t *)(uintptr_t)partial, key, v)
        found = found ? found : json_string_value(v);
    return found;
}

static void read_suppression(const json_t *result, json_t *ret)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(result, "suppressions"), i, one) {
        if (strcmp(json_str(one, "status", "accepted"), "accepted") != 0)
            continue;
        json_object_set_new(ret, "suppressed", json_true());
        set_string(ret, "suppression_reason", json_str(one, "justification", NULL));
        if (strcmp(json_str(one, "kind", ""), "external") == 0)
            set_string(ret, "suppression_kind", "external");
        return;
    }
}

/* The members that SARIF has no place for, as sarif_result.c wrote them. */
static void read_properties(const json_t *result, json_t *ret)
{
    static const char *const texts[] = {"id", "title", "description", "recommendation", "module", "context_hash",
                                        "snippet"};
    static const char *const objects[] = {"evidence", "metadata"};
    const json_t *p = json_object_get(result, "properties");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        set_string(ret, texts[i], json_str(p, texts[i], NULL));
    for (size_t i = 0; i < ARRAY_LEN(objects); i++)
        if (json_is_object(json_object_get(p, objects[i])))
            json_object_set(ret, objects[i], json_object_get(p, objects[i]));
    const char *confidence = json_str(p, "confidence", "");
    if (strcmp(confidence, "low") == 0 || strcmp(confidence, "high") == 0)
        set_string(ret, "confidence", confidence);
}

static void set_title(const json_t *rule, const json_t *result, json_t *ret)
{
    const char *message = json_str(json_object_get(result, "message"), "text", NULL);
    const char *name = json_str(json_object_get(rule, "shortDescription"), "text", json_str(rule, "name", NULL));
    const char *id = json_str(ret, "rule_id", "finding");
    set_string(ret, "title", name && *name ? name : message && *message ? message : id);
    if (name && message && strcmp(name, message) != 0)
        set_string(ret, "description", message);
}

static int read_result(const json_t *run, const json_t *result, struct findings *list, struct err *err)
{
    _cleanup_json_ json_t *j = json_object();
    const json_t *rule = rule_of(run, result);
    const char *state = json_str(result, "baselineState", "new");
    const char *rule_id = json_str(result, "ruleId", json_str(rule, "id", ""));
    if (!j)
        return err_nomem(err);
    set_string(j, "rule_id", *rule_id ? rule_id : "unknown/rule");
    if (!json_object_get(json_object_get(result, "properties"), "title"))
        set_title(rule, result, j);
    set_string(j, "severity", severity_of(rule, result));
    json_object_set_new(j, "cwe", cwe_of(rule, result));
    int r = read_place(result, j, err);
    if (r < 0)
        return r;
    set_string(j, "module",
               json_str(json_object_get(json_object_get(run, "tool"), "driver"), "name", NULL));
    set_string(j, "fingerprint", fingerprint_of(result));
    set_string(j, "status", strcmp(state, "absent") == 0 || strcmp(state, "unchanged") == 0 ? state : "new");
    read_suppression(result, j);
    read_properties(result, j);
    struct finding f;
    r = finding_from_json(j, &f, err);
    if (r == 0 && (r = findings_add(list, &f, err)) < 0)
        finding_release(&f);
    return r;
}

static int read_run(const json_t *run, struct findings *list, struct err *err)
{
    const json_t *results = json_object_get(run, "results");
    size_t i;
    json_t *result;
    if (results && !json_is_array(results) && !json_is_null(results))
        return err_set(err, ERR_INVALID, "results is no array");
    json_array_foreach((json_t *)(uintptr_t)results, i, result) {
        int r = json_is_object(result) ? read_result(run, result, list, err)
                                       : err_set(err, ERR_INVALID, "no object");
        if (r < 0)
            return err ? err_wrap(err, "result %zu", i + 1) : r;
    }
    return 0;
}

int sarif_read(const char *text, size_t len, struct findings *list, struct err *err)
{
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) /* some tools begin with a byte order mark */
        text += 3, len -= 3;
    _cleanup_json_ json_t *doc = NULL;
    int r = json_parse(text, len, SARIF_READ_MAX, &doc, err);
    if (r < 0)
        return err ? err_wrap(err, "SARIF") : r;
    const json_t *runs = json_object_get(doc, "runs");
    if (strncmp(json_str(doc, "version", ""), "2.1.", 4) != 0 || !json_is_array(runs))
        return err_set(err, ERR_INVALID, "no SARIF 2.1.0 file: needs \"version\": \"2.1.0\" and \"runs\"");
    size_t i;
    json_t *run;
    json_array_foreach((json_t *)(uintptr_t)runs, i, run) {
        r = read_run(run, list, err);
        if (r < 0)
            return err ? err_wrap(err, "SARIF run %zu", i + 1) : r;
    }
    return 0;
}
