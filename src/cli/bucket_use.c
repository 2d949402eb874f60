#include "cli/bucket_use.h"

#include "api/service/artifacts.h"
#include "api/service/runs.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "os/clock.h"

#include <string.h>

#define UNLISTED_MS (INT64_C(3600) * 1000) /* a cluster's lists are late: a run that is in none for so long is gone */
#define READING_NS (500 * NS_PER_MS)       /* histories, at a time */

struct execution {
    int64_t read; /* its history, up to that event; INT64_MAX: to its end */
    bool listed, ended;
    char *run_id;
};

struct reading {
    struct access *access;
    const struct service *svc;
    struct map executions;    /* by id */
    struct map runs;          /* by id, those that are listed */
    struct map seen, gone;    /* by reference; by id of the run */
    VEC(struct access_result) left; /* of the history that is read; references belong to it */
    uint64_t bytes;
    bool nomem;
};

static struct execution *execution_of(struct reading *b, const char *id)
{
    struct execution *e = map_get(&b->executions, id);
    if (!e && (e = mem_zalloc(sizeof *e)) && !map_set(&b->executions, id, e))
        free(TAKE_PTR(e));
    b->nomem = b->nomem || !e;
    return e;
}

static int add_history(void *arg, const struct access_history *h)
{
    struct reading *b = arg;
    struct execution *e = execution_of(b, h->execution_id);
    if (!e || !(e->run_id = mem_strdup(h->run_id)))
        return -ERR_NO_MEMORY;
    e->read = h->event;
    return 0;
}

static void add_run(void *arg, const struct run_item *item)
{
    struct reading *b = arg;
    struct execution *e = execution_of(b, item->execution_id);
    if (!e || e->listed)
        return;
    e->listed = true;
    e->ended = item->finished_ns != 0;
    if (!e->run_id)
        e->run_id = mem_strdup(item->run_id);
    b->nomem = b->nomem || !e->run_id || !map_set(&b->runs, item->run_id, b);
}

static int add_left(void *arg, const char *ref, uint64_t bytes, struct err *err)
{
    struct reading *b = arg;
    struct access_result x = {mem_strdup(ref), runs_true_bytes(b->svc, ref, bytes, INT64_MAX)}; /* once, as the event is */
    if (x.ref && VEC_PUSH(&b->left, x))
        return 0;
    free((char *)(uintptr_t)x.ref);
    return err_nomem(err);
}

/* One that was taken away meanwhile has left nothing. */
static int read_history(struct reading *b, const char *id, struct execution *e, struct err *err)
{
    const char *name_space = service_namespace(b->svc);
    struct access_history h = {e->run_id, id, e->read};
    int r = run_left(b->svc, e->run_id, id, &h.event, add_left, b, err);
    if (e->ended)
        h.event = INT64_MAX;
    if (r == -ERR_NOT_FOUND)
        r = 0;
    else if (r == 0 && (b->left.len || e->ended))
        r = access_results_add(b->access, name_space, &h, b->left.v, b->left.len, err);
    VEC_EACH(&b->left, x)
        free((char *)(uintptr_t)x->ref);
    b->left.len = 0;
    return r;
}

/* One was taken away, and what it has left with it: the others of that run are read again. */
static int forget(struct reading *b, const char *id, const struct execution *gone, struct err *err)
{
    const char *name_space = service_namespace(b->svc);
    int r = access_results_forget(b->access, name_space, gone->run_id, INT64_MAX, err);
    if (r == 0)
        r = access_history_forget(b->access, name_space, id, err);
    if (!map_get(&b->runs, gone->run_id))
        return r;
    MAP_EACH(&b->executions, x) {
        struct execution *e = x->value;
        if (e->listed && strcmp(e->run_id, gone->run_id) == 0)
            e->read = 0;
    }
    return r;
}

static int forget_gone(struct reading *b, struct err *err)
{
    int64_t until = os_mono_ns() + READING_NS;
    int r = 0;
    MAP_EACH(&b->executions, x) {
        const struct execution *e = x->value;
        bool later = os_mono_ns() > until && !map_get(&b->runs, e->run_id); /* it does not count meanwhile */
        if (r == 0 && !e->listed && !later)
            r = forget(b, x->key, e, err);
    }
    return r;
}

static int read_histories(struct reading *b, bool *ret_more, struct err *err)
{
    int64_t until = os_mono_ns() + READING_NS;
    int r = 0;
    MAP_EACH(&b->executions, x) {
        struct execution *e = x->value;
        if (r < 0 || !e->listed || e->read == INT64_MAX)
            continue;
        *ret_more = *ret_more || !e->ended || os_mono_ns() > until;
        if (os_mono_ns() <= until)
            r = read_history(b, x->key, e, err);
    }
    return r;
}

static int add_result(void *arg, const char *run_id, const struct access_result *x)
{
    struct reading *b = arg;
    struct map *m = map_get(&b->runs, run_id) ? &b->seen : &b->gone;
    const char *key = m == &b->seen ? x->ref : run_id;
    if (map_get(m, key))
        return 0;
    if (m == &b->seen)
        b->bytes += x->bytes;
    b->nomem = b->nomem || !map_set(m, key, b);
    return b->nomem ? -ERR_NO_MEMORY : 0;
}

static int count_results(struct reading *b, struct err *err)
{
    const char *name_space = service_namespace(b->svc);
    int r = access_results_each(b->access, name_space, add_result, b, err);
    MAP_EACH(&b->gone, e)
        if (r == 0)
            r = access_results_forget(b->access, name_space, e->key, os_now_ns() / NS_PER_MS - UNLISTED_MS, err);
    return r;
}

static void release(struct reading *b)
{
    MAP_EACH(&b->executions, x) {
        struct execution *e = x->value;
        free(e->run_id);
        free(e);
    }
    map_release(&b->executions);
    map_release(&b->runs);
    map_release(&b->seen);
    map_release(&b->gone);
    VEC_RELEASE(&b->left);
}

int bucket_use(struct access *a, const struct service *svc, uint64_t *ret_bytes, bool *ret_more, struct err *err)
{
    struct reading b = {.access = a, .svc = svc};
    uint64_t targets = 0;
    int r = access_histories_each(a, service_namespace(svc), add_history, &b, err);
    if (r == 0)
        r = runs_stored_bytes(svc, false, add_run, &b, &targets, err);
    if (r == 0 && !b.nomem)
        r = forget_gone(&b, err);
    if (r == 0 && !b.nomem)
        r = read_histories(&b, ret_more, err);
    if (r == 0 && !b.nomem)
        r = count_results(&b, err);
    if (b.nomem)
        r = err_nomem(err);
    *ret_bytes = targets + b.bytes;
    release(&b);
    return r;
}
