/* ff run: a target in, a workflow over it, findings out. */
#include "cli/cmd_run.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/ask.h"
#include "cli/follow.h"
#include "cli/rundoc.h"
#include "cli/term.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "codec/yaml.h"
#include "ingest/ingest.h"
#include "os/clock.h"
#include "os/file.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define PARAMETERS_FILE_MAX ((size_t)1 << 20)
#define NOTICES_IN_MEMO 20

/* All that is known before anything is started. */
struct run_request {
    struct workflow_def *def;
    json_t *parameters;
    struct gate_options gate;
    int64_t timeout_ms;
    const char *target;
    char id[ENGINE_ID_MAX + 1];
    struct ingest_result ingested;
    struct store_ref script;
};

static void release(struct run_request *q)
{
    workflow_def_free(q->def);
    json_decref(q->parameters);
    gate_options_release(&q->gate);
    ingest_result_release(&q->ingested);
}

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
        r = workflow_def_set_text(q->def, given, a->positional.v[i], err);
    if (r == 0 && args_has(a, "interactive"))
        r = ask_parameters(q->def, given, err);
    return r < 0 ? r : workflow_def_parameters(q->def, given, &q->parameters, err);
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

/* A baseline that is a run, by its whole name: another that begins so may come meanwhile. */
static int check_baseline_run(struct app *app, struct gate_options *g, struct err *err)
{
    if (!g->baseline || g->baseline[0] == '/')
        return 0;
    _cleanup_free_ char *id = NULL;
    struct err why = {0};
    struct run_info run = {0};
    int r = run_resolve(app, g->baseline, &id, &why);
    if (r == 0)
        r = run_read(app, id, &run, &why);
    if (r == 0 && !run.closed)
        r = err_set(&why, ERR_STATE, "the run has not ended yet");
    run_info_release(&run);
    if (r < 0)
        return bad_baseline(g->baseline, &why, err);
    free(g->baseline);
    g->baseline = TAKE_PTR(id);
    return 0;
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

/* A name of the user's choice: printable, no blanks, no slash. */
static int check_name(const char *name, struct err *err)
{
    size_t n = strlen(name);
    bool ok = n > 0 && n <= 200 && name[0] != '-';
    for (size_t i = 0; ok && i < n; i++)
        ok = isalnum((unsigned char)name[i]) || strchr("-_.:@+", name[i]);
    return ok ? 0
              : err_set(err, ERR_USAGE, "--name '%.60s': use letters, digits and - _ . : @ + (at most 200)", name);
}

static int read_timeout(const char *text, int64_t *ret_ms, struct err *err)
{
    if (units_parse_duration_ms(text, ret_ms, err) < 0)
        return err_wrap(err, "--timeout");
    return *ret_ms > 0 ? 0 : err_set(err, ERR_USAGE, "--timeout '%.60s': more than nothing", text);
}

static bool is_url(const char *s)
{
    return strstr(s, "://") || strncmp(s, "git@", 4) == 0;
}

static int read_request(struct app *app, const struct args *a, struct run_request *q, struct err *err)
{
    const char *workflow = args_pos(a, 0), *timeout = args_get(a, "timeout"), *name = args_get(a, "name");
    q->target = args_pos(a, 1);
    int r = app_open_toolbox(app, err);
    if (r == 0)
        r = toolbox_find(app->toolbox, workflow, &q->def, err);
    if (r == 0)
        r = read_gate(a, &q->gate, err);
    if (r == 0)
        r = read_parameters(a, q, err);
    if (r == 0 && timeout)
        r = read_timeout(timeout, &q->timeout_ms, err);
    else if (r == 0)
        q->timeout_ms = q->def->timeout_ms;
    if (r == 0 && !is_url(q->target) && !os_exists(q->target))
        r = err_set(err, ERR_USAGE, "target '%s' does not exist", q->target);
    if (r == 0 && name) {
        r = check_name(name, err);
        snprintf(q->id, sizeof q->id, "%s", name);
    } else {
        os_ulid(q->id);
    }
    return r;
}

/* --- the start -------------------------------------------------------------------------------------------- */

static void on_ingest(void *arg, const struct ingest_progress *p)
{
    char size[32];
    follow_note(arg, "reading the target: %llu files, %s", (unsigned long long)p->files,
                units_format_size(p->bytes, size, sizeof size));
}

static bool ingest_cancelled(void *arg)
{
    (void)arg;
    return follow_interrupted();
}

static json_t *notices_json(const struct ingest_result *in, size_t max)
{
    static const char *const kinds[] = {"skipped", "unreadable", "bound"};
    json_t *list = json_array();
    for (size_t i = 0; i < in->notices_count && i < max; i++)
        json_array_append_new(list, json_pack("{s:s, s:s?, s:s?}", "kind", kinds[in->notices[i].kind], "path",
                                              in->notices[i].path, "text", in->notices[i].text));
    return list;
}

/* Without user and password: what a run keeps is read by many. */
static char *public_url(const char *url)
{
    const char *scheme = strstr(url, "://");
    if (!scheme)
        return mem_strdup(url);
    const char *host = scheme + 3, *end = host + strcspn(host, "/?#");
    const char *at = memrchr(host, '@', (size_t)(end - host));
    return mem_printf("%.*s%s", (int)(host - url), url, at ? at + 1 : host);
}

static json_t *target_json(const struct run_request *q, size_t notices)
{
    const struct ingest_result *in = &q->ingested;
    _cleanup_free_ char *spec = is_url(q->target) ? public_url(q->target) : NULL;
    return json_pack("{s:s, s:s?, s:s, s:s, s:I, s:I, s:b, s:b, s:o, s:I}", "name", in->name, "spec",
                     spec, "kind", in->kind, "ref", in->tree.text, "files",
                     (json_int_t)in->files, "bytes", (json_int_t)in->bytes, "incomplete", in->incomplete, "refused",
                     in->refused, "notices", notices_json(in, notices), "notices_total",
                     (json_int_t)(in->notices_count + in->notices_dropped));
}

static int upload(struct app *app, struct run_request *q, struct err *err)
{
    struct ingest_options o = {.spawner = app->spawner,
                               .progress = on_ingest,
                               .arg = app,
                               .cancelled = ingest_cancelled,
                               .exclude_dir = app->state_dir};
    int r = ingest(app->store, q->target, &o, &q->ingested, err);
    if (r < 0)
        return err_wrap(err, "target");
    char owner[ENGINE_ID_MAX + 8];
    snprintf(owner, sizeof owner, "run/%s", q->id);
    r = store_put(app->store, q->def->script, q->def->script_len, "text/x-lua", &q->script, err);
    if (r == 0)
        r = store_pin(app->store, owner, q->script.text, 0, err);
    if (r == 0)
        r = store_pin(app->store, owner, q->ingested.tree.text, 0, err);
    return r;
}

/* Nothing came of it: what was read may go. */
static void unpin(struct app *app, const struct run_request *q)
{
    char owner[ENGINE_ID_MAX + 8];
    struct err err = {0};
    snprintf(owner, sizeof owner, "run/%s", q->id);
    if (store_unpin_owner(app->store, owner, &err) < 0)
        log_info("%s", err.msg);
}

static json_t *run_json(const struct run_request *q)
{
    return json_pack("{s:s, s:s, s:s}", "id", q->id, "workflow", q->def->name, "version", q->def->version);
}

/* What each activity of the run needs to know beside its input. */
static json_t *context_json(const struct run_request *q)
{
    return json_pack("{s:s, s:s, s:o, s:O?, s:s, s:o}", "vertical", q->def->vertical, "isolation", q->def->isolation,
                     "target", json_pack("{s:s, s:s}", "ref", q->ingested.tree.text, "name", q->ingested.name),
                     "resources", q->def->resources, "network", q->def->network ? q->def->network : "none", "run",
                     run_json(q));
}

static int add_memo(Pb__Memo *memo, const char *key, json_t *value)
{
    Pb__Memo__FieldsEntry *e = mem_alloc(sizeof *e);
    Pb__Payload *p = value ? pbx_json_payload(value) : NULL;
    json_decref(value);
    if (!e || !p) {
        free(e);
        engine_free_message(p ? &p->base : NULL);
        return -ERR_NO_MEMORY;
    }
    pb__memo__fields_entry__init(e);
    e->key = mem_strdup(key);
    e->value = p;
    memo->fields[memo->n_fields++] = e;
    return e->key ? 0 : -ERR_NO_MEMORY;
}

static Pb__Memo *build_memo(const struct run_request *q)
{
    Pb__Memo *m = mem_alloc(sizeof *m);
    if (!m)
        return NULL;
    pb__memo__init(m);
    m->fields = mem_calloc(4, sizeof *m->fields);
    if (!m->fields || add_memo(m, WORKER_MEMO_SCRIPT, json_string(q->script.text)) < 0 ||
        add_memo(m, MEMO_TARGET, target_json(q, NOTICES_IN_MEMO)) < 0 ||
        add_memo(m, MEMO_GATE, gate_options_json(&q->gate)) < 0 ||
        add_memo(m, MEMO_VERSION, json_string(q->def->version)) < 0) {
        pb__memo__free_unpacked(m, NULL);
        return NULL;
    }
    return m;
}

static Pb__Header *build_header(const struct run_request *q)
{
    Pb__Header *h = mem_alloc(sizeof *h);
    Pb__Header__FieldsEntry *e = mem_alloc(sizeof *e), **list = mem_calloc(1, sizeof *list);
    _cleanup_json_ json_t *context = context_json(q);
    Pb__Payload *p = context ? pbx_json_payload(context) : NULL;
    char *key = mem_strdup(WORKER_CONTEXT_HEADER);
    if (!h || !e || !list || !p || !key) {
        free(h);
        free(e);
        free(list);
        free(key);
        engine_free_message(p ? &p->base : NULL);
        return NULL;
    }
    pb__header__init(h);
    pb__header__fields_entry__init(e);
    e->key = key;
    e->value = p;
    list[0] = e;
    h->fields = list;
    h->n_fields = 1;
    return h;
}

static Pb__Payloads *build_input(const struct run_request *q)
{
    _cleanup_json_ json_t *input = json_pack("{s:o, s:O, s:o}", "target", target_json(q, q->ingested.notices_count),
                                             "parameters", q->parameters, "run", run_json(q));
    return input ? pbx_json_payloads(input) : NULL;
}

static int name_taken(const struct run_request *q, struct err *err)
{
    err_set(err, ERR_EXISTS, "there is a run named '%s' already", q->id);
    return err_hint(err, "'ff runs show %s' shows it; choose another --name", q->id);
}

static int start(struct app *app, struct run_request *q, struct err *err)
{
    Pb__StartWorkflowExecutionRequest *req = mem_alloc(sizeof *req);
    Pb__WorkflowType *type = mem_alloc(sizeof *type);
    Pb__TaskQueue *queue = mem_alloc(sizeof *queue);
    if (!req || !type || !queue) {
        free(req);
        free(type);
        free(queue);
        return err_nomem(err);
    }
    char request_id[37];
    os_uuid(request_id);
    pb__start_workflow_execution_request__init(req);
    pb__workflow_type__init(type);
    pb__task_queue__init(queue);
    type->name = mem_strdup(q->def->name);
    queue->name = worker_queue_name(q->def->vertical);
    req->namespace_ = mem_strdup("default");
    req->workflow_id = mem_strdup(q->id);
    req->request_id = mem_strdup(request_id);
    req->identity = mem_strdup("ff");
    req->workflow_type = type;
    req->task_queue = queue;
    req->input = build_input(q);
    req->memo = build_memo(q);
    req->header = build_header(q);
    req->workflow_id_reuse_policy = PB__WORKFLOW_ID_REUSE_POLICY__WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE;
    if (q->timeout_ms)
        req->workflow_execution_timeout = pbx_duration(q->timeout_ms * NS_PER_MS);
    int r = req->input && req->memo && req->header && type->name && queue->name && req->namespace_ &&
                    req->workflow_id && req->request_id && req->identity
                ? engine_call_sync(app->engine, ENGINE_START_WORKFLOW, &req->base, 0, NULL, err)
                : err_nomem(err);
    pb__start_workflow_execution_request__free_unpacked(req, NULL);
    return r == -ERR_EXISTS ? name_taken(q, err) : r;
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
        if (!app->quiet && !app->json && (q->ingested.incomplete || q->ingested.notices_count)) {
            term_status_clear();
            size_t n = q->ingested.notices_count + q->ingested.notices_dropped;
            fprintf(stderr, "ff: %zu notice%s about the target%s\n", n, n == 1 ? "" : "s",
                    q->ingested.incomplete ? "; it could not be read completely" : "");
        }
        return follow_run(app, q->id);
    }
    struct err err = {0};
    app_close_state(app);
    if (hold_in_background(app, &err) < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, json_pack("{s:s, s:s}", "run_id", q->id, "status", "RUNNING"));
    else
        printf("%s\n", q->id);
    return EXIT_OK;
}

static int run(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct run_request q = {.gate.fail_on = -1};
    if (args_has(a, "detach") && args_has(a, "no-auto-start")) {
        err_set(&err, ERR_UNAVAILABLE, "nobody holds the engine of %s, and --no-auto-start forbids to start one",
                app->state_dir);
        return app_fail(app, &err);
    }
    int status, r = read_request(app, a, &q, &err);
    if (r == 0) {
        follow_prepare(app, args_has(a, "live"));
        r = app_open(app, args_has(a, "detach") ? APP_SPAWNER | APP_STORE | APP_ENGINE : APP_WORKER, &err);
    }
    if (r == 0)
        r = check_baseline_run(app, &q.gate, &err);
    if (r == 0 && args_has(a, "name") && run_exists(app, q.id)) /* its pins are not ours to touch */
        r = name_taken(&q, &err);
    if (r == 0) {
        r = upload(app, &q, &err);
        if (r < 0)
            unpin(app, &q);
    }
    if (r == 0)
        r = start(app, &q, &err);
    term_status_clear();
    status = r < 0 ? run_failed(app, &err) : after_start(app, a, &q);
    release(&q);
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
    {"name", 0, "ID", "the run's id (default: a ULID)"},
    {NULL, 0, NULL, NULL},
};

#define EXAMPLES                                                                                                       \
    "  ff run security_assessment ./shop\n"                                                                            \
    "  ff run security_assessment . --fail-on high --export-sarif out.sarif\n"                                         \
    "  ff run security_assessment app.tar.gz analyzer_config='{\"check_secrets\": false}' -t 10m"

const struct command cmd_run = {
    .name = "run",
    .summary = "Run a workflow over a target and print what it finds",
    .usage = "WORKFLOW TARGET [key=value...] [options]",
    .details = "TARGET is a folder, a file, a tar or zip archive, or a git repository. It is read into the store, never\n"
               "changed. Ctrl-C cancels the run and cleans up; a second one leaves at once.",
    .examples = EXAMPLES,
    .opts = options,
    .min_args = 2,
    .max_args = -1,
    .run = run,
};

const struct command cmd_workflow_run = {
    .name = "run",
    .summary = "Run a workflow over a target (the same as 'ff run')",
    .usage = "WORKFLOW TARGET [key=value...] [options]",
    .examples = EXAMPLES,
    .opts = options,
    .min_args = 2,
    .max_args = -1,
    .run = run,
};
