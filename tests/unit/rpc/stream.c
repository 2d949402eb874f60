#include "stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "os/clock.h"

#include <string.h>

enum { OPENED = 1, STATUS, MESSAGE }; /* the operations, as tags */

static void *tag(int what)
{
    return (void *)(intptr_t)what;
}

static void start(struct stream *s, const grpc_op *ops, size_t n, int what)
{
    assert_int_equal(core.grpc_call_start_batch(s->call, ops, n, tag(what), NULL), GRPC_CALL_OK);
}

static void wait_for(struct stream *s, int what)
{
    for (void *got = NULL; got != tag(what) && !(what == STATUS && s->ended);) {
        grpc_event e = core.grpc_completion_queue_next(s->cq, rpc_deadline(os_mono_ns() + 60 * NS_PER_S), NULL);
        assert_int_equal(e.type, GRPC_OP_COMPLETE);
        got = e.tag;
        s->ended |= got == tag(STATUS);
    }
}

void stream_open(struct stream *s, const char *target, const char *method, const ProtobufCMessage *req)
{
    struct err err = {0};
    grpc_op ops[4];
    memset(s, 0, sizeof *s);
    memset(ops, 0, sizeof ops);
    assert_int_equal(rpc_core_start(&err), 0);
    grpc_channel_credentials *creds = core.grpc_insecure_credentials_create();
    s->cq = core.grpc_completion_queue_create_for_next(NULL);
    s->channel = core.grpc_channel_create(target, creds, NULL);
    core.grpc_channel_credentials_release(creds);
    s->call = core.grpc_channel_create_call(s->channel, NULL, 0, s->cq, core.grpc_slice_from_static_string(method), NULL,
                                            rpc_deadline(INT64_MAX), NULL);
    core.grpc_metadata_array_init(&s->initial);
    core.grpc_metadata_array_init(&s->trailing);
    s->message = core.grpc_empty_slice();
    grpc_byte_buffer *out = rpc_wire_pack(req);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = out;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &s->initial;
    start(s, ops, 4, OPENED);
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[0].data.recv_status_on_client.trailing_metadata = &s->trailing;
    ops[0].data.recv_status_on_client.status = &s->status;
    ops[0].data.recv_status_on_client.status_details = &s->message;
    start(s, ops, 1, STATUS);
    wait_for(s, OPENED);
    core.grpc_byte_buffer_destroy(out);
}

ProtobufCMessage *stream_next(struct stream *s, const ProtobufCMessageDescriptor *d)
{
    struct err err = {0};
    ProtobufCMessage *m = NULL;
    grpc_op op;
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &s->in;
    start(s, &op, 1, MESSAGE);
    wait_for(s, MESSAGE);
    if (!s->in)
        return NULL;
    assert_int_equal(rpc_wire_unpack(s->in, d, 1 << 20, &m, &err), 0);
    core.grpc_byte_buffer_destroy(TAKE_PTR(s->in));
    return m;
}

grpc_status_code stream_status(struct stream *s)
{
    wait_for(s, STATUS);
    return s->status;
}

void stream_close(struct stream *s)
{
    core.grpc_call_cancel(s->call, NULL);
    wait_for(s, STATUS);
    core.grpc_call_unref(s->call);
    core.grpc_slice_unref(s->message);
    core.grpc_metadata_array_destroy(&s->initial);
    core.grpc_metadata_array_destroy(&s->trailing);
    core.grpc_channel_destroy(s->channel);
    core.grpc_completion_queue_shutdown(s->cq);
    while (core.grpc_completion_queue_next(s->cq, rpc_deadline(INT64_MAX), NULL).type != GRPC_QUEUE_SHUTDOWN)
        ;
    core.grpc_completion_queue_destroy(s->cq);
}
