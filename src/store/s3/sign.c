/* OpenSSL has a type of the same name as one of our codes, which is not used here. */
#define ERR_STATE openssl_err_state
#include <openssl/evp.h>
#include <openssl/hmac.h>
#undef ERR_STATE

#include "store/s3/sign.h"

#include "base/assert.h"
#include "store/digest.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct header {
    char name[64]; /* lower case */
    const char *value;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct header *)a)->name, ((const struct header *)b)->name);
}

static void split_headers(const struct sign_request *q, struct header *h)
{
    ASSERT(q->headers_len <= SIGN_HEADERS_MAX);
    for (size_t i = 0; i < q->headers_len; i++) {
        const char *colon = strchr(q->headers[i], ':');
        size_t n = (size_t)(colon - q->headers[i]);
        ASSERT(colon && n < sizeof h[i].name);
        for (size_t k = 0; k < n; k++)
            h[i].name[k] = (char)tolower((unsigned char)q->headers[i][k]);
        h[i].name[n] = 0;
        h[i].value = colon + 1 + strspn(colon + 1, " ");
    }
    qsort(h, q->headers_len, sizeof *h, by_name);
}

static bool hmac(const void *key, size_t key_len, const char *text, unsigned char out[32])
{
    unsigned n = 0;
    return HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), out, &n) && n == 32;
}

/* The key of a day, a region and a service. */
static bool signing_key(const struct sign_request *q, const char *day, unsigned char out[32])
{
    unsigned char k[32];
    struct strbuf first = STRBUF_INIT_MAX(4096);
    strbuf_printf(&first, "AWS4%s", q->secret_key);
    bool ok = strbuf_check(&first, NULL) == 0 && hmac(first.s, first.len, day, k) && hmac(k, 32, q->region, out) &&
              hmac(out, 32, "s3", k) && hmac(k, 32, "aws4_request", out);
    if (first.s)
        explicit_bzero(first.s, first.len);
    explicit_bzero(k, sizeof k);
    strbuf_release(&first);
    return ok;
}

static void canonical(const struct sign_request *q, const struct header *h, struct strbuf *names, struct strbuf *out)
{
    strbuf_printf(out, "%s\n%s\n%s\n", q->method, q->path, q->query);
    for (size_t i = 0; i < q->headers_len; i++) {
        strbuf_printf(out, "%s:%s\n", h[i].name, h[i].value);
        strbuf_printf(names, "%s%s", i ? ";" : "", h[i].name);
    }
    strbuf_printf(out, "\n%s\n%s", strbuf_str(names), q->sha256);
}

int s3_sign(const struct sign_request *q, struct strbuf *out, struct err *err)
{
    struct header h[SIGN_HEADERS_MAX];
    struct strbuf text = STRBUF_INIT_MAX(64 << 10), names = STRBUF_INIT_MAX(4096);
    struct digest d;
    char day[9] = "", hex[DIGEST_HEX + 1], scope[128];
    unsigned char key[32], mac[32];
    split_headers(q, h);
    canonical(q, h, &names, &text);
    int r = strbuf_check(&text, err);
    if (r == 0)
        r = digest_of(text.s, text.len, &d, err);
    if (r == 0) {
        digest_hex(&d, hex);
        memcpy(day, q->date, 8);
        snprintf(scope, sizeof scope, "%s/%.60s/s3/aws4_request", day, q->region);
        strbuf_clear(&text);
        strbuf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", q->date, scope, hex);
        r = strbuf_check(&text, err);
    }
    if (r == 0 && (!signing_key(q, day, key) || !hmac(key, 32, text.s, mac)))
        r = err_nomem(err);
    if (r == 0) {
        memcpy(d.b, mac, DIGEST_LEN);
        digest_hex(&d, hex);
        strbuf_printf(out, "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
                      q->access_key, scope, strbuf_str(&names), hex);
        r = strbuf_check(out, err);
    }
    explicit_bzero(key, sizeof key);
    strbuf_release(&text);
    strbuf_release(&names);
    return r;
}
