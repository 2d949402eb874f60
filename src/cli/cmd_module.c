/* ff module: what modules there are, and one of them alone. */
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/app.h"
#include "cli/module_run.h"
#include "cli/schema_table.h"
#include "cli/table.h"
#include "cli/term.h"

#include <stdio.h>
#include <string.h>

static const char *kind_name(enum module_kind k)
{
    static const char *const names[] = {"built in", "executable", "shared object"};
    return (size_t)k < ARRAY_LEN(names) ? names[k] : "executable";
}

static json_t *strings_json(char *const *v)
{
    json_t *j = json_array();
    for (; v && *v; v++)
        json_array_append_new(j, json_string(*v));
    return j;
}

static json_t *def_json(const struct module_def *d, bool full)
{
    json_t *j = json_pack("{s:s, s:s?, s:s?, s:s?, s:s?}", "name", d->name, "folder", d->dir, "broken", d->broken,
                          "shadowed_by", d->shadowed_by, "kind", d->broken ? NULL : kind_name(d->kind));
    if (!j || d->broken)
        return j;
    json_object_set_new(j, "version", json_string(d->version));
    json_object_set_new(j, "category", json_string(module_category_name(d->category)));
    json_object_set_new(j, "description", json_string(d->description));
    json_object_set_new(j, "tags", strings_json(d->tags));
    json_object_set_new(j, "requires_workspace", json_boolean(d->requires_workspace));
    if (full) {
        json_object_set_new(j, "input_schema", d->input_schema ? json_incref(d->input_schema) : json_null());
        json_object_set_new(j, "output_schema", d->output_schema ? json_incref(d->output_schema) : json_null());
        json_object_set_new(j, "exec", d->argv ? strings_json(d->argv) : json_null());
        json_object_set_new(j, "library", d->library ? json_string(d->library) : json_null());
    }
    return j;
}

static void add_row(struct table *t, const struct module_def *d)
{
    table_add(t, d->broken ? term_red() : d->shadowed_by ? term_dim() : "", d->name);
    table_add(t, NULL, d->version);
    table_add(t, NULL, d->broken ? NULL : module_category_name(d->category));
    table_add(t, NULL, d->broken ? "broken" : kind_name(d->kind));
    if (d->broken)
        table_add(t, NULL, d->broken);
    else if (d->shadowed_by)
        table_addf(t, term_dim(), "(not used: %s comes first) %s", d->shadowed_by, d->description);
    else
        table_add(t, NULL, d->description);
}

static int list(struct app *app, const struct args *a)
{
    static const char *const heads[] = {"NAME", "VERSION", "CATEGORY", "KIND", "DESCRIPTION", NULL};
    struct err err = {0};
    struct module_def *d = NULL;
    size_t n = 0;
    const char *category = args_get(a, "category");
    enum module_category only = MODULE_TOOL;
    if ((category && module_category_parse(category, &only, &err) < 0) || app_open_toolbox(app, &err) < 0 ||
        module_registry_list(app->modules, &d, &n, &err) < 0)
        return app_fail(app, &err);
    struct table t;
    table_init(&t, heads);
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++) {
        bool wanted = !category || (!d[i].broken && d[i].category == only);
        if (wanted && app->json)
            json_array_append_new(all, def_json(&d[i], false));
        else if (wanted)
            add_row(&t, &d[i]);
        module_def_release(&d[i]);
    }
    free(d);
    if (app->json)
        app_print_json(app, json_pack("{s:O}", "modules", all));
    else
        table_print(&t);
    json_decref(all);
    return EXIT_OK;
}

static void print_line(const char *what, const char *text)
{
    if (!text || !*text)
        return;
    printf("  %-12s ", what);
    term_text(stdout, text);
    putchar('\n');
}

static void print_def(const struct module_def *d)
{
    struct strbuf tags = STRBUF_INIT, exec = STRBUF_INIT;
    for (char **p = d->tags; p && *p; p++)
        strbuf_printf(&tags, "%s%s", p == d->tags ? "" : ", ", *p);
    for (char **p = d->argv; p && *p; p++)
        strbuf_printf(&exec, "%s%s", p == d->argv ? "" : " ", *p);
    printf("%s%s%s %s\n", term_bold(), d->name, term_off(), d->version);
    print_line("description", d->description);
    print_line("category", module_category_name(d->category));
    print_line("kind", kind_name(d->kind));
    print_line("folder", d->dir);
    print_line("exec", strbuf_str(&exec));
    print_line("library", d->library);
    print_line("tags", strbuf_str(&tags));
    print_line("target", d->requires_workspace ? "needed" : "not needed");
    strbuf_release(&tags);
    strbuf_release(&exec);
    if (d->input_schema) {
        printf("\n%sInput%s\n", term_bold(), term_off());
        schema_table_print(d->input_schema, NULL);
    }
}

static int info(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct module_def d;
    int r = app_open_toolbox(app, &err);
    if (r == 0)
        r = module_registry_find(app->modules, args_pos(a, 0), &d, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, def_json(&d, true));
    else
        print_def(&d);
    module_def_release(&d);
    return EXIT_OK;
}

static const struct opt list_opts[] = {
    {"category", 0, "CATEGORY", "only these: scanner analyzer secrets fuzzer reporter tool"},
    {NULL, 0, NULL, NULL},
};

static const struct command c_list = {
    .name = "list", .aliases = "ls", .summary = "List the modules", .usage = "[--category CATEGORY]",
    .details = "Broken ones are listed with file, line and reason; of two with one name the first found is used.",
    .examples = "  ff module list\n  ff --toolbox my module list --category analyzer", .opts = list_opts, .run = list,
};
static const struct command c_info = {
    .name = "info", .aliases = "show", .summary = "Show what a module takes and gives", .usage = "MODULE",
    .examples = "  ff module info security_analyzer", .min_args = 1, .max_args = 1, .run = info,
};

const struct command cmd_module = {
    .name = "module",
    .aliases = "modules",
    .summary = "The modules: list, describe, run one alone",
    .details = "How to write one is in docs/modules.md.",
    .examples = "  ff module list\n  ff module run security_analyzer ./shop",
    .subs = (const struct command *const[]){&c_list, &c_info, &cmd_module_run, NULL},
};
