/* Keys from the file of AWS's own programs: sections with aws_access_key_id and so on. */
#ifndef FF_STORE_S3_CREDENTIALS_H
#define FF_STORE_S3_CREDENTIALS_H

#include "base/err.h"

struct s3_keys {
    char *access, *secret;
    char *token; /* of temporary ones, or NULL */
};

/* -ERR_NOT_FOUND: no such file; -ERR_UNAUTHENTICATED: it has no keys in that section. Release in any case. */
int s3_keys_read(const char *path, const char *profile, struct s3_keys *ret, struct err *err);
/* Copies; token may be NULL or "". */
int s3_keys_set(struct s3_keys *k, const char *access, const char *secret, const char *token, struct err *err);
void s3_keys_release(struct s3_keys *k);

#endif
