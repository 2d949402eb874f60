#include "store/blob.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/record.h"

#include <string.h>
#include <zstd.h>

#define EXPECT_CHUNKS 256 /* about 16 MB */
#define EXPECT_EVERY 32
#define SAMPLE ((size_t)4 << 10)

struct codec *codec_take(struct store *s)
{
    struct codec *c = NULL;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < ARRAY_LEN(s->spare) && !c; i++)
        c = TAKE_PTR(s->spare[i]);
    pthread_mutex_unlock(&s->lock);
    return c ? c : mem_zalloc(sizeof *c);
}

void codec_give(struct store *s, struct codec *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < ARRAY_LEN(s->spare) && c; i++)
        if (!s->spare[i])
            s->spare[i] = TAKE_PTR(c);
    pthread_mutex_unlock(&s->lock);
    codec_free(c);
}

void codec_free(struct codec *c)
{
    if (!c)
        return;
    ZSTD_freeCCtx(c->cctx);
    ZSTD_freeDCtx(c->dctx);
    free(c->buf);
    free(c);
}

static int reserve(struct codec *c, size_t n, struct err *err)
{
    if (c->cap >= n)
        return 0;
    free(c->buf);
    c->cap = 0;
    c->buf = mem_alloc(n);
    if (!c->buf)
        return err_nomem(err);
    c->cap = n;
    return 0;
}

static bool shrinks(struct codec *c, const char *data, size_t len)
{
    size_t n = ZSTD_compressCCtx(c->cctx, c->buf, c->cap, data, len, 1);
    return !ZSTD_isError(n) && n < len;
}

/* Of what does not pack at its start nor in its middle (it is packed already, or sealed) the rest is not tried. */
static bool worth_packing(struct codec *c, const char *data, size_t len)
{
    return len < 4 * SAMPLE || shrinks(c, data, SAMPLE) || shrinks(c, data + len / 2, SAMPLE);
}

/* Packs behind the header's room in c->buf, if that is worth it: *ret_packed. */
static int try_pack(struct codec *c, const void *data, size_t len, size_t *ret_len, bool *ret_packed, struct err *err)
{
    int r = reserve(c, BLOCK_HEADER + ZSTD_compressBound(len), err);
    if (r < 0)
        return r;
    if (!c->cctx && !(c->cctx = ZSTD_createCCtx()))
        return err_nomem(err);
    size_t n = len;
    if (worth_packing(c, data, len))
        n = ZSTD_compressCCtx(c->cctx, c->buf + BLOCK_HEADER, c->cap - BLOCK_HEADER, data, len, 1);
    /* Less than 3 % is not worth unpacking it at each read. */
    *ret_packed = !ZSTD_isError(n) && n < len - len / 32;
    *ret_len = BLOCK_HEADER + (*ret_packed ? n : len);
    return 0;
}

static void write_header(uint8_t *to, bool packed, size_t len)
{
    to[0] = packed ? 'Z' : 'R';
    for (int i = 0; i < 4; i++)
        to[1 + i] = (uint8_t)(len >> (8 * i));
}

int block_pack(struct codec *c, const void *data, size_t len, size_t *ret_len, struct err *err)
{
    bool packed;
    int r = try_pack(c, data, len, ret_len, &packed, err);
    if (r < 0)
        return r;
    if (!packed && len)
        memcpy(c->buf + BLOCK_HEADER, data, len);
    write_header(c->buf, packed, len);
    return 0;
}

int block_pack_there(struct codec *c, uint8_t *data, size_t len, const uint8_t **ret, size_t *ret_len, struct err *err)
{
    bool packed;
    int r = try_pack(c, data, len, ret_len, &packed, err);
    if (r < 0)
        return r;
    uint8_t *block = packed ? c->buf : data - BLOCK_HEADER;
    write_header(block, packed, len);
    *ret = block;
    return 0;
}

int block_length(const void *block, size_t len, size_t *ret, struct err *err)
{
    const uint8_t *p = block;
    if (len < BLOCK_HEADER || (p[0] != 'Z' && p[0] != 'R'))
        return err_set(err, ERR_CORRUPT, "not a block of the store");
    size_t n = 0;
    for (int i = 3; i >= 0; i--)
        n = n << 8 | p[1 + i];
    if (n > BLOCK_MAX || (p[0] == 'R' && n != len - BLOCK_HEADER))
        return err_set(err, ERR_CORRUPT, "a block with a wrong length");
    *ret = n;
    return 0;
}

int block_unpack(struct codec *c, const void *block, size_t len, void *out, size_t out_len,
                 struct err *err)
{
    const uint8_t *p = block;
    size_t n;
    int r = block_length(block, len, &n, err);
    if (r < 0)
        return r;
    if (n != out_len)
        return err_set(err, ERR_CORRUPT, "a block of %zu bytes instead of %zu", n, out_len);
    if (p[0] == 'R') {
        if (n)
            memcpy(out, p + BLOCK_HEADER, n);
        return 0;
    }
    if (!c->dctx && !(c->dctx = ZSTD_createDCtx()))
        return err_nomem(err);
    size_t got = ZSTD_decompressDCtx(c->dctx, out, n, p + BLOCK_HEADER, len - BLOCK_HEADER);
    if (ZSTD_isError(got) || got != n)
        return err_set(err, ERR_CORRUPT, "a block that does not unpack");
    return 0;
}

struct unpacking {
    struct codec *codec;
    char *out;
    size_t want, stored;
};

static int see_block(void *arg, const void *block, size_t len, struct err *err)
{
    struct unpacking *u = arg;
    u->stored = len;
    return block_unpack(u->codec, block, len, u->out, u->want, err);
}

static int see_chunk(struct store *s, const char *name, struct unpacking *u, struct err *err)
{
    const struct store_ops *ops = s->be->ops;
    _cleanup_free_ char *block = NULL;
    size_t len;
    if (ops->show)
        return ops->show(s->be, name, BLOCK_HEADER + BLOCK_MAX, see_block, u, err);
    int r = ops->get(s->be, name, BLOCK_HEADER + BLOCK_MAX, &block, &len, err);
    return r == 0 ? see_block(u, block, len, err) : r;
}

int chunk_load(struct store *s, struct codec *c, const struct digest *d, size_t want, char *out, size_t *ret_stored,
               struct err *err)
{
    struct blob_name name = blob_name_of('c', d);
    struct unpacking u = {c, out, want, 0};
    int r = see_chunk(s, name.s, &u, err);
    if (r == -ERR_NOT_FOUND)
        return err_set(err, ERR_CORRUPT, "chunk %.12s is missing", name.s + 2);
    if (r == -ERR_LIMIT)
        return err_set(err, ERR_CORRUPT, "chunk %.12s is too long", name.s + 2);
    if (r == -ERR_CORRUPT)
        return WRAP(r, err, "chunk %.12s", name.s + 2);
    if (r == 0 && ret_stored)
        *ret_stored = u.stored;
    return r;
}

int chunk_read(struct store *s, struct codec *c, const struct digest *d, size_t want, char **ret,
               size_t *ret_stored, struct err *err)
{
    struct blob_name name = blob_name_of('c', d);
    if (want > BLOCK_MAX)
        return err_set(err, ERR_CORRUPT, "chunk %.12s with a wrong length", name.s + 2);
    _cleanup_free_ char *out = mem_alloc(want + 1);
    if (!out)
        return err_nomem(err);
    int r = chunk_load(s, c, d, want, out, ret_stored, err);
    struct digest got;
    if (r == 0)
        r = digest_of(out, want, &got, err);
    if (r < 0)
        return r;
    if (!digest_equal(&got, d))
        return err_set(err, ERR_CORRUPT, "chunk %.12s: its bytes have changed", name.s + 2);
    out[want] = 0;
    *ret = TAKE_PTR(out);
    return 0;
}

void chunks_expect(struct store *s, const struct chunk_list *l, size_t i)
{
    struct digest next[EXPECT_CHUNKS];
    size_t n = 0;
    if (!s->be->ops->expect || i % EXPECT_EVERY != 0)
        return;
    while (n < EXPECT_CHUNKS && i + n < l->len) {
        next[n] = l->v[i + n].digest;
        n++;
    }
    s->be->ops->expect(s->be, next, n, i + n == l->len);
}
