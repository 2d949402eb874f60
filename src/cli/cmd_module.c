/* ff module: what modules there are, and one of them alone. */
#include "api/service/catalog.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/app.h"
#include "cli/module_run.h"
#include "cli/schema_table.h"
#include "cli/table.h"
#include "cli/term.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

static void add_row(struct table *t, const json_t *d)
{
    const char *broken = json_str(d, "broken", NULL), *shadowed_by = json_str(d, "shadowed_by", NULL);
    table_add(t, broken ? term_red() : shadowed_by ? term_dim() : "", json_str(d, "name", ""));
    table_add(t, NULL, json_str(d, "version", NULL));
    table_add(t, NULL, broken ? NULL : json_str(d, "category", NULL));
    table_add(t, NULL, broken ? "broken" : json_str(d, "kind", NULL));
    if (broken)
        table_add(t, NULL, broken);
    else if (shadowed_by)
        table_addf(t, term_dim(), "(not used: %s comes first) %s", shadowed_by, json_str(d, "description", ""));
    else
        table_add(t, NULL, json_str(d, "description", NULL));
}

/* What `ff module info` tells beside. */
static void shorten(json_t *d)
{
    static const char *const more[] = {"input_schema", "output_schema", "exec", "library"};
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        json_object_del(d, more[i]);
}

static int list(struct app *app, const struct args *a)
{
    static const char *const heads[] = {"NAME", "VERSION", "CATEGORY", "KIND", "DESCRIPTION", NULL};
    struct err err = {0};
    _cleanup_json_ json_t *modules = NULL, *shown = json_array();
    json_t *d;
    size_t i;
    const char *category = args_get(a, "category");
    enum module_category only = MODULE_TOOL;
    if ((category && module_category_parse(category, &only, &err) < 0) || app_open_toolbox(app, &err) < 0 ||
        modules_list(&app->service, &modules, &err) < 0)
        return app_fail(app, &err);
    struct table t;
    table_init(&t, heads);
    json_array_foreach(modules, i, d) {
        if (category && strcmp(json_str(d, "category", ""), module_category_name(only)) != 0)
            continue;
        shorten(d);
        if (app->json)
            json_array_append(shown, d);
        else
            add_row(&t, d);
    }
    if (app->json)
        app_print_json(app, json_pack("{s:O}", "modules", shown));
    else
        table_print(&t);
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

static void print_words(const char *what, const json_t *words, const char *between)
{
    struct strbuf b = STRBUF_INIT;
    size_t i;
    json_t *w;
    json_array_foreach(words, i, w)
        strbuf_printf(&b, "%s%s", i ? between : "", json_is_string(w) ? json_string_value(w) : "?");
    print_line(what, strbuf_str(&b));
    strbuf_release(&b);
}

static void print_def(const json_t *d)
{
    printf("%s%s%s ", term_bold(), json_str(d, "name", ""), term_off());
    term_text(stdout, json_str(d, "version", ""));
    putchar('\n');
    print_line("description", json_str(d, "description", NULL));
    print_line("category", json_str(d, "category", NULL));
    print_line("kind", json_str(d, "kind", NULL));
    print_line("folder", json_str(d, "folder", NULL));
    print_words("exec", json_object_get(d, "exec"), " ");
    print_line("library", json_str(d, "library", NULL));
    print_words("tags", json_object_get(d, "tags"), ", ");
    print_line("target", json_flag(d, "requires_workspace", false) ? "needed" : "not needed");
    if (json_is_object(json_object_get(d, "input_schema"))) {
        printf("\n%sInput%s\n", term_bold(), term_off());
        schema_table_print(json_object_get(d, "input_schema"), NULL);
    }
}

static int info(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_json_ json_t *d = NULL;
    int r = app_open_toolbox(app, &err);
    if (r == 0)
        r = module_find(&app->service, args_pos(a, 0), &d, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, json_incref(d));
    else
        print_def(d);
    return EXIT_OK;
}

static const struct opt list_opts[] = {
    {"category", 0, "CATEGORY", "only these: scanner analyzer secrets fuzzer reporter tool"},
    {NULL, 0, NULL, NULL},
};

static const struct command c_list = {
    .remote = true,
    .name = "list", .aliases = "ls", .summary = "List the modules", .usage = "[--category CATEGORY]",
    .details = "Broken ones are listed with file, line and reason; of two with one name the first found is used.",
    .examples = "  ff module list\n  ff --toolbox my module list --category analyzer", .opts = list_opts, .run = list,
};
static const struct command c_info = {
    .remote = true,
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
