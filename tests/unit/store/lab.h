/* What the tests of the store share: the cmocka prelude, a folder of one's own, both back ends, checks of resources. */
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
