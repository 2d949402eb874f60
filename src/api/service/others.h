/* What workers of other processes do for a run that is followed here: their part of the events that a worker of this process
 * gives by itself (worker.h). Taken from what the engine knows: heartbeats of running activities bring their progress and what
 * they have said last, the history brings how they ended, and the store then has what they found. */
#ifndef FF_API_SERVICE_OTHERS_H
#define FF_API_SERVICE_OTHERS_H

#include "api/service/run.h"
#include "base/map.h"
#include "worker/worker.h"

struct others {
    const char *own; /* identity of this process's worker; NULL: it has none */
    void (*on_event)(void *arg, const struct worker_event *e);
    void *arg;
    char execution_id[64]; /* what follows is about this one */
    int64_t seen;          /* the last event that was looked at */
    json_t *modules;       /* number of an ActivityTaskScheduled event -> its module */
    json_t *running;       /* activity id -> what was last said of it */
    json_t *shown;         /* findings that were given before their activity's end, as show_key() has them -> how often */
};

/* Gives the events that are new since the last time. run: as it is now. An engine that does not answer is no error: there is a
 * next time. */
void others_look(struct others *o, const struct service *svc, const struct run_info *run);
/* The same in parts, for one who reads the history anyway: what its next event says, and the pending activities of a
 * struct run_info. */
void others_event(struct others *o, const struct service *svc, const char *run_id, const Pb__HistoryEvent *e);
void others_running(struct others *o, const struct service *svc, const char *run_id, const json_t *activities);
void others_release(struct others *o);

#endif
