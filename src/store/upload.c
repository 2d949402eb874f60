#include "store/upload.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "os/clock.h"
#include "store/blob.h"
#include "store/chunker.h"

#include <string.h>

#define WORKERS_MAX 3
#define QUEUE_MAX 8
#define CHUNK_ROOM 64 /* before a chunk's bytes: for the header of a raw block, and so that they are aligned */
#define THREADS_FROM ((size_t)1 << 20) /* bytes: less is done sooner by one thread */
/* A batch is committed when it holds this much, so that memory and temporary files are bounded. */
#define BATCH_BLOBS 1024
#define BATCH_BYTES ((size_t)16 << 20)

struct job {
    uint8_t *buf; /* the bytes stand at CHUNK_ROOM */
    size_t len, index;
    bool hashed;
    struct digest digest; /* if so */
};

/* What one thread needs for its chunks. */
struct lane {
    struct upload *u;
    struct codec *codec;
    struct store_batch *batch;
    bool borrowed; /* it is lane 0's */
    pthread_t thread;
};

struct upload {
    struct store *s;
    struct upload *next, *prev; /* of those that go on */
    int64_t session_ns; /* start */
    enum store_class class;
    struct chunker chunker;
    uint8_t *buf; /* the open chunk, at CHUNK_ROOM */
    size_t buf_len;
    size_t total, next_index; /* of the stream */
    struct hasher whole; /* of the stream; ctx NULL: nobody wants to know */
    struct lane lanes[1 + WORKERS_MAX]; /* 0: the feeding thread */
    size_t workers;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work, done;
    struct job queue[QUEUE_MAX];
    size_t queue_head, queue_len, busy;
    bool stop;
    VEC(uint8_t *) spare; /* buffers of CHUNK_ROOM + CHUNK_MAX */
    struct digest_set seen; /* chunks that this upload has added or found */
    VEC(struct digest) wrote; /* since the last commit of all */
    struct chunk_list chunks; /* of the stream, by index */
    uint64_t stored;
    struct err failed; /* the first failure */
};

static int lane_init(struct lane *l, struct upload *u, struct err *err)
{
    l->u = u;
    l->codec = codec_take(u->s);
    if (!l->codec)
        return err_nomem(err);
    const struct store_ops *ops = u->s->be->ops;
    /* Where a request costs more than a byte, what follows each other should lie in one place. */
    l->borrowed = ops->shared && l != &u->lanes[0];
    if (l->borrowed) {
        l->batch = u->lanes[0].batch;
        return 0;
    }
    int r = ops->batch_new(u->s->be, &l->batch, err);
    if (r == 0)
        ops->batch_class(l->batch, u->class);
    return r;
}

static void lane_release(struct lane *l)
{
    if (!l->u)
        return;
    codec_give(l->u->s, l->codec);
    if (!l->borrowed)
        l->u->s->be->ops->batch_free(l->batch);
    *l = (struct lane){0};
}

static void list_upload(struct upload *u)
{
    struct store *s = u->s;
    pthread_mutex_lock(&s->lock_uploads);
    u->next = s->uploads;
    if (u->next)
        u->next->prev = u;
    s->uploads = u;
    pthread_mutex_unlock(&s->lock_uploads);
}

static void unlist_upload(struct upload *u)
{
    struct store *s = u->s;
    pthread_mutex_lock(&s->lock_uploads);
    if (u->next)
        u->next->prev = u->prev;
    if (u->prev)
        u->prev->next = u->next;
    else
        s->uploads = u->next;
    pthread_mutex_unlock(&s->lock_uploads);
}

size_t uploads_have(struct store *s, struct digest *v, size_t n)
{
    size_t have = 0;
    pthread_mutex_lock(&s->lock_uploads);
    for (struct upload *u = s->uploads; u && have < n; u = u->next) {
        pthread_mutex_lock(&u->lock);
        for (size_t i = have; i < n; i++)
            if (digest_set_has(&u->seen, &v[i])) {
                struct digest d = v[i];
                v[i] = v[have];
                v[have++] = d;
            }
        pthread_mutex_unlock(&u->lock);
    }
    pthread_mutex_unlock(&s->lock_uploads);
    return have;
}

int upload_begin(struct store *s, enum store_class class, bool hash, struct upload **ret, struct err *err)
{
    struct upload *u = mem_zalloc(sizeof *u);
    if (!u)
        return err_nomem(err);
    int r = s->be->ops->session_begin(s->be, false, &u->session_ns, err);
    if (r < 0) {
        free(u);
        return r;
    }
    u->s = s;
    u->class = class;
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->work, NULL);
    pthread_cond_init(&u->done, NULL);
    list_upload(u);
    chunker_init(&u->chunker, 0, 0, 0);
    r = hash ? hasher_init(&u->whole, err) : 0;
    if (r == 0)
        r = lane_init(&u->lanes[0], u, err);
    if (r < 0) {
        upload_free(u);
        return r;
    }
    *ret = u;
    return 0;
}

void upload_free(struct upload *u)
{
    if (!u)
        return;
    pthread_mutex_lock(&u->lock);
    u->stop = true;
    pthread_cond_broadcast(&u->work);
    pthread_mutex_unlock(&u->lock);
    unlist_upload(u);
    for (size_t i = 1; i <= u->workers; i++)
        pthread_join(u->lanes[i].thread, NULL);
    for (size_t i = 0; i <= WORKERS_MAX; i++)
        lane_release(&u->lanes[i]);
    for (size_t i = 0; i < u->queue_len; i++)
        free(u->queue[(u->queue_head + i) % QUEUE_MAX].buf);
    VEC_EACH(&u->spare, b)
        free(*b);
    VEC_RELEASE(&u->spare);
    free(u->buf);
    free(u->chunks.v);
    digest_set_release(&u->seen);
    hasher_release(&u->whole);
    pthread_cond_destroy(&u->work);
    pthread_cond_destroy(&u->done);
    pthread_mutex_destroy(&u->lock);
    u->s->be->ops->session_end(u->s->be, u->session_ns);
    if (u->wrote.len)
        chunks_discard(u->s, u->wrote.v, u->wrote.len, u->session_ns);
    chunks_discard_left(u->s);
    VEC_RELEASE(&u->wrote);
    free(u);
}

int upload_chunk_known(struct upload *u, const char *name, size_t *ret_stored, struct err *err)
{
    const struct store_ops *ops = u->s->be->ops;
    struct blob_info info = {0};
    struct digest d;
    if (!digest_from_hex(name + 2, &d))
        return err_set(err, ERR_INTERNAL, "%s is no chunk", name);
    pthread_mutex_lock(&u->lock); /* before it is looked for: whoever may take it away then sees that it is wanted */
    int r = digest_set_add(&u->seen, &d, NULL, err);
    pthread_mutex_unlock(&u->lock);
    if (r == 0)
        r = ops->gate_enter(u->s->be, false, err);
    if (r < 0)
        return r;
    int64_t before = 0;
    r = ops->collecting_before(u->s->be, &before, err);
    if (before < u->session_ns - SESSION_SLACK_NS)
        before = u->session_ns - SESSION_SLACK_NS;
    if (ops->shared && before < object_fresh_ns(u->s)) /* others collect too, and do not know of this upload yet */
        before = object_fresh_ns(u->s);
    if (r == 0)
        r = ops->stat(u->s->be, name, u->class, &info, err);
    if (r == 0 && info.stamp_ns < before)
        r = ops->touch(u->s->be, name, u->class, err);
    ops->gate_leave(u->s->be, false);
    *ret_stored = info.size_bytes;
    return r == 0 ? 1 : r == -ERR_NOT_FOUND ? 0 : r;
}

static int commit_if_full(struct lane *l, struct err *err)
{
    const struct store_ops *ops = l->u->s->be->ops;
    size_t blobs, bytes;
    if (ops->shared && l->u->workers) /* others add to it as well; chunks bound themselves there, and records are few */
        return 0;
    ops->batch_pending(l->batch, &blobs, &bytes);
    if (blobs < BATCH_BLOBS && bytes < BATCH_BYTES)
        return 0;
    return ops->batch_commit(l->u->s->be, &l->batch, 1, err);
}

/* For upload_free(); where others may have found them meanwhile, they stay for collection. */
static int note_written(struct upload *u, const struct digest *d, struct err *err)
{
    if (u->s->be->ops->shared)
        return 0;
    pthread_mutex_lock(&u->lock);
    bool ok = VEC_PUSH(&u->wrote, *d);
    pthread_mutex_unlock(&u->lock);
    return ok ? 0 : err_nomem(err);
}

static int store_chunk(struct lane *l, const struct job *j, const struct digest *d,
                       size_t *ret_stored, struct err *err)
{
    struct blob_name name = blob_name_of('c', d);
    const uint8_t *block;
    int r = upload_chunk_known(l->u, name.s, ret_stored, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = block_pack_there(l->codec, j->buf + CHUNK_ROOM, j->len, &block, ret_stored, err);
    if (r == 0)
        r = l->u->s->be->ops->batch_add(l->batch, name.s, block, *ret_stored, err);
    if (r == 0)
        r = note_written(l->u, d, err);
    return r < 0 ? r : commit_if_full(l, err);
}

static void process(struct lane *l, const struct job *j)
{
    struct upload *u = l->u;
    struct err err = {0};
    struct digest d = j->digest;
    bool first = false;
    size_t stored = 0;
    int r = j->hashed ? 0 : digest_of(j->buf + CHUNK_ROOM, j->len, &d, &err);
    pthread_mutex_lock(&u->lock);
    if (r == 0)
        r = digest_set_add(&u->seen, &d, &first, &err);
    if (u->failed.code)
        first = false; /* its result does not matter any more */
    pthread_mutex_unlock(&u->lock);
    if (r == 0 && first)
        r = store_chunk(l, j, &d, &stored, &err);
    pthread_mutex_lock(&u->lock);
    u->stored += stored;
    u->chunks.v[j->index] = (struct chunk_ref){d, (uint32_t)j->len};
    if (r < 0 && !u->failed.code)
        u->failed = err;
    if (!VEC_PUSH(&u->spare, j->buf))
        free(j->buf);
    pthread_mutex_unlock(&u->lock);
}

/* Under the lock. */
static struct job take_job(struct upload *u)
{
    struct job j = u->queue[u->queue_head];
    u->queue_head = (u->queue_head + 1) % QUEUE_MAX;
    u->queue_len--;
    u->busy++;
    return j;
}

static void *worker(void *arg)
{
    struct lane *l = arg;
    struct upload *u = l->u;
    pthread_mutex_lock(&u->lock);
    for (;;) {
        while (!u->queue_len && !u->stop)
            pthread_cond_wait(&u->work, &u->lock);
        if (u->stop)
            break;
        struct job j = take_job(u);
        pthread_mutex_unlock(&u->lock);
        process(l, &j);
        pthread_mutex_lock(&u->lock);
        if (--u->busy == 0 && !u->queue_len)
            pthread_cond_signal(&u->done);
    }
    pthread_mutex_unlock(&u->lock);
    return NULL;
}

/* As many as there are other processors; without any the feeding thread does it all. */
static void start_workers(struct upload *u)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t want = cpus <= 2 ? 1 : cpus - 1 < WORKERS_MAX ? (size_t)cpus - 1 : WORKERS_MAX;
    while (u->workers < want) {
        struct lane *l = &u->lanes[u->workers + 1];
        if (lane_init(l, u, NULL) < 0 || pthread_create(&l->thread, NULL, worker, l) != 0) {
            lane_release(l);
            return;
        }
        u->workers++;
    }
}

/* Under the lock: a place in the list for a chunk that is on its way. */
static int reserve_index(struct upload *u, struct err *err)
{
    if (u->next_index < u->chunks.cap)
        return 0;
    size_t cap = u->chunks.cap ? u->chunks.cap * 2 : 64;
    struct chunk_ref *v = mem_realloc(u->chunks.v, cap * sizeof *v);
    if (!v)
        return err_nomem(err);
    u->chunks.v = v;
    u->chunks.cap = cap;
    return 0;
}

/* To the queue; if that is full, the oldest of it is done here, so that chunks stay nearly in order however long somebody waits
 * for room. */
static void hand_on(struct upload *u, const struct job *j)
{
    pthread_mutex_lock(&u->lock);
    bool full = u->queue_len == QUEUE_MAX;
    struct job mine = full ? take_job(u) : *j;
    u->queue[(u->queue_head + u->queue_len++) % QUEUE_MAX] = *j;
    pthread_cond_signal(&u->work);
    pthread_mutex_unlock(&u->lock);
    if (!full)
        return;
    process(&u->lanes[0], &mine);
    pthread_mutex_lock(&u->lock);
    u->busy--;
    pthread_mutex_unlock(&u->lock);
}

/* The open chunk is complete: to the workers, or if there are none, done here. */
static int emit(struct upload *u, struct err *err)
{
    if (!u->buf_len)
        return 0;
    if (!u->workers && u->total >= THREADS_FROM)
        start_workers(u);
    pthread_mutex_lock(&u->lock);
    int r = u->failed.code ? err_copy(err, &u->failed) : reserve_index(u, err);
    if (r < 0) {
        pthread_mutex_unlock(&u->lock);
        return r;
    }
    struct job j = {.buf = TAKE_PTR(u->buf), .len = u->buf_len, .index = u->next_index++, .hashed = u->whole.ctx != NULL};
    u->buf_len = 0;
    pthread_mutex_unlock(&u->lock);
    if (j.hashed) /* in the order of the stream, so not by several threads */
        hasher_piece(&u->whole, j.buf + CHUNK_ROOM, j.len, &j.digest);
    if (u->workers)
        hand_on(u, &j);
    else
        process(&u->lanes[0], &j);
    return 0;
}

static int need_buffer(struct upload *u, struct err *err)
{
    if (u->buf)
        return 0;
    pthread_mutex_lock(&u->lock);
    u->buf = u->spare.len ? VEC_POP(&u->spare) : NULL;
    pthread_mutex_unlock(&u->lock);
    if (!u->buf)
        u->buf = mem_alloc(CHUNK_ROOM + CHUNK_MAX);
    return u->buf ? 0 : err_nomem(err);
}

int upload_write(struct upload *u, const void *data, size_t len, struct err *err)
{
    const uint8_t *p = data;
    while (len) {
        int r = need_buffer(u, err);
        if (r < 0)
            return r;
        int cut;
        size_t n = chunker_feed(&u->chunker, p, len, &cut);
        ASSERT(u->buf_len + n <= CHUNK_MAX);
        memcpy(u->buf + CHUNK_ROOM + u->buf_len, p, n);
        u->buf_len += n;
        u->total += n;
        p += n;
        len -= n;
        r = cut ? emit(u, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

/* Helps with the queue, then waits for the chunks that others have. */
static void drain(struct upload *u)
{
    pthread_mutex_lock(&u->lock);
    while (u->queue_len || u->busy) {
        if (!u->queue_len) {
            pthread_cond_wait(&u->done, &u->lock);
            continue;
        }
        struct job j = take_job(u);
        pthread_mutex_unlock(&u->lock);
        process(&u->lanes[0], &j);
        pthread_mutex_lock(&u->lock);
        u->busy--;
    }
    pthread_mutex_unlock(&u->lock);
}

int upload_end_stream(struct upload *u, struct chunk_list *ret, uint64_t *ret_stored, struct digest *ret_digest,
                      struct err *err)
{
    int r = emit(u, err);
    drain(u);
    if (r == 0 && u->failed.code)
        r = err_copy(err, &u->failed);
    if (r < 0)
        return r;
    if (u->whole.ctx)
        hasher_final(&u->whole, ret_digest);
    *ret = (struct chunk_list){u->chunks.v, u->next_index, u->chunks.cap};
    *ret_stored = u->stored;
    u->chunks = (struct chunk_list){0};
    u->next_index = 0;
    u->stored = 0;
    chunker_reset(&u->chunker);
    return 0;
}

int upload_record(struct upload *u, const struct digest *d, const struct record *rec,
                  struct err *err)
{
    struct strbuf b = STRBUF_INIT_MAX(RECORD_MAX);
    record_encode(rec, &b);
    int r = strbuf_check(&b, err);
    if (r == 0)
        r = u->s->be->ops->batch_add(u->lanes[0].batch, blob_name_of('o', d).s, b.s, b.len, err);
    strbuf_release(&b);
    return r;
}

int upload_object(struct upload *u, const void *data, size_t len, const struct digest *d,
                  struct record *rec, struct err *err)
{
    struct codec *c = u->lanes[0].codec;
    size_t packed = 0;
    uint64_t stored = 0;
    int r = len <= INLINE_MAX ? block_pack(c, data, len, &packed, err) : 0;
    if (r < 0)
        return r;
    rec->size_bytes = len;
    if (len <= INLINE_MAX && packed <= INLINE_PACKED) {
        rec->block = c->buf;
        rec->block_len = stored = packed;
    } else {
        r = upload_write(u, data, len, err);
        if (r == 0)
            r = upload_end_stream(u, &rec->chunks, &stored, NULL, err);
    }
    rec->stored_bytes += stored;
    if (r == 0)
        r = upload_record(u, d, rec, err);
    rec->block = NULL; /* the codec's */
    return r;
}

int upload_blob(struct upload *u, const char *name, const void *data, size_t len, struct err *err)
{
    struct lane *l = &u->lanes[0];
    int r = u->s->be->ops->batch_add(l->batch, name, data, len, err);
    return r < 0 ? r : commit_if_full(l, err);
}

int upload_commit(struct upload *u, struct err *err)
{
    struct store_batch *batches[1 + WORKERS_MAX];
    size_t n = 0;
    for (size_t i = 0; i <= u->workers; i++)
        if (!u->lanes[i].borrowed)
            batches[n++] = u->lanes[i].batch;
    int r = u->s->be->ops->batch_commit(u->s->be, batches, n, err);
    if (r == 0)
        VEC_CLEAR(&u->wrote);
    return r;
}

int upload_new_object(struct upload *u, const void *data, size_t len, const struct digest *d,
                      struct record *rec, struct err *err)
{
    const struct store_ops *ops = u->s->be->ops;
    int r = ops->gate_enter(u->s->be, false, err);
    if (r < 0)
        return r;
    int known = object_known(u->s, d, u->class, rec->tree, err);
    ops->gate_leave(u->s->be, false);
    r = known < 0 ? known : 0;
    if (known == 0)
        r = upload_object(u, data, len, d, rec, err);
    return r < 0 ? r : upload_commit(u, err);
}
