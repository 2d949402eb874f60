#include "store/s3/pack.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/vec.h"
#include "os/clock.h"
#include "store/record.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define DIRECTORY_NUMBER UINT32_MAX

static const char magic[PACK_HEADER] = {'F', 'F', 'P', 'A', 'C', 'K', '1', '\n'};

void pack_init(struct pack *p, bool sealed)
{
    *p = (struct pack){.buf = STRBUF_INIT_MAX(PACK_MAX), .siblings = STRBUF_INIT_MAX(SIBLINGS_MAX), .sealed = sealed};
}

void pack_release(struct pack *p)
{
    strbuf_release(&p->buf);
    strbuf_release(&p->siblings);
    VEC_RELEASE(&p->entries);
}

bool pack_empty(const struct pack *p)
{
    return p->entries.len == 0;
}

static void begin(struct pack *p)
{
    if (!p->buf.len)
        strbuf_append(&p->buf, magic, sizeof magic);
}

static const uint8_t no_tag[SEAL_TAG];

int pack_add(struct pack *p, const char *name, const void *data, size_t len, struct err *err)
{
    struct pack_entry e = {.kind = name[0], .len = (uint32_t)len};
    ASSERT((name[0] == 'c' || name[0] == 'o') && digest_from_hex(name + 2, &e.digest));
    begin(p);
    e.offset = (uint32_t)p->buf.len;
    strbuf_append(&p->buf, data, len);
    if (p->sealed)
        strbuf_append(&p->buf, no_tag, SEAL_TAG);
    else
        e.check = XXH3_64bits(data, len); /* now, while it is near */
    int r = strbuf_check(&p->buf, err);
    return r < 0 ? r : VEC_PUSH(&p->entries, e) ? 0 : err_nomem(err);
}

void pack_more_siblings(struct strbuf *to, const struct strbuf *from)
{
    if (from->len <= to->max - to->len)
        strbuf_append(to, from->s, from->len);
}

int pack_append(struct pack *p, struct pack *other, struct err *err)
{
    ASSERT(p->sealed == other->sealed);
    pack_more_siblings(&p->siblings, &other->siblings);
    strbuf_clear(&other->siblings);
    if (pack_empty(other))
        return 0;
    if (pack_empty(p)) { /* as a whole */
        struct strbuf buf = p->buf;
        struct pack_entries entries = p->entries;
        p->buf = other->buf;
        p->entries = other->entries;
        other->buf = buf;
        other->entries = entries;
        return 0;
    }
    begin(p);
    uint32_t shift = (uint32_t)(p->buf.len - PACK_HEADER);
    strbuf_append(&p->buf, other->buf.s + PACK_HEADER, other->buf.len - PACK_HEADER);
    int r = strbuf_check(&p->buf, err);
    for (size_t i = 0; i < other->entries.len && r == 0; i++) {
        struct pack_entry e = other->entries.v[i];
        e.offset += shift;
        r = VEC_PUSH(&p->entries, e) ? 0 : err_nomem(err);
    }
    strbuf_clear(&other->buf);
    VEC_CLEAR(&other->entries);
    return r;
}

/* What a blob's tag is bound to: which blob it is. */
static void make_what(const struct pack_entry *e, uint8_t out[1 + DIGEST_LEN])
{
    out[0] = (uint8_t)e->kind;
    memcpy(out + 1, e->digest.b, DIGEST_LEN);
}

static int seal_blobs(struct pack *p, struct seal *s, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < p->entries.len && r == 0; i++) {
        struct pack_entry *e = &p->entries.v[i];
        uint8_t what[1 + DIGEST_LEN];
        make_what(e, what);
        r = seal_close(s, (uint32_t)i, what, sizeof what, (uint8_t *)p->buf.s + e->offset, e->len, err);
        e->len += SEAL_TAG;
    }
    return r;
}

static void put_directory(struct pack *p)
{
    VEC_EACH(&p->entries, e)
    {
        strbuf_putc(&p->buf, e->kind);
        strbuf_append(&p->buf, e->digest.b, DIGEST_LEN);
        put_u32(&p->buf, e->offset);
        put_u32(&p->buf, e->len);
        if (p->sealed)
            e->check = XXH3_64bits(p->buf.s + e->offset, e->len);
        put_u64(&p->buf, e->check);
    }
}

int pack_finish(struct pack *p, const struct keyring *keys, struct err *err)
{
    struct seal s = {0};
    p->seal.key_id = p->sealed ? keys->v[0].id : 0;
    os_random(p->seal.salt, sizeof p->seal.salt);
    begin(p);
    int r = p->sealed ? seal_init(&s, keys, p->seal.key_id, p->seal.salt, err) : 0;
    if (r == 0 && p->sealed)
        r = seal_blobs(p, &s, err);
    size_t siblings = strbuf_check(&p->siblings, NULL) == 0 ? p->siblings.len : 0;
    strbuf_append(&p->buf, p->siblings.s, siblings);
    size_t start = p->directory = p->buf.len;
    if (r == 0) {
        put_directory(p);
        if (p->sealed)
            strbuf_append(&p->buf, no_tag, SEAL_TAG);
        r = strbuf_check(&p->buf, err);
    }
    size_t len = p->buf.len - start;
    if (r == 0 && p->sealed)
        r = seal_close(&s, DIRECTORY_NUMBER, magic, sizeof magic, (uint8_t *)p->buf.s + start, len - SEAL_TAG, err);
    seal_release(&s);
    if (r < 0)
        return r;
    put_u32(&p->buf, (uint32_t)len);
    put_u32(&p->buf, (uint32_t)p->entries.len);
    put_u32(&p->buf, p->seal.key_id);
    put_u32(&p->buf, (uint32_t)siblings);
    strbuf_append(&p->buf, p->seal.salt, SEAL_SALT);
    put_checksum(&p->buf, start);
    strbuf_append(&p->buf, magic, sizeof magic);
    return strbuf_check(&p->buf, err);
}

int pack_digest(const struct pack *p, struct digest *ret, struct err *err)
{
    return digest_of(p->buf.s + p->directory, p->buf.len - p->directory, ret, err);
}

void pack_sibling(struct strbuf *siblings, const char *name, const struct pack *p)
{
    size_t n = strlen(name), tail = p->buf.len - p->directory;
    if (siblings->len + 8 + 1 + n + 4 + tail > siblings->max)
        return;
    put_u64(siblings, p->buf.len);
    strbuf_putc(siblings, (char)n);
    strbuf_append(siblings, name, n);
    put_u32(siblings, (uint32_t)tail);
    strbuf_append(siblings, p->buf.s + p->directory, tail);
}

/* --- reading -------------------------------------------------------------------------------------------- */

static int corrupt(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "a pack with %s", what);
}

/* The footer of a pack; n bytes end with it. */
struct footer {
    uint32_t directory, count, siblings;
    struct pack_seal seal;
};

static int read_footer(const uint8_t *tail, size_t n, uint64_t size, struct footer *ret, struct err *err)
{
    if (n < PACK_FOOTER || size < PACK_HEADER + PACK_FOOTER || n > size ||
        memcmp(tail + n - sizeof magic, magic, sizeof magic) != 0)
        return corrupt(err, "no end");
    struct cursor c = {tail + n - PACK_FOOTER, tail + n, false};
    ret->directory = get_u32(&c);
    ret->count = get_u32(&c);
    ret->seal.key_id = get_u32(&c);
    ret->siblings = get_u32(&c);
    memcpy(ret->seal.salt, get_bytes(&c, SEAL_SALT), SEAL_SALT);
    uint64_t want = (uint64_t)ret->count * PACK_ENTRY + (ret->seal.key_id ? SEAL_TAG : 0);
    if (ret->count > PACK_BLOBS_MAX || ret->directory != want ||
        want > size - PACK_HEADER - PACK_FOOTER || ret->siblings > size - PACK_HEADER - PACK_FOOTER - want)
        return corrupt(err, "a wrong directory");
    return 0;
}

int pack_tail(const void *tail, size_t n, uint64_t size, size_t *ret_need, size_t *ret_siblings, struct err *err)
{
    struct footer f;
    int r = read_footer(tail, n, size, &f, err);
    *ret_need = r == 0 ? (size_t)f.directory + PACK_FOOTER : 0;
    if (ret_siblings)
        *ret_siblings = r == 0 ? f.siblings : 0;
    return r;
}

bool pack_next_sibling(const uint8_t **at, const uint8_t *end, struct pack_sibling *ret)
{
    struct cursor c = {*at, end, false};
    struct digest d;
    char hex[DIGEST_HEX + 1];
    ret->size = get_u64(&c);
    size_t n = get_u8(&c);
    const uint8_t *name = get_bytes(&c, n);
    ret->tail_len = get_u32(&c);
    ret->tail = get_bytes(&c, ret->tail_len);
    if (c.bad || !name || !ret->tail || n < DIGEST_HEX || n >= sizeof ret->name)
        return false;
    memcpy(ret->name, name, n);
    ret->name[n] = 0;
    *at = c.p;
    if (digest_of(ret->tail, ret->tail_len, &d, NULL) < 0)
        return false;
    digest_hex(&d, hex);
    return memcmp(name + n - DIGEST_HEX, hex, DIGEST_HEX) == 0;
}

static int read_entries(const uint8_t *p, const struct footer *f, uint64_t size, struct pack_entries *ret,
                        struct err *err)
{
    struct cursor c = {p, p + (size_t)f->count * PACK_ENTRY, false};
    uint64_t end = size - PACK_FOOTER - f->directory - f->siblings;
    ret->v = mem_calloc(f->count, sizeof *ret->v);
    if (!ret->v)
        return err_nomem(err);
    ret->len = ret->cap = f->count;
    VEC_EACH(ret, e)
    {
        e->kind = (char)get_u8(&c);
        const uint8_t *d = get_bytes(&c, DIGEST_LEN);
        e->offset = get_u32(&c);
        e->len = get_u32(&c);
        e->check = get_u64(&c);
        if (c.bad || (e->kind != 'c' && e->kind != 'o') || e->offset < PACK_HEADER ||
            e->offset > end || e->len > end - e->offset || (f->seal.key_id && e->len < SEAL_TAG))
            return corrupt(err, "a place outside of it");
        memcpy(e->digest.b, d, DIGEST_LEN);
    }
    return 0;
}

int pack_directory(const void *tail, size_t n, uint64_t size, const struct keyring *keys,
                   struct pack_entries *ret, struct pack_seal *ret_seal, struct err *err)
{
    struct footer f;
    *ret = (struct pack_entries){0};
    int r = read_footer(tail, n, size, &f, err);
    if (r < 0)
        return r;
    if (n < f.directory + PACK_FOOTER)
        return corrupt(err, "half a directory");
    const uint8_t *start = (const uint8_t *)tail + n - PACK_FOOTER - f.directory;
    struct cursor at = {start + f.directory + PACK_FOOTER - 16, start + f.directory + PACK_FOOTER, false};
    if (get_u64(&at) != XXH3_64bits(start, f.directory + PACK_FOOTER - 16))
        return corrupt(err, "a changed directory");
    uint8_t *open = NULL;
    if (f.seal.key_id) {
        struct seal s = {0};
        open = mem_dup(start, f.directory);
        r = open ? seal_init(&s, keys, f.seal.key_id, f.seal.salt, err) : err_nomem(err);
        if (r == 0)
            r = seal_open(&s, DIRECTORY_NUMBER, magic, sizeof magic, open, f.directory - SEAL_TAG, err);
        seal_release(&s);
    }
    if (r == 0)
        r = read_entries(open ? open : start, &f, size, ret, err);
    free(open);
    if (r < 0) {
        VEC_RELEASE(ret);
        return r;
    }
    *ret_seal = f.seal;
    return 0;
}

int pack_open_blob(const struct keyring *keys, const struct pack_seal *seal, const struct pack_entry *e,
                   uint32_t index, void *data, size_t *len, struct err *err)
{
    if (!seal->key_id)
        return 0;
    if (*len < SEAL_TAG)
        return corrupt(err, "a blob that is too short");
    struct seal s;
    uint8_t what[1 + DIGEST_LEN];
    make_what(e, what);
    int r = seal_init(&s, keys, seal->key_id, seal->salt, err);
    if (r == 0)
        r = seal_open(&s, index, what, sizeof what, data, *len - SEAL_TAG, err);
    seal_release(&s);
    *len -= SEAL_TAG;
    return r;
}
