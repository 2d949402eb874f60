#include "cli/store_open.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

#define CREDENTIALS_MAX ((size_t)1 << 20)

char *store_cache_dir(const struct config *c, const char *state_dir)
{
    const char *set = config_get(c, CONFIG_cache_dir);
    return *set ? mem_strdup(set) : os_path_join(state_dir, "cache");
}

static void free_secret(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

void s3_settings_release(struct s3_settings *s)
{
    free(s->cache_dir);
    free_secret(s->access_key);
    free_secret(s->secret_key);
    free_secret(s->session_token);
    *s = (struct s3_settings){0};
}

/* --- credentials ---------------------------------------------------------------------------------------- */

static int take(char **to, const char *value, struct err *err)
{
    free_secret(*to);
    *to = mem_strdup(value);
    return *to ? 0 : err_nomem(err);
}

/* "  name = value  " of an INI file: cut in place; false for anything else. */
static bool split_line(char *line, char **name, char **value)
{
    char *eq = strchr(line, '=');
    if (!eq || line[0] == '#' || line[0] == ';')
        return false;
    *eq = 0;
    *name = line + strspn(line, " \t");
    (*name)[strcspn(*name, " \t")] = 0;
    *value = eq + 1 + strspn(eq + 1, " \t");
    size_t n = strlen(*value);
    while (n && strchr(" \t\r", (*value)[n - 1]))
        (*value)[--n] = 0;
    return true;
}

/* The file of AWS's own programs: sections with aws_access_key_id and so on. */
static int read_section(struct s3_settings *s, char *text, const char *profile, struct err *err)
{
    static const char *const names[] = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"};
    char **const to[] = {&s->access_key, &s->secret_key, &s->session_token};
    bool inside = false;
    char *save = NULL, *name, *value;
    size_t n = strlen(profile);
    int r = 0;
    for (char *line = strtok_r(text, "\n", &save); line && r == 0; line = strtok_r(NULL, "\n", &save)) {
        if (line[0] == '[') {
            inside = strncmp(line + 1, profile, n) == 0 && line[1 + n] == ']';
            continue;
        }
        if (!inside || !split_line(line, &name, &value))
            continue;
        for (size_t i = 0; i < ARRAY_LEN(names) && r == 0; i++)
            if (strcmp(name, names[i]) == 0)
                r = take(to[i], value, err);
    }
    return r;
}

static const char *first_of(const char *set, const char *env, const char *def)
{
    const char *v = *set ? set : getenv(env);
    return v && *v ? v : def;
}

static int read_credentials_file(const struct config *c, struct s3_settings *s, struct err *err)
{
    const char *home = getenv("HOME"), *set = config_get(c, CONFIG_s3_credentials_file);
    const char *named = first_of(set, "AWS_SHARED_CREDENTIALS_FILE", "");
    _cleanup_free_ char *path = *named ? mem_strdup(named) : mem_printf("%s/.aws/credentials", home ? home : "");
    char *text = NULL;
    size_t len = 0;
    int r = path ? os_read_file(path, CREDENTIALS_MAX, &text, &len, err) : err_nomem(err);
    if (r == -ERR_NOT_FOUND && !*set) {
        err_clear(err);
        return 0;
    }
    if (r == 0)
        r = read_section(s, text, first_of(config_get(c, CONFIG_s3_profile), "AWS_PROFILE", "default"), err);
    if (text)
        explicit_bzero(text, len);
    free(text);
    return r;
}

/* Settings (S3_ACCESS_KEY and S3_SECRET_KEY among them), then AWS's variables, then the file. */
static int find_credentials(const struct config *c, struct s3_settings *s, struct err *err)
{
    const char *key = config_get(c, CONFIG_s3_access_key), *secret = config_get(c, CONFIG_s3_secret_key);
    const char *token = config_get(c, CONFIG_s3_session_token);
    if (!*key && !*secret) {
        const char *k = getenv("AWS_ACCESS_KEY_ID"), *x = getenv("AWS_SECRET_ACCESS_KEY"), *t = getenv("AWS_SESSION_TOKEN");
        if (k && x) {
            key = k;
            secret = x;
            token = t ? t : "";
        }
    }
    int r = 0;
    if (!*key && !*secret)
        r = read_credentials_file(c, s, err);
    else if ((r = take(&s->access_key, key, err)) == 0 && (r = take(&s->secret_key, secret, err)) == 0)
        r = take(&s->session_token, token, err);
    if (r == 0 && (!s->access_key || !s->secret_key || !*s->access_key || !*s->secret_key)) {
        err_set(err, ERR_UNAUTHENTICATED, "no credentials for the S3 store");
        return err_hint(err, "set S3_ACCESS_KEY and S3_SECRET_KEY, or s3.credentials_file");
    }
    return r;
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
    ret->o.access_key = ret->access_key;
    ret->o.secret_key = ret->secret_key;
    ret->o.session_token = ret->session_token;
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
