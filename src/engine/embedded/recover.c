/* What happens when a state is opened: every open run gets its timer and its tasks back, and tasks
 * that a worker in the engine's earlier process had are given to others at once. Activities that
 * workers of other processes have are left to them. */
#include "engine/embedded/activity.h"
#include "engine/embedded/due.h"
#include "engine/embedded/run.h"
#include "engine/embedded/wtask.h"

#include <string.h>

#define RUNS_PER_STEP 500

/* Whether the process that took it has ended with the engine's. */
static bool lost(const struct eng *e, const Pb__EmbeddedActivity *a)
{
    return a->started_ns && a->generation != e->db.generation &&
           a->taker == PB__EMBEDDED_TAKER__EMBEDDED_TAKER_INSIDE;
}

static void revive(struct eng *e, struct run *run)
{
    Pb__EmbeddedRun *s = run->s;
    if (e->lost_tasks == ENGINE_LOST_RETRY) {
        if (s->task_sticky) { /* nobody polls that queue now; its worker may, if it is of another process */
            s->task_sticky = false;
            run_dirty(e, run);
        }
        for (size_t i = 0; i < s->n_activities;) {
            Pb__EmbeddedActivity *a = s->activities[i];
            if (lost(e, a))
                activity_lost(e, run, a);
            if (i < s->n_activities && s->activities[i] == a)
                i++;
        }
        if (wtask_state(run) == WTASK_STARTED && s->task_generation != e->db.generation)
            wtask_time_out(e, run, PB__TIMEOUT_TYPE__TIMEOUT_TYPE_START_TO_CLOSE, true);
        if (s->task_backoff)
            wtask_wake(e, run); /* what made it fail may be mended */
    }
    run_requeue(e, run);
}

static int step(struct eng *e, int64_t *after, bool *ret_more, struct err *err)
{
    int64_t keys[RUNS_PER_STEP];
    int n = 0, rc, r = 0;
    sqlite3_stmt *s = db_stmt(&e->db, DB_RUN_OPEN);
    sqlite3_bind_int64(s, 1, *after);
    sqlite3_bind_int(s, 2, RUNS_PER_STEP);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        keys[n++] = sqlite3_column_int64(s, 0);
    if (rc != SQLITE_DONE)
        r = db_error(&e->db, "find open runs", err);
    sqlite3_reset(s);
    for (int i = 0; r == 0 && i < n; i++) {
        struct run *run;
        r = run_adopt(e, keys[i], &run, err);
        if (r == 0)
            revive(e, run);
        *after = keys[i];
    }
    *ret_more = n == RUNS_PER_STEP;
    return r;
}

int eng_recover(struct eng *e, struct err *err)
{
    int64_t after = 0;
    bool more = true;
    while (more) {
        int r = step(e, &after, &more, err);
        if (r == 0)
            r = eng_flush(e, err);
        if (r == 0 && e->fault.code)
            r = err_copy(err, &e->fault);
        if (r == 0)
            r = eng_commit(e, err);
        if (r < 0)
            return r;
        arena_clear(&e->arena);
        runs_trim(e);
    }
    return 0;
}
