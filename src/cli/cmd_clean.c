/* ff clean: removal of runs that ended a while ago, with all that only they keep. */
#include "api/service/control.h"
#include "api/service/runs.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/app.h"
#include "cli/engine_open.h"
#include "cli/table.h"
#include "cli/term.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define GC_GRACE_MS (INT64_C(3600) * 1000) /* an upload that goes on is never that old */
#define LATE_MS 5000                       /* so long a cluster's lists may show what is gone */
#define LATE_LOOK_MS 200

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

static int collect(struct app *app, struct old_runs *o, struct err *err)
{
    ProtobufCBinaryData from = {0};
    int r = runs_list(&app->service, "", SIZE_MAX, &from, add, o, err);
    return r < 0 || !o->nomem ? r : err_nomem(err);
}

/* A run may have had several executions (retry, continue-as-new): its older ones stay as long as one does. */
static void spare_kept(struct old_runs *o)
{
    size_t left = 0;
    VEC_EACH(&o->list, r) {
        if (!map_get(&o->kept_ids, r->id)) {
            o->list.v[left++] = *r;
            continue;
        }
        o->kept++;
        free(r->id);
        free(r->execution_id);
        free(r->workflow);
    }
    o->list.len = left;
}

/* How many of the removed ones are in the lists all the same. */
static int count_shown(struct app *app, const struct old_runs *removed, size_t *ret, struct err *err)
{
    struct old_runs now = {.before_ns = INT64_MAX};
    struct map shown = {0};
    int r = collect(app, &now, err);
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
static int wait_for_lists(struct app *app, const struct old_runs *removed, struct err *err)
{
    int64_t end = os_mono_ns() + LATE_MS * NS_PER_MS;
    size_t shown = removed->list.len;
    int r = 0;
    while (r == 0 && shown && (r = count_shown(app, removed, &shown, err)) == 0 && shown && os_mono_ns() < end)
        os_sleep_ms(LATE_LOOK_MS);
    if (r == 0 && shown)
        log_warn("%zu of the runs are still in the cluster's lists; they go by and by", shown);
    return r;
}

static void report(struct app *app, const struct old_runs *o, const struct store_gc_result *g, bool dry)
{
    static const char *const heads[] = {"RUN", "WORKFLOW", "ENDED", NULL};
    char ended[32], size[32];
    if (app->json) {
        json_t *list = json_array();
        for (size_t i = 0; i < o->list.len; i++)
            json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "run_id", o->list.v[i].id, "workflow",
                                                  o->list.v[i].workflow, "finished_at",
                                                  os_format_time(o->list.v[i].closed_ns, ended)));
        app_print_json(app, json_pack("{s:b, s:o, s:I, s:I, s:I}", "dry_run", dry, "removed", list, "kept",
                                      (json_int_t)o->kept, "objects_removed", (json_int_t)g->objects_removed,
                                      "bytes_freed", (json_int_t)g->bytes_freed));
        return;
    }
    if (o->list.len > 0 && !app->quiet) {
        struct table t;
        table_init(&t, heads);
        for (size_t i = 0; i < o->list.len; i++) {
            table_add(&t, NULL, o->list.v[i].id);
            table_add(&t, NULL, o->list.v[i].workflow);
            table_addf(&t, NULL, "%.19s", os_format_time(o->list.v[i].closed_ns, ended));
        }
        table_print(&t);
        putchar('\n');
    }
    printf("%s %zu run%s and %llu objects (%s); %zu run%s stay\n", dry ? "would remove" : "removed", o->list.len,
           o->list.len == 1 ? "" : "s", (unsigned long long)g->objects_removed,
           units_format_size(g->bytes_freed, size, sizeof size), o->kept, o->kept == 1 ? "" : "s");
    if (dry && o->list.len > 0 && !app->quiet)
        printf("the objects that only these runs keep go with them\n");
}

static int keep_time(struct app *app, const struct args *a, int64_t *ret_ms, struct err *err)
{
    const char *given = args_get(a, "older-than");
    if (!given)
        return config_duration_ms(&app->config, CONFIG_runs_keep, ret_ms, err);
    int r = units_parse_duration_ms(given, ret_ms, err);
    return r < 0 ? err_wrap(err, "--older-than") : 0;
}

static int clean(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct old_runs o = {0};
    struct store_gc_result g = {0};
    int64_t keep_ms = 0;
    bool dry = args_has(a, "dry-run");
    int r = keep_time(app, a, &keep_ms, &err);
    o.before_ns = os_now_ns() - keep_ms * NS_PER_MS;
    if (r == 0)
        r = app_open(app, APP_STORE | APP_ENGINE, &err);
    if (r == 0)
        r = collect(app, &o, &err);
    spare_kept(&o);
    for (size_t i = 0; r == 0 && !dry && i < o.list.len; i++) {
        r = run_delete_execution(&app->service, o.list.v[i].id, o.list.v[i].execution_id, &err);
        if (r < 0)
            err_wrap(&err, "remove run %s", o.list.v[i].id);
    }
    if (r == 0)
        r = store_gc(app->store, GC_GRACE_MS, dry, &g, &err);
    if (r == 0 && !dry && engine_is_temporal(app))
        r = wait_for_lists(app, &o, &err);
    if (r == 0)
        report(app, &o, &g, dry);
    release(&o);
    return r < 0 ? app_fail(app, &err) : EXIT_OK;
}

static const struct opt options[] = {
    {"dry-run", 0, NULL, "only say what would go"},
    {"older-than", 0, "TIME", "runs that ended longer ago (default: the setting runs.keep)"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_clean = {
    .name = "clean",
    .summary = "Remove old runs and what only they keep",
    .usage = "[--dry-run] [--older-than TIME]",
    .details = "Runs that have not ended are never touched. A cluster's lists may show for a while what is gone; this is told.",
    .examples = "  ff clean --dry-run\n  ff clean --older-than 7d\n  ff clean --older-than 0s     everything that has ended",
    .opts = options,
    .run = clean,
};
