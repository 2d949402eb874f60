#include "engine_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 8
#define SECTOR 512

struct bytes {
    uint8_t *data;
    size_t len;
};

/* A change that is not synced: a write, or a truncation to `at` (data NULL). */
struct change {
    size_t at, len;
    uint8_t *data;
};

struct file {
    char name[256], kept_name[256];
    bool used;
    struct bytes now, synced, kept;
    bool kept_used;
    struct change *changes;
    size_t changes_len;
};

static struct {
    pthread_mutex_t lock;
    struct file files[FILES_MAX];
    unsigned fail_ops;
    long fail_in;
    int fail_code;
    bool fail_sticky, failed;
    long power_in;
    uint64_t random;
    void (*hook)(void *);
    void *hook_arg;
    bool lost;
} v = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct handle {
    sqlite3_file base;
    struct file *f;
};

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

static void set_len(struct bytes *b, size_t len)
{
    b->data = need(realloc(b->data, len + 1));
    if (len > b->len)
        memset(b->data + b->len, 0, len - b->len);
    b->len = len;
}

static void put(struct bytes *b, size_t at, const void *data, size_t len)
{
    if (at + len > b->len)
        set_len(b, at + len);
    memcpy(b->data + at, data, len);
}

static void copy(struct bytes *to, const struct bytes *from)
{
    set_len(to, 0);
    to->len = 0;
    if (from->len)
        put(to, 0, from->data, from->len);
}

static void drop_changes(struct file *f)
{
    for (size_t i = 0; i < f->changes_len; i++)
        free(f->changes[i].data);
    free(f->changes);
    f->changes = NULL;
    f->changes_len = 0;
}

static uint64_t random_next(void)
{
    v.random ^= v.random << 13;
    v.random ^= v.random >> 7;
    v.random ^= v.random << 17;
    return v.random;
}

/* What was synced, and of each later write the sectors that fortune keeps. */
static void keep(struct file *f)
{
    f->kept_used = f->used;
    memcpy(f->kept_name, f->name, sizeof f->name);
    copy(&f->kept, &f->synced);
    for (size_t i = 0; i < f->changes_len; i++) {
        const struct change *c = &f->changes[i];
        if (!c->data) {
            if (random_next() & 1)
                set_len(&f->kept, c->at);
            continue;
        }
        for (size_t k = 0; k < c->len; k += SECTOR)
            if (random_next() & 1)
                put(&f->kept, c->at + k, c->data + k, c->len - k < SECTOR ? c->len - k : SECTOR);
    }
}

static int fails(enum vfs_op op)
{
    if (!(v.fail_ops & op) || (v.failed && !v.fail_sticky))
        return 0;
    if (!v.failed && (v.fail_in <= 0 || --v.fail_in > 0))
        return 0;
    v.failed = true;
    return v.fail_code;
}

static void may_lose_power(void)
{
    if (v.power_in <= 0 || --v.power_in > 0)
        return;
    for (int i = 0; i < FILES_MAX; i++)
        keep(&v.files[i]);
    v.lost = true;
    v.hook(v.hook_arg);
}

static struct file *file_of(sqlite3_file *h)
{
    return ((struct handle *)h)->f;
}

static int x_close(sqlite3_file *h)
{
    (void)h;
    return SQLITE_OK;
}

static int x_read(sqlite3_file *h, void *buf, int n, sqlite3_int64 at)
{
    pthread_mutex_lock(&v.lock);
    struct bytes *b = &file_of(h)->now;
    int rc = fails(VFS_READ);
    size_t have = (size_t)at < b->len ? b->len - (size_t)at : 0;
    if (have > (size_t)n)
        have = (size_t)n;
    if (!rc) {
        if (have)
            memcpy(buf, b->data + at, have);
        memset((char *)buf + have, 0, (size_t)n - have);
        rc = have < (size_t)n ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
    }
    pthread_mutex_unlock(&v.lock);
    return rc;
}

static void change(struct file *f, size_t at, const void *data, size_t len)
{
    f->changes = need(realloc(f->changes, (f->changes_len + 1) * sizeof *f->changes));
    struct change *c = &f->changes[f->changes_len++];
    *c = (struct change){.at = at, .len = len};
    if (data) {
        c->data = need(malloc(len));
        memcpy(c->data, data, len);
        put(&f->now, at, data, len);
    } else {
        set_len(&f->now, at);
    }
}

static int x_write(sqlite3_file *h, const void *buf, int n, sqlite3_int64 at)
{
    pthread_mutex_lock(&v.lock);
    int rc = fails(VFS_WRITE);
    if (!rc) {
        may_lose_power();
        change(file_of(h), (size_t)at, buf, (size_t)n);
    }
    pthread_mutex_unlock(&v.lock);
    return rc;
}

static int x_truncate(sqlite3_file *h, sqlite3_int64 len)
{
    pthread_mutex_lock(&v.lock);
    int rc = fails(VFS_TRUNCATE);
    if (!rc) {
        may_lose_power();
        change(file_of(h), (size_t)len, NULL, 0);
    }
    pthread_mutex_unlock(&v.lock);
    return rc;
}

static int x_sync(sqlite3_file *h, int flags)
{
    (void)flags;
    pthread_mutex_lock(&v.lock);
    struct file *f = file_of(h);
    int rc = fails(VFS_SYNC);
    if (!rc) {
        may_lose_power();
        copy(&f->synced, &f->now);
        drop_changes(f);
    }
    pthread_mutex_unlock(&v.lock);
    return rc;
}

static int x_size(sqlite3_file *h, sqlite3_int64 *ret)
{
    pthread_mutex_lock(&v.lock);
    *ret = (sqlite3_int64)file_of(h)->now.len;
    pthread_mutex_unlock(&v.lock);
    return SQLITE_OK;
}

static int x_lock(sqlite3_file *h, int level)
{
    (void)h;
    (void)level;
    return SQLITE_OK;
}

static int x_reserved(sqlite3_file *h, int *ret)
{
    (void)h;
    *ret = 0;
    return SQLITE_OK;
}

static int x_control(sqlite3_file *h, int op, void *arg)
{
    (void)h;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int x_sector(sqlite3_file *h)
{
    (void)h;
    return SECTOR;
}

static int x_traits(sqlite3_file *h)
{
    (void)h;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static struct file *find(const char *name, bool make)
{
    for (int i = 0; i < FILES_MAX; i++)
        if (v.files[i].used && strcmp(v.files[i].name, name) == 0)
            return &v.files[i];
    for (int i = 0; make && i < FILES_MAX; i++)
        if (!v.files[i].used) {
            v.files[i].used = true;
            snprintf(v.files[i].name, sizeof v.files[i].name, "%s", name);
            return &v.files[i];
        }
    return NULL;
}

static int x_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *h, int flags, int *out)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 1, .xClose = x_close, .xRead = x_read, .xWrite = x_write, .xTruncate = x_truncate,
        .xSync = x_sync, .xFileSize = x_size, .xLock = x_lock, .xUnlock = x_lock,
        .xCheckReservedLock = x_reserved, .xFileControl = x_control, .xSectorSize = x_sector,
        .xDeviceCharacteristics = x_traits};
    (void)vfs;
    pthread_mutex_lock(&v.lock);
    struct handle *handle = (struct handle *)h;
    int rc = fails(VFS_OPEN);
    handle->base.pMethods = NULL;
    handle->f = rc ? NULL : find(name ? name : "temporary", flags & SQLITE_OPEN_CREATE);
    if (!rc && !handle->f)
        rc = SQLITE_CANTOPEN;
    if (!rc)
        handle->base.pMethods = &methods;
    if (out)
        *out = flags;
    pthread_mutex_unlock(&v.lock);
    return rc;
}

static int x_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    (void)sync;
    pthread_mutex_lock(&v.lock);
    struct file *f = find(name, false);
    if (f) {
        set_len(&f->now, 0);
        set_len(&f->synced, 0);
        drop_changes(f);
        f->used = false;
    }
    pthread_mutex_unlock(&v.lock);
    return SQLITE_OK;
}

static int x_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    (void)vfs;
    (void)flags;
    pthread_mutex_lock(&v.lock);
    *ret = find(name, false) != NULL;
    pthread_mutex_unlock(&v.lock);
    return SQLITE_OK;
}

static int x_path(sqlite3_vfs *vfs, const char *name, int n, char *out)
{
    (void)vfs;
    snprintf(out, (size_t)n, "%s", name);
    return SQLITE_OK;
}

void vfs_init(void)
{
    static sqlite3_vfs vfs;
    if (vfs.zName)
        return;
    const sqlite3_vfs *base = sqlite3_vfs_find(NULL);
    vfs = *base;
    vfs.iVersion = 1;
    vfs.zName = TEST_VFS;
    vfs.szOsFile = sizeof(struct handle);
    vfs.mxPathname = 250;
    vfs.pNext = NULL;
    vfs.xOpen = x_open;
    vfs.xDelete = x_delete;
    vfs.xAccess = x_access;
    vfs.xFullPathname = x_path;
    if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
        abort();
}

void vfs_clear(void)
{
    pthread_mutex_lock(&v.lock);
    for (int i = 0; i < FILES_MAX; i++) {
        struct file *f = &v.files[i];
        drop_changes(f);
        free(f->now.data);
        free(f->synced.data);
        free(f->kept.data);
        memset(f, 0, sizeof *f);
    }
    v.fail_ops = 0;
    v.power_in = 0;
    v.failed = v.lost = false;
    pthread_mutex_unlock(&v.lock);
}

void vfs_fail(unsigned ops, long n, int code, bool sticky)
{
    pthread_mutex_lock(&v.lock);
    v.fail_ops = n ? ops : 0;
    v.fail_in = n;
    v.fail_code = code;
    v.fail_sticky = sticky;
    v.failed = false;
    pthread_mutex_unlock(&v.lock);
}

bool vfs_failed(void)
{
    pthread_mutex_lock(&v.lock);
    bool r = v.failed;
    pthread_mutex_unlock(&v.lock);
    return r;
}

void vfs_lose_power(long n, uint64_t seed, void (*hook)(void *arg), void *arg)
{
    pthread_mutex_lock(&v.lock);
    v.power_in = n;
    v.random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    v.hook = hook;
    v.hook_arg = arg;
    v.lost = false;
    pthread_mutex_unlock(&v.lock);
}

bool vfs_power_lost(void)
{
    pthread_mutex_lock(&v.lock);
    bool r = v.lost;
    pthread_mutex_unlock(&v.lock);
    return r;
}

void vfs_restore(void)
{
    pthread_mutex_lock(&v.lock);
    for (int i = 0; i < FILES_MAX; i++) {
        struct file *f = &v.files[i];
        drop_changes(f);
        f->used = f->kept_used;
        memcpy(f->name, f->kept_name, sizeof f->name);
        copy(&f->now, &f->kept);
        copy(&f->synced, &f->kept);
    }
    pthread_mutex_unlock(&v.lock);
}
