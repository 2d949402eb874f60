/* Logs that are written in one piece: how often, and what a write that fails leaves. */
#include "engine_vfs.h"
#include "os/sqlite_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

static sqlite3 *db;

static int exec(const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static void number_is(const char *sql, int expected)
{
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(s, 0), expected);
    sqlite3_finalize(s);
}

static void open_db(void)
{
    assert_int_equal(sqlite3_open_v2("/db", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, sqlite_log_vfs(TEST_VFS)), SQLITE_OK);
    assert_int_equal(exec("PRAGMA locking_mode=EXCLUSIVE;PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA cache_size=20;"
                          "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, data BLOB)"), SQLITE_OK);
}

static int set_up(void **state)
{
    (void)state;
    vfs_init();
    vfs_clear();
    open_db();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vfs_fail(0, 0, 0, false);
    sqlite3_close(db);
    return 0;
}

static void sound(int rows)
{
    number_is("SELECT count(*) FROM t", rows);
    number_is("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'", 1);
}

static const char insert[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<30) "
                             "INSERT INTO t(data) SELECT randomblob(2000) FROM n";

static void a_transaction_is_one_write(void **state)
{
    (void)state;
    vfs_fail(VFS_WRITE, 2, SQLITE_FULL, true);
    assert_int_equal(exec(insert), SQLITE_OK); /* some sixteen pages */
    assert_false(vfs_failed());
    sound(30);
}

static void a_failed_write_undoes_the_transaction(void **state)
{
    (void)state;
    assert_int_equal(exec(insert), SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        vfs_fail(i ? VFS_SYNC : VFS_WRITE, 1, SQLITE_FULL, true);
        assert_int_equal(exec(insert), SQLITE_FULL);
        assert_true(vfs_failed());
        vfs_fail(0, 0, 0, false);
        sound(30);
    }
    assert_int_equal(exec(insert), SQLITE_OK);
    sound(60);
    sqlite3_close(db);
    open_db();
    sound(60);
}

/* More than gathers, and than the cache holds: pages are read back before the transaction ends. */
static void a_large_transaction_reads_what_it_wrote(void **state)
{
    (void)state;
    assert_int_equal(exec("BEGIN"), SQLITE_OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(exec(insert), SQLITE_OK);
    number_is("SELECT sum(length(data)) FROM t", 1200000);
    assert_int_equal(exec("UPDATE t SET data=zeroblob(1000) WHERE id%2=0"), SQLITE_OK);
    number_is("SELECT sum(length(data)) FROM t", 900000);
    assert_int_equal(exec("ROLLBACK"), SQLITE_OK);
    sound(0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(exec(insert), SQLITE_OK);
    assert_int_equal(exec("PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
    sqlite3_close(db);
    open_db();
    sound(600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_transaction_is_one_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_write_undoes_the_transaction, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_large_transaction_reads_what_it_wrote, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
