/* The server's HTTP side: REST, live events, and what other parts mount beside them, on libmicrohttpd.
 *
 * One thread serves all connections and never blocks; what asks the engine or the store runs on a few others. What it answers
 * is in api.yaml. An address other than loopback needs TLS; who may call is the authenticate function's to say. */
#ifndef FF_API_REST_REST_H
#define FF_API_REST_REST_H

#include "api/live/live.h"
#include "api/service/service.h"
#include "rpc/rpc.h"

struct access;
struct engine_times;

enum rest_role { REST_NONE, REST_VIEWER, REST_OPERATOR, REST_ADMIN };

struct rest_caller {
    char id[16];         /* of the token */
    char name[80];       /* for logs */
    char name_space[72]; /* "": the engine's default */
    enum rest_role role;
    bool by_session;
    int64_t expires_ms; /* of a session */
};

/* A path that another part of the program serves: the whole body in, one document or a stream of events out. Called on a thread
 * that may block. */
struct rest_mount_request {
    const char *method;
    const char *body; /* 0-terminated */
    size_t body_len;
    const struct rest_caller *caller;
    const char *peer; /* address of the client */
    /* Of the request; NULL if it is not there. Valid during the call. */
    const char *(*header)(void *arg, const char *name);
    void *arg;
};
struct rest_mount_answer {
    int status;
    const char *type; /* of the body; static */
    char *body;       /* taken; NULL: none */
    size_t body_len;
    char header[2][256]; /* one more header: name, value; empty: none */
    struct rest_feed *feed; /* server-sent events instead of a body (rest/feed.h); taken */
};
struct rest_mount {
    const char *path; /* "/mcp": of routes of api.yaml */
    int (*handle)(void *arg, const struct rest_mount_request *q, struct rest_mount_answer *a, struct err *err);
    void *arg;
};

/* How a request says who sends it. NULL: it does not. */
struct rest_credentials {
    const char *authorization; /* the header */
    const char *session;       /* the cookie of a browser's session */
    const char *csrf;          /* the header X-CSRF-Token, which goes with it where something is changed */
    bool changes;
    bool certificate; /* the client has shown one of the authority's */
};

/* A request that was answered. */
struct rest_answered {
    const char *request_id, *method, *route, *caller; /* route as in api.yaml; "?" and "-": none */
    int status;
    int64_t took_us;
    uint64_t bytes;
    bool cut_off; /* the client did not get all of it */
};

/* Takes bytes of an answer; an error ends whoever makes them. */
typedef int rest_put(void *to, const void *data, size_t len, struct err *err);

struct rest_options {
    const struct service *service;
    struct live *live;
    const char *address; /* "127.0.0.1:8000"; port 0 picks one */
    int listen_fd; /* a socket that listens already; taken; 0: none. Then address, if it is there, is only how clients call it */
    const char *upload_dir; /* for archives while they arrive */
    const char *const *hosts; /* names by which clients may call it beside the address and localhost; NULL-terminated; or NULL */
    const char *const *verticals; /* that ship, for metrics of their queues; NULL-terminated */
    /* Who takes a namespace's tasks: array, a new reference. */
    int (*workers)(void *arg, const char *name_space, json_t **ret, struct err *err);
    int (*status)(void *arg, const char *name_space, json_t **ret, struct err *err); /* what `ff status` shows */
    const struct engine_times *(*times)(void *arg); /* for metrics; NULL, or NULL is given: the engine is elsewhere */
    void (*slots)(void *arg, int *ret_all, int *ret_busy); /* for metrics: of this process's workers; NULL: none */
    /* What `ff token` does: documents of cli/tokens.h. */
    int (*tokens)(void *arg, enum token_verb verb, const json_t *q, json_t **ret, struct err *err);
    /* What keeps house: documents of cli/housekeeping.h, for the caller's service. */
    int (*house)(void *arg, const struct service *svc, enum house_verb verb, const json_t *q, json_t **ret, struct err *err);
    /* All of the state in one file, given to put as it is made. Takes its time; two at a time are not asked for. */
    int (*backup)(void *arg, rest_put *put, void *to, struct err *err);
    /* Reads and checks the backup that fd gives, and sees to it that the server ends soon and begins again with it; who asks is
     * in its audit log then: {restore, files, bytes}. After an error nothing is changed. NULL: nobody may. */
    int (*restore)(void *arg, int fd, const struct rest_caller *who, const char *peer, json_t **ret, struct err *err);
    const char *restored, *restored_how; /* the restore that this process began with, and its outcome; NULL: none */
    uint64_t upload_max_bytes;
    struct rpc_tls tls; /* files; a renewed certificate counts from the next handshake on */
    struct access *access; /* for sessions of browsers */
    bool open; /* callers on this machine need nothing: documented so */
    /* Who that is. -ERR_UNAUTHENTICATED; -ERR_PERMISSION: a change that another site's page may have sent. Must not block. */
    int (*authenticate)(void *arg, const struct rest_credentials *c, struct rest_caller *ret, struct err *err);
    void (*answered)(void *arg, const struct rest_answered *a); /* for the log; NULL: none. Must not block. */
    void *arg;
    const struct rest_mount *mounts; /* ended by a NULL path; or NULL */
};

struct rest;

/* Whether it is safe to serve there: -ERR_USAGE with a hint. Nothing is started. */
int rest_check(const char *address, bool tls, bool open, struct err *err);
/* Strings are borrowed for good. -ERR_BUSY: the address is taken. */
int rest_start(const struct rest_options *o, struct rest **ret, int *ret_port, struct err *err);
/* Asks it for a sign of life, unless it owes one. Since when it does, by the monotonic clock; 0: it does not. Does not wait; one
 * thread asks, which ends before rest_stop(). */
int64_t rest_pulse(struct rest *r);
/* A copy of the socket that it listens at, for whoever serves after it: callers wait there meanwhile. -1: there is none left. */
int rest_listener(const struct rest *r);
/* Lets nobody in any more, ends streams, and waits for requests that are being answered, at most grace_ms; then ends. NULL is
 * fine. */
void rest_stop(struct rest *r, int64_t grace_ms);

#endif
