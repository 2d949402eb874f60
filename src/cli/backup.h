/* Copies of a state in one file: tar, packed with zstd.
 *
 * Members: backup.json (what this is), then the parts of the state folder, databases first as consistent copies, and last
 * SHA256SUMS, which names all before it. A file without its end is no backup. */
#ifndef FF_CLI_BACKUP_H
#define FF_CLI_BACKUP_H

#include "cli/app.h"
#include "codec/sha256.h"

#define BACKUP_LIBRARY "libarchive.so.13"
#define BACKUP_FORMAT 1
#define BACKUP_ABOUT "backup.json"
#define BACKUP_SUMS "SHA256SUMS"

enum backup_kind {
    BACKUP_FILE,   /* one file */
    BACKUP_TREE,   /* a folder of files */
    BACKUP_SQLITE, /* a database that others may write to */
    BACKUP_ENGINE, /* the engine's: only its holder can read it */
};

/* What is copied of a state folder, in this order: what happens is copied before what it is told of (events before runs), and
 * what is referred to after what refers to it (the store after the runs). */
struct backup_part {
    const char *name;
    enum backup_kind kind;
};
extern const struct backup_part backup_parts[]; /* ended by a NULL name */

struct backup_count {
    uint64_t files, bytes;
};

/* Writes a backup of the state, whose engine and store are open; put takes its bytes as they come. */
typedef int backup_put(void *arg, const void *data, size_t len, struct err *err);
int backup_write(struct app *app, backup_put *put, void *arg, struct backup_count *ret, struct err *err);
/* Reads one into an empty folder; all of it is checked when it returns, but not yet durable. After an error what is
 * in the folder is of no use. */
int backup_read(int fd, const char *dir, struct backup_count *ret, struct err *err);
/* Reads all of one and checks it; nothing is kept. tmp_dir: for a few bytes meanwhile. */
int backup_check(int fd, const char *tmp_dir, struct backup_count *ret, struct err *err);
/* Ends h and writes the line of SHA256SUMS for a member. */
int backup_sum(struct sha256 *h, const char *name, int sums_fd, struct err *err);
/* May a member of a backup be called so? */
bool backup_name_ok(const char *name);

#endif
