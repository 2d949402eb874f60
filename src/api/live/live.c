#include "api/live/live_internal.h"

#include "api/service/runs.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define QUEUE_MAX 10000
#define BATCH 500
#define LOOK_EVERY_NS (2 * NS_PER_S) /* for runs that others have started */
#define SWEEP_EVERY_NS (60 * NS_PER_S)
#define SWEPT_AT_ONCE 50
#define RUNNING_MAX 1000
#define CHANNELS_MAX 1000 /* idle ones in memory */
#define AGAIN_AFTER_MS 200 /* where nothing could be written */
#define PROGRESS_EVERY_NS (200 * NS_PER_MS)
#define STACK_BYTES ((size_t)256 << 10)

/* --- channels ------------------------------------------------------------------------------------------------- */

void channel_free(struct channel *c)
{
    for (size_t i = 0; c->ring && i < RING; i++) {
        free(c->ring[i].type);
        free(c->ring[i].data);
    }
    free(c->ring);
    VEC_RELEASE(&c->watchers);
    free(c->stats);
    free(c->run);
    free(c);
}

static int channel_load(struct live *l, struct channel *c, struct err *err)
{
    pthread_mutex_lock(&l->read_lock);
    sqlite3_stmt *s = live_db_bind(&l->reader, LIVE_RUN_GET, "s", c->run);
    int r = live_db_step(&l->reader, s, err);
    if (r == 1) {
        const char *execution = (const char *)sqlite3_column_text(s, 1), *stats = (const char *)sqlite3_column_text(s, 4);
        c->last = sqlite3_column_int64(s, 0);
        snprintf(c->execution, sizeof c->execution, "%s", execution ? execution : "");
        snprintf(c->shown_execution, sizeof c->shown_execution, "%s", c->execution);
        c->history = sqlite3_column_int64(s, 2);
        c->ended = c->shown_ended = sqlite3_column_int(s, 3);
        c->stats = mem_strdup(stats);
        c->points = sqlite3_column_int64(s, 5);
        c->bytes = sqlite3_column_int64(s, 6);
        c->thinned = c->shown = c->last;
        sqlite3_reset(s);
    }
    pthread_mutex_unlock(&l->read_lock);
    return r < 0 ? r : 0;
}

int channel_get(struct live *l, const char *run, struct channel **ret, struct err *err)
{
    if ((*ret = map_get(&l->channels, run)))
        return 0;
    struct channel *c = mem_zalloc(sizeof *c);
    if (!c)
        return err_nomem(err);
    c->run = mem_strdup(run);
    int r = c->run ? channel_load(l, c, err) : err_nomem(err);
    if (r == 0 && !map_set(&l->channels, run, c))
        r = err_nomem(err);
    if (r < 0)
        channel_free(c);
    else
        *ret = c;
    return r;
}

/* Those that nobody needs are read again from the file when they are. */
static void forget_idle(struct live *l)
{
    pthread_mutex_lock(&l->lock);
    if (l->channels.len > CHANNELS_MAX) {
        MAP_EACH(&l->channels, e) {
            struct channel *c = e->value;
            if (c->tail || c->watchers.len)
                continue;
            map_remove(&l->channels, c->run);
            channel_free(c);
        }
    }
    pthread_mutex_unlock(&l->lock);
}

/* --- the queue ------------------------------------------------------------------------------------------------- */

void item_free(struct item *i)
{
    if (!i)
        return;
    engine_free_message(i->response);
    free(i->run);
    free(i->data);
    free(i);
}

int live_push(struct live *l, struct item *i)
{
    pthread_mutex_lock(&l->queue_lock);
    bool full = (l->queued >= QUEUE_MAX && i->kind == ITEM_EVENT) || (l->stopping && i->kind != ITEM_HISTORY);
    if (!full) {
        i->next = NULL;
        *l->end = i;
        l->end = &i->next;
        l->queued++;
        pthread_cond_signal(&l->cond);
    } else {
        l->counts.dropped++;
    }
    pthread_mutex_unlock(&l->queue_lock);
    if (full)
        item_free(i);
    return full ? -ERR_BUSY : 0;
}

static struct item *new_item(int kind, const char *run, const char *type, const json_t *data)
{
    struct item *i = mem_zalloc(sizeof *i);
    if (!i)
        return NULL;
    i->kind = kind;
    i->type = type;
    i->at_ns = os_now_ns();
    i->run = mem_strdup(run);
    struct strbuf b = STRBUF_INIT_MAX(LIVE_DATA_MAX);
    if (data && json_write(data, &b, NULL) < 0) {
        size_t dropped = b.len;
        strbuf_release(&b);
        b = (struct strbuf)STRBUF_INIT_MAX(LIVE_DATA_MAX);
        strbuf_printf(&b, "{\"dropped_bytes\":%zu}", dropped);
    }
    i->data = data ? strbuf_take(&b, NULL) : mem_strdup("{}");
    if (i->run && i->data)
        return i;
    item_free(i);
    return NULL;
}

static const char *known_type(const char *type)
{
    static const char *const types[] = {"state", "stage", "progress", "log", "finding", "stats", "crash"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(types[i], type) == 0)
            return types[i];
    return NULL;
}

int live_post(struct live *l, const char *run_id, const char *type, json_t *data, struct err *err)
{
    struct posted p = {0};
    const char *t = known_type(type);
    struct item *i = t ? new_item(ITEM_EVENT, run_id, t, data) : NULL;
    if (!i)
        return t ? err_nomem(err) : err_set(err, ERR_INVALID, "no event is called %s", type);
    i->posted = &p;
    if (live_push(l, i) < 0)
        return err_set(err, ERR_BUSY, "too many events at a time");
    pthread_mutex_lock(&l->queue_lock);
    while (!p.over)
        pthread_cond_wait(&l->cond_posted, &l->queue_lock);
    pthread_mutex_unlock(&l->queue_lock);
    return p.err.code ? err_copy(err, &p.err) : 0;
}

void live_follow(struct live *l, const char *run_id)
{
    struct item *i = new_item(ITEM_FOLLOW, run_id, NULL, NULL);
    if (i)
        live_push(l, i);
}

const char *live_key(const char *name_space, const char *run_id, char buf[LIVE_KEY_MAX])
{
    bool plain = !name_space || strcmp(name_space, "default") == 0;
    if (plain && !strchr(run_id, LIVE_KEY_MARK)) /* an id may have it: other clients choose theirs freely */
        snprintf(buf, LIVE_KEY_MAX, "%s", run_id);
    else
        snprintf(buf, LIVE_KEY_MAX, "%s%c%s", plain ? "default" : name_space, LIVE_KEY_MARK, run_id);
    return buf;
}

bool live_is_crash(const char *rule_id, const json_t *evidence)
{
    return strncmp(rule_id, "crash/", 6) == 0 || strncmp(rule_id, "fuzzing/", 8) == 0 ||
           (json_object_get(evidence, "reproducer") && json_object_get(evidence, "stack"));
}

/* Writes it at once, if c is given: in the writer's thread. */
static void put_event(struct live *l, struct channel *c, const char *key, const char *type, const json_t *data)
{
    struct item *i = new_item(ITEM_EVENT, key, type, data);
    if (!i)
        return;
    if (!c) {
        live_push(l, i);
        return;
    }
    live_write(l, c, type, i->data, i->at_ns, NULL);
    item_free(i);
}

void live_other_event(struct live *l, struct channel *c, const struct worker_event *e)
{
    char key[LIVE_KEY_MAX];
    const char *type = strcmp(e->type, "script_log") == 0 ? "log" : known_type(e->type);
    bool stage = strcmp(e->type, "started") == 0;
    if (!*e->workflow_id || (!type && !stage)) /* how an activity ends is in the history */
        return;
    _cleanup_json_ json_t *data = json_is_object(e->data) ? json_copy((json_t *)(uintptr_t)e->data) : json_object();
    if (!data)
        return;
    if (*e->module) {
        json_object_set_new(data, "module", json_string(e->module));
        json_object_set_new(data, "attempt", json_integer(e->attempt));
    }
    if (stage)
        json_object_set_new(data, "state", json_string("started"));
    live_key(e->name_space, e->workflow_id, key);
    put_event(l, c, key, stage ? "stage" : type, data);
    if (type && strcmp(type, "finding") == 0 &&
        live_is_crash(json_str(data, "rule_id", ""), json_object_get(data, "evidence")))
        put_event(l, c, key, "crash", data);
    if (stage && !c)
        live_follow(l, key);
}

void live_worker_event(struct live *l, const struct worker_event *e)
{
    live_other_event(l, NULL, e);
}

/* --- the writer -------------------------------------------------------------------------------------------------- */

static void ring_add(struct channel *c, const char *type, const char *data, int64_t at_ns)
{
    if (!c->ring)
        return;
    struct entry *e = &c->ring[c->last % RING];
    free(e->type);
    free(e->data);
    *e = (struct entry){c->last, at_ns, mem_strdup(type), mem_strdup(data)};
}

static int add_point(struct live *l, struct channel *c, const char *data, int64_t at_ns, struct err *err)
{
    free(c->stats);
    c->stats = mem_strdup(data);
    if (strlen(data) > LIVE_POINT_MAX)
        return 0;
    c->bytes += (int64_t)strlen(data) + LIVE_ROW_MORE;
    int r = live_db_run(&l->writer, err, LIVE_POINT_PUT, "sis", c->run, at_ns, data);
    if (r == 0 && ++c->points >= LIVE_SERIES_MAX) {
        r = live_db_run(&l->writer, err, LIVE_POINT_THIN, "si", c->run, c->points / 2);
        c->points -= c->points / 4;
    }
    return r;
}

/* One number. */
static int ask_number(struct live_db *db, sqlite3_stmt *s, int64_t *ret, struct err *err)
{
    int r = live_db_step(db, s, err);
    *ret = r == 1 ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    return r < 0 ? r : 0;
}

static int count_bytes(struct live *l, struct channel *c, struct err *err)
{
    return ask_number(&l->writer, live_db_bind(&l->writer, LIVE_RUN_BYTES, "s", c->run), &c->bytes, err);
}

/* The older half of its bytes goes: what others can be told without, or, where that is not enough, all of it. */
static int drop_older(struct live *l, struct channel *c, struct err *err)
{
    int64_t cut;
    int r = ask_number(&l->writer, live_db_bind(&l->writer, LIVE_EVENT_CUT, "si", c->run, LIVE_BYTES_MAX / 2), &cut, err);
    if (r == 0)
        r = live_db_run(&l->writer, err, LIVE_EVENT_THIN, "si", c->run, cut + 1);
    if (r == 0)
        r = count_bytes(l, c, err);
    if (r < 0 || c->bytes <= LIVE_BYTES_MAX / 4 * 3)
        return r;
    r = live_db_run(&l->writer, err, LIVE_EVENT_DROP, "si", c->run, cut);
    return r < 0 ? r : count_bytes(l, c, err);
}

static int make_room(struct live *l, struct channel *c, struct err *err)
{
    int r = 0;
    if (c->last - c->thinned >= LIVE_EVENTS_MAX) {
        r = live_db_run(&l->writer, err, LIVE_EVENT_THIN, "si", c->run, c->last - LIVE_EVENTS_MAX / 2);
        c->thinned = c->last - LIVE_EVENTS_MAX / 2;
        if (r == 0)
            r = count_bytes(l, c, err);
    }
    return r == 0 && c->bytes > LIVE_BYTES_MAX ? drop_older(l, c, err) : r;
}

int live_write(struct live *l, struct channel *c, const char *type, const char *text, int64_t at_ns, struct err *err)
{
    if (strcmp(type, "progress") == 0) {
        if (at_ns - c->progress_ns < PROGRESS_EVERY_NS)
            return 0;
        c->progress_ns = at_ns;
    }
    c->dirty = true;
    int r = live_db_run(&l->writer, err, LIVE_EVENT_PUT, "siiss", c->run, c->last + 1, at_ns, type, text);
    if (r == 0 && strcmp(type, "stats") == 0)
        r = add_point(l, c, text, at_ns, err);
    c->bytes += (int64_t)strlen(text) + LIVE_ROW_MORE;
    if (r == 0)
        r = make_room(l, c, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&l->lock);
    c->last++;
    ring_add(c, type, text, at_ns);
    pthread_mutex_unlock(&l->lock);
    l->counts.events++;
    return 0;
}

static int forget_run(struct live *l, struct channel *c, bool all, struct err *err)
{
    c->dirty = true;
    int r = live_db_run(&l->writer, err, all ? LIVE_EVENT_FORGET : LIVE_CAMPAIGN_FORGET, "s", c->run);
    if (r == 0)
        r = live_db_run(&l->writer, err, LIVE_POINT_FORGET, "s", c->run);
    if (r == 0)
        r = count_bytes(l, c, err);
    pthread_mutex_lock(&l->lock);
    free(TAKE_PTR(c->stats));
    c->points = 0;
    for (size_t i = 0; c->ring && i < RING; i++)
        c->ring[i].seq = 0;
    pthread_mutex_unlock(&l->lock);
    return r;
}

static int handle(struct live *l, struct item *i, struct err *err)
{
    struct channel *c;
    if (i->kind == ITEM_HISTORY)
        return tail_answer(l, i, err);
    pthread_mutex_lock(&l->lock);
    int r = channel_get(l, i->run, &c, err);
    pthread_mutex_unlock(&l->lock);
    if (r < 0)
        return r;
    if (i->kind == ITEM_FOLLOW)
        return tail_start(l, c, err);
    if (i->kind == ITEM_FORGET || i->kind == ITEM_FORGET_ALL)
        return forget_run(l, c, i->kind == ITEM_FORGET_ALL, err);
    return live_write(l, c, i->type, i->data, i->at_ns, err);
}

static int save_dirty(struct live *l, struct err *err)
{
    int r = 0;
    pthread_mutex_lock(&l->lock);
    MAP_EACH(&l->channels, e) {
        struct channel *c = e->value;
        if (!c->dirty || r < 0)
            continue;
        r = live_db_run(&l->writer, err, LIVE_RUN_PUT, "sisiisii", c->run, c->last, c->execution, c->history, (int64_t)c->ended,
                        c->stats, c->points, c->bytes);
    }
    pthread_mutex_unlock(&l->lock);
    return r;
}

static void publish_dirty(struct live *l)
{
    pthread_mutex_lock(&l->lock);
    MAP_EACH(&l->channels, e) {
        struct channel *c = e->value;
        if (!c->dirty)
            continue;
        c->dirty = false;
        c->shown = c->last;
        c->shown_ended = c->ended;
        snprintf(c->shown_execution, sizeof c->shown_execution, "%s", c->execution);
        live_publish(c);
    }
    pthread_mutex_unlock(&l->lock);
}

/* As the file has it: nothing of the batch is there. */
static void restore_dirty(struct live *l)
{
    pthread_mutex_lock(&l->lock);
    MAP_EACH(&l->channels, e) {
        struct channel *c = e->value;
        if (!c->dirty)
            continue;
        free(TAKE_PTR(c->stats));
        c->execution[0] = 0;
        c->last = c->shown;
        c->history = c->points = c->bytes = c->progress_ns = 0;
        c->ended = c->shown_ended;
        if (channel_load(l, c, NULL) < 0)
            continue; /* with the next batch */
        c->dirty = false;
        for (size_t i = 0; c->ring && i < RING; i++)
            if (c->ring[i].seq > c->last)
                c->ring[i].seq = 0;
    }
    pthread_mutex_unlock(&l->lock);
}

/* Under queue_lock. */
static void tell_posted(struct live *l, const struct item *i, const struct err *err)
{
    if (!i->posted)
        return;
    i->posted->err = *err;
    i->posted->over = true;
    pthread_cond_broadcast(&l->cond_posted);
}

/* Before all that came meanwhile. Whoever waits for something that was posted is told. */
static void put_back(struct live *l, struct item *list, struct item **end, size_t n, const struct err *err)
{
    pthread_mutex_lock(&l->queue_lock);
    *end = l->first;
    if (n && !l->first)
        l->end = end;
    l->first = list;
    l->queued += n;
    for (struct item **p = &l->first; *p;) {
        struct item *i = *p;
        if (!i->posted) {
            p = &i->next;
            continue;
        }
        tell_posted(l, i, err);
        *p = i->next;
        l->queued--;
        item_free(i);
        if (!*p)
            l->end = p;
    }
    pthread_mutex_unlock(&l->queue_lock);
}

/* What could not be written for want of room is written later, in its turn; whoever waits for it is told at once. */
static void not_written(struct live *l, struct item *batch, const struct err *err)
{
    bool later = !l->stopping && (err->code == ERR_NO_SPACE || err->code == ERR_IO || err->code == ERR_BUSY);
    struct item *list = NULL, **end = &list;
    size_t n = 0;
    restore_dirty(l);
    for (struct item *i = batch, *next; i; i = next) {
        next = i->next;
        if (i->kind == ITEM_HISTORY)
            tail_go_on(l, i, false);
        if (i->kind == ITEM_HISTORY || (!later && !i->posted)) {
            l->counts.dropped += i->kind == ITEM_EVENT;
            item_free(i);
            continue;
        }
        *end = i;
        end = &i->next;
        n++;
    }
    put_back(l, list, end, n, err);
    if (!l->failing)
        log_error("%s%s", err->msg, later ? "; what happens is kept in memory until it can be written" : "");
    l->failing = true;
    if (later)
        os_sleep_ms(AGAIN_AFTER_MS);
}

static void written(struct live *l, struct item *batch)
{
    for (struct item *i = batch, *next; i; i = next) {
        next = i->next;
        if (i->kind == ITEM_HISTORY)
            tail_go_on(l, i, true);
        pthread_mutex_lock(&l->queue_lock);
        tell_posted(l, i, &(struct err){0});
        pthread_mutex_unlock(&l->queue_lock);
        item_free(i);
    }
    if (l->failing)
        log_info("events are written again");
    l->failing = false;
}

/* Writes a batch as one transaction. */
static void write_batch(struct live *l, struct item *batch)
{
    struct err err = {0};
    int r = live_db_run(&l->writer, &err, LIVE_BEGIN, "");
    for (struct item *i = batch; i && r == 0; i = i->next)
        r = handle(l, i, &err);
    if (r == 0)
        r = save_dirty(l, &err);
    if (r == 0)
        r = live_db_run(&l->writer, &err, LIVE_COMMIT, "");
    if (r < 0) {
        live_db_run(&l->writer, NULL, LIVE_ROLLBACK, "");
        not_written(l, batch, &err);
        return;
    }
    publish_dirty(l);
    written(l, batch);
}

static void follow_one(void *arg, const struct run_item *item)
{
    live_follow(arg, item->run_id);
}

/* Is the run, by its name here, one that the engine has no more? */
static bool is_gone(const struct live *l, const char *key)
{
    Pb__DescribeWorkflowExecutionRequest q = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
    Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
    char name_space[LIVE_KEY_MAX] = "default";
    const char *mark = strchr(key, LIVE_KEY_MARK);
    struct err err = {0};
    if (mark)
        snprintf(name_space, sizeof name_space, "%.*s", (int)(mark - key), key);
    x.workflow_id = (char *)(uintptr_t)(mark ? mark + 1 : key);
    q.namespace_ = name_space;
    q.execution = &x;
    return engine_call_sync(l->svc->engine, ENGINE_DESCRIBE, &q.base, 0, NULL, &err) == -ERR_NOT_FOUND;
}

/* Events of runs that were taken away by others than this server. Some at a time, round and round. */
static void sweep(struct live *l)
{
    int r = 1;
    int64_t before = os_now_ns() - SWEEP_EVERY_NS;
    for (int i = 0; i < SWEPT_AT_ONCE && r == 1; i++) {
        sqlite3_stmt *s = live_db_bind(&l->writer, LIVE_RUN_AFTER, "si", l->swept, before);
        r = live_db_step(&l->writer, s, NULL);
        snprintf(l->swept, sizeof l->swept, "%s", r == 1 ? (const char *)sqlite3_column_text(s, 0) : "");
        sqlite3_reset(s);
        if (r == 1 && is_gone(l, l->swept))
            live_forget(l, l->swept, true, NULL);
    }
}

/* Runs that others have started. */
static void look_around(struct live *l)
{
    ProtobufCBinaryData token = {0};
    int64_t now = os_mono_ns();
    if (l->looked_ns && now - l->looked_ns < LOOK_EVERY_NS)
        return;
    l->looked_ns = now;
    runs_list(l->svc, "ExecutionStatus = 'Running'", RUNNING_MAX, &token, follow_one, l, NULL);
    free(token.data);
    tail_retry(l);
    tails_look(l);
    forget_idle(l);
    if (now - l->swept_ns > SWEEP_EVERY_NS) {
        l->swept_ns = now;
        sweep(l);
    }
}

/* The next batch; NULL after a while, or when it is over. */
static struct item *take_batch(struct live *l, bool *ret_over)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 2;
    pthread_mutex_lock(&l->queue_lock);
    while (!l->first && !l->stopping)
        if (pthread_cond_timedwait(&l->cond, &l->queue_lock, &until) == ETIMEDOUT)
            break;
    struct item *batch = l->first, *last = batch;
    size_t n = batch ? 1 : 0;
    for (; last && last->next && n < BATCH; n++)
        last = last->next;
    if (last) {
        l->first = last->next;
        last->next = NULL;
        l->queued -= n;
        if (!l->first)
            l->end = &l->first;
    }
    *ret_over = l->stopping && !batch;
    pthread_mutex_unlock(&l->queue_lock);
    return batch;
}

static void *run_writer(void *arg)
{
    struct live *l = arg;
    bool over = false, cancelled = false;
    while (!over || l->tails > 0) {
        struct item *batch = take_batch(l, &over);
        if (batch)
            write_batch(l, batch);
        if (l->stopping && !cancelled) {
            tails_cancel(l);
            cancelled = true;
        } else if (!l->stopping) {
            look_around(l);
        } else if (over && l->tails > 0) {
            os_sleep_ms(1);
        }
    }
    return NULL;
}

static struct live *new_live(const char *state_dir)
{
    struct live *l = mem_zalloc(sizeof *l);
    pthread_condattr_t a;
    if (!l)
        return NULL;
    l->end = &l->first;
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->read_lock, NULL);
    pthread_mutex_init(&l->queue_lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&l->cond, &a);
    pthread_condattr_destroy(&a);
    pthread_cond_init(&l->cond_posted, NULL);
    l->path = os_path_join(state_dir, "events.db");
    if (l->path)
        return l;
    live_close(l);
    return NULL;
}

static int start_writer(struct live *l, struct err *err)
{
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, STACK_BYTES);
    int e = pthread_create(&l->thread, &a, run_writer, l);
    pthread_attr_destroy(&a);
    l->started = e == 0;
    return e ? err_sys(err, e, "start a thread") : 0;
}

int live_open(const struct service *svc, const char *state_dir, const char *worker, struct live **ret, struct err *err)
{
    struct live *l = new_live(state_dir);
    if (!l)
        return err_nomem(err);
    l->svc = svc;
    l->worker = mem_strdup(worker);
    int r = worker && !l->worker ? err_nomem(err) : live_db_open(&l->writer, l->path, err);
    if (r == 0)
        r = live_db_open(&l->reader, l->path, err);
    if (r == 0)
        r = start_writer(l, err);
    if (r == 0)
        *ret = l;
    else
        live_close(l);
    return r;
}

int live_open_reader(const char *state_dir, struct live **ret, struct err *err)
{
    struct live *l = new_live(state_dir);
    if (!l)
        return err_nomem(err);
    int r = os_exists(l->path) ? live_db_open(&l->reader, l->path, err)
                               : err_set(err, ERR_NOT_FOUND, "no events are kept in %s", state_dir);
    if (r == 0)
        *ret = l;
    else
        live_close(l);
    return r;
}

void live_close(struct live *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->queue_lock);
    l->stopping = true;
    pthread_cond_signal(&l->cond);
    pthread_mutex_unlock(&l->queue_lock);
    if (l->started)
        pthread_join(l->thread, NULL);
    MAP_EACH(&l->channels, e)
        channel_free(e->value);
    map_release(&l->channels);
    live_db_close(&l->writer);
    live_db_close(&l->reader);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->read_lock);
    pthread_mutex_destroy(&l->queue_lock);
    pthread_cond_destroy(&l->cond);
    pthread_cond_destroy(&l->cond_posted);
    free(l->path);
    free(l->worker);
    free(l);
}

int live_forget(struct live *l, const char *run_id, bool all, struct err *err)
{
    struct item *i = new_item(all ? ITEM_FORGET_ALL : ITEM_FORGET, run_id, NULL, NULL);
    if (!i)
        return err_nomem(err);
    return live_push(l, i) < 0 ? err_set(err, ERR_BUSY, "the server is stopping") : 0;
}

int live_bytes(struct live *l, const char *name_space, uint64_t *ret, struct err *err)
{
    int64_t n;
    pthread_mutex_lock(&l->read_lock);
    int r = ask_number(&l->reader, live_db_bind(&l->reader, LIVE_SPACE_BYTES, "s", name_space), &n, err);
    pthread_mutex_unlock(&l->read_lock);
    *ret = r == 0 ? (uint64_t)n : 0;
    return r;
}

void live_count(struct live *l, struct live_counts *ret)
{
    pthread_mutex_lock(&l->lock);
    *ret = l->counts;
    pthread_mutex_unlock(&l->lock);
}
