/* What reaches a run from outside: signals and requests to cancel. */
#ifndef FF_ENGINE_SIGNAL_H
#define FF_ENGINE_SIGNAL_H

#include "engine/embedded/engine_internal.h"

struct signal {
    const char *name, *identity, *request_id;
    const Pb__Payloads *input;
    const Pb__Header *header;
    const Pb__WorkflowExecution *from; /* a workflow that sent it, or NULL */
};

/* The run is open. The same request id again is not a new signal. */
void signal_run(struct eng *e, struct run *run, const struct signal *sig);

struct cancel {
    const char *reason, *identity, *request_id;
    const Pb__WorkflowExecution *from;
    int64_t initiated_id; /* in that workflow */
};

/* The run is open; asking again changes nothing. */
void cancel_run(struct eng *e, struct run *run, const struct cancel *cancel);

#endif
