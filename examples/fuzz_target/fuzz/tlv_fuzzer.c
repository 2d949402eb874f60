#include "tlv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tlv_parse(data, size);
    return 0;
}
