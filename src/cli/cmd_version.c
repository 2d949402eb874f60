/* ff version. */
#include "cli/app.h"
#include "version.h"

#include <stdio.h>

static int version(struct app *app, const struct args *a)
{
    (void)a;
    if (app->json)
        app_print_json(app, json_pack("{s:s, s:s}", "version", FF_VERSION, "build", FF_BUILD));
    else
        printf("ff %s (%s)\n", FF_VERSION, FF_BUILD);
    return EXIT_OK;
}

const struct command cmd_version = {
    .name = "version",
    .summary = "Print the version",
    .usage = "",
    .run = version,
};
