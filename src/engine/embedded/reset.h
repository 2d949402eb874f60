/* Beginning a run anew from a point of its history. */
#ifndef FF_ENGINE_RESET_H
#define FF_ENGINE_RESET_H

#include "engine/embedded/engine_internal.h"

struct reset {
    int64_t finish_id; /* of the event that ended a workflow task, or the one after its start: events below it are kept */
    const char *reason, *request_id;
    bool signals, updates; /* of later events, these are applied again */
};

/* Ends the open run of that workflow id, if there is one. -ERR_INVALID: not at such an event. */
int reset_run(struct eng *e, struct run *base, const struct reset *r, struct run **ret, struct err *err);

#endif
