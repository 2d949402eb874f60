/* One request to an S3 service, and what makes it last: signature (sign.h),
 * bounds of size and time, and another try after what may pass: time-outs, resets, 5xx, throttling,
 * a clock that is off. Redirects are never followed. Any thread may call. */
#ifndef FF_STORE_S3_HTTP_H
#define FF_STORE_S3_HTTP_H

#include "base/err.h"
#include "store/s3/s3.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct s3_http;

struct s3_request {
    const char *method;
    const char *key;   /* without the bucket; NULL: the bucket itself */
    const char *query; /* sorted, each with "=": "list-type=2&prefix=a%2F"; or NULL */
    const char *headers[6]; /* "Name: value", NULL ends */
    const char *again; /* one more header, of further tries: when the first may have gone through and its answer got lost */
    const void *body;
    size_t body_len;
    const char *body_sha256; /* 64 hex digits [computed] */
    /* The service compares the body with its CRC-32 instead of a signed SHA-256: for what its readers verify, at a fifth of the
     * price, here and there. See s3_response.checked. */
    bool crc32;
    size_t max_bytes;        /* of the answer's body; more is an error */
    /* When set, the answer's body must have exactly so many bytes (a range that was asked for). */
    bool exact;
    size_t exact_bytes;
    char *into; /* where the body goes, of max_bytes [memory of its own] */
    bool once; /* no other try */
    bool anonymous; /* not signed */
};

struct s3_response {
    long status;
    char *body; /* the caller's unless it is into; 0-terminated unless it is into */
    size_t len;
    int64_t date_ns;     /* the server's clock, 0 if it did not say */
    int64_t modified_ns; /* Last-Modified, 0 */
    uint64_t length;     /* Content-Length */
    char etag[80];
    bool checked;        /* it says that it knows the checksum that came with the body */
    bool repeated;       /* there was more than one try */
    char code[64];       /* of an error document */
    char location[160];  /* of a redirect */
};

int s3_http_new(const struct s3_options *o, struct s3_http **ret, struct err *err);
void s3_http_free(struct s3_http *h);

/* 0 with a 2xx answer. Else -ERR_NOT_FOUND (an absent key), -ERR_MISSING (an absent bucket),
 * -ERR_EXISTS (a condition that failed), -ERR_PERMISSION, -ERR_UNAUTHENTICATED, -ERR_NO_SPACE,
 * -ERR_UNAVAILABLE (after all tries), -ERR_IO. ret is filled in as far as there was an answer;
 * release it in any case. */
int s3_http_call(struct s3_http *h, const struct s3_request *q, struct s3_response *ret,
                 struct err *err);
void s3_response_release(struct s3_response *r);

/* The server's time less ours, as far as answers have told, in nanoseconds. */
int64_t s3_http_skew_ns(const struct s3_http *h);

struct s3_http_stats {
    atomic_ullong requests, retries, sent_bytes, received_bytes;
};
const struct s3_http_stats *s3_http_stats(const struct s3_http *h);

#endif
