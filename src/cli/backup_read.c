/* Reading a backup: what it may hold is a short list, and every byte of it is compared with the sums at its end. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "cli/backup.h"
#include "codec/json.h"
#include "os/file.h"
#include "os/library.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)64 << 10)
#define NAME_MAX_BYTES 1024
#define NO_BACKUP "the file is no backup, or its beginning is damaged"
#define ABOUT_MAX ((size_t)64 << 10)

#define ARCHIVE_CALLS(X)                                                                                         \
    X(archive_entry_filetype) X(archive_entry_hardlink) X(archive_entry_pathname) X(archive_entry_perm)          \
    X(archive_entry_sparse_count)                                                                                \
    X(archive_error_string) X(archive_read_data) X(archive_read_free) X(archive_read_new)                        \
    X(archive_read_next_header) X(archive_read_open_fd) X(archive_read_support_filter_zstd)                      \
    X(archive_read_support_format_tar)
static struct {
    ARCHIVE_CALLS(OS_LIBRARY_FIELD)
} lib;

struct reader {
    struct archive *archive;
    const char *dir;     /* NULL: it is only checked */
    const char *tmp_dir; /* then: for what is looked at twice */
    struct sha256 hash;
    int sums; /* what SHA256SUMS has to be, as far as it goes */
    char *piece;
    struct backup_count *count;
};

static bool components_ok(const char *name)
{
    for (const char *p = name;;) {
        size_t n = strcspn(p, "/");
        if (n == 0 || n > 255 || (n == 1 && *p == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        if (!p[n])
            return true;
        p += n + 1;
    }
}

bool backup_name_ok(const char *name)
{
    if (strlen(name) > NAME_MAX_BYTES || strpbrk(name, "\n\r\\") || !components_ok(name))
        return false;
    if (strcmp(name, BACKUP_ABOUT) == 0)
        return true;
    for (const struct backup_part *p = backup_parts; p->name; p++) {
        size_t n = strlen(p->name);
        if (strncmp(name, p->name, n) == 0 && name[n] == (p->kind == BACKUP_TREE ? '/' : 0))
            return true;
    }
    return false;
}

static int damaged(struct reader *rd, struct err *err)
{
    const char *why = lib.archive_error_string(rd->archive);
    err_set(err, ERR_CORRUPT, "the backup is damaged or cut short: %s", why && *why ? why : "it ends too early");
    return err_hint(err, "nothing was changed");
}

int backup_sum(struct sha256 *h, const char *name, int sums_fd, struct err *err)
{
    unsigned char digest[SHA256_BYTES];
    char line[2 * SHA256_BYTES + 4];
    if (!sha256_end(h, digest))
        return err_nomem(err);
    for (size_t i = 0; i < SHA256_BYTES; i++)
        snprintf(line + 2 * i, 3, "%02x", digest[i]);
    _cleanup_free_ char *whole = mem_printf("%s  %s\n", line, name);
    return whole ? os_write_full(sums_fd, whole, strlen(whole), err) : err_nomem(err);
}

static bool all_zero(const char *p, size_t n)
{
    return n > 0 && p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* Holes of packs stay holes. */
static int write_piece(int fd, const char *p, size_t n, struct err *err)
{
    if (fd < 0)
        return 0;
    if (!all_zero(p, n))
        return os_write_full(fd, p, n, err);
    return lseek(fd, (off_t)n, SEEK_CUR) < 0 ? err_sys(err, errno, "seek") : 0;
}

static int read_bytes(struct reader *rd, int fd, struct err *err)
{
    uint64_t size = 0;
    sha256_begin(&rd->hash);
    for (;;) {
        la_ssize_t n = lib.archive_read_data(rd->archive, rd->piece, PIECE);
        if (n == ARCHIVE_RETRY)
            continue;
        if (n < 0)
            return damaged(rd, err);
        if (n == 0)
            break;
        int r = write_piece(fd, rd->piece, (size_t)n, err);
        if (r < 0)
            return r;
        sha256_add(&rd->hash, rd->piece, (size_t)n);
        size += (uint64_t)n;
    }
    rd->count->files++;
    rd->count->bytes += size;
    return fd >= 0 && ftruncate(fd, (off_t)size) < 0 ? err_sys(err, errno, "write") : 0;
}

/* The first member says whether the others are understood. */
static int check_about(int fd, struct err *err)
{
    _cleanup_free_ char *text = mem_alloc(ABOUT_MAX);
    _cleanup_json_ json_t *j = NULL;
    size_t len = 0;
    if (!text)
        return err_nomem(err);
    int r = os_pread_full(fd, text, ABOUT_MAX, 0, &len, err);
    if (r == 0)
        r = json_parse(text, len, ABOUT_MAX, &j, err);
    if (r < 0 || strcmp(json_str(j, "kind", ""), "fuzzforge-backup") != 0)
        return err_set(err, ERR_INVALID, NO_BACKUP);
    if (json_i64(j, "format", 0) == BACKUP_FORMAT)
        return 0;
    err_set(err, ERR_STATE, "the backup has format %lld, this ff reads %d", (long long)json_i64(j, "format", 0), BACKUP_FORMAT);
    return err_hint(err, "ff %.60s wrote it: use that one", json_str(j, "version", "?"));
}

static int make_file(const struct reader *rd, struct archive_entry *e, const char *name, int *ret_fd, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(rd->dir, name);
    if (!path)
        return err_nomem(err);
    char *slash = strrchr(path, '/');
    *slash = 0;
    int r = os_mkdirs(path, 0755, err);
    *slash = '/';
    mode_t mode = (lib.archive_entry_perm(e) & 0755) | 0600;
    return r < 0 ? r : os_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode, ret_fd, err);
}

static int read_member(struct reader *rd, struct archive_entry *e, const char *name, bool first, struct err *err)
{
    _cleanup_close_ int fd = -1;
    int r = 0;
    if (first)
        r = os_open_nameless(rd->dir ? rd->dir : rd->tmp_dir, &fd, err);
    else if (rd->dir)
        r = make_file(rd, e, name, &fd, err);
    if (r == 0)
        r = read_bytes(rd, fd, err);
    if (r == 0)
        r = backup_sum(&rd->hash, name, rd->sums, err);
    return r == 0 && first ? check_about(fd, err) : r;
}

static int compare_sums(struct reader *rd, struct err *err)
{
    char own[4096];
    uint64_t at = 0;
    for (;;) {
        size_t n = 0;
        la_ssize_t m = lib.archive_read_data(rd->archive, rd->piece, sizeof own);
        if (m == ARCHIVE_RETRY)
            continue;
        if (m < 0)
            return damaged(rd, err);
        int r = os_pread_full(rd->sums, own, m > 0 ? (size_t)m : 1, at, &n, err);
        if (r < 0)
            return r;
        if (n != (size_t)m || memcmp(own, rd->piece, n) != 0)
            return err_set(err, ERR_CORRUPT, "the backup is damaged: its bytes are not those that were written");
        if (m == 0)
            return 0;
        at += n;
    }
}

static int read_all(struct reader *rd, struct err *err)
{
    struct archive_entry *e;
    for (bool first = true;; first = false) {
        int rc = lib.archive_read_next_header(rd->archive, &e);
        if (rc == ARCHIVE_RETRY)
            continue;
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) /* an end before the sums too */
            return first ? err_set(err, ERR_INVALID, NO_BACKUP) : damaged(rd, err);
        const char *name = lib.archive_entry_pathname(e);
        if (!name || lib.archive_entry_filetype(e) != AE_IFREG || lib.archive_entry_hardlink(e) ||
            lib.archive_entry_sparse_count(e) > 0) /* zeros for ever, out of nothing */
            return err_set(err, ERR_CORRUPT, "the backup holds something that is no file");
        if (!first && strcmp(name, BACKUP_SUMS) == 0)
            return compare_sums(rd, err);
        if (!backup_name_ok(name) || first != (strcmp(name, BACKUP_ABOUT) == 0))
            return first ? err_set(err, ERR_INVALID, NO_BACKUP)
                         : err_set(err, ERR_CORRUPT, "the backup holds '%.100s', which is no part of a state", name);
        int r = read_member(rd, e, name, first, err);
        if (r < 0)
            return r;
    }
}

static int open_reader(struct reader *rd, int fd, struct err *err)
{
    static const struct os_symbol calls[] = {ARCHIVE_CALLS(OS_LIBRARY_ENTRY)};
    int r = os_library_load(BACKUP_LIBRARY, calls, ARRAY_LEN(calls), err);
    if (r < 0)
        return r;
    rd->piece = mem_alloc(PIECE);
    rd->archive = lib.archive_read_new();
    if (!rd->piece || !rd->archive)
        return err_nomem(err);
    if (lib.archive_read_support_format_tar(rd->archive) != ARCHIVE_OK ||
        lib.archive_read_support_filter_zstd(rd->archive) != ARCHIVE_OK)
        return damaged(rd, err);
    if (lib.archive_read_open_fd(rd->archive, fd, PIECE) != ARCHIVE_OK)
        return err_set(err, ERR_INVALID, NO_BACKUP);
    return os_open_nameless(rd->dir ? rd->dir : rd->tmp_dir, &rd->sums, err);
}

static int read_backup(struct reader *rd, int fd, struct err *err)
{
    *rd->count = (struct backup_count){0};
    int r = open_reader(rd, fd, err);
    if (r == 0)
        r = read_all(rd, err);
    if (rd->archive)
        lib.archive_read_free(rd->archive);
    if (rd->sums >= 0)
        close(rd->sums);
    sha256_release(&rd->hash);
    free(rd->piece);
    return r;
}

int backup_read(int fd, const char *dir, struct backup_count *ret, struct err *err)
{
    return read_backup(&(struct reader){.dir = dir, .sums = -1, .count = ret}, fd, err);
}

int backup_check(int fd, const char *tmp_dir, struct backup_count *ret, struct err *err)
{
    return read_backup(&(struct reader){.tmp_dir = tmp_dir, .sums = -1, .count = ret}, fd, err);
}
