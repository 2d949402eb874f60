/* A target that arrives in pieces. What is no archive goes into the store as it comes; an archive is kept in a file without
 * a name first, which the kernel takes away however this process ends, because its readers want to seek. */
#include "ingest/ingest_internal.h"
#include "ingest/readers.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HEAD_BYTES 512 /* what tells an archive */

struct ingest_upload {
    struct ingest_job job;
    struct ingest_result res;
    struct ingest_options options;
    int fd;     /* of the archive; -1: none */
    bool known; /* what it is */
    bool open;  /* the one file is being written */
    bool named;
    uint64_t written; /* into fd */
    char head[HEAD_BYTES];
    size_t head_len;
};

/* The last part of the name, as a path of one part. */
static char *plain_name(const char *name)
{
    const char *slash = strrchr(name, '/'), *back = strrchr(name, '\\');
    const char *last = slash && (!back || slash > back) ? slash + 1 : back ? back + 1 : name;
    if (!*last || strcmp(last, ".") == 0 || strcmp(last, "..") == 0 || strlen(last) > 255)
        last = "upload";
    return mem_strdup(last);
}

int ingest_upload_new(struct store *s, const char *name, const struct ingest_options *o, struct ingest_upload **ret,
                      struct err *err)
{
    struct ingest_upload *u = mem_zalloc(sizeof *u);
    if (!u)
        return err_nomem(err);
    u->fd = -1;
    u->options = *o;
    u->res.kind = "";
    u->job = (struct ingest_job){.s = s, .o = &u->options, .limits = ingest_limits_of(&o->limits), .res = &u->res};
    if (o->folder || o->git) { /* bound as what it was made of */
        u->job.limits.archive_entries_max = u->job.limits.entries_max;
        u->job.limits.archive_bytes_max = u->job.limits.archive_ratio_max = UINT64_MAX;
    }
    u->job.buf = mem_alloc(COPY_BUFFER);
    u->res.name = plain_name(name);
    int r = u->job.buf && u->res.name ? tree_builder_new(s, &u->job.b, err) : err_nomem(err);
    if (r < 0) {
        ingest_upload_free(u);
        return r;
    }
    *ret = u;
    return 0;
}

static int write_file(struct ingest_upload *u, const void *data, size_t len, struct err *err)
{
    uint64_t take = job_take_bytes(&u->job, u->res.name, len);
    u->res.bytes += take;
    int r = take && u->open ? tree_file_data(u->job.b, data, (size_t)take, err) : 0;
    return r < 0 ? r : job_fits(&u->job, false, err);
}

static int write_spool(struct ingest_upload *u, const void *data, size_t len, struct err *err)
{
    u->written += len;
    if (u->written > u->job.limits.total_bytes_max)
        return err_set(err, ERR_LIMIT, "the archive has over %llu bytes",
                       (unsigned long long)u->job.limits.total_bytes_max);
    return os_write_full(u->fd, data, len, err);
}

/* The beginning is there, or all of it. */
static int decide(struct ingest_upload *u, struct err *err)
{
    u->known = true;
    bool archive = archive_begins(u->head, u->head_len, u->res.name, &u->named);
    bool packed = u->options.folder || u->options.git;
    if (archive || packed) {
        u->res.kind = u->options.git ? "git" : packed ? "folder" : "archive";
        u->named = u->named || packed;
        int r = os_open_nameless(u->options.tmp_dir ? u->options.tmp_dir : "/tmp", &u->fd, err);
        return r < 0 ? r : write_spool(u, u->head, u->head_len, err);
    }
    u->res.kind = "file";
    int r = job_admit(&u->job, u->res.name);
    if (r <= 0)
        return r < 0 ? err_nomem(err) : 0;
    r = tree_file_begin(u->job.b, u->res.name, u->options.executable, err);
    u->open = r == 0;
    return r < 0 ? r : write_file(u, u->head, u->head_len, err);
}

int ingest_upload_write(struct ingest_upload *u, const void *data, size_t len, struct err *err)
{
    const char *p = data;
    if (!u->known) {
        size_t n = HEAD_BYTES - u->head_len < len ? HEAD_BYTES - u->head_len : len;
        memcpy(u->head + u->head_len, p, n);
        u->head_len += n;
        p += n;
        len -= n;
        int r = u->head_len == HEAD_BYTES ? decide(u, err) : 0;
        if (r < 0 || !len)
            return r;
    }
    return u->fd >= 0 ? write_spool(u, p, len, err) : write_file(u, p, len, err);
}

static int end_file(struct ingest_upload *u, struct err *err)
{
    if (!u->open)
        return 0;
    if (u->job.stopped) {
        tree_file_abort(u->job.b);
        u->res.bytes = 0;
        return 0;
    }
    int r = tree_file_end(u->job.b, err);
    u->res.files += r == 0;
    return r;
}

static int take_archive(struct ingest_upload *u, struct err *err)
{
    enum members_end end;
    if (lseek(u->fd, 0, SEEK_SET) < 0)
        return err_sys(err, errno, "read it again");
    int r = ingest_archive(&u->job, u->fd, u->named, &end, err);
    if (r < 0 || end != MEMBERS_NOT_ONE || u->options.folder || u->options.git)
        return r;
    if (lseek(u->fd, 0, SEEK_SET) < 0)
        return err_sys(err, errno, "read it again");
    u->res.kind = "file";
    r = job_admit(&u->job, u->res.name);
    return r == 1 ? job_add_file(&u->job, u->fd, u->res.name, err) : r < 0 ? err_nomem(err) : 0;
}

int ingest_upload_finish(struct ingest_upload *u, struct ingest_result *ret, struct err *err)
{
    int r = u->known ? 0 : decide(u, err);
    if (r == 0)
        r = u->fd >= 0 ? take_archive(u, err) : end_file(u, err);
    if (r == -ERR_NO_MEMORY)
        err_nomem(err);
    if (r == 0)
        r = job_fits(&u->job, true, err);
    if (r == 0)
        r = tree_builder_finish(u->job.b, &u->res.tree, err);
    if (r < 0)
        return r;
    *ret = u->res;
    u->res = (struct ingest_result){.kind = ""};
    return 0;
}

void ingest_upload_free(struct ingest_upload *u)
{
    if (!u)
        return;
    tree_builder_free(u->job.b);
    free(u->job.buf);
    ingest_result_release(&u->res);
    if (u->fd >= 0)
        close(u->fd);
    free(u);
}
