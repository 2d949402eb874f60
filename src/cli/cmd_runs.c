/* ff runs: what ran and what runs. */
#include "api/service/control.h"
#include "api/service/runs.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/cmd_run.h"
#include "cli/follow.h"
#include "cli/report.h"
#include "cli/term.h"
#include "cli/timeline.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

/* Opens the state and finds the run that the first argument names. */
static int open_run(struct app *app, const struct args *a, unsigned parts, char **ret_id, struct err *err)
{
    int r = app_open(app, parts, err);
    return r < 0 ? r : run_resolve(&app->service, args_pos(a, 0), ret_id, err);
}

/* --- list ------------------------------------------------------------------------------------------------- */

static const char *status_colour(const char *s)
{
    return strcmp(s, "COMPLETED") == 0 ? term_green() : strcmp(s, "RUNNING") == 0 ? term_yellow() : term_red();
}

struct list_print {
    struct app *app;
    json_t *list;
    size_t shown;
};

static void print_run(void *arg, const struct run_item *i)
{
    struct list_print *p = arg;
    char started[32], took[32];
    p->shown++;
    if (p->app->json) {
        json_array_append_new(p->list, run_item_json(i));
        return;
    }
    int64_t ms = ((i->finished_ns ? i->finished_ns : os_now_ns()) - i->started_ns) / NS_PER_MS;
    printf("%-28s %s%-10s%s %-22s %.19s  %-10s ", i->run_id, status_colour(i->status), i->status, term_off(), i->workflow,
           os_format_time(i->started_ns, started), units_format_duration(ms, took, sizeof took));
    term_text(stdout, i->target);
    putchar('\n');
}

static int list(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct strbuf query = STRBUF_INIT_MAX(16384);
    _cleanup_json_ json_t *all = app->json ? json_array() : NULL;
    struct list_print p = {.app = app, .list = all};
    ProtobufCBinaryData token = {0};
    const char *limit_text = args_get(a, "limit");
    char *end = (char *)"";
    int64_t limit = limit_text ? strtoll(limit_text, &end, 10) : 50;
    int r = limit > 0 && !*end ? 0 : err_set(&err, ERR_USAGE, "--limit takes a number over 0");
    if (r == 0)
        r = runs_filter(args_get(a, "status"), args_get(a, "workflow"), args_get(a, "query"), &query, &err);
    if (r == 0)
        r = app_open(app, APP_ENGINE, &err);
    if (r == 0)
        r = runs_list_current(&app->service, strbuf_str(&query), (size_t)limit, &token, print_run, &p, &err);
    free(token.data);
    if (r == 0 && !p.shown && !app->json && !app->quiet)
        fprintf(stderr, "ff: no runs%s\n", query.len ? " that fit" : " yet");
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
        r = run_read(&app->service, id, &run, &err);
    if (r < 0)
        return app_fail(app, &err);
    int status = EXIT_OK;
    if (run.closed) {
        int of_run; /* is what is shown, not how showing it went */
        if (!run_report(app, &run, false, &of_run))
            status = of_run;
    } else if (app->json) {
        app_print_json(app, run_document(&run, NULL, NULL));
    } else {
        run_print_head(stdout, &run);
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

/* To cancel what has ended is no error, as with Temporal; but nothing was requested then. */
static int cancel(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct run_info run = {0};
    _cleanup_free_ char *id = NULL;
    int r = open_run(app, a, APP_ENGINE, &id, &err);
    if (r == 0)
        r = run_read(&app->service, id, &run, &err);
    bool closed = r == 0 && run.closed;
    if (r == 0 && !closed)
        r = run_cancel(&app->service, id, args_get(a, "reason"), &err);
    run_info_release(&run);
    return r < 0 ? app_fail(app, &err) : done_message(app, id, closed ? "has ended already" : "cancellation requested");
}

static int terminate(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_free_ char *id = NULL;
    int r = open_run(app, a, APP_ENGINE, &id, &err);
    if (r == 0)
        r = run_terminate(&app->service, id, args_get(a, "reason"), &err);
    return r < 0 ? app_fail(app, &err) : done_message(app, id, "terminated");
}

static int delete(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_free_ char *id = NULL;
    int r = open_run(app, a, APP_ENGINE | APP_STORE, &id, &err);
    if (r == 0)
        r = run_delete(&app->service, id, true, &err);
    return r < 0 ? app_fail(app, &err) : done_message(app, id, "deleted");
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
    if (r == 0)
        r = run_signal(&app->service, id, args_pos(a, 1), value, NULL, &err);
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
    if (r == 0)
        r = run_query(&app->service, id, args_pos(a, 1), value, &answer, &err);
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

static const struct command c_list = {.remote = true, .name = "list",
                                      .aliases = "ls",
                                      .summary = "List runs, newest first",
                                      .usage = "[options]",
                                      .examples = "  ff runs list --status failed --workflow security_assessment",
                                      .opts = list_options,
                                      .run = list};
static const struct command c_show = {.remote = true, .name = "show",
                                      .aliases = "status",
                                      .summary = "Show a run: state, what it does now, or its results",
                                      .usage = "ID",
                                      .examples = ID_EXAMPLE("show"),
                                      .min_args = 1,
                                      .max_args = 1,
                                      .run = show};
static const struct command c_events = {.remote = true, .name = "events",
                                        .aliases = "history",
                                        .summary = "Show the history of a run as a timeline (NDJSON with --json)",
                                        .usage = "ID",
                                        .examples = ID_EXAMPLE("events"),
                                        .min_args = 1,
                                        .max_args = 1,
                                        .run = events};
static const struct command c_cancel = {.remote = true, .makes_room = true, .name = "cancel",
                                        .summary = "Ask a run to stop and clean up",
                                        .usage = "ID [--reason TEXT]",
                                        .examples = ID_EXAMPLE("cancel"),
                                        .opts = reason_options,
                                        .min_args = 1,
                                        .max_args = 1,
                                        .run = cancel};
static const struct command c_terminate = {.remote = true, .makes_room = true, .name = "terminate",
                                           .summary = "End a run at once, without its clean-up",
                                           .usage = "ID [--reason TEXT]",
                                           .examples = ID_EXAMPLE("terminate"),
                                           .opts = reason_options,
                                           .min_args = 1,
                                           .max_args = 1,
                                           .run = terminate};
static const struct command c_delete = {.remote = true, .makes_room = true,
                                        .name = "delete",
                                        .aliases = "rm",
                                        .summary = "Take a run away that has ended, with what only it keeps",
                                        .usage = "ID",
                                        .examples = ID_EXAMPLE("delete"),
                                        .min_args = 1,
                                        .max_args = 1,
                                        .run = delete};
static const struct command c_signal = {.remote = true, .name = "signal",
                                        .summary = "Send a signal to a run",
                                        .usage = "ID NAME [JSON]",
                                        .examples = "  ff runs signal 01K9ABCDEF approve '{\"by\": \"ana\"}'",
                                        .min_args = 2,
                                        .max_args = 3,
                                        .run = signal_run};
static const struct command c_query = {.remote = true, .name = "query",
                                       .summary = "Ask a run a question that its script answers",
                                       .usage = "ID NAME [JSON]",
                                       .examples = "  ff runs query 01K9ABCDEF __progress",
                                       .min_args = 2,
                                       .max_args = 3,
                                       .run = query};
static const struct command c_wait = {.remote = true, .name = "wait",
                                      .summary = "Follow a run to its end; carries it on when nobody else does",
                                      .usage = "ID",
                                      .examples = ID_EXAMPLE("wait"),
                                      .opts = live_options,
                                      .min_args = 1,
                                      .max_args = 1,
                                      .run = wait_run};
static const struct command c_export = {.remote = true, .name = "export",
                                        .summary = "Write a run's whole history as NDJSON",
                                        .usage = "ID [FILE]",
                                        .examples = "  ff runs export 01K9ABCDEF history.ndjson",
                                        .min_args = 1,
                                        .max_args = 2,
                                        .run = export_run};

const struct command cmd_runs = {
    .name = "runs",
    .summary = "List, show, follow and steer runs",
    .examples = "  ff runs list\n  ff runs show 01KA        (the beginning of an id is enough)\n  ff runs wait 01KA",
    .subs = (const struct command *const[]){&c_list, &c_show, &c_events, &c_wait, &c_cancel, &c_terminate, &c_signal,
                                            &c_query, &cmd_runs_retry, &c_export, &c_delete, NULL},
};

/* --- the form that users of the former tool type ----------------------------------------------------------- */

static int history(struct app *app, const struct args *a)
{
    return args_pos(a, 0) ? events(app, a) : list(app, a);
}

const struct command cmd_workflow_status = {.remote = true, .name = "status",
                                            .summary = "Show a run (the same as 'ff runs show')",
                                            .usage = "ID",
                                            .examples = "  ff workflow status 01K9ABCDEF",
                                            .min_args = 1,
                                            .max_args = 1,
                                            .run = show};
const struct command cmd_workflow_history = {.remote = true, .name = "history",
                                             .summary = "List runs, or show the history of one (as 'ff runs list' and 'events')",
                                             .usage = "[ID] [options]",
                                             .examples = "  ff workflow history\n  ff workflow history 01K9ABCDEF",
                                             .opts = list_options,
                                             .max_args = 1,
                                             .run = history};
