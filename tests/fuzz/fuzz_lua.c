/* A workflow script from outside, loaded and run over two tasks: it ends or waits within its limits, and two instances that are given
 * the same history answer with the same commands. */
#include "base/assert.h"
#include "codec/pbx.h"
#include "fuzz.h"
#include "workflow/workflow.h"

#include <stdlib.h>
#include <string.h>

static const struct workflow_limits limits = {.instructions = 200000, .memory_bytes = 2 << 20, .time_ms = 60000};

#define EVENTS 8
static Pb__HistoryEvent events[EVENTS], *list[EVENTS];
static Pb__WorkflowExecutionStartedEventAttributes started;
static Pb__WorkflowTaskScheduledEventAttributes scheduled;
static Pb__WorkflowTaskStartedEventAttributes task_started;
static Pb__WorkflowTaskCompletedEventAttributes task_completed;
static Pb__WorkflowExecutionSignaledEventAttributes signaled;
static Pb__WorkflowExecutionCancelRequestedEventAttributes cancel;
static Pb__Timestamp now;

#define EVENT(i, TYPE, lower, attributes)                                                                              \
    do {                                                                                                               \
        events[i].event_type = PB__EVENT_TYPE__EVENT_TYPE_##TYPE;                                                      \
        events[i].attributes_case = PB__HISTORY_EVENT__ATTRIBUTES_##TYPE##_EVENT_ATTRIBUTES;                           \
        events[i].lower##_event_attributes = attributes;                                                               \
    } while (0)

/* Started, a first task; then, if its commands made no events, a signal, a request to cancel and a second task. */
static void make_history(void)
{
    pb__workflow_execution_started_event_attributes__init(&started);
    pb__workflow_task_scheduled_event_attributes__init(&scheduled);
    pb__workflow_task_started_event_attributes__init(&task_started);
    pb__workflow_task_completed_event_attributes__init(&task_completed);
    pb__workflow_execution_signaled_event_attributes__init(&signaled);
    pb__workflow_execution_cancel_requested_event_attributes__init(&cancel);
    pb__timestamp__init(&now);
    now.seconds = 1700000000;
    signaled.signal_name = (char *)"go";
    for (int i = 0; i < EVENTS; i++) {
        pb__history_event__init(&events[i]);
        events[i].event_id = i + 1;
        events[i].event_time = &now;
        list[i] = &events[i];
    }
    EVENT(0, WORKFLOW_EXECUTION_STARTED, workflow_execution_started, &started);
    EVENT(1, WORKFLOW_TASK_SCHEDULED, workflow_task_scheduled, &scheduled);
    EVENT(2, WORKFLOW_TASK_STARTED, workflow_task_started, &task_started);
    EVENT(3, WORKFLOW_TASK_COMPLETED, workflow_task_completed, &task_completed);
    EVENT(4, WORKFLOW_EXECUTION_SIGNALED, workflow_execution_signaled, &signaled);
    EVENT(5, WORKFLOW_EXECUTION_CANCEL_REQUESTED, workflow_execution_cancel_requested, &cancel);
    EVENT(6, WORKFLOW_TASK_SCHEDULED, workflow_task_scheduled, &scheduled);
    EVENT(7, WORKFLOW_TASK_STARTED, workflow_task_started, &task_started);
}

static int give(struct workflow *w, size_t count, struct workflow_result *r, struct err *err)
{
    Pb__PollWorkflowTaskQueueResponse task;
    Pb__WorkflowExecution x;
    Pb__History h;
    pb__poll_workflow_task_queue_response__init(&task);
    pb__workflow_execution__init(&x);
    pb__history__init(&h);
    x.workflow_id = (char *)"w";
    x.run_id = (char *)"r";
    h.events = list;
    h.n_events = count;
    task.workflow_execution = &x;
    task.history = &h;
    return workflow_task(w, &task, NULL, 0, r, err);
}

static bool ended_by_limit(const struct workflow_result *r)
{
    const Pb__Command *last = r->commands_count ? r->commands[r->commands_count - 1] : NULL;
    return last && last->command_type == PB__COMMAND_TYPE__COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION &&
           strstr(last->fail_workflow_execution_command_attributes->failure->application_failure_info->type, "Limit");
}

static void same_commands(const struct workflow_result *a, const struct workflow_result *b)
{
    if (ended_by_limit(a) && ended_by_limit(b)) /* which of two limits is met first may depend on the collector */
        return;
    ASSERT(a->outcome == b->outcome && a->commands_count == b->commands_count);
    for (size_t i = 0; i < a->commands_count; i++) {
        uint8_t *p, *q;
        size_t n, m;
        ASSERT(pbx_pack(&a->commands[i]->base, &p, &n, NULL) == 0);
        ASSERT(pbx_pack(&b->commands[i]->base, &q, &m, NULL) == 0);
        ASSERT(n == m && memcmp(p, q, n) == 0);
        free(p);
        free(q);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct workflow *a, *b;
    struct err err = {0};
    if (!list[0])
        make_history();
    int r = workflow_new((const char *)data, size, "workflow.lua", &limits, &a, &err);
    if (r < 0) {
        ASSERT(r == -ERR_INVALID || r == -ERR_LIMIT);
        return 0;
    }
    ASSERT(workflow_new((const char *)data, size, "workflow.lua", &limits, &b, &err) == 0);
    struct workflow_result ra, rb;
    ASSERT(give(a, 3, &ra, &err) == 0);
    ASSERT(give(b, 3, &rb, &err) == 0);
    same_commands(&ra, &rb);
    bool go_on = ra.commands_count == 0;
    workflow_result_release(&ra);
    workflow_result_release(&rb);
    if (go_on) {
        ASSERT(give(a, EVENTS, &ra, &err) == 0);
        ASSERT(give(b, EVENTS, &rb, &err) == 0);
        same_commands(&ra, &rb);
        workflow_result_release(&ra);
        workflow_result_release(&rb);
    }
    workflow_free(a);
    workflow_free(b);
    return 0;
}
