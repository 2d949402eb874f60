/* ff run: a target in, a workflow over it, findings out. */
#include "cli/cmd_run.h"

#include "api/client/send.h"
#include "api/service/control.h"
#include "api/service/submit.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/ask.h"
#include "cli/follow.h"
#include "cli/share.h"
#include "cli/target.h"
#include "cli/term.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "os/clock.h"
#include "os/file.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define PARAMETERS_FILE_MAX ((size_t)1 << 20)

/* All that is known before anything is started. */
struct run_request {
    struct submission sub;
    const char *target;
};

/* --- what the user asked for ------------------------------------------------------------------------------ */

static int read_parameters_file(const char *file, json_t **ret, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len;
    int r = os_read_file(file, PARAMETERS_FILE_MAX, &text, &len, err);
    if (r == 0)
        r = yaml_parse(text, len, NULL, ret, NULL, err);
    if (r < 0)
        return err_wrap(err, "parameters %s", file);
    if (json_is_null(*ret)) {
        json_decref(*ret);
        *ret = json_object();
    }
    return json_is_object(*ret) ? 0 : err_set(err, ERR_INVALID, "parameters %s: not a mapping", file);
}

static int read_parameters(const struct args *a, struct run_request *q, struct err *err)
{
    _cleanup_json_ json_t *given = NULL;
    const char *file = args_get(a, "file");
    int r = file ? read_parameters_file(file, &given, err) : 0;
    if (r == 0 && !given)
        given = json_object();
    for (size_t i = 2; r == 0 && i < a->positional.len; i++)
        r = workflow_def_set_text(q->sub.def, given, a->positional.v[i], err);
    if (r == 0 && args_has(a, "interactive"))
        r = ask_parameters(q->sub.def, given, err);
    return r < 0 ? r : submission_parameters(&q->sub, given, err);
}

static int absolute_path(const char *path, char **ret, struct err *err)
{
    if (path[0] == '/')
        *ret = mem_strdup(path);
    else {
        _cleanup_free_ char *cwd = getcwd(NULL, 0);
        *ret = cwd ? os_path_join(cwd, path) : NULL;
    }
    return *ret ? 0 : err_nomem(err);
}

/* Known before the run, not after it: the file can be written. */
static int check_export(const char *path, struct err *err)
{
    _cleanup_free_ char *dir = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    if (!dir)
        return err_nomem(err);
    if (os_is_dir(path) || !os_is_dir(*dir ? dir : "/"))
        return err_set(err, ERR_USAGE, "--export-sarif %s: %s", path,
                       os_is_dir(path) ? "a folder is there" : "there is no such folder");
    return 0;
}

static int bad_baseline(const char *given, const struct err *why, struct err *err)
{
    if (why->code == ERR_NO_MEMORY)
        return err_copy(err, why);
    return err_set(err, ERR_USAGE, "--baseline %s: %s", given, why->msg);
}

/* A baseline that cannot be read is refused before anything starts. */
static int read_baseline_file(const char *file, struct gate_options *g, struct err *err)
{
    struct findings base = {0};
    struct err why = {0};
    int r = absolute_path(file, &g->baseline, err);
    if (r < 0)
        return r;
    r = baseline_read_file(g->baseline, &base, &why);
    findings_release(&base);
    return r < 0 ? bad_baseline(file, &why, err) : 0;
}

static int read_gate(const struct args *a, struct gate_options *g, struct err *err)
{
    *g = (struct gate_options){.fail_on = -1};
    const char *level = args_get(a, "fail-on"), *sarif = args_get(a, "export-sarif");
    const char *base = args_get(a, "baseline");
    int r = 0;
    if (level) {
        enum severity s;
        r = severity_parse(level, &s, err);
        if (r < 0)
            return err_wrap(err, "--fail-on");
        g->fail_on = (int)s;
    }
    g->strict = args_has(a, "strict");
    g->no_inline_suppressions = args_has(a, "no-inline-suppressions");
    if (sarif)
        r = absolute_path(sarif, &g->export_sarif, err);
    if (r == 0 && sarif)
        r = check_export(g->export_sarif, err);
    if (r == 0 && base && (os_exists(base) || strchr(base, '/')))
        r = read_baseline_file(base, g, err);
    else if (r == 0 && base && !(g->baseline = mem_strdup(base)))
        r = err_nomem(err);
    return r;
}

static int read_timeout(const char *text, int64_t *ret_ms, struct err *err)
{
    if (units_parse_duration_ms(text, ret_ms, err) < 0)
        return err_wrap(err, "--timeout");
    return *ret_ms > 0 ? 0 : err_set(err, ERR_USAGE, "--timeout '%.60s': more than nothing", text);
}

static int read_request(struct app *app, const struct args *a, struct run_request *q, struct err *err)
{
    const char *workflow = args_pos(a, 0), *timeout = args_get(a, "timeout"), *name = args_get(a, "name");
    int r = target_take((char *)(uintptr_t)args_pos(a, 1), &q->target, err);
    if (r == 0 && app->remote && ingest_is_repository(q->target))
        r = app_open(app, APP_SPAWNER, err); /* to read it in */
    if (r == 0)
        r = app_open_toolbox(app, err);
    if (r == 0)
        r = app_read_limits(app, err);
    if (r == 0)
        r = submission_init(&app->service, workflow, &q->sub, err);
    if (r == 0)
        r = read_gate(a, &q->sub.gate, err);
    if (r == 0)
        r = read_parameters(a, q, err);
    if (r == 0 && timeout)
        r = read_timeout(timeout, &q->sub.timeout_ms, err);
    if (r == 0 && !target_is_url(q->target) && !os_exists(q->target))
        r = err_set(err, ERR_USAGE, "target '%s' does not exist", q->target);
    return r == 0 && name ? submission_name(&q->sub, name, err) : r;
}

/* --- the start -------------------------------------------------------------------------------------------- */

static void on_ingest(void *arg, const struct ingest_progress *p)
{
    char size[32];
    follow_note(arg, p->fetching ? "fetching the target: %llu object%s, %s" : "reading the target: %llu file%s, %s",
                (unsigned long long)p->files, UNITS_S(p->files),
                units_format_size(p->bytes, size, sizeof size));
}

static bool ingest_cancelled(void *arg)
{
    (void)arg;
    return follow_interrupted();
}

static int read_target(struct app *app, struct run_request *q, struct err *err)
{
    struct ingest_options o;
    int r = target_ingest_options(&app->service, q->target, &o, err);
    o.progress = on_ingest;
    o.arg = app;
    o.cancelled = ingest_cancelled;
    return r < 0 ? r : submission_read_target(&app->service, &q->sub, q->target, &o, err);
}

/* Through a server: target and submission are one request. */
static int send(struct app *app, struct run_request *q, struct err *err)
{
    struct ingest_options o = {.spawner = app->spawner, .exclude_dir = app->state_dir, .limits = app->service.limits,
                               .progress = on_ingest, .arg = app, .cancelled = ingest_cancelled};
    int r = client_submit(app->client, &q->sub, q->target, &o, err);
    app->following = true;
    if (r == -ERR_CANCELLED && !follow_told_to_leave()) /* it may have been heard all the same */
        (void)run_cancel(&app->service, q->sub.id, "interrupted", NULL);
    return r;
}

/* What failed before there was a run: Ctrl-C is a cancellation, and other signals are what they are. */
static int run_failed(struct app *app, const struct err *err)
{
    int status = app_fail(app, err);
    return err->code == ERR_CANCELLED && follow_told_to_leave() ? 128 + SIGTERM : status;
}

static int after_start(struct app *app, const struct args *a, const struct run_request *q)
{
    if (!args_has(a, "detach")) {
        if (!app->quiet && !app->json && (q->sub.ingested.incomplete || q->sub.ingested.notices_count)) {
            term_status_clear();
            size_t n = q->sub.ingested.notices_count + q->sub.ingested.notices_dropped;
            fprintf(stderr, "ff: %zu notice%s about the target%s\n", n, n == 1 ? "" : "s",
                    q->sub.ingested.incomplete ? "; it could not be read completely" : "");
        }
        return follow_run(app, q->sub.id);
    }
    struct err err = {0};
    bool cluster = !app->share && !app->remote;
    if (!cluster && !app->remote && !args_has(a, "no-auto-start") && hold_in_background(app, &err) < 0)
        return app_fail(app, &err);
    if (cluster && !app->quiet) /* a cluster keeps it, but does not do its work */
        fprintf(stderr, "ff: a worker with this store carries it on: 'ff worker --vertical %s', or 'ff runs wait %s'\n",
                q->sub.def->vertical, q->sub.id);
    if (app->json)
        app_print_json(app, json_pack("{s:s, s:s}", "run_id", q->sub.id, "status", "RUNNING"));
    else
        printf("%s\n", q->sub.id);
    return EXIT_OK;
}

static int run(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct run_request q = {.sub = SUBMISSION_INIT};
    int status, r = read_request(app, a, &q, &err);
    if (r == 0) {
        follow_prepare(app, args_has(a, "live"));
        r = app_open(app, args_has(a, "detach") ? APP_SPAWNER | APP_STORE | APP_ENGINE : APP_WORKER, &err);
    }
    if (r == 0)
        r = submission_check(&app->service, &q.sub, &err);
    if (r == 0 && args_has(a, "detach") && args_has(a, "no-auto-start") && app->share && share_holds(app->share))
        r = err_set(&err, ERR_UNAVAILABLE, "nobody holds the engine of %s, and --no-auto-start forbids to start one",
                    app->state_dir);
    if (r == 0 && q.sub.gate.baseline && q.sub.gate.baseline[0] != '/')
        r = submission_baseline_run(&app->service, &q.sub.gate, &err);
    if (r == 0 && app->remote)
        r = send(app, &q, &err);
    else if (r == 0 && (r = read_target(app, &q, &err)) == 0)
        r = submission_start(&app->service, &q.sub, &err);
    app->own_gate = &q.sub.gate;
    term_status_clear();
    status = r < 0 ? run_failed(app, &err) : after_start(app, a, &q);
    app->own_gate = NULL;
    submission_release(&q.sub);
    return status;
}

static const struct opt options[] = {
    {"file", 'f', "FILE", "parameters from a JSON or YAML file"},
    {"timeout", 't', "TIME", "end the run after this long (90s, 10m, 2h)"},
    {"detach", 'd', NULL, "start it and leave; a holder in the background carries it on"},
    {"live", 'l', NULL, "print findings and logs as they come"},
    {"wait", 0, NULL, "follow to the end (the default)"},
    {"interactive", 'i', NULL, "ask for the parameters that are not given"},
    {"no-interactive", 0, NULL, "never ask (the default)"},
    {"fail-on", 0, "LEVEL", "exit 1 if a finding is that bad or worse: critical high medium low info error warning note"},
    {"strict", 0, NULL, "with --fail-on: also fail for files that a filter left out"},
    {"export-sarif", 0, "FILE", "write the findings as SARIF 2.1.0"},
    {"baseline", 0, "FILE|RUN", "compare with a SARIF file or an earlier run: only new findings count for the gate"},
    {"no-inline-suppressions", 0, NULL, "count findings that a comment in the code suppresses"},
    {"auto-start", 0, NULL, "with -d: start a holder if there is none (the default)"},
    {"no-auto-start", 0, NULL, "with -d: exit 5 if there is none"},
    {"auto-stop", 0, NULL, "the holder that this started leaves when all runs are done (as always; 'ff server start' stays)"},
    {"name", 0, "ID", "the run's id (default: a ULID)"},
    {NULL, 0, NULL, NULL},
};

#define EXAMPLES                                                                                                       \
    "  ff run security_assessment ./shop\n"                                                                            \
    "  ff run security_assessment . --fail-on high --export-sarif out.sarif\n"                                         \
    "  ff run secret_detection https://example.org/shop.git\n"                                         \
    "  ff run security_assessment app.tar.gz analyzer_config='{\"check_secrets\": false}' -t 10m"

const struct command cmd_run = {
    .remote = true,
    .name = "run",
    .summary = "Run a workflow over a target and print what it finds",
    .usage = "WORKFLOW TARGET [key=value...] [options]",
    .details = "TARGET is a folder, a file, an archive (tar, zip, 7z), or a git repository (a path, file:// or https://). It\n"
               "is read into the store, never changed. Ctrl-C cancels the run and cleans up; a second one leaves at once.",
    .examples = EXAMPLES,
    .opts = options,
    .min_args = 2,
    .max_args = -1,
    .run = run,
};

const struct command cmd_workflow_run = {
    .remote = true,
    .name = "run",
    .summary = "Run a workflow over a target (the same as 'ff run')",
    .usage = "WORKFLOW TARGET [key=value...] [options]",
    .examples = EXAMPLES,
    .opts = options,
    .min_args = 2,
    .max_args = -1,
    .run = run,
};
