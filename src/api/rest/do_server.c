/* What the server says of itself. */
#include "api/rest/rest_internal.h"

#include "api/service/catalog.h"
#include "api/service/objects.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "os/clock.h"

#include <string.h>

int do_root(struct exchange *x, struct err *err)
{
    struct workflow_def **defs = NULL;
    size_t n = 0, loaded = 0;
    int r = toolbox_list(x->svc.toolbox, &defs, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        loaded += !defs[i]->broken;
    toolbox_list_free(defs, n);
    if (r < 0)
        return r;
    return reply_json(x, 200,
                      json_pack("{s:s, s:s, s:s, s:I, s:s, s:s}", "name", "FuzzForge API", "version", x->svc.version,
                                "status", "ready", "workflows_loaded", (json_int_t)loaded, "openapi", "/openapi.json", "health",
                                "/health"),
                      err);
}

int do_health_live(struct exchange *x, struct err *err)
{
    return reply_json(x, 200, json_pack("{s:s}", "status", "ok"), err);
}

static const char *word(int r)
{
    return r < 0 ? "failing" : "ok";
}

static int health(struct exchange *x, bool full, struct err *err)
{
    const struct service *svc = &x->svc;
    Pb__GetSystemInfoRequest req = PB__GET_SYSTEM_INFO_REQUEST__INIT;
    struct store_object_info info;
    struct err why = {0};
    int engine = engine_call_sync(svc->engine, ENGINE_GET_SYSTEM_INFO, &req.base, 2000, NULL, &why);
    int store = store_stat(svc->store, "sha256:0000000000000000000000000000000000000000000000000000000000000000", &info, &why);
    store = store == -ERR_NOT_FOUND ? 0 : store;
    bool stopping = atomic_load(&x->rest->stopping), ok = engine == 0 && store == 0 && !stopping;
    json_t *j = json_pack("{s:s, s:s, s:s}", "status", stopping ? "stopping" : ok ? "healthy" : "unhealthy", "engine",
                          word(engine), "store", word(store));
    if (j && full && x->rest->o.restored)
        json_object_set_new(j, "restore", json_pack("{s:s, s:s}", "id", x->rest->o.restored, "outcome", x->rest->o.restored_how));
    if (j && full) {
        json_object_set_new(j, "sandbox", json_string(svc->spawner ? "ok" : "none"));
        json_object_set_new(j, "uptime_seconds", json_integer((os_now_ns() - x->rest->started_ns) / NS_PER_S));
        json_object_set_new(j, "version", json_string(svc->version));
    }
    return reply_json(x, ok ? 200 : 503, j, err);
}

int do_health(struct exchange *x, struct err *err)
{
    return health(x, true, err);
}

int do_health_ready(struct exchange *x, struct err *err)
{
    return health(x, false, err);
}

int do_openapi(struct exchange *x, struct err *err)
{
    char *text = mem_strdup(x->rest->api.openapi);
    int r = reply_text(x, 200, "application/json", text, text ? strlen(text) : 0, err);
    if (r == 0)
        reply_etag(x);
    return r;
}

int do_metrics(struct exchange *x, struct err *err)
{
    struct strbuf b = STRBUF_INIT_MAX((size_t)1 << 20);
    metrics_write(x->rest, &b);
    int r = strbuf_check(&b, err);
    size_t len = b.len;
    if (r == 0)
        r = reply_text(x, 200, "text/plain; version=0.0.4; charset=utf-8", strbuf_take(&b, NULL), len, err);
    strbuf_release(&b);
    return r;
}

int do_list_modules(struct exchange *x, struct err *err)
{
    json_t *list = NULL;
    int r = modules_list(&x->svc, &list, err);
    if (r == 0 && x->caller.name_space[0])
        catalog_shorten(list);
    return r < 0 ? r : reply_json(x, 200, json_pack("{s:o}", "modules", list), err);
}

int do_show_module(struct exchange *x, struct err *err)
{
    json_t *j = NULL;
    int r = module_find(&x->svc, arg_text(x, "module_name"), &j, err);
    if (r == 0 && x->caller.name_space[0])
        catalog_shorten(j);
    if (r == -ERR_INVALID) /* a broken one is the server's fault, not the client's */
        x->error_status = 409;
    return r < 0 ? r : reply_json(x, 200, j, err);
}

int do_server_status(struct exchange *x, struct err *err)
{
    json_t *j = NULL;
    int r = x->rest->o.status(x->rest->o.arg, service_namespace(&x->svc), &j, err);
    if (r == 0 && x->caller.name_space[0]) { /* where it is, and how it was started, is not a tenant's to know */
        json_object_set_new(j, "state", json_null());
        json_object_set_new(j, "holder", json_string("the server"));
    }
    return r < 0 ? r : reply_json(x, 200, j, err);
}

int do_list_workers(struct exchange *x, struct err *err)
{
    json_t *list = NULL;
    int r = x->rest->o.workers(x->rest->o.arg, service_namespace(&x->svc), &list, err);
    return r < 0 ? r : reply_json(x, 200, json_pack("{s:o}", "workers", list), err);
}

/* --- tokens ---------------------------------------------------------------------------------------------------------- */

int exchange_has_token(const struct exchange *x, const char *what, struct err *err)
{
    return request_header(x, "Authorization") ? 0 : err_set(err, ERR_PERMISSION, "%s are for callers who have a token", what);
}

static int do_tokens(struct exchange *x, enum token_verb verb, json_t *q, struct err *err)
{
    _cleanup_json_ json_t *request = q;
    json_t *answer = NULL;
    int r = exchange_has_token(x, "tokens", err);
    if (r == 0)
        r = request ? x->rest->o.tokens(x->rest->o.arg, verb, request, &answer, err) : err_nomem(err);
    return r < 0 ? r : reply_json(x, 200, answer, err);
}

int do_list_tokens(struct exchange *x, struct err *err)
{
    const char *all = arg_text(x, "all");
    return do_tokens(x, TOKEN_LIST, json_pack("{s:b}", "all", all && strcmp(all, "true") == 0), err);
}

int do_create_token(struct exchange *x, struct err *err)
{
    int r = body_json(x, err);
    if (r < 0)
        return r;
    r = do_tokens(x, TOKEN_CREATE, json_incref(x->json), err);
    if (r == -ERR_USAGE) /* the name is the owner's */
        x->error_status = 409;
    return r;
}

int do_revoke_token(struct exchange *x, struct err *err)
{
    return do_tokens(x, TOKEN_REVOKE, json_pack("{s:s}", "token", arg_text(x, "token_name")), err);
}

int do_revoke_sessions(struct exchange *x, struct err *err)
{
    return do_tokens(x, TOKEN_REVOKE_SESSIONS, json_pack("{s:s}", "token", arg_text(x, "token_name")), err);
}

/* --- the store ----------------------------------------------------------------------------------------------------- */

#define CURSOR_STORE 3

struct listing {
    json_t *list;
    const char *after; /* NULL: from the first */
    size_t limit;
    char last[STORE_REF_LEN + 1];
    bool more;
};

static bool add_object(void *arg, const struct store_object_info *i)
{
    struct listing *l = arg;
    if (l->after && strcmp(i->ref.text, l->after) <= 0)
        return true;
    if (json_array_size(l->list) == l->limit) {
        l->more = true;
        return false;
    }
    memcpy(l->last, i->ref.text, sizeof l->last);
    return json_array_append_new(l->list, object_json(i)) == 0;
}

int do_list_store(struct exchange *x, struct err *err)
{
    const char *cursor = arg_text(x, "cursor");
    _cleanup_free_ uint8_t *at = NULL;
    _cleanup_free_ char *after = NULL, *next = NULL;
    _cleanup_json_ json_t *list = json_array();
    size_t n = 0;
    struct listing l = {.list = list, .limit = (size_t)arg_number(x, "limit", 100)};
    int r = cursor ? cursor_read(CURSOR_STORE, cursor, &at, &n, err) : 0;
    if (r == 0 && at && !(after = mem_strndup((char *)at, n)))
        r = err_nomem(err);
    l.after = after;
    if (r == 0)
        r = store_list(x->svc.store, add_object, &l, err);
    if (r == 0 && l.more && !(next = cursor_write(CURSOR_STORE, l.last, strlen(l.last))))
        r = err_nomem(err);
    return r < 0 ? r : reply_json(x, 200, json_pack("{s:O, s:s?}", "objects", list, "next_cursor", next), err);
}

int do_put_object(struct exchange *x, struct err *err)
{
    const char *type = arg_text(x, "media_type");
    struct store_ref ref;
    uint64_t size = 0;
    int fd, r = upload_file(x, &fd, err);
    if (r == 0)
        r = object_put(&x->svc, fd, type ? type : "application/octet-stream", &ref, &size, err);
    return r < 0 ? r : reply_json(x, 200, json_pack("{s:s, s:I}", "ref", ref.text, "bytes", (json_int_t)size), err);
}

/* Who sees all namespaces sees all objects. Of others it is asked before the object is looked for: what is not theirs takes as
 * long as what is not there. */
static int check_owner(const struct exchange *x, struct err *err)
{
    return x->caller.name_space[0] ? object_of_run(&x->svc, NULL, arg_text(x, "object"), err) : 0;
}

int do_show_object(struct exchange *x, struct err *err)
{
    struct store_object_info info;
    int r = check_owner(x, err);
    if (r == 0)
        r = store_stat(x->svc.store, arg_text(x, "object"), &info, err);
    return r < 0 ? r : reply_json(x, 200, object_json(&info), err);
}

int do_get_object(struct exchange *x, struct err *err)
{
    int r = check_owner(x, err);
    return r < 0 ? r : reply_object(x, arg_text(x, "object"), err);
}

int do_delete_object(struct exchange *x, struct err *err)
{
    int r = object_remove(&x->svc, arg_text(x, "object"), err);
    return r < 0 ? r : reply_message(x, NULL, "removed");
}
