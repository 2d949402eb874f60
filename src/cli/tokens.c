#include "cli/tokens.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"

#include <string.h>

static json_t *time_json(int64_t ms)
{
    char text[32];
    return ms ? json_string(os_format_time(ms * NS_PER_MS, text)) : json_null();
}

static const char *state_of(const struct access_token *t)
{
    return t->revoked_ms                                                       ? "revoked"
           : t->expires_ms && t->expires_ms <= os_now_ns() / NS_PER_MS ? "expired"
                                                                               : "active";
}

static json_t *token_json(const struct access_token *t)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "id", t->caller.id, "name", t->caller.name, "role",
                     access_role_name(t->caller.role), "namespace", t->caller.name_space, "state", state_of(t), "created_at",
                     time_json(t->created_ms), "expires_at", time_json(t->expires_ms), "last_used_at", time_json(t->used_ms),
                     "revoked_at", time_json(t->revoked_ms));
}

/* The engine knows a namespace before the first call comes that names it. */
static int make_namespace(struct app *app, const char *name, struct err *err)
{
    Pb__RegisterNamespaceRequest q = PB__REGISTER_NAMESPACE_REQUEST__INIT;
    int r = 0;
    if (!app->engine) { /* a server has it, and other threads */
        app->service.name_space = NULL; /* it may be this one, which is not there yet */
        r = app_open(app, APP_ENGINE, err);
    }
    if (r < 0 || !app->share)
        return r; /* a cluster's namespaces are its administrators' */
    q.namespace_ = (char *)name;
    r = engine_call_sync(app->engine, ENGINE_REGISTER_NAMESPACE, &q.base, 0, NULL, err);
    return r == -ERR_EXISTS ? 0 : r;
}

struct listing {
    json_t *list;
    bool all;
};

static int add(void *arg, const struct access_token *t, struct err *err)
{
    struct listing *l = arg;
    if (!l->all && strcmp(state_of(t), "active") != 0)
        return 0;
    return json_array_append_new(l->list, token_json(t)) < 0 ? err_nomem(err) : 0;
}

static int create(struct app *app, struct access *access, const json_t *q, json_t **ret, struct err *err)
{
    struct access_request want = {.name = json_str(q, "name", NULL), .name_space = json_str(q, "namespace", NULL),
                                  .lifetime_ms = json_i64(q, "lifetime_ms", TOKENS_LIFETIME_MS)};
    struct access_token t;
    char token[ACCESS_TOKEN_LEN + 1];
    int r = access_role_parse(json_str(q, "role", "viewer"), &want.role, err);
    if (r == 0 && want.name_space && strcmp(want.name_space, ACCESS_ALL) != 0 && strcmp(want.name_space, "default") != 0)
        r = make_namespace(app, want.name_space, err);
    if (r == 0)
        r = access_create(access, &want, token, &t, err);
    if (r < 0)
        return r;
    *ret = token_json(&t);
    bool ok = *ret && json_object_set_new(*ret, "token", json_string(token)) == 0;
    explicit_bzero(token, sizeof token);
    return ok ? 0 : err_nomem(err);
}

static int list(struct access *access, const json_t *q, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *tokens = json_array();
    struct listing l = {.list = tokens, .all = json_flag(q, "all", false)};
    int r = tokens ? access_list(access, add, &l, err) : err_nomem(err);
    if (r < 0)
        return r;
    return (*ret = json_pack("{s:O}", "tokens", tokens)) ? 0 : err_nomem(err);
}

static int revoke_sessions(struct access *access, const json_t *q, json_t **ret, struct err *err)
{
    int n = 0, r = access_sessions_revoke(access, json_str(q, "token", ""), &n, err);
    if (r < 0)
        return r;
    return (*ret = json_pack("{s:i}", "sessions_revoked", n)) ? 0 : err_nomem(err);
}

int tokens_do(struct app *app, struct access *access, enum token_verb verb, const json_t *q, json_t **ret, struct err *err)
{
    struct access_token t;
    if (verb == TOKEN_CREATE)
        return create(app, access, q, ret, err);
    if (verb == TOKEN_LIST)
        return list(access, q, ret, err);
    if (verb == TOKEN_REVOKE_SESSIONS)
        return revoke_sessions(access, q, ret, err);
    int r = access_revoke(access, json_str(q, "token", ""), &t, err);
    if (r < 0)
        return r;
    return (*ret = token_json(&t)) ? 0 : err_nomem(err);
}
