/* A bucket of an S3 service as a store, shared by any number of hosts.
 *
 * Nothing but the bucket is shared: no lock, no server of ours. docs/storage.md ("On S3") has the
 * layout of the objects and why collection is safe beside writers of other hosts. */
#ifndef FF_STORE_S3_S3_H
#define FF_STORE_S3_S3_H

#include "store/backend.h"
#include "store/store.h"

/* What is zero or NULL takes the value in brackets. Nothing is kept by reference. */
struct s3_options {
    const char *endpoint;      /* URL [that of AWS for the region] */
    const char *region;        /* [us-east-1] */
    const char *bucket;        /* required */
    const char *prefix;        /* of all keys, "a/b/" [""] */
    const char *access_key;    /* required */
    const char *secret_key;    /* required */
    const char *session_token; /* of temporary credentials [none] */
    const char *credentials_file; /* of the keys: read again when the service no longer takes them [none] */
    const char *profile;       /* section of it */
    const char *style;         /* "path", "virtual" or "auto": virtual on AWS only, unless the name has dots [auto] */
    const char *ca_file;       /* certificates to trust [the system's] */
    unsigned parallel;         /* transfers at a time, at most 64 [8] */
    int64_t retry_ms;          /* for how long a failing request is tried again [60 s] */
    const char *cache_dir;     /* required: index of the bucket and fetched bytes */
    uint64_t cache_max_bytes;  /* [10 GB] */
    int64_t cache_ttl_ms;      /* since last use [7 d] */
    const char *key_file;      /* encryption: seal.h [none] */
    size_t pack_bytes;         /* how much goes into one object [4 MB] */
    int64_t grace_min_ms;      /* collection spares what is younger, whatever it is told [1 h]; -1: 0, for tests */
};

/* Opens a store in a bucket that s3_init() has made. No request is sent before it is used. */
int store_open_s3(const struct s3_options *o, struct store **ret, struct err *err);
int backend_s3_open(const struct s3_options *o, struct store_backend **ret, struct err *err);

/* How long objects stay that nobody puts again, in days; 0: for ever. */
struct s3_retention {
    unsigned targets_days, results_days, corpora_days;
};
/* Makes the bucket (private) unless it is there, and sets what expires. *ret_created may be NULL. */
int s3_init(const struct s3_options *o, const struct s3_retention *keep, bool *ret_created,
            struct err *err);

#endif
