#include "os/sqlite_copy.h"

#include "base/mem.h"
#include "os/file.h"
#include "os/sqlite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUSY_MS 10000

struct sqlite_copy {
    sqlite3 *to;
    sqlite3_backup *backup;
    char *path;
};

static int failed(sqlite3 *db, int rc, const char *path, struct err *err)
{
    return err_set(err, os_sqlite_code(rc), "copy to %s: %s", path, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

int sqlite_copy_begin(sqlite3 *from, const char *path, struct sqlite_copy **ret, struct err *err)
{
    struct sqlite_copy *c = mem_zalloc(sizeof *c);
    int fd;
    if (!c || !(c->path = mem_strdup(path))) {
        free(c);
        return err_nomem(err);
    }
    int r = os_open(path, O_RDWR | O_CREAT | O_EXCL, 0600, &fd, err); /* not by SQLite: it may hold secrets */
    if (r == 0) {
        close(fd);
        int rc = sqlite3_open_v2(path, &c->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
        if (rc == SQLITE_OK)
            rc = sqlite3_exec(c->to, "PRAGMA journal_mode=OFF;PRAGMA synchronous=OFF", NULL, NULL, NULL);
        if (rc == SQLITE_OK)
            c->backup = sqlite3_backup_init(c->to, "main", from, "main");
        if (!c->backup)
            r = failed(c->to, rc, path, err);
    }
    if (r < 0) {
        sqlite_copy_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

int sqlite_copy_step(struct sqlite_copy *c, int pages, bool *ret_done, struct err *err)
{
    int rc = sqlite3_backup_step(c->backup, pages);
    *ret_done = rc == SQLITE_DONE;
    return rc == SQLITE_OK || rc == SQLITE_DONE ? 0 : failed(NULL, rc, c->path, err);
}

void sqlite_copy_free(struct sqlite_copy *c)
{
    if (!c)
        return;
    sqlite3_backup_finish(c->backup);
    sqlite3_close(c->to);
    free(c->path);
    free(c);
}

/* In one step: the source is one transaction that others may write behind. */
int sqlite_copy_file(const char *from, const char *to, struct err *err)
{
    sqlite3 *db = NULL;
    struct sqlite_copy *c = NULL;
    bool done = false;
    if (!os_exists(from))
        return err_set(err, ERR_NOT_FOUND, "%s: no such file", from);
    int rc = sqlite3_open_v2(from, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    int r = rc == SQLITE_OK ? 0 : failed(db, rc, from, err);
    if (r == 0) {
        sqlite3_busy_timeout(db, BUSY_MS);
        r = sqlite_copy_begin(db, to, &c, err);
    }
    if (r == 0)
        r = sqlite_copy_step(c, -1, &done, err);
    if (r == 0 && !done)
        r = err_set(err, ERR_IO, "copy %s: it does not end", from);
    sqlite_copy_free(c);
    sqlite3_close(db);
    return r;
}
