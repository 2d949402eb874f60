#include "api/mcp/replay.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEED_MAX ((size_t)32 << 20)

struct stream {
    uint32_t number;
    uint64_t first; /* number of the first message that is kept; they count from 1 */
    VEC(char *) messages;
    size_t bytes;
    bool ended;
    struct rest_feed *feed; /* who reads it now; NULL: nobody */
};

struct replay {
    pthread_mutex_t lock;
    VEC(struct stream *) streams; /* oldest first */
    uint32_t last;
    size_t bytes;
};

struct replay *replay_new(void)
{
    struct replay *r = mem_zalloc(sizeof *r);
    if (r)
        pthread_mutex_init(&r->lock, NULL);
    return r;
}

static void drop_message(struct replay *r, struct stream *s)
{
    size_t n = strlen(s->messages.v[0]);
    free(s->messages.v[0]);
    memmove(s->messages.v, s->messages.v + 1, --s->messages.len * sizeof *s->messages.v);
    s->first++;
    s->bytes -= n;
    r->bytes -= n;
}

static void drop_stream(struct replay *r, size_t i)
{
    struct stream *s = r->streams.v[i];
    while (s->messages.len)
        drop_message(r, s);
    VEC_RELEASE(&s->messages);
    if (s->feed)
        rest_feed_end(s->feed);
    free(s);
    memmove(r->streams.v + i, r->streams.v + i + 1, (--r->streams.len - i) * sizeof *r->streams.v);
}

void replay_free(struct replay *r)
{
    if (!r)
        return;
    while (r->streams.len)
        drop_stream(r, 0);
    VEC_RELEASE(&r->streams);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* The oldest goes first, and of one that goes on its oldest messages. */
static void make_room(struct replay *r)
{
    for (size_t i = 0; i < r->streams.len && (r->streams.len > REPLAY_STREAMS || r->bytes > REPLAY_BYTES);)
        if (r->streams.v[i]->ended)
            drop_stream(r, i);
        else
            i++;
    for (size_t i = 0; i < r->streams.len && r->bytes > REPLAY_BYTES; i++)
        while (r->streams.v[i]->messages.len && r->bytes > REPLAY_BYTES)
            drop_message(r, r->streams.v[i]);
}

uint32_t replay_begin(struct replay *r, struct rest_feed *feed)
{
    uint32_t number = 0;
    struct stream *s = mem_zalloc(sizeof *s);
    pthread_mutex_lock(&r->lock);
    make_room(r);
    if (s && VEC_PUSH(&r->streams, s)) {
        *s = (struct stream){.number = number = ++r->last, .first = 1, .feed = feed};
        s = NULL;
    }
    pthread_mutex_unlock(&r->lock);
    free(s);
    return number;
}

/* Under the lock. */
static struct stream *find(struct replay *r, uint64_t number)
{
    VEC_EACH(&r->streams, s)
        if ((*s)->number == number)
            return *s;
    return NULL;
}

/* Who has gone, or is too slow, may come back. */
static void tell(struct stream *s, uint64_t number)
{
    const char *text = s->messages.v[number - s->first];
    _cleanup_free_ char *event = mem_printf("id: %lu-%llu\nevent: message\ndata: %s\n\n", (unsigned long)s->number,
                                            (unsigned long long)number, text);
    if (!event || rest_feed_push(s->feed, event, strlen(event)))
        return;
    rest_feed_end(s->feed);
    s->feed = NULL;
}

void replay_push(struct replay *r, uint32_t stream, const char *text)
{
    char *copy = mem_strdup(text);
    pthread_mutex_lock(&r->lock);
    struct stream *s = find(r, stream);
    if (s && copy && VEC_PUSH(&s->messages, copy)) {
        s->bytes += strlen(copy);
        r->bytes += strlen(copy);
        copy = NULL;
        if (s->feed)
            tell(s, s->first + s->messages.len - 1);
        make_room(r);
    }
    pthread_mutex_unlock(&r->lock);
    free(copy);
}

void replay_end(struct replay *r, uint32_t stream)
{
    pthread_mutex_lock(&r->lock);
    struct stream *s = find(r, stream);
    if (s) {
        s->ended = true;
        if (s->feed)
            rest_feed_end(TAKE_PTR(s->feed));
    }
    pthread_mutex_unlock(&r->lock);
}

/* "STREAM-MESSAGE" */
static bool read_id(const char *text, uint64_t *ret_stream, uint64_t *ret_message)
{
    char *end;
    if (*text < '0' || *text > '9' || strlen(text) > 32)
        return false;
    *ret_stream = strtoull(text, &end, 10);
    if (*end != '-' || end[1] < '0' || end[1] > '9')
        return false;
    *ret_message = strtoull(end + 1, &end, 10);
    return !*end;
}

struct rest_feed *replay_resume(struct replay *r, const char *event_id)
{
    uint64_t number, seen;
    if (!read_id(event_id, &number, &seen))
        return NULL;
    struct rest_feed *feed = NULL;
    pthread_mutex_lock(&r->lock);
    struct stream *s = find(r, number);
    bool kept = s && seen >= s->first - 1 && seen < s->first + s->messages.len;
    if (kept && (feed = rest_feed_new(FEED_MAX))) {
        if (s->feed)
            rest_feed_end(s->feed); /* of a connection that has not noticed yet */
        s->feed = feed;
        for (uint64_t n = seen + 1; s->feed && n < s->first + s->messages.len; n++)
            tell(s, n);
        if (s->ended && s->feed)
            rest_feed_end(TAKE_PTR(s->feed));
    }
    pthread_mutex_unlock(&r->lock);
    return feed;
}
