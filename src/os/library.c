#include "os/library.h"

#include <dlfcn.h>
#include <string.h>

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
