/* Protobuf from outside: the scan keeps whatever would hurt away from protobuf-c, and what is unpacked packs.
 * The first byte chooses the message. */
#include "fuzz.h"

#include "base/assert.h"
#include "codec/pbx.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ProtobufCMessageDescriptor *const kinds[] = {
        &pb__history_event__descriptor,
        &pb__history__descriptor,
        &pb__start_workflow_execution_request__descriptor,
        &pb__respond_workflow_task_completed_request__descriptor,
        &pb__payloads__descriptor,
        &pb__failure__descriptor,
    };
    if (size == 0)
        return 0;
    const ProtobufCMessageDescriptor *d = kinds[data[0] % (sizeof kinds / sizeof kinds[0])];
    ProtobufCMessage *m = NULL, *copy = NULL;
    struct err err = {0};
    if (pbx_unpack(d, data + 1, size - 1, &m, &err) < 0) {
        ASSERT(!m && err.code > 0);
        return 0;
    }
    if (pbx_dup(m, &copy, &err) == 0)
        protobuf_c_message_free_unpacked(copy, NULL);
    struct pbx_block *block;
    const ProtobufCMessage *same;
    if (pbx_unpack_block(d, data + 1, size - 1, &block, &same, &err) == 0) {
        ASSERT(protobuf_c_message_get_packed_size(same) == protobuf_c_message_get_packed_size(m));
        pbx_block_free(block);
    }
    if (d == &pb__payloads__descriptor) {
        json_t *j = NULL;
        if (pbx_payloads_json((const Pb__Payloads *)m, 0, &j, &err) == 0)
            json_decref(j);
    }
    protobuf_c_message_free_unpacked(m, NULL);
    return 0;
}
