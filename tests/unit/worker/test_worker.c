/* The worker with a real engine, store and sandbox, and modules that do well, badly, and nothing at all. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "engine/embedded/embedded.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/file.h"
#include "store/owned.h"
#include "store/tree.h"
#include "worker/activity_internal.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

/* --- modules of the test ---------------------------------------------------------------------------------- */

static int run_ok(struct module_ctx *ctx, struct err *err)
{
    (void)err;
    struct finding f = {.rule_id = (char *)"test/one", .title = (char *)"found", .severity = SEVERITY_LOW,
                        .file = (char *)"a.txt", .line = 1};
    module_finding(ctx, &f);
    module_progress(ctx, 1, 1, "done");
    module_summary(ctx, json_pack("{s:O?}", "got", json_object_get(module_input(ctx), "n")));
    return 0;
}

static int run_fail(struct module_ctx *ctx, struct err *err)
{
    (void)ctx;
    return err_set(err, ERR_FAILED, "this one never works");
}

static int run_partial(struct module_ctx *ctx, struct err *err)
{
    (void)err;
    module_partial(ctx, "half of it");
    return 0;
}

static int run_crash(struct module_ctx *ctx, struct err *err)
{
    (void)ctx;
    (void)err;
    raise(SIGABRT);
    return 0;
}

/* The first attempt leaves a checkpoint and waits to be killed; the next finds it. */
static int run_checkpoint(struct module_ctx *ctx, struct err *err)
{
    (void)err;
    const json_t *before = module_checkpoint_in(ctx);
    if (before) {
        module_summary(ctx, json_pack("{s:O}", "before", (json_t *)before));
        return 0;
    }
    module_progress(ctx, 1, 2, "waiting");
    module_checkpoint(ctx, json_pack("{s:i}", "at", 7)); /* sends what was gathered too */
    for (;;)
        pause();
}

static int run_artifact(struct module_ctx *ctx, struct err *err)
{
    char path[256];
    snprintf(path, sizeof path, "%s/report.txt", module_scratch(ctx));
    int r = os_write_file_atomic(path, "report", 6, 0644, err);
    module_artifact(ctx, path, "report.txt");
    return r;
}

/* Reads the object that its input refers to, and the workspace. */
static int run_reader(struct module_ctx *ctx, struct err *err)
{
    _cleanup_free_ char *text = NULL, *file = NULL;
    const char *path = json_str(json_object_get(module_input(ctx), "object"), "path", "/none");
    int r = os_read_file(path, 4096, &text, NULL, err);
    if (r == 0)
        r = os_read_file("/workspace/a.txt", 4096, &file, NULL, err);
    if (r == 0)
        module_summary(ctx, json_pack("{s:s, s:s}", "object", text, "workspace", file));
    return r;
}

static int run_link(struct module_ctx *ctx, struct err *err)
{
    char path[256];
    snprintf(path, sizeof path, "%s/link", module_scratch(ctx));
    if (symlink("/etc/hostname", path) < 0)
        return err_set(err, ERR_IO, "no link");
    module_artifact(ctx, path, "link");
    return 0;
}

/* Leaves a file, or only an attribute of the folder, and tells what it found. */
static int run_litter(struct module_ctx *ctx, struct err *err)
{
    const char *what = json_str(module_input(ctx), "leave", ""), *dir = module_scratch(ctx);
    char path[256];
    struct stat st;
    DIR *d = opendir(dir);
    int n = -2; /* without itself and its parent */
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    if (stat(dir, &st) < 0)
        return err_set(err, ERR_IO, "no scratch");
    module_summary(ctx, json_pack("{s:i, s:i, s:I}", "files", n, "attributes", (int)listxattr(dir, NULL, 0), "folder",
                                  (json_int_t)st.st_ino));
    snprintf(path, sizeof path, "%s/left", dir);
    if (strcmp(what, "file") == 0)
        return os_write_file_atomic(path, "x", 1, 0644, err);
    if (strcmp(what, "attribute") == 0 && setxattr(dir, "user.left", "x", 1, 0) < 0 && errno != ENOTSUP)
        return err_set(err, ERR_IO, "no attribute");
    return 0;
}

/* Writes what is no text, and dies. */
static int run_noise(struct module_ctx *ctx, struct err *err)
{
    (void)ctx;
    (void)err;
    static const char noise[] = "first\nbad \xff\xc3 bytes\n";
    (void)!write(STDERR_FILENO, noise, sizeof noise - 1);
    _exit(3);
}

/* Leaves a word to later runs, after those that earlier ones have left. */
static int run_remember(struct module_ctx *ctx, struct err *err)
{
    char path[256], words[200] = "";
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)module_remembered(ctx), i, one) {
        _cleanup_free_ char *text = NULL;
        int r = os_read_file(json_str(one, "path", "/none"), 100, &text, NULL, err);
        if (r < 0)
            return r;
        strcat(words, text);
    }
    module_summary(ctx, json_pack("{s:s, s:I}", "words", words, "files", (json_int_t)json_array_size(module_remembered(ctx))));
    strcat(words, json_str(module_input(ctx), "word", ""));
    snprintf(path, sizeof path, "%s/words", module_scratch(ctx));
    int r = os_write_file_atomic(path, words, strlen(words), 0644, err);
    module_keep(ctx, path, MODULE_MEMORY_FILE);
    return r;
}

/* Says what was handed over to it; with "leave", adds to that, and has no result. */
static int run_successor(struct module_ctx *ctx, struct err *err)
{
    const char *leave = json_str(module_input(ctx), "leave", NULL);
    int64_t at = json_i64(module_checkpoint_in(ctx), "at", 0);
    char path[4096];
    module_summary(ctx, json_pack("{s:I, s:I}", "at", (json_int_t)at, "files", (json_int_t)json_object_size(module_kept(ctx))));
    if (!leave)
        return 0;
    snprintf(path, sizeof path, "%s/file", module_scratch(ctx));
    int r = os_write_file_atomic(path, leave, strlen(leave), 0644, err);
    module_checkpoint(ctx, json_pack("{s:I}", "at", (json_int_t)at + 1));
    module_keep(ctx, path, leave);
    return r < 0 ? r : err_set(err, ERR_FAILED, "no result");
}

#define MODULE(n, f)                                                                                                   \
    static const struct module n##_module = {.name = #n, .version = "1", .description = "a test's",                    \
                                             .category = MODULE_TOOL, .input_schema = "{}", .run = f}
MODULE(ok, run_ok);
MODULE(fail, run_fail);
MODULE(partial, run_partial);
MODULE(crash, run_crash);
MODULE(checkpoint, run_checkpoint);
MODULE(artifact, run_artifact);
MODULE(reader, run_reader);
MODULE(link, run_link);
MODULE(litter, run_litter);
MODULE(noise, run_noise);
static const struct module remember_module = {.name = "remember", .version = "1", .description = "a test's",
                                              .category = MODULE_TOOL, .input_schema = "{}", .remembers = true, .run = run_remember};
static const struct module successor_module = {.name = "successor", .version = "1", .description = "a test's",
                                               .category = MODULE_TOOL, .input_schema = "{}", .stops = true, .run = run_successor};
static const struct module *const modules[] = {&ok_module,       &fail_module,     &partial_module,
                                               &crash_module,    &checkpoint_module, &artifact_module,
                                               &reader_module,   &link_module,     &noise_module,    &litter_module,
                                               &remember_module, &successor_module, NULL};

static int builtin(const char *name, void *arg)
{
    (void)arg;
    return module_entry_run(modules, name, STDIN_FILENO, STDOUT_FILENO);
}

/* --- the laboratory --------------------------------------------------------------------------------------- */

static struct spawner *spawner; /* one for all: forked while there is one thread */

struct lab {
    char *dir;
    struct engine *engine;
    struct store *store;
    struct workspaces *workspaces;
    struct module_registry *registry;
    struct worker *worker;
    pthread_mutex_t lock; /* worker, for the engine's thread */
    struct store_ref tree;
    bool has_defaults; /* memos say what those of other clients' runs say */
};

static atomic_int progress_seen, abandoned_seen;

static void on_event(void *arg, const struct worker_event *e)
{
    (void)arg;
    if (strcmp(e->type, "progress") == 0)
        progress_seen++;
    if (strcmp(e->type, "abandoned") == 0)
        abandoned_seen++;
}

static _Atomic(const char *) folder_script; /* what the toolbox has */

static int find_script(void *arg, const char *type, bool foreign, const json_t *given, struct worker_script *ret, struct err *err)
{
    (void)arg;
    (void)type;
    if (foreign)
        ret->defaults = json_pack("{s:{s:s}, s:{s:i, s:i}}", "context", "isolation", "shared", "parameters", "n", 1, "m", 2);
    if (json_object_get(given, "bad"))
        err_set(&ret->refused, ERR_INVALID, "parameter 'bad': not here");
    ret->text = mem_strdup(folder_script);
    ret->len = ret->text ? strlen(ret->text) : 0;
    return ret->text ? 0 : err_set(err, ERR_NOT_FOUND, "no workflow");
}

static void check(int r, const struct err *err)
{
    if (r < 0)
        fail_msg("%s", err->msg);
}

static void on_ask(void *arg, const char *identity, const char *run_id)
{
    (void)identity;
    struct lab *l = arg;
    pthread_mutex_lock(&l->lock);
    if (l->worker)
        worker_ask(l->worker, run_id);
    pthread_mutex_unlock(&l->lock);
}

static void set_worker(struct lab *l, struct worker *w)
{
    pthread_mutex_lock(&l->lock);
    l->worker = w;
    pthread_mutex_unlock(&l->lock);
}

/* The engine, with the polls for workflow tasks counted that are out. */
static struct counted {
    struct engine base;
    struct engine *inner;
    atomic_int polls;
} counted;

struct counted_call {
    engine_done *done;
    void *arg;
};

static void counted_done(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct counted_call c = *(struct counted_call *)arg;
    free(arg);
    counted.polls--;
    c.done(c.arg, resp, err);
}

static void counted_call(struct engine *e, enum engine_method m, const ProtobufCMessage *req, int64_t timeout_ms,
                         engine_done *done, void *arg)
{
    (void)e;
    if (m == ENGINE_POLL_WORKFLOW_TASK) {
        struct counted_call c = {done, arg};
        done = counted_done;
        arg = mem_dup(&c, sizeof c);
        counted.polls++;
    }
    engine_call(counted.inner, m, req, timeout_ms, done, arg);
}

static void counted_drain(struct engine *e)
{
    (void)e;
    engine_drain(counted.inner);
}

static struct engine *count_polls(struct engine *e)
{
    static const struct engine_ops ops = {.name = "counted", .call = counted_call, .drain = counted_drain};
    counted.base.ops = &ops;
    counted.inner = e;
    return &counted.base;
}

static void open_engine(struct lab *l)
{
    struct err err = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/state.db", l->dir);
    struct engine_embedded_options eo = {.path = path, .ask = on_ask, .ask_arg = l};
    check(engine_embedded_open(&eo, &l->engine, &err), &err);
}

static void start_worker_as(struct lab *l, int64_t heartbeat_ms, bool far)
{
    static const char *const verticals[] = {"test", NULL};
    struct err err = {0};
    char scratch[4096];
    snprintf(scratch, sizeof scratch, "%s/tmp", l->dir);
    check(os_mkdirs(scratch, 0700, &err), &err);
    struct worker_options o = {.engine = count_polls(l->engine), .store = l->store, .workspaces = l->workspaces, .spawner = spawner,
                               .modules = l->registry, .verticals = verticals, .scratch_dir = scratch,
                               .heartbeat_ms = heartbeat_ms, .activity_slots = 3, .on_event = on_event, .find_script = find_script,
                               .activity_extra = far ? 4 : 0, .brief_ms = 3600000,
                               .give_back = far, .heartbeat_timeout_ms = far ? 77000 : 0, .version = far ? "7.7" : NULL};
    struct worker *w;
    check(worker_start(&o, &w, &err), &err);
    set_worker(l, w);
}

static void stop_worker(struct lab *l)
{
    struct worker *w = l->worker;
    set_worker(l, NULL);
    worker_stop(w);
}

static void start_worker(struct lab *l)
{
    start_worker_as(l, 50, false);
}

/* As for an engine that is far away and does not see workers go. */
static void restart_as_far(struct lab *l)
{
    stop_worker(l);
    engine_free(l->engine);
    open_engine(l);
    start_worker_as(l, 60000, true);
}

static int setup(void **state)
{
    struct lab *l = mem_zalloc(sizeof *l);
    struct err err = {0};
    static const char *const none[] = {NULL};
    pthread_mutex_init(&l->lock, NULL);
    check(os_temp_dir("/tmp", "ff-worker-", &l->dir, &err), &err);
    assert_int_equal(chmod(l->dir, 0711), 0); /* the sandbox's user passes through */
    char path[4096];
    open_engine(l);
    snprintf(path, sizeof path, "%s/store", l->dir);
    check(store_open_local(path, &l->store, &err), &err);
    snprintf(path, sizeof path, "%s/cache", l->dir);
    struct workspaces_options wo = {.dir = path};
    check(workspaces_open(l->store, &wo, &l->workspaces, &err), &err);
    check(module_registry_new(modules, none, &l->registry, &err), &err);
    struct tree_builder *b;
    check(tree_builder_new(l->store, &b, &err), &err);
    check(tree_file_begin(b, "a.txt", false, &err), &err);
    check(tree_file_data(b, "hello", 5, &err), &err);
    check(tree_file_end(b, &err), &err);
    check(tree_builder_finish(b, &l->tree, &err), &err);
    tree_builder_free(b);
    start_worker(l);
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    struct lab *l = *state;
    stop_worker(l);
    engine_free(l->engine);
    pthread_mutex_destroy(&l->lock);
    workspaces_free(l->workspaces);
    store_free(l->store);
    module_registry_free(l->registry);
    assert_int_equal(os_remove_tree(l->dir, NULL), 0);
    free(l->dir);
    free(l);
    return 0;
}

/* Starts a script as a run of that id; NULL: one that is not pinned to a script. What it is given is kept by the run of id
 * keeper in a namespace. */
static void start_as(struct lab *l, const char *id, const char *script, const char *name_space, const char *keeper)
{
    struct err err = {0};
    struct store_ref ref = {0};
    _cleanup_free_ char *owner = store_run_owner(name_space, keeper);
    if (script)
        check(store_put(l->store, script, strlen(script), "text/x-lua", &ref, &err), &err);
    if (script)
        check(store_pin(l->store, owner, ref.text, 0, &err), &err);
    check(store_pin(l->store, owner, l->tree.text, 0, &err), &err);
    Pb__StartWorkflowExecutionRequest r = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    Pb__Memo memo = PB__MEMO__INIT;
    Pb__Memo__FieldsEntry field = PB__MEMO__FIELDS_ENTRY__INIT, defaults = field, *fields[] = {&field, &defaults};
    Pb__Header header = PB__HEADER__INIT;
    Pb__Header__FieldsEntry entry = PB__HEADER__FIELDS_ENTRY__INIT, *entries[] = {&entry};
    _cleanup_json_ json_t *name = json_string(ref.text);
    _cleanup_json_ json_t *ctx = json_pack("{s:s, s:s, s:{s:s}}", "vertical", "test", "isolation", "shared", "target",
                                           "ref", l->tree.text);
    type.name = (char *)"t";
    queue.name = (char *)"test-queue";
    field.key = (char *)WORKER_MEMO_SCRIPT;
    field.value = pbx_json_payload(name);
    memo.fields = fields;
    memo.n_fields = l->has_defaults ? 2 : 1;
    defaults.key = (char *)WORKER_MEMO_DEFAULTS;
    defaults.value = pbx_json_payload(ctx); /* what is in it does not count here */
    entry.key = (char *)WORKER_CONTEXT_HEADER;
    entry.value = pbx_json_payload(ctx);
    header.fields = entries;
    header.n_fields = 1;
    r.namespace_ = (char *)"default";
    r.workflow_id = r.request_id = (char *)id;
    r.workflow_type = &type;
    r.task_queue = &queue;
    r.memo = script ? &memo : NULL;
    r.header = &header;
    check(engine_call_sync(l->engine, ENGINE_START_WORKFLOW, &r.base, 0, NULL, &err), &err);
    engine_free_message(&field.value->base);
    engine_free_message(&defaults.value->base);
    engine_free_message(&entry.value->base);
}

static void start(struct lab *l, const char *id, const char *script)
{
    start_as(l, id, script, "default", id);
}

/* Waits for the end. The answer holds the closing event; *ret_event points into it. */
static ProtobufCMessage *wait_end(struct lab *l, const char *id, const Pb__HistoryEvent **ret_event)
{
    struct err err = {0};
    Pb__GetWorkflowExecutionHistoryRequest r = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    r.namespace_ = (char *)"default";
    ex.workflow_id = (char *)id;
    r.execution = &ex;
    r.wait_new_event = true;
    r.history_event_filter_type = PB__HISTORY_EVENT_FILTER_TYPE__HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT;
    for (;;) {
        ProtobufCMessage *m;
        check(engine_call_sync(l->engine, ENGINE_GET_HISTORY, &r.base, 0, &m, &err), &err);
        const Pb__History *h = ((Pb__GetWorkflowExecutionHistoryResponse *)m)->history;
        if (h && h->n_events && h->events[h->n_events - 1]->event_type !=
                                    PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW) {
            *ret_event = h->events[h->n_events - 1];
            return m;
        }
        engine_free_message(m);
    }
}

/* The result of a run that must complete. */
static json_t *result_of(struct lab *l, const char *id)
{
    const Pb__HistoryEvent *e;
    ProtobufCMessage *m = wait_end(l, id, &e);
    json_t *j = NULL;
    if (e->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_FAILED)
        fail_msg("failed: %s", e->workflow_execution_failed_event_attributes->failure->message);
    assert_int_equal(e->event_type, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED);
    assert_int_equal(pbx_payloads_json(e->workflow_execution_completed_event_attributes->result, 0, &j, NULL), 0);
    engine_free_message(m);
    return j;
}

static json_t *run(struct lab *l, const char *script)
{
    char id[27];
    os_ulid(id);
    start(l, id, script);
    return result_of(l, id);
}

/* --- stories ---------------------------------------------------------------------------------------------- */

static void test_result(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    _cleanup_free_ char *text = NULL;
    size_t len;
    _cleanup_json_ json_t *j = run(l, "return function() return ff.activity('ok', {n = 5}) end");
    assert_string_equal(json_str(j, "status", ""), "success");
    assert_int_equal(json_i64(j, "findings_count", 0), 1);
    assert_int_equal(json_i64(json_object_get(j, "summary"), "got", 0), 5);
    check(store_get(l->store, json_str(json_object_get(j, "findings"), "ref", ""), 4096, &text, &len, &err), &err);
    assert_non_null(strstr(text, "\"test/one\""));
    assert_non_null(strstr(text, "\"module\":\"ok\""));
    assert_true(progress_seen > 0);
}

/* pcall gives the error table of ff.error. */
static void expect_error(struct lab *l, const char *call, const char *type, const char *message)
{
    char script[512];
    snprintf(script, sizeof script,
             "return function() local ok, e = pcall(function() return %s end)\n"
             "return {ok = ok, type = e.type, message = e.message} end",
             call);
    _cleanup_json_ json_t *j = run(l, script);
    assert_false(json_flag(j, "ok", true));
    assert_string_equal(json_str(j, "type", ""), type);
    if (!strstr(json_str(j, "message", ""), message))
        fail_msg("'%s' does not say '%s'", json_str(j, "message", ""), message);
}

static void test_failures(void **state)
{
    struct lab *l = *state;
    expect_error(l, "ff.activity('fail', {}, {retry = {max = 2, initial = '10ms'}})", "ModuleFailed",
                 "this one never works");
    expect_error(l, "ff.activity('crash', {}, {retry = {max = 1}})", "ModuleFailed", "signal 6");
    expect_error(l, "ff.activity('noise', {}, {retry = {max = 1}})", "ModuleFailed", "status 3: bad ?? bytes");
    expect_error(l, "ff.activity('absent', {})", "ModuleNotFound", "absent");
    expect_error(l, "ff.activity('link', {}, {retry = {max = 1}})", "ResultError", "artifact");
    expect_error(l, "ff.activity('reader', {object = {ref = 'sha256:' .. string.rep('0', 64)}}, {retry = {max = 1}})",
                 "WorkspaceError", "object");
}

static void test_partial_marks_the_run(void **state)
{
    _cleanup_json_ json_t *j =
        run(*state, "return function() local r = ff.activity('partial', {}) return {s = r.status, e = r.error} end");
    assert_string_equal(json_str(j, "s", ""), "partial");
    assert_string_equal(json_str(j, "e", ""), "half of it");
    assert_true(json_flag(j, "incomplete", false));
}

static void test_artifacts_and_objects(void **state)
{
    _cleanup_json_ json_t *j = run(*state, "return function()\n"
                                           "  local a = ff.activity('artifact', {})\n"
                                           "  local r = ff.activity('reader', {object = a.artifacts['report.txt']})\n"
                                           "  return r.summary\nend");
    assert_string_equal(json_str(j, "object", ""), "report");
    assert_string_equal(json_str(j, "workspace", ""), "hello");
}

static Pb__DescribeWorkflowExecutionResponse *describe(struct lab *l, const char *id)
{
    struct err err = {0};
    Pb__DescribeWorkflowExecutionRequest r = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    ProtobufCMessage *m;
    r.namespace_ = (char *)"default";
    ex.workflow_id = (char *)id;
    r.execution = &ex;
    check(engine_call_sync(l->engine, ENGINE_DESCRIBE, &r.base, 0, &m, &err), &err);
    return (Pb__DescribeWorkflowExecutionResponse *)m;
}

/* What another namespace has is not there: nor for an input, nor as a target, nor in what a heartbeat has kept. What another run
 * of the namespace has is, and is kept by this one from then on. */
static void test_objects_of_the_namespace(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    struct store_ref ref;
    char script[512];
    bool pinned;
    check(store_put(l->store, "secret", 6, "text/plain", &ref, &err), &err);
    check(store_pin(l->store, "run@other/x", ref.text, 0, &err), &err);
    snprintf(script, sizeof script, "ff.activity('reader', {a = {{object = {ref = '%s'}}}}, {retry = {max = 1}})", ref.text);
    expect_error(l, script, "WorkspaceError", "no object");
    check(store_pin(l->store, "run/another", ref.text, 0, &err), &err);
    snprintf(script, sizeof script, "return function() return ff.activity('reader', {object = {ref = '%s'}}).summary end", ref.text);
    start(l, "borrows", script);
    _cleanup_json_ json_t *j = result_of(l, "borrows");
    assert_string_equal(json_str(j, "object", ""), "secret");
    check(store_pinned(l->store, "run/borrows", ref.text, &pinned, &err), &err);
    assert_true(pinned);
}

static void test_target_of_the_namespace(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    static const char script[] = "return function()\n"
                                 "  local ok, e = pcall(ff.activity, 'ok', {}, {retry = {max = 1}})\n"
                                 "  return {ok = ok, message = e.message}\nend";
    struct store_ref ref;
    check(store_put(l->store, script, sizeof script - 1, "text/x-lua", &ref, &err), &err);
    check(store_pin(l->store, "run/stranger", ref.text, 0, &err), &err); /* the script alone */
    start_as(l, "stranger", script, "other", "x");
    _cleanup_json_ json_t *j = result_of(l, "stranger");
    assert_false(json_flag(j, "ok", true));
    assert_non_null(strstr(json_str(j, "message", ""), "no object"));
}

/* A run that names another's script stands, as long as no run of its namespace has that. */
static void test_script_of_the_namespace(void **state)
{
    struct lab *l = *state;
    static const char script[] = "return function() return {mine = true} end";
    start_as(l, "thief", script, "other", "x");
    for (bool tried = false; !tried; os_sleep_ms(10)) {
        Pb__DescribeWorkflowExecutionResponse *d = describe(l, "thief");
        assert_int_equal(d->workflow_execution_info->status, PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_RUNNING);
        tried = d->pending_workflow_task && d->pending_workflow_task->attempt > 1;
        engine_free_message(&d->base);
    }
    start(l, "owner", script); /* which has it for all of the namespace */
    json_decref(result_of(l, "owner"));
    json_decref(result_of(l, "thief"));
}

static int no_pin(void *arg, const char *owner, const char *ref, struct err *err)
{
    (void)arg;
    (void)owner;
    (void)ref;
    (void)err;
    fail_msg("a tenant's script is kept for all");
    return 0;
}

/* Its memo says that the run was started by another client, whose scripts are the toolbox's and kept for long. */
static void test_script_that_only_says_so(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    l->has_defaults = true;
    start(l, "says", "return function() return {mine = true} end");
    _cleanup_json_ json_t *j = result_of(l, "says");
    assert_true(json_flag(j, "mine", false));
    check(store_each_pin_of(l->store, "script/t", no_pin, NULL, &err), &err);
}

static bool keeps(struct lab *l, const char *owner, const char *text)
{
    struct err err = {0};
    struct store_ref ref;
    bool pinned;
    check(store_put(l->store, text, strlen(text), "text/plain", &ref, &err), &err);
    check(store_pinned(l->store, owner, ref.text, &pinned, &err), &err);
    return pinned;
}

/* The child keeps what its parent gives it, the parent what the child answers: either may be deleted first. */
static void test_children_keep(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    static const char script[] = "return function(input)\n"
                                 "  local w = ff.activity('remember', {memory = 'x', word = 'of the child'})\n"
                                 "  return {file = w.artifacts['memory.tar']}\nend";
    static const char parent[] = "return function()\n"
                                 "  local a = ff.activity('artifact', {})\n"
                                 "  return ff.child('t', {parameters = {object = a.artifacts['report.txt']}}, {id = 'child'})\nend";
    folder_script = script;
    start(l, "parent", parent);
    _cleanup_json_ json_t *j = result_of(l, "parent");
    assert_non_null(json_object_get(j, "file"));
    assert_true(keeps(l, "run/child", "report"));
    assert_true(keeps(l, "run/child", "of the child"));
    assert_true(keeps(l, "run/parent", "of the child"));
    check(store_unpin_owner(l->store, "run/child", &err), &err); /* as when it is deleted; and another takes its name */
    start(l, "another", parent);
    json_decref(result_of(l, "another"));
    assert_true(keeps(l, "run/child", "report"));
    folder_script = NULL;
}

static void test_later_runs_remember(void **state)
{
    static const char script[] = "return function()\n"
                                 "  local function go(about, w) return ff.activity('remember', {memory = about, word = w}).summary end\n"
                                 "  local a, b, c = go('x', 'one '), go('x', 'two '), go('y', 'three ')\n"
                                 "  return {b = b.words, c = c.words, files = b.files, none = go(nil, 'four ').words}\nend";
    _cleanup_json_ json_t *j = run(*state, script), *again = run(*state, script);
    assert_string_equal(json_str(j, "b", ""), "one ");
    assert_string_equal(json_str(j, "c", "?"), "");
    assert_int_equal(json_i64(j, "files", 0), 1);
    assert_string_equal(json_str(again, "b", ""), "one two one ");
    assert_int_equal(json_i64(again, "files", 0), 1); /* each takes the place of the one before */
    assert_string_equal(json_str(again, "c", ""), "three ");
    assert_string_equal(json_str(again, "none", "?"), "");
}

static int note_owner(void *arg, const char *owner, const char *ref, struct err *err)
{
    (void)ref;
    (void)err;
    if (strncmp(owner, "memory@", 7) == 0)
        snprintf(arg, 300, "%s", owner);
    return 0;
}

/* Who does not reach the store does not begin with nothing. */
static void test_remembers_later(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    char owner[300] = "";
    json_decref(run(l, "return function() return ff.activity('remember', {memory = 'z', word = 'w'}).summary end"));
    check(store_each_pin(l->store, note_owner, owner, &err), &err);
    struct activity a = {.worker = l->worker, .memory = owner};
    bool hit = true;
    for (long n = 1; hit; n++) {
        os_fault_set(n, EHOSTUNREACH, false, "sqlite");
        int r = worker_memory_find(&a, &err);
        hit = os_fault_hit();
        os_fault_set(0, 0, false, NULL);
        assert_int_equal(r, hit ? -ERR_UNAVAILABLE : 0);
    }
    assert_int_equal(json_array_size(a.remembered), 1);
    json_decref(a.remembered);
}

/* What has no result leaves all that it had to the next one of its name and its run, and to nobody else. */
static void test_hands_over(void **state)
{
    static const char script[] = "return function()\n"
                                 "  local function go(name, leave)\n"
                                 "    local ok, r = pcall(ff.activity, 'successor', {handover = name, leave = leave}, {retry = {max = 1}})\n"
                                 "    return ok and r.summary or nil\n"
                                 "  end\n"
                                 "  go('x', 'one') go('x', 'two')\n"
                                 "  return {other = go('y'), none = go(nil), x = go('x'), after = go('x')}\nend";
    _cleanup_json_ json_t *j = run(*state, script), *again = run(*state, script);
    static const char *const nothing[] = {"other", "none", "after"};
    assert_int_equal(json_i64(json_object_get(j, "x"), "at", 0), 2);
    assert_int_equal(json_i64(json_object_get(j, "x"), "files", 0), 2);
    for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
        assert_int_equal(json_i64(json_object_get(j, nothing[i]), "at", -1), 0);
        assert_int_equal(json_i64(json_object_get(j, nothing[i]), "files", -1), 0);
    }
    assert_int_equal(json_i64(json_object_get(again, "x"), "files", 0), 2);
}

/* Waits until something said progress: the module is at its waiting place, its checkpoint read. */
static void wait_progress(int before)
{
    for (int i = 0; i < 2000 && progress_seen == before; i++)
        os_sleep_ms(5);
    assert_true(progress_seen > before);
    os_sleep_ms(150); /* a heartbeat or two */
}

static void test_checkpoint_survives_a_lost_worker(void **state)
{
    struct lab *l = *state;
    int before = progress_seen;
    start(l, "cp", "return function() return ff.activity('checkpoint', {}, {heartbeat = '600ms', "
                   "retry = {max = 5, initial = '10ms'}}).summary end");
    wait_progress(before);
    stop_worker(l); /* kills the module and tells nobody */
    engine_free(l->engine);
    open_engine(l);
    start_worker(l);
    _cleanup_json_ json_t *j = result_of(l, "cp");
    assert_int_equal(json_i64(json_object_get(j, "before"), "at", 0), 7);
}

static void cancel_reaches_the_module(struct lab *l)
{
    int before = progress_seen;
    start(l, "cn", "return function() return ff.activity('checkpoint', {}).summary end");
    wait_progress(before);
    struct err err = {0};
    Pb__RequestCancelWorkflowExecutionRequest r = PB__REQUEST_CANCEL_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    r.namespace_ = (char *)"default";
    ex.workflow_id = (char *)"cn";
    r.workflow_execution = &ex;
    r.request_id = (char *)"1";
    check(engine_call_sync(l->engine, ENGINE_REQUEST_CANCEL, &r.base, 0, NULL, &err), &err);
    const Pb__HistoryEvent *e;
    ProtobufCMessage *m = wait_end(l, "cn", &e);
    assert_int_equal(e->event_type, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED);
    engine_free_message(m);
}

static void test_cancel_reaches_the_module(void **state)
{
    cancel_reaches_the_module(*state);
}

/* The next heartbeat is most of a minute away. */
static void test_cancel_does_not_wait_for_a_heartbeat(void **state)
{
    restart_as_far(*state);
    int64_t begin = os_mono_ns();
    cancel_reaches_the_module(*state);
    assert_true(os_mono_ns() - begin < 10 * NS_PER_S);
}

/* Neither does the end of the run. */
static void test_terminate_does_not_wait_for_a_heartbeat(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    int before = progress_seen, abandoned = abandoned_seen;
    restart_as_far(l);
    start(l, "tm", "return function() return ff.activity('checkpoint', {}).summary end");
    wait_progress(before);
    Pb__TerminateWorkflowExecutionRequest r = PB__TERMINATE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    r.namespace_ = (char *)"default";
    ex.workflow_id = (char *)"tm";
    r.workflow_execution = &ex;
    check(engine_call_sync(l->engine, ENGINE_TERMINATE, &r.base, 0, NULL, &err), &err);
    for (int i = 0; i < 4000 && abandoned_seen == abandoned; i++)
        os_sleep_ms(5);
    assert_int_equal(abandoned_seen, abandoned + 1); /* its process has been killed, and is gone */
}

/* A far engine hears at once of what a worker leaves behind, with its checkpoint; one whose last attempt that was keeps it. */
static void test_gives_back_what_it_ran(void **state)
{
    struct lab *l = *state;
    restart_as_far(l);
    int before = progress_seen;
    start(l, "gb", "return function() ff.all{ff.start('checkpoint', {}, {retry = {max = 2, initial = '1h'}}), "
                   "ff.start('checkpoint', {}, {retry = {max = 1}})} end");
    for (int i = 0; i < 2000 && progress_seen < before + 2; i++)
        os_sleep_ms(5);
    if (progress_seen < before + 2) {
        Pb__DescribeWorkflowExecutionResponse *now = describe(l, "gb");
        for (size_t i = 0; i < now->n_pending_activities; i++)
            print_error("activity %zu: attempt %d, state %d, %s\n", i, now->pending_activities[i]->attempt,
                        now->pending_activities[i]->state,
                        now->pending_activities[i]->last_failure ? now->pending_activities[i]->last_failure->message : "no failure");
        engine_free_message(&now->base);
    }
    wait_progress(before + 1);
    stop_worker(l);
    Pb__DescribeWorkflowExecutionResponse *d = describe(l, "gb");
    assert_int_equal(d->n_pending_activities, 2);
    bool first = d->pending_activities[0]->attempt == 2;
    const Pb__PendingActivityInfo *given = d->pending_activities[!first], *kept = d->pending_activities[first];
    assert_int_equal(given->attempt, 2);
    assert_int_equal(given->state, PB__PENDING_ACTIVITY_STATE__PENDING_ACTIVITY_STATE_SCHEDULED);
    assert_string_equal(given->last_failure->application_failure_info->type, "WorkerStopped");
    _cleanup_json_ json_t *details = NULL;
    assert_int_equal(pbx_payloads_json(given->heartbeat_details, 0, &details, NULL), 0);
    assert_int_equal(json_i64(json_object_get(details, "checkpoint"), "at", 0), 7);
    assert_int_equal(kept->attempt, 1);
    assert_int_equal(kept->state, PB__PENDING_ACTIVITY_STATE__PENDING_ACTIVITY_STATE_STARTED);
    engine_free_message(&d->base);
}

/* What a far engine is told: a heartbeat timeout for our modules alone, and who replays. */
static void test_far_engine(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    restart_as_far(l);
    start(l, "fe", "return function() pcall(ff.activity, 'ok', {}) pcall(ff.activity, 'ok', {}, {heartbeat = '5s'})\n"
                   "pcall(ff.activity, 'foreign', {}, {vertical = 'other', queue_timeout = '200ms', retry = {max = 1}}) return {} end");
    json_decref(result_of(l, "fe")); /* timed out at 'foreign': no worker of ours asks for what none of ours can do */
    Pb__GetWorkflowExecutionHistoryRequest r = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    ProtobufCMessage *m;
    r.namespace_ = (char *)"default";
    ex.workflow_id = (char *)"fe";
    r.execution = &ex;
    check(engine_call_sync(l->engine, ENGINE_GET_HISTORY, &r.base, 0, &m, &err), &err);
    const Pb__History *h = ((Pb__GetWorkflowExecutionHistoryResponse *)m)->history;
    assert_int_equal(h->events[h->n_events - 1]->event_type, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED);
    static const int64_t expected[] = {77, 5, 0};
    size_t activities = 0, said = 0;
    for (size_t i = 0; i < h->n_events; i++) {
        const Pb__HistoryEvent *e = h->events[i];
        if (e->event_type == PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
            assert_int_equal(pbx_duration_ns(e->activity_task_scheduled_event_attributes->heartbeat_timeout) / NS_PER_S,
                             expected[activities++]);
        if (e->event_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_COMPLETED &&
            e->workflow_task_completed_event_attributes->sdk_metadata &&
            strcmp(e->workflow_task_completed_event_attributes->sdk_metadata->sdk_version, "7.7") == 0)
            said++;
    }
    assert_int_equal(activities, 3);
    assert_int_equal(said, 1);
    engine_free_message(m);
}

/* A folder that somebody has removed is not used again; that a worker has none is nothing that the run lacks. */
static void test_folder_removed(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    struct activity a = {.worker = l->worker, .token_id = "another"};
    char scratch[4096];
    snprintf(scratch, sizeof scratch, "%s/tmp", l->dir);
    json_decref(run(l, "return function() return ff.activity('litter', {leave = ''}).summary end"));
    check(os_remove_tree(scratch, &err), &err);
    assert_int_equal(worker_folder_take(&a), -ERR_IO);
    free(a.dir);
}

/* The folder of one that left nothing serves again; nobody finds what another left. */
static void test_folders_are_clean(void **state)
{
    bool again = false;
    _cleanup_json_ json_t *j = run(*state, "return function()\n"
                                           "  local out = {}\n"
                                           "  for i, w in ipairs({'', '', 'file', '', 'attribute', '', ''}) do\n"
                                           "    out[i] = ff.activity('litter', {leave = w}).summary\n"
                                           "  end\n"
                                           "  return {runs = out}\nend");
    json_t *runs = json_object_get(j, "runs"), *r;
    size_t i;
    assert_int_equal(json_array_size(runs), 7);
    json_array_foreach(runs, i, r) {
        assert_int_equal(json_i64(r, "files", -1), 0);
        assert_int_equal(json_i64(r, "attributes", -1), 0);
        again |= i > 0 && json_i64(r, "folder", 0) == json_i64(json_array_get(runs, i - 1), "folder", 1);
    }
    if (spawner_protection(spawner)->complete)
        assert_true(again);
}

static void test_many_at_once(void **state)
{
    _cleanup_json_ json_t *j = run(*state, "return function()\n"
                                           "  local fs, sum = {}, 0\n"
                                           "  for i = 1, 40 do fs[i] = ff.start('ok', {n = i}) end\n"
                                           "  for _, r in ipairs(ff.all(fs)) do sum = sum + r.summary.got end\n"
                                           "  return {sum = sum}\nend");
    assert_int_equal(json_i64(j, "sum", 0), 820);
}

/* Brief activities, then more long ones than any worker takes: how many of these run at a time? */
static void expect_at_once(struct lab *l, int count)
{
    int before = progress_seen + 8; /* the brief ones tell of theirs too */
    start(l, "room", "return function()\n"
                     "  for i = 1, 8 do ff.activity('ok', {n = i}) end\n"
                     "  local fs = {}\n"
                     "  for i = 1, 8 do fs[i] = ff.start('checkpoint', {}) end\n"
                     "  return ff.all(fs)\nend");
    for (int i = 0; i < 6000 && progress_seen < before + count; i++)
        os_sleep_ms(10);
    os_sleep_ms(200);
    assert_int_equal(progress_seen, before + count);
}

static void test_as_many_as_slots(void **state)
{
    expect_at_once(*state, 3);
}

static void test_brief_ones_make_room(void **state)
{
    restart_as_far(*state);
    expect_at_once(*state, 7);
}

static int task_attempt(struct lab *l, const char *id)
{
    Pb__DescribeWorkflowExecutionResponse *d = describe(l, id);
    int attempt = d->pending_workflow_task ? d->pending_workflow_task->attempt : 0;
    engine_free_message(&d->base);
    return attempt;
}

/* Answers the first workflow task of a run as another script than its own would have. */
static void answer_for(struct lab *l, const char *activity)
{
    struct err err = {0};
    Pb__PollWorkflowTaskQueueRequest q = PB__POLL_WORKFLOW_TASK_QUEUE_REQUEST__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    Pb__RespondWorkflowTaskCompletedRequest r = PB__RESPOND_WORKFLOW_TASK_COMPLETED_REQUEST__INIT;
    Pb__Command c = PB__COMMAND__INIT, *list[] = {&c};
    Pb__ScheduleActivityTaskCommandAttributes at = PB__SCHEDULE_ACTIVITY_TASK_COMMAND_ATTRIBUTES__INIT;
    Pb__ActivityType type = PB__ACTIVITY_TYPE__INIT;
    ProtobufCMessage *m;
    queue.name = (char *)"test-queue";
    q.namespace_ = r.namespace_ = (char *)"default";
    q.task_queue = at.task_queue = &queue;
    check(engine_call_sync(l->engine, ENGINE_POLL_WORKFLOW_TASK, &q.base, 10000, &m, &err), &err);
    r.task_token = ((Pb__PollWorkflowTaskQueueResponse *)m)->task_token;
    type.name = (char *)activity;
    at.activity_id = (char *)"1";
    at.activity_type = &type;
    at.start_to_close_timeout = pbx_duration(60 * NS_PER_S);
    c.command_type = PB__COMMAND_TYPE__COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK;
    c.attributes_case = PB__COMMAND__ATTRIBUTES_SCHEDULE_ACTIVITY_TASK_COMMAND_ATTRIBUTES;
    c.schedule_activity_task_command_attributes = &at;
    r.commands = list;
    r.n_commands = 1;
    check(engine_call_sync(l->engine, ENGINE_COMPLETE_WORKFLOW_TASK, &r.base, 0, NULL, &err), &err);
    engine_free_message(&at.start_to_close_timeout->base);
    engine_free_message(m);
}

/* Runs scripts until so many polls are out. */
static void until_polls(struct lab *l, const char *script, int least, int most)
{
    static int n;
    char id[32];
    const Pb__HistoryEvent *e;
    for (int i = 0; counted.polls < least || counted.polls > most; i++) {
        assert_true(i < 1000);
        snprintf(id, sizeof id, "poll-%d", n++);
        start(l, id, script);
        engine_free_message(wait_end(l, id, &e));
    }
}

static void test_polls_follow_the_load(void **state)
{
    struct lab *l = *state;
    for (int i = 0; i < 6000 && counted.polls < 16; i++) /* eight of the queue, eight of the sticky one */
        os_sleep_ms(10);
    assert_int_equal(counted.polls, 16);
    until_polls(l, "return function() return {} end", 20, 40);
    until_polls(l, "return function() for i = 1, 5000000 do end return {} end", 15, 16);
}

/* A script that does not fit the history fails the task, again and again, but not the run; a mended one goes on. */
static void test_mended_script(void **state)
{
    struct lab *l = *state;
    stop_worker(l);
    engine_free(l->engine);
    open_engine(l); /* without polls */
    folder_script = "return function() ff.sleep('1h') return {} end";
    start(l, "mend", folder_script);
    answer_for(l, "ok");
    start_worker(l);
    for (int i = 0; i < 2000 && task_attempt(l, "mend") < 4; i++)
        os_sleep_ms(10);
    assert_true(task_attempt(l, "mend") >= 4);
    folder_script = "return function() ff.activity('ok', {n = 1})\n"
                    "  return {n = 10 + ff.activity('ok', {n = 3}).summary.got} end";
    _cleanup_json_ json_t *j = result_of(l, "mend");
    assert_int_equal(json_i64(j, "n", 0), 13);
    folder_script = NULL;
}

/* As a client which knows nothing of ff. input: NULL, or JSON; what is no JSON goes as bytes. */
static void start_foreign(struct lab *l, const char *id, const char *input)
{
    struct err err = {0};
    Pb__StartWorkflowExecutionRequest r = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    Pb__Memo memo = PB__MEMO__INIT;
    Pb__Memo__FieldsEntry field = PB__MEMO__FIELDS_ENTRY__INIT, *fields[] = {&field};
    _cleanup_json_ json_t *why = json_string("a test"), *j = input ? json_loads(input, 0, NULL) : NULL;
    type.name = (char *)"t";
    queue.name = (char *)"test-queue";
    field.key = (char *)"why";
    field.value = pbx_json_payload(why);
    memo.fields = fields;
    memo.n_fields = 1;
    r.namespace_ = (char *)"default";
    r.workflow_id = r.request_id = (char *)id;
    r.workflow_type = &type;
    r.task_queue = &queue;
    r.memo = &memo;
    r.input = j ? pbx_json_payloads(j) : NULL;
    if (input && !j) {
        r.input = pbx_json_payloads(why);
        free(r.input->payloads[0]->metadata[0]->value.data);
        r.input->payloads[0]->metadata[0]->value = (ProtobufCBinaryData){12, (uint8_t *)mem_strdup("binary/plain")};
    }
    check(engine_call_sync(l->engine, ENGINE_START_WORKFLOW, &r.base, 0, NULL, &err), &err);
    engine_free_message(&field.value->base);
    engine_free_message(r.input ? &r.input->base : NULL);
}

/* A run that a client started which knows nothing of ff: script, parameters and context are the toolbox's. */
static void test_foreign_start(void **state)
{
    struct lab *l = *state;
    static const char *const inputs[] = {NULL, "{\"n\": 40}", "{\"parameters\": {\"n\": 5}, \"run\": {\"id\": \"own\"}}"};
    static const int sums[] = {3, 42, 7};
    folder_script = "return function(input)\n"
                    "  local p = input.parameters\n"
                    "  return {got = ff.activity('ok', {n = p.n + p.m}).summary.got, id = input.run.id}\nend";
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        char id[16];
        snprintf(id, sizeof id, "foreign-%zu", i);
        start_foreign(l, id, inputs[i]);
        _cleanup_json_ json_t *j = result_of(l, id);
        assert_int_equal(json_i64(j, "got", 0), sums[i]);
        assert_string_equal(json_str(j, "id", ""), i == 2 ? "own" : id);
    }
    folder_script = NULL;
}

/* Whose parameters do not fit: the run fails at once, and says why. */
static void test_foreign_refused(void **state)
{
    struct lab *l = *state;
    static const char *const inputs[] = {"{\"bad\": 1}", "{\"parameters\": {\"bad\": 1}}", "no JSON"};
    static const char *const words[] = {"parameter 'bad'", "parameter 'bad'", "input of the workflow"};
    folder_script = "return function() return {} end";
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        char id[16];
        const Pb__HistoryEvent *e;
        snprintf(id, sizeof id, "refused-%zu", i);
        start_foreign(l, id, inputs[i]);
        ProtobufCMessage *m = wait_end(l, id, &e);
        assert_int_equal(e->event_type, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_FAILED);
        const Pb__Failure *f = e->workflow_execution_failed_event_attributes->failure;
        assert_non_null(strstr(f->message, words[i]));
        assert_string_equal(f->application_failure_info->type, "BadInput");
        assert_true(f->application_failure_info->non_retryable);
        engine_free_message(m);
    }
    folder_script = NULL;
}

static size_t memo_fields(struct lab *l, const char *id, const char *key)
{
    size_t n = 0;
    Pb__DescribeWorkflowExecutionResponse *d = describe(l, id);
    const Pb__Memo *memo = d->workflow_execution_info->memo;
    for (size_t i = 0; memo && i < memo->n_fields; i++)
        n += strcmp(memo->fields[i]->key, key) == 0;
    engine_free_message(&d->base);
    return n;
}

/* It is pinned to the script that it began with, and so are the runs that continue it, through crashes and changes of the
 * folder. */
static void test_foreign_pinned(void **state)
{
    struct lab *l = *state;
    int before = progress_seen;
    folder_script = "return function(input)\n"
                    "  local p = input.parameters\n"
                    "  if p.n == 1 then return ff.continue_as_new({n = 2}) end\n"
                    "  ff.activity('ok', {n = 1})\n"
                    "  ff.sleep('200ms')\n"
                    "  if p.n < 4 then return ff.continue_as_new({n = p.n + 1}) end\n"
                    "  return {n = ff.activity('ok', {n = p.n}).summary.got, m = p.m}\nend";
    start_foreign(l, "pinned", "{\"n\": 1}");
    for (int i = 0; i < 2000 && progress_seen == before; i++)
        os_sleep_ms(5);
    assert_int_equal(memo_fields(l, "pinned", WORKER_MEMO_SCRIPT), 1);
    stop_worker(l);
    engine_free(l->engine);
    folder_script = "return function() return {n = 'another'} end";
    open_engine(l);
    start_worker(l);
    _cleanup_json_ json_t *j = result_of(l, "pinned");
    assert_int_equal(json_i64(j, "n", 0), 4);
    assert_int_equal(json_i64(j, "m", 0), 2);
    assert_int_equal(memo_fields(l, "pinned", WORKER_MEMO_SCRIPT), 1);
    assert_int_equal(memo_fields(l, "pinned", WORKER_MEMO_DEFAULTS), 1);
    assert_int_equal(memo_fields(l, "pinned", "why"), 1); /* the client's own */
    folder_script = NULL;
}

/* A vertical that nobody named is polled as soon as a script asks for it. */
static void test_new_vertical(void **state)
{
    _cleanup_json_ json_t *j =
        run(*state, "return function() return ff.activity('ok', {n = 1}, {vertical = 'other'}).summary end");
    assert_int_equal(json_i64(j, "got", 0), 1);
}

int main(void)
{
    struct spawner_options so = {.builtin = builtin};
    struct err err = {0};
    if (spawner_start(&so, &spawner, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_result, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_partial_marks_the_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_artifacts_and_objects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_objects_of_the_namespace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_target_of_the_namespace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_script_of_the_namespace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_script_that_only_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(test_children_keep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_runs_remember, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remembers_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hands_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checkpoint_survives_a_lost_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_reaches_the_module, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_does_not_wait_for_a_heartbeat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_terminate_does_not_wait_for_a_heartbeat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gives_back_what_it_ran, setup, teardown),
        cmocka_unit_test_setup_teardown(test_far_engine, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folders_are_clean, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_as_many_as_slots, setup, teardown),
        cmocka_unit_test_setup_teardown(test_brief_ones_make_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_polls_follow_the_load, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mended_script, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_pinned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_vertical, setup, teardown),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    spawner_free(spawner);
    return failed;
}
