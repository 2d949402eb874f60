/* A target into the store: folder, single file, tar or zip (compressed in any usual way), git
 * repository (HEAD of a bare one, of any by a file:// URL, and of those of other machines by an
 * https:// URL; a work tree is a folder).
 *
 * Links that lead out, FIFOs, sockets, devices and unreadable files are skipped with a notice,
 * never followed. Archives and git repositories are parsed in a sandbox; only entries come out of
 * it. A repository of another machine is fetched in a sandbox with a network first (HEAD only, the
 * server's certificate checked, no redirects to other hosts where the URL has a password, at most archive_bytes_max);
 * a URL that names 127.0.0.1 or localhost reaches that port of this machine, and no other. */
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
    bool fetching; /* from another machine: files are git's objects */
};

struct ingest_options {
    struct ingest_limits limits;
    struct spawner *spawner; /* for archives and git */
    const char *tmp_dir; /* for what is fetched, as long as that takes; NULL: /tmp */
    const char *ca_file; /* certificates to trust instead of the system's (PEM); NULL: the system's */
    bool folder; /* an upload: a tar that was made of a folder (ingest_sender_new), and is bound as one */
    bool git;    /* the same, of what a repository holds */
    bool executable; /* an upload: if it is one file */
    const char *exclude_dir; /* a folder that is never part of a target, say the state folder; may be NULL */
    void (*progress)(void *arg, const struct ingest_progress *p); /* a few times a second; may be NULL */
    void *arg;
    bool (*cancelled)(void *arg); /* may be NULL */
    /* Is there room for a target of so many bytes? Asked while it is read, and when all of it was: an error ends it, and nothing
     * stays. May be NULL. */
    int (*fits)(void *arg, uint64_t bytes, struct err *err);
    void *fits_arg;
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

/* spec: what the user typed: a path, or a git URL (https:// or file://; -ERR_UNIMPLEMENTED for ssh:// and others).
 * -ERR_NOT_FOUND names it when nothing is there. */
int ingest(struct store *s, const char *spec, const struct ingest_options *o,
           struct ingest_result *ret, struct err *err);
void ingest_result_release(struct ingest_result *r);

/* A target that arrives in pieces, as one file or as one archive, with flat memory. name: as its sender calls it; only the last
 * part of it counts. Pieces of some hundred kilobytes are best. o->tmp_dir is where an archive is kept until it was read. */
struct ingest_upload;
int ingest_upload_new(struct store *s, const char *name, const struct ingest_options *o, struct ingest_upload **ret,
                      struct err *err);
int ingest_upload_write(struct ingest_upload *u, const void *data, size_t len, struct err *err);
/* Durable when it returns. *ret is the caller's. */
int ingest_upload_finish(struct ingest_upload *u, struct ingest_result *ret, struct err *err);
void ingest_upload_free(struct ingest_upload *u); /* what was not finished leaves nothing but garbage for the next gc */

/* A repository of this machine (a bare one, or any by a file:// URL), which it takes a spawner to read? */
bool ingest_is_repository(const char *spec);
/* A target of this machine as bytes for another one's ingest_upload: a folder as a tar, walked and bound as ingest() does; what
 * is committed in a repository likewise; a file or an archive as it is. */
struct ingest_sender;
int ingest_sender_new(const char *spec, const struct ingest_options *o, struct ingest_sender **ret, struct err *err);
/* *ret_len 0: the end. */
int ingest_sender_read(struct ingest_sender *s, void *buf, size_t size, size_t *ret_len, struct err *err);
/* kind ("folder", "git", "executable", "file") and name from the beginning on; counts and notices after the end. */
const struct ingest_result *ingest_sender_result(const struct ingest_sender *s);
void ingest_sender_free(struct ingest_sender *s);
/* One more notice, from wherever the target was read. */
int ingest_result_note(struct ingest_result *res, enum ingest_notice_kind kind, const char *path, const char *text,
                       struct err *err);

/* For the spawner's builtin (sandbox/sandbox.h): runs "ingest-archive", "ingest-git" or "ingest-fetch" and gives
 * the exit status; -1 for any other name. */
int ingest_builtin(const char *name);

#endif
