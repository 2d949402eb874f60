/* ff clean: removal of runs that ended a while ago, with all that only they keep. */
#include "base/cleanup.h"
#include "base/units.h"
#include "cli/housekeeping.h"
#include "cli/table.h"
#include "cli/term.h"
#include "codec/json.h"

#include <stdio.h>

static void report(struct app *app, const json_t *doc)
{
    static const char *const heads[] = {"RUN", "WORKFLOW", "ENDED", NULL};
    const json_t *list = json_object_get(doc, "removed");
    size_t n = json_array_size(list), kept = (size_t)json_i64(doc, "kept", 0), i;
    bool dry = json_flag(doc, "dry_run", false);
    char size[32];
    json_t *run;
    if (n > 0 && !app->quiet) {
        struct table t;
        table_init(&t, heads);
        json_array_foreach(list, i, run) {
            table_add(&t, NULL, json_str(run, "run_id", NULL));
            table_add(&t, NULL, json_str(run, "workflow", NULL));
            table_addf(&t, NULL, "%.19s", json_str(run, "finished_at", ""));
        }
        table_print(&t);
        putchar('\n');
    }
    printf("%s %zu run%s and %lld object%s (%s); %zu run%s stay%s\n", dry ? "would remove" : "removed", n, UNITS_S(n),
           (long long)json_i64(doc, "objects_removed", 0), UNITS_S(json_i64(doc, "objects_removed", 0)),
           units_format_size((uint64_t)json_i64(doc, "bytes_freed", 0), size, sizeof size), kept, UNITS_S(kept),
           kept == 1 ? "s" : "");
    if (dry && n > 0 && !app->quiet)
        printf("the objects that only these runs keep go with them\n");
}

static int clean(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_json_ json_t *q = json_pack("{s:b}", "dry_run", args_has(a, "dry-run")), *doc = NULL;
    const char *older = args_get(a, "older-than");
    int64_t ms = 0;
    int r = older ? units_parse_duration_ms(older, &ms, &err) : 0;
    if (r < 0)
        err_wrap(&err, "--older-than");
    if (r == 0 && older && json_object_set_new(q, "older_than_ms", json_integer(ms)) < 0)
        r = err_nomem(&err);
    if (r == 0)
        r = housekeeping_ask(app, APP_STORE | APP_ENGINE, HOUSE_CLEAN, json_incref(q), &doc, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, TAKE_PTR(doc));
    else
        report(app, doc);
    return EXIT_OK;
}

static const struct opt options[] = {
    {"dry-run", 0, NULL, "only say what would go"},
    {"older-than", 0, "TIME", "runs that ended longer ago (default: the setting runs.keep; through a server: its own)"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_clean = {
    .remote = true,
    .makes_room = true,
    .name = "clean",
    .summary = "Remove old runs and what only they keep",
    .usage = "[--dry-run] [--older-than TIME]",
    .details = "Runs that have not ended are never touched. A cluster's lists may show for a while what is gone; this is told.",
    .examples = "  ff clean --dry-run\n  ff clean --older-than 7d\n  ff clean --older-than 0s     everything that has ended",
    .opts = options,
    .run = clean,
};
