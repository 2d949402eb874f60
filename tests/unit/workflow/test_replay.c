/* Replay: histories that do not fit, tasks that failed, instances that are behind, and long random stories in which a cached and a
 * fresh instance must agree at every task. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "fake_server.h"
#include "story.h"

#include <stdio.h>
#include <string.h>

/* Goes on with another script: what a mended or a broken workflow.lua does to a run in flight. */
static int switch_script(struct server *s, const char *script)
{
    s->script = script;
    s->keep_cache = false;
    return server_task(s);
}

static void expect_off_path(const char *before, const char *after, const char *words)
{
    struct server s;
    server_start(&s, before, NULL, NULL);
    server_task(&s);
    server_signal(&s, "wake", "1");
    assert_int_equal(switch_script(&s, after), WORKFLOW_TASK_FAILED);
    assert_int_equal(s.result.cause,
                     PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR);
    if (!strstr(s.result.failure->message, words))
        fail_msg("'%s' does not say '%s'", s.result.failure->message, words);
    assert_int_equal(s.result.commands_count, 0);
    assert_string_equal(s.result.failure->application_failure_info->type, "NonDeterministicError");
    /* a mended script lets it go on; the failed task is in history by now */
    assert_int_equal(switch_script(&s, before), WORKFLOW_TASK_COMPLETED);
    server_release(&s);
}

static void test_off_path(void **state)
{
    const char *a = "return function()\n  ff.activity('a')\nend";
    expect_off_path(a, "return function()\n\n  ff.activity('b')\nend",
                    "history event 5 is ActivityTaskScheduled 'a' with id 1, but the script at workflow.lua:3 asks for activity 1 'b'");
    expect_off_path(a, "return function()\n  ff.sleep(1)\nend",
                    "history event 5 is ActivityTaskScheduled 'a' with id 1, but the script at workflow.lua:2 asks for timer 1");
    expect_off_path(a, "return function()\n  ff.wait_signal('other')\nend",
                    "history event 5 is ActivityTaskScheduled 'a' with id 1, but the script asks for nothing there: it waits at workflow.lua:2");
    expect_off_path(a, "return function() return {} end",
                    "history event 5 is ActivityTaskScheduled 'a' with id 1, but the script asks for the end of the run");
    expect_off_path(a, "return function()\n  ff.start('a')\n  ff.activity('b')\nend",
                    "history event 6 is WorkflowExecutionSignaled, but the script at workflow.lua:3 asks for activity 2 'b', of which history knows nothing");
    expect_off_path("return function() ff.start('a') ff.activity('b') end", "return function() ff.activity('a') end",
                    "history event 6 is ActivityTaskScheduled 'b' with id 2, but the script asks for nothing there: it waits at workflow.lua:1");
    expect_off_path("return function() ff.child('x') end", "return function() ff.child('y') end",
                    "history event 5 is StartChildWorkflowExecutionInitiated 'x' with id wf-5c1c9a52-1, but");
    expect_off_path("return function() ff.patched('p') ff.sleep(5) end", "return function() ff.sleep(5) end",
                    "history event 5 is MarkerRecorded, but the script at workflow.lua:1 asks for timer 1");
    expect_off_path(a, "return function()\n while true do end end",
                    "but the script fails there: the script ran more than 5000000 instructions without waiting, at workflow.lua:2");
    expect_off_path(a, "return function() error('x') end", "but the script fails there: workflow.lua:1: x");
}

static void test_patched(void **state)
{
    const char *old = "return function() ff.activity('a') ff.activity('b') end";
    const char *new = "return function() if ff.patched('fast') then ff.activity('quick') else ff.activity('a') end "
                      "ff.activity('b') if ff.patched('late') then ff.activity('c') end return {p = ff.patched('fast')} end";
    struct server s;
    server_start(&s, old, NULL, NULL); /* began before the patch: takes the old path, and the new one where it is new */
    server_task(&s);
    s.script = new;
    s.keep_cache = false;
    server_complete(&s, "a", "{}");
    server_task(&s);
    server_complete(&s, "b", "{}");
    server_task(&s);
    assert_non_null(server_find(&s, "c"));
    server_complete(&s, "c", "{}");
    server_task(&s);
    assert_true(s.closed);
    assert_false(json_flag(s.final, "p", true));
    server_release(&s);
    server_start(&s, new, NULL, NULL);
    s.keep_cache = false;
    server_task(&s);
    assert_non_null(server_find(&s, "quick"));
    server_drain(&s, NULL);
    assert_true(json_flag(s.final, "p", false));
    server_release(&s);
}

static Pb__PollWorkflowTaskQueueResponse task_of(struct server *s, Pb__History *h, Pb__WorkflowExecution *x, size_t from);

/* What no script could have asked for in this order still ends in a message, and the instance can be used again. */
static void test_broken_history(void **state)
{
    struct server s;
    struct err err = {0};
    struct workflow_result r;
    Pb__History h;
    Pb__WorkflowExecution x;
    struct workflow *w;
    server_start(&s, "return function() ff.activity('a') end", NULL, NULL);
    server_task(&s);
    server_complete(&s, "a", NULL);
    s.events.v[2]->attributes_case = 0; /* WorkflowTaskStarted without its attributes */
    assert_int_equal(workflow_new(s.script, strlen(s.script), "workflow.lua", NULL, &w, &err), 0);
    Pb__PollWorkflowTaskQueueResponse task = task_of(&s, &h, &x, 0);
    task.query = &(Pb__WorkflowQuery)PB__WORKFLOW_QUERY__INIT;
    assert_int_equal(workflow_task(w, &task, NULL, 0, &r, &err), -ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "history event 3 (WorkflowTaskStarted) has no attributes of its type"));
    s.events.v[2]->attributes_case = PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_TASK_STARTED_EVENT_ATTRIBUTES;
    task.query->query_type = (char *)"__progress";
    assert_int_equal(workflow_task(w, &task, NULL, 0, &r, &err), 0);
    assert_int_equal(r.query_result->result_type, PB__QUERY_RESULT_TYPE__QUERY_RESULT_TYPE_ANSWERED);
    workflow_result_release(&r);
    workflow_free(w);
    server_release(&s);
}

static Pb__PollWorkflowTaskQueueResponse task_of(struct server *s, Pb__History *h, Pb__WorkflowExecution *x, size_t from)
{
    Pb__PollWorkflowTaskQueueResponse task;
    pb__poll_workflow_task_queue_response__init(&task);
    pb__workflow_execution__init(x);
    pb__history__init(h);
    x->workflow_id = (char *)"wf";
    x->run_id = (char *)"run-1";
    task.workflow_execution = x;
    task.history = h;
    task.previous_started_event_id = s->previous_started;
    h->events = s->events.v + from;
    h->n_events = s->events.len - from;
    return task;
}

/* An instance that is behind, ahead or absent asks for the whole history; a whole history always works. */
static void test_misfit(void **state)
{
    struct server s;
    struct err err = {0};
    struct workflow *w;
    struct workflow_result r;
    Pb__History h;
    Pb__WorkflowExecution x;
    server_start(&s, "return function() for i = 1, 5 do ff.activity('a') end end", NULL, NULL);
    for (int i = 0; i < 3; i++) {
        server_task(&s);
        server_complete(&s, "a", "{}");
    }
    server_event(&s, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_STARTED);
    Pb__WorkflowTaskStartedEventAttributes *a = malloc(sizeof *a);
    pb__workflow_task_started_event_attributes__init(a);
    s.events.v[s.events.len - 1]->attributes_case = PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_TASK_STARTED_EVENT_ATTRIBUTES;
    s.events.v[s.events.len - 1]->workflow_task_started_event_attributes = a;
    assert_int_equal(workflow_new(s.script, strlen(s.script), "workflow.lua", NULL, &w, &err), 0);
    Pb__PollWorkflowTaskQueueResponse task = task_of(&s, &h, &x, (size_t)s.previous_started);
    assert_int_equal(workflow_task(w, &task, NULL, 0, &r, &err), -ERR_STATE); /* absent */
    task = task_of(&s, &h, &x, 0);
    assert_int_equal(workflow_task(w, &task, NULL, 0, &r, &err), 0);
    assert_int_equal(r.commands_count, 1);
    workflow_result_release(&r);
    assert_int_equal(workflow_last_event_id(w), s.events.len);
    task = task_of(&s, &h, &x, (size_t)s.previous_started); /* ahead: the same task again */
    assert_int_equal(workflow_task(w, &task, NULL, 0, &r, &err), -ERR_STATE);
    task = task_of(&s, &h, &x, 0);
    assert_int_equal(workflow_task(w, &task, NULL, 0, &r, &err), 0); /* the whole: starts over */
    assert_int_equal(r.commands_count, 1);
    workflow_result_release(&r);
    h.events++; /* a gap at the front */
    h.n_events--;
    assert_int_equal(workflow_task(w, &task, NULL, 0, &r, &err), -ERR_STATE);
    s.events.v[4]->event_id = 77;
    task = task_of(&s, &h, &x, 0);
    assert_int_equal(workflow_task(w, &task, NULL, 0, &r, &err), -ERR_CORRUPT);
    s.events.v[4]->event_id = 5;
    h.n_events--; /* no WorkflowTaskStarted at its end */
    assert_int_equal(workflow_task(w, &task, NULL, 0, &r, &err), -ERR_CORRUPT);
    workflow_free(w);
    server_release(&s);
}

/* A task that was answered but not accepted: its Failed event follows where Completed is expected. */
static void test_not_accepted(void **state)
{
    struct server s;
    server_start(&s, "return function() local n = 0 ff.on_signal('s', function() n = n + 1 end) ff.activity('a') return {n = n} end",
                 NULL, NULL);
    server_task(&s);
    server_complete(&s, "a", "{}");
    /* the worker answers with CompleteWorkflowExecution; a signal came meanwhile: UnhandledCommand */
    struct server *p = &s;
    Pb__HistoryEvent *started = server_event(p, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_STARTED);
    started->workflow_task_started_event_attributes = malloc(sizeof(Pb__WorkflowTaskStartedEventAttributes));
    pb__workflow_task_started_event_attributes__init(started->workflow_task_started_event_attributes);
    started->attributes_case = PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_TASK_STARTED_EVENT_ATTRIBUTES;
    Pb__History h;
    Pb__WorkflowExecution x;
    struct workflow_result r;
    struct err err = {0};
    Pb__PollWorkflowTaskQueueResponse task = task_of(&s, &h, &x, (size_t)s.previous_started);
    assert_int_equal(workflow_task(s.cached, &task, NULL, 0, &r, &err), 0);
    assert_int_equal(r.commands[0]->command_type, PB__COMMAND_TYPE__COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION);
    workflow_result_release(&r);
    Pb__HistoryEvent *failed = server_event(p, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_FAILED);
    failed->workflow_task_failed_event_attributes = malloc(sizeof(Pb__WorkflowTaskFailedEventAttributes));
    pb__workflow_task_failed_event_attributes__init(failed->workflow_task_failed_event_attributes);
    failed->attributes_case = PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_TASK_FAILED_EVENT_ATTRIBUTES;
    s.task_scheduled = false;
    server_signal(&s, "s", "1");
    task = task_of(&s, &h, &x, (size_t)s.previous_started);
    s.keep_cache = false;
    server_task(&s); /* with the whole history: the signal counts */
    assert_true(s.closed);
    assert_int_equal(json_i64(s.final, "n", -1), 1);
    server_release(&s);
}

/* FF_WRITE_SEEDS=FOLDER: tasks of the stories become seeds of tests/fuzz/fuzz_history.c. */
static void write_seed(struct server *s, unsigned seed, int tasks)
{
    const char *dir = getenv("FF_WRITE_SEEDS");
    if (!dir || seed > 12 || tasks % 3)
        return;
    Pb__History h;
    Pb__WorkflowExecution x;
    Pb__PollWorkflowTaskQueueResponse task = task_of(s, &h, &x, 0);
    while (h.n_events && h.events[h.n_events - 1]->event_type != PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_STARTED)
        h.n_events--;
    char path[300];
    snprintf(path, sizeof path, "%s/story_%u_%d", dir, seed, tasks);
    uint8_t *p;
    size_t n;
    assert_int_equal(pbx_pack(&task.base, &p, &n, NULL), 0);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
    free(p);
}

/* Many random stories. The script uses everything; the server acts at random. */
static uint64_t rnd;
static unsigned pick(unsigned n)
{
    rnd = rnd * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(rnd >> 33) % n;
}

static void act(struct server *s)
{
    if (pick(6) == 0)
        server_signal(s, pick(2) ? "poke" : "go", "2");
    if (pick(60) == 0)
        server_cancel(s);
    if (pick(3) == 0)
        server_ack_cancels(s);
    if (s->pending.len == 0)
        return;
    struct pending *p = &s->pending.v[pick((unsigned)s->pending.len)];
    if (p->kind == PENDING_TIMER)
        server_fire(s, p->id);
    else if (pick(5) == 0)
        server_fail(s, p->kind == PENDING_CHILD ? p->id : p->name, "Random", "bad luck");
    else
        server_complete(s, p->kind == PENDING_CHILD ? p->id : p->name, pick(8) ? "{\"status\":\"success\"}" : "{\"status\":\"partial\"}");
}

static void test_stories(void **state)
{
    unsigned stories = getenv("FF_STORIES") ? (unsigned)atoi(getenv("FF_STORIES")) : 150;
    int closed = 0, tasks = 0;
    for (unsigned seed = 1; seed <= stories; seed++) {
        struct server s;
        rnd = seed;
        server_start(&s, story, NULL, "{\"vertical\":\"v\"}");
        for (int i = 0; i < 200 && !s.closed; i++) {
            if (s.task_scheduled && pick(3)) {
                s.keep_cache = pick(4) > 0; /* the cache is lost now and then */
                if (server_task(&s) == WORKFLOW_TASK_FAILED)
                    fail_msg("seed %u: %s", seed, s.result.failure->message);
                tasks++;
                write_seed(&s, seed, tasks);
                if (pick(4) == 0 && !s.closed)
                    free(server_query(&s, "got", NULL));
            } else {
                act(&s);
            }
        }
        closed += s.closed;
        server_release(&s);
    }
    assert_true(closed > 100);
    assert_true(tasks > 700);
}

/* Each allocation of ours fails in turn while a short story runs: an error or a failed run, never a crash, never a leak. */
static void test_memory_faults(void **state)
{
    static const char script[] = "return function() ff.log('x') local r = ff.activity('a', {x = 1}, {retry = {non_retryable = {'E'}}, resources = {cpu = 1}}) "
                                 "ff.progress(1) ff.start_child('c') ff.patched('p') ff.sleep(1) end";
    struct server s;
    Pb__History h;
    Pb__WorkflowExecution x;
    server_start(&s, script, NULL, "{\"vertical\":\"v\"}");
    server_task(&s);
    server_complete(&s, "a", "{\"status\":\"success\"}");
    Pb__HistoryEvent *started = server_event(&s, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_STARTED);
    started->workflow_task_started_event_attributes = malloc(sizeof(Pb__WorkflowTaskStartedEventAttributes));
    pb__workflow_task_started_event_attributes__init(started->workflow_task_started_event_attributes);
    started->attributes_case = PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_TASK_STARTED_EVENT_ATTRIBUTES;
    long n = 1;
    for (;; n++) {
        struct workflow *w = NULL;
        struct workflow_result r = {0};
        struct err err = {0};
        Pb__PollWorkflowTaskQueueResponse task = task_of(&s, &h, &x, 0);
        mem_fault_set(n, 0);
        int c = workflow_new(script, strlen(script), "workflow.lua", NULL, &w, &err);
        if (c == 0)
            c = workflow_task(w, &task, NULL, 0, &r, &err);
        bool hit = mem_fault_hit();
        mem_fault_set(0, 0);
        if (c < 0)
            assert_int_equal(c, -ERR_NO_MEMORY);
        else
            workflow_result_release(&r);
        if (hit && c == 0)
            assert_int_equal(r.outcome, WORKFLOW_TASK_COMPLETED);
        workflow_free(w);
        if (!hit) {
            assert_int_equal(c, 0);
            break;
        }
        assert_true(n < 2000);
    }
    assert_true(n > 30);
    server_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off_path), cmocka_unit_test(test_patched), cmocka_unit_test(test_misfit), cmocka_unit_test(test_broken_history),
        cmocka_unit_test(test_not_accepted), cmocka_unit_test(test_stories), cmocka_unit_test(test_memory_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
