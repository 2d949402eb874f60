/* gRPC for protobuf-c messages, both ends, on libgrpc's C core.
 *
 * Knows nothing of Temporal: a call is a method path ("/package.Service/Method"), a request and a
 * response message. Calls are unary; a server's may answer in parts. They are asynchronous; answers come on threads of this
 * folder's. libgrpc is loaded and started with the first client or server (it costs about 10 ms and
 * 1.6 MB of private memory), never before the spawner was forked.
 *
 * Bytes from the wire pass pbx_scan() (codec/pbx.h) before they are decoded, on both ends.
 *
 * Errors are struct err; the gRPC status follows from the code's row in base/tbl/err_codes.h, and back.
 * A status may carry one detail message (google.rpc.Status in "grpc-status-details-bin"): its type
 * is found by name among those that the user of a client names. */
#ifndef FF_RPC_RPC_H
#define FF_RPC_RPC_H

#include "base/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RPC_MESSAGE_MAX ((size_t)4 << 20) /* gRPC's own default, which Temporal keeps; responses may be larger: see below */

/* PEM files; read when the client or server is made, and again when they change: a server does so at each handshake, a client
 * before a call, and then connects anew. Files that do not fit each other leave the old ones in use. */
struct rpc_tls {
    bool on;
    const char *ca_file;     /* NULL: the system's. A server: whose client certificates it asks for; NULL: none */
    const char *cert_file, *key_file; /* a server's own; a client's for mTLS, or NULL */
    const char *server_name; /* a client: what the certificate must say, if not the address */
};

struct rpc_metadata {
    const char *key, *value; /* key in lower case; a value of a "-bin" key is raw bytes and not supported here */
};

/* A detail type that a status may carry: its full name ("temporal.api.errordetails.v1.NotFoundFailure"). */
struct rpc_detail_type {
    const char *name;
    const ProtobufCMessageDescriptor *descriptor;
};

/* The files of one end, and how they stood when that was last asked: certificates are renewed while we run. */
struct rpc_tls_files;
int rpc_tls_files_new(const struct rpc_tls *tls, struct rpc_tls_files **ret, struct err *err);
void rpc_tls_files_free(struct rpc_tls_files *f); /* NULL is fine */
const struct rpc_tls *rpc_tls_files_names(const struct rpc_tls_files *f);
bool rpc_tls_files_changed(struct rpc_tls_files *f); /* since it was last asked; the first time: yes */
/* Their PEM text, for servers of another kind: a certificate with its key, which belong to each other, and certificates of an
 * authority. -ERR_MISSING, naming the file. The caller frees. */
int rpc_tls_read_pair(const struct rpc_tls *tls, char **ret_cert, char **ret_key, struct err *err);
int rpc_tls_read_ca(const char *path, char **ret, struct err *err);

/* --- client --------------------------------------------------------------------------------------------- */

struct rpc_client_options {
    const char *target; /* "host:port" or "unix:/path" (a path over 100 bytes is handled) */
    struct rpc_tls tls;
    const struct rpc_metadata *metadata; /* sent with each call ("authorization", "client-name"); copied */
    size_t metadata_count;
    const struct rpc_detail_type *details; /* borrowed, must live as long as the client */
    size_t details_count;
    size_t response_max;   /* bytes; 0: 64 MiB */
    int64_t keepalive_ms;  /* 0: 30 s */
    int64_t keepalive_timeout_ms; /* a server that does not answer one in that time counts as gone; 0: 15 s */
    bool gzip;             /* compress request bodies over 1 KiB */
};

struct rpc_client;

/* Is that target on this machine (a Unix socket, a loopback address)? */
bool rpc_target_local(const char *target);

/* On failure resp is NULL, err says why, detail is the detail message or NULL. Both messages are the
 * callee's (free with protobuf_c_message_free_unpacked). Called exactly once, on a thread of the client's;
 * it must be quick; it may start calls. */
typedef void rpc_done(void *arg, ProtobufCMessage *resp, const struct err *err, ProtobufCMessage *detail);

enum rpc_call_flags {
    RPC_REPEATABLE = 1, /* sent again, with backoff and jitter, while the server is unreachable or says UNAVAILABLE or
                         * RESOURCE_EXHAUSTED, until the deadline. Without it a call is repeated only if it surely never left. */
    RPC_LONG_POLL = 2,  /* cancelled by rpc_client_drain() and then answered with ERR_CANCELLED */
};

/* Does not connect: the first call does. */
int rpc_client_new(const struct rpc_client_options *o, struct rpc_client **ret, struct err *err);
/* req is packed before this returns. timeout_ms > 0. */
void rpc_client_call(struct rpc_client *c, const char *method, const ProtobufCMessage *req,
                     const ProtobufCMessageDescriptor *response, int64_t timeout_ms, unsigned flags,
                     rpc_done *done, void *arg);
/* The answer of the call with that done and arg is of no interest any more: it comes soon, with ERR_CANCELLED, if it is not
 * under way already. */
void rpc_client_cancel(struct rpc_client *c, rpc_done *done, void *arg);
/* Waits until the server takes connections: -ERR_UNAVAILABLE, -ERR_UNAUTHENTICATED..., naming target and cause. */
int rpc_client_connect(struct rpc_client *c, int64_t timeout_ms, struct err *err);
/* Ends long polls, refuses new ones. Idempotent. */
void rpc_client_drain(struct rpc_client *c);
/* Drains, cancels what is still out, waits until all of it was answered. NULL is fine. */
void rpc_client_free(struct rpc_client *c);

/* --- server --------------------------------------------------------------------------------------------- */

struct rpc_call; /* a call from outside, from its arrival until its answer */

struct rpc_method {
    const char *path; /* "/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution" */
    const ProtobufCMessageDescriptor *request;
    void *user; /* for the handler */
};

struct rpc_server_options {
    const struct rpc_method *methods; /* borrowed */
    size_t methods_count;
    /* A call whose request was decoded; on a thread of the server's; must be quick. It ends in rpc_call_reply() or
     * rpc_call_fail(), at once or later, from any thread. req lives until then. */
    void (*handle)(void *arg, struct rpc_call *call, const struct rpc_method *method, const ProtobufCMessage *req);
    /* Before a call is decoded: 0 lets it in, else its error is the answer. NULL: all are let in. */
    int (*authorize)(void *arg, struct rpc_call *call, struct err *err);
    void *arg;
    size_t request_max;  /* bytes; 0: RPC_MESSAGE_MAX */
    bool gzip;           /* answers over 1 KiB go compressed to whoever sends requests so */
    size_t calls_max;    /* calls at a time; more are answered RESOURCE_EXHAUSTED; 0: 10,000 */
};

struct rpc_server;

int rpc_server_new(const struct rpc_server_options *o, struct rpc_server **ret, struct err *err);
/* "127.0.0.1:7233" (port 0 picks one; *ret_port says which), or "unix:/path": the socket is made 0600, a stale one is
 * replaced. Several may be added, before rpc_server_start(). tls NULL or off: plain. */
int rpc_server_listen(struct rpc_server *s, const char *address, const struct rpc_tls *tls, int *ret_port, struct err *err);
int rpc_server_start(struct rpc_server *s, struct err *err);
/* Serves a connection that was accepted elsewhere, of a Unix socket; takes fd. After the start. */
int rpc_server_adopt(struct rpc_server *s, int fd, struct err *err);
/* Takes no new calls; those that are in may be answered for grace_ms, then they are cancelled. Waits. */
void rpc_server_stop(struct rpc_server *s, int64_t grace_ms);
void rpc_server_free(struct rpc_server *s); /* stops first; NULL is fine */

/* What the caller sent. Valid until the answer. */
const char *rpc_call_metadata(const struct rpc_call *call, const char *key); /* NULL: none */
const struct rpc_method *rpc_call_method(const struct rpc_call *call); /* NULL: one that is not offered */
const char *rpc_call_peer(const struct rpc_call *call); /* "ipv4:127.0.0.1:5000", "unix:" */
bool rpc_call_local(const struct rpc_call *call);       /* came over a Unix socket */
bool rpc_call_client_cert(const struct rpc_call *call); /* presented a verified certificate */
int64_t rpc_call_left_ms(const struct rpc_call *call);  /* until its deadline; INT64_MAX: it has none */
/* The caller went away or its deadline passed: called once, from any thread, at most until the answer. */
void rpc_call_on_cancel(struct rpc_call *call, void (*fn)(void *arg), void *arg);

/* One message of an answer in parts, before its end. What has not left yet is replaced: a caller that reads slowly sees the
 * latest. resp is borrowed. -ERR_NO_MEMORY: it was not sent. */
int rpc_call_send(struct rpc_call *call, const ProtobufCMessage *resp);
/* resp is borrowed. */
void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *resp);
/* detail (may be NULL) is borrowed; detail_name is its full type name. */
void rpc_call_fail(struct rpc_call *call, const struct err *err, const char *detail_name, const ProtobufCMessage *detail);

#endif
