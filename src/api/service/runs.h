/* Lists of runs. */
#ifndef FF_API_SERVICE_RUNS_H
#define FF_API_SERVICE_RUNS_H

#include "api/service/service.h"
#include "base/strbuf.h"

struct run_item {
    const char *run_id, *execution_id, *workflow;
    const char *status; /* as in struct run_info; static */
    const char *target; /* name, "" */
    const char *target_ref; /* "" */
    uint64_t target_bytes, history_bytes;
    int64_t started_ns, finished_ns; /* 0: not yet */
};

/* A filter of the engine's list from what people give; each may be NULL. status: running, completed, failed, cancelled,
 * terminated, timed_out. query: a filter in the engine's own language. */
int runs_filter(const char *status, const char *workflow, const char *query, struct strbuf *ret, struct err *err);
/* Up to limit runs that fit, newest first. io_token: where to go on (len 0: at the beginning); afterwards where the next ones
 * are, len 0 when there are none. The caller frees io_token->data. */
int runs_list(const struct service *svc, const char *filter, size_t limit, ProtobufCBinaryData *io_token,
              void (*one)(void *arg, const struct run_item *item), void *arg, struct err *err);
/* The same, of each run only as it is now: what it was before it was started again, or went on as a fresh one, is left out. */
int runs_list_current(const struct service *svc, const char *filter, size_t limit, ProtobufCBinaryData *io_token,
                      void (*one)(void *arg, const struct run_item *item), void *arg, struct err *err);
/* Bytes that the runs of the namespace keep: their histories, and in the store targets, and what is pinned for them (results,
 * reports, corpora), each object once. results: those too; they are looked for pin by pin, which is for a store on this
 * machine. each: is given these runs; may be NULL. */
int runs_stored_bytes(const struct service *svc, bool results, void (*each)(void *arg, const struct run_item *item), void *arg,
                      uint64_t *ret, struct err *err);
/* Of an object, of a tree all that it holds: as it is found until that time (monotonic), and remembered; never less than what is
 * said of it. */
uint64_t runs_true_bytes(const struct service *svc, const char *ref, uint64_t said, int64_t until_ns);
/* {run_id, execution_id, workflow, status, target, started_at, finished_at, duration_ms}; NULL when memory is out. */
json_t *run_item_json(const struct run_item *i);

#endif
