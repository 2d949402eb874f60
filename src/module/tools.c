#include "module/tools.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUSTUP_SETTINGS_MAX ((size_t)1 << 20)

/* The folder of rustup's default toolchain; the caller frees; NULL: there is none. */
static char *rustup_toolchain(void)
{
    static const char key[] = "\ndefault_toolchain = \"";
    const char *home = getenv("RUSTUP_HOME"), *user = getenv("HOME");
    _cleanup_free_ char *dir = home && *home ? mem_strdup(home) : user ? os_path_join(user, ".rustup") : NULL;
    _cleanup_free_ char *settings = dir ? os_path_join(dir, "settings.toml") : NULL, *text = NULL;
    if (!settings || os_read_file(settings, RUSTUP_SETTINGS_MAX, &text, NULL, NULL) < 0)
        return NULL;
    const char *name = strstr(text, key);
    name = name ? name + sizeof key - 1 : "";
    size_t n = strcspn(name, "\"\n/:");
    char *path = n ? mem_printf("%s/toolchains/%.*s", dir, (int)n, name) : NULL;
    if (path && !os_is_dir(path))
        free(TAKE_PTR(path));
    return path;
}

char *module_tools_find(const char *list)
{
    _cleanup_free_ char *rust = rustup_toolchain();
    return !rust || strstr(list, rust) ? mem_strdup(list) : mem_printf("%s%s%s", list, *list ? ":" : "", rust);
}

void module_tools_init(struct module_tools *t, struct spawner *s, const char *list)
{
    memset(t, 0, sizeof *t);
    t->sources = list && *list ? mem_strdup(list) : NULL;
    size_t n = (size_t)snprintf(t->env_text, sizeof t->env_text, MODULE_TOOLS_ENV "=");
    char *save = NULL;
    for (char *p = t->sources ? strtok_r(t->sources, ":", &save) : NULL; p && t->count < MODULE_TOOLS_MAX;
         p = strtok_r(NULL, ":", &save)) {
        if (p[0] != '/' || strstr(p, "/../") || !os_is_dir(p))
            continue;
        char *target = t->targets[t->count];
        snprintf(target, sizeof t->targets[0], "/tools/%zu", t->count);
        t->mounts[t->count] = (struct sandbox_mount){.source = p, .target = target};
        n += (size_t)snprintf(t->env_text + n, n < sizeof t->env_text ? sizeof t->env_text - n : 0, "%s%s", t->count ? ":" : "",
                              sandbox_path(s, target, p));
        if (n >= sizeof t->env_text)
            break;
        t->count++;
    }
    t->env[0] = t->count ? t->env_text : NULL;
}

void module_tools_release(struct module_tools *t)
{
    free(t->sources);
    t->sources = NULL;
    t->count = 0;
}
