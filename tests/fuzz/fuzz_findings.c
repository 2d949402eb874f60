/* Lists of findings as modules and files have them: whatever is read merges, compares with itself as unchanged, and
 * goes through every export. */
#include "fuzz.h"

#include "base/assert.h"
#include "codec/export.h"

static int discard(void *arg, const char *data, size_t n, struct err *err)
{
    (void)arg;
    (void)data;
    (void)n;
    (void)err;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct findings list = {0};
    struct err err = {0};
    int r = findings_read(&list, (const char *)data, size, &err);
    ASSERT(r == 0 || err.msg[0]);
    ASSERT(findings_merge(&list, &err) == 0); /* what came before a bad line is whole */
    ASSERT(findings_assign_ids(&list, "run", 1, &err) == 0);
    ASSERT(findings_compare(&list, &list, false, &err) == 0);
    for (size_t i = 0; i < list.len; i++)
        ASSERT(list.v[i].fingerprint && list.v[i].id && list.v[i].status != FINDING_NEW);
    for (int f = 0; f < EXPORT_FORMATS_; f++) {
        struct sarif_options o = {.run_id = "run"};
        struct out out;
        out_init(&out, discard, NULL);
        ASSERT(export_findings(&list, (enum export_format)f, &o, &out, &err) == 0);
        ASSERT(out_finish(&out, &err) == 0);
    }
    findings_release(&list);
    return 0;
}
