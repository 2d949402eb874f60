/* Shared objects: the host's side of ff_module.h, for the one process inside the sandbox that loads the object. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "module/ff_module.h"
#include "module/module_internal.h"
#include "module/protocol.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct so_module {
    struct module module; /* first: module_of() gives it back */
    const char *path;
};

struct so_run {
    struct module_ctx *ctx;
    struct err failure; /* what fail() was told */
};

static struct so_run *run_of(const struct ff_host *h)
{
    return h->impl;
}

/* Tells the run's log what was wrong with a message. */
static int refused(const struct ff_host *h, const char *what, const struct err *e)
{
    module_log(run_of(h)->ctx, "warning", "%s refused: %s", what, e->msg);
    return -1;
}

/* New reference to an object, or -1 with a log line. */
static int parse_object(const struct ff_host *h, const char *what, const char *text, json_t **ret)
{
    struct err e = {0};
    json_t *j = NULL;
    if (!text)
        err_set(&e, ERR_INVALID, "no text");
    else if (json_parse(text, strlen(text), MODULE_LINE_MAX, &j, &e) == 0 && !json_is_object(j))
        err_set(&e, ERR_INVALID, "it must be an object");
    if (e.code) {
        json_decref(j);
        return refused(h, what, &e);
    }
    *ret = j;
    return 0;
}

static int send_finding(const struct ff_host *h, const json_t *j)
{
    struct err e = {0};
    struct finding f;
    if (finding_from_json(j, &f, &e) < 0)
        return refused(h, "finding", &e);
    module_finding(run_of(h)->ctx, &f);
    finding_release(&f);
    return 0;
}

static int so_finding_json(const struct ff_host *h, const char *text)
{
    _cleanup_json_ json_t *j = NULL;
    if (parse_object(h, "finding", text, &j) < 0)
        return -1;
    return send_finding(h, j);
}

static int put_text(json_t *j, const char *key, const char *text)
{
    return text ? json_object_set_new(j, key, json_string(text)) : 0;
}

static int put_number(json_t *j, const char *key, int32_t n)
{
    return n ? json_object_set_new(j, key, json_integer(n)) : 0;
}

static int put_object(const struct ff_host *h, json_t *j, const char *key, const char *text)
{
    json_t *v = NULL;
    if (!text)
        return 0;
    if (parse_object(h, key, text, &v) < 0)
        return -1;
    return json_object_set_new(j, key, v);
}

static int so_finding(const struct ff_host *h, const struct ff_finding *given)
{
    struct ff_finding f = {0};
    struct err e = {0};
    if (!given || given->size < offsetof(struct ff_finding, severity) + sizeof given->severity ||
        given->size > 4096) {
        err_set(&e, ERR_INVALID, "its 'size' is not sizeof(struct ff_finding)");
        return refused(h, "finding", &e);
    }
    memcpy(&f, given, given->size < sizeof f ? given->size : sizeof f);
    _cleanup_json_ json_t *j = json_object();
    if (!j || put_text(j, "rule_id", f.rule_id) < 0 || put_text(j, "title", f.title) < 0 ||
        put_text(j, "description", f.description) < 0 || put_text(j, "severity", f.severity) < 0 ||
        put_text(j, "confidence", f.confidence) < 0 || put_text(j, "file", f.file) < 0 ||
        put_text(j, "snippet", f.snippet) < 0 || put_text(j, "recommendation", f.recommendation) < 0 ||
        put_number(j, "cwe", f.cwe) < 0 || put_number(j, "line", f.line) < 0 ||
        put_number(j, "column", f.column) < 0 || put_number(j, "end_line", f.end_line) < 0 ||
        put_number(j, "end_column", f.end_column) < 0) {
        err_set(&e, ERR_INVALID, "a text is not UTF-8");
        return refused(h, "finding", &e);
    }
    if (put_object(h, j, "evidence", f.evidence) < 0 || put_object(h, j, "metadata", f.metadata) < 0)
        return -1;
    return send_finding(h, j);
}

static int so_stats(const struct ff_host *h, const char *text)
{
    json_t *j = NULL;
    if (parse_object(h, "stats", text, &j) < 0)
        return -1;
    module_stats(run_of(h)->ctx, j);
    return 0;
}

static int so_checkpoint(const struct ff_host *h, const char *text)
{
    struct err e = {0};
    json_t *j = NULL;
    if (!text || json_parse(text, strlen(text), MODULE_LINE_MAX, &j, &e) < 0)
        return refused(h, "checkpoint", &e);
    module_checkpoint(run_of(h)->ctx, j);
    return 0;
}

static int so_summary(const struct ff_host *h, const char *text)
{
    json_t *j = NULL;
    if (parse_object(h, "summary", text, &j) < 0)
        return -1;
    module_summary(run_of(h)->ctx, j);
    return 0;
}

static void so_log(const struct ff_host *h, const char *level, const char *text)
{
    module_log(run_of(h)->ctx, level ? level : "info", "%s", text ? text : "");
}

static void so_progress(const struct ff_host *h, uint64_t done, uint64_t total, const char *text)
{
    module_progress(run_of(h)->ctx, done, total, text);
}

static void so_artifact(const struct ff_host *h, const char *path, const char *name)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (path)
        module_artifact(run_of(h)->ctx, path, name ? name : slash ? slash + 1 : path);
}

static void so_partial(const struct ff_host *h, const char *reason)
{
    module_partial(run_of(h)->ctx, "%s", reason ? reason : "no reason given");
}

static void so_fail(const struct ff_host *h, const char *reason)
{
    err_set(&run_of(h)->failure, ERR_FAILED, "%s", reason ? reason : "no reason given");
}

static char *json_text(const json_t *j)
{
    struct strbuf b = STRBUF_INIT_MAX(MODULE_REQUEST_MAX);
    if (json_write(j, &b, NULL) < 0) {
        strbuf_release(&b);
        return NULL;
    }
    return strbuf_take(&b, NULL);
}

/* The object stays loaded: its threads and exit handlers may still run when it returns, and the process ends soon. */
static int so_run(struct module_ctx *ctx, struct err *err)
{
    const struct so_module *so = (const struct so_module *)module_of(ctx);
    void *dl = dlopen(so->path, RTLD_NOW | RTLD_LOCAL);
    if (!dl)
        return err_set(err, ERR_INVALID, "load %s: %s", so->path, dlerror());
    void *symbol = dlsym(dl, "ff_module_v1");
    if (!symbol)
        return err_set(err, ERR_INVALID, "%s exports no ff_module_v1", so->path);
    int (*entry)(const struct ff_host *);
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from void * to a function */
    const json_t *checkpoint = module_checkpoint_in(ctx);
    _cleanup_free_ char *input = json_text(module_input(ctx));
    _cleanup_free_ char *left = checkpoint ? json_text(checkpoint) : NULL;
    if (!input || (checkpoint && !left))
        return err_nomem(err);
    struct so_run run = {.ctx = ctx};
    const struct ff_host host = {
        .abi = FF_MODULE_ABI, .size = sizeof host, .impl = &run,
        .run_id = module_run_id(ctx), .input = input, .workspace = module_workspace(ctx),
        .scratch = module_scratch(ctx), .objects = module_objects(ctx), .checkpoint = left,
        .attempt = module_attempt(ctx), .finding = so_finding, .finding_json = so_finding_json,
        .stats = so_stats, .save_checkpoint = so_checkpoint, .summary = so_summary, .log = so_log,
        .progress = so_progress, .artifact = so_artifact, .partial = so_partial, .fail = so_fail,
    };
    int r = entry(&host);
    if (r == 0)
        return 0;
    if (run.failure.code)
        return err_copy(err, &run.failure);
    return err_set(err, ERR_FAILED, "ff_module_v1 gave %d", r);
}

int so_module_serve(const char *path, int in_fd, int out_fd)
{
    const struct so_module so = {
        .module = {.category = MODULE_TOOL, .run = so_run}, /* without a name: it serves any request */
        .path = path,
    };
    /* What the object prints goes with stderr, so that half a line of it never swallows one of ours. */
    _cleanup_close_ int own = -1;
    if (out_fd == STDOUT_FILENO) {
        own = dup(out_fd);
        if (own < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
            return 1;
        out_fd = own;
    }
    return module_serve(&so.module, in_fd, out_fd);
}

int module_entry_run(const struct module *const *builtins, const char *entry, int in_fd, int out_fd)
{
    for (size_t i = 0; builtins[i]; i++)
        if (strcmp(builtins[i]->name, entry) == 0)
            return module_serve(builtins[i], in_fd, out_fd);
    size_t prefix = strlen(MODULE_SO_ENTRY);
    if (strncmp(entry, MODULE_SO_ENTRY, prefix) != 0)
        return 1;
    _cleanup_free_ char *path = mem_printf(MODULE_INSIDE "/%s", entry + prefix);
    return path ? so_module_serve(path, in_fd, out_fd) : 1;
}
