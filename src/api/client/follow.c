/* Following a run by its stream of events. */
#include "api/client/client_internal.h"
#include "api/client/documents.h"
#include "api/client/remote.h"
#include "api/client/send.h"
#include "api/client/sse.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/uri.h"
#include "os/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 3000 /* a run that says nothing for so long is looked at: it may be blocked */
#define PAUSE_MS 400 /* half of it at least; twice as long after each time that nothing came */
#define PAUSE_MAX_MS 6400

/* For one who follows, or one who listens. */
struct follow {
    struct client *c;
    const char *id;
    void (*event)(struct follow *w, const char *type, const json_t *doc);
    bool (*tick)(void *arg);
    void *arg;
    const struct client_follower *f;
    struct client_listener *l;
    struct sse sse;
    int64_t heard_ns; /* an event, or the beginning of the stream */
    int tries;        /* since anything came */
    bool left;
    bool ended; /* the stream, by the server */
    bool gap;   /* the server has left something out, for one that is slow: it is asked for from there */
    bool closed; /* the run, when it was last looked at */
};

/* What a stage has come to, in a worker's words; NULL: nothing that a worker would tell. */
static const char *stage_type(const char *state)
{
    static const char *const same[] = {"started", "completed", "failed", "cancelled"};
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        if (strcmp(same[i], state) == 0)
            return same[i];
    return strcmp(state, "timed_out") == 0 ? "abandoned" : NULL;
}

static const char *event_type(const char *type, const json_t *data)
{
    static const char *const same[] = {"progress", "log", "finding", "stats"};
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        if (strcmp(same[i], type) == 0)
            return same[i];
    return strcmp(type, "stage") == 0 ? stage_type(json_str(data, "state", "")) : NULL;
}

/* As a worker tells it. */
static void give_worker_event(struct follow *w, const char *name, const json_t *doc)
{
    const json_t *data = json_object_get(doc, "data");
    const char *type = event_type(name, data), *module = document_word(data, "module");
    struct worker_event event = {.name_space = "", .workflow_id = w->id, .module = module ? module : "",
                                 .attempt = (int)json_i64(data, "attempt", 0), .type = type, .data = data};
    if (type)
        w->f->on_event(w->f->arg, &event);
}

/* As it is. One that has no number of its own is of the stream, not of the run. */
static void give_event(struct follow *w, const char *name, const json_t *doc)
{
    const json_t *data = json_object_get(doc, "data");
    const char *type = document_word(doc, "type");
    _cleanup_free_ char *text = data ? json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    w->gap = w->gap || strcmp(name, "skipped") == 0;
    struct live_event e = {strtoll(w->sse.id, NULL, 10), os_parse_time(json_str(doc, "at", "")), type, text};
    if (w->gap || !text || !type || strcmp(type, name) != 0 || e.seq <= w->l->after)
        return;
    w->l->after = e.seq;
    w->l->on_event(w->l->arg, &e);
}

static int on_event(void *arg, const struct sse_event *e, struct err *err)
{
    struct follow *w = arg;
    _cleanup_json_ json_t *doc = NULL;
    (void)err;
    w->heard_ns = os_mono_ns();
    w->tries = 0;
    if (json_parse(e->data, e->len, SSE_DATA_MAX, &doc, NULL) == 0) /* else of no use to a watcher */
        w->event(w, e->type, doc);
    return 0;
}

static int take(void *arg, const void *data, size_t len, struct err *err)
{
    struct follow *w = arg;
    return sse_feed(&w->sse, data, len, err);
}

static bool stop(void *arg)
{
    struct follow *w = arg;
    w->left = w->tick(w->arg);
    return w->left || w->gap || os_mono_ns() - w->heard_ns > LOOK_MS * NS_PER_MS;
}

/* Listens until the stream ends, or nothing has come for a while. */
static int hear(struct follow *w, struct err *err)
{
    struct strbuf path = STRBUF_INIT_MAX(4096);
    if (w->l && w->l->after)
        snprintf(w->sse.id, sizeof w->sse.id, "%lld", (long long)w->l->after);
    w->gap = false;
    strbuf_puts(&path, "/runs/");
    uri_append_value(&path, w->id);
    strbuf_puts(&path, "/events");
    int r = strbuf_check(&path, err);
    struct client_call q = {.path = strbuf_str(&path), .take = take, .arg = w};
    struct transfer t = {.call = &q, .last_event_id = w->sse.id, .stop = stop, .stop_arg = w};
    w->heard_ns = os_mono_ns();
    if (r == 0)
        r = client_transfer(w->c, &t, err);
    if (r == 0 && !t.stopped)
        r = client_judge(w->c, &t, err);
    w->ended = r == 0 && !t.stopped && !w->gap;
    sse_reset(&w->sse);
    transfer_release(&t);
    strbuf_release(&path);
    return r;
}

/* Between two attempts: those whom a server has left do not come back all at once. */
static void pause_a_little(struct follow *w)
{
    uint16_t part;
    int64_t most = PAUSE_MS << (w->tries < 4 ? w->tries : 4);
    most = most < PAUSE_MAX_MS ? most : PAUSE_MAX_MS;
    os_random(&part, sizeof part);
    w->tries++;
    for (int64_t left = most / 2 + most / 2 * part / UINT16_MAX; left > 0 && !w->left; left -= CLIENT_TICK_MS) {
        os_sleep_ms(CLIENT_TICK_MS);
        w->left = w->tick(w->arg);
    }
}

/* 1: there is no more to wait for. */
static int look(struct follow *w, struct err *err)
{
    struct run_info run;
    int r = client_run_read(w->c, w->id, &run, err);
    if (r < 0)
        return r;
    /* The last events of one that has just been closed are still to come: the server ends the stream after them. */
    bool over = run.blocked || (run.closed && (w->ended || w->closed));
    w->closed = run.closed;
    if (w->l)
        w->l->on_run(w->l->arg, &run);
    run_info_release(&run);
    return over;
}

static int listen_to(struct follow *w, struct err *err)
{
    int64_t there_ns = os_mono_ns(); /* when the server last answered */
    int r = 0;
    while (!w->left) {
        r = hear(w, err);
        if (r == 0 && !w->left)
            r = look(w, err);
        if (r == 1 || w->left)
            break;
        bool gone = r == -ERR_UNAVAILABLE || r == -ERR_BUSY || r == -ERR_QUOTA;
        if (r == 0)
            there_ns = os_mono_ns();
        else if (!gone || os_mono_ns() - there_ns > client_patience_ms(w->c) * NS_PER_MS)
            break;
        if (r < 0)
            err_clear(err);
        pause_a_little(w);
    }
    return r < 0 && !w->left ? r : 0;
}

int client_follow(struct client *c, const char *id, struct client_follower *f, struct err *err)
{
    struct follow w = {.c = c, .id = id, .event = give_worker_event, .tick = f->tick, .arg = f->arg, .f = f};
    sse_init(&w.sse, on_event, &w);
    snprintf(w.sse.id, sizeof w.sse.id, "%s", f->last_id);
    int r = listen_to(&w, err);
    snprintf(f->last_id, sizeof f->last_id, "%s", w.sse.id);
    sse_release(&w.sse);
    return r;
}

int client_listen(struct client *c, const char *id, struct client_listener *l, struct err *err)
{
    struct follow w = {.c = c, .id = id, .event = give_event, .tick = l->tick, .arg = l->arg, .l = l};
    sse_init(&w.sse, on_event, &w);
    int r = listen_to(&w, err);
    sse_release(&w.sse);
    return r;
}
