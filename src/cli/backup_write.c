/* Writing a backup: databases by copies, all else as it lies there, nothing in memory. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/backup.h"
#include "cli/share.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/library.h"
#include "os/sqlite_copy.h"
#include "version.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)128 << 10)
#define DEPTH_MAX 32
#define COPY_TRIES 20 /* the holder may change */
#define COPY_PAUSE_MS 250

#define ARCHIVE_CALLS(X)                                                                                           \
    X(archive_entry_free) X(archive_entry_new) X(archive_entry_set_filetype) X(archive_entry_set_mtime)            \
    X(archive_entry_set_pathname) X(archive_entry_set_perm) X(archive_entry_set_size) X(archive_error_string)      \
    X(archive_write_add_filter_zstd) X(archive_write_close) X(archive_write_data) X(archive_write_free)            \
    X(archive_write_header) X(archive_write_new) X(archive_write_open)                                             \
    X(archive_write_set_bytes_in_last_block) X(archive_write_set_bytes_per_block) X(archive_write_set_filter_option) \
    X(archive_write_set_format_pax_restricted)
static struct {
    ARCHIVE_CALLS(OS_LIBRARY_FIELD)
} lib;

const struct backup_part backup_parts[] = {
    {"events.db", BACKUP_SQLITE},   {"access.db", BACKUP_SQLITE},      {"state.db", BACKUP_ENGINE},
    {"store/index.db", BACKUP_SQLITE}, {"store/files", BACKUP_TREE},   {"audit", BACKUP_TREE},
    {"token", BACKUP_FILE},         {"config.yaml", BACKUP_FILE},      {"suppressions.json", BACKUP_FILE},
    {".gitignore", BACKUP_FILE},    {"workflows", BACKUP_TREE},        {"modules", BACKUP_TREE},
    {NULL, BACKUP_FILE},
};

struct writer {
    struct app *app;
    struct archive *archive;
    struct sha256 hash;
    char *tmp; /* for the copies: state folder/tmp/ID */
    int sums;  /* a file there: the lines of SHA256SUMS */
    char *piece;
    struct backup_count *count;
    backup_put *put;
    void *put_arg;
    struct err put_err; /* of put */
};

static int failed(struct writer *w, const char *name, struct err *err)
{
    const char *why = lib.archive_error_string(w->archive);
    if (w->put_err.code)
        return err_copy(err, &w->put_err);
    enum err_code code = errno == ENOSPC ? ERR_NO_SPACE : ERR_IO;
    return err_set(err, code, "write %s: %s", name, why && *why ? why : strerror(errno));
}

static int add_header(struct writer *w, const char *name, const struct stat *st, struct err *err)
{
    struct archive_entry *e = lib.archive_entry_new();
    if (!e)
        return err_nomem(err);
    lib.archive_entry_set_pathname(e, name);
    lib.archive_entry_set_filetype(e, AE_IFREG);
    lib.archive_entry_set_perm(e, st->st_mode & 0777);
    lib.archive_entry_set_size(e, st->st_size);
    lib.archive_entry_set_mtime(e, st->st_mtim.tv_sec, 0);
    int r = lib.archive_write_header(w->archive, e) < ARCHIVE_WARN ? failed(w, name, err) : 0;
    lib.archive_entry_free(e);
    return r;
}

/* As many bytes as it had at the beginning: what is appended meanwhile belongs to later. */
static int add_fd(struct writer *w, int fd, const char *name, bool summed, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "stat %s", name);
    int r = add_header(w, name, &st, err);
    uint64_t left = (uint64_t)st.st_size, at = 0;
    sha256_begin(&w->hash);
    while (r == 0 && left > 0) {
        size_t n = 0, want = left < PIECE ? (size_t)left : PIECE;
        r = os_pread_full(fd, w->piece, want, at, &n, err);
        if (r == 0 && n < want)
            r = err_set(err, ERR_BUSY, "%s became shorter while it was read", name);
        if (r == 0 && lib.archive_write_data(w->archive, w->piece, n) != (la_ssize_t)n)
            r = failed(w, name, err);
        sha256_add(&w->hash, w->piece, n);
        at += n;
        left -= n;
    }
    w->count->files++;
    w->count->bytes += at;
    return r == 0 && summed ? backup_sum(&w->hash, name, w->sums, err) : r;
}

static int add_copy(struct writer *w, const char *path, const char *name, struct err *err)
{
    _cleanup_close_ int fd = -1;
    int r = os_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, err);
    if (r == 0)
        r = add_fd(w, fd, name, true, err);
    os_unlink(path, true, NULL);
    return r;
}

static int add_file(struct writer *w, int dirfd, const char *base, const char *name, struct err *err)
{
    _cleanup_close_ int fd = -1;
    int r = os_openat(dirfd, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd, err);
    if (r == -ERR_NOT_FOUND)
        return 0; /* a pack that went meanwhile, say: nothing refers to it */
    return r < 0 ? r : add_fd(w, fd, name, true, err);
}

static int add_tree(struct writer *w, int fd, const char *name, int depth, struct err *err)
{
    DIR *d = fdopendir(fd); /* takes fd */
    struct dirent *e;
    int r = 0;
    if (!d) {
        close(fd);
        return err_sys(err, errno, "read %s", name);
    }
    while (r == 0 && (errno = 0, e = readdir(d))) {
        struct stat st;
        _cleanup_free_ char *below = os_path_join(name, e->d_name);
        if (!below)
            r = err_nomem(err);
        else if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        else if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            r = errno == ENOENT ? 0 : err_sys(err, errno, "read %s", below); /* gone meanwhile */
        else if (S_ISREG(st.st_mode) && backup_name_ok(below))
            r = add_file(w, dirfd(d), e->d_name, below, err);
        else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
            int sub;
            r = os_openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &sub, err);
            r = r < 0 ? r : add_tree(w, sub, below, depth + 1, err);
        } else
            log_warn("%s is left out of the backup: it is no file", below);
    }
    if (r == 0 && errno)
        r = err_sys(err, errno, "read %s", name);
    closedir(d);
    return r;
}

/* Who holds the engine may change meanwhile. */
static int copy_engine(struct writer *w, const char *to, struct err *err)
{
    const char *id = strrchr(w->tmp, '/') + 1;
    int r = -ERR_UNAVAILABLE;
    for (int i = 0; r == -ERR_UNAVAILABLE && i < COPY_TRIES; i++) {
        if (i > 0)
            os_sleep_ms(COPY_PAUSE_MS);
        os_unlink(to, true, NULL);
        r = share_copy(w->app->share, id, err);
    }
    return r;
}

static int add_part(struct writer *w, const struct backup_part *p, struct err *err)
{
    const char *base = strrchr(p->name, '/') ? strrchr(p->name, '/') + 1 : p->name;
    _cleanup_free_ char *path = os_path_join(w->app->state_dir, p->name), *copy = os_path_join(w->tmp, base);
    struct stat st;
    int fd, r;
    if (!path || !copy)
        return err_nomem(err);
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "read %s", path);
    switch (p->kind) {
    case BACKUP_FILE:
        return add_file(w, AT_FDCWD, path, p->name, err);
    case BACKUP_TREE:
        r = os_open(path, O_RDONLY | O_DIRECTORY, 0, &fd, err);
        return r < 0 ? r : add_tree(w, fd, p->name, 0, err);
    case BACKUP_SQLITE:
        r = sqlite_copy_file(path, copy, err);
        return r < 0 ? r : add_copy(w, copy, p->name, err);
    case BACKUP_ENGINE:
        r = w->app->share ? copy_engine(w, copy, err) : 1;
        return r != 0 ? (r < 0 ? r : 0) : add_copy(w, copy, p->name, err);
    }
    return 0;
}

/* backup.json, by way of a file, as all else. */
static int add_about(struct writer *w, struct err *err)
{
    char now[32];
    _cleanup_free_ char *path = os_path_join(w->tmp, BACKUP_ABOUT);
    _cleanup_json_ json_t *j = json_pack(
        "{s:s, s:i, s:s, s:s, s:s, s:s, s:s}", "kind", "fuzzforge-backup", "format", BACKUP_FORMAT, "made_at",
        os_format_time(os_now_ns(), now), "version", FF_VERSION, "state", w->app->state_dir, "engine",
        config_get(&w->app->config, CONFIG_engine), "store", config_get(&w->app->config, CONFIG_store));
    _cleanup_free_ char *text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
    if (!path || !text)
        return err_nomem(err);
    int r = os_write_file_atomic(path, text, strlen(text), 0600, err);
    return r < 0 ? r : add_copy(w, path, BACKUP_ABOUT, err);
}

static la_ssize_t put_bytes(struct archive *a, void *arg, const void *data, size_t len)
{
    struct writer *w = arg;
    (void)a;
    return !w->put_err.code && w->put(w->put_arg, data, len, &w->put_err) == 0 ? (la_ssize_t)len : -1;
}

static int open_writer(struct writer *w, struct err *err)
{
    static const struct os_symbol calls[] = {ARCHIVE_CALLS(OS_LIBRARY_ENTRY)};
    int r = os_library_load(BACKUP_LIBRARY, calls, ARRAY_LEN(calls), err);
    if (r < 0)
        return r;
    w->piece = mem_alloc(PIECE);
    w->archive = lib.archive_write_new();
    if (!w->piece || !w->archive)
        return err_nomem(err);
    if (lib.archive_write_set_format_pax_restricted(w->archive) != ARCHIVE_OK ||
        lib.archive_write_add_filter_zstd(w->archive) != ARCHIVE_OK ||
        lib.archive_write_set_filter_option(w->archive, "zstd", "compression-level", "1") != ARCHIVE_OK ||
        lib.archive_write_set_bytes_in_last_block(w->archive, 1) != ARCHIVE_OK || /* a pipe is no tape */
        lib.archive_write_set_bytes_per_block(w->archive, PIECE) != ARCHIVE_OK ||
        lib.archive_write_open(w->archive, w, NULL, put_bytes, NULL) != ARCHIVE_OK)
        return failed(w, "the backup", err);
    _cleanup_free_ char *sums = os_path_join(w->tmp, BACKUP_SUMS);
    return sums ? os_open(sums, O_RDWR | O_CREAT | O_EXCL, 0600, &w->sums, err) : err_nomem(err);
}

static int write_all(struct writer *w, struct err *err)
{
    int r = add_about(w, err);
    for (const struct backup_part *p = backup_parts; r == 0 && p->name; p++)
        r = add_part(w, p, err);
    if (r == 0)
        r = add_fd(w, w->sums, BACKUP_SUMS, false, err);
    if (r == 0 && lib.archive_write_close(w->archive) != ARCHIVE_OK)
        r = failed(w, "the backup", err);
    return r;
}

int backup_write(struct app *app, backup_put *put, void *arg, struct backup_count *ret, struct err *err)
{
    struct writer w = {.app = app, .sums = -1, .count = ret, .put = put, .put_arg = arg};
    struct store_hold hold = {0};
    int tmp_fd = -1;
    *ret = (struct backup_count){0};
    int r = share_tmp_dir(app->state_dir, &w.tmp, &tmp_fd, err);
    if (r == 0)
        r = open_writer(&w, err);
    if (r == 0 && app->store && strcmp(config_get(&app->config, CONFIG_store), "local") == 0)
        r = store_hold(app->store, &hold, err);
    if (r == 0)
        r = write_all(&w, err);
    store_hold_release(&hold);
    if (r < 0) /* the library would end the archive in order: nobody is to take it for a whole one */
        w.put_err.code = -r;
    if (w.archive)
        lib.archive_write_free(w.archive);
    if (w.sums >= 0)
        close(w.sums);
    if (w.tmp)
        os_remove_tree(w.tmp, NULL);
    if (tmp_fd >= 0)
        close(tmp_fd);
    sha256_release(&w.hash);
    free(w.piece);
    free(w.tmp);
    return r;
}
