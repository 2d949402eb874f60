#include "cli/findings_args.h"

#include "os/file.h"

int findings_filter_args(const struct args *a, struct findings *list, struct err *err)
{
    struct findings_filter f = FINDINGS_FILTER_INIT;
    const char *severity = args_get(a, "severity"), *status = args_get(a, "status");
    f.rule = args_get(a, "rule");
    f.path = args_get(a, "path");
    f.module = args_get(a, "module");
    int r = severity ? findings_filter_severity(&f, severity, err) : 0;
    if (r == 0 && status)
        r = findings_filter_status(&f, status, err);
    if (r == 0)
        findings_filter(&f, list);
    return r;
}

int run_list_open_any(struct app *app, const char *id, struct run_list *ret, struct err *err)
{
    if (os_exists(id) && !os_is_dir(id))
        return run_list_open_file(id, ret, err);
    int r = app->engine ? 0 : app_open(app, APP_STORE | APP_ENGINE, err);
    return r < 0 ? r : run_list_open(&app->service, id, ret, err);
}
