/* The embedded engine's own parts, for the files of this folder only.
 *
 * One thread (the writer, writer.c) owns everything here but the queue of calls. It takes all calls
 * that wait, lets each change the runs in memory, writes the changed runs in one transaction,
 * commits, and only then answers. Calls that gather during the commit make the next batch.
 *
 * Errors: a request that is wrong is refused before it changed anything (call_fail). What can go
 * wrong later, no memory or no disk, goes to eng_fault(): the batch is then undone as a whole,
 * in the database and in memory, and every call of it is answered with that error. So functions
 * that change a run return nothing. */
#ifndef FF_ENGINE_EMBEDDED_INTERNAL_H
#define FF_ENGINE_EMBEDDED_INTERNAL_H

#include "base/arena.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "base/vec.h"
#include "engine/embedded/db.h"
#include "engine/embedded/embedded.h"
#include "engine/embedded/heap.h"
#include "engine/embedded/lockfile.h"

#include <pthread.h>

struct eng;
struct queue;
struct run;

enum call_kind {
    CALL_METHOD,
    CALL_TICK,   /* engine_embedded_tick() */
    CALL_CANCEL, /* engine_cancel(): done and arg are those of the call that is meant */
};

/* One call, from engine_call() until its answer. */
struct call {
    struct call *next, *prev;    /* in the queue, among the answers; parked: among the polls of a queue, the
                                  * waiters of a run (prev is set only there) */
    struct call *prev_parked, *next_parked;
    struct call *next_same;      /* parked: in its bucket of eng.parked_index */
    struct heap_entry timer;     /* of a parked call: when it is answered empty */
    enum engine_method method;
    enum call_kind kind;
    bool parked, retried;
    bool queued_again;           /* it was put back into the queue */
    bool gone;                   /* its caller went away while it stood in the queue again */
    bool outside;                /* from another process */
    void (*news)(struct eng *e, struct call *c); /* not a method of the engine's: guest.c, copy.c */
    int64_t timeout_ms;
    const ProtobufCMessage *req;
    engine_done *done;
    void *arg;
    /* The writer's: */
    int64_t ns;
    struct queue *queue;         /* where a poll is parked */
    struct run *run;             /* whose events or query answer it waits for */
    int64_t from_id;             /* a history poll: the first event it has not seen */
    uint64_t query_id;           /* a query: its number */
    char *update_id;             /* an update that is waited for, and until it has reached what */
    Pb__UpdateWorkflowExecutionLifecycleStage stage;
    ProtobufCMessage *started;   /* what the answer begins with: of a multi-operation the start's response, of a completion
                                  * the activities that go with it, of a start its response without a task */
    ProtobufCMessage *resp;      /* the answer; with err: its detail, or NULL */
    struct err *err;
};

/* A workflow run in memory. Every open run has one, its state s is read when needed and dropped
 * when memory is short. */
struct run {
    int64_t key, ns;
    Pb__EmbeddedRun *s;          /* NULL while not in memory */
    struct heap_entry timer;     /* the earliest of all its deadlines */
    bool open, dirty, fresh;     /* fresh: not yet in the database */
    bool deleted;
    bool attributes_changed;     /* its search attributes, in this batch */
    bool completing, want_task;  /* commands are being applied: a task that is needed waits until they are done */
    struct run *next_dirty;
    struct run *lru_prev, *lru_next;
    size_t bytes, cost;          /* packed size of s; what it is accounted for in the cache */
    /* Events in the form of a packed History message: [0, flushed) are in the database, the rest
     * not yet. */
    struct strbuf tail;
    int64_t tail_first;          /* id of the first event in tail */
    size_t flushed;
    int64_t flushed_next;        /* id of the first event that is not in the database */
    struct call *waiters;        /* history polls */
    struct call *update_waiters;
    struct query *queries;
};

/* A task that waits for a poller. A hint: what it refers to is looked at again when it is handed
 * out. */
struct task {
    struct task *next;
    int64_t run_key, scheduled_id;
    int64_t since_ns;            /* when it was put here */
    int32_t attempt;
    uint64_t query_id;           /* not 0: a query-only task */
    uint8_t *attributes;         /* a packed ActivityTaskScheduledEventAttributes, or NULL: read it from history */
    size_t attributes_len;
};

enum queue_kind { QUEUE_WORKFLOW = 'w', QUEUE_ACTIVITY = 'a' };

#define QUEUE_POLLERS_SEEN 8

struct queue {
    enum queue_kind kind;
    int64_t ns;
    char *name;
    struct task *head, **tail;
    size_t count;
    struct call *pollers;        /* first to be served first */
    struct call *pollers_last;
    int64_t last_poll_ns;        /* when a poll last came or left */
    bool ready;                  /* in eng.ready */
    struct queue *next_ready;
    struct {
        char *identity;
        int64_t at_ns;
    } seen[QUEUE_POLLERS_SEEN];
};

/* A query from its call until its answer. */
struct query {
    struct query *next;
    uint64_t id;
    struct call *call;
    bool sent; /* with the workflow task that is started, or as a task of its own */
    bool own_task;
};

/* A workflow task for a poller, whose answer is built when the events are written. */
struct dispatch {
    struct call *call;
    struct run *run;
    uint64_t query_id;
    int64_t reset_id;
    bool sticky;
};

enum effect_kind { EFFECT_START_CHILD, EFFECT_SIGNAL, EFFECT_CANCEL, EFFECT_PARENT_CLOSED };

/* See effect.h. */
struct effect {
    enum effect_kind kind;
    int64_t run_key, initiated_id;
    const void *attributes;          /* of the command, borrowed from the request */
    const char *workflow_id, *run_id; /* a child's, in the arena */
    Pb__ParentClosePolicy policy;
};

#define ENGINE_CLUSTER_NAME "active"

struct namespace_entry {
    int64_t id, created_ns;
    char *name;
    Pb__EmbeddedNamespace *s; /* with info and config */
    bool swept, runs_seen;    /* retention.c: a pass over all runs has begun since it was deleted, and found some of it */
};

/* The engine as other processes see it: what they take is theirs beyond this process. */
struct outside_face {
    struct engine base;
    struct eng *eng;
};

struct eng {
    struct engine base;
    struct outside_face outside;
    struct lockfile lock;
    struct db db;
    struct engine_clock clock;
    enum engine_lost_tasks lost_tasks;
    int32_t lost_attempts_free;
    unsigned untrimmed; /* batches since the cache of runs was looked at */
    size_t cache_max;
    void (*ask)(void *arg, const char *identity, const char *run_id);
    void *ask_arg;
    int (*admit)(void *arg, const char *name_space, int64_t runs, struct err *err);
    void *admit_arg;
    struct engine_times times;
    bool in_memory;
    bool read_only; /* nothing is recovered, nothing is due, and what would write is refused */

    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows up to drain_call */
    pthread_cond_t wake;
    struct call *queue_head, **queue_tail;
    bool stop;
    bool drain_asked[2];         /* for callers inside, outside */
    struct call drain_call[2];   /* stands in the queue where drain was asked for */

    /* The writer's alone: */
    int64_t now, mono_ns;        /* engine time of this batch; the monotonic clock when it was read */
    int64_t retry_at;            /* after a failed commit: no timers before that */
    bool draining[2];
    struct arena arena;          /* dropped after each batch */
    struct err fault;            /* code not 0: this batch is to be undone */
    struct map runs, current;    /* by key; open or dirty ones by namespace and workflow id */
    struct run lru;              /* head of the ring of runs with state, most recently used next */
    size_t cache_bytes;
    struct run *dirty;
    struct heap heap;            /* runs, by engine time */
    struct heap waits;           /* parked calls, by the monotonic clock */
    struct map queues;
    struct queue *ready;
    size_t parked_polls;
    struct call *answers, **answers_tail;
    VEC(struct dispatch) dispatches;
    VEC(struct effect) effects;
    int64_t effects_ns, effects_runs; /* runs under way in that namespace, counted when a child is first started; 0: not yet */
    VEC(int64_t) eager;          /* activities of the commands at hand that their worker is to take at once */
    VEC(struct namespace_entry) namespaces;
    bool namespaces_changed;     /* in this batch */
    int64_t sweep_at, sweep_key; /* retention.c: when to go on, INT64_MAX: nothing is to be deleted; behind which run */
    uint64_t last_query_id;
    struct call *parked_head;    /* all parked calls, for drain */
    struct map guests;           /* struct guest by identity (guest.c) */
    struct call **parked_index;  /* the same by done and arg, for cancel: a power of two of buckets */
    size_t parked_count, parked_buckets;
    size_t again;                /* calls that were put back into the queue */
};

/* embedded.c: puts news of guests in the queue; takes it. */
void eng_tell(struct eng *e, struct call *news);
/* The same on the engine's thread, for news that is not done. False: the engine stops. */
bool eng_tell_again(struct eng *e, struct call *news);

/* writer.c */
void *eng_thread(void *arg);
void eng_read_clock(struct eng *e);
/* Marks the batch as failed; the first error stays. */
void eng_fault(struct eng *e, const struct err *err);
void eng_nomem(struct eng *e);
/* Opens a batch's transaction and writes what is dirty; eng_commit() ends it. Used by recovery
 * too. */
int eng_flush(struct eng *e, struct err *err);
int eng_commit(struct eng *e, struct err *err);

/* recover.c: brings every open run back to life. */
int eng_recover(struct eng *e, struct err *err);

/* guest.c */
/* Who takes a task with this call, under that identity. */
Pb__EmbeddedTaker guests_taker(struct eng *e, const struct call *c, const char *identity);
void guests_release(struct eng *e);

/* call.c */
/* Gives the call its answer, sent after the commit. resp is the engine's from here on. NULL
 * resp: out of memory. */
void call_answer(struct eng *e, struct call *c, ProtobufCMessage *resp);
void call_fail(struct eng *e, struct call *c, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void call_fail_err(struct eng *e, struct call *c, const struct err *err);
/* There is no such namespace. */
void call_fail_namespace(struct eng *e, struct call *c, const char *name);
/* Adds a detail to a call that has just failed; detail is the engine's from here on, NULL is fine. */
void call_detail(struct call *c, void *detail);
/* An empty response of the call's method. */
ProtobufCMessage *call_new_response(const struct call *c);
void call_answer_empty(struct eng *e, struct call *c);
/* Waits: the call is answered empty after its timeout (def_ms if it has none). */
void call_park(struct eng *e, struct call *c, int64_t def_ms);
void call_unpark(struct eng *e, struct call *c);
/* Its time is over, or the engine drains. */
void call_expire(struct eng *e, struct call *c);
/* Its caller has gone: the call that done and arg tell, if it still waits. */
void call_cancel(struct eng *e, engine_done *done, void *arg);
void call_dispatch(struct eng *e, struct call *c);
/* Puts it in the queue again, to be handled anew. */
void call_again(struct eng *e, struct call *c);
/* Its batch has failed: puts it in the queue again, if that is right. */
bool call_retry(struct eng *e, struct call *c);
void call_free(struct call *c);

/* Memory of the state: these fault the batch when it is out. */
void str_set(struct eng *e, char **field, const char *value);
/* Deep copy of a message into *field, freeing what was there; NULL clears. */
void msg_set(struct eng *e, void *field, const void *message);

#endif
