/* What is particular to the embedded engine: the state file, recovery, its lock, time under a
 * clock that the test holds. */
#include "lab.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/pbx.h"
#include "engine/embedded/embedded.h"
#include "os/clock.h"
#include "os/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define START "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted "
#define TASK "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted "
#define STATUS(NAME) PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_##NAME
#define EVENT(NAME) PB__EVENT_TYPE__EVENT_TYPE_##NAME

static struct fixture {
    struct lab lab;
    char *dir, *path;
    atomic_llong now; /* of the held clock, ns */
    bool held;
    struct engine_embedded_options options;
} f;

static int64_t held_now(void *arg)
{
    return atomic_load(&((struct fixture *)arg)->now);
}

static void open_state(void)
{
    struct err err = {0};
    f.options.path = f.path;
    if (f.held)
        f.options.clock = (struct engine_clock){held_now, &f};
    if (engine_embedded_open(&f.options, &f.lab.engine, &err) < 0)
        fail_msg("open: %s", err.msg);
}

static void reopen(void)
{
    lab_clean();
    engine_free(f.lab.engine);
    open_state();
}

/* Moves the held clock on, and lets the engine see it. */
static void pass_ms(int64_t ms)
{
    atomic_fetch_add(&f.now, ms * NS_PER_MS);
    engine_embedded_tick(f.lab.engine);
}

static int set_up_with(bool held)
{
    struct err err = {0};
    memset(&f, 0, sizeof f);
    f.held = held;
    atomic_store(&f.now, INT64_C(1800000000) * NS_PER_S);
    assert_int_equal(os_temp_dir("/tmp", "engine-test-", &f.dir, &err), 0);
    f.path = os_path_join(f.dir, "state.db");
    open_state();
    return 0;
}

static int set_up(void **state)
{
    *state = &f.lab;
    return set_up_with(false);
}

static int set_up_held(void **state)
{
    *state = &f.lab;
    return set_up_with(true);
}

static int tear_down(void **state)
{
    (void)state;
    lab_clean();
    engine_free(f.lab.engine);
    os_remove_tree(f.dir, NULL);
    free(f.path);
    free(f.dir);
    return 0;
}

static void goes_on_after_reopening(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "scheduled");
    lab_start(l, &(struct lab_start){.id = "started", .queue = "other"});
    assert_non_null(lab_poll_on(l, "other", NULL, 1000)); /* its worker dies with the process */
    reopen();
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    assert_string_equal(t->workflow_execution->workflow_id, "scheduled");
    assert_int_equal(t->attempt, 1);
    lab_complete(l, t, cmd_complete("1"));
    t = lab_poll_on(l, "other", NULL, 1000);
    assert_non_null(t);
    assert_int_equal(t->attempt, 1);
    lab_complete(l, t, cmd_complete("1"));
    lab_expect_history(l, "scheduled", NULL, START "WorkflowExecutionCompleted");
    lab_expect_history(l, "started", NULL,
                       "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted "
                       "WorkflowTaskTimedOut " TASK "WorkflowExecutionCompleted");
    reopen();
    assert_int_equal(lab_status(l, "started", NULL), STATUS(COMPLETED));
    assert_string_equal(lab_list(l, "ExecutionStatus='Completed'"), "started scheduled");
}

static void gives_lost_activities_out_again(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1", .attempts = 1}),
                 cmd_activity(&(struct lab_activity){.id = "2", .queue = "two", .attempts = 1}));
    Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
    assert_int_equal(lab_heartbeat(l, a, "\"half\""), 0);
    reopen();
    int64_t begin = os_mono_ns();
    a = lab_poll_activity(l);
    assert_true(os_mono_ns() - begin < NS_PER_S);
    assert_string_equal(a->activity_id, "1");
    assert_int_equal(a->attempt, 2);
    assert_string_equal(lab_text(a->heartbeat_details), "\"half\"");
    Pb__PollActivityTaskQueueResponse *b = lab_poll_activity_on(l, "two", 1000);
    assert_int_equal(b->attempt, 1);
    Pb__DescribeWorkflowExecutionResponse *d = lab_describe(l, "a", NULL);
    assert_int_equal(d->n_pending_activities, 2);
    assert_non_null(strstr(d->pending_activities[0]->last_failure->message, "worker lost"));
    /* The attempt that was lost does not count, so this failure is the first and, with one
     * attempt, the last. */
    assert_int_equal(lab_activity_fail(l, a, "T", false), 0);
    assert_int_equal(lab_activity_done(l, b, "1"), 0);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    assert_int_equal(lab_status(l, "a", NULL), STATUS(COMPLETED));
}

static void an_activity_cannot_take_the_process_down_for_ever(void **state)
{
    struct lab *l = *state;
    f.options.lost_attempts_free = 2;
    reopen();
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1", .attempts = 1}));
    for (int i = 1; i <= 3; i++) {
        Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
        assert_int_equal(a->attempt, i);
        reopen();
    }
    assert_true(lab_no_activity(l));
    lab_complete(l, lab_poll(l), cmd_fail("x"));
    lab_expect_history(l, "a", NULL,
                       START "ActivityTaskScheduled ActivityTaskStarted ActivityTaskTimedOut " TASK
                             "WorkflowExecutionFailed");
}

static void keeps_tasks_of_workers_that_live_elsewhere(void **state)
{
    struct lab *l = *state;
    f.options.lost_tasks = ENGINE_LOST_KEEP;
    lab_start_id(l, "a");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    ProtobufCMessage *copy;
    pbx_dup(&t->base, &copy, NULL);
    reopen();
    lab_keep(copy);
    assert_true(lab_no_task(l));
    lab_complete(l, (Pb__PollWorkflowTaskQueueResponse *)copy, cmd_complete("1"));
    assert_int_equal(lab_status(l, "a", NULL), STATUS(COMPLETED));
}

/* The lab as a process of its own: its calls come from outside. Once it is over, give the engine back. */
static struct engine *step_outside(struct lab *l)
{
    struct engine *e = l->engine;
    l->engine = engine_embedded_outside(e);
    return e;
}

static Pb__PollActivityTaskQueueResponse *take_outside(struct lab *l)
{
    struct engine *e = step_outside(l);
    Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
    ProtobufCMessage *copy;
    assert_int_equal(pbx_dup(&a->base, &copy, NULL), 0);
    l->engine = e;
    return (Pb__PollActivityTaskQueueResponse *)copy; /* outlives lab_clean() of reopen() */
}

static void leaves_activities_of_other_processes_to_them(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1", .attempts = 1}));
    Pb__PollActivityTaskQueueResponse *a = take_outside(l);
    reopen();
    engine_embedded_guests_settled(l->engine); /* nobody told of it: it is none of those that may be missed */
    assert_true(lab_no_activity(l));
    assert_int_equal(lab_heartbeat(l, a, "1"), 0);
    reopen();
    assert_int_equal(lab_activity_done(l, a, "\"done\""), 0);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    assert_int_equal(lab_status(l, "a", NULL), STATUS(COMPLETED));
    protobuf_c_message_free_unpacked(&a->base, NULL);
}

static void gives_out_what_a_guest_had_when_it_is_gone(void **state)
{
    struct lab *l = *state;
    engine_embedded_guest(l->engine, "worker", true);
    engine_embedded_guest(l->engine, "worker", true);
    lab_start_id(l, "a");
    struct engine *e = step_outside(l);
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    l->engine = e;
    engine_embedded_guest(l->engine, "worker", false); /* came twice */
    assert_true(lab_no_task(l));
    engine_embedded_guest(l->engine, "worker", false);
    assert_int_not_equal(lab_try_complete(l, t, NULL, NULL, 0, NULL, NULL), 0);
    engine_embedded_guest(l->engine, "worker", true);
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1", .attempts = 1}));
    Pb__PollActivityTaskQueueResponse *a = take_outside(l);
    assert_true(lab_no_activity(l));
    engine_embedded_guest(l->engine, "worker", false);
    Pb__PollActivityTaskQueueResponse *b = lab_poll_activity(l);
    assert_int_equal(b->attempt, 2);
    assert_int_equal(lab_activity_done(l, a, NULL), -ERR_NOT_FOUND);
    assert_int_equal(lab_activity_done(l, b, NULL), 0);
    protobuf_c_message_free_unpacked(&a->base, NULL);
}

static void hands_nothing_to_polls_of_a_guest_that_is_gone(void **state)
{
    struct lab *l = *state;
    engine_embedded_guest(l->engine, "worker", true);
    struct engine *e = step_outside(l);
    Pb__PollWorkflowTaskQueueRequest q = PB__POLL_WORKFLOW_TASK_QUEUE_REQUEST__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    q.namespace_ = (char *)"default";
    q.identity = (char *)"worker";
    queue.name = (char *)LAB_QUEUE;
    q.task_queue = &queue;
    struct lab_pending *p = lab_begin(l, ENGINE_POLL_WORKFLOW_TASK, &q, 20000);
    l->engine = e;
    engine_embedded_guest(l->engine, "worker", false);
    lab_start_id(l, "a");
    Pb__PollWorkflowTaskQueueResponse *t;
    assert_int_equal(lab_end(p, &t, NULL), 0);
    assert_int_equal(t->task_token.len, 0);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
}

static void misses_guests_that_do_not_come_back(void **state)
{
    struct lab *l = *state;
    engine_embedded_guest(l->engine, "worker", true);
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1", .attempts = 1}));
    Pb__PollActivityTaskQueueResponse *a = take_outside(l);
    reopen();
    engine_embedded_guest(l->engine, "worker", true);
    engine_embedded_guests_settled(l->engine);
    assert_true(lab_no_activity(l));
    reopen();
    assert_true(lab_no_activity(l));
    engine_embedded_guests_settled(l->engine);
    Pb__PollActivityTaskQueueResponse *b = lab_poll_activity(l);
    assert_int_equal(b->attempt, 2);
    protobuf_c_message_free_unpacked(&a->base, NULL);
}

static void a_silent_guest_never_got_its_task(void **state)
{
    struct lab *l = *state;
    engine_embedded_guest(l->engine, "worker", true);
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1", .attempts = 1}));
    Pb__PollActivityTaskQueueResponse *a = take_outside(l);
    pass_ms(29000);
    assert_int_equal(lab_heartbeat(l, a, "1"), 0);
    pass_ms(29000);
    assert_true(lab_no_activity(l));
    pass_ms(1001);
    assert_int_equal(lab_poll_activity(l)->attempt, 2);
    protobuf_c_message_free_unpacked(&a->base, NULL);
}

static void keeps_timers_and_retries(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_timer("t", 3600000),
                 cmd_activity(&(struct lab_activity){.id = "1", .retry_ms = 60000}));
    assert_int_equal(lab_activity_fail(l, lab_poll_activity(l), "T", false), 0);
    pass_ms(30000);
    reopen();
    assert_true(lab_no_activity(l));
    pass_ms(31000);
    Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
    assert_int_equal(a->attempt, 2);
    assert_int_equal(lab_activity_done(l, a, NULL), 0);
    lab_complete(l, lab_poll(l));
    reopen();
    assert_true(lab_no_task(l));
    pass_ms(3600000);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    lab_expect_history(l, "a", NULL,
                       START "TimerStarted ActivityTaskScheduled ActivityTaskStarted "
                             "ActivityTaskCompleted " TASK "TimerFired " TASK
                             "WorkflowExecutionCompleted");
}

static void time_never_goes_back(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    pass_ms(5000);
    lab_complete(l, lab_poll(l));
    atomic_fetch_sub(&f.now, 3600 * NS_PER_S);
    lab_signal(l, "a", "s");
    reopen();
    lab_signal(l, "a", "s");
    Pb__History *h = lab_history(l, "a", NULL);
    for (size_t i = 1; i < h->n_events; i++)
        assert_true(pbx_timestamp_ns(h->events[i]->event_time) >=
                    pbx_timestamp_ns(h->events[i - 1]->event_time));
}

static void times_a_started_workflow_task_out(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    pass_ms(11000);
    pass_ms(1000); /* the second attempt is held back a little */
    Pb__PollWorkflowTaskQueueResponse *t2 = lab_poll(l);
    assert_int_equal(t2->attempt, 2);
    struct err err = {0};
    assert_int_equal(lab_try_complete(l, t, NULL, NULL, 0, NULL, &err), -ERR_NOT_FOUND);
    /* Transient: its two events are shown to the worker, but not yet in history. */
    assert_string_equal(lab_events_text(t2->history),
                        "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted "
                        "WorkflowTaskTimedOut WorkflowTaskScheduled WorkflowTaskStarted");
    lab_expect_history(l, "a", NULL,
                       "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted "
                       "WorkflowTaskTimedOut");
    pass_ms(11000);
    pass_ms(1000);
    Pb__PollWorkflowTaskQueueResponse *t3 = lab_poll(l);
    assert_int_equal(t3->attempt, 3);
    lab_complete(l, t3, cmd_complete(NULL));
    lab_expect_history(l, "a", NULL,
                       "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted "
                       "WorkflowTaskTimedOut " TASK "WorkflowExecutionCompleted");
    const Pb__HistoryEvent *s = lab_event(l, "a", NULL, EVENT(WORKFLOW_TASK_SCHEDULED));
    assert_int_equal(s->workflow_task_scheduled_event_attributes->attempt, 3);
}

/* One activity that times out without retry; what its history then is. */
static void activity_times_out(struct lab *l, struct lab_activity a, bool start, int64_t ms,
                               Pb__TimeoutType type, const char *events)
{
    a.id = "1";
    a.attempts = 1;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&a));
    if (start)
        lab_poll_activity(l);
    pass_ms(ms - 1);
    assert_true(lab_no_task(l));
    pass_ms(2);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    char expected[400];
    snprintf(expected, sizeof expected, START "ActivityTaskScheduled %s " TASK "WorkflowExecutionCompleted",
             events);
    lab_expect_history(l, "a", NULL, expected);
    const Pb__HistoryEvent *t = lab_event(l, "a", NULL, EVENT(ACTIVITY_TASK_TIMED_OUT));
    assert_int_equal(t->activity_task_timed_out_event_attributes->failure->timeout_failure_info->timeout_type,
                     type);
}

static void activity_schedule_to_start(void **state)
{
    activity_times_out(*state, (struct lab_activity){.to_start_ms = 5000, .start_to_close_ms = 9000}, false,
                       5000, PB__TIMEOUT_TYPE__TIMEOUT_TYPE_SCHEDULE_TO_START, "ActivityTaskTimedOut");
}

static void activity_start_to_close(void **state)
{
    activity_times_out(*state, (struct lab_activity){.start_to_close_ms = 9000}, true, 9000,
                       PB__TIMEOUT_TYPE__TIMEOUT_TYPE_START_TO_CLOSE,
                       "ActivityTaskStarted ActivityTaskTimedOut");
}

static void activity_schedule_to_close(void **state)
{
    activity_times_out(*state, (struct lab_activity){.to_close_ms = 7000}, false, 7000,
                       PB__TIMEOUT_TYPE__TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, "ActivityTaskTimedOut");
}

static void activity_heartbeat(void **state)
{
    activity_times_out(*state,
                       (struct lab_activity){.start_to_close_ms = 9000, .heartbeat_ms = 2000}, true,
                       2000, PB__TIMEOUT_TYPE__TIMEOUT_TYPE_HEARTBEAT,
                       "ActivityTaskStarted ActivityTaskTimedOut");
}

static void heartbeats_keep_an_activity_alive(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l),
                 cmd_activity(&(struct lab_activity){.id = "1", .start_to_close_ms = 60000, .heartbeat_ms = 2000}));
    Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
    for (int i = 0; i < 5; i++) {
        pass_ms(1500);
        assert_int_equal(lab_heartbeat(l, a, "1"), 0);
    }
    assert_int_equal(lab_activity_done(l, a, NULL), 0);
}

static void back_off_doubles(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1"}));
    for (int64_t wait = 1000; wait <= 8000; wait *= 2) {
        assert_int_equal(lab_activity_fail(l, lab_poll_activity(l), "T", false), 0);
        pass_ms(wait - 1);
        assert_true(lab_no_activity(l));
        pass_ms(2);
    }
    assert_int_equal(lab_poll_activity(l)->attempt, 5);
}

static void sticky_falls_back(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    struct lab_complete sticky = {.sticky = "mine", .sticky_ms = 5000};
    assert_null(lab_poll_on(l, "mine", LAB_QUEUE, 1)); /* it is polled */
    assert_int_equal(lab_try_complete(l, lab_poll(l), &sticky, NULL, 0, NULL, NULL), 0);
    lab_signal(l, "a", "s");
    assert_true(lab_no_task(l));
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll_on(l, "mine", LAB_QUEUE, 1000);
    assert_non_null(t);
    assert_string_equal(lab_events_text(t->history),
                        "WorkflowTaskCompleted WorkflowExecutionSignaled WorkflowTaskScheduled "
                        "WorkflowTaskStarted");
    assert_int_equal(t->previous_started_event_id, 3);
    assert_int_equal(lab_try_complete(l, t, &sticky, NULL, 0, NULL, NULL), 0);
    lab_signal(l, "a", "s"); /* nobody fetches it there */
    pass_ms(5001);
    t = lab_poll(l);
    assert_int_equal(t->attempt, 1);
    assert_int_equal(t->history->events[0]->event_id, 1);
    lab_complete(l, t, cmd_complete(NULL));
    lab_expect_history(l, "a", NULL,
                       START "WorkflowExecutionSignaled " TASK
                             "WorkflowExecutionSignaled WorkflowTaskScheduled WorkflowTaskTimedOut " TASK
                             "WorkflowExecutionCompleted");
}

static void sticky_queue_nobody_polls_is_passed_over(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    struct lab_complete sticky = {.sticky = "gone", .sticky_ms = 5000};
    assert_int_equal(lab_try_complete(l, lab_poll(l), &sticky, NULL, 0, NULL, NULL), 0);
    lab_signal(l, "a", "s");
    assert_int_equal(lab_poll(l)->history->events[0]->event_id, 1);
}

static void runs_time_out(void **state)
{
    struct lab *l = *state;
    lab_start(l, &(struct lab_start){.id = "a", .run_ms = 60000});
    lab_start(l, &(struct lab_start){.id = "b", .execution_ms = 90000, .queue = "other"});
    lab_poll(l); /* started: the task is failed first */
    pass_ms(5000);
    pass_ms(55001);
    lab_expect_history(l, "a", NULL,
                       "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted "
                       "WorkflowTaskFailed WorkflowExecutionTimedOut");
    pass_ms(30001);
    assert_int_equal(lab_status(l, "b", NULL), STATUS(TIMED_OUT));
}

static void start_delay_holds_the_first_task_back(void **state)
{
    struct lab *l = *state;
    lab_start(l, &(struct lab_start){.id = "a", .delay_ms = 10000});
    lab_signal(l, "a", "s");
    assert_true(lab_no_task(l));
    reopen();
    pass_ms(10001);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    assert_int_equal(lab_status(l, "a", NULL), STATUS(COMPLETED));
}

static void workflow_retry_policy(void **state)
{
    struct lab *l = *state;
    Pb__RetryPolicy policy = PB__RETRY_POLICY__INIT;
    policy.maximum_attempts = 2;
    const char *run1 = lab_start(l, &(struct lab_start){.id = "a", .input = "5", .retry = &policy});
    lab_complete(l, lab_poll(l), cmd_fail("one"));
    assert_int_equal(lab_status(l, "a", run1), STATUS(FAILED));
    assert_true(lab_no_task(l));
    pass_ms(1001);
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    const Pb__WorkflowExecutionStartedEventAttributes *s =
        t->history->events[0]->workflow_execution_started_event_attributes;
    assert_int_equal(s->attempt, 2);
    assert_string_equal(s->first_execution_run_id, run1);
    assert_string_equal(s->continued_execution_run_id, run1);
    assert_string_equal(s->continued_failure->message, "one");
    assert_string_equal(lab_text(s->input), "5");
    lab_complete(l, t, cmd_fail("two"));
    const Pb__HistoryEvent *e = lab_event(l, "a", NULL, EVENT(WORKFLOW_EXECUTION_FAILED));
    assert_int_equal(e->workflow_execution_failed_event_attributes->retry_state,
                     PB__RETRY_STATE__RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED);
}

static void state_is_private(void **state)
{
    (void)state;
    static const char *const suffixes[] = {"", "-wal", ".lock"};
    for (int i = 0; i < 3; i++) {
        char *name = mem_printf("%s%s", f.path, suffixes[i]);
        struct stat st;
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        free(name);
    }
}

static void is_held_by_one(void **state)
{
    (void)state;
    struct engine_embedded_options o = {.path = f.path, .wait_ms = -1};
    struct engine *e = NULL;
    struct err err = {0};
    assert_int_equal(engine_embedded_open(&o, &e, &err), -ERR_BUSY);
    char mine[32];
    snprintf(mine, sizeof mine, "held by pid %d", (int)getpid());
    assert_non_null(strstr(err.msg, mine));
    pid_t pid = fork();
    if (pid == 0) { /* another process: told by the lock itself */
        struct err e2 = {0};
        int r = engine_embedded_open(&o, &e, &e2);
        _exit(r == -ERR_BUSY && strstr(e2.msg, mine) && strstr(e2.msg, "test_embedded") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    /* And still held by us. */
    assert_int_equal(engine_embedded_open(&o, &e, &err), -ERR_BUSY);
}

/* A holder that is killed while a child of its lives on leaves the state free. */
static void lock_goes_with_the_process(void **state)
{
    (void)state;
    int fds[2];
    char *path = os_path_join(f.dir, "second.db");
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct engine_embedded_options o = {.path = path};
        struct engine *e;
        if (engine_embedded_open(&o, &e, NULL) < 0)
            _exit(1);
        pid_t child = fork(); /* inherits every descriptor */
        if (child == 0)
            for (;;)
                pause();
        if (write(fds[1], &child, sizeof child) != sizeof child)
            _exit(1);
        for (;;)
            pause();
    }
    pid_t child;
    assert_int_equal(read(fds[0], &child, sizeof child), sizeof child);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    struct engine_embedded_options o = {.path = path, .wait_ms = 1000};
    struct engine *e = NULL;
    struct err err = {0};
    int r = engine_embedded_open(&o, &e, &err);
    kill(child, SIGKILL);
    close(fds[0]);
    close(fds[1]);
    free(path);
    if (r < 0)
        fail_msg("%s", err.msg);
    engine_free(e);
}

static void with_closed_state(void (*change)(sqlite3 *))
{
    lab_clean();
    engine_free(f.lab.engine);
    f.lab.engine = NULL;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f.path, &db), SQLITE_OK);
    change(db);
    sqlite3_close(db);
}

static void make_newer(sqlite3 *db)
{
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
}

static void refuses_a_newer_schema(void **state)
{
    (void)state;
    with_closed_state(make_newer);
    struct err err = {0};
    assert_int_equal(engine_embedded_open(&f.options, &f.lab.engine, &err), -ERR_STATE);
    assert_non_null(strstr(err.msg, "99"));
    f.lab.engine = NULL;
}

static void break_state(sqlite3 *db)
{
    assert_int_equal(sqlite3_exec(db, "UPDATE execution SET state=x'ffffff'", NULL, NULL, NULL), SQLITE_OK);
}

static void names_a_state_that_is_broken(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    with_closed_state(break_state);
    struct err err = {0};
    assert_int_equal(engine_embedded_open(&f.options, &f.lab.engine, &err), -ERR_CORRUPT);
    f.lab.engine = NULL;
}

static int read_all(struct lab *l, ProtobufCMessage **ret)
{
    Pb__GetWorkflowExecutionHistoryRequest q = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    q.namespace_ = (char *)"default";
    q.execution = &x;
    x.workflow_id = (char *)"a";
    return lab_call(l, ENGINE_GET_HISTORY, &q, 0, ret, NULL);
}

static void break_event(sqlite3 *db)
{
    /* Whole, with its id, but its next field runs over the end. */
    assert_int_equal(sqlite3_exec(db, "UPDATE history SET data=x'0a04080112ff'", NULL, NULL, NULL), SQLITE_OK);
}

static void gives_others_histories_that_need_no_decoding(void **state)
{
    struct lab *l = *state;
    ProtobufCMessage *inside, *outside, *read;
    lab_start_id(l, "a");
    reopen(); /* they come from the disk */
    assert_int_equal(read_all(l, &inside), 0);
    struct engine *e = step_outside(l);
    assert_int_equal(read_all(l, &outside), 0);
    assert_null(((Pb__GetWorkflowExecutionHistoryResponse *)outside)->history);
    assert_int_equal(pbx_dup(outside, &read, NULL), 0);
    const Pb__History *h = ((Pb__GetWorkflowExecutionHistoryResponse *)inside)->history,
                      *other = ((Pb__GetWorkflowExecutionHistoryResponse *)read)->history;
    assert_int_equal(h->n_events, 2);
    assert_string_equal(lab_events_text(other), lab_events_text(h));
    protobuf_c_message_free_unpacked(read, NULL);
    l->engine = e;
    with_closed_state(break_event);
    open_state();
    assert_int_equal(read_all(l, &inside), -ERR_CORRUPT);
    e = step_outside(l);
    assert_int_equal(read_all(l, &outside), -ERR_CORRUPT);
    l->engine = e;
}

/* Every page of the file spoiled in turn: opening and reading give an error or the truth, never
 * a crash. */
static void survives_corrupt_pages(void **state)
{
    struct lab *l = *state;
    for (int i = 0; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof id, "w%d", i);
        lab_start(l, &(struct lab_start){.id = id, .input = "\"some words to fill a page with\""});
    }
    lab_clean();
    engine_free(l->engine);
    l->engine = NULL;
    char *good, *path = os_path_join(f.dir, "spoiled.db");
    size_t n;
    struct err err = {0};
    assert_int_equal(os_read_file(f.path, 1 << 24, &good, &n, &err), 0);
    int corrupt = 0;
    for (size_t page = 0; page < n / 4096; page++) {
        char *bad = malloc(n);
        memcpy(bad, good, n);
        for (size_t i = page ? 0 : 100; i < 4096; i += 7)
            bad[page * 4096 + i] ^= 0x5a;
        assert_int_equal(os_write_file_atomic(path, bad, n, 0600, &err), 0);
        free(bad);
        struct engine_embedded_options o = {.path = path};
        struct lab second = {0};
        err_clear(&err);
        int r = engine_embedded_open(&o, &second.engine, &err);
        if (r == 0) {
            Pb__ListWorkflowExecutionsRequest q = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
            q.namespace_ = (char *)"default";
            r = lab_call(&second, ENGINE_LIST, &q, 0, NULL, &err);
            engine_free(second.engine);
        }
        if (r < 0 && err.code != ERR_CORRUPT && err.code != ERR_STATE)
            fail_msg("page %zu: %s: %s", page, err_name(err.code), err.msg);
        corrupt += r < 0;
    }
    free(good);
    free(path);
    assert_true(corrupt > 3);
}

static void a_file_that_is_no_database(void **state)
{
    (void)state;
    char *path = os_path_join(f.dir, "text");
    struct err err = {0};
    char text[8192];
    memset(text, 'x', sizeof text);
    assert_int_equal(os_write_file_atomic(path, text, sizeof text, 0600, &err), 0);
    struct engine_embedded_options o = {.path = path};
    struct engine *e;
    assert_int_equal(engine_embedded_open(&o, &e, &err), -ERR_CORRUPT);
    free(path);
}

/* With a cache of nothing every state is read again for each call. */
static void works_without_a_cache(void **state)
{
    struct lab *l = *state;
    f.options.cache_bytes = 1;
    reopen();
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "w%d", i);
        lab_start_id(l, id);
    }
    for (int i = 0; i < 20; i++)
        lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1", .input = "[1]"}));
    for (int i = 0; i < 20; i++) {
        Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
        assert_string_equal(lab_text(a->input), "[1]");
        assert_int_equal(lab_activity_done(l, a, "1"), 0);
    }
    for (int i = 0; i < 20; i++)
        lab_complete(l, lab_poll(l), cmd_complete("1"));
    assert_string_equal(lab_list(l, "ExecutionStatus!='Completed'"), "");
    lab_expect_history(l, "w7", NULL,
                       START "ActivityTaskScheduled ActivityTaskStarted ActivityTaskCompleted " TASK
                             "WorkflowExecutionCompleted");
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
#define HELD(t) cmocka_unit_test_setup_teardown(t, set_up_held, tear_down)

/* --- retention -------------------------------------------------------------------------------------------------- */

static void keep_for(struct lab *l, const char *ns, int64_t ms)
{
    Pb__UpdateNamespaceRequest q = PB__UPDATE_NAMESPACE_REQUEST__INIT;
    Pb__NamespaceConfig config = PB__NAMESPACE_CONFIG__INIT;
    q.namespace_ = (char *)ns;
    q.config = &config;
    config.workflow_execution_retention_ttl = lab_duration_ms(ms);
    assert_int_equal(lab_call(l, ENGINE_UPDATE_NAMESPACE, &q, 0, NULL, NULL), 0);
}

static void make_namespace(struct lab *l, const char *ns, int64_t keep_ms)
{
    Pb__RegisterNamespaceRequest q = PB__REGISTER_NAMESPACE_REQUEST__INIT;
    q.namespace_ = (char *)ns;
    q.workflow_execution_retention_period = lab_duration_ms(keep_ms);
    assert_int_equal(lab_call(l, ENGINE_REGISTER_NAMESPACE, &q, 0, NULL, NULL), 0);
}

static int count_in(struct lab *l, const char *query)
{
    Pb__CountWorkflowExecutionsRequest q = PB__COUNT_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    Pb__CountWorkflowExecutionsResponse *r;
    q.namespace_ = (char *)l->ns;
    q.query = (char *)query;
    assert_int_equal(lab_call(l, ENGINE_COUNT, &q, 0, &r, NULL), 0);
    return (int)r->count;
}

static void closed_runs_are_kept_for_a_time(void **state)
{
    struct lab *l = *state;
    struct lab team = {.engine = l->engine, .ns = "team"};
    char id[16];
    make_namespace(l, "team", 3600000);
    lab_start_id(l, "elsewhere");
    lab_try_terminate(l, "elsewhere", "test"); /* in a namespace that keeps all */
    lab_start_id(&team, "open");
    for (int i = 0; i < 250; i++) { /* more than one batch deletes */
        snprintf(id, sizeof id, "old-%d", i);
        lab_start_id(&team, id);
        lab_try_terminate(&team, id, "test");
    }
    pass_ms(3000000);
    lab_start_id(&team, "young");
    lab_try_terminate(&team, "young", "test");
    assert_int_equal(count_in(&team, ""), 252);
    for (int i = 0; i < 20; i++)
        pass_ms(61000);
    assert_string_equal(lab_list(&team, "ExecutionStatus='Running'"), "open");
    assert_int_equal(count_in(&team, ""), 2);
    assert_int_equal(lab_status(&team, "young", NULL), STATUS(TERMINATED));
    assert_int_equal(lab_status(l, "elsewhere", NULL), STATUS(TERMINATED));
    reopen(); /* it is kept with the state, the time too */
    team.engine = l->engine;
    keep_for(l, "default", 1000);
    for (int i = 0; i < 60; i++)
        pass_ms(61000);
    assert_string_equal(lab_list(&team, ""), "open");
    struct lab own = {.engine = l->engine, .ns = "default"};
    assert_int_equal(count_in(&own, ""), 0);
}

static void a_deleted_namespace_takes_its_runs_along(void **state)
{
    struct lab *l = *state;
    struct lab team = {.engine = l->engine, .ns = "team"};
    char id[16];
    make_namespace(l, "team", 3600000);
    for (int i = 0; i < 150; i++) {
        snprintf(id, sizeof id, "run-%d", i);
        lab_start_id(&team, id);
    }
    lab_start_id(l, "stays");
    Pb__DeleteNamespaceRequest q = PB__DELETE_NAMESPACE_REQUEST__INIT;
    q.namespace_ = (char *)"default";
    assert_int_equal(lab_call(l, ENGINE_DELETE_NAMESPACE, &q, 0, NULL, NULL), -ERR_STATE);
    q.namespace_ = (char *)"team";
    assert_int_equal(lab_call(l, ENGINE_DELETE_NAMESPACE, &q, 0, NULL, NULL), 0);
    assert_int_equal(lab_try_signal(&team, "run-1", "s", NULL, NULL), -ERR_NOT_FOUND);
    make_namespace(l, "team", 3600000); /* its name is free at once */
    assert_int_equal(count_in(&team, ""), 0);
    pass_ms(200);
    reopen(); /* in the middle of it */
    for (int i = 0; i < 20; i++)
        pass_ms(200);
    assert_int_equal(lab_status(l, "stays", NULL), STATUS(RUNNING));
    lab_clean();
    engine_free(TAKE_PTR(l->engine));
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open(f.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT (SELECT count(*) FROM execution), (SELECT count(*) FROM namespace), "
                                            "(SELECT count(DISTINCT id >> 24) FROM history)", -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(s, 0), 1);
    assert_int_equal(sqlite3_column_int(s, 1), 2); /* default, and the new team */
    assert_int_equal(sqlite3_column_int(s, 2), 1);
    sqlite3_finalize(s);
    sqlite3_close(db);
    open_state();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(goes_on_after_reopening),
        CASE(gives_lost_activities_out_again),
        CASE(an_activity_cannot_take_the_process_down_for_ever),
        CASE(keeps_tasks_of_workers_that_live_elsewhere),
        CASE(leaves_activities_of_other_processes_to_them),
        CASE(gives_out_what_a_guest_had_when_it_is_gone),
        CASE(hands_nothing_to_polls_of_a_guest_that_is_gone),
        CASE(gives_others_histories_that_need_no_decoding),
        CASE(misses_guests_that_do_not_come_back),
        HELD(closed_runs_are_kept_for_a_time),
        HELD(a_deleted_namespace_takes_its_runs_along),
        HELD(a_silent_guest_never_got_its_task),
        HELD(keeps_timers_and_retries),
        HELD(time_never_goes_back),
        HELD(times_a_started_workflow_task_out),
        HELD(activity_schedule_to_start),
        HELD(activity_start_to_close),
        HELD(activity_schedule_to_close),
        HELD(activity_heartbeat),
        HELD(heartbeats_keep_an_activity_alive),
        HELD(back_off_doubles),
        HELD(sticky_falls_back),
        CASE(sticky_queue_nobody_polls_is_passed_over),
        HELD(runs_time_out),
        HELD(start_delay_holds_the_first_task_back),
        HELD(workflow_retry_policy),
        CASE(state_is_private),
        CASE(is_held_by_one),
        CASE(lock_goes_with_the_process),
        CASE(refuses_a_newer_schema),
        CASE(names_a_state_that_is_broken),
        CASE(survives_corrupt_pages),
        CASE(a_file_that_is_no_database),
        CASE(works_without_a_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
