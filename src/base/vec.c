#include "base/vec.h"

#include "base/mem.h"

#include <stdint.h>

bool vec_grow_(void **v, size_t *cap, size_t len, size_t elem)
{
    if (len < *cap)
        return true;
    size_t n = *cap ? *cap * 2 : 8;
    if (n > SIZE_MAX / elem)
        return false;
    void *p = mem_realloc(*v, n * elem);
    if (!p)
        return false;
    *v = p;
    *cap = n;
    return true;
}
