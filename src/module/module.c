/* The module's end of the protocol: reads the request, runs a built-in module, writes its messages.
 *
 * Messages gather in a buffer and go out in large writes, or when the last write is a while ago, so that
 * a module with many findings costs few system calls and one with few is still followed live. */
#include "module/module.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/utf8.h"
#include "module/module_internal.h"
#include "module/protocol.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/file.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FLUSH_BYTES ((size_t)64 << 10)
#define FLUSH_NS (100 * NS_PER_MS)
#define READ_BYTES ((size_t)64 << 10)

struct module_ctx {
    const struct module *module;
    int in_fd, out_fd;
    bool stop; /* was asked for */
    struct strbuf out;   /* whole lines that are still to be written */
    int64_t flushed_ns;
    struct err failure;  /* the first message that could not be made or written */
    bool mute;           /* nothing can be written any more */
    json_t *request;     /* what the members below point into */
    const json_t *input, *checkpoint, *kept, *remembered;
    const char *run_id, *workspace, *scratch, *objects;
    int attempt;
    json_t *summary;
    bool partial;
    struct strbuf reason; /* why it is partial */
};

static const char *const category_names[] = {"scanner", "analyzer", "secrets", "fuzzer", "reporter", "tool"};

const char *module_category_name(enum module_category c)
{
    return (size_t)c < ARRAY_LEN(category_names) ? category_names[c] : "tool";
}

int module_category_parse(const char *text, enum module_category *ret, struct err *err)
{
    struct suggest near;
    suggest_init(&near, text);
    for (size_t i = 0; i < ARRAY_LEN(category_names); i++) {
        if (strcmp(text, category_names[i]) == 0) {
            *ret = (enum module_category)i;
            return 0;
        }
        suggest_offer(&near, category_names[i]);
    }
    err_set(err, ERR_INVALID, "unknown category '%.40s'", text);
    if (near.best)
        err_hint(err, "did you mean '%s'?", near.best);
    else
        err_hint(err, "scanner, analyzer, secrets, fuzzer, reporter or tool");
    return -ERR_INVALID;
}

/* --- what the request says --- */

const struct module *module_of(const struct module_ctx *ctx)
{
    return ctx->module;
}

const char *module_run_id(const struct module_ctx *ctx)
{
    return ctx->run_id;
}

int module_attempt(const struct module_ctx *ctx)
{
    return ctx->attempt;
}

const json_t *module_input(const struct module_ctx *ctx)
{
    return ctx->input;
}

const char *module_workspace(const struct module_ctx *ctx)
{
    return ctx->workspace;
}

const char *module_scratch(const struct module_ctx *ctx)
{
    return ctx->scratch;
}

const json_t *module_checkpoint_in(const struct module_ctx *ctx)
{
    return ctx->checkpoint;
}

const char *module_objects(const struct module_ctx *ctx)
{
    return ctx->objects;
}

const json_t *module_kept(const struct module_ctx *ctx)
{
    return ctx->kept;
}

const json_t *module_remembered(const struct module_ctx *ctx)
{
    return ctx->remembered;
}

/* The worker appends a line to the file that the request came in. */
bool module_stop_asked(struct module_ctx *ctx)
{
    char buf[64];
    struct pollfd p = {.fd = ctx->in_fd, .events = POLLIN};
    if (!ctx->stop && poll(&p, 1, 0) == 1)
        ctx->stop = read(ctx->in_fd, buf, sizeof buf) > 0;
    return ctx->stop;
}

/* Reads up to the newline or the end. */
static int read_line(int fd, struct strbuf *b, struct err *err)
{
    for (;;) {
        char *p = strbuf_reserve(b, READ_BYTES);
        if (!p)
            return strbuf_check(b, err);
        int fault = os_fault("read");
        ssize_t n = fault ? -1 : read(fd, p, READ_BYTES);
        if (fault)
            errno = fault;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "read the request");
        strbuf_commit(b, (size_t)n);
        const char *nl = n > 0 ? memchr(p, '\n', (size_t)n) : NULL;
        if (nl)
            b->len = (size_t)(nl - b->s);
        if (nl || n == 0)
            return 0;
    }
}

static int check_request(struct module_ctx *c, struct err *err)
{
    const json_t *j = c->request, *checkpoint = json_object_get(j, "checkpoint");
    if (!json_is_object(j))
        return err_set(err, ERR_INVALID, "the request is no object");
    if (json_i64(j, "protocol", 0) != MODULE_PROTOCOL_VERSION)
        return err_set(err, ERR_INVALID, "protocol %lld is not known, only %d",
                       (long long)json_i64(j, "protocol", 0), MODULE_PROTOCOL_VERSION);
    const char *name = json_str(j, "module", "");
    if (c->module->name && strcmp(name, c->module->name) != 0)
        return err_set(err, ERR_INVALID, "the request is for module '%.64s', this is '%s'", name,
                       c->module->name);
    c->input = json_object_get(j, "input");
    if (!json_is_object(c->input))
        return err_set(err, ERR_INVALID, "'input' is no object");
    c->run_id = json_str(j, "run_id", "");
    c->attempt = (int)json_i64(j, "attempt", 1);
    c->workspace = json_str(j, "workspace", NULL);
    c->scratch = json_str(j, "scratch", NULL);
    c->objects = json_str(j, "objects", NULL);
    c->checkpoint = json_is_null(checkpoint) ? NULL : checkpoint;
    c->kept = json_object_get(j, "kept");
    c->remembered = json_object_get(j, "remembered");
    if (c->module->requires_workspace && !c->workspace)
        return err_set(err, ERR_INVALID, "module %s needs a workspace", name);
    return 0;
}

static int read_request(struct module_ctx *c, int fd, struct err *err)
{
    struct strbuf b = STRBUF_INIT_MAX(MODULE_REQUEST_MAX + READ_BYTES);
    int r = read_line(fd, &b, err);
    if (r == 0)
        r = json_parse(strbuf_str(&b), b.len, MODULE_REQUEST_MAX, &c->request, err);
    strbuf_release(&b);
    return r < 0 ? r : check_request(c, err);
}

/* --- messages --- */

/* Keeps the first failure. */
static void broke(struct module_ctx *c, const struct err *e)
{
    if (!c->failure.code)
        c->failure = *e;
}

static void flush(struct module_ctx *c)
{
    struct err e = {0};
    if (c->out.len > 0 && !c->mute && os_write_full(c->out_fd, c->out.s, c->out.len, &e) < 0) {
        err_wrap(&e, "write messages");
        c->mute = true;
        broke(c, &e);
    }
    strbuf_clear(&c->out);
    c->flushed_ns = os_mono_ns();
}

/* Appends one line; -ERR_LIMIT, with nothing appended, if it is longer than the protocol allows. */
static int append_line(struct module_ctx *c, const json_t *j, struct err *err)
{
    size_t before = c->out.len;
    int r = json_write(j, &c->out, err);
    if (r == 0 && c->out.len - before > MODULE_LINE_MAX)
        r = err_set(err, ERR_LIMIT, "a message of %zu bytes, over %zu", c->out.len - before, MODULE_LINE_MAX);
    if (r == 0) {
        strbuf_putc(&c->out, '\n');
        r = strbuf_check(&c->out, err);
    }
    if (r < 0) {
        c->out.failed = c->out.over = false;
        c->out.len = before;
        if (c->out.s)
            c->out.s[before] = 0;
    }
    return r;
}

static int emit(struct module_ctx *c, const json_t *j, struct err *err)
{
    if (c->out.len >= FLUSH_BYTES)
        flush(c);
    int r = j ? append_line(c, j, err) : err_nomem(err);
    if (r == 0 && (c->out.len >= FLUSH_BYTES || os_mono_ns() - c->flushed_ns >= FLUSH_NS))
        flush(c);
    return r;
}

/* Takes the reference; NULL stands for memory that ran out. */
static void send_message(struct module_ctx *c, json_t *j)
{
    struct err e = {0};
    if (emit(c, j, &e) < 0)
        broke(c, &e);
    json_decref(j);
}

static json_t *message(const char *type)
{
    json_t *j = json_object();
    if (j && json_object_set_new(j, "type", json_string(type)) < 0) {
        json_decref(j);
        j = NULL;
    }
    return j;
}

/* Text of any bytes as a JSON string of at most max bytes. */
static json_t *clean_string(const char *s, size_t max)
{
    struct strbuf b = STRBUF_INIT;
    size_t n = strlen(s), keep = utf8_cut(s, n, max);
    utf8_append_clean(&b, s, keep);
    if (keep < n)
        strbuf_puts(&b, "…");
    json_t *j = b.failed ? NULL : json_stringn_nocheck(strbuf_str(&b), b.len);
    strbuf_release(&b);
    return j;
}

/* Sets a member that the message cannot do without. Takes value; false when memory is out. */
static bool put(json_t **j, const char *key, json_t *value)
{
    if (*j && json_object_set_new(*j, key, value) == 0)
        return true;
    if (!*j)
        json_decref(value);
    json_decref(*j);
    *j = NULL;
    return false;
}

void module_finding_text(struct module_ctx *c, const json_t *finding, struct err *err)
{
    json_t *j = message("finding");
    if (j && json_object_update_missing(j, (json_t *)(uintptr_t)finding) < 0) {
        json_decref(j);
        j = NULL;
    }
    emit(c, j, err);
    json_decref(j);
}

void module_finding(struct module_ctx *c, const struct finding *f)
{
    struct err e = {0};
    _cleanup_json_ json_t *j = finding_to_json(f);
    if (j)
        module_finding_text(c, j, &e);
    else
        err_nomem(&e);
    if (e.code == ERR_LIMIT) {
        /* Reading cuts every member at its maximum, and then it fits. */
        struct finding cut;
        err_clear(&e);
        if (finding_from_json(j, &cut, &e) == 0) {
            _cleanup_json_ json_t *k = finding_to_json(&cut);
            if (k)
                module_finding_text(c, k, &e);
            else
                err_nomem(&e);
            finding_release(&cut);
        }
    }
    if (e.code)
        broke(c, &e);
}

static void log_text(struct module_ctx *c, const char *level, const char *text)
{
    const char *known = module_log_level(level);
    json_t *j = message("log");
    if (put(&j, "level", json_string(known ? known : "info")))
        put(&j, "message", clean_string(text, MODULE_TEXT_MAX - 4));
    send_message(c, j);
}

void module_log(struct module_ctx *c, const char *level, const char *fmt, ...)
{
    struct strbuf b = STRBUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    strbuf_vprintf(&b, fmt, ap);
    va_end(ap);
    log_text(c, level, strbuf_str(&b));
    strbuf_release(&b);
}

void module_progress(struct module_ctx *c, uint64_t done, uint64_t total, const char *text)
{
    json_t *j = message("progress");
    if (put(&j, "done", json_integer((json_int_t)done)) && put(&j, "total", json_integer((json_int_t)total)))
        put(&j, "message", clean_string(text ? text : "", MODULE_TEXT_MAX - 4));
    send_message(c, j);
}

void module_stats(struct module_ctx *c, json_t *stats)
{
    json_t *j = stats ? message("stats") : NULL;
    if (j && json_object_update_missing(j, stats) < 0) {
        json_decref(j);
        j = NULL;
    }
    json_decref(stats);
    send_message(c, j);
}

/* path NULL: none. */
static void send_file(struct module_ctx *c, const char *type, const char *path, const char *name)
{
    json_t *j = message(type);
    if (path && !utf8_valid(path, strlen(path))) {
        struct err e = {0};
        err_set(&e, ERR_INVALID, "the name of an artifact must be UTF-8");
        broke(c, &e);
        json_decref(j);
        return;
    }
    if (put(&j, "path", path ? json_string(path) : json_null()))
        put(&j, "name", clean_string(name, 255));
    send_message(c, j);
}

void module_artifact(struct module_ctx *c, const char *path, const char *name)
{
    send_file(c, "artifact", path, name);
}

void module_keep(struct module_ctx *c, const char *path, const char *name)
{
    send_file(c, "keep", path, name);
    flush(c);
}

void module_checkpoint(struct module_ctx *c, json_t *data)
{
    json_t *j = message("checkpoint");
    put(&j, "data", data);
    send_message(c, j);
    flush(c); /* what the next attempt can rely on must be out before this one goes on */
}

void module_summary(struct module_ctx *c, json_t *summary)
{
    if (!summary) {
        struct err e = {0};
        err_nomem(&e);
        broke(c, &e);
    }
    json_decref(c->summary);
    c->summary = summary;
}

void module_partial(struct module_ctx *c, const char *fmt, ...)
{
    va_list ap;
    strbuf_clear(&c->reason);
    va_start(ap, fmt);
    strbuf_vprintf(&c->reason, fmt, ap);
    va_end(ap);
    c->partial = true;
    log_text(c, "warning", strbuf_str(&c->reason));
}

/* --- the whole --- */

static json_t *result_message(struct module_ctx *c, const struct err *failure)
{
    enum module_status s = failure ? MODULE_FAILED : c->partial ? MODULE_PARTIAL : MODULE_SUCCESS;
    json_t *j = message("result"), *text;
    if (failure && failure->hint[0]) {
        char both[ERR_MSG_MAX + ERR_HINT_MAX + 4];
        snprintf(both, sizeof both, "%s (%s)", failure->msg, failure->hint);
        text = clean_string(both, MODULE_TEXT_MAX);
    } else if (failure) {
        text = clean_string(failure->msg[0] ? failure->msg : err_text(failure->code), MODULE_TEXT_MAX);
    } else {
        text = c->partial ? clean_string(strbuf_str(&c->reason), MODULE_TEXT_MAX - 4) : json_null();
    }
    if (!put(&j, "status", json_string(module_status_name(s))) ||
        !put(&j, "summary", c->summary ? json_incref(c->summary) : json_object())) {
        json_decref(text);
        return NULL;
    }
    put(&j, "error", text);
    return j;
}

/* The last message. What went wrong with the others comes first. */
static void send_result(struct module_ctx *c, const struct err *run_failure)
{
    struct err e = run_failure->code ? *run_failure : c->failure;
    json_t *j = result_message(c, e.code ? &e : NULL);
    struct err e2 = {0};
    if (emit(c, j, &e2) == -ERR_LIMIT) { /* only the summary can be that large */
        json_decref(j);
        module_summary(c, json_object());
        err_wrap(&e2, "summary");
        j = result_message(c, &e2);
        err_clear(&e2);
        emit(c, j, &e2);
    }
    json_decref(j);
    if (e2.code)
        c->mute = true; /* no memory for the smallest of messages */
    flush(c);
}

int module_serve(const struct module *m, int in_fd, int out_fd)
{
    struct module_ctx c = {.module = m, .in_fd = in_fd, .out_fd = out_fd, .flushed_ns = os_mono_ns()};
    strbuf_init(&c.out, FLUSH_BYTES + 16 * MODULE_LINE_MAX);
    strbuf_init(&c.reason, STRBUF_MAX_DEFAULT);
    struct err e = {0};
    if (read_request(&c, in_fd, &e) == 0) {
        int r = m->run(&c, &e);
        if (r < 0 && !e.code)
            err_set(&e, (enum err_code)-r, "%s", err_text(r));
        else if (r >= 0)
            err_clear(&e);
    }
    send_result(&c, &e);
    bool ok = !c.mute;
    strbuf_release(&c.out);
    strbuf_release(&c.reason);
    json_decref(c.summary);
    json_decref(c.request);
    return ok ? 0 : 1;
}
