/* Archives: recognised here, read in the sandbox. */
#include "ingest/readers.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

/* No honest archive within the bounds takes as long; a reader that was taken over ends here at the
 * latest. */
#define READER_CPU_MS (10 * 60 * 1000)
#define READER_WALL_MS (20 * 60 * 1000)
#define READER_MEMORY ((uint64_t)768 << 20) /* xz and zstd with large windows */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n > m && strcasecmp(s + n - m, end) == 0;
}

bool archive_begins(const char *head, size_t n, const char *name, bool *ret_named)
{
    static const char *const names[] = {
        ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst",
        ".tar.lz4", ".tar.lzma", ".tar.Z", ".zip", ".7z", ".jar", ".war", ".ear", ".apk", ".whl", ".gem", ".crate"};
    static const struct {
        const char *bytes;
        size_t len, at;
    } magics[] = {{"PK\3\4", 4, 0}, {"PK\5\6", 4, 0}, {"ustar", 5, 257}, {"\x1f\x8b\x08", 3, 0},
                  {"BZh", 3, 0},
                  {"7z\xbc\xaf\x27\x1c", 6, 0}, {"\xfd" "7zXZ", 5, 0}, {"\x28\xb5\x2f\xfd", 4, 0}, {"\x04\x22\x4d\x18", 4, 0}};
    *ret_named = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (ends_with(name, names[i]))
            *ret_named = true;
    for (size_t i = 0; i < ARRAY_LEN(magics); i++)
        if (n >= magics[i].at + magics[i].len &&
            memcmp(head + magics[i].at, magics[i].bytes, magics[i].len) == 0)
            return true;
    return *ret_named && n > 0;
}

bool looks_like_archive(int fd, const char *name, bool *ret_named)
{
    char head[512];
    ssize_t n = pread(fd, head, sizeof head, 0);
    return archive_begins(head, n > 0 ? (size_t)n : 0, name, ret_named);
}

/* Waits for the sandboxed reader, on a thread of its own: whoever else uses the spawner may be the
 * one who hears of its end. */
struct runner {
    struct spawner *spawner;
    const struct sandbox_plan *plan;
    int in, out, null;
    struct sandbox_result result;
    int r;
    struct err err;
};

static void *run_reader(void *arg)
{
    struct runner *x = arg;
    x->r = sandbox_run(x->spawner, x->plan, x->in, x->out, x->null, &x->result, &x->err);
    close(x->out); /* the last copy of ours: now the end of the stream is seen */
    return NULL;
}

/* Says why the reader ended, if it was not by itself. */
static int judge_end(struct ingest_job *j, const struct runner *x, bool stopped, struct err *err)
{
    if (x->r < 0)
        return err_copy(err, &x->err);
    const struct sandbox_result *res = &x->result;
    if (res->end == SANDBOX_SETUP_FAILED)
        return err_copy(err, &res->err);
    if (stopped || (res->end == SANDBOX_EXITED && res->status == 0))
        return 0;
    if (res->end == SANDBOX_LIMIT)
        return job_notice(j, INGEST_UNREADABLE, "", "the reader was stopped: over its limit of %s",
                          res->limit);
    return job_notice(j, INGEST_UNREADABLE, "", "the reader ended by %s %d",
                      res->end == SANDBOX_EXITED ? "exit" : "signal", res->status);
}

int reader_run(struct ingest_job *j, const struct sandbox_plan *plan, int input_fd,
               const struct members_options *o, enum members_end *ret, struct err *err)
{
    int p[2];
    if (!j->o->spawner)
        return err_set(err, ERR_STATE, "there is no sandbox to read it in");
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || pipe2(p, O_CLOEXEC) < 0)
        return err_sys(err, errno, "make a pipe");
    (void)fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
    struct runner x = {j->o->spawner, plan, input_fd < 0 ? null : input_fd, p[1], null, {0}, 0,
                       {0}};
    pthread_t thread;
    int e = pthread_create(&thread, NULL, run_reader, &x);
    if (e) {
        close(p[0]);
        close(p[1]);
        return err_sys(err, e, "start a thread");
    }
    int r = members_take(j, p[0], o, ret, err);
    close(p[0]); /* a reader that has more to say gets EPIPE, and ends */
    pthread_join(thread, NULL);
    int ended = r == 0 ? judge_end(j, &x, *ret != MEMBERS_DONE || j->res->incomplete, err) : 0;
    return r < 0 ? r : ended;
}

int ingest_archive(struct ingest_job *j, int fd, bool named, enum members_end *ret, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "stat");
    struct members_options o = {.input_bytes = (uint64_t)st.st_size,
                                .entries_max = j->limits.archive_entries_max,
                                .bytes_max = j->limits.archive_bytes_max,
                                .ratio_max = j->limits.archive_ratio_max};
    struct sandbox_plan plan = {
        .own_code = true,
        .name = "ingest-archive",
        .builtin = "ingest-archive",
        .limits = {.memory_bytes = READER_MEMORY, .cpu_ms = READER_CPU_MS,
                   .wall_ms = READER_WALL_MS,
                   .disk_bytes = 1 << 20, .pids = 16, .files = 128},
    };
    int r = reader_run(j, &plan, fd, &o, ret, err);
    if (r == 0 && *ret == MEMBERS_NOT_ONE && named)
        r = job_notice(j, INGEST_UNREADABLE, "", "not an archive, though its name says so");
    return r;
}
