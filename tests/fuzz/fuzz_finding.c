/* A finding that was accepted is written as JSON that is accepted again, with the same text. */
#include "fuzz.h"

#include "base/assert.h"
#include "codec/finding.h"
#include "codec/json.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_json_ json_t *j = NULL;
    struct finding f, again;
    struct err err = {0};
    if (json_parse((const char *)data, size, 1 << 20, &j, &err) < 0 || finding_from_json(j, &f, &err) < 0)
        return 0;
    ASSERT(!f.file || (f.file[0] != '/' && !strstr(f.file, "/../") && strcmp(f.file, "..") != 0));
    struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;
    for (int i = 0; i < 2; i++) {
        _cleanup_json_ json_t *out = finding_to_json(&f);
        ASSERT(out && json_write(out, i ? &b : &a, &err) == 0);
        ASSERT(finding_from_json(out, &again, &err) == 0);
        finding_release(&f);
        f = again;
    }
    ASSERT(a.len == b.len && memcmp(a.s, b.s, a.len) == 0);
    finding_release(&f);
    strbuf_release(&a);
    strbuf_release(&b);
    return 0;
}
