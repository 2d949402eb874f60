/* Walking a workspace: every module that looks at files goes through here.
 *
 * The walk is by openat(2) from the root down, follows no link, and visits entries in the order of their
 * path's bytes, so that the same tree gives the same findings in the same order anywhere. It is bounded in
 * depth, entries and length of a path; what it cannot see is told through a callback, so that the caller can end
 * its run incomplete instead of silently clean.
 *
 * .ffignore files hold patterns as .gitignore files do, each for its own folder and what is below. An ignored entry is
 * still visited, marked: findings there are reported as suppressed, never dropped. */
#ifndef FF_SCAN_WALK_H
#define FF_SCAN_WALK_H

#include "base/err.h"
#include "base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WALK_DEPTH_MAX 512
#define WALK_ENTRIES_MAX 1000000
#define WALK_PATH_MAX 4096 /* bytes */

enum walk_kind { WALK_FILE, WALK_DIR, WALK_SYMLINK, WALK_OTHER };

struct walk_entry {
    int dirfd;              /* the folder it is in; valid during the callback */
    const char *name;       /* in that folder; raw bytes */
    const char *path;       /* relative to the root, raw bytes, '/' between parts */
    enum walk_kind kind;
    uint64_t size_bytes;    /* of a regular file, else 0 */
    mode_t mode;
    int depth;              /* 0: directly in the root */
    const char *ignored_by; /* the pattern of a .ffignore that matches it or a folder above it; NULL: none */
};

/* What the callback for a folder may return, besides 0 and an error: its content is not visited. */
#define WALK_SKIP 1

struct walk_options {
    int depth_max;      /* 0: WALK_DEPTH_MAX */
    size_t entries_max; /* 0: WALK_ENTRIES_MAX */
    bool no_ignore;     /* .ffignore files have no effect */
    /* Called for each entry but the root. A negative value ends the walk, which returns it. */
    int (*entry)(const struct walk_entry *e, void *arg, struct err *err);
    /* Called for what could not be looked at: an unreadable folder, or one beyond a bound. path is raw and ""
     * for the root. May be NULL. */
    void (*problem)(const char *path, const struct err *why, void *arg);
    void *arg;
};

struct walk_stats {
    size_t files, dirs, symlinks, others, ignored, problems;
};

/* ret_stats may be NULL. Fails when the root cannot be read, memory is out or the callback fails. */
int walk_tree(const char *root, const struct walk_options *o, struct walk_stats *ret_stats,
              struct err *err);

/* Opens the entry's file without following a link or waiting on a FIFO; refuses what is not a regular file
 * any more. *ret_size is its size now; may be NULL. */
int walk_open(const struct walk_entry *e, int *ret_fd, uint64_t *ret_size, struct err *err);
/* Reads all of it, 0-terminated; *ret is the caller's. -ERR_LIMIT when it has more than max bytes. */
int walk_read(const struct walk_entry *e, size_t max, char **ret, size_t *ret_len, struct err *err);

/* Is this no text? Looks at no more than the first 8,000 bytes: a zero byte that is not part of UTF-16 with a mark,
 * or many control characters. */
bool walk_is_binary(const void *data, size_t len);

/* Does the glob match the whole path? "*" and "?" and "[a-z]" stay within a part, "**" crosses parts, "\" quotes.
 * A glob that takes more than a fixed number of steps does not match. */
bool walk_glob(const char *glob, const char *path);
/* As above, but a glob without a slash is matched against the last part of the path: "*.py". */
bool walk_glob_any(const char *glob, const char *path);

/* Appends a path as reports show it: UTF-8 as it is, every other byte as %XX. */
void walk_show_path(struct strbuf *out, const char *raw);

#endif
