/* Sessions of browsers: a cookie that no script reads and no other site's page makes the browser send, and beside it a word that
 * each change has to carry. */
#include "api/rest/rest_internal.h"

#include "api/access/access.h"
#include "codec/json.h"
#include "os/clock.h"
#include "base/units.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BEARER "Bearer "

/* Under TLS by a name that browsers let no other host, path or plain connection set. */
const char *session_cookie_name(const struct rest *r)
{
    return r->tls ? "__Host-ff_session" : "ff_session";
}

const char *session_cookie(const struct exchange *x)
{
    return http.MHD_lookup_connection_value(x->conn, MHD_COOKIE_KIND, session_cookie_name(x->rest));
}

static void set_cookie(struct exchange *x, const char *value, int64_t seconds)
{
    snprintf(x->answer.header[0], sizeof x->answer.header[0], "Set-Cookie");
    snprintf(x->answer.header[1], sizeof x->answer.header[1], "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld%s",
             session_cookie_name(x->rest), value, (long long)seconds, x->rest->tls ? "; Secure" : "");
}

static int reply_session(struct exchange *x, const char *csrf, int64_t expires_ms, struct err *err)
{
    static const char *const roles[] = {"none", "viewer", "operator", "admin"};
    const struct rest_caller *c = &x->caller;
    char at[32];
    return reply_json(x, 200,
                      json_pack("{s:s, s:s, s:s, s:s?, s:s?}", "name", c->name, "role", roles[c->role], "namespace",
                                c->name_space[0] ? c->name_space : ACCESS_ALL, "expires_at",
                                expires_ms ? os_format_time(expires_ms * NS_PER_MS, at) : NULL, "csrf_token", csrf),
                      err);
}

int do_open_session(struct exchange *x, struct err *err)
{
    const char *header = request_header(x, "Authorization");
    char session[ACCESS_TOKEN_LEN + 1], csrf[ACCESS_TOKEN_LEN + 1];
    struct access_caller c;
    int64_t expires_ms;
    if (!header || strncasecmp(header, BEARER, strlen(BEARER)) != 0)
        return err_set(err, ERR_STATE, "a session is made out of a token: send 'Authorization: Bearer TOKEN'");
    int r = access_session_open(x->rest->o.access, header + strlen(BEARER), session, &c, &expires_ms, err);
    if (r == 0)
        r = access_session_csrf(session, csrf, err);
    if (r < 0)
        return r;
    set_cookie(x, session, (expires_ms - os_now_ns() / NS_PER_MS) / 1000);
    explicit_bzero(session, sizeof session);
    return reply_session(x, csrf, expires_ms, err);
}

int do_show_session(struct exchange *x, struct err *err)
{
    char csrf[ACCESS_TOKEN_LEN + 1];
    const char *session = session_cookie(x);
    if (!x->caller.by_session || !session)
        return reply_session(x, NULL, 0, err);
    int r = access_session_csrf(session, csrf, err);
    return r < 0 ? r : reply_session(x, csrf, x->caller.expires_ms, err);
}

int do_close_session(struct exchange *x, struct err *err)
{
    const char *session = session_cookie(x);
    int r = session ? access_session_close(x->rest->o.access, session, err) : 0;
    if (r < 0)
        return r;
    set_cookie(x, "", 0);
    return reply_json(x, 200, json_pack("{s:s}", "message", "the session is over"), err);
}
