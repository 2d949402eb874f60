/* OpenSSL has a type of the same name as one of our codes, which is not used here. */
#define ERR_STATE openssl_err_state
#define OPENSSL_SUPPRESS_DEPRECATED /* the interface of OpenSSL 3 hides the state that hasher_piece() needs */
#include <openssl/evp.h>
#include <openssl/sha.h>
#undef ERR_STATE

#include "store/digest.h"

#include "base/mem.h"
#include "os/clock.h"
#include "store/digest_pair.h"

#include <libdeflate.h>
#include <pthread.h>
#include <string.h>

/* Fetched once: an implicit fetch at each use costs more than hashing a small object. */
static EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static int hash_failed(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "SHA-256 is not available or memory is out");
}

int digest_of(const void *data, size_t len, struct digest *ret, struct err *err)
{
    pthread_once(&sha256_once, fetch_sha256);
    if (!sha256 || !EVP_Digest(data ? data : "", len, ret->b, NULL, sha256, NULL))
        return hash_failed(err);
    return 0;
}

int md5_base64(const void *data, size_t len, char out[MD5_BASE64], struct err *err)
{
    unsigned char md5[16];
    if (EVP_Digest(data, len, md5, NULL, EVP_md5(), NULL) != 1)
        return err_nomem(err);
    EVP_EncodeBlock((unsigned char *)out, md5, sizeof md5);
    return 0;
}

void crc32_base64(const void *data, size_t len, char out[CRC32_BASE64])
{
    uint32_t crc = libdeflate_crc32(0, data, len);
    unsigned char big[4];
    for (int i = 0; i < 4; i++)
        big[i] = (unsigned char)(crc >> (24 - 8 * i));
    EVP_EncodeBlock((unsigned char *)out, big, sizeof big);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->b, b->b, DIGEST_LEN) == 0;
}

void digest_hex(const struct digest *d, char out[DIGEST_HEX + 1])
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < DIGEST_LEN; i++) {
        out[2 * i] = hex[d->b[i] >> 4];
        out[2 * i + 1] = hex[d->b[i] & 15];
    }
    out[DIGEST_HEX] = 0;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool digest_from_hex(const char *s, struct digest *ret)
{
    for (int i = 0; i < DIGEST_LEN; i++) {
        int hi = nibble(s[2 * i]);
        int lo = hi < 0 ? -1 : nibble(s[2 * i + 1]);
        if (lo < 0)
            return false;
        ret->b[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

void digest_to_ref(const struct digest *d, struct store_ref *ret)
{
    memcpy(ret->text, "sha256:", 7);
    digest_hex(d, ret->text + 7);
}

bool store_ref_valid(const char *text)
{
    struct digest d;
    return text && strncmp(text, "sha256:", 7) == 0 && digest_from_hex(text + 7, &d) &&
           text[STORE_REF_LEN] == 0;
}

int digest_from_ref(const char *ref, struct digest *ret, struct err *err)
{
    if (!store_ref_valid(ref))
        return err_set(err, ERR_INVALID, "not a reference of an object: %.80s", ref ? ref : "");
    digest_from_hex(ref + 7, ret);
    return 0;
}

int hasher_init(struct hasher *h, struct err *err)
{
    h->ctx = mem_alloc(sizeof(SHA256_CTX));
    if (!h->ctx)
        return err_nomem(err);
    SHA256_Init(h->ctx);
    return 0;
}

void hasher_update(struct hasher *h, const void *data, size_t len)
{
    SHA256_Update(h->ctx, data, len);
}

static void count(SHA256_CTX *c, size_t bytes)
{
    uint64_t bits = ((uint64_t)c->Nh << 32 | c->Nl) + (uint64_t)bytes * 8;
    c->Nl = (SHA_LONG)bits;
    c->Nh = (SHA_LONG)(bits >> 32);
}

void hasher_piece(struct hasher *h, const void *data, size_t len, struct digest *ret)
{
    SHA256_CTX *whole = h->ctx, piece;
    const uint8_t *p = data;
    size_t skip = (SHA256_CBLOCK - whole->num) % SHA256_CBLOCK; /* until the whole is at the start of a block */
    size_t both = len < skip ? 0 : (len - skip) / SHA256_CBLOCK * SHA256_CBLOCK;
    if (!both)
        skip = 0;
    SHA256_Init(&piece);
    SHA256_Update(whole, p, skip);
    if (both && digest_pair_blocks(piece.h, p, whole->h, p + skip, both / SHA256_CBLOCK)) {
        count(&piece, both);
        count(whole, both);
    } else {
        both = 0;
    }
    SHA256_Update(&piece, p + both, len - both);
    SHA256_Update(whole, p + skip + both, len - skip - both);
    SHA256_Final(ret->b, &piece);
}

void hasher_final(struct hasher *h, struct digest *ret)
{
    SHA256_Final(ret->b, h->ctx);
}

void hasher_release(struct hasher *h)
{
    free(h->ctx);
    h->ctx = NULL;
}

void digest_set_release(struct digest_set *s)
{
    free(s->slots);
    free(s->used);
    *s = (struct digest_set){0};
}

static size_t slot_of(const struct digest_set *s, const struct digest *d)
{
    uint64_t h, more;
    memcpy(&h, d->b, 8);
    memcpy(&more, d->b + 8, 8);
    h = (h ^ s->seed) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= (more + s->seed) * UINT64_C(0xc2b2ae3d27d4eb4f);
    size_t i = (size_t)(h >> 20) & (s->cap - 1);
    while (s->used[i] && !digest_equal(&s->slots[i], d))
        i = (i + 1) & (s->cap - 1);
    return i;
}

bool digest_set_has(const struct digest_set *s, const struct digest *d)
{
    return s->cap && s->used[slot_of(s, d)];
}

static int set_grow(struct digest_set *s, struct err *err)
{
    struct digest_set bigger = {.cap = s->cap ? s->cap * 2 : 64, .len = s->len, .seed = s->seed};
    if (!s->cap)
        os_random(&bigger.seed, sizeof bigger.seed);
    bigger.slots = mem_calloc(bigger.cap, sizeof *bigger.slots);
    bigger.used = mem_calloc(bigger.cap, 1);
    if (!bigger.slots || !bigger.used) {
        free(bigger.slots);
        free(bigger.used);
        return err_nomem(err);
    }
    for (size_t i = 0; i < s->cap; i++) {
        if (!s->used[i])
            continue;
        size_t j = slot_of(&bigger, &s->slots[i]);
        bigger.slots[j] = s->slots[i];
        bigger.used[j] = 1;
    }
    digest_set_release(s);
    *s = bigger;
    return 0;
}

int digest_set_add(struct digest_set *s, const struct digest *d, bool *ret_new, struct err *err)
{
    if (3 * (s->len + 1) > 2 * s->cap) {
        int r = set_grow(s, err);
        if (r < 0)
            return r;
    }
    size_t i = slot_of(s, d);
    if (ret_new)
        *ret_new = !s->used[i];
    if (!s->used[i]) {
        s->slots[i] = *d;
        s->used[i] = 1;
        s->len++;
    }
    return 0;
}
