/* A filter of lists from outside: what is accepted is an SQL condition that SQLite takes, with
 * as many parameters as there are values. */
#include "base/assert.h"
#include "engine/embedded/filter.h"
#include "fuzz.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

static bool any(void *arg, const char *name)
{
    (void)arg;
    return *name == 'A'; /* so that unknown fields are tried too */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sqlite3 *db;
    if (!db) {
        ASSERT(sqlite3_open(":memory:", &db) == SQLITE_OK);
        ASSERT(sqlite3_exec(db,
                            "CREATE TABLE execution(run_key INTEGER PRIMARY KEY,workflow_id TEXT,type TEXT,run_id TEXT,"
                            "status INT,start_ns INT,close_ns INT);"
                            "CREATE TABLE attribute(run_key INT,name TEXT,value)",
                            NULL, NULL, NULL) == SQLITE_OK);
    }
    char *text = strndup((const char *)data, size);
    ASSERT(text);
    struct filter f;
    struct err err = {0};
    if (filter_parse(text, 1, any, NULL, &f, &err) == 0 && f.sql.len) {
        struct strbuf sql = STRBUF_INIT;
        sqlite3_stmt *s = NULL;
        strbuf_printf(&sql, "SELECT 1 FROM execution WHERE (%s)", f.sql.s);
        ASSERT(sqlite3_prepare_v2(db, sql.s, -1, &s, NULL) == SQLITE_OK);
        ASSERT(sqlite3_bind_parameter_count(s) == (int)f.values.len);
        sqlite3_finalize(s);
        strbuf_release(&sql);
    }
    filter_release(&f);
    free(text);
    return 0;
}
