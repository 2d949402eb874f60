/* Folders of the host that fuzzing modules are given besides the system's: an interpreter's packages, a toolchain in a home.
 * They are mounted read-only at /tools/0, /tools/1 ..., and the variable FF_TOOLS has their names, separated by ':'. */
#ifndef FF_MODULE_TOOLS_H
#define FF_MODULE_TOOLS_H

#include "sandbox/sandbox.h"

#include <stddef.h>

#define MODULE_TOOLS_MAX 8
#define MODULE_TOOLS_ENV "FF_TOOLS"

struct module_tools {
    struct sandbox_mount mounts[MODULE_TOOLS_MAX];
    size_t count;
    char targets[MODULE_TOOLS_MAX][16];
    char *sources;      /* owns what mounts point to */
    char env_text[4096];
    const char *env[2]; /* for the plan */
};

/* A list, and behind it what is found by itself: the default toolchain of rustup ($RUSTUP_HOME, ~/.rustup). The caller
 * frees; NULL: no memory. */
char *module_tools_find(const char *list);
/* list: host folders, separated by ':'; NULL or "": none. Those that are not there are passed over. */
void module_tools_init(struct module_tools *t, struct spawner *s, const char *list);
void module_tools_release(struct module_tools *t);

#endif
