/* Events as they come, by server-sent events (html.spec.whatwg.org/multipage/server-sent-events.html). A stream without news is
 * a suspended connection: it costs no thread and no time. */
#include "api/rest/fuzzing.h"
#include "api/rest/rest_internal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#define BLOCK ((size_t)16 << 10)
#define TEXT_MAX ((size_t)256 << 10) /* waiting to be sent, of one stream */
#define FEED_TEXT_MAX ((size_t)64 << 20)
#define EVENTS_AT_A_TIME 64
#define WATCHERS_SHARE 500
#define PING_AFTER_NS (14 * NS_PER_S)
#define FEED_PING_AFTER_NS (NS_PER_S) /* whoever fills one wants to know soon that its reader has gone */

struct stream {
    struct stream *next, **here; /* of rest->streams */
    struct rest *rest;
    struct MHD_Connection *conn;
    struct live_watch *watch; /* of a run's events; or: */
    struct rest_feed *feed;   /* of what somebody else says */
    struct pass pass;
    char *run_id, *workflow, *key;
    char name_space[72]; /* that it counts for; "": none */
    int64_t open_at; /* the run was open when this was its last event: an end before does not count; -1: it was not */
    char before[40]; /* execution whose end may still come, where the run was open again by then: that one does not count */
    bool fuzzing;  /* statistics and crashes alone, in the former service's form */
    bool ended;
    atomic_bool begun; /* it is being sent: before, its connection waits for the job that makes it, and is not to be woken */
    struct strbuf text;
    size_t sent; /* of it */
    char of[72];  /* the caller's namespace, for the share of what is large */
    size_t held;  /* of that */
    int64_t said_ns;
};

/* More has come, or a sign of life is due. */
static void wake(void *arg)
{
    struct stream *s = arg;
    if (atomic_load(&s->begun))
        http.MHD_resume_connection(s->conn);
}

void streams_wake(struct rest *r, bool feeds)
{
    pthread_mutex_lock(&r->lock);
    for (struct stream *s = r->streams; s; s = s->next)
        if (!feeds || s->feed)
            wake(s);
    pthread_mutex_unlock(&r->lock);
}

int watchers_enter(struct rest *r, const char *name_space, struct err *err)
{
    if (!*name_space)
        return 0;
    pthread_mutex_lock(&r->lock);
    uintptr_t n = (uintptr_t)map_get(&r->watchers, name_space) + 1;
    bool full = n > WATCHERS_SHARE, ok = !full && map_set(&r->watchers, name_space, (void *)n);
    pthread_mutex_unlock(&r->lock);
    if (full)
        return err_set(err, ERR_BUSY, "%d streams and sockets of the namespace '%s' at a time, and no more", WATCHERS_SHARE,
                       name_space);
    return ok ? 0 : err_nomem(err);
}

void watchers_leave(struct rest *r, const char *name_space)
{
    if (!*name_space)
        return;
    pthread_mutex_lock(&r->lock);
    uintptr_t n = (uintptr_t)map_get(&r->watchers, name_space);
    if (n > 1)
        map_set(&r->watchers, name_space, (void *)(n - 1)); /* it is there: no memory is needed */
    else
        map_remove(&r->watchers, name_space);
    pthread_mutex_unlock(&r->lock);
}

static void free_stream(void *arg)
{
    struct stream *s = arg;
    if (s->feed)
        feed_leave(s->feed);
    else
        live_watch_free(s->watch); /* nobody wakes it any more */
    pthread_mutex_lock(&s->rest->lock);
    if (s->here) {
        *s->here = s->next;
        if (s->next)
            s->next->here = s->here;
    }
    pthread_mutex_unlock(&s->rest->lock);
    watchers_leave(s->rest, s->name_space);
    answers_let_go(s->rest, s->of, s->held);
    strbuf_release(&s->text);
    pass_release(&s->pass);
    free(s->run_id);
    free(s->key);
    free(s->workflow);
    free(s);
}

/* {"type": "stats"|"crash", "data": {...}}; -1: no room. */
static int add_fuzzing(struct stream *s, const struct live_event *e)
{
    _cleanup_json_ json_t *data = NULL;
    bool crash = strcmp(e->type, "crash") == 0;
    if (!crash && strcmp(e->type, "stats") != 0)
        return 0;
    data = crash ? fuzzing_crash_json(s->run_id, e) : fuzzing_stats_of(s->run_id, s->workflow, e->data);
    _cleanup_free_ char *text = data ? json_dumps(data, JSON_COMPACT) : NULL;
    if (text)
        strbuf_printf(&s->text, "id: %" PRId64 "\ndata: {\"type\":\"%s\",\"data\":%s}\n\n", e->seq, e->type, text);
    return 0;
}

static int add_event(void *arg, const struct live_event *e)
{
    struct stream *s = arg;
    char at[32];
    if (s->text.len - s->sent > BLOCK)
        return -1; /* enough for now */
    if (s->fuzzing)
        return add_fuzzing(s, e);
    strbuf_printf(&s->text, "id: %" PRId64 "\nevent: %s\ndata: {\"at\":\"%s\",\"type\":\"%s\",\"data\":%s}\n\n", e->seq,
                  e->type,
                  os_format_time(e->at_ns, at), e->type, e->data);
    return 0;
}

/* A run that is started again has ended before. */
static bool ended_since(struct stream *s)
{
    int64_t last;
    char now[40];
    bool ended;
    if (*s->before && live_execution(s->rest->o.live, s->key, now, &ended, NULL) == 0 && strcmp(now, s->before) == 0)
        return false;
    return s->open_at < 0 || live_last(s->rest->o.live, s->key, &last, NULL) < 0 || last > s->open_at;
}

static int read_events(struct stream *s)
{
    struct err err = {0};
    int64_t skipped;
    int n = live_watch_read(s->watch, EVENTS_AT_A_TIME, add_event, s, &skipped, &err);
    if (n < 0) {
        log_error("events of %s: %s", s->run_id, err.msg);
        s->ended = true;
    }
    if (skipped)
        strbuf_printf(&s->text, "event: skipped\ndata: {\"count\":%" PRId64 "}\n\n", skipped);
    if (!n && live_watch_ended(s->watch) && ended_since(s))
        s->ended = true;
    return n;
}

/* What is large and has no room is not sent: the stream ends without it. */
static void take_feed(struct stream *s)
{
    feed_take(s->feed, &s->text, &s->ended, wake, s);
    bool large = s->text.len >= ANSWERS_LARGE, room = !large || answers_hold(s->rest, s->of, s->text.len);
    s->held = large && room ? s->text.len : 0;
    if (room)
        return;
    strbuf_release(&s->text);
    s->ended = true;
}

/* Takes what there is to send next. False: nothing has come. */
static bool refill(struct stream *s)
{
    int n = 0;
    if (s->held) /* what was large goes at once */
        strbuf_release(&s->text);
    strbuf_clear(&s->text);
    answers_let_go(s->rest, s->of, s->held);
    s->sent = s->held = 0;
    if (!pass_holds(s->rest, &s->pass)) {
        s->ended = true;
        return true;
    }
    if (s->feed)
        take_feed(s);
    else
        n = read_events(s);
    int64_t now = os_mono_ns();
    if (!s->text.len && now - s->said_ns > (s->feed ? FEED_PING_AFTER_NS : PING_AFTER_NS))
        strbuf_puts(&s->text, ": ping\n\n");
    if (s->text.len)
        s->said_ns = now;
    return n > 0 || s->text.len || s->ended;
}

static ssize_t read_stream(void *arg, uint64_t pos, char *buf, size_t max)
{
    struct stream *s = arg;
    (void)pos;
    atomic_store(&s->begun, true);
    while (s->sent == s->text.len) {
        if (s->ended || atomic_load(&s->rest->stopping))
            return MHD_CONTENT_READER_END_OF_STREAM;
        bool some = refill(s);
        if (strbuf_check(&s->text, NULL) < 0)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (!some) { /* whoever wakes it just now undoes this */
            http.MHD_suspend_connection(s->conn);
            return 0;
        }
    }
    size_t n = s->text.len - s->sent < max ? s->text.len - s->sent : max;
    memcpy(buf, s->text.s + s->sent, n);
    s->sent += n;
    return (ssize_t)n;
}

/* Where it begins: behind what the client has; a campaign's without such with the statistics of now. */
static int set_begin(struct exchange *x, struct stream *s, int64_t *ret_after, struct err *err)
{
    const char *last = arg_text(x, "Last-Event-ID");
    _cleanup_free_ char *stats = NULL;
    if (last && !*last)
        last = NULL;
    *ret_after = last ? strtoll(last, NULL, 10) : 0;
    strbuf_puts(&s->text, ": events\n\n"); /* so that the answer's head goes out at once */
    if (last || !s->fuzzing)
        return 0;
    int r = live_last(x->rest->o.live, exchange_key(x, s->run_id), ret_after, err);
    if (r == 0)
        r = live_stats(x->rest->o.live, exchange_key(x, s->run_id), &stats, err);
    _cleanup_json_ json_t *j = r == 0 ? fuzzing_stats_of(s->run_id, s->workflow, stats) : NULL;
    _cleanup_free_ char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    strbuf_printf(&s->text, "id: %" PRId64 "\ndata: {\"type\":\"stats\",\"data\":%s}\n\n", *ret_after, text ? text : "{}");
    return r;
}

/* x answers by it from here on. */
static int answer_by(struct exchange *x, struct stream *s, struct err *err)
{
    x->answer.ready = http.MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream, s, free_stream);
    if (!x->answer.ready)
        return err_nomem(err);
    pthread_mutex_lock(&x->rest->lock);
    s->next = x->rest->streams;
    s->here = &x->rest->streams;
    if (s->next)
        s->next->here = &s->next;
    x->rest->streams = s;
    pthread_mutex_unlock(&x->rest->lock);
    x->answer.status = 200;
    http.MHD_add_response_header(x->answer.ready, "Content-Type", "text/event-stream");
    return 0;
}

int stream_feed(struct exchange *x, struct rest_feed *feed, struct err *err)
{
    struct stream *s = mem_zalloc(sizeof *s);
    if (!s) {
        feed_leave(feed);
        return err_nomem(err);
    }
    *s = (struct stream){.rest = x->rest, .conn = x->conn, .feed = feed, .text = STRBUF_INIT_MAX(FEED_TEXT_MAX),
                         .said_ns = os_mono_ns()};
    snprintf(s->of, sizeof s->of, "%s", x->caller.name_space);
    strbuf_puts(&s->text, ": messages\n\n"); /* so that the answer's head goes out at once */
    int r = pass_take(x, &s->pass, err);
    if (r == 0)
        r = answer_by(x, s, err);
    if (r < 0)
        free_stream(s);
    return r;
}

/* An execution before this one, beyond which the events have not come yet, whether its end is told by now or not. */
static int note_before(struct stream *s, const struct run_info *run, struct err *err)
{
    bool ended;
    int r = run->closed ? 0 : live_execution(s->rest->o.live, s->key, s->before, &ended, err);
    if (r == 0 && (run->closed || strcmp(s->before, run->execution_id) == 0))
        s->before[0] = 0;
    return r;
}

static int begin(struct exchange *x, bool fuzzing, struct err *err)
{
    struct run_info run;
    int64_t after = 0, last;
    const char *id = arg_text(x, "Last-Event-ID");
    bool again = id && *id; /* somebody who was here before */
    int r = live_last(x->rest->o.live, exchange_key(x, arg_text(x, "run_id")), &last, err); /* before the run is looked at */
    if (r == 0)
        r = exchange_run(x, &run, err);
    if (r < 0)
        return r;
    struct stream *s = mem_zalloc(sizeof *s);
    if (s) {
        *s = (struct stream){.rest = x->rest, .conn = x->conn, .fuzzing = fuzzing, .text = STRBUF_INIT_MAX(TEXT_MAX),
                             .said_ns = os_mono_ns()};
        s->run_id = mem_strdup(run.run_id);
        s->key = mem_strdup(exchange_key(x, run.run_id));
        s->open_at = run.closed ? -1 : last;
        s->workflow = mem_strdup(run.workflow);
    }
    r = !s || !s->run_id || !s->workflow || !s->key ? err_nomem(err) : note_before(s, &run, err);
    run_info_release(&run);
    if (r == 0 && (r = watchers_enter(x->rest, x->caller.name_space, err)) == 0)
        snprintf(s->name_space, sizeof s->name_space, "%s", x->caller.name_space);
    if (r == 0)
        r = pass_take(x, &s->pass, err);
    if (r == 0)
        r = set_begin(x, s, &after, err);
    if (r == 0)
        r = live_watch_new(x->rest->o.live, exchange_key(x, s->run_id), after, wake, s, &s->watch, err);
    if (r == 0 && again && after && live_watch_ended(s->watch) && ended_since(s)) {
        free_stream(s);
        x->answer.status = 204; /* nothing will come: the client that has seen all is not to ask again */
        return 0;
    }
    if (r == 0) {
        live_follow(x->rest->o.live, exchange_key(x, s->run_id));
        r = answer_by(x, s, err);
    }
    if (r < 0 && s)
        free_stream(s);
    return r;
}

int do_run_events(struct exchange *x, struct err *err)
{
    return begin(x, false, err);
}

int do_fuzzing_stream(struct exchange *x, struct err *err)
{
    return begin(x, true, err);
}
