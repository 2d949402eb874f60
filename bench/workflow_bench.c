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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SINGLES 500

static const char script[] = "return function(input)\n"
                             "  local r = ff.activity('noop', {n = 1})\n"
                             "  return {summary = r.summary}\n"
                             "end\n";

/* The toolbox has it, as it has those of most runs. */
static int find_script(void *arg, const char *type, bool foreign, const json_t *given, struct worker_script *ret, struct err *err)
{
    ret->text = mem_strdup(script);
    ret->len = sizeof script - 1;
    return ret->text ? 0 : err_nomem(err);
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
    struct engine *engine;
    const char *const verticals[] = {"bench", NULL};
    if (engine_embedded_open(&eo, &engine, &err) < 0)
        load_die("engine", &err);
    if (store_open_local(objects, &store, &err) < 0 ||
        store_put(store, script, sizeof script - 1, "text/x-lua", &ref, &err) < 0)
        load_die("store", &err);
    struct worker_options wo = {.engine = engine, .store = store, .verticals = verticals, .workflow_polls = 32,
                                .find_script = find_script};
    if (worker_start(&wo, &worker, &err) < 0)
        load_die("worker", &err);
    load_do_activities(engine, "bench-queue");

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

    load_no_more_activities();
    worker_stop(worker); /* drains the engine, so the polls come back */
    load_wait_for_polls();
    engine_free(engine);
    store_free(store);
    os_remove_tree(dir, NULL);
    return 0;
}
