#include "cli/app.h"
#include "cli/readonly.h"
#include "cli/remote.h"

#include "api/client/client.h"
#include "api/service/submit.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/engine_open.h"
#include "cli/namespaces.h"
#include "cli/ground.h"
#include "cli/log_writer.h"
#include "cli/restore.h"
#include "cli/share.h"
#include "cli/store_open.h"
#include "cli/term.h"
#include "codec/json.h"
#include "codec/utf8.h"
#include "fuzz/fuzz.h"
#include "ingest/ingest.h"
#include "module/tools.h"
#include "os/file.h"
#include "os/memory.h"
#include "os/reserve.h"
#include "scan/builtin.h"
#include "scan/secret_hide.h"
#include "version.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BUILTINS_MAX 32
#define PIDS_AUTO 4096 /* sandbox.max_pids: auto */
#define DOCUMENT_MAX ((size_t)2 << 30)

#ifndef FF_DATADIR
#define FF_DATADIR "/usr/local/share/fuzzforge"
#endif

void app_init(struct app *app, const struct args *args)
{
    *app = (struct app){.args = args, .tmp_fd = -1, .quotas = QUOTAS_INIT};
    app->json = args_has(args, "json");
    app->quiet = args_has(args, "quiet");
    for (size_t i = 0; args_nth(args, "verbose", i); i++)
        app->verbose++;
    log_set_level(app->quiet ? LOG_ERROR : app->verbose >= 2 ? LOG_DEBUG : app->verbose ? LOG_INFO : LOG_WARN);
}

/* A flag that sets a setting. */
static int flag(struct app *app, const char *name, enum config_key k, struct err *err)
{
    const char *v = args_global(app->args, name);
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

/* The suppression file: suppressions.json of the trusted project, else of the state folder (docs/findings.md). */
static int find_suppressions(struct app *app, struct err *err)
{
    const struct config *c = &app->config;
    const char *dir = c->project && c->project_trusted ? c->project : app->state_dir;
    app->service.suppressions_trusted = !c->project || c->project_trusted || strcmp(app->state_dir, c->project) != 0;
    app->service.suppressions = app->suppressions = os_path_join(dir, "suppressions.json");
    return app->suppressions ? 0 : err_nomem(err);
}

/* Told at once, also by a command that needs no store. */
static int store_flag(struct app *app, struct err *err)
{
    const char *kind = args_get(app->args, "store");
    if (kind && strcmp(kind, "local") != 0 && strcmp(kind, "s3") != 0)
        return err_set(err, ERR_INVALID, "--store: '%.40s' is neither local nor s3", kind);
    return flag(app, "store", CONFIG_store, err);
}

int app_configure(struct app *app, struct err *err)
{
    static const struct {
        const char *name;
        enum config_key key;
    } server_flags[] = {{"server", CONFIG_server_url},       {"token-file", CONFIG_server_token_file},
                        {"ca-file", CONFIG_server_ca_file},  {"client-cert", CONFIG_server_cert},
                        {"client-key", CONFIG_server_key},   {"insecure", CONFIG_server_insecure}};
    int r = config_load(&app->config, args_get(app->args, "config"), err);
    if (r == 0)
        r = flag(app, "state", CONFIG_state_dir, err);
    if (r == 0)
        r = flag(app, "engine", CONFIG_engine, err);
    if (r == 0)
        r = flag(app, "namespace", CONFIG_namespace, err);
    if (r == 0)
        r = store_flag(app, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(server_flags); i++)
        r = flag(app, server_flags[i].name, server_flags[i].key, err);
    if (r == 0)
        r = remote_configure(app, err);
    if (r == 0)
        r = flag(app, "require-sandbox", CONFIG_sandbox_require, err);
    if (r == 0 && !(app->tools = module_tools_find(config_get(&app->config, CONFIG_fuzz_tools))))
        r = err_nomem(err);
    if (r == 0 && *app->tools) /* where engines are looked for */
        setenv(MODULE_TOOLS_ENV, app->tools, 1);
    if (r == 0)
        r = state_dir(app, err);
    if (r == 0)
        r = find_suppressions(app, err);
    if (r == 0)
        namespaces_choose(app);
    if (r == 0 && app->config.project_ignored)
        log_warn("%s is not trusted: its settings are left aside ('ff trust %s' if it is yours)",
                 app->config.project, app->config.project);
    return r;
}

/* What is open is what the service has. */
static void join_service(struct app *app)
{
    struct service *s = &app->service;
    s->client = app->client;
    s->engine = app->engine;
    s->store = app->store;
    s->workspaces = app->workspaces;
    s->toolbox = app->toolbox;
    s->spawner = app->spawner;
    s->modules = app->modules;
    s->module_dirs = app->share ? app->module_dirs : NULL; /* of this machine: of no use to another engine */
    s->state_dir = app->state_dir;
    s->version = FF_VERSION;
}

void app_stop_worker(struct app *app)
{
    if (app->share)
        share_set_worker(app->share, NULL);
    namespaces_close(TAKE_PTR(app->namespaces));
    worker_stop(TAKE_PTR(app->worker));
    atomic_store(&app->works, false);
}

void app_close_state(struct app *app)
{
    bool opened = app->engine || app->store;
    share_drain(app->share);
    app_stop_worker(app);
    if (app->share)
        share_close(TAKE_PTR(app->share)); /* with the engine */
    else
        engine_free(app->engine);
    app->engine = NULL;
    workspaces_free(TAKE_PTR(app->workspaces));
    store_free(TAKE_PTR(app->store));
    spawner_free(TAKE_PTR(app->spawner));
    if (app->makes_room && opened && !app->read_only)
        os_reserve_keep(app->state_dir);
    if (app->tmp_dir)
        os_remove_tree(app->tmp_dir, NULL);
    free(TAKE_PTR(app->tmp_dir));
    if (app->tmp_fd >= 0)
        close(TAKE_FD(app->tmp_fd));
}

void app_release(struct app *app)
{
    app_close_state(app);
    client_free(app->client);
    toolbox_free(app->toolbox);
    module_registry_free(app->modules);
    json_decref(app->module_dirs);
    free(app->state_dir);
    free(app->suppressions);
    free(app->fetch_dir);
    free(TAKE_PTR(app->tools));
    quotas_release(&app->quotas);
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

/* The built-in modules of all folders. */
static const struct module *const *all_modules(void)
{
    static const struct module *all[BUILTINS_MAX + 1];
    const struct module *const *const lists[] = {builtin_modules, fuzz_modules};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (const struct module *const *m = lists[i]; *m && n < BUILTINS_MAX; m++)
            all[n++] = *m;
    return all;
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
    if (r == 0 && !app->module_dirs && !(app->module_dirs = json_array()))
        r = err_nomem(err);
    for (size_t i = 0; r == 0 && i < l.len; i++)
        json_array_append_new(app->module_dirs, json_string(l.v[i])); /* a name that is no text is left out */
    if (r == 0)
        r = add_dir(&l, os_path_join(installed, "modules"), err);
    if (r == 0 && !VEC_PUSH(&l, NULL))
        r = err_nomem(err);
    if (r == 0)
        r = module_registry_new(all_modules(), (const char *const *)l.v, &app->modules, err);
    free_dirs(&l);
    return r;
}

int app_open_toolbox(struct app *app, struct err *err)
{
    if (app->remote)
        return app_open(app, 0, err);
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
    join_service(app);
    free_dirs(&named);
    return r;
}

/* --- state ------------------------------------------------------------------------------------------------ */

/* In the spawner: the rules are read once, not by each activity. */
static void preload(void *arg)
{
    (void)arg;
    builtin_preload(NULL);
}

/* In the spawner's child, inside the sandbox. */
static int run_builtin(const char *name, void *arg)
{
    (void)arg;
    int status = ingest_builtin(name);
    return status >= 0 ? status : module_entry_run(all_modules(), name, STDIN_FILENO, STDOUT_FILENO);
}

/* Somebody has killed it, or the kernel for want of memory. What ran in it did not fail, and nothing more can be run: this
 * process goes as if it had been killed too, and its runs go on from there with the next one. */
static void spawner_lost(void *arg, const struct err *why)
{
    const struct app *app = arg;
    if (!atomic_load(&app->works))
        return;
    log_error("%s: this process ends; runs that it had begun go on with the next 'ff serve', 'ff worker' or 'ff runs wait'",
              why->msg);
    log_writer_close(); /* another thread would write it too late */
    _exit(err_exit_status(ERR_UNAVAILABLE));
}

static int start_spawner(struct app *app, struct err *err)
{
    bool require;
    int r = config_bool(&app->config, CONFIG_sandbox_require, &require, err);
    if (r < 0)
        return r;
    struct spawner_options o = {.builtin = run_builtin, .builtin_arg = app, .preload = preload, .require_sandbox = require,
                                .lost = spawner_lost};
    return spawner_start(&o, &app->spawner, err);
}

static int open_spawner(struct app *app, struct err *err)
{
    int r = app_open_toolbox(app, err);
    return r < 0 ? r : start_spawner(app, err);
}

/* Said before anything is begun, not by the first activity. */
static int check_required(struct app *app, struct err *err)
{
    bool require;
    int r = config_bool(&app->config, CONFIG_sandbox_require, &require, err);
    if (r < 0 || !require || !app->spawner)
        return r;
    const struct sandbox_protection *p = spawner_protection(app->spawner);
    if (p->complete)
        return 0;
    err_set(err, ERR_MISSING, "a complete sandbox is required, but missing: %s", p->missing);
    return err_hint(err, "'ff doctor' says what would bring it");
}

/* Before there is a client with its token, of which what is read in there is to know nothing. */
static int open_remote(struct app *app, unsigned parts, struct err *err)
{
    int r = parts == APP_SPAWNER && !app->spawner ? start_spawner(app, err) : 0;
    if (r == 0 && parts == APP_SPAWNER)
        r = check_required(app, err);
    if (r == 0 && !app->client)
        r = remote_open(app, err);
    join_service(app);
    return r;
}

static int open_store(struct app *app, struct err *err)
{
    if (app->read_only && strcmp(config_get(&app->config, CONFIG_store), "local") == 0)
        return readonly_open_store(app, err);
    _cleanup_free_ char *cache = NULL;
    int r = ground_cache_dir(app, &cache, err);
    if (r < 0)
        return r;
    /* Private folders are the sandboxed user's; without a spawner nobody asks for any. */
    struct workspaces_options wo = {.dir = cache,
                                    .overlay = app->spawner && spawner_protection(app->spawner)->overlayfs,
                                    .set_owner = geteuid() == 0,
                                    .owner_uid = sandbox_host_uid(),
                                    .owner_gid = sandbox_host_uid()};
    r = config_size(&app->config, CONFIG_cache_max_size, &wo.max_bytes, err);
    if (r == 0)
        r = config_duration_ms(&app->config, CONFIG_cache_ttl, &wo.ttl_ms, err);
    if (r == 0)
        r = store_open(&app->config, app->state_dir, NULL, &app->store, err);
    if (r == 0)
        r = workspaces_open(app->store, &wo, &app->workspaces, err);
    return r;
}

static int open_engine(struct app *app, struct err *err)
{
    if (engine_is_temporal(app))
        return engine_open_temporal(app, err);
    if (strcmp(config_get(&app->config, CONFIG_engine), "embedded") != 0)
        return err_set(err, ERR_UNIMPLEMENTED, "engine '%s' is not built in: this version has 'embedded' and 'temporal'",
                       config_get(&app->config, CONFIG_engine));
    int r = app->read_only ? readonly_open_engine(app, err) : share_open(app, err);
    return r < 0 ? r : namespaces_check(app, err);
}

static int find_script(void *arg, const char *type, bool foreign, const json_t *given, struct worker_script *ret, struct err *err)
{
    struct app *app = arg;
    struct workflow_def *d;
    int r = toolbox_find(app->toolbox, type, &d, err);
    if (r < 0)
        return r;
    ret->text = TAKE_PTR(d->script);
    ret->len = d->script_len;
    if (foreign)
        r = submission_defaults(&app->at_work, d, given, &ret->defaults, &ret->refused, err);
    workflow_def_free(d);
    return r;
}

const char *const app_verticals[] = {"python", "rust", "native", "android", "ossfuzz", "secrets", "web", "go", "java", NULL};

static bool is_auto(const struct config *c, enum config_key k)
{
    return strcmp(config_get(c, k), "auto") == 0;
}

static int read_limits(const struct config *c, struct worker_options *o, struct err *err)
{
    int64_t pids = PIDS_AUTO;
    int r = 0;
    o->limits_max.memory_bytes = os_memory_machine() / 4 * 3;
    o->disk_by_room = is_auto(c, CONFIG_sandbox_max_disk);
    if (!is_auto(c, CONFIG_sandbox_max_memory))
        r = config_size(c, CONFIG_sandbox_max_memory, &o->limits_max.memory_bytes, err);
    if (r == 0 && !o->disk_by_room)
        r = config_size(c, CONFIG_sandbox_max_disk, &o->limits_max.disk_bytes, err);
    if (r == 0 && !is_auto(c, CONFIG_sandbox_max_pids))
        r = config_int(c, CONFIG_sandbox_max_pids, 0, INT32_MAX, &pids, err);
    o->limits_max.pids = (uint32_t)pids;
    return r;
}

/* Verticals to serve: those that ship, and those that a workflow of the toolbox names. */
int app_start_worker(struct app *app, const char *name_space, struct worker **ret, struct err *err)
{
    int64_t slots;
    int r = config_int(&app->config, CONFIG_worker_slots, 0, 1024, &slots, err);
    if (r < 0)
        return r;
    struct worker_options o = {
        .engine = app->engine,
        .name_space = name_space,
        .identity = app->share ? share_identity(app->share) : NULL,
        .store = app->store,
        .workspaces = app->workspaces,
        .spawner = app->spawner,
        .modules = app->modules,
        .run_modules = app->share != NULL,
        .network_max = app->at_work.network_max,
        .verticals = app->verticals ? app->verticals : app_verticals,
        .scratch_dir = app->tmp_dir,
        .tools = app->tools,
        .activity_slots = (int)slots,
        .hide = secret_hide_texts,
        .find_script = find_script,
        .find_script_arg = app,
        .on_event = app->on_event,
        .on_event_arg = app->on_event_arg,
    };
    if (engine_is_temporal(app))
        engine_worker_options(app, &o);
    r = read_limits(&app->config, &o, err);
    if (r < 0)
        return r;
    atomic_store(&app->works, true);
    r = worker_start(&o, ret, err);
    struct workflow_def **defs = NULL;
    size_t n = 0;
    if (r == 0)
        r = toolbox_list(app->toolbox, &defs, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (!defs[i]->broken && !app->verticals)
            r = worker_add_vertical(*ret, defs[i]->vertical, err);
    toolbox_list_free(defs, n);
    if (r < 0)
        worker_stop(TAKE_PTR(*ret));
    return r;
}

static int open_worker(struct app *app, struct err *err)
{
    _cleanup_free_ char *ground = NULL;
    int r = ground_dir(app, &ground, err);
    if (r == 0)
        r = share_tmp_dir(ground, &app->tmp_dir, &app->tmp_fd, err);
    if (r == 0)
        r = app_start_worker(app, app->service.name_space, &app->worker, err);
    if (r == 0 && app->share)
        share_set_worker(app->share, app->worker);
    return r;
}

int app_set_quotas(struct app *app, const struct config *c, struct err *err)
{
    return quotas_set(&app->quotas, config_get(c, CONFIG_quota_default), config_get(c, CONFIG_quota_namespaces), err);
}

static int make_state_dir(struct app *app, struct err *err)
{
    int r = os_mkdirs(app->state_dir, 0700, err);
    if (r == 0 && app->makes_room)
        os_reserve_give(app->state_dir);
    else if (r == 0)
        os_reserve_keep(app->state_dir);
    return r;
}

int app_open(struct app *app, unsigned parts, struct err *err)
{
    int r = 0;
    bool temporal = engine_is_temporal(app);
    if (app->remote)
        return open_remote(app, parts, err);
    if (parts & APP_WORKER)
        parts |= APP_SPAWNER | APP_STORE | APP_ENGINE;
    if (temporal && (parts & APP_ENGINE))
        parts |= APP_STORE;
    if ((parts & APP_SPAWNER) && !app->spawner)
        r = open_spawner(app, err);
    if (r == 0 && (parts & APP_SPAWNER) && (parts & APP_STORE))
        r = check_required(app, err);
    if (r == 0 && (parts & (APP_STORE | APP_ENGINE)))
        r = readonly_check(app, parts, err);
    if (r == 0 && (parts & (APP_STORE | APP_ENGINE)))
        r = restore_check(app->state_dir, err);
    if (r == 0 && (parts & (APP_STORE | APP_ENGINE)) && !app->read_only)
        r = make_state_dir(app, err);
    if (r == 0 && temporal && (parts & APP_STORE) && !app->store)
        r = open_store(app, err); /* which the engine stands on */
    if (r == 0 && (parts & APP_ENGINE))
        r = app_set_quotas(app, &app->config, err);
    if (r == 0 && (parts & APP_ENGINE) && !app->engine) {
        r = open_engine(app, err);
        if (r < 0 && temporal)
            return r; /* the state is not what is at fault */
    }
    if (r == 0 && (parts & APP_STORE) && !app->store)
        r = open_store(app, err);
    join_service(app);
    if (r == 0 && (parts & APP_WORKER) && !app->worker) {
        app->at_work = app->service;
        sandbox_network_parse(config_get(&app->config, CONFIG_sandbox_network), &app->at_work.network_max);
        r = open_worker(app, err);
    }
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
