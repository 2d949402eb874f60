#include "cli/target.h"
#include "base/cleanup.h"
#include "cli/ground.h"

#include "os/file.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* The password in "scheme://user:password@host"; its length, 0 if there is none. */
static size_t find_password(char *spec, char **ret)
{
    char *scheme = strstr(spec, "://");
    if (!scheme)
        return 0;
    char *host = scheme + 3;
    char *at = memrchr(host, '@', strcspn(host, "/?#"));
    char *colon = at ? memchr(host, ':', (size_t)(at - host)) : NULL;
    *ret = colon ? colon + 1 : NULL;
    return colon ? (size_t)(at - colon) - 1 : 0;
}

int target_take(char *spec, const char **ret, struct err *err)
{
    char *password;
    size_t n = find_password(spec, &password), size = strlen(spec) + 1;
    *ret = spec;
    if (!n)
        return 0;
    char *copy =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED || madvise(copy, size, MADV_WIPEONFORK) < 0)
        return err_sys(err, errno, "memory for a password");
    memcpy(copy, spec, size);
    memset(password, '*', n);
    *ret = copy;
    return 0;
}

static int read_count(struct app *app, enum config_key k, uint64_t *ret, struct err *err)
{
    int64_t v = 0;
    int r = config_int(&app->config, k, 1, INT64_MAX, &v, err);
    *ret = (uint64_t)v;
    return r;
}

static int read_limits(struct app *app, struct ingest_limits *l, struct err *err)
{
    int r = read_count(app, CONFIG_target_max_entries, &l->entries_max, err);
    if (r == 0)
        r = config_size(&app->config, CONFIG_target_max_size, &l->total_bytes_max, err);
    if (r == 0)
        r = read_count(app, CONFIG_target_max_path, &l->path_bytes_max, err);
    if (r == 0)
        r = read_count(app, CONFIG_target_max_depth, &l->depth_max, err);
    if (r == 0)
        r = read_count(app, CONFIG_archive_max_entries, &l->archive_entries_max, err);
    if (r == 0)
        r = config_size(&app->config, CONFIG_archive_max_size, &l->archive_bytes_max, err);
    return r < 0 ? r : read_count(app, CONFIG_archive_max_ratio, &l->archive_ratio_max, err);
}

int app_read_limits(struct app *app, struct err *err)
{
    struct service *s = &app->service;
    const char *allowed = config_get(&app->config, CONFIG_sandbox_network);
    if (!sandbox_network_parse(allowed, &s->network_max))
        return err_set(err, ERR_USAGE, "sandbox.network is none, loopback or full, not '%.40s'", allowed);
    s->git_ca_file = config_get(&app->config, CONFIG_git_ca_file);
    if (!app->fetch_dir) {
        _cleanup_free_ char *ground = NULL;
        int r = ground_dir(app, &ground, err);
        if (r < 0)
            return r;
        if (!(app->fetch_dir = os_path_join(ground, "fetch")))
            return err_nomem(err);
    }
    s->fetch_dir = app->fetch_dir;
    return read_limits(app, &s->limits, err);
}
