/* What is old enough goes: see namespace.h. */
#include "base/units.h"
#include "codec/pbx.h"
#include "engine/embedded/close.h"
#include "engine/embedded/namespace.h"
#include "engine/embedded/run.h"

#define PASS_EVERY_NS (60 * NS_PER_S) /* between the end of a look at all runs and the next */
#define STEP_EVERY_NS (100 * NS_PER_MS)
#define ROWS_AT_ONCE 1000
#define DELETED_AT_ONCE 100

static int64_t retention_of(const struct namespace_entry *n)
{
    return pbx_duration_ns(n->s->config->workflow_execution_retention_ttl);
}

/* When to go on. between: passes, if nothing is being deleted as a whole. */
static void plan(struct eng *e, bool between)
{
    bool any = false, going = false;
    VEC_EACH(&e->namespaces, n) {
        going |= n->s->deleted;
        any |= retention_of(n) > 0;
    }
    e->sweep_at = !any && !going ? INT64_MAX : e->now + (between && !going ? PASS_EVERY_NS : STEP_EVERY_NS);
}

void retention_plan(struct eng *e)
{
    plan(e, false);
}

static bool is_due(struct eng *e, int64_t ns, int64_t close_ns)
{
    struct namespace_entry *n = namespace_by_id(e, ns);
    if (!n)
        return false;
    n->runs_seen = true;
    int64_t keep = retention_of(n);
    return n->s->deleted || (keep > 0 && close_ns && e->now - close_ns >= keep);
}

/* Keys of runs that are due, behind sweep_key, which moves on; *ret_end: there are no more rows. */
static size_t collect(struct eng *e, int64_t keys[DELETED_AT_ONCE], bool *ret_end)
{
    struct err err = {0};
    size_t n = 0;
    int rc = SQLITE_ROW, rows = 0;
    sqlite3_stmt *s = db_stmt(&e->db, DB_RUNS_AFTER);
    sqlite3_bind_int64(s, 1, e->sweep_key);
    sqlite3_bind_int(s, 2, ROWS_AT_ONCE);
    while (n < DELETED_AT_ONCE && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        e->sweep_key = sqlite3_column_int64(s, 0);
        rows++;
        if (is_due(e, sqlite3_column_int64(s, 1), sqlite3_column_int64(s, 2)))
            keys[n++] = e->sweep_key;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        db_error(&e->db, "look for old runs", &err);
        eng_fault(e, &err);
    }
    sqlite3_reset(s);
    *ret_end = rc == SQLITE_DONE && rows < ROWS_AT_ONCE;
    return n;
}

static void delete_one(struct eng *e, int64_t key)
{
    struct run *run;
    struct err err = {0};
    int r = run_get(e, key, &run, &err);
    if (r < 0) {
        if (r != -ERR_NOT_FOUND)
            eng_fault(e, &err);
        return;
    }
    if (run_is_open(run))
        close_terminated(e, run, "Delete namespace", NULL, "history-service");
    run_dirty(e, run);
    run->deleted = true;
}

/* A namespace of which a whole pass found nothing is gone. */
static void end_pass(struct eng *e)
{
    for (size_t i = e->namespaces.len; i-- > 0 && !e->fault.code;) {
        struct namespace_entry *n = &e->namespaces.v[i];
        if (n->s->deleted && n->swept && !n->runs_seen)
            namespace_remove(e, n);
    }
}

void retention_sweep(struct eng *e)
{
    int64_t keys[DELETED_AT_ONCE];
    bool end;
    if (e->now < e->sweep_at || e->read_only)
        return;
    if (e->sweep_key == 0)
        VEC_EACH(&e->namespaces, n) {
            n->swept = true;
            n->runs_seen = false;
        }
    size_t count = collect(e, keys, &end);
    for (size_t i = 0; i < count && !e->fault.code; i++)
        delete_one(e, keys[i]);
    if (end) {
        end_pass(e);
        e->sweep_key = 0;
    }
    plan(e, end);
}
