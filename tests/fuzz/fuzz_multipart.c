/* Form data, as the server reads it: the same parts come out however the bytes are cut. The input: a boundary's line, then the
 * body. */
#include "api/rest/multipart.h"
#include "base/assert.h"
#include "fuzz.h"

#include <string.h>

struct told {
    uint64_t hash;
    int depth;
};

static void mix(struct told *t, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        t->hash = (t->hash ^ p[i]) * UINT64_C(1099511628211); /* FNV-1a */
}

static int begin(void *arg, const char *name, const char *file, struct err *err)
{
    struct told *t = arg;
    (void)err;
    ASSERT(t->depth == 0 && strlen(name) < 256);
    t->depth = 1;
    mix(t, name, strlen(name) + 1);
    mix(t, file ? file : "-", file ? strlen(file) + 1 : 1);
    return 0;
}

static int data(void *arg, const void *p, size_t n, struct err *err)
{
    struct told *t = arg;
    (void)err;
    ASSERT(t->depth == 1 && n);
    mix(t, p, n);
    return 0;
}

static int end(void *arg, struct err *err)
{
    struct told *t = arg;
    (void)err;
    ASSERT(t->depth == 1);
    t->depth = 0;
    mix(t, "|", 1);
    return 0;
}

static int read_in_steps(const char *boundary, const uint8_t *p, size_t size, size_t step, struct told *told)
{
    static const struct multipart_ops ops = {begin, data, end};
    struct multipart *m;
    *told = (struct told){UINT64_C(14695981039346656037), 0};
    ASSERT(multipart_new(boundary, &ops, told, &m, NULL) == 0);
    int r = 0;
    for (size_t i = 0; i < size && r == 0; i += step)
        r = multipart_feed(m, p + i, step < size - i ? step : size - i, NULL);
    int finish = multipart_finish(m, NULL);
    ASSERT(r == 0 || finish == r);
    multipart_free(m);
    return finish;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    char type[300], boundary[MULTIPART_BOUNDARY_MAX + 1];
    const uint8_t *nl = memchr(input, '\n', size);
    size_t n = nl ? (size_t)(nl - input) : 0;
    if (!nl || n >= sizeof type)
        return 0;
    memcpy(type, input, n);
    type[n] = 0;
    if (multipart_boundary(type, boundary, NULL) < 0)
        return 0;
    struct told whole, cut;
    size_t left = size - n - 1;
    int a = read_in_steps(boundary, nl + 1, left, left ? left : 1, &whole);
    int b = read_in_steps(boundary, nl + 1, left, size % 5 + 1, &cut);
    ASSERT(a == b && whole.hash == cut.hash && whole.depth == cut.depth);
    return 0;
}
