/* ff config: each setting, its value, and where that comes from. */
#include "base/suggest.h"
#include "cli/app.h"
#include "cli/table.h"
#include "cli/term.h"

#include <stdio.h>
#include <string.h>

/* What may be shown of a value. */
static const char *shown(const struct config *c, enum config_key k)
{
    const char *v = config_get(c, k);
    return (config_infos[k].flags & CONFIG_SECRET) && *v ? "(set, not shown)" : v;
}

static json_t *setting_json(const struct config *c, enum config_key k)
{
    const struct config_info *i = &config_infos[k];
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:b}", "key", i->name, "source", config_source(c, k), "environment",
                          i->env, "help", i->help, "secret", (i->flags & CONFIG_SECRET) != 0);
    bool hide = (i->flags & CONFIG_SECRET) && *config_get(c, k);
    json_object_set_new(j, "value", hide ? json_null() : json_string(config_get(c, k)));
    if (i->flags & CONFIG_SECRET)
        json_object_set_new(j, "set", json_boolean(*config_get(c, k)));
    return j;
}

static int find_key(const char *name, struct err *err)
{
    struct suggest near;
    suggest_init(&near, name);
    for (int k = 0; k < CONFIG_COUNT_; k++) {
        if (strcmp(config_infos[k].name, name) == 0)
            return k;
        suggest_offer(&near, config_infos[k].name);
    }
    err_set(err, ERR_USAGE, "unknown setting '%.80s'", name);
    return near.best ? err_hint(err, "did you mean '%s'?", near.best)
                     : err_hint(err, "'ff config' lists the settings");
}

static int show_one(struct app *app, const char *name)
{
    struct err err = {0};
    int k = find_key(name, &err);
    if (k < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, setting_json(&app->config, (enum config_key)k));
    else
        printf("%s\n", shown(&app->config, (enum config_key)k));
    return EXIT_OK;
}

static int show_all(struct app *app)
{
    static const char *const heads[] = {"SETTING", "VALUE", "SOURCE", NULL};
    static const char *const long_heads[] = {"SETTING", "VALUE", "SOURCE", "ENVIRONMENT", "WHAT IT IS", NULL};
    struct table t;
    table_init(&t, app->verbose ? long_heads : heads);
    for (int n = 0; n < CONFIG_COUNT_; n++) {
        enum config_key k = (enum config_key)n;
        bool is_default = strcmp(config_source(&app->config, k), "default") == 0;
        table_add(&t, is_default ? "" : term_bold(), config_infos[k].name);
        table_add(&t, NULL, shown(&app->config, k));
        table_add(&t, is_default ? term_dim() : "", config_source(&app->config, k));
        if (app->verbose) {
            table_add(&t, NULL, config_infos[k].env);
            table_add(&t, NULL, config_infos[k].help);
        }
    }
    table_print(&t);
    if (app->quiet)
        return EXIT_OK;
    printf("\nstate folder  ");
    term_text(stdout, app->state_dir);
    if (app->config.project) {
        printf("\nproject       ");
        term_text(stdout, app->config.project);
        printf("%s", app->config.project_trusted ? "" : "  (not trusted: its settings may only tighten)");
    }
    putchar('\n');
    return EXIT_OK;
}

static int config(struct app *app, const struct args *a)
{
    if (args_pos(a, 0))
        return show_one(app, args_pos(a, 0));
    if (!app->json)
        return show_all(app);
    json_t *list = json_array();
    for (int k = 0; k < CONFIG_COUNT_; k++)
        json_array_append_new(list, setting_json(&app->config, (enum config_key)k));
    app_print_json(app, json_pack("{s:o, s:s, s:s?, s:b}", "settings", list, "state_dir", app->state_dir, "project",
                                  app->config.project, "project_trusted", app->config.project_trusted));
    return EXIT_OK;
}

const struct command cmd_config = {
    .name = "config",
    .summary = "Show each setting and where it comes from",
    .usage = "[SETTING]",
    .details = "From lowest to highest: built in, /etc/fuzzforge/config.yaml, ~/.config/fuzzforge/config.yaml, the project's\n"
               ".fuzzforge/config.yaml, --config FILE, environment, flag. Secrets are never printed. With -v also the names of\n"
               "the environment variables and what each setting is.",
    .examples = "  ff config\n  ff config -v\n  ff config cache.max_size\n  CACHE_MAX_SIZE=2G ff config cache.max_size",
    .max_args = 1,
    .run = config,
};
