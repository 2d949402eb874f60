/* What the functions of api/service do when they have a client: the same questions, asked of a server. Meanings, ids and
 * errors are those of the function whose name each has. */
#ifndef FF_API_CLIENT_REMOTE_H
#define FF_API_CLIENT_REMOTE_H

#include "api/client/client.h"
#include "api/live/live.h"
#include "api/service/run.h"
#include "api/service/runs.h"
#include "toolbox/toolbox.h"

int client_run_resolve(struct client *c, const char *id, char **ret_id, struct err *err);
int client_run_read(struct client *c, const char *id, struct run_info *ret, struct err *err);
/* As the server merged, suppressed and compared them. */
int client_run_findings(struct client *c, const char *id, struct findings *ret, struct err *err);
int client_runs_list(struct client *c, const char *filter, size_t limit, ProtobufCBinaryData *io_token,
                     void (*one)(void *arg, const struct run_item *item), void *arg, struct err *err);
/* verb: "cancel", "terminate". */
int client_run_end(struct client *c, const char *id, const char *verb, const char *reason, struct err *err);
int client_run_signal(struct client *c, const char *id, const char *name, const json_t *value, const char *request_id,
                      struct err *err);
int client_run_query(struct client *c, const char *id, const char *name, const json_t *value, json_t **ret, struct err *err);
int client_run_retry(struct client *c, const char *id, const char *request_id, struct err *err);
int client_run_delete(struct client *c, const char *id, bool wait, struct err *err);
int client_each_document(struct client *c, const char *id, int (*one)(void *arg, const json_t *event, struct err *err), void *arg,
                         struct err *err);
int client_workflows(struct client *c, struct workflow_def ***ret, size_t *ret_count, struct err *err);
/* As live_read(), of all kinds of events or of one. */
int client_events(struct client *c, const char *id, int64_t after, const char *type,
                  int (*one)(void *arg, const struct live_event *e), void *arg, int64_t *ret_last, struct err *err);
/* Listens to what comes after an event, until the run has ended or is blocked, or tick() leaves it. Where the stream breaks it
 * goes on where it was; the pauses before that grow, and are not the same for all who listen. -ERR_UNAVAILABLE: the server did
 * not come back within the client's patience. */
struct client_listener {
    void (*on_event)(void *arg, const struct live_event *e);
    void (*on_run)(void *arg, struct run_info *run); /* as it is, now and then; may be taken, by leaving zeros */
    bool (*tick)(void *arg); /* ten times a second; true: leave it */
    void *arg;
    int64_t after;
};
int client_listen(struct client *c, const char *id, struct client_listener *l, struct err *err);
int client_objects(struct client *c, bool (*one)(void *arg, const struct store_object_info *i), void *arg, struct err *err);
int client_object(struct client *c, const char *ref, struct store_object_info *ret, struct err *err);
/* All that fd gives, once. What the server calls it must be what was sent. */
int client_object_put(struct client *c, int fd, const char *media_type, struct store_ref *ret, uint64_t *ret_size,
                      struct err *err);
/* What comes must be what the reference says. */
int client_object_get(struct client *c, const char *ref, int fd, uint64_t *ret_size, struct err *err);
int client_object_remove(struct client *c, const char *ref, struct err *err);
/* All of the server's state, as it is now. What came before an error is no backup. */
int client_backup(struct client *c, int fd, struct err *err);
/* Sends all that fd gives, once, and waits until the server has begun again with it: {files, bytes}. */
int client_restore(struct client *c, int fd, bool replace, json_t **ret, struct err *err);
/* As live_series(). */
int client_series(struct client *c, const char *id, json_t **ret, struct err *err);
/* q and *ret as the REST routes have them. */
int client_tokens(struct client *c, enum token_verb verb, const json_t *q, json_t **ret, struct err *err);
/* The same, documents as in cli/housekeeping.h. */
int client_housekeeping(struct client *c, enum house_verb verb, const json_t *q, json_t **ret, struct err *err);
int client_suppressions(struct client *c, json_t **ret, struct err *err);
int client_suppress(struct client *c, const json_t *entries, struct err *err);
int client_unsuppress(struct client *c, const char *what, size_t *ret_removed, struct err *err);
int client_modules(struct client *c, json_t **ret, struct err *err);
int client_module(struct client *c, const char *name, json_t **ret, struct err *err);
/* The array that a document has under that key. words: what each of its objects has, fit to be printed; NULL-terminated. */
int client_list(struct client *c, const char *path, const char *key, const char *const *words, json_t **ret, struct err *err);
int client_workflow(struct client *c, const char *name, struct workflow_def **ret, struct err *err);

#endif
