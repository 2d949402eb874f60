/* Messages on the wire: protobuf-c to the library's byte buffers and back. Inflating is done here, not by the library,
 * which knows no bound for it. */
#include "rpc_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/pbx.h"

#include <string.h>
#include <zlib.h>

static void free_slice(void *p)
{
    free(p);
}

grpc_byte_buffer *rpc_wire_bytes(const void *data, size_t len)
{
    grpc_slice s = core.grpc_slice_from_copied_buffer(data, len);
    grpc_byte_buffer *b = core.grpc_raw_byte_buffer_create(&s, 1);
    core.grpc_slice_unref(s);
    return b;
}

grpc_byte_buffer *rpc_wire_pack(const ProtobufCMessage *m)
{
    size_t len = protobuf_c_message_get_packed_size(m);
    uint8_t *data = mem_alloc(len ? len : 1);
    if (!data)
        return NULL;
    protobuf_c_message_pack(m, data);
    grpc_slice s = core.grpc_slice_new(data, len, free_slice);
    grpc_byte_buffer *b = core.grpc_raw_byte_buffer_create(&s, 1);
    core.grpc_slice_unref(s);
    return b;
}

char *rpc_slice_string(grpc_slice s)
{
    const char *p = (const char *)GRPC_SLICE_START_PTR(s);
    size_t n = GRPC_SLICE_LENGTH(s);
    return memchr(p, 0, n) ? NULL : mem_strndup(p, n);
}

/* gzip (RFC 1952), into memory that grows with what comes out. */
static int inflate_all(const uint8_t *data, size_t len, size_t max, uint8_t **ret, size_t *ret_len, struct err *err)
{
    _cleanup_free_ uint8_t *out = NULL;
    size_t cap = 0;
    z_stream z = {.next_in = (uint8_t *)data, .avail_in = (uInt)len};
    if (len > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "a message of %zu bytes", len);
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return err_nomem(err);
    int r = Z_OK, ret_code = 0;
    while (r == Z_OK) {
        if (z.total_out > max) {
            ret_code = err_set(err, ERR_LIMIT, "an inflated message of more than %zu bytes", max);
            break;
        }
        if (z.total_out == cap) {
            size_t more = cap ? cap * 2 : len * 4 + 256;
            if (more > max + 1)
                more = max + 1;
            uint8_t *p = mem_realloc(out, more);
            if (!p) {
                ret_code = err_nomem(err);
                break;
            }
            out = p;
            cap = more;
        }
        z.next_out = out + z.total_out;
        z.avail_out = (uInt)(cap - z.total_out);
        r = inflate(&z, Z_NO_FLUSH);
    }
    if (ret_code == 0 && r == Z_STREAM_END && z.total_out > max)
        ret_code = err_set(err, ERR_LIMIT, "an inflated message of more than %zu bytes", max);
    if (ret_code == 0 && (r != Z_STREAM_END || z.avail_in > 0))
        ret_code = err_set(err, ERR_INVALID, "malformed gzip data");
    *ret_len = z.total_out;
    inflateEnd(&z);
    if (ret_code == 0)
        *ret = TAKE_PTR(out);
    return ret_code;
}

int rpc_wire_decode(const void *data, size_t len, bool gzip, const ProtobufCMessageDescriptor *d, size_t max,
                    ProtobufCMessage **ret, struct err *err)
{
    if (!gzip)
        return len > max ? err_set(err, ERR_LIMIT, "a message of %zu bytes; the limit is %zu", len, max)
                         : pbx_unpack(d, data, len, ret, err);
    _cleanup_free_ uint8_t *plain = NULL;
    size_t n = 0;
    int r = inflate_all(data, len, max, &plain, &n, err);
    return r < 0 ? r : pbx_unpack(d, plain, n, ret, err);
}

int rpc_wire_unpack(grpc_byte_buffer *b, const ProtobufCMessageDescriptor *d, size_t max, ProtobufCMessage **ret,
                    struct err *err)
{
    if (!b)
        return err_set(err, ERR_INVALID, "a call without a message");
    grpc_compression_algorithm how = b->data.raw.compression;
    if (how != GRPC_COMPRESS_NONE && how != GRPC_COMPRESS_GZIP)
        return err_set(err, ERR_UNIMPLEMENTED, "the compression of a message is not known here");
    grpc_byte_buffer_reader reader;
    if (!core.grpc_byte_buffer_reader_init(&reader, b))
        return err_set(err, ERR_INVALID, "a message that cannot be read");
    grpc_slice all = core.grpc_byte_buffer_reader_readall(&reader);
    int r = rpc_wire_decode(GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all), how == GRPC_COMPRESS_GZIP, d, max, ret, err);
    core.grpc_slice_unref(all);
    core.grpc_byte_buffer_reader_destroy(&reader);
    return r;
}
