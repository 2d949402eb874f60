/* Workflow folders: NAME/metadata.yaml and NAME/workflow.lua, found on a search path and looked at
 * anew each time they are asked for, so that a folder that is dropped in or mended works at once.
 *
 * A folder that cannot be used is listed as broken, with file, line and reason, and breaks nothing
 * else. */
#ifndef FF_TOOLBOX_TOOLBOX_H
#define FF_TOOLBOX_TOOLBOX_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct workflow_def {
    char *name;             /* of the folder, which metadata must repeat */
    char *version, *vertical, *description, *author; /* "" where absent; vertical: "default" */
    json_t *tags;           /* array of strings */
    char *isolation;        /* isolated, shared, copy-on-write */
    json_t *default_parameters; /* object */
    json_t *parameters;     /* JSON Schema, or NULL: anything goes */
    json_t *output_schema;  /* or NULL */
    json_t *required_modules; /* array of strings */
    int64_t timeout_ms;     /* 0: none */
    json_t *resources;      /* object: memory, disk in bytes; cpu in seconds; pids, files; only what is given */
    char *network;          /* none, loopback, full; NULL: not given */
    char *network_if;       /* a parameter that must be true for it; NULL: none */
    char *schedule;         /* cron expression; NULL: none */
    char *script_of;        /* the workflow beside this one whose script it runs; NULL: its own */
    char *script;           /* text of workflow.lua, its own or that of script_of, 0-terminated */
    size_t script_len;
    char script_ref[72];    /* "sha256:" and 64 hex digits of the script */
    char *dir;              /* the folder */
    bool untrusted;         /* from a project that is not trusted */
    /* A broken definition has a name, a dir and these; the rest may be missing. */
    bool broken;
    char *broken_file;      /* path of metadata.yaml or workflow.lua */
    int broken_line;        /* 0: the file as a whole */
    char *broken_reason;    /* one line */
};

#define TOOLBOX_SCRIPT_CHUNK "workflow.lua" /* the name under which scripts are loaded and errors are told */

struct toolbox_options {
    const char *project_dir;      /* a .fuzzforge folder, or NULL: project_dir/workflows */
    bool project_trusted;         /* false: its workflows never shadow others */
    const char *const *dirs;      /* --toolbox DIR: DIR/workflows, first wins; NULL-terminated, or NULL */
    const char *env;              /* FF_TOOLBOX: like dirs, separated by ':'; NULL: none */
    const char *installed_dir;    /* installed_dir/workflows; NULL: none */
};

struct toolbox;

/* Notes the search path; nothing is read. */
int toolbox_open(const struct toolbox_options *o, struct toolbox **ret, struct err *err);
void toolbox_free(struct toolbox *t); /* NULL is fine */
/* The folders searched, in order of precedence; NULL-terminated, borrowed. Each holds workflow
 * folders. */
const char *const *toolbox_search_path(const struct toolbox *t);

/* All workflows by name, broken ones too, without those shadowed. *ret is freed with
 * toolbox_list_free(). */
int toolbox_list(struct toolbox *t, struct workflow_def ***ret, size_t *ret_count, struct err *err);
void toolbox_list_free(struct workflow_def **list, size_t count);
/* One by name. -ERR_NOT_FOUND suggests the nearest name; a broken one is -ERR_INVALID with
 * "FILE:LINE: reason". */
int toolbox_find(struct toolbox *t, const char *name, struct workflow_def **ret, struct err *err);
/* Reads one folder by its path; broken ones succeed with def->broken. -ERR_NOT_FOUND if there is no
 * such folder. */
int toolbox_load_dir(const char *dir, struct workflow_def **ret, struct err *err);
/* Fills in a definition that has only a name from the text of a metadata.yaml: without a script, as another machine tells
 * of it. */
int workflow_def_read(struct workflow_def *d, const char *text, size_t len, struct err *err);
void workflow_def_free(struct workflow_def *d); /* NULL is fine */
/* -ERR_INVALID with "FILE:LINE: reason" if it is broken, else 0. */
int workflow_def_error(const struct workflow_def *d, struct err *err);

/* Puts "key=value" into an object, as the schema has the key's type; "a.b=1" reaches into an
 * object. */
int workflow_def_set_text(const struct workflow_def *d, json_t *parameters, const char *key_value, struct err *err);
/* The parameters of a run: defaults, what was given over them (objects merged), the schema's own
 * defaults, all checked. given may be NULL. *ret is a new reference. */
int workflow_def_parameters(const struct workflow_def *d, const json_t *given, json_t **ret, struct err *err);

/* Texts of a new workflow that works. Caller frees both. -ERR_INVALID for a name that cannot be a
 * folder. */
int toolbox_skeleton(const char *name, char **ret_metadata, char **ret_script, struct err *err);
/* [A-Za-z0-9][A-Za-z0-9_-]*, at most 100 bytes. */
bool toolbox_name_valid(const char *name);

#endif
