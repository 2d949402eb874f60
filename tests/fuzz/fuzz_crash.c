/* A crash report of any bytes: what is found holds together, and the report of the crash is fit for JSON. */
#include "fuzz.h"

#include "base/assert.h"
#include "codec/crash/cluster.h"
#include "codec/crash/crash.h"
#include "codec/json.h"

static void check(const struct crash *c)
{
    struct strbuf b = STRBUF_INIT;
    json_t *j = crash_to_json(c, "report");
    ASSERT((c->kind == CRASH_NONE) == (c->type[0] == 0));
    ASSERT(c->kind == CRASH_NONE || c->state[0]);
    ASSERT(c->frame_count <= CRASH_FRAMES_MAX);
    ASSERT(json_array_size(json_object_get(j, "frames")) == c->frame_count);
    ASSERT(json_write(j, &b, NULL) == 0);
    strbuf_release(&b);
    json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct crash_options o = {.target = size % 2 ? "target" : NULL, .unsymbolized = size % 4 == 2};
    struct crash a, b;
    struct err err = {0};
    size_t end = crash_report_end((const char *)data, size);
    ASSERT(end <= size && (end || !size));
    ASSERT(crash_parse((const char *)data, size, &o, &a, &err) == 0);
    ASSERT(crash_parse((const char *)data, end < size ? end : size / 2, &o, &b, &err) == 0);
    check(&a);
    check(&b);
    const struct crash *both[] = {&a, &b, &a};
    _cleanup_(crash_clusters_free_cleanup_) struct crash_clusters *clusters = NULL;
    const size_t *group;
    size_t groups;
    ASSERT(crash_clusters_new(&clusters, &err) == 0);
    for (int i = 0; i < 3; i++)
        ASSERT(crash_clusters_add(clusters, both[i], NULL, &err) == 0);
    ASSERT(crash_clusters_finish(clusters, &group, &groups, &err) == 0);
    ASSERT(groups >= 1 && groups <= 3);
    ASSERT(a.kind == CRASH_NONE || group[0] == group[2]);
    crash_release(&a);
    crash_release(&b);
    return 0;
}
