/* What the files of rpc/ share: the library's start and stop, the completion queue, messages as byte buffers, statuses,
 * credentials, addresses. */
#ifndef FF_RPC_INTERNAL_H
#define FF_RPC_INTERNAL_H

#include "rpc/rpc.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <pthread.h>

#define RPC_KEEPALIVE_MS 30000
#define RPC_KEEPALIVE_TIMEOUT_MS 15000
#define RPC_GZIP_MIN 1024 /* bytes; what is smaller is not compressed */
#define RPC_METADATA_MAX (64 << 10) /* bytes of headers or trailers; a status may bring a failure with its stack */
#define RPC_RESPONSE_MAX_DEFAULT ((size_t)64 << 20)

/* --- core.c: the library -------------------------------------------------------------------------------------- */

/* The library is loaded when it is first needed: linked in, it would cost each start of the program 10 ms, and the spawner
 * 1.3 MB of private memory that every sandbox's fork copies the tables of. Set by rpc_core_start(). */
struct rpc_core {
#define X(name) __typeof__(name) *name;
#include "core_functions.h"
#undef X
};
extern struct rpc_core core;

/* Loads and starts the library, once. It is never stopped: after a write that did not fit into a socket's buffer one of its
 * threads polls for ten seconds, which its shutdown would wait for. What is idle costs nothing, and all memory that calls,
 * clients and servers took is given back when they end. -ERR_MISSING: it is not installed. */
int rpc_core_start(struct err *err);

/* libgrpc is not built for ThreadSanitizer, which so does not see what it synchronises: what goes into a queue happens
 * before it comes out. Nothing elsewhere. */
void rpc_happens_before(void *tag);
void rpc_happens_after(void *tag);

/* --- queue.c: where finished operations come out -------------------------------------------------------------- */

/* Given to the library as the name of an operation; comes back once. Embedded in what it belongs to. */
struct rpc_tag {
    void (*fn)(struct rpc_tag *t, bool ok);
};

struct rpc_queue {
    grpc_completion_queue *cq;
    grpc_channel *post; /* connects to nothing; see rpc_queue_post() */
    pthread_t threads[4];
    int threads_count;
    /* Called before each wait; gives when it wants to be called again (os_mono_ns()), INT64_MAX: no time. May be NULL. */
    int64_t (*tick)(void *arg);
    void *tick_arg;
};

int rpc_queue_init(struct rpc_queue *q, struct err *err);
/* n threads run the tags; with a tick there must be one. */
int rpc_queue_run(struct rpc_queue *q, int n, struct err *err);
/* Calls t->fn(t, true) on a thread of the queue's. Never fails. Any thread. */
void rpc_queue_post(struct rpc_queue *q, struct rpc_tag *t);
/* Starts a batch; a batch that the library refuses is a bug of ours. */
void rpc_queue_batch(grpc_call *call, const grpc_op *ops, size_t n, struct rpc_tag *t);
/* All that was started must be on its way back. Waits until it ran, ends the threads. Not from one of them. */
void rpc_queue_release(struct rpc_queue *q);

gpr_timespec rpc_deadline(int64_t mono_ns); /* INT64_MAX: never */

/* --- wire.c: messages ----------------------------------------------------------------------------------------- */

/* Packs. NULL when memory is out. */
grpc_byte_buffer *rpc_wire_pack(const ProtobufCMessage *m);
/* Bytes as they are. */
grpc_byte_buffer *rpc_wire_bytes(const void *data, size_t len);
/* Scans and unpacks; a gzipped message of at most max bytes is inflated first. b NULL (no message came) is -ERR_INVALID. */
int rpc_wire_unpack(grpc_byte_buffer *b, const ProtobufCMessageDescriptor *d, size_t max, ProtobufCMessage **ret,
                    struct err *err);
/* The same on contiguous bytes. gzip: they are compressed. */
int rpc_wire_decode(const void *data, size_t len, bool gzip, const ProtobufCMessageDescriptor *d, size_t max,
                    ProtobufCMessage **ret, struct err *err);
/* A copy as a string; NULL when memory is out or it contains a 0. */
char *rpc_slice_string(grpc_slice s);

/* --- status.c: how a call ended ------------------------------------------------------------------------------- */

#define RPC_DETAILS_KEY "grpc-status-details-bin"
/* Between two ends of this program the very code and the hint travel too: several codes share a status. */
#define RPC_CODE_KEY "ff-error"
#define RPC_HINT_KEY "ff-hint-bin"

/* What a client was told. */
struct rpc_status {
    grpc_status_code code;
    bool from_peer; /* the server said so, not the library */
    bool never_left; /* no byte of the call went out: it may be sent again whatever it is */
    bool ours;      /* the server is of this program, code_name is set */
    bool permanent; /* trying again gives the same: a certificate, a message that is too large */
};

/* Reads status, text and trailers. message: what the peer said; debug: the library's own account of it. Fills err. */
void rpc_status_read(grpc_status_code code, const char *message, const char *debug, const char *target,
                     const grpc_metadata_array *trailers, struct rpc_status *ret, struct err *err);
/* The detail among types, or NULL. Damage is no detail. */
ProtobufCMessage *rpc_status_detail(const grpc_metadata_array *trailers, const struct rpc_detail_type *types, size_t n);
/* The same on the trailer's bytes. */
ProtobufCMessage *rpc_status_decode(const void *data, size_t len, const struct rpc_detail_type *types, size_t n);
/* The trailer's bytes; the caller frees. */
int rpc_status_encode(int code, const char *message, const char *detail_name, const ProtobufCMessage *detail,
                      uint8_t **ret, size_t *ret_len, struct err *err);

/* --- creds.c: TLS --------------------------------------------------------------------------------------------- */

/* Files are read and checked here, so that what is wrong with one is said by name. */
int rpc_creds_client(const struct rpc_tls *tls, grpc_channel_credentials **ret, struct err *err);

/* A server's; lives until the server was destroyed. */
struct rpc_server_creds;
/* require: a client without a certificate is refused at once (if ca_file is set). */
int rpc_creds_server(const struct rpc_tls *tls, bool require, struct rpc_server_creds **ret, grpc_server_credentials **ret_creds,
                     struct err *err);
void rpc_server_creds_free(struct rpc_server_creds *c);

/* --- address.c: where ----------------------------------------------------------------------------------------- */

#define RPC_UNIX_PREFIX "unix:"

/* A target in the form that the library takes. A Unix socket is named through its open folder, so that neither the length
 * of the path nor a character in it matters. */
struct rpc_address {
    char *target; /* for the library */
    char *shown;  /* as it was given */
    char *path;   /* of a Unix socket, else NULL */
    int dir_fd;   /* its folder, or -1 */
    /* A listening socket: */
    char *temp_dir; /* where it is bound before it takes its place */
    uint64_t dev, ino;
    bool placed;
};

#define RPC_ADDRESS_INIT {.dir_fd = -1}

int rpc_address_client(const char *target, struct rpc_address *ret, struct err *err);
/* "unix:/path": makes a private folder beside it to bind in, which rpc_address_place() empties. */
int rpc_address_listen(const char *address, struct rpc_address *ret, struct err *err);
/* The bound socket gets its mode and its place; what stood there is replaced. */
int rpc_address_place(struct rpc_address *a, struct err *err);
/* Takes a placed socket away, unless another has taken its place. */
void rpc_address_unplace(struct rpc_address *a);
void rpc_address_release(struct rpc_address *a);

/* --- client.c ------------------------------------------------------------------------------------------------- */

/* How long to wait before the next try, after so many; exhausted: the server has too much to do. */
int64_t rpc_backoff_ns(int tries, bool exhausted);
/* A call with a request of any bytes. response NULL: what is answered is dropped, resp is NULL on success too. */
void rpc_client_call_bytes(struct rpc_client *c, const char *method, const void *data, size_t len,
                           const ProtobufCMessageDescriptor *response, int64_t timeout_ms, unsigned flags, rpc_done *done,
                           void *arg);

/* --- call.c: a call on the server's side ---------------------------------------------------------------------- */

struct rpc_server;

struct rpc_call {
    struct rpc_server *server;
    struct rpc_tag on_new, on_message, on_close, on_part, on_sent;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    char **values; /* of the metadata, as strings, once asked for */
    const struct rpc_method *method;
    grpc_byte_buffer *message;
    ProtobufCMessage *req;
    char *peer;
    int64_t deadline_ns; /* os_mono_ns(); INT64_MAX: none */
    int cancelled;       /* written by the library */
    int refs;            /* atomic: operations that are out, and the handler */
    grpc_byte_buffer *reply;
    bool gzip; /* the answer may be compressed */
    grpc_metadata trailers[3];
    size_t trailers_count;

    pthread_mutex_t lock;
    pthread_cond_t cond;
    /* Of an answer in parts: */
    grpc_byte_buffer *part, *next_part; /* that is on its way, that waits for it */
    bool begun;                         /* the initial metadata went out */
    bool ending;                        /* the status waits for the part that is on its way */
    int end_status;
    char *end_message;

    bool answered, closed, running; /* running: on_cancel's function is */
    pthread_t runner;
    void (*cancel_fn)(void *arg);
    void *cancel_arg;
};

/* server.c, for call.c */
extern const struct rpc_server_options *rpc_server_options(const struct rpc_server *s);
bool rpc_server_enter(struct rpc_server *s);  /* a call came in; false: there are too many */
void rpc_server_leave(struct rpc_server *s);
const struct rpc_method *rpc_server_method(const struct rpc_server *s, grpc_slice path);
/* Asks for the next call. */
void rpc_server_expect(struct rpc_server *s);

/* call.c, for server.c */
struct rpc_call *rpc_call_new(struct rpc_server *s); /* NULL when memory is out */
void rpc_call_unref(struct rpc_call *call);

#endif
