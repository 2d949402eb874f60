/* The module sarif_reporter: one report of all that the other modules of a run found.
 *
 * Input:
 *   findings       REFs of lists of findings, one or an array of them; also findings themselves
 *   baseline       REF of an earlier list or SARIF file, optional: each finding gets its status
 *   config         {include_code_flows: true}
 *   run            {id, workflow, started_at}: for the ids of findings and the report's facts
 *   target         {name, root} or a name
 *   notifications  [{level, kind, text, path, module}]: what was skipped or cut on the way
 *   modules        names, or [{name, version, description}]: so that those that found nothing are in the report too
 *   rules          {rule_id: {name, description, help, help_markdown, help_uri}}
 * The worker has put what a REF names into a file, whose path is the REF's "path".
 *
 * Output: the merged findings; artifacts report.sarif and findings.ndjson; summary {total, by_severity, by_category,
 * suppressed, files_affected, ...}. */
#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/sarif.h"
#include "module/module.h"
#include "os/clock.h"
#include "os/file.h"
#include "scan/builtin.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

#define LIST_BYTES_MAX ((size_t)1 << 30)

struct report {
    struct module_ctx *ctx;
    const json_t *input;
    struct findings list;
    bool compared;
    json_t *notices;
    struct sarif_stats stats;
};

/* --- input --- */

/* The path of an object that the worker laid out; nothing else may be read. */
static int object_path(const struct report *r, const json_t *ref, const char **ret, struct err *err)
{
    const char *path = json_str(ref, "path", NULL), *folder = module_objects(r->ctx);
    size_t n = folder ? strlen(folder) : 0;
    if (!path || !folder || strncmp(path, folder, n) != 0 || path[n] != '/' || strstr(path, "/../"))
        return err_set(err, ERR_INVALID, "%.80s is not laid out as an object", json_str(ref, "ref", "the list"));
    *ret = path;
    return 0;
}

static int read_list(struct report *r, const json_t *ref, struct findings *list, struct err *err)
{
    const char *path = NULL;
    _cleanup_free_ char *text = NULL;
    size_t len;
    int e = object_path(r, ref, &path, err);
    if (e == 0)
        e = os_read_file(path, LIST_BYTES_MAX, &text, &len, err);
    if (e < 0)
        return e;
    return sarif_looks_like(text, len) ? sarif_read(text, len, list, err) : findings_read(list, text, len, err);
}

static int read_inline(struct report *r, const json_t *j, struct err *err)
{
    struct finding f;
    int e = finding_from_json(j, &f, err);
    if (e == 0 && (e = findings_add(&r->list, &f, err)) < 0)
        finding_release(&f);
    return e;
}

/* A REF, a finding, or an array of such. */
static int read_findings(struct report *r, const json_t *j, int depth, struct err *err)
{
    if (!j || json_is_null(j))
        return 0;
    if (json_is_object(j)) {
        if (json_object_get(j, "rule_id"))
            return read_inline(r, j, err);
        return json_object_size(j) ? read_list(r, j, &r->list, err) : 0; /* Lua's empty list is an empty object */
    }
    if (!json_is_array(j) || depth > 2)
        return err_set(err, ERR_INVALID, "findings must be REFs or findings");
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)j, i, one) {
        int e = read_findings(r, one, depth + 1, err);
        if (e < 0)
            return err_wrap(err, "list %zu", i + 1);
    }
    return 0;
}

static int compare_baseline(struct report *r, struct err *err)
{
    _cleanup_(findings_release) struct findings base = {0};
    const json_t *ref = json_object_get(r->input, "baseline");
    if (!ref || json_is_null(ref))
        return 0;
    int e = read_list(r, ref, &base, err);
    if (e == 0)
        e = findings_compare(&r->list, &base, true, err);
    r->compared = e == 0;
    return e < 0 ? err_wrap(err, "baseline") : 0;
}

/* Milliseconds since 1970, as a number or as "2026-11-23T12:47:32Z"; now, if absent. */
static uint64_t started_ms(const json_t *run)
{
    const char *text = json_str(run, "started_at", NULL);
    struct tm tm = {0};
    int64_t ms = json_i64(run, "started_at", 0);
    if (text && strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
        ms = (int64_t)timegm(&tm) * 1000;
    return ms > 0 ? (uint64_t)ms : (uint64_t)(os_now_ns() / NS_PER_MS);
}

/* Notices under the names that modules and workflows use, brought to those of the report. */
static int read_notices(struct report *r, struct err *err)
{
    static const char *const names[][2] = {{"kind", "id"}, {"text", "message"}, {"path", "file"},
                                           {"level", "level"}, {"module", "module"}};
    const json_t *given = json_object_get(r->input, "notifications");
    size_t i;
    json_t *one;
    r->notices = json_array();
    json_array_foreach((json_t *)(uintptr_t)given, i, one) {
        json_t *notice = json_object();
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            const char *text = json_str(one, names[k][0], json_str(one, names[k][1], NULL));
            if (text)
                json_object_set_new(notice, names[k][0], json_string(text));
        }
        if (json_is_string(one))
            json_object_set(notice, "text", one);
        if (json_array_append_new(r->notices, notice) < 0)
            return err_nomem(err);
    }
    return r->notices ? 0 : err_nomem(err);
}

/* --- output --- */

static int write_fd(void *arg, const char *data, size_t n, struct err *err)
{
    return os_write_full(*(int *)arg, data, n, err);
}

/* Opens scratch/name, lets write fill it, and announces the artifact. */
static int write_artifact(struct report *r, const char *name,
                          int (*write)(struct report *r, struct out *out, struct err *err), struct err *err)
{
    _cleanup_close_ int fd = -1;
    _cleanup_free_ char *path = os_path_join(module_scratch(r->ctx), name);
    if (!path)
        return err_nomem(err);
    int e = os_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &fd, err);
    if (e < 0)
        return e;
    struct out out;
    out_init(&out, write_fd, &fd);
    e = write(r, &out, err);
    int f = out_finish(&out, e < 0 ? NULL : err);
    if (e < 0 || f < 0)
        return err_wrap(err, "%s", name);
    module_artifact(r->ctx, path, name);
    return 0;
}

static int write_lines(struct report *r, struct out *out, struct err *err)
{
    for (size_t i = 0; i < r->list.len && !out_failed(out); i++) {
        out_json(out, finding_to_json(&r->list.v[i]));
        out_puts(out, "\n");
    }
    return err_copy(err, &out->err);
}

static int write_sarif(struct report *r, struct out *out, struct err *err)
{
    const json_t *run = json_object_get(r->input, "run"), *target = json_object_get(r->input, "target");
    const json_t *config = json_object_get(r->input, "config");
    struct sarif_options o = {
        .target_name = json_is_string(target) ? json_string_value(target) : json_str(target, "name", NULL),
        .root = json_str(target, "root", NULL),
        .run_id = json_str(run, "id", NULL),
        .workflow = json_str(run, "workflow", NULL),
        .started_ns = (int64_t)started_ms(run) * NS_PER_MS,
        .finished_ns = os_now_ns(),
        .successful = !json_flag(run, "incomplete", false),
        .include_code_flows = json_flag(config, "include_code_flows", true),
        .compared = r->compared,
        .notices = r->notices,
        .modules = json_object_get(r->input, "modules"),
        .rules = json_object_get(r->input, "rules"),
    };
    return sarif_stream(&r->list, &o, out, &r->stats, err);
}

static bool count_in(json_t *counts, const char *key)
{
    return json_object_set_new(counts, key, json_integer(json_i64(counts, key, 0) + 1)) == 0;
}

/* Counts by category (the part of the rule before '/') and files with at least one finding. */
static int count_places(struct report *r, json_t *categories, size_t *ret_files, struct err *err)
{
    _cleanup_(map_release) struct map files = {0};
    for (size_t i = 0; i < r->list.len; i++) {
        const struct finding *f = &r->list.v[i];
        if (f->suppressed || f->status == FINDING_ABSENT)
            continue;
        _cleanup_free_ char *category = mem_strndup(f->rule_id, strcspn(f->rule_id, "/"));
        if (!category || !count_in(categories, category) || (f->file && !map_set(&files, f->file, r)))
            return err_nomem(err);
    }
    *ret_files = files.len;
    return 0;
}

static int write_summary(struct report *r, struct err *err)
{
    struct findings_counts c = findings_count(&r->list);
    _cleanup_json_ json_t *categories = json_object(), *severities = json_object();
    size_t files = 0;
    int e = categories && severities ? count_places(r, categories, &files, err) : err_nomem(err);
    if (e < 0)
        return e;
    for (int s = SEVERITY_CRITICAL; s >= SEVERITY_INFO; s--)
        json_object_set_new(severities, severity_name((enum severity)s),
                            json_integer((json_int_t)c.by_severity[s]));
    json_t *summary =
        json_pack("{s:I, s:O, s:O, s:I, s:I, s:I, s:I}", "total", (json_int_t)c.total, "by_severity", severities,
                  "by_category", categories, "suppressed", (json_int_t)c.suppressed, "files_affected",
                  (json_int_t)files, "notifications", (json_int_t)json_array_size(r->notices), "left_out_of_sarif",
                  (json_int_t)r->stats.left_out);
    if (summary && r->compared) {
        json_object_set_new(summary, "new", json_integer((json_int_t)c.fresh));
        json_object_set_new(summary, "absent", json_integer((json_int_t)c.absent));
    }
    if (!summary)
        return err_nomem(err);
    module_summary(r->ctx, summary);
    return 0;
}

static int make_report(struct report *r, struct err *err)
{
    const json_t *run = json_object_get(r->input, "run");
    int e = read_findings(r, json_object_get(r->input, "findings"), 0, err);
    if (e == 0)
        e = findings_merge(&r->list, err);
    if (e == 0 && json_str(run, "id", NULL))
        e = findings_assign_ids(&r->list, json_str(run, "id", ""), started_ms(run), err);
    if (e == 0)
        e = compare_baseline(r, err);
    if (e == 0)
        e = read_notices(r, err);
    if (e == 0)
        e = write_artifact(r, "findings.ndjson", write_lines, err);
    if (e == 0)
        e = write_artifact(r, "report.sarif", write_sarif, err);
    if (e < 0)
        return e;
    for (size_t i = 0; i < r->list.len; i++)
        module_finding(r->ctx, &r->list.v[i]);
    if (r->stats.left_out)
        module_log(r->ctx, "warning", "%zu result%s left out of report.sarif, which code hosts would refuse else",
                   r->stats.left_out, UNITS_S(r->stats.left_out));
    return write_summary(r, err);
}

static int run_reporter(struct module_ctx *ctx, struct err *err)
{
    struct report r = {.ctx = ctx, .input = module_input(ctx)};
    int e = make_report(&r, err);
    findings_release(&r.list);
    json_decref(r.notices);
    return e;
}

static const char *const tags[] = {"report", "sarif", NULL};

const struct module sarif_reporter_module = {
    .name = "sarif_reporter",
    .version = "1.0.0",
    .description = "One list of all findings of a run, merged and with fingerprints, and its SARIF report",
    .category = MODULE_REPORTER,
    .tags = tags,
    .input_schema =
        "{\"type\":\"object\",\"properties\":{"
        "\"findings\":{\"type\":[\"object\",\"array\",\"null\"],"
        "\"description\":\"lists of findings as other modules gave them (REF), or findings\"},"
        "\"baseline\":{\"type\":[\"object\",\"null\"],\"description\":\"REF of an earlier list or of a SARIF file\"},"
        "\"config\":{\"type\":\"object\",\"properties\":{\"include_code_flows\":{\"type\":\"boolean\",\"default\":true}}},"
        "\"run\":{\"type\":\"object\"},"
        "\"target\":{\"type\":[\"object\",\"string\",\"null\"]},"
        "\"notifications\":{\"type\":[\"array\",\"object\",\"null\"]},"
        "\"modules\":{\"type\":[\"array\",\"object\",\"null\"]},"
        "\"rules\":{\"type\":[\"object\",\"null\"]}}}",
    .output_schema =
        "{\"type\":\"object\",\"required\":[\"total\",\"by_severity\",\"by_category\",\"suppressed\",\"files_affected\"],"
        "\"properties\":{\"total\":{\"type\":\"integer\"},\"by_severity\":{\"type\":\"object\"},"
        "\"by_category\":{\"type\":\"object\"},\"suppressed\":{\"type\":\"integer\"},"
        "\"files_affected\":{\"type\":\"integer\"}}}",
    .requires_workspace = false,
    .run = run_reporter,
};
