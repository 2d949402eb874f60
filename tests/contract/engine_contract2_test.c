/* The contract of an engine, second part: timers, signals, cancellation, children, queries,
 * history, lists. */
#include "contract.h"

/* --- timers, signals, cancellation --- */

static void cancels_a_timer(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_timer("long", 600000), cmd_timer("short", 20));
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    lab_complete(l, t, cmd_cancel_timer("long"), cmd_timer("next", 20));
    t = lab_poll(l);
    lab_complete(l, t, cmd_complete(NULL));
    lab_expect_history(l, "a", NULL,
                       START "TimerStarted TimerStarted TimerFired " TASK "TimerCanceled TimerStarted "
                             "TimerFired " TASK "WorkflowExecutionCompleted");
}

static void a_fired_timer_the_workflow_does_not_know_of_can_be_canceled(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_timer("t", 1000));
    lab_signal(l, "a", "s");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    os_sleep_ms(1200); /* it fires into the buffer */
    lab_complete(l, t, cmd_cancel_timer("t"));
    assert_true(lab_no_task(l));
    lab_expect_history(l, "a", NULL,
                       START "TimerStarted WorkflowExecutionSignaled " TASK "TimerCanceled");
}

static void signals_are_idempotent_by_request_id(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    assert_int_equal(lab_try_signal(l, "a", "s", "1", "r"), 0);
    assert_int_equal(lab_try_signal(l, "a", "s", "1", "r"), 0);
    assert_int_equal(lab_try_signal(l, "a", "s", "2", "r2"), 0);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    assert_int_equal(lab_try_signal(l, "a", "s", "1", NULL), -ERR_NOT_FOUND);
    lab_expect_history(l, "a", NULL,
                       "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowExecutionSignaled "
                       "WorkflowExecutionSignaled WorkflowTaskStarted WorkflowTaskCompleted "
                       "WorkflowExecutionCompleted");
}

static void signals_with_start(void **state)
{
    struct lab *l = *state;
    Pb__SignalWithStartWorkflowExecutionRequest q = PB__SIGNAL_WITH_START_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__SignalWithStartWorkflowExecutionResponse *one, *two;
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    type.name = (char *)"wf";
    queue.name = (char *)LAB_QUEUE;
    q.namespace_ = (char *)l->ns;
    q.workflow_id = (char *)"a";
    q.workflow_type = &type;
    q.task_queue = &queue;
    q.signal_name = (char *)"s";
    assert_int_equal(lab_call(l, ENGINE_SIGNAL_WITH_START, &q, 0, &one, NULL), 0);
    assert_int_equal(lab_call(l, ENGINE_SIGNAL_WITH_START, &q, 0, &two, NULL), 0);
    assert_true(one->started);
    assert_false(two->started);
    assert_string_equal(one->run_id, two->run_id);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    lab_expect_history(l, "a", NULL,
                       "WorkflowExecutionStarted WorkflowExecutionSignaled WorkflowTaskScheduled "
                       "WorkflowExecutionSignaled WorkflowTaskStarted WorkflowTaskCompleted "
                       "WorkflowExecutionCompleted");
}

static void cancellation_is_a_request(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l));
    lab_cancel(l, "a");
    lab_cancel(l, "a");
    assert_true(lab_describe(l, "a", NULL)->workflow_extended_info->cancel_requested);
    lab_complete(l, lab_poll(l), cmd_cancel());
    lab_expect_history(l, "a", NULL,
                       START "WorkflowExecutionCancelRequested " TASK "WorkflowExecutionCanceled");
    assert_int_equal(status_of(l, "a"), STATUS(CANCELED));
}

static void terminates(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1"}));
    Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
    lab_signal(l, "a", "s");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    lab_signal(l, "a", "buffered");
    assert_int_equal(lab_try_terminate(l, "a", "enough"), 0);
    assert_int_equal(lab_try_terminate(l, "a", "enough"), -ERR_NOT_FOUND);
    assert_int_equal(lab_activity_done(l, a, NULL), -ERR_NOT_FOUND);
    assert_int_equal(lab_heartbeat(l, a, NULL), -ERR_NOT_FOUND);
    assert_int_equal(lab_try_complete(l, t, NULL, NULL, 0, NULL, &err), -ERR_NOT_FOUND);
    lab_expect_history(l, "a", NULL,
                       START "ActivityTaskScheduled WorkflowExecutionSignaled WorkflowTaskScheduled "
                             "WorkflowTaskStarted WorkflowTaskFailed WorkflowExecutionSignaled "
                             "WorkflowExecutionTerminated");
    assert_int_equal(status_of(l, "a"), STATUS(TERMINATED));
}

/* How many events of that type. */
static int count_events(struct lab *l, const char *id, Pb__EventType type)
{
    const Pb__History *h = lab_history(l, id, NULL);
    int n = 0;
    for (size_t i = 0; i < h->n_events; i++)
        n += h->events[i]->event_type == type;
    return n;
}

/* What reaches other runs does so in an order of its own: a cluster's shards know nothing of each other. */
static void external_signals_and_cancels(void **state)
{
    struct lab *l = *state;
    static const Pb__EventType outcomes[] = {
        EVENT(EXTERNAL_WORKFLOW_EXECUTION_SIGNALED), EVENT(EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED),
        EVENT(SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED), EVENT(REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED)};
    lab_start(l, &(struct lab_start){.id = "to", .queue = "others"});
    lab_start_id(l, "from");
    lab_complete(l, lab_poll(l), cmd_signal("to", "hello"), cmd_cancel_external("to"),
                 cmd_signal("nobody", "x"), cmd_cancel_external("nobody"));
    int seen = 0;
    for (int tries = 0; tries < 200 && seen < 4; tries++, os_sleep_ms(seen < 4 ? 20 : 0)) {
        seen = 0;
        for (size_t i = 0; i < 4; i++)
            seen += count_events(l, "from", outcomes[i]);
    }
    assert_int_equal(seen, 4);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    lab_complete(l, lab_poll_on(l, "others", NULL, 5000), cmd_cancel());
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(count_events(l, "from", outcomes[i]), 1);
    assert_int_equal(count_events(l, "to", EVENT(WORKFLOW_EXECUTION_SIGNALED)), 1);
    assert_int_equal(count_events(l, "to", EVENT(WORKFLOW_EXECUTION_CANCEL_REQUESTED)), 1);
    const Pb__HistoryEvent *e = lab_event(l, "from", NULL, EVENT(SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED));
    assert_int_equal(e->signal_external_workflow_execution_failed_event_attributes->initiated_event_id, 7);
    e = lab_event(l, "to", NULL, EVENT(WORKFLOW_EXECUTION_SIGNALED));
    assert_string_equal(e->workflow_execution_signaled_event_attributes->external_workflow_execution->workflow_id, "from");
    assert_int_equal(status_of(l, "to"), STATUS(CANCELED));
    assert_int_equal(status_of(l, "from"), STATUS(COMPLETED));
}

/* --- children, continue as new --- */

static void child_ends(struct lab *l, Pb__Command *how, const char *event, Pb__WorkflowExecutionStatus status)
{
    char expected[600];
    lab_start(l, &(struct lab_start){.id = "p", .queue = "parents"});
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll_on(l, "parents", NULL, 5000);
    Pb__Command *k = cmd_child("c", 0);
    k->start_child_workflow_execution_command_attributes->task_queue = NULL;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    queue.name = (char *)LAB_QUEUE;
    k->start_child_workflow_execution_command_attributes->task_queue = &queue;
    lab_complete(l, t, k);
    lab_complete(l, lab_poll_on(l, "parents", NULL, 5000)); /* told that it has started */
    Pb__DescribeWorkflowExecutionResponse *d = lab_describe(l, "p", NULL);
    assert_int_equal(d->n_pending_children, 1);
    assert_string_equal(d->pending_children[0]->workflow_id, "c");
    assert_string_equal(lab_describe(l, "c", NULL)->workflow_execution_info->parent_execution->workflow_id, "p");
    if (how)
        lab_complete(l, lab_poll(l), how);
    else
        assert_int_equal(lab_try_terminate(l, "c", "x"), 0);
    assert_int_equal(status_of(l, "c"), status);
    lab_complete(l, lab_poll_on(l, "parents", NULL, 5000), cmd_complete(NULL));
    snprintf(expected, sizeof expected,
             START "StartChildWorkflowExecutionInitiated ChildWorkflowExecutionStarted " TASK "%s " TASK
                   "WorkflowExecutionCompleted",
             event);
    lab_expect_history(l, "p", NULL, expected);
    assert_int_equal(lab_describe(l, "p", NULL)->n_pending_children, 0);
}

static void a_child_completes(void **state)
{
    child_ends(*state, cmd_complete("1"), "ChildWorkflowExecutionCompleted", STATUS(COMPLETED));
}

static void a_child_fails(void **state)
{
    child_ends(*state, cmd_fail("x"), "ChildWorkflowExecutionFailed", STATUS(FAILED));
}

static void a_child_is_canceled(void **state)
{
    child_ends(*state, cmd_cancel(), "ChildWorkflowExecutionCanceled", STATUS(CANCELED));
}

static void a_child_is_terminated(void **state)
{
    child_ends(*state, NULL, "ChildWorkflowExecutionTerminated", STATUS(TERMINATED));
}

static void a_child_whose_id_is_taken_does_not_start(void **state)
{
    struct lab *l = *state;
    lab_start(l, &(struct lab_start){.id = "c", .queue = "unseen"});
    lab_start_id(l, "p");
    lab_complete(l, lab_poll(l), cmd_child("c", 0));
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    lab_expect_history(l, "p", NULL,
                       START "StartChildWorkflowExecutionInitiated StartChildWorkflowExecutionFailed " TASK
                             "WorkflowExecutionCompleted");
    assert_int_equal(status_of(l, "c"), STATUS(RUNNING));
}

static void parent_close_policies(void **state)
{
    struct lab *l = *state;
#define POLICY(NAME) PB__PARENT_CLOSE_POLICY__PARENT_CLOSE_POLICY_##NAME
    lab_start_id(l, "p");
    lab_complete(l, lab_poll(l), cmd_child("stops", POLICY(TERMINATE)), cmd_child("stays", POLICY(ABANDON)),
                 cmd_child("asked", POLICY(REQUEST_CANCEL)));
    for (int children = 0; children < 3;) { /* all are there before the parent ends */
        Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
        children += strcmp(t->workflow_execution->workflow_id, "p") != 0;
        lab_complete(l, t);
    }
    lab_signal(l, "p", "end");
    while (status_of(l, "p") == STATUS(RUNNING)) {
        Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
        if (count_events(l, "p", EVENT(CHILD_WORKFLOW_EXECUTION_STARTED)) == 3 && count_events(l, "p", EVENT(WORKFLOW_EXECUTION_SIGNALED)))
            lab_complete(l, t, cmd_complete(NULL));
        else
            lab_complete(l, t);
    }
    assert_int_equal(status_of(l, "p"), STATUS(COMPLETED));
    lab_wait_status(l, "stops", STATUS(TERMINATED));
    for (int i = 0; i < 200 && !lab_describe(l, "asked", NULL)->workflow_extended_info->cancel_requested; i++)
        os_sleep_ms(20);
    assert_int_equal(status_of(l, "stays"), STATUS(RUNNING));
    assert_int_equal(status_of(l, "asked"), STATUS(RUNNING));
    assert_true(lab_describe(l, "asked", NULL)->workflow_extended_info->cancel_requested);
    assert_false(lab_describe(l, "stays", NULL)->workflow_extended_info->cancel_requested);
}

static void an_abandoned_child_starts_though_its_parent_closes(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "p");
    lab_complete(l, lab_poll(l), cmd_child("stays", POLICY(ABANDON)), cmd_child("never", POLICY(TERMINATE)),
                 cmd_complete(NULL));
    if (l->remote) /* a cluster may drop a child that has not started when its parent closes: docs/temporal.md */
        return;
    lab_expect_list(l, "", "stays p");
    assert_int_equal(status_of(l, "stays"), STATUS(RUNNING));
}

static void continues_as_new(void **state)
{
    struct lab *l = *state;
    const char *first = lab_start(l, &(struct lab_start){.id = "a", .input = "1", .memo = "\"kept\""});
    Pb__PollWorkflowTaskQueueResponse *before = lab_poll(l);
    Pb__Command *k = cmd_continue("2"); /* with the memo: the worker's to pass on, as SDKs do */
    k->continue_as_new_workflow_execution_command_attributes->memo =
        before->history->events[0]->workflow_execution_started_event_attributes->memo;
    lab_complete(l, before, k);
    assert_int_equal(lab_status(l, "a", first), STATUS(CONTINUED_AS_NEW));
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    const Pb__WorkflowExecutionStartedEventAttributes *s =
        t->history->events[0]->workflow_execution_started_event_attributes;
    assert_string_not_equal(t->workflow_execution->run_id, first);
    assert_string_equal(lab_text(s->input), "2");
    assert_string_equal(s->continued_execution_run_id, first);
    assert_string_equal(s->first_execution_run_id, first);
    assert_string_equal(s->memo->fields[0]->key, "m");
    const Pb__HistoryEvent *c = lab_event(l, "a", first, EVENT(WORKFLOW_EXECUTION_CONTINUED_AS_NEW));
    assert_string_equal(c->workflow_execution_continued_as_new_event_attributes->new_execution_run_id,
                        t->workflow_execution->run_id);
    lab_complete(l, t, cmd_complete(NULL));
    assert_int_equal(status_of(l, "a"), STATUS(COMPLETED));
}

static void a_parent_waits_for_the_last_run_of_a_child(void **state)
{
    struct lab *l = *state;
    lab_start(l, &(struct lab_start){.id = "p", .queue = "parents"});
    Pb__Command *k = cmd_child("c", 0);
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    queue.name = (char *)LAB_QUEUE;
    k->start_child_workflow_execution_command_attributes->task_queue = &queue;
    lab_complete(l, lab_poll_on(l, "parents", NULL, 5000), k);
    lab_complete(l, lab_poll_on(l, "parents", NULL, 5000));
    lab_complete(l, lab_poll(l), cmd_continue(NULL));
    assert_null(lab_poll_on(l, "parents", NULL, 50));
    lab_complete(l, lab_poll(l), cmd_complete("9"));
    lab_complete(l, lab_poll_on(l, "parents", NULL, 5000), cmd_complete(NULL));
    const Pb__HistoryEvent *e = lab_event(l, "p", NULL, EVENT(CHILD_WORKFLOW_EXECUTION_COMPLETED));
    assert_string_equal(lab_text(e->child_workflow_execution_completed_event_attributes->result), "9");
}

/* --- queries --- */

static void answer_query_task(struct lab *l, const Pb__PollWorkflowTaskQueueResponse *t, const char *answer)
{
    Pb__RespondQueryTaskCompletedRequest q = PB__RESPOND_QUERY_TASK_COMPLETED_REQUEST__INIT;
    q.namespace_ = (char *)l->ns;
    q.task_token = t->task_token;
    q.completed_type = answer ? PB__QUERY_RESULT_TYPE__QUERY_RESULT_TYPE_ANSWERED
                              : PB__QUERY_RESULT_TYPE__QUERY_RESULT_TYPE_FAILED;
    q.query_result = lab_payloads(answer);
    q.error_message = (char *)"unknown query";
    assert_int_equal(lab_call(l, ENGINE_COMPLETE_QUERY, &q, 0, NULL, NULL), 0);
    assert_int_equal(lab_call(l, ENGINE_COMPLETE_QUERY, &q, 0, NULL, NULL), -ERR_NOT_FOUND);
}

static void queries_an_idle_run_and_a_closed_one(void **state)
{
    struct lab *l = *state;
    Pb__QueryWorkflowResponse *r;
    struct err err = {0};
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l));
    struct lab_pending *p = lab_begin_query(l, "a", "state");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    assert_string_equal(t->query->query_type, "state");
    assert_int_equal(t->started_event_id, 0);
    assert_string_equal(lab_events_text(t->history),
                        "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted");
    answer_query_task(l, t, "1");
    assert_int_equal(lab_end(p, &r, &err), 0);
    assert_string_equal(lab_text(r->query_result), "1");
    p = lab_begin_query(l, "a", "odd");
    answer_query_task(l, lab_poll(l), NULL);
    assert_int_equal(lab_end(p, NULL, &err), -ERR_INVALID);
    assert_non_null(strstr(err.msg, "unknown query"));
    assert_int_equal(lab_try_terminate(l, "a", "x"), 0);
    p = lab_begin_query(l, "a", "state");
    answer_query_task(l, lab_poll(l), "2");
    assert_int_equal(lab_end(p, &r, &err), 0);
    assert_string_equal(lab_text(r->query_result), "2");
    lab_expect_history(l, "a", NULL, START "WorkflowExecutionTerminated");
}

static void a_query_rides_on_a_task(void **state)
{
    struct lab *l = *state;
    Pb__QueryWorkflowResponse *r;
    lab_start_id(l, "a");
    struct lab_pending *p = lab_begin_query(l, "a", "state");
    os_sleep_ms(50);
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    assert_null(t->query);
    assert_int_equal(t->n_queries, 1);
    assert_string_equal(t->queries[0]->value->query_type, "state");
    /* One that comes while the task is started waits for its end. */
    struct lab_pending *late = lab_begin_query(l, "a", "late");
    struct lab_complete o = {.query_id = t->queries[0]->key, .query_answer = "5"};
    os_sleep_ms(50);
    assert_int_equal(lab_try_complete(l, t, &o, NULL, 0, NULL, NULL), 0);
    assert_int_equal(lab_end(p, &r, NULL), 0);
    assert_string_equal(lab_text(r->query_result), "5");
    t = lab_poll(l);
    assert_string_equal(t->query->query_type, "late");
    answer_query_task(l, t, "6");
    assert_int_equal(lab_end(late, &r, NULL), 0);
    assert_string_equal(lab_text(r->query_result), "6");
}

static void a_query_nobody_answers_times_out(void **state)
{
    struct lab *l = *state;
    Pb__QueryWorkflowRequest q = PB__QUERY_WORKFLOW_REQUEST__INIT;
    Pb__WorkflowQuery query = PB__WORKFLOW_QUERY__INIT;
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    lab_start_id(l, "a");
    query.query_type = (char *)"q";
    x.workflow_id = (char *)"a";
    q.namespace_ = (char *)l->ns;
    q.execution = &x;
    q.query = &query;
    int r0 = lab_call(l, ENGINE_QUERY, &q, l->remote ? 1500 : 60, NULL, NULL);
    assert_true(r0 == -ERR_TIMEOUT || (l->remote && r0 == -ERR_UNAVAILABLE)); /* a cluster may give up just before its caller does */
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    Pb__QueryWorkflowResponse *r;
    q.query_reject_condition = PB__QUERY_REJECT_CONDITION__QUERY_REJECT_CONDITION_NOT_OPEN;
    assert_int_equal(lab_call(l, ENGINE_QUERY, &q, l->remote ? 5000 : 60, &r, NULL), 0);
    assert_int_equal(r->query_rejected->status, STATUS(COMPLETED));
}

/* --- history, lists --- */

static void history_comes_in_pages(void **state)
{
    struct lab *l = *state;
    Pb__Command *many[700];
    lab_start_id(l, "a");
    for (size_t i = 0; i < 700; i++)
        many[i] = cmd_marker("m");
    assert_int_equal(lab_try_complete(l, lab_poll(l), NULL, many, 700, NULL, NULL), 0);
    lab_signal(l, "a", "s");
    assert_int_equal(lab_history(l, "a", NULL)->n_events, 4 + 700 + 2);
    /* A worker gets the first page with the task and the rest by its token. */
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    if (!l->remote) /* a cluster's pages end where a transaction did */
        assert_int_equal(t->history->n_events, ENGINE_HISTORY_PAGE);
    size_t n = t->history->n_events;
    Pb__GetWorkflowExecutionHistoryRequest q = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__GetWorkflowExecutionHistoryResponse *r;
    q.namespace_ = (char *)l->ns;
    q.execution = t->workflow_execution;
    q.next_page_token = t->next_page_token;
    lab_signal(l, "a", "later");
    while (q.next_page_token.len) {
        assert_int_equal(lab_call(l, ENGINE_GET_HISTORY, &q, 0, &r, NULL), 0);
        n += r->history->n_events;
        q.next_page_token = r->next_page_token;
    }
    assert_int_equal(n, t->started_event_id);
    q.maximum_page_size = 10;
    assert_int_equal(lab_call(l, ENGINE_GET_HISTORY, &q, 0, &r, NULL), 0);
    if (!l->remote)
        assert_int_equal(r->history->n_events, 10);
    q.next_page_token = (ProtobufCBinaryData){.data = (uint8_t *)"x", .len = 1};
    assert_int_equal(lab_call(l, ENGINE_GET_HISTORY, &q, 0, &r, NULL), -ERR_INVALID);
}

static void history_waits_for_new_events(void **state)
{
    struct lab *l = *state;
    Pb__GetWorkflowExecutionHistoryRequest q = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__GetWorkflowExecutionHistoryResponse *r;
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    x.workflow_id = (char *)"a";
    q.namespace_ = (char *)l->ns;
    q.execution = &x;
    q.wait_new_event = true;
    lab_start_id(l, "a");
    assert_int_equal(lab_call(l, ENGINE_GET_HISTORY, &q, 0, &r, NULL), 0);
    assert_int_equal(r->history->n_events, 2);
    q.next_page_token = r->next_page_token;
    assert_int_equal(lab_call(l, ENGINE_GET_HISTORY, &q, 50, &r, NULL), 0); /* empty, and may go on */
    assert_int_equal(r->history->n_events, 0);
    q.next_page_token = r->next_page_token;
    struct lab_pending *p = lab_begin(l, ENGINE_GET_HISTORY, &q, 5000);
    lab_signal(l, "a", "s");
    assert_int_equal(lab_end(p, &r, NULL), 0);
    assert_string_equal(lab_events_text(r->history), "WorkflowExecutionSignaled");
    /* The end alone, over several turns of waiting. */
    q.next_page_token = (ProtobufCBinaryData){0};
    q.history_event_filter_type = PB__HISTORY_EVENT_FILTER_TYPE__HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT;
    assert_int_equal(lab_call(l, ENGINE_GET_HISTORY, &q, 50, &r, NULL), 0);
    assert_int_equal(r->history->n_events, 0);
    q.next_page_token = r->next_page_token;
    p = lab_begin(l, ENGINE_GET_HISTORY, &q, 5000);
    lab_complete(l, lab_poll(l), cmd_complete("1"));
    assert_int_equal(lab_end(p, &r, NULL), 0);
    assert_string_equal(lab_events_text(r->history), "WorkflowExecutionCompleted");
    assert_int_equal(r->next_page_token.len, 0);
}

static int64_t count_runs(struct lab *l, const char *query)
{
    Pb__CountWorkflowExecutionsRequest c = PB__COUNT_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    Pb__CountWorkflowExecutionsResponse *n;
    c.namespace_ = (char *)l->ns;
    c.query = (char *)query;
    assert_int_equal(lab_call(l, ENGINE_COUNT, &c, 0, &n, NULL), 0);
    return n->count;
}

static void lists_in_pages(void **state)
{
    struct lab *l = *state;
    Pb__ListWorkflowExecutionsRequest q = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    Pb__ListWorkflowExecutionsResponse *r;
    int seen = 0, pages = 0;
    for (int i = 0; i < 25; i++) {
        char id[16];
        snprintf(id, sizeof id, "w%02d", i);
        lab_start(l, &(struct lab_start){.id = id, .type = i % 2 ? "odd" : "even"});
    }
    for (int i = 0; l->remote && i < 200 && count_runs(l, "") < 25; i++)
        os_sleep_ms(50);
    q.namespace_ = (char *)l->ns;
    q.page_size = 5;
    q.query = (char *)"WorkflowType='even'";
    do {
        assert_int_equal(lab_call(l, ENGINE_LIST, &q, 0, &r, NULL), 0);
        for (size_t i = 0; i < r->n_executions; i++, seen++) {
            char id[16];
            snprintf(id, sizeof id, "w%02d", 24 - 2 * seen);
            assert_string_equal(r->executions[i]->execution->workflow_id, id);
        }
        q.next_page_token = r->next_page_token;
        pages++;
    } while (q.next_page_token.len);
    assert_int_equal(seen, 13);
    assert_int_equal(pages, 3);
    Pb__CountWorkflowExecutionsRequest c = PB__COUNT_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    assert_int_equal(count_runs(l, "WorkflowType='odd'"), 12);
    c.namespace_ = (char *)l->ns;
    c.query = (char *)"Colour='red'";
    assert_int_equal(lab_call(l, ENGINE_COUNT, &c, 0, NULL, NULL), -ERR_INVALID);
}

static void deletes(void **state)
{
    struct lab *l = *state;
    Pb__DeleteWorkflowExecutionRequest q = PB__DELETE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    q.namespace_ = (char *)l->ns;
    q.workflow_execution = &x;
    x.workflow_id = (char *)"a";
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_complete(NULL)); /* before "b": a cluster's queue has parts and promises no order */
    lab_start_id(l, "b");
    lab_expect_list(l, "ExecutionStatus='Completed'", "a"); /* a cluster that is still noting its end would note it again */
    assert_int_equal(lab_call(l, ENGINE_DELETE, &q, 0, NULL, NULL), 0);
    x.workflow_id = (char *)"b";
    assert_int_equal(lab_call(l, ENGINE_DELETE, &q, 0, NULL, NULL), 0);
    int r = lab_call(l, ENGINE_DELETE, &q, 0, NULL, NULL);
    for (int i = 0; l->remote && i < 200 && r == 0; i++) { /* a cluster does it some time after */
        os_sleep_ms(50);
        r = lab_call(l, ENGINE_DELETE, &q, 0, NULL, NULL);
    }
    assert_int_equal(r, -ERR_NOT_FOUND);
    if (!l->remote) /* what a cluster lists may lag for long */
        lab_expect_list(l, "", "");
    lab_start_id(l, "a"); /* the id is free */
    assert_true(lab_poll(l) != NULL);
}

static void too_long_a_history_ends_the_run(void **state)
{
    struct lab *l = *state;
    Pb__Command **many = calloc(6000, sizeof *many);
    lab_start_id(l, "a");
    for (size_t i = 0; i < 6000; i++)
        many[i] = cmd_marker("m");
    struct lab_complete force = {.force_new = true};
    bool warned = false;
    for (int i = 0; i < 9; i++) {
        Pb__PollWorkflowTaskQueueResponse *t = NULL;
        for (int tries = 0; !t && tries < 30 && status_of(l, "a") == STATUS(RUNNING); tries++)
            t = lab_poll_on(l, LAB_QUEUE, NULL, 1000);
        if (!t)
            break;
        if (i == 2)
            warned = lab_event(l, "a", NULL, EVENT(WORKFLOW_TASK_STARTED))
                         ->workflow_task_started_event_attributes->suggest_continue_as_new;
        int r = lab_try_complete(l, t, &force, many, 6000, NULL, NULL);
        if (i < 8 || !l->remote) /* a cluster does not take the one that is too much; the embedded engine ends the run after it */
            assert_int_equal(r, 0);
    }
    free(many);
    assert_true(warned);
    assert_int_equal(status_of(l, "a"), STATUS(TERMINATED));
    const Pb__HistoryEvent *e = lab_event(l, "a", NULL, EVENT(WORKFLOW_EXECUTION_TERMINATED));
    assert_non_null(strstr(e->workflow_execution_terminated_event_attributes->reason, "exceeds limit"));
}

/* --- what goes with an answer --- */

/* The activity that came with the answer; a server may decline, and then it is polled for. */
static Pb__PollActivityTaskQueueResponse *eager_activity(struct lab *l, const Pb__RespondWorkflowTaskCompletedResponse *r)
{
    if (!l->remote)
        assert_int_equal(r->n_activity_tasks, 1);
    return r->n_activity_tasks ? r->activity_tasks[0] : lab_poll_activity(l);
}

static void an_eager_activity_comes_with_the_answer(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    Pb__RespondWorkflowTaskCompletedResponse *r;
    const struct lab_complete more = {.return_new = true, .force_new = true};
    lab_start_id(l, "a");
    Pb__Command *commands[] = {cmd_activity(&(struct lab_activity){.id = "far", .queue = "other", .eager = true}),
                               cmd_activity(&(struct lab_activity){.id = "near", .input = "7", .eager = true, .retry_ms = 1}),
                               cmd_activity(&(struct lab_activity){.id = "late"})};
    assert_int_equal(lab_try_complete(l, lab_poll(l), &more, commands, 3, &r, &err), 0);
    assert_non_null(r->workflow_task);
    Pb__PollActivityTaskQueueResponse *near = eager_activity(l, r), *far = lab_poll_activity_on(l, "other", 5000);
    if (strcmp(near->activity_id, "late") == 0) /* it was declined: they come in any order */
        near = lab_poll_activity(l);
    assert_string_equal(near->activity_id, "near");
    assert_string_equal(lab_text(near->input), "7");
    assert_int_equal(near->attempt, 1);
    assert_string_equal(near->workflow_execution->workflow_id, "a");
    assert_string_equal(near->activity_type->name, "act");
    assert_true(near->started_time && near->scheduled_time && near->start_to_close_timeout);
    assert_string_equal(far->activity_id, "far");
    assert_int_equal(lab_heartbeat(l, near, "1"), 0);
    assert_int_equal(lab_activity_fail(l, near, "T", false), 0);
    lab_complete(l, r->workflow_task); /* its next attempt is anybody's */
    near = lab_poll_activity(l);
    if (strcmp(near->activity_id, "late") == 0)
        near = lab_poll_activity(l);
    assert_string_equal(near->activity_id, "near");
    assert_int_equal(near->attempt, 2);
    assert_int_equal(lab_activity_done(l, near, "8"), 0);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    assert_int_equal(lab_activity_done(l, far, NULL), -ERR_NOT_FOUND);
}

/* Nor is one started whose commands are refused, or whose run ends with them. */
static void an_eager_activity_in_vain_is_none(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    Pb__RespondWorkflowTaskCompletedResponse *r;
    const struct lab_activity eager = {.id = "1", .eager = true};
    lab_start_id(l, "a");
    Pb__Command *twice[] = {cmd_activity(&eager), cmd_activity(&eager)};
    assert_int_equal(lab_try_complete(l, lab_poll(l), NULL, twice, 2, NULL, NULL), -ERR_INVALID);
    Pb__Command *ends[] = {cmd_activity(&eager), cmd_complete(NULL)};
    assert_int_equal(lab_try_complete(l, lab_poll(l), NULL, ends, 2, &r, &err), 0);
    assert_int_equal(r->n_activity_tasks, 0);
    assert_true(lab_no_activity(l));
}

static void a_start_brings_the_first_task(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    Pb__StartWorkflowExecutionResponse *r;
    struct lab_start start = {.id = "a", .request_id = "r", .input = "5", .eager = true};
    assert_int_equal(lab_try_start(l, &start, &r, &err), 0);
    const Pb__PollWorkflowTaskQueueResponse *t = r->eager_workflow_task;
    assert_non_null(t);
    assert_int_equal(t->history->n_events, 3);
    assert_int_equal(t->attempt, 1);
    assert_string_equal(t->workflow_execution->workflow_id, "a");
    assert_true(t->history->events[0]->workflow_execution_started_event_attributes->eager_execution_accepted);
    assert_true(lab_no_task(l));
    assert_int_equal(lab_try_start(l, &start, &r, &err), 0); /* the same request again */
    lab_complete(l, t, cmd_complete("6"));
    start = (struct lab_start){.id = "later", .delay_ms = 300, .eager = true};
    assert_int_equal(lab_try_start(l, &start, &r, &err), 0);
    assert_null(r->eager_workflow_task);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    lab_expect_history(l, "a", NULL, START "WorkflowExecutionCompleted");
}

static void draining_answers_polls(void **state)
{
    struct lab *l = *state;
    Pb__PollWorkflowTaskQueueRequest q = PB__POLL_WORKFLOW_TASK_QUEUE_REQUEST__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    Pb__PollWorkflowTaskQueueResponse *r;
    queue.name = (char *)LAB_QUEUE;
    q.namespace_ = (char *)l->ns;
    q.task_queue = &queue;
    struct lab_pending *p = lab_begin(l, ENGINE_POLL_WORKFLOW_TASK, &q, 0);
    engine_drain(l->engine);
    engine_drain(l->engine);
    assert_int_equal(lab_end(p, &r, NULL), 0);
    assert_int_equal(r->task_token.len, 0);
    lab_start_id(l, "a"); /* other calls go on */
    assert_int_equal(lab_call(l, ENGINE_POLL_WORKFLOW_TASK, &q, 0, NULL, NULL), -ERR_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(cancels_a_timer),
        CASE(a_fired_timer_the_workflow_does_not_know_of_can_be_canceled),
        CASE(signals_are_idempotent_by_request_id),
        CASE(signals_with_start),
        CASE(cancellation_is_a_request),
        CASE(terminates),
        CASE(external_signals_and_cancels),
        CASE(a_child_completes),
        CASE(a_child_fails),
        CASE(a_child_is_canceled),
        CASE(a_child_is_terminated),
        CASE(a_child_whose_id_is_taken_does_not_start),
        CASE(parent_close_policies),
        CASE(an_abandoned_child_starts_though_its_parent_closes),
        CASE(continues_as_new),
        CASE(a_parent_waits_for_the_last_run_of_a_child),
        CASE(queries_an_idle_run_and_a_closed_one),
        CASE(a_query_rides_on_a_task),
        CASE(a_query_nobody_answers_times_out),
        CASE(history_comes_in_pages),
        CASE(history_waits_for_new_events),
        CASE(lists_in_pages),
        CASE(deletes),
        CASE(too_long_a_history_ends_the_run),
        CASE(an_eager_activity_comes_with_the_answer),
        CASE(an_eager_activity_in_vain_is_none),
        CASE(a_start_brings_the_first_task),
        CASE(draining_answers_polls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
