/* ff worker, ff workers: who runs workflows and modules. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "cli/background.h"
#include "cli/follow.h"
#include "cli/process_file.h"
#include "cli/term.h"
#include "cli/workers.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

#define VERTICALS_MAX 64
#define VERTICAL_BYTES_MAX 200

/* --- worker ----------------------------------------------------------------------------------------------- */

/* What the options say, else the setting; none: all. NULL-terminated. */
static int read_verticals(struct app *app, const struct args *a, const char *ret[VERTICALS_MAX + 1], struct err *err)
{
    const char *v;
    size_t n = 0;
    for (size_t i = 0; n < VERTICALS_MAX && (v = args_nth(a, "vertical", i)); i++)
        ret[n++] = v;
    v = config_get(&app->config, CONFIG_worker_vertical);
    if (!n && *v)
        ret[n++] = v;
    ret[n] = NULL;
    for (size_t i = 0; i < n; i++)
        if (!*ret[i] || strlen(ret[i]) > VERTICAL_BYTES_MAX)
            return err_set(err, ERR_USAGE, "--vertical '%.60s': a name is wanted", ret[i]);
    return 0;
}

static int register_worker(struct app *app, struct process_file *f, struct err *err)
{
    _cleanup_free_ char *name = process_worker_name();
    json_t *verticals = json_array();
    for (size_t i = 0; app->verticals && app->verticals[i]; i++)
        json_array_append_new(verticals, json_string(app->verticals[i]));
    if (!name || !verticals)
        return err_nomem(err);
    return process_file_write(f, app->state_dir, name,
                              json_pack("{s:s, s:o}", "identity", worker_identity(app->worker), "verticals", verticals), err);
}

static int worker(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct process_file file = PROCESS_FILE_INIT;
    const char *verticals[VERTICALS_MAX + 1];
    int r = read_verticals(app, a, verticals, &err);
    if (r == 0) {
        follow_prepare(app, args_has(a, "live"));
        app->verticals = verticals[0] ? verticals : NULL;
        app->patient = true;
        r = app_open(app, APP_WORKER, &err);
    }
    if (r == 0)
        r = register_worker(app, &file, &err);
    if (r == 0) {
        if (!app->quiet && !app->json)
            fprintf(stderr, "ff: worker %s ready\n", worker_identity(app->worker));
        background_ready(args_get(a, "ready-fd"));
        follow_wait_for_signal(NULL, NULL);
    }
    app_close_state(app);
    process_file_remove(&file);
    return r < 0 ? app_fail(app, &err) : EXIT_OK;
}

static const struct opt worker_options[] = {
    {"vertical", 0, "NAME", "serve this vertical's task queue; may be given several times (default: all)"},
    {"live", 'l', NULL, "print findings and logs as they come"},
    {"ready-fd", 0, "FD", "written to when the worker is ready"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_worker = {
    .instead = "leave --server away: a worker shares the state, or has a cluster (--engine temporal)",
    .name = "worker",
    .summary = "Run workflows and modules for an engine that another process holds",
    .usage = "[--vertical NAME]...",
    .details = "Takes tasks from the task queues NAME-queue. If nobody holds the engine of the state, or its holder ends, the\n"
               "worker holds it. Ends on Ctrl-C or SIGTERM; what it was doing is done again elsewhere.",
    .examples = "  ff worker --vertical python\n"
                "  ff worker --vertical python --vertical secrets",
    .opts = worker_options,
    .run = worker,
};

/* --- workers ---------------------------------------------------------------------------------------------- */

static int workers_list(struct app *app, const struct args *a)
{
    struct err err = {0};
    json_t *list = NULL, *w, *q;
    size_t i, k;
    (void)a;
    int r = app_open(app, APP_ENGINE, &err);
    if (r == 0)
        r = workers_read(app, NULL, &list, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (app->json) {
        app_print_json(app, json_pack("{s:o}", "workers", list));
        return EXIT_OK;
    }
    if (!json_array_size(list) && !app->quiet)
        fprintf(stderr, "ff: no worker takes tasks\n");
    json_array_foreach(list, i, w) {
        term_text(stdout, json_str(w, "identity", ""));
        printf("  %s ", json_str(w, "last_seen", ""));
        json_array_foreach(json_object_get(w, "queues"), k, q) {
            putchar(' ');
            term_text(stdout, json_is_string(q) ? json_string_value(q) : "?");
        }
        putchar('\n');
    }
    json_decref(list);
    return EXIT_OK;
}

/* The one with that process id. NULL: it has ended since. */
static json_t *by_pid(json_t *list, int64_t pid)
{
    size_t i;
    json_t *w;
    json_array_foreach(list, i, w)
        if (json_i64(w, "pid", 0) == pid)
            return w;
    return NULL;
}

static int workers_start(struct app *app, const struct args *a)
{
    struct err err = {0};
    pid_t pid;
    _cleanup_json_ json_t *list = NULL;
    const char *verticals[VERTICALS_MAX + 1], *words[2 * VERTICALS_MAX + 2] = {"worker"};
    size_t n = 1;
    int r = read_verticals(app, a, verticals, &err);
    for (size_t i = 0; r == 0 && verticals[i]; i++) {
        words[n++] = "--vertical";
        words[n++] = verticals[i];
    }
    if (r == 0)
        r = background_start(app, "worker", words, &pid, &err);
    if (r == 0)
        r = process_workers(app->state_dir, &list, &err);
    json_t *w = r == 0 ? by_pid(list, pid) : NULL;
    if (r == 0 && !w)
        r = err_set(&err, ERR_UNAVAILABLE, "the worker, pid %ld, has ended", (long)pid);
    if (r < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, json_pack("{s:O, s:O, s:O}", "pid", json_object_get(w, "pid"), "identity",
                                      json_object_get(w, "identity"), "verticals", json_object_get(w, "verticals")));
    else if (!app->quiet)
        printf("started, pid %ld\n", (long)pid);
    return EXIT_OK;
}

static bool has_name(const json_t *w, const char *name)
{
    char pid[24];
    snprintf(pid, sizeof pid, "%lld", (long long)json_i64(w, "pid", 0));
    return strcmp(name, pid) == 0 || strcmp(name, json_str(w, "identity", "")) == 0;
}

/* Is it named by the arguments? None: all are. */
static bool is_meant(const json_t *w, const struct args *a)
{
    const char *name;
    size_t i, k;
    json_t *v;
    for (i = 0; (name = args_pos(a, i)); i++)
        if (has_name(w, name))
            return true;
    for (i = 0; (name = args_nth(a, "vertical", i)); i++)
        json_array_foreach(json_object_get(w, "verticals"), k, v)
            if (json_is_string(v) && strcmp(name, json_string_value(v)) == 0)
                return true;
    return !args_pos(a, 0) && !args_nth(a, "vertical", 0);
}

/* A name that means nobody is a mistake, before anyone is stopped. */
static int check_names(json_t *list, const struct args *a, struct err *err)
{
    const char *name;
    for (size_t i = 0; (name = args_pos(a, i)); i++) {
        bool found = false;
        size_t k;
        json_t *w;
        json_array_foreach(list, k, w)
            found = found || has_name(w, name);
        if (!found) {
            err_set(err, ERR_USAGE, "no worker of this state has the pid or identity '%.100s'", name);
            return err_hint(err, "'ff workers list' shows them");
        }
    }
    return 0;
}

static int workers_stop(struct app *app, const struct args *a)
{
    struct err err = {0};
    size_t i;
    json_t *w;
    _cleanup_json_ json_t *list = NULL, *stopped = json_array();
    int r = stopped ? process_workers(app->state_dir, &list, &err) : err_nomem(&err);
    if (r == 0)
        r = check_names(list, a, &err);
    json_array_foreach(list, i, w) {
        if (r == 0 && is_meant(w, a)) {
            process_end(w);
            json_array_append(stopped, w);
        }
    }
    json_array_foreach(stopped, i, w) {
        if (r == 0)
            r = process_wait_end(json_str(w, "file", ""), "worker", &err);
        json_object_del(w, "file");
    }
    if (r < 0)
        return app_fail(app, &err);
    size_t n = json_array_size(stopped);
    if (app->json)
        app_print_json(app, json_pack("{s:O}", "stopped", stopped));
    else if (!app->quiet && n)
        printf("stopped %zu worker%s\n", n, n == 1 ? "" : "s");
    else if (!app->quiet)
        printf("no worker of this state runs\n");
    return EXIT_OK;
}

static const struct opt start_options[] = {
    {"vertical", 0, "NAME", "serve this vertical's task queue; may be given several times (default: all)"},
    {NULL, 0, NULL, NULL},
};
static const struct opt stop_options[] = {
    {"vertical", 0, "NAME", "those that were started for this vertical; may be given several times"},
    {NULL, 0, NULL, NULL},
};

static const struct command cmd_workers_list = {
    .remote = true,
    .name = "list", .summary = "Who takes tasks, and from which task queues", .usage = "",
    .examples = "  ff workers list", .run = workers_list};
static const struct command cmd_workers_start = {
    .instead = "run it on the server's machine: it starts and ends processes",
    .name = "start", .summary = "Start 'ff worker' in the background", .usage = "[--vertical NAME]...",
    .details = "Its messages go to worker.log in the state folder.",
    .examples = "  ff workers start --vertical python", .opts = start_options, .run = workers_start};
static const struct command cmd_workers_stop = {
    .instead = "run it on the server's machine: it starts and ends processes",
    .name = "stop", .summary = "End workers of this state, and wait until they have ended",
    .usage = "[PID|IDENTITY]... [--vertical NAME]...",
    .details = "Without a name: all of them on this machine, wherever they were started.\n"
               "What one was doing is done again elsewhere.",
    .examples = "  ff workers stop\n  ff workers stop --vertical python\n  ff workers stop 4711",
    .opts = stop_options, .max_args = -1, .run = workers_stop};

const struct command cmd_workers = {
    .name = "workers",
    .summary = "The workers of the engine: list, start, stop",
    .usage = "list|start|stop",
    .examples = "  ff workers start --vertical python\n  ff workers list\n  ff workers stop",
    .subs = (const struct command *const[]){&cmd_workers_list, &cmd_workers_start, &cmd_workers_stop, NULL},
};
