/* The parts of live.h: the file (db.c), the writer (live.c), the followers of histories (tail.c), the watchers (watch.c). */
#ifndef FF_API_LIVE_LIVE_INTERNAL_H
#define FF_API_LIVE_LIVE_INTERNAL_H

#include "api/live/live.h"
#include "base/map.h"
#include "base/vec.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#define RUN_ID_MAX ENGINE_ID_MAX
#define RING 256

/* --- the file ----------------------------------------------------------------------------------------------------- */

#define LIVE_ROW_BYTES "length(CAST(data AS BLOB))+64" /* of an event or point, with what surrounds it */
#define LIVE_ROW_MORE 64

#define LIVE_STATEMENTS(X)                                                                                                    \
    X(RUN_GET, "SELECT last,execution,history,ended,stats,points,bytes FROM run WHERE run=?1")                                \
    X(RUN_PUT, "INSERT OR REPLACE INTO run(run,last,execution,history,ended,stats,points,bytes) "                             \
               "VALUES(?1,?2,?3,?4,?5,?6,?7,?8)")                                                                             \
    X(RUN_AFTER, "SELECT run FROM run WHERE run>?1 AND bytes>0 AND coalesce((SELECT at FROM event WHERE event.run=run.run "   \
                 "ORDER BY seq DESC LIMIT 1),0)<?2 ORDER BY run LIMIT 1")                                                     \
    X(RUN_BYTES, "SELECT (SELECT total(" LIVE_ROW_BYTES ") FROM event WHERE run=?1)+"                                         \
                 "(SELECT total(" LIVE_ROW_BYTES ") FROM point WHERE run=?1)")                                                \
    X(SPACE_BYTES, "SELECT total(bytes) FROM run WHERE run>=?1||char(31) AND run<?1||char(32) "                               \
                   "OR (?1='default' AND instr(run,char(31))=0)")                                                             \
    X(EVENT_PUT, "INSERT OR REPLACE INTO event(run,seq,at,type,data) VALUES(?1,?2,?3,?4,?5)")                                 \
    X(EVENT_THIN, "DELETE FROM event WHERE run=?1 AND seq<?2 AND type IN ('progress','stats','log')")                         \
    X(EVENT_CUT, "SELECT seq FROM (SELECT seq,sum(" LIVE_ROW_BYTES ") OVER (ORDER BY seq DESC) s FROM event WHERE run=?1) "   \
                 "WHERE s>?2 ORDER BY seq DESC LIMIT 1")                                                                      \
    X(EVENT_DROP, "DELETE FROM event WHERE run=?1 AND seq<=?2")                                                               \
    X(EVENT_FROM, "SELECT seq,at,type,data FROM event WHERE run=?1 AND seq>?2 ORDER BY seq LIMIT ?3")                         \
    X(POINT_PUT, "INSERT OR REPLACE INTO point(run,at,data) VALUES(?1,?2,?3)")                                                \
    X(POINT_THIN, "DELETE FROM point WHERE run=?1 AND at IN (SELECT at FROM (SELECT at,row_number() OVER (ORDER BY at) n "    \
                  "FROM point WHERE run=?1) WHERE n%2=0 AND n<=?2)")                                                          \
    X(POINT_ALL, "SELECT at,data FROM point WHERE run=?1 ORDER BY at")                                                        \
    X(EVENT_FORGET, "DELETE FROM event WHERE run=?1")                                                                         \
    X(CAMPAIGN_FORGET, "DELETE FROM event WHERE run=?1 AND type IN ('stats','crash')")                                        \
    X(POINT_FORGET, "DELETE FROM point WHERE run=?1")                                                                         \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                               \
    X(COMMIT, "COMMIT")                                                                                                       \
    X(ROLLBACK, "ROLLBACK")

enum live_statement {
#define X(NAME, sql) LIVE_##NAME,
    LIVE_STATEMENTS(X)
#undef X
        LIVE_STATEMENTS_COUNT_
};

/* One connection; its user locks. */
struct live_db {
    sqlite3 *h;
    sqlite3_stmt *stmt[LIVE_STATEMENTS_COUNT_];
};

int live_db_open(struct live_db *db, const char *path, struct err *err);
void live_db_close(struct live_db *db);
/* Reset, with arguments bound by letters: s text (NULL is NULL), i int64_t. */
sqlite3_stmt *live_db_bind(struct live_db *db, enum live_statement s, const char *letters, ...);
/* 1 a row, 0 done. */
int live_db_step(struct live_db *db, sqlite3_stmt *s, struct err *err);
/* Bind and step to the end, no rows wanted. */
int live_db_run(struct live_db *db, struct err *err, enum live_statement s, const char *letters, ...);

/* --- runs --------------------------------------------------------------------------------------------------------- */

struct entry {
    int64_t seq, at_ns;
    char *type, *data;
};

/* What is kept of a run in memory: as long as it is followed or watched, and some others. */
struct channel {
    char *run;
    int64_t last;       /* number of the last event written; the writer's */
    int64_t shown;      /* the same, of what is committed: watchers see no more */
    char execution[40]; /* whose history was taken, up to that event */
    int64_t history;
    bool ended, shown_ended; /* the writer's, and of what is committed */
    char shown_execution[40];
    char *stats; /* JSON; NULL: none */
    int64_t points, progress_ns, thinned, bytes;
    bool dirty; /* something of it is not committed */
    struct tail *tail; /* NULL: nobody follows the history */
    VEC(struct live_watch *) watchers;
    struct entry *ring; /* RING, event n at n % RING; NULL: nobody has watched it */
};

/* One thing to be written. */
struct item {
    struct item *next;
    char *run;
    const char *type; /* static */
    char *data;       /* JSON */
    int64_t at_ns;
    enum { ITEM_EVENT, ITEM_FOLLOW, ITEM_FORGET, ITEM_FORGET_ALL, ITEM_HISTORY } kind;
    ProtobufCMessage *response; /* ITEM_HISTORY */
    struct err err;
    struct tail *tail;
    struct posted *posted; /* somebody waits for it */
};

/* How it went: under queue_lock, told by cond_posted. */
struct posted {
    bool over;
    struct err err;
};

struct live {
    const struct service *svc;
    char *path, *worker;
    struct live_db writer, reader;
    pthread_mutex_t read_lock; /* of reader */
    pthread_mutex_t queue_lock;
    pthread_cond_t cond, cond_posted;
    struct item *first, **end;
    size_t queued;
    atomic_bool stopping; /* set under queue_lock, so that nobody misses it who waits for cond */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;  /* channels: their rings and watchers */
    struct map channels;   /* run -> struct channel; added and removed by the writer's thread, or for a new watcher */
    struct live_counts counts;
    /* The writer's thread alone: */
    int tails;
    bool failing; /* what was to be written last could not be */
    int64_t looked_ns, swept_ns;
    char swept[LIVE_KEY_MAX]; /* the last run that was looked for in the engine */
};

/* The channel of a run, read from the file if it is not known. Under lock. */
int channel_get(struct live *l, const char *run, struct channel **ret, struct err *err);
void channel_free(struct channel *c);

int live_push(struct live *l, struct item *i);
void item_free(struct item *i);

/* live_worker_event(); with c at once, in the writer's thread. */
void live_other_event(struct live *l, struct channel *c, const struct worker_event *e);
/* Writes an event now; the writer's thread, inside a transaction. text: its data, JSON. */
int live_write(struct live *l, struct channel *c, const char *type, const char *text, int64_t at_ns, struct err *err);
/* Tells the watchers that there is more. Under lock. */
void live_publish(struct channel *c);

/* The writer's thread. */
int tail_start(struct live *l, struct channel *c, struct err *err);
int tail_answer(struct live *l, struct item *i, struct err *err);
/* When that is committed, what comes next is asked for; when it is not, all is asked for again later. */
void tail_go_on(struct live *l, struct item *i, bool committed);
void tail_retry(struct live *l); /* those whose engine, or whose file, could not do it */
/* What workers of other processes have last said. */
void tails_look(struct live *l);
void tails_cancel(struct live *l);

#endif
