/* What is printed at the end of a run, and its verdict. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/rundoc.h"
#include "cli/suppressions.h"
#include "cli/term.h"
#include "codec/json.h"
#include "codec/sarif.h"
#include "os/clock.h"
#include "os/file.h"
#include "version.h"

#include <stdio.h>
#include <string.h>

#define FINDINGS_BYTES_MAX ((size_t)1 << 30)
#define SARIF_BYTES_MAX ((size_t)256 << 20)

/* --- findings --------------------------------------------------------------------------------------------- */

static int read_ref(struct app *app, const json_t *ref, struct findings *ret, struct err *err)
{
    const char *name = json_str(ref, "ref", NULL);
    if (!name || !store_ref_valid(name))
        return err_set(err, ERR_INVALID, "the run's result names no findings object");
    _cleanup_free_ char *text = NULL;
    size_t len;
    int r = store_get(app->store, name, FINDINGS_BYTES_MAX, &text, &len, err);
    return r < 0 ? err_wrap(err, "findings") : findings_read(ret, text, len, err);
}

/* A REF, or a list of REFs. */
static int read_refs(struct app *app, const json_t *refs, struct findings *ret, struct err *err)
{
    if (!refs || json_is_null(refs))
        return 0;
    if (!json_is_array(refs))
        return json_object_size(refs) ? read_ref(app, refs, ret, err) : 0;
    size_t i;
    json_t *ref;
    json_array_foreach((json_t *)refs, i, ref) {
        int r = read_ref(app, ref, ret, err);
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

static int read_baseline(struct app *app, const char *baseline, struct findings *ret, struct err *err)
{
    if (baseline[0] == '/')
        return baseline_read_file(baseline, ret, err);
    _cleanup_free_ char *id = NULL;
    struct run_info run;
    int r = run_resolve(app, baseline, &id, err);
    if (r == 0)
        r = run_read(app, id, &run, err);
    if (r < 0)
        return r;
    r = read_refs(app, json_object_get(run.result, "findings"), ret, err);
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

int run_findings(struct app *app, const struct run_info *run, struct findings *ret, struct err *err)
{
    *ret = (struct findings){0};
    int r = read_refs(app, json_object_get(run->result, "findings"), ret, err);
    if (r == 0 && run->gate.no_inline_suppressions)
        for (size_t i = 0; i < ret->len; i++)
            unsuppress(&ret->v[i]);
    if (r == 0)
        r = findings_merge(ret, err);
    if (r == 0)
        r = findings_assign_ids(ret, run->run_id, (uint64_t)(run->started_ns / NS_PER_MS), err);
    if (r == 0)
        r = suppressions_apply(app, ret, err);
    if (r == 0 && run->gate.baseline) {
        struct findings base = {0};
        r = read_baseline(app, run->gate.baseline, &base, err);
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

static int64_t files_left_out(const struct run_info *run)
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
    struct findings_gate gate;
    findings_gate(f, (enum severity)run->gate.fail_on, run->gate.baseline != NULL, &gate);
    int64_t filtered = files_left_out(run);
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

int run_exit_status(const struct run_info *run, const struct gate_verdict *v)
{
    if (!run->closed)
        return EXIT_RUN_FAILED;
    if (strcmp(run->status, "CANCELLED") == 0 || strcmp(run->status, "TERMINATED") == 0)
        return EXIT_CANCELLED;
    if (strcmp(run->status, "COMPLETED") != 0)
        return EXIT_RUN_FAILED;
    if (!v || v->passed)
        return EXIT_OK;
    return v->incomplete ? EXIT_RUN_FAILED : EXIT_GATE;
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

static const char *status_colour(const char *s)
{
    return strcmp(s, "COMPLETED") == 0 ? term_green() : strcmp(s, "RUNNING") == 0 ? term_yellow() : term_red();
}

void run_print_head(const struct run_info *run)
{
    char took[32];
    int64_t end = run->finished_ns ? run->finished_ns : os_now_ns();
    printf("%s%s%s  %s  %s%s%s  %s  ", term_bold(), run->run_id, term_off(), run->workflow, status_colour(run->status),
           run->status, term_off(), units_format_duration((end - run->started_ns) / NS_PER_MS, took, sizeof took));
    term_text(stdout, json_str(run->target, "name", ""));
    putchar('\n');
    if (run->blocked)
        printf("%sblocked%s: its script does not fit its history; mend the script and it goes on\n", term_red(),
               term_off());
    if (run->failure && *run->failure) {
        printf("  ");
        term_text(stdout, run->failure);
        putchar('\n');
    }
}

void run_print_pending(const struct run_info *run)
{
    size_t i;
    json_t *a;
    json_array_foreach(run->activities, i, a) {
        const json_t *p = json_object_get(a, "progress");
        printf("  %-22s attempt %d", json_str(a, "module", ""), (int)json_i64(a, "attempt", 1));
        if (p)
            printf("  %lld of %lld", (long long)json_i64(p, "done", 0), (long long)json_i64(p, "total", 0));
        if (json_str(a, "last_failure", NULL)) {
            printf("  last failure: ");
            term_text(stdout, json_str(a, "last_failure", ""));
        }
        putchar('\n');
    }
}

static void print_snippet(const char *snippet)
{
    int lines = 0;
    for (const char *p = snippet; p && *p && lines < 3; lines++) {
        size_t n = strcspn(p, "\n");
        _cleanup_free_ char *line = mem_strndup(p, n);
        printf("      %s|%s ", term_dim(), term_off());
        term_text_cut(stdout, line ? line : "", 110);
        putchar('\n');
        p += n + (p[n] == '\n');
    }
}

static void print_finding(const struct finding *f)
{
    printf("%s%-8s%s  ", term_severity(f->severity), severity_name(f->severity), term_off());
    if (f->file) {
        printf("%s", term_bold());
        term_text(stdout, f->file);
        if (f->line)
            printf(":%d", f->line);
        printf("%s  ", term_off());
    }
    term_text(stdout, f->title ? f->title : "");
    printf("  %s%s%s%s\n", term_dim(), f->rule_id, f->status == FINDING_UNCHANGED ? " (unchanged)" : "", term_off());
    print_snippet(f->snippet);
}

void findings_print(const struct findings *f, bool compared)
{
    struct findings_counts c = findings_count(f);
    for (size_t i = 0; i < f->len; i++)
        if (!f->v[i].suppressed && f->v[i].status != FINDING_ABSENT)
            print_finding(&f->v[i]);
    if (c.total)
        putchar('\n');
    printf("%s%zu finding%s%s", term_bold(), c.total, c.total == 1 ? "" : "s", term_off());
    const char *before = ":";
    for (int s = SEVERITY_CRITICAL; s >= SEVERITY_INFO; s--) {
        if (!c.by_severity[s])
            continue;
        printf("%s %s%zu %s%s", before, term_severity((enum severity)s), c.by_severity[s],
               severity_name((enum severity)s), term_off());
        before = ",";
    }
    if (c.suppressed)
        printf("  (%zu suppressed)", c.suppressed);
    if (compared)
        printf("  (against the baseline: %zu new, %zu gone)", c.fresh, c.absent);
    putchar('\n');
}

void run_report_facts(const struct run_info *run, struct sarif_options *ret)
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
                                  .version = FF_VERSION,
                                  .compared = run->gate.baseline != NULL,
                                  .include_code_flows = true};
}

static int export_sarif(const struct run_info *run, const struct findings *f, struct err *err)
{
    struct strbuf out = STRBUF_INIT_MAX(SARIF_BYTES_MAX);
    struct sarif_options o;
    run_report_facts(run, &o);
    int r = sarif_write(f, &o, &out, err);
    if (r == 0)
        r = os_write_file_atomic(run->gate.export_sarif, out.s, out.len, 0644, err);
    strbuf_release(&out);
    return r;
}

/* What a filter left out does not make a run incomplete, yet the reader should know of it. */
static void print_left_out(const struct run_info *run)
{
    int64_t n = files_left_out(run), shown = 0;
    size_t i;
    json_t *notice;
    if (n <= 0)
        return;
    printf("left out by a filter: %lld file%s", (long long)n, n == 1 ? "" : "s");
    json_array_foreach(json_object_get(run->result, "notifications"), i, notice) {
        if (strcmp(json_str(notice, "kind", ""), "left-out") != 0 || shown == 3)
            continue;
        printf("%s", shown++ ? ", " : " (");
        term_text(stdout, json_str(notice, "text", ""));
    }
    puts(shown == 0 ? "" : shown < n ? ", ...)" : ")");
}

int run_report(struct app *app, const struct run_info *run, bool export, int *ret_status, struct err *err)
{
    struct err why = {0};
    struct findings f;
    struct gate_verdict v;
    int r = run_findings(app, run, &f, err);
    if (r < 0)
        return r;
    gate_judge(run, &f, &v);
    int status = run_exit_status(run, &v);
    export = export && run->gate.export_sarif && run->closed;
    int exported = export ? export_sarif(run, &f, &why) : 0;
    if (app->json) {
        app_print_json(app, run_document(run, &f, &v));
    } else {
        findings_print(&f, run->gate.baseline != NULL);
        run_print_head(run);
        if (run->incomplete)
            printf("%sincomplete%s: not all of the target was examined\n", term_yellow(), term_off());
        print_left_out(run);
        if (run->gate.fail_on >= 0)
            printf("gate: %s%s%s: %s\n", v.passed ? term_green() : term_red(), v.passed ? "passed" : "failed", term_off(),
                   v.reason);
        if (export && exported == 0)
            printf("SARIF: %s\n", run->gate.export_sarif);
    }
    if (exported < 0) {
        log_error("export SARIF: %s", why.msg); /* stdout has its one document */
        if (status == EXIT_OK)
            status = EXIT_ENVIRONMENT;
    }
    findings_release(&f);
    *ret_status = status;
    return 0;
}
