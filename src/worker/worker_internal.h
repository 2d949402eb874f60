/* What the files of worker/ share. */
#ifndef FF_WORKER_INTERNAL_H
#define FF_WORKER_INTERNAL_H

#include "base/map.h"
#include "base/vec.h"
#include "worker/worker.h"

#include <pthread.h>
#include <stdatomic.h>

#define WORKER_VERTICALS_MAX 64
#define POLL_PAUSE_MS 100 /* an engine in trouble is not asked in a tight loop */

/* One poll that is out or comes back. It is sent again as long as the worker lives and the receiver has room. */
struct poller {
    struct worker *worker;
    enum engine_method method;
    ProtobufCMessage *request; /* owned; the same for each poll */
    struct vertical *vertical;
    struct inbox *to;          /* where its answer goes */
    bool sticky;               /* of the queue of that name, for workflow tasks */
    bool extra;                /* only while what comes is brief */
    /* An answer on its way to the thread that handles it. */
    ProtobufCMessage *answer;
    struct err err;
    struct poller *next;
};

/* A queue of answered polls for one thread. */
struct inbox {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct poller *head, **tail;
    bool stop, nudged;
    void (*wake)(void *arg); /* beside the condition, for a thread with an event loop */
    void *wake_arg;
};

struct vertical {
    char *name, *queue;
    char *sticky; /* the queue of this worker alone, for the runs that it has in its cache */
    int extra;    /* polls and activities beyond the slots; of the activity thread */
    int workflow_extra[2]; /* polls beyond the usual, of its queue and of the sticky one; of the workflow thread */
};

struct workflow_runner;
struct activity_runner;
struct plain_call;

struct worker {
    struct worker_options o;
    char *identity, *name_space, *scratch_dir;
    pthread_mutex_t lock; /* verticals, and the step to stopping */
    struct vertical *verticals[WORKER_VERTICALS_MAX];
    size_t verticals_count;
    atomic_bool stopping;
    atomic_bool nothing_pinned; /* the object of no findings is kept */
    atomic_int calls_out; /* engine calls whose answer is still to come */
    struct plain_call *again; /* answers of ours that the engine could not take (a full disk); under lock_again */
    pthread_mutex_t lock_again;
    struct {
        pthread_mutex_t lock;
        struct map seen; /* "<ref> <run id>" */
    } claims; /* claim.c */
    struct workflow_runner *workflows;
    struct activity_runner *activities;
};

void inbox_init(struct inbox *in);
void inbox_release(struct inbox *in);
struct poller *inbox_take(struct inbox *in, bool wait); /* the whole list; NULL: none, or told to stop or to look */
void inbox_nudge(struct inbox *in); /* ends one wait */
bool inbox_failed(const struct poller *list); /* did one of the polls? */
void inbox_stop(struct inbox *in);

struct poller *poller_new(struct worker *w, enum engine_method m, struct vertical *v, bool sticky);
void poller_free(struct poller *p);
void poller_send(struct poller *p, struct inbox *to); /* the answer comes to that inbox */

/* A call whose answer only matters if it fails (logged). Takes req. */
void worker_call(struct worker *w, enum engine_method m, ProtobufCMessage *req, const char *what);
/* Sends again what the engine could not take; true if there was something. Once the worker stops, it is dropped: the engine
 * hands the task out again. */
bool worker_call_again(struct worker *w);

/* The same; once it is done, the activities of that run that are here ask whether they are to go on. */
void worker_call_then_ask(struct worker *w, enum engine_method m, ProtobufCMessage *req, const char *what, const char *run_id);

/* The workflow thread has something beside its inbox to look at. */
void workflow_runner_nudge(struct worker *w);
int workflow_runner_start(struct worker *w, struct err *err);
void workflow_runner_stop(struct worker *w); /* waits for its thread */
void workflow_runner_free(struct worker *w); /* once no answer is under way; NULL is fine */
/* The engine does not take that answer to a workflow task, and never will. */
void workflow_runner_refuse(struct worker *w, const ProtobufCMessage *req, const struct err *why);
int workflow_runner_add(struct worker *w, struct vertical *v, struct err *err);

int activity_runner_start(struct worker *w, struct err *err);
void activity_runner_stop(struct worker *w);
void activity_runner_free(struct worker *w);
int activity_runner_add(struct worker *w, struct vertical *v, struct err *err);
/* How many activities there are; any thread. */
int activity_runner_running(const struct worker *w);
/* The activities of that run heartbeat now: they may have been cancelled. Any thread. */
void activity_runner_ask(struct worker *w, const char *run_id);

/* What goes into a history is text alone: a bad byte becomes '?'. */
void worker_clean_text(char *text, size_t len);

void worker_emit(struct worker *w, const char *workflow_id, const char *module, int attempt,
                 const char *type, const json_t *data);

#endif
