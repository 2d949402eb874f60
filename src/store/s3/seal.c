/* OpenSSL has a type of the same name as one of our codes, which is not used here. */
#define ERR_STATE openssl_err_state
#include <openssl/evp.h>
#include <openssl/hmac.h>
#undef ERR_STATE

#include "store/s3/seal.h"

#include "base/cleanup.h"
#include "os/file.h"
#include "store/digest.h"

#include <string.h>
#include <sys/stat.h>

#define FILE_MAX ((size_t)64 << 10)

void keyring_clear(struct keyring *k)
{
    explicit_bzero(k, sizeof *k);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int add_key(struct keyring *k, const char *text, const char *path, int line, struct err *err)
{
    struct digest d;
    if (k->len == KEYRING_MAX)
        return err_set(err, ERR_LIMIT, "%s: over %d keys", path, KEYRING_MAX);
    uint8_t *key = k->v[k->len].key;
    size_t n = strlen(text);
    for (size_t i = 0; i < 32; i++) {
        int hi = n == 64 ? hex_digit(text[2 * i]) : -1, lo = n == 64 ? hex_digit(text[2 * i + 1]) : -1;
        if (hi < 0 || lo < 0)
            return err_set(err, ERR_INVALID, "%s:%d: a key is 64 hexadecimal digits", path, line);
        key[i] = (uint8_t)(hi << 4 | lo);
    }
    int r = digest_of(key, 32, &d, err);
    if (r < 0)
        return r;
    uint32_t id = (uint32_t)d.b[0] << 24 | (uint32_t)d.b[1] << 16 | (uint32_t)d.b[2] << 8 | d.b[3];
    k->v[k->len++].id = id ? id : 1;
    return 0;
}

int keyring_load(struct keyring *k, const char *path, struct err *err)
{
    char *text = NULL;
    struct stat st;
    size_t len = 0;
    int line = 0;
    *k = (struct keyring){0};
    if (!path || !*path)
        return 0;
    int r = os_read_file(path, FILE_MAX, &text, &len, err);
    if (r == 0 && stat(path, &st) == 0 && (st.st_mode & 077))
        r = err_set(err, ERR_PERMISSION, "%s can be read by others: chmod 600", path);
    for (char *p = r == 0 ? text : NULL, *next; r == 0 && p; p = next) {
        next = strchr(p, '\n');
        if (next)
            *next++ = 0;
        line++;
        p += strspn(p, " \t\r");
        p[strcspn(p, "# \t\r")] = 0;
        if (*p)
            r = add_key(k, p, path, line, err);
    }
    if (r == 0 && !k->len)
        r = err_set(err, ERR_INVALID, "%s has no key", path);
    if (text)
        explicit_bzero(text, len);
    free(text);
    if (r < 0)
        keyring_clear(k);
    return r;
}

/* HKDF-SHA256 with one block of output. */
static bool derive(const uint8_t key[32], const uint8_t *salt, uint8_t out[32])
{
    static const uint8_t info[] = "fuzzforge pack\x01";
    uint8_t prk[32];
    unsigned n = 0;
    bool ok = HMAC(EVP_sha256(), salt, SEAL_SALT, key, 32, prk, &n) && n == 32 &&
              HMAC(EVP_sha256(), prk, 32, info, sizeof info - 1, out, &n) && n == 32;
    explicit_bzero(prk, sizeof prk);
    return ok;
}

int seal_init(struct seal *s, const struct keyring *k, uint32_t key_id, const uint8_t salt[SEAL_SALT],
              struct err *err)
{
    *s = (struct seal){0};
    for (size_t i = 0; i < k->len; i++) {
        if (k->v[i].id != key_id)
            continue;
        s->ctx = EVP_CIPHER_CTX_new();
        return s->ctx && derive(k->v[i].key, salt, s->key) ? 0 : err_nomem(err);
    }
    err_set(err, ERR_MISSING, "what is stored there is encrypted with the key %08x, which is not in s3.key_file",
            key_id);
    return -ERR_MISSING;
}

void seal_release(struct seal *s)
{
    EVP_CIPHER_CTX_free(s->ctx);
    explicit_bzero(s, sizeof *s);
}

static void make_nonce(uint32_t number, uint8_t nonce[12])
{
    memset(nonce, 0, 12);
    for (int i = 0; i < 4; i++)
        nonce[i] = (uint8_t)(number >> (8 * i));
}

int seal_close(struct seal *s, uint32_t number, const void *what, size_t what_len, uint8_t *data,
               size_t len, struct err *err)
{
    uint8_t nonce[12];
    int n = 0, m = 0;
    make_nonce(number, nonce);
    bool ok = EVP_EncryptInit_ex(s->ctx, EVP_aes_256_gcm(), NULL, s->key, nonce) == 1 &&
              EVP_EncryptUpdate(s->ctx, NULL, &n, what, (int)what_len) == 1 &&
              EVP_EncryptUpdate(s->ctx, data, &n, data, (int)len) == 1 && (size_t)n == len &&
              EVP_EncryptFinal_ex(s->ctx, data + len, &m) == 1 && m == 0 &&
              EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_GCM_GET_TAG, SEAL_TAG, data + len) == 1;
    return ok ? 0 : err_set(err, ERR_INTERNAL, "cannot encrypt");
}

int seal_open(struct seal *s, uint32_t number, const void *what, size_t what_len, uint8_t *data,
              size_t len, struct err *err)
{
    uint8_t nonce[12], end[16];
    int n = 0, m = 0;
    make_nonce(number, nonce);
    bool ok = EVP_DecryptInit_ex(s->ctx, EVP_aes_256_gcm(), NULL, s->key, nonce) == 1 &&
              EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_GCM_SET_TAG, SEAL_TAG, data + len) == 1 &&
              EVP_DecryptUpdate(s->ctx, NULL, &n, what, (int)what_len) == 1 &&
              EVP_DecryptUpdate(s->ctx, data, &n, data, (int)len) == 1 && (size_t)n == len &&
              EVP_DecryptFinal_ex(s->ctx, end, &m) == 1;
    return ok ? 0 : err_set(err, ERR_CORRUPT, "encrypted bytes that were changed, or another key's");
}
