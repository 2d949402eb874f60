/* The engine: what records every step of every workflow and hands out the work.
 *
 * The interface is a subset of Temporal's WorkflowService: requests and responses are the protobuf
 * messages of proto/ (wire-compatible with temporal.api.workflowservice.v1), and behaviour (event
 * order, ids, attempts, timeouts, error kinds) is Temporal's. Two engines stand behind it: embedded
 * (SQLite, this machine; engine/embedded/embedded.h) and temporal (gRPC, a real cluster; engine/temporal/temporal.h).
 * One contract suite (tests/contract/) runs against all of them.
 *
 * Calls are asynchronous, because most wait: for a commit, for a task, for an event. Any thread
 * may call. */
#ifndef FF_ENGINE_ENGINE_H
#define FF_ENGINE_ENGINE_H

#include "base/err.h"
#include "engine/methods.h"
#include "proto/pb.h"

#include <stdbool.h>
#include <stdint.h>

enum engine_flags { ENGINE_LONG_POLL = 1, ENGINE_REPEATABLE = 2, ENGINE_OPERATOR = 4 };

enum engine_method {
#define X(NAME, Rpc, lower, flags) ENGINE_##NAME,
    ENGINE_METHODS(X)
#undef X
        ENGINE_METHOD_COUNT_
};

#define ENGINE_SERVICE "temporal.api.workflowservice.v1.WorkflowService"
#define ENGINE_OPERATOR_SERVICE "temporal.api.operatorservice.v1.OperatorService"

struct engine_method_info {
    const char *rpc;  /* "StartWorkflowExecution" */
    const char *path; /* "/" ENGINE_SERVICE "/StartWorkflowExecution" */
    const ProtobufCMessageDescriptor *request, *response;
    unsigned flags;
};

const struct engine_method_info *engine_method_info(enum engine_method m);

/* What may come beside an error (proto/error_details.proto), and its full name in Temporal's API:
 * "temporal.api.errordetails.v1.NotFoundFailure". */
struct engine_detail_type {
    const char *name;
    const ProtobufCMessageDescriptor *descriptor;
};

extern const struct engine_detail_type engine_details[];
extern const size_t engine_details_count;
const char *engine_detail_name(const ProtobufCMessageDescriptor *d); /* NULL: it is none */

/* Called once per engine_call(), on a thread of the engine's: it must be quick and must not call
 * back into the engine synchronously (engine_call() is allowed, engine_call_sync() is not).
 * Success: err->code is 0, resp is the response. Failure: resp is a detail of the error, one of
 * engine_details by its descriptor, or NULL. Either is owned by the callee (free with
 * engine_free_message(); NULL is fine). A poll that found nothing in time succeeds with an empty
 * response (empty task_token), as Temporal's do. */
typedef void engine_done(void *arg, ProtobufCMessage *resp, const struct err *err);

struct engine;

/* The contract of a back end. */
struct engine_ops {
    const char *name;
    /* Starts a call. req is borrowed until done ran. timeout_ms bounds the wait (0: the method's
     * default: 60 s for task polls, 20 s for history polls, 10 s for the rest). Nothing is
     * acknowledged before it is durable. */
    void (*call)(struct engine *e, enum engine_method m, const ProtobufCMessage *req,
                 int64_t timeout_ms, engine_done *done, void *arg);
    /* The caller of the call with that done and arg has gone away: if it still waits, it is answered
     * with ERR_CANCELLED soon, and no task is handed to it. A call that is being worked on, or was
     * answered, is not touched: done runs exactly once either way. Cheap with any number of calls
     * waiting. (done, arg) tells calls apart that are under way at one time. */
    void (*cancel)(struct engine *e, engine_done *done, void *arg);
    /* Sends the calls that this thread has gathered. NULL: they were sent at once. */
    void (*send)(struct engine *e);
    /* Answers every waiting poll empty, refuses new polls, lets the other calls go on.
     * Idempotent. */
    void (*drain)(struct engine *e);
    /* Every call must have been answered. */
    void (*free)(struct engine *e);
};

struct engine {
    const struct engine_ops *ops;
};

void engine_call(struct engine *e, enum engine_method m, const ProtobufCMessage *req,
                 int64_t timeout_ms, engine_done *done, void *arg);
void engine_cancel(struct engine *e, engine_done *done, void *arg);
/* The calls of this thread, to any engine, may wait until engine_send(), and go to another process together
 * then. Who waits for an answer by engine_call_sync() sends them too. */
void engine_gather(void);
bool engine_gathers(void); /* for back ends */
void engine_send(struct engine *e); /* and gathers no more */
/* Waits for the answer. *ret_resp (may be NULL if it is of no interest) is the caller's. */
int engine_call_sync(struct engine *e, enum engine_method m, const ProtobufCMessage *req,
                     int64_t timeout_ms, ProtobufCMessage **ret_resp, struct err *err);
/* The same; after a failure *ret_detail is the error's detail, the caller's, or NULL. */
int engine_call_detail(struct engine *e, enum engine_method m, const ProtobufCMessage *req,
                       int64_t timeout_ms, ProtobufCMessage **ret_resp, ProtobufCMessage **ret_detail,
                       struct err *err);
void engine_free_message(ProtobufCMessage *m); /* NULL is fine */
void engine_drain(struct engine *e);
void engine_free(struct engine *e); /* drains first; NULL is fine */

/* Whose behaviour is followed, and what GetSystemInfo says: clients decide by it what they may ask for. */
#define ENGINE_TEMPORAL_VERSION "1.29.1"

/* Limits that every engine keeps (Temporal's defaults; source: its server's dynamicconfig
 * constants). */
#define ENGINE_PAYLOAD_MAX ((size_t)2 << 20)
#define ENGINE_PAYLOAD_WARN ((size_t)512 << 10)
#define ENGINE_SEARCH_ATTRIBUTES_MAX ((size_t)40 << 10)
#define ENGINE_HISTORY_SIZE_MAX ((size_t)50 << 20)
#define ENGINE_HISTORY_SIZE_WARN ((size_t)10 << 20)
#define ENGINE_HISTORY_EVENTS_MAX 51200
#define ENGINE_HISTORY_EVENTS_WARN 10240
#define ENGINE_HISTORY_PAGE 256
#define ENGINE_ID_MAX 1000 /* bytes of a workflow id, type, task queue, signal or query name */

#endif
