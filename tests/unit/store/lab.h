/* What the tests of the store share: the cmocka prelude, a folder of one's own, the back ends, checks of
 * resources.
 *
 * The S3 ones run when FF_TEST_S3 is the URL of a service (tests/real/stores.py starts real ones), each
 * test under a prefix of its own. */
#ifndef FF_TESTS_STORE_LAB_H
#define FF_TESTS_STORE_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "os/fault.h"
#include "os/file.h"
#include "store/s3/s3.h"
#include "store/store.h"
#include "store/tree.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fails with the message of the error. */
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        struct err err_ = {0}, *err = &err_;                                                       \
        (void)err;                                                                                 \
        int r_ = (call);                                                                           \
        if (r_ < 0)                                                                                \
            fail_msg("%s: %s (%s)", #call, err_.msg, err_name(r_));                                \
    } while (0)

static inline char *lab_dir(void)
{
    char *path = NULL;
    assert_int_equal(os_temp_dir("/tmp", "ff-store-", &path, NULL), 0);
    return path;
}

static inline void lab_dir_free(char **path)
{
    if (*path)
        (void)os_remove_tree(*path, NULL);
    free(*path);
}
#define _cleanup_dir_ __attribute__((cleanup(lab_dir_free)))

static inline void lab_write(const char *dir, const char *name, const void *data, size_t len)
{
    _cleanup_free_ char *path = os_path_join(dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}

enum lab_kind { LAB_LOCAL, LAB_MEMORY, LAB_S3, LAB_S3_GRACE /* spares what is young */ };
#define LAB_GRACE_MS 10000 /* longer than a step of a test that gets no turn on a busy machine */

static inline bool lab_has_s3(void)
{
    return getenv("FF_TEST_S3") != NULL;
}

/* How to open the store in the bucket that belongs to a folder. */
static inline struct s3_options lab_s3_options(const char *dir, char prefix[64], char cache[128])
{
    snprintf(cache, 128, "%s/s3-cache", dir);
    snprintf(prefix, 64, "%.40s/", dir + 1); /* "tmp/ff-store-..." */
    return (struct s3_options){.endpoint = getenv("FF_TEST_S3"), .bucket = getenv("FF_TEST_S3_BUCKET"),
                               .access_key = getenv("FF_TEST_S3_KEY"), .secret_key = getenv("FF_TEST_S3_SECRET"),
                               .key_file = getenv("FF_TEST_S3_KEYFILE"),
                               .style = getenv("FF_TEST_S3_STYLE"), .ca_file = getenv("FF_TEST_S3_CA"), .prefix = prefix, .cache_dir = cache,
                               .retry_ms = 60000, .grace_min_ms = -1};
}

/* The store of that kind in a folder, made if it is not there. */
static inline int lab_store(enum lab_kind kind, const char *dir, struct store **ret, struct err *err)
{
    char prefix[64], cache[128];
    if (kind == LAB_LOCAL)
        return store_open_local(dir, ret, err);
    if (kind == LAB_MEMORY)
        return store_open_memory(ret, err);
    struct s3_options o = lab_s3_options(dir, prefix, cache);
    o.grace_min_ms = kind == LAB_S3_GRACE ? LAB_GRACE_MS : -1;
    struct s3_retention keep = {0};
    int r = s3_init(&o, &keep, NULL, err);
    return r < 0 ? r : store_open_s3(&o, ret, err);
}

static inline int lab_open_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Repeatable bytes; text compresses, the others do not. */
static inline uint64_t lab_random(uint64_t *x)
{
    *x += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *x;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline char *lab_noise(size_t len, uint64_t seed)
{
    char *p = malloc(len + 8);
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = lab_random(&seed);
        memcpy(p + i, &v, 8);
    }
    return p;
}

static inline char *lab_text(size_t len, uint64_t seed)
{
    static const char *const words[] = {"return", "int", "struct", "value", "=", ";\n", "if (", ")", "err", "{", "}\n", "0"};
    char *p = malloc(len + 16);
    size_t n = 0;
    while (n < len)
        n += (size_t)sprintf(p + n, "%s ", words[lab_random(&seed) % ARRAY_LEN(words)]);
    p[len] = 0;
    return p;
}

#endif
