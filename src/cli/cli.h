/* The command line: one table of commands, one file a command (cmd_NAME.c), one parser of options.
 *
 * The library below knows nothing of printing; everything that a person or a script reads is written here. Human
 * output goes to stdout, progress and logs to stderr, with --json one document (or NDJSON) on stdout. */
#ifndef FF_CLI_CLI_H
#define FF_CLI_CLI_H

#include "base/err.h"
#include "base/vec.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Exit statuses; docs/cli.md. */
enum {
    EXIT_OK = 0,
    EXIT_GATE = 1,
    EXIT_USAGE = 2,
    EXIT_RUN_FAILED = 3,
    EXIT_CANCELLED = 4,
    EXIT_ENVIRONMENT = 5,
    EXIT_INTERRUPTED = 130,
};

struct opt {
    const char *name;  /* without the dashes */
    char short_name;   /* 0: none */
    const char *arg;   /* what stands for its value in the help; NULL: a flag */
    const char *help;
};

struct opt_value {
    const struct opt *opt;
    const char *value; /* "" for a flag; borrowed from argv */
};

struct args {
    VEC(struct opt_value) options;
    VEC(const char *) positional;
};

bool args_has(const struct args *a, const char *name);
/* The last value given, or NULL. */
const char *args_get(const struct args *a, const char *name);
/* The same of an option of all commands, not of one by that name which the command has for itself. */
const char *args_global(const struct args *a, const char *name);
/* The i-th value of an option that may be given several times, or NULL. */
const char *args_nth(const struct args *a, const char *name, size_t i);
const char *args_pos(const struct args *a, size_t i); /* NULL past the end */

struct app;

struct command {
    const char *name;
    const char *aliases;    /* space-separated, or NULL */
    const char *summary;    /* one line */
    const char *usage;      /* after "ff NAME " */
    const char *details;    /* paragraphs of the help, or NULL */
    const char *examples;   /* lines, or NULL */
    const struct opt *opts; /* ended by a NULL name; or NULL */
    int min_args, max_args; /* positional; max -1: any */
    bool hidden;
    bool remote; /* works through a server too */
    bool makes_room; /* works on a full disk: gets what is kept for that (os/reserve.h) */
    bool local;  /* needs nothing of a server: does the same where one is named */
    const char *instead; /* of one that does not: what to do; NULL: leave --server away */
    int (*run)(struct app *app, const struct args *args); /* gives the exit status */
    const struct command *const *subs; /* NULL-terminated; then run may be NULL */
};

struct command_group {
    const char *title;
    const struct command *const *commands; /* NULL-terminated */
};
extern const struct command_group command_groups[]; /* ended by a NULL title */

/* Parses, dispatches, and gives the exit status. */
int cli_main(int argc, char **argv);
/* The table, for completion and for suggestions. */
const struct command *cli_find(const char *name);
extern const struct opt global_opts[];

/* One file a command. */
extern const struct command cmd_run, cmd_workflow, cmd_runs, cmd_module, cmd_findings, cmd_finding, cmd_fuzz,
    cmd_store, cmd_clean, cmd_backup, cmd_restore,
    cmd_init, cmd_trust, cmd_config, cmd_doctor, cmd_completion, cmd_complete, cmd_version, cmd_hold,
    cmd_serve, cmd_server, cmd_worker, cmd_workers, cmd_status, cmd_token, cmd_audit, cmd_mcp, cmd_monitor;

#endif
