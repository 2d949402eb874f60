/* What a submission leaves in the store when its start is refused, and when nobody knows what came of it. */
#include "api/service/submit.h"

#include "api/service/control.h"
#include "base/units.h"
#include "codec/pbx.h"
#include "os/clock.h"
#include "os/file.h"
#include "store/owned.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* An engine whose answers are these; ERR_OK: it does what is asked. */
static struct {
    enum err_code start, describe;
    bool starts; /* though it may say otherwise */
    bool there;
    bool no_namespace; /* of all that it does not find */
    int64_t ended_s; /* when the run that is there ended; 0: it goes on */
} says;

static void describe_run(Pb__DescribeWorkflowExecutionResponse *d)
{
    Pb__WorkflowExecutionInfo *i = d->workflow_execution_info = calloc(1, sizeof *i);
    pb__workflow_execution_info__init(i);
    i->execution = calloc(1, sizeof *i->execution);
    pb__workflow_execution__init(i->execution);
    i->execution->workflow_id = strdup("one");
    i->execution->run_id = strdup("execution");
    i->start_time = pbx_timestamp(1);
    i->close_time = says.ended_s ? pbx_timestamp(says.ended_s * NS_PER_S) : NULL;
    i->status = says.ended_s ? PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_COMPLETED
                             : PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_RUNNING;
}

static void call(struct engine *e, enum engine_method m, const ProtobufCMessage *req, int64_t timeout_ms, engine_done *done,
                 void *arg)
{
    (void)e;
    (void)req;
    (void)timeout_ms;
    struct err err = {0};
    enum err_code code = m == ENGINE_START_WORKFLOW ? says.start : says.describe;
    if (m == ENGINE_START_WORKFLOW)
        says.there = says.there || says.starts;
    else if (!code && !says.there)
        code = ERR_NOT_FOUND;
    if (code)
        err_set(&err, code, "it says so");
    ProtobufCMessage *answer = NULL;
    if (!code) {
        const ProtobufCMessageDescriptor *d = engine_method_info(m)->response;
        answer = calloc(1, d->sizeof_message);
        protobuf_c_message_init(d, answer);
        if (m == ENGINE_DESCRIBE)
            describe_run((Pb__DescribeWorkflowExecutionResponse *)answer);
    }
    if (code == ERR_NOT_FOUND && says.no_namespace) {
        answer = calloc(1, pb__error_detail_namespace_not_found__descriptor.sizeof_message);
        protobuf_c_message_init(&pb__error_detail_namespace_not_found__descriptor, answer);
    }
    done(arg, answer, &err);
}

static const struct engine_ops ops = {.name = "says", .call = call};

/* Is the script kept for the run afterwards? name: NULL, it has none. */
static bool keeps_as(const char *name, enum err_code start, enum err_code describe, bool starts)
{
    struct engine engine = {&ops};
    struct service svc = {.engine = &engine};
    struct workflow_def def = {.name = (char *)"w", .version = (char *)"1", .vertical = (char *)"python",
                               .isolation = (char *)"isolated", .script = (char *)"return {}", .script_len = 9};
    struct submission s = SUBMISSION_INIT;
    struct err err = {0};
    bool kept = false;
    says.start = start;
    says.describe = describe;
    says.starts = starts;
    says.there = false;
    assert_int_equal(store_open_memory(&svc.store, &err), 0);
    def.resources = json_object();
    s.def = &def;
    s.parameters = json_object();
    os_ulid(s.id);
    s.fresh = true;
    if (name)
        assert_int_equal(submission_name(&s, name, &err), 0);
    bool unknown = start == ERR_NOT_FOUND && says.no_namespace; /* where it would be started: not the user's fault */
    assert_int_equal(submission_start(&svc, &s, &err), unknown ? -ERR_UNAVAILABLE : -(int)start);
    char *owner = store_run_owner("default", s.id);
    assert_int_equal(store_pinned(svc.store, owner, s.script.text, &kept, &err), 0);
    free(owner);
    s.def = NULL;
    submission_release(&s);
    json_decref(def.resources);
    store_free(svc.store);
    return kept;
}

static bool keeps(enum err_code start, enum err_code describe, bool starts)
{
    return keeps_as(NULL, start, describe, starts);
}

static void test_started(void **state)
{
    (void)state;
    assert_true(keeps(ERR_OK, ERR_OK, true));
}

static void test_refused(void **state)
{
    (void)state;
    assert_false(keeps(ERR_INVALID, ERR_OK, false));
    assert_false(keeps(ERR_PERMISSION, ERR_OK, false));
    assert_true(keeps(ERR_INVALID, ERR_OK, true));           /* another's, of that name */
    assert_true(keeps(ERR_INVALID, ERR_UNAVAILABLE, false)); /* perhaps another's */
    assert_true(keeps(ERR_EXISTS, ERR_OK, true));
    assert_true(keeps_as("one", ERR_INVALID, ERR_OK, false)); /* another of that name may start in the next moment */
}

static void test_unknown(void **state)
{
    (void)state;
    static const enum err_code lost[] = {ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_CANCELLED, ERR_FAILED, ERR_INTERNAL};
    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++) {
        assert_true(keeps(lost[i], lost[i], true));     /* it runs, and cannot be looked at */
        assert_true(keeps(lost[i], ERR_OK, true));
        assert_true(keeps(lost[i], ERR_OK, false));     /* not yet: what was sent may arrive later */
    }
}

/* A cluster that has just begun does not know its namespaces yet: that is no word about a run. */
static void test_no_namespace(void **state)
{
    (void)state;
    says.no_namespace = true;
    assert_true(keeps(ERR_NOT_FOUND, ERR_NOT_FOUND, true));
    says.no_namespace = false;
    assert_false(keeps(ERR_NOT_FOUND, ERR_NOT_FOUND, false));
}

/* Asked again with its key, while the engine does not answer, it is not another's. */
static void test_made_before(void **state)
{
    (void)state;
    struct engine engine = {&ops};
    struct service svc = {.engine = &engine};
    struct submission s = SUBMISSION_INIT;
    struct run_info run;
    struct err err = {0};
    says.there = false;
    says.describe = ERR_UNAVAILABLE;
    assert_int_equal(submission_made(&svc, &s, &run, &err), 0); /* it has none */
    strcpy(s.key, "key");
    assert_int_equal(submission_made(&svc, &s, &run, &err), -ERR_UNAVAILABLE);
    says.describe = ERR_OK;
    assert_int_equal(submission_made(&svc, &s, &run, &err), 0);
}

static int nothing(struct module_ctx *ctx, struct err *err)
{
    (void)ctx;
    (void)err;
    return 0;
}

/* What is read for a run that is about to start is not collected in between. */
static void test_collected_meanwhile(void **state)
{
    (void)state;
    static const struct module m = {.name = "m", .version = "1", .description = "a test's", .run = nothing};
    static const struct module *const list[] = {&m, NULL};
    static const char *const none[] = {NULL};
    struct module_registry *modules = NULL;
    struct submission s = SUBMISSION_INIT;
    struct store_object_info info;
    struct store_gc_result g;
    struct store_ref ref;
    struct err err = {0};
    struct service svc = {0};
    assert_int_equal(module_registry_new(list, none, &modules, &err), 0);
    assert_int_equal(store_open_memory(&svc.store, &err), 0);
    svc.modules = modules;
    assert_int_equal(submission_init_module(&svc, "m", &s, &err), 0);
    assert_int_equal(store_put(svc.store, "target", 6, NULL, &ref, &err), 0);
    os_sleep_ms(2);
    assert_int_equal(store_gc(svc.store, 0, false, &g, &err), 0);
    assert_int_equal(store_stat(svc.store, ref.text, &info, &err), 0);
    submission_release(&s);
    os_sleep_ms(2);
    assert_int_equal(store_gc(svc.store, 0, false, &g, &err), 0);
    assert_int_equal(store_stat(svc.store, ref.text, &info, &err), -ERR_NOT_FOUND);
    module_registry_free(modules);
    store_free(svc.store);
}

/* Is what an old execution kept let go of? */
static bool lets_go(bool there, enum err_code describe, int64_t ended_s, int want)
{
    struct engine engine = {&ops};
    struct service svc = {.engine = &engine};
    struct workspaces_options wo = {0};
    struct store_ref ref;
    struct err err = {0};
    char *dir = NULL;
    bool kept = false, removed = false;
    says.there = there;
    says.describe = describe;
    says.ended_s = ended_s;
    assert_int_equal(os_temp_dir("/tmp", "ff-submit-", &dir, NULL), 0);
    wo.dir = dir;
    assert_int_equal(store_open_memory(&svc.store, &err), 0);
    assert_int_equal(workspaces_open(svc.store, &wo, &svc.workspaces, &err), 0);
    assert_int_equal(store_put(svc.store, "x", 1, NULL, &ref, &err), 0);
    assert_int_equal(store_pin(svc.store, "run/one", ref.text, 0, &err), 0);
    assert_int_equal(run_delete_old(&svc, "one", "earlier", 100 * NS_PER_S, &removed, &err), want);
    assert_int_equal(store_pinned(svc.store, "run/one", ref.text, &kept, &err), 0);
    assert_true(removed || kept);
    workspaces_free(svc.workspaces);
    store_free(svc.store);
    (void)os_remove_tree(dir, NULL);
    free(dir);
    return !kept;
}

static void test_old_runs(void **state)
{
    (void)state;
    assert_true(lets_go(true, ERR_OK, 99, 0));
    assert_true(lets_go(false, ERR_OK, 0, 0));                            /* gone meanwhile */
    assert_false(lets_go(true, ERR_OK, 0, 0));                            /* started again since it was listed */
    assert_false(lets_go(true, ERR_OK, 101, 0));                          /* and over again */
    assert_false(lets_go(true, ERR_UNAVAILABLE, 99, -ERR_UNAVAILABLE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_started),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_no_namespace),
        cmocka_unit_test(test_made_before),
        cmocka_unit_test(test_old_runs),
        cmocka_unit_test(test_collected_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
