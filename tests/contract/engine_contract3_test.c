/* The contract of an engine, third part: what SDKs and other programs of Temporal's need beside what our own
 * workers use: details of errors, callers that go away, updates, answers by id, reset. */
#include "contract.h"
#include "lab_update.h"

#include <unistd.h>

/* --- details of errors ---------------------------------------------------------------------------- */

static void errors_carry_details(void **state)
{
    struct lab *l = *state;
    struct err err = {0};
    const char *run = lab_start(l, &(struct lab_start){.id = "a", .request_id = "r1"});
    assert_int_equal(lab_try_start(l, &(struct lab_start){.id = "a", .request_id = "r2"}, NULL, &err), -ERR_EXISTS);
    assert_non_null(l->detail);
    assert_string_equal(engine_detail_name(l->detail->descriptor),
                        "temporal.api.errordetails.v1.WorkflowExecutionAlreadyStartedFailure");
    Pb__ErrorDetailWorkflowExecutionAlreadyStarted *there = (void *)l->detail;
    assert_string_equal(there->run_id, run);
    assert_string_equal(there->start_request_id, "r1");
    struct lab other = {.engine = l->engine, .ns = "nowhere"};
    assert_int_equal(lab_try_start(&other, &(struct lab_start){.id = "a"}, NULL, &err), -ERR_NOT_FOUND);
    assert_string_equal(engine_detail_name(other.detail->descriptor),
                        "temporal.api.errordetails.v1.NamespaceNotFoundFailure");
    assert_string_equal(((Pb__ErrorDetailNamespaceNotFound *)other.detail)->namespace_, "nowhere");
    assert_int_equal(lab_try_signal(l, "absent", "s", NULL, NULL), -ERR_NOT_FOUND);
    assert_string_equal(engine_detail_name(l->detail->descriptor), "temporal.api.errordetails.v1.NotFoundFailure");
}

/* --- callers that go away ------------------------------------------------------------------------- */

static struct lab_pending *begin_poll(struct lab *l, const char *queue)
{
    Pb__PollWorkflowTaskQueueRequest q = PB__POLL_WORKFLOW_TASK_QUEUE_REQUEST__INIT;
    Pb__TaskQueue name = PB__TASK_QUEUE__INIT;
    name.name = (char *)queue;
    q.namespace_ = (char *)l->ns;
    q.task_queue = &name;
    return lab_begin(l, ENGINE_POLL_WORKFLOW_TASK, &q, 30000);
}

static void a_poll_whose_caller_has_gone_gets_no_task(void **state)
{
    struct lab *l = *state;
    struct lab_pending *polls[5];
    struct err err = {0};
    for (int i = 0; i < 5; i++)
        polls[i] = begin_poll(l, LAB_QUEUE);
    for (int i = 0; i < 4; i++)
        lab_leave(polls[(i * 2) % 5]); /* from both ends and the middle */
    lab_leave(polls[0]); /* again: it is answered already */
    if (l->remote)
        usleep(1000000); /* a cluster hands tasks to callers that are just leaving */
    lab_start_id(l, "a");
    Pb__PollWorkflowTaskQueueResponse *t = NULL;
    for (int i = 0; i < 4; i++)
        assert_int_equal(lab_end(polls[(i * 2) % 5], NULL, &err), -ERR_CANCELLED);
    assert_int_equal(lab_end(polls[3], &t, &err), 0);
    assert_non_null(t->workflow_execution);
    assert_string_equal(t->workflow_execution->workflow_id, "a");
    struct lab_pending *query = lab_begin_query(l, "a", "state");
    lab_leave(query);
    assert_int_equal(lab_end(query, NULL, &err), -ERR_CANCELLED);
    lab_complete(l, t, cmd_complete(NULL));
}

static void many_callers_may_go(void **state)
{
    struct lab *l = *state;
    const int N = l->remote ? 100 : 2000; /* a cluster lets fewer poll at a time */
    struct lab_pending **polls = calloc((size_t)N, sizeof(struct lab_pending *));
    for (int i = 0; i < N; i++)
        polls[i] = begin_poll(l, LAB_QUEUE);
    for (int i = 0; i < N - 1; i++)
        lab_leave(polls[i]);
    lab_start_id(l, "a");
    Pb__PollWorkflowTaskQueueResponse *t = NULL;
    for (int i = 0; i < N - 1; i++)
        assert_int_equal(lab_end(polls[i], NULL, NULL), -ERR_CANCELLED);
    if (l->remote) /* a cluster may have handed the task to one that was just leaving */
        lab_leave(polls[N - 1]);
    int r = lab_end(polls[N - 1], &t, NULL);
    if (!l->remote) {
        assert_int_equal(r, 0);
        assert_true(t->task_token.len > 0);
    }
    free(polls);
}

#define FIRST_TASK "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted"

/* --- updates ---------------------------------------------------------------------------------------- */

#define ANSWER(l, t, last, ...)                                                                                        \
    assert_int_equal(lab_answer(l, t, (Pb__ProtocolMessage *[]){__VA_ARGS__},                                              \
                            sizeof((Pb__ProtocolMessage *[]){__VA_ARGS__}) / sizeof(Pb__ProtocolMessage *), last,      \
                            NULL, NULL),                                                                               \
                     0)

/* A run that waits. */
static const char *idle(struct lab *l, const char *id)
{
    const char *run = lab_start_id(l, id);
    lab_complete(l, lab_poll(l));
    return run;
}

static void an_update_is_accepted_and_completed(void **state)
{
    struct lab *l = *state;
    const char *run = idle(l, "a");
    struct lab_pending *p = lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED));
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    assert_int_equal(t->n_messages, 1);
    assert_string_equal(t->messages[0]->id, "u1/request");
    assert_string_equal(t->messages[0]->protocol_instance_id, "u1");
    assert_int_equal(t->messages[0]->sequencing_id_case, PB__PROTOCOL_MESSAGE__SEQUENCING_ID_EVENT_ID);
    assert_int_equal(t->messages[0]->event_id, t->started_event_id - 1);
    assert_string_equal(t->messages[0]->body->type_url, "type.googleapis.com/temporal.api.update.v1.Request");
    Pb__UpdateRequest *r = pb__update_request__unpack(NULL, t->messages[0]->body->value.len,
                                                      t->messages[0]->body->value.data);
    assert_string_equal(r->input->name, "set");
    assert_string_equal(r->meta->update_id, "u1");
    assert_string_equal(lab_text(r->input->args), "5");
    pb__update_request__free_unpacked(r, NULL);
    ANSWER(l, t, NULL, lab_accept("u1", t), lab_completed("u1", "\"done\""));
    Pb__UpdateWorkflowExecutionResponse *u = lab_end_update(p);
    assert_int_equal(u->stage, STAGE(COMPLETED));
    assert_string_equal(lab_text(u->outcome->success), "\"done\"");
    assert_string_equal(u->update_ref->update_id, "u1");
    assert_string_equal(u->update_ref->workflow_execution->run_id, run);
    lab_expect_history(l, "a", NULL, START TASK "WorkflowExecutionUpdateAccepted WorkflowExecutionUpdateCompleted");
    const Pb__WorkflowExecutionUpdateAcceptedEventAttributes *a =
        lab_event(l, "a", NULL, EVENT(WORKFLOW_EXECUTION_UPDATE_ACCEPTED))
            ->workflow_execution_update_accepted_event_attributes;
    assert_string_equal(a->protocol_instance_id, "u1");
    assert_string_equal(a->accepted_request_message_id, "u1/request");
    assert_int_equal(a->accepted_request_sequencing_event_id, 5);
    assert_string_equal(lab_text(a->accepted_request->input->args), "5");
    const Pb__WorkflowExecutionUpdateCompletedEventAttributes *c =
        lab_event(l, "a", NULL, EVENT(WORKFLOW_EXECUTION_UPDATE_COMPLETED))
            ->workflow_execution_update_completed_event_attributes;
    assert_int_equal(c->accepted_event_id, 8);
    assert_string_equal(c->meta->update_id, "u1");
    /* The same update again is answered with what came of it, also when the run has closed. */
    assert_string_equal(lab_text(lab_end_update(lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED)))->outcome->success),
                        "\"done\"");
    lab_signal(l, "a", "s");
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    assert_string_equal(lab_text(lab_end_update(lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED)))->outcome->success),
                        "\"done\"");
    Pb__PollWorkflowExecutionUpdateResponse *polled;
    assert_int_equal(lab_poll_update(l, "a", run, "u1", STAGE(COMPLETED), &polled), 0);
    assert_string_equal(lab_text(polled->outcome->success), "\"done\"");
    assert_int_equal(lab_poll_update(l, "a", run, "u2", STAGE(COMPLETED), &polled), -ERR_NOT_FOUND);
    assert_int_equal(lab_end(lab_begin_update(l, "a", NULL, "u2", STAGE(COMPLETED)), NULL, NULL), -ERR_NOT_FOUND);
}

static void a_rejected_update_leaves_nothing(void **state)
{
    struct lab *l = *state;
    idle(l, "a");
    struct lab_pending *p = lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED));
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    Pb__ProtocolMessage *m = lab_reject("u1", t);
    Pb__RespondWorkflowTaskCompletedResponse *done;
    assert_int_equal(lab_answer(l, t, &m, 1, NULL, &done, NULL), 0);
    assert_int_equal(done->reset_history_event_id, 3);
    Pb__UpdateWorkflowExecutionResponse *u = lab_end_update(p);
    assert_int_equal(u->stage, STAGE(COMPLETED));
    assert_string_equal(u->outcome->failure->message, "not that");
    lab_expect_history(l, "a", NULL, FIRST_TASK);
    /* The run goes on as if nothing had been. */
    lab_signal(l, "a", "s");
    t = lab_poll(l);
    assert_int_equal(t->started_event_id, 7);
    assert_int_equal(t->n_messages, 0);
    lab_complete(l, t, cmd_complete(NULL));
    lab_expect_history(l, "a", NULL, START "WorkflowExecutionSignaled " TASK "WorkflowExecutionCompleted");
}

static void an_update_is_accepted_first_and_completed_later(void **state)
{
    struct lab *l = *state;
    idle(l, "a");
    struct lab_pending *p = lab_begin_update(l, "a", NULL, "u1", STAGE(ACCEPTED));
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    ANSWER(l, t, NULL, lab_accept("u1", t));
    Pb__UpdateWorkflowExecutionResponse *u = lab_end_update(p);
    assert_int_equal(u->stage, STAGE(ACCEPTED));
    assert_null(u->outcome);
    Pb__PollWorkflowExecutionUpdateResponse *polled;
    assert_int_equal(lab_poll_update(l, "a", NULL, "u1", STAGE(UNSPECIFIED), &polled), 0);
    assert_int_equal(polled->stage, STAGE(ACCEPTED));
    p = lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED)); /* joins it */
    lab_signal(l, "a", "s");
    t = lab_poll(l);
    assert_int_equal(t->n_messages, 0);
    ANSWER(l, t, cmd_complete(NULL), lab_completed("u1", "7"));
    assert_string_equal(lab_text(lab_end_update(p)->outcome->success), "7");
    lab_expect_history(l, "a", NULL,
                       START TASK "WorkflowExecutionUpdateAccepted WorkflowExecutionSignaled " TASK
                                  "WorkflowExecutionUpdateCompleted WorkflowExecutionCompleted");
}

static void an_update_rides_on_the_first_task(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    struct lab_pending *one = lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED));
    struct lab_pending *two = lab_begin_update(l, "a", NULL, "u2", STAGE(COMPLETED));
    Pb__PollWorkflowTaskQueueResponse *t;
    do { /* both were sent before the poll, but they come over connections of their own */
        t = lab_poll(l);
        if (t->n_messages == 2)
            break;
        ANSWER(l, t, NULL, lab_accept("u1", t), lab_completed("u1", "1"));
        t = lab_poll(l);
    } while (0);
    if (t->n_messages == 2) {
        ANSWER(l, t, NULL, lab_accept("u1", t), lab_completed("u1", "1"), lab_reject("u2", t));
        lab_expect_history(l, "a", NULL, START "WorkflowExecutionUpdateAccepted WorkflowExecutionUpdateCompleted");
    } else {
        ANSWER(l, t, NULL, lab_reject("u2", t));
    }
    assert_string_equal(lab_text(lab_end_update(one)->outcome->success), "1");
    assert_string_equal(lab_end_update(two)->outcome->failure->message, "not that");
    assert_true(lab_no_task(l));
}

static void an_update_survives_a_task_that_fails(void **state)
{
    struct lab *l = *state;
    idle(l, "a");
    struct lab_pending *p = lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED));
    assert_int_equal(lab_fail_task(l, lab_poll(l), "worker trouble"), 0);
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    assert_int_equal(t->attempt, 2);
    assert_int_equal(t->n_messages, 1);
    ANSWER(l, t, NULL, lab_accept("u1", t), lab_completed("u1", "1"));
    assert_string_equal(lab_text(lab_end_update(p)->outcome->success), "1");
    lab_expect_history(l, "a", NULL,
                       START "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskFailed " TASK
                             "WorkflowExecutionUpdateAccepted WorkflowExecutionUpdateCompleted");
}

static void an_event_makes_an_updates_task_an_ordinary_one(void **state)
{
    struct lab *l = *state;
    idle(l, "a");
    struct lab_pending *p = lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED));
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    lab_signal(l, "a", "s");
    ANSWER(l, t, NULL, lab_reject("u1", t));
    assert_string_equal(lab_end_update(p)->outcome->failure->message, "not that");
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    lab_expect_history(l, "a", NULL,
                       START TASK "WorkflowExecutionSignaled " TASK "WorkflowExecutionCompleted");
}

static void a_worker_that_ignores_an_update_rejects_it(void **state)
{
    struct lab *l = *state;
    idle(l, "a");
    struct lab_pending *p = lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED));
    lab_complete(l, lab_poll(l), cmd_timer("t", 60000));
    Pb__UpdateWorkflowExecutionResponse *u = lab_end_update(p);
    assert_string_equal(u->outcome->failure->application_failure_info->type, "UnprocessedUpdate");
    lab_expect_history(l, "a", NULL, START TASK "TimerStarted");
}

static void closing_a_run_ends_its_updates(void **state)
{
    struct lab *l = *state;
    idle(l, "a");
    struct lab_pending *one = lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED));
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    ANSWER(l, t, NULL, lab_accept("u1", t));
    struct lab_pending *two = lab_begin_update(l, "a", NULL, "u2", STAGE(COMPLETED));
    t = lab_poll(l);
    assert_int_equal(t->n_messages, 1);
    assert_int_equal(lab_try_terminate(l, "a", "enough"), 0);
    assert_int_equal(lab_end(two, NULL, NULL), -ERR_NOT_FOUND);
    Pb__UpdateWorkflowExecutionResponse *u = lab_end_update(one);
    assert_int_equal(u->stage, STAGE(COMPLETED));
    assert_string_equal(u->outcome->failure->application_failure_info->type, "AcceptedUpdateCompletedWorkflow");
    /* Whoever asks later is told the same. */
    u = lab_end_update(lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED)));
    assert_string_equal(u->outcome->failure->application_failure_info->type, "AcceptedUpdateCompletedWorkflow");
}

static void an_update_goes_to_the_run_that_continues(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    struct lab_pending *p = lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED));
    lab_no_task(l); /* the update is there before the task is answered */
    lab_complete(l, t, cmd_continue(NULL));
    t = lab_poll(l);
    while (!t->n_messages) { /* on the new run it may come a task later */
        lab_complete(l, t);
        t = lab_poll(l);
    }
    ANSWER(l, t, cmd_complete(NULL), lab_accept("u1", t), lab_completed("u1", "1"));
    Pb__UpdateWorkflowExecutionResponse *u = lab_end_update(p);
    assert_string_equal(lab_text(u->outcome->success), "1");
    assert_string_equal(u->update_ref->workflow_execution->run_id, t->workflow_execution->run_id);
}

static void bad_messages_fail_the_task(void **state)
{
    struct lab *l = *state;
    idle(l, "a");
    struct lab_pending *p = lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED));
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    Pb__ProtocolMessage *m = lab_completed("u1", "1"); /* before it is accepted */
    assert_int_equal(lab_answer(l, t, &m, 1, NULL, NULL, NULL), -ERR_INVALID);
    const Pb__HistoryEvent *failed = lab_event(l, "a", NULL, EVENT(WORKFLOW_TASK_FAILED));
    assert_int_equal(
        failed->workflow_task_failed_event_attributes->cause,
        PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE);
    assert_int_equal(lab_try_terminate(l, "a", "enough"), 0);
    assert_int_not_equal(lab_end(p, NULL, NULL), 0);
}

static void bad_updates_are_refused(void **state)
{
    struct lab *l = *state;
    idle(l, "a");
    assert_int_equal(lab_end(lab_begin_update(l, "absent", NULL, "u", STAGE(COMPLETED)), NULL, NULL), -ERR_NOT_FOUND);
    assert_int_equal(lab_end(lab_begin_update(l, "a", NULL, "u", STAGE(ADMITTED)), NULL, NULL), -ERR_PERMISSION);
    char long_id[ENGINE_ID_MAX + 2];
    memset(long_id, 'i', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = 0;
    assert_int_equal(lab_end(lab_begin_update(l, "a", NULL, long_id, STAGE(COMPLETED)), NULL, NULL), -ERR_INVALID);
    lab_expect_history(l, "a", NULL, FIRST_TASK);
}

static void many_updates_at_a_time_are_refused(void **state)
{
    struct lab *l = *state;
    struct lab_pending *p[11];
    idle(l, "a");
    for (int i = 0; i < 11; i++) {
        char id[8];
        snprintf(id, sizeof id, "u%d", i);
        p[i] = lab_begin_update(l, "a", NULL, id, STAGE(COMPLETED));
    }
    size_t refused = lab_first(p, 11);
    assert_int_equal(lab_end(p[refused], NULL, NULL), -ERR_LIMIT);
    p[refused] = p[10];
    assert_int_equal(lab_try_terminate(l, "a", "enough"), 0);
    for (int i = 0; i < 10; i++) {
        int r = lab_end(p[i], NULL, NULL);
        assert_true(r == -ERR_NOT_FOUND || (l->remote && r == -ERR_BUSY)); /* a cluster may be busy with the end */
    }
}

/* --- start and update in one ----------------------------------------------------------------------- */

static struct lab_pending *begin_multi(struct lab *l, const char *id, const char *update_id,
                                       Pb__WorkflowIdConflictPolicy conflict)
{
    Pb__ExecuteMultiOperationRequest q = PB__EXECUTE_MULTI_OPERATION_REQUEST__INIT;
    Pb__ExecuteMultiOperationRequestOperation one = PB__EXECUTE_MULTI_OPERATION_REQUEST_OPERATION__INIT, two = one;
    Pb__ExecuteMultiOperationRequestOperation *both[] = {&one, &two};
    Pb__StartWorkflowExecutionRequest s = PB__START_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__UpdateWorkflowExecutionRequest u = PB__UPDATE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    Pb__WorkflowType type = PB__WORKFLOW_TYPE__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    Pb__UpdateWaitPolicy wait = PB__UPDATE_WAIT_POLICY__INIT;
    Pb__UpdateRequest r = PB__UPDATE_REQUEST__INIT;
    Pb__UpdateMeta meta = PB__UPDATE_META__INIT;
    Pb__UpdateInput input = PB__UPDATE_INPUT__INIT;
    q.namespace_ = s.namespace_ = u.namespace_ = (char *)l->ns;
    s.workflow_id = x.workflow_id = (char *)id;
    type.name = (char *)"wf";
    queue.name = (char *)LAB_QUEUE;
    s.workflow_type = &type;
    s.task_queue = &queue;
    s.workflow_id_conflict_policy = conflict;
    char request_id[64];
    snprintf(request_id, sizeof request_id, "start-%s-%s", id, update_id);
    s.request_id = request_id;
    meta.update_id = (char *)update_id;
    input.name = (char *)"set";
    r.meta = &meta;
    r.input = &input;
    wait.lifecycle_stage = STAGE(COMPLETED);
    u.workflow_execution = &x;
    u.wait_policy = &wait;
    u.request = &r;
    one.operation_case = PB__EXECUTE_MULTI_OPERATION_REQUEST_OPERATION__OPERATION_START_WORKFLOW;
    one.start_workflow = &s;
    two.operation_case = PB__EXECUTE_MULTI_OPERATION_REQUEST_OPERATION__OPERATION_UPDATE_WORKFLOW;
    two.update_workflow = &u;
    q.operations = both;
    q.n_operations = 2;
    return lab_begin(l, ENGINE_MULTI_OPERATION, &q, 15000);
}

static void updates_with_start(void **state)
{
    struct lab *l = *state;
    struct lab_pending *p =
        begin_multi(l, "a", "u1", PB__WORKFLOW_ID_CONFLICT_POLICY__WORKFLOW_ID_CONFLICT_POLICY_FAIL);
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    assert_int_equal(t->n_messages, 1);
    ANSWER(l, t, NULL, lab_accept("u1", t), lab_completed("u1", "1"));
    Pb__ExecuteMultiOperationResponse *r = NULL;
    struct err err = {0};
    assert_int_equal(lab_end(p, &r, &err), 0);
    assert_int_equal(r->n_responses, 2);
    assert_true(r->responses[0]->start_workflow->started);
    assert_string_equal(r->responses[0]->start_workflow->run_id, t->workflow_execution->run_id);
    assert_string_equal(lab_text(r->responses[1]->update_workflow->outcome->success), "1");
    /* It runs: the policy decides. */
    p = begin_multi(l, "a", "u2", PB__WORKFLOW_ID_CONFLICT_POLICY__WORKFLOW_ID_CONFLICT_POLICY_FAIL);
    assert_int_equal(lab_end(p, NULL, &err), -ERR_EXISTS);
    Pb__ErrorDetailMultiOperationExecution *d = (void *)l->detail;
    assert_string_equal(engine_detail_name(d->base.descriptor),
                        "temporal.api.errordetails.v1.MultiOperationExecutionFailure");
    assert_int_equal(d->n_statuses, 2);
    assert_int_equal(d->statuses[0]->code, 6);
    assert_int_equal(d->statuses[1]->code, 10);
    p = begin_multi(l, "a", "u3", PB__WORKFLOW_ID_CONFLICT_POLICY__WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING);
    t = lab_poll(l);
    ANSWER(l, t, NULL, lab_accept("u3", t), lab_completed("u3", "3"));
    assert_int_equal(lab_end(p, &r, &err), 0);
    assert_false(r->responses[0]->start_workflow->started);
    assert_string_equal(lab_text(r->responses[1]->update_workflow->outcome->success), "3");
    lab_expect_history(l, "a", NULL,
                       START "WorkflowExecutionUpdateAccepted WorkflowExecutionUpdateCompleted " TASK
                             "WorkflowExecutionUpdateAccepted WorkflowExecutionUpdateCompleted");
}

/* --- activities by id, namespaces, the system -------------------------------------------------------- */

static void activities_are_answered_by_id(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1"}),
                 cmd_activity(&(struct lab_activity){.id = "2", .attempts = 1}),
                 cmd_activity(&(struct lab_activity){.id = "3"}));
    for (int i = 0; i < 3; i++)
        lab_poll_activity(l);
    Pb__RespondActivityTaskCompletedByIdRequest done = PB__RESPOND_ACTIVITY_TASK_COMPLETED_BY_ID_REQUEST__INIT;
    done.namespace_ = (char *)l->ns;
    done.workflow_id = (char *)"a";
    done.activity_id = (char *)"1";
    done.result = lab_payloads("1");
    assert_int_equal(lab_call(l, ENGINE_COMPLETE_ACTIVITY_BY_ID, &done, 0, NULL, NULL), 0);
    assert_int_equal(lab_call(l, ENGINE_COMPLETE_ACTIVITY_BY_ID, &done, 0, NULL, NULL), -ERR_NOT_FOUND);
    Pb__RespondActivityTaskFailedByIdRequest failed = PB__RESPOND_ACTIVITY_TASK_FAILED_BY_ID_REQUEST__INIT;
    Pb__Failure f = PB__FAILURE__INIT;
    f.message = (char *)"no";
    failed.namespace_ = (char *)l->ns;
    failed.workflow_id = (char *)"a";
    failed.activity_id = (char *)"2";
    failed.failure = &f;
    assert_int_equal(lab_call(l, ENGINE_FAIL_ACTIVITY_BY_ID, &failed, 0, NULL, NULL), 0);
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    lab_complete(l, t, cmd_cancel_activity(7));
    Pb__RecordActivityTaskHeartbeatByIdRequest beat = PB__RECORD_ACTIVITY_TASK_HEARTBEAT_BY_ID_REQUEST__INIT;
    Pb__RecordActivityTaskHeartbeatByIdResponse *told;
    beat.namespace_ = (char *)l->ns;
    beat.workflow_id = (char *)"a";
    beat.activity_id = (char *)"3";
    assert_int_equal(lab_call(l, ENGINE_HEARTBEAT_BY_ID, &beat, 0, &told, NULL), 0);
    assert_true(told->cancel_requested);
    Pb__RespondActivityTaskCanceledByIdRequest canceled = PB__RESPOND_ACTIVITY_TASK_CANCELED_BY_ID_REQUEST__INIT;
    canceled.namespace_ = (char *)l->ns;
    canceled.workflow_id = (char *)"a";
    canceled.activity_id = (char *)"3";
    assert_int_equal(lab_call(l, ENGINE_CANCEL_ACTIVITY_BY_ID, &canceled, 0, NULL, NULL), 0);
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    assert_int_equal(lab_status(l, "a", NULL), STATUS(COMPLETED));
}

static void history_comes_backwards(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_marker("m"), cmd_marker("n"), cmd_complete(NULL)); /* 7 events */
    Pb__GetWorkflowExecutionHistoryReverseRequest q = PB__GET_WORKFLOW_EXECUTION_HISTORY_REVERSE_REQUEST__INIT;
    Pb__GetWorkflowExecutionHistoryReverseResponse *r;
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    x.workflow_id = (char *)"a";
    q.namespace_ = (char *)l->ns;
    q.execution = &x;
    int64_t expected = 7;
    do {
        assert_int_equal(lab_call(l, ENGINE_GET_HISTORY_REVERSE, &q, 0, &r, NULL), 0);
        for (size_t i = 0; i < r->history->n_events; i++)
            assert_int_equal(r->history->events[i]->event_id, expected--);
        q.next_page_token = r->next_page_token;
        q.maximum_page_size = 3;
    } while (r->next_page_token.len);
    assert_int_equal(expected, 0);
}

static void the_system_describes_itself(void **state)
{
    struct lab *l = *state;
    Pb__GetSystemInfoRequest s = PB__GET_SYSTEM_INFO_REQUEST__INIT;
    Pb__GetSystemInfoResponse *sr;
    assert_int_equal(lab_call(l, ENGINE_GET_SYSTEM_INFO, &s, 0, &sr, NULL), 0);
    assert_true(*sr->server_version && sr->capabilities->sdk_metadata && sr->capabilities->upsert_memo);
    Pb__GetClusterInfoRequest c = PB__GET_CLUSTER_INFO_REQUEST__INIT;
    Pb__GetClusterInfoResponse *cr;
    assert_int_equal(lab_call(l, ENGINE_GET_CLUSTER_INFO, &c, 0, &cr, NULL), 0);
    assert_true(*cr->server_version && *cr->cluster_id && *cr->cluster_name);
    Pb__UpdateNamespaceRequest n = PB__UPDATE_NAMESPACE_REQUEST__INIT;
    Pb__UpdateNamespaceInfo info = PB__UPDATE_NAMESPACE_INFO__INIT;
    Pb__UpdateNamespaceResponse *nr;
    n.namespace_ = (char *)l->ns;
    n.update_info = &info;
    info.description = (char *)"new words";
    assert_int_equal(lab_call(l, ENGINE_UPDATE_NAMESPACE, &n, 0, &nr, NULL), 0);
    assert_string_equal(nr->namespace_info->description, "new words");
    n.namespace_ = (char *)"nowhere";
    assert_int_equal(lab_call(l, ENGINE_UPDATE_NAMESPACE, &n, 0, NULL, NULL), -ERR_NOT_FOUND);
}

static Pb__DescribeNamespaceResponse *describe_namespace(struct lab *l, const char *name)
{
    Pb__DescribeNamespaceRequest q = PB__DESCRIBE_NAMESPACE_REQUEST__INIT;
    Pb__DescribeNamespaceResponse *r;
    q.namespace_ = (char *)name;
    assert_int_equal(lab_call(l, ENGINE_DESCRIBE_NAMESPACE, &q, 0, &r, NULL), 0);
    return r;
}

static void a_namespace_keeps_what_it_was_given(void **state)
{
    struct lab *l = *state;
    Pb__UpdateNamespaceRequest n = PB__UPDATE_NAMESPACE_REQUEST__INIT;
    Pb__UpdateNamespaceInfo info = PB__UPDATE_NAMESPACE_INFO__INIT;
    Pb__UpdateNamespaceInfo__DataEntry one = PB__UPDATE_NAMESPACE_INFO__DATA_ENTRY__INIT, *data[] = {&one};
    Pb__NamespaceConfig config = PB__NAMESPACE_CONFIG__INIT;
    assert_int_equal(describe_namespace(l, l->ns)->config->workflow_execution_retention_ttl->seconds, 86400);
    one.key = (char *)"team";
    one.value = (char *)"red";
    info.owner_email = (char *)"someone@example.org";
    info.data = data;
    info.n_data = 1;
    config.workflow_execution_retention_ttl = lab_duration_ms(INT64_C(7) * 86400000);
    n.namespace_ = (char *)l->ns;
    n.update_info = &info;
    n.config = &config;
    assert_int_equal(lab_call(l, ENGINE_UPDATE_NAMESPACE, &n, 0, NULL, NULL), 0);
    one.key = (char *)"floor";
    one.value = (char *)"2";
    info.owner_email = (char *)"";
    n.config = NULL;
    assert_int_equal(lab_call(l, ENGINE_UPDATE_NAMESPACE, &n, 0, NULL, NULL), 0);
    const Pb__DescribeNamespaceResponse *r = describe_namespace(l, l->ns);
    assert_int_equal(r->config->workflow_execution_retention_ttl->seconds, 7 * 86400);
    assert_string_equal(r->namespace_info->owner_email, "someone@example.org");
    assert_int_equal(r->namespace_info->n_data, 2);
    assert_string_equal(r->namespace_info->name, l->ns);
}

static int add_attribute(struct lab *l, const char *name, Pb__IndexedValueType type)
{
    Pb__AddSearchAttributesRequest q = PB__ADD_SEARCH_ATTRIBUTES_REQUEST__INIT;
    Pb__AddSearchAttributesRequest__SearchAttributesEntry a = PB__ADD_SEARCH_ATTRIBUTES_REQUEST__SEARCH_ATTRIBUTES_ENTRY__INIT,
                                                          *list[] = {&a};
    a.key = (char *)name;
    a.value = type;
    q.namespace_ = (char *)l->ns;
    q.search_attributes = list;
    q.n_search_attributes = 1;
    return lab_call(l, ENGINE_ADD_SEARCH_ATTRIBUTES, &q, 0, NULL, NULL);
}

/* The type under which it is listed; 0: it is not. */
static int listed_attribute(struct lab *l, const char *name)
{
    Pb__ListSearchAttributesRequest q = PB__LIST_SEARCH_ATTRIBUTES_REQUEST__INIT;
    Pb__ListSearchAttributesResponse *r;
    q.namespace_ = (char *)l->ns;
    assert_int_equal(lab_call(l, ENGINE_LIST_SEARCH_ATTRIBUTES, &q, 0, &r, NULL), 0);
    assert_true(r->n_system_attributes >= 6);
    for (size_t i = 0; i < r->n_custom_attributes; i++)
        if (strcmp(r->custom_attributes[i]->key, name) == 0)
            return (int)r->custom_attributes[i]->value;
    return 0;
}

static bool becomes_listed(struct lab *l, const char *name, int type)
{
    int64_t end = os_now_ns() + INT64_C(30) * 1000000000;
    while (listed_attribute(l, name) != type && os_now_ns() < end) /* a cluster's caches are behind */
        os_sleep_ms(l->remote ? 200 : 1);
    return listed_attribute(l, name) == type;
}

static void search_attributes_are_registered(void **state)
{
    struct lab *l = *state;
    Pb__IndexedValueType keyword = PB__INDEXED_VALUE_TYPE__INDEXED_VALUE_TYPE_KEYWORD;
    Pb__IndexedValueType number = PB__INDEXED_VALUE_TYPE__INDEXED_VALUE_TYPE_INT;
    assert_int_equal(add_attribute(l, "CodeOwner", keyword), 0);
    assert_int_equal(add_attribute(l, "Rank", number), 0);
    assert_true(becomes_listed(l, "CodeOwner", (int)keyword));
    assert_true(becomes_listed(l, "Rank", (int)number));
    assert_int_equal(add_attribute(l, "WorkflowId", keyword), -ERR_INVALID);
    Pb__RemoveSearchAttributesRequest q = PB__REMOVE_SEARCH_ATTRIBUTES_REQUEST__INIT;
    char *names[] = {(char *)"CodeOwner"};
    q.namespace_ = (char *)l->ns;
    q.search_attributes = names;
    q.n_search_attributes = 1;
    assert_int_equal(lab_call(l, ENGINE_REMOVE_SEARCH_ATTRIBUTES, &q, 0, NULL, NULL), 0);
    assert_true(becomes_listed(l, "CodeOwner", 0));
    Pb__ListClustersRequest c = PB__LIST_CLUSTERS_REQUEST__INIT;
    Pb__ListClustersResponse *clusters;
    assert_int_equal(lab_call(l, ENGINE_LIST_CLUSTERS, &c, 0, &clusters, NULL), 0);
    assert_true(clusters->n_clusters == 1 && *clusters->clusters[0]->cluster_name && *clusters->clusters[0]->cluster_id);
}

static void a_namespace_is_deleted(void **state)
{
    struct lab *l = *state;
    const char *ns = contract_namespace(l, "goes");
    struct lab team = {.engine = l->engine, .ns = ns, .remote = l->remote};
    Pb__DeleteNamespaceRequest q = PB__DELETE_NAMESPACE_REQUEST__INIT;
    Pb__DeleteNamespaceResponse *r;
    if (!l->remote)
        lab_start_id(&team, "open");
    q.namespace_ = (char *)ns;
    assert_int_equal(lab_call(l, ENGINE_DELETE_NAMESPACE, &q, 0, &r, NULL), 0);
    assert_string_not_equal(r->deleted_namespace, ns);
    int64_t end = os_now_ns() + INT64_C(30) * 1000000000;
    while (lab_try_start(&team, &(struct lab_start){.id = "late"}, NULL, NULL) == 0 && os_now_ns() < end)
        os_sleep_ms(200);
    assert_int_equal(lab_try_start(&team, &(struct lab_start){.id = "late"}, NULL, NULL), -ERR_NOT_FOUND);
    q.namespace_ = (char *)"nowhere";
    assert_int_equal(lab_call(l, ENGINE_DELETE_NAMESPACE, &q, 0, NULL, NULL), -ERR_NOT_FOUND);
}

/* A worker that says it goes: what was meant for its cache is for others at once. */
static void a_worker_that_shuts_down_leaves_its_sticky_queue(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    struct lab_complete sticky = {.sticky = "mine", .sticky_ms = 60000};
    assert_int_equal(lab_try_complete(l, lab_poll(l), &sticky, NULL, 0, NULL, NULL), 0);
    lab_poll_on(l, "mine", LAB_QUEUE, 50); /* somebody is there */
    if (!l->remote)
        lab_signal(l, "a", "s"); /* a task that waits there already goes over too; a cluster lets it time out */
    Pb__ShutdownWorkerRequest q = PB__SHUTDOWN_WORKER_REQUEST__INIT;
    q.namespace_ = (char *)l->ns;
    q.sticky_task_queue = (char *)"mine";
    q.identity = (char *)"worker";
    assert_int_equal(lab_call(l, ENGINE_SHUTDOWN_WORKER, &q, 0, NULL, NULL), 0);
    lab_signal(l, "a", "s");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    assert_int_equal(t->history->events[0]->event_id, 1);
    lab_complete(l, t, cmd_complete(NULL));
}

/* --- reset ---------------------------------------------------------------------------------------------- */

static void a_run_begins_anew_from_a_task(void **state)
{
    struct lab *l = *state;
    const char *first = lab_start_id(l, "a"), *second, *again;
    /* 5 ActivityTaskScheduled, 6 TimerStarted */
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1", .input = "[1]"}),
                 cmd_timer("t", 60000));
    lab_signal(l, "a", "early"); /* 7, 8 Scheduled, 9 Started, 10 Completed, 11 MarkerRecorded */
    lab_complete(l, lab_poll(l), cmd_marker("m"));
    lab_signal(l, "a", "late"); /* 12, 13 Scheduled, 14 Started, 15 Completed */
    lab_complete(l, lab_poll(l), cmd_complete("1"));
    assert_int_equal(lab_status(l, "a", first), STATUS(COMPLETED));
    assert_int_equal(lab_reset(l, "a", NULL, 1, "r0", NULL), -ERR_INVALID);
    assert_int_equal(lab_reset(l, "a", NULL, 99, "r0", NULL), -ERR_INVALID);
    assert_int_equal(lab_reset(l, "a", NULL, 7, "r0", NULL), -ERR_INVALID); /* no task ends there */
    assert_int_equal(lab_reset(l, "a", NULL, 10, "r1", &second), 0);
    assert_string_not_equal(first, second);
    lab_expect_history(l, "a", second,
                       START "ActivityTaskScheduled TimerStarted WorkflowExecutionSignaled WorkflowTaskScheduled "
                             "WorkflowTaskStarted WorkflowTaskFailed WorkflowExecutionSignaled WorkflowTaskScheduled");
    const Pb__WorkflowTaskFailedEventAttributes *f =
        lab_event(l, "a", second, EVENT(WORKFLOW_TASK_FAILED))->workflow_task_failed_event_attributes;
    assert_int_equal(f->cause, PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW);
    assert_string_equal(f->base_run_id, first);
    assert_string_equal(f->new_run_id, second);
    assert_string_equal(f->failure->message, "once more");
    assert_string_equal(lab_event(l, "a", second, EVENT(WORKFLOW_EXECUTION_SIGNALED))
                            ->workflow_execution_signaled_event_attributes->signal_name,
                        "late");
    /* The same request again is answered with the same run. */
    assert_int_equal(lab_reset(l, "a", NULL, 10, "r1", &again), 0);
    assert_string_equal(again, second);
    /* What was pending at that point is pending again. */
    Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
    if (strcmp(a->workflow_execution->run_id, second) != 0)
        a = lab_poll_activity(l); /* the first run's task may have been waiting still */
    assert_string_equal(a->workflow_execution->run_id, second);
    assert_string_equal(lab_text(a->input), "[1]");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    assert_string_equal(t->workflow_execution->run_id, second);
    assert_int_equal(t->previous_started_event_id, 3);
    lab_complete(l, t, cmd_cancel_timer("t"));
    assert_int_equal(lab_activity_done(l, a, "2"), 0);
    lab_complete(l, lab_poll(l), cmd_complete("2"));
    assert_int_equal(lab_status(l, "a", second), STATUS(COMPLETED));
}

static void a_reset_ends_the_open_run(void **state)
{
    struct lab *l = *state;
    const char *first = lab_start_id(l, "a"), *second;
    lab_complete(l, lab_poll(l), cmd_child("kept", PB__PARENT_CLOSE_POLICY__PARENT_CLOSE_POLICY_TERMINATE));
    Pb__PollWorkflowTaskQueueResponse *t = NULL, *child = NULL;
    while (!t || !child) {
        Pb__PollWorkflowTaskQueueResponse *got = lab_poll(l);
        *(strcmp(got->workflow_execution->workflow_id, "a") == 0 ? &t : &child) = got;
    }
    int64_t finish = t->started_event_id + 1;
    lab_complete(l, t);
    assert_int_equal(lab_reset(l, "a", first, finish, "r1", &second), 0);
    assert_int_equal(lab_status(l, "a", first), STATUS(TERMINATED));
    assert_string_equal(lab_event(l, "a", first, EVENT(WORKFLOW_EXECUTION_TERMINATED))
                            ->workflow_execution_terminated_event_attributes->reason,
                        "once more");
    assert_string_equal(lab_describe(l, "a", first)->workflow_extended_info->reset_run_id, second);
    assert_non_null(lab_describe(l, "a", second)->workflow_extended_info->last_reset_time);
    /* The child goes on, for the run that begins anew. */
    assert_int_equal(lab_status(l, "kept", NULL), STATUS(RUNNING));
    lab_complete(l, child, cmd_complete("7"));
    while (!strstr(lab_history_text(l, "a", second), "ChildWorkflowExecutionCompleted"))
        os_sleep_ms(20); /* it comes while the first task still waits, so that the order of events is the same everywhere */
    t = lab_poll(l);
    assert_string_equal(t->workflow_execution->run_id, second);
    lab_complete(l, t, cmd_complete(NULL));
    assert_int_equal(lab_status(l, "a", second), STATUS(COMPLETED));
}

static void a_reset_applies_updates_again(void **state)
{
    struct lab *l = *state;
    const char *second;
    idle(l, "a");
    struct lab_pending *p = lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED));
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    ANSWER(l, t, NULL, lab_accept("u1", t), lab_completed("u1", "1"));
    lab_end_update(p);
    assert_int_equal(lab_reset(l, "a", NULL, 4, "r1", &second), 0);
    lab_expect_history(l, "a", second,
                       "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskFailed "
                       "WorkflowExecutionUpdateAdmitted WorkflowTaskScheduled");
    t = lab_poll(l);
    assert_int_equal(t->n_messages, 0); /* the event tells it */
    ANSWER(l, t, NULL, lab_accept("u1", t), lab_completed("u1", "2"));
    assert_null(lab_event(l, "a", second, EVENT(WORKFLOW_EXECUTION_UPDATE_ACCEPTED))
                    ->workflow_execution_update_accepted_event_attributes->accepted_request);
    assert_string_equal(lab_text(lab_end_update(lab_begin_update(l, "a", NULL, "u1", STAGE(COMPLETED)))->outcome->success),
                        "2");
}

/* --- search attributes ------------------------------------------------------------------------------------ */

struct attribute {
    Pb__SearchAttributes all;
    Pb__SearchAttributes__IndexedFieldsEntry entry, *list;
};

static const Pb__SearchAttributes *set_attribute(struct attribute *a, const char *name, const char *json)
{
    pb__search_attributes__init(&a->all);
    pb__search_attributes__indexed_fields_entry__init(&a->entry);
    a->entry.key = (char *)name;
    a->entry.value = lab_payloads(json)->payloads[0];
    a->list = &a->entry;
    a->all.indexed_fields = &a->list;
    a->all.n_indexed_fields = 1;
    return &a->all;
}

static int start_with_attribute(struct lab *l, const char *name, const char *json)
{
    struct attribute a;
    char id[64];
    snprintf(id, sizeof id, "%s %s", name, json);
    return lab_try_start(l, &(struct lab_start){.id = id, .attributes = set_attribute(&a, name, json)}, NULL, NULL);
}

static void search_attributes_have_types(void **state)
{
    struct lab *l = *state;
#define TYPE(NAME) PB__INDEXED_VALUE_TYPE__INDEXED_VALUE_TYPE_##NAME
    static const struct {
        const char *name;
        Pb__IndexedValueType type;
        const char *good[4], *bad[4];
    } each[] = {
        {"AnInt", TYPE(INT), {"5", "[5]", "null", NULL}, {"\"5\"", "5.0", "[5, 6]", "{}"}},
        {"AKeyword", TYPE(KEYWORD), {"\"a\"", "[\"a\"]", NULL, NULL}, {"5", "[\"a\", \"b\"]", "true", NULL}},
        {"ADouble", TYPE(DOUBLE), {"5", "5.5", NULL, NULL}, {"\"5\"", "false", NULL, NULL}},
        {"ABool", TYPE(BOOL), {"true", NULL, NULL, NULL}, {"1", "\"true\"", NULL, NULL}},
        {"ATime", TYPE(DATETIME), {"\"2026-01-01T00:00:00Z\"", NULL, NULL, NULL}, {"5", "\"2026-01-01\"", "\"soon\"", NULL}},
        {"AList", TYPE(KEYWORD_LIST), {"[\"a\", \"b\"]", "[]", NULL, NULL}, {"\"a\"", "[\"a\", 5]", NULL, NULL}},
    };
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        assert_int_equal(add_attribute(l, each[i].name, each[i].type), 0);
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        assert_true(becomes_listed(l, each[i].name, (int)each[i].type));
        for (size_t k = 0; k < 4 && each[i].good[k]; k++) {
            int r = start_with_attribute(l, each[i].name, each[i].good[k]);
            for (int tries = 0; r < 0 && l->remote && tries < 100; tries++) { /* starts learn of it later than lists */
                os_sleep_ms(300);
                r = start_with_attribute(l, each[i].name, each[i].good[k]);
            }
            assert_int_equal(r, 0);
        }
        for (size_t k = 0; k < 4 && each[i].bad[k]; k++)
            assert_int_equal(start_with_attribute(l, each[i].name, each[i].bad[k]), -ERR_INVALID);
    }
    assert_int_equal(start_with_attribute(l, "ExecutionStatus", "\"Running\""), -ERR_INVALID);
    assert_int_equal(start_with_attribute(l, "HistoryLength", "5"), -ERR_INVALID);
#undef TYPE
    struct attribute wrong;
    Pb__UpsertWorkflowSearchAttributesCommandAttributes a = PB__UPSERT_WORKFLOW_SEARCH_ATTRIBUTES_COMMAND_ATTRIBUTES__INIT;
    Pb__Command k = PB__COMMAND__INIT;
    a.search_attributes = (Pb__SearchAttributes *)set_attribute(&wrong, "AnInt", "\"5\"");
    k.command_type = PB__COMMAND_TYPE__COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES;
    k.attributes_case = PB__COMMAND__ATTRIBUTES_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES_COMMAND_ATTRIBUTES;
    k.upsert_workflow_search_attributes_command_attributes = &a;
    lab_start(l, &(struct lab_start){.id = "upserts", .queue = "upserts"});
    const Pb__PollWorkflowTaskQueueResponse *t = lab_poll_on(l, "upserts", NULL, 60000);
    assert_non_null(t);
    assert_int_equal(lab_try_complete(l, t, NULL, (Pb__Command *[]){&k}, 1, NULL, NULL), -ERR_INVALID);
    const Pb__HistoryEvent *failed = lab_event(l, "upserts", NULL, EVENT(WORKFLOW_TASK_FAILED));
    assert_int_equal(failed->workflow_task_failed_event_attributes->cause,
                     PB__WORKFLOW_TASK_FAILED_CAUSE__WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES);
}

static void search_attributes_are_found(void **state)
{
    struct lab *l = *state;
    Pb__SearchAttributes sa = PB__SEARCH_ATTRIBUTES__INIT;
    Pb__SearchAttributes__IndexedFieldsEntry entry = PB__SEARCH_ATTRIBUTES__INDEXED_FIELDS_ENTRY__INIT, *list = &entry;
    Pb__Payload__MetadataEntry type = PB__PAYLOAD__METADATA_ENTRY__INIT;
    Pb__UpsertWorkflowSearchAttributesCommandAttributes a = PB__UPSERT_WORKFLOW_SEARCH_ATTRIBUTES_COMMAND_ATTRIBUTES__INIT;
    Pb__Command k = PB__COMMAND__INIT;
    Pb__Payload value = *lab_payloads("[\"p1-1\",\"p2-3\"]")->payloads[0];
    Pb__Payload__MetadataEntry *metadata[2] = {value.metadata[0], &type};
    type.key = (char *)"type";
    type.value = (ProtobufCBinaryData){.data = (uint8_t *)"KeywordList", .len = 11};
    value.metadata = metadata;
    value.n_metadata = 2;
    entry.key = (char *)"TemporalChangeVersion";
    entry.value = &value;
    sa.indexed_fields = &list;
    sa.n_indexed_fields = 1;
    a.search_attributes = &sa;
    k.command_type = PB__COMMAND_TYPE__COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES;
    k.attributes_case = PB__COMMAND__ATTRIBUTES_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES_COMMAND_ATTRIBUTES;
    k.upsert_workflow_search_attributes_command_attributes = &a;
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), &k);
    lab_start_id(l, "b");
    lab_expect_history(l, "a", NULL, START "UpsertWorkflowSearchAttributes");
    const Pb__SearchAttributes *shown = lab_describe(l, "a", NULL)->workflow_execution_info->search_attributes;
    bool there = false; /* a cluster may have set others */
    for (size_t i = 0; i < shown->n_indexed_fields; i++)
        there |= strcmp(shown->indexed_fields[i]->key, "TemporalChangeVersion") == 0;
    assert_true(there);
    for (int i = 0; i < 40 && strcmp(lab_list(l, "TemporalChangeVersion = 'p2-3'"), "a") != 0; i++)
        usleep(100000); /* a cluster shows it late */
    assert_string_equal(lab_list(l, "TemporalChangeVersion = 'p2-3'"), "a");
    assert_string_equal(lab_list(l, "TemporalChangeVersion = 'p2'"), "");
}

static void older_lists(void **state)
{
    struct lab *l = *state;
    const char *id = l->remote ? "its" : "it's"; /* a cluster stumbles over the quote */
    lab_start(l, &(struct lab_start){.id = id, .type = "one"});
    lab_complete(l, lab_poll(l), cmd_complete(NULL));
    lab_start(l, &(struct lab_start){.id = "b", .type = "two"});
    Pb__ListOpenWorkflowExecutionsRequest open = PB__LIST_OPEN_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    Pb__ListOpenWorkflowExecutionsResponse *o = NULL;
    Pb__ListClosedWorkflowExecutionsRequest closed = PB__LIST_CLOSED_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    Pb__ListClosedWorkflowExecutionsResponse *c = NULL;
    Pb__StartTimeFilter times = PB__START_TIME_FILTER__INIT;
    Pb__Timestamp from = PB__TIMESTAMP__INIT, to = PB__TIMESTAMP__INIT;
    Pb__WorkflowExecutionFilter x = PB__WORKFLOW_EXECUTION_FILTER__INIT;
    to.seconds = INT64_C(4000000000);
    times.earliest_time = &from;
    times.latest_time = &to;
    open.namespace_ = closed.namespace_ = (char *)l->ns;
    open.start_time_filter = closed.start_time_filter = &times;
    open.maximum_page_size = closed.maximum_page_size = 10;
    x.workflow_id = (char *)id;
    closed.filters_case = PB__LIST_CLOSED_WORKFLOW_EXECUTIONS_REQUEST__FILTERS_EXECUTION_FILTER;
    closed.execution_filter = &x;
    for (int i = 0; i < 40 && !(o && o->n_executions == 1 && c && c->n_executions == 1); i++) {
        assert_int_equal(lab_call(l, ENGINE_LIST_OPEN, &open, 0, &o, NULL), 0);
        assert_int_equal(lab_call(l, ENGINE_LIST_CLOSED, &closed, 0, &c, NULL), 0);
        usleep(i ? 100000 : 0); /* a cluster shows it late */
    }
    assert_string_equal(o->executions[0]->execution->workflow_id, "b");
    assert_string_equal(c->executions[0]->execution->workflow_id, id);
}

/* Go's SDK finds its signals by what it put into "control". */
static void signals_to_others_keep_their_mark(void **state)
{
    struct lab *l = *state;
    lab_start_id(l, "a");
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll(l);
    lab_start_id(l, "b");
    Pb__Command *there = cmd_signal("b", "s"), *nowhere = cmd_signal("nobody", "s");
    there->signal_external_workflow_execution_command_attributes->control = (char *)"17";
    nowhere->signal_external_workflow_execution_command_attributes->control = (char *)"18";
    lab_complete(l, t, there, nowhere);
    const char *h = "";
    for (int i = 0; i < 50 && !(strstr(h, "ExternalWorkflowExecutionSignaled") &&
                                strstr(h, "SignalExternalWorkflowExecutionFailed")); i++) {
        usleep(i ? 100000 : 0);
        h = lab_history_text(l, "a", NULL);
    }
    assert_string_equal(lab_event(l, "a", NULL, EVENT(EXTERNAL_WORKFLOW_EXECUTION_SIGNALED))
                            ->external_workflow_execution_signaled_event_attributes->control,
                        "17");
    const Pb__HistoryEvent *failed = lab_event(l, "a", NULL, EVENT(SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED));
    assert_string_equal(failed->signal_external_workflow_execution_failed_event_attributes->control, "18");
    assert_string_equal(failed->signal_external_workflow_execution_failed_event_attributes->namespace_, l->ns);
    assert_string_equal(lab_event(l, "a", NULL, EVENT(SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED))
                            ->signal_external_workflow_execution_initiated_event_attributes->control,
                        "18");
}

/* --- schedules ------------------------------------------------------------------------------------------------ */

static Pb__PollWorkflowTaskQueueResponse *poll_long(struct lab *l)
{
    Pb__PollWorkflowTaskQueueResponse *t = NULL;
    for (int i = 0; i < 5 && !t; i++)
        t = lab_poll_on(l, LAB_QUEUE, NULL, 5000);
    assert_non_null(t);
    return t;
}

static void a_scheduled_run_follows_another(void **state)
{
    struct lab *l = *state;
    const char *first = lab_start(l, &(struct lab_start){.id = "a", .cron = "@every 1s", .input = "[1]"});
    assert_string_equal(lab_history_text(l, "a", first), "WorkflowExecutionStarted");
    const Pb__WorkflowExecutionStartedEventAttributes *s =
        lab_event(l, "a", first, EVENT(WORKFLOW_EXECUTION_STARTED))->workflow_execution_started_event_attributes;
    assert_string_equal(s->cron_schedule, "@every 1s");
    assert_true(s->first_workflow_task_backoff && (s->first_workflow_task_backoff->seconds || s->first_workflow_task_backoff->nanos));
    lab_complete(l, poll_long(l), cmd_complete("7"));
    const Pb__WorkflowExecutionCompletedEventAttributes *done =
        lab_event(l, "a", first, EVENT(WORKFLOW_EXECUTION_COMPLETED))->workflow_execution_completed_event_attributes;
    assert_true(*done->new_execution_run_id);
    Pb__PollWorkflowTaskQueueResponse *t = poll_long(l);
    assert_string_equal(t->workflow_execution->run_id, done->new_execution_run_id);
    s = t->history->events[0]->workflow_execution_started_event_attributes;
    assert_int_equal(s->initiator, PB__CONTINUE_AS_NEW_INITIATOR__CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE);
    assert_string_equal(lab_text(s->last_completion_result), "7");
    assert_string_equal(lab_text(s->input), "[1]");
    assert_string_equal(s->continued_execution_run_id, first);
    assert_string_equal(s->first_execution_run_id, first);
    lab_complete(l, t, cmd_fail("no"));
    t = poll_long(l); /* a failure does not end the schedule */
    s = t->history->events[0]->workflow_execution_started_event_attributes;
    assert_string_equal(lab_text(s->last_completion_result), "7");
    assert_string_equal(s->continued_failure->message, "no");
    assert_int_equal(s->attempt, 1);
    lab_cancel(l, "a");
    lab_fail_task(l, t, "again");
    lab_complete(l, poll_long(l), cmd_cancel());
    assert_int_equal(lab_status(l, "a", NULL), STATUS(CANCELED)); /* that does */
    struct err err = {0};
    assert_int_equal(lab_try_start(l, &(struct lab_start){.id = "b", .cron = "every day"}, NULL, &err), -ERR_INVALID);
    assert_int_equal(lab_try_start(l, &(struct lab_start){.id = "b", .cron = "* * * * *", .delay_ms = 1000}, NULL, &err),
                     -ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(errors_carry_details),
        CASE(a_poll_whose_caller_has_gone_gets_no_task),
        CASE(many_callers_may_go),
        CASE(an_update_is_accepted_and_completed),
        CASE(a_rejected_update_leaves_nothing),
        CASE(an_update_is_accepted_first_and_completed_later),
        CASE(an_update_rides_on_the_first_task),
        CASE(an_update_survives_a_task_that_fails),
        CASE(an_event_makes_an_updates_task_an_ordinary_one),
        CASE(a_worker_that_ignores_an_update_rejects_it),
        CASE(closing_a_run_ends_its_updates),
        CASE(an_update_goes_to_the_run_that_continues),
        CASE(bad_messages_fail_the_task),
        CASE(bad_updates_are_refused),
        CASE(many_updates_at_a_time_are_refused),
        CASE(updates_with_start),
        CASE(activities_are_answered_by_id),
        CASE(history_comes_backwards),
        CASE(the_system_describes_itself),
        CASE(a_namespace_keeps_what_it_was_given),
        CASE(search_attributes_are_registered),
        CASE(a_namespace_is_deleted),
        CASE(a_worker_that_shuts_down_leaves_its_sticky_queue),
        CASE(a_run_begins_anew_from_a_task),
        CASE(a_reset_ends_the_open_run),
        CASE(a_reset_applies_updates_again),
        CASE(search_attributes_have_types),
        CASE(search_attributes_are_found),
        CASE(older_lists),
        CASE(signals_to_others_keep_their_mark),
        CASE(a_scheduled_run_follows_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
