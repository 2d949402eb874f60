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
    if (fetch_range(f->s, f->pack, f->offset, f->len, cache_room(f->extent), NULL) == 0)
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

/* The blob's bytes as they lie in the pack, from here or from there; not checked. */
static int raw_bytes(struct s3 *s, const struct blob_place *b, char **ret, struct err *err)
{
    uint64_t offset;
    size_t len;
    if (b->e.offset + (uint64_t)b->e.len > b->pack.size_bytes)
        return err_set(err, ERR_CORRUPT, "the index has a place outside of its pack");
    int r = 0;
    if (b->pack.size_bytes <= SMALL_PACK)
        r = index_small(s->index, b->pack.name, b->e.offset, b->e.len, ret, err);
    if (r == 0)
        r = cache_get(s->cache, b->pack.name, b->e.offset, b->e.len, ret, err);
    if (r != 0)
        return r < 0 ? r : 0;
    choose_extent(b, &offset, &len);
    struct extent *e = cache_reserve(s->cache, b->pack.name, offset, len);
    _cleanup_free_ char *own = e ? NULL : mem_alloc(len);
    char *data = e ? cache_room(e) : own;
    r = data ? fetch_range(s, b->pack.name, offset, len, data, err) : err_nomem(err);
    if (r == 0) {
        *ret = mem_alloc((size_t)b->e.len + 1);
        if (*ret)
            memcpy(*ret, data + (b->e.offset - offset), b->e.len);
        else
            r = err_nomem(err);
    }
    if (e && r == 0)
        cache_fill(s->cache, e);
    else if (e)
        cache_fail(s->cache, e);
    return r;
}

/* From one place: -ERR_NOT_FOUND if the pack is gone, -ERR_CORRUPT if it never matches. */
static int read_place(struct s3 *s, const struct blob_place *b, size_t max, char **ret, size_t *ret_len,
                      struct err *err)
{
    if (b->e.len > max + (b->pack.seal.key_id ? SEAL_TAG : 0))
        return err_set(err, ERR_LIMIT, "it is over %zu bytes", max);
    for (int tries = 0; tries < TRIES; tries++) {
        _cleanup_free_ char *data = NULL;
        int r = raw_bytes(s, b, &data, err);
        if (r < 0)
            return r;
        size_t len = b->e.len;
        if (XXH3_64bits(data, len) == b->e.check) {
            r = pack_open_blob(&s->keys, &b->pack.seal, &b->e, b->number, data, &len, err);
            if (r < 0)
                return r;
            data[len] = 0;
            *ret = TAKE_PTR(data);
            *ret_len = len;
            return 0;
        }
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

int s3_get(struct store_backend *be, const char *name, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    struct s3 *s = s3_of(be);
    struct blob_place b;
    bool looked = false;
    if (name[0] == 'p')
        return s3_get_pin(s, name, max, ret, ret_len, err);
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

/* --- ahead ---------------------------------------------------------------------------------------------- */

/* Extents to fetch, while they are gathered. What was uploaded by several threads lies in as many packs by turns. */
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

/* One that is not wanted soon and may grow waits until the next time. */
static void send_first(struct ahead *a)
{
    struct open_extent x = a->v[0];
    memmove(a->v, a->v + 1, --a->len * sizeof x);
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
    for (size_t i = 0; i < a->len; i++) {
        struct open_extent *x = &a->v[i];
        if (strcmp(x->pack, b->pack.name) == 0 && start >= x->start && start <= x->end + GAP_BYTES &&
            end - x->start <= EXTENT_BYTES) {
            x->end = end > x->end ? end : x->end;
            return;
        }
    }
    if (a->len == OPEN_EXTENTS)
        send_first(a);
    struct open_extent *x = &a->v[a->len++];
    *x = (struct open_extent){.start = start, .end = end, .size = b->pack.size_bytes, .first = place};
    memcpy(x->pack, b->pack.name, sizeof x->pack);
}

void s3_expect(struct store_backend *be, const struct digest *chunks, size_t n)
{
    struct s3 *s = s3_of(be);
    struct ahead a = {.s = s, .soon = n / 2};
    index_recall_chunks(s->index, chunks, n, add_ahead, &a);
    while (a.len)
        send_first(&a);
}
