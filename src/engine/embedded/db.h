/* The database file: opening, schema, prepared statements, and the translation of SQLite's errors.
 *
 * Tables (all times in nanoseconds since 1970):
 *   meta       one row: a key for task tokens, the engine's time, the process generation, the last run key given out
 *   migration  which schema version was reached when
 *   namespace  id and name, and a packed EmbeddedNamespace
 *   execution  one row a run: what lists filter by, and the packed EmbeddedRun message
 *   history    events in the batches in which they were written. id = run_key << 24 | first event id; data is a
 *              packed History message, so that concatenating rows gives a History again.
 *   attribute  the search attributes of runs, a row a value: what lists filter by
 * Only the engine's thread uses a struct db. */
#ifndef FF_ENGINE_DB_H
#define FF_ENGINE_DB_H

#include "base/err.h"
#include "engine/embedded/embedded.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DB_SCHEMA_VERSION ENGINE_EMBEDDED_SCHEMA
#define DB_HISTORY_SHIFT 24 /* a run's events are fewer than 2^24 */

#define DB_STATEMENTS(X)                                                                           \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(CLOCK, "UPDATE meta SET clock_ns=?1,last_run_key=?2")                                                    \
    X(RUN_INSERT, "INSERT INTO execution(run_key,ns,workflow_id,run_id,type,status,start_ns,"      \
                  "close_ns,state) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)")                            \
    X(RUN_UPDATE, "UPDATE execution SET state=?2 WHERE run_key=?1")                                \
    X(RUN_CLOSE, "UPDATE execution SET state=?2,status=?3,close_ns=?4 WHERE run_key=?1")           \
    X(RUN_DELETE, "DELETE FROM execution WHERE run_key=?1")                                        \
    X(RUN_GET, "SELECT ns,state FROM execution WHERE run_key=?1")                                  \
    X(RUN_CURRENT, "SELECT run_key FROM execution WHERE ns=?1 AND workflow_id=?2 "                 \
                   "ORDER BY run_key DESC LIMIT 1")                                                \
    X(RUN_OPEN, "SELECT run_key FROM execution WHERE status=1 AND run_key>?1 "                     \
                "ORDER BY run_key LIMIT ?2")                                                       \
    X(ATTRIBUTE_PUT, "INSERT INTO attribute(run_key,name,value) VALUES(?1,?2,?3)")                 \
    X(ATTRIBUTE_DELETE, "DELETE FROM attribute WHERE run_key=?1")                                  \
    X(ATTRIBUTE_KNOWN, "SELECT 1 FROM attribute WHERE name=?1 LIMIT 1")                            \
    X(HISTORY_PUT, "INSERT INTO history(id,data) VALUES(?1,?2)")                                   \
    X(HISTORY_FROM, "SELECT id,data FROM history WHERE id>=(SELECT max(id) FROM history "          \
                    "WHERE id<=?1 AND id>=?3) AND id<?2 ORDER BY id")                              \
    X(HISTORY_DELETE, "DELETE FROM history WHERE id>=?1 AND id<?2")                                \
    X(RUNS_AFTER, "SELECT run_key,ns,close_ns FROM execution WHERE run_key>?1 ORDER BY run_key LIMIT ?2")          \
    X(NS_LIST, "SELECT id,name,created_ns,config,description FROM namespace ORDER BY id")                      \
    X(NS_UPDATE, "UPDATE namespace SET name=?2,config=?3 WHERE id=?1")                             \
    X(NS_DELETE, "DELETE FROM namespace WHERE id=?1")                                              \
    X(NS_PUT, "INSERT INTO namespace(id,name,description,created_ns,config) VALUES(?1,?2,'',?3,?4)")

enum db_statement {
#define X(NAME, sql) DB_##NAME,
    DB_STATEMENTS(X)
#undef X
        DB_STATEMENT_COUNT_
};

struct db {
    sqlite3 *h;
    sqlite3_stmt *stmt[DB_STATEMENT_COUNT_];
    bool in_transaction;
    /* From meta: */
    uint64_t token_key[2];
    int64_t clock_ns;
    uint64_t generation;
    int64_t last_run_key;
};

int db_open(struct db *db, const char *path, const char *vfs, int64_t now_ns, struct err *err);
/* Reads a file that stays as it is, also where no file can be made beside it. The caller knows that
 * nobody writes to it: no locks are taken. -ERR_STATE when its schema is not this program's. */
int db_open_read_only(struct db *db, const char *path, struct err *err);
/* Looks at every page. -ERR_CORRUPT with the first thing that is wrong. */
int db_check(struct db *db, struct err *err);
void db_close(struct db *db);

/* The prepared statement, reset and without bindings. */
sqlite3_stmt *db_stmt(struct db *db, enum db_statement which);
/* Runs a statement that gives no rows. */
int db_exec(struct db *db, sqlite3_stmt *s, struct err *err);
/* Fills err from the handle's last error; what says what was being done. Returns -err->code. */
int db_error(struct db *db, const char *what, struct err *err);
int db_begin(struct db *db, struct err *err); /* nothing if it is begun */
int db_commit(struct db *db, struct err *err);
void db_rollback(struct db *db);

#endif
