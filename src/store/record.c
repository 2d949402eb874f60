#include "store/record.h"

#include "base/mem.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static const char magic[4] = {'F', 'F', 'O', '1'};
enum { FLAG_INLINE = 1, FLAG_TREE = 2 };

static void put_le(struct strbuf *b, uint64_t v, int n)
{
    char t[8];
    for (int i = 0; i < n; i++)
        t[i] = (char)(v >> (8 * i));
    strbuf_append(b, t, (size_t)n);
}

void put_u32(struct strbuf *b, uint32_t v)
{
    put_le(b, v, 4);
}

void put_u64(struct strbuf *b, uint64_t v)
{
    put_le(b, v, 8);
}

void put_varint(struct strbuf *b, uint64_t v)
{
    while (v >= 128) {
        strbuf_putc(b, (char)(v | 128));
        v >>= 7;
    }
    strbuf_putc(b, (char)v);
}

void put_checksum(struct strbuf *b, size_t start)
{
    if (!b->failed && b->len >= start)
        put_u64(b, XXH3_64bits(b->s + start, b->len - start));
}

const uint8_t *get_bytes(struct cursor *c, size_t n)
{
    if (c->bad || (size_t)(c->end - c->p) < n) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *p = c->p;
    c->p += n;
    return p;
}

static uint64_t get_le(struct cursor *c, int n)
{
    const uint8_t *p = get_bytes(c, (size_t)n);
    uint64_t v = 0;
    for (int i = n - 1; p && i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

uint8_t get_u8(struct cursor *c)
{
    return (uint8_t)get_le(c, 1);
}

uint32_t get_u32(struct cursor *c)
{
    return (uint32_t)get_le(c, 4);
}

uint64_t get_u64(struct cursor *c)
{
    return get_le(c, 8);
}

uint64_t get_varint(struct cursor *c)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        uint8_t b = get_u8(c);
        if (shift == 63 && b > 1)
            break;
        v |= (uint64_t)(b & 127) << shift;
        if (!(b & 128))
            return c->bad ? 0 : v;
    }
    c->bad = true;
    return 0;
}

bool cursor_checked(struct cursor *c, const void *data, size_t len)
{
    if (len < 8)
        return false;
    struct cursor tail = {(const uint8_t *)data + len - 8, (const uint8_t *)data + len, false};
    if (get_u64(&tail) != XXH3_64bits(data, len - 8))
        return false;
    *c = (struct cursor){data, (const uint8_t *)data + len - 8, false};
    return true;
}

void record_encode(const struct record *rec, struct strbuf *out)
{
    size_t start = out->len, n = strlen(rec->media_type);
    strbuf_append(out, magic, sizeof magic);
    strbuf_putc(out, (char)((rec->block ? FLAG_INLINE : 0) | (rec->tree ? FLAG_TREE : 0)));
    put_u64(out, rec->size_bytes);
    put_u64(out, rec->stored_bytes);
    put_u64(out, (uint64_t)rec->created_ns);
    strbuf_putc(out, (char)n);
    strbuf_append(out, rec->media_type, n);
    if (rec->block) {
        put_u32(out, (uint32_t)rec->block_len);
        strbuf_append(out, rec->block, rec->block_len);
    } else {
        put_u32(out, (uint32_t)rec->chunks.len);
        for (size_t i = 0; i < rec->chunks.len; i++) {
            strbuf_append(out, rec->chunks.v[i].digest.b, DIGEST_LEN);
            put_u32(out, rec->chunks.v[i].len);
        }
    }
    put_checksum(out, start);
}

static int decode_chunks(struct cursor *c, struct record *ret, struct err *err)
{
    size_t n = get_u32(c);
    if (c->bad || (size_t)(c->end - c->p) != n * (DIGEST_LEN + 4))
        return err_set(err, ERR_CORRUPT, "a list of chunks of a wrong length");
    ret->chunks.v = mem_calloc(n, sizeof *ret->chunks.v);
    if (!ret->chunks.v)
        return err_nomem(err);
    ret->chunks.cap = n;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(ret->chunks.v[i].digest.b, get_bytes(c, DIGEST_LEN), DIGEST_LEN);
        ret->chunks.v[i].len = get_u32(c);
        sum += ret->chunks.v[i].len;
    }
    ret->chunks.len = n;
    if (sum != ret->size_bytes)
        return err_set(err, ERR_CORRUPT, "chunks that do not add up to the object");
    return 0;
}

int record_decode(const void *data, size_t len, struct record *ret, struct err *err)
{
    *ret = (struct record){0};
    struct cursor c;
    if (!cursor_checked(&c, data, len))
        return err_set(err, ERR_CORRUPT, "a record whose bytes have changed");
    const uint8_t *m = get_bytes(&c, sizeof magic);
    if (!m || memcmp(m, magic, sizeof magic) != 0)
        return err_set(err, ERR_CORRUPT, "not a record of an object");
    uint8_t flags = get_u8(&c);
    ret->tree = flags & FLAG_TREE;
    ret->size_bytes = get_u64(&c);
    ret->stored_bytes = get_u64(&c);
    ret->created_ns = (int64_t)get_u64(&c);
    size_t n = get_u8(&c);
    const uint8_t *media = get_bytes(&c, n);
    if (!media || n >= sizeof ret->media_type || (flags & ~(FLAG_INLINE | FLAG_TREE)))
        return err_set(err, ERR_CORRUPT, "a record with a wrong head");
    memcpy(ret->media_type, media, n);
    if (!(flags & FLAG_INLINE))
        return decode_chunks(&c, ret, err);
    ret->block_len = get_u32(&c);
    ret->block = get_bytes(&c, ret->block_len);
    if (!ret->block || c.p != c.end)
        return err_set(err, ERR_CORRUPT, "a record with a wrong length");
    return 0;
}

void record_release(struct record *rec)
{
    free(rec->chunks.v);
    *rec = (struct record){0};
}
