#include "cli/module_run.h"
#include "cli/module_run_internal.h"

#include "api/service/submit.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/follow.h"
#include "cli/ground.h"
#include "cli/report.h"
#include "cli/target.h"
#include "cli/term.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "module/cache.h"
#include "module/protocol.h"
#include "module/tools.h"
#include "os/clock.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define INPUT_FILE_MAX ((size_t)1 << 20)
#define OUTPUT_MAX ((uint64_t)256 << 20)
#define NO_TARGET "-"
#define STDERR_LINE_MAX ((size_t)4096)

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    if (++interrupted >= 2)
        _exit(EXIT_INTERRUPTED);
}

/* A server's client has its own way to look at them. */
static void catch_signals(struct app *app)
{
    struct sigaction sa = {.sa_handler = on_signal}, before;
    if (app->remote)
        follow_prepare(app, false);
    else {
        sigaction(SIGINT, &sa, NULL);
        sigaction(SIGTERM, &sa, NULL);
        if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* nohup means it */
            sigaction(SIGHUP, &sa, NULL);
    }
}

static void release(struct trial *t)
{
    workspace_release(t->workspace);
    if (t->app->workspaces)
        workspaces_forget(t->app->workspaces, t->id, NULL);
    if (t->dir)
        os_remove_tree(t->dir, NULL);
    free(t->dir);
    module_def_release(&t->module);
    json_decref(t->input);
    json_decref(t->stats);
    json_decref(t->cached);
    json_decref(t->answer);
    ingest_result_release(&t->target);
    module_reader_free(t->reader);
    strbuf_release(&t->err_line);
    findings_release(&t->findings);
    VEC_EACH(&t->artifacts, f) {
        free(f->name);
        free(f->path);
    }
    VEC_RELEASE(&t->artifacts);
    for (int i = 0; i < 3; i++) {
        int fd = i == 0 ? t->in_fd : i == 1 ? t->out_fd : t->err_fd;
        if (fd >= 0)
            close(fd);
    }
}

/* --- what the user asked for ------------------------------------------------------------------------------ */

static int parse_network(const char *text, enum sandbox_network *ret, struct err *err)
{
    if (sandbox_network_parse(text, ret))
        return 0;
    return err_set(err, ERR_USAGE, "--network is none, loopback or full, not '%.40s'", text);
}

static int read_limits(struct trial *t, struct err *err)
{
    const char *timeout = args_get(t->args, "timeout"), *memory = args_get(t->args, "memory");
    const char *isolation = args_get(t->args, "isolation"), *network = args_get(t->args, "network");
    int r = timeout ? units_parse_duration_ms(timeout, &t->limits.wall_ms, err) : 0;
    if (r < 0)
        return err_wrap(err, "--timeout");
    r = memory ? units_parse_size(memory, &t->limits.memory_bytes, err) : 0;
    if (r < 0)
        return err_wrap(err, "--memory");
    const char *disk = args_get(t->args, "disk");
    r = disk ? units_parse_size(disk, &t->limits.disk_bytes, err) : 0;
    if (r < 0)
        return err_wrap(err, "--disk");
    r = isolation_parse(isolation ? isolation : "shared", &t->isolation, err);
    return r < 0 ? err_wrap(err, "--isolation") : parse_network(network ? network : "none", &t->network, err);
}

/* The value of "key=value" where no schema says what it is. */
static json_t *loose_value(const char *text)
{
    json_t *j = NULL;
    if ((text[0] == '{' || text[0] == '[') && json_parse(text, strlen(text), INPUT_FILE_MAX, &j, NULL) == 0)
        return j;
    return yaml_scalar(text, strlen(text));
}

static int add_loose(json_t *object, const char *text, struct err *err)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text) {
        err_set(err, ERR_USAGE, "'%.100s' is not key=value", text);
        return -ERR_USAGE;
    }
    _cleanup_free_ char *key = mem_strndup(text, (size_t)(eq - text));
    if (!key || json_object_set_new(object, key, loose_value(eq + 1)) < 0)
        return err_nomem(err);
    return 0;
}

static int read_input_file(const char *file, json_t **ret, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len;
    int r = os_read_file(file, INPUT_FILE_MAX, &text, &len, err);
    if (r == 0)
        r = yaml_parse(text, len, NULL, ret, NULL, err);
    if (r < 0)
        return err_wrap(err, "input %s", file);
    return json_is_object(*ret) ? 0 : err_set(err, ERR_INVALID, "input %s: not a mapping", file);
}

/* The module's schema is used as a workflow's parameters are. */
static int read_input(struct trial *t, struct err *err)
{
    const struct workflow_def as_workflow = {.name = t->module.name, .parameters = t->module.input_schema};
    const char *file = args_get(t->args, "file");
    _cleanup_json_ json_t *given = NULL;
    int r = file ? read_input_file(file, &given, err) : 0;
    if (r == 0 && !given && !(given = json_object()))
        r = err_nomem(err);
    for (size_t i = 2; r == 0 && i < t->args->positional.len; i++)
        r = t->module.input_schema ? workflow_def_set_text(&as_workflow, given, t->args->positional.v[i], err)
                                   : add_loose(given, t->args->positional.v[i], err);
    if (r == 0 && t->module.input_schema)
        return workflow_def_parameters(&as_workflow, given, &t->input, err);
    t->input = TAKE_PTR(given);
    return r;
}

/* --- before ----------------------------------------------------------------------------------------------- */

/* Removes what a trial left that was killed. */
static void sweep(const char *parent)
{
    DIR *d = opendir(parent);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        int pid = atoi(e->d_name);
        _cleanup_free_ char *path = pid > 0 && kill(pid, 0) < 0 && errno == ESRCH ? os_path_join(parent, e->d_name) : NULL;
        if (path)
            os_remove_tree(path, NULL);
    }
    if (d)
        closedir(d);
}

static int make_folders(struct trial *t, struct err *err)
{
    char name[48];
    _cleanup_free_ char *ground = NULL;
    int r = ground_dir(t->app, &ground, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *parent = os_path_join(ground, "trials");
    snprintf(name, sizeof name, "%d-%s", (int)getpid(), t->id);
    if (!parent || !(t->dir = os_path_join(parent, name)))
        return err_nomem(err);
    sweep(parent);
    _cleanup_free_ char *scratch = os_path_join(t->dir, "scratch");
    return scratch ? os_mkdirs(scratch, 0755, err) : err_nomem(err);
}

void trial_notices(const struct trial *t, const struct ingest_result *target)
{
    for (size_t i = 0; i < target->notices_count && !t->app->quiet; i++)
        log_warn("%s: %s", target->notices[i].path, target->notices[i].text);
}

static bool stop_asked(void *arg)
{
    (void)arg;
    return interrupted > 0 || follow_interrupted();
}

static int take_target(struct trial *t, const char *spec, struct err *err)
{
    struct ingest_options o;
    int r = app_read_limits(t->app, err);
    if (r == 0)
        r = target_ingest_options(&t->app->service, spec, &o, err);
    o.cancelled = stop_asked;
    if (r == 0)
        r = ingest(t->app->store, spec, &o, &t->target, err);
    if (r < 0)
        return err_wrap(err, "target");
    trial_notices(t, &t->target);
    return workspace_acquire(t->app->workspaces, t->target.tree.text, t->isolation, t->id, &t->workspace, err);
}

static int write_request(struct trial *t, struct err *err)
{
    _cleanup_free_ char *scratch = os_path_join(t->dir, "scratch");
    if (!scratch)
        return err_nomem(err);
    struct spawner *s = t->app->spawner;
    struct module_request q = {
        .module = t->module.name,
        .run_id = t->id,
        .attempt = 1,
        .input = t->input,
        .workspace = t->workspace ? sandbox_path(s, "/workspace", workspace_lower(t->workspace)) : NULL,
        .scratch = sandbox_path(s, "/scratch", scratch),
    };
    struct strbuf text = STRBUF_INIT_MAX(2 * MODULE_REQUEST_MAX);
    int r = module_request_write(&q, &text, err);
    if (r == 0 && (t->in_fd = memfd_create("ff-request", MFD_CLOEXEC)) < 0)
        r = err_sys(err, errno, "make the request");
    if (r == 0)
        r = os_write_full(t->in_fd, text.s, text.len, err);
    if (r == 0 && lseek(t->in_fd, 0, SEEK_SET) < 0)
        r = err_sys(err, errno, "make the request");
    strbuf_release(&text);
    return r;
}

/* --- while it runs ---------------------------------------------------------------------------------------- */

void trial_log(void *arg, const char *level, const char *message)
{
    struct trial *t = arg;
    enum log_level l = strcmp(level, "error") == 0     ? LOG_ERROR
                       : strcmp(level, "warning") == 0 ? LOG_WARN
                       : strcmp(level, "debug") == 0   ? LOG_DEBUG
                                                       : LOG_INFO;
    if (l == LOG_INFO && !t->app->quiet)
        l = LOG_WARN; /* whoever tries a module out wants to see what it says */
    log_msg(l, "%s: %s", t->module.name, message);
}

void trial_progress(void *arg, uint64_t done, uint64_t total, const char *message)
{
    struct trial *t = arg;
    if (!t->app->quiet)
        term_status("%s  %llu of %llu  %s", t->module.name, (unsigned long long)done, (unsigned long long)total, message);
}

void trial_finding(void *arg, struct finding *f)
{
    struct trial *t = arg;
    struct finding mine;
    struct err err = {0};
    if (!f->module)
        f->module = mem_strdup(t->module.name);
    if (finding_copy(f, &mine, &err) < 0 || findings_add(&t->findings, &mine, &err) < 0)
        t->failure = err;
}

void trial_stats(void *arg, const json_t *stats)
{
    struct trial *t = arg;
    json_decref(t->stats);
    t->stats = json_deep_copy(stats);
    if (!t->app->quiet && json_object_get(stats, "executions"))
        term_status("%s  %lld execution%s (%.0f/s)  coverage %lld  corpus %lld  crashes %lld, unique %lld",
                    json_str(stats, "target", t->module.name), (long long)json_i64(stats, "executions", 0),
                    UNITS_S(json_i64(stats, "executions", 0)),
                    json_num(stats, "executions_per_sec", 0), (long long)json_i64(stats, "coverage", 0),
                    (long long)json_i64(stats, "corpus_size", 0), (long long)json_i64(stats, "crashes", 0),
                    (long long)json_i64(stats, "unique_crashes", 0));
}

void trial_artifact(void *arg, const char *path, const char *name)
{
    struct trial *t = arg;
    struct artifact f = {mem_strdup(name), mem_strdup(path)};
    if (f.name && f.path && VEC_PUSH(&t->artifacts, f))
        return;
    free(f.name);
    free(f.path);
    err_nomem(&t->failure);
}

/* Kept to the end of the trial: an artifact whose name may come again. */
static void on_keep(void *arg, const char *path, const char *name)
{
    struct trial *t = arg;
    for (size_t i = t->artifacts.len; i-- > 0;) {
        struct artifact *f = &t->artifacts.v[i];
        if (strcmp(f->name, name) != 0)
            continue;
        free(f->name);
        free(f->path);
        *f = t->artifacts.v[--t->artifacts.len];
    }
    if (path)
        trial_artifact(arg, path, name);
}

static const struct module_reader_ops reader_ops = {
    .log = trial_log, .progress = trial_progress, .finding = trial_finding, .stats = trial_stats, .artifact = trial_artifact,
    .keep = on_keep,
};

static void on_end(void *arg, const struct sandbox_result *result)
{
    struct trial *t = arg;
    t->proc = NULL;
    t->ended = true;
    t->end = *result;
}

static void close_fd(int *fd)
{
    close(*fd);
    *fd = -1;
}

static void read_output(struct trial *t)
{
    static char buf[64 << 10];
    ssize_t n = read(t->out_fd, buf, sizeof buf);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        close_fd(&t->out_fd);
        return;
    }
    t->output_bytes += (uint64_t)n;
    if (t->output_bytes > OUTPUT_MAX && t->proc)
        sandbox_kill(t->proc, "output");
    else if ((module_reader_feed(t->reader, buf, (size_t)n, NULL) < 0 || t->failure.code) && t->proc)
        sandbox_kill(t->proc, NULL);
}

static void print_err_line(struct trial *t)
{
    if (t->err_line.len > 0) {
        log_warn("%s (stderr): %s", t->module.name, t->err_line.s);
        snprintf(t->last_line, sizeof t->last_line, ": %s", t->err_line.s);
    }
    strbuf_clear(&t->err_line);
}

static void read_errors(struct trial *t)
{
    char buf[4096];
    ssize_t n = read(t->err_fd, buf, sizeof buf);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    for (ssize_t i = 0; i < n; i++) {
        if (buf[i] == '\n' || t->err_line.len >= STDERR_LINE_MAX)
            print_err_line(t);
        if (buf[i] != '\n')
            strbuf_putc(&t->err_line, buf[i] ? buf[i] : '?');
    }
    if (n <= 0) {
        print_err_line(t);
        close_fd(&t->err_fd);
    }
}

/* A module that stops by itself is asked to, in the file that its request came in; its result counts. */
static bool ask_to_stop(struct trial *t)
{
    static const char line[] = "{\"type\":\"stop\"}\n";
    struct stat st;
    if (!t->module.builtin || !t->module.builtin->stops || (!t->asked && fstat(t->in_fd, &st) < 0))
        return false;
    if (!t->asked)
        t->asked = pwrite(t->in_fd, line, sizeof line - 1, st.st_size) > 0;
    return t->asked;
}

static int follow(struct trial *t, struct err *err)
{
    struct spawner *s = t->app->spawner;
    while (!t->ended || t->out_fd >= 0 || t->err_fd >= 0) {
        struct pollfd p[3] = {{.fd = spawner_fd(s), .events = POLLIN},
                              {.fd = t->out_fd, .events = POLLIN},
                              {.fd = t->err_fd, .events = POLLIN}};
        int n = poll(p, 3, -1);
        if (interrupted && t->proc && !ask_to_stop(t))
            sandbox_kill(t->proc, NULL);
        if (n < 0 && errno != EINTR)
            return err_sys(err, errno, "poll");
        if (n <= 0)
            continue;
        if (p[1].revents)
            read_output(t);
        if (p[2].revents)
            read_errors(t);
        if (p[0].revents && spawner_dispatch(s, err) < 0)
            return -err->code;
    }
    return 0;
}

static int start(struct trial *t, struct err *err)
{
    int out[2] = {-1, -1}, errs[2] = {-1, -1};
    _cleanup_free_ char *scratch = os_path_join(t->dir, "scratch");
    struct sandbox_mount mounts[2 + MODULE_TOOLS_MAX];
    struct module_tools tools;
    size_t n = 0;
    if (t->workspace)
        mounts[n++] = (struct sandbox_mount){.kind = workspace_upper(t->workspace) ? MOUNT_OVERLAY : MOUNT_BIND,
                                             .source = workspace_lower(t->workspace),
                                             .upper = workspace_upper(t->workspace),
                                             .work = workspace_work(t->workspace),
                                             .target = "/workspace",
                                             .writable = !workspace_read_only(t->workspace)};
    if (t->module.dir)
        mounts[n++] = (struct sandbox_mount){.source = t->module.dir, .target = "/module"};
    bool fuzzes = t->module.builtin && t->module.category == MODULE_FUZZER;
    module_tools_init(&tools, t->app->spawner, fuzzes ? t->app->tools : NULL);
    for (size_t i = 0; i < tools.count; i++)
        mounts[n++] = tools.mounts[i];
    struct sandbox_plan plan = {.name = t->module.name,
                                .env = tools.env,
                                .builtin = t->module.entry,
                                .argv = (const char *const *)t->module.argv,
                                .cwd = t->workspace ? "/workspace" : "/scratch",
                                .mounts = mounts,
                                .mounts_count = n,
                                .inspects = fuzzes,
                                .network = t->network,
                                .limits = t->limits,
                                .scratch = scratch};
    int r = scratch ? module_reader_new(&reader_ops, t, &t->reader, err) : err_nomem(err);
    if (r == 0 && (pipe2(out, O_CLOEXEC) < 0 || pipe2(errs, O_CLOEXEC) < 0))
        r = err_sys(err, errno, "make a pipe");
    t->out_fd = out[0];
    t->err_fd = errs[0];
    if (r == 0)
        r = sandbox_start(t->app->spawner, &plan, t->in_fd, out[1], errs[1], on_end, t, &t->proc, err);
    module_tools_release(&tools);
    if (out[1] >= 0)
        close(out[1]);
    if (errs[1] >= 0)
        close(errs[1]);
    return r;
}

/* --- after ------------------------------------------------------------------------------------------------ */

/* How it ended, as a failure's text if it was not well. */
static void judge(struct trial *t)
{
    enum module_status status;
    struct err protocol = {0};
    int r = module_reader_finish(t->reader, &status, &t->summary, &t->error, &protocol);
    const struct sandbox_result *e = &t->end;
    if (t->failure.code)
        ; /* said already */
    else if (e->end == SANDBOX_SETUP_FAILED)
        t->failure = e->err;
    else if (e->end == SANDBOX_LIMIT)
        err_set(&t->failure, ERR_LIMIT, "went over its limit of %s and was stopped", e->limit);
    else if (interrupted && !t->asked)
        err_set(&t->failure, ERR_CANCELLED, "interrupted");
    else if (e->end == SANDBOX_SIGNALLED)
        err_set(&t->failure, ERR_FAILED, "was killed by signal %d (%s)%s", e->status, strsignal(e->status), t->last_line);
    else if (e->end == SANDBOX_EXITED && e->status != 0)
        err_set(&t->failure, ERR_FAILED, "exited with status %d%s", e->status, t->last_line);
    else if (r < 0)
        t->failure = protocol;
    else if (status == MODULE_FAILED)
        err_set(&t->failure, ERR_FAILED, "%s", t->error ? t->error : "the module gave no reason");
    t->status = t->failure.code ? "failed" : module_status_name(status);
    if (t->failure.code)
        t->error = t->failure.msg;
    if (t->failure.code && !json_object_size(t->summary))
        t->summary = NULL;
}

static int copy_artifact(struct trial *t, int dir, const char *scratch, const char *to_dir, const struct artifact *f,
                         struct err *err)
{
    static char buf[64 << 10];
    _cleanup_close_ int from = -1, to = -1;
    _cleanup_free_ char *path = os_path_join(to_dir, f->name);
    if (!path)
        return err_nomem(err);
    int r = module_artifact_open(dir, sandbox_path(t->app->spawner, "/scratch", scratch), f->path, &from, err);
    if (r == 0)
        r = os_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644, &to, err);
    size_t n = sizeof buf;
    while (r == 0 && n == sizeof buf) {
        r = os_read_full(from, buf, sizeof buf, &n, err);
        if (r == 0)
            r = os_write_full(to, buf, n, err);
    }
    return r;
}

bool trial_wants(const struct trial *t, const char *artifact)
{
    const char *names = args_get(t->args, "names");
    return !names || strncmp(artifact, names, strlen(names)) == 0;
}

static int copy_artifacts(struct trial *t, struct err *err)
{
    const char *to = args_get(t->args, "artifacts");
    if (!to || !t->artifacts.len)
        return 0;
    _cleanup_free_ char *scratch = os_path_join(t->dir, "scratch");
    _cleanup_close_ int fd = -1;
    int r = scratch ? os_open(scratch, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, err) : err_nomem(err);
    if (r == 0)
        r = os_mkdirs(to, 0755, err);
    VEC_EACH(&t->artifacts, f)
        if (r == 0 && trial_wants(t, f->name))
            r = copy_artifact(t, fd, scratch, to, f, err);
    return r;
}

/* --- results that the store has --------------------------------------------------------------------------- */

static int take_cached(struct trial *t, struct err *err)
{
    struct store *s = t->app->store;
    const char *to = args_get(t->args, "artifacts"), *name, *tools = t->app->tools;
    json_t *a;
    t->cache_key[0] = 0;
    if (module_cache_key(t->module.builtin, service_namespace(&t->app->service), t->target.tree.text, t->input, tools,
                         t->cache_key, NULL) < 0) {
        t->cache_key[0] = 0;
        return 0;
    }
    if (module_cache_get(s, t->cache_key, &t->cached, NULL) < 0)
        return 0;
    t->status = json_str(t->cached, "status", "success");
    t->summary = json_object_get(t->cached, "summary");
    int r = to ? os_mkdirs(to, 0755, err) : 0;
    json_object_foreach(json_object_get(t->cached, "artifacts"), name, a) {
        _cleanup_free_ char *path = to && !strchr(name, '/') && name[0] != '.' ? os_path_join(to, name) : NULL;
        _cleanup_close_ int fd = -1;
        if (r == 0)
            trial_artifact(t, name, name);
        if (r == 0 && path)
            r = os_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644, &fd, err);
        if (r == 0 && path)
            r = store_get_fd(s, json_str(a, "ref", ""), fd, NULL, err);
    }
    return r;
}

/* Best effort: without it, it is made again. */
static void keep_result(struct trial *t)
{
    struct store *s = t->app->store;
    struct store_ref ref;
    uint64_t size;
    _cleanup_free_ char *scratch = os_path_join(t->dir, "scratch");
    _cleanup_json_ json_t *files = json_object(), *answer = NULL;
    _cleanup_close_ int dir = -1;
    if (!t->cache_key[0] || strcmp(t->status, "success") != 0 || t->findings.len || !scratch || !files ||
        os_open(scratch, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &dir, NULL) < 0 ||
        store_put(s, "", 0, "application/x-ndjson", &ref, NULL) < 0)
        return;
    answer = json_pack("{s:s, s:O?, s:{s:s, s:i, s:s}, s:i, s:O}", "status", t->status, "summary", t->summary, "findings", "ref",
                       ref.text, "bytes", 0, "media_type", "application/x-ndjson", "findings_count", 0, "artifacts", files);
    VEC_EACH(&t->artifacts, f) {
        static const char type[] = "application/octet-stream";
        _cleanup_close_ int fd = -1;
        if (module_artifact_open(dir, sandbox_path(t->app->spawner, "/scratch", scratch), f->path, &fd, NULL) < 0 ||
            store_put_fd(s, STORE_RESULTS, fd, UINT64_MAX, type, &ref, &size, NULL) < 0 ||
            json_object_set_new(files, f->name, json_pack("{s:s, s:I, s:s}", "ref", ref.text, "bytes", (json_int_t)size,
                                                          "media_type", type)) < 0)
            return;
    }
    if (answer)
        module_cache_put(s, t->cache_key, answer, NULL);
}

static json_t *document(struct trial *t)
{
    struct findings_counts c = findings_count(&t->findings);
    json_t *list = json_array(), *files = json_array();
    for (size_t i = 0; i < t->findings.len; i++)
        json_array_append_new(list, finding_to_json(&t->findings.v[i]));
    VEC_EACH(&t->artifacts, f)
        json_array_append_new(files, json_string(f->name));
    return json_pack("{s:s, s:s, s:b, s:s?, s:O?, s:O?, s:I, s:I, s:o, s:o, s:o}", "module", t->module.name, "status",
                     t->status, "cached", t->cached != NULL, "error", t->error, "summary", t->summary, "stats", t->stats,
                     "duration_ms", (json_int_t)(t->end.wall_ns / NS_PER_MS), "memory_peak_bytes",
                     (json_int_t)t->end.memory_peak_bytes,
                     "findings_count", findings_counts_json(&c), "findings", list, "artifacts", files);
}

static void print(struct trial *t)
{
    char took[32];
    bool ok = strcmp(t->status, "success") == 0;
    findings_print(&t->findings, false);
    if (json_object_size(t->summary)) {
        struct strbuf b = STRBUF_INIT;
        if (json_write_pretty(t->summary, &b, NULL) == 0)
            printf("summary: %s\n", b.s);
        strbuf_release(&b);
    }
    VEC_EACH(&t->artifacts, f) {
        printf("artifact: ");
        term_text(stdout, f->name);
        printf("%s\n", args_has(t->args, "artifacts") ? "" : "  (--artifacts DIR keeps it)");
    }
    printf("%s%s%s  %s%s%s%s  %s", term_bold(), t->module.name, term_off(), ok ? term_green() : term_red(), t->status,
           term_off(), t->cached ? ", cached" : "", units_format_duration(t->end.wall_ns / NS_PER_MS, took, sizeof took));
    if (t->error) {
        printf("  ");
        term_text(stdout, t->error);
    }
    putchar('\n');
}

/* Which module, and what it is given: known before anything is opened. */
static int read_request(struct trial *t, const char **ret_target, struct err *err)
{
    const char *name = args_pos(t->args, 0);
    int r = target_take((char *)(uintptr_t)args_pos(t->args, 1), ret_target, err);
    if (r == 0)
        r = read_limits(t, err);
    if (r == 0 && t->app->remote && ingest_is_repository(*ret_target))
        r = app_open(t->app, APP_SPAWNER, err); /* to read it in */
    if (r == 0)
        r = app_open_toolbox(t->app, err);
    if (r == 0)
        r = t->app->remote ? trial_remote_find(t, name, err) : module_registry_find(t->app->modules, name, &t->module, err);
    if (r == 0)
        r = read_input(t, err);
    if (r == 0 && t->module.builtin && t->module.category == MODULE_FUZZER)
        r = module_engines_check(t->module.name, t->input, err);
    if (r == 0 && strcmp(*ret_target, NO_TARGET) == 0 && t->module.requires_workspace)
        r = err_set(err, ERR_USAGE, "module '%s' needs a target", t->module.name);
    return r;
}

static int run_remote(struct trial *t, const char *target, struct err *err)
{
    int r = app_read_limits(t->app, err);
    return r < 0 ? r : trial_remote(t, strcmp(target, NO_TARGET) == 0 ? NULL : target, err);
}

static int prepare(struct trial *t, const char *target, struct err *err)
{
    int r = app_open(t->app, APP_SPAWNER | APP_STORE, err);
    if (r == 0)
        r = make_folders(t, err);
    if (r == 0 && strcmp(target, NO_TARGET) != 0)
        r = take_target(t, target, err);
    return r < 0 ? r : write_request(t, err);
}

static int carry_out(struct trial *t, struct err *err)
{
    int r = start(t, err);
    if (r == 0)
        r = follow(t, err);
    term_status_clear();
    if (r == 0) {
        judge(t);
        r = findings_merge(&t->findings, err);
    }
    if (r == 0)
        r = copy_artifacts(t, err);
    if (r == 0)
        keep_result(t);
    return r;
}

static int run_here(struct trial *t, const char *target, struct err *err)
{
    int r = prepare(t, target, err);
    if (r == 0)
        r = take_cached(t, err);
    return r == 0 && !t->cached ? carry_out(t, err) : r;
}

/* ret NULL: print it. */
static int run_one(struct app *app, const struct args *a, json_t **ret)
{
    struct err err = {0};
    struct trial t = {.app = app, .args = a, .in_fd = -1, .out_fd = -1, .err_fd = -1};
    const char *target;
    os_ulid(t.id);
    strbuf_init(&t.err_line, 2 * STDERR_LINE_MAX);
    catch_signals(app);
    int r = read_request(&t, &target, &err);
    if (r == 0)
        r = app->remote ? run_remote(&t, target, &err) : run_here(&t, target, &err);
    bool cut_off = stop_asked(NULL) && (!t.asked || t.failure.code == ERR_CANCELLED);
    int status;
    if (r < 0) {
        status = cut_off ? EXIT_CANCELLED : app_fail(app, &err);
    } else {
        if (ret)
            *ret = document(&t);
        else if (app->json)
            app_print_json(app, document(&t));
        else
            print(&t);
        status = cut_off ? EXIT_CANCELLED : t.failure.code ? EXIT_RUN_FAILED : EXIT_OK;
    }
    release(&t);
    return status;
}

static int run(struct app *app, const struct args *a)
{
    return run_one(app, a, NULL);
}

int module_run_document(struct app *app, const struct args *a, json_t **ret)
{
    *ret = NULL;
    return run_one(app, a, ret);
}

static const struct opt options[] = {
    {"file", 'f', "FILE", "the input from a JSON or YAML file"},
    {"timeout", 't', "TIME", "stop it after this long (90s, 10m)"},
    {"memory", 0, "SIZE", "its limit of memory (256M, 2G)"},
    {"disk", 0, "SIZE", "its limit of what it writes"},
    {"isolation", 0, "MODE", "shared (read-only, the default), isolated or copy-on-write"},
    {"network", 0, "KIND", "none (the default), loopback or full"},
    {"artifacts", 0, "DIR", "copy the files that it gives there"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_module_run = {
    .remote = true,
    .name = "run",
    .summary = "Run one module alone, in its sandbox",
    .usage = "MODULE TARGET [key=value...] [options]",
    .details = "TARGET is what 'ff run' takes; - stands for none. Values are read as the module's schema wants them. Nothing\n"
               "is recorded: this is for trying a module out. What it logs and prints goes to stderr. Exit status 3 if it\n"
               "failed. Through a server, one of its modules runs there.",
    .examples = "  ff module run security_analyzer ./shop\n"
                "  ff --toolbox my module run todo . word=FIXME --artifacts out -t 30s",
    .opts = options,
    .min_args = 2,
    .max_args = -1,
    .run = run,
};
