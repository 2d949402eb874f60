/* What rpc/ decodes of the other end: a status with details, a message, a gzipped message. The first byte chooses. */
#include "fuzz.h"

#include "base/assert.h"
#include "proto/pb.h"
#include "rpc/rpc_internal.h"

#include <stdlib.h>

#define MAX ((size_t)64 << 10)

static void status(const uint8_t *data, size_t size)
{
    static const struct rpc_detail_type types[] = {
        {"temporal.api.errordetails.v1.NotFoundFailure", &pb__error_detail_not_found__descriptor},
        {"temporal.api.errordetails.v1.QueryFailedFailure", &pb__error_detail_query_failed__descriptor},
    };
    ProtobufCMessage *m = rpc_status_decode(data, size, types, 2);
    if (!m)
        return;
    uint8_t *bytes = NULL;
    size_t len = 0;
    const char *name = m->descriptor == types[0].descriptor ? types[0].name : types[1].name;
    ASSERT(rpc_status_encode(5, "x", name, m, &bytes, &len, NULL) == 0);
    ProtobufCMessage *again = rpc_status_decode(bytes, len, types, 2);
    ASSERT(again && again->descriptor == m->descriptor);
    protobuf_c_message_free_unpacked(again, NULL);
    protobuf_c_message_free_unpacked(m, NULL);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ProtobufCMessageDescriptor *const kinds[] = {&pb__payloads__descriptor,
                                                       &pb__start_workflow_execution_request__descriptor};
    struct err err = {0};
    ProtobufCMessage *m = NULL;
    if (size == 0)
        return 0;
    if (data[0] % 5 == 0) {
        status(data + 1, size - 1);
        return 0;
    }
    bool gzip = data[0] % 2;
    int r = rpc_wire_decode(data + 1, size - 1, gzip, kinds[data[0] / 5 % 2], MAX, &m, &err);
    ASSERT(r == 0 ? m != NULL : !m && err.code > 0);
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
    return 0;
}
