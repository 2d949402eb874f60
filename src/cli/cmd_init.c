/* ff init and ff trust: the project folder .fuzzforge/, and whose word counts. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "cli/app.h"
#include "cli/term.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

static const char gitignore[] = "# State is for this machine; settings, workflows and modules are for all.\n"
                                "*\n!.gitignore\n!config.yaml\n!workflows/\n!workflows/**\n!modules/\n!modules/**\n";

/* Every setting, commented out, with its default. */
static void config_text(struct strbuf *b)
{
    char section[32] = "";
    strbuf_puts(b, "# Settings of this project; 'ff config -v' explains them and shows where each value comes from.\n");
    for (int k = 0; k < CONFIG_COUNT_; k++) {
        const struct config_info *i = &config_infos[k];
        const char *dot = strchr(i->name, '.');
        if (i->flags & CONFIG_SECRET)
            continue; /* not for a file that is shared */
        size_t n = dot ? (size_t)(dot - i->name) : 0;
        if (dot && (strlen(section) != n || strncmp(section, i->name, n) != 0)) {
            snprintf(section, sizeof section, "%.*s", (int)n, i->name);
            strbuf_printf(b, "#%s:\n", section);
        }
        strbuf_printf(b, "#%s%s: %s%s# %s\n", dot ? "  " : "", dot ? dot + 1 : i->name, i->def, *i->def ? "  " : "",
                      i->help);
    }
}

static int write_in(const char *dir, const char *name, const char *text, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(dir, name);
    if (!path)
        return err_nomem(err);
    return os_write_file_atomic(path, text, strlen(text), 0644, err);
}

static int make_dir(const char *dir, const char *name, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(dir, name);
    return path ? os_mkdir(path, 0755, true, err) : err_nomem(err);
}

static int make_project(const char *project, struct err *err)
{
    struct strbuf text = STRBUF_INIT;
    config_text(&text);
    int r = strbuf_check(&text, err);
    if (r == 0)
        r = os_mkdir(project, 0755, false, err);
    if (r == 0)
        r = write_in(project, ".gitignore", gitignore, err);
    if (r == 0)
        r = write_in(project, "config.yaml", strbuf_str(&text), err);
    if (r == 0)
        r = make_dir(project, "workflows", err);
    if (r == 0)
        r = make_dir(project, "modules", err);
    strbuf_release(&text);
    return r;
}

static int report(struct app *app, const char *project, bool created)
{
    _cleanup_free_ char *real = NULL;
    const char *shown = os_real_path(project, &real, NULL) == 0 ? real : project;
    if (app->json) {
        app_print_json(app, json_pack("{s:s, s:b, s:b}", "project", shown, "created", created, "trusted", 1));
        return EXIT_OK;
    }
    printf("%s ", created ? "made" : "there already, and trusted:");
    term_text(stdout, shown);
    putchar('\n');
    if (created && !app->quiet)
        printf("  config.yaml   settings of this project\n  workflows/    its own workflows ('ff workflow new NAME')\n"
               "  modules/      its own modules\n");
    return EXIT_OK;
}

static int init(struct app *app, const struct args *a)
{
    struct err err = {0};
    const char *dir = args_pos(a, 0) ? args_pos(a, 0) : ".";
    _cleanup_free_ char *project = os_path_join(dir, ".fuzzforge");
    if (!project) {
        err_nomem(&err);
        return app_fail(app, &err);
    }
    if (os_exists(project)) {
        if (config_is_trusted(project))
            return report(app, project, false);
        err_set(&err, ERR_EXISTS, "%s is there already, and is not trusted", project);
        err_hint(&err, "look at what it holds; if it is yours: ff trust %s", dir);
        return app_fail(app, &err);
    }
    int r = make_project(project, &err);
    if (r == 0)
        r = config_trust(project, &err);
    return r < 0 ? app_fail(app, &err) : report(app, project, true);
}

/* The .fuzzforge/ that is meant: the folder itself, or the one in it. */
static char *project_of(const char *dir, struct err *err)
{
    _cleanup_free_ char *real = NULL;
    if (os_real_path(dir, &real, err) < 0)
        return NULL;
    const char *slash = strrchr(real, '/');
    char *project = slash && strcmp(slash, "/.fuzzforge") == 0 ? mem_strdup(real) : os_path_join(real, ".fuzzforge");
    if (!project) {
        err_nomem(err);
    } else if (!os_is_dir(project)) {
        err_set(err, ERR_NOT_FOUND, "there is no .fuzzforge/ in %s", dir);
        err_hint(err, "'ff init %s' makes one", dir);
        free(project);
        project = NULL;
    }
    return project;
}

static int trust(struct app *app, const struct args *a)
{
    struct err err = {0};
    bool remove = args_has(a, "remove");
    const char *dir = args_pos(a, 0) ? args_pos(a, 0) : app->config.project ? app->config.project : ".";
    _cleanup_free_ char *project = project_of(dir, &err);
    if (!project || (remove ? config_distrust(project, &err) : config_trust(project, &err)) < 0)
        return app_fail(app, &err);
    if (app->json) {
        app_print_json(app, json_pack("{s:s, s:b}", "project", project, "trusted", !remove));
        return EXIT_OK;
    }
    term_text(stdout, project);
    printf(remove ? " is trusted no longer: its settings may only tighten\n"
                  : " is trusted: its settings, workflows and modules count from now on\n");
    return EXIT_OK;
}

static const struct opt trust_opts[] = {
    {"remove", 0, NULL, "take the trust back"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_init = {
    .name = "init",
    .summary = "Make a project folder .fuzzforge/",
    .usage = "[DIR]",
    .details = "It holds the project's settings, workflows and modules, and its state: runs and objects. A folder made here is\n"
               "trusted; one that came with somebody's code is not, until 'ff trust'.",
    .examples = "  ff init\n  ff init ./shop",
    .max_args = 1,
    .run = init,
};

const struct command cmd_trust = {
    .name = "trust",
    .summary = "Trust a project's .fuzzforge/ folder",
    .usage = "[DIR] [--remove]",
    .details = "Code that you scan can bring a .fuzzforge/ of its own. Until it is trusted, its settings may only make things\n"
               "stricter, and its workflows and modules are not used. Look at it first.",
    .examples = "  ff trust ./shop\n  ff trust --remove ./shop",
    .opts = trust_opts,
    .max_args = 1,
    .run = trust,
};
