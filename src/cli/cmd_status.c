/* ff status: what goes on in a state. */
#include "cli/cmd_status.h"

#include "api/client/client.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "cli/engine_open.h"
#include "cli/process_file.h"
#include "cli/report.h"
#include "cli/share.h"
#include "cli/term.h"
#include "cli/workers.h"
#include "codec/json.h"
#include "engine/embedded/lockfile.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *status, *key;
} statuses[] = {{"Running", "running"},     {"Completed", "completed"},   {"Failed", "failed"},
                {"Canceled", "cancelled"}, {"Terminated", "terminated"}, {"TimedOut", "timed_out"}};

static int count_runs(struct app *app, const char *name_space, const char *status, const char *key, json_t *into, struct err *err)
{
    Pb__CountWorkflowExecutionsRequest req = PB__COUNT_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    char query[64];
    snprintf(query, sizeof query, "ExecutionStatus = '%s'", status);
    req.namespace_ = name_space ? (char *)(uintptr_t)name_space : service_namespace(&app->service);
    req.query = query;
    int r = engine_call_sync(app->engine, ENGINE_COUNT, &req.base, 0, &m, err);
    if (r < 0)
        return r;
    json_object_set_new(into, key, json_integer(((Pb__CountWorkflowExecutionsResponse *)m)->count));
    engine_free_message(m);
    return 0;
}

/* "PID COMMAND" as the holder wrote it; empty: nobody did. The lock goes when its owner closes any descriptor of that file: a
 * process that stays, and may hold it, must not look into it. */
static void read_holder(struct app *app, char *buf, size_t size)
{
    _cleanup_free_ char *path = os_path_join(app->state_dir, "state.db.lock");
    _cleanup_free_ char *text = NULL;
    size_t len;
    buf[0] = 0;
    if (app->stays && app->share && share_holds(app->share))
        lockfile_text(buf, size);
    else if (app->stays)
        snprintf(buf, size, "another process");
    else if (path && os_read_file(path, 4096, &text, &len, NULL) == 0)
        snprintf(buf, size, "%.*s", (int)strcspn(text, "\n"), text);
}

static void print_line(const char *what, const char *text)
{
    printf("%-8s ", what);
    term_text(stdout, text);
    putchar('\n');
}

static void print_status(const json_t *j)
{
    const json_t *runs = json_object_get(j, "runs"), *v;
    const char *key;
    const char *grpc = json_str(j, "grpc", NULL);
    if (json_str(j, "state", NULL)) /* a server does not tell everybody */
        print_line("state", json_str(j, "state", NULL));
    print_line("engine", json_str(j, "holder", "held by nobody"));
    if (grpc)
        print_line("gRPC", grpc);
    printf("workers  %zu\n", json_array_size(json_object_get(j, "workers")));
    printf("runs    ");
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (json_integer_value(v = json_object_get(runs, key = statuses[i].key)))
            printf(" %lld %s", (long long)json_integer_value(v), key);
    putchar('\n');
}

int status_document(struct app *app, const char *name_space, json_t **ret, struct err *err)
{
    char holder[256];
    json_t *workers = NULL;
    _cleanup_json_ json_t *runs = json_object(), *server = NULL;
    read_holder(app, holder, sizeof holder); /* before we may be it */
    int r = runs ? (app->engine ? 0 : app_open(app, APP_ENGINE, err)) : err_nomem(err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(statuses); i++)
        r = count_runs(app, name_space, statuses[i].status, statuses[i].key, runs, err);
    if (r == 0)
        r = process_server(app->state_dir, &server, err);
    if (r == 0)
        r = workers_read(app, name_space, &workers, err);
    bool held = r == 0 && app->share && (app->stays || !share_holds(app->share)); /* not by a command that only looks */
    if (r == 0 && engine_is_temporal(app)) {
        held = true;
        snprintf(holder, sizeof holder, "temporal at %.150s, namespace %.60s", config_get(&app->config, CONFIG_temporal_address),
                 config_get(&app->config, CONFIG_temporal_namespace));
    }
    if (r == 0 && !(*ret = json_pack("{s:s, s:s, s:s?, s:s?, s:o, s:O}", "state", app->state_dir, "engine",
                                     config_get(&app->config, CONFIG_engine), "holder", held ? holder : NULL, "grpc",
                                     json_str(server, "grpc", NULL), "workers", workers, "runs", runs)))
        r = err_nomem(err);
    return r;
}

static int status(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_json_ json_t *j = NULL;
    (void)a;
    int r = app->remote ? app_open(app, 0, &err) : status_document(app, NULL, &j, &err);
    if (r == 0 && app->remote)
        r = client_get(app->client, "/status", &j, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, json_incref(j));
    else
        print_status(j);
    return EXIT_OK;
}

const struct command cmd_status = {
    .remote = true,
    .name = "status",
    .summary = "Who holds the engine, workers, and how many runs there are",
    .usage = "",
    .examples = "  ff status",
    .run = status,
};
