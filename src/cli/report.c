/* What is printed at the end of a run. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/report.h"
#include "cli/term.h"
#include "cli/timeline.h"
#include "codec/json.h"
#include "codec/sarif.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

#define SARIF_BYTES_MAX ((size_t)256 << 20)

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

static const char *status_colour(const char *s)
{
    return strcmp(s, "COMPLETED") == 0 ? term_green() : strcmp(s, "RUNNING") == 0 ? term_yellow() : term_red();
}

int run_print_head(FILE *f, const struct run_info *run)
{
    char took[32];
    int lines = 1;
    int64_t end = run->finished_ns ? run->finished_ns : os_now_ns();
    fprintf(f, "%s%s%s  %s  %s%s%s  %s  ", term_bold(), run->run_id, term_off(), run->workflow, status_colour(run->status),
            run->status, term_off(), units_format_duration((end - run->started_ns) / NS_PER_MS, took, sizeof took));
    term_text(f, json_str(run->target, "name", ""));
    fputc('\n', f);
    if (run->blocked) {
        fprintf(f, "%sblocked%s: its workflow task fails again and again; once that is mended, the run goes on\n", term_red(),
                term_off());
        lines++;
    }
    if (run->failure && *run->failure) {
        fputs("  ", f);
        term_text(f, run->failure);
        fputc('\n', f);
        lines++;
    }
    return lines;
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

static int export_sarif(struct app *app, const struct run_info *run, const struct findings *f, struct err *err)
{
    struct strbuf out = STRBUF_INIT_MAX(SARIF_BYTES_MAX);
    struct sarif_options o;
    run_report_facts(&app->service, run, &o);
    int r = sarif_write(f, &o, &out, err);
    if (r == 0)
        r = os_write_file_atomic(run->gate.export_sarif, out.s, out.len, 0644, err);
    strbuf_release(&out);
    return r;
}

/* What a filter left out does not make a run incomplete, yet the reader should know of it. */
static void print_left_out(const struct run_info *run)
{
    int64_t n = run_files_left_out(run), shown = 0;
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

/* Does a notice tell of something that makes a run incomplete? A FIFO that was skipped and a filtered file do not. */
static bool means_incomplete(const json_t *notice)
{
    static const char *const kinds[] = {"unreadable", "bound", "changed"}; /* of the target; modules give a level */
    const char *kind = json_str(notice, "kind", ""), *level = json_str(notice, "level", "");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return strcmp(level, "warning") == 0 || strcmp(level, "error") == 0;
}

/* That it is incomplete, and by what, as far as a line has room. */
static void print_incomplete(const struct run_info *run)
{
    const json_t *const lists[] = {json_object_get(run->target, "notices"), json_object_get(run->result, "notifications")};
    int shown = 0;
    printf("%sincomplete%s: not all of the target was examined", term_yellow(), term_off());
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        size_t i;
        json_t *notice;
        json_array_foreach(lists[l], i, notice) {
            const char *path = json_str(notice, "path", "");
            if (!means_incomplete(notice) || shown++ > 3)
                continue;
            printf("%s", shown == 1 ? " (" : ", ");
            if (shown <= 3 && *path) {
                term_text(stdout, path);
                printf(": ");
            }
            term_text(stdout, shown > 3 ? "..." : json_str(notice, "text", ""));
        }
    }
    puts(shown ? ")" : "");
}

/* What the store has not lost: the steps and the state, which are the engine's. */
static void report_without(struct app *app, const struct run_info *run, const struct err *why)
{
    struct err err = {0};
    struct gate_verdict v;
    char started[32], ended[32];
    if (app->json) {
        app_print_json(app, run_document_without(run, why));
    } else {
        if (timeline_print(app, run->run_id, &err) < 0)
            log_error("history: %s", err.msg);
        run_print_head(stdout, run);
        printf("  started %s, ended %s\n", os_format_time(run->started_ns, started), os_format_time(run->finished_ns, ended));
        gate_judge(run, NULL, &v);
        if (run->incomplete)
            print_incomplete(run);
        if (run->gate.fail_on >= 0)
            printf("gate: %sfailed%s: %s\n", term_red(), term_off(), v.reason);
    }
    log_error("the findings cannot be read: %s%s%s", why->msg, *why->hint ? "; " : "", why->hint);
}

bool run_report(struct app *app, const struct run_info *run, bool export, int *ret_status)
{
    struct err why = {0};
    struct findings f;
    struct gate_verdict v;
    int r = run_findings(&app->service, run, &f, &why);
    if (r < 0) {
        report_without(app, run, &why);
        *ret_status = r == -ERR_NOT_FOUND ? EXIT_ENVIRONMENT : err_exit_status(r); /* the run that was named is there */
        return false;
    }
    gate_judge(run, &f, &v);
    int status = run_exit_status(run, &v);
    export = export && run->gate.export_sarif && run->closed;
    int exported = export ? export_sarif(app, run, &f, &why) : 0;
    if (app->json) {
        app_print_json(app, run_document(run, &f, &v));
    } else {
        findings_print(&f, run->gate.baseline != NULL);
        run_print_head(stdout, run);
        if (run->incomplete)
            print_incomplete(run);
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
    return true;
}
