/* A typed growing array: VEC(int) v = {0}; VEC_PUSH(&v, 7) gives false when memory is out.
 * Zero-initialised is empty. Elements are released by the owner, then VEC_RELEASE frees the array. */
#ifndef FF_BASE_VEC_H
#define FF_BASE_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define VEC(T)                                                                                     \
    struct {                                                                                       \
        T *v;                                                                                      \
        size_t len, cap;                                                                           \
    }

bool vec_grow_(void **v, size_t *cap, size_t len, size_t elem);

#define VEC_PUSH(a, x)                                                                             \
    (vec_grow_((void **)&(a)->v, &(a)->cap, (a)->len, sizeof *(a)->v)                              \
         ? ((a)->v[(a)->len++] = (x), true)                                                        \
         : false)
#define VEC_POP(a) ((a)->v[--(a)->len])
#define VEC_CLEAR(a) ((a)->len = 0)
#define VEC_RELEASE(a) (free((a)->v), (a)->v = NULL, (a)->len = (a)->cap = 0)
#define VEC_EACH(a, p) for (__typeof__((a)->v + 0) p = (a)->v; p && p < (a)->v + (a)->len; p++)

#endif
