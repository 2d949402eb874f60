/* Who may ask a route, and the audit log of what is changed. */
#include "api/rest/rest_internal.h"

#include "api/access/audit.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define PASS_ASK_NS (5 * NS_PER_S)

/* What goes into an entry, for a thread that may block. */
struct entry {
    struct access_caller who;
    char peer[64], subject[ENGINE_ID_MAX + 1], name_space[ACCESS_NAME_MAX + 1];
    const char *action, *state_dir;
};

static bool fill(const struct exchange *x, struct entry *e)
{
    const char *subject = arg_text(x, "run_id") ? arg_text(x, "run_id") : arg_text(x, "token_name");
    e->action = json_str(x->route->extra, "audit", NULL);
    e->state_dir = x->svc.state_dir;
    if (!e->action)
        return false;
    const struct rest_caller *c = &x->caller;
    snprintf(e->who.id, sizeof e->who.id, "%.*s", ACCESS_ID_LEN, c->id);
    snprintf(e->who.name, sizeof e->who.name, "%.*s", ACCESS_NAME_MAX, c->name);
    snprintf(e->who.name_space, sizeof e->who.name_space, "%.*s", ACCESS_NAME_MAX, *c->name_space ? c->name_space : ACCESS_ALL);
    snprintf(e->name_space, sizeof e->name_space, "%.*s", ACCESS_NAME_MAX, service_namespace(&x->svc));
    e->who.role = c->role == REST_ADMIN ? ACCESS_ADMIN : c->role == REST_OPERATOR ? ACCESS_OPERATOR : ACCESS_VIEWER;
    snprintf(e->subject, sizeof e->subject, "%s", subject ? subject : arg_text(x, "workflow") ? arg_text(x, "workflow")
                                                           : arg_text(x, "module_name") ? arg_text(x, "module_name") : "");
    exchange_peer(x, e->peer, sizeof e->peer);
    return true;
}

static int write_entry(const struct entry *e, bool denied, struct err *err)
{
    struct audit_entry a = {.who = &e->who, .via = "rest", .peer = e->peer, .action = e->action, .name_space = e->name_space,
                            .subject = *e->subject ? e->subject : NULL, .denied = denied};
    return audit_write(e->state_dir, &a, err);
}

static int no_namespace(struct exchange *x, const char *name, struct err *err)
{
    x->error_type = "NamespaceNotFound";
    return err_set(err, ERR_NOT_FOUND, "there is no namespace '%.80s'", name);
}

static void write_denied(void *arg)
{
    struct err err = {0};
    if (write_entry(arg, true, &err) < 0)
        log_error("%s", err.msg);
    free(arg);
}

int exchange_audit(const struct exchange *x, struct err *err)
{
    struct entry e = {0};
    return fill(x, &e) ? write_entry(&e, false, err) : 0;
}

/* Whether what a caller of all of them names is there, is asked when there is time for that. */
static int choose_namespace(struct exchange *x, struct err *err)
{
    const char *named = request_header(x, "X-FF-Namespace");
    struct err none = {0};
    if (x->caller.name_space[0])
        x->svc.name_space = x->caller.name_space;
    if (!named || strcmp(named, service_namespace(&x->svc)) == 0)
        return 0;
    if (x->caller.name_space[0])
        return err_set(err, ERR_PERMISSION, "the token is for another namespace than X-FF-Namespace names");
    if (access_check_namespace(named, false, &none) < 0)
        return no_namespace(x, named, err);
    snprintf(x->name_space, sizeof x->name_space, "%s", named);
    x->svc.name_space = x->name_space;
    return 0;
}

int exchange_namespace(struct exchange *x, struct err *err)
{
    struct err why = {0};
    Pb__DescribeNamespaceRequest q = PB__DESCRIBE_NAMESPACE_REQUEST__INIT;
    q.namespace_ = x->name_space;
    int r = x->name_space[0] ? engine_call_sync(x->svc.engine, ENGINE_DESCRIBE_NAMESPACE, &q.base, 0, NULL, &why) : 0;
    return r == -ERR_NOT_FOUND ? no_namespace(x, x->name_space, err) : r < 0 ? err_copy(err, &why) : 0;
}

int exchange_rights(struct exchange *x, struct err *err)
{
    x->svc = *x->rest->o.service;
    if (x->route->role == REST_NONE)
        return 0;
    bool reads = strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0;
    struct rest_credentials c = {.authorization = request_header(x, "Authorization"),
                                 .session = session_cookie(x),
                                 .csrf = request_header(x, "X-CSRF-Token"),
                                 .changes = !reads,
                                 .certificate = exchange_certified(x)};
    int r = x->rest->o.authenticate(x->rest->o.arg, &c, &x->caller, err);
    if (r == -ERR_PERMISSION)
        x->error_type = "CsrfToken";
    if (r < 0)
        return r;
    r = choose_namespace(x, err);
    if (r == 0 && x->caller.role < x->route->role)
        r = err_set(err, ERR_PERMISSION, "that needs more rights than the token has");
    else if (r == 0 && x->caller.name_space[0] && json_flag(x->route->extra, "all", false))
        r = err_set(err, ERR_PERMISSION, "that is for tokens of all namespaces");
    else if (r == 0 && json_flag(x->route->extra, "switched", false))
        r = restore_permitted(x, err);
    struct entry *e = r < 0 ? mem_zalloc(sizeof *e) : NULL;
    if (e && !(fill(x, e) && jobs_add(x->rest->jobs, x->caller.name_space, write_denied, e)))
        free(e);
    return r;
}

/* --- who listens for long -------------------------------------------------------------------------------------------- */

static char *copy(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

int pass_take(const struct exchange *x, struct pass *ret, struct err *err)
{
    const char *authorization = request_header(x, "Authorization"), *session = session_cookie(x);
    *ret = (struct pass){.authorization = copy(authorization), .session = copy(session), .certificate = exchange_certified(x),
                         .asked_ns = os_mono_ns()};
    if ((ret->authorization || !authorization) && (ret->session || !session))
        return 0;
    pass_release(ret);
    return err_nomem(err);
}

bool pass_holds(struct rest *r, struct pass *p)
{
    struct rest_caller who = {0};
    int64_t now = os_mono_ns();
    if (now - p->asked_ns < PASS_ASK_NS)
        return true;
    p->asked_ns = now;
    struct rest_credentials c = {.authorization = p->authorization, .session = p->session, .certificate = p->certificate};
    return r->o.authenticate(r->o.arg, &c, &who, NULL) != -ERR_UNAUTHENTICATED;
}

static void forget(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

void pass_release(struct pass *p)
{
    forget(p->authorization);
    forget(p->session);
    *p = (struct pass){0};
}
