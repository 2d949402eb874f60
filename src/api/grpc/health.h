/* grpc.health.v1.Health: whether the server and its services take calls, asked once (Check) or watched (Watch). */
#ifndef FF_API_GRPC_HEALTH_H
#define FF_API_GRPC_HEALTH_H

#include "rpc/rpc.h"

#include <pthread.h>

#define HEALTH_CHECK "/grpc.health.v1.Health/Check"
#define HEALTH_WATCH "/grpc.health.v1.Health/Watch"

struct health_watch;

struct health {
    pthread_mutex_t lock;
    struct health_watch *watches;
    size_t watches_count;
    bool draining, ended;
};

void health_init(struct health *h);
/* After health_end(), when no call is left. */
void health_release(struct health *h);
/* A call of Check with its Pb__HealthCheckRequest, answered at once. */
void health_check(struct health *h, struct rpc_call *call, const ProtobufCMessage *req);
/* One of Watch: the status now, and again when it changes, until the caller goes or health_end(). */
void health_watch(struct health *h, struct rpc_call *call, const ProtobufCMessage *req);
/* From now on nothing is served. Idempotent. */
void health_drain(struct health *h);
/* Drains, and ends what watches; later ones end at once. */
void health_end(struct health *h);

#endif
