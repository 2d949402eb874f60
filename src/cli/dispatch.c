/* The table of commands, and the way from argv to one of them. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/suggest.h"
#include "cli/app.h"
#include "cli/args_internal.h"
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/term.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

const struct opt global_opts[] = {
    {"state", 0, "DIR", "the state folder (default: the project's .fuzzforge, else ~/.local/state/fuzzforge)"},
    {"toolbox", 0, "DIR", "a folder with workflows/ and modules/; may be given several times"},
    {"config", 0, "FILE", "a configuration file that stands above the others"},
    {"engine", 0, "NAME", "embedded (this machine) or temporal (a cluster)"},
    {"namespace", 0, "NAME", "the engine's namespace (default: default)"},
    {"store", 0, "NAME", "local (this machine) or s3 (a bucket)"},
    {"server", 0, "URL", "ask the server that runs there, instead of a state of this machine"},
    {"token-file", 0, "FILE", "the token for the server (also FF_SERVER_TOKEN)"},
    {"ca-file", 0, "FILE", "certificates to trust in the server's place, instead of the system's"},
    {"client-cert", 0, "FILE", "this client's certificate"},
    {"client-key", 0, "FILE", "its private key"},
    {"insecure", 0, NULL, "do not check the server's certificate"},
    {"require-sandbox", 0, NULL, "refuse to run where the kernel lacks a protection"},
    {"json", 0, NULL, "one JSON document on stdout (NDJSON for streams)"},
    {"quiet", 'q', NULL, "no progress, only results and errors"},
    {"verbose", 'v', NULL, "say more; twice: debugging"},
    {"no-color", 0, NULL, "no colour (also NO_COLOR)"},
    {"help", 'h', NULL, "this help"},
    {NULL, 0, NULL, NULL},
};

#define LIST(...) (const struct command *const[]){__VA_ARGS__, NULL}
const struct command_group command_groups[] = {
    {"Run", LIST(&cmd_run, &cmd_workflow, &cmd_runs, &cmd_monitor, &cmd_module)},
    {"Findings", LIST(&cmd_findings, &cmd_finding)},
    {"Fuzz", LIST(&cmd_fuzz)},
    {"Data", LIST(&cmd_store, &cmd_clean, &cmd_backup, &cmd_restore)},
    {"Serve", LIST(&cmd_serve, &cmd_server, &cmd_worker, &cmd_workers, &cmd_mcp, &cmd_status, &cmd_token, &cmd_audit)},
    {"Set-up", LIST(&cmd_init, &cmd_trust, &cmd_config, &cmd_doctor, &cmd_completion, &cmd_complete, &cmd_version, &cmd_hold)},
    {NULL, NULL},
};

static bool has_name(const struct command *c, const char *name)
{
    if (strcmp(c->name, name) == 0)
        return true;
    size_t n = strlen(name);
    for (const char *p = c->aliases; p && *p;) {
        size_t m = strcspn(p, " ");
        if (m == n && strncmp(p, name, n) == 0)
            return true;
        p += m + (p[m] == ' ');
    }
    return false;
}

const struct command *cli_find(const char *name)
{
    for (const struct command_group *g = command_groups; g->title; g++)
        for (const struct command *const *c = g->commands; *c; c++)
            if (has_name(*c, name))
                return *c;
    return NULL;
}

static const struct command *find_sub(const struct command *c, const char *name)
{
    for (const struct command *const *s = c->subs; *s; s++)
        if (has_name(*s, name))
            return *s;
    return NULL;
}

static int unknown_command(const struct command *parent, const char *name, struct err *err)
{
    struct suggest s;
    suggest_init(&s, name);
    if (parent) {
        for (const struct command *const *c = parent->subs; *c; c++)
            suggest_offer(&s, (*c)->name);
        err_set(err, ERR_USAGE, "unknown command 'ff %s %s'", parent->name, name);
    } else {
        for (const struct command_group *g = command_groups; g->title; g++)
            for (const struct command *const *c = g->commands; *c; c++)
                suggest_offer(&s, (*c)->name);
        err_set(err, ERR_USAGE, "unknown command '%s'", name);
    }
    return s.best ? err_hint(err, "did you mean '%s'?", s.best)
                  : err_hint(err, "'ff --help' lists the commands");
}

/* Walks the words down to a command. path gets its full name. */
static int resolve(int argc, char **argv, int *io_i, struct args *args, const struct command **ret,
                   char *path, size_t path_size, struct err *err)
{
    int r = args_parse(NULL, argc, argv, io_i, true, args, err);
    if (r < 0 || *io_i >= argc)
        return r;
    const struct command *c = cli_find(argv[*io_i]);
    if (!c)
        return unknown_command(NULL, argv[*io_i], err);
    snprintf(path, path_size, "%s", c->name);
    ++*io_i;
    while (c->subs) {
        r = args_parse(NULL, argc, argv, io_i, true, args, err);
        if (r < 0)
            return r;
        const struct command *sub = *io_i < argc ? find_sub(c, argv[*io_i]) : NULL;
        if (!sub) {
            if (c->run)
                break;
            if (*io_i < argc)
                return unknown_command(c, argv[*io_i], err);
            break;
        }
        size_t n = strlen(path);
        snprintf(path + n, path_size - n, " %s", sub->name);
        c = sub;
        ++*io_i;
    }
    *ret = c;
    return args_parse(c->opts, argc, argv, io_i, false, args, err);
}

static int check_count(const struct command *c, const char *path, const struct args *a, struct err *err)
{
    int n = (int)a->positional.len;
    if (n < c->min_args)
        err_set(err, ERR_USAGE, "too few arguments: ff %s %s", path, c->usage ? c->usage : "");
    else if (c->max_args >= 0 && n > c->max_args)
        err_set(err, ERR_USAGE, "'%s' is one argument too many: ff %s %s",
                a->positional.v[c->max_args], path, c->usage ? c->usage : "");
    else
        return 0;
    return err_hint(err, "'ff %s --help' tells more", path);
}

/* Whoever names a server must not believe that it was asked. One that is only set is for the commands that can ask it. */
static int check_remote(struct app *app, const struct command *c, const char *path, struct err *err)
{
    bool named = args_global(app->args, "server");
    if (!app->remote || c->remote)
        return 0;
    app->remote = false;
    if (!named || c->local)
        return 0;
    err_set(err, ERR_USAGE, "'ff %s' works on this machine alone, not through a server", path);
    return err_hint(err, "%s", c->instead ? c->instead : "leave --server away: it is about this machine");
}

/* What stands behind the word that was refused has not been parsed; who asks for JSON gets it all the same. */
static bool asks_for_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

/* A result that did not reach its reader is no success. A reader that left (head, less) knows that it did. */
static int check_output(const struct app *app, int status)
{
    bool failed = ferror(stdout) != 0 || app->output_failed;
    errno = 0;
    failed = fflush(stdout) != 0 || failed;
    if (!failed)
        return status;
    if (errno != EPIPE)
        log_error("the output is incomplete: it could not be written");
    return status == EXIT_OK ? EXIT_ENVIRONMENT : status;
}

int cli_main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    struct err err = {0};
    struct args args = {0};
    const struct command *c = NULL;
    char path[128] = "";
    int i = 1, status;
    int r = resolve(argc, argv, &i, &args, &c, path, sizeof path, &err);
    if (c == &cmd_serve)
        follow_hold_hangup();
    term_init(args_has(&args, "no-color") ? 0 : -1);
    struct app app;
    app_init(&app, &args);
    if (args_has(&args, "help") && (c || r == 0)) {
        if (c)
            help_command(c, path);
        else
            help_all();
        status = EXIT_OK;
    } else if (r < 0) {
        app.json = app.json || asks_for_json(argc, argv);
        status = app_fail(&app, &err);
    } else if (app.json && (!c || !c->run)) {
        status = app_usage(&app, "'ff%s%s' needs a command", *path ? " " : "", path);
    } else if (!c) {
        help_all();
        status = argc > 1 ? EXIT_USAGE : EXIT_OK;
    } else if (!c->run) {
        help_command(c, path);
        status = EXIT_USAGE;
    } else if (check_count(c, path, &args, &err) < 0 || app_configure(&app, &err) < 0 ||
               check_remote(&app, c, path, &err) < 0) {
        status = app_fail(&app, &err);
    } else {
        app.makes_room = c->makes_room;
        status = c->run(&app, &args);
    }
    status = check_output(&app, status);
    app_release(&app);
    args_release(&args);
    return status;
}
