/* The index follows the bucket: what other hosts have written is found by listing, and each new pack
 * tells itself what is in it, and in those that the same upload had sent before it.
 *
 * Names of packs begin with their time, so what is new stands at the end of its class and a listing from
 * shortly before the latest known pack finds it; one that a clock gone wrong has put into the future hides
 * none. What was removed shows when it is read, or in a listing of everything. */
#include "store/s3/s3_internal.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define OVERLAP_MS (INT64_C(15) * 60 * 1000) /* longer than a put is tried again, clocks differ by less */
#define TAIL_BYTES SMALL_PACK                /* of larger packs; small ones are read whole */
#define TAILS_KEPT 64                        /* of the newest packs: the records that their upload ended with are often in them */
#define ADD_PACKS 64                         /* in one transaction */
#define LISTED 128                           /* too */

const char *const s3_classes[] = {"targets", "results", "corpora", NULL};

const char *s3_class_name(enum store_class class)
{
    static const int place[] = {[STORE_TARGETS] = 0, [STORE_RESULTS] = 1, [STORE_CORPORA] = 2, [STORE_ANY] = 3};
    return s3_classes[place[class]];
}

/* "<class>/<13 hex>-<64 hex>": nothing else is a pack. */
static bool pack_name_valid(const char *name)
{
    static const char digits[] = "0123456789abcdef";
    const char *slash = strchr(name, '/');
    bool known = false;
    for (size_t i = 0; s3_classes[i] && slash; i++)
        known = known || (strlen(s3_classes[i]) == (size_t)(slash - name) &&
                          strncmp(s3_classes[i], name, (size_t)(slash - name)) == 0);
    return known && strspn(slash + 1, digits) == 13 && slash[14] == '-' && strspn(slash + 15, digits) == 64 &&
           slash[15 + 64] == 0;
}

struct fresh {
    char name[PACK_NAME_MAX];
    uint64_t size;
    int64_t stamp_ns;
    bool taken; /* by one of the loader's threads */
};

struct scan {
    struct s3 *s;
    int64_t round; /* of a whole listing; 0: what is new */
    struct pack_info listed[LISTED];
    size_t listed_len;
    VEC(struct fresh) fresh;
};

/* Which of those that were listed are new? */
static int note_listed(struct scan *c, struct err *err)
{
    bool known[LISTED];
    int r = c->listed_len ? index_listing_seen(c->s->index, c->round, c->listed, c->listed_len, known, err) : 0;
    for (size_t i = 0; i < c->listed_len && r == 0; i++) {
        const struct pack_info *p = &c->listed[i];
        struct fresh f = {.size = p->size_bytes, .stamp_ns = p->stamp_ns};
        snprintf(f.name, sizeof f.name, "%s", p->name);
        if (!known[i] && !VEC_PUSH(&c->fresh, f))
            r = err_nomem(err);
    }
    c->listed_len = 0;
    return r;
}

static int on_pack(void *arg, const struct api_entry *e, struct err *err)
{
    struct scan *c = arg;
    const char *name = strncmp(e->key, "packs/", 6) == 0 ? e->key + 6 : "";
    if (!pack_name_valid(name))
        return 0;
    struct pack_info *p = &c->listed[c->listed_len++];
    *p = (struct pack_info){.size_bytes = e->size_bytes, .stamp_ns = e->stamp_ns};
    snprintf(p->name, sizeof p->name, "%s", name);
    return c->listed_len == LISTED ? note_listed(c, err) : 0;
}

static int list_class(struct scan *c, const char *class, struct err *err)
{
    char begin[64], latest[PACK_NAME_MAX], after[PACK_NAME_MAX + 16] = "";
    snprintf(begin, sizeof begin, "packs/%s/", class);
    if (!c->round) {
        int r = index_latest(c->s->index, class, s3_now_ns(c->s) / NS_PER_MS + OVERLAP_MS, latest, err);
        if (r < 0)
            return r;
        long long ms = *latest ? (long long)strtoull(latest + strlen(class) + 1, NULL, 16) : 0;
        if (ms > OVERLAP_MS)
            snprintf(after, sizeof after, "packs/%s/%013llx", class, ms - OVERLAP_MS);
    }
    int r = api_list(c->s, begin, after, on_pack, c, err);
    return r < 0 ? r : note_listed(c, err);
}

/* --- directories ---------------------------------------------------------------------------------------- */

/* The end of a pack. */
struct tail {
    char *bytes; /* the caller's */
    size_t len;
    size_t need, siblings; /* so much of it are directory and footer, and so much before them the siblings */
};

/* Of a small pack all of it, of others the directory, and the siblings if they are wanted. */
static int read_directory(struct s3 *s, const char *pack, uint64_t size, bool siblings, struct tail *ret,
                          struct pack_entries *ret_entries, struct pack_seal *ret_seal, struct err *err)
{
    char key[S3_KEY];
    size_t n = size <= SMALL_PACK ? (size_t)size : TAIL_BYTES;
    *ret_entries = (struct pack_entries){0};
    *ret = (struct tail){0};
    if (size < PACK_HEADER + PACK_FOOTER || size > PACK_MAX)
        return err_set(err, ERR_CORRUPT, "a pack of %llu bytes", (unsigned long long)size);
    s3_pack_key(key, pack);
    int r = -ERR_CORRUPT;
    for (int tries = 0; tries < 3 && r == -ERR_CORRUPT; tries++) { /* it may have been changed on its way only */
        free(TAKE_PTR(ret->bytes));
        r = api_get_range(s, key, size - n, n, &ret->bytes, err);
        if (r == 0)
            r = pack_tail(ret->bytes, n, size, &ret->need, &ret->siblings, err);
        if (ret->siblings > SIBLINGS_MAX)
            ret->siblings = 0;
        size_t want = ret->need + (siblings ? ret->siblings : 0);
        bool more = r == 0 && want > n;
        if (r == 0 && !more)
            r = pack_directory(ret->bytes, n, size, &s->keys, ret_entries, ret_seal, err);
        if (more) {
            n = want;
            r = -ERR_CORRUPT;
            tries--;
        }
    }
    ret->len = n;
    if (r < 0)
        free(TAKE_PTR(ret->bytes));
    return r < 0 ? WRAP(r, err, "pack %s", pack) : 0;
}

int s3_read_directory(struct s3 *s, const char *pack, uint64_t size, struct pack_entries *ret,
                      struct pack_seal *ret_seal, struct err *err)
{
    struct tail t;
    int r = read_directory(s, pack, size, false, &t, ret, ret_seal, err);
    free(t.bytes);
    return r;
}

/* Several threads read the directories of what is new. */
struct loader {
    struct s3 *s;
    struct fresh *v;
    size_t n;
    struct map names; /* -> struct fresh *; of one pack alone it is empty */
    pthread_mutex_t lock; /* guards all below, and taken */
    pthread_cond_t done;
    size_t next, running;
    size_t ends; /* threads that read a pack which ends an upload */
    struct err failed;
    struct err unreadable; /* the first pack that was passed over */
};

/* What one thread has read and not yet put into the index. */
struct loaded {
    struct new_pack v[ADD_PACKS];
    size_t n;
};

static int put_loaded(struct loader *l, struct loaded *got, struct err *err)
{
    int r = got->n ? index_add(l->s->index, got->v, got->n, err) : 0;
    for (size_t i = 0; i < got->n; i++) {
        VEC_RELEASE(&got->v[i].entries);
        free((char *)got->v[i].whole);
    }
    got->n = 0;
    return r;
}

static struct new_pack new_pack_of(const struct fresh *f)
{
    struct new_pack p = {.info = {.size_bytes = f->size, .stamp_ns = f->stamp_ns}};
    snprintf(p.info.name, sizeof p.info.name, "%s", f->name);
    return p;
}

static int add_loaded(struct loader *l, struct loaded *got, const struct new_pack *p, struct err *err)
{
    got->v[got->n++] = *p;
    return got->n == ADD_PACKS ? put_loaded(l, got, err) : 0;
}

static bool take(struct loader *l, struct fresh *f)
{
    pthread_mutex_lock(&l->lock);
    bool mine = !f->taken;
    f->taken = true;
    pthread_mutex_unlock(&l->lock);
    return mine;
}

/* The directories of other packs that came with this one: what is new among them need not be asked for. */
static int load_siblings(struct loader *l, const struct tail *t, struct loaded *got, struct err *err)
{
    const uint8_t *end = (const uint8_t *)t->bytes + (t->len - t->need), *at = end - t->siblings;
    struct pack_sibling x;
    int r = 0;
    while (r == 0 && pack_next_sibling(&at, end, &x)) {
        struct fresh *f = map_get(&l->names, x.name);
        struct new_pack p;
        if (!f || f->size != x.size)
            continue;
        p = new_pack_of(f);
        if (pack_directory(x.tail, x.tail_len, x.size, &l->s->keys, &p.entries, &p.info.seal, NULL) < 0)
            continue;
        if (take(l, f))
            r = add_loaded(l, got, &p, err);
        else
            VEC_RELEASE(&p.entries);
    }
    return r;
}

/* Packs that are not full end an upload and have the directories of those before them. */
static bool is_end(const struct loader *l, const struct fresh *f)
{
    return f->size < l->s->pack_bytes;
}

static void keep_tail(struct s3 *s, const struct fresh *f, const struct tail *t)
{
    struct extent *e = cache_reserve(s->cache, f->name, f->size - t->len, t->len);
    char *room = e ? cache_room(s->cache, e) : NULL;
    if (room) {
        memcpy(room, t->bytes, t->len);
        cache_fill(s->cache, e);
    } else if (e) {
        cache_fail(s->cache, e);
    }
}

/* One that is gone meanwhile is passed over, and one that is damaged, so that the others can be used; but then nobody may
 * say that something is not there. */
static int load_one(struct loader *l, const struct fresh *f, struct loaded *got, struct err *err)
{
    struct new_pack p = new_pack_of(f);
    struct tail t;
    bool more = l->names.len > 0;
    int r = read_directory(l->s, f->name, f->size, more, &t, &p.entries, &p.info.seal, err);
    if (r == -ERR_CORRUPT) {
        pthread_mutex_lock(&l->lock);
        if (!l->unreadable.code)
            l->unreadable = *err;
        pthread_mutex_unlock(&l->lock);
    }
    if (r < 0)
        return r == -ERR_NOT_FOUND || r == -ERR_CORRUPT ? 0 : r;
    if (more)
        r = load_siblings(l, &t, got, err);
    if (t.len == f->size)
        p.whole = TAKE_PTR(t.bytes);
    else if (is_end(l, f) && f - l->v < TAILS_KEPT)
        keep_tail(l->s, f, &t);
    free(t.bytes);
    int a = add_loaded(l, got, &p, err);
    return r < 0 ? r : a;
}

/* Full ones only when all that may tell about them has been read. */
static struct fresh *take_next(struct loader *l)
{
    struct fresh *f = NULL;
    pthread_mutex_lock(&l->lock);
    while (!f && l->next < l->n && !l->failed.code) {
        struct fresh *x = &l->v[l->next];
        if (!x->taken && !is_end(l, x) && l->ends) {
            pthread_cond_wait(&l->done, &l->lock);
            continue;
        }
        f = x->taken ? NULL : x;
        l->next++;
    }
    if (f) {
        f->taken = true;
        l->ends += is_end(l, f);
    }
    pthread_mutex_unlock(&l->lock);
    return f;
}

static void have_read(struct loader *l, const struct fresh *f)
{
    pthread_mutex_lock(&l->lock);
    l->ends -= is_end(l, f);
    pthread_cond_broadcast(&l->done);
    pthread_mutex_unlock(&l->lock);
}

static void load(void *arg)
{
    struct loader *l = arg;
    struct loaded *got = mem_zalloc(sizeof *got);
    struct err err = {0};
    int r = got ? 0 : err_nomem(&err);
    for (struct fresh *f; r == 0 && (f = take_next(l));) {
        r = load_one(l, f, got, &err);
        have_read(l, f);
    }
    if (got) {
        int p = put_loaded(l, got, r == 0 ? &err : NULL);
        r = r < 0 ? r : p;
    }
    free(got);
    pthread_mutex_lock(&l->lock);
    if (r < 0 && !l->failed.code)
        l->failed = err;
    l->running--;
    pthread_cond_broadcast(&l->done);
    pthread_mutex_unlock(&l->lock);
}

/* First those that end an upload, the newest in front. */
static int by_use(const void *a, const void *b, void *arg)
{
    const struct fresh *x = a, *y = b;
    const size_t *full = arg;
    if ((x->size < *full) != (y->size < *full))
        return x->size < *full ? -1 : 1;
    return strcmp(strchr(y->name, '/'), strchr(x->name, '/'));
}

static int load_directories(struct scan *c, struct err *ret_unreadable, struct err *err)
{
    struct loader l = {.s = c->s, .v = c->fresh.v, .n = c->fresh.len};
    struct pool_job jobs[64];
    size_t n = c->s->parallel < l.n ? c->s->parallel : l.n;
    if (!n)
        return 0;
    qsort_r(l.v, l.n, sizeof *l.v, by_use, &c->s->pack_bytes);
    for (size_t i = 0; i < l.n && l.n > 1; i++)
        (void)map_set(&l.names, l.v[i].name, &l.v[i]); /* one that is not there is read itself */
    pthread_mutex_init(&l.lock, NULL);
    pthread_cond_init(&l.done, NULL);
    l.running = n;
    for (size_t i = 0; i < n; i++) {
        jobs[i] = (struct pool_job){load, &l, NULL};
        if (i + 1 < n)
            pool_submit(c->s->pool, &jobs[i]);
        else
            load(&l); /* this thread too */
    }
    pthread_mutex_lock(&l.lock);
    while (l.running)
        pthread_cond_wait(&l.done, &l.lock);
    pthread_mutex_unlock(&l.lock);
    pthread_cond_destroy(&l.done);
    pthread_mutex_destroy(&l.lock);
    map_release(&l.names);
    *ret_unreadable = l.unreadable;
    return l.failed.code ? err_copy(err, &l.failed) : 0;
}

/* Once a process: is there a store, one that we can read, and the one that the index is of? */
static int bind_store(struct s3 *s, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len;
    int r = s->bound ? 1 : api_get(s, "format", 256, &text, &len, err);
    if (r == 1)
        return 0;
    if (r == -ERR_NOT_FOUND) {
        err_set(err, ERR_MISSING, "there is no store in bucket %s%s%s", s->bucket, *s->prefix ? " below " : "", s->prefix);
        return err_hint(err, "'ff store init' makes it");
    }
    if (r == 0 && strncmp(text, S3_FORMAT, strlen(S3_FORMAT)) != 0)
        r = err_set(err, ERR_STATE, "bucket %s has a store of a format that this version does not know: %.40s", s->bucket, text);
    if (r == 0)
        r = index_bind(s->index, text, err);
    s->bound = r == 0;
    return r;
}

static int scan_bucket(struct s3 *s, bool whole, struct err *err)
{
    struct scan c = {.s = s};
    struct err unreadable = {0};
    int r = bind_store(s, err);
    if (r == 0 && whole)
        r = index_listing_begin(s->index, &c.round, err);
    for (size_t i = 0; s3_classes[i] && r == 0; i++)
        r = list_class(&c, s3_classes[i], err);
    if (r == 0)
        r = load_directories(&c, &unreadable, err);
    if (r == 0 && (whole || unreadable.code))
        s->unreadable = unreadable;
    if (r == 0 && whole)
        r = index_listing_end(s->index, c.round, err);
    VEC_RELEASE(&c.fresh);
    return r;
}

int s3_refresh(struct s3 *s, bool whole, struct err *err)
{
    int64_t asked = os_mono_ns();
    int r = 0;
    pthread_mutex_lock(&s->refresh_lock);
    if ((whole ? s->full_ns : s->refreshed_ns) < asked) {
        int64_t began = os_mono_ns();
        r = scan_bucket(s, whole, err);
        if (r == 0) {
            s->refreshed_ns = began;
            if (whole)
                s->full_ns = began;
        }
    }
    pthread_mutex_unlock(&s->refresh_lock);
    return r;
}

int s3_all_readable(struct s3 *s, struct err *err)
{
    pthread_mutex_lock(&s->refresh_lock);
    struct err e = s->unreadable;
    pthread_mutex_unlock(&s->refresh_lock);
    if (!e.code)
        return 0;
    err_copy(err, &e);
    err_hint(err, "if it stays so, move that pack out of the bucket; what was in it must be put again");
    return -e.code;
}

int s3_ready(struct s3 *s, struct err *err)
{
    pthread_mutex_lock(&s->refresh_lock);
    bool done = s->refreshed_ns != 0;
    pthread_mutex_unlock(&s->refresh_lock);
    return done ? 0 : s3_refresh(s, false, err);
}
