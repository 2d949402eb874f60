/* The contract of an engine: what every implementation of engine.h does. Each case is a small
 * story, told through the worker of lab.h, with the history it must leave. Times are real, so
 * waits are short and bounds generous. Here: starting, workflow tasks, activities. */
#include "contract.h"

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
    assert_string_equal(a->workflow_namespace, l->ns);
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
    lab_start(l, &(struct lab_start){.id = "b", .type = "two", .queue = "unseen"});
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    lab_expect_list(l, "", "b a");
    lab_expect_list(l, "WorkflowType = 'two'", "b");
    lab_expect_list(l, "ExecutionStatus='Running'", "b");
    lab_expect_list(l, "ExecutionStatus='Completed' OR WorkflowId='b'", "b a");
}


/* --- starting --- */

static void start_is_idempotent_by_request_id(void **state)
{
    struct lab *l = *state;
    Pb__StartWorkflowExecutionResponse *one, *two;
    struct lab_start s = {.id = "a", .request_id = "r1"};
    struct err err = {0};
    assert_int_equal(lab_try_start(l, &s, &one, &err), 0);
    assert_true(one->started);
    assert_int_equal(lab_try_start(l, &s, &two, &err), 0);
    assert_string_equal(one->run_id, two->run_id);
    s.request_id = "r2";
    assert_int_equal(lab_try_start(l, &s, &two, &err), -ERR_EXISTS);
    assert_non_null(strstr(err.msg, one->run_id));
    assert_non_null(lab_poll(l));
    assert_true(lab_no_task(l));
}

static void conflict_policies(void **state)
{
    struct lab *l = *state;
    Pb__StartWorkflowExecutionResponse *r;
    const char *first = lab_start_id(l, "a");
    struct lab_start s = {
        .id = "a",
        .conflict = PB__WORKFLOW_ID_CONFLICT_POLICY__WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING};
    assert_int_equal(lab_try_start(l, &s, &r, NULL), 0);
    assert_string_equal(r->run_id, first);
    assert_false(r->started);
    s.conflict = PB__WORKFLOW_ID_CONFLICT_POLICY__WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING;
    assert_int_equal(lab_try_start(l, &s, &r, NULL), 0);
    assert_string_not_equal(r->run_id, first);
    assert_int_equal(lab_status(l, "a", first), STATUS(TERMINATED));
    assert_int_equal(lab_status(l, "a", r->run_id), STATUS(RUNNING));
}

static void reuse_policies(void **state)
{
    struct lab *l = *state;
    static const struct {
        bool failed;
        Pb__WorkflowIdReusePolicy policy;
        bool allowed;
    } cases[] = {
#define REUSE(NAME) PB__WORKFLOW_ID_REUSE_POLICY__WORKFLOW_ID_REUSE_POLICY_##NAME
        {false, REUSE(ALLOW_DUPLICATE), true},
        {false, REUSE(ALLOW_DUPLICATE_FAILED_ONLY), false},
        {true, REUSE(ALLOW_DUPLICATE_FAILED_ONLY), true},
        {false, REUSE(REJECT_DUPLICATE), false},
        {true, REUSE(REJECT_DUPLICATE), false},
        {false, REUSE(UNSPECIFIED), true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char id[16];
        snprintf(id, sizeof id, "w%zu", i);
        lab_start_id(l, id);
        lab_complete(l, lab_poll(l), cases[i].failed ? cmd_fail("x") : cmd_complete(NULL));
        struct lab_start again = {.id = id, .reuse = cases[i].policy, .queue = "unseen"};
        assert_int_equal(lab_try_start(l, &again, NULL, NULL), cases[i].allowed ? 0 : -ERR_EXISTS);
    }
}

static void refuses_bad_requests(void **state)
{
    struct lab *l = *state;
    char *large = calloc(1, ENGINE_PAYLOAD_MAX + 20), long_id[ENGINE_ID_MAX + 2];
    memset(large, 'x', ENGINE_PAYLOAD_MAX + 10);
    large[0] = large[ENGINE_PAYLOAD_MAX + 9] = '"';
    memset(long_id, 'i', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = 0;
    assert_int_equal(lab_try_start(l, &(struct lab_start){.id = ""}, NULL, NULL), -ERR_INVALID);
    assert_int_equal(lab_try_start(l, &(struct lab_start){.id = long_id}, NULL, NULL), -ERR_INVALID);
    assert_int_equal(lab_try_start(l, &(struct lab_start){.id = "a", .input = large}, NULL, NULL), -ERR_INVALID);
    assert_int_equal(lab_try_start(l, &(struct lab_start){.id = "a", .run_ms = -5}, NULL, NULL), -ERR_INVALID);
    Pb__RetryPolicy bad = PB__RETRY_POLICY__INIT;
    bad.backoff_coefficient = 0.5;
    assert_int_equal(lab_try_start(l, &(struct lab_start){.id = "a", .retry = &bad}, NULL, NULL), -ERR_INVALID);
    struct lab other = {.engine = l->engine, .ns = "nowhere", .remote = l->remote};
    assert_int_equal(lab_try_start(&other, &(struct lab_start){.id = "a"}, NULL, NULL), -ERR_NOT_FOUND);
    assert_int_equal(lab_try_signal(l, "absent", "s", NULL, NULL), -ERR_NOT_FOUND);
    assert_int_equal(lab_try_terminate(l, "absent", "r"), -ERR_NOT_FOUND);
    lab_expect_list(l, "", "");
    free(large);
}

static void namespaces_are_apart(void **state)
{
    struct lab *l = *state;
    Pb__RegisterNamespaceRequest q = PB__REGISTER_NAMESPACE_REQUEST__INIT;
    const char *ns = contract_namespace(l, "team");
    q.namespace_ = (char *)ns;
    q.workflow_execution_retention_period = lab_duration_ms(86400000);
    assert_int_equal(lab_call(l, ENGINE_REGISTER_NAMESPACE, &q, 0, NULL, NULL), -ERR_EXISTS);
    struct lab team = {.engine = l->engine, .ns = ns, .remote = l->remote};
    lab_start_id(l, "a");
    lab_start_id(&team, "a");
    lab_expect_list(&team, "", "a");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(&team);
    assert_true(lab_no_task(&team));
    lab_complete(&team, t, cmd_complete("1"));
    assert_int_equal(status_of(l, "a"), STATUS(RUNNING));
    assert_int_equal(status_of(&team, "a"), STATUS(COMPLETED));
    /* A token of one namespace is not good in another. */
    struct err err = {0};
    assert_int_equal(lab_try_complete(&team, lab_poll(l), NULL, NULL, 0, NULL, &err), -ERR_INVALID);
    Pb__ListNamespacesRequest list = PB__LIST_NAMESPACES_REQUEST__INIT;
    Pb__ListNamespacesResponse *all;
    assert_int_equal(lab_call(l, ENGINE_LIST_NAMESPACES, &list, 0, &all, NULL), 0);
    bool found[2] = {false, false};
    for (size_t i = 0; i < all->n_namespaces; i++) {
        found[0] |= strcmp(all->namespaces[i]->namespace_info->name, ns) == 0;
        found[1] |= strcmp(all->namespaces[i]->namespace_info->name, "default") == 0;
    }
    assert_true(found[0] && found[1]);
}

/* --- workflow tasks --- */

static void tokens_fit_one_attempt(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    lab_start_id(l, "a");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    lab_complete(l, t);
    assert_int_equal(lab_try_complete(l, t, NULL, NULL, 0, NULL, &err), -ERR_NOT_FOUND);
    t->task_token.data[20] ^= 1;
    int r = lab_try_complete(l, t, NULL, NULL, 0, NULL, &err);
    assert_true(r == -ERR_INVALID || r == -ERR_NOT_FOUND); /* a token may be signed, or name a run that is not there */
    size_t len = t->task_token.len;
    t->task_token.len = 3;
    assert_int_equal(lab_try_complete(l, t, NULL, NULL, 0, NULL, &err), -ERR_INVALID);
    t->task_token.len = len;
}

static void a_failed_task_is_retried_as_transient(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    assert_int_equal(lab_fail_task(l, lab_poll(l), "bug"), 0);
    for (int attempt = 2; attempt <= 3; attempt++) {
        Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
        assert_int_equal(t->attempt, attempt);
        assert_int_equal(t->history->n_events, 6);
        Pb__DescribeWorkflowExecutionResponse *d = lab_describe(l, "a", NULL);
        assert_int_equal(d->pending_workflow_task->attempt, attempt);
        assert_int_equal(d->pending_workflow_task->state,
                         PB__PENDING_WORKFLOW_TASK_STATE__PENDING_WORKFLOW_TASK_STATE_STARTED);
        if (attempt == 2)
            assert_int_equal(lab_fail_task(l, t, "bug"), 0);
        else
            lab_complete(l, t, cmd_complete(NULL));
    }
    lab_expect_history(l, "a", NULL,
                       "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted "
                       "WorkflowTaskFailed " TASK "WorkflowExecutionCompleted");
    const Pb__HistoryEvent *f = lab_event(l, "a", NULL, EVENT(WORKFLOW_TASK_FAILED));
    assert_string_equal(f->workflow_task_failed_event_attributes->failure->message, "bug");
}

static void a_new_event_makes_a_failing_task_an_ordinary_one(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    assert_int_equal(lab_fail_task(l, lab_poll(l), "bug"), 0);
    lab_signal(l, "a", "s");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    assert_int_equal(t->attempt, 1);
    lab_complete(l, t, cmd_complete(NULL));
    lab_expect_history(l, "a", NULL,
                       "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted "
                       "WorkflowTaskFailed WorkflowExecutionSignaled " TASK "WorkflowExecutionCompleted");
}

static void events_wait_while_a_task_is_started(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    lab_signal(l, "a", "one");
    lab_signal(l, "a", "two");
    lab_expect_history(l, "a", NULL, "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted");
    lab_complete(l, t, cmd_marker("m"));
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    lab_expect_history(l, "a", NULL,
                       START "MarkerRecorded WorkflowExecutionSignaled WorkflowExecutionSignaled " TASK
                             "WorkflowExecutionCompleted");
}

static void a_closing_command_must_have_seen_all(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    lab_start_id(l, "a");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    lab_signal(l, "a", "s");
    Pb__Command *k[] = {cmd_marker("lost"), cmd_complete(NULL)};
    assert_int_equal(lab_try_complete(l, t, NULL, k, 2, NULL, &err), -ERR_INVALID);
    assert_string_equal(err.msg, "UnhandledCommand");
    t = lab_poll(l);
    assert_int_equal(t->attempt, 1);
    lab_complete(l, t, cmd_complete(NULL));
    lab_expect_history(l, "a", NULL,
                       "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted "
                       "WorkflowTaskFailed WorkflowExecutionSignaled " TASK "WorkflowExecutionCompleted");
    const Pb__HistoryEvent *f = lab_event(l, "a", NULL, EVENT(WORKFLOW_TASK_FAILED));
    assert_int_equal(f->workflow_task_failed_event_attributes->cause,
                     PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND);
}

/* What a bad command does: the task fails with its cause, and no command of the task has an
 * effect. */
static void bad_command(struct lab *l, Pb__Command *bad, Pb__WorkflowTaskFailedCause cause)
{
    static int n;
    char id[16];
    struct err err = {0};
    snprintf(id, sizeof id, "bad%d", n++);
    lab_start_id(l, id);
    Pb__Command *k[] = {cmd_timer("t1", 60000), cmd_activity(&(struct lab_activity){.id = "a1"}), bad};
    assert_int_equal(lab_try_complete(l, lab_poll(l), NULL, k, 3, NULL, &err), -ERR_INVALID);
    const Pb__HistoryEvent *f = lab_event(l, id, NULL, EVENT(WORKFLOW_TASK_FAILED));
    assert_int_equal(f->workflow_task_failed_event_attributes->cause, cause);
    lab_expect_history(l, id, NULL,
                       "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted "
                       "WorkflowTaskFailed");
    assert_int_equal(lab_describe(l, id, NULL)->n_pending_activities, 0);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
}

static void refuses_bad_commands(void **state)
{
    struct lab *l = *state;
    struct lab_pending *poll = lab_begin_poll_activity(l); /* gets none of the activities beside bad commands */
#define CAUSE(NAME) PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_##NAME
    bad_command(l, cmd_timer("t1", 1), CAUSE(START_TIMER_DUPLICATE_ID));
    bad_command(l, cmd_timer("", 1), CAUSE(BAD_START_TIMER_ATTRIBUTES));
    bad_command(l, cmd_cancel_timer("t2"), CAUSE(BAD_CANCEL_TIMER_ATTRIBUTES));
    bad_command(l, cmd_activity(&(struct lab_activity){.id = "a1"}), CAUSE(SCHEDULE_ACTIVITY_DUPLICATE_ID));
    bad_command(l, cmd_activity(&(struct lab_activity){.id = "a2", .start_to_close_ms = -1}),
                CAUSE(BAD_SCHEDULE_ACTIVITY_ATTRIBUTES));
    bad_command(l, cmd_cancel_activity(77), CAUSE(BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES));
    bad_command(l, cmd_signal("", "s"), CAUSE(BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES));
    bad_command(l, cmd_child("", 0), CAUSE(BAD_START_CHILD_EXECUTION_ATTRIBUTES));
    Pb__Command *odd = cmd_marker("m");
    odd->command_type = PB__COMMAND_TYPE__COMMAND_TYPE_START_TIMER;
    bad_command(l, odd, CAUSE(BAD_START_TIMER_ATTRIBUTES));
    lab_start_id(l, "good");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "first"}));
    Pb__PollActivityTaskQueueResponse *a;
    assert_int_equal(lab_end(poll, &a, NULL), 0);
    assert_string_equal((a->task_token.len ? a : lab_poll_activity(l))->activity_id, "first");
}

/* No other answer to the task could do better: the run ends. */
static void too_large_a_command_ends_the_run(void **state)
{
    struct lab *l = *state;
    char *large = calloc(1, ENGINE_PAYLOAD_MAX + 20);
    memset(large, 'x', ENGINE_PAYLOAD_MAX + 10);
    large[0] = large[ENGINE_PAYLOAD_MAX + 9] = '"';
    for (int i = 0; i < 2; i++) {
        const char *id = i ? "b" : "a";
        struct err err = {0};
        lab_start_id(l, id);
        Pb__Command *k = i ? cmd_activity(&(struct lab_activity){.id = "a2", .input = large}) : cmd_complete(large);
        assert_int_equal(lab_try_complete(l, lab_poll(l), NULL, &k, 1, NULL, &err), -ERR_INVALID);
        lab_expect_history(l, id, NULL,
                           "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskFailed "
                           "WorkflowExecutionTerminated");
        const Pb__HistoryEvent *f = lab_event(l, id, NULL, EVENT(WORKFLOW_TASK_FAILED));
        assert_int_equal(f->workflow_task_failed_event_attributes->cause, CAUSE(BAD_SCHEDULE_ACTIVITY_ATTRIBUTES));
        const Pb__HistoryEvent *e = lab_event(l, id, NULL, EVENT(WORKFLOW_EXECUTION_TERMINATED));
        assert_non_null(strstr(e->workflow_execution_terminated_event_attributes->reason, "exceeds size limit"));
    }
    free(large);
}

static void a_closing_command_is_the_last(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    lab_start_id(l, "a");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    Pb__Command *k[] = {cmd_complete(NULL), cmd_marker("late")};
    assert_int_equal(lab_try_complete(l, t, NULL, k, 2, NULL, &err), -ERR_INVALID);
    assert_non_null(strstr(err.msg, "invalid command sequence"));
    lab_complete(l, t, cmd_complete(NULL)); /* it had no effect: the task can still be answered */
    lab_expect_history(l, "a", NULL, START "WorkflowExecutionCompleted");
}

static void may_ask_for_another_task(void **state)
{
    struct lab *l = *state;
    struct lab_complete force = {.force_new = true}, give = {.force_new = true, .return_new = true};
    Pb__RespondWorkflowTaskCompletedResponse *r;
    lab_start_id(l, "a");
    assert_int_equal(lab_try_complete(l, lab_poll(l), &force, NULL, 0, &r, NULL), 0);
    assert_null(r->workflow_task);
    assert_int_equal(lab_try_complete(l, lab_poll(l), &give, NULL, 0, &r, NULL), 0);
    assert_non_null(r->workflow_task);
    assert_int_equal(r->workflow_task->attempt, 1);
    assert_true(lab_no_task(l));
    lab_complete(l, r->workflow_task, cmd_complete(NULL));
    lab_expect_history(l, "a", NULL, START TASK TASK "WorkflowExecutionCompleted");
}

/* --- activities --- */

static void some_failures_are_not_retried(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1", .no_retry = "Fatal", .retry_ms = 10}));
    assert_int_equal(lab_activity_fail(l, lab_poll_activity(l), "Passing", false), 0);
    assert_int_equal(lab_activity_fail(l, lab_poll_activity(l), "Fatal", false), 0);
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "2", .retry_ms = 10}));
    assert_int_equal(lab_activity_fail(l, lab_poll_activity(l), "Any", true), 0);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    const Pb__HistoryEvent *f = lab_event(l, "a", NULL, EVENT(ACTIVITY_TASK_FAILED));
    assert_int_equal(f->activity_task_failed_event_attributes->retry_state,
                     PB__RETRY_STATE__RETRY_STATE_NON_RETRYABLE_FAILURE);
}

static void cancels_an_activity(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1"}),
                 cmd_activity(&(struct lab_activity){.id = "2", .queue = "unseen"}));
    Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
    assert_int_equal(lab_heartbeat(l, a, "1"), 0);
    assert_int_equal(lab_activity_canceled(l, a), -ERR_INVALID); /* nobody asked for it */
    lab_signal(l, "a", "stop");
    lab_complete(l, lab_poll(l), cmd_cancel_activity(5), cmd_cancel_activity(6));
    assert_int_equal(lab_heartbeat(l, a, "2"), 1);
    Pb__DescribeWorkflowExecutionResponse *d = lab_describe(l, "a", NULL);
    assert_int_equal(d->n_pending_activities, 1);
    assert_int_equal(d->pending_activities[0]->state,
                     PB__PENDING_ACTIVITY_STATE__PENDING_ACTIVITY_STATE_CANCEL_REQUESTED);
    /* The one no worker had is cancelled at once, and the workflow told. */
    lab_complete(l, lab_poll(l));
    assert_int_equal(lab_activity_canceled(l, a), 0);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    lab_expect_history(l, "a", NULL,
                       START "ActivityTaskScheduled ActivityTaskScheduled WorkflowExecutionSignaled " TASK
                             "ActivityTaskCancelRequested ActivityTaskCancelRequested ActivityTaskCanceled " TASK
                             "ActivityTaskStarted ActivityTaskCanceled " TASK "WorkflowExecutionCompleted");
}

static void an_end_in_the_buffer_comes_after_what_happened(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1"}));
    Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
    lab_signal(l, "a", "one");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    assert_int_equal(lab_activity_done(l, a, NULL), 0);
    lab_signal(l, "a", "two");
    lab_complete(l, t, cmd_cancel_activity(5)); /* it is over, but the workflow cannot know */
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    lab_expect_history(l, "a", NULL,
                       START "ActivityTaskScheduled WorkflowExecutionSignaled " TASK
                             "ActivityTaskCancelRequested ActivityTaskStarted WorkflowExecutionSignaled "
                             "ActivityTaskCompleted " TASK "WorkflowExecutionCompleted");
    const Pb__HistoryEvent *s = lab_event(l, "a", NULL, EVENT(ACTIVITY_TASK_STARTED)),
                           *e = lab_event(l, "a", NULL, EVENT(ACTIVITY_TASK_COMPLETED));
    assert_int_equal(e->activity_task_completed_event_attributes->started_event_id, s->event_id);
}

static void too_large_a_result_fails_the_activity(void **state)
{
    struct lab *l = *state;
    char *large = calloc(1, ENGINE_PAYLOAD_MAX + 20);
    memset(large, 'x', ENGINE_PAYLOAD_MAX + 10);
    large[0] = large[ENGINE_PAYLOAD_MAX + 9] = '"';
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1"}),
                 cmd_activity(&(struct lab_activity){.id = "2", .queue = "second"}));
    assert_int_equal(lab_activity_done(l, lab_poll_activity(l), large), 0);
    assert_int_equal(lab_heartbeat(l, lab_poll_activity_on(l, "second", 5000), large), 1);
    free(large);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    lab_expect_history(l, "a", NULL,
                       START "ActivityTaskScheduled ActivityTaskScheduled ActivityTaskStarted "
                             "ActivityTaskFailed WorkflowTaskScheduled ActivityTaskStarted "
                             "ActivityTaskFailed WorkflowTaskStarted WorkflowTaskCompleted "
                             "WorkflowExecutionCompleted");
    const Pb__HistoryEvent *f = lab_event(l, "a", NULL, EVENT(ACTIVITY_TASK_FAILED));
    assert_non_null(strstr(f->activity_task_failed_event_attributes->failure->message, "size limit"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(completes_a_workflow),
        CASE(runs_an_activity),
        CASE(retries_an_activity),
        CASE(fires_a_timer),
        CASE(lists_and_counts),
        CASE(start_is_idempotent_by_request_id),
        CASE(conflict_policies),
        CASE(reuse_policies),
        CASE(refuses_bad_requests),
        CASE(namespaces_are_apart),
        CASE(tokens_fit_one_attempt),
        CASE(a_failed_task_is_retried_as_transient),
        CASE(a_new_event_makes_a_failing_task_an_ordinary_one),
        CASE(events_wait_while_a_task_is_started),
        CASE(a_closing_command_must_have_seen_all),
        CASE(refuses_bad_commands),
        CASE(too_large_a_command_ends_the_run),
        CASE(a_closing_command_is_the_last),
        CASE(may_ask_for_another_task),
        CASE(some_failures_are_not_retried),
        CASE(cancels_an_activity),
        CASE(an_end_in_the_buffer_comes_after_what_happened),
        CASE(too_large_a_result_fails_the_activity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
