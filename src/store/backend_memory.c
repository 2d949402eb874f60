/* The in-memory twin of the back ends: the same contract, nothing on disk. For tests, and as the
 * shortest description of what a back end does. */
#include "store/backend.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "os/clock.h"
#include "os/fault.h"
#include "store/sessions.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct blob {
    char *data;
    size_t len;
    int64_t stamp_ns;
    unsigned classes; /* of a record: bits by enum store_class */
};

struct memory {
    struct store_backend base;
    pthread_rwlock_t gate;
    pthread_mutex_t lock;
    struct map blobs; /* name -> struct blob * */
    int64_t collecting_ns; /* guarded by gate */
    struct sessions sessions;
};

struct pending {
    char *name;
    struct blob *blob;
};
struct store_batch {
    pthread_mutex_t lock;
    VEC(struct pending) v;
    size_t bytes;
    enum store_class class;
};

static struct memory *memory_of(struct store_backend *be)
{
    return (struct memory *)be;
}

static void blob_free(struct blob *b)
{
    if (b)
        free(b->data);
    free(b);
}

static int batch_new(struct store_backend *be, struct store_batch **ret, struct err *err)
{
    struct store_batch *b = mem_zalloc(sizeof *b);
    if (!b)
        return err_nomem(err);
    pthread_mutex_init(&b->lock, NULL);
    *ret = b;
    return 0;
}

static void batch_class(struct store_batch *b, enum store_class class)
{
    b->class = class;
}

static int batch_add(struct store_batch *b, const char *name, const void *data, size_t len,
                     struct err *err)
{
    int e = os_fault("write");
    if (e)
        return err_sys(err, e, "write %s", name);
    struct pending p = {mem_strdup(name), mem_zalloc(sizeof *p.blob)};
    if (p.blob) {
        p.blob->data = mem_dup(data, len);
        p.blob->len = len;
    }
    bool ok = p.name && p.blob && p.blob->data;
    if (ok) {
        pthread_mutex_lock(&b->lock);
        ok = VEC_PUSH(&b->v, p);
        b->bytes += len;
        pthread_mutex_unlock(&b->lock);
    }
    if (ok)
        return 0;
    free(p.name);
    blob_free(p.blob);
    return err_nomem(err);
}

static void batch_drop(struct store_batch *b)
{
    VEC_EACH(&b->v, p)
    {
        free(p->name);
        blob_free(p->blob);
    }
    VEC_CLEAR(&b->v);
    b->bytes = 0;
}

/* Puts those of one kind; a set value that cannot be stored leaves the rest out, as a failed disk
 * would. */
static int put_kind(struct memory *m, struct store_batch *b, bool records, struct err *err)
{
    VEC_EACH(&b->v, p)
    {
        if ((p->name[0] == 'o') != records)
            continue;
        void *old = NULL;
        const struct blob *before = map_get(&m->blobs, p->name);
        p->blob->stamp_ns = os_now_ns();
        p->blob->classes = 1U << b->class | (before ? before->classes : 0);
        if (!map_setn(&m->blobs, p->name, strlen(p->name), p->blob, &old))
            return err_nomem(err);
        p->blob = NULL;
        blob_free(old);
    }
    return 0;
}

static int batch_commit(struct store_backend *be, struct store_batch *const *b, size_t n,
                        struct err *err)
{
    struct memory *m = memory_of(be);
    int e = os_fault("fsync"), r = e ? err_sys(err, e, "fsync") : 0;
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < n && r == 0; i++)
        r = put_kind(m, b[i], false, err);
    for (size_t i = 0; i < n && r == 0; i++)
        r = put_kind(m, b[i], true, err);
    pthread_mutex_unlock(&m->lock);
    for (size_t i = 0; i < n; i++)
        batch_drop(b[i]);
    return r;
}

static void batch_pending(struct store_batch *b, size_t *ret_blobs, size_t *ret_bytes)
{
    pthread_mutex_lock(&b->lock);
    *ret_blobs = b->v.len;
    *ret_bytes = b->bytes;
    pthread_mutex_unlock(&b->lock);
}

static void batch_free(struct store_batch *b)
{
    if (!b)
        return;
    batch_drop(b);
    VEC_RELEASE(&b->v);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static int memory_get(struct store_backend *be, const char *name, size_t max, char **ret,
                      size_t *ret_len, struct err *err)
{
    struct memory *m = memory_of(be);
    int e = os_fault("read");
    if (e)
        return err_sys(err, e, "read %s", name);
    pthread_mutex_lock(&m->lock);
    struct blob *b = map_get(&m->blobs, name);
    int r = 0;
    char *p = b && b->len <= max ? mem_alloc(b->len + 1) : NULL;
    if (!b)
        r = err_set(err, ERR_NOT_FOUND, "%s is not in the store", name);
    else if (b->len > max)
        r = err_set(err, ERR_LIMIT, "%s is over %zu bytes", name, max);
    else if (!p)
        r = err_nomem(err);
    else {
        memcpy(p, b->data, b->len);
        p[b->len] = 0;
        *ret = p;
        *ret_len = b->len;
    }
    pthread_mutex_unlock(&m->lock);
    return r;
}

static int memory_stat(struct store_backend *be, const char *name, enum store_class class, struct blob_info *ret, struct err *err)
{
    struct memory *m = memory_of(be);
    pthread_mutex_lock(&m->lock);
    struct blob *b = map_get(&m->blobs, name);
    if (b && name[0] == 'o' && class != STORE_ANY && !(b->classes & 1U << class))
        b = NULL;
    if (b)
        *ret = (struct blob_info){name, b->len, b->stamp_ns};
    pthread_mutex_unlock(&m->lock);
    if (!b && err)
        err->code = ERR_NOT_FOUND;
    return b ? 0 : -ERR_NOT_FOUND;
}

static int memory_touch(struct store_backend *be, const char *name, enum store_class class, struct err *err)
{
    struct memory *m = memory_of(be);
    pthread_mutex_lock(&m->lock);
    struct blob *b = map_get(&m->blobs, name);
    if (b)
        b->stamp_ns = os_now_ns();
    pthread_mutex_unlock(&m->lock);
    return b ? 0 : err_set(err, ERR_NOT_FOUND, "%s is not in the store", name);
}

static int memory_remove(struct store_backend *be, const char *const *names, size_t n, int64_t before_ns, struct err *err)
{
    struct memory *m = memory_of(be);
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < n; i++)
        blob_free(map_remove(&m->blobs, names[i]));
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static int memory_set_aside(struct store_backend *be, const char *name, struct err *err)
{
    return memory_remove(be, &name, 1, 0, err);
}

struct listed {
    char *name;
    struct blob_info info;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct listed *)a)->name, ((const struct listed *)b)->name);
}

static int memory_list(struct store_backend *be, const char *prefix,
                       int (*each)(void *arg, const struct blob_info *info, struct err *err),
                       void *arg, struct err *err)
{
    struct memory *m = memory_of(be);
    VEC(struct listed) v = {0};
    int r = 0;
    pthread_mutex_lock(&m->lock);
    MAP_EACH(&m->blobs, e)
    {
        struct blob *b = e->value;
        if (r < 0 || strncmp(e->key, prefix, strlen(prefix)) != 0)
            continue;
        char *name = mem_strdup(e->key);
        struct listed x = {name, {name, b->len, b->stamp_ns}};
        if (!name || !VEC_PUSH(&v, x)) {
            free(name);
            r = err_nomem(err);
        }
    }
    pthread_mutex_unlock(&m->lock);
    if (v.len)
        qsort(v.v, v.len, sizeof *v.v, by_name);
    VEC_EACH(&v, x)
    {
        if (r == 0)
            r = each(arg, &x->info, err);
        free(x->name);
    }
    VEC_RELEASE(&v);
    return r < 0 ? r : 0;
}

static int gate_enter(struct store_backend *be, bool exclusive, struct err *err)
{
    if (exclusive)
        pthread_rwlock_wrlock(&memory_of(be)->gate);
    else
        pthread_rwlock_rdlock(&memory_of(be)->gate);
    return 0;
}

static void gate_leave(struct store_backend *be, bool exclusive)
{
    pthread_rwlock_unlock(&memory_of(be)->gate);
}

static int collecting_set(struct store_backend *be, int64_t before_ns, struct err *err)
{
    memory_of(be)->collecting_ns = before_ns;
    return 0;
}

static int collecting_before(struct store_backend *be, int64_t *ret_ns, struct err *err)
{
    *ret_ns = memory_of(be)->collecting_ns;
    return 0;
}

static int session_begin(struct store_backend *be, bool all, int64_t *ret_start_ns, struct err *err)
{
    struct memory *m = memory_of(be);
    pthread_mutex_lock(&m->lock);
    int r = sessions_begin(&m->sessions, all, ret_start_ns, err);
    pthread_mutex_unlock(&m->lock);
    return r;
}

static void session_end(struct store_backend *be, int64_t start_ns)
{
    struct memory *m = memory_of(be);
    pthread_mutex_lock(&m->lock);
    (void)sessions_end(&m->sessions, start_ns);
    pthread_mutex_unlock(&m->lock);
}

static int session_oldest(struct store_backend *be, bool others, int64_t *ret_ns, struct err *err)
{
    struct memory *m = memory_of(be);
    pthread_mutex_lock(&m->lock);
    *ret_ns = sessions_oldest(&m->sessions, others);
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static int sweep(struct store_backend *be, uint64_t *ret_bytes, struct err *err)
{
    *ret_bytes = 0;
    return 0;
}

static void memory_free(struct store_backend *be)
{
    struct memory *m = memory_of(be);
    MAP_EACH(&m->blobs, e)
        blob_free(e->value);
    map_release(&m->blobs);
    pthread_rwlock_destroy(&m->gate);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static const struct store_ops memory_ops = {
    .name = "memory",
    .batch_new = batch_new,
    .batch_class = batch_class,
    .batch_add = batch_add,
    .batch_commit = batch_commit,
    .batch_pending = batch_pending,
    .batch_free = batch_free,
    .get = memory_get,
    .stat = memory_stat,
    .touch = memory_touch,
    .remove = memory_remove,
    .set_aside = memory_set_aside,
    .list = memory_list,
    .gate_enter = gate_enter,
    .gate_leave = gate_leave,
    .collecting_set = collecting_set,
    .collecting_before = collecting_before,
    .session_begin = session_begin,
    .session_end = session_end,
    .session_oldest = session_oldest,
    .sweep = sweep,
    .free = memory_free,
};

int backend_memory_open(struct store_backend **ret, struct err *err)
{
    struct memory *m = mem_zalloc(sizeof *m);
    if (!m)
        return err_nomem(err);
    m->base.ops = &memory_ops;
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&m->gate, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&m->lock, NULL);
    *ret = &m->base;
    return 0;
}
