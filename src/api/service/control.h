/* What changes a run, and what asks it something. Ids are exact. -ERR_NOT_FOUND: there is no such run. */
#ifndef FF_API_SERVICE_CONTROL_H
#define FF_API_SERVICE_CONTROL_H

#include "api/service/service.h"

/* reason may be NULL. Asks the run to end; it cleans up first. */
int run_cancel(const struct service *svc, const char *id, const char *reason, struct err *err);
/* Ends it at once. */
int run_terminate(const struct service *svc, const char *id, const char *reason, struct err *err);
/* value: NULL for none. request_id: the same one again signals nothing new; NULL: a fresh one. */
int run_signal(const struct service *svc, const char *id, const char *name, const json_t *value, const char *request_id,
               struct err *err);
/* *ret is a new reference. A worker must be there. */
int run_query(const struct service *svc, const char *id, const char *name, const json_t *value, json_t **ret,
              struct err *err);
/* Again: same script, target and parameters, a new execution under the same id. -ERR_STATE while it runs. */
int run_retry(const struct service *svc, const char *id, const char *request_id, struct err *err);
/* Takes the run away, with all of its executions and with what only it keeps. -ERR_STATE while it runs. A cluster forgets an
 * execution half a minute or more after it was told to; without wait only the last execution goes, and that is not waited for. */
int run_delete(const struct service *svc, const char *id, bool wait, struct err *err);
/* The same for one execution, which has ended. Its entry goes last: cut short anywhere, doing it again finishes it. */
int run_delete_execution(const struct service *svc, const char *id, const char *execution_id, struct err *err);
/* The same, unless the run's last execution goes on, or has ended since before_ns: a cluster's lists are late, and what is kept
 * under that id is that one's. */
int run_delete_old(const struct service *svc, const char *id, const char *execution_id, int64_t before_ns, bool *ret_removed,
                   struct err *err);

/* The events of a run's last execution, from that id on (0: all). A positive answer of one ends the walk with 0, a negative
 * one is its result. */
typedef int run_event_fn(void *arg, const Pb__HistoryEvent *e, struct err *err);
int run_each_event(const struct service *svc, const char *id, int64_t from_id, run_event_fn *one, void *arg, struct err *err);
/* The same of one execution. */
int run_each_event_of(const struct service *svc, const char *id, const char *execution_id, int64_t from_id, run_event_fn *one,
                      void *arg, struct err *err);

/* All of them as documents (codec/pbjson.h). */
int run_each_document(const struct service *svc, const char *id, int (*one)(void *arg, const json_t *event, struct err *err),
                      void *arg, struct err *err);

#endif
