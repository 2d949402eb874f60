#include "cli/remote.h"

#include "api/access/access.h"
#include "api/client/client.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "cli/follow.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

#define TOKEN_FILE_MAX 4096

int remote_configure(struct app *app, struct err *err)
{
    const char *url = config_get(&app->config, CONFIG_server_url);
    bool named = args_global(app->args, "server");
    if (named && !*url)
        return err_set(err, ERR_USAGE, "--server: a URL is wanted, such as http://127.0.0.1:8000");
    app->remote = named || (*url && !args_global(app->args, "state"));
    return 0;
}

/* The first line of the file. */
static int read_token(const char *file, char **ret, struct err *err)
{
    size_t len;
    int r = os_read_file(file, TOKEN_FILE_MAX, ret, &len, err);
    if (r < 0)
        return r;
    (*ret)[strcspn(*ret, "\r\n")] = 0;
    return 0;
}

/* The one that is named; else the one in the state folder, for a server of this machine. */
static int find_token(struct app *app, const char *url, char **ret, struct err *err)
{
    const char *set = config_get(&app->config, CONFIG_server_token), *file = config_get(&app->config, CONFIG_server_token_file);
    struct err why = {0};
    if (args_global(app->args, "token-file") || (*file && !*set))
        return read_token(file, ret, err) < 0 ? err_wrap(err, "token") : 0;
    if (*set)
        return (*ret = mem_strdup(set)) ? 0 : err_nomem(err);
    _cleanup_free_ char *own = os_path_join(app->state_dir, ACCESS_OWNER_FILE);
    if (!own)
        return err_nomem(err);
    if (client_url_is_local(url) && read_token(own, ret, &why) == -ERR_NO_MEMORY)
        return err_copy(err, &why);
    return 0;
}

static bool interrupted(void *arg)
{
    const struct app *app = arg;
    return !app->following && follow_interrupted();
}

int remote_open(struct app *app, struct err *err)
{
    const struct config *c = &app->config;
    _cleanup_free_ char *token = NULL;
    struct client_options o = {.url = config_get(c, CONFIG_server_url),
                               .name_space = args_global(app->args, "namespace"),
                               .ca_file = config_get(c, CONFIG_server_ca_file),
                               .cert_file = config_get(c, CONFIG_server_cert),
                               .key_file = config_get(c, CONFIG_server_key),
                               .interrupted = interrupted,
                               .arg = app};
    int r = config_bool(c, CONFIG_server_insecure, &o.insecure, err);
    if (r == 0)
        r = config_bool(c, CONFIG_server_plain_http, &o.plain_http, err);
    if (r == 0)
        r = config_duration_ms(c, CONFIG_server_retry, &o.patience_ms, err);
    if (r == 0)
        r = find_token(app, o.url, &token, err);
    if (r < 0)
        return r;
    o.token = token;
    if (o.insecure) /* also with -q */
        fprintf(stderr, "ff: warning: the server's certificate is not checked: anybody may be answering\n");
    r = client_new(&o, &app->client, err);
    if (token)
        explicit_bzero(token, strlen(token));
    return r;
}
