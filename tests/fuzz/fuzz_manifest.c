/* Manifests of trees and records of objects: never a crash, and what decodes says the same when it is encoded again. */
#include "base/assert.h"
#include "fuzz.h"
#include "store/blob.h"
#include "store/manifest.h"

#include <string.h>

static void check_manifest(const void *data, size_t size)
{
    struct manifest a, b;
    struct err err = {0};
    int r = manifest_decode(data, size, &a, &err);
    ASSERT(r == 0 || (r == -ERR_CORRUPT && err.msg[0]) || r == -ERR_NO_MEMORY);
    if (r == 0) {
        struct strbuf again = STRBUF_INIT;
        manifest_encode(&a, &again);
        ASSERT(manifest_decode(again.s, again.len, &b, &err) == 0);
        ASSERT(a.count == b.count && a.total_bytes == b.total_bytes && a.chunks.len == b.chunks.len);
        for (size_t i = 0; i < a.count; i++) {
            ASSERT(tree_path_valid(a.entries[i].e.path));
            ASSERT(strcmp(a.entries[i].e.path, b.entries[i].e.path) == 0 && a.entries[i].offset == b.entries[i].offset);
        }
        strbuf_release(&again);
        manifest_release(&b);
    }
    manifest_release(&a);
}

static void check_record(const void *data, size_t size)
{
    struct record a, b;
    struct err err = {0};
    int r = record_decode(data, size, &a, &err);
    ASSERT(r == 0 || (r == -ERR_CORRUPT && err.msg[0]) || r == -ERR_NO_MEMORY);
    if (r == 0) {
        struct strbuf again = STRBUF_INIT;
        record_encode(&a, &again);
        ASSERT(record_decode(again.s, again.len, &b, &err) == 0);
        ASSERT(a.size_bytes == b.size_bytes && a.chunks.len == b.chunks.len && strcmp(a.media_type, b.media_type) == 0);
        strbuf_release(&again);
        record_release(&b);
    }
    record_release(&a);
}

static void check_block(const void *data, size_t size)
{
    static struct codec codec;
    static char out[BLOCK_MAX];
    size_t n;
    if (block_length(data, size, &n, NULL) == 0) {
        ASSERT(n <= BLOCK_MAX);
        (void)block_unpack(&codec, data, size, out, n, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct strbuf b = STRBUF_INIT;
    strbuf_append(&b, data + 1, size - 1);
    if (data[0] & 1) /* else nearly all would end at the checksum */
        put_checksum(&b, 0);
    const char *s = strbuf_str(&b);
    switch (data[0] >> 1 & 3) {
    case 0: check_manifest(s, b.len); break;
    case 1: check_record(s, b.len); break;
    default: check_block(s, b.len); break;
    }
    strbuf_release(&b);
    return 0;
}
