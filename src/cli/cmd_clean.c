/* ff clean: removal of runs that ended a while ago, with all that only they keep. */
#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/app.h"
#include "cli/table.h"
#include "cli/term.h"
#include "codec/pbx.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define GC_GRACE_MS (INT64_C(3600) * 1000) /* an upload that goes on is never that old */
#define PAGE 500

struct old_run {
    char *id, *execution_id, *workflow;
    int64_t closed_ns;
};

struct old_runs {
    VEC(struct old_run) list;
    struct map kept_ids; /* of runs that stay */
    size_t kept;
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

static int add(struct old_runs *o, const Pb__WorkflowExecutionInfo *i, int64_t before_ns, struct err *err)
{
    int64_t closed = pbx_timestamp_ns(i->close_time);
    if (!closed || closed >= before_ns) {
        o->kept++;
        return map_set(&o->kept_ids, i->execution->workflow_id, o) ? 0 : err_nomem(err);
    }
    struct old_run r = {mem_strdup(i->execution->workflow_id), mem_strdup(i->execution->run_id),
                        mem_strdup(i->type ? i->type->name : ""), closed};
    if (r.id && r.execution_id && r.workflow && VEC_PUSH(&o->list, r))
        return 0;
    free(r.id);
    free(r.execution_id);
    free(r.workflow);
    return err_nomem(err);
}

static int collect(struct app *app, int64_t before_ns, struct old_runs *o, struct err *err)
{
    Pb__ListWorkflowExecutionsRequest req = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    ProtobufCBinaryData token = {0};
    int r;
    req.namespace_ = (char *)(uintptr_t) "default";
    req.page_size = PAGE;
    do {
        ProtobufCMessage *m;
        req.next_page_token = token;
        r = engine_call_sync(app->engine, ENGINE_LIST, &req.base, 0, &m, err);
        free(token.data);
        token = (ProtobufCBinaryData){0};
        if (r < 0)
            return r;
        Pb__ListWorkflowExecutionsResponse *l = (Pb__ListWorkflowExecutionsResponse *)m;
        for (size_t i = 0; r == 0 && i < l->n_executions; i++)
            r = add(o, l->executions[i], before_ns, err);
        token = l->next_page_token;
        l->next_page_token = (ProtobufCBinaryData){0};
        engine_free_message(m);
    } while (r == 0 && token.len);
    free(token.data);
    return r;
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

/* The run's own entry goes last: cut short anywhere, the next `ff clean` finds it again and finishes. */
static int remove_run(struct app *app, const struct old_run *run, struct err *err)
{
    _cleanup_free_ char *owner = mem_printf("run/%s", run->id);
    if (!owner)
        return err_nomem(err);
    int r = store_unpin_owner(app->store, owner, err);
    if (r == 0)
        r = workspaces_forget(app->workspaces, run->execution_id, err);
    if (r < 0)
        return r;
    Pb__DeleteWorkflowExecutionRequest req = PB__DELETE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution e = PB__WORKFLOW_EXECUTION__INIT;
    e.workflow_id = run->id;
    e.run_id = run->execution_id;
    req.namespace_ = (char *)(uintptr_t) "default";
    req.workflow_execution = &e;
    r = engine_call_sync(app->engine, ENGINE_DELETE, &req.base, 0, NULL, err);
    return r == -ERR_NOT_FOUND ? 0 : r;
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
    if (r == 0)
        r = app_open(app, APP_STORE | APP_ENGINE, &err);
    if (r == 0)
        r = collect(app, os_now_ns() - keep_ms * NS_PER_MS, &o, &err);
    spare_kept(&o);
    for (size_t i = 0; r == 0 && !dry && i < o.list.len; i++) {
        r = remove_run(app, &o.list.v[i], &err);
        if (r < 0)
            err_wrap(&err, "remove run %s", o.list.v[i].id);
    }
    if (r == 0)
        r = store_gc(app->store, GC_GRACE_MS, dry, &g, &err);
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
    .details = "Runs that have not ended are never touched.",
    .examples = "  ff clean --dry-run\n  ff clean --older-than 7d\n  ff clean --older-than 0s     everything that has ended",
    .opts = options,
    .run = clean,
};
