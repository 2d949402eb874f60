/* Before anything is asked of the cluster: is it there, does it let us in, does it have the namespace? Each fault is one
 * line that says what and where, and a hint that says which setting it is about. */
#include "temporal_internal.h"

#include <string.h>

#define CONNECT_MS 3000

/* What the transport says names the address already; what the server says does not. */
static bool names_address(const struct engine_temporal_options *o, const struct err *why)
{
    return strncmp(why->msg, o->address, strlen(o->address)) == 0;
}

static int no_entry(const struct engine_temporal_options *o, const struct err *why, struct err *err)
{
    err_set(err, (enum err_code)why->code, "Temporal at %s does not let this client in: %s", o->address, why->msg);
    if (why->hint[0])
        return err_hint(err, "%s", why->hint);
    if (o->api_key)
        return err_hint(err, "is the API key (temporal.api_key) still valid, and meant for this namespace?");
    return err_hint(err, "it may want an API key (temporal.api_key) or a certificate (temporal.tls_cert, temporal.tls_key)");
}

/* Whatever it is, the environment is at fault, and the exit status says so. */
static int refused(const struct engine_temporal_options *o, struct err *err)
{
    struct err why = *err;
    enum err_code code = err_exit_status(why.code) == 5 ? (enum err_code)why.code : ERR_UNAVAILABLE;
    if (names_address(o, &why)) {
        err_set(err, code, "Temporal at %s", why.msg);
        if (err)
            err->sys = why.sys;
        if (why.hint[0]) /* of the connection: its certificate, or none */
            return err_hint(err, "%s; the settings are temporal.tls and temporal.tls_...", why.hint);
        return err_hint(err, "temporal.address says where the server is; 'temporal server start-dev' starts one");
    }
    if (why.code == ERR_UNAUTHENTICATED || why.code == ERR_PERMISSION)
        return no_entry(o, &why, err);
    err_set(err, code, "Temporal at %s: %s", o->address, why.msg);
    return err_hint(err, "%s", why.hint);
}

static int check_namespace(struct temporal *t, const struct engine_temporal_options *o, struct err *err)
{
    Pb__DescribeNamespaceRequest req = PB__DESCRIBE_NAMESPACE_REQUEST__INIT;
    req.namespace_ = t->name_space;
    int r = engine_call_sync(&t->base, ENGINE_DESCRIBE_NAMESPACE, &req.base, 0, NULL, err);
    if (r == 0)
        return 0;
    if (r == -ERR_UNIMPLEMENTED) {
        struct err why = *err;
        return err_set(err, ERR_UNAVAILABLE, "%s does not serve Temporal's API: %s", o->address, why.msg);
    }
    if (r != -ERR_NOT_FOUND)
        return refused(o, err);
    err_set(err, ERR_MISSING, "Temporal at %s has no namespace '%s'", o->address, t->name_space);
    return err_hint(err, "temporal.namespace names it; 'temporal operator namespace create --namespace %s' makes it",
                    t->name_space);
}

int temporal_check(struct temporal *t, const struct engine_temporal_options *o, struct err *err)
{
    Pb__GetSystemInfoRequest req = PB__GET_SYSTEM_INFO_REQUEST__INIT;
    int r = rpc_client_connect(t->client, o->connect_ms > 0 ? o->connect_ms : CONNECT_MS, err);
    if (r < 0)
        return refused(o, err);
    r = engine_call_sync(&t->base, ENGINE_GET_SYSTEM_INFO, &req.base, 0, NULL, err);
    if (r == -ERR_UNIMPLEMENTED) { /* older than the call, or something else that speaks HTTP/2: the namespace will tell */
        err_clear(err);
        r = 0;
    }
    return r < 0 ? refused(o, err) : check_namespace(t, o, err);
}
