/* Whole workflows through the embedded engine: a Lua script with one activity that does nothing and runs in this process.
 * Prints workflows/s with so many in flight, and the latency from start to result of one at a time.
 *
 * usage: workflow_bench [FOLDER [COUNT [IN_FLIGHT]]] */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/pbx.h"
#include "engine/embedded/embedded.h"
#include "os/clock.h"
#include "os/file.h"
#include "load.h"
#include "worker/worker.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTIVITY_POLLS 16
#define SINGLES 500

static const char script[] = "return function(input)\n"
                             "  local r = ff.activity('noop', {n = 1})\n"
                             "  return {summary = r.summary}\n"
                             "end\n";

static struct engine *engine;
static atomic_bool stopping;
static atomic_int polls_out;

/* --- the activity ----------------------------------------------------------------------------------------- */

static Pb__PollActivityTaskQueueRequest poll_request = PB__POLL_ACTIVITY_TASK_QUEUE_REQUEST__INIT;
static Pb__TaskQueue poll_queue = PB__TASK_QUEUE__INIT;

static void send_poll(void);

static void answered(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    if (err->code && !stopping)
        fprintf(stderr, "complete: %s\n", err->msg);
    engine_free_message(resp);
    engine_free_message(arg);
}

static void polled(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    (void)arg;
    (void)err;
    Pb__PollActivityTaskQueueResponse *t = (Pb__PollActivityTaskQueueResponse *)resp;
    if (t && t->task_token.len) {
        json_t *j = json_pack("{s:s, s:{s:i}, s:i}", "status", "success", "summary", "n", 1, "findings_count", 0);
        Pb__RespondActivityTaskCompletedRequest *r = mem_alloc(sizeof *r);
        pb__respond_activity_task_completed_request__init(r);
        r->namespace_ = pbx_str("default");
        r->task_token.data = mem_dup(t->task_token.data, t->task_token.len);
        r->task_token.len = t->task_token.len;
        r->result = pbx_json_payloads(j);
        json_decref(j);
        engine_call(engine, ENGINE_COMPLETE_ACTIVITY, &r->base, 0, answered, r);
    }
    engine_free_message(resp);
    if (!stopping)
        send_poll();
    polls_out--;
}

static void send_poll(void)
{
    polls_out++;
    engine_call(engine, ENGINE_POLL_ACTIVITY_TASK, &poll_request.base, 0, polled, NULL);
}

int main(int argc, char **argv)
{
    const char *base = argc > 1 ? argv[1] : "/tmp";
    int count = argc > 2 ? atoi(argv[2]) : 10000, flight = argc > 3 ? atoi(argv[3]) : 50;
    struct err err = {0};
    _cleanup_free_ char *dir = NULL;
    if (os_temp_dir(base, "ff-bench-", &dir, &err) < 0)
        load_die("folder", &err);
    _cleanup_free_ char *db = os_path_join(dir, "state.db"), *objects = os_path_join(dir, "store");
    struct engine_embedded_options eo = {.path = db};
    struct store *store;
    struct store_ref ref;
    struct worker *worker;
    const char *const verticals[] = {"bench", NULL};
    if (engine_embedded_open(&eo, &engine, &err) < 0)
        load_die("engine", &err);
    if (store_open_local(objects, &store, &err) < 0 ||
        store_put(store, script, sizeof script - 1, "text/x-lua", &ref, &err) < 0)
        load_die("store", &err);
    struct worker_options wo = {.engine = engine, .store = store, .verticals = verticals, .workflow_polls = 32};
    if (worker_start(&wo, &worker, &err) < 0)
        load_die("worker", &err);
    poll_queue.name = (char *)"bench-queue";
    poll_request.namespace_ = (char *)"default";
    poll_request.identity = (char *)"bench";
    poll_request.task_queue = &poll_queue;
    for (int i = 0; i < ACTIVITY_POLLS; i++)
        send_poll();

    struct load load = {.engine = engine,
                        .workflow_type = "bench",
                        .queue = "bench-queue",
                        .input = json_object(),
                        .context = json_pack("{s:s}", "vertical", "bench"),
                        .script_ref = ref.text};
    load_run(&load, 200, flight); /* warm */
    double cpu = load_cpu_s();
    double s = load_run(&load, count, flight);
    printf("workflows/s, one in-process activity, durable, %d in flight: %.0f (CPU %.0f us each)\n", flight, count / s,
           (load_cpu_s() - cpu) / count * 1e6);

    static int64_t took[SINGLES];
    load_singles(&load, took, SINGLES);
    printf("start to result, one at a time: p50 %.2f ms, p99 %.2f ms\n", (double)took[SINGLES / 2] / 1e6,
           (double)took[SINGLES * 99 / 100] / 1e6);
    json_decref(load.input);
    json_decref(load.context);

    stopping = true;
    worker_stop(worker); /* drains the engine, so the polls come back */
    while (polls_out > 0)
        os_sleep_ms(1);
    engine_free(engine);
    store_free(store);
    os_remove_tree(dir, NULL);
    return 0;
}
