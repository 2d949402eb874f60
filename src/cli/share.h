/* How this process takes part in its state: it holds the engine and serves it to others, or it is a guest of the process
 * that does. See engine/shared/shared.h. */
#ifndef FF_CLI_SHARE_H
#define FF_CLI_SHARE_H

#include "cli/app.h"
#include "rpc/rpc.h"

struct engine_times;
struct share;

/* Sets app->engine. The spawner was forked before, or is not wanted. */
int share_open(struct app *app, struct err *err);
/* This process is about to leave: who watches its health hears of it. NULL is fine. */
void share_drain(struct share *s);
/* After the worker was stopped: hands the engine over. NULL is fine. */
void share_close(struct share *s);
/* Serves the engine over TCP too. May be called once. *ret_port: where. */
int share_listen(struct share *s, const char *address, const struct rpc_tls *tls, bool insecure_loopback, int *ret_port,
                 struct err *err);
/* The worker that is told when what it runs may have to end; NULL, before it is stopped: none. */
void share_set_worker(struct share *s, struct worker *w);
/* Asked before somebody from elsewhere starts a run (api/grpc/api.h). Before share_listen(). */
void share_set_admit(struct share *s, int (*admit)(void *arg, const char *name_space, struct err *err), void *arg);
/* Asked before a run goes on as a fresh one, on the engine's thread: must be quick, and may ask the engine nothing. */
void share_set_goes_on(struct share *s, int (*goes_on)(void *arg, const char *name_space, struct err *err), void *arg);
/* Called, on any thread, when another process made a namespace. Must be quick. NULL: nobody wants to know. */
void share_on_namespace(struct share *s, void (*fn)(void));
/* What polls of this process carry: "PID@HOST/RANDOM". */
const char *share_identity(const struct share *s);
bool share_holds(const struct share *s);
bool share_stays(const struct share *s); /* the holder goes on when it has nothing left to do */
size_t share_guests(const struct share *s);
/* No other process comes in from here on. True: none is in, and the engine is here. */
bool share_leave_alone(struct share *s);

/* NULL: another process holds the engine. */
const struct engine_times *share_times(const struct share *s);
/* A copy of the state as tmp/ID/state.db (engine/shared/shared.h). */
int share_copy(struct share *s, const char *id, struct err *err);

/* A folder of this process's own below the ground (ground.h), with those of dead processes removed. *ret_fd keeps it: close it
 * when the folder is removed. */
int share_tmp_dir(const char *ground, char **ret_dir, int *ret_fd, struct err *err);

#endif
