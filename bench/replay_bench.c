/* How fast a history is replayed, and what an instance costs.
 *
 * A synthetic history of a workflow that runs N activities one after the other: six events each, as a server writes them. */
#include "base/mem.h"
#include "codec/pbx.h"
#include "workflow/workflow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char script[] =
    "return function(input)\n"
    "  local n = 0\n"
    "  for i = 1, input.parameters.count do\n"
    "    local r = ff.activity('scan', {round = i, depth = 3, path = 'src/main.c'}, {timeout = '30s', retry = {max = 5}})\n"
    "    n = n + r.summary.files\n"
    "  end\n"
    "  return {summary = {n = n}}\n"
    "end\n";

static const char result[] =
    "{\"status\":\"success\",\"summary\":{\"files\":12,\"bytes\":34567},\"findings\":{\"ref\":\"sha256:"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"bytes\":2345,\"media_type\":"
    "\"application/x-ndjson\"},\"findings_count\":{\"critical\":0,\"high\":1,\"medium\":2,\"low\":3,\"info\":4},"
    "\"artifacts\":{},\"error\":null}";

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* of this process: the machine may be busy */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct history {
    Pb__HistoryEvent **v;
    size_t n, cap;
};

static Pb__HistoryEvent *add(struct history *h, Pb__EventType type)
{
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 1024;
        h->v = realloc(h->v, h->cap * sizeof *h->v);
    }
    Pb__HistoryEvent *e = malloc(sizeof *e);
    if (!h->v || !e)
        abort();
    pb__history_event__init(e);
    e->event_id = (int64_t)h->n + 1;
    e->event_type = type;
    e->event_time = pbx_timestamp((int64_t)h->n * 1000000);
    return h->v[h->n++] = e;
}

#define EVENT(a, TYPE, Type, lower)                                                                                    \
    Pb__##Type##EventAttributes *a;                                                                                    \
    {                                                                                                                  \
        Pb__HistoryEvent *e_ = add(h, PB__EVENT_TYPE__EVENT_TYPE_##TYPE);                                              \
        a = malloc(sizeof *a);                                                                                         \
        if (!a)                                                                                                        \
            abort();                                                                                                   \
        pb__##lower##_event_attributes__init(a);                                                                       \
        e_->attributes_case = PB__HISTORY_EVENT__ATTRIBUTES_##TYPE##_EVENT_ATTRIBUTES;                                 \
        e_->lower##_event_attributes = a;                                                                              \
    }

static Pb__Payloads *payloads(const char *text)
{
    json_t *j = json_loads(text, 0, NULL);
    Pb__Payloads *p = pbx_json_payloads(j);
    json_decref(j);
    return p;
}

static void add_task(struct history *h)
{
    EVENT(scheduled, WORKFLOW_TASK_SCHEDULED, WorkflowTaskScheduled, workflow_task_scheduled)
    (void)scheduled;
    EVENT(started, WORKFLOW_TASK_STARTED, WorkflowTaskStarted, workflow_task_started)
    (void)started;
}

static void make(struct history *h, int activities)
{
    char input[120];
    snprintf(input, sizeof input, "{\"target\":null,\"parameters\":{\"count\":%d},\"run\":{}}", activities + 1);
    EVENT(first, WORKFLOW_EXECUTION_STARTED, WorkflowExecutionStarted, workflow_execution_started)
    first->input = payloads(input);
    add_task(h);
    for (int i = 0; i < activities; i++) {
        char id[20];
        snprintf(id, sizeof id, "%d", i + 1);
        EVENT(completed, WORKFLOW_TASK_COMPLETED, WorkflowTaskCompleted, workflow_task_completed)
        (void)completed;
        EVENT(s, ACTIVITY_TASK_SCHEDULED, ActivityTaskScheduled, activity_task_scheduled)
        int64_t scheduled = (int64_t)h->n;
        s->activity_id = pbx_str(id);
        s->activity_type = malloc(sizeof *s->activity_type);
        pb__activity_type__init(s->activity_type);
        s->activity_type->name = pbx_str("scan");
        EVENT(st, ACTIVITY_TASK_STARTED, ActivityTaskStarted, activity_task_started)
        st->scheduled_event_id = scheduled;
        EVENT(c, ACTIVITY_TASK_COMPLETED, ActivityTaskCompleted, activity_task_completed)
        c->scheduled_event_id = scheduled;
        c->result = payloads(result);
        add_task(h);
    }
}

static void replay(const struct history *h, int times)
{
    struct err err = {0};
    Pb__PollWorkflowTaskQueueResponse task;
    Pb__WorkflowExecution x;
    Pb__History events;
    pb__poll_workflow_task_queue_response__init(&task);
    pb__workflow_execution__init(&x);
    pb__history__init(&events);
    x.workflow_id = (char *)"bench";
    x.run_id = (char *)"5c1c9a52-aaaa-4bbb-8ccc-0123456789ab";
    events.events = h->v;
    events.n_events = h->n;
    task.workflow_execution = &x;
    task.history = &events;
    double start = seconds();
    size_t memory = 0;
    for (int i = 0; i < times; i++) {
        struct workflow *w;
        struct workflow_result r;
        if (workflow_new(script, strlen(script), "workflow.lua", NULL, &w, &err) < 0 ||
            workflow_task(w, &task, NULL, 0, &r, &err) < 0 || r.outcome != WORKFLOW_TASK_COMPLETED) {
            printf("replay failed: %s\n", err.msg);
            exit(1);
        }
        memory = workflow_memory(w);
        workflow_result_release(&r);
        workflow_free(w);
    }
    double took = seconds() - start;
    printf("replay of %zu events, %d times: %.0f events/s (%.1f us an activity), %zu KB of Lua memory\n", h->n, times,
           (double)h->n * times / took, took * 1e6 / times / ((double)h->n / 6), memory / 1024);
}

int main(int argc, char **argv)
{
    int activities = argc > 1 ? atoi(argv[1]) : 8000;
    struct history h = {0};
    make(&h, activities);
    replay(&h, 1);
    replay(&h, 20);
    const int n = 5000;
    double start = seconds();
    for (int i = 0; i < n; i++) {
        struct workflow *w;
        if (workflow_new(script, strlen(script), "workflow.lua", NULL, &w, NULL) < 0)
            return 1;
        workflow_free(w);
    }
    printf("making and freeing an instance: %.1f us\n", (seconds() - start) * 1e6 / n);
    for (size_t i = 0; i < h.n; i++)
        pb__history_event__free_unpacked(h.v[i], NULL);
    free(h.v);
    return 0;
}
