/* Write-ahead logs that are written in one piece. */
#ifndef FF_OS_SQLITE_LOG_H
#define FF_OS_SQLITE_LOG_H

/* The name of a VFS that is the one of that name (NULL: the default) but for its logs: what is written to them goes to the
 * file with the sync behind it, so a transaction is one write. Only for a database of one process (locking_mode=EXCLUSIVE)
 * with synchronous=FULL: another one would look for frames that are still in memory here. Gives base_name itself where that
 * cannot be made. Lives as long as the process. Any thread. */
const char *sqlite_log_vfs(const char *base_name);

#endif
