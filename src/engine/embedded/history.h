/* Reading a run's events back. */
#ifndef FF_ENGINE_HISTORY_H
#define FF_ENGINE_HISTORY_H

#include "engine/embedded/engine_internal.h"

struct history_range {
    int64_t from, to; /* from <= id < to */
    size_t max_events, max_bytes; /* at least one event is given whatever its size */
};

/* *ret is the caller's; *ret_next is the id after the last event in it (range.from if it is
 * empty). */
int history_read(struct eng *e, struct run *run, const struct history_range *range,
                 Pb__History **ret, int64_t *ret_next, struct err *err);
/* The same for an answer that is packed next: the field "history" of `to`, which has no unknown fields yet, is added
 * without being decoded, as an unknown field. */
int history_read_packed(struct eng *e, struct run *run, const struct history_range *range, ProtobufCMessage *to,
                        int64_t *ret_next, struct err *err);
/* One event; the caller frees it. -ERR_CORRUPT when it is not there. */
int history_event(struct eng *e, struct run *run, int64_t id, Pb__HistoryEvent **ret,
                  struct err *err);

#endif
