#include "base/mem.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static atomic_long fault_countdown;
static atomic_int fault_sticky, fault_happened;

void mem_fault_set(long n, int sticky)
{
    atomic_store(&fault_happened, 0);
    atomic_store(&fault_sticky, sticky);
    atomic_store(&fault_countdown, n);
}

int mem_fault_hit(void)
{
    return atomic_load(&fault_happened);
}

static int fails(void)
{
    if (atomic_load_explicit(&fault_countdown, memory_order_relaxed) == 0)
        return atomic_load_explicit(&fault_sticky, memory_order_relaxed) &&
               atomic_load_explicit(&fault_happened, memory_order_relaxed);
    if (atomic_fetch_sub(&fault_countdown, 1) != 1)
        return 0;
    atomic_store(&fault_happened, 1);
    return 1;
}

void *mem_alloc(size_t size)
{
    return fails() ? NULL : malloc(size ? size : 1);
}

void *mem_alloc_aligned(size_t alignment, size_t size)
{
    void *p;
    return fails() || posix_memalign(&p, alignment, size ? size : 1) != 0 ? NULL : p;
}

void *mem_zalloc(size_t size)
{
    return fails() ? NULL : calloc(1, size ? size : 1);
}

void *mem_calloc(size_t n, size_t size)
{
    return fails() ? NULL : calloc(n ? n : 1, size ? size : 1);
}

void *mem_realloc(void *p, size_t size)
{
    return fails() ? NULL : realloc(p, size ? size : 1);
}

char *mem_strdup(const char *s)
{
    return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *mem_strndup(const char *s, size_t n)
{
    n = strnlen(s, n);
    char *p = mem_alloc(n + 1);
    if (p) {
        memcpy(p, s, n);
        p[n] = 0;
    }
    return p;
}

void *mem_dup(const void *s, size_t n)
{
    void *p = mem_alloc(n);
    if (p && n)
        memcpy(p, s, n);
    return p;
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0);
    char *p = mem_alloc((size_t)n + 1);
    if (p) {
        va_start(ap, fmt);
        vsnprintf(p, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    return p;
}

void assert_fail_(const char *expr, const char *file, int line)
{
    fprintf(stderr, "ff: bug: assertion '%s' failed at %s:%d\n", expr, file, line);
    abort();
}
