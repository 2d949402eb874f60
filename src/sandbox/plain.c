/* A plan on a host where no root of its own can be made: its mounts are not there, so its paths are
 * the host's. */
#include "base/mem.h"
#include "child_internal.h"

#include <stdio.h>
#include <string.h>

/* The host's path of one inside, if a mount of the plan covers it; else the path itself. */
static const char *host_path(const struct sandbox_plan *p, const char *path)
{
    const char *best = NULL, *source = NULL;
    if (p->scratch && strncmp(path, "/scratch", 8) == 0 && (path[8] == '/' || path[8] == 0)) {
        best = "/scratch";
        source = p->scratch;
    }
    for (size_t i = 0; i < p->mounts_count; i++) {
        const struct sandbox_mount *m = &p->mounts[i];
        size_t n = strlen(m->target);
        if (m->kind == MOUNT_BIND && strncmp(path, m->target, n) == 0 &&
            (path[n] == '/' || path[n] == 0) && (!best || n > strlen(best))) {
            best = m->target;
            source = m->source;
        }
    }
    return best ? mem_printf("%s%s", source, path + strlen(best)) : path;
}

int plain_adapt(struct job *j, struct err *err)
{
    struct sandbox_plan *p = &j->decoded.plan;
    for (size_t i = 0; i < p->mounts_count; i++)
        if (p->mounts[i].kind != MOUNT_BIND)
            return err_set(err, ERR_MISSING,
                           "%s needs a mount namespace, which is not to be had here",
                           p->mounts[i].target);
    if (p->cwd && !(p->cwd = host_path(p, p->cwd)))
        return err_nomem(err);
    for (size_t i = 0; p->argv && j->decoded.argv[i]; i++)
        if (!(j->decoded.argv[i] = host_path(p, j->decoded.argv[i])))
            return err_nomem(err);
    if (!p->scratch || j->decoded.env_count + 2 > PLAN_ENV_MAX)
        return 0;
    const char *home = mem_printf("HOME=%s", p->scratch),
               *tmp = mem_printf("TMPDIR=%s", p->scratch);
    if (!home || !tmp)
        return err_nomem(err);
    j->decoded.env[j->decoded.env_count++] = home;
    j->decoded.env[j->decoded.env_count++] = tmp;
    return 0;
}
