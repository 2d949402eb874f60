/* The back end in a bucket: opening it, and what needs no file of its own. */
#include "store/s3/s3_internal.h"

#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "os/clock.h"
#include "os/file.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define MEMORY_BYTES ((size_t)32 << 20)  /* of fetched extents */
#define MMAP_BYTES (1 << 20)
#define SMALL_TOTAL ((uint64_t)256 << 20) /* of small packs in the index, or a quarter of the cache */
#define SESSION_REFRESH_NS (30 * NS_PER_S)

/* Only the index is asked: what another host has put since the last refresh is not known, which costs the
 * caller no more than sending it again. */
static int s3_stat(struct store_backend *be, const char *name, enum store_class class, struct blob_info *ret, struct err *err)
{
    struct s3 *s = s3_of(be);
    struct blob_place b;
    if (name[0] == 'p') {
        char key[S3_KEY];
        snprintf(key, sizeof key, "pins/%s", name + 2);
        ret->name = name;
        int r = api_head(s, key, &ret->size_bytes, &ret->stamp_ns, err);
        ret->stamp_ns = s3_to_local(s, ret->stamp_ns);
        return r;
    }
    int r = s3_ready(s, err);
    if (r == 0)
        r = index_find(s->index, name, s3_class_name(class), &b, err);
    if (r == 0)
        *ret = (struct blob_info){name, b.e.len, s3_to_local(s, b.pack.stamp_ns)};
    return r;
}

/* --- listing -------------------------------------------------------------------------------------------- */

struct listed {
    char *name;
    struct blob_info info;
};
struct pin_list {
    struct s3 *s;
    VEC(struct listed) v;
};

static int on_pin(void *arg, const struct api_entry *e, struct err *err)
{
    struct pin_list *l = arg;
    const char *rest = strncmp(e->key, "pins/", 5) == 0 ? e->key + 5 : "";
    if (!*rest || strlen(rest) > BLOB_NAME_MAX - 2)
        return 0;
    struct listed x = {mem_printf("p/%s", rest), {NULL, e->size_bytes, s3_to_local(l->s, e->stamp_ns)}};
    if (x.name && VEC_PUSH(&l->v, x))
        return 0;
    free(x.name);
    return err_nomem(err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct listed *)a)->name, ((const struct listed *)b)->name);
}

static int list_pins(struct s3 *s, const char *prefix, int (*each)(void *, const struct blob_info *, struct err *),
                     void *arg, struct err *err)
{
    struct pin_list l = {.s = s};
    char begin[S3_KEY];
    snprintf(begin, sizeof begin, "pins/%.160s", prefix + 2);
    int r = api_list(s, begin, NULL, on_pin, &l, err);
    if (l.v.len)
        qsort(l.v.v, l.v.len, sizeof *l.v.v, by_name);
    for (size_t i = 0; i < l.v.len; i++) {
        struct listed *x = &l.v.v[i];
        x->info.name = x->name;
        bool again = i && strcmp(l.v.v[i - 1].name, x->name) == 0;
        if (r == 0 && !again)
            r = each(arg, &x->info, err);
    }
    VEC_EACH(&l.v, x)
        free(x->name);
    VEC_RELEASE(&l.v);
    return r < 0 ? r : 0;
}

static int s3_list(struct store_backend *be, const char *prefix,
                   int (*each)(void *arg, const struct blob_info *info, struct err *err), void *arg,
                   struct err *err)
{
    struct s3 *s = s3_of(be);
    if (prefix[0] == 'p')
        return list_pins(s, prefix, each, arg, err);
    struct blob_row rows[128];
    char after[sizeof rows[0].name] = "";
    size_t n = ARRAY_LEN(rows);
    int r = s3_refresh(s, true, err);
    if (r == 0) /* a collection that does not know of all records would remove what they need */
        r = s3_all_readable(s, err);
    while (r == 0 && n == ARRAY_LEN(rows)) {
        r = index_blobs(s->index, prefix, after, rows, ARRAY_LEN(rows), &n, err);
        for (size_t i = 0; i < n && r == 0; i++) {
            struct blob_info info = {rows[i].name, rows[i].size_bytes, s3_to_local(s, rows[i].stamp_ns)};
            r = each(arg, &info, err);
        }
        if (n)
            memcpy(after, rows[n - 1].name, sizeof after);
    }
    return r < 0 ? r : 0;
}

/* --- the gate, which is not there ----------------------------------------------------------------------- */

static int gate_enter(struct store_backend *be, bool exclusive, struct err *err)
{
    return 0;
}

static void gate_leave(struct store_backend *be, bool exclusive)
{
}

static int collecting_set(struct store_backend *be, int64_t before_ns, struct err *err)
{
    return 0;
}

static int collecting_before(struct store_backend *be, int64_t *ret_ns, struct err *err)
{
    *ret_ns = 0;
    return 0;
}

static int session_begin(struct store_backend *be, bool all, int64_t *ret_start_ns, struct err *err)
{
    struct s3 *s = s3_of(be);
    pthread_mutex_lock(&s->refresh_lock);
    bool stale = os_mono_ns() - s->refreshed_ns > SESSION_REFRESH_NS || !s->refreshed_ns;
    pthread_mutex_unlock(&s->refresh_lock);
    int r = stale ? s3_refresh(s, false, err) : 0;
    if (r < 0)
        return r;
    pthread_mutex_lock(&s->lock);
    r = sessions_begin(&s->sessions, all, ret_start_ns, err);
    pthread_mutex_unlock(&s->lock);
    return r;
}

static void session_end(struct store_backend *be, int64_t start_ns)
{
    struct s3 *s = s3_of(be);
    pthread_mutex_lock(&s->lock);
    (void)sessions_end(&s->sessions, start_ns);
    pthread_mutex_unlock(&s->lock);
    s3_lease_end(s);
}

static int64_t grace_min(struct store_backend *be)
{
    return s3_of(be)->grace_min_ms;
}

static int64_t renew_after(struct store_backend *be)
{
    return s3_of(be)->grace_min_ms * NS_PER_MS / 6;
}

/* --- open ----------------------------------------------------------------------------------------------- */

static void backend_free(struct store_backend *be)
{
    struct s3 *s = s3_of(be);
    pool_free(s->pool);
    s3_http_free(s->http);
    index_close(s->index);
    cache_close(s->cache);
    keyring_clear(&s->keys);
    pthread_mutex_destroy(&s->refresh_lock);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->room);
    free(s->prefix);
    free(s->bucket);
    free(s->key_file);
    free(s);
}

static const struct store_ops s3_ops = {
    .name = "s3",
    .shared = true,
    .renew_after_ns = renew_after,
    .batch_new = s3_batch_new,
    .batch_class = s3_batch_class,
    .batch_add = s3_batch_add,
    .batch_commit = s3_batch_commit,
    .batch_pending = s3_batch_pending,
    .batch_free = s3_batch_free,
    .get = s3_get,
    .show = s3_show,
    .expect = s3_expect,
    .stat = s3_stat,
    .touch = s3_touch,
    .remove = s3_remove,
    .set_aside = s3_set_aside,
    .list = s3_list,
    .gate_enter = gate_enter,
    .gate_leave = gate_leave,
    .collecting_set = collecting_set,
    .collecting_before = collecting_before,
    .session_begin = session_begin,
    .session_end = session_end,
    .session_oldest = s3_session_oldest,
    .grace_min_ms = grace_min,
    .sweep = s3_sweep,
    .rekey = s3_rekey,
    .free = backend_free,
};

/* Keys need no encoding: letters, digits, "-", "_" and "."; "/" between parts and at the end. */
static int check_prefix(const char *prefix, struct err *err)
{
    size_t n = strlen(prefix);
    if (!n)
        return 0;
    if (n > 100 || strspn(prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./") != n ||
        prefix[0] == '/' || prefix[n - 1] != '/' || strstr(prefix, "//") || strstr(prefix, ".."))
        return err_set(err, ERR_INVALID, "'%.100s' is no prefix of keys: say 'team/project/'", prefix);
    return 0;
}

/* What the index is of: so that one cache folder may serve several stores. */
static int open_cache(struct s3 *s, const struct s3_options *o, struct err *err)
{
    struct digest d;
    char hex[DIGEST_HEX + 1];
    _cleanup_free_ char *identity = mem_printf("%s %s %s", o->endpoint ? o->endpoint : "", o->bucket, s->prefix);
    int r = identity ? digest_of(identity, strlen(identity), &d, err) : err_nomem(err);
    if (r < 0)
        return r;
    digest_hex(&d, hex);
    _cleanup_free_ char *dir = mem_printf("%s/s3-%.16s", o->cache_dir, hex);
    _cleanup_free_ char *packs = dir ? os_path_join(dir, "packs") : NULL, *db = dir ? os_path_join(dir, "index.db") : NULL;
    r = packs && db ? os_mkdirs(dir, 0700, err) : err_nomem(err);
    uint64_t max = o->cache_max_bytes ? o->cache_max_bytes : (uint64_t)10 << 30;
    uint64_t small = max / 4 < SMALL_TOTAL ? max / 4 : SMALL_TOTAL;
    int64_t ttl_ms = o->cache_ttl_ms ? o->cache_ttl_ms : INT64_C(7) * 24 * 3600 * 1000;
    if (r == 0)
        r = cache_open(packs, max - small, ttl_ms, MEMORY_BYTES, &s->cache, err);
    if (r == 0 && (r = index_open(db, hex, (int64_t)small, &s->index, err)) < 0)
        return WRAP(r, err, "cache folder %s", dir);
    return r;
}

int backend_s3_open(const struct s3_options *o, struct store_backend **ret, struct err *err)
{
    const char *prefix = o->prefix ? o->prefix : "";
    int r = check_prefix(prefix, err);
    if (r < 0)
        return r;
    struct s3 *s = mem_zalloc(sizeof *s);
    if (!s)
        return err_nomem(err);
    /* Packs come and go in many threads: unless their memory goes back at once, each thread's arena keeps some, and
     * an upload holds half as much again. */
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    s->base.ops = &s3_ops;
    pthread_mutex_init(&s->refresh_lock, NULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->room, NULL);
    s->queue_tail = &s->queue;
    s->parallel = !o->parallel ? 8 : o->parallel < 64 ? o->parallel : 64;
    s->pack_bytes = !o->pack_bytes ? (size_t)4 << 20 : o->pack_bytes < S3_PACK_HARD_MAX ? o->pack_bytes : S3_PACK_HARD_MAX;
    s->grace_min_ms = !o->grace_min_ms ? INT64_C(3600) * 1000 : o->grace_min_ms > 0 ? o->grace_min_ms : 0;
    s->prefix = mem_strdup(prefix);
    s->bucket = mem_strdup(o->bucket ? o->bucket : "");
    s->key_file = o->key_file ? mem_strdup(o->key_file) : NULL;
    r = s->prefix && s->bucket && (s->key_file || !o->key_file) ? keyring_load(&s->keys, o->key_file, err) : err_nomem(err);
    if (r == 0)
        r = s3_http_new(o, &s->http, err);
    if (r == 0)
        r = pool_new(s->parallel, &s->pool, err);
    if (r == 0)
        r = open_cache(s, o, err);
    if (r < 0) {
        backend_free(&s->base);
        return r;
    }
    *ret = &s->base;
    return 0;
}

int store_open_s3(const struct s3_options *o, struct store **ret, struct err *err)
{
    struct store_backend *be;
    int r = backend_s3_open(o, &be, err);
    return r < 0 ? WRAP(r, err, "open the S3 store") : store_new(be, ret, err);
}

int s3_init(const struct s3_options *o, const struct s3_retention *keep, bool *ret_created, struct err *err)
{
    struct s3_http *h;
    struct s3_response res = {0};
    bool created = false;
    const char *prefix = o->prefix ? o->prefix : "";
    int r = check_prefix(prefix, err);
    if (r == 0)
        r = s3_http_new(o, &h, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *key = mem_printf("%sformat", prefix);
    r = key ? api_bucket_make(h, o->endpoint && *o->endpoint ? NULL : o->region, &created, err) : err_nomem(err);
    if (r == 0)
        r = api_bucket_expiry(h, prefix, keep, err);
    if (r == 0) { /* never over one that is there: what is in the bucket belongs to it */
        char id[27], text[64];
        os_ulid(id);
        int n = snprintf(text, sizeof text, S3_FORMAT "%s\n", id);
        struct s3_request head = {.method = "HEAD", .key = key};
        struct s3_request q = {.method = "PUT", .key = key, .headers = {"If-None-Match: *"}, .body = text,
                               .body_len = (size_t)n, .max_bytes = 64 << 10};
        r = s3_http_call(h, &head, &res, err);
        s3_response_release(&res);
        if (r == -ERR_NOT_FOUND) {
            r = s3_http_call(h, &q, &res, err);
            s3_response_release(&res);
            r = r == -ERR_EXISTS ? 0 : r;
        }
    }
    if (r == 0)
        r = api_bucket_private(h, prefix, key, err);
    s3_http_free(h);
    if (ret_created)
        *ret_created = created;
    return r < 0 ? WRAP(r, err, "bucket %s", o->bucket) : 0;
}
