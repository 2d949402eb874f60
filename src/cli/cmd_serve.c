/* ff serve, ff server: who holds the engine and stays. */
#include "api/grpc/api.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/admit.h"
#include "cli/background.h"
#include "cli/follow.h"
#include "cli/leftovers.h"
#include "cli/log_writer.h"
#include "cli/namespaces.h"
#include "cli/process_file.h"
#include "cli/reload.h"
#include "cli/rest_serve.h"
#include "cli/serve_again.h"
#include "cli/service_manager.h"
#include "cli/share.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- serve ------------------------------------------------------------------------------------------------ */

#define HOSTS_MAX 32
#define TIDY_LOOKS 5 /* workspaces are looked for so seldom */

struct listen_request {
    const char *address;
    struct rpc_tls tls;
    bool insecure_loopback;
    bool rest;
    struct rest_serve_options http;
    struct begun_again again;
    const char *hosts[HOSTS_MAX + 1];
};

static int read_http(const struct args *a, struct listen_request *q, struct err *err)
{
    const char *listen = args_get(a, "listen");
    q->rest = !listen || strcmp(listen, "none") != 0;
    q->http = (struct rest_serve_options){.address = listen, .tls = q->tls,
                                          .insecure_loopback = q->insecure_loopback, .hosts = q->hosts,
                                          .allow_restore = args_has(a, "allow-restore"), .again = &q->again,
                                          .listen_fd = -1};
    for (size_t i = 0; i < HOSTS_MAX; i++)
        q->hosts[i] = args_nth(a, "allow-host", i);
    return q->rest ? rest_serve_check(&q->http, err) : 0;
}

/* Everything that can be wrong with it is found before anything is started. */
static int read_listen(const struct args *a, struct listen_request *q, struct err *err)
{
    *q = (struct listen_request){.address = args_get(a, "grpc"), .insecure_loopback = args_has(a, "insecure-loopback")};
    q->tls.cert_file = args_get(a, "tls-cert");
    q->tls.key_file = args_get(a, "tls-key");
    q->tls.ca_file = args_get(a, "tls-client-ca");
    q->tls.on = q->tls.cert_file || q->tls.key_file || q->tls.ca_file;
    if (q->tls.on && (!q->tls.cert_file || !q->tls.key_file))
        return err_set(err, ERR_USAGE, "TLS needs both --tls-cert and --tls-key");
    int r = read_http(a, q, err);
    return r == 0 && q->address ? grpc_api_check(q->address, &q->tls, q->insecure_loopback, err) : r;
}

static void print_server(struct app *app, const char *grpc, const char *rest)
{
    _cleanup_free_ char *socket = mem_printf("unix:%s/engine.sock", app->state_dir);
    if (app->json) {
        app_print_json(app, json_pack("{s:i, s:s, s:s?, s:s?, s:s?}", "pid", (int)getpid(), "state", app->state_dir, "grpc",
                                      grpc, "rest", rest, "socket", socket));
    } else {
        if (grpc)
            printf("gRPC at %s\n", grpc);
        if (rest)
            printf("REST at %s\n", rest);
        printf("socket at %s\n", socket ? socket : "");
    }
    fflush(stdout);
}

static int start_listening(struct app *app, const struct listen_request *q, char **ret_grpc, struct err *err)
{
    int port = 0;
    *ret_grpc = NULL;
    if (!q->address)
        return 0;
    if (!app->share)
        return err_set(err, ERR_USAGE, "'ff serve' serves the embedded engine, not '%s'",
                       config_get(&app->config, CONFIG_engine));
    int r = share_listen(app->share, q->address, &q->tls, q->insecure_loopback, &port, err);
    if (r < 0)
        return r;
    *ret_grpc = mem_printf("%.*s:%d", (int)(strrchr(q->address, ':') - q->address), q->address, port);
    return *ret_grpc ? 0 : err_nomem(err);
}

/* All that is served, and the file that says so. */
static int start_serving(struct app *app, const struct listen_request *q, struct admit *admit, struct rest_serve *rest,
                         struct process_file *file, struct err *err)
{
    _cleanup_free_ char *grpc = NULL, *url = NULL;
    int r = app->share ? namespaces_open(app, err) : 0;
    if (r == 0)
        r = admit_open(admit, err);
    if (r == 0 && app->share)
        share_set_admit(app->share, admit_run, admit);
    if (r == 0 && app->share)
        share_set_goes_on(app->share, admit_goes_on, admit);
    if (r == 0 && app->share)
        share_on_namespace(app->share, follow_look);
    if (r == 0)
        r = start_listening(app, q, &grpc, err);
    if (r == 0 && rest)
        r = rest_serve_start(rest, app, &q->http, &url, err);
    if (r == 0 && rest)
        admit_count_events(admit, rest_serve_live(rest));
    if (r == 0)
        r = process_file_write(file, app->state_dir, PROCESS_SERVER, json_pack("{s:s?, s:s?}", "grpc", grpc, "rest", url), err);
    if (r == -ERR_EXISTS) {
        err_set(err, ERR_EXISTS, "another server of this state runs");
        err_hint(err, "'ff server status' shows it");
    }
    if (r == 0 && !q->again.so)
        print_server(app, grpc, url);
    return r;
}

/* With JSON a line for each request too, as others read them. */
static int open_log(const struct args *a, struct app *app, bool *ret_json, struct err *err)
{
    const char *format = args_get(a, "log-format");
    bool json = format && strcmp(format, "json") == 0;
    if (format && !json && strcmp(format, "text") != 0)
        return err_set(err, ERR_USAGE, "--log-format '%.40s': text or json", format);
    *ret_json = json;
    if (json && !app->quiet && !app->verbose)
        log_set_level(LOG_INFO);
    return log_writer_open(args_get(a, "log-file"), json, err);
}

struct reloading {
    struct app *app;
    const struct rpc_tls *tls;
};

static void reload(void *arg)
{
    const struct reloading *l = arg;
    struct err err = {0}, log = {0};
    manager_notify("RELOADING=1");
    if (log_writer_reopen(&log) < 0)
        log_error("what is logged goes where it went: %s", log.msg);
    if (reload_settings(l->app, l->tls, &err) < 0)
        log_error("the settings stay as they were: %s", err.msg);
    else
        log_msg(LOG_WARN, "the settings were read again");
    manager_notify("READY=1");
}

struct tidying {
    struct app *app;
    struct admit *admit;
    int64_t since_ns;
    unsigned looks;
};

static void tidy(void *arg)
{
    struct tidying *t = arg;
    struct err err = {0};
    admit_look(t->admit);
    namespaces_look(t->app->namespaces); /* another process, or a client, may have made one */
    if (t->looks++ % TIDY_LOOKS == 0 && leftovers_forget(t->app, &t->since_ns, &err) < 0)
        log_warn("private workspaces of runs that have ended: %s", err.msg);
}

static int begin(struct app *app, const struct args *a, struct listen_request *q, struct reloading *l, struct admit **admit,
                 struct rest_serve **rest, struct err *err)
{
    int r = read_listen(a, q, err);
    serve_begun_again(&q->again);
    if (r == 0)
        r = open_log(a, app, &q->http.json_log, err);
    if (r == 0)
        r = manager_listen_fd(&q->http.listen_fd, err);
    if (r == 0) {
        follow_prepare(app, args_has(a, "live"));
        follow_reload_on_hangup(reload, l);
        if (q->again.so)
            serve_hear();
        app->stays = app->patient = true;
        r = admit_prepare(app, admit, err);
    }
    if (r == 0 && q->rest)
        r = rest_serve_prepare(app, rest, err);
    if (r == 0)
        r = serve_resume(app, err);
    return r == 0 ? app_open(app, APP_WORKER, err) : r;
}

/* From here on nobody is let in. *ret_listener: where callers of who serves next wait; -1: nobody does. */
static void stop_serving(struct app *app, struct rest_serve *rest, bool goes_on, bool *ret_alone, int *ret_listener)
{
    *ret_listener = goes_on ? rest_serve_listener(rest) : -1;
    rest_serve_stop(rest, app);
    *ret_alone = goes_on && (!app->share || share_leave_alone(app->share));
    app_close_state(app);
}

/* The state is closed. Does not come back unless it is told to end, or cannot go on. */
static int go_on_with(struct app *app, const char *restore, bool alone, int listener, struct err *err)
{
    struct watchdog *dog = NULL;
    struct err why = {0};
    int r = watchdog_start(app, NULL, &dog, err);
    if (r == 0 && serve_bring_back(app, alone, &why) < 0)
        log_error("restore %s: %s", restore, why.msg);
    watchdog_stop(dog);
    serve_hold_signals();
    if (r < 0 || follow_signalled())
        return r;
    log_writer_close();
    return serve_again(restore, &why, listener, err);
}

static int serve(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct listen_request q;
    struct process_file file = PROCESS_FILE_INIT;
    struct rest_serve *rest = NULL;
    struct watchdog *dog = NULL;
    struct admit *admit = NULL;
    struct reloading l = {app, &q.tls};
    int listener, r = begin(app, a, &q, &l, &admit, &rest, &err);
    bool alone;
    char restore[27] = ""; /* that is to take the place of the state */
    if (r == 0)
        r = log_writer_start(&err);
    if (r == 0)
        r = start_serving(app, &q, admit, rest, &file, &err);
    if (r == 0)
        r = watchdog_start(app, rest, &dog, &err);
    if (r == 0) {
        manager_notify("READY=1");
        background_ready(q.again.so ? NULL : args_get(a, "ready-fd")); /* which is another file by now */
        struct tidying t = {.app = app, .admit = admit, .since_ns = os_now_ns() - LEFTOVERS_BEFORE_NS};
        follow_wait_for_signal(tidy, &t);
        snprintf(restore, sizeof restore, "%s", rest_serve_staged(rest) ? rest_serve_staged(rest) : "");
    }
    manager_notify(*restore ? "RELOADING=1" : "STOPPING=1");
    watchdog_stop(dog);
    stop_serving(app, rest, *restore, &alone, &listener);
    rest_serve_free(rest);
    admit_close(admit);
    process_file_remove(&file);
    if (*restore)
        r = go_on_with(app, restore, alone, listener, &err);
    log_writer_close();
    return r < 0 ? app_fail(app, &err) : EXIT_OK;
}

static const struct opt serve_options[] = {
    {"listen", 0, "ADDR:PORT", "REST there (default 127.0.0.1:8000); port 0 picks a free one; 'none': no REST"},
    {"grpc", 0, "ADDR:PORT", "speak Temporal's protocol there too; port 0 picks a free one"},
    {"allow-host", 0, "NAME", "clients may call the REST server by this name; may be given several times"},
    {"insecure-loopback", 0, NULL, "callers on this machine need no token"},
    {"allow-restore", 0, NULL, "admins of all namespaces may send a backup that takes the place of the state"},
    {"tls-cert", 0, "FILE", "the server's certificate, PEM"},
    {"tls-key", 0, "FILE", "and its key"},
    {"tls-client-ca", 0, "FILE", "callers with a certificate of this authority need no token"},
    {"log-format", 0, "FORMAT", "of the log: text, or json, a document a line, with every request"},
    {"log-file", 0, "FILE", "the log goes to its end, not to standard error; SIGHUP opens it anew"},
    {"live", 'l', NULL, "print findings and logs as they come"},
    {"ready-fd", 0, "FD", "written to when the server is ready"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_serve = {
    .instead = "leave --server away: this starts a server, it asks none",
    .name = "serve",
    .summary = "Hold the engine and run workers in the foreground, and serve others",
    .usage = "[--listen ADDR:PORT] [--grpc ADDR:PORT] [options]",
    .details = "Other processes of this user reach the engine by a socket in the state folder. Over TCP callers need the token\n"
               "in the state folder's file 'token' ('Authorization: Bearer TOKEN'), or for gRPC a client certificate.\n"
               "With --allow-restore 'ff --server URL restore FILE --replace' works; then the server ends and begins again by\n"
               "itself. No setting allows that: a backup may bring settings.\n"
               "SIGHUP reads the settings again. Ends on Ctrl-C or SIGTERM; what is unfinished goes on when the engine is held\n"
               "again.",
    .examples = "  ff serve\n"
                "  ff serve --listen 127.0.0.1:8080\n"
                "  ff serve --grpc 127.0.0.1:7233\n"
                "  ff serve --grpc 0.0.0.0:7233 --tls-cert server.pem --tls-key server.key",
    .opts = serve_options,
    .run = serve,
};

/* --- server ----------------------------------------------------------------------------------------------- */

static int server_status(struct app *app, const struct args *a)
{
    (void)a;
    struct err err = {0};
    _cleanup_json_ json_t *s = NULL;
    if (process_server(app->state_dir, &s, &err) < 0)
        return app_fail(app, &err);
    const char *grpc = json_str(s, "grpc", NULL), *rest = json_str(s, "rest", NULL);
    if (app->json)
        app_print_json(app, json_pack("{s:b, s:o, s:s?, s:s?}", "running", s != NULL, "pid",
                                      s ? json_integer(json_i64(s, "pid", 0)) : json_null(), "grpc", grpc, "rest", rest));
    else if (!s)
        printf("no server runs\n");
    else
        printf("running, pid %lld%s%s%s%s\n", (long long)json_i64(s, "pid", 0), grpc ? ", gRPC at " : "", grpc ? grpc : "",
               rest ? ", REST at " : "", rest ? rest : "");
    return EXIT_OK;
}

static int server_start(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct listen_request q;
    _cleanup_json_ json_t *s = NULL;
    const char *more[2 * HOSTS_MAX + 20] = {"serve"};
    size_t n = 1;
    int r = read_listen(a, &q, &err);
    if (r == 0)
        r = process_server(app->state_dir, &s, &err);
    if (r == 0 && s)
        r = err_set(&err, ERR_EXISTS, "a server runs already, pid %lld", (long long)json_i64(s, "pid", 0));
    static const char *const passed[] = {"listen", "grpc", "tls-cert", "tls-key", "tls-client-ca", "log-format", "log-file"};
    static const char *const flags[] = {"--listen",        "--grpc",       "--tls-cert", "--tls-key",
                                        "--tls-client-ca", "--log-format", "--log-file"};
    for (size_t i = 0; i < ARRAY_LEN(passed); i++) {
        const char *v = args_get(a, passed[i]);
        if (v) {
            more[n++] = flags[i];
            more[n++] = v;
        }
    }
    for (size_t i = 0; r == 0 && q.rest && q.hosts[i]; i++) {
        more[n++] = "--allow-host";
        more[n++] = q.hosts[i];
    }
    if (q.insecure_loopback)
        more[n++] = "--insecure-loopback";
    if (args_has(a, "allow-restore"))
        more[n++] = "--allow-restore";
    if (r == 0)
        r = background_start(app, "server", more, NULL, &err);
    return r < 0 ? app_fail(app, &err) : server_status(app, a);
}

static int server_stop(struct app *app, const struct args *a)
{
    (void)a;
    struct err err = {0};
    _cleanup_json_ json_t *s = NULL;
    _cleanup_free_ char *path = os_path_join(app->state_dir, PROCESS_SERVER);
    int r = path ? process_server(app->state_dir, &s, &err) : err_nomem(&err);
    if (r == 0 && s) {
        process_end(s);
        r = process_wait_end(path, "server", &err);
    }
    if (r < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, json_pack("{s:b}", "stopped", s != NULL));
    else if (!app->quiet)
        printf("%s\n", s ? "stopped" : "no server runs");
    return EXIT_OK;
}

static const struct command cmd_server_start = {
    .instead = "run it on the server's machine: it starts and ends processes",
    .name = "start", .summary = "Start 'ff serve' in the background", .usage = "[options of 'ff serve']",
    .examples = "  ff server start --grpc 127.0.0.1:7233", .opts = serve_options, .run = server_start};
static const struct command cmd_server_stop = {
    .instead = "run it on the server's machine: it starts and ends processes",
    .name = "stop", .summary = "End it, and wait until it has ended", .usage = "", .examples = "  ff server stop",
    .run = server_stop};
static const struct command cmd_server_status = {
    .instead = "'ff status' asks a server",
    .name = "status", .summary = "Whether it runs, and where", .usage = "", .examples = "  ff server status",
    .run = server_status};

const struct command cmd_server = {
    .name = "server",
    .summary = "A server in the background: start, stop, status",
    .usage = "start|stop|status",
    .examples = "  ff server start --grpc 127.0.0.1:7233\n  ff server stop",
    .subs = (const struct command *const[]){&cmd_server_start, &cmd_server_stop, &cmd_server_status, NULL},
};
