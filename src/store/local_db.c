#include "store/local_db.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "codec/uri.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/file.h"
#include "os/sqlite.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define APPLICATION_ID 0x46465354 /* "FFST" */
#define BUSY_MS 20000

enum stmt_id {
    S_BEGIN,
    S_COMMIT,
    S_ROLLBACK,
    S_PUT,
    S_PUT_PACKED,
    S_TOUCH,
    S_TOUCH_PACKED,
    S_REMOVE,
    S_REMOVE_PACKED,
    S_HAS,
    S_WRITE_COUNT
};
static const char *const write_sql[S_WRITE_COUNT] = {
    [S_BEGIN] = "BEGIN IMMEDIATE",
    [S_COMMIT] = "COMMIT",
    [S_ROLLBACK] = "ROLLBACK",
    [S_PUT] = "INSERT INTO blob(name, stamp, data) VALUES(?1, ?2, ?3)"
              " ON CONFLICT(name) DO UPDATE SET stamp = ?2, data = ?3",
    [S_PUT_PACKED] = "INSERT INTO packed(name, stamp, pack, at, len) VALUES(?1, ?2, ?3, ?4, ?5)",
    [S_TOUCH] = "UPDATE blob SET stamp = ?2 WHERE name = ?1",
    [S_TOUCH_PACKED] = "UPDATE packed SET stamp = ?2 WHERE name = ?1",
    [S_REMOVE] = "DELETE FROM blob WHERE name = ?1",
    [S_REMOVE_PACKED] = "DELETE FROM packed WHERE name = ?1 RETURNING pack, at, len",
    [S_HAS] = "SELECT 1 FROM blob WHERE name = ?1",
};
enum { R_GET, R_STAT, R_PAGE, R_FIND, R_PAGE_PACKED, R_USED, R_CLASS, R_COUNT };
static const char *const read_sql[R_COUNT] = {
    [R_GET] = "SELECT data FROM blob WHERE name = ?1",
    [R_STAT] = "SELECT length(data), stamp FROM blob WHERE name = ?1",
    [R_PAGE] = "SELECT name, length(data), stamp FROM blob WHERE name > ?1 AND name < ?2"
               " ORDER BY name LIMIT ?3",
    [R_FIND] = "SELECT pack, at, len, stamp FROM packed WHERE name = ?1",
    [R_PAGE_PACKED] = "SELECT name, len, stamp FROM packed WHERE name > ?1 AND name < ?2"
                      " ORDER BY name LIMIT ?3",
    [R_USED] = "SELECT EXISTS(SELECT 1 FROM packed WHERE pack = ?1)",
    [R_CLASS] = "SELECT EXISTS(SELECT 1 FROM blob WHERE name = 'k' || substr(?1, 2)),"
                " EXISTS(SELECT 1 FROM blob WHERE name = 'r' || substr(?1, 2))",
};

struct request {
    struct db_op *ops;
    size_t n;
    bool durable, done;
    int r;
    struct err err;
    struct request *next;
};

struct local_db {
    sqlite3 *writer, *reader;
    sqlite3_stmt *ws[S_WRITE_COUNT], *rs[R_COUNT];
    pthread_mutex_t read_lock;
    /* Group commit. */
    pthread_mutex_t queue_lock;
    pthread_cond_t queue_done;
    struct request *queue, **queue_tail;
    bool leading;
    int64_t since_ns; /* that it leads */
    int synchronous; /* what the writer is set to: 1 NORMAL, 2 FULL */
};

static int db_error(struct err *err, sqlite3 *db, int rc, const char *doing)
{
    enum err_code code = os_sqlite_code(rc);
    int sys = db ? sqlite3_system_errno(db) : 0;
    if ((code == ERR_IO || (rc & 0xff) == SQLITE_CANTOPEN) && sys)
        code = err_from_errno(sys);
    if (code == ERR_NOT_FOUND) /* of the store's own file: not that of what was asked for */
        code = ERR_IO;
    err_set(err, code, "%s: %s", doing, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    if (err)
        err->sys = rc;
    return -(int)code;
}

static int exec(sqlite3 *db, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : db_error(err, db, rc, "index of the store");
}

static int open_one(const char *path, int flags, sqlite3 **ret, struct err *err)
{
    int e = os_fault("open");
    if (e)
        return err_sys(err, e, "open %s", path);
    int rc = sqlite3_open_v2(path, ret, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        int r = db_error(err, *ret, rc, path);
        sqlite3_close(*ret);
        *ret = NULL;
        return r;
    }
    sqlite3_busy_timeout(*ret, BUSY_MS);
    sqlite3_db_config(*ret, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(*ret, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return exec(*ret, "PRAGMA cache_size = -1024; PRAGMA cell_size_check = ON", err);
}

static int user_version(sqlite3 *db, int *ret, struct err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : db_error(err, db, rc, "index of the store");
}

static int make_schema(sqlite3 *db, struct err *err)
{
    int version = 0;
    int r = user_version(db, &version, err);
    if (r < 0 || version == STORE_LOCAL_SCHEMA)
        return r;
    if (version > STORE_LOCAL_SCHEMA)
        return err_set(err, ERR_STATE,
                       "the store was made by a newer version (%d, this one knows %d)",
                       version, STORE_LOCAL_SCHEMA);
    r = exec(db, "PRAGMA journal_mode = WAL", err);
    char sql[1024];
    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE;"
             "CREATE TABLE IF NOT EXISTS blob(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
             " stamp INTEGER NOT NULL, data BLOB NOT NULL);"
             "CREATE TABLE IF NOT EXISTS packed(name TEXT PRIMARY KEY, pack TEXT NOT NULL,"
             " at INTEGER NOT NULL, len INTEGER NOT NULL, stamp INTEGER NOT NULL) WITHOUT ROWID;"
             "CREATE INDEX IF NOT EXISTS packed_of ON packed(pack);"
             "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             APPLICATION_ID, STORE_LOCAL_SCHEMA);
    return r < 0 ? r : exec(db, sql, err);
}

static int prepare(sqlite3 *db, const char *const *sql, sqlite3_stmt **ret, int n, struct err *err)
{
    for (int i = 0; i < n; i++) {
        int rc = sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &ret[i], NULL);
        if (rc != SQLITE_OK)
            return db_error(err, db, rc, "index of the store");
    }
    return 0;
}

static struct local_db *new_db(void)
{
    struct local_db *db = mem_zalloc(sizeof *db);
    if (!db)
        return NULL;
    pthread_mutex_init(&db->read_lock, NULL);
    pthread_mutex_init(&db->queue_lock, NULL);
    pthread_cond_init(&db->queue_done, NULL);
    db->queue_tail = &db->queue;
    db->synchronous = 2;
    return db;
}

/* Where a writer is or was killed, its index of the WAL is there, and SQLite reads by it. Where not,
 * none can be made: then nobody writes, and no locks are needed; nor must a WAL be looked for that is
 * not there. */
static int open_reader(const char *path, sqlite3 **ret, struct err *err)
{
    int version;
    int r = open_one(path, SQLITE_OPEN_READONLY, ret, err);
    if (r == 0 && user_version(*ret, &version, NULL) == 0)
        return version == STORE_LOCAL_SCHEMA
                   ? 0
                   : err_set(err, ERR_STATE, "the store has version %d, this program reads %d", version, STORE_LOCAL_SCHEMA);
    sqlite3_close(*ret);
    *ret = NULL;
    _cleanup_(strbuf_release) struct strbuf uri = STRBUF_INIT;
    _cleanup_free_ char *wal = mem_printf("%s-wal", path);
    strbuf_puts(&uri, "file:");
    uri_append_file(&uri, path);
    strbuf_puts(&uri, wal && os_exists(wal) ? "?vfs=unix-none" : "?immutable=1");
    r = wal ? strbuf_check(&uri, err) : err_nomem(err);
    if (r == 0)
        r = open_one(uri.s, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, ret, err);
    if (r == 0)
        r = exec(*ret, "PRAGMA locking_mode=EXCLUSIVE", err);
    return r < 0 ? r : user_version(*ret, &version, err);
}

int local_db_open_read_only(const char *path, struct local_db **ret, struct err *err)
{
    struct local_db *db = new_db();
    if (!db)
        return err_nomem(err);
    int version = 0;
    int r = open_reader(path, &db->reader, err);
    if (r == 0)
        r = user_version(db->reader, &version, err);
    if (r == 0 && version < 2) /* it has no packs, and cannot be given the table */
        r = exec(db->reader,
                 "PRAGMA temp_store = MEMORY;"
                 "CREATE TEMP TABLE packed(name TEXT, pack TEXT, at INTEGER, len INTEGER, stamp INTEGER)",
                 err);
    if (r == 0)
        r = prepare(db->reader, read_sql, db->rs, R_COUNT, err);
    if (r < 0) {
        local_db_close(db);
        return r;
    }
    *ret = db;
    return 0;
}

int local_db_open(const char *path, struct local_db **ret, struct err *err)
{
    struct local_db *db = new_db();
    if (!db)
        return err_nomem(err);
    int r = open_one(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &db->writer, err);
    if (r == 0)
        r = make_schema(db->writer, err);
    if (r == 0)
        r = exec(db->writer, "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 4194304", err);
    if (r == 0)
        r = prepare(db->writer, write_sql, db->ws, S_WRITE_COUNT, err);
    if (r == 0)
        r = open_one(path, SQLITE_OPEN_READWRITE, &db->reader, err);
    if (r == 0)
        r = prepare(db->reader, read_sql, db->rs, R_COUNT, err);
    if (r < 0) {
        local_db_close(db);
        return r;
    }
    *ret = db;
    return 0;
}

void local_db_close(struct local_db *db)
{
    if (!db)
        return;
    for (int i = 0; i < S_WRITE_COUNT; i++)
        sqlite3_finalize(db->ws[i]);
    for (int i = 0; i < R_COUNT; i++)
        sqlite3_finalize(db->rs[i]);
    sqlite3_close(db->reader);
    sqlite3_close(db->writer);
    pthread_mutex_destroy(&db->read_lock);
    pthread_mutex_destroy(&db->queue_lock);
    pthread_cond_destroy(&db->queue_done);
    free(db);
}

/* One step of a statement without rows. */
static int run(struct local_db *db, enum stmt_id id, struct err *err)
{
    int e = os_fault("sqlite");
    if (e)
        return err_sys(err, e, "index of the store");
    int rc = sqlite3_step(db->ws[id]);
    int r = rc == SQLITE_DONE ? 0 : db_error(err, db->writer, rc, "index of the store");
    sqlite3_reset(db->ws[id]);
    return r;
}

static void take_place(sqlite3_stmt *st, struct db_place *ret)
{
    const char *pack = (const char *)sqlite3_column_text(st, 0);
    snprintf(ret->pack, sizeof ret->pack, "%s", pack ? pack : "");
    ret->at = (uint64_t)sqlite3_column_int64(st, 1);
    ret->len = (uint64_t)sqlite3_column_int64(st, 2);
}

/* Removes what is in a pack, and tells where it was. */
static int remove_packed(struct local_db *db, const char *name, struct db_place *ret, struct err *err)
{
    int e = os_fault("sqlite");
    if (e)
        return err_sys(err, e, "index of the store");
    sqlite3_stmt *st = db->ws[S_REMOVE_PACKED];
    *ret = (struct db_place){0};
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        take_place(st, ret);
        rc = sqlite3_step(st);
    }
    int r = rc == SQLITE_DONE ? 0 : db_error(err, db->writer, rc, "index of the store");
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return r;
}

static int apply_one(struct local_db *db, enum stmt_id id, struct db_op *op, int64_t now, struct err *err)
{
    sqlite3_stmt *st = db->ws[id];
    sqlite3_bind_text(st, 1, op->name, -1, SQLITE_STATIC);
    if (id != S_REMOVE)
        sqlite3_bind_int64(st, 2, now);
    if (id == S_PUT)
        sqlite3_bind_blob64(st, 3, op->len ? op->data : "", op->len, SQLITE_STATIC);
    if (id == S_PUT_PACKED) {
        sqlite3_bind_text(st, 3, op->place.pack, -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, 4, (sqlite3_int64)op->place.at);
        sqlite3_bind_int64(st, 5, (sqlite3_int64)op->place.len);
    }
    int r = run(db, id, err);
    sqlite3_clear_bindings(st);
    return r;
}

static int has_row(struct local_db *db, const char *name, bool *ret, struct err *err)
{
    int e = os_fault("sqlite");
    if (e)
        return err_sys(err, e, "index of the store");
    sqlite3_stmt *st = db->ws[S_HAS];
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    *ret = rc == SQLITE_ROW;
    int r = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : db_error(err, db->writer, rc, "index of the store");
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return r;
}

/* The rows that note a record's classes: "k/..." corpora, "r/..." something else. */
struct mark_name {
    char s[BLOB_NAME_MAX + 1];
};
static struct mark_name mark_name(char mark, const char *record)
{
    struct mark_name n;
    snprintf(n.s, sizeof n.s, "%c%s", mark, record + 1);
    return n;
}

static int put_mark(struct local_db *db, const struct mark_name *name, int64_t now, struct err *err)
{
    struct db_op op = {.kind = DB_PUT, .name = name->s};
    return apply_one(db, S_PUT, &op, now, err);
}

/* Before its record is put. One that is there and has no mark was put as something else than corpora. */
static int mark_class(struct local_db *db, const struct db_op *op, int64_t now, struct err *err)
{
    struct mark_name corpora = mark_name('k', op->name), others = mark_name('r', op->name);
    bool marked = false, there = op->was_file;
    int r = has_row(db, corpora.s, &marked, err);
    if (r == 0 && op->class == STORE_CORPORA && !marked && !there)
        r = has_row(db, op->name, &there, err);
    bool other = op->class == STORE_CORPORA ? there && !marked : marked || op->kind == DB_MARK;
    if (r == 0 && other)
        r = put_mark(db, &others, now, err);
    if (r == 0 && op->class == STORE_CORPORA && !marked)
        r = put_mark(db, &corpora, now, err);
    return r;
}

static int remove_marks(struct local_db *db, const char *record, struct err *err)
{
    struct mark_name corpora = mark_name('k', record), others = mark_name('r', record);
    struct db_op op = {.kind = DB_REMOVE, .name = corpora.s};
    int r = apply_one(db, S_REMOVE, &op, 0, err);
    op.name = others.s;
    return r < 0 ? r : apply_one(db, S_REMOVE, &op, 0, err);
}

/* A name is in one of the two tables only. */
static int apply(struct local_db *db, struct db_op *op, int64_t now, struct err *err)
{
    int r = 0;
    switch (op->kind) {
    case DB_PUT:
        r = op->name[0] == 'c'   ? remove_packed(db, op->name, &op->old, err)
            : op->name[0] == 'o' ? mark_class(db, op, now, err)
                                 : 0;
        return r < 0 ? r : apply_one(db, S_PUT, op, now, err);
    case DB_PUT_PACKED:
        r = remove_packed(db, op->name, &op->old, err);
        if (r == 0)
            r = apply_one(db, S_REMOVE, op, now, err);
        return r < 0 ? r : apply_one(db, S_PUT_PACKED, op, now, err);
    case DB_MARK:
        return mark_class(db, op, now, err);
    case DB_TOUCH:
        r = apply_one(db, S_TOUCH, op, now, err);
        op->missing = r == 0 && sqlite3_changes(db->writer) == 0;
        if (r == 0 && op->missing) {
            r = apply_one(db, S_TOUCH_PACKED, op, now, err);
            op->missing = r == 0 && sqlite3_changes(db->writer) == 0;
        }
        return r;
    case DB_REMOVE:
        r = op->name[0] == 'o' ? remove_marks(db, op->name, err) : remove_packed(db, op->name, &op->old, err);
        return r < 0 ? r : apply_one(db, S_REMOVE, op, now, err);
    }
    return r;
}

/* One transaction for all requests of a list. */
static int commit_all(struct local_db *db, struct request *list, struct err *err)
{
    int want = 1;
    for (struct request *q = list; q; q = q->next)
        if (q->durable)
            want = 2;
    int r = 0;
    if (db->synchronous != want) {
        r = exec(db->writer,
                 want == 2 ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
                 err);
        if (r < 0)
            return r;
        db->synchronous = want;
    }
    r = run(db, S_BEGIN, err);
    if (r < 0)
        return r;
    int64_t now = os_now_ns();
    for (struct request *q = list; q && r == 0; q = q->next)
        for (size_t i = 0; i < q->n && r == 0; i++)
            r = apply(db, &q->ops[i], now, err);
    if (r == 0)
        r = run(db, S_COMMIT, err);
    if (r < 0 && !sqlite3_get_autocommit(db->writer)) {
        sqlite3_step(db->ws[S_ROLLBACK]);
        sqlite3_reset(db->ws[S_ROLLBACK]);
    }
    return r;
}

int local_db_write(struct local_db *db, struct db_op *ops, size_t n, bool durable, struct err *err)
{
    struct request me = {.ops = ops, .n = n, .durable = durable};
    if (!db->writer)
        return err_set(err, ERR_PERMISSION, "the store is read-only");
    pthread_mutex_lock(&db->queue_lock);
    *db->queue_tail = &me;
    db->queue_tail = &me.next;
    while (!me.done) {
        if (db->leading) {
            pthread_cond_wait(&db->queue_done, &db->queue_lock);
            continue;
        }
        db->leading = true;
        db->since_ns = os_mono_ns();
        struct request *list = db->queue;
        db->queue = NULL;
        db->queue_tail = &db->queue;
        pthread_mutex_unlock(&db->queue_lock);
        struct err e = {0};
        int r = commit_all(db, list, &e);
        pthread_mutex_lock(&db->queue_lock);
        db->leading = false;
        for (struct request *q = list, *next; q; q = next) {
            next = q->next; /* q is gone once its thread sees done, but that needs the lock */
            q->r = r;
            q->err = e;
            q->done = true;
        }
        pthread_cond_broadcast(&db->queue_done);
    }
    pthread_mutex_unlock(&db->queue_lock);
    if (me.r < 0)
        err_copy(err, &me.err);
    return me.r;
}

int64_t local_db_busy_since(struct local_db *db)
{
    pthread_mutex_lock(&db->queue_lock);
    int64_t since = db->leading ? db->since_ns : 0;
    pthread_mutex_unlock(&db->queue_lock);
    return since;
}

/* The seam for tests: reading fails. */
static int read_fault(struct err *err)
{
    int e = os_fault("sqlite");
    return e ? err_sys(err, e, "index of the store") : 0;
}

int local_db_get(struct local_db *db, const char *name, size_t max, char **ret, size_t *ret_len,
                 struct err *err)
{
    int fault = read_fault(err);
    if (fault < 0)
        return fault;
    pthread_mutex_lock(&db->read_lock);
    sqlite3_stmt *st = db->rs[R_GET];
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st), r = 0;
    if (rc == SQLITE_ROW) {
        const void *data = sqlite3_column_blob(st, 0);
        size_t len = (size_t)sqlite3_column_bytes(st, 0);
        char *p = len > max ? NULL : mem_alloc(len + 1);
        if (len > max)
            r = err_set(err, ERR_LIMIT, "%s is over %zu bytes", name, max);
        else if (!p)
            r = err_nomem(err);
        else {
            if (len)
                memcpy(p, data, len);
            p[len] = 0;
            *ret = p;
            *ret_len = len;
        }
    } else if (rc == SQLITE_DONE) {
        r = err_set(err, ERR_NOT_FOUND, "%s is not in the store", name);
    } else {
        r = db_error(err, db->reader, rc, "index of the store");
    }
    sqlite3_reset(st);
    pthread_mutex_unlock(&db->read_lock);
    return r;
}

int local_db_stat(struct local_db *db, const char *name, struct blob_info *ret, struct err *err)
{
    int fault = read_fault(err);
    if (fault < 0)
        return fault;
    pthread_mutex_lock(&db->read_lock);
    sqlite3_stmt *st = db->rs[R_STAT];
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st), r = 0;
    if (rc == SQLITE_ROW)
        *ret = (struct blob_info){name, (uint64_t)sqlite3_column_int64(st, 0),
                                  sqlite3_column_int64(st, 1)};
    else if (rc == SQLITE_DONE)
        r = -ERR_NOT_FOUND;
    else
        r = db_error(err, db->reader, rc, "index of the store");
    sqlite3_reset(st);
    pthread_mutex_unlock(&db->read_lock);
    if (r == -ERR_NOT_FOUND && err)
        err->code = ERR_NOT_FOUND;
    return r;
}

int local_db_find(struct local_db *db, const char *name, struct db_place *ret, int64_t *ret_stamp_ns,
                  struct err *err)
{
    int r = read_fault(err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&db->read_lock);
    sqlite3_stmt *st = db->rs[R_FIND];
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        take_place(st, ret);
        *ret_stamp_ns = sqlite3_column_int64(st, 3);
    } else {
        r = rc == SQLITE_DONE ? -ERR_NOT_FOUND : db_error(err, db->reader, rc, "index of the store");
    }
    sqlite3_reset(st);
    pthread_mutex_unlock(&db->read_lock);
    if (r == -ERR_NOT_FOUND && err)
        err->code = ERR_NOT_FOUND;
    return r;
}

int local_db_in_class(struct local_db *db, const char *name, enum store_class class, bool *ret, struct err *err)
{
    int r = read_fault(err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&db->read_lock);
    sqlite3_stmt *st = db->rs[R_CLASS];
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    bool corpora = rc == SQLITE_ROW && sqlite3_column_int(st, 0), others = rc == SQLITE_ROW && sqlite3_column_int(st, 1);
    *ret = class == STORE_ANY || (class == STORE_CORPORA ? corpora : others || !corpora);
    if (rc != SQLITE_ROW)
        r = db_error(err, db->reader, rc, "index of the store");
    sqlite3_reset(st);
    pthread_mutex_unlock(&db->read_lock);
    return r;
}

int local_db_pack_used(struct local_db *db, const char *pack, bool *ret, struct err *err)
{
    int r = read_fault(err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&db->read_lock);
    sqlite3_stmt *st = db->rs[R_USED];
    sqlite3_bind_text(st, 1, pack, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int(st, 0) != 0;
    else
        r = db_error(err, db->reader, rc, "index of the store");
    sqlite3_reset(st);
    pthread_mutex_unlock(&db->read_lock);
    return r;
}

int local_db_page(struct local_db *db, bool packed, const char *prefix, const char *after,
                  struct db_row *rows, size_t max, size_t *ret_n, struct err *err)
{
    char end[BLOB_NAME_MAX + 2];
    int fault = read_fault(err);
    *ret_n = 0;
    if (fault < 0)
        return fault;
    snprintf(end, sizeof end, "%s\x7f", prefix); /* names are ASCII below it */
    pthread_mutex_lock(&db->read_lock);
    sqlite3_stmt *st = db->rs[packed ? R_PAGE_PACKED : R_PAGE];
    sqlite3_bind_text(st, 1, *after ? after : prefix, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, end, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)max);
    size_t n = 0;
    int rc = SQLITE_DONE, r = 0;
    while (n < max && r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(st, 0);
        rows[n] = (struct db_row){mem_strdup(name ? name : ""),
                                  (uint64_t)sqlite3_column_int64(st, 1),
                                  sqlite3_column_int64(st, 2)};
        if (!rows[n].name)
            r = err_nomem(err);
        else
            n++;
    }
    if (r == 0 && n < max && rc != SQLITE_DONE)
        r = db_error(err, db->reader, rc, "index of the store");
    sqlite3_reset(st);
    pthread_mutex_unlock(&db->read_lock);
    while (r < 0 && n)
        free(rows[--n].name);
    *ret_n = n;
    return r;
}

int local_db_check(struct local_db *db, struct err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&db->read_lock);
    int rc = sqlite3_prepare_v2(db->reader, "PRAGMA quick_check(1)", -1, &st, NULL), r = 0;
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
    if (rc != SQLITE_ROW)
        r = db_error(err, db->reader, rc, "index of the store");
    else if (!text || strcmp(text, "ok") != 0)
        r = err_set(err, ERR_CORRUPT, "index of the store: %.300s", text ? text : "no answer");
    sqlite3_finalize(st);
    pthread_mutex_unlock(&db->read_lock);
    return r;
}
