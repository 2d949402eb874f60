/* What happens in runs, as numbered events: state, stage, progress, log, finding, stats, crash.
 *
 * They are kept in "<state>/events.db", an SQLite file of its own, so that a watcher can go on where it was, also after the
 * server was started anew. What the engine's history says (state, stage) is taken from there, each event once, whoever does the
 * work; what only a worker sees (progress, log, findings, stats) comes from the worker of this process, and of workers elsewhere
 * from their heartbeats and results, without their logs. The history is the
 * truth: events are written without waiting for the disk, and a power failure may lose the last of them. While there is no room
 * they are kept in memory, as many as there is a bound for.
 *
 * One thread writes. Watchers of a run are told when there is more; each reads the events once from a ring that all share. */
#ifndef FF_API_LIVE_LIVE_H
#define FF_API_LIVE_LIVE_H

#include "api/service/service.h"
#include "worker/worker.h"

#define LIVE_EVENTS_MAX 20000 /* kept of a run; progress and logs over it are left out, and counted */
#define LIVE_DATA_MAX ((size_t)64 << 10) /* bytes of one event's data; larger ones are cut to {"dropped_bytes": n} */
/* Of all events of a run that are kept; of more, the older half goes, progress, statistics and logs first. */
#define LIVE_BYTES_MAX (INT64_C(64) << 20)
#define LIVE_POINT_MAX ((size_t)4 << 10) /* bytes of a point; larger ones are not in the series */
#define LIVE_SERIES_MAX 2000 /* points of a run's statistics: at that, each second one of the older half goes */

struct live;

/* A run is named by its id; in another namespace than "default", or with LIVE_KEY_MARK in the id, by namespace, mark and id. */
#define LIVE_KEY_MARK '\x1f'
#define LIVE_KEY_MAX (ENGINE_ID_MAX + 72)
const char *live_key(const char *name_space, const char *run_id, char buf[LIVE_KEY_MAX]);

/* worker: identity of the worker of this process, which tells of its events itself; what others do is taken from the engine,
 * a little later. NULL: there is none. */
int live_open(const struct service *svc, const char *state_dir, const char *worker, struct live **ret, struct err *err);
void live_close(struct live *l); /* NULL is fine; watchers are gone before */
/* For reading alone, beside the process that writes: live_read(), live_stats(), live_series(). -ERR_NOT_FOUND: no events are
 * kept in that state. */
int live_open_reader(const char *state_dir, struct live **ret, struct err *err);

/* A finding that is a crash is told as one too: of the category, or with a stack and what reproduces it. */
bool live_is_crash(const char *rule_id, const json_t *evidence);

/* From the worker's threads. */
void live_worker_event(struct live *l, const struct worker_event *e);
/* Follows the run's history, if nobody does yet. */
void live_follow(struct live *l, const char *run_id);
/* An event from outside; written when this returns 0. -ERR_BUSY: too much at a time. */
int live_post(struct live *l, const char *run_id, const char *type, json_t *data, struct err *err);

struct live_event {
    int64_t seq; /* from 1 on, of its run */
    int64_t at_ns;
    const char *type;
    const char *data; /* JSON */
};
/* Events after that number, in order, at most max. types: words of the types wanted; NULL: all. A negative answer of one ends it,
 * and that event counts as not given. *ret_last: number of the last one that was looked at, or after. */
int live_read(struct live *l, const char *run_id, int64_t after, size_t max, const char *types,
              int (*one)(void *arg, const struct live_event *e), void *arg, int64_t *ret_last, struct err *err);
/* The number of the last event; 0: none. */
int live_last(struct live *l, const char *run_id, int64_t *ret, struct err *err);

/* Which execution of the run the last event is about ("": none yet), and whether it is that one's end. */
int live_execution(struct live *l, const char *run_id, char ret[40], bool *ret_ended, struct err *err);

/* The last statistics of a run: JSON, the caller's; NULL if there are none. */
int live_stats(struct live *l, const char *run_id, char **ret, struct err *err);
/* [{at, ...}], oldest first. */
int live_series(struct live *l, const char *run_id, json_t **ret, struct err *err);
/* Statistics and crashes of a run; with all, every event. */
int live_forget(struct live *l, const char *run_id, bool all, struct err *err);

/* Bytes that are kept of all runs of a namespace. */
int live_bytes(struct live *l, const char *name_space, uint64_t *ret, struct err *err);

/* A watcher. told() runs on the writer's thread when there is more than was read, once until the next live_watch_read(). */
struct live_watch;
int live_watch_new(struct live *l, const char *run_id, int64_t after, void (*told)(void *arg), void *arg,
                   struct live_watch **ret, struct err *err);
/* Gives the next events, at most max. Returns how many, 0: none yet. *ret_skipped: how many were left out because the watcher
 * was too slow. Quick: it reads the ring, and the file only for what came before. */
int live_watch_read(struct live_watch *w, size_t max, int (*one)(void *arg, const struct live_event *e), void *arg,
                    int64_t *ret_skipped, struct err *err);
bool live_watch_ended(struct live_watch *w); /* the run has ended, and all was read */
void live_watch_free(struct live_watch *w);

struct live_counts {
    uint64_t events, dropped, watchers, skipped;
};
void live_count(struct live *l, struct live_counts *ret);

#endif
