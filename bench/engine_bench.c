/* How fast the embedded engine is by itself: a worker in C that does nothing, no script, no sandbox.
 *
 *   engine_bench [SECONDS [FOLDER]]
 *
 * Prints: workflows/s with 50 in flight (each one activity, durable), latency of one at a time, events/s when histories are read back and
 * decoded. */
#include "base/units.h"
#include "base/vec.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "engine/embedded/embedded.h"
#include "os/clock.h"
#include "os/file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT_MAX 50

enum slot_kind { CLIENT, WORKFLOW_WORKER, ACTIVITY_WORKER };
enum step { IDLE, POLLED, DONE, STARTED, FINISHED };

/* One caller that has one call under way at a time. */
struct slot {
    enum slot_kind kind;
    enum step step;
    ProtobufCMessage *req, *resp;
    int error;
    int64_t since_ns;
    struct slot *next;
};

static struct bench {
    struct engine *engine;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct slot *ready, **tail;
    int active; /* slots with a call under way or ready */
    bool stop;
    int64_t end_ns;
    unsigned long number;
    char prefix[32];
    VEC(int64_t) latencies;
} b = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER, .tail = &b.ready};

static void done(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct slot *s = arg;
    pthread_mutex_lock(&b.mutex);
    if (err->code)
        engine_free_message(resp);
    s->resp = err->code ? NULL : resp;
    s->error = err->code;
    s->next = NULL;
    bool was_empty = !b.ready;
    *b.tail = s;
    b.tail = &s->next;
    if (was_empty)
        pthread_cond_signal(&b.cond);
    pthread_mutex_unlock(&b.mutex);
}

static void call(struct slot *s, enum engine_method m, ProtobufCMessage *req)
{
    engine_free_message(s->req);
    s->req = req;
    engine_call(b.engine, m, req, 0, done, s);
}

#define NEW(type, lower)                                                                           \
    ({                                                                                             \
        type *new_ = malloc(sizeof *new_);                                                         \
        if (!new_)                                                                                 \
            abort();                                                                               \
        lower##__init(new_);                                                                       \
        new_;                                                                                      \
    })

static Pb__TaskQueue *queue(void)
{
    Pb__TaskQueue *q = NEW(Pb__TaskQueue, pb__task_queue);
    q->name = strdup("bench");
    return q;
}

static ProtobufCMessage *start_request(struct slot *s)
{
    Pb__StartWorkflowExecutionRequest *q =
        NEW(Pb__StartWorkflowExecutionRequest, pb__start_workflow_execution_request);
    char id[64];
    snprintf(id, sizeof id, "%s-%08lu", b.prefix, b.number++);
    q->namespace_ = strdup("default");
    q->workflow_id = strdup(id);
    q->workflow_type = NEW(Pb__WorkflowType, pb__workflow_type);
    q->workflow_type->name = strdup("bench");
    q->task_queue = queue();
    q->input = pbx_json_payloads(json_null());
    s->since_ns = os_mono_ns();
    return &q->base;
}

static ProtobufCMessage *wait_request(const Pb__StartWorkflowExecutionRequest *start,
                                      const Pb__StartWorkflowExecutionResponse *r)
{
    Pb__GetWorkflowExecutionHistoryRequest *q =
        NEW(Pb__GetWorkflowExecutionHistoryRequest, pb__get_workflow_execution_history_request);
    q->namespace_ = strdup("default");
    q->execution = NEW(Pb__WorkflowExecution, pb__workflow_execution);
    q->execution->workflow_id = strdup(start->workflow_id);
    q->execution->run_id = strdup(r->run_id);
    q->wait_new_event = true;
    q->history_event_filter_type =
        PB__HISTORY_EVENT_FILTER_TYPE__HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT;
    return &q->base;
}

static void step_client(struct slot *s)
{
    if (s->step == STARTED) {
        ProtobufCMessage *q = wait_request((void *)s->req, (void *)s->resp);
        s->step = FINISHED;
        call(s, ENGINE_GET_HISTORY, q);
        return;
    }
    if (s->step == FINISHED)
        VEC_PUSH(&b.latencies, os_mono_ns() - s->since_ns);
    if (os_mono_ns() >= b.end_ns) {
        b.active--;
        return;
    }
    s->step = STARTED;
    call(s, ENGINE_START_WORKFLOW, start_request(s));
}

static Pb__Command *command(bool first)
{
    Pb__Command *k = NEW(Pb__Command, pb__command);
    if (!first) {
        k->command_type = PB__COMMAND_TYPE__COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION;
        k->attributes_case = PB__COMMAND__ATTRIBUTES_COMPLETE_WORKFLOW_EXECUTION_COMMAND_ATTRIBUTES;
        k->complete_workflow_execution_command_attributes =
            NEW(Pb__CompleteWorkflowExecutionCommandAttributes,
                pb__complete_workflow_execution_command_attributes);
        return k;
    }
    Pb__ScheduleActivityTaskCommandAttributes *a = NEW(
        Pb__ScheduleActivityTaskCommandAttributes, pb__schedule_activity_task_command_attributes);
    k->command_type = PB__COMMAND_TYPE__COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK;
    k->attributes_case = PB__COMMAND__ATTRIBUTES_SCHEDULE_ACTIVITY_TASK_COMMAND_ATTRIBUTES;
    k->schedule_activity_task_command_attributes = a;
    a->activity_id = strdup("1");
    a->activity_type = NEW(Pb__ActivityType, pb__activity_type);
    a->activity_type->name = strdup("noop");
    a->task_queue = queue();
    a->start_to_close_timeout = pbx_duration(60 * NS_PER_S);
    return k;
}

static ProtobufCBinaryData take_token(ProtobufCBinaryData *t)
{
    ProtobufCBinaryData r = *t;
    *t = (ProtobufCBinaryData){0};
    return r;
}

static ProtobufCMessage *complete_request(Pb__PollWorkflowTaskQueueResponse *t)
{
    Pb__RespondWorkflowTaskCompletedRequest *q = NEW(
        Pb__RespondWorkflowTaskCompletedRequest, pb__respond_workflow_task_completed_request);
    q->namespace_ = strdup("default");
    q->task_token = take_token(&t->task_token);
    q->commands = malloc(sizeof *q->commands);
    q->commands[0] = command(t->previous_started_event_id == 0);
    q->n_commands = 1;
    return &q->base;
}

static void poll_workflow(struct slot *s)
{
    Pb__PollWorkflowTaskQueueRequest *q =
        NEW(Pb__PollWorkflowTaskQueueRequest, pb__poll_workflow_task_queue_request);
    q->namespace_ = strdup("default");
    q->task_queue = queue();
    s->step = POLLED;
    call(s, ENGINE_POLL_WORKFLOW_TASK, &q->base);
}

static void step_workflow(struct slot *s)
{
    Pb__PollWorkflowTaskQueueResponse *t = (void *)s->resp;
    if (b.stop) {
        b.active--;
    } else if (s->step == POLLED && t && t->task_token.len) {
        s->step = DONE;
        call(s, ENGINE_COMPLETE_WORKFLOW_TASK, complete_request(t));
    } else {
        poll_workflow(s);
    }
}

static void step_activity(struct slot *s)
{
    Pb__PollActivityTaskQueueResponse *t = (void *)s->resp;
    if (b.stop) {
        b.active--;
    } else if (s->step == POLLED && t && t->task_token.len) {
        Pb__RespondActivityTaskCompletedRequest *q = NEW(
            Pb__RespondActivityTaskCompletedRequest, pb__respond_activity_task_completed_request);
        q->namespace_ = strdup("default");
        q->task_token = take_token(&t->task_token);
        s->step = DONE;
        call(s, ENGINE_COMPLETE_ACTIVITY, &q->base);
    } else {
        Pb__PollActivityTaskQueueRequest *q =
            NEW(Pb__PollActivityTaskQueueRequest, pb__poll_activity_task_queue_request);
        q->namespace_ = strdup("default");
        q->task_queue = queue();
        s->step = POLLED;
        call(s, ENGINE_POLL_ACTIVITY_TASK, &q->base);
    }
}

static void step(struct slot *s)
{
    ProtobufCMessage *resp = s->resp;
    if (s->error) {
        fprintf(stderr, "engine_bench: a call failed: %s\n", err_text(s->error));
        exit(1);
    }
    if (s->kind == CLIENT)
        step_client(s);
    else if (s->kind == WORKFLOW_WORKER)
        step_workflow(s);
    else
        step_activity(s);
    engine_free_message(resp);
}

/* Runs the callers until those of one kind are through; all on this thread. */
static void pump(const int *left)
{
    while (*left > 0) {
        pthread_mutex_lock(&b.mutex);
        while (!b.ready)
            pthread_cond_wait(&b.cond, &b.mutex);
        struct slot *list = b.ready, *next;
        b.ready = NULL;
        b.tail = &b.ready;
        pthread_mutex_unlock(&b.mutex);
        for (struct slot *s = list; s; s = next) {
            next = s->next;
            step(s);
        }
    }
}

static int by_value(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, c = *(const int64_t *)y;
    return a < c ? -1 : a > c;
}

static void measure(const char *name, int in_flight, int64_t seconds)
{
    static struct slot slots[3 * IN_FLIGHT_MAX];
    memset(slots, 0, sizeof slots);
    snprintf(b.prefix, sizeof b.prefix, "%s", name);
    b.stop = false;
    b.active = in_flight;
    VEC_CLEAR(&b.latencies);
    int64_t begin = os_mono_ns();
    b.end_ns = begin + seconds * NS_PER_S;
    for (int i = 0; i < 3 * in_flight; i++) {
        slots[i].kind = (enum slot_kind)(i % 3);
        step(&slots[i]);
    }
    pump(&b.active);
    double took = (double)(os_mono_ns() - begin) / (double)NS_PER_S;
    size_t n = b.latencies.len;
    qsort(b.latencies.v, n, sizeof *b.latencies.v, by_value);
    printf("engine %-10s in flight %2d: %8.0f workflows/s, latency p50 %.2f ms, p99 %.2f ms\n", name,
           in_flight, (double)n / took, (double)b.latencies.v[n / 2] / 1e6,
           (double)b.latencies.v[n * 99 / 100] / 1e6);
    b.stop = true;
    b.active = 2 * in_flight;
    engine_drain(b.engine);
    pump(&b.active);
    for (int i = 0; i < 3 * in_flight; i++)
        engine_free_message(slots[i].req);
}

/* Histories of as many workflows as make 100,000 events, page by page. */
static void read_back(const char *prefix)
{
    int64_t begin = os_mono_ns();
    size_t events = 0;
    for (unsigned long i = 0; events < 100000 && i < b.number; i++) {
        Pb__GetWorkflowExecutionHistoryRequest q = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
        Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
        ProtobufCMessage *r;
        struct err err = {0};
        char id[64];
        snprintf(id, sizeof id, "%s-%08lu", prefix, i);
        x.workflow_id = id;
        q.namespace_ = (char *)"default";
        q.execution = &x;
        if (engine_call_sync(b.engine, ENGINE_GET_HISTORY, &q.base, 0, &r, &err) < 0)
            break;
        events += ((Pb__GetWorkflowExecutionHistoryResponse *)r)->history->n_events;
        engine_free_message(r);
    }
    double took = (double)(os_mono_ns() - begin) / 1e9;
    printf("engine read back: %zu events in %.3f s, %.0f events/s\n", events, took,
           (double)events / took);
}

static void open_engine(const char *path)
{
    struct engine_embedded_options o = {.path = path};
    struct err err = {0};
    int64_t begin = os_mono_ns();
    if (engine_embedded_open(&o, &b.engine, &err) < 0) {
        fprintf(stderr, "engine_bench: %s\n", err.msg);
        exit(1);
    }
    printf("engine open: %.2f ms\n", (double)(os_mono_ns() - begin) / 1e6);
}

int main(int argc, char **argv)
{
    int64_t seconds = argc > 1 ? atoi(argv[1]) : 3;
    struct err err = {0};
    char *dir;
    if (os_temp_dir(argc > 2 ? argv[2] : "/var/tmp", "engine-bench-", &dir, &err) < 0) {
        fprintf(stderr, "engine_bench: %s\n", err.msg);
        return 1;
    }
    char *path = os_path_join(dir, "state.db");
    const struct {
        const char *name;
        int in_flight;
    } runs[] = {{"many", IN_FLIGHT_MAX}, {"one", 1}};
    for (size_t i = 0; i < 2; i++) {
        open_engine(path);
        b.number = 0;
        measure(runs[i].name, runs[i].in_flight, seconds);
        if (i == 0)
            read_back(runs[i].name);
        engine_free(b.engine);
    }
    open_engine(path);
    engine_free(b.engine);
    VEC_RELEASE(&b.latencies);
    os_remove_tree(dir, NULL);
    free(path);
    free(dir);
    return 0;
}
