/* What the files of the Temporal engine share. */
#ifndef FF_ENGINE_TEMPORAL_INTERNAL_H
#define FF_ENGINE_TEMPORAL_INTERNAL_H

#include "engine/temporal/temporal.h"
#include "rpc/rpc.h"

#include <pthread.h>
#include <stdatomic.h>

#define TEMPORAL_DETAILS_MAX 32

struct ticket;

struct temporal {
    struct engine base;
    struct rpc_client *client;
    char *name_space, *identity;
    struct rpc_detail_type details[TEMPORAL_DETAILS_MAX];
    pthread_mutex_t lock;
    struct ticket *tickets; /* the calls that are under way */
    atomic_bool drained;
};

/* request.c: the request as it goes out: with the namespace of the options, and with a request id and an identity where it has
 * none. *ret is the request itself or a shallow copy, which the caller frees with free(*ret_copy); id: 37 bytes that live as
 * long as *ret is used. */
int temporal_request(const struct temporal *t, const ProtobufCMessage *req, char id[37], const ProtobufCMessage **ret,
                     void **ret_copy, struct err *err);

/* check.c: is it there, does it let us in, does it have the namespace? */
int temporal_check(struct temporal *t, const struct engine_temporal_options *o, struct err *err);

#endif
