/* Programs that a fuzzing module starts inside its sandbox: compilers, engines, targets. What they run is hostile code.
 *
 * A child has its own session, a bounded pipe for its output, no standard input, and by Landlock only the folders that it is
 * given to write (sandbox_confine). The module is the reaper of all that they leave behind: fuzz_children_sweep() ends it. */
#ifndef FF_FUZZ_CHILD_H
#define FF_FUZZ_CHILD_H

#include "base/err.h"
#include "base/strbuf.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#define FUZZ_ARGS_MAX 256
#define FUZZ_FILE_MAX ((rlim_t)2 << 30) /* bytes of a file that a child which is confined may write */
#define FUZZ_TAIL_BYTES ((size_t)256 << 10) /* of a child's output that are remembered */

/* argv or env, built piece by piece. Texts are copied. */
struct fuzz_words {
    char *v[FUZZ_ARGS_MAX + 1]; /* NULL-terminated */
    size_t len;
    bool failed; /* no memory, or more than FUZZ_ARGS_MAX */
};
void fuzz_word(struct fuzz_words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fuzz_words_release(struct fuzz_words *w);

struct fuzz_command {
    struct fuzz_words argv, env; /* env: added to a small clean set */
    const char *cwd;             /* NULL: where we are */
    char extra[512];             /* room for the name of one of them */
    const char *writable[8];     /* folders it may write in; NULL-terminated; none at all: it is not confined */
    struct fuzz_words growing;   /* folders in which it may make files, and not remove them */
    struct fuzz_words inner;     /* folders in which alone the target that it starts may write; none: the two are one process */
    bool inner_by_name;          /* it starts the target, which it is itself, by its argv[0]; else by execv() (inner_wall.h) */
    bool quiet;                  /* its standard output is thrown away */
    int nice;
};
void fuzz_command_release(struct fuzz_command *c); /* argv, env, growing, inner */

struct fuzz_child {
    pid_t pid;   /* 0: none */
    int out_fd;  /* its standard error (and output); not blocking; -1: closed */
    int exit_fd; /* readable once it has ended; -1: the kernel tells it in no such way */
    int64_t started_ns, ended_ns;
    uint64_t output_bytes;
    struct strbuf tail; /* the last of its output */
    struct strbuf line; /* begun, for fuzz_child_read() */
    int status;         /* of waitpid, once it has ended */
};

void fuzz_child_init(struct fuzz_child *c);
void fuzz_child_release(struct fuzz_child *c); /* kills it */
int fuzz_child_start(struct fuzz_child *c, const struct fuzz_command *cmd, struct err *err);
/* The same for a function of ours, which gives its exit status: with low priority, and no folder to write in. What it
 * prints is its output. */
int fuzz_child_call(struct fuzz_child *c, int (*f)(void *arg), void *arg, struct err *err);
/* Takes what has come, at most a few megabytes at a call; line (may be NULL) gets each line. */
void fuzz_child_read(struct fuzz_child *c, void (*line)(void *arg, const char *text, size_t len), void *arg);
/* True when it has ended; c->status is set then, and the rest of its output read. */
bool fuzz_child_ended(struct fuzz_child *c, void (*line)(void *arg, const char *text, size_t len), void *arg);
void fuzz_child_kill(struct fuzz_child *c, int sig); /* its process group */
/* What to poll for its output and its end: at most two. Gives how many there are. */
nfds_t fuzz_child_poll(const struct fuzz_child *c, struct pollfd *ret);

/* Runs one to its end. stop_at_ns: killed then (os_mono_ns()). *ret_late: it was. */
int fuzz_child_run(const struct fuzz_command *cmd, int64_t stop_at_ns, struct fuzz_child *ret, bool *ret_late, struct err *err);

/* Can a process here stop another one and read its registers, as LeakSanitizer must? */
bool fuzz_can_inspect(void);
/* From now on this process inherits what its children leave. */
void fuzz_children_adopt(void);
/* Kills every child of this process that is none of these (0-terminated). Gives how many there were. */
int fuzz_children_sweep(const pid_t *known);

#endif
