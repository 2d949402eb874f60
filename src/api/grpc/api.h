/* The engine over gRPC: Temporal's WorkflowService, and the standard health service.
 *
 * Joins a struct engine to a struct rpc_server: each call of engine/methods.h under its path; other methods are answered
 * UNIMPLEMENTED with their name. The caller's deadline bounds how long the engine may wait, and a caller that goes away
 * takes its call out of the engine. Who may call is auth.h's. */
#ifndef FF_API_GRPC_API_H
#define FF_API_GRPC_API_H

#include "engine/engine.h"
#include "rpc/rpc.h"

struct grpc_api;

struct grpc_api_options {
    struct engine *engine; /* borrowed: for calls of other processes */
    const char *state_dir; /* where the token is */
    bool insecure_loopback;
    bool gzip; /* answers to callers who compress their requests; see grpc_api_far() */
    /* May a caller from elsewhere start one more run in that namespace? -ERR_QUOTA. NULL: it may. */
    int (*admit)(void *arg, const char *name_space, struct err *err);
    void *admit_arg;
    /* A caller made a namespace. Must be quick; any thread. NULL: nobody wants to know. */
    void (*new_namespace)(void *arg);
    void *new_namespace_arg;
};

/* Whether it is safe to serve at that address: -ERR_USAGE with a hint. Nothing is started. tls may be NULL. */
int grpc_api_check(const char *address, const struct rpc_tls *tls, bool insecure_loopback, struct err *err);
/* Is it reached from other machines, where bytes cost more than compressing them? */
bool grpc_api_far(const char *address);
int grpc_api_new(const struct grpc_api_options *o, struct grpc_api **ret, struct err *err);
/* "127.0.0.1:7233"; port 0 picks one. Checks the address as above. Before grpc_api_start(). */
int grpc_api_listen(struct grpc_api *api, const char *address, const struct rpc_tls *tls, int *ret_port, struct err *err);
int grpc_api_start(struct grpc_api *api, struct err *err);
/* Serves a connection of a Unix socket, whose other end was looked at; takes fd. */
void grpc_api_adopt(struct grpc_api *api, int fd);
/* Says NOT_SERVING to those who ask for its health; calls are taken all the same. NULL is fine. */
void grpc_api_drain(struct grpc_api *api);
/* Lets calls that are in be answered for grace_ms (those that wait, only if the engine was drained), then ends. NULL is
 * fine. */
void grpc_api_free(struct grpc_api *api, int64_t grace_ms);

#endif
