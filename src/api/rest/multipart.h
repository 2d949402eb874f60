/* multipart/form-data (RFC 7578 over RFC 2046) as it arrives: bytes of parts are handed on at once, nothing but a part's headers
 * is ever kept. How the bytes are cut makes no difference. */
#ifndef FF_API_REST_MULTIPART_H
#define FF_API_REST_MULTIPART_H

#include "base/err.h"

#include <stddef.h>

#define MULTIPART_BOUNDARY_MAX 70
#define MULTIPART_HEADERS_MAX 4096 /* bytes of one part's */
#define MULTIPART_PARTS_MAX 64

/* A negative answer ends it, and is what feed() gives. Strings are valid during the call. */
struct multipart_ops {
    int (*begin)(void *arg, const char *name, const char *file_name, struct err *err); /* file_name: NULL if there is none */
    int (*data)(void *arg, const void *data, size_t len, struct err *err);
    int (*end)(void *arg, struct err *err);
};

/* The boundary that a Content-Type names. ret: MULTIPART_BOUNDARY_MAX + 1 bytes. -ERR_INVALID. */
int multipart_boundary(const char *content_type, char *ret, struct err *err);

struct multipart;
int multipart_new(const char *boundary, const struct multipart_ops *ops, void *arg, struct multipart **ret, struct err *err);
/* -ERR_INVALID: it is malformed. After an error it stays so. */
int multipart_feed(struct multipart *m, const void *data, size_t len, struct err *err);
/* -ERR_INVALID: the last boundary has not come. */
int multipart_finish(struct multipart *m, struct err *err);
void multipart_free(struct multipart *m);

#endif
