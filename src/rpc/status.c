/* How a call ended: gRPC's status, text and trailers to struct err and back. */
#include "rpc_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/pbx.h"
#include "codec/utf8.h"

#include <stdio.h>
#include <string.h>

#define TYPE_URL "type.googleapis.com/"

/* The library's ways to say that a connection could not be had. In each of them nothing of the call was sent. */
static const char *const no_connection[] = {
    "failed to connect to all addresses",
    "DNS resolution failed",
    "Failed to connect to remote host",
    "empty address list",
};

/* Its words for a connection that broke, or never was one of gRPC's, under a call. */
static const char *const broken[] = {
    "Socket closed",
    "recvmsg:",
    "sendmsg:",
    "frame of size",
    "Received http2 header with status",
    "Received RST_STREAM",
    "Failed parsing HTTP/2",
    "Stream removed",
    "Endpoint read failed",
    "Transport closed",
    "Connection reset by peer",
    "keepalive watchdog timeout",
    "GOAWAY received",
};

static const grpc_metadata *find(const grpc_metadata_array *a, const char *key)
{
    for (size_t i = 0; a && i < a->count; i++)
        if (core.grpc_slice_str_cmp(a->metadata[i].key, key) == 0)
            return &a->metadata[i];
    return NULL;
}

static bool has(const char *text, const char *part)
{
    return text && strstr(text, part);
}

static enum err_code code_of(grpc_status_code status)
{
    switch (status) {
    case GRPC_STATUS_UNAVAILABLE: /* several codes of ours share these two; this is what another's server means */
        return ERR_UNAVAILABLE;
    case GRPC_STATUS_INTERNAL:
    case GRPC_STATUS_UNKNOWN:
        return ERR_FAILED;
    case GRPC_STATUS_ABORTED:
        return ERR_STATE;
    case GRPC_STATUS_OUT_OF_RANGE:
        return ERR_INVALID;
    default:
        return err_from_grpc((int)status);
    }
}

/* A server of this program names its very code. */
static bool own_code(const grpc_metadata_array *trailers, grpc_status_code status, enum err_code *ret)
{
    const grpc_metadata *m = find(trailers, RPC_CODE_KEY);
    for (int c = 1; m && c < ERR_COUNT_; c++) {
        if (core.grpc_slice_str_cmp(m->value, err_name(c)) == 0 && err_grpc_status(c) == (int)status) {
            *ret = (enum err_code)c;
            return true;
        }
    }
    return false;
}

static void own_hint(const grpc_metadata_array *trailers, struct err *err)
{
    const grpc_metadata *m = find(trailers, RPC_HINT_KEY);
    _cleanup_free_ char *hint = m ? rpc_slice_string(m->value) : NULL;
    if (hint && utf8_valid(hint, strlen(hint)))
        err_hint(err, "%s", hint);
}

/* What the library says of a connection that could not be had, and what that means. */
static const struct cause {
    const char *part;
    enum err_code code;
    bool permanent;
    const char *text, *hint;
} causes[] = {
    {"certificate verify failed", ERR_UNAUTHENTICATED, true, "its certificate is not trusted here, or has expired",
     "name a file with the certificates of its authority, or have it renewed"},
    {"CERTIFICATE_VERIFY_FAILED", ERR_UNAUTHENTICATED, true, "its certificate is not trusted here, or has expired",
     "name a file with the certificates of its authority, or have it renewed"},
    {"is not in peer certificate", ERR_UNAUTHENTICATED, true, "its certificate is for another name",
     "give the name that the certificate has as the server's name"},
    {"wrong version number", ERR_UNAVAILABLE, true, "it does not speak TLS", "switch TLS off for this address"},
    {"SSL_ERROR_SSL", ERR_UNAVAILABLE, true, "it refused the TLS connection", NULL},
    {"Socket closed", ERR_UNAVAILABLE, false, "it closed the connection", "it may want TLS, or a client's certificate"},
    {"Connection reset by peer", ERR_UNAVAILABLE, false, "it closed the connection",
     "it may want TLS, or a client's certificate"},
    {"DNS resolution failed", ERR_UNAVAILABLE, false, "its name is not known", NULL},
    {"Failed parsing HTTP/2", ERR_UNAVAILABLE, false, "it does not speak gRPC", NULL},
    {"Trying to connect an http1.x server", ERR_UNAVAILABLE, true, "it speaks HTTP/1, not gRPC", NULL},
};

static bool is_broken(const char *message)
{
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        if (strncmp(message, broken[i], strlen(broken[i])) == 0)
            return true;
    return false;
}

/* The end of the library's chain: "failed to connect to all addresses; last error: UNKNOWN: ipv4:1.2.3.4:5: Connection refused"
 * has its cause behind the address. */
static const char *last_cause(const char *message)
{
    static const char mark[] = "last error: ";
    const char *p = strstr(message, mark), *q;
    if (!p)
        return message;
    p += strlen(mark);
    q = strstr(p, ": ");                /* the status */
    q = q ? strstr(q + 2, ": ") : NULL; /* the address */
    p = q ? q + 2 : p;
    q = strstr(p, "remote host: ");
    return q ? q + strlen("remote host: ") : p;
}

static void local_cause(const char *message, const char *debug, struct rpc_status *st, const char *target, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
        const struct cause *c = &causes[i];
        if (st->code != GRPC_STATUS_UNAVAILABLE || (!has(message, c->part) && !has(debug, c->part)))
            continue;
        if (!c->permanent && !st->never_left)
            continue;
        st->permanent = c->permanent;
        err_set(err, c->code, "%s: %s", target, c->text);
        if (c->hint)
            err_hint(err, "%s", c->hint);
        return;
    }
    if (is_broken(message)) {
        st->permanent = strncmp(message, "Received http2 header", 21) == 0; /* a server of HTTP, but not of gRPC */
        err_set(err, ERR_UNAVAILABLE, "%s: %s: %s", target, st->permanent ? "it does not speak gRPC" : "the connection broke",
                message);
        return;
    }
    err_set(err, code_of(st->code), "%s: %s%s", target, st->never_left ? "cannot be reached: " : "", last_cause(message));
}

void rpc_status_read(grpc_status_code code, const char *message, const char *debug, const char *target,
                     const grpc_metadata_array *trailers, struct rpc_status *ret, struct err *err)
{
    enum err_code own = ERR_OK;
    *ret = (struct rpc_status){.code = code};
    if (code == GRPC_STATUS_OK)
        return;
    ret->from_peer = has(debug, "Error received from peer") && !is_broken(message); /* "from peer" is from the transport, too */
    for (size_t i = 0; !ret->from_peer && i < ARRAY_LEN(no_connection); i++)
        ret->never_left |= code == GRPC_STATUS_UNAVAILABLE && (has(message, no_connection[i]) || has(debug, no_connection[i]));
    ret->permanent = has(message, "message larger than max");
    if (!ret->from_peer) {
        local_cause(message, debug, ret, target, err);
        return;
    }
    ret->ours = own_code(trailers, code, &own);
    err_set(err, ret->ours ? own : code_of(code), "%s", *message ? message : err_text((int)code_of(code)));
    if (ret->ours)
        own_hint(trailers, err);
}

/* --- details ------------------------------------------------------------------------------------------------ */

static const ProtobufCMessageDescriptor *find_type(const char *url, const struct rpc_detail_type *types, size_t n)
{
    const char *slash = strrchr(url, '/');
    const char *name = slash ? slash + 1 : url;
    for (size_t i = 0; i < n; i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].descriptor;
    return NULL;
}

ProtobufCMessage *rpc_status_decode(const void *data, size_t len, const struct rpc_detail_type *types, size_t n)
{
    ProtobufCMessage *m = NULL, *detail = NULL;
    if (pbx_unpack(&pb__rpc_status__descriptor, data, len, &m, NULL) < 0)
        return NULL;
    const Pb__RpcStatus *s = (const Pb__RpcStatus *)m;
    for (size_t i = 0; !detail && i < s->n_details; i++) {
        const ProtobufCMessageDescriptor *d = find_type(s->details[i]->type_url, types, n);
        if (d && pbx_unpack(d, s->details[i]->value.data, s->details[i]->value.len, &detail, NULL) < 0)
            detail = NULL;
    }
    protobuf_c_message_free_unpacked(m, NULL);
    return detail;
}

ProtobufCMessage *rpc_status_detail(const grpc_metadata_array *trailers, const struct rpc_detail_type *types, size_t n)
{
    const grpc_metadata *m = n > 0 ? find(trailers, RPC_DETAILS_KEY) : NULL;
    return m ? rpc_status_decode(GRPC_SLICE_START_PTR(m->value), GRPC_SLICE_LENGTH(m->value), types, n) : NULL;
}

int rpc_status_encode(int code, const char *message, const char *detail_name, const ProtobufCMessage *detail,
                      uint8_t **ret, size_t *ret_len, struct err *err)
{
    _cleanup_free_ char *url = mem_printf(TYPE_URL "%s", detail_name);
    _cleanup_free_ uint8_t *value = NULL;
    size_t len = 0;
    int r = url ? pbx_pack(detail, &value, &len, err) : err_nomem(err);
    if (r < 0)
        return r;
    Pb__Any any = PB__ANY__INIT, *anys[] = {&any};
    any.type_url = url;
    any.value = (ProtobufCBinaryData){.len = len, .data = value};
    Pb__RpcStatus s = PB__RPC_STATUS__INIT;
    s.code = code;
    s.message = (char *)message;
    s.n_details = 1;
    s.details = anys;
    return pbx_pack(&s.base, ret, ret_len, err);
}
