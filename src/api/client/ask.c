/* The service's questions as requests. */
#include "api/client/remote.h"

#include "api/client/documents.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/uri.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PATH_BYTES_MAX ((size_t)16 << 10)
#define RUNS_PAGE 500
#define EVENTS_PAGE 500
#define FINDINGS_PAGE 1000
#define OBJECTS_PAGE 1000

/* "/runs/ID/rest"; each part encoded, "" ends them. */
static void put_path(struct strbuf *b, const char *first, ...)
{
    va_list ap;
    va_start(ap, first);
    for (const char *part = first; *part; part = va_arg(ap, const char *)) {
        strbuf_putc(b, '/');
        uri_append_value(b, part);
    }
    va_end(ap);
}

/* One more field of the query; value NULL: none. */
static void put_field(struct strbuf *b, const char *name, const char *value)
{
    if (!value)
        return;
    strbuf_printf(b, "%c%s=", b->s && strchr(b->s, '?') ? '&' : '?', name);
    uri_append_value(b, value);
}

static void put_number(struct strbuf *b, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    put_field(b, name, text);
}

/* Sends it; releases the path. ret may be NULL. */
static int send(struct client *c, const char *method, struct strbuf *path, const json_t *body, const char *key, json_t **ret,
                struct err *err)
{
    json_t *doc = NULL;
    int r = strbuf_check(path, err);
    if (r == 0)
        r = client_call(c, &(struct client_call){.method = method, .path = strbuf_str(path), .body = body, .key = key}, &doc,
                        err);
    strbuf_release(path);
    if (r == 0 && ret)
        *ret = doc;
    else
        json_decref(doc);
    return r;
}

static int get(struct client *c, struct strbuf *path, json_t **ret, struct err *err)
{
    return send(c, NULL, path, NULL, NULL, ret, err);
}

static int not_ours(struct client *c, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%.200s answers with what it was not asked for", client_url(c));
}

/* --- runs ----------------------------------------------------------------------------------------------------------- */

int client_run_resolve(struct client *c, const char *id, char **ret_id, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    put_path(&path, "runs", id, "id", "");
    int r = get(c, &path, &doc, err);
    if (r < 0)
        return r;
    const char *whole = document_word(doc, "run_id");
    if (!whole)
        return not_ours(c, err);
    return (*ret_id = mem_strdup(whole)) ? 0 : err_nomem(err);
}

int client_run_read(struct client *c, const char *id, struct run_info *ret, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    put_path(&path, "runs", id, "");
    int r = get(c, &path, &doc, err);
    return r < 0 ? r : document_run(doc, ret, err);
}

/* What is printed as it is must be fit for that. */
static void clean_word(char *s)
{
    for (unsigned char *p = (unsigned char *)s; p && *p; p++)
        if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0))
            *p = '?';
}

static int add_findings(const json_t *list, struct findings *ret, struct err *err)
{
    size_t i;
    json_t *j;
    int r = 0;
    json_array_foreach(list, i, j) {
        struct finding f;
        r = r == 0 && ret->len >= FINDINGS_MAX ? err_set(err, ERR_LIMIT, "over %d findings", FINDINGS_MAX) : r;
        r = r == 0 ? finding_from_json(j, &f, err) : r;
        if (r < 0)
            return r;
        clean_word(f.rule_id);
        clean_word(f.fingerprint);
        clean_word(f.module);
        r = findings_add(ret, &f, err);
        if (r < 0)
            finding_release(&f);
    }
    return r;
}

/* next_cursor of a page: *io_cursor, NULL at the end. */
static int next_page(const json_t *doc, char **io_cursor, struct err *err)
{
    const char *next = document_word(doc, "next_cursor");
    if (next && *io_cursor && strcmp(next, *io_cursor) == 0)
        return err_set(err, ERR_CORRUPT, "the server's list has no end");
    free(*io_cursor);
    *io_cursor = mem_strdup(next);
    return next && !*io_cursor ? err_nomem(err) : 0;
}

int client_run_findings(struct client *c, const char *id, struct findings *ret, struct err *err)
{
    _cleanup_free_ char *cursor = NULL;
    int r;
    do {
        _cleanup_json_ json_t *doc = NULL;
        struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
        put_path(&path, "findings", "");
        put_field(&path, "run", id);
        put_field(&path, "status", "all");
        put_number(&path, "limit", FINDINGS_PAGE);
        put_field(&path, "cursor", cursor);
        r = get(c, &path, &doc, err);
        if (r == 0)
            r = add_findings(json_object_get(doc, "findings"), ret, err);
        if (r == 0)
            r = next_page(doc, &cursor, err);
    } while (r == 0 && cursor);
    return r;
}

static int give_items(const json_t *list, size_t *io_left, void (*one)(void *arg, const struct run_item *item), void *arg,
                      struct err *err)
{
    size_t i;
    json_t *j;
    json_array_foreach(list, i, j) {
        struct run_item item;
        int r = document_item(j, &item, err);
        if (r < 0)
            return r;
        if (*io_left == 0)
            break;
        --*io_left;
        one(arg, &item);
    }
    return 0;
}

int client_runs_list(struct client *c, const char *filter, size_t limit, ProtobufCBinaryData *io_token,
                     void (*one)(void *arg, const struct run_item *item), void *arg, struct err *err)
{
    _cleanup_free_ char *cursor = io_token->len ? mem_strndup((char *)io_token->data, io_token->len) : NULL;
    size_t left = limit;
    int r;
    do {
        _cleanup_json_ json_t *doc = NULL;
        struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
        put_path(&path, "runs", "");
        put_number(&path, "limit", (int64_t)(left < RUNS_PAGE ? left : RUNS_PAGE));
        put_field(&path, "query", *filter ? filter : NULL);
        put_field(&path, "cursor", cursor);
        r = get(c, &path, &doc, err);
        if (r == 0)
            r = give_items(json_object_get(doc, "runs"), &left, one, arg, err);
        if (r == 0)
            r = next_page(doc, &cursor, err);
    } while (r == 0 && cursor && left);
    free(io_token->data);
    *io_token = (ProtobufCBinaryData){0};
    if (r == 0 && cursor) {
        io_token->len = strlen(cursor);
        io_token->data = (uint8_t *)TAKE_PTR(cursor);
    }
    return r;
}

int client_run_end(struct client *c, const char *id, const char *verb, const char *reason, struct err *err)
{
    char key[27];
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    os_ulid(key); /* both may be asked again */
    put_path(&path, "runs", id, verb, "");
    put_field(&path, "reason", reason);
    return send(c, "POST", &path, NULL, key, NULL, err);
}

int client_run_signal(struct client *c, const char *id, const char *name, const json_t *value, const char *request_id,
                      struct err *err)
{
    char key[37];
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    os_uuid(key);
    put_path(&path, "runs", id, "signal", name, "");
    return send(c, "POST", &path, value, request_id ? request_id : key, NULL, err);
}

int client_run_query(struct client *c, const char *id, const char *name, const json_t *value, json_t **ret, struct err *err)
{
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    put_path(&path, "runs", id, "query", name, "");
    if (!value)
        return get(c, &path, ret, err);
    _cleanup_free_ char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    _cleanup_json_ json_t *body = text ? json_pack("{s:s}", "value", text) : NULL;
    int r = body ? send(c, "POST", &path, body, NULL, ret, err) : err_nomem(err);
    strbuf_release(&path);
    return r;
}

int client_run_retry(struct client *c, const char *id, const char *request_id, struct err *err)
{
    char key[37];
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    os_uuid(key);
    put_path(&path, "runs", id, "retry", "");
    return send(c, "POST", &path, NULL, request_id ? request_id : key, NULL, err);
}

int client_run_delete(struct client *c, const char *id, bool wait, struct err *err)
{
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    put_path(&path, "runs", id, "");
    put_field(&path, "wait", wait ? NULL : "false");
    return send(c, "DELETE", &path, NULL, NULL, NULL, err);
}

int client_each_document(struct client *c, const char *id, int (*one)(void *arg, const json_t *event, struct err *err), void *arg,
                         struct err *err)
{
    int64_t after = 0;
    int r;
    do {
        _cleanup_json_ json_t *doc = NULL;
        struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
        size_t i;
        json_t *e;
        put_path(&path, "runs", id, "history", "");
        put_number(&path, "limit", EVENTS_PAGE);
        put_number(&path, "after", after);
        r = get(c, &path, &doc, err);
        json_array_foreach(json_object_get(doc, "events"), i, e)
            if (r == 0)
                r = one(arg, e, err);
        int64_t next = json_i64(doc, "next_after", 0);
        if (r == 0 && next && next <= after)
            r = not_ours(c, err);
        after = next;
    } while (r == 0 && after);
    return r;
}

static int give_event(const json_t *j, int (*one)(void *arg, const struct live_event *e), void *arg, int64_t *io_last,
                      struct err *err)
{
    const char *type = document_word(j, "type");
    _cleanup_free_ char *data = json_dumps(json_object_get(j, "data"), JSON_COMPACT | JSON_ENCODE_ANY);
    struct live_event e = {json_i64(j, "id", 0), os_parse_time(json_str(j, "at", "")), type, data};
    if (!type || !data || e.seq <= *io_last)
        return err_set(err, ERR_CORRUPT, "the server's events are none");
    *io_last = e.seq;
    one(arg, &e);
    return 0;
}

int client_events(struct client *c, const char *id, int64_t after, const char *type,
                  int (*one)(void *arg, const struct live_event *e), void *arg, int64_t *ret_last, struct err *err)
{
    bool more;
    int r;
    *ret_last = after;
    do {
        _cleanup_json_ json_t *doc = NULL;
        struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
        size_t i;
        json_t *e;
        put_path(&path, "runs", id, "log", "");
        put_field(&path, "events", type ? type : "all");
        put_number(&path, "limit", EVENTS_PAGE);
        put_number(&path, "after", *ret_last);
        r = get(c, &path, &doc, err);
        json_array_foreach(json_object_get(doc, "events"), i, e)
            if (r == 0)
                r = give_event(e, one, arg, ret_last, err);
        more = json_is_integer(json_object_get(doc, "next_after")) && json_array_size(json_object_get(doc, "events"));
    } while (r == 0 && more);
    return r;
}

int client_series(struct client *c, const char *id, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    put_path(&path, "fuzzing", id, "series", "");
    int r = get(c, &path, &doc, err);
    if (r < 0)
        return r;
    json_t *points = json_object_get(doc, "points");
    if (!json_is_array(points))
        return not_ours(c, err);
    *ret = json_incref(points);
    return 0;
}

/* --- workflows ------------------------------------------------------------------------------------------------------- */

int client_workflows(struct client *c, struct workflow_def ***ret, size_t *ret_count, struct err *err)
{
    _cleanup_json_ json_t *list = NULL;
    size_t i, n = 0;
    json_t *j;
    int r = client_get(c, "/workflows/?all=true", &list, err);
    struct workflow_def **defs = r == 0 ? mem_calloc(json_array_size(list) + 1, sizeof *defs) : NULL;
    if (!defs)
        return r < 0 ? r : err_nomem(err);
    json_array_foreach(list, i, j)
        if (r == 0 && (r = document_workflow(j, &defs[n], err)) == 0)
            n++;
    *ret = defs;
    *ret_count = n;
    if (r < 0) {
        toolbox_list_free(defs, n);
        *ret = NULL;
        *ret_count = 0;
    }
    return r;
}

int client_workflow(struct client *c, const char *name, struct workflow_def **ret, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    put_path(&path, "workflows", name, "metadata", "");
    int r = get(c, &path, &doc, err);
    return r < 0 ? r : document_workflow(doc, ret, err);
}

/* --- lists ------------------------------------------------------------------------------------------------------------ */

int client_list(struct client *c, const char *path, const char *key, const char *const *words, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    size_t i;
    json_t *j;
    int r = client_get(c, path, &doc, err);
    if (r < 0)
        return r;
    json_t *list = json_object_get(doc, key);
    if (!json_is_array(list))
        return not_ours(c, err);
    json_array_foreach(list, i, j)
        for (const char *const *w = words; *w; w++)
            if (!document_word(j, *w))
                return not_ours(c, err);
    *ret = json_incref(list);
    return 0;
}

int client_modules(struct client *c, json_t **ret, struct err *err)
{
    static const char *const words[] = {"name", NULL};
    return client_list(c, "/modules", "modules", words, ret, err);
}

int client_module(struct client *c, const char *name, json_t **ret, struct err *err)
{
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    put_path(&path, "modules", name, "");
    int r = get(c, &path, ret, err);
    if (r == 0 && !document_word(*ret, "name")) {
        json_decref(*ret);
        *ret = NULL;
        r = not_ours(c, err);
    }
    return r;
}

/* --- objects ----------------------------------------------------------------------------------------------------------- */

static int read_object(const json_t *j, struct store_object_info *ret, struct err *err)
{
    const char *ref = document_word(j, "ref"), *type = document_word(j, "media_type");
    *ret = (struct store_object_info){0};
    if (!ref || !store_ref_valid(ref) || !type || strlen(type) >= sizeof ret->media_type)
        return err_set(err, ERR_CORRUPT, "the server's answer is not that of an object");
    snprintf(ret->ref.text, sizeof ret->ref.text, "%s", ref);
    snprintf(ret->media_type, sizeof ret->media_type, "%s", type);
    ret->size_bytes = (uint64_t)json_i64(j, "bytes", 0);
    ret->stored_bytes = (uint64_t)json_i64(j, "stored_bytes", 0);
    ret->created_ns = os_parse_time(json_str(j, "created_at", ""));
    return 0;
}

int client_objects(struct client *c, bool (*one)(void *arg, const struct store_object_info *i), void *arg, struct err *err)
{
    _cleanup_free_ char *cursor = NULL;
    int r;
    do {
        _cleanup_json_ json_t *doc = NULL;
        struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
        size_t i;
        json_t *j;
        put_path(&path, "store", "");
        put_number(&path, "limit", OBJECTS_PAGE);
        put_field(&path, "cursor", cursor);
        r = get(c, &path, &doc, err);
        json_array_foreach(json_object_get(doc, "objects"), i, j) {
            struct store_object_info info;
            if (r == 0 && (r = read_object(j, &info, err)) == 0 && !one(arg, &info))
                return 0;
        }
        if (r == 0)
            r = next_page(doc, &cursor, err);
    } while (r == 0 && cursor);
    return r;
}

int client_object(struct client *c, const char *ref, struct store_object_info *ret, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    put_path(&path, "store", ref, "");
    int r = get(c, &path, &doc, err);
    return r < 0 ? r : read_object(doc, ret, err);
}

int client_object_remove(struct client *c, const char *ref, struct err *err)
{
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    put_path(&path, "store", ref, "");
    return send(c, "DELETE", &path, NULL, NULL, NULL, err);
}

/* --- tokens ------------------------------------------------------------------------------------------------------------ */

/* A token's text is all that is printed as it is. */
static int check_token(struct client *c, const json_t *t, bool fresh, struct err *err)
{
    const char *text = json_str(t, "token", "");
    bool ok = document_word(t, "id") && document_word(t, "name") && document_word(t, "role") && document_word(t, "namespace") &&
              (!fresh || (*text && text[strspn(text, "0123456789abcdef")] == 0));
    return ok ? 0 : not_ours(c, err);
}

int client_tokens(struct client *c, enum token_verb verb, const json_t *q, json_t **ret, struct err *err)
{
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    json_t *doc = NULL, *t;
    size_t i;
    bool revokes = verb == TOKEN_REVOKE || verb == TOKEN_REVOKE_SESSIONS;
    put_path(&path, "tokens", revokes ? json_str(q, "token", "") : "", verb == TOKEN_REVOKE_SESSIONS ? "sessions" : "", "");
    if (verb == TOKEN_LIST && json_flag(q, "all", false))
        put_field(&path, "all", "true");
    int r = verb == TOKEN_LIST     ? get(c, &path, &doc, err)
            : verb == TOKEN_CREATE ? send(c, "POST", &path, q, NULL, &doc, err)
                                   : send(c, "DELETE", &path, NULL, NULL, &doc, err);
    if (r == 0 && verb == TOKEN_REVOKE_SESSIONS)
        r = json_is_integer(json_object_get(doc, "sessions_revoked")) ? 0 : not_ours(c, err);
    else if (r == 0 && verb != TOKEN_LIST)
        r = check_token(c, doc, verb == TOKEN_CREATE, err);
    json_array_foreach(json_object_get(doc, "tokens"), i, t)
        if (r == 0 && verb == TOKEN_LIST)
            r = check_token(c, t, false, err);
    if (r == 0)
        *ret = doc;
    else
        json_decref(doc);
    return r;
}

/* --- keeping house ------------------------------------------------------------------------------------------------------ */

/* Each object of the list has these texts, fit to be printed. */
static bool list_has(const json_t *list, const char *first, const char *second)
{
    size_t i;
    json_t *j;
    bool ok = json_is_array(list);
    json_array_foreach(list, i, j)
        ok = ok && document_word(j, first) && (!second || document_word(j, second));
    return ok;
}

static bool house_ok(enum house_verb verb, const json_t *doc)
{
    switch (verb) {
    case HOUSE_GC: return json_is_integer(json_object_get(doc, "objects_removed"));
    case HOUSE_VERIFY: return list_has(json_object_get(doc, "damaged"), "ref", NULL) &&
                              list_has(json_object_get(doc, "missing"), "ref", NULL) &&
                              json_is_integer(json_object_get(doc, "bad_objects")) &&
                              json_is_integer(json_object_get(doc, "missing_objects"));
    case HOUSE_CLEAN: return list_has(json_object_get(doc, "removed"), "run_id", "workflow");
    case HOUSE_AUDIT: return json_is_array(json_object_get(doc, "entries"));
    case HOUSE_INIT: return document_word(doc, "store") && document_word(doc, "where");
    case HOUSE_REKEY: return json_is_integer(json_object_get(doc, "packs"));
    case HOUSE_MIGRATE: return list_has(json_object_get(doc, "damaged"), "ref", NULL) &&
                               json_is_integer(json_object_get(doc, "bad_objects")) &&
                               json_is_integer(json_object_get(doc, "objects"));
    }
    return false;
}

int client_housekeeping(struct client *c, enum house_verb verb, const json_t *q, json_t **ret, struct err *err)
{
    static const char *const fields[] = {"who", "action", "namespace"};
    static const char *const below_store[] = {[HOUSE_GC] = "gc", [HOUSE_VERIFY] = "verify", [HOUSE_INIT] = "init",
                                              [HOUSE_REKEY] = "rekey", [HOUSE_MIGRATE] = "migrate"};
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    struct client_call call = {.lasts = true};
    if (verb == HOUSE_AUDIT) {
        put_path(&path, "audit", "");
        for (size_t i = 0; i < ARRAY_LEN(fields); i++)
            put_field(&path, fields[i], json_str(q, fields[i], NULL));
        put_number(&path, "limit", json_i64(q, "limit", 50));
    } else {
        call.method = "POST";
        call.body = verb == HOUSE_VERIFY ? NULL : q;
        put_path(&path, verb == HOUSE_CLEAN ? "clean" : "store", verb == HOUSE_CLEAN ? "" : below_store[verb], "");
    }
    int r = strbuf_check(&path, err);
    call.path = strbuf_str(&path);
    if (r == 0)
        r = client_call(c, &call, ret, err);
    strbuf_release(&path);
    if (r < 0 || house_ok(verb, *ret))
        return r;
    json_decref(*ret);
    *ret = NULL;
    return not_ours(c, err);
}

/* --- suppressions ------------------------------------------------------------------------------------------------------- */

int client_suppressions(struct client *c, json_t **ret, struct err *err)
{
    int r = client_get(c, "/suppressions", ret, err);
    if (r < 0 || (json_is_array(json_object_get(*ret, "suppressions")) && document_word(*ret, "file")))
        return r;
    json_decref(*ret);
    *ret = NULL;
    return not_ours(c, err);
}

int client_suppress(struct client *c, const json_t *entries, struct err *err)
{
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    _cleanup_json_ json_t *body = json_pack("{s:O}", "suppressions", entries);
    put_path(&path, "suppressions", "");
    return send(c, "POST", &path, body, NULL, NULL, err);
}

int client_unsuppress(struct client *c, const char *what, size_t *ret_removed, struct err *err)
{
    struct strbuf path = STRBUF_INIT_MAX(PATH_BYTES_MAX);
    _cleanup_json_ json_t *doc = NULL;
    put_path(&path, "suppressions", what, "");
    int r = send(c, "DELETE", &path, NULL, NULL, &doc, err);
    *ret_removed = (size_t)json_i64(doc, "removed", 0);
    return r;
}
