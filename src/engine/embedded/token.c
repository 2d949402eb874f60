#include "engine/embedded/token.h"

#include "base/mem.h"

#include <string.h>

static uint64_t rotl(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static void rounds(uint64_t v[4], int n)
{
    while (n--) {
        v[0] += v[1];
        v[1] = rotl(v[1], 13) ^ v[0];
        v[0] = rotl(v[0], 32);
        v[2] += v[3];
        v[3] = rotl(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotl(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotl(v[1], 17) ^ v[2];
        v[2] = rotl(v[2], 32);
    }
}

static uint64_t load64(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

uint64_t token_hash(const uint64_t key[2], const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t v[4] = {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
                     key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
    uint64_t last = (uint64_t)n << 56;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t m = load64(p, 8);
        v[3] ^= m;
        rounds(v, 2);
        v[0] ^= m;
    }
    last |= load64(p, n);
    v[3] ^= last;
    rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xff;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Layout, little endian: kind u8, version u8, 0 u16, attempt i32, ns, run_key, id, stamp i64,
 * hash u64. */
static void put64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

ProtobufCBinaryData token_make(const uint64_t key[2], const struct token *t)
{
    ProtobufCBinaryData b = {.data = mem_zalloc(TOKEN_SIZE), .len = TOKEN_SIZE};
    if (!b.data)
        return (ProtobufCBinaryData){0};
    put64(b.data, (uint64_t)(uint32_t)t->attempt << 32 | 1 << 8 | (uint64_t)t->kind);
    put64(b.data + 8, (uint64_t)t->ns);
    put64(b.data + 16, (uint64_t)t->run_key);
    put64(b.data + 24, (uint64_t)t->id);
    put64(b.data + 32, (uint64_t)t->stamp);
    put64(b.data + 40, token_hash(key, b.data, 40));
    return b;
}

int token_read(const uint64_t key[2], const ProtobufCBinaryData *b, struct token *ret,
               struct err *err)
{
    if (b->len != TOKEN_SIZE || load64(b->data + 40, 8) != token_hash(key, b->data, 40) ||
        b->data[1] != 1)
        return err_set(err, ERR_INVALID, "invalid token");
    *ret = (struct token){.kind = b->data[0],
                          .attempt = (int32_t)load64(b->data + 4, 4),
                          .ns = (int64_t)load64(b->data + 8, 8),
                          .run_key = (int64_t)load64(b->data + 16, 8),
                          .id = (int64_t)load64(b->data + 24, 8),
                          .stamp = (int64_t)load64(b->data + 32, 8)};
    return 0;
}
