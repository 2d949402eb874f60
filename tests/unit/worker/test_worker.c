/* The worker with a real engine, store and sandbox, and modules that do well, badly, and nothing at all. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "engine/embedded/embedded.h"
#include "os/clock.h"
#include "os/file.h"
#include "store/tree.h"
#include "worker/worker.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
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

/* Writes what is no text, and dies. */
static int run_noise(struct module_ctx *ctx, struct err *err)
{
    (void)ctx;
    (void)err;
    static const char noise[] = "first\nbad \xff\xc3 bytes\n";
    (void)!write(STDERR_FILENO, noise, sizeof noise - 1);
    _exit(3);
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
MODULE(noise, run_noise);
static const struct module *const modules[] = {&ok_module,       &fail_module,     &partial_module,
                                               &crash_module,    &checkpoint_module, &artifact_module,
                                               &reader_module,   &link_module,     &noise_module,    NULL};

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
    struct store_ref tree;
};

static atomic_int progress_seen;

static void on_event(void *arg, const struct worker_event *e)
{
    (void)arg;
    if (strcmp(e->type, "progress") == 0)
        progress_seen++;
}

static _Atomic(const char *) folder_script; /* what the toolbox has */

static int find_script(void *arg, const char *type, char **ret_script, size_t *ret_len, struct err *err)
{
    (void)arg;
    (void)type;
    *ret_script = mem_strdup(folder_script);
    *ret_len = *ret_script ? strlen(*ret_script) : 0;
    return *ret_script ? 0 : err_set(err, ERR_NOT_FOUND, "no workflow");
}

static void check(int r, const struct err *err)
{
    if (r < 0)
        fail_msg("%s", err->msg);
}

static void open_engine(struct lab *l)
{
    struct err err = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/state.db", l->dir);
    struct engine_embedded_options eo = {.path = path};
    check(engine_embedded_open(&eo, &l->engine, &err), &err);
}

static void start_worker(struct lab *l)
{
    static const char *const verticals[] = {"test", NULL};
    struct err err = {0};
    char scratch[4096];
    snprintf(scratch, sizeof scratch, "%s/tmp", l->dir);
    check(os_mkdirs(scratch, 0700, &err), &err);
    struct worker_options o = {.engine = l->engine, .store = l->store, .workspaces = l->workspaces, .spawner = spawner,
                               .modules = l->registry, .verticals = verticals, .scratch_dir = scratch,
                               .heartbeat_ms = 50, .activity_slots = 3, .on_event = on_event, .find_script = find_script};
    check(worker_start(&o, &l->worker, &err), &err);
}

static int setup(void **state)
{
    struct lab *l = mem_zalloc(sizeof *l);
    struct err err = {0};
    static const char *const none[] = {NULL};
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
    worker_stop(l->worker);
    engine_free(l->engine);
    workspaces_free(l->workspaces);
    store_free(l->store);
    module_registry_free(l->registry);
    assert_int_equal(os_remove_tree(l->dir, NULL), 0);
    free(l->dir);
    free(l);
    return 0;
}

/* Starts a script as a run of that id; NULL: one that is not pinned to a script. */
static void start(struct lab *l, const char *id, const char *script)
{
    struct err err = {0};
    struct store_ref ref = {0};
    if (script)
        check(store_put(l->store, script, strlen(script), "text/x-lua", &ref, &err), &err);
    Pb__StartWorkflowExecutionRequest r = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    Pb__Memo memo = PB__MEMO__INIT;
    Pb__Memo__FieldsEntry field = PB__MEMO__FIELDS_ENTRY__INIT, *fields[] = {&field};
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
    memo.n_fields = 1;
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
    engine_free_message(&entry.value->base);
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
        if (h && h->n_events) {
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
    worker_stop(l->worker); /* kills the module and tells nobody */
    engine_free(l->engine);
    open_engine(l);
    start_worker(l);
    _cleanup_json_ json_t *j = result_of(l, "cp");
    assert_int_equal(json_i64(json_object_get(j, "before"), "at", 0), 7);
}

static void test_cancel_reaches_the_module(void **state)
{
    struct lab *l = *state;
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

static void test_many_at_once(void **state)
{
    _cleanup_json_ json_t *j = run(*state, "return function()\n"
                                           "  local fs, sum = {}, 0\n"
                                           "  for i = 1, 40 do fs[i] = ff.start('ok', {n = i}) end\n"
                                           "  for _, r in ipairs(ff.all(fs)) do sum = sum + r.summary.got end\n"
                                           "  return {sum = sum}\nend");
    assert_int_equal(json_i64(j, "sum", 0), 820);
}

static int task_attempt(struct lab *l, const char *id)
{
    struct err err = {0};
    Pb__DescribeWorkflowExecutionRequest r = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    ProtobufCMessage *m;
    r.namespace_ = (char *)"default";
    ex.workflow_id = (char *)id;
    r.execution = &ex;
    check(engine_call_sync(l->engine, ENGINE_DESCRIBE, &r.base, 0, &m, &err), &err);
    const Pb__PendingWorkflowTaskInfo *t = ((Pb__DescribeWorkflowExecutionResponse *)m)->pending_workflow_task;
    int attempt = t ? t->attempt : 0;
    engine_free_message(m);
    return attempt;
}

/* A script that does not fit the history fails the task, again and again, but not the run; a mended one goes on. */
static void test_mended_script(void **state)
{
    struct lab *l = *state;
    int before = progress_seen;
    folder_script = "return function() ff.activity('ok', {n = 1}) ff.sleep('300ms')\n"
                    "  return {n = ff.activity('ok', {n = 2}).summary.got} end";
    start(l, "mend", NULL);
    for (int i = 0; i < 400 && progress_seen == before; i++)
        os_sleep_ms(5);
    worker_stop(l->worker);
    engine_free(l->engine);
    folder_script = "return function() ff.sleep('1h') return {} end";
    open_engine(l);
    start_worker(l);
    for (int i = 0; i < 2000 && task_attempt(l, "mend") < 4; i++)
        os_sleep_ms(10);
    assert_true(task_attempt(l, "mend") >= 4);
    folder_script = "return function() ff.activity('ok', {n = 1}) ff.sleep('300ms')\n"
                    "  return {n = 10 + ff.activity('ok', {n = 3}).summary.got} end";
    _cleanup_json_ json_t *j = result_of(l, "mend");
    assert_int_equal(json_i64(j, "n", 0), 13);
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
        cmocka_unit_test_setup_teardown(test_checkpoint_survives_a_lost_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_reaches_the_module, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mended_script, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_vertical, setup, teardown),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    spawner_free(spawner);
    return failed;
}
