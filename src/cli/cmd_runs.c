/* ff runs: what ran and what runs. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/cmd_run.h"
#include "cli/follow.h"
#include "cli/rundoc.h"
#include "cli/term.h"
#include "cli/timeline.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "codec/yaml.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

/* Opens the state and finds the run that the first argument names. */
static int open_run(struct app *app, const struct args *a, unsigned parts, char **ret_id, struct err *err)
{
    int r = app_open(app, parts, err);
    return r < 0 ? r : run_resolve(app, args_pos(a, 0), ret_id, err);
}

/* --- list ------------------------------------------------------------------------------------------------- */

static const char *status_of(Pb__WorkflowExecutionStatus s)
{
    static const char *const names[] = {"PENDING",   "RUNNING",    "COMPLETED", "FAILED",
                                        "CANCELLED", "TERMINATED", "RUNNING",   "TIMED_OUT"};
    return (size_t)s < ARRAY_LEN(names) ? names[s] : "PENDING";
}

static const char *status_colour(const char *s)
{
    return strcmp(s, "COMPLETED") == 0 ? term_green() : strcmp(s, "RUNNING") == 0 ? term_yellow() : term_red();
}

static char *target_name(const Pb__Memo *memo)
{
    for (size_t i = 0; memo && i < memo->n_fields; i++) {
        if (strcmp(memo->fields[i]->key, MEMO_TARGET) != 0)
            continue;
        _cleanup_json_ json_t *j = NULL;
        if (pbx_payload_json(memo->fields[i]->value, &j, NULL) == 0)
            return mem_strdup(json_str(j, "name", ""));
    }
    return mem_strdup("");
}

static void print_run(struct app *app, const Pb__WorkflowExecutionInfo *i, json_t *list)
{
    char started[32], took[32];
    int64_t start = pbx_timestamp_ns(i->start_time), end = pbx_timestamp_ns(i->close_time);
    _cleanup_free_ char *target = target_name(i->memo);
    const char *status = status_of(i->status), *type = i->type ? i->type->name : "";
    int64_t ms = ((end ? end : os_now_ns()) - start) / NS_PER_MS;
    os_format_time(start, started);
    if (app->json) {
        char finished[32];
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s, s:s?, s:I}", "run_id", i->execution->workflow_id,
                            "execution_id", i->execution->run_id, "workflow", type, "status", status, "target", target,
                            "started_at", started, "finished_at", end ? os_format_time(end, finished) : NULL,
                            "duration_ms", (json_int_t)ms));
        return;
    }
    printf("%-28s %s%-10s%s %-22s %.19s  %-10s ", i->execution->workflow_id, status_colour(status), status, term_off(),
           type, started, units_format_duration(ms, took, sizeof took));
    term_text(stdout, target ? target : "");
    putchar('\n');
}

static int list_pages(struct app *app, const char *query, int64_t limit, json_t *list, struct err *err)
{
    Pb__ListWorkflowExecutionsRequest req = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    ProtobufCBinaryData token = {0};
    int64_t shown = 0;
    int r;
    req.namespace_ = (char *)"default";
    req.query = (char *)query;
    do {
        ProtobufCMessage *m;
        req.next_page_token = token;
        req.page_size = (int32_t)(limit - shown < 1000 ? limit - shown : 1000);
        r = engine_call_sync(app->engine, ENGINE_LIST, &req.base, 0, &m, err);
        free(token.data);
        if (r < 0)
            return r;
        Pb__ListWorkflowExecutionsResponse *l = (Pb__ListWorkflowExecutionsResponse *)m;
        for (size_t i = 0; i < l->n_executions && shown < limit; i++, shown++)
            print_run(app, l->executions[i], list);
        token = l->next_page_token;
        l->next_page_token = (ProtobufCBinaryData){0};
        engine_free_message(m);
    } while (token.len && shown < limit);
    free(token.data);
    if (!shown && !app->json && !app->quiet)
        fprintf(stderr, "ff: no runs%s\n", *query ? " that fit" : " yet");
    return 0;
}

static int build_query(const struct args *a, struct strbuf *q, struct err *err)
{
    static const struct {
        const char *word, *status;
    } words[] = {{"running", "Running"},     {"completed", "Completed"},   {"failed", "Failed"},
                 {"cancelled", "Canceled"},  {"terminated", "Terminated"}, {"timed_out", "TimedOut"}};
    const char *status = args_get(a, "status"), *workflow = args_get(a, "workflow"), *query = args_get(a, "query");
    if (status) {
        const char *found = NULL;
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (strcasecmp(words[i].word, status) == 0)
                found = words[i].status;
        if (!found)
            return err_set(err, ERR_USAGE,
                           "--status '%.40s': one of running completed failed cancelled terminated timed_out", status);
        strbuf_printf(q, "ExecutionStatus = '%s'", found);
    }
    if (workflow)
        strbuf_printf(q, "%sWorkflowType = '%.200s'", q->len ? " AND " : "", workflow);
    if (query)
        strbuf_printf(q, "%s(%s)", q->len ? " AND " : "", query);
    return strbuf_check(q, err);
}

static int list(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct strbuf query = STRBUF_INIT_MAX(16384);
    _cleanup_json_ json_t *all = app->json ? json_array() : NULL;
    const char *limit_text = args_get(a, "limit");
    char *end = (char *)"";
    int64_t limit = limit_text ? strtoll(limit_text, &end, 10) : 50;
    int r = limit > 0 && !*end ? 0 : err_set(&err, ERR_USAGE, "--limit takes a number over 0");
    if (r == 0)
        r = build_query(a, &query, &err);
    if (r == 0)
        r = app_open(app, APP_ENGINE, &err);
    if (r == 0)
        r = list_pages(app, strbuf_str(&query), limit, all, &err);
    strbuf_release(&query);
    if (r < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, json_pack("{s:O}", "runs", all));
    return EXIT_OK;
}

/* --- show, events ----------------------------------------------------------------------------------------- */

static int show(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct run_info run;
    _cleanup_free_ char *id = NULL;
    int r = open_run(app, a, APP_ENGINE | APP_STORE, &id, &err);
    if (r == 0)
        r = run_read(app, id, &run, &err);
    if (r < 0)
        return app_fail(app, &err);
    int status = EXIT_OK;
    if (run.closed) {
        int of_run; /* is what is shown, not how showing it went */
        if (run_report(app, &run, false, &of_run, &err) < 0)
            status = app_fail(app, &err);
    } else if (app->json) {
        app_print_json(app, run_document(&run, NULL, NULL));
    } else {
        run_print_head(&run);
        run_print_pending(&run);
    }
    run_info_release(&run);
    return status;
}

static int events(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_free_ char *id = NULL;
    int r = open_run(app, a, APP_ENGINE, &id, &err);
    if (r == 0)
        r = timeline_print(app, id, &err);
    return r < 0 ? app_fail(app, &err) : EXIT_OK;
}

/* --- what changes a run ----------------------------------------------------------------------------------- */

static int done_message(struct app *app, const char *id, const char *what)
{
    if (app->json)
        app_print_json(app, json_pack("{s:s, s:s}", "run_id", id, "result", what));
    else if (!app->quiet)
        printf("%s: %s\n", id, what);
    return EXIT_OK;
}

static int cancel(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_free_ char *id = NULL;
    int r = open_run(app, a, APP_ENGINE, &id, &err);
    if (r == 0) {
        Pb__RequestCancelWorkflowExecutionRequest req = PB__REQUEST_CANCEL_WORKFLOW_EXECUTION_REQUEST__INIT;
        Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
        char request_id[37];
        os_uuid(request_id);
        req.namespace_ = (char *)"default";
        ex.workflow_id = id;
        req.workflow_execution = &ex;
        req.request_id = request_id;
        req.identity = (char *)"ff";
        req.reason = (char *)(args_get(a, "reason") ? args_get(a, "reason") : "");
        r = engine_call_sync(app->engine, ENGINE_REQUEST_CANCEL, &req.base, 0, NULL, &err);
    }
    return r < 0 ? app_fail(app, &err) : done_message(app, id, "cancellation requested");
}

static int terminate(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_free_ char *id = NULL;
    int r = open_run(app, a, APP_ENGINE, &id, &err);
    if (r == 0) {
        Pb__TerminateWorkflowExecutionRequest req = PB__TERMINATE_WORKFLOW_EXECUTION_REQUEST__INIT;
        Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
        req.namespace_ = (char *)"default";
        ex.workflow_id = id;
        req.workflow_execution = &ex;
        req.identity = (char *)"ff";
        req.reason = (char *)(args_get(a, "reason") ? args_get(a, "reason") : "terminated by ff");
        r = engine_call_sync(app->engine, ENGINE_TERMINATE, &req.base, 0, NULL, &err);
    }
    return r < 0 ? app_fail(app, &err) : done_message(app, id, "terminated");
}

/* The JSON value of an argument, or NULL for none: JSON, else a plain string. */
static int read_value(const char *text, json_t **ret, struct err *err)
{
    *ret = NULL;
    if (!text)
        return 0;
    if (json_parse(text, strlen(text), ENGINE_PAYLOAD_MAX, ret, NULL) == 0)
        return 0;
    *ret = json_string(text);
    return *ret ? 0 : err_set(err, ERR_INVALID, "the value is neither JSON nor UTF-8 text");
}

static int signal_run(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_free_ char *id = NULL;
    _cleanup_json_ json_t *value = NULL;
    int r = read_value(args_pos(a, 2), &value, &err);
    if (r == 0)
        r = open_run(app, a, APP_ENGINE, &id, &err);
    if (r == 0) {
        Pb__SignalWorkflowExecutionRequest req = PB__SIGNAL_WORKFLOW_EXECUTION_REQUEST__INIT;
        Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
        char request_id[37];
        os_uuid(request_id);
        req.namespace_ = (char *)"default";
        ex.workflow_id = id;
        req.workflow_execution = &ex;
        req.signal_name = (char *)args_pos(a, 1);
        req.request_id = request_id;
        req.identity = (char *)"ff";
        req.input = value ? pbx_json_payloads(value) : NULL;
        r = engine_call_sync(app->engine, ENGINE_SIGNAL_WORKFLOW, &req.base, 0, NULL, &err);
        engine_free_message(req.input ? &req.input->base : NULL);
    }
    return r < 0 ? app_fail(app, &err) : done_message(app, id, "signalled");
}

static int query(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_free_ char *id = NULL;
    _cleanup_json_ json_t *value = NULL, *answer = NULL;
    int r = read_value(args_pos(a, 2), &value, &err);
    if (r == 0)
        r = open_run(app, a, APP_WORKER, &id, &err);
    if (r == 0) {
        Pb__QueryWorkflowRequest req = PB__QUERY_WORKFLOW_REQUEST__INIT;
        Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
        Pb__WorkflowQuery q = PB__WORKFLOW_QUERY__INIT;
        ProtobufCMessage *m = NULL;
        req.namespace_ = (char *)"default";
        ex.workflow_id = id;
        req.execution = &ex;
        q.query_type = (char *)args_pos(a, 1);
        q.query_args = value ? pbx_json_payloads(value) : NULL;
        req.query = &q;
        r = engine_call_sync(app->engine, ENGINE_QUERY, &req.base, 0, &m, &err);
        engine_free_message(q.query_args ? &q.query_args->base : NULL);
        if (r == 0)
            r = pbx_payloads_json(((Pb__QueryWorkflowResponse *)m)->query_result, 0, &answer, &err);
        engine_free_message(m);
    }
    if (r < 0)
        return app_fail(app, &err);
    app_print_json(app, TAKE_PTR(answer));
    return EXIT_OK;
}

static int wait_run(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_free_ char *id = NULL;
    follow_prepare(app, args_has(a, "live"));
    int r = open_run(app, a, APP_WORKER, &id, &err);
    /* Who waits, waits for the holder too: it may be the one that carries this very run. */
    for (bool told = false; r == -ERR_BUSY && !follow_interrupted(); told = true) {
        if (!told && !app->quiet)
            fprintf(stderr, "ff: %s; waiting for it\n", err.msg);
        err = (struct err){0};
        r = open_run(app, a, APP_WORKER, &id, &err);
    }
    return r < 0 ? app_fail(app, &err) : follow_run(app, id);
}

static int export_run(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_free_ char *id = NULL;
    int r = open_run(app, a, APP_ENGINE | APP_STORE, &id, &err);
    if (r == 0)
        r = timeline_export(app, id, args_pos(a, 1), &err);
    return r < 0 ? app_fail(app, &err) : EXIT_OK;
}

#define ID_EXAMPLE(cmd) "  ff runs " cmd " 01K9ABCDEF      (the beginning of an id is enough)"

static const struct opt list_options[] = {
    {"status", 0, "STATUS", "running completed failed cancelled terminated timed_out"},
    {"workflow", 0, "NAME", "of that workflow"},
    {"query", 0, "FILTER", "a filter such as: StartTime > '2026-01-01T00:00:00Z' AND WorkflowId STARTS_WITH 'nightly'"},
    {"limit", 'n', "N", "at most so many (default 50)"},
    {NULL, 0, NULL, NULL},
};
static const struct opt reason_options[] = {
    {"reason", 0, "TEXT", "kept in the history"},
    {NULL, 0, NULL, NULL},
};
static const struct opt live_options[] = {
    {"live", 'l', NULL, "print findings and logs as they come"},
    {NULL, 0, NULL, NULL},
};

static const struct command c_list = {.name = "list",
                                      .aliases = "ls",
                                      .summary = "List runs, newest first",
                                      .usage = "[options]",
                                      .examples = "  ff runs list --status failed --workflow security_assessment",
                                      .opts = list_options,
                                      .run = list};
static const struct command c_show = {.name = "show",
                                      .aliases = "status",
                                      .summary = "Show a run: state, what it does now, or its results",
                                      .usage = "ID",
                                      .examples = ID_EXAMPLE("show"),
                                      .min_args = 1,
                                      .max_args = 1,
                                      .run = show};
static const struct command c_events = {.name = "events",
                                        .aliases = "history",
                                        .summary = "Show the history of a run as a timeline (NDJSON with --json)",
                                        .usage = "ID",
                                        .examples = ID_EXAMPLE("events"),
                                        .min_args = 1,
                                        .max_args = 1,
                                        .run = events};
static const struct command c_cancel = {.name = "cancel",
                                        .summary = "Ask a run to stop and clean up",
                                        .usage = "ID [--reason TEXT]",
                                        .examples = ID_EXAMPLE("cancel"),
                                        .opts = reason_options,
                                        .min_args = 1,
                                        .max_args = 1,
                                        .run = cancel};
static const struct command c_terminate = {.name = "terminate",
                                           .summary = "End a run at once, without its clean-up",
                                           .usage = "ID [--reason TEXT]",
                                           .examples = ID_EXAMPLE("terminate"),
                                           .opts = reason_options,
                                           .min_args = 1,
                                           .max_args = 1,
                                           .run = terminate};
static const struct command c_signal = {.name = "signal",
                                        .summary = "Send a signal to a run",
                                        .usage = "ID NAME [JSON]",
                                        .examples = "  ff runs signal 01K9ABCDEF approve '{\"by\": \"ana\"}'",
                                        .min_args = 2,
                                        .max_args = 3,
                                        .run = signal_run};
static const struct command c_query = {.name = "query",
                                       .summary = "Ask a run a question that its script answers",
                                       .usage = "ID NAME [JSON]",
                                       .examples = "  ff runs query 01K9ABCDEF __progress",
                                       .min_args = 2,
                                       .max_args = 3,
                                       .run = query};
static const struct command c_wait = {.name = "wait",
                                      .summary = "Follow a run to its end; carries it on when nobody else does",
                                      .usage = "ID",
                                      .examples = ID_EXAMPLE("wait"),
                                      .opts = live_options,
                                      .min_args = 1,
                                      .max_args = 1,
                                      .run = wait_run};
static const struct command c_export = {.name = "export",
                                        .summary = "Write a run's whole history as NDJSON",
                                        .usage = "ID [FILE]",
                                        .examples = "  ff runs export 01K9ABCDEF history.ndjson",
                                        .min_args = 1,
                                        .max_args = 2,
                                        .run = export_run};

const struct command cmd_runs = {
    .name = "runs",
    .summary = "List, show, follow and steer runs",
    .subs = (const struct command *const[]){&c_list, &c_show, &c_events, &c_wait, &c_cancel, &c_terminate, &c_signal,
                                            &c_query, &cmd_runs_retry, &c_export, NULL},
};

/* --- the form that users of the former tool type ----------------------------------------------------------- */

static int history(struct app *app, const struct args *a)
{
    return args_pos(a, 0) ? events(app, a) : list(app, a);
}

const struct command cmd_workflow_status = {.name = "status",
                                            .summary = "Show a run (the same as 'ff runs show')",
                                            .usage = "ID",
                                            .examples = "  ff workflow status 01K9ABCDEF",
                                            .min_args = 1,
                                            .max_args = 1,
                                            .run = show};
const struct command cmd_workflow_history = {.name = "history",
                                             .summary = "List runs, or show the history of one (as 'ff runs list' and 'events')",
                                             .usage = "[ID] [options]",
                                             .examples = "  ff workflow history\n  ff workflow history 01K9ABCDEF",
                                             .opts = list_options,
                                             .max_args = 1,
                                             .run = history};
