/* A state that comes back from a backup which a client sends: a file first, then checked by whoever made the server, which ends
 * and begins again with it. */
#include "api/rest/rest_internal.h"

#include "codec/json.h"

#include <fcntl.h>

/* Whoever could send a backup would bring tokens, settings and modules: only where the one who started the server says so. */
int restore_permitted(const struct exchange *x, struct err *err)
{
    if (!x->rest->o.restore) {
        err_set(err, ERR_PERMISSION, "this server takes no backup back");
        return err_hint(err, "start it by 'ff serve --allow-restore' if its admins may do that; or there: 'ff server stop', "
                             "'ff restore FILE --replace', 'ff server start'");
    }
    return exchange_has_token(x, "restores", err);
}

/* As early as the options are known, and before anything has been sent. */
int restore_begin(struct exchange *x, struct err *err)
{
    if (atomic_load(&x->rest->restoring)) {
        x->error_status = 429;
        x->error_type = "TooManyRequests";
        return err_set(err, ERR_BUSY, "a state is being restored already");
    }
    if (arg_text(x, "replace"))
        return 0;
    err_set(err, ERR_EXISTS, "the server holds a state already");
    return err_hint(err, "--replace removes what is there");
}

/* That a file is no whole backup is not the server's fault; nor that its state is in use. */
static int refuse(struct exchange *x, int r)
{
    atomic_store(&x->rest->restoring, false);
    if (r == -ERR_CORRUPT || r == -ERR_INVALID || r == -ERR_BUSY) {
        x->error_status = 409;
        x->error_type = "RestoreRefused";
    }
    return r;
}

int do_restore(struct exchange *x, struct err *err)
{
    char peer[64];
    json_t *answer = NULL;
    int fd, r = 0;
    if (atomic_exchange(&x->rest->restoring, true))
        return restore_begin(x, err);
    exchange_peer(x, peer, sizeof peer);
    r = upload_file(x, &fd, err);
    if (r == 0)
        r = x->rest->o.restore(x->rest->o.arg, fd, &x->caller, peer, &answer, err);
    return r < 0 ? refuse(x, r) : reply_json(x, 202, answer, err);
}

int rest_listener(const struct rest *r)
{
    return fcntl(r->listener, F_DUPFD_CLOEXEC, 3);
}
