#include "cli/readonly.h"

#include "base/cleanup.h"
#include "engine/embedded/embedded.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Is it there, and not to be written to? Root may write to all but read-only file systems. */
static bool only_readable(const char *path)
{
    return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0 && (errno == EROFS || errno == EACCES) &&
           faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0;
}

bool readonly_state(const struct app *app)
{
    _cleanup_free_ char *db = os_path_join(app->state_dir, "state.db");
    return only_readable(app->state_dir) || (db && only_readable(db));
}

int readonly_check(struct app *app, unsigned parts, struct err *err)
{
    app->read_only = readonly_state(app);
    if (!app->read_only || !(parts & APP_SPAWNER))
        return 0;
    err_set(err, ERR_PERMISSION, "it is read-only: it can be looked into, but nothing can run");
    return err_hint(err, "--state DIR names another folder for the state");
}

int readonly_open_engine(struct app *app, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(app->state_dir, "state.db");
    if (!path)
        return err_nomem(err);
    struct engine_embedded_options o = {.path = path, .read_only = true};
    return engine_embedded_open(&o, &app->engine, err);
}

int readonly_open_store(struct app *app, struct err *err)
{
    _cleanup_free_ char *dir = os_path_join(app->state_dir, "store");
    return dir ? store_open_local_read_only(dir, &app->store, err) : err_nomem(err);
}
