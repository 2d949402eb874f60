/* A module.yaml from anybody: what is accepted is whole and stays in its folder, what is refused says file and line. */
#include "base/assert.h"
#include "base/mem.h"
#include "fuzz.h"
#include "module/module_internal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct module_def d = {.name = mem_strdup("probe"), .dir = mem_strdup("/usr/bin")};
    struct err err = {0};
    ASSERT(d.name && d.dir);
    if (module_yaml_parse(&d, "module.yaml", (const char *)data, size, &err) == 0) {
        ASSERT(d.version && d.description && !d.argv != !d.library);
        ASSERT(!d.argv || (d.argv[0][0] == '/' && !strstr(d.argv[0], "/module/../")));
        ASSERT(!d.library || (d.library[0] != '/' && strncmp(d.library, "../", 3) != 0 && d.entry));
    } else {
        ASSERT(strncmp(err.msg, "module.yaml:", 12) == 0 && err.msg[12] >= '1' && err.msg[12] <= '9');
    }
    module_def_release(&d);
    return 0;
}
