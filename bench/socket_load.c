/* The client of bench/temporal for an engine that another process holds: a guest on its socket starts workflows and waits for
 * their ends. Prints "workflows/s p50_ms": with so many in flight, and of one at a time. Of ACTIVITY_QUEUE it does the activities too, in
 * its own process, as a worker of an SDK would.
 *
 * usage: socket_load STATE_FOLDER WORKFLOW QUEUE COUNT IN_FLIGHT [ACTIVITY_QUEUE] */
#include "engine/shared/shared.h"
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

#define SINGLES 100

int main(int argc, char **argv)
{
    struct err err = {0};
    struct engine *engine;
    static int64_t took[SINGLES];
    if (argc != 6 && argc != 7) {
        fprintf(stderr, "usage: socket_load STATE_FOLDER WORKFLOW QUEUE COUNT IN_FLIGHT [ACTIVITY_QUEUE]\n");
        return 2;
    }
    struct engine_shared_options o = {.dir = argv[1], .identity = "load"};
    if (engine_shared_open(&o, &engine, &err) < 0)
        load_die("engine", &err);
    if (engine_shared_holds(engine)) {
        fprintf(stderr, "nobody held the engine of %s\n", argv[1]);
        return 1;
    }
    struct load load = {.engine = engine, .workflow_type = argv[2], .queue = argv[3], .input = json_object()};
    int count = atoi(argv[4]), flight = atoi(argv[5]);
    if (argc == 7)
        load_do_activities(engine, argv[6]);
    load_run(&load, flight, flight); /* warm */
    load_singles(&load, took, SINGLES);
    printf("%.1f %.2f\n", count / load_run(&load, count, flight), (double)took[SINGLES / 2] / 1e6);
    json_decref(load.input);
    load_no_more_activities();
    engine_drain(engine);
    load_wait_for_polls();
    engine_free(engine);
    return 0;
}
