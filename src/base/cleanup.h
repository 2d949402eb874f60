/* Cleanup attributes for locals.
 *
 * They run when a scope is left by any path of C; they do NOT run across Lua's longjmp, so a Lua
 * binding holds nothing live when it raises. */
#ifndef FF_BASE_CLEANUP_H
#define FF_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close_(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* free() when the scope ends. */
#define _cleanup_free_ __attribute__((cleanup(cleanup_free_)))
/* close() when the scope ends, if the descriptor is not negative. */
#define _cleanup_close_ __attribute__((cleanup(cleanup_close_)))
/* Call f(&variable) when the scope ends. */
#define _cleanup_(f) __attribute__((cleanup(f)))

/* Defines name_cleanup_(T *p), which calls f(*p) if *p is not NULL: for _cleanup_(name_cleanup_). */
#define DEFINE_CLEANUP(T, f)                                                                       \
    static inline __attribute__((unused)) void f##_cleanup_(T *p)                                                          \
    {                                                                                              \
        if (*p)                                                                                    \
            f(*p);                                                                                 \
    }

/* Gives a pointer away: the local becomes NULL, so that its cleanup does nothing. */
#define TAKE_PTR(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) take_ = (p);                                                                 \
        (p) = NULL;                                                                                \
        take_;                                                                                     \
    })
/* The same for a descriptor. */
#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int take_ = (fd);                                                                          \
        (fd) = -1;                                                                                 \
        take_;                                                                                     \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
