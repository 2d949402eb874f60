/* What SQLite's result codes mean to whoever asked. */
#ifndef FF_OS_SQLITE_H
#define FF_OS_SQLITE_H

#include "base/err.h"

/* rc: a result code, plain or extended, that is no success. ERR_IO for what has no code of its own. */
enum err_code os_sqlite_code(int rc);

#endif
