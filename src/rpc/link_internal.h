/* What both ends of a link share: frames, and what is read and written. */
#ifndef FF_RPC_LINK_INTERNAL_H
#define FF_RPC_LINK_INTERNAL_H

#include "rpc/link.h"

#include <pthread.h>

enum link_kind {
    LINK_CALL = 1,    /* the method's path, then the request */
    LINK_CANCEL = 2,  /* of the call with that id */
    LINK_ANSWER = 3,  /* the response */
    LINK_FAILURE = 4, /* see link_failure_decode() */
    LINK_BYE = 5,     /* calls with a greater id were not begun, and no more is read here */
};

struct link_frame {
    uint32_t size; /* of what follows */
    uint16_t kind;
    uint16_t name; /* bytes of the path, the first of what follows */
    uint64_t id;   /* a caller's ids grow */
    uint32_t wait_ms, reserved;
};

/* The first frame of data. Gives its length with all that belongs to it; 0: there is more to come; -1: no frame, or one of more
 * than max bytes. */
int64_t link_frame_parse(const uint8_t *data, size_t len, size_t max, struct link_frame *ret);

/* A failure: name of the code, message and hint, each with its 0, then a google.rpc.Status with the detail, or nothing.
 * The caller frees. NULL when memory is out. */
uint8_t *link_failure_encode(const struct err *err, const char *detail_name, const ProtobufCMessage *detail, size_t *ret_len);
/* *ret_detail: NULL if there is none of types. What is no failure is ERR_CORRUPT. */
void link_failure_decode(const uint8_t *data, size_t len, const struct rpc_detail_type *types, size_t n, struct err *ret,
                         ProtobufCMessage **ret_detail);

struct link_bytes {
    uint8_t *v;
    size_t len, cap, sent;
};

struct link_conn {
    int fd;
    size_t send_max; /* bytes of a message */
    pthread_mutex_t lock;      /* what follows, up to the read side */
    struct link_bytes filling; /* frames that wait */
    struct link_bytes writing; /* of the one that is busy */
    bool busy, blocked, broken; /* blocked: the socket is full */
    uint64_t queued, written;   /* bytes, ever */
    /* Of the end's thread: */
    struct link_bytes in;
};

void link_conn_init(struct link_conn *c, int fd, size_t send_max); /* takes fd; makes it non-blocking */
void link_conn_release(struct link_conn *c);
/* Appends a frame; its size is filled in. Either message or data may be there. *ret_end (may be NULL): where it ends, beside
 * link_conn_written(). -ERR_UNAVAILABLE: the connection is broken; -ERR_LIMIT: it is too large; -ERR_NO_MEMORY. */
int link_conn_put(struct link_conn *c, struct link_frame f, const char *name, const ProtobufCMessage *message, const void *data,
                  size_t len, uint64_t *ret_end);
/* Writes what waits, unless somebody does already. False: the socket is full, or broken. */
bool link_conn_flush(struct link_conn *c);
/* Something waits that could be written now. */
bool link_conn_pending(struct link_conn *c);
size_t link_conn_waiting(struct link_conn *c); /* bytes */
bool link_conn_blocked(struct link_conn *c);
/* The socket takes bytes again. */
void link_conn_unblock(struct link_conn *c);
uint64_t link_conn_written(struct link_conn *c);
/* Nothing is sent any more. */
void link_conn_break(struct link_conn *c);
/* False: the frame is nonsense. */
typedef bool link_heard(void *arg, const struct link_frame *f, const uint8_t *data);
/* Reads what is there and calls fn for each whole frame. False: the other end is gone, or talks nonsense. */
bool link_conn_read(struct link_conn *c, size_t max, link_heard *fn, void *arg);

#endif
