/* The lock that makes a state belong to one process: see embedded.h for what it promises. */
#ifndef FF_ENGINE_LOCKFILE_H
#define FF_ENGINE_LOCKFILE_H

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

struct lockfile {
    int fd; /* -1: not held */
    dev_t dev;
    ino_t ino;
    pid_t pid; /* whose lock it is: a forked child has a copy of this, but not the lock */
    struct lockfile *next; /* of this process's */
};

/* Takes "<path>.lock" and writes "PID COMMAND" in it, waiting up to wait_ms for another holder
 * to leave. -ERR_BUSY with "held by pid N (command)". l stays where it is until
 * lockfile_release(). */
int lockfile_take(struct lockfile *l, const char *path, int64_t wait_ms, struct err *err);
/* -ERR_BUSY, in the same words, when somebody holds it now. Takes nothing and writes nothing. */
int lockfile_check(const char *path, struct err *err);
void lockfile_release(struct lockfile *l);
/* "PID COMMAND" of this process: what is written into the file. */
void lockfile_text(char *buf, size_t size);

#endif
