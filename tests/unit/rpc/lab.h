/* A server and a client in one process: what the tests of rpc/ share. Messages are Pb__Payload, whose bytes say what the
 * server is to do with them. */
#ifndef FF_TESTS_RPC_LAB_H
#define FF_TESTS_RPC_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "proto/pb.h"
#include "rpc/rpc_internal.h"

#define ECHO "/lab.v1.Lab/Echo" /* answers with what came, in upper case where it is text */
#define HOLD "/lab.v1.Lab/Hold" /* answers when lab_let_go() or the caller's end tells it to */
#define FAIL "/lab.v1.Lab/Fail" /* fails with NotFound, a hint and a detail */
#define BIG "/lab.v1.Lab/Big"   /* answers with as many bytes as the request says in decimal */

#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        struct err err_ = {0}, *err = &err_;                                                                           \
        if ((call) < 0)                                                                                                \
            fail_msg("%s: %s", #call, err_.msg);                                                                       \
    } while (0)

struct lab {
    char *dir, *socket; /* "unix:..." */
    struct rpc_server *server;
    struct rpc_client *client;
    struct rpc_method methods[4];
    struct rpc_server_options options;
    struct rpc_client_options client_options;
    int (*authorize)(struct lab *l, struct rpc_call *call, struct err *err);
    char seen_token[64];

    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct held *all; /* whatever was held, until the end */
    struct rpc_call *held[64];
    size_t held_count, cancelled_count, calls;
};

void lab_init(struct lab *l);
void lab_release(struct lab *l);
/* At address, or at the lab's socket when it is NULL; gives the port. */
int lab_serve(struct lab *l, const char *address, const struct rpc_tls *tls);
void lab_serve_stop(struct lab *l, int64_t grace_ms);
/* To target, or to the lab's socket. */
void lab_connect(struct lab *l, const char *target);
size_t lab_calls(struct lab *l); /* that reached a handler */
size_t lab_held(struct lab *l);
size_t lab_cancelled(struct lab *l);
/* Waits until n calls are held, or that many were cancelled; fails after 10 s. */
void lab_wait_held(struct lab *l, size_t n);
void lab_wait_cancelled(struct lab *l, size_t n);
/* Answers all held calls. */
void lab_let_go(struct lab *l);

struct answer {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int count; /* answers so far */
    int failures;
    struct err err;             /* of the last */
    ProtobufCMessage *resp, *detail; /* of the last */
};

#define ANSWER_INIT {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER}
void answer_release(struct answer *a);
rpc_done answer_done; /* arg: struct answer */
void answer_wait(struct answer *a, int n); /* fails after 60 s */

/* Starts a call of a text. */
void lab_call(struct lab *l, const char *method, const char *text, int64_t timeout_ms, unsigned flags, struct answer *a);
/* The same, waiting. Gives the code of the error, or 0. */
int lab_call_wait(struct lab *l, const char *method, const char *text, int64_t timeout_ms, unsigned flags, struct answer *a);
const char *answer_text(const struct answer *a); /* of the response; in a static buffer */

#endif
