#include "ingest/ingest_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TELL_EVERY_NS (200 * NS_PER_MS)
#define TICKS_PER_LOOK 64
#define FITS_EVERY ((uint64_t)16 << 20)

/* Length of the UTF-8 sequence at s (no surrogates, nothing overlong), 0 if there is none. */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
        return 0;
    return n;
}

/* For people: bytes that are no text as %XX. */
static char *printable(const char *path)
{
    struct strbuf b = STRBUF_INIT_MAX(16384);
    strbuf_puts(&b, "");
    for (const unsigned char *s = (const unsigned char *)path; *s;) {
        size_t n = *s < 0x20 || *s == 0x7f ? 0 : utf8_length(s);
        if (n)
            strbuf_append(&b, s, n);
        else
            strbuf_printf(&b, "%%%02X", *s);
        s += n ? n : 1;
    }
    return strbuf_take(&b, NULL);
}

int job_notice(struct ingest_job *j, enum ingest_notice_kind kind, const char *path,
               const char *fmt, ...)
{
    struct ingest_result *res = j->res;
    if (kind == INGEST_UNREADABLE || kind == INGEST_BOUND)
        res->incomplete = true;
    if (kind == INGEST_FILTERED)
        res->filtered++;
    if (res->notices_count == NOTICES_MAX) {
        res->notices_dropped++;
        return 0;
    }
    if (!res->notices) {
        res->notices = mem_calloc(NOTICES_MAX, sizeof *res->notices);
        if (!res->notices)
            return -ERR_NO_MEMORY;
    }
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct ingest_notice n = {kind, printable(path), mem_strdup(text)};
    if (!n.path || !n.text) {
        free(n.path);
        free(n.text);
        return -ERR_NO_MEMORY;
    }
    res->notices[res->notices_count++] = n;
    return 0;
}

int ingest_result_note(struct ingest_result *res, enum ingest_notice_kind kind, const char *path, const char *text,
                       struct err *err)
{
    struct ingest_job j = {.res = res};
    return job_notice(&j, kind, path, "%s", text) < 0 ? err_nomem(err) : 0;
}

int job_tick(struct ingest_job *j, struct err *err)
{
    if (j->ticks++ % TICKS_PER_LOOK)
        return 0;
    if (j->o->cancelled && j->o->cancelled(j->o->arg))
        return err_set(err, ERR_CANCELLED, "cancelled");
    int64_t now = j->o->progress ? os_mono_ns() : 0;
    if (j->o->progress && now - j->told_ns >= TELL_EVERY_NS) {
        struct ingest_progress p = {j->res->files, j->res->bytes};
        j->told_ns = now;
        j->o->progress(j->o->arg, &p);
    }
    return 0;
}

int job_admit(struct ingest_job *j, const char *path)
{
    if (j->stopped)
        return 0;
    if (j->entries == j->limits.entries_max) {
        j->stopped = true;
        return job_notice(j, INGEST_BOUND, path,
                          "over %llu entries: this and all after it left out",
                          (unsigned long long)j->limits.entries_max);
    }
    size_t depth = 1, len = strlen(path);
    for (const char *p = path; *p; p++)
        depth += *p == '/';
    if (len > j->limits.path_bytes_max)
        return job_notice(j, INGEST_BOUND, path, "a path over %llu bytes",
                          (unsigned long long)j->limits.path_bytes_max);
    if (depth > j->limits.depth_max + 1) /* folders above it */
        return job_notice(j, INGEST_BOUND, path, "over %llu folders deep",
                          (unsigned long long)j->limits.depth_max);
    j->entries++;
    return 1;
}

uint64_t job_take_bytes(struct ingest_job *j, const char *path, uint64_t n)
{
    uint64_t left = j->limits.total_bytes_max - j->res->bytes;
    if (n <= left)
        return n;
    if (!j->stopped)
        (void)job_notice(j, INGEST_BOUND, path, "over %llu bytes in all: the rest left out",
                         (unsigned long long)j->limits.total_bytes_max);
    j->stopped = true;
    return left;
}

int job_fits(struct ingest_job *j, bool end, struct err *err)
{
    if (!j->o->fits || (!end && j->res->bytes < j->looked_bytes + FITS_EVERY))
        return 0;
    j->looked_bytes = j->res->bytes;
    return j->o->fits(j->o->fits_arg, j->res->bytes, err);
}

bool link_stays_inside(const char *path, const char *target)
{
    size_t depth = 0;
    for (const char *p = path; *p; p++)
        depth += *p == '/';
    if (target[0] == '/' || !target[0])
        return false;
    bool named = false;
    for (const char *p = target; *p;) {
        const char *end = strchrnul(p, '/');
        size_t n = (size_t)(end - p);
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            if (named || depth == 0)
                return false;
            depth--;
        } else if (n && !(n == 1 && p[0] == '.')) {
            named = true;
        }
        p = *end ? end + 1 : end;
    }
    return true;
}

int job_add_dir(struct ingest_job *j, const char *path, struct err *err)
{
    return j->pack ? pack_dir(j->pack, path, err) : tree_add_dir(j->b, path, err);
}

int job_add_symlink(struct ingest_job *j, const char *path, const char *target, struct err *err)
{
    return j->pack ? pack_symlink(j->pack, path, target, err) : tree_add_symlink(j->b, path, target, err);
}

int job_file_begin(struct ingest_job *j, const char *path, bool executable, uint64_t size, struct err *err)
{
    return j->pack ? pack_file_begin(j->pack, path, executable, size, err) : tree_file_begin(j->b, path, executable, err);
}

int job_file_data(struct ingest_job *j, const void *data, size_t len, struct err *err)
{
    return j->pack ? pack_file_data(j->pack, data, len, err) : tree_file_data(j->b, data, len, err);
}

int job_file_end(struct ingest_job *j, struct err *err)
{
    return j->pack ? pack_file_end(j->pack, err) : tree_file_end(j->b, err);
}

int job_file_abort(struct ingest_job *j, struct err *err)
{
    if (j->pack)
        return pack_file_end(j->pack, err);
    tree_file_abort(j->b);
    return 0;
}

/* The file's bytes, as long as it said it was (or to its end, if it did not say). */
static int copy_bytes(struct ingest_job *j, int fd, const char *path, uint64_t size,
                      uint64_t *ret_done, struct err *read_err, struct err *err)
{
    uint64_t done = 0;
    size_t n = 1;
    int r = 0;
    while (n && (done < size || size == 0) && !j->stopped) {
        size_t want = size && size - done < COPY_BUFFER ? (size_t)(size - done) : COPY_BUFFER;
        if (os_read_full(fd, j->buf, want, &n, read_err) < 0)
            break;
        uint64_t take = job_take_bytes(j, path, n);
        r = take ? job_file_data(j, j->buf, (size_t)take, err) : 0;
        if (r == 0 && n >= COPY_BUFFER)
            r = job_tick(j, err);
        if (r < 0)
            return r;
        j->res->bytes += take;
        done += take;
        r = job_fits(j, false, err);
        if (r < 0)
            return r;
    }
    *ret_done = done;
    return 0;
}

int job_add_file(struct ingest_job *j, int fd, const char *path, struct err *err)
{
    struct stat before, after;
    struct err read_err = {0};
    uint64_t done = 0;
    if (fstat(fd, &before) < 0)
        return err_sys(err, errno, "stat %s", path);
    int r = job_file_begin(j, path, before.st_mode & 0111, (uint64_t)before.st_size, err);
    if (r < 0)
        return r;
    r = copy_bytes(j, fd, path, (uint64_t)before.st_size, &done, &read_err, err);
    if (r < 0)
        return r;
    if (read_err.code || j->stopped) {
        j->res->bytes -= done;
        r = job_file_abort(j, err);
        if (r < 0)
            return r;
        return read_err.code ? job_notice(j, INGEST_UNREADABLE, path, "%s", read_err.msg) : 0;
    }
    r = job_file_end(j, err);
    if (r < 0)
        return r;
    j->res->files++;
    if (fstat(fd, &after) == 0 && (after.st_size != before.st_size ||
                                   done < (uint64_t)before.st_size ||
                                   after.st_mtim.tv_sec != before.st_mtim.tv_sec ||
                                   after.st_mtim.tv_nsec != before.st_mtim.tv_nsec))
        return job_notice(j, INGEST_CHANGED, path, "changed while it was read");
    return 0;
}
