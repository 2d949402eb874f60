/* What a run found, and the verdict on it. */
#include "api/service/objects.h"
#include "api/service/run.h"
#include "api/service/suppressions.h"
#include "api/client/remote.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

#define FINDINGS_BYTES_MAX ((size_t)1 << 30)
#define SARIF_BYTES_MAX ((size_t)256 << 20)

/* --- findings --------------------------------------------------------------------------------------------- */

static int read_ref(const struct service *svc, const char *run_id, const json_t *ref, struct findings *ret, struct err *err)
{
    const char *name = json_str(ref, "ref", NULL);
    if (!name || !store_ref_valid(name))
        return err_set(err, ERR_INVALID, "the run's result names no findings object");
    _cleanup_free_ char *text = NULL;
    size_t len;
    int r = object_of_run(svc, run_id, name, err);
    if (r == 0)
        r = store_get(svc->store, name, FINDINGS_BYTES_MAX, &text, &len, err);
    return r < 0 ? err_wrap(err, "findings") : findings_read(ret, text, len, err);
}

/* Its result has a REF, or a list of REFs. */
static int read_refs(const struct service *svc, const struct run_info *run, struct findings *ret, struct err *err)
{
    const json_t *refs = json_object_get(run->result, "findings");
    if (!refs || json_is_null(refs))
        return 0;
    if (!json_is_array(refs))
        return json_object_size(refs) ? read_ref(svc, run->run_id, refs, ret, err) : 0;
    size_t i;
    json_t *ref;
    json_array_foreach((json_t *)refs, i, ref) {
        int r = read_ref(svc, run->run_id, ref, ret, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int baseline_read_file(const char *path, struct findings *ret, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len;
    int r = os_read_file(path, SARIF_BYTES_MAX, &text, &len, err);
    if (r < 0)
        return r;
    if (sarif_looks_like(text, len))
        r = sarif_read(text, len, ret, err);
    else if ((r = findings_read(ret, text, len, err)) == 0)
        r = findings_merge(ret, err);
    bool lacks = false; /* of a tool that gives none */
    for (size_t i = 0; i < ret->len; i++)
        lacks = lacks || !ret->v[i].fingerprint;
    return r == 0 && lacks ? findings_fingerprint(ret, err) : r;
}

static int read_baseline(const struct service *svc, const char *baseline, struct findings *ret, struct err *err)
{
    if (baseline[0] == '/')
        return baseline_read_file(baseline, ret, err);
    _cleanup_free_ char *id = NULL;
    struct run_info run;
    int r = run_resolve(svc, baseline, &id, err);
    if (r == 0)
        r = run_read(svc, id, &run, err);
    if (r < 0)
        return r;
    r = read_refs(svc, &run, ret, err);
    if (r == 0)
        r = findings_merge(ret, err);
    run_info_release(&run);
    return r;
}

static void unsuppress(struct finding *f)
{
    f->suppressed = false;
    free(f->suppression_reason);
    f->suppression_reason = NULL;
}

/* Merged and suppressed. */
static int read_findings(const struct service *svc, const struct run_info *run, struct findings *ret, struct err *err)
{
    int r = read_refs(svc, run, ret, err);
    if (r == 0 && run->gate.no_inline_suppressions)
        for (size_t i = 0; i < ret->len; i++)
            unsuppress(&ret->v[i]);
    if (r == 0)
        r = findings_merge(ret, err);
    if (r == 0)
        r = findings_assign_ids(ret, run->run_id, (uint64_t)(run->started_ns / NS_PER_MS), err);
    return r < 0 ? r : suppressions_apply(svc, ret, err);
}

int run_findings(const struct service *svc, const struct run_info *run, struct findings *ret, struct err *err)
{
    *ret = (struct findings){0};
    int r = svc->client ? client_run_findings(svc->client, run->run_id, ret, err) : read_findings(svc, run, ret, err);
    bool compared = svc->client && run->gate.baseline && run->gate.baseline[0] != '/'; /* by the server */
    if (r == 0 && run->gate.baseline && !compared) {
        struct findings base = {0};
        r = read_baseline(svc, run->gate.baseline, &base, err);
        if (r == 0)
            r = findings_compare(ret, &base, true, err);
        else
            err_wrap(err, "baseline");
        findings_release(&base);
    }
    if (r < 0)
        findings_release(ret);
    return r;
}

/* --- verdict ---------------------------------------------------------------------------------------------- */

int64_t run_files_left_out(const struct run_info *run)
{
    return json_i64(json_object_get(run->result, "summary"), "files_left_out", 0);
}

void gate_judge(const struct run_info *run, const struct findings *f, struct gate_verdict *ret)
{
    *ret = (struct gate_verdict){.passed = true};
    if (run->gate.fail_on < 0) {
        snprintf(ret->reason, sizeof ret->reason, "no gate was set");
        return;
    }
    if (!f) {
        ret->passed = false;
        snprintf(ret->reason, sizeof ret->reason, "the findings cannot be read");
        return;
    }
    struct findings_gate gate;
    findings_gate(f, (enum severity)run->gate.fail_on, run->gate.baseline != NULL, &gate);
    int64_t filtered = run_files_left_out(run);
    if (!gate.passed) {
        ret->passed = false;
        snprintf(ret->reason, sizeof ret->reason, "%s", gate.reason);
    } else if (strcmp(run->status, "COMPLETED") != 0) {
        ret->passed = false;
        snprintf(ret->reason, sizeof ret->reason, "the run did not complete (%s)", run->status);
    } else if (run->incomplete) {
        ret->passed = false;
        ret->incomplete = true;
        snprintf(ret->reason, sizeof ret->reason, "the run was incomplete: not all of the target was examined");
    } else if (run->gate.strict && filtered > 0) {
        ret->passed = false;
        ret->incomplete = true;
        snprintf(ret->reason, sizeof ret->reason, "--strict: %lld file%s left out by a filter", (long long)filtered,
                 filtered == 1 ? " was" : "s were");
    } else {
        snprintf(ret->reason, sizeof ret->reason, "%s", gate.reason);
    }
}

/* --- documents -------------------------------------------------------------------------------------------- */

json_t *run_document(const struct run_info *run, const struct findings *f, const struct gate_verdict *v)
{
    char started[32], finished[32];
    struct findings_counts c = {0};
    json_t *list = json_array();
    for (size_t i = 0; f && i < f->len; i++)
        json_array_append_new(list, finding_to_json(&f->v[i]));
    if (f)
        c = findings_count(f);
    json_t *summary = json_object_get(run->result, "summary");
    int64_t end = run->finished_ns ? run->finished_ns : os_now_ns();
    json_t *doc = json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:O?, s:s, s:s?, s:I, s:O?, s:{s:I, s:I, s:I, s:I, s:I}, s:I, s:o, s:O?, s:s?, "
        "s:O?}",
        "run_id", run->run_id, "execution_id", run->execution_id, "workflow", run->workflow, "status", run->status,
        "incomplete", run->incomplete, "target", run->target, "started_at", os_format_time(run->started_ns, started),
        "finished_at", run->finished_ns ? os_format_time(run->finished_ns, finished) : NULL, "duration_ms",
        (json_int_t)((end - run->started_ns) / NS_PER_MS), "summary", summary, "findings_count", "critical",
        (json_int_t)c.by_severity[SEVERITY_CRITICAL], "high", (json_int_t)c.by_severity[SEVERITY_HIGH], "medium",
        (json_int_t)c.by_severity[SEVERITY_MEDIUM], "low", (json_int_t)c.by_severity[SEVERITY_LOW], "info",
        (json_int_t)c.by_severity[SEVERITY_INFO], "suppressed_count", (json_int_t)c.suppressed, "findings", list,
        "result", run->result, "error", run->failure, "pending_activities", run->closed ? NULL : run->activities);
    if (doc && run->blocked)
        json_object_set_new(doc, "blocked", json_true());
    if (doc && v)
        json_object_set_new(doc, "gate",
                            json_pack("{s:s?, s:b, s:s}", "level",
                                      run->gate.fail_on < 0 ? NULL : severity_name((enum severity)run->gate.fail_on),
                                      "passed", v->passed, "reason", v->reason));
    return doc;
}

json_t *run_document_without(const struct run_info *run, const struct err *why)
{
    struct gate_verdict v;
    gate_judge(run, NULL, &v);
    json_t *doc = run_document(run, NULL, &v);
    static const char *const unknown[] = {"findings", "findings_count", "suppressed_count"};
    for (size_t i = 0; doc && i < ARRAY_LEN(unknown); i++)
        json_object_set_new(doc, unknown[i], json_null());
    if (doc)
        json_object_set_new(doc, "findings_error",
                            json_pack("{s:s, s:s, s:s?}", "code", err_name(why->code), "message", why->msg, "hint",
                                      *why->hint ? why->hint : NULL));
    return doc;
}

void run_report_facts(const struct service *svc, const struct run_info *run, struct sarif_options *ret)
{
    int64_t shown = (int64_t)json_array_size(json_object_get(run->target, "notices"));
    int64_t total = json_i64(run->target, "notices_total", shown);
    *ret = (struct sarif_options){.target_name = json_str(run->target, "name", NULL),
                                  .run_id = run->run_id,
                                  .workflow = run->workflow,
                                  .started_ns = run->started_ns,
                                  .finished_ns = run->finished_ns,
                                  .successful = run->status && strcmp(run->status, "COMPLETED") == 0 && !run->incomplete,
                                  .notices = json_object_get(run->target, "notices"),
                                  .notices_left_out = total > shown ? total - shown : 0,
                                  .module_notices = json_object_get(run->result, "notifications"),
                                  .modules = json_object_get(run->result, "modules"),
                                  .failure = run->failure && *run->failure ? run->failure : NULL,
                                  .version = svc->version,
                                  .compared = run->gate.baseline != NULL,
                                  .include_code_flows = true};
}

