/* SARIF of any tool: what was read is written, and reads back as as many findings. */
#include "fuzz.h"

#include "base/assert.h"
#include "codec/sarif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct findings list = {0}, again = {0};
    struct err err = {0};
    if (sarif_read((const char *)data, size, &list, &err) == 0 && findings_merge(&list, &err) == 0) {
        struct strbuf b = STRBUF_INIT;
        struct sarif_options o = {.successful = true, .include_code_flows = true, .compared = true};
        ASSERT(sarif_write(&list, &o, &b, &err) == 0);
        ASSERT(sarif_read(b.s, b.len, &again, &err) == 0);
        ASSERT(again.len == list.len);
        strbuf_release(&b);
    }
    findings_release(&list);
    findings_release(&again);
    return 0;
}
