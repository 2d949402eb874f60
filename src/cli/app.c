#include "cli/app.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/term.h"
#include "codec/json.h"
#include "codec/utf8.h"
#include "engine/embedded/embedded.h"
#include "ingest/ingest.h"
#include "os/file.h"
#include "scan/analyzer.h"
#include "scan/builtin.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DOCUMENT_MAX ((size_t)2 << 30)

#ifndef FF_DATADIR
#define FF_DATADIR "/usr/local/share/fuzzforge"
#endif

void app_init(struct app *app, const struct args *args)
{
    *app = (struct app){.args = args};
    app->json = args_has(args, "json");
    app->quiet = args_has(args, "quiet");
    for (size_t i = 0; args_nth(args, "verbose", i); i++)
        app->verbose++;
    log_set_level(app->quiet ? LOG_ERROR : app->verbose >= 2 ? LOG_DEBUG : app->verbose ? LOG_INFO : LOG_WARN);
}

/* A flag that sets a setting. */
static int flag(struct app *app, const char *name, enum config_key k, struct err *err)
{
    const char *v = args_get(app->args, name);
    if (!v)
        return 0;
    char source[64];
    snprintf(source, sizeof source, "flag --%s", name);
    return config_set(&app->config, k, *v ? v : "true", source, err);
}

/* Absolute: what is mounted in a sandbox is named so. */
static int state_dir(struct app *app, struct err *err)
{
    _cleanup_free_ char *dir = NULL;
    int r = config_state_dir(&app->config, &dir, err);
    if (r < 0)
        return r;
    if (dir[0] == '/')
        app->state_dir = TAKE_PTR(dir);
    else {
        _cleanup_free_ char *cwd = getcwd(NULL, 0);
        app->state_dir = cwd ? os_path_join(cwd, dir) : NULL;
    }
    return app->state_dir ? 0 : err_nomem(err);
}

int app_configure(struct app *app, struct err *err)
{
    int r = config_load(&app->config, args_get(app->args, "config"), err);
    if (r == 0)
        r = flag(app, "state", CONFIG_state_dir, err);
    if (r == 0)
        r = flag(app, "engine", CONFIG_engine, err);
    if (r == 0)
        r = flag(app, "store", CONFIG_store, err);
    if (r == 0)
        r = flag(app, "server", CONFIG_server_url, err);
    if (r == 0)
        r = flag(app, "require-sandbox", CONFIG_sandbox_require, err);
    if (r == 0)
        r = state_dir(app, err);
    if (r == 0 && app->config.project_ignored)
        log_warn("%s is not trusted: its settings are left aside ('ff trust %s' if it is yours)",
                 app->config.project, app->config.project);
    return r;
}

void app_close_state(struct app *app)
{
    worker_stop(TAKE_PTR(app->worker));
    engine_free(TAKE_PTR(app->engine));
    workspaces_free(TAKE_PTR(app->workspaces));
    store_free(TAKE_PTR(app->store));
    spawner_free(TAKE_PTR(app->spawner));
}

void app_release(struct app *app)
{
    app_close_state(app);
    toolbox_free(app->toolbox);
    module_registry_free(app->modules);
    free(app->state_dir);
    free(app->tmp_dir);
    config_release(&app->config);
}

/* --- toolbox ---------------------------------------------------------------------------------------------- */

typedef VEC(char *) dir_list;

static int add_dir(dir_list *l, char *dir, struct err *err)
{
    if (!dir || !VEC_PUSH(l, dir)) {
        free(dir);
        return err_nomem(err);
    }
    return 0;
}

static void free_dirs(dir_list *l)
{
    VEC_EACH(l, d)
        free(*d);
    VEC_RELEASE(l);
}

/* Absolute, for the same reason. A folder that is not there stays as it is written. */
static int add_real_dir(dir_list *l, const char *dir, struct err *err)
{
    char *real = NULL;
    if (os_real_path(dir, &real, NULL) < 0)
        real = mem_strdup(dir);
    return add_dir(l, real, err);
}

static char *toolbox_below(const char *root, const char *rest)
{
    _cleanup_free_ char *dir = root ? os_path_join(root, rest) : NULL;
    _cleanup_free_ char *mark = dir ? os_path_join(dir, "workflows/security_assessment") : NULL;
    return mark && os_is_dir(mark) ? TAKE_PTR(dir) : NULL;
}

/* The installed toolbox: where the program stands, so that an installation may be moved, or the source tree when it
 * runs from its build folder; else where it was built to be. */
static char *installed_toolbox(void)
{
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    for (int up = 0; n > 0 && up < 2; up++) { /* <root>/bin/ff or <root>/build/ff -> <root> */
        exe[n] = 0;
        char *slash = strrchr(exe, '/');
        if (!slash)
            break;
        *slash = 0;
        n = slash - exe;
    }
    char *found = n > 0 ? toolbox_below(exe, "share/fuzzforge/toolbox") : NULL;
    if (!found && n > 0)
        found = toolbox_below(exe, "toolbox");
    return found ? found : mem_strdup(FF_DATADIR "/toolbox");
}

/* What the user names: --toolbox, then the setting. NULL-terminated. */
static int named_dirs(struct app *app, dir_list *l, struct err *err)
{
    int r = 0;
    const char *d;
    for (size_t i = 0; r == 0 && (d = args_nth(app->args, "toolbox", i)); i++)
        r = os_is_dir(d) ? add_real_dir(l, d, err)
                         : err_set(err, ERR_NOT_FOUND, "--toolbox %s: no such folder", d);
    _cleanup_free_ char *path = mem_strdup(config_get(&app->config, CONFIG_toolbox));
    char *save = NULL;
    for (char *p = path ? strtok_r(path, ":", &save) : NULL; r == 0 && p; p = strtok_r(NULL, ":", &save))
        r = add_real_dir(l, p, err);
    if (r == 0 && !VEC_PUSH(l, NULL))
        r = err_nomem(err);
    return r;
}

/* Where module folders are: as workflows, but never those of a project that is not trusted. */
static int open_modules(struct app *app, char *const *named, const char *installed, struct err *err)
{
    dir_list l = {0};
    int r = 0;
    if (app->config.project && app->config.project_trusted)
        r = add_dir(&l, os_path_join(app->config.project, "modules"), err);
    for (; r == 0 && *named; named++)
        r = add_dir(&l, os_path_join(*named, "modules"), err);
    if (r == 0)
        r = add_dir(&l, os_path_join(installed, "modules"), err);
    if (r == 0 && !VEC_PUSH(&l, NULL))
        r = err_nomem(err);
    if (r == 0)
        r = module_registry_new(builtin_modules, (const char *const *)l.v, &app->modules, err);
    free_dirs(&l);
    return r;
}

int app_open_toolbox(struct app *app, struct err *err)
{
    if (app->toolbox)
        return 0;
    dir_list named = {0};
    _cleanup_free_ char *installed = installed_toolbox();
    int r = installed ? named_dirs(app, &named, err) : err_nomem(err);
    if (r == 0) {
        struct toolbox_options o = {.project_dir = app->config.project,
                                    .project_trusted = app->config.project_trusted,
                                    .dirs = (const char *const *)named.v,
                                    .installed_dir = installed};
        r = open_modules(app, named.v, installed, err);
        if (r == 0)
            r = toolbox_open(&o, &app->toolbox, err);
    }
    free_dirs(&named);
    return r;
}

/* --- state ------------------------------------------------------------------------------------------------ */

/* In the spawner: the rules are read once, not by each activity. */
static void preload(void *arg)
{
    (void)arg;
    analyzer_preload(NULL); /* should it fail, each activity tries for itself, and says why */
}

/* In the spawner's child, inside the sandbox. */
static int run_builtin(const char *name, void *arg)
{
    (void)arg;
    int status = ingest_builtin(name);
    return status >= 0 ? status : module_entry_run(builtin_modules, name, STDIN_FILENO, STDOUT_FILENO);
}

static int open_spawner(struct app *app, struct err *err)
{
    bool require;
    int r = config_bool(&app->config, CONFIG_sandbox_require, &require, err);
    if (r == 0)
        r = app_open_toolbox(app, err);
    if (r < 0)
        return r;
    struct spawner_options o = {.builtin = run_builtin, .builtin_arg = app, .preload = preload, .require_sandbox = require};
    return spawner_start(&o, &app->spawner, err);
}

static int open_store(struct app *app, struct err *err)
{
    if (strcmp(config_get(&app->config, CONFIG_store), "local") != 0)
        return err_set(err, ERR_UNIMPLEMENTED, "store '%s' is not built in: this version has 'local'",
                       config_get(&app->config, CONFIG_store));
    _cleanup_free_ char *dir = os_path_join(app->state_dir, "store");
    _cleanup_free_ char *cache = *config_get(&app->config, CONFIG_cache_dir)
                                     ? mem_strdup(config_get(&app->config, CONFIG_cache_dir))
                                     : os_path_join(app->state_dir, "cache");
    if (!dir || !cache)
        return err_nomem(err);
    /* Private folders are the sandboxed user's; without a spawner nobody asks for any. */
    struct workspaces_options wo = {.dir = cache,
                                    .overlay = app->spawner && spawner_protection(app->spawner)->overlayfs,
                                    .set_owner = geteuid() == 0,
                                    .owner_uid = sandbox_host_uid(),
                                    .owner_gid = sandbox_host_uid()};
    int r = config_size(&app->config, CONFIG_cache_max_size, &wo.max_bytes, err);
    if (r == 0)
        r = config_duration_ms(&app->config, CONFIG_cache_ttl, &wo.ttl_ms, err);
    if (r == 0)
        r = store_open_local(dir, &app->store, err);
    if (r == 0)
        r = workspaces_open(app->store, &wo, &app->workspaces, err);
    return r;
}

static int open_engine(struct app *app, struct err *err)
{
    if (strcmp(config_get(&app->config, CONFIG_engine), "embedded") != 0)
        return err_set(err, ERR_UNIMPLEMENTED, "engine '%s' is not built in: this version has 'embedded'",
                       config_get(&app->config, CONFIG_engine));
    _cleanup_free_ char *path = os_path_join(app->state_dir, "state.db");
    if (!path)
        return err_nomem(err);
    struct engine_embedded_options o = {.path = path, .wait_ms = 5000};
    return engine_embedded_open(&o, &app->engine, err);
}

static int find_script(void *arg, const char *type, char **ret_script, size_t *ret_len, struct err *err)
{
    struct app *app = arg;
    struct workflow_def *d;
    int r = toolbox_find(app->toolbox, type, &d, err);
    if (r < 0)
        return r;
    *ret_script = TAKE_PTR(d->script);
    *ret_len = d->script_len;
    workflow_def_free(d);
    return 0;
}

/* Verticals to serve: those that ship, and those that a workflow of the toolbox names. */
static int open_worker(struct app *app, struct err *err)
{
    static const char *const verticals[] = {"python", "rust", "native", "android", "ossfuzz", "secrets",
                                            "web",    "go",   "java",   NULL};
    int64_t slots;
    int r = config_int(&app->config, CONFIG_worker_slots, 0, 1024, &slots, err);
    if (r < 0)
        return r;
    app->tmp_dir = os_path_join(app->state_dir, "tmp");
    if (!app->tmp_dir)
        return err_nomem(err);
    /* The engine's lock is ours: what is left there belonged to a process that is dead. */
    r = os_remove_tree(app->tmp_dir, err);
    if (r == 0)
        r = os_mkdirs(app->tmp_dir, 0700, err);
    if (r < 0)
        return r;
    struct worker_options o = {
        .engine = app->engine,
        .store = app->store,
        .workspaces = app->workspaces,
        .spawner = app->spawner,
        .modules = app->modules,
        .verticals = verticals,
        .scratch_dir = app->tmp_dir,
        .activity_slots = (int)slots,
        .find_script = find_script,
        .find_script_arg = app,
        .on_event = app->on_event,
        .on_event_arg = app->on_event_arg,
    };
    r = worker_start(&o, &app->worker, err);
    struct workflow_def **defs = NULL;
    size_t n = 0;
    if (r == 0)
        r = toolbox_list(app->toolbox, &defs, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (!defs[i]->broken)
            r = worker_add_vertical(app->worker, defs[i]->vertical, err);
    toolbox_list_free(defs, n);
    return r;
}

int app_open(struct app *app, unsigned parts, struct err *err)
{
    int r = 0;
    if (parts & APP_WORKER)
        parts |= APP_SPAWNER | APP_STORE | APP_ENGINE;
    if ((parts & APP_SPAWNER) && !app->spawner)
        r = open_spawner(app, err);
    if (r == 0 && (parts & (APP_STORE | APP_ENGINE)))
        r = os_mkdirs(app->state_dir, 0700, err);
    if (r == 0 && (parts & APP_ENGINE) && !app->engine)
        r = open_engine(app, err);
    if (r == 0 && (parts & APP_STORE) && !app->store)
        r = open_store(app, err);
    if (r == 0 && (parts & APP_WORKER) && !app->worker)
        r = open_worker(app, err);
    return r < 0 ? err_wrap(err, "state %s", app->state_dir) : 0;
}

/* --- output ----------------------------------------------------------------------------------------------- */

void app_print_json(struct app *app, json_t *j)
{
    struct strbuf b = STRBUF_INIT_MAX(DOCUMENT_MAX);
    if (!j || json_write_pretty(j, &b, NULL) < 0 || printf("%s\n", strbuf_str(&b)) < 0)
        app->output_failed = true;
    strbuf_release(&b);
    json_decref(j);
}

/* An error can name a file whose name is no text. */
static json_t *clean_text(const char *s)
{
    struct strbuf b = STRBUF_INIT;
    utf8_append_clean(&b, s, strlen(s));
    json_t *j = json_string(strbuf_str(&b));
    strbuf_release(&b);
    return j;
}

int app_fail(struct app *app, const struct err *err)
{
    int status = err_exit_status(err->code);
    term_status_clear();
    if (app->json) {
        app_print_json(app, json_pack("{s:{s:s, s:o, s:o}}", "error", "code", err_name(err->code), "message",
                                      clean_text(err->msg[0] ? err->msg : err_text(err->code)), "hint",
                                      err->hint[0] ? clean_text(err->hint) : json_null()));
    } else {
        fputs("ff: ", stderr);
        term_text(stderr, err->msg[0] ? err->msg : err_text(err->code));
        fputc('\n', stderr);
        if (err->hint[0]) {
            fputs("    ", stderr);
            term_text(stderr, err->hint);
            fputc('\n', stderr);
        }
    }
    return status ? status : EXIT_ENVIRONMENT;
}

int app_usage(struct app *app, const char *fmt, ...)
{
    struct err err = {.code = ERR_USAGE};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.msg, sizeof err.msg, fmt, ap);
    va_end(ap);
    return app_fail(app, &err);
}
