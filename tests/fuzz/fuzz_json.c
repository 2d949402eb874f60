/* JSON: what is accepted can be written, and reads back as the same value. */
#include "fuzz.h"

#include "base/assert.h"
#include "codec/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_json_ json_t *j = NULL, *again = NULL, *foreign = NULL;
    struct err err = {0};
    bool taken = json_parse_foreign((const char *)data, size, 1 << 20, &foreign, &err) == 0;
    if (json_parse((const char *)data, size, 1 << 20, &j, &err) < 0) {
        ASSERT(!j && err.code > 0 && err.msg[0]);
        return 0;
    }
    struct strbuf b = STRBUF_INIT, pretty = STRBUF_INIT;
    ASSERT(json_write_canonical(j, &b, &err) == 0 && json_write_pretty(j, &pretty, &err) == 0);
    ASSERT(json_parse(b.s, b.len, SIZE_MAX, &again, &err) == 0);
    ASSERT(json_equal(j, again) && taken && json_equal(j, foreign));
    strbuf_release(&b);
    strbuf_release(&pretty);
    return 0;
}
