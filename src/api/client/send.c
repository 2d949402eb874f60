#include "api/client/send.h"

#include "api/client/client_internal.h"
#include "api/client/documents.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "codec/json.h"
#include "codec/uri.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define NOTICES_BYTES_MAX ((size_t)512 << 10)

/* One attempt to send a target. */
struct sending {
    struct ingest_sender *sender;
    struct strbuf notices; /* as a field of the form; written when all was read */
    size_t notices_sent;
    bool written;
    struct err err;
};

static size_t read_target(char *buf, size_t size, size_t n, void *arg)
{
    struct sending *s = arg;
    size_t len = 0;
    return ingest_sender_read(s->sender, buf, size * n, &len, &s->err) < 0 ? CURL_READFUNC_ABORT : len;
}

/* {notices: [{kind, path, text}], dropped, incomplete}, as many as there is room for. */
static int write_notices(const struct ingest_result *res, struct strbuf *out, struct err *err)
{
    _cleanup_json_ json_t *list = json_array();
    size_t bytes = 0, i = 0;
    for (; list && i < res->notices_count && bytes < NOTICES_BYTES_MAX; i++) {
        const struct ingest_notice *n = &res->notices[i];
        bytes += strlen(n->path) + strlen(n->text) + 64;
        json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "kind", target_notice_kind(n->kind), "path",
                                              json_clean_string(n->path), "text", json_clean_string(n->text)));
    }
    _cleanup_json_ json_t *j = json_pack("{s:O?, s:I, s:b}", "notices", list, "dropped",
                                         (json_int_t)(res->notices_count - i + res->notices_dropped), "incomplete",
                                         res->incomplete);
    return list && j ? json_write(j, out, err) : err_nomem(err);
}

static size_t read_notices(char *buf, size_t size, size_t n, void *arg)
{
    struct sending *s = arg;
    if (!s->written && write_notices(ingest_sender_result(s->sender), &s->notices, &s->err) < 0)
        return CURL_READFUNC_ABORT;
    s->written = true;
    size_t left = s->notices.len - s->notices_sent, take = left < size * n ? left : size * n;
    memcpy(buf, strbuf_str(&s->notices) + s->notices_sent, take);
    s->notices_sent += take;
    return take;
}

static bool add_field(curl_mime *form, const char *name, const char *value)
{
    if (!value)
        return true;
    curl_mimepart *p = lib.curl_mime_addpart(form);
    return p && lib.curl_mime_name(p, name) == CURLE_OK && lib.curl_mime_data(p, value, CURL_ZERO_TERMINATED) == CURLE_OK;
}

static bool add_bytes(curl_mime *form, const char *name, const char *file_name, curl_off_t size, curl_read_callback read,
                      struct sending *s)
{
    curl_mimepart *p = lib.curl_mime_addpart(form);
    return p && lib.curl_mime_name(p, name) == CURLE_OK &&
           (!file_name || (lib.curl_mime_filename(p, file_name) == CURLE_OK &&
                           lib.curl_mime_type(p, "application/octet-stream") == CURLE_OK)) &&
           lib.curl_mime_data_cb(p, size, read, NULL, NULL, s) == CURLE_OK;
}

static int64_t seconds(int64_t ms)
{
    return (ms + 999) / 1000;
}

/* A baseline that is a file is this machine's, and compared with here. */
static const char *baseline_of(const struct submission *q)
{
    return q->gate.baseline && q->gate.baseline[0] != '/' ? q->gate.baseline : NULL;
}

static const char *fail_on(const struct submission *q)
{
    return q->gate.fail_on < 0 ? NULL : severity_name((enum severity)q->gate.fail_on);
}

static bool add_member(json_t *j, const char *name, uint64_t value)
{
    return !value || json_object_set_new(j, name, json_integer((json_int_t)value)) == 0;
}

/* Of a submission, all but the target: members of a JSON body, fields of a form. NULL: no memory. */
static json_t *what_is_asked(const struct submission *q)
{
    const struct module_bounds *b = q->module.bounds;
    json_t *j = b ? json_pack("{s:s, s:O, s:s*, s:s*}", "name", q->id, "input", q->parameters, "isolation", b->isolation,
                              "network", b->network)
                  : json_pack("{s:s, s:O, s:s*, s:s*}", "name", q->id, "parameters", q->parameters, "fail_on", fail_on(q),
                              "baseline", baseline_of(q));
    bool ok = j && add_member(j, "timeout", (uint64_t)seconds(q->timeout_ms));
    if (ok && b)
        ok = add_member(j, "memory", b->memory_bytes) && add_member(j, "disk", b->disk_bytes);
    if (ok && q->gate.strict)
        ok = json_object_set_new(j, "strict", json_true()) == 0;
    if (ok && q->gate.no_inline_suppressions)
        ok = json_object_set_new(j, "no_inline_suppressions", json_true()) == 0;
    if (ok)
        return j;
    json_decref(j);
    return NULL;
}

static bool add_fields(curl_mime *form, const struct submission *q)
{
    _cleanup_json_ json_t *all = what_is_asked(q);
    const char *name;
    json_t *v;
    bool ok = all != NULL;
    json_object_foreach(all, name, v) {
        _cleanup_free_ char *text = json_is_string(v) ? mem_strdup(json_string_value(v))
                                                      : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
        ok = ok && text && add_field(form, name, text);
    }
    return ok;
}

static curl_mime *make_form(struct client *c, const struct submission *q, struct sending *s)
{
    const struct ingest_result *res = ingest_sender_result(s->sender);
    bool packed = strcmp(res->kind, "folder") == 0 || strcmp(res->kind, "git") == 0;
    curl_mime *form = client_form(c);
    if (form && add_fields(form, q) && add_field(form, "kind", strcmp(res->kind, "file") == 0 ? NULL : res->kind) &&
        add_bytes(form, "file", res->name, packed ? -1 : (curl_off_t)res->bytes, read_target, s) &&
        (!packed || add_bytes(form, "notices", NULL, -1, read_notices, s)))
        return form;
    lib.curl_mime_free(form);
    return NULL;
}

static int check_answer(const struct client *c, const struct submission *q, const struct transfer *t, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    int r = client_read(c, t, &doc, err);
    const char *id = document_word(doc, "run_id");
    if (r == 0 && (!id || strcmp(id, q->id) != 0))
        r = err_set(err, ERR_CORRUPT, "%s has started another run than it was asked for", client_url(c));
    return r;
}

static int send_target(struct client *c, const struct client_call *call, struct transfer *t, const struct submission *q,
                       struct sending *s, struct err *err)
{
    *t = (struct transfer){.call = call, .form = make_form(c, q, s)};
    if (!t->form)
        return err_nomem(err);
    int r = client_transfer(c, t, err);
    if (s->err.code) /* of the target, not of the way there */
        return err_copy(err, &s->err);
    if (r == 0)
        r = client_judge(c, t, err);
    return r == 0 ? check_answer(c, q, t, err) : r;
}

static int move_result(struct submission *q, const struct ingest_result *from, struct err *err)
{
    ingest_result_release(&q->ingested);
    q->ingested.incomplete = from->incomplete;
    q->ingested.notices_dropped = from->notices_dropped;
    int r = 0;
    for (size_t i = 0; r == 0 && i < from->notices_count; i++)
        r = ingest_result_note(&q->ingested, from->notices[i].kind, from->notices[i].path, from->notices[i].text, err);
    return r;
}

static int upload(struct client *c, struct submission *q, const char *target, const char *path, const struct ingest_options *o,
                  struct err *err)
{
    struct client_call call = {.method = "POST", .path = path, .key = q->key, .patience_ms = client_patience_ms(c)};
    struct client_patience patience = {0};
    int64_t pause;
    int r;
    do {
        struct sending s = {.notices = STRBUF_INIT_MAX(2 * NOTICES_BYTES_MAX)};
        struct transfer t = {.call = &call};
        r = ingest_sender_new(target, o, &s.sender, err);
        bool ours = r < 0;
        if (r == 0)
            r = send_target(c, &call, &t, q, &s, err);
        ours = ours || s.err.code;
        if (r == 0)
            r = move_result(q, ingest_sender_result(s.sender), err);
        pause = r < 0 && !ours ? client_next_try(&call, &t, r, &patience) : -1;
        transfer_release(&t);
        ingest_sender_free(s.sender);
        strbuf_release(&s.notices);
        if (pause >= 0 && !client_wait(c, pause))
            return err_set(err, ERR_CANCELLED, "cancelled");
    } while (pause >= 0);
    return r;
}

/* The server fetches it. NULL: there is none. */
static int submit_url(struct client *c, const struct submission *q, const char *target, const char *path, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL, *body = what_is_asked(q);
    if (!body || (target && json_object_set_new(body, "target_path", json_string(target)) < 0))
        return err_nomem(err);
    struct client_call call = {.method = "POST", .path = path, .body = body, .key = q->key, .patience_ms = client_patience_ms(c)};
    return client_call(c, &call, &doc, err);
}

int client_submit(struct client *c, struct submission *s, const char *target, const struct ingest_options *o, struct err *err)
{
    struct strbuf path = STRBUF_INIT_MAX(1000);
    const char *module = s->module.name;
    bool url = !target || (target_is_url(target) && strncmp(target, "file://", 7) != 0);
    os_uuid(s->key); /* another submission may have the same name, but it is not this one */
    strbuf_puts(&path, module ? "/modules/" : "/workflows/");
    uri_append_value(&path, module ? module : s->def->name);
    strbuf_puts(&path, url ? (module ? "/run" : "/submit") : module ? "/upload-and-run" : "/upload-and-submit");
    int r = strbuf_check(&path, err);
    if (r == 0)
        r = url ? submit_url(c, s, target, strbuf_str(&path), err) : upload(c, s, target, strbuf_str(&path), o, err);
    strbuf_release(&path);
    return r;
}
