/* ff workflow: what workflows there are, what they take, whether they are right; running is cmd_run.c's. */
#include "api/service/catalog.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "cli/cmd_run.h"
#include "cli/schema_table.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/workflow_test.h"
#include "codec/json.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

/* --- list ------------------------------------------------------------------------------------------------- */

/* "FILE:LINE: reason" of a broken one; "" of another. */
static const char *broken_text(const struct workflow_def *d, struct err *buf)
{
    *buf = (struct err){0};
    workflow_def_error(d, buf);
    return buf->msg;
}

static void add_row(struct table *t, const struct workflow_def *d)
{
    struct err why;
    table_add(t, d->broken ? term_red() : "", d->name);
    table_add(t, NULL, d->version);
    table_add(t, NULL, d->broken ? "broken" : d->vertical);
    if (d->broken)
        table_add(t, NULL, broken_text(d, &why));
    else if (d->untrusted)
        table_addf(t, NULL, "(of a project that is not trusted) %s", d->description ? d->description : "");
    else
        table_add(t, NULL, d->description);
}

static int list(struct app *app, const struct args *a)
{
    static const char *const heads[] = {"NAME", "VERSION", "VERTICAL", "DESCRIPTION", NULL};
    struct err err = {0};
    struct workflow_def **d = NULL;
    size_t n = 0;
    if (app_open_toolbox(app, &err) < 0 || workflows_list(&app->service, &d, &n, &err) < 0)
        return app_fail(app, &err);
    struct table t;
    table_init(&t, heads);
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++) {
        if (app->json)
            json_array_append_new(all, workflow_head_json(d[i]));
        else
            add_row(&t, d[i]);
    }
    toolbox_list_free(d, n);
    if (app->json)
        app_print_json(app, json_pack("{s:O}", "workflows", all));
    else
        table_print(&t);
    if (n == 0 && !app->json && !app->quiet)
        fprintf(stderr, "ff: no workflows here; 'make install' puts some there, 'ff workflow new NAME' makes one\n");
    json_decref(all);
    return EXIT_OK;
}

/* --- info and params -------------------------------------------------------------------------------------- */

static int find(struct app *app, const struct args *a, struct workflow_def **ret, struct err *err)
{
    int r = app_open_toolbox(app, err);
    return r < 0 ? r : workflow_find(&app->service, args_pos(a, 0), ret, err);
}

static void print_line(const char *what, const char *text)
{
    if (!text || !*text)
        return;
    printf("  %-12s ", what);
    term_text(stdout, text);
    putchar('\n');
}

static void print_list(const char *what, const json_t *list)
{
    struct strbuf b = STRBUF_INIT;
    size_t i;
    json_t *v;
    json_array_foreach((json_t *)(uintptr_t)list, i, v)
        strbuf_printf(&b, "%s%s", i ? ", " : "", json_is_string(v) ? json_string_value(v) : "?");
    print_line(what, strbuf_str(&b));
    strbuf_release(&b);
}

static void print_info(const struct workflow_def *d)
{
    char timeout[32] = "";
    struct strbuf resources = STRBUF_INIT;
    if (d->timeout_ms)
        units_format_duration(d->timeout_ms, timeout, sizeof timeout);
    if (json_object_size(d->resources))
        json_write(d->resources, &resources, NULL);
    printf("%s%s%s %s\n", term_bold(), d->name, term_off(), d->version);
    print_line("description", d->description);
    print_line("author", d->author);
    print_list("tags", d->tags);
    print_line("vertical", d->vertical);
    print_line("isolation", d->isolation);
    print_line("network", d->network);
    print_line("timeout", timeout);
    print_line("resources", strbuf_str(&resources));
    print_line("schedule", d->schedule);
    print_list("modules", d->required_modules);
    print_line("folder", d->dir);
    printf("\n%sParameters%s\n", term_bold(), term_off());
    schema_table_print(d->parameters, d->default_parameters);
    strbuf_release(&resources);
}

static int info(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct workflow_def *d;
    if (find(app, a, &d, &err) < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, workflow_info_json(d));
    else
        print_info(d);
    workflow_def_free(d);
    return EXIT_OK;
}

static int params(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct workflow_def *d;
    if (find(app, a, &d, &err) < 0)
        return app_fail(app, &err);
    if (app->json) {
        app_print_json(app, workflow_parameters_json(d));
    } else {
        schema_table_print(d->parameters, d->default_parameters);
    }
    workflow_def_free(d);
    return EXIT_OK;
}

/* --- validate --------------------------------------------------------------------------------------------- */

/* Modules that the workflow says it needs and that are not there. It is right all the same: they may come later. */
static json_t *missing_modules(struct app *app, const struct workflow_def *d)
{
    json_t *missing = json_array();
    size_t i;
    json_t *m;
    json_array_foreach(d->required_modules, i, m) {
        _cleanup_json_ json_t *found = NULL;
        struct err err = {0};
        const char *name = json_is_string(m) ? json_string_value(m) : "";
        if (module_find(&app->service, name, &found, &err) < 0)
            json_array_append_new(missing, json_pack("{s:s, s:s, s:s?}", "module", name, "reason", err.msg, "hint",
                                                     err.hint[0] ? err.hint : NULL));
    }
    return missing;
}

static void report_right(struct app *app, const struct workflow_def *d, json_t *list)
{
    json_t *missing = missing_modules(app, d), *m;
    size_t i;
    if (app->json) {
        json_array_append_new(list, json_pack("{s:s, s:b, s:s?, s:O}", "name", d->name, "valid", 1, "folder", d->dir,
                                              "missing_modules", missing));
    } else {
        printf("%sok%s      %s\n", term_green(), term_off(), d->name);
        json_array_foreach(missing, i, m)
            printf("%swarning%s %s: needs module '%s', which is not there\n", term_yellow(), term_off(), d->name,
                   json_str(m, "module", ""));
    }
    json_decref(missing);
}

static void report_broken(struct app *app, const char *name, const char *reason, const char *hint, json_t *list)
{
    if (app->json) {
        json_array_append_new(list, json_pack("{s:s, s:b, s:s, s:s?}", "name", name, "valid", 0, "reason", reason, "hint",
                                              hint && *hint ? hint : NULL));
        return;
    }
    printf("%sbroken%s  ", term_red(), term_off());
    term_text(stdout, name);
    printf("\n    ");
    term_text(stdout, reason);
    putchar('\n');
    if (hint && *hint) {
        printf("    ");
        term_text(stdout, hint);
        putchar('\n');
    }
}

/* A name, or a folder with a metadata.yaml. */
static int validate_one(struct app *app, const char *what, json_t *list, struct err *err)
{
    struct workflow_def *d = NULL;
    bool folder = strchr(what, '/') || strcmp(what, ".") == 0;
    int r = folder ? toolbox_load_dir(what, &d, err) : workflow_find(&app->service, what, &d, err);
    if (r == 0 && folder)
        r = workflow_def_error(d, err);
    if (r == 0)
        report_right(app, d, list);
    else if (r == -ERR_INVALID)
        report_broken(app, what, err->msg, err->hint, list);
    workflow_def_free(d);
    return r;
}

static int validate_all(struct app *app, json_t *list, struct err *err)
{
    struct workflow_def **d = NULL;
    struct err why;
    size_t n = 0;
    int r = workflows_list(&app->service, &d, &n, err), broken = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (d[i]->broken)
            report_broken(app, d[i]->name, broken_text(d[i], &why), NULL, list);
        else /* a server's list does not have all of it */
            r = validate_one(app, d[i]->name, list, err);
        broken += d[i]->broken || r == -ERR_INVALID;
        r = r == -ERR_INVALID ? 0 : r;
    }
    toolbox_list_free(d, n);
    return r < 0 ? r : broken ? err_set(err, ERR_INVALID, "%d broken", broken) : 0;
}

static int validate(struct app *app, const struct args *a)
{
    struct err err = {0};
    json_t *list = json_array();
    int r = app_open_toolbox(app, &err);
    bool told = r == 0;
    if (r == 0 && a->positional.len == 0)
        r = validate_all(app, list, &err);
    for (size_t i = 0; told && i < a->positional.len; i++) {
        struct err e = {0};
        int one = validate_one(app, a->positional.v[i], list, &e);
        if (one < 0 && (r == 0 || one != -ERR_INVALID)) {
            r = one;
            err = e;
        }
    }
    if (r < 0 && r != -ERR_INVALID) {
        json_decref(list);
        return app_fail(app, &err);
    }
    if (app->json)
        app_print_json(app, json_pack("{s:b, s:O}", "valid", r == 0, "workflows", list));
    json_decref(list);
    return r < 0 ? err_exit_status(r) : EXIT_OK;
}

/* --- new -------------------------------------------------------------------------------------------------- */

/* Where a new workflow goes: the folder asked for, the first --toolbox, the project. */
static char *new_parent(struct app *app, const struct args *a, struct err *err)
{
    const char *toolbox = args_nth(a, "toolbox", 0);
    char *p = args_pos(a, 1)                                          ? mem_strdup(args_pos(a, 1))
              : toolbox                                               ? os_path_join(toolbox, "workflows")
              : app->config.project && app->config.project_trusted ? os_path_join(app->config.project, "workflows")
                                                                      : NULL;
    if (p)
        return p;
    err_set(err, ERR_USAGE, "where is it to go? There is no trusted project here");
    err_hint(err, "'ff init' makes one; or name a folder: ff workflow new %s DIR", args_pos(a, 0));
    return NULL;
}

static int write_in(const char *dir, const char *name, const char *text, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(dir, name);
    return path ? os_write_file_atomic(path, text, strlen(text), 0644, err) : err_nomem(err);
}

static int make(const char *parent, const char *name, char **ret_dir, struct err *err)
{
    _cleanup_free_ char *metadata = NULL, *script = NULL;
    struct workflow_def *d = NULL;
    int r = toolbox_skeleton(name, &metadata, &script, err);
    *ret_dir = os_path_join(parent, name);
    if (r == 0 && !*ret_dir)
        r = err_nomem(err);
    if (r == 0 && os_exists(*ret_dir)) {
        err_set(err, ERR_EXISTS, "%s is there already", *ret_dir);
        r = err_hint(err, "choose another name, or remove it first");
    }
    if (r == 0)
        r = os_mkdirs(*ret_dir, 0755, err);
    if (r == 0)
        r = write_in(*ret_dir, "metadata.yaml", metadata, err);
    if (r == 0)
        r = write_in(*ret_dir, "workflow.lua", script, err);
    if (r == 0 && (r = toolbox_load_dir(*ret_dir, &d, err)) == 0)
        r = workflow_def_error(d, err);
    workflow_def_free(d);
    return r;
}

static int new_workflow(struct app *app, const struct args *a)
{
    struct err err = {0};
    const char *name = args_pos(a, 0);
    _cleanup_free_ char *parent = new_parent(app, a, &err), *dir = NULL;
    if (!parent || make(parent, name, &dir, &err) < 0)
        return app_fail(app, &err);
    if (app->json) {
        app_print_json(app, json_pack("{s:s, s:s}", "name", name, "folder", dir));
        return EXIT_OK;
    }
    printf("made ");
    term_text(stdout, dir);
    putchar('\n');
    if (!app->quiet)
        printf("  metadata.yaml  what it is and what it takes\n  workflow.lua   what it does\n"
               "It works as it is: ff run %s TARGET\n", name);
    return EXIT_OK;
}

/* --- the table -------------------------------------------------------------------------------------------- */

static const struct command c_list = {
    .remote = true,
    .name = "list", .aliases = "ls", .summary = "List the workflows", .usage = "",
    .details = "Broken ones are listed with file, line and reason; of two with one name the first found is used.",
    .examples = "  ff workflow list\n  ff --toolbox my workflow list", .run = list,
};
static const struct command c_info = {
    .remote = true,
    .name = "info", .aliases = "show", .summary = "Show what a workflow is and takes", .usage = "WORKFLOW",
    .examples = "  ff workflow info security_assessment", .min_args = 1, .max_args = 1, .run = info,
};
static const struct command c_params = {
    .remote = true,
    .name = "params", .aliases = "parameters", .summary = "Show the parameters of a workflow", .usage = "WORKFLOW",
    .examples = "  ff workflow params security_assessment\n"
                "  ff --json workflow params security_assessment | jq .default_parameters",
    .min_args = 1, .max_args = 1, .run = params,
};
static const struct command c_validate = {
    .remote = true,
    .name = "validate", .aliases = "check", .summary = "Check workflows without running them", .usage = "[WORKFLOW|DIR...]",
    .details = "A folder is named by a path with a '/'. Without arguments all are checked. Exit status 2 if one is broken.\n"
               "Through a server, names and the modules that a workflow needs are looked up there; a folder is read here.",
    .examples = "  ff workflow validate\n  ff workflow validate ./my/workflows/nightly",
    .max_args = -1, .run = validate,
};
static const struct command c_new = {
    .local = true,
    .name = "new", .summary = "Make a workflow that works as it is", .usage = "NAME [DIR]",
    .details = "It goes into DIR/NAME; without DIR into the first --toolbox, or into the project's .fuzzforge/workflows.",
    .examples = "  ff workflow new nightly\n  ff workflow new nightly ./my/workflows",
    .min_args = 1, .max_args = 2, .run = new_workflow,
};

const struct command cmd_workflow = {
    .name = "workflow",
    .aliases = "workflows",
    .summary = "The workflows: list, describe, check, make, test",
    .details = "How to write one is in docs/workflows.md.",
    .examples = "  ff workflow list\n  ff workflow info security_assessment\n  ff workflow new nightly",
    .subs = (const struct command *const[]){&c_list, &c_info, &c_params, &c_validate, &c_new, &cmd_workflow_test,
                                            &cmd_workflow_run, &cmd_workflow_status, &cmd_workflow_history,
                                            &cmd_runs_retry, NULL},
};
