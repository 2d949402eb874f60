/* Runs in memory: finding, loading, making, dropping. */
#ifndef FF_ENGINE_RUN_H
#define FF_ENGINE_RUN_H

#include "engine/embedded/engine_internal.h"

#define RUN_ID_LEN 36
#define RESET_PENDING "?" /* reset_run_id while a reset is under way */

/* A run id is a UUID of version 8 (RFC 9562): 48 bits of the scrambled run key, the rest random.
 * So the key follows from the id without an index. */
void run_id_make(int64_t key, char buf[RUN_ID_LEN + 1]);
bool run_id_key(const char *run_id, int64_t *ret_key);

/* With its state loaded. -ERR_NOT_FOUND when there is none, or what the database says. The
 * pointer is good until the end of the batch, or as long as the run is pinned. */
int run_get(struct eng *e, int64_t key, struct run **ret, struct err *err);
/* By workflow id and, if not empty, run id; otherwise the newest run of that workflow id. */
int run_find(struct eng *e, int64_t ns, const char *workflow_id, const char *run_id,
             struct run **ret, struct err *err);
/* The same from a request's WorkflowExecution; open_only: a closed one is -ERR_NOT_FOUND too. */
int run_find_execution(struct eng *e, int64_t ns, const Pb__WorkflowExecution *x, bool open_only,
                       struct run **ret, struct err *err);
/* The open run of that workflow id, or NULL. */
struct run *run_find_open(struct eng *e, int64_t ns, const char *workflow_id);
/* A fresh run with key, run id and workflow id, status running. NULL after a fault. */
struct run *run_new(struct eng *e, int64_t ns, const char *workflow_id);
void run_dirty(struct eng *e, struct run *run);
/* The state as the database has it, beside run->s; the caller's. What run->s is, unless the run is dirty. */
int run_read_state(struct eng *e, struct run *run, Pb__EmbeddedRun **ret, struct err *err);
/* The shell of an open run at start-up, with its state. */
int run_adopt(struct eng *e, int64_t key, struct run **ret, struct err *err);
/* After a commit: forgets who was dirty. */
void runs_committed(struct eng *e);
/* After a failed commit: brings the dirty runs back to what the database has. */
int runs_undo(struct eng *e, struct err *err);
/* Drops what is over the cache's bound. */
void runs_trim(struct eng *e);
void runs_release(struct eng *e);
/* Throws a run out of memory for good (deleted). */
void run_forget(struct eng *e, struct run *run);

static inline bool run_is_open(const struct run *run)
{
    return run->s->status == PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_RUNNING;
}

#endif
