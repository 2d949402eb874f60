#include "cli/ground.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "cli/store_open.h"
#include "os/file.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static bool is_apart(const struct app *app)
{
    return app->spawner && geteuid() == 0 && sandbox_host_uid() != 0 && !spawner_protection(app->spawner)->mount_ns;
}

/* May every user pass through each folder of an absolute path? What is not there is made closed. */
static bool others_reach(const char *path)
{
    char part[4096];
    struct stat st;
    size_t n = strlen(path);
    if (path[0] != '/' || n >= sizeof part)
        return false;
    memcpy(part, path, n + 1);
    for (size_t i = n; i > 0; i--) {
        if (i != n && part[i] != '/')
            continue;
        part[i] = 0;
        if (stat(part, &st) < 0 || !S_ISDIR(st.st_mode) || !(st.st_mode & S_IXOTH))
            return false;
    }
    return true;
}

/* The name tells the state, so that its caches are found again; whoever was there before us is not trusted. */
static int make_ground(const char *base, const char *state_dir, char **ret, struct err *err)
{
    struct stat st;
    _cleanup_free_ char *dir =
        mem_printf("%s/fuzzforge-%016llx", base, (unsigned long long)XXH3_64bits(state_dir, strlen(state_dir)));
    if (!dir)
        return err_nomem(err);
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_sys(err, errno, "make %s", dir);
    if (lstat(dir, &st) < 0)
        return err_sys(err, errno, "look at %s", dir);
    if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH))
        return err_set(err, ERR_PERMISSION, "%s is not a folder of root's own", dir);
    int r = sandbox_let_in(dir, err);
    *ret = r == 0 ? TAKE_PTR(dir) : NULL;
    return r;
}

int ground_dir(struct app *app, char **ret, struct err *err)
{
    if (!is_apart(app))
        return (*ret = mem_strdup(app->state_dir)) ? 0 : err_nomem(err);
    return make_ground(others_reach("/var/tmp") ? "/var/tmp" : "/tmp", app->state_dir, ret, err);
}

int ground_cache_dir(struct app *app, char **ret, struct err *err)
{
    _cleanup_free_ char *cache = store_cache_dir(&app->config, app->state_dir);
    if (!cache)
        return err_nomem(err);
    if (!is_apart(app) || others_reach(cache)) {
        *ret = TAKE_PTR(cache);
        return 0;
    }
    _cleanup_free_ char *ground = NULL;
    int r = ground_dir(app, &ground, err);
    return r < 0 || (*ret = os_path_join(ground, "cache")) ? r : err_nomem(err);
}
