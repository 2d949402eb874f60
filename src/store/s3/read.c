/* Blobs out of the bucket, checked against what the pack's directory says of them; what does not
 * match is fetched again, and given to nobody. */
#include "store/s3/s3_internal.h"

#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define WHOLE_BYTES ((size_t)1 << 20)    /* packs up to this are fetched whole */
#define AHEAD_BYTES ((size_t)512 << 10)  /* how much is fetched for one blob, in larger ones */
#define GAP_BYTES ((size_t)128 << 10)    /* less than this between two wanted blobs is fetched as well */
#define EXTENT_BYTES ((size_t)5 << 20)   /* of one request: a whole pack */
#define WINDOW_BYTES ((size_t)16 << 20)  /* on their way before somebody asks */
#define FULL_EVERY_NS (10 * NS_PER_S)
#define TRIES 4

/* One extent that is fetched ahead. */
struct fetch {
    struct pool_job job;
    struct s3 *s;
    struct extent *extent;
    char pack[PACK_NAME_MAX];
    uint64_t offset;
    size_t len;
};

static int fetch_range(struct s3 *s, const char *pack, uint64_t offset, size_t len, char *to, struct err *err)
{
    char key[S3_KEY];
    s3_pack_key(key, pack);
    return api_get_range_into(s, key, offset, len, to, err);
}

static void fetch_ahead(void *arg)
{
    struct fetch *f = arg;
    char *room = cache_room(f->s->cache, f->extent);
    if (room && fetch_range(f->s, f->pack, f->offset, f->len, room, NULL) == 0)
        cache_fill(f->s->cache, f->extent);
    else
        cache_fail(f->s->cache, f->extent); /* who needs it tries again, and has the error */
    free(f);
}

/* --- one blob ------------------------------------------------------------------------------------------- */

/* What to fetch for a blob: the pack if it is small, else some of what follows the blob too. */
static void choose_extent(const struct blob_place *b, uint64_t *offset, size_t *len)
{
    uint64_t size = b->pack.size_bytes;
    *offset = size <= WHOLE_BYTES ? 0 : b->e.offset;
    *len = (size_t)(size - *offset);
    size_t want = b->e.len > AHEAD_BYTES ? b->e.len : AHEAD_BYTES;
    if (size > WHOLE_BYTES && *len > want)
        *len = want;
}

/* Fetched now. */
static int fetch_now(struct s3 *s, const struct blob_place *b, struct cache_view *ret, struct err *err)
{
    uint64_t offset;
    size_t len;
    choose_extent(b, &offset, &len);
    struct extent *e = cache_reserve(s->cache, b->pack.name, offset, len);
    _cleanup_free_ char *own = e ? NULL : mem_alloc(len);
    char *data = e ? cache_room(s->cache, e) : own;
    int r = data ? fetch_range(s, b->pack.name, offset, len, data, err) : err_nomem(err);
    if (r == 0) {
        ret->own = mem_alloc((size_t)b->e.len + 1);
        ret->data = ret->own;
        if (ret->own)
            memcpy(ret->own, data + (b->e.offset - offset), b->e.len);
        else
            r = err_nomem(err);
    }
    if (e && r == 0)
        cache_fill(s->cache, e);
    else if (e)
        cache_fail(s->cache, e);
    return r;
}

/* The blob's bytes as they lie in the pack, from here or from there; not checked. */
static int raw_bytes(struct s3 *s, const struct blob_place *b, struct cache_view *ret, struct err *err)
{
    *ret = (struct cache_view){0};
    if (b->e.offset + (uint64_t)b->e.len > b->pack.size_bytes)
        return err_set(err, ERR_CORRUPT, "the index has a place outside of its pack");
    int r = 0;
    if (b->pack.size_bytes <= SMALL_PACK)
        r = index_small(s->index, b->pack.name, b->e.offset, b->e.len, &ret->own, err);
    ret->data = ret->own;
    if (r == 0)
        r = cache_look(s->cache, b->pack.name, b->e.offset, b->e.len, ret, err);
    return r != 0 ? r < 0 ? r : 0 : fetch_now(s, b, ret, err);
}

/* Makes the view's bytes its own, to be changed or taken. */
static int own_bytes(struct s3 *s, struct cache_view *v, size_t len, struct err *err)
{
    if (v->own)
        return 0;
    char *own = mem_alloc(len + 1);
    if (!own)
        return err_nomem(err);
    memcpy(own, v->data, len);
    cache_view_release(s->cache, v);
    *v = (struct cache_view){.data = own, .own = own};
    return 0;
}

/* From one place: -ERR_NOT_FOUND if the pack is gone, -ERR_CORRUPT if it never matches. */
static int read_place(struct s3 *s, const struct blob_place *b, size_t max, struct cache_view *ret, size_t *ret_len,
                      struct err *err)
{
    if (b->e.len > max + (b->pack.seal.key_id ? SEAL_TAG : 0))
        return err_set(err, ERR_LIMIT, "it is over %zu bytes", max);
    for (int tries = 0; tries < TRIES; tries++) {
        int r = raw_bytes(s, b, ret, err);
        *ret_len = b->e.len;
        if (r == 0 && XXH3_64bits(ret->data, *ret_len) == b->e.check) {
            if (!b->pack.seal.key_id)
                return 0;
            r = own_bytes(s, ret, *ret_len, err);
            if (r == 0)
                r = pack_open_blob(&s->keys, &b->pack.seal, &b->e, b->number, ret->own, ret_len, err);
            if (r == 0)
                return 0;
        }
        cache_view_release(s->cache, ret);
        if (r < 0)
            return r;
        cache_drop(s->cache, b->pack.name);
        index_small_drop(s->index, b->pack.name);
    }
    return err_set(err, ERR_CORRUPT, "its bytes in pack %.40s... have changed", b->pack.name);
}

/* Finds a blob that others may have written a moment ago. */
static int find_exact(struct s3 *s, const char *name, struct blob_place *ret, struct err *err)
{
    int r = index_recall(s->index, name, ret, err);
    if (r != -ERR_NOT_FOUND)
        return r;
    r = s3_refresh(s, false, err);
    if (r == 0)
        r = index_find(s->index, name, NULL, ret, err);
    if (r != -ERR_NOT_FOUND)
        return r;
    /* A host whose clock was off when it wrote; or it is really not there, which must not cost a listing of
     * everything each time. */
    pthread_mutex_lock(&s->refresh_lock);
    bool lately = s->full_ns && os_mono_ns() - s->full_ns < FULL_EVERY_NS;
    pthread_mutex_unlock(&s->refresh_lock);
    if (lately)
        return -ERR_NOT_FOUND;
    r = s3_refresh(s, true, err);
    return r < 0 ? r : index_find(s->index, name, NULL, ret, err);
}

/* A chunk's or record's bytes, wherever they are now. */
static int read_blob(struct s3 *s, const char *name, size_t max, struct cache_view *ret, size_t *ret_len, struct err *err)
{
    struct blob_place b;
    bool looked = false;
    int r = -ERR_NOT_FOUND;
    for (int tries = 0; tries < TRIES && r == -ERR_NOT_FOUND; tries++) {
        r = find_exact(s, name, &b, err);
        if (r < 0)
            break;
        r = read_place(s, &b, max, ret, ret_len, err);
        if (r == -ERR_MISSING && !looked) { /* sealed with a key that is gone: another host may have written it anew since */
            looked = true;
            r = s3_refresh(s, true, err);
            r = r < 0 ? r : -ERR_NOT_FOUND;
            continue;
        }
        if (r == -ERR_NOT_FOUND) { /* the pack was removed: what was in use is in another one now */
            cache_drop(s->cache, b.pack.name);
            int d = index_drop(s->index, b.pack.name, err);
            r = d < 0 ? d : r;
        }
    }
    if (r == -ERR_NOT_FOUND && (r = s3_all_readable(s, err)) == 0)
        return err_set(err, ERR_NOT_FOUND, "%s is not in the store", name);
    return r < 0 ? WRAP(r, err, "%.14s", name) : 0;
}

int s3_get(struct store_backend *be, const char *name, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    struct s3 *s = s3_of(be);
    struct cache_view v = {0};
    if (name[0] == 'p')
        return s3_get_pin(s, name, max, ret, ret_len, err);
    int r = read_blob(s, name, max, &v, ret_len, err);
    if (r == 0)
        r = own_bytes(s, &v, *ret_len, err);
    if (r == 0) {
        *ret = TAKE_PTR(v.own);
        (*ret)[*ret_len] = 0;
    }
    cache_view_release(s->cache, &v);
    return r;
}

int s3_show(struct store_backend *be, const char *name, size_t max,
            int (*see)(void *arg, const void *data, size_t len, struct err *err), void *arg, struct err *err)
{
    struct s3 *s = s3_of(be);
    struct cache_view v = {0};
    size_t len;
    int r = read_blob(s, name, max, &v, &len, err);
    if (r == 0)
        r = see(arg, v.data, len, err);
    cache_view_release(s->cache, &v);
    return r;
}

/* --- ahead ---------------------------------------------------------------------------------------------- */

/* Extents to fetch, while they are gathered. What was uploaded by several threads may lie in several packs by turns. */
#define OPEN_EXTENTS 8
struct ahead {
    struct s3 *s;
    size_t soon; /* what is wanted before this place in the list is fetched now, however little it is */
    struct open_extent {
        char pack[PACK_NAME_MAX];
        uint64_t start, end, size; /* size: of the pack */
        size_t first; /* its place in the list */
    } v[OPEN_EXTENTS]; /* the one that was begun first in front */
    size_t len;
};

/* Makes x larger by [start, end) of that pack, if they belong together. */
static bool join(struct open_extent *x, const char *pack, uint64_t start, uint64_t end)
{
    uint64_t from = start < x->start ? start : x->start, to = end > x->end ? end : x->end;
    if (start > x->end + GAP_BYTES || end + GAP_BYTES < x->start || to - from > EXTENT_BYTES || strcmp(x->pack, pack) != 0)
        return false;
    x->start = from;
    x->end = to;
    return true;
}

static void remove_extent(struct ahead *a, size_t i)
{
    memmove(a->v + i, a->v + i + 1, (--a->len - i) * sizeof a->v[0]);
}

/* One that is not wanted soon and may grow waits until the next time. */
static void send_first(struct ahead *a)
{
    struct open_extent x = a->v[0];
    remove_extent(a, 0);
    for (size_t i = 0; i < a->len;) { /* what has grown towards it */
        struct open_extent *y = &a->v[i];
        if (join(&x, y->pack, y->start, y->end))
            remove_extent(a, i);
        else
            i++;
    }
    bool grows = x.end + GAP_BYTES < x.size && x.end - x.start < EXTENT_BYTES - GAP_BYTES;
    if ((x.first >= a->soon && grows) || cache_flying(a->s->cache) >= WINDOW_BYTES)
        return;
    struct fetch *f = mem_zalloc(sizeof *f);
    if (!f)
        return;
    f->s = a->s;
    f->offset = x.start;
    f->len = (size_t)(x.end - x.start);
    memcpy(f->pack, x.pack, sizeof f->pack);
    f->job = (struct pool_job){fetch_ahead, f, NULL};
    f->extent = cache_reserve(a->s->cache, f->pack, f->offset, f->len);
    if (f->extent)
        pool_submit(a->s->pool, &f->job);
    else
        free(f);
}

static void add_ahead(void *arg, size_t place, const struct blob_place *b)
{
    struct ahead *a = arg;
    uint64_t start = b->e.offset, end = start + b->e.len;
    if (b->pack.size_bytes <= SMALL_PACK || cache_has(a->s->cache, b->pack.name, b->e.offset, b->e.len))
        return;
    for (size_t i = 0; i < a->len; i++)
        if (join(&a->v[i], b->pack.name, start, end))
            return;
    if (a->len == OPEN_EXTENTS)
        send_first(a);
    struct open_extent *x = &a->v[a->len++];
    *x = (struct open_extent){.start = start, .end = end, .size = b->pack.size_bytes, .first = place};
    memcpy(x->pack, b->pack.name, sizeof x->pack);
}

void s3_expect(struct store_backend *be, const struct digest *chunks, size_t n, bool last)
{
    struct s3 *s = s3_of(be);
    struct ahead a = {.s = s, .soon = last ? n : n / 2};
    index_recall_chunks(s->index, chunks, n, add_ahead, &a);
    while (a.len)
        send_first(&a);
}
