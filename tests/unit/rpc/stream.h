/* A caller of methods that answer in parts, on the library itself. */
#ifndef FF_TESTS_RPC_STREAM_H
#define FF_TESTS_RPC_STREAM_H

#include "rpc/rpc_internal.h"

struct stream {
    grpc_completion_queue *cq;
    grpc_channel *channel;
    grpc_call *call;
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice message;
    grpc_byte_buffer *in;
    bool ended; /* the status came */
};

/* target: "127.0.0.1:7233". Fails the test when nothing happens for a minute, as what follows. */
void stream_open(struct stream *s, const char *target, const char *method, const ProtobufCMessage *req);
/* The next message; NULL: there is none any more. */
ProtobufCMessage *stream_next(struct stream *s, const ProtobufCMessageDescriptor *d);
/* After the last one: how it ended. */
grpc_status_code stream_status(struct stream *s);
/* Goes away. */
void stream_close(struct stream *s);

#endif
