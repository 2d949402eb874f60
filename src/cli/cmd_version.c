/* ff version. */
#include "api/client/client.h"
#include "cli/app.h"
#include "cli/term.h"
#include "codec/json.h"
#include "version.h"

#include <stdio.h>

static int version(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_json_ json_t *server = NULL;
    (void)a;
    if (app->remote && (app_open(app, 0, &err) < 0 || client_get(app->client, "/", &server, &err) < 0))
        return app_fail(app, &err);
    if (app->json) {
        app_print_json(app, json_pack("{s:s, s:s, s:o*}", "version", FF_VERSION, "build", FF_BUILD, "server",
                                      server ? json_pack("{s:s, s:s}", "url", client_url(app->client), "version",
                                                         json_str(server, "version", "?")) : NULL));
        return EXIT_OK;
    }
    printf("ff %s (%s)\n", FF_VERSION, FF_BUILD);
    if (server) {
        printf("server ");
        term_text(stdout, json_str(server, "version", "?"));
        printf(" at %s\n", client_url(app->client));
    }
    return EXIT_OK;
}

const struct command cmd_version = {
    .remote = true,
    .name = "version",
    .summary = "Print the version",
    .usage = "",
    .examples = "  ff version\n  ff --json version | jq -r .version",
    .run = version,
};
