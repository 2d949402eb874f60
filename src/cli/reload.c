#include "cli/reload.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

static bool takes_effect(enum config_key k)
{
    return k == CONFIG_quota_default || k == CONFIG_quota_namespaces || k == CONFIG_runs_keep;
}

/* What a flag has set, it sets again; and where fuzzers are, with what was found beside them, the program has told its own
 * environment. */
static bool changed(const struct app *app, const struct config *fresh, enum config_key k)
{
    const struct config *old = &app->config;
    if (k == CONFIG_fuzz_tools && strcmp(config_get(fresh, k), app->tools) == 0)
        return false;
    return strncmp(config_source(old, k), "flag ", 5) != 0 && strcmp(config_get(old, k), config_get(fresh, k)) != 0;
}

static int take_over(struct config *old, const struct config *fresh, enum config_key k, struct err *err)
{
    return config_set(old, k, config_get(fresh, k), config_source(fresh, k), err);
}

static int check_tls(const struct rpc_tls *tls, struct err *err)
{
    char *cert, *key;
    _cleanup_free_ char *ca = NULL;
    int r = tls->on ? rpc_tls_read_pair(tls, &cert, &key, err) : -ERR_NOT_FOUND;
    if (r < 0)
        return tls->on ? r : 0;
    explicit_bzero(key, strlen(key));
    free(cert);
    free(key);
    return tls->ca_file ? rpc_tls_read_ca(tls->ca_file, &ca, err) : 0;
}

int reload_settings(struct app *app, const struct rpc_tls *tls, struct err *err)
{
    struct config fresh;
    int r = config_load(&fresh, args_get(app->args, "config"), err);
    if (r == 0)
        r = check_tls(tls, err);
    if (r == 0)
        r = app_set_quotas(app, &fresh, err);
    for (int k = 0; r == 0 && k < CONFIG_COUNT_; k++) {
        enum config_key key = (enum config_key)k;
        if (!changed(app, &fresh, key))
            continue;
        if (takes_effect(key))
            r = take_over(&app->config, &fresh, key, err);
        else
            log_warn("setting %s has changed: it takes a restart", config_infos[k].name);
    }
    config_release(&fresh);
    return r;
}
