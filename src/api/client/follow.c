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
#include <string.h>

#define LOOK_MS 3000 /* a run that says nothing for so long is looked at: it may be blocked */
#define PAUSE_MS 500

struct follow {
    struct client *c;
    const char *id;
    const struct client_follower *f;
    struct sse sse;
    int64_t heard_ns; /* an event, or the beginning of the stream */
    bool left;
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

static int on_event(void *arg, const struct sse_event *e, struct err *err)
{
    struct follow *w = arg;
    _cleanup_json_ json_t *doc = NULL;
    (void)err;
    w->heard_ns = os_mono_ns();
    if (json_parse(e->data, e->len, SSE_DATA_MAX, &doc, NULL) < 0)
        return 0; /* of no use to a watcher */
    const json_t *data = json_object_get(doc, "data");
    const char *type = event_type(e->type, data), *module = document_word(data, "module");
    struct worker_event event = {.name_space = "", .workflow_id = w->id, .module = module ? module : "",
                                 .attempt = (int)json_i64(data, "attempt", 0), .type = type, .data = data};
    if (type)
        w->f->on_event(w->f->arg, &event);
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
    w->left = w->f->tick(w->f->arg);
    return w->left || os_mono_ns() - w->heard_ns > LOOK_MS * NS_PER_MS;
}

/* Listens until the stream ends, or nothing has come for a while. */
static int hear(struct follow *w, struct err *err)
{
    struct strbuf path = STRBUF_INIT_MAX(4096);
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
    sse_reset(&w->sse);
    transfer_release(&t);
    strbuf_release(&path);
    return r;
}

/* Between two attempts. */
static void pause_a_little(struct follow *w)
{
    for (int ms = 0; ms < PAUSE_MS && !w->left; ms += CLIENT_TICK_MS) {
        os_sleep_ms(CLIENT_TICK_MS);
        w->left = w->f->tick(w->f->arg);
    }
}

/* 1: there is no more to wait for. */
static int look(struct follow *w, struct err *err)
{
    struct run_info run;
    int r = client_run_read(w->c, w->id, &run, err);
    if (r < 0)
        return r;
    bool over = run.closed || run.blocked;
    run_info_release(&run);
    return over;
}

int client_follow(struct client *c, const char *id, struct client_follower *f, struct err *err)
{
    struct follow w = {.c = c, .id = id, .f = f};
    int64_t there_ns = os_mono_ns(); /* when the server last answered */
    int r = 0;
    sse_init(&w.sse, on_event, &w);
    snprintf(w.sse.id, sizeof w.sse.id, "%s", f->last_id);
    while (!w.left) {
        r = hear(&w, err);
        if (r == 0 && !w.left)
            r = look(&w, err);
        if (r == 1 || w.left)
            break;
        bool gone = r == -ERR_UNAVAILABLE || r == -ERR_BUSY || r == -ERR_QUOTA;
        if (r == 0)
            there_ns = os_mono_ns();
        else if (!gone || os_mono_ns() - there_ns > client_patience_ms(c) * NS_PER_MS)
            break;
        if (r < 0)
            err_clear(err);
        pause_a_little(&w);
    }
    snprintf(f->last_id, sizeof f->last_id, "%s", w.sse.id);
    sse_release(&w.sse);
    return r < 0 && !w.left ? r : 0;
}
