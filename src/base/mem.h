/* Allocation with a seam for faults.
 *
 * Library code allocates through these, so that a test can let the n-th allocation fail. What they
 * give is freed with free(). A NULL means ERR_NO_MEMORY for the caller's caller: see err_nomem(). */
#ifndef FF_BASE_MEM_H
#define FF_BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

void *mem_alloc(size_t size) __attribute__((malloc, warn_unused_result));
/* alignment: a power of two, of at least a pointer's size. */
void *mem_alloc_aligned(size_t alignment, size_t size) __attribute__((warn_unused_result));
void *mem_zalloc(size_t size) __attribute__((malloc, warn_unused_result)); /* zeroed */
void *mem_calloc(size_t n, size_t size) __attribute__((malloc, warn_unused_result));
void *mem_realloc(void *p, size_t size) __attribute__((warn_unused_result));
char *mem_strdup(const char *s) __attribute__((malloc, warn_unused_result)); /* NULL for NULL */
char *mem_strndup(const char *s, size_t n) __attribute__((malloc, warn_unused_result));
void *mem_dup(const void *p, size_t n) __attribute__((malloc, warn_unused_result));
char *mem_printf(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), malloc, warn_unused_result));

/* Tests: the n-th allocation of this process from now on fails, and all after it if sticky; 0 turns
 * it off. mem_fault_hit() tells whether it has happened. */
void mem_fault_set(long n, int sticky);
int mem_fault_hit(void);

#endif
