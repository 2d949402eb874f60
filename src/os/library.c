#include "os/library.h"

#include "base/sanitizer.h"

#include <dlfcn.h>
#include <string.h>

#ifdef BUILT_WITH_ASAN
/* For the thread-local storage of a library that is loaded late, the runtime (clang 14's) believes a header before the block that
 * today's C library no longer writes. Where something else stands there, the look for leaks at the end faults. ASAN_OPTIONS
 * still have the last word.
 * Source: the runtime's sanitizer_tls_get_addr.cpp; seen in one of ten runs of a program with gRPC on a busy machine. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "intercept_tls_get_addr=0";
}
#endif

int os_library_load(const char *soname, const struct os_symbol *symbols, size_t n, struct err *err)
{
    /* NOW: a millisecond more, and no symbol tables that are read again later. */
    void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return err_set(err, ERR_MISSING, "%s", dlerror());
    for (size_t i = 0; i < n; i++) {
        void *f = dlsym(library, symbols[i].name);
        if (!f)
            return err_set(err, ERR_MISSING, "%s has no %s", soname, symbols[i].name);
        memcpy(symbols[i].to, &f, sizeof f); /* ISO C knows no cast between the two */
    }
    return 0;
}
