/* Calls between processes of this program on one machine: what rpc.h does, without HTTP/2.
 *
 * Both ends of a connected Unix socket exchange frames; each is a header in the machine's own byte order and a message
 * as protobuf. A call costs about a tenth of what it costs over gRPC, and no library is loaded. Frames that are written
 * while the thread of an end is awake go out together.
 *
 * What the other end says is bounded and scanned before it is decoded; one that does not keep to the rules is left. */
#ifndef FF_RPC_LINK_H
#define FF_RPC_LINK_H

#include "rpc/rpc.h"

/* --- the end that calls ------------------------------------------------------------------------------------ */

struct link_client;

struct link_client_options {
    int fd; /* connected; taken, also on failure */
    const struct rpc_detail_type *details; /* borrowed, must live as long as the client */
    size_t details_count;
    size_t response_max; /* bytes; 0: 64 MiB */
};

/* As rpc_done; never_left: after a failure, the other end surely has not begun with it. */
typedef void link_done(void *arg, ProtobufCMessage *resp, const struct err *err, ProtobufCMessage *detail,
                       bool never_left);

int link_client_new(const struct link_client_options *o, struct link_client **ret, struct err *err);
/* req is packed before this returns; done never runs within it. wait_ms: what the other end is told; timeout_ms > 0: when
 * it is given up here. False: the connection is gone, or memory is out, and done is not called. Any thread. */
bool link_client_call(struct link_client *c, const char *method, const ProtobufCMessage *req,
                      const ProtobufCMessageDescriptor *response, int64_t wait_ms, int64_t timeout_ms, link_done *done,
                      void *arg);
/* The same, but it goes out with the next call or flush, or when the connection's thread is awake anyway. */
bool link_client_queue(struct link_client *c, const char *method, const ProtobufCMessage *req,
                       const ProtobufCMessageDescriptor *response, int64_t wait_ms, int64_t timeout_ms, link_done *done,
                       void *arg);
void link_client_flush(struct link_client *c); /* any thread */
/* The answer of that call is of no interest any more: it comes soon, with ERR_CANCELLED, if it is not under way already. */
void link_client_cancel(struct link_client *c, link_done *done, void *arg);
/* Answers what is out with ERR_CANCELLED. Not from a done. NULL is fine. */
void link_client_free(struct link_client *c);

/* --- the end that is called -------------------------------------------------------------------------------- */

struct link_server;
struct link_call; /* from its arrival until its answer */

struct link_server_options {
    const struct rpc_method *methods; /* borrowed */
    size_t methods_count;
    /* On the server's thread; must be quick. It ends in link_call_reply() or link_call_fail(), at once or later, from any
     * thread. req lives until then. wait_ms: as the caller said. */
    void (*handle)(void *arg, struct link_call *call, const struct rpc_method *method, const ProtobufCMessage *req,
                   int64_t wait_ms);
    /* The caller does not want that answer any more. On the server's thread; it may have been answered, but it is not gone
     * before this returns. */
    void (*cancel)(void *arg, struct link_call *call);
    void *arg;
    size_t request_max; /* bytes; 0: RPC_MESSAGE_MAX */
    size_t calls_max;   /* at a time; more are answered ERR_LIMIT; 0: 10,000 */
};

int link_server_new(const struct link_server_options *o, struct link_server **ret, struct err *err);
/* Serves that connection; takes fd. Any thread. */
void link_server_adopt(struct link_server *s, int fd);
/* Takes no new calls; those that are in may be answered for grace_ms, then they are cancelled. Waits. Callers learn which of
 * their calls were not begun. NULL is fine. */
void link_server_free(struct link_server *s, int64_t grace_ms);

/* Takes resp: the server's thread packs and frees it. */
void link_call_reply(struct link_call *call, ProtobufCMessage *resp);
/* detail (may be NULL) is borrowed; detail_name is its full type name. */
void link_call_fail(struct link_call *call, const struct err *err, const char *detail_name, const ProtobufCMessage *detail);

#endif
