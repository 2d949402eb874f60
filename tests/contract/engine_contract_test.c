/* The contract of an engine: what every implementation of engine.h does. Each case is a small story, told through the
 * worker of lab.h, with the history it must leave. Times are real, so waits are short and bounds generous. */
#include "lab.h"

#include "engine/embedded/embedded.h"
#include "os/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define START "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted "
#define TASK "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted "
#define STATUS(NAME) PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_##NAME
#define EVENT(NAME) PB__EVENT_TYPE__EVENT_TYPE_##NAME

/* The engines under test. */
static struct engine *open_embedded(void)
{
    struct engine_embedded_options o = {.path = ":memory:"};
    struct engine *e = NULL;
    struct err err = {0};
    if (engine_embedded_open(&o, &e, &err) < 0)
        fail_msg("open: %s", err.msg);
    return e;
}

static int set_up(void **state)
{
    static struct lab lab;
    lab = (struct lab){.engine = open_embedded()};
    *state = &lab;
    return 0;
}

static int tear_down(void **state)
{
    struct lab *l = *state;
    lab_clean();
    engine_free(l->engine);
    return 0;
}

static void completes_a_workflow(void **state)
{
    struct lab *l = *state;
    const char *run = lab_start(l, &(struct lab_start){.id = "a", .input = "{\"x\":1}", .memo = "\"m\""});
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    assert_string_equal(t->workflow_execution->workflow_id, "a");
    assert_string_equal(t->workflow_execution->run_id, run);
    assert_string_equal(t->workflow_type->name, "wf");
    assert_int_equal(t->attempt, 1);
    assert_int_equal(t->previous_started_event_id, 0);
    assert_int_equal(t->started_event_id, 3);
    assert_string_equal(lab_events_text(t->history),
                        "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted");
    const Pb__WorkflowExecutionStartedEventAttributes *s =
        t->history->events[0]->workflow_execution_started_event_attributes;
    assert_string_equal(lab_text(s->input), "{\"x\":1}");
    assert_int_equal(s->attempt, 1);
    assert_string_equal(s->first_execution_run_id, run);
    assert_string_equal(s->memo->fields[0]->key, "m");
    lab_complete(l, t, cmd_complete("7"));
    lab_expect_history(l, "a", NULL, START "WorkflowExecutionCompleted");
    const Pb__HistoryEvent *end = lab_event(l, "a", NULL, EVENT(WORKFLOW_EXECUTION_COMPLETED));
    assert_string_equal(lab_text(end->workflow_execution_completed_event_attributes->result), "7");
    assert_int_equal(end->workflow_execution_completed_event_attributes->workflow_task_completed_event_id, 4);
    assert_int_equal(lab_status(l, "a", run), STATUS(COMPLETED));
    assert_true(lab_no_task(l));
}

static void runs_an_activity(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1", .input = "[2]"}));
    Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
    assert_string_equal(a->activity_id, "1");
    assert_string_equal(a->activity_type->name, "act");
    assert_string_equal(lab_text(a->input), "[2]");
    assert_int_equal(a->attempt, 1);
    assert_string_equal(a->workflow_namespace, "default");
    assert_string_equal(a->workflow_execution->workflow_id, "a");
    assert_int_equal(a->start_to_close_timeout->seconds, 60);
    assert_int_equal(lab_activity_done(l, a, "3"), 0);
    assert_int_equal(lab_activity_done(l, a, "3"), -ERR_NOT_FOUND);
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    assert_int_equal(t->previous_started_event_id, 3);
    lab_complete(l, t, cmd_complete("3"));
    lab_expect_history(l, "a", NULL,
                       START "ActivityTaskScheduled ActivityTaskStarted ActivityTaskCompleted " TASK
                             "WorkflowExecutionCompleted");
    const Pb__HistoryEvent *done = lab_event(l, "a", NULL, EVENT(ACTIVITY_TASK_COMPLETED));
    assert_int_equal(done->activity_task_completed_event_attributes->scheduled_event_id, 5);
    assert_int_equal(done->activity_task_completed_event_attributes->started_event_id, 6);
}

static void retries_an_activity(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l),
                 cmd_activity(&(struct lab_activity){.id = "1", .attempts = 3, .retry_ms = 20}));
    for (int i = 1; i <= 2; i++) {
        Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
        assert_int_equal(a->attempt, i);
        lab_heartbeat(l, a, i == 1 ? "\"first\"" : "\"second\"");
        assert_int_equal(lab_activity_fail(l, a, "Bad", false), 0);
    }
    Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
    assert_int_equal(a->attempt, 3);
    assert_string_equal(lab_text(a->heartbeat_details), "\"second\"");
    Pb__DescribeWorkflowExecutionResponse *d = lab_describe(l, "a", NULL);
    assert_int_equal(d->n_pending_activities, 1);
    assert_int_equal(d->pending_activities[0]->attempt, 3);
    assert_string_equal(d->pending_activities[0]->last_failure->message, "it failed");
    assert_int_equal(lab_activity_fail(l, a, "Bad", false), 0);
    lab_complete(l, lab_poll(l), cmd_fail("no"));
    lab_expect_history(l, "a", NULL,
                       START "ActivityTaskScheduled ActivityTaskStarted ActivityTaskFailed " TASK
                             "WorkflowExecutionFailed");
    const Pb__HistoryEvent *s = lab_event(l, "a", NULL, EVENT(ACTIVITY_TASK_STARTED));
    assert_int_equal(s->activity_task_started_event_attributes->attempt, 3);
    assert_string_equal(s->activity_task_started_event_attributes->last_failure->message, "it failed");
    const Pb__HistoryEvent *f = lab_event(l, "a", NULL, EVENT(ACTIVITY_TASK_FAILED));
    assert_int_equal(f->activity_task_failed_event_attributes->retry_state,
                     PB__RETRY_STATE__RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED);
}

static void fires_a_timer(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_timer("t", 30));
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    lab_expect_history(l, "a", NULL, START "TimerStarted TimerFired " TASK "WorkflowExecutionCompleted");
}

static void lists_and_counts(void **state)
{
    struct lab *l = *state;
    lab_start(l, &(struct lab_start){.id = "a", .type = "one"});
    lab_start(l, &(struct lab_start){.id = "b", .type = "two"});
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    assert_string_equal(lab_list(l, ""), "b a");
    assert_string_equal(lab_list(l, "WorkflowType = 'two'"), "b");
    assert_string_equal(lab_list(l, "ExecutionStatus='Running'"), "b");
    assert_string_equal(lab_list(l, "ExecutionStatus='Completed' OR WorkflowId='b'"), "b a");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(completes_a_workflow), CASE(runs_an_activity), CASE(retries_an_activity),
        CASE(fires_a_timer),        CASE(lists_and_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
