/* The blocking parts of an activity: its input is laid out before, its results are stored after. */
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "os/file.h"
#include "store/owned.h"
#include "store/refs.h"
#include "store/said.h"
#include "worker/activity_internal.h"
#include "worker/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define REQUEST_MAX ((size_t)64 << 20)
#define ARTIFACT_MAX ((uint64_t)4 << 30)
#define RUN_MODULE_DIRS_MAX 16
#define CPU_SECONDS_MAX (100.0 * 366 * 86400)

int worker_activity_fail(struct activity *a, const char *type, bool non_retryable)
{
    a->failed = true;
    snprintf(a->failure_type, sizeof a->failure_type, "%s", type);
    a->non_retryable = non_retryable;
    return -a->err.code;
}

/* --- the task --------------------------------------------------------------------------------------------- */

static const Pb__Payload *header_field(const Pb__Header *h, const char *key)
{
    for (size_t i = 0; h && i < h->n_fields; i++)
        if (strcmp(h->fields[i]->key, key) == 0)
            return h->fields[i]->value;
    return NULL;
}

static int read_size(const json_t *resources, const char *key, uint64_t *ret, struct err *err)
{
    const json_t *v = json_object_get(resources, key);
    if (json_is_integer(v) && json_integer_value(v) >= 0)
        *ret = (uint64_t)json_integer_value(v);
    else if (json_is_string(v))
        return units_parse_size(json_string_value(v), ret, err);
    else if (v && !json_is_null(v))
        return err_set(err, ERR_INVALID, "resources.%s is neither a number nor a size", key);
    return 0;
}

static uint32_t clamp_u32(uint64_t v)
{
    return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

/* Of a worker's bounds; usual: what the sandbox gives without a word. */
static uint64_t at_most(uint64_t asked, uint64_t usual, uint64_t max)
{
    return max && (asked ? asked : usual) > max ? max : asked;
}

static void bound_limits(struct activity *a)
{
    struct sandbox_limits *l = &a->limits, *max = &a->most;
    struct statvfs v;
    *max = a->worker->o.limits_max;
    if (a->worker->o.disk_by_room && statvfs(a->worker->scratch_dir, &v) == 0)
        max->disk_bytes = (uint64_t)v.f_bavail * v.f_frsize / 2 + 1;
    l->memory_bytes = at_most(l->memory_bytes, SANDBOX_MEMORY_USUAL, max->memory_bytes);
    l->disk_bytes = at_most(l->disk_bytes, SANDBOX_DISK_USUAL, max->disk_bytes);
    l->pids = (uint32_t)at_most(l->pids, SANDBOX_PIDS_USUAL, max->pids);
}

static int read_limits(struct activity *a, struct err *err)
{
    const json_t *res = json_object_get(a->context, "resources");
    struct sandbox_limits *l = &a->limits;
    uint64_t pids = 0, files = 0;
    int r = read_size(res, "memory", &l->memory_bytes, err);
    if (r == 0)
        r = read_size(res, "disk", &l->disk_bytes, err);
    if (r == 0)
        r = read_size(res, "output", &l->output_bytes, err);
    if (r == 0)
        r = read_size(res, "pids", &pids, err);
    if (r == 0)
        r = read_size(res, "files", &files, err);
    const json_t *cpu = json_object_get(res, "cpu");
    int64_t cpu_ms = 0;
    if (r == 0 && json_is_string(cpu))
        r = units_parse_duration_ms(json_string_value(cpu), &cpu_ms, err);
    else if (r == 0 && cpu && !json_is_null(cpu)) {
        double s = json_is_number(cpu) ? json_number_value(cpu) : -1;
        if (!(s >= 0 && s <= CPU_SECONDS_MAX))
            return err_set(err, ERR_INVALID, "resources.cpu is neither a number of seconds nor a time");
        cpu_ms = (int64_t)(s * 1000);
    }
    l->cpu_ms = (uint64_t)cpu_ms;
    l->pids = clamp_u32(pids);
    l->files = clamp_u32(files);
    bound_limits(a);
    /* A little before the engine's own clock, so that the answer says what was going on. */
    int64_t allowed = pbx_duration_ns(a->task->start_to_close_timeout) / NS_PER_MS;
    l->wall_ms = allowed - (allowed / 20 < 250 ? allowed / 20 : 250);
    int64_t asked = json_i64(res, "time_ms", 0); /* of a module alone; the engine allows more, for its answer */
    if (asked > 0 && asked < l->wall_ms)
        l->wall_ms = asked;
    return r;
}

/* A script may ask for less than its workflow's metadata grants, not for more. */
static int read_network(struct activity *a, struct err *err)
{
    const char *asked = json_str(a->context, "network", "none");
    const char *granted = json_str(a->context, "network_granted", asked);
    enum sandbox_network most;
    if (!sandbox_network_parse(asked, &a->network) || !sandbox_network_parse(granted, &most))
        return err_set(err, ERR_INVALID, "network is none, loopback or full, not '%.40s'", asked);
    if (a->network > a->worker->o.network_max) /* whoever may start runs may write any context */
        return err_set(err, ERR_PERMISSION, "network %s is not granted: this worker's setting sandbox.network grants %s", asked,
                       sandbox_network_name(a->worker->o.network_max));
    if (a->network <= most)
        return 0;
    return err_set(err, ERR_PERMISSION,
                   "network %s is not granted: the workflow's metadata.yaml says 'network: %s'", asked, granted);
}

static int parse_task(struct activity *a, struct err *err)
{
    int r = pbx_payloads_json(a->task->input, 0, &a->input, err);
    if (r == 0 && json_is_null(a->input)) {
        json_decref(a->input);
        a->input = json_object();
    }
    if (r == 0 && !json_is_object(a->input))
        r = err_set(err, ERR_INVALID, "the input of a module is an object");
    if (r == 0)
        r = pbx_payload_json(header_field(a->task->header, WORKER_CONTEXT_HEADER), &a->context, err);
    _cleanup_json_ json_t *details = NULL;
    if (r == 0 && a->task->heartbeat_details)
        r = pbx_payloads_json(a->task->heartbeat_details, 0, &details, err);
    json_t *checkpoint = json_object_get(details, "checkpoint");
    if (checkpoint && !json_is_null(checkpoint) && !a->checkpoint) /* else a later one, of before it waited */
        a->checkpoint = json_incref(checkpoint);
    json_t *kept = json_object_get(details, "kept");
    if (json_is_object(kept) && !a->kept)
        a->kept = json_incref(kept);
    if (r == 0)
        r = read_limits(a, err);
    return r < 0 ? r : read_network(a, err);
}

/* --- before ----------------------------------------------------------------------------------------------- */

struct objects {
    struct activity *a;
    const char *dir;
    int count;
};

/* Lays it out as a file, and adds its path. */
static int fetch_object(void *arg, json_t *ref, const char *name, struct err *err)
{
    struct objects *o = arg;
    if (o->count >= ACTIVITY_OBJECTS_MAX)
        return err_set(err, ERR_LIMIT, "the input refers to more than %d objects", ACTIVITY_OBJECTS_MAX);
    if (o->count == 0 && os_mkdir(o->dir, 0755, true, err) < 0)
        return -err->code;
    _cleanup_free_ char *path = mem_printf("%s/%d", o->dir, o->count);
    if (!path)
        return err_nomem(err);
    _cleanup_close_ int fd = -1;
    int r = os_open(path, O_WRONLY | O_CREAT | O_EXCL, 0644, &fd, err);
    if (r == 0)
        r = store_get_fd(o->a->worker->o.store, name, fd, NULL, err);
    if (r < 0)
        return err_wrap(err, "object %s of the input", name);
    _cleanup_free_ char *inside =
        mem_printf("%s/%d", sandbox_path(o->a->worker->o.spawner, "/objects", o->dir), o->count++);
    if (!inside || json_object_set_new(ref, "path", json_string(inside)) < 0)
        return err_nomem(err);
    return 0;
}

/* The input, the target and what a heartbeat has kept come from whoever may start runs and answer for activities. */
static int claim_objects(struct activity *a)
{
    const Pb__WorkflowExecution *run = a->task->workflow_execution;
    int r = worker_claim(a->worker, run, a->input, &a->err);
    if (r == 0)
        r = worker_claim(a->worker, run, json_object_get(a->context, "target"), &a->err);
    if (r == 0)
        r = worker_claim(a->worker, run, a->kept, &a->err);
    return r < 0 ? err_wrap(&a->err, "the run's objects") : 0;
}

static int make_folders(struct activity *a)
{
    int r = worker_folder_take(a);
    _cleanup_free_ char *objects = r == 0 ? os_path_join(a->dir, "objects") : NULL;
    if (r == 0 && !objects)
        r = err_nomem(&a->err);
    if (r < 0)
        return r;
    struct objects o = {.a = a, .dir = objects};
    r = refs_each(a->input, fetch_object, &o, &a->err);
    if (r == 0)
        r = worker_handover_find(a, &a->err);
    if (r == 0 && a->kept) {
        a->kept_files = json_deep_copy(a->kept);
        r = a->kept_files ? refs_each(a->kept_files, fetch_object, &o, &a->err) : err_nomem(&a->err);
    }
    if (r == 0)
        r = worker_memory_find(a, &a->err);
    if (r == 0 && a->remembered)
        r = refs_each(a->remembered, fetch_object, &o, &a->err);
    a->has_objects = o.count > 0;
    return r;
}

static int acquire_workspace(struct activity *a)
{
    const char *tree = json_str(json_object_get(a->context, "target"), "ref", NULL);
    if (!tree)
        return a->module.requires_workspace
                   ? err_set(&a->err, ERR_INVALID, "module '%s' needs a target, and the run has none", a->module.name)
                   : 0;
    enum isolation mode;
    int r = isolation_parse(json_str(a->context, "isolation", "isolated"), &mode, &a->err);
    if (r < 0)
        return r;
    /* The key is the run's: its activities see the same private folder. */
    return workspace_acquire(a->worker->o.workspaces, tree, mode, a->task->workflow_execution->run_id,
                             &a->workspace, &a->err);
}

static int write_request(struct activity *a)
{
    struct spawner *s = a->worker->o.spawner;
    _cleanup_free_ char *scratch = os_path_join(a->dir, "scratch");
    _cleanup_free_ char *objects = os_path_join(a->dir, "objects");
    if (!scratch || !objects)
        return err_nomem(&a->err);
    struct module_request req = {
        .module = a->module.name,
        .run_id = a->task->workflow_execution->workflow_id,
        .attempt = a->task->attempt,
        .input = a->input,
        .workspace = a->workspace ? sandbox_path(s, "/workspace", workspace_lower(a->workspace)) : NULL,
        .scratch = sandbox_path(s, "/scratch", scratch),
        .objects = a->has_objects ? sandbox_path(s, "/objects", objects) : NULL,
        .checkpoint = a->checkpoint,
        .kept = a->kept_files,
        .remembered = a->remembered,
    };
    struct strbuf text = STRBUF_INIT_MAX(REQUEST_MAX);
    int r = module_request_write(&req, &text, &a->err);
    if (r == 0) {
        a->in_fd = memfd_create("ff-request", MFD_CLOEXEC);
        if (a->in_fd < 0)
            r = err_sys(&a->err, errno, "memfd");
    }
    if (r == 0)
        r = os_write_full(a->in_fd, text.s, text.len, &a->err);
    if (r == 0 && lseek(a->in_fd, 0, SEEK_SET) < 0)
        r = err_sys(&a->err, errno, "memfd");
    strbuf_release(&text);
    return r;
}

/* Of the user, or of root; nobody else can put a module there. */
static bool is_ours(const char *dir)
{
    struct stat st;
    return dir[0] == '/' && stat(dir, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_uid == geteuid() || st.st_uid == 0) &&
           !(st.st_mode & 002);
}

/* In the folders that the run's context names, if they count. -ERR_NOT_FOUND: not there. */
static int find_run_module(struct activity *a, struct err *err)
{
    static const struct module *const none[] = {NULL};
    const char *name = a->task->activity_type->name, *dirs[RUN_MODULE_DIRS_MAX + 1] = {NULL};
    _cleanup_json_ json_t *list = NULL;
    json_t *d;
    size_t i, n = 0;
    int e = store_said_as(a->worker->o.store, json_str(a->context, "modules", ""), &list, err);
    if (e < 0)
        return e;
    json_array_foreach(list, i, d)
        if (n < RUN_MODULE_DIRS_MAX && json_is_string(d) && is_ours(json_string_value(d)))
            dirs[n++] = json_string_value(d);
    if (!n || module_registry_builtin(a->worker->o.modules, name))
        return -ERR_NOT_FOUND;
    struct module_registry *r;
    e = module_registry_new(none, dirs, &r, err);
    if (e < 0)
        return e;
    e = module_registry_find(r, name, &a->module, err);
    module_registry_free(r);
    return e;
}

static int find_module(struct activity *a)
{
    int r = a->worker->o.run_modules ? find_run_module(a, &a->err) : -ERR_NOT_FOUND;
    return r != -ERR_NOT_FOUND
               ? r
               : module_registry_find(a->worker->o.modules, a->task->activity_type->name, &a->module, &a->err);
}

/* For good, unless it is that the store, which is asked on the way, is away. */
static void refuse(struct activity *a, const char *type)
{
    bool passing = err_retryable(a->err.code);
    worker_activity_fail(a, passing ? "WorkspaceError" : type, !passing);
}

void worker_activity_prepare(struct activity *a)
{
    if (parse_task(a, &a->err) < 0) { /* bytes that the store could not be asked for come with another attempt */
        worker_activity_fail(a, "BadInput", !err_retryable(a->err.code));
        return;
    }
    if (find_module(a) < 0) {
        refuse(a, "ModuleNotFound");
        return;
    }
    if (worker_memory_about(a, &a->err) < 0 || worker_handover_about(a, &a->err) < 0) {
        refuse(a, "BadInput");
        return;
    }
    if (claim_objects(a) < 0) {
        worker_activity_fail(a, "WorkspaceError", a->err.code == ERR_NOT_FOUND || a->err.code == ERR_LIMIT);
        return;
    }
    worker_cache_look(a);
    if (a->answer)
        return;
    if (make_folders(a) < 0 || acquire_workspace(a) < 0 || write_request(a) < 0)
        worker_activity_fail(a, "WorkspaceError", a->err.code == ERR_INVALID || a->err.code == ERR_NOT_FOUND);
}

/* --- after ------------------------------------------------------------------------------------------------ */

static json_t *ref_json(const struct store_ref *ref, uint64_t size, const char *media_type)
{
    return json_pack("{s:s, s:I, s:s}", "ref", ref->text, "bytes", (json_int_t)size, "media_type", media_type);
}

static const char *media_type_of(const char *name)
{
    static const struct {
        const char *suffix, *type;
    } table[] = {{".sarif", "application/sarif+json"}, {".json", "application/json"}, {".ndjson", "application/x-ndjson"},
                 {".txt", "text/plain"},               {".html", "text/html"},        {".md", "text/markdown"},
                 {".csv", "text/csv"},                 {".xml", "application/xml"}};
    size_t n = strlen(name);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        size_t m = strlen(table[i].suffix);
        if (n > m && strcmp(name + n - m, table[i].suffix) == 0)
            return table[i].type;
    }
    return "application/octet-stream";
}

/* A campaign's corpus is "corpus-<n>.tar" (fuzz/checkpoint.c). */
static enum store_class class_of(const char *name)
{
    return strncmp(name, "corpus", 6) == 0 ? STORE_CORPORA : STORE_RESULTS;
}

/* What a run produced is kept as long as the run. */
int worker_pin(struct activity *a, const char *ref, struct err *err)
{
    _cleanup_free_ char *owner = store_run_owner(a->worker->name_space, a->task->workflow_execution->workflow_id);
    return !owner ? err_nomem(err) : store_pin(a->worker->o.store, owner, ref, 0, err);
}

int worker_store_artifact(struct activity *a, int scratch_fd, const char *scratch, const struct artifact *f, json_t **ret,
                          struct err *err)
{
    _cleanup_(store_hold_release) struct store_hold hold = {0};
    _cleanup_close_ int fd = -1;
    struct store_ref ref;
    uint64_t size;
    const char *type = media_type_of(f->name);
    int r = module_artifact_open(scratch_fd, sandbox_path(a->worker->o.spawner, "/scratch", scratch), f->path, &fd, err);
    if (r == 0)
        r = store_hold_new(a->worker->o.store, &hold, err);
    if (r == 0)
        r = store_put_fd(a->worker->o.store, class_of(f->name), fd, ARTIFACT_MAX, type, &ref, &size, err);
    if (r == 0)
        r = worker_pin(a, ref.text, err);
    if (r < 0)
        return r;
    *ret = ref_json(&ref, size, type);
    return *ret ? 0 : err_nomem(err);
}

static int store_artifacts(struct activity *a, json_t *ret)
{
    if (!a->artifacts.len)
        return 0;
    _cleanup_free_ char *scratch = os_path_join(a->dir, "scratch");
    if (!scratch)
        return err_nomem(&a->err);
    _cleanup_close_ int dir = -1;
    int r = os_open(scratch, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &dir, &a->err);
    VEC_EACH(&a->artifacts, f) {
        json_t *ref = NULL;
        if (r == 0)
            r = worker_store_artifact(a, dir, scratch, f, &ref, &a->err);
        if (r < 0)
            return r;
        if (json_object_set_new(ret, f->name, ref) < 0)
            return err_nomem(&a->err);
    }
    return r;
}

/* Findings that are none are the same object for all: kept once, not by a commit for each activity. */
static int pin_nothing(struct activity *a, const struct store_ref *ref)
{
    struct worker *w = a->worker;
    if (atomic_load(&w->nothing_pinned))
        return 0;
    int r = store_pin(w->o.store, "findings/none", ref->text, 0, &a->err);
    atomic_store(&w->nothing_pinned, r == 0);
    return r;
}

static int store_findings(struct activity *a, json_t **ret)
{
    int r = strbuf_check(&a->findings, &a->err);
    if (r < 0)
        return err_wrap(&a->err, "findings");
    struct store_ref ref;
    static const char type[] = "application/x-ndjson";
    _cleanup_(store_hold_release) struct store_hold hold = {0};
    r = store_hold_new(a->worker->o.store, &hold, &a->err);
    if (r == 0)
        r = store_put(a->worker->o.store, strbuf_str(&a->findings), a->findings.len, type, &ref, &a->err);
    if (r == 0)
        r = a->findings.len ? worker_pin(a, ref.text, &a->err) : pin_nothing(a, &ref);
    if (r < 0)
        return r;
    *ret = ref_json(&ref, a->findings.len, type);
    return *ret ? 0 : err_nomem(&a->err);
}

/* The setting to change, if it is a worker's that bounded what the activity went over; else "". */
static const char *bounded_by(const struct activity *a, const char *limit)
{
    const struct sandbox_limits *l = &a->limits, *most = &a->most;
    if (strcmp(limit, "memory") == 0 && most->memory_bytes && l->memory_bytes == most->memory_bytes)
        return "sandbox.max_memory";
    if (strcmp(limit, "disk") == 0 && most->disk_bytes && l->disk_bytes == most->disk_bytes)
        return "sandbox.max_disk";
    return strcmp(limit, "pids") == 0 && most->pids && l->pids == most->pids ? "sandbox.max_pids" : "";
}

static int over_limit(struct activity *a)
{
    const char *limit = a->result.limit ? a->result.limit : "resources", *setting = bounded_by(a, limit);
    err_set(&a->err, ERR_LIMIT, "module '%s' went over its limit of %s%s%s%s and was stopped", a->module.name, limit,
            *setting ? ", which this worker's setting " : "", setting, *setting ? " bounds," : "");
    return worker_activity_fail(a, strcmp(limit, "time") == 0 ? "Timeout" : "LimitExceeded", false);
}

/* How the process ended, as an error if it was not well. The last line of stderr tells most. */
static int judge_end(struct activity *a)
{
    const struct sandbox_result *res = &a->result;
    const char *name = a->module.name, *tail = "";
    while (a->errors_len && a->errors[a->errors_len - 1] == '\n')
        a->errors[--a->errors_len] = 0;
    if (a->errors_len) {
        const char *nl = memrchr(a->errors, '\n', a->errors_len);
        tail = nl ? nl + 1 : a->errors;
    }
    switch (res->end) {
    case SANDBOX_SETUP_FAILED:
        err_copy(&a->err, &res->err);
        err_wrap(&a->err, "module '%s': sandbox", name);
        return worker_activity_fail(a, "SandboxError", false);
    case SANDBOX_LIMIT:
        return over_limit(a);
    case SANDBOX_SIGNALLED:
        err_set(&a->err, ERR_FAILED, "module '%s' was killed by signal %d (%s)%s%s", name, res->status,
                strsignal(res->status), *tail ? ": " : "", tail);
        return worker_activity_fail(a, "ModuleFailed", false);
    case SANDBOX_EXITED:
        if (res->status == 0)
            return 0;
        err_set(&a->err, ERR_FAILED, "module '%s' exited with status %d%s%s", name, res->status,
                *tail ? ": " : "", tail);
        return worker_activity_fail(a, "ModuleFailed", false);
    default:
        return 0; /* killed by us: the output tells why */
    }
}

/* What the engine would refuse is an error of the module, not an activity that never ends. */
static int check_answer_size(struct activity *a)
{
    struct strbuf text = STRBUF_INIT_MAX(ENGINE_PAYLOAD_MAX);
    int r = json_write(a->answer, &text, &a->err);
    strbuf_release(&text);
    return r < 0 ? err_wrap(&a->err, "the result of module '%s'", a->module.name) : 0;
}

json_t *worker_activity_usage(const struct activity *a)
{
    return json_pack("{s:I, s:I}", "duration_ms", (json_int_t)(a->result.wall_ns / NS_PER_MS), "memory_peak_bytes",
                     (json_int_t)a->result.memory_peak_bytes);
}

/* What the module said of its failure. NULL: nothing, or no memory. */
static char *error_said(const struct activity *a)
{
    char *text = a->error ? mem_strdup(a->error) : NULL;
    if (text)
        worker_activity_clean(a, text, strlen(text));
    return text;
}

static int build_answer(struct activity *a)
{
    _cleanup_json_ json_t *artifacts = a->kept ? json_copy(a->kept) : json_object();
    _cleanup_json_ json_t *findings = NULL, *summary = json_deep_copy(a->summary);
    _cleanup_free_ char *error = error_said(a);
    if (!artifacts || (a->summary && !summary) || (a->error && !error))
        return err_nomem(&a->err);
    int r = a->worker->o.hide && summary ? a->worker->o.hide(summary, &a->err) : 0;
    if (r == 0)
        r = store_artifacts(a, artifacts);
    if (r == 0)
        r = store_findings(a, &findings);
    if (r < 0)
        return worker_activity_fail(a, "ResultError", false);
    a->answer = json_pack("{s:s, s:O?, s:O, s:I, s:O, s:s*, s:o*}", "status", module_status_name(a->status), "summary",
                          summary, "findings", findings, "findings_count", (json_int_t)a->findings_count,
                          "artifacts", artifacts, "error", error, "usage", worker_activity_usage(a));
    r = a->answer ? check_answer_size(a) : err_nomem(&a->err);
    return r < 0 ? worker_activity_fail(a, "ResultError", r == -ERR_LIMIT) : 0;
}

static void judge(struct activity *a)
{
    if (a->failed || a->answer) /* it was in the store */
        return;
    if (judge_end(a) < 0)
        return;
    if (strbuf_check(&a->findings, &a->err) < 0) { /* it was stopped for that */
        err_wrap(&a->err, "findings of module '%s'", a->module.name);
        worker_activity_fail(a, "LimitExceeded", false);
        return;
    }
    if (a->protocol.code) {
        err_copy(&a->err, &a->protocol);
        err_wrap(&a->err, "module '%s': output", a->module.name);
        worker_activity_fail(a, "BadOutput", false);
        return;
    }
    if (a->status == MODULE_FAILED) {
        _cleanup_free_ char *why = error_said(a);
        err_set(&a->err, ERR_FAILED, "module '%s' failed: %s", a->module.name, why ? why : "it gave no reason");
        worker_activity_fail(a, "ModuleFailed", false);
        return;
    }
    if (build_answer(a) < 0)
        return;
    worker_cache_put(a);
    worker_handover_over(a);
}

/* What a module has left that failed for good may say why: a log of a build. Without it, it has failed all the same. */
static void keep_left(struct activity *a)
{
    struct err why = a->err;
    if (!a->failed || !a->artifacts.len || !a->dir || !(a->non_retryable || worker_activity_is_last(a)) ||
        worker_activity_lacks_room(a))
        return;
    a->left = json_object();
    if (a->left && store_artifacts(a, a->left) < 0)
        log_warn("module '%s' failed, and not all of its files are kept: %s", a->module.name, a->err.msg);
    a->err = why;
}

void worker_activity_collect(struct activity *a)
{
    a->errors_len = worker_activity_clean(a, a->errors, a->errors_len);
    if (!a->abandoned && !a->cancelled)
        judge(a);
    keep_left(a);
    if (a->workspace)
        workspace_release(TAKE_PTR(a->workspace));
    if (a->dir)
        worker_folder_give(a);
    if (a->in_fd >= 0) {
        close(a->in_fd);
        a->in_fd = -1;
    }
    a->no_room = worker_activity_lacks_room(a);
}
