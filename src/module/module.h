/* A module: one operation, run(input, workspace), that gives findings, a summary and artifacts.
 *
 * Three ways to write one: built in (a struct module here), a shared object that exports ff_module_v1, an executable
 * (module/registry.h reads its module.yaml). All run in the sandbox and all speak the same NDJSON on stdin
 * and stdout (docs/modules.md), so the worker knows one kind. For a built-in module the struct module_ctx
 * below reads the request and writes the messages. */
#ifndef FF_MODULE_MODULE_H
#define FF_MODULE_MODULE_H

#include "base/err.h"
#include "base/strbuf.h"
#include "codec/finding.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum module_category {
    MODULE_SCANNER, MODULE_ANALYZER, MODULE_SECRETS, MODULE_FUZZER, MODULE_REPORTER, MODULE_TOOL
};

struct module_ctx;

#define MODULE_MEMORY_FILE "memory.tar" /* the name to keep it by */

struct module {
    const char *name, *version, *description;
    enum module_category category;
    const char *const *tags;     /* NULL-terminated */
    const char *input_schema;    /* JSON Schema text */
    const char *output_schema;   /* JSON Schema text or NULL */
    bool requires_workspace;
    bool remembers; /* leaves MODULE_MEMORY_FILE to later runs whose input has the same text "memory" */
    bool stops; /* looks at module_stop_asked(), and then ends soon, with a result */
    /* NULL, or: its result follows from the target and this text, and may be taken from the store (module/cache.h). Appends,
     * outside the sandbox, what of the input, of the machine's tools and of the folders of tools (may be NULL) decides on it. */
    int (*identity)(const json_t *input, const char *tools, struct strbuf *ret, struct err *err);
    /* Runs inside the sandbox. 0: the result is success, or partial if module_partial() was called. Negative: failed, with
     * err's message. */
    int (*run)(struct module_ctx *ctx, struct err *err);
};

const json_t *module_input(const struct module_ctx *ctx);     /* object; borrowed */
const char *module_workspace(const struct module_ctx *ctx);   /* a folder; "/workspace" in the sandbox */
const char *module_scratch(const struct module_ctx *ctx);
const json_t *module_checkpoint_in(const struct module_ctx *ctx); /* of the attempt before; NULL: none */
/* Input objects that the request refers to are laid out as files below this folder: "/objects/<n>"; NULL: none. */
const char *module_objects(const struct module_ctx *ctx);
/* What the attempts before this one kept: object of name -> {ref, bytes, path}; NULL: nothing. */
const json_t *module_kept(const struct module_ctx *ctx);
/* What earlier runs have left: array of {ref, bytes, path}, most often one; NULL: nothing. */
const json_t *module_remembered(const struct module_ctx *ctx);
const char *module_run_id(const struct module_ctx *ctx); /* "": none */
/* It is to end soon, with a result: the activity was cancelled. */
bool module_stop_asked(struct module_ctx *ctx);

/* Messages, by one thread at a time. They buffer and cannot fail one by one: the end of the run reports a failed write.
 * Texts need not be UTF-8; a finding over the maximum of a line is cut as codec/finding.h states. */
void module_finding(struct module_ctx *ctx, const struct finding *f);
void module_log(struct module_ctx *ctx, const char *level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void module_progress(struct module_ctx *ctx, uint64_t done, uint64_t total, const char *message);
void module_stats(struct module_ctx *ctx, json_t *stats);               /* takes the reference */
void module_artifact(struct module_ctx *ctx, const char *path, const char *name); /* below scratch */
void module_checkpoint(struct module_ctx *ctx, json_t *data);           /* takes the reference */
/* The file, as it is now, is stored at once: no message after this one is seen before the store and the engine have it.
 * It lasts beyond this attempt (module_kept), and is an artifact of the result. A name that is kept already gets the new
 * content; path NULL: it is not kept any more. */
void module_keep(struct module_ctx *ctx, const char *path, const char *name);
void module_summary(struct module_ctx *ctx, json_t *summary);           /* of the result; takes the reference */
/* The result is partial, for this reason (the last one given is shown; all are logged). */
void module_partial(struct module_ctx *ctx, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads the request from in_fd, runs, writes messages to out_fd. Returns the exit status: 0 when a result was
 * written (of a failed run too), 1 when it could not be. What the spawner's child calls, and what a test calls without any
 * sandbox. */
int module_serve(const struct module *m, int in_fd, int out_fd);

const char *module_category_name(enum module_category c); /* "scanner" ... */
/* Unknown: -ERR_INVALID with the nearest name as the hint. */
int module_category_parse(const char *text, enum module_category *ret, struct err *err);

#endif
