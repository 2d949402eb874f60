/* Files: wrappers that retry on EINTR, finish short reads and writes, set O_CLOEXEC, carry the fault seam,
 * and fill in struct err with the path. */
#ifndef FF_OS_FILE_H
#define FF_OS_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* openat(2) with O_CLOEXEC. *ret_fd is the caller's. dirfd may be AT_FDCWD. */
int os_openat(int dirfd, const char *path, int flags, mode_t mode, int *ret_fd, struct err *err);
int os_open(const char *path, int flags, mode_t mode, int *ret_fd, struct err *err);
/* Reads until size or end of file; *ret_n bytes were read. */
int os_read_full(int fd, void *buf, size_t size, size_t *ret_n, struct err *err);
int os_pread_full(int fd, void *buf, size_t size, uint64_t offset, size_t *ret_n, struct err *err);
int os_write_full(int fd, const void *buf, size_t size, struct err *err);
int os_fsync(int fd, struct err *err);
/* fsync of a folder, so that a rename in it is durable. */
int os_fsync_dir(const char *path, struct err *err);
int os_rename(const char *from, const char *to, struct err *err);
int os_unlink(const char *path, bool missing_ok, struct err *err);
int os_mkdir(const char *path, mode_t mode, bool exists_ok, struct err *err);
/* Makes the missing parents too. */
int os_mkdirs(const char *path, mode_t mode, struct err *err);
/* Removes a folder and all in it, without following links; nothing there is fine. */
int os_remove_tree(const char *path, struct err *err);
bool os_exists(const char *path);
bool os_is_dir(const char *path);
/* The whole file, 0-terminated, owned by the caller; -ERR_LIMIT if over max bytes; only regular files. */
int os_read_file(const char *path, size_t max, char **ret_text, size_t *ret_len, struct err *err);
/* Temp file in the same folder, fsync, rename, fsync of the folder: either the old or the new content is
 * there after a crash. */
int os_write_file_atomic(const char *path, const void *data, size_t len, mode_t mode,
                         struct err *err);
/* A new private folder "<parent>/<prefix>XXXXXX"; the path is the caller's. */
int os_temp_dir(const char *parent, const char *prefix, char **ret_path, struct err *err);
/* A file in a folder (made if it is missing) that has no name: it is gone when it is closed, however this process ends. Open for
 * reading and writing. */
int os_open_nameless(const char *dir, int *ret_fd, struct err *err);
/* "a/b" joined with one slash; caller frees; NULL when memory is out. */
char *os_path_join(const char *a, const char *b);
/* The absolute path with links resolved (realpath(3)); caller frees. */
int os_real_path(const char *path, char **ret, struct err *err);

#endif
