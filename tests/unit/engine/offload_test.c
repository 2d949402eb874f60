/* Large payloads: in the store, a reference in history, and whole again for whoever reads. */
#include "engine/offload/offload.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "engine/embedded/embedded.h"
#include "os/clock.h"
#include "os/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define LARGE ((size_t)1 << 20)

struct lab {
    struct store *store;
    struct engine *inner, *outer;
};

static int setup(void **state)
{
    static struct lab l;
    struct err err = {0};
    struct engine_embedded_options o = {.path = ":memory:"};
    assert_int_equal(store_open_memory(&l.store, &err), 0);
    assert_int_equal(engine_embedded_open(&o, &l.inner, &err), 0);
    assert_int_equal(engine_offload_new(l.inner, l.store, &l.outer, &err), 0);
    *state = &l;
    return 0;
}

static int teardown(void **state)
{
    struct lab *l = *state;
    engine_free(l->outer);
    store_free(l->store);
    return 0;
}

static Pb__Payloads *text_payload(size_t n, char letter)
{
    _cleanup_free_ char *s = mem_alloc(n + 1);
    memset(s, letter, n);
    s[n] = 0;
    _cleanup_json_ json_t *j = json_string(s);
    return pbx_json_payloads(j);
}

static Pb__TaskQueue *queue(void)
{
    static Pb__TaskQueue q;
    pb__task_queue__init(&q);
    q.name = (char *)"q";
    return &q;
}

static int start(struct engine *e, const char *id, Pb__Payloads *input, struct err *err)
{
    Pb__StartWorkflowExecutionRequest r = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    type.name = (char *)"t";
    r.namespace_ = (char *)"default";
    r.workflow_id = (char *)id;
    r.workflow_type = &type;
    r.task_queue = queue();
    r.input = input;
    int x = engine_call_sync(e, ENGINE_START_WORKFLOW, &r.base, 0, NULL, err);
    engine_free_message(&input->base);
    return x;
}

static Pb__PollWorkflowTaskQueueResponse *poll_task(struct engine *e)
{
    Pb__PollWorkflowTaskQueueRequest r = PB__POLL_WORKFLOW_TASK_QUEUE_REQUEST__INIT;
    struct err err = {0};
    ProtobufCMessage *m;
    r.namespace_ = (char *)"default";
    r.task_queue = queue();
    assert_int_equal(engine_call_sync(e, ENGINE_POLL_WORKFLOW_TASK, &r.base, 5000, &m, &err), 0);
    assert_true(((Pb__PollWorkflowTaskQueueResponse *)m)->task_token.len > 0);
    return (Pb__PollWorkflowTaskQueueResponse *)m;
}

/* The answer that holds the history. */
static ProtobufCMessage *history(struct engine *e, const char *id, const Pb__History **ret)
{
    Pb__GetWorkflowExecutionHistoryRequest r = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    struct err err = {0};
    ProtobufCMessage *m;
    x.workflow_id = (char *)id;
    r.namespace_ = (char *)"default";
    r.execution = &x;
    assert_int_equal(engine_call_sync(e, ENGINE_GET_HISTORY, &r.base, 0, &m, &err), 0);
    *ret = ((Pb__GetWorkflowExecutionHistoryResponse *)m)->history;
    return m;
}

static const Pb__Payload *input_of(const Pb__History *h)
{
    return h->events[0]->workflow_execution_started_event_attributes->input->payloads[0];
}

static size_t is_text(const Pb__Payload *p, char letter)
{
    for (size_t i = 1; i + 1 < p->data.len; i++)
        assert_int_equal(p->data.data[i], letter);
    return p->data.len - 2;
}

static void large_ones_go_and_come_back(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    const Pb__History *h;
    assert_int_equal(start(l->outer, "a", text_payload(LARGE, 'x'), &err), 0);
    ProtobufCMessage *m = history(l->inner, "a", &h);
    const Pb__Payload *p = input_of(h);
    assert_true(p->data.len < 200);
    _cleanup_json_ json_t *shown = NULL, *refused = NULL;
    assert_int_equal(pbx_payload_json(p, &refused, &err), -ERR_NOT_FOUND); /* who knows nothing of objects is not misled */
    assert_int_equal(json_parse((const char *)p->data.data, p->data.len, 1000, &shown, &err), 0);
    assert_int_equal(json_i64(shown, "bytes", 0), LARGE + 2);
    const char *ref = json_str(shown, "ref", "");
    assert_int_equal(store_remove(l->store, ref, &err), -ERR_STATE); /* pinned, by the run */
    assert_non_null(strstr(err.msg, "run/a"));
    engine_free_message(m);
    m = history(l->outer, "a", &h);
    assert_int_equal(is_text(input_of(h), 'x'), LARGE);
    assert_int_equal(input_of(h)->n_metadata, 1);
    engine_free_message(m);
}

static void small_ones_stay(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    const Pb__History *h;
    assert_int_equal(start(l->outer, "a", text_payload(OFFLOAD_PAYLOAD_MAX - 2, 'x'), &err), 0);
    ProtobufCMessage *m = history(l->inner, "a", &h);
    assert_int_equal(is_text(input_of(h), 'x'), OFFLOAD_PAYLOAD_MAX - 2);
    engine_free_message(m);
}

static void another_encoding_comes_back(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    const Pb__History *h;
    Pb__Payloads *in = text_payload(LARGE, 'x');
    free(in->payloads[0]->metadata[0]->value.data);
    in->payloads[0]->metadata[0]->value = (ProtobufCBinaryData){12, mem_dup("binary/plain", 12)};
    assert_int_equal(start(l->outer, "a", in, &err), 0);
    ProtobufCMessage *m = history(l->outer, "a", &h);
    assert_int_equal(is_text(input_of(h), 'x'), LARGE);
    assert_int_equal(input_of(h)->n_metadata, 1);
    assert_memory_equal(input_of(h)->metadata[0]->value.data, "binary/plain", 12);
    engine_free_message(m);
}

/* A task's answer of n inputs, each of bytes. */
static int complete(struct lab *l, size_t n, size_t bytes, struct err *err)
{
    Pb__PollWorkflowTaskQueueResponse *t = poll_task(l->outer);
    Pb__RespondWorkflowTaskCompletedRequest r = PB__RESPOND_WORKFLOW_TASK_COMPLETED_REQUEST__INIT;
    Pb__Command *list[2000], *k = calloc(n, sizeof *k);
    Pb__RecordMarkerCommandAttributes *a = calloc(n, sizeof *a);
    Pb__RecordMarkerCommandAttributes__DetailsEntry *d = calloc(n, sizeof *d), **dl = calloc(n, sizeof *dl);
    Pb__Payloads *in = text_payload(bytes, 'y');
    for (size_t i = 0; i < n; i++) {
        pb__command__init(&k[i]);
        pb__record_marker_command_attributes__init(&a[i]);
        pb__record_marker_command_attributes__details_entry__init(&d[i]);
        k[i].command_type = PB__COMMAND_TYPE__COMMAND_TYPE_RECORD_MARKER;
        k[i].attributes_case = PB__COMMAND__ATTRIBUTES_RECORD_MARKER_COMMAND_ATTRIBUTES;
        k[i].record_marker_command_attributes = &a[i];
        a[i].marker_name = (char *)"m";
        a[i].details = &dl[i];
        a[i].n_details = 1;
        dl[i] = &d[i];
        d[i].key = (char *)"k";
        d[i].value = in;
        list[i] = &k[i];
    }
    r.namespace_ = (char *)"default";
    r.task_token = t->task_token;
    r.commands = list;
    r.n_commands = n;
    int x = engine_call_sync(l->outer, ENGINE_COMPLETE_WORKFLOW_TASK, &r.base, 0, NULL, err);
    engine_free_message(&in->base);
    engine_free_message(&t->base);
    free(k);
    free(a);
    free(d);
    free(dl);
    return x;
}

static void a_large_request_is_made_to_fit(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    const Pb__History *h;
    assert_int_equal(start(l->outer, "a", text_payload(10, 'x'), &err), 0);
    assert_int_equal(complete(l, 500, 20000, &err), 0); /* 10 MB, none of them large */
    ProtobufCMessage *m = history(l->inner, "a", &h);
    assert_true(protobuf_c_message_get_packed_size(m) < 1 << 20);
    engine_free_message(m);
    m = history(l->outer, "a", &h);
    const Pb__HistoryEvent *last = h->events[h->n_events - 1];
    assert_int_equal(is_text(last->marker_recorded_event_attributes->details[0]->value->payloads[0], 'y'), 20000);
    engine_free_message(m);
}

static void what_cannot_be_made_to_fit_is_refused(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    assert_int_equal(start(l->outer, "a", text_payload(10, 'x'), &err), 0);
    assert_int_equal(complete(l, 2000, 3000, &err), -ERR_LIMIT);
    assert_non_null(strstr(err.msg, "RespondWorkflowTaskCompletedRequest"));
}

static void what_a_task_gives_is_pinned_by_its_run(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    const Pb__History *h;
    assert_int_equal(start(l->outer, "the-run", text_payload(10, 'x'), &err), 0);
    assert_int_equal(complete(l, 1, LARGE, &err), 0);
    ProtobufCMessage *m = history(l->inner, "the-run", &h);
    const Pb__Payload *p = h->events[h->n_events - 1]->marker_recorded_event_attributes->details[0]->value->payloads[0];
    _cleanup_json_ json_t *shown = NULL;
    assert_int_equal(json_parse((const char *)p->data.data, p->data.len, 1000, &shown, &err), 0);
    assert_int_equal(store_remove(l->store, json_str(shown, "ref", ""), &err), -ERR_STATE);
    assert_non_null(strstr(err.msg, "run/the-run"));
    engine_free_message(m);
}

static void an_object_that_is_gone_leaves_its_reference(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    const Pb__History *h;
    assert_int_equal(start(l->outer, "a", text_payload(LARGE, 'x'), &err), 0);
    assert_int_equal(store_unpin_owner(l->store, "run/a", &err), 0);
    ProtobufCMessage *m = history(l->inner, "a", &h);
    _cleanup_json_ json_t *shown = NULL, *value = NULL;
    assert_int_equal(json_parse((const char *)input_of(h)->data.data, input_of(h)->data.len, 1000, &shown, &err), 0);
    assert_int_equal(store_remove(l->store, json_str(shown, "ref", ""), &err), 0);
    engine_free_message(m);
    m = history(l->outer, "a", &h);
    assert_int_equal(pbx_payload_json(input_of(h), &value, &err), -ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, json_str(shown, "ref", "?")));
    engine_free_message(m);
}

/* That the store cannot be asked says nothing about what it has. */
static void a_store_that_is_away_is_not_an_empty_one(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    const Pb__History *h;
    json_t *value = NULL;
    assert_int_equal(start(l->outer, "a", text_payload(LARGE, 'x'), &err), 0);
    os_fault_set(1, EHOSTUNREACH, true, "read");
    ProtobufCMessage *m = history(l->outer, "a", &h);
    assert_true(os_fault_hit());
    os_fault_set(0, 0, false, NULL);
    assert_int_equal(pbx_payload_json(input_of(h), &value, &err), -ERR_UNAVAILABLE);
    engine_free_message(m);
    m = history(l->outer, "a", &h);
    assert_int_equal(is_text(input_of(h), 'x'), LARGE);
    assert_int_equal(input_of(h)->n_metadata, 1);
    engine_free_message(m);
}

struct waiting {
    atomic_int count;
    int code;
};

static void poll_done(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct waiting *w = arg;
    w->code = err->code;
    engine_free_message(resp);
    atomic_fetch_add(&w->count, 1);
}

static void done_with(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    engine_free_message(resp);
    atomic_store((atomic_int *)arg, err->code ? err->code : -1);
}

static int64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Who calls does not do the store's work, which may take as long as a network: heartbeats go out meanwhile. */
static void the_store_does_not_hold_up_the_caller(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    struct store_ref ref;
    Pb__StartWorkflowExecutionRequest r = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    atomic_int done = 0;
    type.name = (char *)"t";
    r.namespace_ = (char *)"default";
    r.workflow_id = (char *)"huge";
    r.workflow_type = &type;
    r.task_queue = queue();
    r.input = text_payload((size_t)24 << 20, 'h');
    int64_t before = thread_cpu_ns();
    engine_call(l->outer, ENGINE_START_WORKFLOW, &r.base, 0, done_with, &done);
    int64_t took = thread_cpu_ns() - before;
    while (!atomic_load(&done))
        os_sleep_ms(1);
    assert_int_equal(done, -1);
    const ProtobufCBinaryData *d = &r.input->payloads[0]->data;
    before = thread_cpu_ns();
    assert_int_equal(store_put(l->store, d->data, d->len, "text/plain", &ref, &err), 0);
    assert_true(took < (thread_cpu_ns() - before) / 2);
    engine_free_message(&r.input->base);
    const Pb__History *h;
    ProtobufCMessage *m = history(l->inner, "huge", &h);
    assert_true(input_of(h)->data.len < 1000);
    engine_free_message(m);
}

static void polls_are_cancelled_and_drained(void **state)
{
    struct lab *l = *state;
    struct waiting one = {0}, two = {0};
    Pb__PollWorkflowTaskQueueRequest r = PB__POLL_WORKFLOW_TASK_QUEUE_REQUEST__INIT;
    r.namespace_ = (char *)"default";
    r.task_queue = queue();
    engine_call(l->outer, ENGINE_POLL_WORKFLOW_TASK, &r.base, 30000, poll_done, &one);
    engine_call(l->outer, ENGINE_POLL_WORKFLOW_TASK, &r.base, 30000, poll_done, &two);
    engine_cancel(l->outer, poll_done, &one);
    for (int i = 0; i < 5000 && !one.count; i++)
        os_sleep_ms(1);
    assert_int_equal(one.count, 1);
    assert_int_equal(one.code, ERR_CANCELLED);
    assert_int_equal(two.count, 0);
    engine_drain(l->outer);
    for (int i = 0; i < 5000 && !two.count; i++)
        os_sleep_ms(1);
    assert_int_equal(two.count, 1);
    engine_cancel(l->outer, poll_done, &two); /* too late: nothing */
}

/* The store looks whether it has all of it, and that it has not is no error of the call's. */
static void one_that_begins_like_another(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    assert_int_equal(start(l->outer, "a", text_payload(LARGE, 'x'), &err), 0);
    assert_int_equal(start(l->outer, "b", text_payload(LARGE + 1, 'x'), &err), 0);
    const Pb__History *h;
    ProtobufCMessage *m = history(l->outer, "b", &h);
    assert_int_equal(is_text(input_of(h), 'x'), LARGE + 1);
    engine_free_message(m);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(large_ones_go_and_come_back),
        CASE(one_that_begins_like_another),
        CASE(small_ones_stay),
        CASE(another_encoding_comes_back),
        CASE(a_large_request_is_made_to_fit),
        CASE(what_cannot_be_made_to_fit_is_refused),
        CASE(what_a_task_gives_is_pinned_by_its_run),
        CASE(an_object_that_is_gone_leaves_its_reference),
        CASE(a_store_that_is_away_is_not_an_empty_one),
        CASE(the_store_does_not_hold_up_the_caller),
        CASE(polls_are_cancelled_and_drained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
