#include "codec/sha256.h"

#include <openssl/evp.h>

void sha256_begin(struct sha256 *h)
{
    if (!h->ctx)
        h->ctx = EVP_MD_CTX_new();
    h->failed = !h->ctx || EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1;
}

void sha256_add(struct sha256 *h, const void *data, size_t n)
{
    if (!h->failed)
        h->failed = EVP_DigestUpdate(h->ctx, data, n) != 1;
}

bool sha256_end(struct sha256 *h, unsigned char digest[SHA256_BYTES])
{
    return !h->failed && EVP_DigestFinal_ex(h->ctx, digest, NULL) == 1;
}

void sha256_release(struct sha256 *h)
{
    EVP_MD_CTX_free(h->ctx);
    h->ctx = NULL;
}
