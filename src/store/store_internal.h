/* What the files of store/ share; never included outside. */
#ifndef FF_STORE_STORE_INTERNAL_H
#define FF_STORE_STORE_INTERNAL_H

#include "store/backend.h"
#include "store/digest.h"
#include "store/store.h"
#include "store/tree.h"

#include <pthread.h>

/* Adds context, keeping the code also where err is NULL. */
#define WRAP(r, err, ...) ((err) ? err_wrap(err, __VA_ARGS__) : (r))

struct codec; /* blob.h */

struct store {
    struct store_backend *be;
    pthread_mutex_t lock; /* guards what follows */
    struct codec *spare[4]; /* compression contexts for reuse: making one costs more than a small object */
    struct leftover *left;  /* of failed uploads, beside which others went on (gc.c) */
    size_t left_chunks;
    pthread_mutex_t lock_uploads; /* taken before that of an upload */
    struct upload *uploads;       /* of this process that go on (upload.c) */
};

/* "c/<hex>" and the like. */
struct blob_name {
    char s[2 + DIGEST_HEX + 1];
};
struct blob_name blob_name_of(char kind, const struct digest *d);

/* Wraps a back end, which the store owns from then on (also on failure). */
int store_new(struct store_backend *be, struct store **ret, struct err *err);

#endif
