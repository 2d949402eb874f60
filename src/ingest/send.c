/* A target of this machine as bytes for another: a file as it is, a folder, or what a repository holds, as a tar that a thread
 * makes while it is read. */
#include "ingest/ingest_internal.h"
#include "ingest/pack.h"
#include "ingest/readers.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

struct ingest_sender {
    struct ingest_options options;
    struct ingest_result res;
    int from;    /* the file; of a folder: the pipe's end */
    int to, dir; /* the thread's: pipe, folder */
    char *repository; /* NULL: none */
    bool packed, started, joined;
    pthread_t thread;
    int r; /* of the thread */
    struct err err;
};

static int write_pipe(void *arg, const void *data, size_t len, struct err *err)
{
    struct ingest_sender *s = arg;
    return os_write_full(s->to, data, len, err);
}

static int pack_all(struct ingest_sender *s, struct err *err)
{
    struct pack pack = {.write = write_pipe, .arg = s};
    struct ingest_job j = {.o = &s->options, .limits = ingest_limits_of(&s->options.limits), .res = &s->res, .pack = &pack};
    j.buf = mem_alloc(COPY_BUFFER);
    int r = j.buf ? pack_dir(&pack, "./", err) : err_nomem(err); /* so that an empty folder is a tar too */
    if (r == 0)
        r = s->repository ? ingest_git(&j, s->repository, err) : ingest_folder(&j, s->dir, err);
    if (r == -ERR_NO_MEMORY)
        err_nomem(err);
    if (r == 0)
        r = pack_end(&pack, err);
    free(j.buf);
    return r;
}

static void *run(void *arg)
{
    struct ingest_sender *s = arg;
    s->r = pack_all(s, &s->err);
    close(s->to);
    s->to = -1;
    return NULL;
}

static int start(struct ingest_sender *s, struct err *err)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_sys(err, errno, "make a pipe");
    (void)fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
    s->dir = s->from;
    s->from = p[0];
    s->to = p[1];
    int e = pthread_create(&s->thread, NULL, run, s);
    s->started = e == 0;
    return e ? err_sys(err, e, "start a thread") : 0;
}

/* Of a folder: does it stand for a repository? *ret: that one's path; NULL: for itself. */
static int find_repository(int fd, const char *real, bool url, char **ret, struct err *err)
{
    bool bare = looks_like_bare_repository(fd);
    *ret = NULL;
    if (!bare && !url)
        return 0;
    _cleanup_free_ char *path = bare ? mem_strdup(real) : os_path_join(real, ".git");
    if (!path)
        return err_nomem(err);
    *ret = os_is_dir(path) ? TAKE_PTR(path) : NULL; /* a URL means what is committed, not the work tree */
    return 0;
}

/* The path that is meant, links resolved. *ret_url: by a file:// URL. */
static int real_path_of(const char *spec, char **ret, bool *ret_url, struct err *err)
{
    _cleanup_free_ char *path = NULL;
    *ret_url = looks_like_url(spec) && !os_exists(spec);
    int r = *ret_url ? git_url_path(spec, &path, err) : 0;
    if (r == -ERR_UNIMPLEMENTED)
        return err_set(err, ERR_UNIMPLEMENTED, "%.200s is on another machine", spec);
    return r < 0 ? r : os_real_path(path ? path : spec, ret, err);
}

bool ingest_is_repository(const char *spec)
{
    _cleanup_free_ char *real = NULL, *repository = NULL;
    _cleanup_close_ int fd = -1;
    bool url;
    return real_path_of(spec, &real, &url, NULL) == 0 && os_is_dir(real) && os_open(real, O_RDONLY, 0, &fd, NULL) == 0 &&
           find_repository(fd, real, url, &repository, NULL) == 0 && repository;
}

static int open_target(struct ingest_sender *s, const char *spec, struct err *err)
{
    struct stat st;
    _cleanup_free_ char *real = NULL;
    bool url;
    int r = real_path_of(spec, &real, &url, err);
    if (r == 0)
        r = os_open(real, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &s->from, err);
    if (r < 0)
        return err_wrap(err, "target");
    if (fstat(s->from, &st) < 0)
        return err_sys(err, errno, "stat %s", real);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "target: %s is neither a file nor a folder", spec);
    s->packed = S_ISDIR(st.st_mode);
    s->res.bytes = s->packed ? 0 : (uint64_t)st.st_size;
    if (!(s->res.name = ingest_short_name(real)))
        return err_nomem(err);
    r = s->packed ? find_repository(s->from, real, url, &s->repository, err) : 0;
    s->res.kind = s->repository ? "git" : s->packed ? "folder" : st.st_mode & 0111 ? "executable" : "file";
    return r;
}

int ingest_sender_new(const char *spec, const struct ingest_options *o, struct ingest_sender **ret, struct err *err)
{
    struct ingest_sender *s = mem_zalloc(sizeof *s);
    if (!s)
        return err_nomem(err);
    *s = (struct ingest_sender){.options = *o, .res.kind = "", .from = -1, .to = -1, .dir = -1};
    int r = open_target(s, spec, err);
    if (r == 0 && s->packed)
        r = start(s, err);
    if (r < 0)
        ingest_sender_free(s);
    else
        *ret = s;
    return r;
}

static void join(struct ingest_sender *s)
{
    if (s->started && !s->joined)
        pthread_join(s->thread, NULL);
    s->joined = true;
}

int ingest_sender_read(struct ingest_sender *s, void *buf, size_t size, size_t *ret_len, struct err *err)
{
    ssize_t n;
    do
        n = read(s->from, buf, size);
    while (n < 0 && errno == EINTR && !(s->options.cancelled && s->options.cancelled(s->options.arg)));
    if (n < 0)
        return err_sys(err, errno, "read the target");
    *ret_len = (size_t)n;
    if (n == 0 && s->packed) {
        join(s);
        return s->r < 0 ? err_copy(err, &s->err) : 0;
    }
    return 0;
}

const struct ingest_result *ingest_sender_result(const struct ingest_sender *s)
{
    return &s->res;
}

void ingest_sender_free(struct ingest_sender *s)
{
    if (!s)
        return;
    if (s->from >= 0)
        close(s->from); /* the thread finds nobody who reads */
    join(s);
    if (s->to >= 0)
        close(s->to);
    if (s->dir >= 0)
        close(s->dir);
    ingest_result_release(&s->res);
    free(s->repository);
    free(s);
}
