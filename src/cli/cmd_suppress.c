/* ff findings suppress: what is known and accepted, written to the suppression file. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/findings_args.h"
#include "cli/findings_show.h"
#include "api/service/suppressions.h"
#include "cli/table.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

static json_t *entry(const char *fingerprint, const char *rule, const char *path, const char *reason)
{
    json_t *j = json_object();
    const struct {
        const char *key, *text;
    } members[] = {{"fingerprint", fingerprint}, {"rule", rule}, {"path", path}, {"reason", reason}};
    for (size_t i = 0; j && i < ARRAY_LEN(members); i++)
        if (members[i].text)
            json_object_set_new(j, members[i].key, json_clean_string(members[i].text));
    return j;
}

/* Adds what the command line names; *ret_added counts. */
static int add_entries(struct app *app, const struct args *a, json_t *list, size_t *ret_added, struct err *err)
{
    const char *reason = args_get(a, "reason"), *rule = args_get(a, "rule"), *path = args_get(a, "path");
    *ret_added = 0;
    if (rule || path) {
        if (json_array_append_new(list, entry(NULL, rule, path, reason)) < 0)
            return err_nomem(err);
        ++*ret_added;
    }
    if (!a->positional.len)
        return 0;
    int r = app_open(app, APP_STORE | APP_ENGINE, err);
    for (size_t i = 0; r == 0 && i < a->positional.len; i++) {
        struct run_list l;
        size_t place;
        r = run_list_find(&app->service, args_get(a, "run"), args_pos(a, i), &l, &place, err);
        if (r < 0)
            break;
        if (json_array_append_new(list, entry(l.list.v[place].fingerprint, NULL, NULL, reason)) < 0)
            r = err_nomem(err);
        run_list_release(&l);
        ++*ret_added;
    }
    return r;
}

static int print_entries(struct app *app, json_t *doc)
{
    static const char *const heads[] = {"FINGERPRINT", "RULE", "PATH", "SINCE", "REASON", NULL};
    size_t i;
    json_t *j;
    struct table t;
    if (app->json) {
        app_print_json(app, json_incref(doc));
        return EXIT_OK;
    }
    table_init(&t, heads);
    json_array_foreach(json_object_get(doc, "suppressions"), i, j) {
        table_addf(&t, NULL, "%.10s", json_str(j, "fingerprint", ""));
        table_add(&t, NULL, json_str(j, "rule", NULL));
        table_add(&t, NULL, json_str(j, "path", NULL));
        table_addf(&t, NULL, "%.10s", json_str(j, "created_at", ""));
        table_add(&t, NULL, json_str(j, "reason", NULL));
    }
    table_print(&t);
    if (!app->quiet)
        fprintf(stderr, "ff: %zu suppression%s in %s\n", json_array_size(json_object_get(doc, "suppressions")),
                UNITS_S(json_array_size(json_object_get(doc, "suppressions"))), json_str(doc, "file", "?"));
    return EXIT_OK;
}

static int done(struct app *app, const char *verb, size_t n, const char *path)
{
    if (app->json)
        app_print_json(app, json_pack("{s:I, s:s}", verb, (json_int_t)n, "file", path));
    else
        printf("%zu suppression%s %s, in %s\n", n, n == 1 ? "" : "s", verb, path);
    return EXIT_OK;
}

static int suppress(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_json_ json_t *doc = NULL;
    const char *remove = args_get(a, "remove");
    bool adds = a->positional.len || args_get(a, "rule") || args_get(a, "path");
    size_t n = 0;
    if (!args_has(a, "list") && !remove && !adds)
        return app_usage(app, "what is to be suppressed? Give a finding, --rule or --path; --list shows what is");
    if (adds && !args_get(a, "reason"))
        return app_usage(app, "give a --reason: who reads it later will ask");
    _cleanup_json_ json_t *added = json_array();
    int r = app->remote ? app_open(app, 0, &err) : 0;
    if (r == 0)
        r = suppressions_list(&app->service, &doc, &err); /* and may it be written? */
    if (r == 0 && args_has(a, "list"))
        return print_entries(app, doc);
    if (r == 0 && remove)
        r = suppressions_remove(&app->service, remove, &n, &err);
    else if (r == 0 && (r = add_entries(app, a, added, &n, &err)) == 0)
        r = suppressions_add(&app->service, added, &err);
    return r < 0 ? app_fail(app, &err) : done(app, remove ? "removed" : "added", n, json_str(doc, "file", "?"));
}

static const struct opt opts[] = {
    {"reason", 0, "TEXT", "why; shown in every report"},
    {"rule", 0, "GLOB", "all findings of such rules (with --path: there)"},
    {"path", 0, "GLOB", "all findings in such files; * stands for any characters, also /"},
    {"run", 0, "RUN", "look for FINDING in this run only"},
    {"list", 0, NULL, "show what is suppressed"},
    {"remove", 0, "FINGERPRINT", "take it back; also by the text of --rule"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_findings_suppress = {
    .remote = true,
    .name = "suppress",
    .summary = "Accept findings: they are shown as suppressed and fail no gate",
    .usage = "[FINDING...] [--rule GLOB] [--path GLOB] --reason TEXT",
    .details = "Written to suppressions.json in the project folder if that is trusted, else in the state folder. The next\n"
               "reports of earlier runs see it too. A comment 'ff:ignore[rule] reason' in the code does the same for one line.",
    .examples = "  ff findings suppress eff3f7c07a --reason \"the table name is a constant\"\n"
                "  ff findings suppress --rule 'secrets/*' --path 'tests/*' --reason \"test data\"\n"
                "  ff findings suppress --remove eff3f7c07a",
    .opts = opts,
    .min_args = 0,
    .max_args = -1,
    .run = suppress,
};
