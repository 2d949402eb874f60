/* AWS Signature Version 4 of one request, in its Authorization header.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 *
 * libcurl can sign too, but it dates requests by the clock of this host only, and a host whose clock is
 * off could then never talk to the service. */
#ifndef FF_STORE_S3_SIGN_H
#define FF_STORE_S3_SIGN_H

#include "base/err.h"
#include "base/strbuf.h"

#include <stddef.h>

struct sign_request {
    const char *access_key, *secret_key, *region;
    const char *method;
    const char *path;  /* encoded, with the leading slash */
    const char *query; /* encoded and sorted, "" without one */
    const char *date;  /* "20130524T000000Z" */
    const char *sha256; /* of the body, hex, or "UNSIGNED-PAYLOAD" */
    const char *const *headers; /* "Name: value": all are signed; host, x-amz-date and x-amz-content-sha256 among them */
    size_t headers_len;         /* at most SIGN_HEADERS_MAX */
};
#define SIGN_HEADERS_MAX 16

/* Appends "Authorization: AWS4-HMAC-SHA256 ...". */
int s3_sign(const struct sign_request *q, struct strbuf *out, struct err *err);

#endif
