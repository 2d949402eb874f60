/* What a submission leaves in the store when its start is refused, and when nobody knows what came of it. */
#include "api/service/submit.h"

#include "os/clock.h"
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
} says;

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
    assert_int_equal(submission_start(&svc, &s, &err), -(int)start);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_started),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_made_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
