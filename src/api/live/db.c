#include "api/live/live_internal.h"

#include "base/cleanup.h"
#include "os/file.h"
#include "os/sqlite.h"

#include <stdarg.h>
#include <string.h>

#define SCHEMA                                                                                                         \
    "CREATE TABLE IF NOT EXISTS run(run TEXT PRIMARY KEY,last INTEGER NOT NULL,execution TEXT NOT NULL,"               \
    "history INTEGER NOT NULL,ended INTEGER NOT NULL,stats TEXT,points INTEGER NOT NULL) WITHOUT ROWID;"               \
    "CREATE TABLE IF NOT EXISTS event(run TEXT,seq INTEGER,at INTEGER NOT NULL,type TEXT NOT NULL,data TEXT NOT NULL," \
    "PRIMARY KEY(run,seq)) WITHOUT ROWID;"                                                                             \
    "CREATE TABLE IF NOT EXISTS point(run TEXT,at INTEGER,data TEXT NOT NULL,PRIMARY KEY(run,at)) WITHOUT ROWID"

static const char *const sql[] = {
#define X(NAME, text) text,
    LIVE_STATEMENTS(X)
#undef X
};

static int db_error(struct live_db *db, struct err *err)
{
    enum err_code code = os_sqlite_code(sqlite3_errcode(db->h));
    return err_set(err, code, "events: %s", sqlite3_errmsg(db->h));
}

/* A file of before has no such column. */
static int add_bytes(struct live_db *db, struct err *err)
{
    if (sqlite3_table_column_metadata(db->h, NULL, "run", "bytes", NULL, NULL, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    int rc = sqlite3_exec(db->h, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    bool there = sqlite3_table_column_metadata(db->h, NULL, "run", "bytes", NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
    if (rc == SQLITE_OK && !there)
        rc = sqlite3_exec(db->h, "ALTER TABLE run ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;"
                                 "UPDATE run SET bytes=(SELECT total(" LIVE_ROW_BYTES ") FROM event WHERE run=run.run)",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db->h, "COMMIT", NULL, NULL, NULL);
    int r = rc == SQLITE_OK ? 0 : db_error(db, err);
    if (r < 0)
        sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

int live_db_open(struct live_db *db, const char *path, struct err *err)
{
    *db = (struct live_db){0};
    if (sqlite3_open_v2(path, &db->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
                        NULL) != SQLITE_OK)
        return db->h ? db_error(db, err) : err_nomem(err);
    sqlite3_busy_timeout(db->h, 5000);
    if (sqlite3_exec(db->h, "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA cache_size=-256;"
                            "PRAGMA journal_size_limit=8388608;PRAGMA trusted_schema=OFF;" SCHEMA, NULL, NULL, NULL) != SQLITE_OK)
        return db_error(db, err);
    int r = add_bytes(db, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(sql); i++)
        if (sqlite3_prepare_v3(db->h, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &db->stmt[i], NULL) != SQLITE_OK)
            return db_error(db, err);
    return 0;
}

void live_db_close(struct live_db *db)
{
    for (size_t i = 0; i < ARRAY_LEN(sql); i++)
        sqlite3_finalize(db->stmt[i]);
    sqlite3_close(db->h);
    *db = (struct live_db){0};
}

static sqlite3_stmt *bind(struct live_db *db, enum live_statement s, const char *letters, va_list ap)
{
    sqlite3_stmt *st = db->stmt[s];
    sqlite3_reset(st);
    for (int i = 1; *letters; letters++, i++) {
        if (*letters == 's')
            sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
        else
            sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
    }
    return st;
}

sqlite3_stmt *live_db_bind(struct live_db *db, enum live_statement s, const char *letters, ...)
{
    va_list ap;
    va_start(ap, letters);
    sqlite3_stmt *st = bind(db, s, letters, ap);
    va_end(ap);
    return st;
}

int live_db_step(struct live_db *db, sqlite3_stmt *s, struct err *err)
{
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        return 1;
    int r = rc == SQLITE_DONE ? 0 : db_error(db, err);
    sqlite3_reset(s);
    return r;
}

int live_db_run(struct live_db *db, struct err *err, enum live_statement s, const char *letters, ...)
{
    va_list ap;
    va_start(ap, letters);
    sqlite3_stmt *st = bind(db, s, letters, ap);
    va_end(ap);
    int r = live_db_step(db, st, err);
    sqlite3_reset(st);
    return r < 0 ? r : 0;
}
