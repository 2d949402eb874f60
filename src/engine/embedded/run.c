#include "engine/embedded/run.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/due.h"
#include "engine/embedded/query.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define KEY_MASK ((UINT64_C(1) << 48) - 1)
#define SCRAMBLE UINT64_C(0x9e3779b97f4b)   /* odd, so that it has an inverse modulo 2^48 */

static uint64_t inverse(uint64_t a)
{
    uint64_t x = a; /* each Newton step doubles the number of right bits, beginning with 3 */
    for (int i = 0; i < 5; i++)
        x *= 2 - a * x;
    return x & KEY_MASK;
}

void run_id_make(int64_t key, char buf[RUN_ID_LEN + 1])
{
    uint64_t k = ((uint64_t)key * SCRAMBLE) & KEY_MASK;
    uint64_t r[2];
    os_random(r, sizeof r);
    snprintf(buf, RUN_ID_LEN + 1, "%08llx-%04llx-8%03llx-%04llx-%012llx",
             (unsigned long long)(k >> 16), (unsigned long long)(k & 0xffff),
             (unsigned long long)(r[0] & 0xfff),
             (unsigned long long)(0x8000 | ((r[0] >> 16) & 0x3fff)),
             (unsigned long long)(r[1] & KEY_MASK));
}

bool run_id_key(const char *run_id, int64_t *ret_key)
{
    uint64_t k = 0;
    if (strlen(run_id) != RUN_ID_LEN || run_id[8] != '-' || run_id[14] != '8')
        return false;
    for (int i = 0; i < 13; i++) {
        char c = run_id[i];
        if (i == 8)
            continue;
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0)
            return false;
        k = k << 4 | (uint64_t)v;
    }
    *ret_key = (int64_t)((k * inverse(SCRAMBLE)) & KEY_MASK);
    return true;
}

static void lru_unlink(struct run *run)
{
    if (!run->lru_next)
        return;
    run->lru_prev->lru_next = run->lru_next;
    run->lru_next->lru_prev = run->lru_prev;
    run->lru_next = run->lru_prev = NULL;
}

static void lru_touch(struct eng *e, struct run *run)
{
    lru_unlink(run);
    run->lru_next = e->lru.lru_next;
    run->lru_prev = &e->lru;
    run->lru_next->lru_prev = run;
    e->lru.lru_next = run;
}

/* Keeps the sum of what is in memory right; when state came, changed or goes. */
static void account(struct eng *e, struct run *run)
{
    e->cache_bytes -= run->cost;
    run->cost = run->s ? run->bytes * 3 + run->tail.cap + 512 : 0; /* decoded, about three times the packed size */
    e->cache_bytes += run->cost;
}

static void drop_state(struct eng *e, struct run *run)
{
    if (run->s)
        pb__embedded_run__free_unpacked(run->s, NULL);
    run->s = NULL;
    strbuf_release(&run->tail);
    lru_unlink(run);
    account(e, run);
}

static void free_run(struct eng *e, struct run *run)
{
    drop_state(e, run);
    heap_remove(&e->heap, &run->timer);
    free(run);
}

void run_forget(struct eng *e, struct run *run)
{
    map_removen(&e->runs, &run->key, sizeof run->key);
    free_run(e, run);
}

/* The key of eng.current. */
static char *current_key(struct eng *e, int64_t ns, const char *workflow_id, size_t *ret_n)
{
    size_t n = strlen(workflow_id);
    char *k = arena_alloc(&e->arena, sizeof ns + n + 1);
    if (k) {
        memcpy(k, &ns, sizeof ns);
        memcpy(k + sizeof ns, workflow_id, n);
        *ret_n = sizeof ns + n;
    }
    return k;
}

static void set_current(struct eng *e, struct run *run)
{
    size_t n;
    char *k = current_key(e, run->ns, run->s->workflow_id, &n);
    if (!k || !map_setn(&e->current, k, n, run, NULL))
        eng_nomem(e);
}

static void unset_current(struct eng *e, struct run *run)
{
    size_t n;
    char *k = run->s ? current_key(e, run->ns, run->s->workflow_id, &n) : NULL;
    if (k && map_getn(&e->current, k, n) == run)
        map_removen(&e->current, k, n);
}

int run_read_state(struct eng *e, struct run *run, Pb__EmbeddedRun **ret, struct err *err)
{
    sqlite3_stmt *s = db_stmt(&e->db, DB_RUN_GET);
    sqlite3_bind_int64(s, 1, run->key);
    int rc = sqlite3_step(s), r;
    ProtobufCMessage *m = NULL;
    if (rc == SQLITE_ROW) {
        run->ns = sqlite3_column_int64(s, 0);
        const void *data = sqlite3_column_blob(s, 1);
        run->bytes = (size_t)sqlite3_column_bytes(s, 1);
        r = pbx_unpack(&pb__embedded_run__descriptor, data, run->bytes, &m, err);
        if (r < 0 && r != -ERR_NO_MEMORY)
            r = err_set(err, ERR_CORRUPT, "state of run %lld cannot be read", (long long)run->key);
    } else if (rc == SQLITE_DONE) {
        r = err_set(err, ERR_NOT_FOUND, "workflow execution not found");
    } else {
        r = db_error(&e->db, "read run", err);
    }
    sqlite3_reset(s);
    *ret = (Pb__EmbeddedRun *)m;
    return r;
}

static int load_state(struct eng *e, struct run *run, struct err *err)
{
    int r = run_read_state(e, run, &run->s, err);
    if (r < 0)
        return r;
    run->open = run_is_open(run);
    strbuf_init(&run->tail, STRBUF_MAX_DEFAULT);
    run->flushed = 0;
    run->tail_first = run->flushed_next = run->s->next_event_id;
    lru_touch(e, run);
    account(e, run);
    return 0;
}

static struct run *add_shell(struct eng *e, int64_t key, int64_t ns, struct err *err)
{
    struct run *run = mem_zalloc(sizeof *run);
    if (run) {
        run->key = key;
        run->ns = ns;
    }
    if (!run || !map_setn(&e->runs, &key, sizeof key, run, NULL)) {
        free(run);
        err_nomem(err);
        return NULL;
    }
    return run;
}

int run_get(struct eng *e, int64_t key, struct run **ret, struct err *err)
{
    struct run *run = map_getn(&e->runs, &key, sizeof key);
    if (run && run->deleted)
        return err_set(err, ERR_NOT_FOUND, "workflow execution not found");
    bool added = !run;
    if (!run && !(run = add_shell(e, key, 0, err)))
        return -ERR_NO_MEMORY;
    int r = run->s ? 0 : load_state(e, run, err);
    if (r < 0) {
        if (added)
            run_forget(e, run);
        return r;
    }
    if (run->lru_next)
        lru_touch(e, run);
    *ret = run;
    return 0;
}

int run_adopt(struct eng *e, int64_t key, struct run **ret, struct err *err)
{
    int r = run_get(e, key, ret, err);
    if (r == 0) {
        set_current(e, *ret);
        if (e->fault.code)
            return err_copy(err, &e->fault);
    }
    return r;
}

static int not_found(struct err *err, const char *workflow_id, const char *run_id)
{
    return err_set(err, ERR_NOT_FOUND, "workflow execution not found: workflow id '%.200s'%s%.40s",
                   workflow_id, *run_id ? ", run id " : "", run_id);
}

int run_find(struct eng *e, int64_t ns, const char *workflow_id, const char *run_id,
             struct run **ret, struct err *err)
{
    int64_t key;
    size_t n;
    if (*run_id) {
        if (!run_id_key(run_id, &key))
            return not_found(err, workflow_id, run_id);
    } else {
        char *k = current_key(e, ns, workflow_id, &n);
        if (!k)
            return err_nomem(err);
        struct run *run = map_getn(&e->current, k, n);
        if (run) {
            key = run->key;
        } else {
            sqlite3_stmt *s = db_stmt(&e->db, DB_RUN_CURRENT);
            sqlite3_bind_int64(s, 1, ns);
            sqlite3_bind_text(s, 2, workflow_id, -1, SQLITE_STATIC);
            int rc = sqlite3_step(s);
            key = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
            int r = rc == SQLITE_ROW    ? 0
                    : rc == SQLITE_DONE ? not_found(err, workflow_id, run_id)
                                        : db_error(&e->db, "find run", err);
            sqlite3_reset(s);
            if (r < 0)
                return r;
        }
    }
    struct run *run;
    int r = run_get(e, key, &run, err);
    if (r == -ERR_NOT_FOUND || (r == 0 && (run->ns != ns || (*run_id && strcmp(run->s->run_id, run_id)) ||
                                           (*workflow_id && strcmp(run->s->workflow_id, workflow_id)))))
        return not_found(err, workflow_id, run_id);
    *ret = run;
    return r;
}

int run_find_execution(struct eng *e, int64_t ns, const Pb__WorkflowExecution *x, bool open_only,
                       struct run **ret, struct err *err)
{
    int64_t key;
    if (!x || !*x->workflow_id)
        return err_set(err, ERR_INVALID, "workflow id is not set");
    if (strlen(x->workflow_id) > ENGINE_ID_MAX)
        return err_set(err, ERR_INVALID, "workflow id is longer than %d bytes", ENGINE_ID_MAX);
    if (*x->run_id && !run_id_key(x->run_id, &key) && strlen(x->run_id) != RUN_ID_LEN)
        return err_set(err, ERR_INVALID, "run id '%.40s' is not a UUID", x->run_id);
    int r = run_find(e, ns, x->workflow_id, x->run_id, ret, err);
    if (r == 0 && open_only && !run_is_open(*ret))
        return err_set(err, ERR_NOT_FOUND, "workflow execution already completed: workflow id '%.200s'",
                       x->workflow_id);
    return r;
}

struct run *run_find_open(struct eng *e, int64_t ns, const char *workflow_id)
{
    size_t n;
    char *k = current_key(e, ns, workflow_id, &n);
    struct run *run = k ? map_getn(&e->current, k, n) : NULL;
    if (!k)
        eng_nomem(e);
    if (!run || run->deleted)
        return NULL;
    struct err err = {0};
    if (run_get(e, run->key, &run, &err) < 0) {
        eng_fault(e, &err);
        return NULL;
    }
    return run_is_open(run) ? run : NULL;
}

struct run *run_new(struct eng *e, int64_t ns, const char *workflow_id)
{
    char id[RUN_ID_LEN + 1];
    struct err err = {0};
    Pb__EmbeddedRun *s = mem_alloc(sizeof *s);
    struct run *run = s ? add_shell(e, e->db.last_run_key + 1, ns, &err) : NULL;
    if (!run) {
        free(s);
        eng_nomem(e);
        return NULL;
    }
    e->db.last_run_key++;
    pb__embedded_run__init(s);
    run->s = s;
    run->open = run->fresh = true;
    strbuf_init(&run->tail, STRBUF_MAX_DEFAULT);
    run->tail_first = run->flushed_next = s->next_event_id = 1;
    s->status = PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_RUNNING;
    s->task_attempt = s->attempt = 1;
    run_id_make(run->key, id);
    str_set(e, &s->workflow_id, workflow_id);
    str_set(e, &s->run_id, id);
    lru_touch(e, run);
    set_current(e, run);
    run_dirty(e, run);
    return run;
}

void run_dirty(struct eng *e, struct run *run)
{
    if (run->dirty)
        return;
    run->dirty = true;
    run->next_dirty = e->dirty;
    e->dirty = run;
}

/* Keeps in memory the events that the next workflow task will want, if they are few. */
#define TAIL_KEEP 16384

static void trim_tail(struct eng *e, struct run *run)
{
    run->flushed = run->tail.len;
    run->flushed_next = run->s->next_event_id;
    if (run->tail.len > TAIL_KEEP || !run->open) {
        strbuf_release(&run->tail);
        run->flushed = 0;
        run->tail_first = run->flushed_next;
    }
}

void runs_committed(struct eng *e)
{
    struct run *next;
    for (struct run *run = e->dirty; run; run = next) {
        next = run->next_dirty;
        run->dirty = run->fresh = run->attributes_changed = false;
        run->next_dirty = NULL;
        if (run->deleted) {
            unset_current(e, run);
            run_forget(e, run);
            continue;
        }
        trim_tail(e, run);
        account(e, run);
        if (run->open && !run_is_open(run)) {
            run->open = false;
            heap_remove(&e->heap, &run->timer);
        }
        if (!run->open)
            unset_current(e, run);
    }
    e->dirty = NULL;
}

int runs_undo(struct eng *e, struct err *err)
{
    struct run *list = e->dirty, *next, *again = NULL;
    int r = 0;
    e->dirty = NULL;
    for (struct run *run = list; run; run = next) {
        next = run->next_dirty;
        run->dirty = run->deleted = run->attributes_changed = false;
        run->next_dirty = NULL;
        unset_current(e, run);
        if (run->fresh) {
            queries_fail(e, run);
            struct call *c;
            while ((c = run->waiters ? run->waiters : run->update_waiters)) {
                call_unpark(e, c);
                call_fail_err(e, c, &e->fault);
            }
            run_forget(e, run);
            continue;
        }
        drop_state(e, run);
        run->next_dirty = again;
        again = run;
    }
    for (struct run *run = again; run; run = next) {
        next = run->next_dirty;
        run->next_dirty = NULL;
        int q = load_state(e, run, err);
        if (q == 0 && run->open) {
            set_current(e, run);
            run_requeue(e, run);
        }
        if (q == 0)
            queries_again(e, run);
        if (q < 0)
            r = q;
    }
    return r;
}

void runs_trim(struct eng *e)
{
    struct run *run = e->lru.lru_prev, *before;
    for (; e->cache_bytes > e->cache_max && run != &e->lru; run = before) {
        before = run->lru_prev;
        bool forget = !run->open && !run->waiters && !run->update_waiters && !run->queries;
        if (forget)
            run_forget(e, run);
        else
            drop_state(e, run);
    }
}

void runs_release(struct eng *e)
{
    MAP_EACH (&e->runs, entry)
        free_run(e, entry->value);
    map_release(&e->runs);
    map_release(&e->current);
    heap_release(&e->heap);
    heap_release(&e->waits);
}
