/* A consistent copy of an SQLite database while others write to it. */
#ifndef FF_OS_SQLITE_COPY_H
#define FF_OS_SQLITE_COPY_H

#include "base/err.h"

#include <sqlite3.h>
#include <stdbool.h>

struct sqlite_copy;

/* Of a database that this connection has open, into a new file. What the connection writes between the steps is in the
 * copy too. */
int sqlite_copy_begin(sqlite3 *from, const char *path, struct sqlite_copy **ret, struct err *err);
/* pages: at most so many now; -1: all that are left. *ret_done: the file is whole. */
int sqlite_copy_step(struct sqlite_copy *c, int pages, bool *ret_done, struct err *err);
void sqlite_copy_free(struct sqlite_copy *c); /* closes the file; NULL is fine */

/* Of a file that other connections may have open, but none exclusively. -ERR_NOT_FOUND. */
int sqlite_copy_file(const char *from, const char *to, struct err *err);

#endif
