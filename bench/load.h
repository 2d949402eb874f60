/* Starts workflows of one kind and waits for their ends, so many in flight: the client side of the benchmarks. */
#ifndef FF_BENCH_LOAD_H
#define FF_BENCH_LOAD_H

#include "engine/engine.h"

#include <jansson.h>

struct load {
    struct engine *engine;
    const char *workflow_type, *queue;
    json_t *input, *context; /* payload of the input, of the context header */
    const char *script_ref;
};

/* Exits the process when a run does not complete. Seconds. */
double load_run(const struct load *l, int count, int in_flight);
/* One at a time: nanoseconds of each, sorted. */
void load_singles(const struct load *l, int64_t *took, int count);
double load_cpu_s(void); /* of this process and its waited-for children */
void load_die(const char *what, const struct err *err) __attribute__((noreturn));

#endif
