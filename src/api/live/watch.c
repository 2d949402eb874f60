/* Reading events: from the file, and by watchers from the ring of their run. */
#include "api/live/live_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define FAR_BEHIND (4 * RING) /* a watcher that slow goes on with what is new */

struct live_watch {
    struct live *l;
    struct channel *channel;
    int64_t next;   /* the last one read */
    int64_t replay; /* up to there all is read from the file, however far behind */
    bool told_pending;
    void (*told)(void *arg);
    void *arg;
};

static bool wanted(const char *types, const char *type)
{
    size_t n = strlen(type);
    for (const char *p = types; p; p = strchr(p, ' '), p = p ? p + 1 : NULL)
        if (strncmp(p, type, n) == 0 && (!p[n] || p[n] == ' '))
            return true;
    return !types;
}

int live_read(struct live *l, const char *run_id, int64_t after, size_t max, const char *types,
              int (*one)(void *arg, const struct live_event *e), void *arg, int64_t *ret_last, struct err *err)
{
    size_t given = 0;
    int r = 1;
    *ret_last = after;
    pthread_mutex_lock(&l->read_lock);
    sqlite3_stmt *s = live_db_bind(&l->reader, LIVE_EVENT_FROM, "sii", run_id, after, types ? INT64_C(-1) : (int64_t)max);
    while (given < max && (r = live_db_step(&l->reader, s, err)) == 1) {
        struct live_event e = {sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1), (const char *)sqlite3_column_text(s, 2),
                               (const char *)sqlite3_column_text(s, 3)};
        if (e.type && e.data && wanted(types, e.type)) {
            if (one(arg, &e) < 0)
                break;
            given++;
        }
        *ret_last = e.seq;
    }
    sqlite3_reset(s);
    pthread_mutex_unlock(&l->read_lock);
    return r < 0 ? r : 0;
}

int live_last(struct live *l, const char *run_id, int64_t *ret, struct err *err)
{
    struct channel *c;
    *ret = 0;
    pthread_mutex_lock(&l->lock);
    int r = channel_get(l, run_id, &c, err);
    if (r == 0)
        *ret = c->shown;
    pthread_mutex_unlock(&l->lock);
    return r;
}

int live_execution(struct live *l, const char *run_id, char ret[40], bool *ret_ended, struct err *err)
{
    struct channel *c;
    pthread_mutex_lock(&l->lock);
    int r = channel_get(l, run_id, &c, err);
    if (r == 0)
        snprintf(ret, 40, "%s", c->shown_execution);
    *ret_ended = r == 0 && c->shown_ended;
    pthread_mutex_unlock(&l->lock);
    return r;
}

int live_stats(struct live *l, const char *run_id, char **ret, struct err *err)
{
    *ret = NULL;
    pthread_mutex_lock(&l->read_lock);
    sqlite3_stmt *s = live_db_bind(&l->reader, LIVE_RUN_GET, "s", run_id);
    int r = live_db_step(&l->reader, s, err);
    const char *text = r == 1 ? (const char *)sqlite3_column_text(s, 4) : NULL;
    if (text && !(*ret = mem_strdup(text)))
        r = err_nomem(err);
    sqlite3_reset(s);
    pthread_mutex_unlock(&l->read_lock);
    return r < 0 ? r : 0;
}

int live_series(struct live *l, const char *run_id, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *list = json_array();
    char at[32];
    int r;
    if (!list)
        return err_nomem(err);
    pthread_mutex_lock(&l->read_lock);
    sqlite3_stmt *s = live_db_bind(&l->reader, LIVE_POINT_ALL, "s", run_id);
    while ((r = live_db_step(&l->reader, s, err)) == 1) {
        const char *text = (const char *)sqlite3_column_text(s, 1);
        json_t *point = NULL;
        if (!text || json_parse(text, strlen(text), LIVE_DATA_MAX, &point, NULL) < 0)
            continue;
        json_object_set_new(point, "at", json_string(os_format_time(sqlite3_column_int64(s, 0), at)));
        json_array_append_new(list, point);
    }
    sqlite3_reset(s);
    pthread_mutex_unlock(&l->read_lock);
    if (r == 0)
        *ret = TAKE_PTR(list);
    return r;
}

/* --- watchers ------------------------------------------------------------------------------------------------ */

void live_publish(struct channel *c)
{
    VEC_EACH(&c->watchers, p) {
        struct live_watch *w = *p;
        if (w->told_pending)
            continue;
        w->told_pending = true;
        w->told(w->arg);
    }
}

int live_watch_new(struct live *l, const char *run_id, int64_t after, void (*told)(void *arg), void *arg,
                   struct live_watch **ret, struct err *err)
{
    struct live_watch *w = mem_zalloc(sizeof *w);
    if (!w)
        return err_nomem(err);
    w->l = l;
    w->told = told;
    w->arg = arg;
    pthread_mutex_lock(&l->lock);
    int r = channel_get(l, run_id, &w->channel, err);
    if (r == 0 && !w->channel->ring && !(w->channel->ring = mem_calloc(RING, sizeof *w->channel->ring)))
        r = err_nomem(err);
    if (r == 0 && !VEC_PUSH(&w->channel->watchers, w))
        r = err_nomem(err);
    if (r == 0) {
        w->replay = w->channel->shown;
        w->next = after < w->replay ? after : w->replay;
        l->counts.watchers++;
    }
    pthread_mutex_unlock(&l->lock);
    if (r < 0)
        free(w);
    else
        *ret = w;
    return r;
}

/* From the ring, as long as it has what comes next. Under lock. */
static void read_ring(struct live_watch *w, size_t max, int (*one)(void *arg, const struct live_event *e), void *arg)
{
    struct channel *c = w->channel;
    int n = 0;
    while (w->next < c->shown && (size_t)n < max) {
        const struct entry *e = &c->ring[(w->next + 1) % RING];
        if (e->seq != w->next + 1)
            break;
        struct live_event ev = {e->seq, e->at_ns, e->type, e->data};
        if (e->type && e->data && one(arg, &ev) < 0)
            break;
        w->next++;
        n++;
    }
}

struct counted {
    int (*one)(void *arg, const struct live_event *e);
    void *arg;
    int n;
    bool full;
};

static int count_one(void *arg, const struct live_event *e)
{
    struct counted *c = arg;
    c->full = c->one(c->arg, e) < 0;
    c->n += !c->full;
    return c->full ? -1 : 0;
}

int live_watch_read(struct live_watch *w, size_t max, int (*one)(void *arg, const struct live_event *e), void *arg,
                    int64_t *ret_skipped, struct err *err)
{
    struct live *l = w->l;
    struct channel *c = w->channel;
    *ret_skipped = 0;
    pthread_mutex_lock(&l->lock);
    w->told_pending = false;
    if (w->next >= w->replay && c->shown - w->next > FAR_BEHIND) {
        *ret_skipped = c->shown - 1 - w->next;
        w->next = c->shown - 1;
        l->counts.skipped += (uint64_t)*ret_skipped;
    }
    struct counted counted = {.one = one, .arg = arg};
    read_ring(w, max, count_one, &counted);
    int64_t upto = c->shown;
    bool from_file = !counted.n && !counted.full && w->next < upto;
    pthread_mutex_unlock(&l->lock);
    if (!from_file)
        return counted.n;
    int64_t last;
    int r = live_read(l, c->run, w->next, max, NULL, count_one, &counted, &last, err);
    if (r < 0)
        return r;
    w->next = counted.n || counted.full ? last : upto; /* nothing there: it was thinned out */
    return counted.n;
}

bool live_watch_ended(struct live_watch *w)
{
    pthread_mutex_lock(&w->l->lock);
    bool ended = w->channel->shown_ended && w->next >= w->channel->shown;
    pthread_mutex_unlock(&w->l->lock);
    return ended;
}

void live_watch_free(struct live_watch *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->l->lock);
    for (size_t i = 0; i < w->channel->watchers.len; i++)
        if (w->channel->watchers.v[i] == w) {
            w->channel->watchers.v[i] = w->channel->watchers.v[--w->channel->watchers.len];
            break;
        }
    w->l->counts.watchers--;
    pthread_mutex_unlock(&w->l->lock);
    free(w);
}
