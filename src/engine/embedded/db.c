#include "engine/embedded/db.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "codec/uri.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/sqlite.h"
#include "os/sqlite_log.h"

#include <stdio.h>
#include <string.h>

static const char *const statements[] = {
#define X(NAME, sql) [DB_##NAME] = sql,
    DB_STATEMENTS(X)
#undef X
};

/* migrations[i] brings version i to i + 1. Never edited once released: a change is a new entry. */
static const char *const migrations[DB_SCHEMA_VERSION] = {
    "CREATE TABLE migration(version INTEGER PRIMARY KEY, applied_ns INTEGER NOT NULL);"
    "CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK(one=1), token_key BLOB NOT NULL,"
    " clock_ns INTEGER NOT NULL, generation INTEGER NOT NULL, last_run_key INTEGER NOT NULL);"
    "CREATE TABLE namespace(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " description TEXT NOT NULL, created_ns INTEGER NOT NULL);"
    "CREATE TABLE execution(run_key INTEGER PRIMARY KEY, ns INTEGER NOT NULL,"
    " workflow_id TEXT NOT NULL, run_id TEXT NOT NULL, type TEXT NOT NULL, status INTEGER NOT NULL,"
    " start_ns INTEGER NOT NULL, close_ns INTEGER, state BLOB NOT NULL);"
    "CREATE INDEX execution_by_id ON execution(ns, workflow_id, run_key);"
    "CREATE INDEX execution_open ON execution(run_key) WHERE status=1;"
    "CREATE TABLE history(id INTEGER PRIMARY KEY, data BLOB NOT NULL);"
    "INSERT INTO meta VALUES(1, randomblob(16), 0, 0, 0);"
    "INSERT INTO namespace VALUES(1, 'default', 'Default namespace', 0);",
    "CREATE TABLE attribute(run_key INTEGER NOT NULL, name TEXT NOT NULL, value NOT NULL);"
    "CREATE INDEX attribute_by_run ON attribute(run_key);"
    "CREATE INDEX attribute_by_value ON attribute(name, value);",
    /* The description of before stays in its column, and is read from there. */
    "ALTER TABLE namespace ADD COLUMN config BLOB NOT NULL DEFAULT x'';",
};

int db_error(struct db *db, const char *what, struct err *err)
{
    int rc = db->h ? sqlite3_extended_errcode(db->h) : SQLITE_NOMEM;
    const char *text = db->h ? sqlite3_errmsg(db->h) : "out of memory";
    const char *file = db->h ? sqlite3_db_filename(db->h, "main") : NULL;
    enum err_code code = os_sqlite_code(rc);
    int r = err_set(err, code, "%s: state %s: %s", what, file && *file ? file : "(memory)", text);
    if (err)
        err->sys = rc;
    if (code == ERR_CORRUPT)
        err_hint(err, "the file is damaged: restore a copy, or move it away to begin anew");
    else if (code == ERR_NO_SPACE)
        err_hint(err, "make room on the disk, with 'ff clean' say");
    return r;
}

static int exec_text(struct db *db, const char *what, const char *sql, struct err *err)
{
    return sqlite3_exec(db->h, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_error(db, what, err);
}

static int read_int(struct db *db, const char *sql, int64_t *ret, struct err *err)
{
    sqlite3_stmt *s = NULL;
    *ret = 0;
    int rc = sqlite3_prepare_v2(db->h, sql, -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    int r = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : db_error(db, "read state", err);
    sqlite3_finalize(s);
    return r;
}

static int migrate(struct db *db, int64_t now_ns, struct err *err)
{
    int64_t version;
    int r = read_int(db, "PRAGMA user_version", &version, err);
    if (r < 0)
        return r;
    if (version > DB_SCHEMA_VERSION || version < 0) {
        err_set(err, ERR_STATE, "state %s has schema version %lld, this program knows up to %d",
                sqlite3_db_filename(db->h, "main"), (long long)version, DB_SCHEMA_VERSION);
        return err_hint(err, "a newer ff wrote it: use that one");
    }
    for (; version < DB_SCHEMA_VERSION; version++) {
        char mark[160];
        snprintf(mark, sizeof mark,
                 "INSERT INTO migration VALUES(%lld,%lld);PRAGMA user_version=%lld;COMMIT;",
                 (long long)version + 1, (long long)now_ns, (long long)version + 1);
        r = exec_text(db, "migrate", "BEGIN IMMEDIATE", err);
        if (r == 0)
            r = exec_text(db, "migrate", migrations[version], err);
        if (r == 0)
            r = exec_text(db, "migrate", mark, err);
        if (r < 0) {
            sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL);
            return r;
        }
    }
    return 0;
}

/* A new generation each time the state is opened: tells tasks started by workers of this process
 * from older ones. */
static int read_meta(struct db *db, bool read_only, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db->h, "SELECT token_key,clock_ns,generation,last_run_key FROM meta", -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    int r = 0;
    if (rc == SQLITE_ROW && sqlite3_column_bytes(s, 0) == sizeof db->token_key) {
        memcpy(db->token_key, sqlite3_column_blob(s, 0), sizeof db->token_key);
        db->clock_ns = sqlite3_column_int64(s, 1);
        db->generation = (uint64_t)sqlite3_column_int64(s, 2) + 1;
        db->last_run_key = sqlite3_column_int64(s, 3);
    } else if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        r = err_set(err, ERR_CORRUPT, "state %s has no usable meta row",
                    sqlite3_db_filename(db->h, "main"));
    } else {
        r = db_error(db, "read state", err);
    }
    sqlite3_finalize(s);
    if (r == 0 && !read_only)
        r = exec_text(db, "open", "UPDATE meta SET generation=generation+1", err);
    return r;
}

static int prepare_all(struct db *db, struct err *err)
{
    for (int i = 0; i < DB_STATEMENT_COUNT_; i++)
        if (sqlite3_prepare_v3(db->h, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &db->stmt[i],
                               NULL) != SQLITE_OK)
            return db_error(db, "prepare", err);
    return 0;
}

static int set_up(struct db *db, int64_t now_ns, struct err *err)
{
    /* Exclusive locking keeps the WAL's index in memory instead of a shared file, and saves the
     * lock calls. */
    int r = exec_text(db, "open",
                      "PRAGMA locking_mode=EXCLUSIVE;PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"
                      "PRAGMA wal_autocheckpoint=4000;PRAGMA journal_size_limit=33554432;"
                      "PRAGMA cache_size=-2048;PRAGMA temp_store=MEMORY;PRAGMA secure_delete=OFF;"
                      "PRAGMA cell_size_check=ON;PRAGMA trusted_schema=OFF",
                      err);
    if (r == 0)
        r = migrate(db, now_ns, err);
    if (r == 0)
        r = read_meta(db, false, err);
    return r < 0 ? r : prepare_all(db, err);
}

static int set_up_read_only(struct db *db, struct err *err)
{
    int64_t version = 0;
    int r = exec_text(db, "open",
                      "PRAGMA locking_mode=EXCLUSIVE;PRAGMA cache_size=-2048;PRAGMA temp_store=MEMORY;"
                      "PRAGMA cell_size_check=ON;PRAGMA trusted_schema=OFF",
                      err);
    if (r == 0)
        r = read_int(db, "PRAGMA user_version", &version, err);
    if (r == 0 && version != DB_SCHEMA_VERSION) {
        err_set(err, ERR_STATE, "state %s has schema version %lld, this program reads %d",
                sqlite3_db_filename(db->h, "main"), (long long)version, DB_SCHEMA_VERSION);
        return err_hint(err, version > DB_SCHEMA_VERSION ? "a newer ff wrote it: use that one"
                                                         : "let this ff open it once where it can be written to");
    }
    if (r == 0)
        r = read_meta(db, true, err);
    return r < 0 ? r : prepare_all(db, err);
}

/* With a WAL: without locks and with its index in memory, the one way that SQLite has to read a WAL of
 * which it can neither make nor share an index. Without one, it must not look for it either. */
int db_open_read_only(struct db *db, const char *path, struct err *err)
{
    _cleanup_(strbuf_release) struct strbuf uri = STRBUF_INIT;
    _cleanup_free_ char *wal = mem_printf("%s-wal", path);
    *db = (struct db){0};
    if (!wal)
        return err_nomem(err);
    strbuf_puts(&uri, "file:");
    uri_append_file(&uri, path);
    strbuf_puts(&uri, os_exists(wal) ? "?vfs=unix-none" : "?immutable=1");
    int r = strbuf_check(&uri, err);
    if (r < 0)
        return r;
    int rc = sqlite3_open_v2(uri.s, &db->h,
                             SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    r = rc == SQLITE_OK ? 0 : db_error(db, "open", err);
    if (r == 0) {
        sqlite3_extended_result_codes(db->h, 1);
        r = set_up_read_only(db, err);
    }
    if (r < 0)
        db_close(db);
    return r;
}
int db_open(struct db *db, const char *path, const char *vfs, int64_t now_ns, struct err *err)
{
    *db = (struct db){0};
    int rc = sqlite3_open_v2(path, &db->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                             sqlite_log_vfs(vfs));
    int r = rc == SQLITE_OK ? 0 : db_error(db, "open", err);
    if (r == 0) {
        sqlite3_extended_result_codes(db->h, 1);
        r = set_up(db, now_ns, err);
    }
    if (r < 0)
        db_close(db);
    return r;
}

int db_check(struct db *db, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db->h, "PRAGMA quick_check(1)", -1, &s, NULL), r = 0;
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
    if (rc != SQLITE_ROW) {
        r = db_error(db, "check", err);
    } else if (!text || strcmp(text, "ok") != 0) {
        err_set(err, ERR_CORRUPT, "state %s: %.300s", sqlite3_db_filename(db->h, "main"), text ? text : "no answer");
        r = err_hint(err, "the file is damaged: restore a copy, or move it away to begin anew");
    }
    sqlite3_finalize(s);
    return r;
}

void db_close(struct db *db)
{
    for (int i = 0; i < DB_STATEMENT_COUNT_; i++)
        sqlite3_finalize(db->stmt[i]);
    sqlite3_close(db->h);
    *db = (struct db){0};
}

sqlite3_stmt *db_stmt(struct db *db, enum db_statement which)
{
    sqlite3_stmt *s = db->stmt[which];
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return s;
}

int db_exec(struct db *db, sqlite3_stmt *s, struct err *err)
{
    int rc = sqlite3_step(s);
    int r = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : db_error(db, "write", err);
    sqlite3_reset(s);
    return r;
}

int db_begin(struct db *db, struct err *err)
{
    if (db->in_transaction)
        return 0;
    int r = db_exec(db, db->stmt[DB_BEGIN], err);
    db->in_transaction = r == 0;
    return r;
}

int db_commit(struct db *db, struct err *err)
{
    ASSERT(db->in_transaction);
    int r = db_exec(db, db->stmt[DB_COMMIT], err);
    if (r == 0)
        db->in_transaction = false;
    return r;
}

void db_rollback(struct db *db)
{
    /* Readers must be done first. SQLite may have rolled back by itself after a severe error. */
    for (int i = 0; i < DB_STATEMENT_COUNT_; i++)
        sqlite3_reset(db->stmt[i]);
    if (db->in_transaction && !sqlite3_get_autocommit(db->h))
        db_exec(db, db->stmt[DB_ROLLBACK], NULL);
    db->in_transaction = false;
}
