/* The HTTP side of 'ff serve': REST and live events, joined to what this process has open. */
#ifndef FF_CLI_REST_SERVE_H
#define FF_CLI_REST_SERVE_H

#include "cli/app.h"
#include "rpc/rpc.h"

#define REST_ADDRESS "127.0.0.1:8000" /* unless another is asked for */

struct rest_serve;

struct rest_serve_options {
    int listen_fd; /* of a service manager, which is used if no address is given; -1: none */
    const char *address; /* NULL: REST_ADDRESS, and then it is no error when that is taken */
    struct rpc_tls tls;
    const char *const *hosts; /* NULL-terminated */
    bool insecure_loopback;
    bool json_log; /* see log_writer.h */
    bool allow_restore; /* backups that admins send are taken */
    const struct begun_again *again; /* what this process began with */
};

/* Usage errors, before anything is started. */
int rest_serve_check(const struct rest_serve_options *o, struct err *err);
/* Before app_open(): takes part in the worker's events. */
int rest_serve_prepare(struct app *app, struct rest_serve **ret, struct err *err);
/* After it. *ret_url: "http://127.0.0.1:8000", the caller's; NULL: the usual address was taken, which is logged. */
int rest_serve_start(struct rest_serve *s, struct app *app, const struct rest_serve_options *o, char **ret_url, struct err *err);
struct live *rest_serve_live(struct rest_serve *s); /* of a started one, until it is freed */
/* Since when its HTTP side owes a sign of life: see rest_pulse(). NULL: there is none. */
int64_t rest_serve_pulse(struct rest_serve *s);
/* The id of a restore that is staged, for which the server is to end; NULL: none is. */
const char *rest_serve_staged(const struct rest_serve *s);
/* A copy of the socket it listens at; -1: none. */
int rest_serve_listener(const struct rest_serve *s);
/* Before the state is closed: no new requests from here on, those that are in are answered; and the worker is stopped. */
void rest_serve_stop(struct rest_serve *s, struct app *app);
/* After the state was closed: no worker calls any more. NULL is fine. */
void rest_serve_free(struct rest_serve *s);

#endif
