/* An SQLite VFS whose write-ahead logs are written in one piece.
 *
 * SQLite writes a log page by page, and a header before each: 40 system calls for a transaction of 20 pages, none of which
 * means anything before the sync behind them. Here they gather until that sync, or until the log is read or grows too much.
 * All other files are the base VFS's own. */
#include "os/sqlite_log.h"

#include "base/mem.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST ((size_t)16 << 10)
#define MOST ((size_t)256 << 10) /* gathered bytes */
#define PIECE ((size_t)96 << 10) /* SQLite's own VFS fails at writes of a multiple of 128 KB */
#define NAME_MAX_ 64
#define BASES_MAX 4

struct log_vfs {
    sqlite3_vfs vfs; /* first */
    sqlite3_vfs *base;
    char name[NAME_MAX_];
};

/* What was written at [at, at + len) and is not in the base's file yet. If it cannot be handed on, it stays: as if the
 * file had been written to, but for the error. */
struct log_file {
    sqlite3_file file; /* first */
    uint8_t *data;
    size_t len, cap;
    sqlite3_int64 at;
    sqlite3_file real[]; /* the base's, larger than this */
};

static int hand_on(struct log_file *f)
{
    int rc = SQLITE_OK;
    for (size_t done = 0, n; rc == SQLITE_OK && done < f->len; done += n) {
        n = f->len - done < PIECE ? f->len - done : PIECE;
        rc = f->real->pMethods->xWrite(f->real, f->data + done, (int)n, f->at + (sqlite3_int64)done);
    }
    if (rc == SQLITE_OK)
        f->len = 0;
    return rc;
}

static bool make_room(struct log_file *f, size_t len)
{
    size_t cap = f->cap ? f->cap : FIRST;
    while (cap < len)
        cap *= 2;
    if (cap == f->cap)
        return true;
    uint8_t *p = cap > MOST ? NULL : mem_realloc(f->data, cap);
    if (!p)
        return false;
    f->data = p;
    f->cap = cap;
    return true;
}

static int x_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
    struct log_file *f = (struct log_file *)file;
    if (f->len && (at < f->at || at > f->at + (sqlite3_int64)f->len || !make_room(f, (size_t)(at - f->at) + (size_t)n))) {
        int rc = hand_on(f);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (!f->len) {
        if (!make_room(f, (size_t)n))
            return f->real->pMethods->xWrite(f->real, data, n, at);
        f->at = at;
    }
    size_t from = (size_t)(at - f->at), end = from + (size_t)n;
    memcpy(f->data + from, data, (size_t)n);
    if (end > f->len)
        f->len = end;
    return SQLITE_OK;
}

static int x_read(sqlite3_file *file, void *data, int n, sqlite3_int64 at)
{
    struct log_file *f = (struct log_file *)file;
    bool apart = !f->len || at + n <= f->at || at >= f->at + (sqlite3_int64)f->len;
    int rc = apart ? SQLITE_OK : hand_on(f);
    return rc != SQLITE_OK ? rc : f->real->pMethods->xRead(f->real, data, n, at);
}

static int x_sync(sqlite3_file *file, int flags)
{
    struct log_file *f = (struct log_file *)file;
    int rc = hand_on(f);
    return rc != SQLITE_OK ? rc : f->real->pMethods->xSync(f->real, flags);
}

static int x_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct log_file *f = (struct log_file *)file;
    int rc = hand_on(f);
    return rc != SQLITE_OK ? rc : f->real->pMethods->xTruncate(f->real, size);
}

static int x_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    struct log_file *f = (struct log_file *)file;
    int rc = hand_on(f);
    return rc != SQLITE_OK ? rc : f->real->pMethods->xFileSize(f->real, ret);
}

static int x_close(sqlite3_file *file)
{
    struct log_file *f = (struct log_file *)file;
    int rc = hand_on(f), closed = f->real->pMethods->xClose(f->real);
    free(f->data);
    return rc != SQLITE_OK ? rc : closed;
}

static int x_lock(sqlite3_file *file, int lock)
{
    struct log_file *f = (struct log_file *)file;
    return f->real->pMethods->xLock(f->real, lock);
}

static int x_unlock(sqlite3_file *file, int lock)
{
    struct log_file *f = (struct log_file *)file;
    return f->real->pMethods->xUnlock(f->real, lock);
}

static int x_reserved(sqlite3_file *file, int *ret)
{
    struct log_file *f = (struct log_file *)file;
    return f->real->pMethods->xCheckReservedLock(f->real, ret);
}

static int x_control(sqlite3_file *file, int op, void *arg)
{
    struct log_file *f = (struct log_file *)file;
    return f->real->pMethods->xFileControl(f->real, op, arg);
}

static int x_sector(sqlite3_file *file)
{
    struct log_file *f = (struct log_file *)file;
    return f->real->pMethods->xSectorSize(f->real);
}

static int x_traits(sqlite3_file *file)
{
    struct log_file *f = (struct log_file *)file;
    return f->real->pMethods->xDeviceCharacteristics(f->real);
}

static int x_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 1, .xClose = x_close, .xRead = x_read, .xWrite = x_write, .xTruncate = x_truncate, .xSync = x_sync,
        .xFileSize = x_size, .xLock = x_lock, .xUnlock = x_unlock, .xCheckReservedLock = x_reserved, .xFileControl = x_control,
        .xSectorSize = x_sector, .xDeviceCharacteristics = x_traits};
    sqlite3_vfs *base = ((struct log_vfs *)vfs)->base;
    if (!(flags & SQLITE_OPEN_WAL))
        return base->xOpen(base, name, file, flags, ret_flags);
    struct log_file *f = (struct log_file *)file;
    *f = (struct log_file){0};
    f->real->pMethods = NULL;
    int rc = base->xOpen(base, name, f->real, flags, ret_flags);
    if (f->real->pMethods) /* also after a failure it wants to be closed then */
        f->file.pMethods = &methods;
    return rc;
}

const char *sqlite_log_vfs(const char *base_name)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct log_vfs all[BASES_MAX];
    sqlite3_vfs *base = sqlite3_initialize() == SQLITE_OK ? sqlite3_vfs_find(base_name) : NULL;
    struct log_vfs *v = all;
    if (!base)
        return base_name;
    pthread_mutex_lock(&lock);
    while (v < all + BASES_MAX && v->base && v->base != base)
        v++;
    if (v < all + BASES_MAX && !v->base) {
        v->vfs = *base;
        snprintf(v->name, sizeof v->name, "%s+log", base->zName);
        v->vfs.zName = v->name;
        v->vfs.pNext = NULL;
        v->vfs.szOsFile = (int)sizeof(struct log_file) + base->szOsFile;
        v->vfs.xOpen = x_open;
        if (sqlite3_vfs_register(&v->vfs, 0) == SQLITE_OK)
            v->base = base;
    }
    const char *name = v < all + BASES_MAX && v->base == base ? v->name : base_name;
    pthread_mutex_unlock(&lock);
    return name;
}
