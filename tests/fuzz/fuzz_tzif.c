/* A compiled time zone: what is accepted gives an offset for every time, and its next change lies behind it. */
#include "base/assert.h"
#include "codec/tzif.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -4000000000, -1, 0, 1, 1234567890, 1800000000, 4000000000, 99999999999, INT64_MAX - 1};
    struct tzif z;
    struct err err = {0};
    if (tzif_parse(data, size, &z, &err) == 0)
        for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
            int64_t until;
            int32_t offset = tzif_offset(&z, times[i], &until);
            ASSERT(until > times[i] || (times[i] > INT64_C(6000000000000) && until > INT64_C(6000000000000)));
            ASSERT(offset > -26 * 3600 && offset < 26 * 3600);
        }
    tzif_release(&z);
    return 0;
}
