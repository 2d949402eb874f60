/* A target into the store: folder, single file, tar or zip (compressed in any usual way), git
 * repository (HEAD of a bare one, or of any by a file:// URL; a work tree is a folder; others are
 * not fetched yet: -ERR_UNIMPLEMENTED).
 *
 * Links that lead out, FIFOs, sockets, devices and unreadable files are skipped with a notice,
 * never followed. Archives and git repositories are parsed in a sandbox; only entries come out of
 * it. */
#ifndef FF_INGEST_INGEST_H
#define FF_INGEST_INGEST_H

#include "sandbox/sandbox.h"
#include "store/tree.h"

enum ingest_notice_kind {
    INGEST_SKIPPED,   /* a link out, a FIFO, a device, an unsafe member: left out by rule */
    INGEST_UNREADABLE, /* could not be read: the run is incomplete */
    INGEST_BOUND,      /* over a bound: the run is incomplete */
    INGEST_FILTERED,   /* .git, .fuzzforge, the state folder: left out by a documented filter, counted */
    INGEST_CHANGED,    /* changed while it was read; the tree has what was read */
};

struct ingest_notice {
    enum ingest_notice_kind kind;
    char *path; /* %XX for bytes that are not UTF-8; owned by the list */
    char *text;
};

struct ingest_limits { /* 0: the default */
    uint64_t entries_max;         /* 1,000,000 */
    uint64_t total_bytes_max;     /* 50 GB */
    uint64_t path_bytes_max;      /* 4,096 */
    uint64_t depth_max;           /* 512 */
    uint64_t archive_entries_max; /* 200,000 */
    uint64_t archive_bytes_max;   /* 4 GB unpacked */
    uint64_t archive_ratio_max;   /* 100, looked at above 64 MB unpacked */
};

struct ingest_progress {
    uint64_t files, bytes;
};

struct ingest_options {
    struct ingest_limits limits;
    struct spawner *spawner; /* for archives and git */
    const char *exclude_dir; /* a folder that is never part of a target, say the state folder; may be NULL */
    void (*progress)(void *arg, const struct ingest_progress *p); /* a few times a second; may be NULL */
    void *arg;
    bool (*cancelled)(void *arg); /* may be NULL */
};

struct ingest_result {
    struct store_ref tree;
    char *name;       /* short name of the target, for people */
    const char *kind; /* "folder" "file" "archive" "git" */
    uint64_t files, dirs, bytes, filtered;
    bool incomplete; /* something was refused or unreadable: see notices */
    bool refused;    /* an archive over its bounds: the tree holds what came before */
    struct ingest_notice *notices;
    size_t notices_count, notices_dropped; /* at most 1,000 are kept, the rest counted */
};

/* spec: what the user typed: a path, or a git URL (https://, ssh://, git://, file://, ending .git).
 * -ERR_NOT_FOUND names it when nothing is there. */
int ingest(struct store *s, const char *spec, const struct ingest_options *o,
           struct ingest_result *ret, struct err *err);
void ingest_result_release(struct ingest_result *r);

/* For the spawner's builtin (sandbox/sandbox.h): runs "ingest-archive" or "ingest-git" and gives
 * the exit status; -1 for any other name. */
int ingest_builtin(const char *name);

#endif
