/* The workflows that there are: folders NAME/{metadata.yaml,workflow.lua}.
 *
 * Search order (the first of a name wins): each folder as given; inside it "NAME/". Folders are read anew at each look-up, so that a
 * new or changed workflow counts at once; a broken one is listed with file, line and reason, and breaks nothing
 * else. Any thread may call. */
#ifndef FF_TOOLBOX_TOOLBOX_H
#define FF_TOOLBOX_TOOLBOX_H

#include "base/err.h"
#include "base/strbuf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One workflow, as a copy that its owner releases. */
struct workflow_def {
    char *name, *version, *vertical, *description, *author;
    char **tags, **required_modules; /* NULL-terminated */
    char *isolation;                 /* "isolated" "shared" "copy-on-write" */
    json_t *default_parameters;      /* object */
    json_t *parameters;              /* JSON Schema of the parameters, or NULL: none are taken */
    json_t *output_schema;           /* or NULL */
    int64_t timeout_ms;              /* 0: none */
    json_t *resources;               /* object: memory, cpu, pids, disk, files as written; or NULL */
    char *network;                   /* "none" "loopback" "full" */
    char *schedule;                  /* or NULL */
    char *dir;                       /* host folder */
    char *script;                    /* text of workflow.lua */
    size_t script_len;
    char *broken;      /* file:line: reason; then only name and dir are set */
    char *shadowed_by; /* folder of the one of this name that is used; NULL: this one is used */
};

void workflow_def_release(struct workflow_def *d);

struct toolbox;

/* dirs: NULL-terminated folders that hold workflow folders (copied); ones that are not there are fine. */
int toolbox_new(const char *const *dirs, struct toolbox **ret, struct err *err);
void toolbox_free(struct toolbox *t);
/* -ERR_NOT_FOUND with the nearest name as the hint; -ERR_INVALID with file:line: reason for a broken one. */
int toolbox_find(const struct toolbox *t, const char *name, struct workflow_def *ret, struct err *err);
/* All, sorted by name. Release each, then free(*ret). */
int toolbox_list(const struct toolbox *t, struct workflow_def **ret, size_t *ret_count, struct err *err);
/* Reads a folder without running it: metadata, schema, script. -ERR_INVALID with file:line: reason. */
int toolbox_validate_dir(const char *dir, struct workflow_def *ret, struct err *err);

/* The run's parameters: defaults, then those given, checked against the schema. given: object or NULL. *ret is a new
 * reference. -ERR_INVALID names the parameter and, for an unknown one, the nearest. */
int toolbox_parameters(const struct workflow_def *d, const json_t *given, json_t **ret, struct err *err);
/* Puts one "key=value" of the command line into an object: the value is read as the schema's type wants. A key may be a
 * path: a.b=1. */
int toolbox_parameter_text(const struct workflow_def *d, const char *text, json_t *object, struct err *err);

/* The files of a new workflow, working as they are. */
int toolbox_skeleton(const char *name, struct strbuf *metadata, struct strbuf *script, struct err *err);

#endif
