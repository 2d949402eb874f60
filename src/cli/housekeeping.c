#include "cli/housekeeping.h"

#include "api/access/audit.h"
#include "api/client/remote.h"
#include "api/service/control.h"
#include "api/service/runs.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/engine_open.h"
#include "cli/run_refs.h"
#include "cli/store_places.h"
#include "codec/json.h"
#include "os/clock.h"

#include <string.h>

#define GC_GRACE_MS (INT64_C(3600) * 1000) /* an upload that goes on is never that old */
#define LATE_MS 5000                       /* so long a cluster's lists may show what is gone */
#define LATE_LOOK_MS 200
#define AUDIT_LIMIT 50

/* Takes the document. */
static int give(json_t *j, json_t **ret, struct err *err)
{
    return (*ret = j) ? 0 : err_nomem(err);
}

/* --- the store ---------------------------------------------------------------------------------------------- */

static int collect_garbage(struct store *s, const json_t *q, json_t **ret, struct err *err)
{
    struct store_gc_result g;
    bool dry = json_flag(q, "dry_run", false);
    int r = store_gc(s, json_i64(q, "grace_ms", GC_GRACE_MS), dry, &g, err);
    return r < 0 ? r
                 : give(json_pack("{s:b, s:I, s:I, s:I, s:I}", "dry_run", dry, "objects_kept", (json_int_t)g.objects_kept,
                                  "objects_removed", (json_int_t)g.objects_removed, "chunks_removed",
                                  (json_int_t)g.chunks_removed, "bytes_freed", (json_int_t)g.bytes_freed),
                        ret, err);
}

struct examination {
    json_t *damaged, *missing;
    const atomic_bool *stop;
};

static void note(json_t *list, const char *ref, const char *why)
{
    if (json_array_size(list) < HOUSE_NAMED_MAX)
        json_array_append_new(list, json_pack("{s:s, s:o}", "ref", ref, "reason", json_clean_string(why)));
}

static void on_damaged(void *arg, const char *ref, const char *why)
{
    note(((struct examination *)arg)->damaged, ref, why);
}

static void on_missing(void *arg, const char *ref, const char *why)
{
    note(((struct examination *)arg)->missing, ref, why);
}

static bool stopped(void *arg)
{
    const atomic_bool *stop = ((struct examination *)arg)->stop;
    return stop && atomic_load(stop);
}

static int examine(struct app *app, const atomic_bool *stop, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *damaged = json_array(), *missing = json_array();
    struct examination e = {.damaged = damaged, .missing = missing, .stop = stop};
    struct store_verify_result v;
    struct run_refs_result refs = {0};
    int r = damaged && missing ? store_verify(app->store, on_damaged, stopped, &e, &v, err) : err_nomem(err);
    if (r == -ERR_CANCELLED)
        return err_set(err, ERR_UNAVAILABLE, "the examination was cut short: the server is stopping");
    if (r == 0)
        r = run_refs_check(app, on_missing, &e, &refs, err);
    if (r < 0)
        return r;
    return give(json_pack("{s:I, s:I, s:I, s:I, s:O, s:b, s:I, s:I, s:I, s:O}", "objects", (json_int_t)v.objects, "chunks",
                          (json_int_t)v.chunks, "bytes", (json_int_t)v.bytes, "bad_objects", (json_int_t)v.bad_objects,
                          "damaged", damaged, "refs_checked", true, "runs", (json_int_t)refs.runs, "refs",
                          (json_int_t)refs.refs, "missing_objects", (json_int_t)refs.missing, "missing", missing),
                ret, err);
}

/* --- old runs ----------------------------------------------------------------------------------------------- */

struct old_run {
    char *id, *execution_id, *workflow;
    int64_t closed_ns;
};

struct old_runs {
    int64_t before_ns;
    VEC(struct old_run) list;
    struct map kept_ids; /* of runs that stay */
    size_t kept;
    bool nomem;
};

static void release(struct old_runs *o)
{
    VEC_EACH(&o->list, r) {
        free(r->id);
        free(r->execution_id);
        free(r->workflow);
    }
    VEC_RELEASE(&o->list);
    map_release(&o->kept_ids);
}

static void add(void *arg, const struct run_item *i)
{
    struct old_runs *o = arg;
    if (!i->finished_ns || i->finished_ns >= o->before_ns) {
        o->kept++;
        o->nomem |= !map_set(&o->kept_ids, i->run_id, o);
        return;
    }
    struct old_run r = {mem_strdup(i->run_id), mem_strdup(i->execution_id), mem_strdup(i->workflow), i->finished_ns};
    if (r.id && r.execution_id && r.workflow && VEC_PUSH(&o->list, r))
        return;
    free(r.id);
    free(r.execution_id);
    free(r.workflow);
    o->nomem = true;
}

static int collect(const struct service *svc, struct old_runs *o, struct err *err)
{
    ProtobufCBinaryData from = {0};
    int r = runs_list(svc, "", SIZE_MAX, &from, add, o, err);
    return r < 0 || !o->nomem ? r : err_nomem(err);
}

static void keep(struct old_runs *o, struct old_run *r)
{
    o->kept++;
    free(r->id);
    free(r->execution_id);
    free(r->workflow);
}

/* A run may have had several executions (retry, continue-as-new): its older ones stay as long as one does. */
static void spare_kept(struct old_runs *o)
{
    size_t left = 0;
    VEC_EACH(&o->list, r) {
        if (map_get(&o->kept_ids, r->id))
            keep(o, r);
        else
            o->list.v[left++] = *r;
    }
    o->list.len = left;
}

/* How many of the removed ones are in the lists all the same. */
static int count_shown(const struct service *svc, const struct old_runs *removed, size_t *ret, struct err *err)
{
    struct old_runs now = {.before_ns = INT64_MAX};
    struct map shown = {0};
    int r = collect(svc, &now, err);
    VEC_EACH(&now.list, s)
        if (r == 0 && !map_set(&shown, s->execution_id, s))
            r = err_nomem(err);
    *ret = 0;
    VEC_EACH(&removed->list, s)
        *ret += map_get(&shown, s->execution_id) != NULL;
    map_release(&shown);
    release(&now);
    return r;
}

/* A cluster removes late, and its lists are later still: whoever looks next sees what we say, if it does not take too long. */
static int wait_for_lists(const struct service *svc, const struct old_runs *removed, struct err *err)
{
    int64_t end = os_mono_ns() + LATE_MS * NS_PER_MS;
    size_t shown = removed->list.len;
    int r = 0;
    while (r == 0 && shown && (r = count_shown(svc, removed, &shown, err)) == 0 && shown && os_mono_ns() < end)
        os_sleep_ms(LATE_LOOK_MS);
    if (r == 0 && shown)
        log_warn("%zu of the runs are still in the cluster's lists: what has just ended goes within a minute or so", shown);
    return r;
}

static int clean_document(const struct old_runs *o, const struct store_gc_result *g, bool dry, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *list = json_array();
    char ended[32];
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < o->list.len; i++)
        ok = json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "run_id", o->list.v[i].id, "workflow",
                                                   o->list.v[i].workflow, "finished_at",
                                                   os_format_time(o->list.v[i].closed_ns, ended))) == 0;
    return give(ok ? json_pack("{s:b, s:O, s:I, s:I, s:I}", "dry_run", dry, "removed", list, "kept", (json_int_t)o->kept,
                               "objects_removed", (json_int_t)g->objects_removed, "bytes_freed", (json_int_t)g->bytes_freed)
                   : NULL,
                ret, err);
}

/* Those that were begun again since they were listed stay. */
static int delete_all(const struct service *svc, struct old_runs *o, struct err *err)
{
    size_t left = 0;
    int r = 0;
    VEC_EACH(&o->list, x) {
        bool removed = true;
        if (r == 0 && (r = run_delete_old(svc, x->id, x->execution_id, o->before_ns, &removed, err)) < 0)
            err_wrap(err, "remove run %s", x->id);
        if (removed)
            o->list.v[left++] = *x;
        else
            keep(o, x);
    }
    o->list.len = left;
    return r;
}

static int clean(struct app *app, const struct service *svc, const json_t *q, json_t **ret, struct err *err)
{
    struct old_runs o = {0};
    struct store_gc_result g = {0};
    int64_t keep_ms = json_i64(q, "older_than_ms", -1);
    bool dry = json_flag(q, "dry_run", false);
    int r = keep_ms < 0 ? config_duration_ms(&app->config, CONFIG_runs_keep, &keep_ms, err) : 0;
    o.before_ns = os_now_ns() - keep_ms * NS_PER_MS;
    if (r == 0)
        r = collect(svc, &o, err);
    spare_kept(&o);
    if (r == 0 && !dry)
        r = delete_all(svc, &o, err);
    if (r == 0)
        r = store_gc(svc->store, GC_GRACE_MS, dry, &g, err);
    if (r == 0 && !dry && engine_is_temporal(app))
        r = wait_for_lists(svc, &o, err);
    if (r == 0)
        r = clean_document(&o, &g, dry, ret, err);
    release(&o);
    return r;
}

/* --- the audit log ------------------------------------------------------------------------------------------ */

#define KEPT_AT_ONCE 10000 /* entries beside those that are asked for, until they are sorted */

struct audit_filter {
    const char *who, *action, *name_space;
    size_t last; /* entries */
    json_t *found;
};

static bool fits(const struct audit_filter *f, const json_t *e)
{
    const json_t *who = json_object_get(e, "who");
    if (f->who && strcmp(f->who, json_str(who, "name", "")) != 0 && strcmp(f->who, json_str(who, "id", "")) != 0)
        return false;
    if (f->action && strncmp(json_str(e, "action", ""), f->action, strlen(f->action)) != 0)
        return false;
    return !f->name_space || strcmp(json_str(e, "namespace", ""), f->name_space) == 0;
}

struct timed {
    json_t *entry;
    size_t place;
};

static int by_time(const void *a, const void *b)
{
    const struct timed *x = a, *y = b;
    int c = strcmp(json_str(x->entry, "time", ""), json_str(y->entry, "time", ""));
    return c ? c : x->place < y->place ? -1 : x->place > y->place;
}

/* Of all logs together. */
static int keep_last(struct audit_filter *f, struct err *err)
{
    size_t n = json_array_size(f->found), i;
    _cleanup_free_ struct timed *list = mem_calloc(n + 1, sizeof *list);
    _cleanup_json_ json_t *sorted = json_array();
    json_t *e;
    if (!list || !sorted)
        return err_nomem(err);
    json_array_foreach(f->found, i, e)
        list[i] = (struct timed){e, i};
    qsort(list, n, sizeof *list, by_time);
    for (i = n > f->last ? n - f->last : 0; i < n; i++)
        if (json_array_append(sorted, list[i].entry) < 0)
            return err_nomem(err);
    json_array_clear(f->found);
    return json_array_extend(f->found, sorted) < 0 ? err_nomem(err) : 0;
}

static int take_entry(void *arg, json_t *entry, struct err *err)
{
    struct audit_filter *f = arg;
    if (!fits(f, entry))
        return 0;
    if (json_array_append(f->found, entry) < 0)
        return err_nomem(err);
    return json_array_size(f->found) >= f->last + KEPT_AT_ONCE ? keep_last(f, err) : 0;
}

static int audit(const struct app *app, const json_t *q, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *found = json_array();
    struct audit_filter f = {.who = json_str(q, "who", NULL), .action = json_str(q, "action", NULL),
                             .name_space = json_str(q, "namespace", NULL), .last = (size_t)json_i64(q, "limit", AUDIT_LIMIT),
                             .found = found};
    int r = found ? audit_read(app->state_dir, take_entry, &f, err) : err_nomem(err);
    if (r == 0)
        r = keep_last(&f, err);
    return r < 0 ? r : give(json_pack("{s:O}", "entries", found), ret, err);
}

/* --- all of it ---------------------------------------------------------------------------------------------- */

int housekeeping_do(struct app *app, const struct service *svc, enum house_verb verb, const json_t *q, const atomic_bool *stop,
                    json_t **ret, struct err *err)
{
    switch (verb) {
    case HOUSE_GC: return collect_garbage(svc->store, q, ret, err);
    case HOUSE_VERIFY: return examine(app, stop, ret, err);
    case HOUSE_CLEAN: return clean(app, svc, q, ret, err);
    case HOUSE_AUDIT: return audit(app, q, ret, err);
    case HOUSE_INIT:
    case HOUSE_REKEY:
    case HOUSE_MIGRATE: return store_places_do(app, svc, verb, q, stop, ret, err);
    }
    return err_set(err, ERR_INTERNAL, "no such verb");
}

int housekeeping_ask(struct app *app, unsigned parts, enum house_verb verb, json_t *q, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *request = q;
    int r = request ? app_open(app, parts, err) : err_nomem(err);
    if (r < 0)
        return r;
    return app->remote ? client_housekeeping(app->client, verb, request, ret, err)
                       : housekeeping_do(app, &app->service, verb, request, NULL, ret, err);
}
