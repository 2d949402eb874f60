/* Starts workflows of one kind and waits for their ends, so many in flight: the client side of the benchmarks. */
#ifndef FF_BENCH_LOAD_H
#define FF_BENCH_LOAD_H

#include "engine/engine.h"

#include <jansson.h>

struct load {
    struct engine *engine;
    const char *workflow_type, *queue;
    json_t *input, *context; /* payload of the input, of the context header */
    const char *script_ref; /* NULL: as another client would start it, without a context */
    struct store *store;    /* where each run pins what it is given, as a submission does; NULL: it does not */
    const char *target_ref; /* or NULL */
};

/* Exits the process when a run does not complete. Seconds. */
double load_run(const struct load *l, int count, int in_flight);
/* One at a time: nanoseconds of each, sorted. */
void load_singles(const struct load *l, int64_t *took, int count);
/* Activities of that queue are done by this process from now on, at once: they do nothing. */
void load_do_activities(struct engine *e, const char *queue);
void load_no_more_activities(void);
void load_wait_for_polls(void); /* once the engine drains */
double load_cpu_s(void); /* of this process and its waited-for children */
void load_die(const char *what, const struct err *err) __attribute__((noreturn));

#endif
