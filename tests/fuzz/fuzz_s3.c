/* What an S3 service answers: XML of listings and errors, directories of packs. Never a crash; what is taken for good is within
 * its bounds. */
#include "base/assert.h"
#include "base/vec.h"
#include "fuzz.h"
#include "store/record.h"
#include "store/s3/pack.h"
#include "store/s3/xml.h"

#include <string.h>

static int on_entry(void *arg, const struct s3_xml_entry *e, struct err *err)
{
    size_t *n = arg;
    ASSERT(e->key[0] && strlen(e->key) <= S3_KEY_MAX && strlen(e->upload_id) < S3_KEY_MAX);
    return ++*n > 50000 ? err_set(err, ERR_LIMIT, "enough") : 0;
}

static void check_xml(const char *doc, size_t len)
{
    struct s3_xml_list l;
    struct s3_xml_error e;
    struct err err = {0};
    char text[64];
    size_t n = 0;
    int r = s3_xml_list(doc, len, &l, on_entry, &n, &err);
    ASSERT(r == 0 || err.msg[0]);
    ASSERT(memchr(l.token, 0, sizeof l.token));
    if (s3_xml_error(doc, len, &e))
        ASSERT(e.code[0]);
    (void)s3_xml_text(doc, len, "InitiateMultipartUploadResult/UploadId", text, sizeof text, NULL);
}

static void check_pack(const uint8_t *data, size_t len, uint64_t more)
{
    struct keyring none = {0};
    struct pack_entries e;
    struct pack_seal seal;
    size_t need, siblings;
    uint64_t size = len + more;
    const uint8_t *at = data;
    struct pack_sibling near;
    while (pack_next_sibling(&at, data + len, &near))
        ASSERT(strlen(near.name) >= DIGEST_HEX && near.tail >= data && near.tail + near.tail_len <= data + len);
    if (pack_tail(data, len, size, &need, &siblings, NULL) < 0 || need > len)
        return;
    ASSERT(need + siblings + PACK_HEADER <= size);
    if (pack_directory(data, len, size, &none, &e, &seal, NULL) == 0) {
        VEC_EACH(&e, x)
            ASSERT(x->offset >= PACK_HEADER && (uint64_t)x->offset + x->len <= size - need - siblings);
        VEC_RELEASE(&e);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (data[0] & 1) {
        check_xml((const char *)data + 1, size - 1);
        return 0;
    }
    /* With the checksum and the end that nearly all would fail at otherwise. */
    struct strbuf b = STRBUF_INIT;
    strbuf_append(&b, data + 1, size - 1);
    size_t n = b.len;
    if ((data[0] & 2) && n >= 32) {
        uint32_t count = (uint32_t)data[0] >> 2;
        size_t directory = (size_t)count * PACK_ENTRY;
        if (n >= directory + 32) {
            struct strbuf end = STRBUF_INIT;
            put_u32(&end, (uint32_t)directory);
            put_u32(&end, count);
            memcpy(b.s + n - 32, end.s, 8);
            memset(b.s + n - 24, 0, 8);
            strbuf_release(&end);
            put_checksum(&b, n - 32 - directory);
            strbuf_puts(&b, "FFPACK1\n");
        }
    }
    check_pack((const uint8_t *)strbuf_str(&b), b.len, (uint64_t)data[0] * 1000);
    strbuf_release(&b);
    return 0;
}
