/* One result of SARIF: location, fingerprint, suppression, code flow and stack of a finding. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/sarif_internal.h"
#include "codec/uri.h"

#include <stdio.h>
#include <string.h>

#define FLOW_STEPS_MAX 1000
#define STACK_FRAMES_MAX 256

json_t *sarif_object(struct sarif_maker *m)
{
    json_t *j = json_object();
    m->failed |= !j;
    return j;
}

json_t *sarif_array(struct sarif_maker *m)
{
    json_t *j = json_array();
    m->failed |= !j;
    return j;
}

void sarif_set(struct sarif_maker *m, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) < 0)
        m->failed = true;
}

void sarif_set_text(struct sarif_maker *m, json_t *object, const char *key, const char *text)
{
    if (text)
        sarif_set(m, object, key, json_clean_string(text));
}

void sarif_set_message(struct sarif_maker *m, json_t *object, const char *key, const char *text)
{
    if (!text)
        return;
    json_t *message = sarif_object(m);
    sarif_set_text(m, message, "text", text);
    sarif_set(m, object, key, message);
}

void sarif_push(struct sarif_maker *m, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) < 0)
        m->failed = true;
}

json_t *sarif_made(struct sarif_maker *m, json_t *j)
{
    if (!m->failed)
        return j;
    json_decref(j);
    return NULL;
}

static json_t *artifact_location(const char *file)
{
    struct sarif_maker m = {0};
    struct strbuf uri = STRBUF_INIT;
    bool absolute = file && file[0] == '/'; /* a frame in a system library */
    if (absolute)
        strbuf_puts(&uri, "file://");
    uri_append_path(&uri, file ? file : ".");
    json_t *j = sarif_object(&m);
    m.failed |= strbuf_check(&uri, NULL) < 0;
    sarif_set_text(&m, j, "uri", strbuf_str(&uri));
    if (!absolute)
        sarif_set_text(&m, j, "uriBaseId", SARIF_ROOT);
    strbuf_release(&uri);
    return sarif_made(&m, j);
}

static void set_positive(struct sarif_maker *m, json_t *j, const char *key, int value)
{
    if (value > 0)
        sarif_set(m, j, key, json_integer(value));
}

json_t *sarif_location_json(const char *file, int line, int column, int end_line, int end_column,
                            const char *snippet, const char *message)
{
    struct sarif_maker m = {0};
    json_t *j = sarif_object(&m), *physical = sarif_object(&m);
    sarif_set(&m, physical, "artifactLocation", artifact_location(file));
    if (line > 0) {
        json_t *region = sarif_object(&m);
        set_positive(&m, region, "startLine", line);
        set_positive(&m, region, "startColumn", column);
        set_positive(&m, region, "endLine", end_line);
        set_positive(&m, region, "endColumn", end_column);
        sarif_set_message(&m, region, "snippet", snippet);
        sarif_set(&m, physical, "region", region);
    }
    sarif_set(&m, j, "physicalLocation", physical);
    sarif_set_message(&m, j, "message", message);
    return sarif_made(&m, j);
}

static int small_int(const json_t *j, const char *key)
{
    int64_t v = json_i64(j, key, 0);
    return v > 0 && v < INT32_MAX ? (int)v : 0;
}

/* The place of a step of a flow or a frame of a stack. */
static json_t *step_location(const json_t *step, const char *function)
{
    struct sarif_maker m = {0};
    const char *file = json_str(step, "file", NULL);
    const char *message = json_is_string(step) ? json_string_value(step) : json_str(step, "message", NULL);
    json_t *j;
    if (file)
        j = sarif_location_json(file, small_int(step, "line"), small_int(step, "column"), small_int(step, "end_line"),
                                small_int(step, "end_column"), json_str(step, "snippet", NULL), message);
    else
        sarif_set_message(&m, j = sarif_object(&m), "message", message ? message : function ? function : "");
    if (function) {
        json_t *list = sarif_array(&m), *logical = sarif_object(&m);
        sarif_set_text(&m, logical, "fullyQualifiedName", function);
        sarif_push(&m, list, logical);
        sarif_set(&m, j, "logicalLocations", list);
    }
    return sarif_made(&m, j);
}

static json_t *code_flows(const json_t *flow)
{
    struct sarif_maker m = {0};
    json_t *locations = sarif_array(&m), *thread = sarif_object(&m), *threads = sarif_array(&m);
    json_t *one = sarif_object(&m), *flows = sarif_array(&m), *step;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)flow, i, step) {
        if (i == FLOW_STEPS_MAX)
            break;
        json_t *wrapped = sarif_object(&m);
        sarif_set(&m, wrapped, "location", step_location(step, NULL));
        sarif_push(&m, locations, wrapped);
    }
    sarif_set(&m, thread, "locations", locations);
    sarif_push(&m, threads, thread);
    sarif_set(&m, one, "threadFlows", threads);
    sarif_push(&m, flows, one);
    return sarif_made(&m, flows);
}

static json_t *stacks(const json_t *stack)
{
    struct sarif_maker m = {0};
    json_t *frames = sarif_array(&m), *one = sarif_object(&m), *list = sarif_array(&m), *frame;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)stack, i, frame) {
        if (i == STACK_FRAMES_MAX)
            break;
        json_t *wrapped = sarif_object(&m);
        sarif_set(&m, wrapped, "location", step_location(frame, json_str(frame, "function", NULL)));
        sarif_set_text(&m, wrapped, "module", json_str(frame, "module", NULL));
        sarif_push(&m, frames, wrapped);
    }
    sarif_set(&m, one, "frames", frames);
    sarif_push(&m, list, one);
    return sarif_made(&m, list);
}

static json_t *suppressions(const struct finding *f)
{
    struct sarif_maker m = {0};
    json_t *list = sarif_array(&m);
    if (f->suppressed) {
        bool external = f->suppression_kind && strcmp(f->suppression_kind, "external") == 0;
        json_t *one = sarif_object(&m);
        sarif_set_text(&m, one, "kind", external ? "external" : "inSource");
        sarif_set_text(&m, one, "status", "accepted");
        sarif_set_text(&m, one, "justification", f->suppression_reason);
        sarif_push(&m, list, one);
    }
    return sarif_made(&m, list);
}

static json_t *fingerprints(const struct finding *f)
{
    struct sarif_maker m = {0};
    json_t *j = sarif_object(&m);
    _cleanup_free_ char *line_hash = mem_printf("%s:1", f->fingerprint);
    m.failed |= !line_hash;
    sarif_set_text(&m, j, "fuzzforge/v1", f->fingerprint);
    sarif_set_text(&m, j, "primaryLocationLineHash", line_hash); /* the one that GitHub looks at */
    return sarif_made(&m, j);
}

static json_t *taxa(const struct sarif_rules *rules, const struct finding *f)
{
    struct sarif_maker m = {0};
    json_t *list = sarif_array(&m);
    for (size_t i = 0; i < f->cwe_count; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", f->cwe[i]);
        sarif_push(&m, list,
                   json_pack("{s:s, s:I, s:{s:s, s:i}}", "id", id, "index",
                             (json_int_t)sarif_taxon_index(rules, f->cwe[i]), "toolComponent", "name", "CWE", "index",
                             0));
    }
    return sarif_made(&m, list);
}

/* Whatever SARIF has no member for: with it, reading gives the same finding. */
static json_t *properties(const struct finding *f)
{
    struct sarif_maker m = {0};
    json_t *j = sarif_object(&m);
    sarif_set_text(&m, j, "id", f->id);
    sarif_set_text(&m, j, "title", f->title);
    sarif_set_text(&m, j, "description", f->description);
    sarif_set_text(&m, j, "severity", severity_name(f->severity));
    sarif_set_text(&m, j, "confidence", confidence_name(f->confidence));
    sarif_set_text(&m, j, "recommendation", f->recommendation);
    sarif_set_text(&m, j, "module", f->module);
    sarif_set_text(&m, j, "context_hash", f->context_hash);
    if (f->snippet && (!f->file || !f->line))
        sarif_set_text(&m, j, "snippet", f->snippet);
    if (!f->file || !f->line)
        sarif_set(&m, j, "placeless", json_true());
    if (f->evidence)
        sarif_set(&m, j, "evidence", json_incref(f->evidence));
    if (f->metadata)
        sarif_set(&m, j, "metadata", json_incref(f->metadata));
    return sarif_made(&m, j);
}

static void set_evidence(struct sarif_maker *m, json_t *j, const struct finding *f, const struct sarif_options *o)
{
    const json_t *flow = json_object_get(f->evidence, "flow"), *stack = json_object_get(f->evidence, "stack");
    if (o->include_code_flows && json_array_size(flow) > 0)
        sarif_set(m, j, "codeFlows", code_flows(flow));
    if (json_array_size(stack) > 0)
        sarif_set(m, j, "stacks", stacks(stack));
}

json_t *sarif_result_json(const struct sarif_rules *rules, const struct finding *f,
                          const struct sarif_options *o)
{
    static const char *const states[] = {"new", "unchanged", "absent"};
    struct sarif_maker m = {0};
    json_t *j = sarif_object(&m), *locations = sarif_array(&m);
    _cleanup_free_ char *message =
        f->description ? mem_printf("%s\n\n%s", f->title, f->description) : mem_strdup(f->title);
    m.failed |= !message;
    sarif_set_text(&m, j, "ruleId", f->rule_id);
    sarif_set(&m, j, "ruleIndex", json_integer((json_int_t)sarif_rule_index(rules, f->rule_id)));
    sarif_set_text(&m, j, "level", severity_sarif_level(f->severity));
    sarif_set_message(&m, j, "message", message);
    /* A result without a place, or a place without a line, makes some receivers refuse the whole file. */
    sarif_push(&m, locations,
               sarif_location_json(f->file, f->file && f->line ? f->line : 1, f->column, f->end_line, f->end_column,
                                   f->file && f->line ? f->snippet : NULL, NULL));
    sarif_set(&m, j, "locations", locations);
    if (f->fingerprint)
        sarif_set(&m, j, "partialFingerprints", fingerprints(f));
    if (o->compared)
        sarif_set_text(&m, j, "baselineState", states[f->status]);
    sarif_set(&m, j, "suppressions", suppressions(f));
    set_evidence(&m, j, f, o);
    if (f->cwe_count)
        sarif_set(&m, j, "taxa", taxa(rules, f));
    sarif_set(&m, j, "properties", properties(f));
    return sarif_made(&m, j);
}
