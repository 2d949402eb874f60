/* Submissions to a server, and following what they start. */
#ifndef FF_API_CLIENT_SEND_H
#define FF_API_CLIENT_SEND_H

#include "api/client/client.h"
#include "api/service/submit.h"
#include "worker/worker.h"

/* Sends the target (a folder, or what a repository of this machine holds, as a tar, while it is read; a file or archive as it is;
 * of another machine's URL the name) and has the run started
 * whose id s has. A server that is gone meanwhile is sent all of it again; there is one run all the same. What was noticed
 * in a folder is afterwards in s->ingested. o: bounds, progress (from another thread) and cancellation.
 * target NULL: a module has none. */
int client_submit(struct client *c, struct submission *s, const char *target, const struct ingest_options *o, struct err *err);

struct client_follower {
    /* What happens, as a worker of this process would tell it. */
    void (*on_event)(void *arg, const struct worker_event *e);
    bool (*tick)(void *arg); /* ten times a second; true: leave it */
    void *arg;
    char last_id[24]; /* of the events: where it goes on; "": from the first */
};
/* Until the run has ended or is blocked, or tick() leaves it. A server that is gone is waited for, and the events go on where
 * they were; -ERR_UNAVAILABLE when it does not come back. */
int client_follow(struct client *c, const char *id, struct client_follower *f, struct err *err);

#endif
