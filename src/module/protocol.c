/* The worker's end of the module protocol: one request out, messages in. Bytes from a module are hostile: a line
 * is bounded, parsed with bounds, and checked member by member before anybody sees it. */
#include "module/protocol.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "codec/json.h"
#include "codec/utf8.h"

#include <string.h>
#include <strings.h>

#define ARTIFACT_NAME_MAX 255
#define ARTIFACT_PATH_MAX 4096

struct module_reader {
    struct module_reader_ops ops;
    void *arg;
    struct strbuf line; /* the start of a line whose end has not come yet */
    struct strbuf text; /* of one log or progress message */
    uint64_t lines;     /* begun, for messages: the one in hand */
    uint64_t findings, artifacts, loose;
    bool have_result;
    enum module_status status;
    json_t *summary;
    struct strbuf error; /* of the result */
    struct err failure;  /* sticky */
};

const char *module_status_name(enum module_status s)
{
    static const char *const names[] = {"success", "partial", "failed"};
    return (size_t)s < ARRAY_LEN(names) ? names[s] : "failed";
}

static int status_parse(const char *text, enum module_status *ret)
{
    for (int i = MODULE_SUCCESS; i <= MODULE_FAILED; i++) {
        if (strcmp(text, module_status_name((enum module_status)i)) == 0) {
            *ret = (enum module_status)i;
            return 0;
        }
    }
    return -ERR_INVALID;
}

/* --- the request --- */

static json_t *string_or_null(const char *s)
{
    return s ? json_string(s) : json_null();
}

int module_request_write(const struct module_request *r, struct strbuf *out, struct err *err)
{
    _cleanup_json_ json_t *j = json_object();
    if (!j || (r->kept && json_object_set(j, "kept", (json_t *)(uintptr_t)r->kept) < 0) ||
        (r->remembered && json_object_set(j, "remembered", (json_t *)(uintptr_t)r->remembered) < 0) ||
        json_object_set_new(j, "protocol", json_integer(MODULE_PROTOCOL_VERSION)) < 0 ||
        json_object_set_new(j, "module", json_string(r->module)) < 0 ||
        json_object_set_new(j, "run_id", json_string(r->run_id ? r->run_id : "")) < 0 ||
        json_object_set_new(j, "attempt", json_integer(r->attempt)) < 0 ||
        json_object_set_new(j, "input",
                            r->input ? json_incref((json_t *)(uintptr_t)r->input) : json_object()) < 0 ||
        json_object_set_new(j, "workspace", string_or_null(r->workspace)) < 0 ||
        json_object_set_new(j, "scratch", string_or_null(r->scratch)) < 0 ||
        json_object_set_new(j, "objects", string_or_null(r->objects)) < 0 ||
        json_object_set_new(j, "checkpoint",
                            r->checkpoint ? json_incref((json_t *)(uintptr_t)r->checkpoint)
                                          : json_null()) < 0)
        return err_nomem(err);
    size_t before = out->len;
    int n = json_write(j, out, err);
    if (n < 0)
        return n;
    strbuf_putc(out, '\n');
    if (out->len - before > MODULE_REQUEST_MAX)
        return err_set(err, ERR_LIMIT, "the input of module %s is %zu bytes, over %zu", r->module,
                       out->len - before, MODULE_REQUEST_MAX);
    return strbuf_check(out, err);
}

/* --- messages --- */

int module_reader_new(const struct module_reader_ops *ops, void *arg, struct module_reader **ret,
                      struct err *err)
{
    struct module_reader *r = mem_zalloc(sizeof *r);
    if (!r)
        return err_nomem(err);
    r->ops = *ops;
    r->arg = arg;
    strbuf_init(&r->line, MODULE_LINE_MAX);
    strbuf_init(&r->text, (size_t)4 * MODULE_TEXT_MAX);
    strbuf_init(&r->error, (size_t)4 * MODULE_TEXT_MAX);
    *ret = r;
    return 0;
}

void module_reader_free(struct module_reader *r)
{
    if (!r)
        return;
    strbuf_release(&r->line);
    strbuf_release(&r->text);
    strbuf_release(&r->error);
    json_decref(r->summary);
    free(r);
}

/* A text as people may see it: valid UTF-8 without NUL, cut at its maximum. */
static int clean_text(struct strbuf *b, const char *s, size_t n, struct err *err)
{
    size_t keep = utf8_cut(s, n, MODULE_TEXT_MAX);
    strbuf_clear(b);
    utf8_append_clean(b, s, keep);
    if (keep < n || b->len > MODULE_TEXT_MAX) {
        if (!b->failed && b->len > MODULE_TEXT_MAX - 3) {
            b->len = utf8_cut(b->s, b->len, MODULE_TEXT_MAX - 3);
            b->s[b->len] = 0;
        }
        strbuf_puts(b, "…");
    }
    return strbuf_check(b, err);
}

static int bad(struct err *err, const char *type, const char *key, const char *want)
{
    return err_set(err, ERR_INVALID, "%s: '%s' must be %s", type, key, want);
}

const char *module_log_level(const char *s)
{
    static const struct {
        const char *given, *level;
    } levels[] = {
        {"debug", "debug"},     {"info", "info"},      {"warning", "warning"}, {"error", "error"},
        {"trace", "debug"},     {"notice", "info"},    {"warn", "warning"},    {"critical", "error"},
        {"fatal", "error"},
    };
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (strcasecmp(s, levels[i].given) == 0)
            return levels[i].level;
    return NULL;
}

static int on_log(struct module_reader *r, json_t *j, struct err *err)
{
    const json_t *m = json_object_get(j, "message"), *l = json_object_get(j, "level");
    if (!json_is_string(m))
        return bad(err, "log", "message", "a string");
    if (l && !json_is_string(l))
        return bad(err, "log", "level", "a string");
    const char *level = module_log_level(l ? json_string_value(l) : "info");
    if (!level)
        return bad(err, "log", "level", "debug, info, warning or error");
    int n = clean_text(&r->text, json_string_value(m), json_string_length(m), err);
    if (n == 0 && r->ops.log)
        r->ops.log(r->arg, level, strbuf_str(&r->text));
    return n;
}

/* A count: an integer, or what a language without integers writes for one. */
static bool count_value(const json_t *v, uint64_t *ret)
{
    double d = json_number_value(v);
    if (!v || json_is_null(v))
        *ret = 0;
    else if (json_is_integer(v) && json_integer_value(v) >= 0)
        *ret = (uint64_t)json_integer_value(v);
    else if (json_is_real(v) && d >= 0 && d <= 9007199254740992.0)
        *ret = (uint64_t)d;
    else
        return false;
    return true;
}

static int on_progress(struct module_reader *r, json_t *j, struct err *err)
{
    uint64_t done, total;
    const json_t *m = json_object_get(j, "message");
    if (!count_value(json_object_get(j, "done"), &done))
        return bad(err, "progress", "done", "a number from 0");
    if (!count_value(json_object_get(j, "total"), &total))
        return bad(err, "progress", "total", "a number from 0");
    if (m && !json_is_string(m) && !json_is_null(m))
        return bad(err, "progress", "message", "a string");
    int n = clean_text(&r->text, json_is_string(m) ? json_string_value(m) : "",
                       json_string_length(m), err);
    if (n == 0 && r->ops.progress)
        r->ops.progress(r->arg, done, total, strbuf_str(&r->text));
    return n;
}

static int on_finding(struct module_reader *r, json_t *j, struct err *err)
{
    if (r->findings >= MODULE_FINDINGS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d findings", MODULE_FINDINGS_MAX);
    struct finding f;
    int n = finding_from_json(j, &f, err);
    if (n < 0)
        return n;
    r->findings++;
    if (r->ops.finding)
        r->ops.finding(r->arg, &f);
    finding_release(&f);
    return 0;
}

static int on_stats(struct module_reader *r, json_t *j, struct err *err)
{
    json_object_del(j, "type");
    if (r->ops.stats)
        r->ops.stats(r->arg, j);
    return 0;
}

static bool artifact_name_ok(const char *s, size_t n)
{
    if (n == 0 || n > ARTIFACT_NAME_MAX || strlen(s) != n || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if (s[i] == '/' || (unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    return true;
}

/* artifact, and keep, which may go without a path. */
static int on_file(struct module_reader *r, json_t *j, const char *type, struct err *err)
{
    const json_t *p = json_object_get(j, "path"), *v = json_object_get(j, "name");
    const char *path = json_string_value(p);
    bool forget = strcmp(type, "keep") == 0 && json_is_null(p) && json_is_string(v);
    if (forget)
        path = NULL;
    else if (!path || !*path || strlen(path) != json_string_length(p) || strlen(path) > ARTIFACT_PATH_MAX)
        return bad(err, type, "path", "the path of a file");
    const char *slash = path ? strrchr(path, '/') : NULL, *base = slash ? slash + 1 : path ? path : "";
    if (v && !json_is_string(v) && !json_is_null(v))
        return bad(err, type, "name", "a string");
    const char *name = json_is_string(v) ? json_string_value(v) : base;
    if (!artifact_name_ok(name, json_is_string(v) ? json_string_length(v) : strlen(base)))
        return bad(err, type, "name", "a file name without '/'");
    if (strcmp(type, "keep") == 0) {
        if (r->ops.keep)
            r->ops.keep(r->arg, path, name);
        return 0;
    }
    if (++r->artifacts > MODULE_ARTIFACTS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d artifacts", MODULE_ARTIFACTS_MAX);
    if (r->ops.artifact)
        r->ops.artifact(r->arg, path, name);
    return 0;
}

static int on_artifact(struct module_reader *r, json_t *j, struct err *err)
{
    return on_file(r, j, "artifact", err);
}

static int on_keep(struct module_reader *r, json_t *j, struct err *err)
{
    return on_file(r, j, "keep", err);
}

static int on_checkpoint(struct module_reader *r, json_t *j, struct err *err)
{
    const json_t *data = json_object_get(j, "data");
    if (!data)
        return bad(err, "checkpoint", "data", "there");
    if (r->ops.checkpoint)
        r->ops.checkpoint(r->arg, data);
    return 0;
}

static int on_result(struct module_reader *r, json_t *j, struct err *err)
{
    const json_t *s = json_object_get(j, "status"), *e = json_object_get(j, "error");
    json_t *summary = json_object_get(j, "summary");
    if (!json_is_string(s) || status_parse(json_string_value(s), &r->status) < 0)
        return bad(err, "result", "status", "success, partial or failed");
    if (summary && !json_is_object(summary) && !json_is_null(summary))
        return bad(err, "result", "summary", "an object");
    if (e && !json_is_string(e) && !json_is_null(e))
        return bad(err, "result", "error", "a string or null");
    r->summary = json_is_object(summary) ? json_incref(summary) : json_object();
    if (!r->summary)
        return err_nomem(err);
    r->have_result = true;
    return json_is_string(e) ? clean_text(&r->error, json_string_value(e), json_string_length(e), err) : 0;
}

static const struct {
    const char *type;
    int (*handle)(struct module_reader *r, json_t *j, struct err *err);
} messages[] = {
    {"log", on_log},           {"progress", on_progress},     {"finding", on_finding}, {"stats", on_stats},
    {"artifact", on_artifact}, {"checkpoint", on_checkpoint}, {"keep", on_keep},       {"result", on_result},
};

static int on_message(struct module_reader *r, json_t *j, struct err *err)
{
    const char *type = json_str(j, "type", NULL);
    if (!type)
        return err_set(err, ERR_INVALID, "a message without 'type'");
    struct suggest near;
    suggest_init(&near, type);
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        if (strcmp(type, messages[i].type) == 0) {
            if (r->have_result)
                return err_set(err, ERR_INVALID, "%s after the result", type);
            return messages[i].handle(r, j, err);
        }
        suggest_offer(&near, messages[i].type);
    }
    err_set(err, ERR_INVALID, "unknown message type '%.40s'", type);
    if (near.best)
        err_hint(err, "did you mean '%s'?", near.best);
    return -ERR_INVALID;
}

/* One whole line without its newline. */
static int on_line(struct module_reader *r, const char *s, size_t n, struct err *err)
{
    r->lines++;
    if (n > MODULE_LINE_MAX)
        return err_set(err, ERR_LIMIT, "a line of more than %zu bytes", MODULE_LINE_MAX);
    if (n > 0 && s[n - 1] == '\r')
        n--;
    if (n == 0)
        return 0;
    if (s[0] != '{') {
        if (++r->loose > MODULE_LOOSE_LINES_MAX)
            return err_set(err, ERR_LIMIT, "more than %d lines that are no messages", MODULE_LOOSE_LINES_MAX);
        int e = clean_text(&r->text, s, n, err);
        if (e == 0 && r->ops.log)
            r->ops.log(r->arg, "info", strbuf_str(&r->text));
        return e;
    }
    _cleanup_json_ json_t *j = NULL;
    int e = json_parse(s, n, MODULE_LINE_MAX, &j, err);
    if (e < 0) {
        /* The parser quotes what stands near the mistake, which may be a secret that was found. */
        char *quote = strstr(err->msg, " near '");
        if (quote)
            *quote = 0;
        return e;
    }
    return on_message(r, j, err);
}

static int fail(struct module_reader *r, struct err *err)
{
    if (r->failure.code != ERR_NO_MEMORY)
        err_wrap(&r->failure, "line %llu of the module's output", (unsigned long long)r->lines);
    strbuf_release(&r->line);
    return err ? err_copy(err, &r->failure) : -r->failure.code;
}

int module_reader_feed(struct module_reader *r, const void *data, size_t len, struct err *err)
{
    if (r->failure.code)
        return err ? err_copy(err, &r->failure) : -r->failure.code;
    const char *s = data, *end = s + len;
    while (s < end) {
        const char *nl = memchr(s, '\n', (size_t)(end - s));
        const char *stop = nl ? nl : end;
        size_t n = (size_t)(stop - s);
        if (n > MODULE_LINE_MAX - r->line.len) {
            r->lines++;
            err_set(&r->failure, ERR_LIMIT, "a line of more than %zu bytes", MODULE_LINE_MAX);
            return fail(r, err);
        }
        if (!nl || r->line.len > 0) {
            strbuf_append(&r->line, s, n);
            if (strbuf_check(&r->line, &r->failure) < 0)
                return fail(r, err);
        }
        if (nl) {
            bool whole = r->line.len == 0;
            if (on_line(r, whole ? s : r->line.s, whole ? n : r->line.len, &r->failure) < 0)
                return fail(r, err);
            strbuf_clear(&r->line);
        }
        s = stop + (nl != NULL);
    }
    return 0;
}

int module_reader_finish(struct module_reader *r, enum module_status *ret_status,
                         const json_t **ret_summary, const char **ret_error, struct err *err)
{
    if (!r->failure.code && r->line.len > 0) {
        if (on_line(r, r->line.s, r->line.len, &r->failure) < 0)
            fail(r, NULL);
        strbuf_clear(&r->line);
    }
    if (!r->failure.code && !r->have_result)
        err_set(&r->failure, ERR_INVALID, "the module ended without a result");
    if (r->failure.code)
        return err ? err_copy(err, &r->failure) : -r->failure.code;
    *ret_status = r->status;
    *ret_summary = r->summary;
    *ret_error = r->error.len > 0 ? r->error.s : NULL;
    return 0;
}
