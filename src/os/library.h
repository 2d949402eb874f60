/* Libraries that few runs need, loaded when first used: linked in the usual way, each process that is forked for an activity
 * would map them and all that they depend on (for libgit2 and libarchive, two dozen more). */
#ifndef FF_OS_LIBRARY_H
#define FF_OS_LIBRARY_H

#include "base/err.h"

#include <stddef.h>

/* One function of a library. Where to put its address: a pointer to a function pointer. */
struct os_symbol {
    const char *name;
    void *to;
};

/* A table of functions, from a list LIST(X) of X(function): struct { LIST(OS_LIBRARY_FIELD) } and { LIST(OS_LIBRARY_ENTRY) },
 * the variable being called `lib`. Types are those of the library's own header. */
#define OS_LIBRARY_FIELD(f) __typeof__(f) *f;
#define OS_LIBRARY_ENTRY(f) {#f, &lib.f},

/* Loads a library for the rest of the process's life. ERR_MISSING with the loader's words. */
int os_library_load(const char *soname, const struct os_symbol *symbols, size_t n, struct err *err);

#endif
