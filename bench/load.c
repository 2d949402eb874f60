#include "load.h"

#include "base/mem.h"
#include "codec/pbx.h"
#include "os/clock.h"
#include "store/owned.h"
#include "worker/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int in_flight_now, finished;

struct run {
    struct engine *engine;
    Pb__StartWorkflowExecutionRequest *start;
    Pb__GetWorkflowExecutionHistoryRequest get;
    Pb__WorkflowExecution execution;
    char id[27];
};

void load_die(const char *what, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", what, err->msg);
    exit(1);
}

static void run_closed(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct run *r = arg;
    if (err->code)
        load_die("result", err);
    const Pb__History *h = ((Pb__GetWorkflowExecutionHistoryResponse *)resp)->history;
    if (!h || !h->n_events) { /* the long poll ended */
        engine_free_message(resp);
        engine_call(r->engine, ENGINE_GET_HISTORY, &r->get.base, 0, run_closed, r);
        return;
    }
    if (h->events[h->n_events - 1]->event_type != PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED) {
        fprintf(stderr, "workflow %s did not complete\n", r->id);
        exit(1);
    }
    engine_free_message(resp);
    engine_free_message(&r->start->base);
    free(r);
    pthread_mutex_lock(&lock);
    in_flight_now--;
    finished++;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&lock);
}

static void run_started(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct run *r = arg;
    if (err->code)
        load_die("start", err);
    engine_free_message(resp);
    engine_call(r->engine, ENGINE_GET_HISTORY, &r->get.base, 0, run_closed, r);
}

static Pb__Memo *memo_of(const char *ref)
{
    json_t *j = json_string(ref);
    Pb__Memo *m = mem_alloc(sizeof *m);
    Pb__Memo__FieldsEntry *e = mem_alloc(sizeof *e);
    pb__memo__init(m);
    pb__memo__fields_entry__init(e);
    e->key = pbx_str(WORKER_MEMO_SCRIPT);
    e->value = pbx_json_payload(j);
    m->fields = mem_calloc(1, sizeof *m->fields);
    m->fields[m->n_fields++] = e;
    json_decref(j);
    return m;
}

static Pb__Header *header_of(const json_t *context)
{
    Pb__Header *h = mem_alloc(sizeof *h);
    Pb__Header__FieldsEntry *e = mem_alloc(sizeof *e);
    pb__header__init(h);
    pb__header__fields_entry__init(e);
    e->key = pbx_str(WORKER_CONTEXT_HEADER);
    e->value = pbx_json_payload(context);
    h->fields = mem_calloc(1, sizeof *h->fields);
    h->fields[h->n_fields++] = e;
    return h;
}

static void pin(const struct load *l, const char *id, const char *ref)
{
    struct err err = {0};
    char *owner = store_run_owner("default", id);
    if (ref && store_pin(l->store, owner, ref, 0, &err) < 0)
        load_die("pin", &err);
    free(owner);
}

static void start_run(const struct load *l)
{
    struct run *r = mem_zalloc(sizeof *r);
    Pb__StartWorkflowExecutionRequest *s = r->start = mem_alloc(sizeof *s);
    pb__start_workflow_execution_request__init(s);
    pb__get_workflow_execution_history_request__init(&r->get);
    pb__workflow_execution__init(&r->execution);
    os_ulid(r->id);
    r->engine = l->engine;
    s->namespace_ = pbx_str("default");
    s->workflow_id = pbx_str(r->id);
    s->request_id = pbx_str(r->id);
    s->workflow_type = mem_alloc(sizeof *s->workflow_type);
    pb__workflow_type__init(s->workflow_type);
    s->workflow_type->name = pbx_str(l->workflow_type);
    s->task_queue = mem_alloc(sizeof *s->task_queue);
    pb__task_queue__init(s->task_queue);
    s->task_queue->name = pbx_str(l->queue);
    if (l->script_ref) {
        s->memo = memo_of(l->script_ref);
        s->header = header_of(l->context);
    }
    if (l->store) {
        pin(l, r->id, l->script_ref);
        pin(l, r->id, l->target_ref);
    }
    s->input = pbx_json_payloads(l->input);
    r->execution.workflow_id = r->id;
    r->get.namespace_ = (char *)"default";
    r->get.execution = &r->execution;
    r->get.wait_new_event = true;
    r->get.history_event_filter_type = PB__HISTORY_EVENT_FILTER_TYPE__HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT;
    engine_call(l->engine, ENGINE_START_WORKFLOW, &s->base, 0, run_started, r);
}

double load_run(const struct load *l, int count, int in_flight)
{
    int64_t t = os_mono_ns();
    pthread_mutex_lock(&lock);
    finished = in_flight_now = 0;
    for (int started = 0; finished < count;) {
        while (started < count && in_flight_now < in_flight) {
            in_flight_now++;
            started++;
            pthread_mutex_unlock(&lock);
            start_run(l);
            pthread_mutex_lock(&lock);
        }
        if (finished < count && (in_flight_now >= in_flight || started == count))
            pthread_cond_wait(&cond, &lock);
    }
    pthread_mutex_unlock(&lock);
    return (double)(os_mono_ns() - t) / 1e9;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void load_singles(const struct load *l, int64_t *took, int count)
{
    for (int i = 0; i < count; i++) {
        int64_t t = os_mono_ns();
        load_run(l, 1, 1);
        took[i] = os_mono_ns() - t;
    }
    qsort(took, (size_t)count, sizeof *took, by_value);
}

/* --- activities in this process -------------------------------------------------------------------------- */

#define ACTIVITY_POLLS 16

static Pb__PollActivityTaskQueueRequest poll_request = PB__POLL_ACTIVITY_TASK_QUEUE_REQUEST__INIT;
static Pb__TaskQueue poll_queue = PB__TASK_QUEUE__INIT;
static struct engine *poll_engine;
static atomic_bool no_more;
static atomic_int polls_out;

static void send_poll(void);

static void answered(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    if (err->code && !no_more)
        fprintf(stderr, "complete: %s\n", err->msg);
    engine_free_message(resp);
    engine_free_message(arg);
}

static void polled(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    (void)arg;
    Pb__PollActivityTaskQueueResponse *t = err->code ? NULL : (Pb__PollActivityTaskQueueResponse *)resp;
    if (t && t->task_token.len) {
        json_t *j = json_pack("{s:s, s:{s:i}, s:i}", "status", "success", "summary", "n", 1, "findings_count", 0);
        Pb__RespondActivityTaskCompletedRequest *r = mem_alloc(sizeof *r);
        pb__respond_activity_task_completed_request__init(r);
        r->namespace_ = pbx_str("default");
        r->task_token.data = mem_dup(t->task_token.data, t->task_token.len);
        r->task_token.len = t->task_token.len;
        r->result = pbx_json_payloads(j);
        json_decref(j);
        engine_call(poll_engine, ENGINE_COMPLETE_ACTIVITY, &r->base, 0, answered, r);
    }
    engine_free_message(resp);
    if (!no_more)
        send_poll();
    polls_out--;
}

static void send_poll(void)
{
    polls_out++;
    engine_call(poll_engine, ENGINE_POLL_ACTIVITY_TASK, &poll_request.base, 0, polled, NULL);
}

void load_do_activities(struct engine *e, const char *queue)
{
    poll_engine = e;
    poll_queue.name = (char *)queue;
    poll_request.namespace_ = (char *)"default";
    poll_request.identity = (char *)"bench";
    poll_request.task_queue = &poll_queue;
    for (int i = 0; i < ACTIVITY_POLLS; i++)
        send_poll();
}

void load_no_more_activities(void)
{
    no_more = true;
}

void load_wait_for_polls(void)
{
    while (polls_out > 0)
        os_sleep_ms(1);
}

double load_cpu_s(void)
{
    struct rusage u[2];
    getrusage(RUSAGE_SELF, &u[0]);
    getrusage(RUSAGE_CHILDREN, &u[1]);
    double s = 0;
    for (int i = 0; i < 2; i++)
        s += (double)(u[i].ru_utime.tv_sec + u[i].ru_stime.tv_sec) +
             (double)(u[i].ru_utime.tv_usec + u[i].ru_stime.tv_usec) / 1e6;
    return s;
}
