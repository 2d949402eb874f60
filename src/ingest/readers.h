/* The programs that run inside the sandbox, and the side of the parent that judges what they say.
 * */
#ifndef FF_INGEST_READERS_H
#define FF_INGEST_READERS_H

#include "ingest/entry_stream.h"
#include "ingest/ingest_internal.h"

/* Inside. Exit statuses. The archive from one descriptor, frames to another; the repository is at
 * /workspace. */
int archive_reader_main(int in, int out);
int git_reader_main(void);

/* How a stream of frames ended. */
enum members_end {
    MEMBERS_DONE,
    MEMBERS_STOPPED, /* refused, over a bound: nothing more is wanted */
    MEMBERS_NOT_ONE, /* the input is no archive; nothing was added */
};

struct members_options {
    uint64_t input_bytes; /* of the archive; 0: no ratio to look at */
    uint64_t entries_max, bytes_max, ratio_max;
};

/* Takes frames from fd into the tree of the job. Unsafe members are skipped with a notice; what
 * breaks off leaves what came before. Errors are only ours (memory, the store, cancellation). */
int members_take(struct ingest_job *j, int fd, const struct members_options *o,
                 enum members_end *ret, struct err *err);

/* Runs a reader in the sandbox: plan's builtin with the input as its standard input, and takes what
 * it says. */
int reader_run(struct ingest_job *j, const struct sandbox_plan *plan, int input_fd,
               const struct members_options *o, enum members_end *ret, struct err *err);

/* Is the file an archive, by its first bytes or by its name? *ret_named: by the name at least. */
bool looks_like_archive(int fd, const char *name, bool *ret_named);
/* The same of bytes; 512 are enough. */
bool archive_begins(const char *head, size_t n, const char *name, bool *ret_named);
/* Git: a URL of any kind? A folder that is a bare repository? The path that a file:// URL means
 * (the caller's); -ERR_UNIMPLEMENTED, without a message, for other URLs. */
bool looks_like_url(const char *spec);
bool looks_like_bare_repository(int dirfd);
int git_url_path(const char *url, char **ret, struct err *err);
/* The files of the repository's HEAD. */
int ingest_git(struct ingest_job *j, const char *path, struct err *err);

int ingest_archive(struct ingest_job *j, int fd, bool named, enum members_end *ret,
                   struct err *err);

#endif
