/* What the kinds of targets share: bounds, notices, progress. */
#ifndef FF_INGEST_INGEST_INTERNAL_H
#define FF_INGEST_INGEST_INTERNAL_H

#include "base/strbuf.h"
#include "ingest/ingest.h"
#include "ingest/pack.h"

#define NOTICES_MAX 1000
#define COPY_BUFFER ((size_t)256 << 10)

/* Adds context, keeping the code also where err is NULL. */
#define WRAP(r, err, ...) ((err) ? err_wrap(err, __VA_ARGS__) : (r))

struct ingest_job {
    struct store *s;
    const struct ingest_options *o;
    struct ingest_limits limits; /* no zeros */
    struct tree_builder *b;
    struct pack *pack; /* where entries go instead of the builder: of a folder that is sent away; or NULL */
    struct ingest_result *res;
    uint64_t entries;
    bool stopped; /* a bound of the whole was met: no more entries */
    char *buf;    /* COPY_BUFFER */
    uint64_t ticks;
    uint64_t looked_bytes; /* when it was last asked whether they fit */
    int64_t told_ns;
};

/* With the defaults where nothing is said. */
struct ingest_limits ingest_limits_of(const struct ingest_limits *l);
/* Keeps a notice (path as raw bytes; may be "") and marks the result. */
int job_notice(struct ingest_job *j, enum ingest_notice_kind kind, const char *path,
               const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Now and then: progress, and -ERR_CANCELLED. Cheap. */
int job_tick(struct ingest_job *j, struct err *err);
/* May another entry with this path be added? 1 yes; 0 no, with a notice (and stopped set, if it is
 * a bound of the whole). */
int job_admit(struct ingest_job *j, const char *path);
/* How many of n bytes may still be taken: fewer sets stopped, with a notice. */
uint64_t job_take_bytes(struct ingest_job *j, const char *path, uint64_t n);
/* Is there room for what was taken? Asked again after some megabytes, and at the end. */
int job_fits(struct ingest_job *j, bool end, struct err *err);
/* Does a link at path to target stay inside the tree? Only leading ".." are allowed, because what
 * follows a name that is itself a link could be anywhere. */
bool link_stays_inside(const char *path, const char *target);
/* An entry into the tree, or into the pack. */
int job_add_dir(struct ingest_job *j, const char *path, struct err *err);
int job_add_symlink(struct ingest_job *j, const char *path, const char *target, struct err *err);
/* A file, in pieces; size: as it will have been, which a pack has to say first. */
int job_file_begin(struct ingest_job *j, const char *path, bool executable, uint64_t size, struct err *err);
int job_file_data(struct ingest_job *j, const void *data, size_t len, struct err *err);
int job_file_end(struct ingest_job *j, struct err *err);
/* Instead of the end. What was sent cannot be taken back: it stays in the pack, filled up with zeros. */
int job_file_abort(struct ingest_job *j, struct err *err);
/* The last part of a path, as a name for people; NULL: no memory. */
char *ingest_short_name(const char *path);
/* Takes all of a regular file into the tree. */
int job_add_file(struct ingest_job *j, int fd, const char *path, struct err *err);

/* The kinds. Each fills the builder; the caller finishes it. */
int ingest_folder(struct ingest_job *j, int dirfd, struct err *err);

#endif
