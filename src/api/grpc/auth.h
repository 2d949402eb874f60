/* Who may call: the owner over a Unix socket, whoever has a token (access.h) or a client certificate over TCP. */
#ifndef FF_API_GRPC_AUTH_H
#define FF_API_GRPC_AUTH_H

#include "api/access/access.h"
#include "rpc/rpc.h"

#include <stdbool.h>

struct auth {
    bool insecure_loopback; /* callers on the loopback interface need nothing */
    struct access *access;  /* NULL: auth_init() was not there, and only Unix sockets are let in */
};

/* Opens the tokens of a state, and makes the owner's if there is none. */
int auth_init(struct auth *a, const char *dir, bool insecure_loopback, struct err *err);
void auth_release(struct auth *a);
/* Who calls. -ERR_UNAUTHENTICATED, saying what is wanted. */
int auth_check(const struct auth *a, const struct rpc_call *call, struct access_caller *ret, struct err *err);

/* Whether host in "host:port", "[::1]:port" is the loopback interface. -ERR_USAGE: that is no address. */
int auth_address(const char *address, bool *ret_loopback, struct err *err);

#endif
