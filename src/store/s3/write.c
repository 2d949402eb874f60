/* Blobs on their way into the bucket.
 *
 * Chunks are gathered in packs that go out as soon as they are full, several at a time; what they hold
 * is garbage to everybody until a record refers to it. Records wait for the commit. What is left then,
 * from all batches of the commit and of other commits that wait at the same time, goes out as one
 * pack: so many small objects cost few requests. A pack is there whole or not at all, so its records
 * never come before its chunks. */
#include "store/s3/s3_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "os/clock.h"
#include "store/chunker.h"

#include <stdio.h>
#include <string.h>

#define LEASE_AFTER_NS (INT64_C(5) * 60 * NS_PER_S) /* less than any grace time */
#define GATHER_SHARE 8 /* of the time that a group takes, a leader waits at most one part for others */
#define SENDING_MAX 4 /* packs on their way */
#define REST_LARGE ((size_t)512 << 10) /* so many last chunks are worth a request of their own */
#define GROUP_LARGE ((size_t)1 << 20) /* so much waiting is worth another request beside the one that runs */

struct pending_pin {
    char *name, *data;
    size_t len;
};

struct store_batch {
    struct s3 *s;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t done;
    const char *class;
    struct pack chunks, records;
    struct strbuf siblings; /* of the packs that went out since the last commit */
    VEC(struct pending_pin) pins;
    size_t in_flight;
    bool waiting; /* a full pack, for room: so that no other one is filled meanwhile */
    struct err failed; /* the first pack that did not go out */
};

/* A full pack on its way. */
struct sending {
    struct pool_job job;
    struct store_batch *batch;
    struct pack pack;
    size_t bytes;
};

/* A commit that waits for its pack to go out with those of others. */
struct group_request {
    struct pack *pack;
    const char *class;
    struct err err;
    bool done;
    struct group_request *next;
};

int64_t s3_now_ns(const struct s3 *s)
{
    return os_now_ns() + s3_http_skew_ns(s->http);
}

void s3_pack_key(char out[S3_KEY], const char *pack)
{
    snprintf(out, S3_KEY, "packs/%.100s", pack);
}

/* This host may want it soon: a target is laid out where it was taken in. */
static void keep_pack(struct s3 *s, const char *name, struct pack *p)
{
    size_t len, cap = p->buf.cap;
    char *data = strbuf_take(&p->buf, &len);
    if (data)
        cache_keep(s->cache, name, data, len, cap);
}

int s3_send_pack(struct s3 *s, struct pack *p, const char *class, struct strbuf *siblings, struct err *err)
{
    struct new_pack n = {0};
    struct digest d;
    char hex[DIGEST_HEX + 1], key[S3_KEY];
    int r = pack_finish(p, &s->keys, err);
    if (r == 0)
        r = pack_digest(p, &d, err);
    if (r < 0)
        return r;
    digest_hex(&d, hex);
    snprintf(n.info.name, sizeof n.info.name, "%s/%013llx-%s", class,
             (unsigned long long)(s3_now_ns(s) / NS_PER_MS), hex);
    n.info.size_bytes = p->buf.len;
    s3_pack_key(key, n.info.name);
    r = api_put_pack(s, key, p->buf.s, p->buf.len, &n.info.stamp_ns, err);
    if (r < 0)
        return r;
    n.info.seal = p->seal;
    n.entries = p->entries;
    n.whole = p->buf.s;
    r = index_add(s->index, &n, 1, err);
    if (r == 0 && siblings)
        pack_sibling(siblings, n.info.name, p);
    if (r == 0 && p->buf.len > SMALL_PACK)
        keep_pack(s, n.info.name, p);
    return r;
}

/* --- batches -------------------------------------------------------------------------------------------- */

int s3_batch_new(struct store_backend *be, struct store_batch **ret, struct err *err)
{
    struct store_batch *b = mem_zalloc(sizeof *b);
    if (!b)
        return err_nomem(err);
    b->s = s3_of(be);
    b->class = s3_class_name(STORE_RESULTS);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->done, NULL);
    pack_init(&b->chunks, b->s->keys.len > 0);
    pack_init(&b->records, b->s->keys.len > 0);
    b->siblings = (struct strbuf)STRBUF_INIT_MAX(SIBLINGS_MAX);
    *ret = b;
    return 0;
}

void s3_batch_class(struct store_batch *b, enum store_class class)
{
    b->class = s3_class_name(class);
}

static void wait_for_packs(struct store_batch *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->in_flight)
        pthread_cond_wait(&b->done, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

static void batch_clear(struct store_batch *b)
{
    bool sealed = b->s->keys.len > 0;
    wait_for_packs(b);
    pack_release(&b->chunks);
    pack_release(&b->records);
    pack_init(&b->chunks, sealed);
    pack_init(&b->records, sealed);
    strbuf_clear(&b->siblings);
    VEC_EACH(&b->pins, p)
    {
        free(p->name);
        free(p->data);
    }
    VEC_CLEAR(&b->pins);
    err_clear(&b->failed);
}

void s3_batch_free(struct store_batch *b)
{
    if (!b)
        return;
    batch_clear(b);
    VEC_RELEASE(&b->pins);
    strbuf_release(&b->siblings);
    pthread_cond_destroy(&b->done);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static void give_room(struct s3 *s, size_t bytes)
{
    pthread_mutex_lock(&s->lock);
    s->sending -= bytes;
    pthread_cond_broadcast(&s->room);
    pthread_mutex_unlock(&s->lock);
}

/* So that memory stays bounded however slow the service is. */
static void take_room(struct s3 *s, size_t bytes)
{
    size_t max = (s->pack_bytes + CHUNK_MAX) * (s->parallel < SENDING_MAX ? s->parallel : SENDING_MAX);
    pthread_mutex_lock(&s->lock);
    while (s->sending && s->sending + bytes > max)
        pthread_cond_wait(&s->room, &s->lock);
    s->sending += bytes;
    pthread_mutex_unlock(&s->lock);
}

static void send_full(void *arg)
{
    struct sending *x = arg;
    struct store_batch *b = x->batch;
    struct err err = {0};
    struct strbuf sibling = STRBUF_INIT_MAX(SIBLINGS_MAX);
    int r = s3_send_pack(b->s, &x->pack, b->class, &sibling, &err);
    if (r == 0)
        r = s3_lease(b->s, &err);
    pack_release(&x->pack);
    give_room(b->s, x->bytes);
    free(x);
    pthread_mutex_lock(&b->lock);
    pack_more_siblings(&b->siblings, &sibling);
    strbuf_release(&sibling);
    if (r < 0 && !b->failed.code)
        b->failed = err;
    b->in_flight--;
    pthread_cond_broadcast(&b->done);
    pthread_mutex_unlock(&b->lock);
}

/* Sends the chunks so far. Under the batch's lock, which is left for a while. */
static int send_chunks(struct store_batch *b, bool more, struct err *err)
{
    struct sending *x = mem_zalloc(sizeof *x);
    if (!x)
        return err_nomem(err);
    *x = (struct sending){{send_full, x, NULL}, b, b->chunks, b->chunks.buf.len};
    pack_init(&b->chunks, x->pack.sealed);
    b->in_flight++;
    b->waiting = true;
    pthread_mutex_unlock(&b->lock);
    take_room(b->s, x->bytes);
    pool_submit(b->s->pool, &x->job);
    pthread_mutex_lock(&b->lock);
    if (more)
        b->chunks.buf.s = cache_take_room(b->s->cache, b->s->pack_bytes + CHUNK_MAX, &b->chunks.buf.cap);
    b->waiting = false;
    pthread_cond_broadcast(&b->done);
    return 0;
}

static int add_pin(struct store_batch *b, const char *name, const void *data, size_t len, struct err *err)
{
    struct pending_pin p = {mem_strdup(name), mem_dup(data, len), len};
    if (p.name && p.data && VEC_PUSH(&b->pins, p))
        return 0;
    free(p.name);
    free(p.data);
    return err_nomem(err);
}

/* What outgrows a small pack moves where a full one fits, instead of growing bit by bit. */
static void move_to_room(struct store_batch *b, size_t len)
{
    struct strbuf *buf = &b->chunks.buf;
    size_t full = b->s->pack_bytes + CHUNK_MAX, cap;
    if (buf->cap >= full || buf->len + len < SMALL_PACK || !buf->len)
        return;
    char *room = cache_take_room(b->s->cache, full, &cap);
    if (!room)
        return;
    memcpy(room, buf->s, buf->len + 1);
    free(buf->s);
    buf->s = room;
    buf->cap = cap;
}

int s3_batch_add(struct store_batch *b, const char *name, const void *data, size_t len, struct err *err)
{
    ASSERT(strlen(name) > 4 && strlen(name) <= BLOB_NAME_MAX && name[1] == '/');
    pthread_mutex_lock(&b->lock);
    while (b->waiting)
        pthread_cond_wait(&b->done, &b->lock);
    int r = b->failed.code ? err_copy(err, &b->failed) : 0;
    if (r == 0 && name[0] == 'p')
        r = add_pin(b, name, data, len, err);
    if (name[0] == 'c')
        move_to_room(b, len);
    if (r == 0 && name[0] != 'p')
        r = pack_add(name[0] == 'o' ? &b->records : &b->chunks, name, data, len, err);
    if (r == 0 && b->chunks.buf.len >= b->s->pack_bytes)
        r = send_chunks(b, true, err);
    pthread_mutex_unlock(&b->lock);
    return r;
}

/* Chunks bound themselves. */
void s3_batch_pending(struct store_batch *b, size_t *ret_blobs, size_t *ret_bytes)
{
    pthread_mutex_lock(&b->lock);
    *ret_blobs = 0;
    *ret_bytes = b->records.buf.len;
    pthread_mutex_unlock(&b->lock);
}

/* --- commit --------------------------------------------------------------------------------------------- */

/* Who was told that its commit is done comes back with the next one at once, or not at all: waiting for it a little makes
 * one group of what would be two by turns. Under the lock, which is left. */
static void gather(struct s3 *s)
{
    int64_t until = os_mono_ns() + s->group_ns / GATHER_SHARE;
    struct timespec t = {.tv_sec = (time_t)(until / NS_PER_S), .tv_nsec = (long)(until % NS_PER_S)};
    s->gathering = true;
    while (s->queue_len < s->callers && pthread_cond_clockwait(&s->room, &s->lock, CLOCK_MONOTONIC, &t) == 0)
        continue;
    s->gathering = false;
}

/* Takes requests off the queue, as many as fit into one pack; NULL if another leader has taken them all. Under the lock. */
static struct group_request *take_group(struct s3 *s, size_t *ret_len)
{
    struct group_request *list = s->queue, *last = list;
    if (!list)
        return NULL;
    size_t bytes = last->pack->buf.len, n = 1;
    while (last->next && last->next->class == list->class && bytes + last->next->pack->buf.len <= 2 * s->pack_bytes) {
        last = last->next;
        bytes += last->pack->buf.len;
        n++;
    }
    s->queue = last->next;
    if (!s->queue)
        s->queue_tail = &s->queue;
    last->next = NULL;
    s->queue_bytes -= bytes;
    s->queue_len -= n;
    *ret_len = n;
    return list;
}

/* Sends one pack for all of the list. */
static void send_group(struct s3 *s, struct group_request *list)
{
    struct err err = {0};
    int r = 0;
    for (struct group_request *q = list->next; q && r == 0; q = q->next)
        r = pack_append(list->pack, q->pack, &err);
    if (r == 0)
        r = s3_send_pack(s, list->pack, list->class, NULL, &err);
    pthread_mutex_lock(&s->lock);
    for (struct group_request *q = list, *next; q; q = next) {
        next = q->next; /* once done is set, q is its owner's */
        if (r < 0)
            q->err = err;
        q->done = true;
    }
    pthread_mutex_unlock(&s->lock);
}

/* One of those who wait does the work of all; more than one only if there is much. */
static int send_with_others(struct s3 *s, struct pack *p, const char *class, struct err *err)
{
    struct group_request q = {.pack = p, .class = class};
    pthread_mutex_lock(&s->lock);
    *s->queue_tail = &q;
    s->queue_tail = &q.next;
    s->queue_bytes += p->buf.len;
    s->queue_len++;
    if (s->gathering)
        pthread_cond_broadcast(&s->room);
    while (!q.done) {
        bool lead = s->queue && (!s->leaders || (s->queue_bytes >= GROUP_LARGE && s->leaders < s->parallel));
        if (!lead) {
            pthread_cond_wait(&s->room, &s->lock);
            continue;
        }
        size_t n;
        s->leaders++;
        if (s->leaders == 1)
            gather(s);
        struct group_request *list = take_group(s, &n);
        int64_t began = os_mono_ns();
        pthread_mutex_unlock(&s->lock);
        if (list)
            send_group(s, list);
        pthread_mutex_lock(&s->lock);
        if (list) {
            s->group_ns = os_mono_ns() - began;
            s->callers = n + s->queue_len;
        }
        s->leaders--;
        pthread_cond_broadcast(&s->room);
    }
    pthread_mutex_unlock(&s->lock);
    return q.err.code ? err_copy(err, &q.err) : 0;
}

/* All that is left of the batches into one pack: of the first batch with chunks or records. */
static int merge(struct store_batch *const *b, size_t n, bool records, struct pack *to, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = pack_append(to, records ? &b[i]->records : &b[i]->chunks, err);
    return r;
}

static size_t left_bytes(struct store_batch *const *b, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += b[i]->chunks.buf.len;
    return bytes;
}

static int commit_packs(struct s3 *s, struct store_batch *const *b, size_t n, struct err *err)
{
    struct pack p;
    int r = 0;
    pack_init(&p, s->keys.len > 0);
    /* Large rests on their own, so that no pack is much larger than it should be. */
    for (size_t i = 0; i < n && r == 0 && left_bytes(b, n) > s->pack_bytes; i++)
        if (!pack_empty(&b[i]->chunks)) {
            r = s3_send_pack(s, &b[i]->chunks, b[i]->class, &b[i]->siblings, err);
            pack_release(&b[i]->chunks);
            pack_init(&b[i]->chunks, s->keys.len > 0);
        }
    if (r == 0)
        r = merge(b, n, false, &p, err);
    if (r == 0)
        r = merge(b, n, true, &p, err);
    for (size_t i = 0; i < n; i++)
        pack_more_siblings(&p.siblings, &b[i]->siblings);
    if (r == 0 && !pack_empty(&p))
        r = send_with_others(s, &p, b[0]->class, err);
    pack_release(&p);
    return r;
}

static int commit_pins(struct store_batch *b, struct err *err)
{
    int r = 0;
    VEC_EACH(&b->pins, p)
    {
        if (r == 0)
            r = s3_put_pin(b->s, p->name, p->data, p->len, err);
    }
    return r;
}

/* The last chunks of an upload of which packs are on their way go out beside those, so that only the records wait for all. */
static int send_rest(struct store_batch *b, struct err *err)
{
    pthread_mutex_lock(&b->lock);
    int r = b->in_flight && b->chunks.buf.len >= REST_LARGE ? send_chunks(b, false, err) : 0;
    pthread_mutex_unlock(&b->lock);
    return r;
}

int s3_batch_commit(struct store_backend *be, struct store_batch *const *b, size_t n, struct err *err)
{
    struct s3 *s = s3_of(be);
    int r = s3_ready(s, err); /* the names of packs need the server's time */
    for (size_t i = 0; i < n && r == 0; i++)
        r = send_rest(b[i], err);
    for (size_t i = 0; i < n; i++) {
        wait_for_packs(b[i]);
        if (r == 0 && b[i]->failed.code)
            r = err_copy(err, &b[i]->failed);
    }
    if (r == 0)
        r = commit_packs(s, b, n, err);
    for (size_t i = 0; i < n && r == 0; i++)
        r = commit_pins(b[i], err);
    for (size_t i = 0; i < n; i++)
        batch_clear(b[i]);
    return r;
}

/* --- leases --------------------------------------------------------------------------------------------- */

/* Uploads that are soon over are covered by the grace time; a longer one says so, and says it again
 * every few minutes, by an object whose name tells its start. */
int s3_lease(struct s3 *s, struct err *err)
{
    char key[S3_KEY], old[S3_KEY] = "", id[27];
    int64_t now = os_now_ns();
    pthread_mutex_lock(&s->lock);
    int64_t oldest = sessions_oldest(&s->sessions, false);
    bool due = oldest != INT64_MAX && now - oldest > LEASE_AFTER_NS &&
               (now - s->leased_ns > LEASE_AFTER_NS || oldest < s->lease_start_ns);
    if (due && s->lease_start_ns != oldest) {
        snprintf(old, sizeof old, "%s", s->lease_key);
        os_ulid(id);
        snprintf(s->lease_key, sizeof s->lease_key, "leases/%013llx-%s",
                 (unsigned long long)((oldest + s3_http_skew_ns(s->http)) / NS_PER_MS), id);
        s->lease_start_ns = oldest;
    }
    if (due)
        s->leased_ns = now;
    memcpy(key, s->lease_key, sizeof key);
    pthread_mutex_unlock(&s->lock);
    if (!due)
        return 0;
    int r = api_put(s, key, "", 0, err);
    if (r == 0 && *old)
        (void)api_delete(s, old, NULL);
    return r;
}

void s3_lease_end(struct s3 *s)
{
    char key[S3_KEY] = "";
    pthread_mutex_lock(&s->lock);
    if (!s->sessions.len && s->lease_start_ns) {
        memcpy(key, s->lease_key, sizeof key);
        s->lease_start_ns = s->leased_ns = 0;
        s->lease_key[0] = 0;
    }
    pthread_mutex_unlock(&s->lock);
    if (*key)
        (void)api_delete(s, key, NULL);
}
