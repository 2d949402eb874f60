/* ff findings: what was found, in the last run or any other; ff finding: one of them in full. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/findings_args.h"
#include "cli/findings_show.h"
#include "cli/table.h"
#include "cli/term.h"
#include "codec/export.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define HISTORY_RUNS 20
#define SHORT_ID 10 /* digits of the fingerprint that lists show */

static int open_state(struct app *app, struct err *err)
{
    return app_open(app, APP_STORE | APP_ENGINE, err);
}

/* --- list ------------------------------------------------------------------------------------------------- */

static json_t *findings_json(const struct findings *list)
{
    json_t *j = json_array();
    for (size_t i = 0; i < list->len; i++)
        json_array_append_new(j, finding_to_json(&list->v[i]));
    return j;
}

static const char *state_word(const struct finding *f)
{
    return f->status == FINDING_ABSENT ? "absent" : f->suppressed ? "suppressed" : finding_status_name(f->status);
}

static void add_row(struct table *t, const struct finding *f)
{
    bool muted = f->suppressed || f->status == FINDING_ABSENT;
    table_addf(t, term_dim(), "%.*s", SHORT_ID, f->fingerprint ? f->fingerprint : "");
    table_add(t, muted ? term_dim() : term_severity(f->severity), severity_name(f->severity));
    if (f->file && f->line)
        table_addf(t, NULL, "%.400s:%d", f->file, f->line);
    else
        table_add(t, NULL, f->file);
    table_add(t, NULL, f->rule_id);
    table_add(t, NULL, state_word(f));
    table_add(t, NULL, f->title);
}

static void print_list(const struct findings *list)
{
    static const char *const heads[] = {"ID", "SEVERITY", "PLACE", "RULE", "STATUS", "TITLE", NULL};
    struct table t;
    table_init(&t, heads);
    for (size_t i = 0; i < list->len; i++)
        add_row(&t, &list->v[i]);
    table_print(&t);
}

static int list(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct run_list l;
    if (open_state(app, &err) < 0 || run_list_open(&app->service, args_get(a, "run"), &l, &err) < 0)
        return app_fail(app, &err);
    size_t all = l.list.len;
    int status = EXIT_OK;
    if (findings_filter_args(a, &l.list, &err) < 0) {
        status = app_fail(app, &err);
    } else if (app->json) {
        struct findings_counts c = findings_count(&l.list);
        app_print_json(app, json_pack("{s:s, s:s, s:o, s:o}", "run_id", l.run.run_id, "workflow", l.run.workflow,
                                      "findings_count", findings_counts_json(&c), "findings", findings_json(&l.list)));
    } else {
        print_list(&l.list);
        if (!app->quiet)
            fprintf(stderr, "ff: run %s of %s: %zu of %zu finding%s shown\n", l.run.run_id, l.run.workflow, l.list.len,
                    all, UNITS_S(all));
    }
    run_list_release(&l);
    return status;
}

/* --- export ----------------------------------------------------------------------------------------------- */

static int write_fd(void *arg, const char *data, size_t n, struct err *err)
{
    return os_write_full(*(int *)arg, data, n, err);
}

static int write_stdout(void *arg, const char *data, size_t n, struct err *err)
{
    (void)arg;
    return fwrite(data, 1, n, stdout) == n ? 0 : err_set(err, ERR_IO, "write to stdout");
}

static int write_export(struct app *app, const struct run_list *l, enum export_format format, struct out *out, struct err *err)
{
    struct sarif_options o;
    run_report_facts(&app->service, &l->run, &o);
    int r = export_findings(&l->list, format, &o, out, err);
    int e = out_finish(out, r < 0 ? NULL : err);
    return r < 0 ? r : e;
}

/* A temporary file beside it first, so that a failure leaves what was there. */
static int export_file(struct app *app, const struct run_list *l, enum export_format format, const char *path, struct err *err)
{
    _cleanup_close_ int fd = -1;
    _cleanup_free_ char *temp = mem_printf("%s.part", path);
    struct out out;
    if (!temp)
        return err_nomem(err);
    int r = os_open(temp, O_WRONLY | O_CREAT | O_TRUNC, 0644, &fd, err);
    if (r < 0)
        return r;
    out_init(&out, write_fd, &fd);
    r = write_export(app, l, format, &out, err);
    if (r == 0)
        r = os_rename(temp, path, err);
    if (r < 0)
        os_unlink(temp, true, NULL);
    return r;
}

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n > m && strcmp(s + n - m, suffix) == 0;
}

/* --format, else what the file's name ends in, else SARIF. */
static int choose_format(const struct args *a, enum export_format *ret, struct err *err)
{
    const char *name = args_get(a, "format"), *file = args_get(a, "output");
    *ret = EXPORT_SARIF;
    if (name)
        return export_format_parse(name, ret, err);
    for (int f = 0; file && f < EXPORT_GL_SAST; f++) /* whose suffix is that of JSON */
        if (ends_with(file, export_format_suffix((enum export_format)f)))
            *ret = (enum export_format)f;
    return 0;
}

static int export(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct run_list l = {0};
    enum export_format format;
    const char *file = args_get(a, "output");
    int r = choose_format(a, &format, &err);
    if (r == 0 && !file && app->json && format != EXPORT_JSON)
        return app_usage(app, "--json and the export both go to stdout: give -o FILE");
    if (r == 0)
        r = open_state(app, &err);
    if (r == 0)
        r = run_list_open(&app->service, args_get(a, "run") ? args_get(a, "run") : args_pos(a, 0), &l, &err);
    if (r < 0)
        return app_fail(app, &err);
    struct out out;
    out_init(&out, write_stdout, NULL);
    r = findings_filter_args(a, &l.list, &err);
    if (r == 0)
        r = file ? export_file(app, &l, format, file, &err) : write_export(app, &l, format, &out, &err);
    size_t n = l.list.len;
    run_list_release(&l);
    if (r < 0)
        return app_fail(app, &err);
    if (file && app->json)
        app_print_json(app, json_pack("{s:s, s:s, s:I}", "file", file, "format", export_format_name(format),
                                      "findings", (json_int_t)n));
    else if (file && !app->quiet)
        fprintf(stderr, "ff: %zu finding%s written to %s (%s)\n", n, UNITS_S(n), file, export_format_name(format));
    return EXIT_OK;
}

/* --- one -------------------------------------------------------------------------------------------------- */

/* As a document that can be pasted into an issue. */
static int print_document(const struct finding *f, const char *name, struct err *err)
{
    enum export_format format;
    struct out out;
    int r = export_format_parse(name, &format, err);
    if (r < 0)
        return r;
    out_init(&out, write_stdout, NULL);
    r = export_finding(f, format, &out, err);
    int e = out_finish(&out, r < 0 ? NULL : err);
    return r < 0 ? r : e;
}

static int show(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct run_list l;
    size_t i;
    int r = 0;
    if (app->json && args_has(a, "format"))
        return app_usage(app, "--json and --format are two documents: give one of them");
    if (open_state(app, &err) < 0 ||
        run_list_find(&app->service, args_get(a, "run"), args_pos(a, 0), &l, &i, &err) < 0)
        return app_fail(app, &err);
    _cleanup_free_ char *command = finding_reproduction(&l.run, &l.list.v[i]);
    if (args_has(a, "format")) {
        r = print_document(&l.list.v[i], args_get(a, "format"), &err);
    } else if (app->json) {
        json_t *j = finding_to_json(&l.list.v[i]);
        if (j) {
            json_object_set_new(j, "run_id", json_string(l.run.run_id));
            json_object_set_new(j, "reproduce", command ? json_string(command) : json_null());
        }
        app_print_json(app, j);
    } else {
        finding_show(&l.run, &l.list.v[i], command);
    }
    run_list_release(&l);
    return r < 0 ? app_fail(app, &err) : EXIT_OK;
}

/* --- diff ------------------------------------------------------------------------------------------------- */

/* What an earlier comparison added is no part of what was found. */
static bool was_found(const void *arg, const struct finding *f)
{
    (void)arg;
    return f->status != FINDING_ABSENT;
}

static json_t *with_status(const struct findings *list, enum finding_status s)
{
    json_t *j = json_array();
    for (size_t i = 0; i < list->len; i++)
        if (list->v[i].status == s)
            json_array_append_new(j, finding_to_json(&list->v[i]));
    return j;
}

static void print_diff(struct app *app, struct findings *list)
{
    size_t by_status[3] = {0};
    for (size_t i = 0; i < list->len; i++)
        by_status[list->v[i].status]++;
    if (app->json) {
        app_print_json(app, json_pack("{s:o, s:o, s:I}", "new", with_status(list, FINDING_NEW), "absent",
                                      with_status(list, FINDING_ABSENT), "unchanged_count",
                                      (json_int_t)by_status[FINDING_UNCHANGED]));
        return;
    }
    for (size_t i = 0; i < list->len; i++) { /* what stayed is only counted */
        const struct finding *f = &list->v[i];
        bool gone = f->status == FINDING_ABSENT;
        if (f->status == FINDING_UNCHANGED)
            continue;
        printf("%s%c%s %s%-8s%s ", gone ? term_green() : term_red(), gone ? '-' : '+', term_off(),
               gone ? "" : term_severity(f->severity), severity_name(f->severity), term_off());
        term_text(stdout, f->file ? f->file : "");
        if (f->line)
            printf(":%d", f->line);
        printf("  ");
        term_text(stdout, f->title);
        printf("  %s%s%s%s\n", term_dim(), f->rule_id, f->suppressed ? " (suppressed)" : "", term_off());
    }
    printf("%zu new, %zu gone, %zu unchanged\n", by_status[FINDING_NEW], by_status[FINDING_ABSENT],
           by_status[FINDING_UNCHANGED]);
}

static int diff(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct run_list before, after;
    const char *level = args_get(a, "fail-on");
    enum severity fail_on = SEVERITY_INFO;
    if (level && severity_parse(level, &fail_on, &err) < 0) {
        err_wrap(&err, "--fail-on");
        return app_fail(app, &err);
    }
    if (run_list_open_any(app, args_pos(a, 0), &before, &err) < 0)
        return app_fail(app, &err);
    if (run_list_open_any(app, args_pos(a, 1) ? args_pos(a, 1) : "latest", &after, &err) < 0) {
        run_list_release(&before);
        return app_fail(app, &err);
    }
    int status = EXIT_OK;
    findings_keep(&after.list, was_found, NULL);
    if (findings_compare(&after.list, &before.list, true, &err) < 0) {
        status = app_fail(app, &err);
    } else {
        struct findings_gate gate;
        findings_gate(&after.list, fail_on, true, &gate);
        print_diff(app, &after.list);
        if (level && !gate.passed) {
            fprintf(stderr, "ff: %s\n", gate.reason);
            status = EXIT_GATE;
        }
    }
    run_list_release(&before);
    run_list_release(&after);
    return status;
}

/* --- history ---------------------------------------------------------------------------------------------- */

struct history {
    struct app *app;
    const char *fingerprint; /* of one finding; NULL: counts of each run */
    struct table table;
    json_t *runs;
    size_t seen, limit;
};

static void add_history(struct history *h, const struct run_list *l, const struct finding *f)
{
    char started[32];
    struct findings_counts c = findings_count(&l->list);
    os_format_time(l->run.started_ns, started);
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:o}", "run_id", l->run.run_id, "workflow", l->run.workflow, "status",
                          l->run.status, "started_at", started, "findings_count", findings_counts_json(&c));
    if (f && j)
        json_object_set_new(j, "finding", finding_to_json(f));
    json_array_append_new(h->runs, j);
    table_add(&h->table, NULL, l->run.run_id);
    table_addf(&h->table, NULL, "%.19s", started);
    table_add(&h->table, NULL, l->run.workflow);
    if (h->fingerprint) {
        table_add(&h->table, f ? term_severity(f->severity) : term_green(), f ? state_word(f) : "not there");
        if (f && f->file)
            table_addf(&h->table, NULL, "%.400s:%d", f->file, f->line);
        else
            table_add(&h->table, NULL, NULL);
        return;
    }
    for (int s = SEVERITY_CRITICAL; s >= SEVERITY_INFO; s--)
        table_addf(&h->table, c.by_severity[s] ? term_severity((enum severity)s) : "", "%zu", c.by_severity[s]);
    table_addf(&h->table, NULL, "%zu", c.suppressed);
}

static int history_run(void *arg, const char *run_id, struct err *err)
{
    struct history *h = arg;
    struct run_list l;
    const struct finding *f = NULL;
    if (run_list_open_quietly(&h->app->service, run_id, &l) < 0)
        return 0;
    for (size_t i = 0; h->fingerprint && !f && i < l.list.len; i++)
        if (l.list.v[i].fingerprint && l.list.v[i].status != FINDING_ABSENT &&
            strcmp(l.list.v[i].fingerprint, h->fingerprint) == 0)
            f = &l.list.v[i];
    if (l.run.closed && l.run.result) {
        add_history(h, &l, f);
        h->seen++;
    }
    run_list_release(&l);
    return h->seen == h->limit;
}

static int history_limit(const struct args *a, size_t *ret, struct err *err)
{
    const char *text = args_get(a, "limit");
    char *end = NULL;
    long n = text ? strtol(text, &end, 10) : HISTORY_RUNS;
    if (n < 1 || n > 100000 || (text && *end))
        return err_set(err, ERR_USAGE, "--limit '%.40s': a number from 1 on", text);
    *ret = (size_t)n;
    return 0;
}

static int history(struct app *app, const struct args *a)
{
    static const char *const counts[] = {"RUN", "STARTED", "WORKFLOW", "CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO",
                                         "SUPPRESSED", NULL};
    static const char *const one[] = {"RUN", "STARTED", "WORKFLOW", "FINDING", "PLACE", NULL};
    struct err err = {0};
    struct run_list l = {0};
    struct history h = {.app = app};
    size_t i = 0, limit = HISTORY_RUNS;
    int r = history_limit(a, &limit, &err);
    if (r == 0)
        r = open_state(app, &err);
    if (r == 0 && args_pos(a, 0)) {
        r = run_list_find(&app->service, NULL, args_pos(a, 0), &l, &i, &err);
        if (r == 0)
            h.fingerprint = l.list.v[i].fingerprint;
    }
    if (r < 0)
        return app_fail(app, &err);
    h.runs = json_array();
    table_init(&h.table, h.fingerprint ? one : counts);
    h.limit = limit;
    r = findings_each_run(&app->service, SIZE_MAX, history_run, &h, &err);
    run_list_release(&l);
    if (r < 0) {
        json_decref(h.runs);
        return app_fail(app, &err);
    }
    if (app->json)
        app_print_json(app, json_pack("{s:O}", "runs", h.runs));
    else
        table_print(&h.table);
    json_decref(h.runs);
    return EXIT_OK;
}

/* --- the commands ----------------------------------------------------------------------------------------- */

#define RUN_OPT {"run", 0, "RUN", "of this run (default: the last one that ended); may be shortened"}

static const struct opt list_opts[] = {RUN_OPT, FINDINGS_FILTER_OPTS, {NULL, 0, NULL, NULL}};
static const struct opt show_opts[] = {
    {"run", 0, "RUN", "look in this run only"},
    {"format", 'f', "FORMAT", "md or html: a report of its own, to be pasted into an issue"},
    {NULL, 0, NULL, NULL},
};
static const struct opt export_opts[] = {
    {"format", 'f', "FORMAT", "json csv html sarif junit md gl-sast (default: as FILE ends, else sarif)"},
    {"output", 'o', "FILE", "write there, not to stdout"},
    RUN_OPT,
    FINDINGS_FILTER_OPTS,
    {NULL, 0, NULL, NULL},
};
static const struct opt diff_opts[] = {
    {"fail-on", 0, "LEVEL", "exit 1 if a new finding is at this level or worse"},
    {NULL, 0, NULL, NULL},
};
static const struct opt history_opts[] = {
    {"limit", 'n', "N", "show so many runs (default: 20)"},
    {NULL, 0, NULL, NULL},
};

static const struct command c_list = {
    .remote = true,
    .name = "list", .aliases = "ls", .summary = "List the findings of a run", .usage = "[--run RUN] [filters]",
    .examples = "  ff findings list --severity high\n  ff findings list --rule injection --path src/api\n"
                "  ff --json findings list --status new | jq '.findings[].title'",
    .opts = list_opts, .run = list,
};
static const struct command c_show = {
    .remote = true,
    .name = "show", .summary = "Show one finding in full", .usage = "FINDING [--run RUN] [-f md|html]",
    .details = "FINDING is an id or a fingerprint, also shortened; 'ff finding FINDING' is the same.",
    .examples = "  ff findings show eff3f7c07a", .opts = show_opts, .min_args = 1, .max_args = 1, .run = show,
};
static const struct command c_export = {
    .remote = true,
    .name = "export", .summary = "Write the findings of a run for other programs",
    .usage = "[RUN] [-f FORMAT] [-o FILE] [filters]",
    .examples = "  ff findings export -o report.html\n  ff findings export -f junit > findings.xml\n"
                "  ff findings export --severity high -o high.csv",
    .opts = export_opts, .max_args = 1, .run = export,
};
static const struct command c_diff = {
    .remote = true,
    .name = "diff", .summary = "Compare two runs, or files of findings", .usage = "BEFORE [AFTER] [--fail-on LEVEL]",
    .details = "Each is a run, or a SARIF or JSON file; AFTER is the last run if it is not given.",
    .examples = "  ff findings diff 01JD3 01JD7\n  ff findings diff baseline.sarif --fail-on high",
    .opts = diff_opts, .min_args = 1, .max_args = 2, .run = diff,
};
static const struct command c_history = {
    .remote = true,
    .name = "history", .summary = "How the findings, or one of them, went over the runs", .usage = "[FINDING] [-n N]",
    .examples = "  ff findings history\n  ff findings history eff3f7c07a", .opts = history_opts, .max_args = 1,
    .run = history,
};

const struct command cmd_findings = {
    .name = "findings",
    .summary = "Findings: list, show, export, compare, suppress",
    .details = "What the members of a finding mean is in docs/findings.md.",
    .examples = "  ff findings list --severity high\n  ff findings export -o report.html",
    .subs = (const struct command *const[]){&c_list, &c_show, &c_export, &c_diff, &cmd_findings_suppress, &c_history,
                                            NULL},
};
const struct command cmd_finding = {
    .remote = true,
    .name = "finding", .summary = "Show one finding: code, evidence, how to see it again",
    .usage = "FINDING [--run RUN] [-f md|html]",
    .details = "FINDING is an id or a fingerprint, also shortened.",
    .examples = "  ff finding eff3f7c07a\n  ff finding eff3f7c07a -f md | gh issue create -F -",
    .opts = show_opts, .min_args = 1, .max_args = 1, .run = show,
};
