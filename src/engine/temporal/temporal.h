/* A Temporal cluster as an engine: each call is a call of its WorkflowService over gRPC.
 *
 * Nothing is kept here. What may be repeated is repeated while the cluster cannot be reached, until the call's time is over;
 * starts, signals and the like get a request id first, so that the cluster takes a repeated one for the same. */
#ifndef FF_ENGINE_TEMPORAL_H
#define FF_ENGINE_TEMPORAL_H

#include "engine/engine.h"

struct engine_temporal_options {
    const char *address;    /* "host:port", or "unix:/path" */
    const char *name_space; /* requests for "default" (which the callers of a single machine say) go there; NULL: "default" */
    const char *version;    /* of the program, for the cluster's log */
    const char *identity;   /* for requests that have none: shown in Temporal's tools; may be NULL */
    bool tls;
    const char *tls_ca, *tls_cert, *tls_key, *tls_server_name; /* files and a name; NULL: see rpc.h */
    const char *api_key;    /* sent as "authorization: Bearer", or NULL */
    int64_t connect_ms;     /* how long the first connection may take; 0: 3 s */
};

/* Connects, and asks for the namespace: what is wrong is one error that says what and where. An API key is not sent in the clear
 * to another machine: -ERR_INVALID. */
int engine_temporal_open(const struct engine_temporal_options *o, struct engine **ret, struct err *err);

#endif
