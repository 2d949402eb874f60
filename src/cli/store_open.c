#include "cli/store_open.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

char *store_cache_dir(const struct config *c, const char *state_dir)
{
    const char *set = config_get(c, CONFIG_cache_dir);
    return *set ? mem_strdup(set) : os_path_join(state_dir, "cache");
}

void s3_settings_release(struct s3_settings *s)
{
    free(s->cache_dir);
    free(s->credentials_file);
    s3_keys_release(&s->keys);
    *s = (struct s3_settings){0};
}

/* --- credentials ---------------------------------------------------------------------------------------- */

static const char *first_of(const char *set, const char *env, const char *def)
{
    const char *v = *set ? set : getenv(env);
    return v && *v ? v : def;
}

static int no_credentials(struct err *err)
{
    err_set(err, ERR_UNAUTHENTICATED, "no credentials for the S3 store");
    return err_hint(err, "set S3_ACCESS_KEY and S3_SECRET_KEY, or s3.credentials_file");
}

/* A file that is not there is an error only if the settings say where it is, or name a profile. */
static int read_credentials_file(const struct config *c, bool wanted, struct s3_settings *s, struct err *err)
{
    const char *home = getenv("HOME");
    const char *named = first_of(config_get(c, CONFIG_s3_credentials_file), "AWS_SHARED_CREDENTIALS_FILE", "");
    s->credentials_file = *named ? mem_strdup(named) : mem_printf("%s/.aws/credentials", home ? home : "");
    if (!s->credentials_file)
        return err_nomem(err);
    s->o.credentials_file = s->credentials_file;
    s->o.profile = first_of(config_get(c, CONFIG_s3_profile), "AWS_PROFILE", "default");
    int r = s3_keys_read(s->credentials_file, s->o.profile, &s->keys, err);
    return r == -ERR_NOT_FOUND && !wanted ? no_credentials(err) : r;
}

/* The settings' keys (S3_ACCESS_KEY and S3_SECRET_KEY among them), the file if the settings tell of it, AWS's variables, the
 * file where it usually is. */
static int find_credentials(const struct config *c, struct s3_settings *s, struct err *err)
{
    const char *key = config_get(c, CONFIG_s3_access_key), *secret = config_get(c, CONFIG_s3_secret_key);
    const char *aws_key = getenv("AWS_ACCESS_KEY_ID"), *aws_secret = getenv("AWS_SECRET_ACCESS_KEY");
    bool told = *config_get(c, CONFIG_s3_credentials_file) || *config_get(c, CONFIG_s3_profile);
    if (*key && *secret)
        return s3_keys_set(&s->keys, key, secret, config_get(c, CONFIG_s3_session_token), err);
    if (*key || *secret)
        return no_credentials(err);
    if (!told && aws_key && *aws_key && aws_secret && *aws_secret)
        return s3_keys_set(&s->keys, aws_key, aws_secret, getenv("AWS_SESSION_TOKEN"), err);
    return read_credentials_file(c, told, s, err);
}

/* --- options -------------------------------------------------------------------------------------------- */

int s3_settings_read(const struct config *c, const char *state_dir, struct s3_settings *ret, struct err *err)
{
    int64_t parallel;
    *ret = (struct s3_settings){.o = {.endpoint = config_get(c, CONFIG_s3_endpoint),
                                      .region = config_get(c, CONFIG_s3_region),
                                      .bucket = config_get(c, CONFIG_s3_bucket),
                                      .prefix = config_get(c, CONFIG_s3_prefix),
                                      .style = config_get(c, CONFIG_s3_style),
                                      .ca_file = config_get(c, CONFIG_s3_ca_file),
                                      .key_file = config_get(c, CONFIG_s3_key_file)}};
    ret->cache_dir = store_cache_dir(c, state_dir);
    int r = ret->cache_dir ? 0 : err_nomem(err);
    if (r == 0)
        r = config_int(c, CONFIG_s3_parallel, 1, 64, &parallel, err);
    if (r == 0)
        r = config_duration_ms(c, CONFIG_s3_retry, &ret->o.retry_ms, err);
    if (r == 0)
        r = config_size(c, CONFIG_cache_max_size, &ret->o.cache_max_bytes, err);
    if (r == 0)
        r = config_duration_ms(c, CONFIG_cache_ttl, &ret->o.cache_ttl_ms, err);
    if (r == 0)
        r = find_credentials(c, ret, err);
    if (r < 0) {
        s3_settings_release(ret);
        return r;
    }
    ret->o.parallel = (unsigned)parallel;
    ret->o.retry_ms = ret->o.retry_ms ? ret->o.retry_ms : 1;
    ret->o.cache_dir = ret->cache_dir;
    ret->o.access_key = ret->keys.access;
    ret->o.secret_key = ret->keys.secret;
    ret->o.session_token = ret->keys.token;
    return 0;
}

int store_open(const struct config *c, const char *state_dir, const char *kind, struct store **ret, struct err *err)
{
    struct s3_settings s;
    kind = kind ? kind : config_get(c, CONFIG_store);
    if (strcmp(kind, "local") == 0) {
        _cleanup_free_ char *dir = os_path_join(state_dir, "store");
        return dir ? store_open_local(dir, ret, err) : err_nomem(err);
    }
    if (strcmp(kind, "s3") != 0)
        return err_set(err, ERR_INVALID, "store '%.40s' is neither local nor s3", kind);
    int r = s3_settings_read(c, state_dir, &s, err);
    if (r < 0)
        return r;
    r = store_open_s3(&s.o, ret, err);
    s3_settings_release(&s);
    return r;
}
